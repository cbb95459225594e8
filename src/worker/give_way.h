/*
 * give_way.h
 *		Pauses of a model that does nothing but jobs, while others wait for the processors.
 */
#ifndef LLAMA2_GIVE_WAY_H
#define LLAMA2_GIVE_WAY_H

#include "postgres.h"

/* Job workers, of other databases each, whose part in the waiting is known. */
#define GIVE_WAY_OWNERS 8

/*
 * Around a step of jobs alone; true if it and those before it call for a pause.  What the processes of `owners`, whose
 * requests are computed (GIVE_WAY_OWNERS at most), do meanwhile calls for none: they write results of these jobs.
 */
extern void Llama2StepBegins(const int *owners, int n_owners);
extern bool Llama2StepEnds(void);

/*
 * How many milliseconds are left of the pause that the last steps call for; 0 where no other process wanted the
 * processors meanwhile.  Pauses grow until the model computes for llama2.job_share percent of the time,
 * or they last a second.
 */
extern long Llama2PauseLeft(void);

/* Somebody waited, so nothing is left of it, and the steps before do not count. */
extern void Llama2EndPause(void);

#endif							/* LLAMA2_GIVE_WAY_H */
