/*
 * test_engine_shift.c
 *		A full context that forgets and goes on; and the likeliest tokens at each place.
 */
#include "engine_fixture.h"

#define CONTEXT 40

/* What a request gives alone, nothing shared and nothing guessed at. */
static void
run_alone(const Fixture *fixture, Job *job)
{
	LlmEngineOptions options = engine_options(fixture, 1);
	LlmEngine  *engine;

	options.prefix_cache = false;
	options.speculation = false;
	engine = create_engine(fixture, &options);
	submit(engine, job);
	run_all(engine);
	llm_engine_free(engine);
}

/*
 * The oracle: requests of one token each, whose prompts are what should be left of the
 * context.  Greedy, so that a request's first token is any token of the text.
 */
static bool
is_as_recomputed(const Fixture *fixture, const Job *shifted, int32_t n_keep)
{
	int32_t		context[CONTEXT];
	int32_t		n = shifted->request.n_prompt;

	memcpy(context, shifted->prompt, (size_t) n * sizeof(int32_t));
	for (int32_t i = 0; i < shifted->request.n_results; i++)
	{
		Job			single;

		start_job(&single, 1);
		single.request.sampling.temperature = 0;
		single.request.sampling.ignore_eos = true;
		single.request.n_prompt = n;
		memcpy(single.prompt, context, (size_t) n * sizeof(int32_t));
		run_alone(fixture, &single);
		if (single.results[0].token != shifted->results[i].token || single.results[0].logprob != shifted->results[i].logprob)
		{
			diag("token %d is %d (%.9g), should be %d (%.9g)", i, shifted->results[i].token, shifted->results[i].logprob,
				 single.results[0].token, single.results[0].logprob);
			return false;
		}
		context[n++] = single.results[0].token;
		if (n == CONTEXT)
		{
			int32_t		n_forgotten = (n - n_keep) / 2;

			memmove(context + n_keep, context + n_keep + n_forgotten, (size_t) (n - n_keep - n_forgotten) * sizeof(int32_t));
			n -= n_forgotten;
		}
	}
	return true;
}

static void
test_shift(const Fixture *fixture, int32_t n_prompt, int32_t n_keep, int32_t n_kept)
{
	Job			job;

	start_job(&job, 100);
	set_prompt(&job, n_prompt, 5);
	job.request.sampling.temperature = 0;
	job.request.sampling.ignore_eos = true;
	job.request.context_length = CONTEXT;
	job.request.shift_context = true;
	job.request.n_keep = n_keep;
	run_alone(fixture, &job);
	ok(job.request.n_results == 100 && job.request.finish == LLM_FINISH_LENGTH,
	   "a prompt of %d tokens goes on past a context of %d", n_prompt, CONTEXT);
	ok(is_as_recomputed(fixture, &job, n_kept), "n_keep %d: each token follows from %d tokens and the newer half of the rest",
	   n_keep, n_kept);
}

/* Pages of the part that is kept are others' too, and must not be written to. */
static void
test_shared_pages(const Fixture *fixture, bool speculation)
{
	LlmEngineOptions options = engine_options(fixture, 2);
	LlmEngine  *engine;
	Job			alone[6];
	Job			together[6];
	int			n_same = 0;

	options.speculation = speculation;
	engine = create_engine(fixture, &options);
	for (int i = 0; i < 6; i++)
	{
		start_job(&alone[i], 120);
		set_prompt(&alone[i], 70, 9);
		alone[i].request.sampling.seed = (uint64_t) i;
		alone[i].request.sampling.ignore_eos = true;
		alone[i].request.keep_cached = true;
		if (i % 2 == 0)
			set_shift(&alone[i], 30, 45 - 10 * i);
		together[i] = alone[i];
		together[i].request.prompt = together[i].prompt;
		together[i].request.results = together[i].results;
		together[i].request.cancel = &together[i].cancel;
		run_alone(fixture, &alone[i]);
	}
	for (int round = 0; round < 2; round++)
	{
		for (int i = 0; i < 6; i++)
			submit(engine, &together[i]);
		run_all(engine);
		for (int i = 0; i < 6; i++)
			n_same += same_results(&alone[i], &together[i]) && together[i].request.n_results == 120;
	}
	ok(n_same == 12 && is_idle(engine), "shared prefixes, drafts %s: %d of 12 are the same", speculation ? "on" : "off", n_same);
	llm_engine_free(engine);
}

static void
test_limits(const Fixture *fixture)
{
	LlmEngineOptions options = engine_options(fixture, 1);
	LlmEngine  *engine = create_engine(fixture, &options);
	LlmError	error = {0};
	Job			job;

	start_job(&job, 100);
	set_prompt(&job, 20, 5);
	job.request.sampling.ignore_eos = true;
	job.request.context_length = CONTEXT;
	submit(engine, &job);
	run_all(engine);
	ok(job.request.n_results == CONTEXT - 20 && job.request.finish == LLM_FINISH_LENGTH, "a context of one's own that is not shifted");
	job.request.context_length = 20;
	ok(!llm_engine_submit(engine, &job.request, &error), "too small a context: %s", error.message);
	for (int32_t n = 1; n < 4; n++)
	{
		start_job(&job, 50);
		set_prompt(&job, n, 5);
		job.request.sampling.ignore_eos = true;
		set_shift(&job, 1, -1);
		submit(engine, &job);
		run_all(engine);
		ok(job.request.n_results == 50 && is_idle(engine), "a context of %d tokens, shifted for each token or two", n + 1);
	}
	llm_engine_free(engine);
}

static void
test_top(const Fixture *fixture)
{
	LlmEngineOptions options = engine_options(fixture, 1);
	LlmEngine  *engine = create_engine(fixture, &options);
	LlmSample	top[MAX_IDS][5];
	LlmError	error = {0};
	Job			plain;
	Job			job;
	int			n_wrong = 0;

	start_story(&plain, 60);
	plain.request.sampling.repeat_penalty = 1.5f;
	run_alone(fixture, &plain);
	start_story(&job, 60);
	job.request.sampling.repeat_penalty = 1.5f;
	job.request.n_top = 5;
	job.request.top = top[0];
	submit(engine, &job);
	run_all(engine);
	for (int32_t i = 0; i < job.request.n_results; i++)
	{
		bool		found = false;

		for (int k = 0; k < 5; k++)
		{
			n_wrong += k > 0 && top[i][k].logprob > top[i][k - 1].logprob;
			if (top[i][k].token == job.results[i].token)
			{
				found = true;
				n_wrong += top[i][k].logprob != job.results[i].logprob;
			}
		}
		n_wrong += !found && job.results[i].logprob > top[i][4].logprob;
	}
	ok(same_results(&plain, &job) && n_wrong == 0, "the five likeliest at each place, before any penalty");
	job.request.top = NULL;
	ok(!llm_engine_submit(engine, &job.request, &error), "need room: %s", error.message);
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
	test_shift(&fixture, 8, -1, 8);
	test_shift(&fixture, 39, -1, 20);
	test_shift(&fixture, 10, 4, 4);
	test_shift(&fixture, 1, 0, 1);
	test_shift(&fixture, 36, 33, 20);
	test_shared_pages(&fixture, false);
	test_shared_pages(&fixture, true);
	test_limits(&fixture);
	test_top(&fixture);
	free_fixture(&fixture);
	return done_testing();
}
