# Rows inserted by many connections under an asynchronous trigger, while workers are terminated
# and the server is stopped at once and started again: every row gets its summary, once.
#
# LLAMA2_JOB_ROWS sets the number of rows (default 1000).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IPC::Run;
use Llama2Server;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $rows = $ENV{LLAMA2_JOB_ROWS} // 1000;
my $connections = 20;
my $node = llama2_server('jobs', max_connections => 60, restart_after_crash => 'on', 'llama2.job_retry_delay' => '200ms');

$node->safe_psql('postgres', q{
	CREATE TABLE notes (id serial PRIMARY KEY, body text NOT NULL, summary text);
	CREATE TABLE written (id int, summary text);
	CREATE FUNCTION note_written() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN INSERT INTO written VALUES (NEW.id, NEW.summary); RETURN NULL; END';
	CREATE TRIGGER summarize AFTER INSERT OR UPDATE ON notes FOR EACH ROW
		EXECUTE FUNCTION llama2_enrich_async('summary', 'Number {id}: {body}', 'max_tokens=2', 'temperature=0', 'chat=false');
	CREATE TRIGGER note_written AFTER UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION note_written();
});
my $script = $node->basedir . '/insert.sql';
append_to_file($script, "\\set n random(1, 1000000)\nINSERT INTO notes (body) VALUES ('The count is ' || :n || '.');\n");

# pgbench that inserts about this many rows
sub start_inserts
{
	my ($n) = @_;
	my ($out, $err) = ('', '');

	return IPC::Run::start(
		[ 'pgbench', '-n', '-c', $connections, '-j', 2, '-t', int($n / $connections), '-f', $script,
			'-h', $node->host, '-p', $node->port, 'postgres' ],
		'<', \undef, '>', \$out, '2>', \$err);
}

sub value
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', "SELECT $sql");
}

sub terminate
{
	my ($type) = @_;
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = '$type'");
	return;
}

# Both kinds of worker are terminated while rows come in.
my $inserts = start_inserts($rows / 2);
for (1 .. 3)
{
	sleep 0.15;
	terminate('llama2 job worker');
	sleep 0.15;
	terminate('llama2 worker');
}
terminate('llama2 job launcher');
$inserts->finish;
cmp_ok(value('count(*) FROM notes'), '>=', int($rows / 2 / $connections) * $connections, 'rows are inserted');

# The server is stopped at once while rows come in and jobs are running; and its job worker
# is killed, which takes all sessions with it, as the death of any process of the server does.
for my $round (1 .. 3)
{
	my $before = value('count(*) FROM notes');

	$inserts = start_inserts($rows);
	$node->poll_query_until('postgres', "SELECT count(*) > $before FROM notes") or die;
	$node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM llama2_jobs WHERE state = 'running'}) or die;
	if ($round < 3)
	{
		$node->stop('immediate');
		$node->start;
	}
	else
	{
		my $pid = value(q{pid FROM pg_stat_activity WHERE backend_type = 'llama2 job worker'});
		kill 'KILL', $pid;
		sleep 0.1 while kill 0, $pid;
		$node->poll_query_until('postgres', 'SELECT true') or die 'the server did not come back';
	}
	$inserts->kill_kill;
	eval { $inserts->finish };
}
my $left = $rows - value('count(*) FROM notes');
start_inserts($left)->finish if $left > 0;
cmp_ok(value('count(*) FROM notes'), '>=', $rows - $connections, 'after all there are as many rows as wanted');

my $start = time();

# Whoever asks all the time has the jobs give way
my ($unfinished, $changed) = (-1, time());
while ((my $now = value(q{count(*) FROM llama2_jobs WHERE state IN ('queued', 'running')})) != 0)
{
	($unfinished, $changed) = ($now, time()) if $now != $unfinished;
	time() - $changed < $PostgreSQL::Test::Utils::timeout_default or die "$unfinished jobs do not end";
	sleep 0.5;
}
note sprintf '%s rows; the rest of the jobs took %.1f s', value('count(*) FROM notes'), time() - $start;

is(value('count(*) FROM notes WHERE summary IS NULL'), 0, 'every row has its summary');
is(value('count(*) FROM (SELECT id FROM written GROUP BY id HAVING count(*) <> 1) AS s'), 0, 'none was written twice');
is(value('count(*) FROM written') - value('count(*) FROM notes'), 0, 'and as many were written as there are rows');
is(value('count(*) FROM llama2_job'), 0, 'no job is left');
is(value(q{count(*) FROM (SELECT id, body, summary FROM notes ORDER BY id LIMIT 50) AS n
		   WHERE summary <> llama2_generate('Number ' || id || ': ' || body, max_tokens => 2, temperature => 0)}), 0,
	'the summaries are those of their rows');

$node->stop;
done_testing();
