/*
 * pooling.h
 *		One vector of the final states of a text's tokens.
 *
 * States are added in the order of their tokens, in float64, so that the bits of the vector do not
 * depend on how the text was cut into chunks.  Each state is taken once: of a text that is computed
 * again from its beginning those that were taken are not wanted again.
 */
#ifndef LLM_POOLING_H
#define LLM_POOLING_H

#include "engine/engine.h"

typedef struct LlmPool LlmPool;

/* For n_tokens states of dim floats; NULL for want of memory. */
extern LlmPool *llm_pool_create(LlmPooling pooling, int32_t n_tokens, int32_t dim);
extern void llm_pool_free(LlmPool *pool);

/* The next position whose state is wanted: n_tokens when there is none. */
extern int32_t llm_pool_next(const LlmPool *pool);
extern void llm_pool_add(LlmPool *pool, const float *state);

/* The vector [dim] of all states, at length 1 where that is wanted. */
extern void llm_pool_vector(const LlmPool *pool, bool normalize, float *vector);

#endif							/* LLM_POOLING_H */
