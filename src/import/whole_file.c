/*
 * whole_file.c
 *		Small files, read whole.
 */
#include "import/whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool read_all(int descriptor, char *bytes, uint64_t n);

char *
load_whole_file(const char *path, uint64_t limit, uint64_t *length, LlmError *error)
{
	int			descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat status;
	char	   *bytes = NULL;

	if (descriptor < 0 || fstat(descriptor, &status) != 0)
		llm_fail(error, LLM_ERROR_FILE_ACCESS, "could not open \"%s\": %s", path, strerror(errno));
	else if (!S_ISREG(status.st_mode))
		llm_fail(error, LLM_ERROR_CORRUPT_FILE, "\"%s\" is not a file", path);
	else if ((uint64_t) status.st_size > limit)
		llm_fail(error, LLM_ERROR_LIMIT, "\"%s\" has %" PRIu64 " bytes, more than %" PRIu64, path,
				 (uint64_t) status.st_size, limit);
	else
	{
		*length = (uint64_t) status.st_size;
		bytes = malloc(*length + 1);
		if (bytes == NULL)
			llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory for \"%s\"", path);
		else if (!read_all(descriptor, bytes, *length))
		{
			llm_fail(error, LLM_ERROR_FILE_ACCESS, "could not read \"%s\"", path);
			free(bytes);
			bytes = NULL;
		}
		else
			bytes[*length] = '\0';
	}
	if (descriptor >= 0)
		close(descriptor);
	return bytes;
}

static bool
read_all(int descriptor, char *bytes, uint64_t n)
{
	while (n > 0)
	{
		ssize_t		got = read(descriptor, bytes, n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		bytes += got;
		n -= (uint64_t) got;
	}
	return true;
}
