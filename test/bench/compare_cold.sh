#!/bin/bash
#
# compare_cold.sh
#	How long a restarted server takes to its first answer while its model's file is
#	cold, beside what the disk alone takes for the file.
#
#	test/bench/compare_cold.sh MODEL.gguf
#
# The extension must be installed.  ROUNDS (default 3) times in turn, the file out of the page cache each time: cat of
# it to nowhere; the start of a server until it answers a prompt of a few tokens with one; and the same with the file warm.

set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
model=$(realpath "$1")
rounds=${ROUNDS:-3}
. test/private_server.sh

private_server_folder
as_private_user mkdir models
ln -s "$model" "$PRIVATE_FOLDER/models/measured.gguf"
private_server_start "llama2.model_directory=$PRIVATE_FOLDER/models" llama2.model=measured
psql -Xqc 'CREATE EXTENSION llama2'
private_server_stop

# the pages of the file, once written, leave the page cache
chill()
{
	sync "$model"
	dd if="$model" iflag=nocache count=0 status=none
}

# seconds that a command takes
seconds()
{
	local started=$EPOCHREALTIME

	"$@" >/dev/null
	awk -v a="$started" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.2f\n", b - a }'
}

first_answer()
{
	as_private_user "$PRIVATE_BINDIR/pg_ctl" -D "$PRIVATE_FOLDER/data" -l "$PRIVATE_FOLDER/server.log" -w start
	psql -XAtqc "SELECT llama2_generate('Once upon a time', max_tokens => 1, temperature => 0)"
}

size=$(stat -Lc %s "$model")
printf '\n%s, %d MB\n%-6s %12s %22s %22s %8s\n' "$(basename "$model")" $((size / 1000000)) round 'cat, s' 'answer, cold file, s' \
	'answer, warm file, s' percent
for round in $(seq "$rounds"); do
	chill
	disk=$(seconds cat "$model")
	chill
	cold=$(seconds first_answer)
	private_server_stop
	cat "$model" >/dev/null
	warm=$(seconds first_answer)
	private_server_stop
	awk -v r="$round" -v d="$disk" -v c="$cold" -v w="$warm" \
		'BEGIN { printf "%-6s %12.2f %22.2f %22.2f %8.1f\n", r, d, c, w, 100 * d / c }'
done
