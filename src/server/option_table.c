/*
 * option_table.c
 *		The options of generating functions: their names, where their values go, what values they take.
 *
 * Names are llama.cpp's where it has the option.  Aliases are those of Ollama, of llama.cpp's server and command line, of
 * OpenAI's API, vLLM and Hugging Face.
 */
#include "server/option_table.h"

#include <limits.h>

#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/varlena.h"

#include "server/grammar_options.h"
#include "server/option_values.h"

#define PLACE(field) offsetof(Llama2Options, field)
#define INTEGER(field, min, max) LLAMA2_OPTION_INT, PLACE(field), min, max, false, NULL
#define NUMBER(field, min, max) LLAMA2_OPTION_FLOAT, PLACE(field), min, max, false, NULL
#define POSITIVE(field, max) LLAMA2_OPTION_FLOAT, PLACE(field), 0, max, true, NULL
#define BOOLEAN(field) LLAMA2_OPTION_BOOL, PLACE(field), 0, 0, false, NULL
#define TEXT(function) LLAMA2_OPTION_TEXT, 0, 0, 0, false, function
#define TEXTS(function) LLAMA2_OPTION_TEXTS, 0, 0, 0, false, function
#define VALUE(function) LLAMA2_OPTION_VALUE, 0, 0, 0, false, function

pg_noreturn static void unknown_option(const char *name);
static void consider(const char *name, const char *candidate, const char **nearest, int *least);
static char *list_options(void);

const Llama2OptionEntry Llama2OptionTable[] = {
	{"max_tokens", {"num_predict", "n_predict", "max_new_tokens", "max_completion_tokens", "max_output_tokens"},
	INTEGER(max_tokens, 1, INT_MAX), true},
	{"temperature", {"temp"}, NUMBER(sampling.temperature, 0, 100)},
	{"top_p", {NULL}, POSITIVE(sampling.top_p, 1)},
	{"top_k", {NULL}, INTEGER(sampling.top_k, 0, INT_MAX)},
	{"min_p", {NULL}, NUMBER(sampling.min_p, 0, 1)},
	{"typical_p", {"typ_p", "typical"}, POSITIVE(sampling.typical_p, 1)},
	{"top_n_sigma", {"top_nsigma", "nsigma"}, NUMBER(sampling.top_n_sigma, -1, 100)},
	{"xtc_probability", {NULL}, NUMBER(sampling.xtc_probability, 0, 1)},
	{"xtc_threshold", {NULL}, NUMBER(sampling.xtc_threshold, 0, 1)},
	{"dynatemp_range", {NULL}, NUMBER(sampling.dynatemp_range, 0, 100)},
	{"dynatemp_exponent", {"dynatemp_exp"}, NUMBER(sampling.dynatemp_exponent, 0, 100)},
	{"mirostat", {"mirostat_mode"}, INTEGER(sampling.mirostat, 0, 2)},
	{"mirostat_tau", {"mirostat_ent"}, NUMBER(sampling.mirostat_tau, 0, 100)},
	{"mirostat_eta", {"mirostat_lr"}, NUMBER(sampling.mirostat_eta, 0, 1)},
	{"seed", {"random_seed"}, LLAMA2_OPTION_BIGINT, PLACE(seed), -9223372036854775808.0, 9223372036854775807.0, false, NULL},
	{"repeat_penalty", {"repetition_penalty"}, POSITIVE(sampling.repeat_penalty, 100)},
	{"frequency_penalty", {NULL}, NUMBER(sampling.frequency_penalty, -100, 100)},
	{"presence_penalty", {NULL}, NUMBER(sampling.presence_penalty, -100, 100)},
	{"repeat_last_n", {"penalty_last_n"}, INTEGER(sampling.repeat_last_n, -1, INT_MAX)},
	{"dry_multiplier", {NULL}, NUMBER(sampling.dry_multiplier, 0, 100)},
	{"dry_base", {NULL}, NUMBER(sampling.dry_base, 1, 100)},
	{"dry_allowed_length", {NULL}, INTEGER(sampling.dry_allowed_length, 1, INT_MAX)},
	{"dry_penalty_last_n", {NULL}, INTEGER(sampling.dry_penalty_last_n, -1, INT_MAX)},
	{"dry_sequence_breakers", {"dry_sequence_breaker"}, TEXTS(Llama2ReadDryBreakers)},
	{"logit_bias", {NULL}, VALUE(Llama2ReadLogitBias)},
	{"ignore_eos", {NULL}, BOOLEAN(sampling.ignore_eos)},
	{"min_tokens", {"min_new_tokens"}, INTEGER(sampling.min_tokens, 0, INT_MAX)},
	{"stop", {"stop_sequences", "stop_strings"}, TEXTS(Llama2ReadStop)},
	{"context_length", {"num_ctx", "n_ctx", "ctx_size", "max_model_len"}, INTEGER(context_length, 2, INT_MAX)},
	{"context_shift", {"shift"}, BOOLEAN(context_shift)},
	{"n_keep", {"num_keep"}, INTEGER(n_keep, -1, INT_MAX)},
	{"n", {"num_return_sequences", "n_cmpl"}, INTEGER(n, 1, LLAMA2_MAX_ALTERNATIVES)},
	{"best_of", {NULL}, INTEGER(best_of, 1, LLAMA2_MAX_ALTERNATIVES)},
	{"echo", {"return_full_text"}, BOOLEAN(echo)},
	{"logprobs", {NULL}, VALUE(Llama2ReadLogprobs)},
	{"top_logprobs", {"n_probs"}, INTEGER(top_logprobs, 0, LLM_MAX_TOP_LOGPROBS)},
	{"grammar", {"guided_grammar"}, TEXT(Llama2ReadGrammarOption)},
	{"regex", {"guided_regex"}, TEXT(Llama2ReadGrammarOption)},
	{"choices", {"guided_choice"}, VALUE(Llama2ReadGrammarOption)},
	{"json_schema", {"guided_json"}, VALUE(Llama2ReadGrammarOption)},
	{"json", {NULL}, VALUE(Llama2ReadGrammarOption)},
	{"format", {"response_format"}, VALUE(Llama2ReadFormat)},
	{"on_limit", {NULL}, TEXT(Llama2ReadGrammarOption)},
	{"on_error", {NULL}, TEXT(Llama2ReadOnErrorOption)},
};

const int	Llama2OptionCount = lengthof(Llama2OptionTable);

StaticAssertDecl(lengthof(Llama2OptionTable) <= LLAMA2_MAX_OPTIONS, "too many options");

int
Llama2LookUpOption(const char *name)
{
	for (int i = 0; i < Llama2OptionCount; i++)
	{
		const Llama2OptionEntry *entry = &Llama2OptionTable[i];

		if (strcmp(entry->name, name) == 0)
			return i;
		for (int k = 0; k < LLAMA2_MAX_ALIASES && entry->aliases[k]; k++)
			if (strcmp(entry->aliases[k], name) == 0)
				return i;
	}
	return -1;
}

int
Llama2FindOption(const char *name)
{
	int			option = Llama2LookUpOption(name);

	if (option < 0)
		unknown_option(name);
	return option;
}

/* Name the option that was probably meant: at most half of the letters are wrong, and at most three. */
static void
unknown_option(const char *name)
{
	const char *nearest = NULL;
	const char *lower = asc_tolower(name, strlen(name));
	int			least = Min((int) strlen(name) / 2, 3) + 1;

	for (int i = 0; i < Llama2OptionCount; i++)
	{
		const Llama2OptionEntry *entry = &Llama2OptionTable[i];

		consider(lower, entry->name, &nearest, &least);
		for (int k = 0; k < LLAMA2_MAX_ALIASES && entry->aliases[k]; k++)
			consider(lower, entry->aliases[k], &nearest, &least);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized option \"%s\"", name),
			 nearest ? errhint("Perhaps you meant the option \"%s\".", nearest) :
			 errhint("Options are %s.", list_options())));
}

static void
consider(const char *name, const char *candidate, const char **nearest, int *least)
{
	int			distance = varstr_levenshtein_less_equal(name, Min(strlen(name), 63), candidate, strlen(candidate),
														 1, 1, 1, *least, true);

	if (distance < *least)
	{
		*nearest = candidate;
		*least = distance;
	}
}

/* "a, b and c" */
static char *
list_options(void)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < Llama2OptionCount; i++)
		appendStringInfo(&list, "%s%s", i == 0 ? "" : i == Llama2OptionCount - 1 ? " and " : ", ",
						 Llama2OptionTable[i].name);
	return list.data;
}
