/*
 * worker.h
 *		The worker's own parts: residency of the model, and serving.
 */
#ifndef LLAMA2_WORKER_H
#define LLAMA2_WORKER_H

#include "shared/control.h"
#include "shared/model_table.h"
#include "shared/request_slot.h"

/* What this worker has mapped of its model. */
typedef struct Llama2Resident
{
	int			model;			/* index in the model table */
	LlmModel	weights;
	const LlmVocabulary *vocabulary;
	dsm_segment *image_segment;
	dsm_segment *vocabulary_segment;
} Llama2Resident;

/*
 * Map the model, loading it first where it is not resident; on return the entry is READY.  A model that cannot be
 * loaded makes the entry FAILED, and the process exits for good.
 */
extern void Llama2MakeResident(Llama2Resident *resident, int model);

/* Give the weights back to the system; the entry becomes UNUSED. */
extern void Llama2Unload(Llama2Resident *resident);

/* Let the system take back the entry's segments when nobody maps them any more. */
extern void Llama2UnpinSegments(Llama2ModelEntry *entry);

/* The engine's options from the parameters as they are now. */
extern void Llama2EngineOptions(LlmEngineOptions *options);

/* Threads that the parameters ask for. */
extern int	Llama2WorkerThreads(void);

/* Fail the entry and all requests that wait for it, and exit for good. */
extern void Llama2GiveUp(int model, int sqlerrcode, const char *message, const char *hint)
			pg_attribute_noreturn();

/* The SQLSTATE of an engine's error. */
extern int	Llama2ErrorSqlState(const LlmError *error);

/* Serve requests until the process ends or the model is to be unloaded. */
extern void Llama2Serve(Llama2Resident *resident);

/* Does the process want to end?  Safe to ask at any place of the main thread. */
extern bool Llama2WorkerShouldStop(void);

#endif							/* LLAMA2_WORKER_H */
