/*
 * automaton.c
 *		Products of automata, and what they are made of.
 */
#include "grammar/automaton.h"

#include <stdlib.h>
#include <string.h>

#include "grammar/automaton_build.h"

/* The pairs of states that a product has met. */
typedef struct Product
{
	const LlmAutomaton *a;
	const LlmAutomaton *b;
	bool		minus;
	LlmAutomatonBuild build;
	int		   *class_a;		/* [n_ranges] place of a product's range among a's; -1: none */
	int		   *class_b;
} Product;

static const LlmAutomaton *product(LlmBuilder *builder, const LlmAutomaton *a, const LlmAutomaton *b, bool minus);
static int	divide_classes(LlmBuilder *builder, const LlmAutomaton *automaton, int *class);
static void cut_ranges(LlmBuilder *builder, Product *product);
static int	find_range(const LlmAutomaton *automaton, uint32_t character);
static void step_pair(LlmBuilder *builder, Product *product, int state);

const LlmAutomaton *
llm_automaton_of_length(LlmBuilder *builder, int least, int most)
{
	LlmAutomaton *automaton = llm_builder_claim(builder, sizeof(LlmAutomaton));
	int			last = most == LLM_REPEAT_FOREVER ? least : most;
	LlmCharRange all = {0, LLM_LAST_CHAR};
	LlmCharSet	chars = llm_charset(builder, &all, 1);

	automaton->n_states = last + 1;
	automaton->n_ranges = chars.n_ranges;
	automaton->ranges = chars.ranges;
	automaton->next = llm_builder_claim(builder, (size_t) automaton->n_states * (size_t) chars.n_ranges * sizeof(int));
	automaton->accepts = llm_builder_claim(builder, (size_t) automaton->n_states * sizeof(bool));
	for (int i = 0; i < automaton->n_states; i++)
	{
		int			next = i < last ? i + 1 : most == LLM_REPEAT_FOREVER ? i : -1;

		for (int k = 0; k < chars.n_ranges; k++)
			automaton->next[i * chars.n_ranges + k] = next;
		automaton->accepts[i] = i >= least;
	}
	return automaton;
}

const LlmAutomaton *
llm_automaton_and(LlmBuilder *builder, const LlmAutomaton *a, const LlmAutomaton *b)
{
	return product(builder, a, b, false);
}

const LlmAutomaton *
llm_automaton_minus(LlmBuilder *builder, const LlmAutomaton *a, const LlmAutomaton *b)
{
	return product(builder, a, b, true);
}

/* a or b is not (not a and not b). */
const LlmAutomaton *
llm_automaton_or(LlmBuilder *builder, const LlmAutomaton *a, const LlmAutomaton *b)
{
	const LlmAutomaton *all = llm_automaton_of_length(builder, 0, LLM_REPEAT_FOREVER);

	return llm_automaton_minus(builder, all, llm_automaton_minus(builder, llm_automaton_minus(builder, all, a), b));
}

/* States that differ are told apart, until nothing changes (Moore 1956). */
const LlmAutomaton *
llm_automaton_reduce(LlmBuilder *builder, const LlmAutomaton *automaton)
{
	LlmAutomaton *reduced = llm_builder_claim(builder, sizeof(LlmAutomaton));
	size_t		n = (size_t) automaton->n_states;
	int		   *class = llm_builder_claim(builder, (n + 1) * sizeof(int));
	int			n_classes = 0;
	int			n_before;

	if (n == 0)
		return automaton;
	for (size_t i = 0; i < n; i++)
		class[i] = automaton->accepts[i] ? 1 : 0;
	do
	{
		n_before = n_classes;
		n_classes = divide_classes(builder, automaton, class);
	}
	while (n_classes > n_before);
	*reduced = (LlmAutomaton) {
		.n_states = n_classes, .n_ranges = automaton->n_ranges, .ranges = automaton->ranges
	};
	reduced->next = llm_builder_claim(builder, (size_t) n_classes * (size_t) automaton->n_ranges * sizeof(int));
	reduced->accepts = llm_builder_claim(builder, (size_t) n_classes * sizeof(bool));
	for (size_t i = 0; i < n; i++)
	{
		const int  *row = automaton->next + i * (size_t) automaton->n_ranges;
		int		   *to = reduced->next + class[i] * automaton->n_ranges;

		for (int k = 0; k < automaton->n_ranges; k++)
			to[k] = row[k] < 0 ? -1 : class[row[k]];
		reduced->accepts[class[i]] = automaton->accepts[i];
	}
	return reduced;
}

bool
llm_automaton_is_empty(const LlmAutomaton *automaton)
{
	return automaton->n_states == 0;
}

bool
llm_automaton_accepts(const LlmAutomaton *automaton, const char *text, size_t length)
{
	int			state = automaton->n_states > 0 ? 0 : -1;
	size_t		at = 0;

	while (state >= 0 && at < length)
	{
		int32_t		character = llm_next_char(text, length, &at);
		int			range = character < 0 ? -1 : find_range(automaton, (uint32_t) character);

		state = range < 0 ? -1 : automaton->next[state * automaton->n_ranges + range];
	}
	return state >= 0 && automaton->accepts[state];
}

static const LlmAutomaton *
product(LlmBuilder *builder, const LlmAutomaton *a, const LlmAutomaton *b, bool minus)
{
	Product		product = {.a = a, .b = b, .minus = minus};
	int			start[] = {0, b->n_states > 0 ? 0 : -1};

	cut_ranges(builder, &product);
	if (a->n_states > 0 && (minus || b->n_states > 0))
		llm_automaton_state(builder, &product.build, start, 2);
	for (int state = 0; state < product.build.n_states; state++)
		step_pair(builder, &product, state);
	return llm_automaton_finish(builder, &product.build);
}

/*
 * New classes for states of which class and the classes of what follows are the same; how many.  They are numbered as they
 * come, so that state 0 is in class 0.
 */
static int
divide_classes(LlmBuilder *builder, const LlmAutomaton *automaton, int *class)
{
	LlmAutomatonBuild build = {0};
	int			width = automaton->n_ranges + 1;
	int		   *members = llm_builder_claim(builder, (size_t) width * sizeof(int));
	int		   *divided = llm_builder_claim(builder, (size_t) automaton->n_states * sizeof(int));

	for (int i = 0; i < automaton->n_states; i++)
	{
		const int  *row = automaton->next + i * automaton->n_ranges;

		members[0] = class[i];
		for (int k = 1; k < width; k++)
			members[k] = row[k - 1] < 0 ? -1 : class[row[k - 1]];
		divided[i] = llm_automaton_state(builder, &build, members, width);
	}
	memcpy(class, divided, (size_t) automaton->n_states * sizeof(int));
	return build.n_states;
}

/* Ranges that neither automaton divides. */
static void
cut_ranges(LlmBuilder *builder, Product *product)
{
	const LlmAutomaton *both[] = {product->a, product->b};
	int			n_all = product->a->n_ranges + product->b->n_ranges;
	LlmCharRange *all = llm_builder_claim(builder, ((size_t) n_all + 1) * sizeof(LlmCharRange));
	int			n = 0;

	for (int i = 0; i < 2; i++)
	{
		if (both[i]->n_ranges > 0)
			memcpy(all + n, both[i]->ranges, (size_t) both[i]->n_ranges * sizeof(LlmCharRange));
		n += both[i]->n_ranges;
	}
	llm_automaton_set_ranges(builder, &product->build, all, n);
	n = product->build.n_ranges;
	product->class_a = llm_builder_claim(builder, ((size_t) n + 1) * sizeof(int));
	product->class_b = llm_builder_claim(builder, ((size_t) n + 1) * sizeof(int));
	for (int i = 0; i < n; i++)
	{
		product->class_a[i] = find_range(product->a, product->build.ranges[i].first);
		product->class_b[i] = find_range(product->b, product->build.ranges[i].first);
	}
}

static int
find_range(const LlmAutomaton *automaton, uint32_t character)
{
	int			low = 0;
	int			high = automaton->n_ranges - 1;

	while (low <= high)
	{
		int			middle = (low + high) / 2;

		if (character < automaton->ranges[middle].first)
			high = middle - 1;
		else if (character > automaton->ranges[middle].last)
			low = middle + 1;
		else
			return middle;
	}
	return -1;
}

/* b's state is -1 where b has given up. */
static void
step_pair(LlmBuilder *builder, Product *product, int state)
{
	LlmAutomatonBuild *build = &product->build;
	int			state_a = build->sets[state].members[0];
	int			state_b = build->sets[state].members[1];
	bool		accepts_b = state_b >= 0 && product->b->accepts[state_b];

	build->sets[state].accepts = product->a->accepts[state_a] && accepts_b != product->minus;
	for (int i = 0; i < build->n_ranges; i++)
	{
		int			class_a = product->class_a[i];
		int			class_b = product->class_b[i];
		int			pair[] = {-1, -1};

		if (class_a >= 0)
			pair[0] = product->a->next[state_a * product->a->n_ranges + class_a];
		if (class_b >= 0 && state_b >= 0)
			pair[1] = product->b->next[state_b * product->b->n_ranges + class_b];
		if (pair[0] >= 0 && (pair[1] >= 0 || product->minus))
		{
			int			next = llm_automaton_state(builder, build, pair, 2);

			build->sets[state].next[i] = next;
		}
	}
}
