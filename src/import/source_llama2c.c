/*
 * source_llama2c.c
 *		llama2.c's model files, versions 0, 1 and 2.
 *
 * Seven int32 (dim, ffn_dim, n_layers, n_heads, n_kv_heads, vocabulary, context),
 * before them in versions 1 and 2 a magic number and the version, after them flags,
 * the header padded to 256 bytes; then the weights without names, all layers of a
 * kind together.  In version 2 matrices are int8 in groups, each followed by its
 * groups' float scales.  Format: export.py in github.com/karpathy/llama2.c.
 */
#include "import/source.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "import/json_file.h"

#define HEADER_BYTES 256
#define N_PARAMS 7
#define MAX_PATH 4096

/* In order; a role of layers stands for all of them. */
typedef struct Layout
{
	int32_t		version;
	bool		shared_output;
	int32_t		group;			/* of int8 weights; 0 for floats */
	uint64_t	offset;			/* of the next tensor */
	uint64_t	size;			/* of the file */
} Layout;

static bool read_header(Source *source, Layout *layout, LlmError *error);
static bool take_params(LlmModelConfig *config, const int32_t params[N_PARAMS], Layout *layout,
						LlmError *error);
static bool add_tensors(Source *source, Layout *layout, LlmError *error);
static bool add_role(Source *source, Layout *layout, LlmRole role, LlmError *error);
static bool skip_tables(const Source *source, Layout *layout, LlmError *error);
static bool advance(Layout *layout, uint64_t n, LlmError *error);
static bool read_vocabulary(Source *source, const char *path, const char *tokenizer,
							LlmError *error);

static const LlmRole version_0[] = {
	LLM_ROLE_EMBEDDING, LLM_ROLE_ATTENTION_NORM, LLM_ROLE_Q, LLM_ROLE_K, LLM_ROLE_V,
	LLM_ROLE_ATTENTION_OUTPUT, LLM_ROLE_FFN_NORM, LLM_ROLE_GATE, LLM_ROLE_DOWN, LLM_ROLE_UP,
	LLM_ROLE_OUTPUT_NORM, LLM_ROLE_OUTPUT
};
static const LlmRole later_versions[] = {
	LLM_ROLE_ATTENTION_NORM, LLM_ROLE_FFN_NORM, LLM_ROLE_OUTPUT_NORM, LLM_ROLE_EMBEDDING,
	LLM_ROLE_Q, LLM_ROLE_K, LLM_ROLE_V, LLM_ROLE_ATTENTION_OUTPUT, LLM_ROLE_GATE,
	LLM_ROLE_DOWN, LLM_ROLE_UP, LLM_ROLE_OUTPUT
};

bool
source_open_llama2c(Source *source, const char *path, const char *tokenizer, LlmError *error)
{
	Layout		layout = {0};

	source->format = "llama2.c model";
	return checkpoint_add_file(source->checkpoint, path, error) >= 0 &&
		read_header(source, &layout, error) &&
		add_tensors(source, &layout, error) &&
		read_vocabulary(source, path, tokenizer, error) &&
		vocabulary_fit(&source->vocabulary, source->config.vocabulary_size, error) &&
		source_bind(source, NAMING_GGUF, error);
}

bool
source_is_llama2c(const char *path)
{
	Source		source = {.config = {.rope_base = 10000, .rope_scale = 1}};
	Layout		layout = {0};
	LlmError	error;
	bool		is_one;

	source.checkpoint = checkpoint_create(&error);
	is_one = source.checkpoint != NULL &&
		checkpoint_add_file(source.checkpoint, path, &error) >= 0 &&
		read_header(&source, &layout, &error) &&
		add_tensors(&source, &layout, &error);
	checkpoint_free(source.checkpoint);
	return is_one;
}

static bool
read_header(Source *source, Layout *layout, LlmError *error)
{
	uint8_t		header[HEADER_BYTES];
	int32_t		params[N_PARAMS];
	size_t		params_at = 8;

	layout->size = source->checkpoint->files[0].size;
	if (layout->size < HEADER_BYTES)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "llama2.c model has only %" PRIu64 " bytes",
						layout->size);
	if (!checkpoint_read_file(source->checkpoint, 0, 0, header, sizeof(header), error))
		return false;
	layout->offset = HEADER_BYTES;
	if (memcmp(header, "24ka", 4) == 0)
	{
		memcpy(&layout->version, header + 4, sizeof(int32_t));
		if (layout->version != 1 && layout->version != 2)
			return llm_fail(error, LLM_ERROR_UNSUPPORTED,
							"llama2.c model has version %" PRId32 ", not 0, 1 or 2",
							layout->version);
		layout->shared_output = header[params_at + sizeof(params)] != 0;
		if (layout->version == 2)
		{
			memcpy(&layout->group, header + params_at + sizeof(params) + 1, sizeof(int32_t));
			if (layout->group < 1)
				return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
								"llama2.c model has groups of %" PRId32 " weights",
								layout->group);
		}
	}
	else
	{
		params_at = 0;
		layout->offset = sizeof(params);
	}
	memcpy(params, header + params_at, sizeof(params));
	return take_params(&source->config, params, layout, error);
}

/* In version 0 a classifier of its own shows in the sign of the vocabulary's size. */
static bool
take_params(LlmModelConfig *config, const int32_t params[N_PARAMS], Layout *layout, LlmError *error)
{
	int32_t		vocabulary = params[5];

	if (layout->version == 0)
	{
		layout->shared_output = vocabulary > 0;
		if (vocabulary < 0 && vocabulary != INT32_MIN)
			vocabulary = -vocabulary;
	}
	config->dim = params[0];
	config->ffn_dim = params[1];
	config->n_layers = params[2];
	config->n_heads = params[3];
	config->n_kv_heads = params[4];
	config->vocabulary_size = vocabulary;
	config->context_length = params[6];
	config->norm_eps = 1e-5f;
	config->tied_output = layout->shared_output;
	return source_check_config(config, error);
}

static bool
add_tensors(Source *source, Layout *layout, LlmError *error)
{
	const LlmRole *order = layout->version == 0 ? version_0 : later_versions;

	for (int i = 0; i < LLM_N_ROLES; i++)
	{
		if (order[i] == LLM_ROLE_OUTPUT)
		{
			if (layout->version == 0 && !skip_tables(source, layout, error))
				return false;
			if (layout->shared_output)
				continue;
		}
		if (!add_role(source, layout, order[i], error))
			return false;
	}
	return layout->offset == layout->size ||
		llm_fail(error, LLM_ERROR_CORRUPT_FILE,
				 "llama2.c model has %" PRIu64 " bytes, not %" PRIu64,
				 layout->size, layout->offset);
}

static bool
add_role(Source *source, Layout *layout, LlmRole role, LlmError *error)
{
	bool		is_norm = llm_role_is_norm(role);
	int32_t		n = role < LLM_GLOBAL_SLOTS ? 1 : source->config.n_layers;
	int32_t		rows;
	int32_t		cols;

	llm_role_shape(&source->config, role, &rows, &cols);
	for (int32_t layer = 0; layer < n; layer++)
	{
		char		name[SOURCE_NAME_BYTES];
		StoredTensor tensor = {
			.name = name, .type = LLM_F32, .member = -1, .offset = layout->offset,
			.n_dims = is_norm ? 1 : 2, .dims = {is_norm ? cols : rows, cols}
		};

		/* Both are in the range of the configuration. */
		uint64_t	count = (uint64_t) rows * (uint64_t) cols;

		source_tensor_name(NAMING_GGUF, role, layer, name, sizeof(name));
		if (layout->group == 0 || is_norm)
		{
			if (!advance(layout, count * sizeof(float), error))
				return false;
		}
		else
		{
			tensor.group = layout->group;
			if (cols % layout->group != 0)
				return llm_fail(error, LLM_ERROR_UNSUPPORTED,
								"llama2.c model has groups of %" PRId32 " weights in rows of %" PRId32,
								layout->group, cols);
			if (!advance(layout, count, error))
				return false;
			tensor.scales_offset = layout->offset;
			if (!advance(layout, count / (uint64_t) layout->group * sizeof(float), error))
				return false;
		}
		if (!checkpoint_add_tensor(source->checkpoint, &tensor, error))
			return false;
	}
	return true;
}

/* Cosines and sines of the rotary embedding, which nobody reads any more. */
static bool
skip_tables(const Source *source, Layout *layout, LlmError *error)
{
	return advance(layout, (uint64_t) source->config.context_length *
				   (uint64_t) source->config.head_dim * sizeof(float), error);
}

static bool
advance(Layout *layout, uint64_t n, LlmError *error)
{
	if (n > layout->size - layout->offset)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "llama2.c model ends at byte %" PRIu64
						", before its weights do", layout->size);
	layout->offset += n;
	return true;
}

/* Beside the model: tokenizer.bin, tok512.bin for a vocabulary of 512, or tokenizer.model. */
static bool
read_vocabulary(Source *source, const char *path, const char *tokenizer, LlmError *error)
{
	const char *slash = strrchr(path, '/');
	char		folder[MAX_PATH];
	char		own[32];
	const char *const files[] = {own, "tokenizer.bin", "tokenizer.model"};
	char		found[MAX_PATH];

	if (tokenizer != NULL)
		return source_read_tokenizer(source, tokenizer, error);
	snprintf(own, sizeof(own), "tok%" PRId32 ".bin", source->config.vocabulary_size);
	if (slash != NULL)
		snprintf(folder, sizeof(folder), "%.*s", (int) (slash - path), path);
	else
		snprintf(folder, sizeof(folder), ".");
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (folder_has(folder, files[i]))
			return folder_path(folder, files[i], found, sizeof(found), error) &&
				source_read_tokenizer(source, found, error);
	llm_fail(error, LLM_ERROR_FILE_ACCESS, "there is no tokenizer beside \"%s\"", path);
	return llm_hint(error, "Name it with --tokenizer.");
}
