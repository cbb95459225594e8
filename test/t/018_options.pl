# The README's table of options is that of the code: names, aliases, ranges, defaults and what they do, as llama2_options tells them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Llama2Server;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = llama2_server('options');

# A cell as it reads: without the marks of code, links and escapes
sub plain
{
	my ($cell) = @_;
	return $cell =~ s/\[([^]]*)\]\([^)]*\)/$1/gr =~ s/`//gr =~ s/\\\|/|/gr;
}

# [name, aliases, range, default, description] of each row
sub readme_rows
{
	my ($table) = slurp_file('README.md') =~ /^\| option \| also \| range \| default \| \|\n\|[-|]+\n((?:\|.*\n)+)/m;
	my @rows;

	for my $line (split /\n/, $table // '')
	{
		my @cells = map { s/^ +| +$//gr } split /(?<!\\)\|/, $line, -1;
		push @rows, [ map { plain($_) } @cells[ 1 .. 5 ] ];
	}
	return @rows;
}

# What the README would say; "off" and the like are explained there behind the default.
sub function_rows
{
	my $sql = q{SELECT concat_ws('|', name, coalesce(array_to_string(aliases, ', '), ''), range,
		CASE WHEN parameter IS NULL THEN coalesce("default", '') ELSE 'parameter' END, description) FROM llama2_options()};

	return map { [ split /\|/, $_, -1 ] } split /\n/, $node->safe_psql('postgres', $sql);
}

my @readme = readme_rows();
my @function = function_rows();

cmp_ok(scalar @readme, '>', 40, 'the README has a table of options');
is(join(' ', map { $_->[0] } @readme), join(' ', map { $_->[0] } @function), 'the same names');
for my $i (0 .. $#readme)
{
	my @shown = @{ $readme[$i] };

	$shown[3] =~ s/: off$//;
	is_deeply(\@shown, $function[$i], "option $shown[0]");
}

# A parameter that the README says is the default is one.
is($node->safe_psql('postgres', q{SELECT count(*) FROM llama2_options() WHERE parameter IS NOT NULL AND current_setting(parameter, true) IS NULL}), 0, 'parameters exist');

$node->stop;
done_testing();
