/*
 * vocabulary.h
 *		A SentencePiece BPE vocabulary as one flat, relocatable block.
 *
 * The block holds offsets only, so that it can lie in shared memory and be
 * mapped at a different address in every process.  It is written once by
 * llm_vocabulary_build and read-only afterwards: any number of processes may
 * read it without a lock.
 */
#ifndef LLM_VOCABULARY_H
#define LLM_VOCABULARY_H

#include "text/base.h"

/* As in SentencePiece's ModelProto.SentencePiece.Type and GGUF's token_type. */
typedef enum LlmPieceKind
{
	LLM_PIECE_NORMAL = 1,
	LLM_PIECE_UNKNOWN = 2,
	LLM_PIECE_CONTROL = 3,
	LLM_PIECE_USER_DEFINED = 4,
	LLM_PIECE_UNUSED = 5,
	LLM_PIECE_BYTE = 6
} LlmPieceKind;

/* What is larger is refused as absurd: real vocabularies stay far below. */
#define LLM_MAX_PIECES 1000000
#define LLM_MAX_PIECE_BYTES 1024

/*
 * In a prompt, beside an id: the token is of an answer that a model gave before, and is computed as it was when it was
 * generated (kernels.h, prompt_matmul).
 */
#define LLM_ANSWER_TOKEN 0x40000000

typedef struct LlmPiece
{
	const char *bytes;			/* not terminated; U+2581 stands for a space */
	uint32_t	length;			/* bytes */
	float		score;			/* greater merges first */
	LlmPieceKind kind;
} LlmPiece;

/* What a vocabulary is built from; everything is copied. */
typedef struct LlmVocabularySource
{
	int32_t		n_pieces;
	const LlmPiece *pieces;		/* [n_pieces], by token id */
	int32_t		bos_id;			/* -1 where absent */
	int32_t		eos_id;
	int32_t		unknown_id;
	bool		add_bos;		/* a prompt begins with bos_id */
	bool		add_space_prefix;	/* SentencePiece's add_dummy_prefix */
} LlmVocabularySource;

typedef struct LlmVocabulary LlmVocabulary;

/*
 * Bytes that the block takes, or 0 with *error filled for a source that is
 * unusable: a count, length, kind or id out of range, a score that is not a
 * number, a byte piece that is not named <0xNN>.  Of pieces with the same
 * bytes the first is found; empty pieces are allowed and never found.
 */
extern size_t llm_vocabulary_size(const LlmVocabularySource *source, LlmError *error);

/*
 * Write the block into memory[size], aligned to 8 bytes, size as
 * llm_vocabulary_size said.
 */
extern bool llm_vocabulary_build(const LlmVocabularySource *source, void *memory,
								 size_t size, LlmError *error);

/*
 * Whether memory[size] holds a block that llm_vocabulary_build has finished
 * here; it is then an LlmVocabulary by a mere cast.
 */
extern bool llm_vocabulary_check(const void *memory, size_t size);

extern int32_t llm_vocabulary_count(const LlmVocabulary *vocabulary);
extern int32_t llm_vocabulary_bos(const LlmVocabulary *vocabulary);
extern int32_t llm_vocabulary_eos(const LlmVocabulary *vocabulary);
extern int32_t llm_vocabulary_unknown(const LlmVocabulary *vocabulary);
extern bool llm_vocabulary_adds_bos(const LlmVocabulary *vocabulary);
extern bool llm_vocabulary_adds_space_prefix(const LlmVocabulary *vocabulary);

/* The token of one byte, or -1 where the vocabulary has no byte pieces. */
extern int32_t llm_vocabulary_byte_token(const LlmVocabulary *vocabulary, uint8_t byte);

/* The id of the piece with exactly these bytes (any kind), or -1. */
extern int32_t llm_vocabulary_find(const LlmVocabulary *vocabulary, const char *bytes, size_t length);

/*
 * The same among the pieces that text can become: normal, user-defined and
 * unused ones.
 */
extern int32_t llm_vocabulary_find_text(const LlmVocabulary *vocabulary, const char *bytes,
										size_t length);

/*
 * The longest user-defined piece that bytes[length] begins with, its length in
 * *piece_length; -1 where there is none.
 */
extern int32_t llm_vocabulary_match_user_defined(const LlmVocabulary *vocabulary, const char *bytes,
												 size_t length, uint32_t *piece_length);

/*
 * Whether words can be tokenized one by one with the same result: no piece
 * that text can become goes on past a word's end (has U+2581 after another
 * character), and none is unused.
 */
extern bool llm_vocabulary_words_are_separate(const LlmVocabulary *vocabulary);

/*
 * Piece id of the vocabulary; id must be in range.  The bytes live as long as
 * the block.
 */
extern LlmPiece llm_vocabulary_piece(const LlmVocabulary *vocabulary, int32_t id);

/* The byte that a piece named <0xNN> stands for, or -1 for another name. */
extern int	llm_vocabulary_byte_of_piece(const LlmPiece *piece);

/* The longest output that one token can add, in bytes (raw text). */
extern uint32_t llm_vocabulary_max_token_bytes(const LlmVocabulary *vocabulary);

#endif							/* LLM_VOCABULARY_H */
