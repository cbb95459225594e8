/*
 * llama2_bench.c
 *		Tokens per second of a model: prompts, one sequence, many at once.
 *
 *	 llama2_bench [-t threads] [-k kernels] [-p prompt tokens] [-n tokens] [-b batch,batch,...]
 *				  [-d depth] [-q requests] [-r repetitions] [--blas] [--shared] [--whole] [--csv] [model.gguf]
 *
 * Without a file the bundled model is measured.  Beside each rate stands what it takes
 * of the machine, as a share of limits that are measured in the same run: weights read
 * from memory, multiply-adds.  Decoding begins after a prompt of depth tokens; -p 0 leaves the prompts out.  With -q so
 * many requests are queued at once, each with a prompt of depth tokens of its own, and computed in the widest batch: tokens
 * per second of that are those of the answers, in all of the time.  --shared puts the weights in shared memory, as the
 * server does, where the system may have no huge pages for them.  --whole makes each step take all sequences.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/engine.h"
#include "engine/processors.h"
#include "machine_limits.h"

#define BUNDLED_MODEL "models/tinychat-6m.gguf"
#define MAX_BATCHES 16
#define MAX_REPETITIONS 100
#define SPARE_PROMPT 64			/* fewer prompt tokens than a step computes */
#define WARM_UP_TOKENS 64
#define REPETITIONS 7			/* of the limits that are printed */

typedef struct BenchOptions
{
	int			n_threads;
	const char *kernels;
	int			n_prompt;
	int			n_tokens;
	int			depth;
	int			n_requests;
	int			batches[MAX_BATCHES];
	int			n_batches;
	int			n_repetitions;
	bool		use_blas;
	bool		shared;
	bool		whole_steps;
	bool		csv;
	const char *path;
} BenchOptions;

typedef struct Bench
{
	const BenchOptions *options;
	LlmModel	model;
	const void *image;
	uint64_t	image_bytes;
	uint64_t	step_bytes;		/* of weights that a step reads */
	uint64_t	step_weights;	/* and how many these are */
	LlmVocabulary *vocabulary;
	double		load_seconds;
	LlmEngine  *engine;
} Bench;

typedef enum Test
{
	TEST_PREFILL,
	TEST_DECODE,
	TEST_REQUESTS				/* answers, prompts counted in the time */
} Test;

/* What one run gave. */
typedef struct Timing
{
	double		prefill_rate;	/* tokens in a second */
	double		decode_rate;	/* over all sequences */
	double		rate;			/* of answers, prompts counted in the time */
	uint64_t	steps;
} Timing;

static void parse_options(int argc, char **argv, BenchOptions *options);
static void parse_batches(const char *list, BenchOptions *options);
static int	parse_number(const char *name, const char *text, int least, int greatest);
static void usage(void);
static void load(Bench *bench);
static void count_weights(Bench *bench);
static void create_engine(Bench *bench);
static Timing run(const Bench *bench, int n_sequences, int n_prompt, int n_tokens, int n_spare);
static int	longest_prompt(const BenchOptions *options);
static int	spare_tokens(const Bench *bench, int n_sequences);
static void measure(const Bench *bench, Test test, int n_sequences);
static void warm_up(const Bench *bench);
static MachineLimits limits_of(const Bench *bench, int repetitions);
static Timing run_test(const Bench *bench, Test test, int n_sequences);
static double rate_of(Test test, const Timing *timing);
static void print_machine(const Bench *bench);
static void print_rate(const Bench *bench, Test test, int n_sequences, double rate, double of_read,
					   double of_peak);
static void print_steps(const Bench *bench, int n_requests, uint64_t steps);
static double gbytes_of(const Bench *bench, int n_sequences, double rate);
static double gops_of(const Bench *bench, double rate);
static double peak_of(const Bench *bench, const MachineLimits *limits);
static void *claim(uint64_t bytes, bool shared);
static void fail(const char *message, const char *hint);

int
main(int argc, char **argv)
{
	BenchOptions options;
	Bench		bench = {.options = &options};

	parse_options(argc, argv, &options);
	load(&bench);
	create_engine(&bench);
	print_machine(&bench);

	run(&bench, 1, longest_prompt(&options), 2, 0); /* touches every page */
	if (options.n_prompt > 0)
		measure(&bench, TEST_PREFILL, 1);
	for (int i = 0; i < options.n_batches; i++)
		measure(&bench, TEST_DECODE, options.batches[i]);
	if (options.n_requests > 0)
		measure(&bench, TEST_REQUESTS, options.n_requests);
	return 0;
}

static void
parse_options(int argc, char **argv, BenchOptions *options)
{
	static const struct option names[] = {
		{"blas", no_argument, NULL, 'B'},
		{"shared", no_argument, NULL, 'S'},
		{"whole", no_argument, NULL, 'W'},
		{"csv", no_argument, NULL, 'C'},
		{NULL, 0, NULL, 0}
	};
	int			letter;

	*options = (BenchOptions)
	{
		.n_prompt = 128, .n_tokens = 64, .depth = 8, .n_repetitions = 3
	};
	parse_batches("1,4,16", options);
	while ((letter = getopt_long(argc, argv, "t:k:p:n:b:d:q:r:", names, NULL)) != -1)
	{
		switch (letter)
		{
			case 't':
				options->n_threads = parse_number("threads", optarg, 0, 1024);
				break;
			case 'k':
				options->kernels = optarg;
				break;
			case 'p':
				options->n_prompt = parse_number("prompt tokens", optarg, 0, 1 << 20);
				break;
			case 'n':
				options->n_tokens = parse_number("tokens", optarg, 2, 1 << 20);
				break;
			case 'b':
				parse_batches(optarg, options);
				break;
			case 'd':
				options->depth = parse_number("depth", optarg, 1, 1 << 20);
				break;
			case 'q':
				options->n_requests = parse_number("requests", optarg, 0, 1 << 20);
				break;
			case 'r':
				options->n_repetitions = parse_number("repetitions", optarg, 1, MAX_REPETITIONS);
				break;
			case 'B':
				options->use_blas = true;
				break;
			case 'S':
				options->shared = true;
				break;
			case 'W':
				options->whole_steps = true;
				break;
			case 'C':
				options->csv = true;
				break;
			default:
				usage();
		}
	}
	if (optind < argc - 1)
		usage();
	options->path = optind < argc ? argv[optind] : BUNDLED_MODEL;
}

static void
parse_batches(const char *list, BenchOptions *options)
{
	char	   *copy = strdup(list);
	char	   *rest = copy;
	char	   *item;

	options->n_batches = 0;
	while ((item = strsep(&rest, ",")) != NULL)
	{
		if (options->n_batches == MAX_BATCHES)
			fail("too many batch widths", "");
		options->batches[options->n_batches++] = parse_number("batch", item, 1, 1024);
	}
	free(copy);
}

static int
parse_number(const char *name, const char *text, int least, int greatest)
{
	char	   *end;
	long		value = strtol(text, &end, 10);

	if (end == text || *end != '\0' || value < least || value > greatest)
	{
		fprintf(stderr, "llama2_bench: %s must be from %d to %d, not \"%s\"\n", name, least, greatest, text);
		exit(2);
	}
	return (int) value;
}

static void
usage(void)
{
	fprintf(stderr, "usage: llama2_bench [-t threads] [-k kernels] [-p prompt tokens] [-n tokens]\n"
			"                    [-b batch,batch,...] [-d depth] [-q requests] [-r repetitions] [--blas] [--shared] [--whole] [--csv]\n"
			"                    [model.gguf]\n");
	exit(2);
}

static void
load(Bench *bench)
{
	LlmError	error = {0};
	double		started = seconds_now();
	LlmModelFile *file = llm_model_open(bench->options->path, &error);
	uint64_t	vocabulary_bytes;
	void	   *image;

	if (file == NULL)
		fail(error.message, error.hint);
	bench->image_bytes = llm_model_image_size(file);
	vocabulary_bytes = llm_model_vocabulary_size(file);
	image = claim(bench->image_bytes, bench->options->shared);
	bench->vocabulary = claim(vocabulary_bytes, false);
	if (!llm_model_build_vocabulary(file, bench->vocabulary, vocabulary_bytes, &error) ||
		!llm_model_load_image(file, image, bench->image_bytes,
							  bench->options->n_threads > 0 ? bench->options->n_threads :
							  llm_processor_count(),
							  NULL, NULL, &error) ||
		!llm_model_attach(image, bench->image_bytes, &bench->model, &error))
		fail(error.message, error.hint);
	llm_model_close(file);
	bench->image = image;
	bench->load_seconds = seconds_now() - started;
	count_weights(bench);
}

/* Every matrix but the embedding, of which a step reads a few rows. */
static void
count_weights(Bench *bench)
{
	const LlmModel *model = &bench->model;

	for (int32_t i = -1; i < model->config.n_layers; i++)
	{
		const LlmLayer *layer = i < 0 ? NULL : &model->layers[i];
		const LlmMatrix *matrices[] = {
			layer ? &layer->q : &model->output,
			layer ? &layer->k : NULL,
			layer ? &layer->v : NULL,
			layer ? &layer->attention_output : NULL,
			layer ? &layer->gate : NULL,
			layer ? &layer->up : NULL,
			layer ? &layer->down : NULL
		};

		for (size_t m = 0; m < sizeof(matrices) / sizeof(matrices[0]) && matrices[m] != NULL; m++)
		{
			bench->step_bytes += matrices[m]->panel_bytes * (uint64_t) matrices[m]->n_panels;
			bench->step_weights += (uint64_t) matrices[m]->rows * (uint64_t) matrices[m]->cols;
		}
	}
}

/* Room for the widest batch and the longest sequence, whatever the model was trained for. */
static void
create_engine(Bench *bench)
{
	const BenchOptions *options = bench->options;
	LlmEngineOptions engine_options;
	LlmError	error = {0};
	uint64_t	pages;

	llm_engine_defaults(&engine_options);
	engine_options.n_threads = options->n_threads;
	engine_options.kernels = options->kernels;
	engine_options.use_blas = options->use_blas;
	engine_options.speculation = false; /* one token a step is what is measured */
	engine_options.take_turns = !options->whole_steps;
	engine_options.max_sequences = 1;
	for (int i = 0; i < options->n_batches; i++)
	{
		if (options->batches[i] > engine_options.max_sequences)
			engine_options.max_sequences = options->batches[i];
	}
	engine_options.context_length = longest_prompt(options) + options->n_tokens + spare_tokens(bench, engine_options.max_sequences);
	pages = (uint64_t) engine_options.max_sequences *
		(((uint64_t) engine_options.context_length + LLM_KV_PAGE - 1) / LLM_KV_PAGE);
	engine_options.kv_bytes = pages * llm_kv_page_bytes(&bench->model.config, engine_options.kv_type);
	bench->engine = llm_engine_create(&bench->model, bench->vocabulary, &engine_options, &error);
	if (bench->engine == NULL)
		fail(error.message, error.hint);
}

/*
 * n_sequences greedy requests at once.  Prompts count until the last has its
 * first token, the rest of the time is decoding.  By then the first ones have decoded for a while: each
 * may go on for n_spare tokens more, so that all decode together until the last has its n_tokens.
 */
static Timing
run(const Bench *bench, int n_sequences, int n_prompt, int n_tokens, int n_spare)
{
	const int	most = n_tokens + n_spare;
	LlmRequest *requests = calloc(n_sequences, sizeof(LlmRequest));
	LlmTokenResult *results = calloc((size_t) n_sequences * most, sizeof(LlmTokenResult));
	int32_t    *prompts = calloc((size_t) n_sequences * n_prompt, sizeof(int32_t));
	int32_t		n_vocabulary = bench->model.config.vocabulary_size;
	LlmError	error = {0};
	LlmEngineStatistics before;
	LlmEngineStatistics after;
	double		started = seconds_now();
	double		prefilled;
	double		ended;
	bool		decoding = false;
	uint32_t	cancel = 0;
	int64_t		n_before = 0;
	int64_t		n_after = 0;
	Timing		timing;

	llm_engine_statistics(bench->engine, &before);
	for (int i = 0; i < n_sequences * n_prompt; i++)
		prompts[i] = (int32_t) ((i * INT64_C(7919) + 259) % n_vocabulary);
	for (int i = 0; i < n_sequences; i++)
	{
		requests[i] = (LlmRequest)
		{
			.kind = LLM_GENERATE, .prompt = prompts + (size_t) i * n_prompt, .n_prompt = n_prompt,
			.max_tokens = most, .results = results + (size_t) i * most, .cancel = &cancel
		};
		llm_sampling_defaults(&requests[i].sampling);
		requests[i].sampling.temperature = 0;
		requests[i].sampling.ignore_eos = true;
		if (!llm_engine_submit(bench->engine, &requests[i], &error))
			fail(error.message, error.hint);
	}
	while (llm_engine_step(bench->engine) > 0 && !decoding)
	{
		decoding = true;
		for (int i = 0; i < n_sequences; i++)
			decoding = decoding && requests[i].n_results > 0;
	}
	prefilled = seconds_now();
	for (int i = 0; i < n_sequences; i++)
		n_before += requests[i].n_results;
	for (int steps = 1; (n_spare == 0 || steps < n_tokens) && llm_engine_step(bench->engine) > 0; steps++)
		;
	ended = seconds_now();
	for (int i = 0; i < n_sequences; i++)
	{
		n_after += requests[i].n_results;
		if (n_spare > 0 && requests[i].n_results == most)
			fail("a sequence ended before the others", "Let it have more tokens to spare.");
	}
	cancel = 1;
	while (llm_engine_step(bench->engine) > 0)
		;

	timing.prefill_rate = n_sequences * n_prompt / (prefilled - started);
	timing.decode_rate = (double) (n_after - n_before) / (ended - prefilled);
	timing.rate = (double) n_after / (ended - started);
	llm_engine_statistics(bench->engine, &after);
	timing.steps = after.steps - before.steps;
	free(requests);
	free(results);
	free(prompts);
	return timing;
}

static int
longest_prompt(const BenchOptions *options)
{
	return options->n_prompt > options->depth ? options->n_prompt : options->depth;
}

/* More than the first sequence can decode while the others' prompts are computed. */
static int
spare_tokens(const Bench *bench, int n_sequences)
{
	return n_sequences == 1 ? 0 : n_sequences * (bench->options->depth / SPARE_PROMPT + 1);
}

/*
 * Medians of the repetitions.  The speed of a shared machine changes from one moment to the
 * next, so what a repetition reached is compared with the limits just before and after it.
 */
static void
measure(const Bench *bench, Test test, int n_sequences)
{
	double		rates[MAX_REPETITIONS];
	double		of_read[MAX_REPETITIONS];
	double		of_peak[MAX_REPETITIONS];
	int			n = bench->options->n_repetitions;
	Timing		timing = {0};

	for (int i = 0; i < n; i++)
	{
		MachineLimits before = limits_of(bench, 1);
		MachineLimits after;
		double		peak;

		warm_up(bench);
		timing = run_test(bench, test, n_sequences);
		rates[i] = rate_of(test, &timing);
		after = limits_of(bench, 1);
		peak = peak_of(bench, &before) + peak_of(bench, &after);
		of_read[i] = test != TEST_DECODE ? 0 :
			100 * gbytes_of(bench, n_sequences, rates[i]) / ((before.read_gbytes + after.read_gbytes) / 2);
		of_peak[i] = peak > 0 ? 100 * gops_of(bench, rates[i]) / (peak / 2) : 0;
	}
	print_rate(bench, test, n_sequences, median_of(rates, n), median_of(of_read, n), median_of(of_peak, n));
	if (test == TEST_REQUESTS)
		print_steps(bench, n_sequences, timing.steps);
}

/* Measuring the limits drove small models out of the caches; llama-bench warms up, too. */
static void
warm_up(const Bench *bench)
{
	int			longest = longest_prompt(bench->options);

	run(bench, 1, longest < WARM_UP_TOKENS ? longest : WARM_UP_TOKENS, 2, 0);
}

static MachineLimits
limits_of(const Bench *bench, int repetitions)
{
	return measure_machine_limits(llm_engine_n_threads(bench->engine), llm_engine_kernels(bench->engine),
								  bench->image, bench->image_bytes, repetitions);
}

static Timing
run_test(const Bench *bench, Test test, int n_sequences)
{
	const BenchOptions *options = bench->options;

	if (test == TEST_PREFILL)
		return run(bench, n_sequences, options->n_prompt, 2, 0);
	return run(bench, n_sequences, options->depth, options->n_tokens,
			   test == TEST_DECODE ? spare_tokens(bench, n_sequences) : 0);
}

static double
rate_of(Test test, const Timing *timing)
{
	return test == TEST_PREFILL ? timing->prefill_rate : test == TEST_DECODE ? timing->decode_rate : timing->rate;
}

static void
print_machine(const Bench *bench)
{
	const BenchOptions *options = bench->options;
	const LlmModelConfig *config = &bench->model.config;
	MachineLimits limits;

	if (options->csv)
	{
		printf("test,model,type,kernels,threads,blas,sequences,tokens_per_s,read_gbytes_per_s,of_read_percent,"
			   "gops,of_peak_percent,load_s\n");
		return;
	}
	printf("model    %s, %s, %" PRId64 " weights, %.2f GB, loaded in %.2f s\n",
		   config->name[0] != '\0' ? config->name : options->path, config->type_name,
		   config->n_weights, (double) bench->image_bytes * 1e-9, bench->load_seconds);
	printf("engine   %s kernels, %d threads%s; median of %d\n", llm_engine_kernels(bench->engine),
		   llm_engine_n_threads(bench->engine), options->use_blas ? ", BLAS" : "", options->n_repetitions);
	limits = limits_of(bench, REPETITIONS);
	printf("machine  reads %.1f GB/s; float32 %.0f GFLOPS, bfloat16 %.0f, int8 %.0f GOPS\n\n",
		   limits.read_gbytes, limits.float_gflops, limits.bf16_gflops, limits.int8_gops);
	printf("%-10s %9s %10s %10s %8s %10s %8s\n", "test", "sequences", "tokens/s", "GB/s read",
		   "of limit", "GOPS", "of peak");
}

/* 0 is what does not apply. */
static void
print_rate(const Bench *bench, Test test, int n_sequences, double rate, double of_read, double of_peak)
{
	static const char *const names[] = {"prefill", "decode", "requests"};
	const BenchOptions *options = bench->options;
	const LlmModelConfig *config = &bench->model.config;
	double		gbytes = test == TEST_DECODE ? gbytes_of(bench, n_sequences, rate) : 0;
	double		gops = gops_of(bench, rate);

	if (options->csv)
		printf("%s,%s,%s,%s,%d,%d,%d,%.3f,%.3f,%.1f,%.2f,%.1f,%.3f\n", names[test], config->name, config->type_name,
			   llm_engine_kernels(bench->engine), llm_engine_n_threads(bench->engine), options->use_blas,
			   n_sequences, rate, gbytes, of_read, gops, of_peak, bench->load_seconds);
	else
		printf("%-10s %9d %10.2f %10.2f %7.1f%% %10.1f %7.1f%%\n", names[test], n_sequences, rate, gbytes,
			   of_read, gops, of_peak);
	fflush(stdout);
}

/* They do not depend on the machine's speed. */
static void
print_steps(const Bench *bench, int n_requests, uint64_t steps)
{
	if (bench->options->csv)
		printf("steps,,,,,,%d,%" PRIu64 "\n", n_requests, steps);
	else
		printf("%-10s %9d %10" PRIu64 "\n", "steps", n_requests, steps);
}

/* A step reads the weights once for all its tokens. */
static double
gbytes_of(const Bench *bench, int n_sequences, double rate)
{
	return rate / n_sequences * (double) bench->step_bytes * 1e-9;
}

static double
gops_of(const Bench *bench, double rate)
{
	return rate * 2.0 * (double) bench->step_weights * 1e-9;
}

/* Of the multiply-adds that most of the weights take. */
static double
peak_of(const Bench *bench, const MachineLimits *limits)
{
	const LlmTensorType type = bench->model.layers[0].gate.type;

	if (llm_type_takes_int8(type))
		return limits->int8_gops;
	return type == LLM_BF16 && limits->bf16_gflops > 0 ? limits->bf16_gflops :
		limits->float_gflops;
}

static void *
claim(uint64_t bytes, bool shared)
{
	void	   *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		fail("out of memory for the model", "");
#ifdef MADV_HUGEPAGE
	(void) madvise(memory, bytes, MADV_HUGEPAGE);
#endif
	return memory;
}

static void
fail(const char *message, const char *hint)
{
	fprintf(stderr, "llama2_bench: %s\n", message);
	if (hint[0] != '\0')
		fprintf(stderr, "hint: %s\n", hint);
	exit(1);
}
