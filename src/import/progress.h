/*
 * progress.h
 *		What llama2-import tells while it works, on its standard error.
 */
#ifndef IMPORT_PROGRESS_H
#define IMPORT_PROGRESS_H

#include "text/base.h"

typedef struct Progress
{
	uint64_t	total;			/* bytes of the source */
	uint64_t	done;
	double		started;
	double		shown;			/* seconds after the start, when it was shown last */
	int			shown_tenth;
	bool		bar;			/* on a terminal: one line that is written over */
	bool		quiet;
} Progress;

extern void progress_start(Progress *progress, uint64_t total, bool quiet);
extern void progress_add(Progress *progress, const char *what, uint64_t n);
extern void progress_end(void);

/* Seconds since progress_start. */
extern double progress_seconds(const Progress *progress);

/* What the user ought to know though it is no error. */
extern void notice(const char *format,...) __attribute__((format(printf, 1, 2)));
extern void notices_off(void);

/* "13.5 GB" in out[size], which is returned. */
extern const char *format_bytes(uint64_t n, char *out, size_t size);

#endif							/* IMPORT_PROGRESS_H */
