/*
 * json_file.h
 *		JSON files of a model folder, and typed looks into them.
 */
#ifndef IMPORT_JSON_FILE_H
#define IMPORT_JSON_FILE_H

#include <jansson.h>

#include "text/base.h"

/* Far above what real models have, and low enough that parsing takes little memory. */
#define JSON_MAX_BYTES (UINT64_C(32) << 20)

/* The object that text[length] holds, or NULL; what names it in messages. */
extern json_t *json_parse_object(const char *text, size_t length, const char *what,
								 LlmError *error);

/* The object in the file FOLDER/NAME. */
extern json_t *json_read_object(const char *folder, const char *name, LlmError *error);

/*
 * Members of an object.  One that is absent or null leaves *value as it is; one of another
 * kind or out of range is an error.
 */
extern bool json_get_count(const json_t *object, const char *key, int32_t *value, LlmError *error);
extern bool json_get_number(const json_t *object, const char *key, double *value, LlmError *error);
extern bool json_get_flag(const json_t *object, const char *key, bool *value, LlmError *error);

/* NULL where it is absent or no string. */
extern const char *json_get_text(const json_t *object, const char *key);

/* The same as a count, but absent is an error. */
extern bool json_need_count(const json_t *object, const char *key, int32_t *value, LlmError *error);

/* Whether there is a FOLDER/NAME, be it one that cannot be read. */
extern bool folder_has(const char *folder, const char *name);

/* FOLDER/NAME in out[size]; false, with *error filled, where it is too long. */
extern bool folder_path(const char *folder, const char *name, char *out, size_t size,
						LlmError *error);

#endif							/* IMPORT_JSON_FILE_H */
