/*
 * enrich_rows.c
 *		Rows of an enriched table, found by primary key: read again, and written.
 *
 * All of it is plain SQL with the rights of the current user, so that privileges, row security, constraints
 * and triggers apply.  Every name is qualified: nothing depends on search_path.
 */
#include "server/enrich_rows.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "catalog/pg_operator.h"

static void append_key_condition(StringInfo sql, const Llama2EnrichTarget *target, const char *value);
static char *operator_sql(Oid operator);
static Datum text_array(char *const *items, int n, int stride);
static char *datum_text(const Llama2EnrichColumn *column, HeapTuple tuple, TupleDesc desc, int number);

char *
Llama2EnrichRelation(const Llama2EnrichTarget *target)
{
	char	   *name = get_rel_name(target->relid);

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", target->relid)));
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(target->relid)), name);
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
		key[i] = datum_text(&target->keys[i], tuple, desc, i + 1);
	for (int i = 0; i < n_places; i++)
		values[i] = datum_text(&target->places[i], tuple, desc, target->n_keys + i + 1);
	row->prompt = Llama2TemplateRender(target->template, values);
	row->value = datum_text(&target->column, tuple, desc, target->n_keys + n_places + 1);
}

bool
Llama2EnrichReadRow(const Llama2EnrichTarget *target, char *const *key, bool lock,
					Llama2EnrichRow *row)
{
	MemoryContext caller = CurrentMemoryContext;
	StringInfoData sql;
	Oid		   *types = palloc(sizeof(Oid) * target->n_keys);
	Datum	   *values = palloc(sizeof(Datum) * target->n_keys);
	bool		found;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT %s FROM %s AS t WHERE ", Llama2EnrichColumns(target),
					 Llama2EnrichRelation(target));
	append_key_condition(&sql, target, "$%d");
	if (lock)
		appendStringInfoString(&sql, " FOR NO KEY UPDATE OF t NOWAIT");
	for (int i = 0; i < target->n_keys; i++)
	{
		types[i] = TEXTOID;
		values[i] = CStringGetTextDatum(key[i]);
	}
	SPI_connect();
	if (SPI_execute_with_args(sql.data, target->n_keys, types, values, NULL, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read a row of relation %u", target->relid);
	found = SPI_processed > 0;
	if (found)
	{
		MemoryContext old = MemoryContextSwitchTo(caller);

		Llama2EnrichRowFrom(target, SPI_tuptable->vals[0], SPI_tuptable->tupdesc, row, NULL);
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return found;
}

uint64
Llama2EnrichWriteRows(const Llama2EnrichTarget *target, char *const *keys, char *const *values, int n)
{
	int			n_arguments = target->n_keys + 1;
	Oid		   *types = palloc(sizeof(Oid) * n_arguments);
	Datum	   *arguments = palloc(sizeof(Datum) * n_arguments);
	StringInfoData sql;
	uint64		n_written;

	initStringInfo(&sql);
	appendStringInfo(&sql, "UPDATE %s AS t SET %s = CAST(v.value AS %s) FROM ROWS FROM (pg_catalog.unnest($1)",
					 Llama2EnrichRelation(target), quote_identifier(target->column.name),
					 format_type_be_qualified(target->column.type));
	for (int i = 0; i < target->n_keys; i++)
		appendStringInfo(&sql, ", pg_catalog.unnest($%d)", i + 2);
	appendStringInfoString(&sql, ") AS v(value");
	for (int i = 0; i < target->n_keys; i++)
		appendStringInfo(&sql, ", k%d", i + 1);
	appendStringInfoString(&sql, ") WHERE ");
	append_key_condition(&sql, target, "v.k%d");

	types[0] = TEXTARRAYOID;
	arguments[0] = text_array(values, n, 1);
	for (int i = 0; i < target->n_keys; i++)
	{
		types[i + 1] = TEXTARRAYOID;
		arguments[i + 1] = text_array(keys + i, n, target->n_keys);
	}
	SPI_connect();
	if (SPI_execute_with_args(sql.data, n_arguments, types, arguments, NULL, false, 0) != SPI_OK_UPDATE)
		elog(ERROR, "could not write rows of relation %u", target->relid);
	n_written = SPI_processed;
	SPI_finish();
	return n_written;
}

/* value is a format for the number of the key's column. */
static void
append_key_condition(StringInfo sql, const Llama2EnrichTarget *target, const char *value)
{
	for (int i = 0; i < target->n_keys; i++)
	{
		appendStringInfo(sql, "%st.%s %s CAST(", i > 0 ? " AND " : "", quote_identifier(target->keys[i].name),
						 operator_sql(target->key_operators[i]));
		appendStringInfo(sql, value, i + 1);
		appendStringInfo(sql, " AS %s)", format_type_be_qualified(target->keys[i].type));
	}
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

/* items[0], items[stride], ... as text[]. */
static Datum
text_array(char *const *items, int n, int stride)
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

static char *
datum_text(const Llama2EnrichColumn *column, HeapTuple tuple, TupleDesc desc, int number)
{
	bool		is_null;
	Datum		value = heap_getattr(tuple, number, desc, &is_null);

	return is_null ? NULL : OidOutputFunctionCall(column->output, value);
}
