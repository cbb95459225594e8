-- llama2_enrich, and what its asynchronous sister checks in the same way.

\set ON_ERROR_STOP 1
BEGIN;
SELECT no_plan();
\ir setup/error_is.sql

\set kettle 'My kettle leaks water. I bought it on March 3. My order number is A-3391. Please send me a replacement. Regards, Ana Lopez, Lisbon'
\set chair 'Hello, I was charged twice for the office chair. I want my money back! You can reach me at tom.berg@mail.com. This is urgent. Thanks, Tom Berg'
\set kettle_summary 'Ana Lopez says that the kettle leaks water and asks for a replacement.'
\set chair_summary 'Tom Berg was charged twice for the office chair and asks for a refund.'

CREATE TABLE tickets (id int PRIMARY KEY, body text, priority int, summary text, changes int DEFAULT 0);
CREATE FUNCTION requests() RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT requests FROM llama2_stats';

-- Before a row
CREATE TRIGGER summarize BEFORE INSERT OR UPDATE ON tickets
	FOR EACH ROW EXECUTE FUNCTION llama2_enrich('summary', 'Summarize: {body}', 'max_tokens=40', 'temperature=0');
INSERT INTO tickets (id, body) VALUES (1, :'kettle'), (2, NULL);
SELECT results_eq('SELECT id, summary FROM tickets ORDER BY id', format('VALUES (1, %L), (2, NULL)', :'kettle_summary'),
	'a row gets its summary, one without text none');
SELECT requests() AS before \gset
UPDATE tickets SET priority = 1, body = body;
SELECT is(requests(), :before::bigint, 'other columns do not matter, nor the same value again');
UPDATE tickets SET body = :'chair' WHERE id = 1;
SELECT is(summary, :'chair_summary', 'a new text gets a new summary') FROM tickets WHERE id = 1;
UPDATE tickets SET body = :'kettle', summary = 'mine' WHERE id = 1;
INSERT INTO tickets (id, body, summary) VALUES (3, :'kettle', 'mine');
SELECT results_eq('SELECT id, summary FROM tickets WHERE id <> 2 ORDER BY id', $$VALUES (1, 'mine'), (3, 'mine')$$, 'a value that the statement gives is kept');
UPDATE tickets SET body = body || ' ', summary = NULL WHERE id = 3;
SELECT is(summary, :'kettle_summary', 'but not NULL') FROM tickets WHERE id = 3;
UPDATE tickets SET body = NULL WHERE id = 3;
SELECT is(summary, NULL, 'no text, no summary') FROM tickets WHERE id = 3;
INSERT INTO tickets (id, body) VALUES (3, :'chair') ON CONFLICT (id) DO UPDATE SET body = EXCLUDED.body;
SELECT is(summary, :'chair_summary', 'ON CONFLICT DO UPDATE') FROM tickets WHERE id = 3;
SELECT is(requests() - :before, 4::bigint, 'one request for each, of an upsert for the row to insert, too');
DROP TRIGGER summarize ON tickets;
TRUNCATE tickets;

-- After a statement: its rows are one batch
CREATE TRIGGER on_insert AFTER INSERT ON tickets REFERENCING NEW TABLE AS new_rows
	FOR EACH STATEMENT EXECUTE FUNCTION llama2_enrich('summary', 'Summarize: {body}', '{"max_tokens": 40, "temperature": 0}');
CREATE TRIGGER on_update AFTER UPDATE ON tickets REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
	FOR EACH STATEMENT EXECUTE FUNCTION llama2_enrich('summary', 'Summarize: {body}', '{"max_tokens": 40, "temperature": 0}');
CREATE FUNCTION count_changes() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.changes := NEW.changes + 1; RETURN NEW; END';
CREATE TRIGGER count_changes BEFORE UPDATE ON tickets FOR EACH ROW EXECUTE FUNCTION count_changes();
SELECT requests() AS before \gset
INSERT INTO tickets (id, body, summary) VALUES (1, :'kettle', NULL), (2, NULL, NULL), (3, :'chair', NULL), (4, :'chair', 'mine');
SELECT results_eq('SELECT id, summary, changes FROM tickets ORDER BY id',
	format($$VALUES (1, %1$L, 1), (2, NULL, 0), (3, %2$L, 1), (4, 'mine', 0)$$, :'kettle_summary', :'chair_summary'), 'the rows of a statement');
UPDATE tickets SET body = CASE id WHEN 1 THEN :'chair' ELSE body END, priority = 2;
SELECT results_eq('SELECT id, summary, changes FROM tickets ORDER BY id',
	format($$VALUES (1, %1$L, 3), (2, NULL, 1), (3, %1$L, 2), (4, 'mine', 1)$$, :'chair_summary'), 'only those that changed');
SELECT is(requests() - :before, 3::bigint, 'one request for each');
INSERT INTO tickets (id, body) SELECT 100 + n, CASE n % 2 WHEN 0 THEN :'kettle' ELSE :'chair' END FROM generate_series(1, 1200) AS n;
SELECT is(count(*), 1200::bigint, 'many rows') FROM tickets
WHERE id > 100 AND summary = CASE id % 2 WHEN 0 THEN :'kettle_summary' ELSE :'chair_summary' END;
INSERT INTO tickets (id, body) SELECT 1, 'nothing' WHERE false;
SELECT pass('a statement without rows');
SELECT requests() AS before \gset
INSERT INTO tickets (id, body) SELECT 2000 + n, 'My kettle is ' || n / 50 FROM generate_series(1, 100) AS n;
SELECT is(requests() - :before, 3::bigint, 'equal texts are generated once');
SELECT is(count(*), 100::bigint, 'for all their rows') FROM tickets WHERE id > 2000 AND summary = llama2_chat('Summarize: ' || body, max_tokens => 40, temperature => 0);
DROP TABLE tickets;

-- Columns of other types, keys of several columns, names that need quotes
CREATE TABLE "Odd ""names""" ("the id" text, n numeric(6,2), "a {b}" text, "Size" int, "kind" varchar(3), flag boolean, PRIMARY KEY ("the id", n));
CREATE TRIGGER t AFTER INSERT ON "Odd ""names""" REFERENCING NEW TABLE AS x FOR EACH STATEMENT
	EXECUTE FUNCTION llama2_enrich('Size', 'Size {{of}} {the id}, {n}, {flag}:', 'chat=false', 'max_tokens=1', 'temperature=0',
		'logit_bias={"3": false}', 'stop=["x", "y"]');
SELECT throws_ok($$INSERT INTO "Odd ""names""" VALUES ('o''clock', 1.5, NULL, NULL, NULL, true)$$, '22P02', NULL, 'a text that is no number');
DROP TRIGGER t ON "Odd ""names""";
CREATE TRIGGER t AFTER INSERT ON "Odd ""names""" REFERENCING NEW TABLE AS x FOR EACH STATEMENT
	EXECUTE FUNCTION llama2_enrich('a {b}', 'Size {{of}} {the id}, {n}, {flag}:', 'chat=false', ' max_tokens = 5 ', 'temperature=0');
INSERT INTO "Odd ""names""" VALUES ('o''clock', 1.5, NULL, NULL, NULL, true), ('o''clock', 2.5, NULL, NULL, NULL, false);
SELECT is("a {b}", llama2_generate(format('Size {of} %s, %s, %s:', "the id", n, flag), max_tokens => 5, temperature => 0), 'the prompt of ' || n)
FROM "Odd ""names""";
CREATE TRIGGER b BEFORE UPDATE ON "Odd ""names""" FOR EACH ROW
	EXECUTE FUNCTION llama2_enrich('kind', '{the id}', 'max_tokens=10', 'temperature=0');
SELECT throws_ok($$UPDATE "Odd ""names""" SET "the id" = 'Who are you?'$$, '22001', 'value too long for type character varying(3)', 'length is checked');
DROP TABLE "Odd ""names""";

-- Partitions
CREATE TABLE parted (id int, body text, summary text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE part1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE TABLE part2 (summary text, id int NOT NULL, body text);
ALTER TABLE parted ATTACH PARTITION part2 FOR VALUES FROM (10) TO (20);
CREATE TRIGGER s AFTER INSERT ON parted REFERENCING NEW TABLE AS x FOR EACH STATEMENT
	EXECUTE FUNCTION llama2_enrich('summary', 'Summarize: {body}', 'max_tokens=40', 'temperature=0');
INSERT INTO parted VALUES (1, :'kettle'), (11, :'chair');
SELECT results_eq('SELECT id, summary FROM parted ORDER BY id', format('VALUES (1, %L), (11, %L)', :'kettle_summary', :'chair_summary'), 'a partitioned table');
DROP TRIGGER s ON parted;
CREATE TRIGGER s BEFORE INSERT ON parted FOR EACH ROW
	EXECUTE FUNCTION llama2_enrich('summary', 'Summarize: {body}', 'max_tokens=40', 'temperature=0');
INSERT INTO parted VALUES (2, :'kettle'), (12, :'chair');
SELECT results_eq('SELECT id, summary FROM parted WHERE id IN (2, 12) ORDER BY id', format('VALUES (2, %L), (12, %L)', :'kettle_summary', :'chair_summary'), 'row by row');

-- Children that inherit have keys of their own: they are left alone
CREATE TABLE parent (id int PRIMARY KEY, body text, summary text);
CREATE TABLE child () INHERITS (parent);
CREATE TRIGGER s AFTER INSERT ON child REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION llama2_enrich('summary', 'Summarize: {body}');
SELECT throws_ok($$INSERT INTO child VALUES (1, 'x')$$, '55000', 'relation "child" has no primary key', 'a child has no key of its parent');
ALTER TABLE child ADD PRIMARY KEY (id);
DROP TRIGGER s ON child;
INSERT INTO child VALUES (1, :'chair');
CREATE TRIGGER s AFTER INSERT ON parent REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION llama2_enrich('summary', 'Summarize: {body}', 'max_tokens=40', 'temperature=0');
SELECT pg_temp.error_is(format('INSERT INTO parent VALUES (1, %L)', :'kettle'), '0A000', 'statement-level trigger "s" with function "llama2_enrich" is on a table with inheritance children',
	'Rows of the children are among those of the statement, and can have the same keys.', 'Create triggers FOR EACH ROW, on the children too.');
DROP TRIGGER s ON parent;
CREATE TRIGGER s BEFORE INSERT ON parent FOR EACH ROW EXECUTE FUNCTION llama2_enrich('summary', 'Summarize: {body}', 'max_tokens=40', 'temperature=0');
INSERT INTO parent VALUES (1, :'kettle');
SELECT results_eq('SELECT tableoid::regclass::text, summary FROM parent ORDER BY 1', format('VALUES (''child'', NULL), (''parent'', %L)', :'kettle_summary'), 'row by row the parent has its own');
DROP TABLE parent CASCADE;

-- Options that are strings are taken as they stand, whatever they look like
CREATE TABLE coded (id int PRIMARY KEY, code text, version text, word text);
CREATE TRIGGER a BEFORE INSERT ON coded FOR EACH ROW EXECUTE FUNCTION llama2_enrich('code', 'Number {id}', 'regex=[0-9]{2}');
CREATE TRIGGER b BEFORE INSERT ON coded FOR EACH ROW EXECUTE FUNCTION llama2_enrich('version', 'Number {id}', 'guided_regex=42');
CREATE TRIGGER c BEFORE INSERT ON coded FOR EACH ROW EXECUTE FUNCTION llama2_enrich('word', 'Once {id}', 'chat=false', 'stop=["a", "1"]', 'stop=1', 'regex=[a-z]1[b-d]');
INSERT INTO coded VALUES (1);
SELECT matches(code, '^[0-9]{2}$', 'a regex that begins as an array does') FROM coded;
SELECT is(version, '42', 'a regex that is a number') FROM coded;
SELECT matches(word, '^[a-z]$', 'a stop string that is a number, which replaces an array of them') FROM coded;
DROP TABLE coded;

-- Triggers that are wrong
CREATE TABLE t (id int PRIMARY KEY, body text, summary text, twice text GENERATED ALWAYS AS (body || body) STORED);
CREATE TABLE keyless (body text, summary text);
CREATE FUNCTION wrong(trigger text, state text, message text, detail text DEFAULT '', hint text DEFAULT '', relation text DEFAULT 't')
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('CREATE TRIGGER w %s', trigger);
	result := pg_temp.error_is(format('INSERT INTO %I (body) VALUES (''x'')', relation), state, message, detail, hint);
	EXECUTE format('DROP TRIGGER w ON %I', relation);
	RETURN result;
END $$;
ALTER TABLE t ALTER id SET DEFAULT 1;
\set row 'BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION llama2_enrich'
\set async 'AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION llama2_enrich_async'
SELECT wrong(:'row' || $$('summary')$$, '39P01', 'trigger "w" gives function "llama2_enrich" too few arguments', '',
	'They are the column to fill, the prompt template, and options if wanted: llama2_enrich(''summary'', ''Summarize: {body}'', ''max_tokens=40'').');
SELECT wrong(:'row' || $$('sumary', '{body}')$$, '42703', 'column "sumary" of relation "t" does not exist');
SELECT wrong(:'async' || $$('sumary', '{body}')$$, '42703', 'column "sumary" of relation "t" does not exist');
SELECT wrong(:'row' || $$('summary', 'Of {bdy}')$$, '42703', 'column "bdy" of relation "t" does not exist', 'Prompt template "Of {bdy}" refers to it.');
SELECT wrong(:'row' || $$('summary', 'Of {summary}')$$, '22023', 'prompt template "Of {summary}" refers to column "summary", which it is to fill');
SELECT wrong(:'row' || $$('twice', '{body}')$$, '42809', 'column "twice" of relation "t" is a generated column', 'Its own expression fills it.');
SELECT wrong(:'row' || $$('summary', '{twice}')$$, '39P01', 'BEFORE trigger "w" refers to generated column "twice"', '',
	'Generated columns are computed after BEFORE triggers; use an AFTER trigger.');
SELECT wrong(:'row' || $$('summary', '{ctid}')$$, '42P10', 'column "ctid" is a system column');
SELECT wrong(:'row' || format('(''summary'', %L)', template), '22023', format('malformed prompt template "%s"', template), problem,
	'Write {column} for a column''s value, and {{ or }} for a brace.')
FROM (VALUES ('{body', 'A "{" is not closed.'), ('{bo{dy}', 'A "{" is not closed.'), ('body}', 'A "}" closes nothing.'),
	('{}', 'A place names no column.'), ('Summarize', 'It has no {column} place.'), ('{{body}}', 'It has no {column} place.')) AS v (template, problem);
SELECT wrong(:'async' || $$('summary', '{body}', 'max_token=4')$$, '22023', 'unrecognized option "max_token"', '', 'Perhaps you meant the option "max_tokens".');
SELECT wrong(:'async' || $$('summary', '{body}', 'max_tokens')$$, '22023', 'invalid option "max_tokens"', '',
	'Write name=value, as in max_tokens=40, or a JSON object.');
SELECT wrong(:'async' || $$('summary', '{body}', 'max_tokens=0')$$, '22023', 'max_tokens 0 is out of range', 'It must be at least 1.');
SELECT wrong(:'async' || $$('summary', '{body}', 'temperature=warm')$$, '22023', 'option "temperature" must be a number');
SELECT wrong(:'async' || $$('summary', '{body}', 'model=../x')$$, '22023', 'invalid model name "../x"');
SELECT wrong(:'async' || $$('summary', '{body}', 'chat=maybe')$$, '22023', 'option "chat" must be true or false');
SELECT wrong('AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION llama2_enrich(''summary'', ''{body}'')', '39P01',
	'row-level trigger "w" with function "llama2_enrich" must be fired BEFORE');
SELECT wrong('BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION llama2_enrich_async(''summary'', ''{body}'')', '39P01',
	'trigger "w" with function "llama2_enrich_async" must be fired AFTER');
SELECT wrong('AFTER INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION llama2_enrich(''summary'', ''{body}'')', '39P01',
	'statement-level trigger "w" with function "llama2_enrich" has no table of new rows', '',
	'Create it with AFTER ... REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT.');
SELECT wrong('AFTER INSERT ON keyless FOR EACH ROW EXECUTE FUNCTION llama2_enrich_async(''summary'', ''{body}'')', '55000',
	'relation "keyless" has no primary key', 'Values are written back to the rows by their primary key.', '', 'keyless');
SELECT throws_ok('SELECT llama2_enrich()', '39P01', 'function "llama2_enrich" was not called by a trigger');
CREATE TRIGGER w AFTER UPDATE ON t REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION llama2_enrich('summary', '{body}');
SELECT pg_temp.error_is('UPDATE t SET body = NULL', '39P01', 'statement-level trigger "w" with function "llama2_enrich" has no table of old rows', '',
	'Create it with REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows, so that unchanged rows can be told.');
DROP TRIGGER w ON t;
CREATE TRIGGER w BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION llama2_enrich('summary', '{body}');
INSERT INTO t (body) VALUES ('x');
SELECT throws_ok('DELETE FROM t', '39P01', 'trigger "w" must be fired for INSERT or UPDATE');

CREATE TEMPORARY TABLE passing (id int PRIMARY KEY, body text, summary text);
CREATE TRIGGER w AFTER INSERT ON passing FOR EACH ROW EXECUTE FUNCTION llama2_enrich_async('summary', '{body}');
SELECT pg_temp.error_is('INSERT INTO passing VALUES (1)', '39P01', 'trigger "w" with function "llama2_enrich_async" is on a temporary table',
	'Its rows are filled by another process, which cannot see them.', 'Use llama2_enrich.');
DROP TRIGGER w ON passing;

-- Rows without an answer
CREATE TRIGGER w BEFORE INSERT ON passing FOR EACH ROW EXECUTE FUNCTION llama2_enrich('summary', 'Summarize: {body}', 'max_tokens=40', 'temperature=0', 'on_error=null');
SET LOCAL client_min_messages = error;
INSERT INTO passing VALUES (1, repeat(:'kettle', 50)), (2, :'kettle');
SELECT results_eq('SELECT id, summary FROM passing ORDER BY id', format('VALUES (1, NULL), (2, %L)', :'kettle_summary'), 'on_error=null, row by row');
DROP TRIGGER w ON passing;
CREATE TRIGGER w AFTER INSERT ON passing REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION llama2_enrich('summary', 'Summarize: {body}', '{"max_tokens": 40, "temperature": 0, "on_error": "null"}');
INSERT INTO passing VALUES (3, :'chair'), (4, repeat(:'kettle', 50)), (5, :'kettle');
SELECT results_eq('SELECT id, summary FROM passing WHERE id > 2 ORDER BY id', format('VALUES (3, %L), (4, NULL), (5, %L)', :'chair_summary', :'kettle_summary'), 'and for a statement');
DROP TRIGGER w ON passing;
UPDATE passing SET summary = 'of another text';
CREATE TRIGGER w AFTER UPDATE ON passing REFERENCING OLD TABLE AS o NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION llama2_enrich('summary', 'Summarize: {body}', 'max_tokens=40', 'temperature=0', 'on_error=null');
UPDATE passing SET body = repeat(:'chair', 50) WHERE id = 3;
SELECT is(summary, NULL, 'what another text had is not kept') FROM passing WHERE id = 3;
SELECT is(summary, 'of another text', 'where nothing changed it is') FROM passing WHERE id = 4;
DROP TRIGGER w ON passing;
CREATE TRIGGER w BEFORE UPDATE ON passing FOR EACH ROW EXECUTE FUNCTION llama2_enrich('summary', 'Summarize: {body}', 'max_tokens=40', 'temperature=0', 'on_error=null');
UPDATE passing SET body = repeat(:'chair', 50) WHERE id = 5;
SELECT is(summary, NULL, 'nor row by row') FROM passing WHERE id = 5;
RESET client_min_messages;

-- Keys that read differently in other sessions
CREATE TABLE dated (day date, at interval, number float8, body text, summary text, PRIMARY KEY (day, at, number));
CREATE TRIGGER w AFTER INSERT ON dated REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION llama2_enrich('summary', 'Summarize: {body}', 'max_tokens=40', 'temperature=0');
SET LOCAL datestyle = 'SQL, DMY';
SET LOCAL intervalstyle = 'sql_standard';
SET LOCAL extra_float_digits = 0;
INSERT INTO dated VALUES ('04/03/2024', '-1 days +2:03', 1::float8 / 3, :'kettle');
SELECT is(summary, :'kettle_summary', 'a date, an interval and a number as key') FROM dated;
RESET datestyle;
RESET intervalstyle;
RESET extra_float_digits;

-- A row that moves to a partition that does not let it in is among the old ones alone
CREATE TABLE moving (id int PRIMARY KEY, body text, summary text) PARTITION BY RANGE (id);
CREATE TABLE moving_low PARTITION OF moving FOR VALUES FROM (0) TO (100);
CREATE TABLE moving_high PARTITION OF moving FOR VALUES FROM (100) TO (200);
CREATE FUNCTION pg_temp.keep_out() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
INSERT INTO moving SELECT i, :'kettle', 'mine' FROM generate_series(1, 3) AS i;
CREATE TRIGGER w AFTER UPDATE ON moving REFERENCING OLD TABLE AS o NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION llama2_enrich('summary', 'Summarize: {body}', 'max_tokens=40', 'temperature=0');
UPDATE moving SET id = CASE id WHEN 1 THEN 101 ELSE id END;
SELECT is(string_agg(summary, ',' ORDER BY id), 'mine,mine,mine', 'rows that move to another partition keep their value') FROM moving;
CREATE TRIGGER keep_out BEFORE INSERT ON moving_high FOR EACH ROW EXECUTE FUNCTION pg_temp.keep_out();
SELECT pg_temp.error_is('UPDATE moving SET id = CASE id WHEN 2 THEN 102 ELSE id END', '0A000',
	'trigger "w" with function "llama2_enrich" cannot tell which rows an update has changed',
	'Rows were moved to another partition, where a trigger did not let all of them in.', 'Use a trigger FOR EACH ROW.');

-- llama2_enrich_table, as far as it can be called here
SELECT pg_temp.error_is($$CALL llama2_enrich_table('t', 'summary', 'Summarize: {body}')$$, '2D000',
	'llama2_enrich_table cannot be called in a transaction block or a function', 'It commits after each batch.');

SELECT * FROM finish();
ROLLBACK;
