/*
 * enrich_table.c
 *		llama2_enrich_table: fills a column of the rows that a table has already.
 *
 * A batch of rows is read, generated and written, and then committed, so that what is done stays done whatever
 * comes.  No lock is held while the model works: a row that changed meanwhile is left for
 * another call.  Rows come in the order of the primary key, beginning after the last one seen,
 * so that a row that stays empty is not tried again and again.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "tcop/pquery.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "server/enrich_rows.h"
#include "server/generate_batch.h"
#include "shared/compat.h"

PG_FUNCTION_INFO_V1(llama2_enrich_table);

#define MAX_BATCH 10000

typedef struct TableRun
{
	Oid			relid;
	char	   *column;
	char	   *source;			/* the template */
	char	   *condition;		/* NULL: none */
	int			batch;
	Llama2Settings *settings;
	Llama2EnrichTarget target;
	Llama2Progress *progress;
	char	  **after;			/* key of the last row seen; NULL: none yet */
} TableRun;

typedef struct RowBatch
{
	int			n;
	char	  **keys;			/* [n][n_keys] */
	char	  **prompts;
	text	  **answers;
} RowBatch;

static void read_arguments(FunctionCallInfo fcinfo, TableRun *run);
static void check_condition(char *condition);
static void point_into_condition(void *condition);
static void open_table(TableRun *run);
static void append_from(StringInfo sql, const TableRun *run);
static int64 count_rows(TableRun *run);
static void read_batch(TableRun *run, RowBatch *batch);
static void generate_batch(const TableRun *run, RowBatch *batch);
static int	write_batch(const TableRun *run, const RowBatch *batch);
static void end_transaction(void);

Datum
llama2_enrich_table(PG_FUNCTION_ARGS)
{
	bool		atomic = fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) ||
		castNode(CallContext, fcinfo->context)->atomic;
	TableRun	run = {0};
	MemoryContext batch_context;
	int64		n_rows;
	int64		n_seen = 0;
	int64		n_written = 0;

	if (atomic)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				 errmsg("llama2_enrich_table cannot be called in a transaction block or a function"),
				 errdetail("It commits after each batch.")));
	Llama2RequirePreload();
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	read_arguments(fcinfo, &run);
	batch_context = AllocSetContextCreate(CurrentMemoryContext, "llama2 batch of rows", ALLOCSET_DEFAULT_SIZES);
	EnsurePortalSnapshotExists();
	open_table(&run);
	n_rows = count_rows(&run);
	run.progress = Llama2BeginProgress(CurrentMemoryContext, (double) n_rows);
	while (n_rows > 0)
	{
		MemoryContext old = MemoryContextSwitchTo(batch_context);
		RowBatch	batch = {0};

		read_batch(&run, &batch);
		if (batch.n == 0)
			break;
		end_transaction();
		Llama2ProgressRows(run.progress, batch.n, 0);
		generate_batch(&run, &batch);
		EnsurePortalSnapshotExists();
		MemoryContextSwitchTo(old);
		open_table(&run);
		MemoryContextSwitchTo(batch_context);
		n_written += write_batch(&run, &batch);
		n_seen += batch.n;
		end_transaction();
		Llama2ProgressRows(run.progress, 0, batch.n);
		ereport(NOTICE,
				(errmsg("column \"%s\": " INT64_FORMAT " of " INT64_FORMAT " rows done",
						run.column, n_written, Max(n_rows, n_seen))));
		MemoryContextSwitchTo(old);
		MemoryContextReset(batch_context);
		EnsurePortalSnapshotExists();
	}
	if (n_written < n_seen)
		ereport(NOTICE,
				(errmsg(INT64_FORMAT " rows were changed meanwhile and left as they are", n_seen - n_written)));
	SPI_finish();
	PG_RETURN_VOID();
}

static void
read_arguments(FunctionCallInfo fcinfo, TableRun *run)
{
	static const char *const names[] = {"target", "column", "template", NULL, "batch"};
	char	   *options;

	for (int i = 0; i < lengthof(names); i++)
		if (names[i] && PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument \"%s\" must not be null", names[i])));
	run->relid = PG_GETARG_OID(0);
	run->column = pstrdup(NameStr(*PG_GETARG_NAME(1)));
	run->source = text_to_cstring(PG_GETARG_TEXT_PP(2));
	run->condition = Llama2StringArgument(fcinfo, 3);
	if (run->condition)
		check_condition(run->condition);
	run->batch = PG_GETARG_INT32(4);
	if (run->batch < 1 || run->batch > MAX_BATCH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("batch %d is out of range", run->batch),
				 errdetail("It must be at least 1 and at most %d.", MAX_BATCH)));
	options = Llama2StringArgument(fcinfo, 5);
	run->settings = Llama2ReadSettings(&options, options ? 1 : 0);
}

/* One expression, so that what stands beside it in the queries holds as well. */
static void
check_condition(char *condition)
{
	ErrorContextCallback callback = {error_context_stack, point_into_condition, condition};

	error_context_stack = &callback;
	(void) raw_parser(condition, RAW_PARSE_PLPGSQL_EXPR);
	error_context_stack = callback.previous;
}

/* The parser's position is not one in the CALL. */
static void
point_into_condition(void *condition)
{
	int			position = geterrposition();

	errposition(0);
	internalerrposition(position);
	internalerrquery(condition);
}

/* Anew in each transaction, as there are no locks between them. */
static void
open_table(TableRun *run)
{
	Relation	relation = table_open(run->relid, AccessShareLock);

	Llama2EnrichTargetInit(&run->target, relation, run->column, run->source);
	Llama2EnrichTargetKeys(&run->target, relation);
	table_close(relation, NoLock);
}

/* Rows that have no value yet, and could have one. */
static void
append_from(StringInfo sql, const TableRun *run)
{
	const Llama2EnrichTarget *target = &run->target;

	appendStringInfo(sql, " FROM %s AS t WHERE t.%s IS NULL", Llama2EnrichRelation(target),
					 quote_identifier(target->column.name));
	for (int i = 0; i < target->template->n_places; i++)
		appendStringInfo(sql, " AND t.%s IS NOT NULL", quote_identifier(target->places[i].name));
	if (run->condition)
		appendStringInfo(sql, " AND (%s\n)", run->condition);
}

static int64
count_rows(TableRun *run)
{
	StringInfoData sql;
	bool		is_null;
	int64		n;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT pg_catalog.count(*)");
	append_from(&sql, run);
	if (SPI_execute(sql.data, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not count the rows");
	n = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
	SPI_freetuptable(SPI_tuptable);
	return n;
}

static void
read_batch(TableRun *run, RowBatch *batch)
{
	const Llama2EnrichTarget *target = &run->target;
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext run_context = MemoryContextGetParent(caller);
	int			n_keys = target->n_keys;
	StringInfoData sql;
	StringInfoData order;
	StringInfoData after;
	Oid			types[INDEX_MAX_KEYS];
	Datum		values[INDEX_MAX_KEYS];

	initStringInfo(&sql);
	initStringInfo(&order);
	initStringInfo(&after);
	for (int i = 0; i < n_keys; i++)
	{
		appendStringInfo(&order, "%st.%s", i > 0 ? ", " : "", quote_identifier(target->keys[i].name));
		appendStringInfo(&after, "%sCAST($%d AS %s)", i > 0 ? ", " : "", i + 1,
						 format_type_be_qualified(target->keys[i].type));
		types[i] = TEXTOID;
		values[i] = run->after ? CStringGetTextDatum(run->after[i]) : (Datum) 0;
	}
	appendStringInfo(&sql, "SELECT %s", Llama2EnrichColumns(target));
	append_from(&sql, run);
	if (run->after)
		appendStringInfo(&sql, " AND (%s) > (%s)", order.data, after.data);
	appendStringInfo(&sql, " ORDER BY %s LIMIT %d", order.data, run->batch);

	if (SPI_execute_with_args(sql.data, run->after ? n_keys : 0, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read a batch of rows");
	batch->n = (int) SPI_processed;
	batch->keys = palloc(sizeof(char *) * Max(batch->n * n_keys, 1));
	batch->prompts = palloc(sizeof(char *) * Max(batch->n, 1));
	for (int i = 0; i < batch->n; i++)
	{
		Llama2EnrichRow row;

		Llama2EnrichRowFrom(target, SPI_tuptable->vals[i], SPI_tuptable->tupdesc, &row,
							batch->keys + i * n_keys);
		batch->prompts[i] = row.prompt;
	}
	SPI_freetuptable(SPI_tuptable);

	MemoryContextSwitchTo(run_context);
	if (batch->n > 0)
	{
		run->after = palloc(sizeof(char *) * n_keys);
		for (int i = 0; i < n_keys; i++)
			run->after[i] = pstrdup(batch->keys[(batch->n - 1) * n_keys + i]);
	}
	MemoryContextSwitchTo(caller);
}

static void
generate_batch(const TableRun *run, RowBatch *batch)
{
	text	  **prompts = palloc(sizeof(text *) * batch->n);
	Llama2Call	call;

	batch->answers = palloc(sizeof(text *) * batch->n);
	for (int i = 0; i < batch->n; i++)
		prompts[i] = batch->prompts[i] ? cstring_to_text(batch->prompts[i]) : NULL;
	Llama2BeginCallWith(run->settings, &call);
	Llama2GenerateBatch(&call, run->settings->chat, prompts, batch->n, batch->answers, run->progress);
}

/* Returns how many rows were written: those that still give the same prompt and have no value. */
static int
write_batch(const TableRun *run, const RowBatch *batch)
{
	const Llama2EnrichTarget *target = &run->target;
	int			n_keys = target->n_keys;
	Llama2EnrichRow *rows = palloc0(sizeof(Llama2EnrichRow) * batch->n);
	bool	   *found = palloc(sizeof(bool) * batch->n);
	char	  **keys = palloc(sizeof(char *) * batch->n * n_keys);
	char	  **answers = palloc(sizeof(char *) * batch->n);
	int			n = 0;

	Llama2EnrichReadRows(target, batch->keys, batch->n, LLAMA2_LOCK_WAIT, rows, found);
	for (int i = 0; i < batch->n; i++)
	{
		if (batch->answers[i] == NULL || !found[i] || rows[i].value || rows[i].prompt == NULL ||
			strcmp(rows[i].prompt, batch->prompts[i]) != 0)
			continue;
		memcpy(keys + n * n_keys, batch->keys + i * n_keys, sizeof(char *) * n_keys);
		answers[n++] = text_to_cstring(batch->answers[i]);
	}
	return n == 0 ? 0 : (int) Llama2EnrichWriteRows(target, keys, answers, n);
}

static void
end_transaction(void)
{
	MemoryContext old = CurrentMemoryContext;

	SPI_commit();
	MemoryContextSwitchTo(old);
}
