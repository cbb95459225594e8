/*
 * machine_limits.h
 *		What this machine can do at most: memory bandwidth and arithmetic peaks.
 *
 * Each is measured by the plainest loop that reaches it.  Whatever else the
 * machine does only lowers them: so measure_machine_limits takes the best of the repetitions
 * asked for.  Where the machine is shared, measure once before and once after what is compared.
 *
 * Memory is read from end to end, pass after pass, as a step reads weights: a part that is
 * read twice in a row would come from the cache, which may hold hundreds of megabytes.
 */
#ifndef MACHINE_LIMITS_H
#define MACHINE_LIMITS_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#ifdef __x86_64__
#include <immintrin.h>
#endif

#define READ_BYTES ((size_t) 1 << 30)	/* more than any cache holds */
#define READ_BLOCK ((size_t) 1 << 20)	/* which a thread reads in so many places at once: */
#define READ_STREAMS 8
#define READ_AHEAD 1024			/* bytes */
#define ROUNDS 2000000

typedef struct MachineLimits
{
	double		read_gbytes;	/* 10^9 bytes read from memory in a second */
	double		float_gflops;	/* 10^9 float32 operations in a second, two for a multiply-add; 0
								 * unknown */
	double		int8_gops;		/* the same of int8 with int32 sums; 0 unknown */
	double		bf16_gflops;	/* and of bfloat16 with float32 sums; 0: no instruction for it */
} MachineLimits;

/* What is read to measure memory. */
typedef struct ReadMemory
{
	const uint64_t *words;		/* NULL where there is too little memory */
	size_t		n_bytes;
	int			n_threads;
} ReadMemory;

/* Runs so many rounds of independent multiply-adds; returns its operations. */
typedef double (*Loop) (long rounds);

static inline double seconds_now(void);
static inline double median_of(double *values, int n);
static inline ReadMemory map_read_memory(int n_threads);
static inline void unmap_read_memory(ReadMemory *memory);
static inline double read_gbytes(const ReadMemory *memory);
static inline double read_pass(const ReadMemory *memory, bool to_first_level);
static inline double peak_gops(Loop loop, long rounds, int n_threads);
static inline Loop float_loop(const char *kernels);
static inline Loop int8_loop(const char *kernels);
static inline Loop bf16_loop(const char *kernels);
static inline int compare_doubles(const void *a, const void *b);

/*
 * Measure with n_threads threads, with the instructions of a kernel set ("avx2",
 * "avxvnni", "avx512", "amx", "amx_prompts", "amx_bf16"; for others only memory is measured).  What is given is read where it is large enough, since
 * parts of a machine's memory may differ in speed, else a gigabyte of our own.
 */
static inline MachineLimits
measure_machine_limits(int n_threads, const char *kernels, const void *given, size_t n_bytes, int repetitions)
{
	MachineLimits limits = {0};
	bool		use_given = n_bytes >= READ_BYTES / 2;
	ReadMemory	memory = use_given ? (ReadMemory) {given, n_bytes, n_threads} : map_read_memory(n_threads);

	for (int k = 0; k < repetitions; k++)
	{
		limits.read_gbytes = fmax(limits.read_gbytes, read_gbytes(&memory));
		limits.float_gflops = fmax(limits.float_gflops, peak_gops(float_loop(kernels), ROUNDS, n_threads));
		limits.int8_gops = fmax(limits.int8_gops, peak_gops(int8_loop(kernels), ROUNDS, n_threads));
		limits.bf16_gflops = fmax(limits.bf16_gflops, peak_gops(bf16_loop(kernels), ROUNDS, n_threads));
	}
	if (!use_given)
		unmap_read_memory(&memory);
	return limits;
}

/* CLOCK_MONOTONIC in seconds. */
static inline double
seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec * 1e-9;
}

/* The middle of n values, which are sorted. */
static inline double
median_of(double *values, int n)
{
	qsort(values, n, sizeof(double), compare_doubles);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static inline ReadMemory
map_read_memory(int n_threads)
{
	size_t		n = READ_BYTES / sizeof(uint64_t);
	uint64_t   *words = mmap(NULL, READ_BYTES, PROT_READ | PROT_WRITE,
							 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (words == MAP_FAILED)
		return (ReadMemory) {NULL, 0, n_threads};
#ifdef MADV_HUGEPAGE
	(void) madvise(words, READ_BYTES, MADV_HUGEPAGE);
#endif
#pragma omp parallel for num_threads(n_threads) schedule(static)
	for (size_t i = 0; i < n; i++)
		words[i] = i;
	return (ReadMemory) {words, READ_BYTES, n_threads};
}

static inline void
unmap_read_memory(ReadMemory *memory)
{
	if (memory->words != NULL)
		munmap((void *) memory->words, memory->n_bytes);
}

/*
 * The better of two passes over it: fetching ahead into the first level of cache, where Intel's processors are faster,
 * and into the second, where AMD's are.
 */
static inline double
read_gbytes(const ReadMemory *memory)
{
	if (memory->words == NULL)
		return 0;
	return fmax(read_pass(memory, true), read_pass(memory, false));
}

/*
 * A core that reads in several places at once is faster than in one, since it
 * fetches ahead in each; one word of a cache line brings the line.
 */
static inline double
read_pass(const ReadMemory *memory, bool to_first_level)
{
	const size_t stream_words = READ_BLOCK / READ_STREAMS / sizeof(uint64_t);
	size_t		n_blocks = memory->n_bytes / READ_BLOCK;
	double		started = seconds_now();
	uint64_t	sum = 0;

#pragma omp parallel for num_threads(memory->n_threads) schedule(static) reduction(+:sum)
	for (size_t block = 0; block < n_blocks; block++)
	{
		const uint64_t *words = memory->words + block * (READ_BLOCK / sizeof(uint64_t));

		for (size_t i = 0; i < stream_words; i += 8)
			for (size_t stream = 0; stream < READ_STREAMS; stream++)
			{
				const uint64_t *word = words + stream * stream_words + i;

				if (to_first_level)
					__builtin_prefetch((const char *) word + READ_AHEAD, 0, 3);
				else
					__builtin_prefetch((const char *) word + READ_AHEAD, 0, 2);
				sum += *word;
			}
	}
	__asm__ volatile("" : : "r"(sum));
	return (double) (n_blocks * READ_BLOCK) / (seconds_now() - started) * 1e-9;
}

/* Measured once; 0 without a loop. */
static inline double
peak_gops(Loop loop, long rounds, int n_threads)
{
	double		started = seconds_now();
	double		operations = 0;

	if (loop == NULL)
		return 0;
#pragma omp parallel num_threads(n_threads) reduction(+:operations)
	operations += loop(rounds);
	return operations / (seconds_now() - started) * 1e-9;
}

#ifdef __x86_64__

/*
 * A loop over N_SUMS independent sums in registers, enough to cover the
 * latency of the instruction; the empty asm keeps each one in its place.
 */
#define N_SUMS 12
#define MULTIPLY_ADD_LOOP(name, features, type, constraint, first, next, operations) \
__attribute__((target(features))) \
static inline double \
name(long rounds) \
{ \
	type		sums[N_SUMS]; \
\
_Pragma("GCC unroll 12") \
	for (int i = 0; i < N_SUMS; i++) \
		sums[i] = first; \
	for (long r = 0; r < rounds; r++) \
	{ \
_Pragma("GCC unroll 12") \
		for (int i = 0; i < N_SUMS; i++) \
		{ \
			type		a = sums[i]; \
\
			sums[i] = next; \
			__asm__ volatile("" : constraint(sums[i])); \
		} \
	} \
	return (double) rounds * N_SUMS * (operations); \
}

MULTIPLY_ADD_LOOP(float_loop_avx2, "avx2,fma", __m256, "+x",
				  _mm256_set1_ps(0.5f), _mm256_fmadd_ps(a, a, a), 2 * 8)
MULTIPLY_ADD_LOOP(float_loop_avx512, "avx512f", __m512, "+v",
				  _mm512_set1_ps(0.5f), _mm512_fmadd_ps(a, a, a), 2 * 16)
MULTIPLY_ADD_LOOP(bf16_loop_avx512, "avx512f,avx512bf16", __m512, "+v",
				  _mm512_set1_ps(0.5f), _mm512_dpbf16_ps(a, (__m512bh) a, (__m512bh) a), 2 * 32)
MULTIPLY_ADD_LOOP(int8_loop_avx512, "avx512f,avx512vnni", __m512i, "+v",
				  _mm512_set1_epi32(1), _mm512_dpbusd_epi32(a, a, a), 2 * 64)

/* Without VNNI a product with int32 sums takes three instructions. */
MULTIPLY_ADD_LOOP(int8_loop_avx2, "avx2", __m256i, "+x",
				  _mm256_set1_epi8(1),
				  _mm256_add_epi32(a, _mm256_madd_epi16(_mm256_maddubs_epi16(a, a), _mm256_set1_epi16(1))),
				  2 * 32)

MULTIPLY_ADD_LOOP(int8_loop_avxvnni, "avx2,avxvnni", __m256i, "+x",
				  _mm256_set1_epi32(1), _mm256_dpbusd_avx_epi32(a, a, a), 2 * 32)

static inline bool
has_avx512(const char *kernels)
{
	return strcmp(kernels, "avx512") == 0 || strncmp(kernels, "amx", 3) == 0;
}

static inline Loop
float_loop(const char *kernels)
{
	return has_avx512(kernels) ? float_loop_avx512 :
		strncmp(kernels, "avx", 3) == 0 ? float_loop_avx2 : NULL;
}

static inline Loop
int8_loop(const char *kernels)
{
	return has_avx512(kernels) ? int8_loop_avx512 :
		strcmp(kernels, "avxvnni") == 0 ? int8_loop_avxvnni :
		strcmp(kernels, "avx2") == 0 ? int8_loop_avx2 : NULL;
}

static inline Loop
bf16_loop(const char *kernels)
{
	return has_avx512(kernels) && __builtin_cpu_supports("avx512bf16") ? bf16_loop_avx512 : NULL;
}

#else

static inline Loop
bf16_loop(const char *kernels)
{
	(void) kernels;
	return NULL;
}

static inline Loop
float_loop(const char *kernels)
{
	(void) kernels;
	return NULL;
}

static inline Loop
int8_loop(const char *kernels)
{
	(void) kernels;
	return NULL;
}

#endif

static inline int
compare_doubles(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

#endif							/* MACHINE_LIMITS_H */
