/*
 * score.h
 *		Requests that score a text's tokens.
 */
#ifndef LLAMA2_SCORE_H
#define LLAMA2_SCORE_H

#include "server/prompt.h"
#include "server/request.h"

/*
 * Prompt and completion as one text; the tokens that begin at or after the border are to be scored, the
 * first of them is *score_from (n_ids where there is none).
 */
extern Llama2Prompt Llama2JoinTexts(const Llama2Model *model, text *prompt, text *completion, int32 *score_from);

/* Queue the scoring of a prompt's tokens from score_from on; may_fail as in Llama2RequestSubmit. */
extern Llama2Request *Llama2SubmitScore(const Llama2Model *model, Llama2Prompt prompt, int32 score_from,
										bool may_fail);

#endif							/* LLAMA2_SCORE_H */
