/*
 * model_table.c
 *		Which models are resident or on the way, and how their workers are started.
 *
 * An entry belongs to one model name.  Whoever moves it from UNUSED or FAILED to STARTING
 * registers the worker; from then on the worker alone moves it.
 */
#include "shared/model_table.h"

#include "miscadmin.h"
#include "postmaster/bgworker.h"

#include "server/parameters.h"

static void fill_worker(BackgroundWorker *worker, const char *name, int model);

bool
Llama2ModelNameIsValid(const char *name)
{
	size_t		length = strlen(name);

	if (length == 0 || length >= LLAMA2_MODEL_NAME_LENGTH || name[0] == '.')
		return false;
	for (const char *p = name; *p; p++)
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
			  (*p >= '0' && *p <= '9') || strchr("._-+", *p)))
			return false;
	return true;
}

char *
Llama2ModelPath(const char *name)
{
	char	   *folder = Llama2ModelDirectory();

	return psprintf("%s/%s.gguf", folder, name);
}

int
Llama2ModelFind(const char *name)
{
	for (int i = 0; i < LLAMA2_MAX_MODELS; i++)
		if (llama2_control->models[i].state != LLAMA2_MODEL_UNUSED &&
			strcmp(llama2_control->models[i].name, name) == 0)
			return i;
	return -1;
}

/* Entries of models that failed are given up where there is no other. */
int
Llama2ModelReserve(const char *name)
{
	int			found = Llama2ModelFind(name);

	for (int pass = 0; pass < 2 && found < 0; pass++)
		for (int i = 0; i < LLAMA2_MAX_MODELS && found < 0; i++)
			if (llama2_control->models[i].state ==
				(pass == 0 ? LLAMA2_MODEL_UNUSED : LLAMA2_MODEL_FAILED))
				found = i;
	if (found >= 0)
	{
		Llama2ModelEntry *entry = &llama2_control->models[found];

		strlcpy(entry->name, name, sizeof(entry->name));
		entry->state = LLAMA2_MODEL_STARTING;
		entry->generation = ++llama2_control->next_generation;
		entry->worker_pid = 0;
		entry->worker_latch = NULL;
		entry->image_handle = entry->vocabulary_handle = DSM_HANDLE_INVALID;
		entry->image_bytes = entry->vocabulary_bytes = entry->file_bytes = 0;
		entry->kv_bytes = entry->activation_bytes = 0;
		entry->context_length = entry->threads = 0;
		entry->kernels[0] = '\0';
		memset(&entry->config, 0, sizeof(entry->config));
		entry->loaded_at = entry->last_used = 0;
		entry->failure.sqlerrcode = 0;
		pg_atomic_write_u64(&entry->bytes_done, 0);
		pg_atomic_write_u32(&entry->stop, 0);
		pg_atomic_write_u32(&entry->running, 0);
	}
	return found;
}

void
Llama2ModelSetState(int model, Llama2ModelState state)
{
	LWLockAcquire(llama2_control->lock, LW_EXCLUSIVE);
	llama2_control->models[model].state = state;
	LWLockRelease(llama2_control->lock);
	ConditionVariableBroadcast(&llama2_control->model_changed);
}

/*
 * The worker of the default model starts with the server; which entry it gets is
 * settled when it starts, from its name.
 */
void
Llama2RegisterDefaultWorker(void)
{
	BackgroundWorker worker;

	fill_worker(&worker, llama2_model, -1);
	RegisterBackgroundWorker(&worker);
}

bool
Llama2StartWorker(int model)
{
	BackgroundWorker worker;

	fill_worker(&worker, llama2_control->models[model].name, model);
	return RegisterDynamicBackgroundWorker(&worker, NULL);
}

const char *
Llama2ModelStateName(Llama2ModelState state)
{
	static const char *const names[] = {
		[LLAMA2_MODEL_UNUSED] = "unused",
		[LLAMA2_MODEL_STARTING] = "starting",
		[LLAMA2_MODEL_LOADING] = "loading",
		[LLAMA2_MODEL_READY] = "ready",
		[LLAMA2_MODEL_UNLOADING] = "unloading",
		[LLAMA2_MODEL_FAILED] = "failed",
	};

	return names[state];
}

static void
fill_worker(BackgroundWorker *worker, const char *name, int model)
{
	memset(worker, 0, sizeof(*worker));
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_ConsistentState;
	worker->bgw_restart_time = 1;	/* no busy loop, should the library not load at all */
	strlcpy(worker->bgw_library_name, "llama2_engine", sizeof(worker->bgw_library_name));
	strlcpy(worker->bgw_function_name, "Llama2WorkerMain", sizeof(worker->bgw_function_name));
	snprintf(worker->bgw_name, sizeof(worker->bgw_name), "llama2 worker: %.70s", name);
	strlcpy(worker->bgw_type, "llama2 worker", sizeof(worker->bgw_type));
	strlcpy(worker->bgw_extra, name, sizeof(worker->bgw_extra));
	worker->bgw_main_arg = Int32GetDatum(model);
}
