/*
 * avx512_bf16.h
 *		The two ways to the same bits of a product with BF16 weights.
 */
#ifndef LLM_KERNELS_AVX512_BF16_H
#define LLM_KERNELS_AVX512_BF16_H

#include "engine/kernels/kernels.h"

/* With VDPBF16PS: processors with AVX512_BF16 only. */
extern void avx512_matmul_bf16_pairs(const LlmMatrix *w, int32_t first, int32_t last,
									 const LlmActivations *x, float *y, int64_t y_stride);

/* With fused multiply-adds. */
extern void avx512_matmul_bf16_single(const LlmMatrix *w, int32_t first, int32_t last,
									  const LlmActivations *x, float *y, int64_t y_stride);

#endif							/* LLM_KERNELS_AVX512_BF16_H */
