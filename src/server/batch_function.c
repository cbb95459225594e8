/*
 * batch_function.c
 *		Finds the functions that can be called for many rows at a time.
 *
 * What an OID is, is looked up once and kept until the catalog of functions changes.
 */
#include "server/batch_function.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/syscache.h"

#include "shared/compat.h"

static const Llama2BatchFunction functions[] = {
	{"llama2_generate", Llama2PrepareGenerate, Llama2AnswerText},
	{"llama2_generate_array", Llama2PrepareGenerateArray, Llama2AnswerArray},
	{"llama2_chat", Llama2PrepareChat, Llama2AnswerText},
	{"llama2_chat_messages", Llama2PrepareChatMessages, Llama2AnswerText},
	{"llama2_complete", Llama2PrepareComplete, Llama2AnswerDetails},
	{"llama2_complete_n", Llama2PrepareCompleteN},
	{"llama2_perplexity", Llama2PreparePerplexity, Llama2AnswerPerplexity},
	{"llama2_score", Llama2PrepareScore, Llama2AnswerScore},
	{"llama2_logprobs", Llama2PrepareScore},
	{"llama2_classify_scores", Llama2PrepareClassify},
	{"llama2_classify", Llama2PrepareClassify, Llama2AnswerBestCandidate},
	{"llama2_choice", Llama2PrepareChoice, Llama2AnswerBestCandidate},
	{"llama2_is_true", Llama2PrepareIsTrue, Llama2AnswerIsTrue},
	{"llama2_extract", Llama2PrepareExtract, Llama2AnswerJson, true},
	{"llama2_extract_text_schema", Llama2PrepareExtractTextSchema, Llama2AnswerJson, true},
	{"llama2_extract_row", Llama2PrepareExtractRow, Llama2AnswerRow, true},
	{"llama2_embed", Llama2PrepareEmbed, Llama2AnswerEmbed},
	{"llama2_embed_array", Llama2PrepareEmbedArray},
	{"llama2_similarity", Llama2PrepareSimilarity, Llama2AnswerSimilarity},
	{"llama2_summarize", Llama2PrepareSummarize, Llama2AnswerSummary},
	{"llama2_summarize_texts", Llama2PrepareSummarizeTexts, Llama2AnswerSummary},
};

typedef struct KnownFunction
{
	Oid			oid;			/* the key */
	const Llama2BatchFunction *function;
} KnownFunction;

static const Llama2BatchFunction *look_up(Oid oid);
static char *own_symbol(Oid oid);
static bool is_library(const char *path);
static void forget(Datum arg, int cache, uint32 hash);

static HTAB *known = NULL;

const Llama2BatchFunction *
Llama2FindBatchFunction(Oid function)
{
	const Llama2BatchFunction *result;
	KnownFunction *entry;
	bool		found;

	if (function < FirstNormalObjectId)
		return NULL;
	if (known == NULL)
	{
		HASHCTL		control = {.keysize = sizeof(Oid), .entrysize = sizeof(KnownFunction)};

		known = hash_create("llama2 functions", 64, &control, HASH_ELEM | HASH_BLOBS);
		CacheRegisterSyscacheCallback(PROCOID, forget, (Datum) 0);
	}
	entry = hash_search(known, &function, HASH_FIND, NULL);
	if (entry)
		return entry->function;
	result = look_up(function);
	entry = hash_search(known, &function, HASH_ENTER, &found);
	entry->function = result;
	return result;
}

bool
Llama2IsOwnFunction(Oid function, const char *symbol)
{
	char	   *own = function < FirstNormalObjectId ? NULL : own_symbol(function);

	return own != NULL && strcmp(own, symbol) == 0;
}

static const Llama2BatchFunction *
look_up(Oid oid)
{
	char	   *name = own_symbol(oid);

	if (name == NULL)
		return NULL;
	for (size_t i = 0; i < lengthof(functions); i++)
		if (strcmp(functions[i].symbol, name) == 0)
			return &functions[i];
	return NULL;
}

/*
 * The name of a C function of our library, or NULL for any other.  One that was altered to run with other settings, as its owner or
 * not for NULL is another: that is what the function manager does around it.
 */
static char *
own_symbol(Oid oid)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(oid));
	Form_pg_proc form;
	Datum		value;
	bool		is_null;
	char	   *symbol = NULL;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	form = (Form_pg_proc) GETSTRUCT(tuple);
	value = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_probin, &is_null);
	if (form->prolang == ClanguageId && !is_null && is_library(TextDatumGetCString(value)) &&
		!form->prosecdef && !form->proisstrict && heap_attisnull(tuple, Anum_pg_proc_proconfig, NULL))
	{
		value = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosrc, &is_null);
		symbol = is_null ? NULL : TextDatumGetCString(value);
	}
	ReleaseSysCache(tuple);
	return symbol;
}

/* Ours, in whatever folder? */
static bool
is_library(const char *path)
{
	const char *name = strrchr(path, '/');

	name = name ? name + 1 : path;
	return strcmp(name, "llama2") == 0 || strcmp(name, "llama2" DLSUFFIX) == 0;
}

/* Any function may have changed. */
static void
forget(Datum arg, int cache, uint32 hash)
{
	HASH_SEQ_STATUS status;
	KnownFunction *entry;

	hash_seq_init(&status, known);
	while ((entry = hash_seq_search(&status)) != NULL)
		(void) hash_search(known, &entry->oid, HASH_REMOVE, NULL);
}
