/*
 * request.c
 *		A backend's side of a request.
 *
 * Every handle is on one list of this process.  Handles are released by their
 * users, or by the callback of the resource owner that was current when they were made:
 * that covers errors, cancelled statements, subtransactions, portals that close
 * early, and, since a dying backend aborts its transaction first, FATAL exits.
 */
#include "server/request.h"

#include "lib/ilist.h"
#include "libpq/libpq.h"
#include "libpq/libpq-be.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "shared/compat.h"
#include "shared/request_slot.h"

/* A wait looks this often at the worker and at the client, should a wake-up be lost. */
#define WAIT_TIMEOUT_MS 1000

struct Llama2Request
{
	dlist_node	node;
	ResourceOwner owner;
	Llama2RequestSlot *slot;
	char	   *payload;
};

static Llama2RequestSlot *take_slot(bool may_fail);
static void write_payload(Llama2Request *request, const Llama2RequestSpec *spec);
static void wait_for_worker(void);
static void release_with_owner(ResourceReleasePhase phase, bool is_commit, bool is_top_level,
							   void *arg);

static dlist_head requests = DLIST_STATIC_INIT(requests);
static int	n_requests = 0;
static Llama2Request *spare = NULL; /* a handle made before its slot, so that no error comes
									 * between */
static bool callback_registered = false;

Llama2Request *
Llama2RequestSubmit(const Llama2RequestSpec *spec, bool may_fail)
{
	Llama2Request *request;
	Llama2RequestSlot *slot;

	if (!callback_registered)
	{
		RegisterResourceReleaseCallback(release_with_owner, NULL);
		callback_registered = true;
	}
	(void) Llama2PayloadArea();
	if (spare == NULL)
		spare = MemoryContextAllocZero(TopMemoryContext, sizeof(Llama2Request));
	slot = take_slot(may_fail);
	if (slot == NULL)
		return NULL;
	request = spare;
	spare = NULL;
	request->slot = slot;
	request->payload = NULL;
	request->owner = CurrentResourceOwner;
	dlist_push_tail(&requests, &request->node);
	n_requests++;

	write_payload(request, spec);
	if (!Llama2SlotEnqueue(slot))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("model \"%s\" was unloaded while the statement ran", spec->model->name),
				 errhint("Run the statement again; the model is then loaded again.")));
	return request;
}

int32
Llama2RequestWait(Llama2Request *request, int32 n_seen)
{
	for (;;)
	{
		bool		done = Llama2RequestIsDone(request);
		int32		n_results;

		pg_read_barrier();
		n_results = (int32) pg_atomic_read_u32(&request->slot->n_results);
		pg_read_barrier();
		if (done || n_results > n_seen)
			return n_results;
		wait_for_worker();
	}
}

int32
Llama2RequestFinish(Llama2Request *request)
{
	int32		n_results = Llama2RequestWait(request, PG_INT32_MAX);

	if (request->slot->failure.sqlerrcode != 0)
		Llama2RaiseFailure(&request->slot->failure);
	return n_results;
}

bool
Llama2RequestIsDone(const Llama2Request *request)
{
	return *(volatile Llama2SlotState *) &request->slot->state == LLAMA2_SLOT_DONE;
}

const LlmTokenResult *
Llama2RequestResults(const Llama2Request *request)
{
	return (const LlmTokenResult *) (request->payload + request->slot->results_offset);
}

const Llama2RequestSlot *
Llama2RequestSlotOf(const Llama2Request *request)
{
	return request->slot;
}

void
Llama2RequestRelease(Llama2Request *request)
{
	Llama2SlotRelease(request->slot);
	dlist_delete(&request->node);
	n_requests--;
	if (spare)
		pfree(spare);
	spare = request;
}

void
Llama2CheckClient(void)
{
	if (MyProcPort != NULL && !pq_check_connection())
	{
		ClientConnectionLost = true;
		InterruptPending = true;
	}
	CHECK_FOR_INTERRUPTS();
}

/*
 * The queue is bounded: where every slot is taken the session waits here, unless it
 * holds slots itself, whose results it must then take first.
 */
static Llama2RequestSlot *
take_slot(bool may_fail)
{
	static uint32 wait_event = 0;
	Llama2RequestSlot *slot = Llama2SlotTake(n_requests);

	if (slot || may_fail)
		return slot;
	if (n_requests >= llama2_control->n_slots)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("this session holds all %d requests that the server allows", n_requests),
				 errhint("Read or close its streams, or increase \"llama2.max_requests\".")));
	ConditionVariablePrepareToSleep(&llama2_control->slot_freed);
	while ((slot = Llama2SlotTake(0)) == NULL)
	{
		(void) ConditionVariableTimedSleep(&llama2_control->slot_freed, WAIT_TIMEOUT_MS,
										   LLAMA2_WAIT_EVENT(wait_event, "Llama2QueueFull"));
		Llama2CheckClient();
	}
	ConditionVariableCancelSleep();
	return slot;
}

static void
write_payload(Llama2Request *request, const Llama2RequestSpec *spec)
{
	Llama2RequestSlot *slot = request->slot;
	Size		prompt_bytes = mul_size(sizeof(int32), spec->n_prompt);
	int32		n_results = spec->kind == LLM_GENERATE ? spec->max_tokens :
		spec->n_prompt - spec->score_from;
	Size		stops_bytes = 0;
	char	   *stops;

	for (int i = 0; i < spec->n_stops; i++)
		stops_bytes = add_size(stops_bytes, spec->stop_lengths[i]);

	slot->model = spec->model->index;
	slot->model_generation = spec->model->generation;
	slot->wake_each_token = spec->stream;
	slot->kind = spec->kind;
	slot->sampling = spec->sampling;
	slot->n_prompt = spec->n_prompt;
	slot->max_tokens = spec->max_tokens;
	slot->score_from = spec->score_from;
	slot->n_stops = spec->n_stops;
	slot->strip_leading_space = spec->strip_leading_space;
	slot->results_offset = MAXALIGN(prompt_bytes);
	slot->stops_offset = add_size(slot->results_offset, mul_size(sizeof(LlmTokenResult), n_results));
	slot->grammar_offset = MAXALIGN(add_size(slot->stops_offset, stops_bytes));
	slot->grammar_bytes = spec->grammar ? spec->grammar->size : 0;
	slot->on_limit = spec->on_limit;
	slot->payload = dsa_allocate(Llama2PayloadArea(), add_size(slot->grammar_offset, slot->grammar_bytes));
	request->payload = dsa_get_address(Llama2PayloadArea(), slot->payload);

	memcpy(request->payload, spec->prompt, prompt_bytes);
	stops = request->payload + slot->stops_offset;
	for (int i = 0; i < spec->n_stops; i++)
	{
		slot->stop_lengths[i] = spec->stop_lengths[i];
		memcpy(stops, spec->stops[i], spec->stop_lengths[i]);
		stops += spec->stop_lengths[i];
	}
	if (spec->grammar)
		memcpy(request->payload + slot->grammar_offset, spec->grammar, slot->grammar_bytes);
}

/*
 * Sleep until the worker or somebody else sets the latch.  A client that is gone
 * ends the process as it would at its next read.
 */
static void
wait_for_worker(void)
{
	static uint32 wait_event = 0;
	uint32		event = LLAMA2_WAIT_EVENT(wait_event, "Llama2WaitToken");

#if PG_VERSION_NUM >= 150000
	if (MyProcPort != NULL && WaitEventSetCanReportClosed())
	{
		WaitEvent	occurred = {0};

		ModifyWaitEvent(FeBeWaitSet, FeBeWaitSetSocketPos, WL_SOCKET_CLOSED, NULL);
		if (WaitEventSetWait(FeBeWaitSet, WAIT_TIMEOUT_MS, &occurred, 1, event) > 0 &&
			(occurred.events & WL_SOCKET_CLOSED))
		{
			ClientConnectionLost = true;
			InterruptPending = true;
		}
		if (occurred.events & WL_POSTMASTER_DEATH)
			proc_exit(1);
	}
	else
#endif
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 WAIT_TIMEOUT_MS, event);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

static void
release_with_owner(ResourceReleasePhase phase, bool is_commit, bool is_top_level, void *arg)
{
	dlist_mutable_iter iter;

	if (phase != RESOURCE_RELEASE_BEFORE_LOCKS)
		return;
	dlist_foreach_modify(iter, &requests)
	{
		Llama2Request *request = dlist_container(Llama2Request, node, iter.cur);

		if (request->owner == CurrentResourceOwner)
			Llama2RequestRelease(request);
	}
}
