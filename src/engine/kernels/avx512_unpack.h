/*
 * avx512_unpack.h
 *		Quantized panels, in the layout of engine/matrix.h, to vectors.
 *
 * A group's codes come as one vector of unsigned bytes for each quad; its scales as floats, those of a K
 * type's block as integers.
 */
#ifndef LLM_KERNELS_AVX512_UNPACK_H
#define LLM_KERNELS_AVX512_UNPACK_H

#include "engine/kernels/avx512.h"
#include "engine/kernels/quantized_panels.h"

/*
 * The scales of a block, for sixteen rows.  Those that VPDPWSSD takes alone are int16 with 0 above them.  Pairs are two
 * int16: of groups 2i and 2i + 1, or, where the formula has halves, of those of group i.  A group's scale[0] may be such a pair
 * (in_pairs).
 */
typedef struct BlockScales
{
	_Alignas(64) int32_t scale[SCALE_GROUPS][2][16];	/* of a group or its halves */
	int32_t		minimums[SCALE_GROUPS][16]; /* pairs of int16 */
	int32_t		offsets[SCALE_GROUPS / 2][16];	/* offset * scale, pairs too */
	float		d[16];
	float		minimum[16];	/* -dmin */
} BlockScales;

/*
 * Does a file that includes this take an offset from Q4_K's codes, which have minimums, only to make their sums fit
 * into 16 bits?  What that takes away is added for the whole block.
 */
#ifndef LEND_OFFSETS
#define LEND_OFFSETS false
#endif

KERNEL_INLINE bool
lends_offset(Formula formula)
{
	return LEND_OFFSETS && formula == FORMULA_BLOCK_MINIMUM;
}

/* Are a group's or half's sums too wide for VPDPWSSD? */
KERNEL_INLINE bool
has_wide_sums(Formula formula)
{
	return is_wide(formula) || (formula == FORMULA_BLOCK_MINIMUM && !LEND_OFFSETS);
}

/* Do sums begin with the offset's part? */
KERNEL_INLINE bool
has_offset(Formula formula)
{
	return lends_offset(formula) || !has_minimum(formula);
}

/* Every byte of v shifted right (left, when negative); bits from the neighbour are masked off later. */
KERNEL_INLINE __m512i
shift_bytes(__m512i v, int right)
{
	if (right > 0)
		return _mm512_srli_epi16(v, (unsigned int) right);
	if (right < 0)
		return _mm512_slli_epi16(v, (unsigned int) -right);
	return v;
}

/* code | (bits & mask) */
KERNEL_INLINE __m512i
or_masked(__m512i code, __m512i bits, int mask)
{
	return _mm512_ternarylogic_epi32(code, bits, _mm512_set1_epi8((char) mask), 0xf8);
}

/*
 * The codes of one quad of a group, which is at `group`.  Nothing is kept from one quad to the
 * next: a second load of the same vector costs less than a register.
 */
KERNEL_INLINE __m512i
unpack_code(LlmTensorType type, const uint8_t *group, int quad)
{
	const uint8_t *high = group + low_bytes(type);
	__m512i		code;

	switch (type)
	{
		case LLM_Q8_0:
			return _mm512_loadu_si512(group + quad * 64);
		case LLM_Q2_K:
		case LLM_Q3_K:
			code = _mm512_loadu_si512(group + quad / 4 * 64);
			code = _mm512_and_si512(shift_bytes(code, 2 * (quad % 4)), _mm512_set1_epi8(0x03));
			break;
		default:
			code = _mm512_loadu_si512(group + quad % 4 * 64);
			code = _mm512_and_si512(shift_bytes(code, quad / 4 * 4), _mm512_set1_epi8(0x0f));
			break;
	}

	switch (type)
	{
		case LLM_Q5_0:
		case LLM_Q5_1:
		case LLM_Q5_K:
			return or_masked(code, shift_bytes(_mm512_loadu_si512(high), quad - 4), 0x10);
		case LLM_Q3_K:
			return or_masked(code, shift_bytes(_mm512_loadu_si512(high), quad - 2), 0x04);
		case LLM_Q6_K:
			return or_masked(code, shift_bytes(_mm512_loadu_si512(high + quad / 4 * 64), 2 * (quad % 4) - 4), 0x30);
		default:
			return code;
	}
}

/* Sixteen rows' halves: d or, the second, m. */
KERNEL_INLINE __m512
load_halves(const uint8_t *halves, int which)
{
	return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *) halves + which));
}

/* Sixteen rows' bytes as int32. */
KERNEL_INLINE __m512i
widen_unsigned(const uint8_t *bytes)
{
	return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *) bytes));
}

KERNEL_INLINE __m512i
widen_signed(const uint8_t *bytes)
{
	return _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *) bytes));
}

/* Sixteen rows' bytes of a group's first half, and then those of the second, as pairs of int16. */
KERNEL_INLINE __m512i
pair_halves(const uint8_t *bytes)
{
	const __m512i in_turns = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,
											  23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);

	return _mm512_permutexvar_epi16(in_turns, _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *) bytes)));
}

/* Two vectors of small int32, none negative, as pairs of int16. */
KERNEL_INLINE __m512i
pair(__m512i first, __m512i second)
{
	return _mm512_or_si512(first, _mm512_slli_epi32(second, 16));
}

/*
 * The 6-bit scales and minimums of a Q4_K or Q5_K block, as bytes [8][16 rows]
 * each.  Four of the file's twelve bytes are one vector here.
 */
KERNEL_INLINE void
unpack_scale_min_bytes(const uint8_t *sub, uint8_t *scale, uint8_t *minimum)
{
	const __m512i six_bits = _mm512_set1_epi8(0x3f);
	const __m512i nibble = _mm512_set1_epi8(0x0f);
	__m512i		b0 = _mm512_loadu_si512(sub);
	__m512i		b4 = _mm512_loadu_si512(sub + 64);
	__m512i		b8 = _mm512_loadu_si512(sub + 128);

	_mm512_store_si512(scale, _mm512_and_si512(b0, six_bits));
	_mm512_store_si512(minimum, _mm512_and_si512(b4, six_bits));
	_mm512_store_si512(scale + 64, or_masked(_mm512_and_si512(b8, nibble), shift_bytes(b0, 2), 0x30));
	_mm512_store_si512(minimum + 64, or_masked(_mm512_and_si512(shift_bytes(b8, 4), nibble),
											   shift_bytes(b4, 2), 0x30));
}

/* The 6-bit scales of a Q3_K block less 32, as signed bytes [16][16 rows]. */
KERNEL_INLINE void
unpack_q3_k_bytes(const uint8_t *sub, uint8_t *scale)
{
	const __m512i nibble = _mm512_set1_epi8(0x0f);
	const __m512i offset = _mm512_set1_epi8(32);
	__m512i		b8 = _mm512_loadu_si512(sub + 128);

	for (int i = 0; i < 4; i++)
	{
		__m512i		low = _mm512_loadu_si512(sub + 64 * (i % 2));
		__m512i		code = _mm512_and_si512(shift_bytes(low, 4 * (i / 2)), nibble);

		code = or_masked(code, shift_bytes(b8, 2 * i - 4), 0x30);
		_mm512_store_si512(scale + 64 * i, _mm512_sub_epi8(code, offset));
	}
}

/* Scales of groups first .. first + count - 1 where a group is all, scale_vectors of each. */
KERNEL_INLINE void
unpack_group_scales(LlmTensorType type, const uint8_t *panel, int64_t first, int count, float *out)
{
	for (int g = 0; g < count; g++)
		for (int v = 0; v < scale_vectors(formula_of(type)); v++, out += 16)
			_mm512_store_ps(out, load_halves(halves_at(type, panel, first + g), v));
}

KERNEL_INLINE void
unpack_block_scales(LlmTensorType type, bool in_pairs, const uint8_t *panel, int64_t block, BlockScales *out)
{
	const __m512i nibbles = _mm512_set1_epi16(0x0f);
	const uint8_t *sub = sub_at(type, panel, block);
	const uint8_t *halves = halves_at(type, panel, block);
	_Alignas(64) uint8_t scale[256];
	_Alignas(64) uint8_t minimum[128];

	_mm512_store_ps(out->d, load_halves(halves, 0));
	if (has_minimum(formula_of(type)))
		_mm512_store_ps(out->minimum, _mm512_xor_ps(load_halves(halves, 1), _mm512_set1_ps(-0.0f)));
	switch (type)
	{
		case LLM_Q4_K:
		case LLM_Q5_K:
			unpack_scale_min_bytes(sub, scale, minimum);
			for (int g = 0; g < SCALE_GROUPS; g++)
				_mm512_store_si512(out->scale[g][0], widen_unsigned(scale + 16 * g));
			for (int i = 0; i < SCALE_GROUPS / 2; i++)
			{
				_mm512_store_si512(out->minimums[i], pair(widen_unsigned(minimum + 32 * i),
														  widen_unsigned(minimum + 32 * i + 16)));
				if (lends_offset(formula_of(type)))
					_mm512_store_si512(out->offsets[i],
									   _mm512_slli_epi32(pair(widen_unsigned(scale + 32 * i),
															  widen_unsigned(scale + 32 * i + 16)),
														 (unsigned int) offset_shift(type)));
			}
			break;

		case LLM_Q3_K:
			unpack_q3_k_bytes(sub, scale);
			for (int i = 0; i < 2 * SCALE_GROUPS; i++)
				_mm512_store_si512(out->scale[i / 2][i % 2],
								   _mm512_and_si512(widen_signed(scale + 16 * i), _mm512_set1_epi32(0xffff)));
			break;

		case LLM_Q6_K:
			for (int i = 0; i < 2 * SCALE_GROUPS; i++)
				_mm512_store_si512(out->scale[i / 2][i % 2], widen_signed(sub + 16 * i));
			break;

		default:				/* Q2_K */
			for (int g = 0; g < SCALE_GROUPS; g++)
			{
				__m512i		bytes = pair_halves(sub + 32 * g);
				__m512i		scales = _mm512_and_si512(bytes, nibbles);

				_mm512_store_si512(out->minimums[g], _mm512_srli_epi16(bytes, 4));
				_mm512_store_si512(out->scale[g][0], in_pairs ? scales : _mm512_maskz_mov_epi16(0x55555555, scales));
				if (!in_pairs)
					_mm512_store_si512(out->scale[g][1], _mm512_srli_epi32(scales, 16));
			}
			break;
	}
}

#endif							/* LLM_KERNELS_AVX512_UNPACK_H */
