/*
 * score.h
 *		Questions that score a text's tokens.
 */
#ifndef LLAMA2_SCORE_H
#define LLAMA2_SCORE_H

#include "server/work.h"

/*
 * Prompt and completion as one text; the tokens that begin at or after the border are to be scored, the
 * first of them is *score_from (n_ids where there is none).
 */
extern Llama2Prompt Llama2JoinTexts(const Llama2Model *model, text *prompt, text *completion, int32 *score_from);

/* Make a work one of scores, by this model. */
extern void Llama2BeginScores(Llama2Work *work, char *model);

/* The question of a prompt's tokens from score_from on; an error where the prompt does not fit the context. */
extern void Llama2AskScore(Llama2Work *work, int number, Llama2Prompt prompt, int32 score_from);

/* The sum of the tokens' log-probabilities, in their order, of a question that is done. */
extern double Llama2ScoreOf(const Llama2Work *work, int number);

#endif							/* LLAMA2_SCORE_H */
