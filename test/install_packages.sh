#!/bin/bash
#
# install_packages.sh
#	Install the Debian packages that building, testing and showing llama2 takes,
#	those that are missing.  Does nothing where all are there.
#
# The packages of PostgreSQL are left alone where pg_config names a server that
# does not come from Debian.  No database cluster is made or started.

set -eu

# The major version of the server with headers that pg_config names, or nothing.
existing_version()
{
	local headers

	headers=$("${PG_CONFIG:-pg_config}" --includedir-server 2>/dev/null) || return 0
	[ -f "$headers/postgres.h" ] || return 0
	"${PG_CONFIG:-pg_config}" --version | sed -n 's/^PostgreSQL \([0-9]*\).*/\1/p'
}

# The major version that this release of Debian calls "postgresql".
release_version()
{
	apt-cache depends postgresql 2>/dev/null |
		sed -n 's/^ *Depends: postgresql-\([0-9][0-9]*\)$/\1/p' | head -n 1
}

is_installed()
{
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# What a test uses where it is there, and not every release has.
optional_packages()
{
	local package=postgresql-$1-pgvector

	! apt-cache show "$package" >/dev/null 2>&1 || echo "$package"
}

list_missing()
{
	local package

	for package in "$@"; do
		is_installed "$package" || echo "$package"
	done
}

server_packages()
{
	echo "postgresql-$1" "postgresql-server-dev-$1" "postgresql-$1-pgtap"
}

# With this file in place Debian's packages do not make a cluster "main".
without_main_cluster()
{
	local folder=/etc/postgresql-common/createcluster.d file

	file=$folder/llama2-packages.conf
	mkdir -p "$folder"
	trap 'rm -f "$file"; rmdir "$folder" 2>/dev/null || true' RETURN
	echo "create_main_cluster = false" >"$file"
	"$@"
}

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	echo "This is not Debian: install the packages that README.md lists under Dependencies yourself."
	exit 0
fi

packages="gcc make libc6-dev perl libopenblas-openmp-dev libkrb5-dev libssl-dev
	libzip-dev libjansson-dev libprotobuf-c-dev protobuf-c-compiler
	libipc-run-perl libtap-parser-sourcehandler-pgtap-perl"
version=$(existing_version)
if [ -z "$version" ]; then
	if [ "$(id -u)" -eq 0 ] && [ -z "$(release_version)" ]; then
		apt-get update -qq
	fi
	version=$(release_version)
	packages="$packages $(server_packages "${version:-15}")"
elif is_installed "postgresql-server-dev-$version"; then
	packages="$packages $(server_packages "$version")"
fi

if [ "$(id -u)" -eq 0 ] && [ -n "$version" ]; then
	packages="$packages $(optional_packages "$version")"
fi

missing=$(list_missing $packages)
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
	echo "Some packages are missing, and only root can install them:"
	echo "    sudo apt-get install" $missing
	exit 1
fi
echo "Installing" $missing
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { apt-get update && without_main_cluster apt-get install -y --no-install-recommends $missing; } \
	>"$log" 2>&1 </dev/null; then
	cat "$log"
	exit 1
fi
