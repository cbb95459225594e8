#!/bin/bash
#
# demo.sh
#	Show the installed llama2 on a private server, which is gone afterwards.
#
#	test/demo.sh

set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. test/private_server.sh

echo "Starting a server of its own ..."
private_server_start
psql -X -q -v ON_ERROR_STOP=1 -c 'CREATE EXTENSION llama2'
private_run psql -X -q -v ON_ERROR_STOP=1 -P pager=off --echo-queries <test/demo.sql
createdb stories
private_run psql -X -q -v ON_ERROR_STOP=1 -P pager=off --echo-all -d stories <sql/stories.sql
echo "The server is stopped and its folder removed.  To go on by hand:"
echo "    test/private_server.sh psql"
