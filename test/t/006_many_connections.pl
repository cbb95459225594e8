# Fifty sessions at once: one copy of the weights, little memory in each
# backend, the same answers as alone, and a queue that is bounded.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Llama2Server;
use PostgreSQL::Test::Utils;
use RawClient;
use Test::More;
use Time::HiRes qw(usleep);

plan skip_all => 'needs /proc' unless -r '/proc/self/smaps_rollup';

my $n_clients = 50;
my $node = llama2_server('many', max_connections => 70, 'llama2.max_requests' => 8);
my $watcher = RawClient->new($node);

sub question
{
	my ($n) = @_;
	return "SELECT llama2_generate('Number $n', seed => $n, temperature => 1, max_tokens => 16)";
}

my @alone = map { $watcher->query(question($_))->[0][0] } 1 .. $n_clients;
my @clients = map { RawClient->new($node) } 1 .. $n_clients;
$_->query('SELECT 1 + 1') for @clients;
my @before = map { private_kilobytes($_->pid) } @clients;

$watcher->query('SELECT llama2_stats_reset()');
$clients[ $_ - 1 ]->send_query(question($_)) for 1 .. $n_clients;
my $most = 0;
for (1 .. 20)
{
	my $count = $watcher->query('SELECT count(*) FROM llama2_requests')->[0][0];
	$most = $count if $count > $most;
}
my @together = map { answer($_) } @clients;

is_deeply(\@together, \@alone, 'every session gets the answer that it would get alone');
ok($most <= 8, "no more than llama2.max_requests were queued or running ($most)");
is("@{ $watcher->query('SELECT requests, completed, failed, cancelled FROM llama2_stats')->[0] }", '50 50 0 0', 'all were completed');
my $batch = $watcher->query('SELECT mean_batch FROM llama2_stats')->[0][0];
ok($batch > 1.5, "they were computed together, $batch in a step");

# Memory
my @growth = map { private_kilobytes($clients[$_]->pid) - $before[$_] } 0 .. $#clients;
my ($largest) = sort { $b <=> $a } @growth;
ok($largest < 10 * 1024, "no backend's own memory has grown by more than 10 MB (at most $largest kB)");

my ($weight_bytes) = @{ $watcher->query('SELECT weight_bytes FROM llama2_status')->[0] };
my %segments;
for my $process ((map { $_->pid } @clients), $watcher->query('SELECT worker_pid FROM llama2_status')->[0][0])
{
	for my $line (split /\n/, slurp_file("/proc/$process/maps"))
	{
		next unless $line =~ m{^([0-9a-f]+)-([0-9a-f]+) .* (/dev/shm/PostgreSQL\.\S+)};
		my $bytes = hex($2) - hex($1);
		$segments{$3}{bytes} = $bytes;
		$segments{$3}{processes}{$process} = 1;
	}
}
my @weights = grep { $segments{$_}{bytes} >= $weight_bytes } keys %segments;
SKIP:
{
	skip 'dynamic shared memory is not in /dev/shm', 2 unless %segments;
	is(scalar @weights, 1, 'the weights are in memory once');
	is(scalar keys %{ $segments{ $weights[0] }{processes} }, 1, 'and only the worker maps them');
}

# Again, each session with more prompts at once than there are slots
my $array = 'SELECT llama2_generate(array_agg($$Number $$ || n), seed => 5, max_tokens => 3) FROM generate_series(1, 12) AS n';
my $array_alone = $watcher->query($array)->[0][0];
$_->send_query($array) for @clients[ 0 .. 5 ];
is_deeply([ map { answer($_) } @clients[ 0 .. 5 ] ], [ ($array_alone) x 6 ], 'arrays that exceed the queue wait for one another');

# and streams, beside one another
$clients[ $_ - 1 ]->send_query(question($_) =~ s/llama2_generate\((.*)\)/string_agg(token, '' ORDER BY seq) FROM llama2_generate_stream($1)/r)
  for 1 .. 20;
is_deeply([ map { answer($_) } @clients[ 0 .. 19 ] ], [ @alone[ 0 .. 19 ] ], 'streams');

# Sessions that vanish while they wait for a place leave it to others.
$clients[ $_ - 1 ]->send_query(question($_)) for 1 .. 40;
$_->vanish for @clients[ 0 .. 19 ];
is_deeply([ map { answer($_) } @clients[ 20 .. 39 ] ], [ @alone[ 20 .. 39 ] ], 'when half of the sessions vanish, the others are answered');
is($watcher->query($array)->[0][0], $array_alone, 'and every place is free again');

# Streams that nobody reads hold their places only while they run.
my $stream = q{SELECT (llama2_generate_stream('Once upon a time', max_tokens => 100, temperature => 0, options => '{"ignore_eos": true}')).token};
my $streamed = join '', map { $_->[0] } @{ $watcher->query($stream) };
my @read;
for my $session (@clients[ 20, 21 ])
{
	$session->query('BEGIN');
	for my $n (1 .. 4)
	{
		$session->query("DECLARE s$n CURSOR FOR $stream");
		push @read, $session->query("FETCH 1 FROM s$n")->[0][0];
	}
}
is($watcher->query('SELECT count(*) FROM llama2_requests')->[0][0], 6, 'two sessions hold all places but a quarter with streams');
$clients[22]->send_query(question(3));
is(answer($clients[22]), $alone[2], 'which is for who holds none');
$_->send_query(question(1)) for @clients[ 20, 21 ];
is_deeply([ map { answer($_) } @clients[ 20, 21 ] ], [ ($alone[0]) x 2 ], 'both go on when a stream is done');
for my $session (@clients[ 20, 21 ])
{
	for my $n (1 .. 4)
	{
		is(join('', shift @read, map { $_->[0] } @{ $session->query("FETCH ALL FROM s$n") }), $streamed, "stream $n is whole");
	}
	$session->query('COMMIT');
}

# Who keeps the queue full does not make others wait for all of it, even where one request runs at a time.
$watcher->query('ALTER SYSTEM SET llama2.max_batch = 1');
$watcher->query(q{SELECT pg_reload_conf(), pg_sleep(0.3), llama2_generate('x', max_tokens => 1)});
my ($greedy, $late) = @clients[ 20, 21 ];
my ($worker) = @{ $watcher->query('SELECT worker_pid FROM llama2_status')->[0] };
kill 'STOP', $worker;
$greedy->send_query(q{SELECT llama2_generate(array_agg('Once upon a time ' || n), max_tokens => 400, options => '{"ignore_eos": true}') FROM generate_series(1, 4) n});
wait_for_requests(4);
$late->send_query(sprintf q{WITH late AS MATERIALIZED (SELECT llama2_generate('x', max_tokens => 1) AS text)
	SELECT count(*) FROM late, llama2_requests WHERE text IS NOT NULL AND pid = %d}, $greedy->pid);
wait_for_requests(5);
kill 'CONT', $worker;
cmp_ok(answer($late), '>=', 2, 'a request does not wait for all that another session has queued before');
$greedy->query('SELECT 1');

$node->stop;
done_testing();

sub wait_for_requests
{
	my ($number) = @_;

	for (1 .. 600)
	{
		return if $watcher->query('SELECT count(*) FROM llama2_requests')->[0][0] == $number;
		usleep(100_000);
	}
	die "there are never $number requests";
}

sub answer
{
	my ($client) = @_;
	my $row = $client->next_row;
	return $row->{error} if ref $row eq 'HASH';
	$client->next_row;
	return $row->[0];
}

# Memory that is this process's alone.
sub private_kilobytes
{
	my ($pid) = @_;
	my $sum = 0;

	$sum += $_ for slurp_file("/proc/$pid/smaps_rollup") =~ /^Private_(?:Clean|Dirty):\s+(\d+) kB/mg;
	return $sum;
}
