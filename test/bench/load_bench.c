/*
 * load_bench.c
 *		How fast a model's file becomes a model in shared memory, beside cp of the same file.
 *
 *	load_bench [-c] [-t THREADS] [-n ROUNDS] MODEL.gguf
 *
 * The two alternate, each from the page cache, into new memory in /dev/shm.  Prints the median of each and their ratio.
 * With -c the file is cold each time, and beside the load is "cat" of it to nowhere: what the disk gives.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/model.h"
#include "engine/processors.h"

#define MAX_ROUNDS 100
#define PLACE "/dev/shm/llama2_load_bench"

static void warm(const char *path);
static void chill(const char *path);
static double run(char *const *command);
static double load(const char *path, int n_threads, double *megabytes);
static double median(double *values, int n);
static double now(void);
static void fail(const char *what);

int
main(int argc, char **argv)
{
	int			n_threads = llm_processor_count();
	int			n_rounds = 5;
	double		others[MAX_ROUNDS];
	double		loads[MAX_ROUNDS];
	double		megabytes = 0;
	void		(*before) (const char *path) = warm;
	const char *other = "cp";
	int			option;

	while ((option = getopt(argc, argv, "ct:n:")) != -1)
	{
		if (option == 'c')
		{
			before = chill;
			other = "cat";
		}
		else if (option == 't')
			n_threads = atoi(optarg);
		else if (option == 'n')
			n_rounds = atoi(optarg);
	}
	if (optind != argc - 1 || n_threads < 1 || n_rounds < 1 || n_rounds > MAX_ROUNDS)
	{
		fprintf(stderr, "usage: %s [-c] [-t THREADS] [-n ROUNDS] MODEL.gguf\n", argv[0]);
		return 1;
	}
	for (int i = 0; i < n_rounds; i++)
	{
		char	   *const command[] = {(char *) other, argv[optind], before == warm ? PLACE : NULL, NULL};

		before(argv[optind]);
		others[i] = run(command);
		before(argv[optind]);
		loads[i] = load(argv[optind], n_threads, &megabytes);
		printf("%s %.3f s, load %.3f s\n", other, others[i], loads[i]);
	}
	printf("%.0f MB, %d threads: %s %.3f s (%.0f MB/s), load %.3f s (%.0f MB/s), %.2f of %s's speed\n",
		   megabytes, n_threads, other, median(others, n_rounds), megabytes / median(others, n_rounds),
		   median(loads, n_rounds), megabytes / median(loads, n_rounds),
		   median(others, n_rounds) / median(loads, n_rounds), other);
	return 0;
}

/* Into the page cache, twice, should the first time have pushed out its own beginning. */
static void
warm(const char *path)
{
	char	   *buffer = malloc(1 << 20);

	for (int i = 0; i < 2; i++)
	{
		int			descriptor = open(path, O_RDONLY);

		if (descriptor < 0 || buffer == NULL)
			fail("could not read the file");
		while (read(descriptor, buffer, 1 << 20) > 0)
			;
		close(descriptor);
	}
	free(buffer);
}

/* Out of the page cache; what was written to it must be on disk first. */
static void
chill(const char *path)
{
	int			descriptor = open(path, O_RDONLY);

	if (descriptor < 0 || fsync(descriptor) != 0 ||
		posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED) != 0)
		fail("could not take the file out of the page cache");
	close(descriptor);
}

/* The seconds that a command takes, its output to nowhere. */
static double
run(char *const *command)
{
	double		started;
	int			status;
	pid_t		child;

	unlink(PLACE);
	started = now();
	child = fork();
	if (child == 0)
	{
		int			nowhere = open("/dev/null", O_WRONLY);

		dup2(nowhere, STDOUT_FILENO);
		execvp(command[0], command);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0)
		fail("could not run the command");
	started = now() - started;
	unlink(PLACE);
	return started;
}

static double
load(const char *path, int n_threads, double *megabytes)
{
	LlmError	error = {0};
	LlmModelFile *file;
	LlmModel	model;
	uint64_t	size;
	double		started;
	void	   *image;
	int			descriptor;

	unlink(PLACE);
	started = now();
	file = llm_model_open(path, &error);
	if (file == NULL)
		fail(error.message);
	size = llm_model_image_size(file);
	descriptor = open(PLACE, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (descriptor < 0 || ftruncate(descriptor, (off_t) size) != 0)
		fail("could not make the segment");
	image = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
	if (image == MAP_FAILED)
		fail("could not map the segment");
	(void) madvise(image, size, MADV_HUGEPAGE);
	if (!llm_model_load_image(file, image, size, n_threads, NULL, NULL, &error) ||
		!llm_model_attach(image, size, &model, &error))
		fail(error.message);
	started = now() - started;
	*megabytes = (double) llm_model_file_bytes(file) / 1e6;
	llm_model_detach(&model);
	llm_model_close(file);
	munmap(image, size);
	close(descriptor);
	unlink(PLACE);
	return started;
}

static double
median(double *values, int n)
{
	for (int i = 1; i < n; i++)
	{
		for (int j = i; j > 0 && values[j] < values[j - 1]; j--)
		{
			double		swapped = values[j];

			values[j] = values[j - 1];
			values[j - 1] = swapped;
		}
	}
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static double
now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double) time.tv_sec + (double) time.tv_nsec / 1e9;
}

static void
fail(const char *what)
{
	fprintf(stderr, "load_bench: %s\n", what);
	unlink(PLACE);
	exit(1);
}
