/*
 * test_kv_cache.c
 *		The page pool: layout, taking, sharing, giving back.
 */
#include "engine/kv_cache.h"

#include <string.h>

#include "tap.h"

static LlmModelConfig
small_config(void)
{
	LlmModelConfig config;

	memset(&config, 0, sizeof(config));
	config.n_layers = 3;
	config.n_heads = 8;
	config.n_kv_heads = 4;
	config.head_dim = 6;
	return config;
}

static void
test_layout(LlmKvType type, uint64_t half)
{
	LlmModelConfig config = small_config();
	const char *name = llm_kv_type_name(type);
	LlmError	error;
	LlmKvCache *cache = llm_kv_cache_create(&config, type, 5, &error);
	uint8_t    *base = llm_kv_keys(cache, 0, 0, 0);
	bool		in_order = true;
	bool		zero = true;

	ok(llm_kv_page_bytes(&config, type) == 3 * 4 * 2 * half, "%s: bytes of a page", name);
	ok(llm_kv_cache_type(cache) == type, "%s: type", name);
	for (int32_t page = 0; page < 5; page++)
		for (int32_t layer = 0; layer < 3; layer++)
			for (int32_t head = 0; head < 4; head++)
			{
				uint8_t    *keys = llm_kv_keys(cache, page, layer, head);
				uint8_t    *values = llm_kv_values(cache, page, layer, head);

				in_order = in_order && keys == base && values == base + half &&
					(uintptr_t) keys % 64 == 0 && (uintptr_t) values % 64 == 0;
				for (uint64_t i = 0; i < 2 * half; i++)
					zero = zero && keys[i] == 0;
				memset(keys, 0xff, 2 * half);
				base += 2 * half;
			}
	ok(in_order, "%s: halves follow one another, aligned", name);
	ok(zero, "%s: new pages are zero and do not overlap", name);
	llm_kv_cache_free(cache);
}

/* A scale for each 32 features begun. */
static void
test_q8_0_bytes(void)
{
	ok(llm_kv_half_page_bytes(LLM_KV_Q8_0, 64) == (64 + 2 * 2) * LLM_KV_PAGE &&
	   llm_kv_half_page_bytes(LLM_KV_Q8_0, 66) == (66 + 3 * 2) * LLM_KV_PAGE &&
	   llm_kv_half_page_bytes(LLM_KV_Q8_0, 128) == (128 + 4 * 2) * LLM_KV_PAGE,
	   "Q8_0: bytes of half a page");
}

static void
test_references(void)
{
	LlmModelConfig config = small_config();
	LlmError	error;
	LlmKvCache *cache = llm_kv_cache_create(&config, LLM_KV_F16, 3, &error);
	int32_t		pages[3];

	ok(llm_kv_cache_n_pages(cache) == 3 && llm_kv_cache_n_free(cache) == 3, "all pages are free at first");
	for (int i = 0; i < 3; i++)
		pages[i] = llm_kv_cache_take(cache);
	ok(pages[0] != pages[1] && pages[0] != pages[2] && pages[1] != pages[2], "taken pages differ");
	ok(llm_kv_cache_take(cache) == -1 && llm_kv_cache_n_free(cache) == 0, "none is left");
	llm_kv_cache_share(cache, pages[1]);
	llm_kv_cache_release(cache, pages[1]);
	ok(llm_kv_cache_take(cache) == -1, "a page with a reference left is not free");
	llm_kv_cache_release(cache, pages[1]);
	ok(llm_kv_cache_n_free(cache) == 1, "the last reference frees it");
	ok(llm_kv_cache_take(cache) == pages[1], "and it is taken again");
	for (int i = 0; i < 3; i++)
		llm_kv_cache_release(cache, pages[i]);
	ok(llm_kv_cache_n_free(cache) == 3, "all given back");
	llm_kv_cache_free(cache);
}

static void
test_refusals(void)
{
	LlmModelConfig config = small_config();
	LlmError	error;

	ok(llm_kv_cache_create(&config, LLM_KV_F32, 0, &error) == NULL && error.code == LLM_ERROR_ARGUMENT,
	   "no pages: %s", error.message);
	config.head_dim = INT32_MAX - 1;
	config.n_kv_heads = INT32_MAX;
	ok(llm_kv_page_bytes(&config, LLM_KV_F32) == UINT64_MAX, "a page's size saturates");
	ok(llm_kv_cache_create(&config, LLM_KV_F32, 2, &error) == NULL && error.code == LLM_ERROR_LIMIT,
	   "too large: %s", error.message);
	llm_kv_cache_free(NULL);
}

int
main(void)
{
	test_layout(LLM_KV_F32, 6 * LLM_KV_PAGE * 4);
	test_layout(LLM_KV_F16, 6 * LLM_KV_PAGE * 2);
	test_layout(LLM_KV_Q8_0, 6 * LLM_KV_PAGE + LLM_KV_PAGE * 2);
	test_q8_0_bytes();
	test_references();
	test_refusals();
	return done_testing();
}
