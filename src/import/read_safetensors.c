/*
 * read_safetensors.c
 *		The safetensors format: a length, a JSON header, the tensors' bytes.
 *
 * Format: https://github.com/huggingface/safetensors, README, "Format".
 */
#include "import/checkpoint.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "import/json_file.h"

#define MAX_HEADER_BYTES (UINT64_C(16) << 20)

static json_t *read_header(const Checkpoint *checkpoint, int32_t file, uint64_t *data,
						   LlmError *error);
static bool add_entry(Checkpoint *checkpoint, int32_t file, uint64_t data, const char *name,
					  const json_t *entry, LlmError *error);
static bool read_shape(const json_t *shape, StoredTensor *tensor);
static bool read_offsets(const json_t *offsets, uint64_t *begin, uint64_t *end);

bool
checkpoint_add_safetensors(Checkpoint *checkpoint, const char *path, LlmError *error)
{
	int32_t		file = checkpoint_add_file(checkpoint, path, error);
	uint64_t	data;
	json_t	   *header;
	const char *name;
	json_t	   *entry;
	bool		done = true;

	if (file < 0)
		return false;
	header = read_header(checkpoint, file, &data, error);
	if (header == NULL)
		return false;
	json_object_foreach(header, name, entry)
	{
		if (strcmp(name, "__metadata__") == 0)
			continue;
		done = add_entry(checkpoint, file, data, name, entry, error);
		if (!done)
			break;
	}
	json_decref(header);
	return done;
}

/* *data is where the tensors' bytes begin. */
static json_t *
read_header(const Checkpoint *checkpoint, int32_t file, uint64_t *data, LlmError *error)
{
	const StoredFile *stored = &checkpoint->files[file];
	uint64_t	length;
	char	   *text;
	json_t	   *header = NULL;

	if (stored->size < sizeof(length))
	{
		llm_fail(error, LLM_ERROR_CORRUPT_FILE, "\"%s\" has only %" PRIu64 " bytes", stored->path,
				 stored->size);
		return NULL;
	}
	if (!checkpoint_read_file(checkpoint, file, 0, &length, sizeof(length), error))
		return NULL;
	if (length > MAX_HEADER_BYTES || length > stored->size - sizeof(length))
	{
		llm_fail(error, LLM_ERROR_CORRUPT_FILE,
				 "\"%s\" is no safetensors file: its header would have %" PRIu64 " bytes",
				 stored->path, length);
		return NULL;
	}
	*data = sizeof(length) + length;
	text = malloc(length + 1);
	if (text == NULL)
		llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory for the header of \"%s\"",
				 stored->path);
	else if (checkpoint_read_file(checkpoint, file, sizeof(length), text, length, error))
		header = json_parse_object(text, length, stored->path, error);
	free(text);
	return header;
}

static bool
add_entry(Checkpoint *checkpoint, int32_t file, uint64_t data, const char *name,
		  const json_t *entry, LlmError *error)
{
	static const struct
	{
		const char *name;
		LlmTensorType type;
	}			types[] = {{"F32", LLM_F32}, {"F16", LLM_F16}, {"BF16", LLM_BF16}};
	const StoredFile *stored = &checkpoint->files[file];
	const char *type = json_get_text(entry, "dtype");
	StoredTensor tensor = {.name = (char *) name, .file = file, .member = -1,
	.type = LLM_TENSOR_TYPE_LIMIT};
	uint64_t	begin;
	uint64_t	end;
	int64_t		count;

	for (size_t i = 0; type != NULL && i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(type, types[i].name) == 0)
			tensor.type = types[i].type;
	if (tensor.type == LLM_TENSOR_TYPE_LIMIT)
		return llm_fail(error, LLM_ERROR_UNSUPPORTED,
						"tensor \"%.80s\" of \"%s\" has the type \"%.20s\", "
						"not F32, F16 or BF16", name, stored->path, type != NULL ? type : "");
	if (!read_shape(json_object_get(entry, "shape"), &tensor))
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"tensor \"%.80s\" of \"%s\" has no valid shape", name,
						stored->path);
	if (!read_offsets(json_object_get(entry, "data_offsets"), &begin, &end) ||
		end < begin || end > stored->size - data)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"tensor \"%.80s\" does not lie within \"%s\"", name,
						stored->path);
	count = checkpoint_count(tensor.n_dims, tensor.dims);
	if (count < 0 || (uint64_t) count * (uint64_t) llm_tensor_type_info(tensor.type)->block_bytes != end - begin)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"tensor \"%.80s\" of \"%s\" has %" PRIu64 " bytes, which is not what its shape takes",
						name, stored->path, end - begin);
	tensor.offset = data + begin;
	return checkpoint_add_tensor(checkpoint, &tensor, error);
}

static bool
read_shape(const json_t *shape, StoredTensor *tensor)
{
	size_t		n = json_array_size(shape);

	if (!json_is_array(shape) || n > CHECKPOINT_MAX_DIMS)
		return false;
	for (size_t i = 0; i < n; i++)
	{
		const json_t *dim = json_array_get(shape, i);

		if (!json_is_integer(dim) || json_integer_value(dim) < 0)
			return false;
		tensor->dims[i] = json_integer_value(dim);
	}
	tensor->n_dims = (int32_t) n;
	return true;
}

static bool
read_offsets(const json_t *offsets, uint64_t *begin, uint64_t *end)
{
	const json_t *first = json_array_get(offsets, 0);
	const json_t *second = json_array_get(offsets, 1);

	if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(second) ||
		json_integer_value(first) < 0 || json_integer_value(second) < 0)
		return false;
	*begin = (uint64_t) json_integer_value(first);
	*end = (uint64_t) json_integer_value(second);
	return true;
}
