/*
 * sequence.c
 *		The tokens and the text of one request, and when they end.
 */
#include "engine/sequence.h"

#include <stdlib.h>
#include <string.h>

static int32_t tokens_to_keep(const LlmRequest *request, int32_t context_length);

LlmSequence *
llm_sequence_create(LlmRequest *request, int32_t context_length, int32_t dim, LlmConstraints *constraints,
					LlmError *error)
{
	LlmSequence *sequence = calloc(1, sizeof(LlmSequence));
	int64_t		max_tokens = request->n_prompt;
	int32_t		n_keep = 0;

	if (request->kind == LLM_GENERATE)
	{
		max_tokens += request->max_tokens;
		if (request->context_length > 0 && request->context_length < context_length)
			context_length = request->context_length;
		if (request->shift_context && max_tokens > context_length)
			n_keep = tokens_to_keep(request, context_length);
	}
	if (max_tokens > context_length)
		max_tokens = context_length;

	if (sequence != NULL)
	{
		sequence->request = request;
		sequence->slice = -1;
		sequence->max_tokens = (int32_t) max_tokens;
		sequence->n_keep = n_keep;
		sequence->tokens = calloc(max_tokens, sizeof(int32_t));
		sequence->marked = calloc(max_tokens, sizeof(int32_t));
		sequence->pages.capacity = (int32_t) ((max_tokens + LLM_KV_PAGE - 1) / LLM_KV_PAGE);
		sequence->pages.pages = calloc(sequence->pages.capacity, sizeof(int32_t));
		sequence->stops = llm_stop_matcher_create(request->n_stops, request->stops,
												  request->stop_lengths);
		if (request->kind == LLM_EMBED)
			sequence->pool = llm_pool_create(request->pooling, request->n_prompt, dim);
	}
	if (sequence == NULL || sequence->tokens == NULL || sequence->marked == NULL || sequence->pages.pages == NULL ||
		sequence->stops == NULL || (request->kind == LLM_EMBED && sequence->pool == NULL))
	{
		llm_sequence_free(sequence);
		llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory for a request of %d tokens",
				 (int) max_tokens);
		return NULL;
	}
	for (int32_t i = 0; i < request->n_prompt; i++)
		sequence->marked[i] = sequence->tokens[i] = request->prompt[i] & ~LLM_ANSWER_TOKEN;
	sequence->n_tokens = request->n_prompt;
	if (request->kind == LLM_GENERATE && request->grammar != NULL)
	{
		sequence->constraint = llm_constraint_begin(constraints, request->grammar, request->grammar_bytes,
													llm_sequence_n_left(sequence), request->strip_leading_space,
													request->on_limit, error);
		if (sequence->constraint == NULL)
		{
			llm_sequence_free(sequence);
			return NULL;
		}
	}
	return sequence;
}

void
llm_sequence_free(LlmSequence *sequence)
{
	if (sequence == NULL)
		return;
	free(sequence->tokens);
	free(sequence->marked);
	free(sequence->pages.pages);
	llm_constraint_end(sequence->constraint);
	llm_pool_free(sequence->pool);
	llm_stop_matcher_free(sequence->stops);
	free(sequence);
}

void
llm_sequence_mark(LlmSequence *sequence)
{
	const LlmRequest *request = sequence->request;

	sequence->is_marked = true;
	for (int32_t i = 0; i < request->n_prompt; i++)
		if ((request->prompt[i] & LLM_ANSWER_TOKEN) != 0 || (request->kind == LLM_SCORE && i >= request->score_from))
			sequence->marked[i] |= LLM_ANSWER_TOKEN;
}

bool
llm_sequence_is_prompt(const LlmSequence *sequence, int32_t position)
{
	return (sequence->marked[position] & LLM_ANSWER_TOKEN) == 0;
}

int32_t
llm_sequence_run_end(const LlmSequence *sequence, int32_t position)
{
	int32_t		end = position + 1;

	while (end < sequence->n_tokens && llm_sequence_is_prompt(sequence, end) == llm_sequence_is_prompt(sequence, position))
		end++;
	return end;
}

/* The last token that is scored is not itself an input. */
int32_t
llm_sequence_prefill_length(const LlmSequence *sequence)
{
	return sequence->request->kind == LLM_SCORE ? sequence->n_tokens - 1 : sequence->n_tokens;
}

int32_t
llm_sequence_first_wanted(const LlmSequence *sequence)
{
	const LlmRequest *request = sequence->request;

	if (request->kind == LLM_SCORE)
		return request->score_from - 1 + request->n_results;
	if (request->kind == LLM_EMBED)
		return llm_pool_next(sequence->pool);
	return sequence->n_tokens - 1;
}

int32_t
llm_sequence_n_left(const LlmSequence *sequence)
{
	int32_t		of_request = sequence->request->max_tokens - sequence->request->n_results;
	int32_t		of_context = sequence->max_tokens - sequence->n_tokens;

	return of_request < of_context || sequence->n_keep > 0 ? of_request : of_context;
}

LlmFinishReason
llm_sequence_append(LlmSequence *sequence, LlmSample sample, const char *text, size_t length)
{
	LlmRequest *request = sequence->request;
	uint64_t	certain;
	bool		stopped;

	sequence->marked[sequence->n_tokens] = sample.token | (sequence->is_marked ? LLM_ANSWER_TOKEN : 0);
	sequence->tokens[sequence->n_tokens++] = sample.token;
	stopped = llm_stop_matcher_push(sequence->stops, text, length, &certain);
	sequence->n_text_bytes = stopped ? certain : sequence->n_text_bytes + length;

	request->results[request->n_results++] = (LlmTokenResult)
	{
		sample.token, sample.logprob, (uint32_t) certain
	};
	if (stopped)
		return LLM_FINISH_STOP;
	if (sequence->constraint != NULL && llm_constraint_must_end(sequence->constraint))
		return llm_constraint_was_closed(sequence->constraint) ? LLM_FINISH_LENGTH : LLM_FINISH_STOP;
	if (llm_sequence_n_left(sequence) > 0)
		return LLM_FINISH_NONE;
	if (sequence->constraint != NULL && !llm_constraint_may_end(sequence->constraint))
		return LLM_FINISH_INCOMPLETE;
	return LLM_FINISH_LENGTH;
}

bool
llm_sequence_must_shift(const LlmSequence *sequence)
{
	return sequence->n_keep > 0 && sequence->n_tokens == sequence->max_tokens;
}

void
llm_sequence_forget(LlmSequence *sequence)
{
	int32_t    *forgotten = sequence->tokens + sequence->n_keep;
	int32_t		n_left = sequence->n_tokens - sequence->n_keep;
	int32_t		n_forgotten = n_left > 1 ? n_left / 2 : 1;

	memmove(forgotten, forgotten + n_forgotten, (n_left - n_forgotten) * sizeof(int32_t));
	memcpy(sequence->marked + sequence->n_keep, forgotten, (n_left - n_forgotten) * sizeof(int32_t));
	sequence->n_tokens -= n_forgotten;
}

bool
llm_sequence_append_score(LlmSequence *sequence, float logprob)
{
	LlmRequest *request = sequence->request;

	request->results[request->n_results] = (LlmTokenResult)
	{
		llm_sequence_next_scored(sequence), logprob, 0
	};
	request->n_results++;
	return request->n_results == request->n_prompt - request->score_from;
}

int32_t
llm_sequence_next_scored(const LlmSequence *sequence)
{
	return sequence->tokens[sequence->request->score_from + sequence->request->n_results];
}

/* At least the beginning of text, at most half of the context, so that what is forgotten is worth it. */
static int32_t
tokens_to_keep(const LlmRequest *request, int32_t context_length)
{
	int32_t		n_keep = request->n_keep < 0 || request->n_keep > request->n_prompt ? request->n_prompt : request->n_keep;

	if (n_keep > context_length / 2)
		n_keep = context_length / 2;
	return n_keep > 1 ? n_keep : 1;
}
