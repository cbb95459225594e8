/*
 * utf8.h
 *		What a UTF-8 character is: table 3-7 of the Unicode Standard.
 */
#ifndef LLM_UTF8_H
#define LLM_UTF8_H

#include "text/base.h"

/* U+2581, LOWER ONE EIGHTH BLOCK, which stands for a space in pieces. */
#define LLM_SPACE_MARK "\xE2\x96\x81"
#define LLM_SPACE_MARK_BYTES 3

/* U+FFFD, REPLACEMENT CHARACTER. */
#define LLM_REPLACEMENT "\xEF\xBF\xBD"
#define LLM_REPLACEMENT_BYTES 3

/* Bytes of the character that a lead byte announces, 0 for a byte that cannot lead. */
static inline uint32_t
llm_utf8_announced(uint8_t lead)
{
	if (lead < 0x80)
		return 1;
	if (lead < 0xC2)
		return 0;
	if (lead < 0xE0)
		return 2;
	if (lead < 0xF0)
		return 3;
	return lead < 0xF5 ? 4 : 0;
}

/* Whether byte may stand at index (1, 2 or 3) of a character that begins with lead. */
static inline bool
llm_utf8_continues(uint8_t lead, uint32_t index, uint8_t byte)
{
	uint8_t		lowest = 0x80;
	uint8_t		highest = 0xBF;

	if (index == 1)
	{
		if (lead == 0xE0)
			lowest = 0xA0;		/* shorter forms exist */
		else if (lead == 0xED)
			highest = 0x9F;		/* surrogates */
		else if (lead == 0xF0)
			lowest = 0x90;		/* shorter forms exist */
		else if (lead == 0xF4)
			highest = 0x8F;		/* beyond U+10FFFF */
	}
	return byte >= lowest && byte <= highest;
}

/* Bytes of the valid character at the start of bytes[length >= 1], or 0. */
static inline uint32_t
llm_utf8_character(const char *bytes, size_t length)
{
	uint8_t		lead = (uint8_t) bytes[0];
	uint32_t	n = llm_utf8_announced(lead);
	uint32_t	i;

	if (n > length)
		return 0;
	for (i = 1; i < n; i++)
	{
		if (!llm_utf8_continues(lead, i, (uint8_t) bytes[i]))
			return 0;
	}
	return n;
}

/* Whether bytes[length] begins with U+2581. */
static inline bool
llm_utf8_is_space_mark(const char *bytes, size_t length)
{
	return length >= LLM_SPACE_MARK_BYTES && bytes[0] == LLM_SPACE_MARK[0] &&
		bytes[1] == LLM_SPACE_MARK[1] && bytes[2] == LLM_SPACE_MARK[2];
}

#endif							/* LLM_UTF8_H */
