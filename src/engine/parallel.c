/*
 * parallel.c
 *		Meeting points of a team of threads.
 *
 * A waiting thread spins for some tens of microseconds, which covers the phases
 * of a step on processors of its own, and then yields, so that on a machine
 * with more threads than processors those who have work get to run.
 */
#define _GNU_SOURCE
#include "engine/parallel.h"

#include <sched.h>
#include <unistd.h>

#define SPINS_ALONE 2000		/* each thread has a processor */
#define SPINS_CROWDED 20		/* more threads than processors */

static inline void wait_a_little(const LlmTeam *team, int32_t *spins);

int32_t
llm_processor_count(void)
{
	cpu_set_t	allowed;
	long		online;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0 && CPU_COUNT(&allowed) > 0)
		return CPU_COUNT(&allowed);
	online = sysconf(_SC_NPROCESSORS_ONLN);
	return online > 0 ? (int32_t) online : 1;
}

void
llm_team_init(LlmTeam *team, int32_t n_threads)
{
	atomic_init(&team->arrived, 0);
	atomic_init(&team->generation, 0);
	atomic_init(&team->next_unit, 0);
	team->spins = n_threads > llm_processor_count() ? SPINS_CROWDED : SPINS_ALONE;
}

bool
llm_team_gather(LlmTeam *team, int32_t thread, int32_t n_threads)
{
	int32_t		spins = 0;

	if (thread == 0)
	{
		while (atomic_load_explicit(&team->arrived, memory_order_acquire) != n_threads - 1)
			wait_a_little(team, &spins);
		atomic_store_explicit(&team->arrived, 0, memory_order_relaxed);
		return true;
	}
	else
	{
		/* It cannot change before this thread has arrived. */
		unsigned	before = atomic_load_explicit(&team->generation, memory_order_relaxed);

		atomic_fetch_add_explicit(&team->arrived, 1, memory_order_acq_rel);
		while (atomic_load_explicit(&team->generation, memory_order_acquire) == before)
			wait_a_little(team, &spins);
		return false;
	}
}

void
llm_team_release(LlmTeam *team)
{
	atomic_store_explicit(&team->next_unit, 0, memory_order_relaxed);
	atomic_fetch_add_explicit(&team->generation, 1, memory_order_release);
}

void
llm_team_barrier(LlmTeam *team, int32_t thread, int32_t n_threads)
{
	if (llm_team_gather(team, thread, n_threads))
		llm_team_release(team);
}

static inline void
wait_a_little(const LlmTeam *team, int32_t *spins)
{
	if (*spins >= team->spins)
	{
		sched_yield();
		return;
	}
	++*spins;
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("isb");
#endif
}
