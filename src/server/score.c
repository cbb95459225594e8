/*
 * score.c
 *		llama2_logprobs, llama2_perplexity and llama2_score: scoring without generating.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "server/batch_function.h"
#include "server/score.h"
#include "server/text_output.h"
#include "shared/compat.h"

PG_FUNCTION_INFO_V1(llama2_logprobs);
PG_FUNCTION_INFO_V1(llama2_perplexity);
PG_FUNCTION_INFO_V1(llama2_score);

static Datum put_tokens(FunctionCallInfo fcinfo, Llama2Work *work);

/*
 * A row for each token of the completion.  Prompt and completion are tokenized as one
 * text; the tokens that begin at or after the border are scored.
 */
Datum
llama2_logprobs(PG_FUNCTION_ARGS)
{
	Llama2RequirePreload();
	InitMaterializedSRF(fcinfo, 0);
	return Llama2CallAlone(fcinfo, Llama2PrepareScore, put_tokens);
}

Datum
llama2_perplexity(PG_FUNCTION_ARGS)
{
	return Llama2CallAlone(fcinfo, Llama2PreparePerplexity, Llama2AnswerPerplexity);
}

/* The sum of llama2_logprobs; NULL for a completion without a token. */
Datum
llama2_score(PG_FUNCTION_ARGS)
{
	return Llama2CallAlone(fcinfo, Llama2PrepareScore, Llama2AnswerScore);
}

bool
Llama2PreparePerplexity(FunctionCallInfo fcinfo, Llama2Work *work)
{
	Llama2Prompt prompt;
	const char *utf8;
	size_t		length;

	if (PG_ARGISNULL(0))
		return false;
	Llama2BeginScores(work, Llama2StringArgument(fcinfo, 1));
	Llama2WorkAllocate(work, 1);
	utf8 = Llama2Utf8FromText(PG_GETARG_TEXT_PP(0), &length);
	Llama2CheckTextLength(work->call.model, length);
	prompt = Llama2Tokenize(work->call.model, utf8, length, true, NULL);
	Llama2AskScore(work, 0, prompt, 1);
	return prompt.n_ids >= 2;
}

/* Arguments: prompt, completion, model. */
bool
Llama2PrepareScore(FunctionCallInfo fcinfo, Llama2Work *work)
{
	Llama2Prompt prompt;
	int32		score_from;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		return false;
	Llama2BeginScores(work, Llama2StringArgument(fcinfo, 2));
	Llama2WorkAllocate(work, 1);
	prompt = Llama2JoinTexts(work->call.model, PG_GETARG_TEXT_PP(0), PG_GETARG_TEXT_PP(1), &score_from);
	if (score_from >= prompt.n_ids)
		return false;
	Llama2AskScore(work, 0, prompt, score_from);
	return true;
}

/* exp of the mean negative log-probability of a text's tokens; NULL for a text without any. */
Datum
Llama2AnswerPerplexity(FunctionCallInfo fcinfo, Llama2Work *work)
{
	PG_RETURN_FLOAT8(exp(-Llama2ScoreOf(work, 0) / Llama2RequestFinish(work->questions[0].request)));
}

Datum
Llama2AnswerScore(FunctionCallInfo fcinfo, Llama2Work *work)
{
	PG_RETURN_FLOAT8(Llama2ScoreOf(work, 0));
}

void
Llama2BeginScores(Llama2Work *work, char *model)
{
	Llama2RequirePreload();
	work->kind = LLM_SCORE;
	work->call.model = Llama2UseModel(model);
}

void
Llama2AskScore(Llama2Work *work, int number, Llama2Prompt prompt, int32 score_from)
{
	const Llama2Model *model = work->call.model;

	if (prompt.n_ids > model->context_length)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("text of %d tokens does not fit the context of %d tokens of model \"%s\"",
						prompt.n_ids, model->context_length, model->name),
				 errhint("Shorten the text; llama2_count_tokens() tells its length.")));
	work->questions[number].prompt = prompt;
	work->questions[number].score_from = score_from;
}

double
Llama2ScoreOf(const Llama2Work *work, int number)
{
	Llama2Request *request = work->questions[number].request;
	int32		n_results = Llama2RequestFinish(request);
	const LlmTokenResult *results = Llama2RequestResults(request);
	double		sum = 0;

	for (int32 i = 0; i < n_results; i++)
		sum += results[i].logprob;
	return sum;
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

static Datum
put_tokens(FunctionCallInfo fcinfo, Llama2Work *work)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Llama2Request *request = work->questions[0].request;
	int32		n_results = Llama2RequestFinish(request);
	const LlmTokenResult *results = Llama2RequestResults(request);
	Llama2TextOutput output;

	Llama2TextBegin(&output, work->call.model->vocabulary, work->questions[0].score_from == 1);
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
	PG_RETURN_NULL();
}
