/*
 * summarize.c
 *		llama2_summarize and llama2_summarize_agg: summaries of texts of any length.
 *
 * A text that fits the context is summarized as it is.  Of a longer one the parts are, all in one
 * batch; then their summaries together are the text, until it fits max_tokens.  A summary
 * of a part has at most a quarter of a part's tokens, and parts are half full at least, so that every
 * level is shorter than the one before.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "server/batch_function.h"
#include "server/generate_batch.h"
#include "server/split_text.h"
#include "server/summarize.h"
#include "shared/compat.h"

PG_FUNCTION_INFO_V1(llama2_summarize);
PG_FUNCTION_INFO_V1(llama2_summarize_add);
PG_FUNCTION_INFO_V1(llama2_summarize_final);
PG_FUNCTION_INFO_V1(llama2_texts_final);
PG_FUNCTION_INFO_V1(llama2_summarize_texts);

#define INSTRUCTION "Summarize: "
/* Room that a part must have at least. */
#define SMALLEST_PART 32

/* What the aggregate has seen. */
typedef struct Rows
{
	List	   *texts;
} Rows;

/* A summary on its way. */
typedef struct Summary
{
	List	   *parts;			/* char *, of the level that is asked */
	int			room;			/* tokens that a part can have */
	int			max_tokens;		/* of the whole */
	char	   *whole;			/* once the last level is done */
} Summary;

static void prepare_texts(Llama2Work *work, List *texts);
static void begin_summary(Llama2Work *work, List *parts, int room);
static bool begin_level(Llama2Work *work, List *parts);
static bool next_level(Llama2Work *work);
static int	room_for_part(const Llama2Call *call);

Datum
llama2_summarize(PG_FUNCTION_ARGS)
{
	return Llama2CallAlone(fcinfo, Llama2PrepareSummarize, Llama2AnswerSummary);
}

bool
Llama2PrepareSummarize(FunctionCallInfo fcinfo, Llama2Work *work)
{
	int			part_argument = 1 + LLAMA2_ARG_OPTIONS + 1;
	int			room;
	int			part_tokens;
	char	   *source;

	if (PG_ARGISNULL(0))
		return false;
	Llama2BeginCall(fcinfo, &work->call);
	room = room_for_part(&work->call);
	part_tokens = PG_ARGISNULL(part_argument) ? room : PG_GETARG_INT32(part_argument);
	if (part_tokens < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("part_tokens %d is out of range", part_tokens),
				 errdetail("It must be at least 1.")));
	source = text_to_cstring(PG_GETARG_TEXT_PP(0));
	begin_summary(work, Llama2SplitText(work->call.model, source, Min(Max(part_tokens, SMALLEST_PART), room)), room);
	return true;
}

Datum
Llama2AnswerSummary(FunctionCallInfo fcinfo, Llama2Work *work)
{
	const Summary *summary = work->state;

	for (int i = 0; i < work->n_questions; i++)
	{
		if (!Llama2IsAnswered(work, i))
			PG_RETURN_NULL();
	}
	PG_RETURN_TEXT_P(cstring_to_text(summary->whole));
}

text *
Llama2SummarizeText(const Llama2Settings *settings, const char *source)
{
	LOCAL_FCINFO(fcinfo, 0);
	Llama2Work	work = {0};
	int			room;

	InitFunctionCallInfoData(*fcinfo, NULL, 0, InvalidOid, NULL, NULL);
	Llama2BeginCallWith(settings, &work.call);
	room = room_for_part(&work.call);
	begin_summary(&work, Llama2SplitText(work.call.model, source, room), room);
	return DatumGetTextPP(Llama2WorkAnswer(fcinfo, &work, NULL, Llama2AnswerSummary));
}

/* Transition function: keeps the texts, in the order in which they come. */
Datum
llama2_summarize_add(PG_FUNCTION_ARGS)
{
	MemoryContext aggregate;
	MemoryContext old;
	Rows	   *rows;

	if (!AggCheckCallContext(fcinfo, &aggregate))
		elog(ERROR, "llama2_summarize_add was not called by an aggregate");
	rows = PG_ARGISNULL(0) ? NULL : (Rows *) PG_GETARG_POINTER(0);
	if (PG_ARGISNULL(1))
	{
		if (rows == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(rows);
	}
	old = MemoryContextSwitchTo(aggregate);
	if (rows == NULL)
		rows = palloc0(sizeof(Rows));
	rows->texts = lappend(rows->texts, text_to_cstring(PG_GETARG_TEXT_PP(1)));
	MemoryContextSwitchTo(old);
	PG_RETURN_POINTER(rows);
}

Datum
llama2_summarize_final(PG_FUNCTION_ARGS)
{
	Rows	   *rows = PG_ARGISNULL(0) ? NULL : (Rows *) PG_GETARG_POINTER(0);
	Llama2Work	work = {0};

	if (rows == NULL)
		PG_RETURN_NULL();
	prepare_texts(&work, rows->texts);
	return Llama2WorkAnswer(fcinfo, &work, NULL, Llama2AnswerSummary);
}

/* The same aggregate's other half alone: its texts. */
Datum
llama2_texts_final(PG_FUNCTION_ARGS)
{
	Rows	   *rows = PG_ARGISNULL(0) ? NULL : (Rows *) PG_GETARG_POINTER(0);
	Datum	   *texts;
	ListCell   *cell;

	if (rows == NULL)
		PG_RETURN_NULL();
	texts = palloc(sizeof(Datum) * list_length(rows->texts));
	foreach(cell, rows->texts)
		texts[foreach_current_index(cell)] = CStringGetTextDatum(lfirst(cell));
	PG_RETURN_ARRAYTYPE_P(construct_array(texts, list_length(rows->texts), TEXTOID, -1, false, TYPALIGN_INT));
}

/* And of an array of texts what the aggregate makes of them. */
Datum
llama2_summarize_texts(PG_FUNCTION_ARGS)
{
	return Llama2CallAlone(fcinfo, Llama2PrepareSummarizeTexts, Llama2AnswerSummary);
}

bool
Llama2PrepareSummarizeTexts(FunctionCallInfo fcinfo, Llama2Work *work)
{
	List	   *texts = NIL;
	ArrayIterator iterator;
	Datum		value;
	bool		is_null;

	if (PG_ARGISNULL(0))
		return false;
	iterator = array_create_iterator(PG_GETARG_ARRAYTYPE_P(0), 0, NULL);
	while (array_iterate(iterator, &value, &is_null))
	{
		if (!is_null)
			texts = lappend(texts, TextDatumGetCString(value));
	}
	if (texts == NIL)
		return false;
	prepare_texts(work, texts);
	return true;
}

/* Every text is a part of its own, or more where it is too long. */
static void
prepare_texts(Llama2Work *work, List *texts)
{
	List	   *parts = NIL;
	ListCell   *cell;
	int			room;

	Llama2BeginCallWith(Llama2ReadSettings(NULL, 0), &work->call);
	room = room_for_part(&work->call);
	foreach(cell, texts)
		parts = list_concat(parts, Llama2SplitText(work->call.model, lfirst(cell), room));
	begin_summary(work, parts, room);
}

static void
begin_summary(Llama2Work *work, List *parts, int room)
{
	Summary    *summary = palloc(sizeof(Summary));

	work->kind = LLM_GENERATE;
	work->state = summary;
	work->next = next_level;
	summary->room = room;
	summary->max_tokens = work->call.options.max_tokens;
	summary->whole = "";
	(void) begin_level(work, parts);
}

/* All parts of a level are one batch; false where there are none. */
static bool
begin_level(Llama2Work *work, List *parts)
{
	Summary    *summary = work->state;
	int			n = list_length(parts);

	summary->parts = parts;
	work->call.options.max_tokens = n == 1 ? summary->max_tokens :
		Max(Min(summary->max_tokens, summary->room / 4), 1);
	Llama2WorkAllocate(work, n);
	for (int i = 0; i < n; i++)
	{
		text	   *prompt = cstring_to_text(psprintf("%s%s", INSTRUCTION, (char *) list_nth(parts, i)));

		Llama2Ask(work, i, LLAMA2_PROMPT_MESSAGE, PointerGetDatum(prompt));
	}
	return n > 0;
}

static bool
next_level(Llama2Work *work)
{
	const Llama2Model *model = work->call.model;
	Summary    *summary = work->state;
	List	   *summaries = NIL;
	List	   *all;

	for (int i = 0; i < work->n_questions; i++)
	{
		char	   *answer = text_to_cstring(Llama2DoneText(model, work->questions[i].request));

		if (*answer)
			summaries = lappend(summaries, answer);
	}
	all = Llama2PackTexts(model, summaries, "\n", PG_INT32_MAX / 2);
	if (all != NIL)
		summary->whole = linitial(all);
	if (list_length(summary->parts) <= 1 ||
		Llama2CountTokens(model, summary->whole, strlen(summary->whole), summary->max_tokens) <= summary->max_tokens)
		return false;
	return begin_level(work, Llama2PackTexts(model, summaries, "\n", summary->room));
}

/* Tokens that a part can have beside the answer and all that is around it. */
static int
room_for_part(const Llama2Call *call)
{
	Llama2Prompt prompt = Llama2PromptFromMessage(call->model, cstring_to_text(INSTRUCTION), call->options.system);
	int			room = Llama2ContextLength(call) - prompt.n_ids - call->options.max_tokens - 2;

	if (room < SMALLEST_PART)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("max_tokens %d leaves no room for a text in the context of %d tokens of model \"%s\"",
						call->options.max_tokens, Llama2ContextLength(call), call->model->name)));
	return room;
}
