/*
 * amx_blocks.c
 *		Matrix products with the K types and many columns: int8 dot products by tiles, a block at a time.
 *
 * A weight of a block is an integer, its scale times its code, times d, less a minimum.  These integers have up to
 * 14 bits, so they are unpacked to two planes of bytes, the upper ones signed; Q2_K's and Q3_K's fit into
 * one.  As all columns' q of a block share a scale, too, the products of a whole block are added up in a tile, and
 * what is done for each sum of each row and column is done once for 256 weights.  The sums are exact and
 * what follows is add_block of avx512_stretch.h, so this set has the bits of the AVX-512 set.
 *
 * Five tile registers are in use: where two threads share a processor's core, each is left with so few to
 * rename that products of eight take four times as long.
 */
#if defined(__x86_64__)

#include "engine/kernels/amx_product.h"

#define STEP_GROUPS 2			/* groups, 64 weights, of one product of tiles */
#define STEPS (SCALE_GROUPS / STEP_GROUPS)
#define STEP_BYTES (STEP_GROUPS * QUADS * 64)

/* Tile registers: the macros of the instructions want constants. */
#define UPPER_SUM 0
#define LOWER_SUM 1
#define Q 2
#define UPPER 3
#define LOWER 4

#define MOST_REST 8				/* columns beyond whole tiles that are quicker by vectors */

/* A block of a panel: scales times codes in the order in which tiles read them. */
typedef struct Weights
{
	_Alignas(64) uint8_t lower[STEPS][STEP_BYTES];
	uint8_t		upper[STEPS][STEP_BYTES];
	BlockScales scales;
} Weights;

/* A block's sums for a tile of columns. */
typedef struct Sums
{
	_Alignas(64) int32_t lower[RESULT_INTS];
	int32_t		upper[RESULT_INTS];
} Sums;

/* A block of a panel, where it is packed. */
typedef struct PackedBlock
{
	const uint8_t *panel;
	int64_t		block;
} PackedBlock;

AMX_PRODUCT(q2_k, LLM_Q2_K, BEFORE_TILES, MOST_REST)
AMX_PRODUCT(q3_k, LLM_Q3_K, BEFORE_TILES, MOST_REST)
AMX_PRODUCT(q4_k, LLM_Q4_K, BEFORE_TILES, MOST_REST)
AMX_PRODUCT(q5_k, LLM_Q5_K, BEFORE_TILES, MOST_REST)
AMX_PRODUCT(q6_k, LLM_Q6_K, BEFORE_TILES, MOST_REST)

KERNEL_INLINE TileShapes
tile_shapes(int columns)
{
	(void) columns;
	return (TileShapes) {
		.palette = 1,
		.row_bytes = {[UPPER_SUM] = 64,[LOWER_SUM] = 64,[Q] = 64,[UPPER] = 64,[LOWER] = 64},
		.rows = {[UPPER_SUM] = TILE_COLUMNS,[LOWER_SUM] = TILE_COLUMNS,[Q] = TILE_COLUMNS,[UPPER] = 16,[LOWER] = 16},
	};
}

/* --- weights ------------------------------------------------------------------- */

/* Do the integers need two bytes?  Q3_K's are kept negative: -124 .. 128 would not fit into one. */
KERNEL_INLINE bool
has_two_planes(LlmTensorType type)
{
	return type != LLM_Q2_K && type != LLM_Q3_K;
}

/* The offset that is in the weights themselves, so that tiles need no sums that begin with it. */
KERNEL_INLINE int
weight_offset_shift(LlmTensorType type)
{
	return has_minimum(formula_of(type)) ? 0 : offset_shift(type);
}

/* A quad of sixteen rows: scale times (code - offset), whose scales stand in both halves of each dword. */
KERNEL_INLINE void
unpack_quad(LlmTensorType type, __m512i code, __m512i scale, uint8_t *lower, uint8_t *upper)
{
	const int	shift = weight_offset_shift(type);
	__m512i		even = _mm512_mullo_epi16(_mm512_and_si512(code, _mm512_set1_epi16(0xff)), scale);
	__m512i		odd = _mm512_mullo_epi16(_mm512_srli_epi16(code, 8), scale);

	if (shift > 0)
	{
		__m512i		offset = _mm512_slli_epi16(scale, (unsigned int) shift);

		even = type == LLM_Q3_K ? _mm512_sub_epi16(offset, even) : _mm512_sub_epi16(even, offset);
		odd = type == LLM_Q3_K ? _mm512_sub_epi16(offset, odd) : _mm512_sub_epi16(odd, offset);
	}
	_mm512_store_si512(lower, _mm512_ternarylogic_epi32(_mm512_slli_epi16(odd, 8), even, _mm512_set1_epi16(0xff), 0xf8));
	if (has_two_planes(type))
		_mm512_store_si512(upper, _mm512_ternarylogic_epi32(_mm512_srli_epi16(even, 8), odd,
															_mm512_set1_epi16((short) 0xff00), 0xf8));
}

/* Groups first .. last-1 of a block whose scales are unpacked. */
KERNEL_INLINE void
unpack_groups(LlmTensorType type, const PackedBlock *from, int first, int last, Weights *out)
{
	for (int g = first; g < last; g++)
	{
		const int	place = g % STEP_GROUPS * QUADS * 64;
		uint8_t    *lower = out->lower[g / STEP_GROUPS] + place;
		uint8_t    *upper = out->upper[g / STEP_GROUPS] + place;
		__m512i		scale = _mm512_setzero_si512();

#pragma GCC unroll 8
		for (int q = 0; q < QUADS; q++)
		{
			if (q == 0 || (has_halves(formula_of(type)) && q == 4))
			{
				__m512i		dwords = _mm512_load_si512(out->scales.scale[g][q / 4]);

				scale = _mm512_ternarylogic_epi32(_mm512_slli_epi32(dwords, 16), dwords, _mm512_set1_epi32(0xffff), 0xf8);
			}
			unpack_quad(type, unpack_code(type, group_at(type, from->panel, from->block * SCALE_GROUPS + g), q), scale, lower + q * 64,
						upper + q * 64);
		}
	}
}

KERNEL_INLINE void
fetch_groups(LlmTensorType type, const PackedBlock *from, int first, int last)
{
	const int64_t group = from->block * SCALE_GROUPS + first;

	if (first == 0)
		prefetch_block_scales(type, false, from->panel, group);
	prefetch_bytes(false, group_at(type, from->panel, group), (last - first) * group_bytes(type));
}

/* --- columns -------------------------------------------------------------------- */

/*
 * Where sixteen columns' q of a stretch are, and how many bytes from one to the next: in the activations themselves,
 * or, for the last tile of a block, which has columns that are not there, in the copy.
 */
typedef struct TileColumns
{
	const int8_t *q;
	int64_t		stride;
} TileColumns;

/* Columns c .. c + 15 of those from `column` on, of which the first `whole` make whole tiles; the stretch begins with group g. */
KERNEL_INLINE TileColumns
tile_columns(const LlmActivations *x, int32_t column, int whole, const ColumnStretch *copies, int c, int64_t g)
{
	if (c < whole)
		return (TileColumns) {x->q + (int64_t) (column + c) * x->width + g * LLM_GROUP, x->width};
	return (TileColumns) {copies[c].q, sizeof(ColumnStretch)};
}

/* The numbers of a stretch of all columns, and the q of those that are in no whole tile. */
KERNEL_INLINE void
copy_stretch(LlmTensorType type, const LlmActivations *x, int32_t column, int columns, int whole, int64_t first, int count,
			 ColumnStretch *copies)
{
	for (int c = 0; c < whole; c++)
		copy_numbers(type, false, x, column + c, first, count, &copies[c]);
	for (int c = whole; c < columns; c++)
		copy_column(type, x, column + c, first, count, &copies[c]);
}

/* --- one tile ------------------------------------------------------------------ */

/* Sixteen columns' sums of block b of their stretch to memory. */
KERNEL_INLINE void
multiply_block(LlmTensorType type, const Weights *weights, TileColumns columns, int b, Sums *sums)
{
	const int8_t *q = columns.q + b * SCALE_GROUPS * LLM_GROUP;

	_tile_zero(LOWER_SUM);
	_tile_zero(UPPER_SUM);
#pragma GCC unroll 4
	for (int i = 0; i < STEPS; i++)
	{
		_tile_loadd(Q, q + i * STEP_GROUPS * LLM_GROUP, columns.stride);
		_tile_loadd(LOWER, weights->lower[i], 64);
		if (has_two_planes(type))
		{
			_tile_dpbsud(LOWER_SUM, Q, LOWER);
			_tile_loadd(UPPER, weights->upper[i], 64);
			_tile_dpbssd(UPPER_SUM, Q, UPPER);
		}
		else
			_tile_dpbssd(LOWER_SUM, Q, LOWER);
	}
	_tile_stored(LOWER_SUM, sums->lower, 64);
	if (has_two_planes(type))
		_tile_stored(UPPER_SUM, sums->upper, 64);
}

/* A column's sum. */
KERNEL_INLINE __m512i
sum_of_column(LlmTensorType type, const Sums *sums, int column)
{
	__m512i		lower = _mm512_load_si512(sums->lower + column * LLM_PANEL_ROWS);

	if (has_two_planes(type))
		return _mm512_add_epi32(lower, _mm512_slli_epi32(_mm512_load_si512(sums->upper + column * LLM_PANEL_ROWS), 8));
	return type == LLM_Q3_K ? _mm512_sub_epi32(_mm512_setzero_si512(), lower) : lower;
}

/* Add the sums of block b of the columns' stretch, for `columns` columns of sixteen that are there, to y. */
KERNEL_INLINE void
add_sums(LlmTensorType type, const Sums *sums, const BlockScales *scales, const ColumnStretch *x, int columns, int b,
		 bool is_first, float *y, int64_t y_stride)
{
	const Formula formula = formula_of(type);

	if (columns > TILE_COLUMNS)
		columns = TILE_COLUMNS;
#pragma GCC unroll 4
	for (int c = 0; c < columns; c++)
	{
		__m512		a = is_first ? _mm512_setzero_ps() : _mm512_loadu_ps(y + c * y_stride);

		a = add_minimums(formula, scales, &x[c], b, a);
		_mm512_storeu_ps(y + c * y_stride, add_block(sum_of_column(type, sums, c), scales, &x[c], b, a));
	}
}

/* --- the loops around it ------------------------------------------------------- */

/* The i-th of a stretch's blocks, panel by panel; after the last one it goes on with the first panel's next stretch. */
KERNEL_INLINE PackedBlock
packed_block(const LlmMatrix *w, int32_t first, int32_t last, int64_t stretch_block, int blocks, int i)
{
	const int	n = (last - first) * blocks;
	const int64_t next = stretch_block + blocks + i - n;
	const int64_t n_blocks = w->cols / (LLM_GROUP * SCALE_GROUPS);
	PackedBlock result;

	if (i < n)
	{
		result.panel = panel_at(w, first + i / blocks);
		result.block = stretch_block + i % blocks;
	}
	else
	{
		result.panel = panel_at(w, first);
		result.block = next < n_blocks ? next : 0;
	}
	return result;
}

/*
 * Columns column .. column + columns - 1, at most BLOCK_COLUMNS.  What the last tile has beyond
 * them is computed from zeros, and not stored.  While the tiles of one block are
 * multiplied the next block is unpacked and the one after it fetched, and a tile's products are
 * under way while the sums of the one before are added: none of them waits for another.
 */
KERNEL_INLINE void
matmul_block(LlmTensorType type, const LlmMatrix *w, int32_t first, int32_t last, const LlmActivations *x,
			 int32_t column, int columns, float *y, int64_t y_stride)
{
	const int64_t groups = w->cols / LLM_GROUP;
	const int	n_tiles = (columns + TILE_COLUMNS - 1) / TILE_COLUMNS;
	const int	whole = columns / TILE_COLUMNS * TILE_COLUMNS;
	ColumnStretch activations[BLOCK_COLUMNS];
	Weights		weights[2];
	Sums		sums[2];

	memset(activations + columns, 0, (size_t) (n_tiles * TILE_COLUMNS - columns) * sizeof(ColumnStretch));
	for (int64_t g = 0; g < groups; g += STRETCH_GROUPS)
	{
		const int	count = stretch_count(groups - g);
		const int	blocks = count / SCALE_GROUPS;
		const int	n = (last - first) * blocks;
		PackedBlock ahead = packed_block(w, first, last, g / SCALE_GROUPS, blocks, 0);

		copy_stretch(type, x, column, columns, whole, g, count, activations);
		unpack_block_scales(type, false, ahead.panel, ahead.block, &weights[0].scales);
		unpack_groups(type, &ahead, 0, SCALE_GROUPS, &weights[0]);
		multiply_block(type, &weights[0], tile_columns(x, column, whole, activations, 0, g), 0, &sums[0]);

		for (int i = 0; i < n; i++)
		{
			const Weights *now = &weights[i % 2];
			Weights    *next = &weights[(i + 1) % 2];
			const int	b = i % blocks;
			float	   *rows = y + column * y_stride + (int64_t) (first + i / blocks) * LLM_PANEL_ROWS;
			PackedBlock to_unpack = packed_block(w, first, last, g / SCALE_GROUPS, blocks, i + 1);
			PackedBlock to_fetch = packed_block(w, first, last, g / SCALE_GROUPS, blocks, i + 2);

			if (i + 1 < n)
				unpack_block_scales(type, false, to_unpack.panel, to_unpack.block, &next->scales);
			for (int t = 0; t < n_tiles; t++)
			{
				const int	c = t * TILE_COLUMNS;
				const int	piece = SCALE_GROUPS * t / n_tiles;
				const int	piece_end = SCALE_GROUPS * (t + 1) / n_tiles;
				Sums	   *of_next = &sums[(i * n_tiles + t + 1) % 2];

				if (t + 1 < n_tiles)
					multiply_block(type, now, tile_columns(x, column, whole, activations, c + TILE_COLUMNS, g), b, of_next);
				if (i + 1 < n)
					unpack_groups(type, &to_unpack, piece, piece_end, next);
				fetch_groups(type, &to_fetch, piece, piece_end);
				if (t + 1 == n_tiles && i + 1 < n)
					multiply_block(type, next, tile_columns(x, column, whole, activations, 0, g), (i + 1) % blocks, of_next);
				add_sums(type, &sums[(i * n_tiles + t) % 2], &now->scales, activations + c, columns - c, b,
						 g == 0 && b == 0, rows + c * y_stride, y_stride);
			}
		}
	}
}

#endif							/* __x86_64__ */
