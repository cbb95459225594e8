/*
 * job_submit.c
 *		Durable jobs, as a session puts them into the table llama2_job.
 *
 * No role may insert there by itself, so that a job's owner is always the role that
 * submitted it.  The worker is told once, when the transaction has committed; of jobs that are
 * restored from a dump a trigger of the table tells it.
 */
#include "server/job_submit.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "server/job_rows.h"
#include "server/parameters.h"
#include "shared/compat.h"
#include "shared/job_table.h"
#include "shared/model_table.h"

PG_FUNCTION_INFO_V1(llama2_submit);
PG_FUNCTION_INFO_V1(llama2_job_notice);

static void wake_at_commit(XactEvent event, void *arg);
static void set_column(TupleTableSlot *slot, Llama2JobColumn column, Datum value);
static void note_wake(void);
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
	note_wake();
	PG_RETURN_POINTER(NULL);
}

/* Those of triggers go into a table without indexes, from which the worker takes them. */
int64
Llama2JobInsert(const Llama2JobSpec *spec)
{
	Oid			sequence = get_relname_relid("llama2_job_id", spec->schema);
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	const char *model = spec->settings->model ? spec->settings->model : llama2_model;
	Llama2JobWriter writer;
	TupleTableSlot *slot;
	int64		id;

	PreventCommandIfReadOnly("INSERT");
	if (!OidIsValid(sequence))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("sequence \"%s\" of the extension does not exist", "llama2_job_id")));
	Llama2JobWriterBegin(&writer, spec->schema, OidIsValid(spec->relid) ? "llama2_job_new" : "llama2_job");
	id = nextval_internal(sequence, false);

	slot = writer.slot;
	memset(slot->tts_isnull, true, sizeof(bool) * LLAMA2_JOB_COLUMNS);
	set_column(slot, LLAMA2_JOB_ID, Int64GetDatum(id));
	set_column(slot, LLAMA2_JOB_OWNER, ObjectIdGetDatum(spec->owner));
	set_column(slot, LLAMA2_JOB_STATE, CStringGetTextDatum(spec->bundled ? "bundled" : "queued"));
	if (OidIsValid(spec->relid))
	{
		set_column(slot, LLAMA2_JOB_RELATION, ObjectIdGetDatum(spec->relid));
		set_column(slot, LLAMA2_JOB_ATTNAME, CStringGetTextDatum(spec->column));
		set_column(slot, LLAMA2_JOB_KEYS, spec->keys);
		if (spec->was)
			set_column(slot, LLAMA2_JOB_WAS, spec->was);
	}
	set_column(slot, LLAMA2_JOB_PROMPT, PointerGetDatum(spec->prompt));
	if (spec->settings->system)
		set_column(slot, LLAMA2_JOB_SYSTEM, PointerGetDatum(spec->settings->system));
	set_column(slot, LLAMA2_JOB_MODEL, CStringGetTextDatum(model));
	set_column(slot, LLAMA2_JOB_CHAT, BoolGetDatum(spec->settings->chat));
	set_column(slot, LLAMA2_JOB_OPTIONS, JsonbPGetDatum(spec->options));
	set_column(slot, LLAMA2_JOB_ATTEMPTS, Int32GetDatum(0));
	set_column(slot, LLAMA2_JOB_QUEUED_AT, TimestampTzGetDatum(now));
	set_column(slot, LLAMA2_JOB_RUN_AFTER, TimestampTzGetDatum(now));
	ExecStoreVirtualTuple(slot);
	Llama2JobWriterInsert(&writer);
	Llama2JobWriterEnd(&writer);
	note_wake();
	return id;
}

static void
set_column(TupleTableSlot *slot, Llama2JobColumn column, Datum value)
{
	slot->tts_values[column] = value;
	slot->tts_isnull[column] = false;
}

static void
note_wake(void)
{
	if (!callback_registered)
	{
		RegisterXactCallback(wake_at_commit, NULL);
		callback_registered = true;
	}
	wake = true;
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

/* The common arguments that begin at first, over those in options, as options. */
static Jsonb *
arguments_as_options(FunctionCallInfo fcinfo, int first)
{
	StringInfoData json;
	Jsonb	   *options;
	Jsonb	   *named;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	for (int i = LLAMA2_ARG_MAX_TOKENS; i <= LLAMA2_ARG_STOP; i++)
	{
		int			argument = first + i;

		if (PG_ARGISNULL(argument))
			continue;
		appendStringInfo(&json, "%s\"%s\": ", json.len > 1 ? ", " : "", Llama2ArgumentNames[i]);
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
	named = Llama2OptionsByName(PG_GETARG_JSONB_P(first + LLAMA2_ARG_OPTIONS));
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(named), JsonbPGetDatum(options)));
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
