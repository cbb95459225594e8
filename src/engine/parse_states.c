/*
 * parse_states.c
 *		States of a grammar and the steps between them, made when they are met.
 *
 * A step has three parts.  The operations that take the byte move on; where a rule returns, its frame's places go
 * on instead.  Then rules are called, callers before those they can call without a byte, so that all callers
 * of a rule are known before it gets its frame.  A call in the last place of a rule adds no frame but the
 * rule's own, so that a list does not grow the stack.  At last the set is looked up or made.
 */
#include "engine/parse_states.h"

#include <stdlib.h>
#include <string.h>

#define NEVER			LLM_GRAMMAR_NEVER
#define STEP_UNKNOWN	(-3)
#define MAX_PLACES		100000	/* in one state */
#define MAX_BYTES		((size_t) 128 << 20)
#define SORT_WORK		8		/* of a place that is sorted and looked up */
#define MAX_WORK		UINT64_C(40000000)	/* visits of operations and places */

typedef struct Place
{
	uint32_t	op;
	uint32_t	frame;			/* a node */
} Place;

typedef struct PlaceList
{
	Place	   *places;
	uint32_t	n;
	uint32_t	capacity;
} PlaceList;

/* A state or a frame: to a frame's places a rule returns. */
typedef struct Node
{
	uint32_t	first;			/* in all_places */
	uint32_t	n_places;
	uint32_t	min_bytes;
	uint32_t	popped;			/* the step in which it was returned to last */
	bool		may_end;
	LlmStateId *steps;			/* [n_classes], of a state that was stepped from; NULL: none yet */
	uint64_t   *mask;
} Node;

/* A place that has gone on in a step. */
typedef struct Gone
{
	Place		place;
	uint32_t	step;
} Gone;

typedef struct Call
{
	uint32_t	rule;
	Place		after;			/* where it returns to */
} Call;

struct LlmParseStates
{
	LlmGrammar *grammar;
	const LlmGrammarOp *ops;
	const LlmGrammarRule *rules;
	const LlmGrammarSet *sets;

	Node	   *nodes;
	uint32_t	n_nodes;
	uint32_t	nodes_capacity;
	PlaceList	all_places;
	uint32_t   *buckets;		/* [n_buckets] a node plus one, or 0 */
	uint32_t	n_buckets;
	size_t		extra_bytes;	/* of steps and masks */
	LlmStateId	start;			/* LLM_STATE_FAILED: not made yet */

	/* workspace of a step */
	uint32_t	n_steps;
	uint32_t	n_walks;
	uint32_t   *walked;			/* [n_ops] the walk that met the operation last */
	uint32_t   *stack;			/* [n_ops] */
	PlaceList	going_on;		/* places to be walked from, each once */
	Gone	   *gone;			/* [gone_capacity] a hash table of these */
	uint32_t	gone_capacity;
	PlaceList	result;
	Call	   *calls;
	uint32_t	n_calls;
	uint32_t	calls_capacity;
	PlaceList	frame;
	bool		frame_may_end;
	bool		may_end;
	uint64_t	work;			/* since llm_parse_begin_work */
	bool		failed;
	LlmParseFailure failure;	/* why */
};

static void free_nodes(LlmParseStates *states);
static LlmStateId make_start(LlmParseStates *states);
static LlmStateId make_step(LlmParseStates *states, LlmStateId state, uint32_t class);
static void begin_step(LlmParseStates *states);
static void fail(LlmParseStates *states, LlmParseFailure failure);
static void spend(LlmParseStates *states, uint64_t work);
static LlmStateId finish_step(LlmParseStates *states);
static void walk(LlmParseStates *states, Place from, bool may_return);
static void go_on(LlmParseStates *states, Place place);
static bool grow_gone(LlmParseStates *states);
static void return_to(LlmParseStates *states, uint32_t frame);
static void enter_rule(LlmParseStates *states);
static void add_caller(LlmParseStates *states, Place after);
static void add_call(LlmParseStates *states, uint32_t rule, Place after);
static void add_place(LlmParseStates *states, PlaceList *list, Place place);
static uint32_t skip_joints(const LlmParseStates *states, uint32_t op);
static LlmStateId intern(LlmParseStates *states, PlaceList *list, bool may_end);
static uint32_t sort_places(PlaceList *list);
static int	compare_places(const void *a, const void *b);
static uint32_t hash_places(const Place *places, uint32_t n, bool may_end);
static bool grow_table(LlmParseStates *states);
static bool is_node(const LlmParseStates *states, const Node *node, const PlaceList *list, uint32_t n, bool may_end);
static bool in_set(const LlmGrammarSet *set, uint32_t class);
static bool grow(void **memory, uint32_t *capacity, size_t item);

LlmParseStates *
llm_parse_states_create(const LlmGrammar *grammar)
{
	LlmParseStates *states = calloc(1, sizeof(LlmParseStates));

	if (states == NULL)
		return NULL;
	states->grammar = malloc(grammar->size);
	states->walked = calloc(grammar->n_ops, sizeof(uint32_t));
	states->stack = calloc(2 * (size_t) grammar->n_ops + 2, sizeof(uint32_t));
	if (states->grammar == NULL || states->walked == NULL || states->stack == NULL)
	{
		llm_parse_states_free(states);
		return NULL;
	}
	memcpy(states->grammar, grammar, grammar->size);
	states->ops = llm_grammar_ops(states->grammar);
	states->rules = llm_grammar_rules(states->grammar);
	states->sets = llm_grammar_sets(states->grammar);
	states->start = LLM_STATE_FAILED;
	return states;
}

void
llm_parse_states_free(LlmParseStates *states)
{
	if (states == NULL)
		return;
	free_nodes(states);
	free(states->grammar);
	free(states->walked);
	free(states->stack);
	free(states->going_on.places);
	free(states->gone);
	free(states->result.places);
	free(states->frame.places);
	free(states->calls);
	free(states);
}

void
llm_parse_states_reset(LlmParseStates *states)
{
	free_nodes(states);
	states->start = LLM_STATE_FAILED;
}

size_t
llm_parse_states_bytes(const LlmParseStates *states)
{
	return states->extra_bytes + states->grammar->size + states->nodes_capacity * sizeof(Node) +
		states->all_places.capacity * sizeof(Place) + states->n_buckets * sizeof(uint32_t) +
		3 * (size_t) states->grammar->n_ops * sizeof(uint32_t);
}

const LlmGrammar *
llm_parse_states_grammar(const LlmParseStates *states)
{
	return states->grammar;
}

LlmParseFailure
llm_parse_failure(const LlmParseStates *states)
{
	return states->failure;
}

void
llm_parse_begin_work(LlmParseStates *states)
{
	states->work = 0;
}

LlmStateId
llm_parse_start(LlmParseStates *states)
{
	if (states->start < 0)
		states->start = make_start(states);
	return states->start;
}

LlmStateId
llm_parse_step(LlmParseStates *states, LlmStateId state, uint8_t byte)
{
	uint32_t	class = states->grammar->class_of[byte];
	Node	   *node = &states->nodes[state];
	LlmStateId	next;

	if (node->steps != NULL && node->steps[class] != STEP_UNKNOWN)
		return node->steps[class];
	if (node->steps == NULL)
	{
		size_t		bytes = states->grammar->n_classes * sizeof(LlmStateId);

		node->steps = malloc(bytes);
		if (node->steps == NULL)
		{
			fail(states, LLM_PARSE_OUT_OF_MEMORY);
			return LLM_STATE_FAILED;
		}
		states->extra_bytes += bytes;
		for (uint32_t i = 0; i < states->grammar->n_classes; i++)
			node->steps[i] = STEP_UNKNOWN;
	}
	next = make_step(states, state, class);
	if (next != LLM_STATE_FAILED)
		states->nodes[state].steps[class] = next;
	return next;
}

LlmStateId
llm_parse_text(LlmParseStates *states, LlmStateId state, const char *bytes, size_t length)
{
	for (size_t i = 0; i < length && state >= 0; i++)
		state = llm_parse_step(states, state, (uint8_t) bytes[i]);
	return state;
}

bool
llm_parse_may_end(const LlmParseStates *states, LlmStateId state)
{
	return states->nodes[state].may_end;
}

bool
llm_parse_must_end(const LlmParseStates *states, LlmStateId state)
{
	return states->nodes[state].may_end && states->nodes[state].n_places == 0;
}

uint32_t
llm_parse_min_bytes(const LlmParseStates *states, LlmStateId state)
{
	return states->nodes[state].min_bytes;
}

uint64_t *
llm_parse_mask(const LlmParseStates *states, LlmStateId state)
{
	return states->nodes[state].mask;
}

void
llm_parse_set_mask(LlmParseStates *states, LlmStateId state, uint64_t *mask, size_t bytes)
{
	states->nodes[state].mask = mask;
	states->extra_bytes += bytes;
}

static void
free_nodes(LlmParseStates *states)
{
	for (uint32_t i = 0; i < states->n_nodes; i++)
	{
		free(states->nodes[i].steps);
		free(states->nodes[i].mask);
	}
	free(states->nodes);
	free(states->all_places.places);
	free(states->buckets);
	states->nodes = NULL;
	states->buckets = NULL;
	states->n_nodes = states->nodes_capacity = states->n_buckets = 0;
	states->all_places.places = NULL;
	states->all_places.n = states->all_places.capacity = 0;
	states->extra_bytes = 0;
}

/* Node 0 is the frame of the root: with it the text ends. */
static LlmStateId
make_start(LlmParseStates *states)
{
	const LlmGrammarRule *root = &states->rules[states->grammar->root];
	PlaceList	none = {0};
	LlmStateId	bottom;

	begin_step(states);
	bottom = intern(states, &none, true);
	if (bottom < 0)
		return LLM_STATE_FAILED;
	states->may_end = root->min_bytes == 0;
	walk(states, (Place) {root->start, (uint32_t) bottom}, false);
	return finish_step(states);
}

static LlmStateId
make_step(LlmParseStates *states, LlmStateId state, uint32_t class)
{
	Node		node = states->nodes[state];

	begin_step(states);
	spend(states, node.n_places);
	for (uint32_t i = 0; i < node.n_places; i++)
	{
		Place		place = states->all_places.places[node.first + i];
		const LlmGrammarOp *op = &states->ops[place.op];

		if (in_set(&states->sets[op->arg], class))
			go_on(states, (Place) {op->next, place.frame});
	}
	for (uint32_t i = 0; i < states->going_on.n && !states->failed; i++)
		walk(states, states->going_on.places[i], true);
	return finish_step(states);
}

static void
begin_step(LlmParseStates *states)
{
	states->failed = false;
	states->failure = LLM_PARSE_OUT_OF_MEMORY;
	states->n_steps++;
	states->result.n = 0;
	states->going_on.n = 0;
	states->n_calls = 0;
	states->may_end = false;
}

static void
fail(LlmParseStates *states, LlmParseFailure failure)
{
	if (!states->failed)
		states->failure = failure;
	states->failed = true;
}

static void
spend(LlmParseStates *states, uint64_t work)
{
	states->work += work;
	if (states->work > MAX_WORK)
		fail(states, LLM_PARSE_TOO_SLOW);
}

/* Call what is to be called, in order, and look the set up. */
static LlmStateId
finish_step(LlmParseStates *states)
{
	while (states->n_calls > 0 && !states->failed)
		enter_rule(states);
	if (states->failed)
		return LLM_STATE_FAILED;
	if (states->result.n == 0 && !states->may_end)
		return LLM_STATE_DEAD;
	return intern(states, &states->result, states->may_end);
}

/*
 * From a place through all that takes no byte, inside of its rule.  Where the rule returns, its frame's
 * places go on; a rule that was entered in this same step returns only if it may be empty, and what
 * calls it has gone on already.
 */
static void
walk(LlmParseStates *states, Place from, bool may_return)
{
	uint32_t	n = 0;

	states->n_walks++;
	states->stack[n++] = from.op;
	while (n > 0 && !states->failed)
	{
		uint32_t	at = states->stack[--n];
		const LlmGrammarOp *op = &states->ops[at];

		spend(states, 1);

		if (states->walked[at] == states->n_walks || op->min_bytes >= NEVER)
			continue;
		states->walked[at] = states->n_walks;
		switch ((LlmGrammarOpKind) op->kind)
		{
			case LLM_OP_BYTE:
				add_place(states, &states->result, (Place) {at, from.frame});
				break;
			case LLM_OP_SPLIT:
				states->stack[n++] = op->next;
				states->stack[n++] = op->arg;
				break;
			case LLM_OP_CALL:
				add_call(states, op->arg, (Place) {op->next, from.frame});
				if (states->rules[op->arg].min_bytes == 0)
					states->stack[n++] = op->next;
				break;
			case LLM_OP_RETURN:
				if (may_return)
					return_to(states, from.frame);
				break;
		}
	}
}

static void
return_to(LlmParseStates *states, uint32_t frame)
{
	Node	   *node = &states->nodes[frame];

	if (node->popped == states->n_steps)
		return;
	node->popped = states->n_steps;
	states->may_end |= node->may_end;
	spend(states, node->n_places);
	for (uint32_t i = 0; i < node->n_places; i++)
		go_on(states, states->all_places.places[node->first + i]);
}

/* Many frames return to the same places. */
static void
go_on(LlmParseStates *states, Place place)
{
	uint32_t	at;

	if (2 * states->going_on.n >= states->gone_capacity && !grow_gone(states))
	{
		fail(states, LLM_PARSE_OUT_OF_MEMORY);
		return;
	}
	at = hash_places(&place, 1, false) & (states->gone_capacity - 1);
	while (states->gone[at].step == states->n_steps)
	{
		if (compare_places(&states->gone[at].place, &place) == 0)
			return;
		at = (at + 1) & (states->gone_capacity - 1);
	}
	states->gone[at] = (Gone) {place, states->n_steps};
	add_place(states, &states->going_on, place);
}

static bool
grow_gone(LlmParseStates *states)
{
	uint32_t	capacity = states->gone_capacity == 0 ? 256 : 2 * states->gone_capacity;
	Gone	   *gone = calloc(capacity, sizeof(Gone));

	if (gone == NULL)
		return false;
	for (uint32_t i = 0; i < states->going_on.n; i++)
	{
		uint32_t	at = hash_places(&states->going_on.places[i], 1, false) & (capacity - 1);

		while (gone[at].step == states->n_steps)
			at = (at + 1) & (capacity - 1);
		gone[at] = (Gone) {states->going_on.places[i], states->n_steps};
	}
	free(states->gone);
	states->gone = gone;
	states->gone_capacity = capacity;
	return true;
}

/* The rule of the calls that no other rule among them can call: with one frame for all of its callers. */
static void
enter_rule(LlmParseStates *states)
{
	uint32_t	rule = states->calls[0].rule;
	uint32_t	n = 0;
	LlmStateId	frame;

	spend(states, states->n_calls);
	for (uint32_t i = 1; i < states->n_calls; i++)
	{
		if (states->rules[states->calls[i].rule].order < states->rules[rule].order)
			rule = states->calls[i].rule;
	}
	states->frame.n = 0;
	states->frame_may_end = false;
	for (uint32_t i = 0; i < states->n_calls; i++)
	{
		if (states->calls[i].rule == rule)
			add_caller(states, states->calls[i].after);
		else
			states->calls[n++] = states->calls[i];
	}
	states->n_calls = n;
	if (states->failed)
		return;
	frame = intern(states, &states->frame, states->frame_may_end);
	if (frame >= 0)
		walk(states, (Place) {states->rules[rule].start, (uint32_t) frame}, false);
	else
		fail(states, LLM_PARSE_OUT_OF_MEMORY);
}

/* A caller that would do nothing but return is left out: its own frame's places take its place. */
static void
add_caller(LlmParseStates *states, Place after)
{
	uint32_t	op = skip_joints(states, after.op);
	const Node *frame = &states->nodes[after.frame];

	if (states->ops[op].kind != LLM_OP_RETURN)
	{
		add_place(states, &states->frame, (Place) {op, after.frame});
		return;
	}
	states->frame_may_end |= frame->may_end;
	spend(states, frame->n_places);
	for (uint32_t i = 0; i < frame->n_places; i++)
		add_place(states, &states->frame, states->all_places.places[frame->first + i]);
}

static void
add_call(LlmParseStates *states, uint32_t rule, Place after)
{
	if (states->rules[rule].min_bytes >= NEVER || states->ops[after.op].min_bytes >= NEVER)
		return;
	if (states->n_calls == states->calls_capacity)
	{
		if (states->n_calls >= MAX_PLACES)
			fail(states, LLM_PARSE_TOO_LARGE);
		else if (!grow((void **) &states->calls, &states->calls_capacity, sizeof(Call)))
			fail(states, LLM_PARSE_OUT_OF_MEMORY);
		if (states->failed)
			return;
	}
	states->calls[states->n_calls++] = (Call) {rule, after};
}

static void
add_place(LlmParseStates *states, PlaceList *list, Place place)
{
	if (list->n == list->capacity)
	{
		if (list->n >= MAX_PLACES)
			fail(states, LLM_PARSE_TOO_LARGE);
		else if (!grow((void **) &list->places, &list->capacity, sizeof(Place)))
			fail(states, LLM_PARSE_OUT_OF_MEMORY);
		if (states->failed)
			return;
	}
	list->places[list->n++] = place;
}

/* A split whose two ways are one is only where operations were joined. */
static uint32_t
skip_joints(const LlmParseStates *states, uint32_t op)
{
	uint32_t	n = 0;

	while (states->ops[op].kind == LLM_OP_SPLIT && states->ops[op].arg == states->ops[op].next &&
		   n++ < states->grammar->n_ops)
		op = states->ops[op].next;
	return op;
}

/* The node of a set of places, which is sorted here; made where it is new. */
static LlmStateId
intern(LlmParseStates *states, PlaceList *list, bool may_end)
{
	uint32_t	n;
	uint32_t	bucket;
	Node	   *node;

	if (llm_parse_states_bytes(states) > MAX_BYTES)
		fail(states, LLM_PARSE_TOO_LARGE);
	spend(states, SORT_WORK * list->n);
	if (states->failed)
		return LLM_STATE_FAILED;
	n = sort_places(list);
	if (2 * states->n_nodes >= states->n_buckets && !grow_table(states))
		return LLM_STATE_FAILED;
	bucket = hash_places(list->places, n, may_end) & (states->n_buckets - 1);
	while (states->buckets[bucket] != 0)
	{
		uint32_t	found = states->buckets[bucket] - 1;

		if (is_node(states, &states->nodes[found], list, n, may_end))
			return (LlmStateId) found;
		bucket = (bucket + 1) & (states->n_buckets - 1);
	}
	if (states->n_nodes == states->nodes_capacity &&
		!grow((void **) &states->nodes, &states->nodes_capacity, sizeof(Node)))
		return LLM_STATE_FAILED;
	while (states->all_places.capacity - states->all_places.n < n)
	{
		if (!grow((void **) &states->all_places.places, &states->all_places.capacity, sizeof(Place)))
			return LLM_STATE_FAILED;
	}
	node = &states->nodes[states->n_nodes];
	*node = (Node)
	{
		.first = states->all_places.n, .n_places = n, .min_bytes = may_end ? 0 : NEVER, .may_end = may_end
	};
	for (uint32_t i = 0; i < n; i++)
	{
		Place		place = list->places[i];
		uint32_t	length = states->ops[place.op].min_bytes + states->nodes[place.frame].min_bytes;

		states->all_places.places[states->all_places.n++] = place;
		node->min_bytes = length < node->min_bytes ? length : node->min_bytes;
	}
	states->buckets[bucket] = ++states->n_nodes;
	return (LlmStateId) (states->n_nodes - 1);
}

/* Returns how many different ones there are. */
static uint32_t
sort_places(PlaceList *list)
{
	uint32_t	n = 0;

	if (list->n == 0)
		return 0;
	qsort(list->places, list->n, sizeof(Place), compare_places);
	for (uint32_t i = 0; i < list->n; i++)
	{
		if (n == 0 || compare_places(&list->places[n - 1], &list->places[i]) != 0)
			list->places[n++] = list->places[i];
	}
	list->n = n;
	return n;
}

static int
compare_places(const void *a, const void *b)
{
	const Place *first = a;
	const Place *second = b;

	if (first->op != second->op)
		return first->op < second->op ? -1 : 1;
	return first->frame < second->frame ? -1 : first->frame > second->frame;
}

/* FNV-1a (Fowler, Noll and Vo). */
static uint32_t
hash_places(const Place *places, uint32_t n, bool may_end)
{
	uint32_t	hash = 2166136261u + may_end;

	for (uint32_t i = 0; i < n; i++)
	{
		hash = (hash ^ places[i].op) * 16777619u;
		hash = (hash ^ places[i].frame) * 16777619u;
	}
	return hash ^ hash >> 15;
}

static bool
grow_table(LlmParseStates *states)
{
	uint32_t	n_buckets = states->n_buckets == 0 ? 256 : 2 * states->n_buckets;
	uint32_t   *buckets = calloc(n_buckets, sizeof(uint32_t));

	if (buckets == NULL)
		return false;
	for (uint32_t i = 0; i < states->n_nodes; i++)
	{
		const Node *node = &states->nodes[i];
		uint32_t	bucket = hash_places(states->all_places.places + node->first, node->n_places, node->may_end) & (n_buckets - 1);

		while (buckets[bucket] != 0)
			bucket = (bucket + 1) & (n_buckets - 1);
		buckets[bucket] = i + 1;
	}
	free(states->buckets);
	states->buckets = buckets;
	states->n_buckets = n_buckets;
	return true;
}

static bool
is_node(const LlmParseStates *states, const Node *node, const PlaceList *list, uint32_t n, bool may_end)
{
	return node->n_places == n && node->may_end == may_end &&
		(n == 0 || memcmp(states->all_places.places + node->first, list->places, n * sizeof(Place)) == 0);
}

static bool
in_set(const LlmGrammarSet *set, uint32_t class)
{
	return set->classes[class / 64] >> (class % 64) & 1;
}

static bool
grow(void **memory, uint32_t *capacity, size_t item)
{
	uint32_t	larger = *capacity == 0 ? 64 : 2 * *capacity;
	void	   *moved = realloc(*memory, larger * item);

	if (moved == NULL)
		return false;
	*memory = moved;
	*capacity = larger;
	return true;
}
