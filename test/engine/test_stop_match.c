/*
 * test_stop_match.c
 *		Stop strings found across token borders, against a search of the whole text.
 */
#include "engine/stop_match.h"

#include <string.h>
#include <time.h>

#include "tap.h"

typedef struct Outcome
{
	bool		found;
	uint64_t	certain;
} Outcome;

static uint64_t random_state = 1;

static uint32_t
random_below(uint32_t limit)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t) (random_state >> 33) % limit;
}

static LlmStopMatcher *
create(int32_t n_stops, const char *const *stops)
{
	uint32_t	lengths[16];

	for (int32_t i = 0; i < n_stops; i++)
		lengths[i] = (uint32_t) strlen(stops[i]);
	return llm_stop_matcher_create(n_stops, stops, lengths);
}

/* What the text so far tells, by the definition: quadratic, but plain. */
static Outcome
search(const char *text, size_t length, int32_t n_stops, const char *const *stops)
{
	Outcome		outcome = {false, length};

	for (size_t end = 1; end <= length && !outcome.found; end++)
	{
		for (int32_t i = 0; i < n_stops; i++)
		{
			size_t		n = strlen(stops[i]);

			if (n <= end && memcmp(text + end - n, stops[i], n) == 0 &&
				(!outcome.found || end - n < outcome.certain))
			{
				outcome.found = true;
				outcome.certain = end - n;
			}
		}
	}
	if (outcome.found)
		return outcome;
	for (int32_t i = 0; i < n_stops; i++)
	{
		for (size_t n = strlen(stops[i]) - 1; n > 0; n--)
		{
			if (n <= length && memcmp(text + length - n, stops[i], n) == 0 &&
				length - n < outcome.certain)
				outcome.certain = length - n;
		}
	}
	return outcome;
}

static void
test_across_tokens(void)
{
	const char *stops[] = {"</end>", "\n\n"};
	LlmStopMatcher *matcher = create(2, stops);
	uint64_t	certain;

	ok(!llm_stop_matcher_push(matcher, "ab<", 3, &certain) && certain == 2,
	   "the beginning of a stop string is held back");
	ok(!llm_stop_matcher_push(matcher, "/en", 3, &certain) && certain == 2, "and still");
	ok(!llm_stop_matcher_push(matcher, "t", 1, &certain) && certain == 7,
	   "and let go when it goes on otherwise");
	ok(!llm_stop_matcher_push(matcher, "", 0, &certain) && certain == 7, "an empty token");
	ok(!llm_stop_matcher_push(matcher, "x\n", 2, &certain) && certain == 8, "another's beginning");
	ok(llm_stop_matcher_push(matcher, "\n</end>", 7, &certain) && certain == 8,
	   "the first that is complete ends the text");
	llm_stop_matcher_free(matcher);
}

static void
test_same_end(void)
{
	const char *stops[] = {"c", "bc", "abc", "abcd"};
	LlmStopMatcher *matcher = create(4, stops);
	uint64_t	certain;

	ok(llm_stop_matcher_push(matcher, "xabcd", 5, &certain) && certain == 1,
	   "of those that end at the same byte the longest");
	llm_stop_matcher_free(matcher);

	matcher = llm_stop_matcher_create(0, NULL, NULL);
	ok(!llm_stop_matcher_push(matcher, "abc", 3, &certain) && certain == 3,
	   "with no stop string all is certain");
	llm_stop_matcher_free(matcher);
}

/* Random texts over two letters, which repeat themselves, cut at random places. */
static void
test_random(void)
{
	int			n_wrong = 0;
	int			n_found = 0;
	int			n_decreasing = 0;

	for (int round = 0; round < 20000; round++)
	{
		char		text[48];
		char		stop_bytes[3][8];
		const char *stops[3];
		int32_t		n_stops = 1 + (int32_t) random_below(3);
		size_t		length = random_below(sizeof(text));
		size_t		n_pushed = 0;
		uint64_t	last_certain = 0;
		bool		found = false;
		LlmStopMatcher *matcher;

		for (size_t i = 0; i < length; i++)
			text[i] = "ab"[random_below(2)];
		for (int32_t i = 0; i < n_stops; i++)
		{
			uint32_t	n = 1 + random_below(7);

			for (uint32_t k = 0; k < n; k++)
				stop_bytes[i][k] = "ab"[random_below(2)];
			stop_bytes[i][n] = '\0';
			stops[i] = stop_bytes[i];
		}
		matcher = create(n_stops, stops);
		while (n_pushed < length && !found)
		{
			size_t		n = random_below(5);
			uint64_t	certain;
			Outcome		expected;

			if (n > length - n_pushed)
				n = length - n_pushed;
			found = llm_stop_matcher_push(matcher, text + n_pushed, n, &certain);
			n_pushed += n;
			expected = search(text, n_pushed, n_stops, stops);
			n_wrong += found != expected.found || certain != expected.certain;
			n_decreasing += certain < last_certain;
			last_certain = certain;
		}
		n_found += found;
		llm_stop_matcher_free(matcher);
	}
	ok(n_wrong == 0, "20000 random texts as by plain search (%d stopped, %d wrong)", n_found, n_wrong);
	ok(n_decreasing == 0, "what was certain stays certain");
}

/* A stop string that almost matches everywhere: a naive search takes 10^10 steps. */
static void
test_linear(void)
{
	size_t		length = 4 * 1000 * 1000;
	char	   *text = malloc(length);
	char	   *stop = malloc(LLM_MAX_STOP_BYTES);
	uint32_t	stop_length = LLM_MAX_STOP_BYTES;
	const char *stops[1];
	uint64_t	certain = 0;
	bool		found = false;
	clock_t		started = clock();
	LlmStopMatcher *matcher;

	memset(text, 'a', length);
	memset(stop, 'a', stop_length);
	stop[stop_length - 1] = 'b';
	stops[0] = stop;
	matcher = llm_stop_matcher_create(1, stops, &stop_length);
	for (size_t i = 0; i < length; i++)
		found |= llm_stop_matcher_push(matcher, text + i, 1, &certain);
	ok(!found && certain == length - (stop_length - 1), "almost a match at every byte");
	ok((double) (clock() - started) / CLOCKS_PER_SEC < 5.0, "takes linear time");
	ok(llm_stop_matcher_push(matcher, "b", 1, &certain) && certain == length - (stop_length - 1),
	   "and the match is found in the end");
	llm_stop_matcher_free(matcher);
	free(text);
	free(stop);
}

int
main(void)
{
	test_across_tokens();
	test_same_end();
	test_random();
	test_linear();
	return done_testing();
}
