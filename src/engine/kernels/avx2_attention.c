/*
 * avx2_attention.c
 *		The KV cache's layout and attention over it, for AVX2.
 *
 * Pages are the outer loop, so that a page is in the first cache while all
 * queries that share it read it; the outputs are the accumulators.  Queries are taken four
 * at a time where they see the same positions of a page; a query's operations and their
 * order are the same alone and among others.
 */
#if defined(__x86_64__)

#include <math.h>
#include <string.h>

#include "engine/kernels/avx2.h"

#define BATCH 32				/* queries whose state is kept at once */
#define TILE 4					/* queries computed together */
#define PAGE_VECTORS (LLM_KV_PAGE / LANES)

/* The online softmax of one query. */
typedef struct Softmax
{
	float		max;
	float		sum;
} Softmax;

/* One page as some queries see it. */
typedef struct PageView
{
	const void *k;
	const void *v;
	int32_t		head_dim;
	int32_t		n_positions;	/* 1 .. 32 */
} PageView;

INLINE void attend(LlmKvType type, const LlmAttentionWork *work, int32_t first, int32_t n);
INLINE void attend_page(LlmKvType type, int queries, const PageView *page, const float *const *q,
						float *const *o, Softmax *softmax);
INLINE void score_page(LlmKvType type, int queries, int vectors, const PageView *page, int32_t position,
					   const float *const *q, float (*scores)[LLM_KV_PAGE]);
INLINE float soften(float *scores, int32_t n_positions, Softmax *softmax);
INLINE void add_values(LlmKvType type, int queries, int vectors, const PageView *page, int32_t feature,
					   float (*p)[LLM_KV_PAGE], const float *factors, float *const *o);
INLINE void add_last_values(LlmKvType type, const PageView *page, int32_t feature, const float *p,
							float factor, float *o);
INLINE __m256 load_elements(LlmKvType type, const void *from, int64_t element);
static void divide(float *o, int32_t n, float divisor);

void
llm_avx2_store_kv(LlmKvType type, const float *k, const float *v, int32_t head_dim,
				  int32_t slot, void *k_page, void *v_page)
{
	if (type == LLM_KV_F32)
	{
		float	   *keys = (float *) k_page + slot;

		for (int64_t i = 0; i < head_dim; i++)
			keys[i * LLM_KV_PAGE] = k[i];
		memcpy((float *) v_page + (int64_t) slot * head_dim, v, (size_t) head_dim * sizeof(float));
	}
	else
	{
		uint16_t   *keys = (uint16_t *) k_page + slot;
		uint16_t   *values = (uint16_t *) v_page + (int64_t) slot * head_dim;

		for (int64_t i = 0; i < head_dim; i++)
		{
			keys[i * LLM_KV_PAGE] = _cvtss_sh(k[i], _MM_FROUND_TO_NEAREST_INT);
			values[i] = _cvtss_sh(v[i], _MM_FROUND_TO_NEAREST_INT);
		}
	}
}

void
llm_avx2_attention(const LlmAttentionWork *work)
{
	for (int32_t first = 0; first < work->n_queries; first += BATCH)
	{
		int32_t		n = work->n_queries - first < BATCH ? work->n_queries - first : BATCH;

		if (work->kv_type == LLM_KV_F32)
			attend(LLM_KV_F32, work, first, n);
		else
			attend(LLM_KV_F16, work, first, n);
	}
}

/* How many of a page's positions a query of this length sees. */
INLINE int32_t
visible(int32_t length, int32_t page)
{
	int64_t		rest = length - (int64_t) page * LLM_KV_PAGE;

	return rest < 0 ? 0 : rest > LLM_KV_PAGE ? LLM_KV_PAGE : (int32_t) rest;
}

/* The whole attention of n <= BATCH queries. */
INLINE void
attend(LlmKvType type, const LlmAttentionWork *work, int32_t first, int32_t n)
{
	const float *const *q = work->queries + first;
	float	   *const *o = work->outputs + first;
	const int32_t *lengths = work->lengths + first;
	Softmax		softmax[BATCH];
	int32_t		n_pages = (lengths[n - 1] + LLM_KV_PAGE - 1) / LLM_KV_PAGE;

	for (int32_t i = 0; i < n; i++)
	{
		softmax[i] = (Softmax) {-INFINITY, 0.0f};
		memset(o[i], 0, (size_t) work->head_dim * sizeof(float));
	}

	for (int32_t page = 0; page < n_pages; page++)
	{
		PageView	view = {work->k_pages[page], work->v_pages[page], work->head_dim, 0};
		int32_t		i = 0;

		while (i < n)
		{
			view.n_positions = visible(lengths[i], page);
			if (i + TILE <= n && visible(lengths[i + TILE - 1], page) == view.n_positions)
			{
				if (view.n_positions > 0)
					attend_page(type, TILE, &view, q + i, o + i, softmax + i);
				i += TILE;
			}
			else
			{
				if (view.n_positions > 0)
					attend_page(type, 1, &view, q + i, o + i, softmax + i);
				i++;
			}
		}
	}

	for (int32_t i = 0; i < n; i++)
		divide(o[i], work->head_dim, softmax[i].sum);
}

/* Take one page into the softmax and the outputs of some queries. */
INLINE void
attend_page(LlmKvType type, int queries, const PageView *page, const float *const *q,
			float *const *o, Softmax *softmax)
{
	float		p[TILE][LLM_KV_PAGE] __attribute__((aligned(32)));
	float		factors[TILE];
	float		root = sqrtf((float) page->head_dim);
	int32_t		feature = 0;

	if (queries == 1)
		score_page(type, 1, PAGE_VECTORS, page, 0, q, p);
	else
		for (int32_t position = 0; position < page->n_positions; position += 2 * LANES)
			score_page(type, queries, 2, page, position, q, p);

	for (int i = 0; i < queries; i++)
	{
		divide(p[i], page->n_positions, root);
		factors[i] = soften(p[i], page->n_positions, &softmax[i]);
	}

	if (queries == 1)
	{
		for (; feature + 8 * LANES <= page->head_dim; feature += 8 * LANES)
			add_values(type, 1, 8, page, feature, p, factors, o);
		for (; feature + 4 * LANES <= page->head_dim; feature += 4 * LANES)
			add_values(type, 1, 4, page, feature, p, factors, o);
	}
	else
		for (; feature + 2 * LANES <= page->head_dim; feature += 2 * LANES)
			add_values(type, queries, 2, page, feature, p, factors, o);
	for (; feature + LANES <= page->head_dim; feature += LANES)
		add_values(type, queries, 1, page, feature, p, factors, o);
	for (; feature < page->head_dim; feature++)
		for (int i = 0; i < queries; i++)
			add_last_values(type, page, feature, p[i], factors[i], o[i]);
}

/* scores[..][position ..] = q k, for some vectors of positions. */
INLINE void
score_page(LlmKvType type, int queries, int vectors, const PageView *page, int32_t position,
		   const float *const *q, float (*scores)[LLM_KV_PAGE])
{
	__m256		s[TILE][PAGE_VECTORS];

#pragma GCC unroll 4
	for (int i = 0; i < queries; i++)
#pragma GCC unroll 4
		for (int j = 0; j < vectors; j++)
			s[i][j] = _mm256_setzero_ps();

	for (int64_t feature = 0; feature < page->head_dim; feature++)
	{
		__m256		k[PAGE_VECTORS];

#pragma GCC unroll 4
		for (int j = 0; j < vectors; j++)
			k[j] = load_elements(type, page->k, feature * LLM_KV_PAGE + position + j * LANES);
#pragma GCC unroll 4
		for (int i = 0; i < queries; i++)
		{
			__m256		value = _mm256_broadcast_ss(q[i] + feature);

#pragma GCC unroll 4
			for (int j = 0; j < vectors; j++)
				s[i][j] = _mm256_fmadd_ps(value, k[j], s[i][j]);
		}
	}

#pragma GCC unroll 4
	for (int i = 0; i < queries; i++)
#pragma GCC unroll 4
		for (int j = 0; j < vectors; j++)
			_mm256_store_ps(scores[i] + position + j * LANES, s[i][j]);
}

/*
 * Turn a page's scores into weights, in place, 0 beyond n_positions; returns
 * the factor by which everything before this page shrinks.
 */
INLINE float
soften(float *scores, int32_t n_positions, Softmax *softmax)
{
	const __m256 least = _mm256_set1_ps(-INFINITY);
	__m256		s[PAGE_VECTORS];
	__m256		max;
	__m256		maxes;
	float		page_max;
	float		factor;

#pragma GCC unroll 4
	for (int j = 0; j < PAGE_VECTORS; j++)
	{
		__m256		seen = _mm256_castsi256_ps(first_lanes(n_positions - j * LANES));

		s[j] = _mm256_blendv_ps(least, _mm256_load_ps(scores + j * LANES), seen);
	}
	max = _mm256_max_ps(_mm256_max_ps(s[0], s[1]), _mm256_max_ps(s[2], s[3]));
	page_max = max_lane(max);
	page_max = page_max > softmax->max ? page_max : softmax->max;
	maxes = _mm256_set1_ps(page_max);
	factor = _mm256_cvtss_f32(exp_lanes(_mm256_set1_ps(softmax->max - page_max)));

#pragma GCC unroll 4
	for (int j = 0; j < PAGE_VECTORS; j++)
	{
		s[j] = exp_lanes(_mm256_sub_ps(s[j], maxes));
		_mm256_store_ps(scores + j * LANES, s[j]);
	}
	softmax->max = page_max;
	softmax->sum = __builtin_fmaf(softmax->sum, factor,
								  sum_lanes(_mm256_add_ps(s[0], s[2]), _mm256_add_ps(s[1], s[3])));
	return factor;
}

/* o = o factor + sum of p v, for some vectors of features. */
INLINE void
add_values(LlmKvType type, int queries, int vectors, const PageView *page, int32_t feature,
		   float (*p)[LLM_KV_PAGE], const float *factors, float *const *o)
{
	__m256		a[TILE][8];

#pragma GCC unroll 4
	for (int i = 0; i < queries; i++)
#pragma GCC unroll 8
		for (int j = 0; j < vectors; j++)
			a[i][j] = _mm256_mul_ps(_mm256_loadu_ps(o[i] + feature + j * LANES), _mm256_set1_ps(factors[i]));

	for (int64_t t = 0; t < page->n_positions; t++)
	{
		__m256		weights[TILE];

#pragma GCC unroll 4
		for (int i = 0; i < queries; i++)
			weights[i] = _mm256_broadcast_ss(&p[i][t]);
#pragma GCC unroll 8
		for (int j = 0; j < vectors; j++)
		{
			__m256		v = load_elements(type, page->v, t * page->head_dim + feature + j * LANES);

#pragma GCC unroll 4
			for (int i = 0; i < queries; i++)
				a[i][j] = _mm256_fmadd_ps(weights[i], v, a[i][j]);
		}
	}

#pragma GCC unroll 4
	for (int i = 0; i < queries; i++)
#pragma GCC unroll 8
		for (int j = 0; j < vectors; j++)
			_mm256_storeu_ps(o[i] + feature + j * LANES, a[i][j]);
}

/* add_values for one query and one of the features that do not fill a vector. */
INLINE void
add_last_values(LlmKvType type, const PageView *page, int32_t feature, const float *p,
				float factor, float *o)
{
	float		a = o[feature] * factor;

	for (int64_t t = 0; t < page->n_positions; t++)
	{
		int64_t		element = t * page->head_dim + feature;
		float		v = type == LLM_KV_F32 ? ((const float *) page->v)[element] :
			_cvtsh_ss(((const uint16_t *) page->v)[element]);

		a = __builtin_fmaf(p[t], v, a);
	}
	o[feature] = a;
}

INLINE __m256
load_elements(LlmKvType type, const void *from, int64_t element)
{
	if (type == LLM_KV_F32)
		return _mm256_loadu_ps((const float *) from + element);
	return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) ((const uint16_t *) from + element)));
}

static void
divide(float *o, int32_t n, float divisor)
{
	for (int64_t i = 0; i < n; i += LANES)
	{
		__m256i		mask = first_lanes(n - i);
		__m256		quotient = _mm256_div_ps(_mm256_maskload_ps(o + i, mask), _mm256_set1_ps(divisor));

		_mm256_maskstore_ps(o + i, mask, quotient);
	}
}

#endif							/* __x86_64__ */
