# What a reload changes of an engine that runs: what its parameters say, as far as llama2.memory_limit has room.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Llama2Server;
use PostgreSQL::Test::Utils;
use RawClient;
use Test::More;

my $node = llama2_server('reload', 'llama2.kv_cache_size' => '16MB', 'llama2.context_length' => 256);
my $client = RawClient->new($node);

sub cached { return $client->value(q{SELECT cached_tokens FROM llama2_complete(repeat('word ', 100), max_tokens => 1)}) }

sub keys_and_values { return $client->value('SELECT kv_cache_bytes FROM llama2_status') }

is(cached(), 0, 'a first prompt finds nothing in the cache');
cmp_ok(cached(), '>', 0, 'the next one its beginning');
set_parameters($client, 'llama2.job_retries' => 3);
cmp_ok(cached(), '>', 0, 'so it does after a reload that does not concern the engine');

my $small = keys_and_values();
my $limit = int($client->value(q{SELECT total_bytes FROM llama2_memory_plan('tinychat-6m')}) / 1024 / 1024) + 1;
set_parameters($client, 'llama2.memory_limit' => "${limit}MB", 'llama2.kv_cache_size' => '64MB');
is(keys_and_values(), $small, 'a cache stays as large as it is where the limit has no room for more');
is($client->value('SELECT settings.setting FROM pg_settings AS settings WHERE name = \'llama2.kv_cache_size\''), 64, 'whatever the parameter says');
cached();
cmp_ok(cached(), '>', 0, 'it is filled again');
set_parameters($client, 'llama2.job_retries' => 4);
cmp_ok(cached(), '>', 0, 'and kept by reloads that do not concern it');

set_parameters($client, 'llama2.memory_limit' => 0);
cmp_ok(keys_and_values(), '>', 3 * $small, 'it grows when there is room');

# What a model cannot have leaves it as it is
set_parameters($client, 'llama2.kv_cache_size' => '16MB');
my $engine = q{SELECT concat_ws(' ', state, worker_pid, threads, kv_cache_bytes, activation_bytes) FROM llama2_status};
my $before = $client->value($engine);
my $pid = $client->value('SELECT worker_pid FROM llama2_status');
set_parameters($client, 'llama2.memory_limit' => "${limit}MB", 'llama2.max_batch' => 512, 'llama2.threads' => 64);
is($client->value($engine), $before, 'more sequences and threads than the limit has room for');
is($client->value('SELECT weight_bytes + kv_cache_bytes + activation_bytes <= memory_bytes AND memory_bytes <= pg_size_bytes(current_setting($$llama2.memory_limit$$)) FROM llama2_status'),
	't', 'so that it takes what it has claimed');
set_parameters($client, 'llama2.memory_limit' => 0, 'llama2.max_batch' => 32, 'llama2.threads' => 0, 'llama2.kv_cache_size' => 4 * system_megabytes() . 'MB');
is($client->value($engine), $before, 'a cache larger than the memory of the system');
set_parameters($client, 'llama2.kv_cache_size' => '1MB', 'llama2.context_length' => 100_000);
is($client->value($engine), $before, 'a cache that is too small for one context');
like(slurp_file($node->logfile), qr/llama2 model "tinychat-6m" goes on with the parameters that it has: /, 'the log says so');
set_parameters($client, 'llama2.kv_cache_size' => '64MB', 'llama2.context_length' => 256, 'llama2.threads' => 5);
is($client->value('SELECT concat_ws($$ $$, worker_pid, threads) FROM llama2_status'), "$pid 5", 'what it can have it gets');
SKIP:
{
	skip 'needs /proc', 1 unless -d "/proc/$pid/task";
	my @unblocked = grep { $_ ne $pid && !signals_are_blocked("/proc/$pid/task/$_/status") } map { m{(\d+)$} } glob("/proc/$pid/task/*");
	is("@unblocked", '', 'and no signal reaches a thread that came with it');
}

$node->stop;
done_testing();

sub system_megabytes
{
	my ($kilobytes) = -r '/proc/meminfo' ? slurp_file('/proc/meminfo') =~ /^MemTotal:\s*(\d+)/ : ();

	return int(($kilobytes // 1 << 30) / 1024);
}

# PostgreSQL handles SIGHUP (1), SIGUSR1 (10) and SIGTERM (15).
sub signals_are_blocked
{
	my ($file) = @_;
	open(my $status, '<', $file) or return 1;
	my ($mask) = map { /^SigBlk:\s*(\S+)/ ? hex($1) : () } <$status>;
	my $handled = 1 << 0 | 1 << 9 | 1 << 14;

	return ($mask & $handled) == $handled;
}
