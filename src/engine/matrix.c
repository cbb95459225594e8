/*
 * matrix.c
 *		Packing rows of a file's tensor into panels, and reading them back.
 */
#include "engine/matrix.h"

#include <string.h>

#include "engine/block.h"
#include "engine/half.h"

/* One row's share of a 64-byte vector. */
#define QUAD 4
#define VECTOR_BYTES (LLM_PANEL_ROWS * QUAD)
#define QUADS_PER_GROUP (LLM_GROUP / QUAD)

/* Inlined with a layout that is constant: loading a model takes its time here. */
#define TEMPLATE static inline __attribute__((always_inline))

static uint64_t add_plane(LlmPanelPlanes *planes, uint64_t bytes);
static void pack_floats(int32_t cols, int32_t n_rows, const uint8_t *row_bytes, uint8_t *panel);
static void pack_half_words(int32_t cols, int32_t n_rows, const uint8_t *row_bytes, uint8_t *panel);
static void get_block(LlmBlockLayout layout, const LlmPanelPlanes *planes, const uint8_t *panel,
					  int64_t index, int row, LlmBlock *block);
static uint32_t every_byte(int bits);

#define DECLARE_PACK(NAME, ...) \
static void pack_##NAME(int32_t cols, int32_t n_rows, const uint8_t *row_bytes, uint8_t *panel);

LLM_QUANTIZED_TYPES(DECLARE_PACK)

LlmPanelPlanes
llm_panel_planes(LlmTensorType type, int32_t cols)
{
	const LlmBlockLayout *layout = llm_block_layout(type);
	LlmPanelPlanes planes = {0};
	uint64_t	groups = (uint64_t) cols / LLM_GROUP;
	uint64_t	blocks;

	if (layout == NULL)
	{
		add_plane(&planes, (uint64_t) cols * LLM_PANEL_ROWS * llm_tensor_type_info(type)->block_bytes);
		return planes;
	}

	blocks = (uint64_t) cols / layout->weights;
	planes.low = add_plane(&planes, groups * layout->low_bits * VECTOR_BYTES);
	if (layout->high_bits > 0)
		planes.high = add_plane(&planes, groups * layout->high_bits * VECTOR_BYTES);
	if (layout->sub_bytes > 0)
		planes.sub = add_plane(&planes, blocks * layout->sub_bytes * LLM_PANEL_ROWS);
	planes.d = add_plane(&planes, blocks * LLM_PANEL_ROWS * sizeof(uint16_t));
	if (layout->has_m)
		planes.m = add_plane(&planes, blocks * LLM_PANEL_ROWS * sizeof(uint16_t));
	return planes;
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

	memset(panel, 0, llm_panel_planes(type, cols).panel_bytes);
	pack[type] (cols, n_rows, row_bytes, panel);
}

void
llm_matrix_row(const LlmMatrix *matrix, int32_t row, float *out)
{
	const LlmTensorTypeInfo *info = llm_tensor_type_info(matrix->type);
	const LlmBlockLayout *layout = llm_block_layout(matrix->type);
	LlmPanelPlanes planes = llm_panel_planes(matrix->type, matrix->cols);
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
		get_block(*layout, &planes, panel, b, row, &block);
		llm_block_values(matrix->type, &block, out + b * info->block_weights);
	}
}

/* Append a plane; returns its offset. */
static uint64_t
add_plane(LlmPanelPlanes *planes, uint64_t bytes)
{
	uint64_t	offset = planes->panel_bytes;

	planes->panel_bytes += (bytes + VECTOR_BYTES - 1) / VECTOR_BYTES * VECTOR_BYTES;
	return offset;
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

/* One plane's share of a row's group: some bits of every code. */
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
		memcpy(vectors + v * VECTOR_BYTES, &words[v], QUAD);
}

TEMPLATE void
put_block(LlmBlockLayout layout, const LlmPanelPlanes *planes, uint8_t *restrict panel, int64_t index,
		  int row, const LlmBlock *restrict block)
{
	int			n_groups = layout.weights / LLM_GROUP;
	uint8_t    *low = panel + planes->low + index * n_groups * layout.low_bits * VECTOR_BYTES;
	uint8_t    *high = panel + planes->high + index * n_groups * layout.high_bits * VECTOR_BYTES;
	uint8_t    *sub = panel + planes->sub + index * layout.sub_bytes * LLM_PANEL_ROWS;
	int64_t		scale = (index * LLM_PANEL_ROWS + row) * (int64_t) sizeof(uint16_t);

	for (int g = 0; g < n_groups; g++)
	{
		const uint8_t *codes = block->codes + g * LLM_GROUP;

		put_bits(layout.low_bits, 0, codes, low + g * layout.low_bits * VECTOR_BYTES + row * QUAD);
		if (layout.high_bits > 0)
			put_bits(layout.high_bits, layout.low_bits, codes,
					 high + g * layout.high_bits * VECTOR_BYTES + row * QUAD);
	}
	for (int i = 0; i < layout.sub_bytes; i++)
		sub[i * LLM_PANEL_ROWS + row] = block->sub[i];
	memcpy(panel + planes->d + scale, &block->d, sizeof(block->d));
	if (layout.has_m)
		memcpy(panel + planes->m + scale, &block->m, sizeof(block->m));
}

TEMPLATE void
pack_blocks(LlmTensorType type, LlmBlockLayout layout, int32_t cols, int32_t n_rows,
			const uint8_t *row_bytes, uint8_t *panel)
{
	LlmPanelPlanes planes = llm_panel_planes(type, cols);
	int64_t		size = llm_tensor_type_info(type)->block_bytes;
	int64_t		n_blocks = cols / layout.weights;
	LlmBlock	block;

	for (int64_t b = 0; b < n_blocks; b++)
		for (int row = 0; row < n_rows; row++)
		{
			llm_block_read(type, row_bytes + (row * n_blocks + b) * size, &block);
			put_block(layout, &planes, panel, b, row, &block);
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

	memcpy(&word, vectors + llm_quad_vector(bits, q) * VECTOR_BYTES, QUAD);
	return word >> llm_quad_shift(bits, q) & every_byte(bits);
}

static void
get_block(LlmBlockLayout layout, const LlmPanelPlanes *planes, const uint8_t *panel,
		  int64_t index, int row, LlmBlock *block)
{
	int			n_groups = layout.weights / LLM_GROUP;
	const uint8_t *low = panel + planes->low + index * n_groups * layout.low_bits * VECTOR_BYTES;
	const uint8_t *high = panel + planes->high + index * n_groups * layout.high_bits * VECTOR_BYTES;
	const uint8_t *sub = panel + planes->sub + index * layout.sub_bytes * LLM_PANEL_ROWS;
	int64_t		scale = (index * LLM_PANEL_ROWS + row) * (int64_t) sizeof(uint16_t);

	for (int i = 0; i < layout.weights / QUAD; i++)
	{
		int			g = i / QUADS_PER_GROUP;
		int			q = i % QUADS_PER_GROUP;
		uint32_t	quad = get_bits(layout.low_bits, q,
									low + g * layout.low_bits * VECTOR_BYTES + row * QUAD);

		if (layout.high_bits > 0)
			quad |= get_bits(layout.high_bits, q, high + g * layout.high_bits * VECTOR_BYTES +
							 row * QUAD) << layout.low_bits;
		memcpy(block->codes + i * QUAD, &quad, QUAD);
	}
	for (size_t i = 0; i < sizeof(block->sub); i++)
		block->sub[i] = (int) i < layout.sub_bytes ? sub[i * LLM_PANEL_ROWS + row] : 0;
	memcpy(&block->d, panel + planes->d + scale, sizeof(block->d));
	block->m = 0;
	if (layout.has_m)
		memcpy(&block->m, panel + planes->m + scale, sizeof(block->m));
}

/* A mask with the lowest bits of every byte set. */
static uint32_t
every_byte(int bits)
{
	return 0x01010101u * ((1u << bits) - 1);
}
