/*
 * avx512_quantized.c
 *		Matrix products with quantized weights: int8 dot products by VPDPBUSD.
 *
 * One template serves all types.  Its core, group_step, multiplies one group of 32 weights
 * of one to three panels with a tile of columns, each dword of a column's q broadcast to
 * all rows.  Around it:
 *
 *	 few columns:	one tile, whose codes are unpacked as they are needed.
 *	 many columns:	a stretch of three panels is unpacked to a scratch in the first-level
 *					cache and then used by all tiles of a block of columns.
 *
 * In both cases the columns' activations are first copied in the order in which the tiles
 * read them, and the weights that come next are prefetched.  An output's own operations are
 * the same on every way, so its bits are too; between stretches the sums rest in y, which
 * loses nothing.
 */
#if defined(__x86_64__)

#include "engine/kernels/avx512_stretch.h"

#define FEW_COLUMNS 8			/* widest tile straight from the panels */
#define PAIR_COLUMNS 4			/* widest of them that is two panels high */
#define FEW_PANELS 2
#define TILE_COLUMNS 4			/* tile of the scratch path */
#define STRETCHES 128			/* room for so many stretches of one column's activations */

/*
 * Add groups to the sums at y of one tile: the first `groups` groups of the scratch, or
 * groups first_group .. first_group + groups - 1 of the panels.  `next` are the panels
 * that come after these.
 */
typedef void (*ScratchTile) (const Scratch *scratch, const ColumnStretch *x, int groups,
							 Fetch fetch, bool is_first, float *y, int64_t y_stride);
typedef void (*DirectTile) (const PanelPointers *panel, const PanelPointers *next,
							const ColumnStretch *x, int64_t first_group, int64_t groups,
							bool is_first, float *y, int64_t y_stride);

static const ScratchTile scratch_tiles[4][TILE_PANELS][TILE_COLUMNS];

AVX512_INLINE void matmul(LlmTensorType type, const DirectTile (*direct_tiles)[FEW_COLUMNS],
						  const LlmMatrix *w, int32_t first, int32_t last,
						  const LlmActivations *x, float *y, int64_t y_stride);
AVX512_INLINE void direct_tile(LlmTensorType type, int panels, int columns,
							   const PanelPointers *panel, const PanelPointers *next,
							   const ColumnStretch *x, int64_t first_group, int64_t groups,
							   bool is_first, float *y, int64_t y_stride);

#define DIRECT_TILE(name, type, panels, columns) \
static void \
name##_direct_##panels##_##columns(const PanelPointers *panel, const PanelPointers *next, \
								   const ColumnStretch *x, int64_t first_group, int64_t groups, \
								   bool is_first, float *y, int64_t y_stride) \
{ \
	direct_tile(type, panels, columns, panel, next, x, first_group, groups, is_first, y, y_stride); \
}

#define DIRECT_TILES(name, type, panels) \
DIRECT_TILE(name, type, panels, 1) \
DIRECT_TILE(name, type, panels, 2) \
DIRECT_TILE(name, type, panels, 3) \
DIRECT_TILE(name, type, panels, 4)

#define MATMUL(name, type) \
DIRECT_TILES(name, type, 1) \
DIRECT_TILES(name, type, 2) \
DIRECT_TILE(name, type, 1, 5) \
DIRECT_TILE(name, type, 1, 6) \
DIRECT_TILE(name, type, 1, 7) \
DIRECT_TILE(name, type, 1, 8) \
static const DirectTile name##_direct_tiles[FEW_PANELS][FEW_COLUMNS] = { \
	{name##_direct_1_1, name##_direct_1_2, name##_direct_1_3, name##_direct_1_4, \
	name##_direct_1_5, name##_direct_1_6, name##_direct_1_7, name##_direct_1_8}, \
	{name##_direct_2_1, name##_direct_2_2, name##_direct_2_3, name##_direct_2_4}, \
}; \
\
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

/*
 * Group `at` of a stretch: `panels` panels times `columns` columns.  scale[panel] points to
 * the group's scale vectors.  Quads are the outer loop, so that neighbouring instructions
 * belong to different sums and need not wait for each other.
 */
AVX512_INLINE void
group_step(Formula formula, LlmTensorType code_type, int panels, int columns,
		   const PanelPointers *panel, int64_t group, const float *const *scale,
		   const ColumnStretch *x, int at, __m512 accumulator[][FEW_COLUMNS])
{
	const bool	has_halves = formula == FORMULA_HALVES || formula == FORMULA_HALVES_MINIMUM;
	const bool	is_offset = formula == FORMULA_SYMMETRIC || formula == FORMULA_HALVES;
	__m512i		sum[2][TILE_PANELS][FEW_COLUMNS];

#pragma GCC unroll 8
	for (int q = 0; q < QUADS; q++)
	{
		const int	half = has_halves ? q / 4 : 0;
		__m512i		code[TILE_PANELS];

#pragma GCC unroll 3
		for (int p = 0; p < panels; p++)
			code[p] = unpack_code(code_type, &panel[p], group, q);
#pragma GCC unroll 8
		for (int c = 0; c < columns; c++)
		{
			__m512i		dword = broadcast_dword(&x[c].q[at * LLM_GROUP + 4 * q]);

			if (q == 0 || (has_halves && q == 4))
			{
				__m512i		start = !is_offset ? _mm512_setzero_si512() :
					broadcast_dword(&x[c].number[half][at]);

#pragma GCC unroll 3
				for (int p = 0; p < panels; p++)
					sum[half][p][c] = start;
			}
#pragma GCC unroll 3
			for (int p = 0; p < panels; p++)
				sum[half][p][c] = _mm512_dpbusd_epi32(sum[half][p][c], code[p], dword);
		}
	}

#pragma GCC unroll 8
	for (int c = 0; c < columns; c++)
#pragma GCC unroll 3
		for (int p = 0; p < panels; p++)
			accumulator[p][c] = add_group(formula, sum[0][p][c], sum[has_halves ? 1 : 0][p][c], scale[p], &x[c],
										  at, accumulator[p][c]);
}

AVX512_INLINE void
load_accumulators(int panels, int columns, bool is_first, const float *y, int64_t y_stride,
				  __m512 accumulator[][FEW_COLUMNS])
{
#pragma GCC unroll 3
	for (int p = 0; p < panels; p++)
#pragma GCC unroll 8
		for (int c = 0; c < columns; c++)
			accumulator[p][c] = is_first ? _mm512_setzero_ps() :
				_mm512_loadu_ps(y + c * y_stride + p * LLM_PANEL_ROWS);
}

AVX512_INLINE void
store_accumulators(int panels, int columns, float *y, int64_t y_stride,
				   __m512 accumulator[][FEW_COLUMNS])
{
#pragma GCC unroll 3
	for (int p = 0; p < panels; p++)
#pragma GCC unroll 8
		for (int c = 0; c < columns; c++)
			_mm512_storeu_ps(y + c * y_stride + p * LLM_PANEL_ROWS, accumulator[p][c]);
}

/* Codes in the scratch are bytes, as those of a Q8_0 panel. */
AVX512_INLINE void
scratch_tile(Formula formula, int panels, int columns, const Scratch *scratch,
			 const ColumnStretch *x, int groups, Fetch fetch, bool is_first, float *y,
			 int64_t y_stride)
{
	const int	stride = scale_vectors(formula) * 16;
	PanelPointers panel[TILE_PANELS];
	__m512		accumulator[TILE_PANELS][FEW_COLUMNS];

#pragma GCC unroll 3
	for (int p = 0; p < panels; p++)
		panel[p].low = scratch->codes[p];
	load_accumulators(panels, columns, is_first, y, y_stride, accumulator);
	for (int g = 0; g < groups; g++)
	{
		const float *scale[TILE_PANELS];

#pragma GCC unroll 3
		for (int p = 0; p < panels; p++)
			scale[p] = scratch->scales[p] + g * stride;
		for (int i = 0; i < fetch.lines; i++)
			_mm_prefetch((const char *) fetch.bytes + g * fetch.stride + i * 64, AHEAD);
		group_step(formula, LLM_Q8_0, panels, columns, panel, g, scale, x, g, accumulator);
	}
	store_accumulators(panels, columns, y, y_stride, accumulator);
}

AVX512_INLINE void
direct_tile(LlmTensorType type, int panels, int columns, const PanelPointers *panel,
			const PanelPointers *next, const ColumnStretch *x, int64_t first_group,
			int64_t groups, bool is_first, float *y, int64_t y_stride)
{
	const Formula formula = formula_of(type);
	const int	stride = scale_vectors(formula) * 16;
	_Alignas(64) float scales[FEW_PANELS][STRETCH_GROUPS * MAX_SCALES * 16];
	__m512		accumulator[FEW_PANELS][FEW_COLUMNS];

	load_accumulators(panels, columns, is_first, y, y_stride, accumulator);
	for (int64_t done = 0; done < groups; done += STRETCH_GROUPS)
	{
		const int	count = stretch_count(groups - done);
		const bool	is_last = groups - done <= STRETCH_GROUPS;
		const PanelPointers *ahead = is_last ? next : panel;
		const int64_t ahead_group = is_last ? first_group : first_group + done + STRETCH_GROUPS;

		for (int p = 0; p < panels; p++)
		{
			unpack_stretch_scales(type, &panel[p], first_group + done, count, scales[p]);
			prefetch_scales(type, &ahead[p], ahead_group, STRETCH_GROUPS);
		}
		for (int g = 0; g < count; g++)
		{
			const int64_t group = first_group + done + g;
			const float *scale[FEW_PANELS];

#pragma GCC unroll 2
			for (int p = 0; p < panels; p++)
			{
				scale[p] = scales[p] + g * stride;
				prefetch_bytes(ahead[p].low + (ahead_group + g) * low_bytes(type), low_bytes(type));
				prefetch_bytes(ahead[p].high + (ahead_group + g) * high_bytes(type), high_bytes(type));
			}
			group_step(formula, type, panels, columns, panel, group, scale, x, g, accumulator);
		}
		x += columns;
	}
	store_accumulators(panels, columns, y, y_stride, accumulator);
}

/* --- the loops around them ------------------------------------------------------- */

/* Two pairs of panels are quicker than three and one. */
AVX512_INLINE int
tile_panels(int32_t rest)
{
	return rest == TILE_PANELS + 1 ? 2 : rest < TILE_PANELS ? rest : TILE_PANELS;
}

/*
 * Columns column .. column + columns - 1, at most BLOCK_COLUMNS, by way of the scratch.  The
 * weights of the next tile of panels are fetched while one is multiplied.
 */
AVX512_INLINE void
matmul_block(LlmTensorType type, const LlmMatrix *w, const LlmPanelPlanes *planes,
			 int32_t first, int32_t last, const LlmActivations *x, int32_t column, int columns,
			 float *y, int64_t y_stride)
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
			PanelPointers next[TILE_PANELS];

			panels = tile_panels(last - panel);
			unpack_panels(type, false, w, planes, panel, panels, g, count, &scratch, next);
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

/* All of at most FEW_COLUMNS columns, straight from the panels. */
AVX512_INLINE void
matmul_few(LlmTensorType type, const DirectTile (*tiles)[FEW_COLUMNS], const LlmMatrix *w,
		   const LlmPanelPlanes *planes, int32_t first, int32_t last,
		   const LlmActivations *x, float *y, int64_t y_stride)
{
	const int	n_cols = x->n_cols;
	const int64_t groups = w->cols / LLM_GROUP;
	const int64_t most = STRETCHES / n_cols * STRETCH_GROUPS;
	ColumnStretch activations[STRETCHES];

	for (int64_t g = 0; g < groups; g += most)
	{
		const int64_t count = groups - g < most ? groups - g : most;

		for (int64_t done = 0; done < count; done += STRETCH_GROUPS)
			for (int c = 0; c < n_cols; c++)
				copy_column(type, x, c, g + done, stretch_count(count - done),
							&activations[done / STRETCH_GROUPS * n_cols + c]);

		for (int32_t panel = first, panels; panel < last; panel += panels)
		{
			PanelPointers pointers[FEW_PANELS];
			PanelPointers next[FEW_PANELS];

			panels = n_cols > PAIR_COLUMNS || last - panel < FEW_PANELS ? 1 : FEW_PANELS;
			for (int p = 0; p < panels; p++)
			{
				pointers[p] = panel_pointers(w, planes, panel + p);
				next[p] = panel_pointers(w, planes, later_panel(w, panel + panels + p));
			}
			tiles[panels - 1][n_cols - 1] (pointers, next, activations, g, count, g == 0,
										   y + (int64_t) panel * LLM_PANEL_ROWS, y_stride);
		}
	}
}

AVX512_INLINE void
matmul(LlmTensorType type, const DirectTile (*direct_tiles)[FEW_COLUMNS], const LlmMatrix *w,
	   int32_t first, int32_t last, const LlmActivations *x, float *y, int64_t y_stride)
{
	const LlmPanelPlanes planes = llm_panel_planes(type, w->cols);

	if (x->n_cols <= 0)
		return;
	if (x->n_cols <= FEW_COLUMNS)
	{
		matmul_few(type, direct_tiles, w, &planes, first, last, x, y, y_stride);
		return;
	}
	for (int32_t column = 0; column < x->n_cols; column += BLOCK_COLUMNS)
		matmul_block(type, w, &planes, first, last, x, column,
					 x->n_cols - column < BLOCK_COLUMNS ? x->n_cols - column : BLOCK_COLUMNS,
					 y, y_stride);
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
ALL_SCRATCH_TILES(FORMULA_HALVES)
ALL_SCRATCH_TILES(FORMULA_HALVES_MINIMUM)

#define TILE_ROW(formula, panels) { \
	scratch_tile_##formula##_##panels##_1, \
	scratch_tile_##formula##_##panels##_2, \
	scratch_tile_##formula##_##panels##_3, \
	scratch_tile_##formula##_##panels##_4, \
}
#define TILE_ROWS(formula) {TILE_ROW(formula, 1), TILE_ROW(formula, 2), TILE_ROW(formula, 3)}

static const ScratchTile scratch_tiles[4][TILE_PANELS][TILE_COLUMNS] = {
	[FORMULA_SYMMETRIC] = TILE_ROWS(FORMULA_SYMMETRIC),
	[FORMULA_MINIMUM] = TILE_ROWS(FORMULA_MINIMUM),
	[FORMULA_HALVES] = TILE_ROWS(FORMULA_HALVES),
	[FORMULA_HALVES_MINIMUM] = TILE_ROWS(FORMULA_HALVES_MINIMUM),
};

#endif							/* __x86_64__ */
