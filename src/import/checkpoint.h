/*
 * checkpoint.h
 *		The tensors of a checkpoint as they lie in its files, whatever its format.
 *
 * A reader of a format adds files and tensors, and promises that each tensor's
 * bytes lie within its file.  Everything else then reads weights as floats.
 */
#ifndef IMPORT_CHECKPOINT_H
#define IMPORT_CHECKPOINT_H

#include "engine/tensor_type.h"

/* More than any model has; what claims more is refused before memory is. */
#define CHECKPOINT_MAX_TENSORS	65536
#define CHECKPOINT_MAX_FILES	1024
#define CHECKPOINT_MAX_DIMS		4
#define CHECKPOINT_MAX_NAME		255

struct zip;
struct zip_file;

typedef struct StoredFile
{
	char	   *path;
	int			descriptor;
	struct zip *archive;		/* NULL unless tensors are members of one */
	uint64_t	size;
} StoredFile;

typedef struct StoredTensor
{
	char	   *name;
	LlmTensorType type;
	int32_t		group;			/* so many int8 weights share a float scale; 0: type counts */
	int32_t		n_dims;
	int64_t		dims[CHECKPOINT_MAX_DIMS];	/* the last varies fastest */
	int32_t		file;
	int64_t		member;			/* of the file's archive, or -1 */
	uint64_t	offset;			/* in the file or the member */
	uint64_t	scales_offset;	/* of groups' scales */
	bool		used;			/* a tensor of the model is made from it */
} StoredTensor;

typedef struct Checkpoint
{
	StoredFile *files;
	int32_t		n_files;
	StoredTensor *tensors;		/* sorted by name and file after checkpoint_sort */
	int32_t		n_tensors;
	int32_t		tensors_capacity;

	/* The member that was read last, open at reader_offset. */
	struct zip_file *reader;
	int32_t		reader_file;
	int64_t		reader_member;
	uint64_t	reader_offset;

	uint8_t    *bytes;			/* scratch */
	uint64_t	bytes_capacity;
} Checkpoint;

extern Checkpoint *checkpoint_create(LlmError *error);
extern void checkpoint_free(Checkpoint *checkpoint);

/* Open a regular file for reading; its index, or -1. */
extern int32_t checkpoint_add_file(Checkpoint *checkpoint, const char *path, LlmError *error);

/* Copies *tensor and its name, in which only printable ASCII is allowed. */
extern bool checkpoint_add_tensor(Checkpoint *checkpoint, const StoredTensor *tensor,
								  LlmError *error);

/* Readers of formats: add a file and its tensors. */
extern bool checkpoint_add_safetensors(Checkpoint *checkpoint, const char *path, LlmError *error);
extern bool checkpoint_add_pth(Checkpoint *checkpoint, const char *path, LlmError *error);

/* To be called when all are added: the same name twice in a file is an error. */
extern bool checkpoint_sort(Checkpoint *checkpoint, LlmError *error);

/* The first of that name, or NULL; others of it follow, one for each file. */
extern StoredTensor *checkpoint_find(const Checkpoint *checkpoint, const char *name,
									 int32_t *count);

/* The product of the dims, or -1 for one that is negative or where those that are not 0 do not fit. */
extern int64_t checkpoint_count(int32_t n_dims, const int64_t *dims);

/* n bytes at offset of a file, not of an archive's member. */
extern bool checkpoint_read_file(const Checkpoint *checkpoint, int32_t file, uint64_t offset,
								 void *out, uint64_t n, LlmError *error);

/* n bytes of the tensor's own, from the first on. */
extern bool checkpoint_read_bytes(Checkpoint *checkpoint, const StoredTensor *tensor,
								  uint64_t first, void *out, uint64_t n, LlmError *error);

/* n weights from the first on, both multiples of the type's block or of the group. */
extern bool checkpoint_read_floats(Checkpoint *checkpoint, const StoredTensor *tensor,
								   int64_t first, int64_t n, float *out, LlmError *error);

#endif							/* IMPORT_CHECKPOINT_H */
