/*
 * block.h
 *		What the ten quantized types have in common.
 *
 * A block is a number of weights and their scales.  Whatever its type, its
 * weights are unsigned codes, and a weight's value is
 *
 *		(d * scale[s]) * (code - offset) - m * min[s]
 *
 * with s the sub-block and integers scale[s] and min[s], which are the constants
 * 1 and -1 where the type stores none, and no last term where it has no m.  Files,
 * packed panels and kernels differ only in where they keep these parts.
 */
#ifndef LLM_BLOCK_H
#define LLM_BLOCK_H

#include "engine/tensor_type.h"

#define LLM_MAX_BLOCK 256

typedef struct LlmBlockLayout
{
	int32_t		weights;		/* in a block */
	int32_t		sub_weights;	/* that share scale[s] and min[s] */
	int32_t		low_bits;		/* of a code, in the vectors "low" */
	int32_t		high_bits;		/* in the vectors "high" */
	int32_t		offset;
	int32_t		sub_bytes;		/* that hold scale[] and min[] */
	bool		has_m;
} LlmBlockLayout;

/* X(type, weights, sub_weights, low_bits, high_bits, offset, sub_bytes, has_m) */
#define LLM_QUANTIZED_TYPES(X) \
	X(Q4_0, 32, 32, 4, 0, 8, 0, false) \
	X(Q4_1, 32, 32, 4, 0, 0, 0, true) \
	X(Q5_0, 32, 32, 4, 1, 16, 0, false) \
	X(Q5_1, 32, 32, 4, 1, 0, 0, true) \
	X(Q8_0, 32, 32, 8, 0, 128, 0, false) \
	X(Q2_K, 256, 16, 2, 0, 0, 16, true) \
	X(Q3_K, 256, 16, 2, 1, 4, 12, false) \
	X(Q4_K, 256, 32, 4, 0, 0, 12, true) \
	X(Q5_K, 256, 32, 4, 1, 0, 12, true) \
	X(Q6_K, 256, 16, 4, 2, 32, 16, false)

/* One block taken apart. */
typedef struct LlmBlock
{
	uint8_t		codes[LLM_MAX_BLOCK];
	uint8_t		sub[16];		/* as in the file */
	uint16_t	d;				/* half */
	uint16_t	m;				/* half; 0 where the type has none */
} LlmBlock;

/* NULL for a type that is not quantized. */
extern const LlmBlockLayout *llm_block_layout(LlmTensorType type);

extern void llm_block_read(LlmTensorType type, const uint8_t *bytes, LlmBlock *block);
extern void llm_block_values(LlmTensorType type, const LlmBlock *block, float *out);

/*
 * Where a packed group keeps the bits of quad q (matrix.h): the 64-byte vector,
 * and the shift within its bytes, of low or high vectors with so many bits of each weight.
 */
static inline int
llm_quad_vector(int bits, int q)
{
	return bits == 4 ? q % 4 : q * bits / 8;
}

static inline int
llm_quad_shift(int bits, int q)
{
	return bits == 4 ? q / 4 * 4 : q * bits % 8;
}

/*
 * scale[s] and min[s] from a block's sub bytes, of which byte i lies at
 * sub[i * stride].  The types' own packings are those of ggml.
 */
static inline int
llm_sub_scale(LlmTensorType type, const uint8_t *sub, int stride, int s)
{
	switch (type)
	{
		case LLM_Q2_K:
			return sub[s * stride] & 15;
		case LLM_Q3_K:
			return (sub[s % 8 * stride] >> s / 8 * 4 & 15) +
				((sub[(8 + s % 4) * stride] >> s / 4 * 2 & 3) << 4) - 32;
		case LLM_Q4_K:
		case LLM_Q5_K:
			if (s < 4)
				return sub[s * stride] & 63;
			return (sub[(s + 4) * stride] & 15) | sub[(s - 4) * stride] >> 6 << 4;
		case LLM_Q6_K:
			return (int8_t) sub[s * stride];
		default:
			return 1;
	}
}

static inline int
llm_sub_min(LlmTensorType type, const uint8_t *sub, int stride, int s)
{
	switch (type)
	{
		case LLM_Q2_K:
			return sub[s * stride] >> 4;
		case LLM_Q4_K:
		case LLM_Q5_K:
			if (s < 4)
				return sub[(s + 4) * stride] & 63;
			return sub[(s + 4) * stride] >> 4 | sub[s * stride] >> 6 << 4;
		default:
			return -1;
	}
}

#endif							/* LLM_BLOCK_H */
