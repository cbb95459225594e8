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

/* Digits behind the point. */
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
has_exponent(const LlmJson *value)
{
	return memchr(value->text, 'e', value->length) != NULL || memchr(value->text, 'E', value->length) != NULL;
}

/* Doubles are too coarse for large values. */
static inline bool
is_integer(const LlmJson *value)
{
	return value->kind == LLM_JSON_NUMBER && (has_exponent(value) ? number_of(value) == floor(number_of(value)) : decimals_of(value) == 0);
}

/* Digit by digit, as integers of as many decimals as both have. */
static inline bool
is_multiple(const LlmJson *value, const LlmJson *step)
{
	const LlmJson *numbers[2] = {step, value};
	size_t		decimals = decimals_of(value) > decimals_of(step) ? decimals_of(value) : decimals_of(step);
	unsigned	__int128 results[2] = {0, 0};

	if (has_exponent(value) || has_exponent(step))
		return fmod(number_of(value), number_of(step)) == 0;
	for (int i = 0; i < 2; i++)
	{
		const LlmJson *number = numbers[i];
		bool		behind = false;
		size_t		n = 0;

		for (size_t k = number->text[0] == '-'; k < number->length && (!behind || n < decimals_of(number)); k++)
		{
			if (number->text[k] == '.')
			{
				behind = true;
				continue;
			}
			n += behind;
			results[i] = results[i] * 10 + (unsigned) (number->text[k] - '0');
			if (i == 1)
				results[1] %= results[0];
		}
		for (; n < decimals; n++)
			results[i] = i == 1 ? results[1] * 10 % results[0] : results[i] * 10;
	}
	return results[1] == 0;
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
		if ((word = keyword(schema, "multipleOf")) != NULL && !is_multiple(value, word))
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

/* Of members with the same name the last one counts. */
static inline size_t
count_members(const LlmJson *object)
{
	size_t		n = 0;

	for (const LlmJson *child = object->first; child != NULL; child = child->next)
		n += member(object, child->name, child->name_length) == child;
	return n;
}

static inline bool
has_members(const LlmJson *object, const LlmJson *names)
{
	for (const LlmJson *name = names->first; name != NULL; name = name->next)
	{
		if (member(object, name->text, name->length) == NULL)
			return false;
	}
	return true;
}

/* "properties", "patternProperties", and for what neither has "additionalProperties"; every member, though one hides another. */
static inline bool
is_valid_member(const LlmJson *root, const LlmJson *schema, const LlmJson *child)
{
	const LlmJson *properties = keyword(schema, "properties");
	const LlmJson *patterns = keyword(schema, "patternProperties");
	const LlmJson *additional = keyword(schema, "additionalProperties");
	const LlmJson *names = keyword(schema, "propertyNames");
	const LlmJson *property = properties ? member(properties, child->name, child->name_length) : NULL;
	LlmJson		name = {.kind = LLM_JSON_STRING, .text = child->name, .length = child->name_length};
	bool		known = property != NULL;
	char		key[4096] = {0};
	char		pattern[512];

	memcpy(key, child->name, child->name_length < 4095 ? child->name_length : 4095);
	if (known && !is_valid(root, property, child))
		return false;
	for (const LlmJson *one = patterns ? patterns->first : NULL; one != NULL; one = one->next)
	{
		snprintf(pattern, sizeof(pattern), "%.*s", (int) one->name_length, one->name);
		if (!matches_regex(pattern, key))
			continue;
		known = true;
		if (!is_valid(root, one, child))
			return false;
	}
	if (!known && additional != NULL && !is_valid(root, additional, child))
		return false;
	return names == NULL || is_valid(root, names, &name);
}

static inline bool
is_valid_object(const LlmJson *root, const LlmJson *schema, const LlmJson *value)
{
	static const char *const dependents[] = {"dependentRequired", "dependentSchemas", "dependencies"};
	const LlmJson *word;

	if ((word = keyword(schema, "required")) != NULL && !has_members(value, word))
		return false;
	if ((word = keyword(schema, "minProperties")) != NULL && (double) count_members(value) < number_of(word))
		return false;
	if ((word = keyword(schema, "maxProperties")) != NULL && (double) count_members(value) > number_of(word))
		return false;
	for (int i = 0; i < 3; i++)
	{
		word = keyword(schema, dependents[i]);
		for (const LlmJson *one = word ? word->first : NULL; one != NULL; one = one->next)
		{
			if (member(value, one->name, one->name_length) == NULL)
				continue;
			if (one->kind == LLM_JSON_ARRAY ? !has_members(value, one) : !is_valid(root, one, value))
				return false;
		}
	}
	for (const LlmJson *child = value->first; child != NULL; child = child->next)
	{
		if (!is_valid_member(root, schema, child))
			return false;
	}
	return true;
}

static inline bool
is_valid_array(const LlmJson *root, const LlmJson *schema, const LlmJson *value)
{
	const LlmJson *prefix = keyword(schema, "prefixItems");
	const LlmJson *items = keyword(schema, "items");
	const LlmJson *contains = keyword(schema, "contains");
	const LlmJson *word;
	double		n = 0;

	if ((word = keyword(schema, "minItems")) != NULL && (double) count_items(value) < number_of(word))
		return false;
	if ((word = keyword(schema, "maxItems")) != NULL && (double) count_items(value) > number_of(word))
		return false;
	if (items != NULL && items->kind == LLM_JSON_ARRAY)
	{
		/* as it was before "prefixItems" */
		prefix = items;
		items = keyword(schema, "additionalItems");
	}
	prefix = prefix ? prefix->first : NULL;
	for (const LlmJson *child = value->first; child != NULL; child = child->next)
	{
		const LlmJson *item = prefix != NULL ? prefix : items;

		if (item != NULL && !is_valid(root, item, child))
			return false;
		prefix = prefix != NULL ? prefix->next : NULL;
		n += contains != NULL && is_valid(root, contains, child);
	}
	if (contains != NULL)
	{
		word = keyword(schema, "minContains");
		if (n < (word != NULL ? number_of(word) : 1))
			return false;
		word = keyword(schema, "maxContains");
		if (word != NULL && n > number_of(word))
			return false;
	}
	word = keyword(schema, "uniqueItems");
	for (const LlmJson *child = value->first; child != NULL && word != NULL && word->kind == LLM_JSON_TRUE; child = child->next)
	{
		for (const LlmJson *other = value->first; other != child; other = other->next)
		{
			if (same_value(other, child))
				return false;
		}
	}
	return true;
}

static inline bool
is_valid_container(const LlmJson *root, const LlmJson *schema, const LlmJson *value)
{
	if (value->kind == LLM_JSON_OBJECT)
		return is_valid_object(root, schema, value);
	return value->kind != LLM_JSON_ARRAY || is_valid_array(root, schema, value);
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
	if ((word = keyword(schema, "not")) != NULL && is_valid(root, word, value))
		return false;
	if ((word = keyword(schema, "if")) != NULL)
	{
		word = keyword(schema, is_valid(root, word, value) ? "then" : "else");
		if (word != NULL && !is_valid(root, word, value))
			return false;
	}
	return is_valid_scalar(schema, value) && is_valid_container(root, schema, value);
}

#endif							/* SCHEMA_VALIDATOR_H */
