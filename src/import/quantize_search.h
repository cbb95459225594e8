/*
 * quantize_search.h
 *		Scales and codes for a block: the search, written once for any processor.
 *
 * A file that includes it defines QUANTIZE_SEARCH, the name of the one function that
 * it makes, and is compiled for its processor.  Sums go through eight lanes in a fixed
 * order and nothing is contracted, so all processors give the same bits.
 *
 * The measure is the plain sum of squared errors, and the errors that are
 * compared are those of the scales as stored, as halves and small integers, so
 * that a candidate never wins by what rounding its scale takes away again.
 *
 * Three steps: group by group the best real scale (and minimum); for
 * types with small integer scales a common factor for them, and integers near
 * the real scales; then in turn the factors by least squares for the codes
 * and the best integers for the factors, as long as it helps.
 */
#include "import/quantize.h"
#include "import/quantize_fit.h"

/* --- blocks with one scale ---------------------------------------------------- */

INLINE void
put_linear_codes(const float *x, int n, float d, Range range, int offset, uint8_t *codes)
{
	float		inverse = inverse_of(d);

	for (int i = 0; i < n; i += LANES)
	{
		Lanes		q = codes_of(load(x + i), splat(inverse), splat(range.first),
								 splat(range.last));

		for (int j = 0; j < LANES; j++)
			codes[i + j] = (uint8_t) ((int) q[j] + offset);
	}
}

INLINE void
put_affine_codes(const float *x, int n, float d, float m, float last_code, uint8_t *codes)
{
	float		inverse = inverse_of(d);

	for (int i = 0; i < n; i += LANES)
	{
		Lanes		q = codes_of(load(x + i) + splat(m), splat(inverse), splat(0),
								 splat(last_code));

		for (int j = 0; j < LANES; j++)
			codes[i + j] = (uint8_t) (int) q[j];
	}
}

/* Try a half; keep it if it is better. */
INLINE void
try_linear(const float *x, int n, float d, Range range, float *best_error, uint16_t *best)
{
	uint16_t	half = llm_half_nearest(d);
	float		error = linear_error(x, n, llm_half_value(half), range);

	if (error < *best_error)
	{
		*best_error = error;
		*best = half;
	}
}

INLINE void
search_linear_block(const float *x, int offset, Range range, QuantizedBlock *block)
{
	float		extreme = extreme_of(x, 32);
	float		error = sum_of_squares(x, 32);
	bool		bytes = offset == 128;

	block->d = 0;
	try_linear(x, 32, extreme / range.first, range, &error, &block->d);
	if (bytes)
	{
		/* The codes are so many that it is the scale's own rounding that matters. */
		uint16_t	nearby = llm_half_nearest(extreme / range.last);

		for (int step = -2; step <= 12; step++)
			try_linear(x, 32, llm_half_value((uint16_t) (nearby + step)), range, &error, &block->d);
	}
	else
		try_linear(x, 32, fit_linear(x, 32, range, 20, 0.72f, 1.2f), range, &error, &block->d);
	put_linear_codes(x, 32, llm_half_value(block->d), range, offset, block->codes);
}

INLINE void
search_affine_block(const float *x, float last_code, QuantizedBlock *block)
{
	float		least = x[0];
	float		greatest = x[0];
	Affine		tries[2];
	float		best_error = sum_of_squares(x, 32);

	block->d = 0;
	for (int i = 0; i < 32; i++)
	{
		least = x[i] < least ? x[i] : least;
		greatest = x[i] > greatest ? x[i] : greatest;
	}
	tries[0] = (Affine) {(greatest - least) / last_code, -least};
	tries[1] = fit_affine(x, 32, last_code, true, 12);
	for (int i = 0; i < 2; i++)
	{
		uint16_t	d = llm_half_nearest(tries[i].d);
		uint16_t	m = llm_half_nearest(-tries[i].m);
		float		error = affine_error(x, 32, llm_half_value(d), -llm_half_value(m), last_code);

		if (error < best_error)
		{
			best_error = error;
			block->d = d;
			block->m = m;
		}
	}
	put_affine_codes(x, 32, llm_half_value(block->d), -llm_half_value(block->m), last_code,
					 block->codes);
}

/* --- blocks of 256 whose groups have small integer scales ---------------------- */

INLINE int
limited(float value, int first, int last)
{
	float		rounded = value + 0x1.8p23f - 0x1.8p23f;

	return rounded < (float) first ? first : rounded > (float) last ? last : (int) rounded;
}

/* The best integer scale of a group near a real one; its error is returned. */
INLINE float
choose_scale(const float *x, float d, float scale, Range range, int first, int last, int reach,
			 int *chosen)
{
	int			middle = limited(scale * inverse_of(d), first, last);
	float		best = INFINITY;

	for (int s = middle - reach; s <= middle + reach; s++)
	{
		float		error;

		if (s < first || s > last)
			continue;
		error = linear_error(x, 16, d * (float) s, range);
		if (error < best)
		{
			best = error;
			*chosen = s;
		}
	}
	return best;
}

/* All groups for one factor; the sum of their errors is returned. */
INLINE float
choose_scales(const float *x, float d, const float *scales, Range range, int first, int last,
			  int reach,
			  int *chosen)
{
	float		error = 0;

	for (int g = 0; g < 16; g++)
		error += choose_scale(x + 16 * g, d, scales[g], range, first, last, reach, &chosen[g]);
	return error;
}

/* The factor by least squares, for the integers and the codes that they give. */
INLINE float
factor_squares(const float *x, float d, const int *scales, Range range)
{
	float		above = 0;
	float		below = 0;

	for (int g = 0; g < 16; g++)
	{
		float		s = (float) scales[g];
		float		xq;
		float		qq;

		linear_moments(x + 16 * g, 16, inverse_of(d * s), range, &xq, &qq);
		above += s * xq;
		below += s * s * qq;
	}
	return below > 0 ? above / below : 0;
}

INLINE void
search_linear_groups(const float *x, int offset, Range range, int first, int last, int reach,
					 QuantizedBlock *block)
{
	float		scales[16];
	float		greatest = 0;
	float		best_error = INFINITY;
	int			chosen[16];

	block->d = 0;
	memset(block->scales, 0, sizeof(block->scales));
	for (int g = 0; g < 16; g++)
	{
		scales[g] = fit_linear(x + 16 * g, 16, range, offset == 4 ? 16 : 14, 0.7f,
							   offset == 4 ? 1.3f : 1.1f);
		if (fabsf(scales[g]) > fabsf(greatest))
			greatest = scales[g];
	}
	if (fabsf(greatest) > NEGLIGIBLE)
		for (int start = 0; start < 6; start++)
		{
			/* The greatest scale becomes the first integer, or one somewhat nearer to zero. */
			float		d = greatest / ((float) first * (1.0f - 0.04f * (float) start));

			for (int round = 0; round < 3; round++)
			{
				uint16_t	half = llm_half_nearest(d);
				float		error;

				d = llm_half_value(half);
				error = choose_scales(x, d, scales, range, first, last, round == 0 ? 0 : reach,
									  chosen);
				if (error < best_error)
				{
					best_error = error;
					block->d = half;
					memcpy(block->scales, chosen, sizeof(chosen));
				}
				else if (round > 1)
					break;
				d = factor_squares(x, d, chosen, range);
			}
		}
	for (int g = 0; g < 16; g++)
		put_linear_codes(x + 16 * g, 16, llm_half_value(block->d) * (float) block->scales[g],
						 range, offset,
						 block->codes + 16 * g);
}

typedef struct AffineGroups
{
	int			count;			/* groups in a block */
	int			weights;		/* in a group */
	float		last_code;
	int			last_scale;
} AffineGroups;

/* The best integers for a group near the real ones. */
INLINE float
choose_affine(const float *x, AffineGroups groups, Affine factors, Affine fit, int reach,
			  int *scale, int *min)
{
	int			s_middle = limited(fit.d * inverse_of(factors.d), 0, groups.last_scale);
	int			m_middle = limited(fit.m * inverse_of(factors.m), 0, groups.last_scale);
	float		best = INFINITY;

	for (int s = s_middle - reach; s <= s_middle + reach; s++)
	{
		if (s < 0 || s > groups.last_scale)
			continue;
		for (int m = m_middle - reach; m <= m_middle + reach; m++)
		{
			float		error;

			if (m < 0 || m > groups.last_scale)
				continue;
			error = affine_error(x, groups.weights, factors.d * (float) s, factors.m * (float) m,
								 groups.last_code);
			if (error < best)
			{
				best = error;
				*scale = s;
				*min = m;
			}
		}
	}
	return best;
}

/* Both factors by least squares, for the integers and the codes that they give. */
INLINE Affine
affine_factor_squares(const float *x, AffineGroups groups, Affine factors, const int *scales,
					  const int *mins)
{
	double		ss = 0;
	double		sm = 0;
	double		mm = 0;
	double		xs = 0;
	double		xm = 0;
	double		determinant;
	Affine		fit = factors;

	for (int g = 0; g < groups.count; g++)
	{
		const float *group = x + g * groups.weights;
		float		s = (float) scales[g];
		float		m = (float) mins[g];
		float		q;
		float		qq;
		float		xq;

		affine_moments(group, groups.weights, inverse_of(factors.d * s), factors.m * m,
					   groups.last_code,
					   &q, &qq, &xq);
		ss += (double) (s * s) * qq;
		sm += (double) (s * m) * q;
		mm += (double) (m * m) * groups.weights;
		xs += (double) s * xq;
		xm += (double) m * sum_of(group, groups.weights);
	}
	/* x = d * s * q - m * min: the normal equations of (d, -m). */
	determinant = ss * mm - sm * sm;
	if (determinant > 1e-9 * ss * mm)
	{
		fit.d = (float) ((xs * mm - xm * sm) / determinant);
		fit.m = (float) -((xm * ss - xs * sm) / determinant);
	}
	else if (ss > 0)
		fit.d = (float) (xs / ss);
	if (fit.m < 0)
		fit.m = 0;
	return fit;
}

INLINE void
search_affine_groups(const float *x, AffineGroups groups, int steps, int starts, int reach,
					 QuantizedBlock *block)
{
	Affine		fits[16];
	Affine		greatest = {0, 0};
	float		best_error = INFINITY;
	int			scales[16] = {0};
	int			mins[16] = {0};

	for (int g = 0; g < groups.count; g++)
	{
		fits[g] = fit_affine(x + g * groups.weights, groups.weights, groups.last_code, false,
							 steps);
		greatest.d = fits[g].d > greatest.d ? fits[g].d : greatest.d;
		greatest.m = fits[g].m > greatest.m ? fits[g].m : greatest.m;
	}
	for (int start = 0; start < starts; start++)
	{
		float		share = 1.0f - 0.08f * (float) start;
		Affine		factors = {
			greatest.d / (float) groups.last_scale / share,
			greatest.m / (float) groups.last_scale / share
		};

		for (int round = 0; round < 4; round++)
		{
			uint16_t	d = llm_half_nearest(factors.d);
			uint16_t	m = llm_half_nearest(factors.m);
			float		error = 0;

			factors = (Affine) {llm_half_value(d), llm_half_value(m)};
			for (int g = 0; g < groups.count; g++)
				error += choose_affine(x + g * groups.weights, groups, factors, fits[g],
									   round == 0 ? 0 : reach,
									   &scales[g], &mins[g]);
			if (error < best_error)
			{
				best_error = error;
				block->d = d;
				block->m = m;
				memcpy(block->scales, scales, sizeof(scales));
				memcpy(block->mins, mins, sizeof(mins));
			}
			else if (round > 1)
				break;
			factors = affine_factor_squares(x, groups, factors, scales, mins);
		}
	}
	for (int g = 0; g < groups.count; g++)
		put_affine_codes(x + g * groups.weights, groups.weights,
						 llm_half_value(block->d) * (float) block->scales[g],
						 llm_half_value(block->m) * (float) block->mins[g], groups.last_code,
						 block->codes + g * groups.weights);
}

void
QUANTIZE_SEARCH(LlmTensorType type, const float *weights, QuantizedBlock *block)
{
	block->m = 0;
	switch (type)
	{
		case LLM_Q4_0:
			search_linear_block(weights, 8, (Range) {-8, 7}, block);
			break;
		case LLM_Q5_0:
			search_linear_block(weights, 16, (Range) {-16, 15}, block);
			break;
		case LLM_Q8_0:
			search_linear_block(weights, 128, (Range) {-128, 127}, block);
			break;
		case LLM_Q4_1:
			search_affine_block(weights, 15, block);
			break;
		case LLM_Q5_1:
			search_affine_block(weights, 31, block);
			break;
		case LLM_Q3_K:
			search_linear_groups(weights, 4, (Range) {-4, 3}, -32, 31, 2, block);
			break;
		case LLM_Q6_K:
			search_linear_groups(weights, 32, (Range) {-32, 31}, -128, 127, 1, block);
			break;
		case LLM_Q2_K:
			search_affine_groups(weights, (AffineGroups) {16, 16, 3, 15}, 10, 4, 1, block);
			break;
		case LLM_Q4_K:
			search_affine_groups(weights, (AffineGroups) {8, 32, 15, 63}, 10, 1, 1, block);
			break;
		default:				/* Q5_K */
			search_affine_groups(weights, (AffineGroups) {8, 32, 31, 63}, 10, 1, 1, block);
	}
}
