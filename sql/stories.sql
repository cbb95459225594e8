-- The three stories of the README: text in a query, a table that is enriched, a trigger.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS llama2;
RESET client_min_messages;
\pset format unaligned
SET llama2.temperature = 0;

-- 1. A support lead looks through yesterday's tickets, with nothing but a query.
CREATE TABLE tickets (id int PRIMARY KEY, body text);
INSERT INTO tickets VALUES
  (1, 'My kettle leaks water. I bought it on March 3. My order number is A-3391. Please send me a replacement. Regards, Ana Lopez, Lisbon'),
  (2, 'Hello, I was charged twice for the office chair. I want my money back! You can reach me at tom.berg@mail.com. This is urgent. Thanks, Tom Berg'),
  (3, 'I was locked out of the account. Please help me. It is not urgent. Regards, Nina Weber');
SELECT id, llama2_chat('Summarize: ' || body) AS summary FROM tickets ORDER BY id;
SELECT llama2_chat(E'Classify this ticket as billing, shipping, technical, account or other.\n\n' || body, max_tokens => 5) AS category, count(*)
FROM tickets GROUP BY 1 ORDER BY 1;
SELECT id, llama2_chat(E'Extract customer and product as JSON.\n\n' || body)::jsonb ->> 'customer' AS customer FROM tickets WHERE id < 3 ORDER BY id;
SELECT llama2_summarize_agg(body ORDER BY id) AS digest FROM tickets;

-- 2. The table gets columns of its own for this; what is there already is filled in batches that are committed.
ALTER TABLE tickets ADD summary text, ADD category text;
CALL llama2_enrich_table('tickets', 'summary', 'Summarize: {body}', batch => 2);
CALL llama2_enrich_table('tickets', 'category', E'Classify this ticket as billing, shipping, technical, account or other.\n\n{body}',
  options => 'max_tokens=5');
SELECT id, category, summary FROM tickets ORDER BY id;

-- 3. New tickets fill them by themselves: the category before the row is stored, the summary soon after.
CREATE TRIGGER category BEFORE INSERT OR UPDATE ON tickets FOR EACH ROW
  EXECUTE FUNCTION llama2_enrich('category', E'Classify this ticket as billing, shipping, technical, account or other.\n\n{body}', 'max_tokens=5', 'temperature=0');
CREATE TRIGGER summary AFTER INSERT OR UPDATE ON tickets FOR EACH ROW
  EXECUTE FUNCTION llama2_enrich_async('summary', 'Summarize: {body}', 'max_tokens=40', 'temperature=0');
INSERT INTO tickets (id, body) VALUES
  (4, 'My blender does not turn on. Please send me a replacement. Regards, Ana Lopez, Lisbon')
  RETURNING id, category, summary;
DO $$ BEGIN
  WHILE EXISTS (SELECT FROM llama2_jobs WHERE state IN ('queued', 'running')) LOOP PERFORM pg_sleep(0.02); END LOOP;
END $$;
SELECT id, category, summary FROM tickets WHERE id = 4;
UPDATE tickets SET body = 'I was charged twice for the blender. I want my money back! Regards, Ana Lopez, Lisbon' WHERE id = 4 RETURNING category;
DO $$ BEGIN
  WHILE EXISTS (SELECT FROM llama2_jobs WHERE state IN ('queued', 'running')) LOOP PERFORM pg_sleep(0.02); END LOOP;
END $$;
SELECT id, category, summary FROM tickets WHERE id = 4;

DROP TABLE tickets;
