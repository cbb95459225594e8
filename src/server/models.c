/*
 * models.c
 *		llama2_models, llama2_load and llama2_unload: what there is, and what is resident.
 */
#include "postgres.h"

#include <sys/stat.h>

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "server/model_use.h"
#include "server/options.h"
#include "server/parameters.h"
#include "shared/compat.h"
#include "shared/model_table.h"

PG_FUNCTION_INFO_V1(llama2_models);
PG_FUNCTION_INFO_V1(llama2_load);
PG_FUNCTION_INFO_V1(llama2_unload);

#define MODEL_COLUMNS 17

static void put_model(ReturnSetInfo *result, const char *name, int64 file_bytes,
					  const Llama2ModelEntry *entry);
static bool model_name_of_file(const char *file_name, char *name, size_t size);
static bool copy_entry(const char *name, Llama2ModelEntry *copy);

/* The files of the folder, and what is resident although its file is gone. */
Datum
llama2_models(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *folder;
	DIR		   *directory;
	struct dirent *file;
	bool		seen[LLAMA2_MAX_MODELS] = {0};

	Llama2RequirePreload();
	InitMaterializedSRF(fcinfo, 0);
	folder = Llama2ModelDirectory();
	directory = AllocateDir(folder);
	if (directory == NULL)
		ereport(WARNING,
				(errcode_for_file_access(),
				 errmsg("could not open the directory of models: %m"),
				 errhint("The parameter \"llama2.model_directory\" names it.")));
	while (directory && (file = ReadDirExtended(directory, folder, LOG)) != NULL)
	{
		char		name[LLAMA2_MODEL_NAME_LENGTH];
		struct stat status;
		Llama2ModelEntry entry;
		int			index;

		if (!model_name_of_file(file->d_name, name, sizeof(name)) ||
			stat(psprintf("%s/%s", folder, file->d_name), &status) != 0 ||
			!S_ISREG(status.st_mode))
			continue;
		LWLockAcquire(llama2_control->lock, LW_SHARED);
		index = Llama2ModelFind(name);
		LWLockRelease(llama2_control->lock);
		if (index >= 0)
			seen[index] = true;
		put_model(result, name, status.st_size, copy_entry(name, &entry) ? &entry : NULL);
	}
	if (directory)
		FreeDir(directory);

	for (int i = 0; i < LLAMA2_MAX_MODELS; i++)
	{
		Llama2ModelEntry entry;

		LWLockAcquire(llama2_control->lock, LW_SHARED);
		entry = llama2_control->models[i];
		LWLockRelease(llama2_control->lock);
		if (!seen[i] && entry.state != LLAMA2_MODEL_UNUSED && entry.state != LLAMA2_MODEL_FAILED)
			put_model(result, entry.name, entry.file_bytes, &entry);
	}
	PG_RETURN_NULL();
}

/* Make a model resident and wait until it is. */
Datum
llama2_load(PG_FUNCTION_ARGS)
{
	char	   *name = Llama2StringArgument(fcinfo, 0);

	Llama2RequirePreload();
	if (name == NULL)
		PG_RETURN_NULL();
	Llama2LookAtFile(name);
	(void) Llama2UseModel(name);
	PG_RETURN_VOID();
}

/*
 * Ask the worker to finish what it has and to go, and wait until it is gone;
 * a load that is under way is given up.  False where the model was not resident.
 */
Datum
llama2_unload(PG_FUNCTION_ARGS)
{
	static uint32 wait_event = 0;
	char	   *name = Llama2StringArgument(fcinfo, 0);
	int			index;
	uint64		generation = 0;
	bool		unloading = false;

	Llama2RequirePreload();
	if (name == NULL)
		PG_RETURN_NULL();

	LWLockAcquire(llama2_control->lock, LW_EXCLUSIVE);
	index = Llama2ModelFind(name);
	if (index >= 0 && llama2_control->models[index].state != LLAMA2_MODEL_FAILED)
	{
		Llama2ModelEntry *entry = &llama2_control->models[index];

		generation = entry->generation;
		unloading = true;
		if (entry->state == LLAMA2_MODEL_READY)
			Llama2ModelAskToGo(index);
		else if (entry->state != LLAMA2_MODEL_UNLOADING)
			(void) Llama2ModelCancelLoad(index);
	}
	LWLockRelease(llama2_control->lock);
	if (!unloading)
		PG_RETURN_BOOL(false);
	ConditionVariableBroadcast(&llama2_control->model_changed);

	for (;;)
	{
		bool		gone;

		ConditionVariablePrepareToSleep(&llama2_control->model_changed);
		LWLockAcquire(llama2_control->lock, LW_SHARED);
		gone = llama2_control->models[index].state == LLAMA2_MODEL_UNUSED ||
			llama2_control->models[index].state == LLAMA2_MODEL_FAILED ||
			llama2_control->models[index].generation != generation;
		LWLockRelease(llama2_control->lock);
		if (gone)
			break;
		ConditionVariableSleep(&llama2_control->model_changed,
							   LLAMA2_WAIT_EVENT(wait_event, "Llama2ModelUnload"));
	}
	ConditionVariableCancelSleep();
	PG_RETURN_BOOL(true);
}

static void
put_model(ReturnSetInfo *result, const char *name, int64 file_bytes, const Llama2ModelEntry *entry)
{
	Datum		values[MODEL_COLUMNS] = {0};
	bool		nulls[MODEL_COLUMNS];
	bool		resident = entry && entry->image_handle != DSM_HANDLE_INVALID;

	memset(nulls, true, sizeof(nulls));
	values[0] = CStringGetTextDatum(name);
	values[1] = CStringGetTextDatum(entry ? Llama2ModelStateName(entry->state) : "available");
	values[2] = Int64GetDatum(file_bytes);
	nulls[0] = nulls[1] = nulls[2] = false;
	if (entry && entry->state == LLAMA2_MODEL_LOADING)
	{
		values[3] = Int64GetDatum((int64) pg_atomic_read_u64((pg_atomic_uint64 *) &entry->bytes_done));
		nulls[3] = false;
	}
	if (resident)
	{
		const LlmModelConfig *config = &entry->config;

		values[4] = Int64GetDatum((int64) entry->image_bytes);
		values[5] = Int64GetDatum((int64) entry->kv_bytes);
		values[6] = CStringGetTextDatum(config->type_name);
		values[7] = Int64GetDatum(config->n_weights);
		values[8] = Int32GetDatum(config->n_layers);
		values[9] = Int32GetDatum(config->dim);
		values[10] = Int32GetDatum(config->vocabulary_size);
		values[11] = Int32GetDatum(entry->context_length);
		values[12] = TimestampTzGetDatum(entry->loaded_at);
		values[13] = Float8GetDatum(entry->load_ms);
		memset(&nulls[4], false, 10);
	}
	if (resident)
	{
		TimestampTz last_used = (TimestampTz) pg_atomic_read_u64((pg_atomic_uint64 *) &entry->last_used);

		values[14] = TimestampTzGetDatum(last_used);
		nulls[14] = last_used == 0;
		values[15] = BoolGetDatum(Llama2FileHasChanged(name, &entry->file));
		nulls[15] = false;
	}
	if (entry && entry->state == LLAMA2_MODEL_FAILED)
	{
		values[16] = CStringGetTextDatum(entry->failure.message);
		nulls[16] = false;
	}
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static bool
model_name_of_file(const char *file_name, char *name, size_t size)
{
	size_t		length = strlen(file_name);

	if (length <= 5 || length - 5 >= size || strcmp(file_name + length - 5, ".gguf") != 0)
		return false;
	memcpy(name, file_name, length - 5);
	name[length - 5] = '\0';
	return Llama2ModelNameIsValid(name);
}

static bool
copy_entry(const char *name, Llama2ModelEntry *copy)
{
	int			index;

	LWLockAcquire(llama2_control->lock, LW_SHARED);
	index = Llama2ModelFind(name);
	if (index >= 0)
		*copy = llama2_control->models[index];
	LWLockRelease(llama2_control->lock);
	return index >= 0;
}
