/*
 * avx512.h
 *		What the files of the AVX-512 kernel set share.
 */
#ifndef LLM_KERNELS_AVX512_H
#define LLM_KERNELS_AVX512_H

#include <immintrin.h>

#include "engine/kernels/kernels.h"

#define AVX512_LANES 16

/* A test's build may multiply as on the other kind of processors. */
#ifndef SWAP_CACHE_LEVELS
#define SWAP_CACHE_LEVELS false
#endif

/* avx512_float.c: F32, F16 and BF16 */
extern void avx512_matmul_float(const LlmMatrix *w, int32_t first, int32_t last,
								const LlmActivations *x, float *y, int64_t y_stride);

/* avx512_quantized.c */
extern void avx512_matmul_q4_0(const LlmMatrix *w, int32_t first, int32_t last,
							   const LlmActivations *x, float *y, int64_t y_stride);
extern void avx512_matmul_q4_1(const LlmMatrix *w, int32_t first, int32_t last,
							   const LlmActivations *x, float *y, int64_t y_stride);
extern void avx512_matmul_q5_0(const LlmMatrix *w, int32_t first, int32_t last,
							   const LlmActivations *x, float *y, int64_t y_stride);
extern void avx512_matmul_q5_1(const LlmMatrix *w, int32_t first, int32_t last,
							   const LlmActivations *x, float *y, int64_t y_stride);
extern void avx512_matmul_q8_0(const LlmMatrix *w, int32_t first, int32_t last,
							   const LlmActivations *x, float *y, int64_t y_stride);
extern void avx512_matmul_q2_k(const LlmMatrix *w, int32_t first, int32_t last,
							   const LlmActivations *x, float *y, int64_t y_stride);
extern void avx512_matmul_q3_k(const LlmMatrix *w, int32_t first, int32_t last,
							   const LlmActivations *x, float *y, int64_t y_stride);
extern void avx512_matmul_q4_k(const LlmMatrix *w, int32_t first, int32_t last,
							   const LlmActivations *x, float *y, int64_t y_stride);
extern void avx512_matmul_q5_k(const LlmMatrix *w, int32_t first, int32_t last,
							   const LlmActivations *x, float *y, int64_t y_stride);
extern void avx512_matmul_q6_k(const LlmMatrix *w, int32_t first, int32_t last,
							   const LlmActivations *x, float *y, int64_t y_stride);

/* avx512_attention.c */
extern void avx512_store_kv(LlmKvType type, const float *k, const float *v, int32_t head_dim,
							int32_t slot, void *k_page, void *v_page);
extern void avx512_attention(const LlmAttentionWork *work);

/*
 * Is the second-level cache the one to fetch weights into?  So on AMD's Zen 4, which AVX-VNNI tells from Zen 5; not measured on
 * Intel's processors that have AVX-512 but no AMX, which are taken to be like those with it.
 */
KERNEL_INLINE bool
avx512_prefers_second_level(void)
{
	const bool	is_zen4 = __builtin_cpu_is("amd") && !__builtin_cpu_supports("avxvnni");

	return is_zen4 != SWAP_CACHE_LEVELS;
}

/* The first n lanes (0..16). */
KERNEL_INLINE __mmask16
avx512_first_lanes(int64_t n)
{
	return n >= AVX512_LANES ? (__mmask16) 0xffff : (__mmask16) ((1u << n) - 1);
}

/* Lanes added pairwise at distances 8, 4, 2, 1. */
KERNEL_INLINE float
avx512_sum(__m512 v)
{
	__m256		v8 = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
	__m128		v4 = _mm_add_ps(_mm256_castps256_ps128(v8), _mm256_extractf128_ps(v8, 1));
	__m128		v2 = _mm_add_ps(v4, _mm_movehl_ps(v4, v4));

	return _mm_cvtss_f32(_mm_add_ss(v2, _mm_movehdup_ps(v2)));
}

/*
 * exp of sixteen floats to about one unit in the last place: x = n ln 2 + r with |r| <=
 * ln 2 / 2, a polynomial of degree 7 for exp(r), and scalef, which rounds to
 * subnormals, zero or infinity by itself.  The clamp keeps n finite for
 * infinite x; NaN stays NaN.
 */
KERNEL_INLINE __m512
avx512_exp(__m512 x)
{
	__m512		bounded = _mm512_min_ps(_mm512_set1_ps(256.0f),
										_mm512_max_ps(_mm512_set1_ps(-256.0f), x));
	__m512		n = _mm512_roundscale_ps(_mm512_mul_ps(bounded, _mm512_set1_ps(0x1.715476p+0f)),
										 _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
	__m512		r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0x1.62e4p-1f), bounded);
	__m512		p = _mm512_set1_ps(1.0f / 5040.0f);

	r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0x1.7f7d1cp-20f), r);
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 720.0f));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 120.0f));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 24.0f));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 6.0f));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
	return _mm512_scalef_ps(p, n);
}

#endif							/* LLM_KERNELS_AVX512_H */
