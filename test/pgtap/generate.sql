-- llama2_generate: completing a prompt, one or an array of them.

\set ON_ERROR_STOP 1
BEGIN;
SELECT no_plan();
\ir setup/samples.sql
\ir setup/error_is.sql

-- What another program says of the same file
SELECT is(btrim(split_part(ltrim(llama2_generate(prompt, temperature => 0, max_tokens => 160), E' \n'), E'\n', 1)), answer, 'completion ' || id)
FROM completions ORDER BY id;
SELECT is(llama2_generate(turns[1], system => system, temperature => 0, max_tokens => 160), answer, 'with a system message, dialog ' || id)
FROM dialogs WHERE system IS NOT NULL AND cardinality(turns) = 1 ORDER BY id;
SELECT is(llama2_generate('[INST] ' || turns[1] || ' [/INST]', temperature => 0, max_tokens => 160), answer,
		  'the chat template by hand, dialog ' || id)
FROM dialogs WHERE system IS NULL AND cardinality(turns) = 1 ORDER BY id LIMIT 5;

-- Arrays
SELECT is(llama2_generate(array_agg(turns[1] ORDER BY id), system => 'Answer with one word.', temperature => 0, max_tokens => 20),
		  array_agg(llama2_generate(turns[1], system => 'Answer with one word.', temperature => 0, max_tokens => 20) ORDER BY id),
		  'an array gives what its prompts give one by one')
FROM dialogs WHERE id BETWEEN 10 AND 16;
SELECT is(llama2_generate(ARRAY[NULL, 'Once', NULL, 'Once'], temperature => 0, max_tokens => 3),
		  ARRAY[NULL, one, NULL, one], 'NULL in an array stays where it is')
FROM llama2_generate('Once', temperature => 0, max_tokens => 3) AS one;
SELECT is(llama2_generate('{}'::text[]), '{}'::text[], 'an empty array gives an empty array');
SELECT is(llama2_generate(ARRAY[NULL]::text[]), ARRAY[NULL]::text[], 'an array of nothing but NULL');
SELECT is(cardinality(llama2_generate(array_agg('Number ' || n), max_tokens => 1)), 300, 'more prompts than there are slots')
FROM generate_series(1, 300) AS n;
SELECT pg_temp.error_is($$SELECT llama2_generate(ARRAY['Once', repeat('word ', 600)])$$, '54000',
	'prompt of 602 tokens does not fit the context of 512 tokens of model "tinychat-6m"', '',
	'Shorten the prompt; llama2_count_tokens() tells its length.');
SELECT is((llama2_generate(ARRAY['Once'], temperature => 0, max_tokens => 3))[1], llama2_generate('Once', temperature => 0, max_tokens => 3),
		  'the model serves after that');

-- NULL and nothing
SELECT is(llama2_generate(NULL::text), NULL, 'NULL gives NULL');
SELECT is(llama2_generate(NULL::text, max_tokens => -1), NULL, 'NULL gives NULL, whatever the other arguments');
SELECT is(llama2_generate(NULL::text[]), NULL, 'no array gives no array');
SELECT ok(length(llama2_generate('', seed => 1, max_tokens => 20)) > 0, 'an empty prompt is a beginning like others');

-- The text
SELECT isnt(left(llama2_generate('Once upon a', temperature => 0, max_tokens => 5), 1), ' ', 'without the first token''s leading space');
SELECT is((SELECT count(*)::int FROM generate_series(1, 5) AS seed,
			  LATERAL llama2_generate(E'Grüße, 世界 😀\t\n', seed => seed, temperature => 5, top_k => 0, top_p => 1, max_tokens => 30) AS text
		   WHERE text IS NOT NULL AND convert_to(text, 'UTF8') IS NOT NULL), 5, 'random tokens make valid text');
SELECT is(llama2_generate('Once', temperature => 0, max_tokens => 4, model => 'tinychat-6m'),
		  llama2_generate('Once', temperature => 0, max_tokens => 4), 'the model can be named');
SELECT is(llama2_generate('Once', 4, 0, NULL, NULL, NULL, 5, NULL, NULL, 'tinychat-6m', '{}'),
		  llama2_generate('Once', temperature => 0, max_tokens => 4), 'arguments can be given in order');

-- In expressions, by rows
SELECT results_eq(
	$$SELECT id, btrim(llama2_generate(prompt, temperature => 0, stop => ARRAY[E'\n'])) FROM completions WHERE id > 2 ORDER BY id$$,
	$$SELECT id, answer FROM completions WHERE id > 2 ORDER BY id$$, 'over the rows of a table');
SELECT is((SELECT count(DISTINCT llama2_generate('Once upon a time', temperature => 1.5, max_tokens => 20))::int FROM generate_series(1, 5)), 5,
		  'volatile: every row has a draw of its own');

-- The array's shape is kept.
SELECT is(array_dims(llama2_generate('[0:1][3:4]={{Once,The},{A,One}}'::text[], max_tokens => 2, temperature => 0)),
	'[0:1][3:4]', 'dimensions and bounds of an array of prompts');

SELECT * FROM finish();
ROLLBACK;
