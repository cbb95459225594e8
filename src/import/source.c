/*
 * source.c
 *		What a path names, and weights by rows.
 */
#include "import/source.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "import/json_file.h"

static bool open_format(Source *source, const char *path, const char *tokenizer, LlmError *error);
static bool open_file(Source *source, const char *path, const char *tokenizer, LlmError *error);
static bool read_beginning(const char *path, char *out, size_t n, LlmError *error);
static bool has_suffix(const char *path, const char *suffix);
static float *reserve_scratch(Source *source, int64_t n, LlmError *error);
static bool read_parts(Source *source, const SourceTensor *tensor, int64_t first, int64_t n,
					   float *out,
					   LlmError *error);
static bool read_side_by_side(Source *source, const SourceTensor *tensor, int64_t first, int64_t n,
							  float *out, LlmError *error);
static bool all_finite(const float *values, int64_t n);

Source *
source_open(const char *path, const char *tokenizer, LlmError *error)
{
	Source	   *source = calloc(1, sizeof(Source));

	if (source == NULL)
	{
		llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory");
		return NULL;
	}
	vocabulary_init(&source->vocabulary);
	source->config.rope_base = 10000;
	source->config.rope_scale = 1;
	source->checkpoint = checkpoint_create(error);
	if (source->checkpoint == NULL || !open_format(source, path, tokenizer, error))
	{
		source_close(source);
		return NULL;
	}
	return source;
}

void
source_close(Source *source)
{
	if (source == NULL)
		return;
	checkpoint_free(source->checkpoint);
	vocabulary_free(&source->vocabulary);
	llm_model_close(source->model);
	free(source->tensors);
	free(source->scratch);
	free(source);
}

bool
source_read_tokenizer(Source *source, const char *path, LlmError *error)
{
	char		beginning[1];

	if (has_suffix(path, ".json"))
	{
		const char *slash = strrchr(path, '/');
		char	   *folder = slash != NULL ? strndup(path, (size_t) (slash - path) + 1) : strdup(".");
		bool		done = folder != NULL ?
			vocabulary_read_hf(&source->vocabulary, folder, slash != NULL ? slash + 1 : path, error) :
			llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory");

		free(folder);
		return done;
	}
	if (has_suffix(path, ".bin"))
		return vocabulary_read_llama2c(&source->vocabulary, path, source->config.vocabulary_size,
									   error);
	/* A SentencePiece model begins with the tag of its first piece. */
	if (!read_beginning(path, beginning, sizeof(beginning), error))
		return false;
	if (beginning[0] != '\n')
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "\"%s\" is not a SentencePiece model", path);
	return vocabulary_read_sentencepiece(&source->vocabulary, path, error);
}

bool
source_check_config(LlmModelConfig *config, LlmError *error)
{
	if (config->n_heads < 1 || config->n_kv_heads < 1)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"the model has %" PRId32 " heads and %" PRId32 " key/value heads", config->n_heads,
						config->n_kv_heads);
	config->head_dim = config->dim / config->n_heads;
	config->rope_dim = config->head_dim;
	return llm_config_check(config, error);
}

int64_t
source_row_step(const SourceTensor *tensor)
{
	return tensor->head_rows > 0 ? tensor->head_rows : 1;
}

/*
 * Hugging Face keeps the two halves of a head apart, so that feature i turns with
 * feature i + head_rows / 2; here and in Meta's files it turns with its neighbour.
 */
bool
source_read_rows(Source *source, const SourceTensor *tensor, int64_t first, int64_t n, float *out,
				 LlmError *error)
{
	int64_t		half = tensor->head_rows / 2;
	size_t		row_bytes = (size_t) tensor->cols * sizeof(float);
	float	   *rows = out;

	if (half > 0)
	{
		rows = reserve_scratch(source, n * tensor->cols, error);
		if (rows == NULL)
			return false;
	}
	if (!(tensor->by_columns ? read_side_by_side(source, tensor, first, n, rows, error) :
		  read_parts(source, tensor, first, n, rows, error)))
		return false;
	if (!all_finite(rows, n * tensor->cols))
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"tensor \"%s\" has a weight that is not finite",
						tensor->parts[0].name);
	for (int64_t row = 0; half > 0 && row < n; row++)
	{
		int64_t		in_head = row % tensor->head_rows;
		int64_t		to = row - in_head + in_head % half * 2 + in_head / half;

		memcpy(out + to * tensor->cols, rows + row * tensor->cols, row_bytes);
	}
	return true;
}

static bool
open_format(Source *source, const char *path, const char *tokenizer, LlmError *error)
{
	struct stat status;

	if (stat(path, &status) != 0)
		return llm_fail(error, LLM_ERROR_FILE_ACCESS, "could not open \"%s\": %s", path,
						strerror(errno));
	if (!S_ISDIR(status.st_mode))
		return open_file(source, path, tokenizer, error);
	if (folder_has(path, "config.json"))
		return source_open_hf(source, path, tokenizer, error);
	if (folder_has(path, "params.json"))
		return source_open_meta(source, path, tokenizer, error);
	llm_fail(error, LLM_ERROR_UNSUPPORTED, "folder \"%s\" holds no model", path);
	return llm_hint(error, "A folder from Meta has params.json, one from Hugging Face config.json.");
}

static bool
open_file(Source *source, const char *path, const char *tokenizer, LlmError *error)
{
	char		magic[4];

	if (!read_beginning(path, magic, sizeof(magic), error))
		return false;
	if (memcmp(magic, "GGUF", 4) == 0)
	{
		if (tokenizer != NULL)
			return llm_fail(error, LLM_ERROR_ARGUMENT, "a GGUF file has a vocabulary of its own");
		return source_open_gguf(source, path, error);
	}
	if (memcmp(magic, "24ka", 4) == 0 || source_is_llama2c(path))
		return source_open_llama2c(source, path, tokenizer, error);
	llm_fail(error, LLM_ERROR_UNSUPPORTED, "\"%s\" is neither a GGUF file nor a llama2.c model",
			 path);
	return has_suffix(path, ".pth") || has_suffix(path, ".safetensors") ||
		has_suffix(path, ".json") ?
		llm_hint(error, "Name the folder that the model's files are in.") : false;
}

static bool
read_beginning(const char *path, char *out, size_t n, LlmError *error)
{
	Checkpoint *reading = checkpoint_create(error);
	int32_t		file = reading != NULL ? checkpoint_add_file(reading, path, error) : -1;
	bool		done = file >= 0 && checkpoint_read_file(reading, file, 0, out, n, error);

	checkpoint_free(reading);
	return done;
}

static bool
has_suffix(const char *path, const char *suffix)
{
	size_t		length = strlen(path);

	return length >= strlen(suffix) && strcmp(path + length - strlen(suffix), suffix) == 0;
}

static float *
reserve_scratch(Source *source, int64_t n, LlmError *error)
{
	if (n > source->scratch_capacity)
	{
		free(source->scratch);
		source->scratch_capacity = n;
		source->scratch = malloc((size_t) n * sizeof(float));
		if (source->scratch == NULL)
		{
			source->scratch_capacity = 0;
			llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory for %" PRId64 " weights", n);
		}
	}
	return source->scratch;
}

/* Parts one below the other. */
static bool
read_parts(Source *source, const SourceTensor *tensor, int64_t first, int64_t n, float *out,
		   LlmError *error)
{
	int64_t		begin = 0;		/* the part's first row */

	for (int32_t i = 0; i < tensor->n_parts && n > 0; i++)
	{
		int64_t		rows = tensor->parts[i].n_dims == 2 ? tensor->parts[i].dims[0] : 1;
		int64_t		wanted = begin + rows - first;

		begin += rows;
		if (wanted <= 0)
			continue;
		if (wanted > n)
			wanted = n;
		if (!checkpoint_read_floats(source->checkpoint, &tensor->parts[i],
									(first - (begin - rows)) * tensor->cols, wanted * tensor->cols,
									out,
									error))
			return false;
		first += wanted;
		n -= wanted;
		out += wanted * tensor->cols;
	}
	return true;
}

static bool
read_side_by_side(Source *source, const SourceTensor *tensor, int64_t first, int64_t n, float *out,
				  LlmError *error)
{
	int64_t		begin = 0;		/* the part's first column */

	for (int32_t i = 0; i < tensor->n_parts; i++)
	{
		int64_t		cols = tensor->parts[i].dims[1];
		float	   *part = reserve_scratch(source, n * cols, error);

		if (part == NULL ||
			!checkpoint_read_floats(source->checkpoint, &tensor->parts[i], first * cols, n * cols,
									part, error))
			return false;
		for (int64_t row = 0; row < n; row++)
			memcpy(out + row * tensor->cols + begin, part + row * cols,
				   (size_t) cols * sizeof(float));
		begin += cols;
	}
	return true;
}

/* An exponent of ones is an infinity or no number. */
static bool
all_finite(const float *values, int64_t n)
{
	int			found = 0;

#pragma omp parallel for reduction(|:found) schedule(static)
	for (int64_t i = 0; i < n; i++)
		found |= !isfinite(values[i]);
	return !found;
}
