/*
 * vocabulary_build.c
 *		A vocabulary while it is put together from a tokenizer's files.
 */
#include "import/vocabulary_build.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "import/json_file.h"
#include "import/progress.h"
#include "text/utf8.h"

/* Means nothing: added tokens are found before anything merges. */
#define ADDED_SCORE (-1000.0f)

void
vocabulary_init(ImportVocabulary *vocabulary)
{
	memset(vocabulary, 0, sizeof(*vocabulary));
	vocabulary->bos_id = -1;
	vocabulary->eos_id = -1;
	vocabulary->unknown_id = -1;
	vocabulary->add_bos = true;
	vocabulary->add_space_prefix = true;
}

void
vocabulary_free(ImportVocabulary *vocabulary)
{
	for (int32_t i = 0; i < vocabulary->n_pieces; i++)
		free((char *) vocabulary->pieces[i].bytes);
	free(vocabulary->pieces);
	vocabulary->pieces = NULL;
	vocabulary->n_pieces = 0;
}

bool
vocabulary_put(ImportVocabulary *vocabulary, int64_t id, const char *bytes, size_t length,
			   float score,
			   LlmPieceKind kind, LlmError *error)
{
	char	   *copy;

	if (id < 0 || id >= LLM_MAX_PIECES)
		return llm_fail(error, LLM_ERROR_LIMIT, "a token has the id %" PRId64 ", not 0 to %d", id,
						LLM_MAX_PIECES - 1);
	if (length > LLM_MAX_PIECE_BYTES)
		return llm_fail(error, LLM_ERROR_LIMIT, "token %" PRId64 " has %zu bytes, more than %d",
						id, length,
						LLM_MAX_PIECE_BYTES);
	if (id >= vocabulary->capacity)
	{
		int32_t		capacity = (int32_t) id + (int32_t) id / 2 + 1024;
		LlmPiece   *pieces = realloc(vocabulary->pieces, (size_t) capacity * sizeof(LlmPiece));

		if (pieces == NULL)
			return llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory for the vocabulary");
		vocabulary->pieces = pieces;
		vocabulary->capacity = capacity;
	}
	copy = malloc(length + 1);
	if (copy == NULL)
		return llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory for the vocabulary");
	if (length > 0)
		memcpy(copy, bytes, length);
	copy[length] = '\0';
	for (; vocabulary->n_pieces <= id; vocabulary->n_pieces++)
		vocabulary->pieces[vocabulary->n_pieces] = (LlmPiece) {NULL, 0, 0, LLM_PIECE_CONTROL};
	free((char *) vocabulary->pieces[id].bytes);
	vocabulary->pieces[id] = (LlmPiece) {copy, (uint32_t) length, score, kind};
	return true;
}

bool
vocabulary_put_text(ImportVocabulary *vocabulary, int64_t id, const char *bytes, size_t length,
					float score, LlmPieceKind kind, LlmError *error)
{
	char		marked[LLM_MAX_PIECE_BYTES * LLM_SPACE_MARK_BYTES];
	size_t		n = 0;

	if (length > LLM_MAX_PIECE_BYTES)
		return llm_fail(error, LLM_ERROR_LIMIT, "token %" PRId64 " has %zu bytes, more than %d",
						id, length,
						LLM_MAX_PIECE_BYTES);
	for (size_t i = 0; i < length; i++)
	{
		if (bytes[i] == ' ')
		{
			memcpy(marked + n, LLM_SPACE_MARK, LLM_SPACE_MARK_BYTES);
			n += LLM_SPACE_MARK_BYTES;
		}
		else
			marked[n++] = bytes[i];
	}
	return vocabulary_put(vocabulary, id, marked, n, score, kind, error);
}

/* Of the model's own pieces only the kind may change, and only to that of a control token. */
bool
vocabulary_put_added(ImportVocabulary *vocabulary, int64_t id, const json_t *token, LlmError *error)
{
	const char *content = json_get_text(token, "content");
	bool		special = false;

	if (content == NULL)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "added token %" PRId64 " has no content",
						id);
	if (!json_get_flag(token, "special", &special, error))
		return false;
	if (id >= 0 && id < vocabulary->n_base && vocabulary->pieces[id].bytes != NULL)
	{
		if (special && vocabulary->pieces[id].kind == LLM_PIECE_NORMAL)
			vocabulary->pieces[id].kind = LLM_PIECE_CONTROL;
		return true;
	}
	return vocabulary_put_text(vocabulary, id, content, strlen(content), ADDED_SCORE,
							   special ? LLM_PIECE_CONTROL : LLM_PIECE_USER_DEFINED, error);
}

bool
vocabulary_fit(ImportVocabulary *vocabulary, int32_t n_rows, LlmError *error)
{
	char		name[32];

	if (vocabulary->n_base > n_rows)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"the tokenizer has %" PRId32 " tokens, but the model's embedding %" PRId32 " rows",
						vocabulary->n_base, n_rows);
	if (vocabulary->n_pieces > n_rows)
		notice("%" PRId32 " added tokens are left out: the model's embedding has only %" PRId32 " rows",
			   vocabulary->n_pieces - n_rows, n_rows);
	while (vocabulary->n_pieces > n_rows)
		free((char *) vocabulary->pieces[--vocabulary->n_pieces].bytes);
	if (n_rows > LLM_MAX_PIECES)
		return llm_fail(error, LLM_ERROR_LIMIT, "the model's embedding has %" PRId32 " rows",
						n_rows);
	for (int32_t id = 0; id < n_rows; id++)
	{
		if (id < vocabulary->n_pieces && vocabulary->pieces[id].bytes != NULL)
			continue;
		if (id < vocabulary->n_base)
			return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "the tokenizer has no token %" PRId32,
							id);
		snprintf(name, sizeof(name), "[PAD%" PRId32 "]", id);
		if (!vocabulary_put(vocabulary, id, name, strlen(name), ADDED_SCORE, LLM_PIECE_CONTROL,
							error))
			return false;
	}
	return true;
}

bool
vocabulary_copy(ImportVocabulary *vocabulary, const LlmVocabularySource *source, LlmError *error)
{
	for (int32_t i = 0; i < source->n_pieces; i++)
	{
		const LlmPiece *piece = &source->pieces[i];

		if (!vocabulary_put(vocabulary, i, piece->bytes, piece->length, piece->score, piece->kind,
							error))
			return false;
	}
	vocabulary->n_base = vocabulary->n_pieces;
	vocabulary->bos_id = source->bos_id;
	vocabulary->eos_id = source->eos_id;
	vocabulary->unknown_id = source->unknown_id;
	vocabulary->add_bos = source->add_bos;
	vocabulary->add_space_prefix = source->add_space_prefix;
	return true;
}

LlmVocabularySource
vocabulary_source(const ImportVocabulary *vocabulary)
{
	return (LlmVocabularySource) {
		.n_pieces = vocabulary->n_pieces,
		.pieces = vocabulary->pieces,
		.bos_id = vocabulary->bos_id,
		.eos_id = vocabulary->eos_id,
		.unknown_id = vocabulary->unknown_id,
		.add_bos = vocabulary->add_bos,
		.add_space_prefix = vocabulary->add_space_prefix
	};
}
