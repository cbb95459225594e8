/*
 * select.c
 *		Which kernel set runs on this processor.
 */
#include "engine/kernels/kernels.h"

#include <math.h>
#include <string.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

static bool runs_avx2(void);
static bool runs_avxvnni(void);
static bool runs_avx512(void);
static bool runs_amx(void);
static bool runs_amx_bf16(void);
static bool runs_anywhere(void);

/* Best first. */
static const struct
{
	const char *name;
	const LlmKernels *kernels;	/* NULL where this build lacks it */
	bool		(*runs_here) (void);
}			sets[] = {
#if defined(__x86_64__)
	{"amx", &llm_kernels_amx, runs_amx},
	{"avx512", &llm_kernels_avx512, runs_avx512},
	{"avxvnni", &llm_kernels_avxvnni, runs_avxvnni},
	{"avx2", &llm_kernels_avx2, runs_avx2},
#else
	{"amx", NULL, runs_amx},
	{"avx512", NULL, runs_avx512},
	{"avxvnni", NULL, runs_avxvnni},
	{"avx2", NULL, runs_avx2},
#endif
	{"generic", &llm_kernels_generic, runs_anywhere},

	/* behind the one that runs everywhere: only by name */
#if defined(__x86_64__)
	{"amx_prompts", &llm_kernels_amx_prompts, runs_amx_bf16},
	{"amx_bf16", &llm_kernels_amx_bf16, runs_amx_bf16},
#else
	{"amx_prompts", NULL, runs_amx_bf16},
	{"amx_bf16", NULL, runs_amx_bf16},
#endif
};

const LlmKernels *
llm_kernels_select(const char *name, LlmError *error)
{
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
	{
		if (name != NULL && strcmp(name, sets[i].name) != 0)
			continue;
		if (sets[i].kernels != NULL && sets[i].runs_here())
			return sets[i].kernels;
		if (name != NULL)
		{
			llm_fail(error, LLM_ERROR_UNSUPPORTED,
					 "this processor cannot run the kernel set \"%s\"", name);
			return NULL;
		}
	}
	llm_fail(error, LLM_ERROR_ARGUMENT, "unknown kernel set \"%.64s\"", name);
	llm_hint(error, "The kernel sets are \"generic\", \"avx2\", \"avxvnni\", \"avx512\", \"amx\", \"amx_prompts\" and \"amx_bf16\".");
	return NULL;
}

bool
llm_type_takes_int8(LlmTensorType type)
{
	return llm_tensor_type_info(type)->block_weights > 1;
}

int32_t
llm_type_activation_block(LlmTensorType type)
{
	return llm_tensor_type_info(type)->block_weights == LLM_MAX_BLOCK ? LLM_MAX_BLOCK : LLM_GROUP;
}

float
llm_attention_factor(int32_t head_dim)
{
	return (float) (1.4426950408889634 / sqrt(head_dim));
}

/* The compiler's own test asks the operating system too: whether it saves the registers. */
static bool
runs_avx2(void)
{
#if defined(__x86_64__)
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
		__builtin_cpu_supports("f16c");
#else
	return false;
#endif
}

static bool
runs_avxvnni(void)
{
#if defined(__x86_64__)
	return runs_avx2() && __builtin_cpu_supports("avxvnni");
#else
	return false;
#endif
}

static bool
runs_avx512(void)
{
#if defined(__x86_64__)
	return runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
		__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
		__builtin_cpu_supports("avx512vnni");
#else
	return false;
#endif
}

/*
 * Linux gives a process the tiles' registers when it asks for them, before its threads use them
 * (Documentation/arch/x86/xstate.rst).
 */
static bool
runs_amx(void)
{
#if defined(__x86_64__) && defined(__linux__) && defined(SYS_arch_prctl)
	const int	request_permission = 0x1023;	/* ARCH_REQ_XCOMP_PERM */
	const int	tile_data = 18; /* XFEATURE_XTILE_DATA */

	return runs_avx512() && __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-int8") &&
		syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
	return false;
#endif
}

static bool
runs_amx_bf16(void)
{
#if defined(__x86_64__)
	return runs_amx() && __builtin_cpu_supports("amx-bf16") && __builtin_cpu_supports("avx512vbmi") &&
		__builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512fp16");
#else
	return false;
#endif
}

static bool
runs_anywhere(void)
{
	return true;
}
