#!/bin/bash
#
# private_server.sh
#	A PostgreSQL server of one's own, for demos and tests.
#
# The server keeps everything it has in one new temporary folder and listens on
# a Unix socket in that folder alone.  It never runs as root: there it belongs
# to the user LLAMA2_TEST_USER (by default nobody).  Whatever way the
# script ends, the server is stopped and the folder removed.
#
#	test/private_server.sh [-c NAME=VALUE]... COMMAND [ARGUMENT]...
#
# starts a server that has llama2 preloaded, runs COMMAND with PGHOST, PGPORT,
# PGUSER and PGDATABASE set, and ends with COMMAND's exit status:
#
#	test/private_server.sh psql
#	test/private_server.sh -c llama2.threads=2 make installcheck
#
# Other scripts source this file and use the functions below.

# private_server_folder: make the temporary folder and arrange for its removal.
# Sets PRIVATE_FOLDER.
private_server_folder()
{
	local base=${TMPDIR:-/tmp}

	PRIVATE_USER=$(id -un)
	if [ "$(id -u)" -eq 0 ]; then
		PRIVATE_USER=${LLAMA2_TEST_USER:-nobody}
		if ! id -u "$PRIVATE_USER" >/dev/null 2>&1; then
			echo "private_server.sh: user \"$PRIVATE_USER\" does not exist; set LLAMA2_TEST_USER" >&2
			return 1
		fi
		as_private_user test -x "$base" || base=/tmp
	fi
	# the path of a Unix socket has room for about a hundred characters
	[ ${#base} -le 60 ] || base=/tmp

	trap private_server_cleanup EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	PRIVATE_FOLDER=$(mktemp -d "$base/llama2.XXXXXX") || return 1
	if [ "$(id -u)" -eq 0 ]; then
		chown "$PRIVATE_USER" "$PRIVATE_FOLDER" || return 1
	fi
}

# as_private_user COMMAND...: run a command as the server's user, in the
# temporary folder once there is one.
as_private_user()
(
	if [ -n "${PRIVATE_FOLDER:-}" ]; then
		cd "$PRIVATE_FOLDER" || exit 1
		export HOME=$PRIVATE_FOLDER TMPDIR=$PRIVATE_FOLDER
	else
		cd / || exit 1
	fi
	if [ "$(id -u)" -eq 0 ]; then
		exec setpriv --reuid="$PRIVATE_USER" --regid="$(id -g "$PRIVATE_USER")" \
			--clear-groups "$@"
	fi
	exec "$@"
)

# private_server_start [NAME=VALUE]...: make a cluster with these settings and
# start it.  Sets and exports what libpq needs to find it.
private_server_start()
{
	local setting log

	PRIVATE_BINDIR=$("${PG_CONFIG:-pg_config}" --bindir) || return 1
	[ -n "${PRIVATE_FOLDER:-}" ] || private_server_folder || return 1
	log=$PRIVATE_FOLDER/server.log

	private_server_environment
	if ! as_private_user "$PRIVATE_BINDIR/initdb" -D "$PRIVATE_FOLDER/data" -U postgres -A trust \
		-E UTF8 --locale=C --no-sync >"$PRIVATE_FOLDER/initdb.log" 2>&1; then
		cat "$PRIVATE_FOLDER/initdb.log" >&2
		return 1
	fi

	{
		echo "listen_addresses = ''"
		echo "unix_socket_directories = '$PRIVATE_FOLDER'"
		echo "port = $PGPORT"
		echo "shared_preload_libraries = 'llama2'"
		echo "fsync = off"
		echo "synchronous_commit = off"
		echo "full_page_writes = off"
		echo "max_connections = 50"
		echo "log_line_prefix = '%m [%p] %b %q%a '"
		for setting in "$@"; do
			echo "${setting%%=*} = '$(sed "s/'/''/g" <<<"${setting#*=}")'"
		done
	} >>"$PRIVATE_FOLDER/data/postgresql.conf"

	if ! as_private_user "$PRIVATE_BINDIR/pg_ctl" -D "$PRIVATE_FOLDER/data" -l "$log" \
		-w -t 120 start >"$PRIVATE_FOLDER/pg_ctl.log" 2>&1 </dev/null; then
		echo "private_server.sh: the server did not start; its log:" >&2
		cat "$log" >&2
		return 1
	fi
}

# private_server_environment: nothing of the caller's PostgreSQL settings is to
# leak into the private server's clients, or the other way round.
private_server_environment()
{
	local name

	for name in $(compgen -e | grep '^PG'); do
		case $name in
			PG_CONFIG | PG_TEST_*) ;;
			*) unset "$name" ;;
		esac
	done
	export PGHOST=$PRIVATE_FOLDER PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
	export PGSYSCONFDIR=$PRIVATE_FOLDER PGPASSFILE=$PRIVATE_FOLDER/.pgpass
	export PATH=$PRIVATE_BINDIR:$PATH
}

# private_server_stop: stop the server, gently if it lets us.
private_server_stop()
{
	local control="$PRIVATE_BINDIR/pg_ctl -D $PRIVATE_FOLDER/data -w"

	[ -f "$PRIVATE_FOLDER/data/postmaster.pid" ] || return 0
	as_private_user $control -t 30 -m fast stop >/dev/null 2>&1 ||
		as_private_user $control -t 30 -m immediate stop >/dev/null 2>&1
}

# private_server_cleanup: stop what private_run started and the server, and
# remove the folder.
private_server_cleanup()
{
	[ -n "${PRIVATE_FOLDER:-}" ] || return 0
	# a second signal must not end what the first began
	trap '' HUP INT TERM
	cd /
	if [ -n "${PRIVATE_CHILD:-}" ]; then
		kill -- "-$PRIVATE_CHILD" 2>/dev/null
		wait "$PRIVATE_CHILD" 2>/dev/null
	fi
	private_server_stop
	rm -rf "$PRIVATE_FOLDER"
	PRIVATE_FOLDER=
}

# private_run COMMAND...: run a command, in a process group of its own so that a
# signal to this script ends all of it at once.  What talks to a terminal must
# stay in the terminal's group, and gets the signals from there.
private_run()
{
	local status

	if [ -t 0 ]; then
		"$@"
		return
	fi
	set -m
	"$@" <&0 &
	PRIVATE_CHILD=$!
	set +m
	wait "$PRIVATE_CHILD"
	status=$?
	PRIVATE_CHILD=
	return $status
}

private_server_main()
{
	local settings=()

	while getopts c: option; do
		case $option in
			c) settings+=("$OPTARG") ;;
			*) return 2 ;;
		esac
	done
	shift $((OPTIND - 1))
	if [ $# -eq 0 ]; then
		echo "usage: private_server.sh [-c NAME=VALUE]... COMMAND [ARGUMENT]..." >&2
		return 2
	fi
	private_server_start "${settings[@]}" || return 1
	private_run "$@"
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
	private_server_main "$@"
fi
