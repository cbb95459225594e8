/*
 * job_run.h
 *		The jobs that the worker of a database has claimed, from their prompt to their end.
 */
#ifndef LLAMA2_JOB_RUN_H
#define LLAMA2_JOB_RUN_H

#include "postgres.h"

/* Once in a process, before anything else and before its settings are changed. */
extern void Llama2JobRunInit(void);

extern int	Llama2JobRunCount(void);

/* Is there an answer to be taken, or a result to be written? */
extern bool Llama2JobRunHasNews(void);

/* Has every claimed job been handed to a model? */
extern bool Llama2JobRunAllSubmitted(void);

/* Is there room for so many more jobs that claiming them is worth it? */
extern bool Llama2JobRunWantsMore(void);

/* The steps of a round, each in a transaction. */
extern void Llama2JobRunFinish(void);
extern void Llama2JobRunClaim(void);
extern void Llama2JobRunSubmit(void);
extern void Llama2JobRunDropCancelled(void);

/* Queue those again that are "running" although this worker does not run them. */
extern void Llama2JobRunRecover(void);

/* Put all of them back, as if they had not been claimed. */
extern void Llama2JobRunPutBack(void);

#endif							/* LLAMA2_JOB_RUN_H */
