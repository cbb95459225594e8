/*
 * quantized_panels.h
 *		What the kernels on vectors know about quantized types: which formula of kernels.h is theirs, and where a panel
 *		has what.
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

KERNEL_INLINE LlmBlockLayout
layout_of(LlmTensorType type)
{
#define LAYOUT(NAME, ...) \
		case LLM_##NAME: \
			return (LlmBlockLayout) {__VA_ARGS__};

	switch (type)
	{
			LLM_QUANTIZED_TYPES(LAYOUT)
		default:
			return (LlmBlockLayout) {0};
	}
#undef LAYOUT
}

/* --- panels: engine/matrix.h has their layout -------------------------------------- */

KERNEL_INLINE const uint8_t *
panel_at(const LlmMatrix *w, int32_t panel)
{
	return w->panels + (uint64_t) panel * w->panel_bytes;
}

/* Bytes of a group's low vectors, which its high ones follow. */
KERNEL_INLINE int
low_bytes(LlmTensorType type)
{
	return layout_of(type).low_bits * LLM_PANEL_VECTOR;
}

KERNEL_INLINE int
group_bytes(LlmTensorType type)
{
	return (int) llm_group_bytes(layout_of(type));
}

KERNEL_INLINE const uint8_t *
group_at(LlmTensorType type, const uint8_t *panel, int64_t group)
{
	return panel + llm_group_place(layout_of(type), (uint64_t) group);
}

/* d and then m of a block, or of a group where that is a block, of sixteen rows. */
KERNEL_INLINE const uint8_t *
halves_at(LlmTensorType type, const uint8_t *panel, int64_t block)
{
	return panel + llm_halves_place(layout_of(type), (uint64_t) block);
}

KERNEL_INLINE const uint8_t *
sub_at(LlmTensorType type, const uint8_t *panel, int64_t block)
{
	return panel + llm_block_place(layout_of(type), (uint64_t) block);
}

KERNEL_INLINE int
groups_of_block(LlmTensorType type)
{
	return layout_of(type).weights / LLM_GROUP;
}

KERNEL_INLINE int
groups_of_unit(LlmTensorType type)
{
	return (int) llm_unit_blocks(layout_of(type)) * groups_of_block(type);
}

KERNEL_INLINE int64_t
block_of(LlmTensorType type, int64_t group)
{
	return group / groups_of_block(type);
}

#endif							/* LLM_KERNELS_QUANTIZED_PANELS_H */
