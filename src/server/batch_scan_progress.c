/*
 * batch_scan_progress.c
 *		How far running batch scans are, and the function behind the view llama2_progress.
 *
 * A scan takes an entry when it begins to read; the entry is given back with the memory of its
 * statement, whichever way that ends.
 */
#include "server/batch_scan.h"

#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "shared/compat.h"

PG_FUNCTION_INFO_V1(llama2_progress);

#define PROGRESS_COLUMNS 11

static void give_back(void *entry);
static void set_counter(pg_atomic_uint64 *counter, uint64 value);

void
Llama2BeginProgress(Llama2BatchScan *scan)
{
	PlanState  *ps = &scan->css.ss.ps;
	MemoryContextCallback *callback = MemoryContextAllocZero(ps->state->es_query_cxt, sizeof(MemoryContextCallback));
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
		entry->n_estimated = outerPlanState(ps)->plan->plan_rows;
		set_counter(&entry->n_read, 0);
		set_counter(&entry->n_done, 0);
		set_counter(&entry->n_requests, 0);
		set_counter(&entry->n_prompt_tokens, 0);
		set_counter(&entry->n_completion_tokens, 0);
	}
	LWLockRelease(llama2_control->lock);
	scan->progress = entry;
	if (entry == NULL)
		return;
	callback->func = give_back;
	callback->arg = entry;
	MemoryContextRegisterResetCallback(ps->state->es_query_cxt, callback);
}

/* So many rows more were read, and done. */
void
Llama2ReportProgress(Llama2BatchScan *scan, int n_read, int n_done)
{
	Llama2Progress *entry = scan->progress;

	if (entry == NULL)
		return;
	set_counter(&entry->n_read, pg_atomic_read_u64(&entry->n_read) + n_read);
	set_counter(&entry->n_done, pg_atomic_read_u64(&entry->n_done) + n_done);
	set_counter(&entry->n_requests, scan->counters[LLAMA2_SCAN_REQUESTS]);
	set_counter(&entry->n_prompt_tokens, scan->counters[LLAMA2_SCAN_PROMPT_TOKENS]);
	set_counter(&entry->n_completion_tokens, scan->counters[LLAMA2_SCAN_COMPLETION_TOKENS]);
}

/* A row for each batch scan: of one's own roles, or all for those who may read all statistics. */
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

static void
set_counter(pg_atomic_uint64 *counter, uint64 value)
{
	pg_atomic_write_u64(counter, value);
}
