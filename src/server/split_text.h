/*
 * split_text.h
 *		Long texts cut into parts that fit a prompt.
 */
#ifndef LLAMA2_SPLIT_TEXT_H
#define LLAMA2_SPLIT_TEXT_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"

#include "server/model_use.h"

/* Tokens of a source, or something above limit where it has more than that. */
extern int	Llama2CountTokens(const Llama2Model *model, const char *source, size_t length, int limit);

/*
 * Cut a text into parts of at most limit tokens, each as long as may be: between paragraphs; where one
 * is too long between sentences; where one is too long between words, or anywhere.  A list of
 * char *.
 */
extern List *Llama2SplitText(const Llama2Model *model, const char *source, int limit);

/* The same for texts that are paragraphs already. */
extern List *Llama2PackTexts(const Llama2Model *model, List *texts, const char *separator, int limit);

#endif							/* LLAMA2_SPLIT_TEXT_H */
