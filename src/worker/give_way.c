/*
 * give_way.c
 *		Pauses of a model that does nothing but jobs, while others wait for the processors.
 *
 * Niceness does not help who waits for the disk again and again, as a session that commits does: Linux lets
 * it in when the model's slice is over.  So the worker leaves the processors between two steps.
 *
 * Linux counts how long a thread ran, and how long it was ready to run and had no processor.  Where the latter, less
 * what the processes that do the jobs ran, was more than a small share of a step, others compute as well.  Systems
 * that do not tell have no pauses.
 */
#include "worker/give_way.h"

#include <fcntl.h>
#include <unistd.h>

#include "portability/instr_time.h"

#include "engine/parallel.h"
#include "server/parameters.h"

/* A step was disturbed if its main thread waited for so much of it. */
#define DISTURBED_SHARE 0.1
/* No pause is longer: by then others may have ended. */
#define MAX_PAUSE_MS 1000.0

static double wanted_ms(const int *owners, int n_owners);
static double scheduled_ms(const char *who, bool waited);
static double elapsed_ms(instr_time since);

static instr_time began;
static double wanted_before;
static instr_time ended;
static double pause_ms = 0;

/* Of the length of a step.  Pauses grow with the steps that are disturbed, so that who comes now and then costs little. */
static double pause_steps = 0;

void
Llama2StepBegins(const int *owners, int n_owners)
{
	wanted_before = wanted_ms(owners, n_owners);
	INSTR_TIME_SET_CURRENT(began);
}

bool
Llama2StepEnds(const int *owners, int n_owners)
{
	double		step_ms = elapsed_ms(began);

	INSTR_TIME_SET_CURRENT(ended);
	pause_ms = 0;
	if (wanted_ms(owners, n_owners) - wanted_before <= DISTURBED_SHARE * step_ms)
	{
		pause_steps /= 2;
		return false;
	}
	pause_steps = Min(Max(2 * pause_steps, 1), (100.0 - llama2_job_share) / llama2_job_share);
	pause_ms = Min(step_ms * pause_steps, MAX_PAUSE_MS);
	return pause_ms > 0;
}

long
Llama2PauseLeft(void)
{
	double		left = pause_ms > 0 ? pause_ms - elapsed_ms(ended) : 0;

	return left > 0 ? (long) left + 1 : 0;
}

void
Llama2EndPause(void)
{
	pause_ms = 0;
}

/* How long others had the processor that this thread wanted, less what the owners ran on it, if they ran on all alike. */
static double
wanted_ms(const int *owners, int n_owners)
{
	double		wanted = scheduled_ms("thread-self", true);
	char		who[16];

	for (int i = 0; i < n_owners; i++)
	{
		snprintf(who, sizeof(who), "%d", owners[i]);
		wanted -= scheduled_ms(who, false) / llm_processor_count();
	}
	return wanted;
}

/* How long a process ran, or waited for a processor, since its start; 0 where the system does not tell. */
static double
scheduled_ms(const char *who, bool waited)
{
	char		line[128];
	unsigned long long time[2];
	ssize_t		length;
	int			file;

	snprintf(line, sizeof(line), "/proc/%s/schedstat", who);
	file = open(line, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return 0;
	length = read(file, line, sizeof(line) - 1);
	close(file);
	line[Max(length, 0)] = '\0';

	return sscanf(line, "%llu %llu", &time[0], &time[1]) == 2 ? (double) time[waited] / 1e6 : 0;
}

static double
elapsed_ms(instr_time since)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, since);
	return INSTR_TIME_GET_MILLISEC(now);
}
