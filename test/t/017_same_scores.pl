# Classification is the argmax of llama2_logprobs, to the last bit: each label's log-probability computed alone, one
# request at a time with nothing cached, gives the labels and shares that classification gives, whatever it is computed with.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Llama2Server;
use RawClient;
use Test::More;

my $node = llama2_server('same_scores', max_connections => 60);
my $client = RawClient->new($node);

$node->safe_psql('postgres', q{
	CREATE TABLE label_set (labels text[], list text);
	INSERT INTO label_set VALUES
		('{billing,shipping,technical,account,other}', 'billing, shipping, technical, account or other'),
		('{low,normal,high}', 'low, normal or high'),
		('{very long and unlikely label,positive,x}', 'very long and unlikely label, positive or x');
	CREATE TABLE item AS
		SELECT row_number() OVER () AS id, body, labels, format(E'[INST] Classify this text as %s.\n\n%s [/INST]', list, body) AS prompt
		FROM label_set, (VALUES ('My kettle leaks water. Please send me a replacement. Regards, Ana Lopez'),
			('Hello, I was charged twice for the office chair. I want my money back! This is urgent. Thanks, Tom Berg'),
			('I was locked out of the account. It is not urgent.'), ('I love this lamp. It is easy to use and the light is bright.'),
			('The soup was cold.'), ('See you at lunch tomorrow.'), ('x')) AS t (body);
	-- by hand: the sum of a label's log-probabilities, by their number where labels differ in it
	CREATE FUNCTION by_hand(prompt text, labels text[]) RETURNS TABLE (label text, probability float8) LANGUAGE sql AS $$
		WITH sums AS (
			SELECT l.label, l.place, sum(s.logprob::float8 ORDER BY s.seq) AS total, count(*) AS n
			FROM unnest(labels) WITH ORDINALITY AS l (label, place), llama2_logprobs(prompt, ' ' || l.label) AS s GROUP BY l.label, l.place),
		scores AS (
			SELECT label, place, CASE WHEN (SELECT count(DISTINCT n) FROM sums) = 1 THEN total ELSE total / n END AS score FROM sums),
		shares AS (SELECT label, place, exp(score - max(score) OVER ()) AS share FROM scores)
		SELECT label, share / (SELECT sum(share ORDER BY place) FROM shares) FROM shares ORDER BY place
	$$;
});

# A row for each item: the best label, and the bits of every label's share.
my $shape = q{(SELECT label FROM s ORDER BY probability DESC, place LIMIT 1), (SELECT string_agg(float8send(probability)::text, ' ' ORDER BY place) FROM s)};
my $by_hand = "SELECT (WITH s AS (SELECT row_number() OVER () AS place, * FROM by_hand(prompt, labels)) SELECT ROW($shape)) FROM item ORDER BY id";
my $by_scores = "SELECT (WITH s AS (SELECT row_number() OVER () AS place, * FROM llama2_classify_scores(body, labels)) SELECT ROW($shape)) FROM item";

sub rows
{
	my ($sql) = @_;
	my $rows = $client->query($sql);

	die $rows->{error} if ref $rows eq 'HASH';
	return map { $_->[0] } @$rows;
}

set_parameters($client, 'llama2.prefix_cache' => 'off', 'llama2.max_batch' => 1, 'llama2.threads' => 1, 'llama2.batch_scan' => 'off');
$client->query('SELECT llama2_stats_reset()');
my @expected = rows($by_hand);
my @labels = map { /^\("?([^",]*)/ } @expected;
is(scalar @expected, 21, 'items');
is(join(' ', @{ $client->query('SELECT cached_tokens, max(mean_batch) FROM llama2_stats GROUP BY 1')->[0] }), '0 1', 'by hand nothing is cached, and nothing runs together');

for my $settings (
	{},
	{ 'llama2.prefix_cache' => 'on', 'llama2.max_batch' => 32, 'llama2.threads' => 2, 'llama2.batch_scan' => 'on' },
	{ 'llama2.max_batch' => 3, 'llama2.kv_cache_size' => 2 })
{
	my $name = join(', ', map { "$_ = $settings->{$_}" } sort keys %$settings) || 'one at a time';

	set_parameters($client, %$settings);
	$client->query('SELECT llama2_stats_reset()');
	is_deeply([ rows("$by_scores ORDER BY id") ], \@expected, "llama2_classify_scores: $name");
	is_deeply([ rows('SELECT llama2_classify(body, labels) FROM item ORDER BY id') ], \@labels, "llama2_classify: $name");
	is_deeply([ rows($by_hand) ], \@expected, "llama2_logprobs: $name");

	my @clients = map { RawClient->new($node) } 1 .. @expected;
	$clients[$_]->send_query("$by_scores WHERE id = " . ($_ + 1)) for 0 .. $#clients;
	is_deeply([ map { $_->next_row->[0] } @clients ], \@expected, "llama2_classify_scores, all at once: $name");
	my ($mean_batch, $cached) = @{ $client->query('SELECT mean_batch, cached_tokens FROM llama2_stats')->[0] };
	if (%$settings)
	{
		cmp_ok($mean_batch, '>', 1, "requests ran together: $name");
		cmp_ok($cached, '>', 0, "prefixes were found: $name");
	}
}

$node->stop;
done_testing();
