/*
 * kv_quantize.h
 *		Storing one position of a KV cache of type Q8_0, for every kernel set.
 *
 * The loops are such that a compiler makes vector code of them with whatever
 * the including file may use; the bytes are the same from all of them.
 */
#ifndef LLM_KV_QUANTIZE_H
#define LLM_KV_QUANTIZE_H

#include "engine/half.h"
#include "engine/kernels/kernels.h"

/*
 * Codes of n <= LLM_GROUP numbers; returns their scale, a half.  Compared as integers,
 * magnitudes have infinity and NaN above all numbers.  Adding 1.5 * 2^23 leaves
 * a small number rounded to nearest even in the lowest bits of the sum.
 */
static inline uint16_t
llm_kv_quantize_group(const float *x, int32_t n, int8_t *codes)
{
	const float rounder = 0x1.8p23f;
	uint32_t	max = 0;
	uint16_t	half;
	float		d;

	for (int32_t i = 0; i < n; i++)
	{
		uint32_t	magnitude = llm_bits_of_float(x[i]) & 0x7fffffff;

		max = magnitude > max ? magnitude : max;
	}
	half = llm_half_nearest(llm_float_of_bits(max) / 127.0f);
	d = llm_half_value(half);
	for (int32_t i = 0; i < n; i++)
	{
		float		ratio = half == 0 || half >= 0x7c00 ? 0.0f : x[i] / d;

		ratio = ratio > 127.0f ? 127.0f : ratio;
		ratio = ratio < -127.0f ? -127.0f : ratio;
		codes[i] = (int8_t) (llm_bits_of_float(ratio + rounder) - llm_bits_of_float(rounder));
	}
	return half;
}

static inline void
llm_kv_store_q8_0(const float *k, const float *v, int32_t head_dim, int32_t slot,
				  void *k_page, void *v_page)
{
	int8_t	   *keys = (int8_t *) k_page + slot;
	int8_t	   *values = (int8_t *) v_page + (int64_t) slot * head_dim;
	uint16_t   *key_scales = llm_kv_scales(k_page, head_dim) + slot;
	uint16_t   *value_scales = llm_kv_scales(v_page, head_dim) + slot;

	for (int64_t first = 0; first < head_dim; first += LLM_GROUP)
	{
		int32_t		n = head_dim - first < LLM_GROUP ? (int32_t) (head_dim - first) : LLM_GROUP;
		int8_t		codes[LLM_GROUP];

		*key_scales = llm_kv_quantize_group(k + first, n, codes);
		for (int64_t i = 0; i < n; i++)
			keys[(first + i) * LLM_KV_PAGE] = codes[i];
		*value_scales = llm_kv_quantize_group(v + first, n, values + first);
		key_scales += LLM_KV_PAGE;
		value_scales += LLM_KV_PAGE;
	}
}

#endif							/* LLM_KV_QUANTIZE_H */
