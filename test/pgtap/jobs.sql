-- llama2_submit, llama2_result, llama2_cancel, llama2_jobs and their table, as far as a transaction sees them that does not
-- commit: what a worker does with jobs is in test/t/013_jobs.pl and 014_job_rules.pl.

\set ON_ERROR_STOP 1
BEGIN;
SELECT no_plan();
\ir setup/error_is.sql
CREATE ROLE llama2_test_owner;
CREATE ROLE llama2_test_other;
CREATE ROLE llama2_test_member IN ROLE llama2_test_owner;

-- The table and its rules
SELECT col_is_pk('llama2_job', 'id', 'a job is known by its id');
SELECT col_type_is('llama2_job', 'owner', 'regrole', 'and has an owner');
SELECT col_not_null('llama2_job', column_name, column_name || ' is always there') FROM unnest(ARRAY['owner', 'state', 'prompt', 'model', 'chat', 'options', 'attempts', 'queued_at', 'run_after']) AS column_name;
SELECT policies_are('llama2_job', ARRAY['llama2_job_of_owner', 'llama2_job_cancel'], 'row security has two policies');
SELECT ok(relrowsecurity, 'which are on') FROM pg_class WHERE oid = 'llama2_job'::regclass;
SELECT ok(reloptions @> ARRAY['security_barrier=true'], 'the view is a barrier') FROM pg_class WHERE oid = 'llama2_jobs'::regclass;
SELECT is(has_table_privilege('llama2_test_other', 'llama2_job', privilege), allowed, 'everybody''s right to ' || privilege || ': ' || allowed)
FROM (VALUES ('SELECT', true), ('INSERT', false), ('UPDATE', false), ('DELETE', false), ('TRUNCATE', false), ('REFERENCES', false), ('TRIGGER', false)) AS v (privilege, allowed);
SELECT is(has_column_privilege('llama2_test_other', 'llama2_job', attname, 'UPDATE'), attname IN ('state', 'finished_at'), 'who cancels may change ' || attname || ': ' || (attname IN ('state', 'finished_at')))
FROM pg_attribute WHERE attrelid = 'llama2_job'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
SELECT is(has_table_privilege('llama2_test_other', 'llama2_job_new', 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') OR
	has_any_column_privilege('llama2_test_other', 'llama2_job_new', 'SELECT, INSERT, UPDATE, REFERENCES'), false, 'nobody has rights on the table of new jobs');
SELECT ok(NOT relhasindex, 'which has no indexes') FROM pg_class WHERE oid = 'llama2_job_new'::regclass;
SELECT is_descendent_of('llama2_job_new', 'llama2_job', 'and is part of the other');
SELECT is(has_sequence_privilege('llama2_test_other', 'llama2_job_id', 'USAGE'), false, 'nobody takes numbers');

-- Submitting
SET LOCAL ROLE llama2_test_owner;
SELECT llama2_submit('Once upon a time', 20, 0.5, 0.75, 7, 0.25, 42, ARRAY['.', E'\n'], 'Be brief.', 'tinychat-6m', '{"repeat_penalty": 1.5}') AS id \gset
SELECT is(:id::bigint, (SELECT max(id) FROM llama2_jobs), 'it returns the job''s id');
SELECT results_eq(format('SELECT owner, state, relation IS NULL, "column" IS NULL, key IS NULL, rows, prompt, model, attempts, started_at IS NULL, finished_at IS NULL, error FROM llama2_jobs WHERE id = %s', :id),
	$$VALUES ('llama2_test_owner'::name, 'queued'::text, true, true, true, 1, 'Once upon a time'::text, 'tinychat-6m'::text, 0, true, true, NULL::text)$$, 'the view shows it');
SELECT is(options, '{"seed": 42, "stop": [".", "\n"], "min_p": 0.25, "top_k": 7, "top_p": 0.75, "max_tokens": 20, "temperature": 0.5, "repeat_penalty": 1.5}', 'the table has its options')
FROM llama2_job WHERE id = :id;
SELECT is(row(system, chat), row('Be brief.'::text, false), 'and its system message') FROM llama2_job WHERE id = :id;
SET LOCAL llama2.max_tokens = 11;
SET LOCAL llama2.temperature = 0;
SET LOCAL llama2.seed = 5;
SELECT llama2_submit('Once') AS plain \gset
SELECT is(row(options, system, chat, model), row('{"seed": 5, "max_tokens": 11, "temperature": 0}'::jsonb, NULL::text, false, 'tinychat-6m'::text),
	'without options, those of the session that are not built in') FROM llama2_job WHERE id = :plain;
RESET llama2.seed;
SELECT is(llama2_submit(NULL), NULL, 'NULL gives NULL');
SELECT pg_temp.error_is($$SELECT llama2_submit('Once', max_tokens => 0)$$, '22023', 'max_tokens 0 is out of range', 'It must be at least 1.');
SELECT pg_temp.error_is($$SELECT llama2_submit('Once', temperature => -1)$$, '22023', 'temperature -1 is out of range', 'It must be at least 0 and at most 100.');
SELECT throws_ok($$SELECT llama2_submit('Once', options => '{"no_such": 1}')$$, '22023', 'unrecognized option "no_such"');
SELECT pg_temp.error_is($$SELECT llama2_submit('Once', model => '../x')$$, '22023', 'invalid model name "../x"');
SELECT pg_temp.error_is($$SELECT llama2_submit('Once', max_tokens => 5000)$$, '22023', 'max_tokens 5000 is greater than the limit of 4096', '', 'The limit is the parameter llama2.max_tokens_limit.');

-- Results
SELECT is(llama2_result(:id), NULL, 'none yet');
SELECT is(llama2_result(:id, '20 ms'), NULL, 'nor after a while');
SELECT is(llama2_result(NULL), NULL, 'NULL gives NULL');
SELECT pg_temp.error_is('SELECT llama2_result(0)', '42704', 'there is no job 0', '', 'Jobs that ended are kept for llama2.job_retention.');
RESET ROLE;
UPDATE llama2_job SET state = 'done', result = 'there was', finished_at = now() WHERE id = :id;
SET LOCAL ROLE llama2_test_owner;
SELECT is(llama2_result(:id), 'there was', 'the text of a job that is done');
SELECT is(llama2_result(:id, '1 hour'), 'there was', 'at once');
SELECT is(llama2_cancel(:id), false, 'what is done cannot be cancelled');
RESET ROLE;
UPDATE llama2_job SET state = 'failed', result = NULL, error = 'it was too hot' WHERE id = :id;
SET LOCAL ROLE llama2_test_owner;
SELECT pg_temp.error_is(format('SELECT llama2_result(%s)', :id), '55000', format('job %s failed: it was too hot', :id));
SELECT is(row(state, error), row('failed'::text, 'it was too hot'::text), 'the view has the reason') FROM llama2_jobs WHERE id = :id;

-- Others
SELECT llama2_submit('Mine') AS mine \gset
SET LOCAL ROLE llama2_test_other;
SELECT is_empty('SELECT FROM llama2_jobs', 'others see no job in the view');
SELECT is_empty('SELECT FROM llama2_job', 'nor in the table');
SELECT pg_temp.error_is(format('SELECT llama2_result(%s)', :mine), '42704', format('there is no job %s', :mine), '', 'Jobs that ended are kept for llama2.job_retention.');
SELECT is(llama2_cancel(:mine), false, 'nor can they cancel it');
SELECT throws_ok(statement, '42501', NULL, 'nobody may: ' || statement) FROM unnest(ARRAY['DELETE FROM llama2_job', 'TRUNCATE llama2_job', 'UPDATE llama2_job SET prompt = ''x''', 'UPDATE llama2_job SET result = ''x''',
	'INSERT INTO llama2_job (owner, prompt, model, chat, options) VALUES (''llama2_test_owner'', ''x'', ''x'', true, ''{}'')', 'SELECT nextval(''llama2_job_id'')', 'LOCK llama2_job IN ACCESS EXCLUSIVE MODE']) AS statement;
SET LOCAL ROLE llama2_test_member;
SELECT ok(count(*) > 2, 'members of the owner''s role see its jobs') FROM llama2_jobs;
SELECT is(llama2_result(:mine), NULL, 'may ask for their results');
SELECT is(llama2_cancel(:mine), true, 'and cancel them');
SET LOCAL ROLE llama2_test_owner;
SELECT is(row(state, finished_at IS NOT NULL), row('cancelled'::text, true), 'it is cancelled') FROM llama2_jobs WHERE id = :mine;
SELECT pg_temp.error_is(format('SELECT llama2_result(%s)', :mine), '55000', format('job %s was cancelled', :mine));
SELECT is(llama2_cancel(:mine), false, 'once');
SELECT is(llama2_cancel(NULL), NULL, 'NULL gives NULL');
SELECT is(llama2_cancel(0), false, 'a job that there is not');
SELECT throws_ok(format('UPDATE llama2_job SET state = ''queued'' WHERE id = %s', :mine), '42501', NULL, 'what is cancelled is not queued again');
RESET ROLE;
SELECT is(count(*), 3::bigint, 'superusers see all') FROM llama2_jobs WHERE owner = 'llama2_test_owner';

-- Functions that are not called as they should be
SELECT throws_ok('SELECT llama2_job_notice()', '39P01', 'function "llama2_job_notice" was not called by a trigger');
SELECT throws_ok('UPDATE llama2_job SET state = ''sleeping''', '23514', NULL, 'a state that there is not');
REVOKE EXECUTE ON FUNCTION llama2_submit(text, int, float8, float8, int, float8, bigint, text[], text, text, jsonb) FROM PUBLIC;
SET LOCAL ROLE llama2_test_other;
SELECT throws_ok('SELECT llama2_submit(''x'')', '42501', 'permission denied for function llama2_submit');

SELECT * FROM finish();
ROLLBACK;
