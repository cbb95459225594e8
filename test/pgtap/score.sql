-- llama2_logprobs and llama2_perplexity.

\set ON_ERROR_STOP 1
BEGIN;
SELECT no_plan();
\ir setup/samples.sql
\ir setup/error_is.sql

-- Scoring what was generated gives the log-probabilities of the generation: both are over
-- all tokens, before temperature and top_k.
CREATE TEMPORARY TABLE generated AS
	SELECT seed, prompt, seq, token_id, token, logprob
	FROM (VALUES (1, 'Once upon a time'), (2, 'Once upon a time'), (3, 'The cat')) AS given (seed, prompt),
		llama2_generate_stream(prompt, seed => seed, max_tokens => 60, options => '{"min_tokens": 40}');
CREATE TEMPORARY TABLE scored AS
	SELECT g.seed, s.*
	FROM (SELECT seed, prompt, llama2_detokenize(llama2_tokenize(prompt) || array_agg(token_id ORDER BY seq)) AS whole
		  FROM generated GROUP BY seed, prompt) AS g,
		llama2_logprobs(g.prompt, substr(g.whole, length(g.prompt) + 1)) AS s;
SELECT is(s.ids, g.ids, 'the same tokens, seed ' || seed)
FROM (SELECT seed, array_agg(token_id ORDER BY seq) AS ids FROM generated GROUP BY seed) AS g
JOIN (SELECT seed, array_agg(token_id ORDER BY seq) AS ids FROM scored GROUP BY seed) AS s USING (seed) ORDER BY seed;
SELECT is(count(*), count(*) FILTER (WHERE s.logprob = g.logprob), 'the same log-probabilities, bit for bit, seed ' || seed)
FROM scored AS s JOIN generated AS g USING (seed, seq) GROUP BY seed ORDER BY seed;

-- Of all tokens that could come first, the probabilities add up to one: a sum over some
-- is below it, and greedy takes the largest.
SELECT ok(sum(p) BETWEEN 0.5 AND 1.0001, 'probabilities add up to at most one')
FROM (SELECT exp((SELECT logprob FROM llama2_logprobs('The cat', ' ' || word) WHERE seq = 1)) AS p
	  FROM (SELECT DISTINCT ON (token_id) ltrim(token) AS word, token_id FROM generate_series(1, 60) AS seed,
			LATERAL llama2_generate_stream('The cat', seed => seed, temperature => 1, top_k => 0, top_p => 1, max_tokens => 1)
			WHERE token ~ '^[a-z]+$' AND llama2_tokenize('The cat ' || token) = llama2_tokenize('The cat') || token_id) AS words) AS probabilities;
SELECT ok(positive > negative, 'the model finds a good review positive: ' || positive || ', ' || negative)
FROM (SELECT sum(logprob) AS positive FROM llama2_logprobs(E'Review: What a lovely place!\nSentiment:', ' Positive')) AS p,
	(SELECT sum(logprob) AS negative FROM llama2_logprobs(E'Review: What a lovely place!\nSentiment:', ' Negative')) AS n;

-- The border between prompt and completion
SELECT is((SELECT array_agg(token_id ORDER BY seq) FROM llama2_logprobs('', 'Once upon a time')), llama2_tokenize('Once upon a time'),
		  'without a prompt every token is scored');
SELECT is((SELECT string_agg(token, '' ORDER BY seq) FROM llama2_logprobs('', 'Once upon a time')), 'Once upon a time', 'and the texts are the text');
SELECT is((SELECT string_agg(token, '' ORDER BY seq) FROM llama2_logprobs('Once upon', ' a time')), ' a time', 'the completion''s text');
SELECT results_eq(
	$$SELECT seq + 2, token_id, token, logprob FROM llama2_logprobs('Once upon', ' a time')$$,
	$$SELECT seq, token_id, token, logprob FROM llama2_logprobs('', 'Once upon a time') WHERE seq > 2$$,
	'a prompt leaves out the rows of its tokens and changes no other');
SELECT is_empty($$SELECT * FROM llama2_logprobs('Once upon a time', '')$$, 'no completion, no rows');
SELECT is_empty($$SELECT * FROM llama2_logprobs('', '')$$, 'nothing at all, no rows');
SELECT is((SELECT string_agg(token, '' ORDER BY seq) FROM llama2_logprobs('Say: ', '😀')), '😀', 'bytes of a character are one text in the end');

-- Perplexity
SELECT ok(abs(ln(llama2_perplexity(answer)) + (SELECT avg(logprob::float8) FROM llama2_logprobs('', answer))) < 1e-9,
		  'perplexity is exp of the mean negative log-probability, dialog ' || id)
FROM dialogs ORDER BY id;
SELECT is(llama2_perplexity(''), NULL, 'no tokens, no perplexity');
SELECT ok(llama2_perplexity('Once upon a time, there was a lazy boy named Fred.') < 10, 'of a text that the model knows');
SELECT ok(llama2_perplexity('Boy upon lazy, Fred named time a was once.') > 100, 'of one that makes no sense');

-- NULL and errors
SELECT is_empty($$SELECT * FROM llama2_logprobs(NULL, 'a')$$, 'NULL as prompt gives no rows');
SELECT is_empty($$SELECT * FROM llama2_logprobs('a', NULL)$$, 'NULL as completion gives no rows');
SELECT is(llama2_perplexity(NULL), NULL, 'NULL gives NULL');
SELECT pg_temp.error_is($$SELECT * FROM llama2_logprobs('a', repeat(' word', 600))$$, '54000',
	'text of 602 tokens does not fit the context of 512 tokens of model "tinychat-6m"', '',
	'Shorten the text; llama2_count_tokens() tells its length.');
SELECT pg_temp.error_is($$SELECT llama2_perplexity(repeat('word ', 600))$$, '54000',
	'text of 602 tokens does not fit the context of 512 tokens of model "tinychat-6m"', '',
	'Shorten the text; llama2_count_tokens() tells its length.');
SELECT ok(llama2_perplexity(repeat(' a', 510)) > 0, 'a text as long as the context');

SELECT * FROM finish();
ROLLBACK;
