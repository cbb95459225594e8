/*
 * quantize_fit.h
 *		Real scales and minima for a group of weights, by a search for the least sum of
 *		squared errors; part of quantize_search.h.
 *
 * Sums go through eight lanes in a fixed order and nothing is contracted, so all
 * processors give the same bits.
 */
#ifndef IMPORT_QUANTIZE_FIT_H
#define IMPORT_QUANTIZE_FIT_H

#include <math.h>
#include <string.h>

#include "engine/half.h"

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

#define LANES 8
#define INLINE static inline __attribute__((always_inline))

/* A magnitude below which a block counts as zero: no scale that is a half reaches it. */
#define NEGLIGIBLE 1e-12f

typedef float Lanes __attribute__((vector_size(4 * LANES)));

/* Codes are first .. last, counted from the type's offset. */
typedef struct Range
{
	float		first;
	float		last;
} Range;

INLINE		Lanes
load(const float *p)
{
	Lanes		v;

	memcpy(&v, p, sizeof(v));
	return v;
}

INLINE		Lanes
splat(float value)
{
	return (Lanes) {value, value, value, value, value, value, value, value};
}

INLINE		Lanes
clamp(Lanes v, Lanes first, Lanes last)
{
#if defined(__AVX2__)
	return (Lanes) _mm256_min_ps(_mm256_max_ps((__m256) v, (__m256) first), (__m256) last);
#elif defined(__SSE2__)
	__m128		half[2];
	__m128		low[2];
	__m128		high[2];

	memcpy(half, &v, sizeof(v));
	memcpy(low, &first, sizeof(first));
	memcpy(high, &last, sizeof(last));
	for (int i = 0; i < 2; i++)
		half[i] = _mm_min_ps(_mm_max_ps(half[i], low[i]), high[i]);
	memcpy(&v, half, sizeof(v));
	return v;
#else
	for (int i = 0; i < LANES; i++)
	{
		float		x = v[i] > first[i] ? v[i] : first[i];

		v[i] = x < last[i] ? x : last[i];
	}
	return v;
#endif
}

/* Nearest even: beyond 2^23 a float has no fraction. */
INLINE		Lanes
nearest(Lanes v)
{
	const		Lanes magic = splat(0x1.8p23f);

	return (v + magic) - magic;
}

INLINE float
sum(Lanes v)
{
	return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}

/* Codes of x for a scale whose inverse is given: clamped before rounding, which is the same. */
INLINE		Lanes
codes_of(Lanes x, Lanes inverse, Lanes first, Lanes last)
{
	return nearest(clamp(x * inverse, first, last));
}

INLINE float
inverse_of(float d)
{
	return fabsf(d) > NEGLIGIBLE ? 1.0f / d : 0.0f;
}

INLINE float
sum_of_squares(const float *x, int n)
{
	Lanes		s = splat(0);

	for (int i = 0; i < n; i += LANES)
		s += load(x + i) * load(x + i);
	return sum(s);
}

INLINE float
sum_of(const float *x, int n)
{
	Lanes		s = splat(0);

	for (int i = 0; i < n; i += LANES)
		s += load(x + i);
	return sum(s);
}

/* --- x is about d * q --------------------------------------------------------- */

/* The error for a given scale. */
INLINE float
linear_error(const float *x, int n, float d, Range range)
{
	Lanes		inverse = splat(inverse_of(d));
	Lanes		first = splat(range.first);
	Lanes		last = splat(range.last);
	Lanes		error = splat(0);

	for (int i = 0; i < n; i += LANES)
	{
		Lanes		v = load(x + i);
		Lanes		rest = v - splat(d) * codes_of(v, inverse, first, last);

		error += rest * rest;
	}
	return sum(error);
}

/* For the codes of a scale's inverse: sums of x * q and q * q. */
INLINE void
linear_moments(const float *x, int n, float inverse, Range range, float *xq, float *qq)
{
	Lanes		first = splat(range.first);
	Lanes		last = splat(range.last);
	Lanes		xq_sum = splat(0);
	Lanes		qq_sum = splat(0);

	for (int i = 0; i < n; i += LANES)
	{
		Lanes		v = load(x + i);
		Lanes		q = codes_of(v, splat(inverse), first, last);

		xq_sum += v * q;
		qq_sum += q * q;
	}
	*xq = sum(xq_sum);
	*qq = sum(qq_sum);
}

/* The weight of greatest magnitude, with its sign. */
INLINE float
extreme_of(const float *x, int n)
{
	float		extreme = 0;

	for (int i = 0; i < n; i++)
		if (fabsf(x[i]) > fabsf(extreme))
			extreme = x[i];
	return extreme;
}

/*
 * The best of scales that put the extreme weight at, somewhat before or beyond the
 * first code, with either sign; then as long as it helps the least squares scale
 * for the codes, and codes for that scale.
 */
INLINE float
fit_linear(const float *x, int n, Range range, int steps, float from, float to)
{
	float		extreme = extreme_of(x, n);
	float		best_gain = 0;
	float		best = 0;

	if (fabsf(extreme) < NEGLIGIBLE)
		return 0;
	for (int sign = 0; sign < 2; sign++)
		for (int step = 0; step < steps; step++)
		{
			float		end = sign == 0 ? range.first : range.last;
			float		place = end * (from + (to - from) * (float) step / (float) (steps - 1));
			float		xq;
			float		qq;

			linear_moments(x, n, place / extreme, range, &xq, &qq);
			if (qq > 0 && xq * xq > best_gain * qq)
			{
				best_gain = xq * xq / qq;
				best = xq / qq;
			}
		}
	for (int round = 0; round < 4; round++)
	{
		float		xq;
		float		qq;

		linear_moments(x, n, inverse_of(best), range, &xq, &qq);
		if (!(qq > 0 && xq * xq > best_gain * qq))
			break;
		best_gain = xq * xq / qq;
		best = xq / qq;
	}
	return best;
}

/* --- x is about d * q - m, with m >= 0 where the type has it so ---------------- */

INLINE float
affine_error(const float *x, int n, float d, float m, float last_code)
{
	Lanes		inverse = splat(inverse_of(d));
	Lanes		last = splat(last_code);
	Lanes		error = splat(0);

	for (int i = 0; i < n; i += LANES)
	{
		Lanes		v = load(x + i) + splat(m);
		Lanes		rest = v - splat(d) * codes_of(v, inverse, splat(0), last);

		error += rest * rest;
	}
	return sum(error);
}

/* Sums of q, q * q and x * q for the codes of a scale and a minimum. */
INLINE void
affine_moments(const float *x, int n, float inverse, float m, float last_code, float *q_sum,
			   float *qq_sum, float *xq_sum)
{
	Lanes		last = splat(last_code);
	Lanes		qs = splat(0);
	Lanes		qqs = splat(0);
	Lanes		xqs = splat(0);

	for (int i = 0; i < n; i += LANES)
	{
		Lanes		v = load(x + i);
		Lanes		q = codes_of(v + splat(m), splat(inverse), splat(0), last);

		qs += q;
		qqs += q * q;
		xqs += v * q;
	}
	*q_sum = sum(qs);
	*qq_sum = sum(qqs);
	*xq_sum = sum(xqs);
}

typedef struct Affine
{
	float		d;
	float		m;
} Affine;

/* Least squares for the codes that a scale and a minimum give. */
INLINE Affine
affine_squares(const float *x, int n, float x_sum, Affine from, float last_code, bool m_below_zero)
{
	float		q;
	float		qq;
	float		xq;
	float		determinant;
	Affine		fit;

	affine_moments(x, n, inverse_of(from.d), from.m, last_code, &q, &qq, &xq);
	determinant = (float) n * qq - q * q;
	if (determinant <= 0)
		return from;
	fit.d = ((float) n * xq - x_sum * q) / determinant;
	fit.m = (fit.d * q - x_sum) / (float) n;
	if (fit.m < 0 && !m_below_zero)
	{
		fit.m = 0;
		fit.d = qq > 0 ? xq / qq : 0;
	}
	return fit;
}

/* Starts that spread the codes over the whole range of x, or a little less or more. */
INLINE Affine
fit_affine(const float *x, int n, float last_code, bool m_below_zero, int steps)
{
	float		least = x[0];
	float		greatest = x[0];
	float		x_sum = sum_of(x, n);
	Affine		best = {0, 0};
	float		best_error;

	for (int i = 0; i < n; i++)
	{
		least = x[i] < least ? x[i] : least;
		greatest = x[i] > greatest ? x[i] : greatest;
	}
	if (!m_below_zero && least > 0)
		least = 0;
	best.m = -least;
	best_error = affine_error(x, n, 0, best.m, last_code);
	if (greatest - least < NEGLIGIBLE)
		return best;
	for (int step = 0; step < steps; step++)
	{
		/* The codes that the range takes: from less than there are to a few more. */
		float		span = last_code * (0.7f + 0.55f * (float) step / (float) (steps - 1));
		float		middle = (least + greatest) / 2;
		Affine		fit;

		fit.d = (greatest - least) / span;
		fit.m = fit.d * last_code / 2 - middle;
		if (fit.m < 0 && !m_below_zero)
			fit.m = 0;
		for (int round = 0; round < 4; round++)
		{
			Affine		next = affine_squares(x, n, x_sum, fit, last_code, m_below_zero);
			float		error = affine_error(x, n, next.d, next.m, last_code);

			if (error < best_error)
			{
				best_error = error;
				best = next;
			}
			else if (round > 0)
				break;
			fit = next;
		}
	}
	return best;
}

#endif							/* IMPORT_QUANTIZE_FIT_H */
