/*
 * vocabulary_fixture.h
 *		Vocabularies for tests: Llama 2's from the fixtures, small ones from tables.
 *
 * Both return a block that the caller frees, or NULL.
 */
#ifndef VOCABULARY_FIXTURE_H
#define VOCABULARY_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include "engine/gguf.h"
#include "tap.h"
#include "text/vocabulary.h"

static inline LlmVocabulary *
vocabulary_from_source(const LlmVocabularySource *source)
{
	LlmError	error = {.code = LLM_OK};
	size_t		size = llm_vocabulary_size(source, &error);
	LlmVocabulary *vocabulary = size > 0 ? malloc(size) : NULL;

	if (vocabulary == NULL || !llm_vocabulary_build(source, vocabulary, size, &error))
	{
		diag("%s", error.message);
		free(vocabulary);
		return NULL;
	}
	return vocabulary;
}

/* One piece of a table. */
static inline LlmPiece
vocabulary_piece(const char *text, float score, LlmPieceKind kind)
{
	return (LlmPiece) {text, (uint32_t) strlen(text), score, kind};
}

/*
 * The pieces <unk>, <s> and </s>, then the 256 byte pieces, then those of a table.
 */
static inline LlmVocabulary *
vocabulary_from_table(const LlmPiece *table, int n_table)
{
	static char names[256][8];
	int			n = 3 + 256 + n_table;
	LlmPiece   *pieces = calloc((size_t) n, sizeof(LlmPiece));
	LlmVocabularySource source = {
		.n_pieces = n, .pieces = pieces, .bos_id = 1, .eos_id = 2, .unknown_id = 0,
		.add_bos = true, .add_space_prefix = true
	};
	LlmVocabulary *vocabulary;
	int			i;

	pieces[0] = vocabulary_piece("<unk>", 0, LLM_PIECE_UNKNOWN);
	pieces[1] = vocabulary_piece("<s>", 0, LLM_PIECE_CONTROL);
	pieces[2] = vocabulary_piece("</s>", 0, LLM_PIECE_CONTROL);
	for (i = 0; i < 256; i++)
	{
		snprintf(names[i], sizeof(names[i]), "<0x%02X>", (unsigned) i);
		pieces[3 + i] = vocabulary_piece(names[i], 0, LLM_PIECE_BYTE);
	}
	if (n_table > 0)
		memcpy(pieces + 3 + 256, table, (size_t) n_table * sizeof(LlmPiece));
	vocabulary = vocabulary_from_source(&source);
	free(pieces);
	return vocabulary;
}

/* The vocabulary of a GGUF file of the fixtures, NULL where the file is absent. */
static inline LlmVocabulary *
vocabulary_from_fixture(const char *name)
{
	static const char tokens[] = "tokenizer.ggml.tokens";
	const char *path = fixture_path(name);
	LlmError	error = {.code = LLM_OK};
	LlmGguf    *gguf = path != NULL ? llm_gguf_open(path, &error) : NULL;
	LlmVocabulary *vocabulary = NULL;
	int64_t		n;

	if (gguf == NULL)
		return NULL;
	n = llm_gguf_string_array_count(gguf, tokens);
	if (n > 0 && n <= LLM_MAX_PIECES)
	{
		LlmPiece   *pieces = calloc((size_t) n, sizeof(LlmPiece));
		float	   *scores = calloc((size_t) n, sizeof(float));
		int32_t    *kinds = calloc((size_t) n, sizeof(int32_t));
		int64_t		n_scores = 0;
		int64_t		n_kinds = 0;
		LlmVocabularySource source = {
			.n_pieces = (int32_t) n, .pieces = pieces, .bos_id = 1, .eos_id = 2, .unknown_id = 0,
			.add_bos = true, .add_space_prefix = true
		};
		int64_t		i;

		llm_gguf_get_float_array(gguf, "tokenizer.ggml.scores", NULL, &n_scores);
		llm_gguf_get_int_array(gguf, "tokenizer.ggml.token_type", NULL, &n_kinds);
		if (n_scores == n && n_kinds == n &&
			llm_gguf_get_float_array(gguf, "tokenizer.ggml.scores", scores, &n_scores) &&
			llm_gguf_get_int_array(gguf, "tokenizer.ggml.token_type", kinds, &n_kinds))
		{
			for (i = 0; i < n; i++)
			{
				LlmGgufString piece = llm_gguf_string_array_item(gguf, tokens, i);

				pieces[i] = (LlmPiece) {piece.bytes, (uint32_t) piece.length, scores[i], kinds[i]};
			}
			vocabulary = vocabulary_from_source(&source);
		}
		free(pieces);
		free(scores);
		free(kinds);
	}
	llm_gguf_close(gguf);
	return vocabulary;
}

/* The same numbers on every machine: xorshift64 (Marsaglia 2003). */
static inline uint32_t
next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (uint32_t) (*state >> 32);
}

#endif							/* VOCABULARY_FIXTURE_H */
