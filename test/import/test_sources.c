/*
 * test_sources.c
 *		A model in every form that llama2-import reads: the file made of it has the same
 *		weights, numbers and vocabulary; what is broken or unsupported is refused.
 */
#include <errno.h>
#include <math.h>
#include <sys/stat.h>

#include "../engine/tap.h"
#include "import/progress.h"
#include "small_source.h"

/* What a code of Q8_0 is worth: the greatest weight is 2. */
#define Q8_0_STEP (2.0 / 127)

static SmallSource *small;

static void test_what_is_there(void);

static bool
import(const char *source, const char *type, LlmError *error)
{
	ImportOptions options = {
		.source = source, .type = type != NULL ? target_type_find(type) : NULL, .name = "imported",
		.folder = small->folder, .replace = true, .quiet = true
	};
	ImportSummary summary;

	return import_model(&options, &summary, error);
}

static LlmModelFile *
open_imported(void)
{
	return llm_model_open(small_path(small, "imported.gguf"), NULL);
}

/* The greatest difference of a weight from what went in, over all tensors. */
static double
greatest_difference(const LlmModelFile *file)
{
	double		greatest = 0;

	for (int32_t slot = 0; slot < small->n_slots; slot++)
	{
		const LlmGgufTensor *tensor = file->tensors[slot];
		int64_t		n = tensor != NULL ? tensor->dims[0] * tensor->dims[1] : 0;
		uint8_t    *bytes = tensor != NULL ? malloc(tensor->n_bytes) : NULL;
		float	   *values = malloc(sizeof(float) * (size_t) n);

		if (tensor != NULL && !llm_gguf_read(file->gguf, tensor->file_offset, bytes,
											 tensor->n_bytes, NULL))
			greatest = INFINITY;
		if (tensor != NULL)
			llm_dequantize_row(tensor->type, bytes, n, values);
		for (int64_t i = 0; i < n; i++)
			if (fabs((double) values[i] - (double) small->weights[slot][i]) > greatest)
				greatest = fabs((double) values[i] - (double) small->weights[slot][i]);
		free(bytes);
		free(values);
	}
	return greatest;
}

static bool
same_vocabulary(const LlmModelFile *file)
{
	for (int i = 0; i < SMALL_N_BASE; i++)
	{
		const LlmPiece *piece = &file->vocabulary.pieces[i];
		float		score;
		int			kind;
		const char *text = small_piece(i, &score, &kind);

		if (piece->length != strlen(text) || memcmp(piece->bytes, text, piece->length) != 0 ||
			(int) piece->kind != kind)
		{
			diag("token %d is \"%.*s\" of kind %d, not \"%s\" of kind %d", i, (int) piece->length,
				 piece->bytes,
				 (int) piece->kind, text, kind);
			return false;
		}
	}
	return file->vocabulary.bos_id == 1 && file->vocabulary.eos_id == 2 &&
		file->vocabulary.unknown_id == 0 &&
		file->vocabulary.add_bos && file->vocabulary.add_space_prefix;
}

/* Import, and all that must hold whatever the form. */
static LlmModelFile *
check_import(const char *source, const char *type, double tolerance, const char *what)
{
	LlmError	error = {0};
	bool		imported = import(source, type, &error);
	LlmModelFile *file = imported ? open_imported() : NULL;
	const LlmModelConfig *config = file != NULL ? llm_model_file_config(file) : NULL;

	if (!ok(file != NULL, "%s: imported", what))
	{
		diag("%s", error.message);
		exit(done_testing());
	}
	ok(greatest_difference(file) <= tolerance, "%s: the same weights, within %g", what, tolerance);
	ok(same_vocabulary(file), "%s: the same vocabulary", what);
	ok(config->dim == small->config.dim && config->n_layers == small->config.n_layers &&
	   config->n_heads == small->config.n_heads && config->n_kv_heads == small->config.n_kv_heads &&
	   config->ffn_dim == small->config.ffn_dim &&
	   config->vocabulary_size == small->config.vocabulary_size &&
	   config->tied_output == small->config.tied_output, "%s: the same shape", what);
	return file;
}

static void
check_advised(const char *source, const char *type, const char *message, const char *hint,
			  const char *what)
{
	LlmError	error = {0};

	unlink(small_path(small, "imported.gguf"));
	ok(!import(source, type, &error) && strstr(error.message, message) != NULL &&
	   strstr(error.hint, hint) != NULL, "%s: %s: %s", what, error.message, error.hint);
	ok(access(small_path(small, "imported.gguf"), F_OK) != 0 &&
	   access(small_path(small, "imported.gguf.import"), F_OK) != 0, "and nothing is left behind");
}

static void
check_refused(const char *source, const char *type, const char *message, const char *what)
{
	check_advised(source, type, message, "", what);
}

static void
test_hf(void)
{
	LlmModelFile *file;
	const LlmModelConfig *config;
	Bytes		json;

	small_write_hf(small, "");
	file = check_import(small->folder, NULL, 0, "safetensors");
	config = llm_model_file_config(file);
	ok(config->context_length == 128 && config->norm_eps == 1e-6f && config->rope_base == 10000 &&
	   config->rope_scale == 1, "defaults of the format");
	ok(file->tensors[LLM_ROLE_EMBEDDING]->type == LLM_F32, "the source's type by default");
	llm_model_close(file);

	/* Llama 1's epsilon, Code Llama's base and scaling, as old and new files tell it. */
	small_write_config(small, "\"rms_norm_eps\": 1e-06, \"rope_theta\": 1000000.0, "
					   "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 4.0},");
	file = check_import(small->folder, NULL, 0, "rope scaling");
	config = llm_model_file_config(file);
	ok(config->norm_eps == 1e-6f && config->rope_base == 1e6 && config->rope_scale == 4,
	   "epsilon %g, base %g, scale %g", (double) config->norm_eps, config->rope_base, config->rope_scale);
	llm_model_close(file);
	small_write_config(small, "\"rms_norm_eps\": 1e-05, \"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 2},");
	file = check_import(small->folder, NULL, 0, "newer rope scaling");
	ok(llm_model_file_config(file)->rope_scale == 2 &&
	   llm_model_file_config(file)->norm_eps == 1e-5f, "is read");
	llm_model_close(file);

	small_write_config(small, "\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 500000.0},");
	file = check_import(small->folder, NULL, 0, "base and scaling in one object");
	ok(llm_model_file_config(file)->rope_base == 5e5 &&
	   llm_model_file_config(file)->rope_scale == 1, "is read");
	llm_model_close(file);
	small_write_config(small, "\"rope_parameters\": {\"rope_type\": \"linear\", \"factor\": 4.0, \"rope_theta\": 1000000.0},");
	file = check_import(small->folder, NULL, 0, "linear scaling there");
	ok(llm_model_file_config(file)->rope_base == 1e6 &&
	   llm_model_file_config(file)->rope_scale == 4, "is read");
	llm_model_close(file);

	small->config.tied_output = true;
	small_write_hf(small, "");
	file = check_import(small->folder, NULL, 0, "tied output");
	ok(file->tensors[LLM_ROLE_OUTPUT] == NULL, "has no tensor of its own");
	llm_model_close(file);
	/* A copy of the embedding may be stored beside it. */
	small->config.tied_output = false;
	small_write_safetensors(small, "");
	small->config.tied_output = true;
	file = check_import(small->folder, NULL, 0, "tied output that is stored");
	ok(file->tensors[LLM_ROLE_OUTPUT] == NULL, "has no tensor of its own");
	llm_model_close(file);
	small->config.tied_output = false;

	json = small_tokenizer_json();
	small_write(small, "tokenizer.json", json.data, json.length);
	free(json.data);
	unlink(small_path(small, "tokenizer.model"));
	small_write_hf(small, "");
	unlink(small_path(small, "tokenizer.model"));
	file = check_import(small->folder, NULL, 0, "tokenizer.json");
	ok(file->vocabulary.pieces[263].score > file->vocabulary.pieces[264].score &&
	   file->vocabulary.pieces[268].score > file->vocabulary.pieces[269].score,
	   "what merges first has a greater score");
	llm_model_close(file);
	small_source_empty(small);

	small_write_hf(small, "");
	unlink(small_path(small, "model.safetensors"));
	small_write_pytorch_model(small);
	llm_model_close(check_import(small->folder, NULL, 0, "pytorch_model.bin"));
	small_source_empty(small);
}

static void
test_added_tokens(void)
{
	LlmModelFile *file;
	const LlmPiece *pieces;

	small->config.vocabulary_size = SMALL_N_BASE + 2;
	small_write_hf(small, "");
	small_write_text(small, "added_tokens.json", "{\"<pad>\": 272, \"two words\": 273}");
	small_write_text(small, "tokenizer_config.json", "{\"added_tokens_decoder\": {"
					 "\"0\": {\"content\": \"<unk>\", \"special\": true}, "
					 "\"272\": {\"content\": \"<pad>\", \"special\": true}}}");
	file = check_import(small->folder, NULL, 0, "added tokens");
	pieces = file->vocabulary.pieces;
	ok(pieces[272].kind == LLM_PIECE_CONTROL &&
	   pieces[272].length == 5, "a special one is a control token");
	ok(pieces[273].kind == LLM_PIECE_USER_DEFINED && pieces[273].length == 11 &&
	   memcmp(pieces[273].bytes, "two\xE2\x96\x81words", 11) == 0, "another is found in text");
	llm_model_close(file);

	unlink(small_path(small, "added_tokens.json"));
	unlink(small_path(small, "tokenizer_config.json"));
	file = check_import(small->folder, NULL, 0, "rows without a token");
	ok(file->vocabulary.pieces[273].kind == LLM_PIECE_CONTROL, "get one that no text becomes");
	llm_model_close(file);

	small->config.vocabulary_size = SMALL_N_BASE;
	small_write_hf(small, "");
	small_write_text(small, "added_tokens.json", "{\"<pad>\": 272}");
	file = check_import(small->folder, NULL, 0, "an added token without a row");
	ok(file->vocabulary.n_pieces == SMALL_N_BASE, "is left out");
	llm_model_close(file);
	small->config.vocabulary_size = SMALL_N_BASE - 1;
	small_write_hf(small, "");
	check_refused(small->folder, NULL, "the tokenizer has 272 tokens, but the model's embedding 271 rows",
				  "a tokenizer of another model");
	small->config.vocabulary_size = SMALL_N_BASE;
	small_source_empty(small);
}

static void
test_meta(void)
{
	static const struct
	{
		const char *params;
		int			context;
		double		base;
		float		epsilon;
	}			families[] = {
		{"\"norm_eps\": 1e-06,", 2048, 10000, 1e-6f},
		{"\"norm_eps\": 1e-05,", 4096, 10000, 1e-5f},
		{"\"norm_eps\": 1e-05, \"rope_theta\": 1000000,", 16384, 1e6, 1e-5f},
	};

	for (int shards = 1; shards <= 4; shards *= 2)
		for (int rows = 0; rows < 2; rows++)
		{
			char		what[64];

			snprintf(what, sizeof(what), "%d shards, embedding by %s", shards,
					 rows ? "rows" : "columns");
			small_write_meta(small, shards, rows, "");
			llm_model_close(check_import(small->folder, NULL, 0, what));
		}
	small_source_empty(small);
	for (int i = 0; i < 3; i++)
	{
		LlmModelFile *file;
		const LlmModelConfig *config;

		small_write_meta(small, 1, false, families[i].params);
		file = check_import(small->folder, "f32", 0, families[i].params);
		config = llm_model_file_config(file);
		ok(config->context_length == families[i].context && config->rope_base == families[i].base &&
		   config->norm_eps == families[i].epsilon, "context %d, base %g, epsilon %g",
		   config->context_length,
		   config->rope_base, (double) config->norm_eps);
		llm_model_close(file);
	}
	small_source_empty(small);
}

static void
test_llama2c(void)
{
	for (int version = 0; version <= 2; version++)
		for (int shared = 0; shared < 2; shared++)
		{
			LlmModelFile *file;
			char		what[64];

			snprintf(what, sizeof(what), "llama2.c version %d, %s classifier", version,
					 shared ? "shared" : "own");
			small->config.tied_output = shared;
			small_write_llama2c(small, version, shared);
			/* Version 2 becomes Q8_0, whose scales are halves. */
			file = check_import(small_path(small, "model.bin"), NULL, version == 2 ? Q8_0_STEP : 0,
								what);
			ok(file->tensors[LLM_ROLE_EMBEDDING]->type == (version == 2 ? LLM_Q8_0 : LLM_F32),
			   "%s: type", what);
			llm_model_close(file);
			llm_model_close(check_import(small_path(small, "model.bin"), "f32", 0, "and as f32"));
		}
	small->config.tied_output = false;
	small_source_empty(small);
}

/* Every type from a GGUF file; K types get others, as 64 and 96 weights are no multiple of 256. */
static void
test_gguf(void)
{
	int			n;
	const TargetType *types = target_types(&n);

	small_write_hf(small, "");
	llm_model_close(check_import(small->folder, "f32", 0, "to be converted"));
	rename(small_path(small, "imported.gguf"), small_path(small, "float.gguf"));
	for (int i = 0; i < n; i++)
	{
		/* The greatest weight is 2: what a code is worth at most, and some more. */
		double		step = types[i].base == LLM_F32 || types[i].base == LLM_F16 ||
			types[i].base == LLM_BF16 ? 0 : 0.3;
		LlmModelFile *file = check_import(small_path(small, "float.gguf"), types[i].name, step,
										  types[i].name);
		LlmTensorType expected = target_tensor_type(&types[i], &small->config, LLM_ROLE_GATE, 0,
													64);

		ok(file->tensors[llm_slot(0, LLM_ROLE_GATE)]->type == expected &&
		   file->tensors[LLM_ROLE_OUTPUT_NORM]->type == LLM_F32, "%s: types", types[i].name);
		llm_model_close(file);
	}
	/* Blocks of the same type are copied: nothing changes. */
	llm_model_close(check_import(small_path(small, "float.gguf"), "q8_0", Q8_0_STEP, "q8_0"));
	rename(small_path(small, "imported.gguf"), small_path(small, "q8.gguf"));
	{
		LlmModelFile *first = llm_model_open(small_path(small, "q8.gguf"), NULL);
		LlmModelFile *second = check_import(small_path(small, "q8.gguf"), NULL, Q8_0_STEP,
											"q8_0 again");
		const LlmGgufTensor *a = first->tensors[LLM_ROLE_EMBEDDING];
		const LlmGgufTensor *b = second->tensors[LLM_ROLE_EMBEDDING];
		uint8_t    *bytes = malloc(2 * a->n_bytes);

		ok(a->n_bytes == b->n_bytes && llm_gguf_read(first->gguf, a->file_offset, bytes,
													 a->n_bytes, NULL) &&
		   llm_gguf_read(second->gguf, b->file_offset, bytes + a->n_bytes, a->n_bytes, NULL) &&
		   memcmp(bytes, bytes + a->n_bytes, a->n_bytes) == 0, "the same blocks");
		free(bytes);
		llm_model_close(first);
		llm_model_close(second);
	}
	small_source_empty(small);
}

/* Files of the right name that hold something else, or nothing that can be read. */
static void
test_what_is_there(void)
{
	static const char pointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9976576152\n";
	static const char *const large[] = {"model.safetensors", "tokenizer.model"};

	for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++)
	{
		small_write_hf(small, "");
		small_write_text(small, large[i], pointer);
		check_advised(small->folder, NULL, "Git LFS has left a pointer", "git lfs pull", large[i]);
		unlink(small_path(small, large[i]));
		if (mkfifo(small_path(small, large[i]), 0644) != 0)
			abort();
		check_refused(small->folder, NULL, "is not a file", "a FIFO");
		unlink(small_path(small, large[i]));
		if (symlink("blobs/absent", small_path(small, large[i])) != 0)
			abort();
		check_refused(small->folder, NULL, "No such file", "a link to nothing");
		unlink(small_path(small, large[i]));
	}
	small_write_text(small, "model.gguf", pointer);
	check_advised(small_path(small, "model.gguf"), NULL, "Git LFS has left a pointer", "git lfs pull",
				  "a GGUF file");
	small_write_meta(small, 1, false, "");
	small_write_text(small, "consolidated.00.pth", pointer);
	unlink(small_path(small, "config.json"));
	check_advised(small->folder, NULL, "Git LFS has left a pointer", "git lfs pull", "a shard");
	small_source_empty(small);

	/* Who may read everything is not hindered. */
	small_write_hf(small, "");
	chmod(small_path(small, "config.json"), 0);
	if (access(small_path(small, "config.json"), R_OK) != 0)
		check_refused(small->folder, NULL, "config.json\": Permission denied", "an unreadable file");
	small_source_empty(small);
}

static void
test_refusals(void)
{
	Bytes		json;
	float		kept;

	check_refused(small->folder, NULL, "holds no model", "an empty folder");
	check_refused("/nowhere/at/all", NULL, "could not open", "no folder");
	small_write_text(small, "text.bin", "no model at all");
	check_refused(small_path(small, "text.bin"), NULL, "neither a GGUF file nor a llama2.c model",
				  "a text");

	small_write_hf(small, "");
	small_write_safetensors(small, "\"model.layers.0.self_attn.q_proj.bias\": "
							"{\"dtype\": \"F32\", \"shape\": [4], \"data_offsets\": [0, 16]}, ");
	check_refused(small->folder, NULL, "q_proj.bias\" is not supported", "a bias");
	small_write_safetensors(small, "\"x\": {\"dtype\": \"I8\", \"shape\": [4], \"data_offsets\": [0, 4]}, ");
	check_refused(small->folder, NULL, "has the type \"I8\"", "integers");
	small_write_safetensors(small, "\"x\": {\"dtype\": \"F32\", \"shape\": [4], \"data_offsets\": [0, 12]}, ");
	check_refused(small->folder, NULL, "not what its shape takes", "a shape of other size");
	small_write_safetensors(small, "\"x\": {\"dtype\": \"F32\", \"shape\": [4], \"data_offsets\": [16, 0]}, ");
	check_refused(small->folder, NULL, "does not lie within", "offsets out of order");
	small_write_safetensors(small, "\"x\": {\"dtype\": \"F32\", \"shape\": [4611686018427387904, 4], "
							"\"data_offsets\": [0, 0]}, ");
	check_refused(small->folder, NULL, "not what its shape takes", "a shape that overflows");
	small_write_safetensors(small, "\"x\": {\"dtype\": \"F32\", \"shape\": [0, 4611686018427387904, 4611686018427387904], "
							"\"data_offsets\": [0, 0]}, ");
	check_refused(small->folder, NULL, "not what its shape takes", "an empty one whose strides overflow");
	small_write_safetensors(small, "\"model.rotary_emb.inv_freq\": "
							"{\"dtype\": \"F32\", \"shape\": [8], \"data_offsets\": [0, 32]}, ");
	llm_model_close(check_import(small->folder, NULL, 0, "a table of angles"));

	kept = small->weights[LLM_ROLE_OUTPUT][7];
	small->weights[LLM_ROLE_OUTPUT][7] = NAN;
	small_write_safetensors(small, "");
	check_refused(small->folder, NULL, "lm_head.weight\" has a weight that is not finite",
				  "no number");
	small->weights[LLM_ROLE_OUTPUT][7] = 70000;
	small_write_safetensors(small, "");
	check_refused(small->folder, "f16", "a weight of 70000, too large for F16",
				  "too large a weight");
	small->weights[LLM_ROLE_OUTPUT][7] = kept;
	small_write_safetensors(small, "");

	small->config.n_layers = 3;
	small_write_config(small, "");
	check_refused(small->folder, NULL, "model.layers.2.input_layernorm.weight\" is missing",
				  "a layer too few");
	small->config.n_layers = 1;
	small_write_config(small, "");
	check_refused(small->folder, NULL, "model.layers.1", "a layer too many");
	small->config.n_layers = 2;
	small->config.ffn_dim = 128;
	small_write_config(small, "");
	check_refused(small->folder, NULL, "has 96 x 64 weights", "another shape");
	small->config.ffn_dim = 96;
	small_write_config(small, "\"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 2},");
	check_refused(small->folder, NULL, "rope scaling of type \"dynamic\"", "dynamic scaling");
	small_write_config(small, "\"hidden_act\": \"gelu\",");
	check_refused(small->folder, NULL, "activation \"gelu\"", "another activation");
	small_write_config(small, "\"head_dim\": 32,");
	check_refused(small->folder, NULL, "head size 32", "another head size");
	small_write_config(small, "\"rms_norm_eps\": \"small\",");
	check_refused(small->folder, NULL, "\"rms_norm_eps\" is not a number", "a text for a number");
	small_write_text(small, "config.json", "{\"model_type\": \"mixtral\"}");
	check_refused(small->folder, NULL, "model type \"mixtral\"", "another architecture");
	small_write_text(small, "config.json", "{");
	check_refused(small->folder, NULL, "is not JSON", "half a configuration");

	small_write_hf(small, "");
	unlink(small_path(small, "tokenizer.model"));
	check_refused(small->folder, NULL, "neither tokenizer.model nor tokenizer.json",
				  "no tokenizer");
	small_write_text(small, "tokenizer.json",
					 "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": []}, "
					 "\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"ByteLevel\"}]}}");
	check_refused(small->folder, NULL, "byte-level vocabulary", "Llama 3's tokenizer");
	small_write_text(small, "tokenizer.json",
					 "{\"model\": {\"type\": \"Unigram\", \"vocab\": {\"a\": 0}}}");
	check_refused(small->folder, NULL, "type \"Unigram\"", "another kind of tokenizer");
	json = small_tokenizer_json();
	memcpy(strstr((char *) json.data, "\"<0x41>\": 68"), "\"<0x41>\": 99", 12);
	small_write(small, "tokenizer.json", json.data, json.length);
	free(json.data);
	check_refused(small->folder, NULL, "has no token 68", "an id twice");
	unlink(small_path(small, "tokenizer.json"));

	small_write_hf(small, "");
	unlink(small_path(small, "model.safetensors"));
	check_refused(small->folder, NULL, "has neither \"model.safetensors.index.json\"",
				  "no weights");
	small_write_text(small, "model.safetensors.index.json",
					 "{\"weight_map\": {\"x\": \"../../etc/passwd\"}}");
	check_refused(small->folder, NULL, "has no file in the index", "a file elsewhere");
	small_write_safetensors(small, "");
	small_write_text(small, "model.safetensors.index.json",
					 "{\"weight_map\": {\"x\": \"model.safetensors\"}}");
	check_refused(small->folder, NULL, "\"x\" is not in \"model.safetensors\"",
				  "an index of other tensors");
	small_write_text(small, "model.safetensors.index.json",
					 "{\"weight_map\": {\"x\": \"model-00002-of-00002.safetensors\"}}");
	check_refused(small->folder, NULL, "model-00002-of-00002.safetensors\": No such file",
				  "an index of a file that is not there");
	small_source_empty(small);
	test_what_is_there();

	small_write_meta(small, 1, false, "");
	{
		zip_t	   *archive = zip_open(small_path(small, "consolidated.00.pth"), 0, NULL);
		static const char poison[] = "\x80\x02}(cposix\nsystem\n\x8c\x02ls\x85R.";
		zip_source_t *source = zip_source_buffer(archive, poison, sizeof(poison) - 1, 0);

		if (zip_file_add(archive, "consolidated/data.pkl", source, ZIP_FL_OVERWRITE) < 0 ||
			zip_close(archive) != 0)
			abort();
	}
	check_refused(small->folder, NULL, "pickle names \"posix.system\", which tensors do not need",
				  "a pickle that calls");
	for (int rows = 0; rows < 2; rows++)
	{
		small_write_meta(small, 4, rows, "");
		unlink(small_path(small, "consolidated.02.pth"));
		check_advised(small->folder, NULL, "weights in", "consolidated.00.pth and so on",
					  "a shard missing");
	}
	unlink(small_path(small, "consolidated.00.pth"));
	check_refused(small->folder, NULL, "has no file \"consolidated.00.pth\"", "the first one missing");
	small_source_empty(small);
}

/* A file that is there is kept unless it is to be replaced; one that is written is not touched. */
static void
test_target(void)
{
	ImportOptions options = {.source = small->folder, .name = "imported", .folder = small->folder,
	.quiet = true};
	ImportSummary summary;
	LlmError	error = {0};
	struct stat before;
	struct stat after;

	small_write_hf(small, "");
	small_write_text(small, "imported.gguf.import", "left behind by an import that was killed");
	ok(import_model(&options, &summary, &error), "what an interrupted import left is taken over");
	ok(summary.n_weights > 0 && summary.vocabulary_size == SMALL_N_BASE &&
	   strstr(summary.path, "imported.gguf"),
	   "the summary tells of it");
	stat(small_path(small, "imported.gguf"), &before);
	ok(!import_model(&options, &summary, &error) &&
	   strstr(error.message, "exists") != NULL, "it is not replaced");
	stat(small_path(small, "imported.gguf"), &after);
	ok(before.st_ino == after.st_ino, "and stays as it is");
	options.replace = true;
	ok(import_model(&options, &summary, &error), "unless it may be");
	stat(small_path(small, "imported.gguf"), &after);
	ok(before.st_ino != after.st_ino, "by another file");
	options.folder = "/nowhere/at/all";
	ok(!import_model(&options, &summary, &error) &&
	   strstr(error.message, "could not create") != NULL && strstr(error.hint, "--directory") != NULL,
	   "a folder that is not there");
	options.folder = small->folder;
	options.name = "folder";
	mkdir(small_path(small, "folder.gguf"), 0755);
	ok(!import_model(&options, &summary, &error) && strstr(error.message, "is a folder") != NULL,
	   "a folder of the model's name is not replaced");
	rmdir(small_path(small, "folder.gguf"));
	small_source_empty(small);
}

/* --tokenizer names a tokenizer of either kind, whatever its name and place. */
static void
test_tokenizer(void)
{
	ImportOptions options = {.source = small->folder, .name = "imported", .folder = small->folder,
	.replace = true, .quiet = true};
	ImportSummary summary;
	LlmError	error = {0};
	Bytes		json = small_tokenizer_json();
	const char *const named[] = {"other-tokenizer.json", "other.model"};

	small_write_hf(small, "");
	small_write(small, named[0], json.data, json.length);
	free(json.data);
	rename(small_path(small, "tokenizer.model"), small_path(small, named[1]));
	for (int i = 0; i < 2; i++)
	{
		LlmModelFile *file;

		options.tokenizer = small_path(small, named[i]);
		ok(import_model(&options, &summary, &error), "--tokenizer %s", named[i]);
		file = open_imported();
		ok(file != NULL && same_vocabulary(file), "is read");
		llm_model_close(file);
	}
	small_source_empty(small);
}

/* What the last check finds, with the file's name. */
static void
test_check(void)
{
	const LlmTensorType types[1] = {LLM_F32};
	char		path[SMALL_FOLDER_BYTES + 64];
	LlmError	error = {0};
	Source	   *source;

	small_write_hf(small, "");
	ok(import(small->folder, NULL, &error), "a file to be checked");
	snprintf(path, sizeof(path), "%s", small_path(small, "imported.gguf"));
	source = source_open(path, NULL, &error);
	source->n_tensors = 1;
	ok(import_check(path, source, types, &error), "is as its source");
	source->config.context_length++;
	ok(!import_check(path, source, types, &error) && strstr(error.message, path) != NULL &&
	   strstr(error.message, "failed its check: it has another configuration than its source") != NULL,
	   "one that is not is named");
	truncate(path, 100);
	ok(!import_check(path, source, types, &error) && strstr(error.message, path) != NULL &&
	   error.code == LLM_ERROR_CORRUPT_FILE, "so is one that was cut");
	unlink(path);
	ok(!import_check(path, source, types, &error) && strstr(error.message, path) != NULL &&
	   strstr(error.message, "could not open the file: No such file") != NULL && error.saved_errno == ENOENT,
	   "and one that is gone");
	source_close(source);
	small_source_empty(small);
}

int
main(void)
{
	notices_off();
	small = small_source_create();
	test_hf();
	test_added_tokens();
	test_meta();
	test_llama2c();
	test_gguf();
	test_refusals();
	test_target();
	test_check();
	test_tokenizer();
	small_source_free(small);
	return done_testing();
}
