/*
 * tokenize.h
 *		Text to token ids, exactly as SentencePiece's BPE does it.
 *
 * Two things follow from SentencePiece's rule that U+2581 stands for a space: a
 * text that contains U+2581 itself gives the tokens of the text with spaces in
 * its place, and so comes back with spaces; every other text, of any bytes,
 * comes back from its tokens byte for byte, as long as the vocabulary has byte
 * pieces.  Departures from SentencePiece: bytes that are not UTF-8 become byte
 * pieces, where SentencePiece makes them U+FFFD, and a control, unknown or byte
 * piece is never made from the characters of its name.
 */
#ifndef LLM_TOKENIZE_H
#define LLM_TOKENIZE_H

#include "text/vocabulary.h"

/*
 * What is tokenized at once is a word where the vocabulary's pieces end at
 * spaces, and the whole text where not; it takes up to 64 bytes of memory for
 * each of its own.
 */
#define LLM_MAX_WORD_BYTES ((size_t) 1 << 25)

/*
 * The most ids that a text of this length can give, the leading space's and a
 * BOS included.
 */
extern size_t llm_tokenize_bound(size_t length);

/*
 * Tokenize text[length] (any bytes; what is not UTF-8 becomes byte pieces)
 * into ids, whose capacity is llm_tokenize_bound(length).  Sets *n_ids.
 * Control pieces are never produced from text; user-defined pieces are, and
 * an unused piece only where it is a single character.  No BOS is added unless
 * with_bos and the vocabulary has one.  Fails only for want of memory, for a word
 * beyond LLM_MAX_WORD_BYTES, or where the vocabulary has neither byte pieces nor
 * an unknown piece for a character; *n_ids is then 0.  O(n log n).
 */
extern bool llm_tokenize(const LlmVocabulary *vocabulary, const char *text, size_t length,
						 bool with_bos, int32_t *ids, size_t *n_ids, LlmError *error);

/*
 * The same, and in offsets[i] the byte of the text where id i begins (the
 * pieces of one character that fell back to bytes begin at their own bytes; a
 * piece that is only the dummy prefix begins at 0).  offsets may be NULL and
 * has the capacity of ids.
 */
extern bool llm_tokenize_with_offsets(const LlmVocabulary *vocabulary, const char *text,
									  size_t length, bool with_bos, int32_t *ids,
									  size_t *offsets, size_t *n_ids, LlmError *error);

#endif							/* LLM_TOKENIZE_H */
