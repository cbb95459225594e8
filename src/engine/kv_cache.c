/*
 * kv_cache.c
 *		The pool of key/value pages: one mapping, a free list, reference counts.
 *
 * A page is [layer][kv_head] of two halves, keys and values, whose layout
 * kernels.h describes.  All of one page is contiguous, so that a page that is
 * never used never costs memory.
 */
#include "engine/kv_cache.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>

struct LlmKvCache
{
	LlmKvType	type;
	int32_t		n_pages;
	int32_t		n_free;
	int32_t		n_kv_heads;
	uint64_t	half_bytes;		/* the keys, or the values, of one head in one layer */
	uint64_t	page_bytes;
	uint64_t	pool_bytes;
	uint8_t    *pool;
	int32_t    *free_pages;		/* [n_free], the next to take last */
	int32_t    *references;		/* [n_pages], 0 while free */
};

static uint8_t *map_pool(uint64_t bytes);

const char *
llm_kv_type_name(LlmKvType type)
{
	static const char *const names[LLM_KV_TYPE_LIMIT] = {"F32", "F16", "Q8_0"};

	return names[type];
}

uint64_t
llm_kv_page_bytes(const LlmModelConfig *config, LlmKvType type)
{
	uint64_t	bytes;

	if (!llm_multiply_sizes(llm_kv_half_page_bytes(type, config->head_dim), 2, &bytes) ||
		!llm_multiply_sizes(bytes, (uint64_t) config->n_kv_heads, &bytes) ||
		!llm_multiply_sizes(bytes, (uint64_t) config->n_layers, &bytes))
		return UINT64_MAX;
	return bytes;
}

LlmKvCache *
llm_kv_cache_create(const LlmModelConfig *config, LlmKvType type, int32_t n_pages, LlmError *error)
{
	LlmKvCache *cache;
	uint64_t	page_bytes = llm_kv_page_bytes(config, type);
	uint64_t	pool_bytes;

	if (n_pages < 1)
	{
		llm_fail(error, LLM_ERROR_ARGUMENT, "a key/value cache of %d pages is too small", n_pages);
		return NULL;
	}
	if (!llm_multiply_sizes(page_bytes, (uint64_t) n_pages, &pool_bytes) || pool_bytes > SIZE_MAX)
	{
		llm_fail(error, LLM_ERROR_LIMIT,
				 "a key/value cache of %d pages of %" PRIu64 " bytes exceeds the address space",
				 n_pages, page_bytes);
		return NULL;
	}

	cache = calloc(1, sizeof(LlmKvCache));
	if (cache != NULL)
	{
		cache->type = type;
		cache->n_pages = n_pages;
		cache->n_free = n_pages;
		cache->n_kv_heads = config->n_kv_heads;
		cache->half_bytes = llm_kv_half_page_bytes(type, config->head_dim);
		cache->page_bytes = page_bytes;
		cache->pool_bytes = pool_bytes;
		cache->free_pages = calloc((size_t) n_pages, sizeof(int32_t));
		cache->references = calloc((size_t) n_pages, sizeof(int32_t));
		cache->pool = map_pool(pool_bytes);
	}
	if (cache == NULL || cache->free_pages == NULL || cache->references == NULL || cache->pool == NULL)
	{
		llm_kv_cache_free(cache);
		llm_fail(error, LLM_ERROR_OUT_OF_MEMORY,
				 "out of memory for a key/value cache of %" PRIu64 " bytes", pool_bytes);
		return NULL;
	}
	for (int32_t i = 0; i < n_pages; i++)
		cache->free_pages[i] = n_pages - 1 - i;
	return cache;
}

void
llm_kv_cache_free(LlmKvCache *cache)
{
	if (cache == NULL)
		return;
	if (cache->pool != NULL)
		munmap(cache->pool, cache->pool_bytes);
	free(cache->free_pages);
	free(cache->references);
	free(cache);
}

LlmKvType
llm_kv_cache_type(const LlmKvCache *cache)
{
	return cache->type;
}

int32_t
llm_kv_cache_n_pages(const LlmKvCache *cache)
{
	return cache->n_pages;
}

int32_t
llm_kv_cache_n_free(const LlmKvCache *cache)
{
	return cache->n_free;
}

int32_t
llm_kv_cache_references(const LlmKvCache *cache, int32_t page)
{
	return cache->references[page];
}

int32_t
llm_kv_cache_take(LlmKvCache *cache)
{
	int32_t		page;

	if (cache->n_free == 0)
		return -1;
	page = cache->free_pages[--cache->n_free];
	assert(cache->references[page] == 0);
	cache->references[page] = 1;
	return page;
}

void
llm_kv_cache_share(LlmKvCache *cache, int32_t page)
{
	assert(page >= 0 && page < cache->n_pages && cache->references[page] > 0);
	cache->references[page]++;
}

void
llm_kv_cache_release(LlmKvCache *cache, int32_t page)
{
	assert(page >= 0 && page < cache->n_pages && cache->references[page] > 0);
	if (--cache->references[page] == 0)
		cache->free_pages[cache->n_free++] = page;
}

void *
llm_kv_keys(const LlmKvCache *cache, int32_t page, int32_t layer, int32_t kv_head)
{
	uint64_t	head = (uint64_t) layer * (uint64_t) cache->n_kv_heads + (uint64_t) kv_head;

	return cache->pool + (uint64_t) page * cache->page_bytes + 2 * head * cache->half_bytes;
}

void *
llm_kv_values(const LlmKvCache *cache, int32_t page, int32_t layer, int32_t kv_head)
{
	return (uint8_t *) llm_kv_keys(cache, page, layer, kv_head) + cache->half_bytes;
}

/* Zeroed address space, backed by memory as it is touched; NULL when refused. */
static uint8_t *
map_pool(uint64_t bytes)
{
	void	   *pool = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
							MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (pool == MAP_FAILED)
		return NULL;
#ifdef MADV_HUGEPAGE
	(void) madvise(pool, bytes, MADV_HUGEPAGE);
#endif
	return pool;
}
