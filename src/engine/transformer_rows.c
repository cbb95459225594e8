/*
 * transformer_rows.c
 *		Which tokens a step still computes, and in which row of the buffers each is.
 *
 * Rows are closed up when slices are dropped, and in the last layer, where only
 * the tokens remain whose logits or states are wanted.  Slices that want states come last, so that
 * the classifier's rows are the first ones.
 */
#include "engine/transformer_private.h"

#include <stdlib.h>
#include <string.h>

static int32_t load_slices(LlmTransformer *t, bool for_states, int32_t n_tokens);
static int32_t wanted_of(const LlmTokenRange *span);
static void move_rows(LlmRows rows, int32_t to, int32_t from, int32_t n);
static void set_row_count(LlmTransformer *t, int32_t n_tokens);
static void set_columns(LlmInput *input, int32_t n_cols);
static void cut_chunks(LlmTransformer *t);
static int	compare_chunks(const void *a, const void *b);
static bool is_even(int64_t n_units, int32_t n_threads);

void
llm_transformer_load_rows(LlmTransformer *t, LlmStep *step)
{
	int32_t		n_tokens;

	t->step = step;
	t->n_spans = 0;
	n_tokens = load_slices(t, false, 0);
	set_row_count(t, load_slices(t, true, n_tokens));
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

/* The slices that want states, or the others, after n_tokens rows; returns how many rows there are then. */
static int32_t
load_slices(LlmTransformer *t, bool for_states, int32_t n_tokens)
{
	for (int32_t i = 0; i < t->step->n_slices; i++)
	{
		LlmSlice   *slice = &t->step->slices[i];
		LlmTokenRange *span = &t->buffers.spans[t->n_spans];

		if ((slice->n_states > 0) != for_states)
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
	set_columns(&t->buffers.normed, n_tokens);
	set_columns(&t->buffers.attention, n_tokens);
	set_columns(&t->buffers.hidden, n_tokens);
	t->n_classified = 0;
	for (int32_t i = 0; i < t->n_spans; i++)
		if (t->buffers.spans[i].slice->n_states == 0)
			t->n_classified += t->buffers.spans[i].n_rows;
	cut_chunks(t);
}

static void
set_columns(LlmInput *input, int32_t n_cols)
{
	input->groups.n_cols = n_cols;
	input->blocks.n_cols = n_cols;
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
