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
 * Panels of quantized types are split in planes, each 64-byte aligned (a
 * plane's size is rounded up to 64), in this order where the type has them:
 *
 *		low		[cols/32][L][16 rows][4]	the low bits
 *		high	[cols/32][H][16 rows][4]	the remaining high bits
 *		scale	see below
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
 * Scales, element [..][16 rows], all planes in file precision:
 *
 *	 Q4_0, Q5_0, Q8_0:	d half[cols/32][16]
 *	 Q4_1, Q5_1:		d half[cols/32][16], then a plane m half[cols/32][16]
 *	 Q4_K, Q5_K:		sub uint8[cols/256][12][16]: the file's 12 scale bytes; then planes
 *						d half[cols/256][16], dmin half[cols/256][16]
 *	 Q6_K:				sub int8[cols/256][16][16]; d half[cols/256][16]
 *	 Q3_K:				sub uint8[cols/256][12][16]: the file's 12 scale bytes; d half[cols/256][16]
 *	 Q2_K:				sub uint8[cols/256][16][16]: scale in the low nibble, minimum in the
 *						high; d half[cols/256][16]; dmin half[cols/256][16]
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

#include "engine/tensor_type.h"

#define LLM_PANEL_ROWS 16
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

/* Byte offsets of the planes within one panel; 0 for a plane the type lacks. */
typedef struct LlmPanelPlanes
{
	uint64_t	low;
	uint64_t	high;
	uint64_t	sub;
	uint64_t	d;
	uint64_t	m;				/* m of Q4_1 and Q5_1, dmin of the K types */
	uint64_t	panel_bytes;
} LlmPanelPlanes;

extern LlmPanelPlanes llm_panel_planes(LlmTensorType type, int32_t cols);

/*
 * Pack one panel: row_bytes are the file's bytes of n_rows (1..16) consecutive rows,
 * each of cols weights; panel receives llm_panel_planes().panel_bytes bytes,
 * padding included.  Bit-exact: no weight changes.
 */
extern void llm_panel_pack(LlmTensorType type, int32_t cols, int32_t n_rows,
						   const void *row_bytes, void *panel);

/* Row of the matrix as floats, out[cols]: the embedding look-up, and the kernels' oracle. */
extern void llm_matrix_row(const LlmMatrix *matrix, int32_t row, float *out);

#endif							/* LLM_MATRIX_H */
