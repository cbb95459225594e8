/*
 * processors.h
 *		How many processors this process may use.
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

#endif							/* LLM_PROCESSORS_H */
