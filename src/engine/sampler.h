/*
 * sampler.h
 *		From logits to the next token.
 *
 * The chain, in llama.cpp's order.  First what changes logits:
 *	 logit bias		added; -INFINITY bans
 *	 end of text	banned by ignore_eos and before min_tokens
 *	 penalties		repeat (Keskar et al. 2019, "CTRL", section 4.1), frequency and presence (OpenAI's API reference)
 *	 DRY			against going on with a repetition (p-e-w, text-generation-webui pull request 5677; sampler_dry.c)
 *	 mask			what a grammar does not allow is banned
 * then, at temperature 0, the greatest logit; else what leaves candidates out (sampler_filters.c):
 *	 top_n_sigma	Tang et al. 2024, "Top-n-sigma: Not All Logits Are You Need", section 3
 *	 top_k			Fan et al. 2018, "Hierarchical Neural Story Generation", section 5.4
 *	 typical_p		Meister et al. 2022, "Locally Typical Sampling", section 3
 *	 top_p			Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration", section 3.1
 *	 min_p			Nguyen et al. 2024, "Turning Up the Heat: Min-p Sampling", section 3
 *	 XTC			exclude top choices (p-e-w, text-generation-webui pull request 6335)
 *	 temperature	dynamic where asked for (llama.cpp pull request 4972)
 * and the draw.  With mirostat (Basu et al. 2021; sampler_mirostat.c) temperature, mirostat's own cut and the draw are all that
 * follows the logits.  Each step sees what the one before has left, its probabilities at temperature 1 made to sum up
 * to 1 again, and leaves at least one candidate.
 *
 * Everything is computed on one thread in a fixed order, and ties are broken by the lower token id, so that a token
 * depends on the logits, the options, the tokens before it, the count of those generated, and mirostat's state, which
 * itself is a function of these: on nothing else.
 */
#ifndef LLM_SAMPLER_H
#define LLM_SAMPLER_H

#include <string.h>

#include "engine/kernels/kernels.h"
#include "text/vocabulary.h"

#define LLM_MAX_LOGIT_BIAS 64
#define LLM_MAX_DRY_BREAKERS 16
#define LLM_MAX_DRY_BREAKER_BYTES 40	/* in one */

/* Strings that begin a text anew for DRY: one after another. */
typedef struct LlmDryBreakers
{
	int32_t		n;
	uint8_t		lengths[LLM_MAX_DRY_BREAKERS];	/* >= 1 */
	char		bytes[LLM_MAX_DRY_BREAKERS * LLM_MAX_DRY_BREAKER_BYTES];
} LlmDryBreakers;

typedef struct LlmSamplingOptions
{
	float		temperature;	/* >= 0; 0 is greedy */
	float		top_p;			/* (0, 1]; 1 = off */
	int32_t		top_k;			/* >= 0; 0 = off */
	float		min_p;			/* [0, 1]; 0 = off */
	float		typical_p;		/* (0, 1]; 1 = off */
	float		top_n_sigma;	/* standard deviations below the greatest logit; <= 0 = off */
	float		xtc_probability;	/* [0, 1]; 0 = off */
	float		xtc_threshold;	/* [0, 1]; greater than 0.5 = off */
	float		dynatemp_range; /* temperature - range to temperature + range; 0 = off */
	float		dynatemp_exponent;	/* of the entropy, divided by the greatest possible */
	int32_t		mirostat;		/* 0 = off, 1 or 2 the version */
	float		mirostat_tau;	/* surprise that is aimed at, in bits */
	float		mirostat_eta;	/* learning rate */
	float		repeat_penalty; /* > 0; 1 = off */
	float		frequency_penalty;	/* subtracted once per occurrence; 0 = off */
	float		presence_penalty;	/* subtracted once if it occurs; 0 = off */
	int32_t		repeat_last_n;	/* tokens that penalties look back on, prompt included; -1 = all */
	float		dry_multiplier; /* >= 0; 0 = off */
	float		dry_base;		/* >= 1 */
	int32_t		dry_allowed_length; /* >= 1; less is no repetition */
	int32_t		dry_penalty_last_n; /* tokens that DRY looks back on; -1 = all */
	LlmDryBreakers dry_breakers;
	uint64_t	seed;
	int32_t		n_logit_bias;
	int32_t		logit_bias_token[LLM_MAX_LOGIT_BIAS];
	float		logit_bias_value[LLM_MAX_LOGIT_BIAS];	/* -INFINITY bans */
	bool		ignore_eos;
	int32_t		min_tokens;		/* end of text is banned before so many tokens */
} LlmSamplingOptions;

/* False where there is no room for it, or it is empty. */
static inline bool
llm_add_dry_breaker(LlmDryBreakers *breakers, const char *bytes, size_t length)
{
	char	   *end = breakers->bytes;

	if (breakers->n == LLM_MAX_DRY_BREAKERS || length < 1 || length > LLM_MAX_DRY_BREAKER_BYTES)
		return false;
	for (int32_t i = 0; i < breakers->n; i++)
		end += breakers->lengths[i];
	memcpy(end, bytes, length);
	breakers->lengths[breakers->n++] = (uint8_t) length;
	return true;
}

/* Inline, so that what only fills in options need not link the engine. */
static inline void
llm_sampling_defaults(LlmSamplingOptions *options)
{
	memset(options, 0, sizeof(*options));
	options->temperature = 0.6f;
	options->top_p = 0.9f;
	options->top_k = 40;
	options->typical_p = 1.0f;
	options->xtc_threshold = 0.1f;
	options->dynatemp_exponent = 1.0f;
	options->mirostat_tau = 5.0f;
	options->mirostat_eta = 0.1f;
	options->repeat_penalty = 1.0f;
	options->repeat_last_n = 64;
	options->dry_base = 1.75f;
	options->dry_allowed_length = 2;
	options->dry_penalty_last_n = 64;
	llm_add_dry_breaker(&options->dry_breakers, "\n", 1);
	llm_add_dry_breaker(&options->dry_breakers, ":", 1);
	llm_add_dry_breaker(&options->dry_breakers, "\"", 1);
	llm_add_dry_breaker(&options->dry_breakers, "*", 1);
}

typedef struct LlmSampler LlmSampler;

/*
 * Workspace for a vocabulary, shared by all sequences of an engine; DRY looks back on max_history tokens at most.
 * texts tells the tokens' texts, for DRY's breakers; NULL: there are none.
 */
extern LlmSampler *llm_sampler_create(const LlmKernels *kernels, int32_t vocabulary_size, int32_t eos_id,
									  int32_t max_history, const LlmVocabulary *texts, LlmError *error);
extern void llm_sampler_free(LlmSampler *sampler);

/* What one text's next token depends on beside its tokens; all zero at its beginning. */
typedef struct LlmSamplingState
{
	bool		begun;
	double		mirostat_mu;	/* the surprise that is allowed */
} LlmSamplingState;

/* Where in a text a token is chosen. */
typedef struct LlmSamplingPlace
{
	const int32_t *history;		/* [n_history] prompt and text so far */
	int32_t		n_history;
	int32_t		n_generated;	/* so far, those that history lacks too */
	const uint64_t *allowed;	/* a bit for each token that may come; NULL: all may */
	LlmSamplingState *state;	/* goes on; NULL where mirostat is off */
} LlmSamplingPlace;

typedef struct LlmSample
{
	int32_t		token;
	float		logprob;		/* log-softmax of the model's own logits, before any option */
} LlmSample;

/*
 * Choose the next token.  logits [vocabulary_size] is overwritten.  Draws come from a counter-based generator
 * (SplitMix64: Steele, Lea and Flood 2014) of (seed, n_generated).  Afterwards, where allowed was given,
 * llm_sample_logprob tells the log-probability of any token in the same row.
 */
extern LlmSample llm_sample(LlmSampler *sampler, const LlmSamplingOptions *options,
							const LlmSamplingPlace *place, float *logits);
extern float llm_sample_logprob(const LlmSampler *sampler, int32_t token);

/* The log-softmax of one token. */
extern float llm_token_logprob(LlmSampler *sampler, const float *logits, int32_t token);

/*
 * The n likeliest tokens, best first, with their log-softmax; where a broken model's logits are fewer numbers, the token
 * of those that are missing is -1.
 */
extern void llm_top_logprobs(LlmSampler *sampler, const float *logits, int32_t n, LlmSample *top);

#endif							/* LLM_SAMPLER_H */
