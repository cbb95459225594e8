/*
 * choices.c
 *		One of a few texts.
 */
#include "grammar/expr.h"

#include "text/utf8.h"

static void check_choice(LlmBuilder *builder, int number, const char *choice, size_t length);

LlmGrammar *
llm_grammar_from_choices(int n_choices, const char *const *choices, const size_t *lengths, LlmError *error)
{
	LlmBuilder	builder;
	LlmGrammar *volatile grammar = NULL;

	llm_builder_begin(&builder, error);
	if (setjmp(builder.failed) == 0)
	{
		LlmExprList list = {0};
		int			root = llm_builder_add_rule(&builder, "the list of choices");

		if (n_choices == 0)
			llm_builder_fail(&builder, LLM_ERROR_ARGUMENT, "there is no choice");
		for (int i = 0; i < n_choices; i++)
		{
			check_choice(&builder, i + 1, choices[i], lengths[i]);
			llm_list_add(&builder, &list, llm_literal(&builder, choices[i], lengths[i]));
		}
		builder.rules[root].expr = llm_choice(&builder, list.n_items, list.items);
		grammar = llm_builder_compile(&builder, root);
	}
	llm_builder_end(&builder);
	return grammar;
}

static void
check_choice(LlmBuilder *builder, int number, const char *choice, size_t length)
{
	size_t		at = 0;

	if (length == 0)
		llm_builder_fail(builder, LLM_ERROR_ARGUMENT, "choice %d is empty", number);
	if (length > LLM_GRAMMAR_MAX_TEXT)
		llm_builder_fail(builder, LLM_ERROR_LIMIT, "choice %d of %zu bytes is longer than %d bytes", number, length,
						 LLM_GRAMMAR_MAX_TEXT);
	while (at < length)
	{
		if (llm_next_char(choice, length, &at) <= 0)
			llm_builder_fail(builder, LLM_ERROR_ARGUMENT, "choice %d is not valid UTF-8", number);
	}
}
