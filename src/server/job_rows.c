/*
 * job_rows.c
 *		Rows of the tables of jobs, written without statements.
 *
 * Whoever fires an asynchronous trigger writes a row in each transaction, and the worker moves it: a statement would
 * take several times as long for either.
 */
#include "server/job_rows.h"

#include "access/detoast.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "shared/compat.h"

static Relation open_table(Oid schema, const char *table);

void
Llama2JobWriterBegin(Llama2JobWriter *writer, Oid schema, const char *table)
{
	writer->relation = open_table(schema, table);
	writer->slot = table_slot_create(writer->relation, NULL);
	writer->state = NULL;
	if (!writer->relation->rd_rel->relhasindex)
		return;
	writer->state = CreateExecutorState();
	writer->result = makeNode(ResultRelInfo);
	InitResultRelInfo(writer->result, writer->relation, 1, NULL, 0);
	ExecOpenIndices(writer->result, false);
}

void
Llama2JobWriterInsert(Llama2JobWriter *writer)
{
	table_tuple_insert(writer->relation, writer->slot, GetCurrentCommandId(true), 0, NULL);
	if (writer->state)
	{
		Llama2InsertIndexTuples(writer->result, writer->slot, writer->state);
		ResetPerTupleExprContext(writer->state);
	}
	ExecClearTuple(writer->slot);
}

void
Llama2JobWriterEnd(Llama2JobWriter *writer)
{
	if (writer->state)
	{
		ExecCloseIndices(writer->result);
		FreeExecutorState(writer->state);
	}
	ExecDropSingleTupleTableSlot(writer->slot);
	table_close(writer->relation, NoLock);
}

/* A row whose owner is just cancelling it is left for the next time: nobody makes the worker wait. */
void
Llama2JobsTakeIn(Oid schema, Size key_bytes)
{
	Relation	relation = open_table(schema, "llama2_job_new");
	TupleTableSlot *slot = table_slot_create(relation, NULL);
	TableScanDesc scan = table_beginscan(relation, GetActiveSnapshot(), 0, NULL);
	Llama2JobWriter writer;
	TM_FailureData failure;
	Size		taken = 0;

	Llama2JobWriterBegin(&writer, schema, "llama2_job");
	while (taken < key_bytes && table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		if (table_tuple_delete(relation, &slot->tts_tid, GetCurrentCommandId(true), GetActiveSnapshot(),
							   InvalidSnapshot, false, &failure, false) != TM_Ok)
			continue;
		slot_getallattrs(slot);
		if (!slot->tts_isnull[LLAMA2_JOB_KEYS])
			taken += toast_raw_datum_size(slot->tts_values[LLAMA2_JOB_KEYS]);
		memcpy(writer.slot->tts_values, slot->tts_values, sizeof(Datum) * LLAMA2_JOB_COLUMNS);
		memcpy(writer.slot->tts_isnull, slot->tts_isnull, sizeof(bool) * LLAMA2_JOB_COLUMNS);
		ExecStoreVirtualTuple(writer.slot);
		Llama2JobWriterInsert(&writer);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	table_close(relation, NoLock);
	Llama2JobWriterEnd(&writer);
	CommandCounterIncrement();
}

static Relation
open_table(Oid schema, const char *table)
{
	Oid			relid = get_relname_relid(table, schema);
	Relation	relation;

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"%s\" of the extension does not exist", table)));
	relation = table_open(relid, RowExclusiveLock);
	if (RelationGetNumberOfAttributes(relation) != LLAMA2_JOB_COLUMNS)
		elog(ERROR, "table \"%s\" has %d columns, not %d", table, RelationGetNumberOfAttributes(relation),
			 LLAMA2_JOB_COLUMNS);
	return relation;
}
