/*
 * job_owner.c
 *		The worker of jobs as the owner of one of them, while it touches the tables of users.
 *
 * User code runs then as index functions do in maintenance commands: it cannot become somebody else, and what
 * it sets is put back.
 */
#include "server/job_owner.h"

#include "access/table.h"
#include "catalog/pg_db_role_setting.h"
#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timeout.h"

/* Longest time that a statement on a user's table may take. */
#define OWNER_STATEMENT_MS 60000
#define OWNER_LOCK_TIMEOUT "200ms"
/* How often it is looked whether user code goes on although it was cancelled, and how long it may. */
#define WATCH_MS 1000
#define CANCELLED_MS 3000

static void watch(void);
static void apply_settings(Oid role);

static TimeoutId watch_timeout;
static int	watched_ms;			/* since the owner's statements began */
static int	cancelled_ms;		/* since they were cancelled */
static char *session_search_path = NULL;	/* of a session in this database */
static char *session_tokens_limit = NULL;

void
Llama2JobOwnerInit(void)
{
	session_search_path = MemoryContextStrdup(TopMemoryContext, GetConfigOption("search_path", false, false));
	session_tokens_limit = MemoryContextStrdup(TopMemoryContext, GetConfigOption("llama2.max_tokens_limit", false, false));
	watch_timeout = RegisterTimeout(USER_TIMEOUT, watch);
}

void
Llama2BecomeJobOwner(Oid owner, Llama2JobOwner *before)
{
	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(owner)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role with OID %u does not exist", owner)));
	GetUserIdAndSecContext(&before->user, &before->security);
	SetUserIdAndSecContext(owner, before->security | SECURITY_RESTRICTED_OPERATION |
						   SECURITY_LOCAL_USERID_CHANGE);
	before->settings = NewGUCNestLevel();
	(void) set_config_option("llama2.max_tokens_limit", session_tokens_limit, PGC_SUSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	apply_settings(owner);
	(void) set_config_option("lock_timeout", OWNER_LOCK_TIMEOUT, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	enable_timeout_after(STATEMENT_TIMEOUT, OWNER_STATEMENT_MS);
	watched_ms = cancelled_ms = 0;
	enable_timeout_after(watch_timeout, WATCH_MS);
}

void
Llama2BecomeJobWorker(const Llama2JobOwner *before)
{
	Llama2LeaveJobOwner();
	AtEOXact_GUC(false, before->settings);
	SetUserIdAndSecContext(before->user, before->security);
}

/* A timeout that fired too late for the owner's statement cancels none of the worker's; SIGTERM's cancellation stays. */
void
Llama2LeaveJobOwner(void)
{
	disable_timeout(watch_timeout, false);
	disable_timeout(STATEMENT_TIMEOUT, true);
	if (get_timeout_indicator(STATEMENT_TIMEOUT, true))
		QueryCancelPending = ShutdownRequestPending;
}

/* User code can catch a cancellation and go on; this ends the process.  In a signal handler. */
static void
watch(void)
{
	watched_ms += WATCH_MS;
	if (ShutdownRequestPending || watched_ms > OWNER_STATEMENT_MS)
		cancelled_ms += WATCH_MS;
	if (cancelled_ms > CANCELLED_MS)
	{
		ProcDiePending = true;
		InterruptPending = true;
		SetLatch(MyLatch);
	}
	enable_timeout_after(watch_timeout, WATCH_MS);
}

/* As in a session of the role: triggers may rely on its search_path. */
static void
apply_settings(Oid role)
{
	Relation	catalog = table_open(DbRoleSettingRelationId, AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetCatalogSnapshot(DbRoleSettingRelationId));

	(void) set_config_option("search_path", session_search_path, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	ApplySetting(snapshot, InvalidOid, role, catalog, PGC_S_SESSION);
	ApplySetting(snapshot, MyDatabaseId, role, catalog, PGC_S_SESSION);
	UnregisterSnapshot(snapshot);
	table_close(catalog, AccessShareLock);
}
