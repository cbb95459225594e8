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

/* Tile registers: the macros of the instructions want constants.  The last tile of columns has its own, of fewer rows. */
#define SUM 0
#define Q 1
#define CODES 2
#define LAST_SUM 3
#define LAST_Q 4

#define WIDTH_STEP 4			/* a last tile's width is a multiple of this */

AMX_PRODUCT(q4_0, LLM_Q4_0, BEFORE_TILES, 0)
AMX_PRODUCT(q4_1, LLM_Q4_1, BEFORE_TILES, 0)
AMX_PRODUCT(q5_0, LLM_Q5_0, BEFORE_TILES, 0)
AMX_PRODUCT(q5_1, LLM_Q5_1, BEFORE_TILES, 0)
AMX_PRODUCT(q8_0, LLM_Q8_0, BEFORE_TILES_Q8_0, 0)

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
unpack_weights(LlmTensorType type, const uint8_t *panel, int64_t first, int count, Weights *out)
{
	unpack_group_scales(type, panel, first, count, out->scales);
	for (int g = 0; g < count; g++)
		unpack_codes(type, true, group_at(type, panel, first + g), out->codes[g]);
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

/* Columns that the last tile of so many computes. */
KERNEL_INLINE int
last_width(int columns)
{
	return ((columns - 1) % TILE_COLUMNS / WIDTH_STEP + 1) * WIDTH_STEP;
}

KERNEL_INLINE TileShapes
tile_shapes(int columns)
{
	const uint8_t last = (uint8_t) last_width(columns);

	return (TileShapes) {
		.palette = 1,
		.row_bytes = {[SUM] = 64,[Q] = 32,[CODES] = 64,[LAST_SUM] = 64,[LAST_Q] = 32},
		.rows = {[SUM] = TILE_COLUMNS,[Q] = TILE_COLUMNS,[CODES] = 8,[LAST_SUM] = last,[LAST_Q] = last},
	};
}

KERNEL_INLINE void
multiply_group(const Weights *weights, const TileColumns *x, bool is_last, int at, GroupSums *sums)
{
	_tile_loadd(CODES, weights->codes[at], 64);
	if (is_last)
	{
		_tile_zero(LAST_SUM);
		_tile_loadd(LAST_Q, x->q[at], LLM_GROUP);
		_tile_dpbssd(LAST_SUM, LAST_Q, CODES);
		_tile_stored(LAST_SUM, sums->of, 64);
	}
	else
	{
		_tile_zero(SUM);
		_tile_loadd(Q, x->q[at], LLM_GROUP);
		_tile_dpbssd(SUM, Q, CODES);
		_tile_stored(SUM, sums->of, 64);
	}
}

/* The first `columns` of a tile's columns are there. */
KERNEL_INLINE void
load_tile(int width, const float *y, int64_t y_stride, int columns, __m512 *accumulator)
{
	if (columns >= width)
#pragma GCC unroll 16
		for (int c = 0; c < width; c++)
			accumulator[c] = _mm512_loadu_ps(y + c * y_stride);
	else
#pragma GCC unroll 16
		for (int c = 0; c < width; c++)
			accumulator[c] = c < columns ? _mm512_loadu_ps(y + c * y_stride) : _mm512_setzero_ps();
}

KERNEL_INLINE void
store_tile(int width, const __m512 *accumulator, int columns, float *y, int64_t y_stride)
{
	if (columns >= width)
#pragma GCC unroll 16
		for (int c = 0; c < width; c++)
			_mm512_storeu_ps(y + c * y_stride, accumulator[c]);
	else
#pragma GCC unroll 16
		for (int c = 0; c < width; c++)
			if (c < columns)
				_mm512_storeu_ps(y + c * y_stride, accumulator[c]);
}

/* A stretch of a panel and the tile of columns under way. */
typedef struct Step
{
	const Weights *weights;
	const TileColumns *x;
	int			columns;		/* from this tile on */
	int			groups;
	int			first;			/* sums[first % 2] has the first group's sums */
	bool		adds;			/* to what y has */
	Fetch		fetch;			/* the panel that comes next */
	const float *next_y;		/* what the next tile adds to */
	GroupSums  *sums;
} Step;

/*
 * Add a stretch's groups for a tile of `width` columns to y.  While a group's sums are added the next
 * group is multiplied, after the last one the first of the next tile; weights and y are fetched.
 */
KERNEL_INLINE void
add_tile(LlmTensorType type, int width, bool is_last, const Step *step, float *y, int64_t y_stride)
{
	const Formula formula = formula_of(type);
	const int	stride = scale_vectors(formula) * 16;
	const TileColumns *x = step->x;
	__m512		accumulator[TILE_COLUMNS];

	if (step->adds)
		load_tile(width, y, y_stride, step->columns, accumulator);
	else
#pragma GCC unroll 16
		for (int c = 0; c < width; c++)
			accumulator[c] = _mm512_setzero_ps();

	for (int g = 0; g < step->groups; g++)
	{
		const int32_t *sum = step->sums[(step->first + g) % 2].of;
		GroupSums  *next = &step->sums[(step->first + g + 1) % 2];

		_mm_prefetch((const char *) (step->next_y + g * y_stride), _MM_HINT_T0);
		prefetch_bytes(false, step->fetch.bytes + g * step->fetch.stride, step->fetch.lines * 64);
		if (g + 1 < step->groups)
			multiply_group(step->weights, x, is_last, g + 1, next);
		else if (!is_last)
			multiply_group(step->weights, x + 1, step->columns <= 2 * TILE_COLUMNS, 0, next);
#pragma GCC unroll 16
		for (int c = 0; c < width; c++)
			accumulator[c] = add_group(formula, _mm512_load_si512(sum + c * LLM_PANEL_ROWS), step->weights->scales + g * stride,
									   &x->d[g][c], &x->sums[g][c], accumulator[c]);
	}
	store_tile(width, accumulator, step->columns, y, y_stride);
}

KERNEL_INLINE void
add_last_tile(LlmTensorType type, const Step *step, float *y, int64_t y_stride)
{
	switch (last_width(step->columns))
	{
		case WIDTH_STEP:
			add_tile(type, WIDTH_STEP, true, step, y, y_stride);
			break;
		case 2 * WIDTH_STEP:
			add_tile(type, 2 * WIDTH_STEP, true, step, y, y_stride);
			break;
		case 3 * WIDTH_STEP:
			add_tile(type, 3 * WIDTH_STEP, true, step, y, y_stride);
			break;
		default:
			add_tile(type, TILE_COLUMNS, true, step, y, y_stride);
			break;
	}
}

/* --- the loops around it ------------------------------------------------------- */

/*
 * Columns column .. column + columns - 1, at most BLOCK_COLUMNS.  What the last tile has beyond
 * them is computed from zeros, and not stored.
 */
KERNEL_INLINE void
matmul_block(LlmTensorType type, const LlmMatrix *w, int32_t first, int32_t last, const LlmActivations *x,
			 int32_t column, int columns, float *y, int64_t y_stride)
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
			const uint8_t *next = panel_at(w, more ? panel + 1 : first);
			float	   *rows = y + column * y_stride + (int64_t) panel * LLM_PANEL_ROWS;

			unpack_weights(type, panel_at(w, panel), g, count, &weights);
			multiply_group(&weights, &tiles[0], n_tiles == 1, 0, &sums[0]);
			for (int t = 0; t < n_tiles; t++)
			{
				const bool	is_last = t + 1 == n_tiles;
				float	   *at = rows + t * TILE_COLUMNS * y_stride;
				const Step	step = {
					.weights = &weights,
					.x = &tiles[t],
					.columns = columns - t * TILE_COLUMNS,
					.groups = count,
					.first = t * count,
					.adds = g > 0,
					.fetch = share_of_stretch(type, next, more ? g : later, count, t, n_tiles),
					.next_y = is_last ? rows + LLM_PANEL_ROWS : at + TILE_COLUMNS * y_stride,
					.sums = sums
				};

				if (is_last)
					add_last_tile(type, &step, at, y_stride);
				else
					add_tile(type, TILE_COLUMNS, false, &step, at, y_stride);
			}
		}
	}
}

#endif							/* __x86_64__ */
