/*
 * engine_shape.h
 *		What an engine's options come to for a model; private to engine*.c.
 */
#ifndef LLM_ENGINE_SHAPE_H
#define LLM_ENGINE_SHAPE_H

#include "engine/engine.h"
#include "engine/scheduler.h"

typedef struct LlmEngineShape
{
	int32_t		n_pages;
	uint64_t	kv_bytes;
	LlmTransformerOptions transformer;
	LlmSchedulerLimits limits;
} LlmEngineShape;

extern bool llm_engine_shape(const LlmModelConfig *config, const LlmEngineOptions *options,
							 LlmEngineShape *shape, LlmError *error);

#endif							/* LLM_ENGINE_SHAPE_H */
