/*
 * traffic.h
 *		Random requests whose prompts begin alike, and what each gives alone, for tests.
 */
#ifndef TRAFFIC_H
#define TRAFFIC_H

#include "engine_fixture.h"

#define TRAFFIC_CONTEXT 256

typedef struct Traffic
{
	const Fixture *fixture;
	const char *kernels;
	LlmKvType	kv_type;
	int			n_jobs;
	Job		   *alone;			/* [n_jobs] run to the end, one after another, nothing shared */
	Job		   *together;		/* [n_jobs] */
} Traffic;

static inline LlmEngineOptions
traffic_options(const Traffic *traffic, int32_t n_pages)
{
	LlmEngineOptions options = engine_options(traffic->fixture, 1);

	options.kernels = traffic->kernels;
	options.kv_type = traffic->kv_type;
	options.context_length = TRAFFIC_CONTEXT;
	options.kv_bytes = (uint64_t) n_pages *
		llm_kv_page_bytes(&traffic->fixture->loaded.model.config, traffic->kv_type);
	return options;
}

/* One of three beginnings, as far as some place, and a tail of its own. */
static inline void
start_overlapping_job(Job *job, int i)
{
	uint32_t	noise = ((uint32_t) i + 1) * 2654435761u;
	int32_t		n_shared = (int32_t) (noise >> 8) % 140;
	int32_t		n_prompt = 1 + n_shared + (int32_t) (noise >> 16) % 40;

	start_job(job, 1 + (int32_t) (noise >> 20) % 60);
	set_prompt(job, n_prompt, (uint64_t) i);
	memmove(job->prompt + n_shared, job->prompt, (size_t) (n_prompt - n_shared) * sizeof(int32_t));
	set_prompt(job, 1 + n_shared, 1000 + (noise >> 28) % 3);
	job->request.n_prompt = n_prompt;
	job->request.keep_cached = i % 7 != 3;
	job->request.cache_scope = (uint64_t) (i % 11 == 5);
	job->request.session = (uint64_t) (i % 4);
	job->request.sampling.seed = (uint64_t) i;
	job->request.sampling.temperature = i % 3 == 0 ? 0 : 0.8f;
	job->request.sampling.repeat_penalty = i % 4 == 1 ? 1.3f : 1;
	job->request.sampling.min_tokens = i % 5;
	if (i % 6 == 2 && n_prompt > 2)
	{
		job->request.kind = LLM_SCORE;
		job->request.score_from = 1 + (int32_t) (noise >> 12) % (n_prompt - 1);
	}
	else if (i % 8 == 7)
		make_embedding(job, i / 8);
	else if (i % 5 == 0)
		add_stop(job, "and");
	if (i % 2)
		set_sampler(&job->request.sampling, i / 2);
	if (i % 3 == 1)
		set_shift(job, 3 + i % 13, i % 4 == 0 ? -1 : i % 40);
}

static inline void
start_traffic(Traffic *traffic)
{
	LlmEngineOptions options = traffic_options(traffic, 8);
	LlmEngine  *engine;

	options.prefix_cache = false;
	options.speculation = false;
	engine = create_engine(traffic->fixture, &options);
	traffic->alone = calloc((size_t) traffic->n_jobs, sizeof(Job));
	traffic->together = calloc((size_t) traffic->n_jobs, sizeof(Job));
	for (int i = 0; i < traffic->n_jobs; i++)
	{
		start_overlapping_job(&traffic->alone[i], i);
		submit(engine, &traffic->alone[i]);
		run_all(engine);
	}
	llm_engine_free(engine);
}

static inline void
end_traffic(Traffic *traffic)
{
	free(traffic->alone);
	free(traffic->together);
}

/*
 * Run all requests together, one more every `pause` steps, every ninth of which is
 * cancelled some time.  True when the others' results are as alone, the cancelled ones' a part of them.
 */
static inline bool
run_traffic(Traffic *traffic, const LlmEngineOptions *options, int pause, LlmEngineStatistics *statistics)
{
	LlmEngine  *engine = create_engine(traffic->fixture, options);
	int			n_wrong = 0;
	bool		idle;

	for (int i = 0; i < traffic->n_jobs; i++)
	{
		start_overlapping_job(&traffic->together[i], i);
		submit(engine, &traffic->together[i]);
		if (i >= 4 && i % 9 == 4)
			traffic->together[i - i / 9 % 5].cancel = 1;
		for (int k = 0; k < pause; k++)
			llm_engine_step(engine);
	}
	run_all(engine);
	llm_engine_statistics(engine, statistics);
	idle = is_idle(engine);
	llm_engine_free(engine);

	for (int i = 0; i < traffic->n_jobs; i++)
	{
		const Job  *job = &traffic->together[i];

		if (job->request.finish == LLM_FINISH_CANCELLED)
			n_wrong += memcmp(job->results, traffic->alone[i].results,
							  (size_t) job->request.n_results * sizeof(LlmTokenResult)) != 0;
		else
			n_wrong += !same_results(job, &traffic->alone[i]);
	}
	if (n_wrong > 0 || !idle)
		diag("%d of %d results differ, %d of %d pages free", n_wrong, traffic->n_jobs,
			 statistics->kv_pages_free, statistics->kv_pages);
	return n_wrong == 0 && idle;
}

/* Run a test for every kernel set, and for several types of weights and both of KV. */
static inline void
each_traffic(void (*test) (Traffic *traffic, const char *label))
{
	static const char *const names[] = {
		STORIES, STORIES, "types/q4_0.gguf", "types/q8_0.gguf", "types/q5_k.gguf", "types/f16.gguf"
	};
	static const char *const kernels[] = {"generic", "avx2", "avxvnni", "avx512", "amx", "amx_prompts", "amx_bf16"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		Fixture		fixture;

		if (!load_fixture(&fixture, names[i]))
		{
			skip("the fixtures are not here");
			continue;
		}
		for (size_t k = 0; k < sizeof(kernels) / sizeof(kernels[0]); k++)
		{
			Traffic		traffic = {
				.fixture = &fixture, .kernels = kernels[k], .kv_type = i % 2 ? LLM_KV_F32 : LLM_KV_F16,
				.n_jobs = k == 0 ? 12 : i < 2 ? 60 : 20
			};
			char		label[80];
			LlmError	error;

			if (k == 0 && i > 2)
				continue;		/* the generic kernels are slow */
			if (llm_kernels_select(kernels[k], &error) == NULL)
			{
				skip(error.message);
				continue;
			}
			snprintf(label, sizeof(label), "%s, %s, KV %s", names[i], kernels[k],
					 traffic.kv_type == LLM_KV_F32 ? "F32" : "F16");
			start_traffic(&traffic);
			test(&traffic, label);
			end_traffic(&traffic);
		}
		free_fixture(&fixture);
	}
}

#endif							/* TRAFFIC_H */
