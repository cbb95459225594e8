# Databases in other encodings: prompts are converted to UTF-8 for the model,
# answers back, and a character that the database lacks becomes a question mark.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Llama2Server;
use Test::More;

my $node = llama2_server('encoding');
my @encodings = ('UTF8', 'LATIN1', 'WIN1252', 'EUC_JP', 'SQL_ASCII');
my $ascii = q{SELECT llama2_chat('What is PostgreSQL?', temperature => 0)};
my %word = (LATIN1 => "Gr\xfc\xdfe", WIN1252 => "Gr\xfc\xdfe", EUC_JP => "\xc0\xa4\xb3\xa6", UTF8 => "Gr\xc3\xbc\xc3\x9fe");
my %utf8 = (LATIN1 => "Gr\xc3\xbc\xc3\x9fe", WIN1252 => "Gr\xc3\xbc\xc3\x9fe", EUC_JP => "\xe4\xb8\x96\xe7\x95\x8c", UTF8 => "Gr\xc3\xbc\xc3\x9fe");

sub hex_of { return join '', map { sprintf '%02x', ord } split //, shift }

for my $encoding (@encodings)
{
	$node->safe_psql('postgres', "CREATE DATABASE db_$encoding ENCODING '$encoding' LOCALE 'C' TEMPLATE template0");
	$node->safe_psql(lc("db_$encoding"), 'CREATE EXTENSION llama2');
	is($node->safe_psql(lc("db_$encoding"), $ascii), 'PostgreSQL is a database that stores data in tables.', "$encoding: an answer");
}
for my $encoding (sort keys %word)
{
	my $text = "convert_from('\\x" . hex_of($word{$encoding}) . "', '$encoding')";
	my $ids = $node->safe_psql(lc("db_$encoding"), "SELECT llama2_tokenize($text)");

	is($ids, $node->safe_psql('db_utf8', "SELECT llama2_tokenize(convert_from('\\x" . hex_of($utf8{$encoding}) . "', 'UTF8'))"),
		"$encoding: tokens as in UTF-8");
	is($node->safe_psql(lc("db_$encoding"), "SELECT llama2_detokenize(llama2_tokenize($text)) = $text"), 't', "$encoding: there and back");
	is($node->safe_psql(lc("db_$encoding"),
			"SELECT string_agg(token, '' ORDER BY seq) = ' ' || $text FROM llama2_logprobs('Word:', ' ' || $text)"), 't', "$encoding: scores");
	is($node->safe_psql(lc("db_$encoding"), "SELECT llama2_chat_prompt(jsonb_build_array(jsonb_build_object('role', 'user', 'content', $text)))"),
		$node->safe_psql('db_utf8', "SELECT llama2_chat_prompt(jsonb_build_array(jsonb_build_object('role', 'user', 'content', convert_from('\\x"
			. hex_of($utf8{$encoding}) . "', 'UTF8'))))"), "$encoding: messages");
}

# A character outside the encoding: U+1F600 is bytes F0 9F 98 80, tokens 243 162 155 131.
is($node->safe_psql(lc("db_$_"), 'SELECT llama2_detokenize(ARRAY[68, 243, 162, 155, 131, 69])'), 'A?B', "$_ has no such character")
  for qw(LATIN1 WIN1252 EUC_JP);
is($node->safe_psql('db_latin1', 'SELECT llama2_detokenize(ARRAY[68, 198, 69])'), 'A?B', 'nor has it the replacement character');
is($node->safe_psql('db_sql_ascii', 'SELECT llama2_detokenize(ARRAY[243, 162, 155, 131]) = convert_from($$\xf09f9880$$, $$SQL_ASCII$$)'), 't', 'SQL_ASCII takes the bytes');
is($node->safe_psql('db_latin1', q{SELECT count(*) FROM generate_series(1, 10) AS seed
	WHERE llama2_generate('Once', seed => seed, temperature => 10, top_k => 0, top_p => 1, max_tokens => 30) IS NOT NULL}), 10,
	'random tokens make valid text');
is($node->safe_psql('db_latin1', q{SELECT string_agg(token, '' ORDER BY seq) = llama2_generate('Once', seed => 3, temperature => 10, top_k => 0, top_p => 1, max_tokens => 60)
	FROM llama2_generate_stream('Once', seed => 3, temperature => 10, top_k => 0, top_p => 1, max_tokens => 60)}), 't', 'streams, too');
is($node->safe_psql('db_latin1', q{SELECT string_agg(token->>'token', '' ORDER BY seq) = min(text) AND bool_and(jsonb_array_length(token->'top_logprobs') = 20)
	FROM llama2_complete('Once', seed => 3, temperature => 10, top_k => 0, top_p => 1, max_tokens => 60, options => '{"top_logprobs": 20}') AS c,
	jsonb_array_elements(logprobs) WITH ORDINALITY AS t (token, seq)}), 't', 'and log-probabilities');
is($node->safe_psql('db_latin1', q{SELECT starts_with(llama2_generate('Gr' || chr(252), max_tokens => 3, options => '{"echo": true}'), 'Gr' || chr(252))}), 't',
	'a prompt is repeated');
is($node->safe_psql('db_latin1', q{SELECT strpos(llama2_generate('Once', temperature => 0, max_tokens => 5, options => '{"logit_bias": {"198": 100}}', stop => ARRAY[chr(195)]), '?')}), 1,
	'a stop string is compared in UTF-8');

$node->stop;
done_testing();
