/*
 * scheduler.h
 *		Who runs in the next step.
 *
 * Sequences wait in one line for each session.  When a place in the batch is
 * free, the session with the fewest running sequences is served, among equals the one
 * whose first request is the oldest; if the cache has no room for that request, nobody
 * overtakes it.  A running sequence owns the pages for all positions that it can
 * come to have, so that nothing that runs ever lacks one.
 */
#ifndef LLM_SCHEDULER_H
#define LLM_SCHEDULER_H

#include "engine/sequence.h"

typedef struct LlmScheduler LlmScheduler;

typedef struct LlmSchedulerLimits
{
	int32_t		max_sequences;	/* running at once */
	int32_t		step_tokens;	/* of prompts in one step */
	int32_t		max_logits;		/* rows in one step, >= max_sequences */
} LlmSchedulerLimits;

extern LlmScheduler *llm_scheduler_create(LlmKvCache *cache, const LlmSchedulerLimits *limits);
extern void llm_scheduler_free(LlmScheduler *scheduler);	/* and its sequences */

/* Let a sequence wait; false for want of memory. */
extern bool llm_scheduler_add(LlmScheduler *scheduler, LlmSequence *sequence);

/* Take a sequence out, waiting or running, and give back its place and pages. */
extern void llm_scheduler_remove(LlmScheduler *scheduler, LlmSequence *sequence);

/* Make the next sequence run and return it, or NULL when none can. */
extern LlmSequence *llm_scheduler_admit(LlmScheduler *scheduler);

/*
 * One slice for every running sequence that takes part in the next step;
 * slices and owners have max_sequences places.  Returns how many.
 */
extern int32_t llm_scheduler_plan(LlmScheduler *scheduler, LlmSlice *slices, LlmSequence **owners);

/* Some sequence, running or waiting, of which `wanted` is true, or NULL. */
extern LlmSequence *llm_scheduler_find(const LlmScheduler *scheduler,
									   bool (*wanted) (const LlmSequence *sequence));

extern int32_t llm_scheduler_n_running(const LlmScheduler *scheduler);
extern int32_t llm_scheduler_n_waiting(const LlmScheduler *scheduler);

#endif							/* LLM_SCHEDULER_H */
