/*
 * avx512_float_ways.h
 *		The ways to the same bits of a product with float weights: how panels are read, and BF16 with two instructions.
 */
#ifndef LLM_KERNELS_AVX512_FLOAT_WAYS_H
#define LLM_KERNELS_AVX512_FLOAT_WAYS_H

#include "engine/kernels/kernels.h"

/*
 * How float panels are read.  Intel's processors unpack with the ports that multiply, so that once for all
 * columns is better there; avx512_few.h says which processors fetch into which cache.
 */
typedef struct FloatHabits
{
	bool		to_first_level; /* or else to the second, or nothing */
	int32_t		direct_columns; /* with more, panels are unpacked */
} FloatHabits;

/* F32, F16 or BF16, as w says. */
extern void avx512_matmul_float_as(FloatHabits habits, const LlmMatrix *w, int32_t first, int32_t last,
								   const LlmActivations *x, float *y, int64_t y_stride);

/* BF16 with VDPBF16PS: processors with AVX512_BF16 only. */
extern void avx512_matmul_bf16_pairs(FloatHabits habits, const LlmMatrix *w, int32_t first, int32_t last,
									 const LlmActivations *x, float *y, int64_t y_stride);

/* BF16 with fused multiply-adds. */
extern void avx512_matmul_bf16_single(FloatHabits habits, const LlmMatrix *w, int32_t first, int32_t last,
									  const LlmActivations *x, float *y, int64_t y_stride);

#endif							/* LLM_KERNELS_AVX512_FLOAT_WAYS_H */
