-- llama2_models, llama2_load, llama2_unload and llama2_status, of the bundled model.
-- Loading, unloading and broken files are tested on a server of their own.

\set ON_ERROR_STOP 1
BEGIN;
SELECT no_plan();
\ir setup/error_is.sql

SELECT lives_ok($$SELECT llama2_load('tinychat-6m')$$, 'loading what is resident is no error');
SELECT results_eq(
	$$SELECT state, type, parameters, layers, dim, vocabulary, context_length, error FROM llama2_models() WHERE name = 'tinychat-6m'$$,
	$$VALUES ('ready', 'Q8_0', 5770496::bigint, 6, 256, 4096, 512, NULL::text)$$, 'what the file says of itself');
SELECT ok(weight_bytes BETWEEN 0.95 * file_bytes AND 1.03 * file_bytes, 'weights take what the file takes: ' || weight_bytes || ' of ' || file_bytes)
FROM llama2_models() WHERE name = 'tinychat-6m';
SELECT ok(loaded_at BETWEEN pg_postmaster_start_time() - interval '1 s' AND clock_timestamp() AND load_ms > 0 AND kv_cache_bytes > 0, 'when it was loaded')
FROM llama2_models() WHERE name = 'tinychat-6m';
SELECT is(bytes_done, NULL, 'no load is under way') FROM llama2_models() WHERE name = 'tinychat-6m';

SELECT results_eq($$SELECT state, context_length, running >= 0, queued, kv_pages >= kv_pages_free, error FROM llama2_status WHERE model = 'tinychat-6m'$$,
	$$VALUES ('ready', 512, true, 0, true, NULL::text)$$, 'its worker');
SELECT is(s.loaded_at, m.loaded_at, 'the two agree') FROM llama2_status AS s JOIN llama2_models() AS m ON s.model = m.name WHERE s.model = 'tinychat-6m';
SELECT is(backend_type, 'llama2 worker', 'the worker is in pg_stat_activity') FROM pg_stat_activity JOIN llama2_status ON worker_pid = pid
WHERE model = 'tinychat-6m';
SELECT is(datid, NULL, 'and connected to no database') FROM pg_stat_activity WHERE backend_type = 'llama2 worker';
SELECT ok(kernels IN ('generic', 'avx2', 'avxvnni', 'avx512', 'amx'), 'kernels') FROM llama2_status WHERE model = 'tinychat-6m';
SELECT ok(threads >= 1 AND activation_bytes > 0 AND kv_cache_bytes > 0, 'threads and memory') FROM llama2_status WHERE model = 'tinychat-6m';

-- Names
\set name_hint 'A model''s name is its file''s name without ".gguf"; llama2_models() lists them.'
SELECT pg_temp.error_is(format('SELECT %s', replace(call, '$', quote_literal(name))), '22023', format('invalid model name "%s"', name), '', :'name_hint')
FROM unnest(ARRAY['', '.', '..', '../tinychat-6m', '/etc/passwd', 'a/b', E'a\\b', '.hidden', 'a b', 'naïve', 'x%n', E'x\n', repeat('x', 64)]) AS name,
	unnest(ARRAY[$$llama2_generate('Once', model => $)$$, 'llama2_load($)']) AS call;
SELECT pg_temp.error_is(format('SELECT %s', call), '58P01', 'model "nowhere" does not exist', '',
	'llama2_models() lists the models in llama2.model_directory.')
FROM unnest(ARRAY[$$llama2_generate('Once', model => 'nowhere')$$, $$llama2_generate(ARRAY['Once'], model => 'nowhere')$$,
	$$llama2_chat('Once', model => 'nowhere')$$, $$llama2_chat('[]'::jsonb, model => 'nowhere')$$, $$llama2_generate_stream('Once', model => 'nowhere')$$,
	$$llama2_complete('Once', model => 'nowhere')$$, $$llama2_tokenize('Once', 'nowhere')$$, $$llama2_detokenize(ARRAY[5], 'nowhere')$$,
	$$llama2_count_tokens('Once', 'nowhere')$$, $$llama2_chat_prompt('[]', 'nowhere')$$, $$llama2_logprobs('Once', ' upon', 'nowhere')$$,
	$$llama2_perplexity('Once', 'nowhere')$$, $$llama2_load('nowhere')$$]) AS call;
SELECT is((SELECT error FROM llama2_status WHERE model = 'nowhere'), 'model "nowhere" does not exist', 'llama2_status tells of it too');
SELECT is((SELECT count(*)::int FROM llama2_models() WHERE name = 'nowhere'), 0, 'llama2_models does not: there is no such file');
SELECT is(llama2_unload('nowhere'), false, 'unloading what is not resident');
SELECT is(llama2_unload('../x'), false, 'or could not be');
SELECT is(llama2_unload(NULL), NULL, 'or is NULL');
SELECT is(llama2_load(NULL)::text, NULL, 'loading NULL loads nothing');

-- More names than the table of models has room for
SELECT pg_temp.error_is(format('SELECT llama2_load(%L)', 'nowhere-' || n), '58P01', format('model "nowhere-%s" does not exist', n), '',
	'llama2_models() lists the models in llama2.model_directory.')
FROM generate_series(1, 20) AS n;
SELECT is(llama2_chat('What is PostgreSQL?', temperature => 0), 'PostgreSQL is a database that stores data in tables.', 'and the others are still served');

SELECT * FROM finish();
ROLLBACK;
