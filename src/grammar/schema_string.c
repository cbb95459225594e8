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

/* What is written for a format; always valid, not everything that would be. */
static const struct
{
	const char *name;
	const char *pattern;
}			formats[] = {
	{"date", DAY},
	{"time", TIME},
	{"date-time", DAY "T" TIME},
	{"duration", "P(?:\\d{1,4}[YMWD]|T\\d{1,4}[HMS]|\\d{1,4}DT\\d{1,4}H)"},
	{"uuid", "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"},
	{"email", "[A-Za-z0-9_+-]{1,24}(?:\\.[A-Za-z0-9_+-]{1,24})?@" LABEL "(?:\\." LABEL "){1,3}"},
	{"hostname", LABEL "(?:\\." LABEL "){0,4}"},
	{"ipv4", "(?:(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)\\.){3}(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"},
	{"ipv6", "(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}"},
	{"uri", "https?://" LABEL "(?:\\." LABEL "){1,3}(?:/[A-Za-z0-9._~-]{0,40}){0,8}(?:\\?[A-Za-z0-9._~=&-]{0,80})?"},
};

static const LlmAutomaton *string_automaton(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction);
static const LlmAutomaton *both(LlmBuilder *builder, const LlmAutomaton *a, const LlmAutomaton *b);
static const LlmAutomaton *pattern_automaton(LlmSchemaCompiler *compiler, const LlmJson *pattern);
static const LlmAutomaton *format_automaton(LlmSchemaCompiler *compiler, const LlmJson *format);
static void read_lengths(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, int *least, int *most);
static int	count_chars(const LlmJson *value);

const LlmExpr *
llm_schema_string(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const LlmJson *place)
{
	LlmBuilder *builder = compiler->builder;
	const LlmAutomaton *automaton = string_automaton(compiler, conjunction);
	int			least;
	int			most;

	read_lengths(compiler, conjunction, &least, &most);
	if (most != LLM_REPEAT_FOREVER && most < least)
		llm_schema_fail(compiler, place, "minLength %d is greater than maxLength %d", least, most);
	if (automaton == NULL && least == 0 && most == LLM_REPEAT_FOREVER)
		return llm_json_rule(builder, LLM_JSON_ANY_STRING);
	if (automaton == NULL)
		return llm_json_quoted(builder, llm_repeat(builder, llm_json_rule(builder, LLM_JSON_ANY_CHAR), least, most));
	if (least > 0 || most != LLM_REPEAT_FOREVER)
		automaton = llm_automaton_and(builder, automaton, llm_automaton_of_length(builder, least, most));
	if (llm_automaton_is_empty(automaton))
		llm_schema_fail(compiler, place, "no string has this length, pattern and format");
	return llm_json_quoted(builder, llm_automaton_expr(builder, automaton, true));
}

bool
llm_schema_allows_string(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const LlmJson *value)
{
	const LlmAutomaton *automaton = string_automaton(compiler, conjunction);
	int			n = count_chars(value);
	int			least;
	int			most;

	read_lengths(compiler, conjunction, &least, &most);
	if (n < least || (most != LLM_REPEAT_FOREVER && n > most))
		return false;
	return automaton == NULL || llm_automaton_accepts(automaton, value->text, value->length);
}

/* Of patterns and formats; NULL without any. */
static const LlmAutomaton *
string_automaton(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction)
{
	const LlmAutomaton *automaton = NULL;

	for (int i = 0; i < conjunction->n; i++)
	{
		const LlmJson *pattern = llm_keyword(conjunction->items[i].schema, "pattern");
		const LlmJson *format = llm_keyword(conjunction->items[i].schema, "format");

		if (pattern != NULL)
			automaton = both(compiler->builder, automaton, pattern_automaton(compiler, pattern));
		if (format != NULL)
			automaton = both(compiler->builder, automaton, format_automaton(compiler, format));
	}
	return automaton;
}

static const LlmAutomaton *
both(LlmBuilder *builder, const LlmAutomaton *a, const LlmAutomaton *b)
{
	return a == NULL ? b : llm_automaton_and(builder, a, b);
}

/* What the regular expression says is wrong is told with the place in the schema. */
static const LlmAutomaton *
pattern_automaton(LlmSchemaCompiler *compiler, const LlmJson *pattern)
{
	LlmBuilder *builder = compiler->builder;
	LlmError   *error = builder->error;
	LlmError	inner = {0};
	jmp_buf		outer;
	const LlmAutomaton *volatile automaton = NULL;

	if (pattern->kind != LLM_JSON_STRING)
		llm_schema_fail(compiler, pattern, "expected a string");
	memcpy(&outer, &builder->failed, sizeof(outer));
	builder->error = &inner;
	if (setjmp(builder->failed) == 0)
		automaton = llm_automaton_from_expr(builder, llm_regex_parse(builder, pattern->text, pattern->length, false));
	memcpy(&builder->failed, &outer, sizeof(outer));
	builder->error = error;
	if (automaton == NULL)
		llm_schema_fail(compiler, pattern, "%s", inner.message);
	return automaton;
}

static const LlmAutomaton *
format_automaton(LlmSchemaCompiler *compiler, const LlmJson *format)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
	{
		if (llm_json_is_text(format, formats[i].name))
			return llm_automaton_from_expr(compiler->builder,
										   llm_regex_parse(compiler->builder, formats[i].pattern,
														   strlen(formats[i].pattern), true));
	}
	if (format->kind != LLM_JSON_STRING)
		llm_schema_fail(compiler, format, "expected a string");
	llm_schema_fail(compiler, format, "format \"%.*s\" is not supported", format->length < 40 ? (int) format->length : 40,
					format->text);
}

static void
read_lengths(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, int *least, int *most)
{
	*least = 0;
	*most = LLM_REPEAT_FOREVER;
	for (int i = 0; i < conjunction->n; i++)
	{
		const LlmJson *schema = conjunction->items[i].schema;
		int			longest = llm_keyword_count(compiler, schema, "maxLength", LLM_REPEAT_FOREVER);
		int			shortest = llm_keyword_count(compiler, schema, "minLength", 0);

		if (longest >= 0 && (*most == LLM_REPEAT_FOREVER || longest < *most))
			*most = longest;
		if (shortest > *least)
			*least = shortest;
	}
}

static int
count_chars(const LlmJson *value)
{
	int			n = 0;

	for (size_t at = 0; at < value->length && llm_next_char(value->text, value->length, &at) >= 0;)
		n++;
	return n;
}
