/*
 * duplicates.h
 *		Requests of one statement that ask the same: computed once.
 *
 * Only what has the same results whenever it is asked (greedy, with an explicit
 * seed, or scored) is remembered, and only so much of it.  What is drawn is asked ahead with a seed that is left for
 * whoever asks the same later, once.
 */
#ifndef LLAMA2_DUPLICATES_H
#define LLAMA2_DUPLICATES_H

#include "server/request.h"

typedef struct Llama2Duplicates Llama2Duplicates;

/* At most so many bytes; everything is in a context below the current one. */
extern Llama2Duplicates *Llama2CreateDuplicates(Size max_bytes);

/* A use of the request that asked the same, or NULL. */
extern Llama2Request *Llama2FindDuplicate(Llama2Duplicates *duplicates, const Llama2RequestSpec *spec);

/* The same among the requests of all statements that run in this process. */
extern Llama2Request *Llama2FindAnyDuplicate(const Llama2RequestSpec *spec);

/* Keep a use of this request for others that ask the same. */
extern void Llama2RememberRequest(Llama2Duplicates *duplicates, const Llama2RequestSpec *spec,
								  Llama2Request *request);

/* Leave the seed of a request, for one that asks the same but for its seed. */
extern void Llama2LeaveSeed(Llama2Duplicates *duplicates, const Llama2RequestSpec *spec);

/* A seed that was left for this request by any statement that runs in this process; false: there is none. */
extern bool Llama2TakeSeed(const Llama2RequestSpec *spec, uint64 *seed);

/* How often one was found. */
extern int64 Llama2CountDuplicates(const Llama2Duplicates *duplicates);

extern void Llama2FreeDuplicates(Llama2Duplicates *duplicates);

#endif							/* LLAMA2_DUPLICATES_H */
