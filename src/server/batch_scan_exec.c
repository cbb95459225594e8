/*
 * batch_scan_exec.c
 *		The batch scan at work: reads its child ahead, waits for the first row, returns it.
 *
 * How far it reads ahead follows how the rows are wanted.  It starts with one row, or with as many as are
 * certain to be wanted: all where nothing can stop the statement early, a LIMIT's where one is above.  Each row
 * that had to be waited for doubles the requests in flight, up to llama2.batch_size; rows that are ready
 * long before they are wanted let it shrink.
 */
#include "server/batch_scan.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/memutils.h"

#include "server/parameters.h"

/* Rows that may be held for each request in flight: who is answered early waits for those before him. */
#define ROWS_PER_REQUEST 4

/* A run of the executor, as the statement that calls it wants it. */
typedef struct ExecutorCall
{
	const EState *estate;
	uint64		count;			/* rows; 0: all */
	struct ExecutorCall *outer;
} ExecutorCall;

static void begin_scan(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *next_row(CustomScanState *node);
static void end_scan(CustomScanState *node);
static void rescan(CustomScanState *node);
static void shut_down(CustomScanState *node);
static void begin_reading(Llama2BatchScan *scan);
static int	most_in_flight(const Llama2BatchScan *scan);
static int64 evaluate_bound(Llama2BatchScan *scan);
static int64 evaluate_count(Llama2BatchScan *scan, Node *expression, int64 if_null);
static void read_ahead(Llama2BatchScan *scan);
static void take_stock(Llama2BatchScan *scan);
static bool has_room(const Llama2BatchScan *scan);
static int	rows_allowed(const Llama2BatchScan *scan);
static bool read_row(Llama2BatchScan *scan);
static void wait_for_row(Llama2BatchScan *scan, Llama2Row *row);
static bool is_ready(const Llama2BatchScan *scan, const Llama2Row *row);
static int	count_open(const Llama2BatchScan *scan, const Llama2Row *row);
static void adapt(Llama2BatchScan *scan, bool waited);
static void drop_first(Llama2BatchScan *scan);
static void drop_rows(Llama2BatchScan *scan);
static void run_executor(QueryDesc *query, ScanDirection direction, uint64 count
#if PG_VERSION_NUM < 180000
						 ,bool execute_once
#endif
);

static const CustomExecMethods batch_scan_exec_methods = {
	.CustomName = "Llama2 Batch",
	.BeginCustomScan = begin_scan,
	.ExecCustomScan = next_row,
	.EndCustomScan = end_scan,
	.ReScanCustomScan = rescan,
	.EstimateDSMCustomScan = Llama2BatchScanEstimateDSM,
	.InitializeDSMCustomScan = Llama2BatchScanInitializeDSM,
	.ReInitializeDSMCustomScan = Llama2BatchScanReInitializeDSM,
	.InitializeWorkerCustomScan = Llama2BatchScanInitializeWorker,
	.ShutdownCustomScan = shut_down,
	.ExplainCustomScan = Llama2ExplainBatchScan
};

static ExecutorRun_hook_type previous_run_hook = NULL;
static ExecutorCall *executor_call = NULL;

Node *
Llama2CreateBatchScanState(CustomScan *plan)
{
	Llama2BatchScan *scan = (Llama2BatchScan *) newNode(sizeof(Llama2BatchScan), T_CustomScanState);

	scan->css.methods = &batch_scan_exec_methods;
	return (Node *) scan;
}

void
Llama2InstallExecutorHook(void)
{
	previous_run_hook = ExecutorRun_hook;
	ExecutorRun_hook = run_executor;
}

static void
begin_scan(CustomScanState *node, EState *estate, int eflags)
{
	Llama2BatchScan *scan = (Llama2BatchScan *) node;
	CustomScan *plan = (CustomScan *) node->ss.ps.plan;

	outerPlanState(node) = ExecInitNode(outerPlan(plan), estate, eflags & ~(EXEC_FLAG_BACKWARD | EXEC_FLAG_MARK));
	scan->ahead_context = CreateExprContext(estate);
	Llama2FindScanCalls(scan);
}

static TupleTableSlot *
next_row(CustomScanState *node)
{
	Llama2BatchScan *scan = (Llama2BatchScan *) node;
	PlanState  *ps = &node->ss.ps;

	if (!scan->begun)
		begin_reading(scan);
	if (scan->first_returned)
		drop_first(scan);
	for (;;)
	{
		Llama2Row  *row;

		CHECK_FOR_INTERRUPTS();
		read_ahead(scan);
		if (scan->n_rows == 0)
			return NULL;
		row = &scan->rows[scan->first];
		wait_for_row(scan, row);

		Llama2SetScanRow(scan, row);
		ResetExprContext(ps->ps_ExprContext);
		ps->ps_ExprContext->ecxt_scantuple = node->ss.ss_ScanTupleSlot;
		if (scan->qual && !ExecQual(scan->qual, ps->ps_ExprContext))
		{
			InstrCountFiltered1(node, 1);
			drop_first(scan);
			continue;
		}
		Llama2EndPrefetches(scan, row);
		scan->first_returned = true;
		scan->n_returned++;
		return ps->ps_ProjInfo ? ExecProject(ps->ps_ProjInfo) : node->ss.ss_ScanTupleSlot;
	}
}

static void
end_scan(CustomScanState *node)
{
	Llama2BatchScan *scan = (Llama2BatchScan *) node;

	drop_rows(scan);
	if (scan->duplicates)
		Llama2FreeDuplicates(scan->duplicates);
	ExecEndNode(outerPlanState(node));
}

/* The child's bound must be known before it starts again. */
static void
rescan(CustomScanState *node)
{
	Llama2BatchScan *scan = (Llama2BatchScan *) node;

	drop_rows(scan);
	if (scan->begun)
		begin_reading(scan);
	if (outerPlanState(node)->chgParam == NULL)
		ExecReScan(outerPlanState(node));
}

static void
shut_down(CustomScanState *node)
{
	Llama2ShareCounters((Llama2BatchScan *) node);
}

static void
begin_reading(Llama2BatchScan *scan)
{
	CustomScan *plan = (CustomScan *) scan->css.ss.ps.plan;
	EState	   *estate = scan->css.ss.ps.state;
	MemoryContext old = MemoryContextSwitchTo(estate->es_query_cxt);
	int64		wanted = -1;
	bool		reads_all = intVal(list_nth(plan->custom_private, LLAMA2_PLAN_READS_ALL));

	for (ExecutorCall *call = executor_call; call; call = call->outer)
	{
		if (call->estate == estate)
			wanted = (int64) Min(call->count, (uint64) PG_INT64_MAX);
	}
	if (scan->rows == NULL)
	{
		scan->most = most_in_flight(scan);
		scan->n_places = scan->most * ROWS_PER_REQUEST;
		scan->rows = palloc0(sizeof(Llama2Row) * scan->n_places);
		if (scan->most > 1)
			scan->duplicates = Llama2CreateDuplicates((Size) work_mem * 1024 / 4);
		scan->progress = Llama2BeginProgress(estate->es_query_cxt, outerPlanState(scan)->plan->plan_rows);
	}
	scan->bound = evaluate_bound(scan);
	/* who asks for a number of changed rows has no more changed */
	if (wanted > 0 && intVal(list_nth(plan->custom_private, LLAMA2_PLAN_IS_CHANGE)))
		scan->bound = wanted;
	scan->target = 1;
	if (scan->bound > 0)
		scan->target = (int) Min(scan->bound, scan->most);
	else if (reads_all && wanted == 0)
		scan->target = scan->most;
	else if (reads_all && wanted > 0)
		scan->target = (int) Min(wanted, scan->most);
	if (scan->qual == NULL)
		ExecSetTupleBound(scan->bound, outerPlanState(scan));
	scan->n_returned = 0;
	scan->n_easy = 0;
	scan->child_done = false;
	scan->begun = true;
	MemoryContextSwitchTo(old);
}

/* A recheck of one row that somebody else has changed has nothing to read ahead. */
static int
most_in_flight(const Llama2BatchScan *scan)
{
	int			most = llama2_batch_size;

	if (!llama2_batch_scan || scan->css.ss.ps.state->es_epq_active)
		return 1;
	if (most == 0)
		most = llama2_max_batch + (llama2_max_batch + 1) / 2;
	return Max(Min(most, llama2_control->n_slots / 2), 1);
}

/* Rows that a LIMIT above wants at most, or -1. */
static int64
evaluate_bound(Llama2BatchScan *scan)
{
	CustomScan *plan = (CustomScan *) scan->css.ss.ps.plan;
	int64		count;
	int64		offset;

	if (!intVal(list_nth(plan->custom_private, LLAMA2_PLAN_HAS_LIMIT)))
		return -1;
	count = evaluate_count(scan, list_nth(plan->custom_exprs, LLAMA2_PLAN_COUNT), -1);
	offset = evaluate_count(scan, list_nth(plan->custom_exprs, LLAMA2_PLAN_OFFSET), 0);
	if (count < 0 || offset < 0 || count > PG_INT64_MAX - offset)
		return -1;
	return count + offset;
}

static int64
evaluate_count(Llama2BatchScan *scan, Node *expression, int64 if_null)
{
	Datum		value;
	bool		is_null;

	if (expression == NULL)
		return if_null;
	value = ExecEvalExprSwitchContext(ExecInitExpr((Expr *) expression, &scan->css.ss.ps), scan->ahead_context,
									  &is_null);
	return is_null ? if_null : DatumGetInt64(value);
}

/* Start what can be started, of rows that are there and of others as long as there is room. */
static void
read_ahead(Llama2BatchScan *scan)
{
	Llama2CollectAnswers();
	scan->slots_short = false;
	take_stock(scan);
	for (int i = 0; i < scan->n_rows && !scan->slots_short; i++)
	{
		if (i > 0 && !has_room(scan))
			break;
		Llama2StartCalls(scan, &scan->rows[(scan->first + i) % scan->n_places]);
	}
	while (!scan->child_done && !scan->slots_short && scan->n_rows < rows_allowed(scan) &&
		   (scan->n_rows == 0 || (has_room(scan) && scan->n_bytes < (Size) work_mem * 1024)))
	{
		if (!read_row(scan))
			break;
	}
}

/*
 * Let calls go on that have more to ask, and count what is in flight.  The first row's calls count until it has
 * been returned: perhaps no other is wanted.
 */
static void
take_stock(Llama2BatchScan *scan)
{
	scan->calls_in_flight = 0;
	scan->in_flight = 0;
	for (int i = 0; i < scan->n_rows; i++)
	{
		Llama2Row  *row = &scan->rows[(scan->first + i) % scan->n_places];

		for (int j = 0; j < scan->n_calls; j++)
		{
			Llama2RowCall *call = &row->calls[j];

			if (call->state != LLAMA2_CALL_STARTED)
				continue;
			if (call->work->next && Llama2WorkIsDone(call->work))
				Llama2ContinueCall(scan, row, &scan->calls[j]);
			scan->calls_in_flight += i == 0 || !Llama2WorkIsDone(call->work);
			scan->in_flight += Llama2WorkCountPending(call->work);
		}
	}
}

static bool
has_room(const Llama2BatchScan *scan)
{
	return scan->calls_in_flight < scan->target && scan->in_flight < scan->most;
}

static int
rows_allowed(const Llama2BatchScan *scan)
{
	int			allowed = Min(scan->target * ROWS_PER_REQUEST, scan->n_places);

	if (scan->bound >= 0)
		allowed = (int) Min(allowed, Max(scan->bound - scan->n_returned, 1));
	return allowed;
}

/* Read one row and start its calls; false at the end. */
static bool
read_row(Llama2BatchScan *scan)
{
	EState	   *estate = scan->css.ss.ps.state;
	Llama2Row  *row = &scan->rows[(scan->first + scan->n_rows) % scan->n_places];
	TupleTableSlot *slot = ExecProcNode(outerPlanState(scan));

	if (TupIsNull(slot))
	{
		scan->child_done = true;
		return false;
	}
	if (row->slot == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(estate->es_query_cxt);

		row->slot = ExecInitExtraTupleSlot(estate, ExecGetResultType(outerPlanState(scan)), &TTSOpsMinimalTuple);
		row->context = AllocSetContextCreate(estate->es_query_cxt, "llama2 row", ALLOCSET_SMALL_SIZES);
		row->calls = palloc(sizeof(Llama2RowCall) * Max(scan->n_calls, 1));
		row->conditions = palloc(sizeof(Llama2Known) * Max(scan->n_conditions, 1));
		MemoryContextSwitchTo(old);
	}
	ExecCopySlot(row->slot, slot);
	memset(row->calls, 0, sizeof(Llama2RowCall) * scan->n_calls);
	memset(row->conditions, 0, sizeof(Llama2Known) * scan->n_conditions);
	scan->n_rows++;
	Llama2StartCalls(scan, row);
	row->n_bytes = ((MinimalTupleTableSlot *) row->slot)->mintuple->t_len + MemoryContextMemAllocated(row->context, true);
	scan->n_bytes += row->n_bytes;
	Llama2ProgressRows(scan->progress, 1, 0);
	return true;
}

/* Until every call of the row that was started, or will be before its turn, is answered. */
static void
wait_for_row(Llama2BatchScan *scan, Llama2Row *row)
{
	bool		waited = false;

	for (;;)
	{
		instr_time	start;
		instr_time	end;
		uint64		elapsed;

		if (is_ready(scan, row))
		{
			int			n_open = count_open(scan, row);

			/* calls that need what is answered since the last look */
			if (n_open > 0)
				Llama2StartCalls(scan, row);
			if (count_open(scan, row) == n_open)
				break;
			continue;
		}
		waited = true;
		INSTR_TIME_SET_CURRENT(start);
		Llama2WaitForWorker();
		INSTR_TIME_SET_CURRENT(end);
		INSTR_TIME_SUBTRACT(end, start);
		elapsed = INSTR_TIME_GET_MICROSEC(end);
		scan->counters[LLAMA2_SCAN_WAIT_US] += elapsed;
		scan->counters[LLAMA2_SCAN_IN_FLIGHT_US] += elapsed * scan->in_flight;

		read_ahead(scan);
	}
	adapt(scan, waited);
}

static bool
is_ready(const Llama2BatchScan *scan, const Llama2Row *row)
{
	for (int i = 0; i < scan->n_calls; i++)
	{
		const Llama2RowCall *call = &row->calls[i];

		if (call->state == LLAMA2_CALL_STARTED && (!Llama2WorkIsDone(call->work) || call->work->next))
			return false;
	}
	return true;
}

static int
count_open(const Llama2BatchScan *scan, const Llama2Row *row)
{
	int			n = 0;

	for (int i = 0; i < scan->n_calls; i++)
		n += row->calls[i].state == LLAMA2_CALL_OPEN;
	return n;
}

static void
adapt(Llama2BatchScan *scan, bool waited)
{
	if (waited)
	{
		scan->target = Min(scan->target * 2, scan->most);
		scan->n_easy = 0;
	}
	else if (++scan->n_easy > scan->target * ROWS_PER_REQUEST)
	{
		scan->target = Max(scan->target * 3 / 4, 1);
		scan->n_easy = 0;
	}
}

static void
drop_first(Llama2BatchScan *scan)
{
	Llama2Row  *row = &scan->rows[scan->first];

	for (int i = 0; i < scan->n_calls; i++)
	{
		if (row->calls[i].work)
			Llama2WorkRelease(row->calls[i].work);
	}
	MemoryContextReset(row->context);
	ExecClearTuple(row->slot);
	scan->n_bytes -= row->n_bytes;
	scan->first = (scan->first + 1) % scan->n_places;
	scan->n_rows--;
	scan->first_returned = false;
	Llama2ProgressRows(scan->progress, 0, 1);
}

static void
drop_rows(Llama2BatchScan *scan)
{
	while (scan->n_rows > 0)
		drop_first(scan);
}

/* Note how many rows the caller wants. */
static void
run_executor(QueryDesc *query, ScanDirection direction, uint64 count
#if PG_VERSION_NUM < 180000
			 ,bool execute_once
#endif
)
{
	ExecutorCall call = {query->estate, count, executor_call};

	executor_call = &call;
	PG_TRY();
	{
#if PG_VERSION_NUM >= 180000
		if (previous_run_hook)
			previous_run_hook(query, direction, count);
		else
			standard_ExecutorRun(query, direction, count);
#else
		if (previous_run_hook)
			previous_run_hook(query, direction, count, execute_once);
		else
			standard_ExecutorRun(query, direction, count, execute_once);
#endif
	}
	PG_FINALLY();
	{
		executor_call = call.outer;
	}
	PG_END_TRY();
}
