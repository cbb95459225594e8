/*
 * prompt_share.c
 *		How the prompt tokens of a step are divided.
 */
#include "engine/prompt_share.h"

#include "engine/session.h"

/*
 * While somebody waits for the next token of a text, prompts get this part of a
 * step's tokens only: the others' pause is as long as the step.
 */
#define DECODING_DIVISOR 4

static int32_t begin_round(LlmSequence *const *running, int32_t n_running, int32_t budget,
						   int32_t score_rows);
static int32_t prompt_need(const LlmSequence *sequence, int32_t score_rows);
static int32_t least(int32_t a, int32_t b);

void
llm_share_prompt_tokens(LlmSequence *const *running, int32_t n_running, const LlmSchedulerLimits *limits)
{
	int32_t		n_decoding = 0;
	int32_t		n_scoring = 0;
	int32_t		budget = limits->step_tokens;
	int32_t		score_rows = 1;

	for (int32_t i = 0; i < n_running; i++)
	{
		bool		decodes = running[i]->request->state == LLM_REQUEST_DECODE;

		running[i]->chunk = decodes ? 1 : 0;
		n_decoding += decodes;
		n_scoring += running[i]->request->kind == LLM_SCORE;
	}
	if (n_decoding > 0 && budget >= DECODING_DIVISOR)
		budget /= DECODING_DIVISOR;

	/* Everybody may need a row of logits; those who score share what is left. */
	if (n_scoring > 0)
		score_rows += (limits->max_logits - n_running) / n_scoring;

	while (budget > 0 && begin_round(running, n_running, budget, score_rows) > 0)
	{
		for (int32_t i = 0; i < n_running; i++)
		{
			LlmSequence *sequence = running[i];
			int32_t		given = least(prompt_need(sequence, score_rows), sequence->session->budget);

			given = least(given, budget);
			sequence->chunk += given;
			sequence->session->budget -= given;
			budget -= given;
		}
	}
}

/* Give every session that needs tokens its share; returns how many they are. */
static int32_t
begin_round(LlmSequence *const *running, int32_t n_running, int32_t budget, int32_t score_rows)
{
	int32_t		n_sessions = 0;

	for (int32_t i = 0; i < n_running; i++)
		running[i]->session->budget = 0;
	for (int32_t i = 0; i < n_running; i++)
	{
		if (running[i]->session->budget == 0 && prompt_need(running[i], score_rows) > 0)
		{
			running[i]->session->budget = 1;
			n_sessions++;
		}
	}
	for (int32_t i = 0; i < n_running; i++)
	{
		if (running[i]->session->budget > 0)
			running[i]->session->budget = budget > n_sessions ? budget / n_sessions : 1;
	}
	return n_sessions;
}

/* How many prompt tokens a sequence could compute in this step beside its chunk: a slice is of a prompt, or of answers. */
static int32_t
prompt_need(const LlmSequence *sequence, int32_t score_rows)
{
	int32_t		last = llm_sequence_prefill_length(sequence);

	if (sequence->request->state == LLM_REQUEST_DECODE || sequence->waits_for_page)
		return 0;
	if (sequence->n_computed < last)
		last = least(last, llm_sequence_run_end(sequence, sequence->n_computed));
	if (sequence->request->kind == LLM_SCORE)
		last = least(last, llm_sequence_first_wanted(sequence) + score_rows);
	return last - sequence->n_computed - sequence->chunk;
}

static int32_t
least(int32_t a, int32_t b)
{
	return a < b ? a : b;
}
