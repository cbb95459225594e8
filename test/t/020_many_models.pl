# Three models under a memory limit that holds two, and connections that ask for all three at random: every
# answer is the right one, the limit holds, and evictions are counted.
#
# LLAMA2_LONG_TESTS=1 takes 20 connections and two minutes.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use List::Util qw(max sum0);
use Llama2Server;
use ModelFile;
use POSIX ();
use PostgreSQL::Test::Utils;
use RawClient;
use Test::More;
use Time::HiRes qw(sleep time);

my ($n_clients, $seconds) = $ENV{LLAMA2_LONG_TESTS} ? (20, 120) : (8, 8);
my $bundled = ($ENV{LLAMA2_MODELS} // 'models') . '/tinychat-6m.gguf';
my $folder = PostgreSQL::Test::Utils::tempdir();
my @models = qw(six five four);

# Different layers, so that each has answers of its own; about the same size.
write_model($bundled, "$folder/six.gguf", 6, 30);
write_model($bundled, "$folder/five.gguf", 5, 31);
write_model($bundled, "$folder/four.gguf", 4, 32);

my $node = llama2_server(
	'many_models',
	'llama2.model_directory' => $folder,
	'llama2.model' => 'six',
	'llama2.context_length' => 128,
	'llama2.kv_cache_size' => '16MB',
	'max_connections' => 50,
	'max_worker_processes' => 12);
my $watcher = RawClient->new($node);

# What each model takes is known before it is loaded.
my %plan = map { $_ => $watcher->value("SELECT total_bytes FROM llama2_memory_plan('$_')") } @models;
my $largest = max(values %plan);
is($watcher->value('SELECT count(*) FROM llama2_status'), 1, 'a plan loads nothing');

my @questions;
for my $model (@models)
{
	for my $n (1 .. 4)
	{
		push @questions, [ $model, "SELECT llama2_generate('Number $n', model => '$model', seed => $n, temperature => 1, max_tokens => 12)" ];
		push @questions, [ $model, "SELECT string_agg(token, '' ORDER BY seq) FROM llama2_generate_stream('Number $n', model => '$model', seed => $n, temperature => 1, max_tokens => 5)" ];
	}
	push @questions, [ $model, "SELECT count(llama2_chat('Say ' || n, model => '$model', temperature => 0, max_tokens => 3)) FROM generate_series(1, 12) AS n" ];
	push @questions, [ $model, "SELECT sum(llama2_count_tokens('Number ' || n, '$model')) FROM generate_series(1, 20) AS n" ];
}
my @alone = map { $watcher->value($_->[1]) } @questions;
isnt($alone[0], $alone[10], 'models have answers of their own');
for my $model (@models)
{
	is($watcher->value("SELECT memory_bytes FROM llama2_status WHERE model = '$model'"), $plan{$model}, "$model takes what its plan says");
}

my $limit = int($largest * 2.5 / 1024 / 1024);
$watcher->query("ALTER SYSTEM SET llama2.memory_limit = '${limit}MB'");
$watcher->query('SELECT pg_reload_conf()');
ok(until_true(sub { memory() <= $limit * 1024 * 1024 }), 'a lower limit sends an idle model away');
is($watcher->value(q{SELECT state FROM llama2_models() WHERE name = 'six'}), 'ready', 'and not the default one');
is($watcher->value('SELECT evictions FROM llama2_stats'), 1, 'which is counted');

my $loads = $watcher->value('SELECT model_loads FROM llama2_stats');
my $ends = time() + $seconds;
my @clients = map { start_client($_, 0 .. $#questions) } 1 .. $n_clients;
my ($most, $most_mapped, $looks) = (0, 0, 0);
while (time() < $ends)
{
	$most = max($most, memory());
	$most_mapped = max($most_mapped, mapped_weights());
	$looks++;
	sleep 0.01;
}

my ($asked, $wrong) = reports(@clients);
my $evictions = $watcher->value('SELECT evictions FROM llama2_stats');
note "$asked questions of $n_clients connections in $seconds s, $evictions evictions";
cmp_ok($asked, '>=', 3 * $n_clients, 'questions were asked');
is($wrong, 0, 'every answer is the right one');
cmp_ok($looks, '>', 10, 'the memory was watched');
cmp_ok($most, '<=', $limit * 1024 * 1024, 'the limit held');
cmp_ok($most, '>', $largest, 'two models fit');
SKIP:
{
	skip 'dynamic shared memory is not in /dev/shm', 1 unless $most_mapped > 0;
	cmp_ok($most_mapped, '<', 3 * $watcher->value(q{SELECT weight_bytes FROM llama2_memory_plan('four')}),
		'and so did the weights that the workers have mapped');
}
cmp_ok($evictions, '>', 3, 'models were evicted');
is($watcher->value('SELECT model_loads FROM llama2_stats') - $loads, $evictions - 1 + n_resident() - 2, 'as often as others were loaded');
is($watcher->value('SELECT count(*) FROM llama2_requests'), 0, 'no request is left');

# Two sessions that never let one model rest, and room for only one: who asks for another gets it all the same
$limit = int($largest * 1.5 / 1024 / 1024);
$watcher->query("ALTER SYSTEM SET llama2.memory_limit = '${limit}MB'");
$watcher->query('SELECT pg_reload_conf()');
until_true(sub { memory() <= $limit * 1024 * 1024 });
$ends = time() + 5;
my @of_five = grep { $questions[$_][0] eq 'five' } 0 .. $#questions;
@clients = map { start_client($_, @of_five) } 1 .. 2;
ok(until_true(sub { $watcher->value(q{SELECT state FROM llama2_models() WHERE name = 'five'}) eq 'ready' }), 'the default model leaves for another where there is no other way');
my ($of_four) = grep { $questions[$_][0] eq 'four' } 0 .. $#questions;
my $asker = RawClient->new($node);
my %seen;
$asker->send_query($questions[$of_four][1]);
$most = 0;
while (!$seen{ready} && time() < $ends + 30)
{
	$seen{ $watcher->value(q{SELECT state FROM llama2_models() WHERE name = 'four'}) } = 1;
	$most = max($most, memory());
	sleep 0.005;
}
ok($seen{waiting}, 'it waits for the busy one');
is($asker->next_row->[0], $alone[$of_four], 'which makes room');
cmp_ok($most, '<=', $limit * 1024 * 1024, 'the limit holds meanwhile');
($asked, $wrong) = reports(@clients);
cmp_ok($asked, '>', 10, 'the two go on');
is($wrong, 0, 'without an error');

$node->stop;
done_testing();

sub memory { return $watcher->value('SELECT sum(memory_bytes) FROM llama2_status') // 0 }

sub n_resident { return $watcher->value(q{SELECT count(*) FROM llama2_status WHERE state IN ('ready', 'unloading')}) }

# Segments of dynamic shared memory in workers' address spaces, as large as weights.
sub mapped_weights
{
	my %bytes;

	for my $row (@{ $watcher->query('SELECT worker_pid FROM llama2_status WHERE worker_pid IS NOT NULL') })
	{
		open(my $maps, '<', "/proc/$row->[0]/maps") or next;
		while (<$maps>)
		{
			$bytes{$3} = hex($2) - hex($1) if m{^([0-9a-f]+)-([0-9a-f]+) .* (/dev/shm/PostgreSQL\.\S+)} && hex($2) - hex($1) > 4e6;
		}
	}
	return sum0(values %bytes);
}

sub until_true
{
	my ($condition) = @_;
	my $deadline = time() + 60;

	sleep 0.02 until $condition->() || time() > $deadline;
	return $condition->();
}

# How many questions such processes asked, and how many answers were wrong.
sub reports
{
	my ($asked, $wrong) = (0, 0);

	for my $client (@_)
	{
		my $report = do { local $/; readline $client->{output} };
		waitpid $client->{pid}, 0;
		my ($n, @bad) = split /\n/, $report;
		$asked += $n;
		$wrong += @bad;
		diag $_ for @bad;
	}
	return ($asked, $wrong);
}

# A process that asks at random until the time is over, and reports how many answers it got and which were wrong.
sub start_client
{
	my ($number, @which) = @_;
	pipe(my $output, my $input) or die "could not make a pipe: $!";
	my $pid = fork() // die "could not fork: $!";

	return { pid => $pid, output => $output } if $pid;
	close $output;
	srand($number);
	my ($n, @bad) = (0);
	eval {
		my $client = RawClient->new($node);
		while (time() < $ends)
		{
			my $which = $which[ rand @which ];
			my $rows = $client->query($questions[$which][1]);
			my $answer = ref $rows eq 'HASH' ? "error: $rows->{error}" : $rows->[0][0];
			$n++;
			push @bad, "$questions[$which][1]: $answer" =~ s/\n/ /gr if $answer ne $alone[$which];
		}
		1;
	} or push @bad, $@ =~ s/\n/ /gr;
	print {$input} join("\n", $n, @bad), "\n";
	close $input;
	POSIX::_exit(0);
}
