/*
 * vocabulary_trie.c
 *		The texts of all tokens as a tree of bytes, in one array.
 */
#include "engine/vocabulary_trie.h"

#include <stdlib.h>
#include <string.h>

#include "text/detokenize.h"

/* A token and its text, to be sorted. */
typedef struct TokenText
{
	const char *bytes;
	uint32_t	length;
	int32_t		token;
} TokenText;

static uint32_t collect_texts(LlmTrie *trie, TokenText *texts, char *bytes);
static bool is_text(const LlmVocabulary *vocabulary, int32_t token);
static int	compare_texts(const void *a, const void *b);
static void build_nodes(LlmTrie *trie, const TokenText *texts, uint32_t n_texts, uint32_t *open);
static uint32_t common_length(const TokenText *a, const TokenText *b);

bool
llm_trie_build(LlmTrie *trie, const LlmVocabulary *vocabulary, LlmError *error)
{
	size_t		n_tokens = (size_t) llm_vocabulary_count(vocabulary);
	size_t		longest = llm_vocabulary_max_token_bytes(vocabulary);
	size_t		n_bytes = 0;
	TokenText  *texts = NULL;
	char	   *bytes = NULL;
	uint32_t   *open = NULL;

	memset(trie, 0, sizeof(*trie));
	trie->vocabulary = vocabulary;
	trie->n_tokens = (int32_t) n_tokens;
	for (int32_t i = 0; i < trie->n_tokens; i++)
		n_bytes += llm_vocabulary_piece(vocabulary, i).length;
	texts = calloc(n_tokens, sizeof(TokenText));
	bytes = malloc(n_bytes + longest + 1);
	open = calloc(longest + 2, sizeof(uint32_t));
	trie->nodes = calloc(n_bytes + n_tokens + 1, sizeof(LlmTrieNode));
	trie->same = calloc(n_tokens, sizeof(int32_t));
	trie->stripped = calloc((n_tokens + 63) / 64, sizeof(uint64_t));
	if (texts == NULL || bytes == NULL || open == NULL || trie->nodes == NULL || trie->same == NULL ||
		trie->stripped == NULL)
	{
		free(texts);
		free(bytes);
		free(open);
		llm_trie_free(trie);
		return llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory for the texts of %zu tokens", n_tokens);
	}
	build_nodes(trie, texts, collect_texts(trie, texts, bytes), open);
	free(texts);
	free(bytes);
	free(open);
	return true;
}

void
llm_trie_free(LlmTrie *trie)
{
	free(trie->nodes);
	free(trie->same);
	free(trie->stripped);
	memset(trie, 0, sizeof(*trie));
}

uint32_t
llm_trie_child(const LlmTrie *trie, uint32_t node, uint8_t byte)
{
	uint32_t	end;

	if (node == trie->n_nodes)
		return trie->root[byte];
	end = trie->nodes[node].end;
	for (node++; node < end; node = trie->nodes[node].end)
	{
		if (trie->nodes[node].byte == byte)
			return node;
	}
	return trie->n_nodes;
}

/* Sorted by their bytes; equal ones by rising token. */
static uint32_t
collect_texts(LlmTrie *trie, TokenText *texts, char *bytes)
{
	uint32_t	n = 0;

	for (int32_t token = 0; token < trie->n_tokens; token++)
	{
		size_t		length = 0;

		if (is_text(trie->vocabulary, token))
		{
			size_t		without = llm_token_bytes(trie->vocabulary, token, true, bytes);

			length = llm_token_bytes(trie->vocabulary, token, false, bytes);
			if (without != length)
				trie->stripped[token / 64] |= UINT64_C(1) << (token % 64);
		}
		if (length == 0)
			continue;
		texts[n++] = (TokenText) {bytes, (uint32_t) length, token};
		bytes += length;
	}
	qsort(texts, n, sizeof(TokenText), compare_texts);
	return n;
}

static bool
is_text(const LlmVocabulary *vocabulary, int32_t token)
{
	LlmPieceKind kind = llm_vocabulary_piece(vocabulary, token).kind;

	return kind == LLM_PIECE_NORMAL || kind == LLM_PIECE_USER_DEFINED || kind == LLM_PIECE_BYTE;
}

static int
compare_texts(const void *a, const void *b)
{
	const TokenText *first = a;
	const TokenText *second = b;
	size_t		shorter = first->length < second->length ? first->length : second->length;
	int			order = memcmp(first->bytes, second->bytes, shorter);

	if (order == 0 && first->length != second->length)
		order = first->length < second->length ? -1 : 1;
	if (order == 0)
		order = first->token < second->token ? -1 : 1;
	return order;
}

/* open[depth] is the node of that depth on the way to the last text. */
static void
build_nodes(LlmTrie *trie, const TokenText *texts, uint32_t n_texts, uint32_t *open)
{
	uint32_t	depth = 0;

	for (uint32_t i = 0; i < n_texts; i++)
	{
		uint32_t	common = i > 0 ? common_length(&texts[i - 1], &texts[i]) : 0;

		trie->same[texts[i].token] = -1;
		if (i > 0 && common == texts[i].length && common == texts[i - 1].length)
		{
			trie->same[texts[i - 1].token] = texts[i].token;
			continue;
		}
		for (; depth > common; depth--)
			trie->nodes[open[depth]].end = trie->n_nodes;
		for (; depth < texts[i].length; depth++)
		{
			open[depth + 1] = trie->n_nodes;
			trie->nodes[trie->n_nodes++] = (LlmTrieNode)
			{
				.token = -1, .depth = (uint16_t) (depth + 1), .byte = (uint8_t) texts[i].bytes[depth]
			};
		}
		trie->nodes[open[depth]].token = texts[i].token;
		trie->max_depth = depth > trie->max_depth ? depth : trie->max_depth;
	}
	for (; depth > 0; depth--)
		trie->nodes[open[depth]].end = trie->n_nodes;
	for (int byte = 0; byte < 256; byte++)
		trie->root[byte] = trie->n_nodes;
	for (uint32_t node = 0; node < trie->n_nodes; node = trie->nodes[node].end)
		trie->root[trie->nodes[node].byte] = node;
}

static uint32_t
common_length(const TokenText *a, const TokenText *b)
{
	uint32_t	n = 0;

	while (n < a->length && n < b->length && a->bytes[n] == b->bytes[n])
		n++;
	return n;
}
