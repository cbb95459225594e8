/*
 * source_gguf.c
 *		A GGUF file, to have its weights in other types.
 */
#include "import/source.h"

#include <stdio.h>

static bool add_tensor(Source *source, const LlmGgufTensor *tensor, LlmError *error);

bool
source_open_gguf(Source *source, const char *path, LlmError *error)
{
	const LlmGguf *gguf;

	source->format = "GGUF file";
	source->model = llm_model_open(path, error);
	if (source->model == NULL || checkpoint_add_file(source->checkpoint, path, error) < 0)
		return false;
	gguf = source->model->gguf;
	for (int64_t i = 0; i < llm_gguf_n_tensors(gguf); i++)
		if (!add_tensor(source, llm_gguf_tensor(gguf, i), error))
			return false;
	source->config = *llm_model_file_config(source->model);
	return vocabulary_copy(&source->vocabulary, &source->model->vocabulary, error) &&
		source_bind(source, NAMING_GGUF, error);
}

/* llm_model_open has checked names, shapes and places. */
static bool
add_tensor(Source *source, const LlmGgufTensor *tensor, LlmError *error)
{
	char		name[CHECKPOINT_MAX_NAME + 1];
	StoredTensor stored = {
		.name = name, .type = tensor->type, .member = -1, .offset = tensor->file_offset,
		.n_dims = tensor->dims[1] > 1 ? 2 : 1
	};

	snprintf(name, sizeof(name), "%.*s", (int) (tensor->name.length < CHECKPOINT_MAX_NAME ?
												tensor->name.length :
												CHECKPOINT_MAX_NAME), tensor->name.bytes);
	for (int32_t i = 0; i < stored.n_dims; i++)
		stored.dims[i] = tensor->dims[stored.n_dims - 1 - i];
	return checkpoint_add_tensor(source->checkpoint, &stored, error);
}
