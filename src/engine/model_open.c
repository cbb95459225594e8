/*
 * model_open.c
 *		Open a GGUF file as a model: architecture, numbers, tensors.
 *
 * Everything about the model is checked here but the weights' values, so that
 * whoever loads it can rely on the shapes.
 */
#include "engine/model_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define KEY_ARCHITECTURE	"general.architecture"
#define KEY_NAME			"general.name"
#define KEY_SPLITS			"split.count"
#define KEY_CONTEXT			"llama.context_length"
#define KEY_DIM				"llama.embedding_length"
#define KEY_LAYERS			"llama.block_count"
#define KEY_FFN				"llama.feed_forward_length"
#define KEY_HEADS			"llama.attention.head_count"
#define KEY_KV_HEADS		"llama.attention.head_count_kv"
#define KEY_KEY_LENGTH		"llama.attention.key_length"
#define KEY_VALUE_LENGTH	"llama.attention.value_length"
#define KEY_WINDOW			"llama.attention.sliding_window"
#define KEY_EPSILON			"llama.attention.layer_norm_rms_epsilon"
#define KEY_ROPE_DIM		"llama.rope.dimension_count"
#define KEY_ROPE_BASE		"llama.rope.freq_base"
#define KEY_SCALING_TYPE	"llama.rope.scaling.type"
#define KEY_SCALING_FACTOR	"llama.rope.scaling.factor"
#define KEY_SCALE_LINEAR	"llama.rope.scale_linear"
#define KEY_VOCABULARY		"llama.vocab_size"
#define KEY_EXPERTS			"llama.expert_count"

#define DEFAULT_ROPE_BASE	10000.0

static bool check_architecture(const LlmGguf *gguf, LlmError *error);
static bool read_config(LlmModelFile *file, LlmError *error);
static bool read_head_dim(LlmModelFile *file, LlmError *error);
static bool read_rope(LlmModelFile *file, LlmError *error);
static bool read_vocabulary_size(LlmModelFile *file, LlmError *error);
static bool find_tensors(LlmModelFile *file, LlmError *error);
static bool check_tensor(LlmModelFile *file, int32_t slot, LlmError *error);
static bool refuse_other_tensors(const LlmModelFile *file, LlmError *error);
static bool describe_weights(LlmModelFile *file, LlmError *error);

static bool require_int(const LlmGguf *gguf, const char *key, int32_t *value, LlmError *error);
static bool optional_int(const LlmGguf *gguf, const char *key, int32_t fallback, int32_t *value,
						 LlmError *error);
static bool optional_float(const LlmGguf *gguf, const char *key, double fallback, double *value,
						   LlmError *error);
static bool equals(LlmGgufString string, const char *text);

LlmModelFile *
llm_model_open(const char *path, LlmError *error)
{
	LlmModelFile *file = calloc(1, sizeof(LlmModelFile));

	if (file == NULL)
	{
		llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory while opening a model file");
		return NULL;
	}
	file->gguf = llm_gguf_open(path, error);
	if (file->gguf == NULL ||
		!check_architecture(file->gguf, error) ||
		!read_config(file, error) ||
		!find_tensors(file, error) ||
		!describe_weights(file, error) ||
		!llm_model_read_vocabulary(file, error) ||
		!llm_model_plan_image(file, error))
	{
		llm_model_close(file);
		return NULL;
	}
	return file;
}

void
llm_model_close(LlmModelFile *file)
{
	if (file == NULL)
		return;
	llm_gguf_close(file->gguf);
	free(file->tensors);
	free(file->pieces);
	free(file);
}

const LlmModelConfig *
llm_model_file_config(const LlmModelFile *file)
{
	return &file->config;
}

uint64_t
llm_model_file_bytes(const LlmModelFile *file)
{
	return llm_gguf_file_size(file->gguf);
}

LlmFileIdentity
llm_model_file_identity(const LlmModelFile *file)
{
	return llm_gguf_identity(file->gguf);
}

uint64_t
llm_model_vocabulary_size(const LlmModelFile *file)
{
	return file->vocabulary_size;
}

bool
llm_model_build_vocabulary(LlmModelFile *file, void *memory, uint64_t size, LlmError *error)
{
	return llm_vocabulary_build(&file->vocabulary, memory, size, error);
}

static bool
check_architecture(const LlmGguf *gguf, LlmError *error)
{
	LlmGgufString architecture;
	char		shown[72];
	int32_t		n_splits;

	if (!llm_gguf_get_string(gguf, KEY_ARCHITECTURE, &architecture))
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"file does not name its architecture: no key %s",
						KEY_ARCHITECTURE);
	if (!equals(architecture, "llama"))
		return llm_fail(error, LLM_ERROR_UNSUPPORTED,
						"architecture \"%s\" is not supported, only \"llama\"",
						llm_gguf_printable(architecture, shown, sizeof(shown)));
	if (!optional_int(gguf, KEY_SPLITS, 0, &n_splits, error))
		return false;
	if (n_splits > 1)
	{
		llm_fail(error, LLM_ERROR_UNSUPPORTED, "file is one of %" PRId32 " parts of a model",
				 n_splits);
		return llm_hint(error, "Merge the parts into one file first.");
	}
	if (llm_gguf_n_tensors(gguf) == 0)
		return llm_fail(error, LLM_ERROR_UNSUPPORTED, "file holds no weights");
	return true;
}

static bool
read_config(LlmModelFile *file, LlmError *error)
{
	const LlmGguf *gguf = file->gguf;
	LlmModelConfig *config = &file->config;
	LlmGgufString name;
	int32_t		n_experts;
	int32_t		window;
	double		epsilon;

	if (llm_gguf_get_string(gguf, KEY_NAME, &name))
		llm_gguf_printable(name, config->name, sizeof(config->name));
	if (!require_int(gguf, KEY_CONTEXT, &config->context_length, error) ||
		!require_int(gguf, KEY_DIM, &config->dim, error) ||
		!require_int(gguf, KEY_LAYERS, &config->n_layers, error) ||
		!require_int(gguf, KEY_FFN, &config->ffn_dim, error) ||
		!require_int(gguf, KEY_HEADS, &config->n_heads, error) ||
		!optional_int(gguf, KEY_KV_HEADS, config->n_heads, &config->n_kv_heads, error) ||
		!optional_int(gguf, KEY_EXPERTS, 0, &n_experts, error) ||
		!optional_int(gguf, KEY_WINDOW, 0, &window, error) ||
		!read_head_dim(file, error) ||
		!read_rope(file, error) ||
		!read_vocabulary_size(file, error))
		return false;
	if (n_experts > 0)
		return llm_fail(error, LLM_ERROR_UNSUPPORTED,
						"mixtures of experts are not supported: the model has %" PRId32, n_experts);
	if (window > 0 && window < config->context_length)
		return llm_fail(error, LLM_ERROR_UNSUPPORTED,
						"sliding window attention is not supported: the model's window is %" PRId32,
						window);
	if (!llm_gguf_get_float(gguf, KEY_EPSILON, &epsilon))
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "%s is missing or not a float", KEY_EPSILON);
	config->norm_eps = (float) epsilon;
	return llm_config_check(config, error);
}

static bool
read_head_dim(LlmModelFile *file, LlmError *error)
{
	static const char *const keys[] = {KEY_KEY_LENGTH, KEY_VALUE_LENGTH};
	LlmModelConfig *config = &file->config;

	if (config->n_heads < 1)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "%s is %" PRId32, KEY_HEADS,
						config->n_heads);
	config->head_dim = config->dim / config->n_heads;
	for (int i = 0; i < 2; i++)
	{
		int32_t		length;

		if (!optional_int(file->gguf, keys[i], config->head_dim, &length, error))
			return false;
		if (length != config->head_dim)
			return llm_fail(error, LLM_ERROR_UNSUPPORTED,
							"%s is %" PRId32 ", which is supported only where it is %" PRId32
							", the embedding length divided by the number of heads",
							keys[i], length, config->head_dim);
	}
	return true;
}

/* Old files have the factor of linear scaling under a key of its own. */
static bool
read_rope(LlmModelFile *file, LlmError *error)
{
	const LlmGguf *gguf = file->gguf;
	LlmModelConfig *config = &file->config;
	LlmGgufString type = {"linear", 6};
	char		shown[72];

	if (!optional_int(gguf, KEY_ROPE_DIM, config->head_dim, &config->rope_dim, error) ||
		!optional_float(gguf, KEY_ROPE_BASE, DEFAULT_ROPE_BASE, &config->rope_base, error) ||
		!optional_float(gguf, KEY_SCALE_LINEAR, 1, &config->rope_scale, error) ||
		!optional_float(gguf, KEY_SCALING_FACTOR, config->rope_scale, &config->rope_scale, error))
		return false;
	if (llm_gguf_has_key(gguf, KEY_SCALING_TYPE) && !llm_gguf_get_string(gguf, KEY_SCALING_TYPE,
																		 &type))
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "%s is not a string", KEY_SCALING_TYPE);
	if (!equals(type, "linear") && !equals(type, "none"))
		return llm_fail(error, LLM_ERROR_UNSUPPORTED, "rope scaling \"%s\" is not supported",
						llm_gguf_printable(type, shown, sizeof(shown)));
	/* Writers put 0 where there is no scaling. */
	if (equals(type, "none") || config->rope_scale == 0)
		config->rope_scale = 1;
	return true;
}

/* The embedding has a row for each token; the key, where it is there, must agree. */
static bool
read_vocabulary_size(LlmModelFile *file, LlmError *error)
{
	const LlmGgufTensor *embedding = llm_gguf_find_tensor(file->gguf, "token_embd.weight");
	int32_t		declared;

	if (embedding == NULL)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "tensor \"token_embd.weight\" is missing");
	if (embedding->dims[1] > INT32_MAX)
		return llm_fail(error, LLM_ERROR_LIMIT, "token_embd.weight has %" PRId64 " rows",
						embedding->dims[1]);
	file->config.vocabulary_size = (int32_t) embedding->dims[1];
	if (!optional_int(file->gguf, KEY_VOCABULARY, file->config.vocabulary_size, &declared, error))
		return false;
	if (declared != file->config.vocabulary_size)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"%s is %" PRId32 " but token_embd.weight has %" PRId32 " rows",
						KEY_VOCABULARY, declared, file->config.vocabulary_size);
	return true;
}

static bool
find_tensors(LlmModelFile *file, LlmError *error)
{
	char		name[64];

	file->n_slots = llm_n_slots(&file->config);
	file->tensors = calloc((size_t) file->n_slots, sizeof(*file->tensors));
	if (file->tensors == NULL)
		return llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory for %" PRId32 " tensors",
						file->n_slots);
	for (int32_t slot = 0; slot < file->n_slots; slot++)
	{
		file->tensors[slot] = llm_gguf_find_tensor(file->gguf, llm_slot_name(slot, name,
																			 sizeof(name)));
		if (file->tensors[slot] == NULL && llm_slot_role(slot) == LLM_ROLE_OUTPUT)
			file->config.tied_output = true;
		else if (!check_tensor(file, slot, error))
			return false;
	}
	return refuse_other_tensors(file, error);
}

static bool
check_tensor(LlmModelFile *file, int32_t slot, LlmError *error)
{
	const LlmGgufTensor *tensor = file->tensors[slot];
	LlmRole		role = llm_slot_role(slot);
	const LlmTensorTypeInfo *info;
	int32_t		rows;
	int32_t		cols;
	char		name[64];

	llm_slot_name(slot, name, sizeof(name));
	if (tensor == NULL)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "tensor \"%s\" is missing", name);
	llm_role_shape(&file->config, role, &rows, &cols);
	if (tensor->dims[0] != cols || tensor->dims[1] != rows ||
		tensor->dims[2] != 1 || tensor->dims[3] != 1)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"tensor \"%s\" has the shape %" PRId64 " x %" PRId64 " x %" PRId64 " x %" PRId64
						", not %" PRId32 " x %" PRId32, name, tensor->dims[0], tensor->dims[1],
						tensor->dims[2], tensor->dims[3], cols, rows);
	info = llm_tensor_type_info(tensor->type);
	if (llm_role_is_norm(role) && info->block_weights != 1)
		return llm_fail(error, LLM_ERROR_UNSUPPORTED,
						"tensor \"%s\" has the type %s, not a float type",
						name, info->name);
	return true;
}

/*
 * A bias, a table of rope factors or an adapter changes what the model computes:
 * to leave it out would give wrong text without a word.
 */
static bool
refuse_other_tensors(const LlmModelFile *file, LlmError *error)
{
	int64_t		n_tensors = llm_gguf_n_tensors(file->gguf);
	int64_t		n_known = file->n_slots - (file->config.tied_output ? 1 : 0);
	bool	   *known;
	int64_t		other = 0;
	char		shown[72];

	if (n_tensors == n_known)
		return true;
	known = calloc((size_t) n_tensors, sizeof(bool));
	if (known == NULL)
		return llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory for %" PRId64 " tensors",
						n_tensors);
	for (int32_t slot = 0; slot < file->n_slots; slot++)
		if (file->tensors[slot] != NULL)
			known[file->tensors[slot] - llm_gguf_tensor(file->gguf, 0)] = true;
	while (known[other])
		other++;
	free(known);
	return llm_fail(error, LLM_ERROR_UNSUPPORTED,
					"tensor \"%s\" is not supported in a Llama 2 model",
					llm_gguf_printable(llm_gguf_tensor(file->gguf, other)->name, shown,
									   sizeof(shown)));
}

/* Sums over all tensors: weights, bytes, and the type that most weights have. */
static bool
describe_weights(LlmModelFile *file, LlmError *error)
{
	uint64_t	by_type[LLM_TENSOR_TYPE_LIMIT] = {0};
	uint64_t	total = 0;
	int			most = LLM_F32;

	for (int32_t slot = 0; slot < file->n_slots; slot++)
	{
		const LlmGgufTensor *tensor = file->tensors[slot];
		uint64_t	n_weights;

		if (tensor == NULL)
			continue;
		/* Both factors are in the range of the configuration. */
		n_weights = (uint64_t) tensor->dims[0] * (uint64_t) tensor->dims[1];
		by_type[tensor->type] += n_weights;
		if (!llm_add_sizes(total, n_weights, &total) || total > INT64_MAX ||
			!llm_add_sizes(file->weight_bytes, tensor->n_bytes, &file->weight_bytes))
			return llm_fail(error, LLM_ERROR_LIMIT, "the model has too many weights");
		if (by_type[tensor->type] > by_type[most])
			most = tensor->type;
	}
	file->config.n_weights = (int64_t) total;
	strncpy(file->config.type_name, llm_tensor_type_info(most)->name,
			sizeof(file->config.type_name) - 1);
	return true;
}

static bool
require_int(const LlmGguf *gguf, const char *key, int32_t *value, LlmError *error)
{
	if (!llm_gguf_has_key(gguf, key))
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "key %s is missing", key);
	return optional_int(gguf, key, 0, value, error);
}

static bool
optional_int(const LlmGguf *gguf, const char *key, int32_t fallback, int32_t *value,
			 LlmError *error)
{
	int64_t		found = fallback;

	if (llm_gguf_has_key(gguf, key) && !llm_gguf_get_int(gguf, key, &found))
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "%s is not an integer", key);
	if (found < 0 || found > INT32_MAX)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "%s is %" PRId64 ", out of range", key,
						found);
	*value = (int32_t) found;
	return true;
}

static bool
optional_float(const LlmGguf *gguf, const char *key, double fallback, double *value,
			   LlmError *error)
{
	*value = fallback;
	if (llm_gguf_has_key(gguf, key) && !llm_gguf_get_float(gguf, key, value))
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "%s is not a float", key);
	return true;
}

static bool
equals(LlmGgufString string, const char *text)
{
	return string.length == strlen(text) && memcmp(string.bytes, text, string.length) == 0;
}
