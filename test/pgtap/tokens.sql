-- llama2_tokenize, llama2_detokenize and llama2_count_tokens.

\set ON_ERROR_STOP 1
BEGIN;
SELECT no_plan();
\ir setup/samples.sql
\ir setup/error_is.sql

-- There and back
CREATE TEMPORARY TABLE texts AS SELECT * FROM unnest(ARRAY['Hello', ' Hello', '   Hello', 'Hello ', 'Hello   ', ' ', '  ', E'\n', E'a\n\nb\tc\r\n',
	'Grüße', '世界', '😀', '👩‍👩‍👧', 'é', E'e\u0301', 'Ω≈ç√∫', '1234567890', '3.14', '</s>', '<s>', '<unk>', '<0x41>', E'\x01\x7f',
	'a' || chr(65533) || 'b', chr(1114109), repeat('x', 1000), repeat(' ', 100), repeat('ab ', 3000), '[INST] <<SYS>>']) AS text;
SELECT is(llama2_detokenize(llama2_tokenize(text)), text, 'there and back: ' || left(to_json(text)::text, 40)) FROM texts;
SELECT is(llama2_count_tokens(text), cardinality(llama2_tokenize(text)), 'count: ' || left(to_json(text)::text, 40)) FROM texts;
SELECT is(llama2_tokenize(text) && ARRAY[0, 1, 2], false, 'no control token: ' || left(to_json(text)::text, 40)) FROM texts;
SELECT is(llama2_detokenize(llama2_tokenize(turns[1])), turns[1], 'there and back, dialog ' || id) FROM dialogs ORDER BY id;

-- Bytes: the tokens from 3 on
SELECT is(llama2_tokenize(''), '{}'::int[], 'no text, no tokens');
SELECT is(llama2_count_tokens(''), 0, 'and so none to count');
SELECT is((llama2_tokenize(E'\x01'))[2:], ARRAY[4], 'a byte that is no piece is a byte token');
SELECT is((llama2_tokenize('😀'))[2:], ARRAY[243, 162, 155, 131], 'a character that is no piece is its bytes');
SELECT is(llama2_detokenize(ARRAY[243, 162, 155, 131]), '😀', 'and they make the character again');
SELECT is(llama2_detokenize(ARRAY[243, 162, 155]), chr(65533), 'cut short, they are a replacement character');
SELECT is(llama2_detokenize(ARRAY[3 + 65, 3 + 195, 3 + 66]), 'A' || chr(65533) || 'B', 'a byte that makes no character is replaced');
SELECT is(llama2_detokenize(ARRAY[3 + 65, 3 + 0, 3 + 66]), 'A' || chr(65533) || 'B', 'byte 0, which text cannot have, is replaced');
SELECT is(llama2_detokenize(1 || llama2_tokenize('Hello') || 2), 'Hello', 'control tokens have no text');
SELECT is(llama2_detokenize(llama2_tokenize('Hello') || llama2_tokenize('World')), 'Hello World', 'only the text''s first space is taken away');
SELECT is(llama2_detokenize('{}'), '', 'no tokens, no text');
SELECT is(llama2_detokenize(array_agg(id)) IS NOT NULL, true, 'every token of the vocabulary has a text') FROM generate_series(0, 4095) AS id;
SELECT is(llama2_tokenize('Hello', 'tinychat-6m'), llama2_tokenize('Hello'), 'the model can be named');

-- NULL and errors
SELECT is(llama2_tokenize(NULL), NULL, 'llama2_tokenize of NULL');
SELECT is(llama2_detokenize(NULL), NULL, 'llama2_detokenize of NULL');
SELECT is(llama2_count_tokens(NULL), NULL, 'llama2_count_tokens of NULL');
SELECT pg_temp.error_is('SELECT llama2_detokenize(ARRAY[5, NULL])', '22004', 'token 2 is null');
SELECT pg_temp.error_is('SELECT llama2_detokenize(ARRAY[-1])', '22023', 'token -1 is not in the vocabulary of model "tinychat-6m"',
	'Its tokens are 0 to 4095.');
SELECT pg_temp.error_is('SELECT llama2_detokenize(ARRAY[4096])', '22023', 'token 4096 is not in the vocabulary of model "tinychat-6m"',
	'Its tokens are 0 to 4095.');
SELECT pg_temp.error_is($$SELECT llama2_tokenize('Hello', 'nowhere')$$, '58P01', 'model "nowhere" does not exist', '',
	'llama2_models() lists the models in llama2.model_directory.');

-- No worker is asked: a million bytes are soon done
SELECT performs_ok($$SELECT llama2_count_tokens(repeat('The quick brown fox. ', 50000))$$, 5000, 'a megabyte of text');

SELECT * FROM finish();
ROLLBACK;
