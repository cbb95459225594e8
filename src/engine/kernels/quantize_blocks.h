/*
 * quantize_blocks.h
 *		The loop of LlmKernels.quantize over columns, blocks and groups, the same for every set.
 */
#ifndef LLM_KERNELS_QUANTIZE_BLOCKS_H
#define LLM_KERNELS_QUANTIZE_BLOCKS_H

#include "engine/kernels/kernels.h"

/* max|x| / 127 of n values, a multiple of 32; 0 where that would be no normal number. */
typedef float (*LlmScaleOfBlock) (const float *x, int64_t n);

/* 32 values' q, all 0 where the scale is 0, and their sums. */
typedef void (*LlmQuantizeGroup) (const float *x, float scale, int8_t *q, int32_t *sum16);

/* Inlined with functions that are constant, so that these are inlined too. */
static inline __attribute__((always_inline))
void
llm_quantize_blocks(LlmActivations *activations, int32_t first, int32_t last,
					LlmScaleOfBlock scale_of_block, LlmQuantizeGroup quantize_group)
{
	const int64_t width = activations->width;

	for (int64_t column = first; column < last; column++)
		for (int64_t k = 0; k < width; k += activations->block)
		{
			const float *x = activations->x + column * width + k;
			const int64_t n = width - k < activations->block ? width - k : activations->block;
			const float scale = scale_of_block(x, n);

			for (int64_t i = 0; i < n; i += LLM_GROUP)
			{
				const int64_t place = column * width + k + i;

				activations->d[place / LLM_GROUP] = scale;
				quantize_group(x + i, scale, activations->q + place, activations->sum16 + place / 16);
			}
		}
}

#endif							/* LLM_KERNELS_QUANTIZE_BLOCKS_H */
