/*
 * vocabulary.c
 *		Building a vocabulary's block, and looking pieces up in it.
 *
 * The block is a header, then five arrays and the pieces' bytes:
 *
 *		slots			Slot[n_slots]		hash table of the pieces, linear probing
 *		text_offsets	uint32[n_pieces + 1]	where a piece's bytes begin
 *		scores			float[n_pieces]
 *		user_defined	int32[n_user_defined]	ids, sorted by the pieces' bytes
 *		kinds			uint8[n_pieces]
 *		text			char[]
 */
#include "text/vocabulary.h"

#include "text/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_MAGIC UINT64_C(0x31424F56324D4C4C)

/*
 * At most half of the slots are taken, so an honest vocabulary's runs stay
 * below a hundred slots.  Longer ones come from a file made to collide: another
 * seed is tried, and in the end the file is refused rather than served slowly.
 */
#define LONGEST_RUN 256
#define HASH_SEEDS 8

/* U+2047 with spaces around: what SentencePiece shows for an unknown piece. */
#define LONGEST_FIXED_TOKEN 5

typedef struct Slot
{
	uint32_t	hash;
	int32_t		id;				/* -1: free */
} Slot;

struct LlmVocabulary
{
	uint64_t	magic;			/* written last */
	uint64_t	size;
	uint64_t	hash_seed;
	uint64_t	slots;			/* offsets of the arrays in the block */
	uint64_t	text_offsets;
	uint64_t	scores;
	uint64_t	user_defined;
	uint64_t	kinds;
	uint64_t	text;
	int32_t		n_pieces;
	int32_t		n_user_defined;
	uint32_t	n_slots;		/* a power of two */
	uint32_t	longest_piece;	/* bytes */
	uint32_t	longest_token;	/* bytes of raw text */
	int32_t		bos_id;
	int32_t		eos_id;
	int32_t		unknown_id;
	bool		add_bos;
	bool		add_space_prefix;
	bool		words_are_separate;
	bool		user_defined_leads[256];	/* first bytes of user-defined pieces */
	int32_t		byte_tokens[256];
};

/* A user-defined piece while they are sorted. */
typedef struct SortedPiece
{
	LlmPiece	piece;
	int32_t		id;
} SortedPiece;

static bool check_source(const LlmVocabularySource *source, LlmError *error);
static bool check_piece(const LlmPiece *piece, int32_t id, LlmError *error);
static bool check_special(const char *name, int32_t id, int32_t n_pieces, LlmError *error);
static void lay_out(const LlmVocabularySource *source, LlmVocabulary *header);
static uint64_t place(uint64_t *end, uint64_t count, uint64_t width);
static void copy_pieces(const LlmVocabularySource *source, LlmVocabulary *block);
static bool sort_user_defined(const LlmVocabularySource *source, LlmVocabulary *block, LlmError *error);
static int	compare_pieces(const void *a, const void *b);
static bool fill_slots(LlmVocabulary *block);
static bool insert_piece(const LlmVocabulary *block, int32_t id);
static int32_t find(const LlmVocabulary *block, const char *bytes, size_t length, bool text_only);
static int32_t narrow(const LlmVocabulary *block, int32_t low, int32_t high, uint32_t depth, int byte);
static bool spans_words(const LlmPiece *piece);
static bool is_matched_first(const LlmPiece *piece);
static bool is_text_kind(LlmPieceKind kind);
static uint32_t hash_bytes(const char *bytes, size_t length, uint64_t seed);

static inline const void *
array_at(const LlmVocabulary *block, uint64_t offset)
{
	return (const char *) block + offset;
}

static inline const char *
piece_bytes(const LlmVocabulary *block, int32_t id, uint32_t *length)
{
	const uint32_t *offsets = (const uint32_t *) array_at(block, block->text_offsets) + id;

	*length = offsets[1] - offsets[0];
	return (const char *) array_at(block, block->text) + offsets[0];
}

size_t
llm_vocabulary_size(const LlmVocabularySource *source, LlmError *error)
{
	LlmVocabulary header;

	if (!check_source(source, error))
		return 0;
	lay_out(source, &header);
	return (size_t) header.size;
}

bool
llm_vocabulary_build(const LlmVocabularySource *source, void *memory, size_t size, LlmError *error)
{
	LlmVocabulary *block = memory;
	LlmVocabulary header;

	if (!check_source(source, error))
		return false;
	lay_out(source, &header);
	if (size != header.size)
		return llm_fail(error, LLM_ERROR_ARGUMENT, "vocabulary block has %zu bytes instead of %zu",
						size, (size_t) header.size);
	if ((uintptr_t) memory % sizeof(uint64_t) != 0)
		return llm_fail(error, LLM_ERROR_ARGUMENT, "vocabulary block is not aligned to %zu bytes",
						sizeof(uint64_t));
	memset(block, 0, size);
	*block = header;
	copy_pieces(source, block);
	if (!sort_user_defined(source, block, error))
		return false;
	if (!fill_slots(block))
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"the %d pieces of the vocabulary collide in its hash table",
						(int) source->n_pieces);
	__atomic_store_n(&block->magic, BLOCK_MAGIC, __ATOMIC_RELEASE);
	return true;
}

bool
llm_vocabulary_check(const void *memory, size_t size)
{
	const LlmVocabulary *block = memory;

	return memory != NULL && size >= sizeof(LlmVocabulary) &&
		(uintptr_t) memory % sizeof(uint64_t) == 0 &&
		__atomic_load_n(&block->magic, __ATOMIC_ACQUIRE) == BLOCK_MAGIC &&
		block->size <= size;
}

int32_t
llm_vocabulary_count(const LlmVocabulary *vocabulary)
{
	return vocabulary->n_pieces;
}

int32_t
llm_vocabulary_bos(const LlmVocabulary *vocabulary)
{
	return vocabulary->bos_id;
}

int32_t
llm_vocabulary_eos(const LlmVocabulary *vocabulary)
{
	return vocabulary->eos_id;
}

int32_t
llm_vocabulary_unknown(const LlmVocabulary *vocabulary)
{
	return vocabulary->unknown_id;
}

bool
llm_vocabulary_adds_bos(const LlmVocabulary *vocabulary)
{
	return vocabulary->add_bos;
}

bool
llm_vocabulary_adds_space_prefix(const LlmVocabulary *vocabulary)
{
	return vocabulary->add_space_prefix;
}

int32_t
llm_vocabulary_byte_token(const LlmVocabulary *vocabulary, uint8_t byte)
{
	return vocabulary->byte_tokens[byte];
}

int32_t
llm_vocabulary_find(const LlmVocabulary *vocabulary, const char *bytes, size_t length)
{
	return find(vocabulary, bytes, length, false);
}

int32_t
llm_vocabulary_find_text(const LlmVocabulary *vocabulary, const char *bytes, size_t length)
{
	return find(vocabulary, bytes, length, true);
}

int32_t
llm_vocabulary_match_user_defined(const LlmVocabulary *vocabulary, const char *bytes,
								  size_t length, uint32_t *piece_length)
{
	const int32_t *sorted = array_at(vocabulary, vocabulary->user_defined);
	int32_t		low = 0;
	int32_t		high = vocabulary->n_user_defined;
	int32_t		best = -1;
	uint32_t	depth;

	if (length == 0 || !vocabulary->user_defined_leads[(uint8_t) bytes[0]])
		return -1;
	for (depth = 0; depth < length; depth++)
	{
		int			byte = (uint8_t) bytes[depth];
		uint32_t	first_length;

		/* Those that share the first depth bytes stay; the shortest comes first. */
		high = narrow(vocabulary, low, high, depth, byte + 1);
		low = narrow(vocabulary, low, high, depth, byte);
		if (low == high)
			break;
		piece_bytes(vocabulary, sorted[low], &first_length);
		if (first_length == depth + 1)
		{
			best = sorted[low];
			*piece_length = first_length;
		}
	}
	return best;
}

bool
llm_vocabulary_words_are_separate(const LlmVocabulary *vocabulary)
{
	return vocabulary->words_are_separate;
}

LlmPiece
llm_vocabulary_piece(const LlmVocabulary *vocabulary, int32_t id)
{
	LlmPiece	piece;

	piece.bytes = piece_bytes(vocabulary, id, &piece.length);
	piece.score = ((const float *) array_at(vocabulary, vocabulary->scores))[id];
	piece.kind = ((const uint8_t *) array_at(vocabulary, vocabulary->kinds))[id];
	return piece;
}

int
llm_vocabulary_byte_of_piece(const LlmPiece *piece)
{
	static const char digits[] = "0123456789ABCDEF";
	const char *high;
	const char *low;

	if (piece->length != 6 || memcmp(piece->bytes, "<0x", 3) != 0 || piece->bytes[5] != '>')
		return -1;
	high = memchr(digits, piece->bytes[3], 16);
	low = memchr(digits, piece->bytes[4], 16);
	if (high == NULL || low == NULL)
		return -1;
	return (int) ((high - digits) * 16 + (low - digits));
}

uint32_t
llm_vocabulary_max_token_bytes(const LlmVocabulary *vocabulary)
{
	return vocabulary->longest_token;
}

static bool
check_source(const LlmVocabularySource *source, LlmError *error)
{
	int32_t		i;

	if (source->n_pieces < 1 || source->n_pieces > LLM_MAX_PIECES)
		return llm_fail(error, LLM_ERROR_LIMIT, "vocabulary has %d pieces, must have 1 to %d",
						(int) source->n_pieces, LLM_MAX_PIECES);
	if (!check_special("beginning-of-text", source->bos_id, source->n_pieces, error) ||
		!check_special("end-of-text", source->eos_id, source->n_pieces, error) ||
		!check_special("unknown", source->unknown_id, source->n_pieces, error))
		return false;
	for (i = 0; i < source->n_pieces; i++)
	{
		if (!check_piece(&source->pieces[i], i, error))
			return false;
	}
	return true;
}

static bool
check_piece(const LlmPiece *piece, int32_t id, LlmError *error)
{
	if (piece->length > LLM_MAX_PIECE_BYTES)
		return llm_fail(error, LLM_ERROR_LIMIT,
						"piece %d of the vocabulary has %u bytes, the limit is %d",
						(int) id, (unsigned) piece->length, LLM_MAX_PIECE_BYTES);
	if (isnan(piece->score))
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"the score of piece %d of the vocabulary is not a number", (int) id);
	if ((int) piece->kind < LLM_PIECE_NORMAL || (int) piece->kind > LLM_PIECE_BYTE)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"piece %d of the vocabulary is of kind %d, must be %d to %d",
						(int) id, (int) piece->kind, LLM_PIECE_NORMAL, LLM_PIECE_BYTE);
	if (piece->kind == LLM_PIECE_BYTE && llm_vocabulary_byte_of_piece(piece) < 0)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"piece %d of the vocabulary is a byte but is not named <0x00> to <0xFF>",
						(int) id);
	return true;
}

static bool
check_special(const char *name, int32_t id, int32_t n_pieces, LlmError *error)
{
	if (id < -1 || id >= n_pieces)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"the id of the %s token is %d, the vocabulary has %d pieces",
						name, (int) id, (int) n_pieces);
	return true;
}

/* Fill a header for a source that has been checked. */
static void
lay_out(const LlmVocabularySource *source, LlmVocabulary *header)
{
	uint64_t	text_bytes = 0;
	uint64_t	end = sizeof(LlmVocabulary);
	int32_t		i;

	memset(header, 0, sizeof(*header));
	header->n_pieces = source->n_pieces;
	header->bos_id = source->bos_id;
	header->eos_id = source->eos_id;
	header->unknown_id = source->unknown_id;
	header->add_bos = source->add_bos;
	header->add_space_prefix = source->add_space_prefix;
	header->words_are_separate = true;
	header->longest_token = LONGEST_FIXED_TOKEN;
	for (i = 0; i < source->n_pieces; i++)
	{
		const LlmPiece *piece = &source->pieces[i];

		text_bytes += piece->length;
		if (piece->length > header->longest_piece)
			header->longest_piece = piece->length;
		if (is_matched_first(piece))
			header->n_user_defined++;
		if (piece->kind == LLM_PIECE_UNUSED || (is_text_kind(piece->kind) && spans_words(piece)))
			header->words_are_separate = false;
	}
	if (header->longest_piece > header->longest_token)
		header->longest_token = header->longest_piece;

	header->n_slots = 2;
	while (header->n_slots < 2 * (uint32_t) source->n_pieces)
		header->n_slots *= 2;
	header->slots = place(&end, header->n_slots, sizeof(Slot));
	header->text_offsets = place(&end, (uint64_t) source->n_pieces + 1, sizeof(uint32_t));
	header->scores = place(&end, source->n_pieces, sizeof(float));
	header->user_defined = place(&end, header->n_user_defined, sizeof(int32_t));
	header->kinds = place(&end, source->n_pieces, sizeof(uint8_t));
	header->text = place(&end, text_bytes, 1);
	header->size = end;
}

/* The limits on pieces keep every block below 2 GB, so nothing overflows. */
static uint64_t
place(uint64_t *end, uint64_t count, uint64_t width)
{
	uint64_t	offset = *end;

	*end = (offset + count * width + 7) & ~UINT64_C(7);
	return offset;
}

static void
copy_pieces(const LlmVocabularySource *source, LlmVocabulary *block)
{
	char	   *base = (char *) block;
	uint32_t   *text_offsets = (uint32_t *) (base + block->text_offsets);
	float	   *scores = (float *) (base + block->scores);
	uint8_t    *kinds = (uint8_t *) (base + block->kinds);
	uint32_t	end = 0;
	int32_t		i;

	memset(block->byte_tokens, 0xFF, sizeof(block->byte_tokens));
	for (i = 0; i < source->n_pieces; i++)
	{
		const LlmPiece *piece = &source->pieces[i];

		text_offsets[i] = end;
		if (piece->length > 0)
			memcpy(base + block->text + end, piece->bytes, piece->length);
		end += piece->length;
		scores[i] = piece->score;
		kinds[i] = (uint8_t) piece->kind;
		if (piece->kind == LLM_PIECE_BYTE)
		{
			int32_t    *token = &block->byte_tokens[llm_vocabulary_byte_of_piece(piece)];

			if (*token < 0)
				*token = i;
		}
		if (is_matched_first(piece))
			block->user_defined_leads[(uint8_t) piece->bytes[0]] = true;
	}
	text_offsets[source->n_pieces] = end;
}

static bool
sort_user_defined(const LlmVocabularySource *source, LlmVocabulary *block, LlmError *error)
{
	int32_t    *ids = (int32_t *) ((char *) block + block->user_defined);
	SortedPiece *sorted;
	int32_t		n = 0;
	int32_t		i;

	if (block->n_user_defined == 0)
		return true;
	sorted = malloc((size_t) block->n_user_defined * sizeof(SortedPiece));
	if (sorted == NULL)
		return llm_fail(error, LLM_ERROR_OUT_OF_MEMORY,
						"out of memory while sorting %d user-defined pieces",
						(int) block->n_user_defined);
	for (i = 0; i < source->n_pieces; i++)
	{
		if (is_matched_first(&source->pieces[i]))
			sorted[n++] = (SortedPiece) {source->pieces[i], i};
	}
	qsort(sorted, n, sizeof(SortedPiece), compare_pieces);
	for (i = 0; i < n; i++)
		ids[i] = sorted[i].id;
	free(sorted);
	return true;
}

static int
compare_pieces(const void *a, const void *b)
{
	const SortedPiece *left = a;
	const SortedPiece *right = b;
	uint32_t	shorter = left->piece.length;
	int			order;

	if (right->piece.length < shorter)
		shorter = right->piece.length;
	order = memcmp(left->piece.bytes, right->piece.bytes, shorter);
	if (order != 0)
		return order;
	if (left->piece.length != right->piece.length)
		return left->piece.length < right->piece.length ? -1 : 1;
	return left->id < right->id ? -1 : left->id > right->id;
}

static bool
fill_slots(LlmVocabulary *block)
{
	Slot	   *slots = (Slot *) ((char *) block + block->slots);
	int			attempt;

	for (attempt = 0; attempt < HASH_SEEDS; attempt++)
	{
		int32_t		id = 0;

		memset(slots, 0xFF, block->n_slots * sizeof(Slot));
		block->hash_seed = UINT64_C(0x9E3779B97F4A7C15) * (attempt + 1);
		while (id < block->n_pieces && insert_piece(block, id))
			id++;
		if (id == block->n_pieces)
			return true;
	}
	return false;
}

/*
 * Enter a piece unless one with its bytes is there already; a piece that text
 * can become is not hidden by one that it cannot.  False for a run too long.
 */
static bool
insert_piece(const LlmVocabulary *block, int32_t id)
{
	Slot	   *slots = (Slot *) ((char *) block + block->slots);
	LlmPiece	piece = llm_vocabulary_piece(block, id);
	uint32_t	hash = hash_bytes(piece.bytes, piece.length, block->hash_seed);
	uint32_t	run;

	if (piece.length == 0 ||
		find(block, piece.bytes, piece.length, is_text_kind(piece.kind)) >= 0)
		return true;
	for (run = 0; run < LONGEST_RUN; run++)
	{
		Slot	   *slot = &slots[(hash + run) & (block->n_slots - 1)];

		if (slot->id < 0)
		{
			*slot = (Slot) {hash, id};
			return true;
		}
	}
	return false;
}

static int32_t
find(const LlmVocabulary *block, const char *bytes, size_t length, bool text_only)
{
	const Slot *slots = array_at(block, block->slots);
	const uint8_t *kinds = array_at(block, block->kinds);
	uint32_t	hash;
	uint32_t	run;

	if (length == 0 || length > block->longest_piece)
		return -1;
	hash = hash_bytes(bytes, length, block->hash_seed);
	for (run = 0; run < LONGEST_RUN; run++)
	{
		const Slot *slot = &slots[(hash + run) & (block->n_slots - 1)];
		int32_t		id = slot->id;
		uint32_t	found_length;
		const char *found;

		if (id < 0)
			return -1;
		if (slot->hash != hash)
			continue;
		found = piece_bytes(block, id, &found_length);
		if (found_length == length && memcmp(found, bytes, length) == 0 &&
			(!text_only || is_text_kind(kinds[id])))
			return id;
	}
	return -1;
}

/*
 * Among the sorted user-defined pieces low .. high - 1, which share their
 * first depth bytes: the first whose byte at depth is not below the given one.
 */
static int32_t
narrow(const LlmVocabulary *block, int32_t low, int32_t high, uint32_t depth, int byte)
{
	const int32_t *sorted = array_at(block, block->user_defined);

	while (low < high)
	{
		int32_t		middle = low + (high - low) / 2;
		uint32_t	length;
		const char *bytes = piece_bytes(block, sorted[middle], &length);

		if (length <= depth || (uint8_t) bytes[depth] < byte)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Whether U+2581 stands after another character in a piece. */
static bool
spans_words(const LlmPiece *piece)
{
	uint32_t	i = 0;

	while (llm_utf8_is_space_mark(piece->bytes + i, piece->length - i))
		i += LLM_SPACE_MARK_BYTES;
	for (; i < piece->length; i++)
	{
		if (llm_utf8_is_space_mark(piece->bytes + i, piece->length - i))
			return true;
	}
	return false;
}

/* User-defined pieces of whole characters; others would cut a text's characters. */
static bool
is_matched_first(const LlmPiece *piece)
{
	uint32_t	i = 0;

	if (piece->kind != LLM_PIECE_USER_DEFINED)
		return false;
	while (i < piece->length)
	{
		uint32_t	length = llm_utf8_character(piece->bytes + i, piece->length - i);

		if (length == 0)
			return false;
		i += length;
	}
	return piece->length > 0;
}

static bool
is_text_kind(LlmPieceKind kind)
{
	return kind == LLM_PIECE_NORMAL || kind == LLM_PIECE_USER_DEFINED || kind == LLM_PIECE_UNUSED;
}

/* Eight bytes at a time; the last may overlap those before, which does no harm. */
static uint32_t
hash_bytes(const char *bytes, size_t length, uint64_t seed)
{
	uint64_t	hash = seed ^ length;
	uint64_t	word = 0;
	size_t		left = length;

	while (left > 8)
	{
		memcpy(&word, bytes, 8);
		hash = (hash ^ word) * UINT64_C(0xD6E8FEB86659FD93);
		hash ^= hash >> 32;
		bytes += 8;
		left -= 8;
	}
	if (left >= 4)
	{
		uint32_t	first;
		uint32_t	last;

		memcpy(&first, bytes, 4);
		memcpy(&last, bytes + left - 4, 4);
		word = (uint64_t) first << 32 | last;
	}
	else if (left > 0)
		word = (uint64_t) (uint8_t) bytes[0] << 16 | (uint64_t) (uint8_t) bytes[left / 2] << 8 |
			(uint8_t) bytes[left - 1];
	hash = (hash ^ word) * UINT64_C(0xD6E8FEB86659FD93);
	hash = (hash ^ hash >> 32) * UINT64_C(0xD6E8FEB86659FD93);
	return (uint32_t) (hash >> 32);
}
