/*
 * amx_product.h
 *		What products by tiles have in common: when they begin, and their loop over blocks of columns.
 */
#ifndef LLM_KERNELS_AMX_PRODUCT_H
#define LLM_KERNELS_AMX_PRODUCT_H

/* On processors with tiles VPMULLD takes two steps and VPDPWSSD one, which outweighs what offsets take. */
#define LEND_OFFSETS true

#include "engine/kernels/amx.h"
#include "engine/kernels/avx512_few.h"

#define TILE_COLUMNS 16
#define BEFORE_TILES 12			/* so many columns by vectors, before tiles begin */
#define BEFORE_TILES_Q8_0 24	/* where memory is the limit for longer */
#define RESULT_INTS (TILE_COLUMNS * LLM_PANEL_ROWS)

/* What a file that includes this defines for its types: its tiles, and the product of at most BLOCK_COLUMNS columns. */
KERNEL_INLINE TileShapes tile_shapes(int columns);

KERNEL_INLINE void matmul_block(LlmTensorType type, const LlmMatrix *w, int32_t first, int32_t last,
								const LlmActivations *x, int32_t column, int columns, float *y, int64_t y_stride);

/* The product of a type: by vectors up to `few` columns, from there on by tiles, but up to `rest` columns beyond whole tiles by vectors. */
#define AMX_PRODUCT(name, type, few, rest) \
FEW_TILES(name, type, true) \
void \
amx_matmul_##name(const LlmMatrix *w, int32_t first, int32_t last, const LlmActivations *x, \
				  float *y, int64_t y_stride) \
{ \
	matmul_tiles_and_few(type, name##_direct_tiles, few, rest, w, first, last, x, y, y_stride); \
}

/* The first n_cols columns. */
KERNEL_INLINE void
matmul_tiles(LlmTensorType type, const LlmMatrix *w, int32_t first, int32_t last, const LlmActivations *x, int32_t n_cols,
			 float *y, int64_t y_stride)
{
	for (int32_t column = 0; column < n_cols; column += BLOCK_COLUMNS)
	{
		const int	columns = n_cols - column < BLOCK_COLUMNS ? n_cols - column : BLOCK_COLUMNS;
		const TileShapes shapes = tile_shapes(columns);

		load_shapes(&shapes);
		matmul_block(type, w, first, last, x, column, columns, y, y_stride);
	}
	_tile_release();
}

/* x without its first `column` columns. */
KERNEL_INLINE LlmActivations
columns_from(const LlmActivations *x, int32_t column)
{
	const int64_t first = (int64_t) column * x->width;
	LlmActivations rest = *x;

	rest.n_cols -= column;
	rest.x += first;
	rest.q += first;
	rest.d += first / LLM_GROUP;
	rest.sum16 += first / 16;
	return rest;
}

KERNEL_INLINE void
matmul_tiles_and_few(LlmTensorType type, const DirectTile (*direct_tiles)[TILE_WIDTH], int few, int most_rest,
					 const LlmMatrix *w, int32_t first, int32_t last, const LlmActivations *x, float *y, int64_t y_stride)
{
	const int32_t rest = x->n_cols % TILE_COLUMNS;
	const int32_t in_tiles = x->n_cols <= few ? 0 : rest <= most_rest ? x->n_cols - rest : x->n_cols;
	const LlmActivations others = columns_from(x, in_tiles);

	if (in_tiles > 0)
		matmul_tiles(type, w, first, last, x, in_tiles, y, y_stride);
	if (others.n_cols > 0)
		matmul_few(type, true, direct_tiles, w, first, last, &others, y + in_tiles * y_stride, y_stride);
}

#endif							/* LLM_KERNELS_AMX_PRODUCT_H */
