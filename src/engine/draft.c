/*
 * draft.c
 *		Guesses at the next tokens of a text, from the text itself.
 */
#include "engine/draft.h"

#define MIN_MATCH 2				/* one equal token says little about the next */
#define MAX_MATCH 4
#define MAX_PAUSE 32

static int32_t match_length(const int32_t *tokens, int32_t n_tokens, int32_t end);

/* Twice as many as were right the last time, at first and after a rejection one. */
int32_t
llm_draft_allowance(LlmDraftPace *pace)
{
	if (pace->pause > 0)
	{
		pace->pause--;
		return 0;
	}
	if (pace->n_proven == 0)
		return 1;
	return 2 * pace->n_proven < LLM_MAX_DRAFT ? 2 * pace->n_proven : LLM_MAX_DRAFT;
}

/* From the second rejection in a row on, pauses that double. */
void
llm_draft_outcome(LlmDraftPace *pace, int32_t n_accepted)
{
	pace->n_proven = n_accepted;
	if (n_accepted > 0)
		pace->n_rejected = 0;
	else if (++pace->n_rejected > 1)
		pace->pause = pace->n_rejected < 7 ? 1 << (pace->n_rejected - 2) : MAX_PAUSE;
}

/*
 * The longest match decides, of equal ones the latest.  What follows it may run into the draft
 * itself, so that a short period goes on.
 */
int32_t
llm_draft(int32_t *tokens, int32_t n_tokens, int32_t max_draft)
{
	int32_t		best_end = 0;
	int32_t		best_length = MIN_MATCH - 1;

	for (int32_t end = n_tokens - 1; end >= MIN_MATCH && best_length < MAX_MATCH; end--)
	{
		int32_t		length = match_length(tokens, n_tokens, end);

		if (length > best_length)
		{
			best_length = length;
			best_end = end;
		}
	}
	if (best_end == 0)
		return 0;
	for (int32_t i = 0; i < max_draft; i++)
		tokens[n_tokens + i] = tokens[best_end + i];
	return max_draft;
}

/* How many of the tokens before `end` are those at the very end, up to MAX_MATCH. */
static int32_t
match_length(const int32_t *tokens, int32_t n_tokens, int32_t end)
{
	int32_t		length = 0;

	while (length < MAX_MATCH && length < end && tokens[end - 1 - length] == tokens[n_tokens - 1 - length])
		length++;
	return length;
}
