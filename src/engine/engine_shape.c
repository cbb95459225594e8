/*
 * engine_shape.c
 *		An engine's options by default, what options come to for a model, and so the memory that it will take.
 *
 * Nothing here depends on a kernel or a thread, so that a backend can tell before any worker
 * has started.
 */
#include "engine/engine_shape.h"

#include <inttypes.h>

#include "engine/processors.h"

/*
 * Prompt tokens in one step.  Products with so many columns run at the
 * processor's peak rather than the memory's, and more would only make the step longer, which is
 * how long a request that arrives waits for its first chunk.
 */
#define DEFAULT_STEP_TOKENS 128
#define MAX_STEP_TOKENS 65536
#define MIN_LOGITS 64			/* rows in one step, so that scoring need not go token by token;
								 * more than LLM_DRAFT_COLUMNS */
#define MAX_SEQUENCES 1024
#define MAX_THREADS 1024
#define MAX_CONTEXT_LENGTH (1 << 24)

static bool check_option(const char *name, int64_t value, int64_t least, int64_t greatest,
						 LlmError *error);
static bool size_kv_cache(const LlmModelConfig *config, const LlmEngineOptions *options,
						  int32_t context_length, LlmEngineShape *shape, LlmError *error);

void
llm_engine_defaults(LlmEngineOptions *options)
{
	*options = (LlmEngineOptions)
	{
		.kv_type = LLM_KV_F16,
		.max_sequences = 32,
		.prefix_cache = true,
		.speculation = true,
		.take_turns = true
	};
}

bool
llm_engine_plan(const LlmModelConfig *config, const LlmEngineOptions *options,
				uint64_t *kv_bytes, uint64_t *activation_bytes, LlmError *error)
{
	LlmEngineShape shape;

	if (!llm_engine_shape(config, options, &shape, error))
		return false;
	*kv_bytes = shape.kv_bytes;
	*activation_bytes = llm_transformer_bytes(config, &shape.transformer);
	return true;
}

bool
llm_engine_shape(const LlmModelConfig *config, const LlmEngineOptions *options,
				 LlmEngineShape *shape, LlmError *error)
{
	int32_t		context_length = config->context_length;
	int32_t		max_logits = options->max_sequences > MIN_LOGITS ? options->max_sequences : MIN_LOGITS;
	int32_t		max_columns;

	if (!check_option("the number of threads", options->n_threads, 0, MAX_THREADS, error) ||
		!check_option("the number of sequences", options->max_sequences, 1, MAX_SEQUENCES, error) ||
		!check_option("the number of tokens in a step", options->step_tokens, 0, MAX_STEP_TOKENS, error) ||
		!check_option("the context length", options->context_length, 0, MAX_CONTEXT_LENGTH, error))
		return false;
	if (options->context_length > 0)
		context_length = options->context_length;

	shape->limits = (LlmSchedulerLimits)
	{
		.max_sequences = options->max_sequences,
		.step_tokens = options->step_tokens > 0 ? options->step_tokens : DEFAULT_STEP_TOKENS,
		.max_logits = max_logits,
		.prefix_cache = options->prefix_cache,
		.speculation = options->speculation,
		.take_turns = options->take_turns
	};
	max_columns = shape->limits.step_tokens + options->max_sequences;
	shape->transformer = (LlmTransformerOptions)
	{
		.n_threads = options->n_threads > 0 ? options->n_threads : llm_processor_count(),
		.max_tokens = max_columns > LLM_DRAFT_COLUMNS ? max_columns : LLM_DRAFT_COLUMNS,
		.max_logits = max_logits,
		.max_slices = options->max_sequences,
		.max_positions = context_length,
		.use_blas = options->use_blas
	};
	return size_kv_cache(config, options, context_length, shape, error);
}

static bool
check_option(const char *name, int64_t value, int64_t least, int64_t greatest, LlmError *error)
{
	if (value >= least && value <= greatest)
		return true;
	return llm_fail(error, LLM_ERROR_ARGUMENT,
					"%s is %" PRId64 ", but must be from %" PRId64 " to %" PRId64,
					name, value, least, greatest);
}

/* kv_bytes 0 is one context. */
static bool
size_kv_cache(const LlmModelConfig *config, const LlmEngineOptions *options, int32_t context_length,
			  LlmEngineShape *shape, LlmError *error)
{
	uint64_t	page_bytes = llm_kv_page_bytes(config, options->kv_type);
	uint64_t	context_pages = ((uint64_t) context_length + LLM_KV_PAGE - 1) / LLM_KV_PAGE;
	uint64_t	context_bytes;
	uint64_t	n_pages;

	if (!llm_multiply_sizes(page_bytes, context_pages, &context_bytes))
		return llm_fail(error, LLM_ERROR_LIMIT, "a context of %d tokens exceeds the address space",
						context_length);
	n_pages = options->kv_bytes > 0 ? options->kv_bytes / page_bytes : context_pages;
	if (n_pages < context_pages && options->kv_grows)
		n_pages = context_pages;
	if (n_pages < context_pages)
	{
		llm_fail(error, LLM_ERROR_LIMIT,
				 "a key/value cache of %" PRIu64 " bytes cannot hold one context of %d tokens, "
				 "which takes %" PRIu64 " bytes", options->kv_bytes, context_length, context_bytes);
		return llm_hint(error, "Set llama2.kv_cache_size to at least %" PRIu64 " MB.",
						(context_bytes + (1 << 20) - 1) >> 20);
	}
	shape->n_pages = n_pages < INT32_MAX ? (int32_t) n_pages : INT32_MAX;
	shape->kv_bytes = (uint64_t) shape->n_pages * page_bytes;
	return true;
}
