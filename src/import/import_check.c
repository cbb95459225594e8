/*
 * import_check.c
 *		A model file that was written, compared with what it was made from.
 */
#include "import/import_model.h"

#include <inttypes.h>
#include <string.h>

static bool check_config(const LlmModelConfig *found, const LlmModelConfig *expected,
						 LlmError *error);
static bool check_tensors(const LlmModelFile *file, const Source *source,
						  const LlmTensorType *types,
						  LlmError *error);
static bool check_vocabulary(const LlmVocabularySource *found, const ImportVocabulary *expected,
							 LlmError *error);
static bool name_file(const char *path, LlmError *error);

/* The engine's reader checks all that a server would, too. */
bool
import_check(const char *path, const Source *source, const LlmTensorType *types, LlmError *error)
{
	LlmModelFile *file = llm_model_open(path, error);
	bool		done = file != NULL &&
		check_config(llm_model_file_config(file), &source->config, error) &&
		check_tensors(file, source, types, error) &&
		check_vocabulary(&file->vocabulary, &source->vocabulary, error);

	llm_model_close(file);
	return done || name_file(path, error);
}

static bool
check_config(const LlmModelConfig *found, const LlmModelConfig *expected, LlmError *error)
{
	if (found->dim != expected->dim || found->n_layers != expected->n_layers ||
		found->n_heads != expected->n_heads || found->n_kv_heads != expected->n_kv_heads ||
		found->ffn_dim != expected->ffn_dim ||
		found->vocabulary_size != expected->vocabulary_size ||
		found->context_length != expected->context_length ||
		found->rope_dim != expected->rope_dim ||
		found->norm_eps != expected->norm_eps ||
		(float) found->rope_base != (float) expected->rope_base ||
		(float) found->rope_scale != (float) expected->rope_scale ||
		found->tied_output != expected->tied_output)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"it has another configuration than its source");
	return found->n_weights == expected->n_weights ||
		llm_fail(error, LLM_ERROR_CORRUPT_FILE,
				 "it has %" PRId64 " weights, its source %" PRId64, found->n_weights,
				 expected->n_weights);
}

static bool
check_tensors(const LlmModelFile *file, const Source *source, const LlmTensorType *types,
			  LlmError *error)
{
	for (int32_t i = 0; i < source->n_tensors; i++)
	{
		const SourceTensor *tensor = &source->tensors[i];
		const LlmGgufTensor *found = llm_gguf_find_tensor(file->gguf, tensor->name);

		if (found == NULL || found->dims[0] != tensor->cols || found->dims[1] != tensor->rows ||
			found->type != types[i])
			return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
							"tensor \"%s\" is not as its source has it", tensor->name);
	}
	return true;
}

static bool
check_vocabulary(const LlmVocabularySource *found, const ImportVocabulary *expected,
				 LlmError *error)
{
	if (found->n_pieces != expected->n_pieces || found->unknown_id != expected->unknown_id ||
		found->bos_id != expected->bos_id || found->eos_id != expected->eos_id ||
		found->add_bos != expected->add_bos ||
		found->add_space_prefix != expected->add_space_prefix)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"it has another vocabulary than its source");
	for (int32_t i = 0; i < found->n_pieces; i++)
	{
		const LlmPiece *piece = &found->pieces[i];
		const LlmPiece *wanted = &expected->pieces[i];

		if (piece->length != wanted->length ||
			memcmp(piece->bytes, wanted->bytes, piece->length) != 0 ||
			piece->score != wanted->score || piece->kind != wanted->kind)
			return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
							"token %" PRId32 " is not as its source has it", i);
	}
	return true;
}

/* What was found tells what is wrong, not where. */
static bool
name_file(const char *path, LlmError *error)
{
	const LlmError found = *error;

	llm_fail(error, found.code, "model file \"%s\" failed its check: %s", path, found.message);
	error->saved_errno = found.saved_errno;
	return llm_hint(error, "%s", found.hint);
}
