/*
 * transformer_buffers.c
 *		The memory of the forward pass: its layout, and claiming it.
 *
 * One function walks over all buffers.  It is called without memory to learn
 * the size, and again to give out the addresses, so that the two cannot differ.
 */
#include "engine/transformer_buffers.h"

#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/matmul_blas.h"

#define ALIGNMENT 64
#define QUERIES_PER_WORK 128	/* share a page's conversion; their outputs stay in the caches */
#define READ_AHEAD 256			/* bytes behind the last buffer that a vector load may touch */

typedef struct Cursor
{
	uint8_t    *memory;			/* NULL while only the size is wanted */
	uint64_t	used;			/* UINT64_MAX once it does not fit */
} Cursor;

static void lay_out(Cursor *cursor, LlmTransformerBuffers *buffers, const LlmModelConfig *config,
					const LlmTransformerOptions *options);
static void lay_out_thread(Cursor *cursor, LlmThreadBuffers *thread, const LlmModelConfig *config,
						   const LlmTransformerOptions *options);
static void *claim(Cursor *cursor, uint64_t count, uint64_t size);
static LlmRows claim_rows(Cursor *cursor, int32_t n_rows, uint64_t width);
static LlmInput claim_input(Cursor *cursor, int32_t n_rows, uint64_t width);
static LlmPrompts claim_prompts(Cursor *cursor, int32_t n_rows, const LlmInput *input);
static void claim_int8(Cursor *cursor, int32_t n_rows, int32_t block, LlmActivations *activations);
static uint64_t round_up(uint64_t value, uint64_t multiple);

int32_t
llm_attention_chunk_tokens(const LlmModelConfig *config)
{
	int32_t		tokens = QUERIES_PER_WORK / (config->n_heads / config->n_kv_heads);

	return tokens < 1 ? 1 : tokens;
}

int32_t
llm_attention_max_queries(const LlmModelConfig *config)
{
	return llm_attention_chunk_tokens(config) * (config->n_heads / config->n_kv_heads);
}

uint64_t
llm_transformer_bytes(const LlmModelConfig *config, const LlmTransformerOptions *options)
{
	LlmTransformerBuffers buffers;
	Cursor		cursor = {NULL, 0};

	lay_out(&cursor, &buffers, config, options);
	return cursor.used;
}

bool
llm_transformer_buffers_claim(LlmTransformerBuffers *buffers, const LlmModelConfig *config,
							  const LlmTransformerOptions *options, LlmError *error)
{
	uint64_t	n_bytes = llm_transformer_bytes(config, options);
	Cursor		cursor = {NULL, 0};
	void	   *memory = MAP_FAILED;

	if (n_bytes <= SIZE_MAX / 2)
		memory = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return llm_fail(error, LLM_ERROR_OUT_OF_MEMORY,
						"out of memory for activations of %" PRIu64 " bytes (%d tokens in a step)",
						n_bytes, options->max_tokens);
	cursor.memory = memory;
	lay_out(&cursor, buffers, config, options);
	buffers->memory = memory;
	buffers->n_bytes = n_bytes;
	return true;
}

void
llm_transformer_buffers_free(LlmTransformerBuffers *buffers)
{
	if (buffers->memory != NULL)
		munmap(buffers->memory, buffers->n_bytes);
	buffers->memory = NULL;
}

static void
lay_out(Cursor *cursor, LlmTransformerBuffers *buffers, const LlmModelConfig *config,
		const LlmTransformerOptions *options)
{
	int32_t		n = options->max_tokens;
	uint64_t	dim = (uint64_t) config->dim;
	uint64_t	ffn_dim = (uint64_t) config->ffn_dim;
	uint64_t	q_width = (uint64_t) config->n_heads * (uint64_t) config->head_dim;
	uint64_t	kv_width = (uint64_t) config->n_kv_heads * (uint64_t) config->head_dim;

	memset(buffers, 0, sizeof(*buffers));
	buffers->state = claim_rows(cursor, n, dim);
	buffers->update = claim_rows(cursor, n, dim);
	buffers->q = claim_rows(cursor, n, q_width);
	buffers->k = claim_rows(cursor, n, kv_width);
	buffers->v = claim_rows(cursor, n, kv_width);
	buffers->up = claim_rows(cursor, n, ffn_dim);
	buffers->logits = claim_rows(cursor, 2 * options->max_logits, (uint64_t) config->vocabulary_size);
	buffers->rope = claim_rows(cursor, n, (uint64_t) config->rope_dim);
	buffers->normed = claim_input(cursor, n, dim);
	buffers->attention = claim_input(cursor, n, q_width);
	buffers->hidden = claim_input(cursor, n, ffn_dim);
	buffers->classified = claim_input(cursor, 2 * options->max_logits, dim);
	buffers->normed.prompts = claim_prompts(cursor, n, &buffers->normed);
	buffers->attention.prompts = claim_prompts(cursor, n, &buffers->attention);
	buffers->hidden.prompts = claim_prompts(cursor, n, &buffers->hidden);
	buffers->tokens = claim(cursor, (uint64_t) n, sizeof(int32_t));
	buffers->positions = claim(cursor, (uint64_t) n, sizeof(int32_t));
	buffers->spans = claim(cursor, (uint64_t) options->max_slices, sizeof(LlmTokenRange));
	buffers->chunks = claim(cursor, (uint64_t) n, sizeof(LlmTokenRange));
	buffers->rope_frequencies = claim(cursor, (uint64_t) config->rope_dim / 2, sizeof(double));
	buffers->threads = claim(cursor, (uint64_t) options->n_threads, sizeof(LlmThreadBuffers));
	for (int32_t i = 0; i < options->n_threads; i++)
		lay_out_thread(cursor, cursor->memory != NULL ? &buffers->threads[i] : NULL, config, options);
	claim(cursor, READ_AHEAD, 1);
}

/* thread is NULL while only the size is wanted. */
static void
lay_out_thread(Cursor *cursor, LlmThreadBuffers *thread, const LlmModelConfig *config,
			   const LlmTransformerOptions *options)
{
	int32_t		n_queries = llm_attention_max_queries(config);
	uint64_t	n_pages = round_up((uint64_t) options->max_positions, LLM_KV_PAGE) / LLM_KV_PAGE;
	LlmThreadBuffers claimed = {0};

	claimed.queries = claim(cursor, (uint64_t) n_queries, sizeof(float *));
	claimed.outputs = claim(cursor, (uint64_t) n_queries, sizeof(float *));
	claimed.lengths = claim(cursor, (uint64_t) n_queries, sizeof(int32_t));
	claimed.k_pages = claim(cursor, n_pages, sizeof(void *));
	claimed.v_pages = claim(cursor, n_pages, sizeof(void *));
	claimed.attention = claim(cursor, llm_attention_scratch(config->head_dim, n_queries), sizeof(float));
	if (options->use_blas)
		claimed.blas = claim(cursor, llm_matmul_blas_scratch(), sizeof(float));
	if (thread != NULL)
		*thread = claimed;
}

/* The next `count` elements, on a cache line of their own. */
static void *
claim(Cursor *cursor, uint64_t count, uint64_t size)
{
	uint64_t	start = cursor->used;
	uint64_t	bytes;

	if (!llm_multiply_sizes(count, size, &bytes) ||
		bytes > UINT64_MAX - ALIGNMENT ||
		!llm_add_sizes(start, round_up(bytes, ALIGNMENT), &cursor->used))
		cursor->used = UINT64_MAX;
	return cursor->memory != NULL ? cursor->memory + start : NULL;
}

static LlmRows
claim_rows(Cursor *cursor, int32_t n_rows, uint64_t width)
{
	LlmRows		rows;

	rows.stride = (int64_t) (round_up(width, LLM_GROUP) + ALIGNMENT / sizeof(float));
	rows.values = claim(cursor, (uint64_t) n_rows, (uint64_t) rows.stride * sizeof(float));
	return rows;
}

static LlmInput
claim_input(Cursor *cursor, int32_t n_rows, uint64_t width)
{
	LlmInput	input = {0};
	uint64_t	padded = round_up(width, LLM_GROUP);

	input.groups.width = (int32_t) padded;
	input.groups.x = claim(cursor, (uint64_t) n_rows, padded * sizeof(float));
	input.blocks = input.groups;
	claim_int8(cursor, n_rows, LLM_GROUP, &input.groups);
	claim_int8(cursor, n_rows, LLM_MAX_BLOCK, &input.blocks);
	return input;
}

/* The classifier's input has none: its products are not those of prompts. */
static LlmPrompts
claim_prompts(Cursor *cursor, int32_t n_rows, const LlmInput *input)
{
	LlmPrompts	prompts = {.width = input->groups.width};

	prompts.rounded = claim(cursor, round_up((uint64_t) n_rows, LLM_TILE_COLUMNS),
							(uint64_t) prompts.width * sizeof(uint16_t));
	prompts.factor = claim(cursor, (uint64_t) n_rows, sizeof(float));
	return prompts;
}

static void
claim_int8(Cursor *cursor, int32_t n_rows, int32_t block, LlmActivations *activations)
{
	uint64_t	width = (uint64_t) activations->width;

	activations->block = block;
	activations->q = claim(cursor, (uint64_t) n_rows, width);
	activations->d = claim(cursor, (uint64_t) n_rows, width / LLM_GROUP * sizeof(float));
	activations->sum16 = claim(cursor, (uint64_t) n_rows, width / 16 * sizeof(int32_t));
}

static uint64_t
round_up(uint64_t value, uint64_t multiple)
{
	return (value + multiple - 1) / multiple * multiple;
}
