/*
 * batch_scan.h
 *		The plan node that computes many rows' calls at a time: "Custom Scan (Llama2 Batch)".
 *
 * A planner hook puts it over a node whose target list, or filter, calls a function
 * of batch_function.h.  It reads rows of that node ahead, starts their calls, and gives the rows back in order,
 * each when its calls are answered.  src/README.md tells the whole of it.
 *
 *	 batch_scan_plan.c		where the node goes in a finished plan
 *	 batch_scan_below.c		calls of aggregates, windows and joins, below these
 *	 batch_scan_rewrite.c	calls in VALUES and RETURNING
 *	 batch_scan_groups.c	calls in the place of an aggregate
 *	 batch_scan_tree.c		walks over plans, and what may be read ahead
 *	 batch_scan_calls.c		the calls in the node's expressions, and when SQL makes them
 *	 batch_scan_ahead.c		starts the calls of rows that are read ahead
 *	 batch_scan_exec.c		the node: reads, waits, returns
 *	 batch_scan_explain.c	what EXPLAIN shows, workers' counters
 */
#ifndef LLAMA2_BATCH_SCAN_H
#define LLAMA2_BATCH_SCAN_H

#include "postgres.h"

#include "nodes/execnodes.h"
#include "nodes/extensible.h"
#include "nodes/plannodes.h"
#include "port/atomics.h"

#include "server/batch_function.h"
#include "server/progress.h"

/* Members of a node's custom_exprs: a LIMIT's count and offset, calls that are only asked ahead. */
enum
{
	LLAMA2_PLAN_COUNT,
	LLAMA2_PLAN_OFFSET,
	LLAMA2_PLAN_PREFETCHES
};

/* Members of its custom_private. */
enum
{
	LLAMA2_PLAN_READS_ALL,		/* Integer: nothing above stops before the last row */
	LLAMA2_PLAN_HAS_LIMIT,		/* Integer */
	LLAMA2_PLAN_IS_CHANGE		/* Integer: the child changes rows as they are read */
};

/* May an expression be evaluated for a row before that row's turn? */
typedef enum Llama2Ahead
{
	LLAMA2_AHEAD_FREELY,		/* it raises no error that depends on the row */
	LLAMA2_AHEAD_GUARDED,		/* in a subtransaction that catches the error */
	LLAMA2_AHEAD_NEVER			/* once only, in its place */
} Llama2Ahead;

/*
 * Something that decides whether SQL makes a call: an expression that must be
 * true.  Several calls may have it.
 */
typedef struct Llama2Condition
{
	Expr	   *expression;
	ExprState  *state;
	Bitmapset  *needs;			/* calls whose values it uses */
	Bitmapset  *params;			/* what other nodes and subqueries supply to it */
	Llama2Ahead ahead;
	bool		is_true;		/* when last evaluated */
} Llama2Condition;

/* A call in the node's expressions, where a Param stands for it. */
typedef struct Llama2ScanCall
{
	struct Llama2BatchScan *scan;
	int			number;
	const Llama2BatchFunction *function;
	FuncExpr   *expression;		/* inner calls replaced by Params */
	bool		is_prefetch;	/* asked ahead only, for the function itself, which is called above */
	List	   *arguments;		/* ExprStates */
	FunctionCallInfo fcinfo;
	Bitmapset  *conditions;		/* all of them are true when SQL makes the call */
	Bitmapset  *needs;			/* calls whose values the arguments use */
	Bitmapset  *params;			/* what other nodes and subqueries supply to these */
	Llama2Ahead ahead;
} Llama2ScanCall;

/* Where a call of a row stands. */
typedef enum Llama2CallState
{
	LLAMA2_CALL_OPEN,			/* not looked at, or what it needs is not there yet */
	LLAMA2_CALL_PREPARED,		/* no slot was free */
	LLAMA2_CALL_STARTED,
	LLAMA2_CALL_ANSWERED,
	LLAMA2_CALL_UNNEEDED,		/* a condition is not true */
	LLAMA2_CALL_LEFT			/* to its turn: cannot be known before, or raises an error */
} Llama2CallState;

typedef struct Llama2RowCall
{
	Llama2CallState state;
	bool		is_null;
	Datum		value;
	Llama2Work *work;
} Llama2RowCall;

typedef enum Llama2Known
{
	LLAMA2_UNKNOWN,
	LLAMA2_TRUE,
	LLAMA2_FALSE
} Llama2Known;

/* A row read ahead. */
typedef struct Llama2Row
{
	TupleTableSlot *slot;		/* a minimal tuple of its own */
	MemoryContext context;		/* arguments, work and values, until the row is done */
	Llama2RowCall *calls;
	Llama2Known *conditions;
	Size		n_bytes;
} Llama2Row;

/* What EXPLAIN ANALYZE shows; a worker adds its own to the leader's. */
typedef enum Llama2ScanCounter
{
	LLAMA2_SCAN_REQUESTS,
	LLAMA2_SCAN_DUPLICATES,
	LLAMA2_SCAN_PROMPT_TOKENS,
	LLAMA2_SCAN_CACHED_TOKENS,
	LLAMA2_SCAN_COMPLETION_TOKENS,
	LLAMA2_SCAN_WAIT_US,
	LLAMA2_SCAN_IN_FLIGHT_US,	/* the same, times the requests in flight */
	LLAMA2_SCAN_LEFT,			/* calls that were made in their turn */
	LLAMA2_SCAN_COUNTERS
} Llama2ScanCounter;

typedef struct Llama2SharedCounters
{
	pg_atomic_uint64 counters[LLAMA2_SCAN_COUNTERS];
} Llama2SharedCounters;

typedef struct Llama2BatchScan
{
	CustomScanState css;

	/* expressions */
	Llama2ScanCall *calls;
	int			n_calls;
	Llama2Condition *conditions;
	int			n_conditions;
	ExprState  *qual;
	ExprContext *ahead_context;
	ParamListInfo given_params; /* the statement's, while expressions are compiled */

	/* rows read ahead, a ring */
	Llama2Row  *rows;
	int			n_places;
	int			first;
	int			n_rows;
	bool		first_returned; /* and is freed when the next is asked for */
	bool		child_done;
	bool		slots_short;
	Size		n_bytes;		/* of the rows, about */

	/* the row that expressions are evaluated for now */
	Llama2Row  *current;
	bool		is_ahead;
	bool		met_unknown;	/* ahead, the value of a call was wanted that is not there */

	/* how far to read ahead */
	int			target;			/* calls in flight */
	int			most;			/* of these, and requests */
	int			n_easy;			/* rows in a row that needed no wait */
	bool		begun;
	int64		bound;			/* rows that are wanted at most, or -1 */
	int64		n_returned;

	Llama2Duplicates *duplicates;
	int			calls_in_flight;
	int			in_flight;		/* requests of these that are not done */

	uint64		counters[LLAMA2_SCAN_COUNTERS];
	Llama2SharedCounters *shared;
	uint64		from_workers[LLAMA2_SCAN_COUNTERS];
	Llama2Progress *progress;	/* NULL where no entry was free */
} Llama2BatchScan;

/* batch_scan_plan.c */
extern void Llama2InstallBatchScan(void);

/* batch_scan_rewrite.c */
/* What only the node below can evaluate becomes a column of it: appended to a target list, where it is not there yet. */
extern Node *Llama2ReplaceLeaves(Node *node, List **columns);
extern void Llama2LiftValues(ValuesScan *scan, List *range_table);
extern List *Llama2TakeReturning(ModifyTable *plan);
extern void Llama2AddPrefetch(Node *call, List *nest_params, List **prefetches);

/* The calls that an expression makes whenever it is evaluated. */
extern void Llama2AddPrefetches(Node *expression, List **prefetches);

/* batch_scan_groups.c */
extern void Llama2SplitSummaries(Agg *agg, List **inval_items);

/* batch_scan_tree.c */
typedef bool (*Llama2PlanWalker) (Plan *plan, void *context);
extern bool Llama2WalkPlan(Plan *plan, Llama2PlanWalker walker, void *context);
extern bool Llama2ContainsVolatile(Node *node);
extern bool Llama2ContainsBatchCall(Node *node);
typedef enum Llama2ReadAhead
{
	LLAMA2_READ_AHEAD_REFUSED,
	LLAMA2_READ_AHEAD_HARMLESS, /* it draws random numbers or looks at the clock */
	LLAMA2_READ_AHEAD_SAFE
} Llama2ReadAhead;

/* Of a statement: what a plan refers to by number. */
typedef struct Llama2Subqueries
{
	List	   *plans;
	List	   *init_plans;		/* SubPlans that set parameters */
} Llama2Subqueries;

extern Llama2ReadAhead Llama2MayReadAhead(Plan *plan, const Llama2Subqueries *subqueries);

/* batch_scan_calls.c */
extern void Llama2FindScanCalls(Llama2BatchScan *scan);

/* batch_scan_ahead.c */
extern void Llama2StartCalls(Llama2BatchScan *scan, Llama2Row *row);
extern void Llama2ContinueCall(Llama2BatchScan *scan, Llama2Row *row, Llama2ScanCall *call);
extern void Llama2AnswerCall(Llama2BatchScan *scan, Llama2Row *row, Llama2ScanCall *call);
extern void Llama2EndPrefetches(Llama2BatchScan *scan, Llama2Row *row);
extern Datum Llama2CallNow(Llama2BatchScan *scan, Llama2ScanCall *call, ExprContext *econtext, bool *is_null);
extern void Llama2SetScanRow(Llama2BatchScan *scan, Llama2Row *row);

/* batch_scan_exec.c */
extern Node *Llama2CreateBatchScanState(CustomScan *plan);
extern void Llama2InstallExecutorHook(void);

/* batch_scan_explain.c */
extern Size Llama2BatchScanEstimateDSM(CustomScanState *node, ParallelContext *pcxt);
extern void Llama2BatchScanInitializeDSM(CustomScanState *node, ParallelContext *pcxt, void *coordinate);
extern void Llama2BatchScanReInitializeDSM(CustomScanState *node, ParallelContext *pcxt, void *coordinate);
extern void Llama2BatchScanInitializeWorker(CustomScanState *node, shm_toc *toc, void *coordinate);
extern void Llama2ShareCounters(Llama2BatchScan *scan);
extern void Llama2ExplainBatchScan(CustomScanState *node, List *ancestors, ExplainState *es);

#endif							/* LLAMA2_BATCH_SCAN_H */
