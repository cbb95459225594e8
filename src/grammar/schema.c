/*
 * schema.c
 *		A JSON schema as expressions: conjunctions, alternatives, types, numbers.
 */
#include "grammar/schema.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Conjunctions that are looked at; a schema that needs more grows without end. */
#define MAX_WORK 20000

static const LlmExpr *conjunction_expr(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const LlmJson *place);
static const LlmExpr *branches_expr(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, int of,
									bool exactly_one, const LlmJson *place);
static const LlmExpr *types_expr(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const LlmJson *place);
static const LlmExpr *number_expr(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, bool integer,
								  const LlmJson *place);
static int	find_known(const LlmSchemaCompiler *compiler, const LlmConjunction *conjunction);
static bool same_conjunction(const LlmConjunction *a, const LlmConjunction *b);
static void check_keywords(LlmSchemaCompiler *compiler, const LlmJson *schema);
static unsigned type_of_name(LlmSchemaCompiler *compiler, const LlmJson *name);
static unsigned types_of_schema(LlmSchemaCompiler *compiler, const LlmJson *schema);
static void tighten(LlmSchemaCompiler *compiler, const LlmJson *schema, const char *name, bool exclusive, bool low, LlmBound *bound);
static void read_multiple(LlmSchemaCompiler *compiler, const LlmJson *multiple, int *most_fraction);
static int	write_pointer(const LlmJson *place, char *out, int size);

LlmGrammar *
llm_grammar_from_schema(const LlmJson *schema, LlmError *error)
{
	LlmBuilder	builder;
	LlmGrammar *volatile grammar = NULL;

	llm_builder_begin(&builder, error);
	if (setjmp(builder.failed) == 0)
	{
		LlmSchemaCompiler compiler = {.builder = &builder, .root = schema};
		LlmConjunction whole = {0};
		int			root = llm_builder_add_rule(&builder, "the schema at \"#\"");
		const LlmExpr *expr;

		llm_conjunction_add(&compiler, &whole, (LlmConjunct) {.schema = schema});
		expr = llm_schema_expr(&compiler, &whole, schema);
		builder.rules[root].expr = expr;
		grammar = llm_builder_compile(&builder, root);
	}
	llm_builder_end(&builder);
	return grammar;
}

const LlmExpr *
llm_schema_expr(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const LlmJson *place)
{
	LlmBuilder *builder = compiler->builder;
	int			rule = find_known(compiler, conjunction);
	LlmKnownRule *known;
	char		pointer[160];
	const LlmExpr *expr;

	if (rule >= 0)
		return llm_rule_expr(builder, rule);
	if (conjunction->n == 0)
		return llm_json_rule(builder, LLM_JSON_ANY_VALUE);
	if (++compiler->depth > LLM_GRAMMAR_MAX_DEPTH)
		llm_schema_fail(compiler, place, "the schema is nested too deeply");
	if (++compiler->work > MAX_WORK)
		llm_schema_fail(compiler, place, "the schema is too large");
	write_pointer(place, pointer, (int) sizeof(pointer));
	rule = llm_builder_add_rule(builder, llm_builder_print(builder, "the schema at \"%s\"", pointer));
	known = llm_builder_claim(builder, sizeof(LlmKnownRule));
	known->conjunction = *conjunction;
	known->rule = rule;
	known->next = compiler->known;
	compiler->known = known;
	expr = conjunction_expr(compiler, conjunction, place);
	builder->rules[rule].expr = expr;
	compiler->depth--;
	return llm_rule_expr(builder, rule);
}

void
llm_schema_fail(LlmSchemaCompiler *compiler, const LlmJson *place, const char *format,...)
{
	char		pointer[120];
	char		message[200];
	va_list		args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	write_pointer(place, pointer, (int) sizeof(pointer));
	llm_builder_fail(compiler->builder, LLM_ERROR_ARGUMENT, "at \"%s\": %s", pointer, message);
}

void
llm_conjunction_add(LlmSchemaCompiler *compiler, LlmConjunction *conjunction, LlmConjunct conjunct)
{
	for (int i = 0; i < conjunction->n; i++)
	{
		if (conjunction->items[i].schema == conjunct.schema)
		{
			conjunction->items[i].without_any_of |= conjunct.without_any_of;
			conjunction->items[i].without_one_of |= conjunct.without_one_of;
			return;
		}
	}
	if (conjunction->n == LLM_MAX_CONJUNCTS)
		llm_schema_fail(compiler, conjunct.schema, "more than %d schemas hold for one place", LLM_MAX_CONJUNCTS);
	conjunction->items[conjunction->n++] = conjunct;
}

const LlmJson *
llm_keyword(const LlmJson *schema, const char *name)
{
	return llm_json_find(schema, name, strlen(name));
}

int
llm_keyword_count(LlmSchemaCompiler *compiler, const LlmJson *schema, const char *name, int by_default)
{
	const LlmJson *value = llm_keyword(schema, name);
	LlmDecimal	decimal;
	int			count = 0;

	if (value == NULL)
		return by_default;
	if (value->kind != LLM_JSON_NUMBER || !llm_decimal_parse(value->text, value->length, &decimal) ||
		decimal.negative || decimal.n_fraction > 0)
		llm_schema_fail(compiler, value, "expected an integer that is not negative");
	for (int i = 0; i < decimal.n_whole && count <= LLM_GRAMMAR_MAX_REPEAT; i++)
		count = 10 * count + decimal.whole[i] - '0';
	if (count > LLM_GRAMMAR_MAX_REPEAT)
		llm_schema_fail(compiler, value, "the value is greater than %d", LLM_GRAMMAR_MAX_REPEAT);
	return count;
}

void
llm_schema_bounds(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, LlmBound *low, LlmBound *high,
				  int *most_fraction)
{
	memset(low, 0, sizeof(*low));
	memset(high, 0, sizeof(*high));
	*most_fraction = -1;
	for (int i = 0; i < conjunction->n; i++)
	{
		const LlmJson *schema = conjunction->items[i].schema;
		const LlmJson *multiple = llm_keyword(schema, "multipleOf");

		tighten(compiler, schema, "minimum", false, true, low);
		tighten(compiler, schema, "exclusiveMinimum", true, true, low);
		tighten(compiler, schema, "maximum", false, false, high);
		tighten(compiler, schema, "exclusiveMaximum", true, false, high);
		if (multiple != NULL)
			read_multiple(compiler, multiple, most_fraction);
	}
}

unsigned
llm_schema_types(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, bool made)
{
	unsigned	types = LLM_TYPE_ALL;
	unsigned	implied = 0;
	bool		given = false;

	for (int i = 0; i < conjunction->n; i++)
	{
		const LlmJson *schema = conjunction->items[i].schema;

		if (llm_keyword(schema, "type") != NULL)
		{
			types &= types_of_schema(compiler, schema);
			given = true;
		}
		if (llm_keyword(schema, "properties") || llm_keyword(schema, "required") || llm_keyword(schema, "additionalProperties"))
			implied |= LLM_TYPE_OBJECT;
		if (llm_keyword(schema, "items") || llm_keyword(schema, "prefixItems") || llm_keyword(schema, "minItems") ||
			llm_keyword(schema, "maxItems"))
			implied |= LLM_TYPE_ARRAY;
		if (llm_keyword(schema, "pattern") || llm_keyword(schema, "format") || llm_keyword(schema, "minLength") ||
			llm_keyword(schema, "maxLength"))
			implied |= LLM_TYPE_STRING;
		if (llm_keyword(schema, "minimum") || llm_keyword(schema, "maximum") || llm_keyword(schema, "exclusiveMinimum") ||
			llm_keyword(schema, "exclusiveMaximum") || llm_keyword(schema, "multipleOf"))
			implied |= LLM_TYPE_INTEGER | LLM_TYPE_NUMBER;
	}
	return given || implied == 0 || !made ? types : implied;
}

static const LlmExpr *
conjunction_expr(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const LlmJson *place)
{
	LlmConjunction flat = llm_schema_flatten(compiler, conjunction);

	for (int i = 0; i < flat.n; i++)
	{
		check_keywords(compiler, flat.items[i].schema);
		if (llm_keyword(flat.items[i].schema, "anyOf") && !flat.items[i].without_any_of)
			return branches_expr(compiler, &flat, i, false, place);
		if (llm_keyword(flat.items[i].schema, "oneOf") && !flat.items[i].without_one_of)
			return branches_expr(compiler, &flat, i, true, place);
	}
	if (flat.n == 0)
		return llm_json_rule(compiler->builder, LLM_JSON_ANY_VALUE);
	if (llm_schema_has_values(&flat))
		return llm_schema_values(compiler, &flat, place);
	return types_expr(compiler, &flat, place);
}

/* Each branch of "anyOf" or "oneOf" together with all the rest. */
static const LlmExpr *
branches_expr(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, int of, bool exactly_one,
			  const LlmJson *place)
{
	const LlmJson *branches = llm_keyword(conjunction->items[of].schema, exactly_one ? "oneOf" : "anyOf");
	LlmConjunction rest = *conjunction;
	LlmExprList list = {0};

	if (branches->kind != LLM_JSON_ARRAY || branches->first == NULL)
		llm_schema_fail(compiler, branches, "expected an array of schemas");
	if (exactly_one)
		rest.items[of].without_one_of = true;
	else
		rest.items[of].without_any_of = true;
	for (const LlmJson *branch = branches->first; branch != NULL; branch = branch->next)
	{
		LlmConjunction one = rest;

		llm_conjunction_add(compiler, &one, (LlmConjunct) {.schema = branch});
		for (const LlmJson *other = branches->first; exactly_one && other != branch; other = other->next)
		{
			LlmConjunction two = rest;

			llm_conjunction_add(compiler, &two, (LlmConjunct) {.schema = other});
			if (++compiler->work > MAX_WORK)
				llm_schema_fail(compiler, branches, "the schema is too large");
			if (!llm_schema_disjoint(compiler, &one, &two))
				llm_schema_fail(compiler, branches, "a value may be valid against both schema %d and %d; "
								"use \"anyOf\", or a property with different \"const\"",
								other->position, branch->position);
		}
		llm_list_add(compiler->builder, &list, llm_schema_expr(compiler, &one, branch));
	}
	(void) place;
	return llm_choice(compiler->builder, list.n_items, list.items);
}

static const LlmExpr *
types_expr(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const LlmJson *place)
{
	LlmBuilder *builder = compiler->builder;
	unsigned	types = llm_schema_types(compiler, conjunction, true);
	LlmExprList list = {0};

	if (types == 0)
		llm_schema_fail(compiler, place, "no type is allowed by all schemas that hold here");
	if (types & LLM_TYPE_OBJECT)
		llm_list_add(builder, &list, llm_schema_object(compiler, conjunction, place));
	if (types & LLM_TYPE_ARRAY)
		llm_list_add(builder, &list, llm_schema_array(compiler, conjunction, place));
	if (types & LLM_TYPE_STRING)
		llm_list_add(builder, &list, llm_schema_string(compiler, conjunction, place));
	if (types & (LLM_TYPE_INTEGER | LLM_TYPE_NUMBER))
		llm_list_add(builder, &list, number_expr(compiler, conjunction, (types & LLM_TYPE_NUMBER) == 0, place));
	if (types & LLM_TYPE_BOOLEAN)
		llm_list_add(builder, &list, llm_or(builder, llm_text(builder, "true"), llm_text(builder, "false")));
	if (types & LLM_TYPE_NULL)
		llm_list_add(builder, &list, llm_text(builder, "null"));
	return llm_choice(builder, list.n_items, list.items);
}

static const LlmExpr *
number_expr(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, bool integer, const LlmJson *place)
{
	LlmBound	low;
	LlmBound	high;
	int			most_fraction;
	const LlmExpr *expr;

	llm_schema_bounds(compiler, conjunction, &low, &high, &most_fraction);
	if (!integer && !low.given && !high.given && most_fraction < 0)
		return llm_json_rule(compiler->builder, LLM_JSON_ANY_NUMBER);
	if (integer || most_fraction == 0)
		expr = llm_integer_range(compiler->builder, &low, &high);
	else
		expr = llm_number_range(compiler->builder, &low, &high, most_fraction);
	if (expr == NULL)
		llm_schema_fail(compiler, place, "no %s lies between minimum and maximum", integer ? "integer" : "number");
	return expr;
}

static int
find_known(const LlmSchemaCompiler *compiler, const LlmConjunction *conjunction)
{
	for (const LlmKnownRule *known = compiler->known; known != NULL; known = known->next)
	{
		if (same_conjunction(&known->conjunction, conjunction))
			return known->rule;
	}
	return -1;
}

/* The same schemas, in whatever order. */
static bool
same_conjunction(const LlmConjunction *a, const LlmConjunction *b)
{
	if (a->n != b->n)
		return false;
	for (int i = 0; i < a->n; i++)
	{
		bool		found = false;

		for (int k = 0; k < b->n && !found; k++)
			found = a->items[i].schema == b->items[k].schema && a->items[i].without_any_of == b->items[k].without_any_of &&
				a->items[i].without_one_of == b->items[k].without_one_of;
		if (!found)
			return false;
	}
	return true;
}

/* What is neither known nor here is a remark. */
static void
check_keywords(LlmSchemaCompiler *compiler, const LlmJson *schema)
{
	static const char *const unsupported[] = {
		"not", "if", "then", "else", "patternProperties", "propertyNames", "dependencies", "dependentRequired",
		"dependentSchemas", "unevaluatedProperties", "unevaluatedItems", "contains", "minContains", "maxContains",
		"minProperties", "maxProperties", "$dynamicRef", "$recursiveRef"
	};
	const LlmJson *unique = llm_keyword(schema, "uniqueItems");

	for (size_t i = 0; i < sizeof(unsupported) / sizeof(unsupported[0]); i++)
	{
		const LlmJson *found = llm_keyword(schema, unsupported[i]);

		if (found != NULL)
			llm_schema_fail(compiler, found, "\"%s\" is not supported", unsupported[i]);
	}
	if (unique != NULL && unique->kind != LLM_JSON_FALSE)
		llm_schema_fail(compiler, unique, "\"uniqueItems\" is not supported");
}

static unsigned
types_of_schema(LlmSchemaCompiler *compiler, const LlmJson *schema)
{
	const LlmJson *type = llm_keyword(schema, "type");
	unsigned	types = 0;

	if (type->kind == LLM_JSON_STRING)
		return type_of_name(compiler, type);
	if (type->kind != LLM_JSON_ARRAY || type->first == NULL)
		llm_schema_fail(compiler, type, "expected the name of a type, or an array of names");
	for (const LlmJson *name = type->first; name != NULL; name = name->next)
		types |= type_of_name(compiler, name);
	return types;
}

static unsigned
type_of_name(LlmSchemaCompiler *compiler, const LlmJson *name)
{
	static const struct
	{
		const char *name;
		unsigned	types;
	}			names[] = {
		{"null", LLM_TYPE_NULL}, {"boolean", LLM_TYPE_BOOLEAN}, {"integer", LLM_TYPE_INTEGER},
		{"number", LLM_TYPE_INTEGER | LLM_TYPE_NUMBER}, {"string", LLM_TYPE_STRING}, {"array", LLM_TYPE_ARRAY},
		{"object", LLM_TYPE_OBJECT}
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		if (llm_json_is_text(name, names[i].name))
			return names[i].types;
	}
	llm_schema_fail(compiler, name, "expected null, boolean, integer, number, string, array or object");
}

static void
tighten(LlmSchemaCompiler *compiler, const LlmJson *schema, const char *name, bool exclusive, bool low, LlmBound *bound)
{
	const LlmJson *value = llm_keyword(schema, name);
	LlmDecimal	decimal;
	int			order;

	if (value == NULL)
		return;
	if (value->kind != LLM_JSON_NUMBER)
		llm_schema_fail(compiler, value, "expected a number");
	if (!llm_decimal_parse(value->text, value->length, &decimal))
		llm_schema_fail(compiler, value, "the number has more than %d digits", LLM_MAX_DIGITS);
	order = bound->given ? llm_decimal_compare(&decimal, &bound->value) : 0;
	if (bound->given && (low ? order < 0 : order > 0))
		return;
	bound->exclusive = exclusive || (bound->given && order == 0 && bound->exclusive);
	bound->given = true;
	bound->value = decimal;
}

/* 1, 0.1, 0.01, ... bound the digits behind the point. */
static void
read_multiple(LlmSchemaCompiler *compiler, const LlmJson *multiple, int *most_fraction)
{
	LlmDecimal	decimal;
	bool		power = multiple->kind == LLM_JSON_NUMBER && llm_decimal_parse(multiple->text, multiple->length, &decimal) &&
		!decimal.negative && decimal.n_whole == 1;

	if (power && decimal.n_fraction == 0)
		power = decimal.whole[0] == '1';
	else if (power)
	{
		power = decimal.whole[0] == '0' && decimal.fraction[decimal.n_fraction - 1] == '1';
		for (int i = 0; i < decimal.n_fraction - 1; i++)
			power = power && decimal.fraction[i] == '0';
	}
	if (!power)
		llm_schema_fail(compiler, multiple, "only 1, 0.1, 0.01 and so on are supported");
	if (*most_fraction < 0 || decimal.n_fraction < *most_fraction)
		*most_fraction = decimal.n_fraction;
}

/* "#/properties/a~1b/items/0"; returns its length, without what does not fit. */
static int
write_pointer(const LlmJson *place, char *out, int size)
{
	int			length;

	if (place->parent == NULL)
		return snprintf(out, (size_t) size, "#");
	length = write_pointer(place->parent, out, size);
	if (length > size - 8)
		return length;
	out[length++] = '/';
	if (place->parent->kind == LLM_JSON_ARRAY)
		return length + snprintf(out + length, (size_t) (size - length), "%d", place->position);
	for (size_t i = 0; i < place->name_length && length < size - 6; i++)
	{
		char		byte = place->name[i];

		if (byte == '~' || byte == '/')
		{
			out[length++] = '~';
			byte = byte == '~' ? '0' : '1';
		}
		out[length++] = byte;
	}
	/* not in the middle of a character */
	while (length > 0 && length >= size - 6 && ((unsigned char) out[length - 1] & 0x80) != 0)
		length--;
	out[length] = '\0';
	return length;
}
