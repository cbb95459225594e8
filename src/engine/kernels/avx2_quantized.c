/*
 * avx2_quantized.c
 *		Products of quantized matrices with int8 activations, for AVX2: by VPMADDUBSW.
 */
#if defined(__x86_64__)

/* AMD's processors, which most of those with AVX2 alone are, do best so: see avx512_few.h. */
#define FETCH_TO_FIRST_LEVEL false

#include "engine/kernels/avx2_product.h"

DEFINE_QUANTIZED_MATMULS(avx2)

#endif							/* __x86_64__ */
