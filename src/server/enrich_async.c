/*
 * enrich_async.c
 *		llama2_enrich_async: a trigger that queues jobs for the rows of a transaction.
 *
 * Row by row only keys are noted down here; they go into llama2_job before the
 * transaction commits, one job for all rows of a trigger, which the worker takes apart.  So a row
 * costs no insertion of its own.  What a subtransaction noted goes with it when
 * it is rolled back.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "server/enrich_rows.h"
#include "server/enrich_trigger.h"
#include "server/job_submit.h"
#include "shared/compat.h"

PG_FUNCTION_INFO_V1(llama2_enrich_async);

/* Rows of one job: more are put into the table at once, for the memory that they take. */
#define ROWS_OF_JOB 1000

/* Rows of one trigger, in one subtransaction, of one user. */
typedef struct PendingRows
{
	SubTransactionId subtransaction;
	const Llama2EnrichTrigger *trigger;
	Oid			schema;
	Oid			owner;
	Jsonb	   *options;
	int			n_rows;
	int			capacity;
	Datum	   *keys;			/* [capacity][columns of the key], text */
	char	  **was;			/* [capacity], what the column had */
	bool		was_set;		/* in some of them it was not null */
	MemoryContext context;		/* options, keys and these */
} PendingRows;

static bool is_wanted(const Llama2EnrichTarget *target, TupleTableSlot *old, TupleTableSlot *new);
static PendingRows *pending_rows(FunctionCallInfo fcinfo, Llama2EnrichTrigger *trigger);
static void note_row(PendingRows *rows, TupleTableSlot *row);
static void insert_job(PendingRows *rows);
static void insert_all(void);
static void drop_rows(PendingRows *rows);
static void at_transaction_event(XactEvent event, void *arg);
static void at_subtransaction_event(SubXactEvent event, SubTransactionId subtransaction,
									SubTransactionId parent, void *arg);

static List *pending = NIL;		/* of PendingRows, in the transaction's memory */
static bool callbacks_registered = false;

Datum
llama2_enrich_async(PG_FUNCTION_ARGS)
{
	Llama2EnrichTrigger *trigger = Llama2EnrichTriggerOf(fcinfo, "llama2_enrich_async");
	TriggerData *data = (TriggerData *) fcinfo->context;
	bool		is_update = TRIGGER_FIRED_BY_UPDATE(data->tg_event);
	Llama2TransitionScan scan;
	TupleTableSlot *old;
	TupleTableSlot *new;

	if (!TRIGGER_FIRED_AFTER(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger \"%s\" with function \"llama2_enrich_async\" must be fired AFTER",
						data->tg_trigger->tgname)));
	if (RelationUsesLocalBuffers(data->tg_relation))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger \"%s\" with function \"llama2_enrich_async\" is on a temporary table",
						data->tg_trigger->tgname),
				 errdetail("Its rows are filled by another process, which cannot see them."),
				 errhint("Use llama2_enrich.")));
	if (TRIGGER_FIRED_FOR_ROW(data->tg_event))
	{
		old = is_update ? data->tg_trigslot : NULL;
		new = is_update ? data->tg_newslot : data->tg_trigslot;
		if (is_wanted(&trigger->target, old, new))
			note_row(pending_rows(fcinfo, trigger), new);
		PG_RETURN_POINTER(NULL);
	}
	Llama2TransitionBegin(&scan, data, "llama2_enrich_async");
	while (Llama2TransitionNext(&scan, &old, &new))
		if (is_wanted(&trigger->target, old, new))
			note_row(pending_rows(fcinfo, trigger), new);
	Llama2TransitionEnd(&scan);
	PG_RETURN_POINTER(NULL);
}

/* A job that waits for a row does not find it under another key. */
static bool
is_wanted(const Llama2EnrichTarget *target, TupleTableSlot *old, TupleTableSlot *new)
{
	return Llama2EnrichWanted(target, old, new) || (old && Llama2EnrichMoved(target, old, new));
}

/* Where rows of this call are noted; the youngest is looked at first. */
static PendingRows *
pending_rows(FunctionCallInfo fcinfo, Llama2EnrichTrigger *trigger)
{
	SubTransactionId subtransaction = GetCurrentSubTransactionId();
	Oid			owner = GetUserId();
	const Jsonb *options;
	MemoryContext context;
	MemoryContext old;
	PendingRows *rows;

	for (int i = list_length(pending) - 1; i >= 0; i--)
	{
		rows = list_nth(pending, i);
		if (rows->trigger == trigger && rows->subtransaction == subtransaction && rows->owner == owner)
			return rows;
	}
	if (!callbacks_registered)
	{
		RegisterXactCallback(at_transaction_event, NULL);
		RegisterSubXactCallback(at_subtransaction_event, NULL);
		callbacks_registered = true;
	}
	options = Llama2EnrichJobOptions(trigger);
	context = AllocSetContextCreate(TopTransactionContext, "llama2 pending rows", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	rows = palloc0(sizeof(PendingRows));
	rows->context = context;
	rows->subtransaction = subtransaction;
	rows->trigger = trigger;
	rows->schema = get_func_namespace(fcinfo->flinfo->fn_oid);
	rows->owner = owner;
	rows->options = palloc(VARSIZE(options));
	memcpy(rows->options, options, VARSIZE(options));
	rows->capacity = 8;
	rows->keys = palloc(sizeof(Datum) * trigger->target.n_keys * rows->capacity);
	rows->was = palloc(sizeof(char *) * rows->capacity);
	MemoryContextSwitchTo(TopTransactionContext);
	pending = lappend(pending, rows);
	MemoryContextSwitchTo(old);
	return rows;
}

static void
note_row(PendingRows *rows, TupleTableSlot *row)
{
	const Llama2EnrichTarget *target = &rows->trigger->target;
	MemoryContext old = MemoryContextSwitchTo(rows->context);
	Datum		value;
	bool		is_null;

	if (rows->n_rows == rows->capacity)
	{
		rows->capacity *= 2;
		rows->keys = repalloc(rows->keys, sizeof(Datum) * target->n_keys * rows->capacity);
		rows->was = repalloc(rows->was, sizeof(char *) * rows->capacity);
	}
	for (int i = 0; i < target->n_keys; i++)
	{
		char	   *key = Llama2EnrichKey(target, i, row);

		rows->keys[rows->n_rows * target->n_keys + i] = CStringGetTextDatum(key);
		pfree(key);
	}
	value = slot_getattr(row, target->column.attnum, &is_null);
	rows->was[rows->n_rows] = NULL;
	if (!is_null)
	{
		char	   *lasting = Llama2LastingText(&target->column, value);

		rows->was[rows->n_rows] = Llama2ValueMark(lasting);
		rows->was_set = true;
		pfree(lasting);
	}
	MemoryContextSwitchTo(old);
	if (++rows->n_rows == ROWS_OF_JOB)
	{
		insert_job(rows);
		drop_rows(rows);
	}
}

static void
insert_job(PendingRows *rows)
{
	const Llama2EnrichTarget *target = &rows->trigger->target;
	Llama2JobSpec spec = {0};
	int			dimensions[2] = {rows->n_rows, target->n_keys};
	int			lower[2] = {1, 1};
	bool		single = rows->n_rows == 1;

	/* the transaction may have dropped the extension since */
	if (!OidIsValid(get_relname_relid("llama2_job", rows->schema)))
		return;
	spec.schema = rows->schema;
	spec.owner = rows->owner;
	spec.relid = target->relid;
	spec.column = target->column.name;
	spec.bundled = !single;
	spec.keys = PointerGetDatum(construct_md_array(rows->keys, NULL, single ? 1 : 2,
												   single ? dimensions + 1 : dimensions, lower,
												   TEXTOID, -1, false, TYPALIGN_INT));
	if (rows->was_set)
		spec.was = Llama2TextArray(rows->was, rows->n_rows, 1);
	spec.prompt = cstring_to_text(target->source);
	spec.settings = rows->trigger->settings;
	spec.options = rows->options;
	(void) Llama2JobInsert(&spec);
}

static void
insert_all(void)
{
	if (pending == NIL)
		return;
	PushActiveSnapshot(GetTransactionSnapshot());
	while (pending != NIL)
	{
		PendingRows *rows = linitial(pending);

		if (rows->n_rows > 0)
			insert_job(rows);
		drop_rows(rows);
	}
	PopActiveSnapshot();
}

static void
drop_rows(PendingRows *rows)
{
	pending = list_delete_ptr(pending, rows);
	MemoryContextDelete(rows->context);
}

static void
at_transaction_event(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			insert_all();
			break;
		case XACT_EVENT_ABORT:
			pending = NIL;
			break;
		default:
			break;
	}
}

static void
at_subtransaction_event(SubXactEvent event, SubTransactionId subtransaction,
						SubTransactionId parent, void *arg)
{
	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	for (int i = list_length(pending) - 1; i >= 0; i--)
	{
		PendingRows *rows = list_nth(pending, i);

		if (rows->subtransaction != subtransaction)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			rows->subtransaction = parent;
		else
			drop_rows(rows);
	}
}
