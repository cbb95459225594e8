/*
 * schema_values.c
 *		"enum" and "const": those values that all other keywords of the place allow; and places that have few values.
 */
#include "grammar/schema_rewrite.h"

#include <string.h>

#define MAX_COMPARED UINT64_C(10000000)

static const LlmJson *first_value(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, bool *is_constant);
static bool finite_types(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, int most, const LlmJson **values,
						 int *n_values);
static long whole_of(const LlmDecimal *decimal);
static bool add_value(LlmSchemaCompiler *compiler, const LlmJson *value, int most, const LlmJson **values, int *n_values);
static bool allows(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const LlmJson *value);
static unsigned types_of_value(const LlmJson *value);
static bool in_values(LlmSchemaCompiler *compiler, const LlmJson *schema, const LlmJson *value);
static void check_container(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const LlmJson *value);

bool
llm_schema_has_values(const LlmConjunction *conjunction)
{
	for (int i = 0; i < conjunction->n; i++)
	{
		if (llm_keyword(conjunction->items[i].schema, "enum") || llm_keyword(conjunction->items[i].schema, "const"))
			return true;
	}
	return false;
}

const LlmExpr *
llm_schema_values(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const LlmJson *place)
{
	LlmExprList list = {0};
	bool		constant;
	const LlmJson *first = first_value(compiler, conjunction, &constant);

	for (const LlmJson *value = first; value != NULL; value = constant ? NULL : value->next)
	{
		if (allows(compiler, conjunction, value))
			llm_list_add(compiler->builder, &list, llm_json_literal(compiler->builder, value));
	}
	if (list.n_items == 0)
		return llm_schema_empty(compiler, place, "no value of \"enum\" or \"const\" is allowed by everything that holds here");
	return llm_choice(compiler->builder, list.n_items, list.items);
}

bool
llm_schema_excludes(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const LlmJson *value)
{
	for (int i = 0; i < conjunction->n; i++)
	{
		const LlmJson *list = llm_keyword(conjunction->items[i].schema, LLM_NOT_VALUES);

		for (const LlmJson *other = list != NULL ? list->first : NULL; other != NULL; other = other->next)
		{
			if (llm_schema_equal(compiler, other, value))
				return true;
		}
	}
	return false;
}

bool
llm_schema_equal(LlmSchemaCompiler *compiler, const LlmJson *a, const LlmJson *b)
{
	bool		equal = llm_json_equal(a, b, MAX_COMPARED, &compiler->compared);

	if (compiler->compared > MAX_COMPARED)
		llm_schema_fail(compiler, compiler->root, "the schema has too many values to compare with each other");
	return equal;
}

bool
llm_schema_finite(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, int most, const LlmJson **values, int *n_values)
{
	LlmConjunction flat = llm_schema_flatten(compiler, conjunction);
	LlmBranches branches;
	bool		finite = true;
	bool		constant;

	if (++compiler->depth > LLM_GRAMMAR_MAX_DEPTH)
		llm_schema_fail(compiler, compiler->root, "the schema is nested too deeply");
	if (flat.never != NULL || llm_schema_types(compiler, &flat, false) == 0)
		;
	else if (llm_schema_branches(compiler, &flat, &branches))
	{
		for (const LlmJson *branch = branches.list->first; branch != NULL && finite; branch = branch->next)
		{
			LlmConjunction one = llm_schema_branch(compiler, &branches, branch);

			finite = llm_schema_finite(compiler, &one, most, values, n_values);
		}
	}
	else if (llm_schema_has_values(&flat))
	{
		for (const LlmJson *value = first_value(compiler, &flat, &constant); value != NULL && finite; value = constant ? NULL : value->next)
			finite = !allows(compiler, &flat, value) || add_value(compiler, value, most, values, n_values);
	}
	else
		finite = finite_types(compiler, &flat, most, values, n_values);
	compiler->depth--;
	return finite;
}

/* null, booleans, and integers between bounds that are close to each other. */
static bool
finite_types(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, int most, const LlmJson **values, int *n_values)
{
	static const LlmJson words[] = {{.kind = LLM_JSON_NULL}, {.kind = LLM_JSON_FALSE}, {.kind = LLM_JSON_TRUE}};
	unsigned	types = llm_schema_types(compiler, conjunction, true);
	LlmBound	low;
	LlmBound	high;
	int			most_fraction;

	if (types & ~(unsigned) (LLM_TYPE_NULL | LLM_TYPE_BOOLEAN | LLM_TYPE_INTEGER))
		return false;
	for (int i = 0; i < 3; i++)
	{
		if ((types & (i == 0 ? LLM_TYPE_NULL : LLM_TYPE_BOOLEAN)) && !llm_schema_excludes(compiler, conjunction, &words[i]) &&
			!add_value(compiler, &words[i], most, values, n_values))
			return false;
	}
	if ((types & LLM_TYPE_INTEGER) == 0)
		return true;
	llm_schema_bounds(compiler, conjunction, &low, &high, &most_fraction);
	if (!low.given || !high.given || low.value.n_whole > 9 || high.value.n_whole > 9)
		return false;
	for (long number = whole_of(&low.value); number <= whole_of(&high.value); number++)
	{
		LlmJson    *value;

		if (number - whole_of(&low.value) > most)
			return false;
		value = llm_made_number(compiler, (int) number, conjunction->items[0].schema);
		if (llm_schema_allows_number(compiler, conjunction, value) && !llm_schema_excludes(compiler, conjunction, value) &&
			!add_value(compiler, value, most, values, n_values))
			return false;
	}
	return true;
}

static long
whole_of(const LlmDecimal *decimal)
{
	long		number = 0;

	for (int i = 0; i < decimal->n_whole; i++)
		number = 10 * number + decimal->whole[i] - '0';
	return decimal->negative ? -number : number;
}

/* False where there is no room for one more. */
static bool
add_value(LlmSchemaCompiler *compiler, const LlmJson *value, int most, const LlmJson **values, int *n_values)
{
	for (int i = 0; i < *n_values; i++)
	{
		if (llm_schema_equal(compiler, values[i], value))
			return true;
	}
	if (*n_values == most)
		return false;
	values[(*n_values)++] = value;
	return true;
}

/* Of the list whose values are looked at; of a constant only itself. */
static const LlmJson *
first_value(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, bool *is_constant)
{
	const LlmJson *first = NULL;
	const LlmJson *constant = NULL;

	for (int i = 0; i < conjunction->n && constant == NULL; i++)
	{
		const LlmJson *schema = conjunction->items[i].schema;
		const LlmJson *values = llm_keyword(schema, "enum");

		constant = llm_keyword(schema, "const");
		if (values != NULL && (values->kind != LLM_JSON_ARRAY || values->first == NULL))
			llm_schema_fail(compiler, values, "expected an array of values");
		if (values != NULL && first == NULL)
			first = values->first;
	}
	*is_constant = constant != NULL;
	return constant != NULL ? constant : first;
}

static bool
allows(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const LlmJson *value)
{
	for (int i = 0; i < conjunction->n; i++)
	{
		if (!in_values(compiler, conjunction->items[i].schema, value))
			return false;
	}
	if ((types_of_value(value) & llm_schema_types(compiler, conjunction, false)) == 0 || llm_schema_excludes(compiler, conjunction, value))
		return false;
	if (value->kind == LLM_JSON_STRING)
		return llm_schema_allows_string(compiler, conjunction, value);
	if (value->kind == LLM_JSON_ARRAY || value->kind == LLM_JSON_OBJECT)
		check_container(compiler, conjunction, value);
	return value->kind != LLM_JSON_NUMBER || llm_schema_allows_number(compiler, conjunction, value);
}

static unsigned
types_of_value(const LlmJson *value)
{
	LlmDecimal	decimal;

	switch (value->kind)
	{
		case LLM_JSON_NULL:
			return LLM_TYPE_NULL;
		case LLM_JSON_FALSE:
		case LLM_JSON_TRUE:
			return LLM_TYPE_BOOLEAN;
		case LLM_JSON_NUMBER:
			if (llm_decimal_parse(value->text, value->length, &decimal) && decimal.n_fraction == 0)
				return LLM_TYPE_INTEGER;
			return LLM_TYPE_NUMBER;
		case LLM_JSON_STRING:
			return LLM_TYPE_STRING;
		case LLM_JSON_ARRAY:
			return LLM_TYPE_ARRAY;
		case LLM_JSON_OBJECT:
			break;
	}
	return LLM_TYPE_OBJECT;
}

static bool
in_values(LlmSchemaCompiler *compiler, const LlmJson *schema, const LlmJson *value)
{
	const LlmJson *constant = llm_keyword(schema, "const");
	const LlmJson *values = llm_keyword(schema, "enum");
	bool		found = values == NULL || value->parent == values;

	if (constant != NULL && !llm_schema_equal(compiler, constant, value))
		return false;
	for (const LlmJson *other = found ? NULL : values->first; other != NULL && !found; other = other->next)
		found = llm_schema_equal(compiler, other, value);
	return found;
}

static void
check_container(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const LlmJson *value)
{
	static const char *const keywords[2][12] = {
		{"items", "prefixItems", "additionalItems", "minItems", "maxItems", "contains", "uniqueItems"},
		{"properties", "required", "additionalProperties", "patternProperties", "propertyNames", "minProperties", "maxProperties",
		"dependentRequired", "dependentSchemas", "dependencies", LLM_SOME_MEMBER}
	};

	for (int i = 0; i < conjunction->n; i++)
	{
		for (const char *const *name = keywords[value->kind == LLM_JSON_OBJECT]; *name != NULL; name++)
		{
			if (llm_keyword(conjunction->items[i].schema, *name))
				llm_schema_fail(compiler, value, "what else holds beside an array or object in \"enum\" or \"const\" is not supported");
		}
	}
}
