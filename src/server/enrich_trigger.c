/*
 * enrich_trigger.c
 *		What a trigger was created with, kept by the session.
 *
 * Template, columns, key and settings are looked up once, not in every statement: that would cost more
 * than the rest of what an asynchronous trigger does.  When the table changes, or a trigger of it, the relation cache
 * says so.  What has been handed out by then is used until the transaction ends, and goes with it.
 */
#include "server/enrich_trigger.h"

#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "server/parameters.h"

typedef struct KeptTrigger
{
	Oid			id;
	Llama2EnrichTrigger *trigger;
} KeptTrigger;

static void make_table(void);
static Llama2EnrichTrigger *read_trigger(TriggerData *data);
static void check_definition(TriggerData *data, const char *function);
static void forget_table(Datum arg, Oid relid);

static HTAB *kept = NULL;		/* of KeptTrigger */
static uint64 n_forgotten = 0;	/* whatever was being read meanwhile is not kept */

Llama2EnrichTrigger *
Llama2EnrichTriggerOf(FunctionCallInfo fcinfo, const char *function)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	Llama2EnrichTrigger *trigger = fcinfo->flinfo->fn_extra;
	KeptTrigger *found;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by a trigger", function)));
	if (trigger)
		return trigger;
	check_definition(data, function);
	if (kept == NULL)
		make_table();
	found = hash_search(kept, &data->tg_trigger->tgoid, HASH_FIND, NULL);
	trigger = found ? found->trigger : read_trigger(data);
	if (trigger->checked_limit != llama2_max_tokens_limit)
	{
		Llama2Options options;

		Llama2CheckSettings(trigger->settings, &options);
		trigger->checked_limit = llama2_max_tokens_limit;
	}
	fcinfo->flinfo->fn_extra = trigger;
	return trigger;
}

const Jsonb *
Llama2EnrichJobOptions(Llama2EnrichTrigger *trigger)
{
	uint64		version = Llama2DefaultsVersion();
	Jsonb	   *options;

	if (trigger->options_version != version)
	{
		MemoryContext caller = MemoryContextSwitchTo(trigger->context);

		options = Llama2SettingsForLater(trigger->settings);
		if (trigger->options)
			pfree(trigger->options);
		trigger->options = options;
		trigger->options_version = version;
		MemoryContextSwitchTo(caller);
	}
	return trigger->options;
}

static void
make_table(void)
{
	HASHCTL		control = {.keysize = sizeof(Oid), .entrysize = sizeof(KeptTrigger)};

	kept = hash_create("llama2 triggers", 16, &control, HASH_ELEM | HASH_BLOBS);
	CacheRegisterRelcacheCallback(forget_table, (Datum) 0);
}

static Llama2EnrichTrigger *
read_trigger(TriggerData *data)
{
	const Trigger *definition = data->tg_trigger;
	uint64		before = n_forgotten;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "llama2 trigger", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	Llama2EnrichTrigger *trigger = palloc0(sizeof(Llama2EnrichTrigger));
	KeptTrigger *entry;

	trigger->context = context;
	Llama2EnrichTargetInit(&trigger->target, data->tg_relation, definition->tgargs[0], definition->tgargs[1]);
	if (!TRIGGER_FIRED_BEFORE(data->tg_event))
		Llama2EnrichTargetKeys(&trigger->target, data->tg_relation);
	trigger->settings = Llama2ReadSettings(definition->tgargs + 2, definition->tgnargs - 2);
	trigger->checked_limit = llama2_max_tokens_limit;
	MemoryContextSwitchTo(caller);
	MemoryContextSetParent(context, TopTransactionContext);
	if (before == n_forgotten)
	{
		entry = hash_search(kept, &definition->tgoid, HASH_ENTER, NULL);
		entry->trigger = trigger;
		MemoryContextSetParent(context, TopMemoryContext);
	}
	return trigger;
}

static void
check_definition(TriggerData *data, const char *function)
{
	const Trigger *definition = data->tg_trigger;

	Llama2RequirePreload();
	if (definition->tgnargs < 2)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger \"%s\" gives function \"%s\" too few arguments",
						definition->tgname, function),
				 errhint("They are the column to fill, the prompt template, and options if wanted: "
						 "%s('summary', 'Summarize: {body}', 'max_tokens=40').", function)));
	if (!TRIGGER_FIRED_BY_INSERT(data->tg_event) && !TRIGGER_FIRED_BY_UPDATE(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger \"%s\" must be fired for INSERT or UPDATE", definition->tgname)));
}

/* Of a table, or of all.  Between transactions nobody uses what was handed out. */
static void
forget_table(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS scan;
	KeptTrigger *entry;

	n_forgotten++;
	hash_seq_init(&scan, kept);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (OidIsValid(relid) && entry->trigger->target.relid != relid)
			continue;
		if (TopTransactionContext)
			MemoryContextSetParent(entry->trigger->context, TopTransactionContext);
		else
			MemoryContextDelete(entry->trigger->context);
		(void) hash_search(kept, &entry->id, HASH_REMOVE, NULL);
	}
}
