/*
 * compat.h
 *		The differences between PostgreSQL 14 and 18 that this project meets.
 *
 * Wrappers have the newest version's shape.
 */
#ifndef LLAMA2_COMPAT_H
#define LLAMA2_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 140000
#error "llama2 needs PostgreSQL 14 or newer"
#endif

#if PG_VERSION_NUM >= 150000
#include "common/pg_prng.h"
#endif
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/shmem.h"		/* add_size, mul_size; newer minor releases have them in palloc.h */
#include "utils/tuplestore.h"
#include "utils/wait_event.h"

/* 16: taken out of postgres.h. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* 16: one function checks the owner of anything. */
#if PG_VERSION_NUM >= 160000
#define Llama2IsDatabaseOwner(database, role) object_ownercheck(DatabaseRelationId, (database), (role))
#else
#define Llama2IsDatabaseOwner(database, role) pg_database_ownercheck((database), (role))
#endif

/* 16: summarizing indexes can be updated alone. */
#if PG_VERSION_NUM >= 160000
#define Llama2InsertIndexTuples(result, slot, state) \
	((void) ExecInsertIndexTuples((result), (slot), (state), false, false, NULL, NIL, false))
#else
#define Llama2InsertIndexTuples(result, slot, state) \
	((void) ExecInsertIndexTuples((result), (slot), (state), false, false, NULL, NIL))
#endif

/* 18: there is a second function reverse(), so that the name alone means none. */
#if PG_VERSION_NUM < 180000
#define F_REVERSE_TEXT F_REVERSE
#endif

/* 18: that a function does not return is said before its type. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

/* 17: an extension can name its wait events. */
#if PG_VERSION_NUM >= 170000
#define LLAMA2_WAIT_EVENT(variable, name) \
	((variable) != 0 ? (variable) : ((variable) = WaitEventExtensionNew(name)))
#else
#define LLAMA2_WAIT_EVENT(variable, name) \
	((void) (variable), PG_WAIT_EXTENSION)
#endif

/* 15: what libraries are called was the loader's secret. */
#ifndef DLSUFFIX
#define DLSUFFIX ".so"
#endif

/* 15: the function that guards a prefix against misspelt parameters was renamed; before, it warned only. */
#if PG_VERSION_NUM < 150000
#define MarkGUCPrefixReserved(prefix) EmitWarningsOnPlaceholders(prefix)
#endif

/* 15: the server has one generator of pseudorandom numbers.  Not negative. */
#if PG_VERSION_NUM >= 150000
#define Llama2RandomNumber() pg_prng_int64p(&pg_global_prng_state)
#else
static inline int64
Llama2RandomNumber(void)
{
	int64		number;

	if (!pg_strong_random(&number, sizeof(number)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate a random number")));
	return number & PG_INT64_MAX;
}
#endif

/* 15: set-returning functions that materialize got a helper. */
#if PG_VERSION_NUM < 150000
#define MAT_SRF_USE_EXPECTED_DESC 0x01

static inline void
InitMaterializedSRF(FunctionCallInfo fcinfo, int flags)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext old = MemoryContextSwitchTo(result->econtext->ecxt_per_query_memory);
	TupleDesc	row_type;

	if (flags & MAT_SRF_USE_EXPECTED_DESC)
		row_type = CreateTupleDescCopy(result->expectedDesc);
	else if (get_call_result_type(fcinfo, NULL, &row_type) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	result->returnMode = SFRM_Materialize;
	result->setResult = tuplestore_begin_heap(false, false, work_mem);
	result->setDesc = row_type;
	MemoryContextSwitchTo(old);
}
#endif

#endif							/* LLAMA2_COMPAT_H */
