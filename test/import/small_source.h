/*
 * small_source.h
 *		One small model with made-up weights, written in every form that
 *		llama2-import reads, into a folder of its own.
 *
 * Weights are small multiples of 1/64, exact in all float types.  They are kept in
 * the order of a model file; writers of other forms put them into theirs.
 */
#ifndef SMALL_SOURCE_H
#define SMALL_SOURCE_H

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zip.h>

#include "import/import_model.h"

#define SMALL_FOLDER_BYTES 256
#define SMALL_N_BASE 272		/* pieces of the tokenizer: 3, the bytes, and 13 */

typedef struct Bytes
{
	uint8_t    *data;
	size_t		length;
	size_t		capacity;
} Bytes;

typedef struct SmallSource
{
	LlmModelConfig config;
	int32_t		n_slots;
	float	  **weights;		/* [n_slots] */
	char		folder[SMALL_FOLDER_BYTES];
} SmallSource;

static inline void
bytes_put(Bytes *bytes, const void *data, size_t n)
{
	if (bytes->length + n > bytes->capacity)
	{
		bytes->capacity = (bytes->length + n) * 2;
		bytes->data = realloc(bytes->data, bytes->capacity);
		if (bytes->data == NULL)
			abort();
	}
	if (n > 0)
		memcpy(bytes->data + bytes->length, data, n);
	bytes->length += n;
}

static inline void
bytes_put_text(Bytes *bytes, const char *text)
{
	bytes_put(bytes, text, strlen(text));
}

static inline void
bytes_put_byte(Bytes *bytes, int byte)
{
	uint8_t		one = (uint8_t) byte;

	bytes_put(bytes, &one, 1);
}

static inline SmallSource *
small_source_create(void)
{
	SmallSource *small = calloc(1, sizeof(SmallSource));
	uint32_t	random = 1;
	const char *temporary = getenv("TMPDIR");

	if (small == NULL)
		abort();
	small->config = (LlmModelConfig) {
		.dim = 64, .n_layers = 2, .n_heads = 4, .n_kv_heads = 2, .head_dim = 16, .ffn_dim = 96,
		.vocabulary_size = SMALL_N_BASE, .context_length = 128, .rope_dim = 16, .norm_eps = 1e-5f,
		.rope_base = 10000, .rope_scale = 1
	};
	small->n_slots = llm_n_slots(&small->config);
	small->weights = calloc((size_t) small->n_slots, sizeof(float *));
	for (int32_t slot = 0; slot < small->n_slots; slot++)
	{
		int32_t		rows;
		int32_t		cols;

		llm_role_shape(&small->config, llm_slot_role(slot), &rows, &cols);
		/* Room for two more rows: tokens that a test adds. */
		small->weights[slot] = malloc(sizeof(float) * (size_t) (rows + 2) * (size_t) cols);
		for (int32_t i = 0; i < (rows + 2) * cols; i++)
		{
			random = random * 1664525 + 1013904223;
			small->weights[slot][i] = (float) ((int) (random >> 24) - 128) / 64;
		}
	}
	snprintf(small->folder, sizeof(small->folder), "%s/llama2_import_XXXXXX",
			 temporary ? temporary : "/tmp");
	if (mkdtemp(small->folder) == NULL)
		abort();
	return small;
}

static inline void
small_source_empty(const SmallSource *small)
{
	DIR		   *folder = opendir(small->folder);
	struct dirent *entry;
	char		path[SMALL_FOLDER_BYTES + 300];

	while ((entry = readdir(folder)) != NULL)
	{
		snprintf(path, sizeof(path), "%s/%s", small->folder, entry->d_name);
		unlink(path);
	}
	closedir(folder);
}

static inline void
small_source_free(SmallSource *small)
{
	small_source_empty(small);
	rmdir(small->folder);
	for (int32_t i = 0; i < small->n_slots; i++)
		free(small->weights[i]);
	free(small->weights);
	free(small);
}

/* A path in the folder; static, one for each of two calls in turn. */
static inline const char *
small_path(const SmallSource *small, const char *name)
{
	static char paths[2][SMALL_FOLDER_BYTES + 300];
	static int	turn;

	turn = !turn;
	snprintf(paths[turn], sizeof(paths[turn]), "%s/%s", small->folder, name);
	return paths[turn];
}

static inline void
small_write(const SmallSource *small, const char *name, const void *bytes, size_t n)
{
	FILE	   *file = fopen(small_path(small, name), "wb");

	if (file == NULL || fwrite(bytes, 1, n, file) != n || fclose(file) != 0)
		abort();
}

static inline void
small_write_text(const SmallSource *small, const char *name, const char *text)
{
	small_write(small, name, text, strlen(text));
}

/* --- tokenizers ---------------------------------------------------------------- */

/* Piece id: "<unk>", "<s>", "</s>", the bytes, then letters and what they merge to. */
static inline const char *
small_piece(int id, float *score, int *kind)
{
	static const char *const letters[] = {
		"\xE2\x96\x81", "a", "b", "c", "ab", "\xE2\x96\x81" "a", "abc", "bc", "\xE2\x96\x81" "abc", "cc", "ca", "ccc", "aa"
	};
	static char byte[8];

	*score = 0;
	if (id < 3)
	{
		*kind = id == 0 ? LLM_PIECE_UNKNOWN : LLM_PIECE_CONTROL;
		return id == 0 ? "<unk>" : id == 1 ? "<s>" : "</s>";
	}
	if (id < 259)
	{
		*kind = LLM_PIECE_BYTE;
		snprintf(byte, sizeof(byte), "<0x%02X>", (unsigned) (id - 3));
		return byte;
	}
	*kind = LLM_PIECE_NORMAL;
	/* Single letters merge from nothing: their scores mean nothing, and come last. */
	*score = id < 263 ? -(float) (id - 259 + 100) : -(float) (id - 263);
	return letters[id - 259];
}

static inline void
put_varint(Bytes *bytes, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		bytes_put_byte(bytes, (int) (value & 0x7F) | 0x80);
	bytes_put_byte(bytes, (int) value);
}

static inline void
put_field(Bytes *bytes, int number, const Bytes *value)
{
	put_varint(bytes, (uint64_t) number << 3 | 2);
	put_varint(bytes, value->length);
	bytes_put(bytes, value->data, value->length);
}

static inline Bytes
small_sentencepiece(void)
{
	Bytes		model = {0};
	Bytes		part = {0};

	for (int id = 0; id < SMALL_N_BASE; id++)
	{
		float		score;
		int			kind;
		const char *text = small_piece(id, &score, &kind);

		part.length = 0;
		put_varint(&part, 1 << 3 | 2);
		put_varint(&part, strlen(text));
		bytes_put_text(&part, text);
		put_varint(&part, 2 << 3 | 5);
		bytes_put(&part, &score, sizeof(score));
		put_varint(&part, 3 << 3);
		put_varint(&part, (uint64_t) kind);
		put_field(&model, 1, &part);
	}
	part.length = 0;
	put_varint(&part, 3 << 3);	/* model_type: BPE */
	put_varint(&part, 2);
	put_field(&model, 2, &part);
	part.length = 0;
	put_varint(&part, 4 << 3);	/* remove_extra_whitespaces: no */
	put_varint(&part, 0);
	put_field(&model, 3, &part);
	free(part.data);
	return model;
}

static inline void
small_write_sentencepiece(const SmallSource *small)
{
	Bytes		model = small_sentencepiece();

	small_write(small, "tokenizer.model", model.data, model.length);
	free(model.data);
}

/* The same as tokenizer.json: every way to merge, the best piece's first. */
static inline Bytes
small_tokenizer_json(void)
{
	Bytes		json = {0};
	char		line[128];
	float		score;
	int			kind;
	bool		first = true;

	bytes_put_text(&json, "{\"added_tokens\": [{\"id\": 0, \"content\": \"<unk>\", \"special\": true}, "
				   "{\"id\": 1, \"content\": \"<s>\", \"special\": true}, "
				   "{\"id\": 2, \"content\": \"</s>\", \"special\": true}], "
				   "\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Prepend\", "
				   "\"prepend\": \"\xE2\x96\x81\"}, {\"type\": \"Replace\"}]}, "
				   "\"model\": {\"type\": \"BPE\", \"unk_token\": \"<unk>\", \"byte_fallback\": true, \"vocab\": {");
	for (int id = 0; id < SMALL_N_BASE; id++)
	{
		snprintf(line, sizeof(line), "%s\"%s\": %d", id > 0 ? ", " : "",
				 small_piece(id, &score, &kind), id);
		bytes_put_text(&json, line);
	}
	bytes_put_text(&json, "}, \"merges\": [");
	for (int id = 263; id < SMALL_N_BASE; id++)
		for (int left = 259; left < SMALL_N_BASE; left++)
			for (int right = 259; right < SMALL_N_BASE; right++)
			{
				char		a[16];
				char		b[16];

				snprintf(a, sizeof(a), "%s", small_piece(left, &score, &kind));
				snprintf(b, sizeof(b), "%s", small_piece(right, &score, &kind));
				snprintf(line, sizeof(line), "%s%s", a, b);
				if (strcmp(line, small_piece(id, &score, &kind)) != 0)
					continue;
				snprintf(line, sizeof(line), "%s\"%s %s\"", first ? "" : ", ", a, b);
				first = false;
				bytes_put_text(&json, line);
			}
	bytes_put_text(&json, "]}}");
	return json;
}

/* llama2.c's, with spaces as such and line ends around BOS and EOS. */
static inline void
small_write_tokenizer_bin(const SmallSource *small)
{
	Bytes		file = {0};
	int32_t		longest = 8;

	bytes_put(&file, &longest, sizeof(longest));
	for (int id = 0; id < SMALL_N_BASE; id++)
	{
		float		score;
		int			kind;
		const char *text = small_piece(id, &score, &kind);
		char		plain[16] = "";
		int32_t		n = 0;

		for (const char *at = text; *at != '\0'; at++)
			if (strncmp(at, "\xE2\x96\x81", 3) == 0)
			{
				plain[n++] = ' ';
				at += 2;
			}
			else
				plain[n++] = *at;
		if (id == 1 || id == 2)
			n = snprintf(plain, sizeof(plain), "\n%s\n", text);
		bytes_put(&file, &score, sizeof(score));
		bytes_put(&file, &n, sizeof(n));
		bytes_put(&file, plain, (size_t) n);
	}
	small_write(small, "tokenizer.bin", file.data, file.length);
	free(file.data);
}

/* --- Hugging Face ------------------------------------------------------------- */

/* The rows of q and k in Hugging Face's order: both halves of a head apart. */
static inline void
put_weights(const SmallSource *small, int32_t slot, bool halves, Bytes *out)
{
	LlmRole		role = llm_slot_role(slot);
	int32_t		rows;
	int32_t		cols;
	int32_t		half = small->config.head_dim / 2;

	llm_role_shape(&small->config, role, &rows, &cols);
	for (int32_t row = 0; row < rows; row++)
	{
		int32_t		in_head = row % (2 * half);
		int32_t		from = row;

		if (halves && (role == LLM_ROLE_Q || role == LLM_ROLE_K))
			from = row - in_head + (in_head < half ? 2 * in_head : 2 * (in_head - half) + 1);
		bytes_put(out, small->weights[slot] + (size_t) from * (size_t) cols,
				  sizeof(float) * (size_t) cols);
	}
}

/* config.json; more is JSON members, each followed by a comma, or empty. */
static inline void
small_write_config(const SmallSource *small, const char *more)
{
	const LlmModelConfig *config = &small->config;
	char		json[2048];

	snprintf(json, sizeof(json), "{%s \"model_type\": \"llama\", \"hidden_size\": %d, \"intermediate_size\": %d, "
			 "\"num_hidden_layers\": %d, \"num_attention_heads\": %d, \"num_key_value_heads\": %d, "
			 "\"vocab_size\": %d, \"max_position_embeddings\": %d, \"tie_word_embeddings\": %s}",
			 more, config->dim, config->ffn_dim, config->n_layers, config->n_heads,
			 config->n_kv_heads,
			 config->vocabulary_size, config->context_length,
			 config->tied_output ? "true" : "false");
	small_write_text(small, "config.json", json);
}

/* model.safetensors; more is JSON members of the header, each followed by a comma, or empty. */
static inline void
small_write_safetensors(const SmallSource *small, const char *more)
{
	Bytes		header = {0};
	Bytes		data = {0};
	Bytes		file = {0};
	uint64_t	length;
	char		line[400];

	bytes_put_text(&header, "{");
	bytes_put_text(&header, more);
	bytes_put_text(&header, "\"__metadata__\": {\"format\": \"pt\"}");
	for (int32_t slot = 0; slot < small->n_slots; slot++)
	{
		LlmRole		role = llm_slot_role(slot);
		char		name[128];
		char		shape[64];
		int32_t		rows;
		int32_t		cols;
		size_t		begin = data.length;

		if (role == LLM_ROLE_OUTPUT && small->config.tied_output)
			continue;
		llm_role_shape(&small->config, role, &rows, &cols);
		source_tensor_name(NAMING_HF, role, slot < LLM_GLOBAL_SLOTS ? 0 :
						   (slot - LLM_GLOBAL_SLOTS) / LLM_LAYER_SLOTS,
						   name, sizeof(name));
		put_weights(small, slot, true, &data);
		if (llm_role_is_norm(role))
			snprintf(shape, sizeof(shape), "%d", cols);
		else
			snprintf(shape, sizeof(shape), "%d, %d", rows, cols);
		snprintf(line, sizeof(line), ", \"%s\": {\"dtype\": \"F32\", \"shape\": [%s], \"data_offsets\": [%zu, %zu]}",
				 name, shape, begin, data.length);
		bytes_put_text(&header, line);
	}
	bytes_put_text(&header, "}");
	length = header.length;
	bytes_put(&file, &length, sizeof(length));
	bytes_put(&file, header.data, header.length);
	bytes_put(&file, data.data, data.length);
	small_write(small, "model.safetensors", file.data, file.length);
	free(header.data);
	free(data.data);
	free(file.data);
}

static inline void
small_write_hf(const SmallSource *small, const char *more_config)
{
	small_write_config(small, more_config);
	small_write_safetensors(small, "");
	small_write_sentencepiece(small);
}

/* --- Meta -------------------------------------------------------------------- */

static inline void
pickle_text(Bytes *pickle, const char *text)
{
	uint32_t	n = (uint32_t) strlen(text);

	bytes_put_text(pickle, "X");
	bytes_put(pickle, &n, sizeof(n));
	bytes_put_text(pickle, text);
}

static inline void
pickle_int(Bytes *pickle, int32_t value)
{
	bytes_put_text(pickle, "J");
	bytes_put(pickle, &value, sizeof(value));
}

/* A tensor as torch.save pickles it, its storage of the given key and type. */
static inline void
pickle_tensor(Bytes *pickle, const char *name, const char *type, int key, int32_t rows,
			  int32_t cols, bool vector)
{
	char		number[16];

	pickle_text(pickle, name);
	bytes_put_text(pickle, "ctorch._utils\n_rebuild_tensor_v2\n((");
	pickle_text(pickle, "storage");
	bytes_put_text(pickle, "ctorch\n");
	bytes_put_text(pickle, type);
	bytes_put_text(pickle, "\n");
	snprintf(number, sizeof(number), "%d", key);
	pickle_text(pickle, number);
	pickle_text(pickle, "cpu");
	pickle_int(pickle, rows * cols);
	bytes_put_text(pickle, "tQ");
	pickle_int(pickle, 0);
	if (!vector)
		pickle_int(pickle, rows);
	pickle_int(pickle, cols);
	bytes_put_text(pickle, vector ? "\x85" : "\x86");
	if (!vector)
		pickle_int(pickle, cols);
	pickle_int(pickle, 1);
	bytes_put_text(pickle, vector ? "\x85" : "\x86");
	bytes_put_text(pickle, "\x89" "ccollections\nOrderedDict\n)RtR");
}

/* Members are kept until the archive is closed. */
static inline void
zip_member(zip_t *archive, const char *name, Bytes *bytes)
{
	zip_source_t *source = zip_source_buffer(archive, bytes->data, bytes->length, 1);
	zip_int64_t index = zip_file_add(archive, name, source, 0);

	if (index < 0 || zip_set_file_compression(archive, (zip_uint64_t) index, ZIP_CM_STORE, 0) != 0)
		abort();
	memset(bytes, 0, sizeof(*bytes));
}

/*
 * consolidated.NN.pth: shard `shard` of n.  The embedding is divided by columns unless
 * rows_embedding.
 */
static inline void
small_write_shard(const SmallSource *small, int shard, int n, bool rows_embedding)
{
	Bytes		pickle = {0};
	Bytes		weights = {0};
	char		name[64];
	char		path[SMALL_FOLDER_BYTES + 64];
	zip_t	   *archive;

	snprintf(path, sizeof(path), "%s/consolidated.%02d.pth", small->folder, shard);
	unlink(path);
	archive = zip_open(path, ZIP_CREATE, NULL);
	if (archive == NULL)
		abort();
	bytes_put_text(&pickle, "\x80\x02}(");
	for (int32_t slot = 0; slot < small->n_slots; slot++)
	{
		LlmRole		role = llm_slot_role(slot);
		bool		vector = llm_role_is_norm(role);
		bool		by_columns = role == LLM_ROLE_ATTENTION_OUTPUT || role == LLM_ROLE_DOWN ||
			(role == LLM_ROLE_EMBEDDING && !rows_embedding);
		int32_t		rows;
		int32_t		cols;
		int32_t		parts = vector ? 1 : n;
		int32_t		part = vector ? 0 : shard;

		llm_role_shape(&small->config, role, &rows, &cols);
		for (int32_t row = 0; row < rows; row++)
		{
			const float *from = small->weights[slot] + (size_t) row * (size_t) cols;

			if (by_columns)
				bytes_put(&weights, from + cols / parts * part,
						  sizeof(float) * (size_t) (cols / parts));
			else if (row / (rows / parts) == part)
				bytes_put(&weights, from, sizeof(float) * (size_t) cols);
		}
		source_tensor_name(NAMING_META, role,
						   slot < LLM_GLOBAL_SLOTS ? 0 :
						   (slot - LLM_GLOBAL_SLOTS) / LLM_LAYER_SLOTS, name, sizeof(name));
		pickle_tensor(&pickle, name, "FloatStorage", slot, by_columns ? rows : rows / parts,
					  by_columns ? cols / parts : cols, vector);
		snprintf(name, sizeof(name), "consolidated/data/%d", slot);
		zip_member(archive, name, &weights);
	}
	bytes_put_text(&pickle, "u.");
	zip_member(archive, "consolidated/data.pkl", &pickle);
	if (zip_close(archive) != 0)
		abort();
}

/*
 * pytorch_model.bin, as Hugging Face's older folders have it: an ordered dictionary of
 * parameters, with metadata set as its state.
 */
static inline void
small_write_pytorch_model(const SmallSource *small)
{
	Bytes		pickle = {0};
	char		path[SMALL_FOLDER_BYTES + 64];
	zip_t	   *archive;

	snprintf(path, sizeof(path), "%s/pytorch_model.bin", small->folder);
	unlink(path);
	archive = zip_open(path, ZIP_CREATE, NULL);
	if (archive == NULL)
		abort();
	bytes_put_text(&pickle, "\x80\x02" "ccollections\nOrderedDict\n)R(");
	for (int32_t slot = 0; slot < small->n_slots; slot++)
	{
		LlmRole		role = llm_slot_role(slot);
		Bytes		weights = {0};
		char		name[128];
		int32_t		rows;
		int32_t		cols;

		llm_role_shape(&small->config, role, &rows, &cols);
		put_weights(small, slot, true, &weights);
		source_tensor_name(NAMING_HF, role,
						   slot < LLM_GLOBAL_SLOTS ? 0 :
						   (slot - LLM_GLOBAL_SLOTS) / LLM_LAYER_SLOTS, name, sizeof(name));
		pickle_tensor(&pickle, name, "FloatStorage", slot, rows, cols, llm_role_is_norm(role));
		snprintf(name, sizeof(name), "archive/data/%d", slot);
		zip_member(archive, name, &weights);
	}
	bytes_put_text(&pickle, "u}");
	pickle_text(&pickle, "_metadata");
	bytes_put_text(&pickle, "ccollections\nOrderedDict\n)Rsb.");
	zip_member(archive, "archive/data.pkl", &pickle);
	if (zip_close(archive) != 0)
		abort();
}

/* more is JSON members, each followed by a comma, or empty. */
static inline void
small_write_meta(const SmallSource *small, int n_shards, bool rows_embedding, const char *more)
{
	const LlmModelConfig *config = &small->config;
	char		json[512];

	snprintf(json, sizeof(json), "{%s \"dim\": %d, \"n_layers\": %d, \"n_heads\": %d, \"n_kv_heads\": %d, "
			 "\"multiple_of\": 32, \"vocab_size\": -1}", more, config->dim, config->n_layers, config->n_heads,
			 config->n_kv_heads);
	small_write_text(small, "params.json", json);
	small_write_sentencepiece(small);
	for (int shard = 0; shard < n_shards; shard++)
		small_write_shard(small, shard, n_shards, rows_embedding);
}

/* --- llama2.c ---------------------------------------------------------------- */

static inline void
put_role(const SmallSource *small, Bytes *file, LlmRole role, int32_t group)
{
	int32_t		n = role < LLM_GLOBAL_SLOTS ? 1 : small->config.n_layers;

	for (int32_t layer = 0; layer < n; layer++)
	{
		Bytes		weights = {0};
		const float *values;

		put_weights(small, llm_slot(layer, role), false, &weights);
		values = (const float *) (const void *) weights.data;
		if (group == 0 || llm_role_is_norm(role))
			bytes_put(file, weights.data, weights.length);
		else
		{
			/* Multiples of 1/64 from -2 to 127/64 are codes whose scale is 1/64. */
			for (size_t i = 0; i < weights.length / sizeof(float); i++)
				bytes_put_byte(file, (int) (values[i] * 64));
			for (size_t i = 0; i < weights.length / sizeof(float); i += (size_t) group)
			{
				float		scale = 1.0f / 64;

				bytes_put(file, &scale, sizeof(scale));
			}
		}
		free(weights.data);
	}
}

static inline void
small_write_llama2c(const SmallSource *small, int version, bool shared)
{
	static const LlmRole orders[2][LLM_N_ROLES - 1] = {
		{LLM_ROLE_EMBEDDING, LLM_ROLE_ATTENTION_NORM, LLM_ROLE_Q, LLM_ROLE_K, LLM_ROLE_V,
			LLM_ROLE_ATTENTION_OUTPUT,
		LLM_ROLE_FFN_NORM, LLM_ROLE_GATE, LLM_ROLE_DOWN, LLM_ROLE_UP, LLM_ROLE_OUTPUT_NORM},
		{LLM_ROLE_ATTENTION_NORM, LLM_ROLE_FFN_NORM, LLM_ROLE_OUTPUT_NORM, LLM_ROLE_EMBEDDING,
			LLM_ROLE_Q,
			LLM_ROLE_K, LLM_ROLE_V, LLM_ROLE_ATTENTION_OUTPUT, LLM_ROLE_GATE, LLM_ROLE_DOWN,
		LLM_ROLE_UP}
	};
	const LlmModelConfig *config = &small->config;
	int32_t		group = version == 2 ? 32 : 0;
	int32_t		sign = version == 0 && !shared ? -1 : 1;
	int32_t		params[] = {
		config->dim, config->ffn_dim, config->n_layers, config->n_heads, config->n_kv_heads,
		sign * config->vocabulary_size, config->context_length
	};
	Bytes		file = {0};

	if (version > 0)
	{
		bytes_put_text(&file, "24ka");
		bytes_put(&file, &version, sizeof(version));
	}
	bytes_put(&file, params, sizeof(params));
	if (version > 0)
	{
		bytes_put_byte(&file, shared);
		bytes_put(&file, &group, sizeof(group));
		while (file.length < 256)
			bytes_put_byte(&file, 0);
	}
	for (int i = 0; i < LLM_N_ROLES - 1; i++)
		put_role(small, &file, orders[version > 0][i], group);
	/* Two tables of context_length x head_dim / 2. */
	for (int32_t i = 0; version == 0 && i < config->context_length * config->head_dim; i++)
		bytes_put(&file, "\0\0\0\0", 4);
	if (!shared)
		put_role(small, &file, LLM_ROLE_OUTPUT, group);
	small_write(small, "model.bin", file.data, file.length);
	free(file.data);
	small_write_tokenizer_bin(small);
}

#endif							/* SMALL_SOURCE_H */
