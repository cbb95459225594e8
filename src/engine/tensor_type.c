/*
 * tensor_type.c
 *		The table of tensor types, and rows of a file's tensors as floats.
 */
#include "engine/tensor_type.h"

#include "engine/block.h"
#include "engine/half.h"

static const LlmTensorTypeInfo types[] = {
	{LLM_F32, "F32", 1, 4},
	{LLM_F16, "F16", 1, 2},
	{LLM_BF16, "BF16", 1, 2},
	{LLM_Q4_0, "Q4_0", 32, 18},
	{LLM_Q4_1, "Q4_1", 32, 20},
	{LLM_Q5_0, "Q5_0", 32, 22},
	{LLM_Q5_1, "Q5_1", 32, 24},
	{LLM_Q8_0, "Q8_0", 32, 34},
	{LLM_Q2_K, "Q2_K", 256, 84},
	{LLM_Q3_K, "Q3_K", 256, 110},
	{LLM_Q4_K, "Q4_K", 256, 144},
	{LLM_Q5_K, "Q5_K", 256, 176},
	{LLM_Q6_K, "Q6_K", 256, 210},
};

#define N_TYPES ((int) (sizeof(types) / sizeof(types[0])))

const LlmTensorTypeInfo *
llm_tensor_type_info(uint32_t type)
{
	for (int i = 0; i < N_TYPES; i++)
		if ((uint32_t) types[i].type == type)
			return &types[i];
	return NULL;
}

const LlmTensorTypeInfo *
llm_tensor_types(int *count)
{
	*count = N_TYPES;
	return types;
}

void
llm_dequantize_row(LlmTensorType type, const void *row, int64_t n, float *out)
{
	const LlmTensorTypeInfo *info = llm_tensor_type_info(type);
	const uint8_t *bytes = row;

	for (int64_t i = 0; i < n; i += info->block_weights, bytes += info->block_bytes)
	{
		LlmBlock	block;

		if (info->block_weights == 1)
		{
			out[i] = llm_float_element(type, bytes);
			continue;
		}
		llm_block_read(type, bytes, &block);
		llm_block_values(type, &block, &out[i]);
	}
}

float
llm_half_to_float(uint16_t half)
{
	return llm_half_value(half);
}

uint16_t
llm_float_to_half(float value)
{
	return llm_half_nearest(value);
}
