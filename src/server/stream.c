/*
 * stream.c
 *		llama2_generate_stream and llama2_chat_stream: a row for each token.
 *
 * Called in the target list these return one row for each call, and each row is sent to the
 * client before the next token is waited for.  In FROM the executor
 * collects all rows first.  A token whose text may still belong to a stop
 * string waits until that is settled; the end of text, and what stands behind
 * a stop string, are not shown.
 */
#include "postgres.h"

#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "libpq/libpq.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"

#include "server/stream.h"
#include "server/text_output.h"

PG_FUNCTION_INFO_V1(llama2_generate_stream);
PG_FUNCTION_INFO_V1(llama2_chat_stream);
PG_FUNCTION_INFO_V1(llama2_chat_messages_stream);

typedef struct TokenStream
{
	Llama2Call	call;
	void	   *state;			/* of who began it */
	Llama2Request *request;		/* NULL once released */
	ExprContext *context;		/* whose end releases the request */
	Llama2TextOutput output;
	int32		n_added;		/* tokens whose bytes went into output */
	int32		n_shown;		/* tokens given out; n_added or one less */
} TokenStream;

static Llama2Prompt begin_text(FunctionCallInfo fcinfo, Llama2Call *call, void **state);
static Llama2Prompt begin_message(FunctionCallInfo fcinfo, Llama2Call *call, void **state);
static Llama2Prompt begin_messages(FunctionCallInfo fcinfo, Llama2Call *call, void **state);
static Llama2Prompt begin_call(FunctionCallInfo fcinfo, Llama2PromptKind kind, Llama2Call *call);
static TokenStream *begin_stream(FunctionCallInfo fcinfo, Llama2StreamBegin begin);
static bool next_token(TokenStream *stream, int32 *token, float *logprob, text **piece);
static void flush_rows(void);
static void release_stream(Datum stream);

Datum
llama2_generate_stream(PG_FUNCTION_ARGS)
{
	return Llama2StreamTokens(fcinfo, begin_text, NULL);
}

Datum
llama2_chat_stream(PG_FUNCTION_ARGS)
{
	return Llama2StreamTokens(fcinfo, begin_message, NULL);
}

Datum
llama2_chat_messages_stream(PG_FUNCTION_ARGS)
{
	return Llama2StreamTokens(fcinfo, begin_messages, NULL);
}

Datum
Llama2StreamTokens(FunctionCallInfo fcinfo, Llama2StreamBegin begin, Llama2StreamEnd end)
{
	FuncCallContext *call;
	TokenStream *stream;
	int32		token;
	float		logprob;
	text	   *piece;

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext old;
		TupleDesc	row_type;

		Llama2RequirePreload();
		call = SRF_FIRSTCALL_INIT();
		old = MemoryContextSwitchTo(call->multi_call_memory_ctx);
		if (get_call_result_type(fcinfo, NULL, &row_type) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "return type must be a row type");
		call->tuple_desc = BlessTupleDesc(row_type);
		call->user_fctx = begin_stream(fcinfo, begin);
		MemoryContextSwitchTo(old);
	}
	call = SRF_PERCALL_SETUP();
	stream = call->user_fctx;
	if (stream == NULL)
		SRF_RETURN_DONE(call);

	if (next_token(stream, &token, &logprob, &piece))
	{
		Datum		values[4];
		bool		nulls[4] = {0};

		values[0] = Int32GetDatum(stream->n_shown);
		values[1] = Int32GetDatum(token);
		values[2] = PointerGetDatum(piece);
		values[3] = Float4GetDatum(logprob);
		SRF_RETURN_NEXT(call, HeapTupleGetDatum(heap_form_tuple(call->tuple_desc, values, nulls)));
	}
	if (end)
		end(&stream->call, stream->request, stream->state);
	UnregisterExprContextCallback(stream->context, release_stream, PointerGetDatum(stream));
	release_stream(PointerGetDatum(stream));
	SRF_RETURN_DONE(call);
}

static Llama2Prompt
begin_text(FunctionCallInfo fcinfo, Llama2Call *call, void **state)
{
	return begin_call(fcinfo, LLAMA2_PROMPT_TEXT, call);
}

static Llama2Prompt
begin_message(FunctionCallInfo fcinfo, Llama2Call *call, void **state)
{
	return begin_call(fcinfo, LLAMA2_PROMPT_MESSAGE, call);
}

static Llama2Prompt
begin_messages(FunctionCallInfo fcinfo, Llama2Call *call, void **state)
{
	return begin_call(fcinfo, LLAMA2_PROMPT_MESSAGES, call);
}

static Llama2Prompt
begin_call(FunctionCallInfo fcinfo, Llama2PromptKind kind, Llama2Call *call)
{
	Llama2Prompt none = {0};

	if (PG_ARGISNULL(0))
		return none;
	Llama2BeginCall(fcinfo, call);
	return Llama2CallPrompt(call, kind, PG_GETARG_DATUM(0));
}

/* NULL where there is nothing to stream. */
static TokenStream *
begin_stream(FunctionCallInfo fcinfo, Llama2StreamBegin begin)
{
	TokenStream *stream = palloc0(sizeof(TokenStream));
	Llama2Prompt prompt = begin(fcinfo, &stream->call, &stream->state);
	Llama2RequestSpec spec;

	if (prompt.ids == NULL)
		return NULL;
	Llama2CallSpec(&stream->call, prompt, &spec);
	spec.stream = true;
	Llama2TextBegin(&stream->output, stream->call.model->vocabulary, true);
	stream->context = ((ReturnSetInfo *) fcinfo->resultinfo)->econtext;
	RegisterExprContextCallback(stream->context, release_stream, PointerGetDatum(stream));
	stream->request = Llama2RequestSubmit(&spec, false);
	return stream;
}

/* Wait for the next token whose text is certain; false at the end. */
static bool
next_token(TokenStream *stream, int32 *token, float *logprob, text **piece)
{
	Llama2Request *request = stream->request;
	const LlmTokenResult *results = Llama2RequestResults(request);
	Llama2TextOutput *output = &stream->output;

	for (;;)
	{
		bool		done = Llama2RequestIsDone(request);
		int32		n_results = done ? Llama2RequestFinish(request) : Llama2RequestWait(request, -1);
		uint32		certain = 0;

		if (done)
			certain = Llama2RequestSlotOf(request)->text_bytes;
		else if (n_results > 0)
			certain = results[n_results - 1].text_bytes;
		if (stream->n_added == stream->n_shown && n_results > stream->n_shown)
			Llama2TextAddToken(output, results[stream->n_added++].token);
		if (stream->n_added > stream->n_shown)
		{
			uint32		end = output->n_released + output->held.len;

			if (certain >= end || (done && certain > output->n_released))
			{
				*token = results[stream->n_shown].token;
				*logprob = results[stream->n_shown].logprob;
				stream->n_shown++;
				*piece = Llama2TextRelease(output, certain < end ? certain : end,
										   done && (stream->n_shown == n_results || certain <= end));
				return true;
			}
		}
		if (done)
			return false;
		flush_rows();
		(void) Llama2RequestWait(request, n_results);
	}
}

/* Send the rows so far to the client now, rather than when its buffer is full. */
static void
flush_rows(void)
{
	if (whereToSendOutput == DestRemote)
		pq_flush_if_writable();
}

static void
release_stream(Datum argument)
{
	TokenStream *stream = (TokenStream *) DatumGetPointer(argument);

	if (stream->request)
		Llama2RequestRelease(stream->request);
	stream->request = NULL;
}
