# A conversation of 200 turns over a context of 512 tokens, with a restart in between; two connections that
# talk to one conversation; what is left after errors; and a dump that is restored.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Llama2Server;
use PostgreSQL::Test::Utils;
use RawClient;
use Test::More;
use Time::HiRes qw(sleep);

my $turns = 200;
my $max_tokens = 60;
my $node = llama2_server('conversation', 'llama2.context_length' => 512, 'llama2.temperature' => 0, 'llama2.max_tokens' => $max_tokens);

# The dialog that a turn's prompt is to be made of
$node->safe_psql('postgres', q{
	CREATE FUNCTION messages(turn llama2_turns) RETURNS jsonb LANGUAGE sql AS $$
		SELECT (SELECT CASE WHEN c.system IS NULL THEN '[]' ELSE jsonb_build_array(jsonb_build_object('role', 'system', 'content', c.system)) END
				FROM llama2_conversations AS c WHERE c.id = turn.conversation)
			|| coalesce((SELECT jsonb_agg(part ORDER BY t.number, place) FROM llama2_turns AS t,
						 LATERAL (VALUES (1, jsonb_build_object('role', 'user', 'content', t.message)),
									 (2, jsonb_build_object('role', 'assistant', 'content', t.answer))) AS parts (place, part)
						 WHERE t.conversation = turn.conversation AND t.number >= turn.first_turn AND t.number < turn.number), '[]')
			|| jsonb_build_array(jsonb_build_object('role', 'user', 'content', turn.message))
	$$;
});

sub value
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', "SELECT $sql");
}

# Every turn was asked with the dialog before it, in their order.
sub turns_are_whole
{
	my ($name, $n) = @_;

	is(value("array_agg(number ORDER BY number) = array_agg(n ORDER BY n) FROM generate_series(1, $n) AS n FULL JOIN (SELECT number FROM llama2_turns WHERE name = '$name') AS t ON number = n"),
		't', "$name: turns 1 to $n");
	is(value("count(*) FROM llama2_turns AS t WHERE name = '$name' AND prompt_tokens <> cardinality(llama2_chat_prompt(messages(t)))"),
		0, "$name: the prompt of each turn is the dialog before it");
	is(value("count(*) FROM llama2_turns AS t WHERE name = '$name' AND answer <> llama2_chat(messages(t), max_tokens => $max_tokens)"),
		0, "$name: and so is its answer");
	return;
}

# 200 turns
my @questions = ('What is a table?', 'Who are you?', 'What can you do?', 'Thank you', 'What is a database?', 'Tell me a story about a llama.',
	'Is this review positive, negative or neutral? I love this lamp. It is easy to use.');
my (@messages, @answers);

sub talk
{
	my ($n) = @_;
	my $client = RawClient->new($node);

	for (1 .. $n)
	{
		my $message = sprintf '%d: %s', scalar @messages + 1, $questions[ @messages % @questions ];
		my $rows = $client->query("SELECT llama2_chat(conversation => 'long', message => '$message')");

		die "turn failed: $rows->{error}" if ref $rows eq 'HASH';
		push @messages, $message;
		push @answers, $rows->[0][0];
	}
	return;
}
$node->safe_psql('postgres', q{SELECT llama2_conversation_start('long', system => 'Always answer in capital letters.')});
talk($turns / 2);
$node->restart;
talk($turns / 2);

turns_are_whole('long', $turns);
is(value(q{string_agg(message, '|' ORDER BY number) FROM llama2_turns WHERE name = 'long'}), join('|', @messages), 'no message is lost');
is(value(q{string_agg(answer, '|' ORDER BY number) FROM llama2_turns WHERE name = 'long'}), join('|', @answers), 'nor an answer');
is(value(q{max(prompt_tokens) <= 512 - 60 AND max(prompt_tokens) > 300 FROM llama2_turns WHERE name = 'long'}), 't', 'prompts are long, and leave room for the answer');
cmp_ok(value(q{count(*) FROM llama2_turns WHERE name = 'long' AND answer = upper(answer)}), '>', 0.9 * $turns, 'the model follows the system instructions to the end');

# Each turn computes its own tokens, and what is not a full page of the prefix cache; but the first after the restart, and those that left turns out.
my $computed = q{SELECT number, first_turn, prompt_tokens - cached_tokens AS computed,
		prompt_tokens - lag(prompt_tokens + completion_tokens) OVER turns AS own,
		first_turn <> lag(first_turn) OVER turns AS left_out
	FROM llama2_turns WHERE name = 'long' WINDOW turns AS (ORDER BY number)};
is(value("count(*) FROM ($computed) AS c WHERE number > 1 AND NOT left_out AND number <> $turns / 2 + 1 AND computed > own + 32"),
	0, 'a turn computes its own tokens only');
my $left_out = value("count(*) FROM ($computed) AS c WHERE left_out");
cmp_ok($left_out, '>', 10, 'turns were left out');
cmp_ok($left_out, '<', $turns / 4, 'but seldom');
note value("sum(computed) || ' of ' || sum(prompt_tokens) || ' prompt tokens computed' FROM ($computed) AS c JOIN llama2_turns USING (number) WHERE name = 'long'");
note "turns were left out $left_out times";

# The worker's own count of the tokens that it computed says the same: each turn in a session of its own, until the context is full
# and beyond, and after a restart.
my $prefilled = 'prefill_tokens FROM llama2_stats';
my $own = q{prompt_tokens - coalesce(lag(prompt_tokens + completion_tokens) OVER (ORDER BY number), 0), first_turn, prompt_tokens - cached_tokens
	FROM llama2_turns WHERE name = 'sessions' ORDER BY number DESC LIMIT 1};
my ($first_turn, $n_own, $n_whole) = (1, 0, 0);
for my $number (1 .. 30)
{
	my $restarted = $number == 25;

	$node->restart if $restarted;
	my $before = value($prefilled);
	value(qq{llama2_chat('sessions', '$number: ' || repeat('word ', 12), options => '{"min_tokens": 6, "max_tokens": 10}')});
	my ($tokens, $first, $told) = split /\|/, value($own);

	# the worker adds up its counts after the step
	$node->poll_query_until('postgres', 'SELECT ' . ($before + $told) . " <= $prefilled");
	my $computed = value($prefilled) - $before;
	is($computed, $told, "turn $number: as many prompt tokens were computed as the turn says");
	if ($first == $first_turn && !$restarted)
	{
		cmp_ok($computed, '<=', $tokens + 32, "turn $number: its own tokens, of a page of the cache at most more");
		$n_own++;
	}
	else
	{
		$n_whole++;
	}
	$first_turn = $first;
}
cmp_ok($n_whole, '>=', 2, 'the context was full, and there was a restart');
cmp_ok($n_whole, '<=', 5, 'which are the turns that compute more');
cmp_ok($n_own, '>=', 25, 'the others compute their own tokens');

# A conversation that is full says so.
my ($out, $err);
$node->psql('postgres', q{SELECT llama2_chat('full', repeat('word ', 150)); SELECT llama2_chat('full', repeat('word ', 150)); SELECT llama2_chat('full', repeat('word ', 150))},
	stderr => \$err);
like($err, qr/NOTICE:  conversation "full" no longer fits the context of 512 tokens: turns 1 to 2 are left out of its prompts\n.*DETAIL:  The view llama2_turns still has all turns\./s,
	'a notice');

# Two connections: the second waits for the first one's transaction, can be cancelled, and sees its turn.
my ($first, $second) = map { RawClient->new($node) } 1 .. 2;
$first->query(q{BEGIN; SELECT llama2_chat('shared', 'Who are you?', system => 'You are a pirate.')});
$second->send_query(q{SELECT llama2_chat('shared', 'What is 2 plus 5?')});
sub wait_for_second
{
	$node->poll_query_until('postgres', "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = " . $second->pid)
	  or die 'the second connection does not wait';
	return;
}
wait_for_second();
value('pg_cancel_backend(' . $second->pid . ')');
is($second->next_row->{sqlstate}, '57014', 'a turn that waits can be cancelled');
$second->send_query(q{SELECT llama2_chat('shared', 'What is 2 plus 5?')});
wait_for_second();
$first->query('COMMIT');
is($second->next_row->[0], 'Arr, 7, matey!', 'the second sees the turn, and the system instructions, of the first');
is($second->next_row, undef, 'and is done');

# What the second connection gets, which waits until the first one's transaction ends: a value, or the state of an error
sub after_first
{
	my ($of_first, $end, $of_second) = @_;

	$first->query("BEGIN; SELECT $of_first");
	$second->send_query("SELECT $of_second");
	wait_for_second();
	$first->query($end);
	my $row = $second->next_row;
	return $row->{sqlstate} if ref $row eq 'HASH';
	is($second->next_row, undef, 'the second is done');
	return $row->[0];
}
is(after_first(q{llama2_chat('shared', 'Hello')}, 'ROLLBACK', q{llama2_chat('shared', 'Thank you')}), 'Arr, you are welcome, matey!', 'a turn that is rolled back');
is(value(q{array_agg(message ORDER BY number) FROM llama2_turns WHERE name = 'shared'}), '{"Who are you?","What is 2 plus 5?","Thank you"}', 'and leaves nothing');
turns_are_whole('shared', 3);

# A conversation that is dropped while a turn waits for it, and one that is to be dropped while its turn runs
my $start = q{llama2_conversation_start('doomed', system => 'You are a pirate.')};
my $drop = q{llama2_conversation_drop('doomed')};
my $ask = q{llama2_chat('doomed', 'Who are you?')};
my $doomed = value($start);
is(after_first($drop, 'ROLLBACK', $ask), 'Arr, I am a small Llama 2 model that runs inside PostgreSQL, matey!', 'a drop that is rolled back');
is(after_first($drop, 'COMMIT', "llama2_chat($doomed, 'Hello')"), '42704', 'a turn by the id of a conversation that was dropped meanwhile');
value($start);
is(after_first($drop, 'COMMIT', $ask), 'I am a small Llama 2 model that runs inside PostgreSQL.', 'by its name: it starts a new one');
is(after_first($ask, 'COMMIT', $drop), 't', 'a drop waits for the turn');
is(value(q{count(*) FROM llama2_turns WHERE name = 'doomed'}), 0, 'and takes it along');

# A snapshot that is older than the last turn
$first->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
$second->query(q{SELECT llama2_chat('shared', 'Hello')});
is($first->query(q{SELECT llama2_chat('shared', 'Hello')})->{sqlstate}, '40001', 'is a serialization failure');
$first->query('ROLLBACK');

# Connections that start one conversation at the same time, and go on with it
my $script = $node->basedir . '/turn.sql';
append_to_file($script, "\\set n random(1, 1000)\nSELECT llama2_chat('busy', 'My number is ' || :n || '.');\n");
for my $clients (2, 8)
{
	$node->safe_psql('postgres', q{SELECT llama2_conversation_drop('busy')});
	run_log([ 'pgbench', '-n', '-c', $clients, '-j', 2, '-t', 40 / $clients, '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres' ])
	  or die 'pgbench failed';
	turns_are_whole('busy', 40);
}

# What fails, or is stopped, leaves no half turn and no lock.
my $endless = q{SELECT llama2_chat('shared', 'Hello', max_tokens => 300, options => '{"ignore_eos": true}')};
my $before = value(q{turns FROM llama2_conversations WHERE name = 'shared'});
sub wait_until_running
{
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM llama2_requests WHERE state = 'decode'}) or die 'no request runs';
	return;
}
$node->append_conf('postgresql.conf', "llama2.kernels = generic\nllama2.threads = 1\n");
$node->restart;
($first, $second) = map { RawClient->new($node) } 1 .. 2;
$first->send_query($endless);
wait_until_running();
value('pg_cancel_backend(' . $first->pid . ')');
is($first->next_row->{sqlstate}, '57014', 'a turn is cancelled');
$first->send_query($endless);
wait_until_running();
value('pg_terminate_backend(worker_pid) FROM llama2_status');
is($first->next_row->{sqlstate}, '57000', 'the worker ends');
$first->send_query($endless);
wait_until_running();
value('pg_terminate_backend(' . $first->pid . ')');
is($first->next_row->{sqlstate}, '57P01', 'the connection ends');
is(value(q{turns FROM llama2_conversations WHERE name = 'shared'}), $before, 'no turn is left');
is(value(q{count(*) FROM llama2_turns WHERE name = 'shared'}), $before, 'nor half of one');
is($second->query(q{SELECT llama2_chat('shared', 'What is 2 plus 5?')})->[0][0], 'Arr, 7, matey!', 'the conversation goes on');

# Dropped by one while another waits
$first = RawClient->new($node);
$first->query(q{BEGIN; SELECT llama2_conversation_drop('shared')});
$second->send_query(q{SELECT llama2_chat('shared', 'Who are you?')});
wait_for_second();
$first->query('COMMIT');
is($second->next_row->[0], 'I am a small Llama 2 model that runs inside PostgreSQL.', 'a conversation that was dropped is started again');

# A dump keeps conversations and turns, but not those of roles that are gone.
$node->safe_psql('postgres', q{
	CREATE ROLE alice; CREATE ROLE gone;
	SET ROLE alice; SELECT llama2_chat('hers', 'Who are you?', system => 'You are a pirate.');
	SET ROLE gone; SELECT llama2_chat('his', 'Who are you?');
	RESET ROLE; DROP ROLE gone;
});
my $dump = $node->basedir . '/conversations.dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('postgres') ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'pg_restore', '-d', $node->connstr('restored'), $dump ], 'pg_restore');
for my $table ('llama2_turns', 'llama2_conversations')
{
	my $all = "SELECT t FROM $table AS t WHERE name IS DISTINCT FROM 'his' ORDER BY t";

	is($node->safe_psql('restored', $all), $node->safe_psql('postgres', $all), "$table: all rows are restored");
	is($node->safe_psql('restored', "SELECT count(*) FROM $table WHERE name = 'his'"), 0, "$table: none of a role that is gone");
}
is($node->safe_psql('restored', q{SET ROLE alice; SELECT llama2_chat('hers', 'What is 2 plus 5?')}), 'Arr, 7, matey!', 'a conversation goes on');
is($node->safe_psql('restored', 'SELECT llama2_conversation_start() > (SELECT max(id) FROM llama2_conversation)'), 't', 'and new ones have new ids');

$node->stop;
done_testing();
