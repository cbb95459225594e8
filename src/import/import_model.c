/*
 * import_model.c
 *		From a source to a model file: convert, check, publish.
 *
 * Tensor by tensor, in slices of rows: memory is that of a slice, whatever the model's size.
 */
#include "import/import_model.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "import/output_file.h"
#include "import/progress.h"
#include "import/quantize.h"
#include "import/write_gguf.h"

/* Weights of a slice, unless a single step of rows has more. */
#define SLICE_WEIGHTS (INT64_C(8) << 20)

typedef struct Conversion
{
	Source	   *source;
	const GgufPlan *plan;
	OutputFile *output;
	Progress   *progress;
	float	   *weights;		/* a slice */
	uint8_t    *bytes;
	int64_t		capacity;		/* weights */
} Conversion;

static LlmTensorType *choose_types(const Source *source, const TargetType *target, LlmError *error);
static void tell_types(const Source *source, const LlmTensorType *types, const TargetType *target);
static bool write_file(Source *source, const GgufPlan *plan, OutputFile *output,
					   Progress *progress, LlmError *error);
static bool convert_tensor(Conversion *conversion, int32_t index, LlmError *error);
static bool copy_tensor(Conversion *conversion, int32_t index, LlmError *error);
static bool reserve(Conversion *conversion, int64_t n, LlmError *error);
static bool convert_rows(Conversion *conversion, int32_t index, int64_t first, int64_t n,
						 LlmError *error);
static float greatest_magnitude(const float *weights, int64_t n);
static uint64_t source_bytes(const SourceTensor *tensor, int64_t rows);

bool
import_model(const ImportOptions *options, ImportSummary *summary, LlmError *error)
{
	Source	   *source = source_open(options->source, options->tokenizer, error);
	const TargetType *target = options->type;
	LlmTensorType *types = NULL;
	GgufPlan	plan = {0};
	OutputFile	output = {.descriptor = -1};
	Progress	progress;
	bool		done = source != NULL;

	if (done && options->context_length > 0 && source->model != NULL)
		done = llm_fail(error, LLM_ERROR_ARGUMENT, "a GGUF file has a context length of its own");
	if (done && options->context_length > 0)
		source->config.context_length = options->context_length;
	if (done && target == NULL)
		target = target_type_plain(source->type);
	done = done &&
		source_check_config(&source->config, error) &&
		(types = choose_types(source, options->type, error)) != NULL &&
		gguf_plan(&plan, source, types, options->name, target->file_type, error) &&
		output_open(&output, options->folder, options->name, options->replace, error) &&
		output_reserve(&output, plan.file_bytes, error);
	if (done)
	{
		tell_types(source, types, target);
		progress_start(&progress, source->n_bytes, options->quiet);
		done = write_file(source, &plan, &output, &progress, error);
		progress_end();
	}
	done = done &&
		output_sync(&output, error) &&
		import_check(output.temporary, source, types, error) &&
		output_publish(&output, error);
	if (done)
	{
		summary->format = source->format;
		snprintf(summary->path, sizeof(summary->path), "%s", output.path);
		summary->n_weights = source->config.n_weights;
		summary->vocabulary_size = source->config.vocabulary_size;
		summary->n_bytes = plan.file_bytes;
		summary->seconds = progress_seconds(&progress);
	}
	output_close(&output);
	gguf_plan_free(&plan);
	free(types);
	source_close(source);
	return done;
}

/* Without a target the source's own types, but for what GGUF has no type for. */
static LlmTensorType *
choose_types(const Source *source, const TargetType *target, LlmError *error)
{
	LlmTensorType *types = calloc((size_t) source->n_tensors, sizeof(LlmTensorType));

	if (types == NULL)
	{
		llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory");
		return NULL;
	}
	for (int32_t i = 0; i < source->n_tensors; i++)
	{
		const SourceTensor *tensor = &source->tensors[i];
		const StoredTensor *part = &tensor->parts[0];

		if (target != NULL || part->group > 0)
			types[i] = target_tensor_type(target != NULL ? target : target_type_plain(LLM_Q8_0),
										  &source->config, tensor->role, tensor->layer,
										  tensor->cols);
		else
			types[i] = llm_role_is_norm(tensor->role) ? LLM_F32 : part->type;
	}
	return types;
}

static void
tell_types(const Source *source, const LlmTensorType *types, const TargetType *target)
{
	int32_t		n_larger = 0;

	for (int32_t i = 0; i < source->n_tensors; i++)
		if (!llm_role_is_norm(source->tensors[i].role) && target->mixture == TARGET_PLAIN &&
			source->model == NULL && types[i] != target->base)
			n_larger++;
	if (n_larger > 0)
		notice("%" PRId32 " tensors get a larger type than %s, whose blocks their rows are no multiple of",
			   n_larger, target->name);
	if (source->model != NULL && llm_tensor_type_info(source->type)->block_weights > 1 &&
		target->base != source->type)
		notice("the weights are rounded twice: the file has them in %s already",
			   llm_tensor_type_info(source->type)->name);
}

static bool
write_file(Source *source, const GgufPlan *plan, OutputFile *output, Progress *progress,
		   LlmError *error)
{
	Conversion	conversion = {.source = source, .plan = plan, .output = output,
	.progress = progress};
	bool		done = output_write(output, 0, plan->header, plan->header_bytes, error);

	for (int32_t i = 0; done && i < source->n_tensors; i++)
	{
		const StoredTensor *part = &source->tensors[i].parts[0];

		if (part->type == plan->tensors[i].type &&
			llm_tensor_type_info(part->type)->block_weights > 1)
			done = copy_tensor(&conversion, i, error);
		else
			done = convert_tensor(&conversion, i, error);
	}
	/* The last tensor's padding. */
	if (done && ftruncate(output->descriptor, (off_t) plan->file_bytes) != 0)
		done = llm_fail(error, LLM_ERROR_FILE_ACCESS, "could not write \"%s\"", output->temporary);
	free(conversion.weights);
	free(conversion.bytes);
	return done;
}

static bool
convert_tensor(Conversion *conversion, int32_t index, LlmError *error)
{
	const SourceTensor *tensor = &conversion->source->tensors[index];
	int64_t		step = source_row_step(tensor);
	int64_t		rows = SLICE_WEIGHTS / tensor->cols / step * step;

	if (rows < step)
		rows = step;
	for (int64_t first = 0; first < tensor->rows; first += rows)
	{
		int64_t		n = tensor->rows - first < rows ? tensor->rows - first : rows;

		if (!convert_rows(conversion, index, first, n, error))
			return false;
		progress_add(conversion->progress, tensor->name, source_bytes(tensor, n));
	}
	return true;
}

/* Blocks of the same type: as they are. */
static bool
copy_tensor(Conversion *conversion, int32_t index, LlmError *error)
{
	const SourceTensor *tensor = &conversion->source->tensors[index];
	const GgufTensorPlan *planned = &conversion->plan->tensors[index];
	uint64_t	step = SLICE_WEIGHTS;

	if (!reserve(conversion, SLICE_WEIGHTS, error))
		return false;
	for (uint64_t at = 0; at < planned->n_bytes; at += step)
	{
		uint64_t	n = planned->n_bytes - at < step ? planned->n_bytes - at : step;

		if (!checkpoint_read_bytes(conversion->source->checkpoint, &tensor->parts[0], at,
								   conversion->bytes, n,
								   error) ||
			!output_write(conversion->output, planned->offset + at, conversion->bytes, n, error))
			return false;
		progress_add(conversion->progress, tensor->name, n);
	}
	return true;
}

static bool
reserve(Conversion *conversion, int64_t n, LlmError *error)
{
	if (n <= conversion->capacity)
		return true;
	free(conversion->weights);
	free(conversion->bytes);
	conversion->weights = malloc((size_t) n * sizeof(float));
	/* No type takes more than a float does. */
	conversion->bytes = malloc((size_t) n * sizeof(float));
	conversion->capacity = n;
	if (conversion->weights != NULL && conversion->bytes != NULL)
		return true;
	conversion->capacity = 0;
	return llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory for %" PRId64 " weights", n);
}

static bool
convert_rows(Conversion *conversion, int32_t index, int64_t first, int64_t n, LlmError *error)
{
	const SourceTensor *tensor = &conversion->source->tensors[index];
	const GgufTensorPlan *planned = &conversion->plan->tensors[index];
	uint64_t	row_bytes = planned->n_bytes / (uint64_t) tensor->rows;
	float		greatest;

	if (!reserve(conversion, n * tensor->cols, error) ||
		!source_read_rows(conversion->source, tensor, first, n, conversion->weights, error))
		return false;
	greatest = greatest_magnitude(conversion->weights, n * tensor->cols);
	if (greatest > quantize_limit(planned->type))
		return llm_fail(error, LLM_ERROR_UNSUPPORTED,
						"tensor \"%s\" has a weight of %g, too large for %s",
						tensor->parts[0].name, (double) greatest,
						llm_tensor_type_info(planned->type)->name);
#pragma omp parallel for schedule(dynamic)
	for (int64_t row = 0; row < n; row++)
		quantize_row(planned->type, conversion->weights + row * tensor->cols, tensor->cols,
					 conversion->bytes + (uint64_t) row * row_bytes);
	return output_write(conversion->output, planned->offset + (uint64_t) first * row_bytes,
						conversion->bytes,
						(uint64_t) n * row_bytes, error);
}

static float
greatest_magnitude(const float *weights, int64_t n)
{
	float		greatest = 0;

#pragma omp parallel for reduction(max:greatest) schedule(static)
	for (int64_t i = 0; i < n; i++)
		if (fabsf(weights[i]) > greatest)
			greatest = fabsf(weights[i]);
	return greatest;
}

/* What so many of a tensor's rows take in the source. */
static uint64_t
source_bytes(const SourceTensor *tensor, int64_t rows)
{
	LlmTensorType type = tensor->parts[0].group > 0 ? LLM_Q8_0 : tensor->parts[0].type;
	const LlmTensorTypeInfo *info = llm_tensor_type_info(type);

	return (uint64_t) (rows * tensor->cols / info->block_weights) * (uint64_t) info->block_bytes;
}
