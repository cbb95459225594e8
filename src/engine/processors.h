/*
 * processors.h
 *		How many processors this process may use, and where among them a thread is.
 */
#ifndef LLM_PROCESSORS_H
#define LLM_PROCESSORS_H

#include <stdint.h>

/* Those that it may run on, but no more than its control groups give it the time of; at least 1. */
extern int32_t llm_processor_count(void);

/*
 * What control groups limit the time to, in processors, rounded up; 0: they do not.  `groups` is a file as
 * /proc/self/cgroup, root the folder of their file systems, /sys/fs/cgroup.
 */
extern int32_t llm_processor_quota(const char *groups, const char *root);

/* The processor that the calling thread is on; -1 where the system does not tell. */
extern int32_t llm_processor_of_thread(void);

/*
 * Move the calling thread to a processor that it may use and that is not taken, if there is one, and let the system
 * move it on from there as before.  Returns the one that it is on then.
 */
extern int32_t llm_processor_leave(const int32_t *taken, int32_t n_taken);

#endif							/* LLM_PROCESSORS_H */
