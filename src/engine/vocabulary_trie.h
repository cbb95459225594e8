/*
 * vocabulary_trie.h
 *		The texts of all tokens as a tree of bytes, in one array.
 *
 * Nodes lie in the order of a walk: a node's first child follows it, and `end` leads past all that is below.  A
 * token that adds no text, or that text can never become (control, unknown, unused), is not in the tree.
 */
#ifndef LLM_VOCABULARY_TRIE_H
#define LLM_VOCABULARY_TRIE_H

#include "text/vocabulary.h"

typedef struct LlmTrieNode
{
	uint32_t	end;
	int32_t		token;			/* whose text ends here, or -1; llm_trie_next tells others */
	uint16_t	depth;			/* 1: the first byte */
	uint8_t		byte;
} LlmTrieNode;

typedef struct LlmTrie
{
	const LlmVocabulary *vocabulary;
	int32_t		n_tokens;		/* of the vocabulary */
	uint32_t	n_nodes;
	LlmTrieNode *nodes;
	uint32_t	root[256];		/* the node of a first byte, or n_nodes */
	int32_t    *same;			/* [n_tokens] the next token with the same text, or -1 */
	uint64_t   *stripped;		/* [n_tokens bits] loses its space as the first token */
	uint32_t	max_depth;
} LlmTrie;

extern bool llm_trie_build(LlmTrie *trie, const LlmVocabulary *vocabulary, LlmError *error);
extern void llm_trie_free(LlmTrie *trie);

/* The child of a node (n_nodes: of the root) by a byte, or n_nodes. */
extern uint32_t llm_trie_child(const LlmTrie *trie, uint32_t node, uint8_t byte);

static inline bool
llm_trie_is_stripped(const LlmTrie *trie, int32_t token)
{
	return trie->stripped[token / 64] >> (token % 64) & 1;
}

#endif							/* LLM_VOCABULARY_TRIE_H */
