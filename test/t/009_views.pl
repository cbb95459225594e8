# llama2_requests and llama2_stats: who sees what, and what the counters count.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Llama2Server;
use RawClient;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = llama2_server('views', 'llama2.kernels' => 'generic', 'llama2.threads' => 1, 'llama2.max_batch' => 2);
my $client = RawClient->new($node);
my $watcher = RawClient->new($node);

$client->query('CREATE ROLE ordinary; CREATE ROLE other; CREATE ROLE auditor IN ROLE pg_read_all_stats');
$client->query(q{SELECT llama2_count_tokens('wait for the model')});

sub stats
{
	my ($columns) = @_;
	return join ' ', @{ $watcher->query("SELECT $columns FROM llama2_stats")->[0] };
}

sub wait_until
{
	my ($condition) = @_;
	my $deadline = time() + 60;

	sleep 0.01 until $watcher->query("SELECT $condition")->[0][0] eq 't' || time() > $deadline;
	return;
}

# Who sees whose requests
my %session = map { $_ => RawClient->new($node) } qw(ordinary other auditor);
$session{$_}->query("SET ROLE $_") for keys %session;
my $endless = q{SELECT llama2_generate('Once upon a time', max_tokens => 500, options => '{"ignore_eos": true}')};
$client->query('SET ROLE other');
$client->send_query($endless);
my $queued = RawClient->new($node);
my $running = RawClient->new($node);
$_->query('SET ROLE ordinary') for $queued, $running;
$running->send_query($endless);
wait_until(q{(SELECT count(*) = 2 FROM llama2_requests WHERE state = 'decode')});
$queued->send_query(q{SELECT llama2_perplexity('Once upon a time')});
wait_until(q{(SELECT count(*) = 3 FROM llama2_requests)});

my %seen = map { $_ => $session{$_}->query('SELECT DISTINCT usename FROM llama2_requests ORDER BY 1') } keys %session;
is_deeply($seen{ordinary}, [ ['ordinary'] ], 'a role sees its own requests');
is_deeply($seen{other}, [ ['other'] ], 'and so does another');
is_deeply($seen{auditor}, [ ['ordinary'], ['other'] ], 'pg_read_all_stats sees all');
is($watcher->query('SELECT count(*) FROM llama2_requests')->[0][0], 3, 'a superuser, too');
$watcher->query('GRANT ordinary TO other');
is($session{other}->query('SELECT count(*) FROM llama2_requests')->[0][0], 3, 'a role sees those of the roles that it is a member of');

# What a row says
is_deeply($watcher->query(q{SELECT datname, model, kind, state, prompt_tokens, prefilled_tokens, max_tokens, cancelled,
		queued_at <= started_at, result_tokens > 0 FROM llama2_requests WHERE usename = 'other'}),
	[ [ 'postgres', 'tinychat-6m', 'generate', 'decode', 5, 5, 500, 'f', 't', 't' ] ], 'a request that runs');
is_deeply($watcher->query('SELECT pid FROM llama2_requests WHERE kind = $$score$$')->[0][0], $queued->pid, 'by its session');
is_deeply($watcher->query(q{SELECT kind, state, started_at, prompt_tokens, result_tokens, max_tokens FROM llama2_requests WHERE kind = 'score'}),
	[ [ 'score', 'queued', undef, 5, 0, undef ] ], 'one that is queued, as the batch is full');
is_deeply($watcher->query('SELECT running, queued FROM llama2_status'), [ [ 2, 1 ] ], 'llama2_status counts them');
my $first = $watcher->query(q{SELECT result_tokens FROM llama2_requests WHERE usename = 'other'})->[0][0];
wait_until(qq{(SELECT bool_and(result_tokens > $first) FROM llama2_requests WHERE usename = 'other')});
pass('result_tokens grows');
is($watcher->query(q{SELECT kv_pages > kv_pages_free FROM llama2_status})->[0][0], 't', 'pages are in use');
is($watcher->query(q{SELECT wait_event_type FROM pg_stat_activity WHERE pid = } . $queued->pid)->[0][0], 'Extension',
	'a session that waits for an answer is seen waiting');

$watcher->query('SELECT pg_cancel_backend(' . $_->pid . ')') for $client, $running;
is($_->next_row->{sqlstate}, '57014', 'cancelled') for $client, $running;
ok($queued->next_row->[0] > 1, 'the queued one has its turn');
$queued->next_row;
wait_until('(SELECT count(*) = 0 FROM llama2_requests)');
is($watcher->query('SELECT count(*) FROM llama2_requests')->[0][0], 0, 'no request, no row');

# Counters
wait_until('(SELECT running = 0 FROM llama2_status)');
is($watcher->query('SELECT llama2_stats_reset()')->[0][0], '', 'reset');
is(stats('requests, completed, failed, cancelled, prompt_tokens, completion_tokens, scored_tokens, steps, mean_batch'), '0 0 0 0 0 0 0 0 0', 'all zero');
is(stats('stats_reset > now() - interval $$10 s$$'), 't', 'and the time of it');

$watcher->query(q{SELECT llama2_generate('Once upon a time', temperature => 0, max_tokens => 10)});
is(stats('requests, completed, failed, cancelled, completion_tokens, scored_tokens'), '1 1 0 0 10 0', 'a generation');
is(stats('prompt_tokens'), 5, 'its prompt');
ok(stats('steps') >= 10, 'its steps');
is(stats('prefill_tokens + decode_tokens BETWEEN 10 AND 15'), 't', 'tokens computed');
is(stats('queue_ms >= 0 AND prefill_ms > 0 AND decode_ms > 0 AND step_ms > 0'), 't', 'times');
is(stats('mean_batch'), 1, 'alone in the batch');

$watcher->query(q{SELECT llama2_generate(ARRAY['Once', 'Two', 'Three'], max_tokens => 4, options => '{"ignore_eos": true}')});
is(stats('requests, completed, completion_tokens'), '4 4 22', 'an array is as many requests');
$watcher->query(q{SELECT llama2_perplexity('Once upon a time')});
is(stats('requests, completed, completion_tokens, scored_tokens'), '5 5 22 4', 'scoring');
$watcher->query(q{SELECT * FROM llama2_generate_stream('Once', max_tokens => 5, options => '{"ignore_eos": true}')});
is(stats('requests, completed, completion_tokens'), '6 6 27', 'a stream');
$watcher->query(q{SELECT llama2_generate_stream('Once', max_tokens => 400, options => '{"ignore_eos": true}') LIMIT 2});
wait_until('(SELECT count(*) = 0 FROM llama2_requests)');
is(stats('requests, completed, failed, cancelled'), '7 6 0 1', 'one that is given up');
$watcher->query(q{SELECT llama2_tokenize('Once'), llama2_count_tokens('Once'), llama2_generate(NULL::text)});
$watcher->query(q{SELECT llama2_generate('Once', max_tokens => 0)});
is(stats('requests, completed, failed, cancelled'), '7 6 0 1', 'what asks no worker is not counted');

$watcher->query(q{SELECT llama2_embed('Once upon a time')});
is(stats('requests, completed, failed, cancelled, scored_tokens'), '8 7 0 1 4', 'an embedding has no results that are tokens');

$running->query('RESET ROLE');
$running->send_query($endless);
wait_until(q{(SELECT count(*) = 1 FROM llama2_requests WHERE state = 'decode')});
my $starts = stats('worker_starts');
$watcher->query('SELECT pg_terminate_backend(worker_pid) FROM llama2_status');
is($running->next_row->{sqlstate}, '57000', 'the worker ends');
is(stats('requests, completed, failed, cancelled'), '9 7 1 1', 'a failure');
$watcher->query(q{SELECT llama2_generate('Once', max_tokens => 1)});
is(stats('worker_starts'), $starts + 1, 'another worker has started');
is(stats('requests - completed - failed - cancelled'), 0, 'each request is counted once in the end');

$node->stop;
done_testing();
