/*
 * sampler_private.h
 *		What the sampler's files share: the candidates of one draw.
 *
 * A token is a candidate as long as its logit is finite: bans make a logit -INFINITY, and what a broken model computes
 * (NaN) never takes part in a comparison that would choose it.
 */
#ifndef LLM_SAMPLER_PRIVATE_H
#define LLM_SAMPLER_PRIVATE_H

#include "engine/sampler.h"

typedef struct LlmCandidate
{
	float		logit;
	int32_t		token;
	double		weight;			/* proportional to the probability */
} LlmCandidate;

/* At least one of them. */
typedef struct LlmCandidates
{
	LlmCandidate *items;		/* [n] */
	int32_t		n;
	bool		sorted;			/* by falling logit, then rising id */
} LlmCandidates;

/*
 * Fill in the candidates: tokens whose logit is at least `least` (-INFINITY: all), by rising id or the
 * best k, sorted.  items has room for the vocabulary.
 */
extern void llm_keep_all(LlmCandidates *candidates, const float *logits, int32_t n_vocabulary, float least);
extern void llm_keep_top_k(LlmCandidates *candidates, const float *logits, int32_t n_vocabulary, float least, int32_t k);

/* The least logit that top_n_sigma lets through. */
extern float llm_top_n_sigma_least(const float *logits, int32_t n_vocabulary, float max_logit, float n_sigma);

extern void llm_keep_typical(LlmCandidates *candidates, const float *logits, double typical_p);
extern void llm_keep_top_p(LlmCandidates *candidates, double top_p);
extern void llm_keep_min_p(LlmCandidates *candidates, float min_p);
extern void llm_exclude_top_choices(LlmCandidates *candidates, double threshold);

/* The temperature for these candidates' entropy. */
extern double llm_dynamic_temperature(LlmCandidates *candidates, double temperature, double range, double exponent);

/* Fill in weight = exp((logit - greatest logit) / temperature); returns their sum, added up in order. */
extern double llm_weigh(LlmCandidates *candidates, double temperature);

/* The candidate at the place `uniform` (in [0, 1)) of the weights, whose sum is total. */
extern int32_t llm_draw(const LlmCandidates *candidates, double total, double uniform);

/* The best of them. */
extern const LlmCandidate *llm_best(const LlmCandidates *candidates);

/* Choose as mirostat does, and go on with its state. */
extern int32_t llm_mirostat_choose(const LlmSamplingOptions *options, LlmSamplingState *state,
								   LlmCandidates *candidates, const float *logits, int32_t n_vocabulary,
								   double uniform);

/*
 * Subtract DRY's penalties.  counts is a zero for each token, and is so again afterwards; lengths is room for the
 * history; texts (NULL: none) tells the tokens' bytes.
 */
extern void llm_dry_penalize(const LlmSamplingOptions *options, const LlmVocabulary *texts, int32_t *counts,
							 int32_t *lengths, const int32_t *history, int32_t n_history, float *logits);

/* How many tokens of a history an option looks back on; -1 is all. */
static inline int32_t
llm_window(int32_t n_history, int32_t last_n)
{
	return last_n >= 0 && last_n < n_history ? last_n : n_history;
}

#endif							/* LLM_SAMPLER_PRIVATE_H */
