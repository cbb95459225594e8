/*
 * matmul_blas.h
 *		Products of float matrices with many columns through OpenBLAS.
 *
 * OpenBLAS chooses its own order of summation, so its bits are not those of
 * kernels.h, and they may depend on the number of columns: an engine that uses
 * it gives up bit-for-bit reproducibility.  It is off unless asked for.
 */
#ifndef LLM_MATMUL_BLAS_H
#define LLM_MATMUL_BLAS_H

#include "engine/kernels/kernels.h"

#define LLM_BLAS_PANELS 16		/* panels of one block of rows */
#define LLM_BLAS_BLOCK_COLS 512 /* weights of a row that are unpacked at once */
#define LLM_BLAS_MIN_COLS 32	/* fewer columns do not pay for unpacking */
#define LLM_BLAS_MAX_THREADS 64 /* OpenBLAS ends the process when too many threads call it at once */

/* Floats of scratch that a thread needs. */
static inline uint64_t
llm_matmul_blas_scratch(void)
{
	return (uint64_t) LLM_BLAS_PANELS * LLM_PANEL_ROWS * LLM_BLAS_BLOCK_COLS;
}

/* Once before the first product: each of our threads calls for itself. */
extern void llm_matmul_blas_init(void);

extern bool llm_matmul_blas_serves(LlmTensorType type, int32_t n_cols);

/* As LlmKernels.matmul; first must be a multiple of LLM_BLAS_PANELS. */
extern void llm_matmul_blas(const LlmMatrix *w, int32_t first, int32_t last, const LlmActivations *x,
							float *y, int64_t y_stride, float *scratch);

#endif							/* LLM_MATMUL_BLAS_H */
