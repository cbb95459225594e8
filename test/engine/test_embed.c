/*
 * test_embed.c
 *		Embeddings: against a float64 forward pass, and the same bits however the text was computed.
 *
 * The measure is ||ours - reference|| / ||reference||.  The oracle itself is checked by its logits, for which
 * there is a reference of somebody else.
 */
#include "engine_fixture.h"
#include "kernel_sets.h"
#include "reference_logits.h"
#include "reference_states.h"

#define EXACT_LIMIT 1e-5		/* for float weights and keys */
#define F16_LIMIT 1e-3			/* where F16 keys and values alone are rounded */
#define INT8_LIMIT 4e-2			/* where activations, or keys and values, are rounded to int8 */
#define N_POOLINGS 3

static const char *const pooling_names[N_POOLINGS] = {"mean", "weighted", "last"};

static Fixture fixture;
static Reference reference;
static const char *file_name;
static double *states;			/* of the oracle */

static void
start_embedding(Job *job, LlmPooling pooling, bool normalize)
{
	start_job(job, 0);
	memcpy(job->prompt, reference.ids, sizeof(job->prompt));
	job->request.n_prompt = reference.n_ids;
	job->request.kind = LLM_EMBED;
	job->request.pooling = pooling;
	job->request.normalize = normalize;
	job->request.keep_cached = true;
}

/* What the formulas of pooling make of the oracle's states. */
static void
expect_embedding(LlmPooling pooling, bool normalize, float *expected)
{
	int32_t		dim = fixture.loaded.model.config.dim;
	double		vector[MAX_DIM];
	double		length = 0;

	for (int32_t d = 0; d < dim; d++)
	{
		double		sum = 0;
		double		weights = 0;

		for (int32_t i = 0; i < reference.n_ids; i++)
		{
			double		weight = pooling == LLM_POOL_MEAN ? 1 : pooling == LLM_POOL_WEIGHTED ? i + 1 :
				i == reference.n_ids - 1;

			sum += weight * states[i * dim + d];
			weights += weight;
		}
		vector[d] = sum / weights;
		length += vector[d] * vector[d];
	}
	for (int32_t d = 0; d < dim; d++)
		expected[d] = (float) (normalize ? vector[d] / sqrt(length) : vector[d]);
}

/* How far the engine's embedding is from the oracle's. */
static double
measure(const LlmKernels *kernels, LlmKvType kv_type, LlmPooling pooling, bool normalize)
{
	LlmEngineOptions options = engine_options(&fixture, 2);
	LlmEngine  *engine;
	float		expected[MAX_DIM];
	Job			job;

	options.kernels = kernels->name;
	options.kv_type = kv_type;
	options.kv_bytes = 0;
	engine = create_engine(&fixture, &options);
	start_embedding(&job, pooling, normalize);
	submit(engine, &job);
	run_all(engine);
	llm_engine_free(engine);
	if (job.request.finish != LLM_FINISH_STOP || job.request.n_results != fixture.loaded.model.config.dim)
		return INFINITY;
	expect_embedding(pooling, normalize, expected);
	return relative_l2(job.embedding, expected, (size_t) job.request.n_results);
}

/* Do the layers' products round what goes into them? */
static bool
rounds_activations(const LlmKernels *kernels)
{
	LlmTensorType type = fixture.loaded.model.layers[0].q.type;

	return llm_type_takes_int8(type) || (type == LLM_BF16 && strcmp(kernels->name, "avx512") == 0);
}

static void
test_accuracy(const LlmKernels *kernels)
{
	for (int pooling = 0; pooling < N_POOLINGS; pooling++)
	{
		double		with_f32 = measure(kernels, LLM_KV_F32, (LlmPooling) pooling, true);
		double		with_f16 = measure(kernels, LLM_KV_F16, (LlmPooling) pooling, true);
		double		with_q8_0 = measure(kernels, LLM_KV_Q8_0, (LlmPooling) pooling, true);
		double		limit = rounds_activations(kernels) ? INT8_LIMIT : EXACT_LIMIT;
		char		label[64];

		snprintf(label, sizeof(label), "%s, %s, %s", file_name, kernels->name, pooling_names[pooling]);
		diag("%-28s KV F32 %.2e, F16 %.2e, Q8_0 %.2e", label, with_f32, with_f16, with_q8_0);
		ok(with_f32 <= limit, "%s: relative error %.2e is within %.2e", label, with_f32, limit);
		ok(with_f16 <= fmax(limit, F16_LIMIT) && with_q8_0 <= fmax(limit, INT8_LIMIT),
		   "%s: KV F16 %.2e, Q8_0 %.2e", label, with_f16, with_q8_0);
	}
	ok(measure(kernels, LLM_KV_F32, LLM_POOL_MEAN, false) <=
	   (rounds_activations(kernels) ? INT8_LIMIT : EXACT_LIMIT),
	   "%s, %s: not normalized", file_name, kernels->name);
}

/* The oracle's logits are somebody else's reference. */
static void
test_oracle(void)
{
	int32_t		n_vocabulary = fixture.loaded.model.config.vocabulary_size;
	double	   *logits = calloc((size_t) reference.n_ids * (size_t) n_vocabulary, sizeof(double));
	float	   *rounded = calloc((size_t) reference.n_ids * (size_t) n_vocabulary, sizeof(float));
	double		error;

	reference_multiply(&fixture.loaded.model.output, states, reference.n_ids, logits);
	for (int32_t i = 0; i < reference.n_ids * n_vocabulary; i++)
		rounded[i] = (float) logits[i];
	error = relative_l2(rounded, reference.logits, (size_t) reference.n_ids * (size_t) n_vocabulary);
	ok(error < 1e-6, "%s: the oracle's logits are within %.1e of the reference", file_name, error);
	free(logits);
	free(rounded);
}

/* One engine among others' requests; keys and values of the prefix were left by an earlier request. */
static bool
same_in_company(const LlmKernels *kernels, LlmKvType kv_type, int32_t n_threads, int32_t step_tokens,
				const Job *alone)
{
	LlmEngineOptions options = engine_options(&fixture, n_threads);
	LlmEngine  *engine;
	Job		   *jobs = calloc(3 * N_POOLINGS, sizeof(Job));
	bool		same = true;

	options.kernels = kernels->name;
	options.kv_type = kv_type;
	options.kv_bytes = 0;
	options.context_length = 256;
	options.step_tokens = step_tokens;
	engine = create_engine(&fixture, &options);
	start_embedding(&jobs[0], LLM_POOL_MEAN, true);
	jobs[0].request.kind = LLM_GENERATE;
	jobs[0].request.max_tokens = 1;
	submit(engine, &jobs[0]);
	run_all(engine);
	for (int i = 0; i < 3 * N_POOLINGS; i++)
	{
		if (i % 3 == 0)
			start_embedding(&jobs[i], (LlmPooling) (i / 3), true);
		else
			start_varied_job(&jobs[i], i);
		jobs[i].request.session = (uint64_t) i;
		submit(engine, &jobs[i]);
		llm_engine_step(engine);
	}
	run_all(engine);
	same = is_idle(engine);
	for (int pooling = 0; pooling < N_POOLINGS; pooling++)
		same = same && same_results(&jobs[3 * pooling], &alone[pooling]);
	same = same && jobs[0].request.n_cached == 0 && jobs[3 * LLM_POOL_LAST].request.n_cached > 0;
	llm_engine_free(engine);
	free(jobs);
	return same;
}

static void
test_same_bits(const LlmKernels *kernels)
{
	for (LlmKvType kv_type = LLM_KV_F32; kv_type < LLM_KV_TYPE_LIMIT; kv_type++)
	{
		LlmEngineOptions options = engine_options(&fixture, 1);
		LlmEngine  *engine;
		Job			alone[N_POOLINGS];

		if (kv_type != LLM_KV_F16 && strcmp(file_name, "stories260K") != 0)
			continue;
		options.kernels = kernels->name;
		options.kv_type = kv_type;
		options.kv_bytes = 0;
		options.step_tokens = 1;
		options.prefix_cache = false;
		for (int pooling = 0; pooling < N_POOLINGS; pooling++)
		{
			engine = create_engine(&fixture, &options);
			start_embedding(&alone[pooling], (LlmPooling) pooling, true);
			submit(engine, &alone[pooling]);
			run_all(engine);
			llm_engine_free(engine);
		}
		for (int32_t n_threads = 1; n_threads <= 4; n_threads *= 2)
			ok(same_in_company(kernels, kv_type, n_threads, n_threads == 1 ? 7 : n_threads == 2 ? 33 : 0, alone),
			   "%s, %s, KV %s, %d threads: the same bits in company as alone, token by token", file_name,
			   kernels->name, llm_kv_type_name(kv_type), n_threads);
	}
}

/* The vectors of one and the same text have the length that was asked for, and a prefix has another. */
static void
test_vectors(void)
{
	LlmEngineOptions options = engine_options(&fixture, 1);
	LlmEngine  *engine = create_engine(&fixture, &options);
	int32_t		dim = fixture.loaded.model.config.dim;
	Job			normalized;
	Job			plain;
	double		length = 0;
	double		product = 0;
	double		plain_length = 0;

	start_embedding(&normalized, LLM_POOL_MEAN, true);
	start_embedding(&plain, LLM_POOL_MEAN, false);
	submit(engine, &normalized);
	submit(engine, &plain);
	run_all(engine);
	for (int32_t i = 0; i < dim; i++)
	{
		length += (double) normalized.embedding[i] * normalized.embedding[i];
		plain_length += (double) plain.embedding[i] * plain.embedding[i];
		product += (double) normalized.embedding[i] * plain.embedding[i];
	}
	ok(fabs(length - 1) < 1e-6, "length 1 where that is wanted");
	ok(fabs(plain_length - 1) > 0.1 && fabs(product - sqrt(plain_length)) < 1e-6 * product,
	   "the same direction where it is not, length %.3f", sqrt(plain_length));

	start_embedding(&normalized, LLM_POOL_LAST, true);
	start_embedding(&plain, LLM_POOL_MEAN, true);
	normalized.request.n_prompt = plain.request.n_prompt = 1;
	submit(engine, &normalized);
	submit(engine, &plain);
	run_all(engine);
	ok(memcmp(normalized.embedding, plain.embedding, sizeof(plain.embedding)) == 0, "of one token all poolings are alike");
	llm_engine_free(engine);
}

static void
test_refused(void)
{
	LlmEngineOptions options = engine_options(&fixture, 1);
	LlmEngine  *engine;
	LlmError	error = {0};
	Job			job;

	options.context_length = 64;
	engine = create_engine(&fixture, &options);
	start_embedding(&job, LLM_POOL_MEAN, true);
	job.request.n_prompt = 65;
	ok(!llm_engine_submit(engine, &job.request, &error) && error.code == LLM_ERROR_LIMIT, "%s", error.message);
	job.request.n_prompt = 64;
	job.request.pooling = (LlmPooling) 7;
	ok(!llm_engine_submit(engine, &job.request, &error) && error.code == LLM_ERROR_ARGUMENT, "%s", error.message);
	job.request.pooling = LLM_POOL_LAST;
	job.request.embedding = NULL;
	ok(!llm_engine_submit(engine, &job.request, &error) && error.code == LLM_ERROR_ARGUMENT, "%s", error.message);
	job.request.embedding = job.embedding;
	job.request.results = NULL;
	ok(submit(engine, &job), "a text as long as the context");
	run_all(engine);
	ok(job.request.finish == LLM_FINISH_STOP && is_idle(engine), "is embedded");
	llm_engine_free(engine);
}

static bool
cancel_later(void *arg)
{
	Job		   *job = arg;

	job->cancel = job->request.n_prefilled >= 32;
	return false;
}

static void
test_cancelled(void)
{
	LlmEngineOptions options = engine_options(&fixture, 2);
	LlmEngine  *engine;
	Job			job;
	Job			other;
	Job			alone;

	options.step_tokens = 16;
	engine = create_engine(&fixture, &options);
	start_embedding(&alone, LLM_POOL_WEIGHTED, true);
	submit(engine, &alone);
	run_all(engine);
	start_embedding(&job, LLM_POOL_MEAN, true);
	start_embedding(&other, LLM_POOL_WEIGHTED, true);
	llm_engine_on_layer(engine, cancel_later, &job);
	submit(engine, &job);
	submit(engine, &other);
	run_all(engine);
	ok(job.request.finish == LLM_FINISH_CANCELLED && job.request.n_results == 0 && job.request.n_prefilled < reference.n_ids,
	   "cancelled after %d of %d tokens", job.request.n_prefilled, reference.n_ids);
	ok(same_results(&other, &alone) && is_idle(engine), "the one beside it is what it is alone");
	llm_engine_free(engine);
}

static void
test_file(const char *name, const char *model_file, const char *logits_file)
{
	file_name = name;
	if (!read_reference(&reference, "logits.json", name, logits_file))
	{
		skip("fixture is absent");
		return;
	}
	if (ok(load_fixture(&fixture, model_file), "%s loads", name))
	{
		states = reference_states(&fixture.loaded.model, reference.ids, reference.n_ids);
		test_oracle();
		each_kernel_set(test_accuracy);
		each_kernel_set(test_same_bits);
		if (strcmp(model_file, STORIES) == 0)
		{
			test_vectors();
			test_refused();
			test_cancelled();
		}
		free(states);
		free_fixture(&fixture);
	}
	free(reference.logits);
}

int
main(void)
{
	static const char *const types[] = {"f16", "q8_0", "q4_k"};

	test_file("stories260K", STORIES, "stories260K/logits.f32");
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
	{
		char		model_file[64];
		char		logits_file[64];

		snprintf(model_file, sizeof(model_file), "types/%s.gguf", types[i]);
		snprintf(logits_file, sizeof(logits_file), "types/%s.logits.f32", types[i]);
		test_file(types[i], model_file, logits_file);
	}
	return done_testing();
}
