/*
 * control.h
 *		What backends and workers both map: the control block in the server's main shared
 *		memory, with the request slots, the model table and the statistics.
 *
 * Locks:
 *	 control->lock		every change of a slot's state, the queue, the free list, of a model entry's
 *						state, worker and handles, and of who has an entry of progress
 *	 atomics			a slot's cancel flag (owner writes), n_results, n_prefilled and phase (worker
 *						writes), statistics (anybody adds)
 * The lock is never held while waiting for anything but another short holder,
 * and latches are set after it is released.  Payloads (prompts, results, stop
 * strings) lie in one DSA area; src/README.md says who frees them when.
 */
#ifndef LLAMA2_CONTROL_H
#define LLAMA2_CONTROL_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/dsm.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "utils/dsa.h"

#include "engine/engine.h"
#include "engine/file_identity.h"

#define LLAMA2_MAX_MODELS 16
#define LLAMA2_MODEL_NAME_LENGTH 64
#define LLAMA2_ERROR_LENGTH 512

/*
 * A slot's life; src/README.md draws it.  Each arrow has one owner.
 */
typedef enum Llama2SlotState
{
	LLAMA2_SLOT_FREE,			/* on the free list */
	LLAMA2_SLOT_FILLING,		/* a backend has it to itself */
	LLAMA2_SLOT_QUEUED,			/* on the queue; its owner may still take it back */
	LLAMA2_SLOT_RUNNING,		/* the worker has it; the owner may only ask to cancel */
	LLAMA2_SLOT_DONE			/* the worker is through with it; its owner reads and frees it */
} Llama2SlotState;

/* Outcome of a slot that is DONE, beside the engine's finish reason. */
typedef struct Llama2Failure
{
	int			sqlerrcode;		/* 0: no failure */
	char		message[LLAMA2_ERROR_LENGTH];
	char		detail[LLAMA2_ERROR_LENGTH];	/* empty: none */
	char		hint[LLAMA2_ERROR_LENGTH];	/* likewise */
} Llama2Failure;

typedef struct Llama2RequestSlot
{
	/* under control->lock */
	Llama2SlotState state;
	bool		abandoned;		/* the owner is gone: the worker frees the slot when it is through */
	int			next;			/* in the queue or on the free list; -1 ends it */
	uint64		generation;		/* grows whenever the slot is taken */
	int			n_overtaken;	/* by others of its session that begin as the one before them */

	/* written by the owner while FILLING, then read-only until FREE */
	int			model;			/* index in the model table */
	uint64		model_generation;
	int			owner_pid;
	Latch	   *owner_latch;	/* the owner's process latch */
	int			session;		/* the owner's place among the server's processes */
	Oid			userid;
	Oid			databaseid;
	bool		wake_each_token;	/* a stream: wake the owner for every token */
	bool		gives_way;		/* a job's: other processes come first */
	LlmRequestKind kind;
	LlmSamplingOptions sampling;
	int32		n_prompt;
	uint32		beginning;		/* hash of its first tokens; 0: too short */
	int32		max_tokens;
	int32		context_length; /* 0: the model's */
	bool		shift_context;
	int32		n_keep;
	int32		n_top;
	int32		score_from;
	LlmPooling	pooling;
	bool		normalize;
	int32		dim;			/* that the room for an embedding was made for */
	int32		n_stops;
	uint32		stop_lengths[LLM_MAX_STOPS];
	bool		strip_leading_space;
	LlmOnLimit	on_limit;
	TimestampTz queued_at;

	/* the payload: prompt ids, room for results and top tokens, stop strings one by one, a grammar */
	dsa_pointer payload;
	Size		results_offset;
	Size		top_offset;
	Size		stops_offset;
	Size		grammar_offset;
	Size		grammar_bytes;	/* 0: none */

	/* atomics, see above */
	volatile uint32 cancel;		/* set once by the owner, read by the engine between layers */
	pg_atomic_uint32 n_results;
	pg_atomic_uint32 n_prefilled;
	pg_atomic_uint32 phase;		/* LlmRequestState, for the view */

	/* written by the worker while RUNNING, read by the owner once DONE */
	TimestampTz started_at;		/* 0: never started */
	LlmFinishReason finish;
	uint32		text_bytes;
	int32		n_cached;
	double		queue_ms;
	double		prefill_ms;
	double		decode_ms;
	Llama2Failure failure;
} Llama2RequestSlot;

typedef enum Llama2ModelState
{
	LLAMA2_MODEL_UNUSED,		/* the entry is free; it may remember a model that went */
	LLAMA2_MODEL_STARTING,		/* a worker was asked for */
	LLAMA2_MODEL_WAITING,		/* its worker waits for other models' memory */
	LLAMA2_MODEL_LOADING,		/* its worker reads the file */
	LLAMA2_MODEL_READY,			/* weights and vocabulary are resident; its worker may be
								 * restarting */
	LLAMA2_MODEL_UNLOADING,		/* its worker finishes what it has, or breaks off its load */
	LLAMA2_MODEL_FAILED			/* could not be loaded; failure says why; no worker */
} Llama2ModelState;

typedef struct Llama2ModelEntry
{
	/* all under control->lock, but for the atomics */
	Llama2ModelState state;
	char		name[LLAMA2_MODEL_NAME_LENGTH];
	uint64		generation;		/* another one whenever the entry is taken, so for each load */
	bool		by_server;		/* is loaded since the server's start wants it */
	int			n_waiters;		/* backends that wait for this load */
	int			worker_pid;		/* 0: none runs now */
	Latch	   *worker_latch;
	dsm_handle	image_handle;	/* valid while READY, or UNLOADING what was */
	dsm_handle	vocabulary_handle;	/* stays valid when the model goes, for its next load */
	uint64		vocabulary_generation;	/* another one for each vocabulary */
	LlmFileIdentity file;		/* that was loaded */
	uint64		memory_bytes;	/* claimed under llama2.memory_limit */
	uint64		image_bytes;
	uint64		vocabulary_bytes;
	uint64		file_bytes;
	uint64		kv_bytes;
	uint64		activation_bytes;
	int32		context_length;
	int32		threads;
	char		kernels[16];
	LlmModelConfig config;
	TimestampTz loaded_at;
	double		load_ms;
	Llama2Failure failure;

	pg_atomic_uint64 last_used; /* TimestampTz; 0: not since it was loaded */
	pg_atomic_uint64 bytes_done;	/* of file_bytes, while LOADING */
	pg_atomic_uint32 stop;		/* asks a load, or an idle worker, to end */
	pg_atomic_uint32 running;
	pg_atomic_uint32 kv_pages;
	pg_atomic_uint32 kv_pages_free;
	pg_atomic_uint32 kv_pages_cached;
} Llama2ModelEntry;

/* Batch scans that the view llama2_progress shows at once; others run as well. */
#define LLAMA2_MAX_PROGRESS 256

/* How far a batch scan is. */
typedef struct Llama2Progress
{
	/* under control->lock */
	int			pid;			/* 0: the entry is free */
	Oid			userid;
	Oid			databaseid;
	TimestampTz started_at;
	double		n_estimated;	/* rows, by the planner */

	/* atomics: written by that process, read by anybody */
	pg_atomic_uint64 n_read;
	pg_atomic_uint64 n_done;
	pg_atomic_uint64 n_requests;
	pg_atomic_uint64 n_prompt_tokens;
	pg_atomic_uint64 n_completion_tokens;
} Llama2Progress;

/* Counters since the server started or llama2_stats_reset(). */
typedef struct Llama2Statistics
{
	pg_atomic_uint64 requests;
	pg_atomic_uint64 completed;
	pg_atomic_uint64 failed;
	pg_atomic_uint64 cancelled;
	pg_atomic_uint64 prompt_tokens;
	pg_atomic_uint64 cached_tokens;
	pg_atomic_uint64 completion_tokens;
	pg_atomic_uint64 scored_tokens;
	pg_atomic_uint64 steps;
	pg_atomic_uint64 sequence_steps;
	pg_atomic_uint64 prefill_tokens;
	pg_atomic_uint64 decode_tokens;
	pg_atomic_uint64 drafted_tokens;
	pg_atomic_uint64 accepted_tokens;
	pg_atomic_uint64 preemptions;
	pg_atomic_uint64 job_pauses;
	pg_atomic_uint64 queue_us;
	pg_atomic_uint64 prefill_us;
	pg_atomic_uint64 decode_us;
	pg_atomic_uint64 step_us;
	pg_atomic_uint64 worker_starts;
	pg_atomic_uint64 model_loads;
	pg_atomic_uint64 evictions; /* models that went to make room for others */
	pg_atomic_uint64 reset_at;	/* TimestampTz */
} Llama2Statistics;

typedef struct Llama2Control
{
	LWLock	   *lock;			/* see the head of this file */
	int			n_slots;
	int			free_list;		/* first free slot, or -1 */
	int			n_free;
	int			queue_head;		/* oldest queued slot, or -1 */
	int			queue_tail;
	uint64		next_generation;
	ConditionVariable slot_freed;	/* a slot came free */
	ConditionVariable model_changed;	/* a model entry changed its state */
	Llama2Statistics statistics;
	Llama2ModelEntry models[LLAMA2_MAX_MODELS];
	Llama2Progress progress[LLAMA2_MAX_PROGRESS];
	Size		payload_area_offset;	/* of the DSA area, from the start of the block */
	Llama2RequestSlot slots[FLEXIBLE_ARRAY_MEMBER];
} Llama2Control;

/* NULL in a server that did not preload the library. */
extern PGDLLEXPORT Llama2Control *llama2_control;

/* Hooks that claim the shared memory; called from _PG_init while preloading. */
extern void Llama2InstallSharedMemoryHooks(void);

/* The DSA area of payloads, attached on first use for the rest of the process. */
extern PGDLLEXPORT dsa_area *Llama2PayloadArea(void);

#define Llama2AddStatistic(counter, amount) \
	((void) pg_atomic_fetch_add_u64(&llama2_control->statistics.counter, (amount)))

extern void Llama2ResetStatistics(void);

#endif							/* LLAMA2_CONTROL_H */
