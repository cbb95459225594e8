#!/bin/bash
#
# compare_sizes.sh
#	What large models take: seconds to load, peak memory, tokens per second; beside another engine.
#
#	[LLAMA_CPP_BIN=FOLDER] test/bench/compare_sizes.sh MODEL.gguf...
#
# FOLDER holds llama-bench.  Runs alternate, ours and theirs, RUNS times (default 3); medians are printed.
# "load" is what our engine takes to pack the file's weights (the file is in the page cache where memory
# allows it) and, of theirs, the time of a process that loads the model, computes one token and ends.
# "peak" is the process's largest resident memory, pages of the file that it maps included.
# PROMPT (default 64) and TOKENS (16) are what is measured then.

set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
bench=${BUILD:-build/release}/bench/llama2_bench
runs=${RUNS:-3}
prompt=${PROMPT:-64}
tokens=${TOKENS:-16}
threads=${THREADS:-$(nproc)}
samples=$(mktemp)
resources=$(mktemp)
trap 'rm -f "$samples" "$resources"' EXIT

# Lines "who test figure" of one run each.
ours()
{
	/usr/bin/time -o "$resources" -f 'ours peak %M' \
		"$bench" --shared -t "$threads" -p "$prompt" -n "$tokens" -b 1 -r 1 "$1" | awk '
			/loaded in/ { print "ours load", $(NF - 1) }
			$1 == "prefill" { print "ours prefill", $3 }
			$1 == "decode" { print "ours decode", $3; print "ours of_reads", $5 + 0 }'
	cat "$resources"
}

theirs()
{
	/usr/bin/time -o "$resources" -f 'theirs load %e' \
		"$LLAMA_CPP_BIN/llama-bench" -t "$threads" -p 1 -n 0 -r 1 --no-warmup -m "$1" >/dev/null 2>&1
	cat "$resources"
	/usr/bin/time -o "$resources" -f 'theirs peak %M' \
		"$LLAMA_CPP_BIN/llama-bench" -t "$threads" -p "$prompt" -n "$tokens" -r 1 -o csv -m "$1" 2>/dev/null |
		tr -d '"' | awk -F, '
			NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i; next }
			{ print "theirs", ($column["n_gen"] + 0 > 0 ? "decode" : "prefill"), $column["avg_ts"] }'
	cat "$resources"
}

median()
{
	awk -v who="$1" -v test="$2" '$1 == who && $2 == test { print $3 }' "$samples" |
		sort -n | awk '{ value[NR] = $1 } END { if (NR) print value[int((NR + 1) / 2)]; else print "-" }'
}

print_line()
{
	printf '%-8s load %6s s  peak %9s KB  prefill %7s  decode %6s\n' \
		"$1" "$(median "$1" load)" "$(median "$1" peak)" "$(median "$1" prefill)" "$(median "$1" decode)"
}

for model in "$@"; do
	: >"$samples"
	cat "$model" >/dev/null
	for _ in $(seq "$runs"); do
		ours "$model" >>"$samples"
		[ -z "${LLAMA_CPP_BIN:-}" ] || theirs "$model" >>"$samples"
	done
	printf '\n%s, %s bytes, %s threads, prompt %s, medians of %s\n' \
		"$(basename "$model")" "$(stat -Lc %s "$model")" "$threads" "$prompt" "$runs"
	print_line ours
	[ -z "${LLAMA_CPP_BIN:-}" ] || print_line theirs
	echo "decode of ours: $(median ours of_reads)% of reading the weights"
done
