/*
 * fuzz_gguf.c
 *		Feeds broken model files to everything that reads them.
 *
 * Without libFuzzer it makes FUZZ_RUNS (700) mutations, most of them of the
 * header, of each file named as an argument; with no argument, of a small model and of
 * fixtures.  Refusing and accepting a mutation are both right: a crash, a sanitizer's
 * report or a hang is the failure.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>

#include "../engine/small_model.h"
#include "engine/engine.h"
#include "engine/model.h"

#define FUZZ_OWN_MAIN
#include "standalone.h"

/* An image that is larger is not loaded: the fuzzer has no use for the time. */
#define MAX_IMAGE_BYTES (UINT64_C(64) << 20)

static bool read_model(const char *path);
static void *read_vocabulary(LlmModelFile *file);
static bool read_image(LlmModelFile *file, const LlmVocabulary *vocabulary);
static void generate(const LlmModel *model, const LlmVocabulary *vocabulary);
static void read_rows(const LlmMatrix *matrix, float *row);

/* 1 where the last input was accepted as a model. */
static int	accepted;

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int	descriptor = -1;
	char		path[64];

	if (descriptor < 0)
		descriptor = memfd_create("fuzz", MFD_CLOEXEC);
	if (descriptor < 0 || ftruncate(descriptor, 0) != 0 ||
		pwrite(descriptor, data, size, 0) != (ssize_t) size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", descriptor);
	accepted = read_model(path);
	return 0;
}

static bool
read_model(const char *path)
{
	LlmError	error = {0};
	LlmModelFile *file = llm_model_open(path, &error);
	void	   *vocabulary;
	bool		good;

	/* Whatever is refused is refused with a message. */
	if (file == NULL)
	{
		if (error.code == LLM_OK || error.message[0] == '\0')
			abort();
		return false;
	}
	vocabulary = read_vocabulary(file);
	good = vocabulary != NULL && read_image(file, vocabulary);
	free(vocabulary);
	llm_model_close(file);
	return good;
}

/* The block, to be freed, or NULL. */
static void *
read_vocabulary(LlmModelFile *file)
{
	uint64_t	size = llm_model_vocabulary_size(file);
	void	   *block = aligned_alloc(64, (size + 63) / 64 * 64);
	uint64_t	sum = 0;
	bool		good;

	if (block == NULL)
		return NULL;
	good = llm_model_build_vocabulary(file, block, size, NULL);
	for (int32_t i = 0; good && i < llm_vocabulary_count(block); i++)
	{
		LlmPiece	piece = llm_vocabulary_piece(block, i);

		for (uint32_t j = 0; j < piece.length; j++)
			sum += (uint8_t) piece.bytes[j];
		if (llm_vocabulary_find(block, piece.bytes, piece.length) < 0)
			sum++;
	}
	if (good && sum != 1)
		return block;
	free(block);
	return NULL;
}

static bool
read_image(LlmModelFile *file, const LlmVocabulary *vocabulary)
{
	LlmError	error = {0};
	uint64_t	size = llm_model_image_size(file);
	void	   *image = size <= MAX_IMAGE_BYTES ? aligned_alloc(64, (size + 63) / 64 * 64) : NULL;
	const LlmModelConfig *config = llm_model_file_config(file);
	LlmModel	model;
	float	   *row;

	if (image == NULL)
		return false;
	if (!llm_model_load_image(file, image, size, 1, NULL, NULL, &error) ||
		!llm_model_attach(image, size, &model, &error))
		abort();
	row = malloc(sizeof(float) * ((size_t) config->dim + (size_t) config->ffn_dim));
	if (row != NULL)
	{
		read_rows(&model.embedding, row);
		read_rows(&model.output, row);
		for (int32_t i = 0; i < config->n_layers; i++)
		{
			read_rows(&model.layers[i].k, row);
			read_rows(&model.layers[i].down, row);
		}
	}
	free(row);
	generate(&model, vocabulary);
	llm_model_detach(&model);
	free(image);
	return true;
}

/* A model that was accepted must run, whatever its numbers are. */
static void
generate(const LlmModel *model, const LlmVocabulary *vocabulary)
{
	const int32_t prompt[] = {0, 1, model->config.vocabulary_size - 1};
	LlmTokenResult results[4];
	LlmEngineOptions options;
	LlmRequest	request = {0};
	LlmEngine  *engine;

	llm_engine_defaults(&options);
	options.n_threads = 1;
	options.context_length = 16;
	options.max_sequences = 1;
	options.step_tokens = 8;
	request.kind = LLM_GENERATE;
	request.prompt = prompt;
	request.n_prompt = 3;
	request.max_tokens = 4;
	request.results = results;
	llm_sampling_defaults(&request.sampling);
	engine = llm_engine_create(model, vocabulary, &options, NULL);
	if (engine == NULL)
		return;
	if (llm_engine_submit(engine, &request, NULL))
		for (int steps = 0; llm_engine_step(engine) > 0; steps++)
			if (steps > 100)
				abort();
	llm_engine_free(engine);
}

static void
read_rows(const LlmMatrix *matrix, float *row)
{
	llm_matrix_row(matrix, 0, row);
	llm_matrix_row(matrix, matrix->rows - 1, row);
}

/* Bytes at both ends of a header that matter most: the counts, the tensor directory. */
#define DENSE_BYTES 1024

typedef struct Input
{
	uint8_t    *bytes;
	size_t		size;
	size_t		header;			/* bytes before the first tensor's */
} Input;

static uint64_t random_state = UINT64_C(88172645463325252);

static void fuzz_path(const char *path, const char *shown, long n_runs);
static bool read_input(const char *path, Input *input);
static void mutate(const Input *original, Input *mutated);
static void mutate_once(Input *input);
static size_t pick_offset(const Input *input);
static void overwrite_word(Input *input);
static void swap_blocks(Input *input);

static inline size_t
below(size_t limit)
{
	return limit > 0 ? fuzz_random(&random_state) % limit : 0;
}

__attribute__((weak))
int
main(int argc, char **argv)
{
	static const char *const fixtures[] = {
		"types/q2_k.gguf", "types/q4_0.gguf", "stories260K/stories260K.gguf"
	};
	const char *runs = getenv("FUZZ_RUNS");
	long		n_runs = runs != NULL ? strtol(runs, NULL, 10) : 700;

	for (int i = 1; i < argc; i++)
		fuzz_path(argv[i], argv[i], n_runs);
	if (argc == 1)
	{
		GgufBuilder *builder = small_model(LLM_Q8_0);

		fuzz_path(gguf_build(builder), "a small model", n_runs);
		builder_free(builder);
		for (size_t i = 0; i < sizeof(fixtures) / sizeof(fixtures[0]); i++)
			fuzz_path(fixture_path(fixtures[i]), fixtures[i], n_runs);
	}
	return done_testing();
}

static void
fuzz_path(const char *path, const char *shown, long n_runs)
{
	Input		original = {0};
	Input		mutated = {0};
	long		n_accepted = 0;

	if (path == NULL || !read_input(path, &original))
	{
		skip(shown);
		return;
	}
	mutated.bytes = malloc(original.size * 2 + 65536);
	if (mutated.bytes == NULL)
		abort();
	for (long i = 0; i < n_runs; i++)
	{
		mutate(&original, &mutated);
		LLVMFuzzerTestOneInput(mutated.bytes, mutated.size);
		n_accepted += accepted;
	}
	ok(true, "%ld mutations of %s: %ld refused, %ld accepted, no crash",
	   n_runs, shown, n_runs - n_accepted, n_accepted);
	free(mutated.bytes);
	free(original.bytes);
}

static bool
read_input(const char *path, Input *input)
{
	FILE	   *file = fopen(path, "rb");
	LlmGguf    *gguf = llm_gguf_open(path, NULL);
	long		size = -1;
	bool		done = false;

	input->bytes = NULL;
	if (file != NULL && fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) > 0)
	{
		rewind(file);
		input->size = (size_t) size;
		input->header = input->size;
		input->bytes = malloc(input->size);
		done = input->bytes != NULL && fread(input->bytes, 1, input->size, file) == input->size;
	}
	if (gguf != NULL)
		for (int64_t i = 0; i < llm_gguf_n_tensors(gguf); i++)
			if (llm_gguf_tensor(gguf, i)->file_offset < input->header)
				input->header = llm_gguf_tensor(gguf, i)->file_offset;
	llm_gguf_close(gguf);
	if (file != NULL)
		fclose(file);
	if (!done)
		free(input->bytes);
	return done;
}

/* One to four changes, or a cut, or bytes added; mutated->bytes has room for twice the file. */
static void
mutate(const Input *original, Input *mutated)
{
	mutated->size = original->size;
	mutated->header = original->header;
	memcpy(mutated->bytes, original->bytes, original->size);
	switch (below(16))
	{
		case 0:
			mutated->size = below(original->header);
			break;
		case 1:
			mutated->size = below(original->size);
			break;
		case 2:
			mutated->size = original->size + below(original->size + 65536);
			for (size_t i = original->size; i < mutated->size; i++)
				mutated->bytes[i] = (uint8_t) i;
			break;
		default:
			for (size_t n = 1 + below(4); n > 0; n--)
				mutate_once(mutated);
	}
}

static void
mutate_once(Input *input)
{
	size_t		at = pick_offset(input);

	switch (below(8))
	{
		case 0:
		case 1:
			input->bytes[at] ^= (uint8_t) (1 << below(8));
			break;
		case 2:
			input->bytes[at] = (uint8_t) below(256);
			break;
		case 3:
			swap_blocks(input);
			break;
		default:
			overwrite_word(input);
	}
}

/* Mostly in the header, and there often at its ends. */
static size_t
pick_offset(const Input *input)
{
	size_t		dense = input->header < DENSE_BYTES ? input->header : DENSE_BYTES;

	switch (below(8))
	{
		case 0:
			return below(input->size);
		case 1:
		case 2:
			return below(dense);
		case 3:
		case 4:
		case 5:
			return input->header - 1 - below(dense);
		default:
			return below(input->header);
	}
}

/* A count, length, offset, type or dimension becomes absurd. */
static void
overwrite_word(Input *input)
{
	static const uint64_t values[] = {
		0, 1, 2, 7, 31, 33, 255, 4096, 65537, UINT64_C(1) << 20,
		INT32_MAX, UINT64_C(1) << 31, UINT32_MAX, UINT64_C(1) << 32, (UINT64_C(1) << 32) + 1,
		UINT64_C(1) << 40, UINT64_C(1) << 61, UINT64_C(1) << 62, INT64_MAX, UINT64_C(1) << 63,
		UINT64_MAX - 31, UINT64_MAX
	};
	uint64_t	value = values[below(sizeof(values) / sizeof(values[0]))];
	size_t		width = below(2) ? 4 : 8;
	size_t		at = pick_offset(input);

	/* Strings of any length come before a word: in half of the cases it is not aligned. */
	if (below(2))
		at -= at % width;
	if (at + width <= input->size)
		memcpy(input->bytes + at, &value, width);
}

static void
swap_blocks(Input *input)
{
	uint8_t		block[256];
	size_t		n = 1 + below(sizeof(block));
	size_t		a = pick_offset(input);
	size_t		b = pick_offset(input);

	if (a + n > input->size || b + n > input->size || (a < b ? b - a : a - b) < n)
		return;
	memcpy(block, input->bytes + a, n);
	memcpy(input->bytes + a, input->bytes + b, n);
	memcpy(input->bytes + b, block, n);
}
