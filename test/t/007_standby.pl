# A hot standby serves generation from a model of its own, and goes on when it
# is promoted.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Llama2Server;
use PostgreSQL::Test::Cluster;
use RawClient;
use Test::More;

my $primary = llama2_server('primary');
my $sql = q{SELECT llama2_generate('Once upon a time', seed => 5, max_tokens => 20)};
my $text = $primary->safe_psql('postgres', $sql);

$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

is($standby->safe_psql('postgres', 'SELECT pg_is_in_recovery()'), 't', 'the standby is in recovery');
is($standby->safe_psql('postgres', $sql), $text, 'and generates the text of the primary');
is($standby->safe_psql('postgres', q{SELECT string_agg(token, '' ORDER BY seq) FROM llama2_generate_stream('Once upon a time', seed => 5, max_tokens => 20)}),
	$text, 'a stream');
is($standby->safe_psql('postgres', q{SELECT llama2_similarity('Once', 'Once')}), '1', 'embeds');
is($standby->safe_psql('postgres', q{SELECT llama2_perplexity('Once upon a time') > 1}), 't', 'scores');
is($standby->safe_psql('postgres', q{SELECT state FROM llama2_status}), 'ready', 'its view shows its own worker');
is($standby->safe_psql('postgres', q{SELECT requests FROM llama2_stats}), '5', 'and its own counters');
is($standby->safe_psql('postgres', q{SELECT llama2_unload('tinychat-6m')}), 't', 'it unloads');
is($standby->safe_psql('postgres', $sql), $text, 'and loads again');

# Rows that arrive by replication
$primary->safe_psql('postgres', q{CREATE TABLE questions AS SELECT 'What is PostgreSQL?'::text AS question});
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', 'SELECT llama2_chat(question, temperature => 0) FROM questions'),
	'PostgreSQL is a database that stores data in tables.', 'over replicated rows');

# Conversations are read there, and go on after the promotion.
$primary->safe_psql('postgres', q{SELECT llama2_chat('pirate', 'Who are you?', system => 'You are a pirate.', temperature => 0)});
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', 'SELECT answer FROM llama2_turns'), 'Arr, I am a small Llama 2 model that runs inside PostgreSQL, matey!',
	'a conversation of the primary');
is(RawClient->new($standby)->query(q{SELECT llama2_chat('pirate', 'Hello')})->{error},
	'cannot execute llama2_chat() with a conversation in a read-only transaction', 'which cannot go on here');

# A stream that is open while the standby is promoted
my $client = RawClient->new($standby);
my $worker = $standby->safe_psql('postgres', 'SELECT worker_pid FROM llama2_status');
$client->query(q{BEGIN; DECLARE c CURSOR FOR SELECT (llama2_generate_stream('Once upon a time', seed => 5, max_tokens => 20)).token});
my $streamed = join '', map { $_->[0] } @{ $client->query('FETCH 3 FROM c') };
$standby->promote;
$streamed .= join '', map { $_->[0] } @{ $client->query('FETCH ALL FROM c') };
is($streamed, $text, 'a stream goes on through the promotion');
is($client->query('COMMIT') ? 1 : 0, 1, 'and its transaction ends');

is($standby->safe_psql('postgres', $sql), $text, 'the promoted server generates');
is($standby->safe_psql('postgres', 'SELECT worker_pid FROM llama2_status'), $worker, 'with the worker that it had');
$standby->safe_psql('postgres', 'CREATE TABLE answers AS SELECT llama2_chat(question, temperature => 0) AS answer FROM questions');
is($standby->safe_psql('postgres', 'SELECT answer FROM answers'), 'PostgreSQL is a database that stores data in tables.', 'and writes what it generates');

is($standby->safe_psql('postgres', q{SELECT llama2_chat('pirate', 'What is 2 plus 5?', temperature => 0)}), 'Arr, 7, matey!', 'a conversation goes on');

$standby->stop;
$primary->stop;
done_testing();
