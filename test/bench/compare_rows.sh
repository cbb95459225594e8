#!/bin/bash
#
# compare_rows.sh
#	Tokens per second over the rows of a table, with the batch scan and without, beside the engine's own
#	batch; and with a long instruction that all rows share, with the prefix cache and without.
#
#	test/bench/compare_rows.sh [MODEL.gguf]
#
# The extension must be installed.  The texts are compared, too.  ROWS (default 64), TOKENS for each (32), BATCH, the widest
# batch (32), INSTRUCTION, the shared instruction's tokens, about (300), PARTS (rows drawn engine prefix) and TURNS of the
# part "engine" (6) can be set.

set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
build=${BUILD:-build/release}
model=$(realpath "${1:-models/tinychat-6m.gguf}")
rows=${ROWS:-64}
tokens=${TOKENS:-32}
batch=${BATCH:-32}
instruction=${INSTRUCTION:-300}
if [ ! -x "$build/bench/llama2_bench" ]; then
	echo "compare_rows.sh: there is no $build/bench/llama2_bench: make it first" >&2
	exit 1
fi
. test/private_server.sh

private_server_folder
as_private_user mkdir models
ln -s "$model" "$PRIVATE_FOLDER/models/measured.gguf"
private_server_start "llama2.model_directory=$PRIVATE_FOLDER/models" llama2.model=measured "llama2.max_batch=$batch" jit=off
psql -v ON_ERROR_STOP=1 -Xqc 'CREATE EXTENSION llama2' -c "SELECT llama2_load('measured')" >/dev/null
psql -v ON_ERROR_STOP=1 -Xq <<-SQL
	CREATE TABLE items AS SELECT i AS id, 'Item number ' || i || ' is ' || chr(96 + i % 26 + 1) AS body
		FROM generate_series(1, $rows) AS i;
	ANALYZE items;
	CREATE FUNCTION seconds_since(start timestamptz) RETURNS float8 LANGUAGE sql AS
		'SELECT extract(epoch FROM clock_timestamp() - start)';
SQL

# measure SETTING PROMPT TOKENS TABLE [SAMPLING]: seconds that the statement takes; its texts go into a table
measure()
{
	psql -v ON_ERROR_STOP=1 -XqAt <<-SQL
		SET $1;
		SELECT clock_timestamp() AS start \gset
		CREATE TABLE $4 AS SELECT id, llama2_generate($2, max_tokens => $3, ${5:-temperature => 0},
			options => '{"ignore_eos": true}') AS text FROM items;
		SELECT seconds_since(:'start');
	SQL
}

same_texts()
{
	psql -v ON_ERROR_STOP=1 -XqAt -c "SELECT CASE WHEN count(*) = 0 THEN 'the same texts' ELSE count(*) || ' texts differ' END
		FROM $1 FULL JOIN $2 USING (id) WHERE $1.text IS DISTINCT FROM $2.text"
}

set_server()
{
	psql -v ON_ERROR_STOP=1 -Xqc "ALTER SYSTEM SET $1" -c 'SELECT pg_reload_conf()' >/dev/null
	psql -v ON_ERROR_STOP=1 -Xqc 'SELECT pg_sleep(0.5)' -c "SELECT llama2_generate('x', max_tokens => 1)" >/dev/null
}

# Texts that repeat themselves, as greedy ones do, are guessed right where the processor is idle; drawn ones are not.
measure_rows()
{
	local scanned plain single

	printf '%s, %s rows, %s tokens each, batch of %s\n' "$(basename "$model")" "$rows" "$tokens" "$batch"
	scanned=$(measure 'llama2.batch_scan = on' body "$tokens" scanned)
	plain=$(measure 'llama2.batch_scan = off' body "$tokens" plain)
	same_texts scanned plain
	set_server 'llama2.speculation = off'
	single=$(measure 'llama2.batch_scan = off' body "$tokens" single)
	same_texts scanned single
	set_server 'llama2.speculation = on'
	awk -v n="$((rows * tokens))" -v s="$scanned" -v p="$plain" -v o="$single" 'BEGIN {
		printf "batch_scan on                    %8.1f tokens/s\n", n / s
		printf "batch_scan off                   %8.1f tokens/s   %.2f times\n", n / p, p / s
		printf "batch_scan off, speculation off  %8.1f tokens/s   %.2f times\n", n / o, o / s }'
}

measure_drawn()
{
	local scanned plain

	printf '%s, %s rows, %s tokens each, drawn at temperature 1, batch of %s\n' "$(basename "$model")" "$rows" "$tokens" "$batch"
	scanned=$(measure 'llama2.batch_scan = on' body "$tokens" drawn_scanned 'temperature => 1, seed => id')
	plain=$(measure 'llama2.batch_scan = off' body "$tokens" drawn_plain 'temperature => 1, seed => id')
	same_texts drawn_scanned drawn_plain
	awk -v n="$((rows * tokens))" -v s="$scanned" -v p="$plain" 'BEGIN {
		printf "batch_scan on                    %8.1f tokens/s\n", n / s
		printf "batch_scan off                   %8.1f tokens/s   %.2f times\n", n / p, p / s }'
}

# SQL and the engine alone take turns, each with as many requests of as many tokens; neither has the other in memory, and each
# is the first of every other turn.  Beside the rates, which the machine's speed moves, stands what does not depend on it: how much of the
# statement's time the model computed, and in how many steps.
measure_engine()
{
	local prompt turn sides side rates=$PRIVATE_FOLDER/rates

	printf '%s, %s rows, %s tokens each, batch of %s, beside the engine alone\n' "$(basename "$model")" "$rows" "$tokens" "$batch"
	prompt=$(psql -v ON_ERROR_STOP=1 -XqAt -c 'SELECT round(avg(llama2_count_tokens(body) + 1)) FROM items')
	: >"$rates"
	for turn in $(seq "${TURNS:-6}"); do
		sides='sql engine'
		[ $((turn % 2)) -eq 1 ] || sides='engine sql'
		for side in $sides; do
			"turn_of_$side" >>"$rates"
		done
		tail -n 2 "$rates" | awk '{ rate[$1] = $2; steps[$1] = $3; computed[$1] = $4 } END {
			printf "SQL %.1f tokens/s, %.1f%% of the time computed, %d steps; engine %.1f, %d steps: SQL has %.1f%%\n",
				rate["sql"], computed["sql"], steps["sql"], rate["engine"], steps["engine"], 100 * rate["sql"] / rate["engine"] }'
	done
	awk '{ rate[$1, ++n[$1]] = $2 } END { for (i = 1; i <= n["sql"]; i++) printf "%.1f\n", 100 * rate["sql", i] / rate["engine", i] }' \
		"$rates" | sort -g | awk '{ x[NR] = $1 } END {
			printf "prompts of %d tokens; SQL has %.1f%% (median), %.1f to %.1f\n", '"$prompt"',
				(x[int((NR + 1) / 2)] + x[int((NR + 2) / 2)]) / 2, x[1], x[NR] }'
}

# the side, its tokens per second, steps, and the share of the time that was computed
turn_of_sql()
{
	local seconds

	psql -v ON_ERROR_STOP=1 -XqAt -c 'SET client_min_messages = warning' -c 'DROP TABLE IF EXISTS turn' -c "SELECT llama2_load('measured')" \
		-c "SELECT llama2_generate('x', max_tokens => 2)" -c 'SELECT llama2_stats_reset()' >/dev/null
	seconds=$(measure 'llama2.batch_scan = on' body "$tokens" turn)
	psql -v ON_ERROR_STOP=1 -XqAt -F ' ' -c "SELECT 'sql', $rows * $tokens / $seconds, steps, step_ms / $seconds / 10 FROM llama2_stats"
	psql -v ON_ERROR_STOP=1 -Xqc "SELECT llama2_unload('measured')" >/dev/null
}

turn_of_engine()
{
	"$build/bench/llama2_bench" -p 0 -d "$prompt" -n "$tokens" -b "$batch" -q "$rows" -r 1 --csv ${SHARED:+--shared} "$model" |
		awk -F, '$1 == "requests" { rate = $8 } $1 == "steps" { steps = $8 } END { print "engine", rate, steps, 100 }'
}

measure_prefix()
{
	local prompt="repeat('Answer in one word. ', $((instruction / 5))) || body" shared unshared count

	count=$(psql -v ON_ERROR_STOP=1 -XqAt -c "SELECT max(llama2_count_tokens($prompt)) FROM items")
	printf '%s rows of up to %s tokens that begin alike, 4 tokens each\n' "$rows" "$count"
	shared=$(measure 'llama2.batch_scan = on' "$prompt" 4 shared)
	set_server 'llama2.prefix_cache = off'
	unshared=$(measure 'llama2.batch_scan = on' "$prompt" 4 unshared)
	same_texts shared unshared
	awk -v s="$shared" -v u="$unshared" 'BEGIN {
		printf "prefix_cache on  %8.2f s\nprefix_cache off %8.2f s   %.2f times\n", s, u, u / s }'
}

for part in ${PARTS:-rows drawn engine prefix}; do
	"measure_$part"
done
