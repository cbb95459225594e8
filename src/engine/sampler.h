/*
 * sampler.h
 *		From logits to the next token.
 *
 * Order, as in llama.cpp: logit bias, penalties, top_k, top_p, min_p,
 * temperature, draw.  Everything is computed on one thread in a fixed order,
 * and ties are broken by the lower token id, so that a token depends on the
 * logits, the options, the seed and the count of tokens before it, on nothing else.
 */
#ifndef LLM_SAMPLER_H
#define LLM_SAMPLER_H

#include <string.h>

#include "engine/kernels/kernels.h"

#define LLM_MAX_LOGIT_BIAS 64

typedef struct LlmSamplingOptions
{
	float		temperature;	/* >= 0; 0 is greedy */
	float		top_p;			/* (0, 1]; 1 = off */
	int32_t		top_k;			/* >= 0; 0 = off */
	float		min_p;			/* [0, 1]; 0 = off */
	float		repeat_penalty; /* > 0; 1 = off (Keskar et al. 2019, section 4.1) */
	float		frequency_penalty;	/* subtracted once per occurrence; 0 = off */
	float		presence_penalty;	/* subtracted once if it occurs; 0 = off */
	int32_t		repeat_last_n;	/* tokens that penalties look back on, prompt included; -1 = all */
	uint64_t	seed;
	int32_t		n_logit_bias;
	int32_t		logit_bias_token[LLM_MAX_LOGIT_BIAS];
	float		logit_bias_value[LLM_MAX_LOGIT_BIAS];	/* -INFINITY bans */
	bool		ignore_eos;
	int32_t		min_tokens;		/* end of text is banned before so many tokens */
} LlmSamplingOptions;

/* Inline, so that what only fills in options need not link the engine. */
static inline void
llm_sampling_defaults(LlmSamplingOptions *options)
{
	memset(options, 0, sizeof(*options));
	options->temperature = 0.6f;
	options->top_p = 0.9f;
	options->top_k = 40;
	options->repeat_penalty = 1.0f;
	options->repeat_last_n = 64;
}

typedef struct LlmSampler LlmSampler;

/* Workspace for a vocabulary, shared by all sequences of an engine. */
extern LlmSampler *llm_sampler_create(const LlmKernels *kernels, int32_t vocabulary_size, int32_t eos_id, LlmError *error);
extern void llm_sampler_free(LlmSampler *sampler);

typedef struct LlmSample
{
	int32_t		token;
	float		logprob;		/* log-softmax of the model's own logits, before any option */
} LlmSample;

/*
 * Choose the token after history[n_history] (prompt and text so far; n_generated of them
 * generated).  logits [vocabulary_size] is overwritten.  Draws come from a counter-based generator
 * (SplitMix64: Steele, Lea and Flood 2014) of (seed, n_generated).
 */
extern LlmSample llm_sample(LlmSampler *sampler, const LlmSamplingOptions *options, float *logits,
							const int32_t *history, int32_t n_history, int32_t n_generated);

/*
 * The same among the tokens whose bit is set in allowed (at least one), whatever the options say of all others.
 * Afterwards llm_sample_logprob tells the log-probability of any token in the same row.
 */
extern LlmSample llm_sample_allowed(LlmSampler *sampler, const LlmSamplingOptions *options, float *logits,
									const int32_t *history, int32_t n_history, int32_t n_generated,
									const uint64_t *allowed);
extern float llm_sample_logprob(const LlmSampler *sampler, int32_t token);

/* The log-softmax of one token. */
extern float llm_token_logprob(LlmSampler *sampler, const float *logits, int32_t token);

#endif							/* LLM_SAMPLER_H */
