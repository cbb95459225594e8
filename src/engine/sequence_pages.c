/*
 * sequence_pages.c
 *		The pages of a sequence, from admission to the end.
 *
 * Of a sequence that shares, each page full of computed positions can be found: its
 * own number k is the page before number k + 1 for whoever has the same tokens, computed in the same way.
 */
#include "engine/sequence_pages.h"

#include <string.h>

static bool can_skip_next_page(const LlmSequence *sequence);
static LlmPrefixKey page_key(const LlmSequence *sequence, int32_t number);
static void put_page(LlmSequence *sequence, LlmPrefixCache *prefixes, int32_t number, int32_t page);

void
llm_sequence_find_pages(LlmSequence *sequence, LlmPrefixCache *prefixes)
{
	while (can_skip_next_page(sequence))
	{
		int32_t		number = sequence->n_computed / LLM_KV_PAGE;
		LlmPrefixKey key = page_key(sequence, number);
		int32_t		page = llm_prefix_cache_find(prefixes, &key);

		if (page == LLM_NO_PAGE)
			return;
		put_page(sequence, prefixes, number, page);
		sequence->n_computed += LLM_KV_PAGE;
		sequence->n_kept_pages++;
	}
}

bool
llm_sequence_computes_page_for(const LlmSequence *first, const LlmSequence *other)
{
	int32_t		number = other->n_computed / LLM_KV_PAGE;
	LlmPrefixKey theirs;
	LlmPrefixKey wanted;

	if (!first->shares || first->n_computed / LLM_KV_PAGE != number ||
		(number + 1) * LLM_KV_PAGE > llm_sequence_prefill_length(first) ||
		!can_skip_next_page(other))
		return false;
	theirs = page_key(first, number);
	wanted = page_key(other, number);
	return theirs.scope == wanted.scope && theirs.previous == wanted.previous &&
		memcmp(theirs.tokens, wanted.tokens, LLM_KV_PAGE * sizeof(int32_t)) == 0;
}

bool
llm_sequence_grow_pages(LlmSequence *sequence, LlmPrefixCache *prefixes, int32_t n_positions)
{
	LlmPageTable *table = &sequence->pages;

	while (table->n_pages < llm_pages_for(n_positions))
	{
		int32_t		page = llm_prefix_cache_take(prefixes);

		if (page == LLM_NO_PAGE)
			return false;
		table->pages[table->n_pages++] = page;
	}
	return true;
}

void
llm_sequence_keep_pages(LlmSequence *sequence, LlmPrefixCache *prefixes)
{
	if (!sequence->shares)
		return;
	while ((sequence->n_kept_pages + 1) * LLM_KV_PAGE <= sequence->n_computed)
	{
		int32_t		number = sequence->n_kept_pages++;
		LlmPrefixKey key = page_key(sequence, number);

		sequence->pages.pages[number] =
			llm_prefix_cache_keep(prefixes, &key, sequence->pages.pages[number]);
	}
}

void
llm_sequence_truncate_pages(LlmSequence *sequence, LlmPrefixCache *prefixes, int32_t n_tokens)
{
	LlmPageTable *table = &sequence->pages;
	int32_t		n_pages = (n_tokens < sequence->n_computed ? n_tokens : sequence->n_computed) / LLM_KV_PAGE;

	while (table->n_pages > n_pages)
		llm_prefix_cache_release(prefixes, table->pages[--table->n_pages]);
	sequence->n_computed = n_pages * LLM_KV_PAGE;
	if (sequence->n_kept_pages > n_pages)
		sequence->n_kept_pages = n_pages;
}

void
llm_sequence_release_pages(LlmSequence *sequence, LlmPrefixCache *prefixes)
{
	llm_sequence_truncate_pages(sequence, prefixes, 0);
}

static bool
can_skip_next_page(const LlmSequence *sequence)
{
	return sequence->shares && sequence->n_computed % LLM_KV_PAGE == 0 &&
		sequence->n_computed + LLM_KV_PAGE <= llm_sequence_first_wanted(sequence);
}

static LlmPrefixKey
page_key(const LlmSequence *sequence, int32_t number)
{
	return (LlmPrefixKey)
	{
		.scope = sequence->request->cache_scope,
		.previous = number > 0 ? sequence->pages.pages[number - 1] : LLM_NO_PAGE,
		.tokens = sequence->marked + number * LLM_KV_PAGE
	};
}

/* A step that was given up may have left an empty page in this place. */
static void
put_page(LlmSequence *sequence, LlmPrefixCache *prefixes, int32_t number, int32_t page)
{
	LlmPageTable *table = &sequence->pages;

	if (number < table->n_pages)
		llm_prefix_cache_release(prefixes, table->pages[number]);
	else
		table->n_pages++;
	table->pages[number] = page;
}
