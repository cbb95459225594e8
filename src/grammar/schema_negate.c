/*
 * schema_negate.c
 *		What is valid where a schema is not: for "not", "if", and "oneOf" whose schemas overlap.
 *
 * One alternative for each keyword that may fail.  Schemas inside of it are not looked at: their negation is made when
 * it is asked for, so that a recursive schema has one.
 */
#include "grammar/schema_rewrite.h"

#include <string.h>

typedef struct Negation
{
	LlmSchemaCompiler *compiler;
	const LlmJson *schema;
	LlmJson    *branches;
} Negation;

static const LlmJson *make_negation(LlmSchemaCompiler *compiler, const LlmJson *schema);
static void negate_keyword(Negation *negation, const LlmJson *value);
static LlmJson *add_branch(Negation *negation, const char *type, const LlmJson *place);
static void fail_list(Negation *negation, const LlmJson *value);
static void fail_all(Negation *negation, const LlmJson *value);
static void fail_any(Negation *negation, const LlmJson *value);
static void fail_one(Negation *negation, const LlmJson *value);
static void fail_if(Negation *negation, const LlmJson *value);
static void fail_reference(Negation *negation, const LlmJson *value);
static void fail_not(Negation *negation, const LlmJson *value);
static void fail_type(Negation *negation, const LlmJson *value);
static void fail_values(Negation *negation, const LlmJson *value);
static LlmJson *other_container(Negation *negation, const LlmJson *value);
static void other_item(Negation *negation, const LlmJson *first, const LlmJson *item, const LlmJson *schema);
static void other_property(Negation *negation, const LlmJson *property, const LlmJson *schema);
static void fail_bound(Negation *negation, const LlmJson *value);
static void fail_string(Negation *negation, const LlmJson *value);
static void fail_count(Negation *negation, const LlmJson *value);
static void fail_required(Negation *negation, const LlmJson *value);
static void fail_properties(Negation *negation, const LlmJson *value);
static void fail_patterns(Negation *negation, const LlmJson *value);
static void fail_additional(Negation *negation, const LlmJson *value);
static void fail_names(Negation *negation, const LlmJson *value);
static void fail_dependent(Negation *negation, const LlmJson *value);
static void fail_items(Negation *negation, const LlmJson *value);
static void fail_prefix(Negation *negation, const LlmJson *value);
static void fail_contains(Negation *negation, const LlmJson *value);
static void fail_unique(Negation *negation, const LlmJson *value);
static void some_member(Negation *negation, LlmJson *key, LlmJson *value, const LlmJson *place);
static void some_item(Negation *negation, const LlmJson *schema, int from);
static int	count_list(const LlmJson *list);
static bool is_named(const LlmJson *value, const char *name);

static const struct
{
	const char *name;
	void		(*fail) (Negation *negation, const LlmJson *value);
}			keywords[] = {
	{"allOf", fail_all}, {"anyOf", fail_any}, {"oneOf", fail_one}, {"if", fail_if}, {"$ref", fail_reference},
	{"not", fail_not}, {LLM_MADE_NOT, fail_not}, {LLM_MADE_SAME, fail_not},
	{"type", fail_type}, {"enum", fail_values}, {"const", fail_values},
	{"minimum", fail_bound}, {"maximum", fail_bound}, {"exclusiveMinimum", fail_bound}, {"exclusiveMaximum", fail_bound},
	{"multipleOf", fail_bound}, {"pattern", fail_string}, {"format", fail_string},
	{"minLength", fail_count}, {"maxLength", fail_count}, {"minItems", fail_count}, {"maxItems", fail_count},
	{"minProperties", fail_count}, {"maxProperties", fail_count},
	{"required", fail_required}, {"properties", fail_properties}, {"patternProperties", fail_patterns},
	{"additionalProperties", fail_additional}, {"propertyNames", fail_names},
	{"dependentRequired", fail_dependent}, {"dependentSchemas", fail_dependent}, {"dependencies", fail_dependent},
	{"items", fail_items}, {"additionalItems", fail_items}, {"prefixItems", fail_prefix},
	{"contains", fail_contains}, {"uniqueItems", fail_unique}
};

const LlmJson *
llm_schema_negation(LlmSchemaCompiler *compiler, const LlmJson *schema)
{
	const LlmJson *known = llm_rewrite_find(compiler, schema, NULL);

	return known != NULL ? known : llm_rewrite_keep(compiler, schema, NULL, make_negation(compiler, schema));
}

static const LlmJson *
make_negation(LlmSchemaCompiler *compiler, const LlmJson *schema)
{
	Negation	negation = {compiler, schema, llm_made(compiler, LLM_JSON_ARRAY, schema)};
	LlmJson    *made;

	if (schema->kind == LLM_JSON_FALSE)
		return llm_made(compiler, LLM_JSON_TRUE, schema);
	if (schema->kind != LLM_JSON_OBJECT && schema->kind != LLM_JSON_TRUE)
		llm_schema_fail(compiler, schema, "expected a schema: an object, true or false");
	llm_schema_check(compiler, schema);
	for (const LlmJson *value = schema->first; value != NULL; value = value->next)
		negate_keyword(&negation, value);
	if (negation.branches->first == NULL)
		return llm_made(compiler, LLM_JSON_FALSE, schema);
	if (negation.branches->first->next == NULL)
		return negation.branches->first;
	made = llm_made(compiler, LLM_JSON_OBJECT, schema);
	llm_made_keyword(made, "anyOf", negation.branches);
	return made;
}

static void
negate_keyword(Negation *negation, const LlmJson *value)
{
	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
	{
		if (is_named(value, keywords[i].name))
		{
			keywords[i].fail(negation, value);
			return;
		}
	}
}

/* One more alternative, of a type where it is not NULL. */
static LlmJson *
add_branch(Negation *negation, const char *type, const LlmJson *place)
{
	LlmJson    *branch = llm_made(negation->compiler, LLM_JSON_OBJECT, place);

	if (type != NULL)
		llm_made_keyword(branch, "type", llm_made_text(negation->compiler, type, strlen(type), place));
	llm_made_push(negation->branches, branch);
	return branch;
}

static void
fail_list(Negation *negation, const LlmJson *value)
{
	if (value->kind != LLM_JSON_ARRAY || value->first == NULL)
		llm_schema_fail(negation->compiler, value, "expected an array of schemas");
}

static void
fail_all(Negation *negation, const LlmJson *value)
{
	fail_list(negation, value);
	for (const LlmJson *part = value->first; part != NULL; part = part->next)
		llm_made_push(negation->branches, llm_made_not(negation->compiler, part));
}

static void
fail_any(Negation *negation, const LlmJson *value)
{
	LlmJson    *none = llm_made(negation->compiler, LLM_JSON_ARRAY, value);

	fail_list(negation, value);
	for (const LlmJson *part = value->first; part != NULL; part = part->next)
		llm_made_push(none, llm_made_not(negation->compiler, part));
	llm_made_keyword(add_branch(negation, NULL, value), "allOf", none);
}

/* None, or two of them. */
static void
fail_one(Negation *negation, const LlmJson *value)
{
	fail_any(negation, value);
	for (const LlmJson *a = value->first; a != NULL; a = a->next)
	{
		for (const LlmJson *b = value->first; b != a; b = b->next)
		{
			LlmJson    *both = llm_made(negation->compiler, LLM_JSON_ARRAY, value);

			llm_made_push(both, llm_made_same(negation->compiler, a));
			llm_made_push(both, llm_made_same(negation->compiler, b));
			llm_made_keyword(add_branch(negation, NULL, value), "allOf", both);
		}
	}
}

static void
fail_if(Negation *negation, const LlmJson *value)
{
	const LlmJson *cases[] = {llm_keyword(negation->schema, "then"), llm_keyword(negation->schema, "else")};

	for (int i = 0; i < 2; i++)
	{
		LlmJson    *both;

		if (cases[i] == NULL)
			continue;
		both = llm_made(negation->compiler, LLM_JSON_ARRAY, value);
		llm_made_push(both, llm_made_not(negation->compiler, cases[i]));
		llm_made_push(both, i == 0 ? llm_made_same(negation->compiler, value) : llm_made_not(negation->compiler, value));
		llm_made_keyword(add_branch(negation, NULL, value), "allOf", both);
	}
}

static void
fail_reference(Negation *negation, const LlmJson *value)
{
	llm_made_push(negation->branches, llm_made_not(negation->compiler, llm_schema_resolve(negation->compiler, value)));
}

/* Of "not" itself, and of our own words, whose schema is their child. */
static void
fail_not(Negation *negation, const LlmJson *value)
{
	bool		same = is_named(value, LLM_MADE_SAME);
	bool		made = same || is_named(value, LLM_MADE_NOT);
	const LlmJson *schema = made ? value->first : value;

	llm_made_push(negation->branches, same ? llm_made_not(negation->compiler, schema) : llm_made_same(negation->compiler, schema));
}

static void
fail_type(Negation *negation, const LlmJson *value)
{
	LlmConjunction one = {.n = 1, .items = {{.schema = negation->schema}}};
	LlmJson    *types = llm_made(negation->compiler, LLM_JSON_NULL, value);

	types->position = (int) llm_schema_types(negation->compiler, &one, false);
	llm_made_keyword(add_branch(negation, NULL, value), LLM_NOT_TYPES, types);
}

/* The scalars in one list; each array and object as what differs from it somewhere. */
static void
fail_values(Negation *negation, const LlmJson *value)
{
	LlmSchemaCompiler *compiler = negation->compiler;
	bool		list = is_named(value, "enum");
	LlmJson    *branch = add_branch(negation, NULL, value);
	LlmJson    *scalars = llm_made(compiler, LLM_JSON_ARRAY, value);
	LlmJson    *others = llm_made(compiler, LLM_JSON_ARRAY, value);

	if (list && value->kind != LLM_JSON_ARRAY)
		llm_schema_fail(compiler, value, "expected an array of values");
	for (const LlmJson *item = list ? value->first : value; item != NULL; item = list ? item->next : NULL)
	{
		if (item->kind == LLM_JSON_ARRAY || item->kind == LLM_JSON_OBJECT)
			llm_made_push(others, other_container(negation, item));
		else
			llm_made_push(scalars, llm_made_copy(compiler, item));
	}
	if (scalars->first != NULL)
		llm_made_keyword(branch, LLM_NOT_VALUES, scalars);
	if (others->first != NULL)
		llm_made_keyword(branch, "allOf", others);
}

/* Another type, length, or a child that differs; further properties are left out. */
static LlmJson *
other_container(Negation *outer, const LlmJson *value)
{
	LlmSchemaCompiler *compiler = outer->compiler;
	Negation	negation = {compiler, value, llm_made(compiler, LLM_JSON_ARRAY, value)};
	LlmJson    *made = llm_made(compiler, LLM_JSON_OBJECT, value);
	LlmJson    *type = llm_made(compiler, LLM_JSON_NULL, value);
	bool		array = value->kind == LLM_JSON_ARRAY;
	int			n = count_list(value);

	type->position = array ? LLM_TYPE_ARRAY : LLM_TYPE_OBJECT;
	llm_made_keyword(add_branch(&negation, NULL, value), LLM_NOT_TYPES, type);
	llm_made_keyword(add_branch(&negation, array ? "array" : "object", value), array ? "minItems" : "minProperties",
					 llm_made_number(compiler, n + 1, value));
	if (n > 0)
		llm_made_keyword(add_branch(&negation, array ? "array" : "object", value), array ? "maxItems" : "maxProperties",
						 llm_made_number(compiler, n - 1, value));
	for (const LlmJson *child = value->first; child != NULL; child = child->next)
	{
		LlmJson    *constant = llm_made(compiler, LLM_JSON_OBJECT, child);

		llm_made_keyword(constant, "const", llm_made_copy(compiler, child));
		if (array)
			other_item(&negation, value->first, child, constant);
		else
			other_property(&negation, child, constant);
	}
	llm_made_keyword(made, "anyOf", negation.branches);
	return made;
}

/* An array whose item at the place of one among its siblings is not valid. */
static void
other_item(Negation *negation, const LlmJson *first, const LlmJson *item, const LlmJson *schema)
{
	LlmSchemaCompiler *compiler = negation->compiler;
	LlmJson    *branch = add_branch(negation, "array", item);
	LlmJson    *prefix = llm_made(compiler, LLM_JSON_ARRAY, item);

	llm_made_push(prefix, llm_made_not(compiler, schema));
	for (const LlmJson *before = first; before != item; before = before->next)
		llm_made_push(prefix, llm_made(compiler, LLM_JSON_TRUE, item));
	llm_made_keyword(branch, "minItems", llm_made_number(compiler, count_list(prefix), item));
	llm_made_keyword(branch, "prefixItems", prefix);
}

/* An object whose property of the same name is not valid. */
static void
other_property(Negation *negation, const LlmJson *property, const LlmJson *schema)
{
	LlmSchemaCompiler *compiler = negation->compiler;
	LlmJson    *branch = llm_made_property(compiler, property->name, property->name_length, llm_made_not(compiler, schema));

	llm_made_keyword(branch, "type", llm_made_text(compiler, "object", 6, property));
	llm_made_keyword(branch, "required", llm_made_required(compiler, property->name, property->name_length, property));
	llm_made_push(negation->branches, branch);
}

static void
fail_bound(Negation *negation, const LlmJson *value)
{
	static const char *const opposite[][2] = {
		{"minimum", "exclusiveMaximum"}, {"maximum", "exclusiveMinimum"}, {"exclusiveMinimum", "maximum"},
		{"exclusiveMaximum", "minimum"}, {"multipleOf", LLM_NOT_MULTIPLE}
	};
	LlmJson    *branch = add_branch(negation, "number", value);

	for (int i = 0; i < 5; i++)
	{
		if (is_named(value, opposite[i][0]))
			llm_made_keyword(branch, opposite[i][1], llm_made_copy(negation->compiler, value));
	}
}

static void
fail_string(Negation *negation, const LlmJson *value)
{
	llm_made_keyword(add_branch(negation, "string", value), is_named(value, "pattern") ? LLM_NOT_PATTERN : LLM_NOT_FORMAT,
					 llm_made_copy(negation->compiler, value));
}

/* "minLength": n fails with "maxLength": n - 1, and so on. */
static void
fail_count(Negation *negation, const LlmJson *value)
{
	static const struct
	{
		const char *name;
		const char *opposite;
		const char *type;
	}			counts[] = {
		{"minLength", "maxLength", "string"}, {"maxLength", "minLength", "string"}, {"minItems", "maxItems", "array"},
		{"maxItems", "minItems", "array"}, {"minProperties", "maxProperties", "object"}, {"maxProperties", "minProperties", "object"}
	};

	for (int i = 0; i < 6; i++)
	{
		bool		least = i % 2 == 0;
		int			count;

		if (!is_named(value, counts[i].name))
			continue;
		count = llm_keyword_count(negation->compiler, negation->schema, counts[i].name, 0);
		if (least && count == 0)
			continue;
		llm_made_keyword(add_branch(negation, counts[i].type, value), counts[i].opposite,
						 llm_made_number(negation->compiler, least ? count - 1 : count + 1, value));
	}
}

static void
fail_required(Negation *negation, const LlmJson *value)
{
	llm_keyword_checked(negation->compiler, negation->schema, "required", LLM_JSON_ARRAY);
	for (const LlmJson *name = value->first; name != NULL; name = name->next)
	{
		LlmJson    *branch = add_branch(negation, "object", name);
		LlmJson    *absent = llm_made_property(negation->compiler, name->text, name->length,
											   llm_made(negation->compiler, LLM_JSON_FALSE, name));
		LlmJson    *all = llm_made(negation->compiler, LLM_JSON_ARRAY, name);

		if (name->kind != LLM_JSON_STRING)
			llm_schema_fail(negation->compiler, name, "expected the name of a property");
		llm_made_push(all, absent);
		llm_made_keyword(branch, "allOf", all);
	}
}

static void
fail_properties(Negation *negation, const LlmJson *value)
{
	llm_keyword_checked(negation->compiler, negation->schema, "properties", LLM_JSON_OBJECT);
	for (const LlmJson *property = value->first; property != NULL; property = property->next)
		other_property(negation, property, property);
}

static void
fail_patterns(Negation *negation, const LlmJson *value)
{
	llm_keyword_checked(negation->compiler, negation->schema, "patternProperties", LLM_JSON_OBJECT);
	for (const LlmJson *pattern = value->first; pattern != NULL; pattern = pattern->next)
	{
		LlmJson    *key = llm_made(negation->compiler, LLM_JSON_OBJECT, pattern);

		llm_made_keyword(key, "pattern", llm_made_text(negation->compiler, pattern->name, pattern->name_length, pattern));
		some_member(negation, key, llm_made_not(negation->compiler, pattern), pattern);
	}
}

/* A member that neither "properties" nor "patternProperties" has. */
static void
fail_additional(Negation *negation, const LlmJson *value)
{
	LlmSchemaCompiler *compiler = negation->compiler;
	const LlmJson *properties = llm_keyword_checked(compiler, negation->schema, "properties", LLM_JSON_OBJECT);
	const LlmJson *patterns = llm_keyword_checked(compiler, negation->schema, "patternProperties", LLM_JSON_OBJECT);
	LlmJson    *known = llm_made(compiler, LLM_JSON_OBJECT, value);
	LlmJson    *list = llm_made(compiler, LLM_JSON_ARRAY, value);
	LlmJson    *names = llm_made(compiler, LLM_JSON_ARRAY, value);
	LlmJson    *named = llm_made(compiler, LLM_JSON_OBJECT, value);

	for (const LlmJson *property = properties != NULL ? properties->first : NULL; property != NULL; property = property->next)
		llm_made_push(names, llm_made_text(compiler, property->name, property->name_length, value));
	llm_made_keyword(named, "enum", names);
	llm_made_push(list, names->first != NULL ? named : llm_made(compiler, LLM_JSON_FALSE, value));
	for (const LlmJson *pattern = patterns != NULL ? patterns->first : NULL; pattern != NULL; pattern = pattern->next)
	{
		LlmJson    *matches = llm_made(compiler, LLM_JSON_OBJECT, pattern);

		llm_made_keyword(matches, "pattern", llm_made_text(compiler, pattern->name, pattern->name_length, pattern));
		llm_made_push(list, matches);
	}
	llm_made_keyword(known, "anyOf", list);
	some_member(negation, llm_made_not(compiler, known), llm_made_not(compiler, value), value);
}

static void
fail_names(Negation *negation, const LlmJson *value)
{
	some_member(negation, llm_made_not(negation->compiler, value), llm_made(negation->compiler, LLM_JSON_TRUE, value), value);
}

/* There is the property, and something that depends on it does not hold. */
static void
fail_dependent(Negation *negation, const LlmJson *value)
{
	LlmSchemaCompiler *compiler = negation->compiler;

	if (value->kind != LLM_JSON_OBJECT)
		llm_schema_fail(compiler, value, "expected an object");
	for (const LlmJson *dependent = value->first; dependent != NULL; dependent = dependent->next)
	{
		LlmJson    *branch = add_branch(negation, "object", dependent);
		LlmJson    *all = llm_made(compiler, LLM_JSON_ARRAY, dependent);

		llm_made_keyword(branch, "required", llm_made_required(compiler, dependent->name, dependent->name_length, dependent));
		if (dependent->kind == LLM_JSON_ARRAY)
		{
			LlmJson    *needed = llm_made(compiler, LLM_JSON_OBJECT, dependent);

			llm_made_keyword(needed, "required", llm_made_copy(compiler, dependent));
			llm_made_push(all, llm_made_not(compiler, needed));
		}
		else
			llm_made_push(all, llm_made_not(compiler, dependent));
		llm_made_keyword(branch, "allOf", all);
	}
}

/* An array of "items" is what "prefixItems" was called before, and "additionalItems" was "items" then. */
static void
fail_items(Negation *negation, const LlmJson *value)
{
	const LlmJson *items = llm_keyword(negation->schema, "items");
	const LlmJson *prefix = llm_keyword(negation->schema, "prefixItems");
	bool		old = prefix == NULL && items != NULL && items->kind == LLM_JSON_ARRAY;

	if (value != items)
	{
		if (old)
			some_item(negation, value, count_list(items));
	}
	else if (old)
		fail_prefix(negation, value);
	else
		some_item(negation, value, prefix != NULL ? count_list(prefix) : 0);
}

static void
fail_prefix(Negation *negation, const LlmJson *value)
{
	LlmSchemaCompiler *compiler = negation->compiler;

	if (value->kind != LLM_JSON_ARRAY)
		llm_schema_fail(compiler, value, "expected an array");
	for (const LlmJson *item = value->first; item != NULL; item = item->next)
		other_item(negation, value->first, item, item);
}

/* Too few, or too many. */
static void
fail_contains(Negation *negation, const LlmJson *value)
{
	LlmSchemaCompiler *compiler = negation->compiler;
	int			least = llm_keyword_count(compiler, negation->schema, "minContains", 1);
	int			most = llm_keyword_count(compiler, negation->schema, "maxContains", LLM_REPEAT_FOREVER);
	LlmJson    *branch;

	if (least > 0)
	{
		branch = add_branch(negation, "array", value);
		llm_made_keyword(branch, "contains", llm_made_same(compiler, value));
		llm_made_keyword(branch, "minContains", llm_made_number(compiler, 0, value));
		llm_made_keyword(branch, "maxContains", llm_made_number(compiler, least - 1, value));
	}
	if (most != LLM_REPEAT_FOREVER)
	{
		branch = add_branch(negation, "array", value);
		llm_made_keyword(branch, "contains", llm_made_same(compiler, value));
		llm_made_keyword(branch, "minContains", llm_made_number(compiler, most + 1, value));
	}
}

static void
fail_unique(Negation *negation, const LlmJson *value)
{
	if (value->kind != LLM_JSON_FALSE)
		llm_schema_fail(negation->compiler, value, "\"uniqueItems\" is not supported where it must not hold "
						"(\"not\", \"if\", \"oneOf\" of schemas that overlap)");
}

static void
some_member(Negation *negation, LlmJson *key, LlmJson *value, const LlmJson *place)
{
	LlmJson    *member = llm_made(negation->compiler, LLM_JSON_OBJECT, place);

	llm_made_keyword(member, "key", key);
	llm_made_keyword(member, "value", value);
	llm_made_keyword(add_branch(negation, "object", place), LLM_SOME_MEMBER, member);
}

/* An item from a position on that is not valid. */
static void
some_item(Negation *negation, const LlmJson *schema, int from)
{
	LlmJson    *branch = add_branch(negation, "array", schema);
	LlmJson    *position = llm_made(negation->compiler, LLM_JSON_NULL, schema);

	position->position = from;
	llm_made_keyword(branch, "contains", llm_made_not(negation->compiler, schema));
	llm_made_keyword(branch, LLM_CONTAINS_FROM, position);
}

static int
count_list(const LlmJson *list)
{
	int			n = 0;

	for (const LlmJson *item = list->first; item != NULL; item = item->next)
		n++;
	return n;
}

static bool
is_named(const LlmJson *value, const char *name)
{
	return value->name_length == strlen(name) && memcmp(value->name, name, value->name_length) == 0;
}
