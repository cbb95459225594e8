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

static void read_plan(const char *name, LlmModelConfig *config, Llama2MemoryPlan *plan);
static void raise_error(const char *name, const LlmError *error) pg_attribute_noreturn();
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
	bool		fits;

	Llama2RequirePreload();
	if (name == NULL)
		name = llama2_model;
	Llama2RequireModelName(name);
	if (get_call_result_type(fcinfo, NULL, &row_type) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	read_plan(name, &config, &plan);
	Llama2ReadSystemMemory(&system);
	fits = !Llama2PlanIsImpossible(name, &plan, &system, &failure);

	values[0] = CStringGetTextDatum(name);
	values[1] = CStringGetTextDatum(config.type_name);
	values[2] = Int64GetDatum(config.n_weights);
	values[3] = Int32GetDatum(plan.context_length);
	values[4] = Int64GetDatum((int64) (plan.image_bytes + plan.vocabulary_bytes));
	values[5] = Int64GetDatum((int64) plan.kv_bytes);
	values[6] = Int64GetDatum((int64) plan.activation_bytes);
	values[7] = Int64GetDatum((int64) Llama2PlanTotal(&plan));
	put_bytes(&values[8], &nulls[8], llama2_memory_limit == 0 ? PG_UINT64_MAX :
			  (uint64) llama2_memory_limit * 1024 * 1024);
	put_bytes(&values[9], &nulls[9], system.available);
	put_bytes(&values[10], &nulls[10], Max(system.shared, system.reserved));
	values[11] = BoolGetDatum(fits);
	if (fits)
		nulls[12] = true;
	else
		values[12] = CStringGetTextDatum(psprintf("%s. %s", failure.message, failure.hint));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row_type), values, nulls)));
}

static void
read_plan(const char *name, LlmModelConfig *config, Llama2MemoryPlan *plan)
{
	LlmError	error = {0};
	LlmModelFile *file = llm_model_open(Llama2ModelPath(name), &error);
	bool		done;

	if (file == NULL)
		raise_error(name, &error);
	*config = *llm_model_file_config(file);
	done = Llama2PlanMemory(file, plan, &error);
	llm_model_close(file);
	if (!done)
		raise_error(name, &error);
}

static void
raise_error(const char *name, const LlmError *error)
{
	Llama2Failure failure;

	Llama2ModelFailure(name, error, &failure);
	Llama2RaiseFailure(&failure);
}

/* PG_UINT64_MAX: there is no bound, or nobody knows it. */
static void
put_bytes(Datum *value, bool *is_null, uint64 bytes)
{
	*is_null = bytes == PG_UINT64_MAX;
	*value = Int64GetDatum(*is_null ? 0 : (int64) bytes);
}
