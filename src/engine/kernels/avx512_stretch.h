/*
 * avx512_stretch.h
 *		Stretches of quantized weights and of activations, for tiles of VPDPBUSD and of AMX.
 *
 * A stretch is a run of groups of a few panels, unpacked to a scratch in the first-level cache,
 * and the same groups of a block of columns, copied in the order in which tiles read them.
 * add_group is what both kinds of tiles do with the exact sums of a group: the one place of
 * the formulas of kernels.h, which is why the two give the same bits.
 */
#ifndef LLM_KERNELS_AVX512_STRETCH_H
#define LLM_KERNELS_AVX512_STRETCH_H

#include <string.h>

#include "engine/kernels/avx512_unpack.h"

#define TILE_PANELS 3			/* most panels in a scratch */
#define BLOCK_COLUMNS 128		/* columns that share one unpacked stretch */
#define STRETCH_GROUPS 16		/* groups in a stretch */

/*
 * Where the scratch is used weights are fetched ahead into the second-level cache: its queue is longer than the first
 * level's, whose few entries the loads of the tile at work need themselves.
 */
#define AHEAD _MM_HINT_T1

/* One stretch of one column's activations; what number holds depends on the formula. */
typedef struct ColumnStretch
{
	_Alignas(64) int8_t q[STRETCH_GROUPS * LLM_GROUP];
	int32_t		number[3][STRETCH_GROUPS];
} ColumnStretch;

/* A stretch of the panels of a tile, unpacked. */
typedef struct Scratch
{
	_Alignas(64) uint8_t codes[TILE_PANELS][STRETCH_GROUPS * QUADS * 64];	/* whole cache lines */
	float		scales[TILE_PANELS][STRETCH_GROUPS * MAX_SCALES * 16];
} Scratch;

/* Weights to fetch while a tile is computed: `lines` cache lines for each of its groups. */
typedef struct Fetch
{
	const uint8_t *bytes;
	int			stride;			/* from one group's first line to the next one's */
	int			lines;
} Fetch;

/* --- stretches of weights ------------------------------------------------------ */

AVX512_INLINE int
stretch_count(int64_t groups)
{
	return groups < STRETCH_GROUPS ? (int) groups : STRETCH_GROUPS;
}

AVX512_INLINE void
prefetch_bytes(bool to_first_level, const uint8_t *bytes, int64_t n)
{
	for (int64_t i = 0; i < n; i += 64)
	{
		if (to_first_level)
			_mm_prefetch((const char *) bytes + i, _MM_HINT_T0);
		else
			_mm_prefetch((const char *) bytes + i, AHEAD);
	}
}

/* This panel, or the last one when there are not so many: there is always one to fetch. */
AVX512_INLINE int32_t
later_panel(const LlmMatrix *w, int32_t panel)
{
	return panel < w->n_panels ? panel : w->n_panels - 1;
}

/* The scales of a stretch. */
AVX512_INLINE void
prefetch_scales(LlmTensorType type, bool to_first_level, const PanelPointers *panel, int64_t first, int count)
{
	prefetch_bytes(to_first_level, panel->sub + first * sub_bytes(type), count * sub_bytes(type));
	prefetch_bytes(to_first_level, panel->d + first * d_bytes(type), count * d_bytes(type));
	if (formula_of(type) == FORMULA_MINIMUM || formula_of(type) == FORMULA_HALVES_MINIMUM)
		prefetch_bytes(to_first_level, panel->m + first * d_bytes(type), count * d_bytes(type));
}

/*
 * What tile t of n_tiles fetches of the next tile of panels: the tiles share the low
 * bits of each panel, and the first of them fetches the rest at once.
 */
AVX512_INLINE Fetch
share_of_next(LlmTensorType type, const PanelPointers *next, int panels, int64_t first, int count,
			  int t, int n_tiles)
{
	const int	lines = low_bytes(type) / 64;
	const int	p = t % TILE_PANELS;
	const int	part = t / TILE_PANELS;
	Fetch		fetch = {.stride = low_bytes(type)};

	if (p >= panels)
		return fetch;
	fetch.lines = n_tiles < 2 * TILE_PANELS ? lines : n_tiles < 4 * TILE_PANELS ? (lines + 1) / 2 :
		(lines + 3) / 4;
	fetch.bytes = next[p].low + first * low_bytes(type) + part * fetch.lines * 64;
	if (part * fetch.lines >= lines)
		fetch.lines = 0;
	if (part == 0)
	{
		prefetch_scales(type, false, &next[p], first, count);
		prefetch_bytes(false, next[p].high + first * high_bytes(type), count * high_bytes(type));
	}
	return fetch;
}

AVX512_INLINE void
unpack_stretch_scales(LlmTensorType type, const PanelPointers *panel, int64_t first, int count,
					  float *scales)
{
	const int	stride = scale_vectors(formula_of(type)) * 16;

	for (int g = 0; g < count; g += SCALE_GROUPS)
		unpack_scales(type, panel, first + g, count - g < SCALE_GROUPS ? count - g : SCALE_GROUPS,
					  scales + g * stride, stride);
}

/* Codes as bytes, less their offset where the tiles want them signed. */
AVX512_INLINE void
unpack_stretch(LlmTensorType type, bool is_signed, const PanelPointers *panel, int64_t first, int count,
			   uint8_t *codes, float *scales)
{
	const __m512i offset = _mm512_set1_epi8((char) (1 << offset_shift(type)));
	const bool	has_offset = is_signed && offset_shift(type) > 0;

	unpack_stretch_scales(type, panel, first, count, scales);
	for (int g = 0; g < count; g++)
	{
#pragma GCC unroll 8
		for (int q = 0; q < QUADS; q++)
		{
			__m512i		code = unpack_code(type, panel, first + g, q);

			_mm512_store_si512(codes + (g * QUADS + q) * 64,
							   has_offset ? _mm512_sub_epi8(code, offset) : code);
		}
	}
}

/* A stretch of `panels` panels from `panel` on to the scratch; next: the panels that come after them. */
AVX512_INLINE void
unpack_panels(LlmTensorType type, bool is_signed, const LlmMatrix *w, const LlmPanelPlanes *planes, int32_t panel,
			  int panels, int64_t first, int count, Scratch *scratch, PanelPointers *next)
{
	for (int p = 0; p < panels; p++)
	{
		PanelPointers pointers = panel_pointers(w, planes, panel + p);

		unpack_stretch(type, is_signed, &pointers, first, count, scratch->codes[p], scratch->scales[p]);
		next[p] = panel_pointers(w, planes, later_panel(w, panel + panels + p));
	}
}

/* --- activations ------------------------------------------------------------- */

/* What the sum of codes times q is started with. */
AVX512_INLINE __m512i
negative_offset(LlmTensorType type, __m512i sum)
{
	return _mm512_sub_epi32(_mm512_setzero_si512(),
							_mm512_slli_epi32(sum, (unsigned int) offset_shift(type)));
}

/* d times the sum, both as a column's numbers are kept. */
AVX512_INLINE __m512i
scaled(__m512i d, __m512i sum)
{
	return _mm512_castps_si512(_mm512_mul_ps(_mm512_castsi512_ps(d), _mm512_cvtepi32_ps(sum)));
}

/* Groups first .. first + count - 1 of a column. */
AVX512_INLINE void
copy_column(LlmTensorType type, const LlmActivations *x, int32_t column, int64_t first, int count,
			ColumnStretch *out)
{
	const Formula formula = formula_of(type);
	const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
	const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
	const __mmask16 lanes = avx512_first_lanes(count);
	const int32_t *sum = x->sum16 + (int64_t) column * (x->width / 16) + first * 2;
	__m512i		low = _mm512_maskz_loadu_epi32(avx512_first_lanes(2 * count), sum);
	__m512i		high = _mm512_maskz_loadu_epi32(avx512_first_lanes(count < 8 ? 0 : 2 * count - 16),
												sum + 16);
	__m512i		half0 = _mm512_permutex2var_epi32(low, even, high);
	__m512i		half1 = _mm512_permutex2var_epi32(low, odd, high);
	__m512i		both = _mm512_add_epi32(half0, half1);
	__m512i		d = _mm512_maskz_loadu_epi32(lanes, x->d + (int64_t) column * (x->width / 32) + first);
	__m512i		number[3] = {d, d, d};

	switch (formula)
	{
		case FORMULA_SYMMETRIC:
			number[0] = negative_offset(type, both);
			break;
		case FORMULA_MINIMUM:
			number[1] = scaled(d, both);
			break;
		case FORMULA_HALVES:
			number[0] = negative_offset(type, half0);
			number[1] = negative_offset(type, half1);
			break;
		case FORMULA_HALVES_MINIMUM:
			number[0] = scaled(d, half0);
			number[1] = scaled(d, half1);
			break;
	}
	for (int i = 0; i < 3; i++)
		_mm512_store_si512(out->number[i], number[i]);
	for (int g = 0; g < count; g++)
		_mm256_store_si256((__m256i *) (out->q + g * LLM_GROUP),
						   _mm256_loadu_si256((const __m256i *) (x->q + (int64_t) column * x->width +
																 (first + g) * LLM_GROUP)));
}

/* --- the formulas ------------------------------------------------------------- */

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
 * One column's accumulator a, after group `at` of a stretch has been added: sum0 and sum1 are the
 * sums of codes times q of the group (of either half, where the formula has halves), less the
 * offset's part; s its scale vectors.  A column's numbers are:
 *		SYMMETRIC		-offset * sumq (int32), d
 *		MINIMUM			d, d * sumq
 *		HALVES			-offset * sum16 of either half (int32), d
 *		HALVES_MINIMUM	d * sum16 of either half, d
 */
AVX512_INLINE __m512
add_group(Formula formula, __m512i sum0, __m512i sum1, const float *s, const ColumnStretch *x, int at, __m512 a)
{
	__m512		s0 = _mm512_load_ps(s);
	__m512		f0 = _mm512_cvtepi32_ps(sum0);
	__m512		t;

	if (formula == FORMULA_SYMMETRIC)
		return _mm512_fmadd_ps(f0, _mm512_mul_ps(s0, broadcast_float(&x->number[1][at])), a);
	if (formula == FORMULA_MINIMUM)
	{
		a = _mm512_fmadd_ps(f0, _mm512_mul_ps(s0, broadcast_float(&x->number[0][at])), a);
		return _mm512_fmadd_ps(_mm512_load_ps(s + 16), broadcast_float(&x->number[1][at]), a);
	}

	t = _mm512_fmadd_ps(_mm512_load_ps(s + 16), _mm512_cvtepi32_ps(sum1), _mm512_mul_ps(s0, f0));
	a = _mm512_fmadd_ps(t, broadcast_float(&x->number[2][at]), a);
	if (formula == FORMULA_HALVES_MINIMUM)
	{
		a = _mm512_fmadd_ps(_mm512_load_ps(s + 32), broadcast_float(&x->number[0][at]), a);
		a = _mm512_fmadd_ps(_mm512_load_ps(s + 48), broadcast_float(&x->number[1][at]), a);
	}
	return a;
}

#endif							/* LLM_KERNELS_AVX512_STRETCH_H */
