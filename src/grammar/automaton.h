/*
 * automaton.h
 *		Finite automata over characters, where expressions do not suffice: a pattern and a length at
 *		once, any key but these.  Private to grammar/.
 */
#ifndef LLM_AUTOMATON_H
#define LLM_AUTOMATON_H

#include "grammar/expr.h"

/* State 0 is the start.  From every state an accepting one can be reached, but for an empty automaton. */
typedef struct LlmAutomaton
{
	int			n_states;
	int			n_ranges;
	LlmCharRange *ranges;		/* [n_ranges] rising; others are in no text */
	int		   *next;			/* [n_states][n_ranges]; -1: none */
	bool	   *accepts;		/* [n_states] */
} LlmAutomaton;

/* From an expression without rules and automata. */
extern const LlmAutomaton *llm_automaton_from_expr(LlmBuilder *builder, const LlmExpr *expr);

/* Any text of so many characters. */
extern const LlmAutomaton *llm_automaton_of_length(LlmBuilder *builder, int least, int most);

/* What both accept; what only the first accepts. */
extern const LlmAutomaton *llm_automaton_and(LlmBuilder *builder, const LlmAutomaton *a, const LlmAutomaton *b);
extern const LlmAutomaton *llm_automaton_minus(LlmBuilder *builder, const LlmAutomaton *a,
											   const LlmAutomaton *b);

/* What either accepts. */
extern const LlmAutomaton *llm_automaton_or(LlmBuilder *builder, const LlmAutomaton *a, const LlmAutomaton *b);

/* The same with as few states as possible. */
extern const LlmAutomaton *llm_automaton_reduce(LlmBuilder *builder, const LlmAutomaton *automaton);

extern bool llm_automaton_is_empty(const LlmAutomaton *automaton);
extern bool llm_automaton_accepts(const LlmAutomaton *automaton, const char *text, size_t length);

#endif							/* LLM_AUTOMATON_H */
