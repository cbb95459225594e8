# What the README shows is what comes out: its SQL is run, section by section, and what stands below a statement as a comment is
# compared with its output, notices and errors.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IPC::Run;
use Llama2Server;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = llama2_server('readme');

# The tables that the examples read
my $tickets = q{
	CREATE TABLE tickets (id int PRIMARY KEY, body text);
	INSERT INTO tickets VALUES
	(1, 'My kettle leaks water. I bought it on March 3. My order number is A-3391. Please send me a replacement. Regards, Ana Lopez, Lisbon'),
	(2, 'Hello, I was charged twice for the office chair. I want my money back! You can reach me at tom.berg@mail.com. This is urgent. Thanks, Tom Berg'),
	(3, 'I was locked out of the account. Please help me. It is not urgent. Regards, Nina Weber');
};
my %tables = (
	'Whole tables' => q{
		CREATE TABLE tickets (id int PRIMARY KEY, body text, summary text);
		INSERT INTO tickets VALUES
		(1, 'I was charged twice for the lamp. I want my money back! Regards, Tom Berg'),
		(2, 'I love this office chair. It is easy to use. Regards, Nina Weber'),
		(3, 'My blender arrived broken. Regards, Ana Lopez'),
		(6, 'I love this lamp. It is easy to use. Regards, Ana Lopez');
	},
	'Search by meaning' => q{
		CREATE TABLE messages (body text);
		INSERT INTO messages VALUES ('The parcel has not arrived yet. Where is it?'), ('Please refund the payment for the lamp.'), ('I cannot sign in.');
	},
);

# What must be there before some statements: a trigger from elsewhere, the end of a job
my $wait = q{DO $$ BEGIN WHILE EXISTS (SELECT FROM llama2_jobs WHERE state IN ('queued', 'running')) LOOP PERFORM pg_sleep(0.02); END LOOP; END $$;};
my $triggers = q{
	CREATE TRIGGER category BEFORE INSERT OR UPDATE ON tickets FOR EACH ROW
		EXECUTE FUNCTION llama2_enrich('category', E'Classify this ticket as billing, shipping, technical, account or other.\n\n{body}', 'max_tokens=5', 'temperature=0');
	CREATE TRIGGER summary AFTER INSERT OR UPDATE ON tickets FOR EACH ROW
		EXECUTE FUNCTION llama2_enrich_async('summary', 'Summarize: {body}', 'max_tokens=40', 'temperature=0');
};
my @before = ([ qr/^INSERT INTO tickets \(id, body\)/, $triggers ], [ qr/^SELECT id, category, summary FROM tickets WHERE id = 4/, $wait ]);

# Not run: what changes the server or its models; not compared: what is another one each time
my $not_run = qr/ALTER SYSTEM|llama2_unload|llama2_load|llama-2-7b|EXPLAIN|ALTER ROLE|REVOKE/;
my $not_compared = qr/^SELECT pid, rows_done|rows_read|condition => 'id > 1000'/;

# [section, statement, expected lines] of each statement
sub statements
{
	my ($readme) = @_;
	my (@statements, $section, $statement);
	my $in_sql = 0;
	my $ended = 0;

	for my $line (split /\n/, $readme)
	{
		$section = $1 if !$in_sql && $line =~ /^#+ (.*)/;
		$in_sql = $line =~ /^ *```sql$/ if $line =~ /^ *```/;
		if (!$in_sql || $line =~ /^ *```/ || $line =~ /^$/)
		{
			$ended = 0;
			next;
		}
		if (!defined $statement && $line =~ /^--( .*)/)
		{
			# directly below a statement; others are remarks on the next one
			push @{ $statements[-1][2] }, $1 if $ended;
			next;
		}
		$statement .= "$line\n";
		next unless $line =~ /;( +--.*)?$/;
		push @statements, [ $section, $statement, [] ];
		undef $statement;
		$ended = 1;
	}
	return @statements;
}

# Without the spaces that only align
sub squeezed
{
	return grep { $_ ne '' } map { s/ *\| */|/gr =~ s/^ +| +$//gr } grep { !/^[-+ ]+$/ } @_;
}

my @statements = statements(slurp_file('README.md'));
my %sections;
my $n_compared = 0;

push @{ $sections{ $_->[0] } }, $_ for @statements;
for my $section (sort keys %sections)
{
	my @run = grep { $_->[1] !~ $not_run } @{ $sections{$section} };
	my $script = ($tables{$section} // $tickets) . "\\pset footer off\n\\pset null ''\n";
	my $out = '';

	for my $statement (@run)
	{
		$script .= join '', map { $_->[1] } grep { $statement->[1] =~ $_->[0] } @before;
		# with and without the names of columns
		$script .= "\\echo ==\n\\t off\n\\pset format unaligned\n$statement->[1]\n";
	}
	$node->safe_psql('postgres', 'DROP DATABASE IF EXISTS readme');
	$node->safe_psql('postgres', 'CREATE DATABASE readme');
	$node->safe_psql('readme', 'CREATE EXTENSION llama2');
	IPC::Run::run([ 'stdbuf', '-oL', 'psql', '-X', '-q', '-d', $node->connstr('readme') ], '<', \$script, '>&', \$out);
	my (undef, @got) = split /^==\n/m, $out, -1;

	is(scalar @got, scalar @run, "$section: all statements are run");
	for my $i (0 .. $#run)
	{
		my (undef, $statement, $expected) = @{ $run[$i] };
		my @shown = squeezed(@$expected);
		my @lines = squeezed(split /\n/, $got[$i] // '');

		next if !@shown || $statement =~ $not_compared;
		# rows are shown without the names of columns, unless that helps
		shift @lines if @lines == @shown + 1 && $lines[0] !~ /^(?:ERROR|NOTICE|WARNING):/;
		is_deeply(\@lines, \@shown, "$section: " . substr($statement, 0, 60) =~ s/\n.*//sr);
		$n_compared++;
	}
}
cmp_ok($n_compared, '>=', 30, "$n_compared statements of the README have the output that it shows");

$node->stop;
done_testing();
