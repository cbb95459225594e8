-- llama2_extract: jsonb that is valid against a schema, and rows of composite types.

\set ON_ERROR_STOP 1
BEGIN;
SELECT no_plan();
\ir setup/samples.sql
\ir setup/error_is.sql

CREATE TEMPORARY TABLE tickets (id int, body text);
INSERT INTO tickets VALUES
	(1, 'My kettle leaks water. I bought it on March 3. My order number is A-3391. Please send me a replacement. Regards, Ana Lopez, Lisbon'),
	(2, 'Hello, I was charged twice for the office chair. I want my money back! You can reach me at tom.berg@mail.com. This is urgent. Thanks, Tom Berg');

SELECT is(llama2_extract(body, '{"type": "object", "properties": {"customer": {"type": "string"}, "product": {"type": "string"}, "order_id": {"type": "string"}},
	"required": ["customer", "product", "order_id"]}'), '{"customer": "Ana Lopez", "product": "kettle", "order_id": "A-3391"}', 'three fields') FROM tickets WHERE id = 1;
SELECT is(llama2_extract(body, '{"required": ["customer", "product"]}'::jsonb) ->> 'customer', name, 'a schema of type jsonb, ' || name)
FROM tickets JOIN (VALUES (1, 'Ana Lopez'), (2, 'Tom Berg')) AS names (id, name) USING (id);
SELECT is(llama2_extract(body, '{"required": ["customer", "product"]}'), llama2_chat(E'Extract customer and product as JSON.\n\n' || body, temperature => 0,
	options => '{"json_schema": {"required": ["customer", "product"]}}')::jsonb, 'is a chat with a schema') FROM tickets;
SELECT is(llama2_extract(body, '{"enum": ["a", "b"]}', instruction => 'Which?'), to_jsonb(llama2_chat(E'Which?\n\n' || body, temperature => 0, options => '{"choices": ["\"a\"", "\"b\""]}')::jsonb),
	'an instruction') FROM tickets;
SELECT is(llama2_extract(body, '{"required": ["customer"]}', model => 'tinychat-6m', max_tokens => 40, system => 'Be brief.') ? 'customer', true, 'other arguments') FROM tickets;
SELECT is(jsonb_typeof(llama2_extract(body, 'true', max_tokens => 30)) IS NOT NULL, true, 'anything') FROM tickets;

-- Rows
CREATE TYPE pg_temp.urgency AS ENUM ('low', 'normal', 'high');
CREATE DOMAIN pg_temp.short AS varchar(12);
CREATE TYPE pg_temp.person AS (name text, age smallint);
CREATE TEMPORARY TABLE facts (
	customer text NOT NULL, product pg_temp.short NOT NULL, priority pg_temp.urgency NOT NULL, dropped int, n int NOT NULL, total numeric(6,2) NOT NULL,
	code char(3) NOT NULL, small smallint NOT NULL, big bigint NOT NULL, f4 real NOT NULL, f8 float8 NOT NULL, day date NOT NULL, at timestamptz NOT NULL, local timestamp NOT NULL,
	hour time NOT NULL, zoned timetz NOT NULL, span interval NOT NULL, u uuid NOT NULL, flag boolean NOT NULL, tags text[] NOT NULL, grades int[], who pg_temp.person, extra jsonb,
	whole numeric(3,0) NOT NULL, part numeric(2,2) NOT NULL, free numeric NOT NULL, ip inet NOT NULL, twice int GENERATED ALWAYS AS (n) STORED);
ALTER TABLE facts DROP COLUMN dropped;
SELECT is((row).customer, name, 'a row, ' || name)
FROM tickets JOIN (VALUES (1, 'Ana Lopez'), (2, 'Tom Berg')) AS names (id, name) USING (id), LATERAL llama2_extract(body, null::facts, max_tokens => 400) AS row;
SELECT ok(bool_and((row).twice IS NULL AND (row).n IS NOT NULL AND (row).priority IS NOT NULL AND length((row).product) <= 12 AND (row).part BETWEEN -1 AND 1), 'rows of every type, whatever is drawn, ' || max_tokens || ' tokens')
FROM unnest(ARRAY[320, 400]) AS max_tokens, generate_series(1, 6) AS seed,
	LATERAL (SELECT llama2_extract('x', null::facts, seed => seed, temperature => 2, max_tokens => max_tokens) AS row OFFSET 0) AS rows GROUP BY max_tokens;
SELECT is(pg_typeof((llama2_extract(body, row('Ana', 3)::pg_temp.person, max_tokens => 30)).age)::text, 'smallint', 'a composite type') FROM tickets;
SELECT is(pg_typeof(llama2_extract(body, null::pg_temp.person, max_tokens => 30))::regtype, 'pg_temp.person'::regtype, 'is of that type') FROM tickets WHERE id = 1;

-- NULL, and what is wrong
SELECT is(llama2_extract(NULL, '{}'::jsonb), NULL, 'NULL text');
SELECT is(llama2_extract('a', NULL::jsonb), NULL, 'NULL schema');
SELECT is(llama2_extract(NULL, null::pg_temp.person), NULL, 'NULL text for a row');
SELECT pg_temp.error_is($$SELECT llama2_extract('a', '{"type": "text"}')$$, '22023',
	'invalid JSON schema: at "#/type": expected null, boolean, integer, number, string, array or object');
SELECT throws_ok($$SELECT llama2_extract('a', '{"type"')$$, '22P02', 'invalid input syntax for type json');
SELECT pg_temp.error_is($$SELECT llama2_extract('a', 1)$$, '42804', 'cannot extract a value of type integer', '',
	'Give a row of a table or composite type, as in null::my_table, or a JSON schema of type jsonb.');
CREATE TYPE pg_temp.places AS (spot point);
SELECT pg_temp.error_is($$SELECT llama2_extract('a', null::pg_temp.places)$$, '0A000', 'column "spot" has type point, which cannot be extracted');
SELECT pg_temp.error_is($$SELECT llama2_extract('a', '{}', options => '{"json": true}')$$, '22023', 'option "json" is not possible here', 'The schema says what the answer may be.');
SELECT pg_temp.error_is($$SELECT llama2_extract('a', '{"required": ["a long name of a field"]}', max_tokens => 2)$$, '22023',
	'the shortest text that the grammar allows, of 29 bytes, does not fit 2 tokens', '', 'Increase max_tokens, or shorten the prompt where the context is full.');

SELECT * FROM finish();
ROLLBACK;
