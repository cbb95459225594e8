/*
 * step_width.c
 *		The width that yields the most tokens, of the whole and a few narrower ones.
 */
#include "engine/step_width.h"

#include <stdlib.h>

#define NARROWER 2				/* widths below the whole that come into question */
#define TRY_NEW_EVERY 16		/* choices: then one that is not known is tried, */
#define TRY_EVERY 32			/* and one that is, since that grows old */
#define GAIN_PERCENT 3			/* less is no reason to let anybody wait */
#define LONGER_PART 0.125		/* of a time beyond the usual that counts, as it may be chance */
#define TRIED_PART 0.5			/* the same of a width that was tried, as that is seldom */

static int32_t choose(LlmStepWidth *width, int32_t n);
static int32_t candidate(int32_t n, int32_t i);
static bool yields_more(const LlmStepWidth *width, int32_t fewer, int32_t more);

bool
llm_step_width_init(LlmStepWidth *width, int32_t most)
{
	*width = (LlmStepWidth)
	{
		.most = most, .usual_us = calloc((size_t) most + 1, sizeof(double))
	};
	return width->usual_us != NULL;
}

void
llm_step_width_free(LlmStepWidth *width)
{
	free(width->usual_us);
	width->usual_us = NULL;
}

int32_t
llm_step_width_choose(LlmStepWidth *width, int32_t n)
{
	width->lesson = LLM_LEARN_NOTHING;
	width->chosen = n <= LLM_ALWAYS_WHOLE ? n : choose(width, n);
	return width->chosen;
}

/*
 * Contexts grow, and the machine has other work: that makes steps of all widths longer or shorter alike, or those that are
 * not in use would seem the better the longer ago they were tried.  Shorter times count at once and longer ones in part.
 */
void
llm_step_width_note(LlmStepWidth *width, int32_t n, int64_t us)
{
	const double usual = width->usual_us[n];
	const double part = width->lesson == LLM_LEARN_TIME ? LONGER_PART : TRIED_PART;
	double		now = us < 1 ? 1 : (double) us;

	if (n != width->chosen)
		return;
	if (usual > 0 && now > usual)
		now = usual + part * (now - usual);
	if (width->lesson == LLM_LEARN_WIDTH)
		width->usual_us[n] = now;
	else if (width->lesson == LLM_LEARN_TIME)
		for (int32_t i = 0; i <= width->most; i++)
			width->usual_us[i] *= now / usual;
	width->lesson = LLM_LEARN_NOTHING;
}

/* Tries are rare from the start: who sits out is missed in the end, when few sequences are left. */
static int32_t
choose(LlmStepWidth *width, int32_t n)
{
	int32_t		best = n;

	width->n_choices++;
	width->lesson = LLM_LEARN_WIDTH;
	if (width->n_choices % TRY_NEW_EVERY == 0)
		for (int32_t i = 0; i <= NARROWER; i++)
			if (width->usual_us[candidate(n, i)] <= 0)
				return candidate(n, i);
	if (width->n_choices % TRY_EVERY == 0)
		return candidate(n, width->n_choices / TRY_EVERY % (NARROWER + 1));
	for (int32_t i = 1; i <= NARROWER; i++)
		if (yields_more(width, candidate(n, i), best))
			best = candidate(n, i);
	if (width->usual_us[best] > 0)
		width->lesson = LLM_LEARN_TIME;
	return best;
}

/* 0: the whole; 1: the multiple of four below it; 2: that of sixteen, the width of a tile of AMX.  They may be the same. */
static int32_t
candidate(int32_t n, int32_t i)
{
	static const int32_t multiple[NARROWER + 1] = {1, 4, 16};
	int32_t		below = i == 0 ? n : (n - 1) / multiple[i] * multiple[i];

	return below > LLM_ALWAYS_WHOLE ? below : LLM_ALWAYS_WHOLE;
}

/* Tokens a second, by GAIN_PERCENT at least, as far as is known. */
static bool
yields_more(const LlmStepWidth *width, int32_t fewer, int32_t more)
{
	return width->usual_us[fewer] > 0 &&
		100.0 * fewer * width->usual_us[more] >
		(100.0 + GAIN_PERCENT) * more * width->usual_us[fewer];
}
