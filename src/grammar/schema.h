/*
 * schema.h
 *		A JSON schema as expressions.  Private to grammar/schema*.c.
 *
 * What is compiled is always a conjunction: the schemas that hold for one place at once ("allOf", "$ref" beside
 * other keywords, the same property in two of them).  Each conjunction is one rule, so that a recursive schema
 * becomes a recursive grammar.
 */
#ifndef LLM_SCHEMA_H
#define LLM_SCHEMA_H

#include "grammar/json_value.h"
#include "grammar/number_range.h"

#define LLM_MAX_CONJUNCTS 32

/* One schema of a conjunction; what has been dealt with elsewhere is left out. */
typedef struct LlmConjunct
{
	const LlmJson *schema;
	bool		without_any_of;
	bool		without_one_of;
} LlmConjunct;

typedef struct LlmConjunction
{
	int			n;
	LlmConjunct items[LLM_MAX_CONJUNCTS];
} LlmConjunction;

/* Conjunctions that have a rule. */
typedef struct LlmKnownRule
{
	LlmConjunction conjunction;
	int			rule;
	struct LlmKnownRule *next;
} LlmKnownRule;

typedef struct LlmSchemaCompiler
{
	LlmBuilder *builder;
	const LlmJson *root;
	LlmKnownRule *known;
	int			depth;
	int			work;			/* places looked at */
} LlmSchemaCompiler;

typedef enum LlmJsonTypes
{
	LLM_TYPE_NULL = 1,
	LLM_TYPE_BOOLEAN = 2,
	LLM_TYPE_INTEGER = 4,
	LLM_TYPE_NUMBER = 8,		/* that is no integer */
	LLM_TYPE_STRING = 16,
	LLM_TYPE_ARRAY = 32,
	LLM_TYPE_OBJECT = 64,
	LLM_TYPE_ALL = 127
} LlmJsonTypes;

/* The expression of a conjunction: its rule's. */
extern const LlmExpr *llm_schema_expr(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction,
									  const LlmJson *place);

/* An error at a place of the schema. */
extern void llm_schema_fail(LlmSchemaCompiler *compiler, const LlmJson *place, const char *format,...)
			__attribute__((format(printf, 3, 4), noreturn));

/* Add a schema unless it is there already. */
extern void llm_conjunction_add(LlmSchemaCompiler *compiler, LlmConjunction *conjunction, LlmConjunct conjunct);

/* The keyword's value in a schema, or NULL. */
extern const LlmJson *llm_keyword(const LlmJson *schema, const char *name);

/* A number of items, characters, ... that is not negative; by_default where the keyword is absent. */
extern int	llm_keyword_count(LlmSchemaCompiler *compiler, const LlmJson *schema, const char *name, int by_default);

/* The tightest of the conjunction's bounds. */
extern void llm_schema_bounds(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction,
							  LlmBound *low, LlmBound *high, int *most_fraction);

/*
 * The types that all of them allow.  With made, those that the grammar makes: without "type" these are
 * the types that the other keywords are about, which leaves out values that would be valid, but nobody wants.
 */
extern unsigned llm_schema_types(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, bool made);

/* Resolve "$ref" and "allOf" (schema_flatten.c). */
extern LlmConjunction llm_schema_flatten(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction);

/* Whether no value can be valid against both; true only where that is certain (schema_flatten.c). */
extern bool llm_schema_disjoint(LlmSchemaCompiler *compiler, const LlmConjunction *a, const LlmConjunction *b);

/* The values of "enum" and "const" that hold for all (schema_values.c). */
extern bool llm_schema_has_values(const LlmConjunction *conjunction);
extern const LlmExpr *llm_schema_values(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction,
										const LlmJson *place);

/* By type. */
extern const LlmExpr *llm_schema_string(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction,
										const LlmJson *place);
extern const LlmExpr *llm_schema_object(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction,
										const LlmJson *place);
extern const LlmExpr *llm_schema_array(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction,
									   const LlmJson *place);

/* Whether a string is valid against the string keywords (schema_string.c). */
extern bool llm_schema_allows_string(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction,
									 const LlmJson *value);

#endif							/* LLM_SCHEMA_H */
