/*
 * amx_prompt_round.c
 *		Activations of prompts to tiles of bfloat16.
 */
#if defined(__x86_64__)

#include <immintrin.h>

#include "engine/half.h"
#include "engine/kernels/amx.h"

static float greatest_magnitude(const float *x, int32_t n);
static void round_group(const float *x, __m512 scale, uint16_t *out);

void
amx_round_prompts(LlmPrompts *prompts, int32_t first, int32_t last)
{
	const int32_t width = prompts->width;

	for (int32_t column = first; column < last; column++)
	{
		const float *x = prompts->x + (int64_t) column * width;
		const int32_t exponent = (int32_t) (llm_bits_of_float(greatest_magnitude(x, width)) >> 23) - 127;
		const int32_t scaled = exponent < LLM_ROUNDED_EXPONENT - 126 ? LLM_ROUNDED_EXPONENT - 126 : exponent;
		const __m512 scale = _mm512_set1_ps(llm_float_of_bits((uint32_t) (LLM_ROUNDED_EXPONENT - scaled + 127) << 23));

		prompts->factor[column] = llm_float_of_bits((uint32_t) (scaled + 127) << 23);
		for (int32_t k = 0; k < width; k += LLM_GROUP)
			round_group(x + k, scale, prompts->rounded + llm_rounded_place(prompts, column, k / LLM_GROUP));
	}
}

/* An infinity, or a NaN, counts as 2^127. */
static float
greatest_magnitude(const float *x, int32_t n)
{
	const __m512 limit = _mm512_set1_ps(0x1p127f);
	__m512		most = _mm512_setzero_ps();

	for (int32_t i = 0; i < n; i += 16)
		most = _mm512_max_ps(most, _mm512_min_ps(_mm512_abs_ps(_mm512_loadu_ps(x + i)), limit));
	return _mm512_reduce_max_ps(most);
}

/* Of four numbers the second and the third change places: amx_prompt_unpack.h tells why. */
static void
round_group(const float *x, __m512 scale, uint16_t *out)
{
	const __m512 low = _mm512_mul_ps(_mm512_permute_ps(_mm512_loadu_ps(x), 0xd8), scale);
	const __m512 high = _mm512_mul_ps(_mm512_permute_ps(_mm512_loadu_ps(x + 16), 0xd8), scale);

	_mm512_store_si512(out, (__m512i) _mm512_cvtne2ps_pbh(high, low));
}

#endif							/* __x86_64__ */
