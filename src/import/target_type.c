/*
 * target_type.c
 *		What --type names: one tensor type for all matrices, or a mixture.
 *
 * The mixtures are llama.cpp's, so that a file of ours is of the size and quality that its
 * name promises elsewhere: the classifier and, in some layers or all, the matrices that
 * bear rounding worst have more bits than the rest.
 */
#include "import/target_type.h"

#include <ctype.h>
#include <stddef.h>

static LlmTensorType mixed_type(const TargetType *target, const LlmModelConfig *config,
								LlmRole role,
								int32_t layer);
static bool gets_more_bits(int32_t layer, int32_t n_layers);
static bool same_name(const char *a, const char *b);

static const TargetType entries[] = {
	{"f32", LLM_F32, 0, TARGET_PLAIN, "32 bits a weight"},
	{"f16", LLM_F16, 1, TARGET_PLAIN, "16 bits"},
	{"bf16", LLM_BF16, 32, TARGET_PLAIN, "16 bits, of float32's range"},
	{"q8_0", LLM_Q8_0, 7, TARGET_PLAIN, "8.5 bits, hardly worse than 16"},
	{"q6_k", LLM_Q6_K, 18, TARGET_PLAIN, "6.6 bits"},
	{"q5_1", LLM_Q5_1, 9, TARGET_PLAIN, "6 bits"},
	{"q5_0", LLM_Q5_0, 8, TARGET_PLAIN, "5.5 bits"},
	{"q5_k", LLM_Q5_K, 16, TARGET_PLAIN, "5.5 bits"},
	{"q4_1", LLM_Q4_1, 3, TARGET_PLAIN, "5 bits"},
	{"q4_0", LLM_Q4_0, 2, TARGET_PLAIN, "4.5 bits"},
	{"q4_k", LLM_Q4_K, 14, TARGET_PLAIN, "4.5 bits"},
	{"q3_k", LLM_Q3_K, 11, TARGET_PLAIN, "3.4 bits"},
	{"q2_k", LLM_Q2_K, 10, TARGET_PLAIN, "2.6 bits"},
	{"q5_k_m", LLM_Q5_K, 17, TARGET_MEDIUM, "mostly q5_k, q6_k where it matters"},
	{"q5_k_s", LLM_Q5_K, 16, TARGET_SMALL, "q5_k, classifier q6_k"},
	{"q4_k_m", LLM_Q4_K, 15, TARGET_MEDIUM, "mostly q4_k, q6_k where it matters: the usual choice"},
	{"q4_k_s", LLM_Q4_K, 14, TARGET_SMALL, "mostly q4_k, q5_k where it matters most"},
	{"q3_k_l", LLM_Q3_K, 13, TARGET_LARGE, "q3_k and q5_k"},
	{"q3_k_m", LLM_Q3_K, 12, TARGET_MEDIUM, "q3_k, q4_k and some q5_k"},
	{"q3_k_s", LLM_Q3_K, 11, TARGET_SMALL, "q3_k, classifier q6_k"},
	{"q2_k_m", LLM_Q2_K, 10, TARGET_MEDIUM, "q2_k and q3_k: what llama.cpp calls Q2_K"},
};

#define N_ENTRIES ((int) (sizeof(entries) / sizeof(entries[0])))

const TargetType *
target_type_find(const char *name)
{
	for (int i = 0; i < N_ENTRIES; i++)
		if (same_name(entries[i].name, name))
			return &entries[i];
	return NULL;
}

const TargetType *
target_type_plain(LlmTensorType type)
{
	for (int i = 0; i < N_ENTRIES; i++)
		if (entries[i].mixture == TARGET_PLAIN && entries[i].base == type)
			return &entries[i];
	return NULL;
}

const TargetType *
target_types(int *count)
{
	*count = N_ENTRIES;
	return entries;
}

LlmTensorType
target_tensor_type(const TargetType *target, const LlmModelConfig *config, LlmRole role,
				   int32_t layer,
				   int64_t cols)
{
	LlmTensorType type;

	if (llm_role_is_norm(role))
		return LLM_F32;
	type = mixed_type(target, config, role, layer);
	/* With 80 layers, eight heads share a value: it costs little to keep it well. */
	if (target->mixture != TARGET_PLAIN && role == LLM_ROLE_V && config->n_layers == 80 &&
		(type == LLM_Q3_K || type == LLM_Q4_K))
		type = LLM_Q5_K;
	if (cols % llm_tensor_type_info(type)->block_weights != 0)
		switch (type)
		{
			case LLM_Q2_K:
			case LLM_Q3_K:
				type = LLM_Q4_0;
				break;
			case LLM_Q4_K:
				type = LLM_Q5_0;
				break;
			case LLM_Q5_K:
				type = LLM_Q5_1;
				break;
			case LLM_Q6_K:
				type = LLM_Q8_0;
				break;
			default:
				break;
		}
	return cols % llm_tensor_type_info(type)->block_weights == 0 ? type : LLM_F16;
}

static LlmTensorType
mixed_type(const TargetType *target, const LlmModelConfig *config, LlmRole role, int32_t layer)
{
	LlmTensorType base = target->base;
	int32_t		n = config->n_layers;
	bool		medium = target->mixture == TARGET_MEDIUM;

	if (target->mixture == TARGET_PLAIN)
		return base;
	if (role == LLM_ROLE_OUTPUT || (role == LLM_ROLE_EMBEDDING && config->tied_output))
		return LLM_Q6_K;
	switch (base)
	{
		case LLM_Q5_K:
			if (medium && (role == LLM_ROLE_V || role == LLM_ROLE_DOWN) && gets_more_bits(layer, n))
				return LLM_Q6_K;
			break;
		case LLM_Q4_K:
			if (medium && (role == LLM_ROLE_V || role == LLM_ROLE_DOWN) && gets_more_bits(layer, n))
				return LLM_Q6_K;
			if (!medium && ((role == LLM_ROLE_V && layer < 4) ||
							(role == LLM_ROLE_DOWN && layer < n / 8)))
				return LLM_Q5_K;
			break;
		case LLM_Q3_K:
			if (target->mixture == TARGET_LARGE &&
				(role == LLM_ROLE_V || role == LLM_ROLE_DOWN || role == LLM_ROLE_ATTENTION_OUTPUT))
				return LLM_Q5_K;
			if (medium && role == LLM_ROLE_V)
				return layer < 2 ? LLM_Q5_K : LLM_Q4_K;
			if (medium && role == LLM_ROLE_DOWN)
				return layer < n / 16 ? LLM_Q5_K : LLM_Q4_K;
			if (medium && role == LLM_ROLE_ATTENTION_OUTPUT)
				return LLM_Q4_K;
			break;
		default:				/* Q2_K */
			if (role == LLM_ROLE_V)
				return config->n_heads >= 4 * config->n_kv_heads ? LLM_Q4_K : LLM_Q3_K;
			if (role == LLM_ROLE_DOWN || role == LLM_ROLE_ATTENTION_OUTPUT)
				return LLM_Q3_K;
			break;
	}
	return base;
}

/* The first and the last eighth of the layers, and every third between. */
static bool
gets_more_bits(int32_t layer, int32_t n_layers)
{
	return layer < n_layers / 8 || layer >= 7 * n_layers / 8 || (layer - n_layers / 8) % 3 == 2;
}

static bool
same_name(const char *a, const char *b)
{
	while (*a != '\0' && tolower((unsigned char) *a) == tolower((unsigned char) *b))
	{
		a++;
		b++;
	}
	return *a == *b;
}
