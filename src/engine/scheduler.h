/*
 * scheduler.h
 *		Who runs in the next step.
 *
 * Sequences wait in one line for each session.  When a place in the batch is
 * free, the session with the fewest running sequences is served, among equals the one
 * whose first request is the oldest; if the cache has no room for that request, nobody
 * overtakes it.
 *
 * A running sequence takes pages as it grows.  When no page can be had, the session with the most running
 * sequences gives up its youngest, among equal sessions the youngest of them all: its pages go, and
 * it waits at the head of its line to be computed again from its tokens.
 * So the oldest running sequence is never stopped, and alone every sequence has room.
 *
 * A step takes every running sequence; but where all decode and fewer of them yield more tokens a second, they
 * take turns (step_width.h), which is quicker for each of them.
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
	bool		prefix_cache;	/* requests that want to may share pages */
	bool		prompts_differ; /* a prompt's tokens have other bits than generated ones */
	bool		speculation;	/* whoever decodes may add drafts */
	bool		take_turns;		/* whoever decodes may sit out a step, as step_width.h says */
} LlmSchedulerLimits;

extern LlmScheduler *llm_scheduler_create(LlmKvCache *cache, const LlmSchedulerLimits *limits);
extern void llm_scheduler_free(LlmScheduler *scheduler);	/* and its sequences */

/* Let a sequence wait; false for want of memory. */
extern bool llm_scheduler_add(LlmScheduler *scheduler, LlmSequence *sequence);

/* Take a sequence out, waiting or running, and give back its place and pages. */
extern void llm_scheduler_remove(LlmScheduler *scheduler, LlmSequence *sequence);

/* Make the next sequence run and return it, or NULL when none can. */
extern LlmSequence *llm_scheduler_admit(LlmScheduler *scheduler);

/* So many tokens more of a running sequence have been computed. */
extern void llm_scheduler_advance(LlmScheduler *scheduler, LlmSequence *sequence, int32_t n_tokens);

/*
 * Shift the full context of a running sequence.  What was computed of the tokens that it keeps is computed again at their
 * new positions, as of a prompt: so its results are those of these tokens, whether or not it is preempted meanwhile.
 */
extern void llm_scheduler_shift(LlmScheduler *scheduler, LlmSequence *sequence);

/*
 * One slice for every running sequence that takes part in the next step;
 * slices and owners have max_sequences places.  Returns how many.
 */
extern int32_t llm_scheduler_plan(LlmScheduler *scheduler, LlmSlice *slices, LlmSequence **owners);

/* The step planned last was done in full, and took so long. */
extern void llm_scheduler_timed(LlmScheduler *scheduler, int64_t us);

/* Some sequence, running or waiting, of which `wanted` is true, or NULL. */
extern LlmSequence *llm_scheduler_find(const LlmScheduler *scheduler,
									   bool (*wanted) (const LlmSequence *sequence));

/* How many run or wait. */
extern int32_t llm_scheduler_n_sequences(const LlmScheduler *scheduler);

/* Fill in what the scheduler knows: who runs and waits, pages, cached tokens, preemptions. */
extern void llm_scheduler_statistics(const LlmScheduler *scheduler, LlmEngineStatistics *statistics);

#endif							/* LLM_SCHEDULER_H */
