/*
 * gguf_layout.h
 *		What the parser of GGUF files leaves for those who look keys up; private to the two.
 */
#ifndef LLM_GGUF_LAYOUT_H
#define LLM_GGUF_LAYOUT_H

#include <sys/stat.h>

#include "engine/gguf.h"

typedef enum GgufKind
{
	GGUF_UINT8 = 0,
	GGUF_INT8 = 1,
	GGUF_UINT16 = 2,
	GGUF_INT16 = 3,
	GGUF_UINT32 = 4,
	GGUF_INT32 = 5,
	GGUF_FLOAT32 = 6,
	GGUF_BOOL = 7,
	GGUF_STRING = 8,
	GGUF_ARRAY = 9,
	GGUF_UINT64 = 10,
	GGUF_INT64 = 11,
	GGUF_FLOAT64 = 12
} GgufKind;

typedef struct GgufKey
{
	LlmGgufString name;
	uint64_t	name_offset;	/* offsets into the header */
	uint32_t	kind;
	uint32_t	item_kind;		/* arrays only */
	uint64_t	n_items;
	uint64_t	value_offset;	/* of an array: its first item */
	uint64_t   *item_offsets;	/* [n_items], arrays of strings only */
} GgufKey;

struct LlmGguf
{
	int			descriptor;
	struct stat status;			/* when it was opened */
	uint64_t	file_size;
	uint32_t	version;
	uint64_t	alignment;
	uint64_t	n_keys;
	GgufKey    *keys;			/* [n_keys], sorted by name */
	uint64_t	n_tensors;
	LlmGgufTensor *tensors;		/* [n_tensors], in the file's order */
	const LlmGgufTensor **by_name;	/* [n_tensors], sorted by name */

	/* The header so far: bytes[0 .. filled - 1] are the file's. */
	uint8_t    *bytes;
	uint64_t	filled;
	uint64_t	capacity;
	uint64_t	cursor;			/* the parser's place */
};

/* Bytes of a value of fixed size; 0 for strings, arrays and unknown kinds. */
extern int	llm_gguf_kind_bytes(uint32_t kind);

extern int	llm_gguf_compare_strings(LlmGgufString a, LlmGgufString b);
extern int	llm_gguf_compare_keys(const void *a, const void *b);

#endif							/* LLM_GGUF_LAYOUT_H */
