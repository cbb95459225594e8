/*
 * jsonl.h
 *		A strict reader of the fixtures' JSON lines: objects with known keys,
 *		strings and arrays of integers.
 *
 * A JsonReader walks over one line.  The first thing that is not as expected
 * sets failed, and everything after it fails too, so that one look at the end
 * (json_finish) is enough.
 */
#ifndef JSONL_H
#define JSONL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct JsonReader
{
	const char *at;
	const char *end;
	bool		failed;
} JsonReader;

typedef struct JsonString
{
	char	   *bytes;			/* UTF-8, not terminated; the caller frees it */
	size_t		length;
} JsonString;

typedef struct JsonInts
{
	int32_t    *values;			/* the caller frees it */
	size_t		count;
} JsonInts;

static inline bool
json_fail(JsonReader *reader)
{
	reader->failed = true;
	return false;
}

static inline void
json_skip_space(JsonReader *reader)
{
	while (reader->at < reader->end && strchr(" \t\r\n", *reader->at) != NULL)
		reader->at++;
}

/* Step over a punctuation mark if it comes next. */
static inline bool
json_accept(JsonReader *reader, char mark)
{
	json_skip_space(reader);
	if (reader->failed || reader->at == reader->end || *reader->at != mark)
		return false;
	reader->at++;
	return true;
}

static inline bool
json_expect(JsonReader *reader, char mark)
{
	return json_accept(reader, mark) || json_fail(reader);
}

static inline bool
json_finish(JsonReader *reader)
{
	json_skip_space(reader);
	return !reader->failed && reader->at == reader->end;
}

static inline uint32_t
json_hex(JsonReader *reader)
{
	static const char digits[] = "0123456789abcdef";
	uint32_t	value = 0;
	int			i;

	for (i = 0; i < 4; i++)
	{
		const char *digit = NULL;

		if (reader->at < reader->end)
			digit = memchr(digits, *reader->at | 0x20, 16);
		if (digit == NULL)
		{
			json_fail(reader);
			return 0;
		}
		value = value * 16 + (uint32_t) (digit - digits);
		reader->at++;
	}
	return value;
}

static inline size_t
json_put_character(char *out, uint32_t code)
{
	static const uint8_t leads[] = {0, 0x00, 0xC0, 0xE0, 0xF0};
	size_t		n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	size_t		i;

	for (i = n - 1; i > 0; i--)
	{
		out[i] = (char) (0x80 | (code & 0x3F));
		code >>= 6;
	}
	out[0] = (char) (leads[n] | code);
	return n;
}

/* What stands after a backslash. */
static inline size_t
json_escape(JsonReader *reader, char *out)
{
	static const char names[] = "\"\\/bfnrt";
	static const char values[] = "\"\\/\b\f\n\r\t";
	const char *name;
	uint32_t	code;

	if (reader->at == reader->end)
		return json_fail(reader);
	if (*reader->at != 'u')
	{
		name = memchr(names, *reader->at++, sizeof(names) - 1);
		if (name == NULL)
			return json_fail(reader);
		*out = values[name - names];
		return 1;
	}
	reader->at++;
	code = json_hex(reader);
	if (code >= 0xD800 && code < 0xDC00)
	{
		uint32_t	low;

		if (reader->end - reader->at < 2 || memcmp(reader->at, "\\u", 2) != 0)
			return json_fail(reader);
		reader->at += 2;
		low = json_hex(reader);
		if (low < 0xDC00 || low > 0xDFFF)
			return json_fail(reader);
		code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
	}
	else if (code >= 0xDC00 && code <= 0xDFFF)
		return json_fail(reader);
	return json_put_character(out, code);
}

static inline bool
json_string(JsonReader *reader, JsonString *string)
{
	*string = (JsonString) {NULL, 0};
	if (!json_expect(reader, '"'))
		return false;
	/* No escape is shorter than what it stands for. */
	string->bytes = malloc((size_t) (reader->end - reader->at) + 1);
	while (!reader->failed && reader->at < reader->end && *reader->at != '"')
	{
		if (*reader->at == '\\')
		{
			reader->at++;
			string->length += json_escape(reader, string->bytes + string->length);
		}
		else if ((uint8_t) *reader->at < 0x20)
			json_fail(reader);
		else
			string->bytes[string->length++] = *reader->at++;
	}
	return json_expect(reader, '"');
}

/* A member's name, which must be the given one, and the colon. */
static inline bool
json_key(JsonReader *reader, const char *key)
{
	JsonString	name;
	bool		same = json_string(reader, &name) && name.length == strlen(key) &&
		memcmp(name.bytes, key, name.length) == 0;

	free(name.bytes);
	return (same || json_fail(reader)) && json_expect(reader, ':');
}

static inline bool
json_int(JsonReader *reader, int32_t *value)
{
	char	   *end;
	long		number;

	json_skip_space(reader);
	if (reader->failed || reader->at == reader->end ||
		(*reader->at != '-' && (*reader->at < '0' || *reader->at > '9')))
		return json_fail(reader);
	number = strtol(reader->at, &end, 10);
	if (end > reader->end || number < INT32_MIN || number > INT32_MAX)
		return json_fail(reader);
	reader->at = end;
	*value = (int32_t) number;
	return true;
}

static inline bool
json_ints(JsonReader *reader, JsonInts *ints)
{
	*ints = (JsonInts) {NULL, 0};
	if (!json_expect(reader, '['))
		return false;
	/* No number of an array takes less than two characters, its comma included. */
	ints->values = malloc(((size_t) (reader->end - reader->at) / 2 + 1) * sizeof(int32_t));
	if (json_accept(reader, ']'))
		return true;
	do
	{
		if (!json_int(reader, &ints->values[ints->count++]))
			return false;
	} while (json_accept(reader, ','));
	return json_expect(reader, ']');
}

/* The next line of a file, kept in *line as getline does; false at the end. */
static inline bool
json_next_line(FILE *file, char **line, size_t *capacity, JsonReader *reader)
{
	ssize_t		length = getline(line, capacity, file);

	if (length < 0)
		return false;
	*reader = (JsonReader) {*line, *line + length, false};
	return true;
}

#endif							/* JSONL_H */
