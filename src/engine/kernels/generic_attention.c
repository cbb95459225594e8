/*
 * generic_attention.c
 *		Attention over the pages of one KV head, in plain C.
 */
#include "engine/kernels/generic.h"

#include <math.h>

#include "engine/half.h"

static const float *page_as_floats(LlmKvType type, const void *page, int32_t head_dim,
								   float *buffer);
static void attend_page(const float *query, const float *keys, const float *values,
						int32_t head_dim, int32_t count, float *max, float *sum, float *output);
static void page_scores(const float *query, const float *keys, int32_t head_dim, float *scores);
static void scale_in_place(float *x, int32_t n, float factor);

void
generic_attention(const LlmAttentionWork *work)
{
	int32_t		head_dim = work->head_dim;
	float	   *key_buffer = work->scratch;
	float	   *value_buffer = key_buffer + LLM_KV_PAGE * head_dim;
	float	   *max = value_buffer + LLM_KV_PAGE * head_dim;
	float	   *sum = max + work->n_queries;
	int32_t		n_pages = (work->lengths[work->n_queries - 1] + LLM_KV_PAGE - 1) / LLM_KV_PAGE;
	int32_t		first = 0;

	for (int32_t i = 0; i < work->n_queries; i++)
	{
		max[i] = -INFINITY;
		sum[i] = 0;
		for (int32_t j = 0; j < head_dim; j++)
			work->outputs[i][j] = 0;
	}

	for (int32_t page = 0; page < n_pages; page++)
	{
		const float *keys = page_as_floats(work->kv_type, work->k_pages[page], head_dim, key_buffer);
		const float *values = page_as_floats(work->kv_type, work->v_pages[page], head_dim, value_buffer);
		int32_t		seen = page * LLM_KV_PAGE;

		while (work->lengths[first] <= seen)
			first++;
		for (int32_t i = first; i < work->n_queries; i++)
		{
			int32_t		count = work->lengths[i] - seen;

			attend_page(work->queries[i], keys, values, head_dim,
						count < LLM_KV_PAGE ? count : LLM_KV_PAGE, &max[i], &sum[i], work->outputs[i]);
		}
	}

	for (int32_t i = 0; i < work->n_queries; i++)
		for (int32_t j = 0; j < head_dim; j++)
			work->outputs[i][j] /= sum[i];
}

static const float *
page_as_floats(LlmKvType type, const void *page, int32_t head_dim, float *buffer)
{
	const uint16_t *halves = page;

	if (type == LLM_KV_F32)
		return page;
	for (int32_t i = 0; i < LLM_KV_PAGE * head_dim; i++)
		buffer[i] = llm_half_value(halves[i]);
	return buffer;
}

/* One step of the online softmax: the first `count` positions of a page. */
static void
attend_page(const float *query, const float *keys, const float *values, int32_t head_dim,
			int32_t count, float *max, float *sum, float *output)
{
	float		scores[LLM_KV_PAGE];
	float		lanes[LANES];
	float		new_max = *max;
	float		correction;

	page_scores(query, keys, head_dim, scores);
	for (int32_t t = 0; t < count; t++)
		new_max = scores[t] > new_max ? scores[t] : new_max;
	for (int32_t t = 0; t < LLM_KV_PAGE; t++)
		scores[t] = t < count ? expf(scores[t] - new_max) : 0;
	for (int lane = 0; lane < LANES; lane++)
		lanes[lane] = scores[lane] + scores[lane + LANES];

	correction = expf(*max - new_max);
	*max = new_max;
	*sum = *sum * correction + generic_sum_lanes(lanes);
	scale_in_place(output, head_dim, correction);
	for (int32_t t = 0; t < count; t++)
		for (int32_t i = 0; i < head_dim; i++)
			output[i] += scores[t] * values[t * head_dim + i];
}

static void
page_scores(const float *query, const float *keys, int32_t head_dim, float *scores)
{
	float		root = sqrtf((float) head_dim);
	float		sums[LLM_KV_PAGE] = {0};

	for (int32_t i = 0; i < head_dim; i++)
		for (int t = 0; t < LLM_KV_PAGE; t++)
			sums[t] += query[i] * keys[i * LLM_KV_PAGE + t];
	for (int t = 0; t < LLM_KV_PAGE; t++)
		scores[t] = sums[t] / root;
}

static void
scale_in_place(float *x, int32_t n, float factor)
{
	for (int32_t i = 0; i < n; i++)
		x[i] *= factor;
}
