/*
 * step_width.h
 *		How many of the sequences that decode a step takes, learnt from how long steps took.
 *
 * Products go by tiles of so many columns, and a tile that is hardly used costs almost as much as a full one.  So a step of
 * one sequence more can be so much longer that fewer tokens come of each second.  Then it is better for all to sit
 * out some steps in turns.  Where that is so depends on the processor, the weights' types and the model's shape.
 */
#ifndef LLM_STEP_WIDTH_H
#define LLM_STEP_WIDTH_H

#include <stdbool.h>
#include <stdint.h>

/* With so few sequences memory is the limit, and one more always pays. */
#define LLM_ALWAYS_WHOLE 8

/* What the step chosen last is to tell. */
typedef enum LlmStepLesson
{
	LLM_LEARN_NOTHING,
	LLM_LEARN_WIDTH,			/* how long such a step takes beside others */
	LLM_LEARN_TIME				/* how long steps take by now */
} LlmStepLesson;

typedef struct LlmStepWidth
{
	int32_t		most;			/* sequences */
	double	   *usual_us;		/* [most + 1] what a step of so many takes; 0: not known */
	uint32_t	n_choices;		/* so far, among more than LLM_ALWAYS_WHOLE */
	int32_t		chosen;			/* the last time */
	LlmStepLesson lesson;
} LlmStepWidth;

/* False for want of memory. */
extern bool llm_step_width_init(LlmStepWidth *width, int32_t most);
extern void llm_step_width_free(LlmStepWidth *width);

/* How many of n sequences, 1 .. most, the next step should take; to be called once for each step. */
extern int32_t llm_step_width_choose(LlmStepWidth *width, int32_t n);

/*
 * The step chosen last, in which nothing else happened but that n sequences decoded, took so long.
 * Where n is not what was chosen nothing is learnt.
 */
extern void llm_step_width_note(LlmStepWidth *width, int32_t n, int64_t us);

#endif							/* LLM_STEP_WIDTH_H */
