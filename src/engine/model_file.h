/*
 * model_file.h
 *		An open model file, and the tensors that the architecture has; private to model_*.c.
 *
 * Every tensor of a model has a slot: the embedding, the output norm and the
 * classifier first, then nine slots for each layer.  A slot's role says what its
 * tensor is called in the file and what shape it has.
 */
#ifndef LLM_MODEL_FILE_H
#define LLM_MODEL_FILE_H

#include "engine/model.h"

typedef enum LlmRole
{
	LLM_ROLE_EMBEDDING,
	LLM_ROLE_OUTPUT_NORM,
	LLM_ROLE_OUTPUT,			/* absent where the embedding serves */
	LLM_ROLE_ATTENTION_NORM,	/* the first of a layer's */
	LLM_ROLE_FFN_NORM,
	LLM_ROLE_Q,
	LLM_ROLE_K,
	LLM_ROLE_V,
	LLM_ROLE_ATTENTION_OUTPUT,
	LLM_ROLE_GATE,
	LLM_ROLE_UP,
	LLM_ROLE_DOWN,
	LLM_N_ROLES
} LlmRole;

#define LLM_GLOBAL_SLOTS	LLM_ROLE_ATTENTION_NORM
#define LLM_LAYER_SLOTS		(LLM_N_ROLES - LLM_GLOBAL_SLOTS)

struct LlmModelFile
{
	LlmGguf    *gguf;
	LlmModelConfig config;
	int32_t		n_slots;
	const LlmGgufTensor **tensors;	/* [n_slots]; NULL for a tied output */
	uint64_t	weight_bytes;	/* of all tensors in the file */
	uint64_t	image_size;
	LlmVocabularySource vocabulary; /* bytes of the pieces lie in the gguf */
	LlmPiece   *pieces;
	uint64_t	vocabulary_size;	/* bytes of the block */
};

static inline int32_t
llm_slot(int32_t layer, LlmRole role)
{
	return role < LLM_GLOBAL_SLOTS ? (int32_t) role : layer * LLM_LAYER_SLOTS + (int32_t) role;
}

static inline LlmRole
llm_slot_role(int32_t slot)
{
	if (slot < LLM_GLOBAL_SLOTS)
		return (LlmRole) slot;
	return (LlmRole) (LLM_GLOBAL_SLOTS + (slot - LLM_GLOBAL_SLOTS) % LLM_LAYER_SLOTS);
}

extern int32_t llm_n_slots(const LlmModelConfig *config);

/* Norms are vectors, kept as floats: one row; all others are matrices. */
extern bool llm_role_is_norm(LlmRole role);
extern void llm_role_shape(const LlmModelConfig *config, LlmRole role, int32_t *rows, int32_t *cols);

/* The name of the slot's tensor in a file, in out[size], which is returned. */
extern const char *llm_slot_name(int32_t slot, char *out, size_t size);

/* Are the numbers in range, and do they agree with each other? */
extern bool llm_config_check(const LlmModelConfig *config, LlmError *error);

/* Fill file->vocabulary, pieces and vocabulary_size. */
extern bool llm_model_read_vocabulary(LlmModelFile *file, LlmError *error);

/* Lay the image out: file->image_size from the tensors. */
extern bool llm_model_plan_image(LlmModelFile *file, LlmError *error);

#endif							/* LLM_MODEL_FILE_H */
