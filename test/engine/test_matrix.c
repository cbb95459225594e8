/*
 * test_matrix.c
 *		Packing loses nothing: a row read back from its panel is the file's row, and
 *		the panel has the layout that matrix.h describes.
 */
#include <math.h>

#include "random_blocks.h"
#include "tap.h"

#define COUNT(array) ((int) (sizeof(array) / sizeof(array[0])))

/* Every row of a matrix equals the same row dequantized from the file's bytes. */
static bool
rows_equal(LlmTensorType type, int rows, int cols)
{
	const LlmTensorTypeInfo *info = llm_tensor_type_info(type);
	size_t		row_size = (size_t) cols / info->block_weights * info->block_bytes;
	size_t		bytes = cols * sizeof(float);
	uint8_t    *row_bytes;
	LlmMatrix	w = random_matrix(type, rows, cols, &row_bytes);
	float	   *packed = random_alloc(bytes);
	float	   *plain = random_alloc(bytes);
	bool		equal = true;

	for (int r = 0; r < rows; r++)
	{
		llm_matrix_row(&w, r, packed);
		llm_dequantize_row(type, row_bytes + r * row_size, cols, plain);
		equal = equal && memcmp(packed, plain, bytes) == 0;
	}
	for (int r = rows; r < w.n_panels * LLM_PANEL_ROWS; r++)
	{
		llm_matrix_row(&w, r, packed);
		for (int i = 0; i < cols; i++)
			equal = equal && packed[i] == 0;
	}
	free(packed);
	free(plain);
	free(row_bytes);
	free_matrix(&w);
	return equal;
}

/* The planes of a panel and their sizes, as the header lists them. */
static bool
planes_as_described(LlmTensorType type, int cols)
{
	LlmPanelPlanes planes = llm_panel_planes(type, cols);
	uint64_t	low[LLM_TENSOR_TYPE_LIMIT] = {
		[LLM_Q4_0] = 4,[LLM_Q4_1] = 4,[LLM_Q5_0] = 4,[LLM_Q5_1] = 4,[LLM_Q8_0] = 8,[LLM_Q2_K] = 2,
		[LLM_Q3_K] = 2,[LLM_Q4_K] = 4,[LLM_Q5_K] = 4,[LLM_Q6_K] = 4
	};
	uint64_t	high[LLM_TENSOR_TYPE_LIMIT] = {
		[LLM_Q5_0] = 1,[LLM_Q5_1] = 1,[LLM_Q3_K] = 1,[LLM_Q5_K] = 1,[LLM_Q6_K] = 2
	};
	uint64_t	sub[LLM_TENSOR_TYPE_LIMIT] = {
		[LLM_Q2_K] = 16,[LLM_Q3_K] = 12,[LLM_Q4_K] = 12,[LLM_Q5_K] = 12,[LLM_Q6_K] = 16
	};
	bool		has_m = type == LLM_Q4_1 || type == LLM_Q5_1 || type == LLM_Q2_K || type == LLM_Q4_K ||
		type == LLM_Q5_K;
	uint64_t	blocks = cols / llm_tensor_type_info(type)->block_weights;
	uint64_t	halves = (blocks * 32 + 63) / 64 * 64;
	uint64_t	at = 0;

	at += cols / 32 * low[type] * 64;
	if (planes.high != (high[type] > 0 ? at : 0))
		return false;
	at += cols / 32 * high[type] * 64;
	if (planes.sub != (sub[type] > 0 ? at : 0))
		return false;
	at += blocks * sub[type] * 16;
	if (planes.low != 0 || planes.d != at)
		return false;
	at += halves;
	if (planes.m != (has_m ? at : 0))
		return false;
	at += has_m ? halves : 0;
	return planes.panel_bytes == at;
}

/* Bits `bits` wide of weight k of a row, from a plane: the header's words as an index. */
static int
code_bits(const uint8_t *plane, int bits, int row, int k)
{
	int			q = k % 32 / 4;
	int			vector = bits == 8 ? q : bits == 4 ? q % 4 : bits == 2 ? q / 4 : 0;
	int			shift = bits == 8 ? 0 : bits == 4 ? q / 4 * 4 : bits == 2 ? q % 4 * 2 : q;
	const uint8_t *vectors = plane + k / 32 * bits * 64;

	return vectors[vector * 64 + row * 4 + k % 4] >> shift & ((1 << bits) - 1);
}

/*
 * With d = 1 and no further scales the weights of Q4_0, Q5_0 and Q8_0 are their codes, which
 * must lie where the header says.
 */
static bool
codes_in_place(LlmTensorType type, int low_bits, int high_bits, int offset)
{
	const int	cols = 96;
	const LlmTensorTypeInfo *info = llm_tensor_type_info(type);
	size_t		row_size = cols / 32 * info->block_bytes;
	uint8_t    *row_bytes = random_alloc(5 * row_size);
	uint8_t    *panel = random_alloc(llm_panel_planes(type, cols).panel_bytes);
	LlmPanelPlanes planes = llm_panel_planes(type, cols);
	float		weights[96];
	bool		good = true;

	for (int r = 0; r < 5; r++)
		random_row(type, cols, row_bytes + r * row_size);
	for (size_t i = 0; i < 5 * row_size; i += info->block_bytes)
		memcpy(row_bytes + i, "\x00\x3c", 2);	/* 1.0 */
	llm_panel_pack(type, cols, 5, row_bytes, panel);
	for (int r = 0; r < 5; r++)
	{
		llm_dequantize_row(type, row_bytes + r * row_size, cols, weights);
		for (int k = 0; k < cols; k++)
		{
			int			code = code_bits(panel + planes.low, low_bits, r, k);

			if (high_bits > 0)
				code |= code_bits(panel + planes.high, high_bits, r, k) << low_bits;
			good = good && code - offset == weights[k];
		}
		for (int g = 0; g < cols / 32; g++)
			good = good && memcmp(panel + planes.d + (g * 16 + r) * 2, "\x00\x3c", 2) == 0;
	}
	free(row_bytes);
	free(panel);
	return good;
}

/* Packed weights take at most 3% more than the file's, for real models' widths. */
static bool
is_compact(const LlmTensorTypeInfo *info, int cols)
{
	double		in_file = 16.0 * cols / info->block_weights * info->block_bytes;

	return llm_panel_planes(info->type, cols).panel_bytes <= 1.03 * in_file;
}

int
main(void)
{
	static const int row_counts[] = {1, 5, 15, 16, 17, 48, 100};
	static const int widths[][4] = {{1, 7, 33, 288}, {32, 64, 96, 1056}, {256, 512, 768, 1280}};
	int			count;
	const LlmTensorTypeInfo *types = llm_tensor_types(&count);

	for (int i = 0; i < count; i++)
	{
		int			weights = types[i].block_weights;
		const int  *cols = widths[weights == 1 ? 0 : weights == 32 ? 1 : 2];
		bool		equal = true;
		bool		described = true;

		for (int c = 0; c < 4; c++)
		{
			for (int r = 0; r < COUNT(row_counts); r++)
				equal = equal && rows_equal(types[i].type, row_counts[r], cols[c]);
			described = described && llm_panel_planes(types[i].type, cols[c]).panel_bytes % 64 == 0 &&
				(weights == 1 || planes_as_described(types[i].type, cols[c]));
		}
		ok(equal, "%s: rows survive packing bit for bit", types[i].name);
		ok(described, "%s: planes are where the header puts them", types[i].name);
		ok(is_compact(&types[i], 4096) && is_compact(&types[i], 11008), "%s: a panel is no larger than "
		   "its rows", types[i].name);
	}
	ok(codes_in_place(LLM_Q4_0, 4, 0, 8), "Q4_0: codes are where the header puts them");
	ok(codes_in_place(LLM_Q5_0, 4, 1, 16), "Q5_0: codes are where the header puts them");
	ok(codes_in_place(LLM_Q8_0, 8, 0, 128), "Q8_0: codes are where the header puts them");
	return done_testing();
}
