/*
 * expr.h
 *		Grammars as expressions, between their text and their operations; private to grammar/.
 *
 * All front ends build these, and grammar_compile.c makes the block of them.  Everything lies in the builder's
 * memory and goes with it, so that whoever meets an error leaves at once: llm_builder_fail jumps
 * to where the builder was begun.  Expressions may be used in several places.
 */
#ifndef LLM_EXPR_H
#define LLM_EXPR_H

#include <setjmp.h>

#include "grammar/grammar.h"

typedef struct LlmCharRange
{
	uint32_t	first;
	uint32_t	last;
} LlmCharRange;

/* Code points: ranges that rise, without overlap; no surrogates, not U+0000. */
typedef struct LlmCharSet
{
	int			n_ranges;
	LlmCharRange *ranges;
} LlmCharSet;

#define LLM_LAST_CHAR 0x10FFFF
#define LLM_REPEAT_FOREVER (-1)

typedef enum LlmExprKind
{
	LLM_EXPR_FAIL,				/* nothing matches */
	LLM_EXPR_LITERAL,			/* these bytes; may be none */
	LLM_EXPR_CHARS,				/* one character of a set */
	LLM_EXPR_SEQUENCE,
	LLM_EXPR_CHOICE,
	LLM_EXPR_REPEAT,
	LLM_EXPR_RULE,
	LLM_EXPR_AUTOMATON			/* a finite automaton over characters (automaton.h) */
} LlmExprKind;

typedef struct LlmExpr
{
	LlmExprKind kind;
	const char *bytes;			/* LITERAL */
	size_t		length;
	LlmCharSet	chars;			/* CHARS */
	int			n_items;		/* SEQUENCE, CHOICE */
	const struct LlmExpr **items;
	const struct LlmExpr *item; /* REPEAT */
	int			least;
	int			most;			/* or LLM_REPEAT_FOREVER */
	int			rule;			/* RULE */
	const struct LlmAutomaton *automaton;
	bool		in_json;		/* CHARS, AUTOMATON: as they are written inside of a JSON string */
} LlmExpr;

typedef struct LlmRule
{
	const char *name;			/* for errors; terminated */
	const LlmExpr *expr;		/* NULL while undefined */
	const char *used_at;		/* the place where it was used first */
	bool		looked_at;		/* by who asks whether nothing matches */
	bool		never;			/* nothing does */
} LlmRule;

typedef struct LlmBuilder
{
	jmp_buf		failed;
	LlmError   *error;
	struct LlmChunk *chunks;
	LlmRule    *rules;
	int			n_rules;
	int			rules_capacity;
	int			json_rules[4];	/* json_value.c's, made on demand; -1: not yet */
} LlmBuilder;

/*
 * Begin with setjmp:
 *		llm_builder_begin(&builder, error);
 *		if (setjmp(builder.failed) == 0)
 *			grammar = llm_builder_compile(&builder, root);
 *		llm_builder_end(&builder);
 */
extern void llm_builder_begin(LlmBuilder *builder, LlmError *error);
extern void llm_builder_end(LlmBuilder *builder);
extern void llm_builder_fail(LlmBuilder *builder, LlmErrorCode code, const char *format,...)
			__attribute__((format(printf, 3, 4), noreturn));
extern void *llm_builder_claim(LlmBuilder *builder, size_t size);	/* zeroed */
extern char *llm_builder_print(LlmBuilder *builder, const char *format,...)
			__attribute__((format(printf, 2, 3)));

/* A rule to be defined; its name is kept, not copied. */
extern int	llm_builder_add_rule(LlmBuilder *builder, const char *name);

/* The block, from a rule (grammar_compile.c). */
extern LlmGrammar *llm_builder_compile(LlmBuilder *builder, int root);

/* Expressions.  NULL among the items is left out. */
extern const LlmExpr *llm_fail_expr(LlmBuilder *builder);
extern const LlmExpr *llm_literal(LlmBuilder *builder, const char *bytes, size_t length);
extern const LlmExpr *llm_text(LlmBuilder *builder, const char *text);
extern const LlmExpr *llm_chars(LlmBuilder *builder, LlmCharSet chars);
extern const LlmExpr *llm_json_chars(LlmBuilder *builder, LlmCharSet chars);
extern const LlmExpr *llm_char_range(LlmBuilder *builder, uint32_t first, uint32_t last);
extern const LlmExpr *llm_sequence(LlmBuilder *builder, int n_items, const LlmExpr *const *items);
extern const LlmExpr *llm_choice(LlmBuilder *builder, int n_items, const LlmExpr *const *items);
extern const LlmExpr *llm_then(LlmBuilder *builder, const LlmExpr *a, const LlmExpr *b);
extern const LlmExpr *llm_or(LlmBuilder *builder, const LlmExpr *a, const LlmExpr *b);
extern const LlmExpr *llm_repeat(LlmBuilder *builder, const LlmExpr *item, int least, int most);
extern const LlmExpr *llm_optional(LlmBuilder *builder, const LlmExpr *item);
extern const LlmExpr *llm_rule_expr(LlmBuilder *builder, int rule);
extern const LlmExpr *llm_automaton_expr(LlmBuilder *builder, const struct LlmAutomaton *automaton,
										 bool in_json);

/* A growing list, for sequences, choices and sets. */
typedef struct LlmExprList
{
	const LlmExpr **items;
	int			n_items;
	int			capacity;
} LlmExprList;

extern void llm_list_add(LlmBuilder *builder, LlmExprList *list, const LlmExpr *item);

/* Sets of characters; surrogates and U+0000 are never in one. */
extern LlmCharSet llm_charset(LlmBuilder *builder, const LlmCharRange *ranges, int n_ranges);
extern LlmCharSet llm_charset_invert(LlmBuilder *builder, LlmCharSet set);
extern LlmCharSet llm_charset_minus(LlmBuilder *builder, LlmCharSet a, LlmCharSet b);
extern bool llm_charset_contains(LlmCharSet set, uint32_t character);

/* The character at text[*at], which moves on; what is not UTF-8 is told by -1. */
extern int32_t llm_next_char(const char *text, size_t length, size_t *at);
extern int	llm_write_char(uint32_t character, char *out);	/* bytes, at most 4 */

#endif							/* LLM_EXPR_H */
