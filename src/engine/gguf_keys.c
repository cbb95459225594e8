/*
 * gguf_keys.c
 *		Looking up the keys of a GGUF file and converting their values.
 *
 * The parser has checked that every value lies within the header.
 */
#include "engine/gguf_layout.h"

#include <stdlib.h>
#include <string.h>

static int64_t integer_at(uint32_t kind, const uint8_t *at, bool *fits);
static LlmGgufString string_at(const LlmGguf *gguf, uint64_t offset);
static const GgufKey *find_key(const LlmGguf *gguf, const char *name);
static const GgufKey *find_array(const LlmGguf *gguf, const char *name);

bool
llm_gguf_has_key(const LlmGguf *gguf, const char *key)
{
	return find_key(gguf, key) != NULL;
}

bool
llm_gguf_get_int(const LlmGguf *gguf, const char *key, int64_t *value)
{
	const GgufKey *found = find_key(gguf, key);
	bool		fits;
	int64_t		result;

	if (found == NULL)
		return false;
	result = integer_at(found->kind, gguf->bytes + found->value_offset, &fits);
	if (fits)
		*value = result;
	return fits;
}

bool
llm_gguf_get_float(const LlmGguf *gguf, const char *key, double *value)
{
	const GgufKey *found = find_key(gguf, key);
	float		single;

	if (found != NULL && found->kind == GGUF_FLOAT32)
	{
		memcpy(&single, gguf->bytes + found->value_offset, sizeof(single));
		*value = single;
		return true;
	}
	if (found != NULL && found->kind == GGUF_FLOAT64)
	{
		memcpy(value, gguf->bytes + found->value_offset, sizeof(*value));
		return true;
	}
	return false;
}

bool
llm_gguf_get_bool(const LlmGguf *gguf, const char *key, bool *value)
{
	const GgufKey *found = find_key(gguf, key);

	if (found == NULL || found->kind != GGUF_BOOL)
		return false;
	*value = gguf->bytes[found->value_offset] != 0;
	return true;
}

bool
llm_gguf_get_string(const LlmGguf *gguf, const char *key, LlmGgufString *value)
{
	const GgufKey *found = find_key(gguf, key);

	if (found == NULL || found->kind != GGUF_STRING)
		return false;
	*value = string_at(gguf, found->value_offset);
	return true;
}

int64_t
llm_gguf_string_array_count(const LlmGguf *gguf, const char *key)
{
	const GgufKey *found = find_array(gguf, key);

	return found != NULL && found->item_kind == GGUF_STRING ? (int64_t) found->n_items : -1;
}

LlmGgufString
llm_gguf_string_array_item(const LlmGguf *gguf, const char *key, int64_t index)
{
	const GgufKey *found = find_array(gguf, key);
	LlmGgufString nothing = {"", 0};

	if (found == NULL || found->item_kind != GGUF_STRING ||
		index < 0 || (uint64_t) index >= found->n_items)
		return nothing;
	return string_at(gguf, found->item_offsets[index]);
}

bool
llm_gguf_get_float_array(const LlmGguf *gguf, const char *key, float *out, int64_t *count)
{
	const GgufKey *found = find_array(gguf, key);
	const uint8_t *at;

	if (found == NULL || (found->item_kind != GGUF_FLOAT32 && found->item_kind != GGUF_FLOAT64))
		return false;
	*count = (int64_t) found->n_items;
	if (out == NULL || *count == 0)
		return true;
	at = gguf->bytes + found->value_offset;
	if (found->item_kind == GGUF_FLOAT32)
		memcpy(out, at, found->n_items * sizeof(float));
	else
		for (uint64_t i = 0; i < found->n_items; i++)
		{
			double		item;

			memcpy(&item, at + i * sizeof(item), sizeof(item));
			out[i] = (float) item;
		}
	return true;
}

bool
llm_gguf_get_int_array(const LlmGguf *gguf, const char *key, int32_t *out, int64_t *count)
{
	const GgufKey *found = find_array(gguf, key);
	int			item_bytes;

	if (found == NULL)
		return false;
	item_bytes = llm_gguf_kind_bytes(found->item_kind);
	for (uint64_t i = 0; i < found->n_items; i++)
	{
		bool		fits;
		int64_t		item = integer_at(found->item_kind,
									  gguf->bytes + found->value_offset + i * item_bytes, &fits);

		if (!fits || item < INT32_MIN || item > INT32_MAX)
			return false;
		if (out != NULL)
			out[i] = (int32_t) item;
	}
	*count = (int64_t) found->n_items;
	return true;
}

const char *
llm_gguf_printable(LlmGgufString string, char *out, size_t size)
{
	size_t		n = string.length < size ? string.length : size - 1;

	for (size_t i = 0; i < n; i++)
		out[i] = string.bytes[i] >= ' ' && string.bytes[i] <= '~' ? string.bytes[i] : '?';
	out[n] = '\0';
	return out;
}

/* Bytes of a value of fixed size; 0 for strings, arrays and unknown kinds. */
int
llm_gguf_kind_bytes(uint32_t kind)
{
	switch (kind)
	{
		case GGUF_UINT8:
		case GGUF_INT8:
		case GGUF_BOOL:
			return 1;
		case GGUF_UINT16:
		case GGUF_INT16:
			return 2;
		case GGUF_UINT32:
		case GGUF_INT32:
		case GGUF_FLOAT32:
			return 4;
		case GGUF_UINT64:
		case GGUF_INT64:
		case GGUF_FLOAT64:
			return 8;
		default:
			return 0;
	}
}

int
llm_gguf_compare_strings(LlmGgufString a, LlmGgufString b)
{
	int			order = memcmp(a.bytes, b.bytes, a.length < b.length ? a.length : b.length);

	return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

int
llm_gguf_compare_keys(const void *a, const void *b)
{
	return llm_gguf_compare_strings(((const GgufKey *) a)->name, ((const GgufKey *) b)->name);
}

/* *fits becomes false for what is no integer, or one that only 64 unsigned bits hold. */
static int64_t
integer_at(uint32_t kind, const uint8_t *at, bool *fits)
{
	int			n = llm_gguf_kind_bytes(kind);
	uint64_t	bits = 0;

	*fits = false;
	if (kind == GGUF_FLOAT32 || kind == GGUF_FLOAT64 || kind == GGUF_BOOL || n == 0)
		return 0;
	for (int i = 0; i < n; i++)
		bits |= (uint64_t) at[i] << (8 * i);
	*fits = true;
	switch (kind)
	{
		case GGUF_INT8:
			return (int8_t) bits;
		case GGUF_INT16:
			return (int16_t) bits;
		case GGUF_INT32:
			return (int32_t) bits;
		case GGUF_UINT64:
			*fits = bits <= INT64_MAX;
			return (int64_t) bits;
		default:
			return (int64_t) bits;
	}
}

static LlmGgufString
string_at(const LlmGguf *gguf, uint64_t offset)
{
	LlmGgufString string;

	memcpy(&string.length, gguf->bytes + offset, sizeof(string.length));
	string.bytes = (const char *) gguf->bytes + offset + sizeof(string.length);
	return string;
}

static const GgufKey *
find_key(const LlmGguf *gguf, const char *name)
{
	GgufKey		wanted = {.name = {name, strlen(name)}};

	return bsearch(&wanted, gguf->keys, gguf->n_keys, sizeof(GgufKey), llm_gguf_compare_keys);
}

static const GgufKey *
find_array(const LlmGguf *gguf, const char *name)
{
	const GgufKey *key = find_key(gguf, name);

	return key != NULL && key->kind == GGUF_ARRAY ? key : NULL;
}
