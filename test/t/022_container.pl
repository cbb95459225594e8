# A server in a container: a small /dev/shm and a control group's limit, made by namespaces where the system lets
# everybody have them.  What does not fit is refused with the numbers, and the server goes on.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Cwd qw(realpath);
use File::Copy;
use Llama2Server;
use ModelFile;
use PostgreSQL::Test::Utils;
use RawClient;
use Test::More;

plan skip_all => 'namespaces are not to be had'
  if system('unshare -Urm sh -c "mount -t tmpfs tmpfs /dev/shm && mount -t tmpfs tmpfs /sys/fs/cgroup && unshare -U --map-user=1 true" >/dev/null 2>&1') != 0;

my $MB = 1024 * 1024;
my $bundled = ($ENV{LLAMA2_MODELS} // 'models') . '/tinychat-6m.gguf';
my $folder = realpath(PostgreSQL::Test::Utils::tempdir());
my $bin = realpath(PostgreSQL::Test::Utils::tempdir());
copy($bundled, "$folder/tinychat-6m.gguf") or die "could not copy $bundled: $!";
write_model($bundled, "$folder/large.gguf", 6, 240);
cmp_ok(-s "$folder/large.gguf", '>', 100 * $MB, 'one model is larger than a container\'s /dev/shm');

my $node = llama2_server('container', 'llama2.model_directory' => $folder, 'llama2.kv_cache_size' => '16MB',
	'llama2.context_length' => 64);
my $chat = q{SELECT llama2_chat('What is PostgreSQL?', temperature => 0)};
my $answer = 'PostgreSQL is a database that stores data in tables.';

# /dev/shm alone
my ($client, $sqlstate, $error, $hint) = refused('64m', {});
is($sqlstate, '53200', 'what does not fit /dev/shm is refused');
like($error, qr/^model "large" needs \d+ MB.*\/dev\/shm has only \d\d MB free/, 'with the numbers');
like($hint, qr/--shm-size/, 'and what to do');
$node->stop;

# A limit, as both versions of control groups tell it; all of it is used, 100 MB of that for files
for my $case (
	[ 'version 2', { 'memory.max' => 500 * $MB, 'memory.current' => 500 * $MB, 'memory.stat' => "anon 1\ninactive_file " . 100 * $MB . "\n" } ],
	[ 'version 1', { 'memory/memory.limit_in_bytes' => 500 * $MB, 'memory/memory.usage_in_bytes' => 500 * $MB,
		'memory/memory.stat' => "inactive_file 1\ntotal_inactive_file " . 100 * $MB . "\n" } ])
{
	my ($version, $files) = @$case;

	($client, $sqlstate, $error, $hint) = refused('1g', $files);
	is($sqlstate, '53200', "$version: what does not fit the container's limit is refused");
	like($error, qr/^model "large" needs \d+ MB.*the system has only 100 MB available/, 'with the numbers');
	like($hint, qr/Lower "llama2.kv_cache_size"/, 'and what to do');
	is($client->query(q{SELECT available_bytes FROM llama2_memory_plan('large')})->[0][0], 100 * $MB, 'which llama2_memory_plan tells beforehand');
	$node->stop;
}

# No limit
(undef, $sqlstate) = refused('1g', { 'memory.max' => 'max', 'memory.current' => 450 * $MB });
is($sqlstate, '', 'without a limit it is loaded');
$node->stop;
done_testing();

# refused($shm_size, \%files): a client of the server, started anew where /dev/shm is so large and these are the files of
# control groups; SQLSTATE, message and hint of loading the large model.
sub refused
{
	my ($shm_size, $files) = @_;
	my $uid = $>;
	my $gid = (split ' ', $))[0];
	my $real = qx(sh -c 'command -v pg_ctl');
	my $script = "set -e\nmount -t tmpfs -o size=$shm_size tmpfs /dev/shm\nmount -t tmpfs tmpfs /sys/fs/cgroup\nmkdir /sys/fs/cgroup/memory\n";

	chomp $real;
	$script .= "printf '$files->{$_}' >/sys/fs/cgroup/$_\n" for sort keys %$files;
	open(my $file, '>', "$bin/pg_ctl") or die;
	print $file "#!/bin/sh\nexec unshare -Urm sh -c \"\$(cat $bin/container)\" sh \"\$\@\"\n";
	close $file;
	open($file, '>', "$bin/container") or die;
	print $file "${script}exec unshare -U --map-user=$uid --map-group=$gid $real \"\$\@\"\n";
	close $file;
	chmod 0755, "$bin/pg_ctl" or die;

	$node->stop if defined $node->{_pid};
	{
		local $ENV{PATH} = "$bin:$ENV{PATH}";
		$node->start;
	}
	is($node->safe_psql('postgres', $chat), $answer, "with $shm_size of /dev/shm and " . keys(%$files) . ' files of control groups a small model is served');

	my $client = RawClient->new($node);
	my $rows = $client->query(q{SELECT llama2_load('large')});
	my @refusal = ref $rows eq 'HASH' ? ($rows->{sqlstate}, "$rows->{error} $rows->{detail}", $rows->{hint}) : ('', '', '');

	is($client->query($chat)->[0][0], $answer, 'it still is after another was asked for');
	return ($client, @refusal);
}
