# The batch scan in a server of its own: generated queries with and without it, how much it generates, cursors,
# prepared statements, parallel workers, few slots, cancellation, and what others see of it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Llama2Server;
use RawClient;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = llama2_server('batch_scan', 'llama2.max_tokens' => 4, 'llama2.temperature' => 0, jit => 'off');
my $client = RawClient->new($node);
my $watcher = RawClient->new($node);

sub make_tables
{
	my ($session) = @_;
	$session->query(q{
		CREATE TABLE customers AS SELECT i AS id, (ARRAY['Ana Lopez', 'Tom Berg', NULL])[i % 3 + 1] AS name FROM generate_series(0, 5) AS i;
		CREATE TABLE tickets AS SELECT i AS id, i % 6 AS customer, CASE WHEN i % 7 <> 3 THEN
				(ARRAY['My kettle leaks.', 'I love this lamp.', 'Charged twice!', 'Cold soup.'])[i % 4 + 1] END AS body,
			CASE WHEN i % 5 = 0 THEN 'old ' || i END AS summary FROM generate_series(1, 40) AS i;
		ANALYZE tickets; ANALYZE customers});
	return;
}
make_tables($client);

# --- generated queries

sub pick { return $_[ int rand @_ ]; }

# A text expression over the columns of tickets AS t, with calls in it up to some depth.
sub text_expression
{
	my ($depth) = @_;

	return pick("t.body", "t.summary", "'Once upon'", "t.id::text", "upper(t.body)", "t.body || ' ' || t.id") if $depth <= 0;
	my $below = $depth - 1;
	my @kinds = (
		sub { return call(text_expression($below)); },
		sub { return call(text_expression($below)); },
		sub { return '(' . text_expression($below) . " || ' ' || " . text_expression($below) . ')'; },
		sub { return 'CASE WHEN ' . condition($below) . ' THEN ' . text_expression($below) . ' ELSE ' . text_expression($below) . ' END'; },
		sub { return 'CASE t.id % 3 WHEN 0 THEN ' . text_expression($below) . ' WHEN 1 THEN ' . text_expression($below) . ' END'; },
		sub { return 'coalesce(' . text_expression($below) . ', ' . text_expression($below) . ", 'x')"; },
		sub { return 'nullif(' . text_expression($below) . ', ' . text_expression($below) . ')'; },
		sub { return 'left(' . text_expression($below) . ', 12)'; },
		sub { return '(10 / (t.id - ' . pick(3, 17, 99) . '))::text'; });
	return pick(@kinds)->();
}

sub call
{
	my ($text) = @_;
	return pick("llama2_chat($text)", "llama2_generate($text)", "llama2_generate($text, temperature => 1, seed => t.id % 3)",
		"(llama2_complete($text)).text", "llama2_perplexity($text)::numeric(9, 3)::text", "(llama2_generate(ARRAY[$text, 'Two']))[1]",
		"llama2_classify($text, ARRAY['good', 'bad'])", "llama2_is_true($text)::text", "llama2_choice($text, ARRAY['a', 'b', 'c'])",
		"llama2_score($text, ' a b')::numeric(9, 3)::text", "(llama2_embed($text))[1]::text", "llama2_similarity($text, 'Two')::text", "(llama2_extract($text, '{\"type\": \"boolean\"}') ->> 0)", "llama2_summarize($text)",
		"llama2_generate($text, max_tokens => t.id % 4" . pick('', ' + 1', ' + 1', ' + 1') . ')');
}

sub condition
{
	my ($depth) = @_;

	return pick('t.id % 2 = 0', 't.id < 20', 't.body IS NULL', "t.body LIKE '%l%'") if $depth <= 0;
	my $below = $depth - 1;
	return pick(text_expression($below) . " LIKE '%" . pick('a', 'e', 'i') . "%'",
		condition($below) . ' AND ' . condition($below), '(' . condition($below) . ' OR ' . condition($below) . ')',
		'NOT (' . condition($below) . ')', text_expression($below) . ' IS NOT NULL');
}

# Functions that return rows, behind the tables in FROM or in a subquery of its own for each row.
sub lateral
{
	my $text = text_expression(pick(0, 1));
	my ($columns, $function) = @{ pick([ 'label AS a, probability::numeric(9, 3) AS b', "llama2_classify_scores($text, ARRAY['good', 'bad', 'x'])" ],
			[ 'token AS a, logprob::numeric(9, 3) AS b', "llama2_logprobs($text, ' a b')" ],
			[ 'text AS a, number AS b', "llama2_complete_n($text, 2, seed => " . pick('7', 't.id % 3') . ')' ],
			[ 'e[1]::text AS a, cardinality(e) AS b', "llama2_embed(ARRAY[$text, 'Two']) AS e (e)" ]) };
	my $subquery = "SELECT $columns FROM $function" . pick('', '', " ORDER BY 2 DESC, 1", " ORDER BY 1 LIMIT 1", ' LIMIT ' . pick(0, 1, 2), ' OFFSET 1');

	$subquery = "SELECT max(a) AS a, count(b) AS b FROM ($subquery) AS i" if pick(0, 0, 1);
	return ", LATERAL ($subquery) AS l";
}

sub generated_query
{
	my $join = pick(0, 0, 1);
	my $lateral = pick(0, 0, 0, 1);
	my $sql = 'SELECT t.id' . join('', map { ', ' . text_expression(pick(1, 2, 2, 3)) } 1 .. pick(1, 1, 2, 3));

	$sql .= ', c.name' if $join;
	$sql .= ', l.a, l.b' if $lateral;
	$sql .= ' FROM tickets AS t';
	$sql .= pick(' JOIN', ' LEFT JOIN') . ' customers AS c ON c.id = t.customer AND ' . condition(0) if $join;
	$sql .= lateral() if $lateral;
	$sql .= ' WHERE ' . condition(pick(0, 1, 1, 2)) if pick(0, 1);
	$sql .= ' ORDER BY ' . pick('t.id', 't.id DESC', 't.body, t.id') if $join || pick(0, 1);
	$sql .= ' LIMIT ' . pick(1, 3, 10) if pick(0, 0, 1);
	$sql .= ' OFFSET ' . pick(1, 5) if pick(0, 0, 0, 1);
	$sql = "SELECT q.id, " . call('q::text') . " FROM ($sql) AS q, (SELECT 1) AS t (id)" if pick(0, 0, 0, 0, 1);
	return $sql;
}

sub rows_with
{
	my ($session, $batch_scan, $sql) = @_;
	$session->query("SET llama2.batch_scan = $batch_scan");
	return $session->query($sql);
}

# One test for many queries: which of them differ.
sub compare
{
	my ($session, $name, @queries) = @_;
	my @different;
	my ($n_rows, $n_errors, $n_planned) = (0, 0, 0);

	for my $sql (@queries)
	{
		my $with = rows_with($session, 'on', $sql);
		my $without = rows_with($session, 'off', $sql);

		push @different, $sql unless Test::More->builder->is_eq(flat($with), flat($without), "$name: " . substr($sql, 0, 120));
		ref $with eq 'HASH' ? $n_errors++ : ($n_rows += @$with);
		$session->query('SET llama2.batch_scan = on');
		my $plan = $session->query("EXPLAIN $sql");
		$n_planned++ if ref $plan eq 'ARRAY' && grep { $_->[0] =~ /Llama2 Batch/ } @$plan;
	}
	diag($_) for @different;
	note("$name: " . @queries . " queries, $n_planned with a batch scan, $n_rows rows, $n_errors errors");
	return ($n_planned, $n_rows, $n_errors);
}

sub flat
{
	my ($result) = @_;
	return "$result->{sqlstate} $result->{error}" if ref $result eq 'HASH';
	return join "\n", map { join '|', map { $_ // 'NULL' } @$_ } @$result;
}

sub no_requests_left
{
	my ($name) = @_;
	my $deadline = time() + 30;

	sleep 0.02 until $watcher->query('SELECT count(*) FROM llama2_requests')->[0][0] == 0 || time() > $deadline;
	is($watcher->query('SELECT count(*) FROM llama2_requests')->[0][0], 0, "$name: no request is left");
	is($watcher->query('SELECT count(*) FROM llama2_progress')->[0][0], 0, "$name: no progress is left");
	return;
}

my ($planned, $rows, $errors) = (0, 0, 0);
for my $seed (1, 2, 3, 4)
{
	srand $seed;
	my @counts = compare($client, "seed $seed", map { generated_query() } 1 .. 30);
	$planned += $counts[0];
	$rows += $counts[1];
	$errors += $counts[2];
}
cmp_ok($planned, '>', 60, "most generated queries have a batch scan ($planned)");
cmp_ok($rows, '>', 500, "and rows ($rows)");
cmp_ok($errors, '>', 5, "some raise errors ($errors)");

# --- how much is generated

sub requests_of
{
	my ($sql) = @_;
	$client->query('SELECT llama2_stats_reset()');
	$client->query($sql);
	return $client->query('SELECT requests FROM llama2_stats')->[0][0];
}

my $million = q{SELECT llama2_generate('Number ' || i) FROM generate_series(1, 1000000) AS i};
is(requests_of("$million LIMIT 1"), 1, 'LIMIT 1 over a million rows is one generation');
is(requests_of("$million LIMIT 7"), 7, 'LIMIT 7 is seven');
is(requests_of("$million OFFSET 2 LIMIT 5"), 7, 'and so it is with OFFSET');
is(requests_of("SELECT * FROM ($million) AS q (a) LIMIT 3"), 3, 'above a subquery');
is(requests_of("BEGIN; DECLARE c NO SCROLL CURSOR FOR $million; FETCH 1 FROM c; COMMIT"), 1, 'one row of a cursor is one generation');
is(requests_of("SELECT EXISTS ($million OFFSET 0)"), 1, 'and so is one row of a subquery');
is(requests_of(q{SELECT llama2_generate('Once upon a time') FROM generate_series(1, 60)}), 1, 'equal questions are asked once');
is(requests_of(q{SELECT llama2_generate('Once upon a time', temperature => 1) FROM generate_series(1, 60)}), 60, 'draws without a seed are not equal');
is(requests_of(q{SELECT llama2_generate('Once upon a time', temperature => 1, seed => i % 2) FROM generate_series(1, 60) AS i}), 2, 'with a seed they are');
cmp_ok($client->query(q{SELECT count(DISTINCT a) FROM (SELECT llama2_generate('Once', temperature => 2, max_tokens => 20) AS a FROM generate_series(1, 20)) AS q})->[0][0],
	'>', 15, 'each row has a draw of its own');
no_requests_left('limits');

# --- cursors

$client->query("BEGIN; DECLARE c CURSOR FOR SELECT id, llama2_chat(body) FROM tickets");
my $all = rows_with($watcher, 'off', 'SELECT id, llama2_chat(body) FROM tickets');
is_deeply($client->query('FETCH 5 FROM c'), [ @$all[ 0 .. 4 ] ], 'the first rows of a cursor');
is_deeply($client->query('FETCH BACKWARD 2 FROM c'), [ @$all[ 3, 2 ] ], 'backward');
is_deeply($client->query('FETCH ABSOLUTE 20 FROM c'), [ $all->[19] ], 'a place');
is_deeply($client->query('FETCH ALL FROM c'), [ @$all[ 20 .. 39 ] ], 'the rest');
$client->query('COMMIT');
$client->query('BEGIN; DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT id, llama2_chat(body) FROM tickets; COMMIT');
is_deeply($client->query('FETCH LAST FROM c'), [ $all->[39] ], 'the last row of a cursor that was held');
is_deeply($client->query('FETCH FIRST FROM c'), [ $all->[0] ], 'and its first');
$client->query('CLOSE c');
$client->query('BEGIN; DECLARE c NO SCROLL CURSOR FOR SELECT id, llama2_generate(body, max_tokens => 200) FROM tickets');
$client->query('FETCH 4 FROM c');
$client->query('CLOSE c');
no_requests_left('a cursor closed early');
$client->query('SAVEPOINT s; DECLARE d CURSOR FOR SELECT id, llama2_generate(body, max_tokens => 200) FROM tickets; FETCH 3 FROM d; ROLLBACK TO s');
no_requests_left('a cursor of a savepoint that is rolled back');
$client->query('ROLLBACK');
$client->query(q{CREATE TABLE log (id int, answer text)});
$client->query(q{DO $$
	DECLARE r record;
	BEGIN
		FOR r IN SELECT id, llama2_chat(body) AS answer FROM tickets LOOP
			BEGIN
				INSERT INTO log VALUES (r.id, r.answer);
				PERFORM 1 / (r.id % 5);
			EXCEPTION WHEN division_by_zero THEN
				INSERT INTO log SELECT r.id, llama2_generate('Error in ' || t.id) FROM tickets AS t WHERE t.id < 3;
			END;
		END LOOP;
	END $$});
is_deeply($client->query('SELECT l.id, answer FROM log AS l WHERE id % 5 > 0 ORDER BY id'), [ grep { $_->[0] % 5 } @$all ],
	'a loop whose subtransactions fail does not lose rows');
is($client->query('SELECT count(*) FROM log WHERE id % 5 = 0')->[0][0], 16, 'and each failure is handled');

# --- statements whose rows are kept: the same, whether they were made with the scan or without

my @keeping = (['CREATE TABLE kept AS SELECT id, llama2_chat(body) AS a FROM tickets WHERE llama2_is_true(body) IS NOT NULL'],
	['SELECT id, llama2_chat(body) AS a INTO kept FROM tickets'],
	['CREATE MATERIALIZED VIEW kept AS SELECT id, llama2_chat(body) AS a FROM tickets'],
	['REFRESH MATERIALIZED VIEW kept', 'CREATE MATERIALIZED VIEW kept AS SELECT id, llama2_chat(body) AS a FROM tickets WITH NO DATA'],
	['REFRESH MATERIALIZED VIEW CONCURRENTLY kept', 'CREATE MATERIALIZED VIEW kept AS SELECT id, llama2_chat(body) AS a FROM tickets WHERE id % 2 = 0; CREATE UNIQUE INDEX ON kept (id);
		UPDATE tickets SET body = $$New $$ || id WHERE id < 9'],
	['INSERT INTO kept SELECT id, llama2_chat(body) FROM tickets WHERE body IS NOT NULL', q{CREATE TABLE kept (id int, a text CHECK (NOT llama2_is_true(a, 'Is this spam?') OR true))}],
	[q{INSERT INTO kept (id, body) SELECT id, llama2_chat(body) FROM tickets}, 'CREATE TABLE kept (id int, n int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text, loud text GENERATED ALWAYS AS (upper(body)) STORED)'],
	['INSERT INTO kept AS k SELECT id, llama2_chat(body) FROM tickets ON CONFLICT (id) DO UPDATE SET a = k.a || llama2_generate(excluded.a) WHERE k.id <> 7 AND excluded.a IS NOT NULL',
		q{CREATE TABLE kept (id int PRIMARY KEY, a text); INSERT INTO kept SELECT id, 'Old ' || id FROM tickets WHERE id < 12}],
	['INSERT INTO kept SELECT id % 30, llama2_chat(body) FROM tickets ON CONFLICT DO NOTHING', q{CREATE TABLE kept (id int PRIMARY KEY, a text); INSERT INTO kept SELECT id, 'Old ' || id FROM tickets WHERE id < 12}],
	['INSERT INTO seen SELECT id, llama2_chat(body) FROM tickets', q{CREATE TABLE kept (id int, a text); CREATE VIEW seen AS SELECT * FROM kept;
		CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO kept VALUES (NEW.id, NEW.a); RETURN NEW; END'; CREATE TRIGGER keep INSTEAD OF INSERT ON seen FOR EACH ROW EXECUTE FUNCTION keep()}],
	['UPDATE kept SET a = llama2_chat(a), id = id + 10', 'CREATE TABLE kept (id int, a text) PARTITION BY RANGE (id); CREATE TABLE kept1 PARTITION OF kept FOR VALUES FROM (0) TO (20); CREATE TABLE kept2 PARTITION OF kept FOR VALUES FROM (20) TO (99); INSERT INTO kept SELECT id, body FROM tickets'],
	['UPDATE kept SET a = llama2_chat(a)', 'CREATE TABLE kept (id int, a text); CREATE TABLE heir (x int) INHERITS (kept); INSERT INTO kept SELECT id, body FROM tickets; INSERT INTO heir SELECT id + 50, body, id FROM tickets']);
push @keeping, [q{MERGE INTO kept AS k USING (SELECT id, llama2_chat(body) AS a FROM tickets) AS t ON t.id = k.id WHEN MATCHED AND k.id < 5 THEN DELETE
		WHEN MATCHED THEN UPDATE SET a = t.a || llama2_generate(k.a) WHEN NOT MATCHED AND llama2_is_true(t.a) IS NOT NULL THEN INSERT VALUES (t.id, t.a)}, q{CREATE TABLE kept AS SELECT id, 'Old ' || id AS a FROM tickets WHERE id < 12}]
	if $client->query(q{SELECT current_setting('server_version_num')::int >= 150000})->[0][0] eq 't';
for my $keep (@keeping)
{
	my ($statement, $before) = @$keep;
	my %rows;
	for my $batch_scan ('on', 'off')
	{
		$client->query("BEGIN; " . ($before ? "$before; " : '') . "SET LOCAL llama2.batch_scan = $batch_scan");
		my $done = $client->query($statement);
		$rows{$batch_scan} = ref $done eq 'HASH' ? flat($done) : flat($client->query('SELECT tableoid::regclass, k.* FROM kept AS k ORDER BY id, 3'));
		$client->query('ROLLBACK');
	}
	is($rows{on}, $rows{off}, "the same is kept: $statement");
	cmp_ok(() = $rows{on} =~ /\n/g, '>', 15, 'rows are');
}
is($node->safe_psql('postgres', 'COPY (SELECT id, llama2_chat(body) FROM tickets ORDER BY id) TO STDOUT'),
	$node->safe_psql('postgres', 'SET llama2.batch_scan = off; COPY (SELECT id, llama2_chat(body) FROM tickets ORDER BY id) TO STDOUT'), 'COPY of a query');

# --- rows that somebody else changes meanwhile are evaluated again

$client->query('CREATE TABLE contested AS SELECT * FROM tickets');
my @contested = ('UPDATE contested AS t SET summary = llama2_chat(t.body) || llama2_generate(t.body) WHERE t.customer < 9 AND llama2_perplexity(t.body) > 0 RETURNING id, summary',
	'UPDATE contested AS t SET summary = llama2_chat(c.name || t.body) FROM customers AS c WHERE c.id = t.customer AND llama2_is_true(t.body) IS NOT NULL RETURNING t.id, c.id, summary',
	'DELETE FROM contested WHERE llama2_chat(body) <> $$$$ AND customer < 9 RETURNING id, body',
	'SELECT id, llama2_chat(body), customer FROM contested WHERE customer < 9 AND llama2_is_true(body) IS NOT NULL ORDER BY id FOR UPDATE');
my $changer = RawClient->new($node);
for my $sql (@contested)
{
	my %rows;
	for my $batch_scan ('on', 'off')
	{
		$changer->query(q{BEGIN; UPDATE contested SET body = 'The lamp is great.' WHERE id IN (5, 8); DELETE FROM contested WHERE id = 9; UPDATE contested SET customer = 9 WHERE id = 12});
		$client->query("SET llama2.batch_scan = $batch_scan; BEGIN");
		$client->send_query($sql);
		my $until = time() + 60;
		sleep 0.01 until $watcher->query('SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = ' . $client->pid)->[0][0] > 0 || time() > $until;
		$changer->query('COMMIT');
		my @got;
		while (defined(my $row = $client->next_row)) { push @got, $row; }
		$rows{$batch_scan} = flat(\@got);
		$client->query('ROLLBACK');
		$client->query('DELETE FROM contested; INSERT INTO contested SELECT * FROM tickets');
	}
	is($rows{on}, $rows{off}, "rows that were changed, moved away or deleted: $sql");
	like($rows{on}, qr/^5\|.*^8\|/ms, 'are there');
	unlike($rows{on}, qr/^(9|12)\|/m, 'or are not');
}
$client->query('SET llama2.batch_scan = on; DROP TABLE contested');

# --- foreign tables, which an Append asks for rows without waiting

SKIP:
{
	skip 'there is no postgres_fdw', 1 unless $client->query(q{SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'})->[0][0];
	$client->query('CREATE EXTENSION postgres_fdw');
	$client->query(sprintf q{CREATE SERVER here FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '%s', port '%s', dbname 'postgres', async_capable 'true')}, $node->host, $node->port);
	$client->query(q{CREATE USER MAPPING FOR CURRENT_USER SERVER here;
		CREATE TABLE near AS SELECT id, body FROM tickets WHERE id < 20; CREATE TABLE far AS SELECT id, body FROM tickets WHERE id >= 20;
		CREATE TABLE foreign_parts (id int, body text) PARTITION BY RANGE (id);
		CREATE FOREIGN TABLE foreign_near PARTITION OF foreign_parts FOR VALUES FROM (0) TO (20) SERVER here OPTIONS (table_name 'near');
		CREATE FOREIGN TABLE foreign_far PARTITION OF foreign_parts FOR VALUES FROM (20) TO (100) SERVER here OPTIONS (table_name 'far')});
	compare($client, 'foreign partitions',
		'SELECT count(*), max(a), sum(id) FROM (SELECT id, llama2_chat(body) AS a FROM foreign_parts OFFSET 0) AS q',
		'SELECT id, a FROM (SELECT id, llama2_chat(body) AS a FROM foreign_parts OFFSET 0) AS q ORDER BY id',
		'SELECT count(*), sum(id) FROM (SELECT id FROM foreign_parts WHERE llama2_perplexity(body) > 0 OFFSET 0) AS q',
		'SELECT id, llama2_chat(body) FROM foreign_near ORDER BY id',
		'SELECT id FROM foreign_parts WHERE llama2_is_true(body) IS NOT NULL ORDER BY id');
	$client->query('DROP TABLE foreign_parts, near, far');
}

# --- prepared statements

$client->query('SET plan_cache_mode = force_generic_plan');
$client->query(q{PREPARE p (text, int, int) AS SELECT id, llama2_generate($1 || body, max_tokens => $2) FROM tickets ORDER BY id LIMIT $3});
for my $arguments ("'Summarize: ', 4, 10", "'Why? ', 2, 40", "NULL, 4, 3", "'x', 1, NULL")
{
	my $with = rows_with($client, 'on', "EXECUTE p($arguments)");
	my ($text, $tokens, $limit) = split /, /, $arguments;
	is_deeply($with, rows_with($watcher, 'off', "SELECT id, llama2_generate($text || body, max_tokens => $tokens) FROM tickets ORDER BY id LIMIT $limit"),
		"a generic plan: $arguments");
}
like(join(' ', map { $_->[0] } @{ $client->query('EXPLAIN (VERBOSE) EXECUTE p(NULL, 1, 1)') }), qr/Llama2 Batch.*\$1/, 'it is generic, with a batch scan');
is(requests_of(q{EXECUTE p('Limit ', 2, 4)}), 3, 'the parameter of LIMIT bounds it: four rows, one of them NULL');
$client->query('SET llama2.batch_scan = off');
is_deeply($client->query(q{EXECUTE p('Why? ', 2, 40)}), rows_with($watcher, 'off', q{SELECT id, llama2_generate('Why? ' || body, max_tokens => 2) FROM tickets ORDER BY id}),
	'the plan still works when the parameter is off');
$client->query('RESET llama2.batch_scan; RESET plan_cache_mode');

# --- parallel workers

$client->query('SET force_parallel_mode = on');
srand 5;
compare($client, 'force_parallel_mode', grep { /ORDER BY|LIMIT 1\b/ } map { generated_query() } 1 .. 30);
$client->query('RESET force_parallel_mode');
$client->query('ALTER TABLE tickets SET (parallel_workers = 2)');
$client->query('SET parallel_leader_participation = off; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2');
my @parallel = ('SELECT id, llama2_chat(body) FROM tickets ORDER BY id',
	q{SELECT id FROM tickets WHERE llama2_chat(body) LIKE '%a%' ORDER BY id},
	q{SELECT count(*), max(llama2_generate(body)), min(id) FROM tickets},
	q{SELECT t.id, llama2_chat(c.name || body) FROM tickets AS t JOIN customers AS c ON c.id = t.customer ORDER BY t.id});
my $parallel_plans = grep { my $plan = join "\n", map { $_->[0] } @{ $client->query("EXPLAIN $_") }; $plan =~ /Gather.*Llama2 Batch/s } @parallel;
cmp_ok($parallel_plans, '>=', 2, "batch scans below Gather ($parallel_plans)");
compare($client, 'parallel', @parallel);
my $explained = join "\n", map { $_->[0] } @{ $client->query("EXPLAIN (ANALYZE) $parallel[1]") };
like($explained, qr/Gather.*Llama2 Batch.*Requests: \d+  Duplicates: \d+/s, 'EXPLAIN ANALYZE of a parallel plan');
my ($asked, $saved) = $explained =~ /Requests: (\d+)  Duplicates: (\d+)/;
is($asked + $saved, 34, 'counts the calls of its workers');

# A subquery of an expression is shut down with each node that has it, and its shared memory only once
my $hashed = 'SELECT id, llama2_chat(name), id IN (SELECT length(llama2_chat(body)) FROM tickets), CASE WHEN llama2_chat(name) NOT IN (SELECT llama2_chat(body) FROM tickets WHERE body IS NOT NULL) THEN 1 END FROM customers ORDER BY id';
like(join("\n", map { $_->[0] } @{ $client->query("EXPLAIN $hashed") }), qr/Llama2 Batch.*SubPlan 1.*Gather.*Llama2 Batch.*SubPlan 2.*Gather.*Llama2 Batch/s, 'batch scans below Gather in hashed subqueries of one');
compare($client, 'parallel subqueries', $hashed, "SELECT * FROM ($hashed LIMIT 2) AS q");
like(join("\n", map { $_->[0] } @{ $client->query("EXPLAIN (ANALYZE) $hashed") }), qr/SubPlan 1.*Gather.*Requests: [1-9].*SubPlan 2.*Gather.*Duplicates: [1-9]/s, 'their calls are counted');

# Who wants a few rows has no worker make calls for as many again
$client->query(q{CREATE TABLE halves (id int, body text) PARTITION BY HASH (id); CREATE TABLE half_0 PARTITION OF halves FOR VALUES WITH (MODULUS 2, REMAINDER 0);
	CREATE TABLE half_1 PARTITION OF halves FOR VALUES WITH (MODULUS 2, REMAINDER 1); INSERT INTO halves SELECT i, 'Half ' || i FROM generate_series(1, 2000) AS i; ANALYZE halves});
for my $rows ('tickets WHERE body IS NOT NULL', 'tickets WHERE body IS NOT NULL ORDER BY id DESC', 'halves', 'halves ORDER BY body, id')
{
	my $sql = "SELECT llama2_generate(body || ' ' || id) FROM $rows";

	like(join("\n", map { $_->[0] } @{ $client->query("EXPLAIN $sql") }), qr/Gather/, "$rows: parallel");
	is(requests_of("$sql LIMIT 1"), 1, 'LIMIT 1 is one generation all the same');
	is(requests_of("SELECT * FROM ($sql LIMIT (SELECT 3)) AS q"), 3, 'LIMIT 3 is three');
	is(requests_of("SELECT EXISTS ($sql OFFSET 0)"), 1, 'EXISTS is one');
}
like(join("\n", map { $_->[0] } @{ $client->query('EXPLAIN SELECT id FROM halves ORDER BY llama2_generate(body), id LIMIT 1') }),
	qr/Limit.*Sort.*Gather.*Llama2 Batch/s, 'what is sorted first is wanted whole, and workers help');
$client->query('ALTER TABLE tickets RESET (parallel_workers)');
$client->query('RESET ALL');
no_requests_left('parallel workers');

# --- progress and cancellation

my $long = q{SELECT id, llama2_generate('Once upon a time ' || i, max_tokens => 100, temperature => 1) FROM tickets, generate_series(1, 500) AS i};
$client->query(q{CREATE ROLE somebody; CREATE ROLE auditor IN ROLE pg_read_all_stats});
$client->send_query("CREATE TABLE never AS $long");
my $seen;
my $deadline = time() + 60;
do { $seen = $watcher->query('SELECT pid, usename, datname, rows_read, rows_done, estimated_rows, completion_tokens, tokens_per_second > 0 FROM llama2_progress')->[0]; sleep 0.02; }
	until ($seen && $seen->[4] > 2 || time() > $deadline);
is($seen->[0], $client->pid, 'progress of a statement by its process');
is($seen->[2], 'postgres', 'its database');
cmp_ok($seen->[3], '>=', $seen->[4], 'rows read are not fewer than rows done');
cmp_ok($seen->[3] - $seen->[4], '<=', 200, 'and not many more');
is($seen->[5], 20000, 'the rows that the planner expects');
cmp_ok($seen->[6], '>', 0, 'tokens');
is($seen->[7], 't', 'tokens per second');
is($watcher->query('SET ROLE somebody; SELECT count(*) FROM llama2_progress')->[0][0], 0, 'others do not see it');
is($watcher->query('SET ROLE auditor; SELECT count(*) FROM llama2_progress')->[0][0], 1, 'members of pg_read_all_stats do');
$watcher->query('RESET ROLE');
cmp_ok($watcher->query('SELECT count(*) FROM llama2_requests')->[0][0], '>', 10, 'many requests at once');
$watcher->query('SELECT pg_cancel_backend(' . $client->pid . ')');
is($client->next_row->{sqlstate}, '57014', 'cancelled');
no_requests_left('a cancelled statement');

$client->query(q{SET statement_timeout = '300ms'});
is($client->query($long)->{sqlstate}, '57014', 'statement_timeout');
$client->query('RESET statement_timeout');
no_requests_left('a statement that ran out of time');

my $leaver = RawClient->new($node);
$leaver->send_query("CREATE TABLE never AS $long");
$deadline = time() + 60;
sleep 0.02 until $watcher->query('SELECT count(*) FROM llama2_requests')->[0][0] > 5 || time() > $deadline;
$leaver->vanish;
no_requests_left('a client that is gone');

# What is queued waits for the next worker; what is being computed fails.
$client->send_query($long);
$deadline = time() + 60;
sleep 0.02 until $watcher->query('SELECT count(*) FROM llama2_requests WHERE state = $$decode$$')->[0][0] > 5 || time() > $deadline;
$watcher->query('SELECT pg_terminate_backend(worker_pid) FROM llama2_status');
my $row;
do { $row = $client->next_row } while (ref $row eq 'ARRAY');
is($row->{sqlstate}, '57000', 'the worker ends in the middle of a statement');
no_requests_left('a worker that ended');
$node->stop;

# --- rows that begin alike

# Six instructions in turns, where the cache has room for hardly more than what runs.
my $small = llama2_server('small_cache', 'llama2.max_tokens' => 4, 'llama2.temperature' => 0, 'llama2.kv_cache_size' => 2,
	'llama2.max_batch' => 1, 'llama2.batch_size' => 48, jit => 'off');
my $alike = RawClient->new($small);
my $instructions = q{SELECT i, llama2_generate(repeat((ARRAY['Red', 'Green', 'Blue', 'Black', 'White', 'Gold'])[i % 6 + 1] || ' is the colour of it. ', 24)
	|| 'Row ' || i, max_tokens => 2) FROM generate_series(1, 48) AS i};
$alike->query('SELECT llama2_count_tokens($$wait$$)');
$alike->query('SELECT llama2_stats_reset()');
my $in_groups = $alike->query($instructions);
my ($prompt_tokens, $cached_tokens) = @{ $alike->query('SELECT prompt_tokens, cached_tokens FROM llama2_stats')->[0] };
cmp_ok($cached_tokens, '>', $prompt_tokens / 2, "rows that share an instruction meet while it is cached ($cached_tokens of $prompt_tokens)");
$alike->query('SELECT llama2_stats_reset()');
is_deeply(rows_with($alike, 'off', $instructions), $in_groups, 'the texts are those of their own order');
cmp_ok($alike->query('SELECT cached_tokens FROM llama2_stats')->[0][0], '<', $prompt_tokens / 4, 'in which they do not meet');
$small->stop;

# --- few slots

my $narrow = llama2_server('few_slots', 'llama2.max_tokens' => 4, 'llama2.temperature' => 0, 'llama2.max_requests' => 3,
	'llama2.max_batch' => 2, jit => 'off');
my @sessions = map { RawClient->new($narrow) } 1 .. 4;
make_tables($sessions[0]);
srand 6;
my @queries = grep { !/t\.id - \d|max_tokens => t\.id % 4\)/ } map { generated_query() } 1 .. 60;
$#queries = 23;
my @expected = map { flat(rows_with($sessions[0], 'off', $_)) } @queries;
my @got;
while (my ($number) = grep { !defined $got[$_] } 0 .. $#queries)
{
	my @numbers = grep { $_ <= $#queries } $number .. $number + $#sessions;

	for my $i (0 .. $#numbers)
	{
		$sessions[$i]->query('SET llama2.batch_scan = on');
		$sessions[$i]->send_query($queries[ $numbers[$i] ]);
	}
	for my $i (0 .. $#numbers)
	{
		my @rows;
		while (defined(my $row = $sessions[$i]->next_row(60)))
		{
			push @rows, $row;
			last if ref $row eq 'HASH';
		}
		$got[ $numbers[$i] ] = @rows && ref $rows[-1] eq 'HASH' ? flat($rows[-1]) : flat(\@rows);
	}
}
is_deeply(\@got, \@expected, 'four sessions, three slots, calls in calls: the same rows, and nobody waits forever');
is($sessions[0]->query(q{SELECT cardinality(llama2_generate(array_agg('Number ' || i))) FROM generate_series(1, 50) AS i})->[0][0], 50,
	'an array of more prompts than there are slots');
$narrow->stop;
done_testing();
