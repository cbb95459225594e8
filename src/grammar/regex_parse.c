/*
 * regex_parse.c
 *		Regular expressions as expressions.
 *
 * What PostgreSQL's, JavaScript's and Perl's have in common: alternatives, groups, classes with ranges,
 * \d \w \s \D \W \S, [:alpha:] and its like, escapes of characters, and greedy or lazy repetitions, between which
 * a grammar makes no difference.  "." is any character but a line feed.  "^" and "$" may stand at the
 * ends of an alternative of the whole.  Look-around, back references and word borders are no part of it.
 */
#include "grammar/regex_parse.h"

#include <string.h>

#include "grammar/escape.h"

typedef struct Parser
{
	LlmBuilder *builder;
	LlmScanner	scan;
	int			depth;
	bool		anchored;
} Parser;

typedef struct NamedClass
{
	const char *name;
	int			n_ranges;
	LlmCharRange ranges[5];
} NamedClass;

static const NamedClass named_classes[] = {
	{"alnum", 3, {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}}},
	{"alpha", 2, {{'A', 'Z'}, {'a', 'z'}}},
	{"blank", 2, {{'\t', '\t'}, {' ', ' '}}},
	{"digit", 1, {{'0', '9'}}},
	{"graph", 1, {{0x21, 0x7E}}},
	{"lower", 1, {{'a', 'z'}}},
	{"print", 1, {{0x20, 0x7E}}},
	{"punct", 4, {{0x21, 0x2F}, {0x3A, 0x40}, {0x5B, 0x60}, {0x7B, 0x7E}}},
	{"space", 2, {{'\t', '\r'}, {' ', ' '}}},
	{"upper", 1, {{'A', 'Z'}}},
	{"word", 4, {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}},
	{"xdigit", 3, {{'0', '9'}, {'A', 'F'}, {'a', 'f'}}},
};

static const LlmExpr *parse_whole(Parser *parser);
static const LlmExpr *parse_branch(Parser *parser);
static const LlmExpr *parse_choice(Parser *parser);
static const LlmExpr *parse_sequence(Parser *parser);
static const LlmExpr *parse_item(Parser *parser);
static const LlmExpr *parse_group(Parser *parser);
static const char *group_trouble(const LlmScanner *scan);
static const LlmExpr *parse_repetitions(Parser *parser, const LlmExpr *item);
static LlmCharSet parse_class(Parser *parser);
static bool parse_class_item(Parser *parser, LlmRangeList *list, uint32_t *single);
static bool parse_named_class(Parser *parser, LlmRangeList *list);
static LlmCharSet shorthand(Parser *parser, int32_t letter);
static bool is_shorthand(const LlmScanner *scan);
static uint32_t parse_escape(Parser *parser, bool in_class);
static const NamedClass *find_class(const char *name, size_t length);

LlmGrammar *
llm_grammar_from_regex(const char *text, size_t length, LlmError *error)
{
	LlmBuilder	builder;
	LlmGrammar *volatile grammar = NULL;

	llm_builder_begin(&builder, error);
	if (setjmp(builder.failed) == 0)
	{
		int			root = llm_builder_add_rule(&builder, "the regular expression");
		const LlmExpr *expr = llm_regex_parse(&builder, text, length, true);

		builder.rules[root].expr = expr;
		grammar = llm_builder_compile(&builder, root);
	}
	llm_builder_end(&builder);
	return grammar;
}

const LlmExpr *
llm_regex_parse(LlmBuilder *builder, const char *text, size_t length, bool anchored)
{
	Parser		parser = {.builder = builder, .anchored = anchored};

	llm_scan_begin(&parser.scan, builder, text, length);
	return parse_whole(&parser);
}

/* Alternatives, each with anchors of its own. */
static const LlmExpr *
parse_whole(Parser *parser)
{
	LlmExprList list = {0};

	llm_list_add(parser->builder, &list, parse_branch(parser));
	while (llm_accept(&parser->scan, "|"))
		llm_list_add(parser->builder, &list, parse_branch(parser));
	if (llm_peek(&parser->scan) == ')')
		llm_scan_fail(&parser->scan, "the parenthesis was not opened");
	return llm_choice(parser->builder, list.n_items, list.items);
}

static const LlmExpr *
parse_branch(Parser *parser)
{
	LlmBuilder *builder = parser->builder;
	const LlmExpr *anything = parser->anchored ? NULL :
		llm_repeat(builder, llm_char_range(builder, 1, LLM_LAST_CHAR), 0, LLM_REPEAT_FOREVER);
	const LlmExpr *items[3] = {anything, NULL, anything};

	if (llm_accept(&parser->scan, "^"))
		items[0] = NULL;
	items[1] = parse_sequence(parser);
	if (llm_accept(&parser->scan, "$"))
	{
		items[2] = NULL;
		if (llm_peek(&parser->scan) >= 0 && llm_peek(&parser->scan) != '|')
			llm_scan_fail(&parser->scan, "something follows \"$\"");
	}
	return llm_sequence(builder, 3, items);
}

static const LlmExpr *
parse_choice(Parser *parser)
{
	LlmExprList list = {0};

	llm_list_add(parser->builder, &list, parse_sequence(parser));
	while (llm_accept(&parser->scan, "|"))
		llm_list_add(parser->builder, &list, parse_sequence(parser));
	return llm_choice(parser->builder, list.n_items, list.items);
}

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
	static const LlmCharRange line_feed = {'\n', '\n'};
	LlmBuilder *builder = parser->builder;
	int32_t		character = llm_peek(&parser->scan);

	switch (character)
	{
		case -1:
		case '|':
		case ')':
			return NULL;
		case '(':
			return parse_group(parser);
		case '[':
			return llm_chars(builder, parse_class(parser));
		case '.':
			llm_take(&parser->scan);
			return llm_chars(builder, llm_charset_invert(builder, llm_charset(builder, &line_feed, 1)));
		case '\\':
			if (is_shorthand(&parser->scan))
			{
				llm_take(&parser->scan);
				return llm_chars(builder, shorthand(parser, llm_take(&parser->scan)));
			}
			character = (int32_t) parse_escape(parser, false);
			return llm_char_range(builder, (uint32_t) character, (uint32_t) character);
		case '*':
		case '+':
		case '?':
		case '{':
			llm_scan_fail(&parser->scan, "a repetition of nothing");
		case '$':
			if (parser->depth == 0)
				return NULL;
			llm_scan_fail(&parser->scan, "\"$\" is possible at the end of an alternative of the whole only");
		case '^':
			llm_scan_fail(&parser->scan, "\"^\" is possible at the beginning of an alternative of the whole only");
		default:
			llm_take(&parser->scan);
			return llm_char_range(builder, (uint32_t) character, (uint32_t) character);
	}
}

static const LlmExpr *
parse_group(Parser *parser)
{
	LlmScanner	before = parser->scan;
	const LlmExpr *expr;

	if (++parser->depth > LLM_GRAMMAR_MAX_DEPTH)
		llm_scan_fail(&before, "parentheses are nested too deeply");
	llm_accept(&parser->scan, "(");
	if (!llm_accept(&parser->scan, "?:") && llm_looking_at(&parser->scan, "?"))
		llm_scan_fail(&before, group_trouble(&parser->scan));
	expr = parse_choice(parser);
	if (!llm_accept(&parser->scan, ")"))
		llm_scan_fail(&before, "the parenthesis is not closed");
	parser->depth--;
	return expr;
}

/* Why a group cannot begin so, at its "?". */
static const char *
group_trouble(const LlmScanner *scan)
{
	if (llm_looking_at(scan, "?=") || llm_looking_at(scan, "?!") || llm_looking_at(scan, "?<=") || llm_looking_at(scan, "?<!"))
		return "look-around is not supported";
	if (llm_looking_at(scan, "?<") || llm_looking_at(scan, "?P<"))
		return "groups cannot have names";
	return "only \"(\" and \"(?:\" can begin a group";
}

/* A "?" after a repetition makes it lazy: the same texts. */
static const LlmExpr *
parse_repetitions(Parser *parser, const LlmExpr *item)
{
	int			least;
	int			most;

	if (!llm_parse_repetition(&parser->scan, &least, &most))
		return item;
	llm_accept(&parser->scan, "?");
	if (llm_looking_at(&parser->scan, "*") || llm_looking_at(&parser->scan, "+") ||
		llm_looking_at(&parser->scan, "?") || llm_looking_at(&parser->scan, "{"))
		llm_scan_fail(&parser->scan, "a repetition of a repetition needs parentheses");
	return llm_repeat(parser->builder, item, least, most);
}

static LlmCharSet
parse_class(Parser *parser)
{
	LlmScanner	before = parser->scan;
	LlmRangeList list = {0};
	LlmCharSet	set;
	bool		negated;
	bool		first_item = true;

	llm_accept(&parser->scan, "[");
	negated = llm_accept(&parser->scan, "^");
	while (first_item || !llm_looking_at(&parser->scan, "]"))
	{
		LlmScanner	at = parser->scan;
		uint32_t	first;
		uint32_t	last;

		if (llm_peek(&parser->scan) < 0)
			llm_scan_fail(&before, "the character class does not end");
		first_item = false;
		if (!parse_class_item(parser, &list, &first))
			continue;
		last = first;
		if (!llm_looking_at(&parser->scan, "-]") && llm_accept(&parser->scan, "-"))
		{
			if (llm_peek(&parser->scan) < 0)
				llm_scan_fail(&before, "the character class does not end");
			if (!parse_class_item(parser, &list, &last))
				llm_scan_fail(&at, "a range cannot end in a class");
		}
		if (last < first)
			llm_scan_fail(&at, "the range ends before it begins");
		llm_add_range(parser->builder, &list, first, last);
	}
	llm_accept(&parser->scan, "]");
	set = llm_charset(parser->builder, list.ranges, list.n_ranges);
	if (negated)
		set = llm_charset_invert(parser->builder, set);
	if (set.n_ranges == 0)
		llm_scan_fail(&before, "no character is in the class");
	return set;
}

/* True with a single character, which may begin a range; what is a class already is added to the list. */
static bool
parse_class_item(Parser *parser, LlmRangeList *list, uint32_t *single)
{
	if (llm_looking_at(&parser->scan, "[:"))
		return parse_named_class(parser, list);
	if (is_shorthand(&parser->scan))
	{
		LlmCharSet	set;

		llm_take(&parser->scan);
		set = shorthand(parser, llm_take(&parser->scan));
		for (int i = 0; i < set.n_ranges; i++)
			llm_add_range(parser->builder, list, set.ranges[i].first, set.ranges[i].last);
		return false;
	}
	if (llm_looking_at(&parser->scan, "\\"))
		*single = parse_escape(parser, true);
	else
		*single = (uint32_t) llm_take(&parser->scan);
	return true;
}

static bool
parse_named_class(Parser *parser, LlmRangeList *list)
{
	LlmScanner	before = parser->scan;
	const char *name;
	const NamedClass *class;
	size_t		length = 0;

	llm_accept(&parser->scan, "[:");
	name = parser->scan.text + parser->scan.at;
	while (llm_peek(&parser->scan) >= 'a' && llm_peek(&parser->scan) <= 'z')
	{
		llm_take(&parser->scan);
		length++;
	}
	class = find_class(name, length);
	if (class == NULL || !llm_accept(&parser->scan, ":]"))
		llm_scan_fail(&before, "unknown character class");
	for (int i = 0; i < class->n_ranges; i++)
		llm_add_range(parser->builder, list, class->ranges[i].first, class->ranges[i].last);
	return false;
}

/* \d, \w and \s are ASCII's; \S is no space of Unicode's either. */
static LlmCharSet
shorthand(Parser *parser, int32_t letter)
{
	static const LlmCharRange spaces[] = {
		{'\t', '\r'}, {' ', ' '}, {0x85, 0x85}, {0xA0, 0xA0}, {0x1680, 0x1680}, {0x180E, 0x180E}, {0x2000, 0x200B},
		{0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}
	};
	const char *name = strchr("dD", letter) ? "digit" : strchr("wW", letter) ? "word" : "space";
	const NamedClass *class = find_class(name, strlen(name));
	LlmCharSet	set = letter == 'S' ?
		llm_charset(parser->builder, spaces, (int) (sizeof(spaces) / sizeof(spaces[0]))) :
		llm_charset(parser->builder, class->ranges, class->n_ranges);

	return letter >= 'a' ? set : llm_charset_invert(parser->builder, set);
}

static bool
is_shorthand(const LlmScanner *scan)
{
	return scan->length - scan->at >= 2 && scan->text[scan->at] == '\\' &&
		scan->text[scan->at + 1] != '\0' && strchr("dDwWsS", scan->text[scan->at + 1]) != NULL;
}

/* Any character that is no letter or digit stands for itself. */
static uint32_t
parse_escape(Parser *parser, bool in_class)
{
	LlmScanner *scan = &parser->scan;
	bool		has_next = scan->at + 1 < scan->length;
	char		next = has_next ? scan->text[scan->at + 1] : 'q';

	if (has_next && next >= '1' && next <= '9')
		llm_scan_fail(scan, "back references are not supported");
	if (has_next && (next == 'B' || (next == 'b' && !in_class)))
		llm_scan_fail(scan, "word borders are not supported");
	if (!((next >= 'a' && next <= 'z') || (next >= 'A' && next <= 'Z') || (next >= '0' && next <= '9')))
	{
		llm_take(scan);
		return (uint32_t) llm_take(scan);
	}
	return in_class ? llm_parse_escape(scan, "nrtfvb", "\n\r\t\f\v\b") : llm_parse_escape(scan, "nrtfv", "\n\r\t\f\v");
}

static const NamedClass *
find_class(const char *name, size_t length)
{
	for (size_t i = 0; i < sizeof(named_classes) / sizeof(named_classes[0]); i++)
	{
		if (strlen(named_classes[i].name) == length && memcmp(named_classes[i].name, name, length) == 0)
			return &named_classes[i];
	}
	return NULL;
}
