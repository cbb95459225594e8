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

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "server/generate_batch.h"
#include "server/split_text.h"
#include "shared/compat.h"

PG_FUNCTION_INFO_V1(llama2_summarize);
PG_FUNCTION_INFO_V1(llama2_summarize_add);
PG_FUNCTION_INFO_V1(llama2_summarize_final);

#define INSTRUCTION "Summarize: "
/* Room that a part must have at least. */
#define SMALLEST_PART 32

/* What the aggregate has seen. */
typedef struct Rows
{
	List	   *texts;
} Rows;

static text *summarize(Llama2Call *call, List *parts, int room);
static int	room_for_part(const Llama2Call *call);
static List *summarize_level(Llama2Call *call, List *parts);

Datum
llama2_summarize(PG_FUNCTION_ARGS)
{
	int			part_argument = 1 + LLAMA2_ARG_OPTIONS + 1;
	Llama2Call	call;
	int			room;
	int			part_tokens;
	char	   *source;
	List	   *parts;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	Llama2BeginCall(fcinfo, &call);
	room = room_for_part(&call);
	part_tokens = PG_ARGISNULL(part_argument) ? room : PG_GETARG_INT32(part_argument);
	if (part_tokens < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("part_tokens %d is out of range", part_tokens),
				 errdetail("It must be at least 1.")));
	source = text_to_cstring(PG_GETARG_TEXT_PP(0));
	parts = Llama2SplitText(call.model, source, Min(Max(part_tokens, SMALLEST_PART), room));
	if (parts == NIL)
		PG_RETURN_TEXT_P(cstring_to_text(""));
	PG_RETURN_TEXT_P(summarize(&call, parts, room));
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

/* Every text is a part of its own, or more where it is too long. */
Datum
llama2_summarize_final(PG_FUNCTION_ARGS)
{
	Rows	   *rows = PG_ARGISNULL(0) ? NULL : (Rows *) PG_GETARG_POINTER(0);
	Llama2Call	call;
	List	   *parts = NIL;
	ListCell   *cell;
	int			room;

	if (rows == NULL)
		PG_RETURN_NULL();
	Llama2BeginCallWith(Llama2ReadSettings(NULL, 0), &call);
	room = room_for_part(&call);
	foreach(cell, rows->texts)
		parts = list_concat(parts, Llama2SplitText(call.model, lfirst(cell), room));
	if (parts == NIL)
		PG_RETURN_TEXT_P(cstring_to_text(""));
	PG_RETURN_TEXT_P(summarize(&call, parts, room));
}

static text *
summarize(Llama2Call *call, List *parts, int room)
{
	int			max_tokens = call->options.max_tokens;

	for (;;)
	{
		List	   *summaries;
		char	   *joined;
		List	   *all;

		call->options.max_tokens = list_length(parts) == 1 ? max_tokens :
			Max(Min(max_tokens, room / 4), 1);
		summaries = summarize_level(call, parts);
		all = Llama2PackTexts(call->model, summaries, "\n", PG_INT32_MAX / 2);
		joined = all == NIL ? "" : linitial(all);
		if (list_length(parts) == 1 ||
			Llama2CountTokens(call->model, joined, strlen(joined), max_tokens) <= max_tokens)
			return cstring_to_text(joined);
		parts = Llama2PackTexts(call->model, summaries, "\n", room);
	}
}

/* Tokens that a part can have beside the answer and all that is around it. */
static int
room_for_part(const Llama2Call *call)
{
	Llama2Prompt prompt = Llama2PromptFromMessage(call->model, cstring_to_text(INSTRUCTION), call->options.system);
	int			room = call->model->context_length - prompt.n_ids - call->options.max_tokens - 2;

	if (room < SMALLEST_PART)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("max_tokens %d leaves no room for a text in the context of %d tokens of model \"%s\"",
						call->options.max_tokens, call->model->context_length, call->model->name)));
	return room;
}

static List *
summarize_level(Llama2Call *call, List *parts)
{
	int			n = list_length(parts);
	text	  **prompts = palloc(sizeof(text *) * n);
	text	  **answers = palloc(sizeof(text *) * n);
	List	   *summaries = NIL;

	for (int i = 0; i < n; i++)
		prompts[i] = cstring_to_text(psprintf("%s%s", INSTRUCTION, (char *) list_nth(parts, i)));
	Llama2GenerateBatch(call, true, prompts, n, answers);
	for (int i = 0; i < n; i++)
	{
		char	   *summary = text_to_cstring(answers[i]);

		if (*summary)
			summaries = lappend(summaries, summary);
	}
	return summaries;
}
