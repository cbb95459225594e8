/*
 * gguf.h
 *		Reader of GGUF files, version 2 and 3 (little endian).
 *
 * A file is untrusted: every count, length and offset is checked with
 * overflow-safe arithmetic against the file's size before it is used, and
 * memory is claimed only in proportion to bytes that are really there.  Format:
 * the GGUF specification in the ggml repository, docs/gguf.md.
 */
#ifndef LLM_GGUF_H
#define LLM_GGUF_H

#include "engine/file_identity.h"
#include "engine/tensor_type.h"

#define LLM_GGUF_MAX_DIMS 4

typedef struct LlmGguf LlmGguf;

typedef struct LlmGgufString
{
	const char *bytes;			/* not terminated; owned by the LlmGguf */
	uint64_t	length;
} LlmGgufString;

typedef struct LlmGgufTensor
{
	LlmGgufString name;
	LlmTensorType type;
	int32_t		n_dims;
	int64_t		dims[LLM_GGUF_MAX_DIMS];	/* dims[0] varies fastest: a row; unused are 1 */
	uint64_t	file_offset;	/* from the start of the file; lies within it */
	uint64_t	n_bytes;
} LlmGgufTensor;

/*
 * Open and check the header: magic, version, keys, tensor directory; every
 * tensor's bytes lie within the file and do not overlap another's.  Keeps the file descriptor open
 * for reading tensor data; llm_gguf_close gives everything back.
 */
extern LlmGguf *llm_gguf_open(const char *path, LlmError *error);
extern void llm_gguf_close(LlmGguf *gguf);

/*
 * Read n bytes at offset of the file into buffer, in any thread.  A file that
 * was cut short since it was opened is an error.
 */
extern bool llm_gguf_read(const LlmGguf *gguf, uint64_t offset, void *buffer, uint64_t n,
						  LlmError *error);

/* False, with *error filled, when the file was written to since it was opened. */
extern bool llm_gguf_check_unchanged(const LlmGguf *gguf, LlmError *error);

/* Of the file when it was opened. */
extern LlmFileIdentity llm_gguf_identity(const LlmGguf *gguf);

extern int	llm_gguf_descriptor(const LlmGguf *gguf);
extern uint64_t llm_gguf_file_size(const LlmGguf *gguf);
extern uint32_t llm_gguf_version(const LlmGguf *gguf);
extern int64_t llm_gguf_n_tensors(const LlmGguf *gguf);
extern const LlmGgufTensor *llm_gguf_tensor(const LlmGguf *gguf, int64_t index);
extern const LlmGgufTensor *llm_gguf_find_tensor(const LlmGguf *gguf, const char *name);

/*
 * Keys.  Each returns false when the key is absent or of another kind; integers
 * of any width that fit are taken, floats as float32 or float64.
 */
extern bool llm_gguf_has_key(const LlmGguf *gguf, const char *key);
extern bool llm_gguf_get_int(const LlmGguf *gguf, const char *key, int64_t *value);
extern bool llm_gguf_get_float(const LlmGguf *gguf, const char *key, double *value);
extern bool llm_gguf_get_bool(const LlmGguf *gguf, const char *key, bool *value);
extern bool llm_gguf_get_string(const LlmGguf *gguf, const char *key, LlmGgufString *value);

/* Arrays: the count is -1 when the key is absent or not an array of that kind. */
extern int64_t llm_gguf_string_array_count(const LlmGguf *gguf, const char *key);
extern LlmGgufString llm_gguf_string_array_item(const LlmGguf *gguf, const char *key, int64_t index);

/* Copy a whole array of numbers; *count is its length, NULL out only counts. */
extern bool llm_gguf_get_float_array(const LlmGguf *gguf, const char *key, float *out, int64_t *count);
extern bool llm_gguf_get_int_array(const LlmGguf *gguf, const char *key, int32_t *out, int64_t *count);

/*
 * A string of the file for an error message: at most size - 1 printable ASCII characters
 * in out, which is returned; whatever else the string holds shows as '?'.
 */
extern const char *llm_gguf_printable(LlmGgufString string, char *out, size_t size);

#endif							/* LLM_GGUF_H */
