# Model files: a second model, kernels and threads, loading, unloading, files
# that are broken, missing, late or mended.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Copy;
use POSIX qw(mkfifo);
use Llama2Server;
use PostgreSQL::Test::Utils;
use RawClient;
use Test::More;
use Time::HiRes qw(sleep time);

my $reference = stories_text();

my $folder = PostgreSQL::Test::Utils::tempdir();
my $bundled = ($ENV{LLAMA2_MODELS} // 'models') . '/tinychat-6m.gguf';
copy($bundled, "$folder/tinychat-6m.gguf") or die "could not copy $bundled: $!";

# The reference text is longer than the context that its model's file names.
my $node = llama2_server('models', 'llama2.model_directory' => $folder, 'llama2.context_length' => 512);
my $client = RawClient->new($node);

sub value { return scalar one_row(@_)->[0] }

sub one_row
{
	my ($sql) = @_;
	my $rows = $client->query($sql);
	die "$sql: $rows->{error}" if ref $rows eq 'HASH';
	return $rows->[0] // [];
}

sub error_of
{
	my ($sql) = @_;
	my $rows = $client->query($sql);
	return ref $rows eq 'HASH' ? ($rows->{sqlstate}, $rows->{error}) : ('no error', '');
}

sub state_of
{
	my ($name) = @_;
	return value("SELECT state FROM llama2_models() WHERE name = '$name'");
}

sub set_and_wait
{
	my ($name, $value, $condition) = @_;
	my $deadline = time() + 30;

	$client->query("ALTER SYSTEM SET $name = '$value'");
	$client->query('SELECT pg_reload_conf()');
	sleep 0.02 until value("SELECT bool_and($condition) FROM llama2_status WHERE state = 'ready'") eq 't' || time() > $deadline;
}

my $chat = q{SELECT llama2_chat('What is PostgreSQL?', temperature => 0)};
my $drawn = q{SELECT llama2_generate('Once upon a time', seed => 5, max_tokens => 20)};
my $story = q{SELECT llama2_generate('', model => 'stories260K', temperature => 0, max_tokens => 200)};

is(value($chat), 'PostgreSQL is a database that stores data in tables.', 'the bundled model');
my $text = value($drawn);

# The processor's kernels, from the least to the best
my $flags = -r '/proc/cpuinfo' ? slurp_file('/proc/cpuinfo') : '';
my @kernels = ('generic',
	($flags =~ /\bavx2\b/ && $flags =~ /\bfma\b/ && $flags =~ /\bf16c\b/ ? 'avx2' : ()),
	($flags =~ /\bavx_vnni\b/ ? 'avxvnni' : ()),
	($flags =~ /\bavx512_vnni\b/ ? 'avx512' : ()),
	($flags =~ /\bamx_int8\b/ ? 'amx' : ()));

SKIP:
{
	my $fixture = fixture_path('stories260K/stories260K.gguf');
	skip 'the fixture stories260K is absent', 1 unless $fixture;

	# A file appears while the server runs.
	is((error_of($story))[0], '58P01', 'a model without a file');
	copy($fixture, "$folder/stories260K.gguf") or die "could not copy $fixture: $!";
	is(state_of('stories260K'), 'failed', 'its file has come, and nobody has tried again');
	is(value($story), $reference, 'a request tries again, and gets the reference text');
	is(state_of('stories260K'), 'ready', 'then the model is resident');
	is(join(' ', @{ one_row(q{SELECT type, layers, dim, vocabulary, context_length FROM llama2_models() WHERE name = 'stories260K'}) }),
		'F32 5 64 512 512', 'llama2_models describes it');
	is(value($chat), 'PostgreSQL is a database that stores data in tables.', 'the default model still serves');
	is(value('SELECT count(*) FROM llama2_status'), 2, 'two workers');
	is(value(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'llama2 worker'}), 2, 'are two processes');
	isnt(value(q{SELECT llama2_tokenize('Once upon a time', 'stories260K')}), value(q{SELECT llama2_tokenize('Once upon a time')}),
		'each model has its own vocabulary');
	$client->query(q{SET llama2.model = 'stories260K'});
	is(value(q{SELECT llama2_generate('', temperature => 0, max_tokens => 200)}), $reference, 'llama2.model chooses it');
	is(value(q{SELECT model FROM llama2_complete('', max_tokens => 1)}), 'stories260K', 'llama2_complete names it');
	$client->query('RESET llama2.model');

	for my $kernels (@kernels)
	{
		set_and_wait('llama2.kernels', $kernels, "kernels = '$kernels'");
		for my $threads (1, 2)
		{
			set_and_wait('llama2.threads', $threads, "threads = $threads");
			is(join(' ', @{ one_row(q{SELECT kernels, threads FROM llama2_status WHERE model = 'stories260K'}) }),
				"$kernels $threads", "kernels $kernels, $threads threads");
			is(value($story), $reference, 'give the reference text');
			is(value($drawn), $text, 'and the bundled model the same draws');
		}
	}
	set_and_wait('llama2.kv_cache_type', 'f32', 'true');
	is(value($story), $reference, 'and so it is with keys and values in f32');
	$client->query('ALTER SYSTEM RESET ALL');
	set_and_wait('llama2.threads', 0, 'threads >= 1');

	# Unload, with another's request under way
	my $other = RawClient->new($node);
	my $deadline = time() + 5;
	my $stories = $story =~ s/''/array_fill(''::text, ARRAY[24])/r;
	$other->send_query($stories);
	sleep 0.01 until value('SELECT count(*) FROM llama2_requests') == 24 || time() > $deadline;
	is(value(q{SELECT llama2_unload('stories260K')}), 't', 'unload waits for what runs');
	is(scalar(() = $other->next_row->[0] =~ /"Once upon a time, there was a little girl named Lily\. |so she"/g), 48, 'which is completed');
	$other->next_row;
	is(state_of('stories260K'), 'available', 'the file is there, the model is not resident');
	is(value(q{SELECT llama2_unload('stories260K')}), 'f', 'it cannot be unloaded twice');
	is(value(q{SELECT count(*) FROM llama2_status}), 1, 'its worker is gone');

	# Several sessions ask at once: one load
	my $loads = value('SELECT model_loads FROM llama2_stats');
	my @sessions = map { RawClient->new($node) } 1 .. 4;
	$_->send_query($story) for @sessions;
	is_deeply([ map { $_->next_row->[0] } @sessions ], [ ($reference) x 4 ], 'four sessions ask for it at once');
	is(value('SELECT model_loads FROM llama2_stats'), $loads + 1, 'and it is loaded once');
	is(value(q{SELECT llama2_load('stories260K')}), '', 'llama2_load of what is resident');
	is(value('SELECT model_loads FROM llama2_stats'), $loads + 1, 'loads nothing');

	# A resident model does not need its file any more.
	unlink "$folder/stories260K.gguf";
	is(value($story), $reference, 'it serves after its file was removed');
	is(state_of('stories260K'), 'ready', 'and is listed');
	my $pid = value(q{SELECT worker_pid FROM llama2_status WHERE model = 'stories260K'});
	value("SELECT pg_terminate_backend($pid)");
	is(value($story), $reference, 'even by a new worker');
	is(value(q{SELECT llama2_unload('stories260K')}), 't', 'once unloaded');
	is((error_of($story))[0], '58P01', 'it is gone');
}

# Files that are broken in different ways
my $bytes = slurp_file($bundled);
my %broken = (
	'empty' => '',
	'short' => substr($bytes, 0, 20),
	'truncated-in-header' => substr($bytes, 0, 30000),
	'truncated-in-weights' => substr($bytes, 0, length($bytes) - 1000),
	'not-gguf' => 'P' x 100000,
	'version-99' => substr($bytes, 0, 4) . pack('V', 99) . substr($bytes, 8),
	'many-tensors' => substr($bytes, 0, 8) . pack('Q<', 1 << 60) . substr($bytes, 16),
	'many-keys' => substr($bytes, 0, 16) . pack('Q<', 1 << 60) . substr($bytes, 24));
for my $name (sort keys %broken)
{
	write_file("$folder/$name.gguf", $broken{$name});
	my ($state, $message) = error_of("SELECT llama2_generate('Once', model => '$name')");
	ok($state eq 'XX001' || $state eq '0A000' || $state eq '54000', "$name: $state $message");
	like($message, qr/^could not load model "$name": ./, 'the message names the model and the reason');
	is(state_of($name), 'failed', 'llama2_models tells of it');
	is(value("SELECT error FROM llama2_models() WHERE name = '$name'"), $message, 'and why');
}
is(value($drawn), $text, 'the server is up, and the other model serves');

# A name that failed can be tried again once its file is mended.
copy($bundled, "$folder/empty.gguf");
is(value($drawn =~ s/seed/model => 'empty', seed/r), $text, 'a file that was mended');
is(value(q{SELECT llama2_unload('empty')}), 't', 'unloaded again');

# Other ways of not being a model file
mkdir "$folder/folder.gguf";
is(value(q{SELECT count(*) FROM llama2_models() WHERE name = 'folder'}), 0, 'a folder is not listed');
is((error_of(q{SELECT llama2_load('folder')}))[1], 'could not load model "folder": it is not a regular file', 'and cannot be loaded');
mkfifo("$folder/fifo.gguf", 0644) or die;
is((error_of(q{SELECT llama2_load('fifo')}))[1], 'could not load model "fifo": it is not a regular file', 'nor can a FIFO, which nobody waits for');
is((error_of(q{SELECT llama2_memory_plan('fifo')}))[0], '0A000', 'nor be planned');
write_file("$folder/unreadable.gguf", $bytes);
chmod 0, "$folder/unreadable.gguf";
is(join(' ', error_of(q{SELECT llama2_load('unreadable')})), '58030 could not load model "unreadable": could not open the file: Permission denied',
	'a file that the server may not read: where it lies is not told') if $> != 0;
symlink "$folder/nowhere-at-all", "$folder/dangling.gguf";
is((error_of(q{SELECT llama2_load('dangling')}))[0], '58P01', 'a link to nothing');
is(value(q{SELECT count(*) FROM llama2_models() WHERE name = 'dangling'}), 0, 'is not listed');
write_file("$folder/readme.txt", 'text');
write_file("$folder/.hidden.gguf", $bytes);
write_file("$folder/with space.gguf", $bytes);
is(value(q{SELECT string_agg(name, ' ') FROM llama2_models() WHERE name ~ 'readme|hidden|space'}), undef, 'nor is what has no name of a model');

# More than the table of models holds
$client->query('SELECT llama2_stats_reset()');
SKIP:
{
	my $fixture = fixture_path('stories260K/stories260K.gguf');
	skip 'the fixture stories260K is absent', 1 unless $fixture;
	$client->query("ALTER SYSTEM SET max_worker_processes = 24");
	$client->query(q{ALTER SYSTEM SET "llama2.kv_cache_size" = '8MB'});
	$node->restart;
	$client = RawClient->new($node);
	copy($fixture, "$folder/copy-$_.gguf") for 1 .. 16;
	is(value("SELECT count(llama2_tokenize('Once', 'copy-' || n)) FROM generate_series(1, 15) AS n"), 15, 'fifteen more models');
	my ($state, $message) = error_of(q{SELECT llama2_load('copy-16')});
	is("$state $message", '53400 cannot load model "copy-16": 16 models are resident already', 'there is no place for another');
	is(value(q{SELECT llama2_unload('copy-3')}), 't', 'until one is unloaded');
	is(value(q{SELECT llama2_load('copy-16')}), '', 'then there is');
	is(value($chat), 'PostgreSQL is a database that stores data in tables.', 'the default model still serves');
	is(value(q{SELECT count(llama2_tokenize('Once', name)) FROM unnest('{copy-16, tinychat-6m, copy-16}'::text[]) AS name}), 3,
		'a statement of a session that has used more than it keeps at hand goes to and fro between two');
}

# The folder is gone
$client->query(qq{ALTER SYSTEM SET llama2.model_directory = '$folder/nowhere'});
$node->restart;
$client = RawClient->new($node);
is((error_of($chat))[0], '58P01', 'a server without its default model says so');
$client->warnings;
is(value('SELECT count(*) FROM llama2_models()'), 0, 'and lists no models');
is_deeply([ $client->warnings ], ['could not open the directory of models: No such file or directory'], 'with a warning');

$node->stop;
done_testing();

sub write_file
{
	my ($path, $content) = @_;
	open(my $file, '>:raw', $path) or die "could not write $path: $!";
	print $file $content;
	close $file or die "could not write $path: $!";
	return;
}
