#!/bin/bash
#
# compare_peers.sh
#	Our tokens per second beside llama.cpp's on the same model files.
#
#	LLAMA_CPP_BIN=FOLDER test/bench/compare_peers.sh MODEL.gguf...
#
# FOLDER holds llama-bench and llama-batched-bench.  Runs alternate, ours and
# theirs, RUNS times (default 5), and medians are printed, so that a machine
# whose speed drifts is the same for both.  Without LLAMA_CPP_BIN, or without
# models, nothing is run.

set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
build=${BUILD:-build/release}
runs=${RUNS:-5}
threads=${THREADS:-$(nproc)}
prompt=${PROMPT:-512}
tokens=${TOKENS:-64}
widths=${WIDTHS:-1,4,8,16,32}

if [ -z "${LLAMA_CPP_BIN:-}" ] || [ $# -eq 0 ]; then
	echo "compare_peers.sh: set LLAMA_CPP_BIN and name model files to compare with llama.cpp"
	exit 0
fi
samples=$(mktemp)
trap 'rm -f "$samples"' EXIT

# Lines "who test rate" of one run each.
ours()
{
	"$build/bench/llama2_bench" -t "$threads" -p "$prompt" -n "$tokens" -b 1 -r 1 --csv "$1" |
		awk -F, 'NR > 1 { print "ours", $1 ($1 == "prefill" ? "" : "-" $7), $8 }'
	[ -z "$widths" ] || "$build/bench/llama2_bench" -t "$threads" -p 64 -n 32 -b "$widths" -r 1 --csv "$1" |
		awk -F, 'NR > 1 && $1 != "prefill" { print "ours", "batch-" $7, $8 }'
}

theirs()
{
	"$LLAMA_CPP_BIN/llama-bench" -t "$threads" -p "$prompt" -n "$tokens" -r 1 -o csv -m "$1" 2>/dev/null |
		tr -d '"' | awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i; next }
			{ print "llama.cpp", ($column["n_gen"] + 0 > 0 ? "decode-1" : "prefill"), $column["avg_ts"] }'
	[ -z "$widths" ] || "$LLAMA_CPP_BIN/llama-batched-bench" -t "$threads" -c 8192 -npp 64 -ntg 32 -npl "$widths" -m "$1" 2>/dev/null |
		awk -F'|' '$2 + 0 == 64 { print "llama.cpp", "batch-" ($4 + 0), $9 + 0 }'
}

for model in "$@"; do
	: >"$samples"
	for _ in $(seq "$runs"); do
		ours "$model" >>"$samples"
		theirs "$model" >>"$samples"
	done
	printf '%s, %s threads, prompt %s, medians of %s\n' "$(basename "$model")" "$threads" "$prompt" "$runs"
	printf '%-12s %12s %12s %8s\n' test ours llama.cpp ratio
	sort -k1,2 -k3,3n "$samples" | awk '
		function median(name) {
			return count[name] ? value[name " " int((count[name] + 1) / 2)] : 0
		}
		{
			name = $1 " " $2
			count[name]++
			value[name " " count[name]] = $3
			if (!($2 in seen)) { seen[$2] = 1; n++; tests[n] = $2 }
		}
		END {
			for (i = 1; i <= n; i++) {
				o = median("ours " tests[i])
				t = median("llama.cpp " tests[i])
				printf "%-12s %12.1f %12.1f %8s\n", tests[i], o, t, (t > 0 ? sprintf("%.2f", o / t) : "-")
			}
		}'
done
