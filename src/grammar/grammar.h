/*
 * grammar.h
 *		What a generated text may be, as one flat block.
 *
 * Every way to say it (GBNF, a regular expression, choices, a JSON schema) becomes the same thing: rules
 * of operations on bytes.  The block holds indices only, so that a backend can make it and hand it to
 * the worker through shared memory.  It is made once and read-only afterwards.
 *
 * A rule is a small program: consume a byte of a set, split, call a rule, return.  Rules are never
 * left-recursive, and from every operation that is not dead the rule's end can be reached.
 */
#ifndef LLM_GRAMMAR_H
#define LLM_GRAMMAR_H

#include "grammar/json_tree.h"
#include "text/base.h"

/* What a grammar may have at most; its text, whatever the language, and what becomes of it. */
#define LLM_GRAMMAR_MAX_TEXT	65536
#define LLM_GRAMMAR_MAX_OPS		65536
#define LLM_GRAMMAR_MAX_RULES	4096
#define LLM_GRAMMAR_MAX_DEPTH	100 /* nested parentheses, schemas */
#define LLM_GRAMMAR_MAX_REPEAT	10000	/* in {m,n}, minLength, maxItems, ... */

/* Shortest texts are counted in bytes; so long means that there is none. */
#define LLM_GRAMMAR_NEVER		(UINT32_C(1) << 30)

typedef enum LlmGrammarOpKind
{
	LLM_OP_BYTE,				/* one byte of set `arg`, then `next` */
	LLM_OP_SPLIT,				/* `arg` or `next` */
	LLM_OP_CALL,				/* rule `arg`, then `next` */
	LLM_OP_RETURN
} LlmGrammarOpKind;

typedef struct LlmGrammarOp
{
	uint32_t	kind;
	uint32_t	arg;
	uint32_t	next;
	uint32_t	min_bytes;		/* from here to the rule's end */
} LlmGrammarOp;

typedef struct LlmGrammarRule
{
	uint32_t	start;			/* its first operation */
	uint32_t	min_bytes;		/* 0: it may be empty */
	uint32_t	order;			/* less than that of rules that it can call at once */
} LlmGrammarRule;

/* Classes of bytes that the grammar does not tell apart. */
typedef struct LlmGrammarSet
{
	uint64_t	classes[4];
} LlmGrammarSet;

typedef struct LlmGrammar
{
	uint32_t	magic;
	uint32_t	size;			/* of the block in bytes */
	uint32_t	n_ops;
	uint32_t	n_rules;
	uint32_t	n_sets;
	uint32_t	n_classes;
	uint32_t	root;			/* a rule */
	uint32_t	ops_offset;
	uint32_t	rules_offset;
	uint32_t	sets_offset;
	uint8_t		class_of[256];
	uint8_t		example[256];	/* a byte of each class */
} LlmGrammar;

/*
 * Each returns a block that the caller frees, or NULL with *error filled, whose message names the
 * place (line and column, position, or JSON pointer).  Texts are UTF-8.
 */

/* The language that llama.cpp describes in grammars/README.md; the root rule is "root". */
extern LlmGrammar *llm_grammar_from_gbnf(const char *text, size_t length, LlmError *error);

/* The whole text matches; regex_parse.c has the dialect. */
extern LlmGrammar *llm_grammar_from_regex(const char *text, size_t length, LlmError *error);

extern LlmGrammar *llm_grammar_from_choices(int n_choices, const char *const *choices,
											const size_t *lengths, LlmError *error);

/* Any JSON value. */
extern LlmGrammar *llm_grammar_from_json(LlmError *error);

/* A JSON value that is valid against the schema. */
extern LlmGrammar *llm_grammar_from_schema(const LlmJson *schema, LlmError *error);

/*
 * Whether memory[size] holds a block whose indices all lie inside.
 */
extern bool llm_grammar_check(const void *memory, size_t size);

static inline const LlmGrammarOp *
llm_grammar_ops(const LlmGrammar *grammar)
{
	return (const LlmGrammarOp *) ((const char *) grammar + grammar->ops_offset);
}

static inline const LlmGrammarRule *
llm_grammar_rules(const LlmGrammar *grammar)
{
	return (const LlmGrammarRule *) ((const char *) grammar + grammar->rules_offset);
}

static inline const LlmGrammarSet *
llm_grammar_sets(const LlmGrammar *grammar)
{
	return (const LlmGrammarSet *) ((const char *) grammar + grammar->sets_offset);
}

#endif							/* LLM_GRAMMAR_H */
