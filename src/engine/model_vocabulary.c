/*
 * model_vocabulary.c
 *		The vocabulary of a model file: GGUF's tokenizer keys as an LlmVocabularySource.
 */
#include "engine/model_file.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MODEL			"tokenizer.ggml.model"
#define KEY_TOKENS			"tokenizer.ggml.tokens"
#define KEY_SCORES			"tokenizer.ggml.scores"
#define KEY_TYPES			"tokenizer.ggml.token_type"
#define KEY_BOS				"tokenizer.ggml.bos_token_id"
#define KEY_EOS				"tokenizer.ggml.eos_token_id"
#define KEY_UNKNOWN			"tokenizer.ggml.unknown_token_id"
#define KEY_ADD_BOS			"tokenizer.ggml.add_bos_token"
#define KEY_SPACE_PREFIX	"tokenizer.ggml.add_space_prefix"

/* More bytes than any real piece has: Llama 2's longest has 48. */
#define MAX_PIECE_BYTES		65535

static bool check_counts(const LlmModelFile *file, LlmError *error);
static bool read_pieces(LlmModelFile *file, const float *scores, const int32_t *kinds, LlmError *error);
static LlmPieceKind guess_kind(const LlmVocabularySource *source, int32_t id, const LlmPiece *piece);
static bool is_byte_piece(const LlmPiece *piece);
static bool read_token_id(const LlmModelFile *file, const char *key, int32_t fallback,
						  int32_t *id, LlmError *error);
static bool read_flag(const LlmModelFile *file, const char *key, bool fallback,
					  bool *flag, LlmError *error);

bool
llm_model_read_vocabulary(LlmModelFile *file, LlmError *error)
{
	LlmVocabularySource *source = &file->vocabulary;
	int32_t		n = file->config.vocabulary_size;
	int64_t		count;
	float	   *scores;
	int32_t    *kinds;
	bool		done;

	if (!check_counts(file, error))
		return false;
	source->n_pieces = n;
	if (!read_token_id(file, KEY_BOS, 1, &source->bos_id, error) ||
		!read_token_id(file, KEY_EOS, 2, &source->eos_id, error) ||
		!read_token_id(file, KEY_UNKNOWN, 0, &source->unknown_id, error) ||
		!read_flag(file, KEY_ADD_BOS, true, &source->add_bos, error) ||
		!read_flag(file, KEY_SPACE_PREFIX, true, &source->add_space_prefix, error))
		return false;

	file->pieces = calloc((size_t) n, sizeof(LlmPiece));
	scores = calloc((size_t) n, sizeof(float));
	kinds = calloc((size_t) n, sizeof(int32_t));
	if (file->pieces == NULL || scores == NULL || kinds == NULL)
		done = llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory for %" PRId32 " tokens", n);
	else if (!llm_gguf_get_float_array(file->gguf, KEY_SCORES, scores, &count))
		done = llm_fail(error, LLM_ERROR_CORRUPT_FILE, "%s cannot be read", KEY_SCORES);
	else if (!llm_gguf_has_key(file->gguf, KEY_TYPES))
		done = read_pieces(file, scores, NULL, error);
	else if (!llm_gguf_get_int_array(file->gguf, KEY_TYPES, kinds, &count))
		done = llm_fail(error, LLM_ERROR_CORRUPT_FILE, "%s cannot be read", KEY_TYPES);
	else
		done = read_pieces(file, scores, kinds, error);
	free(scores);
	free(kinds);
	if (!done)
		return false;

	source->pieces = file->pieces;
	file->vocabulary_size = llm_vocabulary_size(source, error);
	return file->vocabulary_size > 0;
}

/* A supported tokenizer, with as many tokens, scores and types as the embedding has rows. */
static bool
check_counts(const LlmModelFile *file, LlmError *error)
{
	const LlmGguf *gguf = file->gguf;
	int32_t		n = file->config.vocabulary_size;
	LlmGgufString model;
	char		shown[72];
	int64_t		count;

	if (!llm_gguf_get_string(gguf, KEY_MODEL, &model))
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "file has no tokenizer: no key %s", KEY_MODEL);
	if (model.length != 5 || memcmp(model.bytes, "llama", 5) != 0)
		return llm_fail(error, LLM_ERROR_UNSUPPORTED,
						"tokenizer \"%s\" is not supported, only \"llama\" (SentencePiece)",
						llm_gguf_printable(model, shown, sizeof(shown)));
	count = llm_gguf_string_array_count(gguf, KEY_TOKENS);
	if (count < 0)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "%s is not an array of strings", KEY_TOKENS);
	if (count != n)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"file has %" PRId64 " tokens but token_embd.weight has %" PRId32 " rows",
						count, n);
	if (!llm_gguf_get_float_array(gguf, KEY_SCORES, NULL, &count))
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "%s is not an array of floats", KEY_SCORES);
	if (count != n)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"file has %" PRId32 " tokens but %" PRId64 " scores", n, count);
	if (!llm_gguf_has_key(gguf, KEY_TYPES))
		return true;
	if (!llm_gguf_get_int_array(gguf, KEY_TYPES, NULL, &count))
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "%s is not an array of integers", KEY_TYPES);
	if (count != n)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"file has %" PRId32 " tokens but %" PRId64 " token types", n, count);
	return true;
}

/* kinds is NULL for a file that does not tell them. */
static bool
read_pieces(LlmModelFile *file, const float *scores, const int32_t *kinds, LlmError *error)
{
	for (int32_t i = 0; i < file->vocabulary.n_pieces; i++)
	{
		LlmPiece   *piece = &file->pieces[i];
		LlmGgufString text = llm_gguf_string_array_item(file->gguf, KEY_TOKENS, i);

		if (text.length > MAX_PIECE_BYTES)
			return llm_fail(error, LLM_ERROR_LIMIT,
							"token %" PRId32 " has %" PRIu64 " bytes, more than %d",
							i, text.length, MAX_PIECE_BYTES);
		if (isnan(scores[i]))
			return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "the score of token %" PRId32
							" is not a number", i);
		piece->bytes = text.bytes;
		piece->length = (uint32_t) text.length;
		piece->score = scores[i];
		if (kinds == NULL)
			piece->kind = guess_kind(&file->vocabulary, i, piece);
		else if (kinds[i] >= LLM_PIECE_NORMAL && kinds[i] <= LLM_PIECE_BYTE)
			piece->kind = (LlmPieceKind) kinds[i];
		else
			return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
							"the type of token %" PRId32 " is %" PRId32 ", not 1 to 6", i, kinds[i]);
	}
	return true;
}

static LlmPieceKind
guess_kind(const LlmVocabularySource *source, int32_t id, const LlmPiece *piece)
{
	if (id == source->unknown_id)
		return LLM_PIECE_UNKNOWN;
	if (id == source->bos_id || id == source->eos_id)
		return LLM_PIECE_CONTROL;
	return is_byte_piece(piece) ? LLM_PIECE_BYTE : LLM_PIECE_NORMAL;
}

/* "<0x0A>" */
static bool
is_byte_piece(const LlmPiece *piece)
{
	static const char digits[] = "0123456789ABCDEF";

	return piece->length == 6 && memcmp(piece->bytes, "<0x", 3) == 0 &&
		memchr(digits, piece->bytes[3], 16) != NULL &&
		memchr(digits, piece->bytes[4], 16) != NULL &&
		piece->bytes[5] == '>';
}

/* -1, also as an unsigned number, stands for a token that is absent. */
static bool
read_token_id(const LlmModelFile *file, const char *key, int32_t fallback, int32_t *id, LlmError *error)
{
	int64_t		value = fallback < file->config.vocabulary_size ? fallback : -1;

	if (llm_gguf_has_key(file->gguf, key) && !llm_gguf_get_int(file->gguf, key, &value))
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "%s is not an integer", key);
	if (value == UINT32_MAX)
		value = -1;
	if (value < -1 || value >= file->config.vocabulary_size)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"%s is %" PRId64 ", but the vocabulary has %" PRId32 " tokens",
						key, value, file->config.vocabulary_size);
	*id = (int32_t) value;
	return true;
}

static bool
read_flag(const LlmModelFile *file, const char *key, bool fallback, bool *flag, LlmError *error)
{
	*flag = fallback;
	if (llm_gguf_has_key(file->gguf, key) && !llm_gguf_get_bool(file->gguf, key, flag))
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "%s is not a boolean", key);
	return true;
}
