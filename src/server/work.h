/*
 * work.h
 *		One call of a function as work for the model's worker: prompts to ask, and an answer made of
 *		theirs.
 *
 * A function that waits for the worker is two halves.  The first reads the arguments and leaves the questions;
 * the second makes the answer when all of them are done.  Between the two the caller may do
 * other things, such as the first half for the next row.
 */
#ifndef LLAMA2_WORK_H
#define LLAMA2_WORK_H

#include "server/call.h"
#include "server/duplicates.h"

typedef struct Llama2Question
{
	Llama2Prompt prompt;		/* ids NULL: nothing is asked */
	int32		score_from;		/* of a score: its first token */
	bool		is_score;		/* beside texts: the prompt's own tokens */
	int			alternative;	/* of several texts for one prompt: its number, from 0 */
	char	   *trouble;		/* why not, where options->null_on_error makes it no error */
	Llama2Request *request;		/* once submitted */
	bool		is_duplicate;	/* somebody else asked the same */
} Llama2Question;

/* What the requests of a work were, once it is answered. */
typedef struct Llama2WorkCounts
{
	int64		requests;
	int64		duplicates;
	int64		prompt_tokens;
	int64		cached_tokens;
	int64		completion_tokens;
} Llama2WorkCounts;

typedef struct Llama2Work Llama2Work;

/*
 * Where the answer takes several rounds of questions: called when all are done and none has trouble, allocates and
 * leaves the next ones; false: there are no more, and those that are there stay for the second half.
 */
typedef bool (*Llama2NextFunction) (Llama2Work *work);

struct Llama2Work
{
	Llama2Call	call;
	LlmRequestKind kind;
	int			n_questions;
	int			n_submitted;
	Llama2Question *questions;
	Llama2NextFunction next;	/* NULL: this is the last round */
	Llama2WorkCounts counts;
	void	   *state;			/* the function's own, from the first half for the second */
};

/*
 * The halves.  prepare allocates in the current memory context what must live until the answer, and submits
 * nothing; false: the answer is NULL.  Arguments stay where they are until the answer.  answer reads the requests,
 * all of which are done, and sets fcinfo->isnull for NULL.
 */
typedef bool (*Llama2PrepareFunction) (FunctionCallInfo fcinfo, Llama2Work *work);
typedef Datum (*Llama2AnswerFunction) (FunctionCallInfo fcinfo, Llama2Work *work);

/* For prepare and next: room for so many questions, empty; those of the round before are gone. */
extern void Llama2WorkAllocate(Llama2Work *work, int n_questions);

/*
 * For prepare: the question of a text, a message or a dialog.  Where options->null_on_error is set, what is
 * wrong with the value becomes the question's trouble.
 */
extern void Llama2Ask(Llama2Work *work, int number, Llama2PromptKind kind, Datum value);

/* Likewise, of anything else that is in memory. */
typedef Llama2Prompt (*Llama2PromptMaker) (const Llama2Call *call, const void *source);
extern void Llama2AskMade(Llama2Work *work, int number, Llama2PromptMaker make, const void *source);

/* The same n times, as questions from `first` on: they have different seeds, those of the call and the next ones. */
extern void Llama2AskAlternatives(Llama2Work *work, int first, int n, Llama2PromptKind kind, Datum value);

/* For answer: has this question an answer?  Where it has none but trouble, gives the warning. */
extern bool Llama2IsAnswered(Llama2Work *work, int number);

/*
 * Submit what is not submitted yet; false where slots are short, which only happens
 * with may_fail.  Equal questions share a request where duplicates knows of one; NULL: those of any statement
 * that runs.
 */
extern bool Llama2WorkSubmit(Llama2Work *work, Llama2Duplicates *duplicates, bool may_fail);

/* Is every question of this round submitted and done? */
extern bool Llama2WorkIsDone(const Llama2Work *work);

/* How many are not done yet. */
extern int	Llama2WorkCountPending(const Llama2Work *work);

/* Of a round that is done: leave the questions of the next; false where there is none, or some question has trouble. */
extern bool Llama2WorkBeginRound(Llama2Work *work);

/* Has it the same answer whenever it is asked? */
extern bool Llama2WorkIsReproducible(const Llama2Work *work);

/*
 * Draw now for whoever makes the same call later: it then is as if the seed had been given, and the call that
 * takes it finds the answers among duplicates.
 */
extern void Llama2WorkDrawAhead(Llama2Work *work, Llama2Duplicates *duplicates);

/* Has a question that is done no answer? */
extern bool Llama2WorkHasTrouble(const Llama2Work *work);

/*
 * Make the answer in the current memory context, after what is left to be asked; raises an error where a request failed.
 * Releases the requests.
 */
extern Datum Llama2WorkAnswer(FunctionCallInfo fcinfo, Llama2Work *work, Llama2Duplicates *duplicates,
							  Llama2AnswerFunction answer);

/* The same without making it: submit what is not, and wait for all rounds.  The caller releases. */
extern void Llama2WorkFinish(Llama2Work *work, Llama2Duplicates *duplicates);

extern void Llama2WorkRelease(Llama2Work *work);

/* The same, of a round that is done: its requests are counted. */
extern void Llama2WorkEnd(Llama2Work *work);

/* Both halves, waiting between them: the plain call. */
extern Datum Llama2CallAlone(FunctionCallInfo fcinfo, Llama2PrepareFunction prepare, Llama2AnswerFunction answer);

#endif							/* LLAMA2_WORK_H */
