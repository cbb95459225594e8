/*
 * stop_match.c
 *		Stop strings in a stream of bytes, by Knuth, Morris and Pratt (1977).
 *
 * For each stop string the matcher keeps how many of its first bytes the text
 * now ends with.  The greatest of these numbers is what must be held back.
 */
#include "engine/stop_match.h"

#include <stdlib.h>
#include <string.h>

typedef struct StopString
{
	const char *bytes;			/* [length] */
	uint32_t	length;
	uint32_t	matched;		/* the text ends with so many of its first bytes */
	uint32_t   *border;			/* [length]: of the first i + 1 bytes, the longest proper beginning
								 * that is also their end */
} StopString;

struct LlmStopMatcher
{
	uint64_t	n_bytes;		/* of the stream */
	int32_t		n_stops;
	StopString	stops[];
};

static void compute_borders(StopString *stop);
static uint32_t extend_match(const StopString *stop, uint32_t matched, char byte);

LlmStopMatcher *
llm_stop_matcher_create(int32_t n_stops, const char *const *stops, const uint32_t *lengths)
{
	LlmStopMatcher *matcher;
	size_t		n_bytes = 0;
	uint32_t   *borders;
	char	   *copies;

	for (int32_t i = 0; i < n_stops; i++)
		n_bytes += lengths[i];

	matcher = calloc(1, sizeof(LlmStopMatcher) + n_stops * sizeof(StopString) +
					 n_bytes * (sizeof(uint32_t) + 1));
	if (matcher == NULL)
		return NULL;
	matcher->n_stops = n_stops;
	borders = (uint32_t *) &matcher->stops[n_stops];
	copies = (char *) (borders + n_bytes);
	for (int32_t i = 0; i < n_stops; i++)
	{
		StopString *stop = &matcher->stops[i];

		memcpy(copies, stops[i], lengths[i]);
		stop->bytes = copies;
		stop->length = lengths[i];
		stop->border = borders;
		compute_borders(stop);
		copies += lengths[i];
		borders += lengths[i];
	}
	return matcher;
}

void
llm_stop_matcher_free(LlmStopMatcher *matcher)
{
	free(matcher);
}

bool
llm_stop_matcher_push(LlmStopMatcher *matcher, const char *bytes, size_t length, uint64_t *certain)
{
	uint32_t	held = 0;
	uint32_t	found = 0;

	for (size_t k = 0; k < length && found == 0; k++)
	{
		matcher->n_bytes++;
		for (int32_t i = 0; i < matcher->n_stops; i++)
		{
			StopString *stop = &matcher->stops[i];

			stop->matched = extend_match(stop, stop->matched, bytes[k]);
			if (stop->matched == stop->length && stop->length > found)
				found = stop->length;
		}
	}
	if (found > 0)
	{
		*certain = matcher->n_bytes - found;
		return true;
	}

	for (int32_t i = 0; i < matcher->n_stops; i++)
	{
		if (matcher->stops[i].matched > held)
			held = matcher->stops[i].matched;
	}
	*certain = matcher->n_bytes - held;
	return false;
}

static void
compute_borders(StopString *stop)
{
	stop->border[0] = 0;
	for (uint32_t i = 1; i < stop->length; i++)
		stop->border[i] = extend_match(stop, stop->border[i - 1], stop->bytes[i]);
}

/* The new number of matched bytes after one byte more; matched is less than the length. */
static uint32_t
extend_match(const StopString *stop, uint32_t matched, char byte)
{
	while (matched > 0 && stop->bytes[matched] != byte)
		matched = stop->border[matched - 1];
	return stop->bytes[matched] == byte ? matched + 1 : 0;
}
