/*
 * options.h
 *		The arguments that every generating function shares, and its options.
 */
#ifndef LLAMA2_OPTIONS_H
#define LLAMA2_OPTIONS_H

#include "postgres.h"

#include "fmgr.h"
#include "utils/jsonb.h"

#include "engine/engine.h"
#include "shared/compat.h"

/* One call's texts for one prompt, of which the best are given. */
#define LLAMA2_MAX_ALTERNATIVES 64
#define LLAMA2_MAX_OPTIONS 64

/* Common arguments in SQL, in this order after a function's own. */
enum
{
	LLAMA2_ARG_MAX_TOKENS,
	LLAMA2_ARG_TEMPERATURE,
	LLAMA2_ARG_TOP_P,
	LLAMA2_ARG_TOP_K,
	LLAMA2_ARG_MIN_P,
	LLAMA2_ARG_SEED,
	LLAMA2_ARG_STOP,
	LLAMA2_ARG_SYSTEM,
	LLAMA2_ARG_MODEL,
	LLAMA2_ARG_OPTIONS
};

/* Those that are options, by name: up to LLAMA2_ARG_STOP. */
extern const char *const Llama2ArgumentNames[];

typedef struct Llama2Options
{
	LlmSamplingOptions sampling;
	int32		max_tokens;
	int64		seed;
	bool		seed_given;		/* false: seed was drawn for this call */
	bool		null_on_error;	/* a prompt that has no answer gives NULL and a warning */
	int			n_stops;
	const char *stops[LLM_MAX_STOPS];	/* UTF-8 */
	uint32		stop_lengths[LLM_MAX_STOPS];
	const LlmGrammar *grammar;	/* what the text may be; NULL: anything */
	const char *grammar_option; /* the key that gave it */
	LlmOnLimit	on_limit;
	int32		context_length; /* 0: the model's */
	bool		context_shift;
	int32		n_keep;
	int32		n;				/* texts that are given */
	int32		best_of;		/* texts that are generated; 0: n */
	bool		echo;			/* the prompt before the text */
	bool		logprobs;
	int32		top_logprobs;
	text	   *system;			/* NULL: none */
	char	   *model;			/* NULL: llama2.model */

	/* of embeddings */
	LlmPooling	pooling;
	bool		normalize;
	bool		truncate;		/* a text that is longer than the context is cut */
} Llama2Options;

/* Options that only some functions know. */
#define LLAMA2_ALLOW_BEST_OF	0x01
#define LLAMA2_ALLOW_ECHO		0x02	/* without "system" */
#define LLAMA2_ALLOW_LOGPROBS	0x04
#define LLAMA2_ALLOW_N			0x08

/*
 * Read the common arguments that begin at first_argument: a named argument, else the key in options, else the
 * parameter.  Values out of range and unknown keys are errors; so is, but for those allowed, what only some functions
 * know.
 */
extern void Llama2ReadOptions(FunctionCallInfo fcinfo, int first_argument, Llama2Options *options);
extern void Llama2ReadOptionsFor(FunctionCallInfo fcinfo, int first_argument, int allowed, Llama2Options *options);

/* What a call has that gives nothing. */
extern void Llama2DefaultOptions(Llama2Options *options);

/* Set an option that is a number, which is checked. */
extern void Llama2SetOption(const char *name, double number, Llama2Options *options);

/* The same options under their own names instead of aliases, without nulls, so that others can be merged with them. */
extern Jsonb *Llama2OptionsByName(Jsonb *json);

/* The options of an embedding, of which this argument is the jsonb. */
extern void Llama2ReadEmbedOptions(FunctionCallInfo fcinfo, int argument, Llama2Options *options);

/* For readers of options: an iterator that comes to the first key, or an error where they are no object. */
extern JsonbIterator *Llama2BeginOptions(Jsonb *json);

/* "on_error": is it "null", rather than "error"? */
extern bool Llama2ReadOnError(const JsonbValue *value);

pg_noreturn extern void Llama2WrongOption(const char *name, const char *wanted);

/* A text argument as a C string, or NULL. */
extern char *Llama2StringArgument(FunctionCallInfo fcinfo, int argument);

#endif							/* LLAMA2_OPTIONS_H */
