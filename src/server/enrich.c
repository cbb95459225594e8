/*
 * enrich.c
 *		llama2_enrich: a trigger that fills a column while the statement runs.
 *
 * Before a row is stored, it generates for that row.  After a statement, it takes the statement's
 * rows together, generates in batches, and updates them by primary key; that
 * update changes no column of the template, so that it leads to no other.
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "server/enrich_rows.h"
#include "server/enrich_trigger.h"
#include "shared/compat.h"

PG_FUNCTION_INFO_V1(llama2_enrich);

/* Rows that a statement-level trigger generates and writes at a time. */
#define ROWS_AT_A_TIME 1000

static HeapTuple enrich_row(TriggerData *data, Llama2EnrichTrigger *trigger);
static void check_places(TriggerData *data, const Llama2EnrichTarget *target);
static void enrich_statement(TriggerData *data, Llama2EnrichTrigger *trigger);
static void generate_and_write(const Llama2EnrichTrigger *trigger, text **prompts, char **keys, int n);

Datum
llama2_enrich(PG_FUNCTION_ARGS)
{
	Llama2EnrichTrigger *trigger = Llama2EnrichTriggerOf(fcinfo, "llama2_enrich");
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (TRIGGER_FIRED_FOR_STATEMENT(data->tg_event))
	{
		enrich_statement(data, trigger);
		PG_RETURN_POINTER(NULL);
	}
	if (!TRIGGER_FIRED_BEFORE(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("row-level trigger \"%s\" with function \"llama2_enrich\" must be fired BEFORE",
						data->tg_trigger->tgname)));
	PG_RETURN_POINTER(enrich_row(data, trigger));
}

static HeapTuple
enrich_row(TriggerData *data, Llama2EnrichTrigger *trigger)
{
	const Llama2EnrichTarget *target = &trigger->target;
	bool		is_update = TRIGGER_FIRED_BY_UPDATE(data->tg_event);
	TupleTableSlot *new = is_update ? data->tg_newslot : data->tg_trigslot;
	HeapTuple	row = is_update ? data->tg_newtuple : data->tg_trigtuple;
	char	   *prompt;
	int			attnum = target->column.attnum;
	Datum		value = (Datum) 0;
	bool		is_null = true;

	check_places(data, target);
	if (!Llama2EnrichWanted(target, is_update ? data->tg_trigslot : NULL, new))
		return row;
	prompt = Llama2EnrichPrompt(target, new);
	if (prompt)
	{
		Llama2Call	call;
		text	   *source = cstring_to_text(prompt);
		text	   *answer;
		Oid			input;
		Oid			io_parameter;

		Llama2BeginCallWith(trigger->settings, &call);
		Llama2GenerateBatch(&call, trigger->settings->chat, &source, 1, &answer, NULL);
		getTypeInputInfo(target->column.type, &input, &io_parameter);
		is_null = answer == NULL;
		value = OidInputFunctionCall(input, answer ? text_to_cstring(answer) : NULL, io_parameter,
									 target->column.typmod);
	}
	return heap_modify_tuple_by_cols(row, RelationGetDescr(data->tg_relation), 1, &attnum, &value, &is_null);
}

/* A generated column has no value yet when a BEFORE trigger runs. */
static void
check_places(TriggerData *data, const Llama2EnrichTarget *target)
{
	for (int i = 0; i < target->template->n_places; i++)
		if (target->places[i].is_generated)
			ereport(ERROR,
					(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
					 errmsg("BEFORE trigger \"%s\" refers to generated column \"%s\"",
							data->tg_trigger->tgname, target->places[i].name),
					 errhint("Generated columns are computed after BEFORE triggers; use an AFTER trigger.")));
}

static void
enrich_statement(TriggerData *data, Llama2EnrichTrigger *trigger)
{
	const Llama2EnrichTarget *target = &trigger->target;
	MemoryContext chunk_context = AllocSetContextCreate(CurrentMemoryContext, "llama2 enriched rows",
														ALLOCSET_DEFAULT_SIZES);
	Llama2TransitionScan scan;
	TupleTableSlot *old;
	TupleTableSlot *new;
	text	  **prompts = NULL;
	char	  **keys = NULL;
	int			n = 0;

	Llama2TransitionBegin(&scan, data, "llama2_enrich");
	while (Llama2TransitionNext(&scan, &old, &new))
	{
		MemoryContext caller;
		char	   *prompt;

		if (!Llama2EnrichWanted(target, old, new))
			continue;
		caller = MemoryContextSwitchTo(chunk_context);
		if (n == 0)
		{
			prompts = palloc(sizeof(text *) * ROWS_AT_A_TIME);
			keys = palloc(sizeof(char *) * ROWS_AT_A_TIME * target->n_keys);
		}
		prompt = Llama2EnrichPrompt(target, new);
		if (prompt == NULL && Llama2EnrichValue(&target->column, new) == NULL)
		{
			MemoryContextSwitchTo(caller);
			continue;
		}
		prompts[n] = prompt ? cstring_to_text(prompt) : NULL;
		for (int i = 0; i < target->n_keys; i++)
			keys[n * target->n_keys + i] = Llama2EnrichKey(target, i, new);
		if (++n == ROWS_AT_A_TIME)
		{
			generate_and_write(trigger, prompts, keys, n);
			MemoryContextReset(chunk_context);
			n = 0;
		}
		MemoryContextSwitchTo(caller);
	}
	if (n > 0)
	{
		MemoryContext caller = MemoryContextSwitchTo(chunk_context);

		generate_and_write(trigger, prompts, keys, n);
		MemoryContextSwitchTo(caller);
	}
	Llama2TransitionEnd(&scan);
	MemoryContextDelete(chunk_context);
}

static void
generate_and_write(const Llama2EnrichTrigger *trigger, text **prompts, char **keys, int n)
{
	text	  **answers = palloc(sizeof(text *) * n);
	char	  **values = palloc(sizeof(char *) * n);
	Llama2Call	call;

	Llama2BeginCallWith(trigger->settings, &call);
	Llama2GenerateBatch(&call, trigger->settings->chat, prompts, n, answers, NULL);
	for (int i = 0; i < n; i++)
		values[i] = answers[i] ? text_to_cstring(answers[i]) : NULL;
	(void) Llama2EnrichWriteRows(&trigger->target, keys, values, n);
}
