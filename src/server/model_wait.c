/*
 * model_wait.c
 *		Asking for a model, and waiting until it is in memory.
 *
 * However many ask, a model is loaded once: the first makes its entry STARTING, the others join.  Who
 * waits is counted in the entry, so that the last one to give up takes the load with it.
 */
#include "server/model_wait.h"

#include "storage/ipc.h"

#include "server/request.h"
#include "shared/compat.h"
#include "shared/model_table.h"

/* A load that this process has joined. */
typedef struct Joined
{
	int			index;
	uint64		generation;		/* 0: none */
	bool		is_counted;		/* among the load's waiters */
} Joined;

static int	find_ready(const char *name);
static int	find_or_ask(const char *name, Joined *joined, bool waits);
static void join(Joined *joined, int index, bool waits);
static void leave(Joined *joined);
static void leave_on_error(int code, Datum joined);
static void start_worker(int index, const char *name);

int
Llama2WaitForModel(const char *name)
{
	static uint32 wait_event = 0;
	Joined		joined = {0};
	int			index = find_ready(name);

	if (index >= 0)
		return index;
	PG_ENSURE_ERROR_CLEANUP(leave_on_error, PointerGetDatum(&joined));
	{
		for (;;)
		{
			ConditionVariablePrepareToSleep(&llama2_control->model_changed);
			index = find_or_ask(name, &joined, true);
			if (index >= 0)
				break;
			(void) ConditionVariableTimedSleep(&llama2_control->model_changed, 1000,
											   LLAMA2_WAIT_EVENT(wait_event, "Llama2ModelLoad"));
			Llama2CheckClient();
		}
		ConditionVariableCancelSleep();
	}
	PG_END_ENSURE_ERROR_CLEANUP(leave_on_error, PointerGetDatum(&joined));
	leave(&joined);
	return index;
}

bool
Llama2ModelIsReady(const char *name, uint64 *asked)
{
	Joined		joined = {.generation = *asked};
	int			index = find_or_ask(name, &joined, false);

	*asked = joined.generation;
	return index >= 0;
}

void
Llama2RaiseFailure(const Llama2Failure *failure)
{
	Llama2Failure copy = *failure;

	ereport(ERROR,
			(errcode(copy.sqlerrcode),
			 errmsg("%s", copy.message),
			 copy.detail[0] ? errdetail("%s", copy.detail) : 0,
			 copy.hint[0] ? errhint("%s", copy.hint) : 0));
}

static int
find_ready(const char *name)
{
	int			index;

	LWLockAcquire(llama2_control->lock, LW_SHARED);
	index = Llama2ModelFind(name);
	if (index >= 0 && (llama2_control->models[index].state != LLAMA2_MODEL_READY ||
					   llama2_control->models[index].context_length == 0))
		index = -1;
	LWLockRelease(llama2_control->lock);
	return index;
}

/*
 * The index of a model that is ready, or -1: then the load that is under way is joined, or one was asked for.  A failure
 * is raised where it is that of the load joined before; an older one is tried again.
 */
static int
find_or_ask(const char *name, Joined *joined, bool waits)
{
	Llama2Failure failure = {0};
	bool		asks = false;
	int			ready = -1;
	int			index;

	LWLockAcquire(llama2_control->lock, LW_EXCLUSIVE);
	index = Llama2ModelFind(name);
	if (index >= 0)
	{
		Llama2ModelEntry *entry = &llama2_control->models[index];

		if (entry->state == LLAMA2_MODEL_READY && entry->context_length != 0)
			ready = index;
		else if (entry->state == LLAMA2_MODEL_FAILED)
		{
			if (entry->generation == joined->generation)
				failure = entry->failure;
			else
				asks = true;
		}
		else if (entry->state != LLAMA2_MODEL_UNLOADING)
			join(joined, index, waits);
	}
	if (index < 0 || asks)
	{
		asks = true;
		index = Llama2ModelReserve(name);
		if (index >= 0)
			join(joined, index, waits);
	}
	LWLockRelease(llama2_control->lock);

	if (failure.sqlerrcode != 0)
	{
		ConditionVariableCancelSleep();
		Llama2RaiseFailure(&failure);
	}
	if (asks)
	{
		ConditionVariableCancelSleep();
		start_worker(index, name);
	}
	return ready;
}

/* The caller holds the lock. */
static void
join(Joined *joined, int index, bool waits)
{
	Llama2ModelEntry *entry = &llama2_control->models[index];

	if (entry->generation == joined->generation)
		return;
	joined->index = index;
	joined->generation = entry->generation;
	joined->is_counted = waits;
	if (waits)
		entry->n_waiters++;
}

/* A load that is still under way, and that nobody else waits for, ends with its last waiter. */
static void
leave(Joined *joined)
{
	Llama2ModelEntry *entry = &llama2_control->models[joined->index];
	bool		changed = false;

	if (!joined->is_counted)
		return;
	joined->is_counted = false;
	LWLockAcquire(llama2_control->lock, LW_EXCLUSIVE);
	if (entry->generation == joined->generation)
	{
		entry->n_waiters--;
		if (entry->n_waiters == 0 && !entry->by_server &&
			(entry->state == LLAMA2_MODEL_STARTING || entry->state == LLAMA2_MODEL_WAITING ||
			 entry->state == LLAMA2_MODEL_LOADING))
			changed = !Llama2ModelCancelLoad(joined->index);
	}
	LWLockRelease(llama2_control->lock);
	if (changed)
		ConditionVariableBroadcast(&llama2_control->model_changed);
}

static void
leave_on_error(int code, Datum joined)
{
	leave((Joined *) DatumGetPointer(joined));
}

static void
start_worker(int index, const char *name)
{
	if (index < 0)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("cannot load model \"%s\": %d models are resident already",
						name, LLAMA2_MAX_MODELS),
				 errhint("Unload one with llama2_unload().")));
	if (Llama2StartWorker(index))
		return;
	Llama2ModelSetState(index, LLAMA2_MODEL_UNUSED);
	ereport(ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("could not start a worker for model \"%s\"", name),
			 errhint("You might need to increase \"max_worker_processes\".")));
}
