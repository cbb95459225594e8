/*
 * job_run.c
 *		The jobs that the worker of a database has claimed, from their prompt to their end.
 *
 * What touches the tables of users runs in a subtransaction as the job's owner, in the same
 * restricted way as index functions in maintenance commands: settings are put back, and there are
 * no deferred triggers that would run later with the worker's rights.  The result of a row and
 * the removal of its job are one subtransaction.
 */
#include "server/job_run.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "commands/async.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "server/enrich_rows.h"
#include "server/job_owner.h"
#include "server/job_queue.h"
#include "server/model_wait.h"
#include "server/parameters.h"
#include "shared/compat.h"

/* Where a row is locked by others: tried again after, given back after. */
#define LOCKED_RETRY_MS 200
#define LOCKED_GIVE_UP_MS 10000
#define LONGEST_RETRY_MS ((int64) 3600 * 1000)
/* Who has spent so long in a round, by slow triggers or locks, waits for the next one; rows not yet read rest. */
#define OWNER_ROUND_MS 200
#define OWNER_REST_MS 1000
#define CHANNEL "llama2_jobs"

typedef enum RunState
{
	RUN_PREPARED,				/* the prompt is known */
	RUN_SUBMITTED,				/* the model has it */
	RUN_ANSWERED,				/* the answer, or the reason why there is none, is to be written */
	RUN_ENDED					/* to be forgotten */
} RunState;

typedef enum RowState
{
	ROW_GONE,					/* deleted, or hidden from the owner */
	ROW_SET,					/* somebody else has set the column */
	ROW_CHANGED,				/* the prompt would be another one now */
	ROW_WRITTEN
} RowState;

typedef struct RunningJob
{
	Llama2Job  *job;
	RunState	state;
	char	   *prompt;			/* NULL: null, and so is the answer */
	char	   *value_before;	/* of the column, when the prompt was made; NULL: null */
	RowState	row;
	uint64		model_asked;	/* the load that was asked for; 0: none */
	Llama2Request *request;
	const Llama2Model *model;
	uint64		vocabulary_generation;
	text	   *answer;
	bool		null_on_error;	/* where there is none, the column becomes NULL */
	char	   *no_answer;		/* why it does */
	TimestampTz answered_at;
	TimestampTz write_after;	/* the row was locked */
	int			sqlerrcode;		/* 0: no error */
	char	   *error;
} RunningJob;

/* What the jobs of an owner have taken in a round. */
typedef struct OwnerTime
{
	Oid			owner;
	TimestampTz spent_us;
} OwnerTime;

static List *claimed_jobs(void);
static OwnerTime *time_of_owner(List **times, Oid owner);
static bool in_subtransaction(RunningJob *running, bool (*step) (RunningJob *));
static Relation open_target(const Llama2Job *job, Llama2EnrichTarget *target);
static bool prepare_row(RunningJob *running);
static bool submit(RunningJob *running);
static bool take_answer(RunningJob *running);
static bool write_prompt_result(RunningJob *running);
static bool write_row_result(RunningJob *running);
static void settle(RunningJob *running);
static void settle_error(RunningJob *running);
static void settle_without_answer(RunningJob *running);
static void supersede(RunningJob *running);
static bool same_row(const Llama2Job *a, const Llama2Job *b);
static bool same_text(const char *a, const char *b);
static void note_error(RunningJob *running, int sqlerrcode, const char *message);
static void notify(const Llama2Job *job, const char *state);
static void forget_ended(void);
static void release_requests(int code, Datum arg);
static int	capacity(void);

static List *running_jobs = NIL;
static MemoryContext run_context = NULL;
static ResourceOwner request_owner = NULL;	/* requests outlive transactions */

void
Llama2JobRunInit(void)
{
	run_context = AllocSetContextCreate(TopMemoryContext, "llama2 running jobs", ALLOCSET_DEFAULT_SIZES);
	Llama2JobOwnerInit();
	request_owner = ResourceOwnerCreate(NULL, "llama2 jobs");
	before_shmem_exit(release_requests, (Datum) 0);
}

int
Llama2JobRunCount(void)
{
	return list_length(running_jobs);
}

bool
Llama2JobRunHasNews(void)
{
	TimestampTz now = GetCurrentTimestamp();
	ListCell   *cell;

	foreach(cell, running_jobs)
	{
		RunningJob *running = lfirst(cell);

		if ((running->state == RUN_SUBMITTED && Llama2RequestIsDone(running->request)) ||
			(running->state == RUN_ANSWERED && running->write_after <= now))
			return true;
	}
	return false;
}

bool
Llama2JobRunAllSubmitted(void)
{
	ListCell   *cell;

	foreach(cell, running_jobs)
	{
		if (((RunningJob *) lfirst(cell))->state != RUN_SUBMITTED)
			return false;
	}
	return true;
}

void
Llama2JobRunFinish(void)
{
	TimestampTz now = GetCurrentTimestamp();
	List	   *times = NIL;
	ListCell   *cell;

	SPI_connect();
	(void) SPI_execute("SET CONSTRAINTS ALL IMMEDIATE", false, 0);
	SPI_finish();
	foreach(cell, running_jobs)
	{
		RunningJob *running = lfirst(cell);

		if (running->state == RUN_SUBMITTED && Llama2RequestIsDone(running->request))
		{
			(void) in_subtransaction(running, take_answer);
			running->state = RUN_ANSWERED;
			running->answered_at = now;
		}
		if (running->state == RUN_ANSWERED && running->write_after <= now)
		{
			OwnerTime  *owner = time_of_owner(&times, running->job->owner);
			TimestampTz began = GetCurrentTimestamp();

			if (owner->spent_us > OWNER_ROUND_MS * 1000)
				continue;
			settle(running);
			owner->spent_us += GetCurrentTimestamp() - began;
		}
	}
	forget_ended();
}

void
Llama2JobRunRecover(void)
{
	Llama2JobQueueRecover(claimed_jobs());
}

/* A few at a time, so that a claim is not made for each that ends. */
bool
Llama2JobRunWantsMore(void)
{
	return running_jobs == NIL || capacity() - list_length(running_jobs) >= capacity() / 4;
}

void
Llama2JobRunClaim(void)
{
	static bool enough_queued = false;
	int			n = capacity() - list_length(running_jobs);
	List	   *jobs;
	List	   *times = NIL;
	ListCell   *cell;

	Llama2JobQueueTakeIn(!enough_queued);
	Llama2JobQueueUnbundle(n);
	jobs = Llama2JobQueueClaim(n, claimed_jobs(), run_context);
	enough_queued = list_length(jobs) == n;
	foreach(cell, jobs)
	{
		Llama2Job  *job = lfirst(cell);
		OwnerTime  *owner = time_of_owner(&times, job->owner);
		MemoryContext old = MemoryContextSwitchTo(job->context);
		RunningJob *running = palloc0(sizeof(RunningJob));
		TimestampTz began = GetCurrentTimestamp();

		running->job = job;
		running->state = RUN_PREPARED;
		if (!OidIsValid(job->relid))
			running->prompt = text_to_cstring(job->prompt);
		MemoryContextSwitchTo(run_context);
		running_jobs = lappend(running_jobs, running);
		MemoryContextSwitchTo(old);
		if (!OidIsValid(job->relid))
			continue;
		if (owner->spent_us > OWNER_ROUND_MS * 1000)
		{
			(void) Llama2JobQueueRetry(job, OWNER_REST_MS, false, NULL);
			running->state = RUN_ENDED;
		}
		else if (!in_subtransaction(running, prepare_row))
			running->state = RUN_ANSWERED;
		else if (running->row != ROW_CHANGED)
		{
			(void) Llama2JobQueueRemove(job);
			running->state = RUN_ENDED;
		}
		else if (running->prompt == NULL)
			running->state = RUN_ANSWERED;
		else
			supersede(running);
		owner->spent_us += GetCurrentTimestamp() - began;
	}
	forget_ended();
}

void
Llama2JobRunSubmit(void)
{
	ListCell   *cell;

	foreach(cell, running_jobs)
	{
		RunningJob *running = lfirst(cell);

		if (running->state == RUN_PREPARED && !in_subtransaction(running, submit))
			running->state = RUN_ANSWERED;
	}
}

void
Llama2JobRunDropCancelled(void)
{
	List	   *jobs;
	ListCell   *cell;

	if (running_jobs == NIL)
		return;
	jobs = Llama2JobQueueGone(claimed_jobs());
	foreach(cell, running_jobs)
	{
		RunningJob *running = lfirst(cell);

		if (list_member_ptr(jobs, running->job))
			running->state = RUN_ENDED;
	}
	forget_ended();
}

void
Llama2JobRunPutBack(void)
{
	ListCell   *cell;

	foreach(cell, running_jobs)
	{
		RunningJob *running = lfirst(cell);

		(void) Llama2JobQueueRetry(running->job, 0, false, NULL);
		running->state = RUN_ENDED;
	}
	forget_ended();
}

static List *
claimed_jobs(void)
{
	List	   *jobs = NIL;
	ListCell   *cell;

	foreach(cell, running_jobs)
		jobs = lappend(jobs, ((RunningJob *) lfirst(cell))->job);
	return jobs;
}

static OwnerTime *
time_of_owner(List **times, Oid owner)
{
	OwnerTime  *result;
	ListCell   *cell;

	foreach(cell, *times)
	{
		result = lfirst(cell);
		if (result->owner == owner)
			return result;
	}
	result = palloc0(sizeof(OwnerTime));
	result->owner = owner;
	*times = lappend(*times, result);
	return result;
}

/*
 * Run a step in a subtransaction, which is kept if the step returns true.  An error is
 * noted; then the result is false.
 */
static bool
in_subtransaction(RunningJob *running, bool (*step) (RunningJob *))
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool succeeded = true;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		if (step(running))
			ReleaseCurrentSubTransaction();
		else
			RollbackAndReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		Llama2LeaveJobOwner();
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		note_error(running, error->sqlerrcode, error->message);
		FreeErrorData(error);
		succeeded = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return succeeded;
}

static Relation
open_target(const Llama2Job *job, Llama2EnrichTarget *target)
{
	Relation	relation = try_relation_open(job->relid, AccessShareLock);

	if (relation == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("the table does not exist any more")));
	Llama2EnrichTargetInit(target, relation, job->column, text_to_cstring(job->prompt));
	Llama2EnrichTargetKeys(target, relation);
	if (target->n_keys != job->n_keys)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("the primary key of relation \"%s\" has changed", RelationGetRelationName(relation))));
	return relation;
}

static bool
prepare_row(RunningJob *running)
{
	Llama2Job  *job = running->job;
	Llama2EnrichTarget target;
	Llama2EnrichRow row = {0};
	Llama2JobOwner before;
	Relation	relation;
	bool		found;

	Llama2BecomeJobOwner(job->owner, &before);
	relation = open_target(job, &target);
	Llama2EnrichReadRows(&target, job->key, 1, LLAMA2_NO_LOCK, &row, &found);
	relation_close(relation, NoLock);
	Llama2BecomeJobWorker(&before);

	running->row = ROW_CHANGED;
	if (!found)
		running->row = ROW_GONE;
	else if (row.value && !same_text(Llama2ValueMark(row.value), job->was))
		running->row = ROW_SET;
	if (row.prompt)
		running->prompt = MemoryContextStrdup(job->context, row.prompt);
	if (row.value)
		running->value_before = MemoryContextStrdup(job->context, row.value);
	return true;
}

/* The request counts as its owner's; after an error the end of the subtransaction releases it, and restores the user. */
static bool
submit(RunningJob *running)
{
	Llama2Job  *job = running->job;
	Oid			user;
	int			security;
	Llama2Call	call;
	Llama2Prompt prompt;

	if (!Llama2ModelIsReady(job->settings.model, &running->model_asked))
		return true;
	Llama2BeginCallWith(&job->settings, &call);
	running->null_on_error = OidIsValid(job->relid) && call.options.null_on_error;
	prompt = Llama2SettingsPrompt(&job->settings, &call, cstring_to_text(running->prompt));
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(job->owner, security);
	running->request = Llama2SubmitJob(&call, prompt, true);
	SetUserIdAndSecContext(user, security);
	pfree(prompt.ids);
	if (running->request)
	{
		Llama2RequestGiveTo(running->request, request_owner);
		running->model = call.model;
		running->vocabulary_generation = call.model->vocabulary_generation;
		running->state = RUN_SUBMITTED;
	}
	return true;
}

static bool
take_answer(RunningJob *running)
{
	const Llama2Failure *failure = &Llama2RequestSlotOf(running->request)->failure;
	MemoryContext old = MemoryContextSwitchTo(running->job->context);

	if (failure->sqlerrcode != 0)
		note_error(running, failure->sqlerrcode, failure->message);
	else if (!Llama2ModelIsMapped(running->model, running->vocabulary_generation))
		note_error(running, ERRCODE_OPERATOR_INTERVENTION, "the model was loaded from another file while the job ran");
	else
	{
		running->answer = Llama2DoneText(running->model, running->request);
		running->null_on_error = false;
	}
	MemoryContextSwitchTo(old);
	Llama2RequestRelease(running->request);
	running->request = NULL;
	return true;
}

static bool
write_prompt_result(RunningJob *running)
{
	if (Llama2JobQueueDone(running->job, running->answer))
		notify(running->job, "done");
	else
		Llama2JobQueueRefuseLocked(running->job);
	return true;
}

/* The job goes in the same subtransaction; where nothing could be written yet both are undone. */
static bool
write_row_result(RunningJob *running)
{
	Llama2Job  *job = running->job;
	Llama2EnrichTarget target;
	Llama2EnrichRow row = {0};
	char	   *answer = running->answer ? text_to_cstring(running->answer) : NULL;
	bool		found;
	Llama2JobOwner before;
	Relation	relation;

	running->row = ROW_GONE;
	if (running->no_answer ? !Llama2JobQueueFailed(job, running->no_answer) : !Llama2JobQueueRemove(job))
	{
		Llama2JobQueueRefuseLocked(job);
		return true;
	}
	Llama2BecomeJobOwner(job->owner, &before);
	relation = open_target(job, &target);
	Llama2EnrichReadRows(&target, job->key, 1, LLAMA2_LOCK_NOWAIT, &row, &found);
	if (found)
	{
		if (!same_text(row.prompt, running->prompt))
			running->row = ROW_CHANGED;
		else if (!same_text(row.value, running->value_before))
			running->row = ROW_SET;
		else if (same_text(row.value, answer) ||
				 Llama2EnrichWriteRows(&target, job->key, &answer, 1) > 0)
			running->row = ROW_WRITTEN;
	}
	relation_close(relation, NoLock);
	Llama2BecomeJobWorker(&before);
	if (running->no_answer)
		notify(job, "failed");
	else if (running->row == ROW_WRITTEN)
		notify(job, "done");
	return running->row != ROW_CHANGED;
}

static void
settle(RunningJob *running)
{
	Llama2Job  *job = running->job;

	if (running->sqlerrcode == 0)
		(void) in_subtransaction(running, OidIsValid(job->relid) ? write_row_result : write_prompt_result);
	if (running->sqlerrcode != 0)
	{
		settle_error(running);
		return;
	}
	/* the row's new contents get a value of their own */
	if (OidIsValid(job->relid) && running->row == ROW_CHANGED)
		(void) Llama2JobQueueRetry(job, 0, false, NULL);
	running->state = RUN_ENDED;
}

/* Again later, or given up. */
static void
settle_error(RunningJob *running)
{
	Llama2Job  *job = running->job;
	int			category = ERRCODE_TO_CATEGORY(running->sqlerrcode);
	bool		is_interruption = category == ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION) &&
		(running->sqlerrcode != ERRCODE_QUERY_CANCELED || ShutdownRequestPending);
	bool		is_lock = running->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_T_R_SERIALIZATION_FAILURE);
	TimestampTz now = GetCurrentTimestamp();

	running->state = RUN_ENDED;
	if (is_lock && running->answered_at != 0 &&
		!TimestampDifferenceExceeds(running->answered_at, now, LOCKED_GIVE_UP_MS))
	{
		running->state = RUN_ANSWERED;
		running->write_after = TimestampTzPlusMilliseconds(now, LOCKED_RETRY_MS);
		running->sqlerrcode = 0;
	}
	else if (is_lock || is_interruption)
		(void) Llama2JobQueueRetry(job, is_lock ? 5000 : 500, false, running->error);
	else if (job->attempts > llama2_job_retries ||
			 category == ERRCODE_TO_CATEGORY(ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION) ||
			 category == ERRCODE_TO_CATEGORY(ERRCODE_PROGRAM_LIMIT_EXCEEDED) ||
			 running->sqlerrcode == ERRCODE_CHARACTER_NOT_IN_REPERTOIRE || running->sqlerrcode == ERRCODE_UNTRANSLATABLE_CHARACTER)
	{
		if (running->null_on_error)
			settle_without_answer(running);
		else if (Llama2JobQueueFailed(job, running->error))
			notify(job, "failed");
	}
	else
	{
		int64		delay = (int64) llama2_job_retry_delay << Min(job->attempts - 1, 20);

		(void) Llama2JobQueueRetry(job, Min(delay, LONGEST_RETRY_MS), true, running->error);
	}
}

/* The reason is kept, and the row gets NULL in place of what the column had for another text. */
static void
settle_without_answer(RunningJob *running)
{
	running->null_on_error = false;
	running->no_answer = running->error;
	running->error = NULL;
	running->sqlerrcode = 0;
	running->state = RUN_ANSWERED;
	settle(running);
}

/*
 * Two jobs for one row: the younger one has read the row later.  It is not needed where the prompt is
 * the same, and else the older one is not.
 */
static void
supersede(RunningJob *running)
{
	ListCell   *cell;

	foreach(cell, running_jobs)
	{
		RunningJob *other = lfirst(cell);

		if (other == running || other->state == RUN_ENDED || !same_row(other->job, running->job))
			continue;
		if (same_text(other->prompt, running->prompt) && other->sqlerrcode == 0)
		{
			(void) Llama2JobQueueRemove(running->job);
			running->state = RUN_ENDED;
			return;
		}
		(void) Llama2JobQueueRemove(other->job);
		other->state = RUN_ENDED;
	}
}

static bool
same_row(const Llama2Job *a, const Llama2Job *b)
{
	if (a->relid != b->relid || a->owner != b->owner || a->n_keys != b->n_keys ||
		a->settings.chat != b->settings.chat || strcmp(a->column, b->column) != 0 ||
		strcmp(a->settings.model, b->settings.model) != 0 ||
		strcmp(text_to_cstring(a->prompt), text_to_cstring(b->prompt)) != 0)
		return false;
	for (int i = 0; i < a->n_keys; i++)
		if (strcmp(a->key[i], b->key[i]) != 0)
			return false;
	return compareJsonbContainers(&a->settings.options->root, &b->settings.options->root) == 0;
}

/* NULL is the same as NULL. */
static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void
note_error(RunningJob *running, int sqlerrcode, const char *message)
{
	running->sqlerrcode = sqlerrcode;
	running->error = MemoryContextStrdup(running->job->context, message);
}

/*
 * Every session of the database may listen: so a notification says no more than they could know
 * anyway, and what is alike in one transaction is sent once.
 */
static void
notify(const Llama2Job *job, const char *state)
{
	StringInfoData payload;

	initStringInfo(&payload);
	if (!OidIsValid(job->relid))
		appendStringInfo(&payload, "{\"job\": " INT64_FORMAT, job->id);
	else
	{
		char	   *name = get_rel_name(job->relid);

		appendStringInfoString(&payload, "{\"table\": ");
		escape_json(&payload, name ? quote_qualified_identifier(get_namespace_name(get_rel_namespace(job->relid)),
																name) : "");
		appendStringInfoString(&payload, ", \"column\": ");
		escape_json(&payload, job->column);
	}
	appendStringInfo(&payload, ", \"state\": \"%s\"}", state);
	Async_Notify(CHANNEL, payload.data);
}

static void
forget_ended(void)
{
	for (int i = list_length(running_jobs) - 1; i >= 0; i--)
	{
		RunningJob *running = list_nth(running_jobs, i);

		if (running->state != RUN_ENDED)
			continue;
		if (running->request)
			Llama2RequestRelease(running->request);
		running_jobs = list_delete_nth_cell(running_jobs, i);
		MemoryContextDelete(running->job->context);
	}
}

static void
release_requests(int code, Datum arg)
{
	ListCell   *cell;

	foreach(cell, running_jobs)
	{
		RunningJob *running = lfirst(cell);

		if (running->request)
			Llama2RequestRelease(running->request);
		running->request = NULL;
	}
}

/* As many as can be computed in one step, and as many again that wait for a place. */
static int
capacity(void)
{
	return Max(Min(2 * llama2_max_batch, llama2_max_requests / 2), 1);
}
