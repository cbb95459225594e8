/*
 * model_wait.h
 *		Asking for a model, and waiting until it is in memory.
 */
#ifndef LLAMA2_MODEL_WAIT_H
#define LLAMA2_MODEL_WAIT_H

#include "shared/compat.h"
#include "shared/control.h"

/*
 * Wait until the model is ready and its worker has said what context it serves; a worker is asked for where nobody did.
 * Returns its index.  A load that its last waiter gives up is broken off.
 */
extern int	Llama2WaitForModel(const char *name);

/*
 * Is the named model ready?  Does not wait: where it is not, a worker is asked for, once for
 * each *asked, which begins as 0; a worker that was asked and failed raises its error.
 */
extern bool Llama2ModelIsReady(const char *name, uint64 *asked);

/* Raise a worker's failure as this backend's error. */
pg_noreturn extern void Llama2RaiseFailure(const Llama2Failure *failure);

#endif							/* LLAMA2_MODEL_WAIT_H */
