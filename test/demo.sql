\echo
\echo '-- Complete a prompt.  temperature => 0 takes the likeliest token each time.'
SELECT llama2_generate('Once upon a time', max_tokens => 60, temperature => 0);

\echo '-- Ask.'
SELECT llama2_chat('What is PostgreSQL?', temperature => 0);

\echo '-- Ask with a system prompt.'
SELECT llama2_chat('Who are you?', system => 'You are a pirate.', temperature => 0);

\echo '-- Go on with a dialog.'
SELECT llama2_chat('[
	{"role": "system", "content": "Always answer in capital letters."},
	{"role": "user", "content": "Hello"},
	{"role": "assistant", "content": "HELLO! HOW CAN I HELP YOU?"},
	{"role": "user", "content": "What is a table?"}]'::jsonb, temperature => 0);

\echo '-- Read a table.'
CREATE TABLE tickets (id int PRIMARY KEY, body text);
INSERT INTO tickets VALUES
	(1, 'My kettle leaks water. I bought it on March 3. My order number is A-3391. Please send me a replacement. Regards, Ana Lopez, Lisbon'),
	(2, 'Hello, I was charged twice for the office chair. I want my money back! You can reach me at tom.berg@mail.com. This is urgent. Thanks, Tom Berg'),
	(3, 'I was locked out of the account. Please help me. It is not urgent. Regards, Nina Weber');

SELECT id,
	llama2_chat(E'Classify this ticket as billing, shipping, technical, account or other.\n\n' || body,
				max_tokens => 5, temperature => 0) AS category,
	llama2_chat(E'What is the priority of this ticket: low, normal, high?\n\n' || body,
				max_tokens => 5, temperature => 0) AS priority
FROM tickets ORDER BY id;

\echo '-- Many prompts as one batch.'
SELECT unnest(llama2_generate(array_agg(body ORDER BY id), temperature => 0,
							  system => 'Summarize every message in one sentence.')) AS summary
FROM tickets;

\echo '-- Fields as JSON.'
SELECT llama2_chat(E'Extract customer, product and order_id as JSON.\n\n' || body,
				   temperature => 0)::jsonb AS fields
FROM tickets WHERE id = 1;

\echo '-- A stream: in an application each row arrives when its token is made.'
SELECT seq, token_id, token, logprob FROM llama2_chat_stream('What is a row?', temperature => 0);

\echo '-- How likely is an answer?'
SELECT answer, round(sum(logprob)::numeric, 2) AS logprob
FROM unnest(ARRAY['positive', 'negative']) AS answer,
	LATERAL llama2_logprobs(E'Review: The soup was cold.\nSentiment:', ' ' || answer)
GROUP BY answer ORDER BY 2 DESC;

\echo '-- Texts as vectors: how near are they to each other?'
SELECT a.id, b.id, round(llama2_similarity(a.body, b.body)::numeric, 3) AS similarity
FROM tickets AS a JOIN tickets AS b ON a.id < b.id ORDER BY 3 DESC;

\echo '-- What goes on in the server.'
SELECT model, state, kernels, threads, pg_size_pretty(weight_bytes) AS weights,
	pg_size_pretty(kv_cache_bytes) AS kv_cache
FROM llama2_status;
SELECT requests, prompt_tokens, cached_tokens, completion_tokens, round(mean_batch::numeric, 1) AS mean_batch
FROM llama2_stats;
