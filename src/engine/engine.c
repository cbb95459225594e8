/*
 * engine.c
 *		The engine's boundary, and the way of one step.
 *
 * A step is: requests that were cancelled go, waiting ones come, the scheduler says
 * who runs, the transformer computes, and logits and states become results.  A request
 * that is done is told to the caller at once; its sequence is retired, and
 * freed at the end of the step, since the transformer may still hold pointers into it.
 */
#include "engine/engine_shape.h"

#include <stdlib.h>
#include <time.h>

#include "engine/request_check.h"
#include "text/detokenize.h"

struct LlmEngine
{
	const LlmVocabulary *vocabulary;
	int32_t		context_length;
	int32_t		dim;
	int32_t		n_threads;
	const LlmKernels *kernels;
	LlmKvCache *cache;
	LlmTransformer *transformer;
	LlmScheduler *scheduler;
	LlmSampler *sampler;
	LlmConstraints *constraints;
	char	   *token_text;		/* the raw bytes of one token */

	LlmSlice   *slices;			/* [max_sequences] of the step */
	LlmSequence **owners;		/* [max_sequences] of the slices */
	int32_t		n_slices;
	bool		abandoned;		/* the caller gave the step up */
	LlmSequence *retired;		/* done, to be freed at the end of the step */

	void		(*on_done) (LlmRequest *request, void *arg);
	void	   *on_done_arg;
	bool		(*on_layer) (void *arg);
	void	   *on_layer_arg;
	LlmEngineStatistics statistics;
};

static void run_step(LlmEngine *engine);
static void admit_waiting(LlmEngine *engine);
static void between_layers(void *arg);
static void finish_cancelled(LlmEngine *engine);
static bool is_cancelled(const LlmSequence *sequence);
static void take_results(LlmEngine *engine, LlmSequence *sequence, const LlmSlice *slice);
static void take_states(LlmEngine *engine, LlmSequence *sequence, const LlmSlice *slice);
static void note_prompt_end(LlmSequence *sequence);
static bool take_row(LlmEngine *engine, LlmSequence *sequence, float *logits);
static LlmFinishReason choose_token(LlmEngine *engine, LlmSequence *sequence, float *logits, LlmSample *sample);
static LlmFinishReason take_token(LlmEngine *engine, LlmSequence *sequence, float *logits);
static LlmFinishReason take_score(LlmEngine *engine, LlmSequence *sequence, const float *logits);
static void tell_top(LlmEngine *engine, LlmRequest *request, const float *logits);
static void finish(LlmEngine *engine, LlmSequence *sequence, LlmFinishReason reason);
static void free_retired(LlmEngine *engine);
static int64_t now_us(void);

LlmEngine *
llm_engine_create(const LlmModel *model, const LlmVocabulary *vocabulary,
				  const LlmEngineOptions *options, LlmError *error)
{
	int32_t		n_vocabulary = llm_vocabulary_count(vocabulary);
	LlmEngineShape shape;
	const LlmKernels *kernels;
	LlmEngine  *engine;

	if (n_vocabulary != model->config.vocabulary_size)
	{
		llm_fail(error, LLM_ERROR_ARGUMENT, "a vocabulary of %d tokens for a model of %d",
				 n_vocabulary, model->config.vocabulary_size);
		return NULL;
	}
	if (!llm_engine_shape(&model->config, options, &shape, error))
		return NULL;
	kernels = llm_kernels_select(options->kernels, error);
	if (kernels == NULL)
		return NULL;

	engine = calloc(1, sizeof(LlmEngine));
	if (engine == NULL)
		goto out_of_memory;
	engine->vocabulary = vocabulary;
	engine->kernels = kernels;
	engine->context_length = shape.transformer.max_positions;
	engine->dim = model->config.dim;
	engine->n_threads = shape.transformer.n_threads;
	engine->cache = llm_kv_cache_create(&model->config, options->kv_type, shape.n_pages, error);
	if (engine->cache == NULL)
		goto failed;
	engine->transformer = llm_transformer_create(model, kernels, engine->cache, &shape.transformer, error);
	if (engine->transformer == NULL)
		goto failed;
	engine->sampler = llm_sampler_create(kernels, n_vocabulary, llm_vocabulary_eos(vocabulary),
										 shape.transformer.max_positions, vocabulary, error);
	if (engine->sampler == NULL)
		goto failed;
	shape.limits.prompts_differ = llm_transformer_prompts_differ(engine->transformer);
	engine->scheduler = llm_scheduler_create(engine->cache, &shape.limits);
	engine->constraints = llm_constraints_create(vocabulary, 0);
	engine->token_text = malloc((size_t) llm_vocabulary_max_token_bytes(vocabulary) + 1);
	engine->slices = calloc(shape.limits.max_sequences, sizeof(LlmSlice));
	engine->owners = calloc(shape.limits.max_sequences, sizeof(LlmSequence *));
	if (engine->scheduler != NULL && engine->constraints != NULL && engine->token_text != NULL &&
		engine->slices != NULL && engine->owners != NULL)
		return engine;

out_of_memory:
	llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory for an engine of %d sequences",
			 shape.limits.max_sequences);
failed:
	llm_engine_free(engine);
	return NULL;
}

void
llm_engine_free(LlmEngine *engine)
{
	if (engine == NULL)
		return;
	llm_scheduler_free(engine->scheduler);
	free_retired(engine);
	llm_constraints_free(engine->constraints);
	llm_sampler_free(engine->sampler);
	llm_transformer_free(engine->transformer);
	llm_kv_cache_free(engine->cache);
	free(engine->token_text);
	free(engine->slices);
	free(engine->owners);
	free(engine);
}

int32_t
llm_engine_context_length(const LlmEngine *engine)
{
	return engine->context_length;
}

int32_t
llm_engine_n_threads(const LlmEngine *engine)
{
	return engine->n_threads;
}

const char *
llm_engine_kernels(const LlmEngine *engine)
{
	return engine->kernels->name;
}

void
llm_engine_statistics(const LlmEngine *engine, LlmEngineStatistics *statistics)
{
	*statistics = engine->statistics;
	llm_scheduler_statistics(engine->scheduler, statistics);
}

bool
llm_engine_submit(LlmEngine *engine, LlmRequest *request, LlmError *error)
{
	LlmSequence *sequence;

	if (!llm_request_check(request, engine->vocabulary, engine->context_length, error))
		return false;
	sequence = llm_sequence_create(request, engine->context_length, engine->dim, engine->constraints, error);
	if (sequence == NULL)
		return false;
	if (!llm_scheduler_add(engine->scheduler, sequence))
	{
		llm_sequence_free(sequence);
		return llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory for a request");
	}
	request->state = LLM_REQUEST_WAITING;
	request->finish = LLM_FINISH_NONE;
	request->failure.code = LLM_OK;
	request->n_results = 0;
	request->text_bytes = 0;
	request->n_cached = 0;
	request->n_prefilled = 0;
	request->started_us = 0;
	request->first_token_us = 0;
	request->finished_us = 0;
	request->sequence = sequence;
	return true;
}

int32_t
llm_engine_step(LlmEngine *engine)
{
	finish_cancelled(engine);
	admit_waiting(engine);
	engine->n_slices = llm_scheduler_plan(engine->scheduler, engine->slices, engine->owners);
	if (engine->n_slices > 0)
		run_step(engine);
	free_retired(engine);
	return llm_scheduler_n_sequences(engine->scheduler);
}

void
llm_engine_on_done(LlmEngine *engine, void (*on_done) (LlmRequest *request, void *arg), void *arg)
{
	engine->on_done = on_done;
	engine->on_done_arg = arg;
}

void
llm_engine_on_layer(LlmEngine *engine, bool (*on_layer) (void *arg), void *arg)
{
	engine->on_layer = on_layer;
	engine->on_layer_arg = arg;
}

static void
run_step(LlmEngine *engine)
{
	LlmStep		step = {
		.slices = engine->slices,
		.n_slices = engine->n_slices,
		.between_layers = between_layers,
		.arg = engine
	};
	int64_t		started_us = now_us();
	bool		all_taken = true;
	int64_t		step_us;

	engine->abandoned = false;
	llm_transformer_step(engine->transformer, &step);
	for (int32_t i = 0; i < engine->n_slices; i++)
	{
		LlmSequence *sequence = engine->owners[i];

		if (!engine->slices[i].dropped)
		{
			take_results(engine, sequence, &engine->slices[i]);
			engine->statistics.sequence_steps++;
		}
		else
			all_taken = false;
		sequence->slice = -1;
	}
	step_us = now_us() - started_us;
	engine->statistics.steps++;
	engine->statistics.step_us += (uint64_t) step_us;
	if (all_taken)
		llm_scheduler_timed(engine->scheduler, step_us);
}

static void
admit_waiting(LlmEngine *engine)
{
	LlmSequence *sequence;

	while ((sequence = llm_scheduler_admit(engine->scheduler)) != NULL)
	{
		if (sequence->request->started_us == 0)
			sequence->request->started_us = now_us();
	}
}

/* On the main thread, while no other reads the slices' pages. */
static void
between_layers(void *arg)
{
	LlmEngine  *engine = arg;

	if (engine->abandoned)
		return;
	finish_cancelled(engine);
	if (engine->on_layer == NULL || !engine->on_layer(engine->on_layer_arg))
		return;
	engine->abandoned = true;
	for (int32_t i = 0; i < engine->n_slices; i++)
		engine->slices[i].dropped = true;
}

static void
finish_cancelled(LlmEngine *engine)
{
	LlmSequence *sequence;

	while ((sequence = llm_scheduler_find(engine->scheduler, is_cancelled)) != NULL)
		finish(engine, sequence, LLM_FINISH_CANCELLED);
}

static bool
is_cancelled(const LlmSequence *sequence)
{
	const volatile uint32_t *cancel = sequence->request->cancel;

	return cancel != NULL && *cancel != 0;
}

/*
 * Row after row, as if each token had had a step of its own.  Rows that follow a
 * drafted token are of use as long as it is the token that came.
 */
static void
take_results(LlmEngine *engine, LlmSequence *sequence, const LlmSlice *slice)
{
	int32_t		n_before = slice->n_tokens - slice->n_logits;
	int32_t		n_accepted = 0;

	if (sequence->request->state == LLM_REQUEST_PREFILL)
		engine->statistics.prefill_tokens += (uint64_t) slice->n_tokens;
	if (slice->n_states > 0)
	{
		take_states(engine, sequence, slice);
		return;
	}
	llm_scheduler_advance(engine->scheduler, sequence, n_before);
	for (int32_t i = 0; i < slice->n_logits; i++)
	{
		int32_t		expected = i + 1 < slice->n_logits ? slice->tokens[n_before + i + 1] : -1;

		llm_scheduler_advance(engine->scheduler, sequence, 1);
		note_prompt_end(sequence);
		if (!take_row(engine, sequence, llm_transformer_logits(engine->transformer, slice->first_logits + i)) ||
			sequence->tokens[sequence->n_computed] != expected)
			break;
		n_accepted += sequence->n_drafted > 0;
	}
	if (sequence->n_drafted > 0)
	{
		engine->statistics.drafted_tokens += (uint64_t) sequence->n_drafted;
		engine->statistics.accepted_tokens += (uint64_t) n_accepted;
		llm_draft_outcome(&sequence->pace, n_accepted);
	}
}

/* The states of an embedding, which is done with the last of them. */
static void
take_states(LlmEngine *engine, LlmSequence *sequence, const LlmSlice *slice)
{
	LlmRequest *request = sequence->request;

	for (int32_t i = 0; i < slice->n_states; i++)
		llm_pool_add(sequence->pool, llm_transformer_state(engine->transformer, slice->first_state + i));
	llm_scheduler_advance(engine->scheduler, sequence, slice->n_tokens);
	if (sequence->n_computed < llm_sequence_prefill_length(sequence))
		return;
	llm_pool_vector(sequence->pool, request->normalize, request->embedding);
	request->n_results = engine->dim;
	finish(engine, sequence, LLM_FINISH_STOP);
}

static void
note_prompt_end(LlmSequence *sequence)
{
	LlmRequest *request = sequence->request;

	if (request->state != LLM_REQUEST_PREFILL ||
		sequence->n_computed < llm_sequence_prefill_length(sequence))
		return;
	request->state = LLM_REQUEST_DECODE;
	if (request->first_token_us == 0)
		request->first_token_us = now_us();
}

/* The next result from a row of logits; false when it was the last, or rows after it are of no use. */
static bool
take_row(LlmEngine *engine, LlmSequence *sequence, float *logits)
{
	LlmFinishReason reason = sequence->request->kind == LLM_SCORE ?
		take_score(engine, sequence, logits) : take_token(engine, sequence, logits);

	if (reason != LLM_FINISH_NONE)
	{
		finish(engine, sequence, reason);
		return false;
	}
	if (llm_sequence_must_shift(sequence))
	{
		llm_scheduler_shift(engine->scheduler, sequence);
		return false;
	}
	return true;
}

static LlmFinishReason
take_token(LlmEngine *engine, LlmSequence *sequence, float *logits)
{
	LlmRequest *request = sequence->request;
	LlmSample	sample;
	LlmFinishReason reason = choose_token(engine, sequence, logits, &sample);
	size_t		length;

	if (reason != LLM_FINISH_NONE)
		return reason;
	length = llm_token_bytes(engine->vocabulary, sample.token,
							 request->strip_leading_space && request->n_results == 0,
							 engine->token_text);
	engine->statistics.decode_tokens++;
	return llm_sequence_append(sequence, sample, engine->token_text, length);
}

/* The next token, or why there is none. */
static LlmFinishReason
choose_token(LlmEngine *engine, LlmSequence *sequence, float *logits, LlmSample *sample)
{
	LlmRequest *request = sequence->request;
	LlmConstraint *constraint = sequence->constraint;
	LlmSamplingPlace place = {
		.history = sequence->tokens,
		.n_history = sequence->n_tokens,
		.n_generated = request->n_results,
		.state = &sequence->sampling
	};
	int32_t		forced = constraint != NULL ? llm_constraint_forced(constraint) : -1;
	int32_t		taken;

	tell_top(engine, request, logits);
	if (forced >= 0)
		*sample = (LlmSample) {forced, llm_token_logprob(engine->sampler, logits, forced)};
	else
	{
		if (constraint != NULL)
		{
			place.allowed = llm_constraint_mask(constraint, &request->failure);
			if (place.allowed == NULL)
				return LLM_FINISH_FAILED;
		}
		*sample = llm_sample(engine->sampler, &request->sampling, &place, logits);
	}
	if (sample->token == llm_vocabulary_eos(engine->vocabulary))
		return LLM_FINISH_STOP;
	if (constraint == NULL)
		return LLM_FINISH_NONE;

	taken = llm_constraint_take(constraint, sample->token, llm_sequence_n_left(sequence) - 1, &request->failure);
	if (taken < 0)
		return taken == LLM_TAKE_END ? LLM_FINISH_LENGTH : LLM_FINISH_FAILED;
	if (taken != sample->token)
		*sample = (LlmSample) {taken, llm_sample_logprob(engine->sampler, taken)};
	return LLM_FINISH_NONE;
}

static LlmFinishReason
take_score(LlmEngine *engine, LlmSequence *sequence, const float *logits)
{
	int32_t		token = llm_sequence_next_scored(sequence);
	float		logprob = llm_token_logprob(engine->sampler, logits, token);

	tell_top(engine, sequence->request, logits);
	return llm_sequence_append_score(sequence, logprob) ? LLM_FINISH_STOP : LLM_FINISH_NONE;
}

/* The likeliest tokens at the place of the next result. */
static void
tell_top(LlmEngine *engine, LlmRequest *request, const float *logits)
{
	if (request->n_top > 0)
		llm_top_logprobs(engine->sampler, logits, request->n_top,
						 request->top + (size_t) request->n_results * request->n_top);
}

/* The caller may free the request in on_done: nothing touches it afterwards. */
static void
finish(LlmEngine *engine, LlmSequence *sequence, LlmFinishReason reason)
{
	LlmRequest *request = sequence->request;

	if (sequence->slice >= 0)
		engine->slices[sequence->slice].dropped = true;
	llm_scheduler_remove(engine->scheduler, sequence);
	sequence->request = NULL;
	sequence->next = engine->retired;
	engine->retired = sequence;

	request->sequence = NULL;
	request->state = LLM_REQUEST_DONE;
	request->finish = reason;
	request->text_bytes = (uint32_t) sequence->n_text_bytes;
	request->finished_us = now_us();
	if (engine->on_done != NULL)
		engine->on_done(request, engine->on_done_arg);
}

static void
free_retired(LlmEngine *engine)
{
	while (engine->retired != NULL)
	{
		LlmSequence *sequence = engine->retired;

		engine->retired = sequence->next;
		llm_sequence_free(sequence);
	}
}

static int64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}
