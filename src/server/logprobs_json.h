/*
 * logprobs_json.h
 *		The log-probabilities of a generated text as jsonb.
 */
#ifndef LLAMA2_LOGPROBS_JSON_H
#define LLAMA2_LOGPROBS_JSON_H

#include "server/request.h"
#include "utils/jsonb.h"

/*
 * An array with an object for each token of a request that is done: {"token_id", "token", "logprob"}, and, where the
 * request asked for them, "top_logprobs", such objects of the likeliest tokens at its place.  The tokens' texts together are
 * the text.  Before them those of the prompt, where a request that has scored it is given.
 */
extern Jsonb *Llama2LogprobsJson(const LlmVocabulary *vocabulary, const Llama2Request *prompt, const Llama2Request *request);

#endif							/* LLAMA2_LOGPROBS_JSON_H */
