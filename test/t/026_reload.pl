# What a reload changes of an engine that runs: what its parameters say, as far as llama2.memory_limit has room.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Llama2Server;
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

$node->stop;
done_testing();
