/*
 * expr.c
 *		Expressions, sets of characters, and the memory they lie in.
 */
#include "grammar/expr.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/utf8.h"

#define CHUNK_BYTES 16384

/* What a grammar may take while it is made; more is an attack, not a grammar. */
#define MAX_CLAIMED ((size_t) 64 << 20)

typedef struct LlmChunk
{
	struct LlmChunk *next;
	size_t		used;
	size_t		size;
	size_t		claimed;		/* by all chunks up to this one */
				_Alignas(16) char bytes[];
} LlmChunk;

static LlmExpr *new_expr(LlmBuilder *builder, LlmExprKind kind);
static const LlmExpr *join(LlmBuilder *builder, LlmExprKind kind, int n_items, const LlmExpr *const *items);
static int	compare_ranges(const void *a, const void *b);
static LlmCharRange *add_without_surrogates(LlmCharRange *out, LlmCharRange range);

void
llm_builder_begin(LlmBuilder *builder, LlmError *error)
{
	memset(builder, 0, sizeof(*builder));
	builder->error = error;
	memset(builder->json_rules, -1, sizeof(builder->json_rules));
}

void
llm_builder_end(LlmBuilder *builder)
{
	while (builder->chunks != NULL)
	{
		LlmChunk   *chunk = builder->chunks;

		builder->chunks = chunk->next;
		free(chunk);
	}
}

void
llm_builder_fail(LlmBuilder *builder, LlmErrorCode code, const char *format,...)
{
	char		message[sizeof(builder->error->message)];
	va_list		args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	llm_fail(builder->error, code, "%s", message);
	longjmp(builder->failed, 1);
}

void *
llm_builder_claim(LlmBuilder *builder, size_t size)
{
	LlmChunk   *chunk = builder->chunks;
	size_t		rounded = (size + 15) & ~(size_t) 15;
	void	   *memory;

	if (chunk == NULL || chunk->size - chunk->used < rounded)
	{
		size_t		chunk_size = rounded > CHUNK_BYTES ? rounded : CHUNK_BYTES;
		size_t		claimed = chunk != NULL ? chunk->claimed : 0;

		if (rounded < size || claimed + chunk_size > MAX_CLAIMED)
			llm_builder_fail(builder, LLM_ERROR_LIMIT, "the grammar is too large");
		chunk = malloc(sizeof(LlmChunk) + chunk_size);
		if (chunk == NULL)
			llm_builder_fail(builder, LLM_ERROR_OUT_OF_MEMORY, "out of memory for a grammar");
		chunk->next = builder->chunks;
		chunk->used = 0;
		chunk->size = chunk_size;
		chunk->claimed = claimed + chunk_size;
		builder->chunks = chunk;
	}
	memory = chunk->bytes + chunk->used;
	chunk->used += rounded;
	return memset(memory, 0, rounded);
}

char *
llm_builder_print(LlmBuilder *builder, const char *format,...)
{
	char	   *text;
	va_list		args;
	int			length;

	va_start(args, format);
	length = vsnprintf(NULL, 0, format, args);
	va_end(args);
	text = llm_builder_claim(builder, (size_t) length + 1);
	va_start(args, format);
	vsnprintf(text, (size_t) length + 1, format, args);
	va_end(args);
	return text;
}

int
llm_builder_add_rule(LlmBuilder *builder, const char *name)
{
	if (builder->n_rules == LLM_GRAMMAR_MAX_RULES)
		llm_builder_fail(builder, LLM_ERROR_LIMIT, "the grammar has more than %d rules", LLM_GRAMMAR_MAX_RULES);
	if (builder->n_rules == builder->rules_capacity)
	{
		int			capacity = builder->rules_capacity == 0 ? 32 : 2 * builder->rules_capacity;
		LlmRule    *rules = llm_builder_claim(builder, (size_t) capacity * sizeof(LlmRule));

		if (builder->n_rules > 0)
			memcpy(rules, builder->rules, (size_t) builder->n_rules * sizeof(LlmRule));
		builder->rules = rules;
		builder->rules_capacity = capacity;
	}
	builder->rules[builder->n_rules] = (LlmRule)
	{
		.name = name
	};
	return builder->n_rules++;
}

const LlmExpr *
llm_fail_expr(LlmBuilder *builder)
{
	return new_expr(builder, LLM_EXPR_FAIL);
}

const LlmExpr *
llm_literal(LlmBuilder *builder, const char *bytes, size_t length)
{
	LlmExpr    *expr = new_expr(builder, LLM_EXPR_LITERAL);
	char	   *copy = llm_builder_claim(builder, length + 1);

	memcpy(copy, bytes, length);
	expr->bytes = copy;
	expr->length = length;
	return expr;
}

const LlmExpr *
llm_text(LlmBuilder *builder, const char *text)
{
	return llm_literal(builder, text, strlen(text));
}

const LlmExpr *
llm_chars(LlmBuilder *builder, LlmCharSet chars)
{
	LlmExpr    *expr = new_expr(builder, chars.n_ranges > 0 ? LLM_EXPR_CHARS : LLM_EXPR_FAIL);

	expr->chars = chars;
	return expr;
}

const LlmExpr *
llm_json_chars(LlmBuilder *builder, LlmCharSet chars)
{
	LlmExpr    *expr = new_expr(builder, LLM_EXPR_CHARS);

	expr->chars = chars;
	expr->in_json = true;
	return expr;
}

const LlmExpr *
llm_char_range(LlmBuilder *builder, uint32_t first, uint32_t last)
{
	LlmCharRange range = {first, last};

	return llm_chars(builder, llm_charset(builder, &range, 1));
}

const LlmExpr *
llm_sequence(LlmBuilder *builder, int n_items, const LlmExpr *const *items)
{
	return join(builder, LLM_EXPR_SEQUENCE, n_items, items);
}

const LlmExpr *
llm_choice(LlmBuilder *builder, int n_items, const LlmExpr *const *items)
{
	return join(builder, LLM_EXPR_CHOICE, n_items, items);
}

const LlmExpr *
llm_then(LlmBuilder *builder, const LlmExpr *a, const LlmExpr *b)
{
	const LlmExpr *items[] = {a, b};

	return llm_sequence(builder, 2, items);
}

const LlmExpr *
llm_or(LlmBuilder *builder, const LlmExpr *a, const LlmExpr *b)
{
	const LlmExpr *items[] = {a, b};

	return llm_choice(builder, 2, items);
}

const LlmExpr *
llm_repeat(LlmBuilder *builder, const LlmExpr *item, int least, int most)
{
	LlmExpr    *expr = new_expr(builder, LLM_EXPR_REPEAT);

	expr->item = item;
	expr->least = least;
	expr->most = most;
	return expr;
}

const LlmExpr *
llm_optional(LlmBuilder *builder, const LlmExpr *item)
{
	return llm_repeat(builder, item, 0, 1);
}

const LlmExpr *
llm_rule_expr(LlmBuilder *builder, int rule)
{
	LlmExpr    *expr = new_expr(builder, LLM_EXPR_RULE);

	expr->rule = rule;
	return expr;
}

const LlmExpr *
llm_automaton_expr(LlmBuilder *builder, const struct LlmAutomaton *automaton, bool in_json)
{
	LlmExpr    *expr = new_expr(builder, LLM_EXPR_AUTOMATON);

	expr->automaton = automaton;
	expr->in_json = in_json;
	return expr;
}

void
llm_list_add(LlmBuilder *builder, LlmExprList *list, const LlmExpr *item)
{
	if (list->n_items == list->capacity)
	{
		int			capacity = list->capacity == 0 ? 8 : 2 * list->capacity;
		const LlmExpr **items = llm_builder_claim(builder, (size_t) capacity * sizeof(LlmExpr *));

		if (list->n_items > 0)
			memcpy(items, list->items, (size_t) list->n_items * sizeof(LlmExpr *));
		list->items = items;
		list->capacity = capacity;
	}
	list->items[list->n_items++] = item;
}

/* Sort, join what touches, and leave out what no text can have. */
LlmCharSet
llm_charset(LlmBuilder *builder, const LlmCharRange *ranges, int n_ranges)
{
	LlmCharRange *sorted = llm_builder_claim(builder, ((size_t) n_ranges * 2 + 1) * sizeof(LlmCharRange));
	LlmCharRange *end = sorted;
	LlmCharSet	set = {0, sorted};

	for (int i = 0; i < n_ranges; i++)
		end = add_without_surrogates(end, ranges[i]);
	qsort(sorted, (size_t) (end - sorted), sizeof(LlmCharRange), compare_ranges);
	for (const LlmCharRange *range = sorted; range < end; range++)
	{
		LlmCharRange *last = set.n_ranges > 0 ? &sorted[set.n_ranges - 1] : NULL;

		if (last != NULL && range->first <= last->last + 1)
			last->last = range->last > last->last ? range->last : last->last;
		else
			sorted[set.n_ranges++] = *range;
	}
	return set;
}

LlmCharSet
llm_charset_invert(LlmBuilder *builder, LlmCharSet set)
{
	LlmCharRange *ranges = llm_builder_claim(builder, ((size_t) set.n_ranges + 1) * sizeof(LlmCharRange));
	uint32_t	next = 0;
	int			n = 0;

	for (int i = 0; i < set.n_ranges; i++)
	{
		if (set.ranges[i].first > next)
			ranges[n++] = (LlmCharRange) {next, set.ranges[i].first - 1};
		next = set.ranges[i].last + 1;
	}
	if (next <= LLM_LAST_CHAR)
		ranges[n++] = (LlmCharRange) {next, LLM_LAST_CHAR};
	return llm_charset(builder, ranges, n);
}

/* a and not b is not (not a or b). */
LlmCharSet
llm_charset_minus(LlmBuilder *builder, LlmCharSet a, LlmCharSet b)
{
	LlmCharSet	not_a = llm_charset_invert(builder, a);
	int			n = not_a.n_ranges + b.n_ranges;
	LlmCharRange *ranges = llm_builder_claim(builder, ((size_t) n + 1) * sizeof(LlmCharRange));

	memcpy(ranges, not_a.ranges, (size_t) not_a.n_ranges * sizeof(LlmCharRange));
	if (b.n_ranges > 0)
		memcpy(ranges + not_a.n_ranges, b.ranges, (size_t) b.n_ranges * sizeof(LlmCharRange));
	return llm_charset_invert(builder, llm_charset(builder, ranges, n));
}

bool
llm_charset_contains(LlmCharSet chars, uint32_t character)
{
	for (int i = 0; i < chars.n_ranges; i++)
	{
		if (character >= chars.ranges[i].first && character <= chars.ranges[i].last)
			return true;
	}
	return false;
}

int32_t
llm_next_char(const char *text, size_t length, size_t *at)
{
	uint32_t	n = llm_utf8_character(text + *at, length - *at);
	const uint8_t *bytes = (const uint8_t *) text + *at;
	int32_t		character;

	if (n == 0)
		return -1;
	character = n == 1 ? bytes[0] : bytes[0] & (0xFF >> (n + 1));
	for (uint32_t i = 1; i < n; i++)
		character = character << 6 | (bytes[i] & 0x3F);
	*at += n;
	return character;
}

int
llm_write_char(uint32_t character, char *out)
{
	if (character < 0x80)
	{
		out[0] = (char) character;
		return 1;
	}
	if (character < 0x800)
	{
		out[0] = (char) (0xC0 | character >> 6);
		out[1] = (char) (0x80 | (character & 0x3F));
		return 2;
	}
	if (character < 0x10000)
	{
		out[0] = (char) (0xE0 | character >> 12);
		out[1] = (char) (0x80 | (character >> 6 & 0x3F));
		out[2] = (char) (0x80 | (character & 0x3F));
		return 3;
	}
	out[0] = (char) (0xF0 | character >> 18);
	out[1] = (char) (0x80 | (character >> 12 & 0x3F));
	out[2] = (char) (0x80 | (character >> 6 & 0x3F));
	out[3] = (char) (0x80 | (character & 0x3F));
	return 4;
}

static LlmExpr *
new_expr(LlmBuilder *builder, LlmExprKind kind)
{
	LlmExpr    *expr = llm_builder_claim(builder, sizeof(LlmExpr));

	expr->kind = kind;
	return expr;
}

static const LlmExpr *
join(LlmBuilder *builder, LlmExprKind kind, int n_items, const LlmExpr *const *items)
{
	LlmExpr    *expr = new_expr(builder, kind);

	expr->items = llm_builder_claim(builder, ((size_t) n_items + 1) * sizeof(LlmExpr *));
	for (int i = 0; i < n_items; i++)
	{
		if (items[i] != NULL)
			expr->items[expr->n_items++] = items[i];
	}
	return expr;
}

static int
compare_ranges(const void *a, const void *b)
{
	uint32_t	first_a = ((const LlmCharRange *) a)->first;
	uint32_t	first_b = ((const LlmCharRange *) b)->first;

	return first_a < first_b ? -1 : first_a > first_b;
}

static LlmCharRange *
add_without_surrogates(LlmCharRange *out, LlmCharRange range)
{
	if (range.first == 0)
		range.first = 1;
	if (range.last > LLM_LAST_CHAR)
		range.last = LLM_LAST_CHAR;
	if (range.first < 0xD800 && range.first <= range.last)
		*out++ = (LlmCharRange) {range.first, range.last < 0xD800 ? range.last : 0xD7FF};
	if (range.last > 0xDFFF && range.first <= range.last)
		*out++ = (LlmCharRange) {range.first > 0xDFFF ? range.first : 0xE000, range.last};
	return out;
}
