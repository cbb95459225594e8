/*
 * enrich_target.h
 *		A column that a model fills from other columns of its row.
 */
#ifndef LLAMA2_ENRICH_TARGET_H
#define LLAMA2_ENRICH_TARGET_H

#include "postgres.h"

#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "utils/rel.h"

#include "server/template.h"

/* A column as its rows are read and written: by its type's text form. */
typedef struct Llama2EnrichColumn
{
	AttrNumber	attnum;
	char	   *name;
	Oid			type;
	int32		typmod;
	Oid			output;			/* type output function */
	bool		is_generated;
} Llama2EnrichColumn;

typedef struct Llama2EnrichTarget
{
	Oid			relid;
	Llama2EnrichColumn column;	/* what is filled */
	char	   *source;			/* the template as it was written */
	Llama2Template *template;
	Llama2EnrichColumn *places; /* the template's columns, one for each place */
	int			n_keys;			/* columns of the primary key; 0: not looked up yet */
	Llama2EnrichColumn *keys;
	Oid		   *key_operators;	/* equality, one for each column of the key */
} Llama2EnrichTarget;

/* Looks the columns up; what does not exist or cannot be written is an error that names it. */
extern void Llama2EnrichTargetInit(Llama2EnrichTarget *target, Relation relation, const char *column,
								   const char *template);

/* Looks the primary key up, without which no row can be found again. */
extern void Llama2EnrichTargetKeys(Llama2EnrichTarget *target, Relation relation);

/* The prompt of a row, or NULL where a column of the template is null. */
extern char *Llama2EnrichPrompt(const Llama2EnrichTarget *target, TupleTableSlot *row);

/* A column's value as text, or NULL. */
extern char *Llama2EnrichValue(const Llama2EnrichColumn *column, TupleTableSlot *row);

/* The same, of a value that is not null, in a form that gives it back whatever the settings of who reads it. */
extern char *Llama2LastingText(const Llama2EnrichColumn *column, Datum value);

/* One of the columns of the key, likewise. */
extern char *Llama2EnrichKey(const Llama2EnrichTarget *target, int number, TupleTableSlot *row);

/* What tells a lasting text from others, and is short. */
extern char *Llama2ValueMark(const char *lasting);

/*
 * Is a value wanted for a row that a statement inserted (old is NULL) or updated?  Not where
 * no column of the template changed, and not where the statement gave the column a value itself.
 */
extern bool Llama2EnrichWanted(const Llama2EnrichTarget *target, TupleTableSlot *old,
							   TupleTableSlot *new);

/* Has an update moved a row that has no value to another key, where nobody looks for it? */
extern bool Llama2EnrichMoved(const Llama2EnrichTarget *target, TupleTableSlot *old, TupleTableSlot *new);

/*
 * The rows of a statement-level trigger one after the other; with OLD TABLE too, both versions of each.
 */
typedef struct Llama2TransitionScan
{
	Tuplestorestate *stores[2]; /* new, old or NULL */
	int			pointers[2];
	TupleTableSlot *slots[2];
} Llama2TransitionScan;

extern void Llama2TransitionBegin(Llama2TransitionScan *scan, TriggerData *trigger,
								  const char *function);
extern bool Llama2TransitionNext(Llama2TransitionScan *scan, TupleTableSlot **old,
								 TupleTableSlot **new);
extern void Llama2TransitionEnd(Llama2TransitionScan *scan);

#endif							/* LLAMA2_ENRICH_TARGET_H */
