/*
 * transformer_rows.c
 *		Which tokens a step still computes, and in which row of the buffers each is.
 *
 * Rows are closed up when slices are dropped, and in the last layer, where only
 * the tokens remain whose logits or states are wanted.  Slices that want states come last, so that
 * the classifier's rows are the first ones, and those that are no prompts come first.
 */
#include "engine/transformer_private.h"

#include <stdlib.h>
#include <string.h>

/* In the order of their rows. */
typedef enum SliceKind
{
	GENERATED,
	PROMPT,
	PROMPT_FOR_STATES
} SliceKind;

static int32_t load_slices(LlmTransformer *t, SliceKind kind, int32_t n_tokens);
static SliceKind kind_of(const LlmTransformer *t, const LlmSlice *slice);
static int32_t wanted_of(const LlmTokenRange *span);
static void move_rows(LlmRows rows, int32_t to, int32_t from, int32_t n);
static void set_row_count(LlmTransformer *t, int32_t n_tokens);
static void set_columns(LlmInput *input, int32_t n_cols, int32_t n_generated);
static void cut_chunks(LlmTransformer *t);
static int	compare_chunks(const void *a, const void *b);
static bool is_even(int64_t n_units, int32_t n_threads);

void
llm_transformer_load_rows(LlmTransformer *t, LlmStep *step)
{
	int32_t		n_tokens = 0;

	t->step = step;
	t->n_spans = 0;
	for (SliceKind kind = GENERATED; kind <= PROMPT_FOR_STATES; kind++)
		n_tokens = load_slices(t, kind, n_tokens);
	set_row_count(t, n_tokens);
}

void
llm_transformer_keep_rows(LlmTransformer *t, bool only_wanted)
{
	LlmTransformerBuffers *b = &t->buffers;
	int32_t		n_spans = 0;
	int32_t		row = 0;

	for (int32_t i = 0; i < t->n_spans; i++)
	{
		LlmTokenRange span = b->spans[i];
		int32_t		n = only_wanted ? wanted_of(&span) : span.n_rows;
		int32_t		skipped = span.n_rows - n;
		int32_t		from = span.first_row + skipped;

		if (n == 0 || span.slice->dropped)
			continue;
		if (row != from)
		{
			move_rows(b->state, row, from, n);
			move_rows(b->update, row, from, n);
			move_rows(b->q, row, from, n);
			move_rows(b->rope, row, from, n);
		}
		span.first_row = row;
		span.n_rows = n;
		span.first_position += skipped;
		b->spans[n_spans++] = span;
		row += n;
	}
	t->n_spans = n_spans;
	if (row != t->n_tokens)
		set_row_count(t, row);
}

/* The slices of a kind, after n_tokens rows; returns how many rows there are then. */
static int32_t
load_slices(LlmTransformer *t, SliceKind kind, int32_t n_tokens)
{
	for (int32_t i = 0; i < t->step->n_slices; i++)
	{
		LlmSlice   *slice = &t->step->slices[i];
		LlmTokenRange *span = &t->buffers.spans[t->n_spans];

		if (kind_of(t, slice) != kind)
			continue;
		slice->first_logits = -1;
		slice->first_state = -1;
		if (slice->dropped || slice->n_tokens == 0)
			continue;
		span->slice = slice;
		span->first_row = n_tokens;
		span->n_rows = slice->n_tokens;
		span->first_position = slice->first_position;
		for (int32_t j = 0; j < slice->n_tokens; j++)
		{
			t->buffers.tokens[n_tokens] = slice->tokens[j];
			t->buffers.positions[n_tokens] = slice->first_position + j;
			n_tokens++;
		}
		t->n_spans++;
	}
	return n_tokens;
}

static SliceKind
kind_of(const LlmTransformer *t, const LlmSlice *slice)
{
	if (slice->n_states > 0)
		return PROMPT_FOR_STATES;
	return slice->is_prompt || t->kernels->all_are_prompts ? PROMPT : GENERATED;
}

static int32_t
wanted_of(const LlmTokenRange *span)
{
	int32_t		n = span->slice->n_states > 0 ? span->slice->n_states : span->slice->n_logits;

	return n < span->n_rows ? n : span->n_rows;
}

static void
move_rows(LlmRows rows, int32_t to, int32_t from, int32_t n)
{
	memmove(llm_row(rows, to), llm_row(rows, from), (size_t) n * (size_t) rows.stride * sizeof(float));
}

static void
set_row_count(LlmTransformer *t, int32_t n_tokens)
{
	t->n_tokens = n_tokens;
	t->n_classified = 0;
	t->n_generated = 0;
	for (int32_t i = 0; i < t->n_spans; i++)
	{
		const LlmTokenRange *span = &t->buffers.spans[i];
		SliceKind	kind = kind_of(t, span->slice);

		if (kind != PROMPT_FOR_STATES)
			t->n_classified += span->n_rows;
		if (kind == GENERATED)
			t->n_generated += span->n_rows;
	}
	set_columns(&t->buffers.normed, n_tokens, t->n_generated);
	set_columns(&t->buffers.attention, n_tokens, t->n_generated);
	set_columns(&t->buffers.hidden, n_tokens, t->n_generated);
	cut_chunks(t);
}

static void
set_columns(LlmInput *input, int32_t n_cols, int32_t n_generated)
{
	input->groups.n_cols = n_cols;
	input->blocks.n_cols = n_cols;
	input->prompts.n_cols = n_cols - n_generated;
	input->prompts.x = input->groups.x + (int64_t) n_generated * input->groups.width;
}

/*
 * Cut the spans for attention, the most work first, so that the threads end together.  Where the
 * chunks do not divide evenly among the threads, the query heads that share a KV head
 * are divided too.
 */
static void
cut_chunks(LlmTransformer *t)
{
	const LlmModelConfig *config = &t->model->config;
	int32_t		group = config->n_heads / config->n_kv_heads;
	int32_t		chunk_rows = llm_attention_chunk_tokens(config);
	int64_t		n_units;

	t->n_chunks = 0;
	t->all_wanted = true;
	for (int32_t i = 0; i < t->n_spans; i++)
	{
		LlmTokenRange rest = t->buffers.spans[i];

		if (wanted_of(&rest) < rest.n_rows)
			t->all_wanted = false;
		while (rest.n_rows > 0)
		{
			LlmTokenRange *chunk = &t->buffers.chunks[t->n_chunks++];

			*chunk = rest;
			if (chunk->n_rows > chunk_rows)
				chunk->n_rows = chunk_rows;
			rest.first_row += chunk->n_rows;
			rest.n_rows -= chunk->n_rows;
			rest.first_position += chunk->n_rows;
		}
	}

	qsort(t->buffers.chunks, (size_t) t->n_chunks, sizeof(LlmTokenRange), compare_chunks);

	n_units = (int64_t) t->n_chunks * config->n_kv_heads;
	t->heads_per_unit = group;
	while (t->heads_per_unit > 1 &&
		   !is_even(n_units * ((group + t->heads_per_unit - 1) / t->heads_per_unit), t->options.n_threads))
		t->heads_per_unit = (t->heads_per_unit + 1) / 2;
	t->whole_spans = t->n_chunks == t->n_spans && t->heads_per_unit == group;
}

static int
compare_chunks(const void *a, const void *b)
{
	const LlmTokenRange *x = a;
	const LlmTokenRange *y = b;
	int64_t		x_work = (int64_t) x->n_rows * (x->first_position + x->n_rows);
	int64_t		y_work = (int64_t) y->n_rows * (y->first_position + y->n_rows);

	if (x_work != y_work)
		return x_work < y_work ? 1 : -1;
	return (x->first_row > y->first_row) - (x->first_row < y->first_row);
}

/* Would the last threads at work wait for the others a fifth of the time at most? */
static bool
is_even(int64_t n_units, int32_t n_threads)
{
	int64_t		rounds = (n_units + n_threads - 1) / n_threads;

	return 4 * rounds * n_threads <= 5 * n_units;
}
