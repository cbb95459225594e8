/*
 * prefix_cache.h
 *		Full pages of the key/value cache, found again by the tokens that they hold.
 *
 * What a page holds depends on its tokens and on all tokens before them.  So a page
 * is known by a scope, the page before it and its own LLM_KV_PAGE tokens; all three
 * are compared, the hash of them only says where to look.  A page that can be
 * found keeps its contents when nobody uses it, until the room is needed: then
 * the one that was given back first goes.
 *
 * Whoever uses a page uses all pages before it too, takes them first page first
 * and gives them back last page first.  Therefore no page goes before those that follow it.
 */
#ifndef LLM_PREFIX_CACHE_H
#define LLM_PREFIX_CACHE_H

#include "engine/kv_cache.h"

#define LLM_NO_PAGE (-1)		/* also the page before a sequence's first */

typedef struct LlmPrefixCache LlmPrefixCache;

/* What a page is found by. */
typedef struct LlmPrefixKey
{
	uint64_t	scope;
	int32_t		previous;		/* a page in use that can be found itself, or LLM_NO_PAGE */
	const int32_t *tokens;		/* [LLM_KV_PAGE] */
} LlmPrefixKey;

/* n_buckets of the hash table, a power of two; 0: as many as there are pages.  NULL for want of memory. */
extern LlmPrefixCache *llm_prefix_cache_create(LlmKvCache *cache, int32_t n_buckets);
extern void llm_prefix_cache_free(LlmPrefixCache *prefixes);

/* A page for new contents with one reference, or LLM_NO_PAGE when all are in use. */
extern int32_t llm_prefix_cache_take(LlmPrefixCache *prefixes);

/* One reference less.  Unused pages that can be found stay. */
extern void llm_prefix_cache_release(LlmPrefixCache *prefixes, int32_t page);

/* The page of a key with one reference more, or LLM_NO_PAGE. */
extern int32_t llm_prefix_cache_find(LlmPrefixCache *prefixes, const LlmPrefixKey *key);

/*
 * Let a page, full now, be found.  Where another with this key is there already, the
 * reference to `page` is exchanged for one to that.  Returns the page to go on with.
 */
extern int32_t llm_prefix_cache_keep(LlmPrefixCache *prefixes, const LlmPrefixKey *key, int32_t page);

/* Pages that nobody uses: all that can be taken, and those of them that can be found. */
extern int32_t llm_prefix_cache_n_available(const LlmPrefixCache *prefixes);
extern int32_t llm_prefix_cache_n_unused(const LlmPrefixCache *prefixes);

#endif							/* LLM_PREFIX_CACHE_H */
