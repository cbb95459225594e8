/*
 * template.h
 *		Prompt templates: text with {column} places.
 */
#ifndef LLAMA2_TEMPLATE_H
#define LLAMA2_TEMPLATE_H

#include "postgres.h"

/* literals[0] names[0] literals[1] ... names[n_places - 1] literals[n_places] */
typedef struct Llama2Template
{
	int			n_places;
	char	  **literals;
	char	  **names;
} Llama2Template;

/* "{{" and "}}" stand for the braces themselves; anything malformed is an error. */
extern Llama2Template *Llama2TemplateParse(const char *source);

/* The text with values[i] (NULL: null) in the places; NULL where any value is null. */
extern char *Llama2TemplateRender(const Llama2Template *template, char *const *values);

#endif							/* LLAMA2_TEMPLATE_H */
