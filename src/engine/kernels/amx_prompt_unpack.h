/*
 * amx_prompt_unpack.h
 *		Quantized panels, in the layout of engine/matrix.h, to tiles of bfloat16.
 *
 * The formulas are in kernels.h.  A tile is a group of a panel: sixteen vectors of sixteen rows, each of which has two weights
 * there.  Of quad q vector 2q has weights 0 and 2, vector 2q + 1 weights 1 and 3, as bytes of packed codes come in
 * pairs.  amx_prompt_round.c has activations in the same order.
 */
#ifndef LLM_KERNELS_AMX_PROMPT_UNPACK_H
#define LLM_KERNELS_AMX_PROMPT_UNPACK_H

#include <string.h>

#include "engine/block.h"
#include "engine/kernels/avx512_unpack.h"

#define TILE_VECTORS 16
#define TILE_NUMBERS (TILE_VECTORS * 32)

/* What brings the rows of a panel into the range of halves, and their sums back. */
typedef struct RowFactors
{
	_Alignas(64) float up[LLM_PANEL_ROWS];
	float		down[LLM_PANEL_ROWS];
} RowFactors;

/* Scales and minimums of eight groups or their halves, twice for each row; a group that is all uses the first of each. */
typedef struct TileScales
{
	_Alignas(64) uint16_t scale[SCALE_GROUPS][2][32];
	uint16_t	minimum[SCALE_GROUPS][2][32];
} TileScales;

/* --- rows ------------------------------------------------------------------------ */

/* What a weight is at most, in units of d and of m: see the formulas of matrix.h. */
KERNEL_INLINE float
most_of_d(LlmTensorType type)
{
	switch (type)
	{
		case LLM_Q4_0:
			return 8;
		case LLM_Q5_0:
			return 16;
		case LLM_Q8_0:
			return 128;
		case LLM_Q4_1:
			return 15;
		case LLM_Q5_1:
			return 31;
		case LLM_Q2_K:
			return 15 * 3;
		case LLM_Q3_K:
			return 32 * 4;
		case LLM_Q4_K:
			return 63 * 15;
		case LLM_Q5_K:
			return 63 * 31;
		default:				/* Q6_K */
			return 128 * 32;
	}
}

KERNEL_INLINE float
most_of_m(LlmTensorType type)
{
	return type == LLM_Q2_K ? 15 : type == LLM_Q4_K || type == LLM_Q5_K ? 63 : 1;
}

/* The greatest magnitude of all blocks' d or, the second, m. */
KERNEL_INLINE __m512
greatest_half(LlmTensorType type, const uint8_t *panel, int64_t groups, int which)
{
	const int64_t n = block_of(type, groups);
	const __m256i magnitude = _mm256_set1_epi16(0x7fff);
	__m256i		most = _mm256_setzero_si256();

	for (int64_t b = 0; b < n; b++)
		most = _mm256_max_epu16(most, _mm256_and_si256(_mm256_loadu_si256((const __m256i *) halves_at(type, panel, b) + which),
													   magnitude));
	return _mm512_cvtph_ps(most);
}

KERNEL_INLINE void
find_row_factors(LlmTensorType type, const uint8_t *panel, int64_t groups, RowFactors *out)
{
	__m512		most = _mm512_mul_ps(greatest_half(type, panel, groups, 0), _mm512_set1_ps(most_of_d(type)));
	__m512		exponent;
	__mmask16	ordinary;

	if (has_minimum(formula_of(type)))
		most = _mm512_fmadd_ps(greatest_half(type, panel, groups, 1), _mm512_set1_ps(most_of_m(type)), most);
	ordinary = _mm512_cmp_ps_mask(most, _mm512_set1_ps(0x1p40f), _CMP_LT_OQ) &
		_mm512_cmp_ps_mask(most, _mm512_setzero_ps(), _CMP_GT_OQ);
	exponent = _mm512_maskz_getexp_ps(ordinary, most);
	_mm512_store_ps(out->up, _mm512_scalef_ps(_mm512_set1_ps(0x1p14f), _mm512_sub_ps(_mm512_setzero_ps(), exponent)));
	_mm512_store_ps(out->down, _mm512_scalef_ps(_mm512_set1_ps(0x1p38f), exponent));
}

/* --- scales ------------------------------------------------------------------------ */

/* Each of the lower or upper sixteen halves twice. */
KERNEL_INLINE __m512i
twice(__m512i halves, bool upper)
{
	const __m512i index = _mm512_set_epi16(15, 15, 14, 14, 13, 13, 12, 12, 11, 11, 10, 10, 9, 9, 8, 8,
										   7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0);

	return _mm512_permutexvar_epi16(upper ? _mm512_add_epi16(index, _mm512_set1_epi16(16)) : index, halves);
}

/* Sixteen rows' d or, the second, m times the rows' factors. */
KERNEL_INLINE __m256i
scaled_halves(const uint8_t *halves, int which, const RowFactors *factors)
{
	return _mm512_cvtps_ph(_mm512_mul_ps(load_halves(halves, which), _mm512_load_ps(factors->up)),
						   _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* 32 integers, of two groups or of two halves of a group, times d. */
KERNEL_INLINE void
store_scales(const uint8_t *bytes, bool is_signed, __m512h d, uint16_t *first, uint16_t *second)
{
	const __m256i v = _mm256_loadu_si256((const __m256i *) bytes);
	const __m512i words = is_signed ? _mm512_cvtepi8_epi16(v) : _mm512_cvtepu8_epi16(v);
	const __m512i scaled = (__m512i) _mm512_mul_ph(_mm512_cvtepi16_ph(words), d);

	_mm512_store_si512(first, twice(scaled, false));
	_mm512_store_si512(second, twice(scaled, true));
}

/* Those of group g where a group is all. */
KERNEL_INLINE void
unpack_tile_scales(LlmTensorType type, const uint8_t *panel, const RowFactors *factors, int64_t group, int at,
				   TileScales *out)
{
	const uint8_t *halves = halves_at(type, panel, group);

	_mm512_store_si512(out->scale[at][0], twice(_mm512_castsi256_si512(scaled_halves(halves, 0, factors)), false));
	if (has_minimum(formula_of(type)))
		_mm512_store_si512(out->minimum[at][0], twice(_mm512_castsi256_si512(scaled_halves(halves, 1, factors)), false));
}

/* Those of a block. */
KERNEL_INLINE void
unpack_tile_block_scales(LlmTensorType type, const uint8_t *panel, const RowFactors *factors, int64_t block,
						 TileScales *out)
{
	const uint8_t *sub = sub_at(type, panel, block);
	const uint8_t *halves = halves_at(type, panel, block);
	const __m512h d = (__m512h) _mm512_broadcast_i64x4(scaled_halves(halves, 0, factors));
	_Alignas(64) uint8_t scale[256];
	_Alignas(64) uint8_t minimum[256];
	__m512h		m = d;

	if (has_minimum(formula_of(type)))
		m = (__m512h) _mm512_xor_si512(_mm512_broadcast_i64x4(scaled_halves(halves, 1, factors)),
									   _mm512_set1_epi16((short) 0x8000));
	switch (type)
	{
		case LLM_Q4_K:
		case LLM_Q5_K:
			unpack_scale_min_bytes(sub, scale, minimum);
			for (int g = 0; g < SCALE_GROUPS; g += 2)
			{
				store_scales(scale + 16 * g, false, d, out->scale[g][0], out->scale[g + 1][0]);
				store_scales(minimum + 16 * g, false, m, out->minimum[g][0], out->minimum[g + 1][0]);
			}
			return;
		case LLM_Q3_K:
			unpack_q3_k_bytes(sub, scale);
			break;
		case LLM_Q6_K:
			memcpy(scale, sub, sizeof(scale));
			break;
		default:				/* Q2_K */
			for (int i = 0; i < 4; i++)
			{
				__m512i		both = _mm512_loadu_si512(sub + 64 * i);

				_mm512_store_si512(scale + 64 * i, _mm512_and_si512(both, _mm512_set1_epi8(0x0f)));
				_mm512_store_si512(minimum + 64 * i, _mm512_and_si512(shift_bytes(both, 4), _mm512_set1_epi8(0x0f)));
			}
			break;
	}
	for (int g = 0; g < SCALE_GROUPS; g++)
	{
		store_scales(scale + 32 * g, true, d, out->scale[g][0], out->scale[g][1]);
		if (has_minimum(formula_of(type)))
			store_scales(minimum + 32 * g, true, m, out->minimum[g][0], out->minimum[g][1]);
	}
}

/* --- codes ------------------------------------------------------------------------- */

/* VPERMW reads five bits of an index: those above a narrower code's find the same number in each copy of the table. */
KERNEL_INLINE __m512i
code_values(LlmTensorType type)
{
	const LlmBlockLayout layout = layout_of(type);
	const int	bits = layout.low_bits + layout.high_bits;

	_Alignas(64) _Float16 values[32];

	for (int i = 0; i < 32; i++)
		values[i] = (_Float16) ((bits < 5 ? i & ((1 << bits) - 1) : i) - layout.offset);
	return _mm512_load_si512(values);
}

/* Every word shifted right by four: a shift's port is the one that multiplies while tiles are in use. */
KERNEL_INLINE __m512i
upper_nibbles(__m512i v)
{
	return _mm512_multishift_epi64_epi8(_mm512_set1_epi64(0x3c342c241c140c04), v);
}

/*
 * Vector i of a group as words whose lower bytes are its even bytes, or its odd ones: those are the even ones of a vector
 * that begins a byte later, as loads are cheaper than shifts.  Nothing is read beyond the group, which a panel may end with.
 */
KERNEL_INLINE __m512i
load_words(LlmTensorType type, const uint8_t *group, int i, bool odd)
{
	if (odd && (i + 1) * LLM_PANEL_VECTOR == group_bytes(type))
		return _mm512_maskz_loadu_epi8(~(__mmask64) 0 >> 1, group + i * LLM_PANEL_VECTOR + 1);
	return _mm512_loadu_si512(group + i * LLM_PANEL_VECTOR + odd);
}

/* A quad's codes of weights 0 and 2, or odd: of 1 and 3, as halves less their offset. */
KERNEL_INLINE __m512h
unpack_values(LlmTensorType type, const uint8_t *group, int quad, bool odd, __m512i table)
{
	const LlmBlockLayout layout = layout_of(type);
	const int	bits = layout.low_bits;
	const int	all_bits = bits + layout.high_bits;
	const int	shift = llm_quad_shift(bits, quad);
	__m512i		code = load_words(type, group, llm_quad_vector(bits, quad), odd);

	code = shift == 4 ? upper_nibbles(code) : shift_bytes(code, shift);
	if (all_bits > bits)
	{
		const int	high = bits + llm_quad_vector(layout.high_bits, quad);
		__m512i		above = shift_bytes(load_words(type, group, high, odd), llm_quad_shift(layout.high_bits, quad) - bits);

		code = _mm512_ternarylogic_epi32(_mm512_set1_epi16((short) ((1 << all_bits) - (1 << bits))), above, code, 0xca);
	}
	if (all_bits <= 5)
		return (__m512h) _mm512_permutexvar_epi16(code, table);

	/* 1024 + code is a half with the code in its lowest bits */
	code = _mm512_ternarylogic_epi32(code, _mm512_set1_epi16((short) ((1 << all_bits) - 1)), _mm512_set1_epi16(0x6400), 0xea);
	return _mm512_sub_ph((__m512h) code, _mm512_set1_ph((_Float16) (1024 + layout.offset)));
}

/* The eighths that Q2_K's vectors add: lane j's in vector i is (3i + 5j) mod 8. */
#define EIGHTHS(a, b, c, d, e, f, g, h) \
	{a, b, c, d, e, f, g, h, a, b, c, d, e, f, g, h, a, b, c, d, e, f, g, h, a, b, c, d, e, f, g, h}

_Alignas(64) static const uint16_t eighths[8][32] = {
	EIGHTHS(0, 5, 2, 7, 4, 1, 6, 3),
	EIGHTHS(3, 0, 5, 2, 7, 4, 1, 6),
	EIGHTHS(6, 3, 0, 5, 2, 7, 4, 1),
	EIGHTHS(1, 6, 3, 0, 5, 2, 7, 4),
	EIGHTHS(4, 1, 6, 3, 0, 5, 2, 7),
	EIGHTHS(7, 4, 1, 6, 3, 0, 5, 2),
	EIGHTHS(2, 7, 4, 1, 6, 3, 0, 5),
	EIGHTHS(5, 2, 7, 4, 1, 6, 3, 0)
};

/*
 * Vector i of a tile, halves, to bfloat16 2^-112 times as large: the exponent stays as it is, and three bits of the mantissa go.
 * A negative number's exponent comes with the sign's copies above it.
 */
KERNEL_INLINE __m512i
to_bfloat16(LlmTensorType type, __m512h halves, int i)
{
	__m512i		bits = (__m512i) halves;

	if (type == LLM_Q2_K)
		bits = _mm512_srai_epi16(_mm512_add_epi16(bits, _mm512_load_si512(eighths[i % 8])), 3);
	else
		bits = _mm512_mulhrs_epi16(bits, _mm512_set1_epi16(1 << 12));
	return _mm512_and_si512(bits, _mm512_set1_epi16((short) 0x8fff));
}

/* Vector i of the tile of the group at `group`, the at-th of those whose scales are unpacked. */
KERNEL_INLINE __m512i
unpack_vector(LlmTensorType type, const uint8_t *group, const TileScales *scales, int at, int i, __m512i table)
{
	const int	half = has_halves(formula_of(type)) ? i / 8 : 0;
	const __m512h scale = (__m512h) _mm512_load_si512(scales->scale[at][half]);
	const __m512h value = unpack_values(type, group, i / 2, i % 2, table);

	return to_bfloat16(type, has_minimum(formula_of(type)) ?
					   _mm512_fmadd_ph(value, scale, (__m512h) _mm512_load_si512(scales->minimum[at][half])) :
					   _mm512_mul_ph(value, scale), i);
}

/* The group at `group`, the at-th of those whose scales are unpacked. */
KERNEL_INLINE void
unpack_tile(LlmTensorType type, const uint8_t *group, const TileScales *scales, int at, __m512i table, uint16_t *out)
{
#pragma GCC unroll 16
	for (int n = 0; n < TILE_VECTORS; n++)
	{
		/* those of one vector of nibbles one after the other */
		const int	i = layout_of(type).low_bits == 4 ? n / 4 * 2 + n / 2 % 2 + n % 2 * 8 : n;

		_mm512_store_si512(out + 32 * i, unpack_vector(type, group, scales, at, i, table));
	}
}

#endif							/* LLM_KERNELS_AMX_PROMPT_UNPACK_H */
