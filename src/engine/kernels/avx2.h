/*
 * avx2.h
 *		What the files of the two sets made of AVX2 share; private to avx2*.c and avxvnni*.c.
 *
 * A 64-byte vector of the packed layout (sixteen rows) is two ymm registers
 * here, called halves.  Sixteen-lane sums are kept the same way.
 */
#ifndef LLM_KERNELS_AVX2_H
#define LLM_KERNELS_AVX2_H

#include <immintrin.h>

#include "engine/kernels/kernels.h"

/* Lanes of a ymm register, and so rows of half a panel. */
#define LANES 8

#define DECLARE_MATMUL(set, type) \
extern void llm_##set##_matmul_##type(const LlmMatrix *w, int32_t first, int32_t last, \
									  const LlmActivations *x, float *y, int64_t y_stride);

#define DECLARE_QUANTIZED_MATMULS(set) \
DECLARE_MATMUL(set, q4_0) \
DECLARE_MATMUL(set, q4_1) \
DECLARE_MATMUL(set, q5_0) \
DECLARE_MATMUL(set, q5_1) \
DECLARE_MATMUL(set, q8_0) \
DECLARE_MATMUL(set, q2_k) \
DECLARE_MATMUL(set, q3_k) \
DECLARE_MATMUL(set, q4_k) \
DECLARE_MATMUL(set, q5_k) \
DECLARE_MATMUL(set, q6_k)

DECLARE_MATMUL(avx2, f32)
DECLARE_MATMUL(avx2, f16)
DECLARE_MATMUL(avx2, bf16)
DECLARE_QUANTIZED_MATMULS(avx2)
DECLARE_QUANTIZED_MATMULS(avxvnni)

extern void llm_avx2_store_kv(LlmKvType type, const float *k, const float *v, int32_t head_dim,
							  int32_t slot, void *k_page, void *v_page);
extern void llm_avx2_attention(const LlmAttentionWork *work);

/* All bits set in the first n lanes (none for n <= 0, all for n >= 8). */
KERNEL_INLINE __m256i
first_lanes(int64_t n)
{
	int			count = n > LANES ? LANES : (int) n;

	return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/* The sum of 16 lanes, pairwise: 8, 4, 2, 1. */
KERNEL_INLINE float
sum_lanes(__m256 lanes_0_7, __m256 lanes_8_15)
{
	__m256		eight = _mm256_add_ps(lanes_0_7, lanes_8_15);
	__m128		four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
	__m128		two = _mm_add_ps(four, _mm_movehl_ps(four, four));

	return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/* The greatest of 8 lanes. */
KERNEL_INLINE float
max_lane(__m256 lanes)
{
	__m128		four = _mm_max_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps(lanes, 1));
	__m128		two = _mm_max_ps(four, _mm_movehl_ps(four, four));

	return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

/*
 * exp(x), to 1.01 ulp; 0 where the result would be subnormal, infinity where
 * it would overflow, NaN for NaN.  x = n log 2 + r with |r| <= log(2) / 2; the polynomial is
 * that of Cephes' expf (Moshier).  2^n is applied in two factors because it may exceed the
 * greatest float where exp(x) does not.
 */
KERNEL_INLINE __m256
exp_lanes(__m256 x)
{
	const __m256 smallest = _mm256_set1_ps(-87.3365447f);
	__m256		clamped = _mm256_max_ps(_mm256_set1_ps(-90.0f), _mm256_min_ps(_mm256_set1_ps(90.0f), x));
	__m256		n = _mm256_round_ps(_mm256_mul_ps(clamped, _mm256_set1_ps(1.44269504f)),
									_MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
	__m256		r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), clamped);
	__m256		p = _mm256_set1_ps(1.9875691500e-4f);
	__m256i		exponent = _mm256_cvtps_epi32(n);
	__m256i		part = _mm256_srai_epi32(exponent, 1);
	__m256i		rest = _mm256_sub_epi32(exponent, part);

	r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.3981999507e-3f));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(8.3334519073e-3f));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(4.1665795894e-2f));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.6666665459e-1f));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(5.0000001201e-1f));
	p = _mm256_fmadd_ps(p, _mm256_mul_ps(r, r), r);
	p = _mm256_add_ps(p, _mm256_set1_ps(1.0f));
	part = _mm256_slli_epi32(_mm256_add_epi32(part, _mm256_set1_epi32(127)), 23);
	rest = _mm256_slli_epi32(_mm256_add_epi32(rest, _mm256_set1_epi32(127)), 23);
	p = _mm256_mul_ps(_mm256_mul_ps(p, _mm256_castsi256_ps(part)), _mm256_castsi256_ps(rest));
	return _mm256_andnot_ps(_mm256_cmp_ps(x, smallest, _CMP_LT_OQ), p);
}

#endif							/* LLM_KERNELS_AVX2_H */
