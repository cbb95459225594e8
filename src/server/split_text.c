/*
 * split_text.c
 *		Long texts cut into parts that fit a prompt.
 */
#include "server/split_text.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "server/prompt.h"

/* A border belongs to the piece before it. */
typedef size_t (*FindBorder) (const char *source, size_t length, size_t limit);

static List *split_at(const Llama2Model *model, const char *source, size_t length, int limit, int level);
static size_t paragraph_end(const char *source, size_t length, size_t limit);
static size_t sentence_end(const char *source, size_t length, size_t limit);
static size_t word_end(const char *source, size_t length, size_t limit);
static char *trimmed(const char *source, size_t length);

static const FindBorder borders[] = {paragraph_end, sentence_end, word_end};
static const char *const separators[] = {"\n\n", " ", " "};

/* A text that is too long whatever its tokens are is not tokenized: that takes time. */
int
Llama2CountTokens(const Llama2Model *model, const char *source, size_t length, int limit)
{
	Llama2Prompt prompt;
	const char *utf8 = pg_server_to_any(source, length, PG_UTF8);
	size_t		utf8_length = utf8 == source ? length : strlen(utf8);
	int			n;

	if (utf8_length > ((size_t) limit + 1) * llm_vocabulary_max_token_bytes(model->vocabulary))
		return limit + 1;
	prompt = Llama2Tokenize(model, utf8, utf8_length, false, NULL);
	n = prompt.n_ids;
	pfree(prompt.ids);
	return n;
}

List *
Llama2SplitText(const Llama2Model *model, const char *source, int limit)
{
	return split_at(model, source, strlen(source), limit, 0);
}

/* The tokens of a sum are taken to be the sum of the tokens, and one more for each border. */
List *
Llama2PackTexts(const Llama2Model *model, List *texts, const char *separator, int limit)
{
	List	   *parts = NIL;
	StringInfoData part;
	int			n_tokens = 0;
	ListCell   *cell;

	initStringInfo(&part);
	foreach(cell, texts)
	{
		const char *source = lfirst(cell);
		int			n = Llama2CountTokens(model, source, strlen(source), limit) + 1;

		CHECK_FOR_INTERRUPTS();
		if (part.len > 0 && n_tokens + n > limit)
		{
			parts = lappend(parts, pstrdup(part.data));
			resetStringInfo(&part);
			n_tokens = 0;
		}
		if (part.len > 0)
			appendStringInfoString(&part, separator);
		appendStringInfoString(&part, source);
		n_tokens += n;
	}
	if (part.len > 0)
		parts = lappend(parts, part.data);
	return parts;
}

/* Cut at the borders of a level, what is still too long at those of the next, and put short pieces together. */
static List *
split_at(const Llama2Model *model, const char *source, size_t length, int limit, int level)
{
	List	   *pieces = NIL;

	if (Llama2CountTokens(model, source, length, limit) <= limit)
	{
		char	   *piece = trimmed(source, length);

		return *piece ? list_make1(piece) : NIL;
	}
	while (length > 0)
	{
		size_t		n = borders[level] (source, length, limit);
		char	   *piece = trimmed(source, n);

		CHECK_FOR_INTERRUPTS();
		if (*piece == '\0')
			pfree(piece);
		else if (level + 1 < lengthof(borders))
			pieces = list_concat(pieces, split_at(model, piece, strlen(piece), limit, level + 1));
		else
			pieces = lappend(pieces, piece);
		source += n;
		length -= n;
	}
	return Llama2PackTexts(model, pieces, separators[level], limit);
}

/* After a line that is followed by an empty one. */
static size_t
paragraph_end(const char *source, size_t length, size_t limit)
{
	for (size_t i = 0; i + 1 < length; i++)
		if (source[i] == '\n')
		{
			size_t		next = i + 1;

			while (next < length && (source[next] == ' ' || source[next] == '\t' || source[next] == '\r'))
				next++;
			if (next < length && source[next] == '\n')
				return next + 1;
		}
	return length;
}

/* After a full stop, a question or exclamation mark, and white space; or after a line. */
static size_t
sentence_end(const char *source, size_t length, size_t limit)
{
	for (size_t i = 0; i + 1 < length; i++)
	{
		if (source[i] == '\n')
			return i + 1;
		if (strchr(".!?", source[i]) && (source[i + 1] == ' ' || source[i + 1] == '\n'))
			return i + 2;
	}
	return length;
}

/* As many whole words as can be no more tokens than the limit, as a token has a byte at least. */
static size_t
word_end(const char *source, size_t length, size_t limit)
{
	size_t		most = Max(limit / 4, 1);
	size_t		last_space = 0;
	size_t		i = 0;

	while (i < length)
	{
		size_t		next = i + pg_mblen(source + i);

		if (next > most && i > 0)
			return last_space > 0 ? last_space : i;
		if (source[i] == ' ' || source[i] == '\t')
			last_space = next;
		i = next;
	}
	return length;
}

static char *
trimmed(const char *source, size_t length)
{
	while (length > 0 && strchr(" \t\r\n", *source))
	{
		source++;
		length--;
	}
	while (length > 0 && strchr(" \t\r\n", source[length - 1]))
		length--;
	return pnstrdup(source, length);
}
