-- llama2_classify, llama2_classify_scores, llama2_is_true, llama2_choice, llama2_score: what they return is
-- what llama2_logprobs says, to the last bit.

\set ON_ERROR_STOP 1
BEGIN;
SELECT no_plan();
\ir setup/samples.sql
\ir setup/error_is.sql

CREATE TEMPORARY TABLE texts AS
	SELECT row_number() OVER (ORDER BY id) AS id, turns[1] AS body FROM dialogs WHERE system IS NULL AND length(turns[1]) < 400 AND turns[1] !~ '\[' ORDER BY id LIMIT 14;

-- The score of a label by llama2_logprobs alone: the sum of its tokens' log-probabilities, by
-- their number where labels differ in it
CREATE FUNCTION pg_temp.scores(prompt text, labels text[]) RETURNS TABLE (label text, place bigint, score float8) LANGUAGE sql AS $$
	WITH sums AS (
		SELECT l.label, l.place, sum(s.logprob::float8 ORDER BY s.seq) AS total, count(*) AS n
		FROM unnest(labels) WITH ORDINALITY AS l (label, place), llama2_logprobs(prompt, ' ' || l.label) AS s GROUP BY l.label, l.place)
	SELECT label, place, CASE WHEN (SELECT count(DISTINCT n) FROM sums) = 1 THEN total ELSE total / n END FROM sums
$$;
CREATE FUNCTION pg_temp.best(prompt text, labels text[]) RETURNS text LANGUAGE sql AS $$
	SELECT label FROM pg_temp.scores(prompt, labels) ORDER BY score DESC, place LIMIT 1
$$;

CREATE TEMPORARY TABLE label_sets (labels text[], list text);
INSERT INTO label_sets VALUES
	(ARRAY['billing', 'shipping', 'technical', 'account', 'other'], 'billing, shipping, technical, account or other'),
	(ARRAY['low', 'normal', 'high'], 'low, normal or high'),
	(ARRAY['very long and unlikely label', 'positive', 'x'], 'very long and unlikely label, positive or x'),
	(ARRAY['only'], 'only');

-- One at a time, and several statements' worth at once
SELECT is(llama2_classify(body, labels), pg_temp.best(format(E'[INST] Classify this text as %s.\n\n%s [/INST]', list, body), labels), 'classify, text ' || id || ', ' || list)
FROM texts, label_sets ORDER BY id, list;
SELECT is(array_agg(s.probability ORDER BY s.place), array_agg(e.share ORDER BY e.place), 'scores to the bit, text ' || id || ', ' || list)
FROM texts, label_sets,
	LATERAL (SELECT row_number() OVER () AS place, * FROM llama2_classify_scores(body, labels)) AS s
	JOIN LATERAL (SELECT place, exp(score - max(score) OVER ()) AS share FROM pg_temp.scores(format(E'[INST] Classify this text as %s.\n\n%s [/INST]', list, body), labels)) AS shares USING (place)
	JOIN LATERAL (SELECT place, share / (SELECT sum(x.share ORDER BY x.place) FROM (SELECT place, exp(score - max(score) OVER ()) AS share
		FROM pg_temp.scores(format(E'[INST] Classify this text as %s.\n\n%s [/INST]', list, body), labels)) AS x) AS share FROM (SELECT shares.place, shares.share) AS one) AS e USING (place)
WHERE id < 4 GROUP BY id, list ORDER BY id, list;
SELECT is((SELECT array_agg(label) FROM llama2_classify_scores('My kettle leaks.', labels)), labels, 'scores come in the order of the labels') FROM label_sets;
SELECT ok(abs(sum(probability) - 1) < 1e-9, 'and add up to one') FROM llama2_classify_scores('My kettle leaks.', ARRAY['a', 'bb', 'c d e']);
SELECT is(llama2_classify(body, ARRAY['low', 'normal', 'high'], 'What is the priority of this ticket: {labels}?'),
	pg_temp.best(E'[INST] What is the priority of this ticket: low, normal or high?\n\n' || body || ' [/INST]', ARRAY['low', 'normal', 'high']), 'an instruction, text ' || id)
FROM texts WHERE id < 5;
SELECT is(llama2_classify(body, ARRAY['a', 'b'], ''), pg_temp.best('[INST] ' || body || ' [/INST]', ARRAY['a', 'b']), 'an empty instruction, text ' || id) FROM texts WHERE id < 3;

-- The tickets of the demo
SELECT is(llama2_classify(body, ARRAY['billing', 'shipping', 'technical', 'account', 'other']), category, 'ticket: ' || category) FROM (VALUES
	('Hello, I was charged twice for the office chair. I want my money back! You can reach me at tom.berg@mail.com. This is urgent. Thanks, Tom Berg', 'billing'),
	('I was locked out of the account. Please help me. It is not urgent. Regards, Nina Weber', 'account')) AS tickets (body, category);
SELECT is(llama2_classify('I love this lamp. It is easy to use and the light is bright.', ARRAY['positive', 'negative', 'neutral'], 'What is the sentiment of this review?'), 'positive', 'positive');
SELECT is(llama2_classify('The soup was cold and the waiter was rude.', ARRAY['positive', 'negative', 'neutral'], 'What is the sentiment of this review?'), 'negative', 'negative');

-- Yes or no
SELECT is(llama2_is_true(body), pg_temp.best(E'[INST] Is this true? Answer yes or no.\n\n' || body || ' [/INST]', ARRAY['Yes', 'No']) = 'Yes', 'is_true, text ' || id) FROM texts;
SELECT is(llama2_is_true(body, 'Is this spam?'), spam, 'spam: ' || spam) FROM (VALUES
	('You have won $5000! Click www.blarvo.biz to claim your prize.', true), ('See you at lunch tomorrow.', false)) AS messages (body, spam);

-- Choices
SELECT is(llama2_choice(prompt, ARRAY['Positive', 'Negative']), answer, 'choice') FROM completions WHERE id = 3;
SELECT is(llama2_choice(body || E'\nCategory:', labels), pg_temp.best(body || E'\nCategory:', labels), 'choice, text ' || id || ', ' || list) FROM texts, label_sets WHERE id < 6;
SELECT is(llama2_choice('Once upon a ', ARRAY['time', 'mattress']), 'time', 'no second space after a space');
SELECT is(llama2_choice('Who are you?', ARRAY['I', 'Arr'], system => 'You are a pirate.'), 'Arr', 'a choice in the chat template');
SELECT is(llama2_choice('Once upon a time', ARRAY['same', 'same']), 'same', 'equal ones');

-- Scores of completions
SELECT is(llama2_score(prompt, ' ' || answer), (SELECT sum(logprob::float8 ORDER BY seq) FROM llama2_logprobs(prompt, ' ' || answer)), 'score ' || id) FROM completions;
SELECT is(llama2_score('Once upon', ''), NULL, 'no completion, no score');

-- NULL, and what is wrong
SELECT is(llama2_classify(NULL, ARRAY['a']), NULL, 'NULL text');
SELECT is(llama2_classify('a', NULL), NULL, 'NULL labels');
SELECT is(llama2_is_true(NULL), NULL, 'NULL statement');
SELECT is(llama2_choice(NULL, ARRAY['a']), NULL, 'NULL prompt');
SELECT is(llama2_score(NULL, 'a'), NULL, 'NULL prompt of a score');
SELECT is_empty($$SELECT * FROM llama2_classify_scores(NULL, ARRAY['a'])$$, 'no rows for NULL');
SELECT pg_temp.error_is($$SELECT llama2_classify('a', '{}')$$, '22023', 'labels must not be empty');
SELECT pg_temp.error_is($$SELECT llama2_classify('a', ARRAY['a', NULL])$$, '22004', 'element 2 of labels is null');
SELECT pg_temp.error_is($$SELECT llama2_choice('a', ARRAY['a', ''])$$, '22023', 'element 2 of choices is empty');
SELECT pg_temp.error_is($$SELECT llama2_classify(repeat('word ', 600), ARRAY['a', 'b'])$$, '54000',
	(SELECT format('text of %s tokens does not fit the context of 512 tokens of model "tinychat-6m"', array_length(llama2_chat_prompt(jsonb_build_array(jsonb_build_object('role', 'user', 'content',
		E'Classify this text as a or b.\n\n' || repeat('word ', 600)))), 1) + 1)), '', 'Shorten the text; llama2_count_tokens() tells its length.');

-- More labels than slots
SELECT is(llama2_choice('Pick:', array_agg('label ' || n ORDER BY n)), pg_temp.best('Pick:', array_agg('label ' || n ORDER BY n)), '200 choices') FROM generate_series(1, 200) AS n;

SELECT * FROM finish();
ROLLBACK;
