/*
 * avx2.c
 *		The kernels on vectors of the AVX2 set, and the tables of the two sets that have them: that one and AVX-VNNI's.
 *
 * Needs AVX2, FMA and F16C.  A tail that does not fill a register is computed
 * by the same instructions under a mask, so that an element's bits do not depend on where
 * the work was cut.
 */
#if defined(__x86_64__)

#include <float.h>
#include <math.h>

#include "engine/kernels/avx2.h"
#include "engine/kernels/quantize_blocks.h"

static void quantize(LlmActivations *activations, int32_t first, int32_t last);
static void rms_norm(const float *x, const float *weight, int32_t n, float eps, float *out);
static void rope(float *x, const float *table, int32_t n);
static void swiglu(float *gate, const float *up, int64_t n);
static void add(float *x, const float *y, int64_t n);
static int32_t argmax(const float *x, int32_t n);
static float log_sum_exp(const float *x, int32_t n);
static float greatest(const float *x, int32_t n);

/* What both sets that are made of AVX2 have in common. */
#define COMMON_KERNELS \
	.quantize = quantize, \
	.rms_norm = rms_norm, \
	.rope = rope, \
	.swiglu = swiglu, \
	.add = add, \
	.store_kv = llm_avx2_store_kv, \
	.attention = llm_avx2_attention, \
	.argmax = argmax, \
	.log_sum_exp = log_sum_exp

#define MATMULS(set) \
	.matmul = { \
		[LLM_F32] = llm_avx2_matmul_f32, \
		[LLM_F16] = llm_avx2_matmul_f16, \
		[LLM_BF16] = llm_avx2_matmul_bf16, \
		[LLM_Q4_0] = llm_##set##_matmul_q4_0, \
		[LLM_Q4_1] = llm_##set##_matmul_q4_1, \
		[LLM_Q5_0] = llm_##set##_matmul_q5_0, \
		[LLM_Q5_1] = llm_##set##_matmul_q5_1, \
		[LLM_Q8_0] = llm_##set##_matmul_q8_0, \
		[LLM_Q2_K] = llm_##set##_matmul_q2_k, \
		[LLM_Q3_K] = llm_##set##_matmul_q3_k, \
		[LLM_Q4_K] = llm_##set##_matmul_q4_k, \
		[LLM_Q5_K] = llm_##set##_matmul_q5_k, \
		[LLM_Q6_K] = llm_##set##_matmul_q6_k, \
	}

const LlmKernels llm_kernels_avx2 = {
	.name = "avx2",
	COMMON_KERNELS,
	MATMULS(avx2),
};

const LlmKernels llm_kernels_avxvnni = {
	.name = "avxvnni",
	COMMON_KERNELS,
	MATMULS(avxvnni),
};

/* Up to eight floats of which n are there; the other lanes are 0, and are not touched in memory. */
KERNEL_INLINE __m256
load_some(const float *from, int64_t n)
{
	return n >= LANES ? _mm256_loadu_ps(from) : _mm256_maskload_ps(from, first_lanes(n));
}

KERNEL_INLINE void
store_some(float *to, __m256 lanes, int64_t n)
{
	if (n >= LANES)
		_mm256_storeu_ps(to, lanes);
	else
		_mm256_maskstore_ps(to, first_lanes(n), lanes);
}

KERNEL_INLINE __m256
absolute(__m256 lanes)
{
	return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), lanes);
}

/* round(x * inverse) of eight values as int32; 0 where the inverse is 0. */
KERNEL_INLINE __m256i
quantize_lanes(const float *x, __m256 inverse)
{
	__m256		ratio = _mm256_mul_ps(_mm256_loadu_ps(x), inverse);

	ratio = _mm256_and_ps(ratio, _mm256_cmp_ps(inverse, _mm256_setzero_ps(), _CMP_NEQ_UQ));
	return _mm256_cvtps_epi32(ratio);
}

/* A subnormal scale is too coarse. */
KERNEL_INLINE float
scale_of_block(const float *x, int64_t n)
{
	__m256		max = _mm256_setzero_ps();
	float		scale;

	for (int64_t i = 0; i < n; i += LANES)
		max = _mm256_max_ps(absolute(_mm256_loadu_ps(x + i)), max);
	scale = max_lane(max) / 127.0f;
	return scale < FLT_MIN ? 0.0f : scale;
}

/* One group of 32: its int8 values and the sums of its halves. */
KERNEL_INLINE void
quantize_group(const float *x, float scale, int8_t *q, int32_t *sum16)
{
	__m256		inverse = _mm256_set1_ps(scale == 0 ? 0.0f : 1.0f / scale);
	__m256i		words_0 = _mm256_packs_epi32(quantize_lanes(x, inverse), quantize_lanes(x + 8, inverse));
	__m256i		words_1 = _mm256_packs_epi32(quantize_lanes(x + 16, inverse), quantize_lanes(x + 24, inverse));
	__m256i		bytes = _mm256_packs_epi16(words_0, words_1);
	__m256i		sums;

	/* The packs interleave the 128-bit halves. */
	bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
	/* What is not a number becomes -127 too: the products rely on the range. */
	bytes = _mm256_max_epi8(bytes, _mm256_set1_epi8(-127));
	_mm256_storeu_si256((__m256i *) q, bytes);

	sums = _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), bytes), _mm256_set1_epi16(1));
	sums = _mm256_hadd_epi32(sums, sums);
	sums = _mm256_hadd_epi32(sums, sums);
	sum16[0] = _mm256_extract_epi32(sums, 0);
	sum16[1] = _mm256_extract_epi32(sums, 4);
}

static void
quantize(LlmActivations *activations, int32_t first, int32_t last)
{
	llm_quantize_blocks(activations, first, last, scale_of_block, quantize_group);
}

static void
rms_norm(const float *x, const float *weight, int32_t n, float eps, float *out)
{
	__m256		squares_0 = _mm256_setzero_ps();
	__m256		squares_1 = _mm256_setzero_ps();
	__m256		inverse;

	for (int64_t i = 0; i < n; i += 2 * LANES)
	{
		__m256		x_0 = load_some(x + i, n - i);
		__m256		x_1 = load_some(x + i + LANES, n - i - LANES);

		squares_0 = _mm256_fmadd_ps(x_0, x_0, squares_0);
		squares_1 = _mm256_fmadd_ps(x_1, x_1, squares_1);
	}
	inverse = _mm256_set1_ps(1.0f / sqrtf(sum_lanes(squares_0, squares_1) / (float) n + eps));

	for (int64_t i = 0; i < n; i += LANES)
	{
		__m256		scaled = _mm256_mul_ps(load_some(x + i, n - i), inverse);

		store_some(out + i, _mm256_mul_ps(load_some(weight + i, n - i), scaled), n - i);
	}
}

static void
rope(float *x, const float *table, int32_t n)
{
	for (int64_t i = 0; i < n; i += LANES)
	{
		__m256		pairs = load_some(x + i, n - i);
		__m256		angles = load_some(table + i, n - i);
		__m256		swapped = _mm256_permute_ps(pairs, _MM_SHUFFLE(2, 3, 0, 1));
		__m256		sines = _mm256_mul_ps(swapped, _mm256_movehdup_ps(angles));

		store_some(x + i, _mm256_fmaddsub_ps(pairs, _mm256_moveldup_ps(angles), sines), n - i);
	}
}

static void
swiglu(float *gate, const float *up, int64_t n)
{
	for (int64_t i = 0; i < n; i += LANES)
	{
		__m256		g = load_some(gate + i, n - i);
		__m256		e = exp_lanes(_mm256_xor_ps(g, _mm256_set1_ps(-0.0f)));
		__m256		swish = _mm256_div_ps(g, _mm256_add_ps(_mm256_set1_ps(1.0f), e));

		store_some(gate + i, _mm256_mul_ps(swish, load_some(up + i, n - i)), n - i);
	}
}

static void
add(float *x, const float *y, int64_t n)
{
	for (int64_t i = 0; i < n; i += LANES)
		store_some(x + i, _mm256_add_ps(load_some(x + i, n - i), load_some(y + i, n - i)), n - i);
}

static int32_t
argmax(const float *x, int32_t n)
{
	float		max = greatest(x, n);
	__m256		maxes = _mm256_set1_ps(max);

	for (int64_t i = 0; i < n; i += LANES)
	{
		__m256i		equal = _mm256_castps_si256(_mm256_cmp_ps(load_some(x + i, n - i), maxes, _CMP_EQ_OQ));
		int			found = _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_and_si256(equal, first_lanes(n - i))));

		if (found != 0)
			return (int32_t) (i + __builtin_ctz((unsigned int) found));
	}
	return 0;					/* all are NaN */
}

static float
log_sum_exp(const float *x, int32_t n)
{
	float		max = greatest(x, n);
	__m256		maxes = _mm256_set1_ps(max);
	__m256		sums_0 = _mm256_setzero_ps();
	__m256		sums_1 = _mm256_setzero_ps();

	if (isinf(max))
		return max;

	for (int64_t i = 0; i < n; i += 2 * LANES)
	{
		__m256		e_0 = exp_lanes(_mm256_sub_ps(load_some(x + i, n - i), maxes));
		__m256		e_1 = exp_lanes(_mm256_sub_ps(load_some(x + i + LANES, n - i - LANES), maxes));
		__m256		there_0 = _mm256_castsi256_ps(first_lanes(n - i));
		__m256		there_1 = _mm256_castsi256_ps(first_lanes(n - i - LANES));

		sums_0 = _mm256_add_ps(sums_0, _mm256_and_ps(e_0, there_0));
		sums_1 = _mm256_add_ps(sums_1, _mm256_and_ps(e_1, there_1));
	}
	return max + logf(sum_lanes(sums_0, sums_1));
}

/* The greatest that is not NaN; -infinity where there is none. */
static float
greatest(const float *x, int32_t n)
{
	const __m256 least = _mm256_set1_ps(-INFINITY);
	__m256		max_0 = least;
	__m256		max_1 = least;
	int64_t		i = 0;

	/* max_ps gives its second operand where one is NaN. */
	for (; i + 2 * LANES <= n; i += 2 * LANES)
	{
		max_0 = _mm256_max_ps(_mm256_loadu_ps(x + i), max_0);
		max_1 = _mm256_max_ps(_mm256_loadu_ps(x + i + LANES), max_1);
	}
	for (; i < n; i += LANES)
	{
		__m256		there = _mm256_castsi256_ps(first_lanes(n - i));

		max_0 = _mm256_max_ps(_mm256_blendv_ps(least, load_some(x + i, n - i), there), max_0);
	}
	return max_lane(_mm256_max_ps(max_0, max_1));
}

#endif							/* __x86_64__ */
