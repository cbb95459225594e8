/*
 * quantize_pack.c
 *		Blocks of the quantized types, put together as they lie in a file.
 *
 * The inverse of llm_block_read, in engine/block.c.
 */
#include "import/quantize.h"

#include <string.h>

static void put_bits(uint8_t *bytes, const uint8_t *codes, int n_bytes, int bits, int place);
static void put_bits_in_a_row(uint8_t *bytes, const uint8_t *codes, int n_bytes, int place);
static void put_scales(LlmTensorType type, const QuantizedBlock *block, uint8_t *sub);

void
quantize_pack(LlmTensorType type, const QuantizedBlock *block, uint8_t *out)
{
	const uint8_t *codes = block->codes;
	int			scales_at = 0;
	int			d_at = 0;

	memset(out, 0, (size_t) llm_tensor_type_info(type)->block_bytes);
	switch (type)
	{
		case LLM_Q4_0:
			put_bits(out + 2, codes, 16, 4, 0);
			break;
		case LLM_Q4_1:
			put_bits(out + 4, codes, 16, 4, 0);
			break;
		case LLM_Q5_0:
			put_bits(out + 6, codes, 16, 4, 0);
			put_bits_in_a_row(out + 2, codes, 4, 4);
			break;
		case LLM_Q5_1:
			put_bits(out + 8, codes, 16, 4, 0);
			put_bits_in_a_row(out + 4, codes, 4, 4);
			break;
		case LLM_Q8_0:
			for (int i = 0; i < 32; i++)
				out[2 + i] = codes[i] ^ 0x80;
			break;
		case LLM_Q2_K:
			for (int half = 0; half < 2; half++)
				put_bits(out + 16 + 32 * half, codes + 128 * half, 32, 2, 0);
			d_at = 80;
			break;
		case LLM_Q3_K:
			for (int half = 0; half < 2; half++)
				put_bits(out + 32 + 32 * half, codes + 128 * half, 32, 2, 0);
			put_bits(out, codes, 32, 1, 2);
			scales_at = 96;
			d_at = 108;
			break;
		case LLM_Q4_K:
			for (int quarter = 0; quarter < 4; quarter++)
				put_bits(out + 16 + 32 * quarter, codes + 64 * quarter, 32, 4, 0);
			scales_at = 4;
			break;
		case LLM_Q5_K:
			for (int quarter = 0; quarter < 4; quarter++)
				put_bits(out + 48 + 32 * quarter, codes + 64 * quarter, 32, 4, 0);
			put_bits(out + 16, codes, 32, 1, 4);
			scales_at = 4;
			break;
		case LLM_Q6_K:
			for (int half = 0; half < 2; half++)
			{
				put_bits(out + 64 * half, codes + 128 * half, 64, 4, 0);
				put_bits(out + 128 + 32 * half, codes + 128 * half, 32, 2, 4);
			}
			scales_at = 192;
			d_at = 208;
			break;
		default:
			return;
	}
	put_scales(type, block, out + scales_at);
	memcpy(out + d_at, &block->d, sizeof(block->d));
	if (llm_block_layout(type)->has_m)
		memcpy(out + d_at + 2, &block->m, sizeof(block->m));
}

/* Bits place .. place + bits - 1 of code j * n_bytes + i become field j of byte i. */
static void
put_bits(uint8_t *bytes, const uint8_t *codes, int n_bytes, int bits, int place)
{
	for (int shift = 0; shift < 8; shift += bits, codes += n_bytes)
		for (int i = 0; i < n_bytes; i++)
			bytes[i] |= (uint8_t) ((codes[i] >> place & ((1 << bits) - 1)) << shift);
}

/* Bit `place` of code 8 * i + j becomes bit j of byte i. */
static void
put_bits_in_a_row(uint8_t *bytes, const uint8_t *codes, int n_bytes, int place)
{
	for (int i = 0; i < 8 * n_bytes; i++)
		bytes[i / 8] |= (uint8_t) ((codes[i] >> place & 1) << i % 8);
}

/* The inverse of llm_sub_scale and llm_sub_min. */
static void
put_scales(LlmTensorType type, const QuantizedBlock *block, uint8_t *sub)
{
	const int  *scales = block->scales;
	const int  *mins = block->mins;

	switch (type)
	{
		case LLM_Q2_K:
			for (int s = 0; s < 16; s++)
				sub[s] = (uint8_t) (scales[s] | mins[s] << 4);
			break;
		case LLM_Q3_K:
			for (int s = 0; s < 16; s++)
			{
				sub[s % 8] |= (uint8_t) ((scales[s] + 32) % 16 << s / 8 * 4);
				sub[8 + s % 4] |= (uint8_t) ((scales[s] + 32) / 16 << s / 4 * 2);
			}
			break;
		case LLM_Q4_K:
		case LLM_Q5_K:
			for (int s = 0; s < 4; s++)
			{
				sub[s] = (uint8_t) (scales[s] | scales[s + 4] / 16 << 6);
				sub[s + 4] = (uint8_t) (mins[s] | mins[s + 4] / 16 << 6);
				sub[s + 8] = (uint8_t) (scales[s + 4] % 16 | mins[s + 4] % 16 << 4);
			}
			break;
		case LLM_Q6_K:
			for (int s = 0; s < 16; s++)
				sub[s] = (uint8_t) scales[s];
			break;
		default:
			break;
	}
}
