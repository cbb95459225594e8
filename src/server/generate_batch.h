/*
 * generate_batch.h
 *		Many prompts with the same settings as one batch, for callers that have no SQL arguments.
 */
#ifndef LLAMA2_GENERATE_BATCH_H
#define LLAMA2_GENERATE_BATCH_H

#include "server/call.h"
#include "server/progress.h"

#include "utils/jsonb.h"

/* How to generate, as triggers and jobs keep it. */
typedef struct Llama2Settings
{
	Jsonb	   *options;		/* as the argument "options" */
	text	   *system;			/* NULL: none */
	char	   *model;			/* NULL: llama2.model */
	bool		chat;			/* the prompt is a message, answered in the chat template */
} Llama2Settings;

/*
 * Read settings as users write them: name=value or a JSON object, one or more of them.  Besides the
 * options there are system, model and chat (by default true).  Everything is checked.
 */
extern Llama2Settings *Llama2ReadSettings(char *const *words, int n_words);

/* The options with the session's parameters where they give none, for a process that has called Llama2UseDefaultParameters. */
extern Jsonb *Llama2SettingsForLater(const Llama2Settings *settings);

/* Another number whenever these parameters, and so the options for later, are not what they were. */
extern uint64 Llama2DefaultsVersion(void);

/* Options and model of a call; the model is waited for. */
extern void Llama2BeginCallWith(const Llama2Settings *settings, Llama2Call *call);

/* Check options without a model. */
extern void Llama2CheckSettings(const Llama2Settings *settings, Llama2Options *options);

/* A text as a prompt of the call, as a message or as it stands. */
extern Llama2Prompt Llama2SettingsPrompt(const Llama2Settings *settings, const Llama2Call *call,
										 text *prompt);

/*
 * All prompts at once, as far as there are slots; the oldest is waited for where there are not.  A NULL prompt
 * has a NULL answer.  progress may be NULL.
 */
extern void Llama2GenerateBatch(const Llama2Call *call, bool chat, text *const *prompts, int n,
								text **answers, Llama2Progress *progress);

/* Queue one prompt; see Llama2RequestSubmit for may_fail. */
extern Llama2Request *Llama2SubmitJob(const Llama2Call *call, Llama2Prompt prompt, bool may_fail);

/* The text of a request that is done; does not release it. */
extern text *Llama2DoneText(const Llama2Model *model, Llama2Request *request);

#endif							/* LLAMA2_GENERATE_BATCH_H */
