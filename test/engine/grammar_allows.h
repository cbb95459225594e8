/*
 * grammar_allows.h
 *		Whether a grammar allows a text, and what is said of one that is refused.
 */
#ifndef GRAMMAR_ALLOWS_H
#define GRAMMAR_ALLOWS_H

#include "engine/parse_states.h"

#include <stdlib.h>
#include <string.h>

#include "json_tree_parse.h"
#include "tap.h"

typedef enum Language
{
	GBNF,
	REGEX,
	SCHEMA
} Language;

static inline LlmGrammar *
make_grammar(Language language, const char *text, LlmError *error)
{
	JsonArena	arena = {0};
	const LlmJson *schema;
	LlmGrammar *grammar = NULL;

	*error = (LlmError) {0};
	if (language == GBNF)
		return llm_grammar_from_gbnf(text, strlen(text), error);
	if (language == REGEX)
		return llm_grammar_from_regex(text, strlen(text), error);
	schema = json_parse(&arena, text, strlen(text));
	if (schema == NULL)
		diag("not JSON: %s", text);
	else
		grammar = llm_grammar_from_schema(schema, error);
	free(arena.bytes);
	return grammar;
}

static inline bool
allows(const LlmGrammar *grammar, const char *text)
{
	LlmParseStates *states = llm_parse_states_create(grammar);
	LlmStateId	state = llm_parse_text(states, llm_parse_start(states), text, strlen(text));
	bool		allowed = state >= 0 && llm_parse_may_end(states, state);

	llm_parse_states_free(states);
	return allowed;
}

/* yes and no are lists that end with NULL. */
static inline void
check(Language language, const char *text, const char *const *yes, const char *const *no)
{
	LlmError	error;
	LlmGrammar *grammar = make_grammar(language, text, &error);
	bool		right = grammar != NULL && llm_grammar_check(grammar, grammar->size);

	if (grammar == NULL)
		diag("%s", error.message);
	for (; right && *yes != NULL; yes++)
	{
		if (!allows(grammar, *yes))
		{
			diag("does not allow: %s", *yes);
			right = false;
		}
	}
	for (; right && *no != NULL; no++)
	{
		if (allows(grammar, *no))
		{
			diag("allows: %s", *no);
			right = false;
		}
	}
	ok(right, "%.100s", text);
	free(grammar);
}

#define YES(...) (const char *const[]) {__VA_ARGS__, NULL}
#define NO(...) (const char *const[]) {__VA_ARGS__, NULL}

static inline void
check_error(Language language, const char *text, const char *message)
{
	LlmError	error;
	LlmGrammar *grammar = make_grammar(language, text, &error);

	if (!ok(grammar == NULL && strcmp(error.message, message) == 0, "%.60s: %s", text, message))
		diag("%s", grammar == NULL ? error.message : "no error");
	free(grammar);
}

#endif							/* GRAMMAR_ALLOWS_H */
