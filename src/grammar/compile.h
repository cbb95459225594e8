/*
 * compile.h
 *		From expressions to operations.  Private to grammar/.
 */
#ifndef LLM_COMPILE_H
#define LLM_COMPILE_H

#include "grammar/expr.h"

#define LLM_NO_OP UINT32_MAX

typedef struct LlmByteSet
{
	uint64_t	bytes[4];
} LlmByteSet;

typedef struct LlmCompiler
{
	LlmBuilder *builder;
	LlmGrammarOp *ops;
	uint32_t	n_ops;
	uint32_t	ops_capacity;
	LlmByteSet *sets;
	uint32_t	n_sets;
	uint32_t	sets_capacity;
	LlmGrammarRule *rules;		/* [n_rules] */
	uint32_t	n_rules;
	uint32_t	rules_capacity;
	int64_t		work;
} LlmCompiler;

extern uint32_t llm_compile_op(LlmCompiler *compiler, LlmGrammarOpKind kind, uint32_t arg, uint32_t next);
extern uint32_t llm_compile_byte_range(LlmCompiler *compiler, uint8_t first, uint8_t last, uint32_t next);

/* One character of a set; in_json: as it stands in a JSON string (compile_chars.c). */
extern uint32_t llm_compile_chars(LlmCompiler *compiler, LlmCharSet chars, bool in_json, uint32_t next);

/*
 * Fill in shortest lengths and the order of rules; fails where a rule is left-recursive or the root
 * can never end (compile_check.c).
 */
extern void llm_compile_check(LlmCompiler *compiler, uint32_t root);

#endif							/* LLM_COMPILE_H */
