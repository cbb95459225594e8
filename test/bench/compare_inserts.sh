#!/bin/bash
#
# compare_inserts.sh
#	What triggers cost a session that inserts: transactions per second beside those without a trigger.
#
#	test/bench/compare_inserts.sh
#
# The extension must be installed.  CONNECTIONS (default 4) sessions insert rows of about 300 characters
# for SECONDS_EACH (default 5) seconds: one row a transaction, and 1000 rows a statement.  Each case is measured ROUNDS
# (default 5) times, in turns: a line tells the median of its rates and that of its share of the rate without a trigger in the same
# round, with the least and the greatest share.  First jobs are queued, but not done (llama2.job_workers = 0), as
# otherwise the model would have the processors; then they are done meanwhile, with llama2.nice = NICE (19).  PARTS
# (queued done) can be set, KINDS (one many), and SETTINGS of the server ("llama2.threads=1").

set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
connections=${CONNECTIONS:-4}
seconds=${SECONDS_EACH:-5}
rounds=${ROUNDS:-5}
nice=${NICE:-19}
. test/private_server.sh

private_server_start max_connections=100 max_wal_size=4GB llama2.nice=$nice llama2.job_workers=0 \
	"fsync=${FSYNC:-on}" "synchronous_commit=${SYNCHRONOUS_COMMIT:-on}" full_page_writes=on \
	${SETTINGS:-}
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

# median of numbers, one a line
median()
{
	sort -g | awk '{ x[NR] = $1 } END { print (x[int((NR + 1) / 2)] + x[int((NR + 2) / 2)]) / 2 }'
}

# compare WHAT KIND: each table in turns
compare()
{
	local what=$1 kind=$2 table round rate
	local rates=$PRIVATE_FOLDER/rates

	: >"$rates"
	for ((round = 0; round < rounds; round++)); do
		for table in none row statement; do
			rate=$(measure "${kind}_$table")
			echo "$table $rate" >>"$rates"
		done
	done
	for table in none row statement; do
		awk -v table="$table" '$1 == "none" { base = $2 } $1 == table { printf "%.1f\n", 100 * $2 / base }' "$rates" |
			sort -g >"$PRIVATE_FOLDER/shares"
		printf '%-6s %-4s %-9s %10.1f %8.1f %8.1f %8.1f\n' "$what" "$kind" "$table" \
			"$(awk -v table="$table" '$1 == table { print $2 }' "$rates" | median)" "$(median <"$PRIVATE_FOLDER/shares")" \
			"$(head -n 1 "$PRIVATE_FOLDER/shares")" "$(tail -n 1 "$PRIVATE_FOLDER/shares")"
	done
}

printf '%s connections, %s s each, %s rounds; fsync=%s synchronous_commit=%s llama2.nice=%s %s\n' "$connections" "$seconds" \
	"$rounds" "${FSYNC:-on}" "${SYNCHRONOUS_COMMIT:-on}" "$nice" "${SETTINGS:-}"
printf '%-6s %-4s %-9s %10s %8s %8s %8s\n' jobs rows trigger tps percent least most
for part in ${PARTS:-queued done}; do
	if [ "$part" = done ]; then
		psql -Xqc 'ALTER SYSTEM SET llama2.job_workers = 1' -c 'SELECT pg_reload_conf()' >/dev/null
	fi
	for kind in ${KINDS:-one many}; do
		compare "$part" "$kind"
	done
done
