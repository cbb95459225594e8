/*
 * sampler_filters.c
 *		What leaves candidates out, and the draw among those that remain.
 */
#include "engine/sampler_private.h"

#include <math.h>
#include <stdlib.h>

#define MIN_TEMPERATURE 1e-30	/* as good as greedy */

static void take_share(LlmCandidates *candidates, double wanted);
static double entropy(LlmCandidates *candidates, double *log_total);
static bool better(const LlmCandidate *a, const LlmCandidate *b);
static int	compare_candidates(const void *a, const void *b);
static void make_heap(LlmCandidate *heap, int32_t n, bool best_on_top);
static void sift_down(LlmCandidate *heap, int32_t n, int32_t at, bool best_on_top);

void
llm_keep_all(LlmCandidates *candidates, const float *logits, int32_t n_vocabulary, float least)
{
	int32_t		n = 0;

	for (int32_t token = 0; token < n_vocabulary; token++)
	{
		if (logits[token] > -INFINITY && logits[token] >= least)
			candidates->items[n++] = (LlmCandidate) {logits[token], token, 0};
	}
	candidates->n = n;
	candidates->sorted = false;
}

/*
 * One pass with a heap whose top is the worst kept.  Of equal logits the one seen first, the lower
 * id, stays.
 */
void
llm_keep_top_k(LlmCandidates *candidates, const float *logits, int32_t n_vocabulary, float least, int32_t k)
{
	LlmCandidate *heap = candidates->items;
	int32_t		n = 0;
	int32_t		token = 0;

	for (; token < n_vocabulary && n < k; token++)
	{
		if (logits[token] > -INFINITY && logits[token] >= least)
			heap[n++] = (LlmCandidate) {logits[token], token, 0};
	}
	make_heap(heap, n, false);
	for (; token < n_vocabulary; token++)
	{
		if (logits[token] > heap[0].logit && logits[token] >= least)
		{
			heap[0] = (LlmCandidate) {logits[token], token, 0};
			sift_down(heap, n, 0, false);
		}
	}
	qsort(heap, n, sizeof(LlmCandidate), compare_candidates);
	candidates->n = n;
	candidates->sorted = true;
}

/* Of all finite logits, before any cut. */
float
llm_top_n_sigma_least(const float *logits, int32_t n_vocabulary, float max_logit, float n_sigma)
{
	double		sum = 0;
	double		squares = 0;
	int32_t		n = 0;
	double		least;

	for (int32_t token = 0; token < n_vocabulary; token++)
	{
		if (isfinite(logits[token]))
		{
			sum += logits[token];
			n++;
		}
	}
	for (int32_t token = 0; token < n_vocabulary; token++)
	{
		if (isfinite(logits[token]))
			squares += (logits[token] - sum / n) * (logits[token] - sum / n);
	}
	least = (double) max_logit - (double) n_sigma * sqrt(squares / n);
	return least < (double) max_logit ? (float) least : max_logit;
}

/*
 * The most typical ones, whose information -log p is nearest to its expectation (the entropy), until their
 * probabilities reach typical_p.  They are ordered by a key in place of the logit.
 */
void
llm_keep_typical(LlmCandidates *candidates, const float *logits, double typical_p)
{
	double		log_total;
	double		expected = entropy(candidates, &log_total);
	double		max_logit = llm_best(candidates)->logit;
	double		total = 0;

	for (int32_t i = 0; i < candidates->n; i++)
	{
		double		information = log_total - ((double) candidates->items[i].logit - max_logit);

		candidates->items[i].logit = (float) -fabs(information - expected);
		total += candidates->items[i].weight;
	}
	take_share(candidates, typical_p * total);
	for (int32_t i = 0; i < candidates->n; i++)
		candidates->items[i].logit = logits[candidates->items[i].token];
	candidates->sorted = false;
}

/*
 * The fewest of the best whose probabilities reach top_p.  A whole vocabulary is not sorted for it: tokens whose
 * probability is below (1 - top_p) / n have less than 1 - top_p together, so the rest holds all that is wanted.
 */
void
llm_keep_top_p(LlmCandidates *candidates, double top_p)
{
	LlmCandidate *items = candidates->items;
	double		total = llm_weigh(candidates, 1.0);
	double		least = (1.0 - top_p) / candidates->n * total;
	double		sum = 0;
	int32_t		n_kept = 0;

	if (candidates->sorted)
	{
		while (n_kept < candidates->n && sum < top_p * total)
			sum += items[n_kept++].weight;
		candidates->n = n_kept;
		return;
	}
	for (int32_t i = 0; i < candidates->n; i++)
	{
		if (items[i].weight >= least)
			items[n_kept++] = items[i];
	}
	candidates->n = n_kept;
	take_share(candidates, top_p * total);
	candidates->sorted = true;
}

/* Those at least min_p times as probable as the best, in the order they have. */
void
llm_keep_min_p(LlmCandidates *candidates, float min_p)
{
	double		least = (double) llm_best(candidates)->logit + log((double) min_p);
	int32_t		n_kept = 0;

	for (int32_t i = 0; i < candidates->n; i++)
	{
		if ((double) candidates->items[i].logit >= least)
			candidates->items[n_kept++] = candidates->items[i];
	}
	candidates->n = n_kept;
}

/* Of those whose probability reaches the threshold only the worst stays. */
void
llm_exclude_top_choices(LlmCandidates *candidates, double threshold)
{
	LlmCandidate *items = candidates->items;
	double		least = threshold * llm_weigh(candidates, 1.0);
	int32_t		worst = -1;
	int32_t		n_kept = 0;

	for (int32_t i = 0; i < candidates->n; i++)
	{
		if (items[i].weight >= least && (worst < 0 || better(&items[worst], &items[i])))
			worst = i;
	}
	for (int32_t i = 0; i < candidates->n; i++)
	{
		if (items[i].weight < least || i == worst)
			items[n_kept++] = items[i];
	}
	candidates->n = n_kept;
}

/* From temperature - range to temperature + range, by the entropy as a part of the greatest possible. */
double
llm_dynamic_temperature(LlmCandidates *candidates, double temperature, double range, double exponent)
{
	double		log_total;
	double		least = temperature > range ? temperature - range : MIN_TEMPERATURE;

	if (candidates->n == 1)
		return temperature;
	return least + (temperature + range - least) *
		pow(entropy(candidates, &log_total) / log(candidates->n), exponent);
}

double
llm_weigh(LlmCandidates *candidates, double temperature)
{
	double		max_logit = llm_best(candidates)->logit;
	double		total = 0;

	for (int32_t i = 0; i < candidates->n; i++)
	{
		candidates->items[i].weight = exp(((double) candidates->items[i].logit - max_logit) / temperature);
		total += candidates->items[i].weight;
	}
	return total;
}

int32_t
llm_draw(const LlmCandidates *candidates, double total, double uniform)
{
	double		target = uniform * total;
	double		sum = 0;

	for (int32_t i = 0; i < candidates->n - 1; i++)
	{
		sum += candidates->items[i].weight;
		if (sum > target)
			return candidates->items[i].token;
	}
	return candidates->items[candidates->n - 1].token;
}

const LlmCandidate *
llm_best(const LlmCandidates *candidates)
{
	const LlmCandidate *best = candidates->items;

	for (int32_t i = 1; i < candidates->n && !candidates->sorted; i++)
	{
		if (better(&candidates->items[i], best))
			best = &candidates->items[i];
	}
	return best;
}

/* The fewest of the best whose weights reach the wanted sum, in order. */
static void
take_share(LlmCandidates *candidates, double wanted)
{
	LlmCandidate *heap = candidates->items;
	int32_t		n_heap = candidates->n;
	int32_t		n_kept = 0;
	double		sum = 0;

	make_heap(heap, n_heap, true);

	/* As in heap sort, those taken line up behind what is left of the heap. */
	while (n_kept < n_heap && sum < wanted)
	{
		int32_t		last = n_heap - n_kept - 1;
		LlmCandidate best = heap[0];

		heap[0] = heap[last];
		heap[last] = best;
		n_kept++;
		sift_down(heap, last, 0, true);
		sum += best.weight;
	}
	for (int32_t i = 0; i < n_kept / 2; i++)
	{
		LlmCandidate swap = heap[n_heap - n_kept + i];

		heap[n_heap - n_kept + i] = heap[n_heap - 1 - i];
		heap[n_heap - 1 - i] = swap;
	}
	memmove(heap, heap + n_heap - n_kept, n_kept * sizeof(LlmCandidate));
	candidates->n = n_kept;
}

/* In nats, at temperature 1; *log_total is the logarithm of the weights' sum. */
static double
entropy(LlmCandidates *candidates, double *log_total)
{
	double		max_logit = llm_best(candidates)->logit;
	double		total = llm_weigh(candidates, 1.0);
	double		sum = 0;

	*log_total = log(total);
	for (int32_t i = 0; i < candidates->n; i++)
		sum += candidates->items[i].weight * (*log_total - ((double) candidates->items[i].logit - max_logit));
	return sum / total;
}

static bool
better(const LlmCandidate *a, const LlmCandidate *b)
{
	return a->logit > b->logit || (a->logit == b->logit && a->token < b->token);
}

static int
compare_candidates(const void *a, const void *b)
{
	return better(a, b) ? -1 : 1;
}

static void
make_heap(LlmCandidate *heap, int32_t n, bool best_on_top)
{
	for (int32_t i = n / 2 - 1; i >= 0; i--)
		sift_down(heap, n, i, best_on_top);
}

/* Restore a heap whose element `at` may be out of order with those below it. */
static void
sift_down(LlmCandidate *heap, int32_t n, int32_t at, bool best_on_top)
{
	LlmCandidate moved;

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
