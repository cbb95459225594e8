/*
 * schema_values.c
 *		"enum" and "const": those values that all other keywords of the place allow.
 */
#include "grammar/schema.h"

#include <string.h>

static bool allows(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const LlmJson *value);
static unsigned types_of_value(const LlmJson *value);
static bool in_values(const LlmJson *schema, const LlmJson *value);
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
	if (constant != NULL)
		first = constant;
	for (const LlmJson *value = first; value != NULL; value = constant != NULL ? NULL : value->next)
	{
		if (allows(compiler, conjunction, value))
			llm_list_add(compiler->builder, &list, llm_json_literal(compiler->builder, value));
	}
	if (list.n_items == 0)
		llm_schema_fail(compiler, place, "no value of \"enum\" or \"const\" is allowed by everything that holds here");
	return llm_choice(compiler->builder, list.n_items, list.items);
}

static bool
allows(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const LlmJson *value)
{
	LlmBound	low;
	LlmBound	high;
	LlmDecimal	decimal;
	int			most_fraction;
	int			order;

	for (int i = 0; i < conjunction->n; i++)
	{
		if (!in_values(conjunction->items[i].schema, value))
			return false;
	}
	if ((types_of_value(value) & llm_schema_types(compiler, conjunction, false)) == 0)
		return false;
	if (value->kind == LLM_JSON_STRING)
		return llm_schema_allows_string(compiler, conjunction, value);
	if (value->kind == LLM_JSON_ARRAY || value->kind == LLM_JSON_OBJECT)
		check_container(compiler, conjunction, value);
	if (value->kind != LLM_JSON_NUMBER)
		return true;
	if (!llm_decimal_parse(value->text, value->length, &decimal))
		llm_schema_fail(compiler, value, "the number has more than %d digits", LLM_MAX_DIGITS);
	llm_schema_bounds(compiler, conjunction, &low, &high, &most_fraction);
	order = low.given ? llm_decimal_compare(&decimal, &low.value) : 1;
	if (order < 0 || (order == 0 && low.exclusive))
		return false;
	order = high.given ? llm_decimal_compare(&decimal, &high.value) : -1;
	if (order > 0 || (order == 0 && high.exclusive))
		return false;
	return most_fraction < 0 || decimal.n_fraction <= most_fraction;
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
in_values(const LlmJson *schema, const LlmJson *value)
{
	const LlmJson *constant = llm_keyword(schema, "const");
	const LlmJson *values = llm_keyword(schema, "enum");
	bool		found = values == NULL;

	if (constant != NULL && !llm_json_equal(constant, value))
		return false;
	for (const LlmJson *other = values != NULL ? values->first : NULL; other != NULL && !found; other = other->next)
		found = llm_json_equal(other, value);
	return found;
}

static void
check_container(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const LlmJson *value)
{
	static const char *const keywords[] = {
		"properties", "required", "additionalProperties", "items", "prefixItems", "minItems", "maxItems"
	};

	for (int i = 0; i < conjunction->n; i++)
	{
		for (size_t k = 0; k < sizeof(keywords) / sizeof(keywords[0]); k++)
		{
			if (llm_keyword(conjunction->items[i].schema, keywords[k]))
				llm_schema_fail(compiler, value, "\"%s\" beside an array or object in \"enum\" or \"const\" is not supported",
								keywords[k]);
		}
	}
}
