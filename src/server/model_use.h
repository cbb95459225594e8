/*
 * model_use.h
 *		A backend's view of a resident model: its vocabulary, and its file.
 */
#ifndef LLAMA2_MODEL_USE_H
#define LLAMA2_MODEL_USE_H

#include "shared/control.h"

#include "text/vocabulary.h"

typedef struct Llama2Model
{
	int			index;			/* in the model table */
	uint64		generation;		/* of the entry when it was looked at last */
	uint64		vocabulary_generation;
	char		name[LLAMA2_MODEL_NAME_LENGTH];
	const LlmVocabulary *vocabulary;
	int32		context_length;
	int32		dim;			/* of a token's state */
} Llama2Model;

/* Raises an error that says what to set where the library was not preloaded. */
extern void Llama2RequirePreload(void);

/* Raises an error where no file of a model can have that name. */
extern void Llama2RequireModelName(const char *name);

/*
 * The named model (NULL: llama2.model), started and waited for where it is not
 * resident.  The result stays valid to the end of the transaction, and beyond it until the name
 * stands for another vocabulary; that the model goes and comes again changes its index and generation only.
 */
extern const Llama2Model *Llama2UseModel(const char *name);

/* Is this still what a transaction before got? */
extern bool Llama2ModelIsMapped(const Llama2Model *model, uint64 vocabulary_generation);

/* Let the next use of the model look at its file, and warn where that has changed since it was loaded. */
extern void Llama2LookAtFile(const char *name);

/* Is the file of that name another one than was loaded?  One that is gone is not. */
extern bool Llama2FileHasChanged(const char *name, const LlmFileIdentity *loaded);

#endif							/* LLAMA2_MODEL_USE_H */
