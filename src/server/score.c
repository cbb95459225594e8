/*
 * score.c
 *		llama2_logprobs and llama2_perplexity: scoring without generating.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "server/batch_function.h"
#include "server/options.h"
#include "server/score.h"
#include "server/text_output.h"
#include "shared/compat.h"

PG_FUNCTION_INFO_V1(llama2_logprobs);
PG_FUNCTION_INFO_V1(llama2_perplexity);

static void check_fits(const Llama2Model *model, Llama2Prompt prompt);

/*
 * A row for each token of the completion.  Prompt and completion are tokenized as one
 * text; the tokens that begin at or after the border are scored.
 */
Datum
llama2_logprobs(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	const Llama2Model *model;
	Llama2Prompt prompt;
	Llama2Request *request;
	Llama2TextOutput output;
	const LlmTokenResult *results;
	int32		score_from;
	int32		n_results;

	Llama2RequirePreload();
	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	model = Llama2UseModel(Llama2StringArgument(fcinfo, 2));
	prompt = Llama2JoinTexts(model, PG_GETARG_TEXT_PP(0), PG_GETARG_TEXT_PP(1), &score_from);
	if (score_from >= prompt.n_ids)
		PG_RETURN_NULL();

	request = Llama2SubmitScore(model, prompt, score_from, false);
	n_results = Llama2RequestFinish(request);
	results = Llama2RequestResults(request);
	Llama2TextBegin(&output, model->vocabulary, score_from == 1);
	for (int32 i = 0; i < n_results; i++)
	{
		Datum		values[4];
		bool		nulls[4] = {0};

		Llama2TextAddToken(&output, results[i].token);
		values[0] = Int32GetDatum(i + 1);
		values[1] = Int32GetDatum(results[i].token);
		values[2] = PointerGetDatum(Llama2TextRelease(&output, PG_UINT32_MAX, i == n_results - 1));
		values[3] = Float4GetDatum(results[i].logprob);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	Llama2RequestRelease(request);
	PG_RETURN_NULL();
}

Datum
llama2_perplexity(PG_FUNCTION_ARGS)
{
	return Llama2CallAlone(fcinfo, Llama2PreparePerplexity, Llama2AnswerPerplexity);
}

bool
Llama2PreparePerplexity(FunctionCallInfo fcinfo, Llama2Work *work)
{
	Llama2Question *question;
	const char *utf8;
	size_t		length;

	if (PG_ARGISNULL(0))
		return false;
	work->call.model = Llama2UseModel(Llama2StringArgument(fcinfo, 1));
	work->kind = LLM_SCORE;
	Llama2WorkAllocate(work, 1);
	question = &work->questions[0];
	utf8 = Llama2Utf8FromText(PG_GETARG_TEXT_PP(0), &length);
	Llama2CheckTextLength(work->call.model, length);
	question->prompt = Llama2Tokenize(work->call.model, utf8, length, true, NULL);
	question->score_from = 1;
	check_fits(work->call.model, question->prompt);
	return question->prompt.n_ids >= 2;
}

/* exp of the mean negative log-probability of a text's tokens; NULL for a text without any. */
Datum
Llama2AnswerPerplexity(FunctionCallInfo fcinfo, Llama2Work *work)
{
	Llama2Request *request = work->questions[0].request;
	int32		n_results = Llama2RequestFinish(request);
	const LlmTokenResult *results = Llama2RequestResults(request);
	double		sum = 0;

	for (int32 i = 0; i < n_results; i++)
		sum += results[i].logprob;
	PG_RETURN_FLOAT8(exp(-sum / n_results));
}

Llama2Prompt
Llama2JoinTexts(const Llama2Model *model, text *prompt, text *completion, int32 *score_from)
{
	Llama2Prompt joined;
	size_t	   *offsets;
	size_t		prompt_length;
	size_t		completion_length;
	const char *prompt_utf8 = Llama2Utf8FromText(prompt, &prompt_length);
	const char *completion_utf8 = Llama2Utf8FromText(completion, &completion_length);
	size_t		length = add_size(prompt_length, completion_length);
	char	   *utf8 = MemoryContextAllocHuge(CurrentMemoryContext, add_size(length, 1));

	Llama2CheckTextLength(model, length);
	memcpy(utf8, prompt_utf8, prompt_length);
	memcpy(utf8 + prompt_length, completion_utf8, completion_length);
	joined = Llama2Tokenize(model, utf8, length, true, &offsets);
	*score_from = 1;
	while (*score_from < joined.n_ids && offsets[*score_from] < prompt_length)
		(*score_from)++;
	return joined;
}

Llama2Request *
Llama2SubmitScore(const Llama2Model *model, Llama2Prompt prompt, int32 score_from, bool may_fail)
{
	Llama2RequestSpec spec;

	check_fits(model, prompt);
	memset(&spec, 0, sizeof(spec));
	spec.model = model;
	spec.kind = LLM_SCORE;
	spec.prompt = prompt.ids;
	spec.n_prompt = prompt.n_ids;
	spec.score_from = score_from;
	llm_sampling_defaults(&spec.sampling);
	return Llama2RequestSubmit(&spec, may_fail);
}

static void
check_fits(const Llama2Model *model, Llama2Prompt prompt)
{
	if (prompt.n_ids > model->context_length)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("text of %d tokens does not fit the context of %d tokens of model \"%s\"",
						prompt.n_ids, model->context_length, model->name),
				 errhint("Shorten the text; llama2_count_tokens() tells its length.")));
}
