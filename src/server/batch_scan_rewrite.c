/*
 * batch_scan_rewrite.c
 *		Calls that a plan keeps elsewhere than in a target list or a filter: in VALUES, in RETURNING, in FROM.
 *
 * Rows of VALUES whose expressions differ in their constants alone are one expression over columns
 * that have these constants.  RETURNING is evaluated right after each row's change; without volatile functions in it
 * nobody can tell when, so that its columns can be returned instead, and the rest be evaluated above.
 */
#include "server/batch_scan.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"

/* Expressions of one column with Vars for their constants: beyond the last column of the relation. */
typedef struct Holes
{
	Index		relation;
	int			n_columns;
	List	   *constants;		/* what was there, in order */
	List	   *fillings;		/* what is to be there */
} Holes;

/* A column of a relation, and what stands for it. */
typedef struct Substitution
{
	Index		relation;
	AttrNumber	column;
	int			n_found;
	Node	   *expression;
} Substitution;

static bool add_certain_calls(Node *node, void *context);
static Node *replace_nest_params(Node *node, void *context);
static Node *replace_leaves(Node *node, void *context);
static bool is_leaf(Node *node);
static void lift_column(ValuesScan *scan, RangeTblEntry *relation, int number);
static Node *dig_holes(Node *node, void *context);
static Node *fill_holes(Node *node, void *context);
static bool find_column(Node *node, void *context);
static Node *substitute_column(Node *node, void *context);

Node *
Llama2ReplaceLeaves(Node *node, List **columns)
{
	return replace_leaves(node, columns);
}

/* Make calls in VALUES calls in the scan's target list or filter, where that can be. */
void
Llama2LiftValues(ValuesScan *scan, List *range_table)
{
	RangeTblEntry *relation = rt_fetch(scan->scan.scanrelid, range_table);
	int			n_columns = list_length(linitial(scan->values_lists));

	for (int i = 1; i <= n_columns; i++)
		lift_column(scan, relation, i);
}

/* Let it return the columns that RETURNING uses; the target list over these, or NIL where that cannot be. */
List *
Llama2TakeReturning(ModifyTable *plan)
{
	List	   *targetlist = NIL;
	List	   *returning = NIL;
	ListCell   *cell;

	foreach(cell, plan->returningLists)
	{
		List	   *columns = NIL;
		List	   *rest = (List *) Llama2ReplaceLeaves(lfirst(cell), &columns);

		if (!Llama2ContainsBatchCall((Node *) rest) || Llama2ContainsVolatile((Node *) rest))
			return NIL;
		if (targetlist != NIL && !equal(rest, targetlist))
			return NIL;
		targetlist = rest;
		returning = lappend(returning, columns);
	}
	if (returning != NIL)
	{
		plan->returningLists = returning;
		plan->plan.targetlist = copyObject(linitial(returning));
	}
	return targetlist;
}

static Node *
replace_leaves(Node *node, void *context)
{
	List	  **columns = context;

	if (node == NULL)
		return NULL;
	if (is_leaf(node))
	{
		TargetEntry *column = NULL;
		ListCell   *cell;

		foreach(cell, *columns)
		{
			if (equal(((TargetEntry *) lfirst(cell))->expr, node))
				column = lfirst(cell);
		}
		if (column == NULL)
		{
			column = makeTargetEntry((Expr *) copyObject(node), list_length(*columns) + 1, NULL, false);
			*columns = lappend(*columns, column);
		}
		return (Node *) makeVar(INDEX_VAR, column->resno, exprType(node), exprTypmod(node), exprCollation(node), 0);
	}
	return expression_tree_mutator(node, replace_leaves, context);
}

static bool
is_leaf(Node *node)
{
	switch (nodeTag(node))
	{
		case T_Var:
		case T_Aggref:
		case T_WindowFunc:
		case T_GroupingFunc:
#if PG_VERSION_NUM >= 170000
		case T_MergeSupportFunc:
#endif
#if PG_VERSION_NUM >= 180000
		case T_ReturningExpr:
#endif
			return true;
		default:
			return false;
	}
}

/*
 * A function that returns rows, or is called in FROM, cannot be called ahead; but its questions can be asked for rows
 * of the plan below, so that they are answered when it is called, and finds them (duplicates.c).  In FROM only
 * where these rows are among its arguments.
 */
void
Llama2AddPrefetch(Node *node, List *nest_params, List **prefetches)
{
	FuncExpr   *call = (FuncExpr *) node;
	List	   *arguments;

	if (!IsA(node, FuncExpr) || Llama2FindBatchFunction(call->funcid) == NULL ||
		Llama2ContainsBatchCall((Node *) call->args) || Llama2ContainsVolatile((Node *) call->args))
		return;
	arguments = (List *) replace_nest_params((Node *) call->args, nest_params);
	if (nest_params != NIL && equal(arguments, call->args))
		return;
	call = copyObject(call);
	call->args = arguments;
	*prefetches = lappend(*prefetches, call);
}

void
Llama2AddPrefetches(Node *expression, List **prefetches)
{
	(void) add_certain_calls(expression, prefetches);
}

/* An aggregate's filter decides whether it is evaluated. */
static bool
add_certain_calls(Node *node, void *context)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_FuncExpr:
			Llama2AddPrefetch(node, NIL, context);
			break;
		case T_WindowFunc:
			if (((WindowFunc *) node)->aggfilter)
				return add_certain_calls((Node *) ((WindowFunc *) node)->aggfilter, context);
			return add_certain_calls((Node *) ((WindowFunc *) node)->args, context);
		case T_BoolExpr:
		case T_CaseExpr:
		case T_CoalesceExpr:
		case T_SubPlan:
		case T_Aggref:
			return false;
		default:
			break;
	}
	return expression_tree_walker(node, add_certain_calls, context);
}

static Node *
replace_nest_params(Node *node, void *context)
{
	List	   *nest_params = context;
	ListCell   *cell;

	if (node == NULL)
		return NULL;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXEC)
	{
		foreach(cell, nest_params)
		{
			NestLoopParam *param = lfirst(cell);

			if (param->paramno == ((Param *) node)->paramid)
				return copyObject((Node *) param->paramval);
		}
	}
	return expression_tree_mutator(node, replace_nest_params, context);
}

/*
 * A column that is used once, so that it is not computed more often than before.  Its place in VALUES stays, with a
 * null.
 */
static void
lift_column(ValuesScan *scan, RangeTblEntry *relation, int number)
{
	Plan	   *plan = &scan->scan.plan;
	Node	   *first = list_nth(linitial(scan->values_lists), number - 1);
	Substitution column = {scan->scan.scanrelid, number};
	Holes		holes = {scan->scan.scanrelid, list_length(linitial(scan->values_lists))};
	List	   *constants = NIL;	/* a list of each row's */
	Node	   *skeleton = NULL;
	ListCell   *cell;

	(void) find_column((Node *) list_make2(plan->targetlist, plan->qual), &column);
	if (column.n_found != 1 || !Llama2ContainsBatchCall(first) || Llama2ContainsVolatile(first))
		return;
	foreach(cell, scan->values_lists)
	{
		Node	   *dug;

		holes.constants = NIL;
		dug = dig_holes(list_nth(lfirst(cell), number - 1), &holes);
		if (skeleton && !equal(dug, skeleton))
			return;
		skeleton = dug;
		constants = lappend(constants, holes.constants);
	}

	relation->eref = copyObject(relation->eref);
	for (int i = 0; i < list_length(holes.constants); i++)
	{
		Node	   *constant = list_nth(linitial(constants), i);
		bool		is_common = true;

		foreach(cell, constants)
			is_common = is_common && equal(list_nth(lfirst(cell), i), constant);
		if (!is_common)
		{
			foreach(cell, scan->values_lists)
				lfirst(cell) = lappend(lfirst(cell), list_nth(list_nth(constants, foreach_current_index(cell)), i));
			constant = (Node *) makeVar(column.relation, list_length(linitial(scan->values_lists)), exprType(constant),
										exprTypmod(constant), exprCollation(constant), 0);
			relation->eref->colnames = lappend(relation->eref->colnames,
											   makeString(psprintf("argument%d", ((Var *) constant)->varattno)));
		}
		holes.fillings = lappend(holes.fillings, constant);
	}
	foreach(cell, scan->values_lists)
		list_nth_cell(lfirst(cell), number - 1)->ptr_value = makeNullConst(exprType(first), exprTypmod(first), exprCollation(first));
	column.expression = fill_holes(skeleton, &holes);
	plan->targetlist = (List *) substitute_column((Node *) plan->targetlist, &column);
	plan->qual = (List *) substitute_column((Node *) plan->qual, &column);
}

/* Only where what is inside may be anything: some nodes count on constants. */
static Node *
dig_holes(Node *node, void *context)
{
	Holes	   *holes = context;

	if (node == NULL)
		return NULL;
	switch (nodeTag(node))
	{
		case T_Param:
			if (((Param *) node)->paramkind != PARAM_EXTERN)
				return node;
			/* FALLTHROUGH */
		case T_Const:
			holes->constants = lappend(holes->constants, node);
			return (Node *) makeVar(holes->relation, holes->n_columns + list_length(holes->constants), exprType(node),
									exprTypmod(node), exprCollation(node), 0);
		case T_List:
		case T_FuncExpr:
		case T_OpExpr:
		case T_BoolExpr:
		case T_CaseExpr:
		case T_CaseWhen:
		case T_CoalesceExpr:
		case T_NullTest:
		case T_RelabelType:
		case T_CoerceViaIO:
		case T_CollateExpr:
		case T_FieldSelect:
		case T_ArrayExpr:
		case T_RowExpr:
			return expression_tree_mutator(node, dig_holes, context);
		default:
			return node;
	}
}

static Node *
fill_holes(Node *node, void *context)
{
	const Holes *holes = context;

	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && ((Var *) node)->varno == holes->relation && ((Var *) node)->varattno > holes->n_columns)
		return copyObject(list_nth(holes->fillings, ((Var *) node)->varattno - holes->n_columns - 1));
	return expression_tree_mutator(node, fill_holes, context);
}

/* How often a column is used; a whole row uses all of them. */
static bool
find_column(Node *node, void *context)
{
	Substitution *column = context;

	if (node == NULL)
		return false;
	if (IsA(node, Var) && ((Var *) node)->varno == column->relation)
	{
		if (((Var *) node)->varattno == column->column)
			column->n_found++;
		else if (((Var *) node)->varattno == InvalidAttrNumber)
			column->n_found += 2;
	}
	return expression_tree_walker(node, find_column, context);
}

static Node *
substitute_column(Node *node, void *context)
{
	const Substitution *column = context;

	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && ((Var *) node)->varno == column->relation && ((Var *) node)->varattno == column->column)
		return copyObject(column->expression);
	return expression_tree_mutator(node, substitute_column, context);
}
