#!/bin/bash
#
# compare_sql.sh
#	Tokens per second through SQL beside the engine's own, on one model.
#
#	test/bench/compare_sql.sh [MODEL.gguf]
#
# The extension must be installed.  One connection, then CONNECTIONS (default 32) at once, each with CALLS calls of prompts
# of its own (default 60 for models of up to 64 MB, else 3: the first ones after a load are slower); the engine does as
# many requests of as many tokens, as many at once, without a server.  ROUNDS (default 3)
# times, in turns: the medians of the rates, and of each round's share.  Then the time to the first token of prompts of
# about 1,000 tokens, new and cached, where the model's context has room for them.

set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
build=${BUILD:-build/release}
model=$(realpath "${1:-models/tinychat-6m.gguf}")
connections=${CONNECTIONS:-32}
tokens=${TOKENS:-128}
calls=${CALLS:-$([ "$(stat -Lc %s "$model")" -gt $((64 << 20)) ] && echo 3 || echo 60)}
rounds=${ROUNDS:-3}
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

# tokens per second of so many clients
measure_sql()
{
	"$PRIVATE_BINDIR/pgbench" -n -c "$1" -j 2 -t "$calls" -f "$PRIVATE_FOLDER/call.sql" >"$PRIVATE_FOLDER/pgbench.log" 2>&1
	sed -n 's/^tps = \([0-9.]*\).*/\1/p' "$PRIVATE_FOLDER/pgbench.log" |
		awk -v tokens="$tokens" '{ printf "%.1f\n", $1 * tokens }'
}

measure_engine()
{
	"$build/bench/llama2_bench" --shared -p 0 -d 9 -n "$tokens" -b "$1" -q $((calls * $1)) -r 1 --csv "$model" |
		awk -F, '$1 == "requests" { print $8 }'
}

median()
{
	sort -g | awk '{ x[NR] = $1 } END { print (x[int((NR + 1) / 2)] + x[int((NR + 2) / 2)]) / 2 }'
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
	: >"$PRIVATE_FOLDER/rates"
	measure_sql "$n" >/dev/null
	for _ in $(seq "$rounds"); do
		sql=$(measure_sql "$n")
		psql -Xqc "SELECT llama2_unload('measured')" >/dev/null
		engine=$(measure_engine "$n")
		psql -Xqc "SELECT llama2_load('measured')" >/dev/null
		echo "$engine $sql" >>"$PRIVATE_FOLDER/rates"
	done
	printf '%-14s %12.1f %12.1f %8.1f\n' "$n" "$(cut -d' ' -f1 "$PRIVATE_FOLDER/rates" | median)" \
		"$(cut -d' ' -f2 "$PRIVATE_FOLDER/rates" | median)" \
		"$(awk '{ print 100 * $2 / $1 }' "$PRIVATE_FOLDER/rates" | median)"
done

[ "$(psql -XAtqc "SELECT context_length > 1010 FROM llama2_models() WHERE name = 'measured'")" = t ] || exit 0
printf '\n%-14s %12s %12s %8s\n' 'first token' 'new, ms' 'cached, ms' percent
for n in 11 12 13; do
	new=$(first_token $n)
	cached=$(first_token $n)
	awk -v n="$n" -v u="$new" -v c="$cached" 'BEGIN { printf "prompt %-7s %12.1f %12.1f %8.2f\n", n, u, c, 100 * c / u }'
done
