/*
 * quantize_avx2.c
 *		The search for scales, for processors with AVX2.
 */
#if defined(__x86_64__)

#define QUANTIZE_SEARCH quantize_search_avx2
#include "import/quantize_search.h"

#else
typedef int quantize_avx2_is_empty;
#endif
