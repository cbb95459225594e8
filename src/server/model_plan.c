/*
 * model_plan.c
 *		llama2_memory_plan: what a model would take, told from its file's header.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "engine/model.h"
#include "server/model_use.h"
#include "server/model_wait.h"
#include "server/options.h"
#include "server/parameters.h"
#include "shared/failure.h"
#include "shared/model_memory.h"
#include "shared/model_table.h"

PG_FUNCTION_INFO_V1(llama2_memory_plan);

#define PLAN_COLUMNS 13

static bool read_plan(const char *name, LlmModelConfig *config, Llama2MemoryPlan *plan, Llama2Failure *failure);
static void put_bytes(Datum *value, bool *is_null, uint64 bytes);

Datum
llama2_memory_plan(PG_FUNCTION_ARGS)
{
	char	   *name = Llama2StringArgument(fcinfo, 0);
	TupleDesc	row_type;
	Datum		values[PLAN_COLUMNS];
	bool		nulls[PLAN_COLUMNS] = {0};
	LlmModelConfig config;
	Llama2MemoryPlan plan;
	Llama2SystemMemory system;
	Llama2Failure failure;
	bool		is_planned;
	bool		fits;

	Llama2RequirePreload();
	if (name == NULL)
		name = llama2_model;
	Llama2RequireModelName(name);
	if (get_call_result_type(fcinfo, NULL, &row_type) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	is_planned = read_plan(name, &config, &plan, &failure);
	Llama2ReadSystemMemory(&system);
	fits = is_planned && !Llama2PlanIsImpossible(name, &plan, &system, &failure);

	values[0] = CStringGetTextDatum(name);
	values[1] = CStringGetTextDatum(config.type_name);
	values[2] = Int64GetDatum(config.n_weights);
	values[3] = Int32GetDatum(plan.context_length);
	values[4] = Int64GetDatum((int64) (plan.image_bytes + plan.vocabulary_bytes));
	values[5] = Int64GetDatum((int64) plan.kv_bytes);
	values[6] = Int64GetDatum((int64) plan.activation_bytes);
	values[7] = Int64GetDatum((int64) Llama2PlanTotal(&plan));
	nulls[5] = nulls[6] = nulls[7] = !is_planned;
	put_bytes(&values[8], &nulls[8], llama2_memory_limit == 0 ? PG_UINT64_MAX :
			  (uint64) llama2_memory_limit * 1024 * 1024);
	put_bytes(&values[9], &nulls[9], system.available);
	put_bytes(&values[10], &nulls[10], Max(system.shared, system.reserved));
	values[11] = BoolGetDatum(fits);
	if (fits)
		nulls[12] = true;
	else
		values[12] = CStringGetTextDatum(psprintf("%s.%s%s", failure.message, failure.hint[0] ? " " : "", failure.hint));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row_type), values, nulls)));
}

/*
 * A file that is no model is an error; one that does not suit the parameters gives false, and how large its weights are.
 */
static bool
read_plan(const char *name, LlmModelConfig *config, Llama2MemoryPlan *plan, Llama2Failure *failure)
{
	LlmError	error = {0};
	LlmModelFile *file = llm_model_open(Llama2ModelPath(name), &error);
	bool		done;

	if (file == NULL)
	{
		Llama2ModelFailure(name, &error, failure);
		Llama2RaiseFailure(failure);
	}
	*config = *llm_model_file_config(file);
	done = Llama2PlanMemory(file, plan, &error);
	llm_model_close(file);
	if (!done)
		Llama2ModelFailure(name, &error, failure);
	return done;
}

/* PG_UINT64_MAX: there is no bound, or nobody knows it. */
static void
put_bytes(Datum *value, bool *is_null, uint64 bytes)
{
	*is_null = bytes == PG_UINT64_MAX;
	*value = Int64GetDatum(*is_null ? 0 : (int64) bytes);
}
