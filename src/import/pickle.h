/*
 * pickle.h
 *		The pickles of PyTorch checkpoints, read without running anything.
 *
 * A pickle is a program for a small stack machine, and may call any function.
 * This machine knows values, and of functions only those that stand for a
 * tensor or an ordered dictionary, for which it makes records.  Whatever else a
 * pickle names is an error that says what it was.
 *
 * Opcodes: the comments of Python's Lib/pickletools.py.
 */
#ifndef IMPORT_PICKLE_H
#define IMPORT_PICKLE_H

#include "engine/tensor_type.h"

#define PICKLE_MAX_DIMS 4

/* A tensor as the pickle describes it; nothing is checked against the storage's bytes. */
typedef struct PickleTensor
{
	const char *name;			/* not terminated; of the pickle's bytes */
	uint32_t	name_length;
	const char *storage;		/* the storage's key; not terminated */
	uint32_t	storage_length;
	LlmTensorType type;
	int64_t		storage_count;	/* elements */
	int64_t		offset;			/* elements */
	int32_t		n_dims;
	int64_t		dims[PICKLE_MAX_DIMS];
	int64_t		strides[PICKLE_MAX_DIMS];
} PickleTensor;

/* False, with *error filled, stops the reading. */
typedef bool (*PickleVisitor) (void *arg, const PickleTensor *tensor, LlmError *error);

/*
 * Run a pickle of `length` bytes whose result is a dictionary, and visit its
 * tensors; what else the dictionary holds is left out.  A dictionary in it named
 * "model" or "state_dict" is taken instead where there are no tensors beside it.
 */
extern bool pickle_read_tensors(const uint8_t *bytes, uint64_t length, PickleVisitor visit,
								void *arg,
								LlmError *error);

#endif							/* IMPORT_PICKLE_H */
