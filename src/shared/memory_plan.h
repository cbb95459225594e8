/*
 * memory_plan.h
 *		What a model will take, computed from its file's header and the parameters.
 */
#ifndef LLAMA2_MEMORY_PLAN_H
#define LLAMA2_MEMORY_PLAN_H

#include "shared/control.h"

typedef struct Llama2MemoryPlan
{
	uint64		image_bytes;	/* weights, in shared memory */
	uint64		vocabulary_bytes;	/* likewise */
	uint64		kv_bytes;		/* the worker's own */
	uint64		activation_bytes;	/* likewise */
	int32		context_length;
} Llama2MemoryPlan;

/* The engine's options from the parameters as they are now. */
extern PGDLLEXPORT void Llama2EngineOptions(LlmEngineOptions *options);

/* Threads that the parameters ask for. */
extern PGDLLEXPORT int Llama2WorkerThreads(void);

/* False where the parameters do not suit the model; *error says why. */
extern PGDLLEXPORT bool Llama2PlanMemory(const LlmModelFile *file, Llama2MemoryPlan *plan, LlmError *error);

extern PGDLLEXPORT uint64 Llama2PlanTotal(const Llama2MemoryPlan *plan);

/* What the plan consists of, in words. */
extern PGDLLEXPORT void Llama2DescribePlan(const Llama2MemoryPlan *plan, char *out, size_t size);

/* Bytes in megabytes as the parameters count them, rounded up. */
extern PGDLLEXPORT uint64 Llama2Megabytes(uint64 bytes);

#endif							/* LLAMA2_MEMORY_PLAN_H */
