/*
 * automaton_build.h
 *		An automaton whose states are sets of numbers, while it is explored.  Private to automaton*.c.
 */
#ifndef LLM_AUTOMATON_BUILD_H
#define LLM_AUTOMATON_BUILD_H

#include "grammar/automaton.h"

typedef struct LlmStateSet
{
	int			n_members;
	int		   *members;
	bool		accepts;
	int		   *next;			/* [n_ranges]; -1: none */
} LlmStateSet;

typedef struct LlmAutomatonBuild
{
	int			n_ranges;
	LlmCharRange *ranges;
	int			n_states;
	int			capacity;
	LlmStateSet *sets;			/* [n_states] */
	int			n_buckets;
	int		   *buckets;		/* [n_buckets] a state, or -1 */
} LlmAutomatonBuild;

/* Divide characters into ranges that lie in each of the given ones wholly or not at all. */
extern void llm_automaton_set_ranges(LlmBuilder *builder, LlmAutomatonBuild *build,
									 const LlmCharRange *ranges, int n_ranges);

/* The state with these members, in this order; made where it is new. */
extern int	llm_automaton_state(LlmBuilder *builder, LlmAutomatonBuild *build, const int *members,
								int n_members);

/* The automaton, without states from which there is no way to an accepting one. */
extern const LlmAutomaton *llm_automaton_finish(LlmBuilder *builder, LlmAutomatonBuild *build);

#endif							/* LLM_AUTOMATON_BUILD_H */
