-- llama2_generate_stream and llama2_chat_stream: rows of tokens.  That they
-- come one at a time is tested from outside the server.

\set ON_ERROR_STOP 1
BEGIN;
SELECT no_plan();
\ir setup/samples.sql
\ir setup/error_is.sql

SELECT is(string_agg(token, '' ORDER BY seq), answer, 'the tokens make the text, dialog ' || id)
FROM dialogs, llama2_chat_stream(messages, temperature => 0, max_tokens => 160)
WHERE id >= 25 GROUP BY id, answer ORDER BY id;
SELECT is(string_agg(token, '' ORDER BY seq), answer, 'one message, dialog ' || id)
FROM dialogs, llama2_chat_stream(turns[1], system => system, temperature => 0, max_tokens => 160)
WHERE id IN (16, 17, 34, 42) GROUP BY id, answer ORDER BY id;
SELECT is((SELECT string_agg(token, '' ORDER BY seq) FROM llama2_generate_stream('Hello', system => 'You are a pirate.', temperature => 0)),
		  llama2_generate('Hello', system => 'You are a pirate.', temperature => 0), 'llama2_generate_stream with a system message');

CREATE TEMPORARY TABLE story AS SELECT * FROM llama2_generate_stream('Once upon a time', seed => 3, max_tokens => 120);
SELECT is((SELECT string_agg(token, '' ORDER BY seq) FROM story), llama2_generate('Once upon a time', seed => 3, max_tokens => 120),
		  'a drawn text');
SELECT is((SELECT array_agg(seq) FROM story), (SELECT array_agg(n) FROM generate_series(1, (SELECT count(*)::int FROM story)) AS n),
		  'numbered from 1, in order');
SELECT ok(bool_and(logprob <= 0 AND logprob > -50), 'log-probabilities') FROM story;
SELECT ok(bool_and(token_id BETWEEN 3 AND 4095), 'token ids, no control token') FROM story;
SELECT is((SELECT string_agg(token, '' ORDER BY seq) FROM story), ltrim((SELECT llama2_detokenize(array_agg(token_id ORDER BY seq)) FROM story)),
		  'ids and texts agree');
SELECT is((SELECT completion_tokens FROM llama2_complete('Once upon a time', seed => 3, max_tokens => 120)),
		  (SELECT count(*)::int FROM story), 'a row for each token that llama2_complete counts: the end of text is none');

-- In the target list
SELECT results_eq(
	$$SELECT (s).* FROM (SELECT llama2_generate_stream('Once upon a time', seed => 3, max_tokens => 120) AS s OFFSET 0) AS rows$$,
	'SELECT * FROM story', 'in the target list as in FROM');
SELECT is((SELECT count(*)::int FROM (SELECT llama2_generate_stream('Once', temperature => 0) LIMIT 3) AS rows), 3, 'LIMIT');
SELECT is((SELECT count(*)::int FROM (SELECT llama2_generate_stream('Once', temperature => 0) LIMIT 0) AS rows), 0, 'LIMIT 0');
SELECT is((SELECT array_agg(token ORDER BY seq) FROM llama2_generate_stream('Once', temperature => 0, max_tokens => 3)),
		  (SELECT array_agg(token) FROM (SELECT (llama2_generate_stream('Once', temperature => 0)).token LIMIT 3) AS rows),
		  'max_tokens as LIMIT');
SELECT results_eq(
	$$SELECT prompt, string_agg(token, '' ORDER BY seq) FROM unnest(ARRAY['Once', 'Two', 'The']) AS prompt,
		LATERAL llama2_generate_stream(prompt, temperature => 0, max_tokens => 10) GROUP BY 1 ORDER BY 1$$,
	$$SELECT prompt, llama2_generate(prompt, temperature => 0, max_tokens => 10) FROM unnest(ARRAY['Once', 'Two', 'The']) AS prompt ORDER BY 1$$,
	'beside each row of a table');
SELECT is((SELECT count(*)::int FROM (SELECT llama2_generate_stream('Once', temperature => 0, max_tokens => 4),
	llama2_generate_stream('Two', temperature => 0, max_tokens => 2)) AS rows), 4, 'two streams side by side');

-- Cursors: several open at once, closed early, and what holds after a rollback
DECLARE one CURSOR FOR SELECT (llama2_generate_stream('Once upon a time', seed => 3, max_tokens => 120)).token;
DECLARE two CURSOR FOR SELECT (llama2_generate_stream('Once upon a time', seed => 4, max_tokens => 120)).token;
SELECT results_eq('FETCH 3 FROM one', 'SELECT token FROM story WHERE seq <= 3', 'a cursor');
SELECT lives_ok('FETCH 5 FROM two', 'another');
SELECT results_eq('FETCH 4 FROM one', 'SELECT token FROM story WHERE seq BETWEEN 4 AND 7', 'each goes on where it was');
CLOSE two;
SELECT results_eq('FETCH ALL FROM one', 'SELECT token FROM story WHERE seq > 7', 'to its end');
CLOSE one;
SELECT is((SELECT count(*)::int FROM llama2_requests WHERE pid = pg_backend_pid() AND NOT cancelled), 0, 'no request is left');
SAVEPOINT before;
DECLARE three CURSOR FOR SELECT llama2_generate_stream('Once upon a time', max_tokens => 120);
SELECT lives_ok('FETCH 1 FROM three', 'a cursor in a subtransaction');
SELECT is((SELECT count(*)::int FROM llama2_requests WHERE pid = pg_backend_pid()), 1, 'has its request');
ROLLBACK TO before;
SELECT is((SELECT count(*)::int FROM llama2_requests WHERE pid = pg_backend_pid() AND NOT cancelled), 0, 'until it is rolled back');

-- Stop strings never show, not even their beginning
SELECT is((SELECT string_agg(token, '' ORDER BY seq) FROM llama2_generate_stream('Once upon a time', seed => 3, stop => ARRAY[stop])),
		  llama2_generate('Once upon a time', seed => 3, stop => ARRAY[stop]), 'stop string ' || stop)
FROM unnest(ARRAY['. ', ' lived', 'e', 'ived in a', '"', 'The end', 'nothing of the kind']) AS stop;

-- Tokens that are bytes, and no characters by themselves
SELECT is((SELECT string_agg(token, '' ORDER BY seq) FROM llama2_generate_stream('Once', temperature => 0, max_tokens => 6, options => options)),
		  llama2_generate('Once', temperature => 0, max_tokens => 6, options => options), 'bytes, ' || options::text)
FROM unnest(ARRAY['{"logit_bias": {"198": 100}}', '{"logit_bias": {"3": 100}}', '{"logit_bias": {"229": 100}}', '{"logit_bias": {"131": 100}}']::jsonb[]) AS options;
SELECT is((SELECT count(*)::int FROM llama2_generate_stream('Once', seed => 5, temperature => 10, top_k => 0, top_p => 1, max_tokens => 200,
	options => '{"ignore_eos": true}')), 200, 'a row for each token, whatever its text');
SELECT is((SELECT string_agg(token, '' ORDER BY seq) FROM llama2_generate_stream('Once', seed => seed, temperature => 10, top_k => 0, top_p => 1, max_tokens => 50)),
		  llama2_generate('Once', seed => seed, temperature => 10, top_k => 0, top_p => 1, max_tokens => 50), 'wild text with seed ' || seed)
FROM generate_series(1, 10) AS seed;

-- NULL and errors
SELECT is_empty('SELECT * FROM llama2_generate_stream(NULL)', 'NULL gives no rows');
SELECT is_empty('SELECT llama2_chat_stream(NULL::text)', 'in the target list too');
SELECT is_empty('SELECT * FROM llama2_chat_stream(NULL::jsonb)', 'no messages give no rows');
SELECT pg_temp.error_is($$SELECT llama2_generate_stream('Once', temperature => -1)$$, '22023', 'temperature -1 is out of range',
	'It must be at least 0 and at most 100.');
SELECT pg_temp.error_is($$SELECT * FROM llama2_generate_stream(repeat('word ', 600))$$, '54000',
	'prompt of 602 tokens does not fit the context of 512 tokens of model "tinychat-6m"', '',
	'Shorten the prompt; llama2_count_tokens() tells its length.');

SELECT * FROM finish();
ROLLBACK;
