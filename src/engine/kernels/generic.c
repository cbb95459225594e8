/*
 * generic.c
 *		The generic kernel set: its table and the kernels on vectors.
 */
#include "engine/kernels/generic.h"

#include <float.h>
#include <math.h>

#include "engine/half.h"
#include "engine/kernels/kv_quantize.h"
#include "engine/kernels/quantize_blocks.h"

static float scale_of_block(const float *x, int64_t n);
static void quantize_group(const float *x, float scale, int8_t *q, int32_t *sum16);
static float sum_of_squares(const float *x, int32_t n);

static void
quantize(LlmActivations *activations, int32_t first, int32_t last)
{
	llm_quantize_blocks(activations, first, last, scale_of_block, quantize_group);
}

static void
rms_norm(const float *x, const float *weight, int32_t n, float eps, float *out)
{
	float		inverse = 1.0f / sqrtf(sum_of_squares(x, n) / (float) n + eps);

	for (int32_t i = 0; i < n; i++)
		out[i] = weight[i] * (x[i] * inverse);
}

static void
rope(float *x, const float *table, int32_t n)
{
	for (int32_t i = 0; i < n; i += 2)
	{
		float		real = x[i] * table[i] - x[i + 1] * table[i + 1];
		float		imaginary = x[i] * table[i + 1] + x[i + 1] * table[i];

		x[i] = real;
		x[i + 1] = imaginary;
	}
}

static void
swiglu(float *gate, const float *up, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		gate[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}

static void
add(float *x, const float *y, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		x[i] += y[i];
}

static void
store_kv(LlmKvType type, const float *k, const float *v, int32_t head_dim, int32_t slot,
		 void *k_page, void *v_page)
{
	if (type == LLM_KV_Q8_0)
	{
		llm_kv_store_q8_0(k, v, head_dim, slot, k_page, v_page);
		return;
	}
	for (int32_t i = 0; i < head_dim; i++)
	{
		int32_t		k_index = i * LLM_KV_PAGE + slot;
		int32_t		v_index = slot * head_dim + i;

		if (type == LLM_KV_F32)
		{
			((float *) k_page)[k_index] = k[i];
			((float *) v_page)[v_index] = v[i];
		}
		else
		{
			((uint16_t *) k_page)[k_index] = llm_half_nearest(k[i]);
			((uint16_t *) v_page)[v_index] = llm_half_nearest(v[i]);
		}
	}
}

static int32_t
argmax(const float *x, int32_t n)
{
	int32_t		best = 0;

	for (int32_t i = 1; i < n; i++)
		if (x[i] > x[best] || (isnan(x[best]) && !isnan(x[i])))
			best = i;
	return best;
}

static float
log_sum_exp(const float *x, int32_t n)
{
	float		lanes[LANES] = {0};
	float		max = x[argmax(x, n)];

	if (!isfinite(max))
		return max;
	for (int32_t i = 0; i < n; i++)
		lanes[i % LANES] += expf(x[i] - max);
	return max + logf(generic_sum_lanes(lanes));
}

const LlmKernels llm_kernels_generic = {
	.name = "generic",
	.quantize = quantize,
	.matmul = {
		[LLM_F32] = generic_matmul_F32,
		[LLM_F16] = generic_matmul_F16,
		[LLM_BF16] = generic_matmul_BF16,
		[LLM_Q4_0] = generic_matmul_Q4_0,
		[LLM_Q4_1] = generic_matmul_Q4_1,
		[LLM_Q5_0] = generic_matmul_Q5_0,
		[LLM_Q5_1] = generic_matmul_Q5_1,
		[LLM_Q8_0] = generic_matmul_Q8_0,
		[LLM_Q2_K] = generic_matmul_Q2_K,
		[LLM_Q3_K] = generic_matmul_Q3_K,
		[LLM_Q4_K] = generic_matmul_Q4_K,
		[LLM_Q5_K] = generic_matmul_Q5_K,
		[LLM_Q6_K] = generic_matmul_Q6_K,
	},
	.rms_norm = rms_norm,
	.rope = rope,
	.swiglu = swiglu,
	.add = add,
	.store_kv = store_kv,
	.attention = generic_attention,
	.argmax = argmax,
	.log_sum_exp = log_sum_exp,
};

static float
scale_of_block(const float *x, int64_t n)
{
	float		max = 0;

	for (int64_t i = 0; i < n; i++)
		max = fabsf(x[i]) > max ? fabsf(x[i]) : max;
	return max / 127.0f < FLT_MIN ? 0 : max / 127.0f;
}

/*
 * Adding 1.5 * 2^23 leaves a number of this size rounded to nearest even in
 * the lowest bits of the sum.
 */
static void
quantize_group(const float *x, float scale, int8_t *q, int32_t *sum16)
{
	const float rounder = 0x1.8p23f;
	float		inverse = scale > 0 ? 1.0f / scale : 0;

	sum16[0] = sum16[1] = 0;
	for (int i = 0; i < LLM_GROUP; i++)
	{
		float		rounded = scale > 0 ? x[i] * inverse + rounder : rounder;

		q[i] = (int8_t) (llm_bits_of_float(rounded) - llm_bits_of_float(rounder));
		sum16[i / 16] += q[i];
	}
}

static float
sum_of_squares(const float *x, int32_t n)
{
	float		lanes[LANES] = {0};
	int32_t		whole = n / LANES * LANES;

	for (int32_t i = 0; i < whole; i += LANES)
		for (int lane = 0; lane < LANES; lane++)
			lanes[lane] += x[i + lane] * x[i + lane];
	for (int32_t i = whole; i < n; i++)
		lanes[i - whole] += x[i] * x[i];
	return generic_sum_lanes(lanes);
}
