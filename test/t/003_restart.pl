# The worker ends: requests in flight fail with a clear error, the next one
# is answered by the worker that the postmaster starts again, from weights that stayed in memory.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Llama2Server;
use RawClient;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = llama2_server(
	'restart',
	'llama2.kernels' => 'generic',
	'llama2.threads' => 1,
	'llama2.max_batch' => 2,
	'restart_after_crash' => 'on');
my $client = RawClient->new($node);
my $sql = q{SELECT llama2_generate('Once upon a time', temperature => 0, max_tokens => 20)};
my $text = $client->query($sql)->[0][0];
my $endless = q{SELECT llama2_generate('Once', max_tokens => 500, options => '{"ignore_eos": true}')};

sub worker_pid
{
	return $client->query('SELECT worker_pid FROM llama2_status')->[0][0];
}

ok(length $text, 'the worker serves');
is($client->query(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'llama2 worker'})->[0][0],
	1, 'and is seen in pg_stat_activity');

my @running = map { RawClient->new($node) } 1 .. 2;
my $queued = RawClient->new($node);
$_->send_query($endless) for @running;
sleep 0.05 until $client->query(q{SELECT count(*) FROM llama2_requests WHERE state = 'decode'})->[0][0] == 2;
$queued->send_query($sql);
sleep 0.02 until $client->query(q{SELECT count(*) FROM llama2_requests WHERE state = 'queued'})->[0][0] == 1;

my $pid = worker_pid();
my $start = time();
$client->query("SELECT pg_terminate_backend($pid)");
for (@running)
{
	my $row = $_->next_row;
	is($row->{sqlstate}, '57000', "a request in flight fails: $row->{error}");
}
is($client->query($sql)->[0][0], $text, 'the next request gets the same text');
my $elapsed = time() - $start;
ok($elapsed < 2, "within two seconds ($elapsed s)");
is($queued->next_row->[0], $text, 'a request that was queued is served by the new worker');
isnt(worker_pid(), $pid, 'which is another process');
is($client->query('SELECT model_loads FROM llama2_stats')->[0][0], 1, 'the file was read once');

# Again and again, while clients ask
for (1 .. 3)
{
	$pid = worker_pid();
	$client->query("SELECT pg_terminate_backend($pid)") if defined $pid;
	is($client->query($sql)->[0][0], $text, 'terminated and served again');
}

# A worker that is asked to unload
is($client->query(q{SELECT llama2_unload('tinychat-6m')})->[0][0], 't', 'unload');
is($client->query('SELECT count(*) FROM llama2_status')->[0][0], 0, 'nothing is resident');
is($client->query($sql)->[0][0], $text, 'the model is loaded again on demand');
is($client->query('SELECT model_loads FROM llama2_stats')->[0][0], 2, 'by reading the file again');

# Parameters that a reload changes
$node->append_conf('postgresql.conf', "llama2.threads = 2\nllama2.kernels = auto\n");
$node->reload;
sleep 0.05 until $client->query('SELECT threads FROM llama2_status')->[0][0] == 2;
is($client->query($sql)->[0][0], $text, 'the same text with other threads and kernels');

# A crash of the server: shared memory is made anew
my $backend = RawClient->new($node);
kill 'KILL', $backend->pid;
$client->vanish;
$node->poll_query_until('postgres', 'SELECT true') or die 'the server did not come back';
$client = RawClient->new($node);
is($client->query($sql)->[0][0], $text, 'after a crash the model is loaded again');

# The server stops at once although work is going on
$running[0] = RawClient->new($node);
$running[0]->send_query($endless);
sleep 0.2;
$start = time();
$node->stop('fast');
ok(time() - $start < 10, 'a fast shutdown does not wait for answers');

done_testing();
