-- llama2_complete: a text and its details.

\set ON_ERROR_STOP 1
BEGIN;
SELECT no_plan();
\ir setup/samples.sql
\ir setup/error_is.sql

CREATE TEMPORARY TABLE done AS
	SELECT 'end of text' AS what, 'Who are you?' AS prompt, c.* FROM llama2_complete('Who are you?', system => 'Be brief.', temperature => 0) AS c
	UNION ALL
	SELECT 'max_tokens', 'Once upon a time', c.* FROM llama2_complete('Once upon a time', temperature => 0, max_tokens => 7) AS c
	UNION ALL
	SELECT 'stop string', 'Once upon a time', c.* FROM llama2_complete('Once upon a time', temperature => 0, stop => ARRAY['named']) AS c
	UNION ALL
	SELECT 'full context', repeat('word ', 504), c.* FROM llama2_complete(repeat('word ', 504), temperature => 0, options => '{"ignore_eos": true}') AS c;

SELECT results_eq('SELECT what, finish_reason FROM done ORDER BY what',
	$$VALUES ('end of text', 'stop'), ('full context', 'length'), ('max_tokens', 'length'), ('stop string', 'stop')$$, 'finish_reason');
SELECT is(text, llama2_generate('Once upon a time', temperature => 0, max_tokens => 7), 'the text of llama2_generate') FROM done WHERE what = 'max_tokens';
SELECT is(completion_tokens, 7, 'completion_tokens') FROM done WHERE what = 'max_tokens';
SELECT is(prompt_tokens, llama2_count_tokens(prompt) + 1, 'prompt_tokens counts the beginning of text: ' || what) FROM done WHERE what <> 'end of text';
SELECT is(prompt_tokens + completion_tokens, 512, 'together they fill the context') FROM done WHERE what = 'full context';
SELECT is(llama2_count_tokens(text), completion_tokens, 'tokens of a text that ended by itself') FROM done WHERE what = 'end of text';
SELECT ok(strpos(text, 'named') = 0 AND text LIKE '%boy ', 'the text ends before the stop string: ' || text) FROM done WHERE what = 'stop string';
SELECT ok(bool_and(model = 'tinychat-6m'), 'model') FROM done;
SELECT ok(bool_and(cached_tokens BETWEEN 0 AND prompt_tokens - 1), 'cached_tokens') FROM done;
SELECT ok(bool_and(queue_ms >= 0 AND prefill_ms > 0 AND decode_ms > 0 AND queue_ms + prefill_ms + decode_ms < 60000), 'times') FROM done;

-- Seeds
SELECT is((SELECT seed FROM llama2_complete('Once', seed => 42, max_tokens => 1)), 42::bigint, 'the seed that was given');
SELECT is((SELECT seed FROM llama2_complete('Once', seed => -9223372036854775808, max_tokens => 1)), (-9223372036854775808)::bigint, 'the least seed');
SELECT is((SELECT seed FROM llama2_complete('Once', options => '{"seed": 9223372036854775807}', max_tokens => 1)), 9223372036854775807, 'the greatest seed');
SELECT is(count(DISTINCT seed)::int, 5, 'without one, each call has another')
FROM generate_series(1, 5) AS n, LATERAL llama2_complete(left('Once', 3 + n), max_tokens => 1) AS c;
SELECT is(llama2_generate('Once upon a time', seed => seed, max_tokens => 30), text, 'and that one gives the text again')
FROM llama2_complete('Once upon a time', max_tokens => 30) AS c;

-- The others
SELECT ok((SELECT c IS NULL FROM llama2_complete(NULL) AS c), 'NULL gives NULL');
SELECT is((SELECT c.text FROM llama2_complete(turns[1], system => system, temperature => 0) AS c), answer, 'with a system message, dialog ' || id)
FROM dialogs WHERE system IS NOT NULL AND cardinality(turns) = 1 ORDER BY id LIMIT 3;
SELECT is((llama2_complete('Once', temperature => 0, max_tokens => 2)).completion_tokens, 2, 'as a row in the target list');
SELECT pg_temp.error_is($$SELECT llama2_complete('Once', max_tokens => 0)$$, '22023', 'max_tokens 0 is out of range', 'It must be at least 1.');

SELECT * FROM finish();
ROLLBACK;
