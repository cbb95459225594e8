/*
 * quantize_generic.c
 *		The search for scales, for any processor.
 */
#define QUANTIZE_SEARCH quantize_search_generic
#include "import/quantize_search.h"
