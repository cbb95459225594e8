/*
 * avx2_product.h
 *		Matrix products with quantized weights on vectors of eight rows: the template of two kernel sets.
 *
 * avx2_quantized.c multiplies by VPMADDUBSW, whose sums of int16 hold a run of a few quads, avxvnni_quantized.c by
 * VPDPBUSD.  Sums of integers are exact either way, so both have the same bits.
 *
 *	 few columns:	one tile, whose codes are unpacked as they are needed.
 *	 many columns:	a stretch of one panel is unpacked to a scratch in the first-level cache and then used by all tiles of
 *					a block of columns.
 *
 * In both cases the columns' activations are first copied in the order in which the tiles read them, and the weights that
 * come next are prefetched, unless a tile has very few columns.  An output's own operations are the same on every way, so
 * its bits are too; between stretches the sums rest in y, which loses nothing.
 */
#ifndef LLM_KERNELS_AVX2_PRODUCT_H
#define LLM_KERNELS_AVX2_PRODUCT_H

#include <string.h>

#include "engine/kernels/avx2_unpack.h"

#ifdef __AVXVNNI__
#define HAS_VNNI true
#else
#define HAS_VNNI false
#endif

#define TILE_COLUMNS 4			/* of both halves of a panel: their sums fill half of the registers */
#define STREAM_COLUMNS 3		/* so few that nothing is fetched (Zen 4) */
#define MAX_CODE_VECTORS (2 * QUADS)	/* of a group: see code_vectors */
#define STRETCHES 128			/* room for so many stretches of one column's activations */

/* A stretch of a panel, unpacked. */
typedef struct Scratch
{
	_Alignas(64) uint8_t codes[STRETCH_GROUPS * MAX_CODE_VECTORS * 64];
	StretchScales scales;
} Scratch;

/* What a tile has added up, and what the groups of the block under way have come to. */
typedef struct Accumulators
{
	__m256		sum[HALVES][TILE_COLUMNS];
	__m256i		block[HALVES][TILE_COLUMNS];
} Accumulators;

/* A tile's weights: the panel itself, or the codes of a scratch, which are bytes and whose scales are unpacked. */
typedef struct TileSource
{
	const uint8_t *panel;
	const uint8_t *next;		/* the panel that comes after it */
	const StretchScales *scales;	/* NULL: the panel itself */
	Fetch		fetch;			/* for a scratch */
} TileSource;

/* --- one group ----------------------------------------------------------------- */

KERNEL_INLINE __m256i
broadcast_dword(const void *p)
{
	int32_t		value;

	memcpy(&value, p, sizeof(value));
	return _mm256_set1_epi32(value);
}

KERNEL_INLINE __m256i
load_integers(const int32_t *p)
{
	return _mm256_load_si256((const __m256i *) p);
}

/*
 * Vectors of codes that a group's quads are multiplied with.  Products with codes of 8 bits would overflow int16: without VNNI
 * those of Q8_0 come twice, with the low and with the high four bits.
 */
KERNEL_INLINE int
code_vectors(LlmTensorType type)
{
	return type == LLM_Q8_0 && !HAS_VNNI ? 2 * QUADS : QUADS;
}

/* Vector i of a group of the panel itself. */
KERNEL_INLINE __m256i
code_vector(LlmTensorType type, const uint8_t *group, int half, int i)
{
	__m256i		codes = quad_codes(type, group + half * 32, i % QUADS);

	if (code_vectors(type) == QUADS)
		return codes;
	return _mm256_and_si256(shift_bits(codes, i / QUADS * 4, 0), _mm256_set1_epi8(15));
}

/*
 * Quads of one run.  VPMADDUBSW: how many int16 hold, to whose two sums each adds at most 127 * (the greatest code).
 * VPDPBUSD: all that share a scale, or as many as VPDPWSSD takes, which wants sums of int16.
 */
KERNEL_INLINE int
quads_of_run(LlmTensorType type)
{
	switch (type)
	{
		case LLM_Q2_K:			/* halves of groups */
		case LLM_Q3_K:
			return 4;
		case LLM_Q4_K:			/* 16 * 127 * 15 = 30480 */
			return HAS_VNNI ? 4 : 8;
		case LLM_Q5_0:			/* 8 * 127 * 31 = 31496 */
		case LLM_Q5_1:
		case LLM_Q5_K:
			return HAS_VNNI ? 8 : 4;
		case LLM_Q6_K:			/* 4 * 127 * 63 = 32004 */
			return HAS_VNNI ? 4 : 2;
		default:				/* 16 * 127 * 15 */
			return 8;
	}
}

/*
 * a + b in int16, hidden from the compiler, which would turn a chain of
 * such sums into a tree and spill what that keeps alive.
 */
KERNEL_INLINE __m256i
add_in_order(__m256i a, __m256i b)
{
	__m256i		sum = _mm256_add_epi16(a, b);

	__asm__("" : "+x"(sum));
	return sum;
}

/* A run's products, after a quad has been added: int16 in pairs, or int32. */
KERNEL_INLINE __m256i
add_quad(bool is_first, __m256i products, __m256i codes, __m256i activations)
{
#ifdef __AVXVNNI__
	(void) is_first;
	return _mm256_dpbusd_avx_epi32(products, codes, activations);
#else
	__m256i		quad = _mm256_maddubs_epi16(codes, activations);

	return is_first ? quad : add_in_order(products, quad);
#endif
}

/* What a run of int32 products begins with. */
KERNEL_INLINE __m256i
begin_products(Formula formula, const ColumnStretch *x, int at)
{
	return HAS_VNNI && formula == FORMULA_SYMMETRIC ? broadcast_dword(&x->start[0][at]) : _mm256_setzero_si256();
}

/* The sum of a group that is all, of which this run is the first or another one. */
KERNEL_INLINE __m256i
add_run(Formula formula, bool is_first, __m256i products, int factor, const ColumnStretch *x, int at, __m256i sum)
{
	if (HAS_VNNI)
		return products;
	products = _mm256_madd_epi16(products, _mm256_set1_epi16((int16_t) factor));
	if (!is_first)
		return _mm256_add_epi32(sum, products);
	return formula == FORMULA_SYMMETRIC ? _mm256_add_epi32(broadcast_dword(&x->start[0][at]), products) : products;
}

/* A block's sum u, after a run whose scale is s has been added. */
KERNEL_INLINE __m256i
add_to_block(Formula formula, __m256i products, const int32_t *s, __m256i u)
{
	const __m256i scale = load_integers(s);

#ifdef __AVXVNNI__
	if (!is_wide(formula))
		return _mm256_dpwssd_avx_epi32(u, products, scale);
	return _mm256_add_epi32(u, _mm256_mullo_epi32(products, scale));
#else
	(void) formula;
	return _mm256_add_epi32(u, _mm256_madd_epi16(products, scale));
#endif
}

/* Pairs of scales or minimums times those of the sums of q: of block b of a stretch. */
KERNEL_INLINE __m256i
sum_of_pairs(Formula formula, const BlockScales *s, int half, const ColumnStretch *x, int b)
{
	const int	n_pairs = has_halves(formula) ? SCALE_GROUPS : SCALE_GROUPS / 2;
	__m256i		sum = _mm256_setzero_si256();

#pragma GCC unroll 8
	for (int i = 0; i < n_pairs; i++)
	{
		const __m256i pair = load_integers(s->pairs[i] + half * LANES);
		const __m256i sums = broadcast_dword(&x->sums.pairs[b * n_pairs + i]);

#ifdef __AVXVNNI__
		sum = _mm256_dpwssd_avx_epi32(sum, pair, sums);
#else
		sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pair, sums));
#endif
	}
	return sum;
}

/* A column's sum a, after an integer sum has been added. */
KERNEL_INLINE __m256
add_scaled(__m256i sum, const float *scale, const float *d, __m256 a)
{
	return _mm256_fmadd_ps(_mm256_mul_ps(_mm256_load_ps(scale), _mm256_cvtepi32_ps(sum)), _mm256_set1_ps(*d), a);
}

/* The same, as the formulas of groups want it. */
KERNEL_INLINE __m256
add_group_sum(Formula formula, __m256i sum, const float *scale, const ColumnStretch *x, int at, __m256 a)
{
	a = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(_mm256_load_ps(scale), _mm256_set1_ps(x->d[at])), a);
	if (formula == FORMULA_MINIMUM)
		a = _mm256_fmadd_ps(_mm256_load_ps(scale + 16), _mm256_set1_ps(x->sums.of_groups[at]), a);
	return a;
}

/* Block b of a stretch: what does not wait for its products comes first. */
KERNEL_INLINE void
begin_block(Formula formula, int columns, const StretchScales *scales, const ColumnStretch *x, int b, Accumulators *a)
{
	const BlockScales *s = &scales->blocks[b];

#pragma GCC unroll 4
	for (int c = 0; c < columns; c++)
#pragma GCC unroll 2
		for (int half = 0; half < HALVES; half++)
		{
			__m256i		sum = sum_of_pairs(formula, s, half, &x[c], b);

			a->block[half][c] = has_minimum(formula) ? _mm256_setzero_si256() : sum;
			if (has_minimum(formula))
				a->sum[half][c] = add_scaled(sum, s->minimum + half * LANES, &x[c].d[b], a->sum[half][c]);
		}
}

KERNEL_INLINE void
end_block(int columns, const StretchScales *scales, const ColumnStretch *x, int b, Accumulators *a)
{
#pragma GCC unroll 4
	for (int c = 0; c < columns; c++)
#pragma GCC unroll 2
		for (int half = 0; half < HALVES; half++)
			a->sum[half][c] = add_scaled(a->block[half][c], scales->blocks[b].d + half * LANES, &x[c].d[b], a->sum[half][c]);
}

/* Group `at` of a stretch, whose codes are at `group`: both halves times `columns` columns. */
KERNEL_INLINE void
add_group(LlmTensorType type, bool is_unpacked, int columns, const uint8_t *group, const StretchScales *scales,
		  const ColumnStretch *x, int at, Accumulators *a)
{
	const Formula formula = formula_of(type);
	const int	run = quads_of_run(type);
	const int	n_vectors = code_vectors(type);
	__m256i		products[HALVES][TILE_COLUMNS];
	__m256i		sum[HALVES][TILE_COLUMNS];

#pragma GCC unroll 16
	for (int i = 0; i < n_vectors; i++)
	{
		const int	quad = i % QUADS;
		__m256i		codes[HALVES];

		/* Read the activations anew: the compiler would keep the first quads' on the stack. */
		if (i == QUADS)
			__asm__("" : "+r"(x));
		if (i == QUADS / 2)
			group = llm_load_anew(group);
#pragma GCC unroll 2
		for (int half = 0; half < HALVES; half++)
			codes[half] = !is_unpacked ? code_vector(type, group, half, i) :
				_mm256_load_si256((const __m256i *) (group + i * 64 + half * 32));
#pragma GCC unroll 4
		for (int c = 0; c < columns; c++)
		{
			const __m256i dword = broadcast_dword(&x[c].q[at * LLM_GROUP + 4 * quad]);

#pragma GCC unroll 2
			for (int half = 0; half < HALVES; half++)
			{
				if (i % run == 0)
					products[half][c] = begin_products(formula, &x[c], at);
				products[half][c] = add_quad(i % run == 0, products[half][c], codes[half], dword);
			}
		}
		if (i % run != run - 1)
			continue;
#pragma GCC unroll 4
		for (int c = 0; c < columns; c++)
#pragma GCC unroll 2
			for (int half = 0; half < HALVES; half++)
			{
				if (is_of_blocks(formula))
					a->block[half][c] =
						add_to_block(formula, products[half][c],
									 scales->blocks[at / SCALE_GROUPS].scale[at % SCALE_GROUPS]
									 [has_halves(formula) ? i / 4 : 0] + half * LANES, a->block[half][c]);
				else
					sum[half][c] = add_run(formula, i < run, products[half][c], i < QUADS ? 1 : 16,
										   &x[c], at, sum[half][c]);
			}
	}
	if (is_of_blocks(formula))
		return;
#pragma GCC unroll 4
	for (int c = 0; c < columns; c++)
#pragma GCC unroll 2
		for (int half = 0; half < HALVES; half++)
			a->sum[half][c] = add_group_sum(formula, sum[half][c],
											scales->groups + at * scale_vectors(formula) * 16 + half * LANES,
											&x[c], at, a->sum[half][c]);
}

/* --- tiles ----------------------------------------------------------------------- */

/*
 * Add `groups` groups from first_group on to the sums at y.  A scratch is one stretch, and begins with its own group 0.
 */
KERNEL_INLINE void
tile(LlmTensorType type, bool is_unpacked, int columns, const TileSource *source, const ColumnStretch *x,
	 int64_t first_group, int64_t groups, bool is_first, float *y, int64_t y_stride)
{
	const Formula formula = formula_of(type);
	const bool	fetches = !is_unpacked && columns > STREAM_COLUMNS;
	const bool	in_order = !is_unpacked && !fetches && type != LLM_Q8_0;	/* in order anyway */
	StretchScales own_scales;
	const StretchScales *scales = is_unpacked ? source->scales : &own_scales;
	Accumulators a;

#pragma GCC unroll 4
	for (int c = 0; c < columns; c++)
#pragma GCC unroll 2
		for (int half = 0; half < HALVES; half++)
			a.sum[half][c] = is_first ? _mm256_setzero_ps() : _mm256_loadu_ps(y + c * y_stride + half * LANES);

	for (int64_t done = 0; done < groups; done += SCALE_GROUPS)
	{
		const int64_t group = first_group + done;
		const int	at = (int) (done % STRETCH_GROUPS);
		const int	count = groups - done < SCALE_GROUPS ? (int) (groups - done) : SCALE_GROUPS;
		const bool	is_last = groups - done <= SCALE_GROUPS;
		const uint8_t *ahead = is_last ? source->next : source->panel;
		const int64_t ahead_group = is_last ? first_group : group + SCALE_GROUPS;

		if (!is_unpacked && is_of_blocks(formula))
			unpack_block_scales(type, !HAS_VNNI, source->panel, group / SCALE_GROUPS, &own_scales.blocks[at / SCALE_GROUPS]);
		if (fetches && is_of_blocks(formula))
			prefetch_block_scales(type, FETCH_TO_FIRST_LEVEL, ahead, ahead_group);
		if (is_of_blocks(formula))
			begin_block(formula, columns, scales, x, at / SCALE_GROUPS, &a);
		for (int g = 0; g < count; g++)
		{
			const uint8_t *codes = is_unpacked ? source->panel + (group + g) * code_vectors(type) * 64 :
				group_at(type, source->panel, group + g);

			if (is_unpacked)
				for (int i = 0; i < source->fetch.lines; i++)
					_mm_prefetch((const char *) source->fetch.bytes + (done + g) * source->fetch.stride + i * 64, AHEAD);
			else if (!is_of_blocks(formula))
				unpack_group_scales(type, source->panel, group + g, 1, own_scales.groups + (at + g) * scale_vectors(formula) * 16);
			if (fetches)
				prefetch_group(type, FETCH_TO_FIRST_LEVEL, ahead, ahead_group + g);
			if (in_order)
				codes = read_lines(type, codes);
			add_group(type, is_unpacked, columns, codes, scales, x, at + g, &a);
		}
		if (is_of_blocks(formula))
			end_block(columns, scales, x, at / SCALE_GROUPS, &a);
		if (at + SCALE_GROUPS == STRETCH_GROUPS)
			x += columns;
	}

#pragma GCC unroll 4
	for (int c = 0; c < columns; c++)
#pragma GCC unroll 2
		for (int half = 0; half < HALVES; half++)
			_mm256_storeu_ps(y + c * y_stride + half * LANES, a.sum[half][c]);
}

KERNEL_INLINE void
tile_of(LlmTensorType type, bool is_unpacked, int columns, const TileSource *source, const ColumnStretch *x,
		int64_t first_group, int64_t groups, bool is_first, float *y, int64_t y_stride)
{
	switch (columns)
	{
		case 1:
			tile(type, is_unpacked, 1, source, x, first_group, groups, is_first, y, y_stride);
			break;
		case 2:
			tile(type, is_unpacked, 2, source, x, first_group, groups, is_first, y, y_stride);
			break;
		case 3:
			tile(type, is_unpacked, 3, source, x, first_group, groups, is_first, y, y_stride);
			break;
		default:
			tile(type, is_unpacked, 4, source, x, first_group, groups, is_first, y, y_stride);
			break;
	}
}

/* --- the loops around them --------------------------------------------------------- */

/* Groups first .. first + count - 1 of a column. */
KERNEL_INLINE void
copy_column(LlmTensorType type, const LlmActivations *x, int32_t column, int64_t first, int count, ColumnStretch *out)
{
	const Formula formula = formula_of(type);
	const int32_t *sum = x->sum16 + (int64_t) column * (x->width / 16) + first * 2;
	const float *d = x->d + (int64_t) column * (x->width / LLM_GROUP) + first;

	memcpy(out->q, x->q + (int64_t) column * x->width + first * LLM_GROUP, (size_t) count * LLM_GROUP);
	if (is_of_blocks(formula))
	{
		const int	halves = has_halves(formula) ? 1 : 2;	/* in each int16 */

		for (int b = 0; b < count / SCALE_GROUPS; b++)
			out->d[b] = d[b * SCALE_GROUPS];
		for (int i = 0; i < count / halves; i++)
		{
			int32_t		lower = halves == 1 ? sum[2 * i] : sum[4 * i] + sum[4 * i + 1];
			int32_t		upper = halves == 1 ? sum[2 * i + 1] : sum[4 * i + 2] + sum[4 * i + 3];

			out->sums.pairs[i] = (int32_t) ((uint32_t) lower & 0xffff) | (int32_t) ((uint32_t) upper << 16);
		}
		return;
	}
	for (int g = 0; g < count; g++)
	{
		int32_t		both = sum[2 * g] + sum[2 * g + 1];

		out->d[g] = d[g];
		if (formula == FORMULA_MINIMUM)
			out->sums.of_groups[g] = d[g] * (float) both;
		else
			out->start[0][g] = -layout_of(type).offset * both;
	}
}

/* As a tile of so many columns reads them: stretch by stretch. */
KERNEL_INLINE void
copy_columns(LlmTensorType type, const LlmActivations *x, int columns, int64_t first_group, int64_t groups,
			 ColumnStretch *out)
{
	for (int64_t done = 0; done < groups; done += STRETCH_GROUPS)
		for (int c = 0; c < columns; c++)
			copy_column(type, x, c, first_group + done, stretch_count(groups - done), out++);
}

/* All columns, of which there are one to TILE_COLUMNS. */
KERNEL_INLINE void
matmul_few(LlmTensorType type, const LlmMatrix *w, int32_t first, int32_t last, const LlmActivations *x,
		   float *y, int64_t y_stride)
{
	const int64_t groups = w->cols / LLM_GROUP;
	const int64_t most = STRETCHES / x->n_cols * STRETCH_GROUPS;
	ColumnStretch activations[STRETCHES];

	for (int64_t g = 0; g < groups; g += most)
	{
		const int64_t count = groups - g < most ? groups - g : most;

		copy_columns(type, x, x->n_cols, g, count, activations);
		for (int32_t panel = first; panel < last; panel++)
		{
			TileSource	source = {
				.panel = panel_at(w, panel),
				.next = panel_at(w, later_panel(w, panel + 1))
			};

			tile_of(type, false, x->n_cols, &source, activations, g, count, g == 0,
					y + (int64_t) panel * LLM_PANEL_ROWS, y_stride);
		}
	}
}

/* A stretch of a panel to the scratch. */
KERNEL_INLINE void
unpack_stretch(LlmTensorType type, const uint8_t *panel, int64_t first, int count, Scratch *scratch)
{
	const Formula formula = formula_of(type);

	if (is_of_blocks(formula))
		for (int b = 0; b < count / SCALE_GROUPS; b++)
			unpack_block_scales(type, !HAS_VNNI, panel, first / SCALE_GROUPS + b, &scratch->scales.blocks[b]);
	else
		unpack_group_scales(type, panel, first, count, scratch->scales.groups);
	for (int g = 0; g < count; g++)
	{
#pragma GCC unroll 16
		for (int i = 0; i < code_vectors(type); i++)
#pragma GCC unroll 2
			for (int half = 0; half < HALVES; half++)
				_mm256_store_si256((__m256i *) (scratch->codes + (g * code_vectors(type) + i) * 64 + half * 32),
								   code_vector(type, group_at(type, panel, first + g), half, i));
	}
}

/* Columns column .. column + columns - 1, at most BLOCK_COLUMNS, by way of the scratch. */
KERNEL_INLINE void
matmul_block(LlmTensorType type, const LlmMatrix *w, int32_t first, int32_t last, const LlmActivations *x,
			 int32_t column, int columns, float *y, int64_t y_stride)
{
	const int64_t groups = w->cols / LLM_GROUP;
	const int	n_tiles = (columns + TILE_COLUMNS - 1) / TILE_COLUMNS;
	ColumnStretch activations[BLOCK_COLUMNS];
	Scratch		scratch;

	for (int64_t g = 0; g < groups; g += STRETCH_GROUPS)
	{
		const int	count = stretch_count(groups - g);

		for (int c = 0; c < columns; c++)
			copy_column(type, x, column + c, g, count, &activations[c]);
		for (int32_t panel = first; panel < last; panel++)
		{
			const uint8_t *next = panel_at(w, later_panel(w, panel + 1));
			TileSource	source = {.panel = scratch.codes, .scales = &scratch.scales};

			unpack_stretch(type, panel_at(w, panel), g, count, &scratch);
			for (int t = 0, c = 0, width; t < n_tiles; t++, c += width)
			{
				width = (columns - c) / (n_tiles - t);
				source.fetch = share_of_stretch(type, next, g, count, t, n_tiles);
				tile_of(type, true, width, &source, activations + c, 0, count, g == 0,
						y + (column + c) * y_stride + (int64_t) panel * LLM_PANEL_ROWS, y_stride);
			}
		}
	}
}

KERNEL_INLINE void
quantized_matmul(LlmTensorType type, const LlmMatrix *w, int32_t first, int32_t last, const LlmActivations *x,
				 float *y, int64_t y_stride)
{
	if (x->n_cols <= 0)
		return;
	if (x->n_cols <= TILE_COLUMNS)
	{
		matmul_few(type, w, first, last, x, y, y_stride);
		return;
	}
	for (int32_t column = 0; column < x->n_cols; column += BLOCK_COLUMNS)
		matmul_block(type, w, first, last, x, column,
					 x->n_cols - column < BLOCK_COLUMNS ? x->n_cols - column : BLOCK_COLUMNS, y, y_stride);
}

/* The products of a kernel set, by type. */
#define DEFINE_MATMUL(set, name, type) \
void \
llm_##set##_matmul_##name(const LlmMatrix *w, int32_t first, int32_t last, \
						  const LlmActivations *x, float *y, int64_t y_stride) \
{ \
	quantized_matmul(type, w, first, last, x, y, y_stride); \
}

#define DEFINE_QUANTIZED_MATMULS(set) \
DEFINE_MATMUL(set, q4_0, LLM_Q4_0) \
DEFINE_MATMUL(set, q4_1, LLM_Q4_1) \
DEFINE_MATMUL(set, q5_0, LLM_Q5_0) \
DEFINE_MATMUL(set, q5_1, LLM_Q5_1) \
DEFINE_MATMUL(set, q8_0, LLM_Q8_0) \
DEFINE_MATMUL(set, q2_k, LLM_Q2_K) \
DEFINE_MATMUL(set, q3_k, LLM_Q3_K) \
DEFINE_MATMUL(set, q4_k, LLM_Q4_K) \
DEFINE_MATMUL(set, q5_k, LLM_Q5_K) \
DEFINE_MATMUL(set, q6_k, LLM_Q6_K)

#endif							/* LLM_KERNELS_AVX2_PRODUCT_H */
