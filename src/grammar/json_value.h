/*
 * json_value.h
 *		How JSON is written: one way for every value.  Private to grammar/.
 *
 * As PostgreSQL's jsonb shows it: one space after ":" and ",", none elsewhere.  Characters stand for themselves but
 * for \" \\ \b \f \n \r \t; so a string is written in one way only.
 */
#ifndef LLM_JSON_VALUE_H
#define LLM_JSON_VALUE_H

#include "grammar/expr.h"

typedef enum LlmJsonRule
{
	LLM_JSON_ANY_CHAR,			/* of a string */
	LLM_JSON_ANY_STRING,
	LLM_JSON_ANY_NUMBER,
	LLM_JSON_ANY_VALUE
} LlmJsonRule;

extern const LlmExpr *llm_json_rule(LlmBuilder *builder, LlmJsonRule rule);

/* {...} and [...] of any values; never a scalar. */
extern const LlmExpr *llm_json_any_object(LlmBuilder *builder);
extern const LlmExpr *llm_json_any_array(LlmBuilder *builder);

/* Exactly this value. */
extern const LlmExpr *llm_json_literal(LlmBuilder *builder, const LlmJson *value);

/* A string between quotes, and the key "name": with its colon. */
extern const LlmExpr *llm_json_quoted(LlmBuilder *builder, const LlmExpr *inside);
extern const LlmExpr *llm_json_key(LlmBuilder *builder, const char *name, size_t length);

/* The characters of a string as they are written, for a literal. */
extern const LlmExpr *llm_json_string_text(LlmBuilder *builder, const char *text, size_t length);

/* item (", " item)*, from least to most of them; none at all where least is 0. */
extern const LlmExpr *llm_json_list(LlmBuilder *builder, const LlmExpr *item, int least, int most);

extern const LlmJson *llm_json_find(const LlmJson *object, const char *name, size_t length);
extern bool llm_json_is_text(const LlmJson *value, const char *text);

/* Adds what it took to *work, in values looked at; past most_work it gives up and returns false. */
extern bool llm_json_equal(const LlmJson *a, const LlmJson *b, uint64_t most_work, uint64_t *work);

#endif							/* LLM_JSON_VALUE_H */
