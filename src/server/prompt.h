/*
 * prompt.h
 *		From SQL values to the token ids of a prompt.
 */
#ifndef LLAMA2_PROMPT_H
#define LLAMA2_PROMPT_H

#include "postgres.h"

#include "utils/jsonb.h"

#include "server/model_use.h"
#include "shared/compat.h"
#include "text/chat_template.h"

typedef struct Llama2Prompt
{
	int32	   *ids;
	int32		n_ids;
} Llama2Prompt;

/* A text as it stands, BOS first where the model's vocabulary wants it. */
extern Llama2Prompt Llama2PromptFromText(const Llama2Model *model, text *value);

/*
 * The same of a text that is not empty and may fill the context; a longer one is an error, or cut to its first
 * tokens.
 */
extern Llama2Prompt Llama2PromptToEmbed(const Llama2Model *model, text *value, bool truncate);

/* One user message, with an optional system message (NULL: none), in the chat template. */
extern Llama2Prompt Llama2PromptFromMessage(const Llama2Model *model, text *message, text *system);

/* [{"role": ..., "content": ...}, ...], with an optional system message to put first. */
extern Llama2Prompt Llama2PromptFromMessages(const Llama2Model *model, Jsonb *messages, text *system);

/* Messages and answers in turn, a message last, with an optional system message. */
extern Llama2Prompt Llama2PromptFromTurns(const Llama2Model *model, text *system, text *const *texts, int n_texts);

/* May a text of so many bytes, in UTF-8, fit the context?  If not, it does not whatever its tokens are. */
extern bool Llama2TextMayFit(const Llama2Model *model, size_t length);

/*
 * Refuse a text that is too long for the context whatever its tokens are: tokenizing it
 * could take long, and nothing interrupts that.
 */
extern void Llama2CheckTextLength(const Llama2Model *model, size_t length);

/* Tokenize; with offsets where wanted (NULL: not).  palloc'd. */
extern Llama2Prompt Llama2Tokenize(const Llama2Model *model, const char *utf8, size_t length,
								   bool with_bos, size_t **offsets);

/* Raise an error of the text or engine library as this backend's. */
pg_noreturn extern void Llama2RaiseEngineError(const LlmError *error);

#endif							/* LLAMA2_PROMPT_H */
