/*
 * batch_scan_groups.c
 *		llama2_summarize_agg of many groups: the texts of a group become an array, whose summary is a call.
 *
 * An aggregate's final function is called for one group after the other.  So where the plan has this aggregate it gets
 * another one that only collects the texts, and a function of their array over it, which is read ahead for as any other.
 */
#include "server/batch_scan.h"

#include "access/htup_details.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

/* What stands for the aggregate. */
typedef struct Substitute
{
	Oid			aggregate;		/* llama2_summarize_agg, once it was seen */
	Oid			collect;		/* llama2_texts_agg */
	Oid			summarize;		/* llama2_summarize_texts */
} Substitute;

static Node *replace_aggregates(Node *node, void *context);
static bool is_summary(Oid aggregate, Substitute *substitute);
static bool is_free(Oid function);
static PlanInvalItem *depend_on(Oid function);
static Oid	function_of_schema(Oid schema, const char *name, Oid argument);

void
Llama2SplitSummaries(Agg *agg, List **inval_items)
{
	Substitute	substitute = {0};

	if (agg->aggsplit != AGGSPLIT_SIMPLE)
		return;
	agg->plan.targetlist = (List *) replace_aggregates((Node *) agg->plan.targetlist, &substitute);
	agg->plan.qual = (List *) replace_aggregates((Node *) agg->plan.qual, &substitute);
	if (OidIsValid(substitute.aggregate))
		*inval_items = lappend(lappend(*inval_items, depend_on(substitute.collect)), depend_on(substitute.summarize));
}

static Node *
replace_aggregates(Node *node, void *context)
{
	Substitute *substitute = context;
	Aggref	   *aggregate;
	FuncExpr   *call;

	if (node == NULL)
		return NULL;
	if (!IsA(node, Aggref))
		return expression_tree_mutator(node, replace_aggregates, context);
	if (!is_summary(((Aggref *) node)->aggfnoid, substitute))
		return node;
	aggregate = copyObject((Aggref *) node);
	aggregate->aggfnoid = substitute->collect;
	aggregate->aggtype = TEXTARRAYOID;
	call = makeFuncExpr(substitute->summarize, TEXTOID, list_make1(aggregate), aggregate->aggcollid,
						aggregate->inputcollid, COERCE_EXPLICIT_CALL);
	return (Node *) call;
}

/*
 * Is it ours, and free for everybody to use, as what stands for it is?  Who may not call it must not find that it was never called.
 */
static bool
is_summary(Oid aggregate, Substitute *substitute)
{
	HeapTuple	tuple;
	Oid			final;
	Oid			schema;
	bool		is_ours;

	if (aggregate == substitute->aggregate)
		return true;
	tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggregate));
	if (!HeapTupleIsValid(tuple))
		return false;
	final = ((Form_pg_aggregate) GETSTRUCT(tuple))->aggfinalfn;
	ReleaseSysCache(tuple);
	is_ours = Llama2IsOwnFunction(final, "llama2_summarize_final");
	if (!is_ours)
		return false;

	schema = get_func_namespace(aggregate);
	substitute->collect = function_of_schema(schema, "llama2_texts_agg", TEXTOID);
	substitute->summarize = function_of_schema(schema, "llama2_summarize_texts", TEXTARRAYOID);
	if (!is_free(aggregate) || !is_free(substitute->collect) || !is_free(substitute->summarize) ||
		Llama2FindBatchFunction(substitute->summarize) == NULL)
		return false;
	substitute->aggregate = aggregate;
	return true;
}

/* Is it there, and has nobody granted or revoked anything on it? */
static bool
is_free(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	bool		unchanged;

	if (!HeapTupleIsValid(tuple))
		return false;
	unchanged = heap_attisnull(tuple, Anum_pg_proc_proacl, NULL);
	ReleaseSysCache(tuple);
	return unchanged;
}

/* A cached plan is made anew when the function changes. */
static PlanInvalItem *
depend_on(Oid function)
{
	PlanInvalItem *item = makeNode(PlanInvalItem);

	item->cacheId = PROCOID;
	item->hashValue = GetSysCacheHashValue1(PROCOID, ObjectIdGetDatum(function));
	return item;
}

static Oid
function_of_schema(Oid schema, const char *name, Oid argument)
{
	oidvector  *arguments = buildoidvector(&argument, 1);

	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(name), PointerGetDatum(arguments),
						   ObjectIdGetDatum(schema));
}
