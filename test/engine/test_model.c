/*
 * test_model.c
 *		From a model file to an image: what is accepted and refused, and that every
 *		weight arrives with the bits that the file has.
 */
#define _GNU_SOURCE
#include "engine/model.h"

#include <sys/stat.h>

#include "small_model.h"
#include "tap.h"

static void
refused(const char *path, LlmErrorCode code, const char *text)
{
	LlmError	error = {0};
	LlmModelFile *file = llm_model_open(path, &error);
	bool		as_wanted = file == NULL && error.code == code && strstr(error.message,
																		 text) != NULL;

	if (!ok(as_wanted, "refused: %s", text))
		diag("%s, code %d: %s", file ? "opened" : "refused", error.code, error.message);
	llm_model_close(file);
}

static void
refused_build(GgufBuilder *builder, LlmErrorCode code, const char *text)
{
	refused(gguf_build(builder), code, text);
	builder_free(builder);
}

static void *
aligned(uint64_t size)
{
	void	   *memory = aligned_alloc(64, (size + 63) / 64 * 64);

	if (memory == NULL)
		abort();
	memset(memory, 0xA5, size);
	return memory;
}

typedef struct Counter
{
	int			calls;
	int			stop_at;		/* 0: never */
	uint64_t	last;
	uint64_t	total;
	bool		went_back;
} Counter;

static bool
count_progress(void *arg, uint64_t bytes_done, uint64_t bytes_total)
{
	Counter    *counter = arg;

	counter->calls++;
	if (bytes_done < counter->last || bytes_done > bytes_total)
		counter->went_back = true;
	counter->last = bytes_done;
	counter->total = bytes_total;
	return counter->calls != counter->stop_at;
}

/* Compare rows of a packed matrix with the file's bytes; counts the rows that differ. */
static int
matrix_differs(const LlmGguf *gguf, const char *name, const LlmMatrix *matrix)
{
	const LlmGgufTensor *tensor = llm_gguf_find_tensor(gguf, name);
	uint64_t	row_bytes = tensor->n_bytes / tensor->dims[1];
	uint8_t    *row = malloc(row_bytes);
	float	   *expected = malloc(tensor->dims[0] * sizeof(float));
	float	   *found = malloc(tensor->dims[0] * sizeof(float));
	int			step = matrix->rows > 1000 ? 37 : 1;
	int			n_differ = matrix->rows != tensor->dims[1] || matrix->cols != tensor->dims[0];

	for (int r = matrix->rows - 1; n_differ == 0 && r >= 0; r -= step)
	{
		if (!llm_gguf_read(gguf, tensor->file_offset + r * row_bytes, row, row_bytes, NULL))
			abort();
		llm_dequantize_row(tensor->type, row, tensor->dims[0], expected);
		llm_matrix_row(matrix, r, found);
		n_differ += memcmp(expected, found, tensor->dims[0] * sizeof(float)) != 0;
	}
	free(row);
	free(expected);
	free(found);
	return n_differ;
}

static int
norm_differs(const LlmGguf *gguf, const char *name, const float *norm)
{
	const LlmGgufTensor *tensor = llm_gguf_find_tensor(gguf, name);
	uint8_t    *bytes = malloc(tensor->n_bytes);
	float	   *expected = malloc(tensor->dims[0] * sizeof(float));
	int			differs;

	if (!llm_gguf_read(gguf, tensor->file_offset, bytes, tensor->n_bytes, NULL))
		abort();
	llm_dequantize_row(tensor->type, bytes, tensor->dims[0], expected);
	differs = memcmp(expected, norm, tensor->dims[0] * sizeof(float)) != 0;
	free(bytes);
	free(expected);
	return differs;
}

static int
model_differs(const char *path, const LlmModel *model)
{
	LlmGguf    *gguf = llm_gguf_open(path, NULL);
	int			n = matrix_differs(gguf, "token_embd.weight", &model->embedding) +
		norm_differs(gguf, "output_norm.weight", model->output_norm);

	if (!model->config.tied_output)
		n += matrix_differs(gguf, "output.weight", &model->output);
	for (int i = 0; i < model->config.n_layers; i++)
	{
		const LlmLayer *layer = &model->layers[i];
		const struct
		{
			const char *name;
			const LlmMatrix *matrix;
		}			matrices[] = {
			{"attn_q", &layer->q}, {"attn_k", &layer->k}, {"attn_v", &layer->v},
			{"attn_output", &layer->attention_output}, {"ffn_gate", &layer->gate},
			{"ffn_up", &layer->up}, {"ffn_down", &layer->down},
		};
		char		name[64];

		for (size_t j = 0; j < sizeof(matrices) / sizeof(matrices[0]); j++)
		{
			snprintf(name, sizeof(name), "blk.%d.%s.weight", i, matrices[j].name);
			n += matrix_differs(gguf, name, matrices[j].matrix);
		}
		snprintf(name, sizeof(name), "blk.%d.attn_norm.weight", i);
		n += norm_differs(gguf, name, layer->attention_norm);
		snprintf(name, sizeof(name), "blk.%d.ffn_norm.weight", i);
		n += norm_differs(gguf, name, layer->ffn_norm);
	}
	llm_gguf_close(gguf);
	return n;
}

/* Open, load with some threads, attach, compare all weights, build the vocabulary. */
static bool
loads(const char *path, const char *what, const char *type_name, int n_threads)
{
	LlmError	error = {0};
	LlmModelFile *file = llm_model_open(path, &error);
	Counter		counter = {0};
	LlmModel	model;
	uint64_t	size;
	uint64_t	vocabulary_size;
	void	   *image;
	void	   *vocabulary;
	bool		good;

	if (!ok(file != NULL, "%s opens", what))
	{
		diag("%s", error.message);
		return false;
	}
	size = llm_model_image_size(file);
	image = aligned(size);
	good = ok(llm_model_load_image(file, image, size, n_threads, count_progress, &counter, &error),
			  "%s loads with %d threads", what, n_threads);
	if (!good)
		diag("%s", error.message);
	ok(counter.last == counter.total && counter.total > 0 && !counter.went_back, "%s: progress",
	   what);
	good = good && ok(llm_model_attach(image, size, &model, &error), "%s: attach", what);
	if (good)
	{
		const LlmModelConfig *config = &model.config;

		ok(memcmp(config, llm_model_file_config(file), sizeof(*config)) == 0, "%s: configuration",
		   what);
		ok(strcmp(config->type_name, type_name) == 0, "%s: type is %s", what, config->type_name);
		ok(model_differs(path, &model) == 0, "%s: every weight has the file's bits", what);
		ok(!config->tied_output == (model.output.panels != model.embedding.panels),
		   "%s: classifier", what);
		llm_model_detach(&model);
	}
	vocabulary_size = llm_model_vocabulary_size(file);
	vocabulary = aligned(vocabulary_size);
	ok(vocabulary_size > 0 && llm_model_build_vocabulary(file, vocabulary, vocabulary_size,
														 &error) &&
	   llm_vocabulary_count(vocabulary) == llm_model_file_config(file)->vocabulary_size &&
	   llm_vocabulary_bos(vocabulary) == 1 && llm_vocabulary_eos(vocabulary) == 2,
	   "%s: vocabulary", what);
	free(vocabulary);
	free(image);
	llm_model_close(file);
	return good;
}

static void
test_small_models(void)
{
	LlmError	error = {0};
	GgufBuilder *builder = small_model(LLM_F16);
	LlmModelFile *file = llm_model_open(gguf_build(builder), &error);
	const LlmModelConfig *config;

	if (!ok(file != NULL, "a small model opens"))
	{
		diag("%s", error.message);
		exit(1);
	}
	config = llm_model_file_config(file);
	ok(config->dim == SMALL_DIM && config->n_layers == SMALL_LAYERS &&
	   config->n_heads == SMALL_HEADS && config->n_kv_heads == SMALL_KV_HEADS &&
	   config->head_dim == SMALL_HEAD_DIM && config->ffn_dim == SMALL_FFN &&
	   config->vocabulary_size == SMALL_VOCABULARY && config->context_length == 128, "its shape");
	ok(config->rope_dim == SMALL_HEAD_DIM && config->rope_base == 10000 &&
	   config->rope_scale == 1 && config->norm_eps == 1e-5f && !config->tied_output, "its defaults");
	ok(strcmp(config->name, "small ???") == 0, "its name is printable: %s", config->name);
	ok(config->n_weights == SMALL_WEIGHTS, "its weights");
	ok(llm_model_file_bytes(file) == builder->file.length, "its bytes");
	llm_model_close(file);
	loads(builder->path, "small F16 model", "F16", 3);
	builder_free(builder);

	builder = small_model(LLM_Q4_0);
	builder_tensor(builder, "output.weight", LLM_Q8_0, SMALL_DIM, SMALL_VOCABULARY);
	builder_tensor(builder, "blk.1.ffn_down.weight", LLM_F32, SMALL_FFN, SMALL_DIM);
	builder_tensor(builder, "blk.0.attn_norm.weight", LLM_F16, SMALL_DIM, 0);
	builder_tensor(builder, "output_norm.weight", LLM_BF16, SMALL_DIM, 0);
	loads(gguf_build(builder), "mixed types", "Q4_0", 2);
	builder_free(builder);

	builder = small_model(LLM_F32);
	builder_remove(builder->tensors, &builder->n_tensors, "output.weight");
	builder_remove(builder->keys, &builder->n_keys, "llama.attention.head_count_kv");
	builder_tensor(builder, "blk.0.attn_k.weight", LLM_F32, SMALL_DIM, SMALL_DIM);
	builder_tensor(builder, "blk.0.attn_v.weight", LLM_F32, SMALL_DIM, SMALL_DIM);
	builder_tensor(builder, "blk.1.attn_k.weight", LLM_F32, SMALL_DIM, SMALL_DIM);
	builder_tensor(builder, "blk.1.attn_v.weight", LLM_F32, SMALL_DIM, SMALL_DIM);
	loads(gguf_build(builder), "tied output, as many key/value heads", "F32", 1);
	builder_free(builder);
}

static void
test_rope(void)
{
	GgufBuilder *builder = small_model(LLM_F32);
	LlmModelFile *file;

	builder_float(builder, "llama.rope.freq_base", 1e6f);
	builder_string(builder, "llama.rope.scaling.type", "linear");
	builder_float(builder, "llama.rope.scaling.factor", 4);
	builder_int(builder, "llama.rope.dimension_count", 8);
	file = llm_model_open(gguf_build(builder), NULL);
	ok(file && llm_model_file_config(file)->rope_scale == 4 &&
	   llm_model_file_config(file)->rope_base == 1e6 && llm_model_file_config(file)->rope_dim == 8,
	   "rope base, scaling and dimension");
	llm_model_close(file);

	builder_string(builder, "llama.rope.scaling.type", "none");
	file = llm_model_open(gguf_build(builder), NULL);
	ok(file && llm_model_file_config(file)->rope_scale == 1, "rope scaling of the type none");
	llm_model_close(file);

	builder_string(builder, "llama.rope.scaling.type", "yarn");
	refused_build(builder, LLM_ERROR_UNSUPPORTED, "rope scaling \"yarn\" is not supported");

	builder = small_model(LLM_F32);
	builder_float(builder, "llama.rope.scale_linear", 2);
	file = llm_model_open(gguf_build(builder), NULL);
	ok(file && llm_model_file_config(file)->rope_scale == 2, "rope scaling under its old key");
	llm_model_close(file);
	builder_free(builder);
}

static void
refused_int(const char *key, uint32_t value, LlmErrorCode code, const char *text)
{
	GgufBuilder *builder = small_model(LLM_F32);

	builder_int(builder, key, value);
	refused_build(builder, code, text);
}

static void
refused_float(const char *key, float value, const char *text)
{
	GgufBuilder *builder = small_model(LLM_F32);

	builder_float(builder, key, value);
	refused_build(builder, LLM_ERROR_CORRUPT_FILE, text);
}

static void
refused_without(const char *name, const char *text)
{
	GgufBuilder *builder = small_model(LLM_F32);

	builder_remove(builder->keys, &builder->n_keys, name);
	builder_remove(builder->tensors, &builder->n_tensors, name);
	refused_build(builder, LLM_ERROR_CORRUPT_FILE, text);
}

static void
test_refused_numbers(void)
{
	GgufBuilder *builder = small_model(LLM_F32);

	builder_string(builder, "general.architecture", "qwen2");
	refused_build(builder, LLM_ERROR_UNSUPPORTED,
				  "architecture \"qwen2\" is not supported, only \"llama\"");
	builder = small_model(LLM_F32);
	builder_string(builder, "llama.block_count", "2");
	refused_build(builder, LLM_ERROR_CORRUPT_FILE, "llama.block_count is not an integer");
	builder = small_model(LLM_F32);
	bytes_add_u64(builder_key(builder, "llama.block_count", 10), UINT64_C(1) << 40);
	refused_build(builder, LLM_ERROR_CORRUPT_FILE, "llama.block_count is 1099511627776");

	refused_without("general.architecture", "no key general.architecture");
	refused_without("llama.context_length", "key llama.context_length is missing");
	refused_without("llama.attention.layer_norm_rms_epsilon", "layer_norm_rms_epsilon is missing");
	refused_int("llama.context_length", 0, LLM_ERROR_LIMIT, "context length is 0");
	refused_int("llama.context_length", 1 << 30, LLM_ERROR_LIMIT, "context length is 1073741824");
	refused_int("llama.embedding_length", 0, LLM_ERROR_LIMIT, "embedding length is 0");
	refused_int("llama.embedding_length", 65, LLM_ERROR_CORRUPT_FILE,
				"65 is not a multiple of its 4 heads");
	refused_int("llama.embedding_length", 128, LLM_ERROR_CORRUPT_FILE,
				"\"token_embd.weight\" has the shape 64 x 40");
	refused_int("llama.block_count", 0, LLM_ERROR_LIMIT, "number of layers is 0");
	refused_int("llama.block_count", 1000, LLM_ERROR_LIMIT, "number of layers is 1000");
	refused_int("llama.block_count", 3, LLM_ERROR_CORRUPT_FILE,
				"tensor \"blk.2.attn_norm.weight\" is missing");
	refused_int("llama.block_count", 1, LLM_ERROR_UNSUPPORTED,
				"tensor \"blk.1.attn_norm.weight\" is not supported");
	refused_int("llama.attention.head_count", 0, LLM_ERROR_CORRUPT_FILE, "head_count is 0");
	refused_int("llama.attention.head_count", 64, LLM_ERROR_UNSUPPORTED, "head size 1 is odd");
	refused_int("llama.attention.head_count_kv", 3, LLM_ERROR_CORRUPT_FILE,
				"4 heads are not a multiple of its 3");
	refused_int("llama.attention.head_count_kv", 0, LLM_ERROR_LIMIT, "key/value heads is 0");
	refused_int("llama.attention.head_count_kv", 4, LLM_ERROR_CORRUPT_FILE,
				"\"blk.0.attn_k.weight\" has the shape");
	refused_int("llama.attention.key_length", 32, LLM_ERROR_UNSUPPORTED, "key_length is 32");
	refused_int("llama.attention.sliding_window", 16, LLM_ERROR_UNSUPPORTED, "window is 16");
	refused_int("llama.expert_count", 8, LLM_ERROR_UNSUPPORTED,
				"mixtures of experts are not supported");
	refused_int("llama.rope.dimension_count", 18, LLM_ERROR_CORRUPT_FILE, "rope dimension 18");
	refused_int("llama.rope.dimension_count", 7, LLM_ERROR_CORRUPT_FILE, "rope dimension 7");
	refused_int("llama.vocab_size", 41, LLM_ERROR_CORRUPT_FILE,
				"llama.vocab_size is 41 but token_embd.weight has 40");
	refused_int("split.count", 2, LLM_ERROR_UNSUPPORTED, "one of 2 parts");
	refused_float("llama.rope.freq_base", 0.5f, "rope base is 0.5");
	refused_float("llama.rope.freq_base", 0.0f / 0.0f, "rope base is");
	refused_float("llama.rope.scaling.factor", -1, "rope scaling factor is -1");
	refused_float("llama.rope.scaling.factor", 1.0f / 0.0f, "rope scaling factor is inf");
	refused_float("llama.attention.layer_norm_rms_epsilon", 0, "norm epsilon is 0");
	refused_float("llama.attention.layer_norm_rms_epsilon", 1e30f, "norm epsilon is 1e+30");
}

static void
test_refused_tensors(void)
{
	GgufBuilder *builder;

	refused_without("token_embd.weight", "tensor \"token_embd.weight\" is missing");
	refused_without("output_norm.weight", "tensor \"output_norm.weight\" is missing");
	refused_without("blk.1.ffn_down.weight", "tensor \"blk.1.ffn_down.weight\" is missing");

	builder = small_model(LLM_F32);
	builder_tensor(builder, "blk.0.attn_q.bias", LLM_F32, SMALL_DIM, 0);
	refused_build(builder, LLM_ERROR_UNSUPPORTED, "tensor \"blk.0.attn_q.bias\" is not supported");
	builder = small_model(LLM_F32);
	builder_tensor(builder, "rope_freqs.weight", LLM_F32, SMALL_HEAD_DIM / 2, 0);
	refused_build(builder, LLM_ERROR_UNSUPPORTED, "tensor \"rope_freqs.weight\" is not supported");
	builder = small_model(LLM_F32);
	builder_tensor(builder, "blk.0.ffn_norm.weight", LLM_Q8_0, SMALL_DIM, 0);
	refused_build(builder, LLM_ERROR_UNSUPPORTED, "has the type Q8_0, not a float type");
	builder = small_model(LLM_F32);
	builder_tensor(builder, "blk.0.ffn_up.weight", LLM_F32, SMALL_FFN, SMALL_DIM);
	refused_build(builder, LLM_ERROR_CORRUPT_FILE,
				  "\"blk.0.ffn_up.weight\" has the shape 96 x 64 x 1 x 1, not 64 x 96");
}

static void
test_refused_vocabularies(void)
{
	GgufBuilder *builder;
	GgufBytes  *entry;
	float		nan = 0.0f / 0.0f;

	refused_without("tokenizer.ggml.model", "no key tokenizer.ggml.model");
	refused_without("tokenizer.ggml.tokens", "tokenizer.ggml.tokens is not an array of strings");
	refused_without("tokenizer.ggml.scores", "tokenizer.ggml.scores is not an array of floats");
	builder = small_model(LLM_F32);
	builder_string(builder, "tokenizer.ggml.model", "gpt2");
	refused_build(builder, LLM_ERROR_UNSUPPORTED, "tokenizer \"gpt2\" is not supported");
	builder = small_model(LLM_F32);
	entry = builder_array(builder, "tokenizer.ggml.tokens", 8, 1);
	bytes_add_string(entry, "x");
	refused_build(builder, LLM_ERROR_CORRUPT_FILE, "1 tokens but token_embd.weight has 40 rows");
	builder = small_model(LLM_F32);
	bytes_add(builder_array(builder, "tokenizer.ggml.scores", 6, 39), NULL, 39 * 4);
	refused_build(builder, LLM_ERROR_CORRUPT_FILE, "40 tokens but 39 scores");
	builder = small_model(LLM_F32);
	entry = builder_array(builder, "tokenizer.ggml.scores", 6, 40);
	bytes_add(entry, &nan, 4);
	bytes_add(entry, NULL, 39 * 4);
	refused_build(builder, LLM_ERROR_CORRUPT_FILE, "score of token 0 is not a number");
	builder = small_model(LLM_F32);
	bytes_add(builder_array(builder, "tokenizer.ggml.token_type", 5, 40), NULL, 40 * 4);
	refused_build(builder, LLM_ERROR_CORRUPT_FILE, "type of token 0 is 0, not 1 to 6");
	builder = small_model(LLM_F32);
	bytes_add(builder_array(builder, "tokenizer.ggml.token_type", 5, 4), NULL, 16);
	refused_build(builder, LLM_ERROR_CORRUPT_FILE, "40 tokens but 4 token types");
	refused_int("tokenizer.ggml.bos_token_id", 40, LLM_ERROR_CORRUPT_FILE,
				"bos_token_id is 40, but the vocabulary has 40");
	refused_int("tokenizer.ggml.add_bos_token", 1, LLM_ERROR_CORRUPT_FILE,
				"add_bos_token is not a boolean");
}

/* Without token types: kinds by what the pieces are. */
static void
test_vocabulary(void)
{
	GgufBuilder *builder = small_model(LLM_F32);
	LlmModelFile *file;
	uint64_t	size;
	void	   *block;

	builder_int(builder, "tokenizer.ggml.eos_token_id", UINT32_MAX);
	bytes_add(builder_key(builder, "tokenizer.ggml.add_bos_token", 7), "\0", 1);
	bytes_add(builder_key(builder, "tokenizer.ggml.add_space_prefix", 7), "\0", 1);
	file = llm_model_open(gguf_build(builder), NULL);
	size = llm_model_vocabulary_size(file);
	block = aligned(size);
	ok(llm_model_build_vocabulary(file, block, size, NULL), "vocabulary without token types");
	ok(llm_vocabulary_piece(block, 0).kind == LLM_PIECE_UNKNOWN &&
	   llm_vocabulary_piece(block, 1).kind == LLM_PIECE_CONTROL &&
	   llm_vocabulary_piece(block, 2).kind == LLM_PIECE_NORMAL &&
	   llm_vocabulary_piece(block, 3).kind == LLM_PIECE_BYTE &&
	   llm_vocabulary_piece(block, 5).kind == LLM_PIECE_NORMAL, "kinds of its pieces");
	ok(llm_vocabulary_eos(block) == -1 && !llm_vocabulary_adds_bos(block) &&
	   !llm_vocabulary_adds_space_prefix(block), "its flags");
	free(block);
	llm_model_close(file);
	builder_free(builder);
}

static void
test_broken_loads(void)
{
	GgufBuilder *builder = small_model(LLM_F32);
	LlmError	error = {0};
	Counter		counter = {.stop_at = 2};
	LlmModelFile *file = llm_model_open(gguf_build(builder), &error);
	uint64_t	size = llm_model_image_size(file);
	uint8_t    *image = aligned(size + 64);
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1000000000}};
	LlmModel	model;

	ok(!llm_model_attach(image, size, &model, &error), "no attaching to memory without an image");
	ok(!llm_model_load_image(file, image, size - 1, 1, NULL, NULL, &error) &&
	   error.code == LLM_ERROR_ARGUMENT, "memory that is too small");
	ok(!llm_model_load_image(file, image + 4, size, 1, NULL, NULL, &error) &&
	   error.code == LLM_ERROR_ARGUMENT, "memory that is not aligned");
	ok(!llm_model_load_image(file, image, size, 0, NULL, NULL, &error) &&
	   error.code == LLM_ERROR_ARGUMENT, "no threads");
	ok(!llm_model_load_image(file, image, size, 1, count_progress, &counter, &error) &&
	   error.code == LLM_ERROR_CANCELLED && counter.calls == 2, "a cancelled load");
	ok(!llm_model_attach(image, size, &model, &error), "no attaching after it");

	ok(llm_model_load_image(file, image, size, 2, NULL, NULL, &error), "a load without progress");
	ok(!llm_model_attach(image, size - 64, &model, &error), "no attaching to a part of an image");
	for (size_t i = 0; i < 2048; i += 4)
	{
		uint32_t	saved;
		uint32_t	bad = 0xFFFFFFF1u;

		/* The name and type, which are only shown, may hold anything. */
		memcpy(&saved, image + i, 4);
		memcpy(image + i, &bad, 4);
		if (llm_model_attach(image, size, &model, &error))
			llm_model_detach(&model);
		memcpy(image + i, &saved, 4);
	}
	ok(llm_model_attach(image, size, &model, &error),
	   "an image survives changes to its header put back");
	llm_model_detach(&model);

	if (futimens(builder->descriptor, times) != 0)
		abort();
	ok(!llm_model_load_image(file, image, size, 2, NULL, NULL, &error) &&
	   strstr(error.message, "written to"), "a file written to after it was opened");
	if (ftruncate(builder->descriptor, builder->data_offset + 5000) != 0)
		abort();
	ok(!llm_model_load_image(file, image, size, 2, NULL, NULL, &error) &&
	   strstr(error.message, "cut short to"), "a file cut short after it was opened");
	ok(!llm_model_attach(image, size, &model, &error), "no attaching after that");
	llm_model_close(file);
	builder_free(builder);
	free(image);
}

/* Panels take at most 3% more than the file for the widths of real models. */
static void
test_image_size(void)
{
	static const int32_t widths[] = {2048, 4096, 5120, 5632, 8192, 11008, 13824, 22016, 28672};
	int			n_types;
	const LlmTensorTypeInfo *types = llm_tensor_types(&n_types);
	double		worst = 0;

	for (int i = 0; i < n_types; i++)
		for (size_t j = 0; j < sizeof(widths) / sizeof(widths[0]); j++)
		{
			double		in_file = 16.0 * widths[j] / types[i].block_weights * types[i].block_bytes;
			double		ratio = llm_panel_bytes(types[i].type, widths[j]) / in_file;

			worst = ratio > worst ? ratio : worst;
		}
	ok(worst <= 1.03, "packed weights take at most %.4f of the file's bytes", worst);
}

static void
test_bundled_model(void)
{
	const char *path = "models/tinychat-6m.gguf";

	if (access(path, R_OK) == 0)
		loads(path, "the bundled model", "Q8_0", 2);
	else
		skip("the bundled model is absent");
}

static void
test_fixtures(void)
{
	int			n_types;
	const LlmTensorTypeInfo *types = llm_tensor_types(&n_types);
	const char *path = fixture_path("vocab-llama2.gguf");

	if (path == NULL)
	{
		skip("fixtures are absent");
		return;
	}
	refused(path, LLM_ERROR_UNSUPPORTED, "file holds no weights");
	refused(fixture_path("tokenizer.model"), LLM_ERROR_CORRUPT_FILE, "not a GGUF file");
	loads(fixture_path("stories260K/stories260K.gguf"), "stories260K", "F32", 2);
	loads(fixture_path("formats/model.gguf"), "formats", "F16", 2);
	for (int i = 0; i < n_types; i++)
	{
		char		name[32];

		snprintf(name, sizeof(name), "types/%s.gguf", types[i].name);
		for (char *c = name; *c; c++)
			*c = *c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c;
		if (fixture_path(name) != NULL)
			loads(fixture_path(name), name, types[i].name, 1 + i % 3);
	}
}

int
main(void)
{
	test_small_models();
	test_rope();
	test_refused_numbers();
	test_refused_tensors();
	test_refused_vocabularies();
	test_vocabulary();
	test_broken_loads();
	test_image_size();
	test_bundled_model();
	test_fixtures();
	return done_testing();
}
