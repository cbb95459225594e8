/*
 * escape.h
 *		What the texts of grammars and of regular expressions have in common: a place in a text,
 *		escapes, repetitions.  Private to grammar/.
 */
#ifndef LLM_ESCAPE_H
#define LLM_ESCAPE_H

#include "grammar/expr.h"

/* Repetitions of repetitions without parentheses. */
#define LLM_MAX_OPERATORS 4

typedef struct LlmScanner
{
	LlmBuilder *builder;
	const char *text;			/* valid UTF-8 */
	size_t		length;
	size_t		at;
	bool		by_line;		/* places are lines and columns, not positions */
} LlmScanner;

typedef struct LlmRangeList
{
	LlmCharRange *ranges;
	int			n_ranges;
	int			capacity;
} LlmRangeList;

/* Fails for a text that is too long or not UTF-8. */
extern void llm_scan_begin(LlmScanner *scan, LlmBuilder *builder, const char *text, size_t length);

extern int32_t llm_peek(const LlmScanner *scan);	/* -1 at the end */
extern int32_t llm_take(LlmScanner *scan);	/* not at the end */
extern bool llm_looking_at(const LlmScanner *scan, const char *expected);
extern bool llm_accept(LlmScanner *scan, const char *expected);

/* "line 1, column 5" or "position 5" */
extern const char *llm_scan_place(const LlmScanner *scan);
extern void llm_scan_fail(const LlmScanner *scan, const char *message) __attribute__((noreturn));

/*
 * At a backslash: one of `letters`, which stands for the byte of `meanings` at the same place, or
 * \xHH, \uHHHH, \UHHHHHHHH.  U+0000 is possible, for the end of a range; no set will have it.
 */
extern uint32_t llm_parse_escape(LlmScanner *scan, const char *letters, const char *meanings);

/* *, +, ?, {m}, {m,}, {,n} and {m,n}; false where there is none. */
extern bool llm_parse_repetition(LlmScanner *scan, int *least, int *most);

extern void llm_add_range(LlmBuilder *builder, LlmRangeList *list, uint32_t first, uint32_t last);

#endif							/* LLM_ESCAPE_H */
