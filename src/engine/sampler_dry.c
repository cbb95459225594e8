/*
 * sampler_dry.c
 *		DRY ("don't repeat yourself"): a penalty for tokens that would go on with a repetition.
 *
 * Where the last n tokens of a text occurred before, in the same order, the token that followed them there is
 * penalized by multiplier * base ^ (n - allowed_length), if n >= allowed_length; of several places the longest match
 * counts.  A match does not reach back across a breaker, nor is a token penalized whose own text has one.
 * (p-e-w, text-generation-webui pull request 5677.)  Breakers are looked for in the text, so that it does not matter
 * which tokens it is made of.
 */
#include "engine/sampler_private.h"

#include <math.h>

#include "text/detokenize.h"

#define MAX_TOKEN_BYTES (LLM_MAX_PIECE_BYTES + 8)
#define MAX_PENALTY 1e30		/* leaves logits finite */

static int32_t tokens_since_breaker(const LlmDryBreakers *breakers, const LlmVocabulary *texts,
									const int32_t *history, int32_t n_history);
static bool has_breaker(const LlmDryBreakers *breakers, const LlmVocabulary *texts, int32_t token);
static bool breaker_ends_within(const LlmDryBreakers *breakers, const char *text, size_t n_before, size_t length);
static void match_lengths(const int32_t *history, int32_t n_history, int32_t *lengths);

void
llm_dry_penalize(const LlmSamplingOptions *options, const LlmVocabulary *texts, int32_t *counts, int32_t *lengths,
				 const int32_t *history, int32_t n_history, float *logits)
{
	int32_t		n_window = llm_window(n_history, options->dry_penalty_last_n);
	const int32_t *window = history + n_history - n_window;
	int32_t		longest;

	if (n_window <= options->dry_allowed_length)
		return;
	longest = tokens_since_breaker(&options->dry_breakers, texts, window, n_window);
	if (longest < options->dry_allowed_length)
		return;

	match_lengths(window, n_window, lengths);
	for (int32_t i = 0; i < n_window - 1; i++)
	{
		int32_t		length = lengths[i] < longest ? lengths[i] : longest;
		int32_t		next = window[i + 1];

		if (length >= options->dry_allowed_length && length > counts[next])
			counts[next] = length;
	}
	for (int32_t i = 1; i < n_window; i++)
	{
		int32_t		token = window[i];
		double		penalty;

		if (counts[token] == 0)
			continue;
		penalty = options->dry_multiplier * pow(options->dry_base, counts[token] - options->dry_allowed_length);
		counts[token] = 0;
		if (!has_breaker(&options->dry_breakers, texts, token))
			logits[token] -= (float) (penalty < MAX_PENALTY ? penalty : MAX_PENALTY);
	}
}

/* How many tokens follow the last one in which a breaker ends. */
static int32_t
tokens_since_breaker(const LlmDryBreakers *breakers, const LlmVocabulary *texts, const int32_t *history,
					 int32_t n_history)
{
	size_t		wanted = 0;

	if (texts == NULL)
		return n_history;
	for (int32_t i = 0; i < breakers->n; i++)
		wanted = breakers->lengths[i] > wanted ? breakers->lengths[i] : wanted;
	for (int32_t i = n_history - 1; i >= 0 && wanted > 0; i--)
	{
		char		text[LLM_MAX_DRY_BREAKER_BYTES + MAX_TOKEN_BYTES];
		char	   *start = text + LLM_MAX_DRY_BREAKER_BYTES;
		size_t		length = llm_token_bytes(texts, history[i], false, start);
		size_t		n_before = 0;

		/* A breaker that ends here may begin wanted - 1 bytes earlier. */
		for (int32_t j = i - 1; j >= 0 && n_before + 1 < wanted; j--)
		{
			char		before[MAX_TOKEN_BYTES];
			size_t		n = llm_token_bytes(texts, history[j], false, before);
			size_t		n_used = n < wanted - 1 - n_before ? n : wanted - 1 - n_before;

			n_before += n_used;
			memcpy(start - n_before, before + n - n_used, n_used);
		}
		if (breaker_ends_within(breakers, start - n_before, n_before, n_before + length))
			return n_history - 1 - i;
	}
	return n_history;
}

static bool
has_breaker(const LlmDryBreakers *breakers, const LlmVocabulary *texts, int32_t token)
{
	char		text[MAX_TOKEN_BYTES];

	return texts != NULL &&
		breaker_ends_within(breakers, text, 0, llm_token_bytes(texts, token, false, text));
}

/* Behind the first n_before bytes. */
static bool
breaker_ends_within(const LlmDryBreakers *breakers, const char *text, size_t n_before, size_t length)
{
	const char *breaker = breakers->bytes;

	for (int32_t i = 0; i < breakers->n; i++)
	{
		size_t		n = breakers->lengths[i];

		for (size_t end = n_before + 1 > n ? n_before + 1 : n; end <= length; end++)
		{
			if (memcmp(text + end - n, breaker, n) == 0)
				return true;
		}
		breaker += n;
	}
	return false;
}

/*
 * lengths[i]: how many tokens up to history[i] are the same as those at the very end.  That is the Z function
 * (Gusfield 1997, "Algorithms on Strings, Trees, and Sequences", section 1.3) of the history read backwards.
 */
static void
match_lengths(const int32_t *history, int32_t n_history, int32_t *lengths)
{
	int32_t		last = n_history - 1;
	int32_t		left = 0;		/* the match that reaches farthest, counted from the end */
	int32_t		right = 0;		/* behind it */

	for (int32_t k = 1; k < n_history; k++)
	{
		int32_t		length = 0;

		if (k < right)
		{
			length = lengths[last - (k - left)];
			length = length < right - k ? length : right - k;
		}
		while (k + length < n_history && history[last - length] == history[last - k - length])
			length++;
		if (k + length > right)
		{
			left = k;
			right = k + length;
		}
		lengths[last - k] = length;
	}
}
