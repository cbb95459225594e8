/*
 * extract.c
 *		llama2_extract: fields of a text as jsonb that is valid against a schema, or as a row.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"

#include "server/batch_function.h"
#include "server/generate_batch.h"
#include "server/grammar_options.h"
#include "server/row_schema.h"
#include "server/text_output.h"

PG_FUNCTION_INFO_V1(llama2_extract);
PG_FUNCTION_INFO_V1(llama2_extract_text_schema);
PG_FUNCTION_INFO_V1(llama2_extract_row);

/* Arguments: text, schema or row, instruction, and then the common ones. */
#define ARG_TEXT 0
#define ARG_SHAPE 1
#define ARG_INSTRUCTION 2
#define ARG_COMMON 3

/* What a row is made of beside the answer. */
typedef struct RowShape
{
	Oid			type;
	Datum		base;
	bool		base_is_null;
} RowShape;

static bool prepare_by_schema(FunctionCallInfo fcinfo, Jsonb *schema, Llama2Work *work);
static bool prepare_extract(FunctionCallInfo fcinfo, const LlmJson *schema, Llama2Work *work);
static Datum answer_jsonb(Llama2Work *work);
static text *extract_message(FunctionCallInfo fcinfo, const LlmJson *schema);
static char *list_fields(const LlmJson *schema);
static void list_names(StringInfo list, const LlmJson *names, const LlmJson *required, int *n, int n_all);
static bool is_among(const LlmJson *names, const char *name, size_t length);
static const LlmJson *find(const LlmJson *object, const char *name);
static Datum row_from_jsonb(const RowShape *shape, Datum value, bool *is_null);

Datum
llama2_extract(PG_FUNCTION_ARGS)
{
	return Llama2CallAlone(fcinfo, Llama2PrepareExtract, Llama2AnswerJson);
}

/* A schema that is written as a string without a type would else be taken for a row. */
Datum
llama2_extract_text_schema(PG_FUNCTION_ARGS)
{
	return Llama2CallAlone(fcinfo, Llama2PrepareExtractTextSchema, Llama2AnswerJson);
}

Datum
llama2_extract_row(PG_FUNCTION_ARGS)
{
	return Llama2CallAlone(fcinfo, Llama2PrepareExtractRow, Llama2AnswerRow);
}

bool
Llama2PrepareExtract(FunctionCallInfo fcinfo, Llama2Work *work)
{
	if (PG_ARGISNULL(ARG_TEXT) || PG_ARGISNULL(ARG_SHAPE))
		return false;
	return prepare_by_schema(fcinfo, PG_GETARG_JSONB_P(ARG_SHAPE), work);
}

bool
Llama2PrepareExtractTextSchema(FunctionCallInfo fcinfo, Llama2Work *work)
{
	char	   *schema;

	if (PG_ARGISNULL(ARG_TEXT) || PG_ARGISNULL(ARG_SHAPE))
		return false;
	schema = Llama2StringArgument(fcinfo, ARG_SHAPE);
	return prepare_by_schema(fcinfo, DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(schema))), work);
}

/* The row that is given says which type, and what stands where the answer is null. */
bool
Llama2PrepareExtractRow(FunctionCallInfo fcinfo, Llama2Work *work)
{
	RowShape   *shape = palloc(sizeof(RowShape));

	shape->type = get_fn_expr_argtype(fcinfo->flinfo, ARG_SHAPE);
	shape->base = PG_GETARG_DATUM(ARG_SHAPE);
	shape->base_is_null = PG_ARGISNULL(ARG_SHAPE);
	if (shape->type == RECORDOID || !type_is_rowtype(shape->type))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("cannot extract a value of type %s", format_type_be(shape->type)),
				 errhint("Give a row of a table or composite type, as in null::my_table, or a JSON schema of type jsonb.")));
	if (PG_ARGISNULL(ARG_TEXT))
		return false;
	work->state = shape;
	return prepare_extract(fcinfo, Llama2RowSchema(shape->type), work);
}

Datum
Llama2AnswerJson(FunctionCallInfo fcinfo, Llama2Work *work)
{
	if (!Llama2IsAnswered(work, 0))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(answer_jsonb(work));
}

Datum
Llama2AnswerRow(FunctionCallInfo fcinfo, Llama2Work *work)
{
	Datum		row;
	bool		is_null;

	if (!Llama2IsAnswered(work, 0))
		PG_RETURN_NULL();
	row = row_from_jsonb(work->state, answer_jsonb(work), &is_null);
	if (is_null)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(row);
}

static bool
prepare_by_schema(FunctionCallInfo fcinfo, Jsonb *schema, Llama2Work *work)
{
	JsonbValue	value;

	if (JB_ROOT_IS_SCALAR(schema))
		(void) JsonbExtractScalar(&schema->root, &value);
	else
	{
		value.type = jbvBinary;
		value.val.binary.data = &schema->root;
		value.val.binary.len = VARSIZE(schema) - VARHDRSZ;
	}
	return prepare_extract(fcinfo, Llama2JsonTree(&value), work);
}

static bool
prepare_extract(FunctionCallInfo fcinfo, const LlmJson *schema, Llama2Work *work)
{
	Llama2Options *options = &work->call.options;

	Llama2RequirePreload();
	Llama2ReadOptions(fcinfo, ARG_COMMON, options);
	if (options->grammar || options->n_stops > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" is not possible here", options->grammar ? options->grammar_option : "stop"),
				 errdetail("The schema says what the answer may be.")));
	options->grammar = Llama2GrammarFromTree(schema);
	Llama2UseCallModel(&work->call);
	work->kind = LLM_GENERATE;
	Llama2WorkAllocate(work, 1);
	Llama2Ask(work, 0, LLAMA2_PROMPT_MESSAGE, PointerGetDatum(extract_message(fcinfo, schema)));
	return true;
}

static Datum
answer_jsonb(Llama2Work *work)
{
	text	   *answer = Llama2DoneText(work->call.model, work->questions[0].request);

	return DirectFunctionCall1(jsonb_in, CStringGetDatum(text_to_cstring(answer)));
}

static text *
extract_message(FunctionCallInfo fcinfo, const LlmJson *schema)
{
	char	   *instruction = Llama2StringArgument(fcinfo, ARG_INSTRUCTION);
	char	   *value = text_to_cstring(PG_GETARG_TEXT_PP(ARG_TEXT));

	if (instruction == NULL)
		instruction = psprintf("Extract %s as JSON.", list_fields(schema));
	if (*instruction == '\0')
		return cstring_to_text(value);
	return cstring_to_text(psprintf("%s\n\n%s", instruction, value));
}

/* "a, b and c", in the order in which they will be written. */
static char *
list_fields(const LlmJson *schema)
{
	const LlmJson *required = find(schema, "required");
	const LlmJson *properties = find(schema, "properties");
	StringInfoData list;
	int			n_all = 0;
	int			n = 0;

	initStringInfo(&list);
	for (const LlmJson *name = required ? required->first : NULL; name != NULL; name = name->next)
		n_all++;
	for (const LlmJson *name = properties ? properties->first : NULL; name != NULL; name = name->next)
		n_all += !is_among(required, name->name, name->name_length);
	list_names(&list, required, NULL, &n, n_all);
	list_names(&list, properties, required, &n, n_all);
	return n > 0 ? list.data : pstrdup("the data");
}

static void
list_names(StringInfo list, const LlmJson *names, const LlmJson *required, int *n, int n_all)
{
	for (const LlmJson *item = names ? names->first : NULL; item != NULL; item = item->next)
	{
		bool		by_key = names->kind == LLM_JSON_OBJECT;
		const char *name = by_key ? item->name : item->text;
		size_t		length = by_key ? item->name_length : item->length;

		if (name == NULL || is_among(required, name, length))
			continue;
		if (*n > 0)
			appendStringInfoString(list, *n == n_all - 1 ? " and " : ", ");
		appendStringInfoString(list, text_to_cstring(Llama2TextFromUtf8(name, length)));
		(*n)++;
	}
}

static bool
is_among(const LlmJson *names, const char *name, size_t length)
{
	for (const LlmJson *item = names ? names->first : NULL; item != NULL; item = item->next)
		if (item->kind == LLM_JSON_STRING && item->length == length && memcmp(item->text, name, length) == 0)
			return true;
	return false;
}

static const LlmJson *
find(const LlmJson *object, const char *name)
{
	for (const LlmJson *child = object->first; child != NULL; child = child->next)
		if (child->name_length == strlen(name) && memcmp(child->name, name, child->name_length) == 0)
			return child;
	return NULL;
}

/* What jsonb_populate_record(base, value) returns; it finds out the type from the expression that calls it. */
static Datum
row_from_jsonb(const RowShape *shape, Datum value, bool *is_null)
{
	LOCAL_FCINFO(call, 2);
	FmgrInfo	function;
	Datum		row;
	List	   *arguments = list_make2(makeNullConst(shape->type, -1, InvalidOid), makeNullConst(JSONBOID, -1, InvalidOid));

	fmgr_info(F_JSONB_POPULATE_RECORD, &function);
	fmgr_info_set_expr((Node *) makeFuncExpr(F_JSONB_POPULATE_RECORD, shape->type, arguments, InvalidOid, InvalidOid,
											 COERCE_EXPLICIT_CALL), &function);
	InitFunctionCallInfoData(*call, &function, 2, InvalidOid, NULL, NULL);
	call->args[0].value = shape->base;
	call->args[0].isnull = shape->base_is_null;
	call->args[1].value = value;
	call->args[1].isnull = false;
	row = FunctionCallInvoke(call);
	*is_null = call->isnull;
	return row;
}
