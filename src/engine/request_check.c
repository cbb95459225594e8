/*
 * request_check.c
 *		Limits of prompts, stop strings and sampling options.
 */
#include "engine/request_check.h"

#include <float.h>
#include <math.h>

#include "engine/stop_match.h"

static bool check_generate(const LlmRequest *request, const LlmVocabulary *vocabulary,
						   int32_t context_length, LlmError *error);
static bool check_score(const LlmRequest *request, int32_t context_length, LlmError *error);
static bool check_embed(const LlmRequest *request, int32_t context_length, LlmError *error);
static bool check_fits(const LlmRequest *request, int32_t context_length, LlmError *error);
static bool check_top(const LlmRequest *request, LlmError *error);
static bool check_stops(const LlmRequest *request, LlmError *error);
static bool check_sampling(const LlmSamplingOptions *sampling, int32_t n_vocabulary, LlmError *error);
static bool check_dry_breakers(const LlmDryBreakers *breakers, LlmError *error);
static bool check_logit_bias(const LlmSamplingOptions *sampling, int32_t n_vocabulary, LlmError *error);
static bool check_range(const char *name, double value, double least, double greatest, LlmError *error);

bool
llm_request_check(const LlmRequest *request, const LlmVocabulary *vocabulary,
				  int32_t context_length, LlmError *error)
{
	int32_t		n_vocabulary = llm_vocabulary_count(vocabulary);

	if (request->prompt == NULL || request->n_prompt < 1)
		return llm_fail(error, LLM_ERROR_ARGUMENT, "the prompt is empty");
	if (request->kind == LLM_EMBED ? request->embedding == NULL : request->results == NULL)
		return llm_fail(error, LLM_ERROR_ARGUMENT, "a request needs room for its results");
	if (request->kind == LLM_GENERATE)
	{
		if (!check_generate(request, vocabulary, context_length, error))
			return false;
	}
	else if (request->kind == LLM_SCORE)
	{
		if (!check_score(request, context_length, error))
			return false;
	}
	else if (request->kind == LLM_EMBED)
	{
		if (!check_embed(request, context_length, error))
			return false;
	}
	else
		return llm_fail(error, LLM_ERROR_ARGUMENT, "unknown kind of request %d", (int) request->kind);

	for (int32_t i = 0; i < request->n_prompt; i++)
	{
		int32_t		token = request->prompt[i] & ~LLM_ANSWER_TOKEN;

		if (token < 0 || token >= n_vocabulary)
			return llm_fail(error, LLM_ERROR_ARGUMENT,
							"token %d of the prompt is %d, outside the vocabulary of %d tokens",
							i + 1, token, n_vocabulary);
	}
	return true;
}

static bool
check_generate(const LlmRequest *request, const LlmVocabulary *vocabulary, int32_t context_length,
			   LlmError *error)
{
	int32_t		max_tokens;

	if (request->max_tokens < 1)
		return llm_fail(error, LLM_ERROR_ARGUMENT, "max_tokens is %d, but must be at least 1",
						request->max_tokens);
	if (request->context_length < 0)
		return llm_fail(error, LLM_ERROR_ARGUMENT, "the context length is %d, but must be at least 0",
						request->context_length);
	if (request->context_length > 0 && request->context_length < context_length)
		context_length = request->context_length;
	if (!check_top(request, error))
		return false;
	if (request->n_prompt >= context_length)
	{
		llm_fail(error, LLM_ERROR_LIMIT,
				 "a prompt of %d tokens leaves no room in the context of %d tokens",
				 request->n_prompt, context_length);
		return llm_hint(error, "Shorten the prompt.");
	}

	/* Lengths of texts are counted in 32 bits. */
	max_tokens = request->max_tokens;
	if (!request->shift_context && max_tokens > context_length)
		max_tokens = context_length;
	if ((uint64_t) max_tokens * llm_vocabulary_max_token_bytes(vocabulary) > UINT32_MAX)
		return llm_fail(error, LLM_ERROR_LIMIT,
						"%d tokens of up to %u bytes each make too long a text", max_tokens,
						llm_vocabulary_max_token_bytes(vocabulary));
	return check_stops(request, error) &&
		check_sampling(&request->sampling, llm_vocabulary_count(vocabulary), error);
}

static bool
check_score(const LlmRequest *request, int32_t context_length, LlmError *error)
{
	if (!check_fits(request, context_length, error))
		return false;
	if (request->score_from < 1 || request->score_from >= request->n_prompt)
		return llm_fail(error, LLM_ERROR_ARGUMENT,
						"score_from is %d, but must be from 1 to %d for a text of %d tokens",
						request->score_from, request->n_prompt - 1, request->n_prompt);
	return check_top(request, error) && check_stops(request, error);
}

static bool
check_top(const LlmRequest *request, LlmError *error)
{
	if (request->n_top < 0 || request->n_top > LLM_MAX_TOP_LOGPROBS || (request->n_top > 0 && request->top == NULL))
		return llm_fail(error, LLM_ERROR_ARGUMENT, "%d likeliest tokens at each place, but there is room for %d",
						request->n_top, request->top == NULL ? 0 : LLM_MAX_TOP_LOGPROBS);
	return true;
}

static bool
check_embed(const LlmRequest *request, int32_t context_length, LlmError *error)
{
	if ((int) request->pooling < LLM_POOL_MEAN || request->pooling > LLM_POOL_LAST)
		return llm_fail(error, LLM_ERROR_ARGUMENT, "unknown pooling %d", (int) request->pooling);
	return check_fits(request, context_length, error);
}

static bool
check_fits(const LlmRequest *request, int32_t context_length, LlmError *error)
{
	if (request->n_prompt <= context_length)
		return true;
	llm_fail(error, LLM_ERROR_LIMIT, "a text of %d tokens is longer than the context of %d tokens",
			 request->n_prompt, context_length);
	return llm_hint(error, "Shorten the text.");
}

static bool
check_stops(const LlmRequest *request, LlmError *error)
{
	if (request->n_stops < 0 || request->n_stops > LLM_MAX_STOPS)
		return llm_fail(error, LLM_ERROR_ARGUMENT, "%d stop strings, but at most %d are allowed",
						request->n_stops, LLM_MAX_STOPS);
	for (int32_t i = 0; i < request->n_stops; i++)
	{
		if (request->stops[i] == NULL || request->stop_lengths[i] < 1)
			return llm_fail(error, LLM_ERROR_ARGUMENT, "stop string %d is empty", i + 1);
		if (request->stop_lengths[i] > LLM_MAX_STOP_BYTES)
			return llm_fail(error, LLM_ERROR_ARGUMENT,
							"stop string %d is %u bytes long, but at most %d are allowed",
							i + 1, request->stop_lengths[i], LLM_MAX_STOP_BYTES);
	}
	return true;
}

static bool
check_sampling(const LlmSamplingOptions *sampling, int32_t n_vocabulary, LlmError *error)
{
	const struct
	{
		const char *name;
		double		value;
		double		least;
		double		greatest;
	}			numbers[] = {
		{"temperature", sampling->temperature, 0, 1000},
		{"top_p", sampling->top_p, FLT_TRUE_MIN, 1},
		{"top_k", sampling->top_k, 0, INT32_MAX},
		{"min_p", sampling->min_p, 0, 1},
		{"typical_p", sampling->typical_p, FLT_TRUE_MIN, 1},
		{"top_n_sigma", sampling->top_n_sigma, -1000, 1000},
		{"xtc_probability", sampling->xtc_probability, 0, 1},
		{"xtc_threshold", sampling->xtc_threshold, 0, 1},
		{"dynatemp_range", sampling->dynatemp_range, 0, 1000},
		{"dynatemp_exponent", sampling->dynatemp_exponent, 0, 1000},
		{"mirostat", sampling->mirostat, 0, 2},
		{"mirostat_tau", sampling->mirostat_tau, 0, 1000},
		{"mirostat_eta", sampling->mirostat_eta, 0, 1000},
		{"repeat_penalty", sampling->repeat_penalty, FLT_TRUE_MIN, 1000},
		{"frequency_penalty", sampling->frequency_penalty, -1000, 1000},
		{"presence_penalty", sampling->presence_penalty, -1000, 1000},
		{"repeat_last_n", sampling->repeat_last_n, -1, INT32_MAX},
		{"dry_multiplier", sampling->dry_multiplier, 0, 1000},
		{"dry_base", sampling->dry_base, 1, 1000},
		{"dry_allowed_length", sampling->dry_allowed_length, 1, INT32_MAX},
		{"dry_penalty_last_n", sampling->dry_penalty_last_n, -1, INT32_MAX},
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
	{
		if (!check_range(numbers[i].name, numbers[i].value, numbers[i].least, numbers[i].greatest, error))
			return false;
	}
	return check_dry_breakers(&sampling->dry_breakers, error) && check_logit_bias(sampling, n_vocabulary, error);
}

static bool
check_dry_breakers(const LlmDryBreakers *breakers, LlmError *error)
{
	if (breakers->n < 0 || breakers->n > LLM_MAX_DRY_BREAKERS)
		return llm_fail(error, LLM_ERROR_ARGUMENT, "%d sequence breakers, but at most %d are allowed",
						breakers->n, LLM_MAX_DRY_BREAKERS);
	for (int32_t i = 0; i < breakers->n; i++)
	{
		if (breakers->lengths[i] < 1 || breakers->lengths[i] > LLM_MAX_DRY_BREAKER_BYTES)
			return llm_fail(error, LLM_ERROR_ARGUMENT, "sequence breaker %d has %d bytes, but must have from 1 to %d",
							i + 1, breakers->lengths[i], LLM_MAX_DRY_BREAKER_BYTES);
	}
	return true;
}

static bool
check_logit_bias(const LlmSamplingOptions *sampling, int32_t n_vocabulary, LlmError *error)
{
	if (sampling->n_logit_bias < 0 || sampling->n_logit_bias > LLM_MAX_LOGIT_BIAS)
		return llm_fail(error, LLM_ERROR_ARGUMENT, "%d logit biases, but at most %d are allowed",
						sampling->n_logit_bias, LLM_MAX_LOGIT_BIAS);
	for (int32_t i = 0; i < sampling->n_logit_bias; i++)
	{
		int32_t		token = sampling->logit_bias_token[i];
		float		value = sampling->logit_bias_value[i];

		if (token < 0 || token >= n_vocabulary)
			return llm_fail(error, LLM_ERROR_ARGUMENT,
							"logit bias %d is for token %d, outside the vocabulary of %d tokens",
							i + 1, token, n_vocabulary);
		if (isnan(value) || value == INFINITY)
			return llm_fail(error, LLM_ERROR_ARGUMENT,
							"the logit bias of token %d is %g, but must be a number or -Infinity",
							token, (double) value);
	}
	return true;
}

/* Also false for NaN. */
static bool
check_range(const char *name, double value, double least, double greatest, LlmError *error)
{
	if (value >= least && value <= greatest)
		return true;
	return llm_fail(error, LLM_ERROR_ARGUMENT, "%s is %g, but must be from %g to %g",
					name, value, least, greatest);
}
