/*
 * test_engine.c
 *		The engine's results on a small trained model: text, repeatability, ends, scores.
 */
#include "engine_fixture.h"

#include <math.h>

#include "kernel_sets.h"

#define N_JOBS 20

static const Fixture *story_fixture;	/* of test_story */

static void
test_story(const LlmKernels *kernels)
{
	for (int32_t n_threads = 1; n_threads <= 2; n_threads++)
	{
		LlmEngineOptions options = engine_options(story_fixture, n_threads);
		LlmEngine  *engine;
		LlmEngineStatistics statistics;
		Job			job;

		options.kernels = kernels->name;
		options.speculation = false;
		engine = create_engine(story_fixture, &options);
		start_story(&job, STORY_TOKENS);
		submit(engine, &job);
		run_all(engine);
		ok(job.request.n_results == STORY_TOKENS && job.request.finish == LLM_FINISH_LENGTH &&
		   text_is(story_fixture, &job, story, strlen(story)), "the story, %s kernels, %d threads",
		   llm_engine_kernels(engine), llm_engine_n_threads(engine));
		llm_engine_statistics(engine, &statistics);
		ok(statistics.prefill_tokens == 1 && statistics.decode_tokens == STORY_TOKENS &&
		   statistics.steps == STORY_TOKENS && statistics.sequence_steps == STORY_TOKENS &&
		   is_idle(engine), "it is counted");
		llm_engine_free(engine);
	}
}

static void
test_concurrent(const Fixture *fixture, const char *name)
{
	Job		   *alone = calloc(N_JOBS, sizeof(Job));
	Job		   *together = calloc(N_JOBS, sizeof(Job));

	for (int i = 0; i < N_JOBS; i++)
	{
		LlmEngineOptions options = engine_options(fixture, 1);
		LlmEngine  *engine = create_engine(fixture, &options);

		start_varied_job(&alone[i], i);
		submit(engine, &alone[i]);
		run_all(engine);
		llm_engine_free(engine);
	}
	for (int variant = 0; variant < 3; variant++)
	{
		static const int32_t step_tokens[] = {0, 5, 37};
		static const uint64_t n_pages[] = {200, 30, 16};
		LlmEngineOptions options = engine_options(fixture, 2);
		LlmEngine  *engine;
		int			n_same = 0;

		options.step_tokens = step_tokens[variant];
		options.kv_bytes = n_pages[variant] * PAGE_BYTES(fixture);
		options.max_sequences = variant == 1 ? 3 : 32;
		engine = create_engine(fixture, &options);
		for (int i = 0; i < N_JOBS; i++)
		{
			start_varied_job(&together[i], i);
			submit(engine, &together[i]);
			if (variant > 0)
				llm_engine_step(engine);
		}
		run_all(engine);
		for (int i = 0; i < N_JOBS; i++)
			n_same += same_results(&alone[i], &together[i]);
		ok(n_same == N_JOBS && is_idle(engine), "%s: %d of %d requests together as alone, way %d",
		   name, n_same, N_JOBS, variant);
		llm_engine_free(engine);
	}
	free(alone);
	free(together);
}

/* Twelve sequences take turns, if only to try how long narrower steps take; what they say stays the same. */
static void
test_turns(const Fixture *fixture)
{
	Job		   *jobs[2] = {calloc(N_JOBS, sizeof(Job)), calloc(N_JOBS, sizeof(Job))};
	LlmEngineStatistics statistics[2];
	int			n_same = 0;

	for (int turns = 0; turns < 2; turns++)
	{
		LlmEngineOptions options = engine_options(fixture, 2);
		LlmEngine  *engine;

		options.take_turns = turns;
		options.kv_bytes = 200 * PAGE_BYTES(fixture);
		engine = create_engine(fixture, &options);
		for (int i = 0; i < 12; i++)
		{
			start_job(&jobs[turns][i], 50);
			set_prompt(&jobs[turns][i], 1 + i, (uint64_t) i);
			jobs[turns][i].request.sampling.seed = (uint64_t) i;
			jobs[turns][i].request.sampling.temperature = 1;
			jobs[turns][i].request.sampling.min_tokens = 50;
			submit(engine, &jobs[turns][i]);
		}
		run_all(engine);
		llm_engine_statistics(engine, &statistics[turns]);
		llm_engine_free(engine);
	}
	for (int i = 0; i < 12; i++)
		n_same += jobs[1][i].request.n_results == 50 && same_results(&jobs[0][i], &jobs[1][i]);
	ok(n_same == 12 && statistics[1].decode_tokens == statistics[0].decode_tokens &&
	   statistics[1].steps > statistics[0].steps, "%d of 12 results in turns as without, in %d and %d steps",
	   n_same, (int) statistics[1].steps, (int) statistics[0].steps);
	free(jobs[0]);
	free(jobs[1]);
}

static void
test_stop_strings(const Fixture *fixture)
{
	LlmEngineOptions options = engine_options(fixture, 1);
	LlmEngine  *engine = create_engine(fixture, &options);
	const char *stop = "play outside in the";
	size_t		length = (size_t) (strstr(story, stop) - story);
	char		text[8 * MAX_IDS];
	Job			job;
	uint32_t	last = 0;
	bool		in_order = true;
	int			n_released = 0;

	start_story(&job, STORY_TOKENS);
	add_stop(&job, "playing");
	add_stop(&job, stop);
	submit(engine, &job);
	run_all(engine);
	ok(job.request.finish == LLM_FINISH_STOP && text_is(fixture, &job, story, length),
	   "the text ends before the stop string");
	ok(job_text(fixture, &job, text) >= length + strlen(stop) && strstr(text, stop) != NULL,
	   "the token that completes it is among the results");
	for (int32_t i = 0; i < job.request.n_results; i++)
	{
		in_order = in_order && job.results[i].text_bytes >= last &&
			job.results[i].text_bytes <= length;
		last = job.results[i].text_bytes;
	}
	ok(in_order && last == length, "what is certain grows, and never reaches into the stop string");

	for (int32_t n = 1; n <= 60; n++)
	{
		start_story(&job, n);
		add_stop(&job, "play outside in the dark");
		submit(engine, &job);
		run_all(engine);
		if (job.request.finish != LLM_FINISH_LENGTH ||
			!text_is(fixture, &job, story, job_text(fixture, &job, text)))
			break;
		n_released += job.results[n - 1].text_bytes < job.request.text_bytes;
	}
	ok(job.request.n_results == 60 && n_released > 3,
	   "what was held back is released at the end (%d times)", n_released);
	llm_engine_free(engine);
}

static void
test_end_of_text(const Fixture *fixture)
{
	LlmEngineOptions options = engine_options(fixture, 1);
	LlmEngine  *engine = create_engine(fixture, &options);
	int32_t		eos = llm_vocabulary_eos(fixture->vocabulary);
	Job			job;

	start_story(&job, 50);
	job.request.sampling.n_logit_bias = 1;
	job.request.sampling.logit_bias_token[0] = eos;
	job.request.sampling.logit_bias_value[0] = 1000.0f;
	job.request.sampling.min_tokens = 7;
	submit(engine, &job);
	run_all(engine);
	ok(job.request.finish == LLM_FINISH_STOP && job.request.n_results == 7,
	   "end of text, not before min_tokens");
	ok(text_is(fixture, &job, story, job.results[6].text_bytes), "it is not part of the results");
	job.request.sampling.ignore_eos = true;
	submit(engine, &job);
	run_all(engine);
	ok(job.request.finish == LLM_FINISH_LENGTH && job.request.n_results == 50, "ignore_eos bans it");
	llm_engine_free(engine);
}

/* The likeliest tokens at each place of a scored text: best first, and the text's own among them has its score. */
static int
count_wrong_top(const Job *job, const LlmSample *top, int32_t n_top, int *n_own)
{
	int			n_wrong = 0;

	*n_own = 0;
	for (int32_t i = 0; i < job->request.n_results; i++)
	{
		const LlmSample *here = top + i * n_top;
		bool		found = false;

		for (int32_t k = 0; k < n_top; k++)
		{
			bool		is_own = here[k].token == job->results[i].token;

			n_wrong += (k > 0 && here[k].logprob > here[k - 1].logprob) || (is_own && here[k].logprob != job->results[i].logprob);
			found = found || is_own;
		}
		n_wrong += !found && job->results[i].logprob > here[n_top - 1].logprob;
		*n_own += found;
	}
	return n_wrong;
}

/* The log-softmax, in double, of the logits of a plain run of the transformer. */
static void
test_score(const Fixture *fixture)
{
	static const int32_t step_tokens[] = {128, 7, 400, 1};
	LlmEngineOptions options = engine_options(fixture, 2);
	Job			first;
	Job			job;
	Runner		runner;
	TestSequence sequence;
	static LlmSample top[260][4];
	double		worst = 0;
	int32_t		n_vocabulary = fixture->loaded.model.config.vocabulary_size;
	int			n_own;

	start_job(&first, 0);
	set_prompt(&first, 300, 9);
	first.request.kind = LLM_SCORE;
	first.request.score_from = 40;
	for (int variant = 0; variant < 4; variant++)
	{
		LlmEngine  *engine;

		options.step_tokens = step_tokens[variant];
		engine = create_engine(fixture, &options);
		memcpy(&job, &first, sizeof(job));
		job.request.prompt = job.prompt;
		job.request.results = job.results;
		job.request.n_top = variant == 0 ? 0 : 4;
		job.request.top = top[0];
		submit(engine, &job);
		run_all(engine);
		ok(variant == 0 || (count_wrong_top(&job, top[0], 4, &n_own) == 0 && n_own > 0 && n_own < 260), "the likeliest tokens at its places");
		ok(job.request.n_results == 260 && job.request.n_prefilled == 299 && is_idle(engine),
		   "a text of 300 tokens is scored, %d a step", step_tokens[variant]);
		if (variant == 0)
			memcpy(first.results, job.results, sizeof(first.results));
		else
			ok(memcmp(first.results, job.results, sizeof(first.results)) == 0, "to the same bits");
		llm_engine_free(engine);
	}

	create_runner(&runner, &fixture->loaded, llm_kernels_select(NULL, NULL), LLM_KV_F16, 1, false);
	start_sequence(&runner, &sequence, first.prompt, 300);
	run_sequence(&runner, &sequence, 50);
	for (int32_t i = 40; i < 300; i++)
	{
		const float *logits = sequence.logits + (size_t) (i - 1) * (size_t) n_vocabulary;
		double		sum = 0;
		double		expected;

		for (int32_t k = 0; k < n_vocabulary; k++)
			sum += exp((double) logits[k]);
		expected = logits[first.prompt[i]] - log(sum);
		worst = fmax(worst, fabs(expected - first.results[i - 40].logprob));
		if (first.results[i - 40].token != first.prompt[i])
			worst = INFINITY;
	}
	ok(worst < 1e-4, "log-probabilities are the log-softmax of the logits (largest difference %g)", worst);
	end_sequence(&runner, &sequence);
	free_runner(&runner);
}

int
main(void)
{
	static const char *const types[] = {"q4_0", "q8_0", "q4_k", "q6_k"};
	Fixture		fixture;

	if (!load_fixture(&fixture, STORIES))
	{
		skip("the fixtures are not here");
		return done_testing();
	}
	story_fixture = &fixture;
	each_kernel_set(test_story);
	test_concurrent(&fixture, "F32");
	test_turns(&fixture);
	test_stop_strings(&fixture);
	test_end_of_text(&fixture);
	test_score(&fixture);
	free_fixture(&fixture);

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
	{
		char		name[64];

		snprintf(name, sizeof(name), "types/%s.gguf", types[i]);
		if (load_fixture(&fixture, name))
		{
			test_concurrent(&fixture, types[i]);
			free_fixture(&fixture);
		}
		else
			skip("the fixtures are not here");
	}
	return done_testing();
}
