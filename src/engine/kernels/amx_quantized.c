/*
 * amx_quantized.c
 *		Matrix products with the types of 32 weights and many columns: int8 dot products by TDPBSSD.
 *
 * Unpacked, a group's codes are eight rows of 64 bytes, four
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

/* A stretch of one panel, unpacked. */
typedef struct Weights
{
	_Alignas(64) uint8_t codes[STRETCH_GROUPS * QUADS * 64];
				_Alignas(64) float scales[STRETCH_GROUPS * MAX_SCALES * 16];
} Weights;

/* A stretch of a panel, where it is packed. */
typedef struct PackedStretch
{
	PanelPointers panel;
	int64_t		first;			/* its first group */
	int			count;			/* its groups */
} PackedStretch;

/* What is unpacked and what is fetched while tiles are multiplied: a group of each after every n_tiles groups of tiles. */
typedef struct Ahead
{
	PackedStretch to_unpack;
	PackedStretch to_fetch;
	Weights    *weights;
	int			n_tiles;
} Ahead;

KERNEL_INLINE void
unpack_group(LlmTensorType type, const PackedStretch *from, int at, Weights *out)
{
	unpack_codes(type, true, &from->panel, from->first + at, out->codes + at * QUADS * 64);
	unpack_group_scales(type, &from->panel, from->first + at, 1, out->scales + at * scale_vectors(formula_of(type)) * 16);
}

KERNEL_INLINE void
fetch_group(LlmTensorType type, const PackedStretch *from, int at)
{
	const int64_t group = from->first + at;

	prefetch_bytes(false, from->panel.low + group * low_bytes(type), low_bytes(type));
	prefetch_bytes(false, from->panel.high + group * high_bytes(type), high_bytes(type));
	prefetch_scales(type, false, &from->panel, group, 1);
}

/* The `step`-th group of the tiles of a stretch. */
KERNEL_INLINE void
work_ahead(LlmTensorType type, const Ahead *ahead, int step)
{
	const int	at = step / ahead->n_tiles;

	if (step % ahead->n_tiles != 0)
		return;
	if (at < ahead->to_unpack.count)
		unpack_group(type, &ahead->to_unpack, at, ahead->weights);
	if (at < ahead->to_fetch.count)
		fetch_group(type, &ahead->to_fetch, at);
}

/*
 * Add a stretch's groups, for `columns` columns of sixteen that are there, to y.  The groups that come next are under way
 * while a group's sums are added, the next panel is unpacked, and the columns of the next tile (next_x) are fetched.  The
 * stretch's tiles have done `steps` groups before.
 */
KERNEL_INLINE void
add_tile(LlmTensorType type, const Weights *weights, const ColumnStretch *x, const ColumnStretch *next_x, int columns,
		 int groups, const Ahead *ahead, int steps, bool is_first, float *y, int64_t y_stride)
{
	const Formula formula = formula_of(type);
	const int	stride = scale_vectors(formula) * 16;
	_Alignas(64) int32_t sums[IN_FLIGHT][RESULT_INTS];
	__m512		accumulator[TILE_COLUMNS];

#pragma GCC unroll 16
	for (int c = 0; c < TILE_COLUMNS; c++)
		accumulator[c] = is_first || c >= columns ? _mm512_setzero_ps() : _mm512_loadu_ps(y + c * y_stride);

	for (int g = 0; g < groups && g < IN_FLIGHT - 1; g++)
		multiply_group(weights->codes, x, g, sums[g]);
	for (int g = 0; g < groups; g++)
	{
		const int32_t *sum = sums[g % IN_FLIGHT];
		const int	next = g + IN_FLIGHT - 1;

		if (next < groups)
			multiply_group(weights->codes, x, next, sums[next % IN_FLIGHT]);
		work_ahead(type, ahead, steps + g);
		prefetch_bytes(true, (const uint8_t *) &next_x[g], sizeof(ColumnStretch));
#pragma GCC unroll 16
		for (int c = 0; c < TILE_COLUMNS; c++)
			accumulator[c] = add_group(formula, _mm512_load_si512(sum + c * LLM_PANEL_ROWS), weights->scales + g * stride, &x[c], g,
									   accumulator[c]);
	}

#pragma GCC unroll 16
	for (int c = 0; c < TILE_COLUMNS; c++)
		if (c < columns)
			_mm512_storeu_ps(y + c * y_stride, accumulator[c]);
}

/* --- the loops around it ------------------------------------------------------- */

/* The i-th stretch of panels first .. last-1, all panels' first stretches first; after the last one the first again. */
KERNEL_INLINE PackedStretch
packed_stretch(const LlmMatrix *w, const LlmPanelPlanes *planes, int32_t first, int32_t last, int64_t i)
{
	const int64_t groups = w->cols / LLM_GROUP;
	const int64_t g = i / (last - first) * STRETCH_GROUPS;
	PackedStretch result;

	result.panel = panel_pointers(w, planes, first + (int32_t) (i % (last - first)));
	result.first = g < groups ? g : 0;
	result.count = stretch_count(groups - result.first);
	return result;
}

/*
 * Columns column .. column + columns - 1, at most BLOCK_COLUMNS.  What the last tile has beyond
 * them is computed from what the array holds there, and not stored.  Of two scratches one is multiplied while the
 * next panel goes to the other, group by group between those of the tiles.
 */
KERNEL_INLINE void
matmul_block(LlmTensorType type, const LlmMatrix *w, const LlmPanelPlanes *planes, int32_t first, int32_t last,
			 const LlmActivations *x, int32_t column, int columns, float *y, int64_t y_stride)
{
	const int64_t groups = w->cols / LLM_GROUP;
	const int64_t n = (groups + STRETCH_GROUPS - 1) / STRETCH_GROUPS * (last - first);
	const int	n_tiles = (columns + TILE_COLUMNS - 1) / TILE_COLUMNS;
	ColumnStretch activations[BLOCK_COLUMNS];
	Weights		weights[2];
	PackedStretch now;

	if (first >= last)
		return;
	now = packed_stretch(w, planes, first, last, 0);
	memset(activations + columns, 0, (size_t) (n_tiles * TILE_COLUMNS - columns) * sizeof(ColumnStretch));
	for (int g = 0; g < now.count; g++)
		unpack_group(type, &now, g, &weights[0]);
	for (int64_t i = 0; i < n; i++)
	{
		const int32_t panel = (int32_t) (i % (last - first));
		Ahead		ahead = {
			.to_unpack = packed_stretch(w, planes, first, last, i + 1),
			.to_fetch = packed_stretch(w, planes, first, last, i + 2),
			.weights = &weights[(i + 1) % 2],
			.n_tiles = n_tiles
		};

		if (panel == 0)
			for (int c = 0; c < columns; c++)
				copy_column(type, x, column + c, now.first, now.count, &activations[c]);
		if (i + 1 == n)
			ahead.to_unpack.count = 0;
		for (int t = 0; t < n_tiles; t++)
		{
			const int	c = t * TILE_COLUMNS;
			const int	next_c = t + 1 < n_tiles ? c + TILE_COLUMNS : 0;

			add_tile(type, &weights[i % 2], activations + c, activations + next_c, columns - c,
					 now.count, &ahead, t * now.count, now.first == 0,
					 y + (column + c) * y_stride + (int64_t) (first + panel) * LLM_PANEL_ROWS, y_stride);
		}
		now = ahead.to_unpack;
	}
}

#endif							/* __x86_64__ */
