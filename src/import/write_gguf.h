/*
 * write_gguf.h
 *		The header of a GGUF file, version 3, put together in memory.
 */
#ifndef IMPORT_WRITE_GGUF_H
#define IMPORT_WRITE_GGUF_H

#include "import/source.h"

typedef struct GgufTensorPlan
{
	LlmTensorType type;
	uint64_t	offset;			/* from the start of the file */
	uint64_t	n_bytes;
} GgufTensorPlan;

typedef struct GgufPlan
{
	uint8_t    *header;			/* with the padding after it */
	uint64_t	header_bytes;
	GgufTensorPlan *tensors;	/* [source->n_tensors] */
	uint64_t	file_bytes;
} GgufPlan;

/*
 * Plan a file for a source whose tensors get types[source->n_tensors].  The keys of
 * a GGUF source are kept, but for what its weights' types decide.
 */
extern bool gguf_plan(GgufPlan *plan, const Source *source, const LlmTensorType *types,
					  const char *name,
					  int32_t file_type, LlmError *error);
extern void gguf_plan_free(GgufPlan *plan);

#endif							/* IMPORT_WRITE_GGUF_H */
