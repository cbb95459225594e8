/*
 * option_table.h
 *		The options of generating functions: their names, where their values go, what values they take.
 */
#ifndef LLAMA2_OPTION_TABLE_H
#define LLAMA2_OPTION_TABLE_H

#include "server/options.h"
#include "utils/jsonb.h"

typedef enum Llama2OptionKind
{
	LLAMA2_OPTION_INT,
	LLAMA2_OPTION_BIGINT,		/* the seed */
	LLAMA2_OPTION_FLOAT,
	LLAMA2_OPTION_BOOL,
	/* read by their own functions */
	LLAMA2_OPTION_TEXT,			/* a string */
	LLAMA2_OPTION_TEXTS,		/* a string or an array of them */
	LLAMA2_OPTION_VALUE			/* others */
} Llama2OptionKind;

typedef void (*Llama2ReadValue) (const char *name, const JsonbValue *value, Llama2Options *options);

#define LLAMA2_MAX_ALIASES 5

typedef struct Llama2OptionEntry
{
	const char *name;
	const char *aliases[LLAMA2_MAX_ALIASES];	/* as other systems call it; NULL behind the last */
	Llama2OptionKind kind;
	size_t		offset;			/* of a number or boolean, in Llama2Options */
	double		min;
	double		max;
	bool		min_exclusive;
	Llama2ReadValue read;		/* NULL: a number or a boolean */
	bool		or_minus_one;	/* -1 is possible, too */
} Llama2OptionEntry;

extern const Llama2OptionEntry Llama2OptionTable[];
extern const int Llama2OptionCount;

/* The number of the option that has this name or alias; -1 where none has. */
extern int	Llama2LookUpOption(const char *name);

/* The number of the option that has this name or alias; raises an error with the nearest one where none has. */
extern int	Llama2FindOption(const char *name);

#endif							/* LLAMA2_OPTION_TABLE_H */
