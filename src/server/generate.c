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

#include "server/answer.h"
#include "server/call.h"
#include "server/text_output.h"

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

/*
 * All prompts of the array at once, as far as there are slots; the oldest is
 * waited for where there are not.  With one seed for all, each is generated as it would be alone.
 */
Datum
llama2_generate_array(PG_FUNCTION_ARGS)
{
	Llama2Call	call;
	ArrayType  *array;
	Datum	   *prompts;
	bool	   *nulls;
	int			n_prompts;
	Llama2Request **requests;
	Datum	   *answers;
	int			n_submitted = 0;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	Llama2BeginCall(fcinfo, &call);
	array = PG_GETARG_ARRAYTYPE_P(0);
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &prompts, &nulls, &n_prompts);
	requests = palloc0(sizeof(Llama2Request *) * Max(n_prompts, 1));
	answers = palloc0(sizeof(Datum) * Max(n_prompts, 1));

	for (int i = 0; i < n_prompts; i++)
	{
		for (; n_submitted < n_prompts; n_submitted++)
		{
			Llama2Prompt prompt;

			if (nulls[n_submitted])
				continue;
			prompt = Llama2CallPrompt(&call, DatumGetTextPP(prompts[n_submitted]));
			requests[n_submitted] = Llama2SubmitCall(&call, prompt, false, n_submitted > i);
			pfree(prompt.ids);
			if (requests[n_submitted] == NULL)
				break;
		}
		if (requests[i])
			answers[i] = PointerGetDatum(Llama2AnswerText(call.model, requests[i]));
	}
	if (n_prompts == 0)
		PG_RETURN_ARRAYTYPE_P(construct_empty_array(TEXTOID));
	PG_RETURN_ARRAYTYPE_P(construct_md_array(answers, nulls, ARR_NDIM(array), ARR_DIMS(array), ARR_LBOUND(array),
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

text *
Llama2AnswerText(const Llama2Model *model, Llama2Request *request)
{
	int32		n_results = Llama2RequestFinish(request);
	const LlmTokenResult *results = Llama2RequestResults(request);
	Llama2TextOutput output;
	text	   *answer;

	Llama2TextBegin(&output, model->vocabulary, true);
	for (int32 i = 0; i < n_results; i++)
		Llama2TextAddToken(&output, results[i].token);
	answer = Llama2TextRelease(&output, Llama2RequestSlotOf(request)->text_bytes, true);
	Llama2RequestRelease(request);
	return answer;
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
		case LLM_FINISH_INCOMPLETE:
		case LLM_FINISH_FAILED:
		case LLM_FINISH_NONE:
			break;
	}
	return "none";
}
