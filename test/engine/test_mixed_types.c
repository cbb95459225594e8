/*
 * test_mixed_types.c
 *		Layers whose matrices are of different types: their input is quantized in each way that one of them wants.
 *
 * The fixtures, random weights of one shape in each type, are put together, and compared with a model of the
 * same weights as floats.
 */
#include "kernel_sets.h"
#include "loaded_model.h"
#include "random_blocks.h"
#include "reference_logits.h"

#define N_FILES 5
#define NEAR_FLOATS 5e-2		/* what rounding the input to int8 costs */

static LoadedModel models[N_FILES]; /* the first one is mixed, from all of them */
static LoadedModel floats;
static Reference reference;
static float *expected;

/* The same weights as F32. */
static LlmMatrix
as_floats(const LlmMatrix *matrix)
{
	LlmMatrix	result = {.type = LLM_F32, .rows = matrix->rows, .cols = matrix->cols, .n_panels = matrix->n_panels};
	float	   *rows = random_alloc((size_t) LLM_PANEL_ROWS * (size_t) matrix->cols * sizeof(float));
	uint8_t    *panels;

	result.panel_bytes = llm_panel_bytes(LLM_F32, matrix->cols);
	panels = random_alloc(result.panel_bytes * (size_t) result.n_panels);
	for (int32_t p = 0; p < matrix->n_panels; p++)
	{
		int32_t		left = matrix->rows - p * LLM_PANEL_ROWS;
		int32_t		n = left < LLM_PANEL_ROWS ? left : LLM_PANEL_ROWS;

		for (int32_t r = 0; r < n; r++)
			llm_matrix_row(matrix, p * LLM_PANEL_ROWS + r, rows + (int64_t) r * matrix->cols);
		llm_panel_pack(LLM_F32, matrix->cols, n, rows, panels + (size_t) p * result.panel_bytes);
	}
	free(rows);
	result.panels = panels;
	return result;
}

/* Every layer has its own mixture; beside Q4_K are always types of the other kind. */
static void
mix(void)
{
	LlmModel   *mixed = &models[0].model;

	for (int i = 0; i < mixed->config.n_layers; i++)
	{
		LlmLayer   *layer = &mixed->layers[i];

		layer->k = models[1 + i % 2].model.layers[i].k;
		layer->v = models[3].model.layers[i].v;
		layer->up = models[4].model.layers[i].up;
		if (i % 2 == 0)
			layer->down = models[1].model.layers[i].down;
	}
	mixed->output = models[2].model.output;
}

static void
convert(void)
{
	floats.model.embedding = as_floats(&models[0].model.embedding);
	floats.model.output = as_floats(&models[0].model.output);
	for (int i = 0; i < floats.model.config.n_layers; i++)
	{
		LlmLayer   *to = &floats.model.layers[i];
		const LlmLayer *from = &models[0].model.layers[i];

		to->attention_norm = from->attention_norm;
		to->ffn_norm = from->ffn_norm;
		to->q = as_floats(&from->q);
		to->k = as_floats(&from->k);
		to->v = as_floats(&from->v);
		to->attention_output = as_floats(&from->attention_output);
		to->gate = as_floats(&from->gate);
		to->up = as_floats(&from->up);
		to->down = as_floats(&from->down);
	}
	floats.model.output_norm = models[0].model.output_norm;
}

static void
free_floats(void)
{
	free_matrix(&floats.model.embedding);
	free_matrix(&floats.model.output);
	for (int i = 0; i < floats.model.config.n_layers; i++)
	{
		LlmLayer   *layer = &floats.model.layers[i];
		LlmMatrix  *matrices[] = {&layer->q, &layer->k, &layer->v, &layer->attention_output, &layer->gate, &layer->up, &layer->down};

		for (size_t m = 0; m < sizeof(matrices) / sizeof(matrices[0]); m++)
			free_matrix(matrices[m]);
	}
}

static float *
logits_of(const LoadedModel *model, const LlmKernels *kernels, bool is_prompt, int32_t chunk)
{
	size_t		n = (size_t) reference.n_ids * (size_t) reference.vocabulary_size;
	float	   *logits;
	Runner		runner;
	TestSequence sequence;

	if (!create_runner(&runner, model, kernels, LLM_KV_F32, 2, false))
		return NULL;
	runner.is_prompt = is_prompt;
	start_sequence(&runner, &sequence, reference.ids, reference.n_ids);
	run_sequence(&runner, &sequence, chunk);
	logits = malloc(n * sizeof(float));
	memcpy(logits, sequence.logits, n * sizeof(float));
	end_sequence(&runner, &sequence);
	free_runner(&runner);
	return logits;
}

static void
test_way(const LlmKernels *kernels, const char *way, bool is_prompt)
{
	size_t		n = (size_t) reference.n_ids * (size_t) reference.vocabulary_size;
	float	   *whole = logits_of(&models[0], kernels, is_prompt, reference.n_ids);
	float	   *single = logits_of(&models[0], kernels, is_prompt, 1);

	if (ok(whole != NULL && single != NULL, "%s%s: runs mixed types", kernels->name, way))
	{
		double		error = relative_l2(whole, expected, n);

		ok(error <= NEAR_FLOATS, "%s%s: mixed types are %.3e from the same weights as floats", kernels->name, way, error);
		ok(memcmp(whole, single, n * sizeof(float)) == 0, "%s%s: token by token the same bits", kernels->name, way);
	}
	free(whole);
	free(single);
}

static void
test_kernels(const LlmKernels *kernels)
{
	test_way(kernels, "", false);
	if (kernels->round_prompts != NULL && !kernels->all_are_prompts)
		test_way(kernels, ", prompt", true);
}

int
main(void)
{
	static const char *const files[N_FILES] = {"types/q4_k.gguf", "types/q8_0.gguf", "types/q6_k.gguf", "types/f16.gguf", "types/q5_0.gguf"};

	if (!read_reference(&reference, "logits.json", "f32", "types/f32.logits.f32"))
	{
		skip("fixture is absent");
		return done_testing();
	}
	for (int i = 0; i < N_FILES; i++)
		if (!ok(load_model(&models[i], fixture_path(files[i])), "%s loads", files[i]))
			return done_testing();
	if (!ok(load_model(&floats, fixture_path("types/f32.gguf")), "types/f32.gguf loads"))
		return done_testing();
	mix();
	convert();
	expected = logits_of(&floats, &llm_kernels_generic, false, reference.n_ids);
	if (ok(expected != NULL, "floats run"))
		each_kernel_set(test_kernels);

	free(expected);
	free(reference.logits);
	free_floats();
	unload_model(&floats);
	for (int i = 0; i < N_FILES; i++)
		unload_model(&models[i]);
	return done_testing();
}
