/*
 * conversation_turn.c
 *		llama2_chat and llama2_chat_stream with a conversation: its next turn.
 *
 * The conversation is locked first and the turn added last, in the caller's transaction: so turns come one
 * after the other, each sees those before it, and an error leaves nothing of its own.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "server/conversation.h"
#include "server/conversation_prompt.h"
#include "server/generate_batch.h"
#include "server/stream.h"
#include "server/work.h"
#include "shared/model_table.h"

PG_FUNCTION_INFO_V1(llama2_chat_turn);
PG_FUNCTION_INFO_V1(llama2_chat_turn_by_id);
PG_FUNCTION_INFO_V1(llama2_chat_turn_stream);
PG_FUNCTION_INFO_V1(llama2_chat_turn_by_id_stream);

/* Arguments: conversation, message, and then the common ones. */
#define ARG_CONVERSATION 0
#define ARG_MESSAGE 1
#define ARG_COMMON 2
#define N_ARGUMENTS (ARG_COMMON + LLAMA2_ARG_OPTIONS + 1)

typedef struct NextTurn
{
	Llama2Conversation conversation;
	Llama2PromptParts parts;
	Llama2Turn	turn;
} NextTurn;

static bool prepare_turn(FunctionCallInfo fcinfo, Llama2Work *work);
static bool prepare_turn_by_id(FunctionCallInfo fcinfo, Llama2Work *work);
static bool prepare(FunctionCallInfo fcinfo, bool by_id, Llama2Work *work);
static Datum answer_turn(FunctionCallInfo fcinfo, Llama2Work *work);
static Llama2Prompt begin_stream(FunctionCallInfo fcinfo, Llama2Call *call, void **state);
static Llama2Prompt begin_stream_by_id(FunctionCallInfo fcinfo, Llama2Call *call, void **state);
static Llama2Prompt begin(FunctionCallInfo fcinfo, bool by_id, Llama2Call *call, void **state);
static NextTurn *begin_turn(FunctionCallInfo fcinfo, bool by_id, const char *what, Llama2Call *call);
static void find_or_start(FunctionCallInfo fcinfo, bool by_id, Llama2Conversation *conversation);
static void check_system(const Llama2Conversation *conversation, text *system);
static void read_options(FunctionCallInfo fcinfo, const Llama2Conversation *conversation, Llama2Options *options);
static void end_turn(const Llama2Call *call, Llama2Request *request, void *state);

Datum
llama2_chat_turn(PG_FUNCTION_ARGS)
{
	return Llama2CallAlone(fcinfo, prepare_turn, answer_turn);
}

Datum
llama2_chat_turn_by_id(PG_FUNCTION_ARGS)
{
	return Llama2CallAlone(fcinfo, prepare_turn_by_id, answer_turn);
}

Datum
llama2_chat_turn_stream(PG_FUNCTION_ARGS)
{
	return Llama2StreamTokens(fcinfo, begin_stream, end_turn);
}

Datum
llama2_chat_turn_by_id_stream(PG_FUNCTION_ARGS)
{
	return Llama2StreamTokens(fcinfo, begin_stream_by_id, end_turn);
}

static bool
prepare_turn(FunctionCallInfo fcinfo, Llama2Work *work)
{
	return prepare(fcinfo, false, work);
}

static bool
prepare_turn_by_id(FunctionCallInfo fcinfo, Llama2Work *work)
{
	return prepare(fcinfo, true, work);
}

static bool
prepare(FunctionCallInfo fcinfo, bool by_id, Llama2Work *work)
{
	NextTurn   *next = begin_turn(fcinfo, by_id, "llama2_chat", &work->call);

	if (next == NULL)
		return false;
	work->kind = LLM_GENERATE;
	work->state = next;
	Llama2WorkAllocate(work, 1);
	Llama2AskMade(work, 0, Llama2PromptFromParts, &next->parts);
	return true;
}

static Datum
answer_turn(FunctionCallInfo fcinfo, Llama2Work *work)
{
	NextTurn   *next = work->state;

	if (!Llama2IsAnswered(work, 0))
		PG_RETURN_NULL();
	end_turn(&work->call, work->questions[0].request, next);
	PG_RETURN_TEXT_P(next->turn.answer);
}

static Llama2Prompt
begin_stream(FunctionCallInfo fcinfo, Llama2Call *call, void **state)
{
	return begin(fcinfo, false, call, state);
}

static Llama2Prompt
begin_stream_by_id(FunctionCallInfo fcinfo, Llama2Call *call, void **state)
{
	return begin(fcinfo, true, call, state);
}

static Llama2Prompt
begin(FunctionCallInfo fcinfo, bool by_id, Llama2Call *call, void **state)
{
	NextTurn   *next = begin_turn(fcinfo, by_id, "llama2_chat_stream", call);
	Llama2Prompt none = {0};

	*state = next;
	return next ? Llama2PromptFromParts(call, &next->parts) : none;
}

/* All of a turn that comes before its answer; NULL where an argument is. */
static NextTurn *
begin_turn(FunctionCallInfo fcinfo, bool by_id, const char *what, Llama2Call *call)
{
	NextTurn   *next;

	if (PG_ARGISNULL(ARG_CONVERSATION) || PG_ARGISNULL(ARG_MESSAGE))
		return NULL;
	Llama2RequirePreload();
	Llama2ConversationCheckWritable(what);
	next = palloc0(sizeof(NextTurn));
	next->turn.message = PG_GETARG_TEXT_P_COPY(ARG_MESSAGE);
	find_or_start(fcinfo, by_id, &next->conversation);
	read_options(fcinfo, &next->conversation, &call->options);
	check_system(&next->conversation, call->options.system);
	Llama2UseCallModel(call);
	Llama2ConversationFit(call, &next->conversation, next->turn.message, &next->parts, &next->turn.new_summary);
	return next;
}

/* A name that is new starts a conversation, which keeps the system message and the model of its first turn. */
static void
find_or_start(FunctionCallInfo fcinfo, bool by_id, Llama2Conversation *conversation)
{
	Llama2ConversationKey key = Llama2ConversationArgument(fcinfo, ARG_CONVERSATION, by_id);
	text	   *system = PG_ARGISNULL(ARG_COMMON + LLAMA2_ARG_SYSTEM) ? NULL : PG_GETARG_TEXT_PP(ARG_COMMON + LLAMA2_ARG_SYSTEM);
	int64		id;

	while (!Llama2ConversationLock(&key, conversation))
	{
		if (key.name == NULL)
			Llama2ConversationMissing(&key);
		(void) Llama2ConversationInsert(key.schema, key.name, system, Llama2StringArgument(fcinfo, ARG_COMMON + LLAMA2_ARG_MODEL),
										NULL, "drop", &id);
	}
}

static void
check_system(const Llama2Conversation *conversation, text *system)
{
	if (system == NULL ||
		(conversation->system && DatumGetBool(DirectFunctionCall2Coll(texteq, DEFAULT_COLLATION_OID, PointerGetDatum(system),
																	  PointerGetDatum(conversation->system)))))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("conversation %s has other system instructions", conversation->label),
			 errdetail("They were given when it was started, and hold for all its turns."),
			 errhint("Leave out \"system\", or start another conversation.")));
}

/* The arguments of the call, then the settings of the conversation, then the parameters. */
static void
read_options(FunctionCallInfo fcinfo, const Llama2Conversation *conversation, Llama2Options *options)
{
	LOCAL_FCINFO(merged, N_ARGUMENTS);
	NullableDatum *given = &merged->args[ARG_COMMON + LLAMA2_ARG_OPTIONS];
	NullableDatum *model = &merged->args[ARG_COMMON + LLAMA2_ARG_MODEL];
	Jsonb	   *options_here;

	memcpy(merged, fcinfo, SizeForFunctionCallInfo(N_ARGUMENTS));
	if (conversation->options)
	{
		options_here = given->isnull ? NULL : Llama2OptionsByName(DatumGetJsonbP(given->value));
		given->value = JsonbPGetDatum(Llama2OptionsByName(conversation->options));
		if (options_here)
			given->value = DirectFunctionCall2(jsonb_concat, given->value, JsonbPGetDatum(options_here));
		given->isnull = false;
	}
	if (conversation->model && model->isnull)
	{
		model->value = CStringGetTextDatum(conversation->model);
		model->isnull = false;
	}
	Llama2ReadOptions(merged, ARG_COMMON, options);
}

static void
end_turn(const Llama2Call *call, Llama2Request *request, void *state)
{
	NextTurn   *next = state;
	Llama2Turn *turn = &next->turn;
	const Llama2RequestSlot *slot;

	turn->answer = Llama2DoneText(call->model, request);
	slot = Llama2RequestSlotOf(request);
	turn->model = call->model->name;
	turn->seed = call->options.seed;
	turn->finish_reason = Llama2FinishReasonName(slot->finish);
	turn->prompt_tokens = slot->n_prompt;
	turn->cached_tokens = slot->n_cached;
	turn->completion_tokens = Llama2RequestWait(request, PG_INT32_MAX);
	Llama2ConversationAddTurn(&next->conversation, turn);
}
