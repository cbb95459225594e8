/*
 * conversation_manage.c
 *		llama2_conversation_start, llama2_conversation_forget and llama2_conversation_drop.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"

#include "server/conversation.h"
#include "server/generate_batch.h"
#include "shared/model_table.h"

PG_FUNCTION_INFO_V1(llama2_conversation_start);
PG_FUNCTION_INFO_V1(llama2_conversation_forget);
PG_FUNCTION_INFO_V1(llama2_conversation_forget_by_id);
PG_FUNCTION_INFO_V1(llama2_conversation_drop);
PG_FUNCTION_INFO_V1(llama2_conversation_drop_by_id);

static void check_settings(const Llama2Settings *settings, const char *on_full);
static Datum forget(FunctionCallInfo fcinfo, bool by_id);
static Datum drop(FunctionCallInfo fcinfo, bool by_id);

/* llama2_conversation_start(name, system, model, options, on_full) */
Datum
llama2_conversation_start(PG_FUNCTION_ARGS)
{
	Llama2Settings settings = {.chat = true};
	char	   *name = Llama2StringArgument(fcinfo, 0);
	char	   *on_full = PG_ARGISNULL(4) ? pstrdup("drop") : Llama2StringArgument(fcinfo, 4);
	int64		id;

	Llama2RequirePreload();
	Llama2ConversationCheckWritable("llama2_conversation_start");
	if (!PG_ARGISNULL(1))
		settings.system = PG_GETARG_TEXT_PP(1);
	settings.model = Llama2StringArgument(fcinfo, 2);
	settings.options = PG_ARGISNULL(3) ? NULL : PG_GETARG_JSONB_P(3);
	check_settings(&settings, on_full);
	if (!Llama2ConversationInsert(get_func_namespace(fcinfo->flinfo->fn_oid), name, settings.system, settings.model,
								  settings.options, on_full, &id))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("conversation \"%s\" already exists", name)));
	PG_RETURN_INT64(id);
}

Datum
llama2_conversation_forget(PG_FUNCTION_ARGS)
{
	return forget(fcinfo, false);
}

Datum
llama2_conversation_forget_by_id(PG_FUNCTION_ARGS)
{
	return forget(fcinfo, true);
}

Datum
llama2_conversation_drop(PG_FUNCTION_ARGS)
{
	return drop(fcinfo, false);
}

Datum
llama2_conversation_drop_by_id(PG_FUNCTION_ARGS)
{
	return drop(fcinfo, true);
}

/* What the first turn would find out. */
static void
check_settings(const Llama2Settings *settings, const char *on_full)
{
	Llama2Options options;

	if (strcmp(on_full, "drop") != 0 && strcmp(on_full, "summarize") != 0 && strcmp(on_full, "error") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unrecognized value \"%s\" of on_full", on_full),
				 errhint("It can be \"drop\", \"summarize\" or \"error\".")));
	if (settings->model && !Llama2ModelNameIsValid(settings->model))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid model name \"%s\"", settings->model)));
	if (settings->options)
		Llama2CheckSettings(settings, &options);
}

/* The summary goes with the turns that it is of. */
static Datum
forget(FunctionCallInfo fcinfo, bool by_id)
{
	Llama2ConversationKey key = Llama2ConversationArgument(fcinfo, 0, by_id);
	int32		keep = PG_GETARG_INT32(1);
	Llama2Conversation conversation;
	int32		first_turn;

	Llama2ConversationCheckWritable("llama2_conversation_forget");
	if (keep < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("keep %d is out of range", keep),
				 errdetail("It must be at least 0.")));
	if (!Llama2ConversationLock(&key, &conversation))
		Llama2ConversationMissing(&key);
	first_turn = conversation.first_turn;
	conversation.first_turn = Max(first_turn, conversation.turns + 1 - keep);
	conversation.summary = NULL;
	Llama2ConversationUpdate(&conversation);
	PG_RETURN_INT32(conversation.first_turn - first_turn);
}

static Datum
drop(FunctionCallInfo fcinfo, bool by_id)
{
	Llama2ConversationKey key = Llama2ConversationArgument(fcinfo, 0, by_id);
	Llama2Conversation conversation;

	Llama2ConversationCheckWritable("llama2_conversation_drop");
	if (!Llama2ConversationLock(&key, &conversation))
		PG_RETURN_BOOL(false);
	Llama2ConversationDelete(&conversation);
	PG_RETURN_BOOL(true);
}
