/*
 * utility_hook.c
 *		Statements about whole databases, which a job worker must not be in the way of; and the commit of a
 *		prepared transaction, whose jobs nobody else tells the worker of.
 */
#include "server/job_worker.h"

#include "access/xact.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/acl.h"

#include "shared/compat.h"
#include "shared/job_table.h"

static void process_utility(PlannedStmt *statement, const char *query, bool read_only_tree,
							ProcessUtilityContext context, ParamListInfo parameters,
							QueryEnvironment *environment, DestReceiver *destination,
							QueryCompletion *completion);
static const char *database_of(Node *statement);

static ProcessUtility_hook_type previous_hook = NULL;

void
Llama2InstallUtilityHook(void)
{
	previous_hook = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
}

static void
process_utility(PlannedStmt *statement, const char *query, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo parameters,
				QueryEnvironment *environment, DestReceiver *destination, QueryCompletion *completion)
{
	Node	   *tree = statement->utilityStmt;
	bool		is_commit_prepared = IsA(tree, TransactionStmt) &&
		((TransactionStmt *) tree)->kind == TRANS_STMT_COMMIT_PREPARED;
	const char *name = database_of(tree);
	Oid			database = name ? get_database_oid(name, true) : InvalidOid;

	if (OidIsValid(database) && Llama2IsDatabaseOwner(database, GetUserId()))
		Llama2SendJobWorkerAway(database);
	if (previous_hook)
		previous_hook(statement, query, read_only_tree, context, parameters, environment, destination,
					  completion);
	else
		standard_ProcessUtility(statement, query, read_only_tree, context, parameters, environment,
								destination, completion);
	if (is_commit_prepared)
		Llama2JobsWanted(MyDatabaseId, 0);
}

/* The database that nobody may be connected to while the statement runs, or NULL. */
static const char *
database_of(Node *statement)
{
	ListCell   *cell;

	switch (nodeTag(statement))
	{
		case T_DropdbStmt:
			return ((DropdbStmt *) statement)->dbname;
		case T_RenameStmt:
			return ((RenameStmt *) statement)->renameType == OBJECT_DATABASE ?
				((RenameStmt *) statement)->subname : NULL;
		case T_AlterDatabaseStmt:
			foreach(cell, ((AlterDatabaseStmt *) statement)->options)
			{
				if (strcmp(((DefElem *) lfirst(cell))->defname, "tablespace") == 0)
					return ((AlterDatabaseStmt *) statement)->dbname;
			}
			return NULL;
		case T_CreatedbStmt:
			foreach(cell, ((CreatedbStmt *) statement)->options)
			{
				DefElem    *option = lfirst(cell);

				if (strcmp(option->defname, "template") == 0 && option->arg && IsA(option->arg, String))
					return strVal(option->arg);
			}
			return "template1";
		default:
			return NULL;
	}
}
