/*
 * test_import_logits.c
 *		The same weights as Hugging Face, Meta and GGUF files have them, imported: the same
 *		matrices, the same logits.
 *
 * The GGUF fixture has matrices in F16 and norms in F32, the folders both in the type of their
 * matrices: F16, and BF16 rounded from the same weights.  A file with its norms rounded to that type
 * is what ties each folder to the GGUF fixture, to the bit.
 */
#include <fcntl.h>

#include "../engine/loaded_model.h"
#include "../engine/reference_logits.h"
#include "engine/half.h"
#include "engine/kernels/kernels.h"
#include "import/progress.h"
#include "small_source.h"

/* Rounding the weights to BF16, of which 8 bits count, moves logits so far. */
#define BF16_LIMIT 2e-2

/* In F32 they differ by the rounding of sums alone. */
#define F32_LIMIT 1e-6

typedef float (*Rounding) (float);

static SmallSource *folder;		/* for its folder alone */
static Reference reference;

static float
as_f16(float value)
{
	return llm_half_value(llm_half_nearest(value));
}

/* Nearest even; norms are finite. */
static float
as_bf16(float value)
{
	uint32_t	bits = llm_bits_of_float(value);

	return llm_float_of_bits((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000);
}

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

/* Round the norms of one of our files, which are in F32 as in every file that is imported. */
static void
round_norms(const char *path, Rounding rounding)
{
	LlmModelFile *file = llm_model_open(path, NULL);
	int			descriptor = open(path, O_WRONLY);

	if (file == NULL || descriptor < 0)
		abort();
	for (int32_t slot = 0; slot < file->n_slots; slot++)
	{
		const LlmGgufTensor *tensor = file->tensors[slot];
		float		norms[256];

		if (tensor == NULL || !llm_role_is_norm(llm_slot_role(slot)))
			continue;
		if (tensor->type != LLM_F32 || tensor->n_bytes > sizeof(norms) ||
			!llm_gguf_read(file->gguf, tensor->file_offset, norms, tensor->n_bytes, NULL))
			abort();
		for (int64_t i = 0; i < tensor->dims[0]; i++)
			norms[i] = rounding(norms[i]);
		if (pwrite(descriptor, norms, tensor->n_bytes, (off_t) tensor->file_offset) !=
			(ssize_t) tensor->n_bytes)
			abort();
	}
	close(descriptor);
	llm_model_close(file);
}

/* Where there is no classifier of its own the embedding serves. */
static const LlmGgufTensor *
tensor_of(const LlmModelFile *file, int32_t slot)
{
	return file->tensors[slot] != NULL ? file->tensors[slot] : file->tensors[LLM_ROLE_EMBEDDING];
}

static bool
same_tensors(const char *path, const char *expected_path)
{
	LlmModelFile *file = llm_model_open(path, NULL);
	LlmModelFile *expected = llm_model_open(expected_path, NULL);
	bool		same = file != NULL && expected != NULL && file->n_slots == expected->n_slots;

	for (int32_t slot = 0; same && slot < expected->n_slots; slot++)
	{
		const LlmGgufTensor *a = tensor_of(file, slot);
		const LlmGgufTensor *b = tensor_of(expected, slot);
		uint8_t    *bytes = malloc(a->n_bytes + b->n_bytes);

		same = bytes != NULL && a->type == b->type && a->n_bytes == b->n_bytes &&
			llm_gguf_read(file->gguf, a->file_offset, bytes, a->n_bytes, NULL) &&
			llm_gguf_read(expected->gguf, b->file_offset, bytes + a->n_bytes, b->n_bytes, NULL) &&
			memcmp(bytes, bytes + a->n_bytes, a->n_bytes) == 0;
		free(bytes);
	}
	llm_model_close(file);
	llm_model_close(expected);
	return same;
}

/* Both have the same weights, and logits whose bits are those of expected, which are returned. */
static float *
compare_forms(const char *path, const char *expected_path, const char *what)
{
	float	   *ours = logits_of(path);
	float	   *expected = logits_of(expected_path);

	ok(same_tensors(path, expected_path), "%s: the same weights, bit by bit", what);
	ok(same_bits(ours, expected), "%s: the same logits, bit by bit", what);
	free(ours);
	return expected;
}

/* A path that later ones do not overwrite. */
static char *
imported(const char *fixture, const char *type, const char *name)
{
	char	   *path = strdup(import_fixture(fixture, type, name));

	if (path == NULL)
		abort();
	return path;
}

static void
test_formats(void)
{
	char	   *gguf = strdup(fixture_path("formats/model.gguf"));
	char	   *again = imported("formats/model.gguf", NULL, "again");
	char	   *f16 = imported("formats/model.gguf", "f16", "f16");
	char	   *bf16 = imported("formats/model.gguf", "bf16", "bf16");
	char	   *hf = imported("formats/hf", NULL, "hf");
	char	   *shards = imported("formats/meta-2shards", NULL, "shards");
	char	   *shard = imported("formats/meta", NULL, "shard");
	char	   *shard_f32 = imported("formats/meta", "f32", "shard-f32");
	float	   *logits = compare_forms(again, gguf, "GGUF imported as it is");
	float	   *rounded;
	float	   *wide;

	free(logits);
	ok(same_tensors(f16, gguf), "and so it is with the type that it has");
	round_norms(f16, as_f16);
	logits = compare_forms(hf, f16, "Hugging Face's folder and GGUF, in F16");
	free(logits);
	logits = compare_forms(shards, f16, "two shards from Meta and GGUF, in F16");
	ok(relative_difference(logits, reference.logits) <= reference.peer_error,
	   "as near to the reference, %.2e, as llama.cpp's, %.2e",
	   relative_difference(logits, reference.logits), reference.peer_error);

	round_norms(bf16, as_bf16);
	rounded = compare_forms(shard, bf16, "a shard from Meta and GGUF, in BF16");
	ok(relative_difference(rounded, reference.logits) <= BF16_LIMIT, "%.2e from the reference",
	   relative_difference(rounded, reference.logits));
	wide = logits_of(shard_f32);
	ok(relative_difference(wide, rounded) <= 1e-5, "and the same logits as in F32, within %.1e",
	   relative_difference(wide, rounded));

	free(logits);
	free(rounded);
	free(wide);
	free(gguf);
	free(again);
	free(f16);
	free(bf16);
	free(hf);
	free(shards);
	free(shard);
	free(shard_f32);
}

/* llama2.c's file, and the GGUF file of the same model that others made. */
static void
test_llama2c(void)
{
	char	   *bin = imported("stories260K/stories260K.bin", NULL, "bin");
	char	   *gguf = strdup(fixture_path("stories260K/stories260K.gguf"));
	float	   *logits = compare_forms(bin, gguf, "llama2.c's file and GGUF, in F32");

	ok(relative_difference(logits, reference.logits) <= F32_LIMIT, "%.2e from the reference",
	   relative_difference(logits, reference.logits));
	free(logits);
	free(bin);
	free(gguf);
}

int
main(void)
{
	if (!read_reference(&reference, "formats/logits.json", NULL, "formats/logits.f32"))
	{
		skip("fixture is absent");
		return done_testing();
	}
	notices_off();
	folder = small_source_create();
	test_formats();
	free(reference.logits);
	if (read_reference(&reference, "logits.json", "stories260K", "stories260K/logits.f32"))
		test_llama2c();
	else
		skip("fixture is absent");
	free(reference.logits);
	small_source_free(folder);
	return done_testing();
}
