/*
 * call.c
 *		What every generating function begins with: arguments, model, prompt.
 */
#include "server/call.h"

#include "utils/builtins.h"

static void check_context_length(const Llama2Call *call);
static void check_logit_bias(const Llama2Call *call);

void
Llama2BeginCall(FunctionCallInfo fcinfo, Llama2Call *call)
{
	Llama2BeginCallFor(fcinfo, 1, 0, call);
}

void
Llama2BeginCallFor(FunctionCallInfo fcinfo, int first, int allowed, Llama2Call *call)
{
	Llama2RequirePreload();
	Llama2ReadOptionsFor(fcinfo, first, allowed, &call->options);
	Llama2UseCallModel(call);
}

void
Llama2UseCallModel(Llama2Call *call)
{
	call->model = Llama2UseModel(call->options.model);
	check_logit_bias(call);
	check_context_length(call);
}

Llama2Prompt
Llama2CallPrompt(const Llama2Call *call, Llama2PromptKind kind, Datum value)
{
	const Llama2Model *model = call->model;
	text	   *system = call->options.system;
	Llama2Prompt prompt = {0};

	switch (kind)
	{
		case LLAMA2_PROMPT_TEXT:
			if (system)
				prompt = Llama2PromptFromMessage(model, DatumGetTextPP(value), system);
			else
				prompt = Llama2PromptFromText(model, DatumGetTextPP(value));
			break;
		case LLAMA2_PROMPT_MESSAGE:
			prompt = Llama2PromptFromMessage(model, DatumGetTextPP(value), system);
			break;
		case LLAMA2_PROMPT_MESSAGES:
			prompt = Llama2PromptFromMessages(model, DatumGetJsonbP(value), system);
			break;
		case LLAMA2_PROMPT_TO_EMBED:
			return Llama2PromptToEmbed(model, DatumGetTextPP(value), call->options.truncate);
	}
	Llama2CheckPromptFits(call, prompt.n_ids);
	return prompt;
}

int32
Llama2ContextLength(const Llama2Call *call)
{
	return call->options.context_length > 0 ? call->options.context_length : call->model->context_length;
}

void
Llama2CheckPromptFits(const Llama2Call *call, int32 n_ids)
{
	if (n_ids >= Llama2ContextLength(call))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("prompt of %d tokens does not fit the context of %d tokens of model \"%s\"",
						n_ids, Llama2ContextLength(call), call->model->name),
				 errhint("Shorten the prompt; llama2_count_tokens() tells its length.")));
}

void
Llama2CallSpec(const Llama2Call *call, Llama2Prompt prompt, Llama2RequestSpec *spec)
{
	const Llama2Options *options = &call->options;

	memset(spec, 0, sizeof(*spec));
	spec->model = call->model;
	spec->kind = LLM_GENERATE;
	spec->prompt = prompt.ids;
	spec->n_prompt = prompt.n_ids;
	spec->max_tokens = options->max_tokens;
	if (!options->context_shift)
		spec->max_tokens = Min(spec->max_tokens, Llama2ContextLength(call) - prompt.n_ids);
	spec->context_length = options->context_length;
	spec->shift_context = options->context_shift;
	spec->n_keep = options->n_keep;
	spec->n_top = options->top_logprobs;
	spec->sampling = options->sampling;
	spec->n_stops = options->n_stops;
	memcpy(spec->stops, options->stops, sizeof(spec->stops));
	memcpy(spec->stop_lengths, options->stop_lengths, sizeof(spec->stop_lengths));
	spec->grammar = options->grammar;
	spec->on_limit = options->on_limit;
	spec->strip_leading_space = !options->echo;
	spec->is_reproducible = options->seed_given || options->sampling.temperature == 0;
}

static void
check_context_length(const Llama2Call *call)
{
	if (call->options.context_length > call->model->context_length)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("context_length %d is greater than the context of %d tokens of model \"%s\"",
						call->options.context_length, call->model->context_length, call->model->name),
				 errhint("The server's parameter llama2.context_length says how long it is.")));
}

/* Its tokens must be the model's. */
static void
check_logit_bias(const Llama2Call *call)
{
	const LlmSamplingOptions *sampling = &call->options.sampling;
	int32		n_tokens = llm_vocabulary_count(call->model->vocabulary);

	for (int i = 0; i < sampling->n_logit_bias; i++)
		if (sampling->logit_bias_token[i] >= n_tokens)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("token %d in option \"logit_bias\" is not in the vocabulary of model \"%s\"",
							sampling->logit_bias_token[i], call->model->name),
					 errdetail("Its tokens are 0 to %d.", n_tokens - 1)));
}
