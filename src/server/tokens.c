/*
 * tokens.c
 *		llama2_tokenize, llama2_detokenize, llama2_count_tokens, llama2_chat_prompt: what needs
 *		the vocabulary alone.  No worker is asked.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "server/options.h"
#include "server/prompt.h"
#include "server/text_output.h"
#include "text/tokenize.h"

PG_FUNCTION_INFO_V1(llama2_tokenize);
PG_FUNCTION_INFO_V1(llama2_detokenize);
PG_FUNCTION_INFO_V1(llama2_count_tokens);
PG_FUNCTION_INFO_V1(llama2_chat_prompt);

static Llama2Prompt tokenize_text(const Llama2Model *model, text *value);
static ArrayType *ids_to_array(Llama2Prompt prompt);

Datum
llama2_tokenize(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	PG_RETURN_ARRAYTYPE_P(ids_to_array(tokenize_text(Llama2UseModel(Llama2StringArgument(fcinfo, 1)),
													 PG_GETARG_TEXT_PP(0))));
}

Datum
llama2_count_tokens(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	PG_RETURN_INT32(tokenize_text(Llama2UseModel(Llama2StringArgument(fcinfo, 1)),
								  PG_GETARG_TEXT_PP(0)).n_ids);
}

/* The inverse of llama2_tokenize: the space that tokenizing puts first is taken away again. */
Datum
llama2_detokenize(PG_FUNCTION_ARGS)
{
	const Llama2Model *model;
	Llama2TextOutput output;
	Datum	   *ids;
	bool	   *nulls;
	int			n_ids;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	model = Llama2UseModel(Llama2StringArgument(fcinfo, 1));
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), INT4OID, 4, true, TYPALIGN_INT, &ids, &nulls, &n_ids);
	Llama2TextBegin(&output, model->vocabulary, llm_vocabulary_adds_space_prefix(model->vocabulary));
	for (int i = 0; i < n_ids; i++)
	{
		int32		id = nulls[i] ? -1 : DatumGetInt32(ids[i]);

		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("token %d is null", i + 1)));
		if (id < 0 || id >= llm_vocabulary_count(model->vocabulary))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("token %d is not in the vocabulary of model \"%s\"", id, model->name),
					 errdetail("Its tokens are 0 to %d.", llm_vocabulary_count(model->vocabulary) - 1)));
		if (llm_vocabulary_piece(model->vocabulary, id).kind == LLM_PIECE_CONTROL)
			continue;
		Llama2TextAddToken(&output, id);
	}
	PG_RETURN_TEXT_P(Llama2TextRelease(&output, PG_UINT32_MAX, true));
}

Datum
llama2_chat_prompt(PG_FUNCTION_ARGS)
{
	const Llama2Model *model;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	model = Llama2UseModel(Llama2StringArgument(fcinfo, 1));
	PG_RETURN_ARRAYTYPE_P(ids_to_array(Llama2PromptFromMessages(model, PG_GETARG_JSONB_P(0), NULL)));
}

static Llama2Prompt
tokenize_text(const Llama2Model *model, text *value)
{
	size_t		length;
	const char *utf8 = Llama2Utf8FromText(value, &length);

	return Llama2Tokenize(model, utf8, length, false, NULL);
}

static ArrayType *
ids_to_array(Llama2Prompt prompt)
{
	Datum	   *items = MemoryContextAllocHuge(CurrentMemoryContext,
											   mul_size(sizeof(Datum), Max(prompt.n_ids, 1)));

	for (int32 i = 0; i < prompt.n_ids; i++)
		items[i] = Int32GetDatum(prompt.ids[i] & ~LLM_ANSWER_TOKEN);
	return construct_array(items, prompt.n_ids, INT4OID, 4, true, TYPALIGN_INT);
}
