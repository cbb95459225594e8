/*
 * job_submit.c
 *		Durable jobs, as a session puts them into the table llama2_job.
 *
 * Nobody but the extension's owner may insert there, so that a job's owner is always the role that
 * submitted it.  A trigger of the table, which sees restored jobs too, notes that the worker
 * is to be told; that is done once, when the transaction has committed.
 */
#include "server/job_submit.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "server/parameters.h"
#include "shared/compat.h"
#include "shared/job_table.h"
#include "shared/model_table.h"

PG_FUNCTION_INFO_V1(llama2_submit);
PG_FUNCTION_INFO_V1(llama2_job_notice);

#define N_COLUMNS 10

static void wake_at_commit(XactEvent event, void *arg);
static Oid	relation_owner(Oid relid);
static Jsonb *arguments_as_options(FunctionCallInfo fcinfo, int first);
static void append_texts(StringInfo json, ArrayType *array);

static bool callback_registered = false;
static bool wake = false;

/* llama2_submit(prompt, ...): a prompt to be completed after commit. */
Datum
llama2_submit(PG_FUNCTION_ARGS)
{
	Llama2JobSpec spec = {0};
	Llama2Settings settings = {0};
	Llama2Options options;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	Llama2RequirePreload();
	Llama2ReadOptions(fcinfo, 1, &options);
	if (options.model && !Llama2ModelNameIsValid(options.model))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid model name \"%s\"", options.model)));

	settings.options = arguments_as_options(fcinfo, 1);
	settings.system = options.system;
	settings.model = options.model;
	spec.schema = get_func_namespace(fcinfo->flinfo->fn_oid);
	spec.owner = GetUserId();
	spec.prompt = PG_GETARG_TEXT_PP(0);
	spec.settings = &settings;
	spec.options = Llama2SettingsForLater(&settings);
	PG_RETURN_INT64(Llama2JobInsert(&spec));
}

/* Trigger of llama2_job: have new rows looked at once they are committed. */
Datum
llama2_job_notice(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"llama2_job_notice\" was not called by a trigger")));
	if (!callback_registered)
	{
		RegisterXactCallback(wake_at_commit, NULL);
		callback_registered = true;
	}
	wake = true;
	PG_RETURN_POINTER(NULL);
}

/* With the rights of the table's owner, as foreign keys do their checks. */
int64
Llama2JobInsert(const Llama2JobSpec *spec)
{
	static SPIPlanPtr plan = NULL;
	static Oid	plan_relid = InvalidOid;
	static const Oid types[N_COLUMNS] = {
		OIDOID, TEXTOID, OIDOID, NAMEOID, TEXTARRAYOID, TEXTOID, TEXTOID, TEXTOID, BOOLOID, JSONBOID
	};
	Oid			relid = get_relname_relid("llama2_job", spec->schema);
	Datum		values[N_COLUMNS];
	char		nulls[N_COLUMNS + 1] = "          ";
	NameData	column;
	const char *model = spec->settings->model ? spec->settings->model : llama2_model;
	Oid			caller;
	int			security;
	bool		is_null;
	int64		id;

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"llama2_job\" of the extension does not exist")));
	values[0] = ObjectIdGetDatum(spec->owner);
	values[1] = CStringGetTextDatum(spec->bundled ? "bundled" : "queued");
	values[2] = ObjectIdGetDatum(spec->relid);
	values[4] = spec->keys;
	if (OidIsValid(spec->relid))
	{
		namestrcpy(&column, spec->column);
		values[3] = NameGetDatum(&column);
	}
	else
		nulls[2] = nulls[3] = nulls[4] = 'n';
	values[5] = PointerGetDatum(spec->prompt);
	values[6] = PointerGetDatum(spec->settings->system);
	if (spec->settings->system == NULL)
		nulls[6] = 'n';
	values[7] = CStringGetTextDatum(model);
	values[8] = BoolGetDatum(spec->settings->chat);
	values[9] = JsonbPGetDatum(spec->options);

	GetUserIdAndSecContext(&caller, &security);
	SPI_connect();
	if (plan == NULL || plan_relid != relid)
	{
		char	   *sql = psprintf("INSERT INTO %s.llama2_job (owner, state, relation, attname, keys, prompt, system, "
								   "model, chat, options) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id",
								   quote_identifier(get_namespace_name(spec->schema)));

		if (plan)
			SPI_freeplan(plan);
		plan = SPI_prepare(sql, N_COLUMNS, (Oid *) types);
		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "could not prepare the insertion of a job");
		plan_relid = relid;
	}
	SetUserIdAndSecContext(relation_owner(relid),
						   security | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
	if (SPI_execute_plan(plan, values, nulls, false, 0) != SPI_OK_INSERT_RETURNING || SPI_processed != 1)
		elog(ERROR, "could not insert a job");
	SetUserIdAndSecContext(caller, security);
	id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
	SPI_finish();
	return id;
}

/* A prepared transaction is committed by another session, which wakes the worker itself. */
static void
wake_at_commit(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			if (wake)
				Llama2JobsWanted(MyDatabaseId, 0);
			wake = false;
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			wake = false;
			break;
		default:
			break;
	}
}

static Oid
relation_owner(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* The common arguments that begin at first, over those in options, as options. */
static Jsonb *
arguments_as_options(FunctionCallInfo fcinfo, int first)
{
	static const char *const names[] = {
		[LLAMA2_ARG_MAX_TOKENS] = "max_tokens",
		[LLAMA2_ARG_TEMPERATURE] = "temperature",
		[LLAMA2_ARG_TOP_P] = "top_p",
		[LLAMA2_ARG_TOP_K] = "top_k",
		[LLAMA2_ARG_MIN_P] = "min_p",
		[LLAMA2_ARG_SEED] = "seed",
		[LLAMA2_ARG_STOP] = "stop"
	};
	StringInfoData json;
	Jsonb	   *options;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	for (int i = LLAMA2_ARG_MAX_TOKENS; i <= LLAMA2_ARG_STOP; i++)
	{
		int			argument = first + i;

		if (PG_ARGISNULL(argument))
			continue;
		appendStringInfo(&json, "%s\"%s\": ", json.len > 1 ? ", " : "", names[i]);
		switch (i)
		{
			case LLAMA2_ARG_MAX_TOKENS:
			case LLAMA2_ARG_TOP_K:
				appendStringInfo(&json, "%d", PG_GETARG_INT32(argument));
				break;
			case LLAMA2_ARG_SEED:
				appendStringInfo(&json, INT64_FORMAT, PG_GETARG_INT64(argument));
				break;
			case LLAMA2_ARG_STOP:
				append_texts(&json, PG_GETARG_ARRAYTYPE_P(argument));
				break;
			default:
				appendStringInfo(&json, "%.17g", PG_GETARG_FLOAT8(argument));
		}
	}
	appendStringInfoChar(&json, '}');
	options = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data)));
	if (PG_ARGISNULL(first + LLAMA2_ARG_OPTIONS))
		return options;
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, PG_GETARG_DATUM(first + LLAMA2_ARG_OPTIONS),
											  JsonbPGetDatum(options)));
}

static void
append_texts(StringInfo json, ArrayType *array)
{
	Datum	   *items;
	bool	   *nulls;
	int			n_items;
	const char *separator = "";

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &items, &nulls, &n_items);
	appendStringInfoChar(json, '[');
	for (int i = 0; i < n_items; i++)
	{
		if (nulls[i])
			continue;
		appendStringInfoString(json, separator);
		escape_json(json, TextDatumGetCString(items[i]));
		separator = ", ";
	}
	appendStringInfoChar(json, ']');
}
