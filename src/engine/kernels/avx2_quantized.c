/*
 * avx2_quantized.c
 *		Products of quantized matrices with int8 activations, for AVX2.
 *
 * One template, quantized_tile, serves the ten types; its type, columns and
 * halves are constants wherever it is instantiated, so that everything that asks
 * for them is decided by the compiler.  A lane is an output row, and each output is computed by
 * the same operations in the same order in every instantiation: tiles may be
 * cut anywhere without changing a bit.
 */
#if defined(__x86_64__)

#include <string.h>

#include "engine/kernels/avx2.h"

#define SUPER_GROUPS 8			/* groups in a super-block of the K types */
#define QUADS 8					/* quads in a group */

#define PREFETCH_BYTES 4096		/* ahead in the low plane */

#define MAX_HALVES 2
#define MAX_COLUMNS 4			/* of a tile; more would spill registers */

/* Where the planes of one half panel begin. */
typedef struct HalfPanel
{
	const uint8_t *low;
	const uint8_t *high;
	const uint8_t *sub;
	const uint16_t *d;
	const uint16_t *m;
} HalfPanel;

INLINE void quantized_matmul(LlmTensorType type, const LlmMatrix *w, int32_t first, int32_t last,
							 const LlmActivations *x, float *y, int64_t y_stride);
INLINE void quantized_tile(LlmTensorType type, int halves, int columns, const HalfPanel *panel,
						   int32_t n_groups, const LlmActivations *x, int32_t column,
						   float *y, int64_t y_stride);
INLINE void prefetch_group(LlmTensorType type, const HalfPanel *panel, int32_t group);
INLINE void add_group(LlmTensorType type, int columns, const HalfPanel *half, int32_t group,
					  const LlmActivations *x, int32_t column, __m256 *a);
INLINE void add_split_group(LlmTensorType type, int columns, const HalfPanel *half, int32_t group,
							const LlmActivations *x, int32_t column, __m256 *a);
INLINE void code_sums(LlmTensorType type, int columns, const HalfPanel *half, int32_t group,
					  int first_quad, int n_quads, const int8_t *q, int64_t q_stride, __m256i *sums);
INLINE void wide_code_sums(int columns, const uint8_t *low, const int8_t *q, int64_t q_stride,
						   __m256i *sums);
INLINE __m256i quad_codes(LlmTensorType type, const uint8_t *low, const uint8_t *high, int quad);
INLINE __m256i shift_bits(__m256i bytes, int from, int to);
INLINE void shared_scale(LlmTensorType type, const HalfPanel *half, int32_t group,
						 __m256 *scale, __m256 *minimum);
INLINE void split_scale(LlmTensorType type, const HalfPanel *half, int32_t group, int part,
						__m256 *scale, __m256 *minimum);

#define DEFINE_MATMUL(name, type) \
void \
llm_avx2_matmul_##name(const LlmMatrix *w, int32_t first, int32_t last, \
					   const LlmActivations *x, float *y, int64_t y_stride) \
{ \
	quantized_matmul(type, w, first, last, x, y, y_stride); \
}

DEFINE_MATMUL(q4_0, LLM_Q4_0)
DEFINE_MATMUL(q4_1, LLM_Q4_1)
DEFINE_MATMUL(q5_0, LLM_Q5_0)
DEFINE_MATMUL(q5_1, LLM_Q5_1)
DEFINE_MATMUL(q8_0, LLM_Q8_0)
DEFINE_MATMUL(q2_k, LLM_Q2_K)
DEFINE_MATMUL(q3_k, LLM_Q3_K)
DEFINE_MATMUL(q4_k, LLM_Q4_K)
DEFINE_MATMUL(q5_k, LLM_Q5_K)
DEFINE_MATMUL(q6_k, LLM_Q6_K)

/* Vectors of 64 bytes for one group in the low plane, and in the high plane. */
INLINE int
low_vectors(LlmTensorType type)
{
	return type == LLM_Q8_0 ? 8 : type == LLM_Q2_K || type == LLM_Q3_K ? 2 : 4;
}

INLINE int
high_vectors(LlmTensorType type)
{
	return type == LLM_Q6_K ? 2 :
		type == LLM_Q5_0 || type == LLM_Q5_1 || type == LLM_Q5_K || type == LLM_Q3_K ? 1 : 0;
}

/* What a code exceeds its weight by; 0 for the types with minimums. */
INLINE int
code_offset(LlmTensorType type)
{
	switch (type)
	{
		case LLM_Q4_0:
			return 8;
		case LLM_Q5_0:
			return 16;
		case LLM_Q8_0:
			return 128;
		case LLM_Q6_K:
			return 32;
		case LLM_Q3_K:
			return 4;
		default:
			return 0;
	}
}

INLINE bool
has_minimum(LlmTensorType type)
{
	return type == LLM_Q4_1 || type == LLM_Q5_1 || type == LLM_Q2_K || type == LLM_Q4_K || type == LLM_Q5_K;
}

/* Does each half of a group have its own scale? */
INLINE bool
has_split_scale(LlmTensorType type)
{
	return type == LLM_Q2_K || type == LLM_Q3_K || type == LLM_Q6_K;
}

/*
 * How many quads' products int16 holds: a quad adds at most 2 * 127 * (the greatest code).
 */
INLINE int
quads_in_int16(LlmTensorType type)
{
	switch (type)
	{
		case LLM_Q6_K:			/* 2 * 127 * 63 = 16002 */
			return 2;
		case LLM_Q5_0:			/* 2 * 127 * 31 = 7874 */
		case LLM_Q5_1:
		case LLM_Q5_K:
			return 4;
		default:				/* 2 * 127 * 15 = 3810 */
			return 8;
	}
}

INLINE void
quantized_matmul(LlmTensorType type, const LlmMatrix *w, int32_t first, int32_t last,
				 const LlmActivations *x, float *y, int64_t y_stride)
{
	LlmPanelPlanes planes = llm_panel_planes(type, w->cols);
	int32_t		n_groups = w->cols / LLM_GROUP;

	for (int32_t index = first; index < last; index++)
	{
		const uint8_t *panel = w->panels + (uint64_t) index * w->panel_bytes;
		float	   *rows = y + (int64_t) index * LLM_PANEL_ROWS;
		HalfPanel	halves[MAX_HALVES];
		int32_t		column = 0;

		for (int half = 0; half < MAX_HALVES; half++)
		{
			halves[half].low = panel + planes.low + half * 32;
			halves[half].high = panel + planes.high + half * 32;
			halves[half].sub = panel + planes.sub + half * LANES;
			halves[half].d = (const uint16_t *) (panel + planes.d) + half * LANES;
			halves[half].m = (const uint16_t *) (panel + planes.m) + half * LANES;
		}

		/* Few columns are bound by reading the weights: read them once. */
		for (; column + 4 <= x->n_cols; column += 4)
		{
			quantized_tile(type, 1, 4, &halves[0], n_groups, x, column, rows, y_stride);
			quantized_tile(type, 1, 4, &halves[1], n_groups, x, column, rows + LANES, y_stride);
		}
		switch (x->n_cols - column)
		{
			case 3:
				quantized_tile(type, 1, 3, &halves[0], n_groups, x, column, rows, y_stride);
				quantized_tile(type, 1, 3, &halves[1], n_groups, x, column, rows + LANES, y_stride);
				break;
			case 2:
				quantized_tile(type, 2, 2, halves, n_groups, x, column, rows, y_stride);
				break;
			case 1:
				quantized_tile(type, 2, 1, halves, n_groups, x, column, rows, y_stride);
				break;
		}
	}
}

/* y of `halves` half panels and the columns from `column` on; y points at the first row. */
INLINE void
quantized_tile(LlmTensorType type, int halves, int columns, const HalfPanel *panel,
			   int32_t n_groups, const LlmActivations *x, int32_t column,
			   float *y, int64_t y_stride)
{
	__m256		a[MAX_HALVES][MAX_COLUMNS];

#pragma GCC unroll 2
	for (int half = 0; half < halves; half++)
#pragma GCC unroll 4
		for (int c = 0; c < columns; c++)
			a[half][c] = _mm256_setzero_ps();

	for (int32_t group = 0; group < n_groups; group++)
	{
		if (halves == MAX_HALVES)
			prefetch_group(type, panel, group);
#pragma GCC unroll 2
		for (int half = 0; half < halves; half++)
		{
			if (has_split_scale(type))
				add_split_group(type, columns, &panel[half], group, x, column, a[half]);
			else
				add_group(type, columns, &panel[half], group, x, column, a[half]);
		}
	}

#pragma GCC unroll 2
	for (int half = 0; half < halves; half++)
#pragma GCC unroll 4
		for (int c = 0; c < columns; c++)
			_mm256_storeu_ps(y + (column + c) * y_stride + half * LANES, a[half][c]);
}

/*
 * Ask for the low bits of a later group.  Few columns are bound by memory, and
 * the processor's own prefetcher stops at the end of each page.
 */
INLINE void
prefetch_group(LlmTensorType type, const HalfPanel *panel, int32_t group)
{
	uintptr_t	low = (uintptr_t) panel->low + (uintptr_t) group * low_vectors(type) * 64;

#pragma GCC unroll 8
	for (int v = 0; v < low_vectors(type); v++)
		_mm_prefetch((const char *) (low + PREFETCH_BYTES + v * 64), _MM_HINT_T0);
}

/* Add one group to the accumulators: types with one scale for the group. */
INLINE void
add_group(LlmTensorType type, int columns, const HalfPanel *half, int32_t group,
		  const LlmActivations *x, int32_t column, __m256 *a)
{
	const int8_t *q = x->q + (int64_t) column * x->width + (int64_t) group * LLM_GROUP;
	const float *d = x->d + (int64_t) column * (x->width / LLM_GROUP) + group;
	const int32_t *sum16 = x->sum16 + (int64_t) column * (x->width / 16) + 2 * (int64_t) group;
	__m256i		sums[MAX_COLUMNS];
	__m256		scale;
	__m256		minimum;

#pragma GCC unroll 4
	for (int c = 0; c < columns; c++)
	{
		const int32_t *column_sums = sum16 + c * (int64_t) (x->width / 16);

		sums[c] = _mm256_set1_epi32(-code_offset(type) * (column_sums[0] + column_sums[1]));
	}
	code_sums(type, columns, half, group, 0, QUADS, q, x->width, sums);
	shared_scale(type, half, group, &scale, &minimum);

#pragma GCC unroll 4
	for (int c = 0; c < columns; c++)
	{
		float		column_d = d[c * (int64_t) (x->width / LLM_GROUP)];
		const int32_t *column_sums = sum16 + c * (int64_t) (x->width / 16);

		a[c] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums[c]),
							   _mm256_mul_ps(scale, _mm256_set1_ps(column_d)), a[c]);
		if (has_minimum(type))
			a[c] = _mm256_fmadd_ps(minimum,
								   _mm256_set1_ps(column_d * (float) (column_sums[0] + column_sums[1])),
								   a[c]);
	}
}

/* Add one group to the accumulators: types with a scale for each half of it. */
INLINE void
add_split_group(LlmTensorType type, int columns, const HalfPanel *half, int32_t group,
				const LlmActivations *x, int32_t column, __m256 *a)
{
	const int8_t *q = x->q + (int64_t) column * x->width + (int64_t) group * LLM_GROUP;
	const float *d = x->d + (int64_t) column * (x->width / LLM_GROUP) + group;
	const int32_t *sum16 = x->sum16 + (int64_t) column * (x->width / 16) + 2 * (int64_t) group;
	int64_t		super = group / SUPER_GROUPS;
	__m256		d_w = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) (half->d + super * LLM_PANEL_ROWS)));
	__m256		m_w = _mm256_setzero_ps();
	__m256		minimums[2];
	__m256		t[MAX_COLUMNS];

	if (has_minimum(type))
		m_w = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) (half->m + super * LLM_PANEL_ROWS)));

#pragma GCC unroll 2
	for (int part = 0; part < 2; part++)
	{
		__m256i		sums[MAX_COLUMNS];
		__m256		scale;

#pragma GCC unroll 4
		for (int c = 0; c < columns; c++)
			sums[c] = _mm256_set1_epi32(-code_offset(type) * sum16[c * (int64_t) (x->width / 16) + part]);
		code_sums(type, columns, half, group, part * (QUADS / 2), QUADS / 2, q, x->width, sums);
		split_scale(type, half, group, part, &scale, &minimums[part]);
		scale = _mm256_mul_ps(d_w, scale);

#pragma GCC unroll 4
		for (int c = 0; c < columns; c++)
		{
			__m256		s = _mm256_cvtepi32_ps(sums[c]);

			t[c] = part == 0 ? _mm256_mul_ps(scale, s) : _mm256_fmadd_ps(scale, s, t[c]);
		}
	}

#pragma GCC unroll 4
	for (int c = 0; c < columns; c++)
	{
		const float column_d = d[c * (int64_t) (x->width / LLM_GROUP)];

		a[c] = _mm256_fmadd_ps(t[c], _mm256_set1_ps(column_d), a[c]);
		if (!has_minimum(type))
			continue;
#pragma GCC unroll 2
		for (int part = 0; part < 2; part++)
			a[c] = _mm256_fnmadd_ps(_mm256_mul_ps(m_w, minimums[part]),
									_mm256_set1_ps(column_d * (float) sum16[c * (int64_t) (x->width / 16) + part]),
									a[c]);
	}
}

/* Four activations, in every lane. */
INLINE __m256i
four_values(const int8_t *q)
{
	int32_t		bytes;

	memcpy(&bytes, q, 4);
	return _mm256_set1_epi32(bytes);
}

/*
 * a + b in int16, hidden from the compiler, which would turn a chain of
 * such sums into a tree and spill what that keeps alive.
 */
INLINE __m256i
add_in_order(__m256i a, __m256i b)
{
	__m256i		sum = _mm256_add_epi16(a, b);

	__asm__("" : "+x"(sum));
	return sum;
}

/* Add to sums the products of codes and q over some quads of a group, exactly. */
INLINE void
code_sums(LlmTensorType type, int columns, const HalfPanel *half, int32_t group,
		  int first_quad, int n_quads, const int8_t *q, int64_t q_stride, __m256i *sums)
{
	const uint8_t *low = half->low + (int64_t) group * low_vectors(type) * 64;
	const uint8_t *high = half->high + (int64_t) group * high_vectors(type) * 64;
	int			run = quads_in_int16(type) < n_quads ? quads_in_int16(type) : n_quads;
	__m256i		products[MAX_COLUMNS];

	if (type == LLM_Q8_0)
	{
		wide_code_sums(columns, low, q, q_stride, sums);
		return;
	}

#pragma GCC unroll 8
	for (int i = 0; i < n_quads; i++)
	{
		int			quad = first_quad + i;
		__m256i		codes = quad_codes(type, low, high, quad);

#pragma GCC unroll 4
		for (int c = 0; c < columns; c++)
		{
			__m256i		four = _mm256_maddubs_epi16(codes, four_values(q + c * q_stride + 4 * quad));

			products[c] = i % run == 0 ? four : add_in_order(products[c], four);
			if (i % run == run - 1)
				sums[c] = _mm256_add_epi32(sums[c], _mm256_madd_epi16(products[c], _mm256_set1_epi16(1)));
		}
	}
}

/*
 * code_sums for codes of 8 bits, whose products would overflow int16: the low
 * and the high four bits apart, each of which int16 holds for all eight quads.
 */
INLINE void
wide_code_sums(int columns, const uint8_t *low, const int8_t *q, int64_t q_stride, __m256i *sums)
{
	__m256i		low_products[MAX_COLUMNS];
	__m256i		high_products[MAX_COLUMNS];

#pragma GCC unroll 8
	for (int quad = 0; quad < QUADS; quad++)
	{
		__m256i		codes = _mm256_load_si256((const __m256i *) (low + quad * 64));
		__m256i		low_codes = _mm256_and_si256(codes, _mm256_set1_epi8(15));
		__m256i		high_codes = _mm256_and_si256(_mm256_srli_epi16(codes, 4), _mm256_set1_epi8(15));

#pragma GCC unroll 4
		for (int c = 0; c < columns; c++)
		{
			__m256i		four = four_values(q + c * q_stride + 4 * quad);

			low_products[c] = quad == 0 ? _mm256_maddubs_epi16(low_codes, four) :
				add_in_order(low_products[c], _mm256_maddubs_epi16(low_codes, four));
			high_products[c] = quad == 0 ? _mm256_maddubs_epi16(high_codes, four) :
				add_in_order(high_products[c], _mm256_maddubs_epi16(high_codes, four));
		}
	}

#pragma GCC unroll 4
	for (int c = 0; c < columns; c++)
	{
		sums[c] = _mm256_add_epi32(sums[c], _mm256_madd_epi16(low_products[c], _mm256_set1_epi16(1)));
		sums[c] = _mm256_add_epi32(sums[c], _mm256_madd_epi16(high_products[c], _mm256_set1_epi16(16)));
	}
}

/* The codes of one quad, eight rows of four bytes. */
INLINE __m256i
quad_codes(LlmTensorType type, const uint8_t *low, const uint8_t *high, int quad)
{
	bool		two_bits = type == LLM_Q2_K || type == LLM_Q3_K;
	int			low_vector = two_bits ? quad / 4 : quad % 4;
	int			low_bit = two_bits ? 2 * (quad % 4) : 4 * (quad / 4);
	__m256i		codes = _mm256_load_si256((const __m256i *) (low + low_vector * 64));

	codes = _mm256_and_si256(shift_bits(codes, low_bit, 0), _mm256_set1_epi8(two_bits ? 3 : 15));
	if (high_vectors(type) == 1)
	{
		__m256i		bits = _mm256_load_si256((const __m256i *) high);
		int			to = two_bits ? 2 : 4;

		codes = _mm256_or_si256(codes, _mm256_and_si256(shift_bits(bits, quad, to),
														_mm256_set1_epi8((char) (1 << to))));
	}
	if (high_vectors(type) == 2)
	{
		__m256i		bits = _mm256_load_si256((const __m256i *) (high + quad / 4 * 64));

		codes = _mm256_or_si256(codes, _mm256_and_si256(shift_bits(bits, 2 * (quad % 4), 4),
														_mm256_set1_epi8(0x30)));
	}
	return codes;
}

/* Move bit `from` of every byte to bit `to`; the bits of neighbours that come along must be masked. */
INLINE __m256i
shift_bits(__m256i bytes, int from, int to)
{
	if (from > to)
		return _mm256_srli_epi16(bytes, from - to);
	if (from < to)
		return _mm256_slli_epi16(bytes, to - from);
	return bytes;
}

/* Eight rows' bytes of the sub plane, widened to float. */
INLINE __m128i
sub_bytes(const HalfPanel *half, int64_t index)
{
	return _mm_loadl_epi64((const __m128i *) (half->sub + index * LLM_PANEL_ROWS));
}

INLINE __m256
bytes_to_float(__m128i bytes)
{
	return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes));
}

/* The scale of a whole group, and what is added for each unit of the group's sum of x. */
INLINE void
shared_scale(LlmTensorType type, const HalfPanel *half, int32_t group,
			 __m256 *scale, __m256 *minimum)
{
	bool		super = type == LLM_Q4_K || type == LLM_Q5_K;
	int64_t		place = (int64_t) (super ? group / SUPER_GROUPS : group) * LLM_PANEL_ROWS;

	*scale = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) (half->d + place)));
	*minimum = _mm256_setzero_ps();
	if (has_minimum(type))
		*minimum = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) (half->m + place)));
	if (super)
	{
		/* Six bits each; the last four groups' upper two are atop the first four's bytes. */
		int64_t		first = (int64_t) (group / SUPER_GROUPS) * 12;
		int			s = group % SUPER_GROUPS;
		__m128i		scales;
		__m128i		minimums;

		if (s < 4)
		{
			scales = _mm_and_si128(sub_bytes(half, first + s), _mm_set1_epi8(63));
			minimums = _mm_and_si128(sub_bytes(half, first + s + 4), _mm_set1_epi8(63));
		}
		else
		{
			const __m128i top = _mm_set1_epi8(0x30);
			__m128i		both = sub_bytes(half, first + s + 4);

			scales = _mm_and_si128(_mm_srli_epi16(sub_bytes(half, first + s - 4), 2), top);
			scales = _mm_or_si128(scales, _mm_and_si128(both, _mm_set1_epi8(15)));
			minimums = _mm_and_si128(_mm_srli_epi16(sub_bytes(half, first + s), 2), top);
			minimums = _mm_or_si128(minimums, _mm_and_si128(_mm_srli_epi16(both, 4), _mm_set1_epi8(15)));
		}
		*scale = _mm256_mul_ps(*scale, bytes_to_float(scales));
		*minimum = _mm256_mul_ps(*minimum, bytes_to_float(minimums));
		*minimum = _mm256_xor_ps(*minimum, _mm256_set1_ps(-0.0f));
	}
}

/* The integer scale of a half of a group, and the integer minimum of Q2_K. */
INLINE void
split_scale(LlmTensorType type, const HalfPanel *half, int32_t group, int part,
			__m256 *scale, __m256 *minimum)
{
	__m128i		bytes;

	*minimum = _mm256_setzero_ps();
	if (type == LLM_Q6_K)
	{
		bytes = sub_bytes(half, 2 * (int64_t) group + part);
		*scale = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
	}
	else if (type == LLM_Q2_K)
	{
		bytes = sub_bytes(half, 2 * (int64_t) group + part);
		*scale = bytes_to_float(_mm_and_si128(bytes, _mm_set1_epi8(15)));
		*minimum = bytes_to_float(_mm_and_si128(_mm_srli_epi16(bytes, 4), _mm_set1_epi8(15)));
	}
	else
	{
		/* Q3_K: four low bits in the first eight bytes, two high bits in the last four. */
		int64_t		first = (int64_t) (group / SUPER_GROUPS) * 12;
		int			s = 2 * (group % SUPER_GROUPS) + part;
		__m128i		upper = _mm_srli_epi16(sub_bytes(half, first + 8 + s % 4), 2 * (s / 4));

		bytes = _mm_and_si128(_mm_srli_epi16(sub_bytes(half, first + s % 8), 4 * (s / 8)), _mm_set1_epi8(15));
		bytes = _mm_or_si128(bytes, _mm_slli_epi16(_mm_and_si128(upper, _mm_set1_epi8(3)), 4));
		*scale = _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_cvtepu8_epi32(bytes), _mm256_set1_epi32(32)));
	}
}

#endif							/* __x86_64__ */
