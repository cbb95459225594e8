/*
 * batch_scan_plan.c
 *		Where the batch scan goes in a finished plan.
 *
 * It goes over a node that calls one of our functions in its target list or at the end of its filter,
 * and takes both from it: the node below is left the columns that they use.
 *
 * Where anything speaks against reading ahead the plan stays as it is.
 */
#include "server/batch_scan_place.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/planner.h"
#include "optimizer/tlist.h"
#include "executor/executor.h"

#include "server/parameters.h"

/* A target list whose window functions are in another one now. */
typedef struct MovedColumns
{
	List	   *before;
	List	   *after;
} MovedColumns;

static PlannedStmt *plan_statement(Query *parse, const char *query_string, int cursor_options,
								   ParamListInfo bound_params);
static PlannedStmt *plan_as_others(Query *parse, const char *query_string, int cursor_options,
								   ParamListInfo bound_params);
static bool stops_early(Node *node, void *context);
static bool place_in_statement(PlannedStmt *statement, int cursor_options);
static bool look_over(Plan *plan, void *context);
static bool is_exists(int plan_id, const Llama2Placing *placing);
static Plan *place(Plan *plan, Llama2PlanPosition position, Llama2Placing *placing);
static void place_in_list(List *plans, Llama2PlanPosition position, Llama2Placing *placing);
static void place_in_children(Plan *plan, Llama2PlanPosition position, Llama2Placing *placing);
static Llama2PlanPosition position_below(Plan *plan, Llama2PlanPosition position);
static void set_limit(Llama2PlanPosition *position, Limit *limit);
static Plan *place_over(Plan *plan, Llama2PlanPosition position, Llama2Placing *placing);
#if PG_VERSION_NUM >= 150000
static Node *follow_columns(Node *node, void *context);
#endif
static Plan *place_over_change(Plan *plan, Llama2PlanPosition position, Llama2Placing *placing);
static Plan *place_over_input(Plan *plan, Llama2PlanPosition position, Llama2Placing *placing);
static bool can_project(Plan *plan);
static List *calling_end(List *qual);
static List *take_qual(Plan *plan, List *end);
static bool is_worth_reading_ahead(Node *node, void *context);
static bool read_in_turn(Plan *plan, void *context);
static Plan *materialize(Plan *plan, Llama2Placing *placing);

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

Plan *
Llama2MakeBatchScan(Plan *child, Plan *outer, List *targetlist, List *qual, Llama2PlanPosition position, Llama2Placing *placing)
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
	scan->custom_scan_tlist = Llama2ColumnsOf(child);
	scan->custom_private = list_make3(makeInteger(position.reads_all), makeInteger(position.count != NULL),
									  makeInteger(position.is_change));
	scan->custom_exprs = list_make3(copyObject(position.count), copyObject(position.offset), NIL);
	scan->methods = &batch_scan_methods;
	(void) read_in_turn(child, NULL);
	placing->has_placed = true;
	placing->wastes |= position.wastes;
	return plan;
}

bool
Llama2IsBatchScan(Plan *plan)
{
	return IsA(plan, CustomScan) && ((CustomScan *) plan)->methods == &batch_scan_methods;
}

List *
Llama2ColumnsOf(Plan *plan)
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

Node *
Llama2OuterToScan(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		return (Node *) makeVar(INDEX_VAR, var->varattno, var->vartype, var->vartypmod, var->varcollid, 0);
	}
	return expression_tree_mutator(node, Llama2OuterToScan, context);
}

/*
 * Where a few rows are wanted and workers would make calls for as many each, there are none: planning spoils the
 * query, so a copy is planned again.
 */
static PlannedStmt *
plan_statement(Query *parse, const char *query_string, int cursor_options, ParamListInfo bound_params)
{
	bool		may_waste = llama2_batch_scan && llama2_control && max_parallel_workers_per_gather > 0 &&
		(cursor_options & CURSOR_OPT_PARALLEL_OK) != 0 && stops_early((Node *) parse, NULL);
	Query	   *copy = may_waste ? copyObject(parse) : NULL;
	PlannedStmt *statement = plan_as_others(parse, query_string, cursor_options, bound_params);

	if (place_in_statement(statement, cursor_options) || copy == NULL)
		return statement;
	cursor_options &= ~CURSOR_OPT_PARALLEL_OK;
	statement = plan_as_others(copy, query_string, cursor_options, bound_params);
	(void) place_in_statement(statement, cursor_options);
	return statement;
}

static PlannedStmt *
plan_as_others(Query *parse, const char *query_string, int cursor_options, ParamListInfo bound_params)
{
	if (previous_planner_hook)
		return previous_planner_hook(parse, query_string, cursor_options, bound_params);
	return standard_planner(parse, query_string, cursor_options, bound_params);
}

/* Is there a LIMIT or EXISTS in a query? */
static bool
stops_early(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubLink) && ((SubLink *) node)->subLinkType == EXISTS_SUBLINK)
		return true;
	if (IsA(node, Query))
		return ((Query *) node)->limitCount != NULL || query_tree_walker((Query *) node, stops_early, context, 0);
	return expression_tree_walker(node, stops_early, context);
}

/*
 * False where workers would waste calls.  A plan without a function that somebody created has an empty invalItems, and is left
 * alone at once.
 *
 * A cursor that nobody asked to be without SCROLL can go backward where its plan can.  Ours cannot; so that
 * it still does, what was read is kept.
 */
static bool
place_in_statement(PlannedStmt *statement, int cursor_options)
{
	Llama2Placing placing = {.range_table = statement->rtable, .subqueries = {statement->subplans}};
	Llama2PlanPosition top = {.reads_all = true};
	bool		may_scroll = (cursor_options & (CURSOR_OPT_SCROLL | CURSOR_OPT_FAST_PLAN)) != 0 &&
		(cursor_options & CURSOR_OPT_NO_SCROLL) == 0 && statement->rowMarks == NIL &&
		ExecSupportsBackwardScan(statement->planTree);
	ListCell   *cell;

	if (!llama2_batch_scan || !llama2_control || statement->invalItems == NIL || !statement->planTree)
		return true;
	(void) look_over(statement->planTree, &placing);
	foreach(cell, statement->subplans)
		(void) look_over(lfirst(cell), &placing);

	foreach(cell, statement->subplans)
	{
		Llama2PlanPosition subplan = {.stops_early = is_exists(foreach_current_index(cell) + 1, &placing)};

		if (lfirst(cell))
			lfirst(cell) = place(lfirst(cell), subplan, &placing);
	}
	placing.has_placed = false;
	statement->planTree = place(statement->planTree, top, &placing);
	if (IsA(statement->planTree, ModifyTable))
		statement->planTree = place_over_change(statement->planTree, top, &placing);
	if (placing.has_placed && may_scroll && !ExecSupportsBackwardScan(statement->planTree))
		statement->planTree = materialize(statement->planTree, &placing);
	statement->invalItems = list_concat(statement->invalItems, placing.inval_items);
	return !placing.wastes;
}

static bool
look_over(Plan *plan, void *context)
{
	Llama2Placing *placing = context;

	if (plan == NULL)
		return false;
	placing->last_node_id = Max(placing->last_node_id, plan->plan_node_id);
	placing->subqueries.init_plans = list_concat(placing->subqueries.init_plans, plan->initPlan);
	return Llama2WalkPlan(plan, look_over, context);
}

static bool
is_exists(int plan_id, const Llama2Placing *placing)
{
	ListCell   *cell;

	foreach(cell, placing->subqueries.init_plans)
	{
		SubPlan    *init_plan = lfirst(cell);

		if (init_plan->plan_id == plan_id)
			return init_plan->subLinkType == EXISTS_SUBLINK;
	}
	return false;
}

/* The plan with batch scans in it. */
static Plan *
place(Plan *plan, Llama2PlanPosition position, Llama2Placing *placing)
{
	place_in_children(plan, position_below(plan, position), placing);
	if (IsA(plan, Agg))
		Llama2SplitSummaries((Agg *) plan, &placing->inval_items);
	Llama2PlaceBelow(plan, position_below(plan, position), placing);
	if (position.needs_mark || !can_project(plan))
		return plan;
	if (IsA(plan, ValuesScan))
		Llama2LiftValues((ValuesScan *) plan, placing->range_table);
	return place_over(plan, position, placing);
}

static void
place_in_list(List *plans, Llama2PlanPosition position, Llama2Placing *placing)
{
	ListCell   *cell;

	foreach(cell, plans)
		lfirst(cell) = place(lfirst(cell), position, placing);
}

static void
place_in_children(Plan *plan, Llama2PlanPosition position, Llama2Placing *placing)
{
	Llama2PlanPosition right = {
		.in_workers = position.in_workers, .stops_early = position.stops_early, .wastes = position.wastes
	};

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
			plan->async_capable &= ((SubqueryScan *) plan)->subplan->async_capable;
			break;
		case T_Result:
			plan->async_capable &= plan->lefttree && plan->lefttree->async_capable;
			break;
		default:
			break;
	}
}

/* What is known below a plan, for its left child or all of them. */
static Llama2PlanPosition
position_below(Plan *plan, Llama2PlanPosition position)
{
	Llama2PlanPosition below = {
		.in_workers = position.in_workers, .stops_early = position.stops_early, .wastes = position.wastes
	};

	switch (nodeTag(plan))
	{
		case T_Limit:
			set_limit(&below, (Limit *) plan);
			below.stops_early = ((Limit *) plan)->limitCount != NULL;
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
			below.wastes = position.stops_early;
			below.count = below.offset = NULL;
			break;
		case T_Sort:
		case T_Hash:
			below.reads_all = true;
			below.stops_early = below.wastes = false;
			break;
		case T_Agg:
			if (((Agg *) plan)->aggstrategy != AGG_SORTED)
				below.stops_early = below.wastes = false;
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
set_limit(Llama2PlanPosition *position, Limit *limit)
{
	if (limit->limitOption != LIMIT_OPTION_COUNT || limit->limitCount == NULL ||
		Llama2ContainsVolatile(limit->limitCount) || Llama2ContainsVolatile(limit->limitOffset) ||
		Llama2ContainsBatchCall(limit->limitCount) || Llama2ContainsBatchCall(limit->limitOffset))
		return;
	position->count = limit->limitCount;
	position->offset = limit->limitOffset;
}

/* Take target list and filter over from a plan, where they make calls. */
static Plan *
place_over(Plan *plan, Llama2PlanPosition position, Llama2Placing *placing)
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
	may_read = Llama2MayReadAhead(plan, &placing->subqueries);
	if (may_read == LLAMA2_READ_AHEAD_REFUSED ||
		(may_read == LLAMA2_READ_AHEAD_HARMLESS && Llama2ContainsVolatile((Node *) own)))
		goto refused;
	if (is_join && ((Join *) plan)->joinqual != old_joinqual)
		((Join *) plan)->inner_unique = false;
#if PG_VERSION_NUM >= 150000
	if (IsA(plan, WindowAgg))
	{
		MovedColumns moved = {targetlist, columns};

		((WindowAgg *) plan)->runCondition = (List *) follow_columns((Node *) ((WindowAgg *) plan)->runCondition, &moved);
	}
#endif
	return Llama2MakeBatchScan(plan, plan, linitial(own), lsecond(own), position, placing);

refused:
	plan->targetlist = targetlist;
	plan->qual = old_qual;
	if (is_join)
		((Join *) plan)->joinqual = old_joinqual;
	return plan;
}

#if PG_VERSION_NUM >= 150000
/* A window's run condition refers to these by their numbers. */
static Node *
follow_columns(Node *node, void *context)
{
	const MovedColumns *moved = context;
	TargetEntry *before;
	TargetEntry *after;
	Var		   *var;

	if (node == NULL)
		return NULL;
	if (!IsA(node, Var))
		return expression_tree_mutator(node, follow_columns, context);
	var = copyObject((Var *) node);
	before = list_nth(moved->before, var->varattno - 1);
	after = tlist_member(before->expr, moved->after);
	if (after == NULL)
		elog(ERROR, "a run condition refers to column %d, which is no window function", var->varattno);
	var->varattno = after->resno;
	return (Node *) var;
}
#endif

/*
 * Over the statement's own changes, which are all made whoever reads what they return; those of a WITH query
 * evaluate RETURNING for all rows, even those that nobody reads.
 */
static Plan *
place_over_change(Plan *plan, Llama2PlanPosition position, Llama2Placing *placing)
{
	List	   *targetlist = Llama2TakeReturning((ModifyTable *) plan);

	position.is_change = true;
	return targetlist == NIL ? plan : Llama2MakeBatchScan(plan, plan, targetlist, NIL, position, placing);
}

/* In place of a Result that only projects: over its input. */
static Plan *
place_over_input(Plan *plan, Llama2PlanPosition position, Llama2Placing *placing)
{
	Llama2ReadAhead may_read = Llama2MayReadAhead(plan->lefttree, &placing->subqueries);
	List	   *targetlist;

	if (may_read == LLAMA2_READ_AHEAD_REFUSED ||
		(may_read == LLAMA2_READ_AHEAD_HARMLESS && Llama2ContainsVolatile((Node *) plan->targetlist)))
		return plan;
	targetlist = (List *) Llama2OuterToScan((Node *) plan->targetlist, NULL);
	return Llama2MakeBatchScan(plan->lefttree, plan, targetlist, NIL, position, placing);
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

/* An Append asks foreign tables for rows without waiting, which it cannot through a batch scan. */
static bool
read_in_turn(Plan *plan, void *context)
{
	plan->async_capable = false;
	return !IsA(plan, Append) && Llama2WalkPlan(plan, read_in_turn, context);
}

static Plan *
materialize(Plan *plan, Llama2Placing *placing)
{
	Material   *material = makeNode(Material);

	material->plan.startup_cost = plan->startup_cost;
	material->plan.total_cost = plan->total_cost;
	material->plan.plan_rows = plan->plan_rows;
	material->plan.plan_width = plan->plan_width;
	material->plan.parallel_safe = plan->parallel_safe;
	material->plan.plan_node_id = ++placing->last_node_id;
	material->plan.targetlist = Llama2ColumnsOf(plan);
	material->plan.lefttree = plan;
	material->plan.initPlan = plan->initPlan;
	plan->initPlan = NIL;
	material->plan.extParam = bms_copy(plan->extParam);
	material->plan.allParam = bms_copy(plan->allParam);
	return &material->plan;
}
