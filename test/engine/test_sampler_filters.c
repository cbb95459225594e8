/*
 * test_sampler_filters.c
 *		Each of the sampler's filters, and their chain, against the formulas written down plainly.
 */
#include "sampler_draws.h"

#define N_ROUNDS 150
#define N_DRAWS 700				/* at a high temperature: nobody kept of 24 is missed */

typedef struct Kept
{
	bool		kept[N_DRAW];
} Kept;

static Kept
keep_everything(void)
{
	Kept		set;

	memset(&set, true, sizeof(set));
	return set;
}

static int
count(const Kept *set)
{
	int			n = 0;

	for (int i = 0; i < N_DRAW; i++)
		n += set->kept[i];
	return n;
}

/* Keep those with the greatest keys until their probabilities reach a share, or n of them are kept. */
static void
keep_by_key(Kept *set, const double *key, const double *p, double share, int n)
{
	Kept		chosen = {0};
	double		sum = 0;

	while (sum < share && count(&chosen) < n && count(&chosen) < count(set))
	{
		int			best = -1;

		for (int i = 0; i < N_DRAW; i++)
		{
			if (set->kept[i] && !chosen.kept[i] && (best < 0 || key[i] > key[best]))
				best = i;
		}
		chosen.kept[best] = true;
		sum += p[best];
	}
	*set = chosen;
}

static void
expect_top_n_sigma(Kept *set, const float *logits, double n_sigma)
{
	double		mean = 0;
	double		variance = 0;
	double		greatest = -INFINITY;

	for (int i = 0; i < N_DRAW; i++)
	{
		mean += logits[i] / N_DRAW;
		greatest = fmax(greatest, logits[i]);
	}
	for (int i = 0; i < N_DRAW; i++)
		variance += pow(logits[i] - mean, 2) / N_DRAW;
	for (int i = 0; i < N_DRAW; i++)
		set->kept[i] = set->kept[i] && logits[i] >= greatest - n_sigma * sqrt(variance);
}

static void
expect_top_k(Kept *set, const float *logits, int k)
{
	double		key[N_DRAW];
	double		p[N_DRAW];

	for (int i = 0; i < N_DRAW; i++)
		key[i] = logits[i];
	softmax_of_kept(logits, set->kept, N_DRAW, 1, p);
	keep_by_key(set, key, p, 2, k);
}

static void
expect_typical(Kept *set, const float *logits, double tau)
{
	double		p[N_DRAW];
	double		key[N_DRAW];
	double		entropy = 0;

	softmax_of_kept(logits, set->kept, N_DRAW, 1, p);
	for (int i = 0; i < N_DRAW; i++)
		entropy -= set->kept[i] ? p[i] * log(p[i]) : 0;
	for (int i = 0; i < N_DRAW; i++)
		key[i] = set->kept[i] ? -fabs(-log(p[i]) - entropy) : 0;
	keep_by_key(set, key, p, tau, N_DRAW);
}

static void
expect_top_p(Kept *set, const float *logits, double top_p)
{
	double		p[N_DRAW];

	softmax_of_kept(logits, set->kept, N_DRAW, 1, p);
	keep_by_key(set, p, p, top_p, N_DRAW);
}

static void
expect_min_p(Kept *set, const float *logits, double min_p)
{
	double		p[N_DRAW];
	double		greatest = 0;

	softmax_of_kept(logits, set->kept, N_DRAW, 1, p);
	for (int i = 0; i < N_DRAW; i++)
		greatest = fmax(greatest, p[i]);
	for (int i = 0; i < N_DRAW; i++)
		set->kept[i] = set->kept[i] && p[i] >= min_p * greatest;
}

static void
expect_xtc(Kept *set, const float *logits, double threshold)
{
	double		p[N_DRAW];
	int			last = -1;

	softmax_of_kept(logits, set->kept, N_DRAW, 1, p);
	for (int i = 0; i < N_DRAW; i++)
	{
		if (set->kept[i] && p[i] >= threshold && (last < 0 || p[i] < p[last]))
			last = i;
	}
	for (int i = 0; i < N_DRAW; i++)
		set->kept[i] = set->kept[i] && (p[i] < threshold || i == last);
}

/* What the chain should keep of a row of logits; XTC takes part always or never here. */
static Kept
expected_set(const LlmSamplingOptions *options, const float *logits)
{
	Kept		set = keep_everything();

	if (options->top_n_sigma > 0)
		expect_top_n_sigma(&set, logits, options->top_n_sigma);
	if (options->top_k > 0)
		expect_top_k(&set, logits, options->top_k);
	if (options->typical_p < 1)
		expect_typical(&set, logits, options->typical_p);
	if (options->top_p < 1)
		expect_top_p(&set, logits, options->top_p);
	if (options->min_p > 0)
		expect_min_p(&set, logits, options->min_p);
	if (options->xtc_probability > 0)
		expect_xtc(&set, logits, options->xtc_threshold);
	return set;
}

static Kept
drawn_set(LlmSampler *sampler, const LlmSamplingOptions *options, const float *logits)
{
	Kept		set = {0};

	for (int i = 0; i < N_DRAWS; i++)
		set.kept[draw_token(sampler, options, logits, N_DRAW, NULL, i)] = true;
	return set;
}

typedef void (*SetOption) (LlmSamplingOptions *options, uint64_t *state);

static void
set_top_n_sigma(LlmSamplingOptions *options, uint64_t *state)
{
	options->top_n_sigma = (float) (0.01 + 3 * random_share(state));
}

static void
set_top_k(LlmSamplingOptions *options, uint64_t *state)
{
	options->top_k = 2 + (int32_t) (next_random(state) % 20);
}

static void
set_typical(LlmSamplingOptions *options, uint64_t *state)
{
	options->typical_p = (float) (0.001 + 0.998 * random_share(state));
}

static void
set_top_p(LlmSamplingOptions *options, uint64_t *state)
{
	options->top_p = (float) (0.001 + 0.998 * random_share(state));
}

static void
set_min_p(LlmSamplingOptions *options, uint64_t *state)
{
	options->min_p = (float) (0.001 + 0.998 * random_share(state));
}

static void
set_xtc(LlmSamplingOptions *options, uint64_t *state)
{
	options->xtc_probability = 1;
	options->xtc_threshold = (float) (0.5 * random_share(state));
}

static void
set_several(LlmSamplingOptions *options, uint64_t *state)
{
	static const SetOption all[] = {set_top_n_sigma, set_top_k, set_typical, set_top_p, set_min_p, set_xtc};

	for (int i = 0; i < 6; i++)
	{
		if (next_random(state) % 2)
			all[i] (options, state);
	}
}

static void
test_filter(LlmSampler *sampler, const char *name, SetOption set_option)
{
	uint64_t	state = 88172645463325252u;
	int			n_wrong = 0;
	int			n_empty = 0;
	int			n_cut = 0;

	for (int round = 0; round < N_ROUNDS; round++)
	{
		LlmSamplingOptions options = open_options();
		float		logits[N_DRAW];
		Kept		expected;
		Kept		drawn;

		draw_logits(logits, N_DRAW, 0.5 + round % 12, &state);
		set_option(&options, &state);
		options.temperature = 100;
		expected = expected_set(&options, logits);
		drawn = drawn_set(sampler, &options, logits);
		n_wrong += memcmp(&expected, &drawn, sizeof(Kept)) != 0;
		n_empty += count(&expected) == 0;
		n_cut += count(&drawn) < N_DRAW;
	}
	ok(n_wrong == 0 && n_empty == 0 && n_cut > N_ROUNDS / 4, "%s keeps what its formula says (%d of %d wrong, %d rows cut)",
	   name, n_wrong, N_ROUNDS, n_cut);
}

/* XTC's chances come up as often as they should, and do not go along with the draws'. */
static void
test_xtc_chances(void)
{
	const float logits[2] = {1.0f, 1.0f - 0.4f};	/* probabilities 0.599, 0.401 */
	const float steep[2] = {4, 0};
	LlmSampler *of_two = llm_sampler_create(llm_kernels_select(NULL, NULL), 2, -1, 1, NULL, NULL);
	LlmSamplingOptions options = open_options();
	int			n_draws = 40000;
	int			n_second = 0;
	double		second = exp(-0.4) / (1 + exp(-0.4));
	double		expected;
	double		deviation;

	options.xtc_probability = 0.3f;
	for (int i = 0; i < n_draws; i++)
		n_second += draw_token(of_two, &options, logits, 2, NULL, i) == 1;
	expected = n_draws * (0.3 + 0.7 * second);
	deviation = sqrt(expected * (1 - expected / n_draws));
	ok(fabs(n_second - expected) < 4 * deviation, "XTC takes part in its share of draws (%d, expected %.0f +- %.0f)",
	   n_second, expected, deviation);

	options.xtc_probability = 1;
	options.xtc_threshold = 0.41f;
	n_second = 0;
	for (int i = 0; i < 1000; i++)
		n_second += draw_token(of_two, &options, logits, 2, NULL, i) == 1;
	ok(n_second > 300 && n_second < 500, "one choice above the threshold stays (%d)", n_second);
	options.xtc_threshold = 0.51f;
	n_second = 0;
	for (int i = 0; i < 1000; i++)
		n_second += draw_token(of_two, &options, steep, 2, NULL, i) == 1;
	ok(n_second < 50, "a threshold beyond one half is off (%d)", n_second);
	llm_sampler_free(of_two);
}

/* Pearson's chi-square of draws against a distribution; 23 degrees of freedom, p = 0.0001 at 57.5. */
static double
chi_square(LlmSampler *sampler, const LlmSamplingOptions *options, const float *logits, const double *p, int n_draws)
{
	int			counts[N_DRAW] = {0};
	double		sum = 0;

	for (int i = 0; i < n_draws; i++)
		counts[draw_token(sampler, options, logits, N_DRAW, NULL, i)]++;
	for (int i = 0; i < N_DRAW; i++)
		sum += pow(counts[i] - n_draws * p[i], 2) / (n_draws * p[i]);
	return sum;
}

static void
test_dynamic_temperature(LlmSampler *sampler)
{
	static const double settings[][3] = {{1, 0.5, 1}, {1.5, 0.5, 2}, {0.8, 0.9, 0.5}, {2, 1, 0}};
	uint64_t	state = 1234567;

	for (int i = 0; i < 4; i++)
	{
		LlmSamplingOptions options = open_options();
		Kept		all = keep_everything();
		float		logits[N_DRAW];
		double		p[N_DRAW];
		double		entropy = 0;
		double		least = fmax(settings[i][0] - settings[i][1], 0);
		double		greatest = settings[i][0] + settings[i][1];
		double		temperature;
		double		found;

		draw_logits(logits, N_DRAW, 3, &state);
		softmax_of_kept(logits, all.kept, N_DRAW, 1, p);
		for (int k = 0; k < N_DRAW; k++)
			entropy -= p[k] * log(p[k]);
		temperature = least + (greatest - least) * pow(entropy / log(N_DRAW), settings[i][2]);
		softmax_of_kept(logits, all.kept, N_DRAW, temperature, p);
		options.temperature = (float) settings[i][0];
		options.dynatemp_range = (float) settings[i][1];
		options.dynatemp_exponent = (float) settings[i][2];
		found = chi_square(sampler, &options, logits, p, 60000);
		ok(found < 57.5, "temperature %g +- %g becomes %.3f (chi-square %.1f)", settings[i][0], settings[i][1],
		   temperature, found);
	}
}

/* Draws go by seed and count alone, whatever was drawn before. */
static void
test_determinism(LlmSampler *sampler)
{
	uint64_t	state = 99;
	int			n_differ = 0;
	int			n_seeds = 0;

	for (int round = 0; round < 500; round++)
	{
		LlmSamplingOptions options = open_options();
		float		logits[N_DRAW];
		int32_t		first;

		draw_logits(logits, N_DRAW, 4, &state);
		set_several(&options, &state);
		if (options.xtc_probability > 0)
			options.xtc_probability = 0.5f;
		options.seed = next_random(&state);
		first = draw_token(sampler, &options, logits, N_DRAW, NULL, round);
		n_differ += draw_token(sampler, &options, logits, N_DRAW, NULL, round) != first;
		options.seed++;
		n_seeds += draw_token(sampler, &options, logits, N_DRAW, NULL, round) != first;
	}
	ok(n_differ == 0, "the same seed draws the same token");
	ok(n_seeds > 100, "another seed others (%d of 500)", n_seeds);
}

/* Greedy stays greedy: no filter, chance or state takes part. */
static void
test_greedy(LlmSampler *sampler)
{
	uint64_t	state = 4711;
	int			n_wrong = 0;

	for (int round = 0; round < 500; round++)
	{
		LlmSamplingOptions options = open_options();
		LlmSamplingState sampling = {0};
		float		logits[N_DRAW];
		int32_t		best = 0;

		draw_logits(logits, N_DRAW, 4, &state);
		for (int i = 1; i < N_DRAW; i++)
			best = logits[i] > logits[best] ? i : best;
		set_several(&options, &state);
		options.mirostat = round % 3;
		options.dynatemp_range = 1;
		options.temperature = 0;
		n_wrong += draw_token(sampler, &options, logits, N_DRAW, &sampling, round) != best;
	}
	ok(n_wrong == 0, "temperature 0 takes the greatest logit with any other option");
}

static void
test_top_logprobs(LlmSampler *sampler)
{
	uint64_t	state = 31;
	int			n_wrong = 0;
	float		broken[N_DRAW];
	LlmSample	top[N_DRAW];

	for (int round = 0; round < 300; round++)
	{
		float		logits[N_DRAW];
		int			n = 1 + round % N_DRAW;

		draw_logits(logits, N_DRAW, 4, &state);
		llm_top_logprobs(sampler, logits, n, top);
		for (int i = 0; i < n; i++)
		{
			int			rank = 0;

			for (int k = 0; k < N_DRAW; k++)
				rank += logits[k] > logits[top[i].token];
			n_wrong += rank != i || top[i].logprob != llm_token_logprob(sampler, logits, top[i].token);
		}
	}
	ok(n_wrong == 0, "the likeliest tokens and their log-probabilities");
	for (int i = 0; i < N_DRAW; i++)
		broken[i] = i == 5 ? 1.0f : NAN;
	llm_top_logprobs(sampler, broken, 3, top);
	ok(top[0].token == 5 && top[1].token == -1 && top[2].token == -1, "where there are fewer the rest is -1");
}

int
main(void)
{
	LlmSampler *sampler = llm_sampler_create(llm_kernels_select(NULL, NULL), N_DRAW, -1, 1, NULL, NULL);

	test_filter(sampler, "top_n_sigma", set_top_n_sigma);
	test_filter(sampler, "top_k", set_top_k);
	test_filter(sampler, "typical_p", set_typical);
	test_filter(sampler, "top_p", set_top_p);
	test_filter(sampler, "min_p", set_min_p);
	test_filter(sampler, "XTC", set_xtc);
	test_filter(sampler, "the chain", set_several);
	test_xtc_chances();
	test_dynamic_temperature(sampler);
	test_determinism(sampler);
	test_greedy(sampler);
	test_top_logprobs(sampler);
	llm_sampler_free(sampler);
	return done_testing();
}
