/*
 * quantize_bench.c
 *		How fast and how well llama2-import quantizes.
 *
 *	quantize_bench							every type on made-up weights: speed and error
 *	quantize_bench REFERENCE FILE...		errors of GGUF files beside a reference of floats
 *
 * The error is ||weights - rounded|| / ||weights||, tensor by tensor.
 */
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../engine/reference_logits.h"
#include "engine/gguf.h"
#include "import/quantize.h"
#include "made_up_weights.h"

#define COLS 4096
#define ROWS 256
#define MAX_FILES 8

static void bench_type(const LlmTensorTypeInfo *info, const float *weights);
static void make_weights(float *weights);
static float *read_tensor(const LlmGguf *gguf, const LlmGgufTensor *tensor);
static int	compare_files(int n_files, char **paths);

int
main(int argc, char **argv)
{
	int			n_types;
	const LlmTensorTypeInfo *types = llm_tensor_types(&n_types);
	float	   *weights;

	if (argc > 2)
		return compare_files(argc - 1, argv + 1);
	weights = malloc(sizeof(float) * COLS * ROWS);
	if (weights == NULL)
		return 1;
	make_weights(weights);
	printf("%-6s %18s %18s\n", "type", "million weights/s", "relative error");
	for (int i = 0; i < n_types; i++)
		bench_type(&types[i], weights);
	free(weights);
	return 0;
}

static void
bench_type(const LlmTensorTypeInfo *info, const float *weights)
{
	int64_t		row_bytes = COLS / info->block_weights * info->block_bytes;
	uint8_t    *rows = malloc((size_t) row_bytes * ROWS);
	float	   *back = malloc(sizeof(float) * COLS * ROWS);
	double		started = omp_get_wtime();
	double		seconds;

	if (rows == NULL || back == NULL)
		exit(1);
#pragma omp parallel for schedule(dynamic)
	for (int row = 0; row < ROWS; row++)
		quantize_row(info->type, weights + row * COLS, COLS, rows + row * row_bytes);
	seconds = omp_get_wtime() - started;
	for (int row = 0; row < ROWS; row++)
		llm_dequantize_row(info->type, rows + row * row_bytes, COLS, back + row * COLS);
	printf("%-6s %18.1f %18.6f\n", info->name, COLS * ROWS / seconds * 1e-6,
		   relative_l2(back, weights, COLS * ROWS));
	free(rows);
	free(back);
}

/* About normal, with a few that stand out, as trained weights have. */
static void
make_weights(float *weights)
{
	uint64_t	state = FIRST_STATE;

	for (int i = 0; i < COLS * ROWS; i++)
		weights[i] = 0.03f * made_up_weight(&state) * (state % 200 == 0 ? 4.0f : 1.0f);
}

static int
compare_files(int n_files, char **paths)
{
	LlmGguf    *files[MAX_FILES];
	LlmError	error;
	double		all[MAX_FILES] = {0};
	double		norm = 0;

	if (n_files > MAX_FILES)
		n_files = MAX_FILES;
	for (int i = 0; i < n_files; i++)
	{
		files[i] = llm_gguf_open(paths[i], &error);
		if (files[i] == NULL)
		{
			fprintf(stderr, "%s: %s\n", paths[i], error.message);
			return 1;
		}
	}
	for (int64_t i = 0; i < llm_gguf_n_tensors(files[0]); i++)
	{
		const LlmGgufTensor *tensor = llm_gguf_tensor(files[0], i);
		int64_t		n = tensor->dims[0] * tensor->dims[1];
		char		name[80];
		float	   *expected;
		double		own_norm = 0;

		llm_gguf_printable(tensor->name, name, sizeof(name));
		if (tensor->dims[1] == 1)
			continue;
		expected = read_tensor(files[0], tensor);
		for (int64_t j = 0; j < n; j++)
			own_norm += (double) expected[j] * expected[j];
		norm += own_norm;
		printf("%-28s", name);
		for (int file = 1; file < n_files; file++)
		{
			const LlmGgufTensor *other = llm_gguf_find_tensor(files[file], name);
			float	   *found = read_tensor(files[file], other);
			double		relative = relative_l2(found, expected, (size_t) n);

			all[file] += relative * relative * own_norm;
			printf("  %s %.6f", llm_tensor_type_info(other->type)->name, relative);
			free(found);
		}
		printf("\n");
		free(expected);
	}
	printf("%-28s", "all");
	for (int file = 1; file < n_files; file++)
		printf("       %.6f", sqrt(all[file] / norm));
	printf("\n");
	for (int i = 0; i < n_files; i++)
		llm_gguf_close(files[i]);
	return 0;
}

static float *
read_tensor(const LlmGguf *gguf, const LlmGgufTensor *tensor)
{
	LlmError	error;
	int64_t		n = tensor->dims[0] * tensor->dims[1];
	uint8_t    *bytes = malloc(tensor->n_bytes);
	float	   *values = malloc(sizeof(float) * (size_t) n);

	if (bytes == NULL || values == NULL ||
		!llm_gguf_read(gguf, tensor->file_offset, bytes, tensor->n_bytes, &error))
		exit(1);
	llm_dequantize_row(tensor->type, bytes, n, values);
	free(bytes);
	return values;
}
