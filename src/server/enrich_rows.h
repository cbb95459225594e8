/*
 * enrich_rows.h
 *		Rows of an enriched table, found by primary key: read again, and written.
 */
#ifndef LLAMA2_ENRICH_ROWS_H
#define LLAMA2_ENRICH_ROWS_H

#include "server/enrich_target.h"

/* What a row holds now. */
typedef struct Llama2EnrichRow
{
	char	   *prompt;			/* NULL: a column of the template is null */
	char	   *value;			/* of the column that is filled; NULL: null */
} Llama2EnrichRow;

/* The relation as SQL: without children that inherit from it, whose rows can have the same keys. */
extern char *Llama2EnrichRelation(const Llama2EnrichTarget *target);

/* "t.a, t.b, ...": the columns of the key, of the template, and the one that is filled. */
extern char *Llama2EnrichColumns(const Llama2EnrichTarget *target);

/* A row of these columns, as they come from SPI. */
extern void Llama2EnrichRowFrom(const Llama2EnrichTarget *target, HeapTuple tuple, TupleDesc desc,
								Llama2EnrichRow *row, char **key);

/* How rows that are read are locked against changes. */
typedef enum Llama2RowLock
{
	LLAMA2_NO_LOCK,
	LLAMA2_LOCK_WAIT,
	LLAMA2_LOCK_NOWAIT
} Llama2RowLock;

/*
 * Read n rows by their keys, of which each has n_keys texts.  found[i] tells whether there is
 * one to see; only then rows[i] is filled.
 */
extern void Llama2EnrichReadRows(const Llama2EnrichTarget *target, char *const *keys, int n,
								 Llama2RowLock lock, Llama2EnrichRow *rows, bool *found);

/*
 * Set the column in n rows, in one statement.  keys has n_keys texts for each; a NULL value sets null.
 * Returns how many rows there were.
 */
extern uint64 Llama2EnrichWriteRows(const Llama2EnrichTarget *target, char *const *keys,
									char *const *values, int n);

/* items[0], items[stride], ... as text[], of which some may be NULL. */
extern Datum Llama2TextArray(char *const *items, int n, int stride);

#endif							/* LLAMA2_ENRICH_ROWS_H */
