/*
 * classify.c
 *		llama2_classify, llama2_classify_scores, llama2_is_true and llama2_choice: answers by scoring candidates,
 *		without generating.
 *
 * All candidates are queued at once and run as one batch; the prompt that they share is computed once, since
 * they find each other's pages in the prefix cache.  A candidate's score is the sum of its tokens'
 * log-probabilities, which are those of llama2_logprobs to the bit; where candidates differ in their number of
 * tokens, that sum divided by the number.  Of equal scores the first candidate wins.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "server/batch_function.h"
#include "server/score.h"
#include "server/text_output.h"
#include "shared/compat.h"

PG_FUNCTION_INFO_V1(llama2_classify);
PG_FUNCTION_INFO_V1(llama2_classify_scores);
PG_FUNCTION_INFO_V1(llama2_is_true);
PG_FUNCTION_INFO_V1(llama2_choice);

#define LABELS_PLACE "{labels}"
#define CLASSIFY_INSTRUCTION "Classify this text as " LABELS_PLACE "."
#define IS_TRUE_INSTRUCTION "Is this true? Answer yes or no."

typedef struct Candidates
{
	int			n;
	text	  **labels;
} Candidates;

static Candidates *read_candidates(ArrayType *array, const char *name);
static text *put_labels(text *instruction, const Candidates *candidates);
static char *list_labels(const Candidates *candidates);
static text *join_lines(text *instruction, text *value);
static void ask_in_chat(Llama2Work *work, text *message, text *system);
static void complete_prompt(Llama2Work *work, text *prompt);
static text *with_space(text *prompt, text *choice);
static text *without_space(text *prompt);
static Datum put_scores(FunctionCallInfo fcinfo, Llama2Work *work);
static double *candidate_scores(const Llama2Work *work, int *best);
static int32 n_scored(const Llama2Question *question);

Datum
llama2_classify(PG_FUNCTION_ARGS)
{
	return Llama2CallAlone(fcinfo, Llama2PrepareClassify, Llama2AnswerBestCandidate);
}

/* A row for each label, with its share of the probability of all: softmax of the scores. */
Datum
llama2_classify_scores(PG_FUNCTION_ARGS)
{
	Llama2RequirePreload();
	InitMaterializedSRF(fcinfo, 0);
	return Llama2CallAlone(fcinfo, Llama2PrepareClassify, put_scores);
}

Datum
llama2_is_true(PG_FUNCTION_ARGS)
{
	return Llama2CallAlone(fcinfo, Llama2PrepareIsTrue, Llama2AnswerIsTrue);
}

Datum
llama2_choice(PG_FUNCTION_ARGS)
{
	return Llama2CallAlone(fcinfo, Llama2PrepareChoice, Llama2AnswerBestCandidate);
}

/* Arguments: text, labels, instruction, model. */
bool
Llama2PrepareClassify(FunctionCallInfo fcinfo, Llama2Work *work)
{
	text	   *instruction;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		return false;
	Llama2BeginScores(work, Llama2StringArgument(fcinfo, 3));
	work->state = read_candidates(PG_GETARG_ARRAYTYPE_P(1), "labels");
	instruction = PG_ARGISNULL(2) ? cstring_to_text(CLASSIFY_INSTRUCTION) : PG_GETARG_TEXT_PP(2);
	ask_in_chat(work, join_lines(put_labels(instruction, work->state), PG_GETARG_TEXT_PP(0)), NULL);
	return true;
}

/* Arguments: prompt, choices, system, model. */
bool
Llama2PrepareChoice(FunctionCallInfo fcinfo, Llama2Work *work)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		return false;
	Llama2BeginScores(work, Llama2StringArgument(fcinfo, 3));
	work->state = read_candidates(PG_GETARG_ARRAYTYPE_P(1), "choices");
	if (PG_ARGISNULL(2))
		complete_prompt(work, PG_GETARG_TEXT_PP(0));
	else
		ask_in_chat(work, PG_GETARG_TEXT_PP(0), PG_GETARG_TEXT_PP(2));
	return true;
}

/* Arguments: statement, instruction, model. */
bool
Llama2PrepareIsTrue(FunctionCallInfo fcinfo, Llama2Work *work)
{
	Candidates *candidates;
	text	   *instruction;

	if (PG_ARGISNULL(0))
		return false;
	Llama2BeginScores(work, Llama2StringArgument(fcinfo, 2));
	work->state = candidates = palloc(sizeof(Candidates));
	candidates->n = 2;
	candidates->labels = palloc(sizeof(text *) * 2);
	candidates->labels[0] = cstring_to_text("Yes");
	candidates->labels[1] = cstring_to_text("No");
	instruction = PG_ARGISNULL(1) ? cstring_to_text(IS_TRUE_INSTRUCTION) : PG_GETARG_TEXT_PP(1);
	ask_in_chat(work, join_lines(instruction, PG_GETARG_TEXT_PP(0)), NULL);
	return true;
}

Datum
Llama2AnswerBestCandidate(FunctionCallInfo fcinfo, Llama2Work *work)
{
	const Candidates *candidates = work->state;
	int			best;

	pfree(candidate_scores(work, &best));
	PG_RETURN_TEXT_P(candidates->labels[best]);
}

/* Whether "Yes" is likelier than "No". */
Datum
Llama2AnswerIsTrue(FunctionCallInfo fcinfo, Llama2Work *work)
{
	int			best;

	pfree(candidate_scores(work, &best));
	PG_RETURN_BOOL(best == 0);
}

static Candidates *
read_candidates(ArrayType *array, const char *name)
{
	Candidates *candidates = palloc(sizeof(Candidates));
	Datum	   *labels;
	bool	   *nulls;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &labels, &nulls, &candidates->n);
	if (candidates->n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be empty", name)));
	candidates->labels = palloc(sizeof(text *) * candidates->n);
	for (int i = 0; i < candidates->n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("element %d of %s is null", i + 1, name)));
		candidates->labels[i] = DatumGetTextPP(labels[i]);
		if (VARSIZE_ANY_EXHDR(candidates->labels[i]) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("element %d of %s is empty", i + 1, name)));
	}
	return candidates;
}

static text *
put_labels(text *instruction, const Candidates *candidates)
{
	const char *rest = text_to_cstring(instruction);
	const char *place;
	StringInfoData result;

	initStringInfo(&result);
	while ((place = strstr(rest, LABELS_PLACE)) != NULL)
	{
		appendBinaryStringInfo(&result, rest, place - rest);
		appendStringInfoString(&result, list_labels(candidates));
		rest = place + strlen(LABELS_PLACE);
	}
	appendStringInfoString(&result, rest);
	return cstring_to_text_with_len(result.data, result.len);
}

/* "a, b or c" */
static char *
list_labels(const Candidates *candidates)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < candidates->n; i++)
	{
		if (i > 0)
			appendStringInfoString(&list, i == candidates->n - 1 ? " or " : ", ");
		appendStringInfoString(&list, text_to_cstring(candidates->labels[i]));
	}
	return list.data;
}

static text *
join_lines(text *instruction, text *value)
{
	if (VARSIZE_ANY_EXHDR(instruction) == 0)
		return value;
	return cstring_to_text(psprintf("%s\n\n%s", text_to_cstring(instruction), text_to_cstring(value)));
}

/* Each candidate as the answer to a message in the chat template. */
static void
ask_in_chat(Llama2Work *work, text *message, text *system)
{
	const Llama2Model *model = work->call.model;
	const Candidates *candidates = work->state;
	Llama2Prompt prefix = Llama2PromptFromMessage(model, message, system);

	Llama2WorkAllocate(work, candidates->n);
	for (int i = 0; i < candidates->n; i++)
	{
		size_t		length;
		const char *utf8 = Llama2Utf8FromText(candidates->labels[i], &length);
		Llama2Prompt answer;
		Llama2Prompt both;

		Llama2CheckTextLength(model, length);
		answer = Llama2Tokenize(model, utf8, length, false, NULL);
		both.n_ids = prefix.n_ids + answer.n_ids;
		both.ids = palloc(mul_size(sizeof(int32), both.n_ids));
		memcpy(both.ids, prefix.ids, sizeof(int32) * prefix.n_ids);
		memcpy(both.ids + prefix.n_ids, answer.ids, sizeof(int32) * answer.n_ids);
		Llama2AskScore(work, i, both, prefix.n_ids);
	}
}

/* Each candidate as what follows a prompt. */
static void
complete_prompt(Llama2Work *work, text *prompt)
{
	const Candidates *candidates = work->state;

	Llama2WorkAllocate(work, candidates->n);
	for (int i = 0; i < candidates->n; i++)
	{
		text	   *choice = candidates->labels[i];
		int32		score_from;
		Llama2Prompt both = Llama2JoinTexts(work->call.model, without_space(prompt), with_space(prompt, choice), &score_from);

		if (score_from >= both.n_ids)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("choice \"%s\" has no token of its own after the prompt", text_to_cstring(choice))));
		Llama2AskScore(work, i, both, score_from);
	}
}

/*
 * A generated text comes without the space that separates it from the prompt; so does a choice.  A space
 * that ends the prompt belongs to the choice's first token.
 */
static text *
with_space(text *prompt, text *choice)
{
	int			length = VARSIZE_ANY_EXHDR(prompt);
	const char *bytes = VARDATA_ANY(prompt);

	if (length == 0 || strchr("\t\r\n", bytes[length - 1]) || strchr(" \t\r\n", *VARDATA_ANY(choice)))
		return choice;
	return cstring_to_text(psprintf(" %s", text_to_cstring(choice)));
}

static text *
without_space(text *prompt)
{
	int			length = VARSIZE_ANY_EXHDR(prompt);
	const char *bytes = VARDATA_ANY(prompt);

	if (length > 0 && bytes[length - 1] == ' ')
		length--;
	return cstring_to_text_with_len(bytes, length);
}

static Datum
put_scores(FunctionCallInfo fcinfo, Llama2Work *work)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	const Candidates *candidates = work->state;
	int			best;
	double	   *scores = candidate_scores(work, &best);
	double		total = 0;

	for (int i = 0; i < candidates->n; i++)
		total += exp(scores[i] - scores[best]);
	for (int i = 0; i < candidates->n; i++)
	{
		Datum		values[2];
		bool		nulls[2] = {0};

		values[0] = PointerGetDatum(candidates->labels[i]);
		values[1] = Float8GetDatum(exp(scores[i] - scores[best]) / total);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	PG_RETURN_NULL();
}

/* The candidates' scores, and which is the best. */
static double *
candidate_scores(const Llama2Work *work, int *best)
{
	double	   *scores = palloc(sizeof(double) * work->n_questions);
	bool		same_length = true;

	for (int i = 0; i < work->n_questions; i++)
	{
		scores[i] = Llama2ScoreOf(work, i);
		same_length = same_length && n_scored(&work->questions[i]) == n_scored(&work->questions[0]);
	}
	*best = 0;
	for (int i = 0; i < work->n_questions; i++)
	{
		if (!same_length)
			scores[i] /= n_scored(&work->questions[i]);
		if (scores[i] > scores[*best])
			*best = i;
	}
	return scores;
}

static int32
n_scored(const Llama2Question *question)
{
	return question->prompt.n_ids - question->score_from;
}
