/*
 * detokenize.h
 *		Token ids to text, whole or as a stream.
 *
 * Two levels: raw bytes, which lose nothing, and valid UTF-8 for a database,
 * in which bytes that belong to no character, and NUL, become U+FFFD.
 */
#ifndef LLM_DETOKENIZE_H
#define LLM_DETOKENIZE_H

#include "text/vocabulary.h"

/*
 * The raw bytes of one token into out, whose capacity is
 * llm_vocabulary_max_token_bytes; returns their count.  U+2581 becomes a space,
 * byte pieces their byte; control pieces give nothing, an unknown piece U+2047
 * with spaces around, as in SentencePiece.  strip_space drops the space of a
 * leading U+2581 (the dummy prefix of a text's first token).  An id out of range
 * gives nothing.
 */
extern size_t llm_token_bytes(const LlmVocabulary *vocabulary, int32_t id,
							  bool strip_space, char *out);

/* A stream of bytes to a stream of whole, valid UTF-8 characters. */
typedef struct LlmUtf8Stream
{
	uint8_t		pending[4];
	uint8_t		n_pending;
} LlmUtf8Stream;

/*
 * Append bytes[length]; complete characters go to out (capacity: at least
 * 3 * (length + 4)), an unfinished one at the end is kept for the next call.
 * Returns the bytes written.  Invalid bytes and NUL become U+FFFD, one for each
 * maximal subpart as the Unicode Standard, section 3.9, recommends.
 */
extern size_t llm_utf8_push(LlmUtf8Stream *stream, const char *bytes, size_t length, char *out);

/* The end: a character left unfinished becomes U+FFFD.  out holds 4 bytes. */
extern size_t llm_utf8_finish(LlmUtf8Stream *stream, char *out);

#endif							/* LLM_DETOKENIZE_H */
