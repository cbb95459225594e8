/*
 * machine_limits.h
 *		What this machine can do at most: the rulers beside every measurement.
 */
#ifndef MACHINE_LIMITS_H
#define MACHINE_LIMITS_H

#include <stdint.h>

typedef struct MachineLimits
{
	double		read_gbytes;	/* 10^9 bytes read from memory in a second */
	double		float_gflops;	/* 10^9 float32 operations in a second, two for a multiply-add; 0 unknown */
	double		int8_gops;		/* the same of int8 with int32 sums; 0 unknown */
} MachineLimits;

/*
 * Measure with n_threads threads, with the instructions of a kernel set ("avx2",
 * "avx512"; for others only memory is measured).  Takes about a second and
 * a gigabyte.
 */
extern MachineLimits measure_machine_limits(int n_threads, const char *kernels);

/* CLOCK_MONOTONIC in seconds. */
extern double seconds_now(void);

/* The middle of n values, which are sorted. */
extern double median_of(double *values, int n);

#endif							/* MACHINE_LIMITS_H */
