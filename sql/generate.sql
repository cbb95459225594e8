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

-- the same seed, the same text
SELECT llama2_generate('Once upon a time', seed => 42) = llama2_generate('Once upon a time', seed => 42) AS same;

-- what there is
\d llama2_status
\d llama2_requests
\d llama2_stats
