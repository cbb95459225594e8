/*
 * write_gguf.c
 *		The header of a GGUF file, version 3, put together in memory.
 */
#include "import/write_gguf.h"

#include <stdlib.h>
#include <string.h>

#include "engine/gguf_layout.h"

#define VERSION 3
#define ALIGNMENT 32

typedef struct Buffer
{
	uint8_t    *bytes;
	uint64_t	length;
	uint64_t	capacity;
	bool		failed;			/* out of memory: looked at once, at the end */
	uint64_t	n_keys;
} Buffer;

static void add_model_keys(Buffer *buffer, const Source *source, const char *name);
static void add_vocabulary_keys(Buffer *buffer, const ImportVocabulary *vocabulary);
static void copy_keys(Buffer *buffer, const LlmGguf *gguf);
static int	compare_places(const void *a, const void *b);
static bool is_replaced(LlmGgufString name);
static void plan_tensors(GgufPlan *plan, Buffer *buffer, const Source *source,
						 const LlmTensorType *types);
static void add(Buffer *buffer, const void *bytes, uint64_t n);
static void add_u32(Buffer *buffer, uint32_t value);
static void add_u64(Buffer *buffer, uint64_t value);
static void add_text(Buffer *buffer, const char *text, uint64_t length);
static void add_key(Buffer *buffer, const char *name, GgufKind kind);
static void add_int(Buffer *buffer, const char *name, int32_t value);
static void add_float(Buffer *buffer, const char *name, double value);
static void add_flag(Buffer *buffer, const char *name, bool value);
static void add_string(Buffer *buffer, const char *name, const char *value);
static void add_array(Buffer *buffer, const char *name, GgufKind kind, uint64_t n);
static uint64_t aligned(uint64_t n);

bool
gguf_plan(GgufPlan *plan, const Source *source, const LlmTensorType *types, const char *name,
		  int32_t file_type, LlmError *error)
{
	Buffer		buffer = {0};
	uint64_t	data;

	memset(plan, 0, sizeof(*plan));
	plan->tensors = calloc((size_t) source->n_tensors, sizeof(GgufTensorPlan));
	if (plan->tensors == NULL)
		return llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory");
	add(&buffer, "GGUF", 4);
	add_u32(&buffer, VERSION);
	add_u64(&buffer, (uint64_t) source->n_tensors);
	add_u64(&buffer, 0);		/* the number of keys, when it is known */
	if (source->model != NULL)
		copy_keys(&buffer, source->model->gguf);
	else
	{
		add_model_keys(&buffer, source, name);
		add_vocabulary_keys(&buffer, &source->vocabulary);
	}
	add_int(&buffer, "general.file_type", file_type);
	add_int(&buffer, "general.quantization_version", 2);
	plan_tensors(plan, &buffer, source, types);
	data = aligned(buffer.length);
	while (buffer.length < data && !buffer.failed)
		add(&buffer, "", 1);
	if (buffer.failed)
	{
		free(buffer.bytes);
		return llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory for the header");
	}
	memcpy(buffer.bytes + 16, &buffer.n_keys, sizeof(buffer.n_keys));
	plan->header = buffer.bytes;
	plan->header_bytes = data;
	plan->file_bytes += data;
	for (int32_t i = 0; i < source->n_tensors; i++)
		plan->tensors[i].offset += data;
	return true;
}

void
gguf_plan_free(GgufPlan *plan)
{
	free(plan->header);
	free(plan->tensors);
	memset(plan, 0, sizeof(*plan));
}

static void
add_model_keys(Buffer *buffer, const Source *source, const char *name)
{
	const LlmModelConfig *config = &source->config;

	add_string(buffer, "general.architecture", "llama");
	add_string(buffer, "general.name", name);
	add_int(buffer, "llama.context_length", config->context_length);
	add_int(buffer, "llama.embedding_length", config->dim);
	add_int(buffer, "llama.block_count", config->n_layers);
	add_int(buffer, "llama.feed_forward_length", config->ffn_dim);
	add_int(buffer, "llama.attention.head_count", config->n_heads);
	add_int(buffer, "llama.attention.head_count_kv", config->n_kv_heads);
	add_float(buffer, "llama.attention.layer_norm_rms_epsilon", (double) config->norm_eps);
	add_int(buffer, "llama.rope.dimension_count", config->rope_dim);
	add_float(buffer, "llama.rope.freq_base", config->rope_base);
	if (config->rope_scale != 1)
	{
		add_string(buffer, "llama.rope.scaling.type", "linear");
		add_float(buffer, "llama.rope.scaling.factor", config->rope_scale);
	}
	add_int(buffer, "llama.vocab_size", config->vocabulary_size);
}

static void
add_vocabulary_keys(Buffer *buffer, const ImportVocabulary *vocabulary)
{
	uint64_t	n = (uint64_t) vocabulary->n_pieces;

	add_string(buffer, "tokenizer.ggml.model", "llama");
	add_string(buffer, "tokenizer.ggml.pre", "default");
	add_array(buffer, "tokenizer.ggml.tokens", GGUF_STRING, n);
	for (uint64_t i = 0; i < n; i++)
		add_text(buffer, vocabulary->pieces[i].bytes, vocabulary->pieces[i].length);
	add_array(buffer, "tokenizer.ggml.scores", GGUF_FLOAT32, n);
	for (uint64_t i = 0; i < n; i++)
		add(buffer, &vocabulary->pieces[i].score, sizeof(float));
	add_array(buffer, "tokenizer.ggml.token_type", GGUF_INT32, n);
	for (uint64_t i = 0; i < n; i++)
		add_u32(buffer, (uint32_t) vocabulary->pieces[i].kind);
	/* The greatest number stands for a token that is absent. */
	add_int(buffer, "tokenizer.ggml.bos_token_id", vocabulary->bos_id);
	add_int(buffer, "tokenizer.ggml.eos_token_id", vocabulary->eos_id);
	add_int(buffer, "tokenizer.ggml.unknown_token_id", vocabulary->unknown_id);
	add_flag(buffer, "tokenizer.ggml.add_bos_token", vocabulary->add_bos);
	add_flag(buffer, "tokenizer.ggml.add_eos_token", false);
	add_flag(buffer, "tokenizer.ggml.add_space_prefix", vocabulary->add_space_prefix);
}

/*
 * Keys as they are, byte for byte: one ends where the next begins, and the last where
 * the first tensor's name does.
 */
static void
copy_keys(Buffer *buffer, const LlmGguf *gguf)
{
	const GgufKey **keys = malloc((gguf->n_keys + 1) * sizeof(GgufKey *));
	uint64_t	end = (uint64_t) ((const uint8_t *) gguf->tensors[0].name.bytes - gguf->bytes) -
		sizeof(uint64_t);

	if (keys == NULL)
	{
		buffer->failed = true;
		return;
	}
	for (uint64_t i = 0; i < gguf->n_keys; i++)
		keys[i] = &gguf->keys[i];
	qsort(keys, gguf->n_keys, sizeof(GgufKey *), compare_places);
	for (uint64_t i = 0; i < gguf->n_keys; i++)
	{
		uint64_t	begin = keys[i]->name_offset - sizeof(uint64_t);
		uint64_t	next = i + 1 < gguf->n_keys ? keys[i + 1]->name_offset - sizeof(uint64_t) : end;

		if (is_replaced(keys[i]->name))
			continue;
		add(buffer, gguf->bytes + begin, next - begin);
		buffer->n_keys++;
	}
	free(keys);
}

static int
compare_places(const void *a, const void *b)
{
	const GgufKey *left = *(const GgufKey *const *) a;
	const GgufKey *right = *(const GgufKey *const *) b;

	return (left->name_offset > right->name_offset) - (left->name_offset < right->name_offset);
}

static bool
is_replaced(LlmGgufString name)
{
	static const char *const replaced[] = {
		"general.file_type", "general.quantization_version", "general.alignment"
	};

	for (size_t i = 0; i < sizeof(replaced) / sizeof(replaced[0]); i++)
		if (name.length == strlen(replaced[i]) && memcmp(name.bytes, replaced[i], name.length) == 0)
			return true;
	return false;
}

/* Offsets count from the start of the data, of which plan->file_bytes is the length so far. */
static void
plan_tensors(GgufPlan *plan, Buffer *buffer, const Source *source, const LlmTensorType *types)
{
	for (int32_t i = 0; i < source->n_tensors; i++)
	{
		const SourceTensor *tensor = &source->tensors[i];
		const LlmTensorTypeInfo *info = llm_tensor_type_info(types[i]);
		bool		vector = llm_role_is_norm(tensor->role);

		plan->tensors[i].type = types[i];
		plan->tensors[i].offset = plan->file_bytes;
		plan->tensors[i].n_bytes = (uint64_t) (tensor->cols / info->block_weights) *
			(uint64_t) info->block_bytes * (uint64_t) tensor->rows;
		plan->file_bytes += aligned(plan->tensors[i].n_bytes);

		add_text(buffer, tensor->name, strlen(tensor->name));
		add_u32(buffer, vector ? 1 : 2);
		add_u64(buffer, (uint64_t) tensor->cols);
		if (!vector)
			add_u64(buffer, (uint64_t) tensor->rows);
		add_u32(buffer, (uint32_t) types[i]);
		add_u64(buffer, plan->tensors[i].offset);
	}
}

static void
add(Buffer *buffer, const void *bytes, uint64_t n)
{
	if (buffer->capacity - buffer->length < n)
	{
		uint64_t	capacity = (buffer->length + n) * 2 + 4096;
		uint8_t    *grown = buffer->failed ? NULL : realloc(buffer->bytes, capacity);

		if (grown == NULL)
		{
			buffer->failed = true;
			return;
		}
		buffer->bytes = grown;
		buffer->capacity = capacity;
	}
	if (n > 0)
		memcpy(buffer->bytes + buffer->length, bytes, n);
	buffer->length += n;
}

static void
add_u32(Buffer *buffer, uint32_t value)
{
	add(buffer, &value, sizeof(value));
}

static void
add_u64(Buffer *buffer, uint64_t value)
{
	add(buffer, &value, sizeof(value));
}

static void
add_text(Buffer *buffer, const char *text, uint64_t length)
{
	add_u64(buffer, length);
	add(buffer, text, length);
}

static void
add_key(Buffer *buffer, const char *name, GgufKind kind)
{
	add_text(buffer, name, strlen(name));
	add_u32(buffer, (uint32_t) kind);
	buffer->n_keys++;
}

static void
add_int(Buffer *buffer, const char *name, int32_t value)
{
	add_key(buffer, name, GGUF_UINT32);
	add_u32(buffer, (uint32_t) value);
}

static void
add_float(Buffer *buffer, const char *name, double value)
{
	float		narrow = (float) value;

	add_key(buffer, name, GGUF_FLOAT32);
	add(buffer, &narrow, sizeof(narrow));
}

static void
add_flag(Buffer *buffer, const char *name, bool value)
{
	uint8_t		byte = value;

	add_key(buffer, name, GGUF_BOOL);
	add(buffer, &byte, sizeof(byte));
}

static void
add_string(Buffer *buffer, const char *name, const char *value)
{
	add_key(buffer, name, GGUF_STRING);
	add_text(buffer, value, strlen(value));
}

static void
add_array(Buffer *buffer, const char *name, GgufKind kind, uint64_t n)
{
	add_key(buffer, name, GGUF_ARRAY);
	add_u32(buffer, (uint32_t) kind);
	add_u64(buffer, n);
}

static uint64_t
aligned(uint64_t n)
{
	return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}
