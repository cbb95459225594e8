/*
 * compile_check.c
 *		Shortest lengths, and the order of rules: no rule is left-recursive, and the root can end.
 */
#include "grammar/compile.h"

#include <string.h>

/* Searching for a cycle: rules on the way have a caller. */
typedef struct Search
{
	LlmCompiler *compiler;
	uint8_t    *state;			/* [n_rules] 0 new, 1 on the way, 2 done */
	uint32_t   *on_way;			/* [n_rules] the rules on the way, from the first */
	uint32_t	n_on_way;
	uint32_t  **calls;			/* [n_rules] of those on the way: whom they call */
	uint32_t   *n_calls;
	uint32_t   *seen;			/* [n_ops] the round that met the operation last */
	uint32_t   *stack;			/* [n_ops] */
	uint32_t	round;
	uint32_t	next_order;
} Search;

static void find_shortest(LlmCompiler *compiler);
static bool shorten(LlmCompiler *compiler, uint32_t op);
static void order_rule(Search *search, uint32_t rule);
static uint32_t find_calls(Search *search, uint32_t rule, uint32_t *calls);
static void fail_left_recursive(Search *search, uint32_t rule);
static const char *rule_name(const LlmCompiler *compiler, uint32_t rule);

void
llm_compile_check(LlmCompiler *compiler, uint32_t root)
{
	Search		search = {.compiler = compiler};

	find_shortest(compiler);
	if (compiler->rules[root].min_bytes >= LLM_GRAMMAR_NEVER)
		llm_builder_fail(compiler->builder, LLM_ERROR_ARGUMENT, "%s can never end", rule_name(compiler, root));
	search.state = llm_builder_claim(compiler->builder, compiler->n_rules);
	search.on_way = llm_builder_claim(compiler->builder, compiler->n_rules * sizeof(uint32_t));
	search.calls = llm_builder_claim(compiler->builder, compiler->n_rules * sizeof(uint32_t *));
	search.n_calls = llm_builder_claim(compiler->builder, compiler->n_rules * sizeof(uint32_t));
	search.seen = llm_builder_claim(compiler->builder, compiler->n_ops * sizeof(uint32_t));
	search.stack = llm_builder_claim(compiler->builder, compiler->n_ops * sizeof(uint32_t));
	search.next_order = compiler->n_rules;
	for (uint32_t i = 0; i < compiler->n_rules; i++)
		order_rule(&search, i);
}

/* Until nothing becomes shorter; what follows an operation mostly comes before it. */
static void
find_shortest(LlmCompiler *compiler)
{
	bool		changed = true;

	for (uint32_t i = 0; i < compiler->n_ops; i++)
		compiler->ops[i].min_bytes = compiler->ops[i].kind == LLM_OP_RETURN ? 0 : LLM_GRAMMAR_NEVER;
	for (uint32_t i = 0; i < compiler->n_rules; i++)
		compiler->rules[i].min_bytes = LLM_GRAMMAR_NEVER;
	for (int pass = 0; changed; pass++)
	{
		changed = false;
		for (uint32_t i = 0; i < compiler->n_ops; i++)
			changed |= shorten(compiler, pass % 2 ? compiler->n_ops - 1 - i : i);
		for (uint32_t i = 0; i < compiler->n_rules; i++)
		{
			LlmGrammarRule *rule = &compiler->rules[i];
			uint32_t	start = rule->start == LLM_NO_OP ? LLM_GRAMMAR_NEVER : compiler->ops[rule->start].min_bytes;

			changed |= start < rule->min_bytes;
			rule->min_bytes = start < rule->min_bytes ? start : rule->min_bytes;
		}
	}
	for (uint32_t i = 0; i < compiler->n_rules; i++)
	{
		/* a rule that nothing matches begins with an operation that nothing matches */
		if (compiler->rules[i].start == LLM_NO_OP)
		{
			compiler->rules[i].start = llm_compile_op(compiler, LLM_OP_SPLIT, compiler->n_ops, compiler->n_ops);
			compiler->ops[compiler->rules[i].start].min_bytes = LLM_GRAMMAR_NEVER;
		}
	}
}

static bool
shorten(LlmCompiler *compiler, uint32_t at)
{
	LlmGrammarOp *op = &compiler->ops[at];
	uint32_t	next = compiler->ops[op->next].min_bytes;
	uint32_t	length = op->min_bytes;

	switch ((LlmGrammarOpKind) op->kind)
	{
		case LLM_OP_BYTE:
			{
				const LlmByteSet *set = &compiler->sets[op->arg];

				if ((set->bytes[0] | set->bytes[1] | set->bytes[2] | set->bytes[3]) != 0)
					length = 1 + next;
				break;
			}
		case LLM_OP_SPLIT:
			{
				uint32_t	other = compiler->ops[op->arg].min_bytes;

				length = next < other ? next : other;
				break;
			}
		case LLM_OP_CALL:
			length = compiler->rules[op->arg].min_bytes + next;
			break;
		case LLM_OP_RETURN:
			return false;
	}
	if (length >= op->min_bytes)
		return false;
	op->min_bytes = length;
	return true;
}

/*
 * Depth first through the rules that a rule can call before it consumes a byte; whoever is done first
 * comes last.  Without recursion, since the way may be as long as there are rules.
 */
static void
order_rule(Search *search, uint32_t rule)
{
	LlmCompiler *compiler = search->compiler;
	uint32_t  **calls = search->calls;
	uint32_t   *n_calls = search->n_calls;

	if (search->state[rule] != 0)
		return;
	search->n_on_way = 0;
	search->on_way[search->n_on_way++] = rule;
	search->state[rule] = 1;
	while (search->n_on_way > 0)
	{
		uint32_t	depth = search->n_on_way - 1;
		uint32_t	at = search->on_way[depth];

		if (calls[depth] == NULL)
		{
			n_calls[depth] = find_calls(search, at, NULL);
			calls[depth] = llm_builder_claim(compiler->builder, (n_calls[depth] + 1) * sizeof(uint32_t));
			find_calls(search, at, calls[depth]);
		}
		if (n_calls[depth] > 0)
		{
			uint32_t	called = calls[depth][--n_calls[depth]];

			if (search->state[called] == 1)
				fail_left_recursive(search, called);
			if (search->state[called] == 0)
			{
				search->state[called] = 1;
				search->on_way[search->n_on_way++] = called;
			}
			continue;
		}
		search->state[at] = 2;
		compiler->rules[at].order = --search->next_order;
		calls[depth] = NULL;
		search->n_on_way--;
	}
}

/* The rules that a rule can call before it consumes a byte, in calls where it is not NULL; how many. */
static uint32_t
find_calls(Search *search, uint32_t rule, uint32_t *calls)
{
	LlmCompiler *compiler = search->compiler;
	uint32_t   *stack = search->stack;
	uint32_t	n_stack = 0;
	uint32_t	n = 0;

	search->round++;
	stack[n_stack++] = compiler->rules[rule].start;
	search->seen[compiler->rules[rule].start] = search->round;
	while (n_stack > 0)
	{
		const LlmGrammarOp *op = &compiler->ops[stack[--n_stack]];
		uint32_t	ways[2];
		int			n_ways = 0;

		if (op->min_bytes >= LLM_GRAMMAR_NEVER)
			continue;
		if (op->kind == LLM_OP_SPLIT)
		{
			ways[n_ways++] = op->arg;
			ways[n_ways++] = op->next;
		}
		else if (op->kind == LLM_OP_CALL)
		{
			if (calls != NULL)
				calls[n] = op->arg;
			n++;
			if (compiler->rules[op->arg].min_bytes == 0)
				ways[n_ways++] = op->next;
		}
		for (int i = 0; i < n_ways; i++)
		{
			if (search->seen[ways[i]] != search->round)
			{
				search->seen[ways[i]] = search->round;
				stack[n_stack++] = ways[i];
			}
		}
	}
	return n;
}

static void
fail_left_recursive(Search *search, uint32_t rule)
{
	LlmCompiler *compiler = search->compiler;
	char		way[200] = "";
	size_t		length = 0;
	uint32_t	i = 0;

	while (search->on_way[i] != rule)
		i++;
	for (; i < search->n_on_way && length < sizeof(way) - 64; i++)
	{
		const char *name = rule_name(compiler, search->on_way[i]);
		size_t		n = strlen(name) < 60 ? strlen(name) : 60;

		if (length > 0)
		{
			memcpy(way + length, ", ", 2);
			length += 2;
		}
		memcpy(way + length, name, n);
		length += n;
	}
	way[length] = '\0';
	llm_builder_fail(compiler->builder, LLM_ERROR_ARGUMENT,
					 "%s begins with itself (left recursion), by way of %s", rule_name(compiler, rule), way);
}

/* A rule that a repetition made has no name of its own. */
static const char *
rule_name(const LlmCompiler *compiler, uint32_t rule)
{
	const LlmBuilder *builder = compiler->builder;

	return rule < (uint32_t) builder->n_rules ? builder->rules[rule].name : "a repetition";
}
