/*
 * schema.c
 *		A JSON schema as expressions: conjunctions, alternatives, types, numbers.
 */
#include "grammar/schema.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "grammar/automaton.h"

/* Conjunctions that are looked at; a schema that needs more grows without end. */
#define MAX_WORK 20000

/* How deep is_never looks. */
#define MAX_DEPTH 1000

static const LlmExpr *conjunction_expr(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const LlmJson *place);
static const LlmExpr *branches_expr(LlmSchemaCompiler *compiler, const LlmBranches *branches, const LlmJson *place);
static const LlmExpr *member_expr(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, int of, const LlmJson *place);
static void begin_alternatives(LlmSchemaCompiler *compiler);
static void add_alternative(LlmSchemaCompiler *compiler, LlmExprList *list, const LlmConjunction *conjunction,
							const LlmJson *place);
static const LlmExpr *alternatives(LlmSchemaCompiler *compiler, const LlmExprList *list, const LlmJson *place);
static bool is_never(LlmBuilder *builder, const LlmExpr *expr, int depth);
static const LlmExpr *types_expr(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const LlmJson *place);
static const LlmExpr *word_expr(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, LlmJsonKind kind, const char *text);
static int	find_known(const LlmSchemaCompiler *compiler, const LlmConjunction *conjunction);
static bool same_conjunction(const LlmConjunction *a, const LlmConjunction *b);
static unsigned type_of_name(LlmSchemaCompiler *compiler, const LlmJson *name);
static unsigned types_of_schema(LlmSchemaCompiler *compiler, const LlmJson *schema);
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
	{
		expr = llm_rule_expr(builder, rule);
		if (compiler->alternatives == 0 && llm_schema_is_never(compiler, expr))
			llm_schema_fail(compiler, place, "nothing is valid here");
		return expr;
	}
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

const LlmExpr *
llm_schema_empty(LlmSchemaCompiler *compiler, const LlmJson *place, const char *format,...)
{
	char		message[200];
	va_list		args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	if (compiler->alternatives == 0)
		llm_schema_fail(compiler, place, "%s", message);
	if (compiler->first_reason[0] == '\0')
	{
		char		pointer[sizeof(compiler->first_reason) / 2];

		write_pointer(place, pointer, (int) sizeof(pointer));
		snprintf(compiler->first_reason, sizeof(compiler->first_reason), "at \"%s\": %.80s", pointer, message);
	}
	return llm_fail_expr(compiler->builder);
}

bool
llm_schema_is_never(LlmSchemaCompiler *compiler, const LlmExpr *expr)
{
	return is_never(compiler->builder, expr, 0);
}

bool
llm_conjunction_add(LlmSchemaCompiler *compiler, LlmConjunction *conjunction, LlmConjunct conjunct)
{
	for (int i = 0; i < conjunction->n; i++)
	{
		if (conjunction->items[i].schema == conjunct.schema)
		{
			conjunction->items[i].without_any_of |= conjunct.without_any_of;
			conjunction->items[i].without_one_of |= conjunct.without_one_of;
			conjunction->items[i].member |= conjunct.member;
			return false;
		}
	}
	if (conjunction->n == LLM_MAX_CONJUNCTS)
		llm_schema_fail(compiler, conjunct.schema, "more than %d schemas hold for one place", LLM_MAX_CONJUNCTS);
	conjunction->items[conjunction->n++] = conjunct;
	return true;
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

const LlmJson *
llm_keyword_checked(LlmSchemaCompiler *compiler, const LlmJson *schema, const char *name, LlmJsonKind kind)
{
	const LlmJson *value = llm_keyword(schema, name);

	if (value != NULL && value->kind != kind)
		llm_schema_fail(compiler, value, "expected an %s", kind == LLM_JSON_ARRAY ? "array" : "object");
	return value;
}

void
llm_schema_counts(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const char *least_name,
				  const char *most_name, int *least, int *most)
{
	*least = 0;
	*most = LLM_REPEAT_FOREVER;
	for (int i = 0; i < conjunction->n; i++)
	{
		const LlmJson *schema = conjunction->items[i].schema;
		int			greatest = llm_keyword_count(compiler, schema, most_name, LLM_REPEAT_FOREVER);
		int			smallest = llm_keyword_count(compiler, schema, least_name, 0);

		if (greatest >= 0 && (*most == LLM_REPEAT_FOREVER || greatest < *most))
			*most = greatest;
		*least = smallest > *least ? smallest : *least;
	}
}

/* What is neither known nor here is a remark. */
void
llm_schema_check(LlmSchemaCompiler *compiler, const LlmJson *schema)
{
	static const char *const unsupported[] = {
		"unevaluatedProperties", "unevaluatedItems", "$dynamicRef", "$recursiveRef"
	};

	for (size_t i = 0; i < sizeof(unsupported) / sizeof(unsupported[0]); i++)
	{
		const LlmJson *found = llm_keyword(schema, unsupported[i]);

		if (found != NULL)
			llm_schema_fail(compiler, found, "\"%s\" is not supported", unsupported[i]);
	}
}

unsigned
llm_schema_types(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, bool made)
{
	static const struct
	{
		unsigned	types;
		const char *keywords[12];
	}			about[] = {
		{LLM_TYPE_OBJECT, {"properties", "required", "additionalProperties", "patternProperties", "propertyNames", "minProperties",
		"maxProperties", "dependentRequired", "dependentSchemas", "dependencies"}},
		{LLM_TYPE_ARRAY, {"items", "prefixItems", "minItems", "maxItems", "contains", "uniqueItems"}},
		{LLM_TYPE_STRING, {"pattern", "format", "minLength", "maxLength"}},
		{LLM_TYPE_INTEGER | LLM_TYPE_NUMBER, {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}}
	};
	unsigned	types = LLM_TYPE_ALL;
	unsigned	implied = 0;
	bool		given = false;

	for (int i = 0; i < conjunction->n; i++)
	{
		const LlmJson *schema = conjunction->items[i].schema;
		const LlmJson *excluded = llm_keyword(schema, LLM_NOT_TYPES);

		if (llm_keyword(schema, "type") != NULL)
		{
			types &= types_of_schema(compiler, schema);
			given = true;
		}
		if (excluded != NULL)
			types &= ~(unsigned) excluded->position;
		for (int k = 0; k < 4; k++)
		{
			for (const char *const *name = about[k].keywords; *name != NULL; name++)
				implied |= llm_keyword(schema, *name) != NULL ? about[k].types : 0;
		}
	}
	return given || (implied & types) == 0 || !made ? types : implied & types;
}

static const LlmExpr *
conjunction_expr(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const LlmJson *place)
{
	LlmConjunction flat = llm_schema_flatten(compiler, conjunction);
	LlmBranches branches;

	for (int i = 0; i < flat.n; i++)
		llm_schema_check(compiler, flat.items[i].schema);
	if (flat.never != NULL)
		return llm_schema_empty(compiler, flat.never, "nothing is valid against false");
	if (flat.n == 0)
		return llm_json_rule(compiler->builder, LLM_JSON_ANY_VALUE);
	if (llm_schema_types(compiler, &flat, false) == 0)
		return llm_schema_empty(compiler, place, "no type is allowed by all schemas that hold here");
	if (llm_schema_branches(compiler, &flat, &branches))
		return branches_expr(compiler, &branches, place);
	for (int i = 0; i < flat.n; i++)
	{
		if (llm_keyword(flat.items[i].schema, LLM_SOME_MEMBER) && flat.items[i].member == LLM_MEMBER_OPEN)
			return member_expr(compiler, &flat, i, place);
	}
	if (llm_schema_has_values(&flat))
		return llm_schema_values(compiler, &flat, place);
	return types_expr(compiler, &flat, place);
}

/* Each branch of "anyOf" or "oneOf" together with all the rest. */
static const LlmExpr *
branches_expr(LlmSchemaCompiler *compiler, const LlmBranches *branches, const LlmJson *place)
{
	LlmExprList list = {0};

	begin_alternatives(compiler);
	for (const LlmJson *branch = branches->list->first; branch != NULL; branch = branch->next)
	{
		LlmConjunction one = llm_schema_branch(compiler, branches, branch);

		add_alternative(compiler, &list, &one, branch);
	}
	return alternatives(compiler, &list, branches->list->made_of != NULL ? place : branches->list);
}

/* A member that must be there is one that some schema names, or another. */
static const LlmExpr *
member_expr(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, int of, const LlmJson *place)
{
	const LlmJson *member = llm_keyword(conjunction->items[of].schema, LLM_SOME_MEMBER);
	const LlmAutomaton *keys = llm_schema_strings_of(compiler, llm_keyword(member, "key"));
	LlmConjunction rest = *conjunction;
	LlmExprList cases = {0};

	begin_alternatives(compiler);
	rest.items[of].member = LLM_MEMBER_DONE;
	for (int i = 0; i < 2 * conjunction->n; i++)
	{
		const LlmJson *schema = conjunction->items[i / 2].schema;
		const LlmJson *list = i % 2 == 0 ? llm_keyword_checked(compiler, schema, "properties", LLM_JSON_OBJECT) :
			llm_keyword_checked(compiler, schema, "required", LLM_JSON_ARRAY);

		for (const LlmJson *item = list != NULL ? list->first : NULL; item != NULL; item = item->next)
		{
			const char *name = i % 2 == 0 ? item->name : item->text;
			size_t		length = i % 2 == 0 ? item->name_length : item->length;
			LlmConjunction one = rest;
			LlmConjunct named = {0};

			if ((i % 2 == 1 && item->kind != LLM_JSON_STRING) || !llm_automaton_accepts(keys, name, length))
				continue;
			named.schema = llm_schema_member_named(compiler, member, name, length);
			llm_conjunction_add(compiler, &one, named);
			add_alternative(compiler, &cases, &one, place);
		}
	}
	rest.items[of].member = LLM_MEMBER_UNNAMED;
	add_alternative(compiler, &cases, &rest, place);
	return alternatives(compiler, &cases, place);
}

/* The reasons that are told are those of the outermost alternatives. */
static void
begin_alternatives(LlmSchemaCompiler *compiler)
{
	if (compiler->alternatives == 0)
		compiler->first_reason[0] = '\0';
}

/* Unless nothing is valid against it. */
static void
add_alternative(LlmSchemaCompiler *compiler, LlmExprList *list, const LlmConjunction *conjunction, const LlmJson *place)
{
	const LlmExpr *expr;

	compiler->alternatives++;
	expr = llm_schema_expr(compiler, conjunction, place);
	compiler->alternatives--;
	if (!llm_schema_is_never(compiler, expr))
		llm_list_add(compiler->builder, list, expr);
}

static const LlmExpr *
alternatives(LlmSchemaCompiler *compiler, const LlmExprList *list, const LlmJson *place)
{
	if (list->n_items == 0)
		return llm_schema_empty(compiler, place, "no alternative is possible, %s", compiler->first_reason);
	return llm_choice(compiler->builder, list->n_items, list->items);
}

static const LlmExpr *
types_expr(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const LlmJson *place)
{
	LlmBuilder *builder = compiler->builder;
	unsigned	types = llm_schema_types(compiler, conjunction, true);
	LlmExprList list = {0};

	if (types & LLM_TYPE_OBJECT)
		llm_list_add(builder, &list, llm_schema_object(compiler, conjunction, place));
	if (types & LLM_TYPE_ARRAY)
		llm_list_add(builder, &list, llm_schema_array(compiler, conjunction, place));
	if (types & LLM_TYPE_STRING)
		llm_list_add(builder, &list, llm_schema_string(compiler, conjunction, place));
	if (types & (LLM_TYPE_INTEGER | LLM_TYPE_NUMBER))
		llm_list_add(builder, &list, llm_schema_number(compiler, conjunction, types, place));
	if (types & LLM_TYPE_BOOLEAN)
		llm_list_add(builder, &list, llm_or(builder, word_expr(compiler, conjunction, LLM_JSON_TRUE, "true"),
											word_expr(compiler, conjunction, LLM_JSON_FALSE, "false")));
	if (types & LLM_TYPE_NULL)
		llm_list_add(builder, &list, word_expr(compiler, conjunction, LLM_JSON_NULL, "null"));
	return llm_choice(builder, list.n_items, list.items);
}

/* null, true or false, unless it is excluded. */
static const LlmExpr *
word_expr(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, LlmJsonKind kind, const char *text)
{
	LlmJson		word = {.kind = kind};

	return llm_schema_excludes(compiler, conjunction, &word) ? llm_fail_expr(compiler->builder) : llm_text(compiler->builder, text);
}

/* A rule is looked at once: while that goes on, and before it has an expression, it counts as one that matches. */
static bool
is_never(LlmBuilder *builder, const LlmExpr *expr, int depth)
{
	LlmRule    *rule;

	switch (expr->kind)
	{
		case LLM_EXPR_FAIL:
			return true;
		case LLM_EXPR_AUTOMATON:
			return llm_automaton_is_empty(expr->automaton);
		case LLM_EXPR_REPEAT:
			return expr->least > 0 && is_never(builder, expr->item, depth + 1);
		case LLM_EXPR_SEQUENCE:
		case LLM_EXPR_CHOICE:
			for (int i = 0; i < expr->n_items; i++)
			{
				if (is_never(builder, expr->items[i], depth + 1) == (expr->kind == LLM_EXPR_SEQUENCE))
					return expr->kind == LLM_EXPR_SEQUENCE;
			}
			return expr->kind == LLM_EXPR_CHOICE;
		case LLM_EXPR_RULE:
			rule = &builder->rules[expr->rule];
			if (!rule->looked_at && rule->expr != NULL && depth < MAX_DEPTH)
			{
				rule->looked_at = true;
				rule->never = is_never(builder, rule->expr, depth + 1);
			}
			return rule->never;
		case LLM_EXPR_LITERAL:
		case LLM_EXPR_CHARS:
			break;
	}
	return false;
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
				a->items[i].without_one_of == b->items[k].without_one_of && a->items[i].member == b->items[k].member;
		if (!found)
			return false;
	}
	return true;
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

/* "#/properties/a~1b/items/0"; returns its length, without what does not fit. */
static int
write_pointer(const LlmJson *place, char *out, int size)
{
	int			length;

	while (place->made_of != NULL)
		place = place->made_of;
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
