/*
 * conversation.c
 *		Conversations as their tables keep them: found, locked, read, continued.
 *
 * Nobody is granted more than to read the tables.  So all statements run as their owner, with a
 * search_path of the system's catalog alone, and say themselves whose rows they may touch.
 *
 * Who goes on with a conversation first locks its row.  The same row is updated with each turn, so
 * that a transaction whose snapshot is older than the last turn gets a serialization failure.
 */
#include "server/conversation.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "shared/compat.h"

#define MAX_ARGUMENTS 12
/* Bytes of a name: with its owner it must fit an entry of the index. */
#define MAX_NAME_LENGTH 1000

/* Between open_tables and close_tables. */
typedef struct Session
{
	char	   *schema;
	Oid			caller;
	int			security;
	int			settings;
	MemoryContext context;		/* of the caller, for what is returned */
} Session;

/* The arguments of a statement; those not set are null. */
typedef struct Arguments
{
	int			n;
	Oid			types[MAX_ARGUMENTS];
	Datum		values[MAX_ARGUMENTS];
	char		nulls[MAX_ARGUMENTS];
} Arguments;

static void open_tables(Oid schema, Session *session);
static void close_tables(const Session *session);
static uint64 execute(const Session *session, const char *sql, Arguments *arguments);
static void add(Arguments *arguments, Oid type, Datum value);
static void add_text(Arguments *arguments, const text *value);
static void add_string(Arguments *arguments, const char *value);
static void read_conversation(const Session *session, Llama2Conversation *conversation);
static text *read_text(int row, int column);
static char *read_string(int column);
static Llama2OnFull on_full_from_name(const char *name);

Llama2ConversationKey
Llama2ConversationArgument(FunctionCallInfo fcinfo, int argument, bool by_id)
{
	Llama2ConversationKey key = {.schema = get_func_namespace(fcinfo->flinfo->fn_oid)};
	char	   *name;

	if (by_id)
	{
		key.id = PG_GETARG_INT64(argument);
		return key;
	}
	name = text_to_cstring(PG_GETARG_TEXT_PP(argument));
	if (*name != '\0' && name[strspn(name, "0123456789")] == '\0')
		key.id = DatumGetInt64(DirectFunctionCall1(int8in, CStringGetDatum(name)));
	else
		key.name = name;
	return key;
}

void
Llama2ConversationCheckWritable(const char *what)
{
	if (XactReadOnly)
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot execute %s() with a conversation in a read-only transaction", what),
				 errdetail("It writes to the tables of the conversation."),
				 errhint("llama2_chat(messages => ...) answers a dialog and writes nothing.")));
}

bool
Llama2ConversationInsert(Oid schema, const char *name, text *system, const char *model, Jsonb *options,
						 const char *on_full, int64 *id)
{
	Arguments	arguments = {0};
	Session		session;
	bool		is_null;
	bool		is_new;

	if (name && name[strspn(name, "0123456789")] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid conversation name \"%s\"", name),
				 errdetail("A name has at least one character that is not a digit; digits are taken for an id.")));
	if (name && strlen(name) > MAX_NAME_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("conversation name of %zu bytes is too long", strlen(name)),
				 errdetail("It can have at most %d bytes.", MAX_NAME_LENGTH)));
	add(&arguments, OIDOID, ObjectIdGetDatum(GetUserId()));
	add_string(&arguments, name);
	add_text(&arguments, system);
	add_string(&arguments, model);
	add(&arguments, JSONBOID, JsonbPGetDatum(options));
	add_string(&arguments, on_full);
	open_tables(schema, &session);
	is_new = execute(&session, "INSERT INTO %1$s.llama2_conversation (owner, name, system, model, options, on_full) "
					 "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (owner, name) DO NOTHING RETURNING id", &arguments) == 1;
	if (is_new)
		*id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
	close_tables(&session);
	return is_new;
}

bool
Llama2ConversationLock(const Llama2ConversationKey *key, Llama2Conversation *conversation)
{
	Arguments	arguments = {0};
	Session		session;
	bool		found;

	memset(conversation, 0, sizeof(*conversation));
	conversation->schema = key->schema;
	add(&arguments, OIDOID, ObjectIdGetDatum(GetUserId()));
	if (key->name)
		add_string(&arguments, key->name);
	else
		add(&arguments, INT8OID, Int64GetDatum(key->id));
	open_tables(key->schema, &session);
	found = execute(&session, psprintf("SELECT id, name, system, model, options, on_full, turns, first_turn, summary "
									   "FROM %%1$s.llama2_conversation WHERE %s FOR NO KEY UPDATE",
									   key->name ? "owner = $1 AND name = $2" : "id = $2 AND pg_has_role($1, owner, 'USAGE')"),
					&arguments) == 1;
	if (found)
		read_conversation(&session, conversation);
	close_tables(&session);
	return found;
}

void
Llama2ConversationMissing(const Llama2ConversationKey *key)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 key->name ? errmsg("conversation \"%s\" does not exist", key->name) :
			 errmsg("conversation " INT64_FORMAT " does not exist", key->id),
			 errhint("The view llama2_conversations lists yours.")));
}

int
Llama2ConversationTexts(const Llama2Conversation *conversation, text ***texts)
{
	Arguments	arguments = {0};
	Session		session;
	MemoryContext old;
	int			n;

	add(&arguments, INT8OID, Int64GetDatum(conversation->id));
	add(&arguments, INT4OID, Int32GetDatum(conversation->first_turn));
	open_tables(conversation->schema, &session);
	n = (int) execute(&session, "SELECT message, answer FROM %1$s.llama2_turn WHERE conversation = $1 AND number >= $2 "
					  "ORDER BY number", &arguments);
	old = MemoryContextSwitchTo(session.context);
	*texts = palloc(sizeof(text *) * (2 * (Size) n + 1));
	for (int i = 0; i < 2 * n; i++)
		(*texts)[i] = read_text(i / 2, i % 2 + 1);
	MemoryContextSwitchTo(old);
	close_tables(&session);
	return 2 * n;
}

/* A stream's turn is added when it has ended: meanwhile its own transaction may have gone on. */
void
Llama2ConversationAddTurn(const Llama2Conversation *conversation, const Llama2Turn *turn)
{
	Arguments	update = {0};
	Arguments	insert = {0};
	Session		session;

	add(&update, INT8OID, Int64GetDatum(conversation->id));
	add(&update, INT4OID, Int32GetDatum(conversation->turns));
	add(&update, INT4OID, Int32GetDatum(conversation->first_turn));
	add_text(&update, conversation->summary);
	add(&insert, INT8OID, Int64GetDatum(conversation->id));
	add(&insert, INT4OID, Int32GetDatum(conversation->turns + 1));
	add_text(&insert, turn->message);
	add_text(&insert, turn->answer);
	add_string(&insert, turn->model);
	add(&insert, INT8OID, Int64GetDatum(turn->seed));
	add_string(&insert, turn->finish_reason);
	add(&insert, INT4OID, Int32GetDatum(conversation->first_turn));
	add_text(&insert, turn->new_summary);
	add(&insert, INT4OID, Int32GetDatum(turn->prompt_tokens));
	add(&insert, INT4OID, Int32GetDatum(turn->cached_tokens));
	add(&insert, INT4OID, Int32GetDatum(turn->completion_tokens));
	open_tables(conversation->schema, &session);
	if (execute(&session, "UPDATE %1$s.llama2_conversation SET turns = turns + 1, first_turn = $3, summary = $4, "
				"last_turn_at = clock_timestamp() WHERE id = $1 AND turns = $2", &update) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("conversation %s was changed while its answer was read", conversation->label),
				 errhint("Read a stream to its end, and call it once in a query, before the conversation goes on.")));
	(void) execute(&session, "INSERT INTO %1$s.llama2_turn (conversation, number, message, answer, model, seed, finish_reason, "
				   "first_turn, summary, prompt_tokens, cached_tokens, completion_tokens) "
				   "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)", &insert);
	close_tables(&session);
}

void
Llama2ConversationUpdate(const Llama2Conversation *conversation)
{
	Arguments	arguments = {0};
	Session		session;

	add(&arguments, INT8OID, Int64GetDatum(conversation->id));
	add(&arguments, INT4OID, Int32GetDatum(conversation->first_turn));
	add_text(&arguments, conversation->summary);
	open_tables(conversation->schema, &session);
	(void) execute(&session, "UPDATE %1$s.llama2_conversation SET first_turn = $2, summary = $3 WHERE id = $1", &arguments);
	close_tables(&session);
}

void
Llama2ConversationDelete(const Llama2Conversation *conversation)
{
	Arguments	arguments = {0};
	Session		session;

	add(&arguments, INT8OID, Int64GetDatum(conversation->id));
	open_tables(conversation->schema, &session);
	(void) execute(&session, "DELETE FROM %1$s.llama2_conversation WHERE id = $1", &arguments);
	close_tables(&session);
}

/* After an error the end of the (sub)transaction undoes this. */
static void
open_tables(Oid schema, Session *session)
{
	Oid			relid = get_relname_relid("llama2_conversation", schema);
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"llama2_conversation\" of the extension does not exist")));
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	session->schema = pstrdup(quote_identifier(get_namespace_name(schema)));
	session->context = CurrentMemoryContext;
	GetUserIdAndSecContext(&session->caller, &session->security);
	SetUserIdAndSecContext(owner, session->security | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
	session->settings = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	SPI_connect();
}

static void
close_tables(const Session *session)
{
	SPI_finish();
	AtEOXact_GUC(false, session->settings);
	SetUserIdAndSecContext(session->caller, session->security);
}

/* Run a statement in which %1$s is the schema; returns the number of rows. */
static uint64
execute(const Session *session, const char *sql, Arguments *arguments)
{
	int			result = SPI_execute_with_args(psprintf(sql, session->schema), arguments->n, arguments->types,
											   arguments->values, arguments->nulls, false, 0);

	if (result < 0)
		elog(ERROR, "could not execute \"%s\": %s", sql, SPI_result_code_string(result));
	return SPI_processed;
}

/* A pointer that is NULL is null. */
static void
add(Arguments *arguments, Oid type, Datum value)
{
	int			i = arguments->n++;

	arguments->types[i] = type;
	arguments->values[i] = value;
	arguments->nulls[i] = (type == TEXTOID || type == JSONBOID) && DatumGetPointer(value) == NULL ? 'n' : ' ';
}

static void
add_text(Arguments *arguments, const text *value)
{
	add(arguments, TEXTOID, PointerGetDatum(value));
}

static void
add_string(Arguments *arguments, const char *value)
{
	add_text(arguments, value ? cstring_to_text(value) : NULL);
}

/* From the only row; the columns are those of Llama2ConversationLock. */
static void
read_conversation(const Session *session, Llama2Conversation *conversation)
{
	HeapTuple	tuple = SPI_tuptable->vals[0];
	TupleDesc	desc = SPI_tuptable->tupdesc;
	MemoryContext old = MemoryContextSwitchTo(session->context);
	bool		is_null;
	Datum		value;
	char	   *name = read_string(2);

	conversation->id = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &is_null));
	conversation->label = name ? psprintf("\"%s\"", name) : psprintf(INT64_FORMAT, conversation->id);
	conversation->system = read_text(0, 3);
	conversation->model = read_string(4);
	value = SPI_getbinval(tuple, desc, 5, &is_null);
	conversation->options = is_null ? NULL : DatumGetJsonbPCopy(value);
	conversation->on_full = on_full_from_name(read_string(6));
	conversation->turns = DatumGetInt32(SPI_getbinval(tuple, desc, 7, &is_null));
	conversation->first_turn = DatumGetInt32(SPI_getbinval(tuple, desc, 8, &is_null));
	conversation->summary = read_text(0, 9);
	MemoryContextSwitchTo(old);
}

/* A copy in the current memory context; NULL for null. */
static text *
read_text(int row, int column)
{
	bool		is_null;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &is_null);

	return is_null ? NULL : DatumGetTextPCopy(value);
}

/* Likewise, of the only row. */
static char *
read_string(int column)
{
	text	   *value = read_text(0, column);

	return value ? text_to_cstring(value) : NULL;
}

static Llama2OnFull
on_full_from_name(const char *name)
{
	if (strcmp(name, "summarize") == 0)
		return LLAMA2_FULL_SUMMARIZE;
	if (strcmp(name, "error") == 0)
		return LLAMA2_FULL_ERROR;
	return LLAMA2_FULL_DROP;
}
