/*
 * small_model.h
 *		A model file of two small layers, made in memory: the least that is valid.
 */
#ifndef SMALL_MODEL_H
#define SMALL_MODEL_H

#include "engine/tensor_type.h"
#include "gguf_builder.h"

#define SMALL_DIM 64
#define SMALL_FFN 96
#define SMALL_VOCABULARY 40
#define SMALL_LAYERS 2
#define SMALL_HEADS 4
#define SMALL_KV_HEADS 2
#define SMALL_HEAD_DIM (SMALL_DIM / SMALL_HEADS)
#define SMALL_KV_DIM (SMALL_KV_HEADS * SMALL_HEAD_DIM)
#define SMALL_WEIGHTS (2 * SMALL_DIM * SMALL_VOCABULARY + SMALL_DIM + \
	SMALL_LAYERS * SMALL_DIM * (2 + 2 * SMALL_DIM + 2 * SMALL_KV_DIM + 3 * SMALL_FFN))

/* All matrices are of one type. */
static inline GgufBuilder *
small_model(uint32_t type)
{
	static const struct
	{
		const char *name;
		int			cols;
		int			rows;		/* 0: a norm */
	}			tensors[] = {
		{"attn_norm", SMALL_DIM, 0},
		{"ffn_norm", SMALL_DIM, 0},
		{"attn_q", SMALL_DIM, SMALL_DIM},
		{"attn_k", SMALL_DIM, SMALL_KV_DIM},
		{"attn_v", SMALL_DIM, SMALL_KV_DIM},
		{"attn_output", SMALL_DIM, SMALL_DIM},
		{"ffn_gate", SMALL_DIM, SMALL_FFN},
		{"ffn_up", SMALL_DIM, SMALL_FFN},
		{"ffn_down", SMALL_FFN, SMALL_DIM},
	};
	GgufBuilder *builder = builder_create();
	GgufBytes  *entry;
	char		name[80];

	builder_string(builder, "general.architecture", "llama");
	builder_string(builder, "general.name", "small \t\xC3\xA9");
	builder_int(builder, "llama.context_length", 128);
	builder_int(builder, "llama.embedding_length", SMALL_DIM);
	builder_int(builder, "llama.block_count", SMALL_LAYERS);
	builder_int(builder, "llama.feed_forward_length", SMALL_FFN);
	builder_int(builder, "llama.attention.head_count", SMALL_HEADS);
	builder_int(builder, "llama.attention.head_count_kv", SMALL_KV_HEADS);
	builder_float(builder, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
	builder_string(builder, "tokenizer.ggml.model", "llama");
	entry = builder_array(builder, "tokenizer.ggml.tokens", 8, SMALL_VOCABULARY);
	for (int i = 0; i < SMALL_VOCABULARY; i++)
	{
		static const char *const first[] = {"<unk>", "<s>", "</s>", "<0x0A>", "\xE2\x96\x81"};

		snprintf(name, sizeof(name), "%c%d", 'a' + i % 26, i);
		bytes_add_string(entry, i < 5 ? first[i] : name);
	}
	entry = builder_array(builder, "tokenizer.ggml.scores", 6, SMALL_VOCABULARY);
	bytes_add(entry, NULL, 4 * SMALL_VOCABULARY);

	builder_tensor(builder, "token_embd.weight", type, SMALL_DIM, SMALL_VOCABULARY);
	builder_tensor(builder, "output_norm.weight", LLM_F32, SMALL_DIM, 0);
	builder_tensor(builder, "output.weight", type, SMALL_DIM, SMALL_VOCABULARY);
	for (int layer = 0; layer < SMALL_LAYERS; layer++)
		for (size_t i = 0; i < sizeof(tensors) / sizeof(tensors[0]); i++)
		{
			snprintf(name, sizeof(name), "blk.%d.%s.weight", layer, tensors[i].name);
			builder_tensor(builder, name, tensors[i].rows ? type : LLM_F32,
						   tensors[i].cols, tensors[i].rows);
		}
	return builder;
}

#endif							/* SMALL_MODEL_H */
