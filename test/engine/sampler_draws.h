/*
 * sampler_draws.h
 *		Random logits, and many draws from one row of them, for tests of the sampler.
 */
#ifndef SAMPLER_DRAWS_H
#define SAMPLER_DRAWS_H

#include <math.h>

#include "engine/sampler.h"
#include "tap.h"
#include "vocabulary_fixture.h"

#define N_DRAW 24				/* tokens of the small vocabulary */

/* Nothing is cut, nothing penalized. */
static inline LlmSamplingOptions
open_options(void)
{
	LlmSamplingOptions options;

	llm_sampling_defaults(&options);
	options.temperature = 1.0f;
	options.top_p = 1.0f;
	options.top_k = 0;
	return options;
}

static inline double
random_share(uint64_t *state)
{
	return next_random(state) / 4294967296.0;
}

static inline void
draw_logits(float *logits, int32_t n, double width, uint64_t *state)
{
	for (int32_t i = 0; i < n; i++)
		logits[i] = (float) ((random_share(state) - 0.5) * width);
}

/* The token drawn from a copy of the logits, n_generated tokens into a text. */
static inline int32_t
draw_token(LlmSampler *sampler, const LlmSamplingOptions *options, const float *logits, int32_t n,
		   LlmSamplingState *state, int32_t n_generated)
{
	LlmSamplingPlace place = {.n_generated = n_generated, .state = state};
	float		copy[4096];

	memcpy(copy, logits, (size_t) n * sizeof(float));
	return llm_sample(sampler, options, &place, copy).token;
}

/* Softmax of the logits of tokens that are kept, by the formula; 0 for others. */
static inline void
softmax_of_kept(const float *logits, const bool *kept, int32_t n, double temperature, double *p)
{
	double		greatest = -INFINITY;
	double		sum = 0;

	for (int32_t i = 0; i < n; i++)
	{
		if (kept[i] && logits[i] > greatest)
			greatest = logits[i];
	}
	for (int32_t i = 0; i < n; i++)
	{
		p[i] = kept[i] ? exp((logits[i] - greatest) / temperature) : 0;
		sum += p[i];
	}
	for (int32_t i = 0; i < n; i++)
		p[i] /= sum;
}

#endif							/* SAMPLER_DRAWS_H */
