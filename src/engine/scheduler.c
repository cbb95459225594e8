/*
 * scheduler.c
 *		Admission, fairness between sessions, and the share of each step.
 */
#include "engine/scheduler.h"

#include <stdlib.h>
#include <string.h>

/*
 * While somebody waits for the next token of a text, prompts get this part of a
 * step's tokens only: the others' pause is as long as the step.
 */
#define DECODING_DIVISOR 4

struct LlmSession
{
	uint64_t	id;
	int32_t		n_running;
	LlmSequence *first;			/* the waiting line, oldest first */
	LlmSequence *last;
	LlmSession *next;
};

struct LlmScheduler
{
	LlmKvCache *cache;
	LlmSchedulerLimits limits;
	LlmSession *sessions;		/* those with a sequence, in no order */
	LlmSequence **running;		/* [max_sequences] in order of admission */
	int32_t		n_running;
	int32_t		n_waiting;
	uint64_t	n_arrived;
};

static LlmSession *find_session(LlmScheduler *scheduler, uint64_t id);
static void drop_session_if_empty(LlmScheduler *scheduler, LlmSession *session);
static LlmSession *next_session(const LlmScheduler *scheduler);
static void leave_line(LlmScheduler *scheduler, LlmSequence *sequence);
static bool take_pages(LlmScheduler *scheduler, LlmSequence *sequence);
static void release_pages(LlmScheduler *scheduler, LlmSequence *sequence);
static void share_prompt_tokens(LlmScheduler *scheduler);
static int32_t prompt_need(const LlmSequence *sequence, int32_t max_rows);
static void fill_slice(LlmSlice *slice, const LlmSequence *sequence);

LlmScheduler *
llm_scheduler_create(LlmKvCache *cache, const LlmSchedulerLimits *limits)
{
	LlmScheduler *scheduler = calloc(1, sizeof(LlmScheduler));

	if (scheduler == NULL)
		return NULL;
	scheduler->cache = cache;
	scheduler->limits = *limits;
	scheduler->running = calloc(limits->max_sequences, sizeof(LlmSequence *));
	if (scheduler->running == NULL)
	{
		free(scheduler);
		return NULL;
	}
	return scheduler;
}

void
llm_scheduler_free(LlmScheduler *scheduler)
{
	LlmSequence *sequence;

	if (scheduler == NULL)
		return;
	while ((sequence = llm_scheduler_find(scheduler, NULL)) != NULL)
	{
		llm_scheduler_remove(scheduler, sequence);
		llm_sequence_free(sequence);
	}
	free(scheduler->running);
	free(scheduler);
}

bool
llm_scheduler_add(LlmScheduler *scheduler, LlmSequence *sequence)
{
	LlmSession *session = find_session(scheduler, sequence->request->session);

	if (session == NULL)
		return false;
	sequence->session = session;
	sequence->arrival = scheduler->n_arrived++;
	sequence->previous = session->last;
	sequence->next = NULL;
	if (session->last != NULL)
		session->last->next = sequence;
	else
		session->first = sequence;
	session->last = sequence;
	scheduler->n_waiting++;
	return true;
}

void
llm_scheduler_remove(LlmScheduler *scheduler, LlmSequence *sequence)
{
	LlmSession *session = sequence->session;
	int32_t		place = 0;

	while (place < scheduler->n_running && scheduler->running[place] != sequence)
		place++;
	if (place < scheduler->n_running)
	{
		scheduler->n_running--;
		memmove(&scheduler->running[place], &scheduler->running[place + 1],
				(scheduler->n_running - place) * sizeof(LlmSequence *));
		session->n_running--;
		release_pages(scheduler, sequence);
	}
	else
		leave_line(scheduler, sequence);
	sequence->session = NULL;
	drop_session_if_empty(scheduler, session);
}

LlmSequence *
llm_scheduler_admit(LlmScheduler *scheduler)
{
	LlmSession *session;
	LlmSequence *sequence;

	if (scheduler->n_running == scheduler->limits.max_sequences)
		return NULL;
	session = next_session(scheduler);
	if (session == NULL)
		return NULL;
	sequence = session->first;
	if (!take_pages(scheduler, sequence))
		return NULL;
	leave_line(scheduler, sequence);
	session->n_running++;
	scheduler->running[scheduler->n_running++] = sequence;
	return sequence;
}

int32_t
llm_scheduler_plan(LlmScheduler *scheduler, LlmSlice *slices, LlmSequence **owners)
{
	int32_t		n_slices = 0;

	share_prompt_tokens(scheduler);
	for (int32_t i = 0; i < scheduler->n_running; i++)
	{
		LlmSequence *sequence = scheduler->running[i];

		if (sequence->chunk == 0)
			continue;
		fill_slice(&slices[n_slices], sequence);
		owners[n_slices] = sequence;
		sequence->slice = n_slices++;
	}
	return n_slices;
}

LlmSequence *
llm_scheduler_find(const LlmScheduler *scheduler, bool (*wanted) (const LlmSequence *sequence))
{
	for (int32_t i = 0; i < scheduler->n_running; i++)
	{
		if (wanted == NULL || wanted(scheduler->running[i]))
			return scheduler->running[i];
	}
	for (LlmSession *session = scheduler->sessions; session != NULL; session = session->next)
	{
		for (LlmSequence *sequence = session->first; sequence != NULL; sequence = sequence->next)
		{
			if (wanted == NULL || wanted(sequence))
				return sequence;
		}
	}
	return NULL;
}

int32_t
llm_scheduler_n_running(const LlmScheduler *scheduler)
{
	return scheduler->n_running;
}

int32_t
llm_scheduler_n_waiting(const LlmScheduler *scheduler)
{
	return scheduler->n_waiting;
}

/* The session with this id, made where it is new; NULL for want of memory. */
static LlmSession *
find_session(LlmScheduler *scheduler, uint64_t id)
{
	LlmSession *session = scheduler->sessions;

	while (session != NULL && session->id != id)
		session = session->next;
	if (session == NULL)
	{
		session = calloc(1, sizeof(LlmSession));
		if (session == NULL)
			return NULL;
		session->id = id;
		session->next = scheduler->sessions;
		scheduler->sessions = session;
	}
	return session;
}

static void
drop_session_if_empty(LlmScheduler *scheduler, LlmSession *session)
{
	LlmSession **link = &scheduler->sessions;

	if (session->n_running > 0 || session->first != NULL)
		return;
	while (*link != session)
		link = &(*link)->next;
	*link = session->next;
	free(session);
}

/* Whose turn it is, or NULL when nobody waits. */
static LlmSession *
next_session(const LlmScheduler *scheduler)
{
	LlmSession *best = NULL;

	for (LlmSession *session = scheduler->sessions; session != NULL; session = session->next)
	{
		if (session->first == NULL)
			continue;
		if (best == NULL || session->n_running < best->n_running ||
			(session->n_running == best->n_running && session->first->arrival < best->first->arrival))
			best = session;
	}
	return best;
}

static void
leave_line(LlmScheduler *scheduler, LlmSequence *sequence)
{
	LlmSession *session = sequence->session;

	if (sequence->previous != NULL)
		sequence->previous->next = sequence->next;
	else
		session->first = sequence->next;
	if (sequence->next != NULL)
		sequence->next->previous = sequence->previous;
	else
		session->last = sequence->previous;
	sequence->previous = NULL;
	sequence->next = NULL;
	scheduler->n_waiting--;
}

/* All the pages that the sequence can come to need, or none. */
static bool
take_pages(LlmScheduler *scheduler, LlmSequence *sequence)
{
	LlmPageTable *table = &sequence->pages;

	if (llm_kv_cache_n_free(scheduler->cache) < table->capacity - table->n_pages)
		return false;
	while (table->n_pages < table->capacity)
		table->pages[table->n_pages++] = llm_kv_cache_take(scheduler->cache);
	return true;
}

static void
release_pages(LlmScheduler *scheduler, LlmSequence *sequence)
{
	LlmPageTable *table = &sequence->pages;

	while (table->n_pages > 0)
		llm_kv_cache_release(scheduler->cache, table->pages[--table->n_pages]);
}

/*
 * Set every running sequence's chunk: one token where it decodes, an even
 * share of the budget where its prompt is still being read; what one does
 * not need goes to the others.
 */
static void
share_prompt_tokens(LlmScheduler *scheduler)
{
	int32_t		n_decoding = 0;
	int32_t		n_scoring = 0;
	int32_t		n_hungry;
	int32_t		budget = scheduler->limits.step_tokens;
	int32_t		score_rows = 1;

	for (int32_t i = 0; i < scheduler->n_running; i++)
	{
		LlmSequence *sequence = scheduler->running[i];
		bool		decodes = sequence->request->state == LLM_REQUEST_DECODE;

		sequence->chunk = decodes ? 1 : 0;
		n_decoding += decodes;
		n_scoring += sequence->request->kind == LLM_SCORE;
	}
	if (n_decoding > 0 && budget >= DECODING_DIVISOR)
		budget /= DECODING_DIVISOR;

	/* Everybody may need a row of logits; those who score share what is left. */
	if (n_scoring > 0)
		score_rows += (scheduler->limits.max_logits - scheduler->n_running) / n_scoring;

	do
	{
		int32_t		share;

		n_hungry = 0;
		for (int32_t i = 0; i < scheduler->n_running; i++)
			n_hungry += prompt_need(scheduler->running[i], score_rows) > 0;
		if (n_hungry == 0)
			break;
		share = budget / n_hungry > 0 ? budget / n_hungry : 1;
		for (int32_t i = 0; i < scheduler->n_running && budget > 0; i++)
		{
			LlmSequence *sequence = scheduler->running[i];
			int32_t		need = prompt_need(sequence, score_rows);
			int32_t		given = need < share ? need : share;

			given = given < budget ? given : budget;
			sequence->chunk += given;
			budget -= given;
		}
	} while (budget > 0);
}

/* How many prompt tokens a sequence could compute in this step beside its chunk. */
static int32_t
prompt_need(const LlmSequence *sequence, int32_t max_rows)
{
	const LlmRequest *request = sequence->request;
	int32_t		last = llm_sequence_prompt_length(sequence);

	if (request->state == LLM_REQUEST_DECODE)
		return 0;
	if (request->kind == LLM_SCORE)
	{
		int32_t		first_row = request->score_from - 1;

		if (first_row < sequence->n_computed)
			first_row = sequence->n_computed;
		if (last - first_row > max_rows)
			last = first_row + max_rows;
	}
	return last - sequence->n_computed - sequence->chunk;
}

static void
fill_slice(LlmSlice *slice, const LlmSequence *sequence)
{
	const LlmRequest *request = sequence->request;
	int32_t		last = sequence->n_computed + sequence->chunk;

	memset(slice, 0, sizeof(*slice));
	slice->tokens = sequence->tokens + sequence->n_computed;
	slice->n_tokens = sequence->chunk;
	slice->first_position = sequence->n_computed;
	slice->pages = &sequence->pages;
	if (request->kind == LLM_GENERATE)
		slice->n_logits = last == sequence->n_tokens ? 1 : 0;
	else if (last >= request->score_from)
	{
		slice->n_logits = last - (request->score_from - 1);
		if (slice->n_logits > sequence->chunk)
			slice->n_logits = sequence->chunk;
	}
}
