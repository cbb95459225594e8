/*
 * test_detokenizer.c
 *		Tokens to bytes, and bytes to valid UTF-8 in pieces of any size.
 */
#include "tap.h"
#include "text/detokenize.h"
#include "vocabulary_fixture.h"

#define MARK "\xE2\x96\x81"
#define BAD "\xEF\xBF\xBD"
#define LONGEST 64

static bool
token_is(const LlmVocabulary *vocabulary, int32_t id, bool strip_space, const char *expected)
{
	char		bytes[LONGEST];
	size_t		n = llm_token_bytes(vocabulary, id, strip_space, bytes);

	return n == strlen(expected) && memcmp(bytes, expected, n) == 0;
}

static void
test_tokens(void)
{
	enum
	{
	FIRST = 3 + 256};
	const LlmPiece table[] = {
		vocabulary_piece(MARK MARK "a" MARK, 0, LLM_PIECE_NORMAL),
		vocabulary_piece(" " MARK "b", 0, LLM_PIECE_USER_DEFINED),
		vocabulary_piece("c\xE2\x96", 0, LLM_PIECE_UNUSED)
	};
	LlmVocabulary *vocabulary = vocabulary_from_table(table, sizeof(table) / sizeof(table[0]));
	bool		bytes_right = true;

	ok(token_is(vocabulary, FIRST, false, "  a ") && token_is(vocabulary, FIRST, true, " a "),
	   "U+2581 is a space, one leading one is dropped on request");
	ok(token_is(vocabulary, FIRST + 1, true, "  b") &&
	   token_is(vocabulary, FIRST + 2, true, "c\xE2\x96"),
	   "other bytes stay as they are");
	ok(token_is(vocabulary, 0, true, " \xE2\x81\x87 ") && token_is(vocabulary, 1, false, "") &&
	   token_is(vocabulary, 2, false, ""), "unknown and control pieces");
	ok(token_is(vocabulary, -1, false, "") && token_is(vocabulary, FIRST + 3, false, ""),
	   "ids out of range give nothing");
	for (int byte = 0; byte < 256; byte++)
	{
		char		out[LONGEST];

		bytes_right &= llm_token_bytes(vocabulary, 3 + byte, true, out) == 1 &&
			(uint8_t) out[0] == byte;
	}
	ok(bytes_right, "byte pieces");
	free(vocabulary);
}

/* Push a text in chunks of the given size (0: random) and finish; returns the length. */
static size_t
stream(const char *bytes, size_t length, size_t chunk, uint64_t *state, char *out)
{
	LlmUtf8Stream utf8 = {.n_pending = 0};
	size_t		n = 0;
	size_t		i = 0;

	while (i < length)
	{
		size_t		step = chunk > 0 ? chunk : next_random(state) % 5;

		if (step > length - i)
			step = length - i;
		n += llm_utf8_push(&utf8, bytes + i, step, out + n);
		i += step;
	}
	return n + llm_utf8_finish(&utf8, out + n);
}

static bool
becomes(const char *bytes, size_t length, const char *expected)
{
	char		out[256];

	for (size_t chunk = 1; chunk <= length + 1; chunk++)
	{
		size_t		n = stream(bytes, length, chunk, NULL, out);

		if (n != strlen(expected) || memcmp(out, expected, n) != 0)
			return false;
	}
	return true;
}

#define BECOMES(bytes, expected) becomes(bytes, sizeof(bytes) - 1, expected)

static void
test_utf8(void)
{
	LlmUtf8Stream utf8 = {.n_pending = 0};
	char		out[32];

	ok(BECOMES("plain", "plain") && BECOMES("", "") &&
	   BECOMES("\xC3\xA9\xE6\xBC\xA2\xF0\x9F\xA6\x99", "\xC3\xA9\xE6\xBC\xA2\xF0\x9F\xA6\x99") &&
	   BECOMES("\xF4\x8F\xBF\xBF\xED\x9F\xBF\xEE\x80\x80", "\xF4\x8F\xBF\xBF\xED\x9F\xBF\xEE\x80\x80"),
	   "valid text passes");
	ok(BECOMES("a\0b", "a" BAD "b"), "NUL");

	/* Tables 3-8 to 3-11 of the Unicode Standard, section 3.9. */
	ok(BECOMES("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", BAD BAD BAD BAD BAD BAD BAD BAD "A"),
	   "forms too long");
	ok(BECOMES("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", BAD BAD BAD BAD BAD BAD BAD BAD "A"),
	   "surrogates");
	ok(BECOMES("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", BAD BAD BAD BAD BAD "A" BAD BAD "B"),
	   "beyond U+10FFFF");
	ok(BECOMES("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", BAD BAD BAD BAD "A"), "truncated characters");
	ok(BECOMES("x\xF0\x9F\xA6", "x" BAD), "an end in the midst of a character");

	ok(llm_utf8_push(&utf8, "a\xE6", 2, out) == 1 && llm_utf8_push(&utf8, "\xBC", 1, out) == 0 &&
	   llm_utf8_push(&utf8, "\xA2z", 2, out) == 4 && memcmp(out, "\xE6\xBC\xA2z", 4) == 0 &&
	   llm_utf8_finish(&utf8, out) == 0, "a character comes when it is whole");
}

/* A decoder of its own: whether bytes[length] is one character after another, none of them NUL. */
static bool
is_valid(const char *bytes, size_t length)
{
	size_t		i = 0;

	while (i < length)
	{
		static const uint32_t least[] = {0, 1, 0x80, 0x800, 0x10000};
		uint8_t		lead = (uint8_t) bytes[i];
		size_t		n = lead < 0x80 ? 1 : lead < 0xC0 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
		uint32_t	code = n == 1 ? lead : lead & (0x7Fu >> n);

		if (n == 0 || lead >= 0xF8 || n > length - i)
			return false;
		for (size_t j = 1; j < n; j++)
		{
			if (((uint8_t) bytes[i + j] & 0xC0) != 0x80)
				return false;
			code = code << 6 | ((uint8_t) bytes[i + j] & 0x3F);
		}
		if (code < least[n] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
			return false;
		i += n;
	}
	return true;
}

static void
test_random_bytes(void)
{
	uint64_t	state = 7;
	int			n_good = 0;
	int			n;

	for (n = 0; n < 20000; n++)
	{
		char		bytes[LONGEST];
		char		whole[3 * (LONGEST + 4)];
		char		parts[3 * (LONGEST + 4)];
		size_t		length = next_random(&state) % LONGEST;
		size_t		n_whole;

		for (size_t i = 0; i < length; i++)
			bytes[i] = next_random(&state) % 4 ? (char) (0x80 + next_random(&state) % 128) :
				(char) next_random(&state);
		n_whole = stream(bytes, length, LONGEST, NULL, whole);
		n_good += is_valid(whole, n_whole) &&
			stream(bytes, length, 0, &state, parts) == n_whole && memcmp(whole, parts, n_whole) == 0 &&
			(!is_valid(bytes, length) || (n_whole == length && memcmp(whole, bytes, length) == 0));
	}
	ok(n_good == n, "%d of %d random byte strings become valid, the same in any parts", n_good, n);
}

int
main(void)
{
	test_tokens();
	test_utf8();
	test_random_bytes();
	return done_testing();
}
