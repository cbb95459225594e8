/*
 * model_image.c
 *		The image of a model: one relocatable block of packed weights.
 *
 * The image begins with a header and a directory that has an entry for each
 * slot (model_file.h); the entries' data follow, each 64-byte aligned: norms as
 * floats, matrices as panels.  The magic is written last, so that an image
 * whose load was broken off cannot be attached to.
 *
 * A load goes through the file in the order of its bytes, in pieces of whole
 * panels that threads take, read and pack on their own.
 */
#include "engine/model_file.h"

#include <fcntl.h>
#include <inttypes.h>
#include <omp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define IMAGE_MAGIC			"LLMIMAGE"
#define IMAGE_VERSION		1
#define IMAGE_ALIGNMENT		64

/* A piece stays in a processor's second-level cache between reading and packing. */
#define PIECE_BYTES			(512 * 1024)

/* How far ahead of the threads the system is asked to read. */
#define READ_AHEAD_BYTES	(UINT64_C(16) << 20)

#define MAX_LOAD_THREADS	256

typedef struct ImageEntry
{
	int32_t		type;			/* LlmTensorType of a matrix; F32 for a norm */
	int32_t		rows;
	int32_t		cols;
	int32_t		unused;
	uint64_t	offset;			/* from the start of the image */
	uint64_t	n_bytes;		/* 0: a tied output */
} ImageEntry;

typedef struct ImageHeader
{
	char		magic[8];
	uint32_t	version;
	uint32_t	header_bytes;	/* with the directory */
	uint64_t	size;
	LlmModelConfig config;
	ImageEntry	entries[];		/* [llm_n_slots(&config)] */
} ImageHeader;

/* Consecutive rows of one tensor, a whole number of panels but at the tensor's end. */
typedef struct Piece
{
	int32_t		slot;
	int32_t		first_row;
	int32_t		n_rows;
	uint64_t	file_offset;
	uint64_t	n_bytes;
} Piece;

/* A load, shared by its threads; those after n_order change under the lock. */
typedef struct Load
{
	const LlmModelFile *file;
	uint8_t    *image;
	const ImageEntry *entries;
	const LlmGgufTensor ***order;	/* [n_order] into file->tensors, as they lie in the file */
	int32_t		n_order;
	uint64_t	buffer_bytes;	/* of the largest piece */

	pthread_mutex_t lock;
	int32_t		next;			/* of order */
	int32_t		next_row;
	uint64_t	bytes_done;
	bool		stopped;
	LlmError	error;			/* why, where stopped */
} Load;

static uint64_t header_size(const LlmModelConfig *config);
static void write_directory(const LlmModelFile *file, ImageHeader *header);
static uint64_t entry_size(LlmRole role, LlmTensorType type, int32_t rows, int32_t cols);
static uint64_t row_size(const LlmGgufTensor *tensor);
static int32_t piece_rows(const LlmGgufTensor *tensor);
static bool prepare_load(Load *load, LlmError *error);
static int	compare_offsets(const void *a, const void *b);
static bool run_load(Load *load, int n_threads, LlmLoadProgress progress, void *arg,
					 LlmError *error);
static void load_pieces(Load *load, uint8_t *buffer, LlmLoadProgress progress, void *arg);
static bool take_piece(Load *load, Piece *piece);
static bool load_piece(const Load *load, const Piece *piece, uint8_t *buffer, LlmError *error);
static void stop_load(Load *load, const LlmError *error);

static bool check_image(const ImageHeader *header, uint64_t size, LlmError *error);
static bool check_entry(const ImageHeader *header, int32_t slot, LlmError *error);
static void fill_slot(LlmModel *model, int32_t slot, const uint8_t *image, const ImageEntry *entry);

bool
llm_model_plan_image(LlmModelFile *file, LlmError *error)
{
	uint64_t	size = header_size(&file->config);

	for (int32_t slot = 0; slot < file->n_slots; slot++)
	{
		const LlmGgufTensor *tensor = file->tensors[slot];
		int32_t		rows;
		int32_t		cols;

		llm_role_shape(&file->config, llm_slot_role(slot), &rows, &cols);
		if (tensor != NULL &&
			!llm_add_sizes(size, entry_size(llm_slot_role(slot), tensor->type, rows, cols), &size))
			return llm_fail(error, LLM_ERROR_LIMIT, "the model is too large");
	}
	file->image_size = size;
	return true;
}

uint64_t
llm_model_image_size(const LlmModelFile *file)
{
	return file->image_size;
}

bool
llm_model_load_image(LlmModelFile *file, void *memory, uint64_t size, int n_threads,
					 LlmLoadProgress progress, void *arg, LlmError *error)
{
	ImageHeader *header = memory;
	Load		load = {.file = file, .image = memory, .lock = PTHREAD_MUTEX_INITIALIZER};
	bool		done;

	if (size < file->image_size)
		return llm_fail(error, LLM_ERROR_ARGUMENT,
						"%" PRIu64 " bytes are too few for an image of %" PRIu64,
						size, file->image_size);
	if ((uintptr_t) memory % IMAGE_ALIGNMENT != 0)
		return llm_fail(error, LLM_ERROR_ARGUMENT, "image is not aligned to %d bytes",
						IMAGE_ALIGNMENT);
	if (n_threads < 1)
		return llm_fail(error, LLM_ERROR_ARGUMENT, "cannot load with %d threads", n_threads);

	write_directory(file, header);
	load.entries = header->entries;
	done = prepare_load(&load, error) &&
		run_load(&load, n_threads, progress, arg, error) &&
		llm_gguf_check_unchanged(file->gguf, error);
	free(load.order);
	posix_fadvise(llm_gguf_descriptor(file->gguf), 0, 0, POSIX_FADV_DONTNEED);
	if (done)
		memcpy(header->magic, IMAGE_MAGIC, sizeof(header->magic));
	return done;
}

bool
llm_model_attach(const void *image, uint64_t size, LlmModel *model, LlmError *error)
{
	const ImageHeader *header = image;
	int32_t		n_slots;

	memset(model, 0, sizeof(*model));
	if (!check_image(header, size, error))
		return false;
	n_slots = llm_n_slots(&header->config);
	for (int32_t slot = 0; slot < n_slots; slot++)
		if (!check_entry(header, slot, error))
			return false;

	model->config = header->config;
	model->layers = calloc((size_t) header->config.n_layers, sizeof(LlmLayer));
	if (model->layers == NULL)
		return llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory for %" PRId32 " layers",
						header->config.n_layers);
	for (int32_t slot = 0; slot < n_slots; slot++)
		fill_slot(model, slot, image, &header->entries[slot]);
	if (header->config.tied_output)
		model->output = model->embedding;
	return true;
}

void
llm_model_detach(LlmModel *model)
{
	free(model->layers);
	memset(model, 0, sizeof(*model));
}

static uint64_t
header_size(const LlmModelConfig *config)
{
	uint64_t	size = sizeof(ImageHeader) + (uint64_t) llm_n_slots(config) * sizeof(ImageEntry);

	return (size + IMAGE_ALIGNMENT - 1) / IMAGE_ALIGNMENT * IMAGE_ALIGNMENT;
}

/* Everything of the header but the magic. */
static void
write_directory(const LlmModelFile *file, ImageHeader *header)
{
	uint64_t	offset = header_size(&file->config);

	memset(header, 0, offset);
	header->version = IMAGE_VERSION;
	header->header_bytes = (uint32_t) offset;
	header->size = file->image_size;
	header->config = file->config;
	for (int32_t slot = 0; slot < file->n_slots; slot++)
	{
		const LlmGgufTensor *tensor = file->tensors[slot];
		LlmRole		role = llm_slot_role(slot);
		ImageEntry *entry = &header->entries[slot];

		llm_role_shape(&file->config, role, &entry->rows, &entry->cols);
		entry->offset = offset;
		if (tensor == NULL)
			continue;
		entry->type = llm_role_is_norm(role) ? LLM_F32 : tensor->type;
		entry->n_bytes = entry_size(role, entry->type, entry->rows, entry->cols);
		offset += entry->n_bytes;
	}
}

/* Bytes in the image. */
static uint64_t
entry_size(LlmRole role, LlmTensorType type, int32_t rows, int32_t cols)
{
	uint64_t	n_panels = ((uint64_t) rows + LLM_PANEL_ROWS - 1) / LLM_PANEL_ROWS;

	if (llm_role_is_norm(role))
		return ((uint64_t) cols * sizeof(float) +
				IMAGE_ALIGNMENT - 1) / IMAGE_ALIGNMENT * IMAGE_ALIGNMENT;
	return n_panels * llm_panel_planes(type, cols).panel_bytes;
}

/* Bytes of a row in the file. */
static uint64_t
row_size(const LlmGgufTensor *tensor)
{
	return tensor->n_bytes / (uint64_t) tensor->dims[1];
}

static int32_t
piece_rows(const LlmGgufTensor *tensor)
{
	uint64_t	panel_bytes = row_size(tensor) * LLM_PANEL_ROWS;
	uint64_t	n_panels = PIECE_BYTES / panel_bytes;
	uint64_t	rows = (n_panels > 0 ? n_panels : 1) * LLM_PANEL_ROWS;

	return rows < (uint64_t) tensor->dims[1] ? (int32_t) rows : (int32_t) tensor->dims[1];
}

/* Put the tensors in the file's order and find the largest piece. */
static bool
prepare_load(Load *load, LlmError *error)
{
	const LlmModelFile *file = load->file;

	load->order = calloc((size_t) file->n_slots, sizeof(*load->order));
	if (load->order == NULL)
		return llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory for %" PRId32 " tensors",
						file->n_slots);
	for (int32_t slot = 0; slot < file->n_slots; slot++)
	{
		const LlmGgufTensor *tensor = file->tensors[slot];
		uint64_t	n_bytes;

		if (tensor == NULL)
			continue;
		load->order[load->n_order++] = &file->tensors[slot];
		n_bytes = row_size(tensor) * (uint64_t) piece_rows(tensor);
		if (n_bytes > load->buffer_bytes)
			load->buffer_bytes = n_bytes;
	}
	qsort(load->order, (size_t) load->n_order, sizeof(*load->order), compare_offsets);
	return true;
}

static int
compare_offsets(const void *a, const void *b)
{
	uint64_t	x = (**(const LlmGgufTensor *const *const *) a)->file_offset;
	uint64_t	y = (**(const LlmGgufTensor *const *const *) b)->file_offset;

	return (x > y) - (x < y);
}

/*
 * Threads that OpenMP starts here live on in its pool: they must leave the
 * process's signals to the caller's thread, which blocks them only meanwhile.
 */
static bool
run_load(Load *load, int n_threads, LlmLoadProgress progress, void *arg, LlmError *error)
{
	sigset_t	all;
	sigset_t	before;

	if (n_threads > MAX_LOAD_THREADS)
		n_threads = MAX_LOAD_THREADS;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
#pragma omp parallel num_threads(n_threads)
	{
		bool		is_caller = omp_get_thread_num() == 0;
		uint8_t    *buffer;

		if (is_caller)
			pthread_sigmask(SIG_SETMASK, &before, NULL);
		buffer = malloc(load->buffer_bytes);
		load_pieces(load, buffer, is_caller ? progress : NULL, arg);
		free(buffer);
	}
	if (load->stopped)
	{
		if (error != NULL)
			*error = load->error;
		return false;
	}
	if (progress != NULL && !progress(arg, load->bytes_done, load->file->weight_bytes))
		return llm_fail(error, LLM_ERROR_CANCELLED, "loading was cancelled");
	return true;
}

/* One thread's part: take pieces until none is left. */
static void
load_pieces(Load *load, uint8_t *buffer, LlmLoadProgress progress, void *arg)
{
	LlmError	error;
	Piece		piece;
	uint64_t	bytes_done;

	if (buffer == NULL)
	{
		llm_fail(&error, LLM_ERROR_OUT_OF_MEMORY, "out of memory for a buffer of %" PRIu64 " bytes",
				 load->buffer_bytes);
		stop_load(load, &error);
	}
	while (take_piece(load, &piece))
	{
		if (!load_piece(load, &piece, buffer, &error))
		{
			stop_load(load, &error);
			return;
		}
		pthread_mutex_lock(&load->lock);
		load->bytes_done += piece.n_bytes;
		bytes_done = load->bytes_done;
		pthread_mutex_unlock(&load->lock);
		if (progress != NULL && !progress(arg, bytes_done, load->file->weight_bytes))
		{
			llm_fail(&error, LLM_ERROR_CANCELLED, "loading was cancelled");
			stop_load(load, &error);
		}
	}
}

/* False when the load is complete, or stopped. */
static bool
take_piece(Load *load, Piece *piece)
{
	const LlmGgufTensor *tensor;

	pthread_mutex_lock(&load->lock);
	if (load->stopped || load->next == load->n_order)
	{
		pthread_mutex_unlock(&load->lock);
		return false;
	}
	tensor = *load->order[load->next];
	piece->slot = (int32_t) (load->order[load->next] - load->file->tensors);
	piece->first_row = load->next_row;
	piece->n_rows = piece_rows(tensor);
	if (piece->n_rows > tensor->dims[1] - piece->first_row)
		piece->n_rows = (int32_t) (tensor->dims[1] - piece->first_row);
	piece->file_offset = tensor->file_offset + row_size(tensor) * (uint64_t) piece->first_row;
	piece->n_bytes = row_size(tensor) * (uint64_t) piece->n_rows;

	load->next_row += piece->n_rows;
	if (load->next_row == tensor->dims[1])
	{
		load->next++;
		load->next_row = 0;
	}
	pthread_mutex_unlock(&load->lock);
	return true;
}

static bool
load_piece(const Load *load, const Piece *piece, uint8_t *buffer, LlmError *error)
{
	const LlmGgufTensor *tensor = load->file->tensors[piece->slot];
	const ImageEntry *entry = &load->entries[piece->slot];
	int			descriptor = llm_gguf_descriptor(load->file->gguf);
	uint8_t    *out = load->image + entry->offset;
	uint64_t	panel_bytes;

	/* Advice only: no harm is done where it leads beyond the end of the file. */
	posix_fadvise(descriptor, (off_t) (piece->file_offset + READ_AHEAD_BYTES),
				  (off_t) piece->n_bytes, POSIX_FADV_WILLNEED);
	if (!llm_gguf_read(load->file->gguf, piece->file_offset, buffer, piece->n_bytes, error))
		return false;
	posix_fadvise(descriptor, (off_t) piece->file_offset, (off_t) piece->n_bytes,
				  POSIX_FADV_DONTNEED);

	if (llm_role_is_norm(llm_slot_role(piece->slot)))
	{
		llm_dequantize_row(tensor->type, buffer, entry->cols, (float *) out);
		return true;
	}
	panel_bytes = llm_panel_planes(tensor->type, entry->cols).panel_bytes;
	out += (uint64_t) piece->first_row / LLM_PANEL_ROWS * panel_bytes;
	for (int32_t row = 0; row < piece->n_rows; row += LLM_PANEL_ROWS, out += panel_bytes)
	{
		int32_t		left = piece->n_rows - row;
		int32_t		n_rows = left < LLM_PANEL_ROWS ? left : LLM_PANEL_ROWS;

		llm_panel_pack(tensor->type, entry->cols, n_rows, buffer +
					   row_size(tensor) * (uint64_t) row, out);
	}
	return true;
}

/* The first error is the one that is told. */
static void
stop_load(Load *load, const LlmError *error)
{
	pthread_mutex_lock(&load->lock);
	if (!load->stopped)
		load->error = *error;
	load->stopped = true;
	pthread_mutex_unlock(&load->lock);
}

/* The header alone; after this the directory may be read. */
static bool
check_image(const ImageHeader *header, uint64_t size, LlmError *error)
{
	if (size < sizeof(ImageHeader) || (uintptr_t) header % IMAGE_ALIGNMENT != 0 ||
		memcmp(header->magic, IMAGE_MAGIC, sizeof(header->magic)) != 0)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "memory holds no loaded model");
	if (header->version != IMAGE_VERSION)
		return llm_fail(error, LLM_ERROR_UNSUPPORTED,
						"model image has the version %" PRIu32 ", not %d",
						header->version, IMAGE_VERSION);
	if (header->size > size)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"model image of %" PRIu64 " bytes lies in %" PRIu64, header->size, size);
	if (!llm_config_check(&header->config, error))
		return false;
	/* Read as a bool, any other byte would be undefined behaviour. */
	if (*(const uint8_t *) &header->config.tied_output > 1)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "model image has a bad configuration");
	if (header->header_bytes != header_size(&header->config) || header->header_bytes > header->size)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"model image has a header of %" PRIu32 " bytes", header->header_bytes);
	return true;
}

static bool
check_entry(const ImageHeader *header, int32_t slot, LlmError *error)
{
	const ImageEntry *entry = &header->entries[slot];
	LlmRole		role = llm_slot_role(slot);
	const LlmTensorTypeInfo *info = llm_tensor_type_info((uint32_t) entry->type);
	int32_t		rows;
	int32_t		cols;

	if (role == LLM_ROLE_OUTPUT && header->config.tied_output)
		return true;
	llm_role_shape(&header->config, role, &rows, &cols);
	if (info == NULL || entry->rows != rows || entry->cols != cols ||
		cols % info->block_weights != 0 ||
		(llm_role_is_norm(role) && info->type != LLM_F32) ||
		entry->offset % IMAGE_ALIGNMENT != 0 || entry->offset < header->header_bytes ||
		entry->offset > header->size || entry->n_bytes > header->size - entry->offset ||
		entry->n_bytes != entry_size(role, info->type, rows, cols))
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "model image has a bad entry %" PRId32,
						slot);
	return true;
}

static void
fill_slot(LlmModel *model, int32_t slot, const uint8_t *image, const ImageEntry *entry)
{
	const uint8_t *data = image + entry->offset;
	LlmRole		role = llm_slot_role(slot);
	LlmLayer   *layer = slot < LLM_GLOBAL_SLOTS ? NULL :
		&model->layers[(slot - LLM_GLOBAL_SLOTS) / LLM_LAYER_SLOTS];
	LlmMatrix	matrix;

	if (entry->n_bytes == 0)
		return;
	matrix.type = (LlmTensorType) entry->type;
	matrix.rows = entry->rows;
	matrix.cols = entry->cols;
	matrix.n_panels = (entry->rows + LLM_PANEL_ROWS - 1) / LLM_PANEL_ROWS;
	matrix.panel_bytes = llm_panel_planes(matrix.type, matrix.cols).panel_bytes;
	matrix.panels = data;
	switch (role)
	{
		case LLM_ROLE_EMBEDDING:
			model->embedding = matrix;
			break;
		case LLM_ROLE_OUTPUT_NORM:
			model->output_norm = (const float *) data;
			break;
		case LLM_ROLE_OUTPUT:
			model->output = matrix;
			break;
		case LLM_ROLE_ATTENTION_NORM:
			layer->attention_norm = (const float *) data;
			break;
		case LLM_ROLE_FFN_NORM:
			layer->ffn_norm = (const float *) data;
			break;
		case LLM_ROLE_Q:
			layer->q = matrix;
			break;
		case LLM_ROLE_K:
			layer->k = matrix;
			break;
		case LLM_ROLE_V:
			layer->v = matrix;
			break;
		case LLM_ROLE_ATTENTION_OUTPUT:
			layer->attention_output = matrix;
			break;
		case LLM_ROLE_GATE:
			layer->gate = matrix;
			break;
		case LLM_ROLE_UP:
			layer->up = matrix;
			break;
		case LLM_ROLE_DOWN:
			layer->down = matrix;
			break;
		case LLM_N_ROLES:
			break;
	}
}
