# Every way out of a request, in every phase, frees its slot and leaves other
# requests' texts as they are.  By default a small model with slow kernels; LLAMA2_TEST_MODEL
# names a larger model file to do the same with, LLAMA2_TEST_LIMIT_MS the time a slot may take to come free.

use strict;
use warnings;

use File::Basename;
use File::Copy;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Llama2Server;
use PostgreSQL::Test::Utils;
use RawClient;
use Test::More;
use Time::HiRes qw(sleep time);

my $limit_ms = $ENV{LLAMA2_TEST_LIMIT_MS} // 3000;
my %settings = ('llama2.max_batch' => 4);

if (my $file = $ENV{LLAMA2_TEST_MODEL})
{
	my $folder = PostgreSQL::Test::Utils::tempdir();
	symlink $file, "$folder/large.gguf" or die "could not link $file: $!";
	%settings = (%settings, 'llama2.model' => 'large', 'llama2.model_directory' => $folder);
}
else
{
	%settings = (%settings, 'llama2.kernels' => 'generic', 'llama2.threads' => 1);
}
my $node = llama2_server('cancel', %settings);
my $watcher = RawClient->new($node);
$watcher->query(q{SELECT llama2_count_tokens('wait for the model')});

my $long_prompt = join ' ', ('The cat sat on the mat and looked at the dog.') x ($ENV{LLAMA2_TEST_MODEL} ? 70 : 30);
my $witness_sql = q{SELECT llama2_generate('Once upon a time', seed => 7, max_tokens => 24)};
my $witness_text = $watcher->query($witness_sql)->[0][0];
my %query = (
	queued => q{SELECT llama2_generate('Once upon a time', max_tokens => 400, options => '{"ignore_eos": true}')},
	prefill => qq{SELECT llama2_generate('NUMBER. $long_prompt', max_tokens => 400, options => '{"ignore_eos": true}')},
	decode => q{SELECT llama2_generate('Once upon a time', max_tokens => 400, options => '{"ignore_eos": true}')});
my %stream = map { $_ => $query{$_} =~ s/llama2_generate/llama2_generate_stream/r } keys %query;
my @largest = (0, '');
my $number = 0;

# A prompt of its own for each, which no request before has left in the prefix cache.
sub numbered
{
	my ($sql) = @_;
	$number++;
	return $sql =~ s/NUMBER/$number/r;
}

# Wait until the view shows the request of this session in this phase.
sub wait_for_phase
{
	my ($pid, $phase) = @_;
	my $deadline = time() + 120;

	while (time() < $deadline)
	{
		my $rows = $watcher->query("SELECT state FROM llama2_requests WHERE pid = $pid");
		return 1 if @$rows && ($rows->[0][0] eq $phase || ($phase eq 'queued' && $rows->[0][0] eq 'waiting'));
		return 0 if @$rows && $rows->[0][0] eq 'done';
		sleep 0.002;
	}
	return 0;
}

# Milliseconds until no request of this session is left, and its slot with it.
sub time_until_free
{
	my ($pid, $start) = @_;
	my $deadline = time() + 60;

	while (time() < $deadline)
	{
		return 1000 * (time() - $start)
		  unless @{ $watcher->query("SELECT 1 FROM llama2_requests WHERE pid = $pid") };
		sleep 0.002;
	}
	return 60000;
}

my %way = (
	'pg_cancel_backend' => sub { my $pid = $_[0]->pid; $watcher->query("SELECT pg_cancel_backend($pid)") },
	'pg_terminate_backend' => sub { my $pid = $_[0]->pid; $watcher->query("SELECT pg_terminate_backend($pid)") },
	'closed connection' => sub { $_[0]->vanish });

for my $phase (qw(queued prefill decode))
{
	for my $name (sort(keys %way), 'statement_timeout', 'LIMIT 1', 'closed cursor', 'savepoint')
	{
		my @blockers;
		my $client = RawClient->new($node);
		my $witness = RawClient->new($node);
		my $start;

		# A queued request is one that finds the batch full.
		if ($phase eq 'queued')
		{
			next if $name =~ /LIMIT|cursor|savepoint/;
			@blockers = map { RawClient->new($node) } 1 .. 4;
			$_->send_query($query{decode}) for @blockers;
			wait_for_phase($_->pid, 'decode') for @blockers;
		}
		$witness->send_query($witness_sql);

		if (my $act = $way{$name})
		{
			$client->send_query(numbered($query{$phase}));
			ok(wait_for_phase($client->pid, $phase), "$name: the request is in $phase");
			$start = time();
			$act->($client);
		}
		elsif ($name eq 'statement_timeout')
		{
			$client->query('SET statement_timeout = 400');
			$client->send_query(numbered($phase eq 'prefill' ? $query{$phase} : $query{decode}));
			my $row = $client->next_row;
			$start = time();
			is($row->{sqlstate}, '57014', "$name in $phase");
		}
		elsif ($name eq 'LIMIT 1')
		{
			$client->send_query(numbered($stream{$phase}) . ' LIMIT 1');
			1 while defined $client->next_row;
			$start = time();
			pass("$name in $phase");
		}
		elsif ($name eq 'closed cursor')
		{
			$client->query('BEGIN; DECLARE c CURSOR FOR ' . numbered($stream{$phase}));
			$client->query('FETCH 1 FROM c');
			$start = time();
			$client->query('CLOSE c');
			pass("$name in $phase");
		}
		else
		{
			$client->query('BEGIN; SAVEPOINT s; DECLARE c CURSOR FOR ' . numbered($stream{$phase}));
			$client->query('FETCH 1 FROM c');
			$start = time();
			$client->query('ROLLBACK TO s');
			pass("$name in $phase");
		}

		my $ms = time_until_free($client->pid, $start);
		ok($ms < $limit_ms, sprintf '%s in %s: the slot is free after %.0f ms', $name, $phase, $ms);
		@largest = ($ms, "$name in $phase") if $ms > $largest[0];

		for my $blocker (@blockers)
		{
			my $pid = $blocker->pid;
			$watcher->query("SELECT pg_cancel_backend($pid)");
		}
		is($witness->next_row->[0], $witness_text, "$name in $phase: another's text is unchanged");
	}
}

# What asks for many things at once ends as soon.
my %long = (
	embedding => "SELECT llama2_embed(array_agg(n || '. $long_prompt')) FROM generate_series(1, 500) AS n",
	classifying => "SELECT count(llama2_classify(n || '. $long_prompt', ARRAY['a', 'b c', 'd'])) FROM generate_series(1, 500) AS n",
	extracting => q{SELECT count(llama2_extract(n || '. Once', '{"type": "array", "items": {"type": "integer"}, "minItems": 150}', max_tokens => 480)) FROM generate_series(1, 200) AS n},
	'making several texts' => q{SELECT count(*) FROM llama2_complete_n('Once upon a time', 64, max_tokens => 400, options => '{"ignore_eos": true}')});
for my $what (sort keys %long)
{
	for my $name (sort(keys %way), 'statement_timeout')
	{
		my $client = RawClient->new($node);
		my $start;

		if (my $act = $way{$name})
		{
			$client->send_query($long{$what});
			$node->poll_query_until('postgres', 'SELECT EXISTS (SELECT FROM llama2_requests '
				. 'WHERE pid = ' . $client->pid . q{ AND state IN ('prefill', 'decode'))});
			$start = time();
			$act->($client);
		}
		else
		{
			$client->query('SET statement_timeout = 400');
			$client->send_query($long{$what});
			my $row = $client->next_row;
			$start = time();
			is($row->{sqlstate}, '57014', "$name while $what");
		}
		my $ms = time_until_free($client->pid, $start);
		ok($ms < $limit_ms, sprintf '%s while %s: the slots are free after %.0f ms', $name, $what, $ms);
		@largest = ($ms, "$name while $what") if $ms > $largest[0];
	}
}
diag(sprintf 'the longest took %.0f ms: %s', @largest);

is($watcher->query($witness_sql)->[0][0], $witness_text, 'the model still serves');
my $free = $watcher->query('SELECT kv_pages = kv_pages_free, running, queued FROM llama2_status')->[0];
is("@$free", 't 0 0', 'no page, no place and no queue entry is left behind');

$node->stop;
done_testing();
