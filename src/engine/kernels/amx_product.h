/*
 * amx_product.h
 *		What products by tiles have in common: when they begin, and their loop over blocks of columns.
 */
#ifndef LLM_KERNELS_AMX_PRODUCT_H
#define LLM_KERNELS_AMX_PRODUCT_H

#include "engine/kernels/amx.h"
#include "engine/kernels/avx512_few.h"

#define TILE_COLUMNS 16
#define RESULT_INTS (TILE_COLUMNS * LLM_PANEL_ROWS)

/* What a file that includes this defines for its types: its tiles, and the product of at most BLOCK_COLUMNS columns. */
static const TileShapes shapes;

KERNEL_INLINE void matmul_block(LlmTensorType type, const LlmMatrix *w, const LlmPanelPlanes *planes, int32_t first,
								int32_t last, const LlmActivations *x, int32_t column, int columns, float *y,
								int64_t y_stride);

/* The product of a type: by vectors up to `few` columns, from there on by tiles. */
#define AMX_PRODUCT(name, type, few) \
FEW_TILES(name, type, true) \
void \
amx_matmul_##name(const LlmMatrix *w, int32_t first, int32_t last, const LlmActivations *x, \
				  float *y, int64_t y_stride) \
{ \
	if (x->n_cols > 0 && x->n_cols <= few) \
		matmul_few(type, name##_direct_tiles, w, first, last, x, y, y_stride); \
	else \
		matmul_tiles(type, w, first, last, x, y, y_stride); \
}

KERNEL_INLINE void
matmul_tiles(LlmTensorType type, const LlmMatrix *w, int32_t first, int32_t last, const LlmActivations *x, float *y,
			 int64_t y_stride)
{
	const LlmPanelPlanes planes = llm_panel_planes(type, w->cols);

	_tile_loadconfig(&shapes);
	for (int32_t column = 0; column < x->n_cols; column += BLOCK_COLUMNS)
		matmul_block(type, w, &planes, first, last, x, column,
					 x->n_cols - column < BLOCK_COLUMNS ? x->n_cols - column : BLOCK_COLUMNS, y, y_stride);
	_tile_release();
}

#endif							/* LLM_KERNELS_AMX_PRODUCT_H */
