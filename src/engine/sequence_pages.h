/*
 * sequence_pages.h
 *		The pages of a sequence: found, taken as it grows, left for others, given back.
 */
#ifndef LLM_SEQUENCE_PAGES_H
#define LLM_SEQUENCE_PAGES_H

#include "engine/prefix_cache.h"
#include "engine/sequence.h"

/* Pages for so many positions. */
static inline int32_t
llm_pages_for(int32_t n_positions)
{
	return (n_positions + LLM_KV_PAGE - 1) / LLM_KV_PAGE;
}

/*
 * At a page's border, take the pages that others have computed already and count their
 * positions as computed; positions of which logits or states are wanted are never skipped.
 */
extern void llm_sequence_find_pages(LlmSequence *sequence, LlmPrefixCache *prefixes);

/*
 * Both are in prefill: will the first one compute the page that the other needs next,
 * so that it can then be found?
 */
extern bool llm_sequence_computes_page_for(const LlmSequence *first, const LlmSequence *other);

/* Take pages up to so many positions; false when there are too few (those that were there it keeps). */
extern bool llm_sequence_grow_pages(LlmSequence *sequence, LlmPrefixCache *prefixes, int32_t n_positions);

/* Let the pages that are full of computed positions be found. */
extern void llm_sequence_keep_pages(LlmSequence *sequence, LlmPrefixCache *prefixes);

/* Keep the pages that are full of the first n_tokens tokens, give all others back: nothing behind is computed then. */
extern void llm_sequence_truncate_pages(LlmSequence *sequence, LlmPrefixCache *prefixes, int32_t n_tokens);

/* Give all pages back; nothing is computed then. */
extern void llm_sequence_release_pages(LlmSequence *sequence, LlmPrefixCache *prefixes);

#endif							/* LLM_SEQUENCE_PAGES_H */
