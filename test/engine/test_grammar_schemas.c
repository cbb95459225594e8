/*
 * test_grammar_schemas.c
 *		Random JSON schemas: every text, however early it ends, is valid by a validator of its own.
 */
#include <locale.h>

#include "constrained_text.h"
#include "schema_validator.h"

#define N_SCHEMAS 2000

static const char *const names[] = {"a", "b", "id", "name", "a b", "x\\\"y", "\xC3\xA9t\xC3\xA9", "value", "list", "n1", "n2", "\\\\", "abc"};

#define N_NAMES ((int) (sizeof(names) / sizeof(names[0])))

static void put_schema(Writer *writer, int depth);

static void
put_number(Writer *writer, bool integer)
{
	static const char *const lows[] = {"-1000", "-17", "-9.5", "-1", "-0.25", "0", "0.001", "3", "9.99", "10", "42", "999", "123456789"};
	static const char *const highs[] = {"123456789.5", "1000", "999.999", "101", "100", "43", "17.25", "12", "11", "10.5"};
	static const char *const steps[] = {"3", "0.25", "7", "15", "100", "2.5", "0.02", "10", "36"};
	static const char *const words[] = {"minimum", "maximum", "const", "multipleOf"};
	uint32_t	low = dice(writer, 13);

	put(writer, "{\"type\": \"%s\"", integer ? "integer" : "number");
	if (dice(writer, 2))
		put(writer, ", \"%s\": %s", dice(writer, 3) ? "minimum" : "exclusiveMinimum", lows[low]);
	if (dice(writer, 2))
		put(writer, ", \"%s\": %s", dice(writer, 3) ? "maximum" : "exclusiveMaximum", highs[low > 10 ? 0 : dice(writer, low > 8 ? 6 : 10)]);
	if (!integer && dice(writer, 4) == 0)
		put(writer, ", \"multipleOf\": %s", dice(writer, 2) ? "0.01" : "0.1");
	else if (dice(writer, 4) == 0)
		put(writer, ", \"multipleOf\": %s", steps[dice(writer, 9)]);
	if (dice(writer, 8) == 0)
		put(writer, ", \"not\": {\"%s\": %s}", words[dice(writer, 4)], steps[dice(writer, 9)]);
	put(writer, "}");
}

static void
put_string(Writer *writer)
{
	/* the same in our dialect and in POSIX's */
	static const char *const patterns[] = {
		"^[a-z]{2,5}$", "[0-9]", "^(foo|bar)+$", "^[A-Z][a-z]*( [A-Z][a-z]*)?$", "^[^a-z]*$", "a.c", "^x?y*z+$", "^$|^-$", "\\\"|b", "^[0-9]{3}-[0-9]{4}$"
	};
	static const char *const formats[] = {"date", "time", "date-time", "uuid", "ipv4", "email"};
	uint32_t	kind = dice(writer, 4);

	put(writer, "{\"type\": \"string\"");
	if (kind == 0)
		put(writer, ", \"pattern\": \"%s\"", patterns[dice(writer, 10)]);
	else if (kind == 1)
		put(writer, ", \"format\": \"%s\"", formats[dice(writer, 6)]);
	else if (kind == 2)
		put(writer, ", \"minLength\": %u, \"maxLength\": %u", dice(writer, 4), 4 + dice(writer, 20));
	if (kind == 0 && dice(writer, 3) == 0)
		put(writer, ", \"maxLength\": %u", 8 + dice(writer, 9));
	if (dice(writer, 8) == 0)
		put(writer, ", \"not\": {\"pattern\": \"%s\"}", patterns[dice(writer, 10)]);
	else if (dice(writer, 8) == 0)
		put(writer, ", \"not\": {\"format\": \"%s\"}", formats[dice(writer, 6)]);
	put(writer, "}");
}

static void
put_value(Writer *writer, int depth)
{
	static const char *const values[] = {"null", "true", "-12.5", "0", "\"\"", "\"yes\"", "\"a\\\"b\\n\"", "\"\xE2\x82\xAC\"", "[]", "{}"};

	if (depth > 0 && dice(writer, 6) == 0)
	{
		put(writer, "[");
		put_value(writer, depth - 1);
		put(writer, ", {\"k\": ");
		put_value(writer, depth - 1);
		put(writer, "}]");
	}
	else
		put(writer, "%s", values[dice(writer, 10)]);
}

static void
put_array(Writer *writer, int depth)
{
	put(writer, "{\"type\": \"array\"");
	if (dice(writer, 6) == 0)
	{
		put(writer, ", \"items\": {\"enum\": [1, 1.0, \"a\", null, [2], {\"b\": 1}%s]}, \"uniqueItems\": true", dice(writer, 2) ? ", 4, 5, 6, 7, 8, \"x\"" : "");
		put(writer, ", \"minItems\": %u, \"maxItems\": %u}", dice(writer, 3), 2 + dice(writer, 3));
		return;
	}
	if (dice(writer, 4) == 0)
	{
		put(writer, ", \"contains\": ");
		put_schema(writer, depth > 1 ? 1 : 0);
		if (dice(writer, 2))
			put(writer, ", \"minContains\": %u", dice(writer, 3));
		if (dice(writer, 3) == 0)
			put(writer, ", \"maxContains\": %u", 2 + dice(writer, 2));
	}
	if (dice(writer, 4) == 0)
	{
		put(writer, ", \"prefixItems\": [");
		put_schema(writer, depth - 1);
		put(writer, ", ");
		put_schema(writer, depth - 1);
		put(writer, "]");
	}
	if (dice(writer, 4))
	{
		put(writer, ", \"items\": ");
		put_schema(writer, depth - 1);
	}
	if (dice(writer, 3) == 0)
		put(writer, ", \"minItems\": %u", dice(writer, 3));
	if (dice(writer, 2) == 0)
		put(writer, ", \"maxItems\": %u", 2 + dice(writer, 4));
	put(writer, "}");
}

/* With the members' names from `first` on; "type" and braces are the caller's. */
static void
put_members(Writer *writer, int depth, int first, bool closed)
{
	int			n = 1 + (int) dice(writer, 4);
	bool		some = false;

	put(writer, "\"properties\": {");
	for (int i = 0; i < n; i++)
	{
		put(writer, "%s\"%s\": ", i > 0 ? ", " : "", names[(first + i) % N_NAMES]);
		put_schema(writer, depth - 1);
	}
	put(writer, "}, \"required\": [");
	for (int i = 0; i < n; i++)
	{
		if (dice(writer, 2))
		{
			put(writer, "%s\"%s\"", some ? ", " : "", names[(first + i) % N_NAMES]);
			some = true;
		}
	}
	put(writer, "]");
	if (closed && dice(writer, 3) == 0)
		put(writer, ", \"additionalProperties\": false");
	else if (closed && dice(writer, 3) == 0)
	{
		put(writer, ", \"additionalProperties\": ");
		put_schema(writer, depth > 1 ? 1 : 0);
	}
}

/* More about the members, whose names are those from `first` on. */
static void
put_rules(Writer *writer, int depth, int first)
{
	static const char *const keys[] = {"^[a-z]", "x", "^n[0-9]$", "e$", "^p_"};
	const char *one = names[first % N_NAMES];
	const char *two = names[(first + 1) % N_NAMES];

	switch (dice(writer, 9))
	{
		case 0:
			put(writer, ", \"minProperties\": %u", 1 + dice(writer, 2));
			break;
		case 1:
			put(writer, ", \"maxProperties\": %u", 2 + dice(writer, 3));
			break;
		case 2:
			put(writer, ", \"patternProperties\": {\"%s\": ", keys[dice(writer, 2) ? 4 : (int) dice(writer, 2)]);
			put_schema(writer, depth > 1 ? 1 : 0);
			put(writer, ", \"%s\": ", keys[2 + dice(writer, 2)]);
			put_schema(writer, 0);
			put(writer, "}");
			break;
		case 3:
			put(writer, ", \"propertyNames\": {\"not\": {\"pattern\": \"%s\"}}", keys[1 + dice(writer, 3)]);
			break;
		case 4:
			put(writer, ", \"propertyNames\": {\"enum\": [\"%s\", \"%s\", \"k\"]}", one, two);
			break;
		case 5:
			put(writer, ", \"dependentRequired\": {\"%s\": [\"%s\"]}", one, two);
			break;
		case 6:
			put(writer, ", \"dependentSchemas\": {\"%s\": {\"properties\": {\"%s\": ", one, two);
			put_schema(writer, 0);
			put(writer, "}}}");
			break;
		case 7:
			put(writer, ", \"not\": {");
			put_members(writer, depth > 1 ? 1 : 0, first, true);
			put(writer, "}");
			break;
		default:
			put(writer, ", \"if\": {\"required\": [\"%s\"], \"properties\": {\"%s\": ", one, one);
			put_schema(writer, depth > 1 ? 1 : 0);
			put(writer, "}}, \"%s\": {\"properties\": {\"%s\": ", dice(writer, 2) ? "then" : "else", two);
			put_schema(writer, 0);
			put(writer, "}}");
	}
}

static void
put_alternatives(Writer *writer, int depth)
{
	uint32_t	kind = dice(writer, 4);

	if (kind == 0)
	{
		/* which may overlap */
		put(writer, "{\"oneOf\": [");
		put_schema(writer, depth > 2 ? 2 : depth - 1);
		put(writer, ", ");
		put_schema(writer, depth > 2 ? 2 : depth - 1);
		put(writer, "]}");
	}
	else if (kind == 1)
	{
		put(writer, "{\"type\": [\"object\", \"array\", \"integer\", \"boolean\"], \"not\": ");
		put_schema(writer, depth > 2 ? 2 : depth - 1);
		put(writer, "}");
	}
	else if (kind == 2)
	{
		put(writer, "{\"anyOf\": [");
		put_schema(writer, depth - 1);
		put(writer, ", ");
		put_schema(writer, depth - 1);
		put(writer, "]}");
	}
	else
	{
		put(writer, "{\"type\": \"object\", \"oneOf\": [");
		for (int i = 0; i < 3; i++)
		{
			put(writer, "%s{\"properties\": {\"kind\": {\"const\": \"k%d\"}, \"v\": ", i > 0 ? ", " : "", i);
			put_schema(writer, depth - 1);
			put(writer, "}, \"required\": [\"kind\"%s]}", dice(writer, 2) ? ", \"v\"" : "");
		}
		put(writer, "]}");
	}
}

static void
put_schema(Writer *writer, int depth)
{
	uint32_t	kind = dice(writer, depth > 0 ? 14 : 8);

	switch (kind)
	{
		case 0:
			put(writer, "{\"type\": %s}", dice(writer, 2) ? "\"boolean\"" : "[\"null\", \"integer\", \"boolean\"]");
			break;
		case 1:
		case 2:
			put_number(writer, kind == 1);
			break;
		case 3:
		case 4:
			put_string(writer);
			break;
		case 5:
			put(writer, "{\"enum\": [");
			put_value(writer, 1);
			put(writer, ", ");
			put_value(writer, 1);
			put(writer, ", \"other\"]}");
			break;
		case 6:
			put(writer, "{\"const\": ");
			put_value(writer, 1);
			put(writer, "}");
			break;
		case 7:
			put(writer, dice(writer, 4) ? "{\"type\": \"string\"}" : dice(writer, 2) ? "{}" : "true");
			break;
		case 8:
		case 9:
			put_array(writer, depth);
			break;
		case 10:
			put_alternatives(writer, depth);
			break;
		case 11:
			put(writer, "{\"anyOf\": [{\"type\": \"null\"}, {\"$ref\": \"#/$defs/d%u\"}]}", dice(writer, 2));
			break;
		default:
			put(writer, "{\"type\": \"object\", ");
			if (dice(writer, 6) == 0)
			{
				put(writer, "\"allOf\": [{");
				put_members(writer, depth - 1, 0, false);
				put(writer, "}, {");
				put_members(writer, depth - 1, 5, false);
				put(writer, "}]");
			}
			else
			{
				int			first = (int) dice(writer, (uint32_t) N_NAMES);

				put_members(writer, depth, first, true);
				if (dice(writer, 3))
					put_rules(writer, depth, first);
			}
			put(writer, "}");
	}
}

/* A schema with two definitions, which may refer to themselves and each other. */
static void
put_root(Writer *writer)
{
	int			first = (int) dice(writer, (uint32_t) N_NAMES);

	writer->length = 0;
	put(writer, "{\"$defs\": {\"d0\": {\"type\": \"object\", ");
	put_members(writer, 2, 0, true);
	put(writer, "}, \"d1\": ");
	put_array(writer, 2);
	put(writer, "}, \"allOf\": [");
	if (dice(writer, 3))
		put_schema(writer, 4);
	else
	{
		put(writer, "{\"type\": \"object\", ");
		put_members(writer, 4, first, true);
		put_rules(writer, 3, first);
		put(writer, "}");
	}
	put(writer, "]}");
}

/* A schema without those definitions that nothing refers to. */
static void
used_part(const char *text, char *used)
{
	const char *places[4] = {strstr(text, "\"d0\": "), strstr(text, "\"d1\": "), strstr(text, "}, \"allOf\": ["), text + strlen(text)};
	bool		is_used[2] = {false, false};

	strcpy(used, places[2]);
	for (int i = 0; i < 4; i++)
	{
		int			which = i % 2;

		if (is_used[which] || strstr(used, which == 0 ? "#/$defs/d0" : "#/$defs/d1") == NULL)
			continue;
		is_used[which] = true;
		strncat(used, places[which], (size_t) (places[which + 1] - places[which]));
	}
}

/* The keywords that must have come, and how often a schema that was accepted had them. */
static const char *const keywords[] = {
	"\"not\"", "\"if\"", "\"then\"", "\"else\"", "\"oneOf\"", "\"anyOf\"", "\"allOf\"", "\"patternProperties\"", "\"propertyNames\"", "\"minProperties\"",
	"\"maxProperties\"", "\"dependentRequired\"", "\"dependentSchemas\"", "\"additionalProperties\"", "\"prefixItems\"", "\"contains\"", "\"minContains\"",
	"\"maxContains\"", "\"uniqueItems\"", "\"multipleOf\"", "\"const\"", "\"enum\"", "\"pattern\"", "\"format\"", "\"$ref\""
};

#define N_KEYWORDS ((int) (sizeof(keywords) / sizeof(keywords[0])))

typedef struct Outcome
{
	int			seen[N_KEYWORDS];
	int			accepted;
	int			refused;
	int			texts;
	int			closed;
	int			incomplete;
	int			too_short;
	int			wrong;
} Outcome;

static void
check_text(const LlmJson *schema, const char *source, const ConstrainedText *made, LlmOnLimit on_limit, Outcome *outcome)
{
	JsonArena	arena = {0};
	const LlmJson *value;

	outcome->texts += made->begun;
	outcome->too_short += !made->begun;
	outcome->closed += made->closed;
	if (!made->begun || !made->complete)
	{
		/* incomplete is told, and only where it was asked for */
		outcome->incomplete += made->begun;
		outcome->wrong += made->begun && on_limit == LLM_ON_LIMIT_CLOSE;
		return;
	}
	value = json_parse(&arena, made->text, made->length);
	if (value == NULL || !is_valid(schema, schema, value))
	{
		diag("%s: %.2000s", value == NULL ? "not JSON" : "not valid", source);
		diag("text: %.*s", (int) made->length, made->text);
		outcome->wrong++;
	}
	free(arena.bytes);
}

static void
test_schemas(const LlmVocabulary *vocabulary, const char *label, int first, int n)
{
	LlmConstraints *constraints = llm_constraints_create(vocabulary, 0);
	ConstrainedText *made = malloc(sizeof(ConstrainedText));
	Writer	   *writer = malloc(sizeof(Writer));
	char	   *used = malloc(sizeof(writer->text));
	Outcome		outcome = {0};
	int			rarest = n;

	/* so many that can be met; others must be refused, with the place */
	for (int i = first; i < first + 2 * n && outcome.accepted < n; i++)
	{
		JsonArena	arena = {0};
		LlmError	error = {0};
		const LlmJson *schema;
		LlmGrammar *grammar;

		writer->random = 88172645463325252 + (uint64_t) i * 7919;
		put_root(writer);
		schema = json_parse(&arena, writer->text, (size_t) writer->length);
		if (schema == NULL)
			diag("the generator wrote no JSON: %s", writer->text);
		grammar = schema != NULL ? llm_grammar_from_schema(schema, &error) : NULL;
		if (grammar == NULL)
		{
			outcome.refused++;
			outcome.wrong += schema == NULL || strncmp(error.message, "at \"#", 5) != 0;
			if (strncmp(error.message, "at \"#", 5) != 0)
				diag("%s: %.1000s", error.message, writer->text);
			if (getenv("SHOW_REFUSED") != NULL)
				diag("%s", error.message);
		}
		outcome.accepted += grammar != NULL;
		used_part(writer->text, used);
		for (int k = 0; grammar != NULL && k < N_KEYWORDS; k++)
			outcome.seen[k] += strstr(used, keywords[k]) != NULL;
		for (int run = 0; grammar != NULL && run < 4; run++)
		{
			LlmOnLimit	on_limit = run == 3 ? LLM_ON_LIMIT_ERROR : LLM_ON_LIMIT_CLOSE;
			int32_t		max_tokens = run == 0 ? 400 : 1 + (int32_t) dice(writer, run == 1 ? 20 : 120);

			if (!constrained_text(constraints, vocabulary, grammar, max_tokens, on_limit, &writer->random, made))
			{
				diag("%.2000s", writer->text);
				outcome.wrong++;
			}
			else
				check_text(schema, writer->text, made, on_limit, &outcome);
		}
		free(grammar);
		free(arena.bytes);
	}
	for (int k = 0; k < N_KEYWORDS; k++)
	{
		if (outcome.seen[k] < rarest)
			rarest = outcome.seen[k];
	}
	ok(rarest >= n / 100, "%s: each of %d keywords is in %d schemas or more", label, N_KEYWORDS, rarest);
	ok(outcome.wrong == 0 && outcome.accepted == n && outcome.closed > n / 10 && outcome.incomplete > n / 50 && outcome.refused < n / 5,
	   "%s: %d schemas, %d texts (%d closed early, %d told to be incomplete), %d limits refused, %d schemas refused, %d wrong",
	   label, n, outcome.texts, outcome.closed, outcome.incomplete, outcome.too_short, outcome.refused, outcome.wrong);
	free(used);
	free(writer);
	free(made);
	llm_constraints_free(constraints);
}

/* Where everything is forgotten all the time the texts are the same. */
static void
test_forgetting(const LlmVocabulary *vocabulary, int n)
{
	LlmConstraints *constraints[2] = {llm_constraints_create(vocabulary, 0), llm_constraints_create(vocabulary, 30000)};
	ConstrainedText *made[2] = {malloc(sizeof(ConstrainedText)), malloc(sizeof(ConstrainedText))};
	Writer	   *writer = malloc(sizeof(Writer));
	int			n_texts = 0;
	int			n_same = 0;

	for (int i = 0; i < n; i++)
	{
		JsonArena	arena = {0};
		LlmError	error = {0};
		LlmGrammar *grammar;

		writer->random = 1234567 + (uint64_t) i * 104729;
		put_root(writer);
		grammar = llm_grammar_from_schema(json_parse(&arena, writer->text, (size_t) writer->length), &error);
		for (int run = 0; grammar != NULL && run < 3; run++)
		{
			for (int k = 0; k < 2; k++)
			{
				uint64_t	random = 99 + (uint64_t) (3 * i + run) * 7919;

				if (!constrained_text(constraints[k], vocabulary, grammar, 150, LLM_ON_LIMIT_CLOSE, &random, made[k]))
					diag("%.1000s", writer->text);
			}
			n_texts++;
			n_same += made[0]->length == made[1]->length && made[0]->begun == made[1]->begun &&
				memcmp(made[0]->text, made[1]->text, made[0]->length) == 0;
		}
		free(grammar);
		free(arena.bytes);
	}
	ok(n_same == n_texts && n_texts > 2 * n && llm_constraints_bytes(constraints[0]) > 10 * llm_constraints_bytes(constraints[1]),
	   "%d of %d texts are the same in %zu KB and in %zu KB", n_same, n_texts, llm_constraints_bytes(constraints[0]) / 1024,
	   llm_constraints_bytes(constraints[1]) / 1024);
	for (int k = 0; k < 2; k++)
	{
		llm_constraints_free(constraints[k]);
		free(made[k]);
	}
	free(writer);
}

int
main(void)
{
	LlmVocabulary *vocabulary = json_vocabulary();

	/* where "." is a character, for the validator's regular expressions */
	if (setlocale(LC_CTYPE, "C.UTF-8") == NULL)
		diag("no locale C.UTF-8");
	test_schemas(vocabulary, "a small vocabulary", 0, N_SCHEMAS);
	test_forgetting(vocabulary, 100);
	free(vocabulary);
	vocabulary = vocabulary_from_fixture("vocab-llama2.gguf");
	if (vocabulary == NULL)
		skip("the fixtures are not here");
	else
		test_schemas(vocabulary, "Llama 2's vocabulary", N_SCHEMAS, 100);
	free(vocabulary);
	return done_testing();
}
