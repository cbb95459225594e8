/*
 * fuzz_grammar.c
 *		Texts of grammars, regular expressions and schemas of any bytes, and what becomes of them.
 *
 * The first byte of an input says what it is.  What is accepted must be a sound block, and from its
 * start the shortest text must lead to an end; walking on with any bytes must never fail, whatever it is.
 */
#include <stdlib.h>
#include <string.h>

#include "../engine/json_tree_parse.h"
#include "engine/parse_states.h"
#define FUZZ_OWN_MAIN
#include "standalone.h"

static long n_accepted;

static void
require(bool condition)
{
	if (!condition)
		abort();
}

/* From the start byte by byte to the end, always nearer. */
static void
check_shortest(LlmParseStates *states)
{
	const LlmGrammar *grammar = llm_parse_states_grammar(states);
	LlmStateId	state = llm_parse_start(states);
	uint32_t	left = llm_parse_min_bytes(states, state);

	while (left > 0 && left < 5000)
	{
		LlmStateId	next = LLM_STATE_DEAD;

		for (uint32_t class = 0; class < grammar->n_classes && next < 0; class++)
		{
			next = llm_parse_step(states, state, grammar->example[class]);
			if (next == LLM_STATE_FAILED)
				return;
			if (next >= 0 && llm_parse_min_bytes(states, next) != left - 1)
				next = LLM_STATE_DEAD;
		}
		require(next >= 0);
		state = next;
		left--;
	}
	require(left > 0 || llm_parse_may_end(states, state));
}

static void
check_grammar(LlmGrammar *grammar, const uint8_t *data, size_t size)
{
	LlmParseStates *states;
	LlmStateId	state;

	require(llm_grammar_check(grammar, grammar->size));
	states = llm_parse_states_create(grammar);
	require(states != NULL && llm_parse_start(states) >= 0);
	check_shortest(states);
	state = llm_parse_start(states);
	for (size_t i = 0; i < 2 * size && state >= 0; i++)
	{
		/* mostly a byte that may come, so that the walk goes on */
		uint8_t		byte = data[i % size];
		LlmStateId	next = llm_parse_step(states, state, byte);

		for (uint32_t class = 0; class < grammar->n_classes && next == LLM_STATE_DEAD; class++)
			next = llm_parse_step(states, state, grammar->example[(class + byte) % grammar->n_classes]);
		require(next != LLM_STATE_DEAD || llm_parse_may_end(states, state));
		state = next;
		if (llm_parse_states_bytes(states) > (size_t) 8 << 20)
			break;
	}
	llm_parse_states_free(states);
	free(grammar);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	LlmError	error = {0};
	JsonArena	arena = {0};
	LlmGrammar *grammar = NULL;
	const char *text = (const char *) data + 1;
	const LlmJson *schema;

	if (size < 2)
		return 0;
	switch (data[0] % 3)
	{
		case 0:
			grammar = llm_grammar_from_gbnf(text, size - 1, &error);
			break;
		case 1:
			grammar = llm_grammar_from_regex(text, size - 1, &error);
			break;
		default:
			{
				/* the parser of the tests wants an end to look at */
				char	   *copy = calloc(1, size);

				require(copy != NULL);
				memcpy(copy, text, size - 1);
				schema = json_parse(&arena, copy, size - 1);
				if (schema != NULL)
					grammar = llm_grammar_from_schema(schema, &error);
				else
					error.message[0] = '-';
				free(copy);
			}
	}
	require((grammar != NULL) == (error.message[0] == '\0'));
	n_accepted += grammar != NULL;
	if (grammar != NULL)
		check_grammar(grammar, data, size);
	free(arena.bytes);
	return 0;
}

#define N_WORDS 40

/* Bits of the three languages one after another, so that many of them are valid. */
static size_t
make_input(uint64_t *state, uint8_t *data)
{
	static const char *const words[3][N_WORDS] = {
		{"root ::= ", "\n", "a ::= ", "b ::= ", "a ", "b ", "root ", "\"x\" ", "\"yz\" ", "[a-z] ", "[^\"] ", "( ", ") ", "| ", "* ", "+ ", "? ", "{2} ", "{0,3} ", "{1,} ", ". ",
		"\"\\n\" ", "[\\x80-\\uFFFF] ", "# c\n", "\"\" ", "{9999} ", "\xC3\xA9", "[", "\"", "\\", "-", "^"},
		{"a", "b", "[a-c]", "[^x]", "(", ")", "|", "*", "+", "?", "{2}", "{0,3}", "{1,}", ".", "\\d", "\\W", "\\S", "(?:", "^", "$", "\xE2\x82\xAC", "[[:alpha:]]", "\\x41", "{99}", "\\", "]", "-",
		"[]", "\\u00e9", "()", "{1000}", "x"},
		{"{", "}", "[", "]", ",", ":", "\"type\":", "\"object\"", "\"string\"", "\"integer\"", "\"properties\":", "\"a\":", "\"required\":[\"a\"]", "\"items\":", "\"anyOf\":[", "\"allOf\":[",
			"\"$ref\":\"#\"", "\"$ref\":\"#/properties/a\"", "\"minimum\":1.5", "\"maximum\":", "-3", "10", "\"pattern\":\"^a*b$\"", "\"maxLength\":3", "\"enum\":[1,\"x\"]", "\"const\":null", "true", "false",
			"\"additionalProperties\":", "\"minItems\":2", "\"oneOf\":[", "\"format\":\"date\"", "\"not\":", "\"if\":", "\"then\":", "\"uniqueItems\":true", "\"contains\":", "\"patternProperties\":{\"^a\":", "\"minProperties\":2",
		"\"multipleOf\":"}
	};
	uint32_t	language = fuzz_random(state) % 3;
	size_t		size = 0;
	uint32_t	n = 1 + fuzz_random(state) % 40;

	data[size++] = (uint8_t) language;
	if (language == 0)
	{
		memcpy(data + size, "root ::= ", 9);
		size += 9;
	}
	for (uint32_t i = 0; i < n && size < FUZZ_LONGEST_INPUT - 64; i++)
	{
		const char *word = words[language][fuzz_random(state) % (language == 2 ? N_WORDS : 32)];

		memcpy(data + size, word, strlen(word));
		size += strlen(word);
	}
	/* a byte of any value now and then */
	if (fuzz_random(state) % 4 == 0)
		data[fuzz_random(state) % size] = (uint8_t) fuzz_random(state);
	return size;
}

/* A schema from its beginning to its end, closed by what it opened. */
static size_t
make_schema(uint64_t *state, uint8_t *data, int depth)
{
	static const char *const scalars[] = {
		"true", "{}", "{\"type\":\"string\"}", "{\"type\":[\"integer\",\"null\"],\"minimum\":-3,\"maximum\":12.5}", "{\"$ref\":\"#\"}", "{\"const\":[1,{\"b\":2}]}", "{\"enum\":[\"x\",2,null]}",
		"{\"type\":\"number\",\"exclusiveMinimum\":0.25,\"multipleOf\":0.01}", "{\"pattern\":\"^(ab|c)*$\",\"maxLength\":7}", "{\"format\":\"time\"}", "false", "{\"$ref\":\"#/properties/a\"}",
		"{\"minLength\":2,\"maxLength\":1}", "{\"type\":\"boolean\"}"
	};
	static const char *const forms[] = {
		"{\"type\":\"object\",\"properties\":{\"a\":@,\"b\":@},\"required\":[\"a\"]}", "{\"anyOf\":[@,@]}", "{\"oneOf\":[@,@]}", "{\"allOf\":[@,@]}", "{\"type\":\"array\",\"items\":@,\"minItems\":1}",
		"{\"prefixItems\":[@],\"items\":@}", "{\"properties\":{\"a\":@},\"additionalProperties\":@}",
		"{\"not\":@}", "{\"if\":@,\"then\":@,\"else\":@}", "{\"type\":\"array\",\"contains\":@,\"maxContains\":2,\"items\":@}", "{\"items\":@,\"uniqueItems\":true}",
		"{\"type\":\"object\",\"patternProperties\":{\"a\":@,\"^b\":@},\"additionalProperties\":@,\"maxProperties\":3}", "{\"propertyNames\":@,\"minProperties\":1,\"additionalProperties\":@}",
		"{\"properties\":{\"a\":@,\"b\":@},\"dependentRequired\":{\"a\":[\"b\"]},\"dependentSchemas\":{\"b\":@}}", "{\"type\":\"integer\",\"multipleOf\":7,\"not\":@}"
	};
	const char *form = depth > 0 && fuzz_random(state) % 4 ? forms[fuzz_random(state) % (sizeof(forms) / sizeof(forms[0]))] : scalars[fuzz_random(state) % 14];
	size_t		size = 0;

	for (; *form != '\0'; form++)
	{
		if (*form == '@')
			size += make_schema(state, data + size, depth - 1);
		else
			data[size++] = (uint8_t) *form;
	}
	return size;
}

__attribute__((weak))
int
main(int argc, char **argv)
{
	static uint8_t data[65536];
	const char *runs = getenv("FUZZ_RUNS");
	long		n_runs = runs != NULL ? strtol(runs, NULL, 10) : 20000;
	uint64_t	state = 88172645463325252;

	for (int i = 1; i < argc; i++)
		ok(fuzz_file(argv[i]), "%s", argv[i]);
	if (argc == 1)
	{
		for (long run = 0; run < n_runs; run++)
		{
			size_t		size;

			if (run % 4 == 3)
			{
				data[0] = 2;
				size = 1 + make_schema(&state, data + 1, 4);
			}
			else
				size = make_input(&state, data);
			fuzz_one(data, size);
		}
		ok(n_accepted > n_runs / 20, "%ld random inputs, %ld of them accepted", n_runs, n_accepted);
	}
	return done_testing();
}
