/*
 * give_way.c
 *		Pauses of a model that does nothing but jobs, while others wait for the processors.
 *
 * Niceness does not help who waits for the disk again and again, as a session that commits does: Linux lets
 * it in when the model's slice is over.  So the worker leaves the processors between two steps.
 *
 * Linux counts how long a thread was ready to run and had no processor.  Where this was a share of a step that
 * shows, others compute as well.  Systems that do not tell have no pauses.
 */
#include "worker/give_way.h"

#include <fcntl.h>
#include <unistd.h>

#include "portability/instr_time.h"

#include "server/parameters.h"

/* A step was disturbed if its main thread waited for so much of it. */
#define DISTURBED_SHARE 0.1
/* No pause is longer, so that a cancelled job is noticed. */
#define MAX_PAUSE_MS 1000.0

static double waited_ms(void);
static double elapsed_ms(instr_time since);

static instr_time began;
static double waited_before;
static instr_time ended;
static double pause_ms = 0;

void
Llama2StepBegins(void)
{
	waited_before = waited_ms();
	INSTR_TIME_SET_CURRENT(began);
}

bool
Llama2StepEnds(void)
{
	double		step_ms = elapsed_ms(began);

	INSTR_TIME_SET_CURRENT(ended);
	pause_ms = 0;
	if (waited_ms() - waited_before > DISTURBED_SHARE * step_ms)
		pause_ms = Min(step_ms * (100 - llama2_job_share) / llama2_job_share, MAX_PAUSE_MS);
	return pause_ms > 0;
}

long
Llama2PauseLeft(void)
{
	double		left = pause_ms > 0 ? pause_ms - elapsed_ms(ended) : 0;

	return left > 0 ? (long) left + 1 : 0;
}

/* How long this thread has waited for a processor since its start; 0 where the system does not tell. */
static double
waited_ms(void)
{
	static int	statistics = -1;
	static bool opened = false;
	char text[	128];
	ssize_t		length;
	unsigned long long ran;
	unsigned long long waited;

	if (!opened)
		statistics = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
	opened = true;
	if (statistics < 0)
		return 0;
	length = pread(statistics, text, sizeof(text) - 1, 0);
	if (length <= 0)
		return 0;
	text[		length] = '\0';

	return sscanf(text, "%llu %llu", &ran, &waited) == 2 ? (double) waited / 1e6 : 0;
}

static double
elapsed_ms(instr_time since)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, since);
	return INSTR_TIME_GET_MILLISEC(now);
}
