/*
 * test_prefix_cache.c
 *		Pages that are found again: by what, for whom, how long.
 */
#include "engine/prefix_cache.h"

#include <string.h>

#include "tap.h"

#define N_PAGES 24
#define MAX_CHAIN 6

typedef struct Pool
{
	LlmKvCache *cache;
	LlmPrefixCache *prefixes;
} Pool;

/* A text of up to MAX_CHAIN pages and the pages that hold it. */
typedef struct Chain
{
	uint64_t	scope;
	int32_t		texts[MAX_CHAIN];	/* the number from which each page's tokens are made */
	int32_t		pages[MAX_CHAIN];
	int32_t		length;
} Chain;

static Pool
create_pool(int32_t n_pages, int32_t n_buckets)
{
	LlmModelConfig config;
	LlmError	error;
	Pool		pool;

	memset(&config, 0, sizeof(config));
	config.n_layers = 1;
	config.n_heads = 1;
	config.n_kv_heads = 1;
	config.head_dim = 2;
	pool.cache = llm_kv_cache_create(&config, LLM_KV_F32, n_pages, &error);
	pool.prefixes = llm_prefix_cache_create(pool.cache, n_buckets);
	return pool;
}

static void
free_pool(Pool *pool)
{
	llm_prefix_cache_free(pool->prefixes);
	llm_kv_cache_free(pool->cache);
}

static void
make_tokens(int32_t text, int32_t *tokens)
{
	for (int32_t i = 0; i < LLM_KV_PAGE; i++)
		tokens[i] = i;
	tokens[text % LLM_KV_PAGE] += 1 + text / LLM_KV_PAGE;
}

static LlmPrefixKey
next_key(const Chain *chain, int32_t text, int32_t *tokens)
{
	LlmPrefixKey key = {
		chain->scope, chain->length > 0 ? chain->pages[chain->length - 1] : LLM_NO_PAGE, tokens
	};

	make_tokens(text, tokens);
	return key;
}

static bool
find_next(Pool *pool, Chain *chain, int32_t text)
{
	int32_t		tokens[LLM_KV_PAGE];
	LlmPrefixKey key = next_key(chain, text, tokens);
	int32_t		page = llm_prefix_cache_find(pool->prefixes, &key);

	if (page == LLM_NO_PAGE)
		return false;
	chain->texts[chain->length] = text;
	chain->pages[chain->length++] = page;
	return true;
}

/* Take a page, and let it be found. */
static bool
compute_next(Pool *pool, Chain *chain, int32_t text)
{
	int32_t		tokens[LLM_KV_PAGE];
	LlmPrefixKey key = next_key(chain, text, tokens);
	int32_t		page = llm_prefix_cache_take(pool->prefixes);

	if (page == LLM_NO_PAGE)
		return false;
	chain->texts[chain->length] = text;
	chain->pages[chain->length++] = llm_prefix_cache_keep(pool->prefixes, &key, page);
	return true;
}

static void
release_chain(Pool *pool, Chain *chain)
{
	while (chain->length > 0)
		llm_prefix_cache_release(pool->prefixes, chain->pages[--chain->length]);
}

static void
test_find(int32_t n_buckets)
{
	Pool		pool = create_pool(8, n_buckets);
	Chain		a = {.scope = 1};
	Chain		b = {.scope = 1};
	Chain		other = {.scope = 2};
	int32_t		first;

	ok(!find_next(&pool, &a, 0), "%d buckets: nothing is found at first", n_buckets);
	compute_next(&pool, &a, 0);
	compute_next(&pool, &a, 1);
	first = a.pages[0];
	ok(!find_next(&pool, &other, 0), "another scope finds nothing");
	ok(!find_next(&pool, &b, 1), "a page is found only after the one before it");
	ok(find_next(&pool, &b, 0) && b.pages[0] == first, "the same scope finds the page in use");
	ok(!find_next(&pool, &b, 2), "other tokens are another page");
	ok(find_next(&pool, &b, 1) && b.pages[1] == a.pages[1], "and the next");
	compute_next(&pool, &other, 0);
	ok(other.pages[0] != first && llm_prefix_cache_n_available(pool.prefixes) == 5,
	   "scopes share no page");
	release_chain(&pool, &a);
	ok(llm_prefix_cache_n_available(pool.prefixes) == 5 && llm_prefix_cache_n_unused(pool.prefixes) == 0,
	   "pages stay in use while one user is left");
	release_chain(&pool, &b);
	release_chain(&pool, &other);
	ok(llm_prefix_cache_n_available(pool.prefixes) == 8 && llm_prefix_cache_n_unused(pool.prefixes) == 3,
	   "then they can be taken, and found");
	ok(find_next(&pool, &a, 0) && a.pages[0] == first, "the page that nobody used is found");
	ok(llm_prefix_cache_n_unused(pool.prefixes) == 2, "and is in use");
	release_chain(&pool, &a);
	free_pool(&pool);
}

static void
test_same_page_twice(void)
{
	Pool		pool = create_pool(4, 0);
	Chain		a = {.scope = 1};
	Chain		b = {.scope = 1};

	compute_next(&pool, &a, 0);
	compute_next(&pool, &b, 0);
	ok(a.pages[0] == b.pages[0] && llm_prefix_cache_n_available(pool.prefixes) == 3,
	   "a page computed twice is kept once");
	compute_next(&pool, &b, 1);
	ok(find_next(&pool, &a, 1) && a.pages[1] == b.pages[1], "what follows it is found by both");
	release_chain(&pool, &a);
	release_chain(&pool, &b);
	ok(llm_prefix_cache_n_available(pool.prefixes) == 4, "all given back");
	free_pool(&pool);
}

static void
test_eviction(void)
{
	Pool		pool = create_pool(6, 0);
	Chain		a = {.scope = 1};
	Chain		b = {.scope = 1};
	Chain		new = {.scope = 3};

	for (int32_t i = 0; i < 3; i++)
	{
		compute_next(&pool, &a, i);
		compute_next(&pool, &b, 10 + i);
	}
	release_chain(&pool, &a);
	release_chain(&pool, &b);
	while (find_next(&pool, &a, a.length))
		;
	release_chain(&pool, &a);
	ok(llm_prefix_cache_n_unused(pool.prefixes) == 6, "all pages are unused");

	compute_next(&pool, &new, 0);
	find_next(&pool, &b, 10);
	ok(find_next(&pool, &b, 11) && !find_next(&pool, &b, 12), "the last page of the chain used longest ago goes");
	release_chain(&pool, &b);
	for (int32_t i = 1; i < 4; i++)
		compute_next(&pool, &new, i);
	ok(find_next(&pool, &b, 10) && find_next(&pool, &b, 11), "using a chain keeps it");
	ok(!find_next(&pool, &a, 0), "the other has gone");
	ok(!compute_next(&pool, &a, 0), "pages in use never go");
	release_chain(&pool, &b);
	release_chain(&pool, &new);
	ok(llm_prefix_cache_n_available(pool.prefixes) == 6, "all given back");
	free_pool(&pool);
}

/* Random chains of few texts; page_text is what each page was last written with. */
static void
test_random(int32_t n_buckets)
{
	Pool		pool = create_pool(N_PAGES, n_buckets);
	Chain		chains[8];
	int32_t		page_text[N_PAGES];
	uint32_t	state = 1;
	bool		right = true;
	int			n_found = 0;
	int			n_full = 0;

	memset(chains, 0, sizeof(chains));
	for (int step = 0; step < 50000; step++)
	{
		Chain	   *chain;
		int32_t		text;

		state = state * 1664525u + 1013904223u;
		chain = &chains[(state >> 28) % 8];
		text = (int32_t) (state >> 20) % 3;
		if (chain->length == MAX_CHAIN || (state >> 10) % 8 == 0)
		{
			release_chain(&pool, chain);
			chain->scope = (state >> 8) % 2;
			continue;
		}
		if (find_next(&pool, chain, text))
		{
			right = right && page_text[chain->pages[chain->length - 1]] == text;
			n_found++;
		}
		else if (compute_next(&pool, chain, text))
			page_text[chain->pages[chain->length - 1]] = text;
		else
			n_full++;
		for (int i = 0; i < 8; i++)
			for (int32_t k = 0; k < chains[i].length; k++)
			{
				right = right && page_text[chains[i].pages[k]] == chains[i].texts[k];
				for (int j = 0; j < i; j++)
					if (k < chains[j].length && chains[i].pages[k] == chains[j].pages[k])
						right = right && chains[i].scope == chains[j].scope &&
							memcmp(chains[i].texts, chains[j].texts, (size_t) (k + 1) * sizeof(int32_t)) == 0;
			}
	}
	for (int i = 0; i < 8; i++)
		release_chain(&pool, &chains[i]);
	ok(right && n_found > 1000 && n_full > 100,
	   "%d buckets: random chains share the same texts only (%d found, %d times full)", n_buckets,
	   n_found, n_full);
	ok(llm_prefix_cache_n_available(pool.prefixes) == N_PAGES, "all given back");
	free_pool(&pool);
}

int
main(void)
{
	test_find(0);
	test_find(1);				/* every key collides with every other */
	test_same_page_twice();
	test_eviction();
	test_random(0);
	test_random(1);
	return done_testing();
}
