# What the documents show is what comes out: every block of SQL in doc/*.md is run, each document in one session, and
# the block of output that follows it is compared.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IPC::Run;
use Llama2Server;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = llama2_server('documents');
my @documents = sort glob 'doc/*.md';

# The blocks of a document: [language, content, number of its first line]
sub blocks
{
	my ($text) = @_;
	my (@blocks, $block);
	my $number = 0;

	for my $line (split /\n/, $text)
	{
		$number++;
		if ($line =~ /^```(\w*)$/)
		{
			push @blocks, $block = [ $1, '', $number ] unless $block;
			$block = undef if $block->[2] != $number;
		}
		elsif ($block)
		{
			$block->[1] .= "$line\n";
		}
	}
	return @blocks;
}

ok((grep { $_ eq 'doc/evaluation.md' } @documents), 'there are documents');
for my $document (@documents)
{
	my @blocks = blocks(slurp_file($document));
	my @sql = grep { $blocks[$_][0] eq 'sql' } 0 .. $#blocks;
	next unless @sql;
	my $script = "\\pset footer off\n" . join "\\echo ==\n", map { $blocks[$_][1] } @sql;
	my ($name) = $document =~ m{(\w+)\.md$};

	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$node->safe_psql($name, 'CREATE EXTENSION llama2');
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($name), '-f', '-' ], '<', \$script, '>', \$out, '2>', \$err);
	is($err, '', "$document: no errors, no notices");

	my @got = map { s/ +$//gmr =~ s/\n+\z/\n/r } split /^==\n/m, $out, -1;
	is(scalar @got, scalar @sql, "$document: all blocks are run");
	for my $i (0 .. $#sql)
	{
		my $shown = $blocks[ $sql[$i] + 1 ];
		my $expected = $shown && $shown->[0] eq '' ? $shown->[1] : '';

		is($got[$i] =~ s/\A\n+\z//r, $expected, "$document: the SQL at line $blocks[$sql[$i]][2]");
	}
}

$node->stop;
done_testing();
