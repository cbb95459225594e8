/*
 * avx512.c
 *		The kernels on vectors of the AVX-512 set, and the tables of the sets that have them: that one and AMX's.
 */
#if defined(__x86_64__)

#include "engine/kernels/amx.h"
#include "engine/kernels/avx512.h"
#include "engine/kernels/quantize_blocks.h"

#include <float.h>
#include <math.h>

static float scale_of_block(const float *x, int64_t n);
static void quantize_group(const float *x, float scale, int8_t *q, int32_t *sum16);
static float greatest(const float *x, int32_t n);
static float sum_of_squares(const float *x, int32_t n);

static void
quantize(LlmActivations *activations, int32_t first, int32_t last)
{
	llm_quantize_blocks(activations, first, last, scale_of_block, quantize_group);
}

static void
rms_norm(const float *x, const float *weight, int32_t n, float eps, float *out)
{
	const __m512 inverse = _mm512_set1_ps(1.0f / sqrtf(sum_of_squares(x, n) / (float) n + eps));

	for (int32_t i = 0; i < n; i += AVX512_LANES)
	{
		const __mmask16 lanes = avx512_first_lanes(n - i);
		__m512		normal = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, x + i), inverse);

		_mm512_mask_storeu_ps(out + i, lanes,
							  _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, weight + i), normal));
	}
}

static void
rope(float *x, const float *table, int32_t n)
{
	for (int32_t i = 0; i < n; i += AVX512_LANES)
	{
		const __mmask16 lanes = avx512_first_lanes(n - i);
		__m512		pairs = _mm512_maskz_loadu_ps(lanes, x + i);
		__m512		angles = _mm512_maskz_loadu_ps(lanes, table + i);
		__m512		swapped = _mm512_permute_ps(pairs, 0xb1);
		__m512		crossed = _mm512_mul_ps(swapped, _mm512_movehdup_ps(angles));

		_mm512_mask_storeu_ps(x + i, lanes,
							  _mm512_fmaddsub_ps(pairs, _mm512_moveldup_ps(angles), crossed));
	}
}

static void
swiglu(float *gate, const float *up, int64_t n)
{
	const __m512 one = _mm512_set1_ps(1.0f);

	for (int64_t i = 0; i < n; i += AVX512_LANES)
	{
		const __mmask16 lanes = avx512_first_lanes(n - i);
		__m512		g = _mm512_maskz_loadu_ps(lanes, gate + i);
		__m512		negative = _mm512_xor_ps(g, _mm512_set1_ps(-0.0f));
		__m512		silu = _mm512_div_ps(g, _mm512_add_ps(one, avx512_exp(negative)));

		_mm512_mask_storeu_ps(gate + i, lanes,
							  _mm512_mul_ps(silu, _mm512_maskz_loadu_ps(lanes, up + i)));
	}
}

static void
add(float *x, const float *y, int64_t n)
{
	for (int64_t i = 0; i < n; i += AVX512_LANES)
	{
		const __mmask16 lanes = avx512_first_lanes(n - i);

		_mm512_mask_storeu_ps(x + i, lanes, _mm512_add_ps(_mm512_maskz_loadu_ps(lanes, x + i),
														  _mm512_maskz_loadu_ps(lanes, y + i)));
	}
}

static int32_t
argmax(const float *x, int32_t n)
{
	const __m512 max = _mm512_set1_ps(greatest(x, n));

	for (int32_t i = 0; i < n; i += AVX512_LANES)
	{
		const __mmask16 lanes = avx512_first_lanes(n - i);
		__mmask16	equal = _mm512_mask_cmp_ps_mask(lanes, _mm512_maskz_loadu_ps(lanes, x + i), max,
													_CMP_EQ_OQ);

		if (equal != 0)
			return i + __builtin_ctz(equal);
	}
	return 0;
}

static float
log_sum_exp(const float *x, int32_t n)
{
	const float max = greatest(x, n);
	__m512		sum = _mm512_setzero_ps();

	if (!isfinite(max))
		return x[argmax(x, n)];
	for (int32_t i = 0; i < n; i += AVX512_LANES)
	{
		const __mmask16 lanes = avx512_first_lanes(n - i);
		__m512		below = _mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, x + i), _mm512_set1_ps(max));

		sum = _mm512_mask_add_ps(sum, lanes, sum, avx512_exp(below));
	}
	return max + logf(avx512_sum(sum));
}

/* What the sets that are made of AVX-512 have in common. */
#define COMMON_KERNELS \
	.quantize = quantize, \
	.rms_norm = rms_norm, \
	.rope = rope, \
	.swiglu = swiglu, \
	.add = add, \
	.store_kv = avx512_store_kv, \
	.attention = avx512_attention, \
	.argmax = argmax, \
	.log_sum_exp = log_sum_exp

#define MATMULS(set) \
	.matmul = { \
		[LLM_F32] = avx512_matmul_float, \
		[LLM_F16] = avx512_matmul_float, \
		[LLM_BF16] = avx512_matmul_float, \
		[LLM_Q4_0] = set##_matmul_q4_0, \
		[LLM_Q4_1] = set##_matmul_q4_1, \
		[LLM_Q5_0] = set##_matmul_q5_0, \
		[LLM_Q5_1] = set##_matmul_q5_1, \
		[LLM_Q8_0] = set##_matmul_q8_0, \
		[LLM_Q2_K] = set##_matmul_q2_k, \
		[LLM_Q3_K] = set##_matmul_q3_k, \
		[LLM_Q4_K] = set##_matmul_q4_k, \
		[LLM_Q5_K] = set##_matmul_q5_k, \
		[LLM_Q6_K] = set##_matmul_q6_k, \
	}

const LlmKernels llm_kernels_avx512 = {
	.name = "avx512",
	.rounds_bf16_input = true,
	COMMON_KERNELS,
	MATMULS(avx512),
};

const LlmKernels llm_kernels_amx = {
	.name = "amx",
	.rounds_bf16_input = true,
	COMMON_KERNELS,
	MATMULS(amx),
};

#define PROMPT_MATMULS \
	.round_prompts = amx_round_prompts, \
	.prompt_matmul = { \
		[LLM_Q4_0] = amx_prompt_matmul_q4_0, \
		[LLM_Q4_1] = amx_prompt_matmul_q4_1, \
		[LLM_Q5_0] = amx_prompt_matmul_q5_0, \
		[LLM_Q5_1] = amx_prompt_matmul_q5_1, \
		[LLM_Q8_0] = amx_prompt_matmul_q8_0, \
		[LLM_Q2_K] = amx_prompt_matmul_q2_k, \
		[LLM_Q3_K] = amx_prompt_matmul_q3_k, \
		[LLM_Q4_K] = amx_prompt_matmul_q4_k, \
		[LLM_Q5_K] = amx_prompt_matmul_q5_k, \
		[LLM_Q6_K] = amx_prompt_matmul_q6_k, \
	}

const LlmKernels llm_kernels_amx_prompts = {
	.name = "amx_prompts",
	.rounds_bf16_input = true,
	COMMON_KERNELS,
	MATMULS(amx),
	PROMPT_MATMULS,
};

const LlmKernels llm_kernels_amx_bf16 = {
	.name = "amx_bf16",
	.rounds_bf16_input = true,
	.all_are_prompts = true,
	COMMON_KERNELS,
	MATMULS(amx),
	PROMPT_MATMULS,
};

/* A scale below the least normal float would make x / d inexact or infinite. */
static float
scale_of_block(const float *x, int64_t n)
{
	__m512		max = _mm512_setzero_ps();
	float		scale;

	for (int64_t i = 0; i < n; i += AVX512_LANES)
		max = _mm512_max_ps(_mm512_abs_ps(_mm512_loadu_ps(x + i)), max);
	scale = _mm512_reduce_max_ps(max) / 127.0f;
	return scale < FLT_MIN ? 0 : scale;
}

static void
quantize_group(const float *x, float scale, int8_t *q, int32_t *sum16)
{
	const __m512 low = _mm512_loadu_ps(x);
	const __m512 high = _mm512_loadu_ps(x + 16);
	const __m512 inverse = _mm512_set1_ps(1.0f / scale);
	const __mmask16 any = scale > 0 ? 0xffff : 0;
	__m256i		bytes;
	__m256i		sums;

	bytes = _mm256_set_m128i(_mm512_cvtsepi32_epi8(_mm512_maskz_cvtps_epi32(any, _mm512_mul_ps(high, inverse))),
							 _mm512_cvtsepi32_epi8(_mm512_maskz_cvtps_epi32(any, _mm512_mul_ps(low, inverse))));
	/* What is not a number becomes -127 too: the products rely on the range. */
	bytes = _mm256_max_epi8(bytes, _mm256_set1_epi8(-127));
	_mm256_storeu_si256((__m256i *) q, bytes);

	sums = _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_set1_epi8(1), bytes);
	sums = _mm256_add_epi32(sums, _mm256_shuffle_epi32(sums, 0x4e));
	sums = _mm256_add_epi32(sums, _mm256_shuffle_epi32(sums, 0xb1));
	sum16[0] = _mm256_extract_epi32(sums, 0);
	sum16[1] = _mm256_extract_epi32(sums, 4);
}

/* Negative infinity when all are NaN. */
static float
greatest(const float *x, int32_t n)
{
	const __m512 least = _mm512_set1_ps(-INFINITY);
	__m512		max = least;

	for (int32_t i = 0; i < n; i += AVX512_LANES)
		max = _mm512_max_ps(_mm512_mask_loadu_ps(least, avx512_first_lanes(n - i), x + i), max);
	return _mm512_reduce_max_ps(max);
}

static float
sum_of_squares(const float *x, int32_t n)
{
	__m512		sum = _mm512_setzero_ps();

	for (int32_t i = 0; i < n; i += AVX512_LANES)
	{
		const __mmask16 lanes = avx512_first_lanes(n - i);
		__m512		v = _mm512_maskz_loadu_ps(lanes, x + i);

		sum = _mm512_fmadd_ps(v, v, sum);
	}
	return avx512_sum(sum);
}

#endif							/* __x86_64__ */
