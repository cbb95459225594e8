-- What the extension creates: functions with their signatures and properties,
-- views with their columns, comments, privileges, parameters.

\set ON_ERROR_STOP 1
BEGIN;
SELECT no_plan();

\set common 'max_tokens integer DEFAULT NULL::integer, temperature double precision DEFAULT NULL::double precision, top_p double precision DEFAULT NULL::double precision, top_k integer DEFAULT NULL::integer, min_p double precision DEFAULT NULL::double precision, seed bigint DEFAULT NULL::bigint, stop text[] DEFAULT NULL::text[], system text DEFAULT NULL::text, model text DEFAULT NULL::text, options jsonb DEFAULT NULL::jsonb'
\set greedy 'max_tokens integer DEFAULT NULL::integer, temperature double precision DEFAULT 0, top_p double precision DEFAULT NULL::double precision, top_k integer DEFAULT NULL::integer, min_p double precision DEFAULT NULL::double precision, seed bigint DEFAULT NULL::bigint, stop text[] DEFAULT NULL::text[], system text DEFAULT NULL::text, model text DEFAULT NULL::text, options jsonb DEFAULT NULL::jsonb'
\set common_types 'integer,double precision,double precision,integer,double precision,bigint,text[],text,text,jsonb'
\set token_table 'TABLE(seq integer, token_id integer, token text, logprob real)'
\set model_argument 'model text DEFAULT NULL::text'

CREATE TEMPORARY TABLE expected (
	signature text, arguments text, result text, volatility "char", cost real, rows real, strict boolean, for_public boolean,
	parallel "char" DEFAULT 's', language name DEFAULT 'c');

INSERT INTO expected VALUES
	('llama2_generate(text,' || :'common_types' || ')', 'prompt text, ' || :'common', 'text', 'v', 1000000, 0, false, true),
	('llama2_generate(text[],' || :'common_types' || ')', 'prompts text[], ' || :'common', 'text[]', 'v', 1000000, 0, false, true),
	('llama2_chat(text,' || :'common_types' || ')', 'message text, ' || :'common', 'text', 'v', 1000000, 0, false, true),
	('llama2_chat(jsonb,' || :'common_types' || ')', 'messages jsonb, ' || :'common', 'text', 'v', 1000000, 0, false, true),
	('llama2_generate_stream(text,' || :'common_types' || ')', 'prompt text, ' || :'common', :'token_table', 'v', 1000000, 100, false, true),
	('llama2_chat_stream(text,' || :'common_types' || ')', 'message text, ' || :'common', :'token_table', 'v', 1000000, 100, false, true),
	('llama2_chat_stream(jsonb,' || :'common_types' || ')', 'messages jsonb, ' || :'common', :'token_table', 'v', 1000000, 100, false, true),
	('llama2_complete(text,' || :'common_types' || ')',
		'prompt text, ' || :'common' || ', OUT text text, OUT finish_reason text, OUT model text, OUT seed bigint, '
		'OUT prompt_tokens integer, OUT cached_tokens integer, OUT completion_tokens integer, OUT queue_ms double precision, '
		'OUT prefill_ms double precision, OUT decode_ms double precision, OUT mean_logprob double precision, OUT logprobs jsonb',
		'record', 'v', 1000000, 0, false, true),
	('llama2_complete_n(text,integer,' || :'common_types' || ')', 'prompt text, n integer, ' || :'common',
		'TABLE(number integer, text text, finish_reason text, model text, seed bigint, prompt_tokens integer, cached_tokens integer, '
		'completion_tokens integer, queue_ms double precision, prefill_ms double precision, decode_ms double precision, '
		'mean_logprob double precision, logprobs jsonb)', 'v', 1000000, 3, false, true),
	('llama2_tokenize(text,text)', 'text text, ' || :'model_argument', 'integer[]', 's', 1000, 0, false, true),
	('llama2_detokenize(integer[],text)', 'tokens integer[], ' || :'model_argument', 'text', 's', 1000, 0, false, true),
	('llama2_count_tokens(text,text)', 'text text, ' || :'model_argument', 'integer', 's', 1000, 0, false, true),
	('llama2_chat_prompt(jsonb,text)', 'messages jsonb, ' || :'model_argument', 'integer[]', 's', 1000, 0, false, true),
	('llama2_logprobs(text,text,text)', 'prompt text, completion text, ' || :'model_argument', :'token_table', 's', 1000000, 50, false, true),
	('llama2_perplexity(text,text)', 'text text, ' || :'model_argument', 'double precision', 's', 1000000, 0, false, true),
	('llama2_score(text,text,text)', 'prompt text, completion text, ' || :'model_argument', 'double precision', 's', 1000000, 0, false, true),
	('llama2_classify(text,text[],text,text)', 'text text, labels text[], instruction text DEFAULT NULL::text, ' || :'model_argument', 'text', 's', 1000000, 0, false, true),
	('llama2_classify_scores(text,text[],text,text)', 'text text, labels text[], instruction text DEFAULT NULL::text, ' || :'model_argument',
		'TABLE(label text, probability double precision)', 's', 1000000, 5, false, true),
	('llama2_is_true(text,text,text)', 'statement text, instruction text DEFAULT NULL::text, ' || :'model_argument', 'boolean', 's', 1000000, 0, false, true),
	('llama2_choice(text,text[],text,text)', 'prompt text, choices text[], system text DEFAULT NULL::text, ' || :'model_argument', 'text', 's', 1000000, 0, false, true),
	('llama2_extract(text,jsonb,text,' || :'common_types' || ')', 'text text, schema jsonb, instruction text DEFAULT NULL::text, ' || :'greedy', 'jsonb', 'v', 1000000, 0, false, true),
	('llama2_extract(text,text,text,' || :'common_types' || ')', 'text text, schema text, instruction text DEFAULT NULL::text, ' || :'greedy', 'jsonb', 'v', 1000000, 0, false, true),
	('llama2_extract(text,anyelement,text,' || :'common_types' || ')', 'text text, "row" anyelement, instruction text DEFAULT NULL::text, ' || :'greedy', 'anyelement', 'v', 1000000, 0, false, true),
	('llama2_embed(text,text,jsonb)', 'text text, ' || :'model_argument' || ', options jsonb DEFAULT NULL::jsonb', 'real[]', 's', 1000000, 0, false, true),
	('llama2_embed(text[],text,jsonb)', 'texts text[], ' || :'model_argument' || ', options jsonb DEFAULT NULL::jsonb', 'SETOF real[]', 's', 1000000, 10, false, true),
	('llama2_similarity(text,text,text,jsonb)', 'a text, b text, ' || :'model_argument' || ', options jsonb DEFAULT NULL::jsonb', 'double precision', 's', 1000000, 0, false, true),
	('llama2_similarity(real[],real[])', 'a real[], b real[]', 'double precision', 'i', 10, 0, true, true),
	('llama2_options()', '', 'TABLE(name text, aliases text[], type text, range text, "default" text, parameter text, description text)', 's', 100, 46, false, true),
	('llama2_models()',
		'OUT name text, OUT state text, OUT file_bytes bigint, OUT bytes_done bigint, OUT weight_bytes bigint, OUT kv_cache_bytes bigint, '
		'OUT type text, OUT parameters bigint, OUT layers integer, OUT dim integer, OUT vocabulary integer, OUT context_length integer, '
		'OUT loaded_at timestamp with time zone, OUT load_ms double precision, OUT last_used timestamp with time zone, OUT file_changed boolean, '
		'OUT error text', 'SETOF record', 'v', 10000, 10, false, true),
	('llama2_memory_plan(text)',
		'model text DEFAULT NULL::text, OUT model text, OUT type text, OUT parameters bigint, OUT context_length integer, '
		'OUT weight_bytes bigint, OUT kv_cache_bytes bigint, OUT activation_bytes bigint, OUT total_bytes bigint, OUT limit_bytes bigint, '
		'OUT available_bytes bigint, OUT shared_memory_bytes bigint, OUT fits boolean, OUT problem text', 'record', 'v', 10000, 0, false, true),
	('llama2_load(text)', 'name text', 'void', 'v', 1000000, 0, true, false),
	('llama2_unload(text)', 'name text', 'boolean', 'v', 1000000, 0, true, false),
	('llama2_status()',
		'OUT model text, OUT state text, OUT worker_pid integer, OUT kernels text, OUT threads integer, OUT context_length integer, '
		'OUT weight_bytes bigint, OUT kv_cache_bytes bigint, OUT activation_bytes bigint, OUT memory_bytes bigint, OUT running integer, OUT queued integer, '
		'OUT kv_pages integer, OUT kv_pages_free integer, OUT kv_pages_cached integer, OUT loaded_at timestamp with time zone, OUT error text',
		'SETOF record', 'v', 1000, 2, false, true),
	('llama2_requests()',
		'OUT id bigint, OUT pid integer, OUT datid oid, OUT usesysid oid, OUT model text, OUT kind text, OUT state text, '
		'OUT queued_at timestamp with time zone, OUT started_at timestamp with time zone, OUT prompt_tokens integer, '
		'OUT prefilled_tokens integer, OUT result_tokens integer, OUT max_tokens integer, OUT cancelled boolean',
		'SETOF record', 'v', 1000, 10, false, true),
	('llama2_progress()',
		'OUT pid integer, OUT datid oid, OUT usesysid oid, OUT started_at timestamp with time zone, OUT estimated_rows bigint, '
		'OUT rows_read bigint, OUT rows_done bigint, OUT requests bigint, OUT prompt_tokens bigint, OUT completion_tokens bigint, '
		'OUT tokens_per_second double precision', 'SETOF record', 'v', 1000, 5, false, true),
	('llama2_stats()',
		'OUT requests bigint, OUT completed bigint, OUT failed bigint, OUT cancelled bigint, OUT prompt_tokens bigint, '
		'OUT cached_tokens bigint, OUT completion_tokens bigint, OUT scored_tokens bigint, OUT steps bigint, OUT mean_batch double precision, '
		'OUT prefill_tokens bigint, OUT decode_tokens bigint, OUT drafted_tokens bigint, OUT accepted_tokens bigint, OUT preemptions bigint, OUT job_pauses bigint, OUT queue_ms double precision, '
		'OUT prefill_ms double precision, OUT decode_ms double precision, OUT step_ms double precision, OUT worker_starts bigint, '
		'OUT model_loads bigint, OUT evictions bigint, OUT stats_reset timestamp with time zone', 'record', 'v', 1000, 0, false, true),
	('llama2_stats_reset()', '', 'void', 'v', 1, 0, false, false),
	('llama2_summarize(text,' || :'common_types' || ',integer)', 'text text, ' || :'common' || ', part_tokens integer DEFAULT NULL::integer',
		'text', 'v', 1000000, 0, false, true),
	('llama2_summarize_add(internal,text)', 'internal, text', 'internal', 'i', 1, 0, false, true),
	('llama2_summarize_final(internal)', 'internal', 'text', 'v', 1000000, 0, false, true),
	('llama2_summarize_texts(text[])', 'texts text[]', 'text', 'v', 1000000, 0, false, true),
	('llama2_texts_final(internal)', 'internal', 'text[]', 'i', 1, 0, false, true);
INSERT INTO expected VALUES
	('llama2_submit(text,' || :'common_types' || ')', 'prompt text, ' || :'common', 'bigint', 'v', 100, 0, false, true, 'u', 'c'),
	('llama2_result(bigint,interval)', 'id bigint, timeout interval DEFAULT NULL::interval', 'text', 'v', 1000, 0, false, true, 'u', 'plpgsql'),
	('llama2_chat(text,text,' || :'common_types' || ')', 'conversation text, message text, ' || :'common', 'text', 'v', 1000000, 0, false, true, 'u', 'c'),
	('llama2_chat(bigint,text,' || :'common_types' || ')', 'conversation bigint, message text, ' || :'common', 'text', 'v', 1000000, 0, false, true, 'u', 'c'),
	('llama2_chat_stream(text,text,' || :'common_types' || ')', 'conversation text, message text, ' || :'common', :'token_table', 'v', 1000000, 100, false, true, 'u', 'c'),
	('llama2_chat_stream(bigint,text,' || :'common_types' || ')', 'conversation bigint, message text, ' || :'common', :'token_table', 'v', 1000000, 100, false, true, 'u', 'c'),
	('llama2_conversation_start(text,text,text,jsonb,text)', 'name text DEFAULT NULL::text, system text DEFAULT NULL::text, model text DEFAULT NULL::text, '
		'options jsonb DEFAULT NULL::jsonb, on_full text DEFAULT ''drop''::text', 'bigint', 'v', 100, 0, false, true, 'u', 'c'),
	('llama2_conversation_forget(text,integer)', 'conversation text, keep integer DEFAULT 0', 'integer', 'v', 100, 0, true, true, 'u', 'c'),
	('llama2_conversation_forget(bigint,integer)', 'conversation bigint, keep integer DEFAULT 0', 'integer', 'v', 100, 0, true, true, 'u', 'c'),
	('llama2_conversation_drop(text)', 'conversation text', 'boolean', 'v', 100, 0, true, true, 'u', 'c'),
	('llama2_conversation_drop(bigint)', 'conversation bigint', 'boolean', 'v', 100, 0, true, true, 'u', 'c'),
	('llama2_cancel(bigint)', 'id bigint', 'boolean', 'v', 1000, 0, true, true, 'u', 'plpgsql'),
	('llama2_enrich()', '', 'trigger', 'v', 1, 0, false, true, 'u', 'c'),
	('llama2_enrich_async()', '', 'trigger', 'v', 1, 0, false, true, 'u', 'c'),
	('llama2_job_notice()', '', 'trigger', 'v', 1, 0, false, true, 'u', 'c'),
	('llama2_enrich_table(regclass,name,text,text,integer,text)',
		'IN target regclass, IN "column" name, IN template text, IN condition text DEFAULT NULL::text, IN batch integer DEFAULT 100, '
		'IN options text DEFAULT NULL::text', NULL, 'v', 1, 0, false, true, 'u', 'c'),
	('llama2_texts_agg(text)', 'text', 'text[]', 'i', 1, 0, false, true, 's', 'internal'),
	('llama2_summarize_agg(text)', 'text', 'text', 'i', 1, 0, false, true, 's', 'internal');

CREATE TEMPORARY VIEW actual AS
	SELECT p.oid::regprocedure::text AS signature, p.*
	FROM pg_proc AS p
	JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
	WHERE e.extname = 'llama2';

SELECT has_extension('llama2');
SELECT is((SELECT array_agg(signature ORDER BY signature) FROM actual),
		  (SELECT array_agg(signature ORDER BY signature) FROM expected),
		  'the extension has these functions and no others');

SELECT unnest(ARRAY[is(pg_get_function_arguments(a.oid), e.arguments, e.signature || ': arguments and defaults'),
	is(pg_get_function_result(a.oid), e.result, e.signature || ': result'),
	is(a.provolatile, e.volatility, e.signature || ': volatility'),
	is(a.proparallel, e.parallel, e.signature || ': parallel safety'),
	is(a.procost, e.cost, e.signature || ': cost'),
	is(a.prorows, e.rows, e.signature || ': rows'),
	is(a.proisstrict, e.strict, e.signature || ': strictness'),
	is((SELECT lanname FROM pg_language AS l WHERE l.oid = a.prolang), e.language, e.signature || ': language'),
	is(a.prosecdef, false, e.signature || ': runs with the rights of its caller'),
	ok(length(obj_description(a.oid, 'pg_proc')) > 10, e.signature || ': has a comment'),
	is(EXISTS (SELECT FROM aclexplode(coalesce(a.proacl, acldefault('f', a.proowner))) AS x
			   WHERE x.grantee = 0 AND x.privilege_type = 'EXECUTE'),
	   e.for_public, e.signature || CASE WHEN e.for_public THEN ': everybody may call it' ELSE ': not everybody may call it' END)])
FROM expected AS e LEFT JOIN actual AS a USING (signature)
ORDER BY e.signature;

-- Views
SELECT set_eq(
	$$SELECT d.objid::regclass::text
	  FROM pg_depend AS d JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
	  WHERE d.classid = 'pg_class'::regclass AND d.deptype = 'e' AND e.extname = 'llama2'$$,
	ARRAY['llama2_status', 'llama2_requests', 'llama2_progress', 'llama2_stats', 'llama2_jobs', 'llama2_job', 'llama2_job_new', 'llama2_job_id',
		'llama2_conversations', 'llama2_conversation', 'llama2_conversation_id', 'llama2_turns', 'llama2_turn'],
	'the extension has these relations and no others');
SELECT columns_are('llama2_status', ARRAY['model', 'state', 'worker_pid', 'kernels', 'threads', 'context_length', 'weight_bytes',
	'kv_cache_bytes', 'activation_bytes', 'memory_bytes', 'running', 'queued', 'kv_pages', 'kv_pages_free', 'kv_pages_cached', 'loaded_at', 'error']);
SELECT columns_are('llama2_requests', ARRAY['id', 'pid', 'datid', 'datname', 'usesysid', 'usename', 'model', 'kind', 'state', 'queued_at',
	'started_at', 'prompt_tokens', 'prefilled_tokens', 'result_tokens', 'max_tokens', 'cancelled']);
SELECT columns_are('llama2_progress', ARRAY['pid', 'datid', 'datname', 'usesysid', 'usename', 'started_at', 'estimated_rows', 'rows_read',
	'rows_done', 'requests', 'prompt_tokens', 'completion_tokens', 'tokens_per_second']);
SELECT columns_are('llama2_stats', ARRAY['requests', 'completed', 'failed', 'cancelled', 'prompt_tokens', 'cached_tokens',
	'completion_tokens', 'scored_tokens', 'steps', 'mean_batch', 'prefill_tokens', 'decode_tokens', 'drafted_tokens', 'accepted_tokens', 'preemptions', 'job_pauses', 'queue_ms',
	'prefill_ms', 'decode_ms', 'step_ms', 'worker_starts', 'model_loads', 'evictions', 'stats_reset']);
SELECT columns_are('llama2_jobs', ARRAY['id', 'owner', 'state', 'relation', 'column', 'key', 'rows', 'prompt', 'model', 'attempts', 'queued_at',
	'run_after', 'started_at', 'finished_at', 'error']);
SELECT columns_are('llama2_conversations', ARRAY['id', 'name', 'owner', 'system', 'model', 'options', 'on_full', 'turns', 'first_turn', 'summary',
	'created_at', 'last_turn_at']);
SELECT columns_are('llama2_turns', ARRAY['conversation', 'name', 'number', 'message', 'answer', 'model', 'seed', 'finish_reason', 'first_turn', 'summary',
	'prompt_tokens', 'cached_tokens', 'completion_tokens', 'created_at']);
SELECT unnest(ARRAY[ok(length(obj_description(name::regclass, 'pg_class')) > 10, name || ': has a comment'),
	ok(has_table_privilege('public', name, 'SELECT'), name || ': everybody may read it'),
	ok(NOT has_table_privilege('public', name, 'UPDATE'), name || ': nobody may write it')])
FROM unnest(ARRAY['llama2_status', 'llama2_requests', 'llama2_progress', 'llama2_stats', 'llama2_jobs', 'llama2_job',
	'llama2_conversations', 'llama2_conversation', 'llama2_turns', 'llama2_turn']) AS name;
SELECT is((SELECT count(*)::int FROM llama2_stats), 1, 'llama2_stats has one row');

-- Privileges, seen from an ordinary role
CREATE ROLE llama2_ordinary;
SET LOCAL ROLE llama2_ordinary;
SELECT is(llama2_chat('What is PostgreSQL?', temperature => 0), 'PostgreSQL is a database that stores data in tables.',
		  'an ordinary role may generate');
SELECT is(llama2_count_tokens('Hello'), array_length(llama2_tokenize('Hello'), 1), 'and count tokens');
SELECT lives_ok('SELECT * FROM llama2_models()', 'and see the models');
SELECT lives_ok('SELECT * FROM llama2_status, llama2_stats', 'and how busy they are');
SELECT throws_ok($$SELECT llama2_load('tinychat-6m')$$, '42501', 'permission denied for function llama2_load');
SELECT throws_ok($$SELECT llama2_unload('tinychat-6m')$$, '42501', 'permission denied for function llama2_unload');
SELECT throws_ok('SELECT llama2_stats_reset()', '42501', 'permission denied for function llama2_stats_reset');
SELECT throws_ok('SET llama2.max_tokens_limit = 5000', '42501', 'permission denied to set parameter "llama2.max_tokens_limit"');
SELECT throws_ok('SHOW llama2.model_directory', '42501', NULL, 'nor does it see the server''s folders');
RESET ROLE;

-- Parameters
SELECT results_eq(
	$$SELECT name, context, vartype, boot_val, min_val, max_val, unit FROM pg_settings WHERE name LIKE 'llama2.%' ORDER BY name$$,
	$$VALUES ('llama2.batch_scan', 'user', 'bool', 'on', NULL, NULL, NULL),
		('llama2.batch_size', 'user', 'integer', '0', '0', '4096', NULL),
		('llama2.blas', 'sighup', 'bool', 'off', NULL, NULL, NULL),
		('llama2.context_length', 'sighup', 'integer', '0', '0', '1048576', NULL),
		('llama2.job_keep_alive', 'sighup', 'integer', '60', '0', '2147483', 's'),
		('llama2.job_retention', 'sighup', 'integer', '604800', '-1', '2147483647', 's'),
		('llama2.job_retries', 'sighup', 'integer', '5', '0', '100', NULL),
		('llama2.job_retry_delay', 'sighup', 'integer', '5000', '0', '2147483647', 'ms'),
		('llama2.job_share', 'sighup', 'integer', '2', '1', '100', NULL),
		('llama2.job_workers', 'sighup', 'integer', '2', '0', '64', NULL),
		('llama2.keep_alive', 'sighup', 'integer', '300', '-1', '2147483', 's'),
		('llama2.kernels', 'sighup', 'enum', 'auto', NULL, NULL, NULL),
		('llama2.kv_cache_size', 'sighup', 'integer', '0', '0', '2097151', 'MB'),
		('llama2.kv_cache_type', 'sighup', 'enum', 'f16', NULL, NULL, NULL),
		('llama2.max_batch', 'sighup', 'integer', '32', '1', '256', NULL),
		('llama2.max_requests', 'postmaster', 'integer', '128', '2', '4096', NULL),
		('llama2.max_tokens', 'user', 'integer', '256', '1', '1048576', NULL),
		('llama2.max_tokens_limit', 'superuser', 'integer', '4096', '1', '1048576', NULL),
		('llama2.memory_limit', 'sighup', 'integer', '0', '0', '2097151', 'MB'),
		('llama2.min_p', 'user', 'real', '0', '0', '1', NULL),
		('llama2.model', 'user', 'string', 'tinychat-6m', NULL, NULL, NULL),
		('llama2.model_directory', 'sighup', 'string', '', NULL, NULL, NULL),
		('llama2.nice', 'sighup', 'integer', '0', '0', '19', NULL),
		('llama2.prefix_cache', 'sighup', 'bool', 'on', NULL, NULL, NULL),
		('llama2.preload', 'postmaster', 'string', '', NULL, NULL, NULL),
		('llama2.repeat_penalty', 'user', 'real', '1', '0.01', '100', NULL),
		('llama2.seed', 'user', 'integer', '-1', '-1', '2147483647', NULL),
		('llama2.speculation', 'sighup', 'bool', 'on', NULL, NULL, NULL),
		('llama2.temperature', 'user', 'real', '0.6', '0', '100', NULL),
		('llama2.threads', 'sighup', 'integer', '0', '0', '256', NULL),
		('llama2.top_k', 'user', 'integer', '40', '0', '2147483647', NULL),
		('llama2.top_p', 'user', 'real', '0.9', '1.17549e-38', '1', NULL)$$,
	'the parameters, who may change them, their defaults and ranges');
SELECT CASE WHEN current_setting('server_version_num')::int < 150000 THEN skip('version 14 takes any name of the prefix')
	ELSE throws_ok('SET llama2.no_such_parameter = 1', '42602', 'invalid configuration parameter name "llama2.no_such_parameter"') END;

-- It can be dropped and made again, in a schema of one's choice
DROP EXTENSION llama2;
CREATE SCHEMA elsewhere;
CREATE EXTENSION llama2 SCHEMA elsewhere;
SELECT is(elsewhere.llama2_chat('What is PostgreSQL?', temperature => 0), 'PostgreSQL is a database that stores data in tables.',
		  'works in another schema');
SELECT lives_ok('SELECT * FROM elsewhere.llama2_requests', 'and so do its views');

SELECT * FROM finish();
ROLLBACK;
