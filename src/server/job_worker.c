/*
 * job_worker.c
 *		The worker of a database's jobs, from its start to its end.
 *
 * It leaves when there was nothing to do for llama2.job_keep_alive, when it is asked to, when others wait
 * for their turn, and when the extension is gone; claimed jobs are then put back.  After an error or
 * SIGKILL its successor queues them again.
 *
 * SIGTERM interrupts the statement that runs, as a cancellation does, and is noticed between
 * two rounds.  User code that catches it and goes on is ended with the process (job_owner.c).
 */
#include "server/job_worker.h"

#include "access/xact.h"
#include "commands/async.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "server/job_queue.h"
#include "server/job_run.h"
#include "server/parameters.h"
#include "shared/compat.h"
#include "shared/control.h"
#include "shared/job_table.h"

/* How long a worker may go on while other databases wait. */
#define TURN_MS 10000
/* How often cancelled jobs are looked for; how often a model that is loaded is asked for. */
#define CANCEL_POLL_MS 500
#define SUBMIT_POLL_MS 50
#define TIDY_INTERVAL_MS 60000
#define AFTER_ERROR_MS 1000

static void work(void);
static void handle_sigterm(SIGNAL_ARGS);
static bool take_entry(Oid database);
static void leave_entry(int code, Datum arg);
static void clear_wanted(void);
static bool in_transaction(void (*step) (void));
static bool must_leave(void);
static long idle_time(void);
static bool tidy_now_and_then(void);
static void look_for_next(void);
static void claim(void);

static bool orderly = false;	/* nothing is left to be queued again */
static TimestampTz started_at;
static TimestampTz idle_since;	/* 0: not idle */
static TimestampTz next_job;	/* when the next can be claimed; 0: none */

void
Llama2JobWorkerMain(Datum argument)
{
	Oid			database = DatumGetObjectId(argument);

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, handle_sigterm);
	BackgroundWorkerUnblockSignals();
	if (!take_entry(database))
		proc_exit(0);
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	pgstat_report_appname(MyBgworkerEntry->bgw_name);
	Llama2LetOthersFirst();
	Llama2JobRunInit();
	SetConfigOption("search_path", "pg_catalog", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("statement_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("lock_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_read_only", "off", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_isolation", "read committed", PGC_SUSET, PGC_S_OVERRIDE);
	Llama2UseDefaultParameters();
	/* what a role may ask for was checked when it did */
	SetConfigOption("llama2.max_tokens_limit", "1048576", PGC_SUSET, PGC_S_OVERRIDE);
	started_at = GetCurrentTimestamp();
	idle_since = 0;

	PG_TRY();
	{
		work();
	}
	PG_CATCH();
	{
		if (!ShutdownRequestPending)
			PG_RE_THROW();
		FlushErrorState();
		AbortCurrentTransaction();
	}
	PG_END_TRY();
	QueryCancelPending = false;
	orderly = Llama2JobRunCount() == 0 || in_transaction(Llama2JobRunPutBack);
	proc_exit(0);
}

void
Llama2SendJobWorkerAway(Oid database)
{
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), 5000);

	while (llama2_job_table != NULL)
	{
		TimestampTz now = GetCurrentTimestamp();
		Llama2JobDatabase *entry;
		int			pid = 0;
		bool		busy = false;

		LWLockAcquire(llama2_job_table->lock, LW_EXCLUSIVE);
		entry = Llama2JobDatabaseFind(database);
		if (entry)
		{
			entry->not_before = Max(entry->not_before, TimestampTzPlusMilliseconds(now, 10000));
			pid = entry->worker_pid;
			busy = pid != 0 || entry->starting_since != 0;
			if (pid != 0 && !entry->leave)
			{
				entry->leave = true;
				kill(pid, SIGTERM);
			}
		}
		LWLockRelease(llama2_job_table->lock);
		if (!busy || now > until)
			break;
		CHECK_FOR_INTERRUPTS();
		pg_usleep(5000);
	}
}

/* Round after round, until it is time to leave. */
static void
work(void)
{
	static uint32 wait_event = 0;
	TimestampTz cancel_polled = 0;

	if (!in_transaction(Llama2JobRunRecover))
		return;
	for (;;)
	{
		long		wait_ms = CANCEL_POLL_MS;
		TimestampTz now;

		ResetLatch(MyLatch);
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		if (must_leave())
			return;
		CHECK_FOR_INTERRUPTS();

		if (Llama2JobRunHasNews() && !in_transaction(Llama2JobRunFinish))
			return;
		/* until then who commits need not wake this process */
		if (Llama2JobRunWantsMore())
		{
			clear_wanted();
			if (!in_transaction(claim))
				return;
		}
		if (!Llama2JobRunAllSubmitted())
		{
			if (!in_transaction(Llama2JobRunSubmit))
				return;
			if (!Llama2JobRunAllSubmitted())
				wait_ms = SUBMIT_POLL_MS;
		}
		if (!tidy_now_and_then())
			return;
		now = GetCurrentTimestamp();
		if (Llama2JobRunCount() > 0)
		{
			idle_since = 0;
			if (TimestampDifferenceExceeds(cancel_polled, now, CANCEL_POLL_MS))
			{
				if (!in_transaction(Llama2JobRunDropCancelled))
					return;
				cancel_polled = now;
			}
		}
		else
		{
			if (!in_transaction(look_for_next))
				return;
			wait_ms = idle_time();
			if (wait_ms < 0)
				return;
		}
		pgstat_report_activity(Llama2JobRunCount() > 0 ? STATE_RUNNING : STATE_IDLE, NULL);
		if (!Llama2JobRunHasNews())
			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, wait_ms,
							 LLAMA2_WAIT_EVENT(wait_event, "Llama2JobWorker"));
	}
}

static void
handle_sigterm(SIGNAL_ARGS)
{
	int			save_errno = errno;

	ShutdownRequestPending = true;
	QueryCancelPending = true;
	InterruptPending = true;
	SetLatch(MyLatch);
	errno = save_errno;
}

/* false: another has it, or nobody asked. */
static bool
take_entry(Oid database)
{
	Llama2JobDatabase *entry;
	bool		taken;

	before_shmem_exit(leave_entry, ObjectIdGetDatum(database));
	LWLockAcquire(llama2_job_table->lock, LW_EXCLUSIVE);
	entry = Llama2JobDatabaseFind(database);
	taken = entry != NULL && entry->worker_pid == 0 && entry->starting_since != 0;
	if (taken)
	{
		entry->worker_pid = MyProcPid;
		entry->worker_latch = MyLatch;
		entry->starting_since = 0;
		entry->wanted = false;
		entry->leave = false;
	}
	LWLockRelease(llama2_job_table->lock);
	return taken;
}

/* Whoever leaves jobs behind, or did not look at all, has the launcher start another. */
static void
leave_entry(int code, Datum arg)
{
	Llama2JobDatabase *entry;
	Latch	   *launcher = NULL;

	LWLockAcquire(llama2_job_table->lock, LW_EXCLUSIVE);
	entry = Llama2JobDatabaseFind(DatumGetObjectId(arg));
	if (entry && entry->worker_pid == MyProcPid)
	{
		TimestampTz now = GetCurrentTimestamp();

		entry->worker_pid = 0;
		entry->worker_latch = NULL;
		if (!orderly)
		{
			entry->wanted = true;
			entry->not_before = Max(entry->not_before, TimestampTzPlusMilliseconds(now, AFTER_ERROR_MS));
		}
		else if (next_job != 0 && !entry->wanted)
		{
			entry->wanted = true;
			entry->not_before = Max(entry->not_before, next_job);
		}
		entry->leave = false;
		launcher = llama2_job_table->launcher_latch;
	}
	LWLockRelease(llama2_job_table->lock);
	if (launcher)
		SetLatch(launcher);
}

static void
clear_wanted(void)
{
	Llama2JobDatabase *entry;

	LWLockAcquire(llama2_job_table->lock, LW_EXCLUSIVE);
	entry = Llama2JobDatabaseFind(MyDatabaseId);
	if (entry)
		entry->wanted = false;
	LWLockRelease(llama2_job_table->lock);
}

/* Returns false where the extension is gone. */
static bool
in_transaction(void (*step) (void))
{
	bool		there;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	there = Llama2JobQueueOpen() != NULL;
	if (there)
		step();
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_stat(false);
	return there;
}

static bool
must_leave(void)
{
	Llama2JobDatabase *entry;
	bool		asked;
	bool		others_wait;

	LWLockAcquire(llama2_job_table->lock, LW_SHARED);
	entry = Llama2JobDatabaseFind(MyDatabaseId);
	asked = entry == NULL || entry->leave;
	others_wait = llama2_job_table->n_waiting > 0;
	LWLockRelease(llama2_job_table->lock);
	if (asked || ShutdownRequestPending || llama2_job_workers == 0 ||
		(others_wait && TimestampDifferenceExceeds(started_at, GetCurrentTimestamp(), TURN_MS)))
	{
		/* what is left is for a successor */
		if (next_job == 0 && Llama2JobRunCount() > 0)
			next_job = GetCurrentTimestamp();
		return true;
	}
	return false;
}

/* How long to sleep while there is nothing to do; -1 to leave. */
static long
idle_time(void)
{
	TimestampTz now = GetCurrentTimestamp();
	long		left;
	Llama2JobDatabase *entry;
	bool		others_wait;
	bool		wanted;

	if (idle_since == 0)
		idle_since = now;
	LWLockAcquire(llama2_job_table->lock, LW_SHARED);
	entry = Llama2JobDatabaseFind(MyDatabaseId);
	wanted = entry && entry->wanted;
	others_wait = llama2_job_table->n_waiting > 0;
	LWLockRelease(llama2_job_table->lock);
	if (wanted || (next_job != 0 && next_job <= now))
		return 0;
	left = TimestampDifferenceMilliseconds(now, TimestampTzPlusMilliseconds(idle_since, (int64) llama2_job_keep_alive * 1000));
	if (left <= 0 || others_wait)
		return -1;
	if (next_job != 0)
		left = Min(left, TimestampDifferenceMilliseconds(now, next_job) + 1);
	return left;
}

/* However busy it is: old jobs go, and jobs that were locked when they were done are queued again. */
static bool
tidy_now_and_then(void)
{
	static TimestampTz tidied_at = 0;
	TimestampTz now = GetCurrentTimestamp();

	if (!TimestampDifferenceExceeds(tidied_at, now, TIDY_INTERVAL_MS))
		return true;
	tidied_at = now;
	return in_transaction(Llama2JobQueueExpire) && in_transaction(Llama2JobRunRecover);
}

static void
look_for_next(void)
{
	Llama2JobRunRecover();
	next_job = Llama2JobQueueNext();
}

/* A claim that a crash forgets does no harm: the job is queued then. */
static void
claim(void)
{
	(void) set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
	Llama2JobRunClaim();
}
