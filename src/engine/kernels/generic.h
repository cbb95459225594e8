/*
 * generic.h
 *		What the files of the generic kernel set share.
 *
 * The set is plain C for any processor and the oracle of the others.  Its inner
 * loops run over LANES independent numbers, which is all that a compiler needs to
 * make vector code of them without changing a bit of the result.
 */
#ifndef LLM_GENERIC_H
#define LLM_GENERIC_H

#include "engine/kernels/kernels.h"

#define LANES 16

extern void generic_attention(const LlmAttentionWork *work);

#define GENERIC_MATMUL(NAME) \
	void generic_matmul_##NAME(const LlmMatrix *w, int32_t first, int32_t last, \
							   const LlmActivations *x, float *y, int64_t y_stride)

extern GENERIC_MATMUL(F32);
extern GENERIC_MATMUL(F16);
extern GENERIC_MATMUL(BF16);
extern GENERIC_MATMUL(Q4_0);
extern GENERIC_MATMUL(Q4_1);
extern GENERIC_MATMUL(Q5_0);
extern GENERIC_MATMUL(Q5_1);
extern GENERIC_MATMUL(Q8_0);
extern GENERIC_MATMUL(Q2_K);
extern GENERIC_MATMUL(Q3_K);
extern GENERIC_MATMUL(Q4_K);
extern GENERIC_MATMUL(Q5_K);
extern GENERIC_MATMUL(Q6_K);

/* The sum of the lanes: i and i + 8, then i and i + 4, 2, 1. */
static inline float
generic_sum_lanes(float lanes[LANES])
{
	for (int half = LANES / 2; half > 0; half /= 2)
		for (int i = 0; i < half; i++)
			lanes[i] += lanes[i + half];
	return lanes[0];
}

#endif							/* LLM_GENERIC_H */
