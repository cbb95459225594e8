/*
 * schema_flatten.c
 *		"$ref", "allOf" and what was rewritten of a conjunction, its alternatives, and whether two conjunctions exclude each
 *		other.
 */
#include "grammar/schema.h"

#include <string.h>

/* The schemas that led to one. */
typedef struct Way
{
	const LlmJson *schema;
	const struct Way *before;
} Way;

static void add_flat(LlmSchemaCompiler *compiler, LlmConjunction *flat, LlmConjunct conjunct, const Way *before);
static bool add_made(LlmSchemaCompiler *compiler, LlmConjunction *flat, const LlmJson *schema, const Way *way);
static void add_all(LlmSchemaCompiler *compiler, LlmConjunction *flat, const LlmJson *all, const Way *way);
static bool is_inside(const LlmJson *reference, const LlmJson *schema);
static const LlmJson *step(const LlmJson *from, const char *token, size_t length);
static bool values_differ(LlmSchemaCompiler *compiler, const LlmConjunction *a, const LlmConjunction *b);
static const LlmJson *values_of(const LlmConjunction *conjunction);
static bool bounds_differ(LlmSchemaCompiler *compiler, const LlmConjunction *a, const LlmConjunction *b);
static bool beyond(const LlmBound *high, const LlmBound *low);
static bool properties_differ(LlmSchemaCompiler *compiler, const LlmConjunction *a, const LlmConjunction *b, int depth);
static bool is_required(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const LlmJson *name);
static LlmConjunction property_of(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const LlmJson *name);
static bool disjoint(LlmSchemaCompiler *compiler, const LlmConjunction *a, const LlmConjunction *b, int depth);

LlmConjunction
llm_schema_flatten(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction)
{
	LlmConjunction flat = {0};

	for (int i = 0; i < conjunction->n; i++)
		add_flat(compiler, &flat, conjunction->items[i], NULL);
	return flat;
}

bool
llm_schema_disjoint(LlmSchemaCompiler *compiler, const LlmConjunction *a, const LlmConjunction *b)
{
	return disjoint(compiler, a, b, 0);
}

bool
llm_schema_branches(LlmSchemaCompiler *compiler, const LlmConjunction *flat, LlmBranches *branches)
{
	for (int i = 0; i < flat->n; i++)
	{
		const LlmConjunct *item = &flat->items[i];
		const LlmJson *any = item->without_any_of ? NULL : llm_keyword(item->schema, "anyOf");
		const LlmJson *one = item->without_one_of ? NULL : llm_keyword(item->schema, "oneOf");

		if (any == NULL && one == NULL)
			continue;
		*branches = (LlmBranches) {any != NULL ? any : one, any == NULL, *flat};
		if (branches->list->kind != LLM_JSON_ARRAY || branches->list->first == NULL)
			llm_schema_fail(compiler, branches->list, "expected an array of schemas");
		if (any != NULL)
			branches->rest.items[i].without_any_of = true;
		else
			branches->rest.items[i].without_one_of = true;
		return true;
	}
	return false;
}

/* Where exactly one holds, with the negations of the others, but for those that cannot hold beside it. */
LlmConjunction
llm_schema_branch(LlmSchemaCompiler *compiler, const LlmBranches *branches, const LlmJson *branch)
{
	LlmConjunction one = branches->rest;
	LlmConjunction with = branches->rest;

	llm_conjunction_add(compiler, &one, (LlmConjunct) {.schema = branch});
	with = one;
	for (const LlmJson *other = branches->list->first; branches->exactly_one && other != NULL; other = other->next)
	{
		LlmConjunction two = branches->rest;

		if (other == branch)
			continue;
		llm_conjunction_add(compiler, &two, (LlmConjunct) {.schema = other});
		if (!llm_schema_disjoint(compiler, &one, &two))
			llm_conjunction_add(compiler, &with, (LlmConjunct) {.schema = llm_schema_negation(compiler, other)});
	}
	return with;
}

/* Schemas that say nothing are left out. */
static void
add_flat(LlmSchemaCompiler *compiler, LlmConjunction *flat, LlmConjunct conjunct, const Way *before)
{
	static const char *const dependents[] = {"dependentRequired", "dependentSchemas", "dependencies"};
	const LlmJson *schema = conjunct.schema;
	Way			way = {schema, before};
	const LlmJson *found;

	for (const Way *at = before; at != NULL; at = at->before)
	{
		if (at->schema == schema)
			llm_schema_fail(compiler, schema, "the schema refers to itself");
	}
	if (++compiler->work > 200000)
		llm_schema_fail(compiler, schema, "the schema is too large");
	if (schema->kind == LLM_JSON_TRUE)
		return;
	if (schema->kind == LLM_JSON_FALSE)
	{
		flat->never = schema;
		return;
	}
	if (schema->kind != LLM_JSON_OBJECT)
		llm_schema_fail(compiler, schema, "expected a schema: an object, true or false");
	if (schema->first == NULL || add_made(compiler, flat, schema, &way) ||
		!llm_conjunction_add(compiler, flat, conjunct))
		return;
	if ((found = llm_keyword(schema, "$ref")) != NULL)
		add_flat(compiler, flat, (LlmConjunct) {.schema = llm_schema_resolve(compiler, found)}, &way);
	if ((found = llm_keyword(schema, "allOf")) != NULL)
		add_all(compiler, flat, found, &way);
	if ((found = llm_keyword(schema, "not")) != NULL)
		add_flat(compiler, flat, (LlmConjunct) {.schema = llm_schema_negation(compiler, found)}, &way);
	if ((found = llm_schema_conditional(compiler, schema)) != NULL)
		add_flat(compiler, flat, (LlmConjunct) {.schema = found}, &way);
	for (int i = 0; i < 3; i++)
	{
		if ((found = llm_schema_dependent(compiler, schema, dependents[i])) != NULL)
			add_flat(compiler, flat, (LlmConjunct) {.schema = found}, &way);
	}
}

/* What stands for another schema, or its negation. */
static bool
add_made(LlmSchemaCompiler *compiler, LlmConjunction *flat, const LlmJson *schema, const Way *way)
{
	const LlmJson *same = llm_keyword(schema, LLM_MADE_SAME);
	const LlmJson *other = llm_keyword(schema, LLM_MADE_NOT);

	if (same != NULL)
		add_flat(compiler, flat, (LlmConjunct) {.schema = same->first}, way);
	if (other != NULL)
		add_flat(compiler, flat, (LlmConjunct) {.schema = llm_schema_negation(compiler, other->first)}, way);
	return same != NULL || other != NULL;
}

static void
add_all(LlmSchemaCompiler *compiler, LlmConjunction *flat, const LlmJson *all, const Way *way)
{
	if (all->kind != LLM_JSON_ARRAY || all->first == NULL)
		llm_schema_fail(compiler, all, "expected an array of schemas");
	for (const LlmJson *part = all->first; part != NULL; part = part->next)
		add_flat(compiler, flat, (LlmConjunct) {.schema = part}, way);
}

/* "#", or "#/" and a JSON pointer. */
const LlmJson *
llm_schema_resolve(LlmSchemaCompiler *compiler, const LlmJson *reference)
{
	const LlmJson *found = compiler->root;
	size_t		at = 1;

	if (reference->kind != LLM_JSON_STRING)
		llm_schema_fail(compiler, reference, "expected a string");
	if (reference->length == 0 || reference->text[0] != '#' || (reference->length > 1 && reference->text[1] != '/'))
		llm_schema_fail(compiler, reference, "only references inside of the schema (\"#/...\") are supported");
	while (at < reference->length && found != NULL)
	{
		size_t		end = at + 1;

		while (end < reference->length && reference->text[end] != '/')
			end++;
		found = step(found, reference->text + at + 1, end - at - 1);
		at = end;
	}
	if (found == NULL)
		llm_schema_fail(compiler, reference, "the schema has no \"%.*s\"",
						reference->length < 80 ? (int) reference->length : 80, reference->text);
	if (is_inside(reference, found))
		llm_schema_fail(compiler, reference, "the schema refers to itself");
	return found;
}

/* Whether both are about the same value: between them are alternatives and conjunctions only. */
static bool
is_inside(const LlmJson *reference, const LlmJson *schema)
{
	const LlmJson *at = reference->parent;

	while (at != schema)
	{
		const LlmJson *list = at->parent;

		if (list == NULL || list->kind != LLM_JSON_ARRAY || list->name == NULL || list->name_length != 5 ||
			(memcmp(list->name, "anyOf", 5) != 0 && memcmp(list->name, "oneOf", 5) != 0 && memcmp(list->name, "allOf", 5) != 0))
			return false;
		at = list->parent;
	}
	return true;
}

static const LlmJson *
step(const LlmJson *from, const char *token, size_t length)
{
	char		name[256];
	size_t		n = 0;
	int			position = 0;

	if (length >= sizeof(name))
		return NULL;
	for (size_t i = 0; i < length; i++)
	{
		if (token[i] == '~' && i + 1 < length)
			name[n++] = token[++i] == '1' ? '/' : '~';
		else
			name[n++] = token[i];
	}
	if (from->kind == LLM_JSON_OBJECT)
		return llm_json_find(from, name, n);
	if (from->kind != LLM_JSON_ARRAY || n == 0 || n > 6)
		return NULL;
	for (size_t i = 0; i < n; i++)
	{
		if (name[i] < '0' || name[i] > '9')
			return NULL;
		position = 10 * position + name[i] - '0';
	}
	for (from = from->first; from != NULL && position > 0; from = from->next)
		position--;
	return from;
}

static bool
disjoint(LlmSchemaCompiler *compiler, const LlmConjunction *a, const LlmConjunction *b, int depth)
{
	LlmConjunction flat_a = llm_schema_flatten(compiler, a);
	LlmConjunction flat_b = llm_schema_flatten(compiler, b);
	unsigned	types = llm_schema_types(compiler, &flat_a, false) & llm_schema_types(compiler, &flat_b, false);

	if (types == 0 || flat_a.never != NULL || flat_b.never != NULL || values_differ(compiler, &flat_a, &flat_b))
		return true;
	if ((types & ~(unsigned) (LLM_TYPE_INTEGER | LLM_TYPE_NUMBER)) == 0)
		return bounds_differ(compiler, &flat_a, &flat_b);
	return types == LLM_TYPE_OBJECT && depth < 3 && properties_differ(compiler, &flat_a, &flat_b, depth + 1);
}

static bool
values_differ(LlmSchemaCompiler *compiler, const LlmConjunction *a, const LlmConjunction *b)
{
	const LlmJson *values_a = values_of(a);
	const LlmJson *values_b = values_of(b);

	if (values_a == NULL || values_b == NULL)
		return false;
	for (const LlmJson *x = values_a; x != NULL; x = values_a->parent->kind == LLM_JSON_ARRAY ? x->next : NULL)
	{
		for (const LlmJson *y = values_b; y != NULL; y = values_b->parent->kind == LLM_JSON_ARRAY ? y->next : NULL)
		{
			if (llm_schema_equal(compiler, x, y))
				return false;
		}
	}
	return true;
}

/* The first of the values of an "enum" (whose siblings are the others), or a "const". */
static const LlmJson *
values_of(const LlmConjunction *conjunction)
{
	for (int i = 0; i < conjunction->n; i++)
	{
		const LlmJson *constant = llm_keyword(conjunction->items[i].schema, "const");
		const LlmJson *list = llm_keyword(conjunction->items[i].schema, "enum");

		if (constant != NULL)
			return constant;
		if (list != NULL && list->kind == LLM_JSON_ARRAY && list->first != NULL)
			return list->first;
	}
	return NULL;
}

static bool
bounds_differ(LlmSchemaCompiler *compiler, const LlmConjunction *a, const LlmConjunction *b)
{
	LlmBound	low_a;
	LlmBound	high_a;
	LlmBound	low_b;
	LlmBound	high_b;
	int			most_fraction;

	llm_schema_bounds(compiler, a, &low_a, &high_a, &most_fraction);
	llm_schema_bounds(compiler, b, &low_b, &high_b, &most_fraction);
	return beyond(&high_a, &low_b) || beyond(&high_b, &low_a);
}

static bool
beyond(const LlmBound *high, const LlmBound *low)
{
	int			order;

	if (!high->given || !low->given)
		return false;
	order = llm_decimal_compare(&high->value, &low->value);
	return order < 0 || (order == 0 && (high->exclusive || low->exclusive));
}

/* A property that both require and that cannot be the same in both. */
static bool
properties_differ(LlmSchemaCompiler *compiler, const LlmConjunction *a, const LlmConjunction *b, int depth)
{
	for (int i = 0; i < a->n; i++)
	{
		const LlmJson *required = llm_keyword(a->items[i].schema, "required");

		if (required == NULL || required->kind != LLM_JSON_ARRAY)
			continue;
		for (const LlmJson *name = required->first; name != NULL; name = name->next)
		{
			LlmConjunction property_a = property_of(compiler, a, name);
			LlmConjunction property_b = property_of(compiler, b, name);

			if (++compiler->work > 100000)
				llm_schema_fail(compiler, required, "the schema is too large");
			if (is_required(compiler, b, name) && property_a.n > 0 && property_b.n > 0 &&
				disjoint(compiler, &property_a, &property_b, depth))
				return true;
		}
	}
	return false;
}

static bool
is_required(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const LlmJson *name)
{
	for (int i = 0; i < conjunction->n; i++)
	{
		const LlmJson *required = llm_keyword(conjunction->items[i].schema, "required");

		if (required == NULL || required->kind != LLM_JSON_ARRAY)
			continue;
		for (const LlmJson *other = required->first; other != NULL; other = other->next)
		{
			if (llm_schema_equal(compiler, other, name))
				return true;
		}
	}
	return false;
}

static LlmConjunction
property_of(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const LlmJson *name)
{
	LlmConjunction property = {0};

	for (int i = 0; i < conjunction->n; i++)
	{
		const LlmJson *properties = llm_keyword(conjunction->items[i].schema, "properties");
		const LlmJson *schema = properties == NULL || name->kind != LLM_JSON_STRING ? NULL :
			llm_json_find(properties, name->text, name->length);

		if (schema != NULL)
			llm_conjunction_add(compiler, &property, (LlmConjunct) {.schema = schema});
	}
	return property;
}
