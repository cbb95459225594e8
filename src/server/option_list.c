/*
 * option_list.c
 *		llama2_options: what the keys of "options" are called, what values they take and what they do.
 *
 * Names, ranges and defaults are those of the table that reads them; here is what it does not know.  The README has the same
 * table, and a test compares them.
 */
#include "postgres.h"

#include <limits.h>

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/tuplestore.h"

#include "server/option_table.h"
#include "shared/compat.h"

PG_FUNCTION_INFO_V1(llama2_options);

#define N_COLUMNS 7

/* In UTF-8. */
static const struct
{
	const char *name;
	const char *type;			/* NULL: as the table says, and so on */
	const char *range;
	const char *by_default;
	bool		is_parameter;	/* "llama2." and its name has the default */
	const char *description;
}			descriptions[] = {

	{"max_tokens", NULL, "-1, 1 \xE2\x80\xA6 llama2.max_tokens_limit", NULL, true,
	"longest answer; -1: as long as that limit and the context let it be"},
	{"temperature", NULL, NULL, NULL, true,
	"0 is greedy: no option of drawing matters then"},
	{"top_k", NULL, NULL, NULL, true,
	"draw from so many of the likeliest tokens; 0: all"},
	{"top_p", NULL, NULL, NULL, true,
	"from the likeliest that have this share of the probability"},
	{"min_p", NULL, NULL, NULL, true,
	"not from those less likely than this share of the likeliest one's probability"},
	{"typical_p", NULL, NULL, NULL, false,
	"from those whose information is nearest to the entropy, that have this share"},
	{"top_n_sigma", NULL, NULL, NULL, false,
	"from those at most so many standard deviations below the greatest logit"},
	{"xtc_probability", NULL, NULL, NULL, false,
	"how often to leave out all but the least likely of the tokens above the threshold"},
	{"xtc_threshold", NULL, NULL, NULL, false,
	"above 0.5: off"},
	{"dynatemp_range", NULL, NULL, NULL, false,
	"temperature \xC2\xB1 range, by the entropy"},
	{"dynatemp_exponent", NULL, NULL, NULL, false,
	"of the entropy, as a part of the greatest possible"},
	{"mirostat", NULL, NULL, NULL, false,
	"keep the text's surprise at a level, in place of all that leaves tokens out"},
	{"mirostat_tau", NULL, NULL, NULL, false,
	"that level, in bits for each token"},
	{"mirostat_eta", NULL, NULL, NULL, false,
	"how fast it is corrected"},
	{"seed", NULL, NULL, NULL, true,
	"of the draws"},
	{"repeat_penalty", NULL, NULL, NULL, true,
	"divides the logits of tokens that have occurred"},
	{"frequency_penalty", NULL, NULL, NULL, false,
	"subtracted for each time that a token has occurred"},
	{"presence_penalty", NULL, NULL, NULL, false,
	"subtracted if it has"},
	{"repeat_last_n", NULL, NULL, NULL, false,
	"tokens that these three look back on, prompt included; -1: all"},
	{"dry_multiplier", NULL, NULL, NULL, false,
	"subtract this \xC2\xB7 dry_base ^ (n - dry_allowed_length) from a token that would go on with a repetition of n tokens"},
	{"dry_base", NULL, NULL, NULL, false,
	""},
	{"dry_allowed_length", NULL, NULL, NULL, false,
	"shorter repetitions are none"},
	{"dry_penalty_last_n", NULL, NULL, NULL, false,
	"tokens that it looks back on; -1: all"},
	{"dry_sequence_breakers", "string or array", "up to 16 strings", "[\"\\n\", \":\", \"\\\"\", \"*\"]", false,
	"no repetition reaches over one of these"},
	{"logit_bias", "object or array", "{\"token id\": number}, [[token id, number]]", NULL, false,
	"added to logits, -1000 \xE2\x80\xA6 1000; false bans the token"},
	{"ignore_eos", NULL, NULL, NULL, false,
	"never end by itself"},
	{"min_tokens", NULL, NULL, NULL, false,
	"not before so many tokens"},
	{"stop", "string or array", "string, up to 16 strings", NULL, false,
	"end the text before any of these"},
	{"context_length", NULL, "2 \xE2\x80\xA6 the model's", "the model's", false,
	"prompt and text together"},
	{"context_shift", NULL, NULL, NULL, false,
	"where the context is full, forget the older half of it and go on"},
	{"n_keep", NULL, NULL, NULL, false,
	"but not so many first tokens of the prompt, up to half of the context; -1: all"},
	{"best_of", NULL, NULL, "n", false,
	"generate so many texts, with this seed and the next ones, and take the one with the greatest mean log-probability"},
	{"n", NULL, NULL, NULL, false,
	"of llama2_complete_n, where its argument is NULL"},
	{"echo", NULL, NULL, NULL, false,
	"the prompt before the text, and its tokens before those of logprobs; not with system, nor for a chat"},
	{"logprobs", "boolean or integer", "boolean, 0 \xE2\x80\xA6 20", "false", false,
	"of llama2_complete: [{\"token_id\", \"token\", \"logprob\"}, \xE2\x80\xA6], before all options; a number is one of top_logprobs"},
	{"top_logprobs", NULL, NULL, NULL, false,
	"the likeliest tokens at each place as well"},
	{"grammar", "string", "string", NULL, false,
	"what the text may be, as a grammar: Constraints"},
	{"regex", "string", "string", NULL, false,
	"as a regular expression"},
	{"choices", "array", "array of strings", NULL, false,
	"one of these"},
	{"json_schema", "object or boolean", "schema", NULL, false,
	"JSON that is valid against it"},
	{"json", "boolean", "true", NULL, false,
	"any JSON"},
	{"on_limit", "string", "\"close\", \"error\"", "\"close\"", false,
	"what to do with one of these at max_tokens"},
	{"format", "string or object", "Ollama's or OpenAI's", NULL, false,
	"json or json_schema in their form"},
	{"on_error", "string", "\"error\", \"null\"", "\"error\"", false,
	"\"null\": NULL and a warning where a prompt has no answer"},
};

static Datum list_aliases(const Llama2OptionEntry *entry);
static const char *type_of(const Llama2OptionEntry *entry);
static const char *range_of(const Llama2OptionEntry *entry);
static const char *default_of(const Llama2OptionEntry *entry);
static Datum text_of_utf8(const char *utf8);

Datum
llama2_options(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (size_t i = 0; i < lengthof(descriptions); i++)
	{
		const Llama2OptionEntry *entry = &Llama2OptionTable[Llama2FindOption(descriptions[i].name)];
		char	   *parameter = psprintf("llama2.%s", entry->name);
		const char *range = descriptions[i].range ? descriptions[i].range : range_of(entry);
		const char *by_default = descriptions[i].by_default;
		Datum		values[N_COLUMNS];
		bool		nulls[N_COLUMNS] = {0};

		if (descriptions[i].is_parameter)
			by_default = GetConfigOption(parameter, false, false);
		else if (by_default == NULL && entry->read == NULL)
			by_default = default_of(entry);
		values[0] = CStringGetTextDatum(entry->name);
		values[1] = list_aliases(entry);
		values[2] = CStringGetTextDatum(descriptions[i].type ? descriptions[i].type : type_of(entry));
		values[3] = text_of_utf8(range);
		nulls[4] = by_default == NULL;
		values[4] = nulls[4] ? (Datum) 0 : text_of_utf8(by_default);
		nulls[5] = !descriptions[i].is_parameter;
		values[5] = nulls[5] ? (Datum) 0 : CStringGetTextDatum(parameter);
		values[6] = text_of_utf8(descriptions[i].description);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	PG_RETURN_NULL();
}

static Datum
list_aliases(const Llama2OptionEntry *entry)
{
	Datum		aliases[LLAMA2_MAX_ALIASES];
	int			n = 0;

	for (; n < LLAMA2_MAX_ALIASES && entry->aliases[n]; n++)
		aliases[n] = CStringGetTextDatum(entry->aliases[n]);
	return PointerGetDatum(construct_array(aliases, n, TEXTOID, -1, false, TYPALIGN_INT));
}

static const char *
type_of(const Llama2OptionEntry *entry)
{
	switch (entry->kind)
	{
		case LLAMA2_OPTION_INT:
			return "integer";
		case LLAMA2_OPTION_BIGINT:
			return "bigint";
		case LLAMA2_OPTION_FLOAT:
			return "number";
		case LLAMA2_OPTION_BOOL:
			return "boolean";
		case LLAMA2_OPTION_TEXT:
		case LLAMA2_OPTION_TEXTS:
		case LLAMA2_OPTION_VALUE:
			break;
	}
	return "any";
}

/* "0 \xE2\x80\xA6 1"; integers that nothing bounds have no end. */
static const char *
range_of(const Llama2OptionEntry *entry)
{
	if (entry->kind != LLAMA2_OPTION_INT && entry->kind != LLAMA2_OPTION_FLOAT)
		return type_of(entry);
	if (entry->max >= INT_MAX)
		return psprintf("%.10g \xE2\x80\xA6", entry->min);
	return psprintf("%s%.10g \xE2\x80\xA6 %.10g", entry->min_exclusive ? "above " : "", entry->min, entry->max);
}

static const char *
default_of(const Llama2OptionEntry *entry)
{
	Llama2Options defaults;
	const char *place = (const char *) &defaults + entry->offset;

	Llama2DefaultOptions(&defaults);
	if (entry->kind == LLAMA2_OPTION_BOOL)
		return *(const bool *) place ? "true" : "false";
	if (entry->kind == LLAMA2_OPTION_FLOAT)
		return psprintf("%g", *(const float *) place);
	return psprintf("%d", *(const int32 *) place);
}

static Datum
text_of_utf8(const char *utf8)
{
	return CStringGetTextDatum(pg_any_to_server(pstrdup(utf8), strlen(utf8), PG_UTF8));
}
