/*
 * batch_scan_plan.c
 *		Where the batch scan goes in a finished plan.
 *
 * It goes over a node that calls one of our functions in its target list or at the end of its filter,
 * and takes both from it: the node below is left the columns that they use.  Calls in the arguments of
 * aggregates and set-returning functions are computed below these, as columns of their own.
 *
 * Where anything speaks against reading ahead the plan stays as it is.
 */
#include "server/batch_scan.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/planner.h"
#include "executor/executor.h"

#include "server/parameters.h"

typedef struct Placing
{
	List	   *range_table;
	int			last_node_id;
	bool		has_placed;
} Placing;

/* What is known, above a plan, of how many of its rows are wanted. */
typedef struct Position
{
	bool		reads_all;		/* all, unless the statement is ended early */
	bool		needs_mark;		/* the parent marks and restores its position */
	bool		in_workers;		/* below a Gather */
	bool		is_change;		/* rows are changed as they are read */
	Node	   *count;			/* not more than a LIMIT's, or NULL */
	Node	   *offset;
} Position;

static PlannedStmt *plan_statement(Query *parse, const char *query_string, int cursor_options,
								   ParamListInfo bound_params);
static void place_in_statement(PlannedStmt *statement, int cursor_options);
static bool find_last_node_id(Plan *plan, void *context);
static Plan *place(Plan *plan, Position position, Placing *placing);
static void place_in_list(List *plans, Position position, Placing *placing);
static void place_in_children(Plan *plan, Position position, Placing *placing);
static Position position_below(Plan *plan, Position position);
static void set_limit(Position *position, Limit *limit);
static bool is_exec_param(Node *node, void *context);
static Plan *place_over(Plan *plan, Position position, Placing *placing);
static Plan *place_over_change(Plan *plan, Position position, Placing *placing);
static Plan *place_over_input(Plan *plan, Position position, Placing *placing);
static bool can_project(Plan *plan);
static List *calling_end(List *qual);
static List *take_qual(Plan *plan, List *end);
static bool is_worth_reading_ahead(Node *node, void *context);
static Node *outer_to_scan(Node *node, void *context);
static Plan *make_batch_scan(Plan *child, Plan *outer, List *targetlist, List *qual, Position position,
							 Placing *placing);
static void place_below_aggregate(Agg *agg, Position position, Placing *placing);
static bool add_argument_columns(Node *node, void *context);
static void place_below_set_functions(ProjectSet *plan, Position position, Placing *placing);
static void place_before_function(NestLoop *join, Position position, Placing *placing);
static Plan *below_lateral(Plan *plan);
static Expr *add_column(List **columns, Expr *expression);
static Plan *insert_over(Plan *child, List *columns, List *prefetches, Position position, Placing *placing);
static List *columns_of(Plan *plan);
static Plan *materialize(Plan *plan, Placing *placing);

static planner_hook_type previous_planner_hook = NULL;

static const CustomScanMethods batch_scan_methods = {
	.CustomName = "Llama2 Batch",
	.CreateCustomScanState = Llama2CreateBatchScanState
};

void
Llama2InstallBatchScan(void)
{
	RegisterCustomScanMethods(&batch_scan_methods);
	previous_planner_hook = planner_hook;
	planner_hook = plan_statement;
	Llama2InstallExecutorHook();
}

/* A plan without a function that somebody created has an empty invalItems, and is left alone at once. */
static PlannedStmt *
plan_statement(Query *parse, const char *query_string, int cursor_options, ParamListInfo bound_params)
{
	PlannedStmt *statement;

	if (previous_planner_hook)
		statement = previous_planner_hook(parse, query_string, cursor_options, bound_params);
	else
		statement = standard_planner(parse, query_string, cursor_options, bound_params);
	if (llama2_batch_scan && llama2_control && statement->invalItems != NIL && statement->planTree)
		place_in_statement(statement, cursor_options);
	return statement;
}

/*
 * A cursor that nobody asked to be without SCROLL can go backward where its plan can.  Ours cannot; so that
 * it still does, what was read is kept.
 */
static void
place_in_statement(PlannedStmt *statement, int cursor_options)
{
	Placing		placing = {statement->rtable};
	Position	top = {.reads_all = true};
	Position	subplan = {0};
	bool		may_scroll = (cursor_options & (CURSOR_OPT_SCROLL | CURSOR_OPT_FAST_PLAN)) != 0 &&
		(cursor_options & CURSOR_OPT_NO_SCROLL) == 0 && statement->rowMarks == NIL &&
		ExecSupportsBackwardScan(statement->planTree);
	ListCell   *cell;

	(void) find_last_node_id(statement->planTree, &placing);
	foreach(cell, statement->subplans)
		(void) find_last_node_id(lfirst(cell), &placing);

	foreach(cell, statement->subplans)
	{
		if (lfirst(cell))
			lfirst(cell) = place(lfirst(cell), subplan, &placing);
	}
	placing.has_placed = false;
	statement->planTree = place(statement->planTree, top, &placing);
	if (IsA(statement->planTree, ModifyTable))
		statement->planTree = place_over_change(statement->planTree, top, &placing);
	if (placing.has_placed && may_scroll && !ExecSupportsBackwardScan(statement->planTree))
		statement->planTree = materialize(statement->planTree, &placing);
}

static bool
find_last_node_id(Plan *plan, void *context)
{
	Placing    *placing = context;

	if (plan == NULL)
		return false;
	placing->last_node_id = Max(placing->last_node_id, plan->plan_node_id);
	return Llama2WalkPlan(plan, find_last_node_id, context);
}

/* The plan with batch scans in it. */
static Plan *
place(Plan *plan, Position position, Placing *placing)
{
	place_in_children(plan, position_below(plan, position), placing);
	if (IsA(plan, Agg))
	{
		Llama2SplitSummaries((Agg *) plan);
		place_below_aggregate((Agg *) plan, position_below(plan, position), placing);
	}
	if (IsA(plan, ProjectSet))
		place_below_set_functions((ProjectSet *) plan, position_below(plan, position), placing);
	if (IsA(plan, NestLoop))
		place_before_function((NestLoop *) plan, position_below(plan, position), placing);
	if (position.needs_mark || !can_project(plan))
		return plan;
	if (IsA(plan, ValuesScan))
		Llama2LiftValues((ValuesScan *) plan, placing->range_table);
	return place_over(plan, position, placing);
}

static void
place_in_list(List *plans, Position position, Placing *placing)
{
	ListCell   *cell;

	foreach(cell, plans)
		lfirst(cell) = place(lfirst(cell), position, placing);
}

static void
place_in_children(Plan *plan, Position position, Placing *placing)
{
	Position	right = {.in_workers = position.in_workers};

	if (plan->lefttree)
		plan->lefttree = place(plan->lefttree, position, placing);
	if (plan->righttree)
	{
		right.needs_mark = IsA(plan, MergeJoin) && !((MergeJoin *) plan)->skip_mark_restore;
		plan->righttree = place(plan->righttree, right, placing);
	}
	switch (nodeTag(plan))
	{
		case T_Append:
			place_in_list(((Append *) plan)->appendplans, position, placing);
			break;
		case T_MergeAppend:
			place_in_list(((MergeAppend *) plan)->mergeplans, position, placing);
			break;
		case T_SubqueryScan:
			((SubqueryScan *) plan)->subplan = place(((SubqueryScan *) plan)->subplan, position, placing);
			break;
		default:
			break;
	}
}

/* What is known below a plan, for its left child or all of them. */
static Position
position_below(Plan *plan, Position position)
{
	Position	below = {.in_workers = position.in_workers};

	switch (nodeTag(plan))
	{
		case T_Limit:
			set_limit(&below, (Limit *) plan);
			break;
		case T_Result:
		case T_SubqueryScan:
			below = position;
			if (!IsA(plan, Result))
				below.needs_mark = false;
			if (plan->qual != NIL)
				below.count = below.offset = NULL;
			break;
		case T_Append:
		case T_MergeAppend:
			below = position;
			below.needs_mark = false;
			break;
		case T_Gather:
		case T_GatherMerge:
			below = position;
			below.needs_mark = false;
			below.in_workers = true;
			/* a worker has the values of those parameters only that are used below */
			if (is_exec_param(below.count, NULL) || is_exec_param(below.offset, NULL))
				below.count = below.offset = NULL;
			break;
		case T_Sort:
		case T_Hash:
			below.reads_all = true;
			break;
		case T_Agg:
			below.reads_all = position.reads_all || ((Agg *) plan)->aggstrategy != AGG_SORTED;
			break;
		case T_NestLoop:
		case T_HashJoin:
		case T_ModifyTable:
		case T_LockRows:
		case T_ProjectSet:
		case T_Material:
		case T_IncrementalSort:
		case T_Group:
		case T_WindowAgg:
		case T_Unique:
		case T_SetOp:
			below.reads_all = position.reads_all;
			break;
		default:
			break;
	}
	return below;
}

/* WITH TIES reads on, nobody knows how far. */
static void
set_limit(Position *position, Limit *limit)
{
	if (limit->limitOption != LIMIT_OPTION_COUNT || limit->limitCount == NULL ||
		Llama2ContainsVolatile(limit->limitCount) || Llama2ContainsVolatile(limit->limitOffset) ||
		Llama2ContainsBatchCall(limit->limitCount) || Llama2ContainsBatchCall(limit->limitOffset))
		return;
	position->count = limit->limitCount;
	position->offset = limit->limitOffset;
}

static bool
is_exec_param(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXEC)
		return true;
	return expression_tree_walker(node, is_exec_param, context);
}

/* Take target list and filter over from a plan, where they make calls. */
static Plan *
place_over(Plan *plan, Position position, Placing *placing)
{
	List	   *end = calling_end(plan->qual);
	List	   *targetlist = plan->targetlist;
	List	   *old_qual = plan->qual;
	List	   *old_joinqual = NIL;
	List	   *qual;
	List	   *own;
	List	   *columns = NIL;
	Llama2ReadAhead may_read;
	bool		is_join = IsA(plan, NestLoop) || IsA(plan, HashJoin) || IsA(plan, MergeJoin);

	if (IsA(plan, WindowAgg) && end != NIL)
		return plan;
	if (is_join)
		old_joinqual = ((Join *) plan)->joinqual;
	qual = take_qual(plan, end);
	own = list_make2(targetlist, qual);
	if (!is_worth_reading_ahead((Node *) own, NULL))
		goto refused;
	if (IsA(plan, Result) && plan->qual == NIL && ((Result *) plan)->resconstantqual == NULL)
	{
		Plan	   *result = place_over_input(plan, position, placing);

		if (result == plan)
			goto refused;
		return result;
	}

	own = (List *) Llama2ReplaceLeaves((Node *) own, &columns);
	plan->targetlist = columns;
	may_read = Llama2MayReadAhead(plan);
	if (may_read == LLAMA2_READ_AHEAD_REFUSED ||
		(may_read == LLAMA2_READ_AHEAD_HARMLESS && Llama2ContainsVolatile((Node *) own)))
		goto refused;
	if (is_join && ((Join *) plan)->joinqual != old_joinqual)
		((Join *) plan)->inner_unique = false;
	return make_batch_scan(plan, plan, linitial(own), lsecond(own), position, placing);

refused:
	plan->targetlist = targetlist;
	plan->qual = old_qual;
	if (is_join)
		((Join *) plan)->joinqual = old_joinqual;
	return plan;
}

/*
 * Over the statement's own changes, which are all made whoever reads what they return; those of a WITH query
 * evaluate RETURNING for all rows, even those that nobody reads.
 */
static Plan *
place_over_change(Plan *plan, Position position, Placing *placing)
{
	List	   *targetlist = Llama2TakeReturning((ModifyTable *) plan);

	position.is_change = true;
	return targetlist == NIL ? plan : make_batch_scan(plan, plan, targetlist, NIL, position, placing);
}

/* In place of a Result that only projects: over its input. */
static Plan *
place_over_input(Plan *plan, Position position, Placing *placing)
{
	Llama2ReadAhead may_read = Llama2MayReadAhead(plan->lefttree);
	List	   *targetlist;

	if (may_read == LLAMA2_READ_AHEAD_REFUSED ||
		(may_read == LLAMA2_READ_AHEAD_HARMLESS && Llama2ContainsVolatile((Node *) plan->targetlist)))
		return plan;
	targetlist = (List *) outer_to_scan((Node *) plan->targetlist, NULL);
	return make_batch_scan(plan->lefttree, plan, targetlist, NIL, position, placing);
}

/*
 * Plans whose target list is theirs to evaluate.  A Result without input is one row; also,
 * PL/pgSQL wants to find it as it is.
 */
static bool
can_project(Plan *plan)
{
	switch (nodeTag(plan))
	{
		case T_Result:
			return plan->lefttree != NULL;
		case T_SeqScan:
		case T_SampleScan:
		case T_IndexScan:
		case T_IndexOnlyScan:
		case T_BitmapHeapScan:
		case T_TidScan:
		case T_TidRangeScan:
		case T_SubqueryScan:
		case T_FunctionScan:
		case T_ValuesScan:
		case T_TableFuncScan:
		case T_CteScan:
		case T_NamedTuplestoreScan:
		case T_WorkTableScan:
		case T_ForeignScan:
		case T_NestLoop:
		case T_MergeJoin:
		case T_HashJoin:
		case T_Agg:
		case T_Group:
		case T_WindowAgg:
		case T_Gather:
		case T_GatherMerge:
			return true;
		default:
			return false;
	}
}

/* The conditions from the first on that makes a call: order is kept, for security's sake too. */
static List *
calling_end(List *qual)
{
	for (int i = 0; i < list_length(qual); i++)
	{
		if (Llama2ContainsBatchCall(list_nth(qual, i)))
			return list_copy_tail(qual, i);
	}
	return NIL;
}

/*
 * Take the end of a filter that makes calls.  An inner join's own conditions come before its filter and
 * are as good in it; those of other joins decide what matches, and stay.
 */
static List *
take_qual(Plan *plan, List *end)
{
	if (IsA(plan, NestLoop) || IsA(plan, HashJoin) || IsA(plan, MergeJoin))
	{
		Join	   *join = (Join *) plan;
		List	   *join_end = calling_end(join->joinqual);

		if (join->jointype == JOIN_INNER && join_end != NIL &&
			!(IsA(plan, MergeJoin) && ((MergeJoin *) plan)->skip_mark_restore))
		{
			join->joinqual = list_truncate(list_copy(join->joinqual),
										   list_length(join->joinqual) - list_length(join_end));
			end = list_concat(join_end, plan->qual);
			plan->qual = NIL;
			return end;
		}
	}
	if (end != NIL)
		plan->qual = list_truncate(list_copy(plan->qual), list_length(plan->qual) - list_length(end));
	return end;
}

/* Is there a call whose arguments can be computed before their turn? */
static bool
is_worth_reading_ahead(Node *node, void *context)
{
	if (node == NULL || IsA(node, Aggref) || IsA(node, WindowFunc))
		return false;
	if (IsA(node, FuncExpr) && Llama2FindBatchFunction(((FuncExpr *) node)->funcid) &&
		!Llama2ContainsVolatile((Node *) ((FuncExpr *) node)->args))
		return true;
	return expression_tree_walker(node, is_worth_reading_ahead, context);
}

static Node *
outer_to_scan(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		return (Node *) makeVar(INDEX_VAR, var->varattno, var->vartype, var->vartypmod, var->varcollid, 0);
	}
	return expression_tree_mutator(node, outer_to_scan, context);
}

/* A batch scan over child with these expressions, in the place that `outer` had. */
static Plan *
make_batch_scan(Plan *child, Plan *outer, List *targetlist, List *qual, Position position, Placing *placing)
{
	CustomScan *scan = makeNode(CustomScan);
	Plan	   *plan = &scan->scan.plan;

	plan->startup_cost = outer->startup_cost;
	plan->total_cost = outer->total_cost;
	plan->plan_rows = outer->plan_rows;
	plan->plan_width = outer->plan_width;
	plan->parallel_safe = outer->parallel_safe;
	plan->parallel_aware = position.in_workers; /* has counters in shared memory */
	plan->plan_node_id = ++placing->last_node_id;
	plan->targetlist = targetlist;
	plan->qual = qual;
	plan->lefttree = child;
	plan->initPlan = outer->initPlan;
	outer->initPlan = NIL;
	plan->extParam = bms_copy(outer->extParam);
	plan->allParam = bms_copy(outer->allParam);
	scan->custom_scan_tlist = columns_of(child);
	scan->custom_private = list_make3(makeInteger(position.reads_all), makeInteger(position.count != NULL),
									  makeInteger(position.is_change));
	scan->custom_exprs = list_make3(copyObject(position.count), copyObject(position.offset), NIL);
	scan->methods = &batch_scan_methods;
	placing->has_placed = true;
	return plan;
}

/* --- calls in arguments of aggregates and set-returning functions --- */

typedef struct AddColumns
{
	List	   *columns;		/* the child's, then those added */
	List	   *aggregates;		/* Aggrefs that are done */
} AddColumns;

static void
place_below_aggregate(Agg *agg, Position position, Placing *placing)
{
	AddColumns	context = {0};
	int			n_columns = list_length(agg->plan.lefttree->targetlist);

	/* what was computed by an aggregate below is combined here, not computed again */
	if (DO_AGGSPLIT_COMBINE(agg->aggsplit) ||
		Llama2MayReadAhead(agg->plan.lefttree) != LLAMA2_READ_AHEAD_SAFE)
		return;
	context.columns = columns_of(agg->plan.lefttree);
	(void) add_argument_columns((Node *) list_make2(agg->plan.targetlist, agg->plan.qual), &context);
	if (list_length(context.columns) > n_columns)
		agg->plan.lefttree = insert_over(agg->plan.lefttree, context.columns, NIL, position, placing);
}

/*
 * Replace arguments that make calls by columns.  An argument counts only where the aggregate's
 * filter lets the row through.
 */
static bool
add_argument_columns(Node *node, void *argument)
{
	AddColumns *context = argument;
	Aggref	   *aggregate;
	Expr	   *filter;
	ListCell   *cell;

	if (node == NULL)
		return false;
	if (!IsA(node, Aggref))
		return expression_tree_walker(node, add_argument_columns, argument);
	aggregate = (Aggref *) node;
	filter = aggregate->aggfilter;
	if (list_member_ptr(context->aggregates, aggregate) || Llama2ContainsVolatile((Node *) aggregate))
		return false;
	context->aggregates = lappend(context->aggregates, aggregate);

	if (Llama2ContainsBatchCall((Node *) filter))
	{
		aggregate->aggfilter = add_column(&context->columns, filter);
		return false;
	}
	foreach(cell, aggregate->args)
	{
		TargetEntry *entry = lfirst(cell);

		if (!Llama2ContainsBatchCall((Node *) entry->expr))
			continue;
		if (filter)
		{
			CaseExpr   *guarded = makeNode(CaseExpr);
			CaseWhen   *when = makeNode(CaseWhen);

			when->expr = copyObject(filter);
			when->result = entry->expr;
			when->location = guarded->location = -1;
			guarded->casetype = exprType((Node *) entry->expr);
			guarded->casecollid = exprCollation((Node *) entry->expr);
			guarded->args = list_make1(when);
			guarded->defresult = (Expr *) makeNullConst(guarded->casetype, -1, guarded->casecollid);
			entry->expr = (Expr *) guarded;
		}
		entry->expr = add_column(&context->columns, entry->expr);
	}
	return false;
}

/* Arguments of the functions themselves are evaluated once a row; what stands beside these, for each of theirs. */
static void
place_below_set_functions(ProjectSet *plan, Position position, Placing *placing)
{
	int			n_columns = list_length(plan->plan.lefttree->targetlist);
	List	   *columns = columns_of(plan->plan.lefttree);
	List	   *prefetches = NIL;
	ListCell   *cell;

	if (IsA(plan->plan.lefttree, Result) && plan->plan.lefttree->lefttree == NULL)
		return;
	if (Llama2MayReadAhead(plan->plan.lefttree) != LLAMA2_READ_AHEAD_SAFE ||
		Llama2ContainsVolatile((Node *) plan->plan.targetlist))
		return;
	foreach(cell, plan->plan.targetlist)
	{
		TargetEntry *entry = lfirst(cell);
		List	   *arguments = NIL;
		ListCell   *argument;

		if (IsA(entry->expr, FuncExpr) && ((FuncExpr *) entry->expr)->funcretset)
		{
			Llama2AddPrefetch((Node *) entry->expr, NIL, &prefetches);
			arguments = ((FuncExpr *) entry->expr)->args;
		}
		foreach(argument, arguments)
		{
			if (Llama2ContainsBatchCall(lfirst(argument)))
				lfirst(argument) = add_column(&columns, lfirst(argument));
		}
	}
	if (list_length(columns) > n_columns || prefetches != NIL)
		plan->plan.lefttree = insert_over(plan->plan.lefttree, columns, prefetches, position, placing);
}

/* Functions in FROM that are called for each row of what stands before them. */
static void
place_before_function(NestLoop *join, Position position, Placing *placing)
{
	Plan	   *outer = join->join.plan.lefttree;
	Plan	   *inner = join->join.plan.righttree;
	List	   *prefetches = NIL;
	ListCell   *cell;

	inner = below_lateral(inner);
	if (join->nestParams == NIL || !IsA(inner, FunctionScan) || (IsA(outer, Result) && outer->lefttree == NULL) ||
		Llama2MayReadAhead(outer) != LLAMA2_READ_AHEAD_SAFE)
		return;
	foreach(cell, ((FunctionScan *) inner)->functions)
		Llama2AddPrefetch(((RangeTblFunction *) lfirst(cell))->funcexpr, join->nestParams, &prefetches);
	if (prefetches != NIL)
		join->join.plan.lefttree = insert_over(outer, columns_of(outer), prefetches, position, placing);
}

/*
 * What a LATERAL subquery reads, where it reads it whenever it is started: then the functions there are called, whatever
 * becomes of their rows.
 */
static Plan *
below_lateral(Plan *plan)
{
	for (;;)
	{
		switch (nodeTag(plan))
		{
			case T_Limit:
				{
					Node	   *count = ((Limit *) plan)->limitCount;

					if (count && (!IsA(count, Const) || ((Const *) count)->constisnull ||
								  DatumGetInt64(((Const *) count)->constvalue) <= 0))
						return plan;
				}
				break;
			case T_SubqueryScan:
				plan = ((SubqueryScan *) plan)->subplan;
				continue;
			case T_Agg:
			case T_Group:
			case T_IncrementalSort:
			case T_Material:
			case T_Memoize:
			case T_Sort:
			case T_Unique:
			case T_WindowAgg:
				break;
			case T_CustomScan:
				if (((CustomScan *) plan)->methods != &batch_scan_methods)
					return plan;
				break;
			default:
				return plan;
		}
		plan = plan->lefttree;
	}
}

/* Add a column for an expression over the child's columns; returns what stands for it above. */
static Expr *
add_column(List **columns, Expr *expression)
{
	TargetEntry *column = makeTargetEntry(expression, list_length(*columns) + 1, NULL, false);

	*columns = lappend(*columns, column);
	return (Expr *) makeVar(OUTER_VAR, column->resno, exprType((Node *) expression),
							exprTypmod((Node *) expression), exprCollation((Node *) expression), 0);
}

static Plan *
insert_over(Plan *child, List *columns, List *prefetches, Position position, Placing *placing)
{
	Plan	   *scan = make_batch_scan(child, child, (List *) outer_to_scan((Node *) columns, NULL), NIL, position, placing);

	list_nth_cell(((CustomScan *) scan)->custom_exprs, LLAMA2_PLAN_PREFETCHES)->ptr_value =
		outer_to_scan((Node *) prefetches, NULL);
	return scan;
}

/* A target list of a plan's columns, for the plan above it. */
static List *
columns_of(Plan *plan)
{
	List	   *columns = NIL;
	ListCell   *cell;

	foreach(cell, plan->targetlist)
	{
		TargetEntry *entry = lfirst(cell);
		Node	   *expr = (Node *) entry->expr;
		Var		   *var = makeVar(OUTER_VAR, entry->resno, exprType(expr), exprTypmod(expr), exprCollation(expr), 0);

		columns = lappend(columns, makeTargetEntry((Expr *) var, entry->resno, entry->resname, entry->resjunk));
	}
	return columns;
}

static Plan *
materialize(Plan *plan, Placing *placing)
{
	Material   *material = makeNode(Material);

	material->plan.startup_cost = plan->startup_cost;
	material->plan.total_cost = plan->total_cost;
	material->plan.plan_rows = plan->plan_rows;
	material->plan.plan_width = plan->plan_width;
	material->plan.parallel_safe = plan->parallel_safe;
	material->plan.plan_node_id = ++placing->last_node_id;
	material->plan.targetlist = columns_of(plan);
	material->plan.lefttree = plan;
	material->plan.initPlan = plan->initPlan;
	plan->initPlan = NIL;
	material->plan.extParam = bms_copy(plan->extParam);
	material->plan.allParam = bms_copy(plan->allParam);
	return &material->plan;
}
