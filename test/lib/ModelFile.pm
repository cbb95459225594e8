# ModelFile.pm
#	Models for tests, made of another one's GGUF file: with fewer of its layers, and with layers of zeros.
#
# A layer of zeros adds nothing to a token's state, so that it changes no answer; its weights are a hole
# in the file.  So a model can be as large as a test wants it, and cost no space.

package ModelFile;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(write_model);

use constant ALIGNMENT => 32;
my %scalar_bytes = (0 => 1, 1 => 1, 2 => 2, 3 => 2, 4 => 4, 5 => 4, 6 => 4, 7 => 1, 10 => 8, 11 => 8, 12 => 8);
my %block = (0 => [ 1, 4 ], 1 => [ 1, 2 ], 8 => [ 32, 34 ]);	# F32, F16, Q8_0: weights and bytes

# write_model($source, $path, $n_real, $n_zero): a model of $n_real layers of the source's and $n_zero of zeros.
# It appears at once, as whoever replaces a file of a running server makes it.
sub write_model
{
	my ($source, $path, $n_real, $n_zero) = @_;
	my $model = read_header($source);
	my @tensors = grep { !/^blk\.(\d+)\./ || $1 < $n_real } map { $_->{name} } @{ $model->{tensors} };
	my %by_name = map { $_->{name} => $_ } @{ $model->{tensors} };
	my @of_layer = grep { /^blk\.0\./ } @tensors;
	my $infos = '';
	my $end = 0;
	my @copies;

	for my $layer ($n_real .. $n_real + $n_zero - 1)
	{
		push @tensors, map { s/^blk\.0\./blk.$layer./r } @of_layer;
	}
	for my $name (@tensors)
	{
		my $tensor = $by_name{$name} // $by_name{ $name =~ s/^blk\.\d+\./blk.0./r };

		$infos .= pack('Q</a*', $name) . pack('V', scalar @{ $tensor->{dims} }) .
		  pack('Q<*', @{ $tensor->{dims} }) . pack('VQ<', $tensor->{type}, $end);
		push @copies, [ $end, $tensor ] unless $name =~ /^blk\.(\d+)\./ && $1 >= $n_real;
		$end = align($end + $tensor->{bytes});
	}

	my $keys = $model->{keys};
	substr($keys, $model->{block_count_at}, 4) = pack('V', $n_real + $n_zero);
	my $header = 'GGUF' . pack('VQ<Q<', $model->{version}, scalar @tensors, $model->{n_keys}) . $keys . $infos;
	my $data_start = align(length $header);

	open(my $in, '<:raw', $source) or die "could not open $source: $!";
	open(my $out, '>:raw', "$path.new") or die "could not write $path.new: $!";
	print $out $header;
	for my $copy (@copies)
	{
		my ($offset, $tensor) = @$copy;
		my $bytes;

		seek($in, $model->{data_start} + $tensor->{offset}, 0);
		read($in, $bytes, $tensor->{bytes}) == $tensor->{bytes} or die "$source is too short";
		seek($out, $data_start + $offset, 0);
		print $out $bytes;
	}
	truncate($out, $data_start + $end) or die "could not extend $path.new: $!";
	close $out or die "could not write $path.new: $!";
	rename("$path.new", $path) or die "could not rename $path.new: $!";
	return;
}

sub align
{
	my ($offset) = @_;

	return int(($offset + ALIGNMENT - 1) / ALIGNMENT) * ALIGNMENT;
}

sub read_header
{
	my ($path) = @_;
	my %model;
	my $bytes = do { local (@ARGV, $/) = ($path); <> };
	my ($magic, $n_tensors);

	($magic, $model{version}, $n_tensors, $model{n_keys}) = unpack('a4VQ<Q<', $bytes);
	die "$path is no GGUF file" unless $magic eq 'GGUF';
	my $at = my $keys_at = 24;
	for (1 .. $model{n_keys})
	{
		my ($key, $type) = unpack("x[$at]Q</aV", $bytes);

		$at += 8 + length($key) + 4;
		$model{block_count_at} = $at - $keys_at if $key eq 'llama.block_count';
		$at = skip_value(\$bytes, $at, $type);
	}
	$model{keys} = substr($bytes, $keys_at, $at - $keys_at);
	for (1 .. $n_tensors)
	{
		my ($name, $n_dims) = unpack("x[$at]Q</aV", $bytes);
		my %tensor = (name => $name);
		my $weights = 1;

		$at += 8 + length($name) + 4;
		$tensor{dims} = [ unpack("x[$at]Q<$n_dims", $bytes) ];
		$at += 8 * $n_dims;
		@tensor{qw(type offset)} = unpack("x[$at]VQ<", $bytes);
		$at += 12;
		$weights *= $_ for @{ $tensor{dims} };
		$tensor{bytes} = $weights / $block{ $tensor{type} }[0] * $block{ $tensor{type} }[1];
		push @{ $model{tensors} }, \%tensor;
	}
	$model{data_start} = align($at);
	return \%model;
}

# Where the next key begins.
sub skip_value
{
	my ($bytes, $at, $type) = @_;

	return $at + $scalar_bytes{$type} if exists $scalar_bytes{$type};
	return $at + 8 + unpack("x[$at]Q<", $$bytes) if $type == 8;
	my ($of, $n) = unpack("x[$at]VQ<", $$bytes);
	$at += 12;
	return $at + $n * $scalar_bytes{$of} if exists $scalar_bytes{$of};
	$at += 8 + unpack("x[$at]Q<", $$bytes) for 1 .. $n;
	return $at;
}

1;
