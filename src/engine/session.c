/*
 * session.c
 *		A session's waiting line: a list that is linked both ways.
 */
#include "engine/session.h"

static void insert(LlmSession *session, LlmSequence *sequence, LlmSequence *previous, LlmSequence *next);

void
llm_session_append(LlmSession *session, LlmSequence *sequence)
{
	insert(session, sequence, session->last, NULL);
}

void
llm_session_prepend(LlmSession *session, LlmSequence *sequence)
{
	insert(session, sequence, NULL, session->first);
}

void
llm_session_leave_line(LlmSession *session, LlmSequence *sequence)
{
	if (sequence->previous != NULL)
		sequence->previous->next = sequence->next;
	else
		session->first = sequence->next;
	if (sequence->next != NULL)
		sequence->next->previous = sequence->previous;
	else
		session->last = sequence->previous;
	sequence->previous = NULL;
	sequence->next = NULL;
}

static void
insert(LlmSession *session, LlmSequence *sequence, LlmSequence *previous, LlmSequence *next)
{
	sequence->session = session;
	sequence->previous = previous;
	sequence->next = next;
	if (previous != NULL)
		previous->next = sequence;
	else
		session->first = sequence;
	if (next != NULL)
		next->previous = sequence;
	else
		session->last = sequence;
}
