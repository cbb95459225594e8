/*
 * matrix.h
 *		Weight matrices in the layout that the kernels read.
 *
 * A matrix W[rows][cols] is cut into panels of LLM_PANEL_ROWS = 16 rows.  Within a
 * panel the sixteen rows are interleaved, so that one lane of a vector is one
 * output row, and no kernel ever adds across lanes.  The last panel is filled up with
 * zero weights.  One layout serves every kernel set, takes the bits per
 * weight of the file, and is described here once.
 *
 * Panels of float types (F32, F16, BF16):
 *		element[cols][16]
 *
 * Panels of quantized types lie in memory as a product reads them, so that reading is one stream.  They are cut into
 * units of one of the file's blocks, of 32 or 256 weights, where the type has minimums, and of two where
 * it has none; the last of these may have one alone.  Of a unit come, each at a multiple of 64 bytes,
 *
 *		halves	half[2][16 rows]	d and m (dmin) of the block, or d of the two blocks
 *		blocks	for each of them
 *			sub		[bytes][16 rows]	the file's bytes of scales and minimums: K types alone
 *			groups	for each 32 of the block's weights
 *				low		[L][16 rows][4]		the low bits
 *				high	[H][16 rows][4]		the remaining high bits
 *
 * The 32 weights of one group are numbered k = 0..31 and handled as eight
 * "quads" of four consecutive weights: quad q = k / 4, and byte [row][j] of a
 * 64-byte vector holds weight k = 4q + j of that row.  A weight is stored as
 * an unsigned number ("code"), bits as follows:
 *
 *	 8 bits (Q8_0):	low: L = 8 vectors; vector q holds quad q; the code is the
 *					signed weight + 128.
 *	 4 bits (Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K):
 *					low: L = 4 vectors; vector v holds the low 4 bits of quad v in its
 *					low nibble and of quad v + 4 in its high nibble.
 *	 2 bits (Q2_K, Q3_K):
 *					low: L = 2 vectors; vector v holds quad 4v + i at bits 2i..2i+1.
 *	+1 bit (Q5_0, Q5_1, Q5_K: bit 4; Q3_K: bit 2):
 *					high: H = 1 vector; bit i of a byte belongs to quad i.
 *	+2 bits (Q6_K: bits 4 and 5):
 *					high: H = 2 vectors; vector v holds quad 4v + i at bits 2i..2i+1.
 *
 * The bytes of sub:
 *
 *	 Q3_K, Q4_K, Q5_K:	12, scales (and minimums) of 6 bits as ggml packs them
 *	 Q6_K:				16 scales, signed
 *	 Q2_K:				16, the scale in the low nibble, the minimum in the high
 *
 * A weight's value, c its code, s its sub-block (32 weights in Q4_K and Q5_K, 16 in
 * Q2_K, Q3_K and Q6_K):
 *
 *	 Q4_0 d(c-8)   Q5_0 d(c-16)   Q8_0 d(c-128)   Q4_1, Q5_1 dc+m
 *	 Q4_K, Q5_K d scale[s] c - dmin min[s]    Q2_K d scale[s] c - dmin min[s]
 *	 Q6_K d scale[s] (c-32)    Q3_K d (scale[s]-32) (c-4)
 */
#ifndef LLM_MATRIX_H
#define LLM_MATRIX_H

#include "engine/block.h"

#define LLM_PANEL_ROWS 16
#define LLM_PANEL_VECTOR 64		/* bytes: four of each row */
#define LLM_GROUP 32			/* weights that share an activation scale */

typedef struct LlmMatrix
{
	LlmTensorType type;
	int32_t		rows;			/* output features */
	int32_t		cols;			/* input features; a multiple of the type's block */
	int32_t		n_panels;		/* rows / 16, rounded up */
	uint64_t	panel_bytes;	/* from one panel to the next; a multiple of 64 */
	const uint8_t *panels;		/* 64-byte aligned; not owned */
} LlmMatrix;

/* Of a panel of so many weights in a row; a multiple of 64. */
extern uint64_t llm_panel_bytes(LlmTensorType type, int32_t cols);

/*
 * Pack one panel: row_bytes are the file's bytes of n_rows (1..16) consecutive rows,
 * each of cols weights; panel receives llm_panel_bytes() bytes, padding
 * included.  Bit-exact: no weight changes.
 */
extern void llm_panel_pack(LlmTensorType type, int32_t cols, int32_t n_rows,
						   const void *row_bytes, void *panel);

/* Row of the matrix as floats, out[cols]: the embedding look-up, and the kernels' oracle. */
extern void llm_matrix_row(const LlmMatrix *matrix, int32_t row, float *out);

/*
 * Where in a panel of a quantized type block b has its sub, which its groups follow; its halves, d and then m; and where group g
 * has its low bits, which its high ones follow.  Inlined with a layout that is constant.
 */
static inline uint64_t llm_block_place(LlmBlockLayout layout, uint64_t b);
static inline uint64_t llm_halves_place(LlmBlockLayout layout, uint64_t b);
static inline uint64_t llm_group_place(LlmBlockLayout layout, uint64_t g);

/* Of a unit and of its parts. */
static inline uint64_t
llm_unit_blocks(LlmBlockLayout layout)
{
	return layout.has_m ? 1 : 2;
}

static inline uint64_t
llm_halves_bytes(void)
{
	return LLM_PANEL_ROWS * sizeof(uint16_t);
}

static inline uint64_t
llm_sub_bytes(LlmBlockLayout layout)
{
	return (uint64_t) layout.sub_bytes * LLM_PANEL_ROWS;
}

static inline uint64_t
llm_group_bytes(LlmBlockLayout layout)
{
	return (uint64_t) (layout.low_bits + layout.high_bits) * LLM_PANEL_VECTOR;
}

static inline uint64_t
llm_block_bytes(LlmBlockLayout layout)
{
	return llm_sub_bytes(layout) + (uint64_t) layout.weights / LLM_GROUP * llm_group_bytes(layout);
}

static inline uint64_t
llm_unit_bytes(LlmBlockLayout layout)
{
	return 2 * llm_halves_bytes() + llm_unit_blocks(layout) * llm_block_bytes(layout);
}

static inline uint64_t
llm_block_place(LlmBlockLayout layout, uint64_t b)
{
	const uint64_t blocks = llm_unit_blocks(layout);

	return b / blocks * llm_unit_bytes(layout) + 2 * llm_halves_bytes() + b % blocks * llm_block_bytes(layout);
}

static inline uint64_t
llm_halves_place(LlmBlockLayout layout, uint64_t b)
{
	const uint64_t blocks = llm_unit_blocks(layout);

	return b / blocks * llm_unit_bytes(layout) + b % blocks * llm_halves_bytes();
}

static inline uint64_t
llm_group_place(LlmBlockLayout layout, uint64_t g)
{
	const uint64_t groups = (uint64_t) layout.weights / LLM_GROUP;

	return llm_block_place(layout, g / groups) + llm_sub_bytes(layout) + g % groups * llm_group_bytes(layout);
}

#endif							/* LLM_MATRIX_H */
