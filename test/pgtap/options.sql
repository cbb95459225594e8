-- The options that every generating function shares: ranges, kinds, what they do,
-- and whence their defaults come.

\set ON_ERROR_STOP 1
BEGIN;
SELECT no_plan();
\ir setup/error_is.sql

-- Ranges, the same as an argument, as a key of options, and in each function
CREATE TEMPORARY TABLE out_of_range AS SELECT * FROM (VALUES
	('max_tokens', '0', '0', 'It must be at least 1.'),
	('max_tokens', '-2147483648', '-2147483648', 'It must be at least 1.'),
	('temperature', '-0.1', '-0.1', 'It must be at least 0 and at most 100.'),
	('temperature', '100.5', '100.5', 'It must be at least 0 and at most 100.'),
	('top_p', '0', '0', 'It must be greater than 0 and at most 1.'),
	('top_p', '1.01', '1.01', 'It must be greater than 0 and at most 1.'),
	('top_k', '-1', '-1', 'It must be at least 0.'),
	('min_p', '-0.5', '-0.5', 'It must be at least 0 and at most 1.'),
	('min_p', '2', '2', 'It must be at least 0 and at most 1.')
) AS v (name, value, shown, detail);
SELECT pg_temp.error_is(format('SELECT %s(%s, %s => %s)', f, prompt, name, value), '22023', format('%s %s is out of range', name, shown), detail)
FROM out_of_range, (VALUES ('llama2_generate', '''Once''::text'), ('llama2_generate', 'ARRAY[''Once'']'), ('llama2_chat', '''Once''::text'),
	('llama2_chat', '''[]''::jsonb'), ('llama2_generate_stream', '''Once'''), ('llama2_chat_stream', '''Once''::text'),
	('llama2_chat_stream', '''[]''::jsonb'), ('llama2_complete', '''Once''')) AS functions (f, prompt);
SELECT pg_temp.error_is(format('SELECT llama2_generate(''Once'', options => ''{"%s": %s}'')', name, value), '22023',
	format('%s %s is out of range', name, value), detail)
FROM (SELECT name, value, detail FROM out_of_range
	  UNION ALL VALUES
		('repeat_penalty', '0', 'It must be greater than 0 and at most 100.'),
		('repeat_penalty', '101', 'It must be greater than 0 and at most 100.'),
		('frequency_penalty', '-101', 'It must be at least -100 and at most 100.'),
		('frequency_penalty', '101', 'It must be at least -100 and at most 100.'),
		('presence_penalty', '-101', 'It must be at least -100 and at most 100.'),
		('presence_penalty', '101', 'It must be at least -100 and at most 100.'),
		('repeat_last_n', '-2', 'It must be at least -1.'),
		('typical_p', '0', 'It must be greater than 0 and at most 1.'),
		('typical_p', '1.5', 'It must be greater than 0 and at most 1.'),
		('top_n_sigma', '-2', 'It must be at least -1 and at most 100.'),
		('xtc_probability', '-0.1', 'It must be at least 0 and at most 1.'),
		('xtc_threshold', '1.1', 'It must be at least 0 and at most 1.'),
		('dynatemp_range', '-1', 'It must be at least 0 and at most 100.'),
		('dynatemp_exponent', '101', 'It must be at least 0 and at most 100.'),
		('mirostat', '3', 'It must be at least 0 and at most 2.'),
		('mirostat_tau', '-1', 'It must be at least 0 and at most 100.'),
		('mirostat_eta', '1.5', 'It must be at least 0 and at most 1.'),
		('dry_multiplier', '-1', 'It must be at least 0 and at most 100.'),
		('dry_base', '0.5', 'It must be at least 1 and at most 100.'),
		('dry_allowed_length', '0', 'It must be at least 1.'),
		('dry_penalty_last_n', '-2', 'It must be at least -1.'),
		('context_length', '1', 'It must be at least 2.'),
		('n_keep', '-2', 'It must be at least -1.'),
		('n', '0', 'It must be at least 1 and at most 64.'),
		('best_of', '65', 'It must be at least 1 and at most 64.'),
		('top_logprobs', '21', 'It must be at least 0 and at most 20.'),
		('top_logprobs', '-1', 'It must be at least 0 and at most 20.'),
		('min_tokens', '-1', 'It must be at least 0.'),
		('max_tokens', '3000000000', 'It must be at least 1 and at most 2147483647.')) AS ranges;
SELECT pg_temp.error_is(format('SELECT llama2_generate(''Once'', temperature => %L)', value), '22023', format('temperature %s is out of range', value),
	'It must be at least 0 and at most 100.')
FROM unnest(ARRAY['NaN', 'Infinity', '-Infinity']) AS value;
SELECT lives_ok(format('SELECT llama2_generate(''Once'', max_tokens => 2, options => ''{"%s": %s}'')', name, value), name || ' may be ' || value)
FROM (VALUES ('temperature', '0'), ('temperature', '100'), ('top_p', '1'), ('top_p', '0.000001'), ('top_k', '0'), ('top_k', '2147483647'),
	('min_p', '0'), ('min_p', '1'), ('repeat_penalty', '100'), ('frequency_penalty', '-100'), ('presence_penalty', '100'), ('repeat_last_n', '-1'),
	('repeat_last_n', '0'), ('typical_p', '1'), ('top_n_sigma', '-1'), ('top_n_sigma', '100'), ('xtc_probability', '1'), ('xtc_threshold', '0'),
	('dynatemp_range', '100'), ('dynatemp_exponent', '0'), ('mirostat', '2'), ('mirostat_tau', '0'), ('mirostat_eta', '1'), ('dry_multiplier', '100'),
	('dry_base', '1'), ('dry_allowed_length', '1'), ('dry_penalty_last_n', '-1'), ('dry_sequence_breakers', '[]'), ('context_length', '512'),
	('n_keep', '2147483647'), ('n', '1'), ('best_of', '64'), ('logprobs', 'false'), ('top_logprobs', '0'), ('min_tokens', '2147483647'), ('seed', '-5'), ('max_tokens', '4096'), ('ignore_eos', 'false'), ('stop', '[]'),
	('logit_bias', '{}')) AS limits (name, value);

-- Kinds of JSON
SELECT pg_temp.error_is(format('SELECT llama2_generate(''Once'', options => %L)', options), '22023', message, '', hint)
FROM (VALUES
	('[]', 'options must be a JSON object', ''),
	('"max_tokens"', 'options must be a JSON object', ''),
	('5', 'options must be a JSON object', ''),
	('{"max_tokens": "5"}', 'option "max_tokens" must be a number', ''),
	('{"max_tokens": true}', 'option "max_tokens" must be a number', ''),
	('{"max_tokens": {}}', 'option "max_tokens" must be a number', ''),
	('{"max_tokens": 1.5}', 'option "max_tokens" must be a whole number', ''),
	('{"temperature": "hot"}', 'option "temperature" must be a number', ''),
	('{"top_k": [1]}', 'option "top_k" must be a number', ''),
	('{"seed": "a"}', 'option "seed" must be a number', ''),
	('{"seed": 1.5}', 'option "seed" must be a whole number', ''),
	('{"ignore_eos": 1}', 'option "ignore_eos" must be true or false', ''),
	('{"ignore_eos": "true"}', 'option "ignore_eos" must be true or false', ''),
	('{"stop": 1}', 'option "stop" must be a string or an array of strings', ''),
	('{"stop": {}}', 'option "stop" must be a string or an array of strings', ''),
	('{"stop": ["a", 1]}', 'option "stop" must be a string or an array of strings', ''),
	('{"stop": [["a"]]}', 'option "stop" must be a string or an array of strings', ''),
	('{"stop": ""}', 'a stop string must not be empty', ''),
	('{"mirostat": 1.5}', 'option "mirostat" must be a whole number', ''),
	('{"context_shift": 1}', 'option "context_shift" must be true or false', ''),
	('{"echo": "yes"}', 'option "echo" must be true or false', ''),
	('{"logprobs": "yes"}', 'option "logprobs" must be true, false or a number', ''),
	('{"dry_sequence_breakers": 1}', 'option "dry_sequence_breakers" must be a string or an array of strings', ''),
	('{"dry_sequence_breakers": ["a", null]}', 'option "dry_sequence_breakers" must be a string or an array of strings', ''),
	('{"dry_sequence_breakers": ["a", ""]}', 'a sequence breaker must not be empty', ''),
	('{"num_predict": "5"}', 'option "max_tokens" must be a number', ''),
	('{"format": "yaml"}', 'option "format" must be "json" or a JSON schema', ''),
	('{"format": true}', 'option "format" must be "json" or a JSON schema', ''),
	('{"response_format": {"type": "json_schema"}}', 'option "format" must be an object with a schema in "json_schema"', ''),
	('{"logit_bias": [5]}', 'option "logit_bias" must be an object from token ids to numbers', ''),
	('{"logit_bias": 5}', 'option "logit_bias" must be an object from token ids to numbers', ''),
	('{"logit_bias": [[5]]}', 'option "logit_bias" must be an object from token ids to numbers', ''),
	('{"logit_bias": [[5, 1, 2]]}', 'option "logit_bias" must be an object from token ids to numbers', ''),
	('{"logit_bias": [["5", 1]]}', 'option "logit_bias" must be an object from token ids to numbers', ''),
	('{"logit_bias": [[5, "a"]]}', 'option "logit_bias" must be a number', ''),
	('{"logit_bias": [[1.5, 1]]}', 'invalid token id "1.5" in option "logit_bias"', 'llama2_tokenize() tells the ids of a text''s tokens.'),
	('{"logit_bias": [[-1, 1]]}', 'invalid token id "-1" in option "logit_bias"', 'llama2_tokenize() tells the ids of a text''s tokens.'),
	('{"logit_bias": {"5": "a"}}', 'option "logit_bias" must be a number', ''),
	('{"logit_bias": {"5": true}}', 'option "logit_bias" must be a number', ''),
	('{"logit_bias": {"5": null}}', 'option "logit_bias" must be a number', ''),
	('{"logit_bias": {"the": 1}}', 'invalid token id "the" in option "logit_bias"', 'llama2_tokenize() tells the ids of a text''s tokens.'),
	('{"logit_bias": {"": 1}}', 'invalid token id "" in option "logit_bias"', 'llama2_tokenize() tells the ids of a text''s tokens.'),
	('{"logit_bias": {" 5": 1}}', 'invalid token id " 5" in option "logit_bias"', 'llama2_tokenize() tells the ids of a text''s tokens.'),
	('{"logit_bias": {"-1": 1}}', 'invalid token id "-1" in option "logit_bias"', 'llama2_tokenize() tells the ids of a text''s tokens.'),
	('{"logit_bias": {"99999999999999999999": 1}}', 'invalid token id "99999999999999999999" in option "logit_bias"',
	 'llama2_tokenize() tells the ids of a text''s tokens.')
) AS kinds (options, message, hint);
SELECT pg_temp.error_is($$SELECT llama2_generate('Once', options => '{"logit_bias": {"4096": 1}}')$$, '22023',
	'token 4096 in option "logit_bias" is not in the vocabulary of model "tinychat-6m"', 'Its tokens are 0 to 4095.');
SELECT pg_temp.error_is($$SELECT llama2_generate('Once', options => '{"logit_bias": {"5": 1e300}}')$$, '22023',
	'bias 1e+300 of token 5 in option "logit_bias" is out of range',
	'It must be at least -1000 and at most 1000, or false to ban the token.');

-- Unknown keys
\set all_options 'Options are max_tokens, temperature, top_p, top_k, min_p, typical_p, top_n_sigma, xtc_probability, xtc_threshold, dynatemp_range, dynatemp_exponent, mirostat, mirostat_tau, mirostat_eta, seed, repeat_penalty, frequency_penalty, presence_penalty, repeat_last_n, dry_multiplier, dry_base, dry_allowed_length, dry_penalty_last_n, dry_sequence_breakers, logit_bias, ignore_eos, min_tokens, stop, context_length, context_shift, n_keep, n, best_of, echo, logprobs, top_logprobs, grammar, regex, choices, json_schema, json, format, on_limit and on_error.'
SELECT pg_temp.error_is(format('SELECT llama2_generate(''Once'', options => %L)', jsonb_build_object(name, 1)), '22023',
	format('unrecognized option "%s"', name), '', hint)
FROM (VALUES
	('max_token', 'Perhaps you meant the option "max_tokens".'),
	('temprature', 'Perhaps you meant the option "temperature".'),
	('topk', 'Perhaps you meant the option "top_k".'),
	('Seed', 'Perhaps you meant the option "seed".'),
	('MAX_TOKENS', 'Perhaps you meant the option "max_tokens".'),
	('maxOutputTokens', 'Perhaps you meant the option "max_output_tokens".'),
	('numpredict', 'Perhaps you meant the option "num_predict".'),
	('mirostat_tao', 'Perhaps you meant the option "mirostat_tau".'),
	('m', :'all_options'),
	('', :'all_options'),
	('colour', :'all_options'),
	(repeat('x', 300), :'all_options')
) AS unknown (name, hint);

-- Other names for the same option: given with the option's own name, each is told to be the same
CREATE TEMPORARY TABLE aliases (name text, alias text, value jsonb);
INSERT INTO aliases VALUES
	('max_tokens', 'num_predict', '3'), ('max_tokens', 'n_predict', '3'), ('max_tokens', 'max_new_tokens', '3'),
	('max_tokens', 'max_completion_tokens', '3'), ('max_tokens', 'max_output_tokens', '3'), ('temperature', 'temp', '0'),
	('typical_p', 'typ_p', '0.5'), ('typical_p', 'typical', '0.5'), ('top_n_sigma', 'top_nsigma', '1'), ('top_n_sigma', 'nsigma', '1'),
	('dynatemp_exponent', 'dynatemp_exp', '1'), ('mirostat', 'mirostat_mode', '2'), ('mirostat_tau', 'mirostat_ent', '3'),
	('mirostat_eta', 'mirostat_lr', '0.2'), ('seed', 'random_seed', '3'), ('repeat_penalty', 'repetition_penalty', '2'),
	('repeat_last_n', 'penalty_last_n', '5'), ('dry_sequence_breakers', 'dry_sequence_breaker', '"x"'), ('min_tokens', 'min_new_tokens', '2'),
	('stop', 'stop_sequences', '["x"]'), ('stop', 'stop_strings', '["x"]'), ('context_length', 'num_ctx', '30'), ('context_length', 'n_ctx', '30'),
	('context_length', 'ctx_size', '30'), ('context_length', 'max_model_len', '30'), ('context_shift', 'shift', 'true'), ('n_keep', 'num_keep', '4'),
	('n', 'num_return_sequences', '1'), ('n', 'n_cmpl', '1'), ('echo', 'return_full_text', 'true'), ('top_logprobs', 'n_probs', '2'),
	('grammar', 'guided_grammar', '"root ::= \"x\""'), ('regex', 'guided_regex', '"x"'), ('choices', 'guided_choice', '["x"]'),
	('json_schema', 'guided_json', '{}'), ('format', 'response_format', '{"type": "text"}');
SELECT pg_temp.error_is(format('SELECT llama2_complete(''Once'', options => %L)', jsonb_build_object(name, value, alias, value)), '22023',
	format('options "%s" and "%s" are the same', first, second))
FROM aliases, LATERAL (SELECT min(n COLLATE "C") FILTER (WHERE length(n) = least(length(name), length(alias))) AS first FROM unnest(ARRAY[name, alias]) AS n) AS f,
	LATERAL (SELECT CASE WHEN first = name THEN alias ELSE name END AS second) AS s;
CREATE FUNCTION pg_temp.result(name text, options jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' | ', text, finish_reason, seed, completion_tokens, logprobs)
	FROM llama2_complete('Once upon a time', max_tokens => CASE WHEN name <> 'max_tokens' THEN 12 END,
		temperature => CASE WHEN name <> 'temperature' THEN 1 END, seed => CASE WHEN name <> 'seed' THEN 8 END, options => options)
$$;
SELECT is(pg_temp.result(name, extra || jsonb_build_object(alias, value)), pg_temp.result(name, extra || jsonb_build_object(name, value)), alias || ' is ' || name)
FROM aliases, LATERAL (SELECT CASE WHEN name LIKE 'mirostat_%' THEN '{"mirostat": 1}' WHEN name = 'n_keep' THEN '{"context_shift": true, "context_length": 12}'
	ELSE '{}' END::jsonb AS extra) AS e;
SELECT lives_ok(format('SELECT llama2_generate(''Once'', max_tokens => 2, options => %L)', jsonb_object_agg(alias, NULL)), 'NULL is none given, under any name') FROM aliases;
SELECT is(llama2_generate('Once upon a time', temperature => 0, options => '{"num_predict": 3, "max_tokens": null}'),
	llama2_generate('Once upon a time', temperature => 0, max_tokens => 3), 'nor is it the same');

-- Formats
SELECT is(llama2_generate('Once upon a time', temperature => 0, max_tokens => 30, options => options),
	llama2_generate('Once upon a time', temperature => 0, max_tokens => 30, options => meant), options::text || ' means ' || meant::text)
FROM (VALUES
	('{"format": "json"}'::jsonb, '{"json": true}'::jsonb), ('{"format": {"type": "boolean"}}', '{"json_schema": {"type": "boolean"}}'),
	('{"response_format": {"type": "text"}}', '{}'), ('{"response_format": {"type": "json_object"}}', '{"json": true}'),
	('{"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "strict": true, "schema": {"type": "boolean"}}}}',
	 '{"json_schema": {"type": "boolean"}}')) AS formats (options, meant);
SELECT pg_temp.error_is($$SELECT llama2_generate('Once', options => '{"format": "json", "regex": "a"}')$$, '22023', 'options "regex" and "format" exclude each other');
SELECT pg_temp.error_is($$SELECT llama2_generate('Once', options => '{"format": "json", "json": true}')$$, '22023', 'options "json" and "format" exclude each other');

-- How many
SELECT pg_temp.error_is($$SELECT llama2_generate('Once', stop => array_agg('stop ' || n)) FROM generate_series(1, 17) AS n$$, '22023',
	'too many stop strings', 'There can be at most 16.');
SELECT pg_temp.error_is($$SELECT llama2_generate('Once', stop => ARRAY['a', ''])$$, '22023', 'a stop string must not be empty');
SELECT pg_temp.error_is($$SELECT llama2_generate('Once', stop => ARRAY[repeat('a', 1025)])$$, '22023', 'stop string of 1025 bytes is too long',
	'It can have at most 1024 bytes.');
SELECT lives_ok($$SELECT llama2_generate('Once', max_tokens => 2, stop => array_agg(repeat('a', 1000) || n)) FROM generate_series(1, 16) AS n$$,
	'16 long stop strings');
SELECT pg_temp.error_is($$SELECT llama2_generate('Once', options => jsonb_build_object('logit_bias', jsonb_object_agg(n, 1))) FROM generate_series(1, 65) AS n$$,
	'22023', 'too many tokens in option "logit_bias"', 'There can be at most 64.');

SELECT pg_temp.error_is($$SELECT llama2_generate('Once', options => jsonb_build_object('dry_sequence_breakers', jsonb_agg('stop ' || n))) FROM generate_series(1, 17) AS n$$, '22023',
	'too many sequence breakers', 'There can be at most 16.');
SELECT pg_temp.error_is($$SELECT llama2_generate('Once', options => jsonb_build_object('dry_sequence_breakers', repeat('a', 41)))$$, '22023', 'sequence breaker of 41 bytes is too long',
	'It can have at most 40 bytes.');
SELECT lives_ok($$SELECT llama2_generate('Once', max_tokens => 5, options => jsonb_build_object('dry_multiplier', 1, 'dry_sequence_breakers', jsonb_agg(repeat('a', 38) || n)))
	FROM generate_series(10, 25) AS n$$, '16 long ones');

-- Greedy, in four ways
CREATE TEMPORARY TABLE greedy AS SELECT llama2_generate('Once upon a time', temperature => 0, max_tokens => 40) AS text;
SELECT is(llama2_generate('Once upon a time', temperature => 1, top_k => 1, max_tokens => 40), text, 'top_k 1 is greedy') FROM greedy;
SELECT is(llama2_generate('Once upon a time', temperature => 1, top_p => 1e-6, max_tokens => 40), text, 'so is a very small top_p') FROM greedy;
SELECT is(llama2_generate('Once upon a time', temperature => 1, min_p => 1, max_tokens => 40), text, 'and min_p 1') FROM greedy;
SELECT is(llama2_generate('Once upon a time', temperature => 1e-30, max_tokens => 40), text, 'and a temperature of nearly 0') FROM greedy;
SELECT is(llama2_generate('Once upon a time', temperature => 0, seed => seed, max_tokens => 40), text, 'greedy does not depend on the seed') FROM greedy,
	unnest(ARRAY[1, 2]) AS seed;

-- Seeds
SELECT is(llama2_generate('Once upon a time', temperature => 2, seed => seed, max_tokens => 30),
		  llama2_generate('Once upon a time', temperature => 2, seed => seed, max_tokens => 30), 'seed ' || seed || ' gives the same text twice')
FROM unnest(ARRAY[0, 1, -1, 4294967296, 9223372036854775807]) AS seed;
SELECT is(count(DISTINCT text)::int, 6, 'different seeds give different texts')
FROM unnest(ARRAY[0, 1, -1, 2, 4294967296, 4294967297]) AS seed,
	LATERAL llama2_generate('Once upon a time', temperature => 2, top_k => 0, top_p => 1, seed => seed, max_tokens => 30) AS text;

-- Lengths
SELECT is((SELECT completion_tokens FROM llama2_complete('Once upon a time', temperature => 0, max_tokens => n)), n, 'max_tokens ' || n)
FROM unnest(ARRAY[1, 2, 17]) AS n;
CREATE TEMPORARY TABLE short AS SELECT completion_tokens, text FROM llama2_complete('Hello', system => 'Be brief.', temperature => 0);
SELECT ok((SELECT completion_tokens FROM llama2_complete('Hello', system => 'Be brief.', temperature => 0, options => '{"min_tokens": 40}')) >= 40,
	'min_tokens, more than the ' || completion_tokens || ' that it would be') FROM short WHERE completion_tokens < 40;
SELECT ok(starts_with(llama2_generate('Hello', system => 'Be brief.', temperature => 0, options => '{"min_tokens": 40}'), text), 'and only its end is different')
FROM short;
SELECT results_eq($$SELECT completion_tokens, finish_reason FROM llama2_complete('Hello', system => 'Be brief.', temperature => 0, max_tokens => 40,
	options => '{"ignore_eos": true}')$$, $$VALUES (40, 'length')$$, 'ignore_eos');

-- Stop strings
SET LOCAL llama2.max_tokens = 30;
CREATE TEMPORARY TABLE story AS SELECT llama2_generate('Once upon a time', temperature => 0) AS text;
SELECT is(llama2_generate('Once upon a time', temperature => 0, stop => ARRAY[stop]), split_part(text, stop, 1), 'stop string ' || stop)
FROM story, unnest(ARRAY[text, left(text, 1), '.', 'e', '. ', ' named', 'ived in a forest w', right(text, 1), right(text, 5), 'nothing of the kind']) AS stop;
SELECT is(llama2_generate('Once upon a time', temperature => 0, stop => ARRAY['forest', 'lazy', 'Fred']), split_part(text, 'lazy', 1), 'the first of several') FROM story;
SELECT is(llama2_generate('Once upon a time', temperature => 0, stop => ARRAY[NULL, 'lazy', NULL]), split_part(text, 'lazy', 1), 'NULL among stop strings is none') FROM story;
SELECT is(llama2_generate('Once upon a time', temperature => 0, options => '{"stop": "lazy"}'), split_part(text, 'lazy', 1), 'a string in options') FROM story;
SELECT is(llama2_generate('Once upon a time', temperature => 0, options => '{"stop": ["forest", "lazy"]}'), split_part(text, 'lazy', 1), 'an array in options') FROM story;
SELECT is(llama2_generate('Once upon a time', temperature => 0, stop => '{}'), text, 'no stop string') FROM story;

-- Logit biases
CREATE TEMPORARY TABLE first_token AS SELECT token_id FROM llama2_generate_stream('Once upon a time', temperature => 0, max_tokens => 1);
SELECT isnt((SELECT token_id FROM llama2_generate_stream('Once upon a time', temperature => 0, max_tokens => 1,
		options => jsonb_build_object('logit_bias', jsonb_build_object(token_id, bias)))), token_id, 'a token that is banned by ' || bias::text)
FROM first_token, unnest(ARRAY['false', '-100']::jsonb[]) AS bias;
SELECT is((SELECT bool_or(s.token_id = t.token_id) FROM llama2_generate_stream('Once upon a time', temperature => 2, seed => seed, top_k => 0, top_p => 1, max_tokens => 30,
		options => jsonb_build_object('logit_bias', jsonb_build_object(t.token_id, false))) AS s), false, 'never comes, seed ' || seed)
FROM first_token AS t, generate_series(1, 3) AS seed;
SELECT is((SELECT array_agg(DISTINCT token_id) FROM llama2_generate_stream('Once upon a time', max_tokens => 10, options => '{"logit_bias": {"300": 100}}')),
	ARRAY[300], 'a token with a large bias always comes');
SELECT is(llama2_generate('Once upon a time', temperature => 0, max_tokens => 10, options => jsonb_build_object('logit_bias', format('[[%s, false], [300, 1.5]]', token_id)::jsonb)),
	llama2_generate('Once upon a time', temperature => 0, max_tokens => 10, options => jsonb_build_object('logit_bias', jsonb_build_object(token_id, false, 300, 1.5))), 'biases as pairs')
FROM first_token;
SELECT is((SELECT logprob FROM llama2_generate_stream('Once upon a time', temperature => 0, max_tokens => 1, options => jsonb_build_object('logit_bias', jsonb_build_object(token_id, 50)))),
	(SELECT logprob FROM llama2_generate_stream('Once upon a time', temperature => 0, max_tokens => 1)), 'the log-probability is the model''s, without bias')
FROM first_token;

-- Penalties
SELECT is(count(DISTINCT token_id), count(*), 'no token comes twice with ' || options::text)
FROM unnest(ARRAY['{"presence_penalty": 100, "repeat_last_n": -1, "ignore_eos": true}', '{"frequency_penalty": 100, "repeat_last_n": -1, "ignore_eos": true}']::jsonb[]) AS options,
	LATERAL llama2_generate_stream('Once upon a time', temperature => 0, max_tokens => 40, options => options)
GROUP BY options;
SELECT isnt(llama2_generate('Once upon a time', temperature => 0, max_tokens => 40, options => '{"repeat_penalty": 1.5}'),
	llama2_generate('Once upon a time', temperature => 0, max_tokens => 40), 'repeat_penalty changes the text');
SELECT is(llama2_generate('Once upon a time', temperature => 0, max_tokens => 40, options => options), text, 'nothing changes with ' || options::text)
FROM greedy, unnest(ARRAY['{"repeat_penalty": 1}', '{"repeat_penalty": 1.5, "repeat_last_n": 0}', '{"presence_penalty": 100, "repeat_last_n": 0}',
	'{"frequency_penalty": 0}', '{}', '{"repeat_penalty": null, "stop": null, "logit_bias": null}']::jsonb[]) AS options;

-- An argument goes before options, options before the parameter
SELECT is((SELECT completion_tokens FROM llama2_complete('Once upon a time', temperature => 0, max_tokens => 3, options => '{"max_tokens": 5}')), 3, 'argument');
SELECT is((SELECT completion_tokens FROM llama2_complete('Once upon a time', temperature => 0, max_tokens => NULL, options => '{"max_tokens": 5}')), 5, 'options');
SELECT is(llama2_generate('Once upon a time', temperature => 0, stop => ARRAY['Fred'], options => '{"stop": "lazy"}'), split_part(text, 'Fred', 1),
	'stop strings of the argument replace those of options') FROM story;

-- Parameters
SET LOCAL llama2.max_tokens = 4;
SELECT is((SELECT completion_tokens FROM llama2_complete('Once upon a time', temperature => 0)), 4, 'llama2.max_tokens');
SET LOCAL llama2.temperature = 0;
SET LOCAL llama2.max_tokens = 40;
SELECT is(llama2_generate('Once upon a time'), text, 'llama2.temperature') FROM greedy;
SET LOCAL llama2.temperature = 2;
SET LOCAL llama2.top_k = 1;
SELECT is(llama2_generate('Once upon a time'), text, 'llama2.top_k') FROM greedy;
SET LOCAL llama2.top_k = 0;
SET LOCAL llama2.top_p = 1e-6;
SELECT is(llama2_generate('Once upon a time'), text, 'llama2.top_p') FROM greedy;
SET LOCAL llama2.top_p = 1;
SET LOCAL llama2.min_p = 1;
SELECT is(llama2_generate('Once upon a time'), text, 'llama2.min_p') FROM greedy;
SET LOCAL llama2.min_p = 0;
SET LOCAL llama2.seed = 11;
SELECT is(llama2_generate('Once upon a time'), llama2_generate('Once upon a time', seed => 11), 'llama2.seed');
SELECT is((SELECT seed FROM llama2_complete('Once upon a time', max_tokens => 1)), 11::bigint, 'and llama2_complete tells it');
SET LOCAL llama2.seed = -1;
SET LOCAL llama2.temperature = 0;
SET LOCAL llama2.repeat_penalty = 1.5;
SELECT is(llama2_generate('Once upon a time'), llama2_generate('Once upon a time', options => '{"repeat_penalty": 1.5}'), 'llama2.repeat_penalty');
SET LOCAL llama2.repeat_penalty = 1;
SET LOCAL llama2.model = 'nowhere';
SELECT pg_temp.error_is($$SELECT llama2_generate('Once')$$, '58P01', 'model "nowhere" does not exist', '', 'llama2_models() lists the models in llama2.model_directory.');
SET LOCAL llama2.model = 'tinychat-6m';
SELECT pg_temp.error_is($$SET llama2.model = '../x'$$, '22023', 'invalid value for parameter "llama2.model": "../x"', 'A model''s name is its file''s name without ".gguf".');
CREATE FUNCTION pg_temp.three_words(text) RETURNS text SET llama2.max_tokens = 3 SET llama2.temperature = 0 RETURN llama2_generate($1);
SELECT is(pg_temp.three_words('Once upon a time'), llama2_generate('Once upon a time', max_tokens => 3, temperature => 0), 'parameters of a function');

-- The limit
SET LOCAL llama2.max_tokens_limit = 10;
SELECT pg_temp.error_is($$SELECT llama2_generate('Once upon a time', max_tokens => 11)$$, '22023', 'max_tokens 11 is greater than the limit of 10', '',
	'The limit is the parameter llama2.max_tokens_limit.');
SELECT pg_temp.error_is($$SELECT llama2_generate('Once upon a time', options => '{"max_tokens": 11}')$$, '22023',
	'max_tokens 11 is greater than the limit of 10', '', 'The limit is the parameter llama2.max_tokens_limit.');
SELECT is((SELECT completion_tokens FROM llama2_complete('Once upon a time')), 10, 'the limit holds for llama2.max_tokens, too');
SELECT is((SELECT completion_tokens FROM llama2_complete('Once upon a time', max_tokens => 10, options => '{"ignore_eos": true, "min_tokens": 100}')), 10,
	'and whatever the other options are');

-- The list of all of them
SELECT is('Options are ' || string_agg(name, ', ') FILTER (WHERE name <> 'on_error') || ' and on_error.', (SELECT 'Options are ' || string_agg(name, ', ' ORDER BY place) || ' and on_error.'
	FROM regexp_split_to_table(substr(:'all_options', 13), ', | and |\.$') WITH ORDINALITY AS t (name, place) WHERE name NOT IN ('', 'on_error')), 'llama2_options: every name')
FROM (SELECT o.name FROM llama2_options() AS o JOIN regexp_split_to_table(substr(:'all_options', 13), ', | and |\.$') WITH ORDINALITY AS t (name, place) USING (name) ORDER BY place) AS o;
SELECT is((SELECT count(*) FROM llama2_options()), (SELECT count(*) - 1 FROM regexp_split_to_table(substr(:'all_options', 13), ', | and |\.$')), 'and no other');
SELECT lives_ok(format('SELECT llama2_generate(''Once'', max_tokens => 1, options => %L)', jsonb_build_object(alias, null)), 'alias ' || alias)
FROM llama2_options(), unnest(aliases) AS alias;
SELECT is("default", current_setting(parameter), 'default of ' || name) FROM llama2_options() WHERE parameter IS NOT NULL;
SET LOCAL llama2.top_k = 7;
SELECT is("default", '7', 'a default that was changed') FROM llama2_options() WHERE name = 'top_k';
RESET llama2.top_k;
SELECT results_eq($$SELECT type, range, "default", parameter FROM llama2_options() WHERE name IN ('min_tokens', 'typical_p', 'echo', 'seed', 'on_limit') ORDER BY name COLLATE "C"$$,
	$$VALUES ('boolean', 'boolean', 'false', NULL), ('integer', '0 …', '0', NULL), ('string', '"close", "error"', '"close"', NULL), ('bigint', 'bigint', '-1', 'llama2.seed'),
		('number', 'above 0 … 1', '1', NULL)$$, 'types, ranges and defaults');

SELECT * FROM finish();
ROLLBACK;
