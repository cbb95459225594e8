/*
 * give_way.h
 *		Pauses of a model that does nothing but jobs, while others wait for the processors.
 */
#ifndef LLAMA2_GIVE_WAY_H
#define LLAMA2_GIVE_WAY_H

#include "postgres.h"

/*
 * Around a step; true if it calls for a pause.  What the processes of `owners`, whose requests are computed,
 * do meanwhile calls for none: they write results of these jobs.
 */
extern void Llama2StepBegins(const int *owners, int n_owners);
extern bool Llama2StepEnds(const int *owners, int n_owners);

/*
 * How many milliseconds are left of the pause that the last step calls for; 0 where no other process wanted the
 * processors meanwhile.  Pauses grow until the model computes for llama2.job_share percent of the time,
 * or they last a second.
 */
extern long Llama2PauseLeft(void);

/* Somebody waited, so nothing is left of it. */
extern void Llama2EndPause(void);

#endif							/* LLAMA2_GIVE_WAY_H */
