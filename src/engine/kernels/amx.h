/*
 * amx.h
 *		What the files of the AMX kernel set share: the AVX-512 set with products by tiles.
 */
#ifndef LLM_KERNELS_AMX_H
#define LLM_KERNELS_AMX_H

#include "engine/kernels/kernels.h"

/* amx_quantized.c */
#define AMX_MATMUL(name) \
extern void amx_matmul_##name(const LlmMatrix *w, int32_t first, int32_t last, \
							  const LlmActivations *x, float *y, int64_t y_stride)

AMX_MATMUL(q4_0);
AMX_MATMUL(q4_1);
AMX_MATMUL(q5_0);
AMX_MATMUL(q5_1);
AMX_MATMUL(q8_0);
AMX_MATMUL(q4_k);
AMX_MATMUL(q5_k);

#endif							/* LLM_KERNELS_AMX_H */
