/*
 * model_table.h
 *		Which models are resident or on the way, and how their workers are started.
 */
#ifndef LLAMA2_MODEL_TABLE_H
#define LLAMA2_MODEL_TABLE_H

#include "shared/control.h"

/* A model name that can be a file's name: checks length and characters. */
extern PGDLLEXPORT bool Llama2ModelNameIsValid(const char *name);

/* Path of the model's file, palloc'd. */
extern PGDLLEXPORT char *Llama2ModelPath(const char *name);

/*
 * The entry of this name, or -1.  The caller holds the lock, at least shared.
 */
extern PGDLLEXPORT int Llama2ModelFind(const char *name);

/*
 * An entry for a model that has none, or failed: its name and state STARTING set; -1 where the table is
 * full.  The caller holds the lock exclusively.
 */
extern PGDLLEXPORT int Llama2ModelReserve(const char *name);

/* Change an entry's state, under the lock taken here, and tell everybody who waits. */
extern PGDLLEXPORT void Llama2ModelSetState(int model, Llama2ModelState state);

/* Ask the worker of a model that is ready to finish and unload.  The caller holds the lock. */
extern PGDLLEXPORT void Llama2ModelAskToGo(int model);

/*
 * Break a load off: the entry is UNLOADING until its worker has noticed, where it has one; false where it has
 * none, and so is free at once.  The caller holds the lock, and tells who waits.
 */
extern bool Llama2ModelCancelLoad(int model);

/* A load was broken off: who waits for it finds the reason.  The caller holds the lock and tells them. */
extern PGDLLEXPORT void Llama2ModelLoadIsOff(int model);

/* Give up what an entry remembers of a model that went.  The caller holds the lock. */
extern PGDLLEXPORT void Llama2ForgetVocabulary(Llama2ModelEntry *entry);

/* The workers of llama2.model and llama2.preload, registered statically; any other, dynamically. */
extern void Llama2RegisterFirstWorkers(void);
extern bool Llama2StartWorker(int model);

/* The word for a state in views. */
extern PGDLLEXPORT const char *Llama2ModelStateName(Llama2ModelState state);

#endif							/* LLAMA2_MODEL_TABLE_H */
