/*
 * constraint.c
 *		Which tokens a grammar allows next, and how to come to an end.
 *
 * A mask is made by walking the vocabulary's tree and the grammar's states together, once for each state.
 * When the cached states have become too many they are forgotten, between tokens: a request then finds
 * its state again from its text.  The shortest way to the end is kept track of as an upper bound: the
 * bytes that are missing, and only where these are more than the tokens that are left, the tokens that they take.
 */
#include "engine/constraint.h"

#include <stdlib.h>
#include <string.h>

#include "engine/closing.h"
#include "engine/parse_states.h"
#include "engine/vocabulary_trie.h"
#include "text/detokenize.h"

/* States and masks of all grammars: what nobody uses goes first, then the states of one in use. */
#define DEFAULT_CACHE_BYTES ((size_t) 64 << 20)
#define MAX_GRAMMARS 64

/* A grammar that was used lately. */
typedef struct Known
{
	LlmParseStates *states;
	uint64_t	hash;
	uint64_t	used_at;
	uint32_t	n_users;
	uint32_t	generation;		/* grows when its states are forgotten */
	uint64_t   *first_mask;		/* of the start, for texts whose first token loses its space */
	struct Known *next;
} Known;

struct LlmConstraints
{
	const LlmVocabulary *vocabulary;
	size_t		cache_bytes;
	bool		has_trie;
	LlmTrie		trie;
	size_t		mask_words;
	LlmStateId *path;			/* [max_depth + 1] of a walk */
	char	   *token_text;
	Known	   *known;
	uint32_t	n_known;
	uint64_t	n_uses;
};

struct LlmConstraint
{
	LlmConstraints *constraints;
	Known	   *known;
	uint32_t	generation;
	LlmStateId	state;
	LlmOnLimit	on_limit;
	bool		strips;			/* the next token is the first, and loses its space */
	char	   *text;			/* so far */
	size_t		n_text;
	size_t		text_capacity;
	int32_t    *closing;		/* the tokens that end the text */
	int32_t		n_closing;
	int32_t		n_closed;		/* of these, taken */
	bool		closed;			/* it ends because of the limit */
};

static bool make_trie(LlmConstraints *constraints, LlmError *error);
static bool writes_all_bytes(const LlmConstraints *constraints, const LlmGrammar *grammar, LlmError *error);
static Known *find_known(LlmConstraints *constraints, const LlmGrammar *grammar);
static void forget_idle(LlmConstraints *constraints, bool all);
static void free_known(Known *known);
static uint64_t hash_block(const LlmGrammar *grammar);
static bool check_shortest(LlmConstraint *constraint, int32_t max_tokens, LlmError *error);
static bool revive(LlmConstraint *constraint);
static uint64_t *walk_tree(LlmConstraints *constraints, LlmParseStates *states, LlmStateId state);
static uint64_t *try_each_token(LlmConstraints *constraints, LlmParseStates *states, LlmStateId state);
static void allow(uint64_t *mask, int32_t token);
static bool add_text(LlmConstraint *constraint, const char *bytes, size_t length);
static bool can_close(LlmConstraint *constraint, LlmStateId state, int32_t n_left, bool *failed);
static bool begin_closing(LlmConstraint *constraint, int32_t n_left);
static bool fail_states(const LlmParseStates *states, LlmError *error);

LlmConstraints *
llm_constraints_create(const LlmVocabulary *vocabulary, size_t cache_bytes)
{
	LlmConstraints *constraints = calloc(1, sizeof(LlmConstraints));

	if (constraints != NULL)
	{
		constraints->vocabulary = vocabulary;
		constraints->cache_bytes = cache_bytes > 0 ? cache_bytes : DEFAULT_CACHE_BYTES;
	}
	return constraints;
}

void
llm_constraints_free(LlmConstraints *constraints)
{
	if (constraints == NULL)
		return;
	forget_idle(constraints, true);
	if (constraints->has_trie)
		llm_trie_free(&constraints->trie);
	free(constraints->path);
	free(constraints->token_text);
	free(constraints);
}

size_t
llm_constraints_bytes(const LlmConstraints *constraints)
{
	size_t		bytes = 0;

	for (const Known *known = constraints->known; known != NULL; known = known->next)
		bytes += llm_parse_states_bytes(known->states) + (known->first_mask ? constraints->mask_words * 8 : 0);
	return bytes;
}

LlmConstraint *
llm_constraint_begin(LlmConstraints *constraints, const void *grammar, size_t size, int32_t max_tokens,
					 bool strip_space, LlmOnLimit on_limit, LlmError *error)
{
	LlmConstraint *constraint;

	if (!llm_grammar_check(grammar, size))
	{
		llm_fail(error, LLM_ERROR_ARGUMENT, "a request's grammar is damaged");
		return NULL;
	}
	if (!constraints->has_trie && !make_trie(constraints, error))
		return NULL;
	if (!writes_all_bytes(constraints, grammar, error))
		return NULL;
	constraint = calloc(1, sizeof(LlmConstraint));
	if (constraint != NULL)
	{
		constraint->constraints = constraints;
		constraint->known = find_known(constraints, grammar);
		constraint->on_limit = on_limit;
		constraint->strips = strip_space;
	}
	if (constraint == NULL || constraint->known == NULL)
	{
		free(constraint);
		fail_states(NULL, error);
		return NULL;
	}
	constraint->known->n_users++;
	constraint->generation = constraint->known->generation;
	llm_parse_begin_work(constraint->known->states);
	constraint->state = llm_parse_start(constraint->known->states);
	if (check_shortest(constraint, max_tokens, error))
		return constraint;
	llm_constraint_end(constraint);
	return NULL;
}

void
llm_constraint_end(LlmConstraint *constraint)
{
	if (constraint == NULL)
		return;
	constraint->known->n_users--;
	free(constraint->text);
	free(constraint->closing);
	free(constraint);
}

int32_t
llm_constraint_forced(const LlmConstraint *constraint)
{
	return constraint->n_closed < constraint->n_closing ? constraint->closing[constraint->n_closed] : -1;
}

const uint64_t *
llm_constraint_mask(LlmConstraint *constraint, LlmError *error)
{
	LlmConstraints *constraints = constraint->constraints;
	Known	   *known = constraint->known;
	uint64_t   *mask;

	if (!revive(constraint))
	{
		fail_states(known->states, error);
		return NULL;
	}
	mask = constraint->strips ? known->first_mask : llm_parse_mask(known->states, constraint->state);
	if (mask != NULL)
		return mask;
	llm_parse_begin_work(known->states);
	if (constraint->strips)
		mask = known->first_mask = try_each_token(constraints, known->states, constraint->state);
	else
	{
		mask = walk_tree(constraints, known->states, constraint->state);
		if (mask != NULL)
			llm_parse_set_mask(known->states, constraint->state, mask, constraints->mask_words * sizeof(uint64_t));
	}
	if (mask == NULL)
		fail_states(known->states, error);
	return mask;
}

int32_t
llm_constraint_take(LlmConstraint *constraint, int32_t token, int32_t n_left, LlmError *error)
{
	LlmConstraints *constraints = constraint->constraints;
	LlmStateId	next;
	size_t		length;
	bool		failed = !revive(constraint);

	llm_parse_begin_work(constraint->known->states);
	for (;;)
	{
		length = llm_token_bytes(constraints->vocabulary, token, constraint->strips, constraints->token_text);
		next = failed ? LLM_STATE_FAILED :
			llm_parse_text(constraint->known->states, constraint->state, constraints->token_text, length);
		if (next < 0 || constraint->on_limit == LLM_ON_LIMIT_ERROR || constraint->n_closing > 0 ||
			can_close(constraint, next, n_left, &failed))
			break;
		/* the way to the end that is known to be short enough begins here */
		if (failed || !begin_closing(constraint, n_left + 1))
		{
			next = LLM_STATE_FAILED;
			break;
		}
		if (constraint->closed)
			return LLM_TAKE_END;
		token = constraint->closing[0];
	}
	if (next < 0 || !add_text(constraint, constraints->token_text, length))
	{
		fail_states(constraint->known->states, error);
		return LLM_TAKE_FAILED;
	}
	if (constraint->n_closing > 0)
		constraint->closed = ++constraint->n_closed == constraint->n_closing;
	constraint->state = next;
	constraint->strips = false;
	return token;
}

bool
llm_constraint_may_end(const LlmConstraint *constraint)
{
	return llm_parse_may_end(constraint->known->states, constraint->state);
}

bool
llm_constraint_must_end(const LlmConstraint *constraint)
{
	return constraint->closed ||
		llm_parse_must_end(constraint->known->states, constraint->state);
}

bool
llm_constraint_was_closed(const LlmConstraint *constraint)
{
	return constraint->closed;
}

/* With what a walk through it takes; all or nothing. */
static bool
make_trie(LlmConstraints *constraints, LlmError *error)
{
	if (!llm_trie_build(&constraints->trie, constraints->vocabulary, error))
		return false;
	constraints->mask_words = ((size_t) constraints->trie.n_tokens + 63) / 64;
	constraints->path = calloc((size_t) constraints->trie.max_depth + 2, sizeof(LlmStateId));
	constraints->token_text = malloc((size_t) llm_vocabulary_max_token_bytes(constraints->vocabulary) + 1);
	constraints->has_trie = constraints->path != NULL && constraints->token_text != NULL;
	if (constraints->has_trie)
		return true;
	llm_trie_free(&constraints->trie);
	free(constraints->path);
	free(constraints->token_text);
	constraints->path = NULL;
	constraints->token_text = NULL;
	return fail_states(NULL, error);
}

/* With a token for each byte there is always one that may come. */
static bool
writes_all_bytes(const LlmConstraints *constraints, const LlmGrammar *grammar, LlmError *error)
{
	bool		wanted[256] = {false};
	uint32_t	n_set = grammar->n_sets;

	for (uint32_t i = 0; i < n_set; i++)
	{
		for (int class = 0; class < 256; class++)
			wanted[class] |= llm_grammar_sets(grammar)[i].classes[class / 64] >> (class % 64) & 1;
	}
	for (int byte = 0; byte < 256; byte++)
	{
		uint32_t	node = constraints->trie.root[byte];

		if (wanted[grammar->class_of[byte]] &&
			(node == constraints->trie.n_nodes || constraints->trie.nodes[node].token < 0))
			return llm_fail(error, LLM_ERROR_UNSUPPORTED,
							"the model's vocabulary has no token for byte 0x%02X, which the grammar may ask for", (unsigned) byte);
	}
	return true;
}

/* The states of this grammar, with what is idle and too much thrown away first. */
static Known *
find_known(LlmConstraints *constraints, const LlmGrammar *grammar)
{
	uint64_t	hash = hash_block(grammar);
	Known	   *known = constraints->known;

	while (known != NULL &&
		   (known->hash != hash || llm_parse_states_grammar(known->states)->size != grammar->size ||
			memcmp(llm_parse_states_grammar(known->states), grammar, grammar->size) != 0))
		known = known->next;
	if (known == NULL)
	{
		if (constraints->n_known >= MAX_GRAMMARS || llm_constraints_bytes(constraints) > constraints->cache_bytes)
			forget_idle(constraints, false);
		known = calloc(1, sizeof(Known));
		if (known == NULL)
			return NULL;
		known->hash = hash;
		known->states = llm_parse_states_create(grammar);
		if (known->states == NULL)
		{
			free(known);
			return NULL;
		}
		known->next = constraints->known;
		constraints->known = known;
		constraints->n_known++;
	}
	known->used_at = ++constraints->n_uses;
	return known;
}

/* The grammars that nobody uses now; not all: the older half of them. */
static void
forget_idle(LlmConstraints *constraints, bool all)
{
	uint64_t	newest = constraints->n_uses;
	uint64_t	oldest = newest;
	Known	  **link = &constraints->known;

	for (const Known *known = constraints->known; known != NULL; known = known->next)
	{
		if (known->n_users == 0 && known->used_at < oldest)
			oldest = known->used_at;
	}
	while (*link != NULL)
	{
		Known	   *known = *link;

		if (known->n_users == 0 && (all || known->used_at <= oldest + (newest - oldest) / 2))
		{
			*link = known->next;
			constraints->n_known--;
			free_known(known);
		}
		else
			link = &known->next;
	}
}

static void
free_known(Known *known)
{
	llm_parse_states_free(known->states);
	free(known->first_mask);
	free(known);
}

/* FNV-1a (Fowler, Noll and Vo), on eight bytes at a time. */
static uint64_t
hash_block(const LlmGrammar *grammar)
{
	uint64_t	hash = UINT64_C(14695981039346656037);

	for (size_t at = 0; at < grammar->size; at += sizeof(uint64_t))
	{
		uint64_t	word = 0;
		size_t		left = grammar->size - at;

		memcpy(&word, (const char *) grammar + at, left < sizeof(word) ? left : sizeof(word));
		hash = (hash ^ word) * UINT64_C(1099511628211);
		hash ^= hash >> 29;
	}
	return hash;
}

/* The way to the end must fit, whatever else comes. */
static bool
check_shortest(LlmConstraint *constraint, int32_t max_tokens, LlmError *error)
{
	LlmParseStates *states = constraint->known->states;
	int32_t    *tokens;
	int32_t		n;

	if (constraint->state < 0)
		return fail_states(states, error);
	if (llm_parse_min_bytes(states, constraint->state) <= (uint32_t) max_tokens)
		return true;
	n = llm_closing(states, constraint->state, &constraint->constraints->trie, constraint->strips, max_tokens, &tokens);
	free(tokens);
	if (n >= 0)
		return true;
	if (n == -2)
		return fail_states(states, error);
	llm_fail(error, LLM_ERROR_ARGUMENT,
			 "the shortest text that the grammar allows, of %u bytes, does not fit %d tokens",
			 llm_parse_min_bytes(states, constraint->state), max_tokens);
	return llm_hint(error, "Increase max_tokens, or shorten the prompt where the context is full.");
}

/*
 * Between tokens: forget states where there are too many, and find the text's state again where somebody
 * has.
 */
static bool
revive(LlmConstraint *constraint)
{
	LlmConstraints *constraints = constraint->constraints;
	Known	   *known = constraint->known;
	LlmStateId	state;

	if (llm_constraints_bytes(constraints) > constraints->cache_bytes)
		forget_idle(constraints, true);
	if (llm_constraints_bytes(constraints) > constraints->cache_bytes &&
		llm_parse_states_bytes(known->states) > constraints->cache_bytes / MAX_GRAMMARS)
	{
		llm_parse_states_reset(known->states);
		known->generation++;
	}
	if (constraint->generation == known->generation)
		return true;
	llm_parse_begin_work(known->states);
	state = llm_parse_text(known->states, llm_parse_start(known->states), constraint->text, constraint->n_text);
	if (state < 0)
		return false;
	constraint->state = state;
	constraint->generation = known->generation;
	return true;
}

/* All tokens in one walk: what begins with bytes that are not allowed is passed over. */
static uint64_t *
walk_tree(LlmConstraints *constraints, LlmParseStates *states, LlmStateId state)
{
	const LlmTrie *trie = &constraints->trie;
	uint64_t   *mask = calloc(constraints->mask_words, sizeof(uint64_t));
	LlmStateId *path = constraints->path;
	uint32_t	at = 0;

	if (mask == NULL)
		return NULL;
	path[0] = state;
	while (at < trie->n_nodes)
	{
		const LlmTrieNode *node = &trie->nodes[at];
		LlmStateId	next = llm_parse_step(states, path[node->depth - 1], node->byte);

		if (next == LLM_STATE_FAILED)
		{
			free(mask);
			return NULL;
		}
		if (next == LLM_STATE_DEAD)
		{
			at = node->end;
			continue;
		}
		for (int32_t token = node->token; token >= 0; token = trie->same[token])
			allow(mask, token);
		path[node->depth] = next;
		at++;
	}
	if (llm_parse_may_end(states, state))
		allow(mask, llm_vocabulary_eos(constraints->vocabulary));
	return mask;
}

/* The same for the first token, whose text is another one where it loses its space. */
static uint64_t *
try_each_token(LlmConstraints *constraints, LlmParseStates *states, LlmStateId state)
{
	const LlmTrie *trie = &constraints->trie;
	uint64_t   *mask = walk_tree(constraints, states, state);

	for (int32_t token = 0; mask != NULL && token < trie->n_tokens; token++)
	{
		size_t		length;
		LlmStateId	next;

		if (!llm_trie_is_stripped(trie, token))
			continue;
		length = llm_token_bytes(constraints->vocabulary, token, true, constraints->token_text);
		next = llm_parse_text(states, state, constraints->token_text, length);
		mask[token / 64] &= ~(UINT64_C(1) << (token % 64));
		if (next >= 0)
			allow(mask, token);
		else if (next == LLM_STATE_FAILED)
		{
			free(mask);
			return NULL;
		}
	}
	return mask;
}

static void
allow(uint64_t *mask, int32_t token)
{
	if (token >= 0)
		mask[token / 64] |= UINT64_C(1) << (token % 64);
}

static bool
add_text(LlmConstraint *constraint, const char *bytes, size_t length)
{
	if (length == 0)
		return true;
	if (constraint->text_capacity - constraint->n_text < length)
	{
		size_t		capacity = 2 * constraint->text_capacity + length + 64;
		char	   *text = realloc(constraint->text, capacity);

		if (text == NULL)
			return false;
		constraint->text = text;
		constraint->text_capacity = capacity;
	}
	memcpy(constraint->text + constraint->n_text, bytes, length);
	constraint->n_text += length;
	return true;
}

static bool
can_close(LlmConstraint *constraint, LlmStateId state, int32_t n_left, bool *failed)
{
	LlmParseStates *states = constraint->known->states;
	int32_t    *tokens;
	int32_t		n;

	if (llm_parse_min_bytes(states, state) <= (uint32_t) n_left)
		return true;
	n = llm_closing(states, state, &constraint->constraints->trie, false, n_left, &tokens);
	free(tokens);
	*failed |= n == -2;
	return n >= 0;
}

static bool
begin_closing(LlmConstraint *constraint, int32_t n_left)
{
	int32_t		n = llm_closing(constraint->known->states, constraint->state, &constraint->constraints->trie,
								constraint->strips, n_left, &constraint->closing);

	if (n < 0)
		return false;
	constraint->n_closing = n;
	constraint->n_closed = 0;
	constraint->closed = n == 0;
	return true;
}

/* Why states could not be made: for want of what a grammar may take, or of memory. */
static bool
fail_states(const LlmParseStates *states, LlmError *error)
{
	if (states != NULL && llm_parse_failure(states) == LLM_PARSE_TOO_LARGE)
		return llm_fail(error, LLM_ERROR_LIMIT, "the grammar takes more memory than it may");
	if (states != NULL && llm_parse_failure(states) == LLM_PARSE_TOO_SLOW)
	{
		llm_fail(error, LLM_ERROR_LIMIT, "the grammar takes more work for a token than it may");
		return llm_hint(error, "Let it have fewer ways to read the same text, as nested repetitions have.");
	}
	return llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory for a grammar");
}
