/*
 * job_table.c
 *		Which databases may have jobs to do, and which process does them.
 */
#include "shared/job_table.h"

#include "miscadmin.h"
#include "storage/shmem.h"

Llama2JobTable *llama2_job_table = NULL;

Size
Llama2JobTableSize(void)
{
	return MAXALIGN(sizeof(Llama2JobTable));
}

/* The caller holds AddinShmemInitLock. */
void
Llama2JobTableInit(LWLock *lock)
{
	bool		found;

	llama2_job_table = ShmemInitStruct("llama2 jobs", Llama2JobTableSize(), &found);
	if (found)
		return;
	memset(llama2_job_table, 0, Llama2JobTableSize());
	llama2_job_table->lock = lock;
	llama2_job_table->rescan = true;
}

void
Llama2JobsWanted(Oid database, TimestampTz not_before)
{
	Llama2JobDatabase *entry;
	Latch	   *latch = NULL;
	bool		is_news = true;

	if (llama2_job_table == NULL)
		return;
	LWLockAcquire(llama2_job_table->lock, LW_EXCLUSIVE);
	entry = Llama2JobDatabaseMake(database);
	if (entry == NULL)
		llama2_job_table->rescan = true;
	else if (entry->worker_pid == MyProcPid)
	{
		/* the worker itself looks again before it sleeps */
		LWLockRelease(llama2_job_table->lock);
		return;
	}
	else
	{
		/* who was told already, and did not look yet, needs not be told again */
		is_news = !entry->wanted || not_before < entry->not_before;
		if (is_news)
			entry->not_before = not_before;
		entry->wanted = true;
		latch = entry->worker_latch;
	}
	if (latch == NULL)
		latch = llama2_job_table->launcher_latch;
	if (!is_news)
		latch = NULL;
	LWLockRelease(llama2_job_table->lock);
	if (latch)
		SetLatch(latch);
}

Llama2JobDatabase *
Llama2JobDatabaseFind(Oid database)
{
	for (int i = 0; i < LLAMA2_JOB_DATABASES; i++)
		if (llama2_job_table->databases[i].database == database)
			return &llama2_job_table->databases[i];
	return NULL;
}

Llama2JobDatabase *
Llama2JobDatabaseMake(Oid database)
{
	Llama2JobDatabase *entry = Llama2JobDatabaseFind(database);

	for (int i = 0; i < LLAMA2_JOB_DATABASES && entry == NULL; i++)
	{
		Llama2JobDatabase *candidate = &llama2_job_table->databases[i];

		if (candidate->database == InvalidOid ||
			(!candidate->wanted && candidate->worker_pid == 0 && candidate->starting_since == 0))
		{
			memset(candidate, 0, sizeof(*candidate));
			candidate->database = database;
			entry = candidate;
		}
	}
	return entry;
}
