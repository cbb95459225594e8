/*
 * avx512_float.h
 *		The template of matrix products with float weights, for AVX-512.
 *
 * A tile is one or four panels times one to six columns, its sums in registers.  Up to a number of columns that suits the
 * processor they are multiplied with the panels as they lie in memory, fetched some way ahead where that pays.
 * With more, four panels are unpacked in stretches that stay in the second-level cache while all columns pass, each tile
 * fetching a share of the stretch that is next; between stretches the sums rest in y, which loses nothing.
 */
#ifndef LLM_KERNELS_AVX512_FLOAT_H
#define LLM_KERNELS_AVX512_FLOAT_H

#include "engine/kernels/avx512.h"
#include "engine/kernels/avx512_float_ways.h"

#define TILE_PANELS 4
#define TILE_COLUMNS 6
#define STRETCH 256				/* weights of a row in one stretch of many columns */
#define ROUNDED_COLUMNS 128		/* whose input is rounded at once */
#define FETCH_STEPS 4			/* of a tile, between fetches for the next stretch */
#define FETCH_BYTES 2048		/* how far ahead panels that are not unpacked are fetched */

/*
 * How a tile reads weights: as they are in a panel, or from a stretch that was unpacked.  A step multiplies
 * one vector of weights with four bytes of each column: a float, or a pair of bfloat16.
 */
typedef enum TileFormat
{
	PANEL_F32,
	PANEL_F16,
	PANEL_BF16,
	PANEL_BF16_SWAPPED,			/* as floats, the second of two first */
	PANEL_BF16_PAIRS,			/* for VDPBF16PS */
	UNPACKED_FLOATS,
	UNPACKED_PAIRS
} TileFormat;

typedef enum Fetching
{
	FETCH_NOTHING,
	FETCH_TO_SECOND_LEVEL,
	FETCH_TO_FIRST_LEVEL
} Fetching;

/*
 * y += W x over some steps of each row (y = W x when is_first).  Strides are in
 * bytes for weights, and for x and y in values of four bytes.
 */
typedef struct TileWork
{
	const uint8_t *weights;
	uint64_t	panel_bytes;
	const float *x;
	int64_t		x_stride;
	int64_t		n_steps;
	bool		is_first;
	float	   *y;
	int64_t		y_stride;
	const uint8_t *next;		/* the next stretch of the first panel */
	uint64_t	next_panel_bytes;
	int64_t		next_bytes;		/* of each panel, to be fetched at once */
	Fetching	fetching;		/* of panels that are not unpacked */
} TileWork;

typedef void (*Tile) (const TileWork *work);

/* [0] for one panel, [1] for TILE_PANELS. */
typedef const Tile TileTable[2][TILE_COLUMNS];

#define TILE(name, format, panels, columns) \
static void \
tile_##name##_##panels##_##columns(const TileWork *work) \
{ \
	multiply_tile(format, panels, columns, work); \
}

#define TILES_OF_PANELS(name, format, panels) \
TILE(name, format, panels, 1) \
TILE(name, format, panels, 2) \
TILE(name, format, panels, 3) \
TILE(name, format, panels, 4) \
TILE(name, format, panels, 5) \
TILE(name, format, panels, 6)

#define TILE_ROW(name, panels) { \
	tile_##name##_##panels##_1, tile_##name##_##panels##_2, tile_##name##_##panels##_3, \
	tile_##name##_##panels##_4, tile_##name##_##panels##_5, tile_##name##_##panels##_6, \
}

/* Defines tiles_NAME. */
#define TILES(name, format) \
TILES_OF_PANELS(name, format, 1) \
TILES_OF_PANELS(name, format, 4) \
static TileTable tiles_##name = {TILE_ROW(name, 1), TILE_ROW(name, 4)};

KERNEL_INLINE bool
is_unpacked(TileFormat format)
{
	return format == UNPACKED_FLOATS || format == UNPACKED_PAIRS;
}

KERNEL_INLINE bool
is_pairs(TileFormat format)
{
	return format == PANEL_BF16_PAIRS || format == UNPACKED_PAIRS;
}

/* Does the input have to be rounded to bfloat16? */
KERNEL_INLINE bool
is_rounded(TileFormat format)
{
	return format == PANEL_BF16_SWAPPED || format == PANEL_BF16_PAIRS;
}

/* Bytes of a panel that a step reads. */
KERNEL_INLINE int64_t
step_bytes(TileFormat format)
{
	return format == PANEL_F16 || format == PANEL_BF16 || format == PANEL_BF16_SWAPPED ? 32 : 64;
}

/* Steps of so many weights: the panel is padded to whole pairs. */
KERNEL_INLINE int64_t
steps_of(TileFormat format, int64_t n_weights)
{
	return format == PANEL_BF16_SWAPPED ? (n_weights + 1) / 2 * 2 :
		is_pairs(format) ? (n_weights + 1) / 2 : n_weights;
}

/* The weights of sixteen rows for one step. */
KERNEL_INLINE __m512
load_weights(TileFormat format, const uint8_t *panel, int64_t step)
{
	const uint8_t *place = panel + (format == PANEL_BF16_SWAPPED ? step ^ 1 : step) * step_bytes(format);
	__m256i		halves;

	if (format == PANEL_BF16_PAIRS)
	{
		const __m512i halves_of_pairs = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,
														 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);

		return _mm512_castsi512_ps(_mm512_permutexvar_epi16(halves_of_pairs, _mm512_loadu_si512(place)));
	}
	if (step_bytes(format) == 64)
		return _mm512_loadu_ps((const float *) place);
	halves = _mm256_loadu_si256((const __m256i *) place);
	if (format == PANEL_F16)
		return _mm512_cvtph_ps(halves);
	return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

KERNEL_INLINE __m512
multiply_add(TileFormat format, __m512 weights, __m512 x, __m512 sum)
{
#ifdef __AVX512BF16__
	if (is_pairs(format))
		return _mm512_dpbf16_ps(sum, (__m512bh) weights, (__m512bh) x);
#endif
	(void) format;
	return _mm512_fmadd_ps(weights, x, sum);
}

/*
 * So few columns that reading hides their arithmetic: panels are read the fastest as they come then, with nothing fetched,
 * as measured on Zen 4.  Weights that have to be widened to floats take more of it.
 */
KERNEL_INLINE int32_t
unfetched_columns(TileFormat format)
{
	return step_bytes(format) == 32 ? 3 : 16;
}

KERNEL_INLINE void
multiply_tile(TileFormat format, int panels, int columns, const TileWork *work)
{
	const int64_t run = is_unpacked(format) ? FETCH_STEPS : 1;
	const int64_t n_steps = work->n_steps;
	const uint64_t panel_bytes = work->panel_bytes;
	const uint8_t *next = is_unpacked(format) ? work->next : work->weights + FETCH_BYTES;
	const uint64_t next_panel_bytes = is_unpacked(format) ? work->next_panel_bytes : panel_bytes;
	const int64_t next_bytes = is_unpacked(format) ? work->next_bytes : step_bytes(format);
	__m512		sum[TILE_PANELS][TILE_COLUMNS];

#pragma GCC unroll 4
	for (int p = 0; p < panels; p++)
#pragma GCC unroll 6
		for (int c = 0; c < columns; c++)
			sum[p][c] = work->is_first ? _mm512_setzero_ps() :
				_mm512_loadu_ps(work->y + c * work->y_stride + p * LLM_PANEL_ROWS);

	for (int64_t start = 0; start < n_steps; start += run)
	{
		const int64_t end = run == 1 ? start + 1 : start + run < n_steps ? start + run : n_steps;

#pragma GCC unroll 4
		for (int p = 0; p < panels; p++)
		{
			const char *place = (const char *) next + (uint64_t) p * next_panel_bytes;

			if (is_unpacked(format) || work->fetching == FETCH_TO_FIRST_LEVEL)
				_mm_prefetch(place, _MM_HINT_T0);
			else if (work->fetching == FETCH_TO_SECOND_LEVEL)
				_mm_prefetch(place, _MM_HINT_T1);
		}
		next += next_bytes;
		for (int64_t step = start; step < end; step++)
		{
			__m512		weights[TILE_PANELS];

#pragma GCC unroll 4
			for (int p = 0; p < panels; p++)
				weights[p] = load_weights(format, work->weights + (uint64_t) p * panel_bytes, step);
#pragma GCC unroll 6
			for (int c = 0; c < columns; c++)
			{
				__m512		value = _mm512_set1_ps(work->x[c * work->x_stride + step]);

#pragma GCC unroll 4
				for (int p = 0; p < panels; p++)
					sum[p][c] = multiply_add(format, weights[p], value, sum[p][c]);
			}
		}
	}

#pragma GCC unroll 4
	for (int p = 0; p < panels; p++)
#pragma GCC unroll 6
		for (int c = 0; c < columns; c++)
			_mm512_storeu_ps(work->y + c * work->y_stride + p * LLM_PANEL_ROWS, sum[p][c]);
}

/* One stretch of `panels` panels times all columns. */
KERNEL_INLINE void
multiply_stretch(TileTable tiles, int panels, TileWork work, int32_t n_cols)
{
	const int64_t fetches = (work.n_steps + FETCH_STEPS - 1) / FETCH_STEPS;

	for (int32_t tiles_left = (n_cols + TILE_COLUMNS - 1) / TILE_COLUMNS; tiles_left > 0; tiles_left--)
	{
		const int	columns = (n_cols + tiles_left - 1) / tiles_left;

		tiles[panels == 1 ? 0 : 1][columns - 1] (&work);
		work.x += columns * work.x_stride;
		work.y += columns * work.y_stride;
		work.next += fetches * work.next_bytes;
		n_cols -= columns;
	}
}

/*
 * Sixteen floats to bfloat16, as VCVTNEPS2BF16 does it on processors that have it: to nearest
 * even, subnormals to zero.  In the high halves, the low ones zero.
 */
KERNEL_INLINE __m512i
round_to_bf16(__m512 x)
{
	const __m512i bits = _mm512_castps_si512(x);
	const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
	const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
	const __mmask16 tiny = _mm512_testn_epi32_mask(bits, _mm512_set1_epi32(0x7f800000));
	__m512i		rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);

	rounded = _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x400000));
	rounded = _mm512_mask_and_epi32(rounded, tiny, bits, _mm512_set1_epi32(INT32_MIN));
	return _mm512_and_si512(rounded, _mm512_set1_epi32((int32_t) 0xffff0000));
}

/* n values of x, filled up with zeros to whole vectors, swapped or in pairs. */
KERNEL_INLINE void
round_input(TileFormat format, const float *x, int64_t n, float *out)
{
	for (int64_t i = 0; i < n; i += 2 * AVX512_LANES)
	{
		const __mmask16 low_lanes = avx512_first_lanes(n - i);
		const __mmask16 high_lanes = n - i > AVX512_LANES ? avx512_first_lanes(n - i - AVX512_LANES) : 0;
		const __m512 low = _mm512_maskz_loadu_ps(low_lanes, x + i);
		const __m512 high = _mm512_maskz_loadu_ps(high_lanes, x + i + AVX512_LANES);

#ifdef __AVX512BF16__
		if (is_pairs(format))
		{
			_mm512_storeu_si512(out + i / 2, (__m512i) _mm512_cvtne2ps_pbh(high, low));
			continue;
		}
#endif
		(void) format;
		_mm512_storeu_si512(out + i, _mm512_shuffle_epi32(round_to_bf16(low), 0xb1));
		_mm512_storeu_si512(out + i + AVX512_LANES, _mm512_shuffle_epi32(round_to_bf16(high), 0xb1));
	}
}

/*
 * The product of kernels.h.  format is how tiles read the panels in place; tiles_unpacked
 * serve what this unpacks.
 */
KERNEL_INLINE void
multiply_panels(TileFormat format, FloatHabits habits, TileTable tiles, TileTable tiles_unpacked, const LlmMatrix *w,
				int32_t first, int32_t last, const LlmActivations *x, float *y, int64_t y_stride)
{
	const bool	direct = x->n_cols <= habits.direct_columns;
	const int64_t weight_bytes = format == PANEL_F32 ? 64 : 32; /* of sixteen rows */
	const int32_t n_blocks = is_rounded(format) ? (x->n_cols + ROUNDED_COLUMNS - 1) / ROUNDED_COLUMNS : 1;
	const int32_t block = (x->n_cols + n_blocks - 1) / n_blocks;
	const int64_t stretch = !direct ? STRETCH : is_rounded(format) ? ROUNDED_COLUMNS / block * STRETCH : w->cols;
	_Alignas(64) float unpacked[TILE_PANELS * STRETCH * LLM_PANEL_ROWS];
	_Alignas(64) float rounded[ROUNDED_COLUMNS * STRETCH];

	for (int32_t column = 0; column < x->n_cols; column += block)
	{
		const int32_t n_cols = x->n_cols - column < block ? x->n_cols - column : block;

		for (int64_t k = 0; k < w->cols; k += stretch)
		{
			const int64_t count = w->cols - k < stretch ? w->cols - k : stretch;
			TileWork	work = {
				.x = x->x + (int64_t) column * x->width + k,
				.x_stride = x->width,
				.n_steps = steps_of(format, count),
				.is_first = k == 0,
				.y_stride = y_stride,
				.next_panel_bytes = w->panel_bytes,
				.fetching = habits.to_first_level ? FETCH_TO_FIRST_LEVEL :
				x->n_cols <= unfetched_columns(format) ? FETCH_NOTHING : FETCH_TO_SECOND_LEVEL
			};

			if (is_rounded(format))
			{
				const int64_t values = is_pairs(format) ? stretch / 2 : stretch;

				for (int32_t c = 0; c < n_cols; c++)
					round_input(format, work.x + c * work.x_stride, count, rounded + c * values);
				work.x = rounded;
				work.x_stride = values;
			}
			for (int32_t panel = first, panels; panel < last; panel += panels)
			{
				const int64_t tiles_of_columns = (n_cols + TILE_COLUMNS - 1) / TILE_COLUMNS;
				const int64_t fetches = tiles_of_columns * ((work.n_steps + FETCH_STEPS - 1) / FETCH_STEPS);
				const uint8_t *weights = w->panels + (uint64_t) panel * w->panel_bytes +
					(uint64_t) (k * weight_bytes);

				panels = last - panel < TILE_PANELS ? 1 : TILE_PANELS;
				work.y = y + (int64_t) column * y_stride + (int64_t) panel * LLM_PANEL_ROWS;
				work.weights = weights;
				work.panel_bytes = w->panel_bytes;
				if (direct)
				{
					multiply_stretch(tiles, panels, work, n_cols);
					continue;
				}
				for (int p = 0; p < panels; p++)
					for (int64_t i = 0; i < work.n_steps; i++)
						_mm512_store_ps(unpacked + (p * STRETCH + i) * LLM_PANEL_ROWS,
										load_weights(format, weights + (uint64_t) p * w->panel_bytes, i));
				work.weights = (const uint8_t *) unpacked;
				work.panel_bytes = sizeof(unpacked) / TILE_PANELS;
				work.next = panel + panels < last ? weights + (uint64_t) panels * w->panel_bytes :
					w->panels + (uint64_t) first * w->panel_bytes + (uint64_t) ((k + count) * weight_bytes);
				work.next_bytes = panel + panels == last && k + count == w->cols ? 0 :
					(count * weight_bytes + fetches - 1) / fetches;
				multiply_stretch(tiles_unpacked, panels, work, n_cols);
			}
		}
	}
}

#endif							/* LLM_KERNELS_AVX512_FLOAT_H */
