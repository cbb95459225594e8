#!/usr/bin/perl
#
# indent.pl
#	Format the C files with pg_bsd_indent (Debian's package pg-bsd-indent) the way
#	that PostgreSQL formats its own, with lines up to 100 columns.
#
#	test/indent.pl [FILE]...			format in place; all C files by default
#	test/indent.pl --check [FILE]...	show what would change, and fail if anything would
#
# pg_bsd_indent does not know hexadecimal floats, assembler nor compound literals;
# it gets names of the same length instead, and the originals are put back.

use strict;
use warnings;

use Cwd 'abs_path';
use File::Basename 'dirname';
use File::Temp 'tempdir';

# PostgreSQL's options, but for -l (its own is 79), and -nfcb, which leaves
# the line breaks of block comments alone: many of ours hold formulas
my @options = qw(-bad -bap -bbb -bc -bl -cli1 -cp33 -cdb -nce -d0 -di12 -nfc1 -nfcb -i4 -l100
  -lp -lpl -nip -npro -sac -tpg -ts4);

my @c_types = (
	qw(FILE DIR bool size_t ssize_t off_t pid_t time_t va_list sigset_t intptr_t uintptr_t),
	qw(json_t json_error_t zip_t zip_file_t zip_source_t zip_stat_t zip_error_t zip_int64_t zip_uint64_t),
	qw(ProtobufCAllocator Sentencepiece__ModelProto Sentencepiece__ModelProto__SentencePiece),
	qw(Sentencepiece__ModelProto__TrainerSpec Sentencepiece__ModelProto__NormalizerSpec),
	qw(pthread_t pthread_mutex_t pthread_cond_t CBLAS_TRANSPOSE),
	(map { ("int${_}_t", "uint${_}_t", "__mmask$_") } 8, 16, 32, 64),
	(map { ("__m$_", "__m${_}i", "__m${_}d", "__m${_}h") } 128, 256, 512));

my $check = @ARGV && $ARGV[0] eq '--check';
shift @ARGV if $check;

chdir dirname(abs_path($0)) . '/..' or die "could not enter the repository: $!\n";

my $scratch = tempdir(CLEANUP => 1);
my @all = grep { length } split /\n/, `find src test -name '*.[ch]' | sort`;
my @files = @ARGV ? @ARGV : @all;
my $our_types = types_defined_in(@all);
my $server_types = types_defined_in(server_headers());
my $failed = 0;

foreach my $file (@files)
{
	my $source = slurp($file);
	my $formatted = format_source($file, $source);

	next if !defined $formatted || $formatted eq $source;
	if ($check)
	{
		spew("$scratch/formatted", $formatted);
		system('diff', '-u', $file, "$scratch/formatted");
		$failed = 1;
	}
	else
	{
		spew($file, $formatted);
		print "formatted $file\n";
	}
}
exit $failed;

sub format_source
{
	my ($file, $source) = @_;
	my $original = $source;
	my @hidden;
	my $messages;

	write_typedefs($file, $source);

	# hexadecimal floats, a word that it takes for a keyword, assembler, and compound
	# literals on one line
	$source =~ s/\b(0[xX][0-9a-fA-F]*\.?[0-9a-fA-F]*[pP][-+]?[0-9]+[fFlL]?)/hide(\@hidden, $1)/ge;
	$source =~ s/\b(imaginary)\b/hide(\@hidden, $1)/ge;
	$source =~ s/^(\t+)(__asm__.*\));$/$1 . hide(\@hidden, $2) . ';'/gme;
	$source =~ s/(?<!\w)(\((?:const )?[A-Za-z_]\w*(?:\[\])?\) \{[^{};\n]*\})/hide(\@hidden, $1)/ge;

	# statements with a compound literal on several lines, with the blank line or
	# the condition before them
	$source =~ s{((?:^\n|^\t+(?:for|if|else|while)\b[^\n{}]*\n)?
		^(\t+)[^\n;]*\([A-Za-z_]\w*(?:\[\])?\)(?:\n\t+|\ )\{\n.*?^\2\}[^\n]*;\n)}
		{/* INDENT OFF */\n$1/* INDENT ON */\n}gmsx;

	spew("$scratch/in.c", $source);
	$messages = `pg_bsd_indent @options -U$scratch/typedefs $scratch/in.c $scratch/out.c 2>&1`;
	if ($? != 0 || $messages ne '')
	{
		print STDERR "$file: pg_bsd_indent failed\n$messages";
		$failed = 1;
		return undef;
	}
	$source = slurp("$scratch/out.c");

	$source =~ s{^/\* INDENT O(?:N|FF) \*/\n}{}gm;
	$source =~ s/\bHIDDEN_*(\d+)_*X/$hidden[$1]/g;
	# a single space before the asterisk of a return type
	$source =~ s/^([A-Za-z_][\w ]*?)[ \t]+\*$/$1 */gm;
	# continued initializers
	$source =~ s{^((\t+)[A-Za-z_][\w ]*[\t *]+\w+\ =[^;{}\n]*[-+*/:?|&=]\n)((?:\2[^;{}\n]*\n)*?\2[^;{}\n]*;\n)}
		{$1 . indented($2, $3)}gmex;
	# a space before the second field of an initializer
	$source =~ s/,\.(?=[a-z_]\w* = )/, ./g;

	if (without_space($source) ne without_space($original))
	{
		print STDERR "$file: formatting would change more than white space; left as it is\n";
		$failed = 1;
		return undef;
	}
	return $source;
}

sub without_space
{
	my ($text) = @_;

	$text =~ s/\s+//g;
	return $text;
}

# indented($tabs, $lines): one more tab for the lines that have just so many
sub indented
{
	my ($tabs, $lines) = @_;

	$lines =~ s/^$tabs(?=[^\t])/$tabs\t/gm;
	return $lines;
}

# hide(\@hidden, $text): a name as long as the text, that leads back to it
sub hide
{
	my ($hidden, $text) = @_;
	my $name = 'HIDDEN' . scalar(@$hidden);
	my $padding = length($text) - length($name) - 1;

	# the shortest texts are shorter than their names
	$padding = 0 if $padding < 0;
	push @$hidden, $text;
	return $name . '_' x $padding . 'X';
}

# The words of a file that are types.  The engine does not include the server's
# headers, and uses some of their types' names for variables.
sub write_typedefs
{
	my ($file, $source) = @_;
	my %types = map { $_ => 1 } @c_types, @$our_types;

	if ($file =~ m{^src/(server|shared|worker)/})
	{
		$types{$_} = 1 foreach @$server_types;
	}
	my %used = map { $_ => 1 } $source =~ /\b([A-Za-z_]\w*)\b/g;

	spew("$scratch/typedefs", join('', map { "$_\n" } sort grep { $types{$_} } keys %used));
}

sub types_defined_in
{
	my %types;

	foreach my $file (@_)
	{
		my $source = slurp($file);

		$types{$1} = 1 while $source =~ /^typedef [^;{]*?\b([A-Za-z_]\w*)(?:\[[^;]*\])?;/gm;
		$types{$1} = 1 while $source =~ /^typedef [^;{(]*\(\*\s*([A-Za-z_]\w*)\)/gm;
		$types{$1} = 1 while $source =~ /^\} *([A-Za-z_]\w*);/gm;
	}
	return [ keys %types ];
}

sub server_headers
{
	my $pg_config = $ENV{PG_CONFIG} // 'pg_config';
	my $folder = `$pg_config --includedir-server 2>/dev/null`;

	chomp $folder;
	return () if $folder eq '';
	return split /\n/, `find $folder -name '*.h'`;
}

sub slurp
{
	my ($path) = @_;

	open(my $file, '<', $path) or die "could not open \"$path\": $!\n";
	local $/;
	return <$file> // '';
}

sub spew
{
	my ($path, $text) = @_;

	open(my $file, '>', $path) or die "could not create \"$path\": $!\n";
	print $file $text;
	close $file or die "could not write \"$path\": $!\n";
}
