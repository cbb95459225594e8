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
	text	   *system;			/* NULL: none */
	char	   *model;			/* NULL: llama2.model */

	/* of embeddings */
	LlmPooling	pooling;
	bool		normalize;
	bool		truncate;		/* a text that is longer than the context is cut */
} Llama2Options;

/*
 * Read the common arguments that begin at first_argument: a named argument, else the key in options, else the
 * parameter.  Values out of range and unknown keys are errors.
 */
extern void Llama2ReadOptions(FunctionCallInfo fcinfo, int first_argument, Llama2Options *options);

/* The options of an embedding, of which this argument is the jsonb. */
extern void Llama2ReadEmbedOptions(FunctionCallInfo fcinfo, int argument, Llama2Options *options);

/* For readers of options: an iterator that comes to the first key, or an error where they are no object. */
extern JsonbIterator *Llama2BeginOptions(Jsonb *json);

/* "on_error": is it "null", rather than "error"? */
extern bool Llama2ReadOnError(const JsonbValue *value);

extern void Llama2WrongOption(const char *name, const char *wanted) pg_attribute_noreturn();

/* A text argument as a C string, or NULL. */
extern char *Llama2StringArgument(FunctionCallInfo fcinfo, int argument);

#endif							/* LLAMA2_OPTIONS_H */
