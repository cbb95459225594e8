/*
 * test_parallel.c
 *		The team of threads: each unit of shared work is taken by one thread, once, and threads part.
 */
#define _GNU_SOURCE
#include "engine/parallel.h"

#include "tap.h"

#include "engine/processors.h"

#include <omp.h>
#include <sched.h>
#include <string.h>

#define PHASES 200
#define MAX_UNITS 1000

/* Take every unit of PHASES phases; units that were not taken exactly once, or in too large a piece. */
static int
count_wrong(int32_t n_threads, int32_t n_units, int32_t most)
{
	static int	taken[PHASES][MAX_UNITS];
	LlmTeam		team;
	int			wrong = 0;

	memset(taken, 0, sizeof(taken));
	llm_team_init(&team, n_threads);
#pragma omp parallel num_threads(n_threads) reduction(+:wrong)
	{
		int32_t		thread = omp_get_thread_num();
		int32_t		first;
		int32_t		last;

		for (int phase = 0; phase < PHASES; phase++)
		{
			/* Nothing is there: to fetch is no more than a hint. */
			llm_team_fetch(&team, thread, (const uint8_t *) (uintptr_t) 4096, 4096, 100);
			while (llm_team_take(&team, thread, n_threads, n_units, most, &first, &last))
			{
				if (first < 0 || last <= first || last > n_units || last - first > most)
				{
					wrong++;
					break;
				}
				for (int32_t unit = first; unit < last; unit++)
#pragma omp atomic
					taken[phase][unit]++;
			}
			llm_team_barrier(&team, thread, n_threads);
		}
	}
	for (int phase = 0; phase < PHASES; phase++)
		for (int32_t unit = 0; unit < n_units; unit++)
			wrong += taken[phase][unit] != 1;
	return wrong;
}

/* Who waits for a late one has fetched all that it was told to; nobody where there are too few processors. */
static bool
fetches_while_waiting(void)
{
	static uint8_t bytes[LLM_FETCH_STREAMS][10000];
	LlmTeam		team;

	llm_team_init(&team, 2);
#pragma omp parallel num_threads(2)
	{
		int32_t		thread = omp_get_thread_num();

		llm_team_fetch(&team, thread, bytes[0], sizeof(bytes[0]), sizeof(bytes[0]));
		if (thread == 1)
			usleep(20000);
		llm_team_barrier(&team, thread, 2);
	}
	if (team.is_crowded)
		return team.fetches[0].next == NULL;
	return team.fetches[0].rest <= 0 && team.fetches[0].next >= bytes[0] + sizeof(bytes[0]);
}

/* Alone, a thread goes through the units in their order. */
static bool
is_in_order(int32_t n_units)
{
	LlmTeam		team;
	int32_t		next = 0;
	int32_t		first;
	int32_t		last;

	llm_team_init(&team, 1);
	while (llm_team_take(&team, 0, 1, n_units, INT32_MAX, &first, &last))
	{
		if (first != next)
			return false;
		next = last;
	}
	return next == n_units;
}

/* With nobody else at work, a thread takes its own share and then all others. */
static bool
takes_all(int32_t n_threads, int32_t n_units)
{
	LlmTeam		team;
	int32_t		n = 0;
	int32_t		first;
	int32_t		last;

	llm_team_init(&team, n_threads);
	while (llm_team_take(&team, n_threads - 1, n_threads, n_units, 3, &first, &last))
		n += last - first;
	return n == n_units;
}

/*
 * Threads that are put on one processor when they come: how many stay on that of another though there are others, or
 * may not run where they might before.
 */
static int
count_crowded(int32_t n_threads)
{
	LlmTeam		team;
	cpu_set_t	allowed;
	int			first = 0;
	int			crowded = 0;
	atomic_int	turn;

	sched_getaffinity(0, sizeof(allowed), &allowed);
	while (!CPU_ISSET(first, &allowed))
		first++;
	llm_team_init(&team, n_threads);
	atomic_init(&turn, 0);
#pragma omp parallel num_threads(n_threads) reduction(+:crowded)
	{
		int32_t		thread = omp_get_thread_num();
		cpu_set_t	one;
		cpu_set_t	after;

		while (atomic_load(&turn) != thread)
			sched_yield();
		CPU_ZERO(&one);
		CPU_SET(first, &one);
		sched_setaffinity(0, sizeof(one), &one);
		sched_setaffinity(0, sizeof(allowed), &allowed);
		llm_team_enter(&team, thread);
		if (n_threads <= llm_processor_count())
			for (int32_t i = 0; i < thread; i++)
				crowded += team.processors[i] == team.processors[thread];
		sched_getaffinity(0, sizeof(after), &after);
		crowded += !CPU_EQUAL(&allowed, &after);
		atomic_fetch_add(&turn, 1);
	}
	return crowded;
}

/* Where all processors are taken, or the system knows none of them, a thread stays. */
static bool
stays_where_all_are_taken(void)
{
	cpu_set_t	allowed;
	cpu_set_t	after;
	int32_t		taken[CPU_SETSIZE + 2] = {-1, CPU_SETSIZE};

	for (int32_t i = 0; i < CPU_SETSIZE; i++)
		taken[i + 2] = i;
	sched_getaffinity(0, sizeof(allowed), &allowed);
	(void) llm_processor_leave(taken, CPU_SETSIZE + 2);
	sched_getaffinity(0, sizeof(after), &after);
	return CPU_EQUAL(&allowed, &after);
}

int
main(void)
{
	static const int32_t threads[] = {1, 2, 3, 5, LLM_SHARES + 3};
	static const int32_t units[] = {0, 1, 2, 7, 100, MAX_UNITS};

	for (size_t t = 0; t < sizeof(threads) / sizeof(threads[0]); t++)
		for (size_t u = 0; u < sizeof(units) / sizeof(units[0]); u++)
		{
			/* more threads than processors take long to meet */
			if (threads[t] <= 3)
				ok(count_wrong(threads[t], units[u], 1 + (int32_t) u * 2) == 0,
				   "%d threads take %d units once each", threads[t], units[u]);
			ok(takes_all(threads[t], units[u]), "one of %d threads takes all %d units", threads[t], units[u]);
			ok(is_in_order(units[u]), "one thread takes %d units in order", units[u]);
		}
	ok(fetches_while_waiting(), "a thread that waits has fetched what it was told to");
	for (int32_t n_threads = 1; n_threads <= 4; n_threads++)
		ok(count_crowded(n_threads) == 0, "%d threads on one processor part", n_threads);
	ok(stays_where_all_are_taken(), "where there is nowhere to go a thread stays");
	return done_testing();
}
