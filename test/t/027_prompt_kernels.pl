# The kernels that are taken by name only keep the promises: the same results whatever is computed beside them, scores to the
# last bit, and turns of a conversation that compute their own tokens only.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Llama2Server;
use PostgreSQL::Test::Utils;
use Test::More;

my $flags = -r '/proc/cpuinfo' ? slurp_file('/proc/cpuinfo') : '';
my @missing = grep { $flags !~ /\b$_\b/ } qw(amx_int8 amx_bf16 avx512vbmi avx512_bf16 avx512_fp16);

plan skip_all => "this processor has no @missing" if @missing;
my %vectors;

for my $kernels (qw(amx_prompts amx_bf16))
{
	local $ENV{LLAMA2_KERNELS} = $kernels;
	for my $test (qw(011_same_results 015_conversation 017_same_scores))
	{
		my ($out, $err);

		next if $kernels eq 'amx_bf16' && $test eq '015_conversation';
		ok(IPC::Run::run([ $^X, "$FindBin::Bin/$test.pl" ], '>', \$out, '2>', \$err), "$test with $kernels") or diag($out, $err);
		like($out, qr/^ok 5 /m, 'has tested something');
	}

	my $node = llama2_server($kernels);
	is($node->safe_psql('postgres', q{SELECT llama2_chat('What is PostgreSQL?', temperature => 0)}),
		'PostgreSQL is a database that stores data in tables.', "$kernels: a chat");
	is($node->safe_psql('postgres', 'SELECT DISTINCT kernels FROM llama2_status'), $kernels, 'by that set');
	is($node->safe_psql('postgres', q{SELECT count(*) FROM unnest(llama2_chat_prompt('[{"role": "user", "content": "a"},
		{"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]')) AS id WHERE id NOT BETWEEN 0 AND 32000}), '0', 'marks of answers are not shown');
	is($node->safe_psql('postgres', q{SELECT count(*) FROM llama2_logprobs('', 'Once upon a time') AS a
		JOIN llama2_logprobs('Once upon', ' a time') AS b ON a.seq = b.seq + 2 AND a.token_id = b.token_id
		WHERE a.logprob = b.logprob OR abs(a.logprob - b.logprob) < 0.1 AND '} . $kernels . q{' = 'amx_prompts'}), '2',
		'where a prompt ends matters to none but amx_prompts, and little');
	$vectors{$kernels} = $node->safe_psql('postgres', q{SELECT llama2_embed('Once upon a time')});
	if ($kernels eq 'amx_bf16')
	{
		$node->safe_psql('postgres', q{ALTER SYSTEM SET llama2.kernels = 'amx'});
		$node->restart;
		$vectors{amx} = $node->safe_psql('postgres', q{SELECT llama2_embed('Once upon a time')});
	}
	$node->stop;
}

# A text to embed is a prompt.
is($vectors{amx_prompts}, $vectors{amx_bf16}, 'both compute a prompt in the same way');
isnt($vectors{amx_prompts}, $vectors{amx}, 'which is another than the usual one');

done_testing();
