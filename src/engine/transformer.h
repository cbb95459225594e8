/*
 * transformer.h
 *		The forward pass of Llama 2 (Touvron et al. 2023, section 2.2) for any number of sequences in one step.
 *
 * A step takes slices: consecutive tokens of one sequence each (one token when
 * decoding, a chunk of the prompt when prefilling), all of which are a prompt's or none.  It runs in one parallel
 * region with barriers inside; all buffers are claimed when the context is created.
 */
#ifndef LLM_TRANSFORMER_H
#define LLM_TRANSFORMER_H

#include "engine/kv_cache.h"

typedef struct LlmTransformer LlmTransformer;

typedef struct LlmTransformerOptions
{
	int32_t		n_threads;		/* >= 1 */
	int32_t		max_tokens;		/* in one step, over all slices */
	int32_t		max_logits;		/* rows of logits in one step */
	int32_t		max_slices;
	int32_t		max_positions;	/* greatest position + 1 of any token */
	bool		use_blas;		/* float matrices with many columns through OpenBLAS (other bits) */
} LlmTransformerOptions;

typedef struct LlmSlice
{
	const int32_t *tokens;		/* [n_tokens] */
	int32_t		n_tokens;
	int32_t		first_position; /* positions below are in the cache already */
	int32_t		n_logits;		/* logits wanted for the last n_logits tokens, */
	int32_t		n_states;		/* or the final states of the last n_states */
	bool		is_prompt;		/* a prompt's tokens may have other bits (kernels.h) */
	const LlmPageTable *pages;	/* covers first_position + n_tokens positions */

	bool		dropped;		/* set by between_layers: stop computing this slice */

	/* out: the first of its rows in llm_transformer_logits, or in llm_transformer_state */
	int32_t		first_logits;
	int32_t		first_state;
} LlmSlice;

typedef struct LlmStep
{
	LlmSlice   *slices;
	int32_t		n_slices;

	/*
	 * Called by the main thread after each layer, may set dropped on slices;
	 * the others' bits do not change.  NULL for none.
	 */
	void		(*between_layers) (void *arg);
	void	   *arg;
} LlmStep;

extern LlmTransformer *llm_transformer_create(const LlmModel *model, const LlmKernels *kernels,
											  LlmKvCache *cache, const LlmTransformerOptions *options,
											  LlmError *error);
extern void llm_transformer_free(LlmTransformer *transformer);

/* Bytes of activations that llm_transformer_create will claim. */
extern uint64_t llm_transformer_bytes(const LlmModelConfig *config, const LlmTransformerOptions *options);

/* Run one step.  The limits of the options must hold; tokens must be in the vocabulary. */
extern void llm_transformer_step(LlmTransformer *transformer, LlmStep *step);

/* Do a prompt's tokens have other bits than generated ones?  (kernels.h, prompt_matmul) */
extern bool llm_transformer_prompts_differ(const LlmTransformer *transformer);

/* Row of logits [vocabulary_size] of the latest step. */
extern float *llm_transformer_logits(LlmTransformer *transformer, int32_t row);

/* Final state [dim] of a token of the latest step: after the last layer and the norm, what the classifier reads. */
extern const float *llm_transformer_state(const LlmTransformer *transformer, int32_t row);

#endif							/* LLM_TRANSFORMER_H */
