/*
 * call.h
 *		What every generating function begins with: arguments, model, prompt.
 */
#ifndef LLAMA2_CALL_H
#define LLAMA2_CALL_H

#include "server/options.h"
#include "server/prompt.h"
#include "server/request.h"

/* What argument 0 is. */
typedef enum Llama2PromptKind
{
	LLAMA2_PROMPT_TEXT,			/* text as it stands; in the chat template where "system" is given */
	LLAMA2_PROMPT_MESSAGE,		/* text of one user message */
	LLAMA2_PROMPT_MESSAGES		/* jsonb, a dialog */
} Llama2PromptKind;

typedef struct Llama2Call
{
	Llama2Options options;
	const Llama2Model *model;
	Llama2Prompt prompt;
} Llama2Call;

/* Options and model; the common arguments begin at 1.  The prompt is left empty. */
extern void Llama2BeginCall(FunctionCallInfo fcinfo, Llama2Call *call);

/* The same, and the prompt from argument 0, which is not null. */
extern void Llama2BeginCallWithPrompt(FunctionCallInfo fcinfo, Llama2PromptKind kind, Llama2Call *call);

/* A text as a prompt of this call. */
extern Llama2Prompt Llama2CallPrompt(const Llama2Call *call, text *prompt);

/* Queue a generating request for one prompt of the call; may_fail as in Llama2RequestSubmit. */
extern Llama2Request *Llama2SubmitCall(const Llama2Call *call, Llama2Prompt prompt, bool stream,
									   bool may_fail);

#endif							/* LLAMA2_CALL_H */
