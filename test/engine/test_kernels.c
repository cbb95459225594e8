/*
 * test_kernels.c
 *		The kernels on vectors, of every kernel set, against double precision.
 */
#include <float.h>
#include <math.h>

#include "kernel_sets.h"
#include "random_blocks.h"

#define COUNT(array) ((int) (sizeof(array) / sizeof(array[0])))

static const int lengths[] = {1, 2, 7, 15, 16, 17, 31, 33, 64, 100, 288, 4096, 32000};

static float *
random_vector(int n, float size)
{
	float	   *x = random_alloc(n * sizeof(float));

	for (int i = 0; i < n; i++)
		x[i] = random_float() * size;
	return x;
}

static float
scale_of(const float *x, int n)
{
	float		max = 0;

	for (int i = 0; i < n; i++)
		max = fmaxf(max, fabsf(x[i]));
	return max / 127 < FLT_MIN ? 0 : max / 127;
}

/* d, q and the sums are fixed to the bit by their formula. */
static bool
group_is_right(const float *x, float scale, const int8_t *q, float d, const int32_t *sum16)
{
	int32_t		sums[2] = {0};

	for (int i = 0; i < LLM_GROUP; i++)
	{
		float		expected = scale > 0 ? nearbyintf(x[i] * (1 / scale)) : 0;

		if (q[i] != (int) expected)
		{
			diag("%.9g in units of %.9g became %d", x[i], scale, q[i]);
			return false;
		}
		sums[i / 16] += q[i];
	}
	return d == scale && sum16[0] == sums[0] && sum16[1] == sums[1];
}

/* The last block of 256 has 160 features. */
static void
test_quantize(const LlmKernels *kernels, int block)
{
	const int	n_cols = 12;
	LlmActivations x = random_activations(n_cols, 416);
	bool		good = true;

	x.block = block;
	for (int i = 0; i < x.width; i++)
	{
		x.x[0 * x.width + i] = i % 2 ? -0.0f : 0.0f;
		x.x[1 * x.width + i] *= 1e30f;
		x.x[2 * x.width + i] *= 1e-36f;
		x.x[3 * x.width + i] *= 1e-40f;
		x.x[4 * x.width + i] = i % LLM_GROUP == 0 ? 127 : (float) (i % 41 - 20) + 0.5f;
		x.x[5 * x.width + i] = i % LLM_GROUP == 5 ? -FLT_MAX : FLT_MAX;
		x.x[6 * x.width + i] *= i % LLM_GROUP == 7 ? 1000 : 1;
	}
	kernels->quantize(&x, 0, 3);
	kernels->quantize(&x, 3, 10);
	for (int g = 0; g < 10 * x.width / LLM_GROUP; g++)
	{
		int			k = g * LLM_GROUP % x.width;
		int			start = k - k % block;
		int			n = x.width - start < block ? x.width - start : block;

		good = good && group_is_right(x.x + g * LLM_GROUP, scale_of(x.x + g * LLM_GROUP - (k - start), n),
									  x.q + g * LLM_GROUP, x.d[g], &x.sum16[2 * g]);
	}
	ok(good, "%s: quantize in blocks of %d", kernels->name, block);

	/* The products' 16-bit sums rely on the range, whatever the input. */
	x.x[10 * x.width + 3] = NAN;
	x.x[10 * x.width + LLM_MAX_BLOCK] = -INFINITY;
	kernels->quantize(&x, 10, 11);
	good = true;
	for (int i = 0; i < x.width; i++)
		good = good && x.q[10 * x.width + i] != -128;
	ok(good, "%s: quantize in blocks of %d leaves -128 out where the input is no number", kernels->name, block);
	ok((uint8_t) x.q[11 * x.width] == 0xa5 && x.sum16[11 * x.width / 16] == (int32_t) 0xa5a5a5a5,
	   "%s: quantize leaves other columns alone", kernels->name);
	free_activations(&x);
}

/* Half of the squares' relative error passes through the root. */
static void
test_rms_norm(const LlmKernels *kernels)
{
	static const float sizes[] = {1, 1e-30f, 1e15f, 0};
	bool		good = true;

	for (int i = 0; i < COUNT(lengths) * COUNT(sizes); i++)
	{
		int			n = lengths[i / COUNT(sizes)];
		float	   *x = random_vector(n, sizes[i % COUNT(sizes)]);
		float	   *weight = random_vector(n, 2);
		float	   *out = random_vector(n, 1);
		double		sum = 0;

		kernels->rms_norm(x, weight, n, 1e-5f, out);
		for (int j = 0; j < n; j++)
			sum += (double) x[j] * x[j];
		for (int j = 0; j < n; j++)
		{
			double		expected = weight[j] * (x[j] / sqrt(sum / n + 1e-5f));
			double		bound = (n / 16 / 2 + 10) * ROUNDING * fabs(expected) + 0x1p-149;

			good = good && fabs(out[j] - expected) <= bound;
		}
		free(x);
		free(weight);
		free(out);
	}
	ok(good, "%s: rms_norm", kernels->name);
}

static void
test_rope(const LlmKernels *kernels)
{
	bool		good = true;

	for (int n = 2; n <= 128; n += 2)
	{
		float	   *before = random_vector(n, 10);
		float	   *x = random_alloc((n + 1) * sizeof(float));
		float	   *table = random_vector(n, 1);
		float		guard = 42;

		memcpy(x, before, n * sizeof(float));
		x[n] = guard;
		kernels->rope(x, table, n);
		for (int i = 0; i < n; i += 2)
		{
			double		terms[4] = {(double) before[i] * table[i], -(double) before[i + 1] * table[i + 1],
			(double) before[i] * table[i + 1], (double) before[i + 1] * table[i]};

			for (int j = 0; j < 2; j++)
				good = good && fabs(x[i + j] - (terms[2 * j] + terms[2 * j + 1])) <=
					2.01 * ROUNDING * (fabs(terms[2 * j]) + fabs(terms[2 * j + 1]));
		}
		good = good && x[n] == guard;
		free(before);
		free(x);
		free(table);
	}
	ok(good, "%s: rope", kernels->name);
}

/*
 * A few roundings, and exp to a few units in the last place.  Where exp exceeds what a
 * float holds, the result may be anything next to nothing.
 */
static void
test_swiglu(const LlmKernels *kernels)
{
	static const float extremes[] = {0, -0.0f, 1e30f, -1e30f, FLT_MAX, -FLT_MAX, 1e-40f, -1e-40f,
	88.7f, -88.7f, 104, -104, 87.3f, -87.3f};
	const int	n = 1003;
	float	   *before = random_vector(n, 20);
	float	   *gate = random_alloc((n + 1) * sizeof(float));
	float	   *up = random_vector(n, 3);
	bool		good = true;
	bool		independent = true;

	memcpy(before, extremes, sizeof(extremes));
	memcpy(gate, before, n * sizeof(float));
	gate[n] = 42;
	for (int i = 0; i < COUNT(extremes); i++)
		up[i] = 1;
	kernels->swiglu(gate, up, n);
	for (int i = 0; i < n; i++)
	{
		double		expected = before[i] / (1 + exp(-(double) before[i])) * up[i];
		double		bound = 8 * ROUNDING * fabs(expected) + 1e-36 * fabs(up[i]);
		float		alone = before[i];

		if (!(fabs(gate[i] - expected) <= (before[i] < -88 ? 1e-36 * fmax(1, -before[i]) : bound)))
		{
			good = false;
			diag("swiglu(%.9g, %.9g) is %.9g instead of %.9g", before[i], up[i], gate[i], expected);
		}
		kernels->swiglu(&alone, &up[i], 1);
		independent = independent && memcmp(&alone, &gate[i], sizeof(float)) == 0;
	}
	ok(good && gate[n] == 42, "%s: swiglu", kernels->name);
	ok(independent, "%s: swiglu of one is swiglu among many", kernels->name);
	gate[0] = NAN;
	kernels->swiglu(gate, up, 1);
	ok(isnan(gate[0]), "%s: swiglu keeps NaN", kernels->name);
	free(before);
	free(gate);
	free(up);
}

static void
test_add(const LlmKernels *kernels)
{
	bool		good = true;

	for (int i = 0; i < COUNT(lengths); i++)
	{
		int			n = lengths[i];
		float	   *before = random_vector(n, 10);
		float	   *x = random_alloc((n + 1) * sizeof(float));
		float	   *y = random_vector(n, 1);

		memcpy(x, before, n * sizeof(float));
		x[n] = 42;
		kernels->add(x, y, n);
		for (int j = 0; j < n; j++)
			good = good && x[j] == before[j] + y[j];
		good = good && x[n] == 42;
		free(before);
		free(x);
		free(y);
	}
	ok(good, "%s: add", kernels->name);
}

static int32_t
argmax_of(const LlmKernels *kernels, int n, int place_a, float a, int place_b, float b)
{
	float	   *x = random_vector(n, 1);
	int32_t		result;

	x[place_a] = a;
	x[place_b] = b;
	result = kernels->argmax(x, n);
	free(x);
	return result;
}

static void
test_argmax(const LlmKernels *kernels)
{
	bool		greatest = true;
	bool		first = true;
	bool		no_nan = true;
	float		x[70];

	for (int i = 0; i < 70 * 70; i++)
	{
		int			a = i / 70;
		int			b = i % 70;

		greatest = greatest && argmax_of(kernels, 70, a, 5, b, 6) == b;
		first = first && argmax_of(kernels, 70, a, 5, b, 5) == (a < b ? a : b);
		if (a != b)
			no_nan = no_nan && argmax_of(kernels, 70, a, NAN, b, 5) == b;
	}
	ok(greatest, "%s: argmax finds the greatest", kernels->name);
	ok(first, "%s: argmax takes the first of equals", kernels->name);
	ok(no_nan, "%s: argmax never takes NaN", kernels->name);

	for (int n = 1; n <= 70; n++)
	{
		for (int i = 0; i < n; i++)
			x[i] = NAN;
		no_nan = no_nan && kernels->argmax(x, n) == 0;
		x[n - 1] = -INFINITY;
		no_nan = no_nan && kernels->argmax(x, n) == n - 1;
		for (int i = 0; i < n; i++)
			x[i] = -INFINITY;
		first = first && kernels->argmax(x, n) == 0;
		for (int i = 0; i < n; i++)
			x[i] = i % 2 ? 0.0f : -0.0f;
		first = first && kernels->argmax(x, n) == 0;
	}
	ok(no_nan && first, "%s: argmax of NaN, infinities and zeros", kernels->name);
	ok(argmax_of(kernels, 32000, 31999, 2, 17, 1.5f) == 31999, "%s: argmax of a vocabulary",
	   kernels->name);
}

/* The lanes' sums are of positive terms, whose roundings rather cancel than add up. */
static bool
check_log_sum_exp(const LlmKernels *kernels, const float *x, int n, const char *what)
{
	float		got = kernels->log_sum_exp(x, n);
	double		max = -INFINITY;
	double		sum = 0;
	double		expected;
	double		bound;

	for (int i = 0; i < n; i++)
		max = fmax(max, x[i]);
	for (int i = 0; i < n; i++)
		sum += exp(x[i] - max);
	expected = isinf(max) ? max : max + log(sum);
	bound = ROUNDING * (4 * sqrt(n / 16.0) + 8 + 4 * fabs(expected));
	if (got == expected || fabs(got - expected) <= bound)
		return true;
	diag("log_sum_exp of %d %s: %.9g instead of %.9g", n, what, got, expected);
	return false;
}

static void
test_log_sum_exp(const LlmKernels *kernels)
{
	bool		good = true;

	for (int i = 0; i < COUNT(lengths); i++)
	{
		int			n = lengths[i];
		float	   *x = random_vector(n, 15);

		good = check_log_sum_exp(kernels, x, n, "logits") && good;
		for (int j = 0; j < n; j++)
			x[j] = x[j] * 1e4f - 1e6f;
		good = check_log_sum_exp(kernels, x, n, "large logits") && good;
		for (int j = 0; j < n; j++)
			x[j] = 3;
		good = check_log_sum_exp(kernels, x, n, "equals") && good;
		for (int j = 0; j < n; j++)
			x[j] = j == n / 2 ? 1 : -INFINITY;
		good = check_log_sum_exp(kernels, x, n, "logits of which one is finite") && good;
		x[n - 1] = INFINITY;
		good = check_log_sum_exp(kernels, x, n, "logits with an infinity") && good;
		for (int j = 0; j < n; j++)
			x[j] = -INFINITY;
		good = check_log_sum_exp(kernels, x, n, "negative infinities") && good;
		free(x);
	}
	ok(good, "%s: log_sum_exp", kernels->name);
}

static void
test_set(const LlmKernels *kernels)
{
	test_quantize(kernels, LLM_GROUP);
	test_quantize(kernels, LLM_MAX_BLOCK);
	test_rms_norm(kernels);
	test_rope(kernels);
	test_swiglu(kernels);
	test_add(kernels);
	test_argmax(kernels);
	test_log_sum_exp(kernels);
}

static void
test_select(void)
{
	LlmError	error;
	const LlmKernels *best = llm_kernels_select(NULL, &error);

	ok(best != NULL, "some kernel set runs here");
	ok(best != NULL && llm_kernels_select(best->name, &error) == best, "the best set has a name");
	ok(llm_kernels_select("sse9", &error) == NULL && error.code == LLM_ERROR_ARGUMENT,
	   "an unknown set is refused: %s", error.message);
	ok(llm_kernels_select("sse9", NULL) == NULL, "nobody needs to hear why");
	ok(llm_type_takes_int8(LLM_Q4_K) && !llm_type_takes_int8(LLM_BF16), "quantized types take int8");
}

int
main(void)
{
	test_select();
	each_kernel_set(test_set);
	return done_testing();
}
