/*
 * model_sizes.c
 *		What real models take, computed: the tables of doc/sizes.md.
 *
 *	model_sizes		prints them
 *
 * Weights are as large as a worker packs them, types are those that llama2-import chooses, memory is what
 * llm_engine_plan says: the same numbers that a server computes from a file's header.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "engine/model_image.h"
#include "import/target_type.h"

typedef struct Shape
{
	const char *name;
	int32_t		dim;
	int32_t		n_layers;
	int32_t		n_heads;
	int32_t		n_kv_heads;
	int32_t		ffn_dim;
	int32_t		context_length;
} Shape;

static const Shape shapes[] = {
	{"7B", 4096, 32, 32, 32, 11008, 4096},
	{"13B", 5120, 40, 40, 40, 13824, 4096},
	{"34B", 8192, 48, 64, 8, 22016, 16384},
	{"70B", 8192, 80, 64, 8, 28672, 4096},
};

#define N_SHAPES (sizeof(shapes) / sizeof(shapes[0]))

static const char *const types[] = {"q4_0", "q4_k_m", "q5_k_m", "q6_k", "q8_0", "f16"};

#define N_TYPES (sizeof(types) / sizeof(types[0]))

static const int bandwidths[] = {25, 50, 100, 200, 400};	/* GB/s */

#define N_BANDWIDTHS (sizeof(bandwidths) / sizeof(bandwidths[0]))

static LlmModelConfig config_of(const Shape *shape);
static void weigh(const LlmModelConfig *config, const TargetType *target, uint64_t *image, uint64_t *read);
static void plan(const LlmModelConfig *config, LlmKvType kv_type, int32_t context_length, uint64_t *kv, uint64_t *activations);
static void print_memory(void);
static void print_contexts(void);
static void print_speed(void);

int
main(void)
{
	print_memory();
	print_contexts();
	print_speed();
	return 0;
}

static void
print_memory(void)
{
	printf("| model | type | weights | + one context, f16 | + one context, q8_0 |\n|---|---|---|---|---|\n");
	for (size_t i = 0; i < N_SHAPES; i++)
	{
		LlmModelConfig config = config_of(&shapes[i]);

		for (size_t t = 0; t < N_TYPES; t++)
		{
			uint64_t	image;
			uint64_t	read;
			uint64_t	total[2];

			weigh(&config, target_type_find(types[t]), &image, &read);
			for (int small = 0; small < 2; small++)
			{
				uint64_t	kv;
				uint64_t	activations;

				plan(&config, small ? LLM_KV_Q8_0 : LLM_KV_F16, 0, &kv, &activations);
				total[small] = image + kv + activations;
			}
			printf("| %s | `%s` | %.1f GB | %.1f GB | %.1f GB |\n", t == 0 ? shapes[i].name : "", types[t],
				   (double) image / 1e9, (double) total[0] / 1e9, (double) total[1] / 1e9);
		}
	}
	printf("\n");
}

static void
print_contexts(void)
{
	printf("| model | context | keys and values, f16 | q8_0 | of a token, f16 | activations |\n|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < N_SHAPES; i++)
	{
		LlmModelConfig config = config_of(&shapes[i]);
		uint64_t	kv;
		uint64_t	small_kv;
		uint64_t	activations;

		plan(&config, LLM_KV_Q8_0, 0, &small_kv, &activations);
		plan(&config, LLM_KV_F16, 0, &kv, &activations);
		printf("| %s | %d | %.0f MB | %.0f MB | %.0f kB | %.0f MB |\n", shapes[i].name, config.context_length,
			   (double) kv / (1 << 20), (double) small_kv / (1 << 20),
			   (double) kv / config.context_length / 1024, (double) activations / (1 << 20));
	}
	printf("\n");
}

/* A token reads all weights but the embedding's, and the keys and values of what is before it. */
static void
print_speed(void)
{
	printf("| model | type | read for a token |");
	for (size_t b = 0; b < N_BANDWIDTHS; b++)
		printf(" %d GB/s |", bandwidths[b]);
	printf("\n|---|---|---|");
	for (size_t b = 0; b < N_BANDWIDTHS; b++)
		printf("---|");
	printf("\n");
	for (size_t i = 0; i < N_SHAPES; i++)
	{
		LlmModelConfig config = config_of(&shapes[i]);
		uint64_t	kv;
		uint64_t	activations;

		plan(&config, LLM_KV_F16, 4096, &kv, &activations);
		for (size_t t = 0; t < N_TYPES; t++)
		{
			uint64_t	image;
			uint64_t	read;

			weigh(&config, target_type_find(types[t]), &image, &read);
			printf("| %s | `%s` | %.1f GB |", t == 0 ? shapes[i].name : "", types[t], (double) read / 1e9);
			for (size_t b = 0; b < N_BANDWIDTHS; b++)
				printf(" %.1f to %.1f |", bandwidths[b] * 1e9 / (double) (read + kv), bandwidths[b] * 1e9 / (double) read);
			printf("\n");
		}
	}
}

static LlmModelConfig
config_of(const Shape *shape)
{
	return (LlmModelConfig)
	{
		.dim = shape->dim, .n_layers = shape->n_layers, .n_heads = shape->n_heads,
		.n_kv_heads = shape->n_kv_heads, .head_dim = shape->dim / shape->n_heads,
		.ffn_dim = shape->ffn_dim, .vocabulary_size = 32000, .context_length = shape->context_length,
		.rope_dim = shape->dim / shape->n_heads, .norm_eps = 1e-5f, .rope_base = 10000, .rope_scale = 1
	};
}

static void
weigh(const LlmModelConfig *config, const TargetType *target, uint64_t *image, uint64_t *read)
{
	*image = llm_image_header_size(config);
	*read = 0;
	for (int32_t slot = 0; slot < llm_n_slots(config); slot++)
	{
		LlmRole		role = llm_slot_role(slot);
		int32_t		layer = slot < LLM_GLOBAL_SLOTS ? 0 : (slot - LLM_GLOBAL_SLOTS) / LLM_LAYER_SLOTS;
		int32_t		rows;
		int32_t		cols;
		uint64_t	bytes;

		llm_role_shape(config, role, &rows, &cols);
		bytes = llm_image_entry_size(role, target_tensor_type(target, config, role, layer, cols), rows, cols);
		*image += bytes;
		if (role != LLM_ROLE_EMBEDDING)
			*read += bytes;
	}
}

/* Keys and values of one context; the engine's defaults otherwise, with 8 threads. */
static void
plan(const LlmModelConfig *config, LlmKvType kv_type, int32_t context_length, uint64_t *kv, uint64_t *activations)
{
	LlmEngineOptions options;
	LlmError	error = {0};

	llm_engine_defaults(&options);
	options.n_threads = 8;
	options.kv_type = kv_type;
	options.context_length = context_length;
	if (llm_engine_plan(config, &options, kv, activations, &error))
		return;
	fprintf(stderr, "model_sizes: %s\n", error.message);
	exit(1);
}
