/*
 * generic_attention.c
 *		Attention over the pages of one KV head, in plain C.
 */
#include "engine/kernels/generic.h"

#include <math.h>

#include "engine/half.h"

/*
 * A half page as floats.  Where it is quantized these are the codes, and each
 * group of features has a row of scales, one for each position.
 */
typedef struct Half
{
	const float *elements;
	const float *scales;		/* [ceil(head_dim / LLM_GROUP)][LLM_KV_PAGE], or NULL */
	int32_t		head_dim;
} Half;

static Half half_as_floats(LlmKvType type, const void *half_page, int32_t head_dim, float *buffer);
static void attend_page(const float *query, const Half *keys, const Half *values, int32_t count,
						float *max, float *sum, float *output);
static void page_scores(const float *query, const Half *keys, float *scores);
static float power_of_two(float x);
static void add_values(const Half *values, const float *weights, int32_t count, float *output);
static void scale_in_place(float *x, int32_t n, float factor);

void
generic_attention(const LlmAttentionWork *work)
{
	int32_t		head_dim = work->head_dim;
	float	   *key_buffer = work->scratch;
	float	   *value_buffer = key_buffer + llm_kv_half_page_floats(head_dim);
	float	   *max = value_buffer + llm_kv_half_page_floats(head_dim);
	float	   *sum = max + work->n_queries;
	float	   *scaled = sum + work->n_queries;
	float		factor = llm_attention_factor(head_dim);
	int32_t		n_pages = (work->lengths[work->n_queries - 1] + LLM_KV_PAGE - 1) / LLM_KV_PAGE;
	int32_t		first = 0;

	for (int32_t i = 0; i < work->n_queries; i++)
	{
		max[i] = -INFINITY;
		sum[i] = 0;
		for (int32_t j = 0; j < head_dim; j++)
		{
			scaled[i * head_dim + j] = work->queries[i][j] * factor;
			work->outputs[i][j] = 0;
		}
	}

	for (int32_t page = 0; page < n_pages; page++)
	{
		Half		keys = half_as_floats(work->kv_type, work->k_pages[page], head_dim, key_buffer);
		Half		values = half_as_floats(work->kv_type, work->v_pages[page], head_dim, value_buffer);
		int32_t		seen = page * LLM_KV_PAGE;

		while (work->lengths[first] <= seen)
			first++;
		for (int32_t i = first; i < work->n_queries; i++)
		{
			int32_t		count = work->lengths[i] - seen;

			attend_page(scaled + i * head_dim, &keys, &values, count < LLM_KV_PAGE ? count : LLM_KV_PAGE,
						&max[i], &sum[i], work->outputs[i]);
		}
	}

	for (int32_t i = 0; i < work->n_queries; i++)
		for (int32_t j = 0; j < head_dim; j++)
			work->outputs[i][j] /= sum[i];
}

static Half
half_as_floats(LlmKvType type, const void *half_page, int32_t head_dim, float *buffer)
{
	Half		half = {buffer, NULL, head_dim};
	int32_t		n = LLM_KV_PAGE * head_dim;
	const uint16_t *halves = half_page;
	const int8_t *codes = half_page;

	switch (type)
	{
		case LLM_KV_F32:
			half.elements = half_page;
			break;
		case LLM_KV_F16:
			for (int32_t i = 0; i < n; i++)
				buffer[i] = llm_half_value(halves[i]);
			break;
		case LLM_KV_Q8_0:
			for (int32_t i = 0; i < n; i++)
				buffer[i] = codes[i];
			half.scales = buffer + n;
			halves = llm_kv_scales(half_page, head_dim);
			for (int32_t i = 0; i < (head_dim + LLM_GROUP - 1) / LLM_GROUP * LLM_KV_PAGE; i++)
				buffer[n + i] = llm_half_value(halves[i]);
			break;
	}
	return half;
}

/* One step of the online softmax: the first `count` positions of a page. */
static void
attend_page(const float *query, const Half *keys, const Half *values, int32_t count,
			float *max, float *sum, float *output)
{
	float		scores[LLM_KV_PAGE];
	float		lanes[LANES];
	float		new_max = *max;
	float		correction;

	page_scores(query, keys, scores);
	for (int32_t t = 0; t < count; t++)
		new_max = scores[t] > new_max ? scores[t] : new_max;
	for (int32_t t = 0; t < LLM_KV_PAGE; t++)
		scores[t] = t < count ? power_of_two(scores[t] - new_max) : 0;
	for (int lane = 0; lane < LANES; lane++)
		lanes[lane] = scores[lane] + scores[lane + LANES];

	correction = power_of_two(*max - new_max);
	*max = new_max;
	*sum = *sum * correction + generic_sum_lanes(lanes);
	scale_in_place(output, values->head_dim, correction);
	add_values(values, scores, count, output);
}

static void
page_scores(const float *query, const Half *keys, float *scores)
{
	int32_t		group = keys->scales == NULL ? keys->head_dim : LLM_GROUP;

	for (int t = 0; t < LLM_KV_PAGE; t++)
		scores[t] = 0;
	for (int32_t first = 0; first < keys->head_dim; first += group)
	{
		int32_t		last = first + group < keys->head_dim ? first + group : keys->head_dim;
		float		sums[LLM_KV_PAGE] = {0};

		for (int32_t i = first; i < last; i++)
			for (int t = 0; t < LLM_KV_PAGE; t++)
				sums[t] += query[i] * keys->elements[i * LLM_KV_PAGE + t];
		for (int t = 0; t < LLM_KV_PAGE; t++)
			scores[t] += keys->scales == NULL ? sums[t] :
				keys->scales[first / LLM_GROUP * LLM_KV_PAGE + t] * sums[t];
	}
}

static float
power_of_two(float x)
{
	return x < LLM_LEAST_POWER ? 0 : exp2f(x);
}

static void
add_values(const Half *values, const float *weights, int32_t count, float *output)
{
	for (int32_t t = 0; t < count; t++)
		for (int32_t first = 0; first < values->head_dim; first += LLM_GROUP)
		{
			int32_t		last = first + LLM_GROUP < values->head_dim ? first + LLM_GROUP : values->head_dim;
			float		weight = weights[t];

			if (values->scales != NULL)
				weight *= values->scales[first / LLM_GROUP * LLM_KV_PAGE + t];
			for (int32_t i = first; i < last; i++)
				output[i] += weight * values->elements[t * values->head_dim + i];
		}
}

static void
scale_in_place(float *x, int32_t n, float factor)
{
	for (int32_t i = 0; i < n; i++)
		x[i] *= factor;
}
