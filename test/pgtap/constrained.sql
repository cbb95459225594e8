-- Constrained generation: options grammar, regex, choices, json_schema, json and on_limit.

\set ON_ERROR_STOP 1
BEGIN;
SELECT no_plan();
\ir setup/samples.sql
\ir setup/error_is.sql
CREATE FUNCTION pg_temp.options(key text, value text) RETURNS jsonb LANGUAGE sql RETURN jsonb_build_object(key, value);

-- Every text matches, whatever the seed
SELECT ok(bool_and(t ~ ('^(' || regex || ')$')), 'regex ' || regex)
FROM unnest(ARRAY['[A-Z][a-z]+ is \d+ years old\.', '(ab|c)*d', '[^a-z\n]{3,9}', '\w+@\w+\.(com|org)', '(yes|no), .{1,20}']) AS regex,
	generate_series(1, 8) AS seed,
	LATERAL llama2_generate('Once upon a time', seed => seed, temperature => 1.5, max_tokens => 30, options => pg_temp.options('regex', regex)) AS t
GROUP BY regex;
SELECT ok(bool_and(t IN ('billing', 'bill', 'ship')), 'choices')
FROM generate_series(1, 12) AS seed,
	LATERAL llama2_generate('Once upon a time', seed => seed, temperature => 3, top_k => 0, top_p => 1, options => '{"choices": ["billing", "bill", "ship"]}') AS t;
SELECT ok(bool_and(t ~ '^[0-9]+([-+][0-9]+)*=$'), 'grammar')
FROM generate_series(1, 12) AS seed,
	LATERAL llama2_generate('2 plus 3', seed => seed, temperature => 2, max_tokens => 12,
		options => pg_temp.options('grammar', E'root ::= sum "="\nsum ::= num ([-+] num)*\nnum ::= [0-9]+')) AS t;
SELECT ok(bool_and(t::jsonb IS NOT NULL), 'json parses, ended by max_tokens or not')
FROM generate_series(1, 20) AS seed, LATERAL llama2_generate('Return JSON.', seed => seed, temperature => 2, max_tokens => 3 + seed * 3, options => '{"json": true}') AS t;
SELECT ok(bool_and(t->>'kind' IN ('a', 'b') AND jsonb_typeof(t->'n') = 'number' AND (t->>'n')::numeric BETWEEN -5 AND 120.5
		AND (t->>'d')::date IS NOT NULL AND jsonb_array_length(t->'tags') BETWEEN 1 AND 3 AND NOT t ? 'other'
		AND length(t->>'code') BETWEEN 2 AND 4 AND t->>'code' ~ '^[A-Z]*$'), 'json_schema, ' || max_tokens || ' tokens')
FROM unnest(ARRAY[60, 80, 300]) AS max_tokens, generate_series(1, 8) AS seed,
	LATERAL (SELECT llama2_chat('Make something up.', seed => seed, temperature => 1.5, max_tokens => max_tokens, options => '{"json_schema": {"type": "object",
		"properties": {"kind": {"enum": ["a", "b"]}, "n": {"type": "number", "minimum": -5, "maximum": 120.5}, "d": {"type": "string", "format": "date"},
			"code": {"type": "string", "pattern": "^[A-Z]*$", "minLength": 2, "maxLength": 4},
			"tags": {"type": "array", "items": {"type": "string", "maxLength": 9}, "minItems": 1, "maxItems": 3}},
		"required": ["kind", "n", "d", "tags", "code"], "additionalProperties": false}}')::jsonb AS t OFFSET 0) AS texts
GROUP BY max_tokens ORDER BY max_tokens;
SELECT is((SELECT array_agg(k) FROM json_object_keys(llama2_chat('Hello', temperature => 0, max_tokens => 60,
		options => '{"json_schema": {"properties": {"a": {"const": 1}, "bb": {"const": 2}, "c": {"const": 3}}, "required": ["c", "bb", "a"]}}')::json) AS k),
	ARRAY['c', 'bb', 'a'], 'properties come in the order of "required"');

-- It works with what else there is
SELECT is(llama2_chat(turns[1], temperature => 0, options => '{"json": true}'), answer, 'the model''s own JSON is not changed, dialog ' || id)
FROM dialogs WHERE id IN (16, 17);
SELECT is(llama2_generate('Once upon a time', temperature => 0, options => '{"regex": ".*"}'), llama2_generate('Once upon a time', temperature => 0),
	'a grammar that allows what comes changes nothing');
SELECT is((SELECT array_agg(row(token_id, logprob)::text) FROM llama2_generate_stream('Once upon a time', temperature => 0, max_tokens => 20, options => '{"regex": "[^Q]*"}')),
	(SELECT array_agg(row(token_id, logprob)::text) FROM llama2_generate_stream('Once upon a time', temperature => 0, max_tokens => 20)), 'nor the log-probabilities');
SELECT is(string_agg(token, '' ORDER BY seq), llama2_generate('Hello', seed => 3, options => '{"json": true}', max_tokens => 25), 'a stream')
FROM llama2_generate_stream('Hello', seed => 3, options => '{"json": true}', max_tokens => 25);
SELECT is((SELECT finish_reason FROM llama2_complete('Hello', options => '{"choices": ["one"]}')), 'stop', 'ends when nothing else can follow');
SELECT is((SELECT finish_reason FROM llama2_complete('Hello', options => '{"choices": ["one"], "ignore_eos": true, "min_tokens": 100}')), 'stop', 'whatever the options are');
SELECT is((SELECT text || finish_reason FROM llama2_complete('Hello', max_tokens => 12, temperature => 0, options => '{"grammar": "root ::= \"(\" root \")\" | \"x\" [a-z ]*"}')) ~ 'length$', true, 'length, where the limit ended it');
SELECT is(llama2_generate('Hello', temperature => 0, options => '{"choices": ["ab", "cd"], "logit_bias": {"300": 100}}') IN ('ab', 'cd'), true, 'a bias does not allow what the grammar forbids');
SELECT is(split_part(llama2_generate('Hello', temperature => 0, stop => ARRAY[','], options => '{"choices": ["one, two"]}'), ',', 2), '', 'stop strings cut the text');
SELECT is(llama2_generate(array_fill('Once'::text, ARRAY[20]), seed => 4, temperature => 1, max_tokens => 30, options => '{"json": true}'),
	array_fill(llama2_generate('Once', seed => 4, temperature => 1, max_tokens => 30, options => '{"json": true}'), ARRAY[20]), 'a batch gives what each gives alone');
SELECT is(llama2_generate('Hello', temperature => 0, options => '{"choices": ["ab", "cd"]}' || more) IN ('ab', 'cd'), true, 'a text that is complete ends, whatever else is wanted: ' || more::text)
FROM unnest(ARRAY['{"min_tokens": 20}', '{"ignore_eos": true}', '{"logit_bias": {"2": false}}', '{"typical_p": 0.01, "top_n_sigma": 0.01, "min_p": 1, "xtc_probability": 1, "xtc_threshold": 0}',
	'{"mirostat": 2, "temperature": 2}', '{"dry_multiplier": 100, "presence_penalty": 100}', '{"context_shift": true, "context_length": 8}']::jsonb[]) AS more;
SELECT is(completion_tokens, 20, 'one that could end goes on until min_tokens') FROM llama2_complete('Hello', temperature => 0, max_tokens => 20, options => '{"regex": "a+", "min_tokens": 20}');
SELECT ok(completion_tokens = 300 AND text ~ '^[a-z ]+$', 'a grammar holds over a shifted context')
FROM llama2_complete('Once', temperature => 1, seed => 2, max_tokens => 300, options => '{"regex": "[a-z ]+", "ignore_eos": true, "context_shift": true, "context_length": 40}');
SELECT is(llama2_generate('Hello', temperature => 0, options => '{"json": false}'), llama2_generate('Hello', temperature => 0), 'json false is no constraint');

-- Limits
SELECT pg_temp.error_is($$SELECT llama2_generate('Hello', max_tokens => 4, temperature => 0, options => '{"regex": "[a-z]{40}", "on_limit": "error"}')$$, '22023',
	'the shortest text that the grammar allows, of 40 bytes, does not fit 4 tokens', '', 'Increase max_tokens, or shorten the prompt where the context is full.');
SELECT pg_temp.error_is($$SELECT llama2_generate('Hello', max_tokens => 10, temperature => 0, options => '{"regex": "\"[a-z ]+\"", "on_limit": "error"}')$$, '54000',
	'the text is not complete after 10 tokens', '', 'Increase max_tokens, or let the option "on_limit" be "close".');
SELECT ok(llama2_generate('Hello', max_tokens => 10, temperature => 0, options => '{"regex": "\"[a-z ]+\"", "on_limit": "close"}') ~ '^"[a-z ]+"$', 'close');
SELECT ok(llama2_generate('Hello', max_tokens => 2, temperature => 0, options => '{"json": true}')::jsonb IS NOT NULL, 'two tokens of JSON');
SELECT pg_temp.error_is($$SELECT llama2_generate('Once', temperature => 0, max_tokens => 60, options => '{"regex": "Once (upon|.*a.*t.*i.*m.*e.*|(.{0,99}){0,99}){0,99}!"}')$$, '54000',
	'the grammar takes more work for a token than it may', '', 'Let it have fewer ways to read the same text, as nested repetitions have.');
SELECT pg_temp.error_is($$SELECT llama2_generate('Once', options => jsonb_build_object('json_schema', jsonb_build_object('enum', (SELECT jsonb_agg(i) FROM generate_series(1, 6000) AS i),
	'not', jsonb_build_object('enum', (SELECT jsonb_agg(i) FROM generate_series(6001, 12000) AS i)))))$$, '22023',
	'invalid JSON schema: at "#": the schema has too many values to compare with each other');
SELECT is(llama2_generate('Once', options => jsonb_build_object('json_schema', jsonb_build_object('enum', (SELECT jsonb_agg(i) FROM generate_series(1, 6000) AS i), 'minimum', 6000))), '6000', 'many values that nothing compares with others');

-- Errors have the place
SELECT pg_temp.error_is(format('SELECT llama2_generate(''Hello'', options => %L)', options), state, message, detail, hint) FROM (VALUES
	('{"grammar": "root ::= x"}', '22023', 'invalid grammar: line 1, column 10: rule "x" is not defined', '', ''),
	('{"grammar": "root ::= \"a\n"}', '22023', 'invalid grammar: line 1, column 10: the string does not end', '', ''),
	('{"grammar": "root ::= root \"a\" | \"b\""}', '22023', 'invalid grammar: rule "root" begins with itself (left recursion), by way of rule "root"', '', ''),
	('{"regex": "a(?=b)"}', '22023', 'invalid regex: position 2: look-around is not supported', '', ''),
	('{"grammar": "root ::= \"é😀\"\n  | <[7]>"}', '22023', 'invalid grammar: line 2, column 3: expected the name of a rule', '', ''),
	('{"regex": "a(b"}', '22023', 'invalid regex: position 2: the parenthesis is not closed', '', ''),
	('{"regex": "(a{1000}){1000}"}', '22023', 'the shortest text that the grammar allows, of 1000000 bytes, does not fit 256 tokens', '',
	 'Increase max_tokens, or shorten the prompt where the context is full.'),
	('{"regex": "((a{10000}){10000}){10000}"}', '22023', 'invalid regex: the regular expression can never end', '', ''),
	('{"choices": []}', '22023', 'invalid choices: there is no choice', '', ''),
	('{"choices": ["a", ""]}', '22023', 'invalid choices: choice 2 is empty', '', ''),
	('{"json_schema": {"properties": {"a": {"type": "text"}}}}', '22023',
	 'invalid JSON schema: at "#/properties/a/type": expected null, boolean, integer, number, string, array or object', '', ''),
	('{"json_schema": {"type": "integer", "minimum": 2, "maximum": 1}}', '22023', 'invalid JSON schema: at "#": no integer lies between minimum and maximum', '', ''),
	('{"json_schema": {"properties": {"a": {"$ref": "#"}}, "required": ["a"]}}', '22023', 'invalid JSON schema: the schema at "#" can never end', '', ''),
	('{"json_schema": "object"}', '22023', 'invalid JSON schema: at "#": expected a schema: an object, true or false', '', ''),
	('{"json": true, "regex": "a"}', '22023', 'options "json" and "regex" exclude each other', '', ''),
	('{"json": 1}', '22023', 'option "json" must be true or false', '', ''),
	('{"regex": 1}', '22023', 'option "regex" must be a string', '', ''),
	('{"grammar": ["a"]}', '22023', 'option "grammar" must be a string', '', ''),
	('{"choices": "a"}', '22023', 'option "choices" must be an array of strings', '', ''),
	('{"choices": [1]}', '22023', 'option "choices" must be an array of strings', '', ''),
	('{"on_limit": "stop"}', '22023', 'option "on_limit" must be "close" or "error"', '', '')
) AS wrong (options, state, message, detail, hint);

SELECT * FROM finish();
ROLLBACK;
