/*
 * test_engine_prefix.c
 *		Shared prefixes: what is found by whom, what is computed once, and that no bit changes.
 */
#include "traffic.h"

/* A prompt whose first tokens are of one text, the rest of another. */
static void
start_instruction(Job *job, int32_t n_shared, int32_t n_prompt, uint64_t tail)
{
	start_job(job, 10);
	set_prompt(job, n_prompt, 500 + tail);
	set_prompt(job, n_shared, 400);
	job->request.n_prompt = n_prompt;
	job->request.keep_cached = true;
	job->request.sampling.ignore_eos = true;
}

static int32_t
cached_after(LlmEngine *engine, Job *job)
{
	submit(engine, job);
	run_all(engine);
	return job->request.n_prefilled == job->request.n_prompt - (job->request.kind == LLM_SCORE) ?
		job->request.n_cached : -1;
}

static void
test_found(const Fixture *fixture)
{
	LlmEngineOptions options = engine_options(fixture, 1);
	LlmEngine  *engine = create_engine(fixture, &options);
	LlmEngineStatistics statistics;
	Job			job;
	Job			next;

	start_instruction(&job, 96, 100, 1);
	ok(cached_after(engine, &job) == 0, "nothing is found at first");
	start_instruction(&next, 96, 110, 2);
	ok(cached_after(engine, &next) == 96, "three pages are found");
	start_instruction(&next, 95, 110, 2);
	ok(cached_after(engine, &next) == 64, "two, where the third differs in its last token");
	start_instruction(&next, 96, 96, 3);
	ok(cached_after(engine, &next) == 64, "the last token of a prompt is always computed");
	start_instruction(&next, 96, 110, 2);
	next.request.cache_scope = 1;
	ok(cached_after(engine, &next) == 0, "another scope finds nothing");
	start_instruction(&next, 96, 110, 2);
	next.request.keep_cached = false;
	ok(cached_after(engine, &next) == 0, "nor does who does not want to");

	start_instruction(&next, 96, 110, 2);
	next.request.kind = LLM_SCORE;
	next.request.score_from = 65;
	ok(cached_after(engine, &next) == 64, "a score skips what lies before its first token");
	next.request.score_from = 64;
	ok(cached_after(engine, &next) == 32, "and no more");

	start_instruction(&next, 100, 0, 0);
	memcpy(next.prompt, job.prompt, 100 * sizeof(int32_t));
	for (int i = 0; i < 10; i++)
		next.prompt[100 + i] = job.results[i].token;
	start_instruction(&job, 100, 100, 1);
	job.request.max_tokens = 40;
	memcpy(job.prompt, next.prompt, 100 * sizeof(int32_t));
	submit(engine, &job);
	run_all(engine);
	for (int i = 0; i < 40; i++)
		next.prompt[100 + i] = job.results[i].token;
	next.request.n_prompt = 140;
	ok(cached_after(engine, &next) == 128, "generated text is found as the next turn's prompt");
	llm_engine_statistics(engine, &statistics);
	ok(statistics.cached_tokens == 96 + 64 + 64 + 64 + 32 + 96 + 128 && is_idle(engine) &&
	   statistics.kv_pages_cached > 3, "it is counted (%d tokens)", (int) statistics.cached_tokens);
	llm_engine_free(engine);

	options.prefix_cache = false;
	engine = create_engine(fixture, &options);
	start_instruction(&next, 96, 110, 2);
	ok(cached_after(engine, &next) == 0 && cached_after(engine, &next) == 0, "the cache can be switched off");
	llm_engine_statistics(engine, &statistics);
	ok(statistics.kv_pages_cached == 0, "then no page is kept");
	llm_engine_free(engine);
}

/* Many rows with one instruction arrive together; those before `cancelled` are cancelled at once. */
static void
test_together(const Fixture *fixture, int n_cancelled)
{
	LlmEngineOptions options = engine_options(fixture, 2);
	LlmEngine  *engine;
	LlmEngineStatistics statistics;
	Job		   *jobs = calloc(64, sizeof(Job));
	uint64_t	expected = 288 + (64 - (uint64_t) n_cancelled) * (320 - 288);
	int			n_cached = 0;

	options.max_sequences = 64;
	options.kv_bytes = 1000 * PAGE_BYTES(fixture);
	engine = create_engine(fixture, &options);
	for (int i = 0; i < 64; i++)
	{
		start_instruction(&jobs[i], 300, 320, (uint64_t) i);
		jobs[i].request.session = (uint64_t) (i % 3);
		submit(engine, &jobs[i]);
	}
	if (n_cancelled > 0)
	{
		llm_engine_step(engine);
		llm_engine_step(engine);
		for (int i = 0; i < n_cancelled; i++)
			jobs[i].cancel = 1;
	}
	run_all(engine);
	for (int i = n_cancelled; i < 64; i++)
		n_cached += jobs[i].request.n_cached == 288 && jobs[i].request.n_results == 10;
	llm_engine_statistics(engine, &statistics);
	if (n_cancelled == 0)
		ok(statistics.prefill_tokens == expected && n_cached == 63,
		   "64 rows compute their instruction once (%d tokens)", (int) statistics.prefill_tokens);
	else
		ok(statistics.prefill_tokens < expected + 100 && statistics.prefill_tokens >= expected,
		   "so they do when the first %d are cancelled (%d tokens)", n_cancelled,
		   (int) statistics.prefill_tokens);
	ok(is_idle(engine), "all pages are free");
	llm_engine_free(engine);
	free(jobs);
}

static void
test_random(Traffic *traffic, const char *label)
{
	static const int32_t n_pages[] = {8, 13, 40, 200};
	static const int32_t step_tokens[] = {0, 50, 17, 300};
	static const int pauses[] = {4, 1, 9, 0};

	for (int way = 0; way < 4; way++)
	{
		LlmEngineOptions options = traffic_options(traffic, n_pages[way]);
		LlmEngineStatistics statistics;
		bool		right;

		options.step_tokens = step_tokens[way];
		right = run_traffic(traffic, &options, pauses[way], &statistics);
		ok(right && statistics.cached_tokens > 0,
		   "%s: the same bits, %d pages: %d tokens found, %d computed, %d preemptions", label,
		   n_pages[way], (int) statistics.cached_tokens, (int) statistics.prefill_tokens,
		   (int) statistics.preemptions);
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
	test_found(&fixture);
	test_together(&fixture, 0);
	test_together(&fixture, 5);
	free_fixture(&fixture);
	each_traffic(test_random);
	return done_testing();
}
