/*
 * model.h
 *		From a GGUF file to a model in memory.
 *
 * A loaded model is one relocatable block, the image: a header with offsets,
 * norm weights, and the matrices packed for the kernels (matrix.h).  It can lie
 * in shared memory; a process attaches to it by filling an LlmModel with
 * pointers.  The image is read-only once loaded.
 */
#ifndef LLM_MODEL_H
#define LLM_MODEL_H

#include "engine/file_identity.h"
#include "engine/gguf.h"
#include "engine/matrix.h"
#include "text/vocabulary.h"

#define LLM_MAX_LAYERS 256

typedef struct LlmModelConfig
{
	int32_t		dim;			/* width of a token's state */
	int32_t		n_layers;
	int32_t		n_heads;
	int32_t		n_kv_heads;		/* divides n_heads */
	int32_t		head_dim;		/* even */
	int32_t		ffn_dim;
	int32_t		vocabulary_size;
	int32_t		context_length; /* positions the model was trained for */
	int32_t		rope_dim;		/* features of a head that are turned; <= head_dim, even */
	float		norm_eps;
	double		rope_base;		/* 10000 unless the header says otherwise */
	double		rope_scale;		/* positions are divided by it (linear scaling); 1 = none */
	bool		tied_output;	/* the embedding serves as classifier */
	int64_t		n_weights;
	char		name[64];		/* general.name, printable ASCII, or empty */
	char		type_name[16];	/* the type of most weights: "Q4_0" */
} LlmModelConfig;

typedef struct LlmLayer
{
	const float *attention_norm;	/* [dim] */
	const float *ffn_norm;		/* [dim] */
	LlmMatrix	q;				/* [n_heads * head_dim][dim] */
	LlmMatrix	k;				/* [n_kv_heads * head_dim][dim] */
	LlmMatrix	v;				/* the same */
	LlmMatrix	attention_output;	/* [dim][n_heads * head_dim] */
	LlmMatrix	gate;			/* [ffn_dim][dim] */
	LlmMatrix	up;				/* [ffn_dim][dim] */
	LlmMatrix	down;			/* [dim][ffn_dim] */
} LlmLayer;

typedef struct LlmModel
{
	LlmModelConfig config;
	LlmMatrix	embedding;		/* [vocabulary][dim] */
	LlmMatrix	output;			/* [vocabulary][dim]; the embedding where tied */
	const float *output_norm;	/* [dim] */
	LlmLayer   *layers;			/* [n_layers], owned by the LlmModel */
} LlmModel;

typedef struct LlmModelFile LlmModelFile;

/* Called on the caller's thread as bytes are done; false cancels the load. */
typedef bool (*LlmLoadProgress) (void *arg, uint64_t bytes_done, uint64_t bytes_total);

/*
 * Open a file and check all of it but the weights' values: architecture,
 * shapes, types, ranges, vocabulary.  Claims no memory in proportion to the weights.
 */
extern LlmModelFile *llm_model_open(const char *path, LlmError *error);
extern void llm_model_close(LlmModelFile *file);
extern const LlmModelConfig *llm_model_file_config(const LlmModelFile *file);
extern uint64_t llm_model_file_bytes(const LlmModelFile *file);
extern LlmFileIdentity llm_model_file_identity(const LlmModelFile *file);

extern uint64_t llm_model_image_size(const LlmModelFile *file);
extern uint64_t llm_model_vocabulary_size(const LlmModelFile *file);
extern bool llm_model_build_vocabulary(LlmModelFile *file, void *memory, uint64_t size, LlmError *error);

/*
 * Read the weights once, pack them with n_threads threads into
 * memory[size] (64-byte aligned) and drop the file's pages from the page cache.
 */
extern bool llm_model_load_image(LlmModelFile *file, void *memory, uint64_t size, int n_threads,
								 LlmLoadProgress progress, void *arg, LlmError *error);

/* Fill *model with pointers into a loaded image; llm_model_detach frees what it owns. */
extern bool llm_model_attach(const void *image, uint64_t size, LlmModel *model, LlmError *error);
extern void llm_model_detach(LlmModel *model);

#endif							/* LLM_MODEL_H */
