/*
 * row_schema.c
 *		A JSON schema for the rows of a composite type: what jsonb_populate_record can read into its columns.
 */
#include "server/row_schema.h"

#include "access/htup_details.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "server/text_output.h"

#define MOST_DIGITS 40			/* of a number, before its point or behind */

static LlmJson *add_row(LlmJson *parent, const char *name, Oid type);
static void add_column(LlmJson *properties, Form_pg_attribute column);
static bool allows_null(Form_pg_attribute column);
static void add_type(LlmJson *schema, Oid type, int32 typmod, const char *column);
static bool add_scalar(LlmJson *schema, Oid type, int32 typmod);
static void add_numeric(LlmJson *schema, int32 typmod);
static bool is_string_type(Oid type);
static bool add_labels(LlmJson *schema, Oid type);
static void add_all_but_null(LlmJson *schema);
static LlmJson *add_child(LlmJson *parent, const char *name, LlmJsonKind kind);
static void add_text(LlmJson *parent, const char *name, const char *value);
static void add_number(LlmJson *parent, const char *name, const char *value);
static const char *utf8_of(const char *value, size_t *length);

const LlmJson *
Llama2RowSchema(Oid type)
{
	return add_row(NULL, NULL, type);
}

static LlmJson *
add_row(LlmJson *parent, const char *name, Oid type)
{
	LlmJson    *schema = parent ? parent : add_child(NULL, name, LLM_JSON_OBJECT);
	LlmJson    *required;
	LlmJson    *properties;
	TupleDesc	row = lookup_rowtype_tupdesc_domain(type, -1, false);

	check_stack_depth();
	add_text(schema, "type", "object");
	required = add_child(schema, "required", LLM_JSON_ARRAY);
	properties = add_child(schema, "properties", LLM_JSON_OBJECT);
	(void) add_child(schema, "additionalProperties", LLM_JSON_FALSE);
	for (int i = 0; i < row->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(row, i);

		/* what the server makes is not asked of a text */
		if (column->attisdropped || column->attgenerated != '\0' || column->attidentity != '\0')
			continue;
		add_text(required, NULL, NameStr(column->attname));
		add_column(properties, column);
	}
	ReleaseTupleDesc(row);
	return schema;
}

static void
add_column(LlmJson *properties, Form_pg_attribute column)
{
	LlmJson    *schema = add_child(properties, NameStr(column->attname), LLM_JSON_OBJECT);
	Oid			base = getBaseType(column->atttypid);
	LlmJson    *either;

	if (!allows_null(column))
	{
		if (base == JSONOID || base == JSONBOID)
			add_all_but_null(schema);
		else
			add_type(schema, column->atttypid, column->atttypmod, NameStr(column->attname));
		return;
	}
	either = add_child(schema, "anyOf", LLM_JSON_ARRAY);
	add_type(add_child(either, NULL, LLM_JSON_OBJECT), column->atttypid, column->atttypmod, NameStr(column->attname));
	add_text(add_child(either, NULL, LLM_JSON_OBJECT), "type", "null");
}

/* Not where the column, or a domain that it is of, says NOT NULL. */
static bool
allows_null(Form_pg_attribute column)
{
	bool		not_null = column->attnotnull;
	Oid			type = column->atttypid;

	while (!not_null && get_typtype(type) == TYPTYPE_DOMAIN)
	{
		HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for type %u", type);
		not_null = ((Form_pg_type) GETSTRUCT(tuple))->typnotnull;
		type = ((Form_pg_type) GETSTRUCT(tuple))->typbasetype;
		ReleaseSysCache(tuple);
	}
	return !not_null;
}

static void
add_type(LlmJson *schema, Oid type, int32 typmod, const char *column)
{
	Oid			element;
	bool		known = true;

	check_stack_depth();
	type = getBaseTypeAndTypmod(type, &typmod);
	element = get_element_type(type);
	if (OidIsValid(element))
	{
		add_text(schema, "type", "array");
		add_type(add_child(schema, "items", LLM_JSON_OBJECT), element, typmod, column);
	}
	else if (get_typtype(type) == TYPTYPE_ENUM)
		known = add_labels(schema, type);
	else if (type_is_rowtype(type) && type != RECORDOID)
		(void) add_row(schema, NULL, type);
	else
		known = add_scalar(schema, type, typmod);
	if (!known)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" has type %s, which cannot be extracted", column, format_type_be(type))));
}

static bool
add_scalar(LlmJson *schema, Oid type, int32 typmod)
{
	static const struct
	{
		Oid			type;
		const char *name;
		const char *keyword;	/* and a string's, or a number's least and greatest value */
		const char *value;
		const char *greatest;
	}			scalars[] = {
		{BOOLOID, "boolean", NULL, NULL, NULL},
		{INT2OID, "integer", "minimum", "-32768", "32767"},
		{INT4OID, "integer", "minimum", "-2147483648", "2147483647"},
		{INT8OID, "integer", "minimum", "-9223372036854775808", "9223372036854775807"},
		{FLOAT4OID, "number", "minimum", "-1000000000000000", "1000000000000000"},
		{FLOAT8OID, "number", NULL, NULL, NULL},
		{TEXTOID, "string", NULL, NULL, NULL},
		{NAMEOID, "string", "maxLength", "15", NULL},
		{DATEOID, "string", "format", "date", NULL},
		{TIMEOID, "string", "pattern", "^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$", NULL},
		{TIMETZOID, "string", "format", "time", NULL},
		{TIMESTAMPOID, "string", "format", "date-time", NULL},
		{TIMESTAMPTZOID, "string", "format", "date-time", NULL},
		{INTERVALOID, "string", "format", "duration", NULL},
		{UUIDOID, "string", "format", "uuid", NULL},
		{INETOID, "string", "format", "ipv4", NULL},
	};

	switch (type)
	{
		case JSONOID:
		case JSONBOID:
			return true;
		case NUMERICOID:
			add_numeric(schema, typmod);
			return true;
		case VARCHAROID:
		case BPCHAROID:
			add_text(schema, "type", "string");
			if (typmod >= (int32) VARHDRSZ)
				add_number(schema, "maxLength", psprintf("%d", typmod - (int32) VARHDRSZ));
			return true;
	}
	for (size_t i = 0; i < lengthof(scalars); i++)
	{
		if (scalars[i].type != type)
			continue;
		add_text(schema, "type", scalars[i].name);
		if (scalars[i].greatest)
		{
			add_number(schema, "minimum", scalars[i].value);
			add_number(schema, "maximum", scalars[i].greatest);
		}
		else if (scalars[i].keyword && strcmp(scalars[i].keyword, "maxLength") == 0)
			add_number(schema, scalars[i].keyword, scalars[i].value);
		else if (scalars[i].keyword)
			add_text(schema, scalars[i].keyword, scalars[i].value);
		return true;
	}
	if (!is_string_type(type))
		return false;
	add_text(schema, "type", "string");
	return true;
}

/* Those of extensions, citext for one. */
static bool
is_string_type(Oid type)
{
	char		category;
	bool		is_preferred;

	get_type_category_preferred(type, &category, &is_preferred);
	return category == TYPCATEGORY_STRING;
}

/*
 * numeric(p, s) has p - s digits before the point, or where that is negative s - p zeros after it; see numeric.c for
 * the typmod.  More digits than a model would write are not asked for.
 */
static void
add_numeric(LlmJson *schema, int32 typmod)
{
	int			precision = (typmod - (int32) VARHDRSZ) >> 16 & 0xFFFF;
	int			scale = (((typmod - (int32) VARHDRSZ) & 0x7FF) ^ 1024) - 1024;
	int			before = precision - Max(scale, 0);
	char	   *bound;

	add_text(schema, "type", "number");
	if (typmod < (int32) VARHDRSZ)
	{
		add_number(schema, "minimum", "-1000000000000000");
		add_number(schema, "maximum", "1000000000000000");
		return;
	}
	scale = Max(scale, 0);
	if (before > 0)
		bound = psprintf("-1%0*d", Min(before, MOST_DIGITS), 0);
	else if (before == 0)
		bound = pstrdup("-1");
	else
		bound = psprintf("-0.%0*d", Min(-before, MOST_DIGITS), 1);
	scale = Min(scale, MOST_DIGITS);
	add_number(schema, "exclusiveMinimum", bound);
	add_number(schema, "exclusiveMaximum", bound + 1);
	add_number(schema, "multipleOf", scale == 0 ? "1" : psprintf("0.%0*d", scale, 1));
}

static bool
add_labels(LlmJson *schema, Oid type)
{
	LlmJson    *labels = add_child(schema, "enum", LLM_JSON_ARRAY);
	CatCList   *list = SearchSysCacheList1(ENUMTYPOIDNAME, ObjectIdGetDatum(type));

	for (int i = 0; i < list->n_members; i++)
		add_text(labels, NULL, pstrdup(NameStr(((Form_pg_enum) GETSTRUCT(&list->members[i]->tuple))->enumlabel)));
	ReleaseSysCacheList(list);
	return labels->first != NULL;
}

static void
add_all_but_null(LlmJson *schema)
{
	LlmJson    *types = add_child(schema, "type", LLM_JSON_ARRAY);

	add_text(types, NULL, "object");
	add_text(types, NULL, "array");
	add_text(types, NULL, "string");
	add_text(types, NULL, "number");
	add_text(types, NULL, "boolean");
}

static LlmJson *
add_child(LlmJson *parent, const char *name, LlmJsonKind kind)
{
	LlmJson    *child = palloc0(sizeof(LlmJson));
	const LlmJson **link;

	child->kind = kind;
	child->parent = parent;
	if (name)
		child->name = utf8_of(name, &child->name_length);
	if (parent == NULL)
		return child;
	for (link = &parent->first; *link != NULL; link = (const LlmJson **) &(*link)->next)
		child->position++;
	*link = child;
	return child;
}

static void
add_text(LlmJson *parent, const char *name, const char *value)
{
	LlmJson    *child = add_child(parent, name, LLM_JSON_STRING);

	child->text = utf8_of(value, &child->length);
}

static void
add_number(LlmJson *parent, const char *name, const char *value)
{
	LlmJson    *child = add_child(parent, name, LLM_JSON_NUMBER);

	child->text = value;
	child->length = strlen(value);
}

static const char *
utf8_of(const char *value, size_t *length)
{
	return Llama2Utf8FromText(cstring_to_text(value), length);
}
