/*
 * parameters.h
 *		The parameters llama2.*, as C variables.
 */
#ifndef LLAMA2_PARAMETERS_H
#define LLAMA2_PARAMETERS_H

#include "postgres.h"

/* of the server */
extern PGDLLEXPORT char *llama2_model;
extern PGDLLEXPORT char *llama2_model_directory;
extern PGDLLEXPORT char *llama2_preload;
extern PGDLLEXPORT int llama2_memory_limit; /* MB; 0: none */
extern PGDLLEXPORT int llama2_keep_alive;	/* s; -1: for ever */
extern PGDLLEXPORT int llama2_max_requests;
extern PGDLLEXPORT int llama2_max_batch;
extern PGDLLEXPORT int llama2_threads;
extern PGDLLEXPORT int llama2_nice;
extern PGDLLEXPORT int llama2_job_share;
extern PGDLLEXPORT int llama2_kv_cache_size;	/* MB; 0: see Llama2EngineOptions */
extern PGDLLEXPORT int llama2_kv_cache_type;	/* LlmKvType */
extern PGDLLEXPORT int llama2_context_length;	/* 0: the model's */
extern PGDLLEXPORT int llama2_kernels;	/* index of Llama2KernelsName */
extern PGDLLEXPORT bool llama2_blas;
extern PGDLLEXPORT bool llama2_prefix_cache;
extern PGDLLEXPORT bool llama2_speculation;
extern int	llama2_job_workers;
extern int	llama2_job_keep_alive;	/* s */
extern int	llama2_job_retries;
extern int	llama2_job_retry_delay; /* ms */
extern int	llama2_job_retention;	/* s; -1: for ever */

/* What those of texts are where nobody set them; jobs are stored without what is so, and done with it. */
#define LLAMA2_DEFAULT_MAX_TOKENS 256
#define LLAMA2_DEFAULT_TEMPERATURE 0.6
#define LLAMA2_DEFAULT_TOP_P 0.9
#define LLAMA2_DEFAULT_TOP_K 40
#define LLAMA2_DEFAULT_MIN_P 0.0
#define LLAMA2_DEFAULT_REPEAT_PENALTY 1.0
#define LLAMA2_DEFAULT_SEED (-1)

/* of the role, database or session */
extern int	llama2_max_tokens;
extern int	llama2_max_tokens_limit;
extern double llama2_temperature;
extern double llama2_top_p;
extern int	llama2_top_k;
extern double llama2_min_p;
extern double llama2_repeat_penalty;
extern int	llama2_seed;		/* -1: random */
extern bool llama2_batch_scan;
extern int	llama2_batch_size;	/* 0: what keeps the worker busy */

/* Define them all; those of the server only while the library is preloaded. */
extern void Llama2DefineParameters(void);

/* From now on those of texts are in this process as if nobody set them. */
extern void Llama2UseDefaultParameters(void);

/* The folder of model files, palloc'd: llama2.model_directory or its default. */
extern PGDLLEXPORT char *Llama2ModelDirectory(void);

/* Give this process, and threads that it starts, the niceness llama2.nice. */
extern PGDLLEXPORT void Llama2LetOthersFirst(void);

/* What llama2.kernels asks for, or NULL for the best. */
extern PGDLLEXPORT const char *Llama2KernelsName(void);

#endif							/* LLAMA2_PARAMETERS_H */
