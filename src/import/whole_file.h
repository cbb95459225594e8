/*
 * whole_file.h
 *		Small files, read whole.
 */
#ifndef IMPORT_WHOLE_FILE_H
#define IMPORT_WHOLE_FILE_H

#include "text/base.h"

/*
 * The file's bytes, to be freed, with a zero byte after them; NULL, with *error
 * filled, for a file that cannot be read or has more than `limit` bytes.
 */
extern char *load_whole_file(const char *path, uint64_t limit, uint64_t *length, LlmError *error);

#endif							/* IMPORT_WHOLE_FILE_H */
