/*
 * test_reproducible.c
 *		The bits of a sequence's logits depend on the sequence alone.
 *
 * Every run below is compared with one thread computing the sequence token by token:
 * other chunks, threads, company in the batch, slices dropped in mid-step, and
 * logits wanted for a part of the tokens.  OpenBLAS alone may differ, a little.  Where a set computes prompts in its own
 * way, all is done for the same tokens as a prompt, too, and as generated ones among prompts.
 */
#include <math.h>

#include "kernel_sets.h"
#include "loaded_model.h"
#include "reference_logits.h"

#define N_IDS 48				/* a page and a half */
#define N_OTHERS 3

typedef struct Case
{
	const char *label;			/* file, kernels, KV type */
	const LoadedModel *loaded;
	const LlmKernels *kernels;
	LlmKvType	kv_type;
	bool		is_prompt;
	const int32_t *ids;
	int32_t		n_ids;
	const float *expected;		/* [n_ids][vocabulary_size] */
} Case;

/* Who is dropped, and after which layer. */
typedef struct Dropping
{
	LlmSlice   *slices;
	int32_t		layer;
	int32_t		calls;
} Dropping;

static LoadedModel loaded;
static Reference reference;
static const char *file_name;

static size_t
logits_bytes(const Case *c)
{
	return (size_t) c->n_ids * (size_t) c->loaded->model.config.vocabulary_size * sizeof(float);
}

static Runner
case_runner(const Case *c, int32_t n_threads, bool use_blas)
{
	Runner		runner;

	if (!create_runner(&runner, c->loaded, c->kernels, c->kv_type, n_threads, use_blas))
		exit(1);
	runner.is_prompt = c->is_prompt;
	return runner;
}

static void
test_chunks(const Case *c, int32_t n_threads, int32_t chunk)
{
	Runner		runner = case_runner(c, n_threads, false);
	TestSequence sequence;

	start_sequence(&runner, &sequence, c->ids, c->n_ids);
	run_sequence(&runner, &sequence, chunk);
	ok(memcmp(sequence.logits, c->expected, logits_bytes(c)) == 0,
	   "%s: %d threads, chunks of %d", c->label, n_threads, chunk);
	end_sequence(&runner, &sequence);
	free_runner(&runner);
}

static void
drop_the_first_and_third(void *arg)
{
	Dropping   *dropping = arg;

	if (dropping->calls++ == dropping->layer)
	{
		dropping->slices[0].dropped = true;
		dropping->slices[2].dropped = true;
	}
}

/* Between others whose chunks have other lengths; two of them are dropped in the third step. */
static void
test_company(const Case *c, int32_t n_threads, int32_t drop_layer)
{
	static const int32_t chunks[1 + N_OTHERS] = {13, 9, 1, 34};
	Runner		runner = case_runner(c, n_threads, false);
	TestSequence sequences[1 + N_OTHERS];
	int32_t		others_ids[N_OTHERS][64];
	TestSequence *watched = &sequences[1];

	for (int32_t i = 0; i < N_OTHERS; i++)
		for (int32_t j = 0; j < 64; j++)
			others_ids[i][j] = (17 * j + 101 * i + 3) % runner.vocabulary_size;
	for (int32_t i = 0; i <= N_OTHERS; i++)
		if (i == 1)
			start_sequence(&runner, &sequences[i], c->ids, c->n_ids);
		else
		{
			start_sequence(&runner, &sequences[i], others_ids[i > 1 ? i - 1 : i], 64);
			sequences[i].is_prompt = i % 2 == 0;
		}

	for (int32_t n_steps = 0; watched->n_done < watched->n_ids; n_steps++)
	{
		LlmSlice	slices[1 + N_OTHERS];
		Dropping	dropping = {slices, drop_layer, 0};
		LlmStep		step = {.slices = slices, .n_slices = 1 + N_OTHERS};

		for (int32_t i = 0; i <= N_OTHERS; i++)
			slices[i] = next_slice(&sequences[i], chunks[i]);
		if (n_steps == 2)
		{
			step.between_layers = drop_the_first_and_third;
			step.arg = &dropping;
		}
		llm_transformer_step(runner.transformer, &step);
		for (int32_t i = 0; i <= N_OTHERS; i++)
			if (!slices[i].dropped)
				take_logits(&runner, &sequences[i], &slices[i]);
	}
	ok(memcmp(watched->logits, c->expected, logits_bytes(c)) == 0,
	   "%s: %d threads, among others, two dropped after layer %d", c->label, n_threads, drop_layer);
	for (int32_t i = 0; i <= N_OTHERS; i++)
		end_sequence(&runner, &sequences[i]);
	free_runner(&runner);
}

/* Logits for the last five tokens only, and for none of the chunk before. */
static void
test_wanted_logits(const Case *c, int32_t n_threads)
{
	size_t		row = (size_t) c->loaded->model.config.vocabulary_size;
	Runner		runner = case_runner(c, n_threads, false);
	TestSequence sequence;
	LlmSlice	slice;
	LlmStep		step = {.slices = &slice, .n_slices = 1};
	size_t		first;

	start_sequence(&runner, &sequence, c->ids, c->n_ids);
	slice = next_slice(&sequence, 20);
	slice.n_logits = 0;
	llm_transformer_step(runner.transformer, &step);
	take_logits(&runner, &sequence, &slice);
	slice = next_slice(&sequence, c->n_ids);
	slice.n_logits = 5;
	llm_transformer_step(runner.transformer, &step);
	take_logits(&runner, &sequence, &slice);
	first = (size_t) (c->n_ids - 5) * row;
	ok(memcmp(sequence.logits + first, c->expected + first, 5 * row * sizeof(float)) == 0,
	   "%s: %d threads, logits of the last five tokens alone", c->label, n_threads);
	end_sequence(&runner, &sequence);
	free_runner(&runner);
}

/*
 * OpenBLAS serves float types alone, and sums in its own order; a rounding that
 * falls otherwise is seen at the precision of the KV cache, or of the input that BF16 weights take.
 */
static void
test_blas(const Case *c)
{
	size_t		n = logits_bytes(c) / sizeof(float);
	Runner		runner = case_runner(c, 2, true);
	TestSequence sequence;
	double		difference = 0;
	double		norm = 0;
	double		limit = c->kv_type == LLM_KV_F32 ? 1e-5 : c->kv_type == LLM_KV_F16 ? 1e-3 : 1e-2;

	if (c->loaded->model.layers[0].q.type == LLM_BF16 && c->kernels->rounds_bf16_input)
		limit = c->kv_type == LLM_KV_Q8_0 ? 2e-2 : 1e-2;

	start_sequence(&runner, &sequence, c->ids, c->n_ids);
	run_sequence(&runner, &sequence, c->n_ids);
	for (size_t i = 0; i < n; i++)
	{
		double		d = (double) sequence.logits[i] - c->expected[i];

		difference += d * d;
		norm += (double) c->expected[i] * c->expected[i];
	}
	ok(difference <= norm * limit * limit, "%s: OpenBLAS is close (relative L2 %.1e)", c->label,
	   sqrt(difference / norm));
	end_sequence(&runner, &sequence);
	free_runner(&runner);
}

static void
test_case(Case *c)
{
	Runner		runner = case_runner(c, 1, false);
	TestSequence alone;

	start_sequence(&runner, &alone, c->ids, c->n_ids);
	run_sequence(&runner, &alone, 1);
	c->expected = alone.logits;

	test_chunks(c, 1, c->n_ids);
	test_chunks(c, 2, 7);
	test_chunks(c, 3, 32);
	test_chunks(c, 4, 33);
	test_company(c, 2, 0);
	test_company(c, 3, c->loaded->model.config.n_layers - 1);
	test_wanted_logits(c, 2);
	test_blas(c);

	end_sequence(&runner, &alone);
	free_runner(&runner);
}

static void
test_kernels(const LlmKernels *kernels)
{
	const bool	prompts_differ = llm_rounds_prompts(kernels, loaded.model.layers[0].q.type) && !kernels->all_are_prompts;

	for (LlmKvType kv_type = LLM_KV_F32; kv_type < LLM_KV_TYPE_LIMIT; kv_type++)
		for (int is_prompt = 0; is_prompt <= prompts_differ; is_prompt++)
		{
			char		label[64];
			Case		c = {label, &loaded, kernels, kv_type, is_prompt, reference.ids, N_IDS, NULL};

			snprintf(label, sizeof(label), "%s, %s, KV %s%s", file_name, kernels->name, llm_kv_type_name(kv_type),
					 is_prompt ? ", a prompt" : "");
			test_case(&c);
		}
}

static void
test_file(const char *name, const char *model_file, const char *logits_file)
{
	const char *path;

	file_name = name;
	if (!read_reference(&reference, "logits.json", name, logits_file))
	{
		skip("fixture is absent");
		return;
	}
	path = fixture_path(model_file);
	if (ok(path != NULL && load_model(&loaded, path), "%s loads", name))
	{
		each_kernel_set(test_kernels);
		unload_model(&loaded);
	}
	free(reference.logits);
}

int
main(void)
{
	static const char *const types[] = {
		"f32", "f16", "bf16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k"
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
	{
		char		model_file[64];
		char		logits_file[64];

		snprintf(model_file, sizeof(model_file), "types/%s.gguf", types[i]);
		snprintf(logits_file, sizeof(logits_file), "types/%s.logits.f32", types[i]);
		test_file(types[i], model_file, logits_file);
	}
	test_file("stories260K", "stories260K/stories260K.gguf", "stories260K/logits.f32");
	return done_testing();
}
