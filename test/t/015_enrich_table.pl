# llama2_enrich_table: what it shows while it runs, and that it can be stopped at any time and goes on where it was.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Llama2Server;
use RawClient;
use Test::More;
use Time::HiRes qw(sleep time);

my $rows = 240;
my $batch = 20;
my $node = llama2_server('enrich_table', 'llama2.temperature' => 0);
my $client = RawClient->new($node);
my $watcher = RawClient->new($node);
my $fill = q{CALL llama2_enrich_table('items', 'summary', 'Item {id}: {body}', batch => } . $batch
	. q{, options => '{"max_tokens": 60, "ignore_eos": true, "chat": false}')};

$node->safe_psql('postgres', qq{
	CREATE TABLE items (id int PRIMARY KEY, body text, summary text);
	INSERT INTO items SELECT i, 'It is number ' || i FROM generate_series(1, $rows) AS i;
	INSERT INTO items VALUES (1001, NULL, NULL), (1002, 'x', 'done before');
	CREATE TABLE written (id int);
	CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO written VALUES (NEW.id); RETURN NULL; END';
	CREATE TRIGGER note AFTER UPDATE ON items FOR EACH ROW EXECUTE FUNCTION note();
	CREATE ROLE somebody; CREATE ROLE auditor IN ROLE pg_read_all_stats});

sub value
{
	my ($sql) = @_;
	return $watcher->query($sql)->[0][0];
}

# Start the call, and wait until the view shows so many rows done.
sub fill_until
{
	my ($n_done) = @_;
	my $deadline = time() + 120;
	my $shown;

	$client->send_query($fill);
	do
	{
		sleep 0.005;
		$shown = $watcher->query('SELECT pid, estimated_rows, rows_read, rows_done, requests, prompt_tokens, completion_tokens, tokens_per_second FROM llama2_progress')->[0];
	} until (($shown && $shown->[3] >= $n_done) || time() > $deadline);
	return $shown;
}

sub nothing_left
{
	my ($name) = @_;
	my $deadline = time() + 30;

	sleep 0.02 until value('SELECT count(*) FROM llama2_requests') == 0 || time() > $deadline;
	is(value('SELECT count(*) FROM llama2_requests'), 0, "$name: no request is left");
	is(value('SELECT count(*) FROM llama2_progress'), 0, "$name: no progress is left");
	return;
}

sub filled
{
	return value(q{SELECT count(*) FROM items WHERE id <= 1000 AND summary IS NOT NULL});
}

# --- what others see

my $shown = fill_until(2 * $batch);
my ($pid, $estimated, $read, $done, $requests, $prompt_tokens, $completion_tokens, $speed) = @$shown;
is($pid, $client->pid, 'the view shows the process');
is($estimated, $rows, 'how many rows there are to fill');
cmp_ok($read, '>=', $done, 'rows that were read');
is($done % $batch, 0, 'rows that are done: whole batches');
cmp_ok($requests, '>=', $done, 'requests');
cmp_ok($prompt_tokens, '>', 5 * $done, 'tokens of prompts');
is($completion_tokens, 60 * $requests, 'tokens of answers');
cmp_ok($speed, '>', 0, 'tokens per second');
is(value('SET ROLE somebody; SELECT count(*) FROM llama2_progress'), 0, 'others do not see it');
is(value('SET ROLE auditor; SELECT count(*) FROM llama2_progress'), 1, 'members of pg_read_all_stats do');
$watcher->query('RESET ROLE');

# --- stopped in the middle

$watcher->query('SELECT pg_cancel_backend(' . $client->pid . ')');
is($client->next_row->{sqlstate}, '57014', 'cancelled');
nothing_left('cancelled');
my $first = filled();
cmp_ok($first, '>=', 2 * $batch, "what was committed stays ($first rows)");
cmp_ok($first, '<', $rows, 'the rest is still to do');
is($first % $batch, 0, 'whole batches');
is(value('SELECT count(*) FROM written'), $first, 'each row was written once');
my $kept = value('SELECT md5(string_agg(ctid || summary, $$ $$ ORDER BY id)) FROM items WHERE summary IS NOT NULL');

# --- it goes on

$watcher->query('SELECT llama2_stats_reset()');
$shown = fill_until($batch);
is($shown->[1], $rows - $first, 'called again, it has the rest to do');
$watcher->query('SELECT pg_terminate_backend(' . $client->pid . ')');
is($client->next_row->{sqlstate}, '57P01', 'the session is ended');
nothing_left('a session that ended');
my $second = filled() - $first;
cmp_ok($second, '>=', $batch, "more rows are there ($second)");

$client = RawClient->new($node);
my $last = $rows - $first - $second;
my $before = value('SELECT completed FROM llama2_stats');
is(ref $client->query($fill), 'ARRAY', 'and to the end');
is(value('SELECT completed FROM llama2_stats') - $before, $last, 'no row is asked for again');
is(filled(), $rows, 'every row is filled');
is(value('SELECT count(*) = count(DISTINCT id) AND count(*) = ' . $rows . ' FROM written'), 't', 'each was written once');
is(value("SELECT md5(string_agg(ctid || summary, \$\$ \$\$ ORDER BY id)) FROM items WHERE id IN (SELECT id FROM written LIMIT $first) OR id = 1002"),
	$kept, 'what was there was not touched');
is(value('SELECT summary FROM items WHERE id = 1001'), undef, 'a row without a prompt stays empty');
nothing_left('the end');

$before = value('SELECT requests FROM llama2_stats');
is(ref $client->query($fill), 'ARRAY', 'called once more');
is(value('SELECT requests FROM llama2_stats'), $before, 'it asks nothing');

# --- statement_timeout, and a row that changes meanwhile

$watcher->query('UPDATE items SET summary = NULL WHERE id <= 1000; TRUNCATE written');
is($client->query(q{SET statement_timeout = '400ms'; SELECT 1})->[0][0], 1, 'a time limit');
is($client->query($fill)->{sqlstate}, '57014', 'it runs out');
$client->query('RESET statement_timeout');
nothing_left('out of time');
is(filled() % $batch, 0, 'whole batches are committed');

fill_until($batch);
$watcher->query("UPDATE items SET body = 'changed' WHERE id = $rows AND summary IS NULL");
1 while $client->next_row;
is(value("SELECT count(*) FROM items WHERE id <= 1000 AND summary IS NULL"), 0, 'a row that changed before its batch was read is filled, too');

# --- a row that has no answer

$watcher->query(q{UPDATE items SET summary = NULL WHERE id <= 50; UPDATE items SET body = repeat('very long ', 600) WHERE id = 7; TRUNCATE written});
is($client->query($fill)->{sqlstate}, '54000', 'a prompt that is too long ends the call');
is(filled(), $rows - 50, 'with its batch');
(my $forgiving = $fill) =~ s/"chat"/"on_error": "null", "chat"/;
is(ref $client->query($forgiving), 'ARRAY', 'not with on_error');
is(value('SELECT string_agg(id::text, $$,$$) FROM items WHERE id <= 1000 AND summary IS NULL'), '7', 'it alone stays empty');
is(value('SELECT count(*) FROM written'), 49, 'and is not written');

# --- conditions

for my $condition ('id = 1) OR (true', 'true); DELETE FROM items; SELECT (true', 'id = 1 ORDER BY id', 'id = 1 FROM written', 'id =', '', 'nothing = 1', "'x'")
{
	my $call = "CALL llama2_enrich_table('items', 'summary', 'Item {id}: {body}', condition => " . '$c$' . $condition . '$c$)';
	like($client->query($call)->{sqlstate}, qr/^(?:42601|42703|22P02)$/, "no condition: $condition");
}
is(value('SELECT count(*) FROM items WHERE id > 1000'), 2, 'nothing beside it was done');
is(ref $client->query(q{CALL llama2_enrich_table('items', 'summary', 'Item {id}: {body}', condition => $c$id = 5 OR body LIKE '(%' -- )$c$)}), 'ARRAY', 'a condition with a remark');
$node->stop;
done_testing();
