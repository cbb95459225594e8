/*
 * test_attention.c
 *		Attention and the storing of keys and values, for every kernel set.
 */
#include <math.h>

#include "engine/kv_cache.h"
#include "kernel_sets.h"
#include "random_blocks.h"

#define MAX_LENGTH 100
#define N_PAGES ((MAX_LENGTH + LLM_KV_PAGE - 1) / LLM_KV_PAGE)
#define FAINT_HEAD_DIM 16
#define N_QUERIES (MAX_LENGTH + 20)

static const int head_dims[] = {2, 8, 16, 64, 80, 100, 128};

/* One KV head's history as it was given, and as pages. */
typedef struct History
{
	LlmKvType	type;
	int			head_dim;
	float	   *keys;			/* [MAX_LENGTH][head_dim] */
	float	   *values;
	void	   *k_pages[N_PAGES];
	void	   *v_pages[N_PAGES];
} History;

static size_t
page_bytes(const History *history)
{
	return llm_kv_half_page_bytes(history->type, history->head_dim);
}

/* Pages that hold the first `length` positions and NaN everywhere else. */
static void
fill_pages(const LlmKernels *kernels, History *history, int length)
{
	for (int p = 0; p < N_PAGES; p++)
	{
		memset(history->k_pages[p], 0xff, page_bytes(history));
		memset(history->v_pages[p], 0xff, page_bytes(history));
	}
	for (int t = 0; t < length; t++)
		kernels->store_kv(history->type, history->keys + t * history->head_dim,
						  history->values + t * history->head_dim, history->head_dim, t % LLM_KV_PAGE,
						  history->k_pages[t / LLM_KV_PAGE], history->v_pages[t / LLM_KV_PAGE]);
}

static History
random_history(LlmKvType type, int head_dim)
{
	History		history = {.type = type, .head_dim = head_dim};
	size_t		n = (size_t) MAX_LENGTH * head_dim;

	history.keys = random_alloc(n * sizeof(float));
	history.values = random_alloc(n * sizeof(float));
	for (size_t i = 0; i < n; i++)
	{
		history.keys[i] = random_float();
		history.values[i] = random_float();
	}
	for (int p = 0; p < N_PAGES; p++)
	{
		history.k_pages[p] = random_alloc(page_bytes(&history));
		history.v_pages[p] = random_alloc(page_bytes(&history));
	}
	return history;
}

static void
free_history(History *history)
{
	free(history->keys);
	free(history->values);
	for (int p = 0; p < N_PAGES; p++)
	{
		free(history->k_pages[p]);
		free(history->v_pages[p]);
	}
}

/* Element i of a half page, of the features' group g at position t. */
static double
element(const History *history, const void *half_page, int i, int g, int t)
{
	const uint16_t *scales = llm_kv_scales(half_page, history->head_dim);

	switch (history->type)
	{
		case LLM_KV_F32:
			return ((const float *) half_page)[i];
		case LLM_KV_F16:
			return llm_half_to_float(((const uint16_t *) half_page)[i]);
		default:
			return (double) llm_half_to_float(scales[g * LLM_KV_PAGE + t]) * ((const int8_t *) half_page)[i];
	}
}

static double
stored_key(const History *history, int position, int feature)
{
	int			t = position % LLM_KV_PAGE;

	return element(history, history->k_pages[position / LLM_KV_PAGE], feature * LLM_KV_PAGE + t,
				   feature / LLM_GROUP, t);
}

static double
stored_value(const History *history, int position, int feature)
{
	int			t = position % LLM_KV_PAGE;

	return element(history, history->v_pages[position / LLM_KV_PAGE], t * history->head_dim + feature,
				   feature / LLM_GROUP, t);
}

/*
 * Softmax attention in double precision.  A score's error comes from a sum of
 * head_dim products, and shifts its weight by as much; the weighted sum and its
 * divisor have a few roundings more for each position.  Faint weights are not seen.
 */
static bool
check_output(const History *history, const float *query, int length, const float *output)
{
	int			n = history->head_dim;
	double		scores[MAX_LENGTH];
	double		max = -INFINITY;
	double		sum = 0;
	double		score_size = 0;
	double		tolerance;

	for (int t = 0; t < length; t++)
	{
		double		size = 0;

		scores[t] = 0;
		for (int i = 0; i < n; i++)
		{
			double		term = query[i] * stored_key(history, t, i) / sqrt(n);

			scores[t] += term;
			size += fabs(term);
		}
		max = fmax(max, scores[t]);
		score_size = fmax(score_size, size);
	}
	for (int t = 0; t < length; t++)
		sum += scores[t] = exp(scores[t] - max);
	tolerance = ROUNDING * (2 * (n + 4) * score_size + 2 * length + 20);

	for (int i = 0; i < n; i++)
	{
		double		expected = 0;
		double		size = 0;
		double		unseen = 0;

		for (int t = 0; t < length; t++)
		{
			double		value = stored_value(history, t, i);
			double		term = scores[t] / sum * value;

			expected += term;
			size += fabs(term);
			unseen += ldexp(fabs(value), LLM_LEAST_POWER);
		}
		if (!(fabs(output[i] - expected) <= tolerance * size + unseen + 0x1p-126))
		{
			diag("head_dim %d, length %d, feature %d: %.9g instead of %.9g, allowed %.3g", n, length, i,
				 output[i], expected, tolerance * size + unseen);
			return false;
		}
	}
	return true;
}

static void
attend(const LlmKernels *kernels, const History *history, int n_queries, const float *const *queries,
	   const int32_t *lengths, float *const *outputs)
{
	LlmAttentionWork work = {
		.kv_type = history->type,
		.head_dim = history->head_dim,
		.n_queries = n_queries,
		.queries = queries,
		.outputs = outputs,
		.lengths = lengths,
		.k_pages = (const void *const *) history->k_pages,
		.v_pages = (const void *const *) history->v_pages,
		.scratch = random_alloc(llm_attention_scratch(history->head_dim, n_queries) * sizeof(float)),
	};

	kernels->attention(&work);
	free(work.scratch);
}

static void
test_attention(const LlmKernels *kernels, LlmKvType type, int head_dim, float query_size)
{
	History		history = random_history(type, head_dim);
	size_t		bytes = (size_t) head_dim * sizeof(float);
	float	   *queries = random_alloc(N_QUERIES * bytes);
	float	   *together = random_alloc(N_QUERIES * bytes);
	float	   *alone = random_alloc(bytes);
	const float *query_places[N_QUERIES];
	float	   *output_places[N_QUERIES];
	int32_t		lengths[N_QUERIES];
	bool		accurate = true;
	bool		independent = true;

	for (int i = 0; i < N_QUERIES; i++)
	{
		for (int j = 0; j < head_dim; j++)
			queries[i * head_dim + j] = random_float() * query_size;
		query_places[i] = queries + i * head_dim;
		output_places[i] = together + i * head_dim;
		lengths[i] = i < 60 ? i + 1 : i < 80 ? 60 : i - 19; /* twenty of one length */
	}
	fill_pages(kernels, &history, MAX_LENGTH);
	attend(kernels, &history, N_QUERIES, query_places, lengths, output_places);

	for (int i = 0; i < N_QUERIES; i++)
	{
		fill_pages(kernels, &history, lengths[i]);
		attend(kernels, &history, 1, &query_places[i], &lengths[i], &alone);
		accurate = accurate && check_output(&history, query_places[i], lengths[i], alone);
		independent = independent && memcmp(alone, output_places[i], bytes) == 0;
	}
	ok(accurate, "%s: attention, %s, head_dim %d, queries of size %g", kernels->name,
	   llm_kv_type_name(type), head_dim, query_size);
	ok(independent, "%s: a query's result does not depend on others, nor on later positions",
	   kernels->name);
	free(queries);
	free(together);
	free(alone);
	free_history(&history);
}

static void
test_store(const LlmKernels *kernels, LlmKvType type, int head_dim)
{
	History		history = random_history(type, head_dim);
	int			slot = 13;
	bool		good = true;

	history.keys[0] = 1e30f;
	history.values[0] = -0x1.8p-25f;
	kernels->store_kv(type, history.keys, history.values, head_dim, slot,
					  history.k_pages[0], history.v_pages[0]);
	for (int i = 0; i < head_dim * LLM_KV_PAGE; i++)
	{
		bool		key_here = i % LLM_KV_PAGE == slot;
		bool		value_here = i / head_dim == slot;
		float		key = history.keys[i / LLM_KV_PAGE];
		float		value = history.values[i % head_dim];
		uint16_t	halves[2] = {llm_float_to_half(key), llm_float_to_half(value)};
		int			size = type == LLM_KV_F32 ? 4 : 2;
		const void *untouched = "\xa5\xa5\xa5\xa5";
		const void *k = type == LLM_KV_F32 ? (void *) &key : &halves[0];
		const void *v = type == LLM_KV_F32 ? (void *) &value : &halves[1];

		good = good &&
			memcmp((char *) history.k_pages[0] + i * size, key_here ? k : untouched, size) == 0 &&
			memcmp((char *) history.v_pages[0] + i * size, value_here ? v : untouched, size) == 0;
	}
	ok(good, "%s: store_kv, %s, head_dim %d", kernels->name, llm_kv_type_name(type), head_dim);
	free_history(&history);
}

/* What a group of Q8_0 should come to, by the formula. */
static bool
check_group(const float *x, int n, const int8_t *codes, int stride, uint16_t scale)
{
	float		max = 0;
	float		d;

	for (int i = 0; i < n; i++)
		max = fmaxf(max, fabsf(x[i]));
	if (scale != llm_float_to_half(max / 127))
		return false;
	d = llm_half_to_float(scale);
	for (int i = 0; i < n; i++)
	{
		float		code = d > 0 ? fmaxf(-127, fminf(127, nearbyintf(x[i] / d))) : 0;

		if (codes[i * stride] != code)
			return false;
	}
	return true;
}

/* Nothing but the slot may change. */
static bool
untouched_elsewhere(const History *history, int slot)
{
	const uint8_t *bytes[2] = {history->k_pages[0], history->v_pages[0]};
	int			codes = history->head_dim * LLM_KV_PAGE;

	for (int i = 0; i < codes; i++)
		if ((i % LLM_KV_PAGE != slot && bytes[0][i] != 0xa5) ||
			(i / history->head_dim != slot && bytes[1][i] != 0xa5))
			return false;
	for (int i = codes; i < (int) page_bytes(history); i++)
		if ((i - codes) / 2 % LLM_KV_PAGE != slot && (bytes[0][i] != 0xa5 || bytes[1][i] != 0xa5))
			return false;
	return true;
}

/* Random numbers in the first group, with ties; zeros, tiny and odd ones in the others. */
static void
test_store_q8_0(const LlmKernels *kernels, int head_dim)
{
	static const float sizes[] = {127, 0, 1e-6f, 1e-12f, 1e30f};
	History		history = random_history(LLM_KV_Q8_0, head_dim);
	int			slot = 21;
	bool		good = true;

	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
	{
		uint16_t   *key_scales = llm_kv_scales(history.k_pages[0], head_dim);
		uint16_t   *value_scales = llm_kv_scales(history.v_pages[0], head_dim);

		for (int i = 0; i < head_dim; i++)
		{
			history.keys[i] = i % 3 == 0 ? sizes[s] : roundf(random_float() * 60) / 2 * sizes[s];
			history.values[i] = -random_float() * sizes[s];
		}
		kernels->store_kv(LLM_KV_Q8_0, history.keys, history.values, head_dim, slot,
						  history.k_pages[0], history.v_pages[0]);
		for (int first = 0; first < head_dim && sizes[s] < 1e20f; first += LLM_GROUP)
		{
			int			n = head_dim - first < LLM_GROUP ? head_dim - first : LLM_GROUP;
			int			row = first / LLM_GROUP * LLM_KV_PAGE + slot;

			good = good &&
				check_group(history.keys + first, n, (int8_t *) history.k_pages[0] + first * LLM_KV_PAGE + slot,
							LLM_KV_PAGE, key_scales[row]) &&
				check_group(history.values + first, n, (int8_t *) history.v_pages[0] + slot * head_dim + first,
							1, value_scales[row]);
		}
	}
	ok(good && untouched_elsewhere(&history, slot), "%s: store_kv, Q8_0, head_dim %d", kernels->name, head_dim);
	ok(!isfinite(stored_key(&history, slot, 0)), "%s: what exceeds a half's range is no number", kernels->name);

	history.keys[0] = NAN;
	history.values[0] = INFINITY;
	kernels->store_kv(LLM_KV_Q8_0, history.keys, history.values, head_dim, slot,
					  history.k_pages[0], history.v_pages[0]);
	ok(isnan(stored_key(&history, slot, 0)) && isnan(stored_value(&history, slot, 0)),
	   "%s: NaN and infinity stay visible in a group", kernels->name);
	free_history(&history);
}

/*
 * A feature of the output where position `faint` has the weight 2^power and the value 2^64, `strong` the weight 1 and the
 * value 1: more than 1 where the power is no less than LLM_LEAST_POWER, exactly 1 below.
 */
static float
faint_output(const LlmKernels *kernels, float power, int faint, int strong)
{
	History		history = random_history(LLM_KV_F32, FAINT_HEAD_DIM);
	float		query[FAINT_HEAD_DIM] = {1 / llm_attention_factor(FAINT_HEAD_DIM)};
	float		output[FAINT_HEAD_DIM];
	const float *query_place = query;
	float	   *output_place = output;
	int32_t		length = (faint > strong ? faint : strong) + 1;

	for (int t = 0; t < length; t++)
	{
		history.keys[t * FAINT_HEAD_DIM] = t == strong ? 0 : t == faint ? power : -1000;
		history.values[t * FAINT_HEAD_DIM] = t == faint ? 0x1p64f : 1;
	}
	fill_pages(kernels, &history, length);
	attend(kernels, &history, 1, &query_place, &length, &output_place);
	free_history(&history);
	return output[0];
}

static void
test_faint_weights(const LlmKernels *kernels)
{
	static const int places[][2] = {{0, 1}, {1, 0}, {31, 32}, {0, 40}, {40, 0}};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
	{
		float		seen = faint_output(kernels, LLM_LEAST_POWER + 0.5f, places[i][0], places[i][1]);
		float		unseen = faint_output(kernels, LLM_LEAST_POWER - 0.5f, places[i][0], places[i][1]);

		ok(fabsf(seen - 2.41421356f) < 1e-4f && unseen == 1,
		   "%s: a weight of 2^-63.5 at position %d beside one at %d is seen (%g), one of 2^-64.5 not (%g)", kernels->name,
		   places[i][0], places[i][1], seen, unseen);
	}
}

static void
test_set(const LlmKernels *kernels)
{
	test_faint_weights(kernels);
	for (size_t i = 0; i < sizeof(head_dims) / sizeof(head_dims[0]); i++)
		for (LlmKvType type = LLM_KV_F32; type < LLM_KV_TYPE_LIMIT; type++)
		{
			if (type == LLM_KV_Q8_0)
				test_store_q8_0(kernels, head_dims[i]);
			else
				test_store(kernels, type, head_dims[i]);
			test_attention(kernels, type, head_dims[i], 2);
			test_attention(kernels, type, head_dims[i], 500);
		}
}

int
main(void)
{
	each_kernel_set(test_set);
	return done_testing();
}
