/*
 * avx512_unpack.h
 *		Quantized panels, in the layout of engine/matrix.h, to vectors.
 *
 * A group's codes come as one vector of unsigned bytes for each quad, the scales of eight
 * groups at a time as floats.  `type` is a constant
 * at every call, so that each switch below leaves one branch.
 */
#ifndef LLM_KERNELS_AVX512_UNPACK_H
#define LLM_KERNELS_AVX512_UNPACK_H

#include "engine/kernels/avx512.h"

#define QUADS 8					/* vectors of codes in a group */
#define SCALE_GROUPS 8			/* groups whose scales are unpacked at once: a K type's block */

/* How a group's code sums enter the result: the four formulas of kernels.h. */
typedef enum Formula
{
	FORMULA_SYMMETRIC,			/* Q4_0 Q5_0 Q8_0 */
	FORMULA_MINIMUM,			/* Q4_1 Q5_1 Q4_K Q5_K */
	FORMULA_HALVES,				/* Q6_K Q3_K */
	FORMULA_HALVES_MINIMUM		/* Q2_K */
} Formula;

/* Most scale vectors that a group has. */
#define MAX_SCALES 4

typedef struct PanelPointers
{
	const uint8_t *low;
	const uint8_t *high;
	const uint8_t *sub;
	const uint8_t *d;
	const uint8_t *m;
} PanelPointers;

AVX512_INLINE Formula
formula_of(LlmTensorType type)
{
	switch (type)
	{
		case LLM_Q4_0:
		case LLM_Q5_0:
		case LLM_Q8_0:
			return FORMULA_SYMMETRIC;
		case LLM_Q3_K:
		case LLM_Q6_K:
			return FORMULA_HALVES;
		case LLM_Q2_K:
			return FORMULA_HALVES_MINIMUM;
		default:
			return FORMULA_MINIMUM;
	}
}

/* log2 of the code that stands for zero in the types without a minimum. */
AVX512_INLINE int
offset_shift(LlmTensorType type)
{
	switch (type)
	{
		case LLM_Q8_0:
			return 7;
		case LLM_Q6_K:
			return 5;
		case LLM_Q5_0:
			return 4;
		case LLM_Q4_0:
			return 3;
		case LLM_Q3_K:
			return 2;
		default:
			return 0;
	}
}

/*
 * Scale vectors of a group, in this order: SYMMETRIC d; MINIMUM d, m (added); HALVES d of either
 * half; HALVES_MINIMUM the same, m of either half (added).
 */
AVX512_INLINE int
scale_vectors(Formula formula)
{
	switch (formula)
	{
		case FORMULA_SYMMETRIC:
			return 1;
		case FORMULA_MINIMUM:
			return 2;
		case FORMULA_HALVES:
			return 2;
		default:
			return MAX_SCALES;
	}
}

/* Bytes of one group in the planes of low bits, high bits, block scales and d. */
AVX512_INLINE int
low_bytes(LlmTensorType type)
{
	return type == LLM_Q8_0 ? 512 : type == LLM_Q2_K || type == LLM_Q3_K ? 128 : 256;
}

AVX512_INLINE int
high_bytes(LlmTensorType type)
{
	switch (type)
	{
		case LLM_Q5_0:
		case LLM_Q5_1:
		case LLM_Q5_K:
		case LLM_Q3_K:
			return 64;
		case LLM_Q6_K:
			return 128;
		default:
			return 0;
	}
}

AVX512_INLINE int
sub_bytes(LlmTensorType type)
{
	switch (type)
	{
		case LLM_Q4_K:
		case LLM_Q5_K:
		case LLM_Q3_K:
			return 192 / SCALE_GROUPS;
		case LLM_Q2_K:
		case LLM_Q6_K:
			return 256 / SCALE_GROUPS;
		default:
			return 0;
	}
}

AVX512_INLINE int
d_bytes(LlmTensorType type)
{
	return sub_bytes(type) > 0 ? 32 / SCALE_GROUPS : 32;
}

AVX512_INLINE PanelPointers
panel_pointers(const LlmMatrix *w, const LlmPanelPlanes *planes, int32_t panel)
{
	const uint8_t *base = w->panels + (uint64_t) panel * w->panel_bytes;
	PanelPointers pointers;

	pointers.low = base + planes->low;
	pointers.high = base + planes->high;
	pointers.sub = base + planes->sub;
	pointers.d = base + planes->d;
	pointers.m = base + planes->m;
	return pointers;
}

/* Every byte of v shifted right (left, when negative); bits from the neighbour are masked off later. */
AVX512_INLINE __m512i
shift_bytes(__m512i v, int right)
{
	if (right > 0)
		return _mm512_srli_epi16(v, (unsigned int) right);
	if (right < 0)
		return _mm512_slli_epi16(v, (unsigned int) -right);
	return v;
}

/* code | (bits & mask) */
AVX512_INLINE __m512i
or_masked(__m512i code, __m512i bits, int mask)
{
	return _mm512_ternarylogic_epi32(code, bits, _mm512_set1_epi8((char) mask), 0xf8);
}

/*
 * The codes of one quad of a group.  Nothing is kept from one quad to the
 * next: a second load of the same vector costs less than a register.
 */
AVX512_INLINE __m512i
unpack_code(LlmTensorType type, const PanelPointers *panel, int64_t group, int quad)
{
	__m512i		code;

	switch (type)
	{
		case LLM_Q8_0:
			return _mm512_loadu_si512(panel->low + (group * QUADS + quad) * 64);
		case LLM_Q2_K:
		case LLM_Q3_K:
			code = _mm512_loadu_si512(panel->low + (group * 2 + quad / 4) * 64);
			code = _mm512_and_si512(shift_bytes(code, 2 * (quad % 4)), _mm512_set1_epi8(0x03));
			break;
		default:
			code = _mm512_loadu_si512(panel->low + (group * 4 + quad % 4) * 64);
			code = _mm512_and_si512(shift_bytes(code, quad / 4 * 4), _mm512_set1_epi8(0x0f));
			break;
	}

	switch (type)
	{
		case LLM_Q5_0:
		case LLM_Q5_1:
		case LLM_Q5_K:
			return or_masked(code, shift_bytes(_mm512_loadu_si512(panel->high + group * 64), quad - 4),
							 0x10);
		case LLM_Q3_K:
			return or_masked(code, shift_bytes(_mm512_loadu_si512(panel->high + group * 64), quad - 2),
							 0x04);
		case LLM_Q6_K:
			return or_masked(code, shift_bytes(_mm512_loadu_si512(panel->high + (group * 2 + quad / 4) * 64),
											   2 * (quad % 4) - 4), 0x30);
		default:
			return code;
	}
}

AVX512_INLINE __m512
load_halves(const uint8_t *plane, int64_t index)
{
	return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *) (plane + index * 32)));
}

/* Sixteen rows' unsigned bytes. */
AVX512_INLINE __m512
bytes_to_floats(const uint8_t *bytes)
{
	return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *) bytes)));
}

AVX512_INLINE __m512
signed_bytes_to_floats(const uint8_t *bytes)
{
	return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *) bytes)));
}

/*
 * The 6-bit scales and minimums of a Q4_K or Q5_K block, as bytes [8][16 rows]
 * each.  Four of the file's twelve bytes are one vector here.
 */
AVX512_INLINE void
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
AVX512_INLINE void
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

/*
 * Scales of groups first .. first + count - 1 (count <= 8, first a multiple
 * of 8), out[0] of the first, each next one `stride` floats later.
 */
AVX512_INLINE void
unpack_scales(LlmTensorType type, const PanelPointers *panel, int64_t first, int count,
			  float *out, int stride)
{
	const int64_t block = first / SCALE_GROUPS;
	_Alignas(64) uint8_t scale[256];
	_Alignas(64) uint8_t minimum[128];

	switch (type)
	{
		case LLM_Q4_0:
		case LLM_Q5_0:
		case LLM_Q8_0:
			for (int g = 0; g < count; g++)
				_mm512_store_ps(out + g * stride, load_halves(panel->d, first + g));
			break;

		case LLM_Q4_1:
		case LLM_Q5_1:
			for (int g = 0; g < count; g++)
			{
				_mm512_store_ps(out + g * stride, load_halves(panel->d, first + g));
				_mm512_store_ps(out + g * stride + 16, load_halves(panel->m, first + g));
			}
			break;

		case LLM_Q4_K:
		case LLM_Q5_K:
			{
				__m512		d = load_halves(panel->d, block);
				__m512		dmin = _mm512_xor_ps(load_halves(panel->m, block), _mm512_set1_ps(-0.0f));

				unpack_scale_min_bytes(panel->sub + block * 192, scale, minimum);
				for (int g = 0; g < count; g++)
				{
					_mm512_store_ps(out + g * stride,
									_mm512_mul_ps(d, bytes_to_floats(scale + 16 * g)));
					_mm512_store_ps(out + g * stride + 16,
									_mm512_mul_ps(dmin, bytes_to_floats(minimum + 16 * g)));
				}
			}
			break;

		case LLM_Q3_K:
		case LLM_Q6_K:
			{
				__m512		d = load_halves(panel->d, block);
				const uint8_t *bytes = panel->sub + block * 256;

				if (type == LLM_Q3_K)
				{
					unpack_q3_k_bytes(panel->sub + block * 192, scale);
					bytes = scale;
				}
				for (int g = 0; g < count; g++)
					for (int half = 0; half < 2; half++)
						_mm512_store_ps(out + g * stride + 16 * half,
										_mm512_mul_ps(d, signed_bytes_to_floats(bytes + 32 * g + 16 * half)));
			}
			break;

		default:				/* Q2_K */
			{
				const __m128i nibble = _mm_set1_epi8(0x0f);
				__m512		d = load_halves(panel->d, block);
				__m512		dmin = _mm512_xor_ps(load_halves(panel->m, block), _mm512_set1_ps(-0.0f));

				for (int g = 0; g < count; g++)
				{
					float	   *to = out + g * stride;

					for (int half = 0; half < 2; half++)
					{
						const uint8_t *sub = panel->sub + block * 256 + (2 * g + half) * 16;
						__m128i		bytes = _mm_loadu_si128((const __m128i *) sub);
						__m128i		low = _mm_and_si128(bytes, nibble);
						__m128i		high = _mm_and_si128(_mm_srli_epi16(bytes, 4), nibble);

						_mm512_store_ps(to + 16 * half,
										_mm512_mul_ps(d, _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(low))));
						_mm512_store_ps(to + 32 + 16 * half,
										_mm512_mul_ps(dmin, _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(high))));
					}
				}
			}
			break;
	}
}

#endif							/* LLM_KERNELS_AVX512_UNPACK_H */
