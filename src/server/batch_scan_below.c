/*
 * batch_scan_below.c
 *		Calls that a plan node makes while it does its own work: they are computed, or asked, below it.
 *
 * Calls in the arguments of aggregates and set-returning functions become columns of a batch scan below these.  Where
 * a node decides itself for which rows it makes a call, they are only asked ahead.
 */
#include "server/batch_scan_place.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"

typedef struct AddColumns
{
	List	   *columns;		/* the child's, then those added */
	List	   *aggregates;		/* Aggrefs that are done */
} AddColumns;

static void place_below_aggregate(Agg *agg, Llama2PlanPosition position, Llama2Placing *placing);
static bool add_argument_columns(Node *node, void *context);
static void place_below_set_functions(ProjectSet *plan, Llama2PlanPosition position, Llama2Placing *placing);
static void place_below_keys(Plan *plan, List *keys, Llama2PlanPosition position, Llama2Placing *placing);
static bool reads_partition_first(const WindowAgg *plan);
static bool add_window_calls(Node *node, void *context);
static void place_before_function(NestLoop *join, Llama2PlanPosition position, Llama2Placing *placing);
static Plan *below_lateral(Plan *plan);
static Expr *add_column(List **columns, Expr *expression);
static Plan *insert_over(Plan *child, List *columns, List *prefetches, Llama2PlanPosition position,
						 Llama2Placing *placing);

void
Llama2PlaceBelow(Plan *plan, Llama2PlanPosition below, Llama2Placing *placing)
{
	List	   *calls = NIL;

	switch (nodeTag(plan))
	{
		case T_Agg:
			place_below_aggregate((Agg *) plan, below, placing);
			break;
		case T_ProjectSet:
			place_below_set_functions((ProjectSet *) plan, below, placing);
			break;
		case T_HashJoin:
			place_below_keys(plan, ((HashJoin *) plan)->hashkeys, below, placing);
			break;
		case T_Hash:
			place_below_keys(plan, ((Hash *) plan)->hashkeys, below, placing);
			break;
		case T_WindowAgg:
			if (!reads_partition_first((WindowAgg *) plan))
				(void) add_window_calls((Node *) plan->targetlist, &calls);
			place_below_keys(plan, calls, below, placing);
			break;
		case T_NestLoop:
			place_before_function((NestLoop *) plan, below, placing);
			break;
		default:
			break;
	}
}

static void
place_below_aggregate(Agg *agg, Llama2PlanPosition position, Llama2Placing *placing)
{
	AddColumns	context = {0};
	int			n_columns = list_length(agg->plan.lefttree->targetlist);

	/* what was computed by an aggregate below is combined here, not computed again */
	if (DO_AGGSPLIT_COMBINE(agg->aggsplit) ||
		Llama2MayReadAhead(agg->plan.lefttree, &placing->subqueries) != LLAMA2_READ_AHEAD_SAFE)
		return;
	context.columns = Llama2ColumnsOf(agg->plan.lefttree);
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
place_below_set_functions(ProjectSet *plan, Llama2PlanPosition position, Llama2Placing *placing)
{
	int			n_columns = list_length(plan->plan.lefttree->targetlist);
	List	   *columns = Llama2ColumnsOf(plan->plan.lefttree);
	List	   *prefetches = NIL;
	ListCell   *cell;

	if (IsA(plan->plan.lefttree, Result) && plan->plan.lefttree->lefttree == NULL)
		return;
	if (Llama2MayReadAhead(plan->plan.lefttree, &placing->subqueries) != LLAMA2_READ_AHEAD_SAFE ||
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

/* What the node evaluates for rows of its first child. */
static void
place_below_keys(Plan *plan, List *keys, Llama2PlanPosition position, Llama2Placing *placing)
{
	List	   *prefetches = NIL;

	Llama2AddPrefetches((Node *) keys, &prefetches);
	if (prefetches != NIL && Llama2MayReadAhead(plan->lefttree, &placing->subqueries) == LLAMA2_READ_AHEAD_SAFE)
		plan->lefttree = insert_over(plan->lefttree, Llama2ColumnsOf(plan->lefttree), prefetches, position, placing);
}

/* Then answers would be forgotten before they are wanted. */
static bool
reads_partition_first(const WindowAgg *plan)
{
	return plan->ordNumCols == 0 || (plan->frameOptions & FRAMEOPTION_END_UNBOUNDED_FOLLOWING) != 0;
}

/* A window function evaluates its arguments for which rows it likes, and how often. */
static bool
add_window_calls(Node *node, void *context)
{
	List	  **functions = context;

	if (node == NULL)
		return false;
	if (!IsA(node, WindowFunc))
		return expression_tree_walker(node, add_window_calls, context);
	*functions = lappend(*functions, node);
	return false;
}

/* Functions in FROM that are called for each row of what stands before them. */
static void
place_before_function(NestLoop *join, Llama2PlanPosition position, Llama2Placing *placing)
{
	Plan	   *outer = join->join.plan.lefttree;
	Plan	   *inner = join->join.plan.righttree;
	List	   *prefetches = NIL;
	ListCell   *cell;

	inner = below_lateral(inner);
	if (join->nestParams == NIL || !IsA(inner, FunctionScan) || (IsA(outer, Result) && outer->lefttree == NULL) ||
		Llama2MayReadAhead(outer, &placing->subqueries) != LLAMA2_READ_AHEAD_SAFE)
		return;
	foreach(cell, ((FunctionScan *) inner)->functions)
		Llama2AddPrefetch(((RangeTblFunction *) lfirst(cell))->funcexpr, join->nestParams, &prefetches);
	if (prefetches != NIL)
		join->join.plan.lefttree = insert_over(outer, Llama2ColumnsOf(outer), prefetches, position, placing);
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
				if (!Llama2IsBatchScan(plan))
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
insert_over(Plan *child, List *columns, List *prefetches, Llama2PlanPosition position, Llama2Placing *placing)
{
	Plan	   *scan = Llama2MakeBatchScan(child, child, (List *) Llama2OuterToScan((Node *) columns, NULL), NIL, position, placing);

	list_nth_cell(((CustomScan *) scan)->custom_exprs, LLAMA2_PLAN_PREFETCHES)->ptr_value =
		Llama2OuterToScan((Node *) prefetches, NULL);
	return scan;
}
