/*
 * constraint.h
 *		A request's grammar while its text is made: which tokens may come next, and how to come to an end.
 *
 * The engine has one LlmConstraints, with the vocabulary's tree and the states of the grammars that it has seen
 * lately; each constrained request has an LlmConstraint.  What is cached never changes what is allowed.
 */
#ifndef LLM_CONSTRAINT_H
#define LLM_CONSTRAINT_H

#include "grammar/grammar.h"
#include "text/vocabulary.h"

typedef struct LlmConstraints LlmConstraints;
typedef struct LlmConstraint LlmConstraint;

typedef enum LlmOnLimit
{
	LLM_ON_LIMIT_CLOSE,			/* end the text in time, so that it is whole */
	LLM_ON_LIMIT_ERROR			/* let it end anywhere, and say so */
} LlmOnLimit;

/*
 * The vocabulary outlives it.  The tree of its tokens is made when it is needed first.  What is cached beyond
 * cache_bytes (0: a default) is forgotten.
 */
extern LlmConstraints *llm_constraints_create(const LlmVocabulary *vocabulary, size_t cache_bytes);
extern void llm_constraints_free(LlmConstraints *constraints);	/* after all of its constraints */
extern size_t llm_constraints_bytes(const LlmConstraints *constraints);

/*
 * For a text of max_tokens; strip_space: the first token's leading space is not part of it.  Fails
 * where the block is no grammar, the vocabulary cannot write what it may ask for, or no text of the
 * grammar is so short.
 */
extern LlmConstraint *llm_constraint_begin(LlmConstraints *constraints, const void *grammar, size_t size,
										   int32_t max_tokens, bool strip_space, LlmOnLimit on_limit,
										   LlmError *error);
extern void llm_constraint_end(LlmConstraint *constraint);

/* The token that must come because the text is being closed, or -1. */
extern int32_t llm_constraint_forced(const LlmConstraint *constraint);

/* A bit for each token that may come next; NULL with *error filled for want of memory or work. */
extern const uint64_t *llm_constraint_mask(LlmConstraint *constraint, LlmError *error);

#define LLM_TAKE_FAILED	(-1)
#define LLM_TAKE_END	(-2)

/*
 * Take the next token, one that may come, when n_left more may follow it.  Returns the token that
 * is taken, which is another one where the text could not be brought to an end after it; LLM_TAKE_END where
 * the text must end before it for this reason; LLM_TAKE_FAILED with *error filled for want of memory or work.
 */
extern int32_t llm_constraint_take(LlmConstraint *constraint, int32_t token, int32_t n_left, LlmError *error);

/* The text may end here; it must, also because it has been closed. */
extern bool llm_constraint_may_end(const LlmConstraint *constraint);
extern bool llm_constraint_must_end(const LlmConstraint *constraint);
extern bool llm_constraint_was_closed(const LlmConstraint *constraint);

#endif							/* LLM_CONSTRAINT_H */
