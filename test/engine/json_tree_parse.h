/*
 * json_tree_parse.h
 *		JSON text to an LlmJson tree and its values, for tests.  Shares no code with what it tests.
 */
#ifndef JSON_TREE_PARSE_H
#define JSON_TREE_PARSE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "grammar/json_tree.h"

/* Everything parsed lies in one arena. */
typedef struct JsonArena
{
	char	   *bytes;
	size_t		used;
	size_t		size;
} JsonArena;

typedef struct JsonReader
{
	JsonArena  *arena;
	const char *at;
	const char *end;
	int			depth;
} JsonReader;

static inline void *
json_claim(JsonArena *arena, size_t size)
{
	void	   *memory;

	size = (size + 15) & ~(size_t) 15;
	if (arena->bytes == NULL)
	{
		arena->size = (size_t) 16 << 20;
		arena->bytes = malloc(arena->size);
	}
	if (arena->bytes == NULL || arena->size - arena->used < size)
		abort();
	memory = arena->bytes + arena->used;
	arena->used += size;
	return memset(memory, 0, size);
}

static inline void
json_space(JsonReader *reader)
{
	while (reader->at < reader->end && strchr(" \t\n\r", *reader->at) != NULL && *reader->at != '\0')
		reader->at++;
}

static inline bool
json_word(JsonReader *reader, const char *word)
{
	size_t		n = strlen(word);

	if ((size_t) (reader->end - reader->at) < n || memcmp(reader->at, word, n) != 0)
		return false;
	reader->at += n;
	return true;
}

static inline bool
json_utf8_ok(const char *text, size_t length)
{
	size_t		i = 0;

	while (i < length)
	{
		uint8_t		lead = (uint8_t) text[i];
		size_t		n = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;

		if (n == 0 || i + n > length)
			return false;
		for (size_t k = 1; k < n; k++)
		{
			if (((uint8_t) text[i + k] & 0xC0) != 0x80)
				return false;
		}
		if ((lead == 0xE0 && (uint8_t) text[i + 1] < 0xA0) || (lead == 0xED && (uint8_t) text[i + 1] > 0x9F) ||
			(lead == 0xF0 && (uint8_t) text[i + 1] < 0x90) || (lead == 0xF4 && (uint8_t) text[i + 1] > 0x8F))
			return false;
		i += n;
	}
	return true;
}

/* After the opening quote. */
static inline bool
json_string(JsonReader *reader, const char **text, size_t *length)
{
	char	   *out = json_claim(reader->arena, (size_t) (reader->end - reader->at) + 1);
	size_t		n = 0;

	while (reader->at < reader->end && *reader->at != '"')
	{
		unsigned char byte = (unsigned char) *reader->at++;

		if (byte < 0x20)
			return false;
		if (byte != '\\')
		{
			out[n++] = (char) byte;
			continue;
		}
		if (reader->at == reader->end)
			return false;
		switch (*reader->at++)
		{
			case '"':
				out[n++] = '"';
				break;
			case '\\':
				out[n++] = '\\';
				break;
			case '/':
				out[n++] = '/';
				break;
			case 'b':
				out[n++] = '\b';
				break;
			case 'f':
				out[n++] = '\f';
				break;
			case 'n':
				out[n++] = '\n';
				break;
			case 'r':
				out[n++] = '\r';
				break;
			case 't':
				out[n++] = '\t';
				break;
			case 'u':
				{
					char		digits[5] = {0};
					char	   *stop;
					long		value;

					if (reader->end - reader->at < 4)
						return false;
					memcpy(digits, reader->at, 4);
					value = strtol(digits, &stop, 16);
					if (stop != digits + 4 || value < 1 || value > 0x7F)
						return false;	/* others are not written as escapes by what is tested */
					out[n++] = (char) value;
					reader->at += 4;
					break;
				}
			default:
				return false;
		}
	}
	if (reader->at == reader->end || !json_utf8_ok(out, n))
		return false;
	reader->at++;
	*text = out;
	*length = n;
	return true;
}

static inline bool
json_number(JsonReader *reader, LlmJson *value)
{
	const char *start = reader->at;
	size_t		n;

	if (reader->at < reader->end && *reader->at == '-')
		reader->at++;
	n = strspn(reader->at, "0123456789");
	if (n == 0 || (n > 1 && *reader->at == '0'))
		return false;
	reader->at += n;
	if (reader->at < reader->end && *reader->at == '.')
	{
		reader->at++;
		n = strspn(reader->at, "0123456789");
		if (n == 0)
			return false;
		reader->at += n;
	}
	if (reader->at < reader->end && (*reader->at == 'e' || *reader->at == 'E'))
	{
		reader->at++;
		if (*reader->at == '+' || *reader->at == '-')
			reader->at++;
		n = strspn(reader->at, "0123456789");
		if (n == 0)
			return false;
		reader->at += n;
	}
	value->kind = LLM_JSON_NUMBER;
	value->length = (size_t) (reader->at - start);
	value->text = memcpy(json_claim(reader->arena, value->length + 1), start, value->length);
	return true;
}

static inline LlmJson *
json_value(JsonReader *reader, LlmJson *parent)
{
	LlmJson    *value = json_claim(reader->arena, sizeof(LlmJson));
	const LlmJson **link = &value->first;
	bool		object;
	int			position = 0;

	value->parent = parent;
	json_space(reader);
	if (reader->at == reader->end || ++reader->depth > 2000)
		return NULL;
	if (json_word(reader, "null"))
		value->kind = LLM_JSON_NULL;
	else if (json_word(reader, "true"))
		value->kind = LLM_JSON_TRUE;
	else if (json_word(reader, "false"))
		value->kind = LLM_JSON_FALSE;
	else if (json_word(reader, "\""))
	{
		value->kind = LLM_JSON_STRING;
		if (!json_string(reader, &value->text, &value->length))
			return NULL;
	}
	else if (*reader->at == '{' || *reader->at == '[')
	{
		object = *reader->at++ == '{';
		value->kind = object ? LLM_JSON_OBJECT : LLM_JSON_ARRAY;
		json_space(reader);
		if (!json_word(reader, object ? "}" : "]"))
		{
			do
			{
				const char *name = NULL;
				size_t		length = 0;
				LlmJson    *child;

				json_space(reader);
				if (object && (!json_word(reader, "\"") || !json_string(reader, &name, &length)))
					return NULL;
				json_space(reader);
				if (object && !json_word(reader, ":"))
					return NULL;
				child = json_value(reader, value);
				if (child == NULL)
					return NULL;
				child->name = name;
				child->name_length = length;
				child->position = position++;
				*link = child;
				link = &child->next;
				json_space(reader);
			} while (json_word(reader, ","));
			if (!json_word(reader, object ? "}" : "]"))
				return NULL;
		}
	}
	else if (!json_number(reader, value))
		return NULL;
	reader->depth--;
	return value;
}

/* The whole text, or NULL where it is not JSON. */
static inline const LlmJson *
json_parse(JsonArena *arena, const char *text, size_t length)
{
	JsonReader	reader = {arena, text, text + length, 0};
	const LlmJson *value = json_value(&reader, NULL);

	json_space(&reader);
	return reader.at == reader.end ? value : NULL;
}

#endif							/* JSON_TREE_PARSE_H */
