/*
 * request.h
 *		A backend's side of a request: submit, wait, read, release.
 *
 * A handle belongs to the resource owner that is current when it is made, so that an error, a
 * closed cursor, a subtransaction's end or the end of the process releases
 * what its user did not.
 */
#ifndef LLAMA2_REQUEST_H
#define LLAMA2_REQUEST_H

#include "shared/control.h"

#include "utils/resowner.h"

#include "server/model_use.h"

typedef struct Llama2RequestSpec
{
	const Llama2Model *model;
	LlmRequestKind kind;
	const int32 *prompt;
	int32		n_prompt;
	int32		max_tokens;
	int32		context_length; /* 0: the model's */
	bool		shift_context;
	int32		n_keep;
	int32		n_top;			/* likeliest tokens to tell at each place */
	int32		score_from;
	LlmPooling	pooling;
	bool		normalize;
	LlmSamplingOptions sampling;
	int			n_stops;
	const char *stops[LLM_MAX_STOPS];	/* UTF-8 */
	uint32		stop_lengths[LLM_MAX_STOPS];
	const LlmGrammar *grammar;	/* NULL: none */
	LlmOnLimit	on_limit;
	bool		strip_leading_space;
	bool		stream;			/* wake for every token */
	bool		gives_way;		/* a job's: other processes come first */
	bool		is_reproducible;	/* asked again it has the same results */
} Llama2RequestSpec;

typedef struct Llama2Request Llama2Request;

/*
 * Queue a request.  Where no slot is free, answers that this process has not
 * read yet are collected, and then it waits, as it does where the model went meanwhile; with may_fail, for work that
 * can wait, it returns NULL instead.
 */
extern Llama2Request *Llama2RequestSubmit(const Llama2RequestSpec *spec, bool may_fail);

/* Room that the results of a request take. */
extern Size Llama2ResultsBytes(const Llama2RequestSpec *spec);

/* And the likeliest tokens at their places. */
extern Size Llama2TopBytes(const Llama2RequestSpec *spec);

/* From now on it belongs to this resource owner. */
extern void Llama2RequestGiveTo(Llama2Request *request, ResourceOwner owner);

/* One user more of a request; each releases it. */
extern Llama2Request *Llama2RequestShare(Llama2Request *request);

/*
 * Wait until more than n_seen results are there, or the request is done; returns how many
 * there are.  Cancellation and a vanished client are noticed here.
 */
extern int32 Llama2RequestWait(Llama2Request *request, int32 n_seen);

/* Wait until it is done; raises the worker's error where it failed. */
extern int32 Llama2RequestFinish(Llama2Request *request);

extern bool Llama2RequestIsDone(const Llama2Request *request);

/* It is done, and not as it should be: the slot's failure says why. */
extern bool Llama2RequestFailed(const Llama2Request *request);

/*
 * Copy what is done to this process's own memory and give the slots back, so that who is slow to read
 * his answers does not keep others from asking.  Streams are left alone.
 */
extern void Llama2CollectAnswers(void);

/* Sleep until the worker, or somebody else, has news for this process. */
extern void Llama2WaitForWorker(void);

/* Results so far: valid until the release, or the next call that submits or collects. */
extern const LlmTokenResult *Llama2RequestResults(const Llama2Request *request);

/* The vector [*n] of an embedding that is done; valid as long. */
extern const float *Llama2RequestVector(const Llama2Request *request, int *n);

/* The likeliest tokens at the place of a result, best first, [n_top] of the slot; as long. */
extern const LlmSample *Llama2RequestTop(const Llama2Request *request, int32 result);

/* The slot, for what it says once the request is done; valid as long as the results. */
extern const Llama2RequestSlot *Llama2RequestSlotOf(const Llama2Request *request);

/* Why a generation ended, as users read it. */
extern const char *Llama2FinishReasonName(LlmFinishReason reason);

/*
 * Of the last user: give the slot back, or, while it runs, ask the worker to; the handle is
 * gone.
 */
extern void Llama2RequestRelease(Llama2Request *request);

/* How many requests went with a resource owner before their users released them: handles from before may be gone. */
extern uint64 Llama2CountLostRequests(void);

/* End the process where its client is gone; for waits that do not watch the socket themselves. */
extern void Llama2CheckClient(void);

#endif							/* LLAMA2_REQUEST_H */
