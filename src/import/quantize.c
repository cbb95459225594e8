/*
 * quantize.c
 *		Rows of floats to rows of a file's tensors.
 */
#include "import/quantize.h"

#include "engine/half.h"

typedef void (*Search) (LlmTensorType type, const float *weights, QuantizedBlock *block);

static Search choose_search(void);

void
quantize_row(LlmTensorType type, const float *weights, int64_t n, void *out)
{
	const LlmTensorTypeInfo *info = llm_tensor_type_info(type);
	uint8_t    *bytes = out;
	Search		search = choose_search();

	for (int64_t i = 0; i < n; i += info->block_weights, bytes += info->block_bytes)
	{
		QuantizedBlock block;
		uint16_t	half;

		switch (type)
		{
			case LLM_F32:
				memcpy(bytes, &weights[i], sizeof(float));
				break;
			case LLM_F16:
				half = llm_half_nearest(weights[i]);
				memcpy(bytes, &half, sizeof(half));
				break;
			case LLM_BF16:
				{
					uint32_t	bits = llm_bits_of_float(weights[i]);

					/* Nearest even. */
					half = (uint16_t) ((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
					memcpy(bytes, &half, sizeof(half));
					break;
				}
			default:
				search(type, &weights[i], &block);
				quantize_pack(type, &block, bytes);
		}
	}
}

/* The scales are halves, whose greatest is 65504; BF16 rounds its last few to infinity. */
float
quantize_limit(LlmTensorType type)
{
	if (type == LLM_F32)
		return 3.4028235e38f;
	return type == LLM_BF16 ? 3.38e38f : 65504.0f;
}

static Search
choose_search(void)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2"))
		return quantize_search_avx2;
#endif
	return quantize_search_generic;
}
