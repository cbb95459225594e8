/*
 * transformer_attention.c
 *		Attention of a step: RoPE, the key/value cache, and who computes which queries.
 *
 * The tokens of a step are cut into chunks of one sequence.  A unit of work is a
 * chunk and a KV head, with all query heads that share it, so that a page is
 * read once for all of them; only where there would be fewer units than threads the
 * query heads are divided.
 */
#include "engine/transformer_private.h"

static void store_keys(const LlmThread *w, int32_t layer, const LlmTokenRange *chunk, int32_t kv_head);
static void attend(const LlmThread *w, int32_t layer, const LlmTokenRange *chunk, int32_t kv_head,
				   int32_t first_head, int32_t n_heads);

/*
 * Keys and values go to the cache first, then each query reads all positions
 * up to its own.  After the last layer's keys, rows of which nothing is wanted are done.
 */
void
llm_transformer_attention(const LlmThread *w, int32_t layer)
{
	LlmTransformer *t = w->transformer;
	const LlmModelConfig *config = &t->model->config;
	bool		last_layer = layer == config->n_layers - 1;
	int32_t		group = config->n_heads / config->n_kv_heads;
	bool		store_first = !t->whole_spans || (last_layer && !t->all_wanted);
	int32_t		splits;
	int32_t		unit;

	if (store_first)
	{
		while ((unit = llm_team_next(&t->team)) < t->n_chunks * config->n_kv_heads)
			store_keys(w, layer, &t->buffers.chunks[unit / config->n_kv_heads], unit % config->n_kv_heads);
		if (llm_team_gather(&t->team, w->thread, w->n_threads))
		{
			if (last_layer)
				llm_transformer_keep_rows(t, true);
			llm_team_release(&t->team);
		}
	}

	splits = (group + t->heads_per_unit - 1) / t->heads_per_unit;
	while ((unit = llm_team_next(&t->team)) < t->n_chunks * config->n_kv_heads * splits)
	{
		const LlmTokenRange *chunk = &t->buffers.chunks[unit / splits / config->n_kv_heads];
		int32_t		kv_head = unit / splits % config->n_kv_heads;
		int32_t		first_head = unit % splits * t->heads_per_unit;
		int32_t		n_heads = t->heads_per_unit;

		if (n_heads > group - first_head)
			n_heads = group - first_head;
		if (!store_first)
			store_keys(w, layer, chunk, kv_head);
		attend(w, layer, chunk, kv_head, kv_head * group + first_head, n_heads);
	}
}

/* Turn the keys of a chunk's tokens, and put keys and values into their pages. */
static void
store_keys(const LlmThread *w, int32_t layer, const LlmTokenRange *chunk, int32_t kv_head)
{
	const LlmTransformer *t = w->transformer;
	const LlmModelConfig *config = &t->model->config;
	LlmKvType	type = llm_kv_cache_type(t->cache);
	int64_t		offset = (int64_t) kv_head * config->head_dim;

	for (int32_t i = 0; i < chunk->n_rows; i++)
	{
		int32_t		row = chunk->first_row + i;
		int32_t		position = chunk->first_position + i;
		int32_t		page = chunk->slice->pages->pages[position / LLM_KV_PAGE];
		float	   *k = llm_row(t->buffers.k, row) + offset;

		t->kernels->rope(k, llm_row(t->buffers.rope, row), config->rope_dim);
		t->kernels->store_kv(type, k, llm_row(t->buffers.v, row) + offset, config->head_dim,
							 position % LLM_KV_PAGE,
							 llm_kv_keys(t->cache, page, layer, kv_head),
							 llm_kv_values(t->cache, page, layer, kv_head));
	}
}

/* Query heads first_head .. of a chunk's tokens, all of which read one KV head. */
static void
attend(const LlmThread *w, int32_t layer, const LlmTokenRange *chunk, int32_t kv_head,
	   int32_t first_head, int32_t n_heads)
{
	const LlmTransformer *t = w->transformer;
	const LlmModelConfig *config = &t->model->config;
	const LlmActivations *out = &t->buffers.attention.groups;
	LlmThreadBuffers *own = w->own;
	int32_t		n_positions = chunk->first_position + chunk->n_rows;
	int32_t		n_pages = (n_positions - 1) / LLM_KV_PAGE + 1;
	LlmAttentionWork work;

	work.kv_type = llm_kv_cache_type(t->cache);
	work.head_dim = config->head_dim;
	work.n_queries = 0;
	for (int32_t i = 0; i < chunk->n_rows; i++)
	{
		int32_t		row = chunk->first_row + i;

		for (int32_t head = first_head; head < first_head + n_heads; head++)
		{
			int64_t		offset = (int64_t) head * config->head_dim;
			float	   *q = llm_row(t->buffers.q, row) + offset;

			t->kernels->rope(q, llm_row(t->buffers.rope, row), config->rope_dim);
			own->queries[work.n_queries] = q;
			own->outputs[work.n_queries] = out->x + (int64_t) row * out->width + offset;
			own->lengths[work.n_queries] = chunk->first_position + i + 1;
			work.n_queries++;
		}
	}
	for (int32_t i = 0; i < n_pages; i++)
	{
		int32_t		page = chunk->slice->pages->pages[i];

		own->k_pages[i] = llm_kv_keys(t->cache, page, layer, kv_head);
		own->v_pages[i] = llm_kv_values(t->cache, page, layer, kv_head);
	}
	work.queries = own->queries;
	work.outputs = own->outputs;
	work.lengths = own->lengths;
	work.k_pages = own->k_pages;
	work.v_pages = own->v_pages;
	work.scratch = own->attention;
	t->kernels->attention(&work);
}
