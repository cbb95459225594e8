/*
 * test_sampler.c
 *		What the sampling options promise: formulas, cuts, distribution, repeatability.
 */
#include "engine/sampler.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "sampler_draws.h"
#include "tap.h"

#define N_SMALL 8
#define N_LARGE 32000

static const float small_logits[N_SMALL] = {1.0f, 3.0f, -2.0f, 2.5f, 0.0f, 3.0f, -1.0f, 0.5f};

static LlmSample
sample_at(LlmSampler *sampler, const LlmSamplingOptions *options, float *logits, const int32_t *history,
		  int32_t n_history, int32_t n_generated)
{
	LlmSamplingState state = {0};
	LlmSamplingPlace place = {history, n_history, n_generated, NULL, &state};

	return llm_sample(sampler, options, &place, logits);
}

static LlmSample
sample_small(LlmSampler *sampler, const LlmSamplingOptions *options, int32_t n_generated)
{
	float		logits[N_SMALL];

	memcpy(logits, small_logits, sizeof(logits));
	return sample_at(sampler, options, logits, NULL, 0, n_generated);
}

/* Which of the small vocabulary's tokens come up in many draws, as a bit mask. */
static unsigned
tokens_seen(LlmSampler *sampler, const LlmSamplingOptions *options)
{
	unsigned	seen = 0;

	for (int32_t i = 0; i < 20000; i++)
		seen |= 1u << sample_small(sampler, options, i).token;
	return seen;
}

static uint32_t
random_bits(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t) (*state >> 33);
}

static void
random_logits(float *logits, int32_t n, uint64_t seed)
{
	for (int32_t i = 0; i < n; i++)
		logits[i] = (float) (random_bits(&seed) % 20000) / 1000.0f - 10.0f;
}

static void
test_greedy(LlmSampler *sampler)
{
	LlmSamplingOptions options = open_options();
	double		sum = 0;
	LlmSample	sample;

	options.temperature = 0;
	sample = sample_small(sampler, &options, 0);
	ok(sample.token == 1, "greedy takes the greatest, the lower id of equals");
	for (int i = 0; i < N_SMALL; i++)
		sum += exp(small_logits[i]);
	ok(fabs(sample.logprob - (3.0 - log(sum))) < 1e-5, "logprob is the log-softmax");

	options = open_options();
	options.top_k = 1;
	ok(tokens_seen(sampler, &options) == 1u << 1, "top_k = 1 is greedy at any temperature");
	options = open_options();
	options.top_p = 1e-9f;
	ok(tokens_seen(sampler, &options) == 1u << 1, "so is the least top_p");
	options = open_options();
	options.temperature = 1e-30f;
	ok((tokens_seen(sampler, &options) & ~(1u << 1 | 1u << 5)) == 0,
	   "a temperature near 0 leaves the greatest only");
}

static void
test_cuts(LlmSampler *sampler)
{
	LlmSamplingOptions options = open_options();

	ok(tokens_seen(sampler, &options) == 0xff, "without cuts every token comes up");
	options.top_k = 3;
	ok(tokens_seen(sampler, &options) == (1u << 1 | 1u << 5 | 1u << 3), "top_k = 3");
	options.top_k = 100;
	ok(tokens_seen(sampler, &options) == 0xff, "a top_k beyond the vocabulary is off");

	/* Sorted probabilities: 0.3450 (1), 0.3450 (5), 0.2092 (3), 0.0467 (0), 0.0283 (7), ... */
	options = open_options();
	options.top_p = 0.5f;
	ok(tokens_seen(sampler, &options) == (1u << 1 | 1u << 5), "top_p = 0.5 keeps two");
	options.top_p = 0.9f;
	ok(tokens_seen(sampler, &options) == (1u << 1 | 1u << 5 | 1u << 3 | 1u << 0),
	   "top_p = 0.9 keeps the one that reaches it");
	options.top_k = 4;
	ok(tokens_seen(sampler, &options) == (1u << 1 | 1u << 5 | 1u << 3),
	   "top_p is of what top_k left");

	options = open_options();
	options.min_p = 0.6f;
	ok(tokens_seen(sampler, &options) == (1u << 1 | 1u << 5 | 1u << 3),
	   "min_p = 0.6: exp(-0.5) = 0.607 stays");
	options.min_p = 0.61f;
	ok(tokens_seen(sampler, &options) == (1u << 1 | 1u << 5), "min_p = 0.61: it goes");
	options.min_p = 1.0f;
	ok(tokens_seen(sampler, &options) == (1u << 1 | 1u << 5), "min_p = 1 keeps the greatest");
	options.temperature = 5.0f;
	options.min_p = 0.61f;
	ok(tokens_seen(sampler, &options) == (1u << 1 | 1u << 5), "cuts come before the temperature");
}

/* Pearson's chi-square of draws against the softmax; 7 degrees of freedom, p = 0.0001 at 29.9. */
static void
test_distribution(LlmSampler *sampler, float temperature, bool by_seed)
{
	LlmSamplingOptions options = open_options();
	int			n_draws = 50000;
	int			counts[N_SMALL] = {0};
	double		sum = 0;
	double		chi_square = 0;

	options.temperature = temperature;
	options.seed = 12345;
	for (int i = 0; i < n_draws; i++)
	{
		if (by_seed)
			options.seed = (uint64_t) i;
		counts[sample_small(sampler, &options, by_seed ? 3 : i).token]++;
	}
	for (int i = 0; i < N_SMALL; i++)
		sum += exp(small_logits[i] / temperature);
	for (int i = 0; i < N_SMALL; i++)
	{
		double		expected = n_draws * exp(small_logits[i] / temperature) / sum;

		chi_square += (counts[i] - expected) * (counts[i] - expected) / expected;
	}
	ok(chi_square < 29.9, "draws over %s at temperature %g follow the softmax (chi-square %.1f)",
	   by_seed ? "seeds" : "tokens", temperature, chi_square);
}

static void
test_penalties(const LlmKernels *kernels)
{
	LlmSampler *sampler = llm_sampler_create(kernels, N_SMALL, 7, 64, NULL, NULL);
	LlmSamplingOptions options = open_options();
	const int32_t history[] = {2, 1, 3, 1, 5, 1, 6};
	float		logits[N_SMALL];
	float		original[N_SMALL] = {1.0f, 3.0f, -2.0f, 2.5f, 0.0f, 3.0f, -1.0f, NAN};
	LlmSample	sample;

	/* llm_sample leaves the logits as its options made them. */
	options.repeat_penalty = 2.0f;
	options.frequency_penalty = 0.25f;
	options.presence_penalty = 0.5f;
	memcpy(logits, original, sizeof(logits));
	sample = sample_at(sampler, &options, logits, history, 7, 0);
	ok(logits[1] == 3.0f / 2 - 3 * 0.25f - 0.5f && logits[3] == 2.5f / 2 - 0.25f - 0.5f &&
	   logits[2] == -2.0f * 2 - 0.25f - 0.5f && logits[0] == 1.0f && logits[4] == 0.0f,
	   "penalties: division, multiplication, occurrences");
	ok(sample.token >= 0 && sample.token < 7, "a token is chosen");

	options.repeat_last_n = 3;
	memcpy(logits, original, sizeof(logits));
	sample_at(sampler, &options, logits, history, 7, 0);
	ok(logits[1] == 3.0f / 2 - 0.25f - 0.5f && logits[3] == 2.5f && logits[2] == -2.0f,
	   "penalties look back on repeat_last_n tokens");
	options.repeat_last_n = 0;
	memcpy(logits, original, sizeof(logits));
	sample_at(sampler, &options, logits, history, 7, 0);
	ok(memcmp(logits, original, sizeof(logits)) == 0, "repeat_last_n = 0 is off");
	options.repeat_last_n = -1;
	memcpy(logits, original, sizeof(logits));
	sample_at(sampler, &options, logits, history, 7, 0);
	ok(logits[2] == -2.0f * 2 - 0.25f - 0.5f, "repeat_last_n = -1 is all");
	llm_sampler_free(sampler);
}

static void
test_bias_and_end(const LlmKernels *kernels)
{
	LlmSampler *sampler = llm_sampler_create(kernels, N_SMALL, 1, 64, NULL, NULL);
	LlmSamplingOptions options = open_options();
	LlmSample	sample;

	options.n_logit_bias = 2;
	options.logit_bias_token[0] = 5;
	options.logit_bias_value[0] = -INFINITY;
	options.logit_bias_token[1] = 2;
	options.logit_bias_value[1] = 4.0f;
	ok(tokens_seen(sampler, &options) == (0xff & ~(1u << 5)), "a bias of -infinity bans");
	options.temperature = 0;
	options.ignore_eos = true;
	sample = sample_small(sampler, &options, 0);
	ok(sample.token == 3, "greedy with a ban and without end of text");
	options.logit_bias_value[1] = 5.0f;
	sample = sample_small(sampler, &options, 0);
	ok(sample.token == 2, "a bias lifts");
	options.n_logit_bias = 0;
	options.ignore_eos = false;
	options.min_tokens = 2;
	ok(sample_small(sampler, &options, 0).token == 5 && sample_small(sampler, &options, 1).token == 5 &&
	   sample_small(sampler, &options, 2).token == 1, "min_tokens bans the end of text before");

	options = open_options();
	sample = sample_small(sampler, &options, 9);
	options.n_logit_bias = 1;
	options.logit_bias_token[0] = sample.token;
	options.logit_bias_value[0] = 100.0f;
	ok(sample_small(sampler, &options, 9).token == sample.token &&
	   sample_small(sampler, &options, 9).logprob == sample.logprob,
	   "logprob is that of the model, without bias");
	llm_sampler_free(sampler);
}

/* Every way through the sampler with logits that no sound model gives. */
static void
test_hostile_logits(LlmSampler *sampler)
{
	const float strange[] = {NAN, INFINITY, -INFINITY, 3.4e38f, -3.4e38f, 0.0f};
	const int32_t history[] = {0, 1, 2, 3, 4, 5, 0, 1};
	uint64_t	state = 7;
	int			n_wrong = 0;
	int			n_differ = 0;

	for (int round = 0; round < 20000; round++)
	{
		LlmSamplingOptions options = open_options();
		float		logits[N_SMALL];
		float		copy[N_SMALL];
		LlmSample	sample;

		for (int i = 0; i < N_SMALL; i++)
			logits[i] = strange[random_bits(&state) % (round % 2 ? 6 : 2)];
		memcpy(copy, logits, sizeof(copy));
		options.temperature = (float) (random_bits(&state) % 3) * 0.5f;
		options.top_k = (int32_t) (random_bits(&state) % 4);
		options.top_p = random_bits(&state) % 2 ? 1.0f : 0.7f;
		options.min_p = random_bits(&state) % 2 ? 0.0f : 0.1f;
		options.repeat_penalty = random_bits(&state) % 2 ? 1.0f : 1.3f;
		options.ignore_eos = random_bits(&state) % 2;
		options.typical_p = random_bits(&state) % 2 ? 1.0f : 0.5f;
		options.top_n_sigma = random_bits(&state) % 2 ? 0.0f : 0.5f;
		options.xtc_probability = random_bits(&state) % 2 ? 0.0f : 0.7f;
		options.dynatemp_range = random_bits(&state) % 2 ? 0.0f : 1.0f;
		options.mirostat = (int32_t) (random_bits(&state) % 3);
		options.dry_multiplier = random_bits(&state) % 2 ? 0.0f : 100.0f;
		options.dry_base = 100.0f;
		options.dry_allowed_length = 1;
		sample = sample_at(sampler, &options, logits, history, 8, round);
		n_wrong += sample.token < 0 || sample.token >= N_SMALL || isnan(sample.logprob);
		n_wrong += options.ignore_eos && sample.token == 7;
		n_differ += sample_at(sampler, &options, copy, history, 8, round).token != sample.token;
	}
	ok(n_wrong == 0, "NaN and infinite logits give some token (%d wrong)", n_wrong);
	ok(n_differ == 0, "always the same one");
}

/* Cuts of a large vocabulary by heaps, against sorting all of it. */
static const float *sort_logits;

static int
compare_ids(const void *a, const void *b)
{
	int32_t		x = *(const int32_t *) a;
	int32_t		y = *(const int32_t *) b;

	if (sort_logits[x] != sort_logits[y])
		return sort_logits[x] > sort_logits[y] ? -1 : 1;
	return x < y ? -1 : x > y;
}

/* How often a token was drawn that is not among the first n_kept of the sorted ids. */
static int
draws_outside(LlmSampler *sampler, const LlmSamplingOptions *options, const float *logits,
			  const int32_t *ids, int n_kept, int *deepest)
{
	float	   *copy = malloc(N_LARGE * sizeof(float));
	int			n_outside = 0;

	*deepest = 0;
	for (int32_t i = 0; i < 400; i++)
	{
		int32_t		token;
		int			rank = 0;

		memcpy(copy, logits, N_LARGE * sizeof(float));
		token = sample_at(sampler, options, copy, NULL, 0, i).token;
		while (rank < N_LARGE && ids[rank] != token)
			rank++;
		n_outside += rank >= n_kept;
		*deepest = rank > *deepest ? rank : *deepest;
	}
	free(copy);
	return n_outside;
}

static void
test_large_vocabulary(const LlmKernels *kernels)
{
	LlmSampler *sampler = llm_sampler_create(kernels, N_LARGE, 2, 64, NULL, NULL);
	LlmSamplingOptions options = open_options();
	float	   *logits = malloc(N_LARGE * sizeof(float));
	int32_t    *ids = malloc(N_LARGE * sizeof(int32_t));
	double		total = 0;
	double		sum = 0;
	int			n_kept = 0;
	int			n_outside;
	int			deepest;

	random_logits(logits, N_LARGE, 3);
	for (int32_t i = 0; i < N_LARGE; i++)
	{
		ids[i] = i;
		total += exp(logits[i]);
	}
	sort_logits = logits;
	qsort(ids, N_LARGE, sizeof(int32_t), compare_ids);

	options.top_p = 0.3f;
	while (sum < 0.3f * total)
		sum += exp(logits[ids[n_kept++]]);
	n_outside = draws_outside(sampler, &options, logits, ids, n_kept, &deepest);
	ok(n_outside == 0 && deepest > n_kept * 9 / 10,
	   "top_p of 32000 tokens keeps %d (%d draws outside, deepest %d)", n_kept, n_outside, deepest);

	options.top_p = 1.0f;
	options.top_k = 100;
	options.temperature = 100.0f;
	n_outside = draws_outside(sampler, &options, logits, ids, 100, &deepest);
	ok(n_outside == 0 && deepest > 90, "top_k = 100 of 32000 tokens (%d draws outside, deepest %d)",
	   n_outside, deepest);
	free(logits);
	free(ids);
	llm_sampler_free(sampler);
}

static void
show_speed(const LlmKernels *kernels, const char *name, float temperature, int32_t top_k, float top_p)
{
	LlmSampler *sampler = llm_sampler_create(kernels, N_LARGE, 2, 64, NULL, NULL);
	LlmSamplingOptions options = open_options();
	float	   *logits = malloc(N_LARGE * sizeof(float));
	int			n_samples = 200;
	clock_t		started;

	options.temperature = temperature;
	options.top_k = top_k;
	options.top_p = top_p;
	random_logits(logits, N_LARGE, 5);
	started = clock();
	for (int i = 0; i < n_samples; i++)
		sample_at(sampler, &options, logits, NULL, 0, i);
	diag("%s: %.0f microseconds for a vocabulary of %d", name,
		 (double) (clock() - started) / CLOCKS_PER_SEC * 1e6 / n_samples, N_LARGE);
	free(logits);
	llm_sampler_free(sampler);
}

int
main(void)
{
	const LlmKernels *kernels = llm_kernels_select(NULL, NULL);
	LlmSampler *sampler = llm_sampler_create(kernels, N_SMALL, 7, 64, NULL, NULL);

	test_greedy(sampler);
	test_cuts(sampler);
	test_distribution(sampler, 1.0f, false);
	test_distribution(sampler, 0.5f, false);
	test_distribution(sampler, 2.0f, true);
	test_penalties(kernels);
	test_bias_and_end(kernels);
	test_hostile_logits(sampler);
	test_large_vocabulary(kernels);
	show_speed(kernels, "greedy", 0, 0, 1);
	show_speed(kernels, "top_k 40, top_p 0.9", 0.6f, 40, 0.9f);
	show_speed(kernels, "top_p 0.9", 0.6f, 0, 0.9f);
	show_speed(kernels, "no cut", 0.6f, 0, 1);
	llm_sampler_free(sampler);
	return done_testing();
}
