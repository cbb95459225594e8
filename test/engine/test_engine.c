/*
 * test_engine.c
 *		The engine's promises on a small trained model: text, repeatability, cancel, limits.
 */
#include "engine/engine.h"

#include <math.h>

#include "kernel_sets.h"
#include "loaded_model.h"
#include "text/detokenize.h"

#define MAX_IDS 512
#define N_JOBS 20
#define PAGE_BYTES(fixture) llm_kv_page_bytes(&(fixture)->loaded.model.config, LLM_KV_F16)

/* From the beginning, greedily: llama2.c's own test has the same 200 tokens. */
#define STORY_TOKENS 200
static const char story[] =
"Once upon a time, there was a little girl named Lily. She loved to play outside in the park. "
"One day, she saw a big, red ball. She wanted to play with it, but it was too high.\n"
"Lily's mom said, \"Lily, let's go to the park.\" Lily was sad and didn't know what to do. "
"She said, \"I want to play with your ball, but I can't find it.\"\n"
"Lily was sad and didn't know what to do. She said, \"I'm sorry, Lily. I didn't know what to do.\"\n"
"Lily didn't want to help her mom, so she";

typedef struct Fixture
{
	LoadedModel loaded;
	LlmVocabulary *vocabulary;
} Fixture;

/* A request with all that it points to. */
typedef struct Job
{
	LlmRequest	request;
	int32_t		prompt[MAX_IDS];
	LlmTokenResult results[MAX_IDS];
	uint32_t	cancel;
} Job;

static bool
load_fixture(Fixture *fixture, const char *name)
{
	const char *path = fixture_path(name);
	LlmError	error = {0};
	LlmModelFile *file;
	uint64_t	size;

	memset(fixture, 0, sizeof(*fixture));
	if (path == NULL || !load_model(&fixture->loaded, path))
		return false;
	file = llm_model_open(path, &error);
	size = llm_model_vocabulary_size(file);
	fixture->vocabulary = aligned_alloc(64, (size + 63) / 64 * 64);
	if (!llm_model_build_vocabulary(file, fixture->vocabulary, size, &error))
		diag("%s", error.message);
	llm_model_close(file);
	return error.code == LLM_OK;
}

static void
free_fixture(Fixture *fixture)
{
	unload_model(&fixture->loaded);
	free(fixture->vocabulary);
}

static LlmEngineOptions
engine_options(const Fixture *fixture, int32_t n_threads)
{
	LlmEngineOptions options;

	llm_engine_defaults(&options);
	options.n_threads = n_threads;
	options.context_length = MAX_IDS;
	options.kv_bytes = 64 * PAGE_BYTES(fixture);
	return options;
}

static LlmEngine *
create_engine(const Fixture *fixture, const LlmEngineOptions *options)
{
	LlmError	error = {0};
	LlmEngine  *engine = llm_engine_create(&fixture->loaded.model, fixture->vocabulary, options, &error);

	if (engine == NULL)
		diag("%s", error.message);
	return engine;
}

static void
start_job(Job *job, int32_t max_tokens)
{
	memset(job, 0, sizeof(*job));
	job->request.kind = LLM_GENERATE;
	job->request.prompt = job->prompt;
	job->request.results = job->results;
	job->request.cancel = &job->cancel;
	job->request.max_tokens = max_tokens;
	job->request.strip_leading_space = true;
	job->request.arg = job;
	llm_sampling_defaults(&job->request.sampling);
}

/* The beginning of text alone, or so many random tokens after it. */
static void
set_prompt(Job *job, int32_t n_prompt, uint64_t seed)
{
	job->request.n_prompt = n_prompt;
	job->prompt[0] = 1;
	for (int32_t i = 1; i < n_prompt; i++)
	{
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		job->prompt[i] = 3 + (int32_t) ((seed >> 33) % 509);
	}
}

static void
start_story(Job *job, int32_t max_tokens)
{
	start_job(job, max_tokens);
	set_prompt(job, 1, 0);
	job->request.sampling.temperature = 0;
}

static void
add_stop(Job *job, const char *stop)
{
	job->request.stops[job->request.n_stops] = stop;
	job->request.stop_lengths[job->request.n_stops++] = (uint32_t) strlen(stop);
}

static bool
submit(LlmEngine *engine, Job *job)
{
	LlmError	error = {0};

	if (llm_engine_submit(engine, &job->request, &error))
		return true;
	diag("%s", error.message);
	return false;
}

static void
run_all(LlmEngine *engine)
{
	while (llm_engine_step(engine) > 0)
		;
}

/* The raw text of a job's results, of which text_bytes are its text. */
static size_t
job_text(const Fixture *fixture, const Job *job, char *text)
{
	size_t		length = 0;

	for (int32_t i = 0; i < job->request.n_results; i++)
		length += llm_token_bytes(fixture->vocabulary, job->results[i].token,
								  i == 0 && job->request.strip_leading_space, text + length);
	text[length] = '\0';
	return length;
}

static bool
text_is(const Fixture *fixture, const Job *job, const char *expected, size_t length)
{
	char		text[8 * MAX_IDS];

	job_text(fixture, job, text);
	if (job->request.text_bytes == length && strncmp(text, expected, length) == 0)
		return true;
	diag("%u bytes: %s", job->request.text_bytes, text);
	return false;
}

/* No page is taken and nobody waits. */
static bool
is_idle(const LlmEngine *engine)
{
	LlmEngineStatistics statistics;

	llm_engine_statistics(engine, &statistics);
	return statistics.kv_pages_free == statistics.kv_pages && statistics.running == 0 &&
		statistics.waiting == 0;
}

static bool
same_results(const Job *a, const Job *b)
{
	return a->request.n_results == b->request.n_results && a->request.finish == b->request.finish &&
		a->request.text_bytes == b->request.text_bytes &&
		memcmp(a->results, b->results, a->request.n_results * sizeof(LlmTokenResult)) == 0;
}

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

/* Requests as different as they can be. */
static void
start_varied_job(Job *job, int i)
{
	LlmSamplingOptions *sampling = &job->request.sampling;

	if (i % 5 == 4)
	{
		start_job(job, 0);
		set_prompt(job, 20 + 11 * i, 77 + (uint64_t) i);
		job->request.kind = LLM_SCORE;
		job->request.score_from = 1 + 3 * i;
		return;
	}
	start_job(job, 10 + 7 * (i % 6));
	set_prompt(job, 1 + (i * i * 13) % 150, 1000 + (uint64_t) i);
	sampling->seed = (uint64_t) i;
	sampling->temperature = (float) (i % 3) * 0.7f;
	sampling->top_k = i % 4 == 1 ? 0 : 40;
	sampling->min_p = i % 4 == 2 ? 0.05f : 0;
	sampling->repeat_penalty = i % 2 ? 1.2f : 1.0f;
	job->request.session = (uint64_t) (i % 3);
	if (i % 3 == 0)
		add_stop(job, ". ");
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
	if (request->finish == LLM_FINISH_CANCELLED && watcher->freed_on_done)
		free(request->arg);
}

/* A request is cancelled in some state while two others run. */
static void
test_cancel(const Fixture *fixture, const char *when, int32_t n_prompt, int32_t max_sequences, int n_steps)
{
	LlmEngineOptions options = engine_options(fixture, 2);
	LlmEngine  *engine;
	LlmEngineStatistics before;
	LlmEngineStatistics after;
	Job		   *victim = malloc(sizeof(Job));
	Job			others[2];
	Job			alone[2];
	Watcher		watcher = {.to_cancel = victim,.freed_on_done = true};
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
	ok(watcher.n_done == 1 && watcher.done == victim, "%s: it is done in the same step", when);
	ok(after.kv_pages_free - before.kv_pages_free ==
	   (max_sequences < 3 ? 0 : (n_prompt + 200 + LLM_KV_PAGE - 1) / LLM_KV_PAGE) &&
	   before.running + before.waiting == 3 && after.running + after.waiting == 2,
	   "%s: its pages are free", when);
	run_all(engine);
	for (int i = 0; i < 2; i++)
		same = same && same_results(&alone[i], &others[i]);
	ok(same && is_idle(engine), "%s: the others' results are what they are without it", when);
	llm_engine_free(engine);
}

static void
test_cancel_alone(const Fixture *fixture)
{
	LlmEngineOptions options = engine_options(fixture, 2);
	LlmEngine  *engine = create_engine(fixture, &options);
	Job			job;
	Watcher		watcher = {.to_cancel = &job};

	llm_engine_on_layer(engine, watch_layer, &watcher);
	start_story(&job, 100);
	submit(engine, &job);
	for (int i = 0; i < 10; i++)
		llm_engine_step(engine);
	watcher.cancel_at = watcher.n_layers + 1;
	ok(llm_engine_step(engine) == 0 && job.request.state == LLM_REQUEST_DONE &&
	   job.request.finish == LLM_FINISH_CANCELLED && job.request.n_results == 10 && is_idle(engine),
	   "the only request is cancelled");
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
	LlmEngineOptions options = engine_options(fixture, 2);
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
		in_order = in_order && job.results[i].text_bytes >= last && job.results[i].text_bytes <= length;
		last = job.results[i].text_bytes;
	}
	ok(in_order && last == length, "what is certain grows, and never reaches into the stop string");

	for (int32_t n = 1; n <= 60; n++)
	{
		start_story(&job, n);
		add_stop(&job, "play outside in the dark");
		submit(engine, &job);
		run_all(engine);
		if (job.request.finish != LLM_FINISH_LENGTH || !text_is(fixture, &job, story, job_text(fixture, &job, text)))
			break;
		n_released += job.results[n - 1].text_bytes < job.request.text_bytes;
	}
	ok(job.request.n_results == 60 && n_released > 3, "what was held back is released at the end (%d times)",
	   n_released);
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
	ok(job.request.finish == LLM_FINISH_STOP && job.request.n_results == 7, "end of text, not before min_tokens");
	ok(text_is(fixture, &job, story, job.results[6].text_bytes), "it is not part of the results");
	job.request.sampling.ignore_eos = true;
	submit(engine, &job);
	run_all(engine);
	ok(job.request.finish == LLM_FINISH_LENGTH && job.request.n_results == 50, "ignore_eos bans it");
	llm_engine_free(engine);
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
	double		worst = 0;
	int32_t		n_vocabulary = fixture->loaded.model.config.vocabulary_size;

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
		submit(engine, &job);
		run_all(engine);
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
	ok(full && is_idle(engine), "requests end where the context ends, and wait where the cache has room for one");
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
	static const char *const types[] = {"q4_0", "q8_0", "q4_k", "q6_k"};
	Fixture		fixture;

	if (!load_fixture(&fixture, "stories260K/stories260K.gguf"))
	{
		skip("the fixtures are not here");
		return done_testing();
	}
	story_fixture = &fixture;
	each_kernel_set(test_story);
	test_concurrent(&fixture, "F32");
	test_cancel(&fixture, "waiting", 1, 2, 5);
	test_cancel(&fixture, "in prefill", 300, 3, 5);
	test_cancel(&fixture, "in decode", 1, 3, 5);
	test_cancel_alone(&fixture);
	test_abandon(&fixture);
	test_stop_strings(&fixture);
	test_end_of_text(&fixture);
	test_score(&fixture);
	test_requests_refused(&fixture);
	test_context(&fixture);
	test_options(&fixture);
	test_fairness(&fixture);
	test_submit_in_callback(&fixture);
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
