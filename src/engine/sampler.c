/*
 * sampler.c
 *		From logits to the next token.
 *
 * A token is a candidate as long as its logit is finite: bans make a logit
 * -INFINITY, and what a broken model computes (NaN) never takes part in a
 * comparison that would choose it.  Candidates are always ordered by falling logit,
 * then rising id.
 */
#include "engine/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Candidate
{
	float		logit;
	int32_t		token;
	double		weight;			/* proportional to the probability */
} Candidate;

struct LlmSampler
{
	const LlmKernels *kernels;
	int32_t		vocabulary_size;
	int32_t		eos_id;			/* -1 where absent */
	float	   *raw;			/* [vocabulary_size] the model's logits, where options change them */
	float		log_sum;		/* of these */
	int32_t    *counts;			/* [vocabulary_size] occurrences of a token; 0 between calls */
	Candidate  *candidates;		/* [vocabulary_size] */
};

static bool bans_eos(const LlmSampler *sampler, const LlmSamplingOptions *options, int32_t n_generated);
static bool has_penalties(const LlmSamplingOptions *options);
static void apply_bias(const LlmSampler *sampler, const LlmSamplingOptions *options, float *logits);
static void apply_penalties(LlmSampler *sampler, const LlmSamplingOptions *options, float *logits,
							const int32_t *history, int32_t n_history);
static void ban_others(const LlmSampler *sampler, float *logits, const uint64_t *allowed);
static int32_t choose(LlmSampler *sampler, const LlmSamplingOptions *options, const float *logits,
					  int32_t n_generated, const uint64_t *allowed);
static int32_t first_allowed(const LlmSampler *sampler, const float *logits, const uint64_t *allowed);
static int32_t draw(const Candidate *candidates, int32_t n, double total, uint64_t seed,
					int32_t n_generated);
static int32_t keep_all(LlmSampler *sampler, const float *logits);
static int32_t keep_top_k(LlmSampler *sampler, const float *logits, int32_t k);
static int32_t keep_top_p_unsorted(LlmSampler *sampler, int32_t n, float max_logit, double top_p);
static int32_t cut_top_p(Candidate *candidates, int32_t n, double top_p);
static int32_t cut_min_p(Candidate *candidates, int32_t n, float min_p);
static double weigh(Candidate *candidates, int32_t n, double max_logit, double temperature);
static bool better(const Candidate *a, const Candidate *b);
static int	compare_candidates(const void *a, const void *b);
static void sift_down(Candidate *heap, int32_t n, int32_t at, bool best_on_top);
static float log_probability(float logit, float log_sum);

LlmSampler *
llm_sampler_create(const LlmKernels *kernels, int32_t vocabulary_size, int32_t eos_id, LlmError *error)
{
	LlmSampler *sampler = calloc(1, sizeof(LlmSampler));

	if (sampler != NULL)
	{
		sampler->kernels = kernels;
		sampler->vocabulary_size = vocabulary_size;
		sampler->eos_id = eos_id < vocabulary_size ? eos_id : -1;
		sampler->raw = calloc(vocabulary_size, sizeof(float));
		sampler->counts = calloc(vocabulary_size, sizeof(int32_t));
		sampler->candidates = calloc(vocabulary_size, sizeof(Candidate));
	}
	if (sampler == NULL || sampler->raw == NULL || sampler->counts == NULL || sampler->candidates == NULL)
	{
		llm_sampler_free(sampler);
		llm_fail(error, LLM_ERROR_OUT_OF_MEMORY,
				 "out of memory for sampling from a vocabulary of %d tokens", vocabulary_size);
		return NULL;
	}
	return sampler;
}

void
llm_sampler_free(LlmSampler *sampler)
{
	if (sampler == NULL)
		return;
	free(sampler->raw);
	free(sampler->counts);
	free(sampler->candidates);
	free(sampler);
}

LlmSample
llm_sample(LlmSampler *sampler, const LlmSamplingOptions *options, float *logits,
		   const int32_t *history, int32_t n_history, int32_t n_generated)
{
	return llm_sample_allowed(sampler, options, logits, history, n_history, n_generated, NULL);
}

LlmSample
llm_sample_allowed(LlmSampler *sampler, const LlmSamplingOptions *options, float *logits, const int32_t *history,
				   int32_t n_history, int32_t n_generated, const uint64_t *allowed)
{
	float		log_sum = sampler->kernels->log_sum_exp(logits, sampler->vocabulary_size);
	bool		ban_eos = bans_eos(sampler, options, n_generated);
	const float *raw = logits;
	LlmSample	sample;

	sampler->log_sum = log_sum;
	if (ban_eos || options->n_logit_bias > 0 || has_penalties(options) || allowed != NULL)
	{
		memcpy(sampler->raw, logits, sampler->vocabulary_size * sizeof(float));
		raw = sampler->raw;
		apply_bias(sampler, options, logits);
		if (ban_eos)
			logits[sampler->eos_id] = -INFINITY;
		if (has_penalties(options))
			apply_penalties(sampler, options, logits, history, n_history);
		if (allowed != NULL)
			ban_others(sampler, logits, allowed);
	}
	sample.token = choose(sampler, options, logits, n_generated, allowed);
	sample.logprob = log_probability(raw[sample.token], log_sum);
	return sample;
}

float
llm_sample_logprob(const LlmSampler *sampler, int32_t token)
{
	return log_probability(sampler->raw[token], sampler->log_sum);
}

float
llm_token_logprob(LlmSampler *sampler, const float *logits, int32_t token)
{
	return log_probability(logits[token],
						   sampler->kernels->log_sum_exp(logits, sampler->vocabulary_size));
}

static bool
bans_eos(const LlmSampler *sampler, const LlmSamplingOptions *options, int32_t n_generated)
{
	return sampler->eos_id >= 0 && (options->ignore_eos || n_generated < options->min_tokens);
}

static bool
has_penalties(const LlmSamplingOptions *options)
{
	return options->repeat_last_n != 0 &&
		(options->repeat_penalty != 1.0f || options->frequency_penalty != 0.0f ||
		 options->presence_penalty != 0.0f);
}

static void
apply_bias(const LlmSampler *sampler, const LlmSamplingOptions *options, float *logits)
{
	for (int32_t i = 0; i < options->n_logit_bias; i++)
	{
		int32_t		token = options->logit_bias_token[i];

		if (token < 0 || token >= sampler->vocabulary_size)
			continue;
		if (options->logit_bias_value[i] == -INFINITY)
			logits[token] = -INFINITY;	/* even where the logit is NaN */
		else
			logits[token] += options->logit_bias_value[i];
	}
}

/*
 * The repeat penalty divides a positive logit and multiplies a negative one,
 * once for each token that occurs (Keskar et al. 2019, with the sign's correction
 * that everybody uses); the other two are subtracted.
 */
static void
apply_penalties(LlmSampler *sampler, const LlmSamplingOptions *options, float *logits,
				const int32_t *history, int32_t n_history)
{
	int32_t		n_window = n_history;

	if (options->repeat_last_n >= 0 && options->repeat_last_n < n_window)
		n_window = options->repeat_last_n;
	history += n_history - n_window;

	for (int32_t i = 0; i < n_window; i++)
		sampler->counts[history[i]]++;
	for (int32_t i = 0; i < n_window; i++)
	{
		int32_t		token = history[i];
		int32_t		count = sampler->counts[token];
		float	   *logit = &logits[token];

		if (count == 0)
			continue;			/* done at an earlier place */
		sampler->counts[token] = 0;
		*logit = *logit > 0 ? *logit / options->repeat_penalty : *logit * options->repeat_penalty;
		*logit -= (float) count * options->frequency_penalty + options->presence_penalty;
	}
}

/* Most words of a mask are all ones or all zeros. */
static void
ban_others(const LlmSampler *sampler, float *logits, const uint64_t *allowed)
{
	for (int32_t first = 0; first < sampler->vocabulary_size; first += 64)
	{
		uint64_t	word = allowed[first / 64];
		int32_t		n = sampler->vocabulary_size - first < 64 ? sampler->vocabulary_size - first : 64;

		if (word == UINT64_MAX)
			continue;
		for (int32_t i = 0; i < n; i++)
			logits[first + i] = word >> i & 1 ? logits[first + i] : -INFINITY;
	}
}

static int32_t
choose(LlmSampler *sampler, const LlmSamplingOptions *options, const float *logits, int32_t n_generated,
	   const uint64_t *allowed)
{
	Candidate  *candidates = sampler->candidates;
	int32_t		greedy = sampler->kernels->argmax(logits, sampler->vocabulary_size);
	float		max_logit = logits[greedy];
	int32_t		n;

	if (isnan(max_logit) || max_logit == -INFINITY)
		return first_allowed(sampler, logits, allowed);
	if (options->temperature == 0.0f || options->top_k == 1 || max_logit == INFINITY)
		return greedy;

	if (options->top_k > 0 && options->top_k < sampler->vocabulary_size)
	{
		n = keep_top_k(sampler, logits, options->top_k);
		if (options->top_p < 1.0f)
			n = cut_top_p(candidates, n, options->top_p);
	}
	else
	{
		n = keep_all(sampler, logits);
		if (options->top_p < 1.0f)
			n = keep_top_p_unsorted(sampler, n, max_logit, options->top_p);
	}
	if (options->min_p > 0.0f)
		n = cut_min_p(candidates, n, options->min_p);
	return draw(candidates, n, weigh(candidates, n, max_logit, options->temperature),
				options->seed, n_generated);
}

/* No logit can be compared: the first token that no option bans, else the first of those allowed. */
static int32_t
first_allowed(const LlmSampler *sampler, const float *logits, const uint64_t *allowed)
{
	for (int32_t token = 0; token < sampler->vocabulary_size; token++)
	{
		if (logits[token] != -INFINITY)
			return token;
	}
	for (int32_t token = 0; allowed != NULL && token < sampler->vocabulary_size; token++)
	{
		if (allowed[token / 64] >> (token % 64) & 1)
			return token;
	}
	return 0;
}

static int32_t
draw(const Candidate *candidates, int32_t n, double total, uint64_t seed, int32_t n_generated)
{
	uint64_t	z = seed + ((uint64_t) n_generated + 1) * UINT64_C(0x9e3779b97f4a7c15);
	double		target;
	double		sum = 0;

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	z ^= z >> 31;
	target = (double) (z >> 11) * 0x1p-53 * total;
	for (int32_t i = 0; i < n - 1; i++)
	{
		sum += candidates[i].weight;
		if (sum > target)
			return candidates[i].token;
	}
	return candidates[n - 1].token;
}

/* Every candidate, by rising id. */
static int32_t
keep_all(LlmSampler *sampler, const float *logits)
{
	int32_t		n = 0;

	for (int32_t token = 0; token < sampler->vocabulary_size; token++)
	{
		if (logits[token] > -INFINITY)
			sampler->candidates[n++] = (Candidate) {logits[token], token, 0};
	}
	return n;
}

/*
 * The best k, sorted: one pass with a heap whose top is the worst kept.  Of
 * equal logits the one seen first, the lower id, stays.
 */
static int32_t
keep_top_k(LlmSampler *sampler, const float *logits, int32_t k)
{
	Candidate  *heap = sampler->candidates;
	int32_t		n = 0;
	int32_t		token = 0;

	for (; token < sampler->vocabulary_size && n < k; token++)
	{
		if (logits[token] > -INFINITY)
			heap[n++] = (Candidate) {logits[token], token, 0};
	}
	for (int32_t i = n / 2 - 1; i >= 0; i--)
		sift_down(heap, n, i, false);
	for (; token < sampler->vocabulary_size; token++)
	{
		if (logits[token] > heap[0].logit)
		{
			heap[0] = (Candidate) {logits[token], token, 0};
			sift_down(heap, n, 0, false);
		}
	}
	qsort(heap, n, sizeof(Candidate), compare_candidates);
	return n;
}

/*
 * top_p over a whole vocabulary without sorting it.  Tokens whose probability is
 * below (1 - top_p) / n have less than 1 - top_p together, so the rest holds all
 * that is wanted; of it the best are taken from a heap until they are enough.
 */
static int32_t
keep_top_p_unsorted(LlmSampler *sampler, int32_t n, float max_logit, double top_p)
{
	Candidate  *heap = sampler->candidates;
	double		total = weigh(heap, n, max_logit, 1.0);
	double		least = (1.0 - top_p) / n * total;
	double		sum = 0;
	int32_t		n_heap = 0;
	int32_t		n_kept = 0;

	for (int32_t i = 0; i < n; i++)
	{
		if (heap[i].weight >= least)
			heap[n_heap++] = heap[i];
	}
	for (int32_t i = n_heap / 2 - 1; i >= 0; i--)
		sift_down(heap, n_heap, i, true);

	/* As in heap sort, those taken line up behind what is left of the heap. */
	while (n_kept < n_heap && sum < top_p * total)
	{
		int32_t		last = n_heap - n_kept - 1;
		Candidate	best = heap[0];

		heap[0] = heap[last];
		heap[last] = best;
		n_kept++;
		sift_down(heap, last, 0, true);
		sum += best.weight;
	}
	for (int32_t i = 0; i < n_kept / 2; i++)
	{
		Candidate	swap = heap[n_heap - n_kept + i];

		heap[n_heap - n_kept + i] = heap[n_heap - 1 - i];
		heap[n_heap - 1 - i] = swap;
	}
	memmove(heap, heap + n_heap - n_kept, n_kept * sizeof(Candidate));
	return n_kept;
}

/* The fewest of the sorted candidates whose probabilities reach top_p. */
static int32_t
cut_top_p(Candidate *candidates, int32_t n, double top_p)
{
	double		total = weigh(candidates, n, candidates[0].logit, 1.0);
	double		sum = 0;
	int32_t		n_kept = 0;

	while (n_kept < n && sum < top_p * total)
		sum += candidates[n_kept++].weight;
	return n_kept;
}

/* Those at least min_p times as probable as the best, in the order they have. */
static int32_t
cut_min_p(Candidate *candidates, int32_t n, float min_p)
{
	float		max_logit = -INFINITY;
	double		least;
	int32_t		n_kept = 0;

	for (int32_t i = 0; i < n; i++)
		max_logit = fmaxf(max_logit, candidates[i].logit);
	least = (double) max_logit + log((double) min_p);
	for (int32_t i = 0; i < n; i++)
	{
		if ((double) candidates[i].logit >= least)
			candidates[n_kept++] = candidates[i];
	}
	return n_kept;
}

/* Fill weight = exp((logit - max_logit) / temperature), add them up in order. */
static double
weigh(Candidate *candidates, int32_t n, double max_logit, double temperature)
{
	double		total = 0;

	for (int32_t i = 0; i < n; i++)
	{
		candidates[i].weight = exp(((double) candidates[i].logit - max_logit) / temperature);
		total += candidates[i].weight;
	}
	return total;
}

static bool
better(const Candidate *a, const Candidate *b)
{
	return a->logit > b->logit || (a->logit == b->logit && a->token < b->token);
}

static int
compare_candidates(const void *a, const void *b)
{
	return better(a, b) ? -1 : 1;
}

/* Restore a heap whose element `at` may be out of order with those below it. */
static void
sift_down(Candidate *heap, int32_t n, int32_t at, bool best_on_top)
{
	Candidate	moved;

	if (at >= n)
		return;
	moved = heap[at];
	for (;;)
	{
		int32_t		child = 2 * at + 1;

		if (child >= n)
			break;
		if (child + 1 < n && better(&heap[child + 1], &heap[child]) == best_on_top)
			child++;
		if (better(&heap[child], &moved) != best_on_top)
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = moved;
}

/* What a broken model makes NaN counts as impossible, so that it can be compared. */
static float
log_probability(float logit, float log_sum)
{
	float		result = logit - log_sum;

	return isnan(result) ? -INFINITY : result;
}
