/*
 * fuzz_requests.c
 *		Requests with arbitrary options: texts, scores and vectors of an engine that runs a small model.
 *
 * A request is refused with a message, or it ends: with tokens of the vocabulary and log-probabilities that are ones, or with a
 * vector of finite numbers, of length 1 where that is asked for.
 */
#include <float.h>
#include <math.h>

#define FUZZ_OWN_MAIN
#include "../engine/engine_fixture.h"
#include "standalone.h"

#define CONTEXT 64
#define MAX_TOKENS 24
#define N_TOP 3

/* The bytes of an input, one after another; zeros at its end. */
typedef struct Bytes
{
	const uint8_t *at;
	size_t		left;
} Bytes;

static Fixture fixture;
static LlmEngine *engine;
static int32_t n_vocabulary;
static long n_done[3];
static long n_refused;

static uint32_t
take(Bytes *bytes, uint32_t n)
{
	uint32_t	value = 0;

	for (int i = 0; i < 2; i++)
	{
		if (bytes->left == 0)
			break;
		value = value << 8 | *bytes->at++;
		bytes->left--;
	}
	return value % n;
}

static void
require(bool condition, const char *what)
{
	if (!condition)
	{
		diag("%s", what);
		abort();
	}
}

/* Mostly as it is, sometimes another number that may be right, now and then one that cannot be. */
static void
change_float(Bytes *bytes, float *option)
{
	static const float numbers[] = {0, 1, 0.5f, 0.1f, 2, 5, 100, -1, 1e-30f, FLT_MAX, -FLT_MAX, NAN, INFINITY, -INFINITY};
	uint32_t	choice = take(bytes, 64);

	if (choice < 12)
		*option = numbers[choice % 7];
	else if (choice < 13)
		*option = numbers[take(bytes, 14)];
	else if (choice < 20)
		*option = (float) take(bytes, 1000) / 500;
}

static void
change_int(Bytes *bytes, int32_t *option)
{
	static const int32_t numbers[] = {0, 1, 2, 3, 5, 40, 1000, -1, -2, INT32_MAX, INT32_MIN};
	uint32_t	choice = take(bytes, 64);

	if (choice < 16)
		*option = numbers[choice % 8];
	else if (choice < 18)
		*option = numbers[take(bytes, 11)];
}

static void
change_sampling(Bytes *bytes, LlmSamplingOptions *sampling)
{
	float	   *floats[] = {
		&sampling->temperature, &sampling->top_p, &sampling->min_p, &sampling->typical_p, &sampling->top_n_sigma, &sampling->xtc_probability,
		&sampling->xtc_threshold, &sampling->dynatemp_range, &sampling->dynatemp_exponent, &sampling->mirostat_tau, &sampling->mirostat_eta,
		&sampling->repeat_penalty, &sampling->frequency_penalty, &sampling->presence_penalty, &sampling->dry_multiplier, &sampling->dry_base
	};
	int32_t    *ints[] = {
		&sampling->top_k, &sampling->mirostat, &sampling->repeat_last_n, &sampling->dry_allowed_length, &sampling->dry_penalty_last_n, &sampling->min_tokens
	};

	for (size_t i = 0; i < sizeof(floats) / sizeof(floats[0]); i++)
		change_float(bytes, floats[i]);
	for (size_t i = 0; i < sizeof(ints) / sizeof(ints[0]); i++)
		change_int(bytes, ints[i]);
	sampling->seed = take(bytes, 65536);
	sampling->ignore_eos = take(bytes, 4) == 0;
	sampling->n_logit_bias = (int32_t) take(bytes, 8) - 4;
	if (sampling->n_logit_bias < 0)
		sampling->n_logit_bias = 0;
	for (int32_t i = 0; i < sampling->n_logit_bias; i++)
	{
		sampling->logit_bias_token[i] = (int32_t) take(bytes, (uint32_t) n_vocabulary + 2) - (take(bytes, 64) == 0);
		sampling->logit_bias_value[i] = take(bytes, 3) == 0 ? -INFINITY : (float) take(bytes, 200) - 100;
	}
}

static void
check_done(const LlmRequest *request)
{
	double		length = 0;

	require(request->state == LLM_REQUEST_DONE && request->finish != LLM_FINISH_NONE, "a request does not end");
	n_done[request->kind]++;
	if (request->kind == LLM_EMBED)
	{
		for (int32_t i = 0; i < request->n_results; i++)
		{
			require(isfinite(request->embedding[i]), "a vector is not finite");
			length += (double) request->embedding[i] * request->embedding[i];
		}
		require(request->n_results == fixture.loaded.model.config.dim, "a vector has another length");
		require(!request->normalize || fabs(length - 1) < 1e-4, "a vector has not length 1");
		return;
	}
	require(request->n_results <= (request->kind == LLM_SCORE ? request->n_prompt - request->score_from : request->max_tokens), "too many results");
	for (int32_t i = 0; i < request->n_results; i++)
	{
		require(request->results[i].token >= 0 && request->results[i].token < n_vocabulary, "a token is not in the vocabulary");
		require(request->results[i].logprob <= 1e-5f, "a log-probability is above 0");
		for (int32_t k = 0; k < request->n_top; k++)
			require(request->top[i * request->n_top + k].token < n_vocabulary, "a likely token is not in the vocabulary");
	}
}

/* The engine, at the first input. */
static bool
begin(void)
{
	LlmEngineOptions options;

	if (engine != NULL || !load_fixture(&fixture, STORIES))
		return engine != NULL;
	options = engine_options(&fixture, 1);
	options.context_length = CONTEXT;
	engine = create_engine(&fixture, &options);
	n_vocabulary = llm_vocabulary_count(fixture.vocabulary);
	return engine != NULL;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static Job	job;
	static LlmSample top[MAX_IDS * N_TOP];
	Bytes		bytes = {data, size};
	LlmRequest *request = &job.request;
	LlmError	error = {0};

	if (!begin())
		return 0;
	start_job(&job, 1 + (int32_t) take(&bytes, MAX_TOKENS));
	request->kind = (LlmRequestKind) take(&bytes, 3);
	set_prompt(&job, 1 + (int32_t) take(&bytes, take(&bytes, 8) == 0 ? 80 : 20), take(&bytes, 65536) + 1);
	request->n_top = (int32_t) take(&bytes, N_TOP + 1);
	request->top = top;
	request->score_from = (int32_t) take(&bytes, 6) - (take(&bytes, 32) == 0);
	request->pooling = (LlmPooling) take(&bytes, take(&bytes, 16) == 0 ? 5 : 3);
	request->normalize = take(&bytes, 2);
	request->keep_cached = take(&bytes, 2);
	request->context_length = take(&bytes, 4) == 0 ? (int32_t) take(&bytes, 80) : 0;
	request->shift_context = take(&bytes, 3) == 0;
	request->n_keep = (int32_t) take(&bytes, 10) - 1;
	request->n_stops = (int32_t) take(&bytes, 3);
	for (int32_t i = 0; i < request->n_stops; i++)
	{
		request->stops[i] = i == 0 ? " the" : "e";
		request->stop_lengths[i] = i == 0 ? 4 : 1;
	}
	change_sampling(&bytes, &request->sampling);

	if (!llm_engine_submit(engine, request, &error))
	{
		require(error.message[0] != '\0', "a request is refused without a message");
		n_refused++;
		return 0;
	}
	while (llm_engine_step(engine) > 0)
		;
	check_done(request);
	return 0;
}

__attribute__((weak))
int
main(void)
{
	static uint8_t data[256];
	const char *runs = getenv("FUZZ_RUNS");
	long		n_runs = runs != NULL ? strtol(runs, NULL, 10) : 4000;
	uint64_t	state = 88172645463325252;

	if (!begin())
	{
		skip("the fixtures are not here");
		return done_testing();
	}
	for (long run = 0; run < n_runs; run++)
	{
		for (size_t i = 0; i < sizeof(data); i++)
			data[i] = (uint8_t) fuzz_random(&state);
		fuzz_one(data, fuzz_random(&state) % 16 == 0 ? fuzz_random(&state) % sizeof(data) : sizeof(data));
	}
	ok(n_done[LLM_GENERATE] > n_runs / 20 && n_done[LLM_SCORE] > n_runs / 20 && n_done[LLM_EMBED] > n_runs / 20 && n_refused > n_runs / 20,
	   "%ld random requests: %ld texts, %ld scores, %ld vectors, %ld refused", n_runs, n_done[LLM_GENERATE], n_done[LLM_SCORE], n_done[LLM_EMBED], n_refused);
	llm_engine_free(engine);
	free_fixture(&fixture);
	return done_testing();
}
