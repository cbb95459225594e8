/*
 * amx_quantized.c
 *		Matrix products with the types of 32 weights and many columns: int8 dot products by TDPBSSD.
 *
 * The scratch of avx512_stretch.h holds a group's codes as eight rows of 64 bytes, four
 * weights of each of sixteen rows: just what AMX takes as its second operand.  With sixteen columns
 * as the first one, an instruction gives the sums of a group for a panel and those columns, a
 * column's sixteen rows in a row of the result.  The result goes by way of memory to vectors,
 * and from there on all is as in the AVX-512 set: the sums are exact in both, so this set has that
 * set's bits.
 *
 * For few columns the tiles of VPDPBUSD are quicker.
 */
#if defined(__x86_64__)

#include "engine/kernels/amx_product.h"


/*
 * Groups under way, a power of two: a tile's way through the multiplier and the memory takes longer than it takes to
 * add the sums of two groups.
 */
#define IN_FLIGHT 8

/* Tile registers: the macros of the instructions want constants. */
#define SUM 0
#define Q 1
#define CODES 2

static const TileShapes shapes = {
	.palette = 1,
	.row_bytes = {[SUM] = 64,[Q] = 32,[CODES] = 64},
	.rows = {[SUM] = TILE_COLUMNS,[Q] = TILE_COLUMNS,[CODES] = 8},
};

AMX_PRODUCT(q4_0, LLM_Q4_0, FEW_COLUMNS)
AMX_PRODUCT(q4_1, LLM_Q4_1, FEW_COLUMNS)
AMX_PRODUCT(q5_0, LLM_Q5_0, FEW_COLUMNS)
AMX_PRODUCT(q5_1, LLM_Q5_1, FEW_COLUMNS)
AMX_PRODUCT(q8_0, LLM_Q8_0, FEW_COLUMNS)

/* --- one tile ------------------------------------------------------------------ */

/* The sums of a group to memory. */
KERNEL_INLINE void
multiply_group(const uint8_t *codes, const ColumnStretch *x, int at, int32_t *sums)
{
	_tile_zero(SUM);
	_tile_loadd(Q, x->q + at * LLM_GROUP, sizeof(ColumnStretch));
	_tile_loadd(CODES, codes + at * QUADS * 64, 64);
	_tile_dpbssd(SUM, Q, CODES);
	_tile_stored(SUM, sums, 64);
}

/*
 * Add `groups` groups of a scratch's panel, for `columns` columns of sixteen that are there, to y.  The
 * groups that come next are under way while a group's sums are added.
 */
KERNEL_INLINE void
add_tile(Formula formula, const uint8_t *codes, const float *scales, const ColumnStretch *x, int columns,
		 int groups, Fetch fetch, bool is_first, float *y, int64_t y_stride)
{
	const int	stride = scale_vectors(formula) * 16;
	_Alignas(64) int32_t sums[IN_FLIGHT][RESULT_INTS];
	__m512		accumulator[TILE_COLUMNS];

#pragma GCC unroll 16
	for (int c = 0; c < TILE_COLUMNS; c++)
		accumulator[c] = is_first || c >= columns ? _mm512_setzero_ps() : _mm512_loadu_ps(y + c * y_stride);

	for (int g = 0; g < groups && g < IN_FLIGHT - 1; g++)
		multiply_group(codes, x, g, sums[g]);
	for (int g = 0; g < groups; g++)
	{
		const int32_t *sum = sums[g % IN_FLIGHT];
		const int	next = g + IN_FLIGHT - 1;

		if (next < groups)
			multiply_group(codes, x, next, sums[next % IN_FLIGHT]);
		for (int i = 0; i < fetch.lines; i++)
			_mm_prefetch((const char *) fetch.bytes + g * fetch.stride + i * 64, AHEAD);
#pragma GCC unroll 16
		for (int c = 0; c < TILE_COLUMNS; c++)
			accumulator[c] = add_group(formula, _mm512_load_si512(sum + c * LLM_PANEL_ROWS), scales + g * stride, &x[c], g,
									   accumulator[c]);
	}

#pragma GCC unroll 16
	for (int c = 0; c < TILE_COLUMNS; c++)
		if (c < columns)
			_mm512_storeu_ps(y + c * y_stride, accumulator[c]);
}

/* --- the loops around it ------------------------------------------------------- */

/*
 * Columns column .. column + columns - 1, at most BLOCK_COLUMNS.  What the last tile has beyond
 * them is computed from what the array holds there, and not stored.
 */
KERNEL_INLINE void
matmul_block(LlmTensorType type, const LlmMatrix *w, const LlmPanelPlanes *planes, int32_t first, int32_t last,
			 const LlmActivations *x, int32_t column, int columns, float *y, int64_t y_stride)
{
	const Formula formula = formula_of(type);
	const int64_t groups = w->cols / LLM_GROUP;
	const int	n_tiles = (columns + TILE_COLUMNS - 1) / TILE_COLUMNS;
	ColumnStretch activations[BLOCK_COLUMNS];
	Scratch		scratch;

	memset(activations + columns, 0, (size_t) (n_tiles * TILE_COLUMNS - columns) * sizeof(ColumnStretch));
	for (int64_t g = 0; g < groups; g += STRETCH_GROUPS)
	{
		const int	count = stretch_count(groups - g);

		for (int c = 0; c < columns; c++)
			copy_column(type, x, column + c, g, count, &activations[c]);

		for (int32_t panel = first, panels; panel < last; panel += panels)
		{
			PanelPointers next[TILE_PANELS];

			panels = last - panel < TILE_PANELS ? last - panel : TILE_PANELS;
			unpack_panels(type, true, w, planes, panel, panels, g, count, &scratch, next);
			for (int i = 0; i < n_tiles * panels; i++)
			{
				const int	c = i / panels * TILE_COLUMNS;
				const int	p = i % panels;

				add_tile(formula, scratch.codes[p], scratch.scales[p].groups, activations + c,
						 columns - c, count, share_of_next(type, next, panels, g, count, i, n_tiles * panels),
						 g == 0, y + (column + c) * y_stride + (int64_t) (panel + p) * LLM_PANEL_ROWS, y_stride);
			}
		}
	}
}

#endif							/* __x86_64__ */
