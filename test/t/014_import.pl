# llama2-import: the command line, what the server makes of its files, tokenizers
# of both kinds, and imports that end half-way.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Cwd ();
use IPC::Run;
use JSON::PP;
use Llama2Server;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $reference = stories_text();

my $folder = PostgreSQL::Test::Utils::tempdir();
my $sources = PostgreSQL::Test::Utils::tempdir();
my $bundled = ($ENV{LLAMA2_MODELS} // 'models') . '/tinychat-6m.gguf';

# import(@arguments): exit status, standard output and error
sub import_model
{
	my ($out, $err);

	IPC::Run::run([ 'llama2-import', '--directory', $folder, @_ ], '>', \$out, '2>', \$err);
	return ($? >> 8, $out, $err);
}

sub write_file
{
	my ($path, @content) = @_;

	open(my $file, '>:raw', $path) or die "could not write $path: $!";
	print $file @content;
	close $file or die "could not write $path: $!";
	return;
}

# The command line
my ($status, $out, $err) = import_model('--help');
my $out_of_help = $out;
is($status, 0, '--help');
like($out, qr/^  $_ /m, "it lists $_")
  for qw(f32 f16 bf16 q8_0 q6_k q5_1 q5_0 q5_k q4_1 q4_0 q4_k q3_k q2_k q5_k_m q5_k_s q4_k_m q4_k_s q3_k_l q3_k_m q3_k_s q2_k_m);
($status, $out, $err) = import_model('--version');
like("$status $out", qr/^0 llama2-import \d/, '--version');
for my $case ([ [], 'no source is named' ], [ [qw(a b)], 'more than one source is named' ],
	[ [qw(--type q9_9 a)], 'there is no type "q9_9"' ], [ [qw(--context none a)], '"none" is no context length' ],
	[ [qw(--name a/b a)], '"a/b" cannot be a model\'s name' ])
{
	($status, $out, $err) = import_model(@{ $case->[0] });
	is($status, 2, "exit status of a wrong command line: $case->[1]");
	like($err, qr/\Q$case->[1]\E/, 'and what is wrong');
}
like((import_model(qw(--type q4 a)))[2], qr/\nllama2-import: hint: The types are f32, f16,.* q4_k_m,.*\.\n/, 'a hint has the types');

# The manual page has what --help has
my $manual = slurp_file(qx(pg_config --mandir) =~ s/\n//r . '/man1/llama2-import.1');
my %in_manual = map { s/\\f.//gr =~ s/["\\, ]//gr => 1 } $manual =~ /^\.BR (.*--.*|.*\\-\\-.*)$/mg;
my %in_help = map { s/[, ]//gr => 1 } $out_of_help =~ /^  (-\w, --\w+(?:=\w+)?)/mg;
is_deeply(\%in_manual, \%in_help, 'the manual page has the options of --help');
my ($types) = $manual =~ /^\.SH TYPES\n(.*?)^\.SH/ms;
is_deeply([ sort map { split ' ' } $types =~ /^\.B ((?:\w+ )+\w+)$/mg ], [ sort $out_of_help =~ /^  ([a-z]+\d+\w*) /mg ], 'and its types');
($status, $out, $err) = import_model("$sources/nowhere");
is($status, 1, 'a source that is not there');
like($err, qr/^llama2-import: error: could not open "\S+nowhere"/, 'has an error');

# A GGUF file, for the server
($status, $out, $err) = import_model($bundled);
is("$status $err", '0 ', 'the bundled model is imported');
like($out, qr/^GGUF file imported as "tinychat-6m": \d+ weights, \d+ tokens, [\d.]+ MB in [\d.]+ s\n\S+tinychat-6m.gguf\n$/,
	'and told of');
($status, $out, $err) = import_model($bundled);
is($status, 1, 'it is not replaced');
like($err, qr/model file "\S+" exists\nllama2-import: hint: .*--force/, 'without --force');
($status, $out, $err) = import_model('--quiet', '--force', $bundled);
is("$status$out$err", '0', 'with --quiet there is nothing to read');
is((import_model('--type', 'Q4_K_M', $bundled))[0], 0, 'a mixture, named in capitals');
ok(-e "$folder/tinychat-6m-q4_k_m.gguf", 'is part of the default name');

# On a terminal
my $screen = qx(SHELL=/bin/sh script -qec "llama2-import -d $folder -f -t q2_k -n screen $bundled" /dev/null 2>/dev/null);
like($screen, qr/\r\[#+ *\] +\d+%  [\d.]+ [kM]B of [\d.]+ MB  [\d.]+ [kM]B\/s  \d+:\d\d left/, 'a bar with rate and time left');
like($screen, qr/\r\[#{30}\] 100%/, 'that gets to its end');

my $node = llama2_server('import', 'llama2.model_directory' => $folder, 'llama2.context_length' => 512,
	'llama2.kv_cache_size' => '64MB', max_worker_processes => 24);
my $chat = q{SELECT llama2_chat('What is PostgreSQL?', temperature => 0%s)};
is($node->safe_psql('postgres', sprintf($chat, '')), 'PostgreSQL is a database that stores data in tables.', 'the server serves it');
is($node->safe_psql('postgres', sprintf($chat, q{, model => 'tinychat-6m-q4_k_m'})),
	'PostgreSQL is a database that stores data in tables.', 'and the smaller one');
is($node->safe_psql('postgres', q{SELECT type FROM llama2_models() WHERE name = 'tinychat-6m-q4_k_m'}), 'Q4_K', 'of the type asked for');

# Fixtures in their forms
SKIP:
{
	my $bin = fixture_path('stories260K/stories260K.bin');
	my $hf = fixture_path('formats/hf/config.json') =~ s/\/config.json$//r;
	my $cases = fixture_path('tokenizer-cases.jsonl');
	skip 'fixtures are absent', 1 unless $bin && $hf && $cases;

	is((import_model($bin))[0], 0, 'a llama2.c model');
	is($node->safe_psql('postgres', q{SELECT llama2_generate('', model => 'stories260K', temperature => 0, max_tokens => 200)}),
		$reference, 'gives the reference text');
	is((import_model('--type', 'q8_0', '--name', 'stories-q8_0', $bin))[0], 0, 'the same in Q8_0');
	is(substr($node->safe_psql('postgres', q{SELECT llama2_generate('', model => 'stories-q8_0', temperature => 0, max_tokens => 20)}), 0, 30),
		substr($reference, 0, 30), 'begins alike');

	mkdir "$sources/alone" or die;
	symlink($bin, "$sources/alone/model.bin") or die;
	($status, $out, $err) = import_model("$sources/alone/model.bin");
	like("$status $err", qr/^1 .*there is no tokenizer beside .*\n.*--tokenizer/, 'a model without its tokenizer');
	is((import_model('--tokenizer', $bin =~ s/stories260K\.bin$/tok512.bin/r, "$sources/alone/model.bin"))[0], 0, 'which --tokenizer names');
	is($node->safe_psql('postgres', q{SELECT llama2_generate('', model => 'model', temperature => 0, max_tokens => 200)}),
		$reference, 'gives the reference text');
	is((import_model('--context', 1000, '--name', 'meta', $hf =~ s/hf$/meta/r))[0], 0, 'a folder from Meta, with a context length');
	is(key_of("$folder/meta.gguf", 'llama.context_length'), 1000, 'which is in its header');

	# The tokenizer in both of its files
	is((import_model('--name', 'sentencepiece', $hf))[0], 0, 'a Hugging Face folder with tokenizer.model');
	mkdir "$sources/hf" or die;
	symlink("$hf/$_", "$sources/hf/$_") or die for grep { !/tokenizer/ } map { s/.*\///r } glob("$hf/*");
	write_file("$sources/hf/tokenizer.json", tokenizer_json("$hf/tokenizer.model"));
	($status, $out, $err) = import_model('--name', 'merges', "$sources/hf");
	is("$status$err", '0', 'the same with tokenizer.json');
	for my $model (qw(sentencepiece merges))
	{
		my @lines = split /\n/, slurp_file($cases);
		my @texts = grep { $_->{text} !~ /\0/ } map { decode_json($_) } @lines;
		my $sql = join(";\n", map { "SELECT llama2_tokenize(" . quoted($_->{text}) . ", '$model')" } @texts);
		my $got = $node->safe_psql('postgres', "$sql;");
		my $expected = join("\n", map { '{' . join(',', @{ $_->{ids} }) . '}' } @texts);
		is($got, $expected, "$model: " . scalar(@texts) . ' texts become the same tokens');
	}
}

# Names of sources, and where the model's comes from
my $small = "$sources/Modèle à 7 B";
write_zeros($small, 64, 96, 1, 2);
like((import_model($small))[1], qr/imported as "Mod--le----7-B"/, 'a name of other characters');
like((import_model("$small/"))[2], qr/model file ".*Mod--le----7-B.gguf" exists/, 'a slash at its end is none of them');
is((import_model('-f', '-t', 'f16', "$small/.."))[0], 1, 'a folder above has a name');
{
	my $here = Cwd::getcwd();
	chdir $small or die;
	like((import_model('-t', 'F16', '.'))[1], qr/imported as "Mod--le----7-B-f16"/, 'so has the folder one is in');
	chdir $here or die;
}
my $long = "$sources/" . 'x' x 100;
write_zeros($long, 64, 96, 1, 2);
like((import_model('-t', 'q8_0', $long))[1], qr/imported as "x{58}-q8_0"/, 'a long name is cut, but not its type');
write_file("$small/config.json", '{"model_type": "\u001b]0;mine\u0007"}');
like((import_model($small))[2], qr/model type "\?\]0;mine\?" is not supported/, 'an untrusted text commands no terminal');

# Folders and disks that cannot take the model
my $target = "$sources/target";
mkdir $target or die;
chmod 0555, $target or die;
($status, $out, $err) = import_model('-d', $target, $long);
like("$status $err", qr/^1 .*could not create ".*": Permission denied\n.*hint: Run llama2-import as a user who may write there/, 'a folder that is read-only');
chmod 0755, $target or die;
($status, $out, $err) = import_under('ulimit -f 1;', $target, $long);
like("$status $err", qr/^1 .*could not reserve \d+ bytes for ".*": File too large/, 'a limit of the size of files');
is_deeply([ glob("$target/*") ], [], 'leaves nothing');
SKIP:
{
	skip 'namespaces are not to be had', 2 if system('unshare -Urm mount -t tmpfs tmpfs /dev/shm >/dev/null 2>&1') != 0;
	($status, $out, $err) = import_under("mount -t tmpfs -o size=64k tmpfs $target;", $target, $long);
	like("$status $err", qr/^1 .*could not reserve \d+ bytes for ".*": No space left on device/, 'a disk that is full');
	is($out, '', 'has nothing more on it');
}

# Imports that end half-way: two billion weights that take no room, as all are zero
my $big = "$sources/big";
write_zeros($big, 2048, 5632, 22, 32);
{
	local $SIG{HUP} = 'IGNORE';
	my $importing = start_import($big, 'half');

	$importing->signal('HUP');
	sleep 1;
	ok(-e "$folder/half.gguf.import", 'an import under nohup goes on when the terminal is closed');
	$importing->signal('TERM');
	eval { $importing->finish };
	is(($importing->full_results)[0] & 127, 15, 'until a signal that is not ignored ends it');
}
for my $signal (qw(TERM INT KILL))
{
	my $importing = start_import($big, 'half');

	($status, $out, $err) = import_model('--name', 'half', $bundled);
	like("$status $err", qr/^1 .*"\S+" is being written by another import/, 'a name that is being imported');
	is($node->safe_psql('postgres', q{SELECT count(*) FROM llama2_models() WHERE name ~ 'half'}), 0, 'is not listed');
	$importing->signal($signal);
	eval { $importing->finish };
	ok(!-e "$folder/half.gguf", "an import that SIG$signal ends leaves no model");
	ok(!-e "$folder/half.gguf.import", 'nor anything else') if $signal ne 'KILL';
}
{
	my $importing = start_import($big, 'cut', \my $told);

	truncate("$big/model.safetensors", 1e6) or die;
	$importing->finish;
	like($told, qr/error: ".*model.safetensors" ends before byte \d+\n/, 'a source that is cut short while it is read');
	is_deeply([ glob("$folder/cut*") ], [], 'leaves nothing either');
}
ok(-e "$folder/half.gguf.import", 'only one that is killed leaves its part');
is($node->safe_psql('postgres', q{SELECT count(*) FROM llama2_models() WHERE name ~ 'half'}), 0, 'which is not listed');
is((import_model('--name', 'half', $bundled))[0], 0, 'and which the next import takes over');
ok(!-e "$folder/half.gguf.import", 'for good');
is($node->safe_psql('postgres', sprintf($chat, q{, model => 'half'})), 'PostgreSQL is a database that stores data in tables.', 'and right');

$node->stop;
done_testing();

# import_under($commands, $target, $source): what import_model returns, after shell commands; the output is
# what the folder holds then.
sub import_under
{
	my ($commands, $target, $source) = @_;
	my ($out, $err);
	my $script = "$commands llama2-import -q -n under -d $target $source; status=\$?; ls -A $target; exit \$status";

	IPC::Run::run([ $commands =~ /mount/ ? qw(unshare -Urm) : (), 'sh', '-c', $script ], '>', \$out, '2>', \$err);
	return ($? >> 8, $out, $err);
}

# start_import($source, $name, \$told): one that is under way, and what it tells
sub start_import
{
	my ($source, $name, $told) = @_;
	my $deadline = time() + 30;
	local $SIG{INT} = 'DEFAULT';	# whoever runs this in the background ignores it
	my $importing = IPC::Run::start([ 'llama2-import', '-d', $folder, '-t', 'q4_k', '-n', $name, $source ],
		'<', \undef, '>', '/dev/null', '2>', $told // '/dev/null');

	# the header is written after the lock is taken
	sleep 0.01 until -s "$folder/$name.gguf.import" || time() > $deadline;
	return $importing;
}

sub quoted
{
	my ($text) = @_;

	utf8::encode($text);
	$text =~ s/\\/\\\\/g;
	$text =~ s/'/\\'/g;
	return "E'$text'";
}

# key_of($path, $key): an integer of a GGUF file's header
sub key_of
{
	my ($path, $key) = @_;
	my $bytes = slurp_file($path);
	my $at = index($bytes, pack('Q<', length $key) . $key);

	return $at < 0 ? undef : unpack('V', substr($bytes, $at + 8 + length($key) + 4, 4));
}

# write_zeros($path, $dim, $ffn, $layers, $heads): a Hugging Face folder of a model of that shape
sub write_zeros
{
	my ($path, $dim, $ffn, $layers, $heads) = @_;
	my $vocabulary = 259;
	my (%header, $offset);
	my $add = sub {
		my ($name, @shape) = @_;
		my $n = 4;
		$n *= $_ for @shape;
		$header{$name} = { dtype => 'F32', shape => \@shape, data_offsets => [ $offset // 0, ($offset // 0) + $n ] };
		$offset = ($offset // 0) + $n;
	};

	mkdir $path or die;
	write_file("$path/config.json", encode_json({ model_type => 'llama', hidden_size => $dim, intermediate_size => $ffn,
		num_hidden_layers => $layers, num_attention_heads => $heads, vocab_size => $vocabulary, tie_word_embeddings => JSON::PP::true }));
	write_file("$path/tokenizer.json", encode_json({ model => { type => 'BPE', unk_token => '<unk>', merges => [],
		vocab => { '<unk>' => 0, '<s>' => 1, '</s>' => 2, map { (sprintf('<0x%02X>', $_) => $_ + 3) } 0 .. 255 } } }));
	$add->('model.embed_tokens.weight', $vocabulary, $dim);
	$add->('model.norm.weight', $dim);
	for my $layer (map { "model.layers.$_" } 0 .. $layers - 1)
	{
		$add->("$layer.${_}_layernorm.weight", $dim) for qw(input post_attention);
		$add->("$layer.self_attn.${_}_proj.weight", $dim, $dim) for qw(q k v o);
		$add->("$layer.mlp.${_}_proj.weight", $ffn, $dim) for qw(gate up);
		$add->("$layer.mlp.down_proj.weight", $dim, $ffn);
	}
	my $json = encode_json(\%header);
	write_file("$path/model.safetensors", pack('Q<', length $json), $json);
	truncate("$path/model.safetensors", 8 + length($json) + $offset) or die "could not extend: $!";
	return;
}

# tokenizer_json($path): a SentencePiece model as transformers converts it: each way to
# make a piece of two others, those of the piece with the greatest score first.
sub tokenizer_json
{
	my ($path) = @_;
	my $model = slurp_file($path);
	my (@pieces, %score, %id, @merges);
	my $at = 0;
	my $varint = sub {
		my ($bytes, $place) = @_;
		my ($value, $shift) = (0, 0);
		while (1)
		{
			my $byte = ord substr($$bytes, $$place++, 1);
			$value |= ($byte & 127) << $shift;
			return $value if $byte < 128;
			$shift += 7;
		}
	};

	while ($at < length $model)
	{
		my $tag = $varint->(\$model, \$at);
		my $length = $varint->(\$model, \$at);
		my $part = substr($model, $at, $length);
		my $place = 0;
		my %piece = (score => 0, type => 1);

		$at += $length;
		next if $tag != 10;
		while ($place < length $part)
		{
			my $field = $varint->(\$part, \$place);
			if ($field == 10)
			{
				my $n = $varint->(\$part, \$place);
				$piece{text} = substr($part, $place, $n);
				$place += $n;
			}
			elsif ($field == 21)
			{
				$piece{score} = unpack('f<', substr($part, $place, 4));
				$place += 4;
			}
			else
			{
				$piece{type} = $varint->(\$part, \$place);
			}
		}
		utf8::decode($piece{text});
		$id{ $piece{text} } = scalar @pieces;
		push @pieces, \%piece;
	}
	for my $piece (sort { $b->{score} <=> $a->{score} } grep { $_->{type} == 1 && length $_->{text} > 1 } @pieces)
	{
		for my $cut (1 .. length($piece->{text}) - 1)
		{
			my ($left, $right) = (substr($piece->{text}, 0, $cut), substr($piece->{text}, $cut));
			push @merges, "$left $right" if exists $id{$left} && exists $id{$right};
		}
	}
	return encode_json({
		added_tokens => [ map { { id => $_, content => $pieces[$_]{text}, special => JSON::PP::true } } 0 .. 2 ],
		normalizer => { type => 'Sequence', normalizers => [ { type => 'Prepend', prepend => "\x{2581}" },
			{ type => 'Replace', pattern => { String => ' ' }, content => "\x{2581}" } ] },
		model => { type => 'BPE', unk_token => '<unk>', byte_fallback => JSON::PP::true, vocab => \%id, merges => \@merges } });
}
