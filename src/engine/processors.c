/*
 * processors.c
 *		How many processors this process may use, and where among them a thread is.
 *
 * A container is often limited in time, not in processors.  Threads beyond that time are worse than useless: at
 * each of a step's many meetings the others wait for one that the system holds back until the next period.
 */
#define _GNU_SOURCE
#include "engine/processors.h"

#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool has_word(const char *list, const char *word);
static int32_t least_quota(const char *root, char *path, bool version_2);
static int32_t quota_of_folder(const char *root, const char *path, bool version_2);
static bool read_numbers(const char *root, const char *path, const char *file, long long *numbers, int n);
static int32_t lesser_quota(int32_t a, int32_t b);

int32_t
llm_processor_count(void)
{
	cpu_set_t	allowed;
	long		count = sched_getaffinity(0, sizeof(allowed), &allowed) == 0 ? CPU_COUNT(&allowed) : 0;

	if (count <= 0)
		count = sysconf(_SC_NPROCESSORS_ONLN);
	return lesser_quota(count > 0 ? (int32_t) count : 1, llm_processor_quota("/proc/self/cgroup", "/sys/fs/cgroup"));
}

/* Lines are "number:controllers:path" (Linux, cgroups(7)); version 2 names no controllers. */
int32_t
llm_processor_quota(const char *groups, const char *root)
{
	FILE	   *file = fopen(groups, "re");
	char		line[PATH_MAX + 64];
	char		folder[PATH_MAX];
	int32_t		quota = 0;

	if (file == NULL)
		return 0;
	snprintf(folder, sizeof(folder), "%s/cpu", root);
	while (fgets(line, sizeof(line), file) != NULL)
	{
		char	   *controllers = strchr(line, ':');
		char	   *path = controllers ? strchr(controllers + 1, ':') : NULL;

		if (path == NULL)
			continue;
		*path++ = '\0';
		path[strcspn(path, "\n")] = '\0';
		if (controllers[1] == '\0')
			quota = lesser_quota(quota, least_quota(root, path, true));
		else if (has_word(controllers + 1, "cpu"))
			quota = lesser_quota(quota, least_quota(folder, path, false));
	}
	fclose(file);
	return quota;
}

int32_t
llm_processor_of_thread(void)
{
	return sched_getcpu();
}

int32_t
llm_processor_leave(const int32_t *taken, int32_t n_taken)
{
	cpu_set_t	allowed;
	cpu_set_t	rest;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0)
	{
		rest = allowed;
		for (int32_t i = 0; i < n_taken; i++)
			if (taken[i] >= 0 && taken[i] < CPU_SETSIZE)
				CPU_CLR(taken[i], &rest);
		if (CPU_COUNT(&rest) > 0 && sched_setaffinity(0, sizeof(rest), &rest) == 0)
			(void) sched_setaffinity(0, sizeof(allowed), &allowed);
	}
	return llm_processor_of_thread();
}

/* Is the word in the list, which has commas between its words? */
static bool
has_word(const char *list, const char *word)
{
	const size_t length = strlen(word);

	for (;; list++)
	{
		if (strncmp(list, word, length) == 0 && (list[length] == ',' || list[length] == '\0'))
			return true;
		list = strchr(list, ',');
		if (list == NULL)
			return false;
	}
}

/*
 * Of a group and those that it is in.  In a container the path can be the one outside, of which there is only the
 * root here.
 */
static int32_t
least_quota(const char *root, char *path, bool version_2)
{
	int32_t		quota = 0;

	for (;;)
	{
		char	   *last;

		quota = lesser_quota(quota, quota_of_folder(root, path, version_2));
		last = strrchr(path, '/');
		if (last == NULL)
			return quota;
		*last = '\0';
	}
}

static int32_t
quota_of_folder(const char *root, const char *path, bool version_2)
{
	long long	time[2] = {0, 0};	/* and period, in us */
	long long	processors;

	if (version_2)
	{
		/* "max" stands for no limit */
		if (!read_numbers(root, path, "cpu.max", time, 2))
			return 0;
	}
	else if (!read_numbers(root, path, "cpu.cfs_quota_us", &time[0], 1) ||
			 !read_numbers(root, path, "cpu.cfs_period_us", &time[1], 1))
		return 0;
	if (time[0] <= 0 || time[1] <= 0)
		return 0;
	processors = time[0] / time[1] + (time[0] % time[1] > 0);
	return processors < INT32_MAX ? (int32_t) processors : INT32_MAX;
}

/* The first n numbers of a file; false where it does not begin with so many. */
static bool
read_numbers(const char *root, const char *path, const char *file, long long *numbers, int n)
{
	char		name[2 * PATH_MAX + 64];
	char		line[64];
	char	   *at = line;
	FILE	   *opened;
	bool		is_read;

	snprintf(name, sizeof(name), "%s/%s/%s", root, path, file);
	opened = fopen(name, "re");
	if (opened == NULL)
		return false;
	is_read = fgets(line, sizeof(line), opened) != NULL;
	fclose(opened);
	for (int i = 0; is_read && i < n; i++)
	{
		char	   *end;

		numbers[i] = strtoll(at, &end, 10);
		is_read = end != at;
		at = end;
	}
	return is_read;
}

/* 0 is none. */
static int32_t
lesser_quota(int32_t a, int32_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}
