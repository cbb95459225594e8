#!/bin/bash
#
# run_tests.sh
#	Run the test suites against the installed extension and count.
#
#	test/run_tests.sh [SUITE]...
#
# Suites: engine (C programs), fuzz (a short run of every fuzzer), regress
# (pg_regress), pgtap (SQL under pg_prove's source handler), tap (Perl programs
# with servers of their own); all of them by default.  A suite followed by
# =FILE,FILE... runs these files only, as in tap=test/t/001_restart.pl.
#
# Nothing that a test starts runs as root, and the clone may lie where no other
# user can read: so the tests run in a copy, in the private server's folder.
# The last line is the sum.

set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
top=$PWD
build=${BUILD:-build/release}
. test/private_server.sh

suite_names="engine fuzz regress pgtap tap"
pgxs_test=$(dirname "$("${PG_CONFIG:-pg_config}" --pgxs)")/../test
fixtures=${LLAMA2_FIXTURES:-$top/../shared/fixtures}

# The copy, and what the tests find in their environment.
prepare()
{
	private_server_folder || exit 1
	as_private_user mkdir work work/test work/programs || exit 1
	tar -cf - README.md doc sql expected models/*.gguf test 2>/dev/null |
		as_private_user tar -C work -xf - --no-same-owner || exit 1
	tar -C "$build" -cf - $(cd "$build" 2>/dev/null && find test fuzz -type f -perm -u+x 2>/dev/null) \
		2>/dev/null | as_private_user tar -C work/programs -xf - --no-same-owner 2>/dev/null
	work=$PRIVATE_FOLDER/work
	counts=$PRIVATE_FOLDER/counts
	as_private_user touch "$counts"

	# fixtures out of the tests' reach are copied too, if there are any
	if [ -d "$fixtures" ]; then
		fixtures=$(cd "$fixtures" && pwd)
		if ! as_private_user test -r "$fixtures/README.md"; then
			as_private_user mkdir work/fixtures
			tar -C "$fixtures" -cf - . | as_private_user tar -C work/fixtures -xf - --no-same-owner
			fixtures=$work/fixtures
		fi
	fi
	export LLAMA2_FIXTURES=$fixtures LLAMA2_MODELS=$work/models
}

# in_copy COMMAND...: run a command as the tests' user in the copy.
in_copy()
{
	as_private_user sh -c 'cd work && exec "$@"' sh "$@"
}

# need_server: the server that the SQL suites share.  That it does not start
# counts as a failed test.
server_started=no
need_server()
{
	[ $server_started = no ] || return 0
	if ! private_server_start; then
		echo "0 1 0" >>"$counts"
		return 1
	fi
	server_started=yes
}

# run_tap KIND FILE...: TAP tests of one kind
run_tap()
{
	local kind=$1 before after

	shift
	before=$(wc -l <"$counts")
	private_run in_copy env TEST_PERL_LIB="$pgxs_test/perl:test/lib" perl test/harness.pl "$kind" "$counts" "$@"
	after=$(wc -l <"$counts")
	[ "$after" -gt "$before" ] || echo "0 1 0" >>"$counts"
}

run_engine()
{
	run_tap program "$@"
}

run_fuzz()
{
	run_tap program "$@"
}

run_regress()
{
	local log=$PRIVATE_FOLDER/regress.log names=() file status passed failed

	for file in "$@"; do
		names+=("$(basename "$file" .sql)")
	done
	need_server || return
	private_run in_copy "$pgxs_test/regress/pg_regress" --bindir="$PRIVATE_BINDIR" --inputdir=. \
		--outputdir=. --dbname=contrib_regression "${names[@]}" >"$log" 2>&1
	status=$?
	cat "$log"
	# "test NAME ... ok" up to version 15, "ok 1 - NAME" since
	passed=$(grep -cE '^(test +[^ ]+|     [^ ]+) +\.\.\. ok |^ok [0-9]' "$log")
	failed=$(grep -cE '\.\.\. FAILED|^not ok [0-9]' "$log")
	if [ $status -ne 0 ]; then
		[ -s "$work/regression.diffs" ] && head -n 300 "$work/regression.diffs"
		[ "$failed" -gt 0 ] || failed=1
	fi
	echo "$passed $failed 0" >>"$counts"
}

run_pgtap()
{
	need_server || return
	createdb pgtap_test
	if ! psql -X -q -v ON_ERROR_STOP=1 -d pgtap_test \
		-c 'CREATE EXTENSION pgtap' -c 'CREATE EXTENSION llama2'; then
		echo "0 1 0" >>"$counts"
		return
	fi
	PGDATABASE=pgtap_test run_tap pgtap "$@"
}

# The programs make clusters with PostgreSQL's own module, which looks for
# pg_regress and its temporary folders in the environment: TESTDIR up to version
# 15, the other two since.
run_tap_programs()
{
	PATH=$PRIVATE_BINDIR:$PATH TESTDIR=$work PGPORT=65432 \
		TESTDATADIR=$work/tmp_check TESTLOGDIR=$work/tmp_check/log \
		PG_REGRESS=$pgxs_test/regress/pg_regress run_tap perl "$@"
}

# files_of SUITE: its files, as seen from the copy
files_of()
{
	case $1 in
		engine) (cd "$work/programs" && find test -type f -name 'test_*' | sort | sed 's,^,./programs/,') ;;
		fuzz) (cd "$work/programs" && find fuzz -type f -name 'fuzz_*' 2>/dev/null | sort | sed 's,^,./programs/,') ;;
		regress) (cd "$work" && ls sql/*.sql 2>/dev/null | grep -v '^sql/llama2') ;;
		pgtap) (cd "$work" && ls test/pgtap/*.sql 2>/dev/null) ;;
		tap) (cd "$work" && ls test/t/*.pl 2>/dev/null) ;;
	esac
}

run_suite()
{
	local suite=${1%%=*} files

	case " $suite_names " in
		*" $suite "*) ;;
		*)
			echo "run_tests.sh: there is no suite \"$suite\"; there are: $suite_names" >&2
			exit 2
			;;
	esac
	if [ "$suite" = "$1" ]; then
		files=$(files_of "$suite")
	else
		files=$(tr ',' '\n' <<<"${1#*=}")
	fi
	[ -n "$files" ] || return 0

	echo "== $suite"
	case $suite in
		tap) run_tap_programs $files ;;
		*) "run_$suite" $files ;;
	esac
}

# What a failed run leaves for a look: logs and differences, below build/.
keep_evidence()
{
	local kept=$top/build/failed

	rm -rf "$kept"
	mkdir -p "$kept"
	cp "$PRIVATE_FOLDER"/*.log "$kept" 2>/dev/null
	cp -r "$work"/regression.diffs "$work"/results "$work"/tmp_check/log "$kept" 2>/dev/null
	echo "logs and differences are in build/failed"
}

prepare
PRIVATE_BINDIR=$("${PG_CONFIG:-pg_config}" --bindir)
[ $# -gt 0 ] || set -- $suite_names
for suite in "$@"; do
	run_suite "$suite"
done

read -r passed failed skipped < <(awk '{ p += $1; f += $2; s += $3 } END { print p + 0, f + 0, s + 0 }' "$counts")
[ "$failed" -eq 0 ] || keep_evidence
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
