-- What errors leave behind: nothing.

\set ON_ERROR_STOP 1
BEGIN;
SELECT no_plan();
\ir setup/error_is.sql

CREATE TEMPORARY TABLE answer AS SELECT llama2_generate('Once upon a time', temperature => 0, max_tokens => 10) AS text;

-- statement_timeout is no error that WHEN OTHERS catches
CREATE FUNCTION pg_temp.state_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION
	WHEN query_canceled OR OTHERS THEN
		RETURN SQLSTATE;
END
$$;

-- hot enough that no guess at the next tokens is right
\set endless '$$SELECT llama2_generate(''Once'', max_tokens => 500, temperature => 2, options => ''{"ignore_eos": true}'')$$'
SET LOCAL statement_timeout = 20;
SELECT is(pg_temp.state_of(:endless), '57014', 'statement_timeout ends a generation');
SELECT is(pg_temp.state_of($$SELECT llama2_generate(array_agg('Once ' || n), options => '{"ignore_eos": true}') FROM generate_series(1, 200) AS n$$), '57014',
	'and an array of them');
SELECT is(pg_temp.state_of($$SELECT count(*) FROM llama2_generate_stream('Once', max_tokens => 500, temperature => 2, options => '{"ignore_eos": true}')$$), '57014', 'and a stream');
RESET statement_timeout;
SELECT is(llama2_generate('Once upon a time', temperature => 0, max_tokens => 10), text, 'the next call is answered as ever') FROM answer;
SELECT is((SELECT count(*)::int FROM llama2_requests WHERE pid = pg_backend_pid() AND NOT cancelled), 0, 'no request is left');

-- Errors of others in the middle of a stream
SELECT throws_ok($$SELECT 1 / (3 - (s).seq) FROM (SELECT llama2_generate_stream('Once upon a time') AS s OFFSET 0) AS rows$$, '22012', 'division by zero');
SELECT is((SELECT count(*)::int FROM llama2_requests WHERE pid = pg_backend_pid() AND NOT cancelled), 0, 'release its request');

-- A session cannot lose slots by failing again and again
DO $$
BEGIN
	FOR n IN 1 .. 300 LOOP
		BEGIN
			PERFORM 1 / (1 - (s).seq) FROM (SELECT llama2_generate_stream('Once', max_tokens => 2) AS s OFFSET 0) AS rows;
		EXCEPTION WHEN division_by_zero THEN
		END;
	END LOOP;
END
$$;
SELECT is(llama2_generate('Once upon a time', temperature => 0, max_tokens => 10), text, 'after 300 failures') FROM answer;

-- Arguments of other types
SELECT CASE
	WHEN current_setting('server_version_num')::int < 150000 THEN skip('no prefix is reserved before version 15')
	ELSE throws_ok('SET llama2.unknown = 1', '42602', 'invalid configuration parameter name "llama2.unknown"')
END;
SELECT throws_ok('SELECT llama2_generate(5)', '42883', 'function llama2_generate(integer) does not exist');
SELECT throws_ok($$SELECT llama2_generate('Once', max_token => 5)$$, '42883');
SELECT throws_ok($$SELECT llama2_generate('Once', max_tokens => 1.5)$$, '42883');
SELECT throws_ok($$SELECT llama2_generate('Once', options => 'no json')$$, '22P02');

-- Where it may be called
SET TRANSACTION READ ONLY;
SELECT is(llama2_generate('Once upon a time', temperature => 0, max_tokens => 10), text, 'in a read-only transaction') FROM answer;

SELECT * FROM finish();
ROLLBACK;
