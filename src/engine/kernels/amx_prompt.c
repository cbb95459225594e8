/*
 * amx_prompt.c
 *		Products of prompts' columns with quantized weights: bfloat16 dot products by TDPBF16PS.
 *
 * Weights are scaled as they are unpacked, so that sums stay in tiles for all of a row: nothing is done for each group of each
 * column.  Two panels are multiplied at once with two tiles of sixteen columns.  A stretch of groups is unpacked to a
 * scratch between the products of the stretch before it.
 */
#if defined(__x86_64__)

#include "engine/kernels/amx.h"
#include "engine/kernels/amx_prompt_unpack.h"
#include "engine/kernels/quantized_stretch.h"

/* Tile registers: the macros of the instructions want constants.  SUM_pc is of panel p and tile c of the columns. */
#define SUM_00 0
#define SUM_10 1
#define SUM_01 2
#define SUM_11 3
#define WEIGHTS_0 4
#define WEIGHTS_1 5
#define COLUMNS_0 6
#define COLUMNS_1 7
#define N_REGISTERS 8

#define PANELS 2				/* multiplied at once */
#define MOST_GROUPS 32			/* in a stretch, so that sums are seldom stored */
#define FEW_GROUPS 4			/* where columns are few: it stays in the first-level cache */
#define FEW_PAIRS 2				/* pairs of tiles of columns that make few */
#define BLOCK_TILES 16			/* tiles of columns that share an unpacked stretch */
#define GROUPS_AHEAD 8			/* from what is unpacked to what is fetched */

/* A stretch of two panels, unpacked. */
typedef struct Stretch
{
	_Alignas(64) uint16_t tiles[PANELS][MOST_GROUPS][TILE_NUMBERS];
} Stretch;

/* The sums of two tiles of columns and two panels. */
typedef struct PairSums
{
	_Alignas(64) float of[2][PANELS][LLM_TILE_COLUMNS * LLM_PANEL_ROWS];
} PairSums;

/* Two panels on their way from memory, and how far they are. */
typedef struct Reader
{
	const LlmMatrix *w;
	__m512i		table;			/* of codes */
	int64_t		groups;			/* of a panel */
	int			most;			/* groups of a stretch */
	int32_t		last;
	int32_t		panel;			/* the first of the two */
	int64_t		group;			/* the stretch begins here */
	int			count;			/* groups of the stretch; 0 behind the last panel */
	const uint8_t *now[PANELS];
	const uint8_t *next[PANELS];
	RowFactors	factors[2][PANELS]; /* of these two and of the two before, in turns */
	int			turn;
	TileScales	scales[PANELS];
} Reader;

/* Columns of a block: tiles[n_tiles], each of all groups. */
typedef struct Columns
{
	const uint16_t *tiles;
	int64_t		tile_numbers;
	int64_t		group_numbers;
	int			n_tiles;
	int			n_pairs;
} Columns;

KERNEL_INLINE void multiply_panels(LlmTensorType type, const LlmMatrix *w, int32_t first, int32_t last, const LlmPrompts *x,
								   float *y, int64_t y_stride);

#define PRODUCT(name, type) \
void \
amx_prompt_matmul_##name(const LlmMatrix *w, int32_t first, int32_t last, const LlmPrompts *x, \
						 float *y, int64_t y_stride) \
{ \
	multiply_panels(type, w, first, last, x, y, y_stride); \
}

PRODUCT(q4_0, LLM_Q4_0)
PRODUCT(q4_1, LLM_Q4_1)
PRODUCT(q5_0, LLM_Q5_0)
PRODUCT(q5_1, LLM_Q5_1)
PRODUCT(q8_0, LLM_Q8_0)
PRODUCT(q2_k, LLM_Q2_K)
PRODUCT(q3_k, LLM_Q3_K)
PRODUCT(q4_k, LLM_Q4_K)
PRODUCT(q5_k, LLM_Q5_K)
PRODUCT(q6_k, LLM_Q6_K)

/* --- reading ----------------------------------------------------------------------- */

/* Where there is no second panel the first is read twice. */
KERNEL_INLINE void
point_to_pair(const Reader *reader, int32_t panel, const uint8_t **pair)
{
	for (int p = 0; p < PANELS; p++)
		pair[p] = panel_at(reader->w, panel + p < reader->last ? panel + p : reader->last - 1);
}

KERNEL_INLINE void
begin_pair(LlmTensorType type, Reader *reader, int32_t panel)
{
	reader->panel = panel;
	reader->group = 0;
	reader->turn ^= 1;
	point_to_pair(reader, panel, reader->now);
	point_to_pair(reader, panel + PANELS, reader->next);
	for (int p = 0; p < PANELS; p++)
		find_row_factors(type, reader->now[p], reader->groups, &reader->factors[reader->turn][p]);
}

/* On to the next stretch. */
KERNEL_INLINE void
advance(LlmTensorType type, Reader *reader)
{
	const int64_t group = reader->group + reader->count;

	reader->count = 0;
	if (group < reader->groups)
		reader->group = group;
	else if (reader->panel + PANELS < reader->last)
		begin_pair(type, reader, reader->panel + PANELS);
	else
		return;
	reader->count = reader->groups - reader->group < reader->most ? (int) (reader->groups - reader->group) : reader->most;
}

/* What is unpacked later, and the halves of the next two panels, which begin_pair reads first. */
KERNEL_INLINE void
fetch_ahead(LlmTensorType type, const Reader *reader, int p, int64_t group)
{
	const int64_t later = group + GROUPS_AHEAD;
	const uint8_t *panel = later < reader->groups ? reader->now[p] : reader->next[p];
	const int64_t at = later < reader->groups ? later : later - reader->groups < reader->groups ? later - reader->groups : 0;

	prefetch_bytes(true, group_at(type, panel, at), group_bytes(type));
	if (is_of_blocks(formula_of(type)) && at % SCALE_GROUPS == 0)
		prefetch_bytes(true, sub_at(type, panel, block_of(type, at)), (int64_t) llm_sub_bytes(layout_of(type)));
	if (group % groups_of_unit(type) == 0)
		prefetch_bytes(false, halves_at(type, reader->next[p], block_of(type, group)), 1);
}

/* Unpack the at-th group of the reader's stretch. */
KERNEL_INLINE void
read_group(LlmTensorType type, Reader *reader, int p, int at, Stretch *out)
{
	const uint8_t *panel = reader->now[p];
	const RowFactors *factors = &reader->factors[reader->turn][p];
	const int64_t group = reader->group + at;
	const int	place = (int) (group % SCALE_GROUPS);

	if (!is_of_blocks(formula_of(type)))
		unpack_tile_scales(type, panel, factors, group, place, &reader->scales[p]);
	else if (place == 0)
		unpack_tile_block_scales(type, panel, factors, group / SCALE_GROUPS, &reader->scales[p]);
	fetch_ahead(type, reader, p, group);
	unpack_tile(type, group_at(type, panel, group), &reader->scales[p], place, reader->table, out->tiles[p][at]);
}

/* --- multiplying ------------------------------------------------------------------- */

KERNEL_INLINE void
multiply_group(const Stretch *weights, int at, const uint16_t *columns, int64_t tile_numbers, bool both)
{
	_tile_loadd(COLUMNS_0, columns, 64);
	_tile_loadd(WEIGHTS_0, weights->tiles[0][at], 64);
	_tile_dpbf16ps(SUM_00, COLUMNS_0, WEIGHTS_0);
	_tile_loadd(WEIGHTS_1, weights->tiles[1][at], 64);
	_tile_dpbf16ps(SUM_10, COLUMNS_0, WEIGHTS_1);
	if (both)
	{
		_tile_loadd(COLUMNS_1, columns + tile_numbers, 64);
		_tile_dpbf16ps(SUM_01, COLUMNS_1, WEIGHTS_0);
		_tile_dpbf16ps(SUM_11, COLUMNS_1, WEIGHTS_1);
	}
}

KERNEL_INLINE void
zero_sums(void)
{
	_tile_zero(SUM_00);
	_tile_zero(SUM_10);
	_tile_zero(SUM_01);
	_tile_zero(SUM_11);
}

KERNEL_INLINE void
load_sums(const PairSums *sums, bool both)
{
	_tile_loadd(SUM_00, sums->of[0][0], 64);
	_tile_loadd(SUM_10, sums->of[0][1], 64);
	if (both)
	{
		_tile_loadd(SUM_01, sums->of[1][0], 64);
		_tile_loadd(SUM_11, sums->of[1][1], 64);
	}
}

KERNEL_INLINE void
store_sums(PairSums *sums, bool both)
{
	_tile_stored(SUM_00, sums->of[0][0], 64);
	_tile_stored(SUM_10, sums->of[0][1], 64);
	if (both)
	{
		_tile_stored(SUM_01, sums->of[1][0], 64);
		_tile_stored(SUM_11, sums->of[1][1], 64);
	}
}

/*
 * A stretch of `count` groups from `group` on with all columns, while the reader's stretch is unpacked to `next`.
 * Where all columns are one pair of tiles their sums stay in the registers.
 */
KERNEL_INLINE void
multiply_stretch(LlmTensorType type, const Stretch *weights, int64_t group, int count, bool is_last, const Columns *columns,
				 Reader *reader, Stretch *next, PairSums *sums)
{
	const int	to_read = PANELS * reader->count;
	const int	n_steps = columns->n_pairs * count;
	int			was_read = 0;
	int			steps = 0;

	for (int pair = 0; pair < columns->n_pairs; pair++)
	{
		const bool	both = 2 * pair + 1 < columns->n_tiles;
		const uint16_t *x = columns->tiles + 2 * pair * columns->tile_numbers + group * columns->group_numbers;

		if (group == 0)
			zero_sums();
		else if (columns->n_pairs > 1)
			load_sums(&sums[pair], both);
		for (int at = 0; at < count; at++)
		{
			multiply_group(weights, at, x + at * columns->group_numbers, columns->tile_numbers, both);
			for (steps++; was_read * n_steps < steps * to_read; was_read++)
				read_group(type, reader, was_read % PANELS, was_read / PANELS, next);
		}
		if (is_last || columns->n_pairs > 1)
			store_sums(&sums[pair], both);
	}
}

/* --- the loops around it ------------------------------------------------------------- */

/* The sums of a tile's columns, n of which there are, to y. */
KERNEL_INLINE void
store_products(const float *sums, const RowFactors *factors, const float *column_factors, int n, float *y, int64_t y_stride)
{
	const __m512 rows = _mm512_load_ps(factors->down);

	for (int c = 0; c < n; c++)
	{
		__m512		sum = _mm512_mul_ps(_mm512_load_ps(sums + c * LLM_PANEL_ROWS), rows);

		_mm512_storeu_ps(y + c * y_stride, _mm512_mul_ps(sum, _mm512_set1_ps(column_factors[c])));
	}
}

/* The tiles of columns from first_tile on, at most BLOCK_TILES. */
KERNEL_INLINE void
multiply_block(LlmTensorType type, const LlmMatrix *w, int32_t first, int32_t last, const LlmPrompts *x, int32_t first_tile,
			   int n_tiles, float *y, int64_t y_stride)
{
	const int64_t group_numbers = (int64_t) llm_tile_height(x) * LLM_GROUP;
	const int64_t tile_numbers = x->width / LLM_GROUP * group_numbers;
	const Columns columns = {x->rounded + first_tile * tile_numbers, tile_numbers, group_numbers, n_tiles, (n_tiles + 1) / 2};
	Reader		reader = {
		.w = w,
		.table = code_values(type),
		.groups = w->cols / LLM_GROUP,
		.most = n_tiles > 2 * FEW_PAIRS ? MOST_GROUPS : FEW_GROUPS,
		.last = last,
		.panel = first - PANELS
	};
	Stretch		stretches[2];
	PairSums	sums[BLOCK_TILES / 2];
	int			which = 0;

	reader.group = reader.groups;
	advance(type, &reader);
	for (int at = 0; at < PANELS * reader.count; at++)
		read_group(type, &reader, at % PANELS, at / PANELS, &stretches[0]);
	while (reader.count > 0)
	{
		const int32_t panel = reader.panel;
		const int64_t group = reader.group;
		const int	count = reader.count;
		const bool	is_last = group + count == reader.groups;
		const RowFactors *factors = reader.factors[reader.turn];

		advance(type, &reader);
		multiply_stretch(type, &stretches[which], group, count, is_last, &columns, &reader, &stretches[which ^ 1], sums);
		for (int t = 0; is_last && t < n_tiles; t++)
		{
			const int32_t column = (first_tile + t) * LLM_TILE_COLUMNS;
			const int	n = x->n_cols - column < LLM_TILE_COLUMNS ? x->n_cols - column : LLM_TILE_COLUMNS;

			for (int p = 0; p < PANELS && panel + p < last; p++)
				store_products(sums[t / 2].of[t % 2][p], &factors[p], x->factor + column, n,
							   y + column * y_stride + (int64_t) (panel + p) * LLM_PANEL_ROWS, y_stride);
		}
		which ^= 1;
	}
}

KERNEL_INLINE void
multiply_panels(LlmTensorType type, const LlmMatrix *w, int32_t first, int32_t last, const LlmPrompts *x, float *y,
				int64_t y_stride)
{
	const int32_t n_tiles = (x->n_cols + LLM_TILE_COLUMNS - 1) / LLM_TILE_COLUMNS;
	TileShapes	shapes = {.palette = 1};

	for (int i = 0; i < N_REGISTERS; i++)
	{
		shapes.row_bytes[i] = 64;
		shapes.rows[i] = (uint8_t) (i == WEIGHTS_0 || i == WEIGHTS_1 ? TILE_VECTORS : llm_tile_height(x));
	}
	load_shapes(&shapes);
	for (int32_t tile = 0; tile < n_tiles; tile += BLOCK_TILES)
		multiply_block(type, w, first, last, x, tile, n_tiles - tile < BLOCK_TILES ? n_tiles - tile : BLOCK_TILES, y, y_stride);
	_tile_release();
}

#endif							/* __x86_64__ */
