-- Parameters and privileges of roles.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS llama2;
RESET client_min_messages;
SELECT current_user AS superuser \gset
CREATE ROLE llama2_intern LOGIN;
ALTER ROLE llama2_intern SET llama2.max_tokens_limit = 5;
ALTER ROLE llama2_intern SET llama2.temperature = 0;
CREATE ROLE llama2_writer LOGIN;
ALTER ROLE llama2_writer SET llama2.max_tokens = 3;
ALTER ROLE llama2_writer IN DATABASE :"DBNAME" SET llama2.seed = 7;

\c - llama2_intern
SELECT completion_tokens FROM llama2_complete('Once upon a time');
SELECT llama2_generate('Once upon a time', max_tokens => 6);
SHOW llama2.temperature;
SET llama2.max_tokens_limit = 100;
SELECT llama2_load('tinychat-6m');
SELECT llama2_unload('tinychat-6m');
SELECT llama2_stats_reset();
SELECT count(*) FROM llama2_status WHERE model = 'tinychat-6m';
-- in other words up to version 14
\set VERBOSITY sqlstate
ALTER SYSTEM SET llama2.model_directory = '/';
\set VERBOSITY default

\c - llama2_writer
SELECT completion_tokens, seed FROM llama2_complete('Once upon a time');

\c - :superuser
GRANT EXECUTE ON FUNCTION llama2_load(text) TO llama2_writer;
REVOKE EXECUTE ON FUNCTION llama2_chat(text, int, float8, float8, int, float8, bigint, text[], text, text, jsonb) FROM PUBLIC;
SET ROLE llama2_writer;
SELECT llama2_load('tinychat-6m');
SELECT llama2_chat('Hello');
RESET ROLE;
GRANT EXECUTE ON FUNCTION llama2_chat(text, int, float8, float8, int, float8, bigint, text[], text, text, jsonb) TO PUBLIC;
REVOKE EXECUTE ON FUNCTION llama2_load(text) FROM llama2_writer;
DROP ROLE llama2_intern;
DROP ROLE llama2_writer;
