/*
 * avx512_float.c
 *		Matrix products with float weights; those of BF16 with VDPBF16PS are in avx512_bf16.c.
 */
#if defined(__x86_64__)

#include "engine/kernels/avx512_float.h"

TILES(f32, PANEL_F32)
TILES(f16, PANEL_F16)
TILES(bf16, PANEL_BF16)
TILES(bf16_swapped, PANEL_BF16_SWAPPED)
TILES(floats, UNPACKED_FLOATS)

void
avx512_matmul_float(const LlmMatrix *w, int32_t first, int32_t last, const LlmActivations *x,
					float *y, int64_t y_stride)
{
	const FloatHabits habits = {
		.to_first_level = !avx512_prefers_second_level(),
		.direct_columns = __builtin_cpu_is("intel") ? TILE_COLUMNS : INT32_MAX
	};

	avx512_matmul_float_as(habits, w, first, last, x, y, y_stride);
}

void
avx512_matmul_float_as(FloatHabits habits, const LlmMatrix *w, int32_t first, int32_t last, const LlmActivations *x,
					   float *y, int64_t y_stride)
{
	if (w->type == LLM_F32)
		multiply_panels(PANEL_F32, habits, tiles_f32, tiles_floats, w, first, last, x, y, y_stride);
	else if (w->type == LLM_F16)
		multiply_panels(PANEL_F16, habits, tiles_f16, tiles_floats, w, first, last, x, y, y_stride);
	else if (!llm_bf16_rounds_input(w))
		multiply_panels(PANEL_BF16, habits, tiles_bf16, tiles_floats, w, first, last, x, y, y_stride);
	else if (__builtin_cpu_supports("avx512bf16"))
		avx512_matmul_bf16_pairs(habits, w, first, last, x, y, y_stride);
	else
		avx512_matmul_bf16_single(habits, w, first, last, x, y, y_stride);
}

/*
 * VDPBF16PS adds both products of a pair one after the other, each with one rounding, and takes
 * subnormals for zeros: so do these multiply-adds in that mode of the processor.
 */
void
avx512_matmul_bf16_single(FloatHabits habits, const LlmMatrix *w, int32_t first, int32_t last, const LlmActivations *x,
						  float *y, int64_t y_stride)
{
	const unsigned int mode = _mm_getcsr();

	_mm_setcsr(mode | _MM_FLUSH_ZERO_ON | _MM_DENORMALS_ZERO_ON);
	multiply_panels(PANEL_BF16_SWAPPED, habits, tiles_bf16_swapped, tiles_floats, w, first, last, x, y, y_stride);
	_mm_setcsr(mode);
}

#endif							/* __x86_64__ */
