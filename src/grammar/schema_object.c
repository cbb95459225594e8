/*
 * schema_object.c
 *		Objects of a schema.
 *
 * Properties are written in one order: first the required ones as "required" lists them, then the others as
 * "properties" does.  Others than these are written where "patternProperties" or "additionalProperties" asks for them, or where
 * the schema names none.
 */
#include "grammar/schema.h"

#include <string.h>

#include "grammar/automaton.h"

#define MAX_PATTERNS 6
#define MAX_NAMES 200			/* of "propertyNames" */
#define MAX_CELLS 2000

typedef struct Property
{
	const char *name;
	size_t		length;
	bool		required;
	const LlmExpr *member;		/* "name": value; NULL: not allowed */
} Property;

/* Members that no schema names; which patterns a key matches tells what its value is. */
typedef struct Extra
{
	const LlmAutomaton *keys;
	LlmConjunction value;
	const LlmJson *place;
	bool		wanted;
} Extra;

typedef struct Object
{
	LlmSchemaCompiler *compiler;
	const LlmConjunction *conjunction;
	const LlmJson *place;
	Property   *properties;
	int			n_properties;
	int			capacity;
	const LlmAutomaton *names;	/* by "propertyNames", or NULL */
	int			n_patterns;
	const LlmJson *patterns[MAX_PATTERNS];	/* one for each text */
	int			n_extras;
	Extra	   *extras;			/* [1 << n_patterns] */
	const LlmExpr *extra;		/* any of those that are wanted, or NULL */
	LlmExprList some;			/* those that there must be */
	int			least;
	int			most;
} Object;

static void collect_names(Object *object);
static void add_name(Object *object, const char *name, size_t length, bool required);
static void collect_patterns(Object *object);
static bool matches(Object *object, const LlmJson *pattern, const char *name, size_t length);
static const LlmExpr *compile_property(Object *object, const Property *property);
static bool add_value(Object *object, LlmConjunction *value, const LlmJson *schema, const LlmJson **place);
static void compile_extras(Object *object);
static const LlmAutomaton *other_keys(Object *object);
static void add_extra(Object *object, const LlmAutomaton *keys, unsigned matched);
static bool names_something(const Object *object);
static const LlmExpr *extra_member(Object *object, const Extra *extra, const LlmJson *member);
static const LlmExpr *some_member(Object *object, const LlmJson *member);
static const LlmExpr *members(Object *object);
static const LlmExpr *tail(Object *object, int n_written);

const LlmExpr *
llm_schema_object(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const LlmJson *place)
{
	LlmBuilder *builder = compiler->builder;
	Object		object = {.compiler = compiler, .conjunction = conjunction, .place = place};
	const LlmExpr *items[3];

	llm_schema_counts(compiler, conjunction, "minProperties", "maxProperties", &object.least, &object.most);
	collect_names(&object);
	collect_patterns(&object);
	for (int i = 0; i < object.n_properties; i++)
	{
		Property   *property = &object.properties[i];

		property->member = compile_property(&object, property);
		if (property->member == NULL && property->required)
			return llm_schema_empty(compiler, place, "property \"%.*s\" is required but not allowed",
									property->length < 80 ? (int) property->length : 80, property->name);
	}
	compile_extras(&object);
	items[0] = llm_text(builder, "{");
	items[1] = members(&object);
	items[2] = llm_text(builder, "}");
	return llm_sequence(builder, 3, items);
}

/* Those of "required", of "properties", and where "propertyNames" allows only a few, these. */
static void
collect_names(Object *object)
{
	LlmSchemaCompiler *compiler = object->compiler;
	const LlmConjunction *conjunction = object->conjunction;
	LlmConjunction names = {0};
	const LlmJson *values[MAX_NAMES];
	int			n = 0;

	for (int i = 0; i < conjunction->n; i++)
	{
		const LlmJson *required = llm_keyword_checked(compiler, conjunction->items[i].schema, "required", LLM_JSON_ARRAY);

		for (const LlmJson *name = required != NULL ? required->first : NULL; name != NULL; name = name->next)
		{
			if (name->kind != LLM_JSON_STRING)
				llm_schema_fail(compiler, name, "expected the name of a property");
			add_name(object, name->text, name->length, true);
		}
	}
	for (int i = 0; i < conjunction->n; i++)
	{
		const LlmJson *properties = llm_keyword_checked(compiler, conjunction->items[i].schema, "properties", LLM_JSON_OBJECT);

		for (const LlmJson *property = properties != NULL ? properties->first : NULL; property != NULL; property = property->next)
			add_name(object, property->name, property->name_length, false);
	}
	for (int i = 0; i < conjunction->n; i++)
	{
		const LlmJson *schema = llm_keyword(conjunction->items[i].schema, "propertyNames");

		if (schema != NULL)
			llm_conjunction_add(compiler, &names, (LlmConjunct) {.schema = schema});
	}
	if (names.n == 0)
		return;
	object->names = llm_schema_strings(compiler, &names);
	if (llm_schema_finite(compiler, &names, MAX_NAMES, values, &n))
	{
		for (int i = 0; i < n; i++)
		{
			if (values[i]->kind == LLM_JSON_STRING)
				add_name(object, values[i]->text, values[i]->length, false);
		}
	}
}

static void
add_name(Object *object, const char *name, size_t length, bool required)
{
	for (int i = 0; i < object->n_properties; i++)
	{
		if (object->properties[i].length == length && memcmp(object->properties[i].name, name, length) == 0)
			return;
	}
	if (object->n_properties == object->capacity)
	{
		int			capacity = object->capacity == 0 ? 16 : 2 * object->capacity;
		Property   *properties = llm_builder_claim(object->compiler->builder, (size_t) capacity * sizeof(Property));

		if (object->n_properties > 0)
			memcpy(properties, object->properties, (size_t) object->n_properties * sizeof(Property));
		object->properties = properties;
		object->capacity = capacity;
	}
	object->properties[object->n_properties++] = (Property) {name, length, required, NULL};
}

static void
collect_patterns(Object *object)
{
	for (int i = 0; i < object->conjunction->n; i++)
	{
		const LlmJson *list = llm_keyword_checked(object->compiler, object->conjunction->items[i].schema, "patternProperties",
												  LLM_JSON_OBJECT);

		for (const LlmJson *pattern = list != NULL ? list->first : NULL; pattern != NULL; pattern = pattern->next)
		{
			bool		known = false;

			for (int k = 0; k < object->n_patterns && !known; k++)
				known = object->patterns[k]->name_length == pattern->name_length &&
					memcmp(object->patterns[k]->name, pattern->name, pattern->name_length) == 0;
			if (known)
				continue;
			if (object->n_patterns == MAX_PATTERNS)
				llm_schema_fail(object->compiler, list, "more than %d patterns for the properties of one object are not supported", MAX_PATTERNS);
			object->patterns[object->n_patterns++] = pattern;
		}
	}
}

static bool
matches(Object *object, const LlmJson *pattern, const char *name, size_t length)
{
	return llm_automaton_accepts(llm_schema_key_pattern(object->compiler, pattern), name, length);
}

/* What each of the schemas says of the property: by its name and the patterns it matches, or as one of the additional ones. */
static const LlmExpr *
compile_property(Object *object, const Property *property)
{
	LlmSchemaCompiler *compiler = object->compiler;
	LlmConjunction value = {0};
	const LlmJson *place = NULL;

	if (object->names != NULL && !llm_automaton_accepts(object->names, property->name, property->length))
		return NULL;
	for (int i = 0; i < object->conjunction->n; i++)
	{
		const LlmJson *schema = object->conjunction->items[i].schema;
		const LlmJson *properties = llm_keyword(schema, "properties");
		const LlmJson *patterns = llm_keyword(schema, "patternProperties");
		const LlmJson *found = properties != NULL ? llm_json_find(properties, property->name, property->length) : NULL;
		bool		any = found != NULL;

		if (found != NULL && !add_value(object, &value, found, &place))
			return NULL;
		for (const LlmJson *pattern = patterns != NULL ? patterns->first : NULL; pattern != NULL; pattern = pattern->next)
		{
			if (!matches(object, pattern, property->name, property->length))
				continue;
			any = true;
			if (!add_value(object, &value, pattern, &place))
				return NULL;
		}
		found = any ? NULL : llm_keyword(schema, "additionalProperties");
		if (found != NULL && !add_value(object, &value, found, &place))
			return NULL;
	}
	return llm_then(compiler->builder, llm_json_key(compiler->builder, property->name, property->length),
					llm_schema_expr(compiler, &value, place != NULL ? place : compiler->root));
}

/* False for the schema that nothing is valid against. */
static bool
add_value(Object *object, LlmConjunction *value, const LlmJson *schema, const LlmJson **place)
{
	if (schema->kind == LLM_JSON_FALSE)
		return false;
	if (schema->kind == LLM_JSON_TRUE)
		return true;
	*place = *place == NULL ? schema : *place;
	llm_conjunction_add(object->compiler, value, (LlmConjunct) {.schema = schema});
	return true;
}

static void
compile_extras(Object *object)
{
	LlmSchemaCompiler *compiler = object->compiler;
	LlmExprList wanted = {0};

	object->extras = llm_builder_claim(compiler->builder, ((size_t) 1 << object->n_patterns) * sizeof(Extra));
	for (unsigned matched = 0; matched < 1u << object->n_patterns; matched++)
	{
		const LlmAutomaton *keys = other_keys(object);

		for (int k = 0; k < object->n_patterns && (keys == NULL || !llm_automaton_is_empty(keys)); k++)
		{
			const LlmAutomaton *pattern = llm_schema_key_pattern(compiler, object->patterns[k]);

			keys = keys != NULL ? keys : llm_automaton_of_length(compiler->builder, 0, LLM_REPEAT_FOREVER);
			keys = matched >> k & 1 ? llm_automaton_and(compiler->builder, keys, pattern) :
				llm_automaton_minus(compiler->builder, keys, pattern);
		}
		if (keys == NULL || !llm_automaton_is_empty(keys))
			add_extra(object, keys, matched);
	}
	for (int i = 0; i < object->n_extras; i++)
	{
		const LlmExpr *member = object->extras[i].wanted ? extra_member(object, &object->extras[i], NULL) : NULL;

		if (member != NULL)
			llm_list_add(compiler->builder, &wanted, member);
	}
	if (wanted.n_items > 0)
		object->extra = llm_choice(compiler->builder, wanted.n_items, wanted.items);
	for (int i = 0; i < object->conjunction->n; i++)
	{
		const LlmJson *member = llm_keyword(object->conjunction->items[i].schema, LLM_SOME_MEMBER);

		if (member != NULL && object->conjunction->items[i].member == LLM_MEMBER_UNNAMED)
			llm_list_add(compiler->builder, &object->some, some_member(object, member));
	}
}

/* Any string but the names of properties; NULL where that is any string. */
static const LlmAutomaton *
other_keys(Object *object)
{
	LlmBuilder *builder = object->compiler->builder;
	LlmExprList list = {0};
	const LlmAutomaton *all = object->names;

	if (object->n_properties == 0)
		return all;
	for (int i = 0; i < object->n_properties; i++)
		llm_list_add(builder, &list, llm_literal(builder, object->properties[i].name, object->properties[i].length));
	return llm_automaton_minus(builder, all != NULL ? all : llm_automaton_of_length(builder, 0, LLM_REPEAT_FOREVER),
							   llm_automaton_from_expr(builder, llm_choice(builder, list.n_items, list.items)));
}

/* Keys that match these patterns and no others. */
static void
add_extra(Object *object, const LlmAutomaton *keys, unsigned matched)
{
	Extra		extra = {.keys = keys};
	bool		wanted = matched != 0 || !names_something(object);

	for (int i = 0; i < object->conjunction->n; i++)
	{
		const LlmJson *schema = object->conjunction->items[i].schema;
		const LlmJson *patterns = llm_keyword(schema, "patternProperties");
		const LlmJson *additional = llm_keyword(schema, "additionalProperties");
		bool		any = false;

		for (int k = 0; k < object->n_patterns && patterns != NULL; k++)
		{
			const LlmJson *found = llm_json_find(patterns, object->patterns[k]->name, object->patterns[k]->name_length);

			if (found == NULL || (matched >> k & 1) == 0)
				continue;
			any = true;
			if (!add_value(object, &extra.value, found, &extra.place))
				return;
		}
		if (any || additional == NULL)
			continue;
		wanted = true;
		if (!add_value(object, &extra.value, additional, &extra.place))
			return;
	}
	extra.wanted = wanted;
	object->extras[object->n_extras++] = extra;
}

static bool
names_something(const Object *object)
{
	for (int i = 0; i < object->n_properties; i++)
	{
		if (object->properties[i].member != NULL)
			return true;
	}
	return object->n_patterns > 0;
}

/* As LLM_SOME_MEMBER, too, where that is given; NULL where there is none. */
static const LlmExpr *
extra_member(Object *object, const Extra *extra, const LlmJson *member)
{
	LlmSchemaCompiler *compiler = object->compiler;
	LlmBuilder *builder = compiler->builder;
	LlmConjunction value = extra->value;
	const LlmAutomaton *keys = extra->keys;
	const LlmExpr *key;
	const LlmExpr *expr;

	if (member != NULL)
	{
		const LlmAutomaton *some = llm_schema_strings_of(compiler, llm_keyword(member, "key"));

		keys = keys == NULL ? some : llm_automaton_and(builder, keys, some);
		if (llm_automaton_is_empty(keys))
			return NULL;
		llm_conjunction_add(compiler, &value, (LlmConjunct) {.schema = llm_keyword(member, "value")});
	}
	compiler->alternatives += member != NULL;
	expr = llm_schema_expr(compiler, &value, extra->place != NULL ? extra->place : compiler->root);
	compiler->alternatives -= member != NULL;
	if (llm_schema_is_never(compiler, expr))
		return NULL;
	key = keys == NULL ? llm_json_rule(builder, LLM_JSON_ANY_STRING) : llm_json_quoted(builder, llm_automaton_expr(builder, keys, true));
	return llm_then(builder, llm_then(builder, key, llm_text(builder, ": ")), expr);
}

static const LlmExpr *
some_member(Object *object, const LlmJson *member)
{
	LlmExprList list = {0};

	for (int i = 0; i < object->n_extras; i++)
	{
		const LlmExpr *one = extra_member(object, &object->extras[i], member);

		if (one != NULL)
			llm_list_add(object->compiler->builder, &list, one);
	}
	return llm_choice(object->compiler->builder, list.n_items, list.items);
}

static const LlmExpr *
members(Object *object)
{
	LlmSchemaCompiler *compiler = object->compiler;
	const LlmExpr **items = llm_builder_claim(compiler->builder, ((size_t) object->n_properties + 1) * sizeof(LlmExpr *));
	bool	   *required = llm_builder_claim(compiler->builder, (size_t) object->n_properties + 1);
	const LlmExpr **tails;
	const LlmExpr *list;
	int			n_required = 0;
	int			n = 0;
	int			n_tails;

	for (int i = 0; i < object->n_properties; i++)
	{
		if (object->properties[i].member == NULL)
			continue;
		items[n] = object->properties[i].member;
		required[n++] = object->properties[i].required;
		n_required += object->properties[i].required;
	}
	/* counts that make no difference are not told apart */
	if (object->most >= n && object->extra == NULL && object->some.n_items == 0)
		object->most = LLM_REPEAT_FOREVER;
	if (object->least <= n_required)
		object->least = 0;
	n_tails = 1 + (object->most != LLM_REPEAT_FOREVER ? n : object->least > n ? n : object->least > 1 ? object->least : 1);
	if ((int64_t) n * n_tails > MAX_CELLS && n_tails > 2)
		llm_schema_fail(compiler, object->place, "\"minProperties\" or \"maxProperties\" of so many properties is not supported");
	tails = llm_builder_claim(compiler->builder, ((size_t) n_tails + 1) * sizeof(LlmExpr *));
	for (int c = 0; c < n_tails; c++)
		tails[c] = tail(object, c);
	list = llm_schema_list(compiler, n, items, required, n_tails, tails);
	if (list == NULL)
		return llm_schema_empty(compiler, object->place, "so many properties as minProperties and maxProperties want cannot be made, as "
								"those that are not named could have the same name");
	return list;
}

/*
 * What follows so many properties; NULL where these are too few or too many.  Those that are not named can have the same name, so
 * that together they count as one of the least.
 */
static const LlmExpr *
tail(Object *object, int n_written)
{
	LlmBuilder *builder = object->compiler->builder;
	const LlmExpr *comma = llm_text(builder, ", ");
	const LlmExpr *more = object->extra != NULL ? llm_repeat(builder, llm_then(builder, comma, object->extra), 0, LLM_REPEAT_FOREVER) : NULL;
	int			n_some = object->some.n_items;
	int			n_needed = object->least - n_written;
	bool		bounded = object->most != LLM_REPEAT_FOREVER;
	int			room = bounded ? object->most - n_written : LLM_REPEAT_FOREVER;
	LlmExprList list = {0};

	if (n_needed > 1 || (n_needed == 1 && n_some == 0 && object->extra == NULL) || (bounded && room < n_some))
		return NULL;
	if (n_some == 0 && object->extra == NULL)
		return llm_text(builder, "");
	if (n_some == 0)
	{
		int			least = n_needed > 0 ? 1 : 0;

		if (bounded && room < least)
			return NULL;
		if (n_written == 0)
			return llm_json_list(builder, object->extra, least, room);
		return llm_repeat(builder, llm_then(builder, comma, object->extra), least, room);
	}
	/* with a bound, only those that there must be */
	if (bounded)
		more = NULL;
	if (n_written == 0 && more != NULL)
		llm_list_add(builder, &list, llm_repeat(builder, llm_then(builder, object->extra, comma), 0, LLM_REPEAT_FOREVER));
	for (int i = 0; i < n_some; i++)
	{
		if (n_written > 0 && i == 0)
			llm_list_add(builder, &list, more != NULL ? more : llm_text(builder, ""));
		if (n_written > 0 || i > 0)
			llm_list_add(builder, &list, comma);
		llm_list_add(builder, &list, object->some.items[i]);
		if (more != NULL)
			llm_list_add(builder, &list, more);
	}
	return llm_sequence(builder, list.n_items, list.items);
}
