/*
 * test_matmul.c
 *		Every matrix product of every kernel set against double precision, and
 *		the promise that a result does not depend on what is computed beside it.
 */
#include <float.h>
#include <math.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/block.h"
#include "engine/half.h"
#include "engine/kernels/avx512_float_ways.h"
#include "kernel_sets.h"
#include "random_blocks.h"

#define MAX_COLUMNS 130
#define STRIDE_EXTRA 3			/* columns of y need no alignment */
#define GUARD 0xa5

/* What a product should be, and how far from it rounding can lead. */
typedef struct Expected
{
	double		value;
	double		bound;
} Expected;

static const int column_counts[] = {1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 16, 17, 19, 21, 24, 25, 31, 32, 33, 40, 41, 48, 49, 64, 65, 130};

#define COUNT(array) ((int) (sizeof(array) / sizeof(array[0])))

static void set_column(LlmActivations *x, int column, float value);
static float to_bf16(float x);

/* The first columns are the extremes, so that every number of columns has some. */
static LlmActivations
test_activations(LlmTensorType type, int features)
{
	LlmActivations x = random_activations(MAX_COLUMNS, features);

	x.block = llm_type_activation_block(type);

	for (int i = 0; i < features; i++)
		x.x[i] *= i % 5 == 0 ? 1e30f : 1.0f;
	set_column(&x, 1, 0.0f);
	set_column(&x, 3, -0.0f);
	for (int i = 0; i < features; i++)
		x.x[5 * x.width + i] *= 1e-39f;
	set_column(&x, 6, 0.0f);
	x.x[6 * x.width + features / 2] = -3.5f;
	set_column(&x, 9, 1e30f);
	set_column(&x, 11, -1e30f);
	return x;
}

static void
set_column(LlmActivations *x, int column, float value)
{
	for (int i = 0; i < x->width; i++)
		x->x[(size_t) column * x->width + i] = value;
}

/* Columns first .. first + n - 1 as activations of their own. */
static LlmActivations
columns_of(const LlmActivations *x, int first, int n)
{
	LlmActivations part = *x;

	part.n_cols = n;
	part.x += (size_t) first * x->width;
	part.q += (size_t) first * x->width;
	part.d += (size_t) first * x->width / LLM_GROUP;
	part.sum16 += (size_t) first * x->width / 16;
	return part;
}

/*
 * Every term w x adds one rounding to each later sum and has one of its own,
 * or loses less than the least subnormal.
 */
static Expected
expect_float(LlmTensorType type, const uint8_t *row, int cols, const float *x, bool rounded)
{
	int			size = llm_tensor_type_info(type)->block_bytes;
	double		magnitude = 0;
	Expected	result = {0};

	for (int k = 0; k < cols; k++)
	{
		float		input = rounded ? to_bf16(x[k]) : x[k];
		double		term = (double) llm_float_element(type, row + k * size) * input;

		result.value += term;
		magnitude += fabs(term);
	}
	result.bound = (cols + 1) * (1.01 * ROUNDING * magnitude + (rounded ? 2 * FLT_MIN : 0x1p-149));
	return result;
}

/* To nearest even; subnormals become 0. */
static float
to_bf16(float x)
{
	uint32_t	bits;

	memcpy(&bits, &x, sizeof(bits));
	bits = fabsf(x) < FLT_MIN ? bits & 0x80000000 : (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000;
	memcpy(&x, &bits, sizeof(x));
	return x;
}

/*
 * Sums of integers are exact, so that a group is one term, or two where the
 * type has a minimum.  Each has up to four roundings of its own.
 */
static Expected
expect_quantized(LlmTensorType type, const uint8_t *row, int cols, const LlmActivations *x)
{
	const LlmTensorTypeInfo *info = llm_tensor_type_info(type);
	const LlmBlockLayout *layout = llm_block_layout(type);
	double		magnitude = 0;
	int			n_terms = 0;
	Expected	result = {0};
	LlmBlock	block;

	for (int k = 0; k < cols; k += LLM_GROUP)
	{
		int			at = k % layout->weights;
		double		scaled = 0;
		double		lowered = 0;

		if (at == 0)
			llm_block_read(type, row + (size_t) k / layout->weights * info->block_bytes, &block);
		for (int i = at; i < at + LLM_GROUP; i++)
		{
			int			s = i / layout->sub_weights;
			double		activation = (double) x->q[k + i - at] * x->d[k / LLM_GROUP];

			scaled += (double) llm_half_to_float(block.d) * llm_sub_scale(type, block.sub, 1, s) *
				(block.codes[i] - layout->offset) * activation;
			if (layout->has_m)
				lowered += (double) llm_half_to_float(block.m) *
					llm_sub_min(type, block.sub, 1, s) * activation;
		}
		result.value += scaled - lowered;
		magnitude += fabs(scaled) + fabs(lowered);
		n_terms += layout->has_m ? 2 : 1;
	}
	result.bound = (n_terms + 4) * (1.01 * ROUNDING * magnitude + 0x1p-149);
	return result;
}

static bool
guards_intact(const float *y, int n_columns, int first, int last, int stride)
{
	for (int c = 0; c < n_columns; c++)
		for (int r = 0; r < stride; r++)
		{
			const uint8_t *bytes = (const uint8_t *) &y[c * stride + r];

			if ((r < first || r >= last) && (bytes[0] != GUARD || bytes[3] != GUARD))
				return false;
		}
	return true;
}

static bool
same_rows(const float *a, const float *b, int rows, int n_columns, int stride)
{
	for (int c = 0; c < n_columns; c++)
		if (memcmp(a + c * stride, b + c * stride, rows * sizeof(float)) != 0)
			return false;
	return true;
}

/* All columns one by one, one panel at a time: the result that every other way must repeat. */
static float *
products_alone(const LlmKernels *kernels, const LlmMatrix *w, const LlmActivations *x, int stride)
{
	float	   *y = random_alloc((size_t) MAX_COLUMNS * stride * sizeof(float));

	for (int c = 0; c < MAX_COLUMNS; c++)
		for (int p = 0; p < w->n_panels; p++)
		{
			LlmActivations column = columns_of(x, c, 1);

			kernels->matmul[w->type] (w, p, p + 1, &column, y + c * stride, stride);
		}
	return y;
}

static bool
check_accuracy(const LlmKernels *kernels, const LlmMatrix *w, const uint8_t *row_bytes, const LlmActivations *x,
			   const float *y, int stride)
{
	const LlmTensorTypeInfo *info = llm_tensor_type_info(w->type);
	size_t		row_size = (size_t) w->cols / info->block_weights * info->block_bytes;
	bool		rounded = w->type == LLM_BF16 && kernels->rounds_bf16_input && llm_bf16_rounds_input(w);

	for (int c = 0; c < MAX_COLUMNS; c++)
		for (int r = 0; r < w->rows; r++)
		{
			LlmActivations column = columns_of(x, c, 1);
			const uint8_t *row = row_bytes + r * row_size;
			Expected	expected = llm_type_takes_int8(w->type) ?
				expect_quantized(w->type, row, w->cols, &column) :
				expect_float(w->type, row, w->cols, column.x, rounded);
			float		got = y[c * stride + r];

			if (!(fabs(got - expected.value) <= expected.bound))
			{
				diag("%s %d x %d, column %d, row %d: %.9g instead of %.9g, allowed %.3g", info->name,
					 w->rows, w->cols, c, r, got, expected.value, expected.bound);
				return false;
			}
		}
	return true;
}

static bool
check_together(const LlmKernels *kernels, const LlmMatrix *w, const LlmActivations *x,
			   const float *alone, int stride)
{
	for (int i = 0; i < COUNT(column_counts); i++)
	{
		int			n = column_counts[i];
		int			middle = w->n_panels / 2;
		LlmActivations columns = columns_of(x, 0, n);
		float	   *whole = random_alloc((size_t) n * stride * sizeof(float));
		float	   *split = random_alloc((size_t) n * stride * sizeof(float));
		bool		good;

		kernels->matmul[w->type] (w, 0, w->n_panels, &columns, whole, stride);
		kernels->matmul[w->type] (w, middle, w->n_panels, &columns, split, stride);
		good = guards_intact(split, n, middle * 16, w->n_panels * 16, stride);
		kernels->matmul[w->type] (w, 0, middle, &columns, split, stride);
		good = good && guards_intact(split, n, 0, w->n_panels * 16, stride) &&
			same_rows(whole, alone, w->rows, n, stride) && same_rows(split, alone, w->rows, n, stride);
		free(whole);
		free(split);
		if (!good)
		{
			diag("%s %d x %d with %d columns", llm_tensor_type_info(w->type)->name, w->rows, w->cols, n);
			return false;
		}
	}
	return true;
}

static void
test_shape(const LlmKernels *kernels, LlmTensorType type, int rows, int cols,
		   bool *accurate, bool *independent)
{
	uint8_t    *row_bytes;
	LlmMatrix	w = random_matrix(type, rows, cols, &row_bytes);
	LlmActivations x = test_activations(type, cols);
	int			stride = w.n_panels * LLM_PANEL_ROWS + STRIDE_EXTRA;
	float	   *alone;

	kernels->quantize(&x, 0, x.n_cols);
	alone = products_alone(kernels, &w, &x, stride);
	*accurate = check_accuracy(kernels, &w, row_bytes, &x, alone, stride) && *accurate;
	*independent = check_together(kernels, &w, &x, alone, stride) && *independent;
	free(alone);
	free(row_bytes);
	free_matrix(&w);
	free_activations(&x);
}

static void
test_type(const LlmKernels *kernels, const LlmTensorTypeInfo *info)
{
	static const int row_counts[] = {1, 15, 16, 17, 100};
	static const int widths[][4] = {{33, 1, 7, 288}, {96, 32, 64, 1056}, {256, 512, 768, 1280}};
	const int  *cols = widths[info->block_weights == 1 ? 0 : info->block_weights == 32 ? 1 : 2];
	bool		accurate = true;
	bool		independent = true;

	for (int i = 0; i < COUNT(row_counts); i++)
		test_shape(kernels, info->type, row_counts[i], cols[0], &accurate, &independent);
	for (int i = 1; i < 4; i++)
		test_shape(kernels, info->type, 33, cols[i], &accurate, &independent);
	ok(accurate, "%s: %s product is as accurate as its formula", kernels->name, info->name);
	ok(independent, "%s: %s product does not depend on columns and panels beside it",
	   kernels->name, info->name);
}

static void
test_set(const LlmKernels *kernels)
{
	int			count;
	const LlmTensorTypeInfo *types = llm_tensor_types(&count);

	for (int i = 0; i < count; i++)
		test_type(kernels, &types[i]);
}

#if defined(__x86_64__)

/* Extremes of both sides: infinities, NaN, subnormals, and sums that are subnormal. */
static void
fill_bf16_extremes(LlmMatrix *w, LlmActivations *x)
{
	static const uint16_t weights[] = {0x0000, 0x8000, 0x0001, 0x807f, 0x0080, 0x7f7f, 0x1f80, 0x9f81};
	static const uint32_t values[] = {0, 0x80000000, 1, 0x007fffff, 0x00800000, 0x7f7fffff, 0x1f812345, 0x9f7fffff,
	0x3f808000, 0x3f818000, 0x3f808001};
	uint16_t   *elements = (uint16_t *) w->panels;

	for (uint64_t i = 0; i < w->panel_bytes * (uint64_t) w->n_panels / 2; i++)
		if (random_bits() % 4 == 0)
			elements[i] = weights[random_bits() % COUNT(weights)];
	for (int c = 0; c < x->n_cols; c++)
		for (int i = 0; i < w->cols; i++)
			if (random_bits() % 4 == 0)
				memcpy(&x->x[(size_t) c * x->width + i], &values[random_bits() % COUNT(values)], sizeof(float));
	x->x[2 * x->width] = INFINITY;
}

typedef void (*Matmul) (const LlmMatrix *w, int32_t first, int32_t last, const LlmActivations *x,
						float *y, int64_t y_stride);

/* Have two products of a type the same bits, for every width and number of columns?  quantize: NULL for float weights. */
static bool
products_agree(Matmul one, Matmul other, void (*quantize) (LlmActivations *, int32_t, int32_t),
			   LlmTensorType type, const int *widths, int n_widths)
{
	bool		same = true;

	for (int i = 0; i < n_widths * COUNT(column_counts); i++)
	{
		uint8_t    *row_bytes;
		LlmMatrix	w = random_matrix(type, 120, widths[i % n_widths], &row_bytes);
		LlmActivations x = test_activations(w.type, w.cols);
		int			stride = w.n_panels * LLM_PANEL_ROWS;
		size_t		bytes = (size_t) MAX_COLUMNS * stride * sizeof(float);
		float	   *ones = random_alloc(bytes);
		float	   *others = malloc(bytes);

		memcpy(others, ones, bytes);
		if (quantize != NULL)
			quantize(&x, 0, MAX_COLUMNS);
		x.n_cols = column_counts[i / n_widths];
		one(&w, 0, w.n_panels, &x, ones, stride);
		other(&w, 0, w.n_panels, &x, others, stride);
		same = same && memcmp(ones, others, bytes) == 0;
		free(ones);
		free(others);
		free(row_bytes);
		free_matrix(&w);
		free_activations(&x);
	}
	return same;
}

/* Sets whose sums of integers are exact in different ways, for every quantized type and number of columns. */
static void
test_equal_bits(const char *name, const LlmKernels *other)
{
	static const int widths[] = {256, 512, 768, 4352};
	LlmError	error;
	const LlmKernels *kernels = llm_kernels_select(name, &error);

	if (kernels == NULL || llm_kernels_select(other->name, &error) == NULL)
	{
		skip(error.message);
		return;
	}
	for (LlmTensorType type = 0; type < LLM_TENSOR_TYPE_LIMIT; type++)
	{
		if (kernels->matmul[type] == NULL || !llm_type_takes_int8(type))
			continue;
		ok(products_agree(kernels->matmul[type], other->matmul[type], kernels->quantize, type, widths, COUNT(widths)),
		   "%s, %s: the bits of %s", name, llm_tensor_type_info(type)->name, other->name);
	}
}

/*
 * A process that has not asked Linux for tiles is killed by their first instruction: so this comes before any
 * set is selected, and what the products of so many columns do in a child tells whether they take tiles.
 */
static bool
takes_tiles(LlmTensorType type, int n_cols)
{
	int			status = 0;
	pid_t		child = fork();

	if (child == 0)
	{
		uint8_t    *row_bytes;
		LlmMatrix	w = random_matrix(type, 32, 256, &row_bytes);
		LlmActivations x = test_activations(w.type, w.cols);
		float	   *y = random_alloc((size_t) MAX_COLUMNS * w.n_panels * LLM_PANEL_ROWS * sizeof(float));

		signal(SIGILL, SIG_DFL);	/* a sanitizer may have taken it */
		llm_kernels_amx.quantize(&x, 0, MAX_COLUMNS);
		x.n_cols = n_cols;
		llm_kernels_amx.matmul[type] (&w, 0, w.n_panels, &x, y, w.n_panels * LLM_PANEL_ROWS);
		_exit(0);
	}
	return child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGILL;
}

static void
test_amx_tiles(void)
{
	static const LlmTensorType types[] = {LLM_Q4_0, LLM_Q4_1, LLM_Q5_0, LLM_Q5_1, LLM_Q8_0, LLM_Q2_K, LLM_Q3_K, LLM_Q4_K, LLM_Q5_K, LLM_Q6_K};

	__builtin_cpu_init();
	if (!__builtin_cpu_supports("amx-tile") || !__builtin_cpu_supports("amx-int8") || !__builtin_cpu_supports("avx512vnni"))
	{
		skip("this processor has no tiles");
		return;
	}
	for (int i = 0; i < COUNT(types); i++)
	{
		int			few = types[i] == LLM_Q8_0 ? 24 : 12;

		ok(takes_tiles(types[i], few + 1) && !takes_tiles(types[i], few), "amx, %s: tiles from %d columns on",
		   llm_tensor_type_info(types[i])->name, few + 1);
	}
}

static const int float_widths[] = {1, 31, 255, 256, 257, 700, 4097};

/* Whichever of them this processor has. */
static const FloatHabits unpacked = {.to_first_level = true, .direct_columns = 6};
static const FloatHabits direct = {.direct_columns = INT32_MAX};

static void
multiply_unpacked(const LlmMatrix *w, int32_t first, int32_t last, const LlmActivations *x, float *y, int64_t y_stride)
{
	avx512_matmul_float_as(unpacked, w, first, last, x, y, y_stride);
}

static void
multiply_direct(const LlmMatrix *w, int32_t first, int32_t last, const LlmActivations *x, float *y, int64_t y_stride)
{
	avx512_matmul_float_as(direct, w, first, last, x, y, y_stride);
}

static void
test_float_ways(void)
{
	static const LlmTensorType types[] = {LLM_F32, LLM_F16, LLM_BF16};
	LlmError	error;

	if (llm_kernels_select("avx512", &error) == NULL)
	{
		skip(error.message);
		return;
	}
	for (int i = 0; i < COUNT(types); i++)
		ok(products_agree(multiply_direct, multiply_unpacked, NULL, types[i], float_widths, COUNT(float_widths)),
		   "%s: the same bits with panels unpacked and not", llm_tensor_type_info(types[i])->name);
}

/* On processors with VDPBF16PS both ways are compared, one unpacked; on others there is one. */
static void
test_bf16_ways(void)
{
	bool		same = true;
	LlmError	error;

	if (llm_kernels_select("avx512", &error) == NULL || !__builtin_cpu_supports("avx512bf16"))
	{
		skip("this processor has no VDPBF16PS");
		return;
	}
	for (int i = 0; i < COUNT(float_widths) * COUNT(column_counts); i++)
	{
		uint8_t    *row_bytes;
		LlmMatrix	w = random_matrix(LLM_BF16, 100, float_widths[i % COUNT(float_widths)], &row_bytes);
		LlmActivations x = test_activations(w.type, w.cols);
		int			stride = w.n_panels * LLM_PANEL_ROWS;
		size_t		bytes = (size_t) MAX_COLUMNS * stride * sizeof(float);
		float	   *pairs = random_alloc(bytes);
		float	   *single = random_alloc(bytes);

		fill_bf16_extremes(&w, &x);
		x.n_cols = column_counts[i / COUNT(float_widths)];
		avx512_matmul_bf16_pairs(unpacked, &w, 0, w.n_panels, &x, pairs, stride);
		avx512_matmul_bf16_single(direct, &w, 0, w.n_panels, &x, single, stride);
		for (size_t k = 0; k < bytes / sizeof(float); k++)
			same = same && (memcmp(&pairs[k], &single[k], sizeof(float)) == 0 || (isnan(pairs[k]) && isnan(single[k])));
		free(pairs);
		free(single);
		free(row_bytes);
		free_matrix(&w);
		free_activations(&x);
	}
	ok(same, "avx512: BF16 product has the same bits with VDPBF16PS and without");
}

#endif

int
main(void)
{
#if defined(__x86_64__)
	test_amx_tiles();
#endif
	each_kernel_set(test_set);
#if defined(__x86_64__)
	test_float_ways();
	test_bf16_ways();
	test_equal_bits("amx", &llm_kernels_avx512);
	test_equal_bits("avx512", &llm_kernels_avx2);
	test_equal_bits("avxvnni", &llm_kernels_avx2);
#endif
	return done_testing();
}
