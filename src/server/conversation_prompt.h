/*
 * conversation_prompt.h
 *		What of a conversation is in the prompt of its next turn.
 */
#ifndef LLAMA2_CONVERSATION_PROMPT_H
#define LLAMA2_CONVERSATION_PROMPT_H

#include "server/call.h"
#include "server/conversation.h"

/* What a prompt is made of: messages and answers in turn, the new message last. */
typedef struct Llama2PromptParts
{
	text	   *system;			/* NULL: none */
	text	  **texts;
	int			n_texts;
} Llama2PromptParts;

/*
 * Choose the parts for a message, so that the call's max_tokens, or half of the context, is left for the answer.
 * Where that is not so, a notice is sent, and the conversation's first_turn and summary change; *new_summary is the
 * summary, or NULL where none was made.  Of a message that is too long by itself all turns stay.
 */
extern void Llama2ConversationFit(const Llama2Call *call, Llama2Conversation *conversation, text *message,
								  Llama2PromptParts *parts, text **new_summary);

/* The prompt of Llama2PromptParts; a Llama2PromptMaker. */
extern Llama2Prompt Llama2PromptFromParts(const Llama2Call *call, const void *parts);

#endif							/* LLAMA2_CONVERSATION_PROMPT_H */
