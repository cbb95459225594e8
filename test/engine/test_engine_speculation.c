/*
 * test_engine_speculation.c
 *		Drafted tokens: the results are the same bits as without, only sooner.
 */
#include "traffic.h"

static void
test_repetition(const Fixture *fixture)
{
	LlmEngineOptions options = engine_options(fixture, 2);
	LlmEngine  *engine = create_engine(fixture, &options);
	LlmEngineStatistics statistics;
	Job			job;

	start_story(&job, STORY_TOKENS);
	submit(engine, &job);
	run_all(engine);
	llm_engine_statistics(engine, &statistics);
	ok(text_is(fixture, &job, story, strlen(story)) && job.request.n_results == STORY_TOKENS,
	   "the story with drafts");
	ok(statistics.accepted_tokens > 20 && statistics.accepted_tokens <= statistics.drafted_tokens &&
	   statistics.steps == STORY_TOKENS - statistics.accepted_tokens &&
	   statistics.decode_tokens == STORY_TOKENS && is_idle(engine),
	   "%d tokens in %d steps, %d of %d drafted tokens accepted", STORY_TOKENS, (int) statistics.steps,
	   (int) statistics.accepted_tokens, (int) statistics.drafted_tokens);
	llm_engine_free(engine);
}

static void
start_sampled_job(Job *job, int i)
{
	LlmSamplingOptions *sampling = &job->request.sampling;

	start_job(job, 1 + i * 29 % 150);
	set_prompt(job, 1 + i % 3, (uint64_t) i);
	job->request.keep_cached = true;
	sampling->seed = (uint64_t) i;
	sampling->temperature = (float) (i % 4) * 0.3f;
	sampling->top_k = i % 5 == 1 ? 5 : 40;
	sampling->repeat_penalty = i % 6 == 5 ? 1.2f : 1;
	sampling->presence_penalty = i % 7 == 5 ? 0.5f : 0;
	sampling->min_tokens = i % 3 * 20;
	if (i % 2)
	{
		sampling->n_logit_bias = 1;
		sampling->logit_bias_token[0] = 2;
		sampling->logit_bias_value[0] = 16.0f + (float) (i % 8);
	}
	set_sampler(sampling, i / 3);
	if (i % 4 == 2)
		add_stop(job, i % 8 == 2 ? "Lily" : " was");
}

/* So many requests at a time, with and without drafts. */
static void
test_sampled(const Fixture *fixture, int n_at_once)
{
	int			n_jobs = 48;
	Job		   *jobs[2];
	LlmEngineStatistics statistics;
	int			n_same = 0;
	int			n_finished[4] = {0};

	for (int on = 0; on < 2; on++)
	{
		LlmEngineOptions options = engine_options(fixture, 1);
		LlmEngine  *engine;

		options.speculation = on;
		options.max_sequences = n_at_once;
		engine = create_engine(fixture, &options);
		jobs[on] = calloc((size_t) n_jobs, sizeof(Job));
		for (int i = 0; i < n_jobs; i++)
		{
			start_sampled_job(&jobs[on][i], i);
			submit(engine, &jobs[on][i]);
		}
		run_all(engine);
		llm_engine_statistics(engine, &statistics);
		ok(is_idle(engine) && (statistics.drafted_tokens > 0) == (on && n_at_once < 9),
		   "%d at once, drafts %s: %d of %d accepted, %d steps", n_at_once, on ? "on" : "off",
		   (int) statistics.accepted_tokens, (int) statistics.drafted_tokens, (int) statistics.steps);
		llm_engine_free(engine);
	}
	for (int i = 0; i < n_jobs; i++)
	{
		n_same += same_results(&jobs[0][i], &jobs[1][i]);
		n_finished[jobs[1][i].request.finish]++;
	}
	ok(n_same == n_jobs && n_finished[LLM_FINISH_STOP] > 8 && n_finished[LLM_FINISH_LENGTH] > 10,
	   "%d at once: %d of %d results are the same (%d by stop)", n_at_once, n_same, n_jobs,
	   n_finished[LLM_FINISH_STOP]);
	free(jobs[0]);
	free(jobs[1]);
}

/* The end of the context is no place for drafts. */
static void
test_full_context(const Fixture *fixture)
{
	Traffic		traffic = {.fixture = fixture, .kv_type = LLM_KV_F16};
	LlmEngineOptions options = traffic_options(&traffic, 8);
	bool		full = true;

	options.step_tokens = 1;
	options.max_sequences = 1;
	for (int i = 0; i < 6; i++)
	{
		LlmEngine  *engine = create_engine(fixture, &options);
		Job			job;

		start_story(&job, 1000);
		job.request.sampling.ignore_eos = true;
		set_prompt(&job, 30 + i, 3);
		submit(engine, &job);
		run_all(engine);
		full = full && job.request.n_results == 256 - 30 - i && is_idle(engine);
		llm_engine_free(engine);
	}
	ok(full, "texts end where the context ends");
}

static void
test_random(Traffic *traffic, const char *label)
{
	static const int32_t n_pages[] = {9, 60};
	static const int pauses[] = {12, 30};

	for (int way = 0; way < 2; way++)
	{
		LlmEngineOptions options = traffic_options(traffic, n_pages[way]);
		LlmEngineStatistics statistics;
		bool		right;

		options.max_sequences = 4 - 2 * way;
		right = run_traffic(traffic, &options, pauses[way], &statistics);
		ok(right && statistics.drafted_tokens > 0, "%s: the same bits (%d of %d accepted)", label,
		   (int) statistics.accepted_tokens, (int) statistics.drafted_tokens);
	}
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
	test_repetition(&fixture);
	test_sampled(&fixture, 1);
	test_sampled(&fixture, 3);
	test_sampled(&fixture, 7);
	test_full_context(&fixture);
	free_fixture(&fixture);
	each_traffic(test_random);
	return done_testing();
}
