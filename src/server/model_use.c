/*
 * model_use.c
 *		A backend's view of a resident model.
 *
 * A vocabulary is mapped once and kept.  A model that went and was loaded again has the same one as long as its file
 * says so; where it has another, that is mapped beside the old one, which whoever still uses it has to the end of
 * its transaction.
 */
#include "server/model_use.h"

#include <sys/stat.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "server/model_wait.h"
#include "server/parameters.h"
#include "shared/model_table.h"

/* A file is looked at so often, by a session that uses its model. */
#define LOOK_AGAIN_US INT64CONST(10000000)

typedef struct MappedModel
{
	Llama2Model model;
	dsm_segment *segment;
	LlmFileIdentity file;		/* that was loaded */
	TimestampTz looked_at;
	LlmFileIdentity warned_of;
	struct MappedModel *next;	/* of stale ones */
} MappedModel;

static MappedModel *find_mapped(const char *name);
static bool refresh(MappedModel *mapped, int index);
static MappedModel *map_vocabulary(const char *name, int index);
static MappedModel *take_stale(uint64 vocabulary_generation);
static void retire(MappedModel *mapped);
static void free_stale(XactEvent event, void *arg);
static void touch(int index);
static void look_at_file(MappedModel *mapped);

static MappedModel *all_mapped[LLAMA2_MAX_MODELS];
static MappedModel *stale = NULL;

void
Llama2RequirePreload(void)
{
	if (llama2_control == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("llama2 must be loaded with \"shared_preload_libraries\""),
				 errhint("Add llama2 to \"shared_preload_libraries\" in postgresql.conf and restart the server.")));
}

void
Llama2RequireModelName(const char *name)
{
	if (!Llama2ModelNameIsValid(name))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid model name \"%s\"", name),
				 errhint("A model's name is its file's name without \".gguf\"; llama2_models() lists them.")));
}

const Llama2Model *
Llama2UseModel(const char *name)
{
	Llama2RequirePreload();
	if (name == NULL)
		name = llama2_model;
	Llama2RequireModelName(name);

	for (;;)
	{
		int			index = Llama2WaitForModel(name);
		MappedModel *mapped = find_mapped(name);

		if (mapped && !refresh(mapped, index))
		{
			retire(mapped);
			mapped = NULL;
		}
		if (mapped == NULL)
			mapped = map_vocabulary(name, index);
		if (mapped == NULL)
			continue;
		touch(index);
		if (GetCurrentTimestamp() - mapped->looked_at > LOOK_AGAIN_US)
			look_at_file(mapped);
		return &mapped->model;
	}
}

bool
Llama2FileHasChanged(const char *name, const LlmFileIdentity *loaded)
{
	char	   *path = Llama2ModelPath(name);
	struct stat status;
	LlmFileIdentity now;
	bool		there = stat(path, &status) == 0;

	pfree(path);
	if (!there)
		return false;
	now = llm_file_identity(&status);
	return !llm_same_file(&now, loaded);
}

bool
Llama2ModelIsMapped(const Llama2Model *model, uint64 vocabulary_generation)
{
	for (int i = 0; i < LLAMA2_MAX_MODELS; i++)
	{
		if (all_mapped[i] && &all_mapped[i]->model == model)
			return model->vocabulary_generation == vocabulary_generation;
	}
	return false;
}

void
Llama2LookAtFile(const char *name)
{
	MappedModel *mapped = find_mapped(name);

	if (mapped)
	{
		mapped->looked_at = 0;
		memset(&mapped->warned_of, 0, sizeof(mapped->warned_of));
	}
}

static MappedModel *
find_mapped(const char *name)
{
	for (int i = 0; i < LLAMA2_MAX_MODELS; i++)
	{
		if (all_mapped[i] && strcmp(all_mapped[i]->model.name, name) == 0)
			return all_mapped[i];
	}
	return NULL;
}

/* False where the model's vocabulary is another one now, or it went again. */
static bool
refresh(MappedModel *mapped, int index)
{
	const Llama2ModelEntry *entry = &llama2_control->models[index];
	bool		same;

	LWLockAcquire(llama2_control->lock, LW_SHARED);
	same = strcmp(entry->name, mapped->model.name) == 0 &&
		entry->vocabulary_generation == mapped->model.vocabulary_generation;
	if (same)
	{
		if (mapped->model.generation != entry->generation)
			mapped->looked_at = 0;
		mapped->model.index = index;
		mapped->model.generation = entry->generation;
		mapped->model.context_length = entry->context_length;
		mapped->model.dim = entry->config.dim;
		mapped->file = entry->file;
	}
	LWLockRelease(llama2_control->lock);
	return same;
}

/* NULL where the model went meanwhile. */
static MappedModel *
map_vocabulary(const char *name, int index)
{
	Llama2ModelEntry *entry = &llama2_control->models[index];
	MappedModel now = {0};
	MappedModel *mapped;
	dsm_handle	handle;
	MemoryContext old;
	int			place = 0;

	LWLockAcquire(llama2_control->lock, LW_SHARED);
	handle = entry->state == LLAMA2_MODEL_READY && strcmp(entry->name, name) == 0 ?
		entry->vocabulary_handle : DSM_HANDLE_INVALID;
	now.model.index = index;
	now.model.generation = entry->generation;
	now.model.context_length = entry->context_length;
	now.model.dim = entry->config.dim;
	strlcpy(now.model.name, entry->name, sizeof(now.model.name));
	now.model.vocabulary_generation = entry->vocabulary_generation;
	now.file = entry->file;
	LWLockRelease(llama2_control->lock);
	if (handle == DSM_HANDLE_INVALID)
		return NULL;

	mapped = take_stale(now.model.vocabulary_generation);
	if (mapped)
		now.segment = mapped->segment;
	else
	{
		old = MemoryContextSwitchTo(TopMemoryContext);
		mapped = palloc(sizeof(MappedModel));
		now.segment = dsm_attach(handle);
		MemoryContextSwitchTo(old);
		if (now.segment == NULL)
		{
			pfree(mapped);
			return NULL;
		}
		dsm_pin_mapping(now.segment);
	}
	now.model.vocabulary = dsm_segment_address(now.segment);
	*mapped = now;

	while (place < LLAMA2_MAX_MODELS && all_mapped[place])
		place++;
	if (place == LLAMA2_MAX_MODELS)
		retire(all_mapped[--place]);
	all_mapped[place] = mapped;
	return mapped;
}

/* A process cannot map a segment twice. */
static MappedModel *
take_stale(uint64 vocabulary_generation)
{
	MappedModel **link = &stale;
	MappedModel *found;

	while (*link && (*link)->model.vocabulary_generation != vocabulary_generation)
		link = &(*link)->next;
	found = *link;
	if (found)
		*link = found->next;
	return found;
}

static void
retire(MappedModel *mapped)
{
	static bool callback_registered = false;

	if (!callback_registered)
	{
		RegisterXactCallback(free_stale, NULL);
		callback_registered = true;
	}
	for (int i = 0; i < LLAMA2_MAX_MODELS; i++)
	{
		if (all_mapped[i] == mapped)
			all_mapped[i] = NULL;
	}
	mapped->next = stale;
	stale = mapped;
}

static void
free_stale(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE &&
		event != XACT_EVENT_PARALLEL_COMMIT && event != XACT_EVENT_PARALLEL_ABORT)
		return;
	while (stale)
	{
		MappedModel *mapped = stale;

		stale = mapped->next;
		dsm_detach(mapped->segment);
		pfree(mapped);
	}
}

/* Who only tokenizes uses the model as well. */
static void
touch(int index)
{
	pg_atomic_uint64 *last_used = &llama2_control->models[index].last_used;
	TimestampTz now = GetCurrentTimestamp();

	if (now - (TimestampTz) pg_atomic_read_u64(last_used) > 1000000)
		pg_atomic_write_u64(last_used, (uint64) now);
}

/* Once for each load. */
static void
look_at_file(MappedModel *mapped)
{
	mapped->looked_at = GetCurrentTimestamp();
	if (llm_same_file(&mapped->warned_of, &mapped->file) ||
		!Llama2FileHasChanged(mapped->model.name, &mapped->file))
		return;
	mapped->warned_of = mapped->file;
	ereport(WARNING,
			(errmsg("the file of model \"%s\" has changed since it was loaded", mapped->model.name),
			 errdetail("Answers come from what was loaded."),
			 errhint("llama2_unload() and then llama2_load() take the new file.")));
}
