/*
 * progress.h
 *		How far long statements are, as the view llama2_progress shows it.
 *
 * Where no entry is free a statement goes unseen: every function takes NULL for its entry.
 */
#ifndef LLAMA2_PROGRESS_H
#define LLAMA2_PROGRESS_H

#include "shared/control.h"

/* Take an entry; it is given back when the context is reset.  NULL where none is free. */
extern Llama2Progress *Llama2BeginProgress(MemoryContext context, double n_estimated);

/* So many rows more were read, and done. */
extern void Llama2ProgressRows(Llama2Progress *entry, int64 n_read, int64 n_done);

/* So many requests more were answered, with these tokens. */
extern void Llama2ProgressRequests(Llama2Progress *entry, int64 n_requests, int64 n_prompt_tokens,
								   int64 n_completion_tokens);

#endif							/* LLAMA2_PROGRESS_H */
