/*
 * system_memory.h
 *		What memory the system has left for this server.
 */
#ifndef LLAMA2_SYSTEM_MEMORY_H
#define LLAMA2_SYSTEM_MEMORY_H

#include "postgres.h"

typedef struct Llama2SystemMemory
{
	uint64		available;		/* in all, without swapping; PG_UINT64_MAX: not known */
	uint64		shared;			/* of it, for new dynamic shared memory; likewise */
	uint64		reserved;		/* min_dynamic_shared_memory: has its place already, beside what is
								 * available */
	char		shared_place[MAXPGPATH];	/* where that lies: "/dev/shm" */
} Llama2SystemMemory;

extern PGDLLEXPORT void Llama2ReadSystemMemory(Llama2SystemMemory *memory);

#endif							/* LLAMA2_SYSTEM_MEMORY_H */
