/*
 * model_memory.c
 *		Which models may be in memory together: claims, eviction, and who leaves when idle.
 *
 * A model's claim stands in its entry from before its load until its memory is given back, and
 * the sum of all claims never exceeds llama2.memory_limit.  Workers claim for themselves; whom
 * they evict they ask to unload, and wait until it has.
 */
#include "shared/model_memory.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "server/parameters.h"
#include "shared/model_table.h"

/*
 * A model counts as idle so long after its last request: who asks again at once, as a loop over rows does,
 * finds it still there.  One that was loaded and not used yet has longer, for who asked for it.
 */
#define QUIET_MS 100
#define UNUSED_MS 5000

/* So often do idle models look whether they are the one to go, while there is too little room. */
#define LOOK_AGAIN_MS 500

/* What a claim is short of. */
typedef struct Shortage
{
	uint64		of_limit;
	uint64		of_system;
	uint64		of_shared;
} Shortage;

static void measure(int model, const Llama2MemoryPlan *plan, const Llama2SystemMemory *system, Shortage *shortage);
static bool evict_for(int model, const Shortage *shortage, bool impatient);
static bool may_evict(int model, int victim);
static int	choose_victim(int model, bool busy_too);
static bool goes_before(int a, int b, bool by_load);
static bool is_idle(int model, TimestampTz now, int quiet_ms);
static bool has_requests(int model);
static uint64 claimed_by_others(int model);
static uint64 claimed_and_staying(void);
static bool others_are_unkept(int model);
static uint64 limit_bytes(void);
static uint64 shortfall(uint64 wanted, uint64 there);
static bool forget_vocabularies(void);
static TimestampTz last_touch(const Llama2ModelEntry *entry);
static void refuse(const char *name, const Llama2MemoryPlan *plan, const char *but, const char *hint,
				   Llama2Failure *failure);

Llama2ClaimResult
Llama2ClaimMemory(int model, const Llama2MemoryPlan *plan, const Llama2SystemMemory *system, bool impatient,
				  Llama2Failure *failure)
{
	Llama2ModelEntry *entry = &llama2_control->models[model];
	Llama2ClaimResult result = LLAMA2_CLAIM_WAITS;
	Shortage	shortage;
	uint64		others;

	LWLockAcquire(llama2_control->lock, LW_EXCLUSIVE);
	if (entry->state == LLAMA2_MODEL_UNLOADING)
	{
		LWLockRelease(llama2_control->lock);
		return result;
	}
	entry->memory_bytes = entry->vocabulary_bytes;	/* that it remembers */
	entry->state = LLAMA2_MODEL_WAITING;
	for (int i = 0; i < LLAMA2_MAX_MODELS; i++)
	{
		const Llama2ModelEntry *other = &llama2_control->models[i];

		if (other->state == LLAMA2_MODEL_WAITING && other->generation < entry->generation)
		{
			LWLockRelease(llama2_control->lock);
			return result;
		}
	}

	measure(model, plan, system, &shortage);
	if (shortage.of_limit + shortage.of_system + shortage.of_shared == 0)
	{
		entry->memory_bytes = Llama2PlanTotal(plan);
		entry->state = LLAMA2_MODEL_LOADING;
		result = LLAMA2_CLAIMED;
	}
	else if (!evict_for(model, &shortage, impatient))
		result = LLAMA2_CLAIM_REFUSED;
	others = claimed_by_others(model);
	LWLockRelease(llama2_control->lock);

	if (result == LLAMA2_CLAIM_REFUSED && !Llama2PlanIsImpossible(entry->name, plan, system, failure))
	{
		char		but[LLAMA2_ERROR_LENGTH];

		snprintf(but, sizeof(but), "models that stay have " UINT64_FORMAT " MB", Llama2Megabytes(others));
		if (shortage.of_limit > 0)
			snprintf(but + strlen(but), sizeof(but) - strlen(but),
					 " of the %d MB of \"llama2.memory_limit\"", llama2_memory_limit);
		refuse(entry->name, plan, but, "Preload fewer models, or increase \"llama2.memory_limit\".", failure);
	}
	return result;
}

bool
Llama2PlanIsImpossible(const char *name, const Llama2MemoryPlan *plan, const Llama2SystemMemory *system,
					   Llama2Failure *failure)
{
	uint64		shared = plan->image_bytes + plan->vocabulary_bytes;
	bool		is_reserved = shared <= system->reserved;
	uint64		private = Llama2PlanTotal(plan) - (is_reserved ? shared : 0);
	uint64		evictable = 0;
	uint64		evictable_shared = 0;
	char		but[LLAMA2_ERROR_LENGTH + MAXPGPATH];

	LWLockAcquire(llama2_control->lock, LW_SHARED);
	for (int i = 0; i < LLAMA2_MAX_MODELS; i++)
	{
		const Llama2ModelEntry *entry = &llama2_control->models[i];

		if (strcmp(entry->name, name) == 0 && entry->state == LLAMA2_MODEL_UNUSED)
			continue;
		evictable += entry->memory_bytes;
		if (entry->memory_bytes > 0)
			evictable_shared += entry->image_bytes;
	}
	LWLockRelease(llama2_control->lock);

	if (limit_bytes() > 0 && Llama2PlanTotal(plan) > limit_bytes())
	{
		snprintf(but, sizeof(but), "\"llama2.memory_limit\" is %d MB", llama2_memory_limit);
		refuse(name, plan, but,
			   "Increase \"llama2.memory_limit\", lower \"llama2.kv_cache_size\" or \"llama2.context_length\", "
			   "or import the model with a smaller type.", failure);
		failure->sqlerrcode = ERRCODE_CONFIGURATION_LIMIT_EXCEEDED;
		return true;
	}
	if (!is_reserved && shortfall(shared, system->shared) > evictable_shared)
	{
		snprintf(but, sizeof(but), "%s has only " UINT64_FORMAT " MB free for its weights",
				 system->shared_place, system->shared / (1024 * 1024));
		refuse(name, plan, but,
			   "Enlarge /dev/shm (a container's --shm-size), see the parameters min_dynamic_shared_memory "
			   "and dynamic_shared_memory_type, or import the model with a smaller type.", failure);
		return true;
	}
	if (shortfall(private, system->available) > evictable)
	{
		snprintf(but, sizeof(but), "the system has only " UINT64_FORMAT " MB available",
				 system->available / (1024 * 1024));
		refuse(name, plan, but,
			   "Lower \"llama2.kv_cache_size\" or \"llama2.context_length\", set \"llama2.kv_cache_type\" to q8_0, "
			   "or import the model with a smaller type.", failure);
		return true;
	}
	return false;
}

bool
Llama2LeaveWhenIdle(int model, long *timeout_ms)
{
	Llama2ModelEntry *entry = &llama2_control->models[model];
	TimestampTz now = GetCurrentTimestamp();
	bool		kept = Llama2ModelIsKept(entry->name);
	bool		leaves = false;
	bool		over;

	*timeout_ms = -1;
	LWLockAcquire(llama2_control->lock, LW_EXCLUSIVE);
	over = entry->state == LLAMA2_MODEL_READY && limit_bytes() > 0 && claimed_and_staying() > limit_bytes();
	if (entry->state == LLAMA2_MODEL_READY && !kept && llama2_keep_alive >= 0)
	{
		int64		left_us = llama2_keep_alive * INT64CONST(1000000) - (now - last_touch(entry));

		if (left_us <= 0 && is_idle(model, now, QUIET_MS))
			leaves = true;
		else
			*timeout_ms = Max((long) (left_us / 1000), QUIET_MS);
	}
	if (over && !leaves)
	{
		if (choose_victim(-1, false) == model && !(kept && others_are_unkept(model)))
		{
			leaves = true;
			Llama2AddStatistic(evictions, 1);
		}
		else
			*timeout_ms = LOOK_AGAIN_MS;
	}
	if (leaves)
	{
		entry->state = LLAMA2_MODEL_UNLOADING;
		pg_atomic_write_u32(&entry->stop, 1);
	}
	LWLockRelease(llama2_control->lock);
	return leaves;
}

bool
Llama2ChangeClaim(int model, uint64 bytes)
{
	Llama2ModelEntry *entry = &llama2_control->models[model];
	Llama2SystemMemory system;
	bool		fits;

	Llama2ReadSystemMemory(&system);
	LWLockAcquire(llama2_control->lock, LW_EXCLUSIVE);
	fits = bytes <= entry->memory_bytes ||
		(shortfall(bytes - entry->memory_bytes, system.available) == 0 &&
		 (limit_bytes() == 0 || claimed_by_others(model) + bytes <= limit_bytes()));
	if (fits)
		entry->memory_bytes = bytes;
	LWLockRelease(llama2_control->lock);
	return fits;
}

bool
Llama2ModelIsKept(const char *name)
{
	char	   *names;
	List	   *list;
	ListCell   *cell;
	bool		found = false;

	if (strcmp(name, llama2_model) == 0)
		return true;
	names = pstrdup(llama2_preload);
	(void) SplitGUCList(names, ',', &list);
	foreach(cell, list)
		found = found || strcmp(lfirst(cell), name) == 0;
	list_free(list);
	pfree(names);
	return found;
}

/*
 * The caller holds the lock.  What loads under way have not filled yet is not the system's any more, though
 * it counts it still.
 */
static void
measure(int model, const Llama2MemoryPlan *plan, const Llama2SystemMemory *system, Shortage *shortage)
{
	uint64		total = Llama2PlanTotal(plan);
	uint64		shared = plan->image_bytes + plan->vocabulary_bytes;
	uint64		private = total;
	uint64		pending = 0;
	uint64		pending_shared = 0;

	for (int i = 0; i < LLAMA2_MAX_MODELS; i++)
	{
		Llama2ModelEntry *other = &llama2_control->models[i];

		if (i == model || other->state != LLAMA2_MODEL_LOADING)
			continue;
		pending += shortfall(other->memory_bytes, pg_atomic_read_u64(&other->bytes_done));
		pending_shared += shortfall(other->image_bytes, pg_atomic_read_u64(&other->bytes_done));
	}
	memset(shortage, 0, sizeof(*shortage));
	if (limit_bytes() > 0)
		shortage->of_limit = shortfall(claimed_by_others(model) + total, limit_bytes());
	if (shared <= system->reserved)
		private -= shared;
	else
		shortage->of_shared = shortfall(shared + pending_shared, system->shared);
	shortage->of_system = shortfall(private + pending, system->available);
}

/* The caller holds the lock.  False where it cannot be had. */
static bool
evict_for(int model, const Shortage *shortage, bool impatient)
{
	uint64		leaving = 0;
	uint64		leaving_shared = 0;
	uint64		possible = 0;
	uint64		possible_shared = 0;
	int			victim;

	for (int i = 0; i < LLAMA2_MAX_MODELS; i++)
	{
		const Llama2ModelEntry *other = &llama2_control->models[i];

		if (i == model || other->memory_bytes == 0)
			continue;
		if (other->state == LLAMA2_MODEL_UNLOADING)
		{
			leaving += other->memory_bytes;
			leaving_shared += other->image_bytes;
		}
		if (other->state == LLAMA2_MODEL_UNLOADING || other->state == LLAMA2_MODEL_FAILED || may_evict(model, i))
		{
			possible += other->memory_bytes;
			possible_shared += other->image_bytes;
		}
	}
	if (Max(shortage->of_limit, shortage->of_system) > possible || shortage->of_shared > possible_shared)
		return forget_vocabularies();
	if (Max(shortage->of_limit, shortage->of_system) <= leaving && shortage->of_shared <= leaving_shared)
		return true;
	victim = choose_victim(model, impatient);
	if (victim >= 0)
	{
		Llama2ModelAskToGo(victim);
		Llama2AddStatistic(evictions, 1);
	}
	return true;
}

/* A load that nobody but the server's start wants evicts none that it wants as well. */
static bool
may_evict(int model, int victim)
{
	const Llama2ModelEntry *other = &llama2_control->models[victim];

	if (model >= 0 && llama2_control->models[model].by_server && llama2_control->models[model].n_waiters == 0 &&
		Llama2ModelIsKept(other->name))
		return false;
	return other->state == LLAMA2_MODEL_READY || other->state == LLAMA2_MODEL_LOADING;
}

/* The caller holds the lock.  The model that is to make room, or -1. */
static int
choose_victim(int model, bool busy_too)
{
	TimestampTz now = GetCurrentTimestamp();
	int			best = -1;

	for (int i = 0; i < LLAMA2_MAX_MODELS; i++)
	{
		if (i != model && may_evict(model, i) && is_idle(i, now, QUIET_MS) && (best < 0 || goes_before(i, best, false)))
			best = i;
	}
	if (best >= 0 || !busy_too)
		return best;
	for (int i = 0; i < LLAMA2_MAX_MODELS; i++)
	{
		if (i != model && may_evict(model, i) && llama2_control->models[i].state == LLAMA2_MODEL_READY &&
			llama2_control->models[i].context_length != 0 && (best < 0 || goes_before(i, best, true)))
			best = i;
	}
	return best;
}

/* Of busy models the one that has been there longest goes first, so that they take turns. */
static bool
goes_before(int a, int b, bool by_load)
{
	const Llama2ModelEntry *first = &llama2_control->models[a];
	const Llama2ModelEntry *second = &llama2_control->models[b];
	bool		first_is_kept = Llama2ModelIsKept(first->name);
	bool		second_is_kept = Llama2ModelIsKept(second->name);

	if (by_load)
		return first->loaded_at < second->loaded_at;
	if (first_is_kept != second_is_kept)
		return second_is_kept;
	return last_touch(first) < last_touch(second);
}

static bool
is_idle(int model, TimestampTz now, int quiet_ms)
{
	const Llama2ModelEntry *entry = &llama2_control->models[model];
	bool		was_used = last_touch(entry) > entry->loaded_at;

	return entry->state == LLAMA2_MODEL_READY && entry->context_length != 0 && entry->n_waiters == 0 &&
		now - last_touch(entry) >= (was_used ? quiet_ms : UNUSED_MS) * INT64CONST(1000) &&
		!has_requests(model);
}

static bool
has_requests(int model)
{
	for (int i = 0; i < llama2_control->n_slots; i++)
	{
		const Llama2RequestSlot *slot = &llama2_control->slots[i];

		if (slot->model == model && (slot->state == LLAMA2_SLOT_QUEUED || slot->state == LLAMA2_SLOT_RUNNING))
			return true;
	}
	return false;
}

static uint64
claimed_by_others(int model)
{
	uint64		sum = 0;

	for (int i = 0; i < LLAMA2_MAX_MODELS; i++)
		sum += i == model ? 0 : llama2_control->models[i].memory_bytes;
	return sum;
}

/* Without those that are on their way out. */
static uint64
claimed_and_staying(void)
{
	uint64		sum = 0;

	for (int i = 0; i < LLAMA2_MAX_MODELS; i++)
		sum += llama2_control->models[i].state == LLAMA2_MODEL_UNLOADING ? 0 : llama2_control->models[i].memory_bytes;
	return sum;
}

/* Is there another that could leave, sooner or later, before one that is kept does? */
static bool
others_are_unkept(int model)
{
	for (int i = 0; i < LLAMA2_MAX_MODELS; i++)
	{
		const Llama2ModelEntry *other = &llama2_control->models[i];

		if (i != model && other->state == LLAMA2_MODEL_READY && !Llama2ModelIsKept(other->name))
			return true;
	}
	return false;
}

static uint64
limit_bytes(void)
{
	return (uint64) llama2_memory_limit * 1024 * 1024;
}

static uint64
shortfall(uint64 wanted, uint64 there)
{
	return wanted > there ? wanted - there : 0;
}

/* Those of models that are gone; false where there are none. */
static bool
forget_vocabularies(void)
{
	bool		found = false;

	for (int i = 0; i < LLAMA2_MAX_MODELS; i++)
	{
		if (llama2_control->models[i].state == LLAMA2_MODEL_UNUSED &&
			llama2_control->models[i].vocabulary_handle != DSM_HANDLE_INVALID)
		{
			Llama2ForgetVocabulary(&llama2_control->models[i]);
			found = true;
		}
	}
	return found;
}

static TimestampTz
last_touch(const Llama2ModelEntry *entry)
{
	TimestampTz last_used = (TimestampTz) pg_atomic_read_u64((pg_atomic_uint64 *) &entry->last_used);

	return Max(last_used, entry->loaded_at);
}

static void
refuse(const char *name, const Llama2MemoryPlan *plan, const char *but, const char *hint,
	   Llama2Failure *failure)
{
	failure->sqlerrcode = ERRCODE_OUT_OF_MEMORY;
	snprintf(failure->message, sizeof(failure->message), "model \"%s\" needs " UINT64_FORMAT " MB of memory, but %s",
			 name, Llama2Megabytes(Llama2PlanTotal(plan)), but);
	Llama2DescribePlan(plan, failure->detail, sizeof(failure->detail));
	strlcpy(failure->hint, hint, sizeof(failure->hint));
}
