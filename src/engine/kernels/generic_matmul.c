/*
 * generic_matmul.c
 *		Matrix products in plain C, one function for each type.
 *
 * Every product goes panel by panel, and within a panel by groups of 32
 * weights: a group is unpacked once into lanes (one lane is one row), then
 * added to every column.  The columns of y are the accumulators.  The templates
 * are inlined with a type that is constant, so that each instance keeps only
 * its own type's work.
 */
#include "engine/kernels/generic.h"

#include <string.h>

#include "engine/block.h"
#include "engine/half.h"

#define TEMPLATE static inline __attribute__((always_inline))
#define QUADS (LLM_GROUP / 4)

/*
 * Vectors of the compiler, for any processor, where it does not see by itself
 * that sums are best kept in registers.  Most processors' are of 16 bytes.
 */
typedef int16_t Int16Vector __attribute__((vector_size(16)));
typedef float FloatVector __attribute__((vector_size(16)));

#define INT16_VECTORS (LANES * 2 / 16)
#define FLOAT_VECTORS (LANES * 4 / 16)

/* A group of a panel, ready for multiplication. */
typedef struct Group
{
	int16_t		codes[LLM_GROUP][LANES];	/* offset subtracted */
	float		d[LANES];
	float		m[LANES];
	int32_t		scale[2][LANES];	/* of each half of the group */
	int32_t		min[2][LANES];
} Group;

static void clear_panel(float *y, int64_t y_stride, int32_t n_cols);

TEMPLATE void
unpack_floats(LlmTensorType type, const uint8_t *elements, int32_t n, float out[][LANES])
{
	int			size = type == LLM_F32 ? sizeof(float) : sizeof(uint16_t);

	for (int32_t k = 0; k < n; k++)
		for (int r = 0; r < LANES; r++)
			out[k][r] = llm_float_element(type, elements + (k * LANES + r) * size);
}

TEMPLATE void
add_floats(const float weights[][LANES], int32_t n, const float *x, float *y)
{
	FloatVector sums[FLOAT_VECTORS];

	memcpy(sums, y, sizeof(sums));
	for (int32_t k = 0; k < n; k++)
		for (int v = 0; v < FLOAT_VECTORS; v++)
		{
			FloatVector factors;

			memcpy(&factors, &weights[k][4 * v], sizeof(factors));
			sums[v] += factors * x[k];
		}
	memcpy(y, sums, sizeof(sums));
}

TEMPLATE void
matmul_floats(LlmTensorType type, const LlmMatrix *w, int32_t first, int32_t last,
			  const LlmActivations *x, float *y, int64_t y_stride)
{
	int			size = type == LLM_F32 ? sizeof(float) : sizeof(uint16_t);

	for (int32_t p = first; p < last; p++)
	{
		const uint8_t *panel = w->panels + p * w->panel_bytes;
		float	   *panel_y = y + (int64_t) p * LANES;

		clear_panel(panel_y, y_stride, x->n_cols);
		for (int64_t k = 0; k < w->cols; k += LLM_GROUP)
		{
			int32_t		n = w->cols - k < LLM_GROUP ? (int32_t) (w->cols - k) : LLM_GROUP;
			float		weights[LLM_GROUP][LANES];

			unpack_floats(type, panel + k * LANES * size, n, weights);
			for (int64_t c = 0; c < x->n_cols; c++)
				add_floats(weights, n, x->x + c * x->width + k, panel_y + c * y_stride);
		}
	}
}

/* The bits of quad q as four codes in each lane; vectors are a group's low or high ones. */
TEMPLATE uint32_t
quad_bits(const uint8_t *vectors, int bits, int q, int lane)
{
	uint32_t	word;

	memcpy(&word, vectors + llm_quad_vector(bits, q) * LLM_PANEL_VECTOR + 4 * lane, sizeof(word));
	return word >> llm_quad_shift(bits, q) & 0x01010101u * ((1u << bits) - 1);
}

TEMPLATE void
unpack_codes(LlmBlockLayout layout, const uint8_t *low, const uint8_t *high, int16_t codes[][LANES])
{
	for (int q = 0; q < QUADS; q++)
		for (int r = 0; r < LANES; r++)
		{
			uint32_t	quad = quad_bits(low, layout.low_bits, q, r);

			if (layout.high_bits > 0)
				quad |= quad_bits(high, layout.high_bits, q, r) << layout.low_bits;
			for (int j = 0; j < 4; j++)
				codes[4 * q + j][r] = (int16_t) ((int) (quad >> 8 * j & 255) - layout.offset);
		}
}

TEMPLATE void
unpack_group(LlmTensorType type, LlmBlockLayout layout, const uint8_t *panel, int64_t g, Group *group)
{
	int64_t		block = g * LLM_GROUP / layout.weights;
	int			s = g * LLM_GROUP % layout.weights / layout.sub_weights;
	const uint8_t *sub = panel + llm_block_place(layout, block);
	const uint16_t *d = (const uint16_t *) (panel + llm_halves_place(layout, block));
	const uint8_t *low = panel + llm_group_place(layout, g);

	unpack_codes(layout, low, low + layout.low_bits * LLM_PANEL_VECTOR, group->codes);
	for (int r = 0; r < LANES; r++)
	{
		group->d[r] = llm_half_value(d[r]);
		group->m[r] = layout.has_m ? llm_half_value(d[LANES + r]) : 0;
	}
	for (int half = 0; half < LLM_GROUP / layout.sub_weights; half++)
		for (int r = 0; r < LANES; r++)
		{
			group->scale[half][r] = llm_sub_scale(type, sub + r, LANES, s + half);
			group->min[half][r] = llm_sub_min(type, sub + r, LANES, s + half);
		}
}

/* How many products of a code and an activation (up to 127) an int16 can add, a power of two. */
TEMPLATE int
run_length(LlmBlockLayout layout)
{
	int			greatest = (1 << (layout.low_bits + layout.high_bits)) - 1 - layout.offset;
	int			run = 16;

	if (greatest < layout.offset)
		greatest = layout.offset;
	while (run * 127 * greatest > INT16_MAX)
		run /= 2;
	return run;
}

/* The exact sums of n codes times activations. */
TEMPLATE void
sum_products(LlmBlockLayout layout, const int16_t codes[][LANES], const int8_t *q, int n,
			 int32_t sums[LANES])
{
	int			run = run_length(layout);

	for (int r = 0; r < LANES; r++)
		sums[r] = 0;
	for (int k = 0; k < n; k += run)
	{
		Int16Vector parts[INT16_VECTORS] = {0};
		int16_t		lanes[LANES];

		for (int i = k; i < k + run; i++)
			for (int v = 0; v < INT16_VECTORS; v++)
			{
				Int16Vector factors;

				memcpy(&factors, &codes[i][8 * v], sizeof(factors));
				parts[v] += factors * (int16_t) q[i];
			}
		memcpy(lanes, parts, sizeof(lanes));
		for (int r = 0; r < LANES; r++)
			sums[r] += lanes[r];
	}
}

/* Add a group whose 32 weights share a scale. */
TEMPLATE void
add_whole_group(LlmBlockLayout layout, const Group *group, const int8_t *q, float d_x,
				const int32_t *sum16, float *y)
{
	float		sum_x = d_x * (float) (sum16[0] + sum16[1]);
	int32_t		sums[LANES];

	sum_products(layout, group->codes, q, LLM_GROUP, sums);
	for (int r = 0; r < LANES; r++)
	{
		y[r] += (float) sums[r] * (group->d[r] * (float) group->scale[0][r] * d_x);
		if (layout.has_m)
			y[r] += -(group->m[r] * (float) group->min[0][r]) * sum_x;
	}
}

/* Add a group whose halves have scales of their own. */
TEMPLATE void
add_half_groups(LlmBlockLayout layout, const Group *group, const int8_t *q, float d_x,
				const int32_t *sum16, float *y)
{
	int32_t		sums[2][LANES];

	for (int half = 0; half < 2; half++)
		sum_products(layout, group->codes + 16 * half, q + 16 * half, 16, sums[half]);
	for (int r = 0; r < LANES; r++)
	{
		float		t = group->d[r] * (float) group->scale[0][r] * (float) sums[0][r];

		t += group->d[r] * (float) group->scale[1][r] * (float) sums[1][r];
		y[r] += t * d_x;
		for (int half = 0; layout.has_m && half < 2; half++)
			y[r] += -(group->m[r] * (float) group->min[half][r]) * (d_x * (float) sum16[half]);
	}
}

TEMPLATE void
matmul_quantized(LlmTensorType type, LlmBlockLayout layout, const LlmMatrix *w, int32_t first,
				 int32_t last, const LlmActivations *x, float *y, int64_t y_stride)
{
	int64_t		x_groups = x->width / LLM_GROUP;

	for (int32_t p = first; p < last; p++)
	{
		const uint8_t *panel = w->panels + p * w->panel_bytes;
		float	   *panel_y = y + (int64_t) p * LANES;

		clear_panel(panel_y, y_stride, x->n_cols);
		for (int64_t g = 0; g < w->cols / LLM_GROUP; g++)
		{
			Group		group;

			unpack_group(type, layout, panel, g, &group);
			for (int64_t c = 0; c < x->n_cols; c++)
			{
				int64_t		i = c * x_groups + g;
				const int8_t *q = x->q + i * LLM_GROUP;

				if (layout.sub_weights == LLM_GROUP)
					add_whole_group(layout, &group, q, x->d[i], &x->sum16[2 * i],
									panel_y + c * y_stride);
				else
					add_half_groups(layout, &group, q, x->d[i], &x->sum16[2 * i],
									panel_y + c * y_stride);
			}
		}
	}
}

#define FLOAT_TYPE(NAME) \
GENERIC_MATMUL(NAME) \
{ \
	matmul_floats(LLM_##NAME, w, first, last, x, y, y_stride); \
}

#define QUANTIZED_TYPE(NAME, ...) \
GENERIC_MATMUL(NAME) \
{ \
	const LlmBlockLayout layout = {__VA_ARGS__}; \
\
	matmul_quantized(LLM_##NAME, layout, w, first, last, x, y, y_stride); \
}

FLOAT_TYPE(F32)
FLOAT_TYPE(F16)
FLOAT_TYPE(BF16)
LLM_QUANTIZED_TYPES(QUANTIZED_TYPE)

static void
clear_panel(float *y, int64_t y_stride, int32_t n_cols)
{
	for (int64_t c = 0; c < n_cols; c++)
		memset(y + c * y_stride, 0, LANES * sizeof(float));
}
