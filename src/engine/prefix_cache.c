/*
 * prefix_cache.c
 *		The index of full pages, and the order in which unused ones go.
 *
 * Each page that can be found has an entry, which holds one reference to it, so that the
 * pool does not take it back.  Unused pages are in a list, the one
 * that was given back first at its head.  A page's users all use the page before it
 * and give that back later, so that the head never has a successor in the index.
 */
#include "engine/prefix_cache.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct Entry
{
	uint64_t	scope;
	int32_t		previous;
	int32_t		tokens[LLM_KV_PAGE];
	bool		findable;
	int32_t		next_in_bucket;
	int32_t		older;			/* in the list of unused pages */
	int32_t		newer;
} Entry;

struct LlmPrefixCache
{
	LlmKvCache *cache;
	uint64_t	secret;			/* so that nobody can choose tokens that fall into one bucket */
	int32_t		n_buckets;
	int32_t    *buckets;		/* [n_buckets] the first page, or LLM_NO_PAGE */
	Entry	   *entries;		/* [n_pages] */
	int32_t		oldest;
	int32_t		newest;
	int32_t		n_unused;
};

static uint64_t make_secret(const void *somewhere);
static int32_t *bucket_of(const LlmPrefixCache *prefixes, const LlmPrefixKey *key);
static uint64_t mix(uint64_t z);
static int32_t look_up(const LlmPrefixCache *prefixes, const LlmPrefixKey *key);
static void use(LlmPrefixCache *prefixes, int32_t page);
static void append_unused(LlmPrefixCache *prefixes, int32_t page);
static void remove_unused(LlmPrefixCache *prefixes, int32_t page);
static void forget(LlmPrefixCache *prefixes, int32_t page);

LlmPrefixCache *
llm_prefix_cache_create(LlmKvCache *cache, int32_t n_buckets)
{
	LlmPrefixCache *prefixes = calloc(1, sizeof(LlmPrefixCache));
	int32_t		n_pages = llm_kv_cache_n_pages(cache);

	if (prefixes == NULL)
		return NULL;
	if (n_buckets == 0)
		for (n_buckets = 1; n_buckets < n_pages && n_buckets < 1 << 30;)
			n_buckets *= 2;
	prefixes->cache = cache;
	prefixes->secret = make_secret(prefixes);
	prefixes->n_buckets = n_buckets;
	prefixes->buckets = malloc((size_t) n_buckets * sizeof(int32_t));
	prefixes->entries = calloc((size_t) n_pages, sizeof(Entry));
	prefixes->oldest = LLM_NO_PAGE;
	prefixes->newest = LLM_NO_PAGE;
	if (prefixes->buckets == NULL || prefixes->entries == NULL)
	{
		llm_prefix_cache_free(prefixes);
		return NULL;
	}
	for (int32_t i = 0; i < n_buckets; i++)
		prefixes->buckets[i] = LLM_NO_PAGE;
	return prefixes;
}

void
llm_prefix_cache_free(LlmPrefixCache *prefixes)
{
	if (prefixes == NULL)
		return;
	free(prefixes->buckets);
	free(prefixes->entries);
	free(prefixes);
}

int32_t
llm_prefix_cache_take(LlmPrefixCache *prefixes)
{
	int32_t		page = llm_kv_cache_take(prefixes->cache);

	if (page >= 0)
		return page;
	page = prefixes->oldest;
	if (page == LLM_NO_PAGE)
		return LLM_NO_PAGE;
	remove_unused(prefixes, page);
	forget(prefixes, page);
	return page;				/* with the reference that its entry had */
}

void
llm_prefix_cache_release(LlmPrefixCache *prefixes, int32_t page)
{
	llm_kv_cache_release(prefixes->cache, page);
	if (prefixes->entries[page].findable && llm_kv_cache_references(prefixes->cache, page) == 1)
		append_unused(prefixes, page);
}

int32_t
llm_prefix_cache_find(LlmPrefixCache *prefixes, const LlmPrefixKey *key)
{
	int32_t		page = look_up(prefixes, key);

	if (page != LLM_NO_PAGE)
		use(prefixes, page);
	return page;
}

int32_t
llm_prefix_cache_keep(LlmPrefixCache *prefixes, const LlmPrefixKey *key, int32_t page)
{
	int32_t		present = look_up(prefixes, key);
	Entry	   *entry = &prefixes->entries[page];
	int32_t    *bucket;

	if (present != LLM_NO_PAGE)
	{
		use(prefixes, present);
		llm_prefix_cache_release(prefixes, page);
		return present;
	}
	assert(!entry->findable);
	assert(key->previous == LLM_NO_PAGE || prefixes->entries[key->previous].findable);
	llm_kv_cache_share(prefixes->cache, page);
	bucket = bucket_of(prefixes, key);
	entry->scope = key->scope;
	entry->previous = key->previous;
	memcpy(entry->tokens, key->tokens, sizeof(entry->tokens));
	entry->findable = true;
	entry->next_in_bucket = *bucket;
	*bucket = page;
	return page;
}

int32_t
llm_prefix_cache_n_available(const LlmPrefixCache *prefixes)
{
	return llm_kv_cache_n_free(prefixes->cache) + prefixes->n_unused;
}

int32_t
llm_prefix_cache_n_unused(const LlmPrefixCache *prefixes)
{
	return prefixes->n_unused;
}

/* Results do not depend on it, so that it need not be very secret. */
static uint64_t
make_secret(const void *somewhere)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return mix(mix((uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec) ^ (uintptr_t) somewhere);
}

static int32_t *
bucket_of(const LlmPrefixCache *prefixes, const LlmPrefixKey *key)
{
	uint64_t	hash = mix(prefixes->secret ^ key->scope);

	hash = mix(hash ^ (uint32_t) key->previous);
	for (int32_t i = 0; i < LLM_KV_PAGE; i++)
		hash = mix(hash ^ (uint32_t) key->tokens[i]);
	return &prefixes->buckets[hash & (uint64_t) (prefixes->n_buckets - 1)];
}

/* The last step of SplitMix64 (Steele, Lea and Flood 2014). */
static uint64_t
mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static int32_t
look_up(const LlmPrefixCache *prefixes, const LlmPrefixKey *key)
{
	int32_t		page = *bucket_of(prefixes, key);

	while (page != LLM_NO_PAGE)
	{
		const Entry *entry = &prefixes->entries[page];

		if (entry->scope == key->scope && entry->previous == key->previous &&
			memcmp(entry->tokens, key->tokens, sizeof(entry->tokens)) == 0)
			break;
		page = entry->next_in_bucket;
	}
	return page;
}

/* One reference more. */
static void
use(LlmPrefixCache *prefixes, int32_t page)
{
	if (llm_kv_cache_references(prefixes->cache, page) == 1)
		remove_unused(prefixes, page);
	llm_kv_cache_share(prefixes->cache, page);
}

static void
append_unused(LlmPrefixCache *prefixes, int32_t page)
{
	Entry	   *entry = &prefixes->entries[page];

	entry->older = prefixes->newest;
	entry->newer = LLM_NO_PAGE;
	if (prefixes->newest != LLM_NO_PAGE)
		prefixes->entries[prefixes->newest].newer = page;
	else
		prefixes->oldest = page;
	prefixes->newest = page;
	prefixes->n_unused++;
}

static void
remove_unused(LlmPrefixCache *prefixes, int32_t page)
{
	const Entry *entry = &prefixes->entries[page];

	if (entry->older != LLM_NO_PAGE)
		prefixes->entries[entry->older].newer = entry->newer;
	else
		prefixes->oldest = entry->newer;
	if (entry->newer != LLM_NO_PAGE)
		prefixes->entries[entry->newer].older = entry->older;
	else
		prefixes->newest = entry->older;
	prefixes->n_unused--;
}

/* Take the page out of the index. */
static void
forget(LlmPrefixCache *prefixes, int32_t page)
{
	Entry	   *entry = &prefixes->entries[page];
	LlmPrefixKey key = {entry->scope, entry->previous, entry->tokens};
	int32_t    *link = bucket_of(prefixes, &key);

	while (*link != page)
		link = &prefixes->entries[*link].next_in_bucket;
	*link = entry->next_in_bucket;
	entry->findable = false;
}
