/*
 * failure.h
 *		What goes wrong in a worker, as the error that a backend raises.
 */
#ifndef LLAMA2_FAILURE_H
#define LLAMA2_FAILURE_H

#include "shared/control.h"

/* A failure without a detail. */
extern PGDLLEXPORT void Llama2SetFailure(Llama2Failure *failure, int sqlerrcode,
										 const char *message, const char *hint);

/* The SQLSTATE of an engine's error. */
extern PGDLLEXPORT int Llama2ErrorSqlState(const LlmError *error);

/* Why a model's file cannot be loaded. */
extern PGDLLEXPORT void Llama2ModelFailure(const char *name, const LlmError *error, Llama2Failure *failure);

#endif							/* LLAMA2_FAILURE_H */
