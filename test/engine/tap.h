/*
 * tap.h
 *		The little that a C test program needs to speak TAP.
 *
 * ok(condition, "name %d", i) prints one result and returns it; skip_rest
 * tells that what the program needs is not there; done_testing() prints the plan
 * and gives main its exit status.  Fixtures are found by fixture_path().
 */
#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int	tap_count;
static int	tap_failed;

static inline bool
__attribute__((format(printf, 2, 3)))
ok(bool condition, const char *format,...)
{
	va_list		args;

	tap_count++;
	if (!condition)
		tap_failed++;
	printf("%sok %d - ", condition ? "" : "not ", tap_count);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	return condition;
}

static inline void
__attribute__((format(printf, 1, 2)))
diag(const char *format,...)
{
	va_list		args;

	printf("# ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

static inline void
skip(const char *reason)
{
	tap_count++;
	printf("ok %d # SKIP %s\n", tap_count, reason);
}

static inline int
done_testing(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed ? 1 : 0;
}

/*
 * The path of a file below the fixtures folder (LLAMA2_FIXTURES, by default
 * ../shared/fixtures), or NULL where it is absent.  The result is static.
 */
static inline const char *
fixture_path(const char *name)
{
	static char path[4096];
	const char *folder = getenv("LLAMA2_FIXTURES");

	snprintf(path, sizeof(path), "%s/%s", folder ? folder : "../shared/fixtures", name);
	return access(path, R_OK) == 0 ? path : NULL;
}

#endif							/* TAP_H */
