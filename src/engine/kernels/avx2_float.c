/*
 * avx2_float.c
 *		Products of F32, F16 and BF16 matrices with float activations, for AVX2.
 *
 * As in avx2_quantized.c a lane is an output row and one template serves all
 * types.  Each output has a single accumulator, so the processor is kept busy by
 * several panels when there are few columns, and by several columns when there are many.
 */
#if defined(__x86_64__)

#include "engine/kernels/avx2.h"

#define MAX_PANELS 4
#define MAX_COLUMNS 6

KERNEL_INLINE void float_matmul(LlmTensorType type, const LlmMatrix *w, int32_t first, int32_t last,
								const LlmActivations *x, float *y, int64_t y_stride);
KERNEL_INLINE void float_tile(LlmTensorType type, int panels, int columns, const LlmMatrix *w, int32_t panel,
							  const LlmActivations *x, int32_t column, float *y, int64_t y_stride);
KERNEL_INLINE __m256 load_weights(LlmTensorType type, const uint8_t *panel, int64_t element);

#define DEFINE_MATMUL(name, type) \
void \
llm_avx2_matmul_##name(const LlmMatrix *w, int32_t first, int32_t last, \
					   const LlmActivations *x, float *y, int64_t y_stride) \
{ \
	float_matmul(type, w, first, last, x, y, y_stride); \
}

DEFINE_MATMUL(f32, LLM_F32)
DEFINE_MATMUL(f16, LLM_F16)
DEFINE_MATMUL(bf16, LLM_BF16)

KERNEL_INLINE void
float_matmul(LlmTensorType type, const LlmMatrix *w, int32_t first, int32_t last,
			 const LlmActivations *x, float *y, int64_t y_stride)
{
	int32_t		panel = first;

	if (x->n_cols == 1)
		for (; panel + 4 <= last; panel += 4)
			float_tile(type, 4, 1, w, panel, x, 0, y, y_stride);
	if (x->n_cols == 2)
		for (; panel + 2 <= last; panel += 2)
			float_tile(type, 2, 2, w, panel, x, 0, y, y_stride);

	for (; panel < last; panel++)
	{
		int32_t		column = 0;

		for (; column + 6 <= x->n_cols; column += 6)
			float_tile(type, 1, 6, w, panel, x, column, y, y_stride);
		switch (x->n_cols - column)
		{
			case 5:
				float_tile(type, 1, 5, w, panel, x, column, y, y_stride);
				break;
			case 4:
				float_tile(type, 1, 4, w, panel, x, column, y, y_stride);
				break;
			case 3:
				float_tile(type, 1, 3, w, panel, x, column, y, y_stride);
				break;
			case 2:
				float_tile(type, 1, 2, w, panel, x, column, y, y_stride);
				break;
			case 1:
				float_tile(type, 1, 1, w, panel, x, column, y, y_stride);
				break;
		}
	}
}

/* y of whole panels and the columns from `column` on. */
KERNEL_INLINE void
float_tile(LlmTensorType type, int panels, int columns, const LlmMatrix *w, int32_t panel,
		   const LlmActivations *x, int32_t column, float *y, int64_t y_stride)
{
	const uint8_t *weights = w->panels + (uint64_t) panel * w->panel_bytes;
	const float *values = x->x + (int64_t) column * x->width;
	__m256		a[MAX_PANELS][MAX_COLUMNS][2];

#pragma GCC unroll 4
	for (int p = 0; p < panels; p++)
#pragma GCC unroll 6
		for (int c = 0; c < columns; c++)
			a[p][c][0] = a[p][c][1] = _mm256_setzero_ps();

	for (int64_t k = 0; k < w->cols; k++)
	{
#pragma GCC unroll 4
		for (int p = 0; p < panels; p++)
		{
			const uint8_t *from = weights + p * w->panel_bytes;
			__m256		w_0 = load_weights(type, from, k * LLM_PANEL_ROWS);
			__m256		w_1 = load_weights(type, from, k * LLM_PANEL_ROWS + LANES);

#pragma GCC unroll 6
			for (int c = 0; c < columns; c++)
			{
				__m256		value = _mm256_broadcast_ss(values + c * (int64_t) x->width + k);

				a[p][c][0] = _mm256_fmadd_ps(w_0, value, a[p][c][0]);
				a[p][c][1] = _mm256_fmadd_ps(w_1, value, a[p][c][1]);
			}
		}
	}

#pragma GCC unroll 4
	for (int p = 0; p < panels; p++)
#pragma GCC unroll 6
		for (int c = 0; c < columns; c++)
		{
			float	   *out = y + (column + c) * y_stride + (int64_t) (panel + p) * LLM_PANEL_ROWS;

			_mm256_storeu_ps(out, a[p][c][0]);
			_mm256_storeu_ps(out + LANES, a[p][c][1]);
		}
}

/* Eight consecutive elements of a panel. */
KERNEL_INLINE __m256
load_weights(LlmTensorType type, const uint8_t *panel, int64_t element)
{
	__m128i		halves;

	if (type == LLM_F32)
		return _mm256_load_ps((const float *) panel + element);
	halves = _mm_load_si128((const __m128i *) ((const uint16_t *) panel + element));
	if (type == LLM_F16)
		return _mm256_cvtph_ps(halves);
	return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}

#endif							/* __x86_64__ */
