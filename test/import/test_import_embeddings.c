/*
 * test_import_embeddings.c
 *		What quantizing costs an embedding: one trained model in several types, against the float64 forward pass
 *		over the weights as they were.
 */
#include "../engine/engine_fixture.h"
#include "../engine/reference_logits.h"
#include "../engine/reference_states.h"
#include "import/progress.h"
#include "small_source.h"

static SmallSource *folder;		/* for its folder alone */
static Reference reference;

/* The path of the model with matrices of this type, or NULL. */
static const char *
import_as(const char *type)
{
	char		source[4096];
	char		file[64];
	ImportOptions options = {
		.source = source, .type = target_type_find(type), .name = type, .folder = folder->folder,
		.replace = true, .quiet = true
	};
	ImportSummary summary;
	LlmError	error = {0};

	snprintf(source, sizeof(source), "%s", fixture_path(STORIES));
	if (!import_model(&options, &summary, &error))
	{
		diag("%s", error.message);
		return NULL;
	}
	snprintf(file, sizeof(file), "%s.gguf", type);
	return small_path(folder, file);
}

/* The mean of the oracle's states, at length 1. */
static void
expect_mean(const LlmModel *model, float *expected)
{
	double	   *states = reference_states(model, reference.ids, reference.n_ids);
	double		length = 0;

	for (int32_t i = 1; i < reference.n_ids; i++)
		reference_add(states, states + i * model->config.dim, (size_t) model->config.dim);
	for (int32_t d = 0; d < model->config.dim; d++)
		length += states[d] * states[d];
	for (int32_t d = 0; d < model->config.dim; d++)
		expected[d] = (float) (states[d] / sqrt(length));
	free(states);
}

static void
embed(const char *path, LlmKvType kv_type, float *vector)
{
	Fixture		fixture;
	LlmEngineOptions options;
	LlmEngine  *engine;
	Job			job;

	if (!load_fixture_file(&fixture, path))
		exit(1);
	options = engine_options(&fixture, 2);
	options.kv_type = kv_type;
	options.kv_bytes = 0;
	engine = create_engine(&fixture, &options);
	start_job(&job, 0);
	memcpy(job.prompt, reference.ids, sizeof(job.prompt));
	job.request.n_prompt = reference.n_ids;
	make_embedding(&job, LLM_POOL_MEAN);
	submit(engine, &job);
	run_all(engine);
	memcpy(vector, job.embedding, sizeof(job.embedding));
	llm_engine_free(engine);
	free_fixture(&fixture);
}

int
main(void)
{
	static const struct
	{
		const char *type;
		double		limit;
	}			cases[] = {{"f32", 1e-5}, {"f16", 1e-3}, {"bf16", 1e-2}, {"q8_0", 2e-2}};
	LoadedModel original;
	float		expected[MAX_DIM];
	float		vector[MAX_DIM];
	size_t		dim;

	if (!read_reference(&reference, "logits.json", "stories260K", "stories260K/logits.f32"))
	{
		skip("fixture is absent");
		return done_testing();
	}
	notices_off();
	folder = small_source_create();
	if (!load_model(&original, fixture_path(STORIES)))
		return 1;
	expect_mean(&original.model, expected);
	dim = (size_t) original.model.config.dim;
	unload_model(&original);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		const char *path = import_as(cases[i].type);
		double		with_f32;
		double		with_f16;

		if (!ok(path != NULL, "stories260K as %s", cases[i].type))
			continue;
		embed(path, LLM_KV_F16, vector);
		with_f16 = relative_l2(vector, expected, dim);
		embed(path, LLM_KV_F32, vector);
		with_f32 = relative_l2(vector, expected, dim);
		diag("weights %-4s KV F32 %.2e, F16 %.2e", cases[i].type, with_f32, with_f16);
		ok(with_f32 <= cases[i].limit, "weights %s: relative error %.2e is within %.0e", cases[i].type, with_f32,
		   cases[i].limit);
		ok(with_f16 <= cases[i].limit + 1e-3, "with KV F16 %.2e", with_f16);
	}
	free(reference.logits);
	small_source_free(folder);
	return done_testing();
}
