/*
 * test_tokenizer.c
 *		Text to tokens: SentencePiece's cases, a slow oracle, any bytes, errors, time.
 */
#include <time.h>

#include "bpe_oracle.h"
#include "jsonl.h"
#include "tap.h"
#include "text/detokenize.h"
#include "text/tokenize.h"
#include "vocabulary_fixture.h"

#define MARK "\xE2\x96\x81"

static LlmVocabulary *llama;

/* A text's tokens and their offsets, claimed by tokenize and freed by the caller. */
typedef struct Tokens
{
	int32_t    *ids;
	size_t	   *offsets;
	size_t		n;
	bool		done;
	LlmError	error;
} Tokens;

static Tokens
tokenize(const LlmVocabulary *vocabulary, const char *text, size_t length, bool with_bos)
{
	size_t		bound = llm_tokenize_bound(length);
	char	   *copy = malloc(length > 0 ? length : 1);
	Tokens		tokens = {.ids = malloc(bound * sizeof(int32_t)),
	.offsets = malloc(bound * sizeof(size_t))};

	/* A copy that ends where the text ends, for the sanitizer to guard. */
	if (length > 0)
		memcpy(copy, text, length);
	tokens.done = llm_tokenize_with_offsets(vocabulary, copy, length, with_bos, tokens.ids,
											tokens.offsets, &tokens.n, &tokens.error);
	free(copy);
	return tokens;
}

static void
release(Tokens *tokens)
{
	free(tokens->ids);
	free(tokens->offsets);
}

static bool
same_ids(const Tokens *tokens, const int32_t *ids, size_t n)
{
	return tokens->done && tokens->n == n &&
		(n == 0 || memcmp(tokens->ids, ids, n * sizeof(int32_t)) == 0);
}

/* Whether a text gives just these ids. */
static bool
gives(const LlmVocabulary *vocabulary, const char *text, const int32_t *ids, size_t n)
{
	Tokens		tokens = tokenize(vocabulary, text, strlen(text), false);
	bool		same = same_ids(&tokens, ids, n);

	if (!same)
	{
		printf("# \"%s\" gives", text);
		for (size_t i = 0; i < tokens.n; i++)
			printf(" %d", tokens.ids[i]);
		printf("\n");
	}
	release(&tokens);
	return same;
}

#define GIVES(vocabulary, text, ...) \
	gives(vocabulary, text, (const int32_t[]) {__VA_ARGS__}, \
		  sizeof((const int32_t[]) {__VA_ARGS__}) / sizeof(int32_t))

static void
test_sentencepiece_cases(void)
{
	const char *path = fixture_path("tokenizer-cases.jsonl");
	FILE	   *file = path != NULL ? fopen(path, "r") : NULL;
	char	   *line = NULL;
	size_t		capacity = 0;
	JsonReader	reader;
	int			n = 0;
	int			n_equal = 0;

	if (file == NULL)
	{
		skip("no tokenizer-cases.jsonl");
		return;
	}
	while (json_next_line(file, &line, &capacity, &reader))
	{
		JsonString	text = {NULL, 0};
		JsonInts	ids = {NULL, 0};
		bool		read = json_expect(&reader, '{') && json_key(&reader, "text") &&
		json_string(&reader, &text) && json_expect(&reader, ',') &&
		json_key(&reader, "ids") && json_ints(&reader, &ids) &&
		json_expect(&reader, '}') && json_finish(&reader);

		n++;
		if (read)
		{
			Tokens		tokens = tokenize(llama, text.bytes, text.length, false);

			if (same_ids(&tokens, ids.values, ids.count))
				n_equal++;
			else
				diag("case %d differs", n);
			release(&tokens);
		}
		else
			diag("case %d cannot be read", n);
		free(text.bytes);
		free(ids.values);
	}
	free(line);
	fclose(file);
	ok(n > 0 && n_equal == n, "%d of %d cases equal SentencePiece's ids", n_equal, n);
}

/* Any bytes, some of them characters; never U+2581, which comes back as a space. */
static size_t
random_text(uint64_t *state, char *text, size_t limit)
{
	static const char *const fragments[] = {
		" ", "  ", "the", " and", "\n", "\r\n", "\xC3\xA9", "\xE6\xBC\xA2", "\xF0\x9F\xA6\x99",
		"</s>", "<s>", "<0x41>", "\xE2\x96", "\xF0\x9F", "\xED\xA0\x80", "\xC0\x80", "1234", "[INST]", "\t"
	};
	size_t		n = next_random(state) % (limit + 1);
	uint32_t	share = next_random(state) % 5;
	size_t		length = 0;

	while (length < n)
	{
		uint32_t	choice = next_random(state) % (sizeof(fragments) / sizeof(fragments[0]));
		const char *fragment = fragments[choice];

		if (next_random(state) % 4 >= share && length + strlen(fragment) <= n)
		{
			memcpy(text + length, fragment, strlen(fragment));
			length += strlen(fragment);
		}
		else
			text[length++] = (char) next_random(state);
		if (length >= 3 && memcmp(text + length - 3, MARK, 3) == 0)
			text[length - 1] = 'x';
	}
	return length;
}

/* Every token's bytes are the text from its offset to the next one's. */
static bool
comes_back(const LlmVocabulary *vocabulary, const char *text, size_t length)
{
	Tokens		tokens = tokenize(vocabulary, text, length, false);
	char	   *bytes = malloc(llm_vocabulary_max_token_bytes(vocabulary));
	bool		same = tokens.done && tokens.n <= llm_tokenize_bound(length) &&
		(length == 0 || (tokens.n > 0 && tokens.offsets[0] == 0));

	for (size_t i = 0; same && i < tokens.n; i++)
	{
		size_t		n = llm_token_bytes(vocabulary, tokens.ids[i], i == 0, bytes);
		size_t		end = i + 1 < tokens.n ? tokens.offsets[i + 1] : length;

		same = end - tokens.offsets[i] == n && end <= length &&
			memcmp(text + tokens.offsets[i], bytes, n) == 0;
	}
	free(bytes);
	release(&tokens);
	return same;
}

static void
test_round_trip(const LlmVocabulary *vocabulary, const char *name)
{
	uint64_t	state = 88172645463325252;
	char		text[200];
	int			n_equal = 0;
	int			n;

	for (n = 0; n < 10000; n++)
	{
		size_t		length = random_text(&state, text, sizeof(text));

		if (comes_back(vocabulary, text, length))
			n_equal++;
	}
	ok(n_equal == n, "%s: %d of %d random byte strings come back, token by token", name, n_equal, n);
}

static void
test_names_are_text(void)
{
	Tokens		tokens = tokenize(llama, "<s></s><unk><0x41>", 18, false);
	bool		special = false;

	for (size_t i = 0; i < tokens.n; i++)
		special |= llm_vocabulary_piece(llama, tokens.ids[i]).kind != LLM_PIECE_NORMAL;
	ok(tokens.done && !special, "names of control, unknown and byte pieces are plain text");
	release(&tokens);
	ok(GIVES(llama, "a" MARK "b", 263, 289) && GIVES(llama, "a b", 263, 289), "U+2581 is a space");

	tokens = tokenize(llama, "", 0, true);
	ok(tokens.done && tokens.n == 1 && tokens.ids[0] == 1, "an empty text with BOS is BOS alone");
	release(&tokens);
	tokens = tokenize(llama, "\xF0\x9F\xA6\x99 x", 6, true);
	ok(tokens.n == 7 && tokens.offsets[1] == 0 && tokens.offsets[2] == 0 &&
	   tokens.offsets[5] == 3 && tokens.offsets[6] == 4, "offsets of BOS, prefix, bytes and a word");
	release(&tokens);
}

/* A random table of pieces over few characters, so that merges compete. */
static int
random_table(uint64_t *state, LlmPiece *table, char (*texts)[16], bool across, bool unused)
{
	static const char *const letters[] = {"a", "b", "c", MARK};
	int			n = 4 + (int) (next_random(state) % 40);

	for (int i = 0; i < n; i++)
	{
		int			length = i < 3 ? 1 : 2 + (int) (next_random(state) % 4);
		uint32_t	dice = next_random(state) % 16;

		texts[i][0] = '\0';
		for (int j = 0; j < length; j++)
			strcat(texts[i], letters[next_random(state) % (j == 0 || across ? 4 : 3)]);
		table[i] = vocabulary_piece(texts[i], -(float) (next_random(state) % 8), LLM_PIECE_NORMAL);
		if (dice == 0)
			table[i].kind = LLM_PIECE_USER_DEFINED;
		else if (dice < 4 && unused)
			table[i].kind = LLM_PIECE_UNUSED;
		else if (dice == 4)
			table[i].kind = LLM_PIECE_CONTROL;
	}
	return n;
}

static void
test_oracle(bool across, bool unused, const char *name)
{
	Oracle	   *oracle = malloc(sizeof(Oracle));
	uint64_t	state = 0x2545F4914F6CDD1D + across * 2 + unused;
	int			n_equal = 0;
	int			n = 0;

	for (int round = 0; round < 300; round++)
	{
		LlmPiece	table[64];
		LlmPiece	pieces[3 + 256 + 64] = {0};
		char		texts[64][16];
		int			n_table = random_table(&state, table, texts, across, unused);
		LlmVocabulary *vocabulary = vocabulary_from_table(table, n_table);

		for (int i = 0; i < 3 + 256; i++)
			pieces[i] = llm_vocabulary_piece(vocabulary, i);
		memcpy(pieces + 3 + 256, table, (size_t) n_table * sizeof(LlmPiece));
		for (int i = 0; i < 10; i++, n++)
		{
			char		text[48];
			size_t		length = next_random(&state) % sizeof(text);
			Tokens		tokens;

			for (size_t j = 0; j < length; j++)
				text[j] = "abc d"[next_random(&state) % 5];
			tokens = tokenize(vocabulary, text, length, false);
			oracle_tokenize(oracle, pieces, 3 + 256 + n_table, text, length);
			if (same_ids(&tokens, oracle->ids, (size_t) oracle->n_ids))
				n_equal++;
			release(&tokens);
		}
		free(vocabulary);
	}
	free(oracle);
	ok(n_equal == n, "%d of %d random texts equal the oracle's ids, %s", n_equal, n, name);
}

static void
test_user_defined(void)
{
	enum
	{
	FIRST = 3 + 256};
	const LlmPiece table[] = {
		vocabulary_piece("a", -1, LLM_PIECE_NORMAL),
		vocabulary_piece("aa", -2, LLM_PIECE_NORMAL),
		vocabulary_piece("<go>", 0, LLM_PIECE_USER_DEFINED),
		vocabulary_piece("<go><on>", 0, LLM_PIECE_USER_DEFINED),
		vocabulary_piece(MARK, -3, LLM_PIECE_NORMAL),
		vocabulary_piece("a<go>a", 0, LLM_PIECE_NORMAL),
		vocabulary_piece("\xE2\x82", 0, LLM_PIECE_USER_DEFINED),
		vocabulary_piece("<go>", 0, LLM_PIECE_CONTROL)
	};
	LlmVocabulary *vocabulary = vocabulary_from_table(table, sizeof(table) / sizeof(table[0]));

	ok(GIVES(vocabulary, "aa<go>aa", FIRST + 4, FIRST + 1, FIRST + 2, FIRST + 1),
	   "a user-defined piece is found in the midst of letters and never merged");
	ok(GIVES(vocabulary, "<go><on>", FIRST + 4, FIRST + 3) &&
	   GIVES(vocabulary, "<go><o", FIRST + 4, FIRST + 2, 3 + '<', 3 + 'o'),
	   "the longest user-defined piece is taken");
	ok(GIVES(vocabulary, "\xE2\x82\xAC", FIRST + 4, 3 + 0xE2, 3 + 0x82, 3 + 0xAC),
	   "a user-defined piece of broken UTF-8 cuts no character");
	free(vocabulary);
}

/* Few pieces, no bytes: unknown characters, and none at all. */
static void
test_unknown(void)
{
	const LlmPiece pieces[] = {
		vocabulary_piece("<unk>", 0, LLM_PIECE_UNKNOWN),
		vocabulary_piece("a", -1, LLM_PIECE_NORMAL),
		vocabulary_piece(MARK "a", -2, LLM_PIECE_NORMAL)
	};
	LlmVocabularySource source = {
		.n_pieces = 3, .pieces = pieces, .bos_id = -1, .eos_id = -1, .unknown_id = 0,
		.add_space_prefix = true
	};
	LlmVocabulary *vocabulary = vocabulary_from_source(&source);
	Tokens		tokens;

	ok(GIVES(vocabulary, "axyza x\xFFya", 2, 0, 1, 0, 1), "a run of unknown characters is one token");
	tokens = tokenize(vocabulary, "a", 1, true);
	ok(same_ids(&tokens, (const int32_t[]) {2}, 1), "a vocabulary without BOS adds none");
	release(&tokens);
	free(vocabulary);

	source.unknown_id = -1;
	vocabulary = vocabulary_from_source(&source);
	tokens = tokenize(vocabulary, "aaz", 3, false);
	ok(!tokens.done && tokens.n == 0 && tokens.error.code == LLM_ERROR_UNSUPPORTED &&
	   strcmp(tokens.error.message,
			  "the vocabulary has no token for byte 0x7A at offset 2 of the text") == 0,
	   "no token for a character: %s", tokens.error.message);
	release(&tokens);
	free(vocabulary);

	source.add_space_prefix = false;
	vocabulary = vocabulary_from_source(&source);
	ok(GIVES(vocabulary, "a a", 1, 2), "no dummy prefix where the vocabulary has none");
	free(vocabulary);
}

static void
test_limits(void)
{
	size_t		length = LLM_MAX_WORD_BYTES + 1;
	char	   *text = calloc(length, 1);
	int32_t		id;
	size_t		n;
	LlmError	error = {.code = LLM_OK};

	ok(llm_tokenize_bound(SIZE_MAX / 2) == SIZE_MAX && llm_tokenize_bound(0) == 4 &&
	   llm_tokenize_bound(10) == 34, "bounds, without overflow");
	if (text == NULL)
	{
		skip("no memory for a long word");
		return;
	}
	ok(!llm_tokenize(llama, text, length, false, &id, &n, &error) && n == 0 &&
	   error.code == LLM_ERROR_LIMIT, "too long a word: %s", error.message);
	free(text);
}

/* A quadratic tokenizer would take hours for these. */
static void
test_time(void)
{
	static const char *const names[] = {
		"words", "one letter", "spaces", "random bytes", "random letters", "digits and stray bytes"
	};
	size_t		length = 1 << 20;
	char	   *text = malloc(length);
	uint64_t	state = 42;

	for (int kind = 0; kind < 6; kind++)
	{
		clock_t		begin;
		Tokens		tokens;
		double		seconds;

		for (size_t i = 0; i < length; i++)
		{
			uint32_t	number = next_random(&state);

			text[i] = kind == 0 ? "etaoin shrdlu"[number % 13] : kind == 1 ? 'a' :
				kind == 2 ? ' ' : kind == 3 ? (char) number :
				kind == 4 ? (char) ('a' + number % 26) : "0123456789\x80\xE2"[number % 12];
		}
		begin = clock();
		tokens = tokenize(llama, text, length, false);
		seconds = (double) (clock() - begin) / CLOCKS_PER_SEC;
		ok(tokens.done && seconds < 20, "1 MiB of %s: %zu tokens", names[kind], tokens.n);
		diag("%.3f s", seconds);
		release(&tokens);
	}
	free(text);
}

int
main(void)
{

	llama = vocabulary_from_fixture("vocab-llama2.gguf");
	test_oracle(false, false, "pieces end at spaces");
	test_oracle(true, false, "pieces go on past spaces");
	test_oracle(true, true, "with unused pieces");
	test_user_defined();
	test_unknown();
	if (llama == NULL)
	{
		skip("no vocab-llama2.gguf");
		return done_testing();
	}
	test_sentencepiece_cases();
	test_round_trip(llama, "Llama 2's vocabulary");
	test_names_are_text();
	test_limits();
	test_time();
	ok(llm_vocabulary_words_are_separate(llama), "Llama 2's pieces end at spaces");
	free(llama);
	return done_testing();
}
