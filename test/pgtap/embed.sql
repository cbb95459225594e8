-- llama2_embed and llama2_similarity: what a vector is made of, that it is the same however it is asked for,
-- options and errors, and pgvector where that is installed.

\set ON_ERROR_STOP 1
BEGIN;
SELECT no_plan();
\ir setup/samples.sql
\ir setup/error_is.sql

CREATE TEMPORARY TABLE texts AS
	SELECT row_number() OVER (ORDER BY id) AS id, turns[1] AS body FROM dialogs WHERE length(turns[1]) < 400 ORDER BY id LIMIT 20;

-- ||a - b|| / ||b||
CREATE FUNCTION pg_temp.difference(a float8[], b float8[]) RETURNS float8 LANGUAGE sql AS
	$$ SELECT sqrt(sum((x - y) ^ 2) / sum(y ^ 2)) FROM unnest(a, b) AS u (x, y) $$;

-- A token's state depends on the tokens before it alone: so it is what "last" gives for the text that ends with
-- it, and BOS's is what the mean over BOS and one token has besides that token's.
CREATE FUNCTION pg_temp.pooled(whole text, is_weighted boolean) RETURNS float8[] LANGUAGE plpgsql AS $$
	DECLARE
		tokens int[] := llama2_tokenize(whole);
		state real[];
		total float8[];
		weights float8 := 1;
	BEGIN
		SELECT array_agg(2 * m::float8 - l ORDER BY n) INTO total
		FROM unnest(llama2_embed('a', options => '{"normalize": false}'), llama2_embed('a', options => '{"normalize": false, "pooling": "last"}'))
			WITH ORDINALITY AS u (m, l, n);
		FOR i IN 1 .. array_length(tokens, 1) LOOP
			ASSERT llama2_tokenize(llama2_detokenize(tokens[:i])) = tokens[:i];
			state := llama2_embed(llama2_detokenize(tokens[:i]), options => '{"normalize": false, "pooling": "last"}');
			weights := weights + CASE WHEN is_weighted THEN i + 1 ELSE 1 END;
			SELECT array_agg(t + s::float8 * CASE WHEN is_weighted THEN i + 1 ELSE 1 END ORDER BY n) INTO total
			FROM unnest(total, state) WITH ORDINALITY AS u (t, s, n);
		END LOOP;
		RETURN (SELECT array_agg(x / weights ORDER BY n) FROM unnest(total) WITH ORDINALITY AS u (x, n));
	END $$;

SELECT is(llama2_count_tokens('a'), 1, 'one token');
SELECT ok(pg_temp.difference(llama2_embed(body, options => jsonb_build_object('normalize', false, 'pooling', pooling)), pg_temp.pooled(body, pooling = 'weighted')) < 1e-6,
		  pooling || ' of all tokens'' states, ' || body)
FROM unnest(ARRAY['Once upon a time there was a small boat.', 'My kettle leaks water. Please help.']) AS body, unnest(ARRAY['mean', 'weighted']) AS pooling;

-- The vectors
SELECT is(array_length(llama2_embed(body), 1), (SELECT dim FROM llama2_models() WHERE name = 'tinychat-6m'), 'as many numbers as the model''s states have, text ' || id)
FROM texts ORDER BY id;
SELECT ok(abs((SELECT sum(x::float8 ^ 2) FROM unnest(llama2_embed(body, options => jsonb_build_object('pooling', pooling))) AS x) - 1) < 1e-6,
		  'length 1, text ' || id || ', ' || pooling)
FROM texts, unnest(ARRAY['mean', 'weighted', 'last']) AS pooling ORDER BY id, pooling;
SELECT ok(llama2_similarity(llama2_embed(body), llama2_embed(body, options => '{"normalize": false}')) > 0.999999, 'normalizing keeps the direction, text ' || id)
FROM texts ORDER BY id;
SELECT is(llama2_embed('Hello', options => '{"pooling": null, "normalize": null, "truncate": null, "on_error": null}'), llama2_embed('Hello'), 'a null is the default');
SELECT is(llama2_embed('Hello', 'tinychat-6m', '{"pooling": "mean", "normalize": true, "truncate": false, "on_error": "error"}'), llama2_embed('Hello'), 'and these are the defaults');
SELECT is(count(DISTINCT llama2_embed('Hello', options => jsonb_build_object('pooling', pooling))), 3::bigint, 'poolings differ') FROM unnest(ARRAY['mean', 'weighted', 'last']) AS pooling;
SELECT ok(llama2_similarity('My kettle leaks water. Regards, Ana Lopez', 'My kettle leaks water. Thanks, Tom Berg')
		  > llama2_similarity('My kettle leaks water. Regards, Ana Lopez', 'I was charged twice for the office chair. Regards, Ana Lopez'), 'nearer are those that say the same');

-- What the README says of the bundled model; neighbours are counted, numbers compared with some tolerance
CREATE TEMPORARY TABLE messages (id int, topic text, body text);
INSERT INTO messages VALUES
	(1, 'leak', 'My kettle leaks water. Please send me a replacement.'), (2, 'leak', 'Water drips from the bottom of the coffee machine.'),
	(3, 'leak', 'The dishwasher leaves a puddle on the kitchen floor.'), (4, 'billing', 'I was charged twice for the office chair. I want my money back.'),
	(5, 'billing', 'The invoice shows a wrong amount for my order.'), (6, 'billing', 'Please refund the payment for the lamp.'),
	(7, 'account', 'I was locked out of the account. Please help me.'), (8, 'account', 'I forgot the password and cannot log in.'),
	(9, 'account', 'My login does not work since yesterday.'), (10, 'shipping', 'The parcel has not arrived yet. Where is it?'),
	(11, 'shipping', 'My order was sent to the wrong address.'), (12, 'shipping', 'The delivery is late by two weeks.'),
	(13, 'praise', 'I love this lamp. It is easy to use and the light is bright.'), (14, 'praise', 'The office chair is very comfortable. Great value.'),
	(15, 'praise', 'What a lovely place! The staff was friendly.');
SELECT ok(abs(llama2_similarity('I cannot sign in.', 'I forgot the password and cannot log in.') - 0.771) < 0.005, 'similarity');
SELECT results_eq($$SELECT body FROM messages ORDER BY llama2_similarity(llama2_embed(body), (SELECT llama2_embed('Where is my package?'))) DESC LIMIT 2$$,
	ARRAY['The parcel has not arrived yet. Where is it?', 'Please refund the payment for the lamp.'], 'search');
SELECT is((SELECT body FROM messages ORDER BY llama2_similarity(body, 'The kettle is broken.') DESC LIMIT 1), 'The office chair is very comfortable. Great value.', 'search that goes wrong');
SELECT is((SELECT sum((SELECT (b.topic = a.topic)::int FROM messages AS b WHERE b.id <> a.id
	ORDER BY llama2_similarity(format(form, a.body), format(form, b.body), options => jsonb_build_object('pooling', pooling)) DESC LIMIT 1)) FROM messages AS a), n, 'neighbours of one topic, ' || pooling)
FROM (VALUES ('%s', 'mean', 3::bigint), ('[INST] %s [/INST]', 'weighted', 9)) AS v (form, pooling, n);

-- The same bits, however they are asked for
CREATE TEMPORARY TABLE alone (id bigint, vector real[], last real[]);
SET LOCAL llama2.batch_scan = off;
INSERT INTO alone SELECT id, llama2_embed(body), llama2_embed(body, options => '{"pooling": "last"}') FROM texts;
SET LOCAL llama2.batch_scan = on;
SELECT results_eq('SELECT id, llama2_embed(body), llama2_embed(body, options => ''{"pooling": "last"}'') FROM texts', 'SELECT * FROM alone', 'as one batch');
SELECT results_eq('SELECT e FROM unnest(ARRAY(SELECT body FROM texts ORDER BY id)) WITH ORDINALITY AS t, llama2_embed(ARRAY[t]) AS e ORDER BY ordinality',
				  'SELECT vector FROM alone', 'in arrays of one');
SELECT results_eq('SELECT llama2_embed(array_agg(body ORDER BY id)) FROM texts', 'SELECT vector FROM alone', 'in one array');
SELECT results_eq('SELECT llama2_embed(array_agg(body ORDER BY id DESC), options => ''{"pooling": "last"}'') FROM texts', 'SELECT last FROM alone ORDER BY id DESC', 'and the other way round');
SELECT results_eq('SELECT e.* FROM (SELECT array_agg(body ORDER BY id) AS bodies FROM texts) AS t, llama2_embed(bodies) AS e', 'SELECT vector FROM alone', 'in FROM');
CREATE TEMPORARY TABLE generated AS SELECT llama2_generate(body, max_tokens => 1) FROM texts;
SELECT results_eq('SELECT id, llama2_embed(body), llama2_embed(body, options => ''{"pooling": "last"}'') FROM texts', 'SELECT * FROM alone',
				  'where the prefix cache has their beginnings');
SELECT is((SELECT count(DISTINCT v) FROM (SELECT llama2_embed(body || repeat(' and more', id::int)) AS v FROM texts) AS q), (SELECT count(*) FROM texts), 'different texts have different vectors');
SELECT is((SELECT array_agg(e) FROM llama2_embed((SELECT array_agg('text ' || n ORDER BY n) FROM generate_series(1, 300) AS n)) AS e),
		  (SELECT array_agg(llama2_embed('text ' || n) ORDER BY n) FROM generate_series(1, 300) AS n), 'more texts than slots');

-- Similarity
SELECT is(llama2_similarity(a.body, b.body), llama2_similarity(llama2_embed(a.body), llama2_embed(b.body)), 'similarity of ' || a.id || ' and ' || b.id)
FROM texts AS a, texts AS b WHERE a.id < 4 AND b.id < 4 ORDER BY a.id, b.id;
SELECT is(llama2_similarity(a.body, b.body), llama2_similarity(b.body, a.body), 'either way') FROM texts AS a, texts AS b WHERE a.id = 1 AND b.id < 6;
SELECT is(llama2_similarity(body, body), 1::float8, 'a text and itself') FROM texts WHERE id < 6;
SELECT is(llama2_similarity('a', 'b', options => '{"pooling": "last"}'),
		  llama2_similarity(llama2_embed('a', options => '{"pooling": "last"}'), llama2_embed('b', options => '{"pooling": "last"}')), 'with options');
SELECT is(llama2_similarity('a', 'b', 'tinychat-6m'), llama2_similarity('a', 'b'), 'with a model');
SELECT ok(abs(llama2_similarity('{3,4,0}'::real[], '{4,3,0}') - 0.96) < 1e-12, 'cosine');
SELECT is(llama2_similarity('{1,-2}'::real[], '{-2,4}'), -1::float8, 'opposite');
SELECT is(llama2_similarity('{1,0}'::real[], '{0,7}'), 0::float8, 'at a right angle');
SELECT is(llama2_similarity('{3e38,3e38}'::real[], '{3e38,3e38}'), 1::float8, 'large ones');
SELECT is(llama2_similarity('{0,0}'::real[], '{1,7}'), 'NaN'::float8, 'nothing has no direction');

-- Long texts
SELECT is(llama2_count_tokens(repeat('word ', 510)), 511, 'with BOS as long as the context');
SELECT is(array_length(llama2_embed(repeat('word ', 510)), 1), 256, 'fits');
SELECT pg_temp.error_is($$SELECT llama2_embed(repeat('word ', 511))$$, '54000', 'text of 513 tokens does not fit the context of 512 tokens of model "tinychat-6m"', '',
	'Shorten the text, or set the option "truncate" to embed its beginning.');
SELECT pg_temp.error_is($$SELECT llama2_embed(ARRAY['a', repeat('word ', 511)])$$, '54000', 'text of 513 tokens does not fit the context of 512 tokens of model "tinychat-6m"', '',
	'Shorten the text, or set the option "truncate" to embed its beginning.');
SELECT pg_temp.error_is($$SELECT llama2_similarity('a', repeat('word ', 511))$$, '54000', 'text of 513 tokens does not fit the context of 512 tokens of model "tinychat-6m"', '',
	'Shorten the text, or set the option "truncate" to embed its beginning.');
SELECT throws_ok($$SELECT llama2_embed(repeat('word ', 1000000))$$, '54000', NULL, 'a very long one');
SELECT is(llama2_embed(rtrim(repeat('word ', n)) || tail, options => '{"truncate": true}'), llama2_embed(rtrim(repeat('word ', 511))),
		  'of ' || n || ' words and "' || tail || '" the first 511 tokens')
FROM unnest(ARRAY[511, 512, 5000, 100000]) AS n, unnest(ARRAY['', ' the end']) AS tail;
SELECT is(llama2_embed(repeat('word', n) || '…' || repeat('é😀', 100000), options => '{"truncate": true}') IS NOT NULL, true, 'cut in a character, ' || n)
FROM generate_series(1, 8) AS n;
SELECT is(llama2_embed('short', options => '{"truncate": true}'), llama2_embed('short'), 'a short text is not cut');

-- on_error
CREATE TEMPORARY TABLE mixed AS SELECT * FROM (VALUES (1, 'Who are you?'), (2, repeat('very long ', 600)), (3, NULL), (4, ''), (5, 'Hello')) AS v (id, body);
SET LOCAL client_min_messages = error;
SELECT results_eq($$SELECT id, llama2_embed(body, options => '{"on_error": "null"}') FROM mixed$$,
	$$SELECT id, CASE WHEN id IN (1, 5) THEN llama2_embed(body) END FROM mixed$$, 'NULL for those that cannot be embedded');
SELECT results_eq($$SELECT e FROM llama2_embed((SELECT array_agg(body ORDER BY id) FROM mixed), options => '{"on_error": "null"}') AS e$$,
	$$SELECT CASE WHEN id IN (1, 5) THEN llama2_embed(body) END FROM mixed$$, 'and in an array');
SELECT results_eq($$SELECT id, llama2_similarity(body, 'Hello', options => '{"on_error": "null"}') FROM mixed$$,
	$$SELECT id, CASE WHEN id IN (1, 5) THEN llama2_similarity(body, 'Hello') END FROM mixed$$, 'and in a similarity');
RESET client_min_messages;

-- NULL, and what is wrong
SELECT is(llama2_embed(NULL::text), NULL, 'NULL text');
SELECT is_empty($$SELECT * FROM llama2_embed(NULL::text[]) AS e$$, 'NULL array');
SELECT is_empty($$SELECT * FROM llama2_embed('{}'::text[]) AS e$$, 'no texts, no rows');
SELECT results_eq($$SELECT e IS NULL FROM llama2_embed(ARRAY['a', NULL, 'b']) AS e$$, ARRAY[false, true, false], 'a NULL among texts');
SELECT is((SELECT count(*) FROM llama2_embed(ARRAY[['a', 'b'], ['c', 'd']]) AS e), 4::bigint, 'an array of two dimensions');
SELECT is(llama2_similarity(NULL, 'a'), NULL, 'similarity with NULL');
SELECT is(llama2_similarity('a', NULL), NULL, 'either way');
SELECT is(llama2_similarity(NULL::real[], '{1}'), NULL, 'and of vectors');
SELECT is(llama2_embed('a', NULL, NULL), llama2_embed('a'), 'NULL model and options are the defaults');
SELECT pg_temp.error_is($$SELECT llama2_embed('')$$, '22023', 'text to embed must not be empty');
SELECT pg_temp.error_is($$SELECT llama2_similarity('a', '')$$, '22023', 'text to embed must not be empty');
SELECT ok(llama2_embed(' ') IS NOT NULL, 'a space is a text');
SELECT pg_temp.error_is($$SELECT llama2_embed('a', options => '{"pool": "mean"}')$$, '22023', 'unrecognized option "pool"', '', 'Options are pooling, normalize, truncate and on_error.');
SELECT pg_temp.error_is($$SELECT llama2_embed('a', options => '{"temperature": 0}')$$, '22023', 'unrecognized option "temperature"', '', 'Options are pooling, normalize, truncate and on_error.');
SELECT pg_temp.error_is(format($$SELECT llama2_embed('a', options => '{"pooling": %s}')$$, pooling), '22023', 'option "pooling" must be "mean", "weighted" or "last"')
FROM unnest(ARRAY['"cls"', '"mea"', '"meant"', '1', '["mean"]']) AS pooling;
SELECT pg_temp.error_is(format($$SELECT llama2_embed('a', options => '{"%s": "yes"}')$$, name), '22023', format('option "%s" must be true or false', name))
FROM unnest(ARRAY['normalize', 'truncate']) AS name;
SELECT pg_temp.error_is($$SELECT llama2_embed('a', options => '{"on_error": "skip"}')$$, '22023', 'option "on_error" must be "error" or "null"');
SELECT pg_temp.error_is($$SELECT llama2_embed('a', options => '[]')$$, '22023', 'options must be a JSON object');
SELECT throws_ok($$SELECT llama2_embed('a', 'no-such-model')$$, '58P01', NULL, 'no such model');
SELECT pg_temp.error_is($$SELECT llama2_similarity('{1,2}'::real[], '{1}')$$, '22000', 'vectors have different numbers of dimensions, 2 and 1');
SELECT pg_temp.error_is($$SELECT llama2_similarity('{1,NULL}'::real[], '{1,2}')$$, '22004', 'a vector must not contain nulls');
SELECT pg_temp.error_is($$SELECT llama2_similarity('{{1,2}}'::real[], '{1,2}')$$, '2202E', 'a vector must be a one-dimensional array');

-- pgvector
SELECT count(*) > 0 AS has_vector FROM pg_available_extensions WHERE name = 'vector' \gset
\if :has_vector
CREATE EXTENSION vector;
CREATE TEMPORARY TABLE items (id bigint PRIMARY KEY, body text, embedding vector(256));
INSERT INTO items SELECT id, body, llama2_embed(body) FROM texts;
SELECT results_eq('SELECT embedding::real[] FROM items ORDER BY id', 'SELECT vector FROM alone', 'stored as vector, nothing is lost');
SELECT is(llama2_embed('Hello')::vector::real[], llama2_embed('Hello'), 'a cast');
SELECT throws_ok($$SELECT llama2_embed('Hello')::vector(3)$$, '22000', 'expected 3 dimensions, not 256', 'a column of other dimensions');
SELECT ok(max(abs(1 - (a.embedding <=> b.embedding) - llama2_similarity(a.body, b.body))) < 1e-6, 'its cosine distance is ours')
FROM items AS a, items AS b WHERE a.id < 6;
CREATE INDEX items_index ON items USING hnsw (embedding vector_cosine_ops);
SET LOCAL enable_seqscan = off;
SET LOCAL enable_sort = off;
SELECT is((SELECT body FROM items ORDER BY embedding <=> (SELECT llama2_embed(t.body)::vector) LIMIT 1), t.body, 'found by an index, text ' || id) FROM texts AS t WHERE id < 8;
CREATE FUNCTION pg_temp.uses_index(query text) RETURNS boolean LANGUAGE plpgsql AS $$
	DECLARE line text;
	BEGIN
		FOR line IN EXECUTE 'EXPLAIN ' || query LOOP
			IF line LIKE '%Index Scan using items_index%' THEN RETURN true; END IF;
		END LOOP;
		RETURN false;
	END $$;
SELECT ok(pg_temp.uses_index($$SELECT id FROM items ORDER BY embedding <=> (SELECT llama2_embed('Hello')::vector) LIMIT 3$$), 'the query of the README uses it');
CREATE FUNCTION pg_temp.embed_item() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.embedding := llama2_embed(NEW.body); RETURN NEW; END $$;
CREATE TRIGGER embedding BEFORE INSERT OR UPDATE OF body ON items FOR EACH ROW EXECUTE FUNCTION pg_temp.embed_item();
UPDATE items SET body = 'Hello' WHERE id = 1;
INSERT INTO items VALUES (100, 'Who are you?');
SELECT results_eq('SELECT embedding::real[] FROM items WHERE id IN (1, 100) ORDER BY id', $$VALUES (llama2_embed('Hello')), (llama2_embed('Who are you?'))$$, 'a trigger that keeps it filled');
\else
SELECT skip('pgvector is not installed', 14);
\endif

SELECT * FROM finish();
ROLLBACK;
