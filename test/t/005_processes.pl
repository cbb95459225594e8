# Who loads what: OpenMP, BLAS and threads are the worker's alone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Llama2Server;
use PostgreSQL::Test::Utils;
use RawClient;
use Test::More;

plan skip_all => 'needs /proc' unless -r '/proc/self/maps';

my $engine = qr/llama2_engine|libgomp|libopenblas|libblas/;
my $node = llama2_server('processes', 'llama2.threads' => 2);
my $client = RawClient->new($node);
my $folder = $client->query(q{SELECT setting FROM pg_config WHERE name = 'PKGLIBDIR'})->[0][0];

# What the files need
my ($linked) = run_command([ 'ldd', "$folder/llama2.so" ]);
unlike($linked, $engine, 'llama2.so is linked with neither OpenMP nor BLAS');
unlike($linked, qr/pthread(?!.*libc)/, 'nor with threads');
($linked) = run_command([ 'ldd', "$folder/llama2_engine.so" ]);
like($linked, qr/libgomp/, 'llama2_engine.so is linked with OpenMP');
like($linked, qr/libopenblas/, 'and OpenBLAS');

# What the processes have
is($client->query(q{SELECT llama2_chat('What is PostgreSQL?', temperature => 0)})->[0][0],
	'PostgreSQL is a database that stores data in tables.', 'a backend generates');
$client->query(q{SELECT llama2_perplexity('Once upon a time'), llama2_tokenize('Once')});
my ($worker, $threads) = @{ $client->query('SELECT worker_pid, threads FROM llama2_status')->[0] };
my $postmaster = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];

for my $process ([ 'the postmaster', $postmaster ], [ 'a backend that has generated', $client->pid ])
{
	my ($name, $pid) = @$process;
	is(n_threads($pid), 1, "$name has one thread");
	like(slurp_file("/proc/$pid/maps"), qr/llama2\.so/, "$name has llama2.so");
	unlike(slurp_file("/proc/$pid/maps"), $engine, "$name has none of the engine");
}
is($threads, 2, 'the worker was asked for two threads');
is(n_threads($worker), 2, 'and has two, no pool of another library beside them');
like(slurp_file("/proc/$worker/maps"), qr/$_/, "the worker has $_") for qw(llama2_engine libgomp libopenblas);

# Signals are the main thread's: the others block them all.
my @blocked = map { signals_blocked($worker, $_) } grep { $_ != $worker } threads_of($worker);
is(scalar(grep { $_ } @blocked), 1, 'the worker\'s other thread blocks the signals that PostgreSQL uses');
ok(!signals_blocked($worker, $worker), 'and its main thread does not');

# Everything that is not the worker is as it would be without the extension.
my $others = $client->query(q{SELECT pid, backend_type FROM pg_stat_activity WHERE backend_type <> 'llama2 worker'});
for my $row (@$others)
{
	is(n_threads($row->[0]), 1, "one thread: $row->[1]");
}

# The worker is not connected to a database, and so hinders nobody.
$client->query('CREATE DATABASE other');
$client->query('DROP DATABASE other');
is($client->query(q{SELECT count(*) FROM pg_database WHERE datname = 'other'})->[0][0], 0, 'a database can be dropped');
is($client->query(q{SELECT datid FROM pg_stat_activity WHERE backend_type = 'llama2 worker'})->[0][0], undef, 'the worker is connected to none');

# Niceness
$node->append_conf('postgresql.conf', 'llama2.nice = 7');
$node->restart;
$client = RawClient->new($node);
$client->query(q{SELECT llama2_count_tokens('wait for the model')});
$worker = $client->query('SELECT worker_pid FROM llama2_status')->[0][0];
is((split ' ', slurp_file("/proc/$worker/stat") =~ s/^.*\) //sr)[16], 7, 'llama2.nice is the worker\'s niceness');
SKIP:
{
	skip 'no groups by session', 1 unless -r "/proc/$worker/autogroup" && slurp_file('/proc/sys/kernel/sched_autogroup_enabled') == 1;
	like(slurp_file("/proc/$worker/autogroup"), qr/nice 7$/, 'its session\'s, too');
}
my $job = $client->query(q{SELECT llama2_submit('Once', max_tokens => 1)})->[0][0];
is($client->query("SELECT llama2_result($job, '1 min') IS NOT NULL")->[0][0], 't', 'a job is done');
my $job_worker = $client->query(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'llama2 job worker'})->[0][0];
is((split ' ', slurp_file("/proc/$job_worker/stat") =~ s/^.*\) //sr)[16], 7, 'and that of the worker of jobs');
is((split ' ', slurp_file('/proc/' . $client->pid . '/stat') =~ s/^.*\) //sr)[16], 0, 'and no backend\'s');

$node->stop;
done_testing();

sub threads_of
{
	my ($pid) = @_;
	return map { m{/(\d+)$} } glob "/proc/$pid/task/*";
}

sub n_threads
{
	my ($pid) = @_;
	return scalar(my @threads = threads_of($pid));
}

# Does a thread block SIGHUP (1), SIGUSR1 (10), SIGUSR2 (12) and SIGTERM (15)?
sub signals_blocked
{
	my ($pid, $thread) = @_;
	my ($mask) = slurp_file("/proc/$pid/task/$thread/status") =~ /^SigBlk:\s*([0-9a-f]+)/m;
	my $needed = 0;

	$needed |= 1 << ($_ - 1) for 1, 10, 12, 15;
	return (hex(substr $mask, -8) & $needed) == $needed;
}
