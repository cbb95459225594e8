/*
 * prompt_share.h
 *		How the prompt tokens of a step are divided.
 *
 * Sessions get even shares, whatever the number of their requests; within a session the
 * oldest is served first, so that its text can begin.  What one does not need goes to the others.
 */
#ifndef LLM_PROMPT_SHARE_H
#define LLM_PROMPT_SHARE_H

#include "engine/scheduler.h"

/*
 * Set every running sequence's chunk: one token where it decodes, none where it waits
 * for a page that another computes.  running [n_running], oldest first.
 */
extern void llm_share_prompt_tokens(LlmSequence *const *running, int32_t n_running,
									const LlmSchedulerLimits *limits);

#endif							/* LLM_PROMPT_SHARE_H */
