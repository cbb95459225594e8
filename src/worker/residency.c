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
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "server/parameters.h"

static void attach_model(Llama2Resident *resident);
static void load_model(Llama2Resident *resident);
static void check_memory_plan(Llama2Resident *resident, LlmModelFile *file);
static dsm_segment *create_segment(int model, uint64 size, const char *what);
static bool report_progress(void *arg, uint64_t bytes_done, uint64_t bytes_total);
static void give_up_on_error(int model, const LlmError *error) pg_attribute_noreturn();

void
Llama2MakeResident(Llama2Resident *resident, int model)
{
	Llama2ModelState state;

	memset(resident, 0, sizeof(*resident));
	resident->model = model;

	LWLockAcquire(llama2_control->lock, LW_SHARED);
	state = llama2_control->models[model].state;
	LWLockRelease(llama2_control->lock);

	if (state == LLAMA2_MODEL_READY || state == LLAMA2_MODEL_UNLOADING)
		attach_model(resident);
	else
		load_model(resident);
}

void
Llama2Unload(Llama2Resident *resident)
{
	Llama2ModelEntry *entry = &llama2_control->models[resident->model];
	char		name[LLAMA2_MODEL_NAME_LENGTH];

	strlcpy(name, entry->name, sizeof(name));
	llm_model_detach(&resident->weights);
	Llama2UnpinSegments(entry);
	dsm_detach(resident->image_segment);
	dsm_detach(resident->vocabulary_segment);

	LWLockAcquire(llama2_control->lock, LW_EXCLUSIVE);
	entry->worker_pid = 0;
	entry->worker_latch = NULL;
	LWLockRelease(llama2_control->lock);
	Llama2ModelSetState(resident->model, LLAMA2_MODEL_UNUSED);
	Llama2SlotsFail(resident->model, true, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
					"the model was unloaded while the request waited",
					"Run the statement again; the model is then loaded again.");
	ereport(LOG, (errmsg("llama2 model \"%s\" is unloaded", name)));
}

void
Llama2UnpinSegments(Llama2ModelEntry *entry)
{
	if (entry->image_handle == DSM_HANDLE_INVALID)
		return;
	dsm_unpin_segment(entry->image_handle);
	dsm_unpin_segment(entry->vocabulary_handle);
	entry->image_handle = entry->vocabulary_handle = DSM_HANDLE_INVALID;
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
	void	   *image;

	Llama2ModelSetState(resident->model, LLAMA2_MODEL_LOADING);
	pgstat_report_activity(STATE_RUNNING, "loading the model");

	file = llm_model_open(path, &error);
	if (file == NULL)
	{
		ereport(LOG, (errmsg("could not open llama2 model file \"%s\": %s", path, error.message)));
		give_up_on_error(resident->model, &error);
	}
	check_memory_plan(resident, file);

	LWLockAcquire(llama2_control->lock, LW_EXCLUSIVE);
	entry->config = *llm_model_file_config(file);
	entry->file_bytes = llm_model_file_bytes(file);
	entry->image_bytes = llm_model_image_size(file);
	entry->vocabulary_bytes = llm_model_vocabulary_size(file);
	LWLockRelease(llama2_control->lock);

	resident->image_segment = create_segment(resident->model, entry->image_bytes, "weights");
	resident->vocabulary_segment = create_segment(resident->model, entry->vocabulary_bytes, "vocabulary");
	image = dsm_segment_address(resident->image_segment);
	(void) madvise(image, entry->image_bytes, MADV_HUGEPAGE);
	resident->vocabulary = dsm_segment_address(resident->vocabulary_segment);

	if (!llm_model_build_vocabulary(file, dsm_segment_address(resident->vocabulary_segment),
									entry->vocabulary_bytes, &error) ||
		!llm_model_load_image(file, image, entry->image_bytes, Llama2WorkerThreads(),
							  report_progress, entry, &error) ||
		!llm_model_attach(image, entry->image_bytes, &resident->weights, &error))
	{
		CHECK_FOR_INTERRUPTS();
		ereport(LOG, (errmsg("could not load llama2 model file \"%s\": %s", path, error.message)));
		give_up_on_error(resident->model, &error);
	}
	llm_model_close(file);

	dsm_pin_segment(resident->image_segment);
	dsm_pin_segment(resident->vocabulary_segment);
	dsm_pin_mapping(resident->image_segment);
	dsm_pin_mapping(resident->vocabulary_segment);

	LWLockAcquire(llama2_control->lock, LW_EXCLUSIVE);
	entry->image_handle = dsm_segment_handle(resident->image_segment);
	entry->vocabulary_handle = dsm_segment_handle(resident->vocabulary_segment);
	entry->generation = ++llama2_control->next_generation;
	entry->loaded_at = GetCurrentTimestamp();
	entry->load_ms = (double) (entry->loaded_at - started_at) / 1000.0;
	LWLockRelease(llama2_control->lock);
	Llama2AddStatistic(model_loads, 1);
	Llama2ModelSetState(resident->model, LLAMA2_MODEL_READY);

	ereport(LOG, (errmsg("llama2 model \"%s\" is loaded: %s, %.1f MB in %.0f ms", entry->name,
						 entry->config.type_name, (double) entry->image_bytes / 1e6, entry->load_ms)));
	pfree(path);
}

/* What the model will need beside its weights must be possible before anything is claimed. */
static void
check_memory_plan(Llama2Resident *resident, LlmModelFile *file)
{
	Llama2ModelEntry *entry = &llama2_control->models[resident->model];
	LlmEngineOptions options;
	LlmError	error = {0};
	uint64_t	kv_bytes;
	uint64_t	activation_bytes;

	Llama2EngineOptions(&options);
	if (!llm_engine_plan(llm_model_file_config(file), &options, &kv_bytes, &activation_bytes, &error))
		give_up_on_error(resident->model, &error);
	entry->kv_bytes = kv_bytes;
	entry->activation_bytes = activation_bytes;
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
	char		message[LLAMA2_ERROR_LENGTH];
	const char *name = llama2_control->models[model].name;

	if (error->code == LLM_ERROR_FILE_ACCESS && error->saved_errno == ENOENT)
	{
		snprintf(message, sizeof(message), "model \"%s\" does not exist", name);
		Llama2GiveUp(model, ERRCODE_UNDEFINED_FILE, message,
					 "llama2_models() lists the models in llama2.model_directory.");
	}
	snprintf(message, sizeof(message), "could not load model \"%s\": %s", name, error->message);
	Llama2GiveUp(model, Llama2ErrorSqlState(error), message, error->hint[0] ? error->hint : NULL);
}
