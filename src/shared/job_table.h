/*
 * job_table.h
 *		Which databases may have jobs to do, and which process does them.
 *
 *	 job_table->lock	all of the table; held for a walk over it, never while waiting
 *
 * A committing backend marks its database as wanted and wakes the database's worker or, where there is
 * none, the launcher.  The launcher starts workers; a worker clears "wanted" before it looks, and
 * does not leave while it is set.  So what was committed before the mark is always looked at
 * after it.
 */
#ifndef LLAMA2_JOB_TABLE_H
#define LLAMA2_JOB_TABLE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "storage/latch.h"
#include "storage/lwlock.h"

#define LLAMA2_JOB_DATABASES 64

typedef struct Llama2JobDatabase
{
	Oid			database;		/* InvalidOid: the entry is free */
	bool		wanted;			/* somebody should look at its jobs */
	bool		leave;			/* its worker is asked to go */
	TimestampTz not_before;		/* no worker is started before this */
	TimestampTz starting_since; /* a worker was asked for; 0: none was */
	int			worker_pid;		/* 0: none runs */
	Latch	   *worker_latch;
} Llama2JobDatabase;

typedef struct Llama2JobTable
{
	LWLock	   *lock;
	bool		rescan;			/* the launcher should look into every database */
	int			n_waiting;		/* databases for which there was no worker to spare */
	Latch	   *launcher_latch;
	Llama2JobDatabase databases[LLAMA2_JOB_DATABASES];
} Llama2JobTable;

/* NULL in a server that did not preload the library. */
extern Llama2JobTable *llama2_job_table;

/* Parts of the library's shared memory hooks. */
extern Size Llama2JobTableSize(void);
extern void Llama2JobTableInit(LWLock *lock);

/* Have the jobs of a database looked at, now or from a time on. */
extern void Llama2JobsWanted(Oid database, TimestampTz not_before);

/* The entry of a database, or NULL.  The caller holds the lock. */
extern Llama2JobDatabase *Llama2JobDatabaseFind(Oid database);

/* The same, made where it is missing; NULL where the table is full.  The caller holds the lock exclusively. */
extern Llama2JobDatabase *Llama2JobDatabaseMake(Oid database);

#endif							/* LLAMA2_JOB_TABLE_H */
