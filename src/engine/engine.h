/*
 * engine.h
 *		The engine's boundary: requests in, tokens out.
 *
 * An engine owns the KV cache, the scheduler and the threads; the model and
 * the vocabulary are the caller's and outlive it.  Everything here is called from one thread.
 * The caller loops: llm_engine_submit whatever has arrived, llm_engine_step, look at the
 * requests it submitted.  Requests join and leave between steps (continuous
 * batching); each step decodes every running sequence and adds prompt chunks within a budget of tokens.
 */
#ifndef LLM_ENGINE_H
#define LLM_ENGINE_H

#include "engine/constraint.h"
#include "engine/sampler.h"
#include "engine/transformer.h"

#define LLM_MAX_STOPS 16
#define LLM_MAX_TOP_LOGPROBS 20

typedef struct LlmEngine LlmEngine;

typedef struct LlmEngineOptions
{
	int32_t		n_threads;		/* 0: one for each processor this process may use */
	const char *kernels;		/* NULL: the best */
	LlmKvType	kv_type;
	uint64_t	kv_bytes;		/* rounded down to pages; at least one context must fit; 0: just
								 * that */
	bool		kv_grows;		/* to one context, where kv_bytes are too few for that */
	int32_t		context_length; /* 0: the model's; more than it was trained for is allowed */
	int32_t		max_sequences;	/* running at once */
	int32_t		step_tokens;	/* budget of prompt tokens of a step; 0: the default */
	bool		use_blas;
	bool		prefix_cache;	/* requests with keep_cached share the pages of equal beginnings */
	bool		speculation;	/* guess at next tokens while the arithmetic is idle; same results */
	bool		take_turns;		/* where fewer sequences in a step yield more; same results */
} LlmEngineOptions;

typedef enum LlmRequestKind
{
	LLM_GENERATE,				/* sample up to max_tokens after the prompt */
	LLM_SCORE,					/* log-probabilities of prompt[score_from ..] */
	LLM_EMBED					/* one vector of the prompt's final states */
} LlmRequestKind;

/* How the final states of the tokens (after the last layer and the norm) make one vector. */
typedef enum LlmPooling
{
	LLM_POOL_MEAN,
	LLM_POOL_WEIGHTED,			/* a mean in which token i of 1, 2, ... counts i times */
	LLM_POOL_LAST				/* that of the last token */
} LlmPooling;

typedef enum LlmRequestState
{
	LLM_REQUEST_WAITING,		/* for a place in the batch or for pages; again when preempted */
	LLM_REQUEST_PREFILL,
	LLM_REQUEST_DECODE,
	LLM_REQUEST_DONE
} LlmRequestState;

typedef enum LlmFinishReason
{
	LLM_FINISH_NONE,
	LLM_FINISH_STOP,			/* end of text or a stop string; score, embed: all is done */
	LLM_FINISH_LENGTH,			/* max_tokens, or the context is full */
	LLM_FINISH_CANCELLED,
	LLM_FINISH_INCOMPLETE,		/* the same as length, where the grammar wants more */
	LLM_FINISH_FAILED			/* the grammar took too much memory; failure says so */
} LlmFinishReason;

typedef struct LlmTokenResult
{
	int32_t		token;
	float		logprob;
	uint32_t	text_bytes;		/* generate: raw bytes of output text that are certain once this
								 * token is known; held back while they may belong to a stop string */
} LlmTokenResult;

/*
 * One request.  The caller fills the first part and keeps everything it
 * points to until the request is done; the engine writes the second part.
 */
typedef struct LlmRequest
{
	LlmRequestKind kind;
	const int32_t *prompt;		/* [n_prompt], BOS included where wanted; n_prompt >= 1 */
	int32_t		n_prompt;		/* tokens of answers may have LLM_ANSWER_TOKEN */
	int32_t		max_tokens;		/* generate: >= 1; n_prompt + max_tokens may exceed the context */
	int32_t		context_length; /* generate: of prompt and text together, at most; 0: the engine's */
	bool		shift_context;	/* generate: where the context is full, forget tokens and go on */
	int32_t		n_keep;			/* so many first tokens of the prompt stay; -1: all of it */
	int32_t		score_from;		/* score: >= 1, the first token to score */
	LlmPooling	pooling;		/* embed */
	bool		normalize;		/* embed: to length 1 */
	LlmSamplingOptions sampling;
	int32_t		n_stops;
	const char *stops[LLM_MAX_STOPS];	/* raw bytes */
	uint32_t	stop_lengths[LLM_MAX_STOPS];	/* >= 1 */
	const void *grammar;		/* generate: what the text may be (grammar.h), or NULL */
	size_t		grammar_bytes;
	LlmOnLimit	on_limit;		/* with a grammar */
	bool		strip_leading_space;	/* the first token's leading space is not part of the text */
	bool		keep_cached;	/* may use and leave prefixes in the cache */
	uint64_t	cache_scope;	/* prefixes are shared within one scope (a role) */
	uint64_t	session;		/* fairness is between sessions */
	const volatile uint32_t *cancel;	/* nonzero: stop; polled between layers; may be NULL */
	LlmTokenResult *results;	/* room for max_tokens, or n_prompt - score_from; embed: not used */
	int32_t		n_top;			/* likeliest tokens to tell, <= LLM_MAX_TOP_LOGPROBS */
	LlmSample  *top;			/* [results][n_top] */
	float	   *embedding;		/* embed: room for the model's dim */
	void	   *arg;			/* the caller's */

	LlmRequestState state;
	LlmFinishReason finish;
	LlmError	failure;		/* of a request that failed */
	int32_t		n_results;		/* embed: floats, when it is done */
	uint32_t	text_bytes;		/* final length of the text in raw bytes, stop string and end of
								 * text excluded */
	int32_t		n_cached;		/* prompt tokens found in the prefix cache */
	int32_t		n_prefilled;	/* prompt tokens computed or found so far */
	int64_t		started_us;		/* CLOCK_MONOTONIC microseconds: left WAITING first */
	int64_t		first_token_us; /* prompt done */
	int64_t		finished_us;
	struct LlmSequence *sequence;	/* private to the engine */
} LlmRequest;

typedef struct LlmEngineStatistics
{
	uint64_t	steps;
	uint64_t	sequence_steps; /* running sequences summed over steps */
	uint64_t	prefill_tokens; /* computed, those of preempted sequences again */
	uint64_t	decode_tokens;
	uint64_t	cached_tokens;	/* of prompts, found in the prefix cache */
	uint64_t	drafted_tokens; /* guessed at and computed */
	uint64_t	accepted_tokens;	/* of these, those that were right */
	uint64_t	preemptions;	/* running sequences that gave up their pages */
	uint64_t	step_us;		/* time spent in steps */
	int32_t		running;
	int32_t		waiting;
	int32_t		kv_pages;
	int32_t		kv_pages_free;	/* that no running sequence uses */
	int32_t		kv_pages_cached;	/* of the free ones those that hold prefixes */
} LlmEngineStatistics;

extern void llm_engine_defaults(LlmEngineOptions *options);
extern LlmEngine *llm_engine_create(const LlmModel *model, const LlmVocabulary *vocabulary,
									const LlmEngineOptions *options, LlmError *error);
extern void llm_engine_free(LlmEngine *engine);

/* Memory that llm_engine_create will claim beside the model: activations and KV cache. */
extern bool llm_engine_plan(const LlmModelConfig *config, const LlmEngineOptions *options,
							uint64_t *kv_bytes, uint64_t *activation_bytes, LlmError *error);

extern int32_t llm_engine_context_length(const LlmEngine *engine);
extern int32_t llm_engine_n_threads(const LlmEngine *engine);
extern const char *llm_engine_kernels(const LlmEngine *engine);
extern void llm_engine_statistics(const LlmEngine *engine, LlmEngineStatistics *statistics);

/*
 * Take a request (state WAITING).  Fails with LLM_ERROR_ARGUMENT or LLM_ERROR_LIMIT (a
 * prompt that does not fit the context, a grammar whose texts do not fit max_tokens) and leaves it untouched.
 */
extern bool llm_engine_submit(LlmEngine *engine, LlmRequest *request, LlmError *error);

/*
 * Run one step; returns the number of requests that are not done.  Every request that becomes
 * DONE is told to on_done, where set, at once, in the middle of the step; a cancelled one becomes
 * so between layers (finish CANCELLED, its pages free).  Afterwards the engine does not touch the
 * request again, so that on_done may free it.  on_done may submit requests.
 */
extern int32_t llm_engine_step(LlmEngine *engine);
extern void llm_engine_on_done(LlmEngine *engine, void (*on_done) (LlmRequest *request, void *arg), void *arg);

/*
 * Called between layers and by nothing else: lets the caller do short work of its own (answer
 * signals, note arrivals).  A true result abandons the step: no results are written, everything can be freed.
 */
extern void llm_engine_on_layer(LlmEngine *engine, bool (*on_layer) (void *arg), void *arg);

#endif							/* LLM_ENGINE_H */
