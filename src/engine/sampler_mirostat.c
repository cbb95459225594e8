/*
 * sampler_mirostat.c
 *		Mirostat: cuts so that a text's tokens surprise by so many bits on average.
 *
 * (Basu, Ramachandran, Keskar and Varshney 2021, "Mirostat: A Neural Text Decoding Algorithm that Directly Controls
 * Perplexity", section 4.)  mu begins at 2 tau; after each token mu -= eta * (surprise - tau), where a token's surprise
 * is -log2 of its probability before the cut, as in the paper (llama.cpp takes that after it).  Version 1
 * (algorithm 1) estimates Zipf's exponent of the distribution and from it the k of a top_k that mu stands for;
 * version 2 leaves out what would surprise by more than mu.
 */
#include "engine/sampler_private.h"

#include <math.h>

#define ZIPF_TOKENS 100			/* m, by which the exponent is estimated */

static int32_t top_k_for(const LlmCandidates *best, double mu, double temperature, int32_t n_vocabulary);
static void cut_surprising(LlmCandidates *candidates, double total, double mu);

int32_t
llm_mirostat_choose(const LlmSamplingOptions *options, LlmSamplingState *state, LlmCandidates *candidates,
					const float *logits, int32_t n_vocabulary, double uniform)
{
	double		temperature = options->temperature;
	double		log_total;
	double		max_logit;
	int32_t		token;

	if (!state->begun)
	{
		state->begun = true;
		state->mirostat_mu = 2.0 * options->mirostat_tau;
	}
	llm_keep_all(candidates, logits, n_vocabulary, -INFINITY);
	if (options->dynatemp_range > 0)
		temperature = llm_dynamic_temperature(candidates, temperature, options->dynatemp_range,
											  options->dynatemp_exponent);
	max_logit = llm_best(candidates)->logit;
	log_total = log(llm_weigh(candidates, temperature));

	if (options->mirostat == 1)
	{
		llm_keep_top_k(candidates, logits, n_vocabulary, -INFINITY, ZIPF_TOKENS);
		llm_keep_top_k(candidates, logits, n_vocabulary, -INFINITY,
					   top_k_for(candidates, state->mirostat_mu, temperature, n_vocabulary));
	}
	else
		cut_surprising(candidates, exp(log_total), state->mirostat_mu);
	token = llm_draw(candidates, llm_weigh(candidates, temperature), uniform);
	state->mirostat_mu -= options->mirostat_eta *
		((log_total - ((double) logits[token] - max_logit) / temperature) / M_LN2 - options->mirostat_tau);
	return token;
}

/* Algorithm 1: least squares for Zipf's exponent s, then k for the surprise mu. */
static int32_t
top_k_for(const LlmCandidates *best, double mu, double temperature, int32_t n_vocabulary)
{
	double		products = 0;
	double		squares = 0;
	double		s;
	double		epsilon;
	double		k;

	for (int32_t i = 0; i + 1 < best->n; i++)
	{
		double		t = log((double) (i + 2) / (i + 1));
		double		b = ((double) best->items[i].logit - best->items[i + 1].logit) / temperature;

		products += t * b;
		squares += t * t;
	}
	if (best->n == 1)
		return 1;
	s = products / squares;
	epsilon = s - 1;

	/* Near s = 1 the limit, where the quotient would be 0 / 0. */
	if (fabs(epsilon) < 1e-9)
		k = exp2(mu) / log(n_vocabulary);
	else
		k = epsilon * exp2(mu) / (1 - pow(n_vocabulary, -epsilon));
	k = pow(k, 1 / s);
	if (!(k < n_vocabulary))
		return n_vocabulary;
	return k > 1 ? (int32_t) k : 1;
}

/* The best stays in any case. */
static void
cut_surprising(LlmCandidates *candidates, double total, double mu)
{
	LlmCandidate best = *llm_best(candidates);
	double		least = total * exp2(-mu);
	int32_t		n_kept = 0;

	for (int32_t i = 0; i < candidates->n; i++)
	{
		if (candidates->items[i].weight >= least)
			candidates->items[n_kept++] = candidates->items[i];
	}
	if (n_kept == 0)
		candidates->items[n_kept++] = best;
	candidates->n = n_kept;
}
