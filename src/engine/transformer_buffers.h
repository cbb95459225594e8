/*
 * transformer_buffers.h
 *		Everything that a step writes, claimed in one piece before the first.
 *
 * Rows belong to tokens of the step.  A stride (floats from one row to the next) is an odd number of cache lines, so that
 * the same features of many tokens spread over the caches' sets, and has room for the padding rows of a matrix's last panel.
 */
#ifndef LLM_TRANSFORMER_BUFFERS_H
#define LLM_TRANSFORMER_BUFFERS_H

#include "engine/transformer.h"

typedef struct LlmRows
{
	float	   *values;
	int64_t		stride;
} LlmRows;

/* What one thread alone uses. */
typedef struct LlmThreadBuffers
{
	const float **queries;		/* [queries of one piece of attention work] */
	float	  **outputs;
	int32_t    *lengths;
	const void **k_pages;		/* [pages of the longest sequence] */
	const void **v_pages;
	float	   *attention;		/* llm_attention_scratch */
	float	   *blas;			/* llm_matmul_blas_scratch, or NULL */
} LlmThreadBuffers;

/* Consecutive tokens of one slice. */
typedef struct LlmTokenRange
{
	LlmSlice   *slice;
	int32_t		first_row;
	int32_t		n_rows;
	int32_t		first_position;
} LlmTokenRange;

typedef struct LlmTransformerBuffers
{
	LlmRows		state;			/* the residual stream, [dim] */
	LlmRows		update;			/* what the latest product adds to it, [dim] */
	LlmRows		q;
	LlmRows		k;
	LlmRows		v;
	LlmRows		up;
	LlmRows		logits;			/* two rows for each row of logits where the classifier takes int8 */
	LlmRows		rope;			/* cosines and sines of the token's position */
	LlmInput	normed;			/* the state after a norm */
	LlmInput	attention;		/* the heads' outputs */
	LlmInput	hidden;			/* of the feed-forward layer */
	LlmInput	classified;		/* the classifier's input, each row followed by its rounding error */
	int32_t    *tokens;			/* [max_tokens] */
	int32_t    *positions;		/* [max_tokens] */
	LlmTokenRange *spans;		/* [max_slices] the slices still computed */
	LlmTokenRange *chunks;		/* [max_tokens] the spans, cut for attention */
	double	   *rope_frequencies;	/* [rope_dim / 2] */
	LlmThreadBuffers *threads;	/* [n_threads] */

	void	   *memory;			/* of all of them */
	uint64_t	n_bytes;
} LlmTransformerBuffers;

/* Tokens that one piece of attention work takes at most, and queries. */
extern int32_t llm_attention_chunk_tokens(const LlmModelConfig *config);
extern int32_t llm_attention_max_queries(const LlmModelConfig *config);

extern bool llm_transformer_buffers_claim(LlmTransformerBuffers *buffers, const LlmModelConfig *config,
										  const LlmTransformerOptions *options, LlmError *error);
extern void llm_transformer_buffers_free(LlmTransformerBuffers *buffers);

#endif							/* LLM_TRANSFORMER_BUFFERS_H */
