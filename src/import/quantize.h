/*
 * quantize.h
 *		Floats to the thirteen tensor types.
 *
 * Each block is rounded so that the sum of its squared errors is small, by a
 * search over scales: see quantize_search.h.  Blocks do not depend on each other, nor
 * results on the processor or the number of threads.
 */
#ifndef IMPORT_QUANTIZE_H
#define IMPORT_QUANTIZE_H

#include "engine/block.h"

/* A block of a quantized type while it is searched for: what llm_block_values reads. */
typedef struct QuantizedBlock
{
	uint8_t		codes[LLM_MAX_BLOCK];
	int			scales[16];		/* 1 and -1 where the type stores none */
	int			mins[16];
	uint16_t	d;				/* half */
	uint16_t	m;
} QuantizedBlock;

/* n finite weights, a multiple of the type's block, to out. */
extern void quantize_row(LlmTensorType type, const float *weights, int64_t n, void *out);

/* The greatest magnitude that a weight may have for its type. */
extern float quantize_limit(LlmTensorType type);

/* The search, for any processor and for those with AVX2: the same results. */
extern void quantize_search_generic(LlmTensorType type, const float *weights,
									QuantizedBlock *block);
extern void quantize_search_avx2(LlmTensorType type, const float *weights, QuantizedBlock *block);

/* A block as it lies in a file: the inverse of llm_block_read. */
extern void quantize_pack(LlmTensorType type, const QuantizedBlock *block, uint8_t *out);

#endif							/* IMPORT_QUANTIZE_H */
