/*
 * stream.h
 *		Functions that return a row for each token.
 */
#ifndef LLAMA2_STREAM_H
#define LLAMA2_STREAM_H

#include "server/call.h"

/*
 * At the first call: fill in the call, and return its prompt; ids NULL: no rows.  *state is for the function below.
 * What is allocated lives until the end of the stream.
 */
typedef Llama2Prompt (*Llama2StreamBegin) (FunctionCallInfo fcinfo, Llama2Call *call, void **state);

/* When the last row was read: the request is done. */
typedef void (*Llama2StreamEnd) (const Llama2Call *call, Llama2Request *request, void *state);

/* The body of such a function; end may be NULL. */
extern Datum Llama2StreamTokens(FunctionCallInfo fcinfo, Llama2StreamBegin begin, Llama2StreamEnd end);

#endif							/* LLAMA2_STREAM_H */
