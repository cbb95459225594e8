/*
 * compile_chars.c
 *		A set of characters as operations on the bytes of UTF-8, plain or inside of a JSON string.
 */
#include "grammar/compile.h"

#include <string.h>

/* A character that JSON writes as "\" and a letter; others from 1 to 31 are not written. */
static const struct
{
	uint32_t	character;
	uint8_t		letter;
}			json_escapes[] = {
	{'"', '"'}, {'\\', '\\'}, {'\b', 'b'}, {'\f', 'f'}, {'\n', 'n'}, {'\r', 'r'}, {'\t', 't'}
};

#define N_ESCAPES ((int) (sizeof(json_escapes) / sizeof(json_escapes[0])))

/* Operations that continue a character and have been made for this `next` already. */
typedef struct Suffixes
{
	uint32_t	next;
	uint32_t	any_1;			/* one byte of any that continue; LLM_NO_OP: not yet */
	uint32_t	any_2;
	uint32_t	any_3;
} Suffixes;

static uint32_t compile_plain(LlmCompiler *compiler, LlmCharSet chars, uint32_t next);
static uint32_t compile_ascii(LlmCompiler *compiler, LlmCharSet chars, uint32_t next);
static uint32_t compile_escapes(LlmCompiler *compiler, LlmCharSet chars, uint32_t next);
static uint32_t add_range(LlmCompiler *compiler, Suffixes *suffixes, uint32_t first, uint32_t last, uint32_t entry);
static uint32_t add_tail(LlmCompiler *compiler, Suffixes *suffixes, uint32_t first, uint32_t last, int n_bytes);
static uint32_t any_tail(LlmCompiler *compiler, Suffixes *suffixes, int n_bytes);
static uint32_t either(LlmCompiler *compiler, uint32_t a, uint32_t b);

uint32_t
llm_compile_chars(LlmCompiler *compiler, LlmCharSet chars, bool in_json, uint32_t next)
{
	static const LlmCharRange ranges[] = {{1, 31}, {'"', '"'}, {'\\', '\\'}};
	LlmCharSet	special;
	uint32_t	escapes;

	if (!in_json)
		return compile_plain(compiler, chars, next);
	special = llm_charset(compiler->builder, ranges, 3);
	escapes = compile_escapes(compiler, chars, next);
	return either(compiler, compile_plain(compiler, llm_charset_minus(compiler->builder, chars, special), next), escapes);
}

static uint32_t
compile_plain(LlmCompiler *compiler, LlmCharSet chars, uint32_t next)
{
	static const uint32_t lengths[] = {0x80, 0x800, 0x10000, 0x110000};
	Suffixes	suffixes = {next, LLM_NO_OP, LLM_NO_OP, LLM_NO_OP};
	uint32_t	entry = compile_ascii(compiler, chars, next);

	for (int i = 0; i < chars.n_ranges; i++)
	{
		for (int k = 1; k < 4; k++)
		{
			uint32_t	first = chars.ranges[i].first;
			uint32_t	last = chars.ranges[i].last;

			first = first < lengths[k - 1] ? lengths[k - 1] : first;
			last = last >= lengths[k] ? lengths[k] - 1 : last;
			if (first <= last)
				entry = add_range(compiler, &suffixes, first, last, entry);
		}
	}
	return entry;
}

static uint32_t
compile_ascii(LlmCompiler *compiler, LlmCharSet chars, uint32_t next)
{
	uint32_t	entry = LLM_NO_OP;

	for (int i = 0; i < chars.n_ranges; i++)
	{
		uint32_t	last = chars.ranges[i].last < 0x80 ? chars.ranges[i].last : 0x7F;

		if (chars.ranges[i].first < 0x80)
			entry = either(compiler, entry, llm_compile_byte_range(compiler, (uint8_t) chars.ranges[i].first, (uint8_t) last, next));
	}
	return entry;
}

static uint32_t
compile_escapes(LlmCompiler *compiler, LlmCharSet chars, uint32_t next)
{
	uint32_t	letters = LLM_NO_OP;

	for (int i = 0; i < N_ESCAPES; i++)
	{
		if (llm_charset_contains(chars, json_escapes[i].character))
			letters = either(compiler, letters, llm_compile_byte_range(compiler, json_escapes[i].letter, json_escapes[i].letter, next));
	}
	return letters == LLM_NO_OP ? LLM_NO_OP : llm_compile_byte_range(compiler, '\\', '\\', letters);
}

/* first and last have the same number of bytes, at least two. */
static uint32_t
add_range(LlmCompiler *compiler, Suffixes *suffixes, uint32_t first, uint32_t last, uint32_t entry)
{
	int			n_tail = first < 0x800 ? 1 : first < 0x10000 ? 2 : 3;
	uint32_t	tail_mask = (UINT32_C(1) << (6 * n_tail)) - 1;
	uint32_t	lead = n_tail == 1 ? 0xC0 : n_tail == 2 ? 0xE0 : 0xF0;

	while (first <= last)
	{
		/* as many leads as have the same tails */
		uint32_t	end = first | tail_mask;
		uint32_t	tail;

		if ((first & tail_mask) == 0 && (last & tail_mask) == tail_mask)
			end = last;
		else if ((first & tail_mask) == 0 && last - (last & tail_mask) > first)
			end = last - (last & tail_mask) - 1;
		end = end > last ? last : end;
		tail = end - first >= tail_mask ? any_tail(compiler, suffixes, n_tail) :
			add_tail(compiler, suffixes, first & tail_mask, end & tail_mask, n_tail);
		entry = either(compiler, entry,
					   llm_compile_byte_range(compiler, (uint8_t) (lead | first >> (6 * n_tail)),
											  (uint8_t) (lead | end >> (6 * n_tail)), tail));
		first = end + 1;
	}
	return entry;
}

/* The last n_bytes of a character, from first to last. */
static uint32_t
add_tail(LlmCompiler *compiler, Suffixes *suffixes, uint32_t first, uint32_t last, int n_bytes)
{
	int			shift = 6 * (n_bytes - 1);
	uint32_t	mask = (UINT32_C(1) << shift) - 1;
	uint32_t	entry = LLM_NO_OP;

	if (n_bytes == 0)
		return suffixes->next;
	while (first <= last)
	{
		uint32_t	end = first | mask;
		uint32_t	rest;

		if ((first & mask) == 0 && (last & mask) == mask)
			end = last;
		else if ((first & mask) == 0 && last - (last & mask) > first)
			end = last - (last & mask) - 1;
		end = end > last ? last : end;
		rest = end - first >= mask ? any_tail(compiler, suffixes, n_bytes - 1) :
			add_tail(compiler, suffixes, first & mask, end & mask, n_bytes - 1);
		entry = either(compiler, entry,
					   llm_compile_byte_range(compiler, (uint8_t) (0x80 | first >> shift), (uint8_t) (0x80 | end >> shift), rest));
		first = end + 1;
	}
	return entry;
}

static uint32_t
any_tail(LlmCompiler *compiler, Suffixes *suffixes, int n_bytes)
{
	uint32_t   *made = n_bytes == 1 ? &suffixes->any_1 : n_bytes == 2 ? &suffixes->any_2 : &suffixes->any_3;

	if (n_bytes == 0)
		return suffixes->next;
	if (*made == LLM_NO_OP)
	{
		uint32_t	rest = any_tail(compiler, suffixes, n_bytes - 1);

		*made = llm_compile_byte_range(compiler, 0x80, 0xBF, rest);
	}
	return *made;
}

static uint32_t
either(LlmCompiler *compiler, uint32_t a, uint32_t b)
{
	if (a == LLM_NO_OP || b == LLM_NO_OP)
		return a == LLM_NO_OP ? b : a;
	return llm_compile_op(compiler, LLM_OP_SPLIT, a, b);
}
