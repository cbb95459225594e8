/*
 * draft.h
 *		Guesses at the next tokens of a text, from the text itself.
 *
 * Speculative decoding (Leviathan, Kalman and Matias 2023) with prompt lookup (Saxena 2023) for the
 * draft: where the last tokens occurred before, what followed them then may follow now.
 * The model computes the drafted tokens in one step with the last one, and each is kept only
 * if it is the very token that is sampled in its place.  So tokens never depend on drafts.
 */
#ifndef LLM_DRAFT_H
#define LLM_DRAFT_H

#include <stdint.h>

#define LLM_MAX_DRAFT 4

/*
 * Columns of a step up to which drafts are added.  With so few, a step takes the time of
 * reading the weights, which it must read anyway; more would cost arithmetic.
 */
#define LLM_DRAFT_COLUMNS 8

/* How much one sequence drafts; all zero at its start. */
typedef struct LlmDraftPace
{
	int32_t		n_proven;		/* of the latest draft so many tokens were kept */
	int32_t		n_rejected;		/* times in a row that none was */
	int32_t		pause;			/* steps without drafts that are still to come */
} LlmDraftPace;

/* How many tokens may be drafted in this step; to be called once for each. */
extern int32_t llm_draft_allowance(LlmDraftPace *pace);

/* What has become of a draft. */
extern void llm_draft_outcome(LlmDraftPace *pace, int32_t n_accepted);

/*
 * Write up to max_draft tokens that may follow tokens[n_tokens] behind them.  Returns how many.
 */
extern int32_t llm_draft(int32_t *tokens, int32_t n_tokens, int32_t max_draft);

#endif							/* LLM_DRAFT_H */
