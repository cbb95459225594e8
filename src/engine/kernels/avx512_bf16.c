/*
 * avx512_bf16.c
 *		Matrix products with BF16 weights on processors that have VDPBF16PS.
 */
#if defined(__x86_64__)

#include "engine/kernels/avx512_float.h"

TILES(bf16_pairs, PANEL_BF16_PAIRS)
TILES(pairs, UNPACKED_PAIRS)

void
avx512_matmul_bf16_pairs(FloatHabits habits, const LlmMatrix *w, int32_t first, int32_t last, const LlmActivations *x,
						 float *y, int64_t y_stride)
{
	multiply_panels(PANEL_BF16_PAIRS, habits, tiles_bf16_pairs, tiles_pairs, w, first, last, x, y, y_stride);
}

#endif							/* __x86_64__ */
