/*
 * complete.c
 *		llama2_complete and llama2_complete_n: texts with their details.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "server/alternatives.h"
#include "server/batch_function.h"
#include "server/logprobs_json.h"
#include "shared/compat.h"

PG_FUNCTION_INFO_V1(llama2_complete);
PG_FUNCTION_INFO_V1(llama2_complete_n);

#define N_DETAILS 12			/* columns of llama2_complete */

pg_noreturn static void ask_in_vain(const Llama2Options *options);
static Datum put_alternatives(FunctionCallInfo fcinfo, Llama2Work *work);
static void order_alternatives(const Llama2Work *work, int *order);
static void fill_details(const Llama2Work *work, int number, Datum *values, bool *nulls);

Datum
llama2_complete(PG_FUNCTION_ARGS)
{
	return Llama2CallAlone(fcinfo, Llama2PrepareComplete, Llama2AnswerDetails);
}

bool
Llama2PrepareComplete(FunctionCallInfo fcinfo, Llama2Work *work)
{
	if (PG_ARGISNULL(0))
		return false;
	Llama2BeginCallFor(fcinfo, 1, LLAMA2_ALLOW_BEST_OF | LLAMA2_ALLOW_ECHO | LLAMA2_ALLOW_LOGPROBS, &work->call);
	Llama2AskForOne(work, LLAMA2_PROMPT_TEXT, PG_GETARG_DATUM(0));
	return true;
}

Datum
Llama2AnswerDetails(FunctionCallInfo fcinfo, Llama2Work *work)
{
	int			best = Llama2BestAlternative(work, 0, Llama2CountAlternatives(work));
	TupleDesc	row_type;
	Datum		values[N_DETAILS];
	bool		nulls[N_DETAILS] = {0};

	if (get_call_result_type(fcinfo, NULL, &row_type) != TYPEFUNC_COMPOSITE || row_type->natts != N_DETAILS)
		elog(ERROR, "return type must be a row type of %d columns", N_DETAILS);
	if (!Llama2IsAnswered(work, best))
		PG_RETURN_NULL();
	fill_details(work, best, values, nulls);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row_type), values, nulls)));
}

/* The best n of best_of texts, the best one first, each with its number: its seed is the call's and what that exceeds 1. */
Datum
llama2_complete_n(PG_FUNCTION_ARGS)
{
	Llama2RequirePreload();
	InitMaterializedSRF(fcinfo, 0);
	return Llama2CallAlone(fcinfo, Llama2PrepareCompleteN, put_alternatives);
}

bool
Llama2PrepareCompleteN(FunctionCallInfo fcinfo, Llama2Work *work)
{
	Llama2Options *options = &work->call.options;

	if (PG_ARGISNULL(0))
		return false;
	Llama2ReadOptionsFor(fcinfo, 2, LLAMA2_ALLOW_BEST_OF | LLAMA2_ALLOW_ECHO | LLAMA2_ALLOW_LOGPROBS | LLAMA2_ALLOW_N,
						 options);
	if (!PG_ARGISNULL(1))
		Llama2SetOption("n", PG_GETARG_INT32(1), options);
	if (options->best_of > 0 && options->best_of < options->n)
		ask_in_vain(options);
	Llama2UseCallModel(&work->call);
	Llama2AskForOne(work, LLAMA2_PROMPT_TEXT, PG_GETARG_DATUM(0));
	return true;
}

static Datum
put_alternatives(FunctionCallInfo fcinfo, Llama2Work *work)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int		   *order = palloc(sizeof(int) * Llama2CountAlternatives(work));

	order_alternatives(work, order);
	for (int i = 0; i < work->call.options.n; i++)
	{
		Datum		values[1 + N_DETAILS];
		bool		nulls[1 + N_DETAILS] = {0};

		if (!Llama2IsAnswered(work, order[i]))
			continue;
		values[0] = Int32GetDatum(order[i] + 1);
		fill_details(work, order[i], values + 1, nulls + 1);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	PG_RETURN_NULL();
}

static void
ask_in_vain(const Llama2Options *options)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("best_of %d is less than n %d", options->best_of, options->n),
			 errdetail("The best n of best_of texts are given.")));
}

/* Their numbers, the best first; of equals the first: they are few. */
static void
order_alternatives(const Llama2Work *work, int *order)
{
	for (int i = 0; i < Llama2CountAlternatives(work); i++)
	{
		int			place = i;

		for (; place > 0 && Llama2IsBetterAlternative(work, i, order[place - 1]); place--)
			order[place] = order[place - 1];
		order[place] = i;
	}
}

static void
fill_details(const Llama2Work *work, int number, Datum *values, bool *nulls)
{
	const Llama2Question *question = &work->questions[number];
	const Llama2Options *options = &work->call.options;
	const Llama2RequestSlot *slot = Llama2RequestSlotOf(question->request);
	double		mean_logprob = Llama2MeanLogprob(question->request);

	values[0] = PointerGetDatum(Llama2AlternativeText(work, number, PointerGetDatum(work->state)));
	values[1] = CStringGetTextDatum(Llama2FinishReasonName(slot->finish));
	values[2] = CStringGetTextDatum(work->call.model->name);
	values[3] = Int64GetDatum((int64) ((uint64) options->seed + question->alternative));
	values[4] = Int32GetDatum(slot->n_prompt);
	values[5] = Int32GetDatum(slot->n_cached);
	values[6] = Int32GetDatum((int32) pg_atomic_read_u32((pg_atomic_uint32 *) &slot->n_results));
	values[7] = Float8GetDatum(slot->queue_ms);
	values[8] = Float8GetDatum(slot->prefill_ms);
	values[9] = Float8GetDatum(slot->decode_ms);
	values[10] = Float8GetDatum(mean_logprob);
	nulls[10] = isinf(mean_logprob);
	nulls[11] = !options->logprobs && options->top_logprobs == 0;
	if (!nulls[11])
		values[11] = JsonbPGetDatum(Llama2LogprobsJson(work->call.model->vocabulary, Llama2EchoScores(work), question->request));
}
