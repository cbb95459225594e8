/*
 * vocabulary_llama2c.c
 *		llama2.c's tokenizer.bin.
 *
 * The greatest length, then for each piece a float score, an int32 length and the bytes, in
 * which spaces stand for U+2581 and BOS and EOS have line ends around them.
 * Format: tokenizer.py in github.com/karpathy/llama2.c.
 */
#include "import/vocabulary_build.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "import/whole_file.h"

#define MAX_FILE_BYTES (UINT64_C(64) << 20)

static bool put_piece(ImportVocabulary *vocabulary, int32_t id, const char *bytes, size_t length,
					  float score, LlmError *error);

bool
vocabulary_read_llama2c(ImportVocabulary *vocabulary, const char *path, int32_t n_pieces,
						LlmError *error)
{
	uint64_t	length;
	uint64_t	at = sizeof(int32_t);
	char	   *bytes = load_whole_file(path, MAX_FILE_BYTES, &length, error);
	bool		done = bytes != NULL;

	for (int32_t id = 0; done && id < n_pieces; id++)
	{
		float		score;
		int32_t		n;

		if (length < at + sizeof(score) + sizeof(n))
		{
			done = llm_fail(error, LLM_ERROR_CORRUPT_FILE,
							"\"%s\" ends after %" PRId32 " of %" PRId32 " tokens", path, id, n_pieces);
			break;
		}
		memcpy(&score, bytes + at, sizeof(score));
		memcpy(&n, bytes + at + sizeof(score), sizeof(n));
		at += sizeof(score) + sizeof(n);
		if (n < 0 || (uint64_t) n > length - at)
			done = llm_fail(error, LLM_ERROR_CORRUPT_FILE,
							"token %" PRId32 " of \"%s\" would have %" PRId32 " bytes", id, path, n);
		else
			done = put_piece(vocabulary, id, bytes + at, (size_t) n, score, error);
		at += n > 0 ? (uint64_t) n : 0;
	}
	if (done && at != length)
		done = llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"\"%s\" has more than the model's %" PRId32 " tokens",
						path, n_pieces);
	free(bytes);
	vocabulary->n_base = vocabulary->n_pieces;
	vocabulary->unknown_id = 0;
	vocabulary->bos_id = n_pieces > 1 ? 1 : -1;
	vocabulary->eos_id = n_pieces > 2 ? 2 : -1;
	return done;
}

static bool
put_piece(ImportVocabulary *vocabulary, int32_t id, const char *bytes, size_t length, float score,
		  LlmError *error)
{
	LlmPiece	piece = {bytes, (uint32_t) length, score, LLM_PIECE_NORMAL};

	if (id == 0)
		piece.kind = LLM_PIECE_UNKNOWN;
	else if (id <= 2)
	{
		piece.kind = LLM_PIECE_CONTROL;
		if (length > 2 && bytes[0] == '\n' && bytes[length - 1] == '\n')
		{
			bytes++;
			length -= 2;
		}
	}
	else if (llm_vocabulary_byte_of_piece(&piece) >= 0)
		piece.kind = LLM_PIECE_BYTE;
	return vocabulary_put_text(vocabulary, id, bytes, length, score, piece.kind, error);
}
