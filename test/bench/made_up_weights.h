/*
 * made_up_weights.h
 *		Weights that are distributed about as trained ones are, the same on every machine.
 */
#ifndef MADE_UP_WEIGHTS_H
#define MADE_UP_WEIGHTS_H

#include <stdint.h>

#define FIRST_STATE UINT64_C(88172645463325252)

/* A sum of six uniform numbers from a xorshift64 (Marsaglia 2003): deviation 0.7. */
static inline float
made_up_weight(uint64_t *state)
{
	float		total = 0;

	for (int i = 0; i < 6; i++)
	{
		*state ^= *state << 13;
		*state ^= *state >> 7;
		*state ^= *state << 17;
		total += (float) (*state >> 40) / 16777216.0f - 0.5f;
	}
	return total;
}

#endif							/* MADE_UP_WEIGHTS_H */
