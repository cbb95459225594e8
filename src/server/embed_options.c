/*
 * embed_options.c
 *		The options of llama2_embed and llama2_similarity.
 */
#include "server/options.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"

static void read_option(const char *name, const JsonbValue *value, Llama2Options *options);
static LlmPooling read_pooling(const JsonbValue *value);
static bool read_bool(const char *name, const JsonbValue *value);

/* Beside these, of the options of generation only on_error. */
void
Llama2ReadEmbedOptions(FunctionCallInfo fcinfo, int argument, Llama2Options *options)
{
	JsonbIterator *iterator;
	JsonbValue	value;

	memset(options, 0, sizeof(*options));
	options->pooling = LLM_POOL_MEAN;
	options->normalize = true;
	if (PG_ARGISNULL(argument))
		return;
	iterator = Llama2BeginOptions(PG_GETARG_JSONB_P(argument));
	while (JsonbIteratorNext(&iterator, &value, true) == WJB_KEY)
	{
		char	   *name = pnstrdup(value.val.string.val, value.val.string.len);

		(void) JsonbIteratorNext(&iterator, &value, true);
		read_option(name, &value, options);
	}
}

/* A null stands for the default. */
static void
read_option(const char *name, const JsonbValue *value, Llama2Options *options)
{
	bool		is_null = value->type == jbvNull;

	if (strcmp(name, "pooling") == 0)
		options->pooling = is_null ? LLM_POOL_MEAN : read_pooling(value);
	else if (strcmp(name, "normalize") == 0)
		options->normalize = is_null || read_bool(name, value);
	else if (strcmp(name, "truncate") == 0)
		options->truncate = !is_null && read_bool(name, value);
	else if (strcmp(name, "on_error") == 0)
		options->null_on_error = !is_null && Llama2ReadOnError(value);
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unrecognized option \"%s\"", name),
				 errhint("Options are pooling, normalize, truncate and on_error.")));
}

static LlmPooling
read_pooling(const JsonbValue *value)
{
	static const char *const names[] = {
		[LLM_POOL_MEAN] = "mean",
		[LLM_POOL_WEIGHTED] = "weighted",
		[LLM_POOL_LAST] = "last"
	};

	for (int i = 0; i < lengthof(names); i++)
		if (value->type == jbvString && value->val.string.len == strlen(names[i]) &&
			strncmp(value->val.string.val, names[i], value->val.string.len) == 0)
			return (LlmPooling) i;
	Llama2WrongOption("pooling", "\"mean\", \"weighted\" or \"last\"");
}

static bool
read_bool(const char *name, const JsonbValue *value)
{
	if (value->type != jbvBool)
		Llama2WrongOption(name, "true or false");
	return value->val.boolean;
}
