/*
 * test_sampler_mirostat.c
 *		Mirostat against the paper's algorithm: its state, its cuts, and what it is for.
 */
#include "sampler_draws.h"

#define N_ZIPF 2000

static const LlmKernels *kernels;

/* The paper's algorithm 1 for sorted probabilities: how many are kept. */
static int
expected_k(const double *p, int n, int n_vocabulary, double mu)
{
	double		products = 0;
	double		squares = 0;
	double		s;
	double		k;

	for (int i = 1; i < n && i < 100; i++)
	{
		double		t = log((i + 1.0) / i);
		double		b = log(p[i - 1] / p[i]);

		products += t * b;
		squares += t * t;
	}
	s = products / squares;
	k = pow((s - 1) * pow(2, mu) / (1 - pow(n_vocabulary, -(s - 1))), 1 / s);
	return k < 1 ? 1 : k > n_vocabulary ? n_vocabulary : (int) k;
}

/* Logits of which the probabilities are Zipf's, a little shaken, most likely first. */
static void
zipf_logits(float *logits, int n, double s, uint64_t *state)
{
	double		last = INFINITY;

	for (int i = 0; i < n; i++)
	{
		double		logit = -s * log(i + 1.0) + 0.3 * random_share(state);

		logits[i] = (float) (logit < last ? logit : last - 1e-3);
		last = logits[i];
	}
}

/* Every token is within the cut that the state before it says, and the state goes on as it should. */
static void
test_trajectory(int version, double temperature)
{
	LlmSampler *sampler = llm_sampler_create(kernels, N_ZIPF, -1, 1, NULL, NULL);
	LlmSamplingOptions options = open_options();
	LlmSamplingState sampling = {0};
	static bool all[N_ZIPF];
	static double p[N_ZIPF];
	uint64_t	state = 521288629;
	double		mu = 2 * 3.5;
	int			n_outside = 0;
	int			n_drift = 0;
	int			n_deep = 0;

	memset(all, true, sizeof(all));
	options.mirostat = version;
	options.mirostat_tau = 3.5f;
	options.mirostat_eta = 0.25f;
	options.temperature = (float) temperature;
	options.top_k = 1;			/* has no say */
	options.min_p = 1;
	for (int i = 0; i < 1500; i++)
	{
		float		logits[N_ZIPF];
		int32_t		token;
		int			n_kept;

		zipf_logits(logits, N_ZIPF, 0.8 + 0.7 * random_share(&state), &state);
		softmax_of_kept(logits, all, N_ZIPF, (float) temperature, p);
		if (version == 1)
			n_kept = expected_k(p, N_ZIPF, N_ZIPF, mu);
		else
		{
			n_kept = 0;
			while (n_kept < N_ZIPF && -log2(p[n_kept]) <= mu)
				n_kept++;
			n_kept = n_kept > 1 ? n_kept : 1;
		}
		token = draw_token(sampler, &options, logits, N_ZIPF, &sampling, i);
		n_outside += token >= n_kept + (version == 1);	/* k may be rounded otherwise */
		n_deep += token > n_kept / 2;
		mu -= 0.25 * (-log2(p[token]) - 3.5);
		n_drift += fabs(mu - sampling.mirostat_mu) > 1e-6;
	}
	ok(n_outside == 0 && n_deep > 20, "version %d, temperature %g: tokens within the cut (%d outside, %d in its far half)",
	   version, temperature, n_outside, n_deep);
	ok(n_drift == 0, "version %d, temperature %g: mu is corrected by the surprise", version, temperature);
	llm_sampler_free(sampler);
}

/* What it is for: the mean surprise comes to tau whatever the distribution's steepness. */
static void
test_mean_surprise(int version, double tau, double steepness)
{
	LlmSampler *sampler = llm_sampler_create(kernels, N_ZIPF, -1, 1, NULL, NULL);
	LlmSamplingOptions options = open_options();
	LlmSamplingState sampling = {0};
	uint64_t	state = 362436069;
	double		sum = 0;
	int			n = 3000;

	options.mirostat = version;
	options.mirostat_tau = (float) tau;
	for (int i = 0; i < n; i++)
	{
		float		logits[N_ZIPF];
		int32_t		token;

		zipf_logits(logits, N_ZIPF, steepness + 0.5 * random_share(&state), &state);
		token = draw_token(sampler, &options, logits, N_ZIPF, &sampling, i);
		sum -= llm_token_logprob(sampler, logits, token) / M_LN2;
	}
	ok(fabs(sum / n - tau) < 0.1, "version %d: a mean surprise of %.2f bits for tau %g", version, sum / n, tau);
	llm_sampler_free(sampler);
}

/* Distributions for which the estimate has no sense. */
static void
test_extremes(int version)
{
	static const float rows[][4] = {{1, 1, 1, 1}, {0, -1e30f, -1e30f, -1e30f}, {5, -INFINITY, -INFINITY, -INFINITY},
	{0, -0.6931472f, -1.0986123f, -1.3862944f}};
	LlmSampler *sampler = llm_sampler_create(kernels, 4, -1, 1, NULL, NULL);
	LlmSamplingOptions options = open_options();
	int			n_wrong = 0;

	options.mirostat = version;
	for (int row = 0; row < 4; row++)
	{
		LlmSamplingState sampling = {0};

		for (int i = 0; i < 200; i++)
		{
			int32_t		token = draw_token(sampler, &options, rows[row], 4, &sampling, i);

			options.mirostat_tau = (float) (i % 7);
			n_wrong += token < 0 || token > 3 || isnan(sampling.mirostat_mu);
			n_wrong += (row == 1 || row == 2) && token != 0;
		}
	}
	ok(n_wrong == 0, "version %d: flat, certain and exactly Zipfian rows", version);
	llm_sampler_free(sampler);
}

int
main(void)
{
	kernels = llm_kernels_select(NULL, NULL);
	for (int version = 1; version <= 2; version++)
	{
		test_trajectory(version, 1);
		test_trajectory(version, 0.7);
		test_mean_surprise(version, 3, 1.1);
		test_mean_surprise(version, 5, 0.7);
		test_extremes(version);
	}
	return done_testing();
}
