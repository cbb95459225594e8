/*
 * schema_string.c
 *		Strings of a schema: length, pattern, format, and all of them at once.
 */
#include "grammar/schema.h"

#include <string.h>

#include "grammar/automaton.h"
#include "grammar/regex_parse.h"

#define LABEL "[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?"
#define DAY "[1-9]\\d{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|1\\d|2[0-8]))"
#define TIME "(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,6})?(?:Z|[+-](?:0\\d|1[0-4]):[0-5]\\d)"

/*
 * What is written for a format; always valid, not everything that would be.  And a shape that everything valid has, for
 * what must not be of the format.
 */
static const struct
{
	const char *name;
	const char *pattern;
	const char *shape;
}			formats[] = {
	{"date", DAY, "\\d{4}-\\d\\d-\\d\\d"},
	{"time", TIME, "\\d\\d:\\d\\d:.*"},
	{"date-time", DAY "T" TIME, "\\d{4}-\\d\\d-\\d\\d[Tt _]\\d\\d:.*"},
	{"duration", "P(?:\\d{1,4}[YMWD]|T\\d{1,4}[HMS]|\\d{1,4}DT\\d{1,4}H)", "P.*"},
	{"uuid", "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "[0-9A-Fa-f-]{36}"},
	{"email", "[A-Za-z0-9_+-]{1,24}(?:\\.[A-Za-z0-9_+-]{1,24})?@" LABEL "(?:\\." LABEL "){1,3}", "[^@]*@.*"},
	{"hostname", LABEL "(?:\\." LABEL "){0,4}", "[A-Za-z0-9.-]+"},
	{"ipv4", "(?:(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)\\.){3}(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)", "[0-9.]+"},
	{"ipv6", "(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}", "[0-9A-Fa-f:.]+"},
	{"uri", "https?://" LABEL "(?:\\." LABEL "){1,3}(?:/[A-Za-z0-9._~-]{0,40}){0,8}(?:\\?[A-Za-z0-9._~=&-]{0,80})?", "[A-Za-z][A-Za-z0-9+.-]*:.*"},
};

static const LlmAutomaton *string_automaton(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, bool with_values);
static const LlmAutomaton *both(LlmBuilder *builder, const LlmAutomaton *a, const LlmAutomaton *b);
static const LlmAutomaton *without(LlmBuilder *builder, const LlmAutomaton *a, const LlmAutomaton *b);
static const LlmAutomaton *of_values(LlmSchemaCompiler *compiler, const LlmJson *first, bool list, bool *any);
static const LlmAutomaton *pattern_automaton(LlmSchemaCompiler *compiler, const char *text, size_t length, const LlmJson *place);
static const LlmAutomaton *format_automaton(LlmSchemaCompiler *compiler, const LlmJson *format, bool shape);
static int	count_chars(const LlmJson *value);

const LlmExpr *
llm_schema_string(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const LlmJson *place)
{
	LlmBuilder *builder = compiler->builder;
	const LlmAutomaton *automaton = string_automaton(compiler, conjunction, true);
	int			least;
	int			most;

	llm_schema_counts(compiler, conjunction, "minLength", "maxLength", &least, &most);
	if (most != LLM_REPEAT_FOREVER && most < least)
		return llm_schema_empty(compiler, place, "minLength %d is greater than maxLength %d", least, most);
	if (automaton == NULL && least == 0 && most == LLM_REPEAT_FOREVER)
		return llm_json_rule(builder, LLM_JSON_ANY_STRING);
	if (automaton == NULL)
		return llm_json_quoted(builder, llm_repeat(builder, llm_json_rule(builder, LLM_JSON_ANY_CHAR), least, most));
	if (least > 0 || most != LLM_REPEAT_FOREVER)
		automaton = llm_automaton_and(builder, automaton, llm_automaton_of_length(builder, least, most));
	if (llm_automaton_is_empty(automaton))
		return llm_schema_empty(compiler, place, "no string has this length, pattern and format");
	return llm_json_quoted(builder, llm_automaton_expr(builder, automaton, true));
}

bool
llm_schema_allows_string(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const LlmJson *value)
{
	const LlmAutomaton *automaton = string_automaton(compiler, conjunction, false);
	int			n = count_chars(value);
	int			least;
	int			most;

	llm_schema_counts(compiler, conjunction, "minLength", "maxLength", &least, &most);
	if (n < least || (most != LLM_REPEAT_FOREVER && n > most))
		return false;
	return automaton == NULL || llm_automaton_accepts(automaton, value->text, value->length);
}

const LlmAutomaton *
llm_schema_strings(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction)
{
	LlmBuilder *builder = compiler->builder;
	LlmConjunction flat = llm_schema_flatten(compiler, conjunction);
	const LlmAutomaton *strings = llm_automaton_from_expr(builder, llm_fail_expr(builder));
	const LlmAutomaton *some;
	LlmBranches branches;
	int			least;
	int			most;

	if (++compiler->depth > LLM_GRAMMAR_MAX_DEPTH)
		llm_schema_fail(compiler, compiler->root, "the schema is nested too deeply");
	for (int i = 0; i < flat.n; i++)
		llm_schema_check(compiler, flat.items[i].schema);
	if (flat.never == NULL && (llm_schema_types(compiler, &flat, false) & LLM_TYPE_STRING))
	{
		if (llm_schema_branches(compiler, &flat, &branches))
		{
			for (const LlmJson *branch = branches.list->first; branch != NULL; branch = branch->next)
			{
				LlmConjunction one = llm_schema_branch(compiler, &branches, branch);

				strings = llm_automaton_or(builder, strings, llm_schema_strings(compiler, &one));
			}
			strings = llm_automaton_reduce(builder, strings);
		}
		else
		{
			some = string_automaton(compiler, &flat, true);
			llm_schema_counts(compiler, &flat, "minLength", "maxLength", &least, &most);
			if (most == LLM_REPEAT_FOREVER || least <= most)
				strings = both(builder, some, llm_automaton_of_length(builder, least, most));
		}
	}
	compiler->depth--;
	return strings;
}

const LlmAutomaton *
llm_schema_strings_of(LlmSchemaCompiler *compiler, const LlmJson *schema)
{
	LlmConjunction one = {0};

	llm_conjunction_add(compiler, &one, (LlmConjunct) {.schema = schema});
	return llm_schema_strings(compiler, &one);
}

/* Of patterns, formats, and values if these count; NULL without any. */
static const LlmAutomaton *
string_automaton(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, bool with_values)
{
	LlmBuilder *builder = compiler->builder;
	const LlmAutomaton *automaton = NULL;

	for (int i = 0; i < conjunction->n; i++)
	{
		const LlmJson *schema = conjunction->items[i].schema;
		const LlmJson *found;
		const LlmAutomaton *some;
		bool		any;

		if ((found = llm_keyword(schema, "pattern")) != NULL)
			automaton = both(builder, automaton, llm_schema_pattern(compiler, found));
		if ((found = llm_keyword(schema, "format")) != NULL)
			automaton = both(builder, automaton, format_automaton(compiler, found, false));
		if ((found = llm_keyword(schema, LLM_NOT_PATTERN)) != NULL)
			automaton = without(builder, automaton, llm_schema_pattern(compiler, found));
		if ((found = llm_keyword(schema, LLM_NOT_FORMAT)) != NULL)
			automaton = without(builder, automaton, format_automaton(compiler, found, true));
		if (!with_values)
			continue;
		if ((found = llm_keyword(schema, "enum")) != NULL)
			automaton = both(builder, automaton, of_values(compiler, found->first, true, &any));
		if ((found = llm_keyword(schema, "const")) != NULL)
			automaton = both(builder, automaton, of_values(compiler, found, false, &any));
		if ((found = llm_keyword(schema, LLM_NOT_VALUES)) != NULL)
		{
			some = of_values(compiler, found->first, true, &any);
			automaton = any ? without(builder, automaton, some) : automaton;
		}
	}
	return automaton;
}

/* The strings among the values. */
static const LlmAutomaton *
of_values(LlmSchemaCompiler *compiler, const LlmJson *first, bool list, bool *any)
{
	LlmExprList strings = {0};

	for (const LlmJson *value = first; value != NULL; value = list ? value->next : NULL)
	{
		if (value->kind == LLM_JSON_STRING)
			llm_list_add(compiler->builder, &strings, llm_literal(compiler->builder, value->text, value->length));
	}
	*any = strings.n_items > 0;
	return llm_automaton_from_expr(compiler->builder, llm_choice(compiler->builder, strings.n_items, strings.items));
}

static const LlmAutomaton *
without(LlmBuilder *builder, const LlmAutomaton *a, const LlmAutomaton *b)
{
	return llm_automaton_minus(builder, a != NULL ? a : llm_automaton_of_length(builder, 0, LLM_REPEAT_FOREVER), b);
}

static const LlmAutomaton *
both(LlmBuilder *builder, const LlmAutomaton *a, const LlmAutomaton *b)
{
	return a == NULL ? b : llm_automaton_and(builder, a, b);
}

const LlmAutomaton *
llm_schema_pattern(LlmSchemaCompiler *compiler, const LlmJson *pattern)
{
	if (pattern->kind != LLM_JSON_STRING)
		llm_schema_fail(compiler, pattern, "expected a string");
	return pattern_automaton(compiler, pattern->text, pattern->length, pattern);
}

const LlmAutomaton *
llm_schema_key_pattern(LlmSchemaCompiler *compiler, const LlmJson *value)
{
	return pattern_automaton(compiler, value->name, value->name_length, value);
}

/* What the regular expression says is wrong is told with the place in the schema. */
static const LlmAutomaton *
pattern_automaton(LlmSchemaCompiler *compiler, const char *text, size_t length, const LlmJson *place)
{
	LlmBuilder *builder = compiler->builder;
	LlmError   *error = builder->error;
	LlmError	inner = {0};
	jmp_buf		outer;
	const LlmAutomaton *volatile automaton = NULL;

	memcpy(&outer, &builder->failed, sizeof(outer));
	builder->error = &inner;
	if (setjmp(builder->failed) == 0)
		automaton = llm_automaton_from_expr(builder, llm_regex_parse(builder, text, length, false));
	memcpy(&builder->failed, &outer, sizeof(outer));
	builder->error = error;
	if (automaton == NULL)
		llm_schema_fail(compiler, place, "%s", inner.message);
	return automaton;
}

static const LlmAutomaton *
format_automaton(LlmSchemaCompiler *compiler, const LlmJson *format, bool shape)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
	{
		const char *pattern = shape ? formats[i].shape : formats[i].pattern;

		if (llm_json_is_text(format, formats[i].name))
			return llm_automaton_from_expr(compiler->builder, llm_regex_parse(compiler->builder, pattern, strlen(pattern), true));
	}
	if (format->kind != LLM_JSON_STRING)
		llm_schema_fail(compiler, format, "expected a string");
	llm_schema_fail(compiler, format, "format \"%.*s\" is not supported", format->length < 40 ? (int) format->length : 40,
					format->text);
}

static int
count_chars(const LlmJson *value)
{
	int			n = 0;

	for (size_t at = 0; at < value->length && llm_next_char(value->text, value->length, &at) >= 0;)
		n++;
	return n;
}
