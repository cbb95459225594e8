/*
 * test_processors.c
 *		How many processors control groups leave to a process, in folders made for the test.
 */
#include "engine/processors.h"

#include "tap.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>

/* What a file holds from now on, and what is said then to a process of these groups. */
typedef struct Case
{
	const char *file;			/* NULL: none is written */
	const char *contents;
	const char *groups;
	int32_t		quota;
	const char *what;
} Case;

#define LENGTH(array) ((int) (sizeof(array) / sizeof((array)[0])))
#define BOTH_CONTROLLERS "9:memory:/pod\n4:cpu,cpuacct:/pod\n"

static const Case cases[] = {
	{NULL, NULL, "0::/pod/database\n", 0, "no files, no limit"},
	{"pod/database/cpu.max", "max 100000\n", "0::/pod/database\n", 0, "no limit"},
	{"pod/database/cpu.max", "400000 100000\n", "0::/pod/database\n", 4, "a limit"},
	{"pod/database/cpu.max", "150000 100000\n", "0::/pod/database\n", 2, "a part of a processor counts as one"},
	{"pod/database/cpu.max", "10000 100000\n", "0::/pod/database\n", 1, "where there is no more, too"},
	{"pod/database/cpu.max", "800000 100000\n", "0::/pod/database\n", 8, "a larger one"},
	{"pod/cpu.max", "100000 50000\n", "0::/pod/database\n", 2, "the limit of a group around it"},
	{"cpu.max", "100000 100000\n", "0::/\n", 1, "of the root of a container"},
	{NULL, NULL, "0::/not/seen/from/inside\n", 1, "whose own path is another one outside"},
	{NULL, NULL, "12:cpuset:/\n0::/\n", 1, "other controllers say nothing"},
	{"cpu.max", "max 100000\n", "0::/\n", 0, "a limit that is gone"},
	{"cpu/pod/cpu.cfs_period_us", "100000\n", BOTH_CONTROLLERS, 0, "version 1: a period alone"},
	{"cpu/pod/cpu.cfs_quota_us", "-1\n", BOTH_CONTROLLERS, 0, "no limit"},
	{"cpu/pod/cpu.cfs_quota_us", "250000\n", BOTH_CONTROLLERS, 3, "a limit"},
	{NULL, NULL, "4:cpuacct,cpu:/pod\n", 3, "whatever the order of controllers"},
	{NULL, NULL, "4:cpuacct,cpuset:/pod\n", 0, "a name that begins alike is not it"},
	{NULL, NULL, "4:cpu:/pod\n0::/pod/database\n", 2, "the lesser of both versions"},
	{NULL, NULL, "", 0, "an empty file"},
	{NULL, NULL, "\n:\n::\n0:\n", 0, "lines without parts"},
	{"pod/cpu.max", "100000\n", "0::/pod\n", 0, "no period"},
	{"pod/cpu.max", "100000 0\n", "0::/pod\n", 0, "a period of nothing"},
	{"pod/cpu.max", "-5 100\n", "0::/pod\n", 0, "a negative limit"},
	{"pod/cpu.max", "99999999999999999999 1\n", "0::/pod\n", INT32_MAX, "more than can be counted"},
	{"pod/cpu.max", "", "0::/pod\n", 0, "nothing"}
};

static const char *const folders[] = {"pod", "pod/database", "cpu", "cpu/pod"};
static const char *const files[] = {
	"groups", "cpu.max", "pod/cpu.max", "pod/database/cpu.max", "cpu/pod/cpu.cfs_period_us", "cpu/pod/cpu.cfs_quota_us"
};

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
write_file(const char *name, const char *contents)
{
	FILE	   *file = fopen(below_root(name), "w");

	if (file == NULL || fputs(contents, file) == EOF || fclose(file) != 0)
		abort();
}

static void
test_quota(const Case *test)
{
	char		path[PATH_MAX];
	int32_t		quota;

	if (test->file)
		write_file(test->file, test->contents);
	write_file("groups", test->groups);
	snprintf(path, sizeof(path), "%s", below_root("groups"));
	quota = llm_processor_quota(path, root);
	if (!ok(quota == test->quota, "%s", test->what))
		diag("%d, not %d", quota, test->quota);
}

static void
test_long_path(void)
{
	char		line[3 * PATH_MAX];
	const Case	test = {NULL, NULL, line, 0, "a path longer than any"};

	memset(line, 'a', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	memcpy(line, "0::/", 4);
	test_quota(&test);
}

int
main(void)
{
	if (mkdtemp(root) == NULL)
		abort();
	for (int i = 0; i < LENGTH(folders); i++)
		if (mkdir(below_root(folders[i]), 0700) != 0)
			abort();
	for (int i = 0; i < LENGTH(cases); i++)
		test_quota(&cases[i]);
	test_long_path();
	ok(llm_processor_quota(below_root("no such file"), root) == 0, "a system without control groups");
	ok(llm_processor_count() >= 1, "there is a processor");

	for (int i = 0; i < LENGTH(files); i++)
		if (unlink(below_root(files[i])) != 0)
			abort();
	for (int i = LENGTH(folders) - 1; i >= 0; i--)
		if (rmdir(below_root(folders[i])) != 0)
			abort();
	return rmdir(root) == 0 ? done_testing() : 1;
}
