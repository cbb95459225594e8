/*
 * serve.c
 *		The worker's loop: takes requests off the queue, steps the engine, hands results back.
 *
 * Results are written by the engine straight into the request's payload in
 * shared memory; n_results is published after each step, with a barrier, and
 * the owner reads no further than that.  Callbacks from the middle of a step run
 * on the main thread and do only what cannot raise an error.
 */
#include "worker/worker.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/pmsignal.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "engine/kernels/kernels.h"
#include "server/parameters.h"
#include "shared/compat.h"
#include "shared/memory_plan.h"
#include "shared/model_memory.h"
#include "worker/give_way.h"

typedef struct RunningRequest
{
	bool		in_use;
	Llama2RequestSlot *slot;
	LlmRequest	request;
	int32		n_published;
} RunningRequest;

static void create_engine(void);
static bool bytes_for(const LlmEngineOptions *options, uint64 *bytes, LlmError *error);
static bool can_have(const LlmEngineOptions *options);
static void take_requests(void);
static void start_request(RunningRequest *running, Llama2RequestSlot *slot);
static void step(void);
static int	job_workers(int *pids);
static void publish_results(void);
static void note_done(LlmRequest *request, void *arg);
static void finish_request(LlmRequest *request);
static bool note_failure(const LlmRequest *request);
static void publish_statistics(void);
static bool should_abandon_step(void *arg);
static void touch(void);
static void wait_for_work(long timeout_ms);
static void reload_parameters(void);
static bool may_pause(void);
static bool queue_has_request(bool queries_only);

static Llama2Resident *model;	/* what this process serves */
static Llama2ModelEntry *entry;
static LlmEngine *engine = NULL;
static LlmEngineOptions engine_options;
static LlmEngineOptions wanted_options; /* what the parameters say */
static bool engine_outdated;	/* made anew with these when nothing runs */
static LlmEngineStatistics published;
static RunningRequest *running; /* [engine_options.max_sequences] */
static int	n_running;
static int	n_giving_way;		/* of them: requests of jobs */
static Llama2SessionTurn *sessions; /* [processes] */

void
Llama2Serve(Llama2Resident *resident)
{
	model = resident;
	entry = &llama2_control->models[model->model];
	sessions = MemoryContextAllocZero(TopMemoryContext, sizeof(Llama2SessionTurn) * ProcGlobal->allProcCount);
	Llama2EngineOptions(&wanted_options);
	create_engine();
	ConditionVariableBroadcast(&llama2_control->model_changed);

	for (;;)
	{
		long		timeout_ms;

		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
			reload_parameters();
		if (engine_outdated && n_running == 0)
			create_engine();

		take_requests();
		if (n_running == 0)
		{
			if (pg_atomic_read_u32(&entry->stop) != 0 && !queue_has_request(false))
				break;
			if (Llama2LeaveWhenIdle(model->model, &timeout_ms))
				break;
			wait_for_work(timeout_ms);
			continue;
		}
		if (may_pause() && (timeout_ms = Llama2PauseLeft()) > 0)
		{
			wait_for_work(timeout_ms);
			continue;
		}
		step();
		publish_statistics();
		publish_results();
		if (n_running == 0)
			touch();
		if (!PostmasterIsAlive())
			proc_exit(1);
	}
	llm_engine_free(engine);
	engine = NULL;
}

/* With wanted_options, when nothing runs. */
static void
create_engine(void)
{
	LlmError	error = {0};
	uint64_t	kv_bytes = 0;
	uint64_t	activation_bytes = 0;
	uint64		bytes;

	if (engine)
		llm_engine_free(engine);
	if (running)
		pfree(running);
	engine_options = wanted_options;
	if (bytes_for(&engine_options, &bytes, NULL) && !Llama2ChangeClaim(model->model, bytes))
		engine_options.kv_bytes = entry->kv_bytes;
	Llama2StartThreads(engine_options.n_threads);
	engine = llm_engine_create(&model->weights, model->vocabulary, &engine_options, &error);
	if (engine == NULL)
		Llama2GiveUp(model->model, Llama2ErrorSqlState(&error), error.message,
					 error.hint[0] ? error.hint : NULL);
	llm_engine_on_done(engine, note_done, NULL);
	llm_engine_on_layer(engine, should_abandon_step, NULL);
	running = MemoryContextAllocZero(TopMemoryContext,
									 sizeof(RunningRequest) * engine_options.max_sequences);
	n_running = 0;
	n_giving_way = 0;
	engine_outdated = false;
	memset(&published, 0, sizeof(published));
	(void) llm_engine_plan(&model->weights.config, &engine_options, &kv_bytes, &activation_bytes, NULL);

	LWLockAcquire(llama2_control->lock, LW_EXCLUSIVE);
	entry->context_length = llm_engine_context_length(engine);
	entry->threads = llm_engine_n_threads(engine);
	entry->kv_bytes = kv_bytes;
	entry->activation_bytes = activation_bytes;
	strlcpy(entry->kernels, llm_engine_kernels(engine), sizeof(entry->kernels));
	LWLockRelease(llama2_control->lock);
	publish_statistics();
}

/* What the model takes with these options; false where they do not suit it. */
static bool
bytes_for(const LlmEngineOptions *options, uint64 *bytes, LlmError *error)
{
	uint64_t	kv_bytes;
	uint64_t	activation_bytes;

	if (!llm_engine_plan(&model->weights.config, options, &kv_bytes, &activation_bytes, error))
		return false;
	*bytes = entry->image_bytes + entry->vocabulary_bytes + kv_bytes + activation_bytes;
	return true;
}

/*
 * Can the model, which runs, be run with these options instead?  What it takes more is claimed; else the log says why it
 * goes on as it is.
 */
static bool
can_have(const LlmEngineOptions *options)
{
	LlmError	error = {0};
	uint64		bytes;

	if (llm_kernels_select(options->kernels, &error) != NULL && bytes_for(options, &bytes, &error))
	{
		if (bytes <= entry->memory_bytes || Llama2ChangeClaim(model->model, bytes))
			return true;
		llm_fail(&error, LLM_ERROR_ARGUMENT, "there is no room for the %d MB that it would take with the new ones",
				 (int) Llama2Megabytes(bytes));
	}
	ereport(LOG,
			(errmsg("llama2 model \"%s\" goes on with the parameters that it has: %s", entry->name, error.message),
			 error.hint[0] ? errhint("%s", error.hint) : 0));
	return false;
}

static void
take_requests(void)
{
	while (n_running < engine_options.max_sequences && !engine_outdated)
	{
		Llama2RequestSlot *slot = Llama2SlotClaim(model->model, sessions);
		int			place = 0;

		if (slot == NULL)
			break;
		while (running[place].in_use)
			place++;
		start_request(&running[place], slot);
	}
	pg_atomic_write_u32(&entry->running, n_running);
}

static void
start_request(RunningRequest *place, Llama2RequestSlot *slot)
{
	LlmRequest *request = &place->request;
	char	   *payload = dsa_get_address(Llama2PayloadArea(), slot->payload);
	const char *stop = payload + slot->stops_offset;
	LlmError	error = {0};

	memset(place, 0, sizeof(*place));
	place->slot = slot;
	request->kind = slot->kind;
	request->prompt = (const int32 *) payload;
	request->n_prompt = slot->n_prompt;
	request->max_tokens = slot->max_tokens;
	request->context_length = slot->context_length;
	request->shift_context = slot->shift_context;
	request->n_keep = slot->n_keep;
	request->score_from = slot->score_from;
	request->pooling = slot->pooling;
	request->normalize = slot->normalize;
	request->sampling = slot->sampling;
	request->n_stops = slot->n_stops;
	for (int i = 0; i < slot->n_stops; i++)
	{
		request->stops[i] = stop;
		request->stop_lengths[i] = slot->stop_lengths[i];
		stop += slot->stop_lengths[i];
	}
	if (slot->grammar_bytes > 0)
	{
		request->grammar = payload + slot->grammar_offset;
		request->grammar_bytes = slot->grammar_bytes;
		request->on_limit = slot->on_limit;
	}
	request->strip_leading_space = slot->strip_leading_space;
	/* who wants all states finds nothing in the cache, and would drive out what others find */
	request->keep_cached = slot->kind != LLM_EMBED || slot->pooling == LLM_POOL_LAST;
	request->cache_scope = slot->userid;
	request->session = slot->session;
	request->cancel = &slot->cancel;
	if (slot->kind == LLM_EMBED)
		request->embedding = (float *) (payload + slot->results_offset);
	else
		request->results = (LlmTokenResult *) (payload + slot->results_offset);
	request->n_top = slot->n_top;
	request->top = (LlmSample *) (payload + slot->top_offset);
	request->arg = place;

	if (slot->kind == LLM_EMBED && slot->dim != model->weights.config.dim)
		llm_fail(&error, LLM_ERROR_ARGUMENT, "the model was replaced by one whose states have %d numbers, not %d",
				 model->weights.config.dim, slot->dim);
	if (error.code != LLM_OK || !llm_engine_submit(engine, request, &error))
	{
		Llama2SetFailure(&slot->failure, Llama2ErrorSqlState(&error), error.message,
						 error.hint[0] ? error.hint : NULL);
		Llama2AddStatistic(failed, 1);
		Llama2SlotFinish(slot);
		return;
	}
	place->in_use = true;
	n_running++;
	n_giving_way += slot->gives_way;
	sessions[slot->session].n_running++;
}

/* Where nothing but jobs run, with an eye on whether others want the processors. */
static void
step(void)
{
	int			owners[GIVE_WAY_OWNERS];
	int			n_owners = n_giving_way == n_running ? job_workers(owners) : 0;

	if (n_owners > 0)
		Llama2StepBegins(owners, n_owners);
	else
		Llama2EndPause();
	(void) llm_engine_step(engine);
	if (n_owners > 0 && Llama2StepEnds())
		Llama2AddStatistic(job_pauses, 1);
}

/* The processes whose requests run, as far as there is room for them. */
static int
job_workers(int *pids)
{
	int			n = 0;

	for (int i = 0; i < engine_options.max_sequences; i++)
	{
		int			known = 0;

		if (!running[i].in_use)
			continue;
		while (known < n && pids[known] != running[i].slot->owner_pid)
			known++;
		if (known == n && n < GIVE_WAY_OWNERS)
			pids[n++] = running[i].slot->owner_pid;
	}
	return n;
}

static void
publish_results(void)
{
	for (int i = 0; i < engine_options.max_sequences; i++)
	{
		RunningRequest *place = &running[i];
		LlmRequest *request = &place->request;

		if (!place->in_use)
			continue;
		if (request->state == LLM_REQUEST_DONE)
		{
			finish_request(request);
			continue;
		}
		pg_atomic_write_u32(&place->slot->phase, request->state);
		pg_atomic_write_u32(&place->slot->n_prefilled, request->n_prefilled);
		if (request->n_results > place->n_published)
		{
			pg_write_barrier();
			pg_atomic_write_u32(&place->slot->n_results, request->n_results);
			place->n_published = request->n_results;
			if (place->slot->wake_each_token)
				SetLatch(place->slot->owner_latch);
		}
	}
}

/*
 * A cancelled request goes back in the middle of the step.  Any other waits for
 * publish_results, so that who has its answer finds it in the statistics.
 */
static void
note_done(LlmRequest *request, void *arg)
{
	if (request->finish == LLM_FINISH_CANCELLED)
		finish_request(request);
}

/* Hand a request back to its owner. */
static void
finish_request(LlmRequest *request)
{
	RunningRequest *place = request->arg;
	Llama2RequestSlot *slot = place->slot;

	place->in_use = false;
	n_running--;
	n_giving_way -= slot->gives_way;
	sessions[slot->session].n_running--;

	slot->finish = request->finish;
	slot->text_bytes = request->text_bytes;
	slot->n_cached = request->n_cached;
	if (request->started_us != 0)
	{
		int64		first_us = request->first_token_us ? request->first_token_us : request->finished_us;

		slot->queue_ms = (double) (slot->started_at - slot->queued_at) / 1000.0;
		slot->prefill_ms = (double) (first_us - request->started_us) / 1000.0;
		slot->decode_ms = (double) (request->finished_us - first_us) / 1000.0;
		Llama2AddStatistic(queue_us, (uint64) Max(slot->started_at - slot->queued_at, 0));
		Llama2AddStatistic(prefill_us, (uint64) Max(first_us - request->started_us, 0));
		Llama2AddStatistic(decode_us, (uint64) Max(request->finished_us - first_us, 0));
	}
	if (request->finish == LLM_FINISH_CANCELLED)
		Llama2AddStatistic(cancelled, 1);
	else if (note_failure(request))
		Llama2AddStatistic(failed, 1);
	else
		Llama2AddStatistic(completed, 1);
	Llama2AddStatistic(prompt_tokens, request->n_prefilled);
	Llama2AddStatistic(cached_tokens, request->n_cached);
	if (request->kind == LLM_GENERATE)
		Llama2AddStatistic(completion_tokens, request->n_results);
	else if (request->kind == LLM_SCORE)
		Llama2AddStatistic(scored_tokens, request->n_results);

	pg_atomic_write_u32(&slot->n_prefilled, request->n_prefilled);
	pg_write_barrier();
	pg_atomic_write_u32(&slot->n_results, request->n_results);
	Llama2SlotFinish(slot);
}

/* What only a grammar can bring about. */
static bool
note_failure(const LlmRequest *request)
{
	Llama2RequestSlot *slot = ((RunningRequest *) request->arg)->slot;
	char		message[LLAMA2_ERROR_LENGTH];

	if (request->finish == LLM_FINISH_FAILED)
		Llama2SetFailure(&slot->failure, Llama2ErrorSqlState(&request->failure), request->failure.message,
						 request->failure.hint[0] ? request->failure.hint : NULL);
	else if (request->finish == LLM_FINISH_INCOMPLETE)
	{
		snprintf(message, sizeof(message), "the text is not complete after %d tokens", request->n_results);
		Llama2SetFailure(&slot->failure, ERRCODE_PROGRAM_LIMIT_EXCEEDED, message,
						 "Increase max_tokens, or let the option \"on_limit\" be \"close\".");
	}
	return request->finish == LLM_FINISH_FAILED || request->finish == LLM_FINISH_INCOMPLETE;
}

static void
publish_statistics(void)
{
	LlmEngineStatistics now;

	llm_engine_statistics(engine, &now);
	Llama2AddStatistic(steps, now.steps - published.steps);
	Llama2AddStatistic(sequence_steps, now.sequence_steps - published.sequence_steps);
	Llama2AddStatistic(prefill_tokens, now.prefill_tokens - published.prefill_tokens);
	Llama2AddStatistic(decode_tokens, now.decode_tokens - published.decode_tokens);
	Llama2AddStatistic(drafted_tokens, now.drafted_tokens - published.drafted_tokens);
	Llama2AddStatistic(accepted_tokens, now.accepted_tokens - published.accepted_tokens);
	Llama2AddStatistic(preemptions, now.preemptions - published.preemptions);
	Llama2AddStatistic(step_us, now.step_us - published.step_us);
	pg_atomic_write_u32(&entry->running, now.running + now.waiting);
	pg_atomic_write_u32(&entry->kv_pages, now.kv_pages);
	pg_atomic_write_u32(&entry->kv_pages_free, now.kv_pages_free);
	pg_atomic_write_u32(&entry->kv_pages_cached, now.kv_pages_cached);
	published = now;
}

static bool
should_abandon_step(void *arg)
{
	return Llama2WorkerShouldStop();
}

/* The model is idle from now on. */
static void
touch(void)
{
	pg_atomic_write_u64(&entry->last_used, (uint64) GetCurrentTimestamp());
	ConditionVariableBroadcast(&llama2_control->model_changed);
}

/* timeout_ms -1: whatever comes first, work or a signal. */
static void
wait_for_work(long timeout_ms)
{
	static uint32 wait_event = 0;

	pgstat_report_activity(STATE_IDLE, NULL);
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (timeout_ms >= 0 ? WL_TIMEOUT : 0), timeout_ms,
					 LLAMA2_WAIT_EVENT(wait_event, "Llama2WorkerMain"));
	pgstat_report_activity(STATE_RUNNING, "generating");
}

/* The engine is made anew for other parameters, if there can be one; one that had no room is tried again each time. */
static void
reload_parameters(void)
{
	uint64		bytes;

	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	Llama2EngineOptions(&wanted_options);
	engine_outdated = wanted_options.n_threads != engine_options.n_threads ||
		wanted_options.kernels != engine_options.kernels ||
		wanted_options.kv_type != engine_options.kv_type ||
		wanted_options.kv_bytes != engine_options.kv_bytes ||
		wanted_options.kv_grows != engine_options.kv_grows ||
		wanted_options.context_length != engine_options.context_length ||
		wanted_options.max_sequences != engine_options.max_sequences ||
		wanted_options.use_blas != engine_options.use_blas ||
		wanted_options.prefix_cache != engine_options.prefix_cache ||
		wanted_options.speculation != engine_options.speculation;
	engine_outdated = engine_outdated && can_have(&wanted_options);
	if (!engine_outdated && bytes_for(&engine_options, &bytes, NULL))
		(void) Llama2ChangeClaim(model->model, bytes);
}

/* Nobody waits for these requests or their places, and none is cancelled, which a step notices. */
static bool
may_pause(void)
{
	if (n_giving_way < n_running || engine_outdated || pg_atomic_read_u32(&entry->stop) != 0)
		return false;
	for (int i = 0; i < engine_options.max_sequences; i++)
	{
		if (running[i].in_use && running[i].slot->cancel != 0)
			return false;
	}
	return !queue_has_request(true);
}

static bool
queue_has_request(bool queries_only)
{
	bool		found = false;

	LWLockAcquire(llama2_control->lock, LW_SHARED);
	for (int i = llama2_control->queue_head; i >= 0 && !found; i = llama2_control->slots[i].next)
		found = llama2_control->slots[i].model == model->model &&
			!(queries_only && llama2_control->slots[i].gives_way);
	LWLockRelease(llama2_control->lock);
	return found;
}
