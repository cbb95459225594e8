/*
 * test_architecture.c
 *		What models of the architecture differ in: rotary base and scaling (Code Llama), the norm's
 *		epsilon (Llama 1), a tied classifier, grouped heads, a vocabulary with added tokens.
 *
 * Each model's logits are compared with those of a forward pass in float64 that is written here from the formulas, and must be
 * far from those that the same weights give without the peculiarity.
 */
#define _GNU_SOURCE
#include <math.h>

#include "kernel_sets.h"
#include "loaded_model.h"
#include "random_blocks.h"
#include "reference_logits.h"
#include "small_model.h"

#define N_IDS 70				/* more than two pages of keys and values */
#define LIMIT 2e-5				/* float32 weights: rounding alone */
#define EMBEDDING_SCALE 1e-3f	/* so small that the epsilon of the norm counts */

typedef struct Variant
{
	const char *label;
	double		rope_base;
	double		rope_scale;
	int			rope_dim;		/* 0: all of a head */
	float		epsilon;
	bool		tied;
	int			n_added;		/* tokens behind the vocabulary's */
	bool		is_different;	/* from the model of the first variant's formulas */
} Variant;

static const Variant variants[] = {
	{"Llama 2", 1e4, 1, 0, 1e-5f, false, 0, false},
	{"Llama 1's epsilon", 1e4, 1, 0, 1e-6f, false, 0, true},
	{"Code Llama's base", 1e6, 1, 0, 1e-5f, false, 0, true},
	{"Code Llama's base and linear scaling", 1e6, 4, 0, 1e-5f, false, 0, true},
	{"half of a head turned", 1e4, 1, SMALL_HEAD_DIM / 2, 1e-5f, false, 0, true},
	{"tied output", 1e4, 1, 0, 1e-5f, true, 0, false},
	{"added tokens", 1e4, 1, 0, 1e-5f, false, 3, false},
};

static const Variant *variant;

static double
matrix_at(const LlmMatrix *matrix, int32_t row, const double *x, float *scratch)
{
	double		sum = 0;

	llm_matrix_row(matrix, row, scratch);
	for (int32_t i = 0; i < matrix->cols; i++)
		sum += (double) scratch[i] * x[i];
	return sum;
}

static void
multiply(const LlmMatrix *matrix, const double *x, double *y)
{
	float	   *scratch = calloc((size_t) matrix->cols + 64, sizeof(float));

	for (int32_t row = 0; row < matrix->rows; row++)
		y[row] = matrix_at(matrix, row, x, scratch);
	free(scratch);
}

/* Zhang and Sennrich 2019 */
static void
norm(const double *x, const float *weights, double epsilon, int32_t n, double *y)
{
	double		sum = 0;

	for (int32_t i = 0; i < n; i++)
		sum += x[i] * x[i];
	for (int32_t i = 0; i < n; i++)
		y[i] = x[i] / sqrt(sum / n + epsilon) * (double) weights[i];
}

/* Su et al. 2021, neighbours turned together; positions divided by the scale. */
static void
turn(double *head, const LlmModelConfig *config, int32_t position)
{
	for (int32_t i = 0; i < config->rope_dim / 2; i++)
	{
		double		angle = position / config->rope_scale * pow(config->rope_base, -2.0 * i / config->rope_dim);
		double		x = head[2 * i];
		double		y = head[2 * i + 1];

		head[2 * i] = x * cos(angle) - y * sin(angle);
		head[2 * i + 1] = x * sin(angle) + y * cos(angle);
	}
}

static void
attend(const LlmModelConfig *config, const double *q, const double *k, const double *v, int32_t position,
	   double *out)
{
	int32_t		head_dim = config->head_dim;
	int32_t		kv_dim = config->n_kv_heads * head_dim;
	double		weights[N_IDS];

	for (int32_t head = 0; head < config->n_heads; head++)
	{
		int32_t		kv_offset = head / (config->n_heads / config->n_kv_heads) * head_dim;
		double		greatest = -INFINITY;
		double		sum = 0;

		for (int32_t p = 0; p <= position; p++)
		{
			weights[p] = 0;
			for (int32_t i = 0; i < head_dim; i++)
				weights[p] += q[head * head_dim + i] * k[p * kv_dim + kv_offset + i];
			weights[p] /= sqrt(head_dim);
			greatest = fmax(greatest, weights[p]);
		}
		for (int32_t p = 0; p <= position; p++)
			sum += weights[p] = exp(weights[p] - greatest);
		for (int32_t i = 0; i < head_dim; i++)
		{
			out[head * head_dim + i] = 0;
			for (int32_t p = 0; p <= position; p++)
				out[head * head_dim + i] += weights[p] / sum * v[p * kv_dim + kv_offset + i];
		}
	}
}

/* Touvron et al. 2023, with the numbers of config rather than the model's. */
static void
forward(const LlmModel *model, const LlmModelConfig *config, const int32_t *ids, float *logits)
{
	int32_t		dim = config->dim;
	int32_t		kv_dim = config->n_kv_heads * config->head_dim;
	double	   *states = calloc((size_t) N_IDS * (size_t) dim, sizeof(double));
	double	   *k = calloc((size_t) N_IDS * (size_t) kv_dim, sizeof(double));
	double	   *v = calloc((size_t) N_IDS * (size_t) kv_dim, sizeof(double));
	double	   *x = calloc((size_t) dim, sizeof(double));
	double	   *q = calloc((size_t) dim, sizeof(double));
	double	   *y = calloc((size_t) dim, sizeof(double));
	double	   *gate = calloc((size_t) config->ffn_dim, sizeof(double));
	double	   *up = calloc((size_t) config->ffn_dim, sizeof(double));
	double	   *last = calloc((size_t) config->vocabulary_size, sizeof(double));
	float	   *row = calloc((size_t) dim + 64, sizeof(float));

	for (int32_t p = 0; p < N_IDS; p++)
	{
		llm_matrix_row(&model->embedding, ids[p], row);
		for (int32_t i = 0; i < dim; i++)
			states[p * dim + i] = (double) row[i];
	}
	for (int32_t l = 0; l < config->n_layers; l++)
	{
		const LlmLayer *layer = &model->layers[l];

		for (int32_t p = 0; p < N_IDS; p++)
		{
			double	   *state = states + p * dim;

			norm(state, layer->attention_norm, (double) config->norm_eps, dim, x);
			multiply(&layer->q, x, q);
			multiply(&layer->k, x, k + p * kv_dim);
			multiply(&layer->v, x, v + p * kv_dim);
			for (int32_t head = 0; head < config->n_heads; head++)
				turn(q + head * config->head_dim, config, p);
			for (int32_t head = 0; head < config->n_kv_heads; head++)
				turn(k + p * kv_dim + head * config->head_dim, config, p);
			attend(config, q, k, v, p, x);
			multiply(&layer->attention_output, x, y);
			for (int32_t i = 0; i < dim; i++)
				state[i] += y[i];

			norm(state, layer->ffn_norm, (double) config->norm_eps, dim, x);
			multiply(&layer->gate, x, gate);
			multiply(&layer->up, x, up);
			for (int32_t i = 0; i < config->ffn_dim; i++)
				gate[i] = gate[i] / (1 + exp(-gate[i])) * up[i];
			multiply(&layer->down, gate, y);
			for (int32_t i = 0; i < dim; i++)
				state[i] += y[i];
		}
	}
	for (int32_t p = 0; p < N_IDS; p++)
	{
		norm(states + p * dim, model->output_norm, (double) config->norm_eps, dim, x);
		multiply(&model->output, x, last);
		for (int32_t i = 0; i < config->vocabulary_size; i++)
			logits[p * config->vocabulary_size + i] = (float) last[i];
	}
	free(states);
	free(k);
	free(v);
	free(x);
	free(q);
	free(y);
	free(gate);
	free(up);
	free(last);
	free(row);
}

/* Random weights in the place of the builder's. */
static const char *
write_weights(GgufBuilder *builder)
{
	LlmGguf    *gguf = llm_gguf_open(gguf_build(builder), NULL);

	for (int64_t i = 0; i < llm_gguf_n_tensors(gguf); i++)
	{
		const LlmGgufTensor *tensor = llm_gguf_tensor(gguf, i);
		bool		is_norm = tensor->n_dims == 1;
		bool		is_embedding = memcmp(tensor->name.bytes, "token_embd", 10) == 0;
		float	   *weights = (float *) (void *) (builder->file.data + tensor->file_offset);

		for (uint64_t w = 0; w < tensor->n_bytes / sizeof(float); w++)
			weights[w] = is_norm ? 1 + 0.25f * random_float() :
				random_float() * (is_embedding ? EMBEDDING_SCALE : 0.4f);
	}
	llm_gguf_close(gguf);
	return builder_write(builder);
}

static GgufBuilder *
build_variant(void)
{
	GgufBuilder *builder = small_model(LLM_F32);
	int			n = SMALL_VOCABULARY + variant->n_added;
	GgufBytes  *entry;
	char		name[24];

	builder_float(builder, "llama.attention.layer_norm_rms_epsilon", variant->epsilon);
	if (variant->rope_base != 1e4)
		builder_float(builder, "llama.rope.freq_base", (float) variant->rope_base);
	if (variant->rope_scale != 1)
	{
		builder_string(builder, "llama.rope.scaling.type", "linear");
		builder_float(builder, "llama.rope.scaling.factor", (float) variant->rope_scale);
	}
	if (variant->rope_dim != 0)
		builder_int(builder, "llama.rope.dimension_count", variant->rope_dim);
	if (variant->tied)
		builder_remove(builder->tensors, &builder->n_tensors, "output.weight");
	if (variant->n_added == 0)
		return builder;

	entry = builder_array(builder, "tokenizer.ggml.tokens", 8, (uint64_t) n);
	for (int i = 0; i < n; i++)
	{
		static const char *const first[] = {"<unk>", "<s>", "</s>", "<0x0A>", "\xE2\x96\x81"};

		snprintf(name, sizeof(name), i < SMALL_VOCABULARY ? "p%d" : "<added%d>", i);
		bytes_add_string(entry, i < 5 ? first[i] : name);
	}
	entry = builder_array(builder, "tokenizer.ggml.scores", 6, (uint64_t) n);
	bytes_add(entry, NULL, 4 * (size_t) n);
	builder_tensor(builder, "token_embd.weight", LLM_F32, SMALL_DIM, (uint64_t) n);
	builder_tensor(builder, "output.weight", LLM_F32, SMALL_DIM, (uint64_t) n);
	return builder;
}

static void
test_variant(const LlmKernels *kernels)
{
	GgufBuilder *builder = build_variant();
	const char *path = write_weights(builder);
	LoadedModel loaded;
	LlmModelConfig plain;
	int32_t		ids[N_IDS];
	size_t		n_logits;
	float	   *expected;
	float	   *other;
	Runner		runner;
	TestSequence sequence;

	if (!ok(load_model(&loaded, path), "%s: is loaded", variant->label) ||
		!create_runner(&runner, &loaded, kernels, LLM_KV_F32, 2, false))
		exit(1);
	n_logits = (size_t) N_IDS * (size_t) loaded.model.config.vocabulary_size;
	expected = calloc(n_logits, sizeof(float));
	other = calloc(n_logits, sizeof(float));
	for (int i = 0; i < N_IDS; i++)
		ids[i] = i < variant->n_added ? SMALL_VOCABULARY + i : (int32_t) (random_bits() % SMALL_VOCABULARY);

	forward(&loaded.model, &loaded.model.config, ids, expected);
	start_sequence(&runner, &sequence, ids, N_IDS);
	run_sequence(&runner, &sequence, 23);
	ok(relative_l2(sequence.logits, expected, n_logits) <= LIMIT, "%s, %s: relative L2 %.2e", variant->label,
	   kernels->name, relative_l2(sequence.logits, expected, n_logits));
	ok(loaded.model.config.vocabulary_size == SMALL_VOCABULARY + variant->n_added &&
	   loaded.model.config.tied_output == variant->tied, "%s: the file says so", variant->label);

	plain = loaded.model.config;
	plain.norm_eps = variants[0].epsilon;
	plain.rope_base = variants[0].rope_base;
	plain.rope_scale = variants[0].rope_scale;
	plain.rope_dim = plain.head_dim;
	forward(&loaded.model, &plain, ids, other);
	if (variant->is_different)
		ok(relative_l2(other, expected, n_logits) > 1000 * LIMIT, "%s: %s's numbers would give %.2e", variant->label,
		   variants[0].label, relative_l2(other, expected, n_logits));

	end_sequence(&runner, &sequence);
	free_runner(&runner);
	unload_model(&loaded);
	builder_free(builder);
	free(expected);
	free(other);
}

int
main(void)
{
	for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++)
	{
		variant = &variants[i];
		each_kernel_set(test_variant);
	}
	return done_testing();
}
