/*
 * quantized_panels.h
 *		What the kernels on vectors know about quantized types: which formula of kernels.h is theirs, and how many bytes of a
 *		panel belong to a group.
 *
 * `type` is a constant at every call, so that each switch below leaves one branch.
 */
#ifndef LLM_KERNELS_QUANTIZED_PANELS_H
#define LLM_KERNELS_QUANTIZED_PANELS_H

#include <immintrin.h>

#include "engine/kernels/kernels.h"

#define QUADS 8					/* vectors of codes in a group */
#define SCALE_GROUPS 8			/* groups whose scales are unpacked at once: a K type's block */

/*
 * How code sums enter the result: the formulas of kernels.h.  In those of blocks the sums of a group, or of its
 * halves, are multiplied with integer scales and added up for the whole block.  VPDPWSSD does both to sums
 * that fit into 16 bits.
 */
typedef enum Formula
{
	FORMULA_SYMMETRIC,			/* Q4_0 Q5_0 Q8_0 */
	FORMULA_MINIMUM,			/* Q4_1 Q5_1 */
	FORMULA_BLOCK_MINIMUM,		/* Q4_K */
	FORMULA_BLOCK_MINIMUM_WIDE, /* Q5_K */
	FORMULA_BLOCK_HALVES,		/* Q3_K */
	FORMULA_BLOCK_HALVES_WIDE,	/* Q6_K */
	FORMULA_BLOCK_HALVES_MINIMUM	/* Q2_K */
} Formula;

#define N_FORMULAS (FORMULA_BLOCK_HALVES_MINIMUM + 1)

/* Most scale vectors that a group has where a group is all. */
#define MAX_SCALES 2

typedef struct PanelPointers
{
	const uint8_t *low;
	const uint8_t *high;
	const uint8_t *sub;
	const uint8_t *d;
	const uint8_t *m;
} PanelPointers;

KERNEL_INLINE Formula
formula_of(LlmTensorType type)
{
	switch (type)
	{
		case LLM_Q4_0:
		case LLM_Q5_0:
		case LLM_Q8_0:
			return FORMULA_SYMMETRIC;
		case LLM_Q4_K:
			return FORMULA_BLOCK_MINIMUM;
		case LLM_Q5_K:
			return FORMULA_BLOCK_MINIMUM_WIDE;
		case LLM_Q3_K:
			return FORMULA_BLOCK_HALVES;
		case LLM_Q6_K:
			return FORMULA_BLOCK_HALVES_WIDE;
		case LLM_Q2_K:
			return FORMULA_BLOCK_HALVES_MINIMUM;
		default:
			return FORMULA_MINIMUM;
	}
}

KERNEL_INLINE bool
is_of_blocks(Formula formula)
{
	return formula >= FORMULA_BLOCK_MINIMUM;
}

KERNEL_INLINE bool
has_halves(Formula formula)
{
	return formula >= FORMULA_BLOCK_HALVES;
}

KERNEL_INLINE bool
is_wide(Formula formula)
{
	return formula == FORMULA_BLOCK_MINIMUM_WIDE || formula == FORMULA_BLOCK_HALVES_WIDE;
}

KERNEL_INLINE bool
has_minimum(Formula formula)
{
	return formula != FORMULA_SYMMETRIC && formula != FORMULA_BLOCK_HALVES && formula != FORMULA_BLOCK_HALVES_WIDE;
}

/* log2 of what sums of codes take from them where they have an offset. */
KERNEL_INLINE int
offset_shift(LlmTensorType type)
{
	switch (type)
	{
		case LLM_Q8_0:
			return 7;
		case LLM_Q6_K:
			return 5;
		case LLM_Q5_0:
			return 4;
		case LLM_Q4_0:
		case LLM_Q4_K:
			return 3;
		case LLM_Q3_K:
			return 2;
		default:
			return 0;
	}
}

/* Scale vectors of a group where a group is all: d, and m (added). */
KERNEL_INLINE int
scale_vectors(Formula formula)
{
	return formula == FORMULA_MINIMUM ? 2 : 1;
}

/* Bytes of one group in the planes of low bits, high bits, block scales and d. */
KERNEL_INLINE int
low_bytes(LlmTensorType type)
{
	return type == LLM_Q8_0 ? 512 : type == LLM_Q2_K || type == LLM_Q3_K ? 128 : 256;
}

KERNEL_INLINE int
high_bytes(LlmTensorType type)
{
	switch (type)
	{
		case LLM_Q5_0:
		case LLM_Q5_1:
		case LLM_Q5_K:
		case LLM_Q3_K:
			return 64;
		case LLM_Q6_K:
			return 128;
		default:
			return 0;
	}
}

KERNEL_INLINE int
sub_bytes(LlmTensorType type)
{
	switch (type)
	{
		case LLM_Q4_K:
		case LLM_Q5_K:
		case LLM_Q3_K:
			return 192 / SCALE_GROUPS;
		case LLM_Q2_K:
		case LLM_Q6_K:
			return 256 / SCALE_GROUPS;
		default:
			return 0;
	}
}

KERNEL_INLINE int
d_bytes(LlmTensorType type)
{
	return sub_bytes(type) > 0 ? 32 / SCALE_GROUPS : 32;
}

KERNEL_INLINE PanelPointers
panel_pointers(const LlmMatrix *w, const LlmPanelPlanes *planes, int32_t panel)
{
	const uint8_t *base = w->panels + (uint64_t) panel * w->panel_bytes;
	PanelPointers pointers;

	pointers.low = base + planes->low;
	pointers.high = base + planes->high;
	pointers.sub = base + planes->sub;
	pointers.d = base + planes->d;
	pointers.m = base + planes->m;
	return pointers;
}

#endif							/* LLM_KERNELS_QUANTIZED_PANELS_H */
