/*
 * output_file.h
 *		A model file that appears whole or not at all.
 *
 * It is written under another name beside its own, which servers do not list, and
 * gets its name when all of it is on disk.  A signal that ends the program removes it.
 */
#ifndef IMPORT_OUTPUT_FILE_H
#define IMPORT_OUTPUT_FILE_H

#include "text/base.h"

typedef struct OutputFile
{
	char	   *path;			/* the model file */
	char	   *temporary;
	int			descriptor;
	bool		replace;
} OutputFile;

/* A file that is there already is an error unless it may be replaced. */
extern bool output_open(OutputFile *output, const char *folder, const char *name, bool replace,
						LlmError *error);

/* Claim room for the whole file, so that a full disk shows at once. */
extern bool output_reserve(OutputFile *output, uint64_t n, LlmError *error);
extern bool output_write(OutputFile *output, uint64_t offset, const void *bytes, uint64_t n,
						 LlmError *error);

/* All of it to disk. */
extern bool output_sync(OutputFile *output, LlmError *error);

/* Give the file its name; without it, output_close removes the file. */
extern bool output_publish(OutputFile *output, LlmError *error);
extern void output_close(OutputFile *output);

#endif							/* IMPORT_OUTPUT_FILE_H */
