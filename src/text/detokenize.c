/*
 * detokenize.c
 *		The bytes of a token, and a stream of bytes as valid UTF-8.
 */
#include "text/detokenize.h"

#include "text/utf8.h"

#include <string.h>

/* What SentencePiece shows for an unknown piece: U+2047 with spaces around. */
#define UNKNOWN_TEXT " \xE2\x81\x87 "

static size_t copy_with_spaces(const LlmPiece *piece, uint32_t begin, char *out);
static size_t push_byte(LlmUtf8Stream *stream, uint8_t byte, char *out);
static size_t write_replacement(char *out);

size_t
llm_token_bytes(const LlmVocabulary *vocabulary, int32_t id, bool strip_space, char *out)
{
	LlmPiece	piece;
	uint32_t	begin = 0;

	if (id < 0 || id >= llm_vocabulary_count(vocabulary))
		return 0;
	piece = llm_vocabulary_piece(vocabulary, id);
	switch (piece.kind)
	{
		case LLM_PIECE_CONTROL:
			return 0;
		case LLM_PIECE_UNKNOWN:
			memcpy(out, UNKNOWN_TEXT, strlen(UNKNOWN_TEXT));
			return strlen(UNKNOWN_TEXT);
		case LLM_PIECE_BYTE:
			out[0] = (char) llm_vocabulary_byte_of_piece(&piece);
			return 1;
		case LLM_PIECE_NORMAL:
		case LLM_PIECE_USER_DEFINED:
		case LLM_PIECE_UNUSED:
			break;
	}
	if (strip_space && llm_utf8_is_space_mark(piece.bytes, piece.length))
		begin = LLM_SPACE_MARK_BYTES;
	return copy_with_spaces(&piece, begin, out);
}

size_t
llm_utf8_push(LlmUtf8Stream *stream, const char *bytes, size_t length, char *out)
{
	size_t		n = 0;
	size_t		i;

	for (i = 0; i < length; i++)
		n += push_byte(stream, (uint8_t) bytes[i], out + n);
	return n;
}

size_t
llm_utf8_finish(LlmUtf8Stream *stream, char *out)
{
	if (stream->n_pending == 0)
		return 0;
	stream->n_pending = 0;
	return write_replacement(out);
}

/* Copy a piece from its byte begin on, with a space for each U+2581. */
static size_t
copy_with_spaces(const LlmPiece *piece, uint32_t begin, char *out)
{
	size_t		n = 0;
	uint32_t	i = begin;

	while (i < piece->length)
	{
		if (llm_utf8_is_space_mark(piece->bytes + i, piece->length - i))
		{
			out[n++] = ' ';
			i += LLM_SPACE_MARK_BYTES;
		}
		else
			out[n++] = piece->bytes[i++];
	}
	return n;
}

/* Take one byte; at most a replacement and a character go out. */
static size_t
push_byte(LlmUtf8Stream *stream, uint8_t byte, char *out)
{
	size_t		n = 0;

	if (stream->n_pending > 0 &&
		!llm_utf8_continues(stream->pending[0], stream->n_pending, byte))
		n = llm_utf8_finish(stream, out);
	if (stream->n_pending == 0 && (byte == 0 || llm_utf8_announced(byte) == 0))
		return n + write_replacement(out + n);
	stream->pending[stream->n_pending++] = byte;
	if (stream->n_pending == llm_utf8_announced(stream->pending[0]))
	{
		memcpy(out + n, stream->pending, stream->n_pending);
		n += stream->n_pending;
		stream->n_pending = 0;
	}
	return n;
}

static size_t
write_replacement(char *out)
{
	memcpy(out, LLM_REPLACEMENT, LLM_REPLACEMENT_BYTES);
	return LLM_REPLACEMENT_BYTES;
}
