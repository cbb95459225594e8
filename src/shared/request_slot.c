/*
 * request_slot.c
 *		The transitions of a request slot.
 *
 * Everything here holds control->lock exclusively for a few instructions and
 * sets latches, and wakes waiters for a free slot, after giving it back.  Only the
 * process that frees a slot frees its payload: after that, since it may have to map a
 * segment, which may fail.
 */
#include "shared/request_slot.h"

#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/timestamp.h"

static Llama2RequestSlot *take_slot(int n_left);
static bool comes_before(const Llama2SessionTurn *session, const Llama2SessionTurn *other);
static Llama2RequestSlot *begins_alike(Llama2RequestSlot *oldest, uint32 beginning);
static dsa_pointer free_slot(Llama2RequestSlot *slot);
static void free_payload(dsa_pointer payload);
static void unlink_from_queue(Llama2RequestSlot *slot);
static void wake_worker(int model);

Llama2RequestSlot *
Llama2SlotTake(int n_held)
{
	return take_slot(n_held > 0 ? llama2_control->n_slots / 4 : 0);
}

Llama2RequestSlot *
Llama2SlotTakeSpare(int n_held)
{
	if (n_held >= Max(llama2_control->n_slots / 2, 1))
		return NULL;
	return take_slot(llama2_control->n_slots / 4);
}

/* A free slot, where more than n_left are free. */
static Llama2RequestSlot *
take_slot(int n_left)
{
	Llama2RequestSlot *slot = NULL;

	LWLockAcquire(llama2_control->lock, LW_EXCLUSIVE);
	if (llama2_control->n_free > n_left)
	{
		llama2_control->n_free--;
		slot = &llama2_control->slots[llama2_control->free_list];
		llama2_control->free_list = slot->next;
		slot->state = LLAMA2_SLOT_FILLING;
		slot->abandoned = false;
		slot->next = -1;
		slot->generation = ++llama2_control->next_generation;
		slot->owner_pid = MyProcPid;
		slot->owner_latch = MyLatch;
		slot->session = (int) (MyProc - ProcGlobal->allProcs);
		slot->userid = GetUserId();
		slot->databaseid = MyDatabaseId;
		slot->payload = InvalidDsaPointer;
		slot->cancel = 0;
		slot->started_at = 0;
		slot->queued_at = 0;
		slot->n_prompt = 0;
		slot->beginning = 0;
		slot->n_overtaken = 0;
		slot->finish = LLM_FINISH_NONE;
		slot->text_bytes = 0;
		slot->n_cached = 0;
		slot->queue_ms = slot->prefill_ms = slot->decode_ms = 0;
		slot->failure.sqlerrcode = 0;
		pg_atomic_write_u32(&slot->n_results, 0);
		pg_atomic_write_u32(&slot->n_prefilled, 0);
		pg_atomic_write_u32(&slot->phase, LLM_REQUEST_WAITING);
	}
	LWLockRelease(llama2_control->lock);
	return slot;
}

bool
Llama2SlotEnqueue(Llama2RequestSlot *slot)
{
	int			index = Llama2SlotIndex(slot);
	Llama2ModelEntry *entry = &llama2_control->models[slot->model];
	bool		current;

	slot->queued_at = GetCurrentTimestamp();
	LWLockAcquire(llama2_control->lock, LW_EXCLUSIVE);
	current = entry->state == LLAMA2_MODEL_READY && entry->generation == slot->model_generation;
	if (current)
	{
		slot->state = LLAMA2_SLOT_QUEUED;
		slot->next = -1;
		if (llama2_control->queue_tail >= 0)
			llama2_control->slots[llama2_control->queue_tail].next = index;
		else
			llama2_control->queue_head = index;
		llama2_control->queue_tail = index;
		pg_atomic_write_u64(&entry->last_used, (uint64) slot->queued_at);
	}
	LWLockRelease(llama2_control->lock);
	if (current)
	{
		Llama2AddStatistic(requests, 1);
		wake_worker(slot->model);
	}
	return current;
}

void
Llama2SlotRelease(Llama2RequestSlot *slot)
{
	bool		wake = false;
	bool		freed = false;
	dsa_pointer payload = InvalidDsaPointer;
	int			model = slot->model;

	LWLockAcquire(llama2_control->lock, LW_EXCLUSIVE);
	switch (slot->state)
	{
		case LLAMA2_SLOT_QUEUED:
			unlink_from_queue(slot);
			Llama2AddStatistic(cancelled, 1);
			payload = free_slot(slot);
			freed = true;
			break;
		case LLAMA2_SLOT_FILLING:
		case LLAMA2_SLOT_DONE:
			payload = free_slot(slot);
			freed = true;
			break;
		case LLAMA2_SLOT_RUNNING:
			slot->abandoned = true;
			slot->cancel = 1;
			wake = true;
			break;
		case LLAMA2_SLOT_FREE:
			break;
	}
	LWLockRelease(llama2_control->lock);

	if (freed)
		ConditionVariableBroadcast(&llama2_control->slot_freed);
	if (wake)
		wake_worker(model);
	free_payload(payload);
}

Llama2RequestSlot *
Llama2SlotClaim(int model, Llama2SessionTurn *sessions)
{
	static uint64 n_claims = 0;
	Llama2RequestSlot *best = NULL;

	LWLockAcquire(llama2_control->lock, LW_EXCLUSIVE);
	for (int i = llama2_control->queue_head; i >= 0; i = llama2_control->slots[i].next)
	{
		Llama2RequestSlot *slot = &llama2_control->slots[i];

		if (slot->model == model &&
			(best == NULL || comes_before(&sessions[slot->session], &sessions[best->session])))
			best = slot;
	}
	if (best)
	{
		best = begins_alike(best, sessions[best->session].beginning);
		sessions[best->session].beginning = best->beginning;
		sessions[best->session].last_turn = ++n_claims;
		unlink_from_queue(best);
		best->state = LLAMA2_SLOT_RUNNING;
		best->started_at = GetCurrentTimestamp();
	}
	LWLockRelease(llama2_control->lock);
	return best;
}

void
Llama2SlotFinish(Llama2RequestSlot *slot)
{
	Latch	   *owner = NULL;
	dsa_pointer payload = InvalidDsaPointer;

	LWLockAcquire(llama2_control->lock, LW_EXCLUSIVE);
	Assert(slot->state == LLAMA2_SLOT_RUNNING);
	if (slot->abandoned)
		payload = free_slot(slot);
	else
	{
		slot->state = LLAMA2_SLOT_DONE;
		owner = slot->owner_latch;
	}
	LWLockRelease(llama2_control->lock);

	if (owner)
		SetLatch(owner);
	else
		ConditionVariableBroadcast(&llama2_control->slot_freed);
	free_payload(payload);
}

void
Llama2SlotsFail(int model, uint64 generation, bool queued_too, const Llama2Failure *failure)
{
	for (int i = 0; i < llama2_control->n_slots; i++)
	{
		Llama2RequestSlot *slot = &llama2_control->slots[i];
		bool		failed = false;

		LWLockAcquire(llama2_control->lock, LW_EXCLUSIVE);
		if (slot->model == model && slot->model_generation == generation &&
			(slot->state == LLAMA2_SLOT_RUNNING ||
			 (queued_too && slot->state == LLAMA2_SLOT_QUEUED)))
		{
			if (slot->state == LLAMA2_SLOT_QUEUED)
				unlink_from_queue(slot);
			slot->state = LLAMA2_SLOT_RUNNING;
			slot->failure = *failure;
			failed = true;
		}
		LWLockRelease(llama2_control->lock);
		if (failed)
		{
			Llama2AddStatistic(failed, 1);
			Llama2SlotFinish(slot);
		}
	}
}

/* A session that keeps the queue full is not before others whenever it has nothing running. */
static bool
comes_before(const Llama2SessionTurn *session, const Llama2SessionTurn *other)
{
	if (session->n_running != other->n_running)
		return session->n_running < other->n_running;
	return session->last_turn < other->last_turn;
}

/* The first after a session's oldest slot that begins so, or the oldest.  The caller holds the lock. */
static Llama2RequestSlot *
begins_alike(Llama2RequestSlot *oldest, uint32 beginning)
{
	if (beginning == 0 || oldest->beginning == beginning || oldest->n_overtaken >= LLAMA2_MAX_OVERTAKEN)
		return oldest;
	for (int i = oldest->next; i >= 0; i = llama2_control->slots[i].next)
	{
		Llama2RequestSlot *slot = &llama2_control->slots[i];

		if (slot->model == oldest->model && slot->session == oldest->session && slot->beginning == beginning)
		{
			oldest->n_overtaken++;
			return slot;
		}
	}
	return oldest;
}

/* The caller holds the lock and the slot; the payload is the caller's to free. */
static dsa_pointer
free_slot(Llama2RequestSlot *slot)
{
	dsa_pointer payload = slot->payload;

	slot->payload = InvalidDsaPointer;
	slot->state = LLAMA2_SLOT_FREE;
	slot->owner_pid = 0;
	slot->next = llama2_control->free_list;
	llama2_control->free_list = Llama2SlotIndex(slot);
	llama2_control->n_free++;
	return payload;
}

static void
free_payload(dsa_pointer payload)
{
	if (DsaPointerIsValid(payload))
		dsa_free(Llama2PayloadArea(), payload);
}

/* The caller holds the lock. */
static void
unlink_from_queue(Llama2RequestSlot *slot)
{
	int			index = Llama2SlotIndex(slot);
	int			previous = -1;

	for (int i = llama2_control->queue_head; i != index; i = llama2_control->slots[i].next)
		previous = i;
	if (previous >= 0)
		llama2_control->slots[previous].next = slot->next;
	else
		llama2_control->queue_head = slot->next;
	if (llama2_control->queue_tail == index)
		llama2_control->queue_tail = previous;
	slot->next = -1;
}

/*
 * A worker that starts looks at the queue by itself, so that a latch read too
 * early costs nothing.
 */
static void
wake_worker(int model)
{
	Latch	   *latch;

	LWLockAcquire(llama2_control->lock, LW_SHARED);
	latch = llama2_control->models[model].worker_latch;
	LWLockRelease(llama2_control->lock);
	if (latch)
		SetLatch(latch);
}
