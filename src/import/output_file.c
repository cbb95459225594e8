/*
 * output_file.c
 *		A model file that appears whole or not at all.
 */
#define _GNU_SOURCE
#include "import/output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMPORARY_SUFFIX ".gguf.import"

/* What the signal handler removes; NULL while there is nothing. */
static const char *volatile unfinished;

static bool open_locked(OutputFile *output, LlmError *error);
static bool fail_to_create(const OutputFile *output, int error_number, LlmError *error);
static void remove_on_signals(void);
static void remove_and_end(int signal_number);
static bool sync_folder(const char *path, LlmError *error);

bool
output_open(OutputFile *output, const char *folder, const char *name, bool replace, LlmError *error)
{
	struct stat status;

	memset(output, 0, sizeof(*output));
	output->descriptor = -1;
	output->replace = replace;
	if (asprintf(&output->path, "%s/%s.gguf", folder, name) < 0)
		output->path = NULL;
	else if (asprintf(&output->temporary, "%s/%s" TEMPORARY_SUFFIX, folder, name) < 0)
		output->temporary = NULL;
	if (output->temporary == NULL)
		return llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory");
	if (lstat(output->path, &status) == 0 && !replace)
	{
		llm_fail(error, LLM_ERROR_FILE_ACCESS, "model file \"%s\" exists", output->path);
		return llm_hint(error, "Replace it with --force, or give the model another name with --name.");
	}
	if (lstat(output->path, &status) == 0 && S_ISDIR(status.st_mode))
		return llm_fail(error, LLM_ERROR_FILE_ACCESS, "\"%s\" is a folder", output->path);
	return open_locked(output, error);
}

bool
output_reserve(OutputFile *output, uint64_t n, LlmError *error)
{
	if (fallocate(output->descriptor, 0, 0, (off_t) n) == 0 || errno == EOPNOTSUPP ||
		errno == ENOSYS)
		return true;
	return llm_fail(error, LLM_ERROR_FILE_ACCESS,
					"could not reserve %" PRIu64 " bytes for \"%s\": %s", n,
					output->temporary, strerror(errno));
}

bool
output_write(OutputFile *output, uint64_t offset, const void *bytes, uint64_t n, LlmError *error)
{
	const char *from = bytes;

	while (n > 0)
	{
		ssize_t		written = pwrite(output->descriptor, from, n, (off_t) offset);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return llm_fail(error, LLM_ERROR_FILE_ACCESS, "could not write \"%s\": %s",
							output->temporary,
							strerror(errno));
		from += written;
		offset += (uint64_t) written;
		n -= (uint64_t) written;
	}
	return true;
}

bool
output_sync(OutputFile *output, LlmError *error)
{
	return fsync(output->descriptor) == 0 ||
		llm_fail(error, LLM_ERROR_FILE_ACCESS, "could not write \"%s\" to disk: %s",
				 output->temporary,
				 strerror(errno));
}

bool
output_publish(OutputFile *output, LlmError *error)
{
	unsigned int flags = output->replace ? 0 : RENAME_NOREPLACE;
	int			result = renameat2(AT_FDCWD, output->temporary, AT_FDCWD, output->path, flags);

	/* Not every file system can refuse to replace. */
	if (result != 0 && errno == EINVAL && flags != 0)
		result = rename(output->temporary, output->path);
	if (result != 0)
		return llm_fail(error, LLM_ERROR_FILE_ACCESS, "could not rename \"%s\" to \"%s\": %s",
						output->temporary, output->path, strerror(errno));
	unfinished = NULL;
	return sync_folder(output->path, error);
}

void
output_close(OutputFile *output)
{
	if (unfinished != NULL && output->descriptor >= 0)
		unlink(output->temporary);
	unfinished = NULL;
	if (output->descriptor >= 0)
		close(output->descriptor);
	output->descriptor = -1;
	free(output->path);
	free(output->temporary);
	output->path = NULL;
	output->temporary = NULL;
}

/*
 * One that an import left behind is taken over; one that is being written is locked.
 * The lock may have been got on a file that has its final name by now, or none.
 */
static bool
open_locked(OutputFile *output, LlmError *error)
{
	for (;;)
	{
		struct stat opened;
		struct stat named;

		output->descriptor = open(output->temporary, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
								  0644);
		if (output->descriptor < 0)
			return fail_to_create(output, errno, error);
		if (flock(output->descriptor, LOCK_EX | LOCK_NB) != 0)
		{
			close(output->descriptor);
			output->descriptor = -1;
			return llm_fail(error, LLM_ERROR_FILE_ACCESS,
							errno == EWOULDBLOCK ? "\"%s\" is being written by another import" :
							"could not lock \"%s\"", output->temporary);
		}
		if (fstat(output->descriptor, &opened) == 0 && lstat(output->temporary, &named) == 0 &&
			opened.st_ino == named.st_ino && opened.st_dev == named.st_dev)
			break;
		close(output->descriptor);
	}
	unfinished = output->temporary;
	remove_on_signals();
	if (ftruncate(output->descriptor, 0) != 0)
		return llm_fail(error, LLM_ERROR_FILE_ACCESS, "could not empty \"%s\": %s",
						output->temporary,
						strerror(errno));
	return true;
}

static bool
fail_to_create(const OutputFile *output, int error_number, LlmError *error)
{
	llm_fail(error, LLM_ERROR_FILE_ACCESS, "could not create \"%s\": %s", output->temporary,
			 strerror(error_number));
	if (error_number == EACCES || error_number == EPERM || error_number == EROFS)
		llm_hint(error, "Run llama2-import as a user who may write there, or name another folder with --directory.");
	if (error_number == ENOENT || error_number == ENOTDIR)
		llm_hint(error, "\"make install\" makes the default folder; --directory names another that is there.");
	return false;
}

static void
remove_on_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};
	struct sigaction action = {.sa_handler = remove_and_end};

	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
	{
		struct sigaction before;

		/* what nohup has let be ignored stays so */
		if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
	}
	/* A file larger than a limit allows is an error of the system call then. */
	signal(SIGXFSZ, SIG_IGN);
}

/* End by the same signal, so that the caller sees it. */
static void
remove_and_end(int signal_number)
{
	const char *path = unfinished;

	if (path != NULL)
		unlink(path);
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

static bool
sync_folder(const char *path, LlmError *error)
{
	char	   *folder = strdup(path);
	int			descriptor = -1;
	bool		done = false;

	if (folder != NULL)
	{
		*strrchr(folder, '/') = '\0';
		descriptor = open(folder[0] != '\0' ? folder : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	/* File systems that cannot sync a folder say so. */
	if (descriptor >= 0)
		done = fsync(descriptor) == 0 || errno == EINVAL;
	if (!done)
		llm_fail(error, LLM_ERROR_FILE_ACCESS, "could not write the folder of \"%s\" to disk: %s",
				 path,
				 strerror(errno));
	if (descriptor >= 0)
		close(descriptor);
	free(folder);
	return done;
}
