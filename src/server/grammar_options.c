/*
 * grammar_options.c
 *		The options that say what a text may be, and grammars from SQL values.
 *
 * Grammars are made here, in the backend, so that an error has its place and costs nobody else anything; what goes to
 * the worker is the finished block.  JSON is parsed by PostgreSQL's jsonb, whose values become the plain tree
 * that the engine's side knows.
 */
#include "server/grammar_options.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "server/prompt.h"

static LlmGrammar *grammar_from_choices(const JsonbValue *value, LlmError *error);
static const LlmGrammar *keep_grammar(LlmGrammar *grammar, const char *what, const LlmError *error);
static void set_on_limit(const JsonbValue *value, Llama2Options *options);
static LlmJson *tree_of_value(const JsonbValue *value, const LlmJson *parent);
static void add_children(LlmJson *parent, JsonbContainer *container);
static const char *utf8_of_string(const JsonbValue *value, size_t *length);

void
Llama2ReadGrammarOption(const char *name, const JsonbValue *value, Llama2Options *options)
{
	Llama2ReadGrammarAs(name, name, value, options);
}

void
Llama2ReadGrammarAs(const char *name, const char *kind, const JsonbValue *value, Llama2Options *options)
{
	LlmError	error = {0};
	LlmGrammar *grammar;
	const char *source;
	size_t		length;

	if (strcmp(kind, "on_limit") == 0)
	{
		set_on_limit(value, options);
		return;
	}
	if (strcmp(kind, "json") == 0 && value->type == jbvBool && !value->val.boolean)
		return;
	if (options->grammar)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options \"%s\" and \"%s\" exclude each other", options->grammar_option, name)));
	options->grammar_option = name;
	if (strcmp(kind, "json_schema") == 0)
	{
		options->grammar = Llama2GrammarFromTree(Llama2JsonTree(value));
		return;
	}
	if (strcmp(kind, "json") == 0)
	{
		if (value->type != jbvBool)
			Llama2WrongOption(name, "true or false");
		grammar = llm_grammar_from_json(&error);
	}
	else if (strcmp(kind, "choices") == 0)
		grammar = grammar_from_choices(value, &error);
	else
	{
		if (value->type != jbvString)
			Llama2WrongOption(name, "a string");
		source = utf8_of_string(value, &length);
		grammar = strcmp(kind, "regex") == 0 ? llm_grammar_from_regex(source, length, &error) :
			llm_grammar_from_gbnf(source, length, &error);
	}
	options->grammar = keep_grammar(grammar, kind, &error);
}

const LlmGrammar *
Llama2GrammarFromTree(const LlmJson *schema)
{
	LlmError	error = {0};

	return keep_grammar(llm_grammar_from_schema(schema, &error), "json_schema", &error);
}

LlmJson *
Llama2JsonTree(const JsonbValue *value)
{
	return tree_of_value(value, NULL);
}

static LlmGrammar *
grammar_from_choices(const JsonbValue *value, LlmError *error)
{
	JsonbIterator *iterator;
	JsonbValue	item;
	const char **choices;
	size_t	   *lengths;
	int			n = 0;

	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
		Llama2WrongOption("choices", "an array of strings");
	choices = palloc(sizeof(char *) * (JsonContainerSize(value->val.binary.data) + 1));
	lengths = palloc(sizeof(size_t) * (JsonContainerSize(value->val.binary.data) + 1));
	iterator = JsonbIteratorInit(value->val.binary.data);
	(void) JsonbIteratorNext(&iterator, &item, true);
	while (JsonbIteratorNext(&iterator, &item, true) == WJB_ELEM)
	{
		if (item.type != jbvString)
			Llama2WrongOption("choices", "an array of strings");
		choices[n] = utf8_of_string(&item, &lengths[n]);
		n++;
	}
	return llm_grammar_from_choices(n, choices, lengths, error);
}

/* Move it to the caller's memory, or tell what is wrong. */
static const LlmGrammar *
keep_grammar(LlmGrammar *grammar, const char *what, const LlmError *error)
{
	LlmGrammar *kept;

	if (grammar == NULL)
		ereport(ERROR,
				(errcode(error->code == LLM_ERROR_OUT_OF_MEMORY ? ERRCODE_OUT_OF_MEMORY :
						 error->code == LLM_ERROR_LIMIT ? ERRCODE_PROGRAM_LIMIT_EXCEEDED :
						 ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid %s: %s", strcmp(what, "json_schema") == 0 ? "JSON schema" : what, error->message)));
	kept = palloc_extended(grammar->size, MCXT_ALLOC_NO_OOM);
	if (kept)
		memcpy(kept, grammar, grammar->size);
	free(grammar);
	if (kept == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	return kept;
}

static void
set_on_limit(const JsonbValue *value, Llama2Options *options)
{
	size_t		length = 0;
	const char *name = value->type == jbvString ? utf8_of_string(value, &length) : "";

	if (length == 5 && strncmp(name, "close", 5) == 0)
		options->on_limit = LLM_ON_LIMIT_CLOSE;
	else if (length == 5 && strncmp(name, "error", 5) == 0)
		options->on_limit = LLM_ON_LIMIT_ERROR;
	else
		Llama2WrongOption("on_limit", "\"close\" or \"error\"");
}

static LlmJson *
tree_of_value(const JsonbValue *value, const LlmJson *parent)
{
	LlmJson    *json = palloc0(sizeof(LlmJson));

	check_stack_depth();
	json->parent = parent;
	switch (value->type)
	{
		case jbvNull:
			json->kind = LLM_JSON_NULL;
			break;
		case jbvBool:
			json->kind = value->val.boolean ? LLM_JSON_TRUE : LLM_JSON_FALSE;
			break;
		case jbvNumeric:
			json->kind = LLM_JSON_NUMBER;
			json->text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
			json->length = strlen(json->text);
			break;
		case jbvString:
			json->kind = LLM_JSON_STRING;
			json->text = utf8_of_string(value, &json->length);
			break;
		case jbvBinary:
			json->kind = JsonContainerIsArray(value->val.binary.data) ? LLM_JSON_ARRAY : LLM_JSON_OBJECT;
			add_children(json, value->val.binary.data);
			break;
		default:
			elog(ERROR, "unexpected jsonb value type %d", (int) value->type);
	}
	return json;
}

static void
add_children(LlmJson *parent, JsonbContainer *container)
{
	JsonbIterator *iterator = JsonbIteratorInit(container);
	JsonbIteratorToken token;
	JsonbValue	value;
	const LlmJson **link = &parent->first;
	int			position = 0;

	(void) JsonbIteratorNext(&iterator, &value, true);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) == WJB_KEY || token == WJB_ELEM)
	{
		const char *name = NULL;
		size_t		name_length = 0;
		LlmJson    *child;

		if (token == WJB_KEY)
		{
			name = utf8_of_string(&value, &name_length);
			(void) JsonbIteratorNext(&iterator, &value, true);
		}
		child = tree_of_value(&value, parent);
		child->name = name;
		child->name_length = name_length;
		child->position = position++;
		*link = child;
		link = &child->next;
	}
}

static const char *
utf8_of_string(const JsonbValue *value, size_t *length)
{
	char	   *bytes = pnstrdup(value->val.string.val, value->val.string.len);
	char	   *utf8 = pg_server_to_any(bytes, value->val.string.len, PG_UTF8);

	*length = strlen(utf8);
	return utf8;
}
