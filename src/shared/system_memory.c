/*
 * system_memory.c
 *		What memory the system has left for this server.
 *
 * Linux tells it in files.  The kernel's estimate counts the page cache as available, and so
 * does what is said here of a control group: a container's limit.
 */
#include "shared/system_memory.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include "miscadmin.h"
#include "storage/dsm_impl.h"
#include "storage/fd.h"

#define CONTROL_GROUPS "/sys/fs/cgroup"

/* Where a version of control groups has what it says of memory. */
typedef struct ControlGroups
{
	const char *controllers;	/* in a line of /proc/self/cgroup */
	const char *root;
	const char *limit;
	const char *used;
	const char *cache;			/* a key of memory.stat */
} ControlGroups;

static const ControlGroups version_2 = {
	"::", CONTROL_GROUPS, "memory.max", "memory.current", "inactive_file"
};

static const ControlGroups version_1 = {
	":memory:", CONTROL_GROUPS "/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
	"total_inactive_file"
};

static uint64 control_group_available(const ControlGroups *groups);
static void find_control_group(const ControlGroups *groups, char *path, size_t size);
static bool read_number(const char *path, uint64 *number);
static uint64 read_key(const char *path, const char *key);
static uint64 free_space(const char *folder);

void
Llama2ReadSystemMemory(Llama2SystemMemory *memory)
{
	uint64		kilobytes = read_key("/proc/meminfo", "MemAvailable:");

	memory->available = kilobytes == PG_UINT64_MAX ? PG_UINT64_MAX : kilobytes * 1024;
	memory->available = Min(memory->available, control_group_available(&version_2));
	memory->available = Min(memory->available, control_group_available(&version_1));
	memory->shared = PG_UINT64_MAX;
	memory->reserved = (uint64) min_dynamic_shared_memory * 1024 * 1024;
	memory->shared_place[0] = '\0';
	if (dynamic_shared_memory_type == DSM_IMPL_POSIX)
		strlcpy(memory->shared_place, "/dev/shm", sizeof(memory->shared_place));
	else if (dynamic_shared_memory_type == DSM_IMPL_MMAP)
		snprintf(memory->shared_place, sizeof(memory->shared_place), "%s/%s", DataDir, PG_DYNSHMEM_DIR);
	if (memory->shared_place[0] != '\0')
		memory->shared = free_space(memory->shared_place);
}

/* Of the limit of this process's control group. */
static uint64
control_group_available(const ControlGroups *groups)
{
	char		group[MAXPGPATH];
	char		path[MAXPGPATH + 32];
	uint64		limit;
	uint64		used;
	uint64		cache;

	find_control_group(groups, group, sizeof(group));
	snprintf(path, sizeof(path), "%s/%s", group, groups->limit);
	if (!read_number(path, &limit))
		return PG_UINT64_MAX;
	snprintf(path, sizeof(path), "%s/%s", group, groups->used);
	if (!read_number(path, &used))
		return PG_UINT64_MAX;
	snprintf(path, sizeof(path), "%s/memory.stat", group);
	cache = read_key(path, groups->cache);
	if (cache != PG_UINT64_MAX)
		used -= Min(used, cache);
	return limit > used ? limit - used : 0;
}

/* In a container the group is the root of what is mounted, whatever its name. */
static void
find_control_group(const ControlGroups *groups, char *path, size_t size)
{
	char		line[MAXPGPATH];
	FILE	   *file = AllocateFile("/proc/self/cgroup", "r");

	strlcpy(path, groups->root, size);
	while (file && fgets(line, sizeof(line), file) != NULL)
	{
		/* number:controllers:path */
		const char *controllers = line + strcspn(line, ":");

		if (strncmp(controllers, groups->controllers, strlen(groups->controllers)) != 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(path, size, "%s%s", groups->root, controllers + strlen(groups->controllers));
		if (access(path, R_OK) != 0)
			strlcpy(path, groups->root, size);
	}
	if (file)
		FreeFile(file);
}

/* False where there is no such file, or it says "max". */
static bool
read_number(const char *path, uint64 *number)
{
	FILE	   *file = AllocateFile(path, "r");
	unsigned long long value;
	bool		done;

	if (file == NULL)
		return false;
	done = fscanf(file, "%llu", &value) == 1;
	FreeFile(file);
	if (done)
		*number = value;
	return done;
}

/* The number behind a word at a line's beginning; PG_UINT64_MAX where there is none. */
static uint64
read_key(const char *path, const char *key)
{
	FILE	   *file = AllocateFile(path, "r");
	char		line[256];
	uint64		number = PG_UINT64_MAX;

	if (file == NULL)
		return number;
	while (number == PG_UINT64_MAX && fgets(line, sizeof(line), file) != NULL)
	{
		if (strncmp(line, key, strlen(key)) == 0)
			number = strtoull(line + strlen(key), NULL, 10);
	}
	FreeFile(file);
	return number;
}

static uint64
free_space(const char *folder)
{
	struct statvfs status;

	if (statvfs(folder, &status) != 0)
		return PG_UINT64_MAX;
	return (uint64) status.f_bavail * status.f_frsize;
}
