/*
 * generate_batch.c
 *		Many prompts with the same settings as one batch, for callers that have no SQL arguments.
 */
#include "server/generate_batch.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"

#include "server/option_table.h"
#include "server/parameters.h"
#include "server/text_output.h"
#include "server/work.h"
#include "shared/compat.h"
#include "shared/model_table.h"

/* The session's parameters that a job has to know. */
typedef struct Defaults
{
	int			max_tokens;
	int			top_k;
	int			seed;
	double		temperature;
	double		top_p;
	double		min_p;
	double		repeat_penalty;
} Defaults;

static Llama2Work *ask(const Llama2Call *call, bool chat, text *prompt);
static text *take_answer(Llama2Work *work, Llama2Duplicates *duplicates, Llama2Progress *progress);
static Llama2PromptKind prompt_kind(bool chat);
static Jsonb *settings_word(const char *word);
static Llama2OptionKind kind_of_setting(const char *name);
static bool is_json(Llama2OptionKind kind, const char *value);
static void append_changed(StringInfo json, const char *name, double value, double unchanged);
static Jsonb *concat(Jsonb *first, Jsonb *second);
static JsonbValue *take_key(Jsonb **options, const char *key, JsonbValue *value);
static text *take_text(Jsonb **options, const char *key);

Llama2Settings *
Llama2ReadSettings(char *const *words, int n_words)
{
	Llama2Settings *settings = palloc0(sizeof(Llama2Settings));
	Llama2Options options;
	JsonbValue	value;
	text	   *model;

	settings->options = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")));
	for (int i = 0; i < n_words; i++)
		settings->options = concat(settings->options, settings_word(words[i]));
	settings->system = take_text(&settings->options, "system");
	model = take_text(&settings->options, "model");
	if (model)
		settings->model = text_to_cstring(model);
	if (settings->model && !Llama2ModelNameIsValid(settings->model))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid model name \"%s\"", settings->model)));
	settings->chat = true;
	if (take_key(&settings->options, "chat", &value))
	{
		if (value.type != jbvBool)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("option \"chat\" must be true or false")));
		settings->chat = value.val.boolean;
	}
	Llama2CheckSettings(settings, &options);
	return settings;
}

uint64
Llama2DefaultsVersion(void)
{
	static Defaults seen;
	static uint64 version = 0;
	Defaults	now;

	/* with its padding, as it is compared as bytes */
	memset(&now, 0, sizeof(now));
	now.max_tokens = Min(llama2_max_tokens, llama2_max_tokens_limit);
	now.top_k = llama2_top_k;
	now.seed = llama2_seed;
	now.temperature = llama2_temperature;
	now.top_p = llama2_top_p;
	now.min_p = llama2_min_p;
	now.repeat_penalty = llama2_repeat_penalty;
	if (version == 0 || memcmp(&now, &seen, sizeof(now)) != 0)
	{
		seen = now;
		version++;
	}
	return version;
}

Jsonb *
Llama2SettingsForLater(const Llama2Settings *settings)
{
	StringInfoData changed;

	initStringInfo(&changed);
	append_changed(&changed, "max_tokens", Min(llama2_max_tokens, llama2_max_tokens_limit), LLAMA2_DEFAULT_MAX_TOKENS);
	append_changed(&changed, "temperature", llama2_temperature, LLAMA2_DEFAULT_TEMPERATURE);
	append_changed(&changed, "top_p", llama2_top_p, LLAMA2_DEFAULT_TOP_P);
	append_changed(&changed, "top_k", llama2_top_k, LLAMA2_DEFAULT_TOP_K);
	append_changed(&changed, "min_p", llama2_min_p, LLAMA2_DEFAULT_MIN_P);
	append_changed(&changed, "repeat_penalty", llama2_repeat_penalty, LLAMA2_DEFAULT_REPEAT_PENALTY);
	append_changed(&changed, "seed", llama2_seed, LLAMA2_DEFAULT_SEED);
	appendStringInfoString(&changed, changed.len > 0 ? "}" : "{}");
	return concat(DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(changed.data))),
				  Llama2OptionsByName(settings->options));
}

void
Llama2BeginCallWith(const Llama2Settings *settings, Llama2Call *call)
{
	Llama2CheckSettings(settings, &call->options);
	Llama2UseCallModel(call);
}

/* As if the settings came as the arguments of a function. */
void
Llama2CheckSettings(const Llama2Settings *settings, Llama2Options *options)
{
	LOCAL_FCINFO(fcinfo, LLAMA2_ARG_OPTIONS + 1);

	InitFunctionCallInfoData(*fcinfo, NULL, LLAMA2_ARG_OPTIONS + 1, InvalidOid, NULL, NULL);
	for (int i = 0; i <= LLAMA2_ARG_OPTIONS; i++)
		fcinfo->args[i].isnull = true;
	fcinfo->args[LLAMA2_ARG_OPTIONS].value = JsonbPGetDatum(settings->options);
	fcinfo->args[LLAMA2_ARG_OPTIONS].isnull = false;
	Llama2ReadOptions(fcinfo, 0, options);
	options->system = settings->system;
	options->model = settings->model;
}

Llama2Prompt
Llama2SettingsPrompt(const Llama2Settings *settings, const Llama2Call *call, text *prompt)
{
	return Llama2CallPrompt(call, prompt_kind(settings->chat), PointerGetDatum(prompt));
}

Llama2Request *
Llama2SubmitJob(const Llama2Call *call, Llama2Prompt prompt, bool may_fail)
{
	Llama2RequestSpec spec;

	Llama2CallSpec(call, prompt, &spec);
	spec.gives_way = true;
	return Llama2RequestSubmit(&spec, may_fail);
}

/* With one seed for all, each is generated as it would be alone. */
void
Llama2GenerateBatch(const Llama2Call *call, bool chat, text *const *prompts, int n, text **answers,
					Llama2Progress *progress)
{
	Llama2Work **works = palloc0(sizeof(Llama2Work *) * Max(n, 1));
	Llama2Duplicates *duplicates = n > 1 ? Llama2CreateDuplicates((Size) work_mem * 1024 / 4) : NULL;
	int			n_submitted = 0;

	for (int i = 0; i < n; i++)
	{
		for (; n_submitted < n; n_submitted++)
		{
			if (prompts[n_submitted] == NULL)
				continue;
			if (works[n_submitted] == NULL)
				works[n_submitted] = ask(call, chat, prompts[n_submitted]);
			if (!Llama2WorkSubmit(works[n_submitted], duplicates, n_submitted > i))
				break;
		}
		answers[i] = works[i] ? take_answer(works[i], duplicates, progress) : NULL;
	}
	if (duplicates)
		Llama2FreeDuplicates(duplicates);
	pfree(works);
}

text *
Llama2DoneText(const Llama2Model *model, Llama2Request *request)
{
	int32		n_results = Llama2RequestWait(request, PG_INT32_MAX);
	const LlmTokenResult *results = Llama2RequestResults(request);
	Llama2TextOutput output;

	Llama2TextBegin(&output, model->vocabulary, Llama2RequestSlotOf(request)->strip_leading_space);
	for (int32 i = 0; i < n_results; i++)
		Llama2TextAddToken(&output, results[i].token);
	return Llama2TextRelease(&output, Llama2RequestSlotOf(request)->text_bytes, true);
}

static Llama2Work *
ask(const Llama2Call *call, bool chat, text *prompt)
{
	Llama2Work *work = palloc0(sizeof(Llama2Work));

	work->call = *call;
	work->kind = LLM_GENERATE;
	Llama2WorkAllocate(work, 1);
	Llama2Ask(work, 0, prompt_kind(chat), PointerGetDatum(prompt));
	return work;
}

/* Wait for the text, and free the work; NULL where there is none, and options allow that. */
static text *
take_answer(Llama2Work *work, Llama2Duplicates *duplicates, Llama2Progress *progress)
{
	text	   *answer = NULL;

	Llama2WorkFinish(work, duplicates);
	if (Llama2IsAnswered(work, 0))
		answer = Llama2DoneText(work->call.model, work->questions[0].request);
	Llama2WorkEnd(work);
	Llama2ProgressRequests(progress, 1, work->counts.prompt_tokens, work->counts.completion_tokens);
	if (work->questions[0].prompt.ids)
		pfree(work->questions[0].prompt.ids);
	pfree(work->questions);
	pfree(work);
	return answer;
}

static Llama2PromptKind
prompt_kind(bool chat)
{
	return chat ? LLAMA2_PROMPT_MESSAGE : LLAMA2_PROMPT_TEXT;
}

/* One name=value, or a JSON object, as jsonb. */
static Jsonb *
settings_word(const char *word)
{
	const char *start = word + strspn(word, " \t\r\n");
	const char *equals = strchr(start, '=');
	StringInfoData json;
	char	   *name;

	if (*start == '\0')
		return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")));
	if (*start == '{')
		return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(start)));
	if (equals == NULL || equals == start)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid option \"%s\"", word),
				 errhint("Write name=value, as in max_tokens=40, or a JSON object.")));
	name = pnstrdup(start, equals - start);
	for (char *end = name + strlen(name); end > name && end[-1] == ' ';)
		*--end = '\0';
	equals += 1 + strspn(equals + 1, " ");
	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	escape_json(&json, name);
	appendStringInfoChar(&json, ':');
	if (is_json(kind_of_setting(name), equals))
		appendStringInfoString(&json, equals);
	else
		escape_json(&json, equals);
	appendStringInfoChar(&json, '}');
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data)));
}

static Llama2OptionKind
kind_of_setting(const char *name)
{
	int			option = Llama2LookUpOption(name);

	if (option >= 0)
		return Llama2OptionTable[option].kind;
	return strcmp(name, "system") == 0 || strcmp(name, "model") == 0 ? LLAMA2_OPTION_TEXT : LLAMA2_OPTION_VALUE;
}

/* Is the value written as JSON?  What can only be a string is the string as it stands. */
static bool
is_json(Llama2OptionKind kind, const char *value)
{
	char	   *end;

	if (kind == LLAMA2_OPTION_TEXT)
		return false;
	if (kind == LLAMA2_OPTION_TEXTS)
		return *value == '[' || *value == '"';
	if (*value == '[' || *value == '{' || *value == '"' || strcmp(value, "true") == 0 ||
		strcmp(value, "false") == 0 || strcmp(value, "null") == 0)
		return true;
	if (*value != '-' && (*value < '0' || *value > '9'))
		return false;
	(void) strtod(value, &end);
	return end[strspn(end, " \t\r\n")] == '\0';
}

/* A member of an object that is begun with the first. */
static void
append_changed(StringInfo json, const char *name, double value, double unchanged)
{
	if (value != unchanged)
		appendStringInfo(json, "%s\"%s\": %.15g", json->len > 0 ? ", " : "{", name, value);
}

static Jsonb *
concat(Jsonb *first, Jsonb *second)
{
	if (!JB_ROOT_IS_OBJECT(second))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options must be a JSON object")));
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(first), JsonbPGetDatum(second)));
}

/* What the options say of a key, which is taken out of them; NULL where it is not there or null. */
static JsonbValue *
take_key(Jsonb **options, const char *key, JsonbValue *value)
{
	JsonbValue *found = getKeyJsonValueFromContainer(&(*options)->root, key, strlen(key), value);

	if (found == NULL)
		return NULL;
	*options = DatumGetJsonbP(DirectFunctionCall2(jsonb_delete, JsonbPGetDatum(*options),
												  PointerGetDatum(cstring_to_text(key))));
	return found->type == jbvNull ? NULL : found;
}

static text *
take_text(Jsonb **options, const char *key)
{
	JsonbValue	value;

	if (take_key(options, key, &value) == NULL)
		return NULL;
	if (value.type != jbvString)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" must be a string", key)));
	return cstring_to_text_with_len(value.val.string.val, value.val.string.len);
}
