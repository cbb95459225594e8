/*
 * batch_scan_tree.c
 *		Walks over finished plans, and what may be read ahead.
 *
 * Rows are read from the child before their turn, perhaps more than are ever wanted, so the
 * child must not do anything that somebody could notice.
 */
#include "server/batch_scan.h"

#include "catalog/pg_proc.h"
#include "nodes/nodeFuncs.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

/* 17 has two functions of this name. */
#ifndef F_RANDOM_
#define F_RANDOM_ F_RANDOM
#endif

typedef struct VolatileContext
{
	const Llama2Subqueries *subqueries; /* NULL: they are not looked into */
	bool		allow_harmless;
	bool		met_harmless;
	Bitmapset  *visited;		/* subqueries, by their ids: WITH queries are read in many places */
} VolatileContext;

static bool walk_list(List *plans, Llama2PlanWalker walker, void *context);
static bool is_blocking(Plan *plan);
static bool has_effects(Plan *plan, void *context);
static bool expression_has_effects(Node *node, void *context);
static bool subquery_has_effects(Node *node, VolatileContext *context);
static bool subplan_has_effects(int plan_id, VolatileContext *context);
static bool is_harmless(VolatileContext *context);
static bool function_has_effects(Oid function, void *context);
static bool is_batch_call(Node *node, void *context);

/* Call walker for each child of a plan until it returns true. */
bool
Llama2WalkPlan(Plan *plan, Llama2PlanWalker walker, void *context)
{
	if (plan->lefttree && walker(plan->lefttree, context))
		return true;
	if (plan->righttree && walker(plan->righttree, context))
		return true;
	switch (nodeTag(plan))
	{
		case T_Append:
			return walk_list(((Append *) plan)->appendplans, walker, context);
		case T_MergeAppend:
			return walk_list(((MergeAppend *) plan)->mergeplans, walker, context);
		case T_BitmapAnd:
			return walk_list(((BitmapAnd *) plan)->bitmapplans, walker, context);
		case T_BitmapOr:
			return walk_list(((BitmapOr *) plan)->bitmapplans, walker, context);
		case T_SubqueryScan:
			return walker(((SubqueryScan *) plan)->subplan, context);
		case T_CustomScan:
			return walk_list(((CustomScan *) plan)->custom_plans, walker, context);
		default:
			return false;
	}
}

/* Volatile functions other than ours: what ours draws nobody can foresee in any case. */
bool
Llama2ContainsVolatile(Node *node)
{
	VolatileContext context = {0};

	return expression_has_effects(node, &context);
}

/* What is below an aggregate or window function is not this node's to evaluate, and does not count. */
bool
Llama2ContainsBatchCall(Node *node)
{
	return is_batch_call(node, NULL);
}

Llama2ReadAhead
Llama2MayReadAhead(Plan *plan, const Llama2Subqueries *subqueries)
{
	VolatileContext context = {.subqueries = subqueries, .allow_harmless = true};

	if (has_effects(plan, &context))
		return LLAMA2_READ_AHEAD_REFUSED;
	return context.met_harmless ? LLAMA2_READ_AHEAD_HARMLESS : LLAMA2_READ_AHEAD_SAFE;
}

static bool
walk_list(List *plans, Llama2PlanWalker walker, void *context)
{
	ListCell   *cell;

	foreach(cell, plans)
	{
		if (walker((Plan *) lfirst(cell), context))
			return true;
	}
	return false;
}

/* Does it read all of its input before it gives a row? */
static bool
is_blocking(Plan *plan)
{
	return IsA(plan, Sort) || IsA(plan, Hash) ||
		(IsA(plan, Agg) && ((Agg *) plan)->aggstrategy != AGG_SORTED);
}

static bool
has_effects(Plan *plan, void *context)
{
	List	   *expressions = list_make2(plan->targetlist, plan->qual);

	switch (nodeTag(plan))
	{
		case T_LockRows:
		case T_ModifyTable:
			return true;
		case T_NestLoop:
		case T_MergeJoin:
		case T_HashJoin:
			expressions = lappend(expressions, ((Join *) plan)->joinqual);
			break;
		case T_FunctionScan:
			expressions = lappend(expressions, ((FunctionScan *) plan)->functions);
			break;
		case T_ValuesScan:
			expressions = lappend(expressions, ((ValuesScan *) plan)->values_lists);
			break;
		case T_TableFuncScan:
			expressions = lappend(expressions, ((TableFuncScan *) plan)->tablefunc);
			break;
		case T_Result:
			expressions = lappend(expressions, ((Result *) plan)->resconstantqual);
			break;
		case T_CteScan:
			if (subplan_has_effects(((CteScan *) plan)->ctePlanId, context))
				return true;
			break;
		default:
			break;
	}
	if (expression_has_effects((Node *) expressions, context))
		return true;
	return !is_blocking(plan) && Llama2WalkPlan(plan, has_effects, context);
}

static bool
expression_has_effects(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, NextValueExpr))
		return true;
	if (check_functions_in_node(node, function_has_effects, context) || subquery_has_effects(node, context))
		return true;
	if (IsA(node, RangeTblFunction))
		return expression_has_effects(((RangeTblFunction *) node)->funcexpr, context);
	return expression_tree_walker(node, expression_has_effects, context);
}

/* A subquery that is evaluated for each row, or one whose value is a parameter. */
static bool
subquery_has_effects(Node *node, VolatileContext *context)
{
	ListCell   *cell;

	if (context->subqueries == NULL)
		return false;
	if (IsA(node, SubPlan))
		return subplan_has_effects(((SubPlan *) node)->plan_id, context);
	if (!IsA(node, Param) || ((Param *) node)->paramkind != PARAM_EXEC)
		return false;
	foreach(cell, context->subqueries->init_plans)
	{
		SubPlan    *init_plan = lfirst(cell);

		if (list_member_int(init_plan->setParam, ((Param *) node)->paramid))
			return subplan_has_effects(init_plan->plan_id, context);
	}
	return false;
}

/* A WITH query that changes rows changes all of them, whoever reads what it returns. */
static bool
subplan_has_effects(int plan_id, VolatileContext *context)
{
	Plan	   *plan = list_nth(context->subqueries->plans, plan_id - 1);

	if (bms_is_member(plan_id, context->visited))
		return false;
	context->visited = bms_add_member(context->visited, plan_id);
	if (plan && IsA(plan, ModifyTable))
		return !is_harmless(context);
	return plan && has_effects(plan, context);
}

static bool
function_has_effects(Oid function, void *argument)
{
	VolatileContext *context = argument;

	if (func_volatile(function) != PROVOLATILE_VOLATILE || Llama2FindBatchFunction(function))
		return false;
	switch (function)
	{
		case F_RANDOM_:
		case F_GEN_RANDOM_UUID:
		case F_CLOCK_TIMESTAMP:
		case F_TIMEOFDAY:
			return !is_harmless(context);
		default:
			return true;
	}
}

/* What can be done ahead, but not in another order with the effects of what is above. */
static bool
is_harmless(VolatileContext *context)
{
	context->met_harmless = true;
	return context->allow_harmless;
}

static bool
is_batch_call(Node *node, void *context)
{
	if (node == NULL || IsA(node, Aggref) || IsA(node, WindowFunc))
		return false;
	if (IsA(node, FuncExpr) && Llama2FindBatchFunction(((FuncExpr *) node)->funcid))
		return true;
	return expression_tree_walker(node, is_batch_call, context);
}
