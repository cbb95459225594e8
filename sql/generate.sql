-- First steps: what the README shows.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS llama2;
RESET client_min_messages;

SELECT llama2_chat('What is PostgreSQL?', temperature => 0);
SELECT llama2_generate(E'Review: The blender stopped working after a week. I am very disappointed.\nSentiment:',
                       stop => ARRAY[E'\n'], temperature => 0);
SELECT llama2_chat('Who are you?', system => 'You are a pirate.', temperature => 0);
SELECT llama2_chat('[
  {"role": "system", "content": "Always answer in capital letters."},
  {"role": "user", "content": "Hello"},
  {"role": "assistant", "content": "HELLO! HOW CAN I HELP YOU?"},
  {"role": "user", "content": "What is a table?"}]'::jsonb, temperature => 0);
SELECT seq, token FROM llama2_chat_stream('Who are you?', temperature => 0, max_tokens => 6);
SELECT (llama2_chat_stream('Who are you?', temperature => 0)).token LIMIT 3;
SELECT text, finish_reason, model, seed, completion_tokens
FROM llama2_complete('Who are you?', system => 'You are a pirate.', temperature => 0, seed => 42);
SELECT llama2_count_tokens('Hello'), llama2_detokenize(llama2_tokenize('Hello'));
SELECT answer
FROM unnest(ARRAY['positive', 'negative']) AS answer,
     llama2_logprobs(E'Review: The soup was cold.\nSentiment:', ' ' || answer)
GROUP BY answer ORDER BY sum(logprob) DESC;
SELECT llama2_perplexity('Once upon a time there was a small boat.') > 1 AS plausible;
SELECT name, state, type, parameters FROM llama2_models() WHERE name = 'tinychat-6m';

-- several texts, and how likely they are
SELECT number, seed FROM llama2_complete_n('Once upon a time', 3, temperature => 1, seed => 1, max_tokens => 12) ORDER BY number;
SELECT other->>'token' AS token, round(exp((other->'logprob')::float8)::numeric, 1) AS probability
FROM llama2_complete(E'Review: The soup was cold.\nSentiment:', temperature => 0, max_tokens => 1, options => '{"top_logprobs": 3}') AS c,
     jsonb_array_elements(c.logprobs) AS token, jsonb_array_elements(token->'top_logprobs') AS other;

-- options under the names that other systems have for them
SELECT llama2_generate('Once upon a time', options => '{"num_predict": 12, "temp": 0, "repetition_penalty": 1.1}');
SELECT llama2_generate('Once upon a time', options => '{"numpredict": 12}');
SELECT llama2_generate('red blue green gold red blue green gold red blue green', max_tokens => 8, temperature => 0);
SELECT llama2_generate('red blue green gold red blue green gold red blue green', max_tokens => 8, temperature => 0,
                       options => '{"dry_multiplier": 20}');

-- the same seed, the same text
SELECT llama2_generate('Once upon a time', seed => 42) = llama2_generate('Once upon a time', seed => 42) AS same;

-- what there is
\d llama2_status
\d llama2_requests
\d llama2_stats
