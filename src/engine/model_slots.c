/*
 * model_slots.c
 *		The architecture of Llama 2 as a table: its tensors' names and shapes, and
 *		the range of every number that describes a model.
 *
 * Used on the way from a file to an image and again when a process attaches
 * to an image, so that both mean the same model.
 */
#include "engine/model_file.h"

#include <inttypes.h>
#include <stdio.h>

typedef enum Extent
{
	EXTENT_ONE,
	EXTENT_DIM,
	EXTENT_HEADS,				/* all heads' features */
	EXTENT_KV_HEADS,
	EXTENT_FFN,
	EXTENT_VOCABULARY
} Extent;

static const struct
{
	const char *name;
	Extent		rows;
	Extent		cols;
}			roles[LLM_N_ROLES] = {
	[LLM_ROLE_EMBEDDING] = {"token_embd.weight", EXTENT_VOCABULARY, EXTENT_DIM},
	[LLM_ROLE_OUTPUT_NORM] = {"output_norm.weight", EXTENT_ONE, EXTENT_DIM},
	[LLM_ROLE_OUTPUT] = {"output.weight", EXTENT_VOCABULARY, EXTENT_DIM},
	[LLM_ROLE_ATTENTION_NORM] = {"attn_norm.weight", EXTENT_ONE, EXTENT_DIM},
	[LLM_ROLE_FFN_NORM] = {"ffn_norm.weight", EXTENT_ONE, EXTENT_DIM},
	[LLM_ROLE_Q] = {"attn_q.weight", EXTENT_HEADS, EXTENT_DIM},
	[LLM_ROLE_K] = {"attn_k.weight", EXTENT_KV_HEADS, EXTENT_DIM},
	[LLM_ROLE_V] = {"attn_v.weight", EXTENT_KV_HEADS, EXTENT_DIM},
	[LLM_ROLE_ATTENTION_OUTPUT] = {"attn_output.weight", EXTENT_DIM, EXTENT_HEADS},
	[LLM_ROLE_GATE] = {"ffn_gate.weight", EXTENT_FFN, EXTENT_DIM},
	[LLM_ROLE_UP] = {"ffn_up.weight", EXTENT_FFN, EXTENT_DIM},
	[LLM_ROLE_DOWN] = {"ffn_down.weight", EXTENT_DIM, EXTENT_FFN},
};

static const struct
{
	const char *what;
	size_t		offset;
	int32_t		max;			/* the least is 1 for all */
}			ranges[] = {
	{"embedding length", offsetof(LlmModelConfig, dim), 65536},
	{"number of layers", offsetof(LlmModelConfig, n_layers), LLM_MAX_LAYERS},
	{"number of heads", offsetof(LlmModelConfig, n_heads), 4096},
	{"number of key/value heads", offsetof(LlmModelConfig, n_kv_heads), 4096},
	{"head size", offsetof(LlmModelConfig, head_dim), 1024},
	{"feed-forward length", offsetof(LlmModelConfig, ffn_dim), 1 << 20},
	{"vocabulary size", offsetof(LlmModelConfig, vocabulary_size), 1 << 20},
	{"context length", offsetof(LlmModelConfig, context_length), 1 << 20},
	{"rope dimension", offsetof(LlmModelConfig, rope_dim), 1024},
};

static int32_t extent(const LlmModelConfig *config, Extent which);

int32_t
llm_n_slots(const LlmModelConfig *config)
{
	return LLM_GLOBAL_SLOTS + config->n_layers * LLM_LAYER_SLOTS;
}

bool
llm_role_is_norm(LlmRole role)
{
	return roles[role].rows == EXTENT_ONE;
}

void
llm_role_shape(const LlmModelConfig *config, LlmRole role, int32_t *rows, int32_t *cols)
{
	*rows = extent(config, roles[role].rows);
	*cols = extent(config, roles[role].cols);
}

const char *
llm_slot_name(int32_t slot, char *out, size_t size)
{
	const char *name = roles[llm_slot_role(slot)].name;

	if (slot < LLM_GLOBAL_SLOTS)
		snprintf(out, size, "%s", name);
	else
		snprintf(out, size, "blk.%d.%s", (slot - LLM_GLOBAL_SLOTS) / LLM_LAYER_SLOTS, name);
	return out;
}

bool
llm_config_check(const LlmModelConfig *config, LlmError *error)
{
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
	{
		int32_t		value = *(const int32_t *) ((const char *) config + ranges[i].offset);

		if (value < 1 || value > ranges[i].max)
			return llm_fail(error, LLM_ERROR_LIMIT, "the model's %s is %" PRId32 ", not 1 to %" PRId32,
							ranges[i].what, value, ranges[i].max);
	}
	if ((int64_t) config->n_heads * config->head_dim != config->dim)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"the model's embedding length %" PRId32 " is not a multiple of its %" PRId32
						" heads", config->dim, config->n_heads);
	if (config->n_heads % config->n_kv_heads != 0)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"the model's %" PRId32 " heads are not a multiple of its %" PRId32
						" key/value heads", config->n_heads, config->n_kv_heads);
	if (config->head_dim % 2 != 0)
		return llm_fail(error, LLM_ERROR_UNSUPPORTED, "the model's head size %" PRId32 " is odd",
						config->head_dim);
	if (config->rope_dim % 2 != 0 || config->rope_dim > config->head_dim)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"the model's rope dimension %" PRId32
						" is not an even number up to the head size %" PRId32,
						config->rope_dim, config->head_dim);
	/* Written so that NaN fails. */
	if (!(config->norm_eps > 0 && config->norm_eps < 1))
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"the model's norm epsilon is %g, not between 0 and 1",
						(double) config->norm_eps);
	if (!(config->rope_base >= 1 && config->rope_base <= 1e12))
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"the model's rope base is %g, not 1 to 1e12", config->rope_base);
	if (!(config->rope_scale >= 1e-3 && config->rope_scale <= 1e6))
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"the model's rope scaling factor is %g, not 0.001 to 1e6", config->rope_scale);
	return true;
}

static int32_t
extent(const LlmModelConfig *config, Extent which)
{
	switch (which)
	{
		case EXTENT_DIM:
			return config->dim;
		case EXTENT_HEADS:
			return config->n_heads * config->head_dim;
		case EXTENT_KV_HEADS:
			return config->n_kv_heads * config->head_dim;
		case EXTENT_FFN:
			return config->ffn_dim;
		case EXTENT_VOCABULARY:
			return config->vocabulary_size;
		case EXTENT_ONE:
			break;
	}
	return 1;
}
