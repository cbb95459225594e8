/*
 * job_queue.c
 *		The table llama2_job, as the worker of a database reads and changes it.
 *
 * Jobs of triggers are in llama2_job_new first, which has no indexes and inherits from it: so whoever looks at
 * llama2_job sees both.
 *
 * All statements run as the worker's own role, a superuser, with every name qualified.
 * They are prepared once for each extension, as it can be dropped and made again.
 */
#include "server/job_queue.h"

#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "server/job_rows.h"
#include "server/parameters.h"
#include "shared/compat.h"
#include "shared/control.h"

#define MAX_ARGUMENTS 4
/* Jobs of triggers that are taken in at once: the size of their keys, those of 2000 rows or of a few bundles. */
#define TAKEN_IN_BYTES 65536

typedef struct Statement
{
	const char *sql;			/* %1$s is the schema */
	int			n_arguments;
	Oid			types[MAX_ARGUMENTS];
	SPIPlanPtr	plan;
} Statement;

/*
 * Whoever may cancel a job may lock it, for as long as a transaction lasts.  So no statement here waits for a lock: what is
 * locked is left as it is, and recovered later.
 */
#define RUNNING_JOB \
	"id = (SELECT r.id FROM ONLY %1$s.llama2_job AS r WHERE r.id = $1 AND r.state = 'running' FOR UPDATE SKIP LOCKED)"

/* A job that nobody ends, again and again, is not tried for ever. */
static Statement recover = {
	"UPDATE ONLY %1$s.llama2_job SET started_at = NULL, "
	"state = CASE WHEN attempts > $1 THEN 'failed' ELSE 'queued' END, "
	"error = CASE WHEN attempts > $1 THEN 'the server or the worker ended while the job ran, or the job was locked when it was done, at each of its attempts' END, "
	"finished_at = CASE WHEN attempts > $1 THEN pg_catalog.clock_timestamp() END "
	"WHERE id = ANY (ARRAY(SELECT r.id FROM ONLY %1$s.llama2_job AS r WHERE r.finished_at IS NULL AND r.state = 'running' "
	"AND r.id <> ALL ($2) FOR UPDATE SKIP LOCKED))",
	2, {INT4OID, INT8ARRAYOID}
};

/* Who has jobs, found in the index without reading these. */
#define OWNERS \
	"WITH RECURSIVE owners(owner) AS ((SELECT q.owner FROM ONLY %1$s.llama2_job AS q WHERE q.finished_at IS NULL " \
	"ORDER BY q.owner LIMIT 1) UNION ALL SELECT (SELECT q.owner FROM ONLY %1$s.llama2_job AS q WHERE q.finished_at IS NULL " \
	"AND q.owner > o.owner ORDER BY q.owner LIMIT 1) FROM owners AS o WHERE o.owner IS NOT NULL), "
#define QUEUED_OF_OWNER \
	"FROM ONLY %1$s.llama2_job AS q WHERE q.owner = o.owner AND q.finished_at IS NULL AND q.state = 'queued' " \
	"AND q.run_after <= pg_catalog.clock_timestamp() "

/* Owners take turns; those of $2, who have jobs running, have had theirs. */
static Statement claim = {
	OWNERS "turns AS (SELECT w.id, pg_catalog.row_number() OVER (PARTITION BY o.owner ORDER BY w.id) + "
	"(SELECT pg_catalog.count(*) FROM pg_catalog.unnest($2) AS r(owner) WHERE r.owner = o.owner) AS turn FROM owners AS o, "
	"LATERAL (SELECT q.id " QUEUED_OF_OWNER "ORDER BY q.id LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED) AS w) "
	"UPDATE ONLY %1$s.llama2_job AS j SET state = 'running', attempts = j.attempts + 1, "
	"started_at = pg_catalog.clock_timestamp() FROM (SELECT t.id FROM turns AS t ORDER BY t.turn, t.id LIMIT $1) AS c "
	"WHERE j.id = c.id RETURNING j.id, j.owner::pg_catalog.oid, j.relation::pg_catalog.oid, j.attname, j.keys, "
	"j.prompt, j.system, j.model, j.chat, j.options, j.attempts, j.was[1]",
	2, {INT8OID, OIDARRAYOID}
};

/*
 * The oldest bundle of an owner who has fewer than $1 jobs queued.  Its keys become jobs of their own, in their
 * order.
 */
static Statement unbundle = {
	OWNERS "few AS MATERIALIZED (SELECT o.owner FROM owners AS o WHERE "
	"(SELECT pg_catalog.count(*) FROM (SELECT " QUEUED_OF_OWNER "LIMIT $1) AS n) < $1), "
	"bundle AS (DELETE FROM ONLY %1$s.llama2_job AS j WHERE j.id = (SELECT o.id FROM few, LATERAL (SELECT b.id FROM ONLY %1$s.llama2_job AS b "
	"WHERE b.owner = few.owner AND b.finished_at IS NULL AND b.state = 'bundled' ORDER BY b.id LIMIT 1 FOR UPDATE SKIP LOCKED) AS o "
	"ORDER BY o.id LIMIT 1) RETURNING j.*) "
	"INSERT INTO %1$s.llama2_job (owner, relation, attname, keys, was, prompt, system, model, chat, options, queued_at) "
	"SELECT b.owner, b.relation, b.attname, k.key, b.was[k.number + 1:k.number + 1], b.prompt, b.system, b.model, b.chat, b.options, b.queued_at "
	"FROM bundle AS b, LATERAL (SELECT (o - 1) / pg_catalog.array_length(b.keys, 2) AS number, "
	"pg_catalog.array_agg(u.part ORDER BY o) AS key FROM pg_catalog.unnest(b.keys) WITH ORDINALITY AS u(part, o) "
	"GROUP BY 1 ORDER BY 1) AS k ORDER BY k.number",
	1, {INT8OID}
};

static Statement done = {
	"UPDATE ONLY %1$s.llama2_job SET state = 'done', result = $2, error = NULL, finished_at = pg_catalog.clock_timestamp() "
	"WHERE " RUNNING_JOB,
	2, {INT8OID, TEXTOID}
};

static Statement failed = {
	"UPDATE ONLY %1$s.llama2_job SET state = 'failed', error = $2, finished_at = pg_catalog.clock_timestamp() "
	"WHERE " RUNNING_JOB,
	2, {INT8OID, TEXTOID}
};

static Statement removed = {
	"DELETE FROM ONLY %1$s.llama2_job WHERE " RUNNING_JOB,
	1, {INT8OID}
};

static Statement retry = {
	"UPDATE ONLY %1$s.llama2_job SET state = 'queued', started_at = NULL, attempts = $3, error = $4, "
	"run_after = pg_catalog.clock_timestamp() + $2 * '1 ms'::pg_catalog.interval WHERE " RUNNING_JOB,
	4, {INT8OID, INT8OID, INT4OID, TEXTOID}
};

static Statement lock_running = {
	"SELECT FROM ONLY %1$s.llama2_job WHERE id = $1 AND state = 'running' FOR UPDATE NOWAIT",
	1, {INT8OID}
};

static Statement still_running = {
	"SELECT id FROM ONLY %1$s.llama2_job WHERE id = ANY ($1) AND state = 'running'",
	1, {INT8ARRAYOID}
};

/* One that is "running" while none is run is locked, or it would have been recovered. */
static Statement next = {
	"SELECT pg_catalog.min(CASE state WHEN 'bundled' THEN queued_at WHEN 'queued' THEN run_after "
	"ELSE pg_catalog.clock_timestamp() + '5 s'::pg_catalog.interval END) FROM %1$s.llama2_job "
	"WHERE finished_at IS NULL AND state IN ('queued', 'bundled', 'running')",
	0, {0}
};

static Statement expire = {
	"DELETE FROM %1$s.llama2_job WHERE id = ANY (ARRAY(SELECT e.id FROM %1$s.llama2_job AS e "
	"WHERE e.finished_at < pg_catalog.clock_timestamp() - $1 * '1 s'::pg_catalog.interval FOR UPDATE SKIP LOCKED))",
	1, {INT4OID}
};

static Statement *const statements[] = {
	&recover, &claim, &unbundle, &done, &failed, &removed, &retry, &lock_running, &still_running, &next, &expire
};

static Oid	lock_extension(void);
static uint64 execute(Statement *statement, const Datum *values, const char *nulls);
static bool end_job(Statement *statement, const Llama2Job *job, text *value);
static Datum ids_of(List *jobs);
static Llama2Job *read_job(HeapTuple tuple, TupleDesc desc, MemoryContext parent);
static text *text_column(HeapTuple tuple, TupleDesc desc, int number);

static Oid	opened = InvalidOid;	/* the extension that the plans are for */
static char *schema = NULL;
static Oid	schema_id = InvalidOid;

char *
Llama2JobQueueOpen(void)
{
	Oid			extension = lock_extension();

	if (OidIsValid(extension) && extension == opened)
		return schema;
	for (int i = 0; i < lengthof(statements); i++)
	{
		if (statements[i]->plan)
			SPI_freeplan(statements[i]->plan);
		statements[i]->plan = NULL;
	}
	if (schema)
		pfree(schema);
	schema = NULL;
	opened = extension;
	if (!OidIsValid(extension))
		return NULL;

	SPI_connect();
	if (SPI_execute("SELECT pg_catalog.quote_ident(n.nspname), n.oid FROM pg_catalog.pg_extension AS e "
					"JOIN pg_catalog.pg_class AS c ON c.relnamespace = e.extnamespace AND c.relname = 'llama2_job' "
					"JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'llama2'",
					true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look up the schema of the extension");
	if (SPI_processed == 1)
	{
		bool		is_null;

		schema = MemoryContextStrdup(TopMemoryContext,
									 SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1));
		schema_id = DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &is_null));
	}
	SPI_finish();
	return schema;
}

void
Llama2JobQueueRecover(List *running)
{
	Datum		values[] = {Int32GetDatum(llama2_job_retries), ids_of(running)};

	SPI_connect();
	(void) execute(&recover, values, NULL);
	SPI_finish();
}

List *
Llama2JobQueueClaim(int n, List *running, MemoryContext parent)
{
	Datum	   *owners = palloc(sizeof(Datum) * Max(list_length(running), 1));
	Datum		values[2];
	MemoryContext caller = CurrentMemoryContext;
	List	   *jobs = NIL;
	uint64		n_claimed;
	ListCell   *cell;

	foreach(cell, running)
		owners[foreach_current_index(cell)] = ObjectIdGetDatum(((Llama2Job *) lfirst(cell))->owner);
	values[0] = Int64GetDatum(n);
	values[1] = PointerGetDatum(construct_array(owners, list_length(running), OIDOID, sizeof(Oid), true, TYPALIGN_INT));
	SPI_connect();
	n_claimed = execute(&claim, values, NULL);
	for (uint64 i = 0; i < n_claimed; i++)
	{
		Llama2Job  *job = read_job(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, parent);
		MemoryContext old = MemoryContextSwitchTo(caller);

		jobs = lappend(jobs, job);
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return jobs;
}

/* What a model sees while it does jobs, others see as well. */
void
Llama2JobQueueTakeIn(bool needed)
{
	static uint64 pauses_before = 0;
	static TimestampTz next_time = 0;
	uint64		pauses = pg_atomic_read_u64(&llama2_control->statistics.job_pauses);
	TimestampTz began = GetCurrentTimestamp();
	TimestampTz ended;

	if (!needed && pauses != pauses_before && began < next_time)
		return;
	Llama2JobsTakeIn(schema_id, TAKEN_IN_BYTES);
	ended = GetCurrentTimestamp();
	next_time = ended + (ended - began) * (100 - llama2_job_share) / llama2_job_share;
	pauses_before = pauses;
}

void
Llama2JobQueueUnbundle(int n)
{
	Datum		values[] = {Int64GetDatum(n)};

	SPI_connect();
	while (execute(&unbundle, values, NULL) > 0)
		;
	SPI_finish();
}

bool
Llama2JobQueueDone(const Llama2Job *job, text *result)
{
	return end_job(&done, job, result);
}

bool
Llama2JobQueueFailed(const Llama2Job *job, const char *error)
{
	return end_job(&failed, job, cstring_to_text(error));
}

bool
Llama2JobQueueRemove(const Llama2Job *job)
{
	return end_job(&removed, job, NULL);
}

bool
Llama2JobQueueRetry(const Llama2Job *job, int64 delay_ms, bool counted, const char *error)
{
	Datum		values[4];
	const char *nulls = error ? "    " : "   n";
	uint64		n;

	values[0] = Int64GetDatum(job->id);
	values[1] = Int64GetDatum(delay_ms);
	values[2] = Int32GetDatum(job->attempts - (counted ? 0 : 1));
	values[3] = error ? CStringGetTextDatum(error) : (Datum) 0;
	SPI_connect();
	n = execute(&retry, values, nulls);
	SPI_finish();
	return n > 0;
}

void
Llama2JobQueueRefuseLocked(const Llama2Job *job)
{
	Datum		values[] = {Int64GetDatum(job->id)};
	uint64		n;

	SPI_connect();
	n = execute(&lock_running, values, NULL);
	SPI_finish();
	if (n > 0)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("the job was locked")));
}

List *
Llama2JobQueueGone(List *jobs)
{
	Datum		values[] = {ids_of(jobs)};
	List	   *gone = list_copy(jobs);
	ListCell   *cell;
	uint64		n_running;

	SPI_connect();
	n_running = execute(&still_running, values, NULL);
	for (uint64 i = 0; i < n_running; i++)
	{
		bool		is_null;
		int64		id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &is_null));

		foreach(cell, jobs)
		{
			if (((Llama2Job *) lfirst(cell))->id == id)
				gone = list_delete_ptr(gone, lfirst(cell));
		}
	}
	SPI_finish();
	return gone;
}

TimestampTz
Llama2JobQueueNext(void)
{
	TimestampTz result = 0;
	bool		is_null = true;
	Datum		value;

	SPI_connect();
	if (execute(&next, NULL, NULL) == 1)
	{
		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null);
		if (!is_null)
			result = DatumGetTimestampTz(value);
	}
	SPI_finish();
	return result;
}

void
Llama2JobQueueExpire(void)
{
	Datum		values[] = {Int32GetDatum(llama2_job_retention)};

	if (llama2_job_retention < 0)
		return;
	SPI_connect();
	(void) execute(&expire, values, NULL);
	SPI_finish();
}

/*
 * Whoever drops the extension locks it before its tables, in an order of its own: so a transaction that locks it
 * before any of them comes wholly before or after, and the two cannot wait for one another.
 */
static Oid
lock_extension(void)
{
	Oid			extension = get_extension_oid("llama2", true);

	while (OidIsValid(extension))
	{
		Oid			locked = extension;

		LockDatabaseObject(ExtensionRelationId, locked, 0, AccessShareLock);
		extension = get_extension_oid("llama2", true);
		if (extension == locked)
			break;
		UnlockDatabaseObject(ExtensionRelationId, locked, 0, AccessShareLock);
	}
	return extension;
}

/*
 * Run a statement between SPI_connect and SPI_finish; returns the number of rows.
 *
 * Plans are kept, and a table that was empty when they were made can have a million rows now: so they use its
 * indexes, whatever its size.
 */
static uint64
execute(Statement *statement, const Datum *values, const char *nulls)
{
	static const char *const not_planned[] = {"enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit"};
	int			level = NewGUCNestLevel();

	for (int i = 0; i < lengthof(not_planned); i++)
		(void) set_config_option(not_planned[i], "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	if (statement->plan == NULL)
	{
		char	   *sql = psprintf(statement->sql, schema);

		statement->plan = SPI_prepare(sql, statement->n_arguments, statement->types);
		if (statement->plan == NULL || SPI_keepplan(statement->plan) != 0)
			elog(ERROR, "could not prepare \"%s\": %s", sql, SPI_result_code_string(SPI_result));
	}
	if (SPI_execute_plan(statement->plan, (Datum *) values, nulls, false, 0) < 0)
		elog(ERROR, "could not execute \"%s\": %s", statement->sql, SPI_result_code_string(SPI_result));
	AtEOXact_GUC(true, level);
	return SPI_processed;
}

static bool
end_job(Statement *statement, const Llama2Job *job, text *value)
{
	Datum		values[2];
	uint64		n;

	values[0] = Int64GetDatum(job->id);
	values[1] = PointerGetDatum(value);
	SPI_connect();
	n = execute(statement, values, value ? "  " : " n");
	SPI_finish();
	return n > 0;
}

static Datum
ids_of(List *jobs)
{
	Datum	   *ids = palloc(sizeof(Datum) * Max(list_length(jobs), 1));
	ListCell   *cell;
	int			n = 0;

	foreach(cell, jobs)
		ids[n++] = Int64GetDatum(((Llama2Job *) lfirst(cell))->id);
	return PointerGetDatum(construct_array(ids, n, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

static Llama2Job *
read_job(HeapTuple tuple, TupleDesc desc, MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "llama2 job", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Llama2Job  *job = palloc0(sizeof(Llama2Job));
	bool		is_null;
	Datum		value;

	job->context = context;
	job->id = DatumGetInt64(heap_getattr(tuple, 1, desc, &is_null));
	job->owner = DatumGetObjectId(heap_getattr(tuple, 2, desc, &is_null));
	value = heap_getattr(tuple, 3, desc, &is_null);
	job->relid = is_null ? InvalidOid : DatumGetObjectId(value);
	job->column = SPI_getvalue(tuple, desc, 4);
	value = heap_getattr(tuple, 5, desc, &is_null);
	if (!is_null)
	{
		Datum	   *parts;

		deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT, &parts, NULL, &job->n_keys);
		job->key = palloc(sizeof(char *) * Max(job->n_keys, 1));
		for (int i = 0; i < job->n_keys; i++)
			job->key[i] = TextDatumGetCString(parts[i]);
	}
	job->prompt = text_column(tuple, desc, 6);
	job->settings.system = text_column(tuple, desc, 7);
	job->settings.model = text_to_cstring(text_column(tuple, desc, 8));
	job->settings.chat = DatumGetBool(heap_getattr(tuple, 9, desc, &is_null));
	job->settings.options = DatumGetJsonbPCopy(heap_getattr(tuple, 10, desc, &is_null));
	job->attempts = DatumGetInt32(heap_getattr(tuple, 11, desc, &is_null));
	job->was = SPI_getvalue(tuple, desc, 12);
	MemoryContextSwitchTo(old);
	return job;
}

static text *
text_column(HeapTuple tuple, TupleDesc desc, int number)
{
	bool		is_null;
	Datum		value = heap_getattr(tuple, number, desc, &is_null);

	return is_null ? NULL : DatumGetTextPCopy(value);
}
