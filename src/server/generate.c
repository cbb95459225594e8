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

#include "server/options.h"
#include "server/prompt.h"
#include "server/request.h"
#include "server/text_output.h"

PG_FUNCTION_INFO_V1(llama2_generate);
PG_FUNCTION_INFO_V1(llama2_generate_array);
PG_FUNCTION_INFO_V1(llama2_chat);
PG_FUNCTION_INFO_V1(llama2_chat_messages);
PG_FUNCTION_INFO_V1(llama2_complete);

static Llama2Prompt build_prompt(const Llama2Model *model, const Llama2Options *options, text *prompt);
static text *generate_text(const Llama2Model *model, const Llama2Options *options, Llama2Prompt prompt);
static text *answer_text(const Llama2Model *model, Llama2Request *request);
static const char *finish_reason_name(LlmFinishReason reason);

Datum
llama2_generate(PG_FUNCTION_ARGS)
{
	Llama2Options options;
	const Llama2Model *model;

	Llama2RequirePreload();
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	Llama2ReadOptions(fcinfo, 1, &options);
	model = Llama2UseModel(options.model);
	PG_RETURN_TEXT_P(generate_text(model, &options,
								   build_prompt(model, &options, PG_GETARG_TEXT_PP(0))));
}

/*
 * All prompts of the array at once, as far as there are slots; the oldest is
 * waited for where there are not.  With one seed for all, each is generated as it would be alone.
 */
Datum
llama2_generate_array(PG_FUNCTION_ARGS)
{
	Llama2Options options;
	const Llama2Model *model;
	ArrayType  *array;
	Datum	   *prompts;
	bool	   *nulls;
	int			n_prompts;
	Llama2Request **requests;
	Datum	   *answers;
	int			n_submitted = 0;
	int			dims[1];
	int			lower_bounds[1] = {1};

	Llama2RequirePreload();
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	Llama2ReadOptions(fcinfo, 1, &options);
	model = Llama2UseModel(options.model);
	array = PG_GETARG_ARRAYTYPE_P(0);
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &prompts, &nulls, &n_prompts);
	requests = palloc0(sizeof(Llama2Request *) * Max(n_prompts, 1));
	answers = palloc0(sizeof(Datum) * Max(n_prompts, 1));

	for (int i = 0; i < n_prompts; i++)
	{
		for (; n_submitted < n_prompts; n_submitted++)
		{
			Llama2RequestSpec spec;
			Llama2Prompt prompt;

			if (nulls[n_submitted])
				continue;
			prompt = build_prompt(model, &options, DatumGetTextPP(prompts[n_submitted]));
			Llama2FillGenerate(&spec, model, &options, prompt.ids, prompt.n_ids);
			requests[n_submitted] = Llama2RequestSubmit(&spec, n_submitted > i);
			pfree(prompt.ids);
			if (requests[n_submitted] == NULL)
				break;
		}
		if (requests[i])
			answers[i] = PointerGetDatum(answer_text(model, requests[i]));
	}
	dims[0] = n_prompts;
	if (n_prompts == 0)
		PG_RETURN_ARRAYTYPE_P(construct_empty_array(TEXTOID));
	PG_RETURN_ARRAYTYPE_P(construct_md_array(answers, nulls, 1, dims, lower_bounds,
											 TEXTOID, -1, false, TYPALIGN_INT));
}

Datum
llama2_chat(PG_FUNCTION_ARGS)
{
	Llama2Options options;
	const Llama2Model *model;

	Llama2RequirePreload();
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	Llama2ReadOptions(fcinfo, 1, &options);
	model = Llama2UseModel(options.model);
	PG_RETURN_TEXT_P(generate_text(model, &options,
								   Llama2PromptFromMessage(model, PG_GETARG_TEXT_PP(0), options.system)));
}

Datum
llama2_chat_messages(PG_FUNCTION_ARGS)
{
	Llama2Options options;
	const Llama2Model *model;

	Llama2RequirePreload();
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	Llama2ReadOptions(fcinfo, 1, &options);
	model = Llama2UseModel(options.model);
	PG_RETURN_TEXT_P(generate_text(model, &options,
								   Llama2PromptFromMessages(model, PG_GETARG_JSONB_P(0), options.system)));
}

Datum
llama2_complete(PG_FUNCTION_ARGS)
{
	Llama2Options options;
	const Llama2Model *model;
	Llama2RequestSpec spec;
	Llama2Prompt prompt;
	Llama2Request *request;
	const Llama2RequestSlot *slot;
	TupleDesc	row_type;
	Datum		values[10];
	bool		nulls[10] = {0};
	text	   *answer;

	Llama2RequirePreload();
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	if (get_call_result_type(fcinfo, NULL, &row_type) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	Llama2ReadOptions(fcinfo, 1, &options);
	model = Llama2UseModel(options.model);
	prompt = build_prompt(model, &options, PG_GETARG_TEXT_PP(0));
	Llama2FillGenerate(&spec, model, &options, prompt.ids, prompt.n_ids);
	request = Llama2RequestSubmit(&spec, false);

	slot = Llama2RequestSlotOf(request);
	values[6] = Int32GetDatum(Llama2RequestFinish(request));
	values[1] = CStringGetTextDatum(finish_reason_name(slot->finish));
	values[2] = CStringGetTextDatum(model->name);
	values[3] = Int64GetDatum(options.seed);
	values[4] = Int32GetDatum(prompt.n_ids);
	values[5] = Int32GetDatum(slot->n_cached);
	values[7] = Float8GetDatum(slot->queue_ms);
	values[8] = Float8GetDatum(slot->prefill_ms);
	values[9] = Float8GetDatum(slot->decode_ms);
	answer = answer_text(model, request);
	values[0] = PointerGetDatum(answer);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row_type), values, nulls)));
}

/* A prompt as it stands, or, with a system message, one turn of the chat template. */
static Llama2Prompt
build_prompt(const Llama2Model *model, const Llama2Options *options, text *prompt)
{
	if (options->system)
		return Llama2PromptFromMessage(model, prompt, options->system);
	return Llama2PromptFromText(model, prompt);
}

static text *
generate_text(const Llama2Model *model, const Llama2Options *options, Llama2Prompt prompt)
{
	Llama2RequestSpec spec;

	Llama2FillGenerate(&spec, model, options, prompt.ids, prompt.n_ids);
	return answer_text(model, Llama2RequestSubmit(&spec, false));
}

/* Wait for a request's text, and release the request. */
static text *
answer_text(const Llama2Model *model, Llama2Request *request)
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
		case LLM_FINISH_NONE:
			break;
	}
	return "none";
}
