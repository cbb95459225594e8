/*
 * test_prompt_products.c
 *		The products that a kernel set has for prompts, bit by bit against the formula of kernels.h in plain C.
 */
#include <float.h>
#include <math.h>

#include "engine/block.h"
#include "engine/half.h"
#include "kernel_sets.h"
#include "random_blocks.h"

#define GUARD 0xa5
#define STRIDE_EXTRA 3

static const int column_counts[] = {1, 2, 15, 16, 17, 31, 33, 64, 130, 289};

#define COUNT(array) ((int) (sizeof(array) / sizeof(array[0])))
#define MAX_COLUMNS 289

static double
flush(double value)
{
	return fabs(value) < FLT_MIN ? copysign(0, value) : value;
}

/* To nearest even, of a value that no rounding has touched yet. */
static double
to_half(double value)
{
	double		unit = ldexp(1, (value == 0 ? -14 : fmax(ilogb(value), -14)) - 10);
	double		rounded = rint(value / unit) * unit;

	return fabs(rounded) > 65504 ? copysign(INFINITY, value) : rounded;
}

static float
to_bfloat16(float value)
{
	uint32_t	bits = llm_bits_of_float((float) flush(value));

	return llm_float_of_bits((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000);
}

/* What a tile holds for a half; i and j are its vector and lane. */
static float
tile_number(LlmTensorType type, double half, int i, int j)
{
	int32_t		bits = (int16_t) llm_float_to_half((float) half);
	uint32_t	result = (uint32_t) (bits + (type == LLM_Q2_K ? (3 * i + 5 * j) % 8 : 4)) >> 3 & 0x8fff;

	return (float) flush(llm_float_of_bits(result << 16));
}

static void
greatest_parts(LlmTensorType type, float *of_d, float *of_m)
{
	static const float codes[LLM_TENSOR_TYPE_LIMIT] = {
		[LLM_Q4_0] = 8,[LLM_Q4_1] = 15,[LLM_Q5_0] = 16,[LLM_Q5_1] = 31,[LLM_Q8_0] = 128,[LLM_Q2_K] = 3,[LLM_Q3_K] = 4,
		[LLM_Q4_K] = 15,[LLM_Q5_K] = 31,[LLM_Q6_K] = 32
	};
	static const float scales[LLM_TENSOR_TYPE_LIMIT] = {
		[LLM_Q2_K] = 15,[LLM_Q3_K] = 32,[LLM_Q4_K] = 63,[LLM_Q5_K] = 63,[LLM_Q6_K] = 128
	};

	*of_d = codes[type] * (scales[type] > 0 ? scales[type] : 1);
	*of_m = !llm_block_layout(type)->has_m ? 0 : type == LLM_Q2_K ? 15 : scales[type] > 0 ? 63 : 1;
}

/* The weights of row r as tiles hold them; returns its factor. */
static float
expected_row(LlmTensorType type, const uint8_t *row, int r, int cols, float *out)
{
	const LlmTensorTypeInfo *info = llm_tensor_type_info(type);
	const LlmBlockLayout *layout = llm_block_layout(type);
	float		most_d = 0;
	float		most_m = 0;
	float		of_d;
	float		of_m;
	float		most;
	int			exponent;
	LlmBlock	block;

	greatest_parts(type, &of_d, &of_m);
	for (int k = 0; k < cols; k += layout->weights)
	{
		llm_block_read(type, row + (size_t) k / layout->weights * info->block_bytes, &block);
		most_d = fmaxf(most_d, fabsf(llm_half_to_float(block.d)));
		most_m = fmaxf(most_m, fabsf(llm_half_to_float(block.m)));
	}
	most = fmaf(most_m, of_m, most_d * of_d);
	exponent = most > 0 ? ilogbf(most) : 0;
	for (int k = 0; k < cols; k++)
	{
		const int	at = k % layout->weights;
		const int	s = at / layout->sub_weights;
		double		d;
		double		m;

		if (at == 0)
			llm_block_read(type, row + (size_t) k / layout->weights * info->block_bytes, &block);
		d = to_half(to_half(ldexp(llm_half_to_float(block.d), 14 - exponent)) * llm_sub_scale(type, block.sub, 1, s));
		m = !layout->has_m ? 0 : to_half(to_half(ldexp(llm_half_to_float(block.m), 14 - exponent)) *
										 llm_sub_min(type, block.sub, 1, s));
		out[k] = tile_number(type, to_half((block.codes[at] - layout->offset) * d - m), k % 32 / 4 * 2 + k % 2,
							 r % 16 * 2 + k % 4 / 2);
	}
	return ldexpf(1, exponent - 14 + 112 - LLM_ROUNDED_EXPONENT);
}

static float
expected_column(const float *x, int n, float *out)
{
	float		most = 0;
	int			exponent;

	for (int i = 0; i < n; i++)
		most = fmaxf(most, fabsf(x[i]));
	exponent = most < FLT_MIN ? -127 : ilogbf(most);
	if (exponent < LLM_ROUNDED_EXPONENT - 126)
		exponent = LLM_ROUNDED_EXPONENT - 126;
	for (int i = 0; i < n; i++)
		out[i] = to_bfloat16(x[i] * ldexpf(1, LLM_ROUNDED_EXPONENT - exponent));
	return ldexpf(1, exponent);
}

static float
expected_product(const float *w, const float *x, int cols)
{
	float		sum = 0;

	for (int g = 0; g < cols; g += LLM_GROUP)
	{
		float		halves[2] = {0, 0};

		for (int k = g; k < g + LLM_GROUP; k++)
			halves[k % 4 / 2] = (float) flush(fmaf(w[k], x[k], halves[k % 4 / 2]));
		sum = (float) flush(sum + (float) flush(halves[0] + halves[1]));
	}
	return sum;
}

/* Ordinary columns, and some of zeros, great and tiny numbers. */
static void
fill_columns(float *x, int features, int width)
{
	for (int c = 0; c < MAX_COLUMNS; c++)
		for (int i = 0; i < width; i++)
		{
			float	   *place = x + (size_t) c * width + i;

			*place = i >= features || c % 7 == 3 ? 0 : random_float();
			if (c % 7 == 1)
				*place *= i % 5 == 0 ? 1e30f : 1e3f;
			if (c % 7 == 2)
				*place *= 1e-39f;
			if (c % 7 == 4)
				*place *= ldexpf(1, -(i % 40));
		}
}

static bool
check_products(const LlmKernels *kernels, const LlmMatrix *w, const float *expected, const LlmPrompts *all, int n_cols)
{
	LlmPrompts	x = *all;
	const int	stride = w->n_panels * LLM_PANEL_ROWS + STRIDE_EXTRA;
	const int	middle = w->n_panels / 2;
	float	   *y = random_alloc((size_t) n_cols * stride * sizeof(float));
	bool		same = true;

	x.n_cols = n_cols;
	kernels->round_prompts(&x, 0, n_cols / 3);
	kernels->round_prompts(&x, n_cols / 3, n_cols);
	kernels->prompt_matmul[w->type] (w, middle, w->n_panels, &x, y, stride);
	for (int c = 0; c < n_cols; c++)
		for (int r = 0; r < stride; r++)
			if (r < middle * LLM_PANEL_ROWS || r >= w->n_panels * LLM_PANEL_ROWS)
				same = same && ((uint8_t *) &y[c * stride + r])[0] == GUARD && ((uint8_t *) &y[c * stride + r])[3] == GUARD;
	kernels->prompt_matmul[w->type] (w, 0, middle, &x, y, stride);
	for (int c = 0; c < n_cols && same; c++)
		for (int r = 0; r < w->rows && same; r++)
		{
			const float got = y[c * stride + r];
			const float wanted = expected[(size_t) c * w->rows + r];

			same = got == wanted;
			if (!same)
				diag("%s %d x %d, column %d of %d, row %d: %.9g instead of %.9g", llm_tensor_type_info(w->type)->name, w->rows,
					 w->cols, c, n_cols, r, got, wanted);
		}
	free(y);
	return same;
}

static bool
test_shape(const LlmKernels *kernels, LlmTensorType type, int rows, int cols)
{
	const LlmTensorTypeInfo *info = llm_tensor_type_info(type);
	const size_t row_size = (size_t) cols / info->block_weights * info->block_bytes;
	uint8_t    *row_bytes;
	LlmMatrix	w = random_matrix(type, rows, cols, &row_bytes);
	float	   *x = random_alloc((size_t) MAX_COLUMNS * cols * sizeof(float));
	float	   *rounded = random_alloc((size_t) MAX_COLUMNS * cols * sizeof(float));
	float	   *row = random_alloc((size_t) cols * sizeof(float));
	float	   *expected = random_alloc((size_t) MAX_COLUMNS * rows * sizeof(float));
	float		factors[MAX_COLUMNS];
	LlmPrompts	prompts = {.width = cols, .x = x, .factor = random_alloc(sizeof(factors))};
	bool		same = true;

	prompts.rounded = random_alloc((size_t) (MAX_COLUMNS + LLM_TILE_COLUMNS) * cols * sizeof(uint16_t));
	fill_columns(x, cols - cols % 3, cols);
	for (int c = 0; c < MAX_COLUMNS; c++)
		factors[c] = expected_column(x + (size_t) c * cols, cols, rounded + (size_t) c * cols);
	for (int r = 0; r < rows; r++)
	{
		const float factor = expected_row(type, row_bytes + r * row_size, r, cols, row);

		for (int c = 0; c < MAX_COLUMNS; c++)
			expected[(size_t) c * rows + r] = expected_product(row, rounded + (size_t) c * cols, cols) * factor * factors[c];
	}
	for (int i = 0; i < COUNT(column_counts); i++)
		same = check_products(kernels, &w, expected, &prompts, column_counts[i]) && same;
	free(x);
	free(rounded);
	free(row);
	free(expected);
	free(prompts.factor);
	free(prompts.rounded);
	free(row_bytes);
	free_matrix(&w);
	return same;
}

/* Scales and numbers that are none reach their own rows and columns alone. */
static void
test_no_numbers(const LlmKernels *kernels, LlmTensorType type)
{
	enum
	{
	ROWS = 20, COLS = 256, N = 18};
	LlmMatrix	w = random_matrix(type, ROWS, COLS, NULL);
	uint16_t   *d = (uint16_t *) (w.panels + llm_halves_place(*llm_block_layout(type), 0));
	LlmPrompts	x = {.n_cols = N, .width = COLS, .factor = random_alloc(N * sizeof(float))};
	float	   *values = random_alloc(N * COLS * sizeof(float));
	float	   *before = random_alloc(N * 32 * sizeof(float));
	float	   *after = random_alloc(N * 32 * sizeof(float));
	bool		same = true;

	x.x = values;
	x.rounded = random_alloc(2 * LLM_TILE_COLUMNS * COLS * sizeof(uint16_t));
	for (int i = 0; i < N * COLS; i++)
		values[i] = random_float();
	kernels->round_prompts(&x, 0, N);
	kernels->prompt_matmul[type] (&w, 0, 2, &x, before, 32);
	d[3] = 0x7e00;
	d[5] = 0x7c00;
	values[4 * COLS + 7] = NAN;
	values[6 * COLS + 9] = INFINITY;
	kernels->round_prompts(&x, 0, N);
	kernels->prompt_matmul[type] (&w, 0, 2, &x, after, 32);
	for (int c = 0; c < N; c++)
		for (int r = 0; r < ROWS; r++)
			if (c == 4 || c == 6)
				same = same && !isfinite(after[c * 32 + r]);
			else if (r != 3 && r != 5)
				same = same && before[c * 32 + r] == after[c * 32 + r];
	ok(same, "%s, %s: infinities and NaN stay in their rows and columns", kernels->name, llm_tensor_type_info(type)->name);
	free(values);
	free(before);
	free(after);
	free(x.factor);
	free(x.rounded);
	free_matrix(&w);
}

static void
test_type(const LlmKernels *kernels, const LlmTensorTypeInfo *info)
{
	static const int shapes[][2] = {{1, 1}, {16, 2}, {17, 3}, {33, 4}, {40, 5}, {100, 11}};
	bool		same = true;

	for (int i = 0; i < COUNT(shapes); i++)
		same = test_shape(kernels, info->type, shapes[i][0], shapes[i][1] * info->block_weights) && same;
	if (info->block_weights == LLM_GROUP)
		same = test_shape(kernels, info->type, 50, 35 * LLM_GROUP) && same;
	ok(same, "%s, %s: the bits of the formula", kernels->name, info->name);
	test_no_numbers(kernels, info->type);
}

int
main(void)
{
	LlmError	error;
	const LlmKernels *kernels = llm_kernels_select("amx_bf16", &error);
	const LlmKernels *best = llm_kernels_select(NULL, &error);
	int			count;
	const LlmTensorTypeInfo *types = llm_tensor_types(&count);

	ok(best->round_prompts == NULL, "the set that is taken by itself (%s) has no products of its own for prompts", best->name);
	if (kernels == NULL)
		skip(error.message);
	for (int i = 0; kernels != NULL && i < count; i++)
		if (llm_rounds_prompts(kernels, types[i].type))
			test_type(kernels, &types[i]);
	return done_testing();
}
