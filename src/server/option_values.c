/*
 * option_values.c
 *		Options whose values are more than a number.
 */
#include "server/option_values.h"

#include <limits.h>
#include <math.h>

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "server/grammar_options.h"
#include "server/option_table.h"
#include "server/text_output.h"

#define MAX_LOGIT_BIAS 1000

/* Takes one string, in UTF-8, of an option that has one or several. */
typedef void (*TakeString) (const char *bytes, size_t length, Llama2Options *options);

static void read_strings(const char *name, const JsonbValue *value, TakeString take, Llama2Options *options);
static void take_json_string(const JsonbValue *value, TakeString take, Llama2Options *options);
static void add_stop(const char *bytes, size_t length, Llama2Options *options);
static void add_dry_breaker(const char *bytes, size_t length, Llama2Options *options);
static void add_logit_bias(const char *id, const JsonbValue *value, Llama2Options *options);
static double logit_bias_number(const JsonbValue *value, int64 token);
static const JsonbValue *field(const JsonbValue *object, const char *key, JsonbValue *place);
static bool is_word(const JsonbValue *value, const char *word);

/* A string or an array of strings. */
void
Llama2ReadStop(const char *name, const JsonbValue *value, Llama2Options *options)
{
	options->n_stops = 0;
	read_strings(name, value, add_stop, options);
}

void
Llama2ReadDryBreakers(const char *name, const JsonbValue *value, Llama2Options *options)
{
	memset(&options->sampling.dry_breakers, 0, sizeof(LlmDryBreakers));
	read_strings(name, value, add_dry_breaker, options);
}

/* {"token id": bias, ...}, or as llama.cpp also has it [[token id, bias], ...]; false in place of a bias bans the token. */
void
Llama2ReadLogitBias(const char *name, const JsonbValue *value, Llama2Options *options)
{
	static const char wanted[] = "an object from token ids to numbers";
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	item;
	JsonbValue	places[2];

	options->sampling.n_logit_bias = 0;
	if (value->type != jbvBinary)
		Llama2WrongOption(name, wanted);
	iterator = JsonbIteratorInit(value->val.binary.data);
	(void) JsonbIteratorNext(&iterator, &item, true);
	while ((token = JsonbIteratorNext(&iterator, &item, true)) == WJB_KEY || token == WJB_ELEM)
	{
		char	   *id;

		if (token == WJB_KEY)
		{
			id = pnstrdup(item.val.string.val, item.val.string.len);
			(void) JsonbIteratorNext(&iterator, &item, true);
			add_logit_bias(id, &item, options);
			continue;
		}
		if (item.type != jbvBinary || !JsonContainerIsArray(item.val.binary.data) ||
			JsonContainerSize(item.val.binary.data) != 2)
			Llama2WrongOption(name, wanted);
		places[0] = *getIthJsonbValueFromContainer(item.val.binary.data, 0);
		places[1] = *getIthJsonbValueFromContainer(item.val.binary.data, 1);
		if (places[0].type != jbvNumeric)
			Llama2WrongOption(name, wanted);
		id = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(places[0].val.numeric)));
		add_logit_bias(id, &places[1], options);
	}
}

/* As OpenAI's chat: whether; or as its completions: how many of the likeliest tokens to tell. */
void
Llama2ReadLogprobs(const char *name, const JsonbValue *value, Llama2Options *options)
{
	if (value->type == jbvBool)
		options->logprobs = value->val.boolean;
	else if (value->type == jbvNumeric)
	{
		Llama2SetOption("top_logprobs", Llama2JsonNumber(value, name), options);
		options->logprobs = true;
	}
	else
		Llama2WrongOption(name, "true, false or a number");
}

/*
 * As Ollama's "format": "json" or a schema; or as OpenAI's "response_format": {"type": "text"},
 * {"type": "json_object"} or {"type": "json_schema", "json_schema": {"schema": ...}}.
 */
void
Llama2ReadFormat(const char *name, const JsonbValue *value, Llama2Options *options)
{
	JsonbValue	places[3];
	JsonbValue	any = {.type = jbvBool,.val.boolean = true};
	const JsonbValue *type = field(value, "type", &places[0]);
	const JsonbValue *schema = field(value, "json_schema", &places[1]);

	if (is_word(value, "json") || (type && is_word(type, "json_object")))
		Llama2ReadGrammarAs(name, "json", &any, options);
	else if (type && is_word(type, "json_schema"))
	{
		schema = schema ? field(schema, "schema", &places[2]) : NULL;
		if (schema == NULL)
			Llama2WrongOption(name, "an object with a schema in \"json_schema\"");
		Llama2ReadGrammarAs(name, "json_schema", schema, options);
	}
	else if (type && is_word(type, "text"))
		return;
	else if (value->type == jbvBinary && JsonContainerIsObject(value->val.binary.data))
		Llama2ReadGrammarAs(name, "json_schema", value, options);
	else
		Llama2WrongOption(name, "\"json\" or a JSON schema");
}

void
Llama2ReadOnErrorOption(const char *name, const JsonbValue *value, Llama2Options *options)
{
	options->null_on_error = Llama2ReadOnError(value);
}

void
Llama2ReadStopArray(ArrayType *array, Llama2Options *options)
{
	Datum	   *items;
	bool	   *nulls;
	int			n_items;

	options->n_stops = 0;
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &items, &nulls, &n_items);
	for (int i = 0; i < n_items; i++)
	{
		size_t		length;
		const char *bytes;

		if (nulls[i])
			continue;
		bytes = Llama2Utf8FromText(DatumGetTextPP(items[i]), &length);
		add_stop(bytes, length, options);
	}
}

double
Llama2JsonNumber(const JsonbValue *value, const char *name)
{
	if (value->type != jbvNumeric)
		Llama2WrongOption(name, "a number");
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(value->val.numeric)));
}

static void
read_strings(const char *name, const JsonbValue *value, TakeString take, Llama2Options *options)
{
	static const char wanted[] = "a string or an array of strings";
	JsonbIterator *iterator;
	JsonbValue	item;

	if (value->type == jbvString)
	{
		take_json_string(value, take, options);
		return;
	}
	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
		Llama2WrongOption(name, wanted);
	iterator = JsonbIteratorInit(value->val.binary.data);
	(void) JsonbIteratorNext(&iterator, &item, true);
	while (JsonbIteratorNext(&iterator, &item, true) == WJB_ELEM)
	{
		if (item.type != jbvString)
			Llama2WrongOption(name, wanted);
		take_json_string(&item, take, options);
	}
}

static void
take_json_string(const JsonbValue *value, TakeString take, Llama2Options *options)
{
	char	   *bytes = pnstrdup(value->val.string.val, value->val.string.len);
	char	   *utf8 = pg_server_to_any(bytes, value->val.string.len, PG_UTF8);

	take(utf8, strlen(utf8), options);
}

static void
add_stop(const char *bytes, size_t length, Llama2Options *options)
{
	if (length == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a stop string must not be empty")));
	if (options->n_stops == LLM_MAX_STOPS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("too many stop strings"),
				 errdetail("There can be at most %d.", LLM_MAX_STOPS)));
	if (length > 1024)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("stop string of %zu bytes is too long", length),
				 errdetail("It can have at most 1024 bytes.")));
	options->stops[options->n_stops] = bytes;
	options->stop_lengths[options->n_stops++] = length;
}

static void
add_dry_breaker(const char *bytes, size_t length, Llama2Options *options)
{
	if (length == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a sequence breaker must not be empty")));
	if (length > LLM_MAX_DRY_BREAKER_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("sequence breaker of %zu bytes is too long", length),
				 errdetail("It can have at most %d bytes.", LLM_MAX_DRY_BREAKER_BYTES)));
	if (!llm_add_dry_breaker(&options->sampling.dry_breakers, bytes, length))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("too many sequence breakers"),
				 errdetail("There can be at most %d.", LLM_MAX_DRY_BREAKERS)));
}

static void
add_logit_bias(const char *id, const JsonbValue *value, Llama2Options *options)
{
	LlmSamplingOptions *sampling = &options->sampling;
	int64		token = strtol(id, NULL, 10);
	bool		bans = value->type == jbvBool && !value->val.boolean;

	if (*id == '\0' || id[strspn(id, "0123456789")] != '\0' || token > INT_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid token id \"%s\" in option \"logit_bias\"", id),
				 errhint("llama2_tokenize() tells the ids of a text's tokens.")));
	if (sampling->n_logit_bias == LLM_MAX_LOGIT_BIAS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("too many tokens in option \"logit_bias\""),
				 errdetail("There can be at most %d.", LLM_MAX_LOGIT_BIAS)));
	sampling->logit_bias_token[sampling->n_logit_bias] = (int32) token;
	sampling->logit_bias_value[sampling->n_logit_bias++] = bans ? -INFINITY : (float) logit_bias_number(value, token);
}

static double
logit_bias_number(const JsonbValue *value, int64 token)
{
	double		bias = Llama2JsonNumber(value, "logit_bias");

	if (bias < -MAX_LOGIT_BIAS || bias > MAX_LOGIT_BIAS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("bias %g of token " INT64_FORMAT " in option \"logit_bias\" is out of range",
						bias, token),
				 errdetail("It must be at least -%d and at most %d, or false to ban the token.",
						   MAX_LOGIT_BIAS, MAX_LOGIT_BIAS)));
	return bias;
}

/* The value of a key, or NULL where this is no object or has none. */
static const JsonbValue *
field(const JsonbValue *object, const char *key, JsonbValue *place)
{
	if (object->type != jbvBinary || !JsonContainerIsObject(object->val.binary.data))
		return NULL;
	return getKeyJsonValueFromContainer(object->val.binary.data, key, strlen(key), place);
}

static bool
is_word(const JsonbValue *value, const char *word)
{
	return value->type == jbvString && value->val.string.len == (int) strlen(word) &&
		strncmp(value->val.string.val, word, value->val.string.len) == 0;
}
