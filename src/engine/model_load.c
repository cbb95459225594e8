/*
 * model_load.c
 *		Filling a model's image from its file.
 *
 * A load goes through the file in the order of its bytes, in pieces of whole
 * panels that threads take, read and pack on their own.
 */
#include "engine/model_image.h"

#include <fcntl.h>
#include <inttypes.h>
#include <omp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* A piece stays in a processor's second-level cache between reading and packing. */
#define PIECE_BYTES			(512 * 1024)

/* How far ahead of the threads the system is asked to read. */
#define READ_AHEAD_BYTES	(UINT64_C(16) << 20)

#define MAX_LOAD_THREADS	256

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
	const LlmImageEntry *entries;
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

bool
llm_model_load_image(LlmModelFile *file, void *memory, uint64_t size, int n_threads,
					 LlmLoadProgress progress, void *arg, LlmError *error)
{
	LlmImageHeader *header = memory;
	Load		load = {.file = file, .image = memory, .lock = PTHREAD_MUTEX_INITIALIZER};
	bool		done;

	if (size < file->image_size)
		return llm_fail(error, LLM_ERROR_ARGUMENT,
						"%" PRIu64 " bytes are too few for an image of %" PRIu64,
						size, file->image_size);
	if ((uintptr_t) memory % LLM_IMAGE_ALIGNMENT != 0)
		return llm_fail(error, LLM_ERROR_ARGUMENT, "image is not aligned to %d bytes",
						LLM_IMAGE_ALIGNMENT);
	if (n_threads < 1)
		return llm_fail(error, LLM_ERROR_ARGUMENT, "cannot load with %d threads", n_threads);

	llm_image_write_directory(file, header);
	load.entries = header->entries;
	done = prepare_load(&load, error) &&
		run_load(&load, n_threads, progress, arg, error) &&
		llm_gguf_check_unchanged(file->gguf, error);
	free(load.order);
	posix_fadvise(llm_gguf_descriptor(file->gguf), 0, 0, POSIX_FADV_DONTNEED);
	if (done)
		memcpy(header->magic, LLM_IMAGE_MAGIC, sizeof(header->magic));
	return done;
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
	const LlmImageEntry *entry = &load->entries[piece->slot];
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
	panel_bytes = llm_panel_bytes(tensor->type, entry->cols);
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
