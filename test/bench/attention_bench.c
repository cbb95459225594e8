/*
 * attention_bench.c
 *		Speed of attention over long contexts, beside what the machine can do.
 *
 * Runs the forward pass's own attention phase, with the threads' division of the work, for all
 * layers of a model's shape.  What it reads is in no cache: sequences take turns until
 * enough memory has passed.  Memory bandwidth and float32 peak are measured around every
 * token; time is the least, the share of a limit the median.  "of limit" is the greater
 * share of the two, since the two can overlap.
 *
 *	 attention_bench [--set NAME] [--model NAME] [--type NAME] [--positions N] [--tokens N]
 *					 [--sequences N] [--threads N] [--samples N]
 *
 * --tokens: consecutive tokens of each sequence in a step.  --sequences: sequences in a
 * step, the last of N positions, the others shorter.
 */
#include <omp.h>
#include <stdio.h>

#include "engine/processors.h"
#include "engine/transformer_private.h"
#include "machine_limits.h"

#define COLD_BYTES ((uint64_t) 768 << 20)	/* more than any cache holds */
#define MAX_SEQUENCES 64
#define PEAK_ROUNDS 500000

typedef struct Options
{
	const char *set;
	const char *model;
	const char *type;
	int32_t		positions;		/* 0: the usual series */
	int32_t		tokens;
	int32_t		sequences;
	int			threads;		/* 0: one, and all */
	int			samples;
} Options;

typedef struct Shape
{
	const char *name;
	int32_t		n_layers;
	int32_t		n_heads;
	int32_t		n_kv_heads;
	int32_t		head_dim;
} Shape;

/* What is measured, and the memory for it. */
typedef struct Case
{
	const Options *options;
	const Shape *shape;
	int32_t		n_layers;		/* computed; the time is scaled to the shape's */
	int32_t		positions;
	LlmModel	model;
	LlmKvCache *cache;
	LlmTransformer *transformer;
	LlmPageTable *tables;		/* [n_groups * sequences] */
	int32_t		n_groups;		/* of sequences that are in one step */
	LlmSlice	slices[MAX_SEQUENCES];
	LlmStep		step;
} Case;

static const Shape shapes[] = {
	{"1.1B", 22, 32, 4, 64},
	{"7B", 32, 32, 32, 128}
};

static Options parse_options(int argc, char **argv);
static void bench_threads(const Options *options, const LlmKernels *kernels, int threads);
static void bench_case(const Options *options, const LlmKernels *kernels, const Shape *shape, LlmKvType type,
					   int32_t positions, int threads, const ReadMemory *memory);
static void open_case(Case *c, const LlmKernels *kernels, LlmKvType type, int threads);
static void close_case(Case *c);
static void fill_pages(Case *c, const LlmKernels *kernels, LlmKvType type);
static void fill_rows(LlmRows rows, int32_t n_rows, bool rope);
static int32_t length_of(const Case *c, int32_t sequence);
static double run_step(Case *c, int group, int threads);
static double work_of(const Case *c, LlmKvType type, double *bytes);
static void *check(void *memory);

int
main(int argc, char **argv)
{
	Options		options = parse_options(argc, argv);
	LlmError	error;
	const LlmKernels *kernels = llm_kernels_select(options.set, &error);

	if (kernels == NULL)
	{
		fprintf(stderr, "attention_bench: %s\n", error.message);
		return 1;
	}
	printf("kernels %s, %d sequences of %d tokens in a step\n", kernels->name, options.sequences,
		   options.tokens);
	printf("%-5s %-5s %9s %7s %10s %8s %10s %8s %8s %9s\n", "model", "KV", "positions", "threads",
		   "us", "GB/s", "of memory", "GFLOPS", "of peak", "of limit");
	if (options.threads > 0)
		bench_threads(&options, kernels, options.threads);
	else
	{
		bench_threads(&options, kernels, 1);
		if (llm_processor_count() > 1)
			bench_threads(&options, kernels, llm_processor_count());
	}
	return 0;
}

static Options
parse_options(int argc, char **argv)
{
	Options		options = {.tokens = 1, .sequences = 1, .samples = 15};

	for (int i = 1; i < argc; i += 2)
	{
		if (i + 1 == argc)
			;
		else if (strcmp(argv[i], "--set") == 0)
		{
			options.set = argv[i + 1];
			continue;
		}
		else if (strcmp(argv[i], "--model") == 0)
		{
			options.model = argv[i + 1];
			continue;
		}
		else if (strcmp(argv[i], "--type") == 0)
		{
			options.type = argv[i + 1];
			continue;
		}
		else if (atoi(argv[i + 1]) > 0)
		{
			int			number = atoi(argv[i + 1]);
			int		   *place = strcmp(argv[i], "--positions") == 0 ? &options.positions :
				strcmp(argv[i], "--tokens") == 0 ? &options.tokens :
				strcmp(argv[i], "--sequences") == 0 && number <= MAX_SEQUENCES ? &options.sequences :
				strcmp(argv[i], "--threads") == 0 ? &options.threads :
				strcmp(argv[i], "--samples") == 0 ? &options.samples : NULL;

			if (place != NULL)
			{
				*place = number;
				continue;
			}
		}
		fprintf(stderr, "attention_bench: bad option \"%s\"\n", argv[i]);
		exit(2);
	}
	return options;
}

static void
bench_threads(const Options *options, const LlmKernels *kernels, int threads)
{
	static const int32_t series[] = {512, 2048, 4096};
	ReadMemory	memory = map_read_memory(threads);

	for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++)
	{
		if (options->model != NULL && strcmp(options->model, shapes[s].name) != 0)
			continue;
		for (LlmKvType type = 0; type < LLM_KV_TYPE_LIMIT; type++)
		{
			if (options->type != NULL && strcmp(options->type, llm_kv_type_name(type)) != 0)
				continue;
			if (options->positions > 0)
				bench_case(options, kernels, &shapes[s], type, options->positions, threads, &memory);
			else
				for (size_t i = 0; i < sizeof(series) / sizeof(series[0]); i++)
					bench_case(options, kernels, &shapes[s], type, series[i], threads, &memory);
		}
	}
	unmap_read_memory(&memory);
}

static void
bench_case(const Options *options, const LlmKernels *kernels, const Shape *shape, LlmKvType type,
		   int32_t positions, int threads, const ReadMemory *memory)
{
	const Loop	loop = float_loop(kernels->name);
	const int	n = options->samples;
	Case		c = {.options = options, .shape = shape, .positions = positions};
	double	   *of_memory = check(calloc((size_t) n, sizeof(double)));
	double	   *of_peak = check(calloc((size_t) n, sizeof(double)));
	double	   *of_limit = check(calloc((size_t) n, sizeof(double)));
	double		best = INFINITY;
	double		bytes;
	double		operations;

	open_case(&c, kernels, type, threads);
	operations = work_of(&c, type, &bytes);
	run_step(&c, 0, threads);
	for (int i = 0; i < n; i++)
	{
		double		read = read_gbytes(memory);
		double		peak = peak_gops(loop, PEAK_ROUNDS, threads);
		double		seconds = run_step(&c, 1 + i, threads);

		read = (read + read_gbytes(memory)) / 2;
		peak = (peak + peak_gops(loop, PEAK_ROUNDS, threads)) / 2;
		best = fmin(best, seconds);
		of_memory[i] = 100 * bytes / seconds * 1e-9 / read;
		of_peak[i] = peak > 0 ? 100 * operations / seconds * 1e-9 / peak : 0;
		of_limit[i] = fmax(of_memory[i], of_peak[i]);
	}
	printf("%-5s %-5s %9d %7d %10.0f %8.1f %9.1f%% %8.1f %7.1f%% %8.1f%%\n", shape->name,
		   llm_kv_type_name(type), positions, threads, best * 1e6 * shape->n_layers / c.n_layers,
		   bytes / best * 1e-9, median_of(of_memory, n), operations / best * 1e-9, median_of(of_peak, n),
		   median_of(of_limit, n));
	fflush(stdout);
	close_case(&c);
	free(of_memory);
	free(of_peak);
	free(of_limit);
}

static void
open_case(Case *c, const LlmKernels *kernels, LlmKvType type, int threads)
{
	const Options *options = c->options;
	const int32_t n = options->sequences;
	const int32_t capacity = (c->positions + LLM_KV_PAGE - 1) / LLM_KV_PAGE;
	LlmModelConfig *config = &c->model.config;
	LlmTransformerOptions sizes = {
		.n_threads = threads, .max_tokens = n * options->tokens, .max_logits = 1, .max_slices = n,
		.max_positions = c->positions
	};
	LlmError	error;
	uint64_t	bytes;

	config->n_layers = c->shape->n_layers;
	config->n_heads = c->shape->n_heads;
	config->n_kv_heads = c->shape->n_kv_heads;
	config->head_dim = config->rope_dim = c->shape->head_dim;
	config->dim = config->ffn_dim = config->vocabulary_size = LLM_GROUP;
	config->rope_base = 10000;
	config->rope_scale = 1;
	bytes = llm_kv_page_bytes(config, type) * (uint64_t) capacity * (uint64_t) n;
	while (config->n_layers > 1 && bytes > COLD_BYTES)
	{
		config->n_layers = (config->n_layers + 1) / 2;
		bytes = llm_kv_page_bytes(config, type) * (uint64_t) capacity * (uint64_t) n;
	}
	c->n_layers = config->n_layers;
	c->n_groups = (int32_t) (COLD_BYTES / bytes) + 1;
	c->model.layers = check(calloc((size_t) c->n_layers, sizeof(LlmLayer)));

	c->cache = check(llm_kv_cache_create(config, type, capacity * n * c->n_groups, &error));
	c->transformer = check(llm_transformer_create(&c->model, kernels, c->cache, &sizes, &error));
	c->tables = check(calloc((size_t) n * (size_t) c->n_groups, sizeof(LlmPageTable)));
	for (int32_t page = 0; page < capacity; page++)
		for (int32_t i = 0; i < n * c->n_groups; i++)
		{
			LlmPageTable *table = &c->tables[i];

			if (page == 0)
				table->pages = check(calloc((size_t) capacity, sizeof(int32_t)));
			table->capacity = table->n_pages = capacity;
			table->pages[page] = llm_kv_cache_take(c->cache);
		}
	fill_pages(c, kernels, type);
	fill_rows(c->transformer->buffers.q, sizes.max_tokens, false);
	fill_rows(c->transformer->buffers.k, sizes.max_tokens, false);
	fill_rows(c->transformer->buffers.v, sizes.max_tokens, false);
	fill_rows(c->transformer->buffers.rope, sizes.max_tokens, true);
}

static void
close_case(Case *c)
{
	for (int32_t i = 0; i < c->options->sequences * c->n_groups; i++)
		free(c->tables[i].pages);
	free(c->tables);
	free(c->model.layers);
	llm_transformer_free(c->transformer);
	llm_kv_cache_free(c->cache);
}

/* One page with random numbers in every slot, and copies of it. */
static void
fill_pages(Case *c, const LlmKernels *kernels, LlmKvType type)
{
	const Shape *shape = c->shape;
	const uint64_t half = llm_kv_half_page_bytes(type, shape->head_dim);
	uint64_t	page_bytes = llm_kv_page_bytes(&c->model.config, type);
	uint8_t    *first = llm_kv_keys(c->cache, 0, 0, 0);
	float	   *row = check(calloc((size_t) shape->head_dim, sizeof(float)));

	for (int32_t slot = 0; slot < LLM_KV_PAGE; slot++)
	{
		for (int32_t i = 0; i < shape->head_dim; i++)
			row[i] = (float) rand() / (float) RAND_MAX - 0.5f;
		kernels->store_kv(type, row, row, shape->head_dim, slot, first, first + half);
	}
	for (uint64_t at = 2 * half; at < page_bytes; at += 2 * half)
		memcpy(first + at, first, 2 * half);
#pragma omp parallel for num_threads(llm_processor_count())
	for (int32_t page = 1; page < llm_kv_cache_n_pages(c->cache); page++)
		memcpy(llm_kv_keys(c->cache, page, 0, 0), first, page_bytes);
	free(row);
}

/* Random numbers; or the rotation that changes nothing. */
static void
fill_rows(LlmRows rows, int32_t n_rows, bool rope)
{
	for (int64_t i = 0; i < n_rows * rows.stride; i++)
		rows.values[i] = rope ? (float) (i % 2 == 0) : (float) rand() / (float) RAND_MAX - 0.5f;
}

/* A step's sequences end at different positions, the last at the greatest. */
static int32_t
length_of(const Case *c, int32_t sequence)
{
	int64_t		length = (int64_t) c->positions * (sequence + 1) / c->options->sequences;

	return length < c->options->tokens ? c->options->tokens : (int32_t) length;
}

/* Seconds of all layers' attention for the next tokens of a group of sequences. */
static double
run_step(Case *c, int group, int threads)
{
	static const int32_t tokens[1 << 16];
	LlmTransformer *t = c->transformer;
	const int32_t n = c->options->sequences;
	double		started;
	for (int32_t i = 0; i < n; i++)
		c->slices[i] = (LlmSlice) {
		.tokens = tokens, .n_tokens = c->options->tokens,
		.first_position = length_of(c, i) - c->options->tokens, .n_logits = c->options->tokens,
		.pages = &c->tables[(group % c->n_groups) * n + i]
	};
	c->step = (LlmStep) {
		.slices = c->slices, .n_slices = n
	};
	llm_transformer_load_rows(t, &c->step);
	started = seconds_now();
#pragma omp parallel num_threads(threads)
	{
		LlmThread	worker = {t, &t->buffers.threads[omp_get_thread_num()], omp_get_thread_num(), threads};

		for (int32_t layer = 0; layer < c->n_layers; layer++)
		{
			llm_team_barrier(&t->team, worker.thread, threads);
			llm_transformer_attention(&worker, layer);
		}
	}
	return seconds_now() - started;
}

/* Float operations of a step, two for a multiply-add, and bytes of pages that it must read. */
static double
work_of(const Case *c, LlmKvType type, double *bytes)
{
	const Shape *shape = c->shape;
	double		operations = 0;

	*bytes = 0;
	for (int32_t i = 0; i < c->options->sequences; i++)
	{
		int32_t		length = length_of(c, i);
		double		mean = length - (c->options->tokens - 1) / 2.0;

		operations += 4.0 * shape->head_dim * shape->n_heads * c->n_layers * mean * c->options->tokens;
		*bytes += 2.0 * (double) llm_kv_half_page_bytes(type, shape->head_dim) / LLM_KV_PAGE *
			shape->n_kv_heads * c->n_layers * length;
	}
	return operations;
}

static void *
check(void *memory)
{
	if (memory == NULL)
	{
		fprintf(stderr, "attention_bench: out of memory\n");
		exit(1);
	}
	return memory;
}
