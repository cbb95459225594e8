/*
 * engine_fixture.h
 *		A small trained model, and requests to an engine that runs it, for tests.
 */
#ifndef ENGINE_FIXTURE_H
#define ENGINE_FIXTURE_H

#include "engine/engine.h"
#include "loaded_model.h"
#include "text/detokenize.h"

#define STORIES "stories260K/stories260K.gguf"
#define MAX_IDS 512
#define MAX_DIM 256
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
	float		embedding[MAX_DIM];
	uint32_t	cancel;
} Job;

/* Load a model file; the path may be NULL, for one that is not there. */
static inline bool
load_fixture_file(Fixture *fixture, const char *path)
{
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

static inline bool
load_fixture(Fixture *fixture, const char *name)
{
	return load_fixture_file(fixture, fixture_path(name));
}

static inline void
free_fixture(Fixture *fixture)
{
	unload_model(&fixture->loaded);
	free(fixture->vocabulary);
}

static inline LlmEngineOptions
engine_options(const Fixture *fixture, int32_t n_threads)
{
	LlmEngineOptions options;

	llm_engine_defaults(&options);
	options.n_threads = n_threads;
	options.context_length = MAX_IDS;
	options.kv_bytes = 64 * PAGE_BYTES(fixture);
	return options;
}

static inline LlmEngine *
create_engine(const Fixture *fixture, const LlmEngineOptions *options)
{
	LlmError	error = {0};
	LlmEngine  *engine = llm_engine_create(&fixture->loaded.model, fixture->vocabulary, options, &error);

	if (engine == NULL)
		diag("%s", error.message);
	return engine;
}

static inline void
start_job(Job *job, int32_t max_tokens)
{
	memset(job, 0, sizeof(*job));
	job->request.kind = LLM_GENERATE;
	job->request.prompt = job->prompt;
	job->request.results = job->results;
	job->request.embedding = job->embedding;
	job->request.cancel = &job->cancel;
	job->request.max_tokens = max_tokens;
	job->request.strip_leading_space = true;
	job->request.arg = job;
	llm_sampling_defaults(&job->request.sampling);
}

/* The beginning of text alone, or so many random tokens after it. */
static inline void
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

static inline void
start_story(Job *job, int32_t max_tokens)
{
	start_job(job, max_tokens);
	set_prompt(job, 1, 0);
	job->request.sampling.temperature = 0;
}

/* The prompt that is set as a text to embed. */
static inline void
make_embedding(Job *job, int i)
{
	job->request.kind = LLM_EMBED;
	job->request.max_tokens = 0;
	job->request.pooling = (LlmPooling) (i % 3);
	job->request.normalize = i % 2 == 0;
}

static inline void
add_stop(Job *job, const char *stop)
{
	job->request.stops[job->request.n_stops] = stop;
	job->request.stop_lengths[job->request.n_stops++] = (uint32_t) strlen(stop);
}

static inline bool
submit(LlmEngine *engine, Job *job)
{
	LlmError	error = {0};

	if (llm_engine_submit(engine, &job->request, &error))
		return true;
	diag("%s", error.message);
	return false;
}

static inline void
run_all(LlmEngine *engine)
{
	while (llm_engine_step(engine) > 0)
		;
}

/* The raw text of a job's results, of which text_bytes are its text. */
static inline size_t
job_text(const Fixture *fixture, const Job *job, char *text)
{
	size_t		length = 0;

	for (int32_t i = 0; i < job->request.n_results; i++)
		length += llm_token_bytes(fixture->vocabulary, job->results[i].token,
								  i == 0 && job->request.strip_leading_space, text + length);
	text[length] = '\0';
	return length;
}

static inline bool
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
static inline bool
is_idle(const LlmEngine *engine)
{
	LlmEngineStatistics statistics;

	llm_engine_statistics(engine, &statistics);
	return statistics.kv_pages_free == statistics.kv_pages && statistics.running == 0 &&
		statistics.waiting == 0;
}

static inline bool
same_results(const Job *a, const Job *b)
{
	return a->request.n_results == b->request.n_results && a->request.finish == b->request.finish &&
		a->request.text_bytes == b->request.text_bytes &&
		memcmp(a->embedding, b->embedding, sizeof(a->embedding)) == 0 &&
		memcmp(a->results, b->results, a->request.n_results * sizeof(LlmTokenResult)) == 0;
}

/* One of the rarer ways to sample: all of them in turn. */
static inline void
set_sampler(LlmSamplingOptions *sampling, int i)
{
	switch (i % 8)
	{
		case 0:
			sampling->mirostat = 1;
			sampling->mirostat_tau = 2;
			break;
		case 1:
			sampling->mirostat = 2;
			sampling->mirostat_tau = 3;
			sampling->dry_multiplier = 0.5f;
			break;
		case 2:
			sampling->dry_multiplier = 0.8f;
			sampling->dry_penalty_last_n = -1;
			break;
		case 3:
			sampling->xtc_probability = 0.5f;
			break;
		case 4:
			sampling->dynatemp_range = 0.5f;
			sampling->typical_p = 0.7f;
			break;
		case 5:
			sampling->top_n_sigma = 1.5f;
			sampling->top_k = 0;
			break;
		default:
			break;
	}
}

/* A context that is full after so many tokens more, and goes on. */
static inline void
set_shift(Job *job, int32_t n_more, int32_t n_keep)
{
	job->request.context_length = job->request.n_prompt + n_more;
	job->request.shift_context = true;
	job->request.n_keep = n_keep;
}

/* Requests as different as they can be. */
static inline void
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
	if (i % 7 == 5)
	{
		start_job(job, 0);
		set_prompt(job, 1 + (i * i * 7) % 200, 77 + (uint64_t) i);
		make_embedding(job, i);
		return;
	}
	start_job(job, 10 + 7 * (i % 6));
	set_prompt(job, 1 + (i * i * 13) % 150, 1000 + (uint64_t) i);
	sampling->seed = (uint64_t) i;
	sampling->temperature = (float) (i % 3) * 0.7f;
	sampling->top_k = i % 4 == 1 ? 0 : 40;
	sampling->min_p = i % 4 == 2 ? 0.05f : 0;
	sampling->repeat_penalty = i % 2 ? 1.2f : 1.0f;
	set_sampler(sampling, i);
	if (i % 7 == 1)
		set_shift(job, 5 + i, i % 3 - 1);
	job->request.session = (uint64_t) (i % 3);
	if (i % 3 == 0)
		add_stop(job, ". ");
}

#endif							/* ENGINE_FIXTURE_H */
