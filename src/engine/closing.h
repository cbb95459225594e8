/*
 * closing.h
 *		The shortest way from a state of a grammar to its end, in tokens.
 */
#ifndef LLM_CLOSING_H
#define LLM_CLOSING_H

#include "engine/parse_states.h"
#include "engine/vocabulary_trie.h"

/*
 * The fewest tokens of the shortest text (in bytes, of equally short ones the first by its bytes) that
 * completes the state, in *tokens, which the caller frees.  Returns how many; -1 where they
 * would be more than max_tokens; -2 where a step failed (parse_states.h).  first: they begin a text whose first token loses its space.
 */
extern int32_t llm_closing(LlmParseStates *states, LlmStateId state, const LlmTrie *trie, bool first,
						   int32_t max_tokens, int32_t **tokens);

#endif							/* LLM_CLOSING_H */
