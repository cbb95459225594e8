/*
 * test_step_width.c
 *		Sequences take turns where fewer in a step yield more tokens a second, and only there.
 *
 * Time is made up: what a step of so many sequences takes is a function.
 */
#include "engine/scheduler.h"
#include "engine/step_width.h"

#include "tap.h"

#include <string.h>

#define MOST 64
#define N_SEQUENCES 24
#define TOKENS 1200				/* that a sequence has room for */

typedef int64_t (*Cost) (int32_t n);

/* A step reads the weights, and tiles have sixteen columns: one that is begun costs more than half of a full one. */
static int64_t
tiles(int32_t n)
{
	int32_t		rest = n % 16;

	return 20000 + n / 16 * 24000 + (rest > 0 ? 13000 + rest * 700 : 0);
}

/* Each sequence costs less than the one before. */
static int64_t
even(int32_t n)
{
	return 20000 + n * 1000;
}

static int32_t
best_width(Cost cost, int32_t n)
{
	int32_t		best = n;

	for (int32_t i = 1; i < n; i++)
		if ((double) i / (double) cost(i) > (double) best / (double) cost(best))
			best = i;
	return best;
}

/* Of n_choices the most frequent. */
static int32_t
usual_choice(LlmStepWidth *width, Cost cost, int32_t n, int n_choices, int *times)
{
	int			count[MOST + 1] = {0};
	int32_t		usual = 0;

	for (int i = 0; i < n_choices; i++)
	{
		int32_t		chosen = llm_step_width_choose(width, n);

		if (chosen < 1 || chosen > n)
			return -1;
		count[chosen]++;
		llm_step_width_note(width, chosen, cost(chosen));
	}
	for (int32_t i = 1; i <= n; i++)
		if (count[i] > count[usual])
			usual = i;
	*times = count[usual];
	return usual;
}

static void
test_choices(void)
{
	static const int32_t numbers[] = {1, 2, 8, 9, 12, 16, 17, 18, 20, 31, 32, 33, 40, 48, 49, 63, 64};
	LlmStepWidth width;
	int			times;

	ok(llm_step_width_init(&width, MOST), "there is room for what is learnt");
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
	{
		int32_t		n = numbers[i];
		int32_t		usual = usual_choice(&width, tiles, n, 400, &times);
		double		best = (double) best_width(tiles, n) / (double) tiles(best_width(tiles, n));

		ok(usual > 0 && (double) usual / (double) tiles(usual) > 0.96 * best && times >= 365,
		   "of %d sequences %d are the usual choice, %d of 400", n, usual, times);
	}
	llm_step_width_free(&width);

	llm_step_width_init(&width, MOST);
	for (int32_t n = 1; n <= MOST; n += 7)
		ok(usual_choice(&width, even, n, 200, &times) == n, "all of %d where each adds to the yield", n);
	llm_step_width_free(&width);
}

/* What is known grows old. */
static void
test_change(void)
{
	LlmStepWidth width;
	int			times;
	int32_t		usual;

	llm_step_width_init(&width, MOST);
	usual = usual_choice(&width, tiles, 17, 100, &times);
	ok(usual == 16, "16 of 17 to begin with, not %d", usual);
	usual_choice(&width, even, 17, 300, &times);
	usual = usual_choice(&width, even, 17, 100, &times);
	ok(usual == 17, "all of 17 once that is better, not %d", usual);
	usual_choice(&width, tiles, 17, 300, &times);
	usual = usual_choice(&width, tiles, 17, 100, &times);
	ok(usual == 16, "and 16 again, not %d", usual);
	for (int i = 0; i < 3; i++)
		llm_step_width_note(&width, llm_step_width_choose(&width, 17), 50 * tiles(16));
	usual = usual_choice(&width, tiles, 17, 100, &times);
	ok(usual == 16 && times > 90, "a few long steps are forgotten: %d, %d of 100", usual, times);
	llm_step_width_choose(&width, 17);
	llm_step_width_note(&width, 15, 1);
	ok(llm_step_width_choose(&width, 17) == 16, "a step of others than those that were chosen");
	llm_step_width_note(&width, 16, 0);
	ok(llm_step_width_choose(&width, 17) == 16, "a step without a duration");
	llm_step_width_free(&width);
}

/* Steps of all widths become slower and slower, and quick again: what pays stays the same. */
static void
test_drift(void)
{
	LlmStepWidth width;
	int			n_other = 0;

	llm_step_width_init(&width, MOST);
	for (int i = 0; i < 1000; i++)
	{
		int32_t		n = i % 500 < 250 ? 17 : 64;
		int32_t		chosen = llm_step_width_choose(&width, n);

		n_other += chosen != (n == 17 ? 16 : 64);
		llm_step_width_note(&width, chosen, tiles(chosen) * (100 + i % 250) / 100);
	}
	ok(n_other < 50, "as contexts grow %d of 1000 choices are others", n_other);
	llm_step_width_free(&width);
}

/* One step: whoever is in it gets a token. */
static int32_t
run_step(LlmScheduler *scheduler, Cost cost, bool *served)
{
	LlmSlice	slices[N_SEQUENCES];
	LlmSequence *owners[N_SEQUENCES];
	int32_t		n = llm_scheduler_plan(scheduler, slices, owners);

	memset(served, 0, N_SEQUENCES * sizeof(bool));
	for (int32_t i = 0; i < n; i++)
	{
		LlmSequence *sequence = owners[i];

		llm_scheduler_advance(scheduler, sequence, slices[i].n_tokens);
		sequence->request->state = LLM_REQUEST_DECODE;
		sequence->tokens[sequence->n_tokens++] = 1;
		served[sequence->arrival] = true;
		sequence->slice = -1;
	}
	llm_scheduler_timed(scheduler, cost(n));
	return n;
}

/* Nobody waits for two steps in a row, nor falls behind. */
static void
test_turns(int32_t n_sequences, bool take_turns, int32_t expected)
{
	static const LlmModelConfig config = {
		.dim = 32, .n_layers = 1, .n_heads = 1, .n_kv_heads = 1, .head_dim = 32, .context_length = TOKENS
	};
	const LlmSchedulerLimits limits = {
		.max_sequences = N_SEQUENCES, .step_tokens = 128, .max_logits = 64, .take_turns = take_turns
	};
	const int32_t prompt[1] = {1};
	LlmError	error;
	LlmKvCache *cache = llm_kv_cache_create(&config, LLM_KV_F16, N_SEQUENCES * (TOKENS / LLM_KV_PAGE + 1), &error);
	LlmScheduler *scheduler = llm_scheduler_create(cache, &limits);
	LlmRequest	requests[N_SEQUENCES] = {0};
	bool		served[N_SEQUENCES];
	int			waited[N_SEQUENCES] = {0};
	int			tokens[N_SEQUENCES] = {0};
	int			widths[N_SEQUENCES + 1] = {0};
	int			longest = 0;
	int			fewest = TOKENS;
	int			most = 0;

	for (int32_t i = 0; i < n_sequences; i++)
	{
		requests[i].prompt = prompt;
		requests[i].n_prompt = 1;
		requests[i].max_tokens = TOKENS - 1;
		llm_scheduler_add(scheduler, llm_sequence_create(&requests[i], TOKENS, config.dim, NULL, &error));
		llm_scheduler_admit(scheduler);
	}
	for (int step = 0; step < 1000; step++)
	{
		widths[run_step(scheduler, tiles, served)]++;
		for (int32_t i = 0; i < n_sequences; i++)
		{
			waited[i] = served[i] ? 0 : waited[i] + 1;
			tokens[i] += served[i];
			longest = waited[i] > longest ? waited[i] : longest;
		}
	}
	for (int32_t i = 0; i < n_sequences; i++)
	{
		fewest = tokens[i] < fewest ? tokens[i] : fewest;
		most = tokens[i] > most ? tokens[i] : most;
	}
	ok(widths[expected] > 900 && longest <= (take_turns && n_sequences > LLM_ALWAYS_WHOLE) && most - fewest <= 1,
	   "%d sequences, turns %s: %d in %d of 1000 steps, %d to %d tokens, at most %d steps without one", n_sequences,
	   take_turns ? "on" : "off", expected, widths[expected], fewest, most, longest);
	llm_scheduler_free(scheduler);
	llm_kv_cache_free(cache);
}

int
main(void)
{
	test_choices();
	test_change();
	test_drift();
	test_turns(17, true, 16);
	test_turns(19, true, 16);
	test_turns(24, true, 24);
	test_turns(8, true, 8);
	test_turns(17, false, 17);
	return done_testing();
}
