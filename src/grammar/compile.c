/*
 * compile.c
 *		From expressions to operations, and to the block.
 *
 * Operations are made from the end to the beginning: each knows what follows it.
 */
#include "grammar/compile.h"

#include <stdlib.h>
#include <string.h>

#include "grammar/automaton.h"

#define MAGIC 0x4C474D31
#define MAX_WORK 20000000

/* A repetition of more operations than that calls a rule rather than repeat them. */
#define INLINE_OPS 4

static void compile_rules(LlmCompiler *compiler);
static uint32_t compile_expr(LlmCompiler *compiler, const LlmExpr *expr, uint32_t next);
static uint32_t compile_choice(LlmCompiler *compiler, const LlmExpr *expr, uint32_t next);
static uint32_t compile_repeat(LlmCompiler *compiler, const LlmExpr *expr, uint32_t next);
static uint32_t repeat_item(LlmCompiler *compiler, const LlmExpr *item, uint32_t rule, uint32_t next);
static uint32_t rule_of_item(LlmCompiler *compiler, const LlmExpr *expr);
static uint32_t compile_automaton(LlmCompiler *compiler, const LlmExpr *expr, uint32_t next);
static uint32_t compile_state(LlmCompiler *compiler, const LlmExpr *expr, int state,
							  const uint32_t *entries, uint32_t next);
static uint32_t add_rule(LlmCompiler *compiler);
static uint32_t add_set(LlmCompiler *compiler, LlmByteSet set);
static void *grown(LlmCompiler *compiler, const void *old, uint32_t n, uint32_t *capacity, size_t item);
static LlmGrammar *make_block(const LlmCompiler *compiler, uint32_t root);
static void find_classes(const LlmCompiler *compiler, LlmGrammar *grammar);

LlmGrammar *
llm_builder_compile(LlmBuilder *builder, int root)
{
	LlmCompiler compiler = {.builder = builder};
	LlmGrammar *grammar;

	for (int i = 0; i < builder->n_rules; i++)
		add_rule(&compiler);
	compile_rules(&compiler);
	llm_compile_check(&compiler, (uint32_t) root);
	grammar = make_block(&compiler, (uint32_t) root);
	if (grammar == NULL)
		llm_builder_fail(builder, LLM_ERROR_OUT_OF_MEMORY, "out of memory for a grammar");
	return grammar;
}

bool
llm_grammar_check(const void *memory, size_t size)
{
	const LlmGrammar *grammar = memory;
	size_t		expected = sizeof(LlmGrammar);

	if (size < sizeof(LlmGrammar) || grammar->magic != MAGIC || grammar->size != size ||
		grammar->n_ops > LLM_GRAMMAR_MAX_OPS || grammar->n_rules > 2 * LLM_GRAMMAR_MAX_RULES ||
		grammar->n_sets > LLM_GRAMMAR_MAX_OPS || grammar->root >= grammar->n_rules)
		return false;
	if (grammar->ops_offset != expected)
		return false;
	expected += grammar->n_ops * sizeof(LlmGrammarOp);
	if (grammar->rules_offset != expected)
		return false;
	expected = (expected + grammar->n_rules * sizeof(LlmGrammarRule) + 7) & ~(size_t) 7;
	if (grammar->sets_offset != expected || expected + grammar->n_sets * sizeof(LlmGrammarSet) != size)
		return false;
	for (uint32_t i = 0; i < grammar->n_rules; i++)
	{
		if (llm_grammar_rules(grammar)[i].start >= grammar->n_ops ||
			llm_grammar_rules(grammar)[i].order >= grammar->n_rules)
			return false;
	}
	for (uint32_t i = 0; i < grammar->n_ops; i++)
	{
		LlmGrammarOp op = llm_grammar_ops(grammar)[i];
		uint32_t	limit = op.kind == LLM_OP_BYTE ? grammar->n_sets :
			op.kind == LLM_OP_CALL ? grammar->n_rules : grammar->n_ops;

		if (op.kind > LLM_OP_RETURN ||
			(op.kind != LLM_OP_RETURN && (op.next >= grammar->n_ops || op.arg >= limit)))
			return false;
	}
	return true;
}

uint32_t
llm_compile_op(LlmCompiler *compiler, LlmGrammarOpKind kind, uint32_t arg, uint32_t next)
{
	if (compiler->n_ops == LLM_GRAMMAR_MAX_OPS)
		llm_builder_fail(compiler->builder, LLM_ERROR_LIMIT,
						 "the grammar is too large: more than %d operations with all repetitions",
						 LLM_GRAMMAR_MAX_OPS);
	if (compiler->n_ops == compiler->ops_capacity)
		compiler->ops = grown(compiler, compiler->ops, compiler->n_ops, &compiler->ops_capacity, sizeof(LlmGrammarOp));
	compiler->ops[compiler->n_ops] = (LlmGrammarOp)
	{
		.kind = kind, .arg = arg, .next = next
	};
	return compiler->n_ops++;
}

uint32_t
llm_compile_byte_range(LlmCompiler *compiler, uint8_t first, uint8_t last, uint32_t next)
{
	LlmByteSet	set = {{0}};

	for (int byte = first; byte <= last; byte++)
		set.bytes[byte / 64] |= UINT64_C(1) << (byte % 64);
	return llm_compile_op(compiler, LLM_OP_BYTE, add_set(compiler, set), next);
}

static void
compile_rules(LlmCompiler *compiler)
{
	LlmBuilder *builder = compiler->builder;

	for (int i = 0; i < builder->n_rules; i++)
	{
		const LlmRule *rule = &builder->rules[i];
		uint32_t	end;
		uint32_t	start;

		if (rule->expr == NULL)
			llm_builder_fail(builder, LLM_ERROR_ARGUMENT, "%s: %s is not defined", rule->used_at, rule->name);
		end = llm_compile_op(compiler, LLM_OP_RETURN, 0, 0);
		start = compile_expr(compiler, rule->expr, end);
		compiler->rules[i].start = start;
	}
}

/* The first operation of expr, when `next` follows it; LLM_NO_OP where nothing matches. */
static uint32_t
compile_expr(LlmCompiler *compiler, const LlmExpr *expr, uint32_t next)
{
	if (++compiler->work > MAX_WORK)
		llm_builder_fail(compiler->builder, LLM_ERROR_LIMIT, "the grammar is too complex");
	if (next == LLM_NO_OP)
		return LLM_NO_OP;
	switch (expr->kind)
	{
		case LLM_EXPR_FAIL:
			break;
		case LLM_EXPR_LITERAL:
			for (size_t i = expr->length; i > 0; i--)
				next = llm_compile_byte_range(compiler, (uint8_t) expr->bytes[i - 1], (uint8_t) expr->bytes[i - 1], next);
			return next;
		case LLM_EXPR_CHARS:
			return llm_compile_chars(compiler, expr->chars, expr->in_json, next);
		case LLM_EXPR_SEQUENCE:
			for (int i = expr->n_items - 1; i >= 0; i--)
				next = compile_expr(compiler, expr->items[i], next);
			return next;
		case LLM_EXPR_CHOICE:
			return compile_choice(compiler, expr, next);
		case LLM_EXPR_REPEAT:
			return compile_repeat(compiler, expr, next);
		case LLM_EXPR_RULE:
			return llm_compile_op(compiler, LLM_OP_CALL, (uint32_t) expr->rule, next);
		case LLM_EXPR_AUTOMATON:
			return compile_automaton(compiler, expr, next);
	}
	return LLM_NO_OP;
}

static uint32_t
compile_choice(LlmCompiler *compiler, const LlmExpr *expr, uint32_t next)
{
	uint32_t	entry = LLM_NO_OP;

	for (int i = expr->n_items - 1; i >= 0; i--)
	{
		uint32_t	item = compile_expr(compiler, expr->items[i], next);

		if (entry == LLM_NO_OP)
			entry = item;
		else if (item != LLM_NO_OP)
			entry = llm_compile_op(compiler, LLM_OP_SPLIT, entry, item);
	}
	return entry;
}

static uint32_t
compile_repeat(LlmCompiler *compiler, const LlmExpr *expr, uint32_t next)
{
	bool		forever = expr->most == LLM_REPEAT_FOREVER;
	uint32_t	rule = LLM_NO_OP;
	uint32_t	entry = next;

	if (expr->least > 1 || expr->most > 1)
		rule = rule_of_item(compiler, expr);
	if (forever)
	{
		uint32_t	again;

		entry = llm_compile_op(compiler, LLM_OP_SPLIT, next, next);
		again = repeat_item(compiler, expr->item, rule, entry);
		if (again == LLM_NO_OP)
			entry = next;
		else
			compiler->ops[entry].next = again;
	}
	for (int i = expr->least; !forever && i < expr->most; i++)
	{
		uint32_t	item = repeat_item(compiler, expr->item, rule, entry);

		if (item == LLM_NO_OP)
			break;
		entry = llm_compile_op(compiler, LLM_OP_SPLIT, next, item);
	}
	for (int i = 0; i < expr->least; i++)
		entry = repeat_item(compiler, expr->item, rule, entry);
	return entry;
}

static uint32_t
repeat_item(LlmCompiler *compiler, const LlmExpr *item, uint32_t rule, uint32_t next)
{
	if (rule == LLM_NO_OP || next == LLM_NO_OP)
		return compile_expr(compiler, item, next);
	if (++compiler->work > MAX_WORK)
		llm_builder_fail(compiler->builder, LLM_ERROR_LIMIT, "the grammar is too complex");
	return llm_compile_op(compiler, LLM_OP_CALL, rule, next);
}

/* A rule for what is repeated often, or LLM_NO_OP where it is so small that it is as well repeated. */
static uint32_t
rule_of_item(LlmCompiler *compiler, const LlmExpr *expr)
{
	uint32_t	before = compiler->n_ops;
	uint32_t	end = llm_compile_op(compiler, LLM_OP_RETURN, 0, 0);
	uint32_t	start = compile_expr(compiler, expr->item, end);
	uint32_t	rule;

	if (start == LLM_NO_OP || compiler->n_ops - before <= INLINE_OPS)
		return LLM_NO_OP;
	rule = add_rule(compiler);
	compiler->rules[rule].start = start;
	return rule;
}

/* An operation for each state first, which the others can refer to. */
static uint32_t
compile_automaton(LlmCompiler *compiler, const LlmExpr *expr, uint32_t next)
{
	const LlmAutomaton *automaton = expr->automaton;
	uint32_t   *entries;

	if (llm_automaton_is_empty(automaton))
		return LLM_NO_OP;
	entries = llm_builder_claim(compiler->builder, (size_t) automaton->n_states * sizeof(uint32_t));
	for (int i = 0; i < automaton->n_states; i++)
		entries[i] = llm_compile_op(compiler, LLM_OP_SPLIT, next, next);
	for (int i = 0; i < automaton->n_states; i++)
	{
		uint32_t	body = compile_state(compiler, expr, i, entries, next);

		compiler->ops[entries[i]].arg = body;
		compiler->ops[entries[i]].next = body;
	}
	return entries[0];
}

/* All characters that lead to the same state together. */
static uint32_t
compile_state(LlmCompiler *compiler, const LlmExpr *expr, int state, const uint32_t *entries, uint32_t next)
{
	const LlmAutomaton *automaton = expr->automaton;
	const int  *row = automaton->next + state * automaton->n_ranges;
	LlmCharRange *ranges = llm_builder_claim(compiler->builder, ((size_t) automaton->n_ranges + 1) * sizeof(LlmCharRange));
	bool	   *done = llm_builder_claim(compiler->builder, (size_t) automaton->n_ranges + 1);
	uint32_t	entry = automaton->accepts[state] ? next : LLM_NO_OP;

	for (int i = 0; i < automaton->n_ranges; i++)
	{
		int			n = 0;
		uint32_t	item;

		if (row[i] < 0 || done[i])
			continue;
		for (int k = i; k < automaton->n_ranges; k++)
		{
			if (row[k] != row[i])
				continue;
			ranges[n++] = automaton->ranges[k];
			done[k] = true;
		}
		item = llm_compile_chars(compiler, llm_charset(compiler->builder, ranges, n), expr->in_json, entries[row[i]]);
		if (entry == LLM_NO_OP)
			entry = item;
		else if (item != LLM_NO_OP)
			entry = llm_compile_op(compiler, LLM_OP_SPLIT, entry, item);
	}
	if (entry == LLM_NO_OP)
	{
		/* none of its characters can be written: the state is dead */
		LlmByteSet	none = {{0}};

		entry = llm_compile_op(compiler, LLM_OP_BYTE, add_set(compiler, none), next);
	}
	return entry;
}

static uint32_t
add_rule(LlmCompiler *compiler)
{
	if (compiler->n_rules == 2 * LLM_GRAMMAR_MAX_RULES)
		llm_builder_fail(compiler->builder, LLM_ERROR_LIMIT, "the grammar has more than %d rules",
						 2 * LLM_GRAMMAR_MAX_RULES);
	if (compiler->n_rules == compiler->rules_capacity)
		compiler->rules = grown(compiler, compiler->rules, compiler->n_rules, &compiler->rules_capacity,
								sizeof(LlmGrammarRule));
	return compiler->n_rules++;
}

/* Most operations have one of a few sets, and those made last come again soonest. */
static uint32_t
add_set(LlmCompiler *compiler, LlmByteSet set)
{
	for (uint32_t i = compiler->n_sets; i > 0; i--)
	{
		if (memcmp(&compiler->sets[i - 1], &set, sizeof(LlmByteSet)) == 0)
			return i - 1;
		if (compiler->n_sets - i > 1000)
			break;
	}
	if (compiler->n_sets == compiler->sets_capacity)
		compiler->sets = grown(compiler, compiler->sets, compiler->n_sets, &compiler->sets_capacity, sizeof(LlmByteSet));
	compiler->sets[compiler->n_sets] = set;
	return compiler->n_sets++;
}

static void *
grown(LlmCompiler *compiler, const void *old, uint32_t n, uint32_t *capacity, size_t item)
{
	void	   *memory;

	*capacity = *capacity == 0 ? 64 : 2 * *capacity;
	memory = llm_builder_claim(compiler->builder, *capacity * item);
	if (n > 0)
		memcpy(memory, old, n * item);
	return memory;
}

static LlmGrammar *
make_block(const LlmCompiler *compiler, uint32_t root)
{
	size_t		ops_bytes = compiler->n_ops * sizeof(LlmGrammarOp);
	size_t		rules_offset = sizeof(LlmGrammar) + ops_bytes;
	size_t		sets_offset = (rules_offset + compiler->n_rules * sizeof(LlmGrammarRule) + 7) & ~(size_t) 7;
	size_t		size = sets_offset + compiler->n_sets * sizeof(LlmGrammarSet);
	LlmGrammar *grammar = calloc(1, size);
	LlmGrammarSet *sets;

	if (grammar == NULL)
		return NULL;
	grammar->magic = MAGIC;
	grammar->size = (uint32_t) size;
	grammar->n_ops = compiler->n_ops;
	grammar->n_rules = compiler->n_rules;
	grammar->n_sets = compiler->n_sets;
	grammar->root = root;
	grammar->ops_offset = sizeof(LlmGrammar);
	grammar->rules_offset = (uint32_t) rules_offset;
	grammar->sets_offset = (uint32_t) sets_offset;
	memcpy((char *) grammar + grammar->ops_offset, compiler->ops, ops_bytes);
	memcpy((char *) grammar + rules_offset, compiler->rules, compiler->n_rules * sizeof(LlmGrammarRule));
	find_classes(compiler, grammar);
	sets = (LlmGrammarSet *) ((char *) grammar + sets_offset);
	for (uint32_t i = 0; i < compiler->n_sets; i++)
	{
		for (uint32_t class = 0; class < grammar->n_classes; class++)
		{
			uint8_t		byte = grammar->example[class];

			if (compiler->sets[i].bytes[byte / 64] >> (byte % 64) & 1)
				sets[i].classes[class / 64] |= UINT64_C(1) << (class % 64);
		}
	}
	return grammar;
}

/* Begin with one class and let every set divide it. */
static void
find_classes(const LlmCompiler *compiler, LlmGrammar *grammar)
{
	grammar->n_classes = 1;
	for (uint32_t i = 0; i < compiler->n_sets && grammar->n_classes < 256; i++)
	{
		uint32_t	n_before = grammar->n_classes;
		int			divided[256];
		int			n_in[256] = {0};
		int			n_all[256] = {0};

		memset(divided, -1, sizeof(divided));
		for (int byte = 0; byte < 256; byte++)
		{
			n_all[grammar->class_of[byte]]++;
			n_in[grammar->class_of[byte]] += compiler->sets[i].bytes[byte / 64] >> (byte % 64) & 1;
		}
		for (uint32_t class = 0; class < n_before; class++)
		{
			if (n_in[class] > 0 && n_in[class] < n_all[class])
				divided[class] = (int) grammar->n_classes++;
		}
		for (int byte = 0; byte < 256; byte++)
		{
			int			class = divided[grammar->class_of[byte]];

			if (class >= 0 && compiler->sets[i].bytes[byte / 64] >> (byte % 64) & 1)
				grammar->class_of[byte] = (uint8_t) class;
		}
	}
	for (int byte = 255; byte >= 0; byte--)
		grammar->example[grammar->class_of[byte]] = (uint8_t) byte;
}
