/*
 * request_check.h
 *		What a request must be before the engine takes it.
 */
#ifndef LLM_REQUEST_CHECK_H
#define LLM_REQUEST_CHECK_H

#include "engine/engine.h"

/*
 * Check everything that the caller fills in, against the vocabulary and the
 * context's length.  The message names the value that was wrong.
 */
extern bool llm_request_check(const LlmRequest *request, const LlmVocabulary *vocabulary,
							  int32_t context_length, LlmError *error);

#endif							/* LLM_REQUEST_CHECK_H */
