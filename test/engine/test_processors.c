/*
 * test_processors.c
 *		How many processors control groups leave to a process, in folders made for the test.
 */
#include "engine/processors.h"

#include "tap.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>


static char root[] = "/tmp/llama2_processors.XXXXXX";

/* The name of a file or folder below the root. */
static const char *
below_root(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	return path;
}

static void
make_folder(const char *name)
{
	if (mkdir(below_root(name), 0700) != 0)
		abort();
}

static void
write_file(const char *name, const char *contents)
{
	FILE	   *file = fopen(below_root(name), "w");

	if (file == NULL || fputs(contents, file) == EOF || fclose(file) != 0)
		abort();
}

static void
is_quota(int32_t expected, const char *groups, const char *what)
{
	char		path[PATH_MAX];
	int32_t		quota;

	write_file("groups", groups);
	snprintf(path, sizeof(path), "%s", below_root("groups"));
	quota = llm_processor_quota(path, root);
	if (!ok(quota == expected, "%s", what))
		diag("%d, not %d", quota, expected);
}

static void
test_version_2(void)
{
	make_folder("pod");
	make_folder("pod/database");
	is_quota(0, "0::/pod/database\n", "no files, no limit");
	write_file("pod/database/cpu.max", "max 100000\n");
	is_quota(0, "0::/pod/database\n", "no limit");
	write_file("pod/database/cpu.max", "400000 100000\n");
	is_quota(4, "0::/pod/database\n", "a limit");
	write_file("pod/database/cpu.max", "150000 100000\n");
	is_quota(2, "0::/pod/database\n", "a part of a processor counts as one");
	write_file("pod/database/cpu.max", "10000 100000\n");
	is_quota(1, "0::/pod/database\n", "where there is no more, too");
	write_file("pod/cpu.max", "100000 50000\n");
	write_file("pod/database/cpu.max", "800000 100000\n");
	is_quota(2, "0::/pod/database\n", "the limit of a group around it");
	write_file("cpu.max", "100000 100000\n");
	is_quota(1, "0::/\n", "of the root of a container");
	is_quota(1, "0::/not/seen/from/inside\n", "whose own path is another one outside");
	is_quota(1, "12:cpuset:/\n0::/\n", "other controllers say nothing");
}

static void
test_version_1(void)
{
	const char *groups = "9:memory:/pod\n4:cpu,cpuacct:/pod\n";

	if (unlink(below_root("cpu.max")) != 0)
		abort();
	make_folder("cpu");
	make_folder("cpu/pod");
	write_file("cpu/pod/cpu.cfs_period_us", "100000\n");
	write_file("cpu/pod/cpu.cfs_quota_us", "-1\n");
	is_quota(0, groups, "version 1: no limit");
	write_file("cpu/pod/cpu.cfs_quota_us", "250000\n");
	is_quota(3, groups, "a limit");
	is_quota(3, "4:cpuacct,cpu:/pod\n", "whatever the order of controllers");
	is_quota(0, "4:cpuacct,cpuset:/pod\n", "a name that begins alike is not it");
	is_quota(2, "4:cpu:/pod\n0::/pod/database\n", "the lesser of both versions");
}

static void
test_nonsense(void)
{
	char		long_line[3 * PATH_MAX];

	memset(long_line, 'a', sizeof(long_line) - 1);
	long_line[sizeof(long_line) - 1] = '\0';
	memcpy(long_line, "0::/", 4);
	is_quota(0, long_line, "a path longer than any");
	is_quota(0, "", "an empty file");
	is_quota(0, "\n:\n::\n0:\n", "lines without parts");
	write_file("pod/cpu.max", "100000\n");
	is_quota(0, "0::/pod\n", "no period");
	write_file("pod/cpu.max", "100000 0\n");
	is_quota(0, "0::/pod\n", "a period of nothing");
	write_file("pod/cpu.max", "-5 100\n");
	is_quota(0, "0::/pod\n", "a negative limit");
	write_file("pod/cpu.max", "99999999999999999999 1\n");
	is_quota(INT32_MAX, "0::/pod\n", "more than can be counted");
	write_file("pod/cpu.max", "");
	is_quota(0, "0::/pod\n", "nothing");
	ok(llm_processor_quota(below_root("no such file"), root) == 0, "a system without control groups");
}

int
main(void)
{
	static const char *const made[] = {
		"cpu/pod/cpu.cfs_period_us", "cpu/pod/cpu.cfs_quota_us", "pod/database/cpu.max", "pod/cpu.max", "groups",
		"cpu/pod", "cpu", "pod/database", "pod"
	};

	if (mkdtemp(root) == NULL)
		abort();
	test_version_2();
	test_version_1();
	test_nonsense();
	ok(llm_processor_count() >= 1, "there is a processor");
	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++)
		if (remove(below_root(made[i])) != 0)
			abort();
	return rmdir(root) == 0 ? done_testing() : 1;
}
