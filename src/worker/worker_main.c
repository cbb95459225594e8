/*
 * worker_main.c
 *		A model's worker from its start to its end.
 *
 * The process is connected to no database, only to the shared catalogs, so that it is seen
 * in pg_stat_activity and hinders nobody from dropping a database.  It leaves in three
 * ways: exit code 0 (the model could not be loaded, or was unloaded: no
 * restart), or 1 (terminated or an error: the postmaster starts it again,
 * and it attaches to the weights that are still in memory), or with the server.
 */
#include "worker/worker.h"

#include <sched.h>
#include <signal.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/pmsignal.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"

#include "server/parameters.h"
#include "shared/compat.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void Llama2WorkerMain(Datum argument);

static int	take_entry(int model, const char *name);
static void leave_entry(int code, Datum model);
static void start_threads(int n_threads);

void
Llama2WorkerMain(Datum argument)
{
	Llama2Resident resident;
	int			model;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	pqsignal(SIGINT, SIG_IGN);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);

	model = take_entry(DatumGetInt32(argument), MyBgworkerEntry->bgw_extra);
	if (model < 0)
		proc_exit(0);
	pgstat_report_appname(MyBgworkerEntry->bgw_name);
	Llama2AddStatistic(worker_starts, 1);

	Llama2LetOthersFirst();
	start_threads(Llama2WorkerThreads());

	Llama2MakeResident(&resident, model);
	Llama2Serve(&resident);
	Llama2Unload(&resident);
	proc_exit(0);
}

int
Llama2WorkerThreads(void)
{
	cpu_set_t	processors;

	if (llama2_threads > 0)
		return llama2_threads;
	if (sched_getaffinity(0, sizeof(processors), &processors) != 0)
		return 1;
	return Max(CPU_COUNT(&processors), 1);
}

bool
Llama2WorkerShouldStop(void)
{
	return ProcDiePending || !PostmasterIsAlive();
}

void
Llama2GiveUp(int model, int sqlerrcode, const char *message, const char *hint)
{
	Llama2ModelEntry *entry = &llama2_control->models[model];

	LWLockAcquire(llama2_control->lock, LW_EXCLUSIVE);
	Llama2SetFailure(&entry->failure, sqlerrcode, message, hint);
	LWLockRelease(llama2_control->lock);
	Llama2UnpinSegments(entry);
	Llama2ModelSetState(model, LLAMA2_MODEL_FAILED);
	Llama2SlotsFail(model, true, sqlerrcode, message, hint);
	proc_exit(0);
}

int
Llama2ErrorSqlState(const LlmError *error)
{
	switch (error->code)
	{
		case LLM_ERROR_FILE_ACCESS:
			return error->saved_errno == ENOENT ? ERRCODE_UNDEFINED_FILE : ERRCODE_IO_ERROR;
		case LLM_ERROR_CORRUPT_FILE:
			return ERRCODE_DATA_CORRUPTED;
		case LLM_ERROR_UNSUPPORTED:
			return ERRCODE_FEATURE_NOT_SUPPORTED;
		case LLM_ERROR_LIMIT:
			return ERRCODE_PROGRAM_LIMIT_EXCEEDED;
		case LLM_ERROR_OUT_OF_MEMORY:
			return ERRCODE_OUT_OF_MEMORY;
		case LLM_ERROR_ARGUMENT:
			return ERRCODE_INVALID_PARAMETER_VALUE;
		case LLM_ERROR_CANCELLED:
			return ERRCODE_QUERY_CANCELED;
		case LLM_OK:
			break;
	}
	return ERRCODE_INTERNAL_ERROR;
}

/*
 * Make this process the worker of its entry; -1 where another serves the model already or nobody wants it any more.
 */
static int
take_entry(int model, const char *name)
{
	Llama2ModelEntry *entry;
	bool		taken = false;

	LWLockAcquire(llama2_control->lock, LW_EXCLUSIVE);
	if (model < 0)
	{
		model = Llama2ModelFind(name);
		if (model < 0 || llama2_control->models[model].state == LLAMA2_MODEL_FAILED)
			model = Llama2ModelReserve(name);
	}
	if (model >= 0)
	{
		entry = &llama2_control->models[model];
		taken = entry->worker_pid == 0 && strcmp(entry->name, name) == 0 &&
			entry->state != LLAMA2_MODEL_UNUSED && entry->state != LLAMA2_MODEL_FAILED;
	}
	LWLockRelease(llama2_control->lock);
	if (!taken)
		return -1;

	/* The way out stands before anybody can see this process as the worker. */
	before_shmem_exit(leave_entry, Int32GetDatum(model));
	LWLockAcquire(llama2_control->lock, LW_EXCLUSIVE);
	entry = &llama2_control->models[model];
	taken = entry->worker_pid == 0;
	if (taken)
	{
		entry->worker_pid = MyProcPid;
		entry->worker_latch = MyLatch;
	}
	LWLockRelease(llama2_control->lock);
	return taken ? model : -1;
}

static void
leave_entry(int code, Datum argument)
{
	int			model = DatumGetInt32(argument);
	Llama2ModelEntry *entry = &llama2_control->models[model];
	char		message[LLAMA2_ERROR_LENGTH];

	LWLockAcquire(llama2_control->lock, LW_EXCLUSIVE);
	if (entry->worker_pid != MyProcPid)
	{
		LWLockRelease(llama2_control->lock);
		return;
	}
	entry->worker_pid = 0;
	entry->worker_latch = NULL;
	LWLockRelease(llama2_control->lock);
	pg_atomic_write_u32(&entry->running, 0);

	snprintf(message, sizeof(message), "the llama2 worker of model \"%s\" ended while the request ran",
			 entry->name);
	Llama2SlotsFail(model, false, ERRCODE_OPERATOR_INTERVENTION, message,
					"The worker starts again by itself; run the statement again.");
	ConditionVariableBroadcast(&llama2_control->model_changed);
}

/*
 * Start the threads of the team now, with every signal blocked, so that no signal is ever delivered to
 * one of them.
 */
static void
start_threads(int n_threads)
{
	sigset_t	all;
	sigset_t	before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
#pragma omp parallel num_threads(n_threads)
	{
		__asm__ volatile ("" ::: "memory");
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}
