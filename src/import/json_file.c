/*
 * json_file.c
 *		JSON files of a model folder, and typed looks into them.
 */
#include "import/json_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "import/whole_file.h"

#define MAX_PATH 4096

json_t *
json_parse_object(const char *text, size_t length, const char *what, LlmError *error)
{
	json_error_t failure;
	json_t	   *object = json_loadb(text, length, JSON_REJECT_DUPLICATES, &failure);

	if (object == NULL)
		llm_fail(error, LLM_ERROR_CORRUPT_FILE, "%s is not JSON: line %d: %s", what, failure.line,
				 failure.text);
	else if (!json_is_object(object))
	{
		llm_fail(error, LLM_ERROR_CORRUPT_FILE, "%s is not a JSON object", what);
		json_decref(object);
		object = NULL;
	}
	return object;
}

json_t *
json_read_object(const char *folder, const char *name, LlmError *error)
{
	char		path[MAX_PATH];
	uint64_t	length;
	char	   *text;
	json_t	   *object;

	if (!folder_path(folder, name, path, sizeof(path), error))
		return NULL;
	text = load_whole_file(path, JSON_MAX_BYTES, &length, error);
	if (text == NULL)
		return NULL;
	object = json_parse_object(text, length, name, error);
	free(text);
	return object;
}

bool
json_get_count(const json_t *object, const char *key, int32_t *value, LlmError *error)
{
	const json_t *member = json_object_get(object, key);

	if (member == NULL || json_is_null(member))
		return true;
	if (!json_is_integer(member))
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "\"%s\" is not an integer", key);
	if (json_integer_value(member) < 0 || json_integer_value(member) > INT32_MAX)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "\"%s\" is %" JSON_INTEGER_FORMAT
						", out of range", key, json_integer_value(member));
	*value = (int32_t) json_integer_value(member);
	return true;
}

bool
json_need_count(const json_t *object, const char *key, int32_t *value, LlmError *error)
{
	const json_t *member = json_object_get(object, key);

	if (member == NULL || json_is_null(member))
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "\"%s\" is missing", key);
	return json_get_count(object, key, value, error);
}

bool
json_get_number(const json_t *object, const char *key, double *value, LlmError *error)
{
	const json_t *member = json_object_get(object, key);

	if (member == NULL || json_is_null(member))
		return true;
	if (!json_is_number(member))
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "\"%s\" is not a number", key);
	*value = json_number_value(member);
	return true;
}

bool
json_get_flag(const json_t *object, const char *key, bool *value, LlmError *error)
{
	const json_t *member = json_object_get(object, key);

	if (member == NULL || json_is_null(member))
		return true;
	if (!json_is_boolean(member))
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "\"%s\" is neither true nor false", key);
	*value = json_is_true(member);
	return true;
}

const char *
json_get_text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

bool
folder_has(const char *folder, const char *name)
{
	char		path[MAX_PATH];
	struct stat status;

	return folder_path(folder, name, path, sizeof(path), NULL) &&
		(lstat(path, &status) == 0 || (errno != ENOENT && errno != ENOTDIR));
}

bool
folder_path(const char *folder, const char *name, char *out, size_t size, LlmError *error)
{
	int			length = snprintf(out, size, "%s/%s", folder, name);

	if (length < 0 || (size_t) length >= size)
		return llm_fail(error, LLM_ERROR_LIMIT, "the name of file \"%.100s\" is too long", name);
	return true;
}
