/*
 * job_submit.h
 *		Durable jobs, as a session puts them into the table llama2_job.
 */
#ifndef LLAMA2_JOB_SUBMIT_H
#define LLAMA2_JOB_SUBMIT_H

#include "postgres.h"

#include "server/generate_batch.h"

/* One row of the table; what is not said here has its default. */
typedef struct Llama2JobSpec
{
	Oid			schema;			/* of the extension */
	Oid			owner;
	Oid			relid;			/* InvalidOid: a prompt */
	const char *column;
	Datum		keys;			/* text[], for a relation: one row's key, or [rows][columns] */
	Datum		was;			/* text[], the marks of what rows had; 0: null in all */
	bool		bundled;		/* keys are those of many rows */
	text	   *prompt;			/* or the template */
	const Llama2Settings *settings;
	Jsonb	   *options;		/* from Llama2SettingsForLater */
} Llama2JobSpec;

/* Insert a job in the current transaction, whose commit wakes the worker.  Returns its id. */
extern int64 Llama2JobInsert(const Llama2JobSpec *spec);

#endif							/* LLAMA2_JOB_SUBMIT_H */
