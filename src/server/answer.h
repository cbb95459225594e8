/*
 * answer.h
 *		The whole text of a generating request.
 */
#ifndef LLAMA2_ANSWER_H
#define LLAMA2_ANSWER_H

#include "server/request.h"

/* Wait for a request's text, and release the request. */
extern text *Llama2AnswerText(const Llama2Model *model, Llama2Request *request);

#endif							/* LLAMA2_ANSWER_H */
