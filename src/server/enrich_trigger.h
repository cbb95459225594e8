/*
 * enrich_trigger.h
 *		What a trigger was created with, kept by the session.
 */
#ifndef LLAMA2_ENRICH_TRIGGER_H
#define LLAMA2_ENRICH_TRIGGER_H

#include "postgres.h"

#include "fmgr.h"

#include "server/enrich_target.h"
#include "server/generate_batch.h"

typedef struct Llama2EnrichTrigger
{
	Llama2EnrichTarget target;
	Llama2Settings *settings;
	int			checked_limit;	/* llama2.max_tokens_limit when the settings were checked */
	Jsonb	   *options;		/* of jobs, as of options_version; see Llama2EnrichJobOptions */
	uint64		options_version;
	MemoryContext context;		/* all of the above */
} Llama2EnrichTrigger;

/*
 * The trigger's arguments, read and checked when the session first fires it and whenever its table has changed; with
 * the key, unless the trigger is fired before a row is stored.  Good until the transaction ends.  Raises an error
 * where the function was not called as a trigger.
 */
extern Llama2EnrichTrigger *Llama2EnrichTriggerOf(FunctionCallInfo fcinfo, const char *function);

/* Its settings with the session's parameters as they are now. */
extern const Jsonb *Llama2EnrichJobOptions(Llama2EnrichTrigger *trigger);

#endif							/* LLAMA2_ENRICH_TRIGGER_H */
