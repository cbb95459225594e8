/*
 * target_type.h
 *		What --type names: one tensor type for all matrices, or a mixture.
 */
#ifndef IMPORT_TARGET_TYPE_H
#define IMPORT_TARGET_TYPE_H

#include "engine/model_file.h"

typedef enum TargetMixture
{
	TARGET_PLAIN,
	TARGET_SMALL,
	TARGET_MEDIUM,
	TARGET_LARGE
} TargetMixture;

typedef struct TargetType
{
	const char *name;			/* "q4_k_m" */
	LlmTensorType base;			/* of the matrices that nothing else is said about */
	int32_t		file_type;		/* GGUF's general.file_type */
	TargetMixture mixture;
	const char *description;
} TargetType;

/* NULL for a name that is none; case does not matter. */
extern const TargetType *target_type_find(const char *name);

/* The plain one of a tensor type. */
extern const TargetType *target_type_plain(LlmTensorType type);

/* All of them; *count is how many. */
extern const TargetType *target_types(int *count);

/*
 * The type of one tensor.  A row that is no multiple of the type's block gets the next
 * larger type whose block it is a multiple of.  Norms are F32.
 */
extern LlmTensorType target_tensor_type(const TargetType *target, const LlmModelConfig *config,
										LlmRole role, int32_t layer, int64_t cols);

#endif							/* IMPORT_TARGET_TYPE_H */
