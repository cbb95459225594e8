/*
 * read_bytes.h
 *		Reading a known piece of a file, whatever the system gives at once.
 */
#ifndef LLM_READ_BYTES_H
#define LLM_READ_BYTES_H

#include <stdint.h>

/*
 * Read n bytes at an offset of a file.  Returns how many there were: fewer than n where
 * the file ends or, with *error_number not 0, reading failed.
 */
extern uint64_t llm_read_bytes(int descriptor, uint64_t offset, void *out, uint64_t n, int *error_number);

#endif							/* LLM_READ_BYTES_H */
