/*
 * options.c
 *		The arguments that every generating function shares, and its options.
 *
 * One table describes every number: its name, its place, its range.  Named arguments
 * and keys of "options" go through the same checks and give the same errors.
 */
#include "server/options.h"

#include <float.h>
#include <limits.h>
#include <math.h>

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/varlena.h"

#include "server/grammar_options.h"
#include "server/parameters.h"
#include "server/text_output.h"

typedef enum OptionKind
{
	OPTION_INT,
	OPTION_BIGINT,
	OPTION_FLOAT,
	OPTION_BOOL,
	OPTION_STOP,
	OPTION_LOGIT_BIAS,
	OPTION_GRAMMAR,
	OPTION_ON_ERROR
} OptionKind;

typedef struct OptionEntry
{
	const char *name;
	OptionKind	kind;
	size_t		offset;			/* in Llama2Options */
	int			argument;		/* LLAMA2_ARG_..., or -1 */
	double		min;
	double		max;
	bool		min_exclusive;
} OptionEntry;

#define MAX_LOGIT_BIAS 1000
#define PLACE(field) offsetof(Llama2Options, field)

static const OptionEntry option_entries[] = {
	{"max_tokens", OPTION_INT, PLACE(max_tokens), LLAMA2_ARG_MAX_TOKENS, 1, INT_MAX, false},
	{"temperature", OPTION_FLOAT, PLACE(sampling.temperature), LLAMA2_ARG_TEMPERATURE, 0, 100, false},
	{"top_p", OPTION_FLOAT, PLACE(sampling.top_p), LLAMA2_ARG_TOP_P, 0, 1, true},
	{"top_k", OPTION_INT, PLACE(sampling.top_k), LLAMA2_ARG_TOP_K, 0, INT_MAX, false},
	{"min_p", OPTION_FLOAT, PLACE(sampling.min_p), LLAMA2_ARG_MIN_P, 0, 1, false},
	{"seed", OPTION_BIGINT, PLACE(seed), LLAMA2_ARG_SEED, -9223372036854775808.0, 9223372036854775807.0, false},
	{"stop", OPTION_STOP, 0, LLAMA2_ARG_STOP, 0, 0, false},
	{"repeat_penalty", OPTION_FLOAT, PLACE(sampling.repeat_penalty), -1, 0, 100, true},
	{"frequency_penalty", OPTION_FLOAT, PLACE(sampling.frequency_penalty), -1, -100, 100, false},
	{"presence_penalty", OPTION_FLOAT, PLACE(sampling.presence_penalty), -1, -100, 100, false},
	{"repeat_last_n", OPTION_INT, PLACE(sampling.repeat_last_n), -1, -1, INT_MAX, false},
	{"min_tokens", OPTION_INT, PLACE(sampling.min_tokens), -1, 0, INT_MAX, false},
	{"ignore_eos", OPTION_BOOL, PLACE(sampling.ignore_eos), -1, 0, 0, false},
	{"logit_bias", OPTION_LOGIT_BIAS, 0, -1, 0, 0, false},
	{"on_error", OPTION_ON_ERROR, PLACE(null_on_error), -1, 0, 0, false},
	{"grammar", OPTION_GRAMMAR, 0, -1, 0, 0, false},
	{"regex", OPTION_GRAMMAR, 0, -1, 0, 0, false},
	{"choices", OPTION_GRAMMAR, 0, -1, 0, 0, false},
	{"json_schema", OPTION_GRAMMAR, 0, -1, 0, 0, false},
	{"json", OPTION_GRAMMAR, 0, -1, 0, 0, false},
	{"on_limit", OPTION_GRAMMAR, 0, -1, 0, 0, false},
};

static void set_defaults(Llama2Options *options);
static void read_json_options(Jsonb *json, Llama2Options *options);
static void read_json_option(const OptionEntry *entry, JsonbValue *value, Llama2Options *options);
static void read_argument(FunctionCallInfo fcinfo, int argument, const OptionEntry *entry,
						  Llama2Options *options);
static void set_number(const OptionEntry *entry, double number, Llama2Options *options);
static void check_range(const OptionEntry *entry, double number);
static void set_seed(Llama2Options *options, int64 seed);
static void set_random_seed(Llama2Options *options);
static void read_stop_array(ArrayType *array, Llama2Options *options);
static void read_json_stop(JsonbValue *value, Llama2Options *options);
static void add_json_stop(const JsonbValue *value, Llama2Options *options);
static void add_stop(const char *bytes, size_t length, Llama2Options *options);
static void read_logit_bias(JsonbValue *value, Llama2Options *options);
static double logit_bias_number(const JsonbValue *value, int64 token);
static void add_logit_bias(int64 token, double bias, Llama2Options *options);
static double json_number(const JsonbValue *value, const char *name);
static void unknown_option(const char *name) pg_attribute_noreturn();

void
Llama2ReadOptions(FunctionCallInfo fcinfo, int first_argument, Llama2Options *options)
{
	set_defaults(options);
	if (!PG_ARGISNULL(first_argument + LLAMA2_ARG_OPTIONS))
		read_json_options(PG_GETARG_JSONB_P(first_argument + LLAMA2_ARG_OPTIONS), options);
	for (size_t i = 0; i < lengthof(option_entries); i++)
	{
		const OptionEntry *entry = &option_entries[i];

		if (entry->argument < 0 || PG_ARGISNULL(first_argument + entry->argument))
			continue;
		read_argument(fcinfo, first_argument + entry->argument, entry, options);
	}
	if (!options->seed_given)
		set_random_seed(options);

	if (options->max_tokens > llama2_max_tokens_limit)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_tokens %d is greater than the limit of %d",
						options->max_tokens, llama2_max_tokens_limit),
				 errhint("The limit is the parameter llama2.max_tokens_limit.")));
	if (!PG_ARGISNULL(first_argument + LLAMA2_ARG_SYSTEM))
		options->system = PG_GETARG_TEXT_PP(first_argument + LLAMA2_ARG_SYSTEM);
	options->model = Llama2StringArgument(fcinfo, first_argument + LLAMA2_ARG_MODEL);
}

JsonbIterator *
Llama2BeginOptions(Jsonb *json)
{
	JsonbIterator *iterator;
	JsonbValue	value;

	if (!JB_ROOT_IS_OBJECT(json))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options must be a JSON object")));
	iterator = JsonbIteratorInit(&json->root);
	(void) JsonbIteratorNext(&iterator, &value, true);
	return iterator;
}

bool
Llama2ReadOnError(const JsonbValue *value)
{
	const char *word = value->type == jbvString ? pnstrdup(value->val.string.val, value->val.string.len) : "";

	if (strcmp(word, "null") == 0)
		return true;
	if (strcmp(word, "error") != 0)
		Llama2WrongOption("on_error", "\"error\" or \"null\"");
	return false;
}

void
Llama2WrongOption(const char *name, const char *wanted)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("option \"%s\" must be %s", name, wanted)));
}

char *
Llama2StringArgument(FunctionCallInfo fcinfo, int argument)
{
	return PG_ARGISNULL(argument) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(argument));
}

static void
set_defaults(Llama2Options *options)
{
	memset(options, 0, sizeof(*options));
	llm_sampling_defaults(&options->sampling);
	options->max_tokens = Min(llama2_max_tokens, llama2_max_tokens_limit);
	options->sampling.temperature = (float) llama2_temperature;
	options->sampling.top_p = (float) llama2_top_p;
	options->sampling.top_k = llama2_top_k;
	options->sampling.min_p = (float) llama2_min_p;
	options->sampling.repeat_penalty = (float) llama2_repeat_penalty;
	if (llama2_seed >= 0)
		set_seed(options, llama2_seed);
}

static void
read_json_options(Jsonb *json, Llama2Options *options)
{
	JsonbIterator *iterator = Llama2BeginOptions(json);
	JsonbValue	value;

	while (JsonbIteratorNext(&iterator, &value, true) == WJB_KEY)
	{
		char	   *name = pnstrdup(value.val.string.val, value.val.string.len);
		const OptionEntry *entry = NULL;

		for (size_t i = 0; i < lengthof(option_entries); i++)
			if (strcmp(option_entries[i].name, name) == 0)
				entry = &option_entries[i];
		if (entry == NULL)
			unknown_option(name);
		(void) JsonbIteratorNext(&iterator, &value, true);
		if (value.type == jbvNull)
			continue;
		read_json_option(entry, &value, options);
	}
}

static void
read_json_option(const OptionEntry *entry, JsonbValue *value, Llama2Options *options)
{
	switch (entry->kind)
	{
		case OPTION_INT:
		case OPTION_FLOAT:
			set_number(entry, json_number(value, entry->name), options);
			break;
		case OPTION_BIGINT:
			check_range(entry, json_number(value, entry->name));
			set_seed(options, DatumGetInt64(DirectFunctionCall1(numeric_int8,
																NumericGetDatum(value->val.numeric))));
			break;
		case OPTION_BOOL:
			if (value->type != jbvBool)
				Llama2WrongOption(entry->name, "true or false");
			*(bool *) ((char *) options + entry->offset) = value->val.boolean;
			break;
		case OPTION_STOP:
			read_json_stop(value, options);
			break;
		case OPTION_LOGIT_BIAS:
			read_logit_bias(value, options);
			break;
		case OPTION_ON_ERROR:
			options->null_on_error = Llama2ReadOnError(value);
			break;
		case OPTION_GRAMMAR:
			Llama2ReadGrammarOption(entry->name, value, options);
			break;
	}
}

static void
read_argument(FunctionCallInfo fcinfo, int argument, const OptionEntry *entry, Llama2Options *options)
{
	switch (entry->kind)
	{
		case OPTION_INT:
			set_number(entry, PG_GETARG_INT32(argument), options);
			break;
		case OPTION_FLOAT:
			set_number(entry, PG_GETARG_FLOAT8(argument), options);
			break;
		case OPTION_BIGINT:
			set_seed(options, PG_GETARG_INT64(argument));
			break;
		case OPTION_STOP:
			read_stop_array(PG_GETARG_ARRAYTYPE_P(argument), options);
			break;
		case OPTION_BOOL:
		case OPTION_LOGIT_BIAS:
		case OPTION_ON_ERROR:
		case OPTION_GRAMMAR:
			elog(ERROR, "option \"%s\" is no argument", entry->name);
	}
}

static void
set_number(const OptionEntry *entry, double number, Llama2Options *options)
{
	char	   *place = (char *) options + entry->offset;

	check_range(entry, number);
	if (entry->kind == OPTION_FLOAT)
		*(float *) place = (float) (entry->min_exclusive ? Max(number, FLT_MIN) : number);
	else
		*(int32 *) place = (int32) number;
}

static void
check_range(const OptionEntry *entry, double number)
{
	if (isnan(number) || number < entry->min || number > entry->max ||
		(entry->min_exclusive && number <= entry->min))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s %.10g is out of range", entry->name, number),
				 entry->max >= INT_MAX && number < entry->min ?
				 errdetail("It must be at least %.10g.", entry->min) :
				 errdetail("It must be %s %.10g and at most %.10g.",
						   entry->min_exclusive ? "greater than" : "at least",
						   entry->min, entry->max)));
	if (entry->kind != OPTION_FLOAT && number != floor(number))
		Llama2WrongOption(entry->name, "a whole number");
}

static void
set_seed(Llama2Options *options, int64 seed)
{
	options->seed = seed;
	options->seed_given = true;
	options->sampling.seed = (uint64) seed;
}

static void
set_random_seed(Llama2Options *options)
{
	int64		seed;

	if (!pg_strong_random(&seed, sizeof(seed)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate a random seed")));
	set_seed(options, seed & PG_INT64_MAX);
	options->seed_given = false;
}

static void
read_stop_array(ArrayType *array, Llama2Options *options)
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

/* A string or an array of strings. */
static void
read_json_stop(JsonbValue *value, Llama2Options *options)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	item;

	options->n_stops = 0;
	if (value->type == jbvString)
	{
		add_json_stop(value, options);
		return;
	}
	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
		Llama2WrongOption("stop", "a string or an array of strings");
	iterator = JsonbIteratorInit(value->val.binary.data);
	(void) JsonbIteratorNext(&iterator, &item, true);
	while ((token = JsonbIteratorNext(&iterator, &item, true)) == WJB_ELEM)
	{
		if (item.type != jbvString)
			Llama2WrongOption("stop", "a string or an array of strings");
		add_json_stop(&item, options);
	}
}

static void
add_json_stop(const JsonbValue *value, Llama2Options *options)
{
	char	   *bytes = pnstrdup(value->val.string.val, value->val.string.len);
	char	   *utf8 = pg_server_to_any(bytes, value->val.string.len, PG_UTF8);

	add_stop(utf8, strlen(utf8), options);
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

/* {"token id": bias, ...}, where false in place of a bias bans the token. */
static void
read_logit_bias(JsonbValue *value, Llama2Options *options)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	item;

	options->sampling.n_logit_bias = 0;
	if (value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
		Llama2WrongOption("logit_bias", "an object from token ids to numbers");
	iterator = JsonbIteratorInit(value->val.binary.data);
	(void) JsonbIteratorNext(&iterator, &item, true);
	while ((token = JsonbIteratorNext(&iterator, &item, true)) == WJB_KEY)
	{
		char	   *key = pnstrdup(item.val.string.val, item.val.string.len);
		int64		id = strtol(key, NULL, 10);

		if (*key == '\0' || key[strspn(key, "0123456789")] != '\0' || id > INT_MAX)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid token id \"%s\" in option \"logit_bias\"", key),
					 errhint("llama2_tokenize() tells the ids of a text's tokens.")));
		(void) JsonbIteratorNext(&iterator, &item, true);
		if (item.type == jbvBool && !item.val.boolean)
			add_logit_bias(id, -INFINITY, options);
		else
			add_logit_bias(id, logit_bias_number(&item, id), options);
	}
}

static double
logit_bias_number(const JsonbValue *value, int64 token)
{
	double		bias = json_number(value, "logit_bias");

	if (bias < -MAX_LOGIT_BIAS || bias > MAX_LOGIT_BIAS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("bias %g of token " INT64_FORMAT " in option \"logit_bias\" is out of range",
						bias, token),
				 errdetail("It must be at least -%d and at most %d, or false to ban the token.",
						   MAX_LOGIT_BIAS, MAX_LOGIT_BIAS)));
	return bias;
}

static void
add_logit_bias(int64 token, double bias, Llama2Options *options)
{
	LlmSamplingOptions *sampling = &options->sampling;

	if (sampling->n_logit_bias == LLM_MAX_LOGIT_BIAS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("too many tokens in option \"logit_bias\""),
				 errdetail("There can be at most %d.", LLM_MAX_LOGIT_BIAS)));
	sampling->logit_bias_token[sampling->n_logit_bias] = (int32) token;
	sampling->logit_bias_value[sampling->n_logit_bias++] = (float) bias;
}

static double
json_number(const JsonbValue *value, const char *name)
{
	if (value->type != jbvNumeric)
		Llama2WrongOption(name, "a number");
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(value->val.numeric)));
}

/* Name the option that was probably meant. */
static void
unknown_option(const char *name)
{
	const char *nearest = NULL;
	int			nearest_distance = 4;

	for (size_t i = 0; i < lengthof(option_entries); i++)
	{
		const char *candidate = option_entries[i].name;
		int			distance = varstr_levenshtein_less_equal(name, Min(strlen(name), 63), candidate,
															 strlen(candidate), 1, 1, 1,
															 nearest_distance, true);

		if (distance < nearest_distance)
		{
			nearest = candidate;
			nearest_distance = distance;
		}
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized option \"%s\"", name),
			 nearest ? errhint("Perhaps you meant the option \"%s\".", nearest) :
			 errhint("Options are max_tokens, temperature, top_p, top_k, min_p, seed, stop, repeat_penalty, "
					 "frequency_penalty, presence_penalty, repeat_last_n, min_tokens, ignore_eos, logit_bias, "
					 "grammar, regex, choices, json_schema, json, on_limit and on_error.")));
}
