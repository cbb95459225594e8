/*
 * transformer.c
 *		The forward pass: the phases of a step and who does them.
 *
 * All threads run run_step together.  A layer is five phases of shared work:
 * the products for queries, keys and values; attention; its output; gate and up
 * with SwiGLU; down.  Between two of them every token's row is prepared for the
 * next (residual addition, norm, int8 activations): by thread 0 while the
 * others are held when there are few tokens, else by all threads, each its own tokens.
 * Work is taken in units by whoever is free; no bit depends on who that is.
 */
#include "engine/transformer.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "engine/matmul_blas.h"
#include "engine/transformer_private.h"

#define LAYER_MATRICES 7
#define MOST_PRODUCTS 3			/* of one phase */
#define FEW_TOKENS 2			/* not worth a second meeting */
#define NARROW_COLUMNS 4		/* with so many, those of AVX-512 multiply four panels at once */
#define FETCH_BYTES 16384		/* of each stream, while a thread waits */
#define FEW_COLUMNS 8			/* with so many, memory bounds a product */

/*
 * What a product's panels are given out in: units that suit the kernels' tiles, so many
 * at most at once.  With many columns the sums of more would leave the caches.
 */
typedef struct WorkUnit
{
	int32_t		panels;
	int32_t		most;
} WorkUnit;

typedef struct Product
{
	const LlmMatrix *weights;
	float	   *y;
	int64_t		y_stride;
} Product;

/* What happens to rows first .. last-1 between two phases. */
typedef void (*RowOperation) (LlmTransformer *t, int32_t layer, int32_t first, int32_t last);

static bool check_options(const LlmTransformerOptions *options, LlmError *error);
static bool check_kernels(const LlmModel *model, const LlmKernels *kernels, LlmError *error);
static const LlmMatrix *layer_matrix(const LlmModel *model, int32_t i);
static void fill_rope_frequencies(double *frequencies, const LlmModelConfig *config);
static void run_step(const LlmThread *w);
static void prepare_rows(const LlmThread *w, RowOperation operation, int32_t layer);
static void begin_attention(LlmTransformer *t, int32_t layer, int32_t first, int32_t last);
static void end_attention(LlmTransformer *t, int32_t layer, int32_t first, int32_t last);
static void begin_ffn(LlmTransformer *t, int32_t layer, int32_t first, int32_t last);
static void end_ffn(LlmTransformer *t, int32_t layer, int32_t first, int32_t last);
static void end_layer(LlmTransformer *t, int32_t layer, int32_t first, int32_t last);
static int	weights_after(const LlmTransformer *t, RowOperation operation, int32_t layer, const LlmMatrix **weights);
static void fetch_share(const LlmThread *w, RowOperation operation, int32_t layer);
static void embed(LlmTransformer *t, int32_t row);
static void add_and_norm(LlmTransformer *t, const float *weight, int32_t first, int32_t last);
static void quantize(const LlmTransformer *t, LlmInput *input, RowOperation operation, int32_t layer,
					 int32_t first, int32_t last);
static void qkv_products(const LlmThread *w, int32_t layer);
static void single_product(const LlmThread *w, const LlmMatrix *weights, LlmInput *x, LlmRows y);
static void gate_and_up(const LlmThread *w, int32_t layer);
static void keep_rounding_errors(LlmTransformer *t, int32_t first, int32_t last);
static void classify(const LlmThread *w);
static void run_products(const LlmThread *w, const Product *products, int n_products, LlmInput *x);
static WorkUnit work_unit(const LlmThread *w, LlmTensorType type, bool blas);
static int32_t count_units(const LlmMatrix *weights, WorkUnit unit);
static int32_t count_features(const LlmMatrix *weights, WorkUnit unit, int32_t first, int32_t last);
static void multiply(const LlmThread *w, const Product *product, int32_t first, int32_t last, LlmInput *input);
static bool uses_blas(const LlmTransformer *t, const LlmMatrix *weights, const LlmActivations *x);

LlmTransformer *
llm_transformer_create(const LlmModel *model, const LlmKernels *kernels, LlmKvCache *cache,
					   const LlmTransformerOptions *options, LlmError *error)
{
	LlmTransformer *t;

	if (!check_options(options, error) || !check_kernels(model, kernels, error))
		return NULL;
	t = aligned_alloc(_Alignof(LlmTransformer), sizeof(LlmTransformer));
	if (t == NULL)
	{
		llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory for the transformer");
		return NULL;
	}
	memset(t, 0, sizeof(*t));
	t->model = model;
	t->kernels = kernels;
	t->cache = cache;
	t->options = *options;
	llm_team_init(&t->team, options->n_threads);
	if (!llm_transformer_buffers_claim(&t->buffers, &model->config, options, error))
	{
		free(t);
		return NULL;
	}
	fill_rope_frequencies(t->buffers.rope_frequencies, &model->config);
	if (options->use_blas)
		llm_matmul_blas_init();
	return t;
}

void
llm_transformer_free(LlmTransformer *transformer)
{
	if (transformer == NULL)
		return;
	llm_transformer_buffers_free(&transformer->buffers);
	free(transformer);
}

void
llm_transformer_step(LlmTransformer *transformer, LlmStep *step)
{
	llm_transformer_load_rows(transformer, step);
	if (transformer->n_tokens == 0)
		return;

	/* OpenMP may give fewer threads than asked for. */
#pragma omp parallel num_threads(transformer->options.n_threads)
	{
		LlmThread	worker;

		worker.transformer = transformer;
		worker.thread = omp_get_thread_num();
		worker.n_threads = omp_get_num_threads();
		worker.own = &transformer->buffers.threads[worker.thread];
		llm_team_enter(&transformer->team, worker.thread);
		run_step(&worker);
	}
	for (int32_t i = 0; i < transformer->n_spans; i++)
	{
		const LlmTokenRange *span = &transformer->buffers.spans[i];

		if (span->slice->n_states > 0)
			span->slice->first_state = span->first_row;
		else
			span->slice->first_logits = span->first_row;
	}
}

bool
llm_transformer_prompts_differ(const LlmTransformer *transformer)
{
	for (int32_t i = 0; !transformer->kernels->all_are_prompts && i < transformer->model->config.n_layers * LAYER_MATRICES; i++)
		if (llm_rounds_prompts(transformer->kernels, layer_matrix(transformer->model, i)->type))
			return true;
	return false;
}

float *
llm_transformer_logits(LlmTransformer *transformer, int32_t row)
{
	if (llm_type_takes_int8(transformer->model->output.type))
		row *= 2;
	return llm_row(transformer->buffers.logits, row);
}

const float *
llm_transformer_state(const LlmTransformer *transformer, int32_t row)
{
	const LlmActivations *normed = &transformer->buffers.normed.groups;

	return normed->x + (int64_t) row * normed->width;
}

static bool
check_options(const LlmTransformerOptions *options, LlmError *error)
{
	if (options->n_threads < 1 || options->max_tokens < 1 || options->max_logits < 1 ||
		options->max_slices < 1 || options->max_positions < 1)
		return llm_fail(error, LLM_ERROR_ARGUMENT,
						"a transformer of %d threads, %d tokens, %d logits, %d slices, %d positions is empty",
						options->n_threads, options->max_tokens, options->max_logits,
						options->max_slices, options->max_positions);
	if (options->use_blas && options->n_threads > LLM_BLAS_MAX_THREADS)
		return llm_fail(error, LLM_ERROR_LIMIT, "%d threads are too many for BLAS, which serves %d",
						options->n_threads, LLM_BLAS_MAX_THREADS);
	return true;
}

/* The kernel set must serve every matrix's type. */
static bool
check_kernels(const LlmModel *model, const LlmKernels *kernels, LlmError *error)
{
	for (int32_t i = 0; i <= model->config.n_layers * LAYER_MATRICES; i++)
	{
		const LlmMatrix *matrix = i == 0 ? &model->output : layer_matrix(model, i - 1);

		if (kernels->matmul[matrix->type] == NULL)
			return llm_fail(error, LLM_ERROR_UNSUPPORTED, "the %s kernels have no product for tensor type %d",
							kernels->name, (int) matrix->type);
	}
	return true;
}

/* Matrix i of all layers' LAYER_MATRICES. */
static const LlmMatrix *
layer_matrix(const LlmModel *model, int32_t i)
{
	const LlmLayer *layer = &model->layers[i / LAYER_MATRICES];
	const LlmMatrix *matrices[LAYER_MATRICES] = {
		&layer->q, &layer->k, &layer->v, &layer->attention_output, &layer->gate, &layer->up, &layer->down
	};

	return matrices[i % LAYER_MATRICES];
}

/* Angle of a pair at position 1: Su et al. 2021, section 3.2.2, with linear scaling. */
static void
fill_rope_frequencies(double *frequencies, const LlmModelConfig *config)
{
	for (int32_t i = 0; i < config->rope_dim / 2; i++)
		frequencies[i] = pow(config->rope_base, -2.0 * i / config->rope_dim) / config->rope_scale;
}

/* Every thread's way through a step. */
static void
run_step(const LlmThread *w)
{
	LlmTransformer *t = w->transformer;
	const LlmModel *model = t->model;
	LlmTransformerBuffers *b = &t->buffers;

	prepare_rows(w, begin_attention, 0);
	for (int32_t i = 0; i < model->config.n_layers; i++)
	{
		const LlmLayer *layer = &model->layers[i];

		qkv_products(w, i);
		fetch_share(w, end_attention, i);
		llm_team_barrier(&t->team, w->thread, w->n_threads);
		llm_transformer_attention(w, i);
		prepare_rows(w, end_attention, i);
		if (t->n_tokens == 0)
			return;
		single_product(w, &layer->attention_output, &b->attention, b->update);
		fetch_share(w, begin_ffn, i);
		prepare_rows(w, begin_ffn, i);
		gate_and_up(w, i);
		fetch_share(w, end_ffn, i);
		prepare_rows(w, end_ffn, i);
		single_product(w, &layer->down, &b->hidden, b->update);
		fetch_share(w, end_layer, i);
		prepare_rows(w, end_layer, i);
		if (t->n_tokens == 0)
			return;
	}
	classify(w);
}

/*
 * Meet, prepare every row for the next phase, meet again.  After a layer the
 * caller's between_layers comes first, and rows that it drops are left out.
 */
static void
prepare_rows(const LlmThread *w, RowOperation operation, int32_t layer)
{
	LlmTransformer *t = w->transformer;

	if (llm_team_gather(&t->team, w->thread, w->n_threads))
	{
		if (operation == end_layer && t->step->between_layers != NULL)
		{
			t->step->between_layers(t->step->arg);
			llm_transformer_keep_rows(t, false);
		}
		if (t->n_tokens <= FEW_TOKENS)
			operation(t, layer, 0, t->n_tokens);
		llm_team_release(&t->team);
	}
	if (t->n_tokens > FEW_TOKENS)
	{
		int32_t		first;
		int32_t		last;

		llm_team_share(w->thread, w->n_threads, t->n_tokens, &first, &last);
		operation(t, layer, first, last);
		llm_team_barrier(&t->team, w->thread, w->n_threads);
	}
}

static void
begin_attention(LlmTransformer *t, int32_t layer, int32_t first, int32_t last)
{
	if (layer == 0)
		for (int32_t row = first; row < last; row++)
			embed(t, row);
	add_and_norm(t, t->model->layers[layer].attention_norm, first, last);
	quantize(t, &t->buffers.normed, begin_attention, layer, first, last);
}

static void
end_attention(LlmTransformer *t, int32_t layer, int32_t first, int32_t last)
{
	quantize(t, &t->buffers.attention, end_attention, layer, first, last);
}

static void
begin_ffn(LlmTransformer *t, int32_t layer, int32_t first, int32_t last)
{
	add_and_norm(t, t->model->layers[layer].ffn_norm, first, last);
	quantize(t, &t->buffers.normed, begin_ffn, layer, first, last);
}

static void
end_ffn(LlmTransformer *t, int32_t layer, int32_t first, int32_t last)
{
	quantize(t, &t->buffers.hidden, end_ffn, layer, first, last);
}

static void
end_layer(LlmTransformer *t, int32_t layer, int32_t first, int32_t last)
{
	const LlmModel *model = t->model;

	if (layer + 1 < model->config.n_layers)
		begin_attention(t, layer + 1, first, last);
	else
	{
		add_and_norm(t, model->output_norm, first, last);
		if (llm_type_takes_int8(model->output.type))
			keep_rounding_errors(t, first, last < t->n_classified ? last : t->n_classified);
	}
}

/* The matrices of the products that follow an operation; returns how many. */
static int
weights_after(const LlmTransformer *t, RowOperation operation, int32_t layer, const LlmMatrix **weights)
{
	const LlmLayer *of = &t->model->layers[layer];
	int			n = 0;

	if (operation == end_layer)
	{
		if (layer + 1 < t->model->config.n_layers)
			return weights_after(t, begin_attention, layer + 1, weights);
		weights[n++] = &t->model->output;
	}
	else if (operation == begin_attention)
	{
		weights[n++] = &of->q;
		weights[n++] = &of->k;
		weights[n++] = &of->v;
	}
	else if (operation == begin_ffn)
	{
		weights[n++] = &of->gate;
		weights[n++] = &of->up;
	}
	else
		weights[n++] = operation == end_attention ? &of->attention_output : &of->down;
	return n;
}

/*
 * Where memory is the limit a thread that waits fetches the weights meanwhile with which its
 * share of the products after the coming operation begins.
 */
static void
fetch_share(const LlmThread *w, RowOperation operation, int32_t layer)
{
	const LlmMatrix *weights[MOST_PRODUCTS];
	int			n = weights_after(w->transformer, operation, layer, weights);
	int32_t		n_units = 0;
	WorkUnit	unit;
	int32_t		first;
	int32_t		last;

	if (w->transformer->n_tokens > NARROW_COLUMNS || w->transformer->options.use_blas)
		return;
	unit = work_unit(w, weights[0]->type, false);
	if (operation == begin_ffn)
		n = 1;					/* units of both matrices are taken together */
	for (int i = 0; i < n; i++)
		n_units += count_units(weights[i], unit);
	llm_team_share(w->thread, w->n_threads, n_units, &first, &last);
	for (int i = 0; i < n; first -= count_units(weights[i], unit), i++)
		if (first < count_units(weights[i], unit))
		{
			const LlmMatrix *matrix = weights[i];

			llm_team_fetch(&w->transformer->team, w->thread,
						   matrix->panels + (uint64_t) first * unit.panels * matrix->panel_bytes, matrix->panel_bytes,
						   matrix->panel_bytes < FETCH_BYTES ? matrix->panel_bytes : FETCH_BYTES);
			return;
		}
}

/* A token's first state, and the rotation of its position. */
static void
embed(LlmTransformer *t, int32_t row)
{
	const LlmModelConfig *config = &t->model->config;
	float	   *rope = llm_row(t->buffers.rope, row);

	llm_matrix_row(&t->model->embedding, t->buffers.tokens[row], llm_row(t->buffers.state, row));
	memset(llm_row(t->buffers.update, row), 0, (size_t) config->dim * sizeof(float));
	for (int32_t i = 0; i < config->rope_dim / 2; i++)
	{
		double		angle = t->buffers.positions[row] * t->buffers.rope_frequencies[i];

		rope[2 * i] = (float) cos(angle);
		rope[2 * i + 1] = (float) sin(angle);
	}
}

static void
add_and_norm(LlmTransformer *t, const float *weight, int32_t first, int32_t last)
{
	const LlmModelConfig *config = &t->model->config;
	LlmActivations *normed = &t->buffers.normed.groups;

	for (int32_t row = first; row < last; row++)
	{
		float	   *state = llm_row(t->buffers.state, row);

		t->kernels->add(state, llm_row(t->buffers.update, row), config->dim);
		t->kernels->rms_norm(state, weight, config->dim, config->norm_eps,
							 normed->x + (int64_t) row * normed->width);
	}
}

/* In each way that one of the products after an operation wants. */
static void
quantize(const LlmTransformer *t, LlmInput *input, RowOperation operation, int32_t layer, int32_t first, int32_t last)
{
	const LlmMatrix *products[MOST_PRODUCTS];
	const int	n_products = weights_after(t, operation, layer, products);
	const LlmActivations *done[2] = {NULL, NULL};
	const int32_t n_others = input->groups.n_cols - input->prompts.n_cols;
	bool		rounded = false;

	for (int i = 0; i < n_products; i++)
	{
		LlmActivations *wanted = llm_input_for(input, products[i]->type);
		int32_t		end = last;

		if (!llm_type_takes_int8(products[i]->type))
			continue;
		if (llm_rounds_prompts(t->kernels, products[i]->type) && last > n_others)
		{
			if (!rounded)
				t->kernels->round_prompts(&input->prompts, first > n_others ? first - n_others : 0, last - n_others);
			rounded = true;
			end = n_others;
		}
		if (wanted == done[0] || wanted == done[1])
			continue;
		t->kernels->quantize(wanted, first, end);
		done[done[0] != NULL] = wanted;
	}
}

static void
qkv_products(const LlmThread *w, int32_t layer)
{
	const LlmLayer *weights = &w->transformer->model->layers[layer];
	LlmTransformerBuffers *b = &w->transformer->buffers;
	const Product products[] = {
		{&weights->q, b->q.values, b->q.stride},
		{&weights->k, b->k.values, b->k.stride},
		{&weights->v, b->v.values, b->v.stride}
	};

	run_products(w, products, 3, &b->normed);
}

static void
single_product(const LlmThread *w, const LlmMatrix *weights, LlmInput *x, LlmRows y)
{
	const Product product = {weights, y.values, y.stride};

	run_products(w, &product, 1, x);
}

/* Products of the same input as one phase. */
static void
run_products(const LlmThread *w, const Product *products, int n_products, LlmInput *x)
{
	bool		blas = false;
	int32_t		n_units = 0;
	WorkUnit	unit;
	int32_t		first;
	int32_t		last;

	for (int i = 0; i < n_products; i++)
		blas |= uses_blas(w->transformer, products[i].weights, &x->groups);
	unit = work_unit(w, products->weights->type, blas);
	for (int i = 0; i < n_products; i++)
		n_units += count_units(products[i].weights, unit);
	while (llm_team_take(&w->transformer->team, w->thread, w->n_threads, n_units, unit.most, &first, &last))
	{
		const Product *product = products;

		/* A piece may begin in one matrix and end in a later one. */
		for (int32_t n; last > 0; product++)
		{
			n = count_units(product->weights, unit);
			if (first < n)
				multiply(w, product, first * unit.panels, last * unit.panels, x);
			first = first < n ? 0 : first - n;
			last -= n;
		}
	}
}

/* Both products of a piece of rows, and SwiGLU of what came out while it is in the cache. */
static void
gate_and_up(const LlmThread *w, int32_t layer)
{
	LlmTransformer *t = w->transformer;
	LlmTransformerBuffers *b = &t->buffers;
	const LlmLayer *weights = &t->model->layers[layer];
	const Product gate = {&weights->gate, b->hidden.groups.x, b->hidden.groups.width};
	const Product up = {&weights->up, b->up.values, b->up.stride};
	WorkUnit	unit = work_unit(w, weights->gate.type, uses_blas(t, &weights->gate, &b->normed.groups) ||
								 uses_blas(t, &weights->up, &b->normed.groups));
	int32_t		n_units = count_units(&weights->gate, unit);
	int32_t		first;
	int32_t		last;

	while (llm_team_take(&t->team, w->thread, w->n_threads, n_units, unit.most, &first, &last))
	{
		int32_t		first_feature = first * unit.panels * LLM_PANEL_ROWS;
		int32_t		n_features = count_features(&weights->gate, unit, first, last);

		multiply(w, &gate, first * unit.panels, last * unit.panels, &b->normed);
		multiply(w, &up, first * unit.panels, last * unit.panels, &b->normed);
		for (int32_t row = 0; row < t->n_tokens; row++)
			t->kernels->swiglu(gate.y + row * gate.y_stride + first_feature,
							   up.y + row * up.y_stride + first_feature, n_features);
	}
}

/*
 * The classifier's rounding errors would go into the logits as they are, with
 * no later layer to average them.  So its input is taken in two int8 terms:
 * row 2r of classified is the state, row 2r + 1 what quantizing it left out.
 */
static void
keep_rounding_errors(LlmTransformer *t, int32_t first, int32_t last)
{
	LlmActivations *classified = llm_input_for(&t->buffers.classified, t->model->output.type);
	int32_t		width = classified->width;

	for (int32_t row = first; row < last; row++)
	{
		float	   *x = classified->x + (int64_t) 2 * row * width;
		const int8_t *q = classified->q + (int64_t) 2 * row * width;
		const float *d = classified->d + (int64_t) 2 * row * (width / LLM_GROUP);

		memcpy(x, t->buffers.normed.groups.x + (int64_t) row * width, (size_t) width * sizeof(float));
		t->kernels->quantize(classified, 2 * row, 2 * row + 1);
		for (int32_t i = 0; i < width; i++)
			x[width + i] = x[i] - d[i / LLM_GROUP] * (float) q[i];
		t->kernels->quantize(classified, 2 * row + 1, 2 * row + 2);
	}
}

/* The logits, where the classifier takes int8 as the sum of both terms' products. */
static void
classify(const LlmThread *w)
{
	LlmTransformer *t = w->transformer;
	const LlmTransformerBuffers *b = &t->buffers;
	const LlmMatrix *weights = &t->model->output;
	const Product product = {weights, b->logits.values, b->logits.stride};
	WorkUnit	unit = work_unit(w, weights->type, false);
	int32_t		n_units = count_units(weights, unit);
	bool		int8 = llm_type_takes_int8(weights->type);
	LlmInput	x = int8 ? b->classified : b->normed;
	int32_t		first;
	int32_t		last;

	if (t->n_classified == 0)
		return;
	x.groups.n_cols = x.blocks.n_cols = int8 ? 2 * t->n_classified : t->n_classified;
	if (!int8)
	{
		single_product(w, weights, &x, b->logits);
		return;
	}
	while (llm_team_take(&t->team, w->thread, w->n_threads, n_units, unit.most, &first, &last))
	{
		int32_t		first_feature = first * unit.panels * LLM_PANEL_ROWS;
		int32_t		n_features = count_features(weights, unit, first, last);

		multiply(w, &product, first * unit.panels, last * unit.panels, &x);
		for (int32_t row = 0; row < t->n_classified; row++)
			t->kernels->add(llm_row(b->logits, 2 * row) + first_feature,
							llm_row(b->logits, 2 * row + 1) + first_feature, n_features);
	}
}

/* Of products with weights of this type, or, where they differ, with the first of them. */
static WorkUnit
work_unit(const LlmThread *w, LlmTensorType type, bool blas)
{
	const int32_t n_tokens = w->transformer->n_tokens;

	if (blas)
		return (WorkUnit) {LLM_BLAS_PANELS, 1};
	if (!llm_type_takes_int8(type))
		return (WorkUnit) {4, n_tokens <= FEW_COLUMNS ? INT32_MAX : 12};
	if (n_tokens <= NARROW_COLUMNS)
		return (WorkUnit) {4, INT32_MAX};
	if (n_tokens <= FEW_COLUMNS)
		return (WorkUnit) {2, INT32_MAX};
	return (WorkUnit) {2, 24};
}

static int32_t
count_units(const LlmMatrix *weights, WorkUnit unit)
{
	return (weights->n_panels + unit.panels - 1) / unit.panels;
}

/* Rows of units first .. last-1, padding rows left out. */
static int32_t
count_features(const LlmMatrix *weights, WorkUnit unit, int32_t first, int32_t last)
{
	int32_t		first_feature = first * unit.panels * LLM_PANEL_ROWS;
	int32_t		n = (last - first) * unit.panels * LLM_PANEL_ROWS;

	return n < weights->rows - first_feature ? n : weights->rows - first_feature;
}

/* Panels first .. last-1 of a product, as far as it has them. */
static void
multiply(const LlmThread *w, const Product *product, int32_t first, int32_t last, LlmInput *input)
{
	const LlmMatrix *weights = product->weights;
	const LlmKernels *kernels = w->transformer->kernels;
	LlmActivations x = *llm_input_for(input, weights->type);

	if (last > weights->n_panels)
		last = weights->n_panels;
	if (uses_blas(w->transformer, weights, &x))
	{
		llm_matmul_blas(weights, first, last, &x, product->y, product->y_stride, w->own->blas);
		return;
	}
	if (llm_rounds_prompts(kernels, weights->type) && input->prompts.n_cols > 0)
	{
		x.n_cols -= input->prompts.n_cols;
		kernels->prompt_matmul[weights->type] (weights, first, last, &input->prompts,
											   product->y + x.n_cols * product->y_stride, product->y_stride);
	}
	if (x.n_cols > 0)
		kernels->matmul[weights->type] (weights, first, last, &x, product->y, product->y_stride);
}

static bool
uses_blas(const LlmTransformer *t, const LlmMatrix *weights, const LlmActivations *x)
{
	return t->options.use_blas && llm_matmul_blas_serves(weights->type, x->n_cols);
}
