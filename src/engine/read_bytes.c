/*
 * read_bytes.c
 *		Reading a known piece of a file, whatever the system gives at once.
 */
#define _GNU_SOURCE
#include "engine/read_bytes.h"

#include <errno.h>
#include <unistd.h>

uint64_t
llm_read_bytes(int descriptor, uint64_t offset, void *out, uint64_t n, int *error_number)
{
	uint64_t	done = 0;

	*error_number = 0;
	while (done < n)
	{
		ssize_t		got = pread(descriptor, (char *) out + done, n - done, (off_t) (offset + done));

		if (got > 0)
			done += (uint64_t) got;
		else if (got == 0)
			break;
		else if (errno != EINTR)
		{
			*error_number = errno;
			break;
		}
	}
	return done;
}
