/*
 * vocabulary_hf.c
 *		Hugging Face's tokenizer.json, and the tokens that a model folder adds.
 *
 * tokenizer.json lists the pairs that merge, best first, where SentencePiece has a
 * score for each piece: the place of the first pair that makes a piece gives its
 * score.  The two ways agree where the pairs of a piece stand together, and
 * all of them are there, as in files converted from a SentencePiece model.
 */
#include "import/vocabulary_build.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "import/json_file.h"
#include "import/progress.h"
#include "text/utf8.h"

/* A piece that no pair makes. */
#define UNMERGED_SCORE (-1e6f)

static bool read_tokenizer(ImportVocabulary *vocabulary, const json_t *root, LlmError *error);
static bool check_model(const json_t *root, const json_t *model, LlmError *error);
static bool mentions_type(const json_t *part, const char *type, int depth);
static bool adds_space_prefix(const json_t *part, int depth);
static bool read_pieces(ImportVocabulary *vocabulary, const json_t *model, LlmError *error);
static bool read_merges(ImportVocabulary *vocabulary, const json_t *model, LlmError *error);
static bool merged_text(const json_t *merge, char *out, size_t size);
static bool read_added_tokens(ImportVocabulary *vocabulary, const json_t *tokens, LlmError *error);
static bool read_added_file(ImportVocabulary *vocabulary, const char *folder, LlmError *error);
static bool read_tokenizer_config(ImportVocabulary *vocabulary, const char *folder,
								  LlmError *error);

bool
vocabulary_read_hf(ImportVocabulary *vocabulary, const char *folder, const char *name,
				   LlmError *error)
{
	json_t	   *root = json_read_object(folder, name, error);
	bool		done = root != NULL && read_tokenizer(vocabulary, root, error);

	json_decref(root);
	return done;
}

bool
vocabulary_read_added(ImportVocabulary *vocabulary, const char *folder, LlmError *error)
{
	return read_added_file(vocabulary, folder, error) &&
		read_tokenizer_config(vocabulary, folder, error);
}

static bool
read_tokenizer(ImportVocabulary *vocabulary, const json_t *root, LlmError *error)
{
	const json_t *model = json_object_get(root, "model");
	const char *unknown = json_get_text(model, "unk_token");

	if (!check_model(root, model, error) || !read_pieces(vocabulary, model, error) ||
		!read_merges(vocabulary, model, error))
		return false;
	vocabulary->add_space_prefix = adds_space_prefix(json_object_get(root, "normalizer"), 0) ||
		adds_space_prefix(json_object_get(root, "pre_tokenizer"), 0);
	if (unknown != NULL)
	{
		const json_t *id = json_object_get(json_object_get(model, "vocab"), unknown);

		if (json_is_integer(id))
		{
			vocabulary->unknown_id = (int32_t) json_integer_value(id);
			vocabulary->pieces[vocabulary->unknown_id].kind = LLM_PIECE_UNKNOWN;
		}
	}
	return read_added_tokens(vocabulary, json_object_get(root, "added_tokens"), error);
}

static bool
check_model(const json_t *root, const json_t *model, LlmError *error)
{
	static const char *const parts[] = {"normalizer", "pre_tokenizer", "decoder"};
	const char *type = json_get_text(model, "type");

	if (!json_is_object(model) || !json_is_object(json_object_get(model, "vocab")))
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"tokenizer.json has no model with a vocabulary");
	/* Old files do not name the type; their merges do. */
	if (type != NULL ? strcmp(type, "BPE") != 0 : !json_is_array(json_object_get(model, "merges")))
		return llm_fail(error, LLM_ERROR_UNSUPPORTED,
						"tokenizer.json has a model of type \"%.40s\", not BPE",
						type != NULL ? type : "");
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (mentions_type(json_object_get(root, parts[i]), "ByteLevel", 0))
			return llm_fail(error, LLM_ERROR_UNSUPPORTED,
							"tokenizer.json has a byte-level vocabulary, which no Llama 2 model has");
	return true;
}

/* A part is {"type": ...}, or a sequence of such under a name that ends in "s". */
static bool
mentions_type(const json_t *part, const char *type, int depth)
{
	static const char *const sequences[] = {"normalizers", "pretokenizers", "decoders"};
	const char *own = json_get_text(part, "type");

	if (own != NULL && strcmp(own, type) == 0)
		return true;
	for (size_t i = 0; i < sizeof(sequences) / sizeof(sequences[0]) && depth < 4; i++)
	{
		const json_t *parts = json_object_get(part, sequences[i]);
		size_t		n = json_array_size(parts);

		for (size_t j = 0; j < n; j++)
			if (mentions_type(json_array_get(parts, j), type, depth + 1))
				return true;
	}
	return false;
}

/* Either normalizer "Prepend" of U+2581, or pre-tokenizer "Metaspace" unless told otherwise. */
static bool
adds_space_prefix(const json_t *part, int depth)
{
	const json_t *parts = json_object_get(part, "normalizers");
	const char *type = json_get_text(part, "type");
	const char *scheme = json_get_text(part, "prepend_scheme");
	const json_t *flag = json_object_get(part, "add_prefix_space");

	if (!json_is_array(parts))
		parts = json_object_get(part, "pretokenizers");
	for (size_t i = 0; i < json_array_size(parts) && depth < 4; i++)
		if (adds_space_prefix(json_array_get(parts, i), depth + 1))
			return true;
	if (type != NULL && strcmp(type, "Prepend") == 0)
		return true;
	if (type == NULL || strcmp(type, "Metaspace") != 0)
		return false;
	return scheme != NULL ? strcmp(scheme, "never") != 0 : !json_is_false(flag);
}

static bool
read_pieces(ImportVocabulary *vocabulary, const json_t *model, LlmError *error)
{
	json_t	   *pieces = json_object_get(model, "vocab");
	size_t		count = json_object_size(pieces);
	const char *text;
	json_t	   *id;

	json_object_foreach(pieces, text, id)
	{
		LlmPiece	piece = {text, (uint32_t) strlen(text), UNMERGED_SCORE, LLM_PIECE_NORMAL};

		/* Ids are 0 to count - 1, each once. */
		if (!json_is_integer(id) || json_integer_value(id) < 0 ||
			(uint64_t) json_integer_value(id) >= count)
			return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
							"tokenizer.json has a token whose id is not 0 to %zu", count - 1);
		if (llm_vocabulary_byte_of_piece(&piece) >= 0)
			piece.kind = LLM_PIECE_BYTE;
		if (!vocabulary_put(vocabulary, json_integer_value(id), text, strlen(text), piece.score,
							piece.kind, error))
			return false;
	}
	for (int32_t i = 0; i < vocabulary->n_pieces; i++)
		if (vocabulary->pieces[i].bytes == NULL)
			return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "tokenizer.json has no token %" PRId32,
							i);
	vocabulary->n_base = vocabulary->n_pieces;
	/* As in transformers' LlamaConfig; config.json may say otherwise. */
	vocabulary->bos_id = count > 1 ? 1 : -1;
	vocabulary->eos_id = count > 2 ? 2 : -1;
	return count > 0 || llm_fail(error, LLM_ERROR_CORRUPT_FILE, "tokenizer.json has no tokens");
}

/* The first pair that makes a piece counts; whether the others follow it at once is checked. */
static bool
read_merges(ImportVocabulary *vocabulary, const json_t *model, LlmError *error)
{
	const json_t *pieces = json_object_get(model, "vocab");
	const json_t *merges = json_object_get(model, "merges");
	size_t		n = json_array_size(merges);
	int64_t		last = -1;
	int64_t		n_apart = 0;

	if (!json_is_array(merges))
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "tokenizer.json has no merges");
	for (size_t i = 0; i < n; i++)
	{
		char		text[2 * LLM_MAX_PIECE_BYTES + 2];
		const json_t *id;
		LlmPiece   *piece;

		if (!merged_text(json_array_get(merges, i), text, sizeof(text)))
			return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
							"merge %zu of tokenizer.json is no pair", i);
		id = json_object_get(pieces, text);
		if (id == NULL)
			return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
							"merge %zu of tokenizer.json makes something that is no token", i);
		piece = &vocabulary->pieces[json_integer_value(id)];
		if (piece->score == UNMERGED_SCORE)
			piece->score = -(float) i;
		else if (json_integer_value(id) != last)
			n_apart++;
		last = json_integer_value(id);
	}
	if (n_apart > 0)
		notice("%" PRId64 " of the %zu merges of tokenizer.json are ordered as no SentencePiece model would: "
			   "some words may become other tokens", n_apart, n);
	return true;
}

/* "a b" in older files, ["a", "b"] in newer ones. */
static bool
merged_text(const json_t *merge, char *out, size_t size)
{
	const char *whole = json_string_value(merge);
	const char *space = whole != NULL ? strchr(whole, ' ') : NULL;
	int			length;

	if (space != NULL)
		length = snprintf(out, size, "%.*s%s", (int) (space - whole), whole, space + 1);
	else if (json_array_size(merge) == 2 && json_is_string(json_array_get(merge, 0)) &&
			 json_is_string(json_array_get(merge, 1)))
		length = snprintf(out, size, "%s%s", json_string_value(json_array_get(merge, 0)),
						  json_string_value(json_array_get(merge, 1)));
	else
		return false;
	return length > 0 && (size_t) length < size;
}

static bool
read_added_tokens(ImportVocabulary *vocabulary, const json_t *tokens, LlmError *error)
{
	size_t		n = json_array_size(tokens);

	for (size_t i = 0; i < n; i++)
	{
		const json_t *token = json_array_get(tokens, i);
		const json_t *id = json_object_get(token, "id");

		if (!json_is_integer(id))
			return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
							"added token of tokenizer.json has no id");
		if (!vocabulary_put_added(vocabulary, json_integer_value(id), token, error))
			return false;
	}
	return true;
}

/* {"text": id, ...} */
static bool
read_added_file(ImportVocabulary *vocabulary, const char *folder, LlmError *error)
{
	json_t	   *root;
	const char *text;
	json_t	   *id;
	bool		done = true;

	if (!folder_has(folder, "added_tokens.json"))
		return true;
	root = json_read_object(folder, "added_tokens.json", error);
	if (root == NULL)
		return false;
	json_object_foreach(root, text, id)
	{
		json_t	   *token = json_pack("{s:s}", "content", text);

		if (!json_is_integer(id))
			done = llm_fail(error, LLM_ERROR_CORRUPT_FILE,
							"token \"%.40s\" of added_tokens.json has no id",
							text);
		else
			done = vocabulary_put_added(vocabulary, json_integer_value(id), token, error);
		json_decref(token);
		if (!done)
			break;
	}
	json_decref(root);
	return done;
}

/* Newer folders tell in it what added tokens are: {"added_tokens_decoder": {"32000": {...}}}. */
static bool
read_tokenizer_config(ImportVocabulary *vocabulary, const char *folder, LlmError *error)
{
	json_t	   *root;
	const char *key;
	json_t	   *token;
	bool		done;

	if (!folder_has(folder, "tokenizer_config.json"))
		return true;
	root = json_read_object(folder, "tokenizer_config.json", error);
	if (root == NULL)
		return false;
	done = json_get_flag(root, "add_bos_token", &vocabulary->add_bos, error);
	json_object_foreach(json_object_get(root, "added_tokens_decoder"), key, token)
	{
		char	   *end;
		long		id = strtol(key, &end, 10);

		if (!done)
			break;
		if (end == key || *end != '\0')
			done = llm_fail(error, LLM_ERROR_CORRUPT_FILE,
							"tokenizer_config.json has an added token with the id \"%.40s\"", key);
		else
			done = vocabulary_put_added(vocabulary, id, token, error);
	}
	json_decref(root);
	return done;
}
