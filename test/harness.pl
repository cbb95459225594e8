#!/usr/bin/perl
#
# harness.pl
#	Run one kind of TAP tests and append their counts to a file.
#
#	harness.pl program|perl|pgtap COUNTS FILE...
#
# COUNTS gets one line "passed failed skipped".  A test file that dies, or whose
# plan is wrong, counts as one more failure; one that is skipped as a whole
# counts as one skipped test.  Exit status 1 tells of failures.

use strict;
use warnings;

use TAP::Harness;

my ($kind, $counts, @files) = @ARGV;

my %options = (
	verbosity => $ENV{TEST_VERBOSE} ? 1 : 0,
	failures => 1,
	comments => 1,
	timer => 0,
	color => 0,
	merge => 0);

if ($kind eq 'program')
{
	$options{exec} = [];
}
elsif ($kind eq 'perl')
{
	$options{lib} = [ split /:/, $ENV{TEST_PERL_LIB} // '' ];
	$options{switches} = ['-w'];
}
elsif ($kind eq 'pgtap')
{
	$options{sources} = {
		pgTAP => {
			psql => 'psql',
			dbname => $ENV{PGDATABASE},
			host => $ENV{PGHOST},
			port => $ENV{PGPORT},
			username => $ENV{PGUSER},
			suffix => '.sql'
		}
	};
}
else
{
	die "harness.pl: unknown kind of tests \"$kind\"\n";
}

my $harness = TAP::Harness->new(\%options);
my $skipped_files = 0;

$harness->callback(
	made_parser => sub {
		my ($parser) = @_;

		$parser->callback(
			plan => sub {
				my ($plan) = @_;
				$skipped_files++ if $plan->directive eq 'SKIP';
			});
	});

my $results = $harness->runtests(@files);
my $failed = scalar $results->failed;
my $skipped = scalar $results->skipped;
my $passed = $results->passed - $skipped;

# files that went wrong without a failed test to show for it
foreach my $file ($results->descriptions)
{
	my ($parser) = $results->parsers($file);
	$failed++ if $parser->has_problems && !$parser->failed;
}

open(my $out, '>>', $counts) or die "could not open \"$counts\": $!\n";
printf $out "%d %d %d\n", $passed, $failed, $skipped + $skipped_files;
close $out or die "could not write \"$counts\": $!\n";
exit($failed ? 1 : 0);
