/*
 * text_output.h
 *		Tokens to text in the database's encoding, whole or piece by piece.
 */
#ifndef LLAMA2_TEXT_OUTPUT_H
#define LLAMA2_TEXT_OUTPUT_H

#include "postgres.h"

#include "lib/stringinfo.h"

#include "text/detokenize.h"
#include "text/vocabulary.h"

/*
 * Raw bytes go in by token; text comes out as far as it is certain (not
 * part of a stop string that may yet complete) and made of whole characters.
 */
typedef struct Llama2TextOutput
{
	const LlmVocabulary *vocabulary;
	bool		strip_space;	/* before the first token's bytes */
	bool		is_first;
	uint32		n_released;		/* raw bytes given out so far */
	StringInfoData held;		/* raw bytes not given out yet */
	LlmUtf8Stream utf8;
} Llama2TextOutput;

extern void Llama2TextBegin(Llama2TextOutput *output, const LlmVocabulary *vocabulary, bool strip_space);
extern void Llama2TextAddToken(Llama2TextOutput *output, int32 token);

/*
 * The text that became certain with certain_bytes raw bytes in all since the
 * beginning; at_end also gives out what an unfinished character left.
 */
extern text *Llama2TextRelease(Llama2TextOutput *output, uint32 certain_bytes, bool at_end);

/* Valid UTF-8 as text in the database's encoding; what it cannot hold becomes "?". */
extern text *Llama2TextFromUtf8(const char *bytes, size_t length);

/* Text in the database's encoding as UTF-8; *length bytes, not terminated. */
extern const char *Llama2Utf8FromText(text *value, size_t *length);

#endif							/* LLAMA2_TEXT_OUTPUT_H */
