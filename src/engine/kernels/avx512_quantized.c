/*
 * avx512_quantized.c
 *		Matrix products with quantized weights: int8 dot products by VPDPBUSD.
 *
 * One template serves all types.  Its core, group_step, adds one group of 32 weights of one
 * to three panels to a tile of columns: the group's codes are in registers and
 * each dword of a column's q is broadcast to all rows.  Around it:
 *
 *	 few columns:	one tile; codes are unpacked straight from the panel, once.
 *	 many columns:	a stretch of three panels is unpacked to a scratch in the first-level
 *					cache and then used by all tiles of a block of columns.
 *
 * In both cases the columns' activations are first copied in the order in
 * which the tiles read them.  An output's own operations are the same on every way, so
 * its bits are too; between stretches accumulators rest in y, which loses nothing.
 */
#if defined(__x86_64__)

#include <string.h>

#include "engine/kernels/avx512_unpack.h"

#define FEW_COLUMNS 8			/* widest tile straight from the panel */
#define TILE_PANELS 3			/* tile of the scratch path */
#define TILE_COLUMNS 4
#define BLOCK_COLUMNS 96		/* columns that share one unpacked stretch */
#define STRETCH_GROUPS 16		/* groups in an unpacked stretch */
#define PREFETCH_BYTES 4096		/* how far ahead of a single column weights are fetched */

/* For one column and group: q, and at most three numbers. */
#define COLUMN_BYTES (LLM_GROUP + 3 * 4)
#define ACTIVATION_BYTES (BLOCK_COLUMNS * STRETCH_GROUPS * COLUMN_BYTES)

/* A stretch of three panels, unpacked. */
typedef struct Scratch
{
	_Alignas(64) uint8_t codes[TILE_PANELS][STRETCH_GROUPS * QUADS * 64];
	_Alignas(64) float scales[TILE_PANELS][STRETCH_GROUPS * MAX_SCALES * 16];
} Scratch;

/* Add `groups` groups to the accumulators at y of one tile of columns. */
typedef void (*ScratchTile) (const Scratch *scratch, const uint8_t *activations, int groups,
							 bool is_first, float *y, int64_t y_stride);
typedef void (*DirectTile) (const PanelPointers *panel, const uint8_t *activations,
							int64_t first_group, int groups, bool is_first,
							float *y, int64_t y_stride);

static const ScratchTile scratch_tiles[4][TILE_PANELS][TILE_COLUMNS];

AVX512_INLINE void matmul(LlmTensorType type, const DirectTile *direct_tiles,
						  const LlmMatrix *w, int32_t first, int32_t last,
						  const LlmActivations *x, float *y, int64_t y_stride);
AVX512_INLINE void direct_tile(LlmTensorType type, int columns, const PanelPointers *panel,
							   const uint8_t *activations, int64_t first_group, int groups,
							   bool is_first, float *y, int64_t y_stride);

#define DIRECT_TILE(name, type, columns) \
static void \
name##_direct_##columns(const PanelPointers *panel, const uint8_t *activations, \
						int64_t first_group, int groups, bool is_first, \
						float *y, int64_t y_stride) \
{ \
	direct_tile(type, columns, panel, activations, first_group, groups, is_first, y, y_stride); \
}

#define MATMUL(name, type) \
DIRECT_TILE(name, type, 1) \
DIRECT_TILE(name, type, 2) \
DIRECT_TILE(name, type, 3) \
DIRECT_TILE(name, type, 4) \
DIRECT_TILE(name, type, 5) \
DIRECT_TILE(name, type, 6) \
DIRECT_TILE(name, type, 7) \
DIRECT_TILE(name, type, 8) \
static const DirectTile name##_direct_tiles[FEW_COLUMNS] = { \
	name##_direct_1, name##_direct_2, name##_direct_3, name##_direct_4, \
	name##_direct_5, name##_direct_6, name##_direct_7, name##_direct_8, \
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

/* Numbers that go with a group's q: SYMMETRIC and MINIMUM two, the others three. */
AVX512_INLINE int
column_numbers(Formula formula)
{
	return formula == FORMULA_SYMMETRIC || formula == FORMULA_MINIMUM ? 2 : 3;
}

AVX512_INLINE __m512i
broadcast_dword(const void *p)
{
	int32_t		value;

	memcpy(&value, p, sizeof(value));
	return _mm512_set1_epi32(value);
}

AVX512_INLINE __m512
broadcast_float(const void *p)
{
	float		value;

	memcpy(&value, p, sizeof(value));
	return _mm512_set1_ps(value);
}

/*
 * One group of `panels` panels times `columns` columns.  activations holds
 * for the tile q[columns][32], then its numbers [column_numbers][columns]:
 *		SYMMETRIC		-offset * sumq (int32), d
 *		MINIMUM			d, d * sumq
 *		HALVES			-offset * sum16 of either half (int32), d
 *		HALVES_MINIMUM	sum16 of either half as floats, d
 * scale[panel] points to the group's scale vectors.  Quads are the outer loop, so that
 * neighbouring instructions belong to different sums and need not wait for each other.
 */
AVX512_INLINE void
group_step(Formula formula, LlmTensorType code_type, int panels, int columns,
		   const PanelPointers *panel, int64_t group, const float *const *scale,
		   const uint8_t *activations, __m512 accumulator[][FEW_COLUMNS])
{
	const bool	has_halves = formula == FORMULA_HALVES || formula == FORMULA_HALVES_MINIMUM;
	const bool	is_offset = formula == FORMULA_SYMMETRIC || formula == FORMULA_HALVES;
	const uint8_t *numbers = activations + columns * LLM_GROUP;
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
			__m512i		x = broadcast_dword(activations + c * LLM_GROUP + 4 * q);

			if (q == 0 || (has_halves && q == 4))
			{
				__m512i		start = !is_offset ? _mm512_setzero_si512() :
					broadcast_dword(numbers + 4 * (c + half * columns));

#pragma GCC unroll 3
				for (int p = 0; p < panels; p++)
					sum[half][p][c] = start;
			}
#pragma GCC unroll 3
			for (int p = 0; p < panels; p++)
				sum[half][p][c] = _mm512_dpbusd_epi32(sum[half][p][c], code[p], x);
		}
	}

#pragma GCC unroll 8
	for (int c = 0; c < columns; c++)
	{
		const uint8_t *number0 = numbers + 4 * c;
		const uint8_t *number1 = number0 + 4 * columns;
		const uint8_t *number2 = number1 + 4 * columns;

#pragma GCC unroll 3
		for (int p = 0; p < panels; p++)
		{
			const float *s = scale[p];
			__m512		s0 = _mm512_load_ps(s);
			__m512		a = accumulator[p][c];
			__m512		sum0 = _mm512_cvtepi32_ps(sum[0][p][c]);

			if (formula == FORMULA_SYMMETRIC)
				a = _mm512_fmadd_ps(sum0, _mm512_mul_ps(s0, broadcast_float(number1)), a);
			else if (formula == FORMULA_MINIMUM)
			{
				a = _mm512_fmadd_ps(sum0, _mm512_mul_ps(s0, broadcast_float(number0)), a);
				a = _mm512_fmadd_ps(_mm512_load_ps(s + 16), broadcast_float(number1), a);
			}
			else
			{
				__m512		dx = broadcast_float(number2);
				__m512		sum1 = _mm512_cvtepi32_ps(sum[1][p][c]);
				__m512		t = _mm512_mul_ps(s0, sum0);

				t = _mm512_fmadd_ps(_mm512_load_ps(s + 16), sum1, t);
				a = _mm512_fmadd_ps(t, _mm512_mul_ps(_mm512_load_ps(s + 32), dx), a);
				if (formula == FORMULA_HALVES_MINIMUM)
				{
					__m512		u = _mm512_mul_ps(_mm512_load_ps(s + 48), broadcast_float(number0));

					u = _mm512_fmadd_ps(_mm512_load_ps(s + 64), broadcast_float(number1), u);
					a = _mm512_fnmadd_ps(u, _mm512_mul_ps(_mm512_load_ps(s + 80), dx), a);
				}
			}
			accumulator[p][c] = a;
		}
	}
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
			 const uint8_t *activations, int groups, bool is_first, float *y, int64_t y_stride)
{
	const int	stride = scale_vectors(formula) * 16;
	const int	activation_bytes = columns * (LLM_GROUP + 4 * column_numbers(formula));
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
		group_step(formula, LLM_Q8_0, panels, columns, panel, g, scale, activations, accumulator);
		activations += activation_bytes;
	}
	store_accumulators(panels, columns, y, y_stride, accumulator);
}

AVX512_INLINE void
direct_tile(LlmTensorType type, int columns, const PanelPointers *panel,
			const uint8_t *activations, int64_t first_group, int groups, bool is_first,
			float *y, int64_t y_stride)
{
	const Formula formula = formula_of(type);
	const int	stride = scale_vectors(formula) * 16;
	const int	activation_bytes = columns * (LLM_GROUP + 4 * column_numbers(formula));
	const int	low_bytes = (type == LLM_Q8_0 ? 8 : type == LLM_Q2_K || type == LLM_Q3_K ? 2 : 4) * 64;
	_Alignas(64) float scales[SCALE_GROUPS * MAX_SCALES * 16];
	__m512		accumulator[1][FEW_COLUMNS];

	load_accumulators(1, columns, is_first, y, y_stride, accumulator);
	for (int done = 0; done < groups; done += SCALE_GROUPS)
	{
		const int	count = groups - done < SCALE_GROUPS ? groups - done : SCALE_GROUPS;

		unpack_scales(type, panel, first_group + done, count, scales, stride);
		for (int g = 0; g < count; g++)
		{
			const int64_t group = first_group + done + g;
			const float *scale[1] = {scales + g * stride};

			if (columns <= 4)
				for (int i = 0; i < low_bytes; i += 64)
					_mm_prefetch((const char *) panel->low + group * low_bytes + i + PREFETCH_BYTES,
								 _MM_HINT_T0);
			group_step(formula, type, 1, columns, panel, group, scale, activations, accumulator);
			activations += activation_bytes;
		}
	}
	store_accumulators(1, columns, y, y_stride, accumulator);
}

/* --- the loops around them ------------------------------------------------------- */

/*
 * Copy groups first .. first + count - 1 of columns column .. column + columns - 1 in the
 * order of group_step.
 */
AVX512_INLINE void
copy_activations(LlmTensorType type, const LlmActivations *x, int32_t column, int columns,
				 int64_t first, int count, uint8_t *out)
{
	const Formula formula = formula_of(type);
	const int	group_bytes = columns * (LLM_GROUP + 4 * column_numbers(formula));
	const int	shift = offset_shift(type);

	for (int c = 0; c < columns; c++)
	{
		const int8_t *q = x->q + (int64_t) (column + c) * x->width + first * LLM_GROUP;
		const float *d = x->d + (int64_t) (column + c) * (x->width / 32) + first;
		const int32_t *sum = x->sum16 + (int64_t) (column + c) * (x->width / 16) + first * 2;
		uint8_t    *to_q = out + c * LLM_GROUP;
		uint8_t    *to = out + columns * LLM_GROUP + 4 * c;

		for (int g = 0; g < count; g++)
		{
			const int32_t both = sum[2 * g] + sum[2 * g + 1];
			int32_t		start;
			float		number;

			memcpy(to_q, q + g * LLM_GROUP, LLM_GROUP);
			switch (formula)
			{
				case FORMULA_SYMMETRIC:
					start = -both * (1 << shift);
					memcpy(to, &start, 4);
					memcpy(to + 4 * columns, &d[g], 4);
					break;
				case FORMULA_MINIMUM:
					number = d[g] * (float) both;
					memcpy(to, &d[g], 4);
					memcpy(to + 4 * columns, &number, 4);
					break;
				default:
					for (int half = 0; half < 2; half++)
					{
						number = (float) sum[2 * g + half];
						start = -sum[2 * g + half] * (1 << shift);
						memcpy(to + 4 * columns * half,
							   formula == FORMULA_HALVES ? (void *) &start : (void *) &number, 4);
					}
					memcpy(to + 8 * columns, &d[g], 4);
					break;
			}
			to_q += group_bytes;
			to += group_bytes;
		}
	}
}

/* A stretch of one panel to the scratch, as its panel p. */
AVX512_INLINE void
unpack_stretch(LlmTensorType type, const PanelPointers *panel, int64_t first, int count,
			   Scratch *scratch, int p)
{
	const int	stride = scale_vectors(formula_of(type)) * 16;

	for (int g = 0; g < count; g++)
	{
		if (g % SCALE_GROUPS == 0)
			unpack_scales(type, panel, first + g,
						  count - g < SCALE_GROUPS ? count - g : SCALE_GROUPS,
						  scratch->scales[p] + g * stride, stride);
#pragma GCC unroll 8
		for (int q = 0; q < QUADS; q++)
			_mm512_store_si512(scratch->codes[p] + (g * QUADS + q) * 64,
							   unpack_code(type, panel, first + g, q));
	}
}

/* Columns column .. column + columns - 1, at most BLOCK_COLUMNS, by way of the scratch. */
AVX512_INLINE void
matmul_block(LlmTensorType type, const LlmMatrix *w, const LlmPanelPlanes *planes,
			 int32_t first, int32_t last, const LlmActivations *x, int32_t column, int columns,
			 float *y, int64_t y_stride)
{
	const Formula formula = formula_of(type);
	const int	column_bytes = LLM_GROUP + 4 * column_numbers(formula);
	const int64_t groups = w->cols / LLM_GROUP;
	_Alignas(64) uint8_t activations[ACTIVATION_BYTES];
	Scratch		scratch;

	for (int64_t g = 0; g < groups; g += STRETCH_GROUPS)
	{
		const int	count = groups - g < STRETCH_GROUPS ? (int) (groups - g) : STRETCH_GROUPS;

		for (int c = 0; c < columns; c += TILE_COLUMNS)
			copy_activations(type, x, column + c,
							 columns - c < TILE_COLUMNS ? columns - c : TILE_COLUMNS, g, count,
							 activations + c * count * column_bytes);

		for (int32_t panel = first; panel < last; panel += TILE_PANELS)
		{
			const int	panels = last - panel < TILE_PANELS ? last - panel : TILE_PANELS;

			for (int p = 0; p < panels; p++)
			{
				PanelPointers pointers = panel_pointers(w, planes, panel + p);

				unpack_stretch(type, &pointers, g, count, &scratch, p);
			}
			for (int c = 0; c < columns; c += TILE_COLUMNS)
			{
				const int	width = columns - c < TILE_COLUMNS ? columns - c : TILE_COLUMNS;

				scratch_tiles[formula][panels - 1][width - 1]
					(&scratch, activations + c * count * column_bytes, count, g == 0,
					 y + (column + c) * y_stride + (int64_t) panel * LLM_PANEL_ROWS, y_stride);
			}
		}
	}
}

/* All of at most FEW_COLUMNS columns, straight from the panels. */
AVX512_INLINE void
matmul_few(LlmTensorType type, DirectTile tile, const LlmMatrix *w,
		   const LlmPanelPlanes *planes, int32_t first, int32_t last,
		   const LlmActivations *x, float *y, int64_t y_stride)
{
	const int64_t groups = w->cols / LLM_GROUP;
	const int	most = ACTIVATION_BYTES / (x->n_cols * COLUMN_BYTES) / SCALE_GROUPS * SCALE_GROUPS;
	_Alignas(64) uint8_t activations[ACTIVATION_BYTES];

	for (int64_t g = 0; g < groups; g += most)
	{
		const int	count = groups - g < most ? (int) (groups - g) : most;

		copy_activations(type, x, 0, x->n_cols, g, count, activations);
		for (int32_t panel = first; panel < last; panel++)
		{
			PanelPointers pointers = panel_pointers(w, planes, panel);

			tile(&pointers, activations, g, count, g == 0,
				 y + (int64_t) panel * LLM_PANEL_ROWS, y_stride);
		}
	}
}

AVX512_INLINE void
matmul(LlmTensorType type, const DirectTile *direct_tiles, const LlmMatrix *w,
	   int32_t first, int32_t last, const LlmActivations *x, float *y, int64_t y_stride)
{
	const LlmPanelPlanes planes = llm_panel_planes(type, w->cols);

	if (x->n_cols <= 0)
		return;
	if (x->n_cols <= FEW_COLUMNS)
	{
		matmul_few(type, direct_tiles[x->n_cols - 1], w, &planes, first, last, x, y, y_stride);
		return;
	}
	for (int32_t column = 0; column < x->n_cols; column += BLOCK_COLUMNS)
		matmul_block(type, w, &planes, first, last, x, column,
					 x->n_cols - column < BLOCK_COLUMNS ? x->n_cols - column : BLOCK_COLUMNS,
					 y, y_stride);
}

#define SCRATCH_TILE(formula, panels, columns) \
static void \
scratch_tile_##formula##_##panels##_##columns(const Scratch *scratch, const uint8_t *activations, \
											  int groups, bool is_first, float *y, \
											  int64_t y_stride) \
{ \
	scratch_tile(formula, panels, columns, scratch, activations, groups, is_first, y, y_stride); \
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
