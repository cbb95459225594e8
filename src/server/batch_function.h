/*
 * batch_function.h
 *		The functions that can be called for many rows at a time: for each its two halves (work.h).
 *
 * Whoever adds a function that waits for the worker adds its halves here and a
 * line to the table in batch_function.c; the batch scan then reads ahead for it.
 */
#ifndef LLAMA2_BATCH_FUNCTION_H
#define LLAMA2_BATCH_FUNCTION_H

#include "server/work.h"

typedef struct Llama2BatchFunction
{
	const char *symbol;			/* of the C function, as in CREATE FUNCTION */
	Llama2PrepareFunction prepare;
	Llama2AnswerFunction answer;	/* NULL: returns rows; only asked ahead */
	bool		answer_is_fallible; /* it raises errors of its own, by what the model answered */
} Llama2BatchFunction;

/* The entry of an SQL function, or NULL for any other. */
extern const Llama2BatchFunction *Llama2FindBatchFunction(Oid function);

/* Is it the C function of this name in our library? */
extern bool Llama2IsOwnFunction(Oid function, const char *symbol);

/* generate.c */
extern bool Llama2PrepareGenerate(FunctionCallInfo fcinfo, Llama2Work *work);
extern bool Llama2PrepareGenerateArray(FunctionCallInfo fcinfo, Llama2Work *work);
extern bool Llama2PrepareChat(FunctionCallInfo fcinfo, Llama2Work *work);
extern bool Llama2PrepareChatMessages(FunctionCallInfo fcinfo, Llama2Work *work);
extern Datum Llama2AnswerText(FunctionCallInfo fcinfo, Llama2Work *work);
extern Datum Llama2AnswerArray(FunctionCallInfo fcinfo, Llama2Work *work);

/* complete.c */
extern bool Llama2PrepareComplete(FunctionCallInfo fcinfo, Llama2Work *work);
extern bool Llama2PrepareCompleteN(FunctionCallInfo fcinfo, Llama2Work *work);
extern Datum Llama2AnswerDetails(FunctionCallInfo fcinfo, Llama2Work *work);

/* score.c */
extern bool Llama2PreparePerplexity(FunctionCallInfo fcinfo, Llama2Work *work);
extern bool Llama2PrepareScore(FunctionCallInfo fcinfo, Llama2Work *work);
extern Datum Llama2AnswerPerplexity(FunctionCallInfo fcinfo, Llama2Work *work);
extern Datum Llama2AnswerScore(FunctionCallInfo fcinfo, Llama2Work *work);

/* classify.c */
extern bool Llama2PrepareClassify(FunctionCallInfo fcinfo, Llama2Work *work);
extern bool Llama2PrepareChoice(FunctionCallInfo fcinfo, Llama2Work *work);
extern bool Llama2PrepareIsTrue(FunctionCallInfo fcinfo, Llama2Work *work);
extern Datum Llama2AnswerBestCandidate(FunctionCallInfo fcinfo, Llama2Work *work);
extern Datum Llama2AnswerIsTrue(FunctionCallInfo fcinfo, Llama2Work *work);

/* extract.c */
extern bool Llama2PrepareExtract(FunctionCallInfo fcinfo, Llama2Work *work);
extern bool Llama2PrepareExtractTextSchema(FunctionCallInfo fcinfo, Llama2Work *work);
extern bool Llama2PrepareExtractRow(FunctionCallInfo fcinfo, Llama2Work *work);
extern Datum Llama2AnswerJson(FunctionCallInfo fcinfo, Llama2Work *work);
extern Datum Llama2AnswerRow(FunctionCallInfo fcinfo, Llama2Work *work);

/* embed.c */
extern bool Llama2PrepareEmbed(FunctionCallInfo fcinfo, Llama2Work *work);
extern bool Llama2PrepareEmbedArray(FunctionCallInfo fcinfo, Llama2Work *work);
extern bool Llama2PrepareSimilarity(FunctionCallInfo fcinfo, Llama2Work *work);
extern Datum Llama2AnswerEmbed(FunctionCallInfo fcinfo, Llama2Work *work);
extern Datum Llama2AnswerSimilarity(FunctionCallInfo fcinfo, Llama2Work *work);

/* summarize.c */
extern bool Llama2PrepareSummarize(FunctionCallInfo fcinfo, Llama2Work *work);
extern bool Llama2PrepareSummarizeTexts(FunctionCallInfo fcinfo, Llama2Work *work);
extern Datum Llama2AnswerSummary(FunctionCallInfo fcinfo, Llama2Work *work);

#endif							/* LLAMA2_BATCH_FUNCTION_H */
