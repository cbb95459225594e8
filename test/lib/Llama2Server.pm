
# Llama2Server.pm
#	A server with llama2 preloaded and created, for the programs in test/t.

package Llama2Server;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(sleep);

our @EXPORT = qw(llama2_server set_parameters fixture_path stories_text);

# llama2_server($name, %settings): a started server whose database "postgres"
# has the extension.  LLAMA2_KERNELS of the environment names its kernel set.
sub llama2_server
{
	my ($name, %settings) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	%settings = (shared_preload_libraries => 'llama2', %settings);
	$settings{'llama2.kernels'} = $ENV{LLAMA2_KERNELS} if $ENV{LLAMA2_KERNELS};
	# before version 15 a client that is gone is noticed by this alone
	$settings{client_connection_check_interval} = '100ms' if qx(pg_config --version) =~ /PostgreSQL 14/;
	$node->init(allows_streaming => 1);
	$node->append_conf('postgresql.conf',
		join('', map { "$_ = '$settings{$_}'\n" } sort keys %settings));
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION llama2');
	return $node;
}

# set_parameters($client, %settings): for the whole server; the worker has seen them after it.
sub set_parameters
{
	my ($client, %settings) = @_;

	$client->query("ALTER SYSTEM SET $_ = '$settings{$_}'") for keys %settings;
	$client->query('SELECT pg_reload_conf()');
	sleep 0.3;
	$client->query(q{SELECT llama2_generate('x', max_tokens => 1)});
	return;
}

# fixture_path($name): the path of a file below the fixtures folder, or undef
# where it is absent.
sub fixture_path
{
	my ($name) = @_;
	my $path = ($ENV{LLAMA2_FIXTURES} // '../shared/fixtures') . "/$name";

	return -r $path ? $path : undef;
}

# stories_text(): from llama2.c's own test: greedy text of stories260K after the
# beginning of text alone.
sub stories_text
{
	return <<'TEXT' =~ s/\n\z//r;
Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, red ball. She wanted to play with it, but it was too high.
Lily's mom said, "Lily, let's go to the park." Lily was sad and didn't know what to do. She said, "I want to play with your ball, but I can't find it."
Lily was sad and didn't know what to do. She said, "I'm sorry, Lily. I didn't know what to do."
Lily didn't want to help her mom, so she
TEXT
}

1;
