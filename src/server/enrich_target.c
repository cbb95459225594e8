/*
 * enrich_target.c
 *		A column that a model fills from other columns of its row: names looked up, rows read.
 */
#include "server/enrich_target.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/float.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"

#include "shared/compat.h"

static void find_column(Relation relation, const char *name, const char *template,
						Llama2EnrichColumn *column);
static void fill_column(Relation relation, AttrNumber attnum, Llama2EnrichColumn *column);
static bool is_any_changed(const Llama2EnrichColumn *columns, int n, TupleTableSlot *old, TupleTableSlot *new);
static bool is_changed(const Llama2EnrichColumn *column, TupleTableSlot *old, TupleTableSlot *new);
static void set_for_now(const char *name, const char *value);
static void check_transition_tables(TriggerData *trigger, const char *function);

void
Llama2EnrichTargetInit(Llama2EnrichTarget *target, Relation relation, const char *column,
					   const char *template)
{
	target->relid = RelationGetRelid(relation);
	find_column(relation, column, NULL, &target->column);
	if (target->column.is_generated)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("column \"%s\" of relation \"%s\" is a generated column",
						column, RelationGetRelationName(relation)),
				 errdetail("Its own expression fills it.")));
	target->source = pstrdup(template);
	target->template = Llama2TemplateParse(template);
	target->places = palloc(sizeof(Llama2EnrichColumn) * target->template->n_places);
	for (int i = 0; i < target->template->n_places; i++)
	{
		find_column(relation, target->template->names[i], template, &target->places[i]);
		if (target->places[i].attnum == target->column.attnum)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("prompt template \"%s\" refers to column \"%s\", which it is to fill",
							template, column)));
	}
	target->n_keys = 0;
	target->keys = NULL;
	target->key_operators = NULL;
}

void
Llama2EnrichTargetKeys(Llama2EnrichTarget *target, Relation relation)
{
	List	   *indexes;
	ListCell   *cell;
	Relation	index = NULL;

	indexes = RelationGetIndexList(relation);
	foreach(cell, indexes)
	{
		index = index_open(lfirst_oid(cell), AccessShareLock);
		if (index->rd_index->indisprimary && index->rd_index->indisvalid)
			break;
		index_close(index, AccessShareLock);
		index = NULL;
	}
	if (index == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("relation \"%s\" has no primary key", RelationGetRelationName(relation)),
				 errdetail("Values are written back to the rows by their primary key.")));

	target->n_keys = index->rd_index->indnkeyatts;
	target->keys = palloc(sizeof(Llama2EnrichColumn) * target->n_keys);
	target->key_operators = palloc(sizeof(Oid) * target->n_keys);
	for (int i = 0; i < target->n_keys; i++)
	{
		fill_column(relation, index->rd_index->indkey.values[i], &target->keys[i]);
		target->key_operators[i] = get_opfamily_member(index->rd_opfamily[i], index->rd_opcintype[i],
													   index->rd_opcintype[i], BTEqualStrategyNumber);
		if (!OidIsValid(target->key_operators[i]))
			elog(ERROR, "no equality operator for column \"%s\"", target->keys[i].name);
	}
	index_close(index, AccessShareLock);
}

char *
Llama2EnrichPrompt(const Llama2EnrichTarget *target, TupleTableSlot *row)
{
	int			n = target->template->n_places;
	char	  **values = palloc(sizeof(char *) * n);

	for (int i = 0; i < n; i++)
	{
		values[i] = Llama2EnrichValue(&target->places[i], row);
		if (values[i] == NULL)
			return NULL;
	}
	return Llama2TemplateRender(target->template, values);
}

char *
Llama2EnrichValue(const Llama2EnrichColumn *column, TupleTableSlot *row)
{
	bool		is_null;
	Datum		value = slot_getattr(row, column->attnum, &is_null);

	return is_null ? NULL : OidOutputFunctionCall(column->output, value);
}

/* What other types write can depend on settings. */
char *
Llama2LastingText(const Llama2EnrichColumn *column, Datum value)
{
	char	   *result;
	int			level;

	switch (column->output)
	{
		case F_TEXTOUT:
		case F_VARCHAROUT:
		case F_BPCHAROUT:
		case F_INT2OUT:
		case F_INT4OUT:
		case F_INT8OUT:
		case F_NUMERIC_OUT:
		case F_UUID_OUT:
		case F_JSONB_OUT:
			return OidOutputFunctionCall(column->output, value);
	}
	level = NewGUCNestLevel();
	set_for_now("datestyle", "ISO");
	set_for_now("intervalstyle", "postgres");
	set_for_now("timezone", "GMT");
	set_for_now("extra_float_digits", "3");
	set_for_now("bytea_output", "hex");
	set_for_now("lc_monetary", "C");
	result = OidOutputFunctionCall(column->output, value);
	AtEOXact_GUC(true, level);
	return result;
}

char *
Llama2EnrichKey(const Llama2EnrichTarget *target, int number, TupleTableSlot *row)
{
	bool		is_null;
	Datum		value = slot_getattr(row, target->keys[number].attnum, &is_null);

	return Llama2LastingText(&target->keys[number], value);
}

char *
Llama2ValueMark(const char *lasting)
{
	return psprintf(UINT64_FORMAT, hash_bytes_extended((const unsigned char *) lasting, (int) strlen(lasting), 0));
}

bool
Llama2EnrichWanted(const Llama2EnrichTarget *target, TupleTableSlot *old, TupleTableSlot *new)
{
	if (old == NULL)
		return slot_attisnull(new, target->column.attnum);
	if (is_changed(&target->column, old, new) && !slot_attisnull(new, target->column.attnum))
		return false;
	return is_any_changed(target->places, target->template->n_places, old, new);
}

bool
Llama2EnrichMoved(const Llama2EnrichTarget *target, TupleTableSlot *old, TupleTableSlot *new)
{
	return slot_attisnull(new, target->column.attnum) && is_any_changed(target->keys, target->n_keys, old, new);
}

void
Llama2TransitionBegin(Llama2TransitionScan *scan, TriggerData *trigger, const char *function)
{
	check_transition_tables(trigger, function);
	scan->stores[0] = trigger->tg_newtable;
	scan->stores[1] = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_oldtable : NULL;
	for (int i = 0; i < 2; i++)
	{
		if (scan->stores[i] == NULL)
			continue;
		scan->pointers[i] = tuplestore_alloc_read_pointer(scan->stores[i], 0);
		tuplestore_select_read_pointer(scan->stores[i], scan->pointers[i]);
		tuplestore_rescan(scan->stores[i]);
		scan->slots[i] = MakeSingleTupleTableSlot(RelationGetDescr(trigger->tg_relation),
												  &TTSOpsMinimalTuple);
	}
	if (scan->stores[1] && tuplestore_tuple_count(scan->stores[0]) != tuplestore_tuple_count(scan->stores[1]))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("trigger \"%s\" with function \"%s\" cannot tell which rows an update has changed",
						trigger->tg_trigger->tgname, function),
				 errdetail("Rows were moved to another partition, where a trigger did not let all of them in."),
				 errhint("Use a trigger FOR EACH ROW.")));
}

/* Both stores are filled row by row in the same order, but for rows that moved and were not let in. */
bool
Llama2TransitionNext(Llama2TransitionScan *scan, TupleTableSlot **old, TupleTableSlot **new)
{
	*old = NULL;
	for (int i = 0; i < 2; i++)
	{
		if (scan->stores[i] == NULL)
			continue;
		tuplestore_select_read_pointer(scan->stores[i], scan->pointers[i]);
		if (!tuplestore_gettupleslot(scan->stores[i], true, false, scan->slots[i]))
			return false;
	}
	*new = scan->slots[0];
	if (scan->stores[1])
		*old = scan->slots[1];
	return true;
}

void
Llama2TransitionEnd(Llama2TransitionScan *scan)
{
	for (int i = 0; i < 2; i++)
		if (scan->stores[i])
			ExecDropSingleTupleTableSlot(scan->slots[i]);
}

static bool
is_any_changed(const Llama2EnrichColumn *columns, int n, TupleTableSlot *old, TupleTableSlot *new)
{
	for (int i = 0; i < n; i++)
		if (is_changed(&columns[i], old, new))
			return true;
	return false;
}

static bool
is_changed(const Llama2EnrichColumn *column, TupleTableSlot *old, TupleTableSlot *new)
{
	Form_pg_attribute attribute = TupleDescAttr(new->tts_tupleDescriptor, column->attnum - 1);
	bool		is_null[2];
	Datum		values[2];

	values[0] = slot_getattr(old, column->attnum, &is_null[0]);
	values[1] = slot_getattr(new, column->attnum, &is_null[1]);
	return is_null[0] != is_null[1] ||
		(!is_null[0] && !datum_image_eq(values[0], values[1], attribute->attbyval, attribute->attlen));
}

/* template: where the name comes from, or NULL. */
static void
find_column(Relation relation, const char *name, const char *template, Llama2EnrichColumn *column)
{
	AttrNumber	attnum = get_attnum(RelationGetRelid(relation), name);

	if (attnum == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" does not exist",
						name, RelationGetRelationName(relation)),
				 template ? errdetail("Prompt template \"%s\" refers to it.", template) : 0));
	if (attnum < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
				 errmsg("column \"%s\" is a system column", name)));
	fill_column(relation, attnum, column);
}

static void
fill_column(Relation relation, AttrNumber attnum, Llama2EnrichColumn *column)
{
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(relation), attnum - 1);
	bool		is_varlena;

	column->attnum = attnum;
	column->name = pstrdup(NameStr(attribute->attname));
	column->type = attribute->atttypid;
	column->typmod = attribute->atttypmod;
	column->is_generated = attribute->attgenerated != '\0';
	getTypeOutputInfo(column->type, &column->output, &is_varlena);
}

static void
set_for_now(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* With OLD TABLE an UPDATE's rows are known to have changed or not. */
static void
check_transition_tables(TriggerData *trigger, const char *function)
{
	const char *name = trigger->tg_trigger->tgname;

	if (!TRIGGER_FIRED_AFTER(trigger->tg_event) || trigger->tg_newtable == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("statement-level trigger \"%s\" with function \"%s\" has no table of new rows",
						name, function),
				 errhint("Create it with AFTER ... REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT.")));
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) && trigger->tg_oldtable == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("statement-level trigger \"%s\" with function \"%s\" has no table of old rows",
						name, function),
				 errhint("Create it with REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows, so that "
						 "unchanged rows can be told.")));
	if (trigger->tg_relation->rd_rel->relkind != RELKIND_PARTITIONED_TABLE &&
		trigger->tg_relation->rd_rel->relhassubclass &&
		find_inheritance_children(RelationGetRelid(trigger->tg_relation), NoLock) != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("statement-level trigger \"%s\" with function \"%s\" is on a table with inheritance children",
						name, function),
				 errdetail("Rows of the children are among those of the statement, and can have the same keys."),
				 errhint("Create triggers FOR EACH ROW, on the children too.")));
}
