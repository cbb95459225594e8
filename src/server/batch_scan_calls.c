/*
 * batch_scan_calls.c
 *		The calls in a batch scan's expressions, and when SQL makes them.
 *
 * In the node's own copy of its expressions a Param stands for each call.  Whoever evaluates the expression meets
 * the Param where SQL would make the call, and takes the answer or makes the call then; so what an
 * expression means does not depend on what was started before.  What can be started
 * before is told by the conditions under which SQL makes the call (the branches of CASE,
 * COALESCE, AND and OR above it, and the filter before the target list), as expressions of their own.
 */
#include "server/batch_scan.h"

#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/execExpr.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "shared/compat.h"

/* Params of the node's own, out of the way of the statement's. */
#define FIRST_PARAM 0x40000000

typedef struct Finding
{
	Llama2BatchScan *scan;
	List	   *conditions;		/* numbers of those that hold where the walk is */
	bool		is_unknown;		/* nobody can tell before whether this is evaluated */
	List	   *calls;			/* Llama2ScanCall, in the order of evaluation */
	List	   *all_conditions; /* Llama2Condition */
} Finding;

static Node *replace_calls(Node *node, Finding *finding);
static Node *replace_calls_below(Node *node, void *finding);
static Node *replace_unknown(Node *node, Finding *finding);
static Node *replace_call(FuncExpr *call, Finding *finding);
static Node *replace_bool(BoolExpr *expr, Finding *finding);
static Node *replace_case(CaseExpr *expr, Finding *finding);
static Node *replace_coalesce(CoalesceExpr *expr, Finding *finding);
static Node *replace_subplan(SubPlan *expr, Finding *finding);
static Expr *branch_is_taken(const CaseExpr *expr, List *whens, int taken);
static void add_condition(Finding *finding, Expr *expression);
static Llama2Ahead when_evaluated(Node *node);
static bool is_fallible(Node *node, void *context);
static bool function_is_fallible(Oid function, void *context);
static bool needs_its_place(Node *node, void *context);
static bool has_subplan(Node *node, void *context);
static bool add_needs(Node *node, void *context);
static bool add_params(Node *node, void *context);
static void initialize(Llama2BatchScan *scan, List *qual, List *targetlist);
static void check_permission(Oid function);
static void compile_param(ParamListInfo params, Param *param, ExprState *state, Datum *value, bool *is_null);
static void evaluate_call(ExprState *state, ExprEvalStep *step, ExprContext *econtext);

/* Set scan->calls, conditions, qual and projection. */
void
Llama2FindScanCalls(Llama2BatchScan *scan)
{
	Plan	   *plan = scan->css.ss.ps.plan;
	Finding		finding = {.scan = scan};
	List	   *qual = NIL;
	List	   *targetlist = NIL;
	ListCell   *cell;

	foreach(cell, plan->qual)
	{
		Expr	   *clause = (Expr *) replace_calls(lfirst(cell), &finding);

		qual = lappend(qual, clause);
		add_condition(&finding, clause);
	}
	foreach(cell, plan->targetlist)
	{
		TargetEntry *entry = flatCopyTargetEntry(lfirst(cell));

		entry->expr = (Expr *) replace_calls((Node *) entry->expr, &finding);
		targetlist = lappend(targetlist, entry);
	}
	foreach(cell, (List *) list_nth(((CustomScan *) plan)->custom_exprs, LLAMA2_PLAN_PREFETCHES))
	{
		int			n_calls = list_length(finding.calls);

		(void) replace_call(lfirst_node(FuncExpr, cell), &finding);
		if (list_length(finding.calls) > n_calls)
			((Llama2ScanCall *) llast(finding.calls))->is_prefetch = true;
	}

	scan->n_calls = list_length(finding.calls);
	scan->calls = palloc0(sizeof(Llama2ScanCall) * Max(scan->n_calls, 1));
	foreach(cell, finding.calls)
		scan->calls[foreach_current_index(cell)] = *(Llama2ScanCall *) lfirst(cell);
	scan->n_conditions = list_length(finding.all_conditions);
	scan->conditions = palloc0(sizeof(Llama2Condition) * Max(scan->n_conditions, 1));
	foreach(cell, finding.all_conditions)
		scan->conditions[foreach_current_index(cell)] = *(Llama2Condition *) lfirst(cell);
	initialize(scan, qual, targetlist);
}

/* Copy an expression with Params for its calls; children in the order in which they are evaluated. */
static Node *
replace_calls(Node *node, Finding *finding)
{
	if (node == NULL)
		return NULL;
	switch (nodeTag(node))
	{
		case T_FuncExpr:
			if (Llama2FindBatchFunction(((FuncExpr *) node)->funcid))
				return replace_call((FuncExpr *) node, finding);
			break;
		case T_BoolExpr:
			return replace_bool((BoolExpr *) node, finding);
		case T_CaseExpr:
			return replace_case((CaseExpr *) node, finding);
		case T_CoalesceExpr:
			return replace_coalesce((CoalesceExpr *) node, finding);
		case T_SubPlan:
			return replace_subplan((SubPlan *) node, finding);
		case T_List:
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
		case T_ScalarArrayOpExpr:
		case T_FieldSelect:
		case T_FieldStore:
		case T_RelabelType:
		case T_CoerceViaIO:
		case T_ConvertRowtypeExpr:
		case T_CollateExpr:
		case T_ArrayExpr:
		case T_RowExpr:
		case T_MinMaxExpr:
		case T_NullTest:
		case T_BooleanTest:
		case T_NamedArgExpr:
		case T_CoerceToDomain:
		case T_Var:
		case T_Const:
		case T_Param:
			break;
		default:
			return replace_unknown(node, finding);
	}
	return expression_tree_mutator(node, replace_calls_below, finding);
}

static Node *
replace_calls_below(Node *node, void *finding)
{
	return replace_calls(node, finding);
}

/* A node that may leave out some of its children, or evaluate them more than once. */
static Node *
replace_unknown(Node *node, Finding *finding)
{
	bool		was_unknown = finding->is_unknown;
	Node	   *result;

	finding->is_unknown = true;
	result = expression_tree_mutator(node, replace_calls_below, finding);
	finding->is_unknown = was_unknown;
	return result;
}

static Node *
replace_call(FuncExpr *expr, Finding *finding)
{
	Llama2ScanCall *call;
	Param	   *param;
	FuncExpr   *copy = (FuncExpr *) expression_tree_mutator((Node *) expr, replace_calls_below, finding);
	ListCell   *cell;

	/* its arguments have a meaning in this place only */
	if (needs_its_place((Node *) copy->args, NULL))
		return (Node *) copy;

	call = palloc0(sizeof(Llama2ScanCall));
	call->scan = finding->scan;
	call->number = list_length(finding->calls);
	call->function = Llama2FindBatchFunction(expr->funcid);
	call->expression = copy;
	call->ahead = finding->is_unknown ? LLAMA2_AHEAD_NEVER : when_evaluated((Node *) copy->args);
	foreach(cell, finding->conditions)
		call->conditions = bms_add_member(call->conditions, lfirst_int(cell));
	(void) add_needs((Node *) copy->args, &call->needs);
	(void) add_params((Node *) copy->args, &call->params);
	finding->calls = lappend(finding->calls, call);

	param = makeNode(Param);
	param->paramkind = PARAM_EXTERN;
	param->paramid = FIRST_PARAM + call->number;
	param->paramtype = expr->funcresulttype;
	param->paramtypmod = exprTypmod((Node *) expr);
	param->paramcollid = expr->funccollid;
	param->location = -1;
	return (Node *) param;
}

/* AND goes on where no operand was false, OR where none was true. */
static Node *
replace_bool(BoolExpr *expr, Finding *finding)
{
	List	   *conditions = finding->conditions;
	bool		was_unknown = finding->is_unknown;
	BoolExpr   *copy = makeNode(BoolExpr);
	ListCell   *cell;

	*copy = *expr;
	copy->args = NIL;
	foreach(cell, expr->args)
	{
		Expr	   *operand = (Expr *) replace_calls(lfirst(cell), finding);

		copy->args = lappend(copy->args, operand);
		if (expr->boolop != NOT_EXPR)
		{
			BooleanTest *test = makeNode(BooleanTest);

			test->arg = operand;
			test->booltesttype = expr->boolop == AND_EXPR ? IS_NOT_FALSE : IS_NOT_TRUE;
			test->location = -1;
			add_condition(finding, (Expr *) test);
		}
	}
	finding->conditions = conditions;
	finding->is_unknown = was_unknown;
	return (Node *) copy;
}

static Node *
replace_case(CaseExpr *expr, Finding *finding)
{
	List	   *conditions = finding->conditions;
	bool		was_unknown = finding->is_unknown;
	CaseExpr   *copy = makeNode(CaseExpr);
	List	   *whens = NIL;
	int			number = 0;
	ListCell   *cell;

	*copy = *expr;
	copy->arg = (Expr *) replace_calls((Node *) expr->arg, finding);
	copy->args = NIL;
	foreach(cell, expr->args)
	{
		CaseWhen   *when = copyObject(lfirst_node(CaseWhen, cell));
		List	   *before = finding->conditions;
		bool		unknown_before = finding->is_unknown;

		when->expr = (Expr *) replace_calls((Node *) when->expr, finding);
		whens = lappend(whens, when);
		add_condition(finding, branch_is_taken(copy, whens, number));
		when->result = (Expr *) replace_calls((Node *) when->result, finding);
		copy->args = lappend(copy->args, when);

		finding->conditions = before;
		finding->is_unknown = unknown_before;
		add_condition(finding, branch_is_taken(copy, whens, -1));
		number++;
	}
	copy->defresult = (Expr *) replace_calls((Node *) expr->defresult, finding);
	finding->conditions = conditions;
	finding->is_unknown = was_unknown;
	return (Node *) copy;
}

/* An expression that is true where CASE takes this branch; -1: none of them. */
static Expr *
branch_is_taken(const CaseExpr *expr, List *whens, int taken)
{
	CaseExpr   *test = makeNode(CaseExpr);
	ListCell   *cell;

	test->casetype = BOOLOID;
	test->arg = copyObject(expr->arg);
	test->location = -1;
	foreach(cell, whens)
	{
		CaseWhen   *when = makeNode(CaseWhen);

		when->expr = copyObject(((CaseWhen *) lfirst(cell))->expr);
		when->result = (Expr *) makeBoolConst(foreach_current_index(cell) == taken, false);
		when->location = -1;
		test->args = lappend(test->args, when);
	}
	test->defresult = (Expr *) makeBoolConst(taken < 0, false);
	return (Expr *) test;
}

static Node *
replace_coalesce(CoalesceExpr *expr, Finding *finding)
{
	List	   *conditions = finding->conditions;
	bool		was_unknown = finding->is_unknown;
	CoalesceExpr *copy = makeNode(CoalesceExpr);
	ListCell   *cell;

	*copy = *expr;
	copy->args = NIL;
	foreach(cell, expr->args)
	{
		Expr	   *argument = (Expr *) replace_calls(lfirst(cell), finding);
		NullTest   *test = makeNode(NullTest);

		copy->args = lappend(copy->args, argument);
		test->arg = argument;
		test->nulltesttype = IS_NULL;
		test->location = -1;
		add_condition(finding, (Expr *) test);
	}
	finding->conditions = conditions;
	finding->is_unknown = was_unknown;
	return (Node *) copy;
}

/* Its arguments are evaluated before it starts; what it compares with perhaps never. */
static Node *
replace_subplan(SubPlan *expr, Finding *finding)
{
	SubPlan    *copy = makeNode(SubPlan);

	*copy = *expr;
	copy->args = (List *) replace_calls((Node *) expr->args, finding);
	copy->testexpr = expr->testexpr ? replace_unknown((Node *) list_make1(expr->testexpr), finding) : NULL;
	if (copy->testexpr)
		copy->testexpr = linitial((List *) copy->testexpr);
	return (Node *) copy;
}

/* From here on the expression is known to be true. */
static void
add_condition(Finding *finding, Expr *expression)
{
	Llama2Condition *condition;
	Llama2Ahead ahead = when_evaluated((Node *) expression);

	if (ahead == LLAMA2_AHEAD_NEVER || needs_its_place((Node *) expression, NULL))
	{
		finding->is_unknown = true;
		return;
	}
	condition = palloc0(sizeof(Llama2Condition));
	condition->expression = expression;
	condition->ahead = ahead;
	(void) add_needs((Node *) expression, &condition->needs);
	(void) add_params((Node *) expression, &condition->params);
	finding->conditions = lappend_int(list_copy(finding->conditions), list_length(finding->all_conditions));
	finding->all_conditions = lappend(finding->all_conditions, condition);
}

/*
 * A subquery's scans hold resources from one row to the next, which must not belong to a subtransaction;
 * nor do we know what errors it can raise.
 */
static Llama2Ahead
when_evaluated(Node *node)
{
	if (Llama2ContainsVolatile(node) || Llama2ContainsBatchCall(node) || has_subplan(node, NULL))
		return LLAMA2_AHEAD_NEVER;
	return is_fallible(node, NULL) ? LLAMA2_AHEAD_GUARDED : LLAMA2_AHEAD_FREELY;
}

/* Can it raise an error for some values? */
static bool
is_fallible(Node *node, void *context)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_CoerceViaIO:
			{
				CoerceViaIO *coerce = (CoerceViaIO *) node;
				Oid			output;
				bool		is_varlena;

				if (coerce->resulttype != TEXTOID && coerce->resulttype != VARCHAROID)
					return true;
				getTypeOutputInfo(exprType((Node *) coerce->arg), &output, &is_varlena);
				return output >= FirstGenbkiObjectId || is_fallible((Node *) coerce->arg, context);
			}
		case T_List:
		case T_Var:
		case T_Const:
		case T_Param:
		case T_FuncExpr:
		case T_OpExpr:
		case T_BoolExpr:
		case T_CaseExpr:
		case T_CaseWhen:
		case T_CaseTestExpr:
		case T_CoalesceExpr:
		case T_NullTest:
		case T_BooleanTest:
		case T_RelabelType:
		case T_CollateExpr:
		case T_FieldSelect:
		case T_RowExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
			break;
		default:
			return true;
	}
	if (check_functions_in_node(node, function_is_fallible, context))
		return true;
	return expression_tree_walker(node, is_fallible, context);
}

/* Who is leakproof raises no error that tells of its arguments. */
static bool
function_is_fallible(Oid function, void *context)
{
	switch (function)
	{
		case F_TEXTCAT:
		case F_TEXTANYCAT:
		case F_ANYTEXTCAT:
		case F_CONCAT:
		case F_CONCAT_WS:
		case F_UPPER_TEXT:
		case F_LOWER_TEXT:
		case F_INITCAP:
		case F_BTRIM_TEXT:
		case F_BTRIM_TEXT_TEXT:
		case F_LTRIM_TEXT:
		case F_RTRIM_TEXT:
		case F_LEFT:
		case F_RIGHT:
		case F_REVERSE_TEXT:
		case F_REPLACE:
		case F_LENGTH_TEXT:
		case F_CHAR_LENGTH_TEXT:
		case F_QUOTE_LITERAL_TEXT:
		case F_JSONB_OBJECT_FIELD_TEXT:
			return false;
		default:
			return !get_func_leakproof(function);
	}
}

/* Does it refer to what only an expression around it can supply? */
static bool
needs_its_place(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, CaseTestExpr) || IsA(node, CoerceToDomainValue))
		return true;
	/* these supply it to what is inside them */
	if (IsA(node, CaseExpr) && ((CaseExpr *) node)->arg)
	{
		CaseExpr   *expr = (CaseExpr *) node;
		ListCell   *cell;

		foreach(cell, expr->args)
		{
			if (needs_its_place((Node *) ((CaseWhen *) lfirst(cell))->result, context))
				return true;
		}
		return needs_its_place((Node *) expr->arg, context) || needs_its_place((Node *) expr->defresult, context);
	}
	if (IsA(node, ArrayCoerceExpr))
		return needs_its_place((Node *) ((ArrayCoerceExpr *) node)->arg, context);
	return expression_tree_walker(node, needs_its_place, context);
}

static bool
has_subplan(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubPlan))
		return true;
	return expression_tree_walker(node, has_subplan, context);
}

static bool
add_needs(Node *node, void *context)
{
	Bitmapset **needs = context;

	if (node == NULL)
		return false;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN && ((Param *) node)->paramid >= FIRST_PARAM)
		*needs = bms_add_member(*needs, ((Param *) node)->paramid - FIRST_PARAM);
	return expression_tree_walker(node, add_needs, context);
}

static bool
add_params(Node *node, void *context)
{
	Bitmapset **params = context;

	if (node == NULL)
		return false;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXEC)
		*params = bms_add_member(*params, ((Param *) node)->paramid);
	return expression_tree_walker(node, add_params, context);
}

/*
 * Compile everything with a parameter list that knows our Params and hands the others on.  It
 * is as good as the original one for whatever else is made from it meanwhile.
 */
static void
initialize(Llama2BatchScan *scan, List *qual, List *targetlist)
{
	PlanState  *ps = &scan->css.ss.ps;
	EState	   *estate = ps->state;
	ParamListInfo given = estate->es_param_list_info;
	ParamListInfo ours;
	Size		size = offsetof(ParamListInfoData, params);

	if (given)
		size += sizeof(ParamExternData) * given->numParams;
	ours = palloc0(size);
	if (given)
		memcpy(ours, given, size);
	ours->paramCompile = compile_param;
	ours->paramCompileArg = scan;

	scan->given_params = given;
	estate->es_param_list_info = ours;
	/* those of the expressions that are compiled anew here */
	ps->subPlan = NIL;
	for (int i = 0; i < scan->n_calls; i++)
	{
		Llama2ScanCall *call = &scan->calls[i];
		FmgrInfo   *function = palloc0(sizeof(FmgrInfo));
		int			n_arguments = list_length(call->expression->args);

		check_permission(call->expression->funcid);
		fmgr_info(call->expression->funcid, function);
		fmgr_info_set_expr((Node *) call->expression, function);
		call->fcinfo = palloc0(SizeForFunctionCallInfo(n_arguments));
		InitFunctionCallInfoData(*call->fcinfo, function, n_arguments, call->expression->inputcollid, NULL, NULL);
		call->arguments = ExecInitExprList(call->expression->args, ps);
	}
	for (int i = 0; i < scan->n_conditions; i++)
		scan->conditions[i].state = ExecInitExpr(scan->conditions[i].expression, ps);
	scan->qual = ExecInitQual(qual, ps);
	if (ps->ps_ProjInfo)
		ps->ps_ProjInfo = ExecBuildProjectionInfo(targetlist, ps->ps_ExprContext, ps->ps_ResultTupleSlot, ps,
												  scan->css.ss.ss_ScanTupleSlot->tts_tupleDescriptor);
	estate->es_param_list_info = given;
}

static void
check_permission(Oid function)
{
#if PG_VERSION_NUM >= 160000
	AclResult	result = object_aclcheck(ProcedureRelationId, function, GetUserId(), ACL_EXECUTE);
#else
	AclResult	result = pg_proc_aclcheck(function, GetUserId(), ACL_EXECUTE);
#endif

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FUNCTION, get_func_name(function));
}

static void
compile_param(ParamListInfo params, Param *param, ExprState *state, Datum *value, bool *is_null)
{
	Llama2BatchScan *scan = params->paramCompileArg;
	ParamListInfo given = scan->given_params;
	ExprEvalStep step = {0};

	if (param->paramid < FIRST_PARAM && given && given->paramCompile)
	{
		given->paramCompile(given, param, state, value, is_null);
		return;
	}
	step.resvalue = value;
	step.resnull = is_null;
	if (param->paramid < FIRST_PARAM)
	{
		step.opcode = EEOP_PARAM_EXTERN;
		step.d.param.paramid = param->paramid;
		step.d.param.paramtype = param->paramtype;
	}
	else
	{
		step.opcode = EEOP_PARAM_CALLBACK;
		step.d.cparam.paramfunc = evaluate_call;
		step.d.cparam.paramarg = &scan->calls[param->paramid - FIRST_PARAM];
		step.d.cparam.paramid = param->paramid;
		step.d.cparam.paramtype = param->paramtype;
	}
	ExprEvalPushStep(state, &step);
}

/* An expression wants the value of a call. */
static void
evaluate_call(ExprState *state, ExprEvalStep *step, ExprContext *econtext)
{
	Llama2ScanCall *call = step->d.cparam.paramarg;
	Llama2BatchScan *scan = call->scan;
	Llama2RowCall *row_call = &scan->current->calls[call->number];

	if (scan->is_ahead && row_call->state != LLAMA2_CALL_ANSWERED)
	{
		scan->met_unknown = true;
		*step->resnull = true;
		*step->resvalue = (Datum) 0;
		return;
	}
	*step->resvalue = Llama2CallNow(scan, call, econtext, step->resnull);
}
