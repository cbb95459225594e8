/*
 * parameters.c
 *		The library's entry point and its parameters.
 */
#include "server/parameters.h"

#include <fcntl.h>
#include <float.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#include "server/batch_scan.h"
#include "server/job_worker.h"
#include "shared/compat.h"
#include "shared/control.h"
#include "shared/model_table.h"

#define MAX_CONTEXT_LENGTH 1048576

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

static void define_server_parameters(void);
static void define_job_parameters(void);
static void define_session_parameters(void);
static bool check_model_name(char **newval, void **extra, GucSource source);
static bool check_model_names(char **newval, void **extra, GucSource source);

char	   *llama2_model = NULL;
char	   *llama2_model_directory = NULL;
char	   *llama2_preload = NULL;
int			llama2_memory_limit = 0;
int			llama2_keep_alive = 300;
int			llama2_max_requests = 128;
int			llama2_max_batch = 32;
int			llama2_threads = 0;
int			llama2_nice = 0;
int			llama2_job_share = 2;
int			llama2_kv_cache_size = 0;
int			llama2_kv_cache_type = LLM_KV_F16;
int			llama2_context_length = 0;
int			llama2_kernels = 0;
bool		llama2_blas = false;
bool		llama2_prefix_cache = true;
bool		llama2_speculation = true;
int			llama2_job_workers = 2;
int			llama2_job_keep_alive = 60;
int			llama2_job_retries = 5;
int			llama2_job_retry_delay = 5000;
int			llama2_job_retention = 7 * 24 * 3600;

int			llama2_max_tokens = LLAMA2_DEFAULT_MAX_TOKENS;
int			llama2_max_tokens_limit = 4096;
double		llama2_temperature = LLAMA2_DEFAULT_TEMPERATURE;
double		llama2_top_p = LLAMA2_DEFAULT_TOP_P;
int			llama2_top_k = LLAMA2_DEFAULT_TOP_K;
double		llama2_min_p = LLAMA2_DEFAULT_MIN_P;
double		llama2_repeat_penalty = LLAMA2_DEFAULT_REPEAT_PENALTY;
int			llama2_seed = LLAMA2_DEFAULT_SEED;
bool		llama2_batch_scan = true;
int			llama2_batch_size = 0;

static const struct config_enum_entry kernels_options[] = {
	{"auto", 0, false},
	{"generic", 1, false},
	{"avx2", 2, false},
	{"avxvnni", 3, false},
	{"avx512", 4, false},
	{"amx", 5, false},
	{"amx_prompts", 6, false},
	{"amx_bf16", 7, false},
	{NULL, 0, false}
};

static const struct config_enum_entry kv_cache_type_options[] = {
	{"f16", LLM_KV_F16, false},
	{"f32", LLM_KV_F32, false},
	{"q8_0", LLM_KV_Q8_0, false},
	{NULL, 0, false}
};

/*
 * Without shared_preload_libraries the functions exist and say what to set;
 * shared memory and workers are claimed only while preloading.
 */
void
_PG_init(void)
{
	Llama2DefineParameters();
	if (!process_shared_preload_libraries_in_progress)
		return;
	Llama2InstallSharedMemoryHooks();
	Llama2InstallBatchScan();
	if (IsBinaryUpgrade)
		return;
	Llama2RegisterFirstWorkers();
	Llama2RegisterJobLauncher();
	Llama2InstallUtilityHook();
}

void
Llama2DefineParameters(void)
{
	if (process_shared_preload_libraries_in_progress)
	{
		define_server_parameters();
		define_job_parameters();
	}
	define_session_parameters();
	if (process_shared_preload_libraries_in_progress)
		MarkGUCPrefixReserved("llama2");
}

void
Llama2UseDefaultParameters(void)
{
	const struct
	{
		const char *name;
		double		value;
	}			defaults[] = {
		{"llama2.max_tokens", LLAMA2_DEFAULT_MAX_TOKENS},
		{"llama2.temperature", LLAMA2_DEFAULT_TEMPERATURE},
		{"llama2.top_p", LLAMA2_DEFAULT_TOP_P},
		{"llama2.top_k", LLAMA2_DEFAULT_TOP_K},
		{"llama2.min_p", LLAMA2_DEFAULT_MIN_P},
		{"llama2.repeat_penalty", LLAMA2_DEFAULT_REPEAT_PENALTY},
		{"llama2.seed", LLAMA2_DEFAULT_SEED}
	};

	for (int i = 0; i < lengthof(defaults); i++)
		SetConfigOption(defaults[i].name, psprintf("%.15g", defaults[i].value), PGC_SUSET, PGC_S_OVERRIDE);
}

char *
Llama2ModelDirectory(void)
{
	char		folder[MAXPGPATH];

	if (llama2_model_directory && llama2_model_directory[0] != '\0')
		return pstrdup(llama2_model_directory);
	get_share_path(my_exec_path, folder);
	return psprintf("%s/llama2", folder);
}

/*
 * Every process of the server is a session of its own.  Where Linux groups processes by session, niceness counts
 * within the group only, and the group has one too, which is set in the whole system not more than ten times a second.
 */
void
Llama2LetOthersFirst(void)
{
	char		number[16];
	int			length = snprintf(number, sizeof(number), "%d", llama2_nice);

	if (llama2_nice == 0)
		return;
	if (setpriority(PRIO_PROCESS, 0, llama2_nice) != 0)
		ereport(WARNING, (errmsg("could not set the niceness of this llama2 worker to %d: %m", llama2_nice)));
	for (int attempt = 0; attempt < 10; attempt++)
	{
		int			group = OpenTransientFile("/proc/self/autogroup", O_WRONLY);
		bool		is_early;

		if (group < 0)
			return;
		is_early = write(group, number, length) < 0 && errno == EAGAIN;
		(void) CloseTransientFile(group);
		if (!is_early)
			return;
		pg_usleep(50000L);
	}
}

const char *
Llama2KernelsName(void)
{
	return llama2_kernels == 0 ? NULL : kernels_options[llama2_kernels].name;
}

static void
define_server_parameters(void)
{
	DefineCustomStringVariable("llama2.model_directory",
							   "Folder of the model files.",
							   "Empty: llama2 below the server's shared files.",
							   &llama2_model_directory, "",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
	DefineCustomStringVariable("llama2.preload",
							   "Models that are loaded at server start beside llama2.model, separated by commas.",
							   NULL, &llama2_preload, "",
							   PGC_POSTMASTER, GUC_LIST_INPUT, check_model_names, NULL, NULL);
	DefineCustomIntVariable("llama2.memory_limit",
							"Memory that models may take together: weights, keys and values, activations.",
							"Idle models go to make room for others.  0: what the system has.",
							&llama2_memory_limit, 0, 0, MAX_KILOBYTES / 1024,
							PGC_SIGHUP, GUC_UNIT_MB, NULL, NULL, NULL);
	DefineCustomIntVariable("llama2.keep_alive",
							"How long a model stays in memory after its last request; -1 for ever.",
							"llama2.model and those of llama2.preload stay.",
							&llama2_keep_alive, 300, -1, INT_MAX / 1000,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("llama2.max_requests",
							"Requests that can be queued or running at once; more wait.",
							NULL, &llama2_max_requests, 128, 2, 4096,
							PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("llama2.max_batch",
							"Sequences that one model computes in one step.",
							NULL, &llama2_max_batch, 32, 1, 256,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("llama2.threads",
							"Threads of a model's worker.",
							"0: one for each processor that the server may use.",
							&llama2_threads, 0, 0, 256,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("llama2.nice",
							"Niceness of the workers of models and jobs, so that queries come first.",
							NULL, &llama2_nice, 0, 0, 19,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("llama2.kv_cache_size",
							"Memory for the keys and values of a model's running sequences.",
							"0: 1GB, or what one context of the model takes where that is more.",
							&llama2_kv_cache_size, 0, 0, MAX_KILOBYTES / 1024,
							PGC_SIGHUP, GUC_UNIT_MB, NULL, NULL, NULL);
	DefineCustomEnumVariable("llama2.kv_cache_type",
							 "Number format of the keys and values.",
							 NULL, &llama2_kv_cache_type, LLM_KV_F16, kv_cache_type_options,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("llama2.context_length",
							"Longest prompt and answer together, in tokens.",
							"0: what the model was trained for.",
							&llama2_context_length, 0, 0, MAX_CONTEXT_LENGTH,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("llama2.kernels",
							 "Instruction set of the kernels.",
							 "auto: the best that this processor has.",
							 &llama2_kernels, 0, kernels_options,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("llama2.blas",
							 "Multiply long prompts by float matrices with OpenBLAS.",
							 "Results then depend, in their last bits, on how requests are batched.",
							 &llama2_blas, false,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("llama2.prefix_cache",
							 "Keep what was computed for prompts, for later ones that begin alike.",
							 "Shared between requests of the same role only.  Results are the same.",
							 &llama2_prefix_cache, true,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("llama2.speculation",
							 "Guess at next tokens from the text so far while the processor is idle.",
							 "Results are the same.",
							 &llama2_speculation, true,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
}

static void
define_job_parameters(void)
{
	DefineCustomIntVariable("llama2.job_workers",
							"Databases whose jobs are done at the same time; 0 pauses jobs.",
							NULL, &llama2_job_workers, 2, 0, 64,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("llama2.job_keep_alive",
							"How long a job worker without jobs stays connected to its database.",
							NULL, &llama2_job_keep_alive, 60, 0, INT_MAX / 1000,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("llama2.job_share",
							"Percent of the time that a model computes for jobs while other processes want the processors.",
							"100: as if they were queries.",
							&llama2_job_share, 2, 1, 100,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("llama2.job_retries",
							"How often a job that failed is tried again.",
							NULL, &llama2_job_retries, 5, 0, 100,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("llama2.job_retry_delay",
							"Time before the first retry of a job; each further one waits twice as long.",
							NULL, &llama2_job_retry_delay, 5000, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("llama2.job_retention",
							"How long jobs that ended are kept; -1 keeps them.",
							NULL, &llama2_job_retention, 7 * 24 * 3600, -1, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
}

static void
define_session_parameters(void)
{
	DefineCustomStringVariable("llama2.model",
							   "Model of functions that are called without one.",
							   "The server's own setting is the model that is loaded at start.",
							   &llama2_model, "tinychat-6m",
							   PGC_USERSET, 0, check_model_name, NULL, NULL);
	DefineCustomIntVariable("llama2.max_tokens",
							"Longest answer, in tokens.",
							NULL, &llama2_max_tokens, LLAMA2_DEFAULT_MAX_TOKENS, 1, MAX_CONTEXT_LENGTH,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("llama2.max_tokens_limit",
							"Greatest max_tokens that a call may ask for.",
							NULL, &llama2_max_tokens_limit, 4096, 1, MAX_CONTEXT_LENGTH,
							PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomRealVariable("llama2.temperature",
							 "Randomness of the answer; 0 always takes the likeliest token.",
							 NULL, &llama2_temperature, LLAMA2_DEFAULT_TEMPERATURE, 0, 100,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomRealVariable("llama2.top_p",
							 "Draw from the likeliest tokens that have this share of the probability.",
							 NULL, &llama2_top_p, LLAMA2_DEFAULT_TOP_P, FLT_MIN, 1,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("llama2.top_k",
							"Draw from so many of the likeliest tokens; 0 is all.",
							NULL, &llama2_top_k, LLAMA2_DEFAULT_TOP_K, 0, INT_MAX,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomRealVariable("llama2.min_p",
							 "Drop tokens less likely than this share of the likeliest one's probability.",
							 NULL, &llama2_min_p, LLAMA2_DEFAULT_MIN_P, 0, 1,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomRealVariable("llama2.repeat_penalty",
							 "Divides the logits of recent tokens; 1 is off.",
							 NULL, &llama2_repeat_penalty, LLAMA2_DEFAULT_REPEAT_PENALTY, 0.01, 100,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("llama2.seed",
							"Seed of the draws; -1 takes another one for each call.",
							NULL, &llama2_seed, LLAMA2_DEFAULT_SEED, -1, INT_MAX,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("llama2.batch_scan",
							 "Read rows ahead, so that the calls of many are computed as one batch.",
							 "Results are the same.",
							 &llama2_batch_scan, true,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("llama2.batch_size",
							"Requests that a statement keeps going at once.",
							"0: what llama2.max_batch takes, and half as many that wait for their turn.",
							&llama2_batch_size, 0, 0, 4096,
							PGC_USERSET, 0, NULL, NULL, NULL);
}

static bool
check_model_name(char **newval, void **extra, GucSource source)
{
	if (**newval == '\0' || Llama2ModelNameIsValid(*newval))
		return true;
	GUC_check_errdetail("A model's name is its file's name without \".gguf\".");
	return false;
}

static bool
check_model_names(char **newval, void **extra, GucSource source)
{
	char	   *names = pstrdup(*newval);
	List	   *list;
	ListCell   *cell;
	bool		valid = SplitGUCList(names, ',', &list);

	if (!valid)
		GUC_check_errdetail("List syntax is invalid.");
	foreach(cell, list)
	{
		if (valid && !Llama2ModelNameIsValid(lfirst(cell)))
		{
			GUC_check_errdetail("\"%s\" is no model's name.", (char *) lfirst(cell));
			valid = false;
		}
	}
	list_free(list);
	pfree(names);
	return valid;
}
