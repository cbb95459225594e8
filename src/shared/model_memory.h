/*
 * model_memory.h
 *		Which models may be in memory together: claims, eviction, and who leaves when idle.
 */
#ifndef LLAMA2_MODEL_MEMORY_H
#define LLAMA2_MODEL_MEMORY_H

#include "shared/memory_plan.h"
#include "shared/system_memory.h"

typedef enum Llama2ClaimResult
{
	LLAMA2_CLAIMED,
	LLAMA2_CLAIM_WAITS,			/* others are on their way out, or will be: try again */
	LLAMA2_CLAIM_REFUSED		/* there will never be room; *failure says why */
} Llama2ClaimResult;

/*
 * Claim the memory that a load takes, for its worker.  Where there is too little of it, idle models are
 * asked to go, least recently used first, those that the server's start loaded last.  A claim that is
 * impatient asks busy ones too, which finish what they have and take nothing new.  Claims are served in
 * the order in which the models were asked for.
 */
extern PGDLLEXPORT Llama2ClaimResult Llama2ClaimMemory(int model, const Llama2MemoryPlan *plan,
													   const Llama2SystemMemory *system, bool impatient,
													   Llama2Failure *failure);

/*
 * Why a model of this plan can never be loaded; false where it can.  For the plan alone: others that are in
 * memory could go.
 */
extern PGDLLEXPORT bool Llama2PlanIsImpossible(const char *name, const Llama2MemoryPlan *plan,
											   const Llama2SystemMemory *system, Llama2Failure *failure);

/*
 * For the worker of a model that is ready and has nothing to do: true, with the state changed to UNLOADING, where it has
 * been idle for llama2.keep_alive, or llama2.memory_limit was lowered and it is the one to go.  Else
 * *timeout_ms says when to ask again; -1: not before something happens.
 */
extern PGDLLEXPORT bool Llama2LeaveWhenIdle(int model, long *timeout_ms);

/* May a model grow or shrink to so many bytes, as the limit and the system's memory allow?  If so its claim has. */
extern PGDLLEXPORT bool Llama2ChangeClaim(int model, uint64 bytes);

/* Is it llama2.model or in llama2.preload of this process, which for a worker are the server's? */
extern PGDLLEXPORT bool Llama2ModelIsKept(const char *name);

#endif							/* LLAMA2_MODEL_MEMORY_H */
