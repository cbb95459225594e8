-- llama2_chat and llama2_chat_stream with a conversation, and the functions around it.

\set ON_ERROR_STOP 1
BEGIN;
SELECT no_plan();
\ir setup/error_is.sql
SET LOCAL llama2.temperature = 0;
SET LOCAL client_min_messages = error;

-- The dialog of a turn, as llama2_chat(messages) takes it
CREATE FUNCTION pg_temp.messages(turn llama2_turns) RETURNS jsonb LANGUAGE sql AS $$
	SELECT (SELECT CASE WHEN c.system IS NULL THEN '[]' ELSE jsonb_build_array(jsonb_build_object('role', 'system', 'content', c.system)) END
			FROM llama2_conversations AS c WHERE c.id = turn.conversation)
		|| coalesce((SELECT jsonb_agg(part ORDER BY t.number, place) FROM llama2_turns AS t,
					 LATERAL (VALUES (1, jsonb_build_object('role', 'user', 'content', t.message)),
								 (2, jsonb_build_object('role', 'assistant', 'content', t.answer))) AS parts (place, part)
					 WHERE t.conversation = turn.conversation AND t.number >= turn.first_turn AND t.number < turn.number), '[]')
		|| jsonb_build_array(jsonb_build_object('role', 'user', 'content', turn.message))
$$;

-- A name that is new starts a conversation
SELECT is(llama2_chat(conversation => 'pirate', message => 'Who are you?', system => 'You are a pirate.'),
		  'Arr, I am a small Llama 2 model that runs inside PostgreSQL, matey!', 'the first turn');
SELECT is(llama2_chat('pirate', 'What is 2 plus 5?'), 'Arr, 7, matey!', 'the second turn, system instructions hold');
SELECT is(llama2_chat('pirate', 'What is a database?', system => 'You are a pirate.'),
		  'Arr, a database stores data so that you can find it again, matey!', 'the third, where the same instructions are given again');
SELECT id AS pirate FROM llama2_conversations WHERE name = 'pirate' \gset
SELECT is(llama2_chat(:pirate, 'Thank you'), 'Arr, you are welcome, matey!', 'the fourth, by its id');
SELECT is(llama2_chat(:'pirate', 'Hello'), 'Arr, hello! How can I help you?, matey!', 'the fifth, by its id as text');
SELECT results_eq('SELECT number, message, model, finish_reason, first_turn, summary, completion_tokens, prompt_tokens, answer FROM llama2_turns AS t ORDER BY number',
	$$SELECT number, m, 'tinychat-6m', 'stop', 1, NULL, cardinality(llama2_tokenize(answer)), cardinality(llama2_chat_prompt(pg_temp.messages(t))),
		llama2_chat(messages => pg_temp.messages(t))
	  FROM llama2_turns AS t, LATERAL (SELECT (ARRAY['Who are you?', 'What is 2 plus 5?', 'What is a database?', 'Thank you', 'Hello'])[number] AS m) AS m ORDER BY number$$,
	'every turn is what llama2_chat says to the dialog before it');
SELECT results_eq('SELECT name, owner, system, model, options, on_full, turns, first_turn, summary, last_turn_at > created_at FROM llama2_conversations',
	$$VALUES ('pirate', current_user, 'You are a pirate.', NULL::text, NULL::jsonb, 'drop', 5, 1, NULL::text, true)$$, 'the conversation');
SELECT is((SELECT cached_tokens FROM llama2_turns WHERE number = 5), (SELECT (prompt_tokens + completion_tokens - 1) / 32 * 32 FROM llama2_turns WHERE number = 4),
		  'what the turn before computed is found in the prefix cache');

-- Arguments: of the call before those of the conversation before parameters
SELECT llama2_conversation_start('settings', options => '{"max_tokens": 3, "seed": 7, "temperature": 1}') AS settings \gset
SELECT is(llama2_chat('settings', 'Tell me a story about a llama.'),
		  llama2_chat('Tell me a story about a llama.', max_tokens => 3, seed => 7, temperature => 1), 'the settings of the conversation');
SELECT is((SELECT (seed, finish_reason)::text FROM llama2_turns WHERE name = 'settings'), '(7,length)', 'and what the turn says of them');
SELECT llama2_conversation_forget('settings');
SELECT is(llama2_chat('settings', 'Tell me a story about a llama.', max_tokens => 5, options => '{"temperature": 0}'),
		  llama2_chat('Tell me a story about a llama.', max_tokens => 5, temperature => 0), 'the arguments of the call');
SELECT is(llama2_chat(:settings, 'Pick one.', options => '{"choices": ["apple", "pear"], "temperature": 0}') IN ('apple', 'pear'), true, 'a constraint');
SELECT isnt(llama2_conversation_start(), llama2_conversation_start(), 'conversations without a name');
SELECT is(llama2_chat((SELECT max(id) FROM llama2_conversations WHERE name IS NULL), 'Who are you?'), 'I am a small Llama 2 model that runs inside PostgreSQL.', 'and a turn of one');

-- Streams
SELECT llama2_conversation_start('stream', system => 'You are a pirate.') AS stream \gset
SELECT is((SELECT string_agg(token, '' ORDER BY seq) FROM llama2_chat_stream(conversation => 'stream', message => 'Who are you?')),
		  'Arr, I am a small Llama 2 model that runs inside PostgreSQL, matey!', 'a stream');
SELECT is((SELECT answer FROM llama2_turns WHERE name = 'stream'), 'Arr, I am a small Llama 2 model that runs inside PostgreSQL, matey!', 'its turn is kept');
SELECT is((SELECT string_agg(token, '') FROM (SELECT (llama2_chat_stream(:stream, 'What is 2 plus 5?')).token) AS s), 'Arr, 7, matey!', 'in the target list, by id');
SELECT is((SELECT count(*)::int FROM (SELECT (llama2_chat_stream('stream', 'Hello')).token LIMIT 2) AS s), 2, 'a stream that is not read to its end');
SELECT is((SELECT turns FROM llama2_conversations WHERE name = 'stream'), 2, 'leaves no turn');
SELECT is((SELECT count(*)::int FROM llama2_turns WHERE name = 'stream'), 2, 'nor a row');
DECLARE c CURSOR FOR SELECT (llama2_chat_stream('stream', 'Hello')).token;
FETCH 1 FROM c;
SELECT llama2_chat('stream', 'Thank you');
SELECT pg_temp.error_is('FETCH ALL FROM c', '55000', 'conversation "stream" was changed while its answer was read', '',
	'Read a stream to its end, and call it once in a query, before the conversation goes on.');
SELECT is((SELECT array_agg(message ORDER BY number) FROM llama2_turns WHERE name = 'stream'), ARRAY['Who are you?', 'What is 2 plus 5?', 'Thank you'], 'nothing of it is left');

SELECT llama2_conversation_start('dropped');
DECLARE d CURSOR FOR SELECT (llama2_chat_stream('dropped', 'Hello')).token;
FETCH 1 FROM d;
SELECT llama2_conversation_drop('dropped');
SELECT pg_temp.error_is('FETCH ALL FROM d', '55000', 'conversation "dropped" was changed while its answer was read', '',
	'Read a stream to its end, and call it once in a query, before the conversation goes on.');

-- An error leaves no half turn
SELECT throws_ok($$SELECT llama2_chat('new', 'Hello', options => '{"regex": "a{300}", "max_tokens": 5}')$$, NULL, NULL, 'a generation that fails');
SELECT throws_ok($$SELECT llama2_chat('stream', 'Hello', options => '{"regex": "a{300}", "max_tokens": 5}')$$, NULL, NULL, 'in a conversation that there is');
SELECT is((SELECT count(*)::int FROM llama2_conversations WHERE name = 'new'), 0, 'starts no conversation');
SELECT is((SELECT turns FROM llama2_conversations WHERE name = 'stream'), 3, 'adds no turn');
SELECT is(llama2_chat('stream', repeat('word ', 600), options => '{"on_error": "null"}'), NULL, 'on_error gives NULL');
SELECT is((SELECT turns FROM llama2_conversations WHERE name = 'stream'), 3, 'and adds no turn');

-- A context that is full
CREATE TEMPORARY TABLE questions AS SELECT n, 'My number is ' || n || '. What is a row?' AS message FROM generate_series(1, 40) AS n;
SELECT llama2_conversation_start('dropping', system => 'Always answer in capital letters.', options => '{"max_tokens": 100}') AS dropping \gset
SELECT is(count(llama2_chat('dropping', message))::int, 40, '40 turns') FROM (SELECT message FROM questions ORDER BY n) AS q;
SELECT is((SELECT array_agg(message ORDER BY number) FROM llama2_turns WHERE name = 'dropping'), (SELECT array_agg(message ORDER BY n) FROM questions), 'all are kept');
SELECT cmp_ok((SELECT count(DISTINCT first_turn)::int FROM llama2_turns WHERE name = 'dropping'), '>', 2, 'the oldest are left out several times');
SELECT is((SELECT first_turn FROM llama2_conversations WHERE name = 'dropping'), (SELECT first_turn FROM llama2_turns WHERE name = 'dropping' AND number = 40), 'as the conversation says');
SELECT is((SELECT count(*)::int FROM llama2_turns WHERE name = 'dropping' AND prompt_tokens > 412), 0, 'max_tokens always fits');
SELECT is(prompt_tokens, cardinality(llama2_chat_prompt(pg_temp.messages(t))), 'the prompt of turn ' || number) FROM llama2_turns AS t WHERE name = 'dropping' ORDER BY number;
SELECT is(answer, llama2_chat(pg_temp.messages(t), max_tokens => 100), 'the answer of turn ' || number) FROM llama2_turns AS t WHERE name = 'dropping' AND number % 5 = 0 ORDER BY number;
SELECT is((SELECT count(*)::int FROM llama2_turns WHERE name = 'dropping' AND answer <> upper(answer)), 0, 'the system instructions hold over all turns');

SELECT llama2_conversation_start('summarizing', system => 'You are a pirate.', options => '{"max_tokens": 100}', on_full => 'summarize') AS summarizing \gset
SELECT is(count(llama2_chat('summarizing', message))::int, 25, '25 turns') FROM (SELECT message FROM questions ORDER BY n LIMIT 25) AS q;
SELECT cmp_ok((SELECT count(*)::int FROM llama2_turns WHERE name = 'summarizing' AND summary IS NOT NULL), '>', 0, 'a summary is made');
SELECT is((SELECT array_agg(number) FROM llama2_turns WHERE name = 'summarizing' AND summary IS NOT NULL),
		  (SELECT array_agg(number) FROM (SELECT number, first_turn - lag(first_turn) OVER (ORDER BY number) AS step FROM llama2_turns WHERE name = 'summarizing') AS s WHERE step > 0),
		  'whenever turns leave the prompt');
SELECT is((SELECT summary FROM llama2_conversations WHERE name = 'summarizing'),
		  (SELECT summary FROM llama2_turns WHERE name = 'summarizing' AND summary IS NOT NULL ORDER BY number DESC LIMIT 1), 'the newest is that of the conversation');
SELECT is(t.prompt_tokens, cardinality(llama2_chat_prompt(jsonb_set(pg_temp.messages(t), '{0,content}',
			to_jsonb(E'You are a pirate.\n\nSummary of the conversation so far: ' || c.summary)))), 'it stands behind the system instructions')
FROM llama2_turns AS t JOIN llama2_conversations AS c ON c.id = t.conversation WHERE t.name = 'summarizing' AND number = 25;

SELECT llama2_conversation_start('failing', options => '{"max_tokens": 100}', on_full => 'error') AS failing \gset
SELECT llama2_chat('failing', repeat('word ', 150));
SELECT llama2_chat('failing', repeat('word ', 150));
SELECT pg_temp.error_is($$SELECT llama2_chat('failing', repeat('word ', 150))$$, '54000',
	'conversation "failing" no longer fits the context of 512 tokens of model "tinychat-6m"', '',
	'llama2_conversation_forget() leaves turns out of the prompt, and so does "on_full" with "drop" or "summarize".');
SELECT throws_ok($$SELECT llama2_chat('dropping', repeat('word ', 600))$$, '54000', NULL, 'a message that is too long by itself');
SELECT is((SELECT first_turn FROM llama2_conversations WHERE name = 'dropping'), (SELECT max(first_turn) FROM llama2_turns WHERE name = 'dropping'), 'costs no turn');
SELECT ok(llama2_chat('dropping', repeat('word ', 450)) IS NOT NULL, 'one that leaves room for no other turn');
SELECT is((SELECT first_turn FROM llama2_turns WHERE name = 'dropping' AND number = 41), 41, 'is alone in its prompt');

-- Forgetting
SELECT is(llama2_conversation_forget('failing'), 2, 'forget');
SELECT lives_ok($$SELECT llama2_chat('failing', repeat('word ', 150))$$, 'then there is room');
SELECT is((SELECT count(*)::int FROM llama2_turns WHERE name = 'failing'), 3, 'and all turns are there');
SELECT is(llama2_conversation_forget('pirate', keep => 2), 3, 'keep some');
SELECT is(llama2_conversation_forget(:pirate, 3), 0, 'what is forgotten does not come back');
SELECT is((SELECT first_turn FROM llama2_conversations WHERE id = :pirate), 4, 'the first turn of the prompt');
SELECT llama2_chat('pirate', 'Hello');
SELECT is(prompt_tokens, cardinality(llama2_chat_prompt(pg_temp.messages(t))), 'is the first turn of the prompt') FROM llama2_turns AS t WHERE name = 'pirate' AND number = 6;
SELECT is(llama2_conversation_forget('summarizing', 100), 0, 'all turns are kept');
SELECT is((SELECT summary FROM llama2_conversations WHERE name = 'summarizing'), NULL, 'but the summary is forgotten');
SELECT pg_temp.error_is($$SELECT llama2_conversation_forget('pirate', -1)$$, '22023', 'keep -1 is out of range', 'It must be at least 0.');

-- Dropping
SELECT is(llama2_conversation_drop('failing'), true, 'drop');
SELECT is((SELECT count(*)::int FROM llama2_turn WHERE conversation = :failing), 0, 'its turns are gone');
SELECT is(llama2_conversation_drop('failing'), false, 'there is none any more');
SELECT is(llama2_conversation_drop(:summarizing), true, 'drop by id');
SELECT is(llama2_conversation_drop(:summarizing), false, 'which is gone too');

-- NULL
SELECT is(llama2_chat(conversation => NULL::text, message => 'Hello'), NULL, 'no conversation');
SELECT is(llama2_chat(conversation => NULL::bigint, message => 'Hello'), NULL, 'no id');
SELECT is(llama2_chat(conversation => 'unborn', message => NULL), NULL, 'no message');
SELECT is((SELECT count(*)::int FROM llama2_conversations WHERE name = 'unborn'), 0, 'which starts nothing');
SELECT is_empty($$SELECT * FROM llama2_chat_stream(conversation => 'unborn', message => NULL)$$, 'no rows');
SELECT is(llama2_conversation_forget(NULL::text), NULL, 'forget nothing');
SELECT is(llama2_conversation_drop(NULL::bigint), NULL, 'drop nothing');

-- What is wrong
\set yours 'The view llama2_conversations lists yours.'
SELECT pg_temp.error_is('SELECT llama2_chat(999999999, ''Hello'')', '42704', 'conversation 999999999 does not exist', '', :'yours');
SELECT pg_temp.error_is('SELECT llama2_chat(''999999999'', ''Hello'')', '42704', 'conversation 999999999 does not exist', '', :'yours');
SELECT pg_temp.error_is('SELECT * FROM llama2_chat_stream(999999999, ''Hello'')', '42704', 'conversation 999999999 does not exist', '', :'yours');
SELECT pg_temp.error_is('SELECT llama2_conversation_forget(''nobody'')', '42704', 'conversation "nobody" does not exist', '', :'yours');
SELECT pg_temp.error_is('SELECT llama2_chat(''99999999999999999999'', ''Hello'')', '22003', 'value "99999999999999999999" is out of range for type bigint');
SELECT pg_temp.error_is('SELECT llama2_chat(conversation => '''', message => ''Hello'')', '22023', 'invalid conversation name ""',
	'A name has at least one character that is not a digit; digits are taken for an id.');
SELECT pg_temp.error_is('SELECT llama2_conversation_start(''42'')', '22023', 'invalid conversation name "42"',
	'A name has at least one character that is not a digit; digits are taken for an id.');
SELECT pg_temp.error_is($$SELECT llama2_conversation_start(repeat('é', 501))$$, '22023', 'conversation name of 1002 bytes is too long', 'It can have at most 1000 bytes.');
SELECT pg_temp.error_is($$SELECT llama2_chat(repeat('é', 501), 'Hello')$$, '22023', 'conversation name of 1002 bytes is too long', 'It can have at most 1000 bytes.');
SELECT isnt(llama2_conversation_start((SELECT left(string_agg(md5(n::text), ''), 1000) FROM generate_series(1, 32) AS n)), NULL, 'a long name');
SELECT pg_temp.error_is('SELECT llama2_conversation_start(''pirate'')', '42710', 'conversation "pirate" already exists');
SELECT pg_temp.error_is('SELECT llama2_conversation_start(on_full => ''stop'')', '22023', 'unrecognized value "stop" of on_full', '',
	'It can be "drop", "summarize" or "error".');
SELECT pg_temp.error_is('SELECT llama2_conversation_start(model => ''../x'')', '22023', 'invalid model name "../x"');
SELECT pg_temp.error_is('SELECT llama2_conversation_start(options => ''{"temperatur": 1}'')', '22023', 'unrecognized option "temperatur"', '',
	'Perhaps you meant the option "temperature".');
SELECT pg_temp.error_is('SELECT llama2_conversation_start(options => ''[]'')', '22023', 'options must be a JSON object');
SELECT pg_temp.error_is('SELECT llama2_chat(''settings'', ''Hello'', options => ''[]'')', '22023', 'options must be a JSON object');
SELECT pg_temp.error_is('SELECT llama2_chat(''pirate'', ''Hello'', system => ''Be brief.'')', '22023', 'conversation "pirate" has other system instructions',
	'They were given when it was started, and hold for all its turns.', 'Leave out "system", or start another conversation.');
SELECT pg_temp.error_is('SELECT llama2_chat(''settings'', ''Hello'', system => ''Be brief.'')', '22023', 'conversation "settings" has other system instructions',
	'They were given when it was started, and hold for all its turns.', 'Leave out "system", or start another conversation.');

-- The other forms of llama2_chat are found as before
SELECT is(llama2_chat('Who are you?', 20), 'I am a small Llama 2 model that runs inside PostgreSQL.', 'a message and max_tokens');
SELECT is(llama2_chat(message => 'Who are you?'), 'I am a small Llama 2 model that runs inside PostgreSQL.', 'a message by its name');
SELECT is(llama2_chat('[{"role": "user", "content": "Who are you?"}]'::jsonb), 'I am a small Llama 2 model that runs inside PostgreSQL.', 'a dialog');

-- Row security
CREATE ROLE llama2_alice;
CREATE ROLE llama2_bob;
CREATE ROLE llama2_team;
GRANT llama2_team TO llama2_alice, llama2_bob;
SET LOCAL ROLE llama2_alice;
SELECT is(llama2_chat('pirate', 'Who are you?'), 'I am a small Llama 2 model that runs inside PostgreSQL.', 'a name is that of the role''s own conversation');
SELECT results_eq('SELECT name, owner, turns FROM llama2_conversations', $$VALUES ('pirate', 'llama2_alice'::name, 1)$$, 'which is the only one it sees');
SELECT is((SELECT count(*)::int FROM llama2_turns), 1, 'so are its turns');
SELECT is((SELECT count(*)::int FROM llama2_conversation), 1, 'in the table too');
SELECT is((SELECT count(*)::int FROM llama2_turn), 1, 'of the turns too');
SELECT pg_temp.error_is(format('SELECT llama2_chat(%s, ''Hello'')', :pirate), '42704', format('conversation %s does not exist', :pirate), '', :'yours');
SELECT is(llama2_conversation_drop(:pirate), false, 'nor does it drop another''s');
SELECT throws_ok($$UPDATE llama2_turn SET answer = 'x'$$, '42501', NULL, 'it writes no turn');
SELECT throws_ok($$INSERT INTO llama2_conversation (owner, name) VALUES ('llama2_alice', 'x')$$, '42501', NULL, 'nor a conversation');
SELECT throws_ok($$UPDATE llama2_turns SET answer = 'x'$$, NULL, NULL, 'nor through the view');
SELECT throws_ok($$DELETE FROM llama2_conversations$$, '42501', NULL, 'of conversations');
SET LOCAL row_security = off;
SELECT lives_ok($$SELECT llama2_chat('pirate', 'Hello')$$, 'row_security does not matter');
SET LOCAL row_security = on;
SET LOCAL ROLE llama2_team;
SELECT llama2_conversation_start('shared') AS shared \gset
SET LOCAL ROLE llama2_bob;
SELECT lives_ok(format('SELECT llama2_chat(%s, ''Hello'')', :shared), 'a member goes on with a conversation of its group');
SET LOCAL ROLE llama2_alice;
SELECT lives_ok(format('SELECT llama2_chat(%s, ''Who are you?'')', :shared), 'another does so too');
SELECT is((SELECT array_agg(message ORDER BY number) FROM llama2_turns WHERE conversation = :shared), ARRAY['Hello', 'Who are you?'], 'both see its turns');
RESET ROLE;

-- The operators of the caller's search_path are not used: the statements run as the owner of the tables
CREATE SCHEMA llama2_trap;
GRANT USAGE ON SCHEMA llama2_trap TO PUBLIC;
CREATE FUNCTION llama2_trap.equals(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE OPERATOR llama2_trap.= (FUNCTION = llama2_trap.equals, LEFTARG = bigint, RIGHTARG = bigint);
CREATE FUNCTION llama2_trap.equals(text, text) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE OPERATOR llama2_trap.= (FUNCTION = llama2_trap.equals, LEFTARG = text, RIGHTARG = text);
CREATE FUNCTION llama2_trap.pg_has_role(oid, oid, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION pg_temp.in_trap(statement text) RETURNS text LANGUAGE plpgsql SET search_path = llama2_trap, public, pg_catalog AS $$
DECLARE
	result text;
BEGIN
	EXECUTE statement INTO result;
	RETURN result;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLERRM;
END
$$;
SELECT is(pg_temp.in_trap('SELECT 1::bigint = 1::bigint'), 'trapped', 'an operator that would be found');
SELECT is(pg_temp.in_trap('SELECT ''a''::text = ''a''::text'), 'trapped', 'another');
SET LOCAL ROLE llama2_bob;
SELECT is(pg_temp.in_trap($$SELECT llama2_chat('own', 'Who are you?')$$), 'I am a small Llama 2 model that runs inside PostgreSQL.', 'is not found by name');
SELECT is(pg_temp.in_trap(format('SELECT llama2_chat(%s, ''Hello'')', :shared)), 'Hello! How can I help you?', 'nor by id');
SELECT is(pg_temp.in_trap(format('SELECT llama2_chat(%s, ''Hello'')', :pirate)), format('conversation %s does not exist', :pirate), 'nor is a function');
SELECT is(pg_temp.in_trap($$SELECT current_setting('search_path') || llama2_conversation_forget('own') || current_setting('search_path')$$),
		  'llama2_trap, public, pg_catalog1llama2_trap, public, pg_catalog', 'search_path is as before');
SELECT is(current_user, 'llama2_bob', 'and so is the role');
RESET ROLE;

-- Read-only
SET LOCAL transaction_read_only = on;
\set nothing_written 'llama2_chat(messages => ...) answers a dialog and writes nothing.'
SELECT pg_temp.error_is(call, '25006', format('cannot execute %s() with a conversation in a read-only transaction', name),
	'It writes to the tables of the conversation.', :'nothing_written')
FROM (VALUES ($$SELECT llama2_chat('pirate', 'Hello')$$, 'llama2_chat'), ($$SELECT llama2_chat_stream('pirate', 'Hello')$$, 'llama2_chat_stream'),
	('SELECT llama2_conversation_start()', 'llama2_conversation_start'), ($$SELECT llama2_conversation_forget('pirate')$$, 'llama2_conversation_forget'),
	($$SELECT llama2_conversation_drop('pirate')$$, 'llama2_conversation_drop')) AS calls (call, name);
SELECT cmp_ok((SELECT count(*)::int FROM llama2_turns), '>', 50, 'turns can be read');

SELECT * FROM finish();
ROLLBACK;
