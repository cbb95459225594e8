/*
 * schema_list.c
 *		Items in one order, of which some may be left out, and not too few or too many may be written.
 */
#include "grammar/schema.h"

static const LlmExpr *next_cell(LlmBuilder *builder, const LlmExpr *item, bool required, bool comma, const LlmExpr *with,
								const LlmExpr *without);

/*
 * From the last item to the first, what can follow where so many have been written.  From the first comma on, two ways lead to
 * a place, so that it is a rule.
 */
const LlmExpr *
llm_schema_list(LlmSchemaCompiler *compiler, int n, const LlmExpr *const *items, const bool *required, int n_tails,
				const LlmExpr *const *tails)
{
	LlmBuilder *builder = compiler->builder;
	const LlmExpr **row = llm_builder_claim(builder, (size_t) n_tails * sizeof(LlmExpr *));

	for (int c = 0; c < n_tails; c++)
		row[c] = tails[c];
	for (int i = n - 1; i >= 0; i--)
	{
		/* so many can have been written before it at most */
		int			last = i < n_tails - 1 ? i : n_tails - 1;

		for (int c = 1; c < n_tails && c <= last + 1; c++)
		{
			if (row[c] != NULL && row[c]->kind != LLM_EXPR_RULE)
			{
				int			rule = llm_builder_add_rule(builder, "the members of an object, the items of an array");

				builder->rules[rule].expr = row[c];
				row[c] = llm_rule_expr(builder, rule);
			}
		}
		for (int c = 0; c <= last; c++)
			row[c] = next_cell(builder, items[i], required != NULL && required[i], c > 0, row[c < n_tails - 1 ? c + 1 : c], row[c]);
	}
	return row[0];
}

/* NULL is what cannot be completed. */
static const LlmExpr *
next_cell(LlmBuilder *builder, const LlmExpr *item, bool required, bool comma, const LlmExpr *with, const LlmExpr *without)
{
	const LlmExpr *written = comma ? llm_then(builder, llm_text(builder, ", "), item) : item;

	if (with == NULL)
		return required ? NULL : without;
	if (required)
		return llm_then(builder, written, with);
	if (with == without)
		return llm_then(builder, llm_optional(builder, written), with);
	written = llm_then(builder, written, with);
	return without != NULL ? llm_or(builder, written, without) : written;
}
