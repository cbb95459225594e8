/*
 * spell_markers.c
 *		What looks like a marker of the chat template in a message stays text.
 */
#include "text/spell_markers.h"

#include "text/utf8.h"

#include <string.h>

#define LONGEST_MARKER (sizeof(LLM_SYSTEM_END_MARKER) - 1)

static bool is_in_marker(const char *text, size_t begin, size_t end, const LlmSpan *spans, int n_spans);
static size_t marker_length(const char *text, size_t length);
static size_t spell(const LlmVocabulary *vocabulary, const char *text, size_t begin, size_t end, int32_t *ids,
					size_t *offsets);

size_t
llm_spell_markers(const LlmVocabulary *vocabulary, const char *text, size_t length, const LlmSpan *spans, int n_spans,
				  int32_t *ids, size_t *offsets, size_t n_ids)
{
	size_t		n_spelled = 0;
	size_t		end = length;
	size_t		at;

	if (!is_in_marker(text, 0, length, spans, n_spans))
		return n_ids;
	/* counted first, then moved from the last on, so that none is lost */
	for (size_t i = n_ids; i-- > 0; end = offsets[i])
	{
		size_t		n = is_in_marker(text, offsets[i], end, spans, n_spans) ?
			spell(vocabulary, text, offsets[i], end, NULL, NULL) : 0;

		n_spelled += n > 0 ? n : 1;
	}
	end = length;
	at = n_spelled;
	for (size_t i = n_ids; i-- > 0 && at != i + 1;)
	{
		size_t		begin = offsets[i];
		int32_t		id = ids[i];
		size_t		n = is_in_marker(text, begin, end, spans, n_spans) ?
			spell(vocabulary, text, begin, end, NULL, NULL) : 0;

		at -= n > 0 ? n : 1;
		if (n > 0)
			(void) spell(vocabulary, text, begin, end, ids + at, offsets + at);
		else
		{
			ids[at] = id;
			offsets[at] = begin;
		}
		end = begin;
	}
	return n_spelled;
}

/* Does text[begin .. end) share a character with a marker in one of the spans? */
static bool
is_in_marker(const char *text, size_t begin, size_t end, const LlmSpan *spans, int n_spans)
{
	for (int s = 0; s < n_spans; s++)
	{
		size_t		first = begin < spans[s].begin + LONGEST_MARKER ? spans[s].begin : begin - LONGEST_MARKER + 1;
		size_t		last = end < spans[s].end ? end : spans[s].end;

		for (size_t i = first; i < last; i++)
		{
			size_t		n = marker_length(text + i, spans[s].end - i);

			if (n > 0 && i + n > begin)
				return true;
		}
	}
	return false;
}

/* Of the marker that text[length] begins with; 0 where it does not. */
static size_t
marker_length(const char *text, size_t length)
{
	static const char *const markers[] = {
		LLM_USER_MARKER, LLM_USER_END_MARKER, LLM_SYSTEM_MARKER, LLM_SYSTEM_END_MARKER
	};

	if (length == 0 || (text[0] != '[' && text[0] != '<'))
		return 0;
	for (int m = 0; m < 4; m++)
	{
		size_t		n = strlen(markers[m]);

		if (n <= length && memcmp(text, markers[m], n) == 0)
			return n;
	}
	return 0;
}

/* The tokens of the characters of text[begin .. end), if ids is not NULL; returns their number, 0 where one has none. */
static size_t
spell(const LlmVocabulary *vocabulary, const char *text, size_t begin, size_t end, int32_t *ids, size_t *offsets)
{
	size_t		n = 0;

	for (size_t i = begin, step; i < end; i += step)
	{
		bool		is_space = text[i] == ' ';
		int32_t		id;

		step = llm_utf8_character(text + i, end - i);
		step = step > 0 ? step : 1;
		id = is_space ? llm_vocabulary_find_text(vocabulary, LLM_SPACE_MARK, LLM_SPACE_MARK_BYTES) :
			llm_vocabulary_find_text(vocabulary, text + i, step);
		if (id >= 0)
		{
			if (ids)
			{
				ids[n] = id;
				offsets[n] = i;
			}
			n++;
			continue;
		}
		for (size_t k = 0; k < step; k++, n++)
		{
			id = is_space ? -1 : llm_vocabulary_byte_token(vocabulary, (uint8_t) text[i + k]);
			if (id < 0)
				return 0;
			if (ids)
			{
				ids[n] = id;
				offsets[n] = i + k;
			}
		}
	}
	return n;
}
