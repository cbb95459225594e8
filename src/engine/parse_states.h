/*
 * parse_states.h
 *		What a grammar allows after a text: states and the steps between them, made when they are met.
 *
 * A state is a set of places where the text may be in the grammar: an operation that waits for a byte, and the
 * frame that the rule returns to, which is such a set itself.  Equal sets are one (hash consing), and
 * whatever calls a rule at one byte of the text shares one frame (a graph-structured stack: Tomita 1985).  So
 * the size of a state is bounded by the grammar and the text's length, never by the number of ways to parse
 * the text, and the state of a JSON object's next key is the same whatever stands before it.
 */
#ifndef LLM_PARSE_STATES_H
#define LLM_PARSE_STATES_H

#include "grammar/grammar.h"

typedef int32_t LlmStateId;

#define LLM_STATE_DEAD		(-1)	/* the grammar does not allow the text */
#define LLM_STATE_FAILED	(-2)	/* see LlmParseFailure */

/* Why a step failed. */
typedef enum LlmParseFailure
{
	LLM_PARSE_OUT_OF_MEMORY,
	LLM_PARSE_TOO_LARGE,		/* the states take more memory than they may */
	LLM_PARSE_TOO_SLOW			/* the steps take more work than they may */
} LlmParseFailure;

typedef struct LlmParseStates LlmParseStates;

/* Copies the grammar, which llm_grammar_check has accepted; NULL for want of memory. */
extern LlmParseStates *llm_parse_states_create(const LlmGrammar *grammar);
extern void llm_parse_states_free(LlmParseStates *states);

/* Forget every state; those known to callers are invalid. */
extern void llm_parse_states_reset(LlmParseStates *states);
extern size_t llm_parse_states_bytes(const LlmParseStates *states);
extern const LlmGrammar *llm_parse_states_grammar(const LlmParseStates *states);

/* Why the last step failed. */
extern LlmParseFailure llm_parse_failure(const LlmParseStates *states);

/*
 * Steps that are made for the first time until this is called again may take a bounded amount of work together, some
 * tenths of a second.  Steps that were made before cost nothing.
 */
extern void llm_parse_begin_work(LlmParseStates *states);

/* The state of the empty text, or LLM_STATE_FAILED. */
extern LlmStateId llm_parse_start(LlmParseStates *states);

/* The state after one byte more; LLM_STATE_DEAD or LLM_STATE_FAILED. */
extern LlmStateId llm_parse_step(LlmParseStates *states, LlmStateId state, uint8_t byte);

extern LlmStateId llm_parse_text(LlmParseStates *states, LlmStateId state, const char *bytes, size_t length);

/* The text may end here; it must. */
extern bool llm_parse_may_end(const LlmParseStates *states, LlmStateId state);
extern bool llm_parse_must_end(const LlmParseStates *states, LlmStateId state);

/* Bytes that are missing at least. */
extern uint32_t llm_parse_min_bytes(const LlmParseStates *states, LlmStateId state);

/*
 * A place for what the caller knows of a state (a mask); it is freed with the state, and counted.
 */
extern uint64_t *llm_parse_mask(const LlmParseStates *states, LlmStateId state);
extern void llm_parse_set_mask(LlmParseStates *states, LlmStateId state, uint64_t *mask, size_t bytes);

#endif							/* LLM_PARSE_STATES_H */
