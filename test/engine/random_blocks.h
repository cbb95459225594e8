/*
 * random_blocks.h
 *		Random but valid tensors, matrices and activations for tests.
 *
 * Everything comes from one generator, so that a test's data are the same in
 * every run.
 */
#ifndef RANDOM_BLOCKS_H
#define RANDOM_BLOCKS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/kernels/kernels.h"

static uint64_t random_state = 0x9e3779b97f4a7c15u;

/* Marsaglia's xorshift64* (2003). */
static inline uint32_t
random_bits(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (uint32_t) (random_state * 0x2545f4914f6cdd1du >> 32);
}

/* -1 <= result < 1 */
static inline float
random_float(void)
{
	return (float) ((int32_t) random_bits() * 0x1p-31);
}

/* 64-byte aligned and filled with a pattern, so that what nobody writes is seen. */
static inline void *
random_alloc(size_t size)
{
	void	   *memory;

	if (posix_memalign(&memory, 64, size) != 0)
	{
		fprintf(stderr, "out of memory\n");
		exit(2);
	}
	memset(memory, 0xa5, size);
	return memory;
}

static inline void
random_half(uint8_t *place, float magnitude)
{
	uint16_t	half = llm_float_to_half(random_float() * magnitude);

	memcpy(place, &half, sizeof(half));
}

/*
 * n weights as a file holds them: any codes and sub-scales, halves of ordinary
 * size.  Every fourth block or so has the same byte everywhere, so that codes and
 * scales are all at their limits, where sums of narrow integers overflow if they can.
 */
static inline void
random_row(LlmTensorType type, int64_t n, uint8_t *out)
{
	const LlmTensorTypeInfo *info = llm_tensor_type_info(type);

	for (int64_t i = 0; i < n; i += info->block_weights, out += info->block_bytes)
	{
		static const uint8_t limits[] = {0x00, 0x7f, 0x80, 0xff};
		float		value = random_float();
		uint32_t	kind = random_bits() % 16;

		for (int j = 0; j < info->block_bytes; j++)
			out[j] = kind < 4 ? limits[kind] : (uint8_t) random_bits();
		switch (type)
		{
			case LLM_F32:
				memcpy(out, &value, sizeof(value));
				break;
			case LLM_BF16:
				memcpy(out, (uint8_t *) &value + 2, 2);
				break;
			case LLM_Q2_K:
				random_half(out + 80, 0.02f);
				random_half(out + 82, 0.02f);
				break;
			case LLM_Q3_K:
				random_half(out + 108, 0.01f);
				break;
			case LLM_Q6_K:
				random_half(out + 208, 0.001f);
				break;
			case LLM_Q4_1:
			case LLM_Q5_1:
			case LLM_Q4_K:
			case LLM_Q5_K:
				random_half(out + 2, 0.5f);
				/* fall through */
			default:
				random_half(out, type == LLM_F16 ? 1.0f : 0.05f);
				break;
		}
	}
}

/* A matrix; *row_bytes, where wanted, gets its rows as in a file. */
static inline LlmMatrix
random_matrix(LlmTensorType type, int32_t rows, int32_t cols, uint8_t **row_bytes)
{
	const LlmTensorTypeInfo *info = llm_tensor_type_info(type);
	uint64_t	size = (uint64_t) cols / info->block_weights * info->block_bytes;
	uint8_t    *bytes = random_alloc(size * rows);
	LlmMatrix	matrix = {.type = type, .rows = rows, .cols = cols};
	uint8_t    *panels;

	for (int32_t r = 0; r < rows; r++)
		random_row(type, cols, bytes + r * size);
	matrix.n_panels = (rows + LLM_PANEL_ROWS - 1) / LLM_PANEL_ROWS;
	matrix.panel_bytes = llm_panel_bytes(type, cols);
	panels = random_alloc(matrix.n_panels * matrix.panel_bytes);
	for (int32_t p = 0; p < matrix.n_panels; p++)
	{
		int32_t		left = rows - p * LLM_PANEL_ROWS;

		llm_panel_pack(type, cols, left < LLM_PANEL_ROWS ? left : LLM_PANEL_ROWS,
					   bytes + p * LLM_PANEL_ROWS * size, panels + p * matrix.panel_bytes);
	}
	matrix.panels = panels;
	if (row_bytes != NULL)
		*row_bytes = bytes;
	else
		free(bytes);
	return matrix;
}

/* Columns of `features` random values, zero filled to a multiple of 32, not yet quantized. */
static inline LlmActivations
random_activations(int32_t n_cols, int32_t features)
{
	int32_t		width = (features + LLM_GROUP - 1) / LLM_GROUP * LLM_GROUP;
	size_t		n = (size_t) n_cols * width;
	LlmActivations activations = {.n_cols = n_cols, .width = width, .block = LLM_GROUP};

	activations.x = random_alloc(n * sizeof(float));
	activations.q = random_alloc(n);
	activations.d = random_alloc(n / LLM_GROUP * sizeof(float));
	activations.sum16 = random_alloc(n / 16 * sizeof(int32_t));
	for (size_t i = 0; i < n; i++)
		activations.x[i] = (int32_t) (i % width) < features ? random_float() : 0.0f;
	return activations;
}

static inline void
free_activations(LlmActivations *activations)
{
	free(activations->x);
	free(activations->q);
	free(activations->d);
	free(activations->sum16);
}

static inline void
free_matrix(LlmMatrix *matrix)
{
	free((void *) matrix->panels);
}

#endif							/* RANDOM_BLOCKS_H */
