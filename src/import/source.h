/*
 * source.h
 *		What is imported: a model's configuration, vocabulary and weights, whatever
 *		format they come in.
 *
 * source_open recognizes the format and checks everything but the weights'
 * values: that each tensor of the architecture is there once, with its shape,
 * and that no other is.
 */
#ifndef IMPORT_SOURCE_H
#define IMPORT_SOURCE_H

#include "engine/model_file.h"
#include "import/checkpoint.h"
#include "import/vocabulary_build.h"

#define SOURCE_NAME_BYTES 80

/* How a checkpoint names its tensors. */
typedef enum TensorNaming
{
	NAMING_GGUF,
	NAMING_META,
	NAMING_HF,
	N_NAMINGS
} TensorNaming;

/* One tensor of the model, and the stored tensors that it is made from. */
typedef struct SourceTensor
{
	char		name[SOURCE_NAME_BYTES];	/* in the model file */
	LlmRole		role;
	int32_t		layer;
	int64_t		rows;			/* 1 for a vector */
	int64_t		cols;
	StoredTensor *parts;		/* [n_parts], one for each shard, in their order */
	int32_t		n_parts;
	bool		by_columns;		/* parts lie side by side, not one below the other */
	int64_t		head_rows;		/* rows of a head whose halves are to be interleaved; or 0 */
} SourceTensor;

typedef struct Source
{
	const char *format;			/* "Hugging Face folder" */
	Checkpoint *checkpoint;
	LlmModelConfig config;
	ImportVocabulary vocabulary;
	SourceTensor *tensors;		/* [n_tensors], in the order of the model file */
	int32_t		n_tensors;
	LlmTensorType type;			/* that most weights have; LLM_Q8_0 for llama2.c's groups */
	uint64_t	n_bytes;		/* of all tensors */
	LlmModelFile *model;		/* a GGUF source, open */
	float	   *scratch;		/* for parts and heads */
	int64_t		scratch_capacity;
} Source;

/* tokenizer is a file to take the vocabulary from, or NULL for the one that is found. */
extern Source *source_open(const char *path, const char *tokenizer, LlmError *error);
extern void source_close(Source *source);

/* Formats; each fills checkpoint, config and vocabulary, and binds the tensors. */
extern bool source_open_meta(Source *source, const char *folder, const char *tokenizer,
							 LlmError *error);
extern bool source_open_hf(Source *source, const char *folder, const char *tokenizer,
						   LlmError *error);
extern bool source_open_llama2c(Source *source, const char *path, const char *tokenizer,
								LlmError *error);
extern bool source_open_gguf(Source *source, const char *path, LlmError *error);

/* Whether a file without a magic number has the size that llama2.c's first version would. */
extern bool source_is_llama2c(const char *path);

/* The vocabulary from a file whose format its name tells. */
extern bool source_read_tokenizer(Source *source, const char *path, LlmError *error);

/* Find the tensors that the configuration asks for. */
extern bool source_bind(Source *source, TensorNaming naming, LlmError *error);

/* The name that a naming has for a tensor, in out[size]. */
extern void source_tensor_name(TensorNaming naming, LlmRole role, int32_t layer, char *out,
							   size_t size);

/* Derive head_dim and rope_dim, and check the configuration. */
extern bool source_check_config(LlmModelConfig *config, LlmError *error);

/* How many rows source_read_rows takes a multiple of. */
extern int64_t source_row_step(const SourceTensor *tensor);

/*
 * Rows first .. first + n - 1 of a tensor as the model file has them.  Reading one
 * tensor after the other, each from its first row to its last, reads the files once.
 * A weight that is not finite is an error.
 */
extern bool source_read_rows(Source *source, const SourceTensor *tensor, int64_t first, int64_t n,
							 float *out, LlmError *error);

#endif							/* IMPORT_SOURCE_H */
