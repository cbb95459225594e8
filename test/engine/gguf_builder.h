/*
 * gguf_builder.h
 *		Makes GGUF files, good and bad ones, for the tests of their readers.
 *
 * A GgufBuilder collects keys and tensors in any order; one that is set again
 * replaces the first.  gguf_build writes the file into memory behind a path.
 * Tensor data are pseudo-random bytes that make tame floats in every type.
 */
#ifndef GGUF_BUILDER_H
#define GGUF_BUILDER_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/tensor_type.h"

#define BUILDER_ITEMS 96

typedef struct GgufBytes
{
	uint8_t    *data;
	size_t		length;
	size_t		capacity;
} GgufBytes;

typedef struct GgufItem
{
	char		name[80];
	GgufBytes	entry;			/* a key's kind and value; a tensor's dims and type */
	uint64_t	n_bytes;		/* of a tensor's data */
	int64_t		shift;			/* a lie about a tensor's offset */
} GgufItem;

typedef struct GgufBuilder
{
	uint32_t	version;
	uint64_t	alignment;
	GgufItem	keys[BUILDER_ITEMS];
	int			n_keys;
	GgufItem	tensors[BUILDER_ITEMS];
	int			n_tensors;
	GgufBytes	file;			/* after gguf_build */
	uint64_t	data_offset;
	int			descriptor;
	char		path[64];
} GgufBuilder;

static inline void
bytes_add(GgufBytes *bytes, const void *data, size_t n)
{
	if (bytes->length + n > bytes->capacity)
	{
		bytes->capacity = (bytes->length + n) * 2;
		bytes->data = realloc(bytes->data, bytes->capacity);
		if (bytes->data == NULL)
			abort();
	}
	if (data != NULL)
		memcpy(bytes->data + bytes->length, data, n);
	else
		memset(bytes->data + bytes->length, 0, n);
	bytes->length += n;
}

static inline void
bytes_add_u32(GgufBytes *bytes, uint32_t value)
{
	bytes_add(bytes, &value, sizeof(value));
}

static inline void
bytes_add_u64(GgufBytes *bytes, uint64_t value)
{
	bytes_add(bytes, &value, sizeof(value));
}

static inline void
bytes_add_string(GgufBytes *bytes, const char *string)
{
	bytes_add_u64(bytes, strlen(string));
	bytes_add(bytes, string, strlen(string));
}

static inline GgufBuilder *
builder_create(void)
{
	GgufBuilder *builder = calloc(1, sizeof(GgufBuilder));

	if (builder == NULL)
		abort();
	builder->version = 3;
	builder->alignment = 32;
	builder->descriptor = -1;
	return builder;
}

static inline void
builder_free(GgufBuilder *builder)
{
	for (int i = 0; i < builder->n_keys; i++)
		free(builder->keys[i].entry.data);
	for (int i = 0; i < builder->n_tensors; i++)
		free(builder->tensors[i].entry.data);
	free(builder->file.data);
	if (builder->descriptor >= 0)
		close(builder->descriptor);
	free(builder);
}

/* The named item, emptied, or a new one. */
static inline GgufItem *
builder_item(GgufItem *items, int *n, const char *name)
{
	int			i = 0;

	while (i < *n && strcmp(items[i].name, name) != 0)
		i++;
	if (i == *n && (*n)++ >= BUILDER_ITEMS)
		abort();
	snprintf(items[i].name, sizeof(items[i].name), "%s", name);
	items[i].entry.length = 0;
	items[i].shift = 0;
	return &items[i];
}

static inline void
builder_remove(GgufItem *items, int *n, const char *name)
{
	for (int i = 0; i < *n; i++)
		if (strcmp(items[i].name, name) == 0)
		{
			free(items[i].entry.data);
			memmove(&items[i], &items[i + 1], (*n - i - 1) * sizeof(items[0]));
			(*n)--;
			memset(&items[*n], 0, sizeof(items[0]));
			return;
		}
}

/* A key whose value is given as raw bytes after its kind; returns those bytes. */
static inline GgufBytes *
builder_key(GgufBuilder *builder, const char *name, uint32_t kind)
{
	GgufBytes  *entry = &builder_item(builder->keys, &builder->n_keys, name)->entry;

	bytes_add_u32(entry, kind);
	return entry;
}

static inline void
builder_int(GgufBuilder *builder, const char *name, uint32_t value)
{
	bytes_add_u32(builder_key(builder, name, 4), value);
}

static inline void
builder_float(GgufBuilder *builder, const char *name, float value)
{
	bytes_add(builder_key(builder, name, 6), &value, sizeof(value));
}

static inline void
builder_string(GgufBuilder *builder, const char *name, const char *value)
{
	bytes_add_string(builder_key(builder, name, 8), value);
}

/* An array's kind and count; the caller adds the items. */
static inline GgufBytes *
builder_array(GgufBuilder *builder, const char *name, uint32_t kind, uint64_t count)
{
	GgufBytes  *entry = builder_key(builder, name, 9);

	bytes_add_u32(entry, kind);
	bytes_add_u64(entry, count);
	return entry;
}

/* rows is 0 for a vector.  What has no sensible size gets a little data. */
static inline void
builder_tensor(GgufBuilder *builder, const char *name, uint32_t type, uint64_t cols, uint64_t rows)
{
	GgufItem   *item = builder_item(builder->tensors, &builder->n_tensors, name);
	const LlmTensorTypeInfo *info = llm_tensor_type_info(type);

	bytes_add_u32(&item->entry, rows > 0 ? 2 : 1);
	bytes_add_u64(&item->entry, cols);
	if (rows > 0)
		bytes_add_u64(&item->entry, rows);
	bytes_add_u32(&item->entry, type);
	item->n_bytes = 64;
	if (info != NULL && cols < 4096 && rows < 4096 && cols % info->block_weights == 0)
		item->n_bytes = cols / info->block_weights * (rows > 0 ? rows : 1) * info->block_bytes;
}

static inline void
builder_pad(GgufBuilder *builder)
{
	uint64_t	rest = builder->file.length % builder->alignment;

	if (rest != 0)
		bytes_add(&builder->file, NULL, builder->alignment - rest);
}

/* Put builder->file, whatever is in it, behind a path. */
static inline const char *
builder_write(GgufBuilder *builder)
{
	if (builder->descriptor < 0)
		builder->descriptor = memfd_create("gguf", 0);
	if (builder->descriptor < 0 || ftruncate(builder->descriptor, 0) != 0 ||
		pwrite(builder->descriptor, builder->file.data, builder->file.length, 0) !=
		(ssize_t) builder->file.length)
		abort();
	snprintf(builder->path, sizeof(builder->path), "/proc/self/fd/%d", builder->descriptor);
	return builder->path;
}

static inline const char *
gguf_build(GgufBuilder *builder)
{
	GgufBytes  *file = &builder->file;
	uint64_t	offset = 0;
	uint32_t	random = 12345;

	file->length = 0;
	bytes_add(file, "GGUF", 4);
	bytes_add_u32(file, builder->version);
	bytes_add_u64(file, builder->n_tensors);
	bytes_add_u64(file, builder->n_keys);
	for (int i = 0; i < builder->n_keys; i++)
	{
		bytes_add_string(file, builder->keys[i].name);
		bytes_add(file, builder->keys[i].entry.data, builder->keys[i].entry.length);
	}
	for (int i = 0; i < builder->n_tensors; i++)
	{
		GgufItem   *tensor = &builder->tensors[i];

		bytes_add_string(file, tensor->name);
		bytes_add(file, tensor->entry.data, tensor->entry.length);
		bytes_add_u64(file, offset + tensor->shift);
		offset += (tensor->n_bytes +
				   builder->alignment - 1) / builder->alignment * builder->alignment;
	}
	builder_pad(builder);
	builder->data_offset = file->length;
	for (int i = 0; i < builder->n_tensors; i++)
	{
		for (uint64_t j = 0; j < builder->tensors[i].n_bytes; j++)
		{
			uint8_t		byte;

			random = random * 1664525 + 1013904223;
			byte = (random >> 24) & 0x3F;
			bytes_add(file, &byte, 1);
		}
		builder_pad(builder);
	}
	return builder_write(builder);
}

#endif							/* GGUF_BUILDER_H */
