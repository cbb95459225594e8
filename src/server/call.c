/*
 * call.c
 *		What every generating function begins with: arguments, model, prompt.
 */
#include "server/call.h"

#include "utils/builtins.h"

static void check_fits(const Llama2Call *call, Llama2Prompt prompt);

void
Llama2BeginCall(FunctionCallInfo fcinfo, Llama2Call *call)
{
	Llama2RequirePreload();
	Llama2ReadOptions(fcinfo, 1, &call->options);
	call->model = Llama2UseModel(call->options.model);
	call->prompt.ids = NULL;
	call->prompt.n_ids = 0;
}

void
Llama2BeginCallWithPrompt(FunctionCallInfo fcinfo, Llama2PromptKind kind, Llama2Call *call)
{
	Llama2BeginCall(fcinfo, call);
	switch (kind)
	{
		case LLAMA2_PROMPT_TEXT:
			call->prompt = Llama2CallPrompt(call, PG_GETARG_TEXT_PP(0));
			break;
		case LLAMA2_PROMPT_MESSAGE:
			call->prompt = Llama2PromptFromMessage(call->model, PG_GETARG_TEXT_PP(0), call->options.system);
			break;
		case LLAMA2_PROMPT_MESSAGES:
			call->prompt = Llama2PromptFromMessages(call->model, PG_GETARG_JSONB_P(0), call->options.system);
			break;
	}
}

Llama2Prompt
Llama2CallPrompt(const Llama2Call *call, text *prompt)
{
	if (call->options.system)
		return Llama2PromptFromMessage(call->model, prompt, call->options.system);
	return Llama2PromptFromText(call->model, prompt);
}

Llama2Request *
Llama2SubmitCall(const Llama2Call *call, Llama2Prompt prompt, bool stream, bool may_fail)
{
	const Llama2Options *options = &call->options;
	Llama2RequestSpec spec = {0};

	check_fits(call, prompt);
	spec.model = call->model;
	spec.kind = LLM_GENERATE;
	spec.prompt = prompt.ids;
	spec.n_prompt = prompt.n_ids;
	spec.max_tokens = Min(options->max_tokens, call->model->context_length - prompt.n_ids);
	spec.sampling = options->sampling;
	spec.n_stops = options->n_stops;
	memcpy(spec.stops, options->stops, sizeof(spec.stops));
	memcpy(spec.stop_lengths, options->stop_lengths, sizeof(spec.stop_lengths));
	spec.grammar = options->grammar;
	spec.on_limit = options->on_limit;
	spec.strip_leading_space = true;
	spec.stream = stream;
	return Llama2RequestSubmit(&spec, may_fail);
}

/* What depends on the model: the prompt's length, and the tokens of logit_bias. */
static void
check_fits(const Llama2Call *call, Llama2Prompt prompt)
{
	const Llama2Model *model = call->model;
	const LlmSamplingOptions *sampling = &call->options.sampling;
	int32		n_tokens = llm_vocabulary_count(model->vocabulary);

	if (prompt.n_ids >= model->context_length)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("prompt of %d tokens does not fit the context of %d tokens of model \"%s\"",
						prompt.n_ids, model->context_length, model->name),
				 errhint("Shorten the prompt; llama2_count_tokens() tells its length.")));
	for (int i = 0; i < sampling->n_logit_bias; i++)
		if (sampling->logit_bias_token[i] >= n_tokens)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("token %d in option \"logit_bias\" is not in the vocabulary of model \"%s\"",
							sampling->logit_bias_token[i], model->name),
					 errdetail("Its tokens are 0 to %d.", n_tokens - 1)));
}
