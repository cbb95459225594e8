#!/bin/bash
#
# compare_sql.sh
#	Tokens per second through SQL beside the engine's own, on one model.
#
#	test/bench/compare_sql.sh [MODEL.gguf]
#
# The extension must be installed.  One call, then CONNECTIONS (default 32) at once, each with
# a prompt of its own; the engine does the same without a server.  Then the time to the first token of prompts of
# about 1,000 tokens, new and cached, where the model's context has room for them.

set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
build=${BUILD:-build/release}
model=$(realpath "${1:-models/tinychat-6m.gguf}")
connections=${CONNECTIONS:-32}
tokens=${TOKENS:-128}
. test/private_server.sh

private_server_folder
as_private_user mkdir models
ln -s "$model" "$PRIVATE_FOLDER/models/measured.gguf"
private_server_start "llama2.model_directory=$PRIVATE_FOLDER/models" llama2.model=measured llama2.speculation=off \
	"llama2.max_batch=$connections" max_connections=200
psql -Xqc 'CREATE EXTENSION llama2' -c "SELECT llama2_load('measured')" >/dev/null

cat >"$PRIVATE_FOLDER/call.sql" <<-SQL
	SELECT llama2_generate('Once upon a time ' || :client_id, max_tokens => $tokens, temperature => 0,
						   options => '{"ignore_eos": true}');
SQL

# tokens per second of so many clients, each of which calls so often
measure_sql()
{
	"$PRIVATE_BINDIR/pgbench" -n -c "$1" -j 2 -t "$2" -f "$PRIVATE_FOLDER/call.sql" >"$PRIVATE_FOLDER/pgbench.log" 2>&1
	sed -n 's/^tps = \([0-9.]*\).*/\1/p' "$PRIVATE_FOLDER/pgbench.log" |
		awk -v tokens="$tokens" '{ printf "%.1f\n", $1 * tokens }'
}

measure_engine()
{
	"$build/bench/llama2_bench" -p 8 -n "$tokens" -b "$1" -r 3 --csv "$model" |
		awk -F, 'NR > 1 && $1 == "decode" { print $8 }'
}

# milliseconds until the first token of prompt number $1
first_token()
{
	psql -XAtq -c '\timing on' -c "SELECT llama2_generate('$1' || repeat(' tree', 995), max_tokens => 1, temperature => 0)" |
		sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p'
}

printf '\n%s, %s tokens a call\n' "$(basename "$model")" "$tokens"
printf '%-14s %12s %12s %8s\n' connections engine SQL percent
for n in 1 "$connections"; do
	measure_sql "$n" 1 >/dev/null
	sql=$(measure_sql "$n" 3)
	psql -Xqc "SELECT llama2_unload('measured')" >/dev/null
	engine=$(measure_engine "$n")
	psql -Xqc "SELECT llama2_load('measured')" >/dev/null
	awk -v n="$n" -v e="$engine" -v s="$sql" 'BEGIN { printf "%-14s %12.1f %12.1f %8.1f\n", n, e, s, 100 * s / e }'
done

[ "$(psql -XAtqc "SELECT context_length > 1010 FROM llama2_models() WHERE name = 'measured'")" = t ] || exit 0
printf '\n%-14s %12s %12s %8s\n' 'first token' 'new, ms' 'cached, ms' percent
for n in 11 12 13; do
	new=$(first_token $n)
	cached=$(first_token $n)
	awk -v n="$n" -v u="$new" -v c="$cached" 'BEGIN { printf "prompt %-7s %12.1f %12.1f %8.2f\n", n, u, c, 100 * c / u }'
done
