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

/* A group's codes, and its halves where a group is a block. */
KERNEL_INLINE void
prefetch_group(LlmTensorType type, bool to_first_level, const uint8_t *panel, int64_t group)
{
	prefetch_bytes(to_first_level, group_at(type, panel, group), group_bytes(type));
	if (!is_of_blocks(formula_of(type)))
		prefetch_bytes(to_first_level, halves_at(type, panel, group), 1);
}

/*
 * The codes of a group at `group`, after their cache lines have been asked for in their order.  Products use them in another (low
 * bits and high bits in turns), or only as fast as they multiply, and the processor's own fetching does not follow that so well.
 */
KERNEL_INLINE const uint8_t *
read_lines(LlmTensorType type, const uint8_t *group)
{
#pragma GCC unroll 8
	for (int i = 0; i < group_bytes(type); i += 64)
		(void) *(const volatile uint8_t *) (group + i);
	return llm_load_anew(group);
}

/* The scales of the block of a K type that begins with this group. */
KERNEL_INLINE void
prefetch_block_scales(LlmTensorType type, bool to_first_level, const uint8_t *panel, int64_t group)
{
	prefetch_bytes(to_first_level, halves_at(type, panel, block_of(type, group)), 1);
	prefetch_bytes(to_first_level, sub_at(type, panel, block_of(type, group)), (int64_t) llm_sub_bytes(layout_of(type)));
}

/*
 * What a tile, the `part`th of `parts`, fetches of a stretch, groups first .. first + count - 1 of a panel: the parts share
 * its lines, and the tile's groups those of a part.
 */
KERNEL_INLINE Fetch
share_of_stretch(LlmTensorType type, const uint8_t *panel, int64_t first, int count, int part, int parts)
{
	const int	unit = groups_of_unit(type);
	const int	lines = (count + unit - 1) / unit * (int) llm_unit_bytes(layout_of(type)) / 64;
	const int	of_group = (lines + parts * count - 1) / (parts * count);
	const int	done = part * count * of_group;

	const uint8_t *begin = halves_at(type, panel, block_of(type, first));

	return (Fetch) {begin + done * 64, of_group * 64, done < lines ? of_group : 0};
}

#endif							/* LLM_KERNELS_QUANTIZED_STRETCH_H */
