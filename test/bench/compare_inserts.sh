#!/bin/bash
#
# compare_inserts.sh
#	What triggers cost a session that inserts: transactions per second beside those without a trigger.
#
#	test/bench/compare_inserts.sh
#
# The extension must be installed.  CONNECTIONS (default 4) sessions insert rows of about 300 characters
# for SECONDS_EACH (default 5) seconds: one row a transaction, and 1000 rows a statement.  Each case is measured ROUNDS
# (default 3) times, in turns, and the best is taken.  Jobs are queued, but not done meanwhile (llama2.job_workers = 0), as
# otherwise the model would have the processors; the last lines show them being done with llama2.nice = 19.

set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
connections=${CONNECTIONS:-4}
seconds=${SECONDS_EACH:-5}
rounds=${ROUNDS:-3}
. test/private_server.sh

private_server_start max_connections=100 max_wal_size=4GB llama2.nice=19 llama2.job_workers=0 \
	"fsync=${FSYNC:-on}" "synchronous_commit=${SYNCHRONOUS_COMMIT:-on}" full_page_writes=on
psql -Xqc 'CREATE EXTENSION llama2'
psql -Xq <<-'SQL'
	CREATE TABLE none (id bigserial PRIMARY KEY, body text NOT NULL, summary text);
	CREATE TABLE row (LIKE none INCLUDING ALL);
	CREATE TABLE statement (LIKE none INCLUDING ALL);
	CREATE TRIGGER s AFTER INSERT ON row FOR EACH ROW
		EXECUTE FUNCTION llama2_enrich_async('summary', 'Summarize: {body}', 'max_tokens=2');
	CREATE TRIGGER s AFTER INSERT ON statement REFERENCING NEW TABLE AS n FOR EACH STATEMENT
		EXECUTE FUNCTION llama2_enrich_async('summary', 'Summarize: {body}', 'max_tokens=2');
SQL
for table in none row statement; do
	echo "INSERT INTO $table (body) VALUES (repeat('My kettle leaks water. ', 13));" >"$PRIVATE_FOLDER/one_$table.sql"
	echo "INSERT INTO $table (body) SELECT repeat('My kettle leaks water. ', 13) FROM generate_series(1, 1000);" \
		>"$PRIVATE_FOLDER/many_$table.sql"
done

# transactions per second of one script
measure()
{
	psql -Xqc 'TRUNCATE llama2_job, none, row, statement' -c CHECKPOINT
	"$PRIVATE_BINDIR/pgbench" -n -c "$connections" -j 2 -T "$seconds" -f "$PRIVATE_FOLDER/$1.sql" 2>/dev/null |
		sed -n 's/^tps = \([0-9.]*\).*/\1/p'
}

# compare KIND TABLE...: the best of some rounds for each table, the first being the measure
compare()
{
	local kind=$1 table round base=
	declare -A best

	shift
	for ((round = 0; round < rounds; round++)); do
		for table in "$@"; do
			best[$table]=$(printf '%s\n%s\n' "${best[$table]:-0}" "$(measure "${kind}_$table")" | sort -g | tail -n 1)
		done
	done
	base=${best[$1]}
	for table in "$@"; do
		awk -v k="$kind" -v t="$table" -v x="${best[$table]}" -v b="$base" \
			'BEGIN { printf "%-6s %-10s %12.1f %8.1f\n", k, t, x, 100 * x / b }'
	done
}

printf '%s connections, %s s each, best of %s; fsync=%s synchronous_commit=%s\n' "$connections" "$seconds" "$rounds" \
	"${FSYNC:-on}" "${SYNCHRONOUS_COMMIT:-on}"
printf '%-6s %-10s %12s %8s\n' rows trigger tps percent
compare one none row statement
compare many none row statement
psql -Xqc 'ALTER SYSTEM SET llama2.job_workers = 1' -c 'SELECT pg_reload_conf()' >/dev/null
echo 'while jobs are done'
compare one none row
