/*
 * test_parallel.c
 *		The team of threads: each unit of shared work is taken by one thread, once.
 */
#include "engine/parallel.h"

#include "tap.h"

#include <omp.h>
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
	return done_testing();
}
