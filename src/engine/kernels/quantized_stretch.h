/*
 * quantized_stretch.h
 *		Stretches of quantized weights and of activations, as the kernels on vectors share them.
 *
 * A stretch is a run of groups of a few panels, unpacked to a scratch in the first-level cache, and the same groups of a
 * block of columns, copied in the order in which tiles read them.
 */
#ifndef LLM_KERNELS_QUANTIZED_STRETCH_H
#define LLM_KERNELS_QUANTIZED_STRETCH_H

#include "engine/kernels/quantized_panels.h"

#define BLOCK_COLUMNS 128		/* columns that share one unpacked stretch */
#define STRETCH_GROUPS 16		/* groups in a stretch */
#define STRETCH_BLOCKS (STRETCH_GROUPS / SCALE_GROUPS)

/*
 * Where the scratch is used weights are fetched ahead into the second-level cache: its queue is longer than the first
 * level's, whose few entries the loads of the tile at work need themselves.
 */
#define AHEAD _MM_HINT_T1

/* One stretch of one column's activations. */
typedef struct ColumnStretch
{
	_Alignas(64) int8_t q[STRETCH_GROUPS * LLM_GROUP];
	int32_t		start[2][STRETCH_GROUPS];	/* of a group's or half's sum: -offset * sum of q */
	float		d[STRETCH_GROUPS];	/* of each group, or of each block */
	union
	{
		float		of_groups[STRETCH_GROUPS];	/* d * sum of q, for minimums */
		int32_t		pairs[STRETCH_GROUPS];	/* of sums of q, as BlockScales has them */
	}			sums;
} ColumnStretch;

/* Weights to fetch while a tile is computed: `lines` cache lines for each of its groups. */
typedef struct Fetch
{
	const uint8_t *bytes;
	int			stride;			/* from one group's first line to the next one's */
	int			lines;
} Fetch;

KERNEL_INLINE int
stretch_count(int64_t groups)
{
	return groups < STRETCH_GROUPS ? (int) groups : STRETCH_GROUPS;
}

KERNEL_INLINE void
prefetch_bytes(bool to_first_level, const uint8_t *bytes, int64_t n)
{
	for (int64_t i = 0; i < n; i += 64)
	{
		if (to_first_level)
			_mm_prefetch((const char *) bytes + i, _MM_HINT_T0);
		else
			_mm_prefetch((const char *) bytes + i, AHEAD);
	}
}

/* This panel, or the last one when there are not so many: there is always one to fetch. */
KERNEL_INLINE int32_t
later_panel(const LlmMatrix *w, int32_t panel)
{
	return panel < w->n_panels ? panel : w->n_panels - 1;
}

/* The scales of a stretch. */
KERNEL_INLINE void
prefetch_scales(LlmTensorType type, bool to_first_level, const PanelPointers *panel, int64_t first, int count)
{
	prefetch_bytes(to_first_level, panel->sub + first * sub_bytes(type), count * sub_bytes(type));
	prefetch_bytes(to_first_level, panel->d + first * d_bytes(type), count * d_bytes(type));
	if (has_minimum(formula_of(type)))
		prefetch_bytes(to_first_level, panel->m + first * d_bytes(type), count * d_bytes(type));
}

#endif							/* LLM_KERNELS_QUANTIZED_STRETCH_H */
