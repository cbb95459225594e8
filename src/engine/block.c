/*
 * block.c
 *		Blocks of the quantized types, as they lie in a file, taken apart.
 *
 * The layouts are ggml's block_* structures, the order of weights that of its
 * dequantize_row_* functions.
 */
#include "engine/block.h"

#include <string.h>

#include "engine/half.h"

static inline void put_bits(uint8_t *restrict codes, const uint8_t *restrict bytes, int n_bytes,
							int bits) __attribute__((always_inline));
static inline void add_bits(uint8_t *restrict codes, const uint8_t *restrict bytes, int n_bytes,
							int bits, int place) __attribute__((always_inline));
static void add_bits_in_a_row(uint8_t *codes, const uint8_t *bytes, int n_bytes, int place);
static uint16_t half_at(const uint8_t *bytes);

const LlmBlockLayout *
llm_block_layout(LlmTensorType type)
{
#define LAYOUT(NAME, ...) [LLM_##NAME] = {__VA_ARGS__},
	static const LlmBlockLayout layouts[LLM_TENSOR_TYPE_LIMIT] = {LLM_QUANTIZED_TYPES(LAYOUT)};
#undef LAYOUT

	return layouts[type].weights > 0 ? &layouts[type] : NULL;
}

void
llm_block_read(LlmTensorType type, const uint8_t *bytes, LlmBlock *block)
{
	const LlmBlockLayout *layout = llm_block_layout(type);
	uint8_t    *codes = block->codes;
	int			scales_at = 0;
	int			d_at = 0;

	switch (type)
	{
		case LLM_Q4_0:
			put_bits(codes, bytes + 2, 16, 4);
			break;
		case LLM_Q4_1:
			put_bits(codes, bytes + 4, 16, 4);
			break;
		case LLM_Q5_0:
			put_bits(codes, bytes + 6, 16, 4);
			add_bits_in_a_row(codes, bytes + 2, 4, 4);
			break;
		case LLM_Q5_1:
			put_bits(codes, bytes + 8, 16, 4);
			add_bits_in_a_row(codes, bytes + 4, 4, 4);
			break;
		case LLM_Q8_0:
			for (int i = 0; i < 32; i++)
				codes[i] = bytes[2 + i] ^ 0x80;
			break;
		case LLM_Q2_K:
			for (int half = 0; half < 2; half++)
				put_bits(codes + 128 * half, bytes + 16 + 32 * half, 32, 2);
			d_at = 80;
			break;
		case LLM_Q3_K:
			for (int half = 0; half < 2; half++)
				put_bits(codes + 128 * half, bytes + 32 + 32 * half, 32, 2);
			add_bits(codes, bytes, 32, 1, 2);
			scales_at = 96;
			d_at = 108;
			break;
		case LLM_Q4_K:
			for (int quarter = 0; quarter < 4; quarter++)
				put_bits(codes + 64 * quarter, bytes + 16 + 32 * quarter, 32, 4);
			scales_at = 4;
			break;
		case LLM_Q5_K:
			for (int quarter = 0; quarter < 4; quarter++)
				put_bits(codes + 64 * quarter, bytes + 48 + 32 * quarter, 32, 4);
			add_bits(codes, bytes + 16, 32, 1, 4);
			scales_at = 4;
			break;
		case LLM_Q6_K:
			for (int half = 0; half < 2; half++)
			{
				put_bits(codes + 128 * half, bytes + 64 * half, 64, 4);
				add_bits(codes + 128 * half, bytes + 128 + 32 * half, 32, 2, 4);
			}
			scales_at = 192;
			d_at = 208;
			break;
		default:
			break;
	}

	memcpy(block->sub, bytes + scales_at, layout->sub_bytes);
	block->d = half_at(bytes + d_at);
	block->m = layout->has_m ? half_at(bytes + d_at + 2) : 0;
}

void
llm_block_values(LlmTensorType type, const LlmBlock *block, float *out)
{
	const LlmBlockLayout *layout = llm_block_layout(type);
	float		d = llm_half_value(block->d);
	float		m = llm_half_value(block->m);

	for (int s = 0; s < layout->weights / layout->sub_weights; s++)
	{
		const uint8_t *codes = block->codes + s * layout->sub_weights;
		float		scale = d * (float) llm_sub_scale(type, block->sub, 1, s);
		float		min = layout->has_m ? m * (float) llm_sub_min(type, block->sub, 1, s) : 0;

		for (int i = 0; i < layout->sub_weights; i++)
			*out++ = scale * (float) (codes[i] - layout->offset) - min;
	}
}

/*
 * Fields of `bits` bits: field j of byte i is the code of weight j * n_bytes + i.
 */
static inline void
put_bits(uint8_t *restrict codes, const uint8_t *restrict bytes, int n_bytes, int bits)
{
	for (int shift = 0; shift < 8; shift += bits, codes += n_bytes)
		for (int i = 0; i < n_bytes; i++)
			codes[i] = bytes[i] >> shift & ((1 << bits) - 1);
}

/* The same, but the field is added at bit `place` of the code. */
static inline void
add_bits(uint8_t *restrict codes, const uint8_t *restrict bytes, int n_bytes, int bits, int place)
{
	for (int shift = 0; shift < 8; shift += bits, codes += n_bytes)
		for (int i = 0; i < n_bytes; i++)
			codes[i] |= (bytes[i] >> shift & ((1 << bits) - 1)) << place;
}

/*
 * Single bits: bit j of byte i belongs to weight 8 * i + j.  A byte is copied to eight bytes of
 * a word, each keeps its own bit, and a sum that carries into bit 7 tells whether it is set.
 */
static void
add_bits_in_a_row(uint8_t *codes, const uint8_t *bytes, int n_bytes, int place)
{
	const uint64_t every_byte = 0x0101010101010101;

	for (int i = 0; i < n_bytes; i++, codes += 8)
	{
		uint64_t	own_bits = bytes[i] * every_byte & 0x8040201008040201;
		uint64_t	bits = (own_bits + 0x7f * every_byte) >> 7 & every_byte;
		uint64_t	word;

		memcpy(&word, codes, sizeof(word));
		word |= bits << place;
		memcpy(codes, &word, sizeof(word));
	}
}

static uint16_t
half_at(const uint8_t *bytes)
{
	uint16_t	half;

	memcpy(&half, bytes, sizeof(half));
	return half;
}
