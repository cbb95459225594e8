/*
 * model_image.h
 *		The image of a model: one relocatable block of packed weights; private to model_*.c.
 *
 * The image begins with a header and a directory that has an entry for each
 * slot (model_file.h); the entries' data follow, each 64-byte aligned: norms as
 * floats, matrices as panels.  The magic is written last, so that an image
 * whose load was broken off cannot be attached to.
 */
#ifndef LLM_MODEL_IMAGE_H
#define LLM_MODEL_IMAGE_H

#include "engine/model_file.h"

#define LLM_IMAGE_MAGIC			"LLMIMAGE"
#define LLM_IMAGE_VERSION		1
#define LLM_IMAGE_ALIGNMENT		64

typedef struct LlmImageEntry
{
	int32_t		type;			/* LlmTensorType of a matrix; F32 for a norm */
	int32_t		rows;
	int32_t		cols;
	int32_t		unused;
	uint64_t	offset;			/* from the start of the image */
	uint64_t	n_bytes;		/* 0: a tied output */
} LlmImageEntry;

typedef struct LlmImageHeader
{
	char		magic[8];
	uint32_t	version;
	uint32_t	header_bytes;	/* with the directory */
	uint64_t	size;
	LlmModelConfig config;
	LlmImageEntry entries[];	/* [llm_n_slots(&config)] */
} LlmImageHeader;

extern uint64_t llm_image_header_size(const LlmModelConfig *config);

/* Bytes of a slot's data. */
extern uint64_t llm_image_entry_size(LlmRole role, LlmTensorType type, int32_t rows, int32_t cols);

/* Everything of the header but the magic. */
extern void llm_image_write_directory(const LlmModelFile *file, LlmImageHeader *header);

#endif							/* LLM_MODEL_IMAGE_H */
