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

#define LLM_MAX_CONJUNCTS 64

typedef enum LlmMemberState
{
	LLM_MEMBER_OPEN,			/* of LLM_SOME_MEMBER */
	LLM_MEMBER_UNNAMED,			/* it is one that no schema names */
	LLM_MEMBER_DONE
} LlmMemberState;

/* One schema of a conjunction; what has been dealt with elsewhere is left out. */
typedef struct LlmConjunct
{
	const LlmJson *schema;
	bool		without_any_of;
	bool		without_one_of;
	uint8_t		member;			/* LlmMemberState */
} LlmConjunct;

typedef struct LlmConjunction
{
	int			n;
	const LlmJson *never;		/* a schema among them that nothing is valid against */
	LlmConjunct items[LLM_MAX_CONJUNCTS];
} LlmConjunction;

/* Conjunctions that have a rule. */
typedef struct LlmKnownRule
{
	LlmConjunction conjunction;
	int			rule;
	struct LlmKnownRule *next;
} LlmKnownRule;

/* What a schema was rewritten to, once for each. */
typedef struct LlmRewrite
{
	const LlmJson *schema;
	const void *of;				/* keyword, name: what of it */
	const LlmJson *made;
	struct LlmRewrite *next;
} LlmRewrite;

typedef struct LlmSchemaCompiler
{
	LlmBuilder *builder;
	const LlmJson *root;
	LlmKnownRule *known;
	LlmRewrite *rewrites[256];	/* by the schema's address */
	int			depth;
	int			work;			/* places looked at */
	uint64_t	compared;		/* values that were compared, see llm_schema_equal */
	int			alternatives;	/* above 0: what cannot be is left out */
	char		first_reason[200];	/* why it was */
} LlmSchemaCompiler;

/*
 * Keywords of schemas that we make ourselves, of "not" and its like.  No JSON has them: they are not UTF-8.
 *
 * The schema that is the child, and its negation; what must not be: types (position: LlmJsonTypes), scalar values (children), a
 * pattern, a format, multiples of a number; the first item that counts for "contains" (position); {"key", "value"} of a
 * member that there must be.
 */
#define LLM_MADE_SAME "\xFF" "same"
#define LLM_MADE_NOT "\xFF" "not"
#define LLM_NOT_TYPES "\xFF" "types"
#define LLM_NOT_VALUES "\xFF" "values"
#define LLM_NOT_PATTERN "\xFF" "pattern"
#define LLM_NOT_FORMAT "\xFF" "format"
#define LLM_NOT_MULTIPLE "\xFF" "multipleOf"
#define LLM_CONTAINS_FROM "\xFF" "from"
#define LLM_SOME_MEMBER "\xFF" "member"

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

/*
 * Nothing is valid at this place: an error, or, where there are alternatives, what matches nothing.
 */
extern const LlmExpr *llm_schema_empty(LlmSchemaCompiler *compiler, const LlmJson *place, const char *format,...)
			__attribute__((format(printf, 3, 4)));

/* Whether nothing matches, as far as can be seen yet. */
extern bool llm_schema_is_never(LlmSchemaCompiler *compiler, const LlmExpr *expr);

/* Add a schema; false where it was there already. */
extern bool llm_conjunction_add(LlmSchemaCompiler *compiler, LlmConjunction *conjunction, LlmConjunct conjunct);

/* The keyword's value in a schema, or NULL. */
extern const LlmJson *llm_keyword(const LlmJson *schema, const char *name);

/* A number of items, characters, ... that is not negative; by_default where the keyword is absent. */
extern int	llm_keyword_count(LlmSchemaCompiler *compiler, const LlmJson *schema, const char *name, int by_default);

/* The keyword's value, which is an array or an object, or NULL where it is absent. */
extern const LlmJson *llm_keyword_checked(LlmSchemaCompiler *compiler, const LlmJson *schema, const char *name,
										  LlmJsonKind kind);

/* The greatest of `least` and the smallest of `most` that the schemas have as these keywords. */
extern void llm_schema_counts(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const char *least_name,
							  const char *most_name, int *least, int *most);

/* Errors of keywords that are not supported. */
extern void llm_schema_check(LlmSchemaCompiler *compiler, const LlmJson *schema);

/* The tightest of the conjunction's bounds; digits behind the point, -1: any (schema_number.c). */
extern void llm_schema_bounds(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction,
							  LlmBound *low, LlmBound *high, int *most_fraction);

/*
 * The types that all of them allow.  With made, those that the grammar makes: without "type" these are
 * the types that the other keywords are about, which leaves out values that would be valid, but nobody wants.
 */
extern unsigned llm_schema_types(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, bool made);

/* Resolve "$ref", "allOf", "not", "if" and "dependent..." (schema_flatten.c). */
extern LlmConjunction llm_schema_flatten(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction);
extern const LlmJson *llm_schema_resolve(LlmSchemaCompiler *compiler, const LlmJson *reference);

/*
 * The branches of the first "anyOf" or "oneOf" that has not been dealt with, each with all that holds beside it.
 */
typedef struct LlmBranches
{
	const LlmJson *list;
	bool		exactly_one;
	LlmConjunction rest;
} LlmBranches;

extern bool llm_schema_branches(LlmSchemaCompiler *compiler, const LlmConjunction *flat, LlmBranches *branches);
extern LlmConjunction llm_schema_branch(LlmSchemaCompiler *compiler, const LlmBranches *branches, const LlmJson *branch);

/* What is valid where the schema is not (schema_negate.c). */
extern const LlmJson *llm_schema_negation(LlmSchemaCompiler *compiler, const LlmJson *schema);

/* Alternatives that say the same as a keyword, or NULL where the schema has none (schema_rewrite.c). */
extern const LlmJson *llm_schema_conditional(LlmSchemaCompiler *compiler, const LlmJson *schema);
extern const LlmJson *llm_schema_dependent(LlmSchemaCompiler *compiler, const LlmJson *schema, const char *keyword);

/* That LLM_SOME_MEMBER is the one with this name (schema_rewrite.c). */
extern const LlmJson *llm_schema_member_named(LlmSchemaCompiler *compiler, const LlmJson *member, const char *name, size_t length);

/* Whether no value can be valid against both; true only where that is certain (schema_flatten.c). */
extern bool llm_schema_disjoint(LlmSchemaCompiler *compiler, const LlmConjunction *a, const LlmConjunction *b);

/* The values of "enum" and "const" that hold for all (schema_values.c). */
extern bool llm_schema_has_values(const LlmConjunction *conjunction);
extern const LlmExpr *llm_schema_values(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction,
										const LlmJson *place);

/* Whether there are at most `most` values, which are then listed. */
extern bool llm_schema_finite(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, int most,
							  const LlmJson **values, int *n_values);

/* Whether LLM_NOT_VALUES has this one. */
extern bool llm_schema_excludes(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const LlmJson *value);

/* Fails where a schema has values compared without end. */
extern bool llm_schema_equal(LlmSchemaCompiler *compiler, const LlmJson *a, const LlmJson *b);

/* By type. */
extern const LlmExpr *llm_schema_string(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction,
										const LlmJson *place);
extern const LlmExpr *llm_schema_object(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction,
										const LlmJson *place);
extern const LlmExpr *llm_schema_array(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction,
									   const LlmJson *place);
extern const LlmExpr *llm_schema_number(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, unsigned types,
										const LlmJson *place);

/*
 * Some of n items in their order, those that are required in any case.  tails[c]: what follows when c of them have been
 * written, or, for the last one, c or more; NULL: so many must not be (schema_list.c).
 */
extern const LlmExpr *llm_schema_list(LlmSchemaCompiler *compiler, int n, const LlmExpr *const *items, const bool *required,
									  int n_tails, const LlmExpr *const *tails);

/* Whether a value is valid against the keywords about strings, or numbers. */
extern bool llm_schema_allows_string(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction,
									 const LlmJson *value);
extern bool llm_schema_allows_number(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction,
									 const LlmJson *value);

/* The strings that are valid against all that holds, as they are, not as they are written (schema_string.c). */
extern const struct LlmAutomaton *llm_schema_strings(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction);
extern const struct LlmAutomaton *llm_schema_strings_of(LlmSchemaCompiler *compiler, const LlmJson *schema);

/* The strings that a pattern matches, which is a string, or the name of a value. */
extern const struct LlmAutomaton *llm_schema_pattern(LlmSchemaCompiler *compiler, const LlmJson *pattern);
extern const struct LlmAutomaton *llm_schema_key_pattern(LlmSchemaCompiler *compiler, const LlmJson *value);

#endif							/* LLM_SCHEMA_H */
