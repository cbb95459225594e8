/*
 * call.h
 *		What every generating function begins with: arguments, model, prompt.
 */
#ifndef LLAMA2_CALL_H
#define LLAMA2_CALL_H

#include "server/options.h"
#include "server/prompt.h"
#include "server/request.h"

/* What a prompt is made from. */
typedef enum Llama2PromptKind
{
	LLAMA2_PROMPT_TEXT,			/* text as it stands; in the chat template where "system" is given */
	LLAMA2_PROMPT_MESSAGE,		/* text of one user message */
	LLAMA2_PROMPT_MESSAGES,		/* jsonb, a dialog */
	LLAMA2_PROMPT_TO_EMBED		/* text as it stands, after which nothing comes */
} Llama2PromptKind;

typedef struct Llama2Call
{
	Llama2Options options;
	const Llama2Model *model;
} Llama2Call;

/* Options and model; the common arguments begin at 1. */
extern void Llama2BeginCall(FunctionCallInfo fcinfo, Llama2Call *call);

/* The same with options that only some functions know (options.h); the common arguments begin at `first`. */
extern void Llama2BeginCallFor(FunctionCallInfo fcinfo, int first, int allowed, Llama2Call *call);

/* The model that the call's options name, which is waited for; they are checked against it. */
extern void Llama2UseCallModel(Llama2Call *call);

/* The prompt that a value, not null, is in this call. */
extern Llama2Prompt Llama2CallPrompt(const Llama2Call *call, Llama2PromptKind kind, Datum value);

/* Raise an error where a prompt of so many tokens leaves no room for an answer. */
extern void Llama2CheckPromptFits(const Llama2Call *call, int32 n_ids);

/* Tokens of the prompt and the answer together: the model's, or less where the options say so. */
extern int32 Llama2ContextLength(const Llama2Call *call);

/* A generating request for a prompt of the call. */
extern void Llama2CallSpec(const Llama2Call *call, Llama2Prompt prompt, Llama2RequestSpec *spec);

#endif							/* LLAMA2_CALL_H */
