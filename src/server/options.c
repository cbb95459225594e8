/*
 * options.c
 *		The arguments that every generating function shares, and its options.
 *
 * Named arguments and keys of "options" go through the same table (option_table.c), the same checks, and give the same
 * errors.
 */
#include "server/options.h"

#include <float.h>
#include <limits.h>
#include <math.h>

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "server/option_table.h"
#include "server/option_values.h"
#include "server/parameters.h"

const char *const Llama2ArgumentNames[LLAMA2_ARG_STOP + 1] = {
	[LLAMA2_ARG_MAX_TOKENS] = "max_tokens",
	[LLAMA2_ARG_TEMPERATURE] = "temperature",
	[LLAMA2_ARG_TOP_P] = "top_p",
	[LLAMA2_ARG_TOP_K] = "top_k",
	[LLAMA2_ARG_MIN_P] = "min_p",
	[LLAMA2_ARG_SEED] = "seed",
	[LLAMA2_ARG_STOP] = "stop"
};

static void read_json_options(Jsonb *json, Llama2Options *options);
static void read_json_option(const Llama2OptionEntry *entry, JsonbValue *value, Llama2Options *options);
static void read_argument(FunctionCallInfo fcinfo, int argument, const Llama2OptionEntry *entry,
						  Llama2Options *options);
static void set_number(const Llama2OptionEntry *entry, double number, Llama2Options *options);
static void check_range(const Llama2OptionEntry *entry, double number);
static void set_seed(Llama2Options *options, int64 seed, bool is_given);
static void refuse_others(const Llama2Options *options, int allowed);

void
Llama2ReadOptions(FunctionCallInfo fcinfo, int first_argument, Llama2Options *options)
{
	Llama2ReadOptionsFor(fcinfo, first_argument, 0, options);
}

void
Llama2ReadOptionsFor(FunctionCallInfo fcinfo, int first_argument, int allowed, Llama2Options *options)
{
	Llama2DefaultOptions(options);
	if (!PG_ARGISNULL(first_argument + LLAMA2_ARG_OPTIONS))
		read_json_options(PG_GETARG_JSONB_P(first_argument + LLAMA2_ARG_OPTIONS), options);
	for (int i = 0; i <= LLAMA2_ARG_STOP; i++)
		if (!PG_ARGISNULL(first_argument + i))
			read_argument(fcinfo, first_argument + i,
						  &Llama2OptionTable[Llama2FindOption(Llama2ArgumentNames[i])], options);
	if (!options->seed_given)
		set_seed(options, Llama2RandomNumber(), false);
	if (!PG_ARGISNULL(first_argument + LLAMA2_ARG_SYSTEM))
		options->system = PG_GETARG_TEXT_PP(first_argument + LLAMA2_ARG_SYSTEM);
	refuse_others(options, options->system ? allowed & ~LLAMA2_ALLOW_ECHO : allowed);

	if (options->max_tokens < 0)
		options->max_tokens = llama2_max_tokens_limit;
	if (options->max_tokens > llama2_max_tokens_limit)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_tokens %d is greater than the limit of %d",
						options->max_tokens, llama2_max_tokens_limit),
				 errhint("The limit is the parameter llama2.max_tokens_limit.")));
	options->model = Llama2StringArgument(fcinfo, first_argument + LLAMA2_ARG_MODEL);
}

void
Llama2DefaultOptions(Llama2Options *options)
{
	memset(options, 0, sizeof(*options));
	llm_sampling_defaults(&options->sampling);
	options->max_tokens = Min(llama2_max_tokens, llama2_max_tokens_limit);
	options->sampling.temperature = (float) llama2_temperature;
	options->sampling.top_p = (float) llama2_top_p;
	options->sampling.top_k = llama2_top_k;
	options->sampling.min_p = (float) llama2_min_p;
	options->sampling.repeat_penalty = (float) llama2_repeat_penalty;
	options->n_keep = -1;
	options->n = 1;
	if (llama2_seed >= 0)
		set_seed(options, llama2_seed, true);
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

void
Llama2SetOption(const char *name, double number, Llama2Options *options)
{
	set_number(&Llama2OptionTable[Llama2FindOption(name)], number, options);
}

Jsonb *
Llama2OptionsByName(Jsonb *json)
{
	JsonbIterator *iterator;
	JsonbParseState *state = NULL;
	JsonbValue	key;
	JsonbValue	value;

	if (!JB_ROOT_IS_OBJECT(json))
		return json;
	iterator = JsonbIteratorInit(&json->root);
	(void) JsonbIteratorNext(&iterator, &value, true);
	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	while (JsonbIteratorNext(&iterator, &value, true) == WJB_KEY)
	{
		const char *name = Llama2OptionTable[Llama2FindOption(pnstrdup(value.val.string.val, value.val.string.len))].name;

		(void) JsonbIteratorNext(&iterator, &value, true);
		if (value.type == jbvNull)
			continue;
		key.type = jbvString;
		key.val.string.val = unconstify(char *, name);
		key.val.string.len = strlen(name);
		(void) pushJsonbValue(&state, WJB_KEY, &key);
		(void) pushJsonbValue(&state, WJB_VALUE, &value);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

char *
Llama2StringArgument(FunctionCallInfo fcinfo, int argument)
{
	return PG_ARGISNULL(argument) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(argument));
}

static void
read_json_options(Jsonb *json, Llama2Options *options)
{
	const char *given[LLAMA2_MAX_OPTIONS] = {0};
	JsonbIterator *iterator = Llama2BeginOptions(json);
	JsonbValue	value;

	while (JsonbIteratorNext(&iterator, &value, true) == WJB_KEY)
	{
		char	   *name = pnstrdup(value.val.string.val, value.val.string.len);
		int			number = Llama2FindOption(name);

		(void) JsonbIteratorNext(&iterator, &value, true);
		if (value.type == jbvNull)
			continue;
		if (given[number])
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("options \"%s\" and \"%s\" are the same", given[number], name)));
		given[number] = name;
		read_json_option(&Llama2OptionTable[number], &value, options);
	}
}

static void
read_json_option(const Llama2OptionEntry *entry, JsonbValue *value, Llama2Options *options)
{
	switch (entry->kind)
	{
		case LLAMA2_OPTION_INT:
		case LLAMA2_OPTION_FLOAT:
			set_number(entry, Llama2JsonNumber(value, entry->name), options);
			break;
		case LLAMA2_OPTION_BIGINT:
			check_range(entry, Llama2JsonNumber(value, entry->name));
			set_seed(options,
					 DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(value->val.numeric))), true);
			break;
		case LLAMA2_OPTION_BOOL:
			if (value->type != jbvBool)
				Llama2WrongOption(entry->name, "true or false");
			*(bool *) ((char *) options + entry->offset) = value->val.boolean;
			break;
		case LLAMA2_OPTION_TEXT:
		case LLAMA2_OPTION_TEXTS:
		case LLAMA2_OPTION_VALUE:
			entry->read(entry->name, value, options);
			break;
	}
}

static void
read_argument(FunctionCallInfo fcinfo, int argument, const Llama2OptionEntry *entry, Llama2Options *options)
{
	switch (entry->kind)
	{
		case LLAMA2_OPTION_INT:
			set_number(entry, PG_GETARG_INT32(argument), options);
			break;
		case LLAMA2_OPTION_FLOAT:
			set_number(entry, PG_GETARG_FLOAT8(argument), options);
			break;
		case LLAMA2_OPTION_BIGINT:
			set_seed(options, PG_GETARG_INT64(argument), true);
			break;
		case LLAMA2_OPTION_TEXTS:
			Llama2ReadStopArray(PG_GETARG_ARRAYTYPE_P(argument), options);
			break;
		case LLAMA2_OPTION_BOOL:
		case LLAMA2_OPTION_TEXT:
		case LLAMA2_OPTION_VALUE:
			elog(ERROR, "option \"%s\" is no argument", entry->name);
	}
}

static void
set_number(const Llama2OptionEntry *entry, double number, Llama2Options *options)
{
	char	   *place = (char *) options + entry->offset;

	check_range(entry, number);
	if (entry->kind == LLAMA2_OPTION_FLOAT)
		*(float *) place = (float) (entry->min_exclusive ? Max(number, FLT_MIN) : number);
	else
		*(int32 *) place = (int32) number;
}

static void
check_range(const Llama2OptionEntry *entry, double number)
{
	if (entry->or_minus_one && number == -1)
		return;
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
	if (entry->kind != LLAMA2_OPTION_FLOAT && number != floor(number))
		Llama2WrongOption(entry->name, "a whole number");
}

static void
set_seed(Llama2Options *options, int64 seed, bool is_given)
{
	options->seed = seed;
	options->seed_given = is_given;
	options->sampling.seed = (uint64) seed;
}

/* What a function cannot do must not be asked of it in vain. */
static void
refuse_others(const Llama2Options *options, int allowed)
{
	const struct
	{
		int			allow;
		bool		is_set;
		const char *name;
		const char *hint;
	}			checks[] = {
		{LLAMA2_ALLOW_N, options->n > 1, "n", "llama2_complete_n() gives several texts."},
		{LLAMA2_ALLOW_BEST_OF, options->best_of > 1, "best_of", "llama2_generate(), llama2_complete() and llama2_chat() without a conversation choose the best of several texts."},
		{LLAMA2_ALLOW_ECHO, options->echo, "echo", "llama2_generate() and llama2_complete() repeat the prompt, without \"system\"."},
		{LLAMA2_ALLOW_LOGPROBS, options->top_logprobs > 0, "top_logprobs", "llama2_complete() tells log-probabilities."},
		{LLAMA2_ALLOW_LOGPROBS, options->logprobs, "logprobs", "llama2_complete() tells log-probabilities."},
	};

	for (size_t i = 0; i < lengthof(checks); i++)
		if (checks[i].is_set && (allowed & checks[i].allow) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("option \"%s\" is not possible here", checks[i].name),
					 errhint("%s", checks[i].hint)));
}
