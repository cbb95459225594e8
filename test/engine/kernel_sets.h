/*
 * kernel_sets.h
 *		Runs a test for every kernel set that this processor can run, or, with emulate_amx.h, that it emulates.
 */
#ifndef KERNEL_SETS_H
#define KERNEL_SETS_H

#include "engine/kernels/kernels.h"
#include "tap.h"

/* Half the distance from 1 to the next float: one rounding's relative error. */
#define ROUNDING 0x1p-24

static inline void
each_kernel_set(void (*test) (const LlmKernels *kernels))
{
	static const char *const names[] = {
#ifndef EMULATE_AMX_H
		"generic", "avx2", "avx512",
#endif
		"avxvnni", "amx", "amx_prompts", "amx_bf16"
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		LlmError	error;
		const LlmKernels *kernels = llm_kernels_select(names[i], &error);

		if (kernels == NULL)
			skip(error.message);
		else
			test(kernels);
	}
}

#endif							/* KERNEL_SETS_H */
