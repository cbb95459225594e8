/*
 * gguf.c
 *		Reader of GGUF files: the header, its keys and its tensor directory.
 *
 * The header is read with pread into memory that grows as the parser gets
 * further, never mapped: a file that is cut short while it is open would end a
 * process that reads a mapping.  Everything found refers to that memory by offset
 * while it may still move, and by pointer once it is complete.
 */
#include "engine/gguf_layout.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/read_bytes.h"

#define MAX_HEADER_BYTES	(UINT64_C(128) << 20)
#define MAX_KEYS			65536
#define MAX_TENSORS			65536
#define MAX_NAME_BYTES		65535
#define MAX_ARRAY_DEPTH		8
#define FIRST_READ_BYTES	(UINT64_C(64) << 10)

#define DEFAULT_ALIGNMENT	32
#define MIN_ALIGNMENT		8
#define MAX_ALIGNMENT		(1 << 20)

/* The fewest bytes that a key and its value, or a tensor's entry, can take. */
#define MIN_KEY_BYTES		(8 + 1 + 4 + 1)
#define MIN_TENSOR_BYTES	(8 + 1 + 4 + 8 + 4 + 8)

/* Room for a name in a message. */
#define SHOWN_NAME			72

static bool open_file(LlmGguf *gguf, const char *path, LlmError *error);
static bool parse_preamble(LlmGguf *gguf, LlmError *error);
static bool parse_keys(LlmGguf *gguf, LlmError *error);
static bool parse_value(LlmGguf *gguf, GgufKey *key, LlmError *error);
static bool parse_array(LlmGguf *gguf, GgufKey *key, int depth, LlmError *error);
static bool parse_tensors(LlmGguf *gguf, uint64_t *name_offsets, LlmError *error);
static bool parse_tensor(LlmGguf *gguf, LlmGgufTensor *tensor, uint64_t *name_offset,
						 LlmError *error);
static bool index_keys(LlmGguf *gguf, LlmError *error);
static bool find_alignment(LlmGguf *gguf, LlmError *error);
static bool index_tensors(LlmGguf *gguf, LlmError *error);
static bool place_tensors(LlmGguf *gguf, LlmError *error);

static bool check_available(const LlmGguf *gguf, uint64_t n, LlmError *error);
static bool fill(LlmGguf *gguf, uint64_t n, LlmError *error);
static bool take(LlmGguf *gguf, void *out, uint64_t n, LlmError *error);
static bool take_string(LlmGguf *gguf, uint64_t *offset, uint64_t *length, LlmError *error);

static int	compare_tensor_names(const void *a, const void *b);
static int	compare_tensor_offsets(const void *a, const void *b);

LlmGguf *
llm_gguf_open(const char *path, LlmError *error)
{
	LlmGguf    *gguf = calloc(1, sizeof(LlmGguf));
	uint64_t   *name_offsets = NULL;
	bool		done;

	if (gguf == NULL)
	{
		llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory while opening a model file");
		return NULL;
	}
	gguf->descriptor = -1;
	gguf->alignment = DEFAULT_ALIGNMENT;

	done = open_file(gguf, path, error) && parse_preamble(gguf, error);
	if (done)
	{
		gguf->keys = calloc(gguf->n_keys + 1, sizeof(GgufKey));
		gguf->tensors = calloc(gguf->n_tensors + 1, sizeof(LlmGgufTensor));
		gguf->by_name = calloc(gguf->n_tensors + 1, sizeof(LlmGgufTensor *));
		name_offsets = calloc(gguf->n_tensors + 1, sizeof(uint64_t));
		done = (gguf->keys && gguf->tensors && gguf->by_name && name_offsets) ||
			llm_fail(error, LLM_ERROR_OUT_OF_MEMORY,
					 "out of memory for %" PRIu64 " keys and %" PRIu64 " tensors",
					 gguf->n_keys, gguf->n_tensors);
	}
	done = done &&
		parse_keys(gguf, error) &&
		parse_tensors(gguf, name_offsets, error) &&
		index_keys(gguf, error) &&
		find_alignment(gguf, error) &&
		index_tensors(gguf, error) &&
		place_tensors(gguf, error);
	free(name_offsets);
	if (!done)
	{
		llm_gguf_close(gguf);
		return NULL;
	}
	return gguf;
}

void
llm_gguf_close(LlmGguf *gguf)
{
	if (gguf == NULL)
		return;
	if (gguf->descriptor >= 0)
		close(gguf->descriptor);
	for (uint64_t i = 0; gguf->keys != NULL && i < gguf->n_keys; i++)
		free(gguf->keys[i].item_offsets);
	free(gguf->keys);
	free(gguf->tensors);
	free(gguf->by_name);
	free(gguf->bytes);
	free(gguf);
}

bool
llm_gguf_read(const LlmGguf *gguf, uint64_t offset, void *buffer, uint64_t n, LlmError *error)
{
	int			error_number;
	uint64_t	done = llm_read_bytes(gguf->descriptor, offset, buffer, n, &error_number);

	if (error_number != 0)
		return llm_fail(error, LLM_ERROR_FILE_ACCESS, "could not read file at byte %" PRIu64 ": %s",
						offset + done, strerror(error_number));
	if (done < n)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"file was cut short to %" PRIu64 " bytes while it was read", offset + done);
	return true;
}

bool
llm_gguf_check_unchanged(const LlmGguf *gguf, LlmError *error)
{
	struct stat now;
	LlmFileIdentity then_identity;
	LlmFileIdentity now_identity;

	if (fstat(gguf->descriptor, &now) != 0)
		return llm_fail(error, LLM_ERROR_FILE_ACCESS, "could not stat file: %s", strerror(errno));
	then_identity = llm_file_identity(&gguf->status);
	now_identity = llm_file_identity(&now);
	if (!llm_same_file(&then_identity, &now_identity))
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "file was written to while it was read");
	return true;
}

LlmFileIdentity
llm_gguf_identity(const LlmGguf *gguf)
{
	return llm_file_identity(&gguf->status);
}

int
llm_gguf_descriptor(const LlmGguf *gguf)
{
	return gguf->descriptor;
}

uint64_t
llm_gguf_file_size(const LlmGguf *gguf)
{
	return gguf->file_size;
}

uint32_t
llm_gguf_version(const LlmGguf *gguf)
{
	return gguf->version;
}

int64_t
llm_gguf_n_tensors(const LlmGguf *gguf)
{
	return (int64_t) gguf->n_tensors;
}

const LlmGgufTensor *
llm_gguf_tensor(const LlmGguf *gguf, int64_t index)
{
	return &gguf->tensors[index];
}

const LlmGgufTensor *
llm_gguf_find_tensor(const LlmGguf *gguf, const char *name)
{
	LlmGgufTensor wanted = {.name = {name, strlen(name)}};
	const LlmGgufTensor *key = &wanted;
	const LlmGgufTensor **found;

	found = bsearch(&key, gguf->by_name, gguf->n_tensors, sizeof(*gguf->by_name),
					compare_tensor_names);
	return found ? *found : NULL;
}

static bool
open_file(LlmGguf *gguf, const char *path, LlmError *error)
{
	/* Messages have no path: who names a model need not know where it lies. */
	/* O_NONBLOCK: a FIFO put in the file's place must not hang the caller. */
	gguf->descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (gguf->descriptor < 0)
		return llm_fail(error, LLM_ERROR_FILE_ACCESS, "could not open the file: %s",
						strerror(errno));
	if (fstat(gguf->descriptor, &gguf->status) != 0)
		return llm_fail(error, LLM_ERROR_FILE_ACCESS, "could not stat the file: %s",
						strerror(errno));
	if (!S_ISREG(gguf->status.st_mode))
		return llm_fail(error, LLM_ERROR_UNSUPPORTED, "it is not a regular file");
	gguf->file_size = (uint64_t) gguf->status.st_size;
	return true;
}

/* Magic, version and the two counts. */
static bool
parse_preamble(LlmGguf *gguf, LlmError *error)
{
	char		magic[4];

	if (gguf->file_size < 24)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"file of %" PRIu64 " bytes is too short for a GGUF file", gguf->file_size);
	if (!take(gguf, magic, sizeof(magic), error))
		return false;
	if (memcmp(magic, "GGUF", 4) != 0)
	{
		llm_fail(error, LLM_ERROR_CORRUPT_FILE,
				 "file is not a GGUF file: it begins with the bytes %02x %02x %02x %02x",
				 (uint8_t) magic[0], (uint8_t) magic[1], (uint8_t) magic[2], (uint8_t) magic[3]);
		return llm_hint(error, memcmp(magic, "vers", 4) == 0 ?
						"It may be Git LFS's pointer to the file: \"git lfs pull\" fetches that." :
						"Checkpoints of other formats can be converted with llama2-import.");
	}
	if (!take(gguf, &gguf->version, sizeof(gguf->version), error))
		return false;
	if ((gguf->version & 0xFFFF) == 0 && gguf->version != 0)
		return llm_fail(error, LLM_ERROR_UNSUPPORTED, "big-endian GGUF files are not supported");
	if (gguf->version < 2 || gguf->version > 3)
		return llm_fail(error, LLM_ERROR_UNSUPPORTED,
						"GGUF version %" PRIu32 " is not supported, only 2 and 3", gguf->version);
	if (!take(gguf, &gguf->n_tensors, sizeof(gguf->n_tensors), error) ||
		!take(gguf, &gguf->n_keys, sizeof(gguf->n_keys), error))
		return false;
	if (gguf->n_tensors > (gguf->file_size - gguf->cursor) / MIN_TENSOR_BYTES)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"file of %" PRIu64 " bytes cannot hold the %" PRIu64 " tensors it declares",
						gguf->file_size, gguf->n_tensors);
	if (gguf->n_keys > (gguf->file_size - gguf->cursor) / MIN_KEY_BYTES)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"file of %" PRIu64 " bytes cannot hold the %" PRIu64 " keys it declares",
						gguf->file_size, gguf->n_keys);
	if (gguf->n_tensors > MAX_TENSORS || gguf->n_keys > MAX_KEYS)
		return llm_fail(error, LLM_ERROR_LIMIT,
						"file declares %" PRIu64 " tensors and %" PRIu64 " keys, more than %d",
						gguf->n_tensors, gguf->n_keys, MAX_KEYS);
	return true;
}

static bool
parse_keys(LlmGguf *gguf, LlmError *error)
{
	for (uint64_t i = 0; i < gguf->n_keys; i++)
	{
		GgufKey    *key = &gguf->keys[i];

		if (!take_string(gguf, &key->name_offset, &key->name.length, error))
			return false;
		if (key->name.length == 0 || key->name.length > MAX_NAME_BYTES)
			return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
							"the name of key %" PRIu64 " has %" PRIu64 " bytes, not 1 to %d",
							i, key->name.length, MAX_NAME_BYTES);
		if (!take(gguf, &key->kind, sizeof(key->kind), error) || !parse_value(gguf, key, error))
			return false;
	}
	return true;
}

static bool
parse_value(LlmGguf *gguf, GgufKey *key, LlmError *error)
{
	char		shown[SHOWN_NAME];
	uint64_t	length;
	uint64_t	text;
	uint8_t		boolean;

	key->value_offset = gguf->cursor;
	switch (key->kind)
	{
		case GGUF_STRING:
			return take_string(gguf, &text, &length, error);
		case GGUF_ARRAY:
			return parse_array(gguf, key, 1, error);
		case GGUF_BOOL:
			if (!take(gguf, &boolean, 1, error))
				return false;
			if (boolean <= 1)
				return true;
			key->name.bytes = (const char *) gguf->bytes + key->name_offset;
			return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
							"the value of the boolean key \"%s\" is %d, neither 0 nor 1",
							llm_gguf_printable(key->name, shown, sizeof(shown)), boolean);
		default:
			if (llm_gguf_kind_bytes(key->kind) > 0)
				return take(gguf, NULL, llm_gguf_kind_bytes(key->kind), error);
			key->name.bytes = (const char *) gguf->bytes + key->name_offset;
			return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
							"key \"%s\" has a value of unknown kind %" PRIu32,
							llm_gguf_printable(key->name, shown, sizeof(shown)), key->kind);
	}
}

/* An array's kind, count and items; key is NULL for an array within an array. */
static bool
parse_array(LlmGguf *gguf, GgufKey *key, int depth, LlmError *error)
{
	uint32_t	kind;
	uint64_t	count;
	uint64_t	bytes;
	uint64_t	length;
	uint64_t	text;
	uint64_t	smallest;		/* bytes of an item */

	if (depth > MAX_ARRAY_DEPTH)
		return llm_fail(error, LLM_ERROR_LIMIT, "arrays are nested deeper than %d levels",
						MAX_ARRAY_DEPTH);
	if (!take(gguf, &kind, sizeof(kind), error) || !take(gguf, &count, sizeof(count), error))
		return false;
	smallest = kind == GGUF_STRING ? 8 : kind == GGUF_ARRAY ? 12 : (uint64_t) llm_gguf_kind_bytes(kind);
	if (smallest == 0)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"array at byte %" PRIu64 " has items of unknown kind %" PRIu32,
						gguf->cursor - 12, kind);
	if (!llm_multiply_sizes(count, smallest, &bytes))
		bytes = UINT64_MAX;
	if (!check_available(gguf, bytes, error))
		return false;
	if (key != NULL)
	{
		key->item_kind = kind;
		key->n_items = count;
		key->value_offset = gguf->cursor;
	}

	if (kind == GGUF_ARRAY)
	{
		for (uint64_t i = 0; i < count; i++)
			if (!parse_array(gguf, NULL, depth + 1, error))
				return false;
		return true;
	}
	if (kind != GGUF_STRING)
		return take(gguf, NULL, bytes, error);

	if (key != NULL)
	{
		key->item_offsets = calloc(count + 1, sizeof(uint64_t));
		if (key->item_offsets == NULL)
			return llm_fail(error, LLM_ERROR_OUT_OF_MEMORY,
							"out of memory for an array of %" PRIu64 " strings", count);
	}
	for (uint64_t i = 0; i < count; i++)
	{
		if (key != NULL)
			key->item_offsets[i] = gguf->cursor;
		if (!take_string(gguf, &text, &length, error))
			return false;
	}
	return true;
}

/* The directory; names become pointers once the header has stopped moving. */
static bool
parse_tensors(LlmGguf *gguf, uint64_t *name_offsets, LlmError *error)
{
	for (uint64_t i = 0; i < gguf->n_tensors; i++)
		if (!parse_tensor(gguf, &gguf->tensors[i], &name_offsets[i], error))
			return false;
	for (uint64_t i = 0; i < gguf->n_tensors; i++)
		gguf->tensors[i].name.bytes = (const char *) gguf->bytes + name_offsets[i];
	return true;
}

/* One entry; file_offset is the entry's own until place_tensors. */
static bool
parse_tensor(LlmGguf *gguf, LlmGgufTensor *tensor, uint64_t *name_offset, LlmError *error)
{
	const LlmTensorTypeInfo *info;
	char		shown[SHOWN_NAME];
	uint32_t	n_dims;
	uint32_t	type;
	uint64_t	n_weights = 1;

	if (!take_string(gguf, name_offset, &tensor->name.length, error) ||
		!take(gguf, &n_dims, sizeof(n_dims), error))
		return false;
	tensor->name.bytes = (const char *) gguf->bytes + *name_offset;
	llm_gguf_printable(tensor->name, shown, sizeof(shown));
	if (tensor->name.length == 0 || tensor->name.length > MAX_NAME_BYTES)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"the name of tensor %td has %" PRIu64 " bytes, not 1 to %d",
						tensor - gguf->tensors, tensor->name.length, MAX_NAME_BYTES);
	if (n_dims < 1 || n_dims > LLM_GGUF_MAX_DIMS)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"tensor \"%s\" has %" PRIu32 " dimensions, not 1 to %d",
						shown, n_dims, LLM_GGUF_MAX_DIMS);
	tensor->n_dims = (int32_t) n_dims;
	for (int i = 0; i < LLM_GGUF_MAX_DIMS; i++)
	{
		uint64_t	extent = 1;

		if (i < tensor->n_dims && !take(gguf, &extent, sizeof(extent), error))
			return false;
		if (extent < 1 || extent > INT64_MAX || !llm_multiply_sizes(n_weights, extent, &n_weights))
			return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
							"dimension %d of tensor \"%s\" is %" PRIu64 ", out of range",
							i, shown, extent);
		tensor->dims[i] = (int64_t) extent;
	}
	if (!take(gguf, &type, sizeof(type), error) ||
		!take(gguf, &tensor->file_offset, sizeof(tensor->file_offset), error))
		return false;
	info = llm_tensor_type_info(type);
	if (info == NULL)
		return llm_fail(error, LLM_ERROR_UNSUPPORTED,
						"tensor \"%s\" has the unsupported type %" PRIu32, shown, type);
	tensor->type = info->type;
	if (tensor->dims[0] % info->block_weights != 0)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"tensor \"%s\" has rows of %" PRId64
						" weights, not a multiple of %s's block of %d",
						shown, tensor->dims[0], info->name, info->block_weights);
	if (!llm_multiply_sizes(n_weights / info->block_weights, info->block_bytes, &tensor->n_bytes))
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"tensor \"%s\" has %" PRIu64 " weights, more than a file can hold",
						shown, n_weights);
	return true;
}

static bool
index_keys(LlmGguf *gguf, LlmError *error)
{
	char		shown[SHOWN_NAME];

	for (uint64_t i = 0; i < gguf->n_keys; i++)
		gguf->keys[i].name.bytes = (const char *) gguf->bytes + gguf->keys[i].name_offset;
	qsort(gguf->keys, gguf->n_keys, sizeof(GgufKey), llm_gguf_compare_keys);
	for (uint64_t i = 1; i < gguf->n_keys; i++)
		if (llm_gguf_compare_keys(&gguf->keys[i - 1], &gguf->keys[i]) == 0)
			return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "key \"%s\" is there twice",
							llm_gguf_printable(gguf->keys[i].name, shown, sizeof(shown)));
	return true;
}

static bool
find_alignment(LlmGguf *gguf, LlmError *error)
{
	int64_t		alignment = DEFAULT_ALIGNMENT;

	if (!llm_gguf_has_key(gguf, "general.alignment"))
		return true;
	if (!llm_gguf_get_int(gguf, "general.alignment", &alignment))
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "general.alignment is not an integer");
	if (alignment < MIN_ALIGNMENT || alignment > MAX_ALIGNMENT || (alignment & (alignment - 1)) != 0)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"general.alignment is %" PRId64 ", not a power of two from %d to %d",
						alignment, MIN_ALIGNMENT, MAX_ALIGNMENT);
	gguf->alignment = (uint64_t) alignment;
	return true;
}

static bool
index_tensors(LlmGguf *gguf, LlmError *error)
{
	char		shown[SHOWN_NAME];

	for (uint64_t i = 0; i < gguf->n_tensors; i++)
		gguf->by_name[i] = &gguf->tensors[i];
	qsort(gguf->by_name, gguf->n_tensors, sizeof(*gguf->by_name), compare_tensor_names);
	for (uint64_t i = 1; i < gguf->n_tensors; i++)
		if (compare_tensor_names(&gguf->by_name[i - 1], &gguf->by_name[i]) == 0)
			return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "tensor \"%s\" is there twice",
							llm_gguf_printable(gguf->by_name[i]->name, shown, sizeof(shown)));
	return true;
}

/* Turn the entries' offsets into the file's, and check where the bytes lie. */
static bool
place_tensors(LlmGguf *gguf, LlmError *error)
{
	uint64_t	data = (gguf->cursor + gguf->alignment - 1) & ~(gguf->alignment - 1);
	const LlmGgufTensor **by_offset;
	char		shown[SHOWN_NAME];
	char		other[SHOWN_NAME];
	uint64_t	overlap = 0;

	for (uint64_t i = 0; i < gguf->n_tensors; i++)
	{
		LlmGgufTensor *tensor = &gguf->tensors[i];
		uint64_t	end;

		llm_gguf_printable(tensor->name, shown, sizeof(shown));
		if (tensor->file_offset % gguf->alignment != 0)
			return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
							"the offset %" PRIu64 " of tensor \"%s\" is not a multiple of %" PRIu64,
							tensor->file_offset, shown, gguf->alignment);
		if (!llm_add_sizes(tensor->file_offset, data, &tensor->file_offset) ||
			!llm_add_sizes(tensor->file_offset, tensor->n_bytes, &end) ||
			end > gguf->file_size)
		{
			llm_fail(error, LLM_ERROR_CORRUPT_FILE,
					 "the %" PRIu64 " bytes of tensor \"%s\" at byte %" PRIu64
					 " do not lie within the file's %" PRIu64,
					 tensor->n_bytes, shown, tensor->file_offset, gguf->file_size);
			return llm_hint(error, "The file may have been cut short when it was copied.");
		}
	}

	by_offset = calloc(gguf->n_tensors + 1, sizeof(*by_offset));
	if (by_offset == NULL)
		return llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory for %" PRIu64 " tensors",
						gguf->n_tensors);
	for (uint64_t i = 0; i < gguf->n_tensors; i++)
		by_offset[i] = &gguf->tensors[i];
	qsort(by_offset, gguf->n_tensors, sizeof(*by_offset), compare_tensor_offsets);
	for (uint64_t i = 1; i < gguf->n_tensors && overlap == 0; i++)
		if (by_offset[i - 1]->file_offset + by_offset[i - 1]->n_bytes > by_offset[i]->file_offset)
			overlap = i;
	if (overlap != 0)
		llm_fail(error, LLM_ERROR_CORRUPT_FILE, "tensors \"%s\" and \"%s\" overlap in the file",
				 llm_gguf_printable(by_offset[overlap - 1]->name, shown, sizeof(shown)),
				 llm_gguf_printable(by_offset[overlap]->name, other, sizeof(other)));
	free(by_offset);
	return overlap == 0;
}

/* Can the header have n more bytes at the cursor? */
static bool
check_available(const LlmGguf *gguf, uint64_t n, LlmError *error)
{
	if (n > gguf->file_size - gguf->cursor)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"file of %" PRIu64 " bytes ends within its header, at byte %" PRIu64,
						gguf->file_size, gguf->cursor);
	if (n > MAX_HEADER_BYTES - gguf->cursor)
		return llm_fail(error, LLM_ERROR_LIMIT, "header is larger than %" PRIu64 " bytes",
						MAX_HEADER_BYTES);
	return true;
}

/* Have n bytes at the cursor in memory. */
static bool
fill(LlmGguf *gguf, uint64_t n, LlmError *error)
{
	uint64_t	wanted;

	if (!check_available(gguf, n, error))
		return false;
	if (gguf->cursor + n <= gguf->filled)
		return true;
	wanted = gguf->filled * 2 > FIRST_READ_BYTES ? gguf->filled * 2 : FIRST_READ_BYTES;
	if (wanted < gguf->cursor + n)
		wanted = gguf->cursor + n;
	if (wanted > gguf->file_size)
		wanted = gguf->file_size;
	if (wanted > gguf->capacity)
	{
		uint8_t    *grown = realloc(gguf->bytes, wanted);

		if (grown == NULL)
			return llm_fail(error, LLM_ERROR_OUT_OF_MEMORY,
							"out of memory for a header of %" PRIu64 " bytes", wanted);
		gguf->bytes = grown;
		gguf->capacity = wanted;
	}
	if (!llm_gguf_read(gguf, gguf->filled, gguf->bytes + gguf->filled, wanted - gguf->filled,
					   error))
		return false;
	gguf->filled = wanted;
	return true;
}

/* Copy the next n bytes to out, unless that is NULL, and go past them. */
static bool
take(LlmGguf *gguf, void *out, uint64_t n, LlmError *error)
{
	if (!fill(gguf, n, error))
		return false;
	if (out != NULL)
		memcpy(out, gguf->bytes + gguf->cursor, n);
	gguf->cursor += n;
	return true;
}

static bool
take_string(LlmGguf *gguf, uint64_t *offset, uint64_t *length, LlmError *error)
{
	if (!take(gguf, length, sizeof(*length), error))
		return false;
	*offset = gguf->cursor;
	return take(gguf, NULL, *length, error);
}

static int
compare_tensor_names(const void *a, const void *b)
{
	return llm_gguf_compare_strings((*(const LlmGgufTensor *const *) a)->name,
									(*(const LlmGgufTensor *const *) b)->name);
}

static int
compare_tensor_offsets(const void *a, const void *b)
{
	uint64_t	x = (*(const LlmGgufTensor *const *) a)->file_offset;
	uint64_t	y = (*(const LlmGgufTensor *const *) b)->file_offset;

	return (x > y) - (x < y);
}
