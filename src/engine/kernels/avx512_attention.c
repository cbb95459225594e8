/*
 * avx512_attention.c
 *		Attention over the pages of one KV head, and the storing into them.
 *
 * Up to four queries pass a page together.  Half-precision pages are turned to floats
 * once for many queries and on the fly for few.
 */
#if defined(__x86_64__)

#include "engine/kernels/avx512.h"

#include <math.h>

#define TOGETHER 4				/* queries that pass a page at once */
#define FEATURES 4				/* vectors of features of each of them in registers */

/* One page and the part of the softmax's state that belongs to some queries. */
typedef struct PageStep
{
	int32_t		head_dim;
	const void *keys;
	const void *values;
	const float *const *queries;
	float	   *const *outputs;
	const int32_t *lengths;
	int32_t		seen;			/* positions before the page */
	float	   *max;
	float	   *sum;
} PageStep;

static void attend_one_f32(const PageStep *step);
static void attend_one_f16(const PageStep *step);
static void attend_together_f32(const PageStep *step);
static void page_to_floats(const void *page, int32_t n, float *out);

void
avx512_attention(const LlmAttentionWork *work)
{
	const int32_t head_dim = work->head_dim;
	const int32_t n_queries = work->n_queries;
	const int32_t n_pages = (work->lengths[n_queries - 1] + LLM_KV_PAGE - 1) / LLM_KV_PAGE;
	float	   *keys = work->scratch;
	float	   *values = keys + LLM_KV_PAGE * head_dim;
	float	   *max = values + LLM_KV_PAGE * head_dim;
	float	   *sum = max + n_queries;
	int32_t		first = 0;

	for (int32_t i = 0; i < n_queries; i++)
	{
		max[i] = -INFINITY;
		sum[i] = 0;
		for (int32_t j = 0; j < head_dim; j++)
			work->outputs[i][j] = 0;
	}

	for (int32_t page = 0; page < n_pages; page++)
	{
		PageStep	step = {
			.head_dim = head_dim,
			.keys = work->k_pages[page],
			.values = work->v_pages[page],
			.seen = page * LLM_KV_PAGE
		};
		bool		is_half = work->kv_type == LLM_KV_F16;

		while (work->lengths[first] <= step.seen)
			first++;
		if (is_half && n_queries - first >= TOGETHER)
		{
			page_to_floats(step.keys, LLM_KV_PAGE * head_dim, keys);
			page_to_floats(step.values, LLM_KV_PAGE * head_dim, values);
			step.keys = keys;
			step.values = values;
			is_half = false;
		}
		for (int32_t i = first; i < n_queries;)
		{
			const bool	together = !is_half && n_queries - i >= TOGETHER;

			step.queries = work->queries + i;
			step.outputs = work->outputs + i;
			step.lengths = work->lengths + i;
			step.max = max + i;
			step.sum = sum + i;
			if (together)
				attend_together_f32(&step);
			else if (is_half)
				attend_one_f16(&step);
			else
				attend_one_f32(&step);
			i += together ? TOGETHER : 1;
		}
	}

	for (int32_t i = 0; i < n_queries; i++)
		for (int32_t j = 0; j < head_dim; j++)
			work->outputs[i][j] /= sum[i];
}

void
avx512_store_kv(LlmKvType type, const float *k, const float *v, int32_t head_dim, int32_t slot,
				void *k_page, void *v_page)
{
	for (int32_t i = 0; i < head_dim; i += AVX512_LANES)
	{
		const __mmask16 lanes = avx512_first_lanes(head_dim - i);
		const int	count = head_dim - i < AVX512_LANES ? head_dim - i : AVX512_LANES;
		__m512		keys = _mm512_maskz_loadu_ps(lanes, k + i);
		__m512		values = _mm512_maskz_loadu_ps(lanes, v + i);

		if (type == LLM_KV_F32)
		{
			for (int j = 0; j < count; j++)
				((float *) k_page)[(i + j) * LLM_KV_PAGE + slot] = k[i + j];
			_mm512_mask_storeu_ps((float *) v_page + slot * head_dim + i, lanes, values);
		}
		else
		{
			uint16_t	halves[AVX512_LANES];

			_mm256_storeu_si256((__m256i *) halves, _mm512_cvtps_ph(keys, _MM_FROUND_TO_NEAREST_INT));
			for (int j = 0; j < count; j++)
				((uint16_t *) k_page)[(i + j) * LLM_KV_PAGE + slot] = halves[j];
			_mm256_mask_storeu_epi16((uint16_t *) v_page + slot * head_dim + i, lanes,
									 _mm512_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT));
		}
	}
}

AVX512_INLINE __m512
load_elements(LlmKvType type, const void *page, int64_t index, __mmask16 lanes)
{
	if (type == LLM_KV_F32)
		return _mm512_maskz_loadu_ps(lanes, (const float *) page + index);
	return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes, (const uint16_t *) page + index));
}

/*
 * Add positions first .. last - 1, weighted by p, to `vectors` vectors of features of
 * `count` queries, whose outputs are first scaled by their corrections.
 */
AVX512_INLINE void
add_values(LlmKvType type, int count, int vectors, __mmask16 lanes, const PageStep *step,
		   int32_t feature, int32_t first, int32_t last, const float (*p)[LLM_KV_PAGE],
		   const float *correction)
{
	__m512		o[TOGETHER][FEATURES];

#pragma GCC unroll 4
	for (int i = 0; i < count; i++)
#pragma GCC unroll 4
		for (int j = 0; j < vectors; j++)
			o[i][j] = _mm512_mul_ps(_mm512_set1_ps(correction[i]),
									_mm512_maskz_loadu_ps(lanes, step->outputs[i] + feature + j * AVX512_LANES));

	for (int32_t t = first; t < last; t++)
	{
		__m512		v[FEATURES];

#pragma GCC unroll 4
		for (int j = 0; j < vectors; j++)
			v[j] = load_elements(type, step->values,
								 t * step->head_dim + feature + j * AVX512_LANES, lanes);
#pragma GCC unroll 4
		for (int i = 0; i < count; i++)
#pragma GCC unroll 4
			for (int j = 0; j < vectors; j++)
				o[i][j] = _mm512_fmadd_ps(_mm512_set1_ps(p[i][t]), v[j], o[i][j]);
	}

#pragma GCC unroll 4
	for (int i = 0; i < count; i++)
#pragma GCC unroll 4
		for (int j = 0; j < vectors; j++)
			_mm512_mask_storeu_ps(step->outputs[i] + feature + j * AVX512_LANES, lanes, o[i][j]);
}

AVX512_INLINE void
add_all_values(LlmKvType type, int count, const PageStep *step, int32_t first, int32_t last,
			   const float (*p)[LLM_KV_PAGE], const float *correction)
{
	int32_t		feature = 0;

	for (; feature + FEATURES * AVX512_LANES <= step->head_dim; feature += FEATURES * AVX512_LANES)
		add_values(type, count, FEATURES, 0xffff, step, feature, first, last, p, correction);
	for (; feature < step->head_dim; feature += AVX512_LANES)
		add_values(type, count, 1, avx512_first_lanes(step->head_dim - feature), step, feature,
				   first, last, p, correction);
}

/* One page's step of the online softmax for `count` queries. */
AVX512_INLINE void
attend(LlmKvType type, int count, const PageStep *step)
{
	const __m512 root = _mm512_set1_ps(sqrtf((float) step->head_dim));
	const __m512 least = _mm512_set1_ps(-INFINITY);
	static const float unchanged[1] = {1.0f};
	_Alignas(64) float p[TOGETHER][LLM_KV_PAGE];
	float		correction[TOGETHER];
	int32_t		positions[TOGETHER];
	int32_t		common = LLM_KV_PAGE;
	__m512		s[TOGETHER][2];

#pragma GCC unroll 4
	for (int i = 0; i < count; i++)
		s[i][0] = s[i][1] = _mm512_setzero_ps();
	for (int32_t j = 0; j < step->head_dim; j++)
	{
		__m512		k0 = load_elements(type, step->keys, j * LLM_KV_PAGE, 0xffff);
		__m512		k1 = load_elements(type, step->keys, j * LLM_KV_PAGE + AVX512_LANES, 0xffff);

#pragma GCC unroll 4
		for (int i = 0; i < count; i++)
		{
			__m512		q = _mm512_set1_ps(step->queries[i][j]);

			s[i][0] = _mm512_fmadd_ps(q, k0, s[i][0]);
			s[i][1] = _mm512_fmadd_ps(q, k1, s[i][1]);
		}
	}

#pragma GCC unroll 4
	for (int i = 0; i < count; i++)
	{
		const int32_t rest = step->lengths[i] - step->seen;
		const __mmask16 lanes0 = avx512_first_lanes(rest);
		const __mmask16 lanes1 = avx512_first_lanes(rest < AVX512_LANES ? 0 : rest - AVX512_LANES);
		__m512		s0 = _mm512_mask_div_ps(least, lanes0, s[i][0], root);
		__m512		s1 = _mm512_mask_div_ps(least, lanes1, s[i][1], root);
		float		page_max = _mm512_reduce_max_ps(_mm512_max_ps(s0, s1));
		float		max = step->max[i] > page_max ? step->max[i] : page_max;
		__m512		new_max = _mm512_set1_ps(max);
		__m512		p0 = _mm512_maskz_mov_ps(lanes0, avx512_exp(_mm512_sub_ps(s0, new_max)));
		__m512		p1 = _mm512_maskz_mov_ps(lanes1, avx512_exp(_mm512_sub_ps(s1, new_max)));

		correction[i] = _mm512_cvtss_f32(avx512_exp(_mm512_set1_ps(step->max[i] - max)));
		step->max[i] = max;
		step->sum[i] = step->sum[i] * correction[i] + avx512_sum(_mm512_add_ps(p0, p1));
		_mm512_store_ps(p[i], p0);
		_mm512_store_ps(p[i] + AVX512_LANES, p1);
		positions[i] = rest < LLM_KV_PAGE ? rest : LLM_KV_PAGE;
		common = positions[i] < common ? positions[i] : common;
	}

	add_all_values(type, count, step, 0, common, p, correction);
	for (int i = 0; count > 1 && i < count; i++)
	{
		PageStep	alone = *step;

		if (positions[i] == common)
			continue;
		alone.outputs += i;
		add_all_values(type, 1, &alone, common, positions[i], p + i, unchanged);
	}
}

static void
attend_one_f32(const PageStep *step)
{
	attend(LLM_KV_F32, 1, step);
}

static void
attend_one_f16(const PageStep *step)
{
	attend(LLM_KV_F16, 1, step);
}

static void
attend_together_f32(const PageStep *step)
{
	attend(LLM_KV_F32, TOGETHER, step);
}

/* n is a multiple of 32. */
static void
page_to_floats(const void *page, int32_t n, float *out)
{
	for (int32_t i = 0; i < n; i += AVX512_LANES)
		_mm512_storeu_ps(out + i, load_elements(LLM_KV_F16, page, i, 0xffff));
}

#endif							/* __x86_64__ */
