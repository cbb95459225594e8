/*
 * make_checkpoint.c
 *		A Hugging Face folder of a real model's shape, with made-up weights in F16.
 *
 *	make_checkpoint FOLDER 7b|13b|34b|70b|1b TOKENIZER.MODEL
 *
 * For measuring imports: config.json, model.safetensors and the tokenizer given.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/half.h"
#include "import/source.h"
#include "made_up_weights.h"

#define POOL_WEIGHTS (1 << 20)
#define MAX_PATH 4096

static const struct
{
	const char *name;
	int32_t		dim;
	int32_t		layers;
	int32_t		heads;
	int32_t		kv_heads;
	int32_t		ffn;
}			shapes[] = {
	{"1b", 2048, 22, 32, 4, 5632},
	{"7b", 4096, 32, 32, 32, 11008},
	{"13b", 5120, 40, 40, 40, 13824},
	{"34b", 8192, 48, 64, 8, 22016},
	{"70b", 8192, 80, 64, 8, 28672},
};

static FILE *create(const char *folder, const char *name);
static void copy_tokenizer(const char *folder, const char *from);
static void write_config(const char *folder, const LlmModelConfig *config);
static void write_weights(const char *folder, const LlmModelConfig *config);
static void put_header(FILE *file, const LlmModelConfig *config);
static void fill_pool(uint16_t *pool);

int
main(int argc, char **argv)
{
	for (size_t i = 0; argc == 4 && i < sizeof(shapes) / sizeof(shapes[0]); i++)
		if (strcmp(argv[2], shapes[i].name) == 0)
		{
			LlmModelConfig config = {
				.dim = shapes[i].dim, .n_layers = shapes[i].layers, .n_heads = shapes[i].heads,
				.n_kv_heads = shapes[i].kv_heads, .head_dim = shapes[i].dim / shapes[i].heads,
				.ffn_dim = shapes[i].ffn, .vocabulary_size = 32000
			};

			mkdir(argv[1], 0755);
			write_config(argv[1], &config);
			copy_tokenizer(argv[1], argv[3]);
			write_weights(argv[1], &config);
			return 0;
		}
	printf("usage: make_checkpoint FOLDER 7b|13b|34b|70b|1b TOKENIZER.MODEL\n");
	/* Without arguments, as when all benchmarks are run, there is nothing to do. */
	return argc > 1;
}

static FILE *
create(const char *folder, const char *name)
{
	char		path[MAX_PATH];
	FILE	   *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "wb");
	if (file == NULL)
	{
		perror(path);
		exit(1);
	}
	return file;
}

static void
copy_tokenizer(const char *folder, const char *from)
{
	FILE	   *source = fopen(from, "rb");
	FILE	   *file = create(folder, "tokenizer.model");
	int			byte;

	if (source == NULL)
	{
		perror(from);
		exit(1);
	}
	while ((byte = getc(source)) != EOF)
		putc(byte, file);
	fclose(source);
	fclose(file);
}

static void
write_config(const char *folder, const LlmModelConfig *config)
{
	FILE	   *file = create(folder, "config.json");

	fprintf(file, "{\"model_type\": \"llama\", \"hidden_size\": %" PRId32 ", \"intermediate_size\": %" PRId32
			", \"num_hidden_layers\": %" PRId32 ", \"num_attention_heads\": %" PRId32
			", \"num_key_value_heads\": %" PRId32 ", \"rms_norm_eps\": 1e-05, \"vocab_size\": 32000, "
			"\"max_position_embeddings\": 4096}\n", config->dim, config->ffn_dim, config->n_layers, config->n_heads,
			config->n_kv_heads);
	fclose(file);
}

/* The same pool of weights over and over, each tensor from another place of it. */
static void
write_weights(const char *folder, const LlmModelConfig *config)
{
	FILE	   *file = create(folder, "model.safetensors");
	uint16_t   *pool = malloc(2 * POOL_WEIGHTS * sizeof(uint16_t));

	if (pool == NULL)
		exit(1);
	fill_pool(pool);
	put_header(file, config);
	for (int32_t slot = 0; slot < llm_n_slots(config); slot++)
	{
		int32_t		rows;
		int32_t		cols;
		int64_t		left;

		llm_role_shape(config, llm_slot_role(slot), &rows, &cols);
		left = (int64_t) rows * cols;
		while (left > 0)
		{
			int64_t		n = left < POOL_WEIGHTS ? left : POOL_WEIGHTS;

			if (fwrite(pool + slot * 7919 % POOL_WEIGHTS, sizeof(uint16_t), (size_t) n,
					   file) != (size_t) n)
			{
				perror("model.safetensors");
				exit(1);
			}
			left -= n;
		}
	}
	free(pool);
	if (fclose(file) != 0)
		exit(1);
}

static void
put_header(FILE *file, const LlmModelConfig *config)
{
	size_t		capacity = (size_t) llm_n_slots(config) * 256 + 64;
	char	   *header = malloc(capacity);
	uint64_t	length = 0;
	uint64_t	offset = 0;

	if (header == NULL)
		exit(1);
	length += (uint64_t) snprintf(header, capacity, "{\"__metadata__\": {\"format\": \"pt\"}");
	for (int32_t slot = 0; slot < llm_n_slots(config); slot++)
	{
		LlmRole		role = llm_slot_role(slot);
		char		name[SOURCE_NAME_BYTES];
		char		shape[48];
		int32_t		rows;
		int32_t		cols;
		uint64_t	n_bytes;

		llm_role_shape(config, role, &rows, &cols);
		n_bytes = (uint64_t) rows * (uint64_t) cols * sizeof(uint16_t);
		source_tensor_name(NAMING_HF, role, slot < LLM_GLOBAL_SLOTS ? 0 :
						   (slot - LLM_GLOBAL_SLOTS) / LLM_LAYER_SLOTS,
						   name, sizeof(name));
		if (llm_role_is_norm(role))
			snprintf(shape, sizeof(shape), "%" PRId32, cols);
		else
			snprintf(shape, sizeof(shape), "%" PRId32 ", %" PRId32, rows, cols);
		length += (uint64_t) snprintf(header + length, capacity - length,
									  ", \"%s\": {\"dtype\": \"F16\", \"shape\": [%s], \"data_offsets\": [%" PRIu64
									  ", %" PRIu64 "]}", name, shape, offset, offset + n_bytes);
		offset += n_bytes;
	}
	header[length++] = '}';
	fwrite(&length, sizeof(length), 1, file);
	fwrite(header, 1, length, file);
	free(header);
}

/* About normal, with a deviation of 0.02; the second half repeats the first. */
static void
fill_pool(uint16_t *pool)
{
	uint64_t	state = FIRST_STATE;

	for (int i = 0; i < POOL_WEIGHTS; i++)
	{
		pool[i] = llm_half_nearest(0.0283f * made_up_weight(&state));
		pool[POOL_WEIGHTS + i] = pool[i];
	}
}
