/*
 * residency.c
 *		The model in shared memory: loading it once, attaching to it after a restart.
 *
 * Weights and vocabulary are two pinned DSM segments.  They are pinned only
 * when they are complete, so that a worker that dies while loading leaves
 * nothing behind; once pinned they outlive any worker.
 */
#include "worker/worker.h"

#include <sys/mman.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "server/parameters.h"
#include "shared/compat.h"
#include "shared/model_memory.h"

/* A load waits so long for others to become idle before busy ones are asked to go. */
#define PATIENCE_MS 2000

/* How often it looks, should nobody tell. */
#define CLAIM_AGAIN_MS 20

static void attach_model(Llama2Resident *resident);
static void load_model(Llama2Resident *resident);
static void claim_memory(int model, const LlmModelFile *file, const Llama2MemoryPlan *plan);
static bool map_vocabulary(Llama2Resident *resident, LlmModelFile *file, uint64 size, LlmError *error);
static bool publish(Llama2Resident *resident, const LlmModelFile *file, TimestampTz started_at);
static dsm_segment *create_segment(int model, uint64 size, const char *what);
static bool report_progress(void *arg, uint64_t bytes_done, uint64_t bytes_total);
pg_noreturn static void give_up_on_error(int model, const LlmError *error);

void
Llama2MakeResident(Llama2Resident *resident, int model)
{
	Llama2ModelState state;
	bool		is_loaded;

	memset(resident, 0, sizeof(*resident));
	resident->model = model;

	LWLockAcquire(llama2_control->lock, LW_SHARED);
	state = llama2_control->models[model].state;
	is_loaded = llama2_control->models[model].image_handle != DSM_HANDLE_INVALID;
	LWLockRelease(llama2_control->lock);

	if (is_loaded)
		attach_model(resident);
	else if (state == LLAMA2_MODEL_UNLOADING)
		Llama2BreakOff(model);
	else
		load_model(resident);
}

void
Llama2Unload(Llama2Resident *resident)
{
	Llama2ModelEntry *entry = &llama2_control->models[resident->model];
	uint64		generation = entry->generation;
	char		name[LLAMA2_MODEL_NAME_LENGTH];
	Llama2Failure failure;

	strlcpy(name, entry->name, sizeof(name));
	llm_model_detach(&resident->weights);
	Llama2UnpinWeights(entry);
	dsm_detach(resident->image_segment);
	dsm_detach(resident->vocabulary_segment);

	LWLockAcquire(llama2_control->lock, LW_EXCLUSIVE);
	entry->worker_pid = 0;
	entry->worker_latch = NULL;
	entry->memory_bytes = entry->vocabulary_bytes;
	entry->state = LLAMA2_MODEL_UNUSED;
	LWLockRelease(llama2_control->lock);
	ConditionVariableBroadcast(&llama2_control->model_changed);
	Llama2SetFailure(&failure, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
					 "the model was unloaded while the request waited",
					 "Run the statement again; the model is then loaded again.");
	Llama2SlotsFail(resident->model, generation, true, &failure);
	ereport(LOG, (errmsg("llama2 model \"%s\" is unloaded", name)));
}

void
Llama2UnpinWeights(Llama2ModelEntry *entry)
{
	if (entry->image_handle == DSM_HANDLE_INVALID)
		return;
	dsm_unpin_segment(entry->image_handle);
	entry->image_handle = DSM_HANDLE_INVALID;
}

static void
attach_model(Llama2Resident *resident)
{
	Llama2ModelEntry *entry = &llama2_control->models[resident->model];
	LlmError	error = {0};

	resident->image_segment = dsm_attach(entry->image_handle);
	resident->vocabulary_segment = dsm_attach(entry->vocabulary_handle);
	if (resident->image_segment == NULL || resident->vocabulary_segment == NULL)
		Llama2GiveUp(resident->model, ERRCODE_INTERNAL_ERROR,
					 "the model's shared memory is gone", NULL);
	dsm_pin_mapping(resident->image_segment);
	dsm_pin_mapping(resident->vocabulary_segment);
	resident->vocabulary = dsm_segment_address(resident->vocabulary_segment);
	if (!llm_model_attach(dsm_segment_address(resident->image_segment), entry->image_bytes,
						  &resident->weights, &error))
		give_up_on_error(resident->model, &error);
}

static void
load_model(Llama2Resident *resident)
{
	Llama2ModelEntry *entry = &llama2_control->models[resident->model];
	char	   *path = Llama2ModelPath(entry->name);
	LlmError	error = {0};
	LlmModelFile *file;
	TimestampTz started_at = GetCurrentTimestamp();
	Llama2MemoryPlan plan;
	void	   *image;

	file = llm_model_open(path, &error);
	if (file == NULL)
	{
		ereport(LOG, (errmsg("could not open llama2 model file \"%s\": %s", path, error.message)));
		give_up_on_error(resident->model, &error);
	}
	if (!Llama2PlanMemory(file, &plan, &error))
		give_up_on_error(resident->model, &error);
	claim_memory(resident->model, file, &plan);
	pgstat_report_activity(STATE_RUNNING, "loading the model");

	resident->image_segment = create_segment(resident->model, plan.image_bytes, "weights");
	image = dsm_segment_address(resident->image_segment);
	(void) madvise(image, plan.image_bytes, MADV_HUGEPAGE);
	if (!map_vocabulary(resident, file, plan.vocabulary_bytes, &error) ||
		!llm_model_load_image(file, image, plan.image_bytes, Llama2WorkerThreads(),
							  report_progress, entry, &error) ||
		!llm_model_attach(image, plan.image_bytes, &resident->weights, &error))
	{
		CHECK_FOR_INTERRUPTS();
		if (pg_atomic_read_u32(&entry->stop) != 0)
			Llama2BreakOff(resident->model);
		ereport(LOG, (errmsg("could not load llama2 model file \"%s\": %s", path, error.message)));
		give_up_on_error(resident->model, &error);
	}
	if (!publish(resident, file, started_at))
		Llama2BreakOff(resident->model);
	llm_model_close(file);

	ereport(LOG, (errmsg("llama2 model \"%s\" is loaded: %s, %.1f MB in %.0f ms", entry->name,
						 entry->config.type_name, (double) entry->image_bytes / 1e6, entry->load_ms)));
	pfree(path);
}

/*
 * Nothing is allocated before there is room for all that the model will need.  Idle models go at once, busy
 * ones are asked to when some time has passed.
 */
static void
claim_memory(int model, const LlmModelFile *file, const Llama2MemoryPlan *plan)
{
	static uint32 wait_event = 0;
	Llama2ModelEntry *entry = &llama2_control->models[model];
	TimestampTz started_at = GetCurrentTimestamp();
	Llama2SystemMemory system;
	Llama2Failure failure;
	Llama2ClaimResult result;

	LWLockAcquire(llama2_control->lock, LW_EXCLUSIVE);
	entry->config = *llm_model_file_config(file);
	entry->file = llm_model_file_identity(file);
	entry->file_bytes = llm_model_file_bytes(file);
	entry->image_bytes = plan->image_bytes;
	entry->kv_bytes = plan->kv_bytes;
	entry->activation_bytes = plan->activation_bytes;
	LWLockRelease(llama2_control->lock);

	for (;;)
	{
		ConditionVariablePrepareToSleep(&llama2_control->model_changed);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		if (pg_atomic_read_u32(&entry->stop) != 0)
			Llama2BreakOff(model);
		Llama2ReadSystemMemory(&system);
		result = Llama2ClaimMemory(model, plan, &system,
								   TimestampDifferenceExceeds(started_at, GetCurrentTimestamp(), PATIENCE_MS),
								   &failure);
		if (result != LLAMA2_CLAIM_WAITS)
			break;
		pgstat_report_activity(STATE_RUNNING, "waiting for memory");
		(void) ConditionVariableTimedSleep(&llama2_control->model_changed, CLAIM_AGAIN_MS,
										   LLAMA2_WAIT_EVENT(wait_event, "Llama2ModelMemory"));
	}
	ConditionVariableCancelSleep();
	if (result == LLAMA2_CLAIM_REFUSED)
	{
		ereport(LOG,
				(errmsg("%s", failure.message), errdetail("%s", failure.detail), errhint("%s", failure.hint)));
		Llama2GiveUpWith(model, &failure);
	}
	ConditionVariableBroadcast(&llama2_control->model_changed);
}

/*
 * The vocabulary that the entry remembers is taken where it is the file's, to the byte: then whoever has mapped it
 * need not know that the model was away.
 */
static bool
map_vocabulary(Llama2Resident *resident, LlmModelFile *file, uint64 size, LlmError *error)
{
	Llama2ModelEntry *entry = &llama2_control->models[resident->model];
	void	   *built = MemoryContextAllocExtended(TopMemoryContext, size, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	bool		done = llm_model_build_vocabulary(file, built, size, error);

	if (done && entry->vocabulary_handle != DSM_HANDLE_INVALID && entry->vocabulary_bytes == size)
	{
		resident->vocabulary_segment = dsm_attach(entry->vocabulary_handle);
		if (resident->vocabulary_segment &&
			memcmp(dsm_segment_address(resident->vocabulary_segment), built, size) != 0)
		{
			dsm_detach(resident->vocabulary_segment);
			resident->vocabulary_segment = NULL;
		}
	}
	if (done && resident->vocabulary_segment == NULL)
	{
		resident->vocabulary_segment = create_segment(resident->model, size, "vocabulary");
		memcpy(dsm_segment_address(resident->vocabulary_segment), built, size);
	}
	if (done)
		resident->vocabulary = dsm_segment_address(resident->vocabulary_segment);
	pfree(built);
	return done;
}

/* The model is complete: from now on it outlives its worker.  False where nobody wants it any more. */
static bool
publish(Llama2Resident *resident, const LlmModelFile *file, TimestampTz started_at)
{
	Llama2ModelEntry *entry = &llama2_control->models[resident->model];
	dsm_handle	vocabulary_handle = dsm_segment_handle(resident->vocabulary_segment);

	dsm_pin_mapping(resident->image_segment);
	dsm_pin_mapping(resident->vocabulary_segment);

	LWLockAcquire(llama2_control->lock, LW_EXCLUSIVE);
	if (entry->state != LLAMA2_MODEL_LOADING)
	{
		LWLockRelease(llama2_control->lock);
		return false;
	}
	dsm_pin_segment(resident->image_segment);
	entry->image_handle = dsm_segment_handle(resident->image_segment);
	if (entry->vocabulary_handle != vocabulary_handle)
	{
		dsm_pin_segment(resident->vocabulary_segment);
		if (entry->vocabulary_handle != DSM_HANDLE_INVALID)
			dsm_unpin_segment(entry->vocabulary_handle);
		entry->vocabulary_handle = vocabulary_handle;
		entry->vocabulary_bytes = llm_model_vocabulary_size(file);
		entry->vocabulary_generation = ++llama2_control->next_generation;
	}
	entry->loaded_at = GetCurrentTimestamp();
	entry->load_ms = (double) (entry->loaded_at - started_at) / 1000.0;
	entry->state = LLAMA2_MODEL_READY;
	LWLockRelease(llama2_control->lock);
	Llama2AddStatistic(model_loads, 1);
	ConditionVariableBroadcast(&llama2_control->model_changed);
	return true;
}

/*
 * dsm_create raises an error where the system's shared memory is too small: that becomes
 * the model's failure, with what to change.
 */
static dsm_segment *
create_segment(int model, uint64 size, const char *what)
{
	dsm_segment *segment = NULL;
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		segment = dsm_create(size, 0);
	}
	PG_CATCH();
	{
		ErrorData  *error;
		char		message[LLAMA2_ERROR_LENGTH];

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		snprintf(message, sizeof(message), "could not claim " UINT64_FORMAT " MB of shared memory for the %s of model \"%s\": %s",
				 size / 1000000 + 1, what, llama2_control->models[model].name, error->message);
		Llama2GiveUp(model, error->sqlerrcode, message,
					 "Enlarge /dev/shm (a container's --shm-size), or see the parameters "
					 "min_dynamic_shared_memory and dynamic_shared_memory_type.");
	}
	PG_END_TRY();
	return segment;
}

static bool
report_progress(void *arg, uint64_t bytes_done, uint64_t bytes_total)
{
	Llama2ModelEntry *entry = arg;

	pg_atomic_write_u64(&entry->bytes_done, bytes_done);
	return pg_atomic_read_u32(&entry->stop) == 0 && !Llama2WorkerShouldStop();
}

static void
give_up_on_error(int model, const LlmError *error)
{
	Llama2Failure failure;

	Llama2ModelFailure(llama2_control->models[model].name, error, &failure);
	Llama2GiveUpWith(model, &failure);
}
