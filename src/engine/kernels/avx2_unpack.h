/*
 * avx2_unpack.h
 *		Quantized panels, in the layout of engine/matrix.h, to vectors of eight rows.
 *
 * A panel's rows 0 to 7 are its half 0, rows 8 to 15 its half 1.  A group's codes come as one vector of unsigned bytes for
 * each quad and half; its scales as floats, those of a K type's block as integers.
 */
#ifndef LLM_KERNELS_AVX2_UNPACK_H
#define LLM_KERNELS_AVX2_UNPACK_H

#include "engine/kernels/avx2.h"
#include "engine/kernels/quantized_stretch.h"

#define HALVES 2

/*
 * The scales of a block, for the two halves of a panel.  Pairs are two int16: of groups 2i and 2i + 1, or, where the
 * formula has halves of groups, of those of group i.
 */
typedef struct BlockScales
{
	_Alignas(32) int32_t scale[SCALE_GROUPS][2][16];	/* see store_scale */
	int32_t		pairs[SCALE_GROUPS][16];	/* of minimums, or of offset * scale */
	float		d[16];
	float		minimum[16];	/* -dmin */
} BlockScales;

/* The scales of a stretch of one panel. */
typedef union StretchScales
{
	_Alignas(32) float groups[STRETCH_GROUPS * MAX_SCALES * 16];
	BlockScales blocks[STRETCH_BLOCKS];
} StretchScales;

/* Move bit `from` of every byte to bit `to`; what comes along of neighbours must be masked. */
KERNEL_INLINE __m256i
shift_bits(__m256i bytes, int from, int to)
{
	if (from > to)
		return _mm256_srli_epi16(bytes, from - to);
	if (from < to)
		return _mm256_slli_epi16(bytes, to - from);
	return bytes;
}

/* One quad's codes, eight rows of four bytes; low: the group's first vector, the half's part of it. */
KERNEL_INLINE __m256i
quad_codes(LlmTensorType type, const uint8_t *low, int quad)
{
	const uint8_t *high = low + low_bytes(type);
	bool		two_bits = type == LLM_Q2_K || type == LLM_Q3_K;
	int			low_vector = type == LLM_Q8_0 ? quad : two_bits ? quad / 4 : quad % 4;
	int			low_bit = two_bits ? 2 * (quad % 4) : 4 * (quad / 4);
	__m256i		codes = _mm256_load_si256((const __m256i *) (low + low_vector * 64));

	if (type == LLM_Q8_0)
		return codes;
	codes = _mm256_and_si256(shift_bits(codes, low_bit, 0), _mm256_set1_epi8(two_bits ? 3 : 15));
	if (layout_of(type).high_bits == 1)
	{
		__m256i		bits = _mm256_load_si256((const __m256i *) high);
		int			to = two_bits ? 2 : 4;

		codes = _mm256_or_si256(codes, _mm256_and_si256(shift_bits(bits, quad, to),
														_mm256_set1_epi8((char) (1 << to))));
	}
	if (layout_of(type).high_bits == 2)
	{
		__m256i		bits = _mm256_load_si256((const __m256i *) (high + quad / 4 * 64));

		codes = _mm256_or_si256(codes, _mm256_and_si256(shift_bits(bits, 2 * (quad % 4), 4),
														_mm256_set1_epi8(0x30)));
	}
	return codes;
}

/* The eight rows' halves: d or, the second, m. */
KERNEL_INLINE __m256
load_halves(const uint8_t *halves, int which, int half)
{
	return _mm256_cvtph_ps(_mm_load_si128((const __m128i *) halves + which * HALVES + half));
}

/* Scales of groups first .. first + count - 1 where a group is all, scale_vectors of each. */
KERNEL_INLINE void
unpack_group_scales(LlmTensorType type, const uint8_t *panel, int64_t first, int count, float *out)
{
	for (int g = 0; g < count; g++)
		for (int v = 0; v < scale_vectors(formula_of(type)); v++)
#pragma GCC unroll 2
			for (int half = 0; half < HALVES; half++, out += LANES)
				_mm256_store_ps(out, load_halves(halves_at(type, panel, first + g), v, half));
}

/* Sixteen rows' bytes of a block: one scale or one minimum of each. */
KERNEL_INLINE __m128i
load_rows(const uint8_t *sub, int i)
{
	return _mm_load_si128((const __m128i *) (sub + 16 * i));
}

/*
 * A half's bytes, each in its row's dword where `places` has a byte of 1; 0 in the dword's other bytes.
 */
KERNEL_INLINE __m256i
place_bytes(__m128i bytes, int half, uint32_t places)
{
	const uint32_t nothing = 0x80808080 & ~(places * 0xff);
	const __m256i rows = _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(half * LANES));
	const __m256i from = _mm256_or_si256(_mm256_mullo_epi32(rows, _mm256_set1_epi32((int) places)),
										 _mm256_set1_epi32((int) nothing));

	return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), from);
}

KERNEL_INLINE void
store_halves(int32_t *out, __m256i half_0, __m256i half_1)
{
	_mm256_store_si256((__m256i *) out, half_0);
	_mm256_store_si256((__m256i *) (out + LANES), half_1);
}

/* Sixteen rows' unsigned bytes as pairs of int16. */
KERNEL_INLINE void
store_pairs(int32_t *out, __m128i first, __m128i second)
{
	store_halves(out, _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(first, second)),
				 _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(first, second)));
}

/* Signed bytes as pairs of int16, times offset. */
KERNEL_INLINE void
store_offsets(int32_t *out, __m128i first, __m128i second, int offset)
{
	const __m256i factor = _mm256_set1_epi16((int16_t) offset);

	store_halves(out, _mm256_mullo_epi16(_mm256_cvtepi8_epi16(_mm_unpacklo_epi8(first, second)), factor),
				 _mm256_mullo_epi16(_mm256_cvtepi8_epi16(_mm_unpackhi_epi8(first, second)), factor));
}

KERNEL_INLINE __m128i
mask_bytes(__m128i bytes, int mask)
{
	return _mm_and_si128(bytes, _mm_set1_epi8((char) mask));
}

/* Scale s of a Q4_K or Q5_K block: the last four's upper bits are atop the first four's bytes. */
KERNEL_INLINE __m128i
six_bit_scale(const uint8_t *sub, int s)
{
	if (s < 4)
		return mask_bytes(load_rows(sub, s), 0x3f);
	return _mm_or_si128(mask_bytes(load_rows(sub, s + 4), 0x0f), mask_bytes(_mm_srli_epi16(load_rows(sub, s - 4), 2), 0x30));
}

KERNEL_INLINE __m128i
six_bit_minimum(const uint8_t *sub, int s)
{
	if (s < 4)
		return mask_bytes(load_rows(sub, s + 4), 0x3f);
	return _mm_or_si128(mask_bytes(_mm_srli_epi16(load_rows(sub, s + 4), 4), 0x0f),
						mask_bytes(_mm_srli_epi16(load_rows(sub, s), 2), 0x30));
}

/* Scale s of a Q3_K block less 32: four bits in the first eight bytes, two in the last four. */
KERNEL_INLINE __m128i
q3_k_scale(const uint8_t *sub, int s)
{
	__m128i		low = mask_bytes(_mm_srli_epi16(load_rows(sub, s % 8), 4 * (s / 8)), 0x0f);
	__m128i		high = mask_bytes(_mm_srli_epi16(load_rows(sub, 8 + s % 4), 2 * (s / 4)), 0x03);

	return _mm_sub_epi8(_mm_or_si128(low, _mm_slli_epi16(high, 4)), _mm_set1_epi8(32));
}

/* Scale s of a block: of group s, or of half s % 2 of group s / 2. */
KERNEL_INLINE __m128i
block_scale(LlmTensorType type, const uint8_t *sub, int s)
{
	switch (type)
	{
		case LLM_Q4_K:
		case LLM_Q5_K:
			return six_bit_scale(sub, s);
		case LLM_Q3_K:
			return q3_k_scale(sub, s);
		case LLM_Q2_K:
			return mask_bytes(load_rows(sub, s), 0x0f);
		default:				/* Q6_K */
			return load_rows(sub, s);
	}
}

KERNEL_INLINE __m128i
block_minimum(LlmTensorType type, const uint8_t *sub, int s)
{
	if (type == LLM_Q2_K)
		return mask_bytes(_mm_srli_epi16(load_rows(sub, s), 4), 0x0f);
	return six_bit_minimum(sub, s);
}

/*
 * A scale as what it is multiplied with wants it: both int16 of a dword (pairs_alike), the lower one with 0
 * above it, or an int32 (is_wide).
 */
KERNEL_INLINE void
store_scale(LlmTensorType type, bool pairs_alike, __m128i bytes, int32_t *out)
{
	const bool	is_signed = type == LLM_Q3_K || type == LLM_Q6_K;
	const bool	as_int32 = !pairs_alike && is_wide(formula_of(type));
	const uint32_t lowest = pairs_alike ? 0x00010001 : 0x00000001;
	const int	up = !is_signed ? 0 : as_int32 ? 24 : 8;

#pragma GCC unroll 2
	for (int half = 0; half < HALVES; half++)
	{
		__m256i		scale = place_bytes(bytes, half, lowest << up);

		if (is_signed)
			scale = as_int32 ? _mm256_srai_epi32(scale, 24) : _mm256_srai_epi16(scale, 8);
		_mm256_store_si256((__m256i *) (out + half * LANES), scale);
	}
}

KERNEL_INLINE void
unpack_block_scales(LlmTensorType type, bool pairs_alike, const uint8_t *panel, int64_t block, BlockScales *out)
{
	const Formula formula = formula_of(type);
	const uint8_t *sub = sub_at(type, panel, block);
	const uint8_t *halves = halves_at(type, panel, block);
	const int	n_pairs = has_halves(formula) ? SCALE_GROUPS : SCALE_GROUPS / 2;

#pragma GCC unroll 2
	for (int half = 0; half < HALVES; half++)
	{
		_mm256_store_ps(out->d + half * LANES, load_halves(halves, 0, half));
		if (has_minimum(formula))
			_mm256_store_ps(out->minimum + half * LANES, _mm256_xor_ps(load_halves(halves, 1, half), _mm256_set1_ps(-0.0f)));
	}
#pragma GCC unroll 16
	for (int s = 0; s < 2 * n_pairs; s++)
		store_scale(type, pairs_alike, block_scale(type, sub, s),
					has_halves(formula) ? out->scale[s / 2][s % 2] : out->scale[s][0]);
#pragma GCC unroll 8
	for (int i = 0; i < n_pairs; i++)
	{
		if (has_minimum(formula))
			store_pairs(out->pairs[i], block_minimum(type, sub, 2 * i), block_minimum(type, sub, 2 * i + 1));
		else
			store_offsets(out->pairs[i], block_scale(type, sub, 2 * i), block_scale(type, sub, 2 * i + 1),
						  -layout_of(type).offset);
	}
}

#endif							/* LLM_KERNELS_AVX2_UNPACK_H */
