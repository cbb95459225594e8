# A job for whose answer the system gives no shared memory: it fails, and its place is free for others.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'there is no prlimit' if system('prlimit --pid=$$ --fsize >/dev/null 2>&1') != 0;

# Segments of WAL are files as well, and smaller than the limit.
my $node = PostgreSQL::Test::Cluster->new('short_memory');
$node->init(extra => ['--wal-segsize=1']);
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'llama2'
autovacuum = off
dynamic_shared_memory_type = posix
llama2.max_requests = 2
llama2.job_retries = 0
llama2.job_keep_alive = 0
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION llama2');

# Job workers that start from now on can make files, and segments of shared memory, of so many bytes.
sub limit_files
{
	my ($bytes) = @_;
	my $postmaster = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];

	system_or_bail('prlimit', "--pid=$postmaster", "--fsize=$bytes:");
	return;
}

sub until_true
{
	my ($condition) = @_;
	return $node->poll_query_until('postgres', "SELECT $condition");
}

my $no_worker = q{NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'llama2 job worker')};
my $large = q{SET llama2.max_tokens_limit = 1048576;
	SELECT llama2_submit('Once', max_tokens => 1048576, temperature => 0, options => '{"context_shift": true}')};

$node->safe_psql('postgres', q{SELECT llama2_generate('Once', max_tokens => 1)});
ok(until_true($no_worker), 'no job, no worker');
limit_files(4000000);
for my $n (1, 2)
{
	my $id = $node->safe_psql('postgres', $large);
	ok(until_true("state = 'failed' FROM llama2_jobs WHERE id = $id"), "job $n fails");
	like($node->safe_psql('postgres', "SELECT error FROM llama2_jobs WHERE id = $id"),
		qr/^could not resize shared memory segment ".*" to \d+ bytes: File too large$/, 'and says why');
	ok(until_true($no_worker), 'its worker goes');
}
limit_files('unlimited');

my ($status, $out, $err) = $node->psql('postgres', q{SET statement_timeout = '20s'; SELECT llama2_generate('Once', max_tokens => 1) IS NOT NULL});
is("$out$err", 't', 'their places are free');
my $id = $node->safe_psql('postgres', q{SELECT llama2_submit('Once', max_tokens => 2)});
ok(until_true("state = 'done' FROM llama2_jobs WHERE id = $id"), 'for other jobs, too');

$node->stop;
done_testing();
