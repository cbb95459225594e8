/*
 * batch_scan_explain.c
 *		What EXPLAIN shows of a batch scan, and the counters of parallel workers.
 *
 * A worker adds its counters to those in the statement's shared memory when it is through; the leader takes
 * the sum while that memory is there, and forgets where it was.
 */
#include "server/batch_scan.h"

#include "access/parallel.h"
#include "commands/explain.h"
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif
#include "utils/lsyscache.h"

static List *call_names(const Llama2BatchScan *scan);
static void show_counters(const Llama2BatchScan *scan, ExplainState *es);

Size
Llama2BatchScanEstimateDSM(CustomScanState *node, ParallelContext *pcxt)
{
	return sizeof(Llama2SharedCounters);
}

void
Llama2BatchScanInitializeDSM(CustomScanState *node, ParallelContext *pcxt, void *coordinate)
{
	Llama2BatchScan *scan = (Llama2BatchScan *) node;

	scan->shared = coordinate;
	for (int i = 0; i < LLAMA2_SCAN_COUNTERS; i++)
		pg_atomic_init_u64(&scan->shared->counters[i], 0);
}

/* Counters go on from one launch of the workers to the next. */
void
Llama2BatchScanReInitializeDSM(CustomScanState *node, ParallelContext *pcxt, void *coordinate)
{
}

void
Llama2BatchScanInitializeWorker(CustomScanState *node, shm_toc *toc, void *coordinate)
{
	((Llama2BatchScan *) node)->shared = coordinate;
}

/*
 * In a worker give the counters away, in the leader take them.  The executor may shut a node down more than once, in the leader
 * also after the memory is gone.
 */
void
Llama2ShareCounters(Llama2BatchScan *scan)
{
	if (scan->shared == NULL)
		return;
	for (int i = 0; i < LLAMA2_SCAN_COUNTERS; i++)
	{
		if (IsParallelWorker())
		{
			(void) pg_atomic_fetch_add_u64(&scan->shared->counters[i], scan->counters[i]);
			scan->counters[i] = 0;
		}
		else
			scan->from_workers[i] += pg_atomic_read_u64(&scan->shared->counters[i]);
	}
	if (!IsParallelWorker())
		scan->shared = NULL;
}

void
Llama2ExplainBatchScan(CustomScanState *node, List *ancestors, ExplainState *es)
{
	Llama2BatchScan *scan = (Llama2BatchScan *) node;

	ExplainPropertyList("Calls", call_names(scan), es);
	if (es->analyze)
		show_counters(scan, es);
}

/* The functions in the order in which they are called. */
static List *
call_names(const Llama2BatchScan *scan)
{
	List	   *names = NIL;

	for (int i = 0; i < scan->n_calls; i++)
		names = lappend(names, get_func_name(scan->calls[i].expression->funcid));
	return names;
}

static void
show_counters(const Llama2BatchScan *scan, ExplainState *es)
{
	int64		total[LLAMA2_SCAN_COUNTERS];
	double		in_flight;
	double		wait_ms;

	for (int i = 0; i < LLAMA2_SCAN_COUNTERS; i++)
		total[i] = (int64) (scan->counters[i] + scan->from_workers[i]);
	in_flight = total[LLAMA2_SCAN_WAIT_US] == 0 ? 0 :
		(double) total[LLAMA2_SCAN_IN_FLIGHT_US] / (double) total[LLAMA2_SCAN_WAIT_US];
	wait_ms = (double) total[LLAMA2_SCAN_WAIT_US] / 1000.0;

	if (es->format == EXPLAIN_FORMAT_TEXT)
	{
		appendStringInfoSpaces(es->str, es->indent * 2);
		appendStringInfo(es->str, "Requests: " INT64_FORMAT "  Duplicates: " INT64_FORMAT "  In Turn: " INT64_FORMAT "\n",
						 total[LLAMA2_SCAN_REQUESTS], total[LLAMA2_SCAN_DUPLICATES], total[LLAMA2_SCAN_LEFT]);
		appendStringInfoSpaces(es->str, es->indent * 2);
		appendStringInfo(es->str, "Tokens: prompt=" INT64_FORMAT " cached=" INT64_FORMAT " completion=" INT64_FORMAT "\n",
						 total[LLAMA2_SCAN_PROMPT_TOKENS], total[LLAMA2_SCAN_CACHED_TOKENS],
						 total[LLAMA2_SCAN_COMPLETION_TOKENS]);
		appendStringInfoSpaces(es->str, es->indent * 2);
		appendStringInfo(es->str, "In Flight: %.1f", in_flight);
		if (es->timing)
			appendStringInfo(es->str, "  Waiting: %.3f ms", wait_ms);
		appendStringInfoChar(es->str, '\n');
		return;
	}
	ExplainPropertyInteger("Requests", NULL, total[LLAMA2_SCAN_REQUESTS], es);
	ExplainPropertyInteger("Duplicates", NULL, total[LLAMA2_SCAN_DUPLICATES], es);
	ExplainPropertyInteger("In Turn", NULL, total[LLAMA2_SCAN_LEFT], es);
	ExplainPropertyInteger("Prompt Tokens", NULL, total[LLAMA2_SCAN_PROMPT_TOKENS], es);
	ExplainPropertyInteger("Cached Tokens", NULL, total[LLAMA2_SCAN_CACHED_TOKENS], es);
	ExplainPropertyInteger("Completion Tokens", NULL, total[LLAMA2_SCAN_COMPLETION_TOKENS], es);
	ExplainPropertyFloat("In Flight", NULL, in_flight, 1, es);
	if (es->timing)
		ExplainPropertyFloat("Waiting", "ms", wait_ms, 3, es);
}
