# Jobs pause while others want the processors; queries never do.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Llama2Server;
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'this system does not tell how long a thread waits for a processor'
  unless -r '/proc/thread-self/schedstat';

my $node = llama2_server('give_way');
my @busy;

# Processes that want all processors, and more.
sub start_busy
{
	my $parent = $$;
	my $processors = () = slurp_file('/proc/cpuinfo') =~ /^processor/mg;

	for (1 .. 2 * $processors)
	{
		my $pid = fork() // die "fork: $!";
		if ($pid == 0)
		{
			my $n = 0;
			$n++ while getppid() == $parent;
			POSIX::_exit(0);
		}
		push @busy, $pid;
	}
	return;
}

sub stop_busy
{
	local $?;

	kill 'KILL', @busy;
	waitpid($_, 0) for @busy;
	@busy = ();
	return;
}

sub value
{
	return $node->safe_psql('postgres', "SELECT $_[0]");
}

sub set_share
{
	my ($share) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET llama2.job_share = $share");
	$node->safe_psql('postgres', q{SELECT pg_reload_conf(), pg_sleep(0.3), llama2_generate('x', max_tokens => 1)});
	$node->safe_psql('postgres', 'SELECT llama2_stats_reset()');
	return;
}

# The pauses of so many jobs that all end.
sub pauses_of_jobs
{
	$node->safe_psql('postgres',
		q{SELECT llama2_submit('Tell me of the number ' || n, max_tokens => 20, temperature => 0) FROM generate_series(1, 40) n});
	$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM llama2_jobs WHERE state IN ('queued', 'running')}) or die;
	is(value(q{count(*) FROM llama2_jobs WHERE state <> 'done'}), 0, 'all jobs are done');
	return value('job_pauses FROM llama2_stats');
}

END { stop_busy(); }

start_busy();
set_share(5);
cmp_ok(pauses_of_jobs(), '>', 0, 'jobs pause while others want the processors');

set_share(5);
is(value(q{count(llama2_generate('Tell me of the number ' || n, max_tokens => 20, temperature => 0)) FROM generate_series(1, 40) n}),
	40, 'queries beside them');
is(value('job_pauses FROM llama2_stats'), 0, 'do not pause');

set_share(100);
is(pauses_of_jobs(), 0, 'nor do jobs where llama2.job_share is 100');

# Jobs that would take minutes with their pauses have all places; they hurry while a query waits for one.
$node->safe_psql('postgres', 'ALTER SYSTEM SET llama2.max_batch = 2');
set_share(1);
$node->safe_psql('postgres', q{SELECT llama2_submit('Once upon a time ' || n, max_tokens => 400, options => '{"ignore_eos": true}') FROM generate_series(1, 3) n});
$node->poll_query_until('postgres', q{SELECT count(*) >= 2 FROM llama2_requests WHERE state = 'decode'}) or die;
is($node->safe_psql('postgres', q{SET statement_timeout = '60s'; SELECT count(llama2_generate('x', max_tokens => 1))}), 1, 'a query does not wait for pauses');
$node->safe_psql('postgres', "SELECT llama2_cancel(id) FROM llama2_jobs WHERE state IN ('queued', 'running')");
$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM llama2_requests}) or die;
pass('nor do cancelled jobs');

# What a query cuts short is over when the query is: the jobs go on with a step and pause anew.  Their steps are so long that
# pauses are as long as they may be, and the queries last for a few of them.
$node->safe_psql('postgres', 'ALTER SYSTEM SET llama2.max_batch = 64');
set_share(1);
$node->safe_psql('postgres', q{SELECT llama2_submit('Once upon a time ' || n, max_tokens => 400, options => '{"ignore_eos": true}') FROM generate_series(1, 60) n});
$node->poll_query_until('postgres', q{SELECT job_pauses >= 10 FROM llama2_stats}) or die;
my $before = value('job_pauses FROM llama2_stats');
$node->safe_psql('postgres', q{SELECT $$SELECT llama2_generate('x', max_tokens => 1), pg_sleep(0.1)$$ FROM generate_series(1, 30) \gexec});
cmp_ok(value('job_pauses FROM llama2_stats') - $before, '>=', 20, 'a pause that a query cuts short is not taken up again');

done_testing();
