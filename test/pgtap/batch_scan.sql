-- The batch scan: each kind of query has the same results with it and without; what EXPLAIN shows; errors of rows
-- that are read ahead; equal questions; progress; on_error.

\set ON_ERROR_STOP 1
BEGIN;
SELECT no_plan();
\ir setup/error_is.sql
SET LOCAL llama2.temperature = 0;
SET LOCAL llama2.max_tokens = 8;
SET LOCAL client_min_messages = warning;

CREATE TEMPORARY TABLE customers (id int PRIMARY KEY, name text);
INSERT INTO customers VALUES (1, 'Ana Lopez'), (2, 'Tom Berg'), (3, 'Nina Weber'), (4, 'Nobody');

CREATE TEMPORARY TABLE templates (id int, kind text);
INSERT INTO templates VALUES (1, 'Summarize: '), (2, 'Is this spam? ');

CREATE FUNCTION pg_temp.wrap(body text) RETURNS text LANGUAGE sql AS $$ SELECT llama2_chat('Summarize: ' || body) $$;
CREATE FUNCTION pg_temp.shout(body text) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN upper(body) || '!'; END $$;
CREATE FUNCTION pg_temp.inside(body text) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE answer text := llama2_chat(body);
	BEGIN
		FOR i IN 1..2 LOOP answer := answer || llama2_generate(answer, max_tokens => 3); END LOOP;
		RETURN answer;
	END $$;

CREATE TYPE pg_temp.complaint AS (product text, urgent boolean);
CREATE DOMAIN pg_temp.no_kettle AS text CHECK (VALUE <> 'kettle');
CREATE TYPE pg_temp.checked_complaint AS (product pg_temp.no_kettle);

-- Tables that a query may have changed are made anew for the next one.
CREATE FUNCTION pg_temp.fresh_tables() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		DROP TABLE IF EXISTS tickets, results, parts CASCADE;
		DROP SEQUENCE IF EXISTS numbers;
		CREATE TEMPORARY TABLE tickets (id int PRIMARY KEY, customer int, body text, summary text, data jsonb);
		INSERT INTO tickets
			SELECT i, i % 3 + 1,
				CASE WHEN i % 11 = 0 THEN NULL
					ELSE (ARRAY['My kettle leaks water.', 'I love this lamp.', 'I was charged twice for the chair.', 'The soup was cold.'])[i % 4 + 1]
						|| CASE WHEN i % 5 = 0 THEN '' ELSE ' Order ' || i END END,
				NULL, jsonb_build_object('n', i)
			FROM generate_series(1, 30) AS i;
		CREATE TEMPORARY TABLE results (id int, answer text);
		CREATE TEMPORARY SEQUENCE numbers;
		CREATE TEMPORARY TABLE parts (id int, body text) PARTITION BY RANGE (id);
		CREATE TEMPORARY TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
		CREATE TEMPORARY TABLE parts_2 PARTITION OF parts FOR VALUES FROM (10) TO (100);
		INSERT INTO parts SELECT id, body FROM tickets WHERE id <= 20;
		ANALYZE tickets;
	END $$;

-- The rows of a query in their order, with the scan or without.
CREATE FUNCTION pg_temp.rows_of(query text, batch_scan boolean, OUT rows jsonb, OUT planned boolean) LANGUAGE plpgsql AS $$
	DECLARE
		line record;
	BEGIN
		IF current_setting('test.changed', true) IS DISTINCT FROM 'false' THEN
			PERFORM pg_temp.fresh_tables();
		END IF;
		PERFORM set_config('test.changed', (query ~* 'insert|update|delete|nextval')::text, true);
		PERFORM set_config('llama2.batch_scan', batch_scan::text, true);
		rows := '[]';
		planned := false;
		FOR line IN EXECUTE 'EXPLAIN ' || query LOOP
			planned := planned OR line."QUERY PLAN" LIKE '%Custom Scan (Llama2 Batch)%';
		END LOOP;
		BEGIN
			FOR line IN EXECUTE query LOOP
				rows := rows || jsonb_build_array(to_jsonb(line));
			END LOOP;
		EXCEPTION WHEN OTHERS THEN
			rows := rows || to_jsonb(SQLSTATE || ' ' || SQLERRM);
		END;
		PERFORM set_config('llama2.batch_scan', 'on', true);
	END $$;

CREATE TEMPORARY TABLE shapes (number serial, is_planned boolean, shape text, query text);
INSERT INTO shapes (is_planned, shape, query) VALUES
	(true, 'target list', 'SELECT id, llama2_chat(body) FROM tickets'),
	(true, 'nested in an expression', $$SELECT upper(left('<' || llama2_generate(body) || '>', 20)) FROM tickets$$),
	(true, 'several calls in a row', $$SELECT llama2_chat(body), id, llama2_generate(body, stop => ARRAY['.']), llama2_perplexity(body) FROM tickets$$),
	(true, 'calls in calls', $$SELECT id, llama2_generate('Review: ' || llama2_chat('Summarize: ' || body) || E'\nSentiment:') FROM tickets$$),
	(true, 'CASE', $$SELECT id, CASE WHEN id % 3 = 0 THEN llama2_chat(body) WHEN id % 3 = 1 THEN llama2_generate(body) ELSE 'none' END FROM tickets$$),
	(true, 'CASE with an argument', $$SELECT CASE id % 4 WHEN 0 THEN 'none' WHEN 1 THEN llama2_chat(body) WHEN 2 THEN upper(llama2_generate(body)) END FROM tickets$$),
	(true, 'CASE over a call', $$SELECT CASE llama2_chat('What is the sentiment of this review? ' || body) WHEN 'positive' THEN llama2_chat('Summarize: ' || body) ELSE 'bad' END FROM tickets$$),
	(true, 'COALESCE', $$SELECT coalesce(summary, llama2_chat(body), llama2_chat('Who are you?')) FROM tickets$$),
	(true, 'COALESCE whose first is there', $$SELECT coalesce(nullif(id % 2, 0)::text, llama2_chat(body)) FROM tickets$$),
	(true, 'AND, OR, NOT', $$SELECT id, id > 3 AND llama2_chat(body) LIKE '%a%', id < 5 OR NOT llama2_chat(body) LIKE '%e%' FROM tickets$$),
	(true, 'a guard against an error', $$SELECT id, CASE WHEN id <> 7 THEN llama2_chat(body || (10 / (id - 7))::text) END FROM tickets$$),
	(true, 'arrays, rows, NULLIF, GREATEST', $$SELECT ARRAY[llama2_chat(body), 'x'], ROW(id, llama2_generate(body)), nullif(llama2_chat(body), 'x'), greatest(llama2_chat(body), body) FROM tickets WHERE id < 9$$),
	(true, 'fields of the details', $$SELECT (llama2_complete(body)).text, (llama2_complete(body)).finish_reason, (llama2_complete(body)).prompt_tokens FROM tickets$$),
	(true, 'a dialog', $$SELECT llama2_chat(jsonb_build_array(jsonb_build_object('role', 'user', 'content', body)), system => 'Answer with one word.') FROM tickets WHERE body IS NOT NULL$$),
	(true, 'an array of prompts', $$SELECT id, llama2_generate(ARRAY[body, NULL, 'Once upon ' || id]) FROM tickets$$),
	(true, 'options by row', $$SELECT id, llama2_generate(body, max_tokens => id % 5 + 1, options => jsonb_build_object('min_tokens', id % 3)) FROM tickets$$),
	(true, 'a seed', $$SELECT id, llama2_generate(body, temperature => 1.2, seed => id % 4) FROM tickets$$),
	(true, 'a seed in options', $$SELECT id, llama2_generate(body, temperature => 1.2, options => '{"seed": 5}') FROM tickets$$),
	(true, 'llama2_classify', $$SELECT id, llama2_classify(body, ARRAY['billing', 'technical', 'other']) FROM tickets$$),
	(true, 'llama2_classify, labels by row', $$SELECT id, llama2_classify(body, ARRAY['positive', 'negative', 'number ' || id], 'Which of {labels}?') FROM tickets WHERE id < 12$$),
	(true, 'llama2_classify in WHERE', $$SELECT id FROM tickets WHERE llama2_classify(body, ARRAY['positive', 'negative'], 'What is the sentiment of this review?') = 'positive'$$),
	(true, 'llama2_classify, GROUP BY', $$SELECT llama2_classify(body, ARRAY['positive', 'negative']), count(*) FROM tickets GROUP BY 1 ORDER BY 1$$),
	(true, 'llama2_classify, a label that is null', $$SELECT id, llama2_classify(body, ARRAY['a', CASE WHEN id <> 9 THEN 'b' END]) FROM tickets$$),
	(true, 'llama2_is_true', $$SELECT id, llama2_is_true(body), llama2_is_true(body, 'Is this spam?') FROM tickets$$),
	(true, 'llama2_is_true in WHERE', $$SELECT id, llama2_chat(body) FROM tickets WHERE llama2_is_true(body, 'Is this a complaint?') AND id > 4$$),
	(true, 'NOT llama2_is_true, and LIMIT', $$SELECT id FROM tickets WHERE NOT llama2_is_true(body) OR id = 3 LIMIT 5$$),
	(true, 'llama2_choice', $$SELECT id, llama2_choice(body || E'\nSentiment:', ARRAY['positive', 'negative']), llama2_choice(body, ARRAY['I', 'Arr'], system => 'You are a pirate.') FROM tickets$$),
	(true, 'llama2_choice in WHERE', $$SELECT id FROM tickets WHERE llama2_choice(body || E'\nSentiment:', ARRAY['positive', 'negative']) = 'negative'$$),
	(true, 'llama2_score', $$SELECT id, llama2_score(body, ' And that is all.'), llama2_score('Once upon', '') FROM tickets$$),
	(true, 'llama2_score in WHERE and ORDER BY', $$SELECT id FROM tickets WHERE llama2_score(body, ' Thanks!') > -30 ORDER BY llama2_score(body, ' a time'), id$$),
	(true, 'llama2_perplexity in WHERE', $$SELECT id FROM tickets WHERE llama2_perplexity(body) < 20$$),
	(true, 'llama2_extract', $$SELECT id, llama2_extract(body, '{"required": ["product"]}'::jsonb, max_tokens => 40) FROM tickets$$),
	(true, 'llama2_extract, a schema of type text', $$SELECT id, llama2_extract(body, '{"properties": {"product": {"type": "string"}}, "required": ["product"]}', max_tokens => 40) ->> 'product' FROM tickets$$),
	(true, 'llama2_extract in WHERE', $$SELECT id FROM tickets WHERE llama2_extract(body, '{"properties": {"product": {"type": "string"}}, "required": ["product"]}', max_tokens => 40) ->> 'product' = 'kettle'$$),
	(true, 'llama2_extract, a schema by row', $$SELECT id, llama2_extract(body, jsonb_build_object('required', jsonb_build_array('field ' || id % 3)), max_tokens => 40) FROM tickets WHERE id < 15$$),
	(true, 'llama2_extract, rows', $$SELECT id, llama2_extract(body, null::pg_temp.complaint, max_tokens => 40) FROM tickets$$),
	(true, 'llama2_extract, the columns of rows', $$SELECT id, (llama2_extract(body, null::pg_temp.complaint, max_tokens => 40)).* FROM tickets$$),
	(true, 'llama2_extract, rows in WHERE', $$SELECT id FROM tickets WHERE (llama2_extract(body, row('none', true)::pg_temp.complaint, max_tokens => 40)).product = 'kettle'$$),
	(true, 'llama2_extract, a row that breaks a constraint', $$SELECT id, llama2_extract(body, null::pg_temp.checked_complaint, max_tokens => 40) FROM tickets$$),
	(true, 'llama2_extract in an argument', $$SELECT id, llama2_chat('What is a ' || (llama2_extract(body, null::pg_temp.complaint, max_tokens => 40)).product || '?') FROM tickets$$),
	(true, 'llama2_extract, a constraint broken ahead', $$SELECT id, llama2_chat('What is a ' || (llama2_extract(body, null::pg_temp.checked_complaint, max_tokens => 40)).product || '?') FROM tickets$$),
	(true, 'llama2_extract, a constraint that LIMIT keeps away', $$SELECT id, llama2_chat('A ' || (llama2_extract(body, null::pg_temp.checked_complaint, max_tokens => 40)).product) FROM tickets WHERE llama2_generate(body) <> '' LIMIT 1$$),
	(true, 'llama2_extract, an invalid schema', $$SELECT id, llama2_extract(body, CASE WHEN id = 9 THEN '{"type": "text"}' ELSE '{"type": "string"}' END::jsonb, max_tokens => 40) FROM tickets$$),
	(true, 'llama2_summarize', $$SELECT id, llama2_summarize(body) FROM tickets$$),
	(true, 'llama2_summarize in parts', $$SELECT id, llama2_summarize(repeat(body || E'\n\n', id * 7), max_tokens => 40, part_tokens => 60) FROM tickets WHERE id < 8$$),
	(true, 'llama2_summarize in WHERE, nothing to summarize', $$SELECT id, llama2_summarize(left(body, id % 2 * 100)) FROM tickets WHERE llama2_summarize(body) LIKE '%a%'$$),
	(true, 'llama2_summarize in an argument', $$SELECT id, llama2_chat(llama2_summarize(repeat(body || E'\n\n', 20), max_tokens => 30, part_tokens => 40)) FROM tickets WHERE id < 6$$),
	(true, 'llama2_classify_scores', $$SELECT id, llama2_classify_scores(body, ARRAY['positive', 'negative']) FROM tickets$$),
	(true, 'llama2_classify_scores, a field', $$SELECT id, (llama2_classify_scores(body, ARRAY['positive', 'negative', 'number ' || id])).probability, llama2_chat(body) FROM tickets WHERE id < 15$$),
	(true, 'llama2_classify_scores, calls in its arguments', $$SELECT id, llama2_classify_scores(llama2_chat(body), ARRAY['positive', 'negative']) FROM tickets$$),
	(true, 'llama2_classify_scores in FROM', $$SELECT id, s.* FROM tickets, llama2_classify_scores(body, ARRAY['positive', 'negative']) AS s$$),
	(true, 'llama2_classify_scores in FROM, the best', $$SELECT id, s.label FROM tickets LEFT JOIN LATERAL (SELECT * FROM llama2_classify_scores(body, ARRAY['positive', 'negative', 'neutral']) ORDER BY probability DESC LIMIT 1) AS s ON true ORDER BY id$$),
	(true, 'LATERAL, the best and the next', $$SELECT id, s.label, s.n FROM tickets, LATERAL (SELECT label, row_number() OVER (ORDER BY probability DESC) AS n FROM llama2_classify_scores(body, ARRAY['positive', 'negative', 'neutral']) LIMIT 2 OFFSET 1) AS s$$),
	(true, 'LATERAL, an aggregate', $$SELECT id, s.n, s.best FROM tickets, LATERAL (SELECT count(*) AS n, max(logprob) AS best FROM llama2_logprobs('He said: ', body)) AS s WHERE id < 15$$),
	(true, 'LATERAL, in a subquery with a filter', $$SELECT id, s.label FROM tickets CROSS JOIN LATERAL (SELECT label FROM (SELECT * FROM llama2_classify_scores(body, ARRAY['positive', 'negative']) OFFSET 0) AS o WHERE probability > 0.5 ORDER BY label) AS s$$),
	(true, 'LATERAL, an error of a row', $$SELECT id, s.label FROM tickets, LATERAL (SELECT * FROM llama2_classify_scores(body, ARRAY['a', CASE WHEN id <> 9 THEN 'b' END]) ORDER BY probability LIMIT 1) AS s$$),
	(false, 'LATERAL, none of its rows', $$SELECT id, s.label FROM tickets LEFT JOIN LATERAL (SELECT * FROM llama2_classify_scores(body, ARRAY['a', 'b']) LIMIT 0) AS s ON true$$),
	(true, 'llama2_embed of an array', $$SELECT id, llama2_embed(ARRAY[body, NULL, 'Two']) FROM tickets WHERE id < 15$$),
	(true, 'llama2_embed of an array in FROM', $$SELECT id, e.e[1:3] FROM tickets, llama2_embed(ARRAY[body, 'number ' || id]) AS e (e)$$),
	(true, 'llama2_embed of an array, LATERAL', $$SELECT id, s.x FROM tickets, LATERAL (SELECT e.e[1] AS x FROM llama2_embed(ARRAY[body, 'number ' || id]) AS e (e) ORDER BY 1 DESC LIMIT 1) AS s$$),
	(true, 'llama2_complete_n', $$SELECT id, (llama2_complete_n(body, 2, seed => 3)).text FROM tickets WHERE id < 15$$),
	(true, 'llama2_complete_n in FROM', $$SELECT id, c.number, c.text, c.seed FROM tickets, llama2_complete_n(body, 2, temperature => 1, seed => id) AS c$$),
	(true, 'llama2_complete_n, LATERAL, the longest', $$SELECT id, c.text FROM tickets, LATERAL (SELECT * FROM llama2_complete_n(body, 3, temperature => 1, seed => 5) ORDER BY length(text) DESC, number LIMIT 1) AS c$$),
	(true, 'llama2_complete_n, an error of a row', $$SELECT id, c.text FROM tickets, llama2_complete_n(body, CASE WHEN id = 9 THEN 65 ELSE 2 END, seed => 1) AS c$$),
	(true, 'llama2_logprobs in FROM', $$SELECT id, s.token, s.logprob FROM tickets, llama2_logprobs('He said: ', body) AS s WHERE id < 5$$),
	(true, 'llama2_logprobs', $$SELECT id, llama2_logprobs('He said: ', body) FROM tickets WHERE id < 15$$),
	(true, 'llama2_extract in FROM', $$SELECT id, e.product, e.urgent FROM tickets, llama2_extract(body, null::pg_temp.complaint, max_tokens => 40) AS e$$),
	(true, 'llama2_chat in FROM', $$SELECT id, a FROM tickets LEFT JOIN llama2_chat('Summarize: ' || body) AS a ON a LIKE '%a%' ORDER BY id$$),
	(true, 'llama2_chat in FROM, a seed', $$SELECT id, a, llama2_generate(a) FROM tickets, llama2_chat(body, temperature => 1.3, seed => id) AS a WHERE a <> '' ORDER BY id LIMIT 7$$),
	(true, 'functions in FROM, ROWS FROM', $$SELECT id, r.* FROM tickets, ROWS FROM (llama2_classify_scores(body, ARRAY['a', 'b']), llama2_logprobs('x', left(body, 10))) AS r$$),
	(true, 'a function in FROM, an error', $$SELECT id, s.label FROM tickets, llama2_classify_scores(body, ARRAY['a', CASE WHEN id <> 9 THEN 'b' END]) AS s$$),
	(true, 'a function in FROM, an error behind LIMIT', $$SELECT id, s.label FROM tickets, llama2_classify_scores(body, ARRAY['a', CASE WHEN id <> 9 THEN 'b' END]) AS s LIMIT 8$$),
	(true, 'a function in FROM and a correlated subquery', $$SELECT id, (SELECT max(label) FROM llama2_classify_scores(body || t.id, ARRAY['a', 'b'])) FROM tickets AS t WHERE EXISTS (SELECT FROM customers AS c, llama2_classify_scores(c.name || t.body, ARRAY['a', 'b']) AS s WHERE c.id = t.customer AND s.probability > 0.5)$$),
	(true, 'llama2_summarize_agg', $$SELECT customer, llama2_summarize_agg(body ORDER BY id) FROM tickets GROUP BY customer ORDER BY 1$$),
	(true, 'llama2_summarize_agg of all', $$SELECT count(*), llama2_summarize_agg(body ORDER BY id DESC) FROM tickets WHERE id < 6$$),
	(true, 'llama2_summarize_agg of nothing', $$SELECT llama2_summarize_agg(body) FROM tickets WHERE id < 0$$),
	(true, 'llama2_summarize_agg, groups without texts', $$SELECT id, llama2_summarize_agg(body), llama2_summarize_agg(upper(body)) FILTER (WHERE id % 2 = 0) FROM tickets GROUP BY id ORDER BY id$$),
	(true, 'llama2_summarize_agg in an expression', $$SELECT customer % 2, upper(llama2_summarize_agg(DISTINCT body)) || count(body), max(id) FROM tickets WHERE id < 12 GROUP BY 1 ORDER BY 1$$),
	(true, 'llama2_summarize_agg in HAVING', $$SELECT customer FROM tickets GROUP BY customer HAVING llama2_summarize_agg(body ORDER BY id) LIKE '%a%' AND count(*) > 3 ORDER BY customer DESC$$),
	(true, 'llama2_summarize_agg, GROUPING SETS', $$SELECT customer, grouping(customer), llama2_summarize_agg(body ORDER BY id) FROM tickets WHERE id < 9 GROUP BY GROUPING SETS ((customer), ()) ORDER BY 2, 1$$),
	(true, 'llama2_summarize_agg of calls', $$SELECT customer, llama2_chat('Who? ' || llama2_summarize_agg(llama2_chat(body) ORDER BY id)) FROM tickets WHERE id < 8 GROUP BY customer ORDER BY 1$$),
	(true, 'llama2_summarize_agg and LIMIT', $$SELECT id, llama2_summarize_agg(body) FROM tickets GROUP BY id ORDER BY id LIMIT 2$$),
	(true, 'llama2_summarize_agg in a correlated subquery', $$SELECT c.id, (SELECT llama2_summarize_agg(t.body || c.name ORDER BY t.id) FROM tickets AS t WHERE t.customer = c.id AND t.id < 8) FROM customers AS c ORDER BY 1$$),
	(false, 'llama2_summarize_agg over a window', $$SELECT id, llama2_summarize_agg(body) OVER (ORDER BY id) FROM tickets WHERE id < 5$$),
	(true, 'llama2_summarize_texts', $$SELECT id, llama2_summarize_texts(ARRAY[body, NULL, 'Number ' || id]), llama2_summarize_texts('{}'), llama2_summarize_texts(ARRAY[body]) FROM tickets WHERE id < 12$$),
	(true, 'embeddings', $$SELECT id, llama2_embed(body), llama2_embed(coalesce(body, 'none'), options => '{"pooling": "last"}') FROM tickets$$),
	(true, 'an embedding that is stored', $$WITH u AS (UPDATE tickets SET data = to_jsonb(llama2_embed(body)) WHERE id % 2 = 1 RETURNING id, data) SELECT * FROM u$$),
	(true, 'similarity', $$SELECT id, round(llama2_similarity(body, 'Water leaks.')::numeric, 12) FROM tickets WHERE llama2_similarity(body, 'Ana Lopez ' || id) > 0 ORDER BY 2 DESC, id$$),
	(true, 'nearest', $$SELECT t.id, (SELECT c.id FROM customers AS c ORDER BY llama2_similarity(llama2_embed(c.name), llama2_embed(t.body)) DESC LIMIT 1) FROM tickets AS t WHERE body IS NOT NULL AND id < 8$$),
	(true, 'an empty text to embed in the 9th row', $$SELECT id, llama2_embed(CASE WHEN id = 9 THEN '' ELSE body END) FROM tickets$$),
	(true, 'WHERE', $$SELECT id, body FROM tickets WHERE llama2_chat('What is the sentiment of this review? ' || body) = 'positive'$$),
	(true, 'WHERE and target list', $$SELECT id, llama2_chat('Summarize: ' || body) FROM tickets WHERE llama2_generate(body) LIKE '%a%' AND id % 2 = 0$$),
	(true, 'two conditions', $$SELECT id FROM tickets WHERE llama2_chat(body) LIKE '%e%' AND llama2_generate(body) LIKE '%a%' AND body IS NOT NULL$$),
	(true, 'WHERE with OR', $$SELECT id FROM tickets WHERE id < 4 OR llama2_chat(body) LIKE '%i%'$$),
	(true, 'WHERE with LIMIT', $$SELECT id FROM tickets WHERE llama2_chat(body) LIKE '%a%' LIMIT 4$$),
	(true, 'INSERT SELECT', $$INSERT INTO results SELECT id, llama2_chat(body) FROM tickets RETURNING *$$),
	(true, 'INSERT SELECT with ON CONFLICT', $$INSERT INTO tickets (id, body) SELECT id, llama2_chat(body) FROM tickets ON CONFLICT (id) DO UPDATE SET summary = excluded.body RETURNING id, summary$$),
	(true, 'UPDATE', $$UPDATE tickets SET summary = llama2_chat('Summarize: ' || body) WHERE id % 2 = 1 RETURNING id, summary$$),
	(true, 'UPDATE FROM', $$UPDATE tickets SET summary = llama2_chat(c.name || ' says: ' || body) FROM customers AS c WHERE c.id = customer RETURNING tickets.id, summary$$),
	(true, 'DELETE', $$DELETE FROM tickets WHERE llama2_chat(body) LIKE '%a%' RETURNING id$$),
	(true, 'a data-modifying CTE', $$WITH d AS (DELETE FROM tickets WHERE llama2_chat(body) LIKE '%e%' RETURNING id, body) SELECT id, llama2_generate(body) FROM d$$),
	(true, 'ORDER BY a call', $$SELECT id, llama2_chat(body) AS answer FROM tickets ORDER BY 2 DESC NULLS LAST, id$$),
	(true, 'ORDER BY a column', $$SELECT llama2_chat(body) FROM tickets ORDER BY body, id DESC$$),
	(true, 'ORDER BY and LIMIT', $$SELECT id, llama2_chat(body) FROM tickets ORDER BY id DESC LIMIT 5$$),
	(true, 'LIMIT and OFFSET', $$SELECT id, llama2_chat(body) FROM tickets LIMIT 6 OFFSET 4$$),
	(true, 'LIMIT by a subquery', $$SELECT id, llama2_chat(body) FROM tickets LIMIT (SELECT count(*) FROM customers)$$),
	(true, 'WITH TIES', $$SELECT customer, llama2_chat(body) FROM tickets ORDER BY customer FETCH FIRST 3 ROWS WITH TIES$$),
	(true, 'DISTINCT', $$SELECT DISTINCT llama2_chat(body) AS answer FROM tickets ORDER BY 1$$),
	(true, 'DISTINCT ON', $$SELECT DISTINCT ON (customer) customer, llama2_chat(body) FROM tickets ORDER BY customer, id$$),
	(true, 'GROUP BY a call', $$SELECT llama2_chat(body), count(*), min(id) FROM tickets GROUP BY 1 ORDER BY 1, 3$$),
	(true, 'a call of an aggregate', $$SELECT customer, llama2_chat('Summarize: ' || string_agg(body, ' ' ORDER BY id)) FROM tickets GROUP BY customer ORDER BY 1$$),
	(true, 'an aggregate of calls', $$SELECT customer, string_agg(llama2_chat(body), ', ' ORDER BY id) FROM tickets GROUP BY customer ORDER BY 1$$),
	(true, 'an aggregate with a filter', $$SELECT count(llama2_chat(body)) FILTER (WHERE id > 5), max(llama2_perplexity(body)), array_agg(id ORDER BY id) FILTER (WHERE llama2_chat(body) LIKE '%a%') FROM tickets$$),
	(true, 'HAVING', $$SELECT customer, count(*) FROM tickets GROUP BY customer HAVING llama2_chat(string_agg(body, ' ' ORDER BY id)) LIKE '%a%' ORDER BY 1$$),
	(true, 'GROUPING SETS', $$SELECT customer, grouping(customer), llama2_generate('Customers: ' || count(*)) FROM tickets GROUP BY GROUPING SETS ((customer), ()) ORDER BY 1$$),
	(true, 'a join', $$SELECT t.id, llama2_chat(c.name || ': ' || t.body) FROM tickets AS t JOIN customers AS c ON c.id = t.customer ORDER BY t.id$$),
	(true, 'a join on a call', $$SELECT t.id, c.id FROM tickets AS t JOIN customers AS c ON llama2_chat(c.name || ': ' || t.body) LIKE '%a%' WHERE t.id < 6 ORDER BY 1, 2$$),
	(true, 'an outer join', $$SELECT c.id, t.id, llama2_chat(coalesce(t.body, c.name)) FROM customers AS c LEFT JOIN tickets AS t ON t.customer = c.id AND t.id > 20 ORDER BY 1, 2$$),
	(true, 'a cross join', $$SELECT t.id, p.id, llama2_chat(p.kind || t.body) FROM tickets AS t, templates AS p ORDER BY 1, 2$$),
	(true, 'a subquery in FROM', $$SELECT upper(answer) FROM (SELECT llama2_chat(body) AS answer FROM tickets OFFSET 2) AS q WHERE answer <> ''$$),
	(true, 'a CTE', $$WITH q AS MATERIALIZED (SELECT id, llama2_chat(body) AS answer FROM tickets) SELECT a.id, a.answer, b.answer FROM q AS a JOIN q AS b ON a.id = b.id + 1 ORDER BY 1$$),
	(true, 'a call of a subquery''s call', $$SELECT id, llama2_generate(answer) FROM (SELECT id, llama2_chat(body) AS answer FROM tickets OFFSET 0) AS q$$),
	(true, 'a correlated subquery', $$SELECT c.id, (SELECT string_agg(llama2_chat(body), '|' ORDER BY id) FROM tickets AS t WHERE t.customer = c.id) FROM customers AS c ORDER BY 1$$),
	(true, 'a subquery as an argument', $$SELECT id, llama2_chat(body || (SELECT name FROM customers AS c WHERE c.id = customer)) FROM tickets$$),
	(true, 'a subquery of its own as an argument', $$SELECT id, llama2_chat(body || (SELECT min(name) FROM customers WHERE id > 1)) FROM tickets$$),
	(true, 'a subquery that fails for some rows', $$SELECT id, CASE WHEN id > 20 THEN llama2_chat(body || (SELECT 1 / count(*) FROM customers WHERE id > 10)) END FROM tickets$$),
	(true, 'a subquery that would fail', $$SELECT id, CASE WHEN id > 20 THEN llama2_chat(body || (SELECT 1 / count(*) FROM customers WHERE id > 10)) END FROM tickets LIMIT 20$$),
	(true, 'UPDATE of several columns from a subquery', $$UPDATE tickets SET (customer, data) = (SELECT max(id), to_jsonb(max(name)) FROM customers AS c WHERE c.id > tickets.customer), summary = llama2_chat(body) RETURNING *$$),
	(true, 'EXISTS', $$SELECT c.id FROM customers AS c WHERE EXISTS (SELECT FROM tickets AS t WHERE t.customer = c.id AND llama2_chat(t.body) LIKE '%a%') ORDER BY 1$$),
	(true, 'IN', $$SELECT id FROM customers WHERE name NOT IN (SELECT coalesce(llama2_chat(body), '') FROM tickets) ORDER BY 1$$),
	(true, 'UNION ALL', $$SELECT llama2_chat(body) FROM tickets UNION ALL SELECT llama2_generate(name) FROM customers$$),
	(true, 'UNION', $$SELECT llama2_chat(body) AS a FROM tickets UNION SELECT llama2_generate(name) FROM customers ORDER BY a$$),
	(true, 'partitions', $$SELECT id, llama2_chat(body) FROM parts ORDER BY id$$),
	(true, 'a window function beside', $$SELECT id, row_number() OVER (ORDER BY id DESC), llama2_chat(body) FROM tickets ORDER BY id$$),
	(true, 'a call of a window function', $$SELECT id, llama2_chat(coalesce(lag(body) OVER (ORDER BY id), 'none')) FROM tickets ORDER BY id$$),
	(true, 'arguments of window functions', $$SELECT id, lag(llama2_chat(body)) OVER (ORDER BY id), first_value(llama2_generate(body)) OVER (PARTITION BY customer ORDER BY id) FROM tickets ORDER BY id$$),
	(true, 'aggregates over a window', $$SELECT id, count(*) FILTER (WHERE llama2_is_true(body)) OVER (ORDER BY id), string_agg(llama2_chat(body), '|') OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) FROM tickets$$),
	(true, 'an argument of a window function that fails', $$SELECT id, lag(llama2_chat(body || (10 / (12 - id)))) OVER (ORDER BY id) FROM tickets WHERE id < 13$$),
	(true, 'an argument of a window function that nobody looks at', $$SELECT id, lag(llama2_chat(body || (10 / (12 - id)))) OVER (ORDER BY id) FROM tickets WHERE id < 13 LIMIT 12$$),
	(true, 'a window ordered by a call', $$SELECT * FROM (SELECT id, row_number() OVER (ORDER BY llama2_score(body, ' a'), id) AS n FROM tickets) AS q WHERE n < 4$$),
	(true, 'a condition on a window function', $$SELECT * FROM (SELECT llama2_chat(body), llama2_generate(body, max_tokens => 2), upper(llama2_chat(body)), id, row_number() OVER (ORDER BY id) AS n, rank() OVER (ORDER BY id) + 1 AS r FROM tickets) AS q WHERE n <= 4$$),
	(true, 'the first of each', $$SELECT * FROM (SELECT llama2_chat(body) AS a, customer, row_number() OVER (PARTITION BY customer ORDER BY id DESC) AS n FROM tickets) AS q WHERE n = 1 AND a <> '' ORDER BY 2$$),
	(true, 'a join by what a call answers', $$SELECT t.id, c.name FROM tickets AS t LEFT JOIN customers AS c ON c.name = llama2_classify(t.body, ARRAY['Ana Lopez', 'Tom Berg']) ORDER BY 1$$),
	(true, 'EXCEPT', $$SELECT llama2_chat(body) FROM tickets EXCEPT ALL SELECT llama2_chat(body) FROM tickets WHERE id < 10 ORDER BY 1$$),
	(true, 'ordered-set aggregates', $$SELECT customer, percentile_disc(0.5) WITHIN GROUP (ORDER BY llama2_perplexity(body)), string_agg(id::text, ',' ORDER BY llama2_score(body, ' yes'), id) FROM tickets GROUP BY 1 ORDER BY 1$$),
	(true, 'ROLLUP of a call', $$SELECT llama2_classify(body, ARRAY['a', 'b']), customer, count(*) FROM tickets GROUP BY ROLLUP (1, 2) ORDER BY 1, 2, 3$$),
	(true, 'DELETE USING', $$DELETE FROM tickets AS t USING customers AS c WHERE c.id = t.customer AND llama2_chat(c.name || t.body) LIKE '%a%' RETURNING t.id, c.id$$),
	(false, 'ON CONFLICT DO UPDATE with calls', $$INSERT INTO tickets (id, body) SELECT id, 'The ' || id FROM tickets WHERE id < 9 ON CONFLICT (id) DO UPDATE SET summary = llama2_chat(excluded.body || tickets.body) RETURNING id, summary$$),
	(true, 'set-returning over a call', $$SELECT id, regexp_split_to_table(llama2_chat(body), ' ') FROM tickets$$),
	(true, 'set-returning beside a call', $$SELECT llama2_chat(body), id FROM (SELECT body, unnest(ARRAY[id, -id]) AS id FROM tickets) AS q$$),
	(true, 'functions in FROM', $$SELECT i, llama2_generate('Number ' || i) FROM generate_series(1, 25) AS i$$),
	(true, 'VALUES', $$SELECT a, llama2_generate(b) FROM (VALUES (1, 'One'), (2, 'Two'), (3, NULL)) AS v (a, b)$$),
	(true, 'VALUES with calls', $$VALUES (1, llama2_chat('Who are you?')), (2, llama2_chat('What is a table?')), (3, llama2_chat(NULL)), (4, llama2_chat('What is a table?'))$$),
	(true, 'VALUES with calls, joined', $$SELECT v.a, upper(v.b), c.name FROM (VALUES (1, llama2_generate('One', max_tokens => 3)), (2, llama2_generate('Two', max_tokens => 4))) AS v (a, b) JOIN customers AS c ON c.id = v.a ORDER BY 1$$),
	(false, 'INSERT VALUES', $$INSERT INTO results VALUES (1, llama2_chat('Who are you?')), (2, upper(llama2_chat('What is ' || 'a table?'))), (3, 'none') RETURNING *$$),
	(true, 'INSERT VALUES alike', $$INSERT INTO results VALUES (1, upper(llama2_chat('Who are you?'))), (2, upper(llama2_chat('What is ' || 'a table?'))) RETURNING *$$),
	(true, 'an error in VALUES', $$INSERT INTO results VALUES (1, llama2_chat('a', max_tokens => 2)), (2, llama2_chat('b', max_tokens => 0)), (3, llama2_chat('c', max_tokens => -1))$$),
	(false, 'VALUES with a volatile argument', $$VALUES (llama2_chat('a' || nextval('numbers'))), (llama2_chat('b' || nextval('numbers')))$$),
	(false, 'VALUES used twice', $$SELECT b, upper(b) FROM (VALUES (llama2_chat('a', temperature => 1, seed => 3)), (llama2_chat('b', temperature => 1, seed => 4))) AS v (b)$$),
	(false, 'VALUES with unlike calls', $$VALUES (llama2_chat('a')), (llama2_generate('b')), ('c')$$),
	(false, 'VALUES with lists', $$VALUES (llama2_chat(CASE WHEN current_setting('llama2.max_tokens')::int IN (1, 2, 3, 4, 5, 6, 7, 8, 9, 10) THEN 'a' END)),
		(llama2_chat(CASE WHEN current_setting('llama2.max_tokens')::int IN (1, 2, 3, 4, 5, 6, 7, 9, 10, 11) THEN 'a' END))$$),
	(true, 'recursion', $$WITH RECURSIVE r AS (SELECT 1 AS n, 'Once' AS t UNION ALL SELECT n + 1, t || llama2_generate(t, max_tokens => 3) FROM r WHERE n < 6) SELECT * FROM r$$),
	(true, 'an SQL function', $$SELECT id, pg_temp.wrap(body) FROM tickets$$),
	(true, 'a PL/pgSQL function as argument', $$SELECT id, llama2_chat(pg_temp.shout(body)) FROM tickets$$),
	(true, 'FOR UPDATE', $$SELECT id, llama2_chat(body) FROM tickets WHERE id < 10 FOR UPDATE$$),
	(true, 'FOR UPDATE SKIP LOCKED and LIMIT', $$SELECT id, llama2_chat(body) FROM tickets ORDER BY id LIMIT 3 FOR UPDATE SKIP LOCKED$$),
	(true, 'a constant prompt', $$SELECT llama2_generate('Once upon a time') FROM tickets$$),
	(true, 'a system column', $$SELECT ctid, tableoid::regclass::text, llama2_chat(body) FROM tickets$$),
	(true, 'a whole row', $$SELECT tickets, llama2_chat(tickets::text) FROM tickets WHERE id < 6$$),
	(true, 'volatile beside a call', $$SELECT nextval('numbers'), llama2_chat(body), nextval('numbers') FROM tickets$$),
	(false, 'volatile in an argument', $$SELECT nextval('numbers'), llama2_chat(body || nextval('numbers')) FROM tickets$$),
	(false, 'volatile below', $$SELECT n, llama2_chat(body) FROM (SELECT nextval('numbers') AS n, body FROM tickets OFFSET 0) AS q LIMIT 5$$),
	(false, 'locked below', $$SELECT llama2_chat(body) FROM (SELECT body FROM tickets FOR UPDATE) AS q LIMIT 5$$),
	(false, 'one row', $$SELECT llama2_chat('Who are you?'), llama2_generate('Once')$$),
	(false, 'calls inside PL/pgSQL', $$SELECT id, pg_temp.inside(body) FROM tickets WHERE id < 8$$),
	(false, 'a stream', $$SELECT id, s.token FROM tickets, llama2_generate_stream(body) AS s WHERE id < 4$$),
	(true, 'RETURNING', $$INSERT INTO results SELECT id, body FROM tickets WHERE id < 15 RETURNING id, upper(llama2_chat(answer)), llama2_is_true(answer)$$),
	(true, 'UPDATE RETURNING', $$UPDATE tickets SET body = body || '!', summary = llama2_generate(body) FROM customers AS c WHERE c.id = customer RETURNING c.name, tickets.id, llama2_chat(c.name || ': ' || body)$$),
	(true, 'DELETE RETURNING', $$DELETE FROM tickets WHERE id > 20 RETURNING llama2_chat('Summarize: ' || body), tableoid::regclass::text$$),
	(true, 'INSERT ON CONFLICT RETURNING', $$INSERT INTO tickets (id, body) SELECT id, 'The ' || id FROM tickets WHERE id < 9 ON CONFLICT (id) DO UPDATE SET summary = excluded.body RETURNING id, llama2_chat(summary || body)$$),
	(true, 'INSERT into partitions RETURNING', $$INSERT INTO parts SELECT id + 5, body FROM tickets WHERE id < 12 RETURNING parts, llama2_chat(body)$$),
	(true, 'UPDATE of partitions RETURNING', $$UPDATE parts SET id = id + 5 WHERE id > 3 RETURNING id, llama2_chat(body)$$),
	(true, 'RETURNING of constants', $$DELETE FROM tickets WHERE id < 4 RETURNING llama2_chat('Who are you?')$$),
	(true, 'RETURNING, an error', $$UPDATE tickets SET summary = body RETURNING id, llama2_chat(body, max_tokens => 9 - id)$$),
	(false, 'RETURNING with a volatile function', $$DELETE FROM tickets WHERE id < 4 RETURNING nextval('numbers'), llama2_chat(body)$$),
	(false, 'RETURNING of a WITH query', $$WITH d AS (DELETE FROM tickets WHERE id < 6 RETURNING id, llama2_chat(body)) SELECT * FROM d LIMIT 2$$),
	(false, 'a correlated subquery without a table', $$SELECT c.id, (SELECT llama2_chat(c.name)) FROM customers AS c ORDER BY 1$$),
	(true, 'a call of a correlated subquery', $$SELECT c.id, (SELECT llama2_chat(c.name || min(t.body)) FROM tickets AS t WHERE t.customer = c.id) FROM customers AS c ORDER BY 1$$),
	(true, 'a correlated subquery in WHERE', $$SELECT c.id FROM customers AS c WHERE (SELECT count(*) FROM tickets AS t WHERE t.customer = c.id AND llama2_is_true(t.body || c.name)) > 2 ORDER BY 1$$),
	(true, 'LATERAL', $$SELECT c.id, q.* FROM customers AS c, LATERAL (SELECT t.id, llama2_chat(c.name || t.body) FROM tickets AS t WHERE t.customer = c.id ORDER BY t.id LIMIT 3) AS q ORDER BY 1, 2$$),
	(true, 'an error in the 9th row', $$SELECT id, llama2_chat(body, max_tokens => 9 - id) FROM tickets$$),
	(true, 'an error in an argument', $$SELECT id, llama2_chat(body || (10 / (12 - id))) FROM tickets$$),
	(true, 'an error behind LIMIT', $$SELECT id, llama2_chat(body || (10 / (12 - id))) FROM tickets LIMIT 9$$),
	(true, 'a long prompt in the 15th row', $$SELECT id, llama2_chat(repeat(body, CASE id WHEN 15 THEN 500 ELSE 1 END)) FROM tickets$$),
	(true, 'an error in the answer', $$SELECT id, length(llama2_chat(body)) / (20 - id) FROM tickets$$),
	(true, 'an error that WHERE keeps away', $$SELECT id, llama2_chat(body, max_tokens => 9 - id) FROM tickets WHERE llama2_generate(body) LIKE '%a%' AND id < 9$$);

CREATE TEMPORARY TABLE outcomes AS
	SELECT number, shape, is_planned, with_scan.rows AS with_rows, with_scan.planned AS with_planned, plain.rows AS plain_rows, plain.planned AS plain_planned
	FROM shapes, pg_temp.rows_of(query, true) AS with_scan, pg_temp.rows_of(query, false) AS plain;
SELECT is(with_rows, plain_rows, shape || ': the same rows') FROM outcomes ORDER BY number;
SELECT is(with_planned, is_planned, shape || CASE WHEN is_planned THEN ': with a batch scan' ELSE ': without' END) FROM outcomes ORDER BY number;
SELECT ok(NOT plain_planned, shape || ': without when it is off') FROM outcomes WHERE plain_planned;
SELECT cmp_ok(sum(jsonb_array_length(plain_rows)), '>', 1000::bigint, 'the queries have rows') FROM outcomes;
CREATE TEMPORARY TABLE broken AS SELECT * FROM (VALUES
	('llama2_extract, a row that breaks a constraint', '23514 %'), ('llama2_extract, a constraint broken ahead', '23514 %'),
	('llama2_extract, an invalid schema', '22023 %'), ('llama2_classify, a label that is null', '22004 %')) AS v (shape, error);
SELECT alike(plain_rows ->> -1, error, shape || ': raises the error') FROM broken LEFT JOIN outcomes USING (shape);
SELECT is(jsonb_typeof(plain_rows -> 0), 'object', shape || ': has rows') FROM outcomes LEFT JOIN broken USING (shape) WHERE shape LIKE 'llama2%' AND error IS NULL ORDER BY number;
SELECT pg_temp.fresh_tables();

-- Who asks for two changed rows has two changed
CREATE SEQUENCE pg_temp.taken;
CREATE FUNCTION pg_temp.returning_into() RETURNS text LANGUAGE plpgsql AS $$
	DECLARE said text;
	BEGIN
		INSERT INTO results SELECT nextval('taken'), body FROM tickets RETURNING llama2_chat(answer) INTO said;
		RETURN said;
	END $$;
SELECT throws_ok('SELECT pg_temp.returning_into()', 'P0003', 'query returned more than one row', 'one row is wanted');
SELECT is(nextval('taken'), 3::bigint, 'a second is changed to see that there are more, and none beyond');

-- Who leaves a loop early has no more taken from a sequence below than without
CREATE FUNCTION pg_temp.taken_by(query text, batch_scan boolean) RETURNS bigint LANGUAGE plpgsql AS $$
	DECLARE line record;
	BEGIN
		PERFORM setval('taken', 1, false);
		PERFORM set_config('llama2.batch_scan', batch_scan::text, true);
		FOR line IN EXECUTE query LOOP EXIT; END LOOP;
		PERFORM set_config('llama2.batch_scan', 'on', true);
		RETURN (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM taken);
	END $$;
SELECT is(pg_temp.taken_by(query, true), pg_temp.taken_by(query, false), 'nothing is taken early: ' || query) FROM (VALUES
	('WITH q AS MATERIALIZED (SELECT nextval(''taken'') AS n, body FROM tickets) SELECT n, llama2_chat(body) FROM q'),
	('SELECT n, llama2_chat(body) FROM (SELECT (SELECT nextval(''taken'') + 0 * id) AS n, body FROM tickets OFFSET 0) AS q'),
	('SELECT n, llama2_chat(body) FROM (SELECT CASE WHEN id > 12 THEN (SELECT nextval(''taken'')) END AS n, body FROM tickets OFFSET 0) AS q')) AS v (query);

-- What EXPLAIN shows
CREATE FUNCTION pg_temp.plan_of(query text, explain_options text) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE line text; plan text := '';
	BEGIN
		FOR line IN EXECUTE format('EXPLAIN (%s) %s', explain_options, query) LOOP plan := plan || line || E'\n'; END LOOP;
		RETURN regexp_replace(plan, 'pg_temp_\d+', 'pg_temp', 'g');		-- as since version 15
	END $$;
SELECT is(pg_temp.plan_of($$SELECT id, llama2_chat(body) || llama2_generate('x') FROM tickets WHERE llama2_chat(body) <> '' AND customer > 1$$, 'COSTS OFF'),
$$Custom Scan (Llama2 Batch)
  Filter: (llama2_chat(body, NULL::integer, NULL::double precision, NULL::double precision, NULL::integer, NULL::double precision, NULL::bigint, NULL::text[], NULL::text, NULL::text, NULL::jsonb) <> ''::text)
  Calls: llama2_chat, llama2_chat, llama2_generate
  ->  Seq Scan on tickets
        Filter: (customer > 1)
$$, 'EXPLAIN');
SELECT is(pg_temp.plan_of($$INSERT INTO results VALUES (1, llama2_chat('One', 3)), (2, llama2_chat('Two', 3)) RETURNING id, llama2_is_true(answer)$$, 'COSTS OFF, VERBOSE'),
$$Custom Scan (Llama2 Batch)
  Output: results.id, llama2_is_true(results.answer, NULL::text, NULL::text)
  Calls: llama2_is_true
  ->  Insert on pg_temp.results
        Output: results.id, results.answer
        ->  Custom Scan (Llama2 Batch)
              Output: "*VALUES*".column1, llama2_chat("*VALUES*".argument3, 3, NULL::double precision, NULL::double precision, NULL::integer, NULL::double precision, NULL::bigint, NULL::text[], NULL::text, NULL::text, NULL::jsonb)
              Calls: llama2_chat
              ->  Values Scan on "*VALUES*"
                    Output: "*VALUES*".column1, "*VALUES*".argument3
$$, 'EXPLAIN of VALUES and RETURNING');
-- WITH queries that read one another twice: each is looked into once, or planning would take longer than anybody waits
CREATE FUNCTION pg_temp.chain(first text) RETURNS text LANGUAGE sql AS $$
	SELECT format('WITH q0 AS MATERIALIZED (%s)', first) || string_agg(format(', q%s AS MATERIALIZED (SELECT a.n FROM q%s AS a JOIN q%2$s AS b ON a.n = b.n)', i, i - 1), '' ORDER BY i) ||
		' SELECT llama2_generate(n::text) FROM q40' FROM generate_series(1, 40) AS i $$;
SET LOCAL statement_timeout = '60s';
SELECT alike(pg_temp.plan_of(pg_temp.chain('SELECT id AS n FROM tickets'), 'COSTS OFF'), '%Llama2 Batch%', 'a chain of WITH queries');
SELECT unalike(pg_temp.plan_of(pg_temp.chain('SELECT nextval(''taken'') AS n FROM tickets'), 'COSTS OFF'), '%Llama2 Batch%', 'nothing is taken early at its beginning');
RESET statement_timeout;
SELECT alike(pg_temp.plan_of($$SELECT upper(llama2_chat(body, 5)) FROM tickets$$, 'COSTS OFF, VERBOSE'), '%Output: upper(llama2_chat(body, 5, NULL::double precision,%', 'EXPLAIN VERBOSE has the expressions');
SELECT matches(pg_temp.plan_of($$SELECT llama2_chat(body) FROM tickets$$, 'COSTS OFF, ANALYZE'),
	'Calls: llama2_chat\n  Requests: 2\d  Duplicates: [1-9]  In Turn: 0\n  Tokens: prompt=\d{3} cached=\d+ completion=\d+\n  In Flight: \d+\.\d  Waiting: \d+\.\d{3} ms\n', 'EXPLAIN ANALYZE counts');
SELECT matches(pg_temp.plan_of(format('SELECT %s FROM tickets WHERE body IS NOT NULL', call), 'COSTS OFF, ANALYZE'), format('Requests: %s  Duplicates: \d+  In Turn: 0\n', requests), call || ': all rows read ahead')
FROM (VALUES ('llama2_classify(body, ARRAY[$$a$$, $$b$$])', '5\d'), ('llama2_is_true(body)', '5\d'), ('llama2_choice(body, ARRAY[$$a$$, $$b$$, $$c$$])', '[78]\d'), ('llama2_score(body, $$ a$$)', '2\d'),
	('llama2_extract(body, $${"type": "boolean"}$$)', '2\d'), ('llama2_extract(body, $${"type": "boolean"}$$::jsonb)', '2\d'), ('llama2_extract(body, null::pg_temp.complaint, max_tokens => 40)', '2\d'),
	('llama2_classify_scores(body, ARRAY[$$a$$, $$b$$])', '5\d'), ('llama2_logprobs($$He: $$, body)', '2\d'),
	('llama2_chat(llama2_summarize(body))', '[345]\d'), ('llama2_chat((llama2_extract(body, null::pg_temp.complaint, max_tokens => 40)).product)', '[345]\d'),
	('llama2_summarize(repeat(body || chr(10) || chr(10), 9), part_tokens => 40)', '\d\d+')) AS calls (call, requests);
SELECT matches(pg_temp.plan_of($$SELECT customer, llama2_summarize_agg(body) FROM tickets WHERE id IN (1, 2, 3, 4, 5, 6) GROUP BY customer$$, 'COSTS OFF, ANALYZE'),
	'Calls: llama2_summarize_texts\n  Requests: 9  Duplicates: 0  In Turn: 0\n', 'groups are read ahead');
SELECT matches(pg_temp.plan_of($$SELECT id, c.text FROM tickets, LATERAL (SELECT * FROM llama2_complete_n(body, 3, temperature => 1, seed => 8) ORDER BY number DESC LIMIT 1) AS c WHERE body IS NOT NULL$$, 'COSTS OFF, ANALYZE'),
	'Nested Loop.*Llama2 Batch.*Calls: llama2_complete_n\n *Requests: [78]\d ', 'subqueries of each row, too');
SELECT matches(pg_temp.plan_of($$SELECT llama2_chat(body || (SELECT 'x')) FROM tickets LIMIT 3$$, 'COSTS OFF, ANALYZE'), 'Requests: 3 ', 'three rows, three requests');
SELECT is(json_typeof(pg_temp.plan_of($$SELECT llama2_chat(body) FROM tickets$$, 'ANALYZE, FORMAT JSON')::json #> '{0,Plan,Completion Tokens}'), 'number', 'and so in JSON');
SELECT matches(pg_temp.plan_of($$SELECT s.label, e FROM tickets, llama2_classify_scores(body, ARRAY['a', 'b']) AS s, llama2_extract(body, '{"type": "boolean"}'::jsonb) AS e WHERE body IS NOT NULL$$, 'COSTS OFF, ANALYZE'),
	'Requests: [25]\d .*Requests: [25]\d ', 'functions in FROM');
CREATE TEMPORARY TABLE asked AS SELECT requests FROM llama2_stats;
SELECT count(*) AS rows FROM tickets, llama2_classify_scores(body, ARRAY['once', 'only']) AS s WHERE id < 11 \gset
SELECT is(llama2_stats.requests - asked.requests, 20::bigint, 'each question is asked once: ' || :rows || ' rows') FROM llama2_stats, asked;
CREATE TEMPORARY TABLE before AS SELECT requests FROM llama2_stats;
SELECT lives_ok($$EXPLAIN SELECT llama2_chat(body) FROM tickets$$, 'EXPLAIN alone');
SELECT is(llama2_stats.requests, before.requests, 'asks nothing') FROM llama2_stats, before;

-- Hash joins and window functions make calls themselves, which are asked ahead
SET LOCAL enable_mergejoin = off;
SET LOCAL enable_nestloop = off;
CREATE TEMPORARY TABLE kinds AS SELECT * FROM (VALUES ('billing'), ('technical')) AS v (kind);
CREATE TEMPORARY TABLE joins AS SELECT * FROM (VALUES ('SELECT id, kind FROM kinds JOIN tickets ON kind = llama2_choice(body, ARRAY[''billing'']) ORDER BY 1'),
	('SELECT id FROM tickets WHERE llama2_choice(body, ARRAY[''billing'']) IN (SELECT kind FROM kinds OFFSET 0) ORDER BY 1')) AS v (query);
SELECT matches(pg_temp.plan_of(query, 'COSTS OFF, ANALYZE'), 'Hash.*Llama2 Batch.*Requests: 2\d  Duplicates: \d+  In Turn: 0\n', 'a hash join: ' || query) FROM joins;
SELECT is((pg_temp.rows_of(query, true)).rows, (pg_temp.rows_of(query, false)).rows, 'the same rows: ' || query) FROM joins;
RESET enable_mergejoin;
RESET enable_nestloop;
SELECT matches(pg_temp.plan_of($$SELECT lag(llama2_chat(body)) OVER (ORDER BY id) FROM tickets$$, 'COSTS OFF, ANALYZE'),
	'WindowAgg.*Llama2 Batch.*Requests: 2\d  Duplicates: \d  In Turn: 0\n', 'a window function');

-- What is drawn without a seed is drawn ahead for its row, once
SELECT matches(pg_temp.plan_of($$SELECT c.text FROM tickets, llama2_complete_n(body, 2, temperature => 1) AS c WHERE body IS NOT NULL$$, 'COSTS OFF, ANALYZE'),
	'Llama2 Batch.*Calls: llama2_complete_n\n *Requests: 5\d  Duplicates: 0  In Turn: 0\n', 'llama2_complete_n without a seed');
CREATE TEMPORARY TABLE before_drawing AS SELECT requests FROM llama2_stats;
CREATE TEMPORARY TABLE drawn AS SELECT i, c.* FROM generate_series(1, 30) AS i, llama2_complete_n(left('Once upon a time', 100 + i), 2, temperature => 1, max_tokens => 12) AS c
	UNION ALL SELECT i, (c.c).* FROM (SELECT i, llama2_complete_n('Once upon a time', 2, temperature => 1, max_tokens => 12) AS c FROM generate_series(31, 60) AS i) AS c;
SELECT is(llama2_stats.requests - before_drawing.requests, 120::bigint, 'each text is generated once') FROM llama2_stats, before_drawing;
SELECT is(count(DISTINCT seed), 120::bigint, 'each has a seed of its own') FROM drawn;
SELECT cmp_ok(count(DISTINCT text), '>', 100::bigint, 'and they differ') FROM drawn;
SELECT is(max(distance), 1::bigint, 'those of a row are neighbours') FROM (SELECT max(seed) - min(seed) AS distance FROM drawn GROUP BY i) AS d;
SELECT is(count(*), 0::bigint, 'whose texts they are') FROM drawn WHERE text IS DISTINCT FROM llama2_generate('Once upon a time', temperature => 1, max_tokens => 12, seed => seed);

-- The size of the batch
SELECT is((pg_temp.rows_of('SELECT id, llama2_chat(body) FROM tickets', true)).rows, (pg_temp.rows_of('SELECT id, llama2_chat(body) FROM tickets', false)).rows, 'batch_size ' || size)
FROM unnest(ARRAY[1, 2, 7, 4096]) AS size, set_config('llama2.batch_size', size::text, true);
RESET llama2.batch_size;

-- on_error
CREATE TEMPORARY TABLE mixed AS SELECT * FROM (VALUES (1, 'Who are you?'), (2, repeat('very long ', 600)), (3, NULL), (4, 'What is PostgreSQL?')) AS v (id, body);
SELECT results_eq(format($$SELECT id, %s FROM mixed ORDER BY id$$, call),
	$$SELECT id, CASE WHEN id IN (1, 4) THEN llama2_chat(body, max_tokens => 20) END FROM mixed ORDER BY id$$, call)
FROM unnest(ARRAY[$$llama2_chat(body, max_tokens => 20, options => '{"on_error": "null"}')$$,
	$$llama2_chat(jsonb_build_array(jsonb_build_object('role', CASE WHEN body IS NULL THEN 'nobody' ELSE 'user' END, 'content', coalesce(body, 'x'))), max_tokens => 20, options => '{"on_error": "null"}')$$,
	$$(SELECT a FROM unnest(llama2_generate(ARRAY['[INST]', body], max_tokens => 20, system => NULL, options => '{"on_error": "null"}')) WITH ORDINALITY AS u (x, n), LATERAL (SELECT CASE WHEN x IS NULL THEN NULL ELSE llama2_chat(body, max_tokens => 20) END AS a) AS b WHERE n = 2)$$]) AS call;
SELECT results_eq($$SELECT id, llama2_extract(body, '{"type": "boolean"}', options => '{"on_error": "null"}') IS NULL FROM mixed ORDER BY id$$, $$VALUES (1, false), (2, true), (3, true), (4, false)$$, 'llama2_extract');
SELECT is((llama2_complete(repeat('very long ', 600), options => '{"on_error": "null"}')).text, NULL, 'no details of a prompt that is too long');
SET LOCAL llama2.batch_scan = off;
SELECT is(llama2_generate(repeat('very long ', 600), options => '{"on_error": "null"}'), NULL, 'without a batch scan, too');
RESET llama2.batch_scan;
SELECT pg_temp.error_is($$SELECT llama2_chat(body, options => '{"on_error": "error"}') FROM mixed$$, '54000',
	(SELECT format('prompt of %s tokens does not fit the context of 512 tokens of model "tinychat-6m"', array_length(llama2_chat_prompt(jsonb_build_array(jsonb_build_object('role', 'user', 'content', body))), 1)) FROM mixed WHERE id = 2), '',
	'Shorten the prompt; llama2_count_tokens() tells its length.');
SELECT pg_temp.error_is($$SELECT llama2_chat(body, options => '{"on_error": "ignore"}') FROM mixed$$, '22023', 'option "on_error" must be "error" or "null"');
SELECT pg_temp.error_is($$SELECT llama2_chat(body, max_tokens => 0, options => '{"on_error": "null"}') FROM mixed$$, '22023', 'max_tokens 0 is out of range', 'It must be at least 1.');

-- Privileges are those of a plain call
CREATE ROLE llama2_restricted;
GRANT SELECT ON mixed TO llama2_restricted;
REVOKE EXECUTE ON FUNCTION llama2_chat(text, int, float8, float8, int, float8, bigint, text[], text, text, jsonb) FROM PUBLIC;
SET LOCAL ROLE llama2_restricted;
SELECT throws_ok('SELECT llama2_chat(body) FROM mixed', '42501', 'permission denied for function llama2_chat');
SELECT throws_ok('SELECT id FROM mixed WHERE llama2_chat(body) IS NULL', '42501', 'permission denied for function llama2_chat');
RESET ROLE;

-- A rewritten aggregate is called with its own privileges, not with those of what stands for it
CREATE TEMPORARY TABLE notes AS SELECT i % 2 AS grp, 'Note ' || i AS body FROM generate_series(1, 6) AS i;
CREATE TEMPORARY TABLE summaries AS SELECT grp, llama2_summarize_agg(body) FROM notes GROUP BY grp;
GRANT SELECT ON notes, summaries TO llama2_restricted;
REVOKE EXECUTE ON FUNCTION llama2_summarize_texts(text[]) FROM PUBLIC;
SET LOCAL ROLE llama2_restricted;
SELECT set_eq('SELECT grp, llama2_summarize_agg(body) FROM notes GROUP BY grp', 'SELECT * FROM summaries', 'llama2_summarize_texts revoked');
RESET ROLE;
GRANT EXECUTE ON FUNCTION llama2_summarize_texts(text[]) TO PUBLIC;
SET LOCAL plan_cache_mode = force_generic_plan;
PREPARE summarize AS SELECT grp, llama2_summarize_agg(body) FROM notes GROUP BY grp;
SET LOCAL ROLE llama2_restricted;
SELECT set_eq('summarize', 'SELECT * FROM summaries', 'a plan that is kept');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION llama2_texts_agg(text) FROM PUBLIC;
SET LOCAL ROLE llama2_restricted;
SELECT set_eq('summarize', 'SELECT * FROM summaries', 'is made anew');
RESET ROLE;
RESET plan_cache_mode;
SET LOCAL ROLE llama2_restricted;
SELECT set_eq('SELECT grp, llama2_summarize_agg(body) FROM notes GROUP BY grp', 'SELECT * FROM summaries', 'llama2_texts_agg revoked');
RESET ROLE;

-- Row security comes first: rows that a policy hides are asked nothing about, whoever's filter has calls
CREATE TEMPORARY TABLE secrets AS SELECT i AS id, 'Secret ' || i AS body FROM generate_series(1, 20) AS i;
ALTER TABLE secrets ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON secrets USING (llama2_generate(body, max_tokens => 1) IS NOT NULL AND id < 4);
GRANT SELECT ON secrets TO llama2_restricted;
CREATE FUNCTION llama2_test_tell(body text) RETURNS boolean LANGUAGE plpgsql COST 1 AS $$ BEGIN RETURN 1 / (CASE WHEN body IN ('Secret 1', 'Secret 2', 'Secret 3') THEN 1 ELSE 0 END) = 1; END $$;
SET LOCAL ROLE llama2_restricted;
SELECT set_eq('SELECT id FROM secrets WHERE llama2_test_tell(body)', ARRAY[1, 2, 3], 'a condition of the user sees no row before the policy has');
RESET ROLE;

-- A function that was altered to run with settings, as its owner or not for NULL does so in every row
ALTER FUNCTION llama2_generate(text, int, float8, float8, int, float8, bigint, text[], text, text, jsonb) SET llama2.max_tokens = 2;
SELECT set_eq('SELECT llama2_generate(body) FROM tickets', 'SELECT llama2_generate(body, max_tokens => 2) FROM tickets', 'settings of a function');
SELECT is((pg_temp.rows_of(query, true)).rows, (pg_temp.rows_of(query, false)).rows, 'the same without the scan')
FROM (VALUES ('SELECT id, llama2_generate(body) FROM tickets')) AS v (query);
ALTER FUNCTION llama2_is_true SECURITY DEFINER;
ALTER FUNCTION llama2_generate(text, int, float8, float8, int, float8, bigint, text[], text, text, jsonb) RESET ALL STRICT;
SELECT is(count(llama2_generate(body, model => NULL)), 0::bigint, 'STRICT') FROM tickets;
SELECT is((pg_temp.rows_of(query, true)).planned, planned, query)
FROM (VALUES (false, 'SELECT id, llama2_generate(body) FROM tickets'), (false, 'SELECT id, llama2_is_true(body) FROM tickets'),
	(true, 'SELECT id, llama2_summarize(body) FROM tickets')) AS v (planned, query);

SELECT * FROM finish();
ROLLBACK;
