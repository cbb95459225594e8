/*
 * give_way.c
 *		Pauses of a model that does nothing but jobs, while others wait for the processors.
 *
 * Niceness does not help who waits for the disk again and again, as a session that commits does: Linux lets
 * it in when the model's slice is over.  So the worker leaves the processors between two steps.
 *
 * Linux counts for how long anybody was ready to run and had no processor, or at least for how long this thread was.
 * Where that, less what the processes that do the jobs ran or waited, was more than a small share of the time, others
 * compute as well.  Systems that do not tell have no pauses.
 *
 * Linux adds up what its processors counted whenever it is asked, and weighs each by its ticks (4 ms, often): asked
 * more often, it loses most of it (kernel/sched/psi.c, collect_percpu_times).  So steps are judged together that took BOUT_MS or more.
 */
#include "worker/give_way.h"

#include <fcntl.h>
#include <unistd.h>

#include "portability/instr_time.h"

#include "engine/processors.h"
#include "server/parameters.h"

#define BOUT_MS 20.0
/* A bout was disturbed if somebody waited for so much of it. */
#define DISTURBED_SHARE 0.1
/* One that was not, because who slept for long comes first, tells less. */
#define UNDISTURBED_SHORTENS 0.5
/* No pause is longer: by then others may have ended. */
#define MAX_PAUSE_MS 1000.0

/* What an owner has run and waited so far. */
typedef struct Owner
{
	int			pid;
	double		used_ms;
} Owner;

static double wanted_ms(void);
static double waited_ms(void);
static bool read_used(int pid, double *used_ms);
static bool read_schedule(const char *who, double *ran_ms, double *waited_ms);
static bool read_line(const char *path, char *line, size_t size);
static double elapsed_ms(instr_time since);

/* The bout that is going on: since when, and what had been counted then. */
static bool in_bout = false;
static instr_time began;
static double waited_before;
static Owner owners_before[GIVE_WAY_OWNERS];
static int	n_owners_before;

static instr_time ended;
static double pause_ms = 0;

/* Of the length of a bout.  Pauses grow with those that are disturbed, so that who comes now and then costs little. */
static double pause_bouts = 0;

void
Llama2StepBegins(const int *owners, int n_owners)
{
	pause_ms = 0;
	/* who had nothing to do for a while begins anew */
	if (in_bout && elapsed_ms(ended) < BOUT_MS)
		return;
	n_owners_before = 0;
	for (int i = 0; i < n_owners; i++)
	{
		Owner	   *owner = &owners_before[n_owners_before];

		owner->pid = owners[i];
		if (read_used(owner->pid, &owner->used_ms))
			n_owners_before++;
	}
	waited_before = waited_ms();
	INSTR_TIME_SET_CURRENT(began);
	in_bout = true;
}

bool
Llama2StepEnds(void)
{
	double		bout_ms = elapsed_ms(began);

	INSTR_TIME_SET_CURRENT(ended);
	if (bout_ms < BOUT_MS)
		return false;
	in_bout = false;
	if (wanted_ms() > DISTURBED_SHARE * bout_ms)
		pause_bouts = Min(Max(2 * pause_bouts, 1), (100.0 - llama2_job_share) / llama2_job_share);
	else
		pause_bouts = pause_bouts > 1 ? UNDISTURBED_SHORTENS * pause_bouts : 0;
	pause_ms = Min(bout_ms * pause_bouts, MAX_PAUSE_MS);
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
	in_bout = false;
}

/* How long somebody waited for a processor in the bout, less the owners' part in it, if they ran on all alike. */
static double
wanted_ms(void)
{
	static int32_t processors = 0;
	double		wanted = waited_ms() - waited_before;

	if (processors == 0)
		processors = llm_processor_count();
	for (int i = 0; i < n_owners_before; i++)
	{
		double		used_ms;

		if (read_used(owners_before[i].pid, &used_ms))
			wanted -= (used_ms - owners_before[i].used_ms) / processors;
	}
	return wanted;
}

/* Of all processors together, where the system keeps its pressure; of this thread else. */
static double
waited_ms(void)
{
	char		line[128];
	char	   *total;
	double		ran;
	double		waited;

	if (read_line("/proc/pressure/cpu", line, sizeof(line)) && (total = strstr(line, "total=")) != NULL)
		return strtod(total + strlen("total="), NULL) / 1e3;
	return read_schedule("thread-self", &ran, &waited) ? waited : 0;
}

/* How long a process ran and waited for a processor. */
static bool
read_used(int pid, double *used_ms)
{
	char		who[16];
	double		ran;
	double		waited;

	snprintf(who, sizeof(who), "%d", pid);
	if (!read_schedule(who, &ran, &waited))
		return false;
	*used_ms = ran + waited;
	return true;
}

/* How long a process ran, and waited for a processor, since its start. */
static bool
read_schedule(const char *who, double *ran_ms, double *waited_ms)
{
	char		path[64];
	char		line[128];
	unsigned long long ran_ns;
	unsigned long long waited_ns;

	snprintf(path, sizeof(path), "/proc/%s/schedstat", who);
	if (!read_line(path, line, sizeof(line)) || sscanf(line, "%llu %llu", &ran_ns, &waited_ns) != 2)
		return false;
	*ran_ms = (double) ran_ns / 1e6;
	*waited_ms = (double) waited_ns / 1e6;
	return true;
}

/* What such a file begins with. */
static bool
read_line(const char *path, char *line, size_t size)
{
	int			file = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t		length;

	if (file < 0)
		return false;
	length = read(file, line, size - 1);
	close(file);
	line[Max(length, 0)] = '\0';
	return length > 0;
}

static double
elapsed_ms(instr_time since)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, since);
	return INSTR_TIME_GET_MILLISEC(now);
}
