/*
 * duplicates.c
 *		Requests of one statement that ask the same: computed once.
 *
 * A hash table of what was asked.  The key is compared whole: the hash only says where to
 * look.  When there is no room the one that was asked first goes.
 */
#include "server/duplicates.h"

#include "common/hashfn.h"
#include "lib/ilist.h"
#include "utils/memutils.h"

#include "shared/compat.h"

#define N_BUCKETS 1024

typedef struct KnownRequest
{
	dlist_node	in_bucket;
	dlist_node	in_line;		/* oldest first */
	uint32		hash;
	Size		key_bytes;
	Size		bytes;			/* with what the results will take */
	Llama2Request *request;		/* NULL: a seed was left */
	uint64		seed;
	char		key[FLEXIBLE_ARRAY_MEMBER];
} KnownRequest;

struct Llama2Duplicates
{
	MemoryContext context;
	dlist_node	in_all;
	uint64		n_lost;			/* handles are good until this changes */
	Size		max_bytes;
	Size		n_bytes;
	int64		n_found;
	dlist_head	line;
	dlist_head	buckets[N_BUCKETS];
};

static void leave_all(void *duplicates);
static KnownRequest *find(Llama2Duplicates *duplicates, const Llama2RequestSpec *spec, bool is_seed);
static KnownRequest *remember(Llama2Duplicates *duplicates, const Llama2RequestSpec *spec, Size bytes);
static Llama2RequestSpec without_seed(const Llama2RequestSpec *spec);
static char *make_key(const Llama2RequestSpec *spec, Size *length);
static void forget(Llama2Duplicates *duplicates, KnownRequest *known);

static dlist_head all = DLIST_STATIC_INIT(all);

Llama2Duplicates *
Llama2CreateDuplicates(Size max_bytes)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "llama2 duplicates", ALLOCSET_DEFAULT_SIZES);
	Llama2Duplicates *duplicates = MemoryContextAllocZero(context, sizeof(Llama2Duplicates));
	MemoryContextCallback *callback = MemoryContextAllocZero(context, sizeof(MemoryContextCallback));

	duplicates->context = context;
	duplicates->max_bytes = max_bytes;
	duplicates->n_lost = Llama2CountLostRequests();
	dlist_push_head(&all, &duplicates->in_all);
	callback->func = leave_all;
	callback->arg = duplicates;
	MemoryContextRegisterResetCallback(context, callback);
	dlist_init(&duplicates->line);
	for (int i = 0; i < N_BUCKETS; i++)
		dlist_init(&duplicates->buckets[i]);
	return duplicates;
}

Llama2Request *
Llama2FindDuplicate(Llama2Duplicates *duplicates, const Llama2RequestSpec *spec)
{
	KnownRequest *known = spec->is_reproducible ? find(duplicates, spec, false) : NULL;

	if (known == NULL || Llama2RequestFailed(known->request))
		return NULL;
	duplicates->n_found++;
	return Llama2RequestShare(known->request);
}

Llama2Request *
Llama2FindAnyDuplicate(const Llama2RequestSpec *spec)
{
	dlist_iter	iter;

	dlist_foreach(iter, &all)
	{
		Llama2Duplicates *duplicates = dlist_container(Llama2Duplicates, in_all, iter.cur);
		Llama2Request *found = NULL;

		if (duplicates->n_lost == Llama2CountLostRequests())
			found = Llama2FindDuplicate(duplicates, spec);
		if (found)
			return found;
	}
	return NULL;
}

void
Llama2RememberRequest(Llama2Duplicates *duplicates, const Llama2RequestSpec *spec, Llama2Request *request)
{
	KnownRequest *known = NULL;

	if (spec->is_reproducible)
		known = remember(duplicates, spec, sizeof(Llama2RequestSlot) + Llama2ResultsBytes(spec) + Llama2TopBytes(spec));
	if (known)
	{
		known->request = Llama2RequestShare(request);
		dlist_push_head(&duplicates->buckets[known->hash % N_BUCKETS], &known->in_bucket);
	}
}

/* Behind others, which are taken first. */
void
Llama2LeaveSeed(Llama2Duplicates *duplicates, const Llama2RequestSpec *spec)
{
	Llama2RequestSpec bare = without_seed(spec);
	KnownRequest *known = remember(duplicates, &bare, 0);

	if (known)
	{
		known->request = NULL;
		known->seed = spec->sampling.seed;
		dlist_push_tail(&duplicates->buckets[known->hash % N_BUCKETS], &known->in_bucket);
	}
}

bool
Llama2TakeSeed(const Llama2RequestSpec *spec, uint64 *seed)
{
	Llama2RequestSpec bare = without_seed(spec);
	dlist_iter	iter;

	dlist_foreach(iter, &all)
	{
		Llama2Duplicates *duplicates = dlist_container(Llama2Duplicates, in_all, iter.cur);
		KnownRequest *known = find(duplicates, &bare, true);

		if (known)
		{
			*seed = known->seed;
			forget(duplicates, known);
			return true;
		}
	}
	return false;
}

int64
Llama2CountDuplicates(const Llama2Duplicates *duplicates)
{
	return duplicates->n_found;
}

void
Llama2FreeDuplicates(Llama2Duplicates *duplicates)
{
	while (!dlist_is_empty(&duplicates->line))
		forget(duplicates, dlist_container(KnownRequest, in_line, dlist_head_node(&duplicates->line)));
	MemoryContextDelete(duplicates->context);
}

static void
leave_all(void *duplicates)
{
	dlist_delete(&((Llama2Duplicates *) duplicates)->in_all);
}

static KnownRequest *
find(Llama2Duplicates *duplicates, const Llama2RequestSpec *spec, bool is_seed)
{
	KnownRequest *found = NULL;
	Size		length;
	char	   *key = make_key(spec, &length);
	uint32		hash = hash_bytes((const unsigned char *) key, (int) length);
	dlist_iter	iter;

	dlist_foreach(iter, &duplicates->buckets[hash % N_BUCKETS])
	{
		KnownRequest *known = dlist_container(KnownRequest, in_bucket, iter.cur);

		if ((known->request == NULL) == is_seed && known->hash == hash && known->key_bytes == length &&
			memcmp(known->key, key, length) == 0)
		{
			found = known;
			break;
		}
	}
	pfree(key);
	return found;
}

/* In the line, but in no bucket yet; NULL where it takes more than there is room. */
static KnownRequest *
remember(Llama2Duplicates *duplicates, const Llama2RequestSpec *spec, Size bytes)
{
	KnownRequest *known = NULL;
	Size		length;
	char	   *key = make_key(spec, &length);

	bytes += length + sizeof(KnownRequest);
	while (duplicates->n_bytes + bytes > duplicates->max_bytes && !dlist_is_empty(&duplicates->line))
		forget(duplicates, dlist_container(KnownRequest, in_line, dlist_head_node(&duplicates->line)));
	if (bytes <= duplicates->max_bytes)
	{
		known = MemoryContextAlloc(duplicates->context, offsetof(KnownRequest, key) + length);
		memcpy(known->key, key, length);
		known->key_bytes = length;
		known->bytes = bytes;
		known->hash = hash_bytes((const unsigned char *) key, (int) length);
		dlist_push_tail(&duplicates->line, &known->in_line);
		duplicates->n_bytes += bytes;
	}
	pfree(key);
	return known;
}

static Llama2RequestSpec
without_seed(const Llama2RequestSpec *spec)
{
	Llama2RequestSpec bare = *spec;

	bare.sampling.seed = 0;
	return bare;
}

/* Everything that the results depend on, as bytes. */
static char *
make_key(const Llama2RequestSpec *spec, Size *length)
{
	struct
	{
		int			model;
		uint64		generation;
		LlmRequestKind kind;
		int32		n_prompt;
		int32		max_tokens;
		int32		context_length;
		bool		shift_context;
		int32		n_keep;
		int32		n_top;
		int32		score_from;
		LlmPooling	pooling;
		bool		normalize;
		LlmSamplingOptions sampling;
		int			n_stops;
		uint32		stop_lengths[LLM_MAX_STOPS];
		bool		strip_leading_space;
		LlmOnLimit	on_limit;
	}			head;
	Size		bytes = add_size(sizeof(head), mul_size(sizeof(int32), spec->n_prompt));
	char	   *key;
	char	   *end;

	for (int i = 0; i < spec->n_stops; i++)
		bytes = add_size(bytes, spec->stop_lengths[i]);
	if (spec->grammar)
		bytes = add_size(bytes, spec->grammar->size);

	memset(&head, 0, sizeof(head));
	head.model = spec->model->index;
	head.generation = spec->model->generation;
	head.kind = spec->kind;
	head.n_prompt = spec->n_prompt;
	head.max_tokens = spec->max_tokens;
	head.context_length = spec->context_length;
	head.shift_context = spec->shift_context;
	head.n_keep = spec->n_keep;
	head.n_top = spec->n_top;
	head.score_from = spec->score_from;
	head.pooling = spec->pooling;
	head.normalize = spec->normalize;
	memcpy(&head.sampling, &spec->sampling, sizeof(head.sampling));
	if (spec->sampling.temperature == 0)
		head.sampling.seed = 0;
	head.n_stops = spec->n_stops;
	memcpy(head.stop_lengths, spec->stop_lengths, sizeof(uint32) * spec->n_stops);
	head.strip_leading_space = spec->strip_leading_space;
	head.on_limit = spec->on_limit;

	key = palloc(bytes);
	memcpy(key, &head, sizeof(head));
	end = key + sizeof(head);
	memcpy(end, spec->prompt, sizeof(int32) * spec->n_prompt);
	end += sizeof(int32) * spec->n_prompt;
	for (int i = 0; i < spec->n_stops; i++)
	{
		memcpy(end, spec->stops[i], spec->stop_lengths[i]);
		end += spec->stop_lengths[i];
	}
	if (spec->grammar)
		memcpy(end, spec->grammar, spec->grammar->size);
	*length = bytes;
	return key;
}

static void
forget(Llama2Duplicates *duplicates, KnownRequest *known)
{
	dlist_delete(&known->in_bucket);
	dlist_delete(&known->in_line);
	duplicates->n_bytes -= known->bytes;
	if (known->request)
		Llama2RequestRelease(known->request);
	pfree(known);
}
