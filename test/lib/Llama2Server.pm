
# Llama2Server.pm
#	A server with llama2 preloaded and created, for the programs in test/t.

package Llama2Server;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(llama2_server fixture_path);

# llama2_server($name, %settings): a started server whose database "postgres"
# has the extension.
sub llama2_server
{
	my ($name, %settings) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	%settings = (shared_preload_libraries => 'llama2', %settings);
	$node->init(allows_streaming => 1);
	$node->append_conf('postgresql.conf',
		join('', map { "$_ = '$settings{$_}'\n" } sort keys %settings));
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION llama2');
	return $node;
}

# fixture_path($name): the path of a file below the fixtures folder, or undef
# where it is absent.
sub fixture_path
{
	my ($name) = @_;
	my $path = ($ENV{LLAMA2_FIXTURES} // '../shared/fixtures') . "/$name";

	return -r $path ? $path : undef;
}

1;
