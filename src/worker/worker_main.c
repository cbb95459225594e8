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

#include <signal.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/pmsignal.h"
#include "storage/procsignal.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"

#include "server/parameters.h"
#include "shared/compat.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void Llama2WorkerMain(Datum argument);

static int	take_entry(int model, const char *name);
static void leave_entry(int code, Datum model);

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
	Llama2StartThreads(Llama2WorkerThreads());

	Llama2MakeResident(&resident, model);
	Llama2Serve(&resident);
	Llama2Unload(&resident);
	proc_exit(0);
}

void
Llama2StartThreads(int n_threads)
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

bool
Llama2WorkerShouldStop(void)
{
	if (ProcSignalBarrierPending)
		ProcessProcSignalBarrier();
	return ProcDiePending || !PostmasterIsAlive();
}

void
Llama2GiveUp(int model, int sqlerrcode, const char *message, const char *hint)
{
	Llama2Failure failure;

	Llama2SetFailure(&failure, sqlerrcode, message, hint);
	Llama2GiveUpWith(model, &failure);
}

void
Llama2GiveUpWith(int model, const Llama2Failure *failure)
{
	Llama2ModelEntry *entry = &llama2_control->models[model];
	uint64		generation;

	Llama2UnpinWeights(entry);
	LWLockAcquire(llama2_control->lock, LW_EXCLUSIVE);
	generation = entry->generation;
	entry->failure = *failure;
	Llama2ForgetVocabulary(entry);
	entry->memory_bytes = 0;
	entry->state = LLAMA2_MODEL_FAILED;
	LWLockRelease(llama2_control->lock);
	ConditionVariableBroadcast(&llama2_control->model_changed);
	Llama2SlotsFail(model, generation, true, failure);
	proc_exit(0);
}

void
Llama2BreakOff(int model)
{
	ereport(LOG, (errmsg("loading llama2 model \"%s\" was cancelled", llama2_control->models[model].name)));
	LWLockAcquire(llama2_control->lock, LW_EXCLUSIVE);
	Llama2ModelLoadIsOff(model);
	LWLockRelease(llama2_control->lock);
	ConditionVariableBroadcast(&llama2_control->model_changed);
	proc_exit(0);
}

/*
 * Make this process the worker of its entry; -1 where another serves the model already or nobody wants it any more.
 */
static int
take_entry(int model, const char *name)
{
	Llama2ModelEntry *entry;
	bool		taken = false;
	bool		by_server = model < 0;

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
		entry->by_server = entry->by_server || by_server;
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
	Llama2Failure failure;
	uint64		generation;

	LWLockAcquire(llama2_control->lock, LW_EXCLUSIVE);
	if (entry->worker_pid != MyProcPid)
	{
		LWLockRelease(llama2_control->lock);
		return;
	}
	generation = entry->generation;
	entry->worker_pid = 0;
	entry->worker_latch = NULL;
	if (entry->state == LLAMA2_MODEL_WAITING || entry->state == LLAMA2_MODEL_LOADING)
		entry->memory_bytes = entry->vocabulary_bytes;
	if (entry->state == LLAMA2_MODEL_UNLOADING && entry->image_handle == DSM_HANDLE_INVALID)
		Llama2ModelLoadIsOff(model);
	LWLockRelease(llama2_control->lock);
	pg_atomic_write_u32(&entry->running, 0);

	snprintf(message, sizeof(message), "the llama2 worker of model \"%s\" ended while the request ran",
			 entry->name);
	Llama2SetFailure(&failure, ERRCODE_OPERATOR_INTERVENTION, message,
					 "The worker starts again by itself; run the statement again.");
	Llama2SlotsFail(model, generation, false, &failure);
	ConditionVariableBroadcast(&llama2_control->model_changed);
}
