/*
 * parallel.c
 *		Meeting points of a team of threads.
 *
 * A waiting thread fetches what it was told to, spins for some tens of microseconds, which covers the phases
 * of a step on processors of its own, and then sleeps.  Were it to go on spinning or
 * yielding where other processes want the processors too, the system would count
 * that as work and take the processor away from the team in the middle of
 * its real work, for a time slice at each of the many meetings of a step.
 *
 * Who is woken can be put on the processor of whoever woke it though another idles, as Linux was seen to do in a
 * virtual machine.  Two threads of a team there would run in turns for a whole step.  So a thread that wakes where another of its team is goes elsewhere, and a waiting one yields once before it
 * sleeps, lest it hold up a thread that was put behind it.
 */
#define _GNU_SOURCE
#include "engine/parallel.h"

#include <limits.h>
#include <sched.h>
#include <unistd.h>

#include "engine/processors.h"

#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#endif

#define SPINS_ALONE 2000		/* each thread has a processor */
#define SPINS_CROWDED 20		/* more threads than processors */
#define SPINS_FOR_MOVE 20000	/* for one that goes to a processor that may be asleep */

#define FETCH_AT_ONCE 128		/* bytes of a stream; then it looks whether it still waits */

#define PIECES_OF_REST 2		/* of what is left of a share one is taken at once */

/* How long a thread has waited so far. */
typedef struct Wait
{
	int32_t		spins;
	unsigned	n_moved;		/* of the team, as it began */
} Wait;

static inline Wait begin_wait(const LlmTeam *team);
static inline bool spin(LlmTeam *team, int32_t thread, Wait *wait);
static inline bool fetch(LlmTeam *team, int32_t thread);
static void spread(LlmTeam *team, int32_t thread);
static void sleep_while(atomic_uint * word, unsigned value);
static void wake_sleepers(atomic_uint * word);

void
llm_team_init(LlmTeam *team, int32_t n_threads)
{
	atomic_init(&team->arrived, 0);
	atomic_init(&team->generation, 0);
	atomic_init(&team->next_unit, 0);
	for (int32_t i = 0; i < LLM_SHARES; i++)
	{
		atomic_init(&team->shares[i].taken, 0);
		atomic_init(&team->processors[i], -1);
		team->fetches[i] = (LlmFetch) {0};
	}
	atomic_init(&team->n_moved, 0);
	atomic_init(&team->main_sleeps, false);
	atomic_init(&team->n_asleep, 0);
	team->n_shares = n_threads < LLM_SHARES ? n_threads : LLM_SHARES;
	team->is_crowded = n_threads > llm_processor_count();
	team->spins = team->is_crowded ? SPINS_CROWDED : SPINS_ALONE;
}

void
llm_team_enter(LlmTeam *team, int32_t thread)
{
	if (thread > 0)
		spread(team, thread);
	else
		atomic_store_explicit(&team->processors[0], llm_processor_of_thread(), memory_order_relaxed);
}

void
llm_team_fetch(LlmTeam *team, int32_t thread, const uint8_t *bytes, int64_t stride, int64_t n)
{
	if (thread < LLM_SHARES && !team->is_crowded)
		team->fetches[thread] = (LlmFetch) {.next = bytes, .stride = stride, .rest = n};
}

bool
llm_team_gather(LlmTeam *team, int32_t thread, int32_t n_threads)
{
	Wait		wait = begin_wait(team);

	if (thread == 0)
	{
		unsigned	arrived;

		while ((arrived = atomic_load_explicit(&team->arrived, memory_order_acquire)) !=
			   (unsigned) n_threads - 1)
		{
			if (spin(team, thread, &wait))
				continue;
			atomic_store(&team->main_sleeps, true);
			sleep_while(&team->arrived, arrived);
			atomic_store(&team->main_sleeps, false);
			spread(team, thread);
		}
		atomic_store_explicit(&team->arrived, 0, memory_order_relaxed);
		return true;
	}
	else
	{
		/* It cannot change before this thread has arrived. */
		unsigned	before = atomic_load_explicit(&team->generation, memory_order_relaxed);

		/* Sequentially consistent, as all that decides on sleeping and waking. */
		atomic_fetch_add(&team->arrived, 1);
		if (atomic_load(&team->main_sleeps))
			wake_sleepers(&team->arrived);
		while (atomic_load_explicit(&team->generation, memory_order_acquire) == before)
		{
			if (spin(team, thread, &wait))
				continue;
			atomic_fetch_add(&team->n_asleep, 1);
			sleep_while(&team->generation, before);
			atomic_fetch_sub(&team->n_asleep, 1);
			spread(team, thread);
		}
		return false;
	}
}

void
llm_team_release(LlmTeam *team)
{
	atomic_store_explicit(&team->next_unit, 0, memory_order_relaxed);
	for (int32_t i = 0; i < team->n_shares; i++)
		atomic_store_explicit(&team->shares[i].taken, 0, memory_order_relaxed);
	atomic_fetch_add(&team->generation, 1);
	if (atomic_load(&team->n_asleep) > 0)
		wake_sleepers(&team->generation);
}

void
llm_team_barrier(LlmTeam *team, int32_t thread, int32_t n_threads)
{
	if (llm_team_gather(team, thread, n_threads))
		llm_team_release(team);
}

bool
llm_team_take(LlmTeam *team, int32_t thread, int32_t n_threads, int32_t n_units, int32_t most,
			  int32_t *first, int32_t *last)
{
	const int32_t n_shares = n_threads < LLM_SHARES ? n_threads : LLM_SHARES;

	for (int32_t i = 0; i < n_shares; i++)
	{
		int32_t		share = (thread + i) % n_shares;
		atomic_int *taken = &team->shares[share].taken;
		int32_t		before = atomic_load_explicit(taken, memory_order_relaxed);
		int32_t		start;
		int32_t		end;
		int32_t		n;

		llm_team_share(share, n_shares, n_units, &start, &end);
		do
		{
			n = (end - start - before + PIECES_OF_REST - 1) / PIECES_OF_REST;
			if (n > most)
				n = most;
		} while (n > 0 && !atomic_compare_exchange_weak_explicit(taken, &before, before + n,
																 memory_order_relaxed, memory_order_relaxed));
		if (n > 0)
		{
			*first = start + before;
			*last = *first + n;
			return true;
		}
	}
	return false;
}

static inline Wait
begin_wait(const LlmTeam *team)
{
	return (Wait) {.n_moved = atomic_load_explicit(&team->n_moved, memory_order_relaxed)};
}

/* False when the thread has spun long enough. */
static inline bool
spin(LlmTeam *team, int32_t thread, Wait *wait)
{
	if (fetch(team, thread))
		return true;
	if (wait->spins >= 2 * team->spins)
		return false;
	if (++wait->spins == team->spins)
	{
		unsigned	n_moved;

		sched_yield();
		n_moved = atomic_load_explicit(&team->n_moved, memory_order_relaxed);
		if (n_moved != wait->n_moved)
			*wait = (Wait) {.spins = -SPINS_FOR_MOVE, .n_moved = n_moved};
	}
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("isb");
#endif
	return true;
}

/* A few cache lines of what the thread was told to fetch; false when that is done. */
static inline bool
fetch(LlmTeam *team, int32_t thread)
{
	LlmFetch   *own = &team->fetches[thread % LLM_SHARES];

	if (thread >= LLM_SHARES || own->rest <= 0)
		return false;
	for (int i = 0; i < LLM_FETCH_STREAMS; i++)
		for (int64_t at = 0; at < FETCH_AT_ONCE; at += 64)
			__builtin_prefetch(own->next + i * own->stride + at, 0, 2);
	own->next += FETCH_AT_ONCE;
	own->rest -= FETCH_AT_ONCE;
	return true;
}

/* Go where none of the team is, if one is here. */
static void
spread(LlmTeam *team, int32_t thread)
{
	const int32_t n = team->n_shares;
	int32_t		taken[LLM_SHARES];
	int32_t		here;
	int32_t		n_taken = 0;
	bool		shared = false;

	if (thread >= n || team->is_crowded)
		return;
	here = llm_processor_of_thread();
	for (int32_t i = 0; i < n; i++)
	{
		int32_t		processor = atomic_load_explicit(&team->processors[i], memory_order_relaxed);

		if (i == thread || processor < 0)
			continue;
		taken[n_taken++] = processor;
		shared |= processor == here;
	}
	if (shared)
	{
		/* before it goes, so that who has yielded to it knows */
		atomic_fetch_add_explicit(&team->n_moved, 1, memory_order_relaxed);
		here = llm_processor_leave(taken, n_taken);
	}
	atomic_store_explicit(&team->processors[thread], here, memory_order_relaxed);
}

/* Sleep until somebody calls wake_sleepers, unless the word has changed already. */
static void
sleep_while(atomic_uint * word, unsigned value)
{
#ifdef __linux__
	(void) syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
#else
	(void) word;
	(void) value;
	sched_yield();
#endif
}

static void
wake_sleepers(atomic_uint * word)
{
#ifdef __linux__
	(void) syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
#else
	(void) word;
#endif
}
