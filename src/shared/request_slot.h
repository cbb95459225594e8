/*
 * request_slot.h
 *		The transitions of a request slot, each by the side that owns it.
 *
 *	FREE --take--> FILLING --enqueue--> QUEUED --claim--> RUNNING --finish--> DONE --release--> FREE
 *
 * The owner (a backend) takes, enqueues and releases; the worker claims and
 * finishes.  An owner that leaves early calls release in any state: FILLING and DONE
 * slots are freed, a QUEUED one is taken off the queue and freed, a RUNNING one is marked
 * abandoned and cancelled, and the worker frees it when it finishes it.
 */
#ifndef LLAMA2_REQUEST_SLOT_H
#define LLAMA2_REQUEST_SLOT_H

#include "shared/control.h"

/*
 * Owner side.  take returns NULL where no slot is free; who holds some already (n_held) leaves a quarter of the slots
 * to others, as what it holds may be streams that nobody reads on.  take_spare is for work that can wait: it always leaves them,
 * and returns NULL where this process holds half of the slots (at least 1).
 */
extern Llama2RequestSlot *Llama2SlotTake(int n_held);
extern Llama2RequestSlot *Llama2SlotTakeSpare(int n_held);

/* false: the model that the prompt was tokenized for is not the one that is resident now. */
extern bool Llama2SlotEnqueue(Llama2RequestSlot *slot);
extern void Llama2SlotRelease(Llama2RequestSlot *slot);

/* Prompts that have so many first tokens in common share pages of the KV cache. */
#define LLAMA2_BEGINNING_TOKENS 64

/* A slot can be overtaken so often by others of its own session. */
#define LLAMA2_MAX_OVERTAKEN 16

/* What a worker knows of a session. */
typedef struct Llama2SessionTurn
{
	uint16		n_running;
	uint32		beginning;		/* of the request that was claimed last */
	uint64		last_turn;		/* when that was, in claims of this worker */
} Llama2SessionTurn;

/*
 * Worker side.  claim takes, of the model's queued slots, one of the session that has the
 * fewest requests running, among equals of the one whose last turn is longest ago; NULL for none.  Of that session's
 * it takes one that begins like the one before, so that who shares a prefix meets while it is there, or the oldest.
 */
extern PGDLLEXPORT Llama2RequestSlot *Llama2SlotClaim(int model, Llama2SessionTurn *sessions);
extern PGDLLEXPORT void Llama2SlotFinish(Llama2RequestSlot *slot);

/*
 * Fail every slot of one load of a model that is RUNNING and, if queued_too, QUEUED, with the same reason: the
 * worker went, or the model cannot be loaded.  The entry may have another load by then, whose worker has its own.
 */
extern PGDLLEXPORT void Llama2SlotsFail(int model, uint64 generation, bool queued_too,
										const Llama2Failure *failure);

static inline int
Llama2SlotIndex(const Llama2RequestSlot *slot)
{
	return (int) (slot - llama2_control->slots);
}

#endif							/* LLAMA2_REQUEST_SLOT_H */
