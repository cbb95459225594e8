/*
 * kv_cache.h
 *		The paged key/value cache.
 *
 * One page holds LLM_KV_PAGE positions of one sequence in every layer, keys and
 * values of every KV head.  Pages are reference counted.  The pool is claimed
 * at start (its memory is touched only as pages are used) and belongs to one
 * engine; only the engine's main thread takes and gives back pages, its other threads
 * read and write the contents of the pages that their work names.
 */
#ifndef LLM_KV_CACHE_H
#define LLM_KV_CACHE_H

#include "engine/kernels/kernels.h"
#include "engine/model.h"

typedef struct LlmKvCache LlmKvCache;

/* The pages of one sequence, in order of position. */
typedef struct LlmPageTable
{
	int32_t    *pages;			/* [capacity] */
	int32_t		n_pages;
	int32_t		capacity;
} LlmPageTable;

/* "F32", "F16", "Q8_0" */
extern const char *llm_kv_type_name(LlmKvType type);

extern uint64_t llm_kv_page_bytes(const LlmModelConfig *config, LlmKvType type);
extern LlmKvCache *llm_kv_cache_create(const LlmModelConfig *config, LlmKvType type, int32_t n_pages, LlmError *error);
extern void llm_kv_cache_free(LlmKvCache *cache);

extern LlmKvType llm_kv_cache_type(const LlmKvCache *cache);
extern int32_t llm_kv_cache_n_pages(const LlmKvCache *cache);
extern int32_t llm_kv_cache_n_free(const LlmKvCache *cache);

extern int32_t llm_kv_cache_references(const LlmKvCache *cache, int32_t page);

/* A page with reference count 1, or -1 when none is free. */
extern int32_t llm_kv_cache_take(LlmKvCache *cache);
extern void llm_kv_cache_share(LlmKvCache *cache, int32_t page);	/* one reference more */
extern void llm_kv_cache_release(LlmKvCache *cache, int32_t page);	/* one less; free at 0 */

/* One KV head's keys [head_dim][32] and values [32][head_dim] in a page. */
extern void *llm_kv_keys(const LlmKvCache *cache, int32_t page, int32_t layer, int32_t kv_head);
extern void *llm_kv_values(const LlmKvCache *cache, int32_t page, int32_t layer, int32_t kv_head);

#endif							/* LLM_KV_CACHE_H */
