/*
 * scheduler.c
 *		Admission, fairness between sessions, pages for those who run, and the slices of a step.
 */
#include "engine/scheduler.h"

#include <stdlib.h>
#include <string.h>

#include "engine/prompt_share.h"
#include "engine/sequence_pages.h"
#include "engine/session.h"
#include "engine/step_width.h"

struct LlmScheduler
{
	LlmKvCache *cache;
	LlmPrefixCache *prefixes;
	LlmSchedulerLimits limits;
	LlmSession *sessions;		/* those with a sequence, in no order */
	LlmSequence **running;		/* [max_sequences] oldest first */
	int32_t		n_running;
	LlmStepWidth width;
	int32_t		turn;			/* the place in running with whom the next turn begins */
	int32_t		n_decoding;		/* in the step planned last, if it did nothing else; else 0 */
	int32_t		n_waiting;
	uint64_t	n_arrived;
	uint64_t	n_cached_tokens;
	uint64_t	n_preemptions;
};

static LlmSession *find_session(LlmScheduler *scheduler, uint64_t id);
static void drop_session_if_empty(LlmScheduler *scheduler, LlmSession *session);
static LlmSession *next_session(const LlmScheduler *scheduler);
static bool has_room(const LlmScheduler *scheduler, const LlmSequence *sequence);
static int32_t pages_to_come(const LlmSequence *sequence);
static void enter_running(LlmScheduler *scheduler, LlmSequence *sequence);
static bool leave_running(LlmScheduler *scheduler, LlmSequence *sequence);
static void find_prefixes(LlmScheduler *scheduler);
static bool waits_for_page(const LlmScheduler *scheduler, int32_t place);
static void count_prompt(LlmScheduler *scheduler, LlmSequence *sequence, bool found);
static bool only_decodes(const LlmScheduler *scheduler);
static void take_turns(LlmScheduler *scheduler);
static void grow_running(LlmScheduler *scheduler);
static LlmSequence *choose_victim(const LlmScheduler *scheduler);
static void preempt(LlmScheduler *scheduler, LlmSequence *sequence);
static void add_drafts(LlmScheduler *scheduler);
static int32_t draft(LlmScheduler *scheduler, LlmSequence *sequence, int32_t most);
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
	scheduler->prefixes = llm_prefix_cache_create(cache, 0);
	if (!llm_step_width_init(&scheduler->width, limits->max_sequences) ||
		scheduler->running == NULL || scheduler->prefixes == NULL)
	{
		llm_scheduler_free(scheduler);
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
	llm_prefix_cache_free(scheduler->prefixes);
	llm_step_width_free(&scheduler->width);
	free(scheduler->running);
	free(scheduler);
}

bool
llm_scheduler_add(LlmScheduler *scheduler, LlmSequence *sequence)
{
	LlmSession *session = find_session(scheduler, sequence->request->session);

	if (session == NULL)
		return false;
	sequence->arrival = scheduler->n_arrived++;
	sequence->shares = scheduler->limits.prefix_cache && sequence->request->keep_cached;
	if (scheduler->limits.prompts_differ)
		llm_sequence_mark(sequence);
	llm_session_append(session, sequence);
	scheduler->n_waiting++;
	return true;
}

void
llm_scheduler_remove(LlmScheduler *scheduler, LlmSequence *sequence)
{
	LlmSession *session = sequence->session;

	if (!leave_running(scheduler, sequence))
	{
		llm_session_leave_line(session, sequence);
		scheduler->n_waiting--;
	}
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
	llm_sequence_find_pages(sequence, scheduler->prefixes);
	if (!has_room(scheduler, sequence))
	{
		llm_sequence_release_pages(sequence, scheduler->prefixes);
		return NULL;
	}
	llm_session_leave_line(session, sequence);
	scheduler->n_waiting--;
	enter_running(scheduler, sequence);
	count_prompt(scheduler, sequence, true);
	return sequence;
}

void
llm_scheduler_advance(LlmScheduler *scheduler, LlmSequence *sequence, int32_t n_tokens)
{
	sequence->n_computed += n_tokens;
	llm_sequence_keep_pages(sequence, scheduler->prefixes);
	count_prompt(scheduler, sequence, false);
}

void
llm_scheduler_shift(LlmScheduler *scheduler, LlmSequence *sequence)
{
	llm_sequence_forget(sequence);
	llm_sequence_truncate_pages(sequence, scheduler->prefixes, sequence->n_keep);
	sequence->request->state = LLM_REQUEST_PREFILL;
}

int32_t
llm_scheduler_plan(LlmScheduler *scheduler, LlmSlice *slices, LlmSequence **owners)
{
	int32_t		n_slices = 0;
	int32_t		n_tokens = 0;

	find_prefixes(scheduler);
	llm_share_prompt_tokens(scheduler->running, scheduler->n_running, &scheduler->limits);
	take_turns(scheduler);
	grow_running(scheduler);
	add_drafts(scheduler);
	for (int32_t i = 0; i < scheduler->n_running; i++)
	{
		LlmSequence *sequence = scheduler->running[i];

		if (sequence->chunk == 0)
			continue;
		fill_slice(&slices[n_slices], sequence);
		owners[n_slices] = sequence;
		sequence->slice = n_slices++;
		n_tokens += sequence->chunk;
	}
	scheduler->n_decoding = only_decodes(scheduler) && n_tokens == n_slices ? n_slices : 0;
	return n_slices;
}

void
llm_scheduler_timed(LlmScheduler *scheduler, int64_t us)
{
	if (scheduler->n_decoding > 0)
		llm_step_width_note(&scheduler->width, scheduler->n_decoding, us);
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
llm_scheduler_n_sequences(const LlmScheduler *scheduler)
{
	return scheduler->n_running + scheduler->n_waiting;
}

void
llm_scheduler_statistics(const LlmScheduler *scheduler, LlmEngineStatistics *statistics)
{
	statistics->running = scheduler->n_running;
	statistics->waiting = scheduler->n_waiting;
	statistics->cached_tokens = scheduler->n_cached_tokens;
	statistics->preemptions = scheduler->n_preemptions;
	statistics->kv_pages = llm_kv_cache_n_pages(scheduler->cache);
	statistics->kv_pages_free = llm_prefix_cache_n_available(scheduler->prefixes);
	statistics->kv_pages_cached = llm_prefix_cache_n_unused(scheduler->prefixes);
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

/*
 * For all of its tokens, beside what those who run need for theirs and, as far as they
 * can still grow, one page more each: whoever is let in should not have to go at once.
 */
static bool
has_room(const LlmScheduler *scheduler, const LlmSequence *sequence)
{
	int64_t		needed = pages_to_come(sequence);

	if (scheduler->n_running == 0)
		return true;
	for (int32_t i = 0; i < scheduler->n_running; i++)
	{
		const LlmSequence *other = scheduler->running[i];
		int32_t		soon = pages_to_come(other) + 1;
		int32_t		most = other->pages.capacity - other->pages.n_pages;

		needed += soon < most ? soon : most;
	}
	return needed <= llm_prefix_cache_n_available(scheduler->prefixes);
}

/* That it lacks for the tokens that it has now. */
static int32_t
pages_to_come(const LlmSequence *sequence)
{
	int32_t		n_pages = llm_pages_for(llm_sequence_prefill_length(sequence)) - sequence->pages.n_pages;

	return n_pages > 0 ? n_pages : 0;
}

static void
enter_running(LlmScheduler *scheduler, LlmSequence *sequence)
{
	int32_t		place = scheduler->n_running++;

	while (place > 0 && scheduler->running[place - 1]->arrival > sequence->arrival)
	{
		scheduler->running[place] = scheduler->running[place - 1];
		place--;
	}
	scheduler->running[place] = sequence;
	sequence->session->n_running++;
	sequence->request->state = LLM_REQUEST_PREFILL;
}

/* Give its place and its pages back; false when it does not run. */
static bool
leave_running(LlmScheduler *scheduler, LlmSequence *sequence)
{
	int32_t		place = 0;

	while (place < scheduler->n_running && scheduler->running[place] != sequence)
		place++;
	if (place == scheduler->n_running)
		return false;
	scheduler->n_running--;
	memmove(&scheduler->running[place], &scheduler->running[place + 1],
			(scheduler->n_running - place) * sizeof(LlmSequence *));
	sequence->session->n_running--;
	llm_sequence_release_pages(sequence, scheduler->prefixes);
	return true;
}

/*
 * Whoever is in prefill looks again what others have computed meanwhile, and waits where
 * an older one is about to compute the same page.
 */
static void
find_prefixes(LlmScheduler *scheduler)
{
	for (int32_t i = 0; i < scheduler->n_running; i++)
	{
		LlmSequence *sequence = scheduler->running[i];

		sequence->waits_for_page = false;
		if (sequence->request->state != LLM_REQUEST_PREFILL || !sequence->shares)
			continue;
		llm_sequence_find_pages(sequence, scheduler->prefixes);
		count_prompt(scheduler, sequence, true);
		sequence->waits_for_page = waits_for_page(scheduler, i);
	}
}

static bool
waits_for_page(const LlmScheduler *scheduler, int32_t place)
{
	for (int32_t i = 0; i < place; i++)
	{
		if (scheduler->running[i]->request->state == LLM_REQUEST_PREFILL &&
			llm_sequence_computes_page_for(scheduler->running[i], scheduler->running[place]))
			return true;
	}
	return false;
}

/* Tell the request how far its prompt is; what is computed again is not counted again. */
static void
count_prompt(LlmScheduler *scheduler, LlmSequence *sequence, bool found)
{
	LlmRequest *request = sequence->request;
	int32_t		n_prompt = request->kind == LLM_SCORE ? request->n_prompt - 1 : request->n_prompt;
	int32_t		reached = sequence->n_computed < n_prompt ? sequence->n_computed : n_prompt;
	int32_t		n_new = reached - request->n_prefilled;

	if (n_new <= 0)
		return;
	request->n_prefilled = reached;
	if (found)
	{
		request->n_cached += n_new;
		scheduler->n_cached_tokens += (uint64_t) n_new;
	}
}

static bool
only_decodes(const LlmScheduler *scheduler)
{
	for (int32_t i = 0; i < scheduler->n_running; i++)
		if (scheduler->running[i]->request->state != LLM_REQUEST_DECODE)
			return false;
	return true;
}

/* Who sits out this step is the first to be in the next one. */
static void
take_turns(LlmScheduler *scheduler)
{
	const int32_t n = scheduler->n_running;
	int32_t		width;

	if (!scheduler->limits.take_turns || n <= LLM_ALWAYS_WHOLE || !only_decodes(scheduler))
		return;
	width = llm_step_width_choose(&scheduler->width, n);
	for (int32_t i = width; i < n; i++)
		scheduler->running[(scheduler->turn + i) % n]->chunk = 0;
	scheduler->turn = (scheduler->turn + width) % n;
}

/* Pages for every chunk, oldest first; who must go to make room is not in the step. */
static void
grow_running(LlmScheduler *scheduler)
{
	int32_t		place = 0;

	while (place < scheduler->n_running)
	{
		LlmSequence *sequence = scheduler->running[place];
		LlmSequence *victim;

		if (llm_sequence_grow_pages(sequence, scheduler->prefixes,
									sequence->n_computed + sequence->chunk))
		{
			place++;
			continue;
		}
		victim = choose_victim(scheduler);
		if (victim->arrival < sequence->arrival)
			place--;
		preempt(scheduler, victim);
	}
}

static LlmSequence *
choose_victim(const LlmScheduler *scheduler)
{
	LlmSequence *victim = scheduler->running[0];

	for (int32_t i = 1; i < scheduler->n_running; i++)
	{
		if (scheduler->running[i]->session->n_running >= victim->session->n_running)
			victim = scheduler->running[i];
	}
	return victim;
}

static void
preempt(LlmScheduler *scheduler, LlmSequence *sequence)
{
	leave_running(scheduler, sequence);
	llm_session_prepend(sequence->session, sequence);
	sequence->request->state = LLM_REQUEST_WAITING;
	scheduler->n_waiting++;
	scheduler->n_preemptions++;
}

/* Fill a step that would leave the arithmetic idle up with drafts, evenly. */
static void
add_drafts(LlmScheduler *scheduler)
{
	int32_t		n_left = LLM_DRAFT_COLUMNS - scheduler->n_running;

	for (int32_t i = 0; i < scheduler->n_running; i++)
		scheduler->running[i]->n_drafted = 0;
	if (!scheduler->limits.speculation || n_left <= 0 || !only_decodes(scheduler))
		return;
	for (int32_t i = 0; i < scheduler->n_running; i++)
		n_left -= draft(scheduler, scheduler->running[i], n_left / (scheduler->n_running - i));
}

/* As many tokens as pages can be had for without anybody's loss. */
static int32_t
draft(LlmScheduler *scheduler, LlmSequence *sequence, int32_t most)
{
	int32_t		room = sequence->max_tokens - sequence->n_tokens - 1;
	int32_t		allowance = llm_draft_allowance(&sequence->pace);
	int32_t		n_drafted;

	most = most < allowance ? most : allowance;
	most = most < room ? most : room;
	if (most <= 0)
		return 0;
	n_drafted = llm_draft(sequence->tokens, sequence->n_tokens, most);
	if (n_drafted == 0 ||
		!llm_sequence_grow_pages(sequence, scheduler->prefixes, sequence->n_tokens + n_drafted))
		return 0;
	sequence->n_drafted = n_drafted;
	sequence->chunk += n_drafted;
	return n_drafted;
}

static void
fill_slice(LlmSlice *slice, const LlmSequence *sequence)
{
	int32_t		last = sequence->n_computed + sequence->chunk;
	int32_t		n_wanted = last - llm_sequence_first_wanted(sequence);

	memset(slice, 0, sizeof(*slice));
	slice->tokens = sequence->tokens + sequence->n_computed;
	slice->n_tokens = sequence->chunk;
	slice->first_position = sequence->n_computed;
	slice->pages = &sequence->pages;
	slice->is_prompt = llm_sequence_is_prompt(sequence, sequence->n_computed);
	if (n_wanted <= 0)
		return;
	if (sequence->request->kind == LLM_EMBED)
		slice->n_states = n_wanted;
	else
		slice->n_logits = n_wanted;
}
