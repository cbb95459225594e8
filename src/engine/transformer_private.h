/*
 * transformer_private.h
 *		What the files of the transformer share.
 */
#ifndef LLM_TRANSFORMER_PRIVATE_H
#define LLM_TRANSFORMER_PRIVATE_H

#include "engine/parallel.h"
#include "engine/transformer_buffers.h"

struct LlmTransformer
{
	LlmTeam		team;
	const LlmModel *model;
	const LlmKernels *kernels;
	LlmKvCache *cache;
	LlmTransformerOptions options;
	LlmTransformerBuffers buffers;

	/* The step; changed by thread 0 alone, while the others are held. */
	LlmStep    *step;
	int32_t		n_tokens;
	int32_t		n_spans;
	int32_t		n_chunks;
	int32_t		heads_per_unit; /* query heads of one unit of attention work */
	bool		whole_spans;	/* a unit of attention work can store all the keys that it reads */
	bool		all_wanted;		/* of every token logits or state */
	int32_t		n_classified;	/* the first so many rows are of slices without states, */
	int32_t		n_generated;	/* and of these the first so many of slices that are no prompts */
};

/* One thread in a step. */
typedef struct LlmThread
{
	LlmTransformer *transformer;
	LlmThreadBuffers *own;
	int32_t		thread;
	int32_t		n_threads;
} LlmThread;

/* transformer_rows.c: the tokens of the step that are still computed. */

/* Give every token of the slices a row. */
extern void llm_transformer_load_rows(LlmTransformer *t, LlmStep *step);

/*
 * Close the gaps that dropped slices leave; with only_wanted keep of each
 * slice its last n_logits or n_states tokens.
 */
extern void llm_transformer_keep_rows(LlmTransformer *t, bool only_wanted);

/*
 * transformer_attention.c: every thread's part of one layer's attention, from
 * the products q, k and v to the heads' outputs; begins and ends without a meeting.
 */
extern void llm_transformer_attention(const LlmThread *w, int32_t layer);

static inline float *
llm_row(LlmRows rows, int32_t row)
{
	return rows.values + row * rows.stride;
}

#endif							/* LLM_TRANSFORMER_PRIVATE_H */
