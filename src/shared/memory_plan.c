/*
 * memory_plan.c
 *		What a model will take, computed from its file's header and the parameters.
 */
#include "shared/memory_plan.h"

#include <sched.h>

#include "engine/model.h"
#include "server/parameters.h"

/* Of llama2.kv_cache_size 0, where one context does not take more. */
#define KV_CACHE_MB 1024

void
Llama2EngineOptions(LlmEngineOptions *options)
{
	llm_engine_defaults(options);
	options->n_threads = Llama2WorkerThreads();
	options->kernels = Llama2KernelsName();
	options->kv_type = llama2_kv_cache_type;
	options->kv_bytes = (uint64) (llama2_kv_cache_size > 0 ? llama2_kv_cache_size : KV_CACHE_MB) * 1024 * 1024;
	options->kv_grows = llama2_kv_cache_size == 0;
	options->context_length = llama2_context_length;
	options->max_sequences = llama2_max_batch;
	options->use_blas = llama2_blas;
	options->prefix_cache = llama2_prefix_cache;
	options->speculation = llama2_speculation;
}

int
Llama2WorkerThreads(void)
{
	cpu_set_t	processors;

	if (llama2_threads > 0)
		return llama2_threads;
	if (sched_getaffinity(0, sizeof(processors), &processors) != 0)
		return 1;
	return Max(CPU_COUNT(&processors), 1);
}

bool
Llama2PlanMemory(const LlmModelFile *file, Llama2MemoryPlan *plan, LlmError *error)
{
	const LlmModelConfig *config = llm_model_file_config(file);
	LlmEngineOptions options;

	memset(plan, 0, sizeof(*plan));
	Llama2EngineOptions(&options);
	plan->image_bytes = llm_model_image_size(file);
	plan->vocabulary_bytes = llm_model_vocabulary_size(file);
	plan->context_length = options.context_length > 0 ? options.context_length : config->context_length;
	return llm_engine_plan(config, &options, &plan->kv_bytes, &plan->activation_bytes, error);
}

uint64
Llama2PlanTotal(const Llama2MemoryPlan *plan)
{
	return plan->image_bytes + plan->vocabulary_bytes + plan->kv_bytes + plan->activation_bytes;
}

void
Llama2DescribePlan(const Llama2MemoryPlan *plan, char *out, size_t size)
{
	snprintf(out, size,
			 "Weights and vocabulary take " UINT64_FORMAT " MB, keys and values " UINT64_FORMAT
			 " MB, activations " UINT64_FORMAT " MB, with a context of %d tokens.",
			 Llama2Megabytes(plan->image_bytes + plan->vocabulary_bytes),
			 Llama2Megabytes(plan->kv_bytes), Llama2Megabytes(plan->activation_bytes),
			 plan->context_length);
}

uint64
Llama2Megabytes(uint64 bytes)
{
	return (bytes + 1024 * 1024 - 1) / (1024 * 1024);
}
