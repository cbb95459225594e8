/*
 * test_sampler_dry.c
 *		DRY against its definition: every earlier place of every suffix is looked at.
 */
#include "sampler_draws.h"

#define MAX_HISTORY 60

static LlmVocabulary *vocabulary;
static int32_t n_tokens;

/* The text of a token is what the piece is, but byte pieces and the space. */
static const char *const pieces[] = {"a", "b", "c", "ab", "a:", ":b", "x\ny", "--", "-", "cab"};
#define N_PIECES 10
#define FIRST_PIECE 259

static const char *
text_of(int32_t token)
{
	return pieces[token - FIRST_PIECE];
}

/* How many tokens at the end of the history hold no end of a breaker. */
static int
free_tokens(const LlmDryBreakers *breakers, const int32_t *history, int n)
{
	char		text[MAX_HISTORY * 8] = "";
	size_t		ends[MAX_HISTORY];
	size_t		last_end = 0;
	const char *breaker = breakers->bytes;
	int			n_free = 0;

	for (int i = 0; i < n; i++)
	{
		strcat(text, text_of(history[i]));
		ends[i] = strlen(text);
	}
	for (int b = 0; b < breakers->n; b++)
	{
		size_t		length = breakers->lengths[b];

		for (size_t end = length; end <= strlen(text); end++)
		{
			if (strncmp(text + end - length, breaker, length) == 0 && end > last_end)
				last_end = end;
		}
		breaker += length;
	}
	while (n_free < n && (n_free == n - 1 ? 0 : ends[n - 2 - n_free]) >= last_end)
		n_free++;
	return n_free;
}

static bool
holds_breaker(const LlmDryBreakers *breakers, const char *text)
{
	const char *breaker = breakers->bytes;

	for (int b = 0; b < breakers->n; b++)
	{
		char		one[LLM_MAX_DRY_BREAKER_BYTES + 1] = "";

		memcpy(one, breaker, breakers->lengths[b]);
		if (strstr(text, one) != NULL)
			return true;
		breaker += breakers->lengths[b];
	}
	return false;
}

/* What is to be subtracted from a token's logit. */
static double
expected_penalty(const LlmSamplingOptions *options, const int32_t *history, int n, int32_t token, bool with_texts)
{
	int			window = options->dry_penalty_last_n >= 0 && options->dry_penalty_last_n < n ? options->dry_penalty_last_n : n;
	int			longest = 0;
	int			limit;

	history += n - window;
	limit = with_texts ? free_tokens(&options->dry_breakers, history, window) : window;
	for (int i = 1; i < window; i++)
	{
		int			length = 0;

		if (history[i] != token)
			continue;
		while (length < i && length < limit && history[i - 1 - length] == history[window - 1 - length])
			length++;
		longest = length > longest ? length : longest;
	}
	if (longest < options->dry_allowed_length || (with_texts && holds_breaker(&options->dry_breakers, text_of(token))))
		return 0;
	return options->dry_multiplier * pow(options->dry_base, longest - options->dry_allowed_length);
}

static void
random_history(int32_t *history, int n, int n_different, uint64_t *state)
{
	for (int i = 0; i < n; i++)
		history[i] = FIRST_PIECE + (int32_t) (next_random(state) % (uint32_t) n_different);
}

static void
test_random(const char *name, bool with_texts, const char *const *breakers)
{
	LlmSampler *sampler = llm_sampler_create(llm_kernels_select(NULL, NULL), n_tokens, -1, MAX_HISTORY,
											 with_texts ? vocabulary : NULL, NULL);
	uint64_t	state = 2463534242u;
	int			n_wrong = 0;
	int			n_penalized = 0;

	for (int round = 0; round < 20000; round++)
	{
		LlmSamplingOptions options = open_options();
		LlmSamplingPlace place = {0};
		int32_t		history[MAX_HISTORY];
		int			n = (int) (next_random(&state) % (MAX_HISTORY + 1));
		float		logits[512] = {0};

		options.temperature = 0;
		options.dry_multiplier = (float) (0.1 + random_share(&state));
		options.dry_base = (float) (1 + random_share(&state));
		options.dry_allowed_length = 1 + (int32_t) (next_random(&state) % 4);
		options.dry_penalty_last_n = next_random(&state) % 3 ? -1 : (int32_t) (next_random(&state) % 40);
		options.dry_breakers.n = 0;
		for (int i = 0; breakers[i] != NULL; i++)
			llm_add_dry_breaker(&options.dry_breakers, breakers[i], strlen(breakers[i]));
		random_history(history, n, 1 + round % N_PIECES, &state);
		place.history = history;
		place.n_history = n;
		llm_sample(sampler, &options, &place, logits);
		for (int32_t token = FIRST_PIECE; token < n_tokens; token++)
		{
			double		expected = expected_penalty(&options, history, n, token, with_texts);

			n_wrong += fabs(-logits[token] - expected) > 1e-6 * fmax(1, expected);
			n_penalized += logits[token] != 0;
		}
		for (int32_t token = 0; token < FIRST_PIECE; token++)
			n_wrong += logits[token] != 0;
	}
	ok(n_wrong == 0 && n_penalized > 2000, "%s: penalties as defined (%d wrong, %d penalized)", name, n_wrong, n_penalized);
	llm_sampler_free(sampler);
}

/* The example of the definition, by hand. */
static void
test_example(void)
{
	LlmSampler *sampler = llm_sampler_create(llm_kernels_select(NULL, NULL), 8, -1, 16, NULL, NULL);
	LlmSamplingOptions options = open_options();
	const int32_t history[] = {0, 1, 2, 2, 1, 2, 3, 0, 1, 2};	/* a b c c b c y a b c */
	const int32_t same[16] = {0};
	LlmSamplingPlace place = {.history = history, .n_history = 10};
	float		logits[8] = {0};

	options.temperature = 0;
	options.dry_multiplier = 0.8f;
	llm_sample(sampler, &options, &place, logits);
	ok(fabs(logits[2] + 0.8 * 1.75) < 1e-6 && fabs(logits[3] + 0.8) < 1e-6 && logits[1] == 0 && logits[0] == 0,
	   "abccbcyabc: c would repeat three tokens, y two, b one, which is allowed");
	options.dry_multiplier = 100;
	options.dry_base = 100;
	options.dry_allowed_length = 1;
	memset(logits, 0, sizeof(logits));
	for (int i = 0; i < 8; i++)
		logits[i] = 1;
	place.history = same;
	place.n_history = 16;
	llm_sample(sampler, &options, &place, logits);
	ok(isfinite(logits[0]) && logits[0] < -1e29, "a penalty is finite however long the repetition");
	llm_sampler_free(sampler);
}

int
main(void)
{
	static const char *const no_breakers[] = {NULL};
	static const char *const short_breakers[] = {"\n", ":", "*", NULL};
	static const char *const breakers[] = {"a:b", "---", "bb", NULL};
	static const char *const long_breakers[] = {"abcababc", "cabcabab:", "\ny-", NULL};
	LlmPiece	table[N_PIECES];

	for (int i = 0; i < N_PIECES; i++)
		table[i] = vocabulary_piece(pieces[i], 0, LLM_PIECE_NORMAL);
	vocabulary = vocabulary_from_table(table, N_PIECES);
	n_tokens = llm_vocabulary_count(vocabulary);

	test_example();
	test_random("no texts", false, short_breakers);
	test_random("no breakers", true, no_breakers);
	test_random("breakers of one byte", true, short_breakers);
	test_random("breakers of several tokens", true, breakers);
	test_random("long breakers", true, long_breakers);
	free(vocabulary);
	return done_testing();
}
