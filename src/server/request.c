/*
 * request.c
 *		A backend's side of a request.
 *
 * Every handle is on one list of this process.  Handles are released by their
 * users, or by the callback of the resource owner that was current when they were made:
 * that covers errors, cancelled statements, subtransactions, portals that close
 * early, and, since a dying backend aborts its transaction first, FATAL exits.
 *
 * A request that is done can be collected: its outcome is copied and its slot is free.  That is
 * how a process that needs a slot, and holds some itself, never waits for itself.
 */
#include "server/request.h"

#include "common/hashfn.h"
#include "lib/ilist.h"
#include "libpq/libpq.h"
#include "libpq/libpq-be.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "server/model_wait.h"
#include "shared/compat.h"
#include "shared/request_slot.h"

/* A wait looks this often at the worker and at the client, should a wake-up be lost. */
#define WAIT_TIMEOUT_MS 1000

struct Llama2Request
{
	dlist_node	node;
	ResourceOwner owner;
	Llama2RequestSlot *slot;	/* once collected: a copy, with the results behind it */
	char	   *payload;
	bool		is_collected;
	bool		is_stream;
	int			n_users;
};

static Llama2Request *make_request(const Llama2RequestSpec *spec, bool may_fail);
static Llama2RequestSlot *take_slot(bool may_fail);
static bool collect_one(bool may_wait);
static void collect(Llama2Request *request);
static void drop(Llama2Request *request);
static int32 most_results(const Llama2RequestSpec *spec);
static Size result_size(LlmRequestKind kind);
static void write_payload(Llama2Request *request, const Llama2RequestSpec *spec);
static void release_with_owner(ResourceReleasePhase phase, bool is_commit, bool is_top_level,
							   void *arg);

static dlist_head requests = DLIST_STATIC_INIT(requests);
static int	n_held = 0;			/* slots that these have */
static uint64 n_lost = 0;
static Llama2Request *spare = NULL; /* a handle made before its slot, so that no error comes
									 * between */
static bool callback_registered = false;

/*
 * A model that went since its prompt was made is waited for; its prompt is still good where its vocabulary is.
 */
Llama2Request *
Llama2RequestSubmit(const Llama2RequestSpec *spec, bool may_fail)
{
	Llama2Request *request;

	if (!callback_registered)
	{
		RegisterResourceReleaseCallback(release_with_owner, NULL);
		callback_registered = true;
	}
	(void) Llama2PayloadArea();
	while ((request = make_request(spec, may_fail)) != NULL)
	{
		if (Llama2SlotEnqueue(request->slot))
			return request;
		drop(request);
		if (may_fail)
			return NULL;
		if (Llama2UseModel(spec->model->name) != spec->model)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("model \"%s\" was loaded from another file while the statement ran", spec->model->name),
					 errhint("Run the statement again.")));
	}
	return NULL;
}

Size
Llama2ResultsBytes(const Llama2RequestSpec *spec)
{
	return mul_size(result_size(spec->kind), most_results(spec));
}

Size
Llama2TopBytes(const Llama2RequestSpec *spec)
{
	return mul_size(sizeof(LlmSample) * spec->n_top, most_results(spec));
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
		Llama2WaitForWorker();
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

bool
Llama2RequestFailed(const Llama2Request *request)
{
	return Llama2RequestIsDone(request) && request->slot->failure.sqlerrcode != 0;
}

const LlmTokenResult *
Llama2RequestResults(const Llama2Request *request)
{
	return (const LlmTokenResult *) (request->payload + request->slot->results_offset);
}

const float *
Llama2RequestVector(const Llama2Request *request, int *n)
{
	*n = (int) pg_atomic_read_u32(&request->slot->n_results);
	return (const float *) (request->payload + request->slot->results_offset);
}

const LlmSample *
Llama2RequestTop(const Llama2Request *request, int32 result)
{
	return (const LlmSample *) (request->payload + request->slot->top_offset) + (Size) result * request->slot->n_top;
}

const Llama2RequestSlot *
Llama2RequestSlotOf(const Llama2Request *request)
{
	return request->slot;
}

void
Llama2RequestGiveTo(Llama2Request *request, ResourceOwner owner)
{
	request->owner = owner;
}

Llama2Request *
Llama2RequestShare(Llama2Request *request)
{
	request->n_users++;
	return request;
}

const char *
Llama2FinishReasonName(LlmFinishReason reason)
{
	switch (reason)
	{
		case LLM_FINISH_STOP:
			return "stop";
		case LLM_FINISH_LENGTH:
			return "length";
		case LLM_FINISH_CANCELLED:
			return "cancelled";
		case LLM_FINISH_INCOMPLETE:
		case LLM_FINISH_FAILED:
		case LLM_FINISH_NONE:
			break;
	}
	return "none";
}

void
Llama2RequestRelease(Llama2Request *request)
{
	if (--request->n_users == 0)
		drop(request);
}

void
Llama2CollectAnswers(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &requests)
	{
		Llama2Request *request = dlist_container(Llama2Request, node, iter.cur);

		if (!request->is_collected && !request->is_stream && Llama2RequestIsDone(request))
			collect(request);
	}
}

/*
 * Sleep until the worker or somebody else sets the latch.  A client that is gone
 * ends the process as it would at its next read.
 */
void
Llama2WaitForWorker(void)
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

uint64
Llama2CountLostRequests(void)
{
	return n_lost;
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

/* With its slot and payload, not queued; NULL where no slot is to be had. */
static Llama2Request *
make_request(const Llama2RequestSpec *spec, bool may_fail)
{
	Llama2Request *request;
	Llama2RequestSlot *slot;

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
	request->is_collected = false;
	request->is_stream = spec->stream;
	request->n_users = 1;
	dlist_push_tail(&requests, &request->node);
	n_held++;
	write_payload(request, spec);
	return request;
}

/*
 * The queue is bounded: where every slot is taken the process first takes the answers that it has not read
 * yet, which need nobody's help to come, and waits for others only when it holds no slot but those of streams that still run.
 */
static Llama2RequestSlot *
take_slot(bool may_fail)
{
	static uint32 wait_event = 0;
	Llama2RequestSlot *slot;

	if (may_fail)
		return Llama2SlotTakeSpare(n_held);
	while ((slot = Llama2SlotTake(n_held)) == NULL)
	{
		if (!collect_one(true))
			break;
	}
	if (slot)
		return slot;
	ConditionVariablePrepareToSleep(&llama2_control->slot_freed);
	while ((slot = Llama2SlotTake(n_held)) == NULL)
	{
		(void) ConditionVariableTimedSleep(&llama2_control->slot_freed, WAIT_TIMEOUT_MS,
										   LLAMA2_WAIT_EVENT(wait_event, "Llama2QueueFull"));
		Llama2CheckClient();
		(void) collect_one(false);
	}
	ConditionVariableCancelSleep();
	return slot;
}

/*
 * Free the slot of one's own request that is done, or that will be first and is no stream, which may run for long; false where there
 * is none.
 */
static bool
collect_one(bool may_wait)
{
	dlist_iter	iter;
	Llama2Request *chosen = NULL;

	dlist_foreach(iter, &requests)
	{
		Llama2Request *request = dlist_container(Llama2Request, node, iter.cur);

		if (request->is_collected)
			continue;
		if (Llama2RequestIsDone(request))
		{
			chosen = request;
			break;
		}
		if (chosen == NULL && may_wait && !request->is_stream)
			chosen = request;
	}
	if (chosen == NULL)
		return false;
	(void) Llama2RequestWait(chosen, PG_INT32_MAX);
	collect(chosen);
	return true;
}

/* Of a request that is done. */
static void
collect(Llama2Request *request)
{
	int32		n_results = Llama2RequestWait(request, PG_INT32_MAX);
	Size		bytes = mul_size(result_size(request->slot->kind), n_results);
	Size		top_bytes = mul_size(sizeof(LlmSample) * request->slot->n_top, n_results);
	Size		top_offset = MAXALIGN(add_size(MAXALIGN(sizeof(Llama2RequestSlot)), bytes));
	char	   *copy = MemoryContextAllocHuge(TopMemoryContext, add_size(top_offset, top_bytes));
	Llama2RequestSlot *slot = (Llama2RequestSlot *) copy;

	*slot = *request->slot;
	slot->results_offset = MAXALIGN(sizeof(Llama2RequestSlot));
	slot->top_offset = top_offset;
	if (bytes > 0)
		memcpy(copy + slot->results_offset, Llama2RequestResults(request), bytes);
	if (top_bytes > 0)
		memcpy(copy + slot->top_offset, Llama2RequestTop(request, 0), top_bytes);
	Llama2SlotRelease(request->slot);
	n_held--;
	request->slot = slot;
	request->payload = copy;
	request->is_collected = true;
}

static void
drop(Llama2Request *request)
{
	dlist_delete(&request->node);
	if (request->is_collected)
		pfree(request->slot);
	else
	{
		Llama2SlotRelease(request->slot);
		n_held--;
	}
	if (spare)
		pfree(spare);
	spare = request;
}

static int32
most_results(const Llama2RequestSpec *spec)
{
	return spec->kind == LLM_GENERATE ? spec->max_tokens :
		spec->kind == LLM_SCORE ? spec->n_prompt - spec->score_from : spec->model->dim;
}

static Size
result_size(LlmRequestKind kind)
{
	return kind == LLM_EMBED ? sizeof(float) : sizeof(LlmTokenResult);
}

static void
write_payload(Llama2Request *request, const Llama2RequestSpec *spec)
{
	Llama2RequestSlot *slot = request->slot;
	Size		prompt_bytes = mul_size(sizeof(int32), spec->n_prompt);
	Size		stops_bytes = 0;
	char	   *stops;

	for (int i = 0; i < spec->n_stops; i++)
		stops_bytes = add_size(stops_bytes, spec->stop_lengths[i]);

	slot->model = spec->model->index;
	slot->model_generation = spec->model->generation;
	slot->wake_each_token = spec->stream;
	slot->gives_way = spec->gives_way;
	slot->kind = spec->kind;
	slot->sampling = spec->sampling;
	slot->n_prompt = spec->n_prompt;
	if (spec->n_prompt >= LLAMA2_BEGINNING_TOKENS)
		slot->beginning = Max(hash_bytes((const unsigned char *) spec->prompt, LLAMA2_BEGINNING_TOKENS * sizeof(int32)), 1);
	slot->max_tokens = spec->max_tokens;
	slot->context_length = spec->context_length;
	slot->shift_context = spec->shift_context;
	slot->n_keep = spec->n_keep;
	slot->n_top = spec->n_top;
	slot->score_from = spec->score_from;
	slot->pooling = spec->pooling;
	slot->normalize = spec->normalize;
	slot->dim = spec->model->dim;
	slot->n_stops = spec->n_stops;
	slot->strip_leading_space = spec->strip_leading_space;
	slot->results_offset = MAXALIGN(prompt_bytes);
	slot->top_offset = MAXALIGN(add_size(slot->results_offset, Llama2ResultsBytes(spec)));
	slot->stops_offset = add_size(slot->top_offset, Llama2TopBytes(spec));
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
		{
			drop(request);
			n_lost++;
		}
	}
}
