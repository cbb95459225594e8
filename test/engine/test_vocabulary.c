/*
 * test_vocabulary.c
 *		The vocabulary's block: look-ups, relocation, sources that are refused.
 */
#include <math.h>

#include "tap.h"
#include "vocabulary_fixture.h"

#define FIRST (3 + 256)			/* the first piece of vocabulary_from_table's table */

static int32_t
find(const LlmVocabulary *vocabulary, const char *text)
{
	return llm_vocabulary_find(vocabulary, text, strlen(text));
}

static int32_t
find_text(const LlmVocabulary *vocabulary, const char *text)
{
	return llm_vocabulary_find_text(vocabulary, text, strlen(text));
}

static void
test_look_up(void)
{
	const LlmPiece table[] = {
		vocabulary_piece("one", -1, LLM_PIECE_NORMAL),
		vocabulary_piece("two", -2.5f, LLM_PIECE_USER_DEFINED),
		vocabulary_piece("one", -3, LLM_PIECE_NORMAL),
		vocabulary_piece("</s>", -4, LLM_PIECE_NORMAL),
		vocabulary_piece("", -5, LLM_PIECE_USER_DEFINED),
		vocabulary_piece("three", -6, LLM_PIECE_UNUSED),
		vocabulary_piece("<0x41>", 0, LLM_PIECE_BYTE)
	};
	LlmVocabulary *vocabulary = vocabulary_from_table(table, sizeof(table) / sizeof(table[0]));
	LlmPiece	piece = llm_vocabulary_piece(vocabulary, FIRST + 1);
	uint32_t	length = 0;
	bool		bytes_found = true;

	ok(llm_vocabulary_count(vocabulary) == FIRST + 7 && llm_vocabulary_bos(vocabulary) == 1 &&
	   llm_vocabulary_eos(vocabulary) == 2 && llm_vocabulary_unknown(vocabulary) == 0 &&
	   llm_vocabulary_adds_bos(vocabulary) && llm_vocabulary_adds_space_prefix(vocabulary),
	   "what the source said");
	ok(piece.length == 3 && memcmp(piece.bytes, "two", 3) == 0 && piece.score == -2.5f &&
	   piece.kind == LLM_PIECE_USER_DEFINED, "a piece");
	ok(find(vocabulary, "one") == FIRST && find(vocabulary, "three") == FIRST + 5 &&
	   find(vocabulary, "<0x41>") == 3 + 0x41, "pieces by their bytes, the first of the same");
	ok(find(vocabulary, "on") == -1 && find(vocabulary, "onee") == -1 && find(vocabulary, "") == -1,
	   "what is no piece");
	ok(find(vocabulary, "</s>") == 2 && find_text(vocabulary, "</s>") == FIRST + 3 &&
	   find_text(vocabulary, "<s>") == -1 && find_text(vocabulary, "<0x41>") == -1,
	   "a control piece does not hide a normal one, and is not found for text");
	for (int byte = 0; byte < 256; byte++)
		bytes_found &= llm_vocabulary_byte_token(vocabulary, (uint8_t) byte) == 3 + byte;
	ok(bytes_found, "byte pieces, the first of the same");
	ok(llm_vocabulary_match_user_defined(vocabulary, "twofold", 7, &length) == FIRST + 1 &&
	   length == 3 && llm_vocabulary_match_user_defined(vocabulary, "tw", 2, &length) == -1 &&
	   llm_vocabulary_match_user_defined(vocabulary, "one", 3, &length) == -1,
	   "user-defined pieces at the start of a text");
	ok(llm_vocabulary_max_token_bytes(vocabulary) == 6, "longest token");
	free(vocabulary);
}

static void
test_block(void)
{
	LlmPiece	piece = vocabulary_piece("piece", 0, LLM_PIECE_NORMAL);
	LlmVocabularySource source = {
		.n_pieces = 1, .pieces = &piece, .bos_id = -1, .eos_id = -1, .unknown_id = -1
	};
	LlmError	error = {.code = LLM_OK};
	size_t		size = llm_vocabulary_size(&source, &error);
	char	   *memory = calloc(1, size + 8);
	char	   *elsewhere = malloc(size);

	ok(!llm_vocabulary_check(memory, size), "memory that holds no block");
	ok(!llm_vocabulary_build(&source, memory, size - 1, &error) && error.code == LLM_ERROR_ARGUMENT,
	   "a block of another size: %s", error.message);
	ok(!llm_vocabulary_build(&source, memory + 4, size, &error) && error.code == LLM_ERROR_ARGUMENT,
	   "a block out of line: %s", error.message);
	ok(llm_vocabulary_build(&source, memory, size, &error) && llm_vocabulary_check(memory, size) &&
	   !llm_vocabulary_check(memory, size - 1), "a block");
	memcpy(elsewhere, memory, size);
	memset(memory, 0xAA, size);
	ok(llm_vocabulary_check(elsewhere, size) &&
	   find((LlmVocabulary *) elsewhere, "piece") == 0, "the same block at another address");
	free(memory);
	free(elsewhere);
}

static void
refused(const LlmVocabularySource *source, LlmErrorCode code)
{
	LlmError	error = {.code = LLM_OK};
	char		memory[8];

	ok(llm_vocabulary_size(source, &error) == 0 && error.code == code &&
	   !llm_vocabulary_build(source, memory, 0, &error), "refused: %s", error.message);
}

static void
test_refusals(void)
{
	LlmPiece	piece = vocabulary_piece("piece", 0, LLM_PIECE_NORMAL);
	const LlmVocabularySource good = {
		.n_pieces = 1, .pieces = &piece, .bos_id = -1, .eos_id = 0, .unknown_id = -1
	};
	LlmVocabularySource bad = good;

	ok(llm_vocabulary_size(&good, NULL) > 0, "a vocabulary of one piece");
	bad.n_pieces = 0;
	refused(&bad, LLM_ERROR_LIMIT);
	bad.n_pieces = LLM_MAX_PIECES + 1;
	refused(&bad, LLM_ERROR_LIMIT);
	bad = good;
	bad.eos_id = 1;
	refused(&bad, LLM_ERROR_CORRUPT_FILE);
	bad = good;
	bad.unknown_id = -2;
	refused(&bad, LLM_ERROR_CORRUPT_FILE);
	piece.length = LLM_MAX_PIECE_BYTES + 1;
	refused(&good, LLM_ERROR_LIMIT);
	piece = vocabulary_piece("piece", NAN, LLM_PIECE_NORMAL);
	refused(&good, LLM_ERROR_CORRUPT_FILE);
	piece = vocabulary_piece("piece", 0, (LlmPieceKind) 7);
	refused(&good, LLM_ERROR_CORRUPT_FILE);
	piece = vocabulary_piece("<0x4g>", 0, LLM_PIECE_BYTE);
	refused(&good, LLM_ERROR_CORRUPT_FILE);
}

/* A million pieces, the most there may be, every one found. */
static void
test_largest(void)
{
	LlmPiece   *pieces = calloc(LLM_MAX_PIECES, sizeof(LlmPiece));
	char		(*texts)[8] = calloc(LLM_MAX_PIECES, sizeof(*texts));
	LlmVocabularySource source = {
		.n_pieces = LLM_MAX_PIECES, .pieces = pieces, .bos_id = -1, .eos_id = -1, .unknown_id = -1
	};
	LlmVocabulary *vocabulary;
	bool		found = true;

	for (int i = 0; i < LLM_MAX_PIECES; i++)
	{
		snprintf(texts[i], sizeof(texts[i]), "%d", i);
		pieces[i] = vocabulary_piece(texts[i], 0, i % 3 ? LLM_PIECE_NORMAL : LLM_PIECE_USER_DEFINED);
	}
	vocabulary = vocabulary_from_source(&source);
	for (int i = 0; vocabulary != NULL && i < LLM_MAX_PIECES; i++)
	{
		uint32_t	length = pieces[i].length;

		found &= llm_vocabulary_find(vocabulary, texts[i], length) == i;
		if (i % 3 == 0)
			found &= llm_vocabulary_match_user_defined(vocabulary, texts[i], length, &length) == i;
	}
	ok(vocabulary != NULL && found, "%d pieces", LLM_MAX_PIECES);
	free(vocabulary);
	free(pieces);
	free(texts);
}

int
main(void)
{
	test_look_up();
	test_block();
	test_refusals();
	test_largest();
	return done_testing();
}
