/*
 * escape.c
 *		A place in a text, escapes, repetitions.
 */
#include "grammar/escape.h"

#include <string.h>

static uint32_t parse_hex(LlmScanner *scan, int n_digits);
static int	parse_count(LlmScanner *scan);
static int	hex_digit(int32_t character);

void
llm_scan_begin(LlmScanner *scan, LlmBuilder *builder, const char *text, size_t length)
{
	size_t		at = 0;

	*scan = (LlmScanner)
	{
		.builder = builder, .text = text, .length = length
	};
	if (length > LLM_GRAMMAR_MAX_TEXT)
		llm_builder_fail(builder, LLM_ERROR_LIMIT, "the text of %zu bytes is longer than %d bytes", length,
						 LLM_GRAMMAR_MAX_TEXT);
	while (at < length)
	{
		int32_t		character = llm_next_char(text, length, &at);

		if (character <= 0)
			llm_builder_fail(builder, LLM_ERROR_ARGUMENT, "byte %zu of the text is not part of a UTF-8 character", at + 1);
	}
}

int32_t
llm_peek(const LlmScanner *scan)
{
	size_t		at = scan->at;

	return at < scan->length ? llm_next_char(scan->text, scan->length, &at) : -1;
}

int32_t
llm_take(LlmScanner *scan)
{
	return llm_next_char(scan->text, scan->length, &scan->at);
}

bool
llm_looking_at(const LlmScanner *scan, const char *expected)
{
	size_t		n = strlen(expected);

	return scan->length - scan->at >= n && memcmp(scan->text + scan->at, expected, n) == 0;
}

bool
llm_accept(LlmScanner *scan, const char *expected)
{
	if (!llm_looking_at(scan, expected))
		return false;
	scan->at += strlen(expected);
	return true;
}

const char *
llm_scan_place(const LlmScanner *scan)
{
	int			line = 1;
	int			column = 1;
	int			position = 1;
	size_t		at = 0;

	while (at < scan->at)
	{
		position++;
		column++;
		if (llm_next_char(scan->text, scan->length, &at) == '\n')
		{
			line++;
			column = 1;
		}
	}
	return scan->by_line ? llm_builder_print(scan->builder, "line %d, column %d", line, column) :
		llm_builder_print(scan->builder, "position %d", position);
}

void
llm_scan_fail(const LlmScanner *scan, const char *message)
{
	llm_builder_fail(scan->builder, LLM_ERROR_ARGUMENT, "%s: %s", llm_scan_place(scan), message);
}

uint32_t
llm_parse_escape(LlmScanner *scan, const char *letters, const char *meanings)
{
	LlmScanner	before = *scan;
	int32_t		letter;
	const char *found;

	llm_accept(scan, "\\");
	letter = llm_peek(scan);
	found = letter > 0 && letter < 0x80 ? strchr(letters, letter) : NULL;
	if (found != NULL)
	{
		llm_take(scan);
		return (uint8_t) meanings[found - letters];
	}
	if (letter >= 0)
		llm_take(scan);
	if (letter == 'x')
		return parse_hex(scan, 2);
	if (letter == 'u')
		return parse_hex(scan, 4);
	if (letter == 'U')
		return parse_hex(scan, 8);
	llm_scan_fail(&before, "unknown escape");
}

bool
llm_parse_repetition(LlmScanner *scan, int *least, int *most)
{
	LlmScanner	before = *scan;

	*least = 0;
	*most = LLM_REPEAT_FOREVER;
	if (llm_accept(scan, "*"))
		return true;
	if (llm_accept(scan, "+"))
	{
		*least = 1;
		return true;
	}
	if (llm_accept(scan, "?"))
	{
		*most = 1;
		return true;
	}
	if (!llm_accept(scan, "{"))
		return false;
	if (!llm_looking_at(scan, ","))
		*most = *least = parse_count(scan);
	if (llm_accept(scan, ","))
		*most = llm_looking_at(scan, "}") ? LLM_REPEAT_FOREVER : parse_count(scan);
	if (!llm_accept(scan, "}"))
		llm_scan_fail(scan, "expected \"}\" after a repetition");
	if (*most != LLM_REPEAT_FOREVER && *most < *least)
		llm_scan_fail(&before, "the repetition ends before it begins");
	return true;
}

void
llm_add_range(LlmBuilder *builder, LlmRangeList *list, uint32_t first, uint32_t last)
{
	if (list->n_ranges == list->capacity)
	{
		int			capacity = list->capacity == 0 ? 8 : 2 * list->capacity;
		LlmCharRange *ranges = llm_builder_claim(builder, (size_t) capacity * sizeof(LlmCharRange));

		if (list->n_ranges > 0)
			memcpy(ranges, list->ranges, (size_t) list->n_ranges * sizeof(LlmCharRange));
		list->ranges = ranges;
		list->capacity = capacity;
	}
	list->ranges[list->n_ranges++] = (LlmCharRange) {first, last};
}

static uint32_t
parse_hex(LlmScanner *scan, int n_digits)
{
	LlmScanner	before = *scan;
	uint32_t	value = 0;

	for (int i = 0; i < n_digits; i++)
	{
		int			digit = hex_digit(llm_peek(scan));

		if (digit < 0)
			llm_scan_fail(&before, llm_builder_print(scan->builder, "expected %d hexadecimal digits", n_digits));
		llm_take(scan);
		value = value << 4 | (uint32_t) digit;
	}
	if (value > LLM_LAST_CHAR || (value >= 0xD800 && value <= 0xDFFF))
		llm_scan_fail(&before, "there is no such character");
	return value;
}

static int
parse_count(LlmScanner *scan)
{
	LlmScanner	before = *scan;
	int			value = 0;
	int			n_digits = 0;

	while (llm_peek(scan) >= '0' && llm_peek(scan) <= '9')
	{
		value = value * 10 + (llm_take(scan) - '0');
		n_digits++;
		if (value > LLM_GRAMMAR_MAX_REPEAT)
			llm_scan_fail(&before, llm_builder_print(scan->builder, "more than %d repetitions", LLM_GRAMMAR_MAX_REPEAT));
	}
	if (n_digits == 0)
		llm_scan_fail(scan, "expected a number of repetitions");
	return value;
}

static int
hex_digit(int32_t character)
{
	if (character >= '0' && character <= '9')
		return character - '0';
	if (character >= 'a' && character <= 'f')
		return character - 'a' + 10;
	if (character >= 'A' && character <= 'F')
		return character - 'A' + 10;
	return -1;
}
