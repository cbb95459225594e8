/*
 * test_draft.c
 *		Drafts from a text's own n-grams, and how many of them.
 */
#include "engine/draft.h"

#include "tap.h"

#include <string.h>

/* Texts and drafts are written as letters. */
static bool
drafts(const char *text, int32_t max_draft, const char *expected)
{
	int32_t		tokens[80];
	int32_t		n_tokens = (int32_t) strlen(text);
	char		draft[LLM_MAX_DRAFT + 1];
	int32_t		n;

	for (int32_t i = 0; i < n_tokens; i++)
		tokens[i] = text[i];
	n = llm_draft(tokens, n_tokens, max_draft);
	for (int32_t i = 0; i < n; i++)
		draft[i] = (char) tokens[n_tokens + i];
	draft[n] = '\0';
	return ok(strcmp(draft, expected) == 0, "after %s comes \"%s\"", text, draft);
}

static void
test_drafts(void)
{
	drafts("a", 4, "");
	drafts("aa", 4, "");
	drafts("abcd", 4, "");
	drafts("abcdea", 4, "");
	drafts("abcdexab", 4, "cdex");
	drafts("abcdexab", 2, "cd");
	drafts("abxabyab", 4, "yaby");
	drafts("cabxdabycab", 4, "xdab");
	drafts("aaa", 4, "aaaa");
	drafts("xyabab", 4, "abab");
	drafts("abcabc", 4, "abca");
	drafts("abcdWabcdXbcdYabcd", 1, "X");
	drafts("zabcdWzabcdXzabcd", 1, "X");
}

static void
test_pace(void)
{
	LlmDraftPace pace = {0};
	int32_t		n_drafts = 0;

	static const int32_t expected[] = {1, 2, 4, 4, 4};

	for (int32_t i = 0; i < 5; i++)
	{
		ok(llm_draft_allowance(&pace) == expected[i], "after %d accepted tokens %d are allowed", i,
		   expected[i]);
		llm_draft_outcome(&pace, i + 1);
	}
	llm_draft_outcome(&pace, 0);
	ok(llm_draft_allowance(&pace) == 1, "after a rejection one is");
	for (int i = 0; i < 1000; i++)
	{
		if (llm_draft_allowance(&pace) == 0)
			continue;
		n_drafts++;
		llm_draft_outcome(&pace, 0);
	}
	ok(n_drafts > 30 && n_drafts < 50, "rejected %d times of 1000 steps, then seldom tried", n_drafts);
	while (llm_draft_allowance(&pace) == 0)
		;
	llm_draft_outcome(&pace, 1);
	ok(llm_draft_allowance(&pace) == 2, "one that is kept allows more again");
}

int
main(void)
{
	test_drafts();
	test_pace();
	return done_testing();
}
