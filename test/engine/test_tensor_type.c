/*
 * test_tensor_type.c
 *		Half precision, the table of types, and every type's blocks against a
 *		second reading of ggml's layouts, weight by weight.
 */
#include <math.h>

#include "engine/half.h"
#include "random_blocks.h"
#include "tap.h"

/* The value of a half from its definition. */
static double
half_by_definition(uint16_t half)
{
	int			exponent = half >> 10 & 31;
	int			fraction = half & 1023;
	double		sign = half & 0x8000 ? -1 : 1;

	if (exponent == 31)
		return fraction ? NAN : sign * INFINITY;
	return sign * (exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25));
}

static void
test_half(void)
{
	bool		widens = true;
	bool		returns = true;
	bool		nan_stays = true;
	bool		rounds = true;

	for (uint32_t h = 0; h < 65536; h++)
	{
		float		value = llm_half_to_float(h);
		double		expected = half_by_definition(h);

		if (isnan(expected))
			nan_stays = nan_stays && isnan(value) && !signbit(value) == !(h >> 15) &&
				isnan(half_by_definition(llm_float_to_half(value)));
		else
		{
			widens = widens && value == expected && !signbit(value) == !(h >> 15);
			returns = returns && llm_float_to_half(value) == h;
		}
	}
	ok(widens, "every half has the value that its bits define");
	ok(returns, "every half returns from float");
	ok(nan_stays, "NaN stays NaN both ways");
	ok(isnan(half_by_definition(llm_float_to_half(llm_float_of_bits(0x7f800001)))),
	   "a NaN whose bits a half cannot hold does not become infinite");

	for (uint32_t h = 0; h < 0x7c00; h++)
	{
		/* The last step is to the first number beyond the largest half. */
		double		next = h == 0x7bff ? 65536 : half_by_definition(h + 1);
		float		middle = (half_by_definition(h) + next) / 2;
		uint16_t	even = h % 2 ? h + 1 : h;

		rounds = rounds && llm_float_to_half(middle) == even &&
			llm_float_to_half(-middle) == (even | 0x8000) &&
			llm_float_to_half(nextafterf(middle, 0)) == h &&
			llm_float_to_half(nextafterf(middle, INFINITY)) == h + 1;
	}
	ok(rounds, "between two halves the nearest is taken, and the even one in the middle");
	ok(llm_float_to_half(1e30f) == 0x7c00 && llm_float_to_half(-INFINITY) == 0xfc00,
	   "what is too large is infinite");
	ok(llm_float_to_half(1e-40f) == 0 && llm_float_to_half(-1e-40f) == 0x8000,
	   "what is too small is zero");
}

static void
test_table(void)
{
	int			count;
	const LlmTensorTypeInfo *types = llm_tensor_types(&count);
	bool		found = true;

	for (int i = 0; i < count; i++)
		found = found && llm_tensor_type_info(types[i].type) == &types[i];
	ok(count == 13 && found, "thirteen types are in the table");
	ok(llm_tensor_type_info(4) == NULL && llm_tensor_type_info(15) == NULL &&
	   llm_tensor_type_info(31) == NULL && llm_tensor_type_info(UINT32_MAX) == NULL,
	   "other numbers are not");
	ok(strcmp(llm_tensor_type_info(14)->name, "Q6_K") == 0 &&
	   llm_tensor_type_info(14)->block_bytes == 210, "Q6_K is number 14");
}

static float
half_at(const uint8_t *bytes)
{
	return (float) half_by_definition(bytes[0] | bytes[1] << 8);
}

/* ggml's get_scale_min_k4. */
static void
scale_min_k4(int j, const uint8_t *q, int *scale, int *min)
{
	if (j < 4)
	{
		*scale = q[j] & 63;
		*min = q[j + 4] & 63;
	}
	else
	{
		*scale = (q[j + 4] & 0xF) | ((q[j - 4] >> 6) << 4);
		*min = (q[j + 4] >> 4) | ((q[j] >> 6) << 4);
	}
}

/* The scales of Q3_K, unpacked in words as in ggml's dequantize_row_q3_K. */
static int
scale_q3(const uint8_t *scales, int s)
{
	uint32_t	words[4];
	int8_t		bytes[16];
	uint32_t	top;

	memcpy(words, scales, 12);
	top = words[2];
	words[2] = ((words[0] >> 4) & 0x0f0f0f0f) | (((top >> 4) & 0x03030303) << 4);
	words[3] = ((words[1] >> 4) & 0x0f0f0f0f) | (((top >> 6) & 0x03030303) << 4);
	words[0] = (words[0] & 0x0f0f0f0f) | (((top >> 0) & 0x03030303) << 4);
	words[1] = (words[1] & 0x0f0f0f0f) | (((top >> 2) & 0x03030303) << 4);
	memcpy(bytes, words, 16);
	return bytes[s] - 32;
}

/* Weight i of a block. */
static float
weight_of(LlmTensorType type, const uint8_t *b, int i)
{
	int			part = i / 128; /* of a block of 256 */
	int			row = i % 128 / 32; /* of 32 weights in a part */
	int			l = i % 32;
	int			nibble = i < 16 ? 0 : 4;
	int			scale;
	int			min;
	int			q;

	switch (type)
	{
		case LLM_F16:
			return half_at(b);
		case LLM_BF16:
			return llm_float_of_bits((uint32_t) b[0] << 16 | (uint32_t) b[1] << 24);
		case LLM_Q4_0:
			return ((b[2 + i % 16] >> nibble & 15) - 8) * half_at(b);
		case LLM_Q4_1:
			return (b[4 + i % 16] >> nibble & 15) * half_at(b) + half_at(b + 2);
		case LLM_Q5_0:
			q = (b[6 + i % 16] >> nibble & 15) | (b[2 + i / 8] >> i % 8 & 1) << 4;
			return (q - 16) * half_at(b);
		case LLM_Q5_1:
			q = (b[8 + i % 16] >> nibble & 15) | (b[4 + i / 8] >> i % 8 & 1) << 4;
			return q * half_at(b) + half_at(b + 2);
		case LLM_Q8_0:
			return (int8_t) b[2 + i] * half_at(b);
		case LLM_Q2_K:
			q = b[16 + 32 * part + l] >> 2 * row & 3;
			return half_at(b + 80) * (b[i / 16] & 15) * q - half_at(b + 82) * (b[i / 16] >> 4);
		case LLM_Q3_K:
			q = (b[32 + 32 * part + l] >> 2 * row & 3) - (b[l] >> (4 * part + row) & 1 ? 0 : 4);
			return half_at(b + 108) * scale_q3(b + 96, i / 16) * q;
		case LLM_Q4_K:
			scale_min_k4(i / 32, b + 4, &scale, &min);
			q = b[16 + i / 64 * 32 + l] >> (i / 32 % 2 ? 4 : 0) & 15;
			return half_at(b) * scale * q - half_at(b + 2) * min;
		case LLM_Q5_K:
			scale_min_k4(i / 32, b + 4, &scale, &min);
			q = (b[48 + i / 64 * 32 + l] >> (i / 32 % 2 ? 4 : 0) & 15) + (b[16 + l] & 1 << i / 32 ? 16 : 0);
			return half_at(b) * scale * q - half_at(b + 2) * min;
		case LLM_Q6_K:
			q = b[64 * part + i % 64] >> (row < 2 ? 0 : 4) & 15;
			q |= (b[128 + 32 * part + l] >> 2 * row & 3) << 4;
			return half_at(b + 208) * (int8_t) b[192 + i / 16] * (q - 32);
		default:
			return llm_float_of_bits(b[0] | b[1] << 8 | b[2] << 16 | (uint32_t) b[3] << 24);
	}
}

static void
test_dequantize(const LlmTensorTypeInfo *info)
{
	const int	n = 4096;
	uint8_t    *row = random_alloc((size_t) n / info->block_weights * info->block_bytes);
	float	   *out = random_alloc(n * sizeof(float));
	bool		good = true;

	random_row(info->type, n, row);
	llm_dequantize_row(info->type, row, n, out);
	for (int i = 0; i < n; i++)
	{
		float		expected = weight_of(info->type, row + i / info->block_weights * info->block_bytes,
										 i % info->block_weights);

		if (memcmp(&out[i], &expected, sizeof(float)) != 0)
		{
			diag("weight %d is %.9g instead of %.9g", i, out[i], expected);
			good = false;
			break;
		}
	}
	ok(good, "%s: every weight is that of ggml's layout", info->name);
	free(row);
	free(out);
}

int
main(void)
{
	int			count;
	const LlmTensorTypeInfo *types = llm_tensor_types(&count);

	test_half();
	test_table();
	for (int i = 0; i < count; i++)
		test_dequantize(&types[i]);
	return done_testing();
}
