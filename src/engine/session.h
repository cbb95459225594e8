/*
 * session.h
 *		One session's sequences: how many run, and who waits in which order.
 *
 * Of one session, whoever runs came before whoever waits.
 */
#ifndef LLM_SESSION_H
#define LLM_SESSION_H

#include "engine/sequence.h"

struct LlmSession
{
	uint64_t	id;
	int32_t		n_running;
	int32_t		budget;			/* prompt tokens that it may still have in this round
								 * (prompt_share.c) */
	LlmSequence *first;			/* the waiting line, oldest first */
	LlmSequence *last;
	LlmSession *next;
};

/* Join the end of the line, or its head; leave it. */
extern void llm_session_append(LlmSession *session, LlmSequence *sequence);
extern void llm_session_prepend(LlmSession *session, LlmSequence *sequence);
extern void llm_session_leave_line(LlmSession *session, LlmSequence *sequence);

#endif							/* LLM_SESSION_H */
