/*
 * avx512_float.c
 *		Matrix products with F32 and F16 weights, and with BF16 on processors that lack VDPBF16PS.
 */
#if defined(__x86_64__)

#include "engine/kernels/avx512_float.h"

#include "engine/kernels/amx.h"

TILES(f32, PANEL_F32)
TILES(f16, PANEL_F16)
TILES(bf16, PANEL_BF16)
TILES(bf16_swapped, PANEL_BF16_SWAPPED)
TILES(floats, UNPACKED_FLOATS)

/* As they were measured best; Intel's processors without AMX are taken to be like those with it. */
static const FloatHabits intel_habits = {.to_first_level = true, .direct_columns = TILE_COLUMNS};
static const FloatHabits other_habits = {.to_first_level = false, .direct_columns = INT32_MAX};

KERNEL_INLINE void
multiply_bf16(FloatHabits habits, const LlmMatrix *w, int32_t first, int32_t last, const LlmActivations *x,
			  float *y, int64_t y_stride)
{
	if (!llm_bf16_rounds_input(w))
		multiply_panels(PANEL_BF16, habits, tiles_bf16, tiles_floats, w, first, last, x, y, y_stride);
	else if (__builtin_cpu_supports("avx512bf16"))
		avx512_matmul_bf16_pairs(habits, w, first, last, x, y, y_stride);
	else
		avx512_matmul_bf16_single(habits, w, first, last, x, y, y_stride);
}

#define FLOAT_MATMUL(name, product) \
void \
name(const LlmMatrix *w, int32_t first, int32_t last, const LlmActivations *x, float *y, int64_t y_stride) \
{ \
	product; \
}

/* The products of a set of kernels. */
#define FLOAT_MATMULS(set, habits) \
FLOAT_MATMUL(set##_matmul_f32, \
			 multiply_panels(PANEL_F32, habits, tiles_f32, tiles_floats, w, first, last, x, y, y_stride)) \
FLOAT_MATMUL(set##_matmul_f16, \
			 multiply_panels(PANEL_F16, habits, tiles_f16, tiles_floats, w, first, last, x, y, y_stride)) \
FLOAT_MATMUL(set##_matmul_bf16, \
			 multiply_bf16(habits, w, first, last, x, y, y_stride))

FLOAT_MATMULS(avx512, __builtin_cpu_is("intel") ? intel_habits : other_habits)
FLOAT_MATMULS(amx, intel_habits)

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
