# What the documents show is what comes out: every block of SQL in doc/*.md is run, each document in one session, and
# the block of output that follows it is compared.  Together they call every function of the extension.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IPC::Run;
use Llama2Server;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = llama2_server('documents', track_functions => 'all');
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

for my $name ('evaluation', 'functions', 'json-schema')
{
	ok((grep { $_ eq "doc/$name.md" } @documents), "there is doc/$name.md");
}
for my $document (@documents)
{
	my @blocks = blocks(slurp_file($document));
	my @sql = grep { $blocks[$_][0] eq 'sql' } 0 .. $#blocks;
	next unless @sql;
	my $script = "\\pset footer off\n" . join "\\echo ==\n", map { $blocks[$_][1] } @sql;
	my ($name) = $document =~ m{(\w+)\.md$};

	$node->safe_psql('postgres', "CREATE DATABASE $name");
	# so that each call is one of the function, which is counted
	$node->safe_psql('postgres', "ALTER DATABASE $name SET llama2.batch_scan = off") if $name eq 'functions';
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

# Aggregates and what they call are not counted; functions of views are known by these.
is($node->safe_psql('functions', q{
		SELECT f.oid::regprocedure FROM pg_proc AS f JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = f.oid AND d.deptype = 'e'
		JOIN pg_extension AS e ON d.refobjid = e.oid AND e.extname = 'llama2'
		LEFT JOIN pg_stat_user_functions AS s ON s.funcid = f.oid
		WHERE f.prokind <> 'a' AND s.calls IS NULL AND to_regclass(f.proname) IS NULL
			AND NOT EXISTS (SELECT FROM pg_aggregate WHERE f.oid IN (aggtransfn, aggfinalfn))
		ORDER BY 1}),
	'', 'doc/functions.md calls every function');

$node->stop;
done_testing();
