/*
 * half.h
 *		IEEE half precision and bfloat16, to float and back, inline.
 *
 * Without branches where a vector of them is converted: compilers turn a loop
 * over these into vector code on any processor.  A signalling NaN becomes a quiet
 * one, as processors with such an instruction do it.
 */
#ifndef LLM_HALF_H
#define LLM_HALF_H

#include <string.h>

#include "engine/tensor_type.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
			   "model files and packed weights are little endian");

static inline float
llm_float_of_bits(uint32_t bits)
{
	float		value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static inline uint32_t
llm_bits_of_float(float value)
{
	uint32_t	bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

/*
 * The exponent is moved by a multiplication with 2^112, which is exact and
 * normalizes subnormals on the way.
 */
static inline float
llm_half_value(uint16_t half)
{
	uint32_t	sign = (uint32_t) (half & 0x8000) << 16;
	uint32_t	magnitude = (uint32_t) (half & 0x7fff) << 13;
	uint32_t	finite = llm_bits_of_float(llm_float_of_bits(magnitude) * 0x1p112f);
	uint32_t	quiet = magnitude > 0x0f800000 ? 0x00400000 : 0;
	uint32_t	bits = magnitude >= 0x0f800000 ? (magnitude | 0x7f800000 | quiet) : finite;

	return llm_float_of_bits(sign | bits);
}

/* Nearest even.  Below 2^-14, adding 0.5 leaves the rounding to the processor. */
static inline uint16_t
llm_half_nearest(float value)
{
	uint32_t	sign = llm_bits_of_float(value) >> 16 & 0x8000;
	uint32_t	magnitude = llm_bits_of_float(value) & 0x7fffffff;

	if (magnitude > 0x7f800000)
		return sign | 0x7e00 | (magnitude >> 13 & 0x03ff);
	if (magnitude >= 0x47800000)
		return sign | 0x7c00;
	if (magnitude < 0x38800000)
		return sign | (llm_bits_of_float(llm_float_of_bits(magnitude) + 0.5f) - 0x3f000000);
	return sign | ((magnitude - 0x38000000 + 0x0fff + (magnitude >> 13 & 1)) >> 13);
}

static inline float
llm_bfloat16_value(uint16_t bits)
{
	return llm_float_of_bits((uint32_t) bits << 16);
}

/* One element of a tensor of type F32, F16 or BF16, of any alignment. */
static inline float
llm_float_element(LlmTensorType type, const void *bytes)
{
	uint32_t	word = 0;

	if (type == LLM_F32)
	{
		memcpy(&word, bytes, sizeof(float));
		return llm_float_of_bits(word);
	}
	memcpy(&word, bytes, sizeof(uint16_t));
	return type == LLM_F16 ? llm_half_value((uint16_t) word) : llm_bfloat16_value((uint16_t) word);
}

#endif							/* LLM_HALF_H */
