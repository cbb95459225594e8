-- Beside the data: the ways in which SQL reads and writes tables.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS llama2;
RESET client_min_messages;
SET llama2.temperature = 0;

CREATE TABLE tickets (id int PRIMARY KEY, body text, summary text, category text);
INSERT INTO tickets VALUES
  (1, 'My kettle leaks water. I bought it on March 3. My order number is A-3391. Please send me a replacement. Regards, Ana Lopez, Lisbon'),
  (2, 'Hello, I was charged twice for the office chair. I want my money back! You can reach me at tom.berg@mail.com. This is urgent. Thanks, Tom Berg'),
  (3, NULL);

SELECT id, llama2_chat('Summarize: ' || body) FROM tickets ORDER BY id;
SELECT llama2_generate(array_agg(body ORDER BY id), system => 'Summarize every message in one sentence.') FROM tickets;

-- writing
UPDATE tickets SET summary = llama2_chat('Summarize: ' || body) WHERE id = 1;
CREATE TABLE summaries AS SELECT id, llama2_chat('Summarize: ' || body) AS summary FROM tickets WHERE id < 3;
INSERT INTO summaries SELECT 3, llama2_chat('Who are you?') RETURNING *;
INSERT INTO tickets (id, body) VALUES (1, 'ignored') ON CONFLICT (id) DO UPDATE SET category =
  llama2_chat(E'Classify this ticket as billing, shipping, technical, account or other.\n\nHello, I was charged twice for the office chair. I want my money back! You can reach me at tom.berg@mail.com. This is urgent. Thanks, Tom Berg')
  RETURNING id, summary, category;
WITH moved AS (DELETE FROM summaries WHERE id < 3 RETURNING id, summary)
SELECT t.id, llama2_count_tokens(m.summary) > 5 AS has_tokens FROM tickets AS t JOIN moved AS m USING (id) ORDER BY id;
SELECT * FROM summaries;

-- asking: the cheap condition comes first, whatever the order in which they are written
CREATE TABLE reviews (id int, stars int, body text);
INSERT INTO reviews VALUES (1, 5, 'I love this lamp. It is easy to use and the light is bright.'),
  (2, 1, 'The blender stopped working after a week. I am very disappointed.'), (3, 1, 'I love this lamp. It is easy to use and the light is bright.');
SELECT id FROM reviews WHERE llama2_chat('Is this review positive, negative or neutral? ' || body) = 'positive' AND stars = 1;
EXPLAIN (COSTS OFF) SELECT id FROM reviews WHERE llama2_chat(body) = 'positive' AND stars = 1;
EXPLAIN (COSTS OFF, VERBOSE) SELECT llama2_chat(body) FROM reviews ORDER BY stars LIMIT 1;
EXPLAIN (COSTS OFF) SELECT llama2_chat_stream(body) FROM reviews LIMIT 2;
EXPLAIN (COSTS OFF) SELECT * FROM reviews, llama2_generate_stream(body);
SET llama2.batch_scan = off;
EXPLAIN (COSTS OFF) SELECT llama2_chat(body) FROM reviews WHERE id = 1;
RESET llama2.batch_scan;

-- LIMIT costs what it asks for
SELECT llama2_stats_reset();
SELECT count(*) FROM (SELECT llama2_generate('Number ' || n, max_tokens => 2) FROM generate_series(1, 1000000) AS n LIMIT 3) AS few;
SELECT requests FROM llama2_stats;

-- grouping, ordering, set operations, windows
SELECT llama2_chat('Is this review positive, negative or neutral? ' || body) AS sentiment, count(*) FROM reviews WHERE id <> 2 GROUP BY 1 ORDER BY 1;
SELECT id, rank() OVER (ORDER BY llama2_perplexity(body)) FROM reviews ORDER BY id;
SELECT r.id, string_agg(s.token, '' ORDER BY s.seq) FROM reviews AS r, llama2_chat_stream('What is the sentiment of this review? ' || r.body) AS s
GROUP BY r.id ORDER BY r.id;
SELECT id, (SELECT text FROM llama2_complete(E'Review: ' || body || E'\nSentiment:', stop => ARRAY[E'\n'])) FROM reviews ORDER BY id;

-- what is stored, and what cannot be: an index would outlive the model it was made with
CREATE MATERIALIZED VIEW answers AS SELECT llama2_chat('What is PostgreSQL?') AS answer;
REFRESH MATERIALIZED VIEW answers;
SELECT * FROM answers;
CREATE INDEX ON reviews (llama2_count_tokens(body));

DROP MATERIALIZED VIEW answers;
DROP TABLE tickets, summaries, reviews;
