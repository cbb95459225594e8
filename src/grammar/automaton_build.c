/*
 * automaton_build.c
 *		Automata from expressions: positions (Thompson 1968), then sets of positions as states.
 */
#include "grammar/automaton_build.h"

#include <stdlib.h>
#include <string.h>

#define MAX_STATES 20000
#define MAX_POSITIONS 50000
#define MAX_WORK 20000000		/* steps of the construction */

/* A position consumes a character of a set, or, without a set, is left at once by one way or two. */
typedef struct Position
{
	bool		consumes;
	LlmCharSet	chars;
	int			next;			/* -1: none */
	int			other;
} Position;

typedef struct Positions
{
	Position   *positions;
	int			n_positions;
	int			capacity;
	int		   *seen;			/* [n_positions] round in which a closure met it */
	int		   *stack;
	int			round;
	int			end;			/* the accepting position */
	int64_t		work;
} Positions;

static int	add_position(LlmBuilder *builder, Positions *all, Position position);
static int	add_expr(LlmBuilder *builder, Positions *all, const LlmExpr *expr, int next);
static int	add_literal(LlmBuilder *builder, Positions *all, const LlmExpr *expr, int next);
static int	add_repeat(LlmBuilder *builder, Positions *all, const LlmExpr *expr, int next);
static void collect_ranges(LlmBuilder *builder, const Positions *all, LlmAutomatonBuild *build);
static int	close_over(LlmBuilder *builder, Positions *all, int from, int *members, int n_members);
static void step_set(LlmBuilder *builder, Positions *all, LlmAutomatonBuild *build, int state, int *members);
static int	compare_ints(const void *a, const void *b);
static int	compare_cuts(const void *a, const void *b);
static uint32_t hash_members(const int *members, int n_members);
static void grow(LlmBuilder *builder, LlmAutomatonBuild *build);
static bool *find_live(LlmBuilder *builder, const LlmAutomatonBuild *build);

const LlmAutomaton *
llm_automaton_from_expr(LlmBuilder *builder, const LlmExpr *expr)
{
	Positions	all = {0};
	LlmAutomatonBuild build = {0};
	int		   *members;
	int			start;
	int			n;

	all.end = add_position(builder, &all, (Position) {.next = -1, .other = -1});
	start = add_expr(builder, &all, expr, all.end);
	all.seen = llm_builder_claim(builder, (size_t) all.n_positions * sizeof(int));
	all.stack = llm_builder_claim(builder, (size_t) all.n_positions * 2 * sizeof(int));
	members = llm_builder_claim(builder, (size_t) all.n_positions * sizeof(int));
	collect_ranges(builder, &all, &build);

	all.round++;
	n = close_over(builder, &all, start, members, 0);
	qsort(members, (size_t) n, sizeof(int), compare_ints);
	llm_automaton_state(builder, &build, members, n);
	for (int state = 0; state < build.n_states; state++)
		step_set(builder, &all, &build, state, members);
	return llm_automaton_finish(builder, &build);
}

void
llm_automaton_set_ranges(LlmBuilder *builder, LlmAutomatonBuild *build, const LlmCharRange *ranges, int n_ranges)
{
	LlmCharSet	chars = llm_charset(builder, ranges, n_ranges);
	uint32_t   *cuts = llm_builder_claim(builder, ((size_t) n_ranges + 1) * 2 * sizeof(uint32_t));
	int			n_cuts = 0;
	int			at = 0;

	/* a range begins at a cut */
	for (int i = 0; i < n_ranges; i++)
	{
		cuts[n_cuts++] = ranges[i].first;
		cuts[n_cuts++] = ranges[i].last + 1;
	}
	qsort(cuts, (size_t) n_cuts, sizeof(uint32_t), compare_cuts);
	build->ranges = llm_builder_claim(builder, ((size_t) n_cuts + (size_t) chars.n_ranges + 1) * sizeof(LlmCharRange));
	build->n_ranges = 0;
	for (int i = 0; i < chars.n_ranges; i++)
	{
		uint32_t	first = chars.ranges[i].first;

		while (first <= chars.ranges[i].last)
		{
			uint32_t	last = chars.ranges[i].last;

			while (at < n_cuts && cuts[at] <= first)
				at++;
			if (at < n_cuts && cuts[at] <= last)
				last = cuts[at] - 1;
			build->ranges[build->n_ranges++] = (LlmCharRange) {first, last};
			first = last + 1;
		}
	}
}

int
llm_automaton_state(LlmBuilder *builder, LlmAutomatonBuild *build, const int *members, int n_members)
{
	LlmStateSet *set;
	uint32_t	bucket;

	if (2 * build->n_states >= build->n_buckets)
		grow(builder, build);
	bucket = hash_members(members, n_members) % (uint32_t) build->n_buckets;
	while (build->buckets[bucket] >= 0)
	{
		set = &build->sets[build->buckets[bucket]];
		if (set->n_members == n_members && memcmp(set->members, members, (size_t) n_members * sizeof(int)) == 0)
			return build->buckets[bucket];
		bucket = (bucket + 1) % (uint32_t) build->n_buckets;
	}
	if (build->n_states == MAX_STATES)
		llm_builder_fail(builder, LLM_ERROR_LIMIT, "the pattern is too complex: more than %d states", MAX_STATES);
	set = &build->sets[build->n_states];
	set->n_members = n_members;
	set->members = llm_builder_claim(builder, ((size_t) n_members + 1) * sizeof(int));
	memcpy(set->members, members, (size_t) n_members * sizeof(int));
	set->accepts = false;
	set->next = llm_builder_claim(builder, ((size_t) build->n_ranges + 1) * sizeof(int));
	for (int i = 0; i < build->n_ranges; i++)
		set->next[i] = -1;
	build->buckets[bucket] = build->n_states;
	return build->n_states++;
}

const LlmAutomaton *
llm_automaton_finish(LlmBuilder *builder, LlmAutomatonBuild *build)
{
	LlmAutomaton *automaton = llm_builder_claim(builder, sizeof(LlmAutomaton));
	bool	   *live = find_live(builder, build);
	int		   *number = llm_builder_claim(builder, ((size_t) build->n_states + 1) * sizeof(int));

	automaton->n_ranges = build->n_ranges;
	automaton->ranges = build->ranges;
	if (build->n_states == 0 || !live[0])
		return automaton;
	for (int i = 0; i < build->n_states; i++)
		number[i] = live[i] ? automaton->n_states++ : -1;
	automaton->next = llm_builder_claim(builder, (size_t) automaton->n_states * (size_t) build->n_ranges * sizeof(int));
	automaton->accepts = llm_builder_claim(builder, (size_t) automaton->n_states * sizeof(bool));
	for (int i = 0; i < build->n_states; i++)
	{
		const LlmStateSet *set = &build->sets[i];

		if (number[i] < 0)
			continue;
		automaton->accepts[number[i]] = set->accepts;
		for (int k = 0; k < build->n_ranges; k++)
			automaton->next[number[i] * build->n_ranges + k] = set->next[k] < 0 ? -1 : number[set->next[k]];
	}
	return automaton;
}

static int
add_position(LlmBuilder *builder, Positions *all, Position position)
{
	if (all->n_positions == MAX_POSITIONS)
		llm_builder_fail(builder, LLM_ERROR_LIMIT, "the pattern is too complex: more than %d characters with all "
						 "repetitions", MAX_POSITIONS);
	if (all->n_positions == all->capacity)
	{
		int			capacity = all->capacity == 0 ? 64 : 2 * all->capacity;
		Position   *positions = llm_builder_claim(builder, (size_t) capacity * sizeof(Position));

		if (all->n_positions > 0)
			memcpy(positions, all->positions, (size_t) all->n_positions * sizeof(Position));
		all->positions = positions;
		all->capacity = capacity;
	}
	all->positions[all->n_positions] = position;
	return all->n_positions++;
}

/* The position that expr begins with, when `next` follows it. */
static int
add_expr(LlmBuilder *builder, Positions *all, const LlmExpr *expr, int next)
{
	int			entry = -1;

	if (++all->work > MAX_WORK)
		llm_builder_fail(builder, LLM_ERROR_LIMIT, "the pattern is too complex");
	switch (expr->kind)
	{
		case LLM_EXPR_FAIL:
			return add_position(builder, all, (Position) {.next = -1, .other = -1});
		case LLM_EXPR_LITERAL:
			return add_literal(builder, all, expr, next);
		case LLM_EXPR_CHARS:
			return add_position(builder, all, (Position) {true, expr->chars, next, -1});
		case LLM_EXPR_SEQUENCE:
			for (int i = expr->n_items - 1; i >= 0; i--)
				next = add_expr(builder, all, expr->items[i], next);
			return next;
		case LLM_EXPR_CHOICE:
			for (int i = expr->n_items - 1; i >= 0; i--)
			{
				int			item = add_expr(builder, all, expr->items[i], next);

				entry = add_position(builder, all, (Position) {.next = item, .other = entry});
			}
			return entry >= 0 ? entry : add_position(builder, all, (Position) {.next = -1, .other = -1});
		case LLM_EXPR_REPEAT:
			return add_repeat(builder, all, expr, next);
		case LLM_EXPR_RULE:
		case LLM_EXPR_AUTOMATON:
			break;
	}
	llm_builder_fail(builder, LLM_ERROR_ARGUMENT, "the pattern cannot be an automaton");
}

static int
add_literal(LlmBuilder *builder, Positions *all, const LlmExpr *expr, int next)
{
	int			first = next;
	int			before = -1;
	size_t		at = 0;

	while (at < expr->length)
	{
		int32_t		character = llm_next_char(expr->bytes, expr->length, &at);
		LlmCharRange range = {(uint32_t) character, (uint32_t) character};
		int			position;

		if (character < 0)
			llm_builder_fail(builder, LLM_ERROR_ARGUMENT, "the pattern is not valid UTF-8");
		position = add_position(builder, all, (Position) {true, llm_charset(builder, &range, 1), next, -1});
		if (before >= 0)
			all->positions[before].next = position;
		else
			first = position;
		before = position;
	}
	return first;
}

static int
add_repeat(LlmBuilder *builder, Positions *all, const LlmExpr *expr, int next)
{
	int			entry = next;

	if (expr->most == LLM_REPEAT_FOREVER)
	{
		int			again;

		entry = add_position(builder, all, (Position) {.next = -1, .other = next});
		again = add_expr(builder, all, expr->item, entry);
		all->positions[entry].next = again;
	}
	else
	{
		for (int i = expr->least; i < expr->most; i++)
		{
			int			item = add_expr(builder, all, expr->item, entry);

			entry = add_position(builder, all, (Position) {.next = item, .other = next});
		}
	}
	for (int i = 0; i < expr->least; i++)
		entry = add_expr(builder, all, expr->item, entry);
	return entry;
}

static void
collect_ranges(LlmBuilder *builder, const Positions *all, LlmAutomatonBuild *build)
{
	LlmCharRange *ranges;
	int			n = 0;

	for (int i = 0; i < all->n_positions; i++)
		n += all->positions[i].chars.n_ranges;
	ranges = llm_builder_claim(builder, ((size_t) n + 1) * sizeof(LlmCharRange));
	n = 0;
	for (int i = 0; i < all->n_positions; i++)
	{
		LlmCharSet	chars = all->positions[i].chars;

		for (int k = 0; k < chars.n_ranges; k++)
		{
			/* most sets come again and again */
			if (n == 0 || memcmp(&ranges[n - 1], &chars.ranges[k], sizeof(LlmCharRange)) != 0)
				ranges[n++] = chars.ranges[k];
		}
	}
	llm_automaton_set_ranges(builder, build, ranges, n);
}

/* Add what can be reached from a position without a character: those that consume one, and the end. */
static int
close_over(LlmBuilder *builder, Positions *all, int from, int *members, int n_members)
{
	int			n_stack = 0;

	all->stack[n_stack++] = from;
	while (n_stack > 0)
	{
		int			at = all->stack[--n_stack];
		const Position *position;

		if (at < 0 || all->seen[at] == all->round)
			continue;
		if (++all->work > MAX_WORK)
			llm_builder_fail(builder, LLM_ERROR_LIMIT, "the pattern is too complex");
		all->seen[at] = all->round;
		position = &all->positions[at];
		if (position->consumes || at == all->end)
			members[n_members++] = at;
		else
		{
			all->stack[n_stack++] = position->other;
			all->stack[n_stack++] = position->next;
		}
	}
	return n_members;
}

static void
step_set(LlmBuilder *builder, Positions *all, LlmAutomatonBuild *build, int state, int *members)
{
	for (int i = 0; i < build->sets[state].n_members; i++)
		build->sets[state].accepts |= build->sets[state].members[i] == all->end;
	for (int range = 0; range < build->n_ranges; range++)
	{
		const LlmStateSet *set = &build->sets[state];
		int			n = 0;

		all->round++;
		for (int i = 0; i < set->n_members; i++)
		{
			const Position *position = &all->positions[set->members[i]];

			all->work++;
			if (position->consumes && llm_charset_contains(position->chars, build->ranges[range].first))
				n = close_over(builder, all, position->next, members, n);
		}
		if (n > 0)
		{
			int			next;

			qsort(members, (size_t) n, sizeof(int), compare_ints);
			next = llm_automaton_state(builder, build, members, n);
			build->sets[state].next[range] = next;
		}
	}
	if (all->work > MAX_WORK)
		llm_builder_fail(builder, LLM_ERROR_LIMIT, "the pattern is too complex");
}

static int
compare_ints(const void *a, const void *b)
{
	int			first = *(const int *) a;
	int			second = *(const int *) b;

	return first < second ? -1 : first > second;
}

static int
compare_cuts(const void *a, const void *b)
{
	uint32_t	first = *(const uint32_t *) a;
	uint32_t	second = *(const uint32_t *) b;

	return first < second ? -1 : first > second;
}

/* FNV-1a (Fowler, Noll and Vo). */
static uint32_t
hash_members(const int *members, int n_members)
{
	uint32_t	hash = 2166136261u;

	for (int i = 0; i < n_members; i++)
		hash = (hash ^ (uint32_t) members[i]) * 16777619u;
	return hash ^ hash >> 15;
}

static void
grow(LlmBuilder *builder, LlmAutomatonBuild *build)
{
	int			n_buckets = build->n_buckets == 0 ? 128 : 2 * build->n_buckets;
	LlmStateSet *sets = llm_builder_claim(builder, (size_t) n_buckets / 2 * sizeof(LlmStateSet));

	if (build->n_states > 0)
		memcpy(sets, build->sets, (size_t) build->n_states * sizeof(LlmStateSet));
	build->sets = sets;
	build->n_buckets = n_buckets;
	build->buckets = llm_builder_claim(builder, (size_t) n_buckets * sizeof(int));
	memset(build->buckets, -1, (size_t) n_buckets * sizeof(int));
	for (int i = 0; i < build->n_states; i++)
	{
		uint32_t	bucket = hash_members(sets[i].members, sets[i].n_members) % (uint32_t) n_buckets;

		while (build->buckets[bucket] >= 0)
			bucket = (bucket + 1) % (uint32_t) n_buckets;
		build->buckets[bucket] = i;
	}
}

/* From which states an accepting one can be reached: backwards until nothing is new. */
static bool *
find_live(LlmBuilder *builder, const LlmAutomatonBuild *build)
{
	bool	   *live = llm_builder_claim(builder, (size_t) build->n_states + 1);
	bool		changed = true;

	while (changed)
	{
		changed = false;
		for (int i = build->n_states - 1; i >= 0; i--)
		{
			const LlmStateSet *set = &build->sets[i];
			bool		reaches = set->accepts;

			if (live[i])
				continue;
			for (int k = 0; k < build->n_ranges && !reaches; k++)
				reaches = set->next[k] >= 0 && live[set->next[k]];
			if (reaches)
			{
				live[i] = true;
				changed = true;
			}
		}
	}
	return live;
}
