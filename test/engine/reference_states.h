/*
 * reference_states.h
 *		The forward pass in float64 over a model's weights, as plain as its formulas (kernels.h): the oracle
 *		of final states.
 */
#ifndef REFERENCE_STATES_H
#define REFERENCE_STATES_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/model.h"

/* y[n][rows] = x[n][cols] W^T */
static inline void
reference_multiply(const LlmMatrix *w, const double *x, int32_t n, double *y)
{
	float	   *row = calloc((size_t) w->cols, sizeof(float));

	for (int32_t r = 0; r < w->rows; r++)
	{
		llm_matrix_row(w, r, row);
		for (int32_t i = 0; i < n; i++)
		{
			double		sum = 0;

			for (int32_t k = 0; k < w->cols; k++)
				sum += (double) row[k] * x[i * w->cols + k];
			y[i * w->rows + r] = sum;
		}
	}
	free(row);
}

static inline void
reference_norm(const LlmModelConfig *config, const float *weight, const double *x, int32_t n, double *y)
{
	for (int32_t i = 0; i < n; i++, x += config->dim, y += config->dim)
	{
		double		squares = 0;

		for (int32_t k = 0; k < config->dim; k++)
			squares += x[k] * x[k];
		for (int32_t k = 0; k < config->dim; k++)
			y[k] = weight[k] * x[k] / sqrt(squares / config->dim + config->norm_eps);
	}
}

static inline void
reference_rope(const LlmModelConfig *config, double *x, int32_t n, int32_t n_heads)
{
	for (int32_t i = 0; i < n; i++)
		for (int32_t head = 0; head < n_heads; head++, x += config->head_dim)
			for (int32_t k = 0; k < config->rope_dim; k += 2)
			{
				double		angle = i * pow(config->rope_base, -(double) k / config->rope_dim) / config->rope_scale;
				double		even = x[k];
				double		odd = x[k + 1];

				x[k] = even * cos(angle) - odd * sin(angle);
				x[k + 1] = even * sin(angle) + odd * cos(angle);
			}
}

/* The output of one head for the query at position i. */
static inline void
reference_attend(const LlmModelConfig *config, const double *q, const double *k, const double *v,
				 int32_t kv_width, int32_t i, double *out)
{
	double	   *weights = calloc((size_t) i + 1, sizeof(double));
	double		greatest = -INFINITY;
	double		sum = 0;

	for (int32_t j = 0; j <= i; j++)
	{
		for (int32_t d = 0; d < config->head_dim; d++)
			weights[j] += q[d] * k[j * kv_width + d];
		weights[j] /= sqrt(config->head_dim);
		greatest = fmax(greatest, weights[j]);
	}
	for (int32_t j = 0; j <= i; j++)
		sum += weights[j] = exp(weights[j] - greatest);
	for (int32_t d = 0; d < config->head_dim; d++)
	{
		out[d] = 0;
		for (int32_t j = 0; j <= i; j++)
			out[d] += weights[j] / sum * v[j * kv_width + d];
	}
	free(weights);
}

static inline void
reference_add(double *x, const double *y, size_t n)
{
	for (size_t i = 0; i < n; i++)
		x[i] += y[i];
}

/* Final states [n][dim] of a text's tokens, after the norm; to be freed. */
static inline double *
reference_states(const LlmModel *model, const int32_t *ids, int32_t n)
{
	const LlmModelConfig *config = &model->config;
	int32_t		q_width = config->n_heads * config->head_dim;
	int32_t		kv_width = config->n_kv_heads * config->head_dim;
	int32_t		group = config->n_heads / config->n_kv_heads;
	size_t		n_states = (size_t) n * (size_t) config->dim;
	size_t		n_hidden = (size_t) n * (size_t) config->ffn_dim;
	double	   *state = calloc(n_states, sizeof(double));
	double	   *normed = calloc(n_states, sizeof(double));
	double	   *update = calloc(n_states, sizeof(double));
	double	   *q = calloc((size_t) n * (size_t) q_width, sizeof(double));
	double	   *k = calloc((size_t) n * (size_t) kv_width, sizeof(double));
	double	   *v = calloc((size_t) n * (size_t) kv_width, sizeof(double));
	double	   *heads = calloc((size_t) n * (size_t) q_width, sizeof(double));
	double	   *gate = calloc(n_hidden, sizeof(double));
	double	   *up = calloc(n_hidden, sizeof(double));
	float	   *row = calloc((size_t) config->dim, sizeof(float));

	for (int32_t i = 0; i < n; i++)
	{
		llm_matrix_row(&model->embedding, ids[i], row);
		for (int32_t d = 0; d < config->dim; d++)
			state[i * config->dim + d] = row[d];
	}
	for (int32_t l = 0; l < config->n_layers; l++)
	{
		const LlmLayer *layer = &model->layers[l];

		reference_norm(config, layer->attention_norm, state, n, normed);
		reference_multiply(&layer->q, normed, n, q);
		reference_multiply(&layer->k, normed, n, k);
		reference_multiply(&layer->v, normed, n, v);
		reference_rope(config, q, n, config->n_heads);
		reference_rope(config, k, n, config->n_kv_heads);
		for (int32_t i = 0; i < n; i++)
			for (int32_t head = 0; head < config->n_heads; head++)
			{
				int32_t		kv_offset = head / group * config->head_dim;
				int32_t		offset = i * q_width + head * config->head_dim;

				reference_attend(config, q + offset, k + kv_offset, v + kv_offset, kv_width, i, heads + offset);
			}
		reference_multiply(&layer->attention_output, heads, n, update);
		reference_add(state, update, n_states);

		reference_norm(config, layer->ffn_norm, state, n, normed);
		reference_multiply(&layer->gate, normed, n, gate);
		reference_multiply(&layer->up, normed, n, up);
		for (size_t i = 0; i < n_hidden; i++)
			gate[i] *= up[i] / (1 + exp(-gate[i]));
		reference_multiply(&layer->down, gate, n, update);
		reference_add(state, update, n_states);
	}
	reference_norm(config, model->output_norm, state, n, normed);

	free(state);
	free(update);
	free(q);
	free(k);
	free(v);
	free(heads);
	free(gate);
	free(up);
	free(row);
	return normed;
}

#endif							/* REFERENCE_STATES_H */
