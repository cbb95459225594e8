/*
 * avx512_attention.c
 *		Attention over the pages of one KV head, and the storing into them.
 *
 * Pages are the outer loop, so that a page is in the first caches while all queries read
 * it, and the next one is prefetched meanwhile.  Up to eight queries, a tile, pass a page together
 * and share its conversion to floats; for more, a page is converted once.
 */
#if defined(__x86_64__)

#include "engine/kernels/attention_pages.h"
#include "engine/kernels/avx512.h"
#include "engine/kernels/kv_quantize.h"

#include <math.h>

#define TOGETHER 8				/* queries that pass a page at once */
#define SUMS 16					/* of them and their features, in registers */
#define LINE 64

/* One page and the part of the softmax's state that belongs to some queries. */
typedef struct PageStep
{
	int32_t		head_dim;
	HalfPage	keys;
	HalfPage	values;
	const float *queries;		/* scaled, [head_dim][queries] */
	float	   *const *outputs;
	const int32_t *lengths;
	int32_t		seen;			/* positions before the page */
	float	   *max;
	float	   *sum;
} PageStep;

static HalfPage convert(LlmKvType type, const HalfPage *half, int32_t head_dim, float *out);
static void pack_queries(const float *const *queries, int count, int32_t head_dim, float *packed);
static void divide(float *x, int32_t n, float divisor);
static void attend_tile(PageForm form, int count, const PageStep *step);
KERNEL_INLINE void attend_tile_of(PageForm form, int count, const PageStep *step);
KERNEL_INLINE void attend(PageForm form, int count, const PageStep *step);
KERNEL_INLINE int32_t positions_seen(const PageStep *step, int query);
KERNEL_INLINE void score_page(PageForm form, int count, const PageStep *step, __m512 (*s)[2]);
KERNEL_INLINE void score_features(PageForm form, int count, int chains, const PageStep *step, int32_t first,
								  int32_t n, __m512 (*s)[2]);
KERNEL_INLINE void add_scaled(PageForm form, int count, const PageStep *step, int32_t feature,
							  __m512 (*sums)[2], __m512 (*s)[2]);
KERNEL_INLINE void soften(int count, const PageStep *step, __m512 (*s)[2], float (*p)[LLM_KV_PAGE],
						  float *correction);
KERNEL_INLINE __m512 reduce(int count, __m512 (*take) (__m512 a, __m512 b), const __m512 *v);
KERNEL_INLINE __m512 exp2_lanes(__mmask16 lanes, __m512 x);
KERNEL_INLINE void add_all_values(PageForm form, int count, const PageStep *step, int32_t first, int32_t last,
								  const float (*p)[LLM_KV_PAGE], const float *correction);
KERNEL_INLINE void add_values(PageForm form, int count, int vectors, __mmask16 lanes, const PageStep *step,
							  int32_t feature, int32_t first, int32_t last,
							  const float (*p)[LLM_KV_PAGE], const float *correction);
KERNEL_INLINE void fetch_next(PageForm form, bool is_value, const PageStep *step, int64_t offset, int bytes);
KERNEL_INLINE const float *beside_conversion(PageForm form, const float *p);
KERNEL_INLINE __m512 load_elements(PageForm form, const void *from, int64_t index, __mmask16 lanes);
KERNEL_INLINE __m512 load_scales(PageForm form, const void *scales, int64_t index);

/* How many of n queries the next tile takes. */
static inline int
tile_size(int32_t n)
{
	return n >= 8 ? 8 : n >= 4 ? 4 : n >= 2 ? 2 : 1;
}

void
avx512_attention(const LlmAttentionWork *work)
{
	const LlmKvType type = work->kv_type;
	const int32_t head_dim = work->head_dim;
	const int32_t n_queries = work->n_queries;
	const int32_t n_pages = (work->lengths[n_queries - 1] + LLM_KV_PAGE - 1) / LLM_KV_PAGE;
	float	   *keys = work->scratch;
	float	   *values = keys + llm_kv_half_page_floats(head_dim);
	float	   *max = values + llm_kv_half_page_floats(head_dim);
	float	   *sum = max + n_queries;
	float	   *queries = sum + n_queries;

	for (int32_t i = 0; i < n_queries; i++)
	{
		max[i] = -INFINITY;
		sum[i] = 0;
		memset(work->outputs[i], 0, (size_t) head_dim * sizeof(float));
	}
	for (int32_t i = 0; i < n_queries; i += tile_size(n_queries - i))
		pack_queries(work->queries + i, tile_size(n_queries - i), head_dim, queries + i * head_dim);

	for (int32_t page = 0, first = 0; page < n_pages; page++)
	{
		bool		converted;
		PageStep	step = {
			.head_dim = head_dim,
			.keys = half_page(type, work->k_pages, page, n_pages, head_dim),
			.values = half_page(type, work->v_pages, page, n_pages, head_dim),
			.seen = page * LLM_KV_PAGE
		};

		while (work->lengths[first + tile_size(n_queries - first) - 1] <= step.seen)
			first += tile_size(n_queries - first);
		converted = type != LLM_KV_F32 && n_queries - first >= CONVERT_FOR;
		if (converted)
		{
			step.keys = convert(type, &step.keys, head_dim, keys);
			step.values = convert(type, &step.values, head_dim, values);
		}
		for (int32_t i = first; i < n_queries; i += tile_size(n_queries - i))
		{
			step.queries = queries + i * head_dim;
			step.outputs = work->outputs + i;
			step.lengths = work->lengths + i;
			step.max = max + i;
			step.sum = sum + i;
			attend_tile(page_form(type, converted), tile_size(n_queries - i), &step);
			step.keys.next = step.keys.elements;
			step.values.next = step.values.elements;
		}
	}

	for (int32_t i = 0; i < n_queries; i++)
		divide(work->outputs[i], head_dim, sum[i]);
}

void
avx512_store_kv(LlmKvType type, const float *k, const float *v, int32_t head_dim, int32_t slot,
				void *k_page, void *v_page)
{
	if (type == LLM_KV_Q8_0)
	{
		llm_kv_store_q8_0(k, v, head_dim, slot, k_page, v_page);
		return;
	}
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

/* A half page of F16 or Q8_0 as floats, with its scales behind it; prefetches the next one. */
static HalfPage
convert(LlmKvType type, const HalfPage *half, int32_t head_dim, float *out)
{
	const PageForm form = page_form(type, false);
	const int32_t n = LLM_KV_PAGE * head_dim;
	const int32_t n_scales = form == FORM_Q8_0 ? (head_dim + LLM_GROUP - 1) / LLM_GROUP * LLM_KV_PAGE : 0;
	const int64_t bytes = (int64_t) llm_kv_half_page_bytes(type, head_dim);

	for (int64_t i = 0; i < bytes; i += LINE)
		_mm_prefetch(half->next + i, _MM_HINT_T1);
	if (form == FORM_F16)
		for (int32_t i = 0; i < n; i += AVX512_LANES)
			_mm512_store_ps(out + i, load_elements(FORM_F16, half->elements, i, 0xffff));
	else
		for (int32_t i = 0; i < n; i += AVX512_LANES)
			_mm512_store_ps(out + i, load_elements(FORM_Q8_0, half->elements, i, 0xffff));
	for (int32_t i = 0; i < n_scales; i += AVX512_LANES)
		_mm512_store_ps(out + n + i, load_scales(FORM_Q8_0, half->scales, i));
	return (HalfPage)
	{
		.elements = out, .scales = out + n, .next = (const char *) out
	};
}

static void
pack_queries(const float *const *queries, int count, int32_t head_dim, float *packed)
{
	const float factor = llm_attention_factor(head_dim);

	for (int32_t i = 0; count == 1 && i < head_dim; i += AVX512_LANES)
	{
		const __mmask16 lanes = avx512_first_lanes(head_dim - i);

		_mm512_mask_storeu_ps(packed + i, lanes, _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, queries[0] + i),
															   _mm512_set1_ps(factor)));
	}
	for (int query = 0; count > 1 && query < count; query++)
		for (int64_t i = 0; i < head_dim; i++)
			packed[i * count + query] = queries[query][i] * factor;
}

static void
divide(float *x, int32_t n, float divisor)
{
	for (int32_t i = 0; i < n; i += AVX512_LANES)
	{
		const __mmask16 lanes = avx512_first_lanes(n - i);

		_mm512_mask_storeu_ps(x + i, lanes, _mm512_div_ps(_mm512_maskz_loadu_ps(lanes, x + i), _mm512_set1_ps(divisor)));
	}
}

static void
attend_tile(PageForm form, int count, const PageStep *step)
{
	switch (form)
	{
		case FORM_F32:
			attend_tile_of(FORM_F32, count, step);
			break;
		case FORM_F16:
			attend_tile_of(FORM_F16, count, step);
			break;
		case FORM_Q8_0:
			attend_tile_of(FORM_Q8_0, count, step);
			break;
		case FORM_FLOATS:
			attend_tile_of(FORM_FLOATS, count, step);
			break;
		case FORM_CODES:
			attend_tile_of(FORM_CODES, count, step);
			break;
	}
}

KERNEL_INLINE void
attend_tile_of(PageForm form, int count, const PageStep *step)
{
	switch (count)
	{
		case 8:
			attend(form, 8, step);
			break;
		case 4:
			attend(form, 4, step);
			break;
		case 2:
			attend(form, 2, step);
			break;
		default:
			attend(form, 1, step);
			break;
	}
}

/* One page's step of the online softmax for `count` queries. */
KERNEL_INLINE void
attend(PageForm form, int count, const PageStep *step)
{
	static const float unchanged[1] = {1.0f};
	_Alignas(64) float p[TOGETHER][LLM_KV_PAGE];
	_Alignas(64) float correction[AVX512_LANES];
	int32_t		common;
	__m512		s[TOGETHER][2];

	score_page(form, count, step, s);
	soften(count, step, s, p, correction);

	/* The lengths ascend; what the first query sees all see. */
	common = positions_seen(step, 0);
	add_all_values(form, count, step, 0, common, (const float (*)[LLM_KV_PAGE]) p, correction);
	for (int i = 1; i < count; i++)
	{
		PageStep	alone = *step;

		if (positions_seen(step, i) == common)
			continue;
		alone.outputs += i;
		add_all_values(form, 1, &alone, common, positions_seen(step, i), (const float (*)[LLM_KV_PAGE]) (p + i),
					   unchanged);
	}
}

/* How many of the page's positions a query sees. */
KERNEL_INLINE int32_t
positions_seen(const PageStep *step, int query)
{
	const int32_t rest = step->lengths[query] - step->seen;

	return rest < 0 ? 0 : rest < LLM_KV_PAGE ? rest : LLM_KV_PAGE;
}

/* s = the products of queries and keys; with scales, groups of features ascending. */
KERNEL_INLINE void
score_page(PageForm form, int count, const PageStep *step, __m512 (*s)[2])
{
	int32_t		feature = 0;
	__m512		sums[TOGETHER][2];

	if (!has_scales(form))
	{
		score_features(form, count, 1, step, 0, step->head_dim, s);
		return;
	}
#pragma GCC unroll 8
	for (int i = 0; i < count; i++)
		s[i][0] = s[i][1] = _mm512_setzero_ps();
	if (count <= 2)
		for (; feature + 2 * LLM_GROUP <= step->head_dim; feature += 2 * LLM_GROUP)
		{
			score_features(form, count, 2, step, feature, LLM_GROUP, sums);
			add_scaled(form, count, step, feature, sums, s);
			add_scaled(form, count, step, feature + LLM_GROUP, sums + count, s);
		}
	for (; feature < step->head_dim; feature += LLM_GROUP)
	{
		const int32_t rest = step->head_dim - feature;

		score_features(form, count, 1, step, feature, rest < LLM_GROUP ? rest : LLM_GROUP, sums);
		add_scaled(form, count, step, feature, sums, s);
	}
}

/* s = the sums over n features, and behind them those over the n next, in as many chains. */
KERNEL_INLINE void
score_features(PageForm form, int count, int chains, const PageStep *step, int32_t first, int32_t n,
			   __m512 (*s)[2])
{
	const int	row_bytes = LLM_KV_PAGE * element_bytes(form);
	__m512		sums[TOGETHER][2];

#pragma GCC unroll 8
	for (int i = 0; i < chains * count; i++)
		sums[i][0] = sums[i][1] = _mm512_setzero_ps();
	for (int64_t j = first; j < first + n; j++)
	{
#pragma GCC unroll 2
		for (int c = 0; c < chains; c++)
		{
			const int64_t feature = j + c * n;
			const int64_t element = feature * LLM_KV_PAGE;
			const float *queries = step->queries + feature * count;
			const float *anew = beside_conversion(form, queries);
			__m512		k0 = load_elements(form, step->keys.elements, element, 0xffff);
			__m512		k1 = load_elements(form, step->keys.elements, element + AVX512_LANES, 0xffff);

			fetch_next(form, false, step, feature * row_bytes, row_bytes);
#pragma GCC unroll 8
			for (int i = 0; i < count; i++)
			{
				sums[c * count + i][0] = _mm512_fmadd_ps(_mm512_set1_ps(queries[i]), k0, sums[c * count + i][0]);
				sums[c * count + i][1] = _mm512_fmadd_ps(_mm512_set1_ps(anew[i]), k1, sums[c * count + i][1]);
			}
		}
	}
#pragma GCC unroll 8
	for (int i = 0; i < chains * count; i++)
	{
		s[i][0] = sums[i][0];
		s[i][1] = sums[i][1];
	}
}

/* Add the sums over a group of features to s, times its scales. */
KERNEL_INLINE void
add_scaled(PageForm form, int count, const PageStep *step, int32_t feature, __m512 (*sums)[2],
		   __m512 (*s)[2])
{
	const int64_t row = (int64_t) feature / LLM_GROUP * LLM_KV_PAGE;
	const __m512 d0 = load_scales(form, step->keys.scales, row);
	const __m512 d1 = load_scales(form, step->keys.scales, row + AVX512_LANES);

#pragma GCC unroll 8
	for (int i = 0; i < count; i++)
	{
		s[i][0] = _mm512_fmadd_ps(d0, sums[i][0], s[i][0]);
		s[i][1] = _mm512_fmadd_ps(d1, sums[i][1], s[i][1]);
	}
}

/*
 * Turn the products into weights p, 0 beyond a query's length; correction is the factor by which
 * everything before this page shrinks.
 */
KERNEL_INLINE void
soften(int count, const PageStep *step, __m512 (*s)[2], float (*p)[LLM_KV_PAGE], float *correction)
{
	const __m512 least = _mm512_set1_ps(-INFINITY);
	const __mmask16 all = (__mmask16) ((1 << count) - 1);
	const __m512 old_max = _mm512_maskz_loadu_ps(all, step->max);
	_Alignas(64) float max[AVX512_LANES];
	__mmask16	seen[TOGETHER][2];
	__m512		lanes[TOGETHER];
	__m512		new_max;
	__m512		factor;
	__m512		sum;

#pragma GCC unroll 8
	for (int i = 0; i < count; i++)
	{
		const uint64_t bits = (UINT64_C(1) << positions_seen(step, i)) - 1;

		seen[i][0] = (__mmask16) bits;
		seen[i][1] = (__mmask16) (bits >> AVX512_LANES);
		lanes[i] = _mm512_mask_mov_ps(least, seen[i][0], s[i][0]);
		lanes[i] = _mm512_mask_max_ps(lanes[i], seen[i][1], lanes[i], s[i][1]);
	}
	new_max = _mm512_max_ps(reduce(count, _mm512_max_ps, lanes), old_max);
	factor = exp2_lanes(all, _mm512_sub_ps(old_max, new_max));
	_mm512_store_ps(max, new_max);

#pragma GCC unroll 8
	for (int i = 0; i < count; i++)
	{
		const __m512 m = _mm512_set1_ps(max[i]);
		__m512		p0 = exp2_lanes(seen[i][0], _mm512_sub_ps(s[i][0], m));
		__m512		p1 = exp2_lanes(seen[i][1], _mm512_sub_ps(s[i][1], m));

		lanes[i] = _mm512_add_ps(p0, p1);
		_mm512_store_ps(p[i], p0);
		_mm512_store_ps(p[i] + AVX512_LANES, p1);
	}
	sum = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(all, step->sum), factor, reduce(count, _mm512_add_ps, lanes));
	_mm512_mask_storeu_ps(step->max, all, new_max);
	_mm512_mask_storeu_ps(step->sum, all, sum);
	_mm512_store_ps(correction, factor);
}

/*
 * Lane i of the result holds all lanes of v[i], taken together pairwise at distances 8, 4, 2, 1.
 * Each step halves two vectors into one.
 */
KERNEL_INLINE __m512
reduce(int count, __m512 (*take) (__m512 a, __m512 b), const __m512 *v)
{
	const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 2, 6, 10, 14, 0, 4, 8, 12, 2, 6, 10, 14);
	__m512		halves[TOGETHER / 2];
	__m512		quarters[TOGETHER / 4];
	__m512		eighths;

#pragma GCC unroll 4
	for (int i = 0; i < TOGETHER / 2; i++)
	{
		const __m512 a = v[2 * i % count];
		const __m512 b = v[(2 * i + 1) % count];

		halves[i] = take(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
	}
#pragma GCC unroll 2
	for (int i = 0; i < TOGETHER / 4; i++)
		quarters[i] = take(_mm512_shuffle_f32x4(halves[2 * i], halves[2 * i + 1], 0x88),
						   _mm512_shuffle_f32x4(halves[2 * i], halves[2 * i + 1], 0xdd));
	eighths = take(_mm512_shuffle_ps(quarters[0], quarters[1], 0x44),
				   _mm512_shuffle_ps(quarters[0], quarters[1], 0xee));
	return _mm512_permutexvar_ps(order, take(eighths, _mm512_movehdup_ps(eighths)));
}

/*
 * 2^x in some lanes, 0 in the others and for x < LLM_LEAST_POWER, for x <= 0 or NaN.  x = n + r with |r| <= 1/2; the
 * polynomial is that of Cephes' exp2f (Moshier).
 */
KERNEL_INLINE __m512
exp2_lanes(__mmask16 lanes, __m512 x)
{
	__mmask16	kept = _mm512_mask_cmp_ps_mask(lanes, x, _mm512_set1_ps(LLM_LEAST_POWER), _CMP_NLT_UQ);
	__m512		n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
	__m512		r = _mm512_sub_ps(x, n);
	__m512		p = _mm512_set1_ps(1.535336188319500e-4f);

	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.339887440266574e-3f));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(9.618437357674640e-3f));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.550332471162809e-2f));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(2.402264791363012e-1f));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(6.931472028550421e-1f));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
	return _mm512_maskz_scalef_ps(kept, p, n);
}

/* Take positions first .. last - 1 into all features of the outputs. */
KERNEL_INLINE void
add_all_values(PageForm form, int count, const PageStep *step, int32_t first, int32_t last,
			   const float (*p)[LLM_KV_PAGE], const float *correction)
{
	const int	vectors = SUMS / count < 8 ? SUMS / count : 8;
	int32_t		feature = 0;

	for (; feature + vectors * AVX512_LANES <= step->head_dim; feature += vectors * AVX512_LANES)
		add_values(form, count, vectors, 0xffff, step, feature, first, last, p, correction);
	if (vectors > 4)
		for (; feature + 4 * AVX512_LANES <= step->head_dim; feature += 4 * AVX512_LANES)
			add_values(form, count, 4, 0xffff, step, feature, first, last, p, correction);
	for (; feature < step->head_dim; feature += AVX512_LANES)
		add_values(form, count, 1, avx512_first_lanes(step->head_dim - feature), step, feature,
				   first, last, p, correction);
}

/*
 * Add positions first .. last - 1, weighted by p, to `vectors` vectors of features of
 * `count` queries, whose outputs are first scaled by their corrections.
 */
KERNEL_INLINE void
add_values(PageForm form, int count, int vectors, __mmask16 lanes, const PageStep *step,
		   int32_t feature, int32_t first, int32_t last, const float (*p)[LLM_KV_PAGE],
		   const float *correction)
{
	const bool	scaled = has_scales(form);
	const int	per_group = LLM_GROUP / AVX512_LANES;
	const int	groups = scaled ? (vectors + per_group - 1) / per_group : 1;
	const int	bytes = vectors * AVX512_LANES * element_bytes(form);
	_Alignas(64) float scaled_p[TOGETHER * 4][LLM_KV_PAGE];
	const float (*weights)[LLM_KV_PAGE] = scaled ? (const float (*)[LLM_KV_PAGE]) scaled_p : p;
	__m512		o[TOGETHER][SUMS / 2];

	for (int g = 0; scaled && g < groups; g++)
		for (int half = 0; half < 2; half++)
		{
			const int64_t row = (int64_t) (feature / LLM_GROUP + g) * LLM_KV_PAGE;
			const __m512 d = load_scales(form, step->values.scales, row + half * AVX512_LANES);

#pragma GCC unroll 8
			for (int i = 0; i < count; i++)
				_mm512_store_ps(scaled_p[i * groups + g] + half * AVX512_LANES,
								_mm512_mul_ps(_mm512_load_ps(p[i] + half * AVX512_LANES), d));
		}

#pragma GCC unroll 8
	for (int i = 0; i < count; i++)
#pragma GCC unroll 8
		for (int j = 0; j < vectors; j++)
			o[i][j] = _mm512_mul_ps(_mm512_set1_ps(correction[i]),
									_mm512_maskz_loadu_ps(lanes, step->outputs[i] + feature + j * AVX512_LANES));

	for (int64_t t = first; t < last; t++)
	{
		const int64_t index = t * step->head_dim + feature;
		const float *weight = &weights[0][t];
		const float *anew = beside_conversion(form, weight);
		__m512		v[SUMS / 2];

#pragma GCC unroll 8
		for (int j = 0; j < vectors; j++)
			v[j] = load_elements(form, step->values.elements, index + j * AVX512_LANES, lanes);
		fetch_next(form, true, step, feature * LLM_KV_PAGE * element_bytes(form) + t * bytes, bytes);
#pragma GCC unroll 8
		for (int i = 0; i < count; i++)
#pragma GCC unroll 8
			for (int j = 0; j < vectors; j++)
			{
				const int	row = i * groups + (scaled ? j / per_group : 0);

				o[i][j] = _mm512_fmadd_ps(_mm512_set1_ps((j % 2 ? anew : weight)[row * LLM_KV_PAGE]), v[j], o[i][j]);
			}
	}

#pragma GCC unroll 8
	for (int i = 0; i < count; i++)
#pragma GCC unroll 8
		for (int j = 0; j < vectors; j++)
			_mm512_mask_storeu_ps(step->outputs[i] + feature + j * AVX512_LANES, lanes, o[i][j]);
}

/*
 * While bytes of a page's keys or values are read, from `offset` on, as many of the next page are fetched: a line of each half
 * by turns, which memory serves sooner than one half behind the other.
 */
KERNEL_INLINE void
fetch_next(PageForm form, bool is_value, const PageStep *step, int64_t offset, int bytes)
{
	const int64_t half_bytes = (int64_t) step->head_dim * LLM_KV_PAGE * element_bytes(form);
	const int64_t done = offset + (is_value ? half_bytes : 0);

	if (is_converted(form) || (bytes < 2 * LINE && done % (2 * LINE) != 0))
		return;
	for (int byte = 0; byte < bytes; byte += 2 * LINE)
	{
		_mm_prefetch(step->keys.next + (done + byte) / 2, _MM_HINT_T1);
		_mm_prefetch(step->values.next + (done + byte) / 2, _MM_HINT_T1);
	}
}

/*
 * Where the second of two multiplications reads its factor: where elements are converted to floats besides, from memory once
 * more, as Zen 4 multiplies sooner with what the multiplication itself broadcasts.  Not measured on Intel's processors.
 */
KERNEL_INLINE const float *
beside_conversion(PageForm form, const float *p)
{
	return form == FORM_F16 || form == FORM_Q8_0 ? llm_load_anew(p) : p;
}

KERNEL_INLINE __m512
load_elements(PageForm form, const void *from, int64_t index, __mmask16 lanes)
{
	if (form == FORM_F16)
		return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes, (const uint16_t *) from + index));
	if (form == FORM_Q8_0)
		return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(lanes, (const int8_t *) from + index)));
	return _mm512_maskz_loadu_ps(lanes, (const float *) from + index);
}

/* Sixteen scales. */
KERNEL_INLINE __m512
load_scales(PageForm form, const void *scales, int64_t index)
{
	return load_elements(form == FORM_Q8_0 ? FORM_F16 : FORM_F32, scales, index, 0xffff);
}

#endif							/* __x86_64__ */
