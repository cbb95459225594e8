/*
 * closing.c
 *		The shortest way from a state of a grammar to its end, in tokens.
 */
#include "engine/closing.h"

#include <stdlib.h>

/* The best cut of a text's rest, from one of its bytes on. */
typedef struct Cut
{
	int32_t		n_tokens;		/* INT32_MAX: it cannot be cut */
	int32_t		token;			/* the first */
	uint32_t	length;			/* of its text */
} Cut;

static bool write_shortest(LlmParseStates *states, LlmStateId state, uint8_t *bytes, uint32_t length);
static void cut_rest(const LlmTrie *trie, const uint8_t *bytes, uint32_t length, uint32_t at, bool first, Cut *cuts);
static int32_t usable_token(const LlmTrie *trie, uint32_t node, bool first);

int32_t
llm_closing(LlmParseStates *states, LlmStateId state, const LlmTrie *trie, bool first, int32_t max_tokens,
			int32_t **tokens)
{
	uint32_t	length = llm_parse_min_bytes(states, state);
	uint8_t    *bytes;
	Cut		   *cuts;
	int32_t		n = -2;

	*tokens = NULL;
	if ((uint64_t) length > (uint64_t) (max_tokens < 0 ? 0 : max_tokens) * trie->max_depth)
		return -1;
	bytes = malloc((size_t) length + 1);
	cuts = calloc((size_t) length + 1, sizeof(Cut));
	if (bytes != NULL && cuts != NULL && write_shortest(states, state, bytes, length))
	{
		for (uint32_t i = length; i > 0; i--)
			cut_rest(trie, bytes, length, i - 1, first && i == 1, cuts);
		n = cuts[0].n_tokens <= max_tokens ? cuts[0].n_tokens : -1;
		if (n >= 0)
			*tokens = malloc(((size_t) n + 1) * sizeof(int32_t));
		if (n >= 0 && *tokens == NULL)
			n = -2;
		for (uint32_t i = 0, at = 0; n >= 0 && at < length; at += cuts[at].length)
			(*tokens)[i++] = cuts[at].token;
	}
	free(bytes);
	free(cuts);
	return n;
}

/* Of the bytes that bring the end nearer always the first. */
static bool
write_shortest(LlmParseStates *states, LlmStateId state, uint8_t *bytes, uint32_t length)
{
	const LlmGrammar *grammar = llm_parse_states_grammar(states);

	for (uint32_t i = 0; i < length; i++)
	{
		int			best = -1;
		LlmStateId	next = LLM_STATE_DEAD;

		for (uint32_t class = 0; class < grammar->n_classes; class++)
		{
			uint8_t		byte = grammar->example[class];
			LlmStateId	after;

			if (best >= 0 && byte > best)
				continue;
			after = llm_parse_step(states, state, byte);
			if (after == LLM_STATE_FAILED)
				return false;
			if (after >= 0 && llm_parse_min_bytes(states, after) == length - i - 1)
			{
				best = byte;
				next = after;
			}
		}
		if (best < 0)
			return false;
		bytes[i] = (uint8_t) best;
		state = next;
	}
	return true;
}

/* Of equally few tokens the longest first. */
static void
cut_rest(const LlmTrie *trie, const uint8_t *bytes, uint32_t length, uint32_t at, bool first, Cut *cuts)
{
	uint32_t	node = trie->n_nodes;
	Cut			best = {INT32_MAX, -1, 1};

	for (uint32_t end = at; end < length; end++)
	{
		int32_t		token;
		int32_t		n_rest = cuts[end + 1].n_tokens;

		node = llm_trie_child(trie, node, bytes[end]);
		if (node == trie->n_nodes)
			break;
		token = usable_token(trie, node, first);
		if (token >= 0 && n_rest < INT32_MAX && n_rest + 1 <= best.n_tokens)
			best = (Cut) {n_rest + 1, token, end - at + 1};
	}
	cuts[at] = best;
}

static int32_t
usable_token(const LlmTrie *trie, uint32_t node, bool first)
{
	int32_t		token = trie->nodes[node].token;

	while (token >= 0 && first && llm_trie_is_stripped(trie, token))
		token = trie->same[token];
	return token;
}
