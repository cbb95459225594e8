/*
 * avx2_attention.c
 *		The KV cache's layout and attention over it, for AVX2.
 *
 * Pages are the outer loop, so that a page is in the first cache while all
 * queries that share it read it, and the next one is prefetched meanwhile; the outputs are the
 * accumulators.  Queries are taken four at a time where they see the same positions of a
 * page, and for many a page is converted to floats once; a query's operations and
 * their order are the same alone and among others.
 */
#if defined(__x86_64__)

#include <math.h>
#include <string.h>

#include "engine/kernels/attention_pages.h"
#include "engine/kernels/avx2.h"
#include "engine/kernels/kv_quantize.h"

#define TILE 4					/* queries computed together */
#define PAGE_VECTORS (LLM_KV_PAGE / LANES)
#define LINE 64

/* The online softmax of one query. */
typedef struct Softmax
{
	float		max;
	float		sum;
} Softmax;

/* One page as some queries see it. */
typedef struct PageView
{
	HalfPage	keys;
	HalfPage	values;
	int32_t		head_dim;
	int32_t		n_positions;	/* 1 .. 32 */
} PageView;

static HalfPage convert(LlmKvType type, const HalfPage *half, int32_t head_dim, float *out);
static void attend_queries(PageForm form, bool together, const PageView *page, const float *q,
						   float *const *o, Softmax *softmax);
KERNEL_INLINE void attend_queries_of(PageForm form, bool together, const PageView *page, const float *q,
									 float *const *o, Softmax *softmax);
KERNEL_INLINE void attend_page(PageForm form, int queries, const PageView *page, const float *q,
							   float *const *o, Softmax *softmax);
KERNEL_INLINE void score_page(PageForm form, int queries, int vectors, const PageView *page, int32_t position,
							  const float *q, float (*scores)[LLM_KV_PAGE]);
KERNEL_INLINE void score_features(PageForm form, int queries, int vectors, const PageView *page, int32_t position,
								  int32_t first, int32_t last, const float *q, __m256 (*s)[PAGE_VECTORS]);
KERNEL_INLINE float soften(float *scores, int32_t n_positions, Softmax *softmax);
KERNEL_INLINE void add_values(PageForm form, int queries, int vectors, const PageView *page, int32_t feature,
							  float (*p)[LLM_KV_PAGE], const float *factors, float *const *o);
KERNEL_INLINE void add_last_values(PageForm form, const PageView *page, int32_t feature, const float *p,
								   float factor, float *o);
KERNEL_INLINE void scale_weights(PageForm form, const PageView *page, int32_t feature, const float *p, float *scaled);
KERNEL_INLINE __m256 exp2_lanes(__m256 x);
KERNEL_INLINE __m256 load_elements(PageForm form, const void *from, int64_t element);
KERNEL_INLINE __m256 load_scales(PageForm form, const void *scales, int64_t index);
static void divide(float *o, int32_t n, float divisor);

void
llm_avx2_store_kv(LlmKvType type, const float *k, const float *v, int32_t head_dim,
				  int32_t slot, void *k_page, void *v_page)
{
	if (type == LLM_KV_Q8_0)
		llm_kv_store_q8_0(k, v, head_dim, slot, k_page, v_page);
	else if (type == LLM_KV_F32)
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

/* How many of a page's positions a query of this length sees. */
KERNEL_INLINE int32_t
visible(int32_t length, int32_t page)
{
	int64_t		rest = length - (int64_t) page * LLM_KV_PAGE;

	return rest < 0 ? 0 : rest > LLM_KV_PAGE ? LLM_KV_PAGE : (int32_t) rest;
}

void
llm_avx2_attention(const LlmAttentionWork *work)
{
	const LlmKvType type = work->kv_type;
	const int32_t head_dim = work->head_dim;
	const int32_t n = work->n_queries;
	const int32_t *lengths = work->lengths;
	float	   *const *o = work->outputs;
	float	   *keys = work->scratch;
	float	   *values = keys + llm_kv_half_page_floats(head_dim);
	Softmax    *softmax = (Softmax *) (values + llm_kv_half_page_floats(head_dim));
	float	   *scaled = (float *) (softmax + n);
	float		factor = llm_attention_factor(head_dim);
	int32_t		n_pages = (lengths[n - 1] + LLM_KV_PAGE - 1) / LLM_KV_PAGE;
	int32_t		first = 0;

	for (int32_t i = 0; i < n; i++)
	{
		softmax[i] = (Softmax) {-INFINITY, 0.0f};
		memset(o[i], 0, (size_t) head_dim * sizeof(float));
		for (int64_t j = 0; j < head_dim; j++)
			scaled[i * head_dim + j] = work->queries[i][j] * factor;
	}

	for (int32_t page = 0; page < n_pages; page++)
	{
		PageView	view = {
			.keys = half_page(type, work->k_pages, page, n_pages, head_dim),
			.values = half_page(type, work->v_pages, page, n_pages, head_dim),
			.head_dim = head_dim
		};
		bool		converted;

		while (visible(lengths[first], page) == 0)
			first++;
		converted = type != LLM_KV_F32 && n - first >= CONVERT_FOR;
		if (converted)
		{
			view.keys = convert(type, &view.keys, head_dim, keys);
			view.values = convert(type, &view.values, head_dim, values);
		}
		for (int32_t i = first; i < n;)
		{
			bool		together;

			view.n_positions = visible(lengths[i], page);
			together = i + TILE <= n && visible(lengths[i + TILE - 1], page) == view.n_positions;
			attend_queries(page_form(type, converted), together, &view, scaled + (int64_t) i * head_dim, o + i, softmax + i);
			view.keys.next = view.keys.elements;
			view.values.next = view.values.elements;
			i += together ? TILE : 1;
		}
	}

	for (int32_t i = 0; i < n; i++)
		divide(o[i], head_dim, softmax[i].sum);
}

/* A half page of F16 or Q8_0 as floats, with its scales behind it; prefetches the next one. */
static HalfPage
convert(LlmKvType type, const HalfPage *half, int32_t head_dim, float *out)
{
	PageForm	form = page_form(type, false);
	int64_t		n = LLM_KV_PAGE * (int64_t) head_dim;
	int64_t		n_scales = form == FORM_Q8_0 ? (head_dim + LLM_GROUP - 1) / LLM_GROUP * LLM_KV_PAGE : 0;
	int64_t		bytes = (int64_t) llm_kv_half_page_bytes(type, head_dim);
	HalfPage	converted = {out, out + n, (const char *) out};

	for (int64_t i = 0; i < bytes; i += LINE)
		_mm_prefetch(half->next + i, _MM_HINT_T1);
	if (form == FORM_F16)
		for (int64_t i = 0; i < n; i += LANES)
			_mm256_store_ps(out + i, load_elements(FORM_F16, half->elements, i));
	else
		for (int64_t i = 0; i < n; i += LANES)
			_mm256_store_ps(out + i, load_elements(FORM_Q8_0, half->elements, i));
	for (int64_t i = 0; i < n_scales; i += LANES)
		_mm256_store_ps(out + n + i, load_scales(FORM_Q8_0, half->scales, i));
	return converted;
}

/* One query, or TILE of them together. */
static void
attend_queries(PageForm form, bool together, const PageView *page, const float *q,
			   float *const *o, Softmax *softmax)
{
	switch (form)
	{
		case FORM_F32:
			attend_queries_of(FORM_F32, together, page, q, o, softmax);
			break;
		case FORM_F16:
			attend_queries_of(FORM_F16, together, page, q, o, softmax);
			break;
		case FORM_Q8_0:
			attend_queries_of(FORM_Q8_0, together, page, q, o, softmax);
			break;
		case FORM_FLOATS:
			attend_queries_of(FORM_FLOATS, together, page, q, o, softmax);
			break;
		case FORM_CODES:
			attend_queries_of(FORM_CODES, together, page, q, o, softmax);
			break;
	}
}

KERNEL_INLINE void
attend_queries_of(PageForm form, bool together, const PageView *page, const float *q,
				  float *const *o, Softmax *softmax)
{
	if (together)
		attend_page(form, TILE, page, q, o, softmax);
	else
		attend_page(form, 1, page, q, o, softmax);
}

/* Take one page into the softmax and the outputs of some queries. */
KERNEL_INLINE void
attend_page(PageForm form, int queries, const PageView *page, const float *q,
			float *const *o, Softmax *softmax)
{
	float		p[TILE][LLM_KV_PAGE] __attribute__((aligned(32)));
	float		factors[TILE];
	int32_t		feature = 0;

	if (queries == 1)
		score_page(form, 1, PAGE_VECTORS, page, 0, q, p);
	else
		for (int32_t position = 0; position < page->n_positions; position += 2 * LANES)
			score_page(form, queries, 2, page, position, q, p);

	for (int i = 0; i < queries; i++)
		factors[i] = soften(p[i], page->n_positions, &softmax[i]);

	if (queries == 1)
	{
		for (; feature + 8 * LANES <= page->head_dim; feature += 8 * LANES)
			add_values(form, 1, 8, page, feature, p, factors, o);
		for (; feature + 4 * LANES <= page->head_dim; feature += 4 * LANES)
			add_values(form, 1, 4, page, feature, p, factors, o);
	}
	else
		for (; feature + 2 * LANES <= page->head_dim; feature += 2 * LANES)
			add_values(form, queries, 2, page, feature, p, factors, o);
	for (; feature + LANES <= page->head_dim; feature += LANES)
		add_values(form, queries, 1, page, feature, p, factors, o);
	for (; feature < page->head_dim; feature++)
		for (int i = 0; i < queries; i++)
			add_last_values(form, page, feature, p[i], factors[i], o[i]);
}

/* scores[..][position ..] = q k, for some vectors of positions; with scales, group by group. */
KERNEL_INLINE void
score_page(PageForm form, int queries, int vectors, const PageView *page, int32_t position,
		   const float *q, float (*scores)[LLM_KV_PAGE])
{
	__m256		s[TILE][PAGE_VECTORS];

	if (!has_scales(form))
		score_features(form, queries, vectors, page, position, 0, page->head_dim, q, s);
	else
	{
#pragma GCC unroll 4
		for (int i = 0; i < queries; i++)
#pragma GCC unroll 4
			for (int j = 0; j < vectors; j++)
				_mm256_store_ps(scores[i] + position + j * LANES, _mm256_setzero_ps());
		for (int32_t first = 0; first < page->head_dim; first += LLM_GROUP)
		{
			int32_t		last = first + LLM_GROUP < page->head_dim ? first + LLM_GROUP : page->head_dim;
			int64_t		row = (int64_t) first / LLM_GROUP * LLM_KV_PAGE + position;

			score_features(form, queries, vectors, page, position, first, last, q, s);
#pragma GCC unroll 4
			for (int j = 0; j < vectors; j++)
			{
				__m256		d = load_scales(form, page->keys.scales, row + j * LANES);

#pragma GCC unroll 4
				for (int i = 0; i < queries; i++)
				{
					float	   *place = scores[i] + position + j * LANES;

					_mm256_store_ps(place, _mm256_fmadd_ps(d, s[i][j], _mm256_load_ps(place)));
				}
			}
		}
		return;
	}
#pragma GCC unroll 4
	for (int i = 0; i < queries; i++)
#pragma GCC unroll 4
		for (int j = 0; j < vectors; j++)
			_mm256_store_ps(scores[i] + position + j * LANES, s[i][j]);
}

/* s = the sums over features first .. last - 1. */
KERNEL_INLINE void
score_features(PageForm form, int queries, int vectors, const PageView *page, int32_t position,
			   int32_t first, int32_t last, const float *q, __m256 (*s)[PAGE_VECTORS])
{
	__m256		sums[TILE][PAGE_VECTORS];

#pragma GCC unroll 4
	for (int i = 0; i < queries; i++)
#pragma GCC unroll 4
		for (int j = 0; j < vectors; j++)
			sums[i][j] = _mm256_setzero_ps();

	for (int64_t feature = first; feature < last; feature++)
	{
		int64_t		element = feature * LLM_KV_PAGE + position;
		__m256		k[PAGE_VECTORS];

#pragma GCC unroll 4
		for (int j = 0; j < vectors; j++)
			k[j] = load_elements(form, page->keys.elements, element + j * LANES);
		if (!is_converted(form))
			for (int byte = 0; byte < vectors * LANES * element_bytes(form); byte += LINE)
				_mm_prefetch(page->keys.next + element * element_bytes(form) + byte, _MM_HINT_T1);
#pragma GCC unroll 4
		for (int i = 0; i < queries; i++)
		{
			__m256		value = _mm256_broadcast_ss(q + i * page->head_dim + feature);

#pragma GCC unroll 4
			for (int j = 0; j < vectors; j++)
				sums[i][j] = _mm256_fmadd_ps(value, k[j], sums[i][j]);
		}
	}

#pragma GCC unroll 4
	for (int i = 0; i < queries; i++)
#pragma GCC unroll 4
		for (int j = 0; j < vectors; j++)
			s[i][j] = sums[i][j];
}

/*
 * Turn a page's scores into weights, in place, 0 beyond n_positions; returns
 * the factor by which everything before this page shrinks.
 */
KERNEL_INLINE float
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
	factor = _mm256_cvtss_f32(exp2_lanes(_mm256_set1_ps(softmax->max - page_max)));

#pragma GCC unroll 4
	for (int j = 0; j < PAGE_VECTORS; j++)
	{
		s[j] = exp2_lanes(_mm256_sub_ps(s[j], maxes));
		_mm256_store_ps(scores + j * LANES, s[j]);
	}
	softmax->max = page_max;
	softmax->sum = __builtin_fmaf(softmax->sum, factor,
								  sum_lanes(_mm256_add_ps(s[0], s[2]), _mm256_add_ps(s[1], s[3])));
	return factor;
}

/*
 * 2^x for x <= 0 or NaN; 0 for x < LLM_LEAST_POWER.  x = n + r with |r| <= 1/2; the
 * polynomial is that of Cephes' exp2f (Moshier).
 */
KERNEL_INLINE __m256
exp2_lanes(__m256 x)
{
	const __m256 least = _mm256_set1_ps(LLM_LEAST_POWER);
	__m256		bounded = _mm256_max_ps(least, x);
	__m256		n = _mm256_round_ps(bounded, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
	__m256		r = _mm256_sub_ps(bounded, n);
	__m256		p = _mm256_set1_ps(1.535336188319500e-4f);
	__m256i		power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);

	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.339887440266574e-3f));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(9.618437357674640e-3f));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(5.550332471162809e-2f));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(2.402264791363012e-1f));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(6.931472028550421e-1f));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
	p = _mm256_mul_ps(p, _mm256_castsi256_ps(power));
	return _mm256_andnot_ps(_mm256_cmp_ps(x, least, _CMP_LT_OQ), p);
}

/* o = o factor + sum of p v, for some vectors of features. */
KERNEL_INLINE void
add_values(PageForm form, int queries, int vectors, const PageView *page, int32_t feature,
		   float (*p)[LLM_KV_PAGE], const float *factors, float *const *o)
{
	int			per_group = LLM_GROUP / LANES;
	int			groups = has_scales(form) ? (vectors + per_group - 1) / per_group : 1;
	float		scaled[2 * TILE][LLM_KV_PAGE] __attribute__((aligned(32)));
	const float (*weights)[LLM_KV_PAGE] = (const float (*)[LLM_KV_PAGE]) (has_scales(form) ? scaled : p);
	__m256		a[TILE][8];

	for (int i = 0; has_scales(form) && i < queries; i++)
		for (int g = 0; g < groups; g++)
			scale_weights(form, page, feature + g * LLM_GROUP, p[i], scaled[i * groups + g]);

#pragma GCC unroll 4
	for (int i = 0; i < queries; i++)
#pragma GCC unroll 8
		for (int j = 0; j < vectors; j++)
			a[i][j] = _mm256_mul_ps(_mm256_loadu_ps(o[i] + feature + j * LANES), _mm256_set1_ps(factors[i]));

	for (int64_t t = 0; t < page->n_positions; t++)
	{
		int64_t		element = t * page->head_dim + feature;

		if (!is_converted(form))
			for (int byte = 0; byte < vectors * LANES * element_bytes(form); byte += LINE)
				_mm_prefetch(page->values.next + element * element_bytes(form) + byte, _MM_HINT_T1);
#pragma GCC unroll 8
		for (int j = 0; j < vectors; j++)
		{
			__m256		v = load_elements(form, page->values.elements, element + j * LANES);

#pragma GCC unroll 4
			for (int i = 0; i < queries; i++)
			{
				__m256		weight = _mm256_broadcast_ss(&weights[i * groups + j / per_group % groups][t]);

				a[i][j] = _mm256_fmadd_ps(weight, v, a[i][j]);
			}
		}
	}

#pragma GCC unroll 4
	for (int i = 0; i < queries; i++)
#pragma GCC unroll 8
		for (int j = 0; j < vectors; j++)
			_mm256_storeu_ps(o[i] + feature + j * LANES, a[i][j]);
}

/* add_values for one query and one of the features that do not fill a vector. */
KERNEL_INLINE void
add_last_values(PageForm form, const PageView *page, int32_t feature, const float *p,
				float factor, float *o)
{
	float		scaled[LLM_KV_PAGE] __attribute__((aligned(32)));
	float		a = o[feature] * factor;

	if (has_scales(form))
	{
		scale_weights(form, page, feature, p, scaled);
		p = scaled;
	}
	for (int64_t t = 0; t < page->n_positions; t++)
	{
		int64_t		element = t * page->head_dim + feature;
		float		v = form == FORM_F16 ? _cvtsh_ss(((const uint16_t *) page->values.elements)[element]) :
			form == FORM_Q8_0 ? (float) ((const int8_t *) page->values.elements)[element] :
			((const float *) page->values.elements)[element];

		a = __builtin_fmaf(p[t], v, a);
	}
	o[feature] = a;
}

/* The weights times the scales of the feature's group. */
KERNEL_INLINE void
scale_weights(PageForm form, const PageView *page, int32_t feature, const float *p, float *scaled)
{
	int64_t		row = (int64_t) feature / LLM_GROUP * LLM_KV_PAGE;

#pragma GCC unroll 4
	for (int j = 0; j < LLM_KV_PAGE; j += LANES)
		_mm256_store_ps(scaled + j, _mm256_mul_ps(_mm256_load_ps(p + j),
												  load_scales(form, page->values.scales, row + j)));
}

KERNEL_INLINE __m256
load_elements(PageForm form, const void *from, int64_t element)
{
	if (form == FORM_F16)
		return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) ((const uint16_t *) from + element)));
	if (form == FORM_Q8_0)
		return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)
																	   ((const int8_t *) from + element))));
	return _mm256_loadu_ps((const float *) from + element);
}

/* Eight scales. */
KERNEL_INLINE __m256
load_scales(PageForm form, const void *scales, int64_t index)
{
	return load_elements(form == FORM_Q8_0 ? FORM_F16 : FORM_F32, scales, index);
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
