/*
 * schema_object.c
 *		Objects and arrays of a schema.
 *
 * Properties are written in one order: first the required ones as "required" lists them, then the others as
 * "properties" does.  Others than these are written only where "additionalProperties" asks for them, or where
 * the schema names none.
 */
#include "grammar/schema.h"

#include <string.h>

#include "grammar/automaton.h"

typedef struct Property
{
	const char *name;
	size_t		length;
	bool		required;
	const LlmExpr *member;		/* "name": value; NULL: not allowed */
} Property;

typedef struct Object
{
	LlmSchemaCompiler *compiler;
	const LlmConjunction *conjunction;
	Property   *properties;
	int			n_properties;
	int			capacity;
	const LlmExpr *extra;		/* any other member, or NULL */
} Object;

static void collect_names(Object *object);
static void add_name(Object *object, const char *name, size_t length, bool required);
static void compile_property(Object *object, Property *property);
static void compile_extra(Object *object);
static const LlmExpr *other_key(Object *object);
static const LlmExpr *members(Object *object);
static const LlmExpr *members_from(Object *object, int i, const LlmExpr *first, const LlmExpr *rest);
static const LlmJson *checked_keyword(LlmSchemaCompiler *compiler, const LlmJson *schema, const char *name, LlmJsonKind kind);
static const LlmJson *item_schema(const LlmJson *schema, int position, int n_prefix);
static int	prefix_length(const LlmJson *schema);
static const LlmExpr *item_expr(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, int position,
								const LlmJson *place, bool *never);
static const LlmExpr *items_expr(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, int n_prefix, int least,
								 int most, const LlmJson *place);

const LlmExpr *
llm_schema_object(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const LlmJson *place)
{
	LlmBuilder *builder = compiler->builder;
	Object		object = {.compiler = compiler, .conjunction = conjunction};
	const LlmExpr *items[3];

	collect_names(&object);
	for (int i = 0; i < object.n_properties; i++)
	{
		compile_property(&object, &object.properties[i]);
		if (object.properties[i].member == NULL && object.properties[i].required)
			llm_schema_fail(compiler, place, "property \"%.*s\" is required but not allowed",
							object.properties[i].length < 80 ? (int) object.properties[i].length : 80, object.properties[i].name);
	}
	compile_extra(&object);
	items[0] = llm_text(builder, "{");
	items[1] = members(&object);
	items[2] = llm_text(builder, "}");
	return llm_sequence(builder, 3, items);
}

const LlmExpr *
llm_schema_array(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const LlmJson *place)
{
	LlmBuilder *builder = compiler->builder;
	int			least = 0;
	int			most = LLM_REPEAT_FOREVER;
	int			n_prefix = 0;
	bool		more = false;
	const LlmExpr *items[3];

	for (int i = 0; i < conjunction->n; i++)
	{
		const LlmJson *schema = conjunction->items[i].schema;
		const LlmJson *rest = llm_keyword(schema, "items");
		int			greatest = llm_keyword_count(compiler, schema, "maxItems", LLM_REPEAT_FOREVER);
		int			smallest = llm_keyword_count(compiler, schema, "minItems", 0);

		if (llm_keyword(schema, "prefixItems"))
			checked_keyword(compiler, schema, "prefixItems", LLM_JSON_ARRAY);
		if (llm_keyword(schema, "additionalItems"))
			llm_schema_fail(compiler, llm_keyword(schema, "additionalItems"), "\"additionalItems\" is not supported");
		least = smallest > least ? smallest : least;
		if (greatest >= 0 && (most == LLM_REPEAT_FOREVER || greatest < most))
			most = greatest;
		n_prefix = prefix_length(schema) > n_prefix ? prefix_length(schema) : n_prefix;
		more |= rest != NULL && rest->kind != LLM_JSON_ARRAY;
	}
	if (most != LLM_REPEAT_FOREVER && least > most)
		llm_schema_fail(compiler, place, "minItems %d is greater than maxItems %d", least, most);
	if (n_prefix > 0 && !more && (most == LLM_REPEAT_FOREVER || most > n_prefix))
		most = least > n_prefix ? least : n_prefix;
	items[0] = llm_text(builder, "[");
	items[1] = items_expr(compiler, conjunction, n_prefix, least, most, place);
	items[2] = llm_text(builder, "]");
	return llm_sequence(builder, 3, items);
}

static void
collect_names(Object *object)
{
	const LlmConjunction *conjunction = object->conjunction;

	for (int i = 0; i < conjunction->n; i++)
	{
		const LlmJson *required = checked_keyword(object->compiler, conjunction->items[i].schema, "required", LLM_JSON_ARRAY);

		for (const LlmJson *name = required != NULL ? required->first : NULL; name != NULL; name = name->next)
		{
			if (name->kind != LLM_JSON_STRING)
				llm_schema_fail(object->compiler, name, "expected the name of a property");
			add_name(object, name->text, name->length, true);
		}
	}
	for (int i = 0; i < conjunction->n; i++)
	{
		const LlmJson *properties = checked_keyword(object->compiler, conjunction->items[i].schema, "properties", LLM_JSON_OBJECT);

		for (const LlmJson *property = properties != NULL ? properties->first : NULL; property != NULL; property = property->next)
			add_name(object, property->name, property->name_length, false);
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

/* What each of the schemas says of the property, by its name or as one of the additional ones. */
static void
compile_property(Object *object, Property *property)
{
	LlmSchemaCompiler *compiler = object->compiler;
	LlmConjunction value = {0};
	const LlmJson *place = NULL;

	for (int i = 0; i < object->conjunction->n; i++)
	{
		const LlmJson *schema = object->conjunction->items[i].schema;
		const LlmJson *properties = llm_keyword(schema, "properties");
		const LlmJson *found = properties != NULL ? llm_json_find(properties, property->name, property->length) : NULL;

		if (found == NULL)
			found = llm_keyword(schema, "additionalProperties");
		if (found == NULL || found->kind == LLM_JSON_TRUE)
			continue;
		if (found->kind == LLM_JSON_FALSE)
			return;
		place = place == NULL ? found : place;
		llm_conjunction_add(compiler, &value, (LlmConjunct) {.schema = found});
	}
	property->member = llm_then(compiler->builder, llm_json_key(compiler->builder, property->name, property->length),
								llm_schema_expr(compiler, &value, place != NULL ? place : compiler->root));
}

static void
compile_extra(Object *object)
{
	LlmSchemaCompiler *compiler = object->compiler;
	LlmConjunction value = {0};
	const LlmJson *place = compiler->root;
	bool		wanted = object->n_properties == 0;

	for (int i = 0; i < object->conjunction->n; i++)
	{
		const LlmJson *additional = llm_keyword(object->conjunction->items[i].schema, "additionalProperties");

		if (additional == NULL)
			continue;
		if (additional->kind == LLM_JSON_FALSE)
			return;
		wanted = true;
		if (additional->kind == LLM_JSON_TRUE)
			continue;
		place = additional;
		llm_conjunction_add(compiler, &value, (LlmConjunct) {.schema = additional});
	}
	if (!wanted)
		return;
	object->extra = llm_then(compiler->builder, llm_then(compiler->builder, other_key(object), llm_text(compiler->builder, ": ")),
							 llm_schema_expr(compiler, &value, place));
}

/* Any string but the names of properties. */
static const LlmExpr *
other_key(Object *object)
{
	LlmBuilder *builder = object->compiler->builder;
	LlmExprList list = {0};
	const LlmAutomaton *others;

	if (object->n_properties == 0)
		return llm_json_rule(builder, LLM_JSON_ANY_STRING);
	for (int i = 0; i < object->n_properties; i++)
		llm_list_add(builder, &list, llm_literal(builder, object->properties[i].name, object->properties[i].length));
	others = llm_automaton_minus(builder, llm_automaton_of_length(builder, 0, LLM_REPEAT_FOREVER),
								 llm_automaton_from_expr(builder, llm_choice(builder, list.n_items, list.items)));
	return llm_json_quoted(builder, llm_automaton_expr(builder, others, true));
}

/*
 * From the last property to the first, what can follow: where no member has been written yet, and where one
 * has, so that a comma comes first.
 */
static const LlmExpr *
members(Object *object)
{
	LlmBuilder *builder = object->compiler->builder;
	const LlmExpr *first = llm_text(builder, "");
	const LlmExpr *rest = first;

	if (object->extra != NULL)
	{
		first = llm_json_list(builder, object->extra, 0, LLM_REPEAT_FOREVER);
		rest = llm_repeat(builder, llm_then(builder, llm_text(builder, ", "), object->extra), 0, LLM_REPEAT_FOREVER);
	}
	return members_from(object, object->n_properties - 1, first, rest);
}

static const LlmExpr *
members_from(Object *object, int i, const LlmExpr *first, const LlmExpr *rest)
{
	LlmBuilder *builder = object->compiler->builder;

	for (; i >= 0; i--)
	{
		const Property *property = &object->properties[i];
		const LlmExpr *with_comma;
		int			rule;

		if (property->member == NULL)
			continue;
		/* both ways lead there */
		rule = llm_builder_add_rule(builder, "the members of an object");
		builder->rules[rule].expr = rest;
		rest = llm_rule_expr(builder, rule);
		with_comma = llm_then(builder, llm_text(builder, ", "), property->member);
		if (property->required)
		{
			first = llm_then(builder, property->member, rest);
			rest = llm_then(builder, with_comma, rest);
		}
		else
		{
			first = llm_or(builder, llm_then(builder, property->member, rest), first);
			rest = llm_then(builder, llm_optional(builder, with_comma), rest);
		}
	}
	return first;
}

static const LlmJson *
checked_keyword(LlmSchemaCompiler *compiler, const LlmJson *schema, const char *name, LlmJsonKind kind)
{
	const LlmJson *value = llm_keyword(schema, name);

	if (value != NULL && value->kind != kind)
		llm_schema_fail(compiler, value, "expected an %s", kind == LLM_JSON_ARRAY ? "array" : "object");
	return value;
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
		items = NULL;
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

static const LlmExpr *
item_expr(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, int position, const LlmJson *place, bool *never)
{
	LlmConjunction item = {0};
	const LlmJson *at = NULL;

	*never = false;
	for (int i = 0; i < conjunction->n; i++)
	{
		const LlmJson *schema = conjunction->items[i].schema;
		const LlmJson *found = item_schema(schema, position, prefix_length(schema));

		if (found == NULL)
			continue;
		*never |= found->kind == LLM_JSON_FALSE;
		at = at == NULL ? found : at;
		llm_conjunction_add(compiler, &item, (LlmConjunct) {.schema = found});
	}
	return *never ? NULL : llm_schema_expr(compiler, &item, at != NULL ? at : place);
}

static const LlmExpr *
items_expr(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, int n_prefix, int least, int most,
		   const LlmJson *place)
{
	LlmBuilder *builder = compiler->builder;
	LlmExprList list = {0};
	int			n_first = most != LLM_REPEAT_FOREVER && most < n_prefix ? most : n_prefix;
	int			n_more = most == LLM_REPEAT_FOREVER ? LLM_REPEAT_FOREVER : most - n_first;
	bool		never;

	for (int i = 0; i < n_first; i++)
	{
		const LlmExpr *item = item_expr(compiler, conjunction, i, place, &never);

		if (never)
		{
			/* the array ends before that item */
			n_first = i;
			n_more = 0;
			break;
		}
		if (i > 0)
			llm_list_add(builder, &list, llm_text(builder, ", "));
		llm_list_add(builder, &list, item);
	}
	if (n_more != 0)
	{
		const LlmExpr *item = item_expr(compiler, conjunction, n_prefix, place, &never);
		int			n_least = least > n_first ? least - n_first : 0;

		if (never)
			n_more = 0;
		else if (n_first == 0)
			llm_list_add(builder, &list, llm_json_list(builder, item, n_least, n_more));
		else
			llm_list_add(builder, &list, llm_repeat(builder, llm_then(builder, llm_text(builder, ", "), item), n_least, n_more));
	}
	if (n_more == 0 && n_first < least)
		llm_schema_fail(compiler, place, "minItems is %d, but only %d items are allowed", least, n_first);
	return llm_sequence(builder, list.n_items, list.items);
}
