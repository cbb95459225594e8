/*
 * schema_validator.h
 *		Whether a JSON value is valid against a JSON schema, by the letter of the specification.
 */
#ifndef SCHEMA_VALIDATOR_H
#define SCHEMA_VALIDATOR_H

#include <math.h>
#include <regex.h>
#include <stdio.h>

#include "json_tree_parse.h"

static inline const LlmJson *
member(const LlmJson *object, const char *name, size_t length)
{
	const LlmJson *last = NULL;

	if (object->kind != LLM_JSON_OBJECT)
		return NULL;
	for (const LlmJson *child = object->first; child != NULL; child = child->next)
	{
		if (child->name_length == length && memcmp(child->name, name, length) == 0)
			last = child;
	}
	return last;
}

static inline const LlmJson *
keyword(const LlmJson *schema, const char *name)
{
	return member(schema, name, strlen(name));
}

static inline double
number_of(const LlmJson *value)
{
	char		text[512] = {0};

	memcpy(text, value->text, value->length < 511 ? value->length : 511);
	return strtod(text, NULL);
}

/* Digit by digit, since doubles would not see the difference. */
static inline int
compare_exactly(const LlmJson *a, const LlmJson *b)
{
	double		x = number_of(a);
	double		y = number_of(b);
	const char *text[2] = {a->text, b->text};
	size_t		length[2] = {a->length, b->length};
	char		digits[2][160];

	if (fabs(x - y) > 1e-6 * (fabs(x) + fabs(y)) || memchr(a->text, 'e', a->length) || memchr(a->text, 'E', a->length))
		return x < y ? -1 : x > y;
	for (int i = 0; i < 2; i++)
	{
		const char *point = memchr(text[i], '.', length[i]);
		bool		negative = text[i][0] == '-';
		const char *whole = text[i] + negative;
		size_t		n_whole = (size_t) ((point ? point : text[i] + length[i]) - whole);
		size_t		n_fraction = point ? (size_t) (text[i] + length[i] - point - 1) : 0;

		memset(digits[i], '0', sizeof(digits[i]));
		memcpy(digits[i] + 80 - n_whole, whole, n_whole);
		if (n_fraction > 0)
			memcpy(digits[i] + 80, point + 1, n_fraction);
		digits[i][159] = '\0';
	}
	{
		int			order = strcmp(digits[0], digits[1]);
		bool		zero_a = strspn(digits[0], "0") == 159;
		bool		zero_b = strspn(digits[1], "0") == 159;
		bool		negative_a = text[0][0] == '-' && !zero_a;
		bool		negative_b = text[1][0] == '-' && !zero_b;

		if (negative_a != negative_b)
			return negative_a ? -1 : 1;
		return negative_a ? -order : order;
	}
}

/* Digits behind the point; the tests' "multipleOf" are 0.1 and 0.01, and doubles are too coarse for large values. */
static inline size_t
decimals_of(const LlmJson *value)
{
	const char *point = memchr(value->text, '.', value->length);
	size_t		n = point != NULL ? (size_t) (value->text + value->length - point - 1) : 0;

	while (n > 0 && point[n] == '0')
		n--;
	return n;
}

static inline bool
is_integer(const LlmJson *value)
{
	return value->kind == LLM_JSON_NUMBER && number_of(value) == floor(number_of(value));
}

static inline bool
has_type(const LlmJson *value, const LlmJson *name)
{
	static const char *const names[] = {"null", "boolean", "boolean", "number", "string", "array", "object"};
	char		text[16] = {0};

	memcpy(text, name->text, name->length < 15 ? name->length : 15);
	return strcmp(text, names[value->kind]) == 0 || (strcmp(text, "integer") == 0 && is_integer(value));
}

static inline bool
same_value(const LlmJson *a, const LlmJson *b)
{
	const LlmJson *x = a->first;
	const LlmJson *y = b->first;

	if (a->kind != b->kind)
		return false;
	if (a->kind == LLM_JSON_NUMBER)
		return compare_exactly(a, b) == 0;
	if (a->kind == LLM_JSON_STRING)
		return a->length == b->length && memcmp(a->text, b->text, a->length) == 0;
	while (x != NULL && y != NULL)
	{
		const LlmJson *other = a->kind == LLM_JSON_OBJECT ? member(b, x->name, x->name_length) : y;

		if (other == NULL || !same_value(x, other))
			return false;
		x = x->next;
		y = y->next;
	}
	return x == NULL && y == NULL;
}

static inline bool
matches_regex(const char *pattern, const char *text)
{
	regex_t		regex;
	bool		matches;

	if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	matches = regexec(&regex, text, 0, NULL, 0) == 0;
	regfree(&regex);
	return matches;
}

static inline bool
is_date(const char *text)
{
	static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int			year;
	int			month;
	int			day;

	return strlen(text) >= 10 && sscanf(text, "%4d-%2d-%2d", &year, &month, &day) == 3 && text[4] == '-' && text[7] == '-' &&
		month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1] &&
		(month != 2 || day < 29 || (year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)));
}

static inline bool
has_format(const char *format, const char *text)
{
	static const char time[] = "^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]+)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$";
	int			a;
	int			b;
	int			c;
	int			d;
	char		rest;

	if (strcmp(format, "date") == 0)
		return strlen(text) == 10 && is_date(text);
	if (strcmp(format, "time") == 0)
		return matches_regex(time, text);
	if (strcmp(format, "date-time") == 0)
		return is_date(text) && text[10] == 'T' && matches_regex(time, text + 11);
	if (strcmp(format, "uuid") == 0)
		return matches_regex("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", text);
	if (strcmp(format, "ipv4") == 0)
		return sscanf(text, "%3d.%3d.%3d.%3d%c", &a, &b, &c, &d, &rest) == 4 && a < 256 && b < 256 && c < 256 && d < 256;
	if (strcmp(format, "email") == 0)
		return matches_regex("^[^@ ]{1,64}@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\\.)+[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$", text);
	return false;
}

static inline size_t
count_characters(const LlmJson *value)
{
	size_t		n = 0;

	for (size_t i = 0; i < value->length; i++)
		n += ((uint8_t) value->text[i] & 0xC0) != 0x80;
	return n;
}

static inline size_t
count_items(const LlmJson *value)
{
	size_t		n = 0;

	for (const LlmJson *child = value->first; child != NULL; child = child->next)
		n++;
	return n;
}

static inline bool is_valid(const LlmJson *root, const LlmJson *schema, const LlmJson *value);

static inline bool
is_valid_scalar(const LlmJson *schema, const LlmJson *value)
{
	const LlmJson *word;
	char		text[4096] = {0};
	char		wanted[512] = {0};

	if (value->kind == LLM_JSON_NUMBER)
	{
		if ((word = keyword(schema, "minimum")) != NULL && compare_exactly(value, word) < 0)
			return false;
		if ((word = keyword(schema, "maximum")) != NULL && compare_exactly(value, word) > 0)
			return false;
		if ((word = keyword(schema, "exclusiveMinimum")) != NULL && compare_exactly(value, word) <= 0)
			return false;
		if ((word = keyword(schema, "exclusiveMaximum")) != NULL && compare_exactly(value, word) >= 0)
			return false;
		if ((word = keyword(schema, "multipleOf")) != NULL && decimals_of(value) > decimals_of(word))
			return false;
	}
	if (value->kind != LLM_JSON_STRING || value->length > sizeof(text) - 1)
		return value->kind != LLM_JSON_STRING;
	memcpy(text, value->text, value->length);
	if ((word = keyword(schema, "minLength")) != NULL && (double) count_characters(value) < number_of(word))
		return false;
	if ((word = keyword(schema, "maxLength")) != NULL && (double) count_characters(value) > number_of(word))
		return false;
	if ((word = keyword(schema, "pattern")) != NULL)
	{
		memcpy(wanted, word->text, word->length);
		if (!matches_regex(wanted, text))
			return false;
	}
	if ((word = keyword(schema, "format")) != NULL)
	{
		memset(wanted, 0, sizeof(wanted));
		memcpy(wanted, word->text, word->length);
		if (!has_format(wanted, text))
			return false;
	}
	return true;
}

static inline bool
is_valid_container(const LlmJson *root, const LlmJson *schema, const LlmJson *value)
{
	const LlmJson *required = keyword(schema, "required");
	const LlmJson *properties = keyword(schema, "properties");
	const LlmJson *additional = keyword(schema, "additionalProperties");
	const LlmJson *prefix = keyword(schema, "prefixItems");
	const LlmJson *items = keyword(schema, "items");
	const LlmJson *word;

	if (value->kind == LLM_JSON_OBJECT)
	{
		for (const LlmJson *name = required ? required->first : NULL; name != NULL; name = name->next)
		{
			if (member(value, name->text, name->length) == NULL)
				return false;
		}
		for (const LlmJson *child = value->first; child != NULL; child = child->next)
		{
			const LlmJson *property = properties ? member(properties, child->name, child->name_length) : NULL;

			property = property == NULL ? additional : property;
			if (property != NULL && !is_valid(root, property, child))
				return false;
		}
		return true;
	}
	if (value->kind != LLM_JSON_ARRAY)
		return true;
	if ((word = keyword(schema, "minItems")) != NULL && (double) count_items(value) < number_of(word))
		return false;
	if ((word = keyword(schema, "maxItems")) != NULL && (double) count_items(value) > number_of(word))
		return false;
	prefix = prefix ? prefix->first : NULL;
	for (const LlmJson *child = value->first; child != NULL; child = child->next)
	{
		const LlmJson *item = prefix != NULL ? prefix : items;

		if (item != NULL && !is_valid(root, item, child))
			return false;
		prefix = prefix != NULL ? prefix->next : NULL;
	}
	return true;
}

static inline bool
is_valid(const LlmJson *root, const LlmJson *schema, const LlmJson *value)
{
	const LlmJson *word;
	int			n = 0;

	if (schema->kind != LLM_JSON_OBJECT)
		return schema->kind == LLM_JSON_TRUE;
	if ((word = keyword(schema, "$ref")) != NULL)
	{
		const LlmJson *target = root;

		/* "#" or "#/$defs/NAME" */
		if (word->length > 8)
			target = member(keyword(root, "$defs"), word->text + 8, word->length - 8);
		if (!is_valid(root, target, value))
			return false;
	}
	if ((word = keyword(schema, "type")) != NULL)
	{
		bool		found = word->kind == LLM_JSON_STRING && has_type(value, word);

		for (const LlmJson *name = word->first; name != NULL && !found; name = name->next)
			found = has_type(value, name);
		if (!found)
			return false;
	}
	if ((word = keyword(schema, "const")) != NULL && !same_value(word, value))
		return false;
	if ((word = keyword(schema, "enum")) != NULL)
	{
		bool		found = false;

		for (const LlmJson *item = word->first; item != NULL && !found; item = item->next)
			found = same_value(item, value);
		if (!found)
			return false;
	}
	for (word = keyword(schema, "allOf"), word = word ? word->first : NULL; word != NULL; word = word->next)
	{
		if (!is_valid(root, word, value))
			return false;
	}
	if ((word = keyword(schema, "anyOf")) != NULL)
	{
		for (word = word->first; word != NULL; word = word->next)
			n += is_valid(root, word, value);
		if (n == 0)
			return false;
	}
	if ((word = keyword(schema, "oneOf")) != NULL)
	{
		n = 0;
		for (word = word->first; word != NULL; word = word->next)
			n += is_valid(root, word, value);
		if (n != 1)
			return false;
	}
	return is_valid_scalar(schema, value) && is_valid_container(root, schema, value);
}

#endif							/* SCHEMA_VALIDATOR_H */
