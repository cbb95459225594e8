/*
 * test_quantize.c
 *		Blocks of the ten quantized types: packing, the search on any processor, its errors.
 *
 * The oracle is rounding with the scale that spans a block's range, as simple
 * quantizers do: no block may come out worse, and all together must come out better.
 */
#include <math.h>

#include "../engine/tap.h"
#include "engine/gguf.h"
#include "engine/half.h"
#include "import/quantize.h"

#define N_BLOCKS 64

static double tensor_error(const LlmGguf *gguf, const LlmGgufTensor *tensor, LlmTensorType type);

static uint32_t random_state = 1;

static uint32_t
random_bits(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state;
}

/* About normal, with deviation 1. */
static float
random_weight(void)
{
	float		total = 0;

	for (int i = 0; i < 12; i++)
		total += (float) (random_bits() >> 8) / 16777216.0f;
	return total - 6;
}

static double
squared_error(const float *a, const float *b, int n)
{
	double		error = 0;

	for (int i = 0; i < n; i++)
		error += ((double) a[i] - b[i]) * ((double) a[i] - b[i]);
	return error;
}

/* What packing and reading give back is the block. */
static void
test_packing(LlmTensorType type)
{
	const LlmBlockLayout *layout = llm_block_layout(type);
	int			n_groups = layout->weights / layout->sub_weights;
	bool		has_scales = n_groups > 1;
	bool		same = true;

	for (int i = 0; i < N_BLOCKS; i++)
	{
		QuantizedBlock block = {.d = 0x3c00, .m = layout->has_m ? 0x3800 : 0};
		uint8_t		bytes[512];
		LlmBlock	read;

		for (int j = 0; j < layout->weights; j++)
			block.codes[j] = (uint8_t) (random_bits() >> (32 - layout->low_bits -
														  layout->high_bits));
		for (int s = 0; s < n_groups && has_scales; s++)
		{
			int			bits = type == LLM_Q2_K ? 4 : type == LLM_Q6_K ? 8 : 6;

			block.scales[s] = (int) (random_bits() >> (32 - bits));
			if (!layout->has_m)
				block.scales[s] -= 1 << (bits - 1);
			block.mins[s] = (int) (random_bits() >> (32 - bits));
		}
		quantize_pack(type, &block, bytes);
		llm_block_read(type, bytes, &read);
		same = same && read.d == block.d && read.m == block.m &&
			memcmp(read.codes, block.codes, (size_t) layout->weights) == 0;
		for (int s = 0; s < n_groups && has_scales; s++)
			same = same && llm_sub_scale(type, read.sub, 1, s) == block.scales[s] &&
				(!layout->has_m || llm_sub_min(type, read.sub, 1, s) == block.mins[s]);
	}
	ok(same, "%s: packed and read again", llm_tensor_type_info(type)->name);
}

/* A weight's codes when the scale spans the range of its group, scales and minima not rounded. */
static void
round_simply(LlmTensorType type, const float *x, float *out)
{
	const LlmBlockLayout *layout = llm_block_layout(type);
	int			last = (1 << (layout->low_bits + layout->high_bits)) - 1;

	for (int g = 0; g < layout->weights; g += layout->sub_weights)
	{
		float		least = layout->has_m ? INFINITY : 0;
		float		greatest = layout->has_m ? -INFINITY : 0;
		float		extreme = 0;
		float		d;

		for (int i = g; i < g + layout->sub_weights; i++)
		{
			least = fminf(least, x[i]);
			greatest = fmaxf(greatest, x[i]);
			extreme = fabsf(x[i]) > fabsf(extreme) ? x[i] : extreme;
		}
		if (layout->has_m && layout->weights == 256 && least > 0)
			least = 0;
		d = layout->has_m ? (greatest - least) / (float) last : extreme / -(float) layout->offset;
		for (int i = g; i < g + layout->sub_weights; i++)
		{
			float		code = d != 0 ? rintf((x[i] - (layout->has_m ? least : 0)) / d) : 0;

			if (!layout->has_m)
				code = fminf(code, (float) (last - layout->offset));
			out[i] = code * d + (layout->has_m ? least : 0);
		}
	}
}

static void
test_errors(LlmTensorType type)
{
	const LlmTensorTypeInfo *info = llm_tensor_type_info(type);
	double		simple = 0;
	double		ours = 0;
	bool		same = true;

	for (int i = 0; i < N_BLOCKS; i++)
	{
		float		x[LLM_MAX_BLOCK];
		float		back[LLM_MAX_BLOCK];
		uint8_t		bytes[512];

		for (int j = 0; j < info->block_weights; j++)
			x[j] = random_weight() * (i % 3 == 0 ? 1e-3f : 1.0f) + (i % 4 == 3 ? 2.0f : 0.0f);
		round_simply(type, x, back);
		simple += squared_error(x, back, info->block_weights);
		quantize_row(type, x, info->block_weights, bytes);
		llm_dequantize_row(type, bytes, info->block_weights, back);
		ours += squared_error(x, back, info->block_weights);
#if defined(__x86_64__)
		if (__builtin_cpu_supports("avx2"))
		{
			QuantizedBlock block;
			uint8_t		other[512];

			quantize_search_generic(type, x, &block);
			quantize_pack(type, &block, other);
			same = same && memcmp(bytes, other, (size_t) info->block_bytes) == 0;
		}
#endif
	}
	ok(same, "%s: the same bits on any processor", info->name);
	ok(ours < simple, "%s: squared error %.4g, of simple rounding %.4g", info->name, ours, simple);
}

/* Blocks that are not like others. */
static void
test_edges(LlmTensorType type)
{
	static const char *const names[] = {
		"zeros", "one weight", "all equal", "all equal below zero", "greatest halves", "hardly above zero",
		"of the smallest floats", "alternating"
	};
	const LlmTensorTypeInfo *info = llm_tensor_type_info(type);

	for (int edge = 0; edge < 8; edge++)
	{
		float		x[LLM_MAX_BLOCK];
		float		back[LLM_MAX_BLOCK];
		uint8_t		bytes[512];
		double		norm = 0;
		double		error;
		bool		finite = true;

		for (int i = 0; i < info->block_weights; i++)
		{
			const float values[] = {
				0, i == 17 ? -3.0f : 0, 0.75f, -0.75f, i % 2 ? 65504.0f : -65504.0f,
				i % 2 ? 1e-7f : -1e-7f,
				(float) i * 1e-42f, i % 2 ? 1.0f : -1.0f
			};

			x[i] = values[edge];
			norm += (double) x[i] * x[i];
		}
		quantize_row(type, x, info->block_weights, bytes);
		llm_dequantize_row(type, bytes, info->block_weights, back);
		for (int i = 0; i < info->block_weights; i++)
			finite = finite && isfinite(back[i]);
		error = squared_error(x, back, info->block_weights);
		ok(finite && error <= norm * (edge == 5 || edge == 6 ? 1 : 0.03),
		   "%s, %s: error %.3g of %.3g", info->name,
		   names[edge], error, norm);
	}
}

/*
 * llama.cpp's relative error on the weights of the fixture types/f32.gguf, its quantizer without an importance
 * matrix: of all matrices the one that it makes best.
 */
static const struct
{
	LlmTensorType type;
	double		error;
}			peer[] = {
	{LLM_Q4_0, 0.085415}, {LLM_Q4_1, 0.078005}, {LLM_Q5_0, 0.042122}, {LLM_Q5_1, 0.037733},
	{LLM_Q8_0, 0.005272}, {LLM_Q2_K, 0.294662}, {LLM_Q3_K, 0.150379}, {LLM_Q4_K, 0.071105},
	{LLM_Q5_K, 0.035962}, {LLM_Q6_K, 0.017557}
};

/* Every matrix comes out better than that. */
static void
test_against_peer(const LlmGguf *gguf, LlmTensorType type, double limit)
{
	double		worst = 0;
	int			n_matrices = 0;

	for (int64_t t = 0; t < llm_gguf_n_tensors(gguf); t++)
	{
		const LlmGgufTensor *tensor = llm_gguf_tensor(gguf, t);
		double		error;

		if (tensor->dims[1] <= 1)
			continue;
		error = tensor_error(gguf, tensor, type);
		worst = error > worst ? error : worst;
		n_matrices++;
	}
	ok(n_matrices == 16 && worst < limit, "%s: relative error of each of %d matrices at most %.6f, of llama.cpp's at least %.6f",
	   llm_tensor_type_info(type)->name, n_matrices, worst, limit);
}

/* Relative L2. */
static double
tensor_error(const LlmGguf *gguf, const LlmGgufTensor *tensor, LlmTensorType type)
{
	int			cols = (int) tensor->dims[0];
	float	   *row = malloc(sizeof(float) * (size_t) cols * 2);
	uint8_t    *bytes = malloc(sizeof(float) * (size_t) cols);
	double		error = 0;
	double		norm = 0;

	for (int64_t i = 0; i < tensor->dims[1]; i++)
	{
		if (!llm_gguf_read(gguf, tensor->file_offset + (uint64_t) i * sizeof(float) * (uint64_t) cols, row,
						   sizeof(float) * (uint64_t) cols, NULL))
			abort();
		quantize_row(type, row, cols, bytes);
		llm_dequantize_row(type, bytes, cols, row + cols);
		error += squared_error(row, row + cols, cols);
		for (int j = 0; j < cols; j++)
			norm += (double) row[j] * row[j];
	}
	free(row);
	free(bytes);
	return sqrt(error / norm);
}

int
main(void)
{
	const char *fixture;
	int			n;
	const LlmTensorTypeInfo *types = llm_tensor_types(&n);

	for (int i = 0; i < n; i++)
		if (types[i].block_weights > 1)
		{
			test_packing(types[i].type);
			test_errors(types[i].type);
			test_edges(types[i].type);
		}
	fixture = fixture_path("types/f32.gguf");
	if (fixture == NULL)
		skip("fixture is absent");
	else
	{
		LlmGguf    *gguf = llm_gguf_open(fixture, NULL);

		for (size_t i = 0; i < sizeof(peer) / sizeof(peer[0]); i++)
			test_against_peer(gguf, peer[i].type, peer[i].error);
		llm_gguf_close(gguf);
	}
	return done_testing();
}
