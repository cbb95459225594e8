/*
 * model_table.c
 *		Which models are resident or on the way, and how their workers are started.
 *
 * An entry belongs to one model name.  Whoever moves it from UNUSED or FAILED to STARTING
 * registers the worker; from then on the worker alone moves it, but for the wish to UNLOADING, and where no worker lives.
 */
#include "shared/model_table.h"

#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "utils/varlena.h"

#include "server/parameters.h"
#include "shared/failure.h"

static int	rank_for(const Llama2ModelEntry *entry, const char *name);
static void take_entry(Llama2ModelEntry *entry, const char *name);
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

/*
 * The entry that remembers the name is the best one; those of models that failed are given up where there is
 * no other.
 */
int
Llama2ModelReserve(const char *name)
{
	int			best = -1;

	for (int i = 0; i < LLAMA2_MAX_MODELS; i++)
	{
		int			rank = rank_for(&llama2_control->models[i], name);

		if (rank > (best < 0 ? 0 : rank_for(&llama2_control->models[best], name)))
			best = i;
	}
	if (best >= 0)
		take_entry(&llama2_control->models[best], name);
	return best;
}

/* The latch is set under the lock: who reads it late, in a process that is gone, wakes another in vain. */
void
Llama2ModelAskToGo(int model)
{
	Llama2ModelEntry *entry = &llama2_control->models[model];

	entry->state = LLAMA2_MODEL_UNLOADING;
	pg_atomic_write_u32(&entry->stop, 1);
	if (entry->worker_latch)
		SetLatch(entry->worker_latch);
}

bool
Llama2ModelCancelLoad(int model)
{
	Llama2ModelEntry *entry = &llama2_control->models[model];
	bool		has_worker = entry->worker_pid != 0;

	Llama2ModelAskToGo(model);
	if (!has_worker)
		Llama2ModelLoadIsOff(model);
	return has_worker;
}

void
Llama2ModelLoadIsOff(int model)
{
	Llama2ModelEntry *entry = &llama2_control->models[model];
	char		message[LLAMA2_ERROR_LENGTH];

	snprintf(message, sizeof(message), "loading model \"%s\" was cancelled", entry->name);
	Llama2SetFailure(&entry->failure, ERRCODE_QUERY_CANCELED, message, NULL);
	entry->memory_bytes = entry->vocabulary_bytes;	/* of one that is remembered */
	entry->state = entry->n_waiters > 0 ? LLAMA2_MODEL_FAILED : LLAMA2_MODEL_UNUSED;
}

void
Llama2ForgetVocabulary(Llama2ModelEntry *entry)
{
	if (entry->vocabulary_handle == DSM_HANDLE_INVALID)
		return;
	dsm_unpin_segment(entry->vocabulary_handle);
	entry->vocabulary_handle = DSM_HANDLE_INVALID;
	entry->vocabulary_bytes = entry->memory_bytes = 0;
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
 * These workers start with the server; which entry one gets is settled when it starts, from its name.
 */
void
Llama2RegisterFirstWorkers(void)
{
	BackgroundWorker worker;
	List	   *names;
	ListCell   *cell;

	if (llama2_model[0] != '\0')
	{
		fill_worker(&worker, llama2_model, -1);
		RegisterBackgroundWorker(&worker);
	}
	(void) SplitGUCList(pstrdup(llama2_preload), ',', &names);
	foreach(cell, names)
	{
		bool		repeated = strcmp(lfirst(cell), llama2_model) == 0;

		for (int i = 0; i < foreach_current_index(cell); i++)
			repeated = repeated || strcmp(list_nth(names, i), lfirst(cell)) == 0;
		if (repeated)
			continue;
		fill_worker(&worker, lfirst(cell), -1);
		RegisterBackgroundWorker(&worker);
	}
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
		[LLAMA2_MODEL_WAITING] = "waiting",
		[LLAMA2_MODEL_LOADING] = "loading",
		[LLAMA2_MODEL_READY] = "ready",
		[LLAMA2_MODEL_UNLOADING] = "unloading",
		[LLAMA2_MODEL_FAILED] = "failed",
	};

	return names[state];
}

/*
 * How well an entry suits a name, 0 not at all: that of the name, which may remember its vocabulary, then one that
 * remembers nothing; one of a model that failed where there is no other.
 */
static int
rank_for(const Llama2ModelEntry *entry, const char *name)
{
	bool		same = strcmp(entry->name, name) == 0;

	if (entry->state == LLAMA2_MODEL_UNUSED)
		return same ? 4 : entry->vocabulary_handle == DSM_HANDLE_INVALID ? 3 : 2;
	if (entry->state == LLAMA2_MODEL_FAILED)
		return same ? 5 : 1;
	return 0;
}

static void
take_entry(Llama2ModelEntry *entry, const char *name)
{
	if (strcmp(entry->name, name) != 0)
		Llama2ForgetVocabulary(entry);
	strlcpy(entry->name, name, sizeof(entry->name));
	entry->state = LLAMA2_MODEL_STARTING;
	entry->generation = ++llama2_control->next_generation;
	entry->by_server = false;
	entry->n_waiters = 0;
	entry->worker_pid = 0;
	entry->worker_latch = NULL;
	entry->image_handle = DSM_HANDLE_INVALID;
	entry->image_bytes = entry->file_bytes = 0;
	entry->kv_bytes = entry->activation_bytes = 0;
	entry->context_length = entry->threads = 0;
	entry->kernels[0] = '\0';
	memset(&entry->config, 0, sizeof(entry->config));
	entry->loaded_at = 0;
	entry->failure.sqlerrcode = 0;
	pg_atomic_write_u64(&entry->last_used, 0);
	pg_atomic_write_u64(&entry->bytes_done, 0);
	pg_atomic_write_u32(&entry->stop, 0);
	pg_atomic_write_u32(&entry->running, 0);
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
