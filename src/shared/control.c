/*
 * control.c
 *		Claims and initializes the control block, and attaches to its payload area.
 */
#include "shared/control.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "server/parameters.h"
#include "shared/job_table.h"

/* Prompts and results of ordinary requests fit here; more is taken from DSM. */
#define PAYLOAD_AREA_BYTES ((Size) 2 * 1024 * 1024)

static void request_shared_memory(void);
static void startup_shared_memory(void);
static Size control_block_size(void);
static void initialize_control_block(void);
static void *payload_area_place(void);
static void release_payload_area(int code, Datum arg);

Llama2Control *llama2_control = NULL;

#if PG_VERSION_NUM >= 150000
static shmem_request_hook_type previous_request_hook = NULL;
#endif
static shmem_startup_hook_type previous_startup_hook = NULL;
static dsa_area *payload_area = NULL;

void
Llama2InstallSharedMemoryHooks(void)
{
#if PG_VERSION_NUM >= 150000
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_shared_memory;
#else
	request_shared_memory();
#endif
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shared_memory;
}

dsa_area *
Llama2PayloadArea(void)
{
	if (payload_area == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		payload_area = dsa_attach_in_place(payload_area_place(), NULL);
		dsa_pin_mapping(payload_area);
		on_shmem_exit(release_payload_area, (Datum) 0);
		MemoryContextSwitchTo(old);
	}
	return payload_area;
}

void
Llama2ResetStatistics(void)
{
	pg_atomic_uint64 *counters = (pg_atomic_uint64 *) &llama2_control->statistics;

	for (size_t i = 0; i < sizeof(Llama2Statistics) / sizeof(pg_atomic_uint64); i++)
		pg_atomic_write_u64(&counters[i], 0);
	pg_atomic_write_u64(&llama2_control->statistics.reset_at, (uint64) GetCurrentTimestamp());
}

static void
request_shared_memory(void)
{
#if PG_VERSION_NUM >= 150000
	if (previous_request_hook)
		previous_request_hook();
#endif
	RequestAddinShmemSpace(add_size(control_block_size(), PAYLOAD_AREA_BYTES));
	RequestAddinShmemSpace(Llama2JobTableSize());
	RequestNamedLWLockTranche("llama2", 3);
}

/* Runs in the postmaster at start, and again after a crash. */
static void
startup_shared_memory(void)
{
	bool		found;

	if (previous_startup_hook)
		previous_startup_hook();

	llama2_control = NULL;
	payload_area = NULL;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	llama2_control = ShmemInitStruct("llama2", add_size(control_block_size(), PAYLOAD_AREA_BYTES),
									 &found);
	if (!found)
		initialize_control_block();
	Llama2JobTableInit(&GetNamedLWLockTranche("llama2")[2].lock);
	LWLockRelease(AddinShmemInitLock);
}

static Size
control_block_size(void)
{
	return MAXALIGN(add_size(offsetof(Llama2Control, slots),
							 mul_size(sizeof(Llama2RequestSlot), llama2_max_requests)));
}

static void
initialize_control_block(void)
{
	LWLockPadded *locks = GetNamedLWLockTranche("llama2");
	dsa_area   *area;

	memset(llama2_control, 0, control_block_size());
	llama2_control->lock = &locks[0].lock;
	llama2_control->n_slots = llama2_control->n_free = llama2_max_requests;
	llama2_control->queue_head = llama2_control->queue_tail = -1;
	llama2_control->payload_area_offset = control_block_size();
	ConditionVariableInit(&llama2_control->slot_freed);
	ConditionVariableInit(&llama2_control->model_changed);

	for (int i = 0; i < llama2_max_requests; i++)
	{
		Llama2RequestSlot *slot = &llama2_control->slots[i];

		slot->next = i + 1 < llama2_max_requests ? i + 1 : -1;
		slot->payload = InvalidDsaPointer;
		pg_atomic_init_u32(&slot->n_results, 0);
		pg_atomic_init_u32(&slot->n_prefilled, 0);
		pg_atomic_init_u32(&slot->phase, 0);
	}
	for (int i = 0; i < LLAMA2_MAX_MODELS; i++)
	{
		Llama2ModelEntry *entry = &llama2_control->models[i];

		entry->image_handle = entry->vocabulary_handle = DSM_HANDLE_INVALID;
		pg_atomic_init_u64(&entry->last_used, 0);
		pg_atomic_init_u64(&entry->bytes_done, 0);
		pg_atomic_init_u32(&entry->stop, 0);
		pg_atomic_init_u32(&entry->running, 0);
		pg_atomic_init_u32(&entry->kv_pages, 0);
		pg_atomic_init_u32(&entry->kv_pages_free, 0);
		pg_atomic_init_u32(&entry->kv_pages_cached, 0);
	}
	for (int i = 0; i < LLAMA2_MAX_PROGRESS; i++)
	{
		Llama2Progress *entry = &llama2_control->progress[i];

		pg_atomic_init_u64(&entry->n_read, 0);
		pg_atomic_init_u64(&entry->n_done, 0);
		pg_atomic_init_u64(&entry->n_requests, 0);
		pg_atomic_init_u64(&entry->n_prompt_tokens, 0);
		pg_atomic_init_u64(&entry->n_completion_tokens, 0);
	}
	Llama2ResetStatistics();

	area = dsa_create_in_place(payload_area_place(), PAYLOAD_AREA_BYTES,
							   locks[1].lock.tranche, NULL);
	dsa_pin(area);
	dsa_detach(area);
}

static void *
payload_area_place(void)
{
	return (char *) llama2_control + llama2_control->payload_area_offset;
}

static void
release_payload_area(int code, Datum arg)
{
	dsa_release_in_place(payload_area_place());
}
