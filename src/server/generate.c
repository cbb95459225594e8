/*
 * generate.c
 *		llama2_generate and llama2_chat: whole answers.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "server/alternatives.h"
#include "server/batch_function.h"
#include "server/generate_batch.h"

PG_FUNCTION_INFO_V1(llama2_generate);
PG_FUNCTION_INFO_V1(llama2_generate_array);
PG_FUNCTION_INFO_V1(llama2_chat);
PG_FUNCTION_INFO_V1(llama2_chat_messages);

static bool prepare_prompt(FunctionCallInfo fcinfo, Llama2PromptKind kind, int allowed, Llama2Work *work);

/* What the answers to an array of prompts are put together from. */
typedef struct ArrayShape
{
	ArrayType  *array;
	int			n_prompts;
	Datum	   *prompts;
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

bool
Llama2PrepareGenerate(FunctionCallInfo fcinfo, Llama2Work *work)
{
	return prepare_prompt(fcinfo, LLAMA2_PROMPT_TEXT, LLAMA2_ALLOW_BEST_OF | LLAMA2_ALLOW_ECHO, work);
}

bool
Llama2PrepareChat(FunctionCallInfo fcinfo, Llama2Work *work)
{
	return prepare_prompt(fcinfo, LLAMA2_PROMPT_MESSAGE, LLAMA2_ALLOW_BEST_OF, work);
}

bool
Llama2PrepareChatMessages(FunctionCallInfo fcinfo, Llama2Work *work)
{
	return prepare_prompt(fcinfo, LLAMA2_PROMPT_MESSAGES, LLAMA2_ALLOW_BEST_OF, work);
}

/* All prompts of the array are one batch.  With one seed for all, each is generated as it would be alone. */
bool
Llama2PrepareGenerateArray(FunctionCallInfo fcinfo, Llama2Work *work)
{
	ArrayShape *shape;
	int			n_each;

	if (PG_ARGISNULL(0))
		return false;
	Llama2BeginCallFor(fcinfo, 1, LLAMA2_ALLOW_BEST_OF | LLAMA2_ALLOW_ECHO, &work->call);
	work->kind = LLM_GENERATE;
	n_each = Llama2CountAlternatives(work);
	work->state = shape = palloc(sizeof(ArrayShape));
	shape->array = PG_GETARG_ARRAYTYPE_P(0);
	deconstruct_array(shape->array, TEXTOID, -1, false, TYPALIGN_INT, &shape->prompts, &shape->nulls,
					  &shape->n_prompts);
	Llama2WorkAllocate(work, shape->n_prompts * n_each);
	for (int i = 0; i < shape->n_prompts; i++)
	{
		if (!shape->nulls[i])
			Llama2AskAlternatives(work, i * n_each, n_each, LLAMA2_PROMPT_TEXT, shape->prompts[i]);
	}
	return true;
}

Datum
Llama2AnswerText(FunctionCallInfo fcinfo, Llama2Work *work)
{
	int			best = Llama2BestAlternative(work, 0, work->n_questions);

	if (!Llama2IsAnswered(work, best))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(Llama2AlternativeText(work, best, PointerGetDatum(work->state)));
}

Datum
Llama2AnswerArray(FunctionCallInfo fcinfo, Llama2Work *work)
{
	ArrayShape *shape = work->state;
	ArrayType  *array = shape->array;
	Datum	   *answers = palloc0(sizeof(Datum) * (Size) Max(shape->n_prompts, 1));
	int			n_each = Llama2CountAlternatives(work);

	if (shape->n_prompts == 0)
		PG_RETURN_ARRAYTYPE_P(construct_empty_array(TEXTOID));
	for (int i = 0; i < shape->n_prompts; i++)
	{
		int			best = Llama2BestAlternative(work, i * n_each, n_each);

		shape->nulls[i] = !Llama2IsAnswered(work, best);
		if (!shape->nulls[i])
			answers[i] = PointerGetDatum(Llama2AlternativeText(work, best, shape->prompts[i]));
	}
	PG_RETURN_ARRAYTYPE_P(construct_md_array(answers, shape->nulls, ARR_NDIM(array), ARR_DIMS(array),
											 ARR_LBOUND(array), TEXTOID, -1, false, TYPALIGN_INT));
}

static bool
prepare_prompt(FunctionCallInfo fcinfo, Llama2PromptKind kind, int allowed, Llama2Work *work)
{
	if (PG_ARGISNULL(0))
		return false;
	Llama2BeginCallFor(fcinfo, 1, allowed, &work->call);
	Llama2AskForOne(work, kind, PG_GETARG_DATUM(0));
	return true;
}
