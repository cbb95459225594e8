# Rows of a stream in the target list reach the client one at a time, while
# the answer is still being made; those of a stream in FROM come together.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Llama2Server;
use RawClient;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = llama2_server(
	'stream',
	'llama2.kernels' => 'generic',
	'llama2.threads' => 1);
my $client = RawClient->new($node);
my $arguments = q{'Once upon a time', temperature => 0, max_tokens => 100};
my $whole = $client->query("SELECT llama2_generate($arguments)")->[0][0];

ok(length $whole > 100, 'the answer is long enough to watch');

# Arrival times of the rows of a query, and its text.
sub watch
{
	my ($sql) = @_;
	my ($start, @times, $text) = (time());

	$text = '';
	$client->send_query($sql);
	while (defined(my $row = $client->next_row))
	{
		die $row->{error} if ref $row eq 'HASH';
		push @times, time() - $start;
		$text .= $row->[2];
	}
	return ($text, time() - $start, @times);
}

# Does a query say true, now or within two seconds?
sub soon
{
	my ($sql) = @_;
	for (1 .. 100)
	{
		return 1 if $client->query($sql)->[0][0] eq 't';
		sleep 0.02;
	}
	return 0;
}

my ($text, $total, @times) =
  watch("SELECT (s).* FROM (SELECT llama2_generate_stream($arguments) AS s OFFSET 0) AS rows");
is($text, $whole, 'the tokens of a stream make the text of llama2_generate');

($text, $total, @times) = watch("SELECT 1, 2, (llama2_generate_stream($arguments)).token");
is($text, $whole, 'and so they do in the target list');
ok(@times > 20, 'many rows');
ok($times[0] < $total / 2, "the first row came in the first half of the time ($times[0] of $total s)");
my $middle = $times[ $#times / 2 ];
ok($middle > 0.2 * $total && $middle < 0.9 * $total, "the middle row came in between ($middle of $total s)");
my %distinct = map { int($_ * 1000 / ($total * 10)) => 1 } @times;
ok(keys %distinct > 20, 'rows are spread over the whole time');

($text, $total, @times) = watch("SELECT seq, token_id, token FROM llama2_generate_stream($arguments)");
is($text, $whole, 'FROM gives the same text');
ok($times[0] > 0.8 * $total, 'but all at the end, as the executor collects them');

# Early ends
my $before = $client->query('SELECT cancelled FROM llama2_stats')->[0][0];
is(scalar @{ $client->query("SELECT llama2_generate_stream($arguments) LIMIT 3") }, 3, 'LIMIT');
ok(soon('SELECT count(*) = 0 FROM llama2_requests'), 'leaves no request behind');
ok(soon("SELECT cancelled = $before + 1 FROM llama2_stats"), 'and ends the work');

$client->query("BEGIN; DECLARE c CURSOR FOR SELECT llama2_generate_stream($arguments)");
is(scalar @{ $client->query('FETCH 2 FROM c') }, 2, 'a cursor gives what is asked for');
is(scalar @{ $client->query('SELECT * FROM llama2_requests') }, 1, 'and holds its request');
$client->query('CLOSE c');
ok(soon('SELECT count(*) = 0 FROM llama2_requests'), 'until it is closed');
$client->query('COMMIT');

# Stop strings: what a stream shows is what llama2_generate returns.
for my $stop ('named', 'ed Fr', ' was a', 'zzz')
{
	my $with = "$arguments, stop => ARRAY['$stop']";
	my $expected = $client->query("SELECT llama2_generate($with)")->[0][0];
	($text) = watch("SELECT 1, 2, (llama2_generate_stream($with)).token");
	is($text, $expected, "stop string \"$stop\"");
	ok(index($expected, $stop) < 0, 'is not part of the text');
}

# A session that needs a slot which its own streams hold waits until one of them is done.
$node->append_conf('postgresql.conf', 'llama2.max_requests = 2');
$node->restart;
$client = RawClient->new($node);
my $three = $client->query('SELECT ' . join ', ', ("(llama2_generate_stream($arguments)).token") x 3);
for my $column (0 .. 2)
{
	is(join('', map { $_->[$column] } @$three), $whole, "stream $column of three at once where the server allows two");
}
is($client->query("SELECT llama2_generate($arguments)")->[0][0], $whole, 'leave no slot behind');

$node->stop;
done_testing();
