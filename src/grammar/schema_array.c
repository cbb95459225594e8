/*
 * schema_array.c
 *		Arrays of a schema: items by position, and how many there are of which kind.
 */
#include "grammar/schema.h"

#include <string.h>

/* Values of which an array may have each at most once: in any order, in their own order. */
#define MAX_ANY_ORDER 8
#define MAX_UNIQUE 500

#define MAX_CONTAINS 3
#define MAX_STATES 1000

typedef struct Array
{
	LlmSchemaCompiler *compiler;
	const LlmConjunction *conjunction;
	const LlmJson *place;
	int			n_prefix;
	int			least;
	int			most;
} Array;

/* A schema that so many items must be valid against, counted from a position on. */
typedef struct Contained
{
	const LlmJson *schema;
	int			least;
	int			most;
	int			from;
	int			n_counts;		/* that are told apart, from 0 */
} Contained;

/* An item that leads from one state to another; NULL: there is none. */
typedef struct Step
{
	const LlmExpr *item;
	int			next;
} Step;

typedef struct Counting
{
	Array	   *array;
	int			n;
	const Contained *all;
	int			n_positions;
	int			n_states;
	Step	   *steps;			/* [n_states][1 << n], by what the item counts for */
	bool	   *ends;			/* [n_states] */
} Counting;

static const LlmExpr *items_expr(Array *array);
static LlmConjunction item_conjunction(Array *array, int position, const LlmJson **place);
static int	prefix_length(const LlmJson *schema);
static const LlmJson *item_schema(const LlmJson *schema, int position, int n_prefix);
static const LlmExpr *item_expr(Array *array, int position);
static bool is_unique(Array *array);
static const LlmExpr *unique_expr(Array *array);
static const LlmExpr *in_any_order(Array *array, int n, const LlmExpr *const *items);
static const LlmExpr *in_order(Array *array, int n, const LlmExpr *const *items);
static int	find_contained(Array *array, Contained *all);
static const LlmExpr *containing_expr(Array *array, int n, Contained *all);
static void add_steps(Counting *counting, int state);
static bool find_live(Counting *counting);
static const LlmExpr *counting_rules(Counting *counting);
static const LlmExpr *counted_item(Counting *counting, int position, unsigned counted);

const LlmExpr *
llm_schema_array(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const LlmJson *place)
{
	LlmBuilder *builder = compiler->builder;
	Array		array = {compiler, conjunction, place, 0, 0, 0};
	Contained	contained[MAX_CONTAINS];
	int			n_contained = find_contained(&array, contained);
	bool		more = n_contained > 0;
	const LlmExpr *items[3];

	llm_schema_counts(compiler, conjunction, "minItems", "maxItems", &array.least, &array.most);
	for (int i = 0; i < conjunction->n; i++)
	{
		const LlmJson *schema = conjunction->items[i].schema;
		const LlmJson *rest = llm_keyword(schema, "items");
		int			n = prefix_length(schema);

		llm_keyword_checked(compiler, schema, "prefixItems", LLM_JSON_ARRAY);
		if (rest != NULL && rest->kind == LLM_JSON_ARRAY)
			rest = llm_keyword(schema, "additionalItems");
		array.n_prefix = n > array.n_prefix ? n : array.n_prefix;
		more |= rest != NULL;
	}
	if (array.most != LLM_REPEAT_FOREVER && array.least > array.most)
		return llm_schema_empty(compiler, place, "minItems %d is greater than maxItems %d", array.least, array.most);
	if (array.n_prefix > 0 && !more && (array.most == LLM_REPEAT_FOREVER || array.most > array.n_prefix))
		array.most = array.least > array.n_prefix ? array.least : array.n_prefix;
	items[0] = llm_text(builder, "[");
	if (is_unique(&array))
		items[1] = unique_expr(&array);
	else
		items[1] = n_contained > 0 ? containing_expr(&array, n_contained, contained) : items_expr(&array);
	items[2] = llm_text(builder, "]");
	return llm_sequence(builder, 3, items);
}

static const LlmExpr *
items_expr(Array *array)
{
	LlmBuilder *builder = array->compiler->builder;
	LlmExprList list = {0};
	int			n_first = array->most != LLM_REPEAT_FOREVER && array->most < array->n_prefix ? array->most : array->n_prefix;
	int			n_more = array->most == LLM_REPEAT_FOREVER ? LLM_REPEAT_FOREVER : array->most - n_first;

	for (int i = 0; i < n_first; i++)
	{
		const LlmExpr *item = item_expr(array, i);

		if (item == NULL)
		{
			/* the array ends before that item */
			n_first = i;
			n_more = 0;
			break;
		}
		if (i > 0)
			item = llm_then(builder, llm_text(builder, ", "), item);
		llm_list_add(builder, &list, item);
	}
	if (n_more != 0)
	{
		const LlmExpr *item = item_expr(array, array->n_prefix);
		int			n_least = array->least > n_first ? array->least - n_first : 0;

		if (item == NULL)
			n_more = 0;
		else if (n_first == 0)
			llm_list_add(builder, &list, llm_json_list(builder, item, n_least, n_more));
		else
			llm_list_add(builder, &list, llm_repeat(builder, llm_then(builder, llm_text(builder, ", "), item), n_least, n_more));
	}
	if (n_more == 0 && n_first < array->least)
		return llm_schema_empty(array->compiler, array->place, "minItems is %d, but only %d items are allowed", array->least, n_first);
	return llm_sequence(builder, list.n_items, list.items);
}

/* NULL where the schema is false. */
static const LlmExpr *
item_expr(Array *array, int position)
{
	const LlmJson *place;
	LlmConjunction item = item_conjunction(array, position, &place);

	return item.never != NULL ? NULL : llm_schema_expr(array->compiler, &item, place);
}

static LlmConjunction
item_conjunction(Array *array, int position, const LlmJson **place)
{
	LlmConjunction item = {0};

	*place = NULL;
	for (int i = 0; i < array->conjunction->n; i++)
	{
		const LlmJson *schema = array->conjunction->items[i].schema;
		const LlmJson *found = item_schema(schema, position, prefix_length(schema));

		if (found == NULL)
			continue;
		if (found->kind == LLM_JSON_FALSE)
			item.never = found;
		*place = *place == NULL ? found : *place;
		llm_conjunction_add(array->compiler, &item, (LlmConjunct) {.schema = found});
	}
	if (*place == NULL)
		*place = array->place;
	return item;
}

/* An array of "items" is what "prefixItems" was called before. */
static int
prefix_length(const LlmJson *schema)
{
	const LlmJson *prefix = llm_keyword(schema, "prefixItems");
	const LlmJson *items = llm_keyword(schema, "items");
	int			n = 0;

	if (prefix == NULL && items != NULL && items->kind == LLM_JSON_ARRAY)
		prefix = items;
	for (const LlmJson *item = prefix != NULL ? prefix->first : NULL; item != NULL; item = item->next)
		n++;
	return n;
}

/* What a schema says of the item at a position, or NULL. */
static const LlmJson *
item_schema(const LlmJson *schema, int position, int n_prefix)
{
	const LlmJson *prefix = llm_keyword(schema, "prefixItems");
	const LlmJson *items = llm_keyword(schema, "items");

	if (prefix == NULL && items != NULL && items->kind == LLM_JSON_ARRAY)
	{
		prefix = items;
		items = llm_keyword(schema, "additionalItems");
	}
	if (position < n_prefix)
	{
		const LlmJson *item = prefix->first;

		while (position-- > 0)
			item = item->next;
		return item;
	}
	return items;
}

static bool
is_unique(Array *array)
{
	bool		unique = false;

	for (int i = 0; i < array->conjunction->n; i++)
	{
		const LlmJson *value = llm_keyword(array->conjunction->items[i].schema, "uniqueItems");

		if (value != NULL && value->kind != LLM_JSON_TRUE && value->kind != LLM_JSON_FALSE)
			llm_schema_fail(array->compiler, value, "expected true or false");
		if (value == NULL || value->kind == LLM_JSON_FALSE)
			continue;
		unique = true;
		array->place = value;
	}
	return unique && (array->most == LLM_REPEAT_FOREVER || array->most > 1);
}

/* An automaton cannot remember what it has read, but which of a few values were among it. */
static const LlmExpr *
unique_expr(Array *array)
{
	LlmSchemaCompiler *compiler = array->compiler;
	const LlmJson *values[MAX_UNIQUE];
	const LlmExpr *items[MAX_UNIQUE];
	Contained	contained[MAX_CONTAINS];
	const LlmJson *place;
	LlmConjunction item = item_conjunction(array, 0, &place);
	int			n = 0;

	if (array->n_prefix > 0 || find_contained(array, contained) > 0)
		llm_schema_fail(compiler, array->place, "\"uniqueItems\" beside \"prefixItems\" or \"contains\" is not supported");
	if (item.never == NULL && !llm_schema_finite(compiler, &item, MAX_UNIQUE, values, &n))
		llm_schema_fail(compiler, array->place, "\"uniqueItems\" is supported for items that have at most %d values (\"enum\"), or "
						"with \"maxItems\": 1", MAX_UNIQUE);
	if (n < array->least)
		return llm_schema_empty(compiler, array->place, "minItems is %d, but there are only %d different items", array->least, n);
	for (int i = 0; i < n; i++)
		items[i] = llm_json_literal(compiler->builder, values[i]);
	if (array->most == LLM_REPEAT_FOREVER || array->most > n)
		array->most = n;
	return n <= MAX_ANY_ORDER ? in_any_order(array, n, items) : in_order(array, n, items);
}

/* A rule for each set of items that have come. */
static const LlmExpr *
in_any_order(Array *array, int n, const LlmExpr *const *items)
{
	LlmBuilder *builder = array->compiler->builder;
	int			rules[1 << MAX_ANY_ORDER];

	for (int set = 0; set < 1 << n; set++)
		rules[set] = llm_builder_add_rule(builder, "the items of an array");
	for (int set = 0; set < 1 << n; set++)
	{
		LlmExprList list = {0};
		int			count = __builtin_popcount((unsigned) set);

		if (count >= array->least)
			llm_list_add(builder, &list, llm_text(builder, ""));
		for (int i = 0; i < n && count < array->most; i++)
		{
			const LlmExpr *parts[] = {set != 0 ? llm_text(builder, ", ") : NULL, items[i], llm_rule_expr(builder, rules[set | 1 << i])};

			if ((set >> i & 1) == 0)
				llm_list_add(builder, &list, llm_sequence(builder, 3, parts));
		}
		builder->rules[rules[set]].expr = llm_choice(builder, list.n_items, list.items);
	}
	return llm_rule_expr(builder, rules[0]);
}

static const LlmExpr *
in_order(Array *array, int n, const LlmExpr *const *items)
{
	LlmBuilder *builder = array->compiler->builder;
	const LlmExpr *tails[MAX_UNIQUE + 1];
	int			n_tails = (array->most < n ? array->most + 1 : array->least > 1 ? array->least : 1) + 1;
	const LlmExpr *list;

	if (n * n_tails > MAX_STATES)
		llm_schema_fail(array->compiler, array->place, "\"uniqueItems\" of so many values with \"minItems\" or \"maxItems\" is not supported");
	for (int c = 0; c < n_tails; c++)
		tails[c] = c >= array->least && c <= array->most ? llm_text(builder, "") : NULL;
	list = llm_schema_list(array->compiler, n, items, NULL, n_tails, tails);
	return list != NULL ? list : llm_fail_expr(builder);
}

static int
find_contained(Array *array, Contained *all)
{
	LlmSchemaCompiler *compiler = array->compiler;
	int			n = 0;

	for (int i = 0; i < array->conjunction->n; i++)
	{
		const LlmJson *schema = array->conjunction->items[i].schema;
		const LlmJson *contains = llm_keyword(schema, "contains");
		const LlmJson *from = llm_keyword(schema, LLM_CONTAINS_FROM);
		Contained	one = {contains, 0, 0, from != NULL ? from->position : 0, 0};

		if (contains == NULL)
			continue;
		one.least = llm_keyword_count(compiler, schema, "minContains", 1);
		one.most = llm_keyword_count(compiler, schema, "maxContains", LLM_REPEAT_FOREVER);
		one.n_counts = 1 + (one.most != LLM_REPEAT_FOREVER ? one.most : one.least);
		if (one.least == 0 && one.most == LLM_REPEAT_FOREVER)
			continue;
		if (n == MAX_CONTAINS)
			llm_schema_fail(compiler, contains, "more than %d \"contains\" for one array are not supported", MAX_CONTAINS);
		all[n++] = one;
	}
	return n;
}

/* A state is a place among the items, and how many have counted until there. */
static const LlmExpr *
containing_expr(Array *array, int n, Contained *all)
{
	LlmBuilder *builder = array->compiler->builder;
	Counting	counting = {.array = array, .n = n, .all = all};
	int			n_positions = array->n_prefix > array->least ? array->n_prefix : array->least;
	int64_t		n_states;

	for (int t = 0; t < n; t++)
	{
		n_positions = all[t].from > n_positions ? all[t].from : n_positions;
		if (all[t].most != LLM_REPEAT_FOREVER && all[t].least > all[t].most)
			return llm_schema_empty(array->compiler, all[t].schema, "minContains %d is greater than maxContains %d", all[t].least, all[t].most);
	}
	n_positions = 1 + (array->most != LLM_REPEAT_FOREVER ? array->most : n_positions > 1 ? n_positions : 1);
	n_states = n_positions;
	for (int t = 0; t < n && n_states <= MAX_STATES; t++)
		n_states *= all[t].n_counts;
	if (n_states > MAX_STATES)
		llm_schema_fail(array->compiler, array->place, "\"contains\" beside so great a \"minItems\" or \"maxItems\" is not supported");
	counting.n_positions = n_positions;
	counting.n_states = (int) n_states;
	counting.steps = llm_builder_claim(builder, ((size_t) n_states << n) * sizeof(Step));
	counting.ends = llm_builder_claim(builder, (size_t) n_states * sizeof(bool));
	for (int state = 0; state < counting.n_states; state++)
		add_steps(&counting, state);
	if (!find_live(&counting))
		return llm_schema_empty(array->compiler, all[0].schema, "no array has as many items that are valid against this as it must have");
	return counting_rules(&counting);
}

/* From a state: whether the array may end, and the items that count for some of them. */
static void
add_steps(Counting *counting, int state)
{
	Array	   *array = counting->array;
	int			position = state % counting->n_positions;
	int			counts[MAX_CONTAINS];

	counting->ends[state] = position >= array->least;
	for (int t = 0, rest = state / counting->n_positions; t < counting->n; t++)
	{
		counts[t] = rest % counting->all[t].n_counts;
		rest /= counting->all[t].n_counts;
		counting->ends[state] = counting->ends[state] && counts[t] >= counting->all[t].least;
	}
	for (unsigned counted = 0; counted < 1u << counting->n && position != array->most; counted++)
	{
		Step	   *step = &counting->steps[((unsigned) state << counting->n) + counted];
		bool		possible = true;

		for (int t = counting->n - 1; t >= 0; t--)
		{
			const Contained *one = &counting->all[t];
			bool		counts_here = (counted >> t & 1) != 0;

			/* where it has counted often enough, nobody asks any more */
			possible = possible && (!counts_here || (position >= one->from && counts[t] < one->n_counts - 1));
			step->next = step->next * one->n_counts + counts[t] + counts_here;
		}
		step->next = step->next * counting->n_positions + (position < counting->n_positions - 1 ? position + 1 : position);
		step->item = possible ? counted_item(counting, position, counted) : NULL;
	}
}

/* Leave out steps from which there is no way to an end; false where that leaves nothing. */
static bool
find_live(Counting *counting)
{
	bool	   *live = llm_builder_claim(counting->array->compiler->builder, (size_t) counting->n_states);
	int			n_steps = counting->n_states << counting->n;
	bool		changed = true;

	memcpy(live, counting->ends, (size_t) counting->n_states * sizeof(bool));
	while (changed)
	{
		changed = false;
		for (int i = n_steps - 1; i >= 0; i--)
		{
			if (counting->steps[i].item == NULL || live[i >> counting->n] || !live[counting->steps[i].next])
				continue;
			live[i >> counting->n] = true;
			changed = true;
		}
	}
	for (int i = 0; i < n_steps; i++)
	{
		if (counting->steps[i].item != NULL && !live[counting->steps[i].next])
			counting->steps[i].item = NULL;
	}
	return live[0];
}

static const LlmExpr *
counting_rules(Counting *counting)
{
	LlmBuilder *builder = counting->array->compiler->builder;
	int			first = builder->n_rules;

	for (int state = 0; state < counting->n_states; state++)
		llm_builder_add_rule(builder, "the items of an array");
	for (int state = 0; state < counting->n_states; state++)
	{
		const LlmExpr *comma = state % counting->n_positions > 0 ? llm_text(builder, ", ") : NULL;
		LlmExprList list = {0};

		if (counting->ends[state])
			llm_list_add(builder, &list, llm_text(builder, ""));
		for (int i = state << counting->n; i < (state + 1) << counting->n; i++)
		{
			const LlmExpr *parts[] = {comma, counting->steps[i].item, NULL};

			if (counting->steps[i].item == NULL)
				continue;
			parts[2] = llm_rule_expr(builder, first + counting->steps[i].next);
			llm_list_add(builder, &list, llm_sequence(builder, 3, parts));
		}
		builder->rules[first + state].expr = llm_choice(builder, list.n_items, list.items);
	}
	return llm_rule_expr(builder, first);
}

/* NULL where there is none. */
static const LlmExpr *
counted_item(Counting *counting, int position, unsigned counted)
{
	Array	   *array = counting->array;
	LlmSchemaCompiler *compiler = array->compiler;
	const LlmJson *place;
	LlmConjunction item = item_conjunction(array, position, &place);
	const LlmExpr *expr;

	if (item.never != NULL)
		return NULL;
	for (int t = 0; t < counting->n; t++)
	{
		const Contained *one = &counting->all[t];

		if (counted >> t & 1)
			llm_conjunction_add(compiler, &item, (LlmConjunct) {.schema = one->schema});
		else if (one->most != LLM_REPEAT_FOREVER && position >= one->from)
			llm_conjunction_add(compiler, &item, (LlmConjunct) {.schema = llm_schema_negation(compiler, one->schema)});
	}
	compiler->alternatives++;
	expr = llm_schema_expr(compiler, &item, place);
	compiler->alternatives--;
	return llm_schema_is_never(compiler, expr) ? NULL : expr;
}
