/*
 * classify.c
 *		llama2_classify, llama2_classify_scores, llama2_is_true, llama2_choice and llama2_score: answers by scoring
 *		candidates, without generating.
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

#include "server/options.h"
#include "server/score.h"
#include "server/text_output.h"
#include "shared/compat.h"

PG_FUNCTION_INFO_V1(llama2_classify);
PG_FUNCTION_INFO_V1(llama2_classify_scores);
PG_FUNCTION_INFO_V1(llama2_is_true);
PG_FUNCTION_INFO_V1(llama2_choice);
PG_FUNCTION_INFO_V1(llama2_score);

#define LABELS_PLACE "{labels}"
#define CLASSIFY_INSTRUCTION "Classify this text as " LABELS_PLACE "."
#define IS_TRUE_INSTRUCTION "Is this true? Answer yes or no."

typedef struct Candidate
{
	text	   *label;
	Llama2Prompt prompt;		/* and the candidate behind it */
	int32		score_from;
	Llama2Request *request;
	double		logprob;
	double		score;
} Candidate;

typedef struct Candidates
{
	const Llama2Model *model;
	int			n;
	Candidate  *items;
} Candidates;

static Candidates classify(FunctionCallInfo fcinfo);
static Candidates read_candidates(const Llama2Model *model, ArrayType *array, const char *name);
static text *put_labels(text *instruction, const Candidates *candidates);
static char *list_labels(const Candidates *candidates);
static text *join_lines(text *instruction, text *value);
static void ask_in_chat(Candidates *candidates, text *message, text *system);
static void complete_prompt(Candidates *candidates, text *prompt);
static text *with_space(text *prompt, text *choice);
static text *without_space(text *prompt);
static void score_candidates(Candidates *candidates);
static double take_logprob(Llama2Request *request);
static const Candidate *best_candidate(const Candidates *candidates);

Datum
llama2_classify(PG_FUNCTION_ARGS)
{
	Candidates	candidates;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	candidates = classify(fcinfo);
	PG_RETURN_TEXT_P(best_candidate(&candidates)->label);
}

/* A row for each label, with its share of the probability of all: softmax of the scores. */
Datum
llama2_classify_scores(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Candidates	candidates;
	double		best;
	double		total = 0;

	Llama2RequirePreload();
	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	candidates = classify(fcinfo);
	best = best_candidate(&candidates)->score;
	for (int i = 0; i < candidates.n; i++)
		total += exp(candidates.items[i].score - best);
	for (int i = 0; i < candidates.n; i++)
	{
		Datum		values[2];
		bool		nulls[2] = {0};

		values[0] = PointerGetDatum(candidates.items[i].label);
		values[1] = Float8GetDatum(exp(candidates.items[i].score - best) / total);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	PG_RETURN_NULL();
}

/* Whether "Yes" is likelier than "No". */
Datum
llama2_is_true(PG_FUNCTION_ARGS)
{
	Candidate	items[2] = {{.label = cstring_to_text("Yes")}, {.label = cstring_to_text("No")}};
	Candidates	candidates = {.n = 2, .items = items};
	text	   *instruction;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	Llama2RequirePreload();
	candidates.model = Llama2UseModel(Llama2StringArgument(fcinfo, 2));
	instruction = PG_ARGISNULL(1) ? cstring_to_text(IS_TRUE_INSTRUCTION) : PG_GETARG_TEXT_PP(1);
	ask_in_chat(&candidates, join_lines(instruction, PG_GETARG_TEXT_PP(0)), NULL);
	score_candidates(&candidates);
	PG_RETURN_BOOL(best_candidate(&candidates) == &items[0]);
}

Datum
llama2_choice(PG_FUNCTION_ARGS)
{
	Candidates	candidates;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	Llama2RequirePreload();
	candidates = read_candidates(Llama2UseModel(Llama2StringArgument(fcinfo, 3)), PG_GETARG_ARRAYTYPE_P(1), "choices");
	if (PG_ARGISNULL(2))
		complete_prompt(&candidates, PG_GETARG_TEXT_PP(0));
	else
		ask_in_chat(&candidates, PG_GETARG_TEXT_PP(0), PG_GETARG_TEXT_PP(2));
	score_candidates(&candidates);
	PG_RETURN_TEXT_P(best_candidate(&candidates)->label);
}

/* The sum of llama2_logprobs; NULL for a completion without a token. */
Datum
llama2_score(PG_FUNCTION_ARGS)
{
	const Llama2Model *model;
	Llama2Prompt prompt;
	int32		score_from;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	Llama2RequirePreload();
	model = Llama2UseModel(Llama2StringArgument(fcinfo, 2));
	prompt = Llama2JoinTexts(model, PG_GETARG_TEXT_PP(0), PG_GETARG_TEXT_PP(1), &score_from);
	if (score_from >= prompt.n_ids)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(take_logprob(Llama2SubmitScore(model, prompt, score_from, false)));
}

/* The scored labels of a call with the arguments text, labels, instruction, model. */
static Candidates
classify(FunctionCallInfo fcinfo)
{
	Candidates	candidates;
	text	   *instruction;

	Llama2RequirePreload();
	candidates = read_candidates(Llama2UseModel(Llama2StringArgument(fcinfo, 3)), PG_GETARG_ARRAYTYPE_P(1), "labels");
	instruction = PG_ARGISNULL(2) ? cstring_to_text(CLASSIFY_INSTRUCTION) : PG_GETARG_TEXT_PP(2);
	ask_in_chat(&candidates, join_lines(put_labels(instruction, &candidates), PG_GETARG_TEXT_PP(0)), NULL);
	score_candidates(&candidates);
	return candidates;
}

static Candidates
read_candidates(const Llama2Model *model, ArrayType *array, const char *name)
{
	Candidates	candidates = {.model = model};
	Datum	   *labels;
	bool	   *nulls;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &labels, &nulls, &candidates.n);
	if (candidates.n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be empty", name)));
	candidates.items = palloc0(sizeof(Candidate) * candidates.n);
	for (int i = 0; i < candidates.n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("element %d of %s is null", i + 1, name)));
		candidates.items[i].label = DatumGetTextPP(labels[i]);
		if (VARSIZE_ANY_EXHDR(candidates.items[i].label) == 0)
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
		appendStringInfoString(&list, text_to_cstring(candidates->items[i].label));
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
ask_in_chat(Candidates *candidates, text *message, text *system)
{
	Llama2Prompt prefix = Llama2PromptFromMessage(candidates->model, message, system);

	for (int i = 0; i < candidates->n; i++)
	{
		Candidate  *candidate = &candidates->items[i];
		size_t		length;
		const char *utf8 = Llama2Utf8FromText(candidate->label, &length);
		Llama2Prompt answer;

		Llama2CheckTextLength(candidates->model, length);
		answer = Llama2Tokenize(candidates->model, utf8, length, false, NULL);
		candidate->prompt.n_ids = prefix.n_ids + answer.n_ids;
		candidate->prompt.ids = palloc(mul_size(sizeof(int32), candidate->prompt.n_ids));
		memcpy(candidate->prompt.ids, prefix.ids, sizeof(int32) * prefix.n_ids);
		memcpy(candidate->prompt.ids + prefix.n_ids, answer.ids, sizeof(int32) * answer.n_ids);
		candidate->score_from = prefix.n_ids;
	}
}

/* Each candidate as what follows a prompt. */
static void
complete_prompt(Candidates *candidates, text *prompt)
{
	for (int i = 0; i < candidates->n; i++)
	{
		Candidate  *candidate = &candidates->items[i];

		candidate->prompt = Llama2JoinTexts(candidates->model, without_space(prompt), with_space(prompt, candidate->label),
											&candidate->score_from);
		if (candidate->score_from >= candidate->prompt.n_ids)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("choice \"%s\" has no token of its own after the prompt", text_to_cstring(candidate->label))));
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

/* As many at once as there are slots; the oldest is waited for where there are not. */
static void
score_candidates(Candidates *candidates)
{
	int			n_submitted = 0;
	bool		same_length = true;

	for (int i = 0; i < candidates->n; i++)
	{
		Candidate  *candidate = &candidates->items[i];

		while (n_submitted < candidates->n)
		{
			Candidate  *next = &candidates->items[n_submitted];

			next->request = Llama2SubmitScore(candidates->model, next->prompt, next->score_from, n_submitted > i);
			if (next->request == NULL)
				break;
			n_submitted++;
		}
		candidate->logprob = take_logprob(candidate->request);
		same_length = same_length && candidate->prompt.n_ids - candidate->score_from ==
			candidates->items[0].prompt.n_ids - candidates->items[0].score_from;
	}
	for (int i = 0; i < candidates->n; i++)
	{
		Candidate  *candidate = &candidates->items[i];

		candidate->score = same_length ? candidate->logprob :
			candidate->logprob / (candidate->prompt.n_ids - candidate->score_from);
	}
}

/* Wait for a request's results, add them up in order, and release it. */
static double
take_logprob(Llama2Request *request)
{
	int32		n_results = Llama2RequestFinish(request);
	const LlmTokenResult *results = Llama2RequestResults(request);
	double		sum = 0;

	for (int32 i = 0; i < n_results; i++)
		sum += results[i].logprob;
	Llama2RequestRelease(request);
	return sum;
}

static const Candidate *
best_candidate(const Candidates *candidates)
{
	const Candidate *best = &candidates->items[0];

	for (int i = 1; i < candidates->n; i++)
		if (candidates->items[i].score > best->score)
			best = &candidates->items[i];
	return best;
}
