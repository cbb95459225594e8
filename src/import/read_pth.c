/*
 * read_pth.c
 *		PyTorch checkpoints: zip archives with a pickle and the storages.
 *
 * The members of an archive NAME are NAME/data.pkl, which describes the tensors,
 * and NAME/data/KEY, the bytes of a storage, not compressed.
 */
#include "import/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "import/pickle.h"

/* Llama 2 70B's has 100 kB. */
#define MAX_PICKLE_BYTES (UINT64_C(4) << 20)

#define PICKLE_MEMBER "/data.pkl"

typedef struct Reading
{
	Checkpoint *checkpoint;
	int32_t		file;
	char		folder[CHECKPOINT_MAX_NAME + 1];	/* in the archive */
} Reading;

static bool find_pickle(Reading *reading, zip_int64_t *member, LlmError *error);
static uint8_t *read_pickle(const Reading *reading, zip_int64_t member, uint64_t *length,
							LlmError *error);
static bool check_byte_order(const Reading *reading, LlmError *error);
static bool add_tensor(void *arg, const PickleTensor *pickled, LlmError *error);
static bool is_contiguous(const PickleTensor *pickled);

bool
checkpoint_add_pth(Checkpoint *checkpoint, const char *path, LlmError *error)
{
	Reading		reading = {.checkpoint = checkpoint,
	.file = checkpoint_add_file(checkpoint, path, error)};
	zip_int64_t member;
	uint64_t	length;
	uint8_t    *pickle;
	bool		done;
	int			code;

	if (reading.file < 0)
		return false;
	checkpoint->files[reading.file].archive = zip_open(path, ZIP_RDONLY, &code);
	if (checkpoint->files[reading.file].archive == NULL)
	{
		zip_error_t reason;

		zip_error_init_with_code(&reason, code);
		llm_fail(error, LLM_ERROR_CORRUPT_FILE,
				 "could not open \"%s\" as a PyTorch checkpoint: %s", path,
				 zip_error_strerror(&reason));
		zip_error_fini(&reason);
		return llm_hint(error, "Checkpoints from before PyTorch 1.6 are no zip archives: "
						"load and save them with a newer one.");
	}
	if (!find_pickle(&reading, &member, error) || !check_byte_order(&reading, error))
		return false;
	pickle = read_pickle(&reading, member, &length, error);
	if (pickle == NULL)
		return false;
	done = pickle_read_tensors(pickle, length, add_tensor, &reading, error);
	free(pickle);
	return done;
}

/* The first member named FOLDER/data.pkl; the folder is kept. */
static bool
find_pickle(Reading *reading, zip_int64_t *member, LlmError *error)
{
	const StoredFile *file = &reading->checkpoint->files[reading->file];
	zip_int64_t n = zip_get_num_entries(file->archive, 0);

	for (*member = 0; *member < n; (*member)++)
	{
		const char *name = zip_get_name(file->archive, (zip_uint64_t) *member, ZIP_FL_ENC_RAW);
		size_t		length = name != NULL ? strlen(name) : 0;

		if (length <= strlen(PICKLE_MEMBER) || length > CHECKPOINT_MAX_NAME ||
			strcmp(name + length - strlen(PICKLE_MEMBER), PICKLE_MEMBER) != 0)
			continue;
		length -= strlen(PICKLE_MEMBER);
		memcpy(reading->folder, name, length);
		reading->folder[length] = '\0';
		return true;
	}
	return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
					"\"%s\" is no PyTorch checkpoint: it has no data.pkl",
					file->path);
}

static uint8_t *
read_pickle(const Reading *reading, zip_int64_t member, uint64_t *length, LlmError *error)
{
	const StoredFile *file = &reading->checkpoint->files[reading->file];
	zip_file_t *opened = NULL;
	zip_stat_t	status;
	uint8_t    *bytes = NULL;
	bool		done = false;

	if (zip_stat_index(file->archive, (zip_uint64_t) member, 0, &status) != 0 ||
		!(status.valid & ZIP_STAT_SIZE))
		llm_fail(error, LLM_ERROR_CORRUPT_FILE, "could not read data.pkl of \"%s\"", file->path);
	else if (status.size > MAX_PICKLE_BYTES)
		llm_fail(error, LLM_ERROR_LIMIT, "data.pkl of \"%s\" has %" PRIu64 " bytes, more than %" PRIu64,
				 file->path, (uint64_t) status.size, MAX_PICKLE_BYTES);
	else if ((bytes = malloc(status.size + 1)) == NULL)
		llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory for data.pkl of \"%s\"",
				 file->path);
	else
	{
		opened = zip_fopen_index(file->archive, (zip_uint64_t) member, 0);
		/* One byte more, for what is longer than it says, and so that the checksum is checked. */
		done = opened != NULL && zip_fread(opened, bytes,
										   status.size + 1) == (zip_int64_t) status.size;
		if (!done)
			llm_fail(error, LLM_ERROR_CORRUPT_FILE, "could not read data.pkl of \"%s\": %s",
					 file->path,
					 opened != NULL ? zip_file_strerror(opened) : zip_strerror(file->archive));
	}
	if (opened != NULL)
		zip_fclose(opened);
	if (!done)
	{
		free(bytes);
		return NULL;
	}
	*length = status.size;
	return bytes;
}

/* Newer files tell theirs. */
static bool
check_byte_order(const Reading *reading, LlmError *error)
{
	const StoredFile *file = &reading->checkpoint->files[reading->file];
	char		name[CHECKPOINT_MAX_NAME + 16];
	char		order[7] = "";
	zip_file_t *opened;
	bool		big;

	snprintf(name, sizeof(name), "%s/byteorder", reading->folder);
	opened = zip_fopen(file->archive, name, ZIP_FL_ENC_RAW);
	if (opened == NULL)
		return true;
	big = zip_fread(opened, order, sizeof(order) - 1) < 6 || memcmp(order, "little", 6) != 0;
	zip_fclose(opened);
	return !big || llm_fail(error, LLM_ERROR_UNSUPPORTED, "\"%s\" is not little endian",
							file->path);
}

static bool
add_tensor(void *arg, const PickleTensor *pickled, LlmError *error)
{
	const Reading *reading = arg;
	const StoredFile *file = &reading->checkpoint->files[reading->file];
	uint64_t	width = (uint64_t) llm_tensor_type_info(pickled->type)->block_bytes;
	char		name[CHECKPOINT_MAX_NAME + 1];
	char		member[CHECKPOINT_MAX_NAME + 64];
	StoredTensor tensor = {.name = name, .type = pickled->type, .n_dims = pickled->n_dims,
	.file = reading->file};
	int64_t		count;
	uint64_t	end;
	zip_stat_t	status;

	if (pickled->name_length > CHECKPOINT_MAX_NAME ||
		memchr(pickled->name, '\0', pickled->name_length))
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "\"%s\" has a tensor with an unusable name",
						file->path);
	memcpy(name, pickled->name, pickled->name_length);
	name[pickled->name_length] = '\0';
	memcpy(tensor.dims, pickled->dims, sizeof(tensor.dims));

	snprintf(member, sizeof(member), "%s/data/%.*s", reading->folder,
			 pickled->storage_length < 32 ? (int) pickled->storage_length : 32, pickled->storage);
	tensor.member = zip_name_locate(file->archive, member, ZIP_FL_ENC_RAW);
	if (tensor.member < 0 ||
		zip_stat_index(file->archive, (zip_uint64_t) tensor.member, 0, &status) != 0 ||
		(status.valid & (ZIP_STAT_SIZE | ZIP_STAT_COMP_METHOD)) != (ZIP_STAT_SIZE | ZIP_STAT_COMP_METHOD))
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"\"%s\" does not hold the weights of tensor \"%.80s\"",
						file->path, name);
	if (status.comp_method != ZIP_CM_STORE)
		return llm_fail(error, LLM_ERROR_UNSUPPORTED, "tensor \"%.80s\" of \"%s\" is compressed",
						name,
						file->path);
	count = checkpoint_count(pickled->n_dims, pickled->dims);
	if (count < 0 || pickled->offset < 0 || pickled->offset > INT64_MAX / 8 ||
		!llm_multiply_sizes((uint64_t) count + (uint64_t) pickled->offset, width, &end) ||
		end > status.size || status.size > file->size)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"tensor \"%.80s\" of \"%s\" does not lie within its storage of %" PRIu64 " bytes",
						name, file->path, (uint64_t) status.size);
	if (!is_contiguous(pickled))
		return llm_fail(error, LLM_ERROR_UNSUPPORTED,
						"tensor \"%.80s\" of \"%s\" is not contiguous", name,
						file->path);
	tensor.offset = (uint64_t) pickled->offset * width;
	return checkpoint_add_tensor(reading->checkpoint, &tensor, error);
}

static bool
is_contiguous(const PickleTensor *pickled)
{
	int64_t		stride = 1;

	for (int32_t i = pickled->n_dims - 1; i >= 0; i--)
	{
		if (pickled->dims[i] != 1 && pickled->strides[i] != stride)
			return false;
		stride *= pickled->dims[i];
	}
	return true;
}
