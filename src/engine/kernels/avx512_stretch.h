/*
 * avx512_stretch.h
 *		Stretches of quantized weights and of activations, for tiles of VPDPBUSD and of AMX.
 *
 * A stretch is a run of groups of a few panels, unpacked to a scratch in the first-level cache,
 * and the same groups of a block of columns, copied in the order in which tiles read them (amx_quantized.c has columns tile
 * by tile, amx_blocks.c reads most of the q where they are).
 * add_group, add_minimums and add_block are what both kinds of tiles do with the exact sums of a group or a block: the one
 * place of the formulas of kernels.h, which is why the two give the same bits.
 */
#ifndef LLM_KERNELS_AVX512_STRETCH_H
#define LLM_KERNELS_AVX512_STRETCH_H

#include <string.h>

#include "engine/kernels/avx512_unpack.h"
#include "engine/kernels/quantized_stretch.h"

#define TILE_PANELS 3			/* most panels in a scratch */

/* The scales of a stretch of one panel. */
typedef union StretchScales
{
	_Alignas(64) float groups[STRETCH_GROUPS * MAX_SCALES * 16];
	BlockScales blocks[STRETCH_BLOCKS];
} StretchScales;

/* A stretch of the panels of a tile, unpacked. */
typedef struct Scratch
{
	_Alignas(64) uint8_t codes[TILE_PANELS][STRETCH_GROUPS * QUADS * 64];	/* whole cache lines */
	StretchScales scales[TILE_PANELS];
} Scratch;

/* --- stretches of weights ------------------------------------------------------ */

/* What tile t of n_tiles fetches of the next tile of panels: the first ones do, each of one of the panels. */
KERNEL_INLINE Fetch
share_of_next(LlmTensorType type, const uint8_t *const *next, int panels, int64_t first, int count, int t, int n_tiles)
{
	const int	p = t % TILE_PANELS;
	const int	part = t / TILE_PANELS;
	const int	parts = n_tiles < 2 * TILE_PANELS ? 1 : n_tiles < 4 * TILE_PANELS ? 2 : 4;

	return p < panels && part < parts ? share_of_stretch(type, next[p], first, count, part, parts) : (Fetch) {0};
}

/* The scales of `count` groups that are whole blocks. */
KERNEL_INLINE void
unpack_blocks(LlmTensorType type, bool in_pairs, const uint8_t *panel, int64_t first, int count, BlockScales *out)
{
	for (int b = 0; b < count / SCALE_GROUPS; b++)
		unpack_block_scales(type, in_pairs, panel, first / SCALE_GROUPS + b, &out[b]);
}

KERNEL_INLINE void
unpack_stretch_scales(LlmTensorType type, const uint8_t *panel, int64_t first, int count,
					  StretchScales *scales)
{
	if (!is_of_blocks(formula_of(type)))
		unpack_group_scales(type, panel, first, count, scales->groups);
	else
		unpack_blocks(type, false, panel, first, count, scales->blocks);
}

/* A group's codes as bytes, less their offset where the tiles want them signed. */
KERNEL_INLINE void
unpack_codes(LlmTensorType type, bool is_signed, const uint8_t *group, uint8_t *codes)
{
	const __m512i offset = _mm512_set1_epi8((char) (1 << offset_shift(type)));
	const bool	subtract = is_signed && offset_shift(type) > 0;

#pragma GCC unroll 8
	for (int q = 0; q < QUADS; q++)
	{
		__m512i		code = unpack_code(type, group, q);

		_mm512_store_si512(codes + q * 64, subtract ? _mm512_sub_epi8(code, offset) : code);
	}
}

KERNEL_INLINE void
unpack_stretch(LlmTensorType type, const uint8_t *panel, int64_t first, int count,
			   uint8_t *codes, StretchScales *scales)
{
	unpack_stretch_scales(type, panel, first, count, scales);
	for (int g = 0; g < count; g++)
		unpack_codes(type, false, group_at(type, panel, first + g), codes + g * QUADS * 64);
}

/* A stretch of `panels` panels from `panel` on to the scratch; next: the panels that come after them. */
KERNEL_INLINE void
unpack_panels(LlmTensorType type, const LlmMatrix *w, int32_t panel, int panels, int64_t first, int count, Scratch *scratch,
			  const uint8_t **next)
{
	for (int p = 0; p < panels; p++)
	{
		unpack_stretch(type, panel_at(w, panel + p), first, count, scratch->codes[p], &scratch->scales[p]);
		next[p] = panel_at(w, later_panel(w, panel + panels + p));
	}
}

/* --- activations ------------------------------------------------------------- */

/* What the sum of codes times q is started with. */
KERNEL_INLINE __m512i
negative_offset(LlmTensorType type, __m512i sum)
{
	return _mm512_sub_epi32(_mm512_setzero_si512(),
							_mm512_slli_epi32(sum, (unsigned int) offset_shift(type)));
}

/* The numbers of groups first .. first + count - 1 of a column; tiles of AMX need no starts. */
KERNEL_INLINE void
copy_numbers(LlmTensorType type, bool with_starts, const LlmActivations *x, int32_t column, int64_t first, int count,
			 ColumnStretch *out)
{
	const Formula formula = formula_of(type);
	const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
	const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
	const int32_t *sum = x->sum16 + (int64_t) column * (x->width / 16) + first * 2;
	__m512i		low = _mm512_maskz_loadu_epi32(avx512_first_lanes(2 * count), sum);
	__m512i		high = _mm512_maskz_loadu_epi32(avx512_first_lanes(count < 8 ? 0 : 2 * count - 16),
												sum + 16);
	__m512i		half0 = _mm512_permutex2var_epi32(low, even, high);
	__m512i		half1 = _mm512_permutex2var_epi32(low, odd, high);
	__m512i		both = _mm512_add_epi32(half0, half1);
	__m512		d = _mm512_maskz_loadu_ps(avx512_first_lanes(count), x->d + (int64_t) column * (x->width / 32) + first);

	if (is_of_blocks(formula))
		d = _mm512_permutexvar_ps(_mm512_set1_epi64((int64_t) SCALE_GROUPS << 32), d);
	_mm512_store_ps(out->d, d);

	if (formula == FORMULA_MINIMUM)
		_mm512_store_ps(out->sums.of_groups, _mm512_mul_ps(d, _mm512_cvtepi32_ps(both)));
	else if (formula == FORMULA_BLOCK_HALVES_MINIMUM)
		_mm512_store_si512(out->sums.pairs, _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi32_epi16(low)),
															   _mm512_cvtepi32_epi16(high), 1));
	else if (has_minimum(formula))
		_mm256_store_si256((__m256i *) out->sums.pairs, _mm512_cvtepi32_epi16(both));

	if (!with_starts || !has_offset(formula))
		return;
	_mm512_store_si512(out->start[0], negative_offset(type, has_halves(formula) ? half0 : both));
	if (has_halves(formula))
		_mm512_store_si512(out->start[1], negative_offset(type, half1));
}

/* Those groups, with their q. */
KERNEL_INLINE void
copy_column(LlmTensorType type, const LlmActivations *x, int32_t column, int64_t first, int count,
			ColumnStretch *out)
{
	copy_numbers(type, true, x, column, first, count, out);
	for (int g = 0; g < count; g++)
		_mm256_store_si256((__m256i *) (out->q + g * LLM_GROUP),
						   _mm256_loadu_si256((const __m256i *) (x->q + (int64_t) column * x->width +
																 (first + g) * LLM_GROUP)));
}

/* --- the formulas ------------------------------------------------------------- */

KERNEL_INLINE __m512i
broadcast_dword(const void *p)
{
	int32_t		value;

	memcpy(&value, p, sizeof(value));
	return _mm512_set1_epi32(value);
}

KERNEL_INLINE __m512
broadcast_float(const void *p)
{
	float		value;

	memcpy(&value, p, sizeof(value));
	return _mm512_set1_ps(value);
}

/*
 * One column's accumulator a, after a group has been added: sum is the sum of codes
 * times q of the group, less the offset's part; s its scale vectors; d and x_sum, for minimums, the column's numbers.
 */
KERNEL_INLINE __m512
add_group(Formula formula, __m512i sum, const float *s, const float *d, const float *x_sum, __m512 a)
{
	a = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(_mm512_load_ps(s), broadcast_float(d)), a);
	if (formula == FORMULA_MINIMUM)
		a = _mm512_fmadd_ps(_mm512_load_ps(s + 16), broadcast_float(x_sum), a);
	return a;
}

/* What a block's sum starts with: what the offsets have taken away that its codes lend. */
KERNEL_INLINE __m512i
start_of_block(Formula formula, const BlockScales *s, const ColumnStretch *x, int b)
{
	const int	pairs = SCALE_GROUPS / 2;
	__m512i		u = _mm512_setzero_si512();

	if (lends_offset(formula))
#pragma GCC unroll 4
		for (int i = 0; i < pairs; i++)
			u = _mm512_dpwssd_epi32(u, _mm512_load_si512(s->offsets[i]), broadcast_dword(&x->sums.pairs[b * pairs + i]));
	return u;
}

/* A block's sum u, after the sum of a group or of one half, whose scale is s, has been added; or pairs of the halves' sums. */
KERNEL_INLINE __m512i
add_to_block(Formula formula, __m512i sum, const int32_t *s, __m512i u)
{
	const __m512i scale = _mm512_load_si512(s);

	return has_wide_sums(formula) ? _mm512_add_epi32(u, _mm512_mullo_epi32(sum, scale)) : _mm512_dpwssd_epi32(u, sum, scale);
}

/* A column's accumulator a, after the minimums of block b of a stretch have been added, if there are any. */
KERNEL_INLINE __m512
add_minimums(Formula formula, const BlockScales *s, const ColumnStretch *x, int b, __m512 a)
{
	const int	pairs = has_halves(formula) ? SCALE_GROUPS : SCALE_GROUPS / 2;
	__m512i		v = _mm512_setzero_si512();

	if (!has_minimum(formula))
		return a;
#pragma GCC unroll 8
	for (int i = 0; i < pairs; i++)
		v = _mm512_dpwssd_epi32(v, _mm512_load_si512(s->minimums[i]), broadcast_dword(&x->sums.pairs[b * pairs + i]));
	return _mm512_fmadd_ps(_mm512_mul_ps(_mm512_load_ps(s->minimum), _mm512_cvtepi32_ps(v)), broadcast_float(&x->d[b]), a);
}

/* Thereafter: u is the sum of scales times codes times q. */
KERNEL_INLINE __m512
add_block(__m512i u, const BlockScales *s, const ColumnStretch *x, int b, __m512 a)
{
	return _mm512_fmadd_ps(_mm512_mul_ps(_mm512_load_ps(s->d), _mm512_cvtepi32_ps(u)), broadcast_float(&x->d[b]), a);
}

#endif							/* LLM_KERNELS_AVX512_STRETCH_H */
