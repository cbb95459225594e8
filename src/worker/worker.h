/*
 * worker.h
 *		The worker's own parts: residency of the model, and serving.
 */
#ifndef LLAMA2_WORKER_H
#define LLAMA2_WORKER_H

#include "engine/model.h"
#include "shared/compat.h"
#include "shared/control.h"
#include "shared/failure.h"
#include "shared/memory_plan.h"
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

/* Let the system take the weights' memory back when nobody maps them any more. */
extern void Llama2UnpinWeights(Llama2ModelEntry *entry);

/* Fail the entry and all requests that wait for it, and exit for good. */
pg_noreturn extern void Llama2GiveUp(int model, int sqlerrcode, const char *message, const char *hint);
pg_noreturn extern void Llama2GiveUpWith(int model, const Llama2Failure *failure);

/* The load was broken off: give the entry back, and exit for good. */
pg_noreturn extern void Llama2BreakOff(int model);

/*
 * Start the threads of a team of so many now, those that there are not yet, with every signal blocked, so that no signal is
 * ever delivered to one of them.
 */
extern void Llama2StartThreads(int n_threads);

/* Serve requests until the process ends or the model is to be unloaded. */
extern void Llama2Serve(Llama2Resident *resident);

/*
 * Does the process want to end?  Safe to ask at any place of the main thread.  Whoever waits for every process of the
 * server, as DROP DATABASE does, is answered meanwhile.
 */
extern bool Llama2WorkerShouldStop(void);

#endif							/* LLAMA2_WORKER_H */
