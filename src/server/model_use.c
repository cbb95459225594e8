/*
 * model_use.c
 *		A backend's view of a resident model.
 *
 * The vocabulary is mapped once for each model and kept; a model that was loaded
 * anew has another generation, and is mapped again.
 */
#include "server/model_use.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "server/parameters.h"
#include "server/request.h"
#include "shared/compat.h"
#include "shared/model_table.h"

static int	wait_until_ready(const char *name);
static int	find_or_ask(const char *name, bool *asked);
static int	ask_for_worker(const char *name);
static void map_vocabulary(Llama2Model *model, int index);

static Llama2Model mapped[LLAMA2_MAX_MODELS];

void
Llama2RequirePreload(void)
{
	if (llama2_control == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("llama2 must be loaded with \"shared_preload_libraries\""),
				 errhint("Add llama2 to \"shared_preload_libraries\" in postgresql.conf and restart the server.")));
}

const Llama2Model *
Llama2UseModel(const char *name)
{
	int			index;

	Llama2RequirePreload();
	if (name == NULL)
		name = llama2_model;
	if (!Llama2ModelNameIsValid(name))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid model name \"%s\"", name),
				 errhint("A model's name is its file's name without \".gguf\"; llama2_models() lists them.")));

	for (;;)
	{
		Llama2Model *model;
		bool		current;

		index = wait_until_ready(name);
		model = &mapped[index];
		LWLockAcquire(llama2_control->lock, LW_SHARED);
		current = model->segment != NULL &&
			model->generation == llama2_control->models[index].generation;
		model->context_length = llama2_control->models[index].context_length;
		LWLockRelease(llama2_control->lock);
		if (!current)
			map_vocabulary(model, index);
		if (model->segment != NULL)
			return model;
	}
}

bool
Llama2ModelIsReady(const char *name, bool *asked)
{
	return find_or_ask(name, asked) >= 0;
}

void
Llama2RaiseFailure(const Llama2Failure *failure)
{
	Llama2Failure copy = *failure;

	ereport(ERROR,
			(errcode(copy.sqlerrcode),
			 errmsg("%s", copy.message),
			 copy.hint[0] ? errhint("%s", copy.hint) : 0));
}

/*
 * Wait until the model is resident and its worker has said what context it serves; asks
 * for a worker where nobody did.  Returns its index.
 */
static int
wait_until_ready(const char *name)
{
	static uint32 wait_event = 0;
	bool		asked = false;
	int			index;

	for (;;)
	{
		ConditionVariablePrepareToSleep(&llama2_control->model_changed);
		index = find_or_ask(name, &asked);
		if (index >= 0)
			break;
		(void) ConditionVariableTimedSleep(&llama2_control->model_changed, 1000,
										   LLAMA2_WAIT_EVENT(wait_event, "Llama2ModelLoad"));
		Llama2CheckClient();
	}
	ConditionVariableCancelSleep();
	return index;
}

/* The index of a model that is ready, or -1. */
static int
find_or_ask(const char *name, bool *asked)
{
	Llama2ModelState state = LLAMA2_MODEL_UNUSED;
	Llama2Failure failure = {0};
	int			index;

	LWLockAcquire(llama2_control->lock, LW_SHARED);
	index = Llama2ModelFind(name);
	if (index >= 0)
	{
		state = llama2_control->models[index].state;
		if (state == LLAMA2_MODEL_READY && llama2_control->models[index].context_length == 0)
			state = LLAMA2_MODEL_LOADING;
		failure = llama2_control->models[index].failure;
	}
	LWLockRelease(llama2_control->lock);

	if (state == LLAMA2_MODEL_READY)
		return index;
	if (state == LLAMA2_MODEL_FAILED && *asked)
	{
		ConditionVariableCancelSleep();
		Llama2RaiseFailure(&failure);
	}
	if (state == LLAMA2_MODEL_UNUSED || state == LLAMA2_MODEL_FAILED)
	{
		ConditionVariableCancelSleep();
		(void) ask_for_worker(name);
	}
	*asked = true;
	return -1;
}

static int
ask_for_worker(const char *name)
{
	int			index;
	bool		reserved = false;

	LWLockAcquire(llama2_control->lock, LW_EXCLUSIVE);
	index = Llama2ModelFind(name);
	if (index < 0 || llama2_control->models[index].state == LLAMA2_MODEL_FAILED)
	{
		index = Llama2ModelReserve(name);
		reserved = index >= 0;
	}
	LWLockRelease(llama2_control->lock);

	if (index < 0)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("cannot load model \"%s\": %d models are resident already",
						name, LLAMA2_MAX_MODELS),
				 errhint("Unload one with llama2_unload().")));
	if (reserved && !Llama2StartWorker(index))
	{
		Llama2ModelSetState(index, LLAMA2_MODEL_UNUSED);
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("could not start a worker for model \"%s\"", name),
				 errhint("You might need to increase \"max_worker_processes\".")));
	}
	return index;
}

/* Leaves model->segment NULL where the model went away meanwhile. */
static void
map_vocabulary(Llama2Model *model, int index)
{
	Llama2ModelEntry *entry = &llama2_control->models[index];
	dsm_handle	handle;
	MemoryContext old;

	if (model->segment)
		dsm_detach(model->segment);
	model->segment = NULL;

	LWLockAcquire(llama2_control->lock, LW_SHARED);
	handle = entry->state == LLAMA2_MODEL_READY ? entry->vocabulary_handle : DSM_HANDLE_INVALID;
	model->index = index;
	model->generation = entry->generation;
	model->context_length = entry->context_length;
	strlcpy(model->name, entry->name, sizeof(model->name));
	LWLockRelease(llama2_control->lock);
	if (handle == DSM_HANDLE_INVALID)
		return;

	old = MemoryContextSwitchTo(TopMemoryContext);
	model->segment = dsm_attach(handle);
	MemoryContextSwitchTo(old);
	if (model->segment == NULL)
		return;
	dsm_pin_mapping(model->segment);
	model->vocabulary = dsm_segment_address(model->segment);
}
