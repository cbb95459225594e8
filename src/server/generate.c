/*
 * generate.c
 *		llama2_generate, llama2_chat and llama2_complete: whole answers.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "server/batch_function.h"
#include "server/generate_batch.h"

PG_FUNCTION_INFO_V1(llama2_generate);
PG_FUNCTION_INFO_V1(llama2_generate_array);
PG_FUNCTION_INFO_V1(llama2_chat);
PG_FUNCTION_INFO_V1(llama2_chat_messages);
PG_FUNCTION_INFO_V1(llama2_complete);

static bool prepare_prompt(FunctionCallInfo fcinfo, Llama2PromptKind kind, Llama2Work *work);
static text *answer_text(Llama2Work *work, int number);

/* What the answers to an array of prompts are put together from. */
typedef struct ArrayShape
{
	ArrayType  *prompts;
	bool	   *nulls;
} ArrayShape;

Datum
llama2_generate(PG_FUNCTION_ARGS)
{
	return Llama2CallAlone(fcinfo, Llama2PrepareGenerate, Llama2AnswerText);
}

Datum
llama2_chat(PG_FUNCTION_ARGS)
{
	return Llama2CallAlone(fcinfo, Llama2PrepareChat, Llama2AnswerText);
}

Datum
llama2_chat_messages(PG_FUNCTION_ARGS)
{
	return Llama2CallAlone(fcinfo, Llama2PrepareChatMessages, Llama2AnswerText);
}

Datum
llama2_generate_array(PG_FUNCTION_ARGS)
{
	return Llama2CallAlone(fcinfo, Llama2PrepareGenerateArray, Llama2AnswerArray);
}

Datum
llama2_complete(PG_FUNCTION_ARGS)
{
	return Llama2CallAlone(fcinfo, Llama2PrepareGenerate, Llama2AnswerDetails);
}

bool
Llama2PrepareGenerate(FunctionCallInfo fcinfo, Llama2Work *work)
{
	return prepare_prompt(fcinfo, LLAMA2_PROMPT_TEXT, work);
}

bool
Llama2PrepareChat(FunctionCallInfo fcinfo, Llama2Work *work)
{
	return prepare_prompt(fcinfo, LLAMA2_PROMPT_MESSAGE, work);
}

bool
Llama2PrepareChatMessages(FunctionCallInfo fcinfo, Llama2Work *work)
{
	return prepare_prompt(fcinfo, LLAMA2_PROMPT_MESSAGES, work);
}

/* All prompts of the array are one batch.  With one seed for all, each is generated as it would be alone. */
bool
Llama2PrepareGenerateArray(FunctionCallInfo fcinfo, Llama2Work *work)
{
	ArrayShape *shape;
	Datum	   *prompts;
	int			n_prompts;

	if (PG_ARGISNULL(0))
		return false;
	Llama2BeginCall(fcinfo, &work->call);
	work->kind = LLM_GENERATE;
	work->state = shape = palloc(sizeof(ArrayShape));
	shape->prompts = PG_GETARG_ARRAYTYPE_P(0);
	deconstruct_array(shape->prompts, TEXTOID, -1, false, TYPALIGN_INT, &prompts, &shape->nulls, &n_prompts);
	Llama2WorkAllocate(work, n_prompts);
	for (int i = 0; i < n_prompts; i++)
	{
		if (!shape->nulls[i])
			Llama2Ask(work, i, LLAMA2_PROMPT_TEXT, prompts[i]);
	}
	pfree(prompts);
	return true;
}

Datum
Llama2AnswerText(FunctionCallInfo fcinfo, Llama2Work *work)
{
	if (!Llama2IsAnswered(work, 0))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(answer_text(work, 0));
}

Datum
Llama2AnswerArray(FunctionCallInfo fcinfo, Llama2Work *work)
{
	ArrayShape *shape = work->state;
	ArrayType  *prompts = shape->prompts;
	Datum	   *answers = palloc0(sizeof(Datum) * (Size) Max(work->n_questions, 1));

	if (work->n_questions == 0)
		PG_RETURN_ARRAYTYPE_P(construct_empty_array(TEXTOID));
	for (int i = 0; i < work->n_questions; i++)
	{
		shape->nulls[i] = !Llama2IsAnswered(work, i);
		if (!shape->nulls[i])
			answers[i] = PointerGetDatum(answer_text(work, i));
	}
	PG_RETURN_ARRAYTYPE_P(construct_md_array(answers, shape->nulls, ARR_NDIM(prompts), ARR_DIMS(prompts),
											 ARR_LBOUND(prompts), TEXTOID, -1, false, TYPALIGN_INT));
}

Datum
Llama2AnswerDetails(FunctionCallInfo fcinfo, Llama2Work *work)
{
	const Llama2RequestSlot *slot;
	TupleDesc	row_type;
	Datum		values[10];
	bool		nulls[10] = {0};

	if (get_call_result_type(fcinfo, NULL, &row_type) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (!Llama2IsAnswered(work, 0))
		PG_RETURN_NULL();
	slot = Llama2RequestSlotOf(work->questions[0].request);
	values[0] = PointerGetDatum(answer_text(work, 0));
	values[1] = CStringGetTextDatum(Llama2FinishReasonName(slot->finish));
	values[2] = CStringGetTextDatum(work->call.model->name);
	values[3] = Int64GetDatum(work->call.options.seed);
	values[4] = Int32GetDatum(slot->n_prompt);
	values[5] = Int32GetDatum(slot->n_cached);
	values[6] = Int32GetDatum((int32) pg_atomic_read_u32((pg_atomic_uint32 *) &slot->n_results));
	values[7] = Float8GetDatum(slot->queue_ms);
	values[8] = Float8GetDatum(slot->prefill_ms);
	values[9] = Float8GetDatum(slot->decode_ms);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row_type), values, nulls)));
}

static bool
prepare_prompt(FunctionCallInfo fcinfo, Llama2PromptKind kind, Llama2Work *work)
{
	if (PG_ARGISNULL(0))
		return false;
	Llama2BeginCall(fcinfo, &work->call);
	work->kind = LLM_GENERATE;
	Llama2WorkAllocate(work, 1);
	Llama2Ask(work, 0, kind, PG_GETARG_DATUM(0));
	return true;
}

static text *
answer_text(Llama2Work *work, int number)
{
	Llama2Request *request = work->questions[number].request;

	(void) Llama2RequestFinish(request);
	return Llama2DoneText(work->call.model, request);
}
