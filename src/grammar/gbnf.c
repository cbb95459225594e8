/*
 * gbnf.c
 *		llama.cpp's grammar language, as its grammars/README.md describes it.
 *
 *	 root   ::= item ("," item)*		# a comment
 *	 item   ::= [a-z]+ | "\"" [^"\n]{0,10} "\"" | .
 *
 * A rule ends with its line, except in parentheses and after "::=" and "|".
 */
#include "grammar/expr.h"

#include <string.h>

#include "grammar/escape.h"

typedef struct Parser
{
	LlmBuilder *builder;
	LlmScanner	scan;
	int			depth;
} Parser;

static int	parse_rules(Parser *parser);
static void parse_rule(Parser *parser);
static const LlmExpr *parse_choice(Parser *parser);
static const LlmExpr *parse_sequence(Parser *parser);
static const LlmExpr *parse_item(Parser *parser);
static const LlmExpr *parse_literal(Parser *parser);
static const LlmExpr *parse_class(Parser *parser);
static const LlmExpr *parse_group(Parser *parser);
static const LlmExpr *parse_reference(Parser *parser);
static const LlmExpr *parse_repetitions(Parser *parser, const LlmExpr *item);
static uint32_t parse_char(Parser *parser);
static const char *parse_name(Parser *parser);
static int	find_rule(Parser *parser, const char *name);
static void skip_space(Parser *parser, bool newlines);
static bool is_name_char(int character);

LlmGrammar *
llm_grammar_from_gbnf(const char *text, size_t length, LlmError *error)
{
	LlmBuilder	builder;
	LlmGrammar *volatile grammar = NULL;

	llm_builder_begin(&builder, error);
	if (setjmp(builder.failed) == 0)
	{
		Parser		parser = {.builder = &builder};

		llm_scan_begin(&parser.scan, &builder, text, length);
		parser.scan.by_line = true;
		grammar = llm_builder_compile(&builder, parse_rules(&parser));
	}
	llm_builder_end(&builder);
	return grammar;
}

/* Returns the root. */
static int
parse_rules(Parser *parser)
{
	int			root = find_rule(parser, "root");

	skip_space(parser, true);
	while (llm_peek(&parser->scan) >= 0)
	{
		parse_rule(parser);
		skip_space(parser, true);
	}
	if (parser->builder->rules[root].expr == NULL)
		llm_builder_fail(parser->builder, LLM_ERROR_ARGUMENT, "the grammar has no rule \"root\"");
	for (int i = 0; i < parser->builder->n_rules; i++)
		parser->builder->rules[i].name = llm_builder_print(parser->builder, "rule \"%s\"", parser->builder->rules[i].name);
	return root;
}

static void
parse_rule(Parser *parser)
{
	LlmScanner	before = parser->scan;
	int			rule = find_rule(parser, parse_name(parser));

	skip_space(parser, false);
	if (!llm_accept(&parser->scan, "::="))
		llm_scan_fail(&parser->scan, "expected \"::=\"");
	if (parser->builder->rules[rule].expr != NULL)
		llm_scan_fail(&before, llm_builder_print(parser->builder, "rule \"%s\" is defined twice",
												 parser->builder->rules[rule].name));
	skip_space(parser, true);
	parser->builder->rules[rule].expr = parse_choice(parser);
	if (llm_peek(&parser->scan) >= 0 && !llm_accept(&parser->scan, "\r\n") && !llm_accept(&parser->scan, "\n"))
		llm_scan_fail(&parser->scan, "expected the end of the line");
}

static const LlmExpr *
parse_choice(Parser *parser)
{
	LlmExprList list = {0};

	llm_list_add(parser->builder, &list, parse_sequence(parser));
	while (llm_accept(&parser->scan, "|"))
	{
		skip_space(parser, true);
		llm_list_add(parser->builder, &list, parse_sequence(parser));
	}
	return llm_choice(parser->builder, list.n_items, list.items);
}

/* May be empty. */
static const LlmExpr *
parse_sequence(Parser *parser)
{
	LlmExprList list = {0};
	const LlmExpr *item;

	while ((item = parse_item(parser)) != NULL)
		llm_list_add(parser->builder, &list, parse_repetitions(parser, item));
	return llm_sequence(parser->builder, list.n_items, list.items);
}

/* NULL where the sequence ends. */
static const LlmExpr *
parse_item(Parser *parser)
{
	int32_t		character = llm_peek(&parser->scan);

	if (character == '"')
		return parse_literal(parser);
	if (character == '[')
		return parse_class(parser);
	if (character == '(')
		return parse_group(parser);
	if (is_name_char(character))
		return parse_reference(parser);
	if (llm_accept(&parser->scan, "."))
		return llm_char_range(parser->builder, 1, LLM_LAST_CHAR);
	if (llm_looking_at(&parser->scan, "<") || llm_looking_at(&parser->scan, "!<"))
		llm_scan_fail(&parser->scan, "tokens are not supported, only texts");
	if (character == '*' || character == '+' || character == '?' || character == '{')
		llm_scan_fail(&parser->scan, "a repetition of nothing");
	return NULL;
}

static const LlmExpr *
parse_literal(Parser *parser)
{
	LlmScanner	before = parser->scan;
	size_t		end = parser->scan.at + 1;
	char	   *bytes;
	size_t		length = 0;

	while (end < parser->scan.length && parser->scan.text[end] != '"')
		end += parser->scan.text[end] == '\\' ? 2 : 1;
	bytes = llm_builder_claim(parser->builder, end - parser->scan.at + 4);
	llm_accept(&parser->scan, "\"");
	while (!llm_accept(&parser->scan, "\""))
	{
		LlmScanner	at = parser->scan;
		uint32_t	character;

		if (llm_peek(&parser->scan) < 0)
			llm_scan_fail(&before, "the string does not end");
		character = parse_char(parser);
		if (character == 0)
			llm_scan_fail(&at, "no text can have this character");
		length += (size_t) llm_write_char(character, bytes + length);
	}
	return llm_literal(parser->builder, bytes, length);
}

static const LlmExpr *
parse_class(Parser *parser)
{
	LlmScanner	before = parser->scan;
	bool		negated;
	LlmRangeList list = {0};
	LlmCharSet	set;

	llm_accept(&parser->scan, "[");
	negated = llm_accept(&parser->scan, "^");
	while (!llm_accept(&parser->scan, "]"))
	{
		LlmScanner	at = parser->scan;
		uint32_t	first;
		uint32_t	last;

		if (llm_peek(&parser->scan) < 0)
			llm_scan_fail(&before, "the character class does not end");
		first = last = parse_char(parser);
		if (!llm_looking_at(&parser->scan, "-]") && llm_accept(&parser->scan, "-"))
		{
			if (llm_peek(&parser->scan) < 0)
				llm_scan_fail(&before, "the character class does not end");
			last = parse_char(parser);
		}
		if (last < first)
			llm_scan_fail(&at, "the range ends before it begins");
		llm_add_range(parser->builder, &list, first, last);
	}
	set = llm_charset(parser->builder, list.ranges, list.n_ranges);
	if (negated)
		set = llm_charset_invert(parser->builder, set);
	if (set.n_ranges == 0)
		llm_scan_fail(&before, "no character is in the class");
	return llm_chars(parser->builder, set);
}

static const LlmExpr *
parse_group(Parser *parser)
{
	LlmScanner	before = parser->scan;
	const LlmExpr *expr;

	if (++parser->depth > LLM_GRAMMAR_MAX_DEPTH)
		llm_scan_fail(&before, "parentheses are nested too deeply");
	llm_accept(&parser->scan, "(");
	skip_space(parser, true);
	expr = parse_choice(parser);
	if (!llm_accept(&parser->scan, ")"))
		llm_scan_fail(&before, "the parenthesis is not closed");
	parser->depth--;
	return expr;
}

static const LlmExpr *
parse_reference(Parser *parser)
{
	LlmScanner	before = parser->scan;
	int			rule = find_rule(parser, parse_name(parser));

	if (parser->builder->rules[rule].used_at == NULL)
		parser->builder->rules[rule].used_at = llm_scan_place(&before);
	return llm_rule_expr(parser->builder, rule);
}

/* Operators after an item, and the space before the next. */
static const LlmExpr *
parse_repetitions(Parser *parser, const LlmExpr *item)
{
	for (int n_operators = 0;; n_operators++)
	{
		LlmScanner	before = parser->scan;
		int			least;
		int			most;

		skip_space(parser, parser->depth > 0);
		if (!llm_parse_repetition(&parser->scan, &least, &most))
			return item;
		if (n_operators == LLM_MAX_OPERATORS)
			llm_scan_fail(&before, "too many repetitions of one item");
		item = llm_repeat(parser->builder, item, least, most);
	}
}

static uint32_t
parse_char(Parser *parser)
{
	if (llm_looking_at(&parser->scan, "\\"))
		return llm_parse_escape(&parser->scan, "nrt\"[]\\-^", "\n\r\t\"[]\\-^");
	return (uint32_t) llm_take(&parser->scan);
}

static const char *
parse_name(Parser *parser)
{
	const char *name = parser->scan.text + parser->scan.at;
	size_t		length = 0;
	char	   *copy;

	while (is_name_char(llm_peek(&parser->scan)))
	{
		llm_take(&parser->scan);
		length++;
	}
	if (length == 0)
		llm_scan_fail(&parser->scan, "expected the name of a rule");
	copy = llm_builder_claim(parser->builder, length + 1);
	memcpy(copy, name, length);
	return copy;
}

static int
find_rule(Parser *parser, const char *name)
{
	for (int i = 0; i < parser->builder->n_rules; i++)
	{
		if (strcmp(parser->builder->rules[i].name, name) == 0)
			return i;
	}
	return llm_builder_add_rule(parser->builder, name);
}

static void
skip_space(Parser *parser, bool newlines)
{
	for (;;)
	{
		int32_t		character = llm_peek(&parser->scan);

		if (character == '#')
		{
			while (llm_peek(&parser->scan) >= 0 && llm_peek(&parser->scan) != '\n' && llm_peek(&parser->scan) != '\r')
				llm_take(&parser->scan);
		}
		else if (character == ' ' || character == '\t' || (newlines && (character == '\n' || character == '\r')))
			llm_take(&parser->scan);
		else
			return;
	}
}

static bool
is_name_char(int character)
{
	return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
		(character >= '0' && character <= '9') || character == '-' || character == '_';
}
