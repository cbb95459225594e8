/*
 * job_queue.h
 *		The table llama2_job, as the worker of a database reads and changes it.
 */
#ifndef LLAMA2_JOB_QUEUE_H
#define LLAMA2_JOB_QUEUE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#include "server/generate_batch.h"

/* A job that this process has claimed. */
typedef struct Llama2Job
{
	int64		id;
	Oid			owner;
	Oid			relid;			/* InvalidOid: a prompt */
	char	   *column;
	int			n_keys;
	char	  **key;
	char	   *was;			/* the mark of what the column had; NULL: it was null */
	text	   *prompt;			/* or the template */
	Llama2Settings settings;
	int			attempts;		/* this one included */
	MemoryContext context;		/* all of the above, and what the run adds */
} Llama2Job;

/*
 * The schema of the extension in this database, quoted, or NULL where there is none: then, and
 * whenever it is another extension than before, nothing else here may be called.  In a transaction.
 */
extern char *Llama2JobQueueOpen(void);

/* Jobs that are "running" in the table but not in this list are queued again. */
extern void Llama2JobQueueRecover(List *running);

/*
 * Jobs of triggers, some thousands at most, are taken to where they can be claimed.  Unless they are needed, this
 * takes no more than llama2.job_share percent of the time while others want the processors.
 */
extern void Llama2JobQueueTakeIn(bool needed);

/*
 * Claim at most n jobs, each in a memory context of its own below parent.  Owners take turns, and who has fewer
 * of the jobs that run comes first.
 */
extern List *Llama2JobQueueClaim(int n, List *running, MemoryContext parent);

/* Take jobs for many rows apart, so that each owner has at least n to claim, who has that many. */
extern void Llama2JobQueueUnbundle(int n);

/*
 * Ends of a claimed job; false where it is not "running" any more, because somebody cancelled or deleted
 * it, or where somebody has locked it.  done removes a row's job, which has its result elsewhere.
 */
extern bool Llama2JobQueueDone(const Llama2Job *job, text *result);
extern bool Llama2JobQueueFailed(const Llama2Job *job, const char *error);
extern bool Llama2JobQueueRemove(const Llama2Job *job);

/* Put it back, to be claimed again after so many milliseconds; counted as an attempt or not. */
extern bool Llama2JobQueueRetry(const Llama2Job *job, int64 delay_ms, bool counted, const char *error);

/* After one of these was false: an error if it was for the lock. */
extern void Llama2JobQueueRefuseLocked(const Llama2Job *job);

/* Which of these jobs are not "running" any more. */
extern List *Llama2JobQueueGone(List *jobs);

/* While no job is run: when the next one can be claimed or recovered; 0 for none at all. */
extern TimestampTz Llama2JobQueueNext(void);

/* Remove jobs that ended longer ago than llama2.job_retention. */
extern void Llama2JobQueueExpire(void);

#endif							/* LLAMA2_JOB_QUEUE_H */
