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

#include "server/generate_batch.h"

PG_FUNCTION_INFO_V1(llama2_generate);
PG_FUNCTION_INFO_V1(llama2_generate_array);
PG_FUNCTION_INFO_V1(llama2_chat);
PG_FUNCTION_INFO_V1(llama2_chat_messages);
PG_FUNCTION_INFO_V1(llama2_complete);

static Datum generate_text(FunctionCallInfo fcinfo, Llama2PromptKind kind);
static const char *finish_reason_name(LlmFinishReason reason);

Datum
llama2_generate(PG_FUNCTION_ARGS)
{
	return generate_text(fcinfo, LLAMA2_PROMPT_TEXT);
}

Datum
llama2_chat(PG_FUNCTION_ARGS)
{
	return generate_text(fcinfo, LLAMA2_PROMPT_MESSAGE);
}

Datum
llama2_chat_messages(PG_FUNCTION_ARGS)
{
	return generate_text(fcinfo, LLAMA2_PROMPT_MESSAGES);
}

/* All prompts of the array in one batch. */
Datum
llama2_generate_array(PG_FUNCTION_ARGS)
{
	Llama2Call	call;
	ArrayType  *array;
	Datum	   *items;
	bool	   *nulls;
	int			n_prompts;
	text	  **prompts;
	text	  **answers;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	Llama2BeginCall(fcinfo, &call);
	array = PG_GETARG_ARRAYTYPE_P(0);
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &items, &nulls, &n_prompts);
	prompts = palloc(sizeof(text *) * Max(n_prompts, 1));
	answers = palloc(sizeof(text *) * Max(n_prompts, 1));
	for (int i = 0; i < n_prompts; i++)
		prompts[i] = nulls[i] ? NULL : DatumGetTextPP(items[i]);
	Llama2GenerateBatch(&call, false, prompts, n_prompts, answers);
	for (int i = 0; i < n_prompts; i++)
		items[i] = PointerGetDatum(answers[i]);
	if (n_prompts == 0)
		PG_RETURN_ARRAYTYPE_P(construct_empty_array(TEXTOID));
	PG_RETURN_ARRAYTYPE_P(construct_md_array(items, nulls, ARR_NDIM(array), ARR_DIMS(array), ARR_LBOUND(array),
											 TEXTOID, -1, false, TYPALIGN_INT));
}

Datum
llama2_complete(PG_FUNCTION_ARGS)
{
	Llama2Call	call;
	Llama2Request *request;
	const Llama2RequestSlot *slot;
	TupleDesc	row_type;
	Datum		values[10];
	bool		nulls[10] = {0};
	text	   *answer;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	if (get_call_result_type(fcinfo, NULL, &row_type) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	Llama2BeginCallWithPrompt(fcinfo, LLAMA2_PROMPT_TEXT, &call);
	request = Llama2SubmitCall(&call, call.prompt, false, false);

	slot = Llama2RequestSlotOf(request);
	values[6] = Int32GetDatum(Llama2RequestFinish(request));
	values[1] = CStringGetTextDatum(finish_reason_name(slot->finish));
	values[2] = CStringGetTextDatum(call.model->name);
	values[3] = Int64GetDatum(call.options.seed);
	values[4] = Int32GetDatum(call.prompt.n_ids);
	values[5] = Int32GetDatum(slot->n_cached);
	values[7] = Float8GetDatum(slot->queue_ms);
	values[8] = Float8GetDatum(slot->prefill_ms);
	values[9] = Float8GetDatum(slot->decode_ms);
	answer = Llama2AnswerText(call.model, request);
	values[0] = PointerGetDatum(answer);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row_type), values, nulls)));
}

static Datum
generate_text(FunctionCallInfo fcinfo, Llama2PromptKind kind)
{
	Llama2Call	call;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	Llama2BeginCallWithPrompt(fcinfo, kind, &call);
	PG_RETURN_TEXT_P(Llama2AnswerText(call.model, Llama2SubmitCall(&call, call.prompt, false, false)));
}

static const char *
finish_reason_name(LlmFinishReason reason)
{
	switch (reason)
	{
		case LLM_FINISH_STOP:
			return "stop";
		case LLM_FINISH_LENGTH:
			return "length";
		case LLM_FINISH_CANCELLED:
			return "cancelled";
		case LLM_FINISH_NONE:
			break;
	}
	return "none";
}
