-- What the rarer sampling options do; several texts for one prompt; log-probabilities; a context that is shifted.

\set ON_ERROR_STOP 1
BEGIN;
SELECT no_plan();
\ir setup/error_is.sql

-- The rarer ways to sample: each changes the text, and a seed repeats it, alone or in the batch scan
CREATE TEMPORARY TABLE ways (options jsonb);
INSERT INTO ways VALUES
	('{"typical_p": 0.3}'), ('{"top_n_sigma": 0.5}'), ('{"xtc_probability": 1}'), ('{"dynatemp_range": 0.9}'),
	('{"mirostat": 1, "mirostat_tau": 1}'), ('{"mirostat": 2, "mirostat_tau": 1}'), ('{"repeat_penalty": 2, "repeat_last_n": -1}'),
	('{"frequency_penalty": 5}'), ('{"presence_penalty": 9}'),
	('{"dry_multiplier": 50, "dry_allowed_length": 1, "dry_penalty_last_n": -1, "dry_sequence_breakers": []}');
CREATE TEMPORARY VIEW texts AS
	SELECT options, llama2_generate('Once upon a time', max_tokens => 60, temperature => 1, top_k => 0, top_p => 1, seed => 4,
		options => options || '{"ignore_eos": true}') AS text FROM ways;
SET LOCAL llama2.batch_scan = off;
CREATE TEMPORARY TABLE one_by_one AS SELECT * FROM texts;
SET LOCAL llama2.batch_scan = on;
SELECT isnt(text, llama2_generate('Once upon a time', max_tokens => 60, temperature => 1, top_k => 0, top_p => 1, seed => 4, options => '{"ignore_eos": true}'),
	'another text with ' || options::text) FROM one_by_one;
SELECT results_eq('SELECT options, text FROM texts', 'SELECT options, text FROM one_by_one', 'the same texts in the batch scan');

-- Switched off, they change nothing
SELECT is(llama2_generate('Once upon a time', max_tokens => 30, temperature => 1, seed => 4, options => options),
	llama2_generate('Once upon a time', max_tokens => 30, temperature => 1, seed => 4), 'nothing changes with ' || options::text)
FROM unnest(ARRAY['{"typical_p": 1}', '{"top_n_sigma": 0}', '{"top_n_sigma": -1}', '{"xtc_probability": 0, "xtc_threshold": 0}',
	'{"xtc_probability": 1, "xtc_threshold": 0.51}', '{"dynatemp_range": 0, "dynatemp_exponent": 5}', '{"mirostat": 0, "mirostat_tau": 1}',
	'{"dry_multiplier": 0, "dry_allowed_length": 1}', '{"dry_multiplier": 9, "dry_penalty_last_n": 0}', '{"min_tokens": 0}', '{"n": 1, "best_of": 1}',
	'{"echo": false, "logprobs": false, "top_logprobs": 0}', '{"context_length": 512, "context_shift": true, "n_keep": 0}']::jsonb[]) AS options;

-- Greedy stays greedy
SELECT is(llama2_generate('Once upon a time', max_tokens => 30, temperature => 0, seed => 4, options => options),
	llama2_generate('Once upon a time', max_tokens => 30, temperature => 0), 'greedy with ' || options::text)
FROM unnest(ARRAY['{"xtc_probability": 1}', '{"dynatemp_range": 1}', '{"mirostat": 1}', '{"mirostat": 2}', '{"typical_p": 0.1}', '{"top_n_sigma": 3}']::jsonb[]) AS options;
SELECT is(llama2_generate('Once upon a time', max_tokens => 30, temperature => 1, options => '{"top_n_sigma": 0.00001}'),
	llama2_generate('Once upon a time', max_tokens => 30, temperature => 0), 'so is a very small top_n_sigma');

-- What they are for
SELECT is(llama2_generate('Once upon a time', max_tokens => 30, temperature => 0.5, seed => 4, options => '{"dynatemp_range": 0.5, "dynatemp_exponent": 0}'),
	llama2_generate('Once upon a time', max_tokens => 30, temperature => 1, seed => 4), 'a dynamic temperature with exponent 0 is the highest one');
SELECT ok(low.mean_logprob > high.mean_logprob + 0.5, format('mirostat %s: mean log-probability %s for tau 0.5, %s for tau 8', v, low.mean_logprob, high.mean_logprob))
FROM generate_series(1, 2) AS v,
	LATERAL llama2_complete('Once upon a time', max_tokens => 60, temperature => 2, seed => 4,
		options => format('{"mirostat": %s, "mirostat_tau": 0.5}', v)::jsonb) AS low,
	LATERAL llama2_complete('Once upon a time', max_tokens => 60, temperature => 2, seed => 4,
		options => format('{"mirostat": %s, "mirostat_tau": 8}', v)::jsonb) AS high;
SELECT is(bool_or(token['top_logprobs'][0]['token_id'] = token['token_id']), false, 'XTC: never the likeliest of several likely ones, in ' || count(*) || ' places')
FROM llama2_complete('Once upon a time', max_tokens => 200, temperature => 1, top_k => 0, top_p => 1, seed => 4,
		options => '{"xtc_probability": 1, "top_logprobs": 2, "ignore_eos": true}') AS c, jsonb_array_elements(c.logprobs) AS token
WHERE exp(token['top_logprobs'][1]['logprob']::float8) > 0.101;

CREATE TEMPORARY TABLE rhyme AS SELECT E'red blue green gold red blue green gold red blue green'::text AS prompt;
SELECT ok(starts_with(llama2_generate(prompt, max_tokens => 8, temperature => 0), 'gold red'), 'a repetition goes on') FROM rhyme;
SELECT ok(NOT starts_with(llama2_generate(prompt, max_tokens => 8, temperature => 0, options => '{"dry_multiplier": 20}'), 'gold'), 'not with DRY') FROM rhyme;
SELECT ok(starts_with(llama2_generate(prompt, max_tokens => 8, temperature => 0, options => options), 'gold'), 'but with ' || options::text)
FROM rhyme, unnest(ARRAY['{"dry_multiplier": 20, "dry_allowed_length": 40}', '{"dry_multiplier": 20, "dry_penalty_last_n": 3}',
	'{"dry_multiplier": 20, "dry_sequence_breakers": " green"}', '{"dry_multiplier": 20, "dry_sequence_breakers": ["x", "en"]}']::jsonb[]) AS options;

-- Several texts
CREATE TEMPORARY TABLE several AS SELECT * FROM llama2_complete_n('Once upon a time', 4, max_tokens => 12, temperature => 1, seed => 7);
SELECT results_eq('SELECT number FROM several ORDER BY 1', 'VALUES (1), (2), (3), (4)', 'n texts');
SELECT is(array_agg(number), (SELECT array_agg(number ORDER BY mean_logprob DESC, number) FROM several), 'the likeliest first') FROM several;
SELECT is(seed, 6::bigint + number, 'each has a seed of its own: ' || number) FROM several;
SELECT is(text, llama2_generate('Once upon a time', max_tokens => 12, temperature => 1, seed => seed), 'with which it comes again: ' || number) FROM several;
SELECT ok(model = 'tinychat-6m' AND finish_reason = 'length' AND completion_tokens = 12 AND prompt_tokens = 5 AND logprobs IS NULL AND decode_ms > 0,
	'the details of ' || number) FROM several;
SELECT is(count(DISTINCT text)::int, 4, 'the texts are different') FROM several;
SELECT results_eq($$SELECT number, text FROM llama2_complete_n('Once upon a time', 2, max_tokens => 12, temperature => 1, seed => 7, options => '{"best_of": 4}')$$,
	'SELECT number, text FROM several LIMIT 2', 'the best two of four');
SELECT is((llama2_complete_n('Once upon a time', NULL, max_tokens => 12, temperature => 1, seed => 7, options => '{"n": 4, "echo": true}')).text,
	'Once upon a time' || text, 'n as an option, and the prompt before the text') FROM several LIMIT 1;
SELECT is((SELECT count(*)::int FROM llama2_complete_n('Once upon a time', NULL, max_tokens => 2)), 1, 'without n it is one');
SELECT is_empty('SELECT * FROM llama2_complete_n(NULL, 3)', 'NULL gives no row');
SELECT is((SELECT count(*)::int FROM llama2_complete_n('Once upon a time', 64, max_tokens => 1)), 64, 'up to 64');
SELECT pg_temp.error_is($$SELECT * FROM llama2_complete_n('Once', 0)$$, '22023', 'n 0 is out of range', 'It must be at least 1 and at most 64.');
SELECT pg_temp.error_is($$SELECT * FROM llama2_complete_n('Once', 65)$$, '22023', 'n 65 is out of range', 'It must be at least 1 and at most 64.');
SELECT pg_temp.error_is($$SELECT * FROM llama2_complete_n('Once', 3, options => '{"best_of": 2}')$$, '22023', 'best_of 2 is less than n 3',
	'The best n of best_of texts are given.');

CREATE TEMPORARY TABLE best AS SELECT text, seed, mean_logprob FROM several LIMIT 1;
SELECT is(llama2_generate('Once upon a time', max_tokens => 12, temperature => 1, seed => 7, options => '{"best_of": 4}'), text, 'best_of: llama2_generate') FROM best;
SELECT is(llama2_generate(ARRAY['Hello', NULL, 'Once upon a time'], max_tokens => 12, temperature => 1, seed => 7, options => '{"best_of": 4}'),
	ARRAY[llama2_generate('Hello', max_tokens => 12, temperature => 1, seed => 7, options => '{"best_of": 4}'), NULL, text], 'of an array, each') FROM best;
SELECT is(ROW(c.text, c.seed, c.mean_logprob), ROW(best.text, best.seed, best.mean_logprob), 'llama2_complete, with its seed')
FROM best, llama2_complete('Once upon a time', max_tokens => 12, temperature => 1, seed => 7, options => '{"best_of": 4}') AS c;
CREATE TEMPORARY TABLE rows_of_prompts AS SELECT n, CASE WHEN n % 4 = 0 THEN NULL ELSE repeat('Once ', n) END AS prompt FROM generate_series(1, 12) AS n;
SELECT results_eq($$SELECT n, llama2_generate(prompt, max_tokens => 9, temperature => 1, seed => 7, options => '{"best_of": 3}') FROM rows_of_prompts ORDER BY n$$,
	$$SELECT n, (SELECT text FROM llama2_complete_n(prompt, 3, max_tokens => 9, temperature => 1, seed => 7) LIMIT 1) FROM rows_of_prompts ORDER BY n$$,
	'in the batch scan');
SELECT is(llama2_chat('Tell me a story.', max_tokens => 9, temperature => 1, seed => 7, options => '{"best_of": 3}'),
	(SELECT text FROM (SELECT c.* FROM generate_series(7, 9) AS s, LATERAL llama2_complete('Tell me a story.', system => '', max_tokens => 9, temperature => 1, seed => s) AS c) AS c
	 ORDER BY mean_logprob DESC LIMIT 1), 'llama2_chat');
SELECT is(llama2_generate(repeat('too long ', 400), options => '{"best_of": 3, "on_error": "null"}'), NULL, 'no answer is none of several');

-- The prompt before the text
SELECT is(llama2_generate(prompt, max_tokens => 8, temperature => 0, options => '{"echo": true}'), prompt || CASE WHEN text ~ '^\w' THEN ' ' ELSE '' END || text, 'echo: ' || prompt)
FROM (SELECT prompt, llama2_generate(prompt, max_tokens => 8, temperature => 0) AS text FROM unnest(ARRAY['Once upon a time', 'Hello', 'red blue green gold red blue']) AS prompt) AS t;
SELECT is(llama2_generate(ARRAY['Once upon a time', NULL], max_tokens => 8, temperature => 0, options => '{"echo": true}'),
	ARRAY[llama2_generate('Once upon a time', max_tokens => 8, temperature => 0, options => '{"echo": true}'), NULL], 'of an array');
SELECT is((llama2_complete('Once upon a time', max_tokens => 8, temperature => 0, options => '{"echo": true}')).text,
	llama2_generate('Once upon a time', max_tokens => 8, temperature => 0, options => '{"echo": true}'), 'of llama2_complete');

-- Log-probabilities
CREATE TEMPORARY TABLE scored AS SELECT * FROM llama2_complete('Once upon a time', max_tokens => 40, temperature => 1, seed => 5, options => '{"logprobs": 3}');
CREATE TEMPORARY TABLE scored_tokens AS SELECT row_number() OVER ()::int AS seq, token FROM scored, jsonb_array_elements(logprobs) AS token;
SELECT is((SELECT string_agg(token->>'token', '' ORDER BY seq) FROM scored_tokens), text, 'the tokens are the text') FROM scored;
SELECT results_eq($$SELECT seq, (token->'token_id')::int, token->>'token', (token->'logprob')::float4 FROM scored_tokens ORDER BY seq$$,
	$$SELECT * FROM llama2_generate_stream('Once upon a time', max_tokens => 40, temperature => 1, seed => 5)$$, 'those of the stream, to the last bit');
SELECT is(mean_logprob, (SELECT avg((token->'logprob')::float4::float8) FROM scored_tokens)::float8, 'mean_logprob') FROM scored;
SELECT ok(bool_and(jsonb_array_length(token->'top_logprobs') = 3), 'three likeliest at each place') FROM scored_tokens;
SELECT ok(bool_and((token->'top_logprobs'->0->'logprob')::float4 >= (token->'top_logprobs'->1->'logprob')::float4
	AND (token->'top_logprobs'->1->'logprob')::float4 >= (token->'top_logprobs'->2->'logprob')::float4
	AND (token->'logprob')::float4 <= (token->'top_logprobs'->0->'logprob')::float4), 'the best first') FROM scored_tokens;
SELECT ok(bool_and(other->'logprob' = token->'logprob' AND other->'token' = token->'token'), 'among them the one that was drawn, ' || count(*) || ' times')
FROM scored_tokens, jsonb_array_elements(token->'top_logprobs') AS other WHERE other->'token_id' = token->'token_id';
SELECT is(jsonb_agg(token->'top_logprobs'->0->'token_id'), jsonb_agg(token->'token_id'), 'greedy: the likeliest is drawn')
FROM llama2_complete('Once upon a time', max_tokens => 30, temperature => 0, options => '{"top_logprobs": 1}') AS c, jsonb_array_elements(c.logprobs) AS token;
SELECT results_eq($$SELECT (token->'token_id')::int, (token->'logprob')::float4 FROM llama2_complete('Once upon a time', max_tokens => 30, temperature => 0, options => '{"logprobs": true}') AS c,
		jsonb_array_elements(c.logprobs) AS token$$,
	$$SELECT token_id, logprob FROM llama2_logprobs('Once upon a time', llama2_generate('Once upon a time', max_tokens => 30, temperature => 0))$$,
	'those of llama2_logprobs, to the last bit');
SELECT is((SELECT array_agg(DISTINCT key) FROM llama2_complete('Once', max_tokens => 2, options => '{"logprobs": true}') AS c, jsonb_array_elements(c.logprobs) AS token,
	jsonb_object_keys(token) AS key), ARRAY['logprob', 'token', 'token_id'], 'without the likeliest unless asked for');
SELECT is(logprobs, NULL, 'and without anything with ' || options::text)
FROM unnest(ARRAY['{}', '{"logprobs": false}', '{"top_logprobs": 0}', '{"n_probs": 0}']::jsonb[]) AS options, LATERAL llama2_complete('Once', max_tokens => 2, options => options);
SELECT is((SELECT string_agg(token->>'token', '' ORDER BY seq) FROM jsonb_array_elements(logprobs) WITH ORDINALITY AS t (token, seq)), text, 'with a stop string')
FROM llama2_complete('Once upon a time', temperature => 0, stop => ARRAY['lazy'], options => '{"logprobs": true}');
SELECT ok(jsonb_array_length(logprobs) = 3 AND logprobs->0->'top_logprobs' IS NOT NULL, 'of several texts')
FROM llama2_complete_n('Once upon a time', 3, max_tokens => 3, temperature => 1, options => '{"top_logprobs": 5}');
SELECT is(logprobs, '[]', 'none of an empty text') FROM llama2_complete('Once', max_tokens => 3, options => '{"logprobs": true, "logit_bias": {"2": 1000}}');
SELECT is(mean_logprob, NULL, 'nor their mean') FROM llama2_complete('Once', max_tokens => 3, options => '{"logit_bias": {"2": 1000}}');

-- The prompt's tokens before them, with echo
CREATE TEMPORARY TABLE echoed AS
	SELECT prompt, c.*, (SELECT jsonb_agg(token ORDER BY seq) FROM jsonb_array_elements(c.logprobs) WITH ORDINALITY AS t (token, seq) WHERE seq < c.prompt_tokens) AS before
	FROM unnest(ARRAY['Once upon a time', 'red blue green', E'A line.\nAnother']) AS prompt, LATERAL llama2_complete(prompt, max_tokens => 6, temperature => 1, seed => 3, options => '{"echo": true, "top_logprobs": 2}') AS c;
SELECT is((SELECT string_agg(token->>'token', '' ORDER BY seq) FROM jsonb_array_elements(logprobs) WITH ORDINALITY AS t (token, seq)), text, 'echo: all tokens are the whole text of ' || prompt) FROM echoed;
SELECT is(jsonb_array_length(logprobs), prompt_tokens - 1 + completion_tokens, 'as many as both have, but BOS, of ' || prompt) FROM echoed;
SELECT results_eq($$SELECT (token->>'token_id')::int, (token->>'logprob')::float4 FROM echoed, jsonb_array_elements(before) AS token$$,
	$$SELECT token_id, logprob FROM echoed, llama2_logprobs('', prompt)$$, 'those of the prompt are llama2_logprobs of it, to the last bit');
SELECT ok(bool_and(jsonb_array_length(token->'top_logprobs') = 2 AND (token->'top_logprobs'->0->'logprob')::float4 >= greatest((token->'top_logprobs'->1->'logprob')::float4, (token->'logprob')::float4)),
	'with those that were likeliest there') FROM echoed, jsonb_array_elements(before) AS token;
SELECT results_eq($$SELECT token->'top_logprobs' FROM echoed, jsonb_array_elements(before) WITH ORDINALITY AS t (token, seq) WHERE prompt = 'Once upon a time' AND seq > 1$$,
	$$SELECT c.logprobs->-1->'top_logprobs' FROM unnest(ARRAY['Once', 'Once upon', 'Once upon a']) AS beginning,
		LATERAL llama2_complete(beginning, max_tokens => 1, temperature => 0, options => '{"top_logprobs": 2, "echo": true}') AS c$$,
	'which are those after the text that ends before, to the last bit');
SELECT ok(bool_and(token->'top_logprobs' IS NULL), 'and without them unless asked for') FROM llama2_complete('Once upon a time', max_tokens => 2, options => '{"echo": true, "logprobs": true}') AS c, jsonb_array_elements(c.logprobs) AS token;
SELECT results_eq($$SELECT seed, mean_logprob, logprobs->-1 FROM echoed$$,
	$$SELECT c.seed, c.mean_logprob, c.logprobs->-1 FROM echoed, llama2_complete(prompt, max_tokens => 6, temperature => 1, seed => 3, options => '{"top_logprobs": 2}') AS c$$,
	'what follows is that of a call without echo');
SELECT results_eq($$SELECT c.logprobs FROM echoed, llama2_complete_n(prompt, 2, max_tokens => 6, temperature => 1, seed => 2, options => '{"echo": true, "top_logprobs": 2}') AS c WHERE c.number = 2$$,
	'SELECT logprobs FROM echoed', 'of several texts, each');
SELECT is(jsonb_array_length(logprobs), 2, 'an empty prompt has none') FROM llama2_complete('', max_tokens => 2, options => '{"echo": true, "logprobs": true, "ignore_eos": true}');

-- As many tokens as can be
SELECT ok(prompt_tokens + completion_tokens = 512 AND finish_reason = 'length', 'max_tokens -1: until the context is full') FROM llama2_complete('Once upon a time', max_tokens => -1, options => '{"ignore_eos": true}');
SELECT is(llama2_generate('Once upon a time', temperature => 0, options => '{"num_predict": -1}'), llama2_generate('Once upon a time', temperature => 0, max_tokens => 500), 'or the text ends by itself');
SET LOCAL llama2.max_tokens_limit = 7;
SELECT is(completion_tokens, 7, 'or the limit is reached') FROM llama2_complete('Once upon a time', max_tokens => -1);
RESET llama2.max_tokens_limit;
SELECT pg_temp.error_is($$SELECT llama2_generate('Once', max_tokens => -2)$$, '22023', 'max_tokens -2 is out of range', 'It must be at least 1.');
SELECT is(llama2_chat('Is this a table?', temperature => 0, max_tokens => -1, options => '{"choices": ["yes", "no"]}') IN ('yes', 'no'), true, 'and with a constraint');

-- The context
SELECT is(prompt_tokens + completion_tokens, 40, 'a context of one''s own is full') FROM llama2_complete('Once upon a time', options => '{"context_length": 40, "ignore_eos": true}');
SELECT pg_temp.error_is($$SELECT llama2_generate('Once', options => '{"context_length": 513}')$$, '22023',
	'context_length 513 is greater than the context of 512 tokens of model "tinychat-6m"', '', 'The server''s parameter llama2.context_length says how long it is.');
SELECT pg_temp.error_is($$SELECT llama2_generate('Once upon a time', options => '{"context_length": 5}')$$, '54000',
	'prompt of 5 tokens does not fit the context of 5 tokens of model "tinychat-6m"', '', 'Shorten the prompt; llama2_count_tokens() tells its length.');
CREATE TEMPORARY TABLE shifts AS
	SELECT jsonb_build_object('context_shift', true, 'ignore_eos', true, 'context_length', context, 'n_keep', keep) AS options
	FROM unnest(ARRAY[40, 512]) AS context, unnest(ARRAY[-1, 0, 4]) AS keep;
CREATE TEMPORARY VIEW shifted AS
	SELECT options, c.text, completion_tokens, finish_reason FROM shifts, LATERAL llama2_complete('Once upon a time', max_tokens => 600, seed => 3, options => options) AS c;
CREATE TEMPORARY TABLE shifted_once AS SELECT * FROM shifted;
SELECT ok(completion_tokens = 600 AND finish_reason = 'length', 'past a full context: ' || options::text) FROM shifted_once;
SELECT results_eq('SELECT options, text FROM shifted', 'SELECT options, text FROM shifted_once', 'the same text again');
SELECT results_eq($$SELECT options, llama2_generate('Once upon a time', max_tokens => 600, seed => 3, options => options) FROM shifts$$,
	'SELECT options, text FROM shifted_once', 'and in the batch scan');
SELECT is(count(DISTINCT text)::int, 3, 'what is kept matters') FROM shifted_once WHERE (options->'context_length')::int = 40;
SELECT ok(starts_with(text, llama2_generate('Once upon a time', max_tokens => 600, seed => 3, options => options || '{"context_shift": false}')), 'the text up to there is the same: ' || options::text)
FROM shifted_once;

-- Options that are kept are merged with those of a call whatever names both use
CREATE TEMPORARY TABLE job AS SELECT llama2_submit('Once', max_tokens => 3, options => '{"num_predict": 5, "temp": 0, "repetition_penalty": null}') AS id;
SELECT is(j.options, '{"max_tokens": 3, "temperature": 0}', 'of a job') FROM llama2_job AS j JOIN job USING (id);
SELECT llama2_conversation_start('aliases', options => '{"num_predict": 5, "temp": 0}');
SELECT is(llama2_chat(conversation => 'aliases', message => 'Hello', options => '{"max_tokens": 3}'), llama2_chat('Hello', temperature => 0, max_tokens => 3), 'of a conversation');

-- Functions that cannot do it say so
\set where_n 'llama2_complete_n() gives several texts.'
\set where_best 'llama2_generate(), llama2_complete() and llama2_chat() without a conversation choose the best of several texts.'
\set where_echo 'llama2_generate() and llama2_complete() repeat the prompt, without "system".'
\set where_logprobs 'llama2_complete() tells log-probabilities.'
SELECT pg_temp.error_is(format('SELECT %s, options => %L)', call, jsonb_build_object(option, value)), '22023', format('option "%s" is not possible here', option), '', hint)
FROM (VALUES
	('n', '2'::jsonb, :'where_n', 'llama2_generate(''Once''::text'), ('n', '2', :'where_n', 'llama2_chat(''Once''::text'), ('n', '2', :'where_n', 'llama2_complete(''Once'''),
	('best_of', '2', :'where_best', 'llama2_generate_stream(''Once'''), ('best_of', '2', :'where_best', 'llama2_summarize(''Once'''),
	('best_of', '2', :'where_best', 'llama2_submit(''Once'''), ('best_of', '2', :'where_best', 'llama2_extract(''Once'', ''{}''::jsonb'),
	('echo', 'true', :'where_echo', 'llama2_chat(''Once''::text'), ('echo', 'true', :'where_echo', 'llama2_chat_stream(''Once''::text'),
	('echo', 'true', :'where_echo', 'llama2_generate(''Once''::text, system => ''Be brief.'''), ('echo', 'true', :'where_echo', 'llama2_submit(''Once'''),
	('logprobs', 'true', :'where_logprobs', 'llama2_generate(''Once''::text'), ('logprobs', 'true', :'where_logprobs', 'llama2_chat(''Once''::text'),
	('top_logprobs', '1', :'where_logprobs', 'llama2_generate(ARRAY[''Once'']'), ('top_logprobs', '1', :'where_logprobs', 'llama2_generate_stream(''Once''')
) AS refused (option, value, hint, call);

SELECT * FROM finish();
ROLLBACK;
