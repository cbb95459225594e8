/*
 * test_engine_preempt.c
 *		Sequences that grow beyond the cache: they go, come back, and nothing is lost.
 */
#include "traffic.h"

#define N_JOBS 20

static void
start_long_job(Job *job, int i)
{
	start_job(job, 60 + i * 7);
	set_prompt(job, 1 + i * 3, (uint64_t) i);
	job->request.sampling.seed = (uint64_t) i;
	job->request.sampling.temperature = i % 2 ? 0.9f : 0;
	job->request.sampling.repeat_penalty = i % 3 ? 1.1f : 1;
	job->request.sampling.ignore_eos = true;
	job->request.keep_cached = i % 4 != 0;
	job->request.session = (uint64_t) (i % 3);
	if (i % 5 == 0)
		add_stop(job, "mom, so");
	if (i % 6 == 5)
	{
		set_prompt(job, 200 + i, (uint64_t) i);
		job->request.kind = LLM_SCORE;
		job->request.score_from = 10;
		job->request.max_tokens = 0;
	}
	if (i % 6 == 4)
	{
		set_prompt(job, 190 + i, (uint64_t) i);
		make_embedding(job, i / 6);
	}
}

static void
test_tiny_caches(const Fixture *fixture)
{
	static const int32_t n_pages[] = {8, 9, 12, 15};
	Job		   *alone = calloc(N_JOBS, sizeof(Job));
	Job		   *together = calloc(N_JOBS, sizeof(Job));
	Traffic		traffic = {.fixture = fixture, .kv_type = LLM_KV_F16};

	for (int i = 0; i < N_JOBS; i++)
	{
		LlmEngineOptions options = traffic_options(&traffic, 8);
		LlmEngine  *engine = create_engine(fixture, &options);

		start_long_job(&alone[i], i);
		submit(engine, &alone[i]);
		run_all(engine);
		llm_engine_free(engine);
	}
	for (int way = 0; way < 8; way++)
	{
		LlmEngineOptions options = traffic_options(&traffic, n_pages[way % 4]);
		LlmEngine  *engine;
		LlmEngineStatistics statistics;
		int			n_same = 0;

		options.prefix_cache = way < 4;
		options.step_tokens = way % 3 == 1 ? 9 : 0;
		engine = create_engine(fixture, &options);
		for (int i = 0; i < N_JOBS; i++)
		{
			start_long_job(&together[i], i);
			submit(engine, &together[i]);
			if (way % 2)
				llm_engine_step(engine);
		}
		run_all(engine);
		llm_engine_statistics(engine, &statistics);
		for (int i = 0; i < N_JOBS; i++)
			n_same += same_results(&alone[i], &together[i]);
		ok(n_same == N_JOBS && is_idle(engine) && statistics.preemptions > 0,
		   "%d of %d requests as alone in %d pages, prefix cache %s (%d preemptions)", n_same, N_JOBS,
		   n_pages[way % 4], options.prefix_cache ? "on" : "off", (int) statistics.preemptions);
		llm_engine_free(engine);
	}
	free(alone);
	free(together);
}

/*
 * A request of one session beside six of another, which came before or after it, with
 * room for a part of them: the session with most running ones makes room, its youngest first.
 */
static void
test_who_goes(const Fixture *fixture, int place)
{
	Traffic		traffic = {.fixture = fixture, .kv_type = LLM_KV_F16};
	LlmEngineOptions options = traffic_options(&traffic, 16);
	LlmEngine  *engine = create_engine(fixture, &options);
	LlmEngineStatistics statistics;
	Job			jobs[7];
	int			n_stops[7] = {0};
	LlmRequestState before[7];
	bool		oldest_runs = true;
	bool		all_right = true;

	for (int i = 0; i < 7; i++)
	{
		start_story(&jobs[i], 200);
		jobs[i].request.sampling.ignore_eos = true;
		jobs[i].request.session = i == place;
		submit(engine, &jobs[i]);
		before[i] = LLM_REQUEST_WAITING;
	}
	while (llm_engine_step(engine) > 0)
	{
		bool		older_runs = false;

		for (int i = 0; i < 7; i++)
		{
			bool		stopped = before[i] != LLM_REQUEST_WAITING &&
				jobs[i].request.state == LLM_REQUEST_WAITING;

			n_stops[i] += stopped;
			oldest_runs = oldest_runs && (!stopped || older_runs);
			older_runs = older_runs || before[i] != LLM_REQUEST_WAITING;
		}
		for (int i = 0; i < 7; i++)
			before[i] = jobs[i].request.state == LLM_REQUEST_DONE ? LLM_REQUEST_WAITING :
				jobs[i].request.state;
	}
	llm_engine_statistics(engine, &statistics);
	ok(statistics.preemptions > 0 && n_stops[place] == 0,
	   "%d: the session with one request keeps it running (%d preemptions)", place,
	   (int) statistics.preemptions);
	ok(oldest_runs && n_stops[0] == 0, "%d: the oldest that runs is never stopped", place);
	for (int i = 0; i < 7; i++)
		all_right = all_right && text_is(fixture, &jobs[i], story, strlen(story));
	ok(all_right && is_idle(engine), "%d: all tell the whole story", place);
	llm_engine_free(engine);
}

/* Results so far stay, and are there while the request waits again. */
static void
test_results_stay(const Fixture *fixture)
{
	Traffic		traffic = {.fixture = fixture, .kv_type = LLM_KV_F16};
	LlmEngineOptions options = traffic_options(&traffic, 8);
	LlmEngine  *engine = create_engine(fixture, &options);
	Job			jobs[2];
	int64_t		started_us;
	int64_t		first_token_us;
	int32_t		n_results;

	options.context_length = 256;
	for (int i = 0; i < 2; i++)
	{
		start_story(&jobs[i], STORY_TOKENS);
		submit(engine, &jobs[i]);
	}
	llm_engine_step(engine);
	started_us = jobs[1].request.started_us;
	first_token_us = jobs[1].request.first_token_us;
	while (jobs[1].request.state != LLM_REQUEST_WAITING && llm_engine_step(engine) > 0)
		;
	n_results = jobs[1].request.n_results;
	ok(jobs[1].request.state == LLM_REQUEST_WAITING && n_results > 60 && n_results < STORY_TOKENS,
	   "the younger waits again, with %d results", n_results);
	jobs[1].cancel = 1;
	llm_engine_step(engine);
	ok(jobs[1].request.finish == LLM_FINISH_CANCELLED && jobs[1].request.n_results == n_results &&
	   text_is(fixture, &jobs[1], story, jobs[1].request.text_bytes), "it can be cancelled there");
	ok(jobs[1].request.started_us == started_us && jobs[1].request.first_token_us == first_token_us &&
	   jobs[1].request.n_prefilled == 1, "its times stay");
	run_all(engine);
	ok(text_is(fixture, &jobs[0], story, strlen(story)) && is_idle(engine), "the older one ends");
	llm_engine_free(engine);
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
	test_tiny_caches(&fixture);
	test_who_goes(&fixture, 0);
	test_who_goes(&fixture, 3);
	test_who_goes(&fixture, 6);
	test_results_stay(&fixture);
	free_fixture(&fixture);
	return done_testing();
}
