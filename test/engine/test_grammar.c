/*
 * test_grammar.c
 *		Which texts grammars of every kind allow, byte by byte, and what is wrong with those that are refused.
 */
#include "grammar_allows.h"

static void
test_gbnf(void)
{
	check(GBNF, "root ::= \"a\" | \"bc\"", YES("a", "bc"), NO("", "b", "abc", "ab"));
	check(GBNF, "root ::= item (\",\" item)*\nitem ::= [a-c]+\n", YES("a", "abc,b", "a,b,c"), NO("", ",", "a,", "d"));
	check(GBNF, "# comment\nroot ::= # here\n  (\"x\"\n  | \"y\")? [^a-z] .\n", YES("x1z", "y-\xE2\x82\xAC", "\xC3\xA9k"), NO("x", "xa1", "1"));
	check(GBNF, "root ::= \"\\\"\\x41\\u00e9\\n\\\\\" [\\]\\-]{2}", YES("\"A\xC3\xA9\n\\]-", "\"A\xC3\xA9\n\\--"), NO("\"A\xC3\xA9\n\\]"));
	check(GBNF, "root ::= [0-9]{2,3} \"x\"{,2} \"y\"{2,} \"z\"{3}", YES("12yyzzz", "123xxyyyzzz"), NO("1yyzzz", "12xxxyyzzz", "12yzzz", "12yyzz"));
	check(GBNF, "root ::= \"(\" root \")\" | \"\"", YES("", "()", "((()))"), NO("(", "(()", "())"));
	check(GBNF, "root ::= \"a\" root \"b\" | \"a\" root \"c\" | \"x\"", YES("x", "axb", "aaaxbcb"), NO("ax", "axbb", "aaxb"));
	check(GBNF, "root ::= a-rule b_2\na-rule ::= \"1\" |\n \"2\"\nb_2 ::=\n \"3\"", YES("13", "23"), NO("1", "3"));
	check(GBNF, "root ::= [^\\x00-\\x7F\xC3\xA9-\xE2\x82\xAC]", YES("\xE2\x82\xAD", "\xF0\x9F\x98\x80", "\xC3\xA8"), NO("a", "\xC3\xA9", "\xE2\x82\xAC", "\xED\xA0\x80"));
	check(GBNF, "root ::= never \"a\" | \"b\"\nnever ::= \"c\" never", YES("b"), NO("a", "ca", "cca"));
	check(GBNF, "root ::= e \"=\" e\ne ::= t ((\"+\" | \"-\") t)*\nt ::= [0-9]+ | \"(\" e \")\"", YES("1=2", "(1+2)-3=4"), NO("1+=2", "(1=2)"));

	check_error(GBNF, "", "the grammar has no rule \"root\"");
	check_error(GBNF, "root ::= a", "line 1, column 10: rule \"a\" is not defined");
	check_error(GBNF, "root := \"a\"", "line 1, column 6: expected \"::=\"");
	check_error(GBNF, "root ::= \"a\"\nroot ::= \"b\"", "line 2, column 1: rule \"root\" is defined twice");
	check_error(GBNF, "root ::= \"a", "line 1, column 10: the string does not end");
	check_error(GBNF, "root ::=\n [a-z", "line 2, column 2: the character class does not end");
	check_error(GBNF, "root ::= (\"a\"", "line 1, column 10: the parenthesis is not closed");
	check_error(GBNF, "root ::= \"a\" )", "line 1, column 14: expected the end of the line");
	check_error(GBNF, "root ::= * \"a\"", "line 1, column 10: a repetition of nothing");
	check_error(GBNF, "root ::= \"a\"\n  | \"b\"", "line 2, column 3: expected the name of a rule");
	check_error(GBNF, "root ::= \"a\" |\n <[1000]>", "line 2, column 2: tokens are not supported, only texts");
	check_error(GBNF, "root ::= !<think>", "line 1, column 10: tokens are not supported, only texts");
	check_error(GBNF, "root ::= \"\xC3\xA9\xF0\x9F\x98\x80\" x", "line 1, column 15: rule \"x\" is not defined");
	check_error(GBNF, "root ::= [z-a]", "line 1, column 11: the range ends before it begins");
	check_error(GBNF, "root ::= \"a\"{3,2}", "line 1, column 13: the repetition ends before it begins");
	check_error(GBNF, "root ::= \"a\"{20000}", "line 1, column 14: more than 10000 repetitions");
	check_error(GBNF, "root ::= \"\\q\"", "line 1, column 11: unknown escape");
	check_error(GBNF, "root ::= \"\\x00\"", "line 1, column 11: no text can have this character");
	check_error(GBNF, "root ::= root \"a\" | \"b\"", "rule \"root\" begins with itself (left recursion), by way of rule \"root\"");
	check_error(GBNF, "root ::= a\na ::= \"x\"? b | \"y\"\nb ::= a \"z\" | \"q\"",
				"rule \"a\" begins with itself (left recursion), by way of rule \"a\", rule \"b\"");
	check_error(GBNF, "root ::= \"a\" root", "rule \"root\" can never end");
	check_error(GBNF, "root ::= \"\xFF\"", "byte 11 of the text is not part of a UTF-8 character");
}

static void
test_regex(void)
{
	check(REGEX, "[a-c]+|x", YES("abc", "x"), NO("", "xa", "d"));
	check(REGEX, "^\\d{3}-\\d{2,}$", YES("123-45", "123-4567"), NO("123-4", "12-45"));
	check(REGEX, "(a|b)*?c+?", YES("c", "abac", "cc"), NO("", "a"));
	check(REGEX, "(?:a*)*b", YES("b", "aaab"), NO("a", ""));
	check(REGEX, "((a?){30}){30}", YES("", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), NO("b"));
	check(REGEX, "\\w+\\s\\W\\S\\D", YES("a_1 -x!", "b\t.yz"), NO("a1-x!", "a - !"));
	check(REGEX, "[[:upper:]][^\\d\\]]\\.\\x41\\u20ac", YES("Xa.A\xE2\x82\xAC"), NO("X1.A\xE2\x82\xAC", "X].A\xE2\x82\xAC", "XaxA\xE2\x82\xAC"));
	check(REGEX, ".*", YES("", "abc \xC3\xA9"), NO("a\nb"));
	check(REGEX, "[]a-]+", YES("]", "-a]"), NO("b"));
	check(REGEX, "", YES(""), NO("a"));
	check(REGEX, "a|", YES("a", ""), NO("b"));

	check_error(REGEX, "a(b", "position 2: the parenthesis is not closed");
	check_error(REGEX, "ab)", "position 3: the parenthesis was not opened");
	check_error(REGEX, "*a", "position 1: a repetition of nothing");
	check_error(REGEX, "a**", "position 3: a repetition of a repetition needs parentheses");
	check_error(REGEX, "a(?=b)", "position 2: look-around is not supported");
	check_error(REGEX, "a(?!b)", "position 2: look-around is not supported");
	check_error(REGEX, "(?<=a)b", "position 1: look-around is not supported");
	check_error(REGEX, "(?<!a)b", "position 1: look-around is not supported");
	check_error(REGEX, "(?<name>a)", "position 1: groups cannot have names");
	check_error(REGEX, "(?P<name>a)", "position 1: groups cannot have names");
	check_error(REGEX, "(?i)a", "position 1: only \"(\" and \"(?:\" can begin a group");
	check_error(REGEX, "\\bword", "position 1: word borders are not supported");
	check_error(REGEX, "[a]\\B", "position 4: word borders are not supported");
	check_error(REGEX, "(a)\\1", "position 4: back references are not supported");
	check_error(REGEX, "\\q", "position 1: unknown escape");
	check_error(REGEX, "a^b", "position 2: \"^\" is possible at the beginning of an alternative of the whole only");
	check_error(REGEX, "a$b", "position 3: something follows \"$\"");
	check_error(REGEX, "[b-a]", "position 2: the range ends before it begins");
	check_error(REGEX, "[[:letter:]]", "position 2: unknown character class");
	check_error(REGEX, "((((((a{100}){100}){100}){100}){100}){100})", "the regular expression can never end");
	check_error(REGEX, "a\\", "position 2: unknown escape");
}

static void
test_scalars(void)
{
	check(SCHEMA, "{\"type\": \"boolean\"}", YES("true", "false"), NO("null", "1", "\"true\""));
	check(SCHEMA, "{\"type\": [\"null\", \"integer\"]}", YES("null", "0", "-12", "999999999999999999"), NO("1.5", "01", "-0", "1e3"));
	check(SCHEMA, "{\"type\": \"number\"}", YES("0", "-1.25", "6.02e23", "1E-5"), NO("01", ".5", "1.", "+1", "NaN"));
	check(SCHEMA, "{\"type\": \"integer\", \"minimum\": 7, \"maximum\": 1234}", YES("7", "9", "10", "99", "999", "1000", "1234", "1199"), NO("6", "0", "1235", "2000", "-7", "1300"));
	check(SCHEMA, "{\"type\": \"integer\", \"minimum\": -15, \"exclusiveMaximum\": 3}", YES("-15", "-14", "-1", "0", "2", "-9"), NO("-16", "3", "-20", "-0"));
	check(SCHEMA, "{\"type\": \"integer\", \"minimum\": -20.5, \"maximum\": -9.5}", YES("-20", "-10", "-19"), NO("-21", "-9", "0", "15"));
	check(SCHEMA, "{\"type\": \"integer\", \"exclusiveMinimum\": 0}", YES("1", "500"), NO("0", "-1"));
	check(SCHEMA, "{\"type\": \"number\", \"minimum\": 0.5, \"maximum\": 10.25}", YES("0.5", "0.51", "1", "9.999", "10", "10.25", "10.250", "10.1"), NO("0.49", "0", "10.251", "10.3", "11", "-1", "1e0"));
	check(SCHEMA, "{\"type\": \"number\", \"exclusiveMinimum\": 0, \"exclusiveMaximum\": 1}", YES("0.1", "0.0000001", "0.9999999"), NO("0", "0.0", "1", "1.0", "-0.5"));
	check(SCHEMA, "{\"type\": \"number\", \"minimum\": -2.5, \"maximum\": 2.5, \"multipleOf\": 0.1}", YES("-2.5", "0", "2.4", "-0.1"), NO("0.25", "2.6", "-2.6"));
	check(SCHEMA, "{\"minimum\": 12.5, \"maximum\": 12.75}", YES("12.5", "12.60", "12.75"), NO("12", "12.4", "12.76", "13"));
	check(SCHEMA, "{\"enum\": [\"a\\\"b\", 1, null, [1, {\"x\": true}], \"\\n\"]}", YES("\"a\\\"b\"", "1", "null", "[1, {\"x\": true}]", "\"\\n\""), NO("\"a\"", "2", "[1]"));
	check(SCHEMA, "{\"const\": \"\xE2\x82\xAC\"}", YES("\"\xE2\x82\xAC\""), NO("\"\""));
	check(SCHEMA, "{\"type\": \"integer\", \"enum\": [1, 2.5, \"x\", 30], \"maximum\": 20}", YES("1"), NO("2.5", "30", "\"x\""));

	check_error(SCHEMA, "{\"type\": \"text\"}", "at \"#/type\": expected null, boolean, integer, number, string, array or object");
	check_error(SCHEMA, "{\"type\": \"integer\", \"minimum\": 5, \"maximum\": 4}", "at \"#\": no integer lies between minimum and maximum");
	check_error(SCHEMA, "{\"type\": \"integer\", \"minimum\": 0.2, \"maximum\": 0.8}", "at \"#\": no integer lies between minimum and maximum");
	check_error(SCHEMA, "{\"properties\": {\"a/b\": {\"multipleOf\": 0}}}", "at \"#/properties/a~1b/multipleOf\": expected a number above 0");
	check_error(SCHEMA, "{\"enum\": []}", "at \"#/enum\": expected an array of values");
	check_error(SCHEMA, "{\"enum\": [1, 2], \"type\": \"string\"}", "at \"#\": no value of \"enum\" or \"const\" is allowed by everything that holds here");
}

static void
test_strings(void)
{
	check(SCHEMA, "{\"type\": \"string\"}", YES("\"\"", "\"a b\"", "\"\\\"\\\\\\n\xC3\xA9\""), NO("\"", "\"\n\"", "\"\\u0041\"", "\"\\x\"", "a"));
	check(SCHEMA, "{\"type\": \"string\", \"minLength\": 2, \"maxLength\": 3}", YES("\"ab\"", "\"\xE2\x82\xAC\\n\"", "\"abc\""), NO("\"a\"", "\"abcd\"", "\"\""));
	check(SCHEMA, "{\"type\": \"string\", \"pattern\": \"^[a-z]+$\"}", YES("\"abc\""), NO("\"\"", "\"A\"", "\"a1\""));
	check(SCHEMA, "{\"type\": \"string\", \"pattern\": \"\\\\d\"}", YES("\"1\"", "\"a\\n1b\""), NO("\"a\"", "\"\""));
	check(SCHEMA, "{\"pattern\": \"^[\\\"a]+$\", \"maxLength\": 2}", YES("\"\\\"\"", "\"a\\\"\""), NO("\"aaa\"", "\"\"", "\"\"\""));
	check(SCHEMA, "{\"format\": \"date\"}", YES("\"2024-02-28\"", "\"1999-12-31\""), NO("\"2024-02-30\"", "\"2024-13-01\"", "\"2024-1-1\""));
	check(SCHEMA, "{\"format\": \"date-time\"}", YES("\"2024-02-28T23:59:59Z\"", "\"2024-02-28T00:00:00.5+02:00\""), NO("\"2024-02-28\"", "\"2024-02-28T24:00:00Z\""));
	check(SCHEMA, "{\"format\": \"uuid\"}", YES("\"123e4567-e89b-12d3-a456-426614174000\""), NO("\"123e4567\""));
	check(SCHEMA, "{\"format\": \"email\"}", YES("\"tom.berg@mail.com\""), NO("\"tom\"", "\"@mail.com\"", "\"tom@mail\""));
	check(SCHEMA, "{\"format\": \"ipv4\", \"pattern\": \"^10\"}", YES("\"10.0.0.1\"", "\"100.2.3.255\""), NO("\"11.0.0.1\"", "\"10.0.0.256\""));
	check(SCHEMA, "{\"enum\": [\"a\", \"bb\", \"ccc\"], \"minLength\": 2, \"pattern\": \"b\"}", YES("\"bb\""), NO("\"a\"", "\"ccc\""));

	check_error(SCHEMA, "{\"type\": \"string\", \"minLength\": 3, \"maxLength\": 2}", "at \"#\": minLength 3 is greater than maxLength 2");
	check_error(SCHEMA, "{\"items\": {\"pattern\": \"a(\"}}", "at \"#/items/pattern\": position 2: the parenthesis is not closed");
	check_error(SCHEMA, "{\"format\": \"postcode\"}", "at \"#/format\": format \"postcode\" is not supported");
	check_error(SCHEMA, "{\"pattern\": \"^abc$\", \"maxLength\": 2}", "at \"#\": no string has this length, pattern and format");
	check_error(SCHEMA, "{\"minLength\": -1}", "at \"#/minLength\": expected an integer that is not negative");
	check_error(SCHEMA, "{\"maxLength\": 1000000}", "at \"#/maxLength\": the value is greater than 10000");
	check_error(SCHEMA, "{\"pattern\": \"(a|b)*a(a|b){20}\"}", "at \"#/pattern\": the pattern is too complex: more than 20000 states");
}

static void
test_objects(void)
{
	check(SCHEMA, "{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"integer\"}, \"b\": {\"type\": \"boolean\"}, \"c\": {\"type\": \"null\"}}, \"required\": [\"b\"]}",
		  YES("{\"b\": true}", "{\"b\": true, \"a\": 1}", "{\"b\": false, \"a\": 1, \"c\": null}", "{\"b\": true, \"c\": null}"),
		  NO("{}", "{\"a\": 1}", "{\"b\": true, \"c\": null, \"a\": 1}", "{\"b\": true, }", "{\"b\": true, \"x\": 1}"));
	check(SCHEMA, "{\"properties\": {\"a\": {\"const\": 1}, \"b\": {\"const\": 2}}}", YES("{}", "{\"a\": 1}", "{\"b\": 2}", "{\"a\": 1, \"b\": 2}"), NO("{, \"b\": 2}", "{\"a\": 2}"));
	check(SCHEMA, "{\"properties\": {\"a\": {\"const\": 1}}, \"required\": [\"a\"], \"additionalProperties\": {\"type\": \"boolean\"}}",
		  YES("{\"a\": 1}", "{\"a\": 1, \"b\": true, \"aa\": false, \"\": true}"), NO("{\"a\": 1, \"a\": true}", "{\"a\": 1, \"b\": 1}", "{\"b\": true}"));
	check(SCHEMA, "{\"type\": \"object\"}", YES("{}", "{\"x\": [1, {\"y\": null}]}"), NO("[]", "{x: 1}"));
	check(SCHEMA, "{\"type\": \"object\", \"additionalProperties\": false}", YES("{}"), NO("{\"a\": 1}"));
	check(SCHEMA, "{\"type\": \"array\", \"items\": {\"type\": \"integer\"}, \"minItems\": 1, \"maxItems\": 3}", YES("[1]", "[1, 2, 3]"), NO("[]", "[1, 2, 3, 4]", "[1,2]"));
	check(SCHEMA, "{\"prefixItems\": [{\"const\": 1}, {\"const\": 2}], \"items\": {\"const\": 3}}", YES("[1, 2]", "[1, 2, 3, 3]"), NO("[1]", "[2]", "[1, 2, 2]"));
	check(SCHEMA, "{\"prefixItems\": [{\"const\": 1}, {\"const\": 2}], \"maxItems\": 1}", YES("[1]"), NO("[1, 2]", "[]"));
	check(SCHEMA, "{\"type\": \"array\"}", YES("[]", "[null, \"x\", {\"a\": 1}]"), NO("{}"));
	check(SCHEMA, "{\"$defs\": {\"n\": {\"properties\": {\"v\": {\"type\": \"integer\"}, \"next\": {\"anyOf\": [{\"$ref\": \"#/$defs/n\"}, {\"type\": \"null\"}]}}, \"required\": [\"v\", \"next\"]}}, \"$ref\": \"#/$defs/n\"}",
		  YES("{\"v\": 1, \"next\": null}", "{\"v\": 1, \"next\": {\"v\": 2, \"next\": null}}"), NO("{\"v\": 1}", "null"));
	check(SCHEMA, "{\"type\": \"object\", \"properties\": {\"children\": {\"type\": \"array\", \"items\": {\"$ref\": \"#\"}}}, \"required\": [\"children\"]}",
		  YES("{\"children\": []}", "{\"children\": [{\"children\": []}, {\"children\": [{\"children\": []}]}]}"), NO("{\"children\": [1]}"));
	check(SCHEMA, "{\"allOf\": [{\"properties\": {\"a\": {\"minimum\": 3, \"type\": \"integer\"}}}, {\"properties\": {\"a\": {\"maximum\": 5}, \"b\": {\"const\": 1}}, \"required\": [\"b\", \"a\"]}]}",
		  YES("{\"b\": 1, \"a\": 3}", "{\"b\": 1, \"a\": 5}"), NO("{\"b\": 1, \"a\": 6}", "{\"b\": 1, \"a\": 2}", "{\"b\": 1}"));
	check(SCHEMA, "{\"type\": \"object\", \"properties\": {\"k\": {\"type\": \"string\"}, \"v\": {}}, \"required\": [\"k\"], \"oneOf\": [{\"properties\": {\"k\": {\"const\": \"a\"}, \"v\": {\"const\": 1}}}, {\"properties\": {\"k\": {\"const\": \"b\"}}, \"required\": [\"v\", \"k\"]}]}",
		  YES("{\"k\": \"a\"}", "{\"k\": \"a\", \"v\": 1}", "{\"k\": \"b\", \"v\": [2]}"), NO("{\"k\": \"b\"}", "{\"k\": \"a\", \"v\": 2}"));
	check(SCHEMA, "{\"oneOf\": [{\"type\": \"integer\", \"maximum\": 3}, {\"type\": \"number\", \"exclusiveMinimum\": 3}, {\"type\": \"string\"}]}", YES("3", "3.5", "\"\"", "-4"), NO("true", "2.5"));
	check(SCHEMA, "true", YES("1", "[]", "{\"a\": \"b\"}"), NO(""));
	check(SCHEMA, "{}", YES("null"), NO("nul"));

	check_error(SCHEMA, "false", "at \"#\": nothing is valid against false");
	check_error(SCHEMA, "[]", "at \"#\": expected a schema: an object, true or false");
	check_error(SCHEMA, "{\"required\": [\"a\"], \"additionalProperties\": false}", "at \"#\": property \"a\" is required but not allowed");
	check_error(SCHEMA, "{\"properties\": {\"x\": {\"$ref\": \"#/$defs/y\"}}}", "at \"#/properties/x/$ref\": the schema has no \"#/$defs/y\"");
	check_error(SCHEMA, "{\"$ref\": \"http://x/y\"}", "at \"#/$ref\": only references inside of the schema (\"#/...\") are supported");
	check_error(SCHEMA, "{\"$defs\": {\"a\": {\"$ref\": \"#/$defs/a\"}}, \"$ref\": \"#/$defs/a\"}", "at \"#/$defs/a/$ref\": the schema refers to itself");
	check_error(SCHEMA, "{\"anyOf\": [{\"$ref\": \"#\"}, {\"type\": \"null\"}]}", "at \"#/anyOf/0/$ref\": the schema refers to itself");
	check_error(SCHEMA, "{\"type\": \"object\", \"properties\": {\"a\": {\"$ref\": \"#\"}}, \"required\": [\"a\"]}", "the schema at \"#\" can never end");
	check_error(SCHEMA, "{\"type\": \"array\", \"minItems\": 2, \"items\": false}", "at \"#\": minItems is 2, but only 0 items are allowed");
	check_error(SCHEMA, "{\"allOf\": [{\"type\": \"string\"}, {\"type\": \"null\"}]}", "at \"#\": no type is allowed by all schemas that hold here");
	check_error(SCHEMA, "{\"properties\": []}", "at \"#/properties\": expected an object");
}

static void
test_json(void)
{
	LlmError	error;
	LlmGrammar *grammar = llm_grammar_from_json(&error);
	const char *const yes[] = {"1", "\"a\"", "[]", "{}", "[1, [2, {\"a\": null, \"b\": [true, false]}]]", "-0.5e+10"};
	const char *const no[] = {"", "[1,2]", "{\"a\":1}", "[1 ]", "tru", "[", "{\"a\" : 1}", "[1]]"};
	bool		right = true;

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		right = right && allows(grammar, yes[i]);
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		right = right && !allows(grammar, no[i]);
	ok(right, "any JSON");
	free(grammar);
}

static void
test_choices(void)
{
	const char *const choices[] = {"billing", "bill", "shipping"};
	const size_t lengths[] = {7, 4, 8};
	LlmError	error;
	LlmGrammar *grammar = llm_grammar_from_choices(3, choices, lengths, &error);

	ok(allows(grammar, "bill") && allows(grammar, "billing") && allows(grammar, "shipping") && !allows(grammar, "billi") &&
	   !allows(grammar, "") && !allows(grammar, "other"), "choices");
	free(grammar);
	ok(llm_grammar_from_choices(0, NULL, NULL, &error) == NULL && strcmp(error.message, "there is no choice") == 0, "no choice");
}

/* What would take exponential time in a parser that tries every way. */
static void
test_blow_up(void)
{
	LlmError	error;
	char		text[6001];
	LlmGrammar *grammar;
	LlmParseStates *states;
	LlmStateId	state;

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	grammar = make_grammar(REGEX, "(((a*)*)*|(a+)+)*", &error);
	ok(grammar != NULL && allows(grammar, text), "nested repetitions, 6000 bytes");
	free(grammar);

	grammar = make_grammar(GBNF, "root ::= s\ns ::= \"a\" s \"a\" | \"a\" s s | \"a\"", &error);
	states = llm_parse_states_create(grammar);
	state = llm_parse_text(states, llm_parse_start(states), text, 200);
	ok(state >= 0, "an ambiguous grammar, 200 bytes in %zu KB", llm_parse_states_bytes(states) / 1024);
	llm_parse_states_free(states);
	free(grammar);

	grammar = make_grammar(GBNF, "root ::= list\nlist ::= [a-z] list | [a-z]", &error);
	states = llm_parse_states_create(grammar);
	state = llm_parse_text(states, llm_parse_start(states), text, 6000);
	ok(state >= 0 && llm_parse_states_bytes(states) < 100000, "right recursion needs no stack");
	llm_parse_states_free(states);
	free(grammar);

	grammar = make_grammar(SCHEMA, "{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"array\", \"items\": {\"$ref\": \"#\"}}}}", &error);
	states = llm_parse_states_create(grammar);
	ok(llm_parse_text(states, llm_parse_start(states), "{\"a\": [{\"a\": [{}, ", 18) ==
	   llm_parse_text(states, llm_parse_start(states), "{\"a\": [{}, {\"a\": [{\"a\": []}, ", 29), "the same place is the same state");
	llm_parse_states_free(states);
	free(grammar);
}

int
main(void)
{
	test_gbnf();
	test_regex();
	test_scalars();
	test_strings();
	test_objects();
	test_json();
	test_choices();
	test_blow_up();
	return done_testing();
}
