/*
 * grammar_options.h
 *		The options that say what a text may be, and grammars from SQL values.
 */
#ifndef LLAMA2_GRAMMAR_OPTIONS_H
#define LLAMA2_GRAMMAR_OPTIONS_H

#include "postgres.h"

#include "utils/jsonb.h"

#include "server/options.h"

/* "grammar", "regex", "choices", "json_schema", "json" and "on_limit" of options. */
extern void Llama2ReadGrammarOption(const char *name, const JsonbValue *value, Llama2Options *options);

/* The value of such a key as that of another one, by whose name it is told of. */
extern void Llama2ReadGrammarAs(const char *name, const char *kind, const JsonbValue *value, Llama2Options *options);

/* What is valid against a schema; palloc'd.  An error names the place. */
extern const LlmGrammar *Llama2GrammarFromTree(const LlmJson *schema);

/* A jsonb value as a tree, strings in UTF-8; palloc'd. */
extern LlmJson *Llama2JsonTree(const JsonbValue *value);

#endif							/* LLAMA2_GRAMMAR_OPTIONS_H */
