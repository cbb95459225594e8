/*
 * test_import_logits.c
 *		The same weights as Hugging Face, Meta and GGUF files have them, imported: the same
 *		matrices, the same logits.
 *
 * The GGUF fixture has its norms in float32, the others in the type of their matrices:
 * so those are compared with the norms that rounding gives, and the folders with each other.
 */
#include "../engine/loaded_model.h"
#include "../engine/reference_logits.h"
#include "engine/half.h"
#include "engine/kernels/kernels.h"
#include "import/progress.h"
#include "small_source.h"

/* Rounding the weights to BF16, of which 8 bits count, moves logits so far. */
#define BF16_LIMIT 2e-2

static SmallSource *folder;		/* for its folder alone */
static Reference reference;

static const char *
import_fixture(const char *fixture, const char *type, const char *name)
{
	ImportOptions options = {
		.type = type != NULL ? target_type_find(type) : NULL, .name = name,
		.folder = folder->folder,
		.replace = true, .quiet = true
	};
	char		source[4096];
	char		file[64];
	ImportSummary summary;
	LlmError	error = {0};

	snprintf(source, sizeof(source), "%s", fixture_path(fixture));
	options.source = source;
	if (!ok(import_model(&options, &summary, &error), "%s is imported", fixture))
		diag("%s", error.message);
	snprintf(file, sizeof(file), "%s.gguf", name);
	return small_path(folder, file);
}

/* Logits of the reference's ids, to be freed; of the kernels that round no states to BF16. */
static float *
logits_of(const char *path)
{
	LoadedModel loaded;
	Runner		runner;
	TestSequence sequence;
	float	   *logits;

	if (!load_model(&loaded, path) || !create_runner(&runner, &loaded,
													 llm_kernels_select("generic", NULL), LLM_KV_F32, 2,
													 false))
		exit(1);
	start_sequence(&runner, &sequence, reference.ids, reference.n_ids);
	run_sequence(&runner, &sequence, reference.n_ids);
	logits = sequence.logits;
	sequence.logits = NULL;
	end_sequence(&runner, &sequence);
	free_runner(&runner);
	unload_model(&loaded);
	return logits;
}

static double
relative_difference(const float *ours, const float *expected)
{
	return relative_l2(ours, expected,
					   (size_t) reference.n_ids * (size_t) reference.vocabulary_size);
}

static bool
same_bits(const float *a, const float *b)
{
	return memcmp(a, b, sizeof(float) * (size_t) reference.n_ids *
				  (size_t) reference.vocabulary_size) == 0;
}

/* Matrices bit by bit; norms as F16 has them. */
static bool
same_tensors(const char *path, const char *expected_path)
{
	LlmModelFile *file = llm_model_open(path, NULL);
	LlmModelFile *expected = llm_model_open(expected_path, NULL);
	bool		same = file != NULL && expected != NULL;

	for (int32_t slot = 0; same && slot < expected->n_slots; slot++)
	{
		const LlmGgufTensor *a = file->tensors[slot];
		const LlmGgufTensor *b = expected->tensors[slot];
		uint8_t    *bytes = malloc(a->n_bytes + b->n_bytes);
		float	   *left = (float *) (void *) bytes;
		float	   *right = (float *) (void *) (bytes + a->n_bytes);

		same = a->type == b->type && a->n_bytes == b->n_bytes &&
			llm_gguf_read(file->gguf, a->file_offset, left, a->n_bytes, NULL) &&
			llm_gguf_read(expected->gguf, b->file_offset, right, b->n_bytes, NULL);
		if (same && a->type == LLM_F32)
			for (int64_t i = 0; i < b->dims[0]; i++)
				right[i] = llm_half_value(llm_half_nearest(right[i]));
		same = same && memcmp(left, right, a->n_bytes) == 0;
		free(bytes);
	}
	llm_model_close(file);
	llm_model_close(expected);
	return same;
}

int
main(void)
{
	char		model[4096];
	float	   *expected;
	float	   *hf;
	float	   *shards;
	float	   *bf16;
	float	   *again;

	if (!read_reference(&reference, "formats/logits.json", NULL, "formats/logits.f32"))
	{
		skip("fixture is absent");
		return done_testing();
	}
	notices_off();
	folder = small_source_create();
	snprintf(model, sizeof(model), "%s", fixture_path("formats/model.gguf"));
	expected = logits_of(model);
	again = logits_of(import_fixture("formats/model.gguf", "f16", "again"));
	ok(same_bits(again, expected), "a GGUF file imported again: the same logits, bit by bit");

	ok(same_tensors(import_fixture("formats/hf", NULL, "hf"), model),
	   "Hugging Face folder: the same matrices");
	hf = logits_of(small_path(folder, "hf.gguf"));
	ok(same_tensors(import_fixture("formats/meta-2shards", NULL, "shards"), model),
	   "two shards: the same matrices");
	shards = logits_of(small_path(folder, "shards.gguf"));
	ok(same_bits(hf, shards), "both: the same logits, bit by bit");
	ok(relative_difference(hf, reference.logits) <= reference.peer_error,
	   "and as near to the reference, %.2e, as llama.cpp's of the GGUF file, %.2e",
	   relative_difference(hf, reference.logits), reference.peer_error);

	bf16 = logits_of(import_fixture("formats/meta", NULL, "bf16"));
	ok(relative_difference(bf16, reference.logits) <= BF16_LIMIT,
	   "a shard in BF16: %.2e from the reference",
	   relative_difference(bf16, reference.logits));
	free(again);
	again = logits_of(import_fixture("formats/meta", "f32", "bf16-f32"));
	ok(relative_difference(again, bf16) <= 1e-5, "and the same logits as in F32, within %.1e",
	   relative_difference(again, bf16));
	free(expected);
	free(again);
	free(hf);
	free(shards);
	free(bf16);
	free(reference.logits);
	small_source_free(folder);
	return done_testing();
}
