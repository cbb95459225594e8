/*
 * job_launcher.c
 *		Starts a job worker in each database that has jobs.
 *
 * Which databases those are is in shared memory, where committing sessions say so; that is lost
 * with the server.  So when it starts (after a crash, a restore or a promotion, too; never
 * in recovery) every database gets a worker once, which leaves at once where there is nothing to do.  The
 * launcher is connected to the shared catalogs alone.
 */
#include "server/job_worker.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "server/parameters.h"
#include "shared/compat.h"
#include "shared/job_table.h"

/* A worker that has not shown itself after this is asked for again. */
#define START_TIMEOUT_MS 10000
#define LONGEST_SLEEP_MS 60000

static void fill_worker(BackgroundWorker *worker, const char *function, const char *name);
static void register_latch(void);
static void leave(int code, Datum arg);
static void scan_databases(void);
static void visit_scanned(void);
static long start_workers(void);
static Oid	next_to_start(TimestampTz now, long *sleep_ms);
static void wake_workers(void);
static bool database_exists(Oid database);
static void forget_database(Oid database);
static void starting_failed(Oid database);

static List *to_visit = NIL;	/* databases of the scan that have no entry yet */

void
Llama2RegisterJobLauncher(void)
{
	BackgroundWorker worker;

	fill_worker(&worker, "Llama2JobLauncherMain", "llama2 job launcher");
	worker.bgw_restart_time = 1;
	RegisterBackgroundWorker(&worker);
}

bool
Llama2StartJobWorker(Oid database)
{
	BackgroundWorker worker;

	fill_worker(&worker, "Llama2JobWorkerMain", "llama2 job worker");
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_main_arg = ObjectIdGetDatum(database);
	return RegisterDynamicBackgroundWorker(&worker, NULL);
}

void
Llama2JobLauncherMain(Datum argument)
{
	static uint32 wait_event = 0;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	pgstat_report_appname(MyBgworkerEntry->bgw_name);
	register_latch();

	for (;;)
	{
		long		sleep_ms;

		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		if (llama2_job_table->rescan)
			scan_databases();
		visit_scanned();
		sleep_ms = start_workers();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 to_visit == NIL ? sleep_ms : Min(sleep_ms, 1000),
						 LLAMA2_WAIT_EVENT(wait_event, "Llama2JobLauncher"));
	}
}

static void
fill_worker(BackgroundWorker *worker, const char *function, const char *name)
{
	memset(worker, 0, sizeof(*worker));
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_RecoveryFinished;
	strlcpy(worker->bgw_library_name, "llama2", sizeof(worker->bgw_library_name));
	strlcpy(worker->bgw_function_name, function, sizeof(worker->bgw_function_name));
	strlcpy(worker->bgw_name, name, sizeof(worker->bgw_name));
	strlcpy(worker->bgw_type, name, sizeof(worker->bgw_type));
}

/* A launcher that died may have lost databases that it was to visit. */
static void
register_latch(void)
{
	before_shmem_exit(leave, (Datum) 0);
	LWLockAcquire(llama2_job_table->lock, LW_EXCLUSIVE);
	llama2_job_table->launcher_latch = MyLatch;
	llama2_job_table->rescan = true;
	LWLockRelease(llama2_job_table->lock);
}

static void
leave(int code, Datum arg)
{
	LWLockAcquire(llama2_job_table->lock, LW_EXCLUSIVE);
	llama2_job_table->launcher_latch = NULL;
	LWLockRelease(llama2_job_table->lock);
}

static void
scan_databases(void)
{
	Relation	catalog;
	TableScanDesc scan;
	HeapTuple	tuple;

	LWLockAcquire(llama2_job_table->lock, LW_EXCLUSIVE);
	llama2_job_table->rescan = false;
	LWLockRelease(llama2_job_table->lock);

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	catalog = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(catalog, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);
		MemoryContext old;

		if (!database->datallowconn)
			continue;
		old = MemoryContextSwitchTo(TopMemoryContext);
		to_visit = list_append_unique_oid(to_visit, database->oid);
		MemoryContextSwitchTo(old);
	}
	table_endscan(scan);
	table_close(catalog, AccessShareLock);
	CommitTransactionCommand();
}

/* Make entries for databases of the scan, as far as there is room. */
static void
visit_scanned(void)
{
	LWLockAcquire(llama2_job_table->lock, LW_EXCLUSIVE);
	while (to_visit != NIL)
	{
		Llama2JobDatabase *entry = Llama2JobDatabaseMake(linitial_oid(to_visit));

		if (entry == NULL)
			break;
		if (!entry->wanted)
			entry->not_before = 0;
		entry->wanted = true;
		to_visit = list_delete_first(to_visit);
	}
	LWLockRelease(llama2_job_table->lock);
}

/* Returns how long nothing else is to be done. */
static long
start_workers(void)
{
	for (;;)
	{
		long		sleep_ms = LONGEST_SLEEP_MS;
		Oid			database = next_to_start(GetCurrentTimestamp(), &sleep_ms);

		if (!OidIsValid(database))
			return sleep_ms;
		if (!database_exists(database))
			forget_database(database);
		else if (!Llama2StartJobWorker(database))
			starting_failed(database);
	}
}

/*
 * A database that waits for a worker, marked as starting; the one that has waited longest.  Of those that work no more than
 * llama2.job_workers are allowed; n_waiting makes them take turns, and who is idle learns of it at once.
 */
static Oid
next_to_start(TimestampTz now, long *sleep_ms)
{
	Llama2JobDatabase *first = NULL;
	int			n_workers = 0;
	int			n_waiting = 0;
	Oid			result = InvalidOid;

	LWLockAcquire(llama2_job_table->lock, LW_EXCLUSIVE);
	for (int i = 0; i < LLAMA2_JOB_DATABASES; i++)
	{
		Llama2JobDatabase *entry = &llama2_job_table->databases[i];

		if (!OidIsValid(entry->database))
			continue;
		if (entry->worker_pid == 0 && entry->starting_since != 0 &&
			TimestampDifferenceExceeds(entry->starting_since, now, START_TIMEOUT_MS))
			entry->starting_since = 0;
		if (entry->worker_pid != 0 || entry->starting_since != 0)
		{
			n_workers++;
			continue;
		}
		if (!entry->wanted)
			continue;
		if (entry->not_before > now)
		{
			*sleep_ms = Min(*sleep_ms, TimestampDifferenceMilliseconds(now, entry->not_before) + 1);
			continue;
		}
		n_waiting++;
		if (first == NULL || entry->not_before < first->not_before)
			first = entry;
	}
	llama2_job_table->n_waiting = llama2_job_workers > 0 && n_workers >= llama2_job_workers ? n_waiting : 0;
	if (llama2_job_table->n_waiting > 0)
		wake_workers();
	if (first && n_workers < llama2_job_workers)
	{
		first->starting_since = now;
		result = first->database;
	}
	if (n_workers > 0)
		*sleep_ms = Min(*sleep_ms, START_TIMEOUT_MS);
	LWLockRelease(llama2_job_table->lock);
	return result;
}

/* The caller holds the lock. */
static void
wake_workers(void)
{
	for (int i = 0; i < LLAMA2_JOB_DATABASES; i++)
	{
		if (llama2_job_table->databases[i].worker_latch)
			SetLatch(llama2_job_table->databases[i].worker_latch);
	}
}

static bool
database_exists(Oid database)
{
	HeapTuple	tuple;
	bool		exists = false;

	StartTransactionCommand();
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	if (HeapTupleIsValid(tuple))
	{
		exists = ((Form_pg_database) GETSTRUCT(tuple))->datallowconn;
		ReleaseSysCache(tuple);
	}
	CommitTransactionCommand();
	return exists;
}

static void
forget_database(Oid database)
{
	Llama2JobDatabase *entry;

	LWLockAcquire(llama2_job_table->lock, LW_EXCLUSIVE);
	entry = Llama2JobDatabaseFind(database);
	if (entry)
		memset(entry, 0, sizeof(*entry));
	LWLockRelease(llama2_job_table->lock);
}

static void
starting_failed(Oid database)
{
	Llama2JobDatabase *entry;

	ereport(LOG,
			(errmsg("could not start a llama2 job worker"),
			 errhint("You might need to increase \"max_worker_processes\".")));
	LWLockAcquire(llama2_job_table->lock, LW_EXCLUSIVE);
	entry = Llama2JobDatabaseFind(database);
	if (entry)
	{
		entry->starting_since = 0;
		entry->not_before = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), START_TIMEOUT_MS);
	}
	LWLockRelease(llama2_job_table->lock);
}
