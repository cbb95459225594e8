/*
 * import_model.h
 *		From a source to a model file: convert, check, publish.
 */
#ifndef IMPORT_IMPORT_MODEL_H
#define IMPORT_IMPORT_MODEL_H

#include "import/source.h"
#include "import/target_type.h"

typedef struct ImportOptions
{
	const char *source;
	const char *tokenizer;		/* NULL: the one that is found */
	const TargetType *type;		/* NULL: the source's own types */
	const char *name;			/* of the model */
	const char *folder;			/* where its file goes */
	int32_t		context_length; /* 0: the source's */
	bool		replace;
	bool		quiet;
} ImportOptions;

typedef struct ImportSummary
{
	const char *format;
	char		path[4096];
	int64_t		n_weights;
	int32_t		vocabulary_size;
	uint64_t	n_bytes;
	double		seconds;
} ImportSummary;

extern bool import_model(const ImportOptions *options, ImportSummary *summary, LlmError *error);

/*
 * Whether the file at path holds what the source has: tensors, shapes, types, the count of
 * weights, the vocabulary piece by piece.
 */
extern bool import_check(const char *path, const Source *source, const LlmTensorType *types,
						 LlmError *error);

#endif							/* IMPORT_IMPORT_MODEL_H */
