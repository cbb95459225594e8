/*
 * test_engine_limits.c
 *		What the engine refuses, where requests end for want of room, and whose turn it is.
 */
#include "engine_fixture.h"

#include <math.h>

static bool
refused(LlmEngine *engine, const Job *job, LlmErrorCode code)
{
	LlmRequest	request = job->request;
	LlmError	error = {0};
	bool		taken = llm_engine_submit(engine, &request, &error);

	diag("%s", taken ? "taken" : error.message);
	return !taken && error.code == code && memcmp(&request, &job->request, sizeof(request)) == 0;
}

static void
test_requests_refused(const Fixture *fixture)
{
	LlmEngineOptions options = engine_options(fixture, 1);
	LlmEngine  *engine;
	Job			good;
	Job			job;

	options.context_length = 64;
	engine = create_engine(fixture, &options);
	start_story(&good, 10);

#define REFUSED(change, code) \
	(memcpy(&job, &good, sizeof(job)), job.request.change, ok(refused(engine, &job, code), #change))

	REFUSED(n_prompt = 0, LLM_ERROR_ARGUMENT);
	REFUSED(n_prompt = 64, LLM_ERROR_LIMIT);
	REFUSED(prompt = NULL, LLM_ERROR_ARGUMENT);
	REFUSED(max_tokens = 0, LLM_ERROR_ARGUMENT);
	REFUSED(n_stops = LLM_MAX_STOPS + 1, LLM_ERROR_ARGUMENT);
	REFUSED(n_stops = 1, LLM_ERROR_ARGUMENT);
	REFUSED(results = NULL, LLM_ERROR_ARGUMENT);
	REFUSED(kind = LLM_SCORE, LLM_ERROR_ARGUMENT);
	REFUSED(kind = 7, LLM_ERROR_ARGUMENT);
	REFUSED(sampling.temperature = NAN, LLM_ERROR_ARGUMENT);
	REFUSED(sampling.temperature = -1, LLM_ERROR_ARGUMENT);
	REFUSED(sampling.top_p = 0, LLM_ERROR_ARGUMENT);
	REFUSED(sampling.top_p = 1.1f, LLM_ERROR_ARGUMENT);
	REFUSED(sampling.top_k = -1, LLM_ERROR_ARGUMENT);
	REFUSED(sampling.min_p = 2, LLM_ERROR_ARGUMENT);
	REFUSED(sampling.repeat_penalty = 0, LLM_ERROR_ARGUMENT);
	REFUSED(sampling.presence_penalty = INFINITY, LLM_ERROR_ARGUMENT);
	REFUSED(sampling.repeat_last_n = -2, LLM_ERROR_ARGUMENT);
	REFUSED(sampling.n_logit_bias = LLM_MAX_LOGIT_BIAS + 1, LLM_ERROR_ARGUMENT);
	good.prompt[0] = 512;
	REFUSED(session = 1, LLM_ERROR_ARGUMENT);
	good.prompt[0] = -1;
	REFUSED(session = 2, LLM_ERROR_ARGUMENT);
	ok(is_idle(engine), "a refused request leaves nothing behind");
	llm_engine_free(engine);
}

static void
test_context(const Fixture *fixture)
{
	LlmEngineOptions options = engine_options(fixture, 1);
	LlmEngine  *engine;
	Job			jobs[4];
	bool		full = true;

	options.context_length = 64;
	options.kv_bytes = 0;
	engine = create_engine(fixture, &options);
	ok(llm_engine_context_length(engine) == 64, "a context shorter than the model's");
	for (int i = 0; i < 4; i++)
	{
		start_job(&jobs[i], i == 3 ? INT32_MAX : 100);
		set_prompt(&jobs[i], i == 2 ? 63 : 20, (uint64_t) i);
		jobs[i].request.sampling.ignore_eos = true;
		submit(engine, &jobs[i]);
	}
	run_all(engine);
	for (int i = 0; i < 4; i++)
		full = full && jobs[i].request.finish == LLM_FINISH_LENGTH &&
			jobs[i].request.n_prompt + jobs[i].request.n_results == 64;
	ok(full && is_idle(engine),
	   "requests end where the context ends, and wait where the cache has room for one");
	llm_engine_free(engine);
}

static void
test_options(const Fixture *fixture)
{
	const LlmModelConfig *config = &fixture->loaded.model.config;
	LlmEngineOptions options = engine_options(fixture, 0);
	LlmError	error = {0};
	uint64_t	kv_bytes;
	uint64_t	activation_bytes;
	LlmEngine  *engine = create_engine(fixture, &options);

	ok(llm_engine_n_threads(engine) >= 1, "threads 0 are %d here", llm_engine_n_threads(engine));
	llm_engine_free(engine);
	options.kv_bytes = 70 * PAGE_BYTES(fixture) + 1;
	ok(llm_engine_plan(config, &options, &kv_bytes, &activation_bytes, &error) &&
	   kv_bytes == 70 * PAGE_BYTES(fixture) && activation_bytes > 0,
	   "the plan: %d bytes of cache, %d of activations", (int) kv_bytes, (int) activation_bytes);
	options.kv_bytes = 15 * PAGE_BYTES(fixture);
	ok(!llm_engine_plan(config, &options, &kv_bytes, &activation_bytes, &error) &&
	   error.code == LLM_ERROR_LIMIT && strstr(error.hint, "llama2.kv_cache_size") != NULL,
	   "%s; %s", error.message, error.hint);
	ok(llm_engine_create(&fixture->loaded.model, fixture->vocabulary, &options, &error) == NULL,
	   "nor can it be created");
	options = engine_options(fixture, 1);
	options.context_length = 0;
	ok(llm_engine_plan(config, &options, &kv_bytes, &activation_bytes, &error), "the model's own context");
	options.context_length = -1;
	ok(!llm_engine_plan(config, &options, &kv_bytes, &activation_bytes, &error), "%s", error.message);
	options = engine_options(fixture, 1);
	options.max_sequences = 0;
	ok(!llm_engine_plan(config, &options, &kv_bytes, &activation_bytes, &error), "%s", error.message);
	options = engine_options(fixture, 1);
	options.kernels = "mmx";
	ok(llm_engine_create(&fixture->loaded.model, fixture->vocabulary, &options, &error) == NULL,
	   "%s", error.message);
}

/* A session with many requests, and another that comes later with one. */
static void
test_fairness(const Fixture *fixture)
{
	LlmEngineOptions options = engine_options(fixture, 1);
	LlmEngine  *engine;
	Job		   *jobs = calloc(13, sizeof(Job));
	int			n_before = 0;
	bool		in_order = true;

	options.max_sequences = 4;
	engine = create_engine(fixture, &options);
	for (int i = 0; i < 13; i++)
	{
		start_story(&jobs[i], i < 12 ? 5 + i : 8);
		jobs[i].request.session = i < 12 ? 1 : 2;
		submit(engine, &jobs[i]);
		if (i == 11)
			llm_engine_step(engine);
	}
	run_all(engine);
	for (int i = 0; i < 12; i++)
	{
		n_before += jobs[i].request.started_us <= jobs[12].request.started_us;
		in_order = in_order && (i == 0 || jobs[i].request.started_us >= jobs[i - 1].request.started_us);
	}
	ok(n_before == 4, "the session without a running request is next (%d started before)", n_before);
	ok(in_order, "a session's requests start in order");
	llm_engine_free(engine);
	free(jobs);
}

/* Ten long prompts of one session, and then one of another, which gets half of each step. */
static void
test_prompt_fairness(const Fixture *fixture)
{
	LlmEngineOptions options = engine_options(fixture, 1);
	LlmEngine  *engine;
	Job		   *jobs = calloc(11, sizeof(Job));
	int			n_steps = 0;
	int			n_prompts = 0;

	options.step_tokens = 40;
	options.kv_bytes = 200 * PAGE_BYTES(fixture);
	engine = create_engine(fixture, &options);
	for (int i = 0; i < 11; i++)
	{
		start_job(&jobs[i], 1);
		set_prompt(&jobs[i], 400, (uint64_t) i);
		jobs[i].request.session = i == 10;
		if (i == 10)
			llm_engine_step(engine);
		submit(engine, &jobs[i]);
	}
	for (; jobs[10].request.state != LLM_REQUEST_DONE; n_steps++)
		llm_engine_step(engine);
	for (int i = 0; i < 10; i++)
		n_prompts += jobs[i].request.state == LLM_REQUEST_DONE;
	ok(n_steps == 400 / 20 && n_prompts == 1,
	   "sessions share the prompt tokens of a step evenly (%d steps, %d other prompts)", n_steps, n_prompts);
	run_all(engine);
	llm_engine_free(engine);
	free(jobs);
}

/* Texts go on token by token, whatever prompts there are beside them. */
static void
test_long_prompts(const Fixture *fixture)
{
	LlmEngineOptions options = engine_options(fixture, 1);
	LlmEngine  *engine;
	LlmEngineStatistics statistics;
	Job		   *jobs = calloc(8, sizeof(Job));
	uint64_t	most = 0;
	uint64_t	before = 0;
	bool		steady = true;

	options.kv_bytes = 200 * PAGE_BYTES(fixture);
	options.speculation = false;
	engine = create_engine(fixture, &options);
	for (int i = 0; i < 8; i++)
	{
		start_story(&jobs[i], i < 2 ? 60 : 5);
		if (i >= 2)
			set_prompt(&jobs[i], 450, (uint64_t) i);
		submit(engine, &jobs[i]);
		if (i == 1)
			llm_engine_step(engine);
	}
	for (int step = 2; step <= 60; step++)
	{
		llm_engine_step(engine);
		llm_engine_statistics(engine, &statistics);
		if (step > 2 && statistics.prefill_tokens - before > most)
			most = statistics.prefill_tokens - before;
		before = statistics.prefill_tokens;
		steady = steady && jobs[0].request.n_results == step && jobs[1].request.n_results == step;
	}
	ok(steady, "every step brings every text a token");
	ok(most > 0 && most <= 32, "and computes no more than %d prompt tokens beside", (int) most);
	run_all(engine);
	llm_engine_free(engine);
	free(jobs);
}

int
main(void)
{
	Fixture		fixture;

	if (!load_fixture(&fixture, STORIES))
	{
		skip("the fixtures are not here");
		return done_testing();
	}
	test_requests_refused(&fixture);
	test_context(&fixture);
	test_options(&fixture);
	test_fairness(&fixture);
	test_prompt_fairness(&fixture);
	test_long_prompts(&fixture);
	free_fixture(&fixture);
	return done_testing();
}
