/*
 * job_rows.h
 *		Rows of the tables of jobs, written without statements.
 */
#ifndef LLAMA2_JOB_ROWS_H
#define LLAMA2_JOB_ROWS_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "nodes/execnodes.h"
#include "utils/rel.h"

/* The columns of llama2_job and llama2_job_new, as sql/llama2.sql has them. */
typedef enum Llama2JobColumn
{
	LLAMA2_JOB_ID,
	LLAMA2_JOB_OWNER,
	LLAMA2_JOB_STATE,
	LLAMA2_JOB_RELATION,
	LLAMA2_JOB_ATTNAME,
	LLAMA2_JOB_KEYS,
	LLAMA2_JOB_WAS,
	LLAMA2_JOB_PROMPT,
	LLAMA2_JOB_SYSTEM,
	LLAMA2_JOB_MODEL,
	LLAMA2_JOB_CHAT,
	LLAMA2_JOB_OPTIONS,
	LLAMA2_JOB_ATTEMPTS,
	LLAMA2_JOB_QUEUED_AT,
	LLAMA2_JOB_RUN_AFTER,
	LLAMA2_JOB_STARTED_AT,
	LLAMA2_JOB_FINISHED_AT,
	LLAMA2_JOB_RESULT,
	LLAMA2_JOB_ERROR,
	LLAMA2_JOB_COLUMNS
} Llama2JobColumn;

/* A table that is written to. */
typedef struct Llama2JobWriter
{
	Relation	relation;
	TupleTableSlot *slot;		/* for the next row */
	EState	   *state;			/* NULL: the table has no indexes */
	ResultRelInfo *result;
} Llama2JobWriter;

/* The table of this name in the extension's schema; in a transaction, which keeps the lock. */
extern void Llama2JobWriterBegin(Llama2JobWriter *writer, Oid schema, const char *table);

/* The row that is in the slot; its constraints are the caller's to keep. */
extern void Llama2JobWriterInsert(Llama2JobWriter *writer);

extern void Llama2JobWriterEnd(Llama2JobWriter *writer);

/*
 * Move rows from llama2_job_new to llama2_job until their keys have so many bytes, except those that others have
 * just locked.
 */
extern void Llama2JobsTakeIn(Oid schema, Size key_bytes);

#endif							/* LLAMA2_JOB_ROWS_H */
