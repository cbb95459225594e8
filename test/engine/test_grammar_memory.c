/*
 * test_grammar_memory.c
 *		Want of memory while a grammar is used: whichever allocation fails, a request fails and the next one works.
 *
 * The linker has malloc, calloc and realloc call the functions here.
 */
#include "constrained_text.h"

#define N_TEXTS 2
#define MAX_TOKENS 12

extern void *__real_malloc(size_t size);
extern void *__real_calloc(size_t n, size_t size);
extern void *__real_realloc(void *memory, size_t size);
extern void *__wrap_malloc(size_t size);
extern void *__wrap_calloc(size_t n, size_t size);
extern void *__wrap_realloc(void *memory, size_t size);

typedef struct Text
{
	LlmConstraint *constraint;	/* NULL: it has failed, or has ended */
	LlmError	error;
	int			n_tokens;
	int32_t		tokens[MAX_TOKENS];
} Text;

static int	n_until_failure = -1;	/* allocations that succeed first; negative: all do */

static bool
fails(void)
{
	return n_until_failure >= 0 && n_until_failure-- == 0;
}

void *
__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *
__wrap_realloc(void *memory, size_t size)
{
	return fails() ? NULL : __real_realloc(memory, size);
}

static void
end_text(Text *text)
{
	llm_constraint_end(text->constraint);
	text->constraint = NULL;
}

/* One token more. */
static void
go_on(Text *text, const LlmVocabulary *vocabulary, uint32_t number)
{
	int32_t		token = llm_constraint_forced(text->constraint);

	if (token < 0)
	{
		const uint64_t *mask = llm_constraint_mask(text->constraint, &text->error);

		token = mask != NULL ? pick_token(mask, llm_vocabulary_count(vocabulary), number) : -1;
	}
	if (token >= 0 && token != llm_vocabulary_eos(vocabulary))
		token = llm_constraint_take(text->constraint, token, MAX_TOKENS - text->n_tokens - 1, &text->error);
	if (token < 0 || token == llm_vocabulary_eos(vocabulary))
	{
		end_text(text);
		return;
	}
	text->tokens[text->n_tokens++] = token;
	if (text->n_tokens == MAX_TOKENS || llm_constraint_must_end(text->constraint))
		end_text(text);
}

/* Texts of one grammar, in turns. */
static void
make_texts(LlmConstraints *constraints, const LlmVocabulary *vocabulary, const LlmGrammar *grammar, Text *texts)
{
	for (int i = 0; i < N_TEXTS; i++)
	{
		texts[i] = (Text) {0};
		texts[i].constraint = llm_constraint_begin(constraints, grammar, grammar->size, MAX_TOKENS, i > 0, LLM_ON_LIMIT_CLOSE,
												   &texts[i].error);
	}
	for (uint32_t turn = 0; turn < MAX_TOKENS; turn++)
	{
		for (uint32_t i = 0; i < N_TEXTS; i++)
		{
			if (texts[i].constraint != NULL)
				go_on(&texts[i], vocabulary, 5 * turn + i);
		}
	}
}

static bool
is_same(const Text *a, const Text *b)
{
	return a->error.code == LLM_OK && a->n_tokens == b->n_tokens &&
		memcmp(a->tokens, b->tokens, (size_t) a->n_tokens * sizeof(int32_t)) == 0;
}

/* Each allocation in turn, with states that are kept and with states that are forgotten at each token. */
static void
test_each_allocation(const LlmVocabulary *vocabulary, const LlmGrammar *grammar, size_t cache_bytes)
{
	Text		expected[N_TEXTS];
	Text		texts[N_TEXTS];
	LlmConstraints *constraints = llm_constraints_create(vocabulary, cache_bytes);
	int			n_allocations = 0;
	int			n_failed = 0;
	int			n_wrong = 0;
	bool		reached = true;

	make_texts(constraints, vocabulary, grammar, expected);
	llm_constraints_free(constraints);
	ok(expected[0].n_tokens == MAX_TOKENS && expected[1].n_tokens == MAX_TOKENS && !is_same(&expected[0], &expected[1]),
	   "two texts of %d and %d tokens", expected[0].n_tokens, expected[1].n_tokens);
	while (reached)
	{
		int			n_failed_now = 0;

		constraints = llm_constraints_create(vocabulary, cache_bytes);
		n_until_failure = n_allocations++;
		make_texts(constraints, vocabulary, grammar, texts);
		reached = n_until_failure < 0;
		n_until_failure = -1;
		for (int i = 0; i < N_TEXTS; i++)
		{
			n_failed_now += texts[i].error.code == LLM_ERROR_OUT_OF_MEMORY;
			n_wrong += texts[i].error.code != LLM_ERROR_OUT_OF_MEMORY && !is_same(&texts[i], &expected[i]);
		}
		n_failed += n_failed_now;
		n_wrong += n_failed_now != (reached ? 1 : 0);
		make_texts(constraints, vocabulary, grammar, texts);
		for (int i = 0; i < N_TEXTS; i++)
			n_wrong += !is_same(&texts[i], &expected[i]);
		llm_constraints_free(constraints);
	}
	ok(n_wrong == 0 && n_failed == n_allocations - 1 && n_failed > 20,
	   "with %zu bytes for states: of %d allocations each fails one text, and no other (%d failed, %d wrong)", cache_bytes,
	   n_allocations - 1, n_failed, n_wrong);
}

int
main(void)
{
	static const char source[] = "root ::= \"{\" pair (\",\" pair)* \"}\"\npair ::= string \":\" (string | [0-9]+ | root)\nstring ::= \"\\\"\" [a-z]* \"\\\"\"";
	LlmError	error = {0};
	LlmGrammar *grammar = llm_grammar_from_gbnf(source, strlen(source), &error);
	LlmVocabulary *vocabulary = json_vocabulary();

	test_each_allocation(vocabulary, grammar, (size_t) 1 << 20);
	test_each_allocation(vocabulary, grammar, 1);
	free(vocabulary);
	free(grammar);
	return done_testing();
}
