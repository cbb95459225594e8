/*
 * sequence.h
 *		What the engine knows of one request beside the request itself.
 *
 * A sequence is made when its request is submitted and lives until the end of the
 * step in which the request is done.
 */
#ifndef LLM_SEQUENCE_H
#define LLM_SEQUENCE_H

#include "engine/constraint.h"
#include "engine/draft.h"
#include "engine/engine.h"
#include "engine/pooling.h"
#include "engine/stop_match.h"

typedef struct LlmSession LlmSession;	/* session.h */

typedef struct LlmSequence
{
	LlmRequest *request;		/* NULL once it is done: its memory may be gone */

	int32_t    *tokens;			/* [max_tokens] the prompt, what was generated, then drafts */
	int32_t    *marked;			/* [max_tokens] the same without drafts, as llm_sequence_mark says */
	bool		is_marked;		/* llm_sequence_mark was called */
	int32_t		n_tokens;
	int32_t		max_tokens;		/* as many as it can come to have at once */
	int32_t		n_keep;			/* of a context that is shifted: its first so many tokens; else 0 */
	int32_t		n_computed;		/* the first so many are in the cache */
	LlmPageTable pages;			/* room for those of max_tokens positions; taken as it grows */
	bool		shares;			/* finds others' pages and leaves its own */
	int32_t		n_kept_pages;	/* of its pages the first so many can be found */

	int32_t		n_drafted;		/* tokens of this step that follow the n_tokens */
	LlmDraftPace pace;

	LlmConstraint *constraint;	/* NULL: none */
	LlmPool    *pool;			/* of an embedding, else NULL */
	LlmSamplingState sampling;
	LlmStopMatcher *stops;
	uint64_t	n_text_bytes;	/* raw bytes of the text so far */

	/* The scheduler's. */
	LlmSession *session;
	uint64_t	arrival;		/* rises from one request to the next */
	struct LlmSequence *previous;	/* in its session's waiting line */
	struct LlmSequence *next;	/* the same, or the next that waits to be freed */
	bool		waits_for_page; /* that another computes in this step */
	int32_t		chunk;			/* tokens in this step */
	int32_t		slice;			/* its place in this step, or -1 */
} LlmSequence;

/*
 * A sequence for a request that has been checked; NULL with *error filled for want of memory, or where its
 * grammar cannot be served.
 */
extern LlmSequence *llm_sequence_create(LlmRequest *request, int32_t context_length, int32_t dim,
										LlmConstraints *constraints, LlmError *error);
extern void llm_sequence_free(LlmSequence *sequence);

/*
 * Where prompts have bits of their own: tell the tokens that are computed as generated ones (LLM_ANSWER_TOKEN), as pages are
 * found by their tokens and these marks.  They are those of answers in the prompt, those that are scored, and of course those
 * that are generated.
 */
extern void llm_sequence_mark(LlmSequence *sequence);

/* Does the token at this position count as a prompt's?  And up to where do the tokens from there on, like it or unlike it? */
extern bool llm_sequence_is_prompt(const LlmSequence *sequence, int32_t position);
extern int32_t llm_sequence_run_end(const LlmSequence *sequence, int32_t position);

/* How many of its tokens must be computed before it decodes; of the others, before it is done. */
extern int32_t llm_sequence_prefill_length(const LlmSequence *sequence);

/*
 * The first position whose logits, or of an embedding whose state, is still wanted; those before it
 * matter for their keys and values only.
 */
extern int32_t llm_sequence_first_wanted(const LlmSequence *sequence);

/* Tokens that may still be generated. */
extern int32_t llm_sequence_n_left(const LlmSequence *sequence);

/*
 * Add a generated token, whose raw bytes are text[length], to the request's results.
 * Returns why the generation ends with it, or LLM_FINISH_NONE.
 */
extern LlmFinishReason llm_sequence_append(LlmSequence *sequence, LlmSample sample,
										   const char *text, size_t length);

/*
 * Is its context full, and to be shifted?  Then llm_sequence_forget drops the older half of the tokens behind those that
 * are kept.  Those behind stand at new positions: what was computed of them is not valid any more.
 */
extern bool llm_sequence_must_shift(const LlmSequence *sequence);
extern void llm_sequence_forget(LlmSequence *sequence);

/* Write the log-probability of the next token to score; true when it was the last. */
extern bool llm_sequence_append_score(LlmSequence *sequence, float logprob);

/* The token that the next llm_sequence_append_score is about. */
extern int32_t llm_sequence_next_scored(const LlmSequence *sequence);

#endif							/* LLM_SEQUENCE_H */
