/*
 * source_meta.c
 *		Folders as Meta gives them: params.json, consolidated.NN.pth, tokenizer.model.
 */
#include "import/source.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "import/json_file.h"

#define MAX_PATH 4096

static bool read_params(LlmModelConfig *config, const json_t *params, LlmError *error);
static void guess_context(LlmModelConfig *config);
static bool add_shards(Source *source, const char *folder, LlmError *error);
static bool read_vocabulary(Source *source, const char *folder, const char *tokenizer,
							LlmError *error);
static bool take_shapes(Source *source, LlmError *error);

bool
source_open_meta(Source *source, const char *folder, const char *tokenizer, LlmError *error)
{
	json_t	   *params = json_read_object(folder, "params.json", error);
	bool		done = params != NULL && read_params(&source->config, params, error);

	json_decref(params);
	source->format = "Meta checkpoint";
	return done &&
		add_shards(source, folder, error) &&
		take_shapes(source, error) &&
		source_check_config(&source->config, error) &&
		source_bind(source, NAMING_META, error) &&
		read_vocabulary(source, folder, tokenizer, error) &&
		vocabulary_fit(&source->vocabulary, source->config.vocabulary_size, error);
}

/* multiple_of and ffn_dim_multiplier say how ffn_dim was found; the weights say what it is. */
static bool
read_params(LlmModelConfig *config, const json_t *params, LlmError *error)
{
	double		epsilon = 1e-5;
	bool		scaled = false;

	if (!json_need_count(params, "dim", &config->dim, error) ||
		!json_need_count(params, "n_layers", &config->n_layers, error) ||
		!json_need_count(params, "n_heads", &config->n_heads, error))
		return false;
	config->n_kv_heads = config->n_heads;
	if (!json_get_count(params, "n_kv_heads", &config->n_kv_heads, error) ||
		!json_get_number(params, "norm_eps", &epsilon, error) ||
		!json_get_number(params, "rope_theta", &config->rope_base, error) ||
		!json_get_count(params, "max_seq_len", &config->context_length, error) ||
		!json_get_flag(params, "use_scaled_rope", &scaled, error))
		return false;
	if (scaled)
		return llm_fail(error, LLM_ERROR_UNSUPPORTED, "\"use_scaled_rope\" is not supported");
	config->norm_eps = (float) epsilon;
	if (config->context_length == 0)
		guess_context(config);
	return true;
}

/*
 * Meta's files do not tell it.  Code Llama was trained with another base on 16384
 * tokens, Llama 2 on 4096 with the epsilon 1e-5, Llama 1 on 2048 with 1e-6.
 */
static void
guess_context(LlmModelConfig *config)
{
	if (config->rope_base > 10000)
		config->context_length = 16384;
	else
		config->context_length = config->norm_eps > 5e-6f ? 4096 : 2048;
}

/* consolidated.00.pth, 01 and so on, as many as there are. */
static bool
add_shards(Source *source, const char *folder, LlmError *error)
{
	char		name[32];
	char		path[MAX_PATH];
	int			n = 0;

	for (;; n++)
	{
		snprintf(name, sizeof(name), "consolidated.%02d.pth", n);
		if (!folder_has(folder, name))
			break;
		if (!folder_path(folder, name, path, sizeof(path), error) ||
			!checkpoint_add_pth(source->checkpoint, path, error))
			return false;
	}
	return n > 0 || llm_fail(error, LLM_ERROR_FILE_ACCESS, "folder \"%s\" has no file \"%s\"",
							 folder, name);
}

/* It may lie beside the folder, where Meta's download puts it. */
static bool
read_vocabulary(Source *source, const char *folder, const char *tokenizer, LlmError *error)
{
	static const char *const places[] = {"tokenizer.model", "../tokenizer.model"};
	char		path[MAX_PATH];

	if (tokenizer != NULL)
		return source_read_tokenizer(source, tokenizer, error);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (folder_has(folder, places[i]))
			return folder_path(folder, places[i], path, sizeof(path), error) &&
				source_read_tokenizer(source, path, error);
	llm_fail(error, LLM_ERROR_FILE_ACCESS, "there is no tokenizer.model in or beside \"%s\"",
			 folder);
	return llm_hint(error, "Name it with --tokenizer.");
}

/*
 * Rows of the feed-forward layer and the vocabulary: what the shards have together.  An embedding
 * is divided by its columns, or in newer models by its rows.
 */
static bool
take_shapes(Source *source, LlmError *error)
{
	LlmModelConfig *config = &source->config;
	const LlmRole roles[] = {LLM_ROLE_GATE, LLM_ROLE_EMBEDDING};
	int32_t    *const extents[] = {&config->ffn_dim, &config->vocabulary_size};

	if (!checkpoint_sort(source->checkpoint, error))
		return false;
	for (int i = 0; i < 2; i++)
	{
		char		name[SOURCE_NAME_BYTES];
		int32_t		n;
		const StoredTensor *parts;
		int64_t		rows = 0;

		source_tensor_name(NAMING_META, roles[i], 0, name, sizeof(name));
		parts = checkpoint_find(source->checkpoint, name, &n);
		if (parts == NULL)
			return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "tensor \"%s\" is missing", name);
		for (int32_t part = 0; part < n; part++)
			if (parts[part].n_dims == 2 && (part == 0 || parts[part].dims[1] == config->dim) &&
				rows < INT32_MAX)
				rows += parts[part].dims[0];
		if (rows < 1 || rows > INT32_MAX)
			return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "tensor \"%s\" has %" PRId64 " rows",
							name, rows);
		*extents[i] = (int32_t) rows;
	}
	return true;
}
