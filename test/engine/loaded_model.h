/*
 * loaded_model.h
 *		A model file in memory, and sequences run through it, for tests.
 */
#ifndef LOADED_MODEL_H
#define LOADED_MODEL_H

#include <stdlib.h>
#include <string.h>

#include "engine/transformer.h"
#include "tap.h"

typedef struct LoadedModel
{
	LlmModel	model;
	void	   *image;
} LoadedModel;

static inline bool
load_model(LoadedModel *loaded, const char *path)
{
	LlmError	error = {0};
	LlmModelFile *file = llm_model_open(path, &error);
	bool		loads;

	memset(loaded, 0, sizeof(*loaded));
	if (file != NULL)
	{
		uint64_t	size = llm_model_image_size(file);

		loaded->image = aligned_alloc(64, (size + 63) / 64 * 64);
		loads = loaded->image != NULL &&
			llm_model_load_image(file, loaded->image, size, 2, NULL, NULL, &error) &&
			llm_model_attach(loaded->image, size, &loaded->model, &error);
		llm_model_close(file);
		if (loads)
			return true;
		free(loaded->image);
	}
	diag("%s: %s", path, error.message);
	return false;
}

static inline void
unload_model(LoadedModel *loaded)
{
	llm_model_detach(&loaded->model);
	free(loaded->image);
}

/* A cache and a transformer of a loaded model. */
typedef struct Runner
{
	LlmKvCache *cache;
	LlmTransformer *transformer;
	int32_t		vocabulary_size;
	bool		is_prompt;		/* of sequences that are started; false at first */
} Runner;

static inline bool
create_runner(Runner *runner, const LoadedModel *loaded, const LlmKernels *kernels, LlmKvType kv_type,
			  int32_t n_threads, bool use_blas)
{
	LlmTransformerOptions options = {
		.n_threads = n_threads, .max_tokens = 512, .max_logits = 512, .max_slices = 16,
		.max_positions = 512, .use_blas = use_blas
	};
	LlmError	error = {0};

	runner->vocabulary_size = loaded->model.config.vocabulary_size;
	runner->transformer = NULL;
	runner->is_prompt = false;
	runner->cache = llm_kv_cache_create(&loaded->model.config, kv_type, 64, &error);
	if (runner->cache != NULL)
		runner->transformer = llm_transformer_create(&loaded->model, kernels, runner->cache, &options, &error);
	if (runner->transformer == NULL)
	{
		llm_kv_cache_free(runner->cache);
		diag("%s", error.message);
		return false;
	}
	return true;
}

static inline void
free_runner(Runner *runner)
{
	llm_transformer_free(runner->transformer);
	llm_kv_cache_free(runner->cache);
}

#define MAX_TEST_PAGES 16

/* Tokens of one sequence, and the logits of all of them. */
typedef struct TestSequence
{
	const int32_t *ids;
	int32_t		n_ids;
	int32_t		n_done;
	float	   *logits;			/* [n_ids][vocabulary_size] */
	bool		is_prompt;
	LlmPageTable table;
	int32_t		pages[MAX_TEST_PAGES];
} TestSequence;

static inline void
start_sequence(Runner *runner, TestSequence *sequence, const int32_t *ids, int32_t n_ids)
{
	sequence->ids = ids;
	sequence->n_ids = n_ids;
	sequence->n_done = 0;
	sequence->is_prompt = runner->is_prompt;
	sequence->logits = calloc((size_t) n_ids * (size_t) runner->vocabulary_size, sizeof(float));
	sequence->table.pages = sequence->pages;
	sequence->table.capacity = MAX_TEST_PAGES;
	sequence->table.n_pages = (n_ids + LLM_KV_PAGE - 1) / LLM_KV_PAGE;
	for (int32_t i = 0; i < sequence->table.n_pages; i++)
		sequence->pages[i] = llm_kv_cache_take(runner->cache);
}

static inline void
end_sequence(Runner *runner, TestSequence *sequence)
{
	for (int32_t i = 0; i < sequence->table.n_pages; i++)
		llm_kv_cache_release(runner->cache, sequence->pages[i]);
	free(sequence->logits);
}

/* The sequence's next `chunk` tokens (or as many as are left), all their logits wanted. */
static inline LlmSlice
next_slice(TestSequence *sequence, int32_t chunk)
{
	LlmSlice	slice = {0};
	int32_t		left = sequence->n_ids - sequence->n_done;

	slice.tokens = sequence->ids + sequence->n_done;
	slice.n_tokens = chunk < left ? chunk : left;
	slice.first_position = sequence->n_done;
	slice.n_logits = slice.n_tokens;
	slice.is_prompt = sequence->is_prompt;
	slice.pages = &sequence->table;
	return slice;
}

/* Take the logits of a slice that has run. */
static inline void
take_logits(Runner *runner, TestSequence *sequence, const LlmSlice *slice)
{
	int32_t		first_wanted = sequence->n_done + slice->n_tokens - slice->n_logits;

	for (int32_t i = 0; i < slice->n_logits; i++)
		memcpy(sequence->logits + (size_t) (first_wanted + i) * (size_t) runner->vocabulary_size,
			   llm_transformer_logits(runner->transformer, slice->first_logits + i),
			   (size_t) runner->vocabulary_size * sizeof(float));
	sequence->n_done += slice->n_tokens;
}

/* All of one sequence alone, in chunks. */
static inline void
run_sequence(Runner *runner, TestSequence *sequence, int32_t chunk)
{
	while (sequence->n_done < sequence->n_ids)
	{
		LlmSlice	slice = next_slice(sequence, chunk);
		LlmStep		step = {.slices = &slice, .n_slices = 1};

		llm_transformer_step(runner->transformer, &step);
		take_logits(runner, sequence, &slice);
	}
}

#endif							/* LOADED_MODEL_H */
