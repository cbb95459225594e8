/*
 * regex_parse.h
 *		Regular expressions as expressions.  Private to grammar/.
 */
#ifndef LLM_REGEX_PARSE_H
#define LLM_REGEX_PARSE_H

#include "grammar/expr.h"

/*
 * What a text must match: as a whole, or, where not anchored, somewhere in it unless it has "^" and "$".
 */
extern const LlmExpr *llm_regex_parse(LlmBuilder *builder, const char *text, size_t length, bool anchored);

#endif							/* LLM_REGEX_PARSE_H */
