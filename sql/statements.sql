-- Prepared statements, cursors, procedural code, triggers, parallel plans.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS llama2;
RESET client_min_messages;
SET llama2.temperature = 0;

PREPARE ask (text, int) AS SELECT llama2_chat($1, max_tokens => $2);
EXECUTE ask('Who are you?', 100);
EXECUTE ask('Who are you?', 3);
EXECUTE ask('Who are you?', 0);
EXECUTE ask(NULL, 3);
DEALLOCATE ask;

BEGIN;
DECLARE words CURSOR FOR SELECT token FROM (SELECT (llama2_chat_stream('Who are you?')).token) AS s;
FETCH 2 FROM words;
FETCH 3 FROM words;
CLOSE words;
-- a cursor that outlives its transaction is computed at commit
DECLARE held CURSOR WITH HOLD FOR SELECT (llama2_chat_stream('What is PostgreSQL?', max_tokens => 4)).token;
COMMIT;
FETCH ALL FROM held;
CLOSE held;
SELECT count(*) FROM llama2_requests WHERE NOT cancelled;

-- a failed statement leaves its transaction, and the next goes on
BEGIN;
SELECT llama2_chat('Who are you?', temperature => -1);
ROLLBACK;
SELECT llama2_chat('Who are you?');

CREATE FUNCTION answer(question text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  words text := '';
  word text;
BEGIN
  FOR word IN SELECT token FROM llama2_chat_stream(question) LOOP
    words := words || word;
    EXIT WHEN word LIKE '%.%';
  END LOOP;
  RETURN words;
EXCEPTION WHEN invalid_parameter_value THEN
  RETURN 'wrong: ' || SQLERRM;
END
$$;
SELECT answer('Who are you?');
SET llama2.model = 'nowhere';
SELECT answer('Who are you?');
RESET llama2.model;
CREATE FUNCTION answer_sql(question text) RETURNS text RETURN llama2_chat(question);
SELECT answer_sql('What is PostgreSQL?');
DO $$ BEGIN RAISE NOTICE '%', llama2_chat('What is the capital of France?'); END $$;

-- a trigger that fills a column
CREATE TABLE notes (id int, body text, summary text);
CREATE FUNCTION fill_summary() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.summary := llama2_chat('Summarize: ' || NEW.body);
  RETURN NEW;
END
$$;
CREATE TRIGGER fill_summary BEFORE INSERT OR UPDATE OF body ON notes FOR EACH ROW EXECUTE FUNCTION fill_summary();
INSERT INTO notes (id, body) VALUES
  (1, 'Hello, I was charged twice for the office chair. I want my money back! You can reach me at tom.berg@mail.com. This is urgent. Thanks, Tom Berg'), (2, NULL);
UPDATE notes SET body = 'My kettle leaks water. I bought it on March 3. My order number is A-3391. Please send me a replacement. Regards, Ana Lopez, Lisbon' WHERE id = 2;
SELECT id, summary FROM notes ORDER BY id;
CREATE TABLE with_default (id int, story text DEFAULT llama2_generate('Once upon a time', max_tokens => 6, temperature => 0));
INSERT INTO with_default (id) VALUES (1);
SELECT count(*) FROM with_default WHERE length(story) > 5;
CREATE TABLE checked (question text CHECK (llama2_count_tokens(question) < 10));
INSERT INTO checked VALUES ('Who are you?');
INSERT INTO checked VALUES (repeat('word ', 20));

-- parallel workers ask as a session does
CREATE TABLE numbers AS SELECT n FROM generate_series(1, 12) AS n;
ALTER TABLE numbers SET (parallel_workers = 2);
ANALYZE numbers;
CREATE TABLE serial AS SELECT n, llama2_generate('Number ' || n, seed => n, temperature => 1, max_tokens => 8) AS text FROM numbers;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
SET parallel_leader_participation = off;
SET llama2.batch_scan = off;
-- numbers of rows have decimals since version 18
CREATE FUNCTION analyzed(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) ' || query LOOP
		RETURN NEXT replace(line, '.00 loops', ' loops');
	END LOOP;
END
$$;
SELECT analyzed($$SELECT n, llama2_generate('Number ' || n, seed => n, temperature => 1, max_tokens => 8) FROM numbers$$);
RESET llama2.batch_scan;
CREATE TABLE parallel AS SELECT n, llama2_generate('Number ' || n, seed => n, temperature => 1, max_tokens => 8) AS text FROM numbers;
SELECT count(*) FROM serial JOIN parallel USING (n, text);
SELECT count(*) FROM numbers WHERE llama2_generate('Number ' || n, max_tokens => 1) IS NOT NULL;
SELECT llama2_generate('Number ' || n, max_tokens => 0) FROM numbers;
SELECT count(*) FROM llama2_requests WHERE NOT cancelled;
RESET ALL;

DROP TABLE notes, with_default, checked, numbers, serial, parallel;
DROP FUNCTION answer, answer_sql, fill_summary;
