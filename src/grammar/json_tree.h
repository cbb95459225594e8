/*
 * json_tree.h
 *		A JSON value as a tree, for schemas.
 *
 * Whoever has parsed the JSON builds it (a backend from jsonb) and frees it; nothing here allocates.
 * `name` and `position` make a JSON pointer of a place in errors.
 */
#ifndef LLM_JSON_TREE_H
#define LLM_JSON_TREE_H

#include <stdbool.h>
#include <stddef.h>

typedef enum LlmJsonKind
{
	LLM_JSON_NULL,
	LLM_JSON_FALSE,
	LLM_JSON_TRUE,
	LLM_JSON_NUMBER,
	LLM_JSON_STRING,
	LLM_JSON_ARRAY,
	LLM_JSON_OBJECT
} LlmJsonKind;

typedef struct LlmJson
{
	LlmJsonKind kind;
	const char *text;			/* a string's UTF-8, or a number without exponent ("-12.50") */
	size_t		length;
	const char *name;			/* its key, where the parent is an object */
	size_t		name_length;
	int			position;		/* in an array, from 0 */
	const struct LlmJson *parent;
	const struct LlmJson *first;	/* child */
	const struct LlmJson *next; /* sibling */

	/* for what is not in the text: what has its place in errors; or NULL */
	const struct LlmJson *made_of;
} LlmJson;

#endif							/* LLM_JSON_TREE_H */
