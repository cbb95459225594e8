/*
 * test_logits.c
 *		Logits against a float64 forward pass over the dequantized weights.
 *
 * The measure is ||ours - reference|| / ||reference|| over all positions.  For
 * each file it must not exceed llama.cpp's on the same file.
 */
#include <math.h>

#include "kernel_sets.h"
#include "loaded_model.h"
#include "reference_logits.h"

#define EXACT_LIMIT 1e-5		/* for float32 weights, where both are rounding alone */
#define KV_Q8_0_LIMIT 2e-2		/* where the KV cache alone is rounded */

static LoadedModel loaded;
static Reference reference;
static const char *label;
static double limit;

static double
measure(const LlmKernels *kernels, LlmKvType kv_type, bool is_prompt)
{
	Runner		runner;
	TestSequence sequence;
	double		error;

	if (!create_runner(&runner, &loaded, kernels, kv_type, 2, false))
		return INFINITY;
	runner.is_prompt = is_prompt;
	start_sequence(&runner, &sequence, reference.ids, reference.n_ids);
	run_sequence(&runner, &sequence, reference.n_ids);
	error = relative_l2(sequence.logits, reference.logits,
						(size_t) reference.n_ids * (size_t) reference.vocabulary_size);
	end_sequence(&runner, &sequence);
	free_runner(&runner);
	return error;
}

static void
test_way(const LlmKernels *kernels, const char *way, bool is_prompt)
{
	double		with_f32 = measure(kernels, LLM_KV_F32, is_prompt);
	double		with_f16 = measure(kernels, LLM_KV_F16, is_prompt);
	double		with_q8_0 = measure(kernels, LLM_KV_Q8_0, is_prompt);

	diag("%-12s %-8s%s ours %.3e  (KV F16 %.3e, Q8_0 %.3e)  peer %.3e", label, kernels->name, way,
		 with_f32, with_f16, with_q8_0, reference.peer_error);
	ok(with_f32 <= limit, "%s, %s%s: relative L2 %.3e is within %.3e", label, kernels->name, way,
	   with_f32, limit);
	if (limit == EXACT_LIMIT)
		ok(with_q8_0 <= KV_Q8_0_LIMIT, "%s, %s%s: KV Q8_0 costs %.3e of %.3e", label, kernels->name, way,
		   with_q8_0, KV_Q8_0_LIMIT);
}

/* As generated tokens, and as a prompt's where these are computed in another way. */
static void
test_kernels(const LlmKernels *kernels)
{
	test_way(kernels, "", false);
	if (llm_rounds_prompts(kernels, loaded.model.layers[0].q.type) && !kernels->all_are_prompts)
		test_way(kernels, ", prompt", true);
}

static void
test_file(const char *json_file, const char *name, const char *model_file, const char *logits_file,
		  bool exact)
{
	const char *path;

	label = name != NULL ? name : model_file;
	if (!read_reference(&reference, json_file, name, logits_file))
	{
		skip("fixture is absent");
		return;
	}
	limit = exact ? EXACT_LIMIT : reference.peer_error;
	path = fixture_path(model_file);
	if (ok(path != NULL && load_model(&loaded, path), "%s loads", label))
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
		test_file("logits.json", types[i], model_file, logits_file, i == 0);
	}
	test_file("logits.json", "stories260K", "stories260K/stories260K.gguf", "stories260K/logits.f32", true);
	test_file("formats/logits.json", NULL, "formats/model.gguf", "formats/logits.f32", false);
	return done_testing();
}
