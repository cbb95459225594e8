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

/* What the header says of a type: bits of a code, bytes of scales and minimums of a row's block, whether it has minimums. */
typedef struct Described
{
	uint64_t	weights;
	uint64_t	low;
	uint64_t	high;
	uint64_t	sub;
	bool		has_m;
} Described;

static Described
described_type(LlmTensorType type)
{
	static const Described types[LLM_TENSOR_TYPE_LIMIT] = {
		[LLM_Q4_0] = {32, 4, 0, 0, false},[LLM_Q4_1] = {32, 4, 0, 0, true},[LLM_Q5_0] = {32, 4, 1, 0, false},
		[LLM_Q5_1] = {32, 4, 1, 0, true},[LLM_Q8_0] = {32, 8, 0, 0, false},[LLM_Q2_K] = {256, 2, 0, 16, true},
		[LLM_Q3_K] = {256, 2, 1, 12, false},[LLM_Q4_K] = {256, 4, 0, 12, true},[LLM_Q5_K] = {256, 4, 1, 12, true},
		[LLM_Q6_K] = {256, 4, 2, 16, false}
	};

	return types[type];
}

/* Walk over a panel: its parts follow each other as the header lists them, and nothing else is there. */
static bool
parts_as_described(LlmTensorType type, int cols)
{
	const Described t = described_type(type);
	const LlmBlockLayout layout = *llm_block_layout(type);
	const uint64_t unit = t.has_m ? 1 : 2;
	uint64_t	at = 0;
	uint64_t	halves = 0;
	bool		good = true;

	for (uint64_t b = 0; b < cols / t.weights; b++)
	{
		if (b % unit == 0)
		{
			halves = at;
			at += 2 * 16 * 2;
		}
		good = good && llm_halves_place(layout, b) == halves + b % unit * 32;
		good = good && llm_block_place(layout, b) == at;
		at += t.sub * 16;
		for (uint64_t g = b * t.weights / 32; g < (b + 1) * t.weights / 32; g++)
		{
			good = good && llm_group_place(layout, g) == at;
			at += (t.low + t.high) * 64;
		}
	}
	return good && llm_panel_bytes(type, cols) == at;
}

/* Bits `bits` wide of weight k of a row's group, from its low or high vectors: the header's words as an index. */
static int
code_bits(const uint8_t *vectors, int bits, int row, int k)
{
	int			q = k / 4;
	int			vector = bits == 8 ? q : bits == 4 ? q % 4 : bits == 2 ? q / 4 : 0;
	int			shift = bits == 8 ? 0 : bits == 4 ? q / 4 * 4 : bits == 2 ? q % 4 * 2 : q;

	return vectors[vector * 64 + row * 4 + k % 4] >> shift & ((1 << bits) - 1);
}

/*
 * With d = 1 and no further scales the weights of Q4_0, Q5_0 and Q8_0 are their codes, which
 * must lie where the header says.
 */
static bool
codes_in_place(LlmTensorType type, int offset)
{
	const int	cols = 96;
	const Described t = described_type(type);
	const LlmTensorTypeInfo *info = llm_tensor_type_info(type);
	size_t		row_size = cols / 32 * info->block_bytes;
	uint8_t    *row_bytes = random_alloc(5 * row_size);
	uint8_t    *panel = random_alloc(llm_panel_bytes(type, cols));
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
			const uint64_t group = k / 32;
			const uint64_t bytes = (t.low + t.high) * 64;
			const uint8_t *unit = panel + group / 2 * (64 + 2 * bytes);
			const uint8_t *vectors = unit + 64 + group % 2 * bytes;
			int			code = code_bits(vectors, (int) t.low, r, k % 32);

			if (t.high > 0)
				code |= code_bits(vectors + t.low * 64, (int) t.high, r, k % 32) << t.low;
			good = good && code - offset == weights[k];
			good = good && memcmp(unit + (group % 2 * 16 + r) * 2, "\x00\x3c", 2) == 0;
		}
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

	return llm_panel_bytes(info->type, cols) <= 1.03 * in_file;
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
			described = described && llm_panel_bytes(types[i].type, cols[c]) % 64 == 0 &&
				(weights == 1 || parts_as_described(types[i].type, cols[c]));
		}
		ok(equal, "%s: rows survive packing bit for bit", types[i].name);
		ok(described, "%s: a panel's parts are where the header puts them", types[i].name);
		ok(is_compact(&types[i], 4096) && is_compact(&types[i], 11008), "%s: a panel is no larger than "
		   "its rows", types[i].name);
	}
	ok(codes_in_place(LLM_Q4_0, 8), "Q4_0: codes are where the header puts them");
	ok(codes_in_place(LLM_Q5_0, 16), "Q5_0: codes are where the header puts them");
	ok(codes_in_place(LLM_Q8_0, 128), "Q8_0: codes are where the header puts them");
	return done_testing();
}
