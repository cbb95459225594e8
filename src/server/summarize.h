/*
 * summarize.h
 *		Summaries of texts of any length, for callers that have no SQL arguments.
 */
#ifndef LLAMA2_SUMMARIZE_H
#define LLAMA2_SUMMARIZE_H

#include "server/generate_batch.h"

/* A summary of at most the settings' max_tokens. */
extern text *Llama2SummarizeText(const Llama2Settings *settings, const char *source);

#endif							/* LLAMA2_SUMMARIZE_H */
