/*
 * test_grammar_keywords.c
 *		The keywords of JSON schemas that are not about one value alone: what must not hold, what depends on something else, what
 *		is counted.
 */
#include "grammar_allows.h"
#include "schema_validator.h"

/* Schemas with ' for ". */
static char *
quoted(const char *text)
{
	char	   *copy = strdup(text);

	for (char *at = copy; *at != '\0'; at++)
		*at = *at == '\'' ? '"' : *at;
	return copy;
}

/* How many of the texts are valid by the validator of the random schemas. */
static int
count_valid(const char *schema, const char *const *texts)
{
	JsonArena	arena = {0};
	const LlmJson *root = json_parse(&arena, schema, strlen(schema));
	int			n = 0;

	for (; root != NULL && *texts != NULL; texts++)
	{
		const LlmJson *value = json_parse(&arena, *texts, strlen(*texts));

		n += value != NULL && is_valid(root, root, value);
	}
	free(arena.bytes);
	return n;
}

static void
check_schema(const char *schema, const char *const *yes, const char *const *no)
{
	char	   *text = quoted(schema);
	const char *lists[2][32] = {{NULL}, {NULL}};
	int			n_texts[2];

	for (int i = 0; i < 2; i++)
	{
		int			n = 0;

		for (const char *const *at = i == 0 ? yes : no; *at != NULL; at++)
			lists[i][n++] = quoted(*at);
		lists[i][n] = NULL;
		n_texts[i] = n;
	}
	check(SCHEMA, text, lists[0], lists[1]);
	ok(count_valid(text, lists[0]) == n_texts[0] && count_valid(text, lists[1]) < n_texts[1], "the validator agrees");
	for (int i = 0; i < 2; i++)
	{
		for (int n = 0; lists[i][n] != NULL; n++)
			free((char *) lists[i][n]);
	}
	free(text);
}

static void
check_refused(const char *schema, const char *message)
{
	char	   *text = quoted(schema);
	char	   *expected = quoted(message);

	check_error(SCHEMA, text, expected);
	free(text);
	free(expected);
}

static void
test_not(void)
{
	check_schema("{'type': ['string', 'integer'], 'not': {'type': 'string'}}", YES("1", "-5"), NO("'a'", "1.5"));
	check_schema("{'not': {'type': ['object', 'array', 'string']}}", YES("1", "1.5", "null", "true"), NO("{}", "[]", "''"));
	check_schema("{'type': 'number', 'not': {'type': 'integer'}}", YES("1.5", "-0.25"), NO("1", "1.0", "-2.00"));
	check_schema("{'type': 'string', 'not': {'pattern': '^a'}}", YES("''", "'ba'", "'\\n'"), NO("'a'", "'ab'"));
	check_schema("{'type': 'string', 'not': {'minLength': 2, 'maxLength': 3}}", YES("''", "'a'", "'abcd'"), NO("'ab'", "'abc'"));
	check_schema("{'type': 'string', 'maxLength': 10, 'not': {'format': 'date'}}", YES("''", "'2024'", "'x'"), NO("'2024-02-28'", "'2024-02-29'"));
	check_schema("{'type': 'integer', 'not': {'minimum': 3, 'maximum': 5}}", YES("2", "6", "-3", "60"), NO("3", "4", "5"));
	check_schema("{'type': 'integer', 'minimum': 0, 'not': {'enum': [0, 2, 'x', 10.0]}}", YES("1", "3", "20", "100"), NO("0", "2", "10"));
	check_schema("{'type': 'number', 'minimum': 0, 'not': {'const': 1.5}}", YES("1", "1.51", "15"), NO("1.5", "1.50"));
	check_schema("{'enum': ['a', 'b', 1, null], 'not': {'enum': ['b', null]}}", YES("'a'", "1"), NO("'b'", "null"));
	check_schema("{'type': 'boolean', 'not': {'const': true}}", YES("false"), NO("true"));
	check_schema("{'type': ['null', 'boolean'], 'not': {'enum': [null, false]}}", YES("true"), NO("false", "null"));
	check_schema("{'not': {'not': {'type': 'integer', 'minimum': 7}}}", YES("7", "8"), NO("6", "'a'"));
	check_schema("{'type': 'integer', 'not': {'anyOf': [{'maximum': 0}, {'const': 5}, {'minimum': 10}]}}", YES("1", "9"), NO("0", "5", "10"));
	check_schema("{'type': 'integer', 'not': {'allOf': [{'minimum': 3}, {'maximum': 7}]}}", YES("2", "8"), NO("3", "7"));
	check_schema("{'type': 'integer', 'not': {'oneOf': [{'minimum': 3}, {'maximum': 7}]}}", YES("3", "5", "7"), NO("2", "8"));
	check_schema("{'type': 'integer', 'not': {'multipleOf': 2}}", YES("1", "-3", "101"), NO("0", "2", "100"));
	check_schema("{'$defs': {'even': {'multipleOf': 2}}, 'type': 'integer', 'not': {'$ref': '#/$defs/even'}}", YES("1"), NO("2"));
	check_schema("{'type': 'array', 'not': {'items': {'type': 'integer'}}}", YES("['a']", "[1, null]", "[1, 2, 'x', 3]"), NO("[]", "[1, 2]"));
	check_schema("{'type': 'array', 'items': {'type': 'integer'}, 'not': {'prefixItems': [{'const': 1}, {'const': 2}]}}", YES("[2]", "[1, 1]", "[2, 2, 3]"), NO("[]", "[1]", "[1, 2, 3]"));
	check_schema("{'type': 'array', 'items': {'enum': [1, 2]}, 'not': {'const': [1, 2]}}", YES("[]", "[1]", "[2, 1]", "[1, 2, 1]"), NO("[1, 2]"));
	check_schema("{'type': 'array', 'items': {'enum': [1, 2]}, 'not': {'contains': {'const': 2}}}", YES("[]", "[1, 1]"), NO("[2]", "[1, 2]"));
	check_schema("{'type': 'array', 'items': {'enum': [1, 2]}, 'not': {'minItems': 1, 'maxItems': 2}}", YES("[]", "[1, 1, 2]"), NO("[1]", "[1, 2]"));
	check_schema("{'type': 'object', 'properties': {'a': {'enum': [1, 2]}, 'b': {}}, 'not': {'required': ['a']}}", YES("{}", "{'b': 1}"), NO("{'a': 1}"));
	check_schema("{'type': 'object', 'not': {'required': ['a']}}", YES("{}", "{'b': 1}", "{'aa': 1}"), NO("{'a': 1}"));
	check_schema("{'type': 'object', 'properties': {'a': {'enum': [1, 2]}}, 'not': {'properties': {'a': {'const': 1}}}}", YES("{'a': 2}"), NO("{}", "{'a': 1}"));
	check_schema("{'type': 'object', 'properties': {'a': {'type': 'integer'}, 'b': {'type': 'integer'}}, 'not': {'properties': {'a': {}}, 'additionalProperties': false}}",
				 YES("{'b': 1}", "{'b': 2, 'a': 1}"), NO("{}", "{'a': 1}"));
	check_schema("{'type': 'object', 'additionalProperties': {'type': 'integer'}, 'not': {'propertyNames': {'maxLength': 2}}}",
				 YES("{'abc': 1}", "{'a': 1, 'xyz': 2}", "{'xyz': 2, 'b': 3}"), NO("{}", "{'a': 1}", "{'ab': 1, 'c': 2}"));
	check_schema("{'type': 'object', 'additionalProperties': {'type': 'integer'}, 'not': {'patternProperties': {'^x': {'maximum': 5}}}}",
				 YES("{'x': 6}", "{'a': 1, 'xa': 7}"), NO("{}", "{'x': 5}", "{'a': 6}"));
	check_schema("{'type': 'object', 'additionalProperties': {'type': 'integer'}, 'properties': {'a': {}, 'b': {}}, 'not': {'dependentRequired': {'a': ['b']}}}", YES("{'a': 1}"),
				 NO("{}", "{'a': 1, 'b': 1}", "{'b': 1}"));
	check_schema("{'properties': {'k': {'enum': ['a', 'b']}, 'v': {'type': 'integer'}}, 'required': ['k', 'v'], 'type': 'object', 'not': {'if': {'properties': {'k': {'const': 'a'}}}, 'then': {'properties': {'v': {'minimum': 5}}}, 'else': {'properties': {'v': {'maximum': 4}}}}}",
				 YES("{'k': 'a', 'v': 4}", "{'k': 'b', 'v': 5}"), NO("{'k': 'a', 'v': 5}", "{'k': 'b', 'v': 4}"));

	check_refused("{'not': {}}", "at '#/not': nothing is valid against false");
	check_refused("{'type': 'string', 'not': {'type': 'string'}}", "at '#': no type is allowed by all schemas that hold here");
	check_refused("{'not': {'minimum': 'x'}, 'type': 'integer'}", "at '#/not/minimum': expected a number");
	check_refused("{'not': {'uniqueItems': true}}", "at '#/not/uniqueItems': 'uniqueItems' is not supported where it must not hold ('not', 'if', 'oneOf' of schemas that overlap)");
	check_refused("{'$defs': {'a': {'not': {'$ref': '#/$defs/a'}}}, '$ref': '#/$defs/a'}", "at '#/$defs/a': the schema refers to itself");
	check_refused("{'not': {'unevaluatedItems': false}}", "at '#/not/unevaluatedItems': 'unevaluatedItems' is not supported");
	check_refused("{'properties': {'a': {'unevaluatedProperties': false}}}", "at '#/properties/a/unevaluatedProperties': 'unevaluatedProperties' is not supported");
}

static void
test_alternatives(void)
{
	check_schema("{'oneOf': [{'type': 'integer'}, {'type': 'number', 'minimum': 2}]}", YES("1", "-3", "2.5", "1000.25"), NO("2", "3.0", "1.5"));
	check_schema("{'type': 'integer', 'oneOf': [{'multipleOf': 3}, {'multipleOf': 5}]}", YES("3", "5", "10", "12"), NO("0", "15", "2", "-30"));
	check_schema("{'oneOf': [{'type': 'string', 'pattern': '^a'}, {'type': 'string', 'pattern': 'z$'}, {'type': 'null'}]}", YES("'a'", "'bz'", "null"), NO("'az'", "'b'", "''"));
	check_schema("{'oneOf': [{'type': 'object', 'properties': {'a': {'type': 'integer'}}, 'required': ['a']}, {'type': 'object', 'properties': {'b': {'type': 'integer'}}, 'required': ['b']}]}",
				 YES("{'a': 1}", "{'b': 1}", "{'a': 1, 'b': null}"), NO("{}", "{'a': 1, 'b': 1}", "{'b': 1, 'a': 1}"));
	check_schema("{'type': 'object', 'oneOf': [{'properties': {'a': {'type': 'integer'}, 'b': {'type': 'integer'}}, 'additionalProperties': false}, {'properties': {'a': {'type': 'integer'}}, 'additionalProperties': false}]}",
				 YES("{'b': 1}", "{'b': 1, 'a': 2}"), NO("{}", "{'a': 1}"));
	check_schema("{'oneOf': [{'type': 'string', 'format': 'date'}, {'type': 'string', 'format': 'date-time'}, {'type': 'string', 'format': 'uuid'}]}",
				 YES("'2024-01-31'", "'2024-01-31T10:00:00Z'", "'123e4567-e89b-12d3-a456-426614174000'"), NO("''", "'2024-01-32'"));
	check_schema("{'anyOf': [{'type': 'string'}, {'type': 'integer'}], 'type': ['integer', 'null']}", YES("1"), NO("null", "'a'"));
	check_schema("{'type': 'object', 'properties': {'kind': {'enum': ['card', 'cash']}, 'number': {'type': 'integer'}, 'coins': {'type': 'integer'}}, 'required': ['kind'], 'if': {'properties': {'kind': {'const': 'card'}}}, 'then': {'required': ['number'], 'properties': {'coins': false}}, 'else': {'required': ['coins']}}",
				 YES("{'kind': 'card', 'number': 1}", "{'kind': 'cash', 'coins': 2}", "{'kind': 'cash', 'coins': 2, 'number': 1}"),
				 NO("{'kind': 'card'}", "{'kind': 'cash'}", "{'kind': 'card', 'number': 1, 'coins': 1}"));
	check_schema("{'type': 'integer', 'if': {'minimum': 10}, 'then': {'multipleOf': 10}}", YES("3", "10", "120", "-7"), NO("11", "25"));
	check_schema("{'type': 'integer', 'if': {'minimum': 10}, 'else': {'multipleOf': 3}}", YES("3", "11", "-6"), NO("4", "-1"));
	check_schema("{'type': 'integer', 'then': {'minimum': 10}}", YES("3"), NO("'a'"));
	check_schema("{'$defs': {'tree': {'type': 'object', 'properties': {'leaf': {'type': 'boolean'}, 'sub': {'type': 'array', 'items': {'$ref': '#/$defs/tree'}}}, 'required': ['leaf'], 'if': {'properties': {'leaf': {'const': true}}}, 'then': {'properties': {'sub': false}}, 'else': {'required': ['sub']}}}, '$ref': '#/$defs/tree'}",
				 YES("{'leaf': true}", "{'leaf': false, 'sub': []}", "{'leaf': false, 'sub': [{'leaf': true}, {'leaf': false, 'sub': []}]}"), NO("{'leaf': false}", "{'leaf': true, 'sub': []}", "{'leaf': false, 'sub': [{'leaf': false}]}"));

	check_refused("{'oneOf': [{'type': 'integer'}, {'type': 'integer'}]}", "at '#/oneOf': no alternative is possible, at '#/oneOf/0': no type is allowed by all schemas that hold here");
	check_refused("{'properties': {'a': {'anyOf': [{'type': 'string'}, {'minimum': 3, 'type': 'integer'}], 'maximum': 2, 'type': 'number'}}}",
				  "at '#/properties/a/anyOf': no alternative is possible, at '#/properties/a/anyOf/0': no type is allowed by all schemas that hold here");
}

static void
test_members(void)
{
	check_schema("{'type': 'object', 'patternProperties': {'^n': {'type': 'integer'}, '^s': {'type': 'string'}}}", YES("{}", "{'n': 1}", "{'s1': 'a', 'n2': 2}"), NO("{'n': 'a'}", "{'x': 1}"));
	check_schema("{'type': 'object', 'patternProperties': {'^n': {'type': 'integer'}, 'x$': {'minimum': 5}}}", YES("{'n': 1}", "{'nx': 5}", "{'x': 5.5}"), NO("{'nx': 4}", "{'nx': 5.5}"));
	check_schema("{'type': 'object', 'properties': {'n1': {'maximum': 9}}, 'patternProperties': {'^n': {'type': 'integer'}}, 'additionalProperties': false}",
				 YES("{'n1': 9}", "{'n1': 9, 'n2': 10}", "{'n': 1}"), NO("{'n1': 10}", "{'n1': 1.5}", "{'a': 1}"));
	check_schema("{'type': 'object', 'patternProperties': {'^n': {'type': 'integer'}}, 'additionalProperties': {'type': 'null'}}", YES("{'n': 1, 'a': null}", "{'a': null}"), NO("{'n': null}", "{'a': 1}"));
	check_schema("{'type': 'object', 'propertyNames': {'pattern': '^[a-z]{1,3}$'}, 'additionalProperties': {'type': 'integer'}}", YES("{}", "{'abc': 1, 'x': 2}"), NO("{'abcd': 1}", "{'': 1}"));
	check_schema("{'type': 'object', 'propertyNames': {'enum': ['a', 'b']}, 'additionalProperties': {'type': 'integer'}, 'minProperties': 2}", YES("{'a': 1, 'b': 2}"), NO("{'a': 1}", "{'a': 1, 'a': 2}", "{'c': 1}"));
	check_schema("{'type': 'object', 'properties': {'a': {'const': 1}, 'bb': {'const': 1}}, 'propertyNames': {'maxLength': 1}}", YES("{}", "{'a': 1}"), NO("{'bb': 1}"));
	check_schema("{'type': 'object', 'propertyNames': {'anyOf': [{'const': 'a'}, {'minLength': 3, 'not': {'pattern': 'x'}}]}, 'additionalProperties': {'const': 1}}", YES("{'a': 1}", "{'abc': 1}"), NO("{'b': 1}", "{'abx': 1}"));
	check_schema("{'type': 'object', 'propertyNames': false}", YES("{}"), NO("{'a': 1}"));
	check_schema("{'type': 'object', 'properties': {'a': {'const': 1}, 'b': {'const': 1}, 'c': {'const': 1}}, 'minProperties': 2}", YES("{'a': 1, 'b': 1}", "{'b': 1, 'c': 1}", "{'a': 1, 'b': 1, 'c': 1}"), NO("{}", "{'a': 1}", "{'c': 1}"));
	check_schema("{'type': 'object', 'properties': {'a': {'const': 1}, 'b': {'const': 1}, 'c': {'const': 1}}, 'maxProperties': 1}", YES("{}", "{'a': 1}", "{'c': 1}"), NO("{'a': 1, 'b': 1}"));
	check_schema("{'type': 'object', 'properties': {'a': {'const': 1}, 'b': {'const': 1}}, 'required': ['b'], 'maxProperties': 2, 'minProperties': 2, 'additionalProperties': {'const': 2}}",
				 YES("{'b': 1, 'a': 1}", "{'b': 1, 'x': 2}"), NO("{'b': 1}", "{'b': 1, 'a': 1, 'x': 2}"));
	check_schema("{'type': 'object', 'additionalProperties': {'const': 2}, 'minProperties': 1, 'maxProperties': 2}", YES("{'x': 2}", "{'x': 2, 'y': 2}"), NO("{}", "{'x': 2, 'y': 2, 'z': 2}"));
	check_schema("{'type': 'object', 'properties': {'a': {'const': 1}, 'b': {'const': 1}, 'c': {'const': 1}}, 'dependentRequired': {'a': ['b'], 'b': ['c']}}",
				 YES("{}", "{'c': 1}", "{'b': 1, 'c': 1}", "{'a': 1, 'b': 1, 'c': 1}"), NO("{'a': 1}", "{'b': 1}", "{'a': 1, 'b': 1}", "{'a': 1, 'c': 1}"));
	check_schema("{'type': 'object', 'properties': {'a': {'const': 1}, 'b': {'type': 'integer'}}, 'dependentSchemas': {'a': {'properties': {'b': {'minimum': 5}}}}}", YES("{'b': 1}", "{'a': 1, 'b': 5}", "{'a': 1}"), NO("{'a': 1, 'b': 4}"));
	check_schema("{'type': 'object', 'properties': {'a': {'const': 1}, 'b': {'const': 1}}, 'dependencies': {'a': ['b'], 'b': {'required': ['a']}}}", YES("{}", "{'a': 1, 'b': 1}"), NO("{'a': 1}", "{'b': 1}"));

	check_refused("{'type': 'object', 'additionalProperties': {'const': 2}, 'minProperties': 2}",
				  "at '#': so many properties as minProperties and maxProperties want cannot be made, as those that are not named could have the same name");
	check_refused("{'required': ['a', 'b'], 'maxProperties': 1}", "at '#': so many properties as minProperties and maxProperties want cannot be made, as those that are not named could have the same name");
	check_refused("{'required': ['ab'], 'propertyNames': {'maxLength': 1}}", "at '#': property 'ab' is required but not allowed");
	check_refused("{'patternProperties': {'(': {}}}", "at '#/patternProperties/(': position 1: the parenthesis is not closed");
	check_refused("{'dependentRequired': []}", "at '#/dependentRequired': expected an object");
	check_refused("{'dependentRequired': {'a': [1]}}", "at '#/dependentRequired/a/0': expected the name of a property");
}

static void
test_items(void)
{
	check_schema("{'type': 'array', 'items': {'enum': ['a', 'b', 'c']}, 'uniqueItems': true}", YES("[]", "['c', 'a']", "['b', 'c', 'a']"), NO("['a', 'a']", "['a', 'b', 'a']"));
	check_schema("{'type': 'array', 'items': {'enum': ['a', 'b', 'c']}, 'uniqueItems': true, 'minItems': 2, 'maxItems': 2}", YES("['c', 'a']"), NO("['a']", "['b', 'c', 'a']"));
	check_schema("{'type': 'array', 'items': {'type': 'integer', 'minimum': 1, 'maximum': 20, 'multipleOf': 2}, 'uniqueItems': true, 'minItems': 2}", YES("[2, 4]", "[4, 6, 20]"), NO("[2]", "[2, 2]", "[3, 4]"));
	check_schema("{'type': 'array', 'items': {'anyOf': [{'type': 'boolean'}, {'const': true}, {'type': 'null'}]}, 'uniqueItems': true}", YES("[true, null, false]"), NO("[true, true]"));
	check_schema("{'type': 'array', 'items': {'type': 'string'}, 'uniqueItems': true, 'maxItems': 1}", YES("[]", "['a']"), NO("['a', 'b']"));
	check_schema("{'type': 'array', 'items': {'type': 'string'}, 'uniqueItems': false}", YES("['a', 'a']"), NO("[1]"));
	check_schema("{'type': 'array', 'items': {'type': 'integer'}, 'contains': {'minimum': 10}}", YES("[10]", "[1, 11, 2]", "[12, 13]"), NO("[]", "[1, 2]", "[10, 'a']"));
	check_schema("{'type': 'array', 'items': {'type': 'integer'}, 'contains': {'minimum': 10}, 'minContains': 2, 'maxContains': 3}", YES("[10, 11]", "[1, 10, 2, 11, 12, 3]"), NO("[10]", "[10, 11, 12, 13]"));
	check_schema("{'type': 'array', 'items': {'type': 'integer'}, 'contains': {'minimum': 10}, 'minContains': 0, 'maxContains': 1, 'maxItems': 3}", YES("[]", "[1, 2, 3]", "[1, 10, 2]"), NO("[10, 11]", "[1, 2, 3, 4]"));
	check_schema("{'type': 'array', 'items': {'type': 'integer'}, 'contains': {'minimum': 10}, 'minItems': 2, 'maxItems': 2}", YES("[10, 1]", "[1, 10]"), NO("[10]", "[1, 1]", "[10, 1, 1]"));
	check_schema("{'type': 'array', 'items': {'type': 'integer'}, 'allOf': [{'contains': {'minimum': 10}}, {'contains': {'multipleOf': 3}}]}", YES("[10, 3]", "[3, 10]", "[12]", "[1, 12, 1]"), NO("[10]", "[3]"));
	check_schema("{'type': 'array', 'prefixItems': [{'const': 'a'}], 'items': {'type': 'integer'}, 'contains': {'const': 5}}", YES("['a', 5]", "['a', 1, 5]"), NO("[5]", "['a']"));
	check_schema("{'type': 'array', 'items': [{'const': 'a'}], 'additionalItems': {'type': 'integer'}}", YES("['a']", "['a', 5]"), NO("[5]", "['a', 'a']"));
	check_schema("{'type': 'array', 'items': [{'const': 'a'}], 'additionalItems': false}", YES("['a']"), NO("['a', 1]"));
	check_schema("{'type': 'array', 'additionalItems': false, 'items': {'const': 1}}", YES("[1, 1]"), NO("[2]"));

	check_refused("{'properties': {'tags': {'type': 'array', 'items': {'type': 'string'}, 'uniqueItems': true}}}",
				  "at '#/properties/tags/uniqueItems': 'uniqueItems' is supported for items that have at most 500 values ('enum'), or with 'maxItems': 1");
	check_refused("{'type': 'array', 'items': {'enum': [1, 2]}, 'uniqueItems': true, 'minItems': 3}", "at '#/uniqueItems': minItems is 3, but there are only 2 different items");
	check_refused("{'type': 'array', 'items': {'type': 'integer'}, 'contains': {'type': 'string'}}", "at '#/contains': no array has as many items that are valid against this as it must have");
	check_refused("{'type': 'array', 'prefixItems': [{'type': 'string'}], 'items': {'type': 'integer'}, 'contains': {'type': 'string'}, 'minContains': 2}",
				  "at '#/contains': no array has as many items that are valid against this as it must have");
	check_refused("{'type': 'array', 'contains': {}, 'minContains': 3, 'maxContains': 2}", "at '#/contains': minContains 3 is greater than maxContains 2");
}

static void
test_multiples(void)
{
	check_schema("{'type': 'integer', 'multipleOf': 3}", YES("0", "3", "-3", "12", "999"), NO("1", "-4", "100", "3.0"));
	check_schema("{'type': 'number', 'multipleOf': 0.25}", YES("0", "0.25", "0.5", "-1.75", "3"), NO("0.2", "0.3", "1.26"));
	check_schema("{'type': 'number', 'multipleOf': 2.5, 'minimum': 1, 'maximum': 11}", YES("2.5", "5", "7.5", "10"), NO("0", "2", "12.5"));
	check_schema("{'type': 'integer', 'multipleOf': 2.5}", YES("5", "0", "-10"), NO("2", "2.5"));
	check_schema("{'type': 'integer', 'multipleOf': 1000}", YES("0", "1000", "-23000"), NO("100", "1001"));
	check_schema("{'type': 'integer', 'allOf': [{'multipleOf': 4}, {'multipleOf': 6}]}", YES("12", "0", "24"), NO("4", "6", "18"));
	check_schema("{'type': 'number', 'multipleOf': 0.01}", YES("0.01", "1", "3.14"), NO("0.001"));
	check_schema("{'enum': [1, 2, 3, 4, 6.0, 7.5], 'multipleOf': 1.5}", YES("3", "6.0", "7.5"), NO("1", "4"));
	check_schema("{'type': 'integer', 'multipleOf': 365}", YES("0", "365", "-730", "3650"), NO("366"));

	check_refused("{'type': 'integer', 'minimum': 1, 'maximum': 4, 'multipleOf': 5}", "at '#': no number between minimum and maximum is allowed");
	check_refused("{'multipleOf': 123456}", "at '#/multipleOf': 'multipleOf' with so many digits is not supported");
	check_refused("{'multipleOf': -1}", "at '#/multipleOf': expected a number above 0");
	check_refused("{'multipleOf': '1'}", "at '#/multipleOf': expected a number");
}

int
main(void)
{
	test_not();
	test_alternatives();
	test_members();
	test_items();
	test_multiples();
	return done_testing();
}
