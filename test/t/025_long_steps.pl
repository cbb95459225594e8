# A step that takes long keeps nobody waiting but whom it computes for.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Llama2Server;
use ModelFile;
use PostgreSQL::Test::Utils;
use RawClient;
use Test::More;
use Time::HiRes qw(sleep time);

my $bundled = ($ENV{LLAMA2_MODELS} // 'models') . '/tinychat-6m.gguf';
my $folder = PostgreSQL::Test::Utils::tempdir();
write_model($bundled, "$folder/large.gguf", 6, 240);

my $node = llama2_server(
	'long_steps',
	'llama2.model_directory' => $folder,
	'llama2.model' => 'large',
	'llama2.kernels' => 'generic',
	'llama2.threads' => 1);
my $client = RawClient->new($node);

$client->value(q{SELECT llama2_load('large')});
$client->query('CREATE DATABASE other');
my $asker = RawClient->new($node);
my $deadline = time() + 60;
$asker->send_query(q{SELECT llama2_generate(repeat('word ', 110), max_tokens => 1)});
sleep 0.005 until $client->value('SELECT count(started_at) FROM llama2_requests') == 1 || time() > $deadline;

my $steps = $client->value('SELECT steps FROM llama2_stats');
is($steps, 0, 'the first step goes on');
is(ref $client->query('DROP DATABASE other'), 'ARRAY', 'a database is dropped, which every process of the server has to agree to');
is($client->value('SELECT steps FROM llama2_stats'), $steps, 'in the middle of the step');

$client->value('SELECT pg_cancel_backend(' . $asker->pid . ')');
is($asker->next_row->{sqlstate}, '57014', 'whom it computes for can cancel it');
$deadline = time() + 60;
sleep 0.005 until $client->value('SELECT count(*) FROM llama2_requests') == 0 || time() > $deadline;
is($client->value('SELECT steps FROM llama2_stats'), 1, 'which ends the step');

$node->stop;
done_testing();
