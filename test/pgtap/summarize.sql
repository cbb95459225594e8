-- llama2_summarize and llama2_summarize_agg.

\set ON_ERROR_STOP 1
BEGIN;
SELECT no_plan();
\ir setup/error_is.sql
SET LOCAL llama2.temperature = 0;

CREATE TEMPORARY TABLE tickets (id int, body text);
INSERT INTO tickets VALUES
	(1, 'My kettle leaks water. I bought it on March 3. My order number is A-3391. Please send me a replacement. Regards, Ana Lopez, Lisbon'),
	(2, 'Hello, I was charged twice for the office chair. I want my money back! You can reach me at tom.berg@mail.com. This is urgent. Thanks, Tom Berg'),
	(3, 'I was locked out of the account. Please help me. It is not urgent. Regards, Nina Weber'),
	(4, NULL);
\set all 'Ana Lopez says that the kettle leaks water and asks for a replacement.\nTom Berg was charged twice for the office chair and asks for a refund.\nNina Weber was locked out of the account and asks for help.'

-- What fits is one request
SELECT is(llama2_summarize(body), llama2_chat('Summarize: ' || body), 'one that fits, ' || id) FROM tickets WHERE id < 4;
SELECT is(llama2_summarize(NULL), NULL, 'NULL gives NULL');
SELECT is(llama2_summarize(E' \n\n '), '', 'nothing gives nothing');
SELECT is(llama2_summarize(body, system => 'Answer in capital letters.', max_tokens => 30),
	llama2_chat('Summarize: ' || body, system => 'Answer in capital letters.', max_tokens => 30), 'a system message') FROM tickets WHERE id = 3;

-- Parts: paragraphs
SELECT is(llama2_summarize(string_agg(body, E'\n \n' ORDER BY id), part_tokens => 60), :'all', 'a part for each paragraph') FROM tickets;
SELECT requests AS before FROM llama2_stats \gset
SELECT ok(length(llama2_summarize(repeat(body || E'\n\n', 20), max_tokens => 60)) > 20, 'longer than the context') FROM tickets WHERE id = 1;
SELECT ok(requests - :before BETWEEN 2 AND 40, format('in parts: %s requests', requests - :before)) FROM llama2_stats;

-- Sentences, words, nothing at all
SELECT ok(llama2_count_tokens(llama2_summarize(repeat('The shop is closed today. ', 200), max_tokens => 40)) <= 41, 'one paragraph of many sentences');
SELECT ok(llama2_count_tokens(llama2_summarize(repeat('word ', 2000), max_tokens => 40)) <= 41, 'one sentence of many words');
SELECT ok(llama2_count_tokens(llama2_summarize(repeat('世界', 3000), max_tokens => 40)) <= 41, 'one word of many characters');
SELECT isnt(llama2_summarize(repeat('ö世', 3000), max_tokens => 40), NULL, 'of different lengths');
SELECT is(llama2_summarize(repeat('The shop is closed today. ', 200), max_tokens => 40), llama2_summarize(repeat('The shop is closed today. ', 200), max_tokens => 40), 'reproducible');

-- The aggregate
SELECT is(llama2_summarize_agg(body ORDER BY id), :'all', 'rows in their order') FROM tickets;
SELECT is(llama2_summarize_agg(body ORDER BY id DESC), array_to_string(ARRAY(SELECT line FROM regexp_split_to_table(:'all', '\n') WITH ORDINALITY AS l (line, n) ORDER BY n DESC), E'\n'),
	'in another order') FROM tickets;
SELECT is(llama2_summarize_agg(body), NULL, 'no row') FROM tickets WHERE false;
SELECT is(llama2_summarize_agg(body), NULL, 'nothing but NULL') FROM tickets WHERE id = 4;
SELECT results_eq('SELECT id, llama2_summarize_agg(body) FROM tickets GROUP BY id ORDER BY id', $$SELECT id, llama2_chat('Summarize: ' || body) FROM tickets ORDER BY id$$, 'by groups');
SELECT is((SELECT count(*)::int FROM (SELECT llama2_summarize_agg(body) OVER (ORDER BY id) AS s FROM tickets) AS w WHERE s IS NOT NULL), 4, 'over a window');
SET LOCAL llama2.max_tokens = 40;
SELECT ok(llama2_count_tokens(llama2_summarize_agg(body)) <= 41, 'the summaries are summarized until they fit max_tokens') FROM tickets;

-- Errors
SELECT pg_temp.error_is($$SELECT llama2_summarize('Text', max_tokens => 500)$$, '54000',
	'max_tokens 500 leaves no room for a text in the context of 512 tokens of model "tinychat-6m"');
SELECT pg_temp.error_is($$SELECT llama2_summarize('Text', part_tokens => 0)$$, '22023', 'part_tokens 0 is out of range', 'It must be at least 1.');
SELECT pg_temp.error_is($$SELECT llama2_summarize('Text', temperature => -1)$$, '22023', 'temperature -1 is out of range', 'It must be at least 0 and at most 100.');

SELECT * FROM finish();
ROLLBACK;
