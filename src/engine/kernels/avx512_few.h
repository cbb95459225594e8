/*
 * avx512_few.h
 *		Matrix products with quantized weights and few columns: VPDPBUSD straight from the panels.
 *
 * The core, group_step or nibble_step, multiplies one group of 32 weights of one to four panels with a tile of
 * columns, each dword of a column's q broadcast to all rows.
 *
 * Where memory is the limit, what matters is when the next weights are asked for and into which
 * cache.  AMD's Zen 4 does best when they are fetched into the second level, whose queue is longer, or, of very few
 * columns, when it is left to read one panel after the other, line by line (read_lines); Zen 5 and processors with AMX when
 * they are fetched into the first level.  The level is chosen when a product begins; beside tiles of AMX more differs, so that
 * those sets make their own tiles.
 */
#ifndef LLM_KERNELS_AVX512_FEW_H
#define LLM_KERNELS_AVX512_FEW_H

#include "engine/kernels/avx512_stretch.h"

#define TILE_WIDTH 8			/* widest tile of them: sums of FEW_PANELS stay in registers */
#define FEW_PANELS 2			/* streams from memory, and how often a column's numbers are used */
#define MOST_PANELS 4			/* the same for NARROW_TILE columns at the most */
#define NARROW_TILE 4			/* so few that the sums of MOST_PANELS stay in registers */
#define PANEL_COUNTS 3			/* 1, FEW_PANELS, MOST_PANELS */
#define NIBBLE_COLUMNS 2		/* so few that nibbles are multiplied where they are in their bytes */
#define SHORT_RUN_COLUMNS 4		/* of the K types: with more, runs are of two blocks */
#define PAIRED_SUMS 4			/* see adds_pairs */
#define STRETCHES 256			/* room for so many stretches of one column's activations */

/*
 * Add groups first_group .. first_group + groups - 1 of the panels to the sums at y of one tile.
 * `next` are the panels that come after these, of which some is fetched, into the first level or the second.
 */
typedef void (*DirectTile) (const uint8_t *const *panel, const uint8_t *const *next,
							const ColumnStretch *x, int64_t first_group, int64_t groups,
							bool is_first, bool to_first_level, float *y, int64_t y_stride);

/* What a tile has added up, and what the groups of the block under way have come to. */
typedef struct Accumulators
{
	__m512		sum[MOST_PANELS][TILE_WIDTH];
	__m512i		block[MOST_PANELS][TILE_WIDTH];
} Accumulators;

#define DIRECT_TILE(name, type, beside_amx, panels, columns) \
static void \
name##_direct_##panels##_##columns(const uint8_t *const *panel, const uint8_t *const *next, \
								   const ColumnStretch *x, int64_t first_group, int64_t groups, \
								   bool is_first, bool to_first_level, float *y, int64_t y_stride) \
{ \
	direct_tile(type, beside_amx, panels, columns, panel, next, x, first_group, groups, is_first, \
				beside_amx || to_first_level, y, y_stride); \
}

#define DIRECT_TILES(name, type, beside_amx, panels) \
DIRECT_TILE(name, type, beside_amx, panels, 1) \
DIRECT_TILE(name, type, beside_amx, panels, 2) \
DIRECT_TILE(name, type, beside_amx, panels, 3) \
DIRECT_TILE(name, type, beside_amx, panels, 4) \
DIRECT_TILE(name, type, beside_amx, panels, 5) \
DIRECT_TILE(name, type, beside_amx, panels, 6) \
DIRECT_TILE(name, type, beside_amx, panels, 7) \
DIRECT_TILE(name, type, beside_amx, panels, 8)

#define DIRECT_TILE_ROW(name, panels) { \
	name##_direct_##panels##_1, name##_direct_##panels##_2, name##_direct_##panels##_3, \
	name##_direct_##panels##_4, name##_direct_##panels##_5, name##_direct_##panels##_6, \
	name##_direct_##panels##_7, name##_direct_##panels##_8, \
}

/* The tiles name##_direct_tiles of a type: of one panel, of FEW_PANELS and of MOST_PANELS, by columns. */
#define FEW_TILES(name, type, beside_amx) \
DIRECT_TILES(name, type, beside_amx, 1) \
DIRECT_TILES(name, type, beside_amx, 2) \
DIRECT_TILE(name, type, beside_amx, 4, 1) \
DIRECT_TILE(name, type, beside_amx, 4, 2) \
DIRECT_TILE(name, type, beside_amx, 4, 3) \
DIRECT_TILE(name, type, beside_amx, 4, 4) \
static const DirectTile name##_direct_tiles[PANEL_COUNTS][TILE_WIDTH] = { \
	DIRECT_TILE_ROW(name, 1), DIRECT_TILE_ROW(name, 2), \
	{name##_direct_4_1, name##_direct_4_2, name##_direct_4_3, name##_direct_4_4} \
};

/* Block b of a stretch: what does not wait for its sums comes first. */
KERNEL_INLINE void
begin_block(Formula formula, int panels, int columns, const StretchScales *scales, const ColumnStretch *x, int b,
			Accumulators *a)
{
#pragma GCC unroll 8
	for (int c = 0; c < columns; c++)
#pragma GCC unroll 4
		for (int p = 0; p < panels; p++)
		{
			a->block[p][c] = start_of_block(formula, &scales[p].blocks[b], &x[c], b);
			a->sum[p][c] = add_minimums(formula, &scales[p].blocks[b], &x[c], b, a->sum[p][c]);
		}
}

KERNEL_INLINE void
end_block(int panels, int columns, const StretchScales *scales, const ColumnStretch *x, int b, Accumulators *a)
{
#pragma GCC unroll 8
	for (int c = 0; c < columns; c++)
#pragma GCC unroll 4
		for (int p = 0; p < panels; p++)
			a->sum[p][c] = add_block(a->block[p][c], &scales[p].blocks[b], &x[c], b, a->sum[p][c]);
}

/* The sums of group `at` or of one half of it. */
KERNEL_INLINE void
add_part(Formula formula, int panels, int columns, __m512i sum[][TILE_WIDTH], const StretchScales *scales,
		 const ColumnStretch *x, int at, int half, Accumulators *a)
{
#pragma GCC unroll 8
	for (int c = 0; c < columns; c++)
#pragma GCC unroll 4
		for (int p = 0; p < panels; p++)
		{
			if (is_of_blocks(formula))
				a->block[p][c] = add_to_block(formula, sum[p][c],
											  scales[p].blocks[at / SCALE_GROUPS].scale[at % SCALE_GROUPS][half],
											  a->block[p][c]);
			else
				a->sum[p][c] = add_group(formula, sum[p][c], scales[p].groups + at * scale_vectors(formula) * 16,
										 &x[c].d[at], &x[c].sums.of_groups[at], a->sum[p][c]);
		}
}

/*
 * Are there so few sums that those of first halves stay in registers until those of second halves are there?  Then one VPDPWSSD
 * adds both.  Only Q2_K gains by it.
 */
KERNEL_INLINE bool
adds_pairs(Formula formula, int panels, int columns)
{
	return formula == FORMULA_BLOCK_HALVES_MINIMUM && panels * columns <= PAIRED_SUMS;
}

/* The sums of both halves of group `at`. */
KERNEL_INLINE void
add_pairs(Formula formula, int panels, int columns, __m512i sums[][MOST_PANELS][TILE_WIDTH], const StretchScales *scales, int at,
		  Accumulators *a)
{
#pragma GCC unroll 8
	for (int c = 0; c < columns; c++)
#pragma GCC unroll 4
		for (int p = 0; p < panels; p++)
		{
			const int32_t *pairs = scales[p].blocks[at / SCALE_GROUPS].scale[at % SCALE_GROUPS][0];
			__m512i		both = _mm512_mask_blend_epi16(0xaaaaaaaa, sums[0][p][c], _mm512_slli_epi32(sums[1][p][c], 16));

			a->block[p][c] = add_to_block(formula, both, pairs, a->block[p][c]);
		}
}

/*
 * Group `at` of a stretch, whose codes are at group[p]: `panels` panels times `columns` columns.  Quads are the outer
 * loop, so that neighbouring instructions belong to different sums and need not wait for each other.  in_pairs: the scales are.
 */
KERNEL_INLINE void
group_step(Formula formula, LlmTensorType code_type, bool in_pairs, int panels, int columns, const uint8_t **group,
		   const StretchScales *scales, const ColumnStretch *x, int at, Accumulators *a)
{
	const int	quads = has_halves(formula) ? QUADS / 2 : QUADS;
	__m512i		sums[2][MOST_PANELS][TILE_WIDTH];

#pragma GCC unroll 8
	for (int q = 0; q < QUADS; q++)
	{
		__m512i		(*sum)[TILE_WIDTH] = sums[q / quads];
		__m512i		code[MOST_PANELS];

#pragma GCC unroll 4
		for (int p = 0; p < panels; p++)
		{
			if (q == QUADS / 2)
				group[p] = llm_load_anew(group[p]);
			code[p] = unpack_code(code_type, group[p], q);
		}
#pragma GCC unroll 8
		for (int c = 0; c < columns; c++)
		{
			__m512i		dword = broadcast_dword(&x[c].q[at * LLM_GROUP + 4 * q]);

			if (q % quads == 0)
			{
				__m512i		start = !has_offset(formula) ? _mm512_setzero_si512() :
					broadcast_dword(&x[c].start[q / quads][at]);

#pragma GCC unroll 4
				for (int p = 0; p < panels; p++)
					sum[p][c] = start;
			}
#pragma GCC unroll 4
			for (int p = 0; p < panels; p++)
				sum[p][c] = _mm512_dpbusd_epi32(sum[p][c], code[p], dword);
		}
		if (q % quads == quads - 1 && !in_pairs)
			add_part(formula, panels, columns, sum, scales, x, at, q / quads, a);
	}
	if (in_pairs)
		add_pairs(formula, panels, columns, sums, scales, at, a);
}

/*
 * Are the codes nibbles and nothing else, and the columns so few that it pays to save what unpacking them takes?
 * Not measured on processors with AMX.
 */
KERNEL_INLINE bool
takes_nibbles_in_place(LlmTensorType type, bool beside_amx, int columns)
{
	return !beside_amx && columns <= NIBBLE_COLUMNS && layout_of(type).low_bits == 4 && layout_of(type).high_bits == 0;
}

/* The same group_step for them: upper nibbles stay where they are, and their sum is divided by 16 in the end. */
KERNEL_INLINE void
nibble_step(Formula formula, int panels, int columns, const uint8_t *const *group, const StretchScales *scales,
			const ColumnStretch *x, int at, Accumulators *a)
{
	const __m512i nibble = _mm512_set1_epi8(0x0f);
	__m512i		sum[MOST_PANELS][TILE_WIDTH];
	__m512i		upper_sum[MOST_PANELS][TILE_WIDTH];

#pragma GCC unroll 4
	for (int q = 0; q < QUADS / 2; q++)
	{
		__m512i		lower[MOST_PANELS];
		__m512i		upper[MOST_PANELS];

#pragma GCC unroll 4
		for (int p = 0; p < panels; p++)
		{
			__m512i		codes = _mm512_loadu_si512(group[p] + q * 64);

			lower[p] = _mm512_and_si512(codes, nibble);
			upper[p] = _mm512_andnot_si512(nibble, codes);
		}
#pragma GCC unroll 2
		for (int c = 0; c < columns; c++)
		{
			const int8_t *column = x[c].q + at * LLM_GROUP + 4 * q;
			__m512i		start = !has_offset(formula) ? _mm512_setzero_si512() : broadcast_dword(&x[c].start[0][at]);

#pragma GCC unroll 4
			for (int p = 0; p < panels; p++)
			{
				sum[p][c] = _mm512_dpbusd_epi32(q == 0 ? start : sum[p][c], lower[p], broadcast_dword(column));
				upper_sum[p][c] = _mm512_dpbusd_epi32(q == 0 ? _mm512_setzero_si512() : upper_sum[p][c], upper[p],
													  broadcast_dword(column + LLM_GROUP / 2));
			}
		}
	}
#pragma GCC unroll 2
	for (int c = 0; c < columns; c++)
#pragma GCC unroll 4
		for (int p = 0; p < panels; p++)
			sum[p][c] = _mm512_add_epi32(sum[p][c], _mm512_srai_epi32(upper_sum[p][c], 4));
	add_part(formula, panels, columns, sum, scales, x, at, 0, a);
}

KERNEL_INLINE void
load_accumulators(int panels, int columns, bool is_first, const float *y, int64_t y_stride, Accumulators *a)
{
#pragma GCC unroll 4
	for (int p = 0; p < panels; p++)
#pragma GCC unroll 8
		for (int c = 0; c < columns; c++)
			a->sum[p][c] = is_first ? _mm512_setzero_ps() : _mm512_loadu_ps(y + c * y_stride + p * LLM_PANEL_ROWS);
}

KERNEL_INLINE void
store_accumulators(int panels, int columns, float *y, int64_t y_stride, const Accumulators *a)
{
#pragma GCC unroll 4
	for (int p = 0; p < panels; p++)
#pragma GCC unroll 8
		for (int c = 0; c < columns; c++)
			_mm512_storeu_ps(y + c * y_stride + p * LLM_PANEL_ROWS, a->sum[p][c]);
}

/*
 * A run: the groups whose scales are unpacked at once, and so far ahead weights are fetched.  While scales are unpacked
 * nothing is fetched, so that runs are short; but with more columns those of two blocks, a whole stretch, are quicker.
 * Q8_0's groups have so many bytes that for few columns fewer are far enough: four, or one beside tiles of AMX.
 */
KERNEL_INLINE int
groups_of_run(LlmTensorType type, bool beside_amx, int columns)
{
	if (type == LLM_Q8_0 && columns <= (beside_amx ? 2 : NARROW_TILE))
		return beside_amx ? 1 : 4;
	return is_of_blocks(formula_of(type)) && columns > SHORT_RUN_COLUMNS ? STRETCH_GROUPS : SCALE_GROUPS;
}

/*
 * So few columns that a panel is read the fastest as it lies in memory, one at a time, with nothing fetched (see read_lines), as
 * measured on Zen 4 and, where the first level is the one to fetch into, on Zen 5; not measured on processors with AMX.
 */
KERNEL_INLINE int
stream_columns(LlmTensorType type, bool beside_amx, bool to_first_level)
{
	if (beside_amx || (to_first_level && type != LLM_Q4_0))
		return 0;
	switch (type)
	{
		case LLM_Q8_0:
		case LLM_Q5_K:
		case LLM_Q6_K:
			return 1;
		default:
			return 2;
	}
}

/* Panels that are multiplied at once. */
KERNEL_INLINE int
panels_at_once(LlmTensorType type, bool beside_amx, bool to_first_level, int columns)
{
	const bool	many_bytes = type == LLM_Q8_0 && beside_amx;

	if (columns <= stream_columns(type, beside_amx, to_first_level))
		return 1;
	return columns <= NARROW_TILE && !many_bytes && type != LLM_Q6_K ? MOST_PANELS : FEW_PANELS;
}

/* A run that begins at group `at` of its stretch: unpack its blocks' scales.  Those of groups are unpacked with their group. */
KERNEL_INLINE void
begin_run(LlmTensorType type, bool in_pairs, int panels, const uint8_t *const *panel, int64_t group, int at, int count, StretchScales *scales)
{
	for (int p = 0; is_of_blocks(formula_of(type)) && p < panels; p++)
		unpack_blocks(type, in_pairs, panel[p], group, count, &scales[p].blocks[at / SCALE_GROUPS]);
}

/* Of the run that begins with this group: the scales of its blocks. */
KERNEL_INLINE void
fetch_scales(LlmTensorType type, bool to_first_level, int panels, int run_groups, const uint8_t *const *panel, int64_t group)
{
	for (int p = 0; is_of_blocks(formula_of(type)) && p < panels; p++)
		for (int g = 0; g < run_groups; g += SCALE_GROUPS)
			prefetch_block_scales(type, to_first_level, panel[p], group + g);
}

/* The same, with one branch for all of their lines. */
KERNEL_INLINE void
fetch_run(LlmTensorType type, bool to_first_level, int panels, int run_groups, const uint8_t *const *panel, int64_t group)
{
	if (to_first_level)
		fetch_scales(type, true, panels, run_groups, panel, group);
	else
		fetch_scales(type, false, panels, run_groups, panel, group);
}

/* Fetch a group of each panel, with one branch for all of its lines. */
KERNEL_INLINE void
fetch_group(LlmTensorType type, bool to_first_level, int panels, const uint8_t *const *panel, int64_t group)
{
	if (to_first_level)
		for (int p = 0; p < panels; p++)
			prefetch_group(type, true, panel[p], group);
	else
		for (int p = 0; p < panels; p++)
			prefetch_group(type, false, panel[p], group);
}

/* Group `at` of its stretch: unpack its scales, unless a block's are. */
KERNEL_INLINE void
begin_group(LlmTensorType type, const uint8_t *panel, int64_t group, int at, StretchScales *scales)
{
	const Formula formula = formula_of(type);

	if (!is_of_blocks(formula))
		unpack_group_scales(type, panel, group, 1, scales->groups + at * scale_vectors(formula) * 16);
}

KERNEL_INLINE void
direct_tile(LlmTensorType type, bool beside_amx, int panels, int columns, const uint8_t *const *panel,
			const uint8_t *const *next, const ColumnStretch *x, int64_t first_group,
			int64_t groups, bool is_first, bool to_first_level, float *y, int64_t y_stride)
{
	const Formula formula = formula_of(type);
	const int	run_groups = groups_of_run(type, beside_amx, columns);

	/* one panel, and so few columns that some processor reads it as it lies */
	const bool	streams = panels == 1 && columns <= stream_columns(type, beside_amx, false);
	const bool	in_place = takes_nibbles_in_place(type, beside_amx, columns);
	const bool	in_pairs = adds_pairs(formula, panels, columns);
	StretchScales scales[MOST_PANELS];
	Accumulators a;

	load_accumulators(panels, columns, is_first, y, y_stride, &a);
	for (int64_t done = 0; done < groups; done += run_groups)
	{
		const int64_t first = first_group + done;
		const int	place = run_groups == STRETCH_GROUPS ? 0 : (int) (done % STRETCH_GROUPS);
		const int	end = place + (groups - done < run_groups ? (int) (groups - done) : run_groups);
		const bool	is_last = groups - done <= run_groups;
		const uint8_t *const *ahead = is_last ? next : panel;
		const int64_t ahead_first = is_last ? first_group : first + run_groups;

		begin_run(type, in_pairs, panels, panel, first, place, end - place, scales);
		if (!streams)
			fetch_run(type, to_first_level, panels, run_groups, ahead, ahead_first);
		for (int at = place; at < end;)
		{
			const int	n = is_of_blocks(formula) ? SCALE_GROUPS : end - at;
			const int	block = at / SCALE_GROUPS;

			if (is_of_blocks(formula))
				begin_block(formula, panels, columns, scales, x, block, &a);
			for (int i = 0; i < n; i++, at++)
			{
				const uint8_t *group[MOST_PANELS];

#pragma GCC unroll 4
				for (int p = 0; p < panels; p++)
				{
					group[p] = group_at(type, panel[p], first + at - place);
					begin_group(type, panel[p], first + at - place, at, &scales[p]);
					if (streams && !in_place)
						group[p] = read_lines(type, group[p]);
				}
				if (!streams)
					fetch_group(type, to_first_level, panels, ahead, ahead_first + at - place);
				if (in_place)
					nibble_step(formula, panels, columns, group, scales, x, at, &a);
				else
					group_step(formula, type, in_pairs, panels, columns, group, scales, x, at, &a);
			}
			if (is_of_blocks(formula))
				end_block(panels, columns, scales, x, block, &a);
		}
		if (place + run_groups == STRETCH_GROUPS)
			x += columns;
	}
	store_accumulators(panels, columns, y, y_stride, &a);
}

KERNEL_INLINE int
tile_width(int n_cols, int column, int width)
{
	return n_cols - column < width ? n_cols - column : width;
}

/* As tiles of so many columns read them: stretch by stretch. */
KERNEL_INLINE void
copy_columns(LlmTensorType type, const LlmActivations *x, int column, int columns, int64_t first_group, int64_t groups,
			 ColumnStretch *out)
{
	for (int64_t done = 0; done < groups; done += STRETCH_GROUPS)
		for (int c = 0; c < columns; c++)
			copy_column(type, x, column + c, first_group + done, stretch_count(groups - done), out++);
}

/*
 * So many columns as are multiplied straight from the panels, as measured on Zen 4: the more, the less it takes to unpack the
 * type's codes.
 */
KERNEL_INLINE int
few_columns(LlmTensorType type)
{
	switch (type)
	{
		case LLM_Q4_0:
		case LLM_Q4_1:
		case LLM_Q8_0:
			return 64;
		case LLM_Q4_K:
			return 48;
		case LLM_Q3_K:
		case LLM_Q6_K:
			return 16;
		default:
			return 32;
	}
}

/*
 * All columns, of which there are one to few_columns(type).  Where one tile is too narrow, others of about
 * the same width find the panels in the cache.
 */
KERNEL_INLINE void
matmul_few(LlmTensorType type, bool beside_amx, const DirectTile (*tiles)[TILE_WIDTH], const LlmMatrix *w,
		   int32_t first, int32_t last, const LlmActivations *x, float *y, int64_t y_stride)
{
	const bool	to_first_level = !avx512_prefers_second_level();	/* beside AMX: always */
	const int	n_cols = x->n_cols;
	const int	n_tiles = (n_cols + TILE_WIDTH - 1) / TILE_WIDTH;
	const int	width = (n_cols + n_tiles - 1) / n_tiles;
	const int	most_panels = panels_at_once(type, beside_amx, to_first_level, n_cols);
	const int64_t groups = w->cols / LLM_GROUP;
	const int64_t most = STRETCHES / n_cols * STRETCH_GROUPS;
	ColumnStretch activations[STRETCHES];

	for (int64_t g = 0; g < groups; g += most)
	{
		const int64_t count = groups - g < most ? groups - g : most;
		const int	n_stretches = (int) ((count + STRETCH_GROUPS - 1) / STRETCH_GROUPS);

		for (int column = 0; column < n_cols; column += width)
			copy_columns(type, x, column, tile_width(n_cols, column, width), g, count, activations + column * n_stretches);

		for (int32_t panel = first, panels; panel < last; panel += panels)
		{
			const uint8_t *now[MOST_PANELS];
			const uint8_t *next[MOST_PANELS];

			panels = last - panel >= most_panels ? most_panels : last - panel >= FEW_PANELS ? FEW_PANELS : 1;
			for (int p = 0; p < panels; p++)
			{
				now[p] = panel_at(w, panel + p);
				next[p] = panel_at(w, later_panel(w, panel + panels + p));
			}
			for (int column = 0; column < n_cols; column += width)
				tiles[panels / 2][tile_width(n_cols, column, width) - 1]
					(now, next, activations + column * n_stretches, g, count, g == 0, to_first_level,
					 y + column * y_stride + (int64_t) panel * LLM_PANEL_ROWS, y_stride);
		}
	}
}

#endif							/* LLM_KERNELS_AVX512_FEW_H */
