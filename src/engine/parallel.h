/*
 * parallel.h
 *		A team of threads inside one parallel region: meeting points and shared work.
 *
 * A step has hundreds of short phases, so the threads stay in one OpenMP region
 * and meet here.  Thread 0 is the caller's: at a meeting it alone goes on
 * while the others are held, does what must be done by one thread, and lets the others go.
 */
#ifndef LLM_PARALLEL_H
#define LLM_PARALLEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Shares of a phase's work; threads beyond so many have none of their own. */
#define LLM_SHARES 64

/* Units taken from one thread's share. */
typedef struct LlmShare
{
	_Alignas(64) atomic_int taken;
} LlmShare;

#define LLM_FETCH_STREAMS 4

/* What a thread fetches into its second-level cache while it waits; its own. */
typedef struct LlmFetch
{
	_Alignas(64) const uint8_t *next;	/* of the first of LLM_FETCH_STREAMS runs of bytes, */
	int64_t		stride;			/* from one to the next, */
	int64_t		rest;			/* and what is left of each */
} LlmFetch;

typedef struct LlmTeam
{
	_Alignas(64) atomic_uint arrived;	/* threads other than 0 that wait */
	_Alignas(64) atomic_uint generation;	/* changes when they are let go */
	_Alignas(64) atomic_int next_unit;	/* of the work of the present phase */
	_Alignas(64) atomic_bool main_sleeps;	/* thread 0 wants to be woken by an arrival */
	atomic_int	n_asleep;		/* others that want to be woken when they are let go */
	int32_t		n_shares;
	int32_t		spins;			/* before a waiting thread sleeps */
	bool		is_crowded;		/* it has more threads than processors */
	LlmShare	shares[LLM_SHARES]; /* as next_unit, where each thread has a share */
	atomic_uint n_moved;		/* threads that went elsewhere, as another of the team was there */
	LlmFetch	fetches[LLM_SHARES];
	atomic_int	processors[LLM_SHARES]; /* where each thread was when it came or woke; -1 before */
} LlmTeam;

/* A team of up to n_threads, none of which may be in it yet. */
extern void llm_team_init(LlmTeam *team, int32_t n_threads);

/*
 * Called by each thread as it comes, before its first meeting.  Threads other than 0 leave a
 * processor that one of the team has, unless there are more threads than processors.
 */
extern void llm_team_enter(LlmTeam *team, int32_t thread);

/*
 * What the thread is to fetch whenever it waits from now on, in the place of what it was told before: the first n bytes
 * of LLM_FETCH_STREAMS runs, `stride` bytes apart.  A hint: any addresses will do.
 */
extern void llm_team_fetch(LlmTeam *team, int32_t thread, const uint8_t *bytes, int64_t stride, int64_t n);

/*
 * Wait for all n_threads threads of the team.  True on thread 0, which must call
 * llm_team_release; on the others false, and only after that call.
 */
extern bool llm_team_gather(LlmTeam *team, int32_t thread, int32_t n_threads);

/* Let the others go, with the units of the next phase all to be taken. */
extern void llm_team_release(LlmTeam *team);

/* Gather and release. */
extern void llm_team_barrier(LlmTeam *team, int32_t thread, int32_t n_threads);

/* The next unit of this phase's work that nobody has taken; n_units or more: none is left. */
static inline int32_t
llm_team_next(LlmTeam *team)
{
	return atomic_fetch_add_explicit(&team->next_unit, 1, memory_order_relaxed);
}

/*
 * Units first .. last-1 of n_units that lie in memory one after the other: a piece of the
 * thread's own contiguous share, so that what its kernel fetches ahead is what it needs next, and
 * in the end pieces of what the others have left.  A piece is a part of what is left of a
 * share, so that pieces are few and yet the last ones small, and has `most` units at most.
 * False when none is left.
 */
extern bool llm_team_take(LlmTeam *team, int32_t thread, int32_t n_threads, int32_t n_units,
						  int32_t most, int32_t *first, int32_t *last);

/* The thread's contiguous share first .. last-1 of n items. */
static inline void
llm_team_share(int32_t thread, int32_t n_threads, int32_t n, int32_t *first, int32_t *last)
{
	*first = (int32_t) ((int64_t) n * thread / n_threads);
	*last = (int32_t) ((int64_t) n * (thread + 1) / n_threads);
}

#endif							/* LLM_PARALLEL_H */
