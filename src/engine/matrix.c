/*
 * matrix.c
 *		Packing rows of a file's tensor into panels, and reading them back.
 */
#include "engine/matrix.h"

#include <string.h>

#include "engine/half.h"

/* One row's share of a 64-byte vector. */
#define QUAD 4
#define QUADS_PER_GROUP (LLM_GROUP / QUAD)

/* Inlined with a layout that is constant: loading a model takes its time here. */
#define TEMPLATE static inline __attribute__((always_inline))

static void pack_floats(int32_t cols, int32_t n_rows, const uint8_t *row_bytes, uint8_t *panel);
static void pack_half_words(int32_t cols, int32_t n_rows, const uint8_t *row_bytes, uint8_t *panel);
static void get_block(LlmBlockLayout layout, const uint8_t *panel, int64_t index, int row, LlmBlock *block);
static uint32_t every_byte(int bits);

#define DECLARE_PACK(NAME, ...) \
static void pack_##NAME(int32_t cols, int32_t n_rows, const uint8_t *row_bytes, uint8_t *panel);

LLM_QUANTIZED_TYPES(DECLARE_PACK)

uint64_t
llm_panel_bytes(LlmTensorType type, int32_t cols)
{
	const LlmBlockLayout *layout = llm_block_layout(type);

	if (layout == NULL)
		return ((uint64_t) cols * LLM_PANEL_ROWS * llm_tensor_type_info(type)->block_bytes + LLM_PANEL_VECTOR - 1) /
			LLM_PANEL_VECTOR * LLM_PANEL_VECTOR;
	if (cols < layout->weights)
		return 0;
	return llm_block_place(*layout, (uint64_t) cols / layout->weights - 1) + llm_block_bytes(*layout);
}

void
llm_panel_pack(LlmTensorType type, int32_t cols, int32_t n_rows, const void *row_bytes, void *panel)
{
#define PACK(NAME, ...) [LLM_##NAME] = pack_##NAME,
	static void (*const pack[LLM_TENSOR_TYPE_LIMIT]) (int32_t, int32_t, const uint8_t *, uint8_t *) = {
		[LLM_F32] = pack_floats,
		[LLM_F16] = pack_half_words,
		[LLM_BF16] = pack_half_words,
		LLM_QUANTIZED_TYPES(PACK)
	};
#undef PACK

	memset(panel, 0, llm_panel_bytes(type, cols));
	pack[type] (cols, n_rows, row_bytes, panel);
}

void
llm_matrix_row(const LlmMatrix *matrix, int32_t row, float *out)
{
	const LlmTensorTypeInfo *info = llm_tensor_type_info(matrix->type);
	const LlmBlockLayout *layout = llm_block_layout(matrix->type);
	const uint8_t *panel = matrix->panels + row / LLM_PANEL_ROWS * matrix->panel_bytes;

	row %= LLM_PANEL_ROWS;
	for (int64_t b = 0; b < matrix->cols / info->block_weights; b++)
	{
		LlmBlock	block;

		if (layout == NULL)
		{
			out[b] = llm_float_element(matrix->type,
									   panel + (b * LLM_PANEL_ROWS + row) * info->block_bytes);
			continue;
		}
		get_block(*layout, panel, b, row, &block);
		llm_block_values(matrix->type, &block, out + b * info->block_weights);
	}
}

TEMPLATE void
pack_elements(int32_t cols, int32_t n_rows, size_t size, const uint8_t *restrict row_bytes,
			  uint8_t *restrict panel)
{
	for (int64_t k = 0; k < cols; k++)
		for (int row = 0; row < n_rows; row++)
			memcpy(panel + (k * LLM_PANEL_ROWS + row) * size,
				   row_bytes + (row * (int64_t) cols + k) * size, size);
}

static void
pack_floats(int32_t cols, int32_t n_rows, const uint8_t *row_bytes, uint8_t *panel)
{
	pack_elements(cols, n_rows, sizeof(float), row_bytes, panel);
}

static void
pack_half_words(int32_t cols, int32_t n_rows, const uint8_t *row_bytes, uint8_t *panel)
{
	pack_elements(cols, n_rows, sizeof(uint16_t), row_bytes, panel);
}

/* The low or the high vectors' share of a row's group: some bits of every code. */
TEMPLATE void
put_bits(int bits, int drop, const uint8_t *restrict codes, uint8_t *restrict vectors)
{
	uint32_t	words[QUADS_PER_GROUP] = {0};

	for (int q = 0; q < QUADS_PER_GROUP; q++)
	{
		uint32_t	quad;

		memcpy(&quad, codes + q * QUAD, QUAD);
		words[llm_quad_vector(bits, q)] |= (quad >> drop & every_byte(bits)) << llm_quad_shift(bits, q);
	}
	for (int v = 0; v < bits; v++)
		memcpy(vectors + v * LLM_PANEL_VECTOR, &words[v], QUAD);
}

TEMPLATE void
put_block(LlmBlockLayout layout, uint8_t *restrict panel, int64_t index, int row, const LlmBlock *restrict block)
{
	uint8_t    *sub = panel + llm_block_place(layout, index);
	uint8_t    *group = sub + llm_sub_bytes(layout) + row * QUAD;
	uint8_t    *halves = panel + llm_halves_place(layout, index) + row * sizeof(uint16_t);

	for (int k = 0; k < layout.weights; k += LLM_GROUP, group += llm_group_bytes(layout))
	{
		put_bits(layout.low_bits, 0, block->codes + k, group);
		if (layout.high_bits > 0)
			put_bits(layout.high_bits, layout.low_bits, block->codes + k, group + layout.low_bits * LLM_PANEL_VECTOR);
	}
	for (int i = 0; i < layout.sub_bytes; i++)
		sub[i * LLM_PANEL_ROWS + row] = block->sub[i];
	memcpy(halves, &block->d, sizeof(block->d));
	if (layout.has_m)
		memcpy(halves + llm_halves_bytes(), &block->m, sizeof(block->m));
}

TEMPLATE void
pack_blocks(LlmTensorType type, LlmBlockLayout layout, int32_t cols, int32_t n_rows,
			const uint8_t *row_bytes, uint8_t *panel)
{
	int64_t		size = llm_tensor_type_info(type)->block_bytes;
	int64_t		n_blocks = cols / layout.weights;
	LlmBlock	block;

	for (int64_t b = 0; b < n_blocks; b++)
		for (int row = 0; row < n_rows; row++)
		{
			llm_block_read(type, row_bytes + (row * n_blocks + b) * size, &block);
			put_block(layout, panel, b, row, &block);
		}
}

#define DEFINE_PACK(NAME, ...) \
static void \
pack_##NAME(int32_t cols, int32_t n_rows, const uint8_t *row_bytes, uint8_t *panel) \
{ \
	const LlmBlockLayout layout = {__VA_ARGS__}; \
\
	pack_blocks(LLM_##NAME, layout, cols, n_rows, row_bytes, panel); \
}

LLM_QUANTIZED_TYPES(DEFINE_PACK)

static uint32_t
get_bits(int bits, int q, const uint8_t *vectors)
{
	uint32_t	word;

	memcpy(&word, vectors + llm_quad_vector(bits, q) * LLM_PANEL_VECTOR, QUAD);
	return word >> llm_quad_shift(bits, q) & every_byte(bits);
}

static void
get_block(LlmBlockLayout layout, const uint8_t *panel, int64_t index, int row, LlmBlock *block)
{
	const uint8_t *sub = panel + llm_block_place(layout, index);
	const uint8_t *halves = panel + llm_halves_place(layout, index) + row * sizeof(uint16_t);

	for (int i = 0; i < layout.weights / QUAD; i++)
	{
		int			q = i % QUADS_PER_GROUP;
		const uint8_t *group = sub + llm_sub_bytes(layout) + i / QUADS_PER_GROUP * llm_group_bytes(layout) + row * QUAD;
		uint32_t	quad = get_bits(layout.low_bits, q, group);

		if (layout.high_bits > 0)
			quad |= get_bits(layout.high_bits, q, group + layout.low_bits * LLM_PANEL_VECTOR) << layout.low_bits;
		memcpy(block->codes + i * QUAD, &quad, QUAD);
	}
	for (size_t i = 0; i < sizeof(block->sub); i++)
		block->sub[i] = (int) i < layout.sub_bytes ? sub[i * LLM_PANEL_ROWS + row] : 0;
	memcpy(&block->d, halves, sizeof(block->d));
	block->m = 0;
	if (layout.has_m)
		memcpy(&block->m, halves + llm_halves_bytes(), sizeof(block->m));
}

/* A mask with the lowest bits of every byte set. */
static uint32_t
every_byte(int bits)
{
	return 0x01010101u * ((1u << bits) - 1);
}
