/*
 * alternatives.h
 *		Several texts for one prompt, and which of them is the best.
 */
#ifndef LLAMA2_ALTERNATIVES_H
#define LLAMA2_ALTERNATIVES_H

#include "server/work.h"

/* How many texts a call generates for each prompt. */
static inline int
Llama2CountAlternatives(const Llama2Work *work)
{
	const Llama2Options *options = &work->call.options;

	return Max(options->best_of > 0 ? options->best_of : options->n, 1);
}

/*
 * For prepare, once the call is begun: the questions of a call that has one prompt, which becomes its state.  Where the prompt is
 * repeated and log-probabilities are asked for, the last question scores it.
 */
extern void Llama2AskForOne(Llama2Work *work, Llama2PromptKind kind, Datum prompt);

/* That question's request, or NULL. */
extern const Llama2Request *Llama2EchoScores(const Llama2Work *work);

/* The text of a question that has an answer, with its prompt before it where the options say so. */
extern text *Llama2AlternativeText(const Llama2Work *work, int number, Datum prompt);

/* The mean log-probability of a request's tokens, which is done; -infinity where there are none. */
extern double Llama2MeanLogprob(const Llama2Request *request);

/*
 * Of the n questions from `first` on, whose requests are done, the one with the greatest mean; of equals, and where none
 * has an answer, the first.
 */
extern int	Llama2BestAlternative(const Llama2Work *work, int first, int n);

/* Whether question a is a better one than b. */
extern bool Llama2IsBetterAlternative(const Llama2Work *work, int a, int b);

#endif							/* LLAMA2_ALTERNATIVES_H */
