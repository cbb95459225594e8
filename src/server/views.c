/*
 * views.c
 *		The functions behind llama2_status, llama2_requests and llama2_stats.
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "server/model_use.h"
#include "shared/compat.h"
#include "shared/model_table.h"

PG_FUNCTION_INFO_V1(llama2_status);
PG_FUNCTION_INFO_V1(llama2_requests);
PG_FUNCTION_INFO_V1(llama2_stats);
PG_FUNCTION_INFO_V1(llama2_stats_reset);

#define STATUS_COLUMNS 17
#define REQUEST_COLUMNS 14
#define STATS_COLUMNS 24

static const char *kind_name(LlmRequestKind kind);
static const char *slot_state_name(const Llama2RequestSlot *slot);
static int64 counter(pg_atomic_uint64 *value);
static void set_null_if(bool *nulls, int column, bool is_null);

/* A row for each model that has a worker, or had one that failed. */
Datum
llama2_status(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	Llama2RequirePreload();
	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < LLAMA2_MAX_MODELS; i++)
	{
		Llama2ModelEntry entry;
		Datum		values[STATUS_COLUMNS];
		bool		nulls[STATUS_COLUMNS] = {0};
		int			n_queued = 0;

		LWLockAcquire(llama2_control->lock, LW_SHARED);
		entry = llama2_control->models[i];
		for (int slot = llama2_control->queue_head; slot >= 0; slot = llama2_control->slots[slot].next)
			n_queued += llama2_control->slots[slot].model == i;
		LWLockRelease(llama2_control->lock);
		if (entry.state == LLAMA2_MODEL_UNUSED)
			continue;

		values[0] = CStringGetTextDatum(entry.name);
		values[1] = CStringGetTextDatum(Llama2ModelStateName(entry.state));
		values[2] = Int32GetDatum(entry.worker_pid);
		values[3] = CStringGetTextDatum(entry.kernels);
		values[4] = Int32GetDatum(entry.threads);
		values[5] = Int32GetDatum(entry.context_length);
		values[6] = Int64GetDatum((int64) entry.image_bytes);
		values[7] = Int64GetDatum((int64) entry.kv_bytes);
		values[8] = Int64GetDatum((int64) entry.activation_bytes);
		values[9] = Int64GetDatum((int64) entry.memory_bytes);
		values[10] = Int32GetDatum((int32) pg_atomic_read_u32(&entry.running));
		values[11] = Int32GetDatum(n_queued);
		values[12] = Int32GetDatum((int32) pg_atomic_read_u32(&entry.kv_pages));
		values[13] = Int32GetDatum((int32) pg_atomic_read_u32(&entry.kv_pages_free));
		values[14] = Int32GetDatum((int32) pg_atomic_read_u32(&entry.kv_pages_cached));
		values[15] = TimestampTzGetDatum(entry.loaded_at);
		values[16] = CStringGetTextDatum(entry.failure.message);
		set_null_if(nulls, 2, entry.worker_pid == 0);
		set_null_if(nulls, 3, entry.kernels[0] == '\0');
		for (int column = 4; column <= 14; column++)
			set_null_if(nulls, column, entry.kernels[0] == '\0' && column != 9);
		set_null_if(nulls, 15, entry.loaded_at == 0);
		set_null_if(nulls, 16, entry.state != LLAMA2_MODEL_FAILED);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	PG_RETURN_NULL();
}

/* A row for each slot in use: one's own, or all for those who may read all statistics. */
Datum
llama2_requests(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	bool		sees_all = has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);

	Llama2RequirePreload();
	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < llama2_control->n_slots; i++)
	{
		Llama2RequestSlot slot;
		char		model[LLAMA2_MODEL_NAME_LENGTH];
		Datum		values[REQUEST_COLUMNS];
		bool		nulls[REQUEST_COLUMNS] = {0};

		LWLockAcquire(llama2_control->lock, LW_SHARED);
		slot = llama2_control->slots[i];
		strlcpy(model, llama2_control->models[slot.model].name, sizeof(model));
		LWLockRelease(llama2_control->lock);
		if (slot.state == LLAMA2_SLOT_FREE || slot.state == LLAMA2_SLOT_FILLING ||
			!(sees_all || has_privs_of_role(GetUserId(), slot.userid)))
			continue;

		values[0] = Int64GetDatum((int64) slot.generation);
		values[1] = Int32GetDatum(slot.owner_pid);
		values[2] = ObjectIdGetDatum(slot.databaseid);
		values[3] = ObjectIdGetDatum(slot.userid);
		values[4] = CStringGetTextDatum(model);
		values[5] = CStringGetTextDatum(kind_name(slot.kind));
		values[6] = CStringGetTextDatum(slot_state_name(&slot));
		values[7] = TimestampTzGetDatum(slot.queued_at);
		values[8] = TimestampTzGetDatum(slot.started_at);
		values[9] = Int32GetDatum(slot.n_prompt);
		values[10] = Int32GetDatum((int32) pg_atomic_read_u32(&slot.n_prefilled));
		values[11] = Int32GetDatum((int32) pg_atomic_read_u32(&slot.n_results));
		values[12] = Int32GetDatum(slot.max_tokens);
		values[13] = BoolGetDatum(slot.cancel != 0);
		set_null_if(nulls, 8, slot.started_at == 0);
		set_null_if(nulls, 11, slot.kind == LLM_EMBED);
		set_null_if(nulls, 12, slot.kind != LLM_GENERATE);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	PG_RETURN_NULL();
}

Datum
llama2_stats(PG_FUNCTION_ARGS)
{
	Llama2Statistics *statistics;
	TupleDesc	row_type;
	Datum		values[STATS_COLUMNS];
	bool		nulls[STATS_COLUMNS] = {0};
	int			column = 0;
	int64		steps;

	Llama2RequirePreload();
	if (get_call_result_type(fcinfo, NULL, &row_type) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	statistics = &llama2_control->statistics;
	values[column++] = Int64GetDatum(counter(&statistics->requests));
	values[column++] = Int64GetDatum(counter(&statistics->completed));
	values[column++] = Int64GetDatum(counter(&statistics->failed));
	values[column++] = Int64GetDatum(counter(&statistics->cancelled));
	values[column++] = Int64GetDatum(counter(&statistics->prompt_tokens));
	values[column++] = Int64GetDatum(counter(&statistics->cached_tokens));
	values[column++] = Int64GetDatum(counter(&statistics->completion_tokens));
	values[column++] = Int64GetDatum(counter(&statistics->scored_tokens));
	steps = counter(&statistics->steps);
	values[column++] = Int64GetDatum(steps);
	values[column++] = Float8GetDatum(steps == 0 ? 0 :
									  (double) counter(&statistics->sequence_steps) / (double) steps);
	values[column++] = Int64GetDatum(counter(&statistics->prefill_tokens));
	values[column++] = Int64GetDatum(counter(&statistics->decode_tokens));
	values[column++] = Int64GetDatum(counter(&statistics->drafted_tokens));
	values[column++] = Int64GetDatum(counter(&statistics->accepted_tokens));
	values[column++] = Int64GetDatum(counter(&statistics->preemptions));
	values[column++] = Int64GetDatum(counter(&statistics->job_pauses));
	values[column++] = Float8GetDatum((double) counter(&statistics->queue_us) / 1000.0);
	values[column++] = Float8GetDatum((double) counter(&statistics->prefill_us) / 1000.0);
	values[column++] = Float8GetDatum((double) counter(&statistics->decode_us) / 1000.0);
	values[column++] = Float8GetDatum((double) counter(&statistics->step_us) / 1000.0);
	values[column++] = Int64GetDatum(counter(&statistics->worker_starts));
	values[column++] = Int64GetDatum(counter(&statistics->model_loads));
	values[column++] = Int64GetDatum(counter(&statistics->evictions));
	values[column++] = TimestampTzGetDatum(counter(&statistics->reset_at));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row_type), values, nulls)));
}

Datum
llama2_stats_reset(PG_FUNCTION_ARGS)
{
	Llama2RequirePreload();
	Llama2ResetStatistics();
	PG_RETURN_VOID();
}

static const char *
kind_name(LlmRequestKind kind)
{
	switch (kind)
	{
		case LLM_GENERATE:
			return "generate";
		case LLM_SCORE:
			return "score";
		case LLM_EMBED:
			return "embed";
	}
	return "unknown";
}

static const char *
slot_state_name(const Llama2RequestSlot *slot)
{
	if (slot->state == LLAMA2_SLOT_QUEUED)
		return "queued";
	if (slot->state == LLAMA2_SLOT_DONE)
		return "done";
	switch ((LlmRequestState) pg_atomic_read_u32((pg_atomic_uint32 *) &slot->phase))
	{
		case LLM_REQUEST_WAITING:
			return "waiting";
		case LLM_REQUEST_PREFILL:
			return "prefill";
		case LLM_REQUEST_DECODE:
			return "decode";
		case LLM_REQUEST_DONE:
			break;
	}
	return "done";
}

static int64
counter(pg_atomic_uint64 *value)
{
	return (int64) pg_atomic_read_u64(value);
}

static void
set_null_if(bool *nulls, int column, bool is_null)
{
	if (is_null)
		nulls[column] = true;
}
