#!/bin/bash
#
# compare_peers.sh
#	Our tokens per second on model files, beside the machine's limits and other engines.
#
#	[LLAMA_CPP_BIN=FOLDER[:FOLDER...]] test/bench/compare_peers.sh [MODEL.gguf...]
#
# Each FOLDER holds llama-bench and llama-batched-bench of llama.cpp or of an engine that
# descends from it; the best of them is shown for each test.  Runs alternate, ours and theirs, RUNS
# times (default 5), and medians are printed, so that a machine whose speed drifts is the same for
# all.  Limits are measured in the process that gives our figure: the weights read once a step, or the
# peak of multiply-adds, whichever is nearer.  Without model files those of BENCH_MODELS are taken
# (files, or folders of files), or else the bundled one.
#
# KERNELS (our kernel set, default: the one that the engine takes by itself), THREADS (default: all; one for models of a few megabytes), PROMPT (512), TOKENS (64), WIDTHS (4,8,16,32 sequences
# at once; empty: none), DEPTH (4096 tokens before the measured ones, for large models; 0: none).

set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
build=${BUILD:-build/release}
runs=${RUNS:-5}
prompt=${PROMPT:-512}
tokens=${TOKENS:-64}
widths=${WIDTHS-4,8,16,32}
depth=${DEPTH:-4096}
small=$((4 << 20))
large=$((400 << 20))
kernels=(${KERNELS:+-k "$KERNELS"})
IFS=: read -ra peers <<<"${LLAMA_CPP_BIN:-}"
for i in "${!peers[@]}"; do
	peers[i]=$(realpath "${peers[i]}")
done

samples=$(mktemp)
peer_folder=$(mktemp -d)		# where they leave their logs
trap 'rm -rf "$samples" "$peer_folder"' EXIT

# The models of the arguments: files, and what is in folders.
list_models()
{
	for place in "$@"; do
		if [ -d "$place" ]; then
			ls "$place"/*.gguf
		else
			echo "$place"
		fi
	done
}

# Lines "who test rate limit" of one run each.
ours()
{
	"$build/bench/llama2_bench" -t "$threads" ${kernels[@]+"${kernels[@]}"} "${@:2}" -r 1 --csv "$1" | awk -F, -v of="$measured" '
		NR > 1 && (of == "" || $1 == of) {
			percent = $10 > $12 ? $10 : $12
			print "ours", $1 ($1 == "prefill" ? "" : "-" $7), $8, (percent > 0 ? 100 * $8 / percent : 0)
		}'
}

# FOLDER NAME MODEL OPTION...
theirs()
{
	(cd "$peer_folder" && exec "$1/llama-bench" -t "$threads" -r 1 -o csv -m "$3" "${@:4}" 2>/dev/null) |
		sed 's/^"//; s/"$//; s/","/\t/g; 1 s/,/\t/g' | awk -F'\t' -v name="$2" '
			NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i; next }
			"avg_ts" in column && $column["avg_ts"] + 0 > 0 {
				print name, ($column["n_gen"] + 0 > 0 ? "decode-1" : "prefill"), $column["avg_ts"], 0
			}'
}

# The same after $depth tokens: descendants of older versions have another option for it.
theirs_deep()
{
	local rates

	rates=$(theirs "$@" -p 0 -n "$tokens" -d "$depth")
	[ -n "$rates" ] || rates=$(theirs "$@" -p 0 -n 0 -gp "$depth,$tokens")
	sed -n 's/decode-1/deep-1/p' <<<"$rates"
}

theirs_batched()
{
	(cd "$peer_folder" && exec "$1/llama-batched-bench" -t "$threads" -c 8192 -npp 64 -ntg 32 -npl "$widths" -m "$3" 2>/dev/null) |
		awk -F'|' -v name="$2" '$2 + 0 == 64 { print name, "decode-" ($4 + 0), $9 + 0, 0 }'
}

# Ours and every peer's, once.
measure()
{
	local model peer name

	model=$(realpath "$1")
	measured='' ours "$model" -p "$prompt" -n "$tokens" -b 1
	[ -z "$widths" ] || measured=decode ours "$model" -p 0 -d 64 -n 32 -b "$widths"
	[ "$depth" = 0 ] || measured=decode ours "$model" -p 0 -d "$depth" -n "$tokens" -b 1 | sed 's/decode-1/deep-1/'
	for peer in "${peers[@]}"; do
		name=$(peer_name "$peer")
		theirs "$peer" "$name" "$model" -p "$prompt" -n "$tokens"
		[ -z "$widths" ] || theirs_batched "$peer" "$name" "$model"
		[ "$depth" = 0 ] || theirs_deep "$peer" "$name" "$model"
	done
}

# llama.cpp of .../llama.cpp/build/bin
peer_name()
{
	echo "$1" | sed 's,/bin$,,; s,/build$,,; s,.*/,,'
}

[ $# -gt 0 ] || read -ra places <<<"${BENCH_MODELS:-models}"
mapfile -t models < <(list_models "$@" ${places[@]+"${places[@]}"})
for model in "${models[@]}"; do
	bytes=$(stat -Lc %s "$model")
	threads=${THREADS:-$([ "$bytes" -gt "$small" ] && nproc || echo 1)}
	[ "$bytes" -gt "$large" ] || depth=0
	: >"$samples"
	for _ in $(seq "$runs"); do
		measure "$model" >>"$samples"
	done
	printf '\n%s, %s threads, prompt %s, medians of %s\n' "$(basename "$model")" "$threads" "$prompt" "$runs"
	awk -v depth="$depth" -f test/bench/compare_peers.awk "$samples"
	depth=${DEPTH:-4096}
done
