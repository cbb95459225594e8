# The promise: a model, a prompt, options and a seed make one text, and a text has one vector, whatever the prefix cache, speculation, the
# number of threads, the size of the batch and the neighbours are.  And what one role's prompts left in the
# cache is not for another role.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Llama2Server;
use RawClient;
use Test::More;

my $node = llama2_server('same_results', max_connections => 60);
my $client = RawClient->new($node);
my $instruction = 'Summarize the following ticket in one sentence. Name the person, the product and what they ask for. ' x 2;
my @prompts = (
	(map { "$instruction$_" } 'My kettle leaks water. Regards, Ana Lopez', 'The lamp is broken. Thanks, Tom Berg',
		'I was charged twice for the office chair.'),
	'Once upon a time', 'one two one two one two one two one', "Review: The soup was cold.\nSentiment:",
	"a b c d a b c d a b c d a b");
my @requests = map { my $prompt = $_; map { [ $prompt, $_, '' ] } 0, 0.9, 'mean', 'last' } @prompts;
push @requests, map { [ $prompts[4], 0.9, ", $_" ] } (
	'"mirostat": 1, "mirostat_tau": 2', '"mirostat": 2, "mirostat_tau": 2', '"dry_multiplier": 1', '"xtc_probability": 0.3',
	'"typical_p": 0.5, "top_n_sigma": 2', '"dynatemp_range": 0.5', '"context_shift": true, "context_length": 20, "n_keep": 2',
	'"best_of": 3');

sub call
{
	my ($prompt, $temperature, $options) = @{ $_[0] };
	$prompt =~ s/'/''/g;
	return qq{SELECT llama2_embed('$prompt', options => '{"pooling": "$temperature"}')} if $temperature =~ /[a-z]/;
	return qq{SELECT llama2_generate('$prompt', temperature => $temperature, seed => 11, max_tokens => 40,
		options => '{"ignore_eos": true$options}')};
}

# The texts, or vectors, of all requests, one after the other or all at once.
sub texts
{
	my ($at_once) = @_;
	return map { $client->query(call($_))->[0][0] } @requests unless $at_once;
	my @clients = map { RawClient->new($node) } @requests;
	$clients[$_]->send_query(call($requests[$_])) for 0 .. $#requests;
	return map { $_->next_row->[0] } @clients;
}

set_parameters($client, 'llama2.prefix_cache' => 'off', 'llama2.speculation' => 'off', 'llama2.threads' => 1);
my @expected = texts(0);
is($client->query('SELECT drafted_tokens + cached_tokens FROM llama2_stats')->[0][0], 0, 'nothing is cached or guessed');

for my $settings (
	{ 'llama2.prefix_cache' => 'on', 'llama2.speculation' => 'on', 'llama2.threads' => 1 },
	{ 'llama2.prefix_cache' => 'on', 'llama2.speculation' => 'on', 'llama2.threads' => 2 },
	{ 'llama2.max_batch' => 3, 'llama2.kv_cache_size' => 2 })
{
	my $name = join ', ', map { "$_ = $settings->{$_}" } sort keys %$settings;
	set_parameters($client, %$settings);
	is_deeply([ texts(0) ], \@expected, "one after the other: $name");
	is_deeply([ texts(1) ], \@expected, "all at once: $name");
}
my ($accepted, $cached, $mean_batch) =
  @{ $client->query('SELECT accepted_tokens, cached_tokens, mean_batch FROM llama2_stats')->[0] };
ok($accepted > 0, "guesses were right ($accepted)");
ok($cached > 0, "prefixes were found ($cached)");
ok($mean_batch > 1, "requests ran together ($mean_batch)");

# Roles
$client->query('CREATE ROLE one; CREATE ROLE other');
my $cached_of = sub {
	my ($role, $text) = @_;
	$client->query("SET ROLE $role");
	my $tokens = $client->query("SELECT cached_tokens FROM llama2_complete('$instruction$text', max_tokens => 1)")->[0][0];
	$client->query('RESET ROLE');
	return $tokens;
};
is($cached_of->('one', 'first'), 0, 'a new role finds nothing');
ok($cached_of->('one', 'second') >= 32, 'the same role finds the instruction');
is($cached_of->('other', 'second'), 0, 'another role does not');

$node->stop;
done_testing();
