# A server that does not preload the library: the extension can be created,
# dumped and dropped, and each function says what to set.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('not_preloaded');
$node->init;
$node->append_conf('postgresql.conf', "llama2.threads = 2\nllama2.model = 'tinychat-6m'\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION llama2');

my @calls = (
	q{llama2_generate('Once')}, q{llama2_generate(ARRAY['Once'])}, q{llama2_chat('Hello')},
	q{llama2_chat('[{"role": "user", "content": "Hello"}]'::jsonb)}, q{llama2_generate_stream('Once')},
	q{llama2_chat_stream('Hello')}, q{llama2_chat_stream('[]'::jsonb)}, q{llama2_complete('Once')}, q{llama2_complete_n('Once', 2)},
	q{llama2_tokenize('Once')}, q{llama2_detokenize(ARRAY[5])}, q{llama2_count_tokens('Once')},
	q{llama2_chat_prompt('[]')}, q{llama2_logprobs('Once', ' upon')}, q{llama2_perplexity('Once')},
	q{llama2_embed('Once')}, q{llama2_embed(ARRAY['Once'])}, q{llama2_similarity('Once', 'Twice')},
	q{llama2_models()}, q{llama2_memory_plan()}, q{llama2_load('tinychat-6m')}, q{llama2_unload('tinychat-6m')},
	q{llama2_status()}, q{llama2_requests()}, q{llama2_progress()}, q{llama2_stats()}, q{llama2_stats_reset()},
	q{llama2_chat('name', 'Hello')}, q{llama2_chat(1, 'Hello')}, q{llama2_chat_stream('name', 'Hello')}, q{llama2_conversation_start('name')},
	q{llama2_submit('Once')}, q{llama2_summarize('Once')}, q{llama2_summarize_agg('Once')});
my $functions = $node->safe_psql('postgres', 'SELECT count(*) FROM pg_proc WHERE proname LIKE $$llama2%$$');
my $hint = 'Add llama2 to "shared_preload_libraries" in postgresql.conf and restart the server.';

for my $call (@calls)
{
	my ($status, undef, $error) =
	  $node->psql('postgres', "SELECT $call", extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	ok($status != 0, "$call fails");
	like($error, qr/ERROR:  55000: llama2 must be loaded with "shared_preload_libraries"\nHINT:  \Q$hint\E/, 'and says why');
}
for my $view (qw(llama2_status llama2_requests llama2_progress llama2_stats))
{
	my (undef, undef, $error) = $node->psql('postgres', "SELECT * FROM $view");
	like($error, qr/must be loaded with "shared_preload_libraries"/, "$view says so, too");
}
is($node->safe_psql('postgres', q{SET llama2.temperature = 0; SHOW llama2.temperature}), '0', 'parameters can be set');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_proc WHERE proname LIKE $$llama2%$$'), $functions, 'no call has ended the server');

my $dump = $node->backup_dir . '/dump.sql';
mkdir $node->backup_dir;
$node->command_ok([ 'pg_dump', '-f', $dump, '-d', $node->connstr('postgres') ], 'pg_dump');
unlike(slurp_file($dump), qr/FUNCTION/, 'the dump leaves the functions to the extension');
$node->safe_psql('postgres', 'DROP EXTENSION llama2');
$node->command_ok([ 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-f', $dump, '-d', $node->connstr('postgres') ], 'and can be restored');

$node->append_conf('postgresql.conf', "shared_preload_libraries = 'llama2'");
$node->restart;
is($node->safe_psql('postgres', q{SELECT llama2_chat('What is PostgreSQL?', temperature => 0)}),
	'PostgreSQL is a database that stores data in tables.', 'after what the hint says, it works');

$node->stop;
done_testing();
