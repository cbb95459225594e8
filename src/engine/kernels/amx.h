/*
 * amx.h
 *		What the files of the AMX kernel set share: the AVX-512 set with products by tiles.
 */
#ifndef LLM_KERNELS_AMX_H
#define LLM_KERNELS_AMX_H

#ifdef __AMX_TILE__
#include <immintrin.h>
#endif

#include "engine/kernels/kernels.h"

/*
 * LDTILECFG's operand (Intel's Software Developer's Manual, volume 1, section 18.3).  Each thread loads the shapes of
 * its tiles at the start of a product and releases them at the end, so that no context switch saves
 * tiles that nobody needs.
 */
typedef struct TileShapes
{
	_Alignas(64) uint8_t palette;
	uint8_t		start_row;
	uint8_t		reserved[14];
	uint16_t	row_bytes[16];
	uint8_t		rows[16];
} TileShapes;

#ifdef __AMX_TILE__
KERNEL_INLINE void
load_shapes(const TileShapes *shapes)
{
	/* GCC 12 does not know that the instruction reads all of them. */
	__asm__ volatile("" : : "r" (shapes) : "memory");
	_tile_loadconfig(shapes);
}
#endif

/* amx_quantized.c, or amx_blocks.c for K types; and amx_prompt.c */
#define AMX_MATMUL(name) \
extern void amx_matmul_##name(const LlmMatrix *w, int32_t first, int32_t last, \
							  const LlmActivations *x, float *y, int64_t y_stride); \
extern void amx_prompt_matmul_##name(const LlmMatrix *w, int32_t first, int32_t last, \
									 const LlmPrompts *x, float *y, int64_t y_stride)

AMX_MATMUL(q4_0);
AMX_MATMUL(q4_1);
AMX_MATMUL(q5_0);
AMX_MATMUL(q5_1);
AMX_MATMUL(q8_0);
AMX_MATMUL(q2_k);
AMX_MATMUL(q3_k);
AMX_MATMUL(q4_k);
AMX_MATMUL(q5_k);
AMX_MATMUL(q6_k);

/* amx_prompt_round.c */
extern void amx_round_prompts(LlmPrompts *prompts, int32_t first, int32_t last);

#endif							/* LLM_KERNELS_AMX_H */
