/*
 * reference_logits.h
 *		The reference of a fixture model: its ids, logits, and a peer's error.
 */
#ifndef REFERENCE_LOGITS_H
#define REFERENCE_LOGITS_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"

typedef struct Reference
{
	int32_t		ids[512];
	int32_t		n_ids;
	int32_t		vocabulary_size;
	double		peer_error;		/* relative L2 */
	float	   *logits;			/* [n_ids][vocabulary_size] */
} Reference;

/* ||ours - expected|| / ||expected|| */
static inline double
relative_l2(const float *ours, const float *expected, size_t n)
{
	double		difference = 0;
	double		norm = 0;

	for (size_t i = 0; i < n; i++)
	{
		double		d = (double) ours[i] - expected[i];

		difference += d * d;
		norm += (double) expected[i] * expected[i];
	}
	return sqrt(difference / norm);
}

/* The text behind "key": or NULL. */
static inline const char *
behind_key(const char *json, const char *key)
{
	char		quoted[64];
	const char *found;

	snprintf(quoted, sizeof(quoted), "\"%s\"", key);
	found = json != NULL ? strstr(json, quoted) : NULL;
	found = found != NULL ? strchr(found + strlen(quoted), ':') : NULL;
	return found != NULL ? found + 1 : NULL;
}

static inline char *
read_whole_file(const char *path, size_t *length)
{
	FILE	   *file = fopen(path, "rb");
	char	   *content = NULL;

	if (file == NULL)
		return NULL;
	fseek(file, 0, SEEK_END);
	*length = (size_t) ftell(file);
	rewind(file);
	content = malloc(*length + 1);
	if (content != NULL && fread(content, 1, *length, file) == *length)
		content[*length] = '\0';
	fclose(file);
	return content;
}

/*
 * The entry `name` of a fixture file of references (NULL: the file is one entry),
 * and its logits from the fixture logits_file.
 */
static inline bool
read_reference(Reference *reference, const char *json_file, const char *name, const char *logits_file)
{
	const char *path = fixture_path(json_file);
	size_t		length = 0;
	char	   *json = path != NULL ? read_whole_file(path, &length) : NULL;
	const char *entry = name != NULL ? behind_key(json, name) : json;
	const char *ids = behind_key(entry, "ids");
	const char *shape = behind_key(entry, "shape");
	const char *peer = behind_key(entry, "relative_l2");
	char	   *end;

	memset(reference, 0, sizeof(*reference));
	if (ids == NULL || shape == NULL || peer == NULL)
	{
		free(json);
		return false;
	}
	ids = strchr(ids, '[');
	while (*ids != ']' && reference->n_ids < 512)
	{
		reference->ids[reference->n_ids++] = (int32_t) strtol(ids + 1, &end, 10);
		ids = end + strspn(end, " \t\r\n");
	}
	shape = strchr(shape, '[') + 1;
	if (strtol(shape, &end, 10) == reference->n_ids)
		reference->vocabulary_size = (int32_t) strtol(strchr(end, ',') + 1, NULL, 10);
	reference->peer_error = strtod(peer, NULL);
	free(json);

	path = fixture_path(logits_file);
	reference->logits = path != NULL ? (float *) (void *) read_whole_file(path, &length) : NULL;
	return reference->logits != NULL &&
		length == (size_t) reference->n_ids * (size_t) reference->vocabulary_size * sizeof(float);
}

#endif							/* REFERENCE_LOGITS_H */
