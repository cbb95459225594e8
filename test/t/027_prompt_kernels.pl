# Kernels that compute prompts in their own way keep the promises: the same results whatever is computed beside them, scores
# to the last bit, and turns of a conversation that compute their own tokens only.

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
$ENV{LLAMA2_KERNELS} = 'amx_bf16';
for my $test (qw(011_same_results 015_conversation 017_same_scores))
{
	my ($out, $err);

	ok(IPC::Run::run([ $^X, "$FindBin::Bin/$test.pl" ], '>', \$out, '2>', \$err), "$test with amx_bf16") or diag($out, $err);
	like($out, qr/^ok 5 /m, 'has tested something');
}

my $node = llama2_server('prompt_kernels');
is($node->safe_psql('postgres', q{SELECT llama2_chat('What is PostgreSQL?', temperature => 0)}),
	'PostgreSQL is a database that stores data in tables.', 'a chat');
is($node->safe_psql('postgres', 'SELECT DISTINCT kernels FROM llama2_status'), 'amx_bf16', 'by that set');
is($node->safe_psql('postgres', q{SELECT count(*) FROM unnest(llama2_chat_prompt('[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
	{"role": "user", "content": "c"}]')) AS id WHERE id NOT BETWEEN 0 AND 32000}), '0', 'marks of answers are not shown');
$node->stop;

done_testing();
