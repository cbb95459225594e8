/*
 * tokenize.c
 *		Byte pair encoding as SentencePiece's bpe_model.cc does it.
 *
 * A text is written with U+2581 for spaces and one in front, and cut into
 * symbols: user-defined pieces, characters, and bytes that belong to no
 * character.  The pair of neighbours that makes the piece of the greatest
 * score is merged, the leftmost among equals, until no pair makes a piece.
 * Symbols are a linked list, the pairs wait in a heap.  What has no piece in the
 * end is spelled in byte pieces.
 */
#include "text/tokenize.h"

#include "text/utf8.h"

#include <stdlib.h>
#include <string.h>

/* Symbol i's text begins with the i-th symbol that the word was cut into. */
typedef struct Symbol
{
	uint32_t	begin;			/* in the word as written */
	uint32_t	source;			/* the same place in the caller's text, from the word's begin */
	uint32_t	length;			/* bytes; 0 once merged into a symbol before it */
	int32_t		previous;		/* -1: none */
	int32_t		next;
	int32_t		id;				/* of the piece, where known, or -1 */
	bool		frozen;			/* never merged: user-defined pieces, stray bytes */
} Symbol;

/* A symbol and the next one, which together were a piece when this was noted. */
typedef struct Pair
{
	uint64_t	rank;			/* the score above, below it the left symbol, counted down */
	uint32_t	length;			/* bytes of both */
	int32_t		id;
} Pair;

typedef struct Tokenizer
{
	const LlmVocabulary *vocabulary;
	const char *text;
	size_t		length;
	bool		by_words;

	/* the word at hand */
	size_t		word_begin;		/* in the text */
	char	   *bytes;			/* the word as written */
	uint32_t	n_bytes;
	Symbol	   *symbols;
	int32_t		n_symbols;
	Pair	   *pairs;			/* heap, greatest rank first */
	uint32_t	n_pairs;
	uint32_t   *splits;			/* [piece] length of the left part of an unused piece */

	/* what comes out */
	int32_t    *ids;
	size_t	   *offsets;		/* or NULL */
	size_t		n_ids;
	bool		after_unknown;	/* a run of unknown characters is one token */
	LlmError   *error;
} Tokenizer;

static bool tokenize_words(Tokenizer *tokenizer);
static bool claim_workspace(Tokenizer *tokenizer);
static size_t word_end(const Tokenizer *tokenizer, size_t begin);
static uint32_t space_length(const char *text, size_t length);
static void write_word(Tokenizer *tokenizer, size_t begin, size_t end);
static void write_symbol(Tokenizer *tokenizer, const char *bytes, uint32_t length, size_t source,
						 bool frozen);
static void gather_user_defined(Tokenizer *tokenizer);
static bool merge_pairs(Tokenizer *tokenizer);
static bool note_pair(Tokenizer *tokenizer, int32_t left);
static bool note_split(Tokenizer *tokenizer, int32_t id, uint32_t left_length);
static uint64_t pair_rank(float score, int32_t left);
static void push_pair(Tokenizer *tokenizer, Pair pair);
static Pair pop_pair(Tokenizer *tokenizer);
static bool emit_word(Tokenizer *tokenizer);
static void split_unused(Tokenizer *tokenizer, int32_t index);
static bool emit_bytes(Tokenizer *tokenizer, const Symbol *symbol);
static void emit(Tokenizer *tokenizer, int32_t id, size_t offset);

size_t
llm_tokenize_bound(size_t length)
{
	size_t		bound;

	/* A space whose mark is no piece takes three byte pieces. */
	if (__builtin_mul_overflow(length, (size_t) LLM_SPACE_MARK_BYTES, &bound) ||
		__builtin_add_overflow(bound, (size_t) LLM_SPACE_MARK_BYTES + 1, &bound))
		return SIZE_MAX;
	return bound;
}

bool
llm_tokenize(const LlmVocabulary *vocabulary, const char *text, size_t length, bool with_bos,
			 int32_t *ids, size_t *n_ids, LlmError *error)
{
	return llm_tokenize_with_offsets(vocabulary, text, length, with_bos, ids, NULL, n_ids, error);
}

bool
llm_tokenize_with_offsets(const LlmVocabulary *vocabulary, const char *text, size_t length,
						  bool with_bos, int32_t *ids, size_t *offsets, size_t *n_ids,
						  LlmError *error)
{
	Tokenizer	tokenizer = {
		.vocabulary = vocabulary,
		.text = text,
		.length = length,
		.by_words = llm_vocabulary_words_are_separate(vocabulary),
		.ids = ids,
		.offsets = offsets,
		.error = error
	};
	bool		done;

	if (with_bos && llm_vocabulary_bos(vocabulary) >= 0)
		emit(&tokenizer, llm_vocabulary_bos(vocabulary), 0);
	done = length == 0 || (claim_workspace(&tokenizer) && tokenize_words(&tokenizer));
	free(tokenizer.bytes);
	free(tokenizer.symbols);
	free(tokenizer.pairs);
	free(tokenizer.splits);
	*n_ids = done ? tokenizer.n_ids : 0;
	return done;
}

static bool
tokenize_words(Tokenizer *tokenizer)
{
	size_t		begin = 0;

	while (begin < tokenizer->length)
	{
		size_t		end = word_end(tokenizer, begin);

		write_word(tokenizer, begin, end);
		if (!merge_pairs(tokenizer) || !emit_word(tokenizer))
			return false;
		begin = end;
	}
	return true;
}

static bool
claim_workspace(Tokenizer *tokenizer)
{
	size_t		longest = 0;
	size_t		begin = 0;

	while (begin < tokenizer->length)
	{
		size_t		end = word_end(tokenizer, begin);

		if (end - begin > longest)
			longest = end - begin;
		begin = end;
	}
	if (longest > LLM_MAX_WORD_BYTES)
		return llm_fail(tokenizer->error, LLM_ERROR_LIMIT,
						"text has %zu bytes %s, the limit is %zu", longest,
						tokenizer->by_words ? "without a space" : "in all", LLM_MAX_WORD_BYTES);

	/*
	 * The dummy prefix is one symbol more.  Each merge takes one pair out of
	 * the heap and puts at most two in, so there are never twice the symbols.
	 */
	longest++;
	tokenizer->bytes = malloc(longest * LLM_SPACE_MARK_BYTES);
	tokenizer->symbols = malloc(longest * sizeof(Symbol));
	tokenizer->pairs = malloc(2 * longest * sizeof(Pair));
	if (tokenizer->bytes == NULL || tokenizer->symbols == NULL || tokenizer->pairs == NULL)
		return llm_fail(tokenizer->error, LLM_ERROR_OUT_OF_MEMORY,
						"out of memory while tokenizing %zu bytes", tokenizer->length);
	return true;
}

/*
 * Where the word that begins at begin ends: after its leading spaces and what
 * follows up to the next space.  No piece reaches across that place.
 */
static size_t
word_end(const Tokenizer *tokenizer, size_t begin)
{
	const char *text = tokenizer->text;
	size_t		end = begin;
	uint32_t	space;

	if (!tokenizer->by_words)
		return tokenizer->length;
	while ((space = space_length(text + end, tokenizer->length - end)) > 0)
		end += space;
	while (end < tokenizer->length && space_length(text + end, tokenizer->length - end) == 0)
		end++;
	return end;
}

/* Bytes of the space, or of the U+2581, that text[length] begins with, or 0. */
static uint32_t
space_length(const char *text, size_t length)
{
	if (length > 0 && *text == ' ')
		return 1;
	return llm_utf8_is_space_mark(text, length) ? LLM_SPACE_MARK_BYTES : 0;
}

/* Write text[begin .. end - 1] with U+2581 for spaces, as a list of symbols. */
static void
write_word(Tokenizer *tokenizer, size_t begin, size_t end)
{
	size_t		i = begin;

	tokenizer->word_begin = begin;
	tokenizer->n_bytes = 0;
	tokenizer->n_symbols = 0;
	tokenizer->n_pairs = 0;
	if (begin == 0 && llm_vocabulary_adds_space_prefix(tokenizer->vocabulary))
		write_symbol(tokenizer, LLM_SPACE_MARK, LLM_SPACE_MARK_BYTES, begin, false);
	while (i < end)
	{
		uint32_t	length = llm_utf8_character(tokenizer->text + i, end - i);

		if (tokenizer->text[i] == ' ')
			write_symbol(tokenizer, LLM_SPACE_MARK, LLM_SPACE_MARK_BYTES, i, false);
		else
			write_symbol(tokenizer, tokenizer->text + i, length > 0 ? length : 1, i, length == 0);
		i += length > 0 ? length : 1;
	}
	gather_user_defined(tokenizer);
	tokenizer->symbols[tokenizer->n_symbols - 1].next = -1;
}

static void
write_symbol(Tokenizer *tokenizer, const char *bytes, uint32_t length, size_t source, bool frozen)
{
	int32_t		index = tokenizer->n_symbols++;

	tokenizer->symbols[index] = (Symbol)
	{
		.begin = tokenizer->n_bytes,
		.source = (uint32_t) (source - tokenizer->word_begin),
		.length = length,
		.previous = index - 1,
		.next = index + 1,
		.id = -1,
		.frozen = frozen
	};
	memcpy(tokenizer->bytes + tokenizer->n_bytes, bytes, length);
	tokenizer->n_bytes += length;
}

/* Put the symbols together that make a user-defined piece, from the left, the longest first. */
static void
gather_user_defined(Tokenizer *tokenizer)
{
	Symbol	   *symbols = tokenizer->symbols;
	int32_t		n = 0;
	int32_t		i = 0;

	while (i < tokenizer->n_symbols)
	{
		uint32_t	begin = symbols[i].begin;
		uint32_t	length;
		int32_t		id = llm_vocabulary_match_user_defined(tokenizer->vocabulary,
														   tokenizer->bytes + begin,
														   tokenizer->n_bytes - begin, &length);
		int32_t		end = i + 1;

		symbols[n] = symbols[i];
		symbols[n].previous = n - 1;
		symbols[n].next = n + 1;
		if (id >= 0)
		{
			while (end < tokenizer->n_symbols && symbols[end].begin < begin + length)
				end++;
			symbols[n].id = id;
			symbols[n].length = length;
			symbols[n].frozen = true;
		}
		i = end;
		n++;
	}
	tokenizer->n_symbols = n;
}

static bool
merge_pairs(Tokenizer *tokenizer)
{
	Symbol	   *symbols = tokenizer->symbols;
	int32_t		i;

	for (i = 0; i < tokenizer->n_symbols - 1; i++)
	{
		if (!note_pair(tokenizer, i))
			return false;
	}
	while (tokenizer->n_pairs > 0)
	{
		Pair		pair = pop_pair(tokenizer);
		int32_t		left = (int32_t) (UINT32_MAX - (uint32_t) pair.rank);
		int32_t		right = symbols[left].next;

		/* Symbols only grow, so a pair of the length noted is the pair noted. */
		if (symbols[left].length == 0 || right < 0 ||
			symbols[left].length + symbols[right].length != pair.length)
			continue;
		symbols[left].length = pair.length;
		symbols[left].id = pair.id;
		symbols[left].next = symbols[right].next;
		symbols[right].length = 0;
		if (symbols[left].next >= 0)
			symbols[symbols[left].next].previous = left;
		if ((symbols[left].previous >= 0 && !note_pair(tokenizer, symbols[left].previous)) ||
			(symbols[left].next >= 0 && !note_pair(tokenizer, left)))
			return false;
	}
	return true;
}

/* Put a symbol and its next one in the heap if they make a piece. */
static bool
note_pair(Tokenizer *tokenizer, int32_t left)
{
	const Symbol *a = &tokenizer->symbols[left];
	const Symbol *b = &tokenizer->symbols[a->next];
	uint32_t	length = a->length + b->length;
	LlmPiece	piece;
	int32_t		id;

	if (a->frozen || b->frozen)
		return true;
	id = llm_vocabulary_find_text(tokenizer->vocabulary, tokenizer->bytes + a->begin, length);
	if (id < 0)
		return true;
	piece = llm_vocabulary_piece(tokenizer->vocabulary, id);
	push_pair(tokenizer, (Pair) {pair_rank(piece.score, left), length, id});
	return piece.kind != LLM_PIECE_UNUSED || note_split(tokenizer, id, a->length);
}

/* Remember what an unused piece was made of, the latest pair as SentencePiece does. */
static bool
note_split(Tokenizer *tokenizer, int32_t id, uint32_t left_length)
{
	if (tokenizer->splits == NULL)
		tokenizer->splits = calloc(llm_vocabulary_count(tokenizer->vocabulary), sizeof(uint32_t));
	if (tokenizer->splits == NULL)
		return llm_fail(tokenizer->error, LLM_ERROR_OUT_OF_MEMORY,
						"out of memory while tokenizing %zu bytes", tokenizer->length);
	tokenizer->splits[id] = left_length;
	return true;
}

/* A number that is greater for a greater score, and among equals for a symbol more to the left. */
static uint64_t
pair_rank(float score, int32_t left)
{
	float		unsigned_zero = score + 0.0f;
	uint32_t	bits;

	memcpy(&bits, &unsigned_zero, sizeof(bits));
	bits = (bits & UINT32_C(0x80000000)) ? ~bits : bits | UINT32_C(0x80000000);
	return (uint64_t) bits << 32 | (UINT32_MAX - (uint32_t) left);
}

static void
push_pair(Tokenizer *tokenizer, Pair pair)
{
	Pair	   *pairs = tokenizer->pairs;
	uint32_t	i = tokenizer->n_pairs++;

	while (i > 0 && pairs[(i - 1) / 2].rank < pair.rank)
	{
		pairs[i] = pairs[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	pairs[i] = pair;
}

static Pair
pop_pair(Tokenizer *tokenizer)
{
	Pair	   *pairs = tokenizer->pairs;
	Pair		top = pairs[0];
	uint32_t	n = --tokenizer->n_pairs;
	Pair		last = pairs[n];
	uint32_t	i = 0;
	uint32_t	child;

	while ((child = 2 * i + 1) < n)
	{
		if (child + 1 < n && pairs[child + 1].rank > pairs[child].rank)
			child++;
		if (pairs[child].rank <= last.rank)
			break;
		pairs[i] = pairs[child];
		i = child;
	}
	pairs[i] = last;
	return top;
}

static bool
emit_word(Tokenizer *tokenizer)
{
	Symbol	   *symbols = tokenizer->symbols;
	int32_t		i = 0;

	while (i >= 0)
	{
		Symbol	   *symbol = &symbols[i];

		if (symbol->id < 0 && !symbol->frozen)
			symbol->id = llm_vocabulary_find_text(tokenizer->vocabulary,
												  tokenizer->bytes + symbol->begin,
												  symbol->length);
		if (tokenizer->splits != NULL)
			split_unused(tokenizer, i);
		if (symbol->id >= 0)
			emit(tokenizer, symbol->id, tokenizer->word_begin + symbol->source);
		else if (!emit_bytes(tokenizer, symbol))
			return false;
		i = symbol->next;
	}
	return true;
}

/* Take an unused piece apart again, until its first part is one in use. */
static void
split_unused(Tokenizer *tokenizer, int32_t index)
{
	Symbol	   *symbols = tokenizer->symbols;
	Symbol	   *symbol = &symbols[index];

	while (symbol->id >= 0 && tokenizer->splits[symbol->id] > 0)
	{
		uint32_t	left_length = tokenizer->splits[symbol->id];
		uint32_t	middle = symbol->begin + left_length;
		int32_t		low = index + 1;
		int32_t		high = tokenizer->n_symbols - 1;

		/* The right part's text begins where one of the first symbols did. */
		while (low < high)
		{
			int32_t		probe = low + (high - low) / 2;

			if (symbols[probe].begin < middle)
				low = probe + 1;
			else
				high = probe;
		}
		symbols[low].length = symbol->length - left_length;
		symbols[low].id = llm_vocabulary_find_text(tokenizer->vocabulary,
												   tokenizer->bytes + middle, symbols[low].length);
		symbols[low].next = symbol->next;
		symbol->length = left_length;
		symbol->id = llm_vocabulary_find_text(tokenizer->vocabulary,
											  tokenizer->bytes + symbol->begin, left_length);
		symbol->next = low;
	}
}

/* Spell a character that is no piece, or fall back to the unknown token. */
static bool
emit_bytes(Tokenizer *tokenizer, const Symbol *symbol)
{
	const LlmVocabulary *vocabulary = tokenizer->vocabulary;
	const uint8_t *bytes = (const uint8_t *) tokenizer->bytes + symbol->begin;
	size_t		source = tokenizer->word_begin + symbol->source;
	bool		is_prefix = llm_vocabulary_adds_space_prefix(vocabulary) &&
		tokenizer->word_begin == 0 && symbol->begin == 0;
	bool		is_itself = !is_prefix && tokenizer->text[source] != ' ';
	uint32_t	missing = symbol->length;
	uint32_t	i;

	for (i = 0; i < symbol->length; i++)
	{
		if (llm_vocabulary_byte_token(vocabulary, bytes[i]) < 0)
			missing = i;
	}
	if (missing == symbol->length)
	{
		for (i = 0; i < symbol->length; i++)
			emit(tokenizer, llm_vocabulary_byte_token(vocabulary, bytes[i]),
				 is_itself ? source + i : source);
		return true;
	}
	if (llm_vocabulary_unknown(vocabulary) < 0)
		return llm_fail(tokenizer->error, LLM_ERROR_UNSUPPORTED,
						"the vocabulary has no token for byte 0x%02X at offset %zu of the text",
						bytes[missing], source);
	if (!tokenizer->after_unknown)
		emit(tokenizer, llm_vocabulary_unknown(vocabulary), source);
	tokenizer->after_unknown = true;
	return true;
}

static void
emit(Tokenizer *tokenizer, int32_t id, size_t offset)
{
	if (tokenizer->offsets != NULL)
		tokenizer->offsets[tokenizer->n_ids] = offset;
	tokenizer->ids[tokenizer->n_ids++] = id;
	tokenizer->after_unknown = false;
}
