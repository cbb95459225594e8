/*
 * test_engine_cancel.c
 *		What happens in the middle of a step: cancelling, giving up, submitting.
 */
#include "engine_fixture.h"

/* on_layer: cancel a job after so many layers, or give the step up. */
typedef struct Watcher
{
	int			n_layers;
	int			cancel_at;
	Job		   *to_cancel;
	int			abandon_at;
	int			n_done;
	const Job  *done;
	bool		freed_on_done;
	const LlmEngine *engine;	/* NULL, or whose pages to look at when a request is done */
	bool		idle_when_done;
} Watcher;

static bool
watch_layer(void *arg)
{
	Watcher    *watcher = arg;

	watcher->n_layers++;
	if (watcher->n_layers == watcher->cancel_at)
		watcher->to_cancel->cancel = 1;
	return watcher->n_layers == watcher->abandon_at;
}

static void
watch_done(LlmRequest *request, void *arg)
{
	Watcher    *watcher = arg;

	watcher->n_done++;
	watcher->done = request->arg;
	if (watcher->engine != NULL)
		watcher->idle_when_done = is_idle(watcher->engine);
	if (request->finish == LLM_FINISH_CANCELLED && watcher->freed_on_done)
		free(request->arg);
}

/* A request is cancelled in some state while two others run. */
static void
test_cancel(const Fixture *fixture, const char *when, int32_t n_prompt, int32_t max_sequences,
			int n_steps)
{
	LlmEngineOptions options = engine_options(fixture, 2);
	LlmEngine  *engine;
	LlmEngineStatistics before;
	LlmEngineStatistics after;
	Job		   *victim = malloc(sizeof(Job));
	Job			others[2];
	Job			alone[2];
	Watcher		watcher = {.to_cancel = victim, .freed_on_done = true};
	bool		same = true;

	options.max_sequences = max_sequences;
	options.step_tokens = 16;
	for (int i = 0; i < 2; i++)
	{
		engine = create_engine(fixture, &options);
		start_varied_job(&alone[i], i + 1);
		submit(engine, &alone[i]);
		run_all(engine);
		llm_engine_free(engine);
	}

	engine = create_engine(fixture, &options);
	llm_engine_on_layer(engine, watch_layer, &watcher);
	llm_engine_on_done(engine, watch_done, &watcher);
	for (int i = 0; i < 2; i++)
	{
		start_varied_job(&others[i], i + 1);
		submit(engine, &others[i]);
	}
	start_job(victim, 200);
	set_prompt(victim, n_prompt, 5);
	submit(engine, victim);
	for (int i = 0; i < n_steps; i++)
		llm_engine_step(engine);
	ok(victim->request.state == (max_sequences < 3 ? LLM_REQUEST_WAITING :
								 n_prompt > 1 ? LLM_REQUEST_PREFILL : LLM_REQUEST_DECODE) &&
	   watcher.n_done == 0, "%s: the request is there", when);

	llm_engine_statistics(engine, &before);
	watcher.cancel_at = watcher.n_layers + 3;
	llm_engine_step(engine);
	llm_engine_statistics(engine, &after);
	ok(watcher.n_done == 1 && watcher.done == victim && before.running + before.waiting == 3 &&
	   after.running + after.waiting == 2, "%s: it is done in the same step", when);
	run_all(engine);
	for (int i = 0; i < 2; i++)
		same = same && same_results(&alone[i], &others[i]);
	ok(same && is_idle(engine), "%s: the others' results are what they are without it", when);
	llm_engine_free(engine);
}

static LlmEngineOptions
one_token_a_step(const Fixture *fixture)
{
	LlmEngineOptions options = engine_options(fixture, 2);

	options.speculation = false;
	return options;
}

static void
test_cancel_alone(const Fixture *fixture)
{
	LlmEngineOptions options = one_token_a_step(fixture);
	LlmEngine  *engine = create_engine(fixture, &options);
	Job			job;
	Watcher		watcher = {.to_cancel = &job, .engine = engine};

	llm_engine_on_layer(engine, watch_layer, &watcher);
	llm_engine_on_done(engine, watch_done, &watcher);
	start_story(&job, 100);
	submit(engine, &job);
	for (int i = 0; i < 10; i++)
		llm_engine_step(engine);
	watcher.cancel_at = watcher.n_layers + 1;
	ok(llm_engine_step(engine) == 0 && job.request.state == LLM_REQUEST_DONE &&
	   job.request.finish == LLM_FINISH_CANCELLED && job.request.n_results == 10 && is_idle(engine),
	   "the only request is cancelled");
	ok(watcher.idle_when_done, "its pages are free when it is told to be done");
	ok(text_is(fixture, &job, story, job.request.text_bytes) && job.request.text_bytes > 10,
	   "what it had written stays");

	job.cancel = 1;
	submit(engine, &job);
	ok(llm_engine_step(engine) == 0 && job.request.finish == LLM_FINISH_CANCELLED &&
	   job.request.started_us == 0, "cancelled before it started");
	llm_engine_free(engine);
}

static void
test_abandon(const Fixture *fixture)
{
	LlmEngineOptions options = one_token_a_step(fixture);
	LlmEngine  *engine = create_engine(fixture, &options);
	Watcher		watcher = {0};
	Job			job;

	llm_engine_on_layer(engine, watch_layer, &watcher);
	start_story(&job, STORY_TOKENS);
	submit(engine, &job);
	for (int i = 0; i < STORY_TOKENS; i++)
	{
		watcher.abandon_at = watcher.n_layers + 1 + i % 5;
		llm_engine_step(engine);
		if (job.request.n_results != i)
			break;
		watcher.abandon_at = 0;
		llm_engine_step(engine);
	}
	ok(job.request.n_results == STORY_TOKENS && text_is(fixture, &job, story, strlen(story)),
	   "steps that were abandoned change nothing");
	llm_engine_free(engine);

	engine = create_engine(fixture, &options);
	llm_engine_on_layer(engine, watch_layer, &watcher);
	submit(engine, &job);
	watcher.abandon_at = watcher.n_layers + 2;
	ok(llm_engine_step(engine) == 1, "an engine can be freed after an abandoned step");
	llm_engine_free(engine);
}

/* on_done submits the next request until there is none. */
typedef struct Chain
{
	LlmEngine  *engine;
	Job		   *jobs;
	int			n_left;
} Chain;

static void
submit_next(LlmRequest *request, void *arg)
{
	Chain	   *chain = arg;

	(void) request;
	if (chain->n_left > 0)
		submit(chain->engine, &chain->jobs[--chain->n_left]);
}

static void
test_submit_in_callback(const Fixture *fixture)
{
	LlmEngineOptions options = engine_options(fixture, 1);
	Chain		chain = {create_engine(fixture, &options), calloc(6, sizeof(Job)), 5};
	bool		all_done = true;

	for (int i = 0; i < 6; i++)
	{
		start_story(&chain.jobs[i], 3 + i);
		chain.jobs[i].cancel = i % 3 == 1;
	}
	llm_engine_on_done(chain.engine, submit_next, &chain);
	submit(chain.engine, &chain.jobs[5]);
	run_all(chain.engine);
	for (int i = 0; i < 6; i++)
		all_done = all_done && chain.jobs[i].request.state == LLM_REQUEST_DONE &&
			chain.jobs[i].request.n_results == (i % 3 == 1 ? 0 : 3 + i);
	ok(all_done && is_idle(chain.engine), "on_done may submit requests");
	llm_engine_free(chain.engine);
	free(chain.jobs);
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
	test_cancel(&fixture, "waiting", 1, 2, 5);
	test_cancel(&fixture, "in prefill", 300, 3, 5);
	test_cancel(&fixture, "in decode", 1, 3, 5);
	test_cancel_alone(&fixture);
	test_abandon(&fixture);
	test_submit_in_callback(&fixture);
	free_fixture(&fixture);
	return done_testing();
}
