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

/* Tile registers: the macros of the instructions want constants. */
#define SUM 0
#define Q 1
#define CODES 2

static const TileShapes shapes = {
	.palette = 1,
	.row_bytes = {[SUM] = 64,[Q] = 32,[CODES] = 64},
	.rows = {[SUM] = TILE_COLUMNS,[Q] = TILE_COLUMNS,[CODES] = 8},
};

AMX_PRODUCT(q4_0, LLM_Q4_0, TILE_WIDTH)
AMX_PRODUCT(q4_1, LLM_Q4_1, TILE_WIDTH)
AMX_PRODUCT(q5_0, LLM_Q5_0, TILE_WIDTH)
AMX_PRODUCT(q5_1, LLM_Q5_1, TILE_WIDTH)
AMX_PRODUCT(q8_0, LLM_Q8_0, FEW_COLUMNS)

/* A stretch of one panel, unpacked. */
typedef struct Weights
{
	_Alignas(64) uint8_t codes[STRETCH_GROUPS][QUADS * 64];
	float		scales[STRETCH_GROUPS * MAX_SCALES * 16];
} Weights;

/* The same stretch of sixteen columns, group by group. */
typedef struct TileColumns
{
	_Alignas(64) int8_t q[STRETCH_GROUPS][TILE_COLUMNS][LLM_GROUP];
	float		d[STRETCH_GROUPS][TILE_COLUMNS];
	float		sums[STRETCH_GROUPS][TILE_COLUMNS]; /* d * sum of q, for minimums */
} TileColumns;

/* What sixteen columns and a group are multiplied to. */
typedef struct GroupSums
{
	_Alignas(64) int32_t of[RESULT_INTS];
} GroupSums;

/* --- unpacking ------------------------------------------------------------------- */

/* Groups first .. first + count - 1 of a panel. */
KERNEL_INLINE void
unpack_weights(LlmTensorType type, const PanelPointers *panel, int64_t first, int count, Weights *out)
{
	unpack_group_scales(type, panel, first, count, out->scales);
	for (int g = 0; g < count; g++)
		unpack_codes(type, true, panel, first + g, out->codes[g]);
}

/* What tile t of n_tiles fetches of the panel that comes next: its low bits, shared by the first tiles, and the rest at once. */
KERNEL_INLINE Fetch
share_of_panel(LlmTensorType type, const PanelPointers *panel, int64_t first, int count, int t, int n_tiles)
{
	const int	lines = (low_bytes(type) / 64 + n_tiles - 1) / n_tiles;
	const int	done = t * count * lines * 64;

	if (t == 0)
	{
		prefetch_scales(type, false, panel, first, count);
		prefetch_bytes(false, panel->high + first * high_bytes(type), count * high_bytes(type));
	}
	return (Fetch) {panel->low + first * low_bytes(type) + done, lines * 64, done < count * low_bytes(type) ? lines : 0};
}

/* Those groups of columns column .. column + n - 1; the others of sixteen stay as they are. */
KERNEL_INLINE void
copy_tile(LlmTensorType type, const LlmActivations *x, int32_t column, int n, int64_t first, int count, TileColumns *out)
{
	const int	groups = x->width / LLM_GROUP;
	const int64_t place = (int64_t) column * groups + first;
	const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
	const __m512i columns = _mm512_mullo_epi32(lanes, _mm512_set1_epi32(groups));
	const __mmask16 there = avx512_first_lanes(n);
	const __m512i zero = _mm512_setzero_si512();

	for (int c = 0; c < n; c++)
		for (int g = 0; g < count; g++)
			_mm256_store_si256((__m256i *) out->q[g][c],
							   _mm256_loadu_si256((const __m256i *) (x->q + (place + (int64_t) c * groups + g) * LLM_GROUP)));
	for (int g = 0; g < count; g++)
	{
		const int32_t *halves = x->sum16 + 2 * (place + g);
		__m512		d = _mm512_mask_i32gather_ps(_mm512_setzero_ps(), there, columns, x->d + place + g, sizeof(float));

		_mm512_store_ps(out->d[g], d);
		if (formula_of(type) == FORMULA_MINIMUM)
		{
			__m512i		sum = _mm512_add_epi32(_mm512_mask_i32gather_epi32(zero, there, columns, halves, 2 * sizeof(int32_t)),
											   _mm512_mask_i32gather_epi32(zero, there, columns, halves + 1, 2 * sizeof(int32_t)));

			_mm512_store_ps(out->sums[g], _mm512_mul_ps(d, _mm512_cvtepi32_ps(sum)));
		}
	}
}

/* --- one tile ------------------------------------------------------------------ */

KERNEL_INLINE void
multiply_group(const Weights *weights, const TileColumns *x, int at, GroupSums *sums)
{
	_tile_zero(SUM);
	_tile_loadd(Q, x->q[at], LLM_GROUP);
	_tile_loadd(CODES, weights->codes[at], 64);
	_tile_dpbssd(SUM, Q, CODES);
	_tile_stored(SUM, sums->of, 64);
}

/* Those of `columns` columns that are there, of sixteen. */
KERNEL_INLINE void
load_tile(const float *y, int64_t y_stride, int columns, __m512 *accumulator)
{
	if (columns >= TILE_COLUMNS)
#pragma GCC unroll 16
		for (int c = 0; c < TILE_COLUMNS; c++)
			accumulator[c] = _mm512_loadu_ps(y + c * y_stride);
	else
#pragma GCC unroll 16
		for (int c = 0; c < TILE_COLUMNS; c++)
			accumulator[c] = c < columns ? _mm512_loadu_ps(y + c * y_stride) : _mm512_setzero_ps();
}

KERNEL_INLINE void
store_tile(const __m512 *accumulator, int columns, float *y, int64_t y_stride)
{
	if (columns >= TILE_COLUMNS)
#pragma GCC unroll 16
		for (int c = 0; c < TILE_COLUMNS; c++)
			_mm512_storeu_ps(y + c * y_stride, accumulator[c]);
	else
#pragma GCC unroll 16
		for (int c = 0; c < TILE_COLUMNS; c++)
			if (c < columns)
				_mm512_storeu_ps(y + c * y_stride, accumulator[c]);
}

/*
 * Add a stretch's groups, for `columns` columns of sixteen that are there, to y.  While a group's sums are added the next
 * group is multiplied, after the last one the first with next_x, unless that is NULL.  sums[step % 2] has the first group's sums.
 * Meanwhile weights are fetched, and next_y, what the next tile adds to.
 */
KERNEL_INLINE void
add_tile(LlmTensorType type, const Weights *weights, const TileColumns *x, const TileColumns *next_x, int columns, int groups,
		 int step, bool is_first, const Fetch *fetch, GroupSums *sums, const float *next_y,
		 float *y, int64_t y_stride)
{
	const Formula formula = formula_of(type);
	const int	stride = scale_vectors(formula) * 16;
	__m512		accumulator[TILE_COLUMNS];

	if (is_first)
#pragma GCC unroll 16
		for (int c = 0; c < TILE_COLUMNS; c++)
			accumulator[c] = _mm512_setzero_ps();
	else
		load_tile(y, y_stride, columns, accumulator);

	for (int g = 0; g < groups; g++, step++)
	{
		const int32_t *sum = sums[step % 2].of;

		_mm_prefetch((const char *) (next_y + g * y_stride), _MM_HINT_T0);
		prefetch_bytes(false, fetch->bytes + g * fetch->stride, fetch->lines * 64);
		if (g + 1 < groups)
			multiply_group(weights, x, g + 1, &sums[(step + 1) % 2]);
		else if (next_x != NULL)
			multiply_group(weights, next_x, 0, &sums[(step + 1) % 2]);
#pragma GCC unroll 16
		for (int c = 0; c < TILE_COLUMNS; c++)
			accumulator[c] = add_group(formula, _mm512_load_si512(sum + c * LLM_PANEL_ROWS), weights->scales + g * stride,
									   &x->d[g][c], &x->sums[g][c], accumulator[c]);
	}
	store_tile(accumulator, columns, y, y_stride);
}

/* --- the loops around it ------------------------------------------------------- */

/*
 * Columns column .. column + columns - 1, at most BLOCK_COLUMNS.  What the last tile has beyond
 * them is computed from zeros, and not stored.
 */
KERNEL_INLINE void
matmul_block(LlmTensorType type, const LlmMatrix *w, const LlmPanelPlanes *planes, int32_t first, int32_t last,
			 const LlmActivations *x, int32_t column, int columns, float *y, int64_t y_stride)
{
	const int64_t groups = w->cols / LLM_GROUP;
	const int	n_tiles = (columns + TILE_COLUMNS - 1) / TILE_COLUMNS;
	TileColumns tiles[BLOCK_COLUMNS / TILE_COLUMNS];
	Weights		weights;
	GroupSums	sums[2];

	if (columns % TILE_COLUMNS != 0)
		memset(&tiles[n_tiles - 1], 0, sizeof(TileColumns));
	for (int64_t g = 0; g < groups; g += STRETCH_GROUPS)
	{
		const int	count = stretch_count(groups - g);
		const int64_t later = g + STRETCH_GROUPS < groups ? g + STRETCH_GROUPS : 0;

		for (int t = 0; t < n_tiles; t++)
		{
			const int	n = columns - t * TILE_COLUMNS;

			copy_tile(type, x, column + t * TILE_COLUMNS, n < TILE_COLUMNS ? n : TILE_COLUMNS, g, count, &tiles[t]);
		}
		for (int32_t panel = first; panel < last; panel++)
		{
			const bool	more = panel + 1 < last;
			const PanelPointers now = panel_pointers(w, planes, panel);
			const PanelPointers next = panel_pointers(w, planes, more ? panel + 1 : first);
			float	   *rows = y + column * y_stride + (int64_t) panel * LLM_PANEL_ROWS;

			unpack_weights(type, &now, g, count, &weights);
			multiply_group(&weights, &tiles[0], 0, &sums[0]);
			for (int t = 0; t < n_tiles; t++)
			{
				const bool	is_last = t + 1 == n_tiles;
				const Fetch fetch = share_of_panel(type, &next, more ? g : later, count, t, n_tiles);
				float	   *at = rows + t * TILE_COLUMNS * y_stride;

				add_tile(type, &weights, &tiles[t], is_last ? NULL : &tiles[t + 1], columns - t * TILE_COLUMNS, count, t * count,
						 g == 0, &fetch, sums, is_last ? rows + LLM_PANEL_ROWS : at + TILE_COLUMNS * y_stride, at, y_stride);
			}
		}
	}
}

#endif							/* __x86_64__ */
