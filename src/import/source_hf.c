/*
 * source_hf.c
 *		Hugging Face folders: config.json, safetensors or PyTorch files, a tokenizer.
 */
#include "import/source.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "import/json_file.h"

#define MAX_PATH 4096

typedef bool (*AddFile) (Checkpoint *checkpoint, const char *path, LlmError *error);

static bool read_config(Source *source, const json_t *root, LlmError *error);
static bool read_rope_scaling(LlmModelConfig *config, const json_t *root, LlmError *error);
static bool check_features(const LlmModelConfig *config, const json_t *root, LlmError *error);
static bool read_token_ids(Source *source, const json_t *root, LlmError *error);
static bool add_weights(Source *source, const char *folder, LlmError *error);
static bool add_indexed(Source *source, const char *folder, const char *index, AddFile add,
						LlmError *error);
static bool add_files_of(Source *source, const char *folder, const json_t *map, AddFile add,
						 LlmError *error);
static bool check_index(const Source *source, const json_t *map, LlmError *error);
static bool read_vocabulary(Source *source, const char *folder, const char *tokenizer,
							LlmError *error);

bool
source_open_hf(Source *source, const char *folder, const char *tokenizer, LlmError *error)
{
	json_t	   *root = json_read_object(folder, "config.json", error);
	bool		done;

	source->format = "Hugging Face folder";
	done = root != NULL &&
		read_config(source, root, error) &&
		add_weights(source, folder, error) &&
		read_vocabulary(source, folder, tokenizer, error) &&
		read_token_ids(source, root, error) &&
		vocabulary_fit(&source->vocabulary, source->config.vocabulary_size, error) &&
		source_bind(source, NAMING_HF, error);
	json_decref(root);
	return done;
}

/* Defaults are those of transformers' LlamaConfig. */
static bool
read_config(Source *source, const json_t *root, LlmError *error)
{
	LlmModelConfig *config = &source->config;
	const char *type = json_get_text(root, "model_type");
	double		epsilon = 1e-6;

	if (type == NULL || strcmp(type, "llama") != 0)
		return llm_fail(error, LLM_ERROR_UNSUPPORTED,
						"model type \"%.40s\" is not supported, only \"llama\"",
						type != NULL ? type : "");
	if (!json_need_count(root, "hidden_size", &config->dim, error) ||
		!json_need_count(root, "intermediate_size", &config->ffn_dim, error) ||
		!json_need_count(root, "num_hidden_layers", &config->n_layers, error) ||
		!json_need_count(root, "num_attention_heads", &config->n_heads, error) ||
		!json_need_count(root, "vocab_size", &config->vocabulary_size, error))
		return false;
	config->n_kv_heads = config->n_heads;
	config->context_length = 2048;
	if (!json_get_count(root, "num_key_value_heads", &config->n_kv_heads, error) ||
		!json_get_count(root, "max_position_embeddings", &config->context_length, error) ||
		!json_get_number(root, "rms_norm_eps", &epsilon, error) ||
		!json_get_number(root, "rope_theta", &config->rope_base, error) ||
		!json_get_flag(root, "tie_word_embeddings", &config->tied_output, error) ||
		!read_rope_scaling(config, root, error))
		return false;
	config->norm_eps = (float) epsilon;
	return source_check_config(config, error) && check_features(config, root, error);
}

static bool
read_rope_scaling(LlmModelConfig *config, const json_t *root, LlmError *error)
{
	const json_t *scaling = json_object_get(root, "rope_scaling");
	const char *type;

	/* Newer files have scaling and base in one object. */
	if (scaling == NULL || json_is_null(scaling))
		scaling = json_object_get(root, "rope_parameters");
	if (scaling == NULL || json_is_null(scaling))
		return true;
	if (!json_get_number(scaling, "rope_theta", &config->rope_base, error))
		return false;
	type = json_get_text(scaling, "rope_type");
	if (type == NULL)
		type = json_get_text(scaling, "type");
	if (type != NULL && strcmp(type, "default") == 0)
		return true;
	if (type == NULL || strcmp(type, "linear") != 0)
		return llm_fail(error, LLM_ERROR_UNSUPPORTED,
						"rope scaling of type \"%.40s\" is not supported, only \"linear\"",
						type != NULL ? type : "");
	if (json_object_get(scaling, "factor") == NULL)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "linear rope scaling has no factor");
	return json_get_number(scaling, "factor", &config->rope_scale, error);
}

/* What changes the computation and has no tensor that would tell. */
static bool
check_features(const LlmModelConfig *config, const json_t *root, LlmError *error)
{
	const char *activation = json_get_text(root, "hidden_act");
	int32_t		head_dim = config->head_dim;

	if (activation != NULL && strcmp(activation, "silu") != 0)
		return llm_fail(error, LLM_ERROR_UNSUPPORTED,
						"activation \"%.40s\" is not supported, only \"silu\"",
						activation);
	if (!json_get_count(root, "head_dim", &head_dim, error))
		return false;
	return head_dim == config->head_dim ||
		llm_fail(error, LLM_ERROR_UNSUPPORTED,
				 "head size %" PRId32 " is supported only where it is %" PRId32
				 ", the hidden size divided by the number of heads", head_dim, config->head_dim);
}

/* Newer files may list several ends of a text; the first is the tokenizer's. */
static bool
read_token_ids(Source *source, const json_t *root, LlmError *error)
{
	const char *const keys[] = {"bos_token_id", "eos_token_id"};
	int32_t    *const ids[] = {&source->vocabulary.bos_id, &source->vocabulary.eos_id};

	for (int i = 0; i < 2; i++)
	{
		const json_t *id = json_object_get(root, keys[i]);

		if (json_is_array(id))
			id = json_array_get(id, 0);
		if (id == NULL || json_is_null(id))
			continue;
		if (!json_is_integer(id) || json_integer_value(id) < 0 ||
			json_integer_value(id) >= source->config.vocabulary_size)
			return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "\"%s\" is no token of the vocabulary",
							keys[i]);
		*ids[i] = (int32_t) json_integer_value(id);
	}
	return true;
}

static bool
add_weights(Source *source, const char *folder, LlmError *error)
{
	static const struct
	{
		const char *index;
		const char *single;
		AddFile		add;
	}			kinds[] = {
		{"model.safetensors.index.json", "model.safetensors", checkpoint_add_safetensors},
		{"pytorch_model.bin.index.json", "pytorch_model.bin", checkpoint_add_pth},
	};
	char		path[MAX_PATH];

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
	{
		if (folder_has(folder, kinds[i].index))
			return add_indexed(source, folder, kinds[i].index, kinds[i].add, error);
		if (folder_has(folder, kinds[i].single))
			return folder_path(folder, kinds[i].single, path, sizeof(path), error) &&
				kinds[i].add(source->checkpoint, path, error);
	}
	return llm_fail(error, LLM_ERROR_FILE_ACCESS,
					"folder \"%s\" has neither \"%s\" nor \"%s\"", folder, kinds[0].index, kinds[0].single);
}

static bool
add_indexed(Source *source, const char *folder, const char *index, AddFile add, LlmError *error)
{
	json_t	   *root = json_read_object(folder, index, error);
	const json_t *map = json_object_get(root, "weight_map");
	bool		done;

	if (root == NULL)
		return false;
	if (json_object_size(map) == 0)
		done = llm_fail(error, LLM_ERROR_CORRUPT_FILE, "%s has no \"weight_map\"", index);
	else
		done = add_files_of(source, folder, map, add, error) &&
			checkpoint_sort(source->checkpoint, error) &&
			check_index(source, map, error);
	json_decref(root);
	return done;
}

/* Each file that the index names, once. */
static bool
add_files_of(Source *source, const char *folder, const json_t *map, AddFile add, LlmError *error)
{
	json_t	   *seen = json_object();
	const char *name;
	json_t	   *file;
	char		path[MAX_PATH];
	bool		done = seen != NULL || llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory");

	json_object_foreach((json_t *) map, name, file)
	{
		const char *file_name = json_string_value(file);

		if (!done)
			break;
		if (file_name == NULL || file_name[0] == '\0' || strchr(file_name, '/') != NULL)
			done = llm_fail(error, LLM_ERROR_CORRUPT_FILE,
							"tensor \"%.80s\" has no file in the index", name);
		else if (json_object_get(seen, file_name) == NULL)
			done = folder_path(folder, file_name, path, sizeof(path), error) &&
				add(source->checkpoint, path, error) &&
				(json_object_set_new(seen, file_name, json_true()) == 0 ||
				 llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory"));
	}
	json_decref(seen);
	return done;
}

/* Each tensor of the index is stored, once, in the file that it names. */
static bool
check_index(const Source *source, const json_t *map, LlmError *error)
{
	const char *name;
	json_t	   *file;

	json_object_foreach((json_t *) map, name, file)
	{
		int32_t		n;
		const StoredTensor *tensor = checkpoint_find(source->checkpoint, name, &n);
		const char *path = tensor != NULL ? source->checkpoint->files[tensor->file].path : "/";

		if (tensor == NULL || strcmp(strrchr(path, '/') + 1, json_string_value(file)) != 0)
			return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
							"tensor \"%.80s\" is not in \"%s\", where the "
							"index has it", name, json_string_value(file));
	}
	for (int32_t i = 0; i < source->checkpoint->n_tensors; i++)
		if (i > 0 && strcmp(source->checkpoint->tensors[i].name,
							source->checkpoint->tensors[i - 1].name) == 0)
			return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "tensor \"%s\" is in two files",
							source->checkpoint->tensors[i].name);
	return true;
}

/* SentencePiece's own file has the scores; tokenizer.json only their order. */
static bool
read_vocabulary(Source *source, const char *folder, const char *tokenizer, LlmError *error)
{
	static const char *const files[] = {"tokenizer.model", "tokenizer.json"};
	char		path[MAX_PATH];

	if (tokenizer != NULL)
		return source_read_tokenizer(source, tokenizer, error) &&
			vocabulary_read_added(&source->vocabulary, folder, error);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (folder_has(folder, files[i]))
			return folder_path(folder, files[i], path, sizeof(path), error) &&
				source_read_tokenizer(source, path, error) &&
				vocabulary_read_added(&source->vocabulary, folder, error);
	llm_fail(error, LLM_ERROR_FILE_ACCESS, "folder \"%s\" has neither tokenizer.model nor tokenizer.json",
			 folder);
	return llm_hint(error, "Name a tokenizer with --tokenizer.");
}
