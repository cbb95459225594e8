/*
 * bind_tensors.c
 *		Which stored tensors make which tensor of the model.
 *
 * The model's tensors and their shapes follow from its configuration; each format has
 * names of its own for them.  What is stored beside them is an error, but for tables
 * that the architecture computes itself.
 */
#include "import/source.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool bind_tensor(Source *source, TensorNaming naming, int32_t slot, LlmError *error);
static bool bind_parts(Source *source, TensorNaming naming, SourceTensor *tensor, LlmError *error);
static bool refuse_others(Source *source, TensorNaming naming, LlmError *error);
static bool is_table(const char *name);
static int64_t part_rows(const StoredTensor *part);
static int64_t part_cols(const StoredTensor *part);
static void describe(Source *source);

/* In the order of LlmRole; %d is the layer. */
static const char *const names[N_NAMINGS][LLM_N_ROLES] = {
	[NAMING_META] = {
		"tok_embeddings.weight",
		"norm.weight",
		"output.weight",
		"layers.%d.attention_norm.weight",
		"layers.%d.ffn_norm.weight",
		"layers.%d.attention.wq.weight",
		"layers.%d.attention.wk.weight",
		"layers.%d.attention.wv.weight",
		"layers.%d.attention.wo.weight",
		"layers.%d.feed_forward.w1.weight",
		"layers.%d.feed_forward.w3.weight",
		"layers.%d.feed_forward.w2.weight"
	},
	[NAMING_HF] = {
		"model.embed_tokens.weight",
		"model.norm.weight",
		"lm_head.weight",
		"model.layers.%d.input_layernorm.weight",
		"model.layers.%d.post_attention_layernorm.weight",
		"model.layers.%d.self_attn.q_proj.weight",
		"model.layers.%d.self_attn.k_proj.weight",
		"model.layers.%d.self_attn.v_proj.weight",
		"model.layers.%d.self_attn.o_proj.weight",
		"model.layers.%d.mlp.gate_proj.weight",
		"model.layers.%d.mlp.up_proj.weight",
		"model.layers.%d.mlp.down_proj.weight"
	}
};

void
source_tensor_name(TensorNaming naming, LlmRole role, int32_t layer, char *out, size_t size)
{
	if (naming == NAMING_GGUF)
	{
		llm_slot_name(llm_slot(layer, role), out, size);
		return;
	}
	if (role < LLM_GLOBAL_SLOTS)
		snprintf(out, size, "%s", names[naming][role]);
	else
	{
		const char *name = names[naming][role];
		const char *place = strstr(name, "%d");

		snprintf(out, size, "%.*s%" PRId32 "%s", (int) (place - name), name, layer, place + 2);
	}
}

bool
source_bind(Source *source, TensorNaming naming, LlmError *error)
{
	int32_t		n_slots = llm_n_slots(&source->config);

	if (!checkpoint_sort(source->checkpoint, error))
		return false;
	source->tensors = calloc((size_t) n_slots, sizeof(SourceTensor));
	if (source->tensors == NULL)
		return llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory for %" PRId32 " tensors",
						n_slots);
	for (int32_t slot = 0; slot < n_slots; slot++)
		if (!bind_tensor(source, naming, slot, error))
			return false;
	if (!refuse_others(source, naming, error))
		return false;
	describe(source);
	return true;
}

static bool
bind_tensor(Source *source, TensorNaming naming, int32_t slot, LlmError *error)
{
	SourceTensor *tensor = &source->tensors[source->n_tensors];
	LlmModelConfig *config = &source->config;
	char		name[SOURCE_NAME_BYTES];
	int32_t		rows;
	int32_t		cols;

	tensor->role = llm_slot_role(slot);
	tensor->layer = slot < LLM_GLOBAL_SLOTS ? 0 : (slot - LLM_GLOBAL_SLOTS) / LLM_LAYER_SLOTS;
	llm_slot_name(slot, tensor->name, sizeof(tensor->name));
	source_tensor_name(naming, tensor->role, tensor->layer, name, sizeof(name));
	tensor->parts = checkpoint_find(source->checkpoint, name, &tensor->n_parts);
	if (tensor->role == LLM_ROLE_OUTPUT && config->tied_output)
	{
		for (int32_t i = 0; i < tensor->n_parts; i++)
			tensor->parts[i].used = true;
		return true;
	}
	if (tensor->parts == NULL)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "tensor \"%s\" is missing", name);
	for (int32_t i = 0; i < tensor->n_parts; i++)
		if (tensor->parts[i].n_dims < 1 || tensor->parts[i].n_dims > 2)
			return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
							"tensor \"%s\" has %" PRId32 " dimensions", name,
							tensor->parts[i].n_dims);
	llm_role_shape(config, tensor->role, &rows, &cols);
	tensor->rows = rows;
	tensor->cols = cols;
	if (naming == NAMING_HF && (tensor->role == LLM_ROLE_Q || tensor->role == LLM_ROLE_K))
		tensor->head_rows = config->head_dim;
	if (!bind_parts(source, naming, tensor, error))
		return false;
	source->n_tensors++;
	return true;
}

/*
 * Shards of a vector are copies; those of a matrix lie below or beside each other,
 * and their shapes tell which.
 */
static bool
bind_parts(Source *source, TensorNaming naming, SourceTensor *tensor, LlmError *error)
{
	int64_t		rows = 0;
	int64_t		cols = 0;
	bool		same_rows = true;
	bool		same_cols = true;

	for (int32_t i = 0; i < tensor->n_parts; i++)
	{
		StoredTensor *part = &tensor->parts[i];

		part->used = true;
		rows += part_rows(part);
		cols += part_cols(part);
		same_rows = same_rows && part_rows(part) == tensor->rows;
		same_cols = same_cols && part_cols(part) == tensor->cols;
		if (part->type != tensor->parts[0].type)
			return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
							"tensor \"%s\" has another type in \"%s\"",
							part->name, source->checkpoint->files[part->file].path);
	}
	if (llm_role_is_norm(tensor->role) && same_rows && same_cols)
	{
		tensor->n_parts = 1;
		return true;
	}
	if (same_cols && rows == tensor->rows)
		return true;
	tensor->by_columns = true;
	if (same_rows && cols == tensor->cols && !llm_role_is_norm(tensor->role))
		return true;
	llm_fail(error, LLM_ERROR_CORRUPT_FILE,
			 "tensor \"%s\" has %" PRId64 " x %" PRId64 " weights in \"%s\"%s, not %" PRId64 " x %" PRId64,
			 tensor->parts[0].name, part_rows(&tensor->parts[0]), part_cols(&tensor->parts[0]),
			 source->checkpoint->files[tensor->parts[0].file].path,
			 tensor->n_parts > 1 ? " and parts elsewhere" : "", tensor->rows, tensor->cols);
	if (naming == NAMING_META && ((same_cols && rows < tensor->rows) || (same_rows && cols < tensor->cols)))
		llm_hint(error, "Are all of consolidated.00.pth and so on there, without a gap?");
	return false;
}

/* A bias or an adapter changes what the model computes. */
static bool
refuse_others(Source *source, TensorNaming naming, LlmError *error)
{
	for (int32_t i = 0; i < source->checkpoint->n_tensors; i++)
	{
		const StoredTensor *tensor = &source->checkpoint->tensors[i];

		if (!tensor->used && (naming == NAMING_GGUF || !is_table(tensor->name)))
			return llm_fail(error, LLM_ERROR_UNSUPPORTED,
							"tensor \"%s\" is not supported in a Llama 2 model", tensor->name);
	}
	return true;
}

/* Angles of the rotary embedding, which are computed from the configuration. */
static bool
is_table(const char *name)
{
	static const char *const tables[] = {"rope.freqs", "rotary_emb.inv_freq"};

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
	{
		size_t		length = strlen(name);

		if (length >= strlen(tables[i]) && strcmp(name + length - strlen(tables[i]),
												  tables[i]) == 0)
			return true;
	}
	return false;
}

static int64_t
part_rows(const StoredTensor *part)
{
	return part->n_dims == 2 ? part->dims[0] : 1;
}

static int64_t
part_cols(const StoredTensor *part)
{
	return part->dims[part->n_dims - 1];
}

/* The type of most weights, and the bytes of all. */
static void
describe(Source *source)
{
	int64_t		by_type[LLM_TENSOR_TYPE_LIMIT] = {0};

	source->config.n_weights = 0;
	for (int32_t i = 0; i < source->n_tensors; i++)
	{
		const SourceTensor *tensor = &source->tensors[i];
		LlmTensorType type = tensor->parts[0].group > 0 ? LLM_Q8_0 : tensor->parts[0].type;
		const LlmTensorTypeInfo *info = llm_tensor_type_info(type);

		by_type[type] += tensor->rows * tensor->cols;
		if (by_type[type] > by_type[source->type])
			source->type = type;
		source->config.n_weights += tensor->rows * tensor->cols;
		source->n_bytes += (uint64_t) (tensor->rows * tensor->cols / info->block_weights) *
			(uint64_t) info->block_bytes;
	}
}
