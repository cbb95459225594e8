/*
 * logprobs_json.c
 *		The log-probabilities of a generated text as jsonb.
 */
#include "server/logprobs_json.h"

#include <math.h>

#include "common/shortest_dec.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "server/text_output.h"

static void push_tokens(JsonbParseState **state, const LlmVocabulary *vocabulary, const Llama2Request *request, bool strip_space,
						uint32 text_bytes);
static void push_token(JsonbParseState **state, int32 token, char *text, float logprob);
static void push_top(JsonbParseState **state, const LlmVocabulary *vocabulary, const Llama2Request *request,
					 int32 result, bool strip_space);
static void push_key(JsonbParseState **state, const char *key);
static void push_string(JsonbParseState **state, char *string);
static void push_number(JsonbParseState **state, Datum number);
static Datum exact_numeric(float number);
static char *token_text(const LlmVocabulary *vocabulary, int32 token, bool strip_space);

Jsonb *
Llama2LogprobsJson(const LlmVocabulary *vocabulary, const Llama2Request *prompt, const Llama2Request *request)
{
	JsonbParseState *state = NULL;

	(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	if (prompt)
		push_tokens(&state, vocabulary, prompt, true, PG_UINT32_MAX);
	push_tokens(&state, vocabulary, request, Llama2RequestSlotOf(request)->strip_leading_space,
				Llama2RequestSlotOf(request)->text_bytes);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

/* An object for each token, of whose text the first bytes are shown. */
static void
push_tokens(JsonbParseState **state, const LlmVocabulary *vocabulary, const Llama2Request *request, bool strip_space,
			uint32 text_bytes)
{
	const LlmTokenResult *results = Llama2RequestResults(request);
	const Llama2RequestSlot *slot = Llama2RequestSlotOf(request);
	int32		n_results = (int32) pg_atomic_read_u32((pg_atomic_uint32 *) &slot->n_results);
	Llama2TextOutput output;

	Llama2TextBegin(&output, vocabulary, strip_space);
	for (int32 i = 0; i < n_results; i++)
	{
		text	   *piece;

		Llama2TextAddToken(&output, results[i].token);
		piece = Llama2TextRelease(&output, text_bytes, i == n_results - 1);
		push_token(state, results[i].token, text_to_cstring(piece), results[i].logprob);
		if (slot->n_top > 0)
			push_top(state, vocabulary, request, i, strip_space && i == 0);
		(void) pushJsonbValue(state, WJB_END_OBJECT, NULL);
	}
}

/* The beginning of its object. */
static void
push_token(JsonbParseState **state, int32 token, char *text, float logprob)
{
	JsonbValue	null = {.type = jbvNull};

	(void) pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	push_key(state, "token_id");
	push_number(state, DirectFunctionCall1(int4_numeric, Int32GetDatum(token)));
	push_key(state, "token");
	push_string(state, text);
	push_key(state, "logprob");
	if (isinf(logprob))
		(void) pushJsonbValue(state, WJB_VALUE, &null);
	else
		push_number(state, exact_numeric(logprob));
}

static void
push_top(JsonbParseState **state, const LlmVocabulary *vocabulary, const Llama2Request *request, int32 result,
		 bool strip_space)
{
	const LlmSample *top = Llama2RequestTop(request, result);
	const Llama2RequestSlot *slot = Llama2RequestSlotOf(request);

	push_key(state, "top_logprobs");
	(void) pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	for (int32 i = 0; i < slot->n_top && top[i].token >= 0; i++)
	{
		push_token(state, top[i].token, token_text(vocabulary, top[i].token, strip_space), top[i].logprob);
		(void) pushJsonbValue(state, WJB_END_OBJECT, NULL);
	}
	(void) pushJsonbValue(state, WJB_END_ARRAY, NULL);
}

static void
push_key(JsonbParseState **state, const char *key)
{
	JsonbValue	value = {.type = jbvString};

	value.val.string.val = unconstify(char *, key);
	value.val.string.len = strlen(key);
	(void) pushJsonbValue(state, WJB_KEY, &value);
}

static void
push_string(JsonbParseState **state, char *string)
{
	JsonbValue	value = {.type = jbvString};

	value.val.string.val = string;
	value.val.string.len = strlen(string);
	(void) pushJsonbValue(state, WJB_VALUE, &value);
}

static void
push_number(JsonbParseState **state, Datum number)
{
	JsonbValue	value = {.type = jbvNumeric};

	value.val.numeric = DatumGetNumeric(number);
	(void) pushJsonbValue(state, WJB_VALUE, &value);
}

/* With as many digits as give this float again. */
static Datum
exact_numeric(float number)
{
	char		digits[FLOAT_SHORTEST_DECIMAL_LEN];

	(void) float_to_shortest_decimal_buf(number, digits);
	return DirectFunctionCall3(numeric_in, CStringGetDatum(digits), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

static char *
token_text(const LlmVocabulary *vocabulary, int32 token, bool strip_space)
{
	Llama2TextOutput output;

	Llama2TextBegin(&output, vocabulary, strip_space);
	Llama2TextAddToken(&output, token);
	return text_to_cstring(Llama2TextRelease(&output, PG_UINT32_MAX, true));
}
