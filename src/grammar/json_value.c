/*
 * json_value.c
 *		How JSON is written: one way for every value.
 */
#include "grammar/json_value.h"

#include <string.h>

#include "grammar/number_range.h"

static const LlmExpr *make_rule(LlmBuilder *builder, LlmJsonRule rule);
static const LlmExpr *any_number(LlmBuilder *builder);
static const LlmExpr *any_value(LlmBuilder *builder);
static bool equal_numbers(const LlmJson *a, const LlmJson *b);
static bool is_plain_integer(const LlmJson *value);
static uint64_t count_children(const LlmJson *value);

LlmGrammar *
llm_grammar_from_json(LlmError *error)
{
	LlmBuilder	builder;
	LlmGrammar *volatile grammar = NULL;

	llm_builder_begin(&builder, error);
	if (setjmp(builder.failed) == 0)
	{
		int			root = llm_json_rule(&builder, LLM_JSON_ANY_VALUE)->rule;

		grammar = llm_builder_compile(&builder, root);
	}
	llm_builder_end(&builder);
	return grammar;
}

const LlmExpr *
llm_json_rule(LlmBuilder *builder, LlmJsonRule rule)
{
	if (builder->json_rules[rule] < 0)
	{
		const LlmExpr *expr;
		int			made = llm_builder_add_rule(builder, "a JSON value");

		builder->json_rules[rule] = made;
		expr = make_rule(builder, rule);
		builder->rules[made].expr = expr;
	}
	return llm_rule_expr(builder, builder->json_rules[rule]);
}

const LlmExpr *
llm_json_any_object(LlmBuilder *builder)
{
	const LlmExpr *member[] = {
		llm_json_rule(builder, LLM_JSON_ANY_STRING), llm_text(builder, ": "),
		llm_json_rule(builder, LLM_JSON_ANY_VALUE)
	};
	const LlmExpr *items[] = {
		llm_text(builder, "{"),
		llm_json_list(builder, llm_sequence(builder, 3, member), 0, LLM_REPEAT_FOREVER),
		llm_text(builder, "}")
	};

	return llm_sequence(builder, 3, items);
}

const LlmExpr *
llm_json_any_array(LlmBuilder *builder)
{
	const LlmExpr *items[] = {
		llm_text(builder, "["),
		llm_json_list(builder, llm_json_rule(builder, LLM_JSON_ANY_VALUE), 0, LLM_REPEAT_FOREVER),
		llm_text(builder, "]")
	};

	return llm_sequence(builder, 3, items);
}

const LlmExpr *
llm_json_literal(LlmBuilder *builder, const LlmJson *value)
{
	LlmExprList list = {0};
	bool		object = value->kind == LLM_JSON_OBJECT;

	switch (value->kind)
	{
		case LLM_JSON_NULL:
			return llm_text(builder, "null");
		case LLM_JSON_FALSE:
			return llm_text(builder, "false");
		case LLM_JSON_TRUE:
			return llm_text(builder, "true");
		case LLM_JSON_NUMBER:
			return llm_literal(builder, value->text, value->length);
		case LLM_JSON_STRING:
			return llm_json_quoted(builder, llm_json_string_text(builder, value->text, value->length));
		case LLM_JSON_ARRAY:
		case LLM_JSON_OBJECT:
			break;
	}
	llm_list_add(builder, &list, llm_text(builder, object ? "{" : "["));
	for (const LlmJson *child = value->first; child != NULL; child = child->next)
	{
		if (child != value->first)
			llm_list_add(builder, &list, llm_text(builder, ", "));
		if (object)
			llm_list_add(builder, &list, llm_json_key(builder, child->name, child->name_length));
		llm_list_add(builder, &list, llm_json_literal(builder, child));
	}
	llm_list_add(builder, &list, llm_text(builder, object ? "}" : "]"));
	return llm_sequence(builder, list.n_items, list.items);
}

const LlmExpr *
llm_json_quoted(LlmBuilder *builder, const LlmExpr *inside)
{
	const LlmExpr *items[] = {llm_text(builder, "\""), inside, llm_text(builder, "\"")};

	return llm_sequence(builder, 3, items);
}

const LlmExpr *
llm_json_key(LlmBuilder *builder, const char *name, size_t length)
{
	return llm_then(builder, llm_json_quoted(builder, llm_json_string_text(builder, name, length)),
					llm_text(builder, ": "));
}

const LlmExpr *
llm_json_string_text(LlmBuilder *builder, const char *text, size_t length)
{
	static const char letters[] = "\"\\bfnrt";
	static const char meanings[] = "\"\\\b\f\n\r\t";
	static const char digits[] = "0123456789abcdef";
	char	   *written = llm_builder_claim(builder, 6 * length + 1);
	size_t		n = 0;

	for (size_t i = 0; i < length; i++)
	{
		const char *found = text[i] != '\0' ? strchr(meanings, text[i]) : NULL;

		if (found != NULL)
		{
			written[n++] = '\\';
			written[n++] = letters[found - meanings];
		}
		else if ((uint8_t) text[i] < 0x20)
		{
			memcpy(written + n, "\\u00", 4);
			written[n + 4] = digits[text[i] >> 4];
			written[n + 5] = digits[text[i] & 15];
			n += 6;
		}
		else
			written[n++] = text[i];
	}
	return llm_literal(builder, written, n);
}

const LlmExpr *
llm_json_list(LlmBuilder *builder, const LlmExpr *item, int least, int most)
{
	const LlmExpr *more = llm_then(builder, llm_text(builder, ", "), item);
	const LlmExpr *list;

	if (most == 0)
		return llm_text(builder, "");
	list = llm_then(builder, item, llm_repeat(builder, more, least > 0 ? least - 1 : 0,
											  most == LLM_REPEAT_FOREVER ? LLM_REPEAT_FOREVER : most - 1));
	return least == 0 ? llm_optional(builder, list) : list;
}

const LlmJson *
llm_json_find(const LlmJson *object, const char *name, size_t length)
{
	if (object->kind != LLM_JSON_OBJECT)
		return NULL;
	for (const LlmJson *child = object->first; child != NULL; child = child->next)
	{
		if (child->name_length == length && memcmp(child->name, name, length) == 0)
			return child;
	}
	return NULL;
}

bool
llm_json_is_text(const LlmJson *value, const char *text)
{
	return value->kind == LLM_JSON_STRING && value->length == strlen(text) &&
		memcmp(value->text, text, value->length) == 0;
}

bool
llm_json_equal(const LlmJson *a, const LlmJson *b, uint64_t most_work, uint64_t *work)
{
	uint64_t	n;

	if (++*work > most_work || a->kind != b->kind)
		return false;
	switch (a->kind)
	{
		case LLM_JSON_NULL:
		case LLM_JSON_FALSE:
		case LLM_JSON_TRUE:
			return true;
		case LLM_JSON_NUMBER:
			return equal_numbers(a, b);
		case LLM_JSON_STRING:
			return a->length == b->length && memcmp(a->text, b->text, a->length) == 0;
		case LLM_JSON_ARRAY:
			a = a->first;
			b = b->first;
			while (a != NULL && b != NULL && llm_json_equal(a, b, most_work, work))
			{
				a = a->next;
				b = b->next;
			}
			return a == NULL && b == NULL;
		case LLM_JSON_OBJECT:
			break;
	}
	n = count_children(b);
	if (count_children(a) != n)
		return false;
	for (const LlmJson *child = a->first; child != NULL; child = child->next)
	{
		const LlmJson *other = llm_json_find(b, child->name, child->name_length);

		*work += n;
		if (other == NULL || !llm_json_equal(child, other, most_work, work))
			return false;
	}
	return true;
}

static const LlmExpr *
make_rule(LlmBuilder *builder, LlmJsonRule rule)
{
	static const LlmCharRange all = {1, LLM_LAST_CHAR};

	switch (rule)
	{
		case LLM_JSON_ANY_CHAR:
			return llm_json_chars(builder, llm_charset(builder, &all, 1));
		case LLM_JSON_ANY_STRING:
			return llm_json_quoted(builder, llm_repeat(builder, llm_json_rule(builder, LLM_JSON_ANY_CHAR), 0, LLM_REPEAT_FOREVER));
		case LLM_JSON_ANY_NUMBER:
			return any_number(builder);
		case LLM_JSON_ANY_VALUE:
			break;
	}
	return any_value(builder);
}

/* Up to 16 digits before the point and behind it, and an exponent of up to two. */
static const LlmExpr *
any_number(LlmBuilder *builder)
{
	const LlmExpr *digit = llm_char_range(builder, '0', '9');
	const LlmExpr *whole = llm_or(builder, llm_text(builder, "0"),
								  llm_then(builder, llm_char_range(builder, '1', '9'), llm_repeat(builder, digit, 0, 15)));
	const LlmExpr *exponent[] = {
		llm_or(builder, llm_text(builder, "e"), llm_text(builder, "E")),
		llm_optional(builder, llm_or(builder, llm_text(builder, "+"), llm_text(builder, "-"))),
		llm_repeat(builder, digit, 1, 2)
	};
	const LlmExpr *items[] = {
		llm_optional(builder, llm_text(builder, "-")),
		whole,
		llm_optional(builder, llm_then(builder, llm_text(builder, "."), llm_repeat(builder, digit, 1, 16))),
		llm_optional(builder, llm_sequence(builder, 3, exponent))
	};

	return llm_sequence(builder, 4, items);
}

static const LlmExpr *
any_value(LlmBuilder *builder)
{
	const LlmExpr *items[] = {
		llm_json_any_object(builder),
		llm_json_any_array(builder),
		llm_json_rule(builder, LLM_JSON_ANY_STRING),
		llm_json_rule(builder, LLM_JSON_ANY_NUMBER),
		llm_text(builder, "true"),
		llm_text(builder, "false"),
		llm_text(builder, "null")
	};

	return llm_choice(builder, 7, items);
}

static bool
equal_numbers(const LlmJson *a, const LlmJson *b)
{
	LlmDecimal	first;
	LlmDecimal	second;

	if (is_plain_integer(a) && is_plain_integer(b))
		return a->length == b->length && memcmp(a->text, b->text, a->length) == 0;
	return llm_decimal_parse(a->text, a->length, &first) && llm_decimal_parse(b->text, b->length, &second) &&
		llm_decimal_compare(&first, &second) == 0;
}

/* Without a sign, a point or an exponent: equal ones are written alike, as JSON has no leading zeros. */
static bool
is_plain_integer(const LlmJson *value)
{
	for (size_t i = 0; i < value->length; i++)
	{
		if (value->text[i] < '0' || value->text[i] > '9')
			return false;
	}
	return true;
}

static uint64_t
count_children(const LlmJson *value)
{
	uint64_t	n = 0;

	for (const LlmJson *child = value->first; child != NULL; child = child->next)
		n++;
	return n;
}
