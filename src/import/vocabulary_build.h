/*
 * vocabulary_build.h
 *		A vocabulary while it is put together from a tokenizer's files.
 */
#ifndef IMPORT_VOCABULARY_BUILD_H
#define IMPORT_VOCABULARY_BUILD_H

#include <jansson.h>

#include "text/vocabulary.h"

typedef struct ImportVocabulary
{
	LlmPiece   *pieces;			/* [n_pieces], bytes owned; bytes NULL for an id not put yet */
	int32_t		n_pieces;
	int32_t		capacity;
	int32_t		n_base;			/* pieces of the tokenizer's model, before added ones */
	int32_t		bos_id;			/* -1 where absent */
	int32_t		eos_id;
	int32_t		unknown_id;
	bool		add_bos;
	bool		add_space_prefix;
} ImportVocabulary;

extern void vocabulary_init(ImportVocabulary *vocabulary);
extern void vocabulary_free(ImportVocabulary *vocabulary);

/* Copy a piece to an id, in the place of one that may be there. */
extern bool vocabulary_put(ImportVocabulary *vocabulary, int64_t id, const char *bytes,
						   size_t length,
						   float score, LlmPieceKind kind, LlmError *error);

/* The same for text as people write it: spaces become U+2581. */
extern bool vocabulary_put_text(ImportVocabulary *vocabulary, int64_t id, const char *bytes,
								size_t length, float score, LlmPieceKind kind, LlmError *error);

/* An added token, {"content": ..., "special": ...}, of tokenizer.json or tokenizer_config.json. */
extern bool vocabulary_put_added(ImportVocabulary *vocabulary, int64_t id, const json_t *token,
								 LlmError *error);

/*
 * As many pieces as the embedding has rows: tokens that were added but have no
 * row are left out, with a notice; rows without a piece get one that no text becomes.
 */
extern bool vocabulary_fit(ImportVocabulary *vocabulary, int32_t n_rows, LlmError *error);

/* SentencePiece's tokenizer.model. */
extern bool vocabulary_read_sentencepiece(ImportVocabulary *vocabulary, const char *path,
										  LlmError *error);

/* Hugging Face's tokenizer.json, whatever its name, and the tokens that a folder adds to either. */
extern bool vocabulary_read_hf(ImportVocabulary *vocabulary, const char *folder, const char *name,
							   LlmError *error);
extern bool vocabulary_read_added(ImportVocabulary *vocabulary, const char *folder,
								  LlmError *error);

/* llama2.c's tokenizer.bin, which does not tell its count. */
extern bool vocabulary_read_llama2c(ImportVocabulary *vocabulary, const char *path,
									int32_t n_pieces,
									LlmError *error);

/* A GGUF file's, as the engine reads it. */
extern bool vocabulary_copy(ImportVocabulary *vocabulary, const LlmVocabularySource *source,
							LlmError *error);

/* The same as the engine's tools take it; it lives as long as the vocabulary. */
extern LlmVocabularySource vocabulary_source(const ImportVocabulary *vocabulary);

#endif							/* IMPORT_VOCABULARY_BUILD_H */
