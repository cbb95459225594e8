/*
 * chat_template.h
 *		Llama 2's chat template, as token ids.
 *
 * The rule is that of Meta's llama repository, generation.py, chat_completion:
 * a system message is folded into the first user message between "<<SYS>>\n" and
 * "\n<</SYS>>\n\n"; every finished turn is BOS, tokens of "[INST] user [/INST]
 * answer " (contents stripped of white space at both ends), EOS; the last
 * user message stays open after "[/INST]".  BOS and EOS come from the template
 * alone: the same characters in a message stay text.
 */
#ifndef LLM_CHAT_TEMPLATE_H
#define LLM_CHAT_TEMPLATE_H

#include "text/vocabulary.h"

typedef enum LlmChatRole
{
	LLM_ROLE_SYSTEM,
	LLM_ROLE_USER,
	LLM_ROLE_ASSISTANT
} LlmChatRole;

typedef struct LlmChatMessage
{
	LlmChatRole role;
	const char *content;		/* UTF-8, not terminated */
	size_t		length;
} LlmChatMessage;

/*
 * Check the order of roles (optional system, then user and assistant in turn,
 * a user message last).  On failure the message names the place, counted from 1.
 */
extern bool llm_chat_check(const LlmChatMessage *messages, int n_messages, LlmError *error);

/* The most ids that llm_chat_tokenize can give for these messages. */
extern size_t llm_chat_bound(const LlmChatMessage *messages, int n_messages);

/*
 * Tokenize a dialog that llm_chat_check accepts; ids has llm_chat_bound places.  With mark_answers the
 * tokens of answers have LLM_ANSWER_TOKEN: those that begin behind "[/INST]", without EOS.
 */
extern bool llm_chat_tokenize(const LlmVocabulary *vocabulary, const LlmChatMessage *messages,
							  int n_messages, bool mark_answers, int32_t *ids, size_t *n_ids, LlmError *error);

#endif							/* LLM_CHAT_TEMPLATE_H */
