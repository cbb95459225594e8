/*
 * avx512_quantized.c
 *		Matrix products with quantized weights: int8 dot products by VPDPBUSD.
 *
 * One template serves all types.  Around its core, group_step:
 *
 *	 few columns:	tiles whose codes are unpacked as they are needed (avx512_few.h).
 *	 many columns:	a stretch of three panels is unpacked to a scratch in the first-level
 *					cache and then used by all tiles of a block of columns.
 *
 * In both cases the columns' activations are first copied in the order in which the tiles
 * read them, and the weights that come next are prefetched, unless the columns are so few that panels are read as they lie (stream_columns).  An output's own
 * operations are the same on every way, so its bits are too; between stretches the sums rest in y, which loses nothing.
 */
#if defined(__x86_64__)

#include "engine/kernels/avx512_few.h"

#define TILE_COLUMNS 4			/* tile of the scratch path */

/* Add the first `groups` groups of the scratch to the sums at y of one tile. */
typedef void (*ScratchTile) (const Scratch *scratch, const ColumnStretch *x, int groups,
							 Fetch fetch, bool is_first, float *y, int64_t y_stride);

static const ScratchTile scratch_tiles[N_FORMULAS][TILE_PANELS][TILE_COLUMNS];

KERNEL_INLINE void matmul(LlmTensorType type, const DirectTile (*direct_tiles)[TILE_WIDTH],
						  const LlmMatrix *w, int32_t first, int32_t last,
						  const LlmActivations *x, float *y, int64_t y_stride);

#define MATMUL(name, type) \
FEW_TILES(name, type, false) \
void \
name(const LlmMatrix *w, int32_t first, int32_t last, const LlmActivations *x, \
	 float *y, int64_t y_stride) \
{ \
	matmul(type, name##_direct_tiles, w, first, last, x, y, y_stride); \
}

MATMUL(avx512_matmul_q4_0, LLM_Q4_0)
MATMUL(avx512_matmul_q4_1, LLM_Q4_1)
MATMUL(avx512_matmul_q5_0, LLM_Q5_0)
MATMUL(avx512_matmul_q5_1, LLM_Q5_1)
MATMUL(avx512_matmul_q8_0, LLM_Q8_0)
MATMUL(avx512_matmul_q2_k, LLM_Q2_K)
MATMUL(avx512_matmul_q3_k, LLM_Q3_K)
MATMUL(avx512_matmul_q4_k, LLM_Q4_K)
MATMUL(avx512_matmul_q5_k, LLM_Q5_K)
MATMUL(avx512_matmul_q6_k, LLM_Q6_K)

/* --- the tiles ------------------------------------------------------------- */

/* Codes in the scratch are bytes, as those of a group of Q8_0. */
KERNEL_INLINE void
scratch_tile(Formula formula, int panels, int columns, const Scratch *scratch,
			 const ColumnStretch *x, int groups, Fetch fetch, bool is_first, float *y,
			 int64_t y_stride)
{
	const int	run_groups = is_of_blocks(formula) ? SCALE_GROUPS : groups;
	Accumulators a;

	load_accumulators(panels, columns, is_first, y, y_stride, &a);
	for (int run = 0; run < groups; run += run_groups)
	{
		if (is_of_blocks(formula))
			begin_block(formula, panels, columns, scratch->scales, x, run / SCALE_GROUPS, &a);
		for (int g = run; g < run + run_groups; g++)
		{
			const uint8_t *codes[TILE_PANELS];

#pragma GCC unroll 3
			for (int p = 0; p < panels; p++)
				codes[p] = scratch->codes[p] + g * QUADS * 64;
			for (int i = 0; i < fetch.lines; i++)
				_mm_prefetch((const char *) fetch.bytes + g * fetch.stride + i * 64, AHEAD);
			group_step(formula, LLM_Q8_0, false, panels, columns, codes, scratch->scales, x, g, &a);
		}
		if (is_of_blocks(formula))
			end_block(panels, columns, scratch->scales, x, run / SCALE_GROUPS, &a);
	}
	store_accumulators(panels, columns, y, y_stride, &a);
}

/* --- the loops around them ------------------------------------------------------- */

/* Two pairs of panels are quicker than three and one. */
KERNEL_INLINE int
tile_panels(int32_t rest)
{
	return rest == TILE_PANELS + 1 ? 2 : rest < TILE_PANELS ? rest : TILE_PANELS;
}

/*
 * Columns column .. column + columns - 1, at most BLOCK_COLUMNS, by way of the scratch.  The
 * weights of the next tile of panels are fetched while one is multiplied.
 */
KERNEL_INLINE void
matmul_block(LlmTensorType type, const LlmMatrix *w, int32_t first, int32_t last, const LlmActivations *x,
			 int32_t column, int columns, float *y, int64_t y_stride)
{
	const Formula formula = formula_of(type);
	const int64_t groups = w->cols / LLM_GROUP;
	const int	n_tiles = (columns + TILE_COLUMNS - 1) / TILE_COLUMNS;
	ColumnStretch activations[BLOCK_COLUMNS];
	Scratch		scratch;

	for (int64_t g = 0; g < groups; g += STRETCH_GROUPS)
	{
		const int	count = stretch_count(groups - g);

		for (int c = 0; c < columns; c++)
			copy_column(type, x, column + c, g, count, &activations[c]);

		for (int32_t panel = first, panels; panel < last; panel += panels)
		{
			const uint8_t *next[TILE_PANELS];

			panels = tile_panels(last - panel);
			unpack_panels(type, w, panel, panels, g, count, &scratch, next);
			for (int t = 0; t < n_tiles; t++)
			{
				const int	c = t * TILE_COLUMNS;
				const int	width = columns - c < TILE_COLUMNS ? columns - c : TILE_COLUMNS;

				scratch_tiles[formula][panels - 1][width - 1]
					(&scratch, activations + c, count,
					 share_of_next(type, next, panels, g, count, t, n_tiles), g == 0,
					 y + (column + c) * y_stride + (int64_t) panel * LLM_PANEL_ROWS, y_stride);
			}
		}
	}
}

KERNEL_INLINE void
matmul(LlmTensorType type, const DirectTile (*direct_tiles)[TILE_WIDTH], const LlmMatrix *w,
	   int32_t first, int32_t last, const LlmActivations *x, float *y, int64_t y_stride)
{
	if (x->n_cols <= 0)
		return;
	if (x->n_cols <= few_columns(type))
	{
		matmul_few(type, false, direct_tiles, w, first, last, x, y, y_stride);
		return;
	}
	for (int32_t column = 0; column < x->n_cols; column += BLOCK_COLUMNS)
		matmul_block(type, w, first, last, x, column,
					 x->n_cols - column < BLOCK_COLUMNS ? x->n_cols - column : BLOCK_COLUMNS, y, y_stride);
}

#define SCRATCH_TILE(formula, panels, columns) \
static void \
scratch_tile_##formula##_##panels##_##columns(const Scratch *scratch, const ColumnStretch *x, \
											  int groups, Fetch fetch, bool is_first, float *y, \
											  int64_t y_stride) \
{ \
	scratch_tile(formula, panels, columns, scratch, x, groups, fetch, is_first, y, y_stride); \
}

#define SCRATCH_TILES(formula, panels) \
SCRATCH_TILE(formula, panels, 1) \
SCRATCH_TILE(formula, panels, 2) \
SCRATCH_TILE(formula, panels, 3) \
SCRATCH_TILE(formula, panels, 4)

#define ALL_SCRATCH_TILES(formula) \
SCRATCH_TILES(formula, 1) \
SCRATCH_TILES(formula, 2) \
SCRATCH_TILES(formula, 3)

ALL_SCRATCH_TILES(FORMULA_SYMMETRIC)
ALL_SCRATCH_TILES(FORMULA_MINIMUM)
ALL_SCRATCH_TILES(FORMULA_BLOCK_MINIMUM_WIDE)
ALL_SCRATCH_TILES(FORMULA_BLOCK_HALVES)
ALL_SCRATCH_TILES(FORMULA_BLOCK_HALVES_WIDE)
ALL_SCRATCH_TILES(FORMULA_BLOCK_HALVES_MINIMUM)

#define TILE_ROW(formula, panels) { \
	scratch_tile_##formula##_##panels##_1, \
	scratch_tile_##formula##_##panels##_2, \
	scratch_tile_##formula##_##panels##_3, \
	scratch_tile_##formula##_##panels##_4, \
}
#define TILE_ROWS(formula) {TILE_ROW(formula, 1), TILE_ROW(formula, 2), TILE_ROW(formula, 3)}

static const ScratchTile scratch_tiles[N_FORMULAS][TILE_PANELS][TILE_COLUMNS] = {
	[FORMULA_SYMMETRIC] = TILE_ROWS(FORMULA_SYMMETRIC),
	[FORMULA_MINIMUM] = TILE_ROWS(FORMULA_MINIMUM),
	[FORMULA_BLOCK_MINIMUM] = TILE_ROWS(FORMULA_BLOCK_MINIMUM_WIDE),	/* see has_wide_sums */
	[FORMULA_BLOCK_MINIMUM_WIDE] = TILE_ROWS(FORMULA_BLOCK_MINIMUM_WIDE),
	[FORMULA_BLOCK_HALVES] = TILE_ROWS(FORMULA_BLOCK_HALVES),
	[FORMULA_BLOCK_HALVES_WIDE] = TILE_ROWS(FORMULA_BLOCK_HALVES_WIDE),
	[FORMULA_BLOCK_HALVES_MINIMUM] = TILE_ROWS(FORMULA_BLOCK_HALVES_MINIMUM),
};

#endif							/* __x86_64__ */
