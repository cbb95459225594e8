# Loading: started with the server, by one of several who wait, broken off, refused; models that leave when
# idle, and files that change.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Copy;
use Llama2Server;
use ModelFile;
use PostgreSQL::Test::Utils;
use RawClient;
use Test::More;
use Time::HiRes qw(sleep time);

my $bundled = ($ENV{LLAMA2_MODELS} // 'models') . '/tinychat-6m.gguf';
my $folder = PostgreSQL::Test::Utils::tempdir();
copy($bundled, "$folder/tinychat-6m.gguf") or die "could not copy $bundled: $!";
copy($bundled, "$folder/Second.one.gguf") or die "could not copy $bundled: $!";
copy($bundled, "$folder/third.gguf") or die "could not copy $bundled: $!";
write_model($bundled, "$folder/large.gguf", 6, 240);

my $node = llama2_server(
	'loading',
	'llama2.model_directory' => $folder,
	'llama2.preload' => 'Second.one, tinychat-6m,third , Second.one, absent',
	'llama2.keep_alive' => '1s',
	'llama2.context_length' => 64,
	'llama2.kv_cache_size' => '64MB',
	'max_worker_processes' => 16);
my $client = RawClient->new($node);

sub one_row
{
	my ($sql) = @_;
	my $rows = $client->query($sql);
	die "$sql: $rows->{error}" if ref $rows eq 'HASH';
	return $rows->[0] // [];
}

sub value { return one_row(@_)->[0] }

sub state_of { return value("SELECT state FROM llama2_models() WHERE name = '$_[0]'") }

sub until_true
{
	my ($condition) = @_;
	my $deadline = time() + 60;

	sleep 0.01 until $condition->() || time() > $deadline;
	return $condition->();
}

sub set
{
	my ($name, $value) = @_;
	$client->query("ALTER SYSTEM SET $name = '$value'");
	$client->query('SELECT pg_reload_conf()');
	until_true(sub { value("SELECT setting FROM pg_settings WHERE name = '$name'") eq $value =~ s/\D*$//r });
	return;
}

# Segments of dynamic shared memory of some size that no process has mapped by the worker's pid
sub segments
{
	my ($pid) = @_;
	return scalar grep { m{ /dev/shm/PostgreSQL\.} } split /\n/, slurp_file("/proc/$pid/maps");
}

# Start a query that needs the large model and stop its worker in the middle of the load.
sub stopped_load
{
	my (@waiters) = @_;

	for (1 .. 50)
	{
		my $deadline = time() + 30;
		my $row;

		$_->send_query(q{SELECT llama2_generate('Once', model => 'large', temperature => 0, max_tokens => 5)}) for @waiters;
		do { $row = one_row(q{SELECT state, worker_pid FROM llama2_status WHERE model = 'large'}) }
		  until (($row->[0] // '') eq 'loading' || ($row->[0] // '') eq 'ready') || time() > $deadline;
		if ($row->[0] eq 'loading' && kill 'STOP', $row->[1])
		{
			return $row->[1] if state_of('large') eq 'loading';
			kill 'CONT', $row->[1];
		}
		answer($_) for @waiters;
		value(q{SELECT llama2_unload('large')});
	}
	die 'no load could be caught';
}

sub answer
{
	my ($waiter) = @_;
	my $row = $waiter->next_row;
	return "$row->{sqlstate} $row->{error}" if ref $row eq 'HASH';
	$waiter->next_row;
	return $row->[0];
}

sub cancel
{
	my ($waiter) = @_;
	value('SELECT pg_cancel_backend(' . $waiter->pid . ')');
	return;
}

# With the server
ok(until_true(sub { value(q{SELECT count(*) FROM llama2_status WHERE state = 'ready'}) == 3 }), 'three models are loaded with the server');
is(value(q{SELECT string_agg(model, ' ' ORDER BY model) FROM llama2_status WHERE state = 'ready'}), 'Second.one third tinychat-6m', 'the default one and those to preload');
ok(until_true(sub { value(q{SELECT error FROM llama2_status WHERE model = 'absent'}) eq 'model "absent" does not exist' }), 'one without a file says so');
is(value('SELECT model_loads FROM llama2_stats'), 3, 'each is loaded once');

# Idle models leave, others stay
my $text = value(q{SELECT llama2_generate('Once', temperature => 0, max_tokens => 5)});
is(value(q{SELECT llama2_generate('Once', model => 'large', temperature => 0, max_tokens => 5)}), $text, 'layers of zeros change nothing');
is(value(q{SELECT last_used > loaded_at FROM llama2_models() WHERE name = 'large'}), 't', 'when it was used last');
ok(until_true(sub { state_of('large') eq 'available' }), 'after keep_alive it is gone');
is(value(q{SELECT count(*) FROM llama2_status WHERE state = 'ready'}), 3, 'those that the server started stay');
is(value('SELECT evictions FROM llama2_stats'), 0, 'that is no eviction');
is(value(q{SELECT llama2_generate('Once', model => 'large', temperature => 0, max_tokens => 5)}), $text, 'it comes back when it is asked for');
set('llama2.keep_alive', '-1');
$client->query('SELECT pg_sleep(1.5)');
is(state_of('large'), 'ready', 'and with -1 it stays');

# A session that has a cursor open over a model that leaves meanwhile
$client->query('BEGIN');
$client->query(q{DECLARE c NO SCROLL CURSOR FOR SELECT llama2_generate('Number ' || n, model => 'large', temperature => 0, max_tokens => 3) FROM generate_series(1, 4) AS n});
my @whole = map { $_->[0] } @{ $client->query(q{SELECT llama2_generate('Number ' || n, temperature => 0, max_tokens => 3) FROM generate_series(1, 4) AS n}) };
my @fetched = (value('FETCH c'));
my $other = RawClient->new($node);
is($other->query(q{SELECT llama2_unload('large')})->[0][0], 't', 'it is unloaded under an open cursor');
push @fetched, map { $_->[0] } @{ $client->query('FETCH ALL FROM c') };
$client->query('COMMIT');
is_deeply(\@fetched, \@whole, 'whose next rows load it again');
value(q{SELECT llama2_unload('large')});

# Several ask at once: one load, and its progress
my @waiters = map { RawClient->new($node) } 1 .. 3;
my $loads = value('SELECT model_loads FROM llama2_stats');
my $pid = stopped_load(@waiters);
my ($state, $done, $all) = @{ one_row(q{SELECT state, bytes_done, file_bytes FROM llama2_models() WHERE name = 'large'}) };
is($state, 'loading', 'the load is under way');
ok($done >= 0 && $done < $all, "llama2_models tells how far it is ($done of $all bytes)");
is(value(q{SELECT memory_bytes FROM llama2_status WHERE model = 'large'}), value(q{SELECT total_bytes FROM llama2_memory_plan('large')}), 'its memory is claimed');
kill 'CONT', $pid;
is_deeply([ map { answer($_) } @waiters ], [ ($text) x 3 ], 'all that wait get their answer');
is(value(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'llama2 worker'}), 4, 'of one worker');
value(q{SELECT llama2_unload('large')});

# Who gives up leaves it to the others; the last one takes it along
$pid = stopped_load(@waiters);
$loads = value('SELECT model_loads FROM llama2_stats');
cancel($waiters[0]);
like(answer($waiters[0]), qr/^57014 /, 'one who waits gives up');
is(state_of('large'), 'loading', 'the load goes on');
cancel($waiters[1]);
answer($waiters[1]);
cancel($waiters[2]);
like(answer($waiters[2]), qr/^57014 /, 'so does the last one');
is(state_of('large'), 'unloading', 'which ends the load');
kill 'CONT', $pid;
ok(until_true(sub { state_of('large') eq 'available' }), 'it is gone');
is(value('SELECT model_loads FROM llama2_stats'), $loads, 'and was never complete');
is(value(q{SELECT count(*) FROM llama2_status WHERE model = 'large'}), 0, 'nothing is left of it');

# Who asks while it is broken off gets it all the same
$pid = stopped_load($waiters[0]);
cancel($waiters[0]);
answer($waiters[0]);
$waiters[1]->send_query(q{SELECT llama2_generate('Once', model => 'large', temperature => 0, max_tokens => 5)});
kill 'CONT', $pid;
is(answer($waiters[1]), $text, 'who comes later is served by another load');
value(q{SELECT llama2_unload('large')});

# A client that is gone is one who gave up.
my $leaver = RawClient->new($node);
$pid = stopped_load($leaver);
value('SELECT pg_terminate_backend(' . $leaver->pid . ')');
ok(until_true(sub { state_of('large') ne 'loading' }), 'a session that is ended takes its load along');
kill 'CONT', $pid;
ok(until_true(sub { state_of('large') eq 'available' }), 'likewise');

# llama2_unload of a load
$pid = stopped_load(@waiters);
my $unloader = RawClient->new($node);
$unloader->send_query(q{SELECT llama2_unload('large')});
until_true(sub { state_of('large') eq 'unloading' });
kill 'CONT', $pid;
is(answer($unloader), 't', 'a load can be unloaded');
is(answer($_), '57014 loading model "large" was cancelled', 'who waits is told') for @waiters;
is(value(q{SELECT error FROM llama2_models() WHERE name = 'large'}), 'loading model "large" was cancelled', 'and llama2_models says so');
is(value(q{SELECT llama2_load('large')}), '', 'the next one loads it');
value(q{SELECT llama2_unload('large')});

# The worker ends in the middle of a load
$pid = stopped_load(@waiters);
kill 'TERM', $pid;
kill 'CONT', $pid;
is_deeply([ map { answer($_) } @waiters ], [ ($text) x 3 ], 'a worker that is terminated in a load starts again, and all are served');
isnt(value(q{SELECT worker_pid FROM llama2_status WHERE model = 'large'}), $pid, 'by another process');
$pid = value(q{SELECT worker_pid FROM llama2_status WHERE model = 'large'});
my $mapped = segments($pid);
value(q{SELECT llama2_unload('large')});
value(q{SELECT llama2_load('large')});
is(segments(value(q{SELECT worker_pid FROM llama2_status WHERE model = 'large'})), $mapped, 'and no segment is left from the load that was broken off');
value(q{SELECT llama2_unload('large')});

# Its file changes
value(q{SELECT llama2_load('third')});
is_deeply([ $client->warnings ], [], 'a file as it was');
is(value(q{SELECT file_changed FROM llama2_models() WHERE name = 'third'}), 'f', 'llama2_models says so');
is(value(q{SELECT file_changed FROM llama2_models() WHERE name = 'large'}), undef, 'and nothing of what is not loaded');
my $before = value(q{SELECT llama2_generate('Once', model => 'third', temperature => 0, max_tokens => 5)});
write_model($bundled, "$folder/third.gguf", 2, 1);
is(value(q{SELECT file_changed FROM llama2_models() WHERE name = 'third'}), 't', 'another file is noticed');
value(q{SELECT llama2_load('third')});
is_deeply([ $client->warnings ], ['the file of model "third" has changed since it was loaded'], 'and llama2_load warns');
my $fresh = RawClient->new($node);
is($fresh->query(q{SELECT llama2_generate('Once', model => 'third', temperature => 0, max_tokens => 5)})->[0][0], $before, 'answers are those of what was loaded');
is_deeply([ $fresh->warnings ], ['the file of model "third" has changed since it was loaded'], 'and each session is told');
$fresh->query(q{SELECT llama2_generate('Once', model => 'third', temperature => 0, max_tokens => 5)});
is_deeply([ $fresh->warnings ], [], 'once');
value(q{SELECT llama2_unload('third')});
isnt(value(q{SELECT llama2_generate('Once', model => 'third', temperature => 0, max_tokens => 5)}), $before, 'loaded anew it is the new one');
is_deeply([ $client->warnings ], [], 'without a warning');
is($fresh->query(q{SELECT llama2_tokenize('Once', 'third')})->[0][0], value(q{SELECT llama2_tokenize('Once')}), 'sessions go on with it');

# Refusals have the numbers, and what to change
my $total = value(q{SELECT (total_bytes + 1048575) / 1048576 FROM llama2_memory_plan('large')});
set('llama2.memory_limit', '100MB');
my $error = $client->query(q{SELECT llama2_load('large')});
is("$error->{sqlstate} $error->{error}", qq{53400 model "large" needs $total MB of memory, but "llama2.memory_limit" is 100 MB}, 'a limit that is too low');
like($error->{detail}, qr/^Weights and vocabulary take \d+ MB, keys and values \d+ MB, activations \d+ MB, with a context of 64 tokens\.$/, 'what takes it');
like($error->{hint}, qr/^Increase "llama2.memory_limit", lower "llama2.kv_cache_size" or .* smaller type\.$/, 'and what to do');
is_deeply(one_row(q{SELECT fits, problem FROM llama2_memory_plan('large')}), [ 'f', "$error->{error}. $error->{hint}" ], 'the plan says it beforehand');
is(value(q{SELECT limit_bytes FROM llama2_memory_plan()}), 100 * 1024 * 1024, 'beside the limit');
is(value(q{SELECT fits FROM llama2_memory_plan()}), 't', 'the default model fits');
is(value(q{SELECT llama2_generate('Once', temperature => 0, max_tokens => 5)}), $text, 'and still serves');
set('llama2.memory_limit', '0');
set('llama2.kv_cache_size', '2000000MB');
$error = $client->query(q{SELECT llama2_load('large')});
like($error->{error}, qr/^model "large" needs 2000\d\d\d MB of memory, but the system has only \d+ MB available$/, 'a system that is too small');
is($error->{sqlstate}, '53200', 'is out of memory');
like($error->{hint}, qr/^Lower "llama2.kv_cache_size" or /, 'with a hint');
is(value(q{SELECT fits FROM llama2_memory_plan('large')}), 'f', 'the plan says it beforehand');
set('llama2.kv_cache_size', '1MB');
$error = $client->query(q{SELECT llama2_load('large')});
like($error->{error}, qr/^could not load model "large": a key\/value cache of 1048576 bytes cannot hold one context of 64 tokens, which takes \d+ bytes$/,
	'a cache that is too small for one context');
is_deeply(one_row(q{SELECT fits, total_bytes, problem FROM llama2_memory_plan('large')}), [ 'f', undef, "$error->{error}. $error->{hint}" ], 'has no plan');
set('llama2.kv_cache_size', '0');
is(value(q{SELECT kv_cache_bytes > 1000000000 AND kv_cache_bytes <= 1024 * 1024 * 1024 AND fits FROM llama2_memory_plan('large')}), 't', '0 is a gigabyte');
set('llama2.context_length', '16384');
is(value(q{SELECT kv_cache_bytes / 1024 / 1024 FROM llama2_memory_plan('large')}), 1968, 'or one context where that takes more');
set('llama2.context_length', '64');
is(($client->query(q{SELECT llama2_memory_plan('nowhere')}))->{sqlstate}, '58P01', 'a plan of nothing');
is(($client->query(q{SELECT llama2_memory_plan('../x')}))->{sqlstate}, '22023', 'or of what is no name');

# Killed in the middle of a load, the server starts anew, as after any crash
$client->query('ALTER SYSTEM RESET ALL');
$client->query('SELECT pg_reload_conf()');
until_true(sub { value('SHOW llama2.kv_cache_size') eq '64MB' });
$node->append_conf('postgresql.conf', 'restart_after_crash = on');
$node->restart;
$client = RawClient->new($node);
my $killed = RawClient->new($node);
$pid = stopped_load($killed);
kill 'KILL', $pid;
answer($killed);
$node->poll_query_until('postgres', 'SELECT true') or die 'the server did not come back';
$client = RawClient->new($node);
is(value(q{SELECT llama2_generate('Once', model => 'large', temperature => 0, max_tokens => 5)}), $text, 'after a crash in a load all is loaded again');

# More to preload than there is room for: the first stays, and who asks for another has it.
$client->query(q{ALTER SYSTEM SET llama2.preload = 'third, Second.one'});
$client->query(q{ALTER SYSTEM SET llama2.memory_limit = '100MB'});
$node->restart;
$client = RawClient->new($node);
ok(until_true(sub { value(q{SELECT count(*) FILTER (WHERE state = 'ready') = 1 AND count(*) FILTER (WHERE state = 'failed') = 2 FROM llama2_status}) eq 't' }),
	'of three models that the server starts one fits');
my ($first, $refused) = map { value("SELECT min(model) FROM llama2_status WHERE state = '$_'") } qw(ready failed);
like(value("SELECT error FROM llama2_status WHERE model = '$refused'"),
	qr/^model "$refused" needs \d+ MB of memory, but models that stay have \d+ MB of the 100 MB of "llama2.memory_limit"$/, 'the others do not push it out');
is(value("SELECT llama2_count_tokens('Once', '$refused')"), 1, 'who asks for one of them waits for it');
is(state_of($first), 'available', 'and it takes the place of the first');

# Names that cannot be
$client->query('ALTER SYSTEM RESET ALL');
$node->stop;
$node->append_conf('postgresql.conf', "llama2.preload = 'tinychat-6m, ../x'");
$node->start;
like(slurp_file($node->logfile), qr/invalid value for parameter "llama2.preload".*\n.*"..\/x" is no model's name/, 'a wrong name to preload is told in the log');
$node->stop;

done_testing();
