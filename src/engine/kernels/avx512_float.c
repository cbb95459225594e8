/*
 * avx512_float.c
 *		Matrix products with float weights: F32, F16 and BF16.
 *
 * A tile is one or four panels times one to six columns, its sums in registers.  With
 * more columns than a tile has, panels are taken in stretches that stay in the first-level
 * cache while all columns pass, as floats; between stretches the sums rest in y,
 * which loses nothing.
 */
#if defined(__x86_64__)

#include "engine/kernels/avx512.h"

#define TILE_PANELS 4
#define TILE_COLUMNS 6
#define STRETCH 128				/* weights of a row in one stretch */
#define PREFETCH_BYTES 2048		/* how far ahead of few columns weights are fetched */

/*
 * y += W x over `count` weights of each row (y = W x when is_first).  Panels are
 * panel_bytes apart and columns x_stride and y_stride floats.
 */
typedef struct TileWork
{
	const uint8_t *weights;
	uint64_t	panel_bytes;
	const float *x;
	int64_t		x_stride;
	int64_t		count;
	bool		is_first;
	float	   *y;
	int64_t		y_stride;
} TileWork;

typedef void (*Tile) (const TileWork *work);

/* [0] for one panel, [1] for TILE_PANELS. */
typedef const Tile TileTable[2][TILE_COLUMNS];

AVX512_INLINE void tile(LlmTensorType type, int panels, int columns, const TileWork *work);
AVX512_INLINE void matmul(LlmTensorType type, TileTable tiles, TileTable tiles_f32,
						  const LlmMatrix *w, int32_t first, int32_t last,
						  const LlmActivations *x, float *y, int64_t y_stride);

#define TILE(name, type, panels, columns) \
static void \
tile_##name##_##panels##_##columns(const TileWork *work) \
{ \
	tile(type, panels, columns, work); \
}

#define TILES(name, type, panels) \
TILE(name, type, panels, 1) \
TILE(name, type, panels, 2) \
TILE(name, type, panels, 3) \
TILE(name, type, panels, 4) \
TILE(name, type, panels, 5) \
TILE(name, type, panels, 6)

#define TILE_ROW(name, panels) { \
	tile_##name##_##panels##_1, tile_##name##_##panels##_2, tile_##name##_##panels##_3, \
	tile_##name##_##panels##_4, tile_##name##_##panels##_5, tile_##name##_##panels##_6, \
}

#define MATMUL(name, type) \
TILES(name, type, 1) \
TILES(name, type, 4) \
static TileTable tiles_##name = {TILE_ROW(name, 1), TILE_ROW(name, 4)}; \
\
void \
avx512_matmul_##name(const LlmMatrix *w, int32_t first, int32_t last, const LlmActivations *x, \
					 float *y, int64_t y_stride) \
{ \
	matmul(type, tiles_##name, tiles_f32, w, first, last, x, y, y_stride); \
}

MATMUL(f32, LLM_F32)
MATMUL(f16, LLM_F16)
MATMUL(bf16, LLM_BF16)

AVX512_INLINE int
element_bytes(LlmTensorType type)
{
	return type == LLM_F32 ? 4 : 2;
}

/* Sixteen rows' weight number k. */
AVX512_INLINE __m512
load_weights(LlmTensorType type, const uint8_t *panel, int64_t k)
{
	__m256i		halves;

	if (type == LLM_F32)
		return _mm512_loadu_ps((const float *) panel + k * LLM_PANEL_ROWS);
	halves = _mm256_loadu_si256((const __m256i *) (panel + k * LLM_PANEL_ROWS * 2));
	if (type == LLM_F16)
		return _mm512_cvtph_ps(halves);
	return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

AVX512_INLINE void
tile(LlmTensorType type, int panels, int columns, const TileWork *work)
{
	const uint8_t *weights = work->weights;
	const float *x = work->x;
	const int64_t x_stride = work->x_stride;
	__m512		sum[TILE_PANELS][TILE_COLUMNS];

#pragma GCC unroll 4
	for (int p = 0; p < panels; p++)
#pragma GCC unroll 6
		for (int c = 0; c < columns; c++)
			sum[p][c] = work->is_first ? _mm512_setzero_ps() :
				_mm512_loadu_ps(work->y + c * work->y_stride + p * LLM_PANEL_ROWS);

	for (int64_t k = 0; k < work->count; k++)
	{
		__m512		w[TILE_PANELS];

#pragma GCC unroll 4
		for (int p = 0; p < panels; p++)
		{
			const uint8_t *panel = weights + (uint64_t) p * work->panel_bytes;

			if (columns <= 4)
				_mm_prefetch((const char *) panel + k * LLM_PANEL_ROWS * element_bytes(type) +
							 PREFETCH_BYTES, _MM_HINT_T0);
			w[p] = load_weights(type, panel, k);
		}
#pragma GCC unroll 6
		for (int c = 0; c < columns; c++)
		{
			__m512		value = _mm512_set1_ps(x[c * x_stride + k]);

#pragma GCC unroll 4
			for (int p = 0; p < panels; p++)
				sum[p][c] = _mm512_fmadd_ps(w[p], value, sum[p][c]);
		}
	}

#pragma GCC unroll 4
	for (int p = 0; p < panels; p++)
#pragma GCC unroll 6
		for (int c = 0; c < columns; c++)
			_mm512_storeu_ps(work->y + c * work->y_stride + p * LLM_PANEL_ROWS, sum[p][c]);
}

/* One stretch of `panels` panels times all columns. */
AVX512_INLINE void
multiply_stretch(TileTable tiles, int panels, TileWork work, int32_t n_cols)
{
	for (int32_t tiles_left = (n_cols + TILE_COLUMNS - 1) / TILE_COLUMNS; tiles_left > 0; tiles_left--)
	{
		const int	columns = (n_cols + tiles_left - 1) / tiles_left;

		tiles[panels == 1 ? 0 : 1][columns - 1] (&work);
		work.x += columns * work.x_stride;
		work.y += columns * work.y_stride;
		n_cols -= columns;
	}
}

AVX512_INLINE void
matmul(LlmTensorType type, TileTable tiles, TileTable tiles_f32, const LlmMatrix *w,
	   int32_t first, int32_t last, const LlmActivations *x, float *y, int64_t y_stride)
{
	const int64_t stretch = x->n_cols <= TILE_COLUMNS ? w->cols : STRETCH;
	_Alignas(64) float scratch[TILE_PANELS * STRETCH * LLM_PANEL_ROWS];

	for (int32_t panel = first; panel < last;)
	{
		const int	panels = last - panel < TILE_PANELS ? 1 : TILE_PANELS;

		for (int64_t k = 0; k < w->cols; k += stretch)
		{
			TileWork	work = {
				.weights = w->panels + (uint64_t) panel * w->panel_bytes +
				(uint64_t) k * LLM_PANEL_ROWS * element_bytes(type),
				.panel_bytes = w->panel_bytes,
				.x = x->x + k,
				.x_stride = x->width,
				.count = w->cols - k < stretch ? w->cols - k : stretch,
				.is_first = k == 0,
				.y = y + (int64_t) panel * LLM_PANEL_ROWS,
				.y_stride = y_stride
			};

			if (type == LLM_F32 || x->n_cols <= TILE_COLUMNS)
			{
				multiply_stretch(tiles, panels, work, x->n_cols);
				continue;
			}
			for (int p = 0; p < panels; p++)
				for (int64_t i = 0; i < work.count; i++)
					_mm512_store_ps(scratch + (p * STRETCH + i) * LLM_PANEL_ROWS,
									load_weights(type, work.weights + p * work.panel_bytes, i));
			work.weights = (const uint8_t *) scratch;
			work.panel_bytes = STRETCH * LLM_PANEL_ROWS * sizeof(float);
			multiply_stretch(tiles_f32, panels, work, x->n_cols);
		}
		panel += panels;
	}
}

#endif							/* __x86_64__ */
