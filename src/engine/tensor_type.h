/*
 * tensor_type.h
 *		The thirteen GGUF tensor types that the engine serves.
 *
 * Numbers and block layouts are those of the GGUF specification (ggml's
 * ggml_type and block_* structures).
 */
#ifndef LLM_TENSOR_TYPE_H
#define LLM_TENSOR_TYPE_H

#include "text/base.h"

typedef enum LlmTensorType
{
	LLM_F32 = 0,
	LLM_F16 = 1,
	LLM_Q4_0 = 2,
	LLM_Q4_1 = 3,
	LLM_Q5_0 = 6,
	LLM_Q5_1 = 7,
	LLM_Q8_0 = 8,
	LLM_Q2_K = 10,
	LLM_Q3_K = 11,
	LLM_Q4_K = 12,
	LLM_Q5_K = 13,
	LLM_Q6_K = 14,
	LLM_BF16 = 30,
	LLM_TENSOR_TYPE_LIMIT = 31
} LlmTensorType;

typedef struct LlmTensorTypeInfo
{
	LlmTensorType type;
	const char *name;			/* "Q4_0" */
	int32_t		block_weights;	/* weights in one block: 1, 32 or 256 */
	int32_t		block_bytes;	/* bytes of one block in the file */
} LlmTensorTypeInfo;

/* NULL for a number that is none of the thirteen. */
extern const LlmTensorTypeInfo *llm_tensor_type_info(uint32_t type);

/* All of them, for tests and tables; *count is 13. */
extern const LlmTensorTypeInfo *llm_tensor_types(int *count);

/*
 * One row of a file's tensor to floats: n weights (a multiple of the type's
 * block) from row, into out[n].  The reference for every packed layout.
 */
extern void llm_dequantize_row(LlmTensorType type, const void *row, int64_t n, float *out);

extern float llm_half_to_float(uint16_t half);
extern uint16_t llm_float_to_half(float value); /* nearest even */

#endif							/* LLM_TENSOR_TYPE_H */
