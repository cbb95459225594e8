/*
 * schema_rewrite.c
 *		"if" and "dependent..." as alternatives, and what made schemas consist of.
 */
#include "grammar/schema_rewrite.h"

#include <string.h>

static int	bucket_of(const LlmJson *schema);
static LlmJson *wrapped(LlmSchemaCompiler *compiler, const char *keyword, const LlmJson *schema);
static LlmJson *case_of(LlmSchemaCompiler *compiler, LlmJson *condition, const LlmJson *then);
static LlmJson *dependence(LlmSchemaCompiler *compiler, const LlmJson *dependent);
static const LlmJson **add_last(LlmJson *array, const LlmJson **link, LlmJson *child);

/* "if" and "then", or not "if" and "else". */
const LlmJson *
llm_schema_conditional(LlmSchemaCompiler *compiler, const LlmJson *schema)
{
	const LlmJson *condition = llm_keyword(schema, "if");
	const LlmJson *then = llm_keyword(schema, "then");
	const LlmJson *otherwise = llm_keyword(schema, "else");
	const LlmJson *known;
	LlmJson    *made;
	LlmJson    *cases;

	if (condition == NULL || (then == NULL && otherwise == NULL))
		return NULL;
	known = llm_rewrite_find(compiler, schema, condition);
	if (known != NULL)
		return known;
	cases = llm_made(compiler, LLM_JSON_ARRAY, condition);
	llm_made_push(cases, case_of(compiler, llm_made_not(compiler, condition), otherwise));
	llm_made_push(cases, case_of(compiler, llm_made_same(compiler, condition), then));
	made = llm_made(compiler, LLM_JSON_OBJECT, condition);
	llm_made_keyword(made, "anyOf", cases);
	return llm_rewrite_keep(compiler, schema, condition, made);
}

/* Of each name: there is no such property, or there is, and what depends on it holds. */
const LlmJson *
llm_schema_dependent(LlmSchemaCompiler *compiler, const LlmJson *schema, const char *keyword)
{
	const LlmJson *dependents = llm_keyword_checked(compiler, schema, keyword, LLM_JSON_OBJECT);
	const LlmJson *known;
	LlmJson    *made;
	LlmJson    *all;
	const LlmJson **link;

	if (dependents == NULL)
		return NULL;
	known = llm_rewrite_find(compiler, schema, dependents);
	if (known != NULL)
		return known;
	all = llm_made(compiler, LLM_JSON_ARRAY, dependents);
	/* in their order, which becomes that of the properties */
	link = &all->first;
	for (const LlmJson *dependent = dependents->first; dependent != NULL; dependent = dependent->next)
		link = add_last(all, link, dependence(compiler, dependent));
	made = llm_made(compiler, LLM_JSON_OBJECT, dependents);
	if (all->first != NULL)
		llm_made_keyword(made, "allOf", all);
	return llm_rewrite_keep(compiler, schema, dependents, made);
}

const LlmJson *
llm_schema_member_named(LlmSchemaCompiler *compiler, const LlmJson *member, const char *name, size_t length)
{
	const LlmJson *known = llm_rewrite_find(compiler, member, name);
	LlmJson    *made;

	if (known != NULL)
		return known;
	made = llm_made_property(compiler, name, length, llm_made_same(compiler, llm_keyword(member, "value")));
	llm_made_keyword(made, "required", llm_made_required(compiler, name, length, member));
	return llm_rewrite_keep(compiler, member, name, made);
}

LlmJson *
llm_made(LlmSchemaCompiler *compiler, LlmJsonKind kind, const LlmJson *place)
{
	LlmJson    *made = llm_builder_claim(compiler->builder, sizeof(LlmJson));

	made->kind = kind;
	made->made_of = place;
	return made;
}

LlmJson *
llm_made_text(LlmSchemaCompiler *compiler, const char *text, size_t length, const LlmJson *place)
{
	LlmJson    *made = llm_made(compiler, LLM_JSON_STRING, place);

	made->text = text;
	made->length = length;
	return made;
}

LlmJson *
llm_made_number(LlmSchemaCompiler *compiler, int value, const LlmJson *place)
{
	LlmJson    *made = llm_made(compiler, LLM_JSON_NUMBER, place);

	made->text = llm_builder_print(compiler->builder, "%d", value);
	made->length = strlen(made->text);
	return made;
}

LlmJson *
llm_made_copy(LlmSchemaCompiler *compiler, const LlmJson *value)
{
	LlmJson    *made = llm_made(compiler, value->kind, value);

	made->text = value->text;
	made->length = value->length;
	made->first = value->first;
	return made;
}

void
llm_made_put(LlmJson *object, const char *name, size_t length, LlmJson *child)
{
	child->name = name;
	child->name_length = length;
	llm_made_push(object, child);
}

void
llm_made_keyword(LlmJson *schema, const char *name, LlmJson *child)
{
	llm_made_put(schema, name, strlen(name), child);
}

void
llm_made_push(LlmJson *array, LlmJson *child)
{
	child->parent = array;
	child->next = array->first;
	array->first = child;
}

LlmJson *
llm_made_same(LlmSchemaCompiler *compiler, const LlmJson *schema)
{
	return wrapped(compiler, LLM_MADE_SAME, schema);
}

LlmJson *
llm_made_not(LlmSchemaCompiler *compiler, const LlmJson *schema)
{
	return wrapped(compiler, LLM_MADE_NOT, schema);
}

LlmJson *
llm_made_required(LlmSchemaCompiler *compiler, const char *name, size_t length, const LlmJson *place)
{
	LlmJson    *names = llm_made(compiler, LLM_JSON_ARRAY, place);

	llm_made_push(names, llm_made_text(compiler, name, length, place));
	return names;
}

LlmJson *
llm_made_property(LlmSchemaCompiler *compiler, const char *name, size_t length, LlmJson *schema)
{
	LlmJson    *made = llm_made(compiler, LLM_JSON_OBJECT, schema->made_of);
	LlmJson    *properties = llm_made(compiler, LLM_JSON_OBJECT, schema->made_of);

	llm_made_put(properties, name, length, schema);
	llm_made_keyword(made, "properties", properties);
	return made;
}

const LlmJson *
llm_rewrite_find(const LlmSchemaCompiler *compiler, const LlmJson *schema, const void *of)
{
	for (const LlmRewrite *rewrite = compiler->rewrites[bucket_of(schema)]; rewrite != NULL; rewrite = rewrite->next)
	{
		if (rewrite->schema == schema && rewrite->of == of)
			return rewrite->made;
	}
	return NULL;
}

const LlmJson *
llm_rewrite_keep(LlmSchemaCompiler *compiler, const LlmJson *schema, const void *of, const LlmJson *made)
{
	LlmRewrite *rewrite = llm_builder_claim(compiler->builder, sizeof(LlmRewrite));

	*rewrite = (LlmRewrite) {schema, of, made, compiler->rewrites[bucket_of(schema)]};
	compiler->rewrites[bucket_of(schema)] = rewrite;
	return made;
}

static int
bucket_of(const LlmJson *schema)
{
	uintptr_t	address = (uintptr_t) schema;

	return (int) ((address / sizeof(LlmJson) ^ address >> 16) % 256);
}

static LlmJson *
wrapped(LlmSchemaCompiler *compiler, const char *keyword, const LlmJson *schema)
{
	LlmJson    *made = llm_made(compiler, LLM_JSON_OBJECT, schema);
	LlmJson    *inside = llm_made(compiler, LLM_JSON_NULL, schema);

	inside->first = schema;
	llm_made_keyword(made, keyword, inside);
	return made;
}

static LlmJson *
case_of(LlmSchemaCompiler *compiler, LlmJson *condition, const LlmJson *then)
{
	LlmJson    *made = llm_made(compiler, LLM_JSON_OBJECT, then != NULL ? then : condition->made_of);
	LlmJson    *all = llm_made(compiler, LLM_JSON_ARRAY, made->made_of);

	if (then != NULL)
		llm_made_push(all, llm_made_same(compiler, then));
	llm_made_push(all, condition);
	llm_made_keyword(made, "allOf", all);
	return made;
}

/* An array of names that are required, or a schema ("dependencies" may have either). */
static LlmJson *
dependence(LlmSchemaCompiler *compiler, const LlmJson *dependent)
{
	LlmJson    *made = llm_made(compiler, LLM_JSON_OBJECT, dependent);
	LlmJson    *cases = llm_made(compiler, LLM_JSON_ARRAY, dependent);
	LlmJson    *with = llm_made(compiler, LLM_JSON_OBJECT, dependent);
	LlmJson    *names = llm_made(compiler, LLM_JSON_ARRAY, dependent);
	LlmJson    *all = llm_made(compiler, LLM_JSON_ARRAY, dependent);
	const LlmJson **link;

	link = add_last(names, &names->first, llm_made_text(compiler, dependent->name, dependent->name_length, dependent));
	if (dependent->kind == LLM_JSON_ARRAY)
	{
		for (const LlmJson *name = dependent->first; name != NULL; name = name->next)
			link = add_last(names, link, llm_made_copy(compiler, name));
	}
	else
	{
		llm_made_push(all, llm_made_same(compiler, dependent));
		llm_made_keyword(with, "allOf", all);
	}
	llm_made_keyword(with, "required", names);
	llm_made_push(cases, with);
	llm_made_push(cases, llm_made_property(compiler, dependent->name, dependent->name_length,
										   llm_made(compiler, LLM_JSON_FALSE, dependent)));
	llm_made_keyword(made, "anyOf", cases);
	return made;
}

/* Where the last child is linked; where the next one will be. */
static const LlmJson **
add_last(LlmJson *array, const LlmJson **link, LlmJson *child)
{
	child->parent = array;
	*link = child;
	return &child->next;
}
