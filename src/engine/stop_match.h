/*
 * stop_match.h
 *		Stop strings in a stream of bytes.
 *
 * The stream is a generated text, token by token; a stop string may lie across
 * any number of tokens.  After each token the matcher knows how much of the
 * text is certain: whatever comes, no stop string can begin before that byte.
 * What is found depends on the bytes alone, never on where the tokens' borders
 * are: the stop string that is complete first wins, of those complete at the
 * same byte the longest.
 */
#ifndef LLM_STOP_MATCH_H
#define LLM_STOP_MATCH_H

#include "text/base.h"

/* The longest stop string in bytes. */
#define LLM_MAX_STOP_BYTES 4096

typedef struct LlmStopMatcher LlmStopMatcher;

/*
 * A matcher for n_stops strings of lengths[i] bytes, each 1 ..
 * LLM_MAX_STOP_BYTES; they are copied.  NULL for want of memory.
 */
extern LlmStopMatcher *llm_stop_matcher_create(int32_t n_stops, const char *const *stops,
											   const uint32_t *lengths);
extern void llm_stop_matcher_free(LlmStopMatcher *matcher);

/*
 * Append bytes[length] to the stream and set *certain to the number of its bytes
 * that are certain.  True when a stop string is complete: then *certain is where
 * it begins, and the matcher takes no more bytes.
 *
 * Amortized over the stream, two comparisons for each byte and stop string.
 */
extern bool llm_stop_matcher_push(LlmStopMatcher *matcher, const char *bytes, size_t length,
								  uint64_t *certain);

#endif							/* LLM_STOP_MATCH_H */
