/*
 * sampler.c
 *		From logits to the next token: what changes logits, and the chain.
 */
#include "engine/sampler_private.h"

#include <math.h>
#include <stdlib.h>

struct LlmSampler
{
	const LlmKernels *kernels;
	const LlmVocabulary *texts;
	int32_t		vocabulary_size;
	int32_t		eos_id;			/* -1 where absent */
	float	   *raw;			/* [vocabulary_size] the model's logits, where options change them */
	float		log_sum;		/* of these */
	int32_t    *counts;			/* [vocabulary_size] 0 between calls */
	int32_t    *lengths;		/* [max_history] */
	LlmCandidate *items;		/* [vocabulary_size] */
};

static bool bans_eos(const LlmSampler *sampler, const LlmSamplingOptions *options, int32_t n_generated);
static bool has_penalties(const LlmSamplingOptions *options);
static void apply_bias(const LlmSampler *sampler, const LlmSamplingOptions *options, float *logits);
static void apply_penalties(LlmSampler *sampler, const LlmSamplingOptions *options, float *logits,
							const int32_t *history, int32_t n_history);
static void ban_others(const LlmSampler *sampler, float *logits, const uint64_t *allowed);
static int32_t choose(LlmSampler *sampler, const LlmSamplingOptions *options, const LlmSamplingPlace *place,
					  const float *logits);
static void filter(LlmSampler *sampler, const LlmSamplingOptions *options, int32_t n_generated, const float *logits,
				   float max_logit, LlmCandidates *candidates);
static int32_t first_allowed(const LlmSampler *sampler, const float *logits, const uint64_t *allowed);
static double uniform(uint64_t seed, int32_t n_generated);
static float log_probability(float logit, float log_sum);

/* Makes another sequence of a seed, for XTC's chances. */
#define XTC_SEED UINT64_C(0x2545f4914f6cdd1d)

LlmSampler *
llm_sampler_create(const LlmKernels *kernels, int32_t vocabulary_size, int32_t eos_id, int32_t max_history,
				   const LlmVocabulary *texts, LlmError *error)
{
	LlmSampler *sampler = calloc(1, sizeof(LlmSampler));

	if (sampler != NULL)
	{
		sampler->kernels = kernels;
		sampler->texts = texts;
		sampler->vocabulary_size = vocabulary_size;
		sampler->eos_id = eos_id < vocabulary_size ? eos_id : -1;
		sampler->raw = calloc(vocabulary_size, sizeof(float));
		sampler->counts = calloc(vocabulary_size, sizeof(int32_t));
		sampler->lengths = calloc(max_history, sizeof(int32_t));
		sampler->items = calloc(vocabulary_size, sizeof(LlmCandidate));
	}
	if (sampler == NULL || sampler->raw == NULL || sampler->counts == NULL || sampler->lengths == NULL ||
		sampler->items == NULL)
	{
		llm_sampler_free(sampler);
		llm_fail(error, LLM_ERROR_OUT_OF_MEMORY,
				 "out of memory for sampling from a vocabulary of %d tokens", vocabulary_size);
		return NULL;
	}
	return sampler;
}

void
llm_sampler_free(LlmSampler *sampler)
{
	if (sampler == NULL)
		return;
	free(sampler->raw);
	free(sampler->counts);
	free(sampler->lengths);
	free(sampler->items);
	free(sampler);
}

LlmSample
llm_sample(LlmSampler *sampler, const LlmSamplingOptions *options, const LlmSamplingPlace *place, float *logits)
{
	float		log_sum = sampler->kernels->log_sum_exp(logits, sampler->vocabulary_size);
	bool		ban_eos = bans_eos(sampler, options, place->n_generated);
	const float *raw = logits;
	LlmSample	sample;

	sampler->log_sum = log_sum;
	if (ban_eos || options->n_logit_bias > 0 || has_penalties(options) || options->dry_multiplier > 0 ||
		place->allowed != NULL)
	{
		memcpy(sampler->raw, logits, sampler->vocabulary_size * sizeof(float));
		raw = sampler->raw;
		apply_bias(sampler, options, logits);
		if (ban_eos)
			logits[sampler->eos_id] = -INFINITY;
		if (has_penalties(options))
			apply_penalties(sampler, options, logits, place->history, place->n_history);
		if (options->dry_multiplier > 0)
			llm_dry_penalize(options, sampler->texts, sampler->counts, sampler->lengths,
							 place->history, place->n_history, logits);
		if (place->allowed != NULL)
			ban_others(sampler, logits, place->allowed);
	}
	sample.token = choose(sampler, options, place, logits);
	sample.logprob = log_probability(raw[sample.token], log_sum);
	return sample;
}

float
llm_sample_logprob(const LlmSampler *sampler, int32_t token)
{
	return log_probability(sampler->raw[token], sampler->log_sum);
}

float
llm_token_logprob(LlmSampler *sampler, const float *logits, int32_t token)
{
	return log_probability(logits[token],
						   sampler->kernels->log_sum_exp(logits, sampler->vocabulary_size));
}

void
llm_top_logprobs(LlmSampler *sampler, const float *logits, int32_t n, LlmSample *top)
{
	float		log_sum = sampler->kernels->log_sum_exp(logits, sampler->vocabulary_size);
	LlmCandidates candidates = {.items = sampler->items};

	llm_keep_top_k(&candidates, logits, sampler->vocabulary_size, -INFINITY, n);
	for (int32_t i = 0; i < n; i++)
	{
		if (i < candidates.n)
			top[i] = (LlmSample) {candidates.items[i].token, log_probability(candidates.items[i].logit, log_sum)};
		else
			top[i] = (LlmSample) {-1, -INFINITY};
	}
}

static bool
bans_eos(const LlmSampler *sampler, const LlmSamplingOptions *options, int32_t n_generated)
{
	return sampler->eos_id >= 0 && (options->ignore_eos || n_generated < options->min_tokens);
}

static bool
has_penalties(const LlmSamplingOptions *options)
{
	return options->repeat_last_n != 0 &&
		(options->repeat_penalty != 1.0f || options->frequency_penalty != 0.0f ||
		 options->presence_penalty != 0.0f);
}

static void
apply_bias(const LlmSampler *sampler, const LlmSamplingOptions *options, float *logits)
{
	for (int32_t i = 0; i < options->n_logit_bias; i++)
	{
		int32_t		token = options->logit_bias_token[i];

		if (token < 0 || token >= sampler->vocabulary_size)
			continue;
		if (options->logit_bias_value[i] == -INFINITY)
			logits[token] = -INFINITY;	/* even where the logit is NaN */
		else
			logits[token] += options->logit_bias_value[i];
	}
}

/*
 * The repeat penalty divides a positive logit and multiplies a negative one,
 * once for each token that occurs (Keskar et al. 2019, with the sign's correction
 * that everybody uses); the other two are subtracted.
 */
static void
apply_penalties(LlmSampler *sampler, const LlmSamplingOptions *options, float *logits,
				const int32_t *history, int32_t n_history)
{
	int32_t		n_window = llm_window(n_history, options->repeat_last_n);

	history += n_history - n_window;
	for (int32_t i = 0; i < n_window; i++)
		sampler->counts[history[i]]++;
	for (int32_t i = 0; i < n_window; i++)
	{
		int32_t		token = history[i];
		int32_t		count = sampler->counts[token];
		float	   *logit = &logits[token];

		if (count == 0)
			continue;			/* done at an earlier place */
		sampler->counts[token] = 0;
		*logit = *logit > 0 ? *logit / options->repeat_penalty : *logit * options->repeat_penalty;
		*logit -= (float) count * options->frequency_penalty + options->presence_penalty;
	}
}

/* Most words of a mask are all ones or all zeros. */
static void
ban_others(const LlmSampler *sampler, float *logits, const uint64_t *allowed)
{
	for (int32_t first = 0; first < sampler->vocabulary_size; first += 64)
	{
		uint64_t	word = allowed[first / 64];
		int32_t		n = sampler->vocabulary_size - first < 64 ? sampler->vocabulary_size - first : 64;

		if (word == UINT64_MAX)
			continue;
		for (int32_t i = 0; i < n; i++)
			logits[first + i] = word >> i & 1 ? logits[first + i] : -INFINITY;
	}
}

static int32_t
choose(LlmSampler *sampler, const LlmSamplingOptions *options, const LlmSamplingPlace *place, const float *logits)
{
	int32_t		greedy = sampler->kernels->argmax(logits, sampler->vocabulary_size);
	float		max_logit = logits[greedy];
	double		temperature = options->temperature;
	LlmCandidates candidates = {.items = sampler->items};

	if (isnan(max_logit) || max_logit == -INFINITY)
		return first_allowed(sampler, logits, place->allowed);
	if (options->temperature == 0.0f || max_logit == INFINITY)
		return greedy;
	if (options->mirostat != 0)
		return llm_mirostat_choose(options, place->state, &candidates, logits, sampler->vocabulary_size,
								   uniform(options->seed, place->n_generated));
	if (options->top_k == 1)
		return greedy;

	filter(sampler, options, place->n_generated, logits, max_logit, &candidates);
	if (options->dynatemp_range > 0.0f)
		temperature = llm_dynamic_temperature(&candidates, temperature, options->dynatemp_range,
											  options->dynatemp_exponent);
	return llm_draw(&candidates, llm_weigh(&candidates, temperature), uniform(options->seed, place->n_generated));
}

/* What leaves candidates out, in the chain's order. */
static void
filter(LlmSampler *sampler, const LlmSamplingOptions *options, int32_t n_generated, const float *logits,
	   float max_logit, LlmCandidates *candidates)
{
	float		least = -INFINITY;

	if (options->top_n_sigma > 0.0f)
		least = llm_top_n_sigma_least(logits, sampler->vocabulary_size, max_logit, options->top_n_sigma);
	if (options->top_k > 0 && options->top_k < sampler->vocabulary_size)
		llm_keep_top_k(candidates, logits, sampler->vocabulary_size, least, options->top_k);
	else
		llm_keep_all(candidates, logits, sampler->vocabulary_size, least);
	if (options->typical_p < 1.0f)
		llm_keep_typical(candidates, logits, options->typical_p);
	if (options->top_p < 1.0f)
		llm_keep_top_p(candidates, options->top_p);
	if (options->min_p > 0.0f)
		llm_keep_min_p(candidates, options->min_p);
	if (options->xtc_probability > 0.0f && options->xtc_threshold <= 0.5f &&
		uniform(options->seed ^ XTC_SEED, n_generated) < options->xtc_probability)
		llm_exclude_top_choices(candidates, options->xtc_threshold);
}

/* No logit can be compared: the first token that no option bans, else the first of those allowed. */
static int32_t
first_allowed(const LlmSampler *sampler, const float *logits, const uint64_t *allowed)
{
	for (int32_t token = 0; token < sampler->vocabulary_size; token++)
	{
		if (logits[token] != -INFINITY)
			return token;
	}
	for (int32_t token = 0; allowed != NULL && token < sampler->vocabulary_size; token++)
	{
		if (allowed[token / 64] >> (token % 64) & 1)
			return token;
	}
	return 0;
}

/* In [0, 1). */
static double
uniform(uint64_t seed, int32_t n_generated)
{
	uint64_t	z = seed + ((uint64_t) n_generated + 1) * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	z ^= z >> 31;
	return (double) (z >> 11) * 0x1p-53;
}

/* What a broken model makes NaN counts as impossible, so that it can be compared. */
static float
log_probability(float logit, float log_sum)
{
	float		result = logit - log_sum;

	return isnan(result) ? -INFINITY : result;
}
