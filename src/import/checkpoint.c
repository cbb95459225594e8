/*
 * checkpoint.c
 *		Files and tensors of a checkpoint, and their weights as floats.
 */
#include "import/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

#include "engine/half.h"
#include "engine/read_bytes.h"

/* Weights that one thread converts at a time; a multiple of every block. */
#define CONVERT_WEIGHTS 8192

static bool is_lfs_pointer(const StoredFile *file);
static bool reserve_bytes(Checkpoint *checkpoint, uint64_t n, LlmError *error);
static bool read_member(Checkpoint *checkpoint, const StoredTensor *tensor, uint64_t offset,
						uint8_t *out, uint64_t n, LlmError *error);
static bool open_member(Checkpoint *checkpoint, const StoredTensor *tensor, uint64_t offset,
						LlmError *error);
static bool read_groups(Checkpoint *checkpoint, const StoredTensor *tensor, int64_t first,
						int64_t n,
						float *out, LlmError *error);
static void to_floats(LlmTensorType type, const uint8_t *bytes, int64_t n, float *out);
static int	compare_tensors(const void *a, const void *b);

Checkpoint *
checkpoint_create(LlmError *error)
{
	Checkpoint *checkpoint = calloc(1, sizeof(Checkpoint));

	if (checkpoint == NULL)
		llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory");
	else
		checkpoint->reader_file = -1;
	return checkpoint;
}

void
checkpoint_free(Checkpoint *checkpoint)
{
	if (checkpoint == NULL)
		return;
	if (checkpoint->reader != NULL)
		zip_fclose(checkpoint->reader);
	for (int32_t i = 0; i < checkpoint->n_files; i++)
	{
		StoredFile *file = &checkpoint->files[i];

		if (file->archive != NULL)
			zip_discard(file->archive);
		if (file->descriptor >= 0)
			close(file->descriptor);
		free(file->path);
	}
	for (int32_t i = 0; i < checkpoint->n_tensors; i++)
		free(checkpoint->tensors[i].name);
	free(checkpoint->files);
	free(checkpoint->tensors);
	free(checkpoint->bytes);
	free(checkpoint);
}

int32_t
checkpoint_add_file(Checkpoint *checkpoint, const char *path, LlmError *error)
{
	StoredFile	file = {.descriptor = -1};
	StoredFile *files;
	struct stat status;

	if (checkpoint->n_files == CHECKPOINT_MAX_FILES)
	{
		llm_fail(error, LLM_ERROR_LIMIT, "the model has more than %d files", CHECKPOINT_MAX_FILES);
		return -1;
	}
	files = realloc(checkpoint->files, ((size_t) checkpoint->n_files + 1) * sizeof(StoredFile));
	if (files != NULL)
		checkpoint->files = files;
	file.path = files != NULL ? strdup(path) : NULL;
	if (file.path == NULL)
	{
		llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory");
		return -1;
	}
	/* O_NONBLOCK: a FIFO is refused, not waited for. */
	file.descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (file.descriptor < 0 || fstat(file.descriptor, &status) != 0)
	{
		llm_fail(error, LLM_ERROR_FILE_ACCESS, "could not open \"%s\": %s", path, strerror(errno));
		goto failed;
	}
	if (!S_ISREG(status.st_mode))
	{
		llm_fail(error, LLM_ERROR_CORRUPT_FILE, "\"%s\" is not a file", path);
		goto failed;
	}
	file.size = (uint64_t) status.st_size;
	if (is_lfs_pointer(&file))
	{
		llm_fail(error, LLM_ERROR_CORRUPT_FILE,
				 "\"%s\" is not there yet: Git LFS has left a pointer in its place", path);
		llm_hint(error, "\"git lfs pull\" in the folder fetches it.");
		goto failed;
	}
	checkpoint->files[checkpoint->n_files] = file;
	return checkpoint->n_files++;

failed:
	if (file.descriptor >= 0)
		close(file.descriptor);
	free(file.path);
	return -1;
}

bool
checkpoint_add_tensor(Checkpoint *checkpoint, const StoredTensor *tensor, LlmError *error)
{
	const char *path = checkpoint->files[tensor->file].path;
	size_t		length = strlen(tensor->name);
	StoredTensor *added;

	if (checkpoint->n_tensors == CHECKPOINT_MAX_TENSORS)
		return llm_fail(error, LLM_ERROR_LIMIT, "the model has more than %d tensors",
						CHECKPOINT_MAX_TENSORS);
	if (length == 0 || length > CHECKPOINT_MAX_NAME)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"\"%s\" has a tensor whose name has %zu bytes, not 1 to %d", path, length,
						CHECKPOINT_MAX_NAME);
	for (size_t i = 0; i < length; i++)
		if (tensor->name[i] < ' ' || tensor->name[i] > '~')
			return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
							"\"%s\" has a tensor whose name is not printable", path);
	if (checkpoint->n_tensors == checkpoint->tensors_capacity)
	{
		int32_t		capacity = checkpoint->tensors_capacity * 2 + 64;
		StoredTensor *tensors = realloc(checkpoint->tensors,
										(size_t) capacity * sizeof(StoredTensor));

		if (tensors == NULL)
			return llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory");
		checkpoint->tensors = tensors;
		checkpoint->tensors_capacity = capacity;
	}
	added = &checkpoint->tensors[checkpoint->n_tensors];
	*added = *tensor;
	added->name = strdup(tensor->name);
	if (added->name == NULL)
		return llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory");
	checkpoint->n_tensors++;
	return true;
}

bool
checkpoint_sort(Checkpoint *checkpoint, LlmError *error)
{
	StoredTensor *tensors = checkpoint->tensors;

	if (checkpoint->n_tensors > 1)
		qsort(tensors, (size_t) checkpoint->n_tensors, sizeof(StoredTensor), compare_tensors);
	for (int32_t i = 1; i < checkpoint->n_tensors; i++)
		if (compare_tensors(&tensors[i - 1], &tensors[i]) == 0)
			return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "\"%s\" has two tensors \"%s\"",
							checkpoint->files[tensors[i].file].path, tensors[i].name);
	return true;
}

StoredTensor *
checkpoint_find(const Checkpoint *checkpoint, const char *name, int32_t *count)
{
	int32_t		low = 0;
	int32_t		high = checkpoint->n_tensors;

	while (low < high)
	{
		int32_t		middle = low + (high - low) / 2;

		if (strcmp(checkpoint->tensors[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*count = 0;
	while (low + *count < checkpoint->n_tensors &&
		   strcmp(checkpoint->tensors[low + *count].name, name) == 0)
		(*count)++;
	return *count > 0 ? &checkpoint->tensors[low] : NULL;
}

int64_t
checkpoint_count(int32_t n_dims, const int64_t *dims)
{
	uint64_t	count = 1;
	bool		is_empty = false;

	for (int32_t i = 0; i < n_dims; i++)
	{
		is_empty |= dims[i] == 0;
		if (dims[i] < 0 || (dims[i] > 0 && !llm_multiply_sizes(count, (uint64_t) dims[i], &count)) ||
			count > INT64_MAX / sizeof(double))
			return -1;
	}
	return is_empty ? 0 : (int64_t) count;
}

bool
checkpoint_read_file(const Checkpoint *checkpoint, int32_t file, uint64_t offset, void *out,
					 uint64_t n, LlmError *error)
{
	const StoredFile *stored = &checkpoint->files[file];
	int			error_number;
	uint64_t	done = llm_read_bytes(stored->descriptor, offset, out, n, &error_number);

	if (error_number != 0)
		return llm_fail(error, LLM_ERROR_FILE_ACCESS, "could not read \"%s\": %s", stored->path,
						strerror(error_number));
	if (done == n)
		return true;
	/* It was longer when the place of its tensors was checked. */
	return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "\"%s\" ends before byte %" PRIu64, stored->path,
					offset + done + 1);
}

bool
checkpoint_read_bytes(Checkpoint *checkpoint, const StoredTensor *tensor, uint64_t first, void *out,
					  uint64_t n, LlmError *error)
{
	if (tensor->member >= 0)
		return read_member(checkpoint, tensor, tensor->offset + first, out, n, error);
	return checkpoint_read_file(checkpoint, tensor->file, tensor->offset + first, out, n, error);
}

bool
checkpoint_read_floats(Checkpoint *checkpoint, const StoredTensor *tensor, int64_t first, int64_t n,
					   float *out, LlmError *error)
{
	const LlmTensorTypeInfo *info;
	uint64_t	n_bytes;

	if (tensor->group > 0)
		return read_groups(checkpoint, tensor, first, n, out, error);
	info = llm_tensor_type_info(tensor->type);
	n_bytes = (uint64_t) (n / info->block_weights) * (uint64_t) info->block_bytes;
	if (!reserve_bytes(checkpoint, n_bytes, error) ||
		!checkpoint_read_bytes(checkpoint, tensor,
							   (uint64_t) (first / info->block_weights) * (uint64_t) info->block_bytes,
							   checkpoint->bytes, n_bytes, error))
		return false;
#pragma omp parallel for schedule(static)
	for (int64_t i = 0; i < n; i += CONVERT_WEIGHTS)
		to_floats(tensor->type,
				  checkpoint->bytes + i / info->block_weights * info->block_bytes,
				  n - i < CONVERT_WEIGHTS ? n - i : CONVERT_WEIGHTS, out + i);
	return true;
}

/* What a clone without Git LFS has instead of large files. */
static bool
is_lfs_pointer(const StoredFile *file)
{
	static const char beginning[] = "version https://git-lfs.github.com/spec/";
	char		found[sizeof(beginning) - 1];
	int			error_number;

	return llm_read_bytes(file->descriptor, 0, found, sizeof(found), &error_number) == sizeof(found) &&
		memcmp(found, beginning, sizeof(found)) == 0;
}

static bool
reserve_bytes(Checkpoint *checkpoint, uint64_t n, LlmError *error)
{
	if (n > checkpoint->bytes_capacity)
	{
		free(checkpoint->bytes);
		checkpoint->bytes_capacity = 0;
		checkpoint->bytes = malloc(n);
		if (checkpoint->bytes == NULL)
			return llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory for %" PRIu64 " bytes",
							n);
		checkpoint->bytes_capacity = n;
	}
	return true;
}

/* Read on where the last call ended, if it can be: then the archive's checksum is checked. */
static bool
read_member(Checkpoint *checkpoint, const StoredTensor *tensor, uint64_t offset, uint8_t *out,
			uint64_t n, LlmError *error)
{
	const char *path = checkpoint->files[tensor->file].path;

	if (n == 0)
		return true;
	if (!open_member(checkpoint, tensor, offset, error))
		return false;
	while (n > 0)
	{
		zip_int64_t got = zip_fread(checkpoint->reader, out, n);

		if (got < 0)
			return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
							"could not read tensor \"%s\" of \"%s\": %s",
							tensor->name, path, zip_file_strerror(checkpoint->reader));
		if (got == 0)
			return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "tensor \"%s\" of \"%s\" is cut short",
							tensor->name, path);
		out += got;
		n -= (uint64_t) got;
		checkpoint->reader_offset += (uint64_t) got;
	}
	return true;
}

static bool
open_member(Checkpoint *checkpoint, const StoredTensor *tensor, uint64_t offset, LlmError *error)
{
	StoredFile *file = &checkpoint->files[tensor->file];

	if (checkpoint->reader != NULL && (checkpoint->reader_file != tensor->file ||
									   checkpoint->reader_member != tensor->member))
	{
		zip_fclose(checkpoint->reader);
		checkpoint->reader = NULL;
	}
	if (checkpoint->reader == NULL)
	{
		checkpoint->reader = zip_fopen_index(file->archive, (zip_uint64_t) tensor->member, 0);
		if (checkpoint->reader == NULL)
			return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
							"could not read tensor \"%s\" of \"%s\": %s",
							tensor->name, file->path, zip_strerror(file->archive));
		checkpoint->reader_file = tensor->file;
		checkpoint->reader_member = tensor->member;
		checkpoint->reader_offset = 0;
	}
	if (checkpoint->reader_offset != offset)
	{
		if (zip_fseek(checkpoint->reader, (zip_int64_t) offset, SEEK_SET) != 0)
			return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
							"could not go to byte %" PRIu64 " of tensor \"%s\" of \"%s\": %s", offset,
							tensor->name, file->path, zip_file_strerror(checkpoint->reader));
		checkpoint->reader_offset = offset;
	}
	return true;
}

static bool
read_groups(Checkpoint *checkpoint, const StoredTensor *tensor, int64_t first, int64_t n,
			float *out,
			LlmError *error)
{
	uint64_t	n_scales = (uint64_t) (n / tensor->group);
	const int8_t *codes;
	const float *scales;

	/* The scales come first in the buffer, for their alignment. */
	if (!reserve_bytes(checkpoint, n_scales * sizeof(float) + (uint64_t) n, error) ||
		!checkpoint_read_file(checkpoint, tensor->file,
							  tensor->scales_offset +
							  (uint64_t) (first / tensor->group) * sizeof(float),
							  checkpoint->bytes, n_scales * sizeof(float), error) ||
		!checkpoint_read_file(checkpoint, tensor->file, tensor->offset + (uint64_t) first,
							  checkpoint->bytes + n_scales * sizeof(float), (uint64_t) n, error))
		return false;
	scales = (const float *) (const void *) checkpoint->bytes;
	codes = (const int8_t *) (checkpoint->bytes + n_scales * sizeof(float));
	for (int64_t i = 0; i < n; i++)
		out[i] = (float) codes[i] * scales[i / tensor->group];
	return true;
}

/* Halves in a loop of their own, which is much of the time that reading them takes. */
static void
to_floats(LlmTensorType type, const uint8_t *bytes, int64_t n, float *out)
{
	const uint16_t *halves = (const uint16_t *) (const void *) bytes;

	if (type == LLM_F16)
		for (int64_t i = 0; i < n; i++)
			out[i] = llm_half_value(halves[i]);
	else if (type == LLM_BF16)
		for (int64_t i = 0; i < n; i++)
			out[i] = llm_bfloat16_value(halves[i]);
	else
		llm_dequantize_row(type, bytes, n, out);
}

static int
compare_tensors(const void *a, const void *b)
{
	const StoredTensor *left = a;
	const StoredTensor *right = b;
	int			order = strcmp(left->name, right->name);

	return order != 0 ? order : (left->file > right->file) - (left->file < right->file);
}
