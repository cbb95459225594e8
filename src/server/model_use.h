/*
 * model_use.h
 *		A backend's view of a resident model: its vocabulary, and waiting for it.
 */
#ifndef LLAMA2_MODEL_USE_H
#define LLAMA2_MODEL_USE_H

#include "shared/control.h"

#include "text/vocabulary.h"

typedef struct Llama2Model
{
	int			index;			/* in the model table */
	uint64		generation;		/* of the entry when it was mapped */
	char		name[LLAMA2_MODEL_NAME_LENGTH];
	const LlmVocabulary *vocabulary;
	int32		context_length;
	dsm_segment *segment;
} Llama2Model;

/* Raises an error that says what to set where the library was not preloaded. */
extern void Llama2RequirePreload(void);

/*
 * The named model (NULL: llama2.model), started and waited for where it is not
 * resident.  The result stays valid to the end of the process or until the
 * same name is used again after a change of the model.
 */
extern const Llama2Model *Llama2UseModel(const char *name);

/*
 * Is the named model resident?  Does not wait: where it is not, a worker is asked for, once for
 * each *asked; a worker that was asked and failed raises its error.
 */
extern bool Llama2ModelIsReady(const char *name, bool *asked);

/* Raise a worker's failure as this backend's error. */
extern void Llama2RaiseFailure(const Llama2Failure *failure) pg_attribute_noreturn();

#endif							/* LLAMA2_MODEL_USE_H */
