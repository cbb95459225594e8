-- The same model, prompt, options and seed give the same tokens, whatever runs beside them.

\set ON_ERROR_STOP 1
BEGIN;
SELECT no_plan();
\ir setup/samples.sql

CREATE TEMPORARY TABLE alone AS
	SELECT id, turns[1] AS prompt, llama2_generate(turns[1], seed => 5, temperature => 1, max_tokens => 24) AS text
	FROM dialogs WHERE id BETWEEN 6 AND 25;

SELECT is(llama2_generate(array_agg(prompt ORDER BY id), seed => 5, temperature => 1, max_tokens => 24), array_agg(text ORDER BY id), 'one batch')
FROM alone;
SELECT is(llama2_generate(array_agg(prompt ORDER BY id DESC), seed => 5, temperature => 1, max_tokens => 24), array_agg(text ORDER BY id DESC), 'in another order')
FROM alone;
SELECT is((llama2_generate(array_agg(repeat('word ', others.id * 7)) || which.prompt || array_agg(repeat('The end. ', others.id)), seed => 5, temperature => 1, max_tokens => 24))[21],
	which.text, 'beside other neighbours, dialog ' || which.id)
FROM alone AS which, alone AS others
WHERE which.id IN (6, 12, 17) GROUP BY which.id, which.prompt, which.text ORDER BY which.id;
SELECT is(llama2_generate(array_fill('Once upon a time'::text, ARRAY[40]), seed => 9, max_tokens => 20), array_fill(text, ARRAY[40]), 'forty times the same')
FROM llama2_generate('Once upon a time', seed => 9, max_tokens => 20) AS text;
SELECT is(string_agg(token, '' ORDER BY seq), text, 'as a stream, dialog ' || id)
FROM alone, llama2_generate_stream(prompt, seed => 5, temperature => 1, max_tokens => 24)
WHERE id < 12 GROUP BY id, text ORDER BY id;
SELECT is(llama2_generate(prompt, seed => 5, temperature => 1, max_tokens => 24), text, 'again, dialog ' || id) FROM alone ORDER BY id;

-- Whether a prefix is known already makes no difference
SELECT is(llama2_generate(prompt || ' And so on.', seed => 5, max_tokens => 12), first, 'a longer prompt, again, dialog ' || id)
FROM (SELECT id, prompt, llama2_generate(prompt || ' And so on.', seed => 5, max_tokens => 12) AS first FROM alone WHERE id < 12 OFFSET 0) AS twice;

-- Scores
CREATE TEMPORARY TABLE scores AS SELECT id, llama2_perplexity(text) AS perplexity FROM alone;
SELECT is(llama2_perplexity(text), perplexity, 'perplexity, dialog ' || id) FROM scores JOIN alone USING (id) ORDER BY id;

-- A shorter answer is the beginning of a longer one
SELECT ok(starts_with(text, llama2_generate(prompt, seed => 5, temperature => 1, max_tokens => 8)), 'the first 8 tokens, dialog ' || id)
FROM alone WHERE text !~ chr(65533) ORDER BY id;

SELECT * FROM finish();
ROLLBACK;
