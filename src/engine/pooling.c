/*
 * pooling.c
 *		One vector of the final states of a text's tokens.
 */
#include "engine/pooling.h"

#include <math.h>
#include <stdlib.h>

struct LlmPool
{
	LlmPooling	pooling;
	int32_t		n_tokens;
	int32_t		dim;
	int32_t		next;
	double		weights;		/* their sum so far */
	double		sum[];			/* [dim] of states, each times its weight */
};

static double weight_of(const LlmPool *pool, int32_t position);

LlmPool *
llm_pool_create(LlmPooling pooling, int32_t n_tokens, int32_t dim)
{
	LlmPool    *pool = calloc(1, sizeof(LlmPool) + (size_t) dim * sizeof(double));

	if (pool == NULL)
		return NULL;
	pool->pooling = pooling;
	pool->n_tokens = n_tokens;
	pool->dim = dim;
	pool->next = pooling == LLM_POOL_LAST ? n_tokens - 1 : 0;
	return pool;
}

void
llm_pool_free(LlmPool *pool)
{
	free(pool);
}

int32_t
llm_pool_next(const LlmPool *pool)
{
	return pool->next;
}

void
llm_pool_add(LlmPool *pool, const float *state)
{
	double		weight = weight_of(pool, pool->next++);

	pool->weights += weight;
	for (int32_t i = 0; i < pool->dim; i++)
		pool->sum[i] += weight * (double) state[i];
}

void
llm_pool_vector(const LlmPool *pool, bool normalize, float *vector)
{
	double		divisor = pool->weights;

	if (normalize)
	{
		double		squares = 0;

		for (int32_t i = 0; i < pool->dim; i++)
			squares += pool->sum[i] * pool->sum[i];
		if (squares > 0)
			divisor = sqrt(squares);
	}
	for (int32_t i = 0; i < pool->dim; i++)
		vector[i] = (float) (pool->sum[i] / divisor);
}

/* Later tokens have seen more of the text (Muennighoff 2022, SGPT). */
static double
weight_of(const LlmPool *pool, int32_t position)
{
	return pool->pooling == LLM_POOL_WEIGHTED ? position + 1 : 1;
}
