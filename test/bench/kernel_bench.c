/*
 * kernel_bench.c
 *		Speed of the matrix products, beside what the processor can do.
 *
 * For each weight type and number of columns: billions of operations (two for
 * each weight and column) and of weight bytes in a second, and their share of the
 * peak measured in the same run: int8 or float32 multiply-adds for the
 * first, reading memory for the second.
 *
 *	 kernel_bench [--set NAME] [--type NAME] [--rows N] [--cols N] [--columns N] [--threads N]
 *				  [--seconds S]
 */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/kernels/kernels.h"
#include "machine_limits.h"

#define HUGE_PAGE ((size_t) 2 << 20)
#define PANEL_CHUNK 16			/* panels that a thread takes at once */
#define SLICES 9				/* measurements of which the median counts */
#define PEAK_ROUNDS 200000

typedef struct Options
{
	const char *set;
	const char *type;
	int32_t		rows;
	int32_t		cols;
	int32_t		columns;		/* 0: the usual series */
	int			threads;
	double		seconds;
} Options;

static Options parse_options(int argc, char **argv);
static Loop best_loop(bool takes_int8);
static void bench_type(const Options *options, const LlmKernels *kernels, const ReadMemory *memory,
					   const LlmTensorTypeInfo *info);
static void *allocate(size_t bytes);

int
main(int argc, char **argv)
{
	Options		options = parse_options(argc, argv);
	LlmError	error;
	const LlmKernels *kernels = llm_kernels_select(options.set, &error);
	const LlmTensorTypeInfo *types;
	ReadMemory	memory;
	int			count;

	if (kernels == NULL)
	{
		fprintf(stderr, "kernel_bench: %s\n", error.message);
		return 1;
	}
	omp_set_num_threads(options.threads);
	memory = map_read_memory(options.threads);
	printf("kernels %s, %d threads, %d x %d\n", kernels->name, options.threads,
		   options.rows, options.cols);
	printf("%-6s %8s %10s %8s %8s %10s\n", "type", "columns", "GOPS", "of peak", "GB/s", "of memory");

	types = llm_tensor_types(&count);
	for (int i = 0; i < count; i++)
	{
		if (options.type == NULL || strcmp(options.type, types[i].name) == 0)
			bench_type(&options, kernels, &memory, &types[i]);
	}
	unmap_read_memory(&memory);
	return 0;
}

static Options
parse_options(int argc, char **argv)
{
	Options		options = {.rows = 4096, .cols = 4096, .threads = 1, .seconds = 0.2};

	for (int i = 1; i + 1 < argc; i += 2)
	{
		if (strcmp(argv[i], "--set") == 0)
			options.set = argv[i + 1];
		else if (strcmp(argv[i], "--type") == 0)
			options.type = argv[i + 1];
		else if (strcmp(argv[i], "--rows") == 0)
			options.rows = atoi(argv[i + 1]);
		else if (strcmp(argv[i], "--cols") == 0)
			options.cols = atoi(argv[i + 1]);
		else if (strcmp(argv[i], "--columns") == 0)
			options.columns = atoi(argv[i + 1]);
		else if (strcmp(argv[i], "--threads") == 0)
			options.threads = atoi(argv[i + 1]);
		else if (strcmp(argv[i], "--seconds") == 0)
			options.seconds = atof(argv[i + 1]);
		else
		{
			fprintf(stderr, "kernel_bench: unknown option \"%s\"\n", argv[i]);
			exit(2);
		}
	}
	return options;
}

/* The peak of the best instructions here, whichever set is measured. */
static Loop
best_loop(bool takes_int8)
{
	const char *best = llm_kernels_select(NULL, NULL)->name;

	return takes_int8 ? int8_loop(best) : float_loop(best);
}

/* A panel of random codes and small scales. */
static void
fill_panel(LlmTensorType type, int32_t cols, uint8_t *panel)
{
	const uint64_t panel_bytes = llm_panel_bytes(type, cols);
	const LlmBlockLayout *layout = llm_block_layout(type);
	uint16_t   *halves = (uint16_t *) panel;
	float	   *floats = (float *) panel;

	for (uint64_t i = 0; i < panel_bytes; i++)
		panel[i] = (uint8_t) rand();
	switch (type)
	{
		case LLM_F32:
			for (uint64_t i = 0; i < panel_bytes / 4; i++)
				floats[i] = (float) rand() / (float) RAND_MAX - 0.5f;
			break;
		case LLM_F16:
		case LLM_BF16:
			for (uint64_t i = 0; i < panel_bytes / 2; i++)
				halves[i] = (uint16_t) ((halves[i] & 0x83ff) | (type == LLM_F16 ? 0x2000 : 0x3c00));
			break;
		default:
			for (int32_t b = 0; b < cols / layout->weights; b++)
				for (int i = 0; i < LLM_PANEL_ROWS * (layout->has_m ? 2 : 1); i++)
					halves[llm_halves_place(*layout, b) / 2 + i] = 0x1c00;
			break;
	}
}

/* Enough copies of a matrix that no cache holds them, so that each pass reads memory. */
static LlmMatrix *
make_matrices(const Options *options, const LlmTensorTypeInfo *info, int *count)
{
	const uint64_t panel_bytes = llm_panel_bytes(info->type, options->cols);
	const int32_t n_panels = (options->rows + LLM_PANEL_ROWS - 1) / LLM_PANEL_ROWS;
	const uint64_t bytes = panel_bytes * (uint64_t) n_panels;
	LlmMatrix  *matrices;
	uint8_t    *memory;

	*count = (int) (((uint64_t) 768 << 20) / bytes) + 1;
	matrices = allocate((size_t) *count * sizeof(LlmMatrix));
	memory = allocate((size_t) *count * bytes);
	fill_panel(info->type, options->cols, memory);
#pragma omp parallel for
	for (int64_t i = 1; i < (int64_t) *count * n_panels; i++)
		memcpy(memory + (uint64_t) i * panel_bytes, memory, panel_bytes);
	for (int i = 0; i < *count; i++)
		matrices[i] = (LlmMatrix) {
			.type = info->type, .rows = options->rows, .cols = options->cols,
			.n_panels = n_panels, .panel_bytes = panel_bytes,
			.panels = memory + (uint64_t) i * bytes
		};
	return matrices;
}

static LlmActivations
make_activations(int32_t n_cols, int32_t width, int32_t block)
{
	LlmActivations x = {.n_cols = n_cols, .width = width, .block = block};
	size_t		n = (size_t) n_cols * (size_t) width;

	x.x = allocate(n * sizeof(float));
	x.q = allocate(n);
	x.d = allocate(n / 32 * sizeof(float));
	x.sum16 = allocate(n / 16 * sizeof(int32_t));
	for (size_t i = 0; i < n; i++)
		x.x[i] = (float) rand() / (float) RAND_MAX - 0.5f;
	return x;
}

static void
product(const LlmKernels *kernels, const LlmMatrix *w, const LlmActivations *x, float *y)
{
#pragma omp parallel for schedule(dynamic)
	for (int32_t panel = 0; panel < w->n_panels; panel += PANEL_CHUNK)
		kernels->matmul[w->type] (w, panel,
								  panel + PANEL_CHUNK < w->n_panels ? panel + PANEL_CHUNK : w->n_panels,
								  x, y, (int64_t) w->n_panels * LLM_PANEL_ROWS);
}

/*
 * The machine may be shared and its speed change from one moment to the next: so
 * the peaks are measured around each slice of the products, and what is printed
 * is the median of the slices.
 */
static void
bench_columns(const Options *options, const LlmKernels *kernels, const ReadMemory *memory,
			  const LlmMatrix *matrices, int count, const char *name, int32_t n_cols)
{
	const double operations = 2.0 * matrices->rows * matrices->cols * n_cols;
	const double bytes = (double) matrices->panel_bytes * matrices->n_panels;
	const Loop	loop = best_loop(llm_type_takes_int8(matrices->type));
	LlmActivations x = make_activations(n_cols, matrices->cols, llm_type_activation_block(matrices->type));
	float	   *y = allocate((size_t) matrices->n_panels * LLM_PANEL_ROWS * (size_t) n_cols * sizeof(float));
	double		gops[SLICES];
	double		of_peak[SLICES];
	double		gbytes[SLICES];
	double		of_memory[SLICES];
	int			next = 0;

	kernels->quantize(&x, 0, n_cols);
	product(kernels, &matrices[next++ % count], &x, y);
	for (int slice = 0; slice < SLICES; slice++)
	{
		double		peak = peak_gops(loop, PEAK_ROUNDS, options->threads);
		double		memory_peak = read_gbytes(memory);
		double		start = seconds_now();
		double		each;
		int			products = 0;

		while (seconds_now() - start < options->seconds / SLICES)
		{
			product(kernels, &matrices[next++ % count], &x, y);
			products++;
		}
		each = (seconds_now() - start) / products;
		memory_peak = (memory_peak + read_gbytes(memory)) / 2;
		peak = (peak + peak_gops(loop, PEAK_ROUNDS, options->threads)) / 2;
		gops[slice] = operations / each * 1e-9;
		of_peak[slice] = 100 * gops[slice] / peak;
		gbytes[slice] = bytes / each * 1e-9;
		of_memory[slice] = 100 * gbytes[slice] / memory_peak;
	}
	printf("%-6s %8d %10.1f %7.1f%% %8.2f %9.1f%%\n", name, n_cols, median_of(gops, SLICES), median_of(of_peak, SLICES),
		   median_of(gbytes, SLICES), median_of(of_memory, SLICES));
	fflush(stdout);
	free(x.x);
	free(x.q);
	free(x.d);
	free(x.sum16);
	free(y);
}

static void
bench_type(const Options *options, const LlmKernels *kernels, const ReadMemory *memory,
		   const LlmTensorTypeInfo *info)
{
	static const int32_t series[] = {1, 2, 4, 8, 16, 32, 64, 128, 512};
	int			count;
	LlmMatrix  *matrices = make_matrices(options, info, &count);

	if (options->columns > 0)
		bench_columns(options, kernels, memory, matrices, count, info->name, options->columns);
	else
		for (size_t i = 0; i < sizeof(series) / sizeof(series[0]); i++)
			bench_columns(options, kernels, memory, matrices, count, info->name, series[i]);
	free((void *) matrices->panels);
	free(matrices);
}

/* Large pieces in huge pages, as the engine has them where the system allows it. */
static void *
allocate(size_t bytes)
{
	const size_t page = bytes < HUGE_PAGE ? 64 : HUGE_PAGE;
	void	   *memory = aligned_alloc(page, (bytes + page - 1) / page * page);

	if (memory == NULL)
	{
		fprintf(stderr, "kernel_bench: out of memory\n");
		exit(1);
	}
#ifdef MADV_HUGEPAGE
	if (page == HUGE_PAGE)
		(void) madvise(memory, bytes, MADV_HUGEPAGE);
#endif
	return memory;
}
