-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION llama2" to load this file. \quit

-- Generating

CREATE FUNCTION llama2_generate(
	prompt text,
	max_tokens int DEFAULT NULL, temperature float8 DEFAULT NULL, top_p float8 DEFAULT NULL, top_k int DEFAULT NULL,
	min_p float8 DEFAULT NULL, seed bigint DEFAULT NULL, stop text[] DEFAULT NULL, system text DEFAULT NULL,
	model text DEFAULT NULL, options jsonb DEFAULT NULL
) RETURNS text
AS 'MODULE_PATHNAME', 'llama2_generate' LANGUAGE C VOLATILE PARALLEL SAFE COST 1000000;

COMMENT ON FUNCTION llama2_generate(text, int, float8, float8, int, float8, bigint, text[], text, text, jsonb) IS
'complete a prompt; with system, answer it as one turn of the chat template';

CREATE FUNCTION llama2_generate(
	prompts text[],
	max_tokens int DEFAULT NULL, temperature float8 DEFAULT NULL, top_p float8 DEFAULT NULL, top_k int DEFAULT NULL,
	min_p float8 DEFAULT NULL, seed bigint DEFAULT NULL, stop text[] DEFAULT NULL, system text DEFAULT NULL,
	model text DEFAULT NULL, options jsonb DEFAULT NULL
) RETURNS text[]
AS 'MODULE_PATHNAME', 'llama2_generate_array' LANGUAGE C VOLATILE PARALLEL SAFE COST 1000000;

COMMENT ON FUNCTION llama2_generate(text[], int, float8, float8, int, float8, bigint, text[], text, text, jsonb) IS
'complete each prompt of an array, all in one batch';

CREATE FUNCTION llama2_chat(
	message text,
	max_tokens int DEFAULT NULL, temperature float8 DEFAULT NULL, top_p float8 DEFAULT NULL, top_k int DEFAULT NULL,
	min_p float8 DEFAULT NULL, seed bigint DEFAULT NULL, stop text[] DEFAULT NULL, system text DEFAULT NULL,
	model text DEFAULT NULL, options jsonb DEFAULT NULL
) RETURNS text
AS 'MODULE_PATHNAME', 'llama2_chat' LANGUAGE C VOLATILE PARALLEL SAFE COST 1000000;

COMMENT ON FUNCTION llama2_chat(text, int, float8, float8, int, float8, bigint, text[], text, text, jsonb) IS
'answer a message in the chat template';

CREATE FUNCTION llama2_chat(
	messages jsonb,
	max_tokens int DEFAULT NULL, temperature float8 DEFAULT NULL, top_p float8 DEFAULT NULL, top_k int DEFAULT NULL,
	min_p float8 DEFAULT NULL, seed bigint DEFAULT NULL, stop text[] DEFAULT NULL, system text DEFAULT NULL,
	model text DEFAULT NULL, options jsonb DEFAULT NULL
) RETURNS text
AS 'MODULE_PATHNAME', 'llama2_chat_messages' LANGUAGE C VOLATILE PARALLEL SAFE COST 1000000;

COMMENT ON FUNCTION llama2_chat(jsonb, int, float8, float8, int, float8, bigint, text[], text, text, jsonb) IS
'answer the last message of a dialog: [{"role": "system|user|assistant", "content": "..."}, ...]';

CREATE FUNCTION llama2_generate_stream(
	prompt text,
	max_tokens int DEFAULT NULL, temperature float8 DEFAULT NULL, top_p float8 DEFAULT NULL, top_k int DEFAULT NULL,
	min_p float8 DEFAULT NULL, seed bigint DEFAULT NULL, stop text[] DEFAULT NULL, system text DEFAULT NULL,
	model text DEFAULT NULL, options jsonb DEFAULT NULL
) RETURNS TABLE (seq int, token_id int, token text, logprob float4)
AS 'MODULE_PATHNAME', 'llama2_generate_stream' LANGUAGE C VOLATILE PARALLEL SAFE COST 1000000 ROWS 100;

COMMENT ON FUNCTION llama2_generate_stream(text, int, float8, float8, int, float8, bigint, text[], text, text, jsonb) IS
'complete a prompt, a row for each token as it is made when called in the target list';

CREATE FUNCTION llama2_chat_stream(
	message text,
	max_tokens int DEFAULT NULL, temperature float8 DEFAULT NULL, top_p float8 DEFAULT NULL, top_k int DEFAULT NULL,
	min_p float8 DEFAULT NULL, seed bigint DEFAULT NULL, stop text[] DEFAULT NULL, system text DEFAULT NULL,
	model text DEFAULT NULL, options jsonb DEFAULT NULL
) RETURNS TABLE (seq int, token_id int, token text, logprob float4)
AS 'MODULE_PATHNAME', 'llama2_chat_stream' LANGUAGE C VOLATILE PARALLEL SAFE COST 1000000 ROWS 100;

COMMENT ON FUNCTION llama2_chat_stream(text, int, float8, float8, int, float8, bigint, text[], text, text, jsonb) IS
'answer a message, a row for each token as it is made when called in the target list';

CREATE FUNCTION llama2_chat_stream(
	messages jsonb,
	max_tokens int DEFAULT NULL, temperature float8 DEFAULT NULL, top_p float8 DEFAULT NULL, top_k int DEFAULT NULL,
	min_p float8 DEFAULT NULL, seed bigint DEFAULT NULL, stop text[] DEFAULT NULL, system text DEFAULT NULL,
	model text DEFAULT NULL, options jsonb DEFAULT NULL
) RETURNS TABLE (seq int, token_id int, token text, logprob float4)
AS 'MODULE_PATHNAME', 'llama2_chat_messages_stream' LANGUAGE C VOLATILE PARALLEL SAFE COST 1000000 ROWS 100;

COMMENT ON FUNCTION llama2_chat_stream(jsonb, int, float8, float8, int, float8, bigint, text[], text, text, jsonb) IS
'answer the last message of a dialog, a row for each token as it is made when called in the target list';

CREATE FUNCTION llama2_complete(
	prompt text,
	max_tokens int DEFAULT NULL, temperature float8 DEFAULT NULL, top_p float8 DEFAULT NULL, top_k int DEFAULT NULL,
	min_p float8 DEFAULT NULL, seed bigint DEFAULT NULL, stop text[] DEFAULT NULL, system text DEFAULT NULL,
	model text DEFAULT NULL, options jsonb DEFAULT NULL,
	OUT text text, OUT finish_reason text, OUT model text, OUT seed bigint, OUT prompt_tokens int,
	OUT cached_tokens int, OUT completion_tokens int, OUT queue_ms float8, OUT prefill_ms float8, OUT decode_ms float8,
	OUT mean_logprob float8, OUT logprobs jsonb
) RETURNS RECORD
AS 'MODULE_PATHNAME', 'llama2_complete' LANGUAGE C VOLATILE PARALLEL SAFE COST 1000000;

COMMENT ON FUNCTION llama2_complete(text, int, float8, float8, int, float8, bigint, text[], text, text, jsonb) IS
'complete a prompt, with the details: why it ended, seed, tokens, times, log-probabilities';

CREATE FUNCTION llama2_complete_n(
	prompt text, n int,
	max_tokens int DEFAULT NULL, temperature float8 DEFAULT NULL, top_p float8 DEFAULT NULL, top_k int DEFAULT NULL,
	min_p float8 DEFAULT NULL, seed bigint DEFAULT NULL, stop text[] DEFAULT NULL, system text DEFAULT NULL,
	model text DEFAULT NULL, options jsonb DEFAULT NULL
) RETURNS TABLE (
	number int, text text, finish_reason text, model text, seed bigint, prompt_tokens int, cached_tokens int,
	completion_tokens int, queue_ms float8, prefill_ms float8, decode_ms float8, mean_logprob float8, logprobs jsonb
)
AS 'MODULE_PATHNAME', 'llama2_complete_n' LANGUAGE C VOLATILE PARALLEL SAFE COST 1000000 ROWS 3;

COMMENT ON FUNCTION llama2_complete_n(text, int, int, float8, float8, int, float8, bigint, text[], text, text, jsonb) IS
'complete a prompt in several ways, a row for each, the likeliest one first';

-- Tokens

CREATE FUNCTION llama2_tokenize(
	text text, model text DEFAULT NULL
) RETURNS int[]
AS 'MODULE_PATHNAME', 'llama2_tokenize' LANGUAGE C STABLE PARALLEL SAFE COST 1000;

COMMENT ON FUNCTION llama2_tokenize(text, text) IS
'token ids of a text, without BOS';

CREATE FUNCTION llama2_detokenize(
	tokens int[], model text DEFAULT NULL
) RETURNS text
AS 'MODULE_PATHNAME', 'llama2_detokenize' LANGUAGE C STABLE PARALLEL SAFE COST 1000;

COMMENT ON FUNCTION llama2_detokenize(int[], text) IS
'text of token ids';

CREATE FUNCTION llama2_count_tokens(
	text text, model text DEFAULT NULL
) RETURNS int
AS 'MODULE_PATHNAME', 'llama2_count_tokens' LANGUAGE C STABLE PARALLEL SAFE COST 1000;

COMMENT ON FUNCTION llama2_count_tokens(text, text) IS
'number of tokens of a text, without BOS';

CREATE FUNCTION llama2_chat_prompt(
	messages jsonb, model text DEFAULT NULL
) RETURNS int[]
AS 'MODULE_PATHNAME', 'llama2_chat_prompt' LANGUAGE C STABLE PARALLEL SAFE COST 1000;

COMMENT ON FUNCTION llama2_chat_prompt(jsonb, text) IS
'token ids of a dialog in the chat template, as llama2_chat uses them';

-- Scoring

CREATE FUNCTION llama2_logprobs(
	prompt text, completion text, model text DEFAULT NULL
) RETURNS TABLE (seq int, token_id int, token text, logprob float4)
AS 'MODULE_PATHNAME', 'llama2_logprobs' LANGUAGE C STABLE PARALLEL SAFE COST 1000000 ROWS 50;

COMMENT ON FUNCTION llama2_logprobs(text, text, text) IS
'log-probability of each token of a completion after a prompt';

CREATE FUNCTION llama2_perplexity(
	text text, model text DEFAULT NULL
) RETURNS float8
AS 'MODULE_PATHNAME', 'llama2_perplexity' LANGUAGE C STABLE PARALLEL SAFE COST 1000000;

COMMENT ON FUNCTION llama2_perplexity(text, text) IS
'perplexity of a text: exp of the mean negative log-probability of its tokens';

-- Jobs

CREATE SEQUENCE llama2_job_id;

CREATE TABLE llama2_job (
	id bigint PRIMARY KEY DEFAULT pg_catalog.nextval('llama2_job_id'),
	owner regrole NOT NULL,
	state text NOT NULL DEFAULT 'queued'
		CHECK (state IN ('queued', 'bundled', 'running', 'done', 'failed', 'cancelled')),
	relation regclass,
	attname text,
	keys text[],
	was text[],
	prompt text NOT NULL,
	system text,
	model text NOT NULL,
	chat boolean NOT NULL,
	options jsonb NOT NULL,
	attempts int NOT NULL DEFAULT 0,
	queued_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
	run_after timestamptz NOT NULL DEFAULT pg_catalog.now(),
	started_at timestamptz,
	finished_at timestamptz,
	result text,
	error text
);

ALTER SEQUENCE llama2_job_id OWNED BY llama2_job.id;
GRANT SELECT ON SEQUENCE llama2_job_id TO PUBLIC;	-- for pg_dump; nobody takes numbers
CREATE INDEX llama2_job_unfinished ON llama2_job (owner, id) WHERE finished_at IS NULL;

-- Without indexes, so that a trigger costs little: the worker moves its rows.  Whoever reads llama2_job sees them, a dump too.
CREATE TABLE llama2_job_new () INHERITS (llama2_job);

COMMENT ON TABLE llama2_job IS 'jobs and their results; written by llama2''s functions and job worker';
COMMENT ON COLUMN llama2_job.was IS 'hashes of what the column had when its rows were queued; no secret to who may see the job, and needs SELECT on the column to have it done';
COMMENT ON TABLE llama2_job_new IS 'jobs of triggers that the job worker has not seen yet; part of llama2_job';

-- A dump keeps jobs, but not those of roles that are gone: another role may get the number.
SELECT pg_catalog.pg_extension_config_dump('llama2_job', 'WHERE owner IN (SELECT oid FROM pg_catalog.pg_roles)');
SELECT pg_catalog.pg_extension_config_dump('llama2_job_id', '');

ALTER TABLE llama2_job ENABLE ROW LEVEL SECURITY;
CREATE POLICY llama2_job_of_owner ON llama2_job FOR SELECT USING (pg_catalog.pg_has_role(owner, 'USAGE'));
CREATE POLICY llama2_job_cancel ON llama2_job FOR UPDATE USING (pg_catalog.pg_has_role(owner, 'USAGE'))
	WITH CHECK (state OPERATOR(pg_catalog.=) 'cancelled' AND pg_catalog.isfinite(finished_at));
GRANT SELECT, UPDATE (state, finished_at) ON llama2_job TO PUBLIC;

CREATE FUNCTION llama2_job_notice() RETURNS trigger
AS 'MODULE_PATHNAME', 'llama2_job_notice' LANGUAGE C;

COMMENT ON FUNCTION llama2_job_notice() IS 'trigger of llama2_job: wakes the job worker at commit';

CREATE TRIGGER llama2_job_notice AFTER INSERT ON llama2_job
	FOR EACH STATEMENT EXECUTE FUNCTION llama2_job_notice();

CREATE VIEW llama2_jobs WITH (security_barrier) AS
	SELECT j.id, pg_catalog.pg_get_userbyid(j.owner) AS owner,
		CASE WHEN j.state OPERATOR(pg_catalog.=) 'bundled' THEN 'queued' ELSE j.state END AS state,
		j.relation, j.attname::pg_catalog.name AS "column",
		CASE WHEN j.state OPERATOR(pg_catalog.<>) 'bundled' THEN j.keys END AS key,
		CASE WHEN j.state OPERATOR(pg_catalog.=) 'bundled' THEN pg_catalog.array_length(j.keys, 1) ELSE 1 END AS rows,
		j.prompt, j.model, j.attempts, j.queued_at, j.run_after, j.started_at, j.finished_at, j.error
	FROM llama2_job AS j
	WHERE pg_catalog.pg_has_role(j.owner, 'USAGE');

COMMENT ON VIEW llama2_jobs IS
'a row for each job that is queued, running or was kept: those of one''s own roles, or all for superusers';

GRANT SELECT ON llama2_jobs TO PUBLIC;

CREATE FUNCTION llama2_submit(
	prompt text,
	max_tokens int DEFAULT NULL, temperature float8 DEFAULT NULL, top_p float8 DEFAULT NULL, top_k int DEFAULT NULL,
	min_p float8 DEFAULT NULL, seed bigint DEFAULT NULL, stop text[] DEFAULT NULL, system text DEFAULT NULL,
	model text DEFAULT NULL, options jsonb DEFAULT NULL
) RETURNS bigint
AS 'MODULE_PATHNAME', 'llama2_submit' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 100;

COMMENT ON FUNCTION llama2_submit(text, int, float8, float8, int, float8, bigint, text[], text, text, jsonb) IS
'queue a prompt to be completed after commit; returns the job''s id';

CREATE FUNCTION llama2_result(id bigint, timeout interval DEFAULT NULL) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE COST 1000 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	until timestamptz := clock_timestamp() + timeout;
	job record;
BEGIN
	LOOP
		SELECT j.state, j.result, j.error INTO job FROM ONLY @extschema@.llama2_job AS j
		WHERE j.id = llama2_result.id AND j.relation IS NULL;
		IF NOT FOUND AND id IS NOT NULL THEN
			RAISE undefined_object USING MESSAGE = format('there is no job %s', id),
				HINT = 'Jobs that ended are kept for llama2.job_retention.';
		END IF;
		IF job.state = 'failed' THEN
			RAISE object_not_in_prerequisite_state USING MESSAGE = format('job %s failed: %s', id, job.error);
		ELSIF job.state = 'cancelled' THEN
			RAISE object_not_in_prerequisite_state USING MESSAGE = format('job %s was cancelled', id);
		END IF;
		EXIT WHEN id IS NULL OR job.state = 'done' OR clock_timestamp() < until IS NOT TRUE;
		PERFORM pg_sleep(0.02);
	END LOOP;
	RETURN job.result;
END
$$;

COMMENT ON FUNCTION llama2_result(bigint, interval) IS
'text of a job, NULL while it is not done; with timeout, wait for it';

CREATE FUNCTION llama2_cancel(id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE COST 1000 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	-- the worker may just move it from one table to the other
	LOOP
		UPDATE @extschema@.llama2_job AS j SET state = 'cancelled', finished_at = clock_timestamp()
		WHERE j.id = llama2_cancel.id AND j.state IN ('queued', 'bundled', 'running');
		IF FOUND THEN
			RETURN true;
		END IF;
		PERFORM FROM @extschema@.llama2_job AS j
		WHERE j.id = llama2_cancel.id AND j.state IN ('queued', 'bundled', 'running');
		EXIT WHEN NOT FOUND;
	END LOOP;
	RETURN false;
END
$$;

COMMENT ON FUNCTION llama2_cancel(bigint) IS
'cancel a job of one''s own; false if there is none or it has ended';

-- Conversations

CREATE SEQUENCE llama2_conversation_id;

CREATE TABLE llama2_conversation (
	id bigint PRIMARY KEY DEFAULT pg_catalog.nextval('llama2_conversation_id'),
	owner regrole NOT NULL,
	name text CHECK (name !~ '^[0-9]*$'),
	system text,
	model text,
	options jsonb,
	on_full text NOT NULL DEFAULT 'drop' CHECK (on_full IN ('drop', 'summarize', 'error')),
	turns int NOT NULL DEFAULT 0,
	first_turn int NOT NULL DEFAULT 1,
	summary text,
	created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	last_turn_at timestamptz,
	UNIQUE (owner, name)
);

CREATE TABLE llama2_turn (
	conversation bigint REFERENCES llama2_conversation ON DELETE CASCADE,
	number int,
	message text NOT NULL,
	answer text NOT NULL,
	model text NOT NULL,
	seed bigint NOT NULL,
	finish_reason text NOT NULL,
	first_turn int NOT NULL,
	summary text,
	prompt_tokens int NOT NULL,
	cached_tokens int NOT NULL,
	completion_tokens int NOT NULL,
	created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	PRIMARY KEY (conversation, number)
);

ALTER SEQUENCE llama2_conversation_id OWNED BY llama2_conversation.id;
GRANT SELECT ON SEQUENCE llama2_conversation_id TO PUBLIC;

COMMENT ON TABLE llama2_conversation IS 'conversations; written by llama2''s functions';
COMMENT ON TABLE llama2_turn IS 'turns of conversations; written by llama2''s functions';

-- As of jobs, a dump keeps those whose owner is there.
SELECT pg_catalog.pg_extension_config_dump('llama2_conversation', 'WHERE owner IN (SELECT oid FROM pg_catalog.pg_roles)');
SELECT pg_catalog.pg_extension_config_dump('llama2_turn', 'WHERE conversation IN (SELECT id FROM @extschema@.llama2_conversation '
	'WHERE owner IN (SELECT oid FROM pg_catalog.pg_roles))');
SELECT pg_catalog.pg_extension_config_dump('llama2_conversation_id', '');

ALTER TABLE llama2_conversation ENABLE ROW LEVEL SECURITY;
CREATE POLICY llama2_conversation_of_owner ON llama2_conversation FOR SELECT
	USING (pg_catalog.pg_has_role(owner, 'USAGE'));
GRANT SELECT ON llama2_conversation TO PUBLIC;
ALTER TABLE llama2_turn ENABLE ROW LEVEL SECURITY;
CREATE POLICY llama2_turn_of_owner ON llama2_turn FOR SELECT
	USING (conversation IN (SELECT c.id FROM llama2_conversation AS c WHERE pg_catalog.pg_has_role(c.owner, 'USAGE')));
GRANT SELECT ON llama2_turn TO PUBLIC;

CREATE VIEW llama2_conversations WITH (security_barrier) AS
	SELECT c.id, c.name, pg_catalog.pg_get_userbyid(c.owner) AS owner, c.system, c.model, c.options, c.on_full,
		c.turns, c.first_turn, c.summary, c.created_at, c.last_turn_at
	FROM llama2_conversation AS c
	WHERE pg_catalog.pg_has_role(c.owner, 'USAGE');

COMMENT ON VIEW llama2_conversations IS
'a row for each conversation: those of one''s own roles, or all for superusers';

CREATE VIEW llama2_turns WITH (security_barrier) AS
	SELECT t.conversation, c.name, t.number, t.message, t.answer, t.model, t.seed, t.finish_reason, t.first_turn, t.summary,
		t.prompt_tokens, t.cached_tokens, t.completion_tokens, t.created_at
	FROM llama2_turn AS t
	JOIN llama2_conversation AS c ON c.id OPERATOR(pg_catalog.=) t.conversation
	WHERE pg_catalog.pg_has_role(c.owner, 'USAGE');

COMMENT ON VIEW llama2_turns IS
'a row for each turn of these conversations, a message and its answer, whether or not it still is in the prompt';

GRANT SELECT ON llama2_conversations TO PUBLIC;
GRANT SELECT ON llama2_turns TO PUBLIC;

CREATE FUNCTION llama2_conversation_start(
	name text DEFAULT NULL, system text DEFAULT NULL, model text DEFAULT NULL, options jsonb DEFAULT NULL,
	on_full text DEFAULT 'drop'
) RETURNS bigint
AS 'MODULE_PATHNAME', 'llama2_conversation_start' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 100;

COMMENT ON FUNCTION llama2_conversation_start(text, text, text, jsonb, text) IS
'start a conversation, with or without a name; returns its id';

CREATE FUNCTION llama2_chat(
	conversation text, message text,
	max_tokens int DEFAULT NULL, temperature float8 DEFAULT NULL, top_p float8 DEFAULT NULL, top_k int DEFAULT NULL,
	min_p float8 DEFAULT NULL, seed bigint DEFAULT NULL, stop text[] DEFAULT NULL, system text DEFAULT NULL,
	model text DEFAULT NULL, options jsonb DEFAULT NULL
) RETURNS text
AS 'MODULE_PATHNAME', 'llama2_chat_turn' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000000;

COMMENT ON FUNCTION llama2_chat(text, text, int, float8, float8, int, float8, bigint, text[], text, text, jsonb) IS
'answer a message as the next turn of a conversation, found by its name; a new name starts one';

CREATE FUNCTION llama2_chat_stream(
	conversation text, message text,
	max_tokens int DEFAULT NULL, temperature float8 DEFAULT NULL, top_p float8 DEFAULT NULL, top_k int DEFAULT NULL,
	min_p float8 DEFAULT NULL, seed bigint DEFAULT NULL, stop text[] DEFAULT NULL, system text DEFAULT NULL,
	model text DEFAULT NULL, options jsonb DEFAULT NULL
) RETURNS TABLE (seq int, token_id int, token text, logprob float4)
AS 'MODULE_PATHNAME', 'llama2_chat_turn_stream' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000000 ROWS 100;

COMMENT ON FUNCTION llama2_chat_stream(text, text, int, float8, float8, int, float8, bigint, text[], text, text, jsonb) IS
'the same, a row for each token; the turn is kept when the last row was read';

CREATE FUNCTION llama2_conversation_forget(conversation text, keep int DEFAULT 0) RETURNS int
AS 'MODULE_PATHNAME', 'llama2_conversation_forget' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 100;

COMMENT ON FUNCTION llama2_conversation_forget(text, int) IS
'leave all turns but the last ones out of the prompts to come; returns how many are left out by this';

CREATE FUNCTION llama2_conversation_drop(conversation text) RETURNS boolean
AS 'MODULE_PATHNAME', 'llama2_conversation_drop' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 100;

COMMENT ON FUNCTION llama2_conversation_drop(text) IS
'delete a conversation and its turns; false if there is none';

CREATE FUNCTION llama2_chat(
	conversation bigint, message text,
	max_tokens int DEFAULT NULL, temperature float8 DEFAULT NULL, top_p float8 DEFAULT NULL, top_k int DEFAULT NULL,
	min_p float8 DEFAULT NULL, seed bigint DEFAULT NULL, stop text[] DEFAULT NULL, system text DEFAULT NULL,
	model text DEFAULT NULL, options jsonb DEFAULT NULL
) RETURNS text
AS 'MODULE_PATHNAME', 'llama2_chat_turn_by_id' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000000;

COMMENT ON FUNCTION llama2_chat(bigint, text, int, float8, float8, int, float8, bigint, text[], text, text, jsonb) IS
'answer a message as the next turn of a conversation, found by its id';

CREATE FUNCTION llama2_chat_stream(
	conversation bigint, message text,
	max_tokens int DEFAULT NULL, temperature float8 DEFAULT NULL, top_p float8 DEFAULT NULL, top_k int DEFAULT NULL,
	min_p float8 DEFAULT NULL, seed bigint DEFAULT NULL, stop text[] DEFAULT NULL, system text DEFAULT NULL,
	model text DEFAULT NULL, options jsonb DEFAULT NULL
) RETURNS TABLE (seq int, token_id int, token text, logprob float4)
AS 'MODULE_PATHNAME', 'llama2_chat_turn_by_id_stream' LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000000 ROWS 100;

COMMENT ON FUNCTION llama2_chat_stream(bigint, text, int, float8, float8, int, float8, bigint, text[], text, text, jsonb) IS
'the same, a row for each token; the turn is kept when the last row was read';

CREATE FUNCTION llama2_conversation_forget(conversation bigint, keep int DEFAULT 0) RETURNS int
AS 'MODULE_PATHNAME', 'llama2_conversation_forget_by_id' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 100;

COMMENT ON FUNCTION llama2_conversation_forget(bigint, int) IS
'leave all turns but the last ones out of the prompts to come; returns how many are left out by this';

CREATE FUNCTION llama2_conversation_drop(conversation bigint) RETURNS boolean
AS 'MODULE_PATHNAME', 'llama2_conversation_drop_by_id' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 100;

COMMENT ON FUNCTION llama2_conversation_drop(bigint) IS
'delete a conversation and its turns; false if there is none';

-- Tables

CREATE FUNCTION llama2_enrich() RETURNS trigger
AS 'MODULE_PATHNAME', 'llama2_enrich' LANGUAGE C;

COMMENT ON FUNCTION llama2_enrich() IS
'trigger that fills a column while the statement runs: llama2_enrich(''column'', ''template with {column}'', ''option=value'', ...)';

CREATE FUNCTION llama2_enrich_async() RETURNS trigger
AS 'MODULE_PATHNAME', 'llama2_enrich_async' LANGUAGE C;

COMMENT ON FUNCTION llama2_enrich_async() IS
'trigger that queues a job to fill a column: llama2_enrich_async(''column'', ''template with {column}'', ''option=value'', ...)';

CREATE PROCEDURE llama2_enrich_table(
	target regclass, "column" name, template text, condition text DEFAULT NULL, batch int DEFAULT 100,
	options text DEFAULT NULL
)
AS 'MODULE_PATHNAME', 'llama2_enrich_table' LANGUAGE C;

COMMENT ON PROCEDURE llama2_enrich_table(regclass, name, text, text, int, text) IS
'fill a column of the rows in which it is null, committing after each batch';

-- Summaries

CREATE FUNCTION llama2_summarize(
	text text,
	max_tokens int DEFAULT NULL, temperature float8 DEFAULT NULL, top_p float8 DEFAULT NULL, top_k int DEFAULT NULL,
	min_p float8 DEFAULT NULL, seed bigint DEFAULT NULL, stop text[] DEFAULT NULL, system text DEFAULT NULL,
	model text DEFAULT NULL, options jsonb DEFAULT NULL, part_tokens int DEFAULT NULL
) RETURNS text
AS 'MODULE_PATHNAME', 'llama2_summarize' LANGUAGE C VOLATILE PARALLEL SAFE COST 1000000;

COMMENT ON FUNCTION llama2_summarize(text, int, float8, float8, int, float8, bigint, text[], text, text, jsonb, int) IS
'summarize a text of any length; a long one part by part, then the parts'' summaries';

CREATE FUNCTION llama2_summarize_add(internal, text) RETURNS internal
AS 'MODULE_PATHNAME', 'llama2_summarize_add' LANGUAGE C IMMUTABLE PARALLEL SAFE;

CREATE FUNCTION llama2_summarize_final(internal) RETURNS text
AS 'MODULE_PATHNAME', 'llama2_summarize_final' LANGUAGE C VOLATILE PARALLEL SAFE COST 1000000;

COMMENT ON FUNCTION llama2_summarize_add(internal, text) IS 'transition function of llama2_summarize_agg';
COMMENT ON FUNCTION llama2_summarize_final(internal) IS 'final function of llama2_summarize_agg';

CREATE AGGREGATE llama2_summarize_agg(text) (
	SFUNC = llama2_summarize_add, STYPE = internal, FINALFUNC = llama2_summarize_final, PARALLEL = SAFE
);

COMMENT ON AGGREGATE llama2_summarize_agg(text) IS 'summarize texts, each by itself and then the summaries together';

-- The two halves of that aggregate, as the batch scan uses them for many groups at a time

CREATE FUNCTION llama2_texts_final(internal) RETURNS text[]
AS 'MODULE_PATHNAME', 'llama2_texts_final' LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION llama2_texts_final(internal) IS 'final function of llama2_texts_agg';

CREATE AGGREGATE llama2_texts_agg(text) (
	SFUNC = llama2_summarize_add, STYPE = internal, FINALFUNC = llama2_texts_final, PARALLEL = SAFE
);

COMMENT ON AGGREGATE llama2_texts_agg(text) IS 'an array of those texts that are not null';

CREATE FUNCTION llama2_summarize_texts(texts text[]) RETURNS text
AS 'MODULE_PATHNAME', 'llama2_summarize_texts' LANGUAGE C VOLATILE PARALLEL SAFE COST 1000000;

COMMENT ON FUNCTION llama2_summarize_texts(text[]) IS 'summarize texts as llama2_summarize_agg does';

CREATE FUNCTION llama2_score(
	prompt text, completion text, model text DEFAULT NULL
) RETURNS float8
AS 'MODULE_PATHNAME', 'llama2_score' LANGUAGE C STABLE PARALLEL SAFE COST 1000000;

COMMENT ON FUNCTION llama2_score(text, text, text) IS
'log-probability of a completion after a prompt: the sum of llama2_logprobs';

-- Answers that fit a column

CREATE FUNCTION llama2_classify(
	text text, labels text[], instruction text DEFAULT NULL, model text DEFAULT NULL
) RETURNS text
AS 'MODULE_PATHNAME', 'llama2_classify' LANGUAGE C STABLE PARALLEL SAFE COST 1000000;

COMMENT ON FUNCTION llama2_classify(text, text[], text, text) IS
'the label that the model finds likeliest for a text';

CREATE FUNCTION llama2_classify_scores(
	text text, labels text[], instruction text DEFAULT NULL, model text DEFAULT NULL
) RETURNS TABLE (label text, probability float8)
AS 'MODULE_PATHNAME', 'llama2_classify_scores' LANGUAGE C STABLE PARALLEL SAFE COST 1000000 ROWS 5;

COMMENT ON FUNCTION llama2_classify_scores(text, text[], text, text) IS
'how likely each label is for a text, as shares of one';

CREATE FUNCTION llama2_is_true(
	statement text, instruction text DEFAULT NULL, model text DEFAULT NULL
) RETURNS boolean
AS 'MODULE_PATHNAME', 'llama2_is_true' LANGUAGE C STABLE PARALLEL SAFE COST 1000000;

COMMENT ON FUNCTION llama2_is_true(text, text, text) IS
'whether the model finds "Yes" likelier than "No"';

CREATE FUNCTION llama2_choice(
	prompt text, choices text[], system text DEFAULT NULL, model text DEFAULT NULL
) RETURNS text
AS 'MODULE_PATHNAME', 'llama2_choice' LANGUAGE C STABLE PARALLEL SAFE COST 1000000;

COMMENT ON FUNCTION llama2_choice(text, text[], text, text) IS
'the choice that is likeliest to follow a prompt; with system, as the answer in the chat template';

CREATE FUNCTION llama2_extract(
	text text, schema jsonb, instruction text DEFAULT NULL,
	max_tokens int DEFAULT NULL, temperature float8 DEFAULT 0, top_p float8 DEFAULT NULL, top_k int DEFAULT NULL,
	min_p float8 DEFAULT NULL, seed bigint DEFAULT NULL, stop text[] DEFAULT NULL, system text DEFAULT NULL,
	model text DEFAULT NULL, options jsonb DEFAULT NULL
) RETURNS jsonb
AS 'MODULE_PATHNAME', 'llama2_extract' LANGUAGE C VOLATILE PARALLEL SAFE COST 1000000;

COMMENT ON FUNCTION llama2_extract(text, jsonb, text, int, float8, float8, int, float8, bigint, text[], text, text, jsonb) IS
'what a JSON schema asks for, from a text; always valid against the schema';

CREATE FUNCTION llama2_extract(
	text text, schema text, instruction text DEFAULT NULL,
	max_tokens int DEFAULT NULL, temperature float8 DEFAULT 0, top_p float8 DEFAULT NULL, top_k int DEFAULT NULL,
	min_p float8 DEFAULT NULL, seed bigint DEFAULT NULL, stop text[] DEFAULT NULL, system text DEFAULT NULL,
	model text DEFAULT NULL, options jsonb DEFAULT NULL
) RETURNS jsonb
AS 'MODULE_PATHNAME', 'llama2_extract_text_schema' LANGUAGE C VOLATILE PARALLEL SAFE COST 1000000;

COMMENT ON FUNCTION llama2_extract(text, text, text, int, float8, float8, int, float8, bigint, text[], text, text, jsonb) IS
'the same, where the schema is given as text';

CREATE FUNCTION llama2_extract(
	text text, "row" anyelement, instruction text DEFAULT NULL,
	max_tokens int DEFAULT NULL, temperature float8 DEFAULT 0, top_p float8 DEFAULT NULL, top_k int DEFAULT NULL,
	min_p float8 DEFAULT NULL, seed bigint DEFAULT NULL, stop text[] DEFAULT NULL, system text DEFAULT NULL,
	model text DEFAULT NULL, options jsonb DEFAULT NULL
) RETURNS anyelement
AS 'MODULE_PATHNAME', 'llama2_extract_row' LANGUAGE C VOLATILE PARALLEL SAFE COST 1000000;

COMMENT ON FUNCTION llama2_extract(text, anyelement, text, int, float8, float8, int, float8, bigint, text[], text, text, jsonb) IS
'the columns of a table or composite type, from a text, as a row of it';

-- Embeddings

CREATE FUNCTION llama2_embed(
	text text, model text DEFAULT NULL, options jsonb DEFAULT NULL
) RETURNS real[]
AS 'MODULE_PATHNAME', 'llama2_embed' LANGUAGE C STABLE PARALLEL SAFE COST 1000000;

COMMENT ON FUNCTION llama2_embed(text, text, jsonb) IS
'a text as a vector: the mean of its tokens'' final states, of length 1';

CREATE FUNCTION llama2_embed(
	texts text[], model text DEFAULT NULL, options jsonb DEFAULT NULL
) RETURNS SETOF real[]
AS 'MODULE_PATHNAME', 'llama2_embed_array' LANGUAGE C STABLE PARALLEL SAFE COST 1000000 ROWS 10;

COMMENT ON FUNCTION llama2_embed(text[], text, jsonb) IS
'the vector of each text of an array, in its order, all in one batch';

CREATE FUNCTION llama2_similarity(
	a text, b text, model text DEFAULT NULL, options jsonb DEFAULT NULL
) RETURNS float8
AS 'MODULE_PATHNAME', 'llama2_similarity' LANGUAGE C STABLE PARALLEL SAFE COST 1000000;

COMMENT ON FUNCTION llama2_similarity(text, text, text, jsonb) IS
'cosine of the vectors of two texts';

CREATE FUNCTION llama2_similarity(a real[], b real[]) RETURNS float8
AS 'MODULE_PATHNAME', 'llama2_similarity_vectors' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;

COMMENT ON FUNCTION llama2_similarity(real[], real[]) IS
'cosine of two vectors';

-- Options

CREATE FUNCTION llama2_options() RETURNS TABLE (
	name text, aliases text[], type text, range text, "default" text, parameter text, description text
)
AS 'MODULE_PATHNAME', 'llama2_options' LANGUAGE C STABLE PARALLEL SAFE COST 100 ROWS 46;

COMMENT ON FUNCTION llama2_options() IS
'keys of the argument options: names, values, defaults in this session';

-- Models

CREATE FUNCTION llama2_models(
	OUT name text, OUT state text, OUT file_bytes bigint, OUT bytes_done bigint, OUT weight_bytes bigint,
	OUT kv_cache_bytes bigint, OUT type text, OUT parameters bigint, OUT layers int, OUT dim int,
	OUT vocabulary int, OUT context_length int, OUT loaded_at timestamptz, OUT load_ms float8, OUT last_used timestamptz,
	OUT file_changed boolean, OUT error text
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'llama2_models' LANGUAGE C VOLATILE PARALLEL SAFE COST 10000 ROWS 10;

COMMENT ON FUNCTION llama2_models() IS
'models in llama2.model_directory, and what is resident of them';

CREATE FUNCTION llama2_memory_plan(
	model text DEFAULT NULL, OUT model text, OUT type text, OUT parameters bigint, OUT context_length int, OUT weight_bytes bigint,
	OUT kv_cache_bytes bigint, OUT activation_bytes bigint, OUT total_bytes bigint, OUT limit_bytes bigint,
	OUT available_bytes bigint, OUT shared_memory_bytes bigint, OUT fits boolean, OUT problem text
) RETURNS record
AS 'MODULE_PATHNAME', 'llama2_memory_plan' LANGUAGE C VOLATILE PARALLEL SAFE COST 10000;

COMMENT ON FUNCTION llama2_memory_plan(text) IS
'memory that a model takes when it is loaded, from its file''s header, beside what there is';

CREATE FUNCTION llama2_load(name text) RETURNS void
AS 'MODULE_PATHNAME', 'llama2_load' LANGUAGE C VOLATILE STRICT PARALLEL SAFE COST 1000000;

COMMENT ON FUNCTION llama2_load(text) IS
'make a model resident, and wait until it is';

CREATE FUNCTION llama2_unload(name text) RETURNS boolean
AS 'MODULE_PATHNAME', 'llama2_unload' LANGUAGE C VOLATILE STRICT PARALLEL SAFE COST 1000000;

COMMENT ON FUNCTION llama2_unload(text) IS
'let a model finish its requests and give its memory back; false if it was not resident';

-- What goes on

CREATE FUNCTION llama2_status(
	OUT model text, OUT state text, OUT worker_pid int, OUT kernels text, OUT threads int, OUT context_length int,
	OUT weight_bytes bigint, OUT kv_cache_bytes bigint, OUT activation_bytes bigint, OUT memory_bytes bigint, OUT running int, OUT queued int,
	OUT kv_pages int, OUT kv_pages_free int, OUT kv_pages_cached int, OUT loaded_at timestamptz, OUT error text
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'llama2_status' LANGUAGE C VOLATILE PARALLEL SAFE COST 1000 ROWS 2;

COMMENT ON FUNCTION llama2_status() IS 'rows of the view llama2_status';

CREATE VIEW llama2_status AS SELECT * FROM llama2_status();

COMMENT ON VIEW llama2_status IS
'a row for each model that has a worker: its state, memory, kernels, and how busy it is';

CREATE FUNCTION llama2_requests(
	OUT id bigint, OUT pid int, OUT datid oid, OUT usesysid oid, OUT model text, OUT kind text, OUT state text,
	OUT queued_at timestamptz, OUT started_at timestamptz, OUT prompt_tokens int, OUT prefilled_tokens int,
	OUT result_tokens int, OUT max_tokens int, OUT cancelled boolean
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'llama2_requests' LANGUAGE C VOLATILE PARALLEL SAFE COST 1000 ROWS 10;

COMMENT ON FUNCTION llama2_requests() IS 'rows of the view llama2_requests';

CREATE VIEW llama2_requests AS
	SELECT r.id, r.pid, r.datid, d.datname, r.usesysid, pg_catalog.pg_get_userbyid(r.usesysid) AS usename,
		r.model, r.kind, r.state, r.queued_at, r.started_at, r.prompt_tokens, r.prefilled_tokens,
		r.result_tokens, r.max_tokens, r.cancelled
	FROM llama2_requests() AS r
	LEFT JOIN pg_catalog.pg_database AS d ON d.oid OPERATOR(pg_catalog.=) r.datid;

COMMENT ON VIEW llama2_requests IS
'a row for each request that is queued or running: one''s own, or all for members of pg_read_all_stats';

CREATE FUNCTION llama2_progress(
	OUT pid int, OUT datid oid, OUT usesysid oid, OUT started_at timestamptz, OUT estimated_rows bigint, OUT rows_read bigint,
	OUT rows_done bigint, OUT requests bigint, OUT prompt_tokens bigint, OUT completion_tokens bigint, OUT tokens_per_second float8
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'llama2_progress' LANGUAGE C VOLATILE PARALLEL SAFE COST 1000 ROWS 5;

COMMENT ON FUNCTION llama2_progress() IS 'rows of the view llama2_progress';

CREATE VIEW llama2_progress AS
	SELECT p.pid, p.datid, d.datname, p.usesysid, pg_catalog.pg_get_userbyid(p.usesysid) AS usename, p.started_at,
		p.estimated_rows, p.rows_read, p.rows_done, p.requests, p.prompt_tokens, p.completion_tokens, p.tokens_per_second
	FROM llama2_progress() AS p
	LEFT JOIN pg_catalog.pg_database AS d ON d.oid OPERATOR(pg_catalog.=) p.datid;

COMMENT ON VIEW llama2_progress IS
'a row for each batch scan or llama2_enrich_table that runs, and how far it is: one''s own, or all for members of pg_read_all_stats';

CREATE FUNCTION llama2_stats(
	OUT requests bigint, OUT completed bigint, OUT failed bigint, OUT cancelled bigint, OUT prompt_tokens bigint,
	OUT cached_tokens bigint, OUT completion_tokens bigint, OUT scored_tokens bigint, OUT steps bigint,
	OUT mean_batch float8, OUT prefill_tokens bigint, OUT decode_tokens bigint, OUT drafted_tokens bigint,
	OUT accepted_tokens bigint, OUT preemptions bigint, OUT job_pauses bigint,
	OUT queue_ms float8, OUT prefill_ms float8, OUT decode_ms float8, OUT step_ms float8, OUT worker_starts bigint,
	OUT model_loads bigint, OUT evictions bigint, OUT stats_reset timestamptz
) RETURNS record
AS 'MODULE_PATHNAME', 'llama2_stats' LANGUAGE C VOLATILE PARALLEL SAFE COST 1000;

COMMENT ON FUNCTION llama2_stats() IS 'the row of the view llama2_stats';

CREATE VIEW llama2_stats AS SELECT * FROM llama2_stats();

COMMENT ON VIEW llama2_stats IS
'counters over all models since the server started or llama2_stats_reset()';

CREATE FUNCTION llama2_stats_reset() RETURNS void
AS 'MODULE_PATHNAME', 'llama2_stats_reset' LANGUAGE C VOLATILE PARALLEL SAFE;

COMMENT ON FUNCTION llama2_stats_reset() IS 'set the counters of llama2_stats to zero';

-- Privileges: anybody may generate and look; loading and unloading is the administrator's

REVOKE EXECUTE ON FUNCTION llama2_load(text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION llama2_unload(text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION llama2_stats_reset() FROM PUBLIC;
GRANT SELECT ON llama2_status TO PUBLIC;
GRANT SELECT ON llama2_requests TO PUBLIC;
GRANT SELECT ON llama2_progress TO PUBLIC;
GRANT SELECT ON llama2_stats TO PUBLIC;
