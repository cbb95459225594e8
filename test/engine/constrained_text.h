/*
 * constrained_text.h
 *		Texts of a grammar, token by token, without a model: any token that may come is as likely as another.
 */
#ifndef CONSTRAINED_TEXT_H
#define CONSTRAINED_TEXT_H

#include "engine/constraint.h"
#include "text/detokenize.h"
#include "vocabulary_fixture.h"

#define MAX_TEXT 65536

typedef struct ConstrainedText
{
	bool		begun;			/* false: no text is so short */
	bool		complete;		/* it ended where the grammar may end */
	bool		closed;			/* because of the limit */
	int			n_tokens;
	size_t		length;
	char		text[MAX_TEXT];
} ConstrainedText;

/* A generator's text. */
typedef struct Writer
{
	char		text[65536];
	int			length;
	uint64_t	random;
} Writer;

static inline uint32_t
dice(Writer *writer, uint32_t n)
{
	return next_random(&writer->random) % n;
}

static inline void
__attribute__((format(printf, 2, 3)))
put(Writer *writer, const char *format,...)
{
	va_list		args;

	va_start(args, format);
	writer->length += vsnprintf(writer->text + writer->length, sizeof(writer->text) - (size_t) writer->length, format, args);
	va_end(args);
}

/* Pieces that come in JSON, in pairs and alone, and some of other kinds. */
static inline LlmVocabulary *
json_vocabulary(void)
{
	static const char *const texts[] = {
		"{", "}", "[", "]", "\"", ":", ",", "{\"", "\":", "\",", "\xE2\x96\x81", "\xE2\x96\x81{", "\xE2\x96\x81[", "\xE2\x96\x81\"", "\":\xE2\x96\x81",
		",\xE2\x96\x81", "\",\xE2\x96\x81\"", "\":\xE2\x96\x81\"", "]}", "}}", "}]", "{}", "[]", "true", "\xE2\x96\x81true", "false", "null", "\xE2\x96\x81null", "0", "1", "2",
		"7", "9", "10", "00", "99", "-", "-1", ".", ".5", "e", "E+", "a", "b", "c", "ab", "abc", "id", "\xE2\x96\x81the", "\xE2\x96\x81The", "x", "\\", "\\\"",
		"\\n", "n", "tr", "ue", "A", "Z", "zz", "\xC3\xA9", "\xE2\x82\xAC", "\xC3", "\xE2\x82", "\n", "\xE2\x96\x81\xE2\x96\x81", "2024", "-0", "T", ":00", "@", ".com", "2-0", "(", ")", "+", "*"
	};
	static LlmPiece pieces[sizeof(texts) / sizeof(texts[0])];
	int			n = (int) (sizeof(texts) / sizeof(texts[0]));

	for (int i = 0; i < n; i++)
		pieces[i] = vocabulary_piece(texts[i], (float) -i, LLM_PIECE_NORMAL);
	return vocabulary_from_table(pieces, n);
}

/* The number-th of the tokens whose bits are set, counted around. */
static inline int32_t
pick_token(const uint64_t *mask, int32_t n_tokens, uint32_t number)
{
	int32_t		n = 0;

	for (int32_t i = 0; i < n_tokens; i++)
		n += mask[i / 64] >> (i % 64) & 1;
	if (n == 0)
		return -1;
	number %= (uint32_t) n;
	for (int32_t i = 0;; i++)
	{
		if ((mask[i / 64] >> (i % 64) & 1) && number-- == 0)
			return i;
	}
}

/* False with what is wrong shown, which is always a defect. */
static inline bool
constrained_text(LlmConstraints *constraints, const LlmVocabulary *vocabulary, const LlmGrammar *grammar,
				 int32_t max_tokens, LlmOnLimit on_limit, uint64_t *random, ConstrainedText *out)
{
	LlmError	error = {0};
	bool		strip = next_random(random) % 2;
	LlmConstraint *constraint = llm_constraint_begin(constraints, grammar, grammar->size, max_tokens, strip, on_limit, &error);

	*out = (ConstrainedText) {.begun = constraint != NULL};
	if (constraint == NULL)
	{
		if (strstr(error.message, "does not fit") != NULL)
			return true;
		diag("%s", error.message);
		return false;
	}
	while (!llm_constraint_must_end(constraint) && out->n_tokens < max_tokens)
	{
		int32_t		token = llm_constraint_forced(constraint);

		if (token < 0)
		{
			const uint64_t *mask = llm_constraint_mask(constraint, &error);

			token = mask != NULL ? pick_token(mask, llm_vocabulary_count(vocabulary), next_random(random)) : -1;
			if (token < 0)
			{
				diag("no token after \"%.*s\": %s", (int) out->length, out->text, error.message);
				llm_constraint_end(constraint);
				return false;
			}
		}
		if (token == llm_vocabulary_eos(vocabulary))
			break;
		token = llm_constraint_take(constraint, token, max_tokens - out->n_tokens - 1, &error);
		if (token == LLM_TAKE_END)
			break;
		if (token < 0 || out->length + 1024 > MAX_TEXT)
		{
			diag("after %zu bytes: %s", out->length, error.message);
			llm_constraint_end(constraint);
			return false;
		}
		out->length += llm_token_bytes(vocabulary, token, strip && out->n_tokens == 0, out->text + out->length);
		out->n_tokens++;
	}
	out->complete = llm_constraint_may_end(constraint);
	out->closed = llm_constraint_was_closed(constraint);
	llm_constraint_end(constraint);
	return true;
}

#endif							/* CONSTRAINED_TEXT_H */
