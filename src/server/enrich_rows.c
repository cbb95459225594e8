/*
 * enrich_rows.c
 *		Rows of an enriched table, found by primary key: read again, and written.
 *
 * All of it is plain SQL with the rights of the current user, so that privileges, row security, constraints
 * and triggers apply.  Every name is qualified: nothing depends on search_path.
 */
#include "server/enrich_rows.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "catalog/pg_operator.h"

/* Arguments of a statement: an array for each column of the key, and room for one more. */
typedef struct KeyArrays
{
	int			n;
	Oid			types[INDEX_MAX_KEYS + 1];
	Datum		values[INDEX_MAX_KEYS + 1];
} KeyArrays;

static void key_arrays(KeyArrays *arrays, StringInfo sql, const Llama2EnrichTarget *target,
					   char *const *keys, int n);
static void append_key_condition(StringInfo sql, const Llama2EnrichTarget *target);
static char *operator_sql(Oid operator);
static char *datum_text(const Llama2EnrichColumn *column, HeapTuple tuple, TupleDesc desc, int number, bool lasting);

char *
Llama2EnrichRelation(const Llama2EnrichTarget *target)
{
	char	   *name = get_rel_name(target->relid);

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", target->relid)));
	return psprintf("%s%s", get_rel_relkind(target->relid) == RELKIND_PARTITIONED_TABLE ? "" : "ONLY ",
					quote_qualified_identifier(get_namespace_name(get_rel_namespace(target->relid)), name));
}

char *
Llama2EnrichColumns(const Llama2EnrichTarget *target)
{
	StringInfoData columns;

	initStringInfo(&columns);
	for (int i = 0; i < target->n_keys; i++)
		appendStringInfo(&columns, "t.%s, ", quote_identifier(target->keys[i].name));
	for (int i = 0; i < target->template->n_places; i++)
		appendStringInfo(&columns, "t.%s, ", quote_identifier(target->places[i].name));
	appendStringInfo(&columns, "t.%s", quote_identifier(target->column.name));
	return columns.data;
}

void
Llama2EnrichRowFrom(const Llama2EnrichTarget *target, HeapTuple tuple, TupleDesc desc,
					Llama2EnrichRow *row, char **key)
{
	int			n_places = target->template->n_places;
	char	  **values = palloc(sizeof(char *) * n_places);

	for (int i = 0; i < target->n_keys && key; i++)
		key[i] = datum_text(&target->keys[i], tuple, desc, i + 1, true);
	for (int i = 0; i < n_places; i++)
		values[i] = datum_text(&target->places[i], tuple, desc, target->n_keys + i + 1, false);
	row->prompt = Llama2TemplateRender(target->template, values);
	row->value = datum_text(&target->column, tuple, desc, target->n_keys + n_places + 1, true);
}

void
Llama2EnrichReadRows(const Llama2EnrichTarget *target, char *const *keys, int n, Llama2RowLock lock,
					 Llama2EnrichRow *rows, bool *found)
{
	static const char *const lock_clauses[] = {
		[LLAMA2_NO_LOCK] = "",
		[LLAMA2_LOCK_WAIT] = " FOR NO KEY UPDATE OF t",
		[LLAMA2_LOCK_NOWAIT] = " FOR NO KEY UPDATE OF t NOWAIT"
	};
	MemoryContext caller = CurrentMemoryContext;
	int			number = target->n_keys + target->template->n_places + 2;
	KeyArrays	arrays;
	StringInfoData sql;

	memset(found, 0, sizeof(bool) * n);
	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT %s, v.number FROM %s AS t, ROWS FROM (", Llama2EnrichColumns(target),
					 Llama2EnrichRelation(target));
	key_arrays(&arrays, &sql, target, keys, n);
	appendStringInfoString(&sql, ") WITH ORDINALITY AS v(");
	for (int i = 0; i < target->n_keys; i++)
		appendStringInfo(&sql, "k%d, ", i + 1);
	appendStringInfoString(&sql, "number) WHERE ");
	append_key_condition(&sql, target);
	appendStringInfoString(&sql, lock_clauses[lock]);

	SPI_connect();
	if (SPI_execute_with_args(sql.data, arrays.n, arrays.types, arrays.values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read rows of relation %u", target->relid);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		is_null;
		int64		row = DatumGetInt64(heap_getattr(tuple, number, desc, &is_null)) - 1;
		MemoryContext old = MemoryContextSwitchTo(caller);

		Llama2EnrichRowFrom(target, tuple, desc, &rows[row], NULL);
		found[row] = true;
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
}

uint64
Llama2EnrichWriteRows(const Llama2EnrichTarget *target, char *const *keys, char *const *values, int n)
{
	KeyArrays	arrays;
	StringInfoData sql;
	uint64		n_written;

	initStringInfo(&sql);
	appendStringInfo(&sql, "UPDATE %s AS t SET %s = CAST(v.value AS %s) FROM ROWS FROM (",
					 Llama2EnrichRelation(target), quote_identifier(target->column.name),
					 format_type_be_qualified(target->column.type));
	key_arrays(&arrays, &sql, target, keys, n);
	arrays.types[arrays.n] = TEXTARRAYOID;
	arrays.values[arrays.n++] = Llama2TextArray(values, n, 1);
	appendStringInfo(&sql, ", pg_catalog.unnest($%d)) AS v(", arrays.n);
	for (int i = 0; i < target->n_keys; i++)
		appendStringInfo(&sql, "k%d, ", i + 1);
	appendStringInfoString(&sql, "value) WHERE ");
	append_key_condition(&sql, target);

	SPI_connect();
	if (SPI_execute_with_args(sql.data, arrays.n, arrays.types, arrays.values, NULL, false, 0) != SPI_OK_UPDATE)
		elog(ERROR, "could not write rows of relation %u", target->relid);
	n_written = SPI_processed;
	SPI_finish();
	return n_written;
}

Datum
Llama2TextArray(char *const *items, int n, int stride)
{
	Datum	   *values = palloc(sizeof(Datum) * Max(n, 1));
	bool	   *nulls = palloc(sizeof(bool) * Max(n, 1));
	int			lower = 1;

	for (int i = 0; i < n; i++)
	{
		nulls[i] = items[i * stride] == NULL;
		values[i] = nulls[i] ? (Datum) 0 : CStringGetTextDatum(items[i * stride]);
	}
	return PointerGetDatum(construct_md_array(values, nulls, 1, &n, &lower, TEXTOID, -1, false,
											  TYPALIGN_INT));
}

/* The columns of the key as arrays: arguments, and "unnest($1), unnest($2), ..." to be appended. */
static void
key_arrays(KeyArrays *arrays, StringInfo sql, const Llama2EnrichTarget *target, char *const *keys, int n)
{
	arrays->n = target->n_keys;
	for (int i = 0; i < target->n_keys; i++)
	{
		appendStringInfo(sql, "%spg_catalog.unnest($%d)", i > 0 ? ", " : "", i + 1);
		arrays->types[i] = TEXTARRAYOID;
		arrays->values[i] = Llama2TextArray(keys + i, n, target->n_keys);
	}
}

static void
append_key_condition(StringInfo sql, const Llama2EnrichTarget *target)
{
	for (int i = 0; i < target->n_keys; i++)
		appendStringInfo(sql, "%st.%s %s CAST(v.k%d AS %s)", i > 0 ? " AND " : "",
						 quote_identifier(target->keys[i].name), operator_sql(target->key_operators[i]), i + 1,
						 format_type_be_qualified(target->keys[i].type));
}

static char *
operator_sql(Oid operator)
{
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	Form_pg_operator form;
	char	   *sql;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", operator);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	sql = psprintf("OPERATOR(%s.%s)", quote_identifier(get_namespace_name(form->oprnamespace)),
				   NameStr(form->oprname));
	ReleaseSysCache(tuple);
	return sql;
}

static char *
datum_text(const Llama2EnrichColumn *column, HeapTuple tuple, TupleDesc desc, int number, bool lasting)
{
	bool		is_null;
	Datum		value = heap_getattr(tuple, number, desc, &is_null);

	if (is_null)
		return NULL;
	return lasting ? Llama2LastingText(column, value) : OidOutputFunctionCall(column->output, value);
}
