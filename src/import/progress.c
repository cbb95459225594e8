/*
 * progress.c
 *		What llama2-import tells while it works, on its standard error.
 */
#define _POSIX_C_SOURCE 200809L
#include "import/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BAR_WIDTH 30
#define SHOWN_EVERY 0.1			/* seconds, on a terminal */
#define LINE_EVERY 2.0			/* and elsewhere */

static bool notices = true;
static bool line_open = false;	/* the bar's line has no end yet */

static double now(void);
static void show_bar(Progress *progress, const char *what);
static void show_line(Progress *progress);
static void format_duration(double seconds, char *out, size_t size);

void
progress_start(Progress *progress, uint64_t total, bool quiet)
{
	memset(progress, 0, sizeof(*progress));
	progress->total = total;
	progress->quiet = quiet;
	progress->bar = isatty(STDERR_FILENO);
	progress->started = now();
}

void
progress_add(Progress *progress, const char *what, uint64_t n)
{
	progress->done += n;
	if (progress->quiet || progress->total == 0)
		return;
	if (progress->bar)
	{
		if (progress_seconds(progress) - progress->shown >= SHOWN_EVERY ||
			progress->done == progress->total)
			show_bar(progress, what);
	}
	else if ((int) (progress->done * 10 / progress->total) > progress->shown_tenth &&
			 progress_seconds(progress) - progress->shown >= LINE_EVERY)
		show_line(progress);
}

void
progress_end(void)
{
	if (line_open)
		fputc('\n', stderr);
	line_open = false;
}

double
progress_seconds(const Progress *progress)
{
	return now() - progress->started;
}

void
notice(const char *format,...)
{
	va_list		args;

	if (!notices)
		return;
	if (line_open)
		fputc('\n', stderr);
	line_open = false;
	fputs("llama2-import: notice: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

void
notices_off(void)
{
	notices = false;
}

const char *
format_bytes(uint64_t n, char *out, size_t size)
{
	static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
	double		value = (double) n;
	size_t		unit = 0;

	while (value >= 1000 && unit + 1 < sizeof(units) / sizeof(units[0]))
	{
		value /= 1000;
		unit++;
	}
	snprintf(out, size, unit == 0 || value >= 100 ? "%.0f %s" : "%.1f %s", value, units[unit]);
	return out;
}

static double
now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double) time.tv_sec + (double) time.tv_nsec * 1e-9;
}

/* "[####      ]  42%  5.7 GB of 13.5 GB  180 MB/s  0:43 left  blk.7.ffn_up.weight" */
static void
show_bar(Progress *progress, const char *what)
{
	double		seconds = progress_seconds(progress);
	double		share = (double) progress->done / (double) progress->total;
	int			filled = (int) (share * BAR_WIDTH);
	char		done[32];
	char		total[32];
	char		rate[32];
	char		left[32];

	progress->shown = seconds;
	format_duration(seconds / share - seconds, left, sizeof(left));
	fprintf(stderr, "\r[%.*s%*s] %3d%%  %s of %s  %s/s  %s left  %.24s\x1b[K", filled,
			"##############################", BAR_WIDTH - filled, "", (int) (share * 100),
			format_bytes(progress->done, done, sizeof(done)),
			format_bytes(progress->total, total, sizeof(total)),
			format_bytes((uint64_t) ((double) progress->done / (seconds > 0 ? seconds : 1)), rate,
						 sizeof(rate)),
			left, what);
	fflush(stderr);
	line_open = true;
}

static void
show_line(Progress *progress)
{
	double		seconds = progress_seconds(progress);
	double		share = (double) progress->done / (double) progress->total;
	char		total[32];
	char		rate[32];
	char		left[32];

	progress->shown = seconds;
	progress->shown_tenth = (int) (progress->done * 10 / progress->total);
	format_duration(seconds / share - seconds, left, sizeof(left));
	fprintf(stderr, "%d%% of %s, %s/s, %s left\n", (int) (share * 100),
			format_bytes(progress->total, total, sizeof(total)),
			format_bytes((uint64_t) ((double) progress->done / (seconds > 0 ? seconds : 1)), rate,
						 sizeof(rate)),
			left);
}

static void
format_duration(double seconds, char *out, size_t size)
{
	long		whole = seconds > 0 && seconds < 1e9 ? (long) (seconds + 0.5) : 0;

	if (whole >= 3600)
		snprintf(out, size, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
	else
		snprintf(out, size, "%ld:%02ld", whole / 60, whole % 60);
}
