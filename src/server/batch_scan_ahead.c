/*
 * batch_scan_ahead.c
 *		Starts the calls of rows that are read ahead, and makes those whose turn it is.
 *
 * Before a row's turn only what SQL is certain to evaluate is evaluated, and only
 * what has no effects.  An error then is no error yet: the call is left to its turn, where it raises
 * the error if it is still to be evaluated.  Who catches an error must undo what it left half done:
 * arguments that can raise one are evaluated in a subtransaction.  Only reading the arguments'
 * values, which are in memory by then, is guarded without one.
 */
#include "server/batch_scan.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "executor/nodeSubplan.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

typedef bool (*Guarded) (Llama2BatchScan *scan, void *what);

static void start_call(Llama2BatchScan *scan, Llama2Row *row, Llama2ScanCall *call);
static bool needs_are_there(Llama2BatchScan *scan, Llama2Row *row, Bitmapset *needs, bool *never);
static bool params_are_there(Llama2BatchScan *scan, Llama2Row *row, Bitmapset *params);
static Llama2CallState check_conditions(Llama2BatchScan *scan, Llama2Row *row, Llama2ScanCall *call);
static bool evaluate_condition(Llama2BatchScan *scan, void *what);
static bool evaluate_arguments(Llama2BatchScan *scan, void *what);
static bool evaluate_ahead(Llama2BatchScan *scan, Llama2Row *row, Llama2Ahead ahead, Guarded evaluate,
						   void *what);
static bool in_subtransaction(Llama2BatchScan *scan, Guarded evaluate, void *what);
static bool prepare_ahead(Llama2ScanCall *call, Llama2RowCall *row_call);
static bool is_about_row(int sqlerrcode);
static void submit(Llama2BatchScan *scan, Llama2Row *row, Llama2RowCall *row_call);
static bool answer_ahead(Llama2BatchScan *scan, void *what);
static void count_answer(Llama2BatchScan *scan, const Llama2WorkCounts *counts);

typedef struct Answering
{
	Llama2Row  *row;
	Llama2ScanCall *call;
} Answering;

/* Start what can be started of a row's calls now. */
void
Llama2StartCalls(Llama2BatchScan *scan, Llama2Row *row)
{
	for (int i = 0; i < scan->n_calls && !scan->slots_short; i++)
	{
		Llama2RowCall *row_call = &row->calls[i];

		if (row_call->state == LLAMA2_CALL_OPEN)
			start_call(scan, row, &scan->calls[i]);
		else if (row_call->state == LLAMA2_CALL_PREPARED)
			submit(scan, row, row_call);
	}
}

/* Take the answer of a call that was started; waits where it is not there. */
void
Llama2AnswerCall(Llama2BatchScan *scan, Llama2Row *row, Llama2ScanCall *call)
{
	Llama2RowCall *row_call = &row->calls[call->number];
	MemoryContext old = MemoryContextSwitchTo(row->context);

	row_call->value = Llama2WorkAnswer(call->fcinfo, row_call->work, scan->duplicates, call->function->answer);
	row_call->is_null = call->fcinfo->isnull;
	count_answer(scan, &row_call->work->counts);
	row_call->state = LLAMA2_CALL_ANSWERED;
	MemoryContextSwitchTo(old);
}

/* Ask what comes next, of a call whose questions so far are done and were not the last. */
void
Llama2ContinueCall(Llama2BatchScan *scan, Llama2Row *row, Llama2ScanCall *call)
{
	Llama2RowCall *row_call = &row->calls[call->number];
	MemoryContext old = MemoryContextSwitchTo(row->context);

	if (Llama2WorkBeginRound(row_call->work) && !Llama2WorkSubmit(row_call->work, scan->duplicates, true))
	{
		row_call->state = LLAMA2_CALL_PREPARED;
		scan->slots_short = true;
	}
	MemoryContextSwitchTo(old);
}

/* The value of a call of the current row, in its turn. */
Datum
Llama2CallNow(Llama2BatchScan *scan, Llama2ScanCall *call, ExprContext *econtext, bool *is_null)
{
	Llama2Row  *row = scan->current;
	Llama2RowCall *row_call = &row->calls[call->number];
	MemoryContext old = MemoryContextSwitchTo(row->context);

	if (row_call->state == LLAMA2_CALL_OPEN || row_call->state == LLAMA2_CALL_UNNEEDED ||
		row_call->state == LLAMA2_CALL_LEFT)
	{
		ListCell   *cell;

		foreach(cell, call->arguments)
		{
			NullableDatum *argument = &call->fcinfo->args[foreach_current_index(cell)];

			argument->value = ExecEvalExpr((ExprState *) lfirst(cell), econtext, &argument->isnull);
		}
		row_call->work = palloc0(sizeof(Llama2Work));
		scan->counters[LLAMA2_SCAN_LEFT]++;
		if (call->function->prepare(call->fcinfo, row_call->work))
			row_call->state = LLAMA2_CALL_PREPARED;
		else
		{
			row_call->state = LLAMA2_CALL_ANSWERED;
			row_call->is_null = true;
		}
	}
	if (row_call->state == LLAMA2_CALL_PREPARED)
	{
		(void) Llama2WorkSubmit(row_call->work, scan->duplicates, false);
		row_call->state = LLAMA2_CALL_STARTED;
	}
	if (row_call->state == LLAMA2_CALL_STARTED)
		Llama2AnswerCall(scan, row, call);
	MemoryContextSwitchTo(old);
	*is_null = row_call->is_null;
	return row_call->value;
}

/* The row is to be returned: whoever makes the calls that were only asked ahead finds their answers. */
void
Llama2EndPrefetches(Llama2BatchScan *scan, Llama2Row *row)
{
	for (int i = 0; i < scan->n_calls; i++)
	{
		Llama2RowCall *row_call = &row->calls[i];

		if (!scan->calls[i].is_prefetch || row_call->state != LLAMA2_CALL_STARTED)
			continue;
		Llama2WorkEnd(row_call->work);
		count_answer(scan, &row_call->work->counts);
		row_call->state = LLAMA2_CALL_ANSWERED;
	}
}

/* Let expressions see this row. */
void
Llama2SetScanRow(Llama2BatchScan *scan, Llama2Row *row)
{
	TupleTableSlot *slot = scan->css.ss.ss_ScanTupleSlot;
	int			n_columns = slot->tts_tupleDescriptor->natts;

	/* the scan's slot is a virtual one: its values point into the row's own tuple */
	slot_getallattrs(row->slot);
	ExecClearTuple(slot);
	memcpy(slot->tts_values, row->slot->tts_values, sizeof(Datum) * n_columns);
	memcpy(slot->tts_isnull, row->slot->tts_isnull, sizeof(bool) * n_columns);
	ExecStoreVirtualTuple(slot);
	scan->current = row;
}

static void
start_call(Llama2BatchScan *scan, Llama2Row *row, Llama2ScanCall *call)
{
	Llama2RowCall *row_call = &row->calls[call->number];
	bool		never = call->ahead == LLAMA2_AHEAD_NEVER;
	Llama2CallState decided;

	if (!never && !needs_are_there(scan, row, call->needs, &never))
	{
		if (!never)
			return;
	}
	decided = never ? LLAMA2_CALL_LEFT : check_conditions(scan, row, call);
	if (decided != LLAMA2_CALL_PREPARED)
	{
		row_call->state = decided;
		return;
	}
	if (!params_are_there(scan, row, call->params))
		return;
	if (!evaluate_ahead(scan, row, call->ahead, evaluate_arguments, call))
		row_call->state = LLAMA2_CALL_LEFT;
	else
	{
		MemoryContext old = MemoryContextSwitchTo(row->context);

		if (prepare_ahead(call, row_call))
			submit(scan, row, row_call);
		MemoryContextSwitchTo(old);
	}
}

/* Are these calls answered?  *never: one of them will not be before its turn. */
static bool
needs_are_there(Llama2BatchScan *scan, Llama2Row *row, Bitmapset *needs, bool *never)
{
	Answering	answering = {row};
	int			number = -1;

	while ((number = bms_next_member(needs, number)) >= 0)
	{
		Llama2RowCall *needed = &row->calls[number];

		switch (needed->state)
		{
			case LLAMA2_CALL_OPEN:
			case LLAMA2_CALL_PREPARED:
				return false;
			case LLAMA2_CALL_STARTED:
				if (!Llama2WorkIsDone(needed->work) || needed->work->next)
					return false;
				answering.call = &scan->calls[number];
				if (Llama2WorkHasTrouble(needed->work) ||
					!evaluate_ahead(scan, row, answering.call->function->answer_is_fallible ? LLAMA2_AHEAD_GUARDED :
									LLAMA2_AHEAD_FREELY, answer_ahead, &answering))
				{
					*never = true;
					return false;
				}
				break;
			case LLAMA2_CALL_LEFT:
				*never = true;
				return false;
			case LLAMA2_CALL_UNNEEDED:
			case LLAMA2_CALL_ANSWERED:
				break;
		}
	}
	return true;
}

/*
 * Are these parameters known?  A subquery that nobody has evaluated yet is evaluated in the turn
 * of a row that wants it: it can raise errors, and its scans are not a subtransaction's.
 */
static bool
params_are_there(Llama2BatchScan *scan, Llama2Row *row, Bitmapset *params)
{
	ParamExecData *values = scan->css.ss.ps.state->es_param_exec_vals;
	int			number = -1;

	while ((number = bms_next_member(params, number)) >= 0)
	{
		if (values[number].execPlan == NULL)
			continue;
		if (row != &scan->rows[scan->first])
			return false;
		ExecSetParamPlan(values[number].execPlan, scan->ahead_context);
	}
	return true;
}

/* PREPARED: all are true; OPEN: not known yet; UNNEEDED or LEFT. */
static Llama2CallState
check_conditions(Llama2BatchScan *scan, Llama2Row *row, Llama2ScanCall *call)
{
	int			number = -1;

	while ((number = bms_next_member(call->conditions, number)) >= 0)
	{
		Llama2Condition *condition = &scan->conditions[number];

		if (row->conditions[number] == LLAMA2_UNKNOWN)
		{
			bool		never = false;

			if (!needs_are_there(scan, row, condition->needs, &never))
				return never ? LLAMA2_CALL_LEFT : LLAMA2_CALL_OPEN;
			if (!params_are_there(scan, row, condition->params))
				return LLAMA2_CALL_OPEN;
			if (!evaluate_ahead(scan, row, condition->ahead, evaluate_condition, condition))
				return LLAMA2_CALL_LEFT;
			row->conditions[number] = condition->is_true ? LLAMA2_TRUE : LLAMA2_FALSE;
		}
		if (row->conditions[number] == LLAMA2_FALSE)
			return LLAMA2_CALL_UNNEEDED;
	}
	return LLAMA2_CALL_PREPARED;
}

static bool
evaluate_condition(Llama2BatchScan *scan, void *what)
{
	Llama2Condition *condition = what;
	bool		is_null;
	Datum		value = ExecEvalExpr(condition->state, scan->ahead_context, &is_null);

	condition->is_true = !is_null && DatumGetBool(value);
	return true;
}

static bool
evaluate_arguments(Llama2BatchScan *scan, void *what)
{
	Llama2ScanCall *call = what;
	ListCell   *cell;

	foreach(cell, call->arguments)
	{
		NullableDatum *argument = &call->fcinfo->args[foreach_current_index(cell)];

		argument->value = ExecEvalExpr((ExprState *) lfirst(cell), scan->ahead_context, &argument->isnull);
	}
	return true;
}

static bool
answer_ahead(Llama2BatchScan *scan, void *what)
{
	Answering  *answering = what;

	Llama2AnswerCall(scan, answering->row, answering->call);
	return true;
}

/* Evaluate something for a row before its turn; false where that must wait for its turn. */
static bool
evaluate_ahead(Llama2BatchScan *scan, Llama2Row *row, Llama2Ahead ahead, Guarded evaluate, void *what)
{
	MemoryContext old;
	bool		result;

	if (ahead == LLAMA2_AHEAD_GUARDED && IsInParallelMode())
		return false;
	Llama2SetScanRow(scan, row);
	scan->ahead_context->ecxt_scantuple = scan->css.ss.ss_ScanTupleSlot;
	scan->is_ahead = true;
	scan->met_unknown = false;
	old = MemoryContextSwitchTo(row->context);
	if (ahead == LLAMA2_AHEAD_GUARDED)
		result = in_subtransaction(scan, evaluate, what);
	else
		result = evaluate(scan, what);
	MemoryContextSwitchTo(old);
	scan->is_ahead = false;
	return result && !scan->met_unknown;
}

static bool
in_subtransaction(Llama2BatchScan *scan, Guarded evaluate, void *what)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool result = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		result = evaluate(scan, what);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		result = false;
		if (!is_about_row(error->sqlerrcode))
			ReThrowError(error);
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return result;
}

/* The first half of a call; false where nothing is to be submitted. */
static bool
prepare_ahead(Llama2ScanCall *call, Llama2RowCall *row_call)
{
	MemoryContext context = CurrentMemoryContext;
	volatile Llama2CallState state = LLAMA2_CALL_PREPARED;

	row_call->work = palloc0(sizeof(Llama2Work));
	PG_TRY();
	{
		if (!call->function->prepare(call->fcinfo, row_call->work))
			state = LLAMA2_CALL_ANSWERED;
		else if (call->is_prefetch && !Llama2WorkIsReproducible(row_call->work))
		{
			if (call->scan->duplicates)
				Llama2WorkDrawAhead(row_call->work, call->scan->duplicates);
			else
				state = LLAMA2_CALL_ANSWERED;
		}
	}
	PG_CATCH();
	{
		if (!is_about_row(geterrcode()))
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
		state = LLAMA2_CALL_LEFT;
	}
	PG_END_TRY();
	row_call->state = state;
	row_call->is_null = true;
	return state == LLAMA2_CALL_PREPARED;
}

/* Errors that end the statement at any time are no row's. */
static bool
is_about_row(int sqlerrcode)
{
	switch (ERRCODE_TO_CATEGORY(sqlerrcode))
	{
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_SYSTEM_ERROR:
		case ERRCODE_INTERNAL_ERROR:
		case ERRCODE_TRANSACTION_ROLLBACK:
			return false;
		default:
			return true;
	}
}

static void
submit(Llama2BatchScan *scan, Llama2Row *row, Llama2RowCall *row_call)
{
	if (Llama2WorkSubmit(row_call->work, scan->duplicates, true))
	{
		row_call->state = LLAMA2_CALL_STARTED;
		/* the first row's counts even when it is done by now, as in take_stock */
		scan->calls_in_flight += row == &scan->rows[scan->first] || !Llama2WorkIsDone(row_call->work);
		scan->in_flight += Llama2WorkCountPending(row_call->work);
	}
	else
	{
		row_call->state = LLAMA2_CALL_PREPARED;
		scan->slots_short = true;
	}
}

static void
count_answer(Llama2BatchScan *scan, const Llama2WorkCounts *counts)
{
	scan->counters[LLAMA2_SCAN_REQUESTS] += counts->requests;
	scan->counters[LLAMA2_SCAN_DUPLICATES] += counts->duplicates;
	scan->counters[LLAMA2_SCAN_PROMPT_TOKENS] += counts->prompt_tokens;
	scan->counters[LLAMA2_SCAN_CACHED_TOKENS] += counts->cached_tokens;
	scan->counters[LLAMA2_SCAN_COMPLETION_TOKENS] += counts->completion_tokens;
	Llama2ProgressRequests(scan->progress, counts->requests, counts->prompt_tokens, counts->completion_tokens);
}
