# RawClient.pm
#	A client that speaks the PostgreSQL protocol (version 3) itself, so that a
#	test sees when each row arrives, and can leave without saying good-bye.

package RawClient;

use strict;
use warnings;

use IO::Select;
use IO::Socket::UNIX;
use Time::HiRes qw(time);

# RawClient->new($node, $database): a session of user postgres, in the database postgres unless it is given.
sub new
{
	my ($class, $node, $database) = @_;
	my $path = $node->host . '/.s.PGSQL.' . $node->port;
	my $socket = IO::Socket::UNIX->new(Peer => $path)
	  or die "could not connect to $path: $!";
	my $self = bless { socket => $socket, buffer => '' }, $class;
	my $user = getpwuid($<);
	my $parameters = pack('N', 3 << 16)
	  . join('', map { "$_\0" } (user => $user, database => $database // 'postgres', ''));

	$socket->blocking(1);
	$self->_send_raw(pack('N', 4 + length $parameters) . $parameters);
	while (my ($type, $body) = $self->_message(30))
	{
		die "connection refused: $body" if $type eq 'E';
		$self->{pid} = unpack('N', $body) if $type eq 'K';
		last if $type eq 'Z';
	}
	return $self;
}

sub pid
{
	my ($self) = @_;
	return $self->{pid};
}

# Send a query and return at once.
sub send_query
{
	my ($self, $sql) = @_;
	$self->_send_raw('Q' . pack('N', 5 + length $sql) . "$sql\0");
	return;
}

# What happens next: a row as [values], { error => text, sqlstate => code, detail and hint }, or
# undef when the query is complete.  Dies after $timeout seconds of silence.
sub next_row
{
	my ($self, $timeout) = @_;

	while (my ($type, $body) = $self->_message($timeout // 180))
	{
		return _row($body) if $type eq 'D';
		return if $type eq 'Z';
		push @{ $self->{warnings} }, { _fields($body) }->{M} if $type eq 'N';
		if ($type eq 'E')
		{
			my %field = _fields($body);
			$self->_wait_until_ready() unless $field{S} eq 'FATAL';
			return { error => $field{M}, sqlstate => $field{C}, detail => $field{D}, hint => $field{H} };
		}
	}
	return { error => 'connection closed', sqlstate => '' };
}

# All rows of a query, or its error.
sub query
{
	my ($self, $sql) = @_;
	my @rows;

	$self->send_query($sql);
	while (defined(my $row = $self->next_row))
	{
		return $row if ref $row eq 'HASH';
		push @rows, $row;
	}
	return \@rows;
}

# The only value of a query's only row.
sub value
{
	my ($self, $sql) = @_;
	my $rows = $self->query($sql);

	die "$sql: $rows->{error}" if ref $rows eq 'HASH';
	return $rows->[0][0];
}

# Warnings and notices since they were asked for last.
sub warnings
{
	my ($self) = @_;
	my $warnings = delete $self->{warnings};
	return @{ $warnings // [] };
}

# Leave as a client does whose machine loses power: no Terminate message.
sub vanish
{
	my ($self) = @_;
	close $self->{socket};
	return;
}

sub _fields
{
	my ($body) = @_;
	return map { substr($_, 0, 1) => substr($_, 1) } grep { length } split /\0/, $body;
}

sub _wait_until_ready
{
	my ($self) = @_;
	while (my ($type) = $self->_message(30))
	{
		return if $type eq 'Z';
	}
	return;
}

sub _row
{
	my ($body) = @_;
	my $count = unpack 'n', $body;
	my $at = 2;
	my @values;

	for (1 .. $count)
	{
		my $length = unpack 'N', substr($body, $at, 4);
		$at += 4;
		if ($length == 0xFFFFFFFF)
		{
			push @values, undef;
			next;
		}
		push @values, substr($body, $at, $length);
		$at += $length;
	}
	return \@values;
}

# One message as (type, body); nothing at the end of the connection.
sub _message
{
	my ($self, $timeout) = @_;
	my $deadline = time() + $timeout;

	for (;;)
	{
		if (length $self->{buffer} >= 5)
		{
			my ($type, $length) = unpack 'aN', $self->{buffer};
			if (length $self->{buffer} >= 1 + $length)
			{
				my $body = substr($self->{buffer}, 5, $length - 4);
				substr($self->{buffer}, 0, 1 + $length) = '';
				return ($type, $body);
			}
		}
		my $left = $deadline - time();
		die "no answer from the server within $timeout s" if $left <= 0;
		next unless IO::Select->new($self->{socket})->can_read($left);
		sysread($self->{socket}, $self->{buffer}, 65536, length $self->{buffer}) or return;
	}
}

sub _send_raw
{
	my ($self, $bytes) = @_;
	syswrite($self->{socket}, $bytes) == length $bytes or die "could not send: $!";
	return;
}

1;
