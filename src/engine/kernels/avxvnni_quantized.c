/*
 * avxvnni_quantized.c
 *		Products of quantized matrices with int8 activations, for AVX2 with AVX-VNNI: by VPDPBUSD.
 */
#if defined(__x86_64__)

#define FETCH_TO_FIRST_LEVEL true

#include "engine/kernels/avx2_product.h"

DEFINE_QUANTIZED_MATMULS(avxvnni)

#endif							/* __x86_64__ */
