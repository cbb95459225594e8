/*
 * progress.c
 *		How far long statements are, and the function behind the view llama2_progress.
 *
 * A statement takes an entry when it begins; the entry is given back with a memory context of
 * the statement, whichever way that ends.
 */
#include "server/progress.h"

#include "catalog/pg_authid.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "server/model_use.h"
#include "shared/compat.h"

PG_FUNCTION_INFO_V1(llama2_progress);

#define PROGRESS_COLUMNS 11

static void give_back(void *entry);
static void add(pg_atomic_uint64 *counter, int64 n);

Llama2Progress *
Llama2BeginProgress(MemoryContext context, double n_estimated)
{
	MemoryContextCallback *callback = MemoryContextAllocZero(context, sizeof(MemoryContextCallback));
	Llama2Progress *entry = NULL;

	LWLockAcquire(llama2_control->lock, LW_EXCLUSIVE);
	for (int i = 0; i < LLAMA2_MAX_PROGRESS && entry == NULL; i++)
	{
		if (llama2_control->progress[i].pid == 0)
			entry = &llama2_control->progress[i];
	}
	if (entry)
	{
		entry->pid = MyProcPid;
		entry->userid = GetUserId();
		entry->databaseid = MyDatabaseId;
		entry->started_at = GetCurrentTimestamp();
		entry->n_estimated = n_estimated;
		pg_atomic_write_u64(&entry->n_read, 0);
		pg_atomic_write_u64(&entry->n_done, 0);
		pg_atomic_write_u64(&entry->n_requests, 0);
		pg_atomic_write_u64(&entry->n_prompt_tokens, 0);
		pg_atomic_write_u64(&entry->n_completion_tokens, 0);
	}
	LWLockRelease(llama2_control->lock);
	if (entry == NULL)
		return NULL;
	callback->func = give_back;
	callback->arg = entry;
	MemoryContextRegisterResetCallback(context, callback);
	return entry;
}

void
Llama2ProgressRows(Llama2Progress *entry, int64 n_read, int64 n_done)
{
	if (entry == NULL)
		return;
	add(&entry->n_read, n_read);
	add(&entry->n_done, n_done);
}

void
Llama2ProgressRequests(Llama2Progress *entry, int64 n_requests, int64 n_prompt_tokens, int64 n_completion_tokens)
{
	if (entry == NULL)
		return;
	add(&entry->n_requests, n_requests);
	add(&entry->n_prompt_tokens, n_prompt_tokens);
	add(&entry->n_completion_tokens, n_completion_tokens);
}

/* A row for each statement: of one's own roles, or all for those who may read all statistics. */
Datum
llama2_progress(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	bool		sees_all = has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);

	Llama2RequirePreload();
	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < LLAMA2_MAX_PROGRESS; i++)
	{
		Llama2Progress entry;
		Datum		values[PROGRESS_COLUMNS];
		bool		nulls[PROGRESS_COLUMNS] = {0};
		int64		completion_tokens;
		double		seconds;

		LWLockAcquire(llama2_control->lock, LW_SHARED);
		entry = llama2_control->progress[i];
		LWLockRelease(llama2_control->lock);
		if (entry.pid == 0 || !(sees_all || has_privs_of_role(GetUserId(), entry.userid)))
			continue;

		completion_tokens = (int64) pg_atomic_read_u64(&entry.n_completion_tokens);
		seconds = (double) (GetCurrentTimestamp() - entry.started_at) / USECS_PER_SEC;
		values[0] = Int32GetDatum(entry.pid);
		values[1] = ObjectIdGetDatum(entry.databaseid);
		values[2] = ObjectIdGetDatum(entry.userid);
		values[3] = TimestampTzGetDatum(entry.started_at);
		values[4] = Int64GetDatum((int64) entry.n_estimated);
		values[5] = Int64GetDatum((int64) pg_atomic_read_u64(&entry.n_read));
		values[6] = Int64GetDatum((int64) pg_atomic_read_u64(&entry.n_done));
		values[7] = Int64GetDatum((int64) pg_atomic_read_u64(&entry.n_requests));
		values[8] = Int64GetDatum((int64) pg_atomic_read_u64(&entry.n_prompt_tokens));
		values[9] = Int64GetDatum(completion_tokens);
		values[10] = Float8GetDatum(seconds > 0 ? (double) completion_tokens / seconds : 0);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	PG_RETURN_NULL();
}

static void
give_back(void *entry)
{
	LWLockAcquire(llama2_control->lock, LW_EXCLUSIVE);
	((Llama2Progress *) entry)->pid = 0;
	LWLockRelease(llama2_control->lock);
}

/* Only the entry's process writes. */
static void
add(pg_atomic_uint64 *counter, int64 n)
{
	pg_atomic_write_u64(counter, pg_atomic_read_u64(counter) + n);
}
