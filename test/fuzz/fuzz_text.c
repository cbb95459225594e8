/*
 * fuzz_text.c
 *		Vocabularies of any pieces, texts and dialogs of any bytes.
 *
 * An input is a byte of flags, a byte that counts pieces, the pieces (kind,
 * score, length, bytes), and the text.  Whatever the vocabulary, tokens must be
 * in range and never control tokens, and with byte pieces the text must come back.
 */
#include <stdlib.h>
#include <string.h>

#include "standalone.h"
#include "text/chat_template.h"
#include "text/detokenize.h"
#include "text/tokenize.h"

#define FLAG_BYTES 1			/* the vocabulary has byte pieces */
#define FLAG_SPACE_PREFIX 2
#define FLAG_NO_UNKNOWN 4
#define FLAG_SPACE_MARK 8		/* U+2581 is a piece */

#define SPECIAL_PIECES 3
#define MAX_PIECES (SPECIAL_PIECES + 256 + 1 + 255)

typedef struct Input
{
	const uint8_t *at;
	size_t		left;
} Input;

static uint8_t take_byte(Input *input);
static LlmVocabulary *take_vocabulary(Input *input, uint8_t flags);
static LlmPiece take_piece(Input *input);
static void check_tokens(const LlmVocabulary *vocabulary, const char *text, size_t length,
						 uint8_t flags);
static void check_text(const LlmVocabulary *vocabulary, const int32_t *ids, size_t n_ids,
					   const char *text, size_t length, uint8_t flags);
static void check_utf8(const char *bytes, size_t length);
static void check_dialog(const LlmVocabulary *vocabulary, const char *text, size_t length);
static size_t marks_to_spaces(char *bytes, size_t length);
static void *claim(size_t size);

static void
require(bool condition)
{
	if (!condition)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Input		input = {data, size};
	uint8_t		flags = take_byte(&input);
	LlmVocabulary *vocabulary = take_vocabulary(&input, flags);

	if (vocabulary != NULL)
	{
		check_tokens(vocabulary, (const char *) input.at, input.left, flags);
		check_dialog(vocabulary, (const char *) input.at, input.left);
	}
	check_utf8((const char *) data, size);
	free(vocabulary);
	return 0;
}

static uint8_t
take_byte(Input *input)
{
	if (input->left == 0)
		return 0;
	input->left--;
	return *input->at++;
}

static LlmVocabulary *
take_vocabulary(Input *input, uint8_t flags)
{
	static char names[256][8];
	LlmPiece	pieces[MAX_PIECES] = {
		{"<unk>", 5, 0, LLM_PIECE_UNKNOWN},
		{"<s>", 3, 0, LLM_PIECE_CONTROL},
		{"</s>", 4, 0, LLM_PIECE_CONTROL}
	};
	LlmVocabularySource source = {
		.n_pieces = SPECIAL_PIECES,
		.pieces = pieces,
		.bos_id = 1,
		.eos_id = 2,
		.unknown_id = flags & FLAG_NO_UNKNOWN ? -1 : 0,
		.add_space_prefix = flags & FLAG_SPACE_PREFIX
	};
	int			n_taken = take_byte(input);
	LlmVocabulary *vocabulary;
	LlmError	error;
	size_t		size;
	int			i;

	for (i = 0; (flags & FLAG_BYTES) && i < 256; i++)
	{
		snprintf(names[i], sizeof(names[i]), "<0x%02X>", (unsigned) i);
		pieces[source.n_pieces++] = (LlmPiece) {names[i], 6, 0, LLM_PIECE_BYTE};
	}
	if (flags & FLAG_SPACE_MARK)
		pieces[source.n_pieces++] = (LlmPiece) {"\xE2\x96\x81", 3, 0, LLM_PIECE_NORMAL};
	for (i = 0; i < n_taken && input->left > 0; i++)
		pieces[source.n_pieces++] = take_piece(input);
	size = llm_vocabulary_size(&source, &error);
	if (size == 0)
		return NULL;
	vocabulary = claim(size);
	require(llm_vocabulary_build(&source, vocabulary, size, &error));
	require(llm_vocabulary_check(vocabulary, size));
	return vocabulary;
}

static LlmPiece
take_piece(Input *input)
{
	uint8_t		kind = take_byte(input);
	uint8_t		score = take_byte(input);
	uint32_t	length = take_byte(input) % 12;
	LlmPiece	piece;

	if (length > input->left)
		length = (uint32_t) input->left;
	/* most are pieces of text; a few have a kind that does not exist */
	piece = (LlmPiece)
	{
		(const char *) input->at, length, (float) score - 128,
			kind < 160 ? LLM_PIECE_NORMAL : kind < 192 ? LLM_PIECE_UNUSED :
			kind < 224 ? LLM_PIECE_USER_DEFINED : kind < 250 ? LLM_PIECE_CONTROL : kind - 248
	};
	input->at += length;
	input->left -= length;
	return piece;
}

static void
check_tokens(const LlmVocabulary *vocabulary, const char *text, size_t length, uint8_t flags)
{
	size_t		bound = llm_tokenize_bound(length);
	int32_t    *ids = claim(bound * sizeof(int32_t));
	int32_t    *again = claim(bound * sizeof(int32_t));
	size_t	   *offsets = claim(bound * sizeof(size_t));
	LlmError	error;
	size_t		n_ids;
	size_t		n_again;
	size_t		i;

	if (llm_tokenize_with_offsets(vocabulary, text, length, true, ids, offsets, &n_ids, &error))
	{
		require(n_ids >= 1 && n_ids <= bound && ids[0] == llm_vocabulary_bos(vocabulary));
		for (i = 1; i < n_ids; i++)
		{
			require(ids[i] >= 0 && ids[i] < llm_vocabulary_count(vocabulary));
			require(llm_vocabulary_piece(vocabulary, ids[i]).kind != LLM_PIECE_CONTROL);
			require(offsets[i] >= offsets[i - 1] && offsets[i] < length);
		}
		require(llm_tokenize(vocabulary, text, length, false, again, &n_again, &error));
		require(n_again == n_ids - 1 && memcmp(again, ids + 1, n_again * sizeof(int32_t)) == 0);
		check_text(vocabulary, again, n_again, text, length, flags);
	}
	else
		require(!(flags & FLAG_BYTES) && (flags & FLAG_NO_UNKNOWN) && n_ids == 0);
	free(ids);
	free(again);
	free(offsets);
}

/* Text and tokens are the same but for spaces written as U+2581 and the dummy prefix. */
static void
check_text(const LlmVocabulary *vocabulary, const int32_t *ids, size_t n_ids,
		   const char *text, size_t length, uint8_t flags)
{
	char	   *expected = claim(length);
	char	   *bytes = claim(n_ids * llm_vocabulary_max_token_bytes(vocabulary));
	size_t		prefix = (flags & FLAG_SPACE_PREFIX) && length > 0 ? 1 : 0;
	size_t		n = 0;
	size_t		n_expected;
	size_t		i;

	for (i = 0; i < n_ids; i++)
		n += llm_token_bytes(vocabulary, ids[i], false, bytes + n);
	if (flags & FLAG_BYTES)
	{
		memcpy(expected, text, length);
		n_expected = marks_to_spaces(expected, length);
		n = marks_to_spaces(bytes, n);
		require(n == n_expected + prefix && (prefix == 0 || bytes[0] == ' '));
		require(memcmp(bytes + prefix, expected, n_expected) == 0);
	}
	free(expected);
	free(bytes);
}

/* What comes out of the stream passes unchanged through another one. */
static void
check_utf8(const char *bytes, size_t length)
{
	LlmUtf8Stream stream = {.n_pending = 0};
	size_t		capacity = 3 * (length + 4);
	char	   *once = claim(capacity);
	char	   *twice = claim(3 * (capacity + 4));
	size_t		n = llm_utf8_push(&stream, bytes, length / 2, once);

	n += llm_utf8_push(&stream, bytes + length / 2, length - length / 2, once + n);
	n += llm_utf8_finish(&stream, once + n);
	require(n <= capacity && llm_utf8_push(&stream, once, n, twice) == n);
	require(stream.n_pending == 0 && memcmp(once, twice, n) == 0);
	free(once);
	free(twice);
}

static void
check_dialog(const LlmVocabulary *vocabulary, const char *text, size_t length)
{
	size_t		third = length / 3;
	LlmChatMessage messages[] = {
		{LLM_ROLE_SYSTEM, text, third},
		{LLM_ROLE_USER, text + third, third},
		{LLM_ROLE_ASSISTANT, text, length},
		{LLM_ROLE_USER, text + third, length - third}
	};
	size_t		bound = llm_chat_bound(messages, 4);
	int32_t    *ids = claim(bound * sizeof(int32_t));
	size_t		n_ids;

	if (llm_chat_tokenize(vocabulary, messages, 4, false, ids, &n_ids, NULL))
	{
		int			n_control = 0;
		size_t		i;

		require(n_ids <= bound);
		for (i = 0; i < n_ids; i++)
			n_control += llm_vocabulary_piece(vocabulary, ids[i]).kind == LLM_PIECE_CONTROL;
		require(n_control == 3);
	}
	free(ids);
}

static size_t
marks_to_spaces(char *bytes, size_t length)
{
	size_t		n = 0;
	size_t		i = 0;

	while (i < length)
	{
		bool		mark = length - i >= 3 && memcmp(bytes + i, "\xE2\x96\x81", 3) == 0;

		bytes[n++] = mark ? ' ' : bytes[i];
		i += mark ? 3 : 1;
	}
	return n;
}

static void *
claim(size_t size)
{
	void	   *memory = malloc(size > 0 ? size : 1);

	require(memory != NULL);
	return memory;
}
